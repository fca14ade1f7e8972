#pragma once
// Wheel: a hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987,
// scheme 7): one deadline per id, armed, moved and cancelled in O(1).
//
// Time is cut into ticks of 128 us. Four levels of 256 slots stand for the four low bytes of a tick: a deadline
// waits on the level of the highest byte in which it differs from the current tick, so everything on level 0
// comes before everything on level 1, and so on. When the current tick enters a slot of level 1 to 3, its timers
// fall to lower levels. Deadlines more than 2^32 ticks (6 days) apart wait in one list aside. A bit per slot and a
// bit per word of slots lead from the current tick straight to the next occupied slot: an idle hour costs nothing.
//
// A timer never fires before its deadline. It fires in the first `expire` whose `now_us` is at least one tick past
// the deadline, usually sooner, except for what the bound `most` left for the next call. A deadline that has
// passed already when it is armed fires with the next tick, never within the `expire` that is running: a callback
// that arms its own id for "now" does not loop.
//
// One thread owns a wheel. Memory is reserved at construction (16 bytes per id, touched as ids are used); nothing
// allocates later. Time is a value passed in; it may stand still, and stepping back is ignored.

#include <array>
#include <bit>
#include <cstdlib>
#include <memory>
#include <utility>

#include "src/base/assert.h"
#include "src/base/types.h"

namespace ringway {

class Wheel {
 public:
  static constexpr u32 kTickShift = 7;
  static constexpr TimeUs kTickUs = TimeUs{1} << kTickShift;
  static constexpr TimeUs kNever = ~TimeUs{0};

  // `ids`: timers are named 0 .. ids-1. `now_us`: where time begins.
  Wheel(u32 ids, TimeUs now_us)
      : ids_(ids),
        now_tick_(now_us >> kTickShift),
        tick_(now_tick_),
        timers_(static_cast<Timer*>(std::calloc(ids == 0 ? 1 : ids, sizeof(Timer)))) {
    RW_ASSERT(timers_ != nullptr && ids < kNone32);
    heads_.fill(kNone32);
  }

  // Arms `id` for `deadline_us`; an armed timer moves. A deadline beyond 2^48 ticks (1,100 years) counts as that.
  void arm(u32 id, TimeUs deadline_us) {
    RW_ASSERT(id < ids_);
    u64 tick = (deadline_us >> kTickShift) + ((deadline_us & (kTickUs - 1)) != 0);
    if (tick > kTickMask) tick = kTickMask;
    if (tick <= now_tick_) tick = now_tick_ + 1;
    Timer& timer = timers_[id];
    if (timer.list() == kIdle) {
      armed_count_++;
    } else {
      if (timer.tick() == tick && timer.list() < kFar) return;
      unlink(id);
    }
    place(id, tick);
  }

  // Does nothing when `id` is not armed.
  void cancel(u32 id) {
    RW_ASSERT(id < ids_);
    if (timers_[id].list() == kIdle) return;
    unlink(id);
    timers_[id].set(0, kIdle);
    armed_count_--;
  }

  bool armed(u32 id) const {
    RW_ASSERT(id < ids_);
    return timers_[id].list() != kIdle;
  }

  // Calls `on_expired(id)` for timers whose tick has come, in the order of ticks, at most `most` of them; the rest
  // wait for the next call. The timer is disarmed before the call, which may arm and cancel any id. Timers that
  // fall to a lower level are bounded too (four per `most`). Returns how many were called.
  template <class F>
  u32 expire(TimeUs now_us, u32 most, F&& on_expired) {
    const u64 target = now_us >> kTickShift;
    if (target > now_tick_) now_tick_ = target;
    u32 fired = 0;
    u64 falls_left = u64{most} * 4;
    while (true) {
      while (draining_ < kSlots && heads_[draining_] != kNone32) {
        if (fired == most) return fired;
        fire(heads_[draining_], on_expired);
        fired++;
      }
      while (draining_ != kNone32 && heads_[draining_] != kNone32) {
        if (falls_left-- == 0) return fired;
        const u32 id = heads_[draining_];
        unlink(id);
        place(id, timers_[id].tick());
      }
      draining_ = kNone32;
      while (heads_[kDue] != kNone32) {
        if (fired == most) return fired;
        fire(heads_[kDue], on_expired);
        fired++;
      }
      if (!step()) return fired;
    }
  }

  // No timer fires before this time: exact for what is due within 33 ms, the start of a coarser slot beyond.
  // kNever (all ones) when nothing is armed.
  TimeUs next_deadline_us() const {
    if (armed_count_ == 0) return kNever;
    if (draining_ != kNone32 || heads_[kDue] != kNone32) return tick_ << kTickShift;
    return next_event().tick << kTickShift;
  }

  u32 armed_count() const { return armed_count_; }

 private:
  static constexpr u32 kLevels = 4;
  static constexpr u32 kSlots = 256;
  static constexpr u64 kTickMask = (u64{1} << 48) - 1;

  // Lists: the slots of all levels, then these.
  static constexpr u32 kFar = kLevels * kSlots;  // differs from the current tick above 32 bits
  static constexpr u32 kFarFalling = kFar + 1;   // the far list while it is looked through
  static constexpr u32 kDue = kFar + 2;          // fell from a coarse slot at the very tick of the deadline
  static constexpr u32 kLists = kFar + 3;
  static constexpr u32 kIdle = 0xffff;

  // Zeroed memory is an idle timer: the list is kept as its complement.
  struct Timer {
    u64 packed;  // low 48 bits tick, high 16 bits ~list
    u32 prev;    // kNone32: first of its list
    u32 next;
    u64 tick() const { return packed & kTickMask; }
    u32 list() const { return static_cast<u32>(packed >> 48) ^ 0xffffu; }
    void set(u64 tick, u32 list) { packed = tick | u64{list ^ 0xffffu} << 48; }
  };
  static_assert(sizeof(Timer) == 16);
  struct Release {
    void operator()(void* p) const { std::free(p); }
  };
  struct Event {
    u64 tick;
    u32 list;
  };

  void place(u32 id, u64 tick) {
    if (tick <= tick_) return link(id, tick, kDue);
    const u64 differs = tick ^ tick_;
    if (differs >> 32) return link(id, tick, kFar);
    const u32 level = (static_cast<u32>(std::bit_width(differs)) - 1) / 8;
    const u32 slot = static_cast<u32>(tick >> (level * 8)) & (kSlots - 1);
    link(id, tick, level * kSlots + slot);
  }

  void link(u32 id, u64 tick, u32 list) {
    Timer& timer = timers_[id];
    timer.set(tick, list);
    timer.prev = kNone32;
    timer.next = heads_[list];
    if (timer.next != kNone32) timers_[timer.next].prev = id;
    heads_[list] = id;
    if (list < kFar) {
      occupied_[list / 64] |= u64{1} << (list % 64);
      occupied_words_ |= 1u << (list / 64);
    }
  }

  void unlink(u32 id) {
    const Timer& timer = timers_[id];
    if (timer.next != kNone32) timers_[timer.next].prev = timer.prev;
    if (timer.prev != kNone32) {
      timers_[timer.prev].next = timer.next;
      return;
    }
    const u32 list = timer.list();
    heads_[list] = timer.next;
    if (timer.next == kNone32 && list < kFar) mark_empty(list);
  }

  void mark_empty(u32 list) {
    u64& word = occupied_[list / 64];
    word &= ~(u64{1} << (list % 64));
    if (word == 0) occupied_words_ &= ~(1u << (list / 64));
  }

  // The first occupied slot, with the tick at which it begins. Because lower levels come first in time, it is the
  // lowest bit that is set. With no slot occupied: the next multiple of 2^32, where the far list is looked through.
  Event next_event() const {
    if (occupied_words_ == 0) return {((tick_ >> 32) + 1) << 32, kFar};
    const u32 word = static_cast<u32>(std::countr_zero(occupied_words_));
    const u32 list = word * 64 + static_cast<u32>(std::countr_zero(occupied_[word]));
    const u32 shift = list / kSlots * 8;
    const u64 above = tick_ >> shift >> 8 << 8;
    return {(above | list % kSlots) << shift, list};
  }

  template <class F>
  void fire(u32 id, F& on_expired) {
    cancel(id);
    on_expired(id);
  }

  // Moves the current tick to the next occupied slot, or to now when that comes first (then false).
  bool step() {
    const Event event = next_event();
    if (event.tick > now_tick_) {
      tick_ = now_tick_;
      return false;
    }
    tick_ = event.tick;
    // A slot is emptied where it stands: from now on nothing is placed in it, since what comes after tick_ differs
    // from it in a higher slot. The far list may get its own timers back, so it is renamed first.
    draining_ = event.list == kFar ? kFarFalling : event.list;
    if (event.list == kFar) {
      heads_[kFarFalling] = std::exchange(heads_[kFar], kNone32);
      for (u32 id = heads_[kFarFalling]; id != kNone32; id = timers_[id].next)
        timers_[id].set(timers_[id].tick(), kFarFalling);
    }
    return true;
  }

  u32 ids_;
  u32 armed_count_ = 0;
  u64 now_tick_;            // the latest time seen by expire
  u64 tick_;                // before here every slot was emptied; behind now_tick_ only while `most` postpones
  u32 draining_ = kNone32;  // the list entered at tick_ and not yet empty
  u32 occupied_words_ = 0;
  std::array<u64, kLevels * kSlots / 64> occupied_{};
  std::array<u32, kLists> heads_;
  std::unique_ptr<Timer[], Release> timers_;
};

}  // namespace ringway
