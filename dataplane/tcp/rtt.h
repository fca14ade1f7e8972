#pragma once
// Round-trip time and retransmission timeout by RFC 6298, in integers: SRTT is kept times 8, RTTVAR times 4.
//
// Pure: takes samples in microseconds and knows no clock. The caller keeps Karn's rule (section 3): no sample from a
// segment that was sent twice.

#include <algorithm>

#include "src/base/types.h"

namespace ringway::tcp {

inline constexpr u32 kClockGranularityUs = 128;  // G of RFC 6298: one tick of the wheel

struct Rtt {
  u32 srtt_x8_us = 0;    // 0: no sample yet
  u32 rttvar_x4_us = 0;
  u32 rto_us = 0;        // before backoff

  u32 srtt_us() const { return srtt_x8_us >> 3; }

  // (2.1): until the first sample.
  void start(u32 rto_initial_us) { *this = Rtt{0, 0, rto_initial_us}; }

  // (2.2), (2.3): R is one measurement; the result lies within [min, max] (2.4, 2.5).
  void sample(u32 r_us, u32 min_us, u32 max_us) {
    r_us = std::clamp<u32>(r_us, 1, 1u << 27);
    if (srtt_x8_us == 0) {
      srtt_x8_us = r_us << 3;
      rttvar_x4_us = r_us << 1;
    } else {
      const u32 srtt = srtt_x8_us >> 3;
      const u32 off = srtt > r_us ? srtt - r_us : r_us - srtt;
      rttvar_x4_us = rttvar_x4_us - (rttvar_x4_us >> 2) + off;
      srtt_x8_us = srtt_x8_us - (srtt_x8_us >> 3) + r_us;
    }
    const u32 rto = (srtt_x8_us >> 3) + std::max(kClockGranularityUs, rttvar_x4_us);
    rto_us = std::clamp(rto, min_us, max_us);
  }

  // (5.5): doubled for each of `backoff` expiries, at most `max_us`.
  u32 backed_off_us(u32 backoff, u32 max_us) const {
    const u64 us = u64{rto_us} << std::min<u32>(backoff, 16);
    return static_cast<u32>(std::min<u64>(us, max_us));
  }
};

}  // namespace ringway::tcp
