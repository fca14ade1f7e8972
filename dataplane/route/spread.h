#pragma once
// How load divides over priority levels and over zones, from counts of healthy endpoints: Envoy's rules.
//
// Worked out when endpoints are counted, not at a pick, so there are divisions here. Integers and spans, pure, any thread.

#include <algorithm>
#include <span>

#include "src/base/types.h"
#include "src/contract/balance.h"
#include "src/contract/limits.h"

namespace ringway::route {

// One priority level: what is known of it, and what comes out.
struct LevelLoad {
  u32 healthy = 0;
  u32 proven = 0;    // of how many
  u32 load_end = 0;  // this level and better ones take so many percent; 100 with the last that takes any
  bool panic = false;
};

// A level can take 140 % of its healthy share, at most all. The best level takes what it can, the next what is left, and
// so on; when all together cannot take everything, each takes in proportion. Only then may a level be in panic, which is
// when less than `panic_percent` of it is healthy; when all are, they share by how many endpoints they have.
// A service with one level is in panic below `panic_percent`, whatever it can take.
inline void divide_levels(std::span<LevelLoad> levels, u32 panic_percent) {
  const auto below = [&](const LevelLoad& l) { return u64{l.healthy} * 100 < u64{panic_percent} * l.proven; };
  if (levels.size() == 1) {
    levels[0].load_end = 100;
    levels[0].panic = below(levels[0]);
    return;
  }
  const auto able = [](const LevelLoad& l) {
    if (l.proven == 0) return u64{0};
    return std::min<u64>(100, u64{contract::kOverprovisioningPercent} * l.healthy / l.proven);
  };
  u64 sum = 0, proven = 0;
  for (const LevelLoad& l : levels) sum += able(l), proven += l.proven;
  const bool enough = sum >= 100;
  bool all_panic = panic_percent != 0 && proven != 0;
  for (LevelLoad& l : levels) {
    l.panic = !enough && below(l);
    all_panic = all_panic && (l.panic || l.proven == 0);
  }
  const u64 whole = all_panic ? proven : std::min<u64>(sum, 100);
  u64 before = 0;
  LevelLoad* first = nullptr;  // takes what rounding leaves
  for (LevelLoad& l : levels) {
    const u64 part = all_panic ? l.proven : able(l);
    if (first == nullptr && part != 0) first = &l;
    const u64 load = whole == 0 ? 0 : std::min<u64>(100 - before, part * 100 / whole);
    before += load;
    l.load_end = static_cast<u32>(before);
  }
  const u32 left = 100 - static_cast<u32>(before);
  if (first == nullptr) first = &levels[0];
  for (LevelLoad* l = first; l != levels.data() + levels.size(); ++l) l->load_end += left;
}

// Shares of requests by zone as ends of ranges of u32: zone z takes draws above the end before it, up to and with `ends[z]`.
// `weights`: of the healthy endpoints, the gateway's own zone first. False: zones do not matter now.
//
// Gateways are taken to be spread evenly over the zones, so each has a like part of the requests. A zone whose endpoints
// can take that part (their share of all weight is as large) keeps its requests. From another, as many stay as its
// endpoints are worth beside that part, and the rest spills to the zones that have more than their part, in proportion to
// how much more.
inline bool divide_zones(std::span<const u64> weights, u32 healthy, const contract::ZoneRules& rules, std::span<u32> ends) {
  u64 sum = 0;
  for (const u64 w : weights) sum += w;
  if (weights.size() < 2 || weights[0] == 0) return false;
  if (!rules.force_local && healthy < rules.endpoints_min) return false;
  constexpr u64 kWhole = u64{1} << 32;
  const u64 zones = weights.size();
  if (rules.force_local || weights[0] * zones >= sum) {
    std::fill(ends.begin(), ends.end(), static_cast<u32>(kWhole - 1));
    return true;
  }
  // In units of 1 / (zones * sum): zone z has zones * w, its part is sum. Sums stay below 2^45.
  const auto spare = [&](u64 w) { return w * zones > sum ? w * zones - sum : 0; };
  u64 spare_sum = 0;
  for (const u64 w : weights.subspan(1)) spare_sum += spare(w);
  using Wide = unsigned __int128;
  const u64 local = static_cast<u64>(Wide{weights[0] * zones} * kWhole / sum);
  ends[0] = static_cast<u32>(local - 1);
  u64 before = 0;
  for (std::size_t z = 1; z < weights.size(); ++z) {
    before += spare(weights[z]);
    ends[z] = static_cast<u32>(local + static_cast<u64>(Wide{kWhole - local} * before / spare_sum) - 1);
  }
  return true;
}

}  // namespace ringway::route
