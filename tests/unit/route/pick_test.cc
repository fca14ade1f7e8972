// Balancing: Maglev with health, bounds and panic; round robin; hash keys. What every policy has to do is in policy_test.cc.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "dataplane/route/key.h"
#include "tests/unit/route/keys.h"

namespace ringway::test {
namespace {

using contract::BalancePolicy;
using contract::HashOn;
using route::Pick;

std::vector<u16> ones(u32 n) { return std::vector<u16>(n, 1); }

TEST(PickMaglev, HealthyFirstSlot_IsTakenWithoutAWalk) {
  World w;
  const u32 s = w.add_service("a", ones(5));
  const Pick p = w.pick(s, 42);
  ASSERT_NE(p.endpoint, kNone32);
  EXPECT_EQ(p.walked, 0u);
  EXPECT_EQ(p.slot, lookup::maglev_slot(p.hash, 65'537));
  EXPECT_EQ(p.endpoint, w.service(s).first_endpoint + w.service(s).maglev[p.slot]);
  EXPECT_FALSE(p.panic);
  EXPECT_FALSE(p.over_bound);
}

TEST(PickMaglev, SameClient_KeepsItsEndpoint) {
  World w;
  const u32 s = w.add_service("a", ones(7));
  for (u32 client = 0; client < 100; ++client) {
    const u32 first = w.pick(s, client).endpoint;
    for (int again = 0; again < 5; ++again) EXPECT_EQ(w.pick(s, client).endpoint, first);
  }
}

TEST(PickMaglev, TwoRouters_AgreeOnEveryClient) {
  World w;
  const u32 s = w.add_service("a", ones(7));
  auto other = std::make_unique<route::Router>(*w.board, *w.stats, 5);
  const TestHead head("GET", "/");
  for (u32 client = 0; client < 1000; ++client)
    EXPECT_EQ(w.pick(s, client).endpoint, other->pick(w.plan, s, *head, wire::Ip4{client}, 1).endpoint);
}

TEST(PickMaglev, EveryoneToBeAvoided_TheLastOneIsTakenOnlyWhenAlone) {
  World w;
  const u32 s = w.add_service("a", ones(3));
  const TestHead head("GET", "/");
  for (u32 client = 0; client < 200; ++client) {
    for (u32 last = 0; last < 3; ++last) {
      const u32 tried[] = {(last + 1) % 3, (last + 2) % 3, last};
      EXPECT_NE(w.router->pick(w.plan, s, *head, wire::Ip4{client}, 1, tried).endpoint, last);
    }
  }
  const u32 alone = w.add_service("b", ones(1));
  const u32 only = w.service(alone).first_endpoint;
  EXPECT_EQ(w.router->pick(w.plan, alone, *head, wire::Ip4{1}, 1, std::span(&only, 1)).endpoint, only);
}

TEST(PickMaglev, Clients_SpreadByWeight) {
  World w;
  const std::vector<u16> weights{1, 2, 3, 4};
  const u32 s = w.add_service("a", weights);
  constexpr u32 kClients = 100'000;
  std::vector<u32> count(4);
  for (u32 client = 0; client < kClients; ++client) ++count[w.pick(s, client).endpoint];
  for (u32 i = 0; i < 4; ++i) {
    const double expected = kClients * weights[i] / 10.0;
    EXPECT_NEAR(count[i], expected, 5 * std::sqrt(expected) + expected * 0.02) << i;
  }
}

TEST(PickMaglev, EndpointDies_OnlyItsShareMovesAndComesBackWithIt) {
  World w;
  const u32 s = w.add_service("a", ones(10));
  Death death = death_of(w, s, 3);
  EXPECT_EQ(death.strayed, 0u);
  EXPECT_EQ(death.lost, 0u);
  // What it had is spread over all the others, not dumped on a neighbour.
  EXPECT_EQ(std::exchange(death.heirs[3], 222), 0u);
  for (u32 i = 0; i < 10; ++i) EXPECT_NEAR(death.heirs[i], 2000.0 / 9, 100) << i;
}

TEST(PickMaglev, WalkOverUnhealthySlots_IsDeterministicAndCountsThem) {
  World w;
  const u32 s = w.add_service("a", ones(10));
  w.service(s).panic_percent = 0;
  for (u32 i = 0; i < 10; i += 2) w.set_health(s, i, contract::kHealthEjected);
  for (u32 client = 0; client < 2000; ++client) {
    const Pick p = w.pick(s, client);
    // The first healthy slot at or after the hashed one, worked out by hand.
    u32 slot = p.slot, steps = 0;
    while (w.service(s).maglev[slot] % 2 == 0) slot = (slot + 1) % 65'537, ++steps;
    ASSERT_LT(steps, contract::kPickWalkMax);
    EXPECT_EQ(p.endpoint, w.service(s).maglev[slot]);
    EXPECT_EQ(p.walked, steps);
    EXPECT_EQ(w.pick(s, client).endpoint, p.endpoint);
  }
}

TEST(PickMaglev, OneHealthyOfMany_IsFoundWithinTheBoundOfTheWalk) {
  World w;
  const u32 s = w.add_service("a", ones(500));
  w.service(s).panic_percent = 0;
  w.service(s).bound_percent = 0;
  for (u32 i = 0; i < 500; ++i)
    if (i != 77) w.set_health(s, i, contract::kHealthFailing);
  for (u32 client = 0; client < 300; ++client) {
    const Pick p = w.pick(s, client);
    EXPECT_EQ(p.endpoint, 77u);
    EXPECT_LE(p.walked, contract::kPickWalkMax + 500);
  }
}

TEST(PickMaglev, WalkExhausted_SpreadsOverTheHealthyOnes) {
  World w;
  const u32 s = w.add_service("a", ones(1000));
  w.service(s).panic_percent = 0;
  w.service(s).bound_percent = 0;
  for (u32 i = 0; i < 1000; ++i)
    if (i % 250 != 0) w.set_health(s, i, contract::kHealthFailing);
  std::map<u32, u32> count;
  for (u32 client = 0; client < 4000; ++client) ++count[w.pick(s, client).endpoint];
  ASSERT_EQ(count.size(), 4u);
  for (const auto& [endpoint, n] : count) EXPECT_NEAR(n, 1000, 250) << endpoint;
}

TEST(PickMaglev, Regret23_LastEndpointRemoved_PicksNoneAlthoughAnOldTableIsLeft) {
  World w;
  const u32 s = w.add_service("a", ones(3));
  ASSERT_NE(w.pick(s, 1).endpoint, kNone32);
  w.service(s).endpoint_count = 0;
  ++w.plan.generation;
  EXPECT_EQ(w.pick(s, 1).endpoint, kNone32);
  const u32 empty = w.add_service("b", {});
  EXPECT_EQ(w.pick(empty, 1).endpoint, kNone32);
}

TEST(PickPanic, BelowTheThreshold_HealthIsIgnored) {
  World w;
  const u32 s = w.add_service("a", ones(10));
  for (u32 i = 0; i < 6; ++i) w.set_health(s, i, contract::kHealthFailing);  // 40 % are healthy
  std::set<u32> seen;
  bool panic = false;
  for (u32 client = 0; client < 500; ++client) {
    const Pick p = w.pick(s, client);
    seen.insert(p.endpoint);
    panic |= p.panic;
    EXPECT_EQ(p.walked, 0u);
  }
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_TRUE(panic);
}

TEST(PickPanic, AtTheThreshold_HealthStillCounts) {
  World w;
  const u32 s = w.add_service("a", ones(10));
  for (u32 i = 0; i < 5; ++i) w.set_health(s, i, contract::kHealthFailing);
  for (u32 client = 0; client < 500; ++client) {
    const Pick p = w.pick(s, client);
    EXPECT_GE(p.endpoint, 5u);
    EXPECT_FALSE(p.panic);
  }
}

TEST(PickPanic, UnprovenAndDraining_AreNotUsedEvenThen) {
  World w;
  const u32 s = w.add_service("a", ones(4));
  w.set_health(s, 0, contract::kHealthUnproven);
  w.set_health(s, 1, contract::kHealthDraining | contract::kHealthFailing);
  w.set_health(s, 2, contract::kHealthFailing);
  w.set_health(s, 3, contract::kHealthEjected);
  std::set<u32> seen;
  for (u32 client = 0; client < 200; ++client) seen.insert(w.pick(s, client).endpoint);
  EXPECT_EQ(seen, (std::set<u32>{2, 3}));
}

TEST(PickPanic, TurnedOff_NothingHealthyPicksNone) {
  World w;
  const u32 s = w.add_service("a", ones(4));
  w.service(s).panic_percent = 0;
  for (u32 i = 0; i < 4; ++i) w.set_health(s, i, contract::kHealthFailing);
  EXPECT_EQ(w.pick(s, 1).endpoint, kNone32);
}

TEST(PickAvoid, HeavyEndpointAvoidedInTurn_TheLightOneServes) {
  World w;
  const u32 s = w.add_service("a", {60'000, 1}, BalancePolicy::round_robin);
  const std::vector<u32> avoid{0};
  for (int i = 0; i < 50; ++i) EXPECT_EQ(w.pick(s, 1, avoid).endpoint, 1u);
}

TEST(PickBound, EveryEndpoint_StaysBelowItsFactor) {
  World w;
  EXPECT_EQ(picks_over_bound(w, w.add_service("a", ones(10)), 50'000), 0u);
}

TEST(PickBound, Unbounded_FollowsTheHashAlone) {
  World w;
  const u32 s = w.add_service("a", ones(10));
  w.service(s).bound_percent = 0;
  const u32 home = w.pick(s, 1).endpoint;
  for (int i = 0; i < 200; ++i) {
    const Pick p = w.pick(s, 1);
    w.begin(p, s);
    ASSERT_EQ(p.endpoint, home);
  }
}

TEST(PickBound, Weights_ScaleTheBound) {
  World w;
  const u32 s = w.add_service("a", {1, 3});
  std::vector<u32> held(2);
  for (u32 i = 0; i < 400; ++i) {
    const Pick p = w.pick(s, 1);
    w.begin(p, s);
    ++held[p.endpoint];
  }
  EXPECT_LE(held[0], 126u);
  EXPECT_LE(held[1], 376u);
  EXPECT_EQ(held[0] + held[1], 400u);
}

TEST(PickBound, HalfDead_TheBoundIsMeasuredAgainstTheLiving) {
  World w;
  const u32 s = w.add_service("a", ones(10));
  for (u32 i = 0; i < 5; ++i) w.set_health(s, i, contract::kHealthFailing);
  for (u32 i = 0; i < 500; ++i) {
    const Pick p = w.pick(s, i);
    EXPECT_FALSE(p.over_bound) << i;
    w.begin(p, s);
  }
  for (u32 i = 5; i < 10; ++i) EXPECT_LE(w.stats->endpoints[i].active.get(), 126u);
}

TEST(PickBound, EverybodyOver_FirstHealthyOneIsTakenAndSaidSo) {
  World w;
  const u32 s = w.add_service("a", ones(2));
  w.stats->endpoints[0].active.set(100);
  w.stats->endpoints[1].active.set(100);  // the service's own count lags behind: every share looks exceeded
  const Pick p = w.pick(s, 1);
  EXPECT_EQ(p.endpoint, w.service(s).maglev[p.slot]);
  EXPECT_TRUE(p.over_bound);
}

TEST(PickRoundRobin, EqualWeights_SpreadExactly) {
  World w;
  const u32 s = w.add_service("a", ones(7), BalancePolicy::round_robin);
  std::vector<u32> count(7);
  for (int i = 0; i < 7 * 100; ++i) ++count[w.pick(s, 1).endpoint];
  EXPECT_EQ(count, std::vector<u32>(7, 100));
}

TEST(PickRoundRobin, Weights_AreMetExactlyInEveryCycleAndSmoothly) {
  World w;
  const std::vector<u16> weights{5, 1, 3};
  const u32 s = w.add_service("a", weights, BalancePolicy::round_robin);
  for (int cycle = 0; cycle < 20; ++cycle) {
    std::vector<u32> count(3);
    for (int i = 0; i < 9; ++i) ++count[w.pick(s, 1).endpoint];
    EXPECT_EQ(count, (std::vector<u32>{5, 1, 3}));
  }
  u32 run = 0, longest = 0, last = kNone32;
  for (int i = 0; i < 90; ++i) {
    const u32 now = w.pick(s, 1).endpoint;
    run = now == last ? run + 1 : 1;
    longest = std::max(longest, run);
    last = now;
  }
  EXPECT_LE(longest, 3u);
}

TEST(PickRoundRobin, EndpointReturns_WithoutABurst) {
  World w;
  const u32 s = w.add_service("a", {4, 1}, BalancePolicy::round_robin);
  w.set_health(s, 1, contract::kHealthFailing);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(w.pick(s, 1).endpoint, 0u);
  w.set_health(s, 1, 0);
  std::vector<u32> count(2);
  for (int i = 0; i < 50; ++i) ++count[w.pick(s, 1).endpoint];
  EXPECT_NEAR(count[1], 10, 1);
}

TEST(PickRoundRobin, UnhealthyOnes_AreSkippedAndTheOthersShareEvenly) {
  World w;
  const u32 s = w.add_service("a", ones(5), BalancePolicy::round_robin);
  w.set_health(s, 2, contract::kHealthFailing);
  std::vector<u32> count(5);
  for (int i = 0; i < 400; ++i) ++count[w.pick(s, 1).endpoint];
  EXPECT_EQ(count, (std::vector<u32>{100, 100, 0, 100, 100}));
}

TEST(PickRoundRobin, Cores_BeginAtDifferentEndpoints) {
  World w;
  const u32 s = w.add_service("a", ones(16), BalancePolicy::round_robin);
  const TestHead head("GET", "/");
  std::set<u32> first;
  for (u32 core = 0; core < 8; ++core) {
    auto router = std::make_unique<route::Router>(*w.board, *w.stats, core);
    first.insert(router->pick(w.plan, s, *head, wire::Ip4{1}, 1).endpoint);
  }
  EXPECT_GE(first.size(), 6u);
}

TEST(PickRoundRobin, PlanShrinks_TheTurnStaysWithinIt) {
  World w;
  const u32 s = w.add_service("a", ones(5), BalancePolicy::round_robin);
  for (int i = 0; i < 4; ++i) w.pick(s, 1);
  w.service(s).endpoint_count = 2;
  ++w.plan.generation;
  for (int i = 0; i < 20; ++i) EXPECT_LT(w.pick(s, 1).endpoint, 2u);
}

// One row for each key: two requests that share the key land together, and the key decides.
struct KeyCase {
  const char* name;
  HashOn on;
  const char* key_name;
  const char* target_of(int i) const { return i == 0 ? "/p0?user=u0&x=1" : i == 1 ? "/p1?x=2&user=u1" : "/p0?y&user=u0"; }
};

TEST(PickKey, HeaderCookiePathAndQuery_DecideTheSlot) {
  const KeyCase cases[] = {{"header", HashOn::header, "x-user"},
                           {"cookie", HashOn::cookie, "sid"},
                           {"path", HashOn::path, ""},
                           {"query", HashOn::query, "user"}};
  for (const auto& c : cases) {
    World w;
    const u32 s = w.add_service("a", ones(50));
    w.service(s).hash_on = c.on;
    w.service(s).hash_name = c.key_name;
    const auto hash = [&](int i, u32 client) {
      const std::string user = i == 1 ? "u1" : "u0";
      const TestHead head("GET", c.target_of(i), "h", {{"X-User", user}, {"Cookie", "a=b; sid=" + user}});
      return w.router->pick(w.plan, s, *head, wire::Ip4{client}, 1).hash;
    };
    EXPECT_EQ(hash(0, 1), hash(2, 99)) << c.name;
    EXPECT_NE(hash(0, 1), hash(1, 1)) << c.name;
  }
}

TEST(PickKey, MissingKey_FallsBackToTheSource) {
  World w;
  const u32 s = w.add_service("a", ones(50));
  const u64 by_source = w.pick(s, 1234).hash;
  for (const auto on : {HashOn::header, HashOn::cookie, HashOn::query}) {
    w.service(s).hash_on = on;
    w.service(s).hash_name = "absent";
    EXPECT_EQ(w.pick(s, 1234).hash, by_source);
  }
}

TEST(PickKey, PerRequest_SpreadsOneClient) {
  World w;
  const u32 s = w.add_service("a", ones(10));
  w.service(s).hash_on = HashOn::request;
  std::vector<u32> count(10);
  for (int i = 0; i < 20'000; ++i) ++count[w.pick(s, 1).endpoint];
  for (const u32 n : count) EXPECT_NEAR(n, 2000, 5 * std::sqrt(2000.0) + 40);
}

TEST(PickKey, Cookie_IsFoundAmongSeveralFieldsAndWholeNamesOnly) {
  const TestHead head("GET", "/", "h", {{"Cookie", "xsid=1;  theme=dark"}, {"cookie", "sid=7"}});
  EXPECT_EQ(route::find_cookie(*head, "sid"), "7");
  EXPECT_EQ(route::find_cookie(*head, "theme"), "dark");
  EXPECT_EQ(route::find_cookie(*head, "SID"), std::nullopt);
}

}  // namespace
}  // namespace ringway::test
