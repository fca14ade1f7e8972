#pragma once
// The flight recorder: what happened last, on each core, in a ring of small fixed records.
//
// A core writes into its own ring, and control into one of its own; nobody else does. An event that is not wanted costs one
// test of a bit; one that is wanted costs four stores: no lock, no system call, no clock (the poll loop leaves its own
// stamp here). Off by default: the mask, one bit per group, is set by control at any time and read by the core at every
// event. Anybody who sees the memory reads it while it is written: a record carries its number, is void while it is being
// written, and is kept by a reader only if the number was the same before and after. So what is torn is left out, and
// nobody waits.
//
// The events are those of recorder.def. The memory is somebody else's (control/trace/memory.h); it may be a file, which
// outlives the process.

#include <array>
#include <atomic>
#include <bit>
#include <span>
#include <string_view>

#include "src/base/assert.h"
#include "src/base/cacheline.h"
#include "src/base/types.h"

namespace ringway::contract {

enum class EventGroup : u8 {
#define RW_EVENT_GROUP(name, sentence) name,
#include "src/contract/recorder.def"
  count_
};
inline constexpr u32 kEventGroups = static_cast<u32>(EventGroup::count_);
inline constexpr u32 kAllEventGroups = (1u << kEventGroups) - 1;
constexpr u32 bit_of(EventGroup g) { return 1u << static_cast<u32>(g); }

enum class EventKind : u8 {
  none,  // no record
#define RW_EVENT(name, group, text) name,
#include "src/contract/recorder.def"
  count_
};
inline constexpr u32 kEventKinds = static_cast<u32>(EventKind::count_);

struct EventGroupText {
  std::string_view name, sentence;
};
inline constexpr std::array<EventGroupText, kEventGroups> kEventGroupTexts{{
#define RW_EVENT_GROUP(name, sentence) {#name, sentence},
#include "src/contract/recorder.def"
}};

struct EventText {
  std::string_view name;
  EventGroup group = EventGroup::count_;
  std::string_view text;
};
inline constexpr std::array<EventText, kEventKinds> kEventTexts{{
    {},
#define RW_EVENT(name, group, text) {#name, EventGroup::group, text},
#include "src/contract/recorder.def"
}};

// What an event says, beside its kind. See recorder.def.
struct EventFields {
  u8 code = 0;
  u16 half = 0;
  u32 conn = 0;
  u32 exchange = 0;
  u32 x = 0, y = 0;
};

// One record as a reader gets it.
struct Event : EventFields {
  Tsc tsc = 0;
  u32 number = 0;  // of its ring, rising by one; may wrap
  EventKind kind = EventKind::none;
};

// Records in memory: a power of two of them, each of four words; all zero when nothing was ever written. `W`: an atomic u64.
template <class W>
class EventRingOf {
 public:
  static constexpr u32 kWords = 4;
  static constexpr u32 kRecordBytes = kWords * sizeof(u64);
  using Word = W;

  EventRingOf() = default;
  // The memory outlives the ring. `words` are four for each record, whose number is a power of two.
  explicit EventRingOf(std::span<Word> words) : words_(words.data()), mask_(static_cast<u32>(words.size() / kWords) - 1) {
    RW_ASSERT(words.size() >= kWords && std::has_single_bit(words.size()));
  }

  explicit operator bool() const { return words_ != nullptr; }
  u32 capacity() const { return words_ == nullptr ? 0 : mask_ + 1; }

  // The one writer. `head`: kind, code and half as `head_of` packs them.
  void write(u32 number, u32 head, u64 tsc, u64 ids, u64 numbers) {
    Word* const w = words_ + u64{number & mask_} * kWords;
    // A reader that sees one of the new words is bound to see afterwards that the record was void, or is another.
    w[0].store(0, std::memory_order_relaxed);
    w[1].store(tsc, std::memory_order_release);
    w[2].store(ids, std::memory_order_release);
    w[3].store(numbers, std::memory_order_release);
    w[0].store(u64{number} << 32 | head, std::memory_order_release);
  }
  static constexpr u32 head_of(EventKind kind, u8 code, u16 half) {
    return static_cast<u32>(kind) << 24 | u32{code} << 16 | half;
  }

  // Any reader. False: nothing is there, or it was being written.
  bool read(u32 place, Event& out) const {
    const Word* const w = words_ + u64{place & mask_} * kWords;
    const u64 first = w[0].load(std::memory_order_acquire);
    const u64 tsc = w[1].load(std::memory_order_acquire);
    const u64 ids = w[2].load(std::memory_order_acquire);
    const u64 numbers = w[3].load(std::memory_order_acquire);
    const u32 kind = static_cast<u32>(first) >> 24;
    if (kind == 0 || kind >= kEventKinds || w[0].load(std::memory_order_relaxed) != first) return false;
    out.tsc = tsc;
    out.number = static_cast<u32>(first >> 32);
    out.kind = static_cast<EventKind>(kind);
    out.code = static_cast<u8>(first >> 16);
    out.half = static_cast<u16>(first);
    out.conn = static_cast<u32>(ids);
    out.exchange = static_cast<u32>(ids >> 32);
    out.x = static_cast<u32>(numbers);
    out.y = static_cast<u32>(numbers >> 32);
    return true;
  }

  // Has the kernel give the memory now, while somebody may write into it.
  void touch() {
    constexpr u64 kPageWords = 4096 / sizeof(u64);
    for (u64 at = 0; at < u64{capacity()} * kWords; at += kPageWords) words_[at].fetch_or(0, std::memory_order_relaxed);
  }

 private:
  Word* words_ = nullptr;
  u32 mask_ = 0;
};
using EventRing = EventRingOf<std::atomic<u64>>;
static_assert(EventRing::Word::is_always_lock_free && sizeof(EventRing::Word) == sizeof(u64));

// A writer's end: mask, ring and the time. One thread's, but for the mask.
class RW_CACHE_ALIGNED Recorder {
 public:
  // Once, before there are other threads.
  void attach(EventRing ring) { ring_ = ring; }

  // Control, at any time: what is recorded from now on, bits of EventGroup. False: there is no ring.
  bool record(u32 groups) {
    if (!ring_) return false;
    if (groups != 0) ring_.touch();
    mask_.store(groups & kAllEventGroups, std::memory_order_relaxed);
    return true;
  }
  u32 groups() const { return mask_.load(std::memory_order_relaxed); }

  // --- the writer
  // The time of the events to come.
  void at(Tsc now) { now_ = now; }
  bool wants(u32 groups) const { return (mask_.load(std::memory_order_relaxed) & groups) != 0; }
  template <EventKind kind>
  bool wants() const {
    static_assert(kind != EventKind::none && kind != EventKind::count_);
    return wants(bit_of(kEventTexts[static_cast<u32>(kind)].group));
  }
  template <EventKind kind>
  void note(const EventFields& f) {
    if (!wants<kind>()) [[likely]] return;
    write(EventRing::head_of(kind, f.code, f.half), u64{f.exchange} << 32 | f.conn, u64{f.y} << 32 | f.x);
  }

 private:
  [[gnu::noinline, gnu::cold]] void write(u32 head, u64 ids, u64 numbers) { ring_.write(++number_, head, now_, ids, numbers); }

  std::atomic<u32> mask_{0};
  u32 number_ = 0;
  Tsc now_ = 0;
  EventRing ring_;
};

}  // namespace ringway::contract
