#pragma once
// HyStart++ (RFC 9406): leaves slow start when round trips grow, through conservative slow start, which goes back when
// they shrink again. Pure: sees round-trip samples and sequence numbers, answers by how much of an acknowledgement
// the window may grow and when slow start is over. Times in microseconds.

#include <algorithm>

#include "src/base/types.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

inline constexpr u32 kHystartSamples = 8;        // N_RTT_SAMPLE
inline constexpr u32 kHystartThreshMinUs = 4'000;
inline constexpr u32 kHystartThreshMaxUs = 16'000;
inline constexpr u32 kHystartRounds = 5;         // CSS_ROUNDS

struct Hystart {
  static constexpr u32 kNone = ~u32{0};
  wire::SeqNo window_end;
  u32 last_min_us = kNone;
  u32 now_min_us = kNone;
  u32 css_baseline_us = kNone;
  u8 samples = 0;
  u8 css_rounds = 0;
  bool in_css = false;

  void start(wire::SeqNo sent) {
    *this = Hystart{};
    window_end = sent;
  }

  // Section 4.2. An acknowledgement up to `una` brought the sample `rtt_us` (0: none); `sent` is the highest number sent.
  // True: slow start is over, ssthresh becomes cwnd.
  bool on_ack(wire::SeqNo una, wire::SeqNo sent, u32 rtt_us) {
    if (una >= window_end) {
      window_end = sent;
      last_min_us = now_min_us;
      now_min_us = kNone;
      samples = 0;
      if (in_css && ++css_rounds >= kHystartRounds) return true;
    }
    if (rtt_us == 0) return false;
    now_min_us = std::min(now_min_us, rtt_us);
    if (samples < 255) ++samples;
    if (samples < kHystartSamples || now_min_us == kNone || last_min_us == kNone) return false;
    if (in_css) {
      if (now_min_us < css_baseline_us) {
        css_baseline_us = kNone;
        in_css = false;
      }
      return false;
    }
    const u32 threshold = std::clamp(last_min_us / 8, kHystartThreshMinUs, kHystartThreshMaxUs);
    if (now_min_us >= last_min_us + threshold) {
      css_baseline_us = now_min_us;
      css_rounds = 0;
      in_css = true;
    }
    return false;
  }

  // Bytes by which `acked` bytes let the window grow: a quarter of them in conservative slow start.
  u32 growth(u32 acked) const { return in_css ? acked / 4 : acked; }
};

}  // namespace ringway::tcp
