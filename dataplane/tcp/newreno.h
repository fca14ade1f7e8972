#pragma once
// Congestion control of RFC 5681 with NewReno's recovery (RFC 6582), appropriate byte counting (RFC 3465) and limited
// transmit (RFC 3042), as arithmetic on byte counts and sequence numbers.
//
// Pure: no connection, no clock, no packet. The engine asks `window()` what may be in flight and reports
// acknowledgements, duplicates and timeouts; an answer says whether to send the first unacknowledged segment again.
// Another controller (CUBIC) or loss detector (RACK, SACK) takes this struct's place and keeps its verbs.

#include <algorithm>

#include "src/base/types.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

struct NewReno {
  u32 cwnd = 0;
  u32 ssthresh = 0;
  u32 counted = 0;         // bytes acknowledged towards the next step of congestion avoidance
  wire::SeqNo recover;     // RFC 6582: the highest sequence number sent when recovery began
  u8 dupacks = 0;
  bool in_recovery = false;
  bool after_timeout = false;  // until `recover` is acknowledged: RFC 3465 2.3 wants L = 1

  // RFC 6928 section 2: IW = min(10 * MSS, max(2 * MSS, 14600)). `iss`: nothing is sent before it.
  void start(u32 mss, wire::SeqNo iss) {
    *this = NewReno{};
    cwnd = std::min(10 * mss, std::max(2 * mss, 14'600u));
    ssthresh = 0x4000'0000;
    recover = iss;
  }

  // Bytes that may be in flight. RFC 3042: each of the first two duplicates lets one new segment out.
  u32 window(u32 mss) const { return in_recovery ? cwnd : cwnd + std::min<u32>(dupacks, 2) * mss; }

  // `acked` bytes > 0 left the network and snd_una is now `una`. `flight_before`: in flight before this
  // acknowledgement; a connection that did not fill its window does not earn a larger one.
  // True: a partial acknowledgement; send the segment at `una` again (RFC 6582 3.2 step 3).
  bool on_ack(u32 acked, wire::SeqNo una, u32 flight_before, u32 mss) {
    dupacks = 0;
    if (in_recovery) {
      if (una < recover) {
        cwnd = cwnd > acked ? cwnd - acked : 0;
        if (acked >= mss) cwnd += mss;
        cwnd = std::max(cwnd, mss);
        return true;
      }
      const u32 flight = flight_before > acked ? flight_before - acked : 0;
      cwnd = std::max(mss, std::min(ssthresh, std::max(flight, mss) + mss));
      in_recovery = false;
      return false;
    }
    if (after_timeout && una >= recover) after_timeout = false;
    if (flight_before + mss <= cwnd) return false;
    if (cwnd < ssthresh) {
      cwnd += std::min(acked, after_timeout ? mss : 2 * mss);
      return false;
    }
    counted += acked;
    if (counted >= cwnd) {
      counted -= cwnd;
      cwnd += mss;
    }
    return false;
  }

  // A loss that the scoreboard found; PRR moves cwnd from here on. `sent`: highest sequence number sent.
  void begin_recovery(wire::SeqNo sent, u32 flight, u32 mss) {
    ssthresh = std::max(flight / 2, 2 * mss);
    recover = sent;
    in_recovery = true;
    dupacks = 0;
  }
  // `recover` is acknowledged.
  void end_recovery(u32 mss) {
    cwnd = std::max(ssthresh, mss);
    in_recovery = false;
  }
  // RFC 8985 7.4.2: a tail probe repaired a loss that nobody else saw.
  void on_probe_repaired(u32 flight, u32 mss) {
    ssthresh = std::max(flight / 2, 2 * mss);
    cwnd = std::min(cwnd, ssthresh);
  }
  // There was no loss: the window is what it was (RFC 4015 section 3.2, without its pause for slow paths).
  void undo(u32 cwnd_before, u32 ssthresh_before) {
    cwnd = std::max(cwnd, cwnd_before);
    ssthresh = std::max(ssthresh, ssthresh_before);
    in_recovery = false;
    after_timeout = false;
    dupacks = 0;
  }

  // A duplicate acknowledgement (RFC 5681 section 2). `sent`: highest sequence number sent.
  // True: fast retransmit of the segment at `una`.
  bool on_dupack(wire::SeqNo una, wire::SeqNo sent, u32 flight, u32 mss) {
    if (in_recovery) {
      cwnd += mss;
      return false;
    }
    if (dupacks < 255) ++dupacks;
    if (dupacks != 3 || una <= recover) return false;
    ssthresh = std::max(flight / 2, 2 * mss);
    cwnd = ssthresh + 3 * mss;
    recover = sent;
    in_recovery = true;
    return true;
  }

  // RFC 5681 section 3.1 (equation 4) and RFC 6582 section 3.2 step 4. `again`: the segment timed out before, so the
  // threshold has paid for this loss already.
  void on_timeout(wire::SeqNo sent, u32 flight, u32 mss, bool again) {
    if (!again) ssthresh = std::max(flight / 2, 2 * mss);
    cwnd = mss;
    counted = 0;
    recover = sent;
    dupacks = 0;
    in_recovery = false;
    after_timeout = true;
  }

  // RFC 5681 section 4.1: after an idle RTO the path is unknown again.
  void on_idle(u32 mss) { cwnd = std::min(cwnd, std::min(10 * mss, std::max(2 * mss, 14'600u))); }
};

}  // namespace ringway::tcp
