#pragma once
// Balancing arithmetic: who counts as healthy enough, who is over the bound, and how round robin spreads weights.
//
// Integers in, integers out; no plan, no head, no mbuf. Divisions are turned into products, which stay below 2^64:
// at most 2^24 active exchanges, weights of 2^16 and 16,384 endpoints. Any thread.
//
// Bounded load follows "Consistent Hashing with Bounded Loads" (Mirrokni, Thorup, Zadimoghaddam, SODA 2018).

#include "src/base/types.h"
#include "src/contract/health.h"

namespace ringway::route {

// What is known of one service's endpoints, counted now and then (see Router::count_endpoints).
struct Census {
  u64 generation = ~u64{0};  // of the plan that was counted
  u32 healthy = 0;           // word == 0
  u32 proven = 0;            // neither unproven nor draining: who may be used in panic
  u64 healthy_weight = 0;
  u64 proven_weight = 0;
  u32 weight_max = 1;        // of the healthy ones, in panic of the proven ones
  u32 age = 0;               // picks since
};

// In panic health is ignored, but not what was never there: an endpoint without a first success, or one being drained.
inline bool usable_in_panic(u32 health_word) {
  return (health_word & (contract::kHealthUnproven | contract::kHealthDraining)) == 0;
}

inline bool in_panic(const Census& c, u32 panic_percent) {
  return u64{c.healthy} * 100 < u64{panic_percent} * c.proven;
}

// True when one more exchange would put the endpoint above its share: active >= ceil(bound * (total + 1) * w / sum).
// For whole numbers that is active >= bound * (total + 1) * w / sum, and needs no division.
inline bool over_bound(u64 active, u64 service_active, u32 weight, u64 weight_sum, u32 bound_percent) {
  if (bound_percent == 0) return false;
  return active * 100 * weight_sum >= u64{bound_percent} * (service_active + 1) * weight;
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

}  // namespace ringway::route
