// Explanations of every policy, by the code that picks; and that such picks allocate nothing.

#include <gtest/gtest.h>

#include "dataplane/route/explain.h"
#include "tests/unit/route/pool_world.h"

namespace ringway::test {
extern std::size_t allocations;  // count_new.cc
}

namespace ringway::test {
namespace {

using contract::BalancePolicy;

struct ExplainedPools : PoolWorld {
  route::Explanation explain(u32 s, const TestHead& head = TestHead("GET", "/")) {
    contract::Listener listener;
    listener.service = s;
    route::Explainer explainer(*board, *stats, 1);
    return explainer.explain(plan, listener, *head, wire::Ip4::of(10, 0, 0, 7), 4711);
  }
};
std::string all_of(const std::vector<std::string>& choices) {
  std::string out;
  for (const auto& c : choices) out += c + "\n";
  return out;
}

TEST(ExplainPools, PolicyAndLooks_AreNamed) {
  ExplainedPools w;
  const u32 least = w.add(balancing(BalancePolicy::least_request), {{}, {}, {}});
  for (u32 i = 0; i < 3; ++i) w.set_active(least, i, 4);
  auto e = w.explain(least);
  EXPECT_EQ(e.policy, "least request, the best of 2 draws");
  EXPECT_EQ(e.hash_input, "");
  ASSERT_EQ(e.looks.size(), 3u);
  EXPECT_EQ(e.looks[0].outcome, "drawn, 4 active");
  EXPECT_EQ(e.looks[2].outcome, "taken");
  EXPECT_EQ(e.looks[2].id, e.endpoint);
  e = w.explain(w.add(balancing(BalancePolicy::least_request), {{.weight = 2}, {}}));
  EXPECT_EQ(e.policy, "least request, a draw by weight / (active + 1)");
  e = w.explain(w.add(balancing(BalancePolicy::ring_hash), {{}, {}, {}, {}}));
  EXPECT_EQ(e.policy, "ring hash, 1024 points");
  EXPECT_EQ(e.hash_input, "source address 10.0.0.7");
  EXPECT_EQ(e.looks.at(0).maglev_slot, e.pick.slot);
  e = w.explain(w.add(balancing(BalancePolicy::random), {{}}));
  EXPECT_EQ(e.policy, "random, by weight");
  EXPECT_EQ(e.outcome, "forwarded to " + e.endpoint);
}

TEST(ExplainPools, LevelAndItsLoad_AreSaid) {
  ExplainedPools w;
  const u32 s = w.add(balancing(BalancePolicy::maglev), {{}, {}, {.priority = 4}});
  EXPECT_EQ(all_of(w.explain(s).choices), "priority 0, which takes 100 %: 2 of 2 healthy\n");
  for (u32 i = 0; i < 2; ++i) w.set_health(s, i, contract::kHealthFailing);
  const auto e = w.explain(s);
  EXPECT_EQ(all_of(e.choices), "priority 4, which takes 100 %: 1 of 1 healthy\n");
  EXPECT_EQ(e.policy, "maglev, 4099 slots");
}

TEST(ExplainPools, Subset_IsNamedOrWhyThereIsNone) {
  ExplainedPools w;
  auto how = balancing(BalancePolicy::round_robin);
  how.subset_header = "x-version";
  how.subset_label = "version";
  const u32 any = w.add(how, {{.labels = {{"version", "v1"}}}, {}});
  EXPECT_EQ(all_of(w.explain(any, TestHead("GET", "/", "h", {{"X-Version", "v1"}})).choices),
            "subset of the endpoints labelled v1, by x-version: v1\n");
  EXPECT_EQ(all_of(w.explain(any).choices), "subset: the request has no x-version; any endpoint will do\n");
  how.subset_or_any = false;
  const u32 none = w.add(how, {{.labels = {{"version", "v1"}}}, {}});
  const auto e = w.explain(none, TestHead("GET", "/", "h", {{"X-Version", "v9"}}));
  EXPECT_EQ(all_of(e.choices), "subset: no endpoint has the label that the request asks for, x-version: v9; without one it is refused\n");
  EXPECT_EQ(e.outcome, "503: no endpoint fits the request");
}

TEST(ExplainPools, ZoneAndSlowStart_AreSaid) {
  ExplainedPools w;
  auto how = balancing(BalancePolicy::random);
  how.zone.aware = true;
  how.zone.endpoints_min = 1;
  const u32 near = w.add(how, {{.zone = "a"}, {.zone = "b"}}, "a");
  EXPECT_EQ(all_of(w.explain(near).choices), "zone a, the gateway's own\n");
  how = balancing(BalancePolicy::random);
  how.slow_start_us = 1'000'000'000;
  how.min_weight_percent = 1;
  w.board->at(5'000'000'000);
  const u32 starting = w.add(how, {{}});
  const auto e = w.explain(starting);
  EXPECT_EQ(e.looks.at(0).outcome, "drawn, but still in its slow start");
  EXPECT_EQ(e.looks.back().outcome, "taken");
}

TEST(ExplainPools, NewCookie_IsSaid) {
  ExplainedPools w;
  auto how = balancing(BalancePolicy::maglev);
  how.hash_on = contract::HashOn::cookie;
  how.hash_name = "sid";
  how.cookie_ttl_s = 5;
  const u32 s = w.add(how, {{}, {}});
  const auto e = w.explain(s);
  EXPECT_TRUE(e.hash_input.starts_with("a new cookie, ")) << e.hash_input;
  EXPECT_EQ(e.looks.size(), 1u);
  const auto again = w.explain(s, TestHead("GET", "/", "h", {{"Cookie", "sid=" + e.hash_input.substr(14, 16)}}));
  EXPECT_EQ(again.endpoint, e.endpoint);
  EXPECT_EQ(again.hash_input, "cookie sid=" + e.hash_input.substr(14, 16));
}

TEST(PoolMemory, Picks_AllocateNothing) {
  PoolWorld w;
  std::vector<u32> services;
  for (const auto policy : {BalancePolicy::maglev, BalancePolicy::round_robin, BalancePolicy::least_request, BalancePolicy::ring_hash, BalancePolicy::random}) {
    auto how = balancing(policy);
    how.subset_header = "x-version";
    how.subset_label = "version";
    if (!contract::picks_by_hash(policy)) {
      how.slow_start_us = 1'000'000;
      how.zone = {.aware = true, .endpoints_min = 1};
    } else {
      how.hash_on = contract::HashOn::cookie;
      how.hash_name = "sid";
      how.cookie_ttl_s = 5;
    }
    std::vector<EndpointSpec> specs;
    for (u16 i = 0; i < 100; ++i)
      specs.push_back({.weight = static_cast<u16>(1 + i % 3), .priority = static_cast<u8>(i % 2), .zone = i % 3 == 0 ? "a" : "b", .labels = {{"version", i % 5 == 0 ? "1" : "2"}}});
    services.push_back(w.add(how, specs, "a"));
    for (u32 i = 0; i < 60; ++i) w.set_health(services.back(), i, contract::kHealthFailing);
  }
  const TestHead heads[] = {TestHead("GET", "/"), TestHead("GET", "/", "h", {{"X-Version", "1"}})};
  const std::size_t before = allocations;
  bool all_good = true;
  for (u32 i = 0; i < 1000; ++i) {
    w.board->at(i * 10'000);
    for (const u32 s : services)
      for (const TestHead& head : heads) all_good &= w.router->pick(w.plan, s, *head, wire::Ip4{i}, 1).endpoint != kNone32;
  }
  const std::size_t after = allocations;
  EXPECT_TRUE(all_good);
  EXPECT_EQ(after - before, 0u);
}

}  // namespace
}  // namespace ringway::test
