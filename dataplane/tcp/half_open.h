#pragma once
// Half-open connections of listeners (SYN-RECEIVED after a passive OPEN) as records of 52 bytes in a slab of their own.
//
// A SYN costs a record and nothing else: no block, no buffer, no timer of its own. The record keeps what the SYN said, so
// that our SYN|ACK can be built again and the last ACK of the handshake can make the block. Records are kept in lists by
// how often their SYN|ACK was repeated; all of one list wait equally long, so each list is in order of time and only its
// front is looked at. RFC 9293 3.10.7.2; schedule by RFC 6298 (5.5). Single-threaded; never allocates after construction.

#include <algorithm>
#include <array>

#include "dataplane/gate/segment.h"
#include "src/base/index_list.h"
#include "src/base/slab.h"
#include "src/base/types.h"
#include "src/wire/addr.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

struct HalfOpen {
  enum Flag : u8 {
    kToAnswer = 1,    // a SYN|ACK is owed
    kAnswered = 2,    // one was sent
    kRepeated = 4,    // more than one: no round trip can be measured (Karn)
    kSack = 8,        // the SYN permitted SACK
    kTimestamps = 16, // the SYN carried a timestamp
    kEcn = 32,        // the SYN asked for ECN
  };
  wire::FourTuple tuple;
  wire::SeqNo irs;
  wire::SeqNo iss;
  u32 ts_value = 0;  // of the last SYN
  u32 ts_offset = 0; // of our timestamps
  u32 sent_us = 0;  // low half of the time of the first SYN|ACK
  u32 due = 0;      // of the next SYN|ACK, in units of 1024 us
  IndexLink place;
  u16 mss = 0;      // as the SYN said; 0: nothing
  u16 window = 0;
  u8 window_scale = 0xff;
  u8 tries = 0;     // SYN|ACKs repeated because no answer came
  u8 challenges = 0;
  u8 flags = 0;

  bool has(u8 f) const { return (flags & f) != 0; }
  // RFC 7323 5.3 R1; a record does not live long enough for its stamp to become stale.
  bool is_old(u32 stamp) const { return static_cast<i32>(stamp - ts_value) < 0; }
  // What the peer's SYN said, and the SYN again.
  void keep(const gate::Segment& syn) {
    tuple = syn.tuple;
    irs = syn.seq;
    mss = syn.options.mss;
    window = syn.window;
    window_scale = syn.options.window_scale;
    ts_value = syn.options.ts_value;
    flags = static_cast<u8>((syn.options.sack_permitted ? kSack : 0) | (syn.options.timestamps ? kTimestamps : 0) |
                            ((syn.flags & gate::kAsksForEcn) == gate::kAsksForEcn ? kEcn : 0));
  }
  gate::Segment syn() const {
    gate::Segment s;
    s.tuple = tuple;
    s.seq = irs;
    s.flags = has(kEcn) ? gate::kSyn | gate::kAsksForEcn : gate::kSyn;
    s.window = window;
    s.options.mss = mss;
    s.options.window_scale = window_scale;
    s.options.sack_permitted = has(kSack);
    s.options.timestamps = has(kTimestamps);
    s.options.ts_value = ts_value;
    return s;
  }
};
static_assert(sizeof(HalfOpen) == 52);

class HalfOpens {
 public:
  static constexpr u32 kTriesMax = 15;

  explicit HalfOpens(u32 capacity) : slab_(capacity) {}

  u32 size() const { return slab_.in_use(); }
  u32 capacity() const { return slab_.capacity(); }
  bool full() const { return slab_.in_use() == slab_.capacity(); }
  HalfOpen& operator[](u32 i) { return slab_[i]; }
  const HalfOpen& operator[](u32 i) const { return slab_[i]; }
  bool used(u32 i) const { return slab_.used(i); }
  u32 high_water() const { return slab_.high_water(); }

  // Not full. The new record is on no list until `owe_answer`.
  u32 add(const gate::Segment& syn) {
    const u32 i = slab_.alloc();
    slab_[i].keep(syn);
    return i;
  }
  // A SYN|ACK is to be sent for `i`.
  void owe_answer(u32 i) {
    HalfOpen& h = slab_[i];
    if (h.has(HalfOpen::kToAnswer)) return;
    if (h.has(HalfOpen::kAnswered)) waiting_[h.tries].remove(slab_, i);
    h.flags |= HalfOpen::kToAnswer;
    to_answer_.push_back(slab_, i);
  }
  // The next record that owes a SYN|ACK; kNone32 when there is none.
  u32 to_answer() const { return to_answer_.front(); }
  // It left; unless the peer answers, the next one is due `wait_us` from now. `wait_us` depends on `tries` alone.
  void answered(u32 i, TimeUs now_us, u64 wait_us) {
    HalfOpen& h = slab_[i];
    to_answer_.remove(slab_, i);
    if (h.has(HalfOpen::kAnswered)) {
      h.flags |= HalfOpen::kRepeated;
    } else {
      h.sent_us = static_cast<u32>(now_us);
    }
    h.flags = static_cast<u8>((h.flags & ~HalfOpen::kToAnswer) | HalfOpen::kAnswered);
    h.due = stamp(now_us + wait_us) + 1;
    waiting_[h.tries].push_back(slab_, i);
  }
  // A record whose time is over; kNone32 when there is none.
  u32 due(TimeUs now_us) const {
    for (const auto& list : waiting_)
      if (!list.empty() && left(list.front(), now_us) <= 0) return list.front();
    return kNone32;
  }
  // `i` is due: counts the try; its SYN|ACK is owed again.
  void repeat(u32 i) {
    HalfOpen& h = slab_[i];
    waiting_[h.tries].remove(slab_, i);
    h.flags = static_cast<u8>((h.flags & ~HalfOpen::kAnswered) | HalfOpen::kRepeated);
    if (h.tries < kTriesMax) ++h.tries;
    h.flags |= HalfOpen::kToAnswer;
    to_answer_.push_back(slab_, i);
  }
  void remove(u32 i) {
    HalfOpen& h = slab_[i];
    if (h.has(HalfOpen::kToAnswer)) {
      to_answer_.remove(slab_, i);
    } else if (h.has(HalfOpen::kAnswered)) {
      waiting_[h.tries].remove(slab_, i);
    }
    slab_.free(i);
  }
  // Not empty. The record that was repeated most often, and of those the first.
  u32 stalest() const {
    for (u32 k = kTriesMax + 1; k-- > 0;)
      if (!waiting_[k].empty()) return waiting_[k].front();
    return to_answer_.front();
  }
  u32 behind(u32 i) const { return slab_[i].place.next; }
  // Until the next record is due; `most_us` when none is.
  u64 next_us(TimeUs now_us, u64 most_us) const {
    for (const auto& list : waiting_) {
      if (list.empty()) continue;
      const i32 units = left(list.front(), now_us);
      most_us = units <= 0 ? 0 : std::min(most_us, u64{static_cast<u32>(units)} << 10);
    }
    return most_us;
  }

 private:
  static u32 stamp(TimeUs now_us) { return static_cast<u32>(now_us >> 10); }
  i32 left(u32 i, TimeUs now_us) const { return static_cast<i32>(slab_[i].due - stamp(now_us)); }

  Slab<HalfOpen> slab_;
  IndexList<&HalfOpen::place> to_answer_;
  std::array<IndexList<&HalfOpen::place>, kTriesMax + 1> waiting_;
};

}  // namespace ringway::tcp
