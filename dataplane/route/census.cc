// Counting endpoints: who is healthy, what they weigh, and what follows for panic, levels and zones. A count serves many
// picks (pick_walk.h says when it is renewed), so what is worked out here may look at every endpoint.

#include <algorithm>

#include "dataplane/route/key.h"
#include "dataplane/route/router.h"
#include "dataplane/route/spread.h"

namespace ringway::route {

using contract::EndpointPool;
using contract::Plan;
using contract::Service;

void Router::count_endpoints(const Plan& plan, const Service& service) {
  Census c;
  c.generation = plan.generation;
  u32 heaviest_healthy = 1;
  u32 heaviest_proven = 1;
  for (u32 i = 0; i < service.endpoint_count; ++i) {
    const contract::Endpoint& endpoint = plan.endpoints[service.first_endpoint + i];
    const u32 word = board_.word(endpoint.slot);
    const u32 weight = endpoint.weight;
    if (usable_in_panic(word)) {
      ++c.proven;
      c.proven_weight += weight;
      heaviest_proven = std::max(heaviest_proven, weight);
    }
    if (word == 0) {
      ++c.healthy;
      c.healthy_weight += weight;
      heaviest_healthy = std::max(heaviest_healthy, weight);
    }
  }
  c.panic = in_panic(c.healthy, c.proven, service.panic_percent);
  c.weight_max = c.panic ? heaviest_proven : heaviest_healthy;
  c.bound_weight = 100 * (c.panic ? c.proven_weight : c.healthy_weight);
  census_[service.slot] = c;
}

// What an endpoint weighs at this time of its slow start, in 4096ths.
u32 Router::weight_now(const Service& service, const contract::Endpoint& endpoint) const {
  const contract::SlowStart& slow = service.pools.slow_start;
  const u32 share = slow.window_us == 0 ? contract::SlowStart::kFull : slow.share_after(board_.healthy_us(endpoint.slot));
  return scaled_weight(endpoint.weight, share);
}

u64 Router::active_everywhere(contract::EndpointSlot slot) const {
  u64 active = stats_.endpoints[slot].active.get();
  for (const contract::CoreStats* other : others_) active += other->endpoints[slot].active.get();
  return active;
}

u64 Router::draw() { return mix(++draws_ ^ salt_); }

void Router::count_pool(const Plan& plan, const Service& service, const EndpointPool& pool) {
  Census c;
  c.generation = plan.generation;
  c.counted_us = board_.now_us();
  u64 active = 0;
  for (const u32 index : pool.members) {
    const contract::Endpoint& endpoint = plan.endpoints[service.first_endpoint + index];
    const u32 word = board_.word(endpoint.slot);
    active += stats_.endpoints[endpoint.slot].active.get();
    if (usable_in_panic(word)) {
      ++c.proven;
      c.proven_weight += endpoint.weight;
    }
    if (word == 0) {
      ++c.healthy;
      c.healthy_weight += endpoint.weight;
      c.slow_starting = c.slow_starting || weight_now(service, endpoint) < endpoint.weight * kWeightScale;
    }
  }
  c.active = active;
  census_[pool.slot] = c;
}

// The bound is measured by the exchanges of the whole service, of which the pool has a part: what it has now, but at least
// what its load, and of a subset its weight, make it worth, or a pool whose part grows would be over the bound.
static u64 bound_weight(const Service& service, const EndpointPool& pool, const Census& c, u32 load_percent, u64 service_active) {
  const u64 weight = c.panic ? c.proven_weight : c.healthy_weight;
  const u64 worth = pool.of_subset ? std::max(weight, service.weight_sum) : weight;
  const u64 most = std::min(kBoundWeightMax, worth * 100 / std::max(load_percent, 1u));
  const u64 now = weight * (service_active + 1) / (std::min(c.active, service_active) + 1);
  return std::clamp(now, weight, std::max(weight, most));
}

void Router::count_pools(const Plan& plan, const Service& service, std::span<const EndpointPool> levels) {
  LevelLoad loads[contract::kPrioritiesMax];
  RW_ASSERT(levels.size() <= contract::kPrioritiesMax);
  for (std::size_t l = 0; l < levels.size(); ++l) {
    count_pool(plan, service, levels[l]);
    const Census& c = census_[levels[l].slot];
    loads[l] = {.healthy = c.healthy, .proven = c.proven};
  }
  divide_levels({loads, levels.size()}, service.panic_percent);
  for (std::size_t l = 0; l < levels.size(); ++l) {
    Census& c = census_[levels[l].slot];
    c.load_end = loads[l].load_end;
    c.panic = loads[l].panic;
    const u32 load = loads[l].load_end - (l == 0 ? 0 : loads[l - 1].load_end);
    c.bound_weight = 100 * bound_weight(service, levels[l], c, load, stats_.services[service.slot].active.get());
    weigh_zones(plan, service, levels[l]);
  }
}

// The heaviest weight of the pool and of each zone, for their turns, and the zones' shares.
void Router::weigh_zones(const Plan& plan, const Service& service, const EndpointPool& pool) {
  Census& c = census_[pool.slot];
  const auto heaviest = [&](u32 first, u32 count, u64& healthy_weight) {
    u32 most = 1;
    for (u32 i = first; i < first + count; ++i) {
      const contract::Endpoint& endpoint = plan.endpoints[service.first_endpoint + pool.members[i]];
      const u32 word = board_.word(endpoint.slot);
      if (word == 0) healthy_weight += endpoint.weight;
      if (word == 0 || (c.panic && usable_in_panic(word))) most = std::max(most, weight_now(service, endpoint));
    }
    return most;
  };
  u64 ignored = 0;
  Turns* const turns = &turns_[pool.first_group];
  turns[0].weight_max = heaviest(0, static_cast<u32>(pool.members.size()), ignored);
  u64 weights[contract::kZonesMax];
  u32 ends[contract::kZonesMax];
  const std::size_t zones = pool.zones.size();
  RW_ASSERT(zones <= contract::kZonesMax);
  for (std::size_t z = 0; z < zones; ++z) {
    weights[z] = 0;
    turns[1 + z].weight_max = heaviest(pool.zones[z].first, pool.zones[z].count, weights[z]);
  }
  c.by_zone = !c.panic && divide_zones({weights, zones}, c.healthy, service.pools.zone, {ends, zones});
  for (std::size_t z = 0; c.by_zone && z < zones; ++z) turns[1 + z].share_end = ends[z];
}

}  // namespace ringway::route
