#pragma once
// ConcurrencyLimit: how many exchanges of a service may be under way at once, so that its queues stay short.
//
// While a service has capacity to spare its latency does not depend on load; what exceeds that is time in queues. The
// limit shrinks by the ratio of the latency without queues to the present one, and grows by its square root, which is the
// queue that it allows itself (the "gradient" of Netflix' concurrency-limits and of Envoy's adaptive concurrency filter).
// Latency without queues is the lowest mean of a window since the limit was last halved for one window: done now and then,
// so that a queue which was there from the start, or a service that became slower for good, is found out.
// Decided once in 64 responses, without a clock. One core's; not shared.

#include <algorithm>
#include <utility>

#include "src/base/types.h"

namespace ringway::relay {

class ConcurrencyLimit {
 public:
  static constexpr u32 kWindow = 64;       // responses that a decision is made of
  static constexpr u32 kWindowsToProbe = 64;
  static constexpr u32 kInitial = 100;
  static constexpr u32 kMost = 65'536;

  u32 limit() const { return probing_ ? std::max(limit_ / 2, least_) : limit_; }

  // A response came `latency_us` after its request, while `active` exchanges were under way.
  void on_response(u64 latency_us, u64 active, u32 least) {
    sum_us_ += std::max<u64>(latency_us, 1);
    most_active_ = std::max(most_active_, active);
    least_ = least;
    if (++seen_ < kWindow) return;
    decide(sum_us_ / kWindow);
    seen_ = 0;
    sum_us_ = most_active_ = 0;
  }

 private:
  void decide(u64 mean_us) {
    base_us_ = probing_ ? mean_us : std::min(base_us_, mean_us);
    if (std::exchange(probing_, ++windows_ % kWindowsToProbe == 0)) return;
    // A quarter more than the base is no queue; one decision halves the limit at most.
    const u64 share = std::clamp<u64>(base_us_ * 5 * 256 / (mean_us * 4), 128, 256);
    u32 root = 1;
    while (u64{root + 1} * (root + 1) <= limit_) ++root;
    const u64 wanted = limit_ * share / 256 + root;
    // A limit that nobody comes near says nothing about how much would be too much.
    if (wanted > limit_ && most_active_ * 2 < limit_) return;
    limit_ = static_cast<u32>(std::clamp<u64>(wanted, least_, kMost));
  }

  u32 limit_ = kInitial;
  u32 seen_ = 0;
  u64 sum_us_ = 0;
  u64 most_active_ = 0;
  u64 base_us_ = ~u64{0};
  u32 windows_ = 0;
  u32 least_ = 1;
  bool probing_ = false;  // this window is let through at half the limit
};

}  // namespace ringway::relay
