#pragma once
// RACK-TLP (RFC 8985) as arithmetic: how long to wait for what was overtaken, and when to probe the tail.
//
// Time decides instead of a count: a segment is lost when one sent later has arrived and a round trip plus a
// reordering window has passed since it was sent. The window is nothing until reordering was seen, a quarter of the
// minimal round trip from then on, and grows by as much with every round in which a D-SACK says that a retransmission was
// for nothing (section 6.2 step 4). Pure: the caller brings one clock value per burst. Times in microseconds, low 32 bits.

#include <algorithm>

#include "dataplane/tcp/scoreboard.h"
#include "src/base/types.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

inline constexpr u32 kDupThreshold = 3;
inline constexpr u8 kReoWindowPersist = 16;      // recoveries without D-SACK after which patience is forgotten
inline constexpr u32 kTlpWorstAckDelayUs = 40'000;  // the peer's delayed acknowledgement, when one segment is out
inline constexpr u32 kTlpFloorUs = 2'000;

struct Rack {
  u32 sent_us = 0;         // RACK.xmit_ts, RACK.end_seq: the last sent among what has arrived
  wire::SeqNo end;
  u32 rtt_us = 0;
  u32 min_rtt_us = ~u32{0};  // until the first
  wire::SeqNo dsack_end;
  u8 multiplier = 1;       // of the reordering window
  u8 persist : 5 = 0;
  bool reordering_seen : 1 = false;
  bool valid : 1 = false;
  bool dsack_round : 1 = false;  // until dsack_end is acknowledged, further D-SACKs are of the same round

  bool rtt_known() const { return min_rtt_us != ~u32{0}; }
  // 6.2 steps 1 to 3.
  void on_delivered(const Delivered& d) {
    if (d.reordered) reordering_seen = true;
    if (!d.any) return;
    if (d.rtt_us != 0) {
      min_rtt_us = std::min(min_rtt_us, d.rtt_us);
      rtt_us = d.rtt_us;
    }
    const i32 later = static_cast<i32>(d.sent_us - sent_us);
    if (valid && (later < 0 || (later == 0 && d.end < end))) return;
    valid = true;
    sent_us = d.sent_us;
    end = d.end;
  }

  // The path may be another by now (RFC 5681 section 4.1), and its round trip may be longer than any of before.
  void on_idle() {
    min_rtt_us = ~u32{0};
    valid = false;
  }

  // Bytes that were sent once and are acknowledged in order: nothing sent before them is left to be judged.
  void on_whole(u32 at_us, u32 now_us) {
    rtt_us = std::max(now_us - at_us, 1u);
    min_rtt_us = std::min(min_rtt_us, rtt_us);
  }

  // 6.2 step 4. A D-SACK arrived; `sent`: highest sequence number sent.
  void on_dsack(wire::SeqNo sent) {
    if (dsack_round) return;
    dsack_round = true;
    dsack_end = sent;
    reordering_seen = true;
    persist = kReoWindowPersist;
    if (multiplier < 255) ++multiplier;
  }
  void on_ack(wire::SeqNo una) {
    if (dsack_round && una >= dsack_end) dsack_round = false;
  }
  void on_recovery_end() {
    if (persist != 0 && --persist == 0) multiplier = 1;
  }

  // `many_sacked`: kDupThreshold segments or more are; `recovering`: a loss is being repaired.
  u32 window_us(u32 srtt_us, bool many_sacked, bool recovering) const {
    if (!reordering_seen && (recovering || many_sacked)) return 0;
    return static_cast<u32>(std::min<u64>(u64{multiplier} * (min_rtt_us / 4), srtt_us));
  }
  u32 patience_us(u32 srtt_us, bool many_sacked, bool recovering) const {
    return rtt_us + window_us(srtt_us, many_sacked, recovering);
  }
};

// 7.2: when to probe the tail, 0: never before the retransmission timeout.
constexpr u32 probe_timeout_us(u32 srtt_us, bool one_segment_out, u32 rto_us) {
  if (srtt_us == 0) return rto_us;
  const u32 pto = std::max(2 * srtt_us, kTlpFloorUs) + (one_segment_out ? kTlpWorstAckDelayUs : 0);
  return std::min(pto, rto_us);
}

}  // namespace ringway::tcp
