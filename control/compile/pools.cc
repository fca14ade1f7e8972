// See pools.h.

#include "control/compile/pools.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "src/lookup/maglev.h"
#include "src/lookup/ring_hash.h"

namespace ringway::compile {
namespace {

using contract::BalancePolicy;
using contract::Endpoint;
using contract::EndpointPool;
using contract::SlowStart;

SlowStart slow_start(const config::BalancingConfig& in) {
  SlowStart out;
  if (in.slow_start_us == 0) return out;
  out.window_us = in.slow_start_us;
  out.aggression = in.aggression;
  out.min_weight_percent = in.min_weight_percent;
  out.steps_per_us = ((u64{SlowStart::kSteps} << 32) + in.slow_start_us - 1) / in.slow_start_us;
  for (u32 step = 0; step < SlowStart::kSteps; ++step) {
    const double time_factor = (step + 0.5) / SlowStart::kSteps;
    const double share = std::max(in.min_weight_percent / 100.0, std::pow(time_factor, 1 / in.aggression));
    out.shares[step] = static_cast<u32>(std::lround(share * SlowStart::kFull));
  }
  return out;
}

// RFC 6265 4.1. HttpOnly: only the gateway reads it. SameSite=Lax: it says nothing worth sending across sites.
std::string cookie_attributes(const config::BalancingConfig& in) {
  if (!in.cookie_ttl_s || in.hash_on != contract::HashOn::cookie) return "";
  std::string out = "; Path=" + in.cookie_path;
  if (*in.cookie_ttl_s != 0) out += "; Max-Age=" + std::to_string(*in.cookie_ttl_s);
  return out + "; HttpOnly; SameSite=Lax";
}

// Makes the pools of one service.
class PoolMaker {
 public:
  PoolMaker(const config::BalancingConfig& in, const std::string& own_zone, std::span<const Endpoint> endpoints, PoolSlots& slots,
            contract::Pools& out)
      : in_(in), own_zone_(own_zone), endpoints_(endpoints), slots_(slots), out_(out) {}

  // A pool for each level of those members; how many.
  u32 add_levels(const std::vector<u16>& members, bool of_subset) {
    std::map<u8, std::vector<u16>> levels;
    for (const u16 index : members) levels[endpoints_[index].priority].push_back(index);
    for (auto& [priority, of_level] : levels) add(priority, std::move(of_level), of_subset);
    return static_cast<u32>(levels.size());
  }

  bool fits() const { return slots_.pools <= contract::kPoolsMax && slots_.groups <= contract::kPoolsMax; }

 private:
  void add(u8 priority, std::vector<u16> members, bool of_subset) {
    EndpointPool pool;
    pool.slot = contract::kServicesMax + slots_.pools++;
    pool.first_group = slots_.groups++;
    pool.priority = priority;
    pool.of_subset = of_subset;
    pool.members = std::move(members);
    const u16 weight = endpoints_[pool.members.front()].weight;
    pool.weighted = std::ranges::any_of(pool.members, [&](u16 i) { return endpoints_[i].weight != weight; });
    if (out_.zone.aware) divide(pool);
    make_table(pool);
    out_.list.push_back(std::move(pool));
  }

  // Zone by zone, the gateway's own first.
  void divide(EndpointPool& pool) {
    const auto rank = [&](u16 i) { return std::pair(endpoints_[i].zone != own_zone_, std::string_view(endpoints_[i].zone)); };
    std::ranges::stable_sort(pool.members, {}, rank);
    for (u32 i = 0; i < pool.members.size(); ++i) {
      const std::string& zone = endpoints_[pool.members[i]].zone;
      if (pool.zones.empty() || pool.zones.back().name != zone) pool.zones.push_back({i, 0, zone});
      ++pool.zones.back().count;
    }
    const bool local = pool.zones.front().name == own_zone_;
    if (!local || pool.zones.size() < 2) pool.zones.clear();
    slots_.groups += static_cast<u32>(pool.zones.size());
  }

  void make_table(EndpointPool& pool) {
    std::vector<lookup::MaglevEndpoint> identities;
    u32 sum = 0;
    for (const u16 index : pool.members) {
      identities.push_back({endpoints_[index].id, endpoints_[index].weight});
      if (in_.policy == BalancePolicy::random && pool.weighted) pool.weight_ends.push_back(sum += endpoints_[index].weight);
    }
    if (in_.policy == BalancePolicy::maglev) pool.maglev = lookup::build_maglev(identities, in_.table_size);
    if (in_.policy == BalancePolicy::ring_hash) pool.ring = lookup::build_ring(identities, in_.ring_points_min, in_.ring_points_max);
    for (u16& owner : pool.maglev) owner = pool.members[owner];
    for (u16& owner : pool.ring.owners) owner = pool.members[owner];
  }

  const config::BalancingConfig& in_;
  const std::string& own_zone_;
  std::span<const Endpoint> endpoints_;
  PoolSlots& slots_;
  contract::Pools& out_;
};

bool one_table_will_do(const config::BalancingConfig& in, std::span<const Endpoint> endpoints, const contract::Pools& pools) {
  if (in.policy != BalancePolicy::maglev && in.policy != BalancePolicy::round_robin) return false;
  const auto priority = [](const Endpoint& e) { return e.priority; };
  const bool levels = std::ranges::adjacent_find(endpoints, std::ranges::not_equal_to{}, priority) != endpoints.end();
  return !levels && !pools.zone.aware && pools.subset_header.empty() && pools.slow_start.window_us == 0 && pools.cookie_attributes.empty();
}

}  // namespace

bool compile_pools(const config::BalancingConfig& in, const std::string& own_zone, std::span<const Endpoint> endpoints,
                   std::span<const std::map<std::string, std::string>> labels, PoolSlots& slots, contract::Service& out) {
  out.policy = in.policy;
  out.hash_on = in.hash_on;
  out.hash_name = in.hash_name;
  out.bound_percent = in.bound_percent;
  out.panic_percent = in.panic_percent;
  contract::Pools& pools = out.pools;
  pools.subset_header = in.subset_header;
  pools.subset_label = in.subset_label;
  pools.or_any = in.subset_or_any;
  pools.ring_points_min = in.ring_points_min;
  pools.ring_points_max = in.ring_points_max;
  pools.choices = in.choices;
  pools.slow_start = slow_start(in);
  pools.zone = in.zone;
  pools.cookie_attributes = cookie_attributes(in);
  if (endpoints.empty()) return true;

  if (one_table_will_do(in, endpoints, pools)) {
    std::vector<lookup::MaglevEndpoint> identities;
    for (const Endpoint& e : endpoints) identities.push_back({e.id, e.weight});
    if (in.policy == BalancePolicy::maglev) out.maglev = lookup::build_maglev(identities, in.table_size);
    return true;
  }
  PoolMaker maker(in, own_zone, endpoints, slots, pools);
  std::vector<u16> all;
  std::map<std::string, std::vector<u16>> by_value;
  for (u16 i = 0; i < endpoints.size(); ++i) {
    all.push_back(i);
    const auto label = labels[i].find(in.subset_label);
    if (!in.subset_header.empty() && label != labels[i].end()) by_value[label->second].push_back(i);
  }
  pools.levels = maker.add_levels(all, false);
  for (const auto& [value, members] : by_value) {
    const u32 first = static_cast<u32>(pools.list.size());
    const u32 levels = maker.add_levels(members, true);
    pools.subsets.push_back({value, first, levels});
  }
  return maker.fits();
}

}  // namespace ringway::compile
