#pragma once
// Congestion control: how many bytes may be in flight. CUBIC (RFC 9438) or NewReno (RFC 5681, RFC 6582), behind the slow
// start of RFC 9406, with appropriate byte counting (RFC 3465), limited transmit (RFC 3042), the response to ECN (RFC 3168)
// and windows that are only believed as far as they were used (RFC 7661).
//
// Pure: no connection, no packet; the caller brings byte counts, sequence numbers and one clock value. The engine asks
// `window()` what may be in flight and reports acknowledgements, losses, marks and timeouts. The recovery of RFC 6582 here
// is for peers without SACK; with SACK the scoreboard finds losses, PRR moves cwnd meanwhile, and this struct only hears of
// the beginning and the end.

#include <algorithm>

#include "dataplane/tcp/cubic.h"
#include "dataplane/tcp/hystart.h"
#include "src/base/types.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

enum class CongestionControl : u8 { cubic, newreno };

inline constexpr u32 kSlowStartSegments = 8;           // RFC 9406 section 4.3: L without pacing
inline constexpr u32 kUsedPeriodTicks = 977;           // RFC 7661 section 4.2: the sampling period, 1 s of 1024 us
inline constexpr u32 kNotValidatedTicks = 292'969;     // RFC 7661 section 4.4: 5 min

// What one acknowledgement of `bytes` > 0 new bytes, up to `una`, tells.
struct Acked {
  u32 bytes;
  wire::SeqNo una;
  wire::SeqNo sent;   // highest sequence number sent
  u32 flight;         // bytes in flight before it
  u32 rtt_us;         // the round trip it took; 0: unknown
  u32 now_ticks;      // units of 1024 us
};

struct Congestion {
  u32 cwnd = 0;
  u32 ssthresh = 0;
  u32 counted = 0;         // bytes acknowledged towards the next step of congestion avoidance
  wire::SeqNo full_end;    // what was sent before the window was full last
  wire::SeqNo recover;     // RFC 6582: the highest sequence number sent when recovery began
  u8 dupacks = 0;
  CongestionControl kind = CongestionControl::cubic;
  bool in_recovery : 1 = false;
  bool after_timeout : 1 = false;  // until `recover` is acknowledged: RFC 3465 2.3 wants L = 1
  bool reduced_by_mark : 1 = false;  // until `recover` is acknowledged: one reduction per window (RFC 3168 6.1.2)
  bool filled : 1 = false;  // what was acknowledged last was sent when the window was full
  bool first_start : 1 = true;     // no congestion was seen yet: `hystart` is what the union holds, `cubic` afterwards
  u32 used_most = 0;       // RFC 7661 pipeACK: the most that was in flight and arrived, in this period or the last
  u32 used_since = 0;      // ticks: when the period began
  u32 validated = 0;       // ticks: when at least half of cwnd was used last
  union {
    Hystart hystart;
    Cubic cubic;
  };

  Congestion() : hystart{} {}

  // RFC 6928 section 2.
  static constexpr u32 initial_window(u32 mss) { return std::min(10 * mss, std::max(2 * mss, 14'600u)); }

  // `iss`: nothing is sent before it.
  void start(CongestionControl how, u32 mss, wire::SeqNo iss, u32 now_ticks = 0) {
    *this = Congestion{};
    kind = how;
    cwnd = initial_window(mss);
    ssthresh = 0x4000'0000;
    recover = full_end = iss;
    hystart.start(iss);
    used_since = validated = now_ticks;
  }

  // Bytes that may be in flight. RFC 3042: each of the first two duplicates lets one new segment out.
  u32 window(u32 mss) const { return in_recovery ? cwnd : cwnd + std::min<u32>(dupacks, 2) * mss; }

  // More could have been sent, behind `sent`, if the window had let it.
  void on_full(wire::SeqNo sent) { full_end = sent; }

  // Only what was sent while the window was full earns a larger one.
  // True: a partial acknowledgement; send the segment at `una` again (RFC 6582 3.2 step 3).
  bool on_ack(const Acked& a, u32 mss) {
    dupacks = 0;
    if (in_recovery) return in_reno_recovery(a, mss);
    if (a.una >= recover) {
      after_timeout = reduced_by_mark = false;
      if (a.una > recover) recover = a.una - 1;  // both marks stay near, or they lie ahead again after 2^31 bytes
    }
    if (cwnd > 14'600) validate(a, mss);  // a smaller one needs no belief
    filled = a.una <= full_end;
    if (filled) {
      grow(a, mss);
    } else {
      full_end = a.una - 1;
    }
    return false;
  }

  // A loss that the scoreboard found; PRR moves cwnd from here on. `sent`: highest sequence number sent.
  void begin_recovery(wire::SeqNo sent, u32 flight, u32 mss) {
    reduce(flight, mss);
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
    reduce(flight, mss);
    cwnd = std::min(cwnd, ssthresh);
  }
  // RFC 3168 6.1.2: the network marked a packet instead of dropping it. True: the window was reduced, CWR is due.
  bool on_mark(wire::SeqNo sent, u32 flight, u32 mss) {
    if (in_recovery || after_timeout || reduced_by_mark) return false;
    reduce(flight, mss);
    cwnd = std::min(cwnd, ssthresh);
    recover = sent;
    reduced_by_mark = true;
    return true;
  }
  // There was no loss: all is as it was (RFC 4015 section 3.2, without its pause for slow paths; RFC 9438 4.9).
  void undo(const Congestion& before) {
    const u32 grown = std::max(cwnd, before.cwnd);
    *this = before;
    cwnd = grown;
    in_recovery = after_timeout = reduced_by_mark = false;
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
    reduce(flight, mss);
    cwnd = ssthresh + 3 * mss;
    recover = sent;
    in_recovery = true;
    return true;
  }

  // RFC 5681 section 3.1 (equation 4), RFC 6582 section 3.2 step 4, RFC 9438 4.8. `again`: the segment timed out before, so
  // the threshold has paid for this loss already.
  void on_timeout(wire::SeqNo sent, u32 flight, u32 mss, bool again) {
    if (!again) reduce(flight, mss);
    leave_first_start();
    cubic.w_max = 0;  // the next curve begins at its top
    cwnd = mss;
    counted = 0;
    recover = sent;
    dupacks = 0;
    in_recovery = reduced_by_mark = false;
    after_timeout = true;
  }

  // RFC 5681 section 4.1: after an idle RTO the path is unknown again, but slow start may go on to where the window was
  // (RFC 7661 section 4.4.2).
  void on_idle(u32 mss) {
    const u32 initial = initial_window(mss);
    if (cwnd <= initial) return;
    ssthresh = std::max(ssthresh, cwnd - cwnd / 4);
    cwnd = initial;
    restart_curve();
  }

 private:
  [[gnu::noinline]] void grow(const Acked& a, u32 mss) {
    if (first_start && cwnd < ssthresh) {
      if (hystart.on_ack(a.una, a.sent, a.rtt_us)) ssthresh = cwnd;
      cwnd += hystart.growth(std::min(a.bytes, kSlowStartSegments * mss));
    } else if (!reduced_by_mark) {
      cwnd < ssthresh ? slow_start(a.bytes, mss) : avoid(a, mss);
    }
  }
  void slow_start(u32 bytes, u32 mss) { cwnd += std::min(bytes, after_timeout ? mss : kSlowStartSegments * mss); }

  void avoid(const Acked& a, u32 mss) {
    if (kind == CongestionControl::cubic) {
      leave_first_start();
      cwnd = cubic.on_ack(cwnd, a.bytes, counted, a.now_ticks, a.rtt_us, mss);
      return;
    }
    counted += a.bytes;
    if (counted < cwnd) return;
    counted -= cwnd;
    cwnd += mss;
  }

  // RFC 6582 3.2 step 3.
  [[gnu::noinline]] bool in_reno_recovery(const Acked& a, u32 mss) {
    if (a.una < recover) {
      cwnd = cwnd > a.bytes ? cwnd - a.bytes : 0;
      if (a.bytes >= mss) cwnd += mss;
      cwnd = std::max(cwnd, mss);
      return true;
    }
    const u32 flight = a.flight > a.bytes ? a.flight - a.bytes : 0;
    cwnd = std::max(mss, std::min(ssthresh, std::max(flight, mss) + mss));
    in_recovery = false;
    return false;
  }

  // A congestion event. RFC 9438 4.6, RFC 5681 equation 4. A window that was full counts whole: acknowledgements come in
  // bursts, and those in front of the one that tells of the loss have taken from what is in flight. Of a window that was not
  // used, what was used counts (RFC 7661 section 4.4.1).
  void reduce(u32 flight, u32 mss) {
    const u32 window = std::max(cwnd, flight);
    const u32 used = filled ? window : std::min(std::max(flight, used_most), window);
    leave_first_start();
    counted = 0;
    ssthresh = kind == CongestionControl::cubic ? cubic.on_congestion(used, mss) : std::max(used / 2, 2 * mss);
    used_most = ssthresh;  // of the next window as much counts as used as is left of this one
  }

  void leave_first_start() {
    if (!first_start) return;
    first_start = false;
    cubic = Cubic{};
  }
  void restart_curve() {
    if (!first_start) cubic.epoch = 0;
  }

  // RFC 7661 sections 4.2 to 4.4. A window of which less than half was used for five minutes is halved.
  [[gnu::noinline]] void validate(const Acked& a, u32 mss) {
    if (a.now_ticks - used_since > kUsedPeriodTicks) {
      used_since = a.now_ticks;
      used_most = a.flight;
    } else {
      used_most = std::max(used_most, a.flight);
    }
    if (used_most >= cwnd / 2) {
      validated = a.now_ticks;
    } else if (a.now_ticks - validated > kNotValidatedTicks) {
      validated = a.now_ticks;
      ssthresh = std::max(ssthresh, cwnd - cwnd / 4);
      cwnd = std::max(cwnd / 2, initial_window(mss));
      restart_curve();
    }
  }
};

}  // namespace ringway::tcp
