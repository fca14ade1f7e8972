#pragma once
// How a new version of a service is brought in (Deployment), and what share of the service's requests it gets now (ShiftBoard).
//
// The board holds one atomic word per service slot, written by control/shift, read in place by every core at each request of such a
// service: a step takes effect at the next request, without a plan. One writer, any number of readers, relaxed loads: the
// newest share is all that counts. In ten-thousandths; zero is none.

#include <array>
#include <atomic>
#include <string>

#include "src/base/assert.h"
#include "src/base/types.h"
#include "src/contract/limits.h"

namespace ringway::contract {

inline constexpr u32 kWholeShare = 10'000;
inline constexpr u32 kTestTraffic = 1u << 31;  // marked requests go to the new version, whatever its share

enum class ShiftStrategy : u8 { blue_green, canary, linear };

// Words and defaults of ECS' deploymentConfiguration; immutable part of a Plan.
struct Deployment {
  u32 green = kNone32;              // index into plan.services: the new version; kNone32: there is none
  ShiftStrategy strategy = ShiftStrategy::blue_green;
  u32 step = kWholeShare / 10;      // the canary's share, or that of each linear step
  u64 step_bake_us = 360'000'000;   // after the canary, or after each linear step
  u64 bake_us = 300'000'000;        // after all traffic was moved
  bool starts_itself = false;       // else test traffic only, until a command
  std::string test_header;          // lower case; a request with it goes to the new version
  std::string test_value;           // it must have; empty: any
  // The alarm, asked from `least_requests` on since the step began. 0: off.
  u32 error_percent = 5;
  u64 latency_p99_us = 0;
  u64 least_requests = 20;
  friend bool operator==(const Deployment&, const Deployment&) = default;
};

class ShiftBoard {
 public:
  // The share, and kTestTraffic.
  u32 word(u32 service_slot) const { return words_[service_slot].load(std::memory_order_relaxed); }
  void set(u32 service_slot, u32 share, bool test_traffic) {
    RW_ASSERT(service_slot < kServicesMax && share <= kWholeShare);
    words_[service_slot].store(share | (test_traffic ? kTestTraffic : 0u), std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<u32>, kServicesMax> words_{};
};

}  // namespace ringway::contract
