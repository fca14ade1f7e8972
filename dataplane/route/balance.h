#pragma once
// Balancing arithmetic: who counts as healthy enough, who is over the bound, and how round robin spreads weights. How
// load divides over priority levels and zones is in spread.h.
//
// Integers in, integers out; no plan, no head, no mbuf. Divisions are turned into products, which stay below 2^64:
// at most 2^24 active exchanges, weights of 2^16 and 16,384 endpoints. Any thread.
//
// Bounded load follows "Consistent Hashing with Bounded Loads" (Mirrokni, Thorup, Zadimoghaddam, SODA 2018).

#include <algorithm>
#include <array>
#include <bit>

#include "src/base/types.h"
#include "src/contract/balance.h"
#include "src/contract/health.h"

namespace ringway::route {

// What is known of one pool's endpoints, counted now and then (see Router::count_endpoints).
struct Census {
  u64 generation = ~u64{0};  // of the plan that was counted
  u32 healthy = 0;           // word == 0
  u32 proven = 0;            // neither unproven nor draining: who may be used in panic
  u64 healthy_weight = 0;
  u64 proven_weight = 0;
  u64 bound_weight = 0;      // a hundredfold: whose share of the service's exchanges the bound is measured by
  u64 active = 0;            // exchanges of this core, when it was counted
  TimeUs counted_us = 0;     // by the board's clock
  u32 weight_max = 1;        // of the healthy ones, in panic of the proven ones
  u32 age = 0;               // picks since
  u32 load_end = 100;        // of the priority levels: this one and better ones take so many percent
  bool panic = false;        // health is ignored
  bool slow_starting = false;  // somebody's weight is not whole yet
  bool by_zone = false;      // the turns of zones hold shares
};

// In panic health is ignored, but not what was never there: an endpoint without a first success, or one being drained.
inline bool usable_in_panic(u32 health_word) {
  return (health_word & (contract::kHealthUnproven | contract::kHealthDraining)) == 0;
}

inline bool in_panic(u32 healthy, u32 proven, u32 panic_percent) { return u64{healthy} * 100 < u64{panic_percent} * proven; }

// True when one more exchange would put the endpoint above its share: active >= ceil(bound * (total + 1) * w / sum).
// For whole numbers that is active >= bound * (total + 1) * w / sum, and needs no division. `sum_hundredfold` is sum * 100.
inline constexpr u64 kBoundWeightMax = u64{1} << 33;
inline bool over_bound(u64 active, u64 service_active, u32 weight, u64 sum_hundredfold, u32 bound_percent) {
  if (bound_percent == 0) return false;
  return active * sum_hundredfold >= u64{bound_percent} * (service_active + 1) * weight;
}

// Round robin with weights: each visit of an endpoint earns it `weight`; a whole `weight_max` buys one exchange. Over
// weight_max laps each endpoint is taken exactly `weight` times, spread evenly over the laps; with equal weights every
// visit is a turn.
inline bool earns_turn(u32& credit, u32 weight, u32 weight_max) {
  credit += weight;
  if (credit < weight_max) return false;
  credit -= weight_max;
  if (credit >= weight_max) credit = 0;  // weight_max shrank meanwhile: no burst of turns
  return true;
}

// Weights with room for a share of them: 4096ths. At most 2^28.
inline constexpr u32 kWeightScale = 4096;
inline u32 scaled_weight(u32 weight, u32 share) {
  static_assert(contract::SlowStart::kFull / 16 == kWeightScale);
  return std::max(1u, static_cast<u32>(u64{weight} * share >> 4));
}

// 2^32 / (active + 1), exact to two thousandths: from a table up to 1023, above it by the leading ten bits.
inline u64 reciprocal(u64 active) {
  static constexpr std::array<u32, 1024> kTable = [] {
    std::array<u32, 1024> table{};
    for (u32 i = 1; i < 1024; ++i) table[i] = static_cast<u32>((u64{1} << 32) / i - (i == 1));
    return table;
  }();
  const u64 n = active + 1;
  if (n < 1024) return kTable[n];
  const u32 shift = static_cast<u32>(std::bit_width(n)) - 10;
  return kTable[n >> shift] >> shift;
}

// leastRequest with weights: weight / (active + 1), at most 2^44, and not 0: whoever may be picked can be.
inline u64 request_score(u32 weight_scaled, u64 active) {
  return std::max<u64>(1, weight_scaled * reciprocal(active) >> 16);
}

}  // namespace ringway::route
