// From settings to pools: which services need them, what they hold, and that the order of the file changes nothing.

#include "control/compile/pools.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "control/compile/compile.h"
#include "control/config/load.h"

namespace ringway::compile {
namespace {

using contract::EndpointPool;

// A plan of one service with this `balancing` and these endpoints.
std::unique_ptr<contract::Plan> compiled(const std::string& balancing, const std::string& endpoints, registry::Registry& registry) {
  const auto config = config::parse(
      "gateway:\n  zone: here\n  ports: [ { device: net_null0, address: 10.80.0.1/24 } ]\n  vipRange: 10.80.64.0/24\n  cores: [1]\n"
      "services:\n  - portName: a\n    appProtocol: http\n    clientAliases: [ { dnsName: a, port: 80 } ]\n    balancing: " + balancing +
          "\n    endpoints: [ " + endpoints + " ]\n", "f.yaml");
  if (!config) {
    for (const auto& problem : config.error()) ADD_FAILURE() << config::to_string(problem);
    return nullptr;
  }
  auto plan = compile(*config, registry, {});
  EXPECT_TRUE(plan.has_value());
  return plan ? std::move(*plan) : nullptr;
}
const std::string kA = "{ address: 10.80.0.11, port: 80 }", kB = "{ address: 10.80.0.12, port: 80, weight: 3 }";

TEST(CompilePools, ServicesThatATableOrTurnsServe_HaveNone) {
  for (const char* how : {"{}", "{ policy: roundRobin }", "{ hash: { on: cookie, name: sid } }", "{ policy: random, zoneAware: { enabled: false } }"}) {
    registry::Registry registry;
    const auto plan = compiled(how, kA + "," + kB, registry);
    ASSERT_NE(plan, nullptr);
    const bool needed = std::string(how).find("random") != std::string::npos;
    EXPECT_EQ(plan->services[0].pools.list.empty(), !needed) << how;
  }
}

TEST(CompilePools, LevelsAndSubsets_HoldWhomTheySay) {
  registry::Registry registry;
  const auto plan = compiled("{ subset: { header: X-Version, label: version, fallback: none } }",
                             "{ address: 10.80.0.14, port: 80, priority: 3 }, { address: 10.80.0.11, port: 80, labels: { version: v2 } },"
                             "{ address: 10.80.0.12, port: 80, labels: { version: v1 } },"
                             "{ address: 10.80.0.13, port: 80, priority: 3, labels: { version: v2 } }", registry);
  ASSERT_NE(plan, nullptr);
  const contract::Pools& pools = plan->services[0].pools;
  EXPECT_EQ(pools.subset_header, "x-version");
  EXPECT_FALSE(pools.or_any);
  EXPECT_EQ(pools.levels, 2u);
  ASSERT_EQ(pools.list.size(), 5u);
  EXPECT_EQ(pools.list[0].members, (std::vector<u16>{0, 1}));
  EXPECT_EQ(pools.list[1].members, (std::vector<u16>{2, 3}));
  EXPECT_EQ(pools.list[1].priority, 3);
  ASSERT_EQ(pools.subsets.size(), 2u);
  EXPECT_EQ(pools.subsets[0].value, "v1");
  EXPECT_EQ(pools.list[pools.subsets[0].first_pool].members, (std::vector<u16>{1}));
  EXPECT_EQ(pools.subsets[1].levels, 2u);
  EXPECT_EQ(pools.list[pools.subsets[1].first_pool].members, (std::vector<u16>{0}));
  EXPECT_EQ(pools.list[pools.subsets[1].first_pool + 1].members, (std::vector<u16>{2}));
  EXPECT_TRUE(plan->services[0].maglev.empty());
  for (const EndpointPool& pool : pools.list) {
    ASSERT_EQ(pool.maglev.size(), contract::kMaglevSlotsDefault);
    for (const u16 owner : pool.maglev) ASSERT_NE(std::ranges::find(pool.members, owner), pool.members.end());
  }
}

TEST(CompilePools, StateOfTheCores_IsGivenOutOnce) {
  registry::Registry registry;
  const auto plan = compiled("{ policy: leastRequest, zoneAware: {} , subset: { header: v, label: v } }",
                             "{ address: 10.80.0.14, port: 80, zone: here, labels: { v: a } }, { address: 10.80.0.11, port: 80, zone: there, labels: { v: a } },"
                             "{ address: 10.80.0.12, port: 80, priority: 1 }", registry);
  ASSERT_NE(plan, nullptr);
  std::vector<u32> slots, groups;
  for (const EndpointPool& pool : plan->services[0].pools.list) {
    slots.push_back(pool.slot);
    for (u32 g = 0; g <= pool.zones.size(); ++g) groups.push_back(pool.first_group + g);
  }
  EXPECT_EQ(slots, (std::vector<u32>{contract::kServicesMax, contract::kServicesMax + 1, contract::kServicesMax + 2}));
  EXPECT_EQ(groups, (std::vector<u32>{0, 1, 2, 3, 4, 5, 6}));
}

TEST(CompilePools, Zones_AreTogetherAndTheOwnOneFirst) {
  registry::Registry registry;
  const auto plan = compiled("{ policy: roundRobin, zoneAware: { enabled: true } }",
                             "{ address: 10.80.0.11, port: 80, zone: z }, { address: 10.80.0.12, port: 80, zone: here }, { address: 10.80.0.13, port: 80, zone: a },"
                             "{ address: 10.80.0.14, port: 80, zone: here }, { address: 10.80.0.15, port: 80, zone: z }", registry);
  ASSERT_NE(plan, nullptr);
  const EndpointPool& pool = plan->services[0].pools.list.at(0);
  EXPECT_EQ(pool.members, (std::vector<u16>{1, 3, 2, 0, 4}));
  ASSERT_EQ(pool.zones.size(), 3u);
  EXPECT_EQ(pool.zones[0].name, "here");
  EXPECT_EQ(pool.zones[2].first, 3u);
  EXPECT_EQ(pool.zones[2].count, 2u);
}

TEST(CompilePools, PermutedFile_GivesTheSamePools) {
  registry::Registry one, other;
  for (const char* how : {"{ policy: ringHash }", "{ policy: random }"}) {
    const auto straight = compiled(how, kA + "," + kB, one), permuted = compiled(how, kB + "," + kA, other);
    ASSERT_TRUE(straight != nullptr && permuted != nullptr);
    const EndpointPool &a = straight->services[0].pools.list.at(0), &b = permuted->services[0].pools.list.at(0);
    EXPECT_EQ(a.ring.hashes, b.ring.hashes);
    EXPECT_EQ(a.ring.owners, b.ring.owners);
    EXPECT_EQ(a.weight_ends, b.weight_ends);
    one.retire(1);
    other.retire(1);
  }
}

TEST(CompilePools, MoreThanCoresHaveStateFor_IsRefused) {
  std::vector<contract::Endpoint> endpoints(contract::kPoolsMax + 1);
  std::vector<std::map<std::string, std::string>> labels(endpoints.size());
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    endpoints[i].id = std::to_string(10'000 + i);
    labels[i]["v"] = std::to_string(i);
  }
  config::BalancingConfig how;
  how.policy = contract::BalancePolicy::random;
  how.subset_header = how.subset_label = "v";
  PoolSlots slots;
  contract::Service service;
  EXPECT_FALSE(compile_pools(how, "", endpoints, labels, slots, service));
  PoolSlots fresh;
  contract::Service smaller;
  EXPECT_TRUE(compile_pools(how, "", std::span(endpoints).first(contract::kPoolsMax - 1), labels, fresh, smaller));
}

}  // namespace
}  // namespace ringway::compile
