#pragma once
// CUBIC's window (RFC 9438) as integer arithmetic on bytes and microseconds: the cubic curve, its K, the Reno-friendly
// estimate and fast convergence.
//
// Pure: no connection, no packet; the caller brings the time, in units of 1024 us, so that (t - K)^3 fits 64 bits; C = 0.4 per s^3 is 0.4 * 1.048576^3 per cube of 2^20 us. The only divisions are
// at the start of an epoch and one per window of acknowledged bytes.

#include <algorithm>

#include "src/base/types.h"

namespace ringway::tcp {

// The largest r with r^3 <= x.
constexpr u32 cube_root(u64 x) {
  u64 r = 0;
  for (i32 bit = 20; bit >= 0; --bit) {
    const u64 next = r | u64{1} << bit;
    if (next * next * next <= x) r = next;
  }
  return static_cast<u32>(r);
}

inline constexpr u32 kCubicC10 = 472;        // 0.4 * 1.048576^3 * 2^10
inline constexpr u32 kCubicBeta10 = 717;     // 0.7 * 2^10
inline constexpr u32 kCubicAlpha10 = 542;    // 3 * (1 - 0.7) / (1 + 0.7) * 2^10, section 4.3

struct Cubic {
  u32 w_max = 0;        // bytes; 0: no congestion yet
  u32 cwnd_prior = 0;
  u32 w_est = 0;        // section 4.3
  u32 k = 0;            // units of 1024 us
  u32 epoch = 0;        // when the curve began, in units of 1024 us, made odd; 0: begins with the next acknowledgement
  u32 counted_est = 0;  // bytes acknowledged towards the next step of w_est

  // C * (t - K)^3 in bytes, `off` = |t - K| in units of 1024 us.
  static constexpr u64 cube_bytes(u64 off, u32 mss) {
    off = std::min<u64>(off, 1u << 16);
    return ((off * off * off >> 10) * mss >> 20) * kCubicC10 >> 10;
  }
  // Section 4.2 (figure 2): sqrt3((w_max - cwnd) / C), both in bytes.
  static constexpr u32 k_for(u32 w_max, u32 cwnd, u32 mss) {
    if (w_max <= cwnd) return 0;
    return cube_root(((u64{w_max - cwnd} << 30) / mss << 10) / kCubicC10);
  }

  // Section 4.2: the curve at `t` units after the epoch.
  u32 curve(u64 t, u32 mss) const {
    if (t >= k) return static_cast<u32>(std::min<u64>(w_max + cube_bytes(t - k, mss), 1u << 30));
    const u64 below = cube_bytes(k - t, mss);
    return below >= w_max ? 0 : static_cast<u32>(w_max - below);
  }

  // Sections 4.6, 4.7: a congestion event at `cwnd`; returns ssthresh, which is also the next window.
  u32 on_congestion(u32 cwnd, u32 mss) {
    const u32 reduced = std::max(static_cast<u32>(u64{cwnd} * kCubicBeta10 >> 10), 2 * mss);
    w_max = cwnd < w_max ? static_cast<u32>(u64{cwnd} * (1024 + kCubicBeta10) >> 11) : cwnd;
    cwnd_prior = cwnd;
    epoch = 0;
    return reduced;
  }

  // Congestion avoidance: `acked` bytes arrived at `now` (units of 1024 us), with the round trip `rtt_us`; `counted` carries
  // what did not make a step. Returns the new window.
  u32 on_ack(u32 cwnd, u32 acked, u32& counted, u32 now, u32 rtt_us, u32 mss) {
    if (epoch == 0) {
      epoch = now | 1;
      if (w_max < cwnd) w_max = cwnd;
      k = k_for(w_max, cwnd, mss);
      w_est = cwnd;
      counted = counted_est = 0;
    }
    grow_estimate(cwnd, acked, mss);
    const u32 t = static_cast<u32>(std::max(static_cast<i32>(now - epoch), 0));
    if (curve(t, mss) < w_est) return std::max(cwnd, w_est);  // 4.3
    const u32 target = std::clamp(curve(u64{t} + (rtt_us >> 10), mss), cwnd, cwnd + cwnd / 2);
    // 4.4, 4.5: (target - cwnd) / cwnd for every byte acknowledged.
    const u64 part = u64{target - cwnd} * acked + counted;
    const u64 step = part / cwnd;
    counted = static_cast<u32>(part - step * cwnd);
    return cwnd + static_cast<u32>(step);
  }

 private:
  // 4.3: alpha segments per window, one segment once it has reached the window of before.
  void grow_estimate(u32 cwnd, u32 acked, u32 mss) {
    counted_est += acked;
    if (counted_est < cwnd) return;
    counted_est -= cwnd;
    w_est += w_est >= cwnd_prior ? mss : static_cast<u32>(u64{mss} * kCubicAlpha10 >> 10);
  }
};

}  // namespace ringway::tcp
