#pragma once
// ConcurrencyLimit: how many exchanges of a service may be under way at once, so that its queues stay short.
//
// While a service has capacity to spare its latency does not depend on load; what exceeds that is time in queues. The
// limit shrinks by the ratio of the latency without queues to the present one, and grows by its square root, which is the
// queue that it allows itself (the "gradient" of Netflix' concurrency-limits and of Envoy's adaptive concurrency filter).
// Latency without queues is the lowest mean of a window seen lately: it drifts up, so that a service which became slower for
// good is found out. Decided once in 64 responses, without a clock. One core's; not shared.

#include <algorithm>

#include "src/base/types.h"

namespace ringway::relay {

class ConcurrencyLimit {
 public:
  static constexpr u32 kWindow = 64;       // responses that a decision is made of
  static constexpr u32 kInitial = 100;
  static constexpr u32 kMost = 65'536;

  u32 limit() const { return limit_; }

  // A response came `latency_us` after its request, while `active` exchanges were under way.
  void on_response(u64 latency_us, u64 active, u32 least) {
    sum_us_ += std::max<u64>(latency_us, 1);
    most_active_ = std::max(most_active_, active);
    if (++seen_ < kWindow) return;
    decide(sum_us_ / kWindow, least);
    seen_ = 0;
    sum_us_ = most_active_ = 0;
  }

 private:
  void decide(u64 mean_us, u32 least) {
    base_us_ = base_us_ == 0 || mean_us < base_us_ ? mean_us : base_us_ + (mean_us - base_us_) / 256;
    // A quarter more than the base is no queue; one decision halves the limit at most.
    const u64 share = std::clamp<u64>(base_us_ * 5 * 256 / (mean_us * 4), 128, 256);
    u32 root = 1;
    while (u64{root + 1} * (root + 1) <= limit_) ++root;
    const u64 wanted = limit_ * share / 256 + root;
    // A limit that nobody comes near says nothing about how much would be too much.
    if (wanted > limit_ && most_active_ * 2 < limit_) return;
    limit_ = static_cast<u32>(std::clamp<u64>(wanted, least, kMost));
  }

  u32 limit_ = kInitial;
  u32 seen_ = 0;
  u64 sum_us_ = 0;
  u64 most_active_ = 0;
  u64 base_us_ = 0;
};

}  // namespace ringway::relay
