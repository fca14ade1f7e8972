#pragma once
// TIME-WAIT: what remains of a connection that ended by our own FIN first, as records of 40 bytes in a slab of their own.
//
// A record answers as RFC 9293 section 3.10.7.4 asks for TIME-WAIT: a repeated FIN is acknowledged and starts the two
// MSL again, a RST at the left edge ends it, and a new SYN above the last sequence number may take the tuple over
// (RFC 9293 3.6.1, RFC 6191). All records live equally long, so they expire from the front of one list; when the slab
// is full the oldest goes first. Single-threaded; never allocates after construction.

#include <algorithm>

#include "src/base/index_list.h"
#include "src/base/slab.h"
#include "src/base/types.h"
#include "src/wire/addr.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

struct TimeWaitRecord {
  wire::FourTuple tuple;
  wire::SeqNo rcv_nxt;
  wire::SeqNo snd_nxt;
  u32 since = 0;  // in units of 1024 us
  IndexLink age;
  u32 ts_recent = 0;        // the peer's last timestamp
  bool timestamps = false;
};
static_assert(sizeof(TimeWaitRecord) == 40);

class TimeWait {
 public:
  TimeWait(u32 capacity, u32 stay_us) : slab_(capacity), stay_(stay_us >> 10) {}

  bool full() const { return slab_.in_use() == slab_.capacity(); }
  u32 size() const { return slab_.in_use(); }
  u32 oldest() const { return by_age_.front(); }
  TimeWaitRecord& operator[](u32 i) { return slab_[i]; }
  const TimeWaitRecord& operator[](u32 i) const { return slab_[i]; }

  // Not full.
  u32 add(const wire::FourTuple& tuple, wire::SeqNo rcv_nxt, wire::SeqNo snd_nxt, TimeUs now_us) {
    const u32 i = slab_.alloc();
    slab_[i].tuple = tuple;
    slab_[i].rcv_nxt = rcv_nxt;
    slab_[i].snd_nxt = snd_nxt;
    slab_[i].since = stamp(now_us);
    by_age_.push_back(slab_, i);
    return i;
  }
  void restart(u32 i, TimeUs now_us) {
    by_age_.remove(slab_, i);
    slab_[i].since = stamp(now_us);
    by_age_.push_back(slab_, i);
  }
  void remove(u32 i) {
    by_age_.remove(slab_, i);
    slab_.free(i);
  }
  // The oldest record when its time is over; kNone32 otherwise.
  u32 due(TimeUs now_us) const {
    const u32 i = by_age_.front();
    return i != kNone32 && age(i, now_us) >= stay_ ? i : kNone32;
  }
  // Microseconds, rounded down to 1024, that record `i` has stood.
  u64 age_us(u32 i, TimeUs now_us) const { return u64{age(i, now_us)} << 10; }
  // Until the oldest is due; `most_us` when there is none.
  u64 next_us(TimeUs now_us, u64 most_us) const {
    if (by_age_.empty()) return most_us;
    const u32 gone = age(by_age_.front(), now_us);
    return gone >= stay_ ? 0 : std::min<u64>(most_us, u64{stay_ - gone} << 10);
  }

 private:
  static u32 stamp(TimeUs now_us) { return static_cast<u32>(now_us >> 10); }
  u32 age(u32 i, TimeUs now_us) const { return stamp(now_us) - slab_[i].since; }

  Slab<TimeWaitRecord> slab_;
  IndexList<&TimeWaitRecord::age> by_age_;
  u32 stay_;
};

}  // namespace ringway::tcp
