#pragma once
// How a service spreads its requests, worked out by compile and read in place by the cores: part of the Plan (plan.h).
//
// A pool is what one pick chooses from: the endpoints of one priority level, of the whole service or of one subset. Most
// services have one pool, all of their endpoints, and leave `Pools::list` empty: their table is Service::maglev, or they
// are served in turn. Pools are made where there are priorities, subsets, zones, a slow start, a generated cookie, or a
// policy that needs more than a table. What the settings mean is told in docs/balancing.md.

#include <array>
#include <string>
#include <vector>

#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/lookup/ring_hash.h"

namespace ringway::contract {

enum class BalancePolicy : u8 { maglev, round_robin, least_request, ring_hash, random };
enum class HashOn : u8 { source, header, cookie, path, query, request };

// The key decides where a request goes; otherwise turns, draws and counts do.
inline bool picks_by_hash(BalancePolicy policy) {
  return policy == BalancePolicy::maglev || policy == BalancePolicy::ring_hash;
}

// Endpoints of one zone: neighbours in EndpointPool::members.
struct ZoneGroup {
  u32 first = 0;
  u32 count = 0;
  std::string name;
};

struct EndpointPool {
  u32 slot = 0;             // of the cores' census: kServicesMax .. kServicesMax + kPoolsMax - 1
  u32 first_group = 0;      // of the cores' turns: one for the pool, then one for each of `zones`
  u8 priority = 0;          // as configured
  bool of_subset = false;
  bool weighted = false;    // weights differ
  std::vector<u16> members;      // indexes within the service, zone by zone
  std::vector<u32> weight_ends;  // sums of weights along `members`; empty where all weights are equal
  std::vector<u16> maglev;       // slot -> index within the service
  lookup::Ring ring;             // its owners are indexes within the service
  std::vector<ZoneGroup> zones;  // the gateway's own first; empty where zones do not matter
};

// Endpoints with one value of the label that a subset goes by: pools[first_pool .. +levels).
struct Subset {
  std::string value;
  u32 first_pool = 0;
  u32 levels = 0;
};

// The weight of an endpoint that has been healthy for `us`, in 65,536ths: max(minWeightPercent, (us / window)^(1 /
// aggression)), in steps of a 64th of the window.
struct SlowStart {
  static constexpr u32 kSteps = 64;
  static constexpr u32 kFull = 65'536;
  u64 window_us = 0;     // 0: there is none
  u64 steps_per_us = 0;  // in 2^-32ths
  std::array<u32, kSteps> shares{};
  double aggression = 1;        // what `shares` was made of, for people
  u32 min_weight_percent = 10;

  u32 share_after(u64 us) const {
    if (us >= window_us) return kFull;
    const u64 step = us * steps_per_us >> 32;
    return shares[step < kSteps ? step : kSteps - 1];
  }
};
inline constexpr u64 kSlowStartUsMax = 3'600'000'000;
static_assert((kSlowStartUsMax << 6) >> 6 == kSlowStartUsMax);

struct ZoneRules {
  bool aware = false;
  bool force_local = false;    // as long as the own zone has a healthy endpoint
  u32 endpoints_min = 6;       // healthy ones; with fewer zones do not matter
};

struct Pools {
  std::vector<EndpointPool> list;  // the service's levels, best first, then those of each subset
  u32 levels = 0;
  std::string subset_header;       // lower case; empty: there are no subsets
  std::string subset_label;        // of endpoints, for people
  std::vector<Subset> subsets;     // sorted by value
  bool or_any = true;              // a request that fits no subset may go to any endpoint
  u32 choices = 2;                 // leastRequest: endpoints that are compared
  u32 ring_points_min = kRingPointsDefault;  // what rings were made with, for people
  u32 ring_points_max = kRingPointsMax;
  SlowStart slow_start;
  ZoneRules zone;
  // A request without the cookie that is hashed on gets one; "" when the gateway makes none. "; Path=/; HttpOnly".
  std::string cookie_attributes;
};

}  // namespace ringway::contract
