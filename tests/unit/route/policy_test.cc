// Every policy against its definition: shares by chi-square (pool_world.h argues the sample sizes), with weights, with
// unhealthy endpoints, in slow start. All draws come from fixed seeds, so a test that passes once passes always.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "tests/unit/route/keys.h"
#include "tests/unit/route/pool_world.h"

namespace ringway::test {
namespace {

using contract::BalancePolicy;
using contract::HashOn;
using contract::kHealthFailing;
using route::Pick;

constexpr u32 kPicks = 100'000;

std::vector<EndpointSpec> of_weights(const std::vector<u16>& weights) {
  std::vector<EndpointSpec> out;
  for (const u16 w : weights) out.push_back({.weight = w});
  return out;
}
std::vector<EndpointSpec> alike(u32 n) { return std::vector<EndpointSpec>(n); }

// ---- random

TEST(PolicyRandom, Shares_FollowWeights) {
  for (const std::vector<u16>& weights : {std::vector<u16>(10, 1), std::vector<u16>{1, 2, 3, 4, 40}, std::vector<u16>{60'000, 1000, 7000}}) {
    PoolWorld w;
    const u32 s = w.add(balancing(BalancePolicy::random), of_weights(weights));
    EXPECT_FOLLOWS(w.picks(s, kPicks), std::vector<double>(weights.begin(), weights.end()));
  }
}

TEST(PolicyRandom, UnhealthyOnes_GiveTheirSharesToAllOthersByWeight) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::random), of_weights({4, 1, 2, 3, 5, 5}));
  w.set_health(s, 0, kHealthFailing);
  w.set_health(s, 4, kHealthFailing);
  EXPECT_FOLLOWS(w.picks(s, kPicks), (std::vector<double>{0, 1, 2, 3, 0, 5}));
}

TEST(PolicyRandom, FewHealthyOnesOfMany_StillShareByWeight) {
  PoolWorld w;
  std::vector<u16> weights(60, 7);
  weights[11] = 1, weights[12] = 2, weights[40] = 3;
  const u32 s = w.add(balancing(BalancePolicy::random), of_weights(weights));
  w.service(s).panic_percent = 0;
  std::vector<double> shares(60);
  for (u32 i = 0; i < 60; ++i) {
    if (i == 11 || i == 12 || i == 40) {
      shares[i] = weights[i];
    } else {
      w.set_health(s, i, kHealthFailing);
    }
  }
  EXPECT_FOLLOWS(w.picks(s, kPicks), shares);
}

TEST(PolicyRandom, TwoCores_DrawDifferently) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::random), alike(8));
  const auto other = std::make_unique<route::Router>(*w.board, *w.stats, 1);
  const TestHead head("GET", "/");
  u32 same = 0;
  for (u32 i = 0; i < 8000; ++i)
    same += w.pick(s, 1).endpoint == other->pick(w.plan, s, *head, wire::Ip4{1}, 1).endpoint;
  EXPECT_NEAR(same, 1000, 150);  // an eighth, and five standard deviations of 30
}

// ---- least request

// Of `d` draws with replacement among n, the least busy one has rank r with this probability.
std::vector<double> best_of(u32 n, u32 d) {
  std::vector<double> out;
  for (u32 r = 0; r < n; ++r) out.push_back(std::pow(1.0 - r / double(n), d) - std::pow(1.0 - (r + 1) / double(n), d));
  return out;
}

TEST(PolicyLeastRequest, BestOfSoManyDraws_IsTaken) {
  for (const u32 choices : {2u, 5u}) {
    PoolWorld w;
    auto how = balancing(BalancePolicy::least_request);
    how.choices = choices;
    const u32 s = w.add(how, alike(10));
    for (u32 i = 0; i < 10; ++i) w.set_active(s, i, 3 * i);
    EXPECT_FOLLOWS(w.picks(s, kPicks), best_of(10, choices)) << choices;
  }
}

TEST(PolicyLeastRequest, UnhealthyOnes_AreNotAmongTheDraws) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::least_request), alike(12));
  for (u32 i = 0; i < 12; ++i) w.set_active(s, i, i);
  w.set_health(s, 0, kHealthFailing);
  w.set_health(s, 7, kHealthFailing);
  std::vector<double> shares = best_of(10, 2);
  shares.insert(shares.begin() + 6, 0.0);  // place 7, once place 0 has moved it
  shares.insert(shares.begin(), 0.0);
  EXPECT_FOLLOWS(w.picks(s, kPicks), shares);
}

TEST(PolicyLeastRequest, AllBusyAlike_SharesAreEven) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::least_request), alike(10));
  EXPECT_FOLLOWS(w.picks(s, kPicks), std::vector<double>(10, 1));
}

TEST(PolicyLeastRequest, OtherCoresRequests_CountAsWell) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::least_request), alike(4));
  const auto other = std::make_unique<contract::CoreStats>();
  w.router->watch({other.get()});
  for (u32 i = 0; i < 4; ++i) {
    w.set_active(s, i, 10);
    other->endpoints[w.endpoint(s, i).slot].active.set(3 - i);
  }
  std::vector<double> shares = best_of(4, 2);
  std::reverse(shares.begin(), shares.end());
  EXPECT_FOLLOWS(w.picks(s, kPicks), shares);
}

TEST(PolicyLeastRequest, WithWeights_SharesFollowWeightOverActivePlusOne) {
  PoolWorld w;
  const std::vector<u16> weights{1, 2, 4, 100, 7, 7};
  const std::vector<u64> active{0, 3, 1, 49, 0, 2000};
  const u32 s = w.add(balancing(BalancePolicy::least_request), of_weights(weights));
  std::vector<double> shares;
  for (u32 i = 0; i < weights.size(); ++i) {
    w.set_active(s, i, active[i]);
    shares.push_back(weights[i] / double(active[i] + 1));
  }
  EXPECT_FOLLOWS(w.picks(s, kPicks), shares);
  w.set_health(s, 3, kHealthFailing);
  shares[3] = 0;
  EXPECT_FOLLOWS(w.picks(s, kPicks), shares);
}

TEST(PolicyLeastRequest, ManyWithWeights_SharesStillFollowThem) {
  PoolWorld w;
  // Two weights in turn, so that every window of neighbours has as much of each.
  std::vector<u16> weights;
  for (u32 i = 0; i < 300; ++i) weights.push_back(i % 2 == 0 ? 1 : 3);
  const u32 s = w.add(balancing(BalancePolicy::least_request), of_weights(weights));
  EXPECT_FOLLOWS(w.picks(s, 600'000), std::vector<double>(weights.begin(), weights.end()));
}

TEST(PolicyLeastRequest, RequestsThatTakeLonger_DrawFewerNewOnes) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::least_request), alike(4));
  // Each request lasts 40 picks, on endpoint 0 four times as long.
  std::deque<std::pair<u32, u32>> ends;  // pick, endpoint
  std::vector<u64> count(4);
  for (u32 now = 0; now < 20'000; ++now) {
    const Pick p = w.pick(s, now);
    w.begin(p, s);
    ++count[p.endpoint];
    ends.push_back({now + (p.endpoint == 0 ? 160 : 40), p.endpoint});
    std::sort(ends.begin(), ends.end());
    for (; !ends.empty() && ends.front().first <= now; ends.pop_front()) w.end(ends.front().second, s);
  }
  // In turn it would have 5000. That it is slow shows in its count of active ones, which the draws even out.
  EXPECT_LT(count[0], 3000u);
  EXPECT_GT(count[0], 500u);
}

// ---- ring hash

TEST(PolicyRingHash, Keys_GoToTheFirstPointAtOrAfterTheirHash) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::ring_hash), of_weights({1, 2, 1, 3}));
  const lookup::Ring& ring = w.service(s).pools.list[0].ring;
  ASSERT_GE(ring.size(), 1024u);
  for (u32 client = 0; client < 5000; ++client) {
    const Pick p = w.pick(s, client);
    const auto at = std::lower_bound(ring.hashes.begin(), ring.hashes.end(), p.hash) - ring.hashes.begin();
    const u32 point = at == std::ssize(ring.hashes) ? 0 : static_cast<u32>(at);
    ASSERT_EQ(p.slot, point);
    ASSERT_EQ(p.endpoint, w.service(s).first_endpoint + ring.owners[point]);
    ASSERT_EQ(p.walked, 0u);
  }
}

// Shares of the circle by endpoint: what keys follow if they are spread evenly.
std::vector<double> arcs(const lookup::Ring& ring, u32 endpoints) {
  std::vector<double> out(endpoints);
  for (u32 i = 0; i < ring.size(); ++i)
    out[ring.owners[i]] += static_cast<double>(ring.hashes[i] - (i == 0 ? ring.hashes.back() : ring.hashes[i - 1]));
  return out;
}

TEST(PolicyRingHash, Keys_FollowTheArcs) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::ring_hash), of_weights({1, 2, 3, 4, 5, 5, 5, 5}));
  EXPECT_FOLLOWS(w.picks(s, kPicks), arcs(w.service(s).pools.list[0].ring, 8));
}

TEST(PolicyRingHash, OneEndpointDies_NoOtherKeyMovesAndItsKeysSpread) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::ring_hash), alike(10));
  Death death = death_of(w, s, 3);
  EXPECT_EQ(death.strayed, 0u);
  EXPECT_EQ(death.lost, 0u);
  // About 2000 keys over 102 arcs, whose lengths vary by their mean: nobody gets nothing, nobody gets half.
  EXPECT_EQ(std::exchange(death.heirs[3], 222), 0u);
  for (u32 i = 0; i < 10; ++i) EXPECT_TRUE(death.heirs[i] > 40 && death.heirs[i] < 700) << i << " " << death.heirs[i];
}

TEST(PolicyRingHash, EveryEndpoint_StaysBelowTheBound) {
  PoolWorld w;
  EXPECT_EQ(picks_over_bound(w, w.add(balancing(BalancePolicy::ring_hash), alike(10)), 20'000), 0u);
}

TEST(PolicyRingHash, Unbounded_OneKeyStaysWithItsEndpoint) {
  PoolWorld w;
  auto how = balancing(BalancePolicy::ring_hash);
  how.bound_percent = 0;
  const u32 s = w.add(how, alike(10));
  const u32 home = w.pick(s, 1).endpoint;
  for (int i = 0; i < 200; ++i) {
    const Pick p = w.pick(s, 1);
    ASSERT_EQ(p.endpoint, home);
    w.begin(p, s);
  }
}

// ---- slow start

constexpr u64 kSecond = 1'000'000;

config::BalancingConfig slow(BalancePolicy policy) {
  auto how = balancing(policy);
  how.slow_start_us = 10 * kSecond;
  return how;
}

TEST(SlowStart, Share_GrowsAsTheFormulaSays) {
  struct Row {
    double aggression;
    u32 min_percent;
    double at;  // part of the window
    double share;
  };
  // max(min, at ^ (1 / aggression)), by hand
  constexpr Row kRows[] = {{1, 10, 0, 0.1},     {1, 10, 0.05, 0.1}, {1, 10, 0.5, 0.5},  {1, 10, 0.9, 0.9},   {1, 10, 1, 1},
                           {2, 10, 0.25, 0.5},  {2, 10, 0.81, 0.9}, {0.5, 1, 0.5, 0.25}, {0.5, 30, 0.5, 0.3}, {1, 100, 0, 1}};
  for (const Row& row : kRows) {
    PoolWorld w;
    auto how = slow(BalancePolicy::round_robin);
    how.aggression = row.aggression;
    how.min_weight_percent = row.min_percent;
    const auto& start = w.service(w.add(how, alike(2))).pools.slow_start;
    const u32 share = start.share_after(static_cast<u64>(row.at * 10 * kSecond));
    // Steps of a 64th of the window: the curve rises by at most two 64ths in one where it is measured.
    EXPECT_NEAR(share / 65536.0, row.share, 2.0 / 64) << row.aggression << " " << row.at;
  }
  EXPECT_EQ(contract::SlowStart{}.share_after(0), contract::SlowStart::kFull);
}

TEST(SlowStart, EndpointThatReturns_GetsItsShareByAndBy) {
  for (const auto policy : {BalancePolicy::round_robin, BalancePolicy::random, BalancePolicy::least_request}) {
    PoolWorld w;
    w.board->at(kSecond);
    const u32 s = w.add(slow(policy), alike(5));
    w.board->at(100 * kSecond);
    for (u32 i = 0; i < 5; ++i) w.set_active(s, i, 1);
    w.set_health(s, 2, kHealthFailing);
    w.picks(s, 1000);
    w.set_health(s, 2, 0);  // its slow start begins
    for (const auto& [after_s, share] : {std::pair(0, 0.1), std::pair(5, 0.5), std::pair(8, 0.8), std::pair(10, 1.0), std::pair(90, 1.0)}) {
      w.board->at((100 + static_cast<u64>(after_s)) * kSecond);
      // Steps of a 64th of the window, looked at in their middle: 0.5 is 0.508.
      const double step = after_s == 0 || share == 1 ? 0 : 0.5 / 64 + (after_s == 8 ? -0.2 / 64 : 0);
      const std::vector<u64> count = w.picks(s, kPicks);
      EXPECT_FOLLOWS(count, (std::vector<double>{1, 1, share + step, 1, 1})) << static_cast<int>(policy) << " after " << after_s;
    }
  }
}

TEST(SlowStart, EverybodyAtOnce_SharesByWeight) {
  for (const auto policy : {BalancePolicy::round_robin, BalancePolicy::random, BalancePolicy::least_request}) {
    PoolWorld w;
    const u32 s = w.add(slow(policy), of_weights({1, 2, 3}));
    w.board->at(50 * kSecond);
    for (u32 i = 0; i < 3; ++i) {
      w.set_health(s, i, kHealthFailing);
      w.set_health(s, i, 0);
    }
    w.board->at(52 * kSecond);
    EXPECT_FOLLOWS(w.picks(s, kPicks), (std::vector<double>{1, 2, 3})) << static_cast<int>(policy);
  }
}

TEST(SlowStart, HealthThatOnlyChangesItsReason_StartsNothing) {
  contract::HealthBoard board;
  board.at(7);
  board.store(3, kHealthFailing);
  board.store(3, 0);
  board.at(9);
  board.store(3, 0);
  EXPECT_EQ(board.healthy_us(3), 2u);
  board.store(3, contract::kHealthEjected);
  board.store(3, 0);
  EXPECT_EQ(board.healthy_us(3), 0u);
}

// ---- round robin, in a pool

TEST(PolicyRoundRobin, InAPool_TurnsAreAsExactAsWithout) {
  PoolWorld w;
  const u32 s = w.add(slow(BalancePolicy::round_robin), of_weights({5, 1, 3}));
  w.board->at(3600 * kSecond);
  for (int cycle = 0; cycle < 20; ++cycle) EXPECT_EQ(w.picks(s, 9), (std::vector<u64>{5, 1, 3}));
}

// ---- whatever the policy

const BalancePolicy kPolicies[] = {BalancePolicy::maglev, BalancePolicy::round_robin, BalancePolicy::least_request,
                                   BalancePolicy::ring_hash, BalancePolicy::random};

class EveryPolicy : public testing::TestWithParam<BalancePolicy> {};
INSTANTIATE_TEST_SUITE_P(Policy, EveryPolicy, testing::ValuesIn(kPolicies));

TEST_P(EveryPolicy, Avoided_AreTakenOnlyWhenNothingElseIsLeft) {
  PoolWorld w;
  const u32 s = w.add(balancing(GetParam()), of_weights({1, 2, 3}));
  const std::vector<u32> avoid{0, 2}, everyone{0, 1, 2};
  for (u32 client = 0; client < 200; ++client) ASSERT_EQ(w.pick(s, client, avoid).endpoint, 1u);
  w.set_health(s, 1, kHealthFailing);
  for (u32 client = 0; client < 200; ++client) ASSERT_NE(w.pick(s, client, avoid).endpoint, 1u);
  EXPECT_NE(w.pick(s, 9, everyone).endpoint, kNone32);
}

TEST_P(EveryPolicy, BelowThePanicThreshold_HealthIsIgnoredButNotWhatNeverWas) {
  PoolWorld w;
  const u32 s = w.add(balancing(GetParam()), alike(10));
  w.set_health(s, 0, contract::kHealthUnproven);
  w.set_health(s, 1, contract::kHealthDraining);
  for (u32 i = 2; i < 7; ++i) w.set_health(s, i, kHealthFailing);
  const std::vector<u64> count = w.picks(s, 20'000);
  EXPECT_EQ(count[0] + count[1], 0u);
  for (u32 i = 2; i < 10; ++i) EXPECT_GT(count[i], 500u) << i;
  w.service(s).panic_percent = 0;
  ++w.plan.generation;
  const std::vector<u64> calm = w.picks(s, 20'000);
  for (u32 i = 0; i < 10; ++i) EXPECT_EQ(calm[i] > 0, i >= 7) << i;
}

TEST_P(EveryPolicy, NobodyProven_PicksNone) {
  PoolWorld w;
  const u32 s = w.add(balancing(GetParam()), alike(4));
  for (u32 i = 0; i < 4; ++i) w.set_health(s, i, contract::kHealthUnproven);
  EXPECT_EQ(w.pick(s, 1).endpoint, kNone32);
  w.set_health(s, 2, 0);
  EXPECT_EQ(w.pick(s, 1).endpoint, 2u);
}

TEST_P(EveryPolicy, AllDieBetweenTwoPicks_IsSeenAtOnce) {
  PoolWorld w;
  const u32 s = w.add(balancing(GetParam()), alike(100));
  w.set_health(s, 0, kHealthFailing);
  for (u32 client = 0; client < 50; ++client) w.pick(s, client);  // a count is remembered
  for (u32 i = 0; i < 100; ++i) w.set_health(s, i, kHealthFailing);
  EXPECT_TRUE(w.pick(s, 7).panic);
  EXPECT_NE(w.pick(s, 7).endpoint, kNone32);
}

}  // namespace
}  // namespace ringway::test
