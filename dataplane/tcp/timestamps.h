#pragma once
// Timestamps of RFC 7323: our clock on the wire, the peer's last stamp, and PAWS (section 5) as arithmetic.
//
// Pure. A tick is 1024 us, within the 1 ms to 1 s of section 5.4, so that 2^31 of them take 25 days. Every connection
// adds an offset of its own (section 7.1), which hides how long the gateway has run; it is a keyed hash of the tuple, so
// that it never runs backwards for a tuple that is used again.

#include "src/base/types.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

constexpr u32 timestamp_ticks(TimeUs now_us) { return static_cast<u32>(now_us >> 10); }
constexpr u32 kTimestampTickUs = 1024;
// Section 5.5: a stamp that is older than 24 days says nothing any more.
constexpr u32 kTimestampStaleTicks = static_cast<u32>(24ull * 86'400 * 1'000'000 / kTimestampTickUs);

struct PeerStamp {
  u32 recent = 0;            // TS.Recent
  u32 at = 0;                // our ticks when it was taken
  wire::SeqNo last_ack_sent;

  // What every segment is but those that `is_old` has to be asked about.
  bool in_time(bool present, u32 value) const { return present && static_cast<i32>(value - recent) >= 0; }
  // R1 of section 5.3: the segment was sent before one that has arrived.
  bool is_old(u32 value, u32 now_ticks) const {
    return static_cast<i32>(value - recent) < 0 && now_ticks - at < kTimestampStaleTicks;
  }
  // R3, section 4.3: only what may have caused our next acknowledgement is echoed. `seq` is the segment's first number.
  void see(u32 value, wire::SeqNo seq, u32 now_ticks) {
    if (seq > last_ack_sent || is_old(value, now_ticks)) return;
    recent = value;
    at = now_ticks;
  }
};

// The round trip that an echo tells, in microseconds, to the tick; 0: less than it can tell. `echo` and `now_ticks`
// count on the same clock.
constexpr u32 echo_rtt_us(u32 now_ticks, u32 echo) {
  const u32 ticks = now_ticks - echo;
  return ticks > (1u << 17) ? 0 : ticks * kTimestampTickUs;
}

}  // namespace ringway::tcp
