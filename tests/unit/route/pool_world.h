#pragma once
// For tests of policies that need pools: services compiled as the gateway does it, and whether counts follow shares.

#include <cmath>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "control/compile/pools.h"
#include "src/base/assert.h"
#include "tests/unit/route/world.h"

namespace ringway::test {

struct EndpointSpec {
  u16 weight = 1;
  u8 priority = 0;
  std::string zone = {};
  std::map<std::string, std::string> labels = {};
};

inline config::BalancingConfig balancing(contract::BalancePolicy policy) {
  config::BalancingConfig out;
  out.policy = policy;
  out.table_size = 4099;
  return out;
}

struct PoolWorld : World {
  u32 add(const config::BalancingConfig& how, const std::vector<EndpointSpec>& specs, const std::string& own_zone = "") {
    const u32 index = add_service("s" + std::to_string(plan.services.size()), std::vector<u16>(specs.size(), 1), how.policy, 7);
    contract::Service& s = plan.services[index];
    std::vector<std::map<std::string, std::string>> labels;
    s.weight_sum = 0;
    for (u32 i = 0; i < specs.size(); ++i) {
      contract::Endpoint& e = endpoint(index, i);
      e.weight = specs[i].weight;
      e.priority = specs[i].priority;
      e.zone = specs[i].zone;
      s.weight_sum += e.weight;
      labels.push_back(specs[i].labels);
    }
    s.maglev.clear();
    const std::span endpoints(plan.endpoints.data() + s.first_endpoint, specs.size());
    RW_ASSERT(compile::compile_pools(how, own_zone, endpoints, labels, slots, s));
    return index;
  }
  // How often each endpoint of the service is picked.
  std::vector<u64> picks(u32 service_index, u32 n, const TestHead& head) {
    std::vector<u64> count(plan.services[service_index].endpoint_count);
    for (u32 i = 0; i < n; ++i) {
      const route::Pick p = router->pick(plan, service_index, *head, wire::Ip4{i * 2'654'435'761u}, 4711);
      RW_ASSERT(p.endpoint != kNone32);
      ++count[p.endpoint - plan.services[service_index].first_endpoint];
    }
    return count;
  }
  std::vector<u64> picks(u32 service_index, u32 n) { return picks(service_index, n, TestHead("GET", "/")); }
  void set_active(u32 service_index, u32 i, u64 active) { stats->endpoints[endpoint(service_index, i).slot].active.set(active); }

  compile::PoolSlots slots;
};

// Pearson's chi-square of counts against shares, which need not add up to 1; a share of 0 must have a count of 0.
inline double chi_square(const std::vector<u64>& count, const std::vector<double>& shares) {
  double n = 0, sum = 0, out = 0;
  for (const u64 c : count) n += static_cast<double>(c);
  for (const double s : shares) sum += s;
  for (std::size_t i = 0; i < count.size(); ++i) {
    const double expected = n * shares[i] / sum, off = static_cast<double>(count[i]) - expected;
    if (expected == 0 && count[i] != 0) return 1e9;
    if (expected != 0) out += off * off / expected;
  }
  return out;
}
// What chi-square exceeds once in 30,000 times when the counts are right: four standard deviations, by Wilson and
// Hilferty's cube root.
inline double chi_square_max(const std::vector<double>& shares) {
  double cells = 0;
  for (const double s : shares) cells += s != 0;
  const double k = std::max(cells - 1, 1.0);
  return k * std::pow(1 - 2 / (9 * k) + 4 * std::sqrt(2 / (9 * k)), 3);
}
// A share that is wrong by a part e of itself adds n * share * e^2. With the 100,000 picks that most tests make and ten
// cells, whose maximum is 37, 7 % more or less in one cell is found; a policy that ignores a weight of 2 is off by 50 %.
#define EXPECT_FOLLOWS(count, shares) EXPECT_LE(chi_square(count, shares), chi_square_max(shares)) << listed(count)

inline std::string listed(const std::vector<u64>& count) {
  std::string out;
  for (const u64 c : count) out += std::to_string(c) + " ";
  return out;
}

}  // namespace ringway::test
