// What comes before the policy: priorities, zones, subsets, and cookies that the gateway makes.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "dataplane/route/key.h"
#include "tests/unit/route/pool_world.h"

namespace ringway::test {
namespace {

using contract::BalancePolicy;
using contract::HashOn;
using contract::kHealthFailing;
using route::Pick;

constexpr u32 kDraws = 100'000;
const BalancePolicy kEach[] = {BalancePolicy::maglev, BalancePolicy::round_robin, BalancePolicy::least_request,
                               BalancePolicy::ring_hash, BalancePolicy::random};

class PoolsOf : public testing::TestWithParam<BalancePolicy> {};
INSTANTIATE_TEST_SUITE_P(Policy, PoolsOf, testing::ValuesIn(kEach));

// So many endpoints of each priority.
std::vector<EndpointSpec> levels(const std::vector<u32>& counts) {
  std::vector<EndpointSpec> out;
  for (u8 p = 0; p < counts.size(); ++p)
    for (u32 i = 0; i < counts[p]; ++i) out.push_back({.priority = p});
  return out;
}
u64 sum(const std::vector<u64>& count, u32 first, u32 n) {
  u64 out = 0;
  for (u32 i = first; i < first + n; ++i) out += count[i];
  return out;
}

TEST_P(PoolsOf, Priorities_TheBestLevelTakesEverythingWhileItCan) {
  PoolWorld w;
  const u32 s = w.add(balancing(GetParam()), levels({10, 10}));
  for (u32 i = 0; i < 2; ++i) w.set_health(s, i, kHealthFailing);  // 80 %: more than 72
  EXPECT_EQ(sum(w.picks(s, 5000), 10, 10), 0u);
}

TEST_P(PoolsOf, Priorities_LevelsSpillAsTheTableSays) {
  PoolWorld w;
  const u32 s = w.add(balancing(GetParam()), levels({10, 10}));
  for (u32 i = 0; i < 5; ++i) w.set_health(s, i, kHealthFailing);  // 50 %: 70 to 30
  const std::vector<u64> count = w.picks(s, kDraws);
  // Four standard deviations of 145; a percent more or less would be 1000.
  EXPECT_NEAR(static_cast<double>(sum(count, 5, 5)), kDraws * 0.7, 600);
  EXPECT_NEAR(static_cast<double>(sum(count, 10, 10)), kDraws * 0.3, 600);
  EXPECT_EQ(sum(count, 0, 5), 0u);
}

TEST_P(PoolsOf, Priorities_LevelDiesBetweenTwoPicks_TheNextTakesOverAtOnce) {
  PoolWorld w;
  const u32 s = w.add(balancing(GetParam()), levels({20, 3}));
  w.picks(s, 100);
  for (u32 i = 0; i < 20; ++i) w.set_health(s, i, kHealthFailing);
  for (u32 client = 0; client < 500; ++client) {
    const Pick p = w.pick(s, client);
    ASSERT_GE(p.endpoint, 20u);
    ASSERT_FALSE(p.panic);
  }
  for (u32 i = 0; i < 20; ++i) w.set_health(s, i, 0);
  w.picks(s, 200);  // until it is counted again
  EXPECT_EQ(sum(w.picks(s, 2000), 20, 3), 0u);
}

TEST_P(PoolsOf, Priorities_AvoidedLevel_TheNextOneIsAskedFirst) {
  PoolWorld w;
  const u32 s = w.add(balancing(GetParam()), levels({2, 2}));
  const std::vector<u32> avoid{0, 1};
  for (u32 client = 0; client < 100; ++client) ASSERT_GE(w.pick(s, client, avoid).endpoint, 2u);
}

TEST_P(PoolsOf, Priorities_NobodyHealthyAnywhere_AllLevelsPanicByTheirSize) {
  PoolWorld w;
  const u32 s = w.add(balancing(GetParam()), levels({6, 2}));
  for (u32 i = 0; i < 8; ++i) w.set_health(s, i, kHealthFailing);
  const std::vector<u64> count = w.picks(s, 20'000);
  EXPECT_NEAR(static_cast<double>(sum(count, 0, 6)), 15'000, 400);  // 75 %, six standard deviations
}

TEST(Priorities, OneLevelInPanic_TheOtherNot) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::random), levels({10, 10}));
  for (u32 i = 0; i < 4; ++i) w.set_health(s, i, kHealthFailing);          // 60 %: 84
  for (u32 i = 10; i < 19; ++i) w.set_health(s, i, kHealthFailing);        // 10 %: 14; 98 in all
  const std::vector<u64> count = w.picks(s, kDraws);
  for (u32 i = 0; i < 4; ++i) EXPECT_EQ(count[i], 0u) << i;
  std::vector<double> shares(20);
  for (u32 i = 4; i < 10; ++i) shares[i] = 86.0 / 6;  // 85 of 98 in a hundred, and 1 that rounding leaves
  for (u32 i = 10; i < 20; ++i) shares[i] = 14.0 / 10;
  EXPECT_FOLLOWS(count, shares);
}

TEST(Priorities, KeyKeepsItsLevelAndItsEndpoint) {
  for (const auto policy : {BalancePolicy::maglev, BalancePolicy::ring_hash}) {
    PoolWorld w;
    const u32 s = w.add(balancing(policy), levels({10, 10}));
    for (u32 i = 0; i < 5; ++i) w.set_health(s, i, kHealthFailing);
    for (u32 client = 0; client < 500; ++client) {
      const u32 home = w.pick(s, client).endpoint;
      for (int again = 0; again < 3; ++again) ASSERT_EQ(w.pick(s, client).endpoint, home);
    }
  }
}

// The bound is measured by the pool's part of the service's exchanges.
TEST(Priorities, BoundHoldsInTheLevelThatHasAllTheLoad) {
  PoolWorld w;
  const u32 s = w.add(balancing(BalancePolicy::maglev), levels({10, 90}));
  for (u32 i = 0; i < 1000; ++i) w.begin(w.pick(s, 1), s);  // one key
  for (u32 i = 0; i < 10; ++i) EXPECT_LE(w.stats->endpoints[i].active.get(), 130u) << i;
  EXPECT_EQ(w.stats->services[w.service(s).slot].active.get(), 1000u);
}

// ---- zones

std::vector<EndpointSpec> zones(const std::vector<std::pair<std::string, u32>>& counts) {
  std::vector<EndpointSpec> out;
  for (const auto& [zone, n] : counts)
    for (u32 i = 0; i < n; ++i) out.push_back({.zone = zone});
  return out;
}
config::BalancingConfig zone_aware(BalancePolicy policy) {
  auto how = balancing(policy);
  how.zone.aware = true;
  return how;
}

class ZonesOf : public testing::TestWithParam<BalancePolicy> {};
INSTANTIATE_TEST_SUITE_P(Policy, ZonesOf,
                         testing::Values(BalancePolicy::round_robin, BalancePolicy::least_request, BalancePolicy::random));

TEST_P(ZonesOf, OwnZoneThatHasItsPart_KeepsEverything) {
  PoolWorld w;
  const u32 s = w.add(zone_aware(GetParam()), zones({{"a", 4}, {"b", 4}, {"c", 4}}), "b");
  EXPECT_FOLLOWS(w.picks(s, kDraws), (std::vector<double>{0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0}));
}

TEST_P(ZonesOf, OwnZoneThatHasLess_SpillsWhatItCannotTake) {
  PoolWorld w;
  const u32 s = w.add(zone_aware(GetParam()), zones({{"a", 5}, {"b", 1}, {"c", 4}}), "b");
  // The part of a zone is a third; b has 0.1, so it keeps 0.3. a has 0.5 - 1/3 to spare, c 0.4 - 1/3: 5 to 2.
  std::vector<double> shares(10);
  for (u32 i = 0; i < 5; ++i) shares[i] = 0.7 * 5 / 7 / 5;
  shares[5] = 0.3;
  for (u32 i = 6; i < 10; ++i) shares[i] = 0.7 * 2 / 7 / 4;
  EXPECT_FOLLOWS(w.picks(s, kDraws), shares);
}

TEST_P(ZonesOf, OwnEndpointsDie_TheirPartSpills) {
  PoolWorld w;
  const u32 s = w.add(zone_aware(GetParam()), zones({{"a", 6}, {"b", 6}}), "a");
  for (u32 i = 0; i < 3; ++i) w.set_health(s, i, kHealthFailing);
  // 3 of 9 healthy are near, the part is a half: two thirds stay.
  std::vector<double> shares(12);
  for (u32 i = 3; i < 6; ++i) shares[i] = 2.0 / 9;
  for (u32 i = 6; i < 12; ++i) shares[i] = 1.0 / 18;
  EXPECT_FOLLOWS(w.picks(s, kDraws), shares);
  for (u32 i = 3; i < 6; ++i) w.set_health(s, i, kHealthFailing);
  std::vector<double> far(12);
  for (u32 i = 6; i < 12; ++i) far[i] = 1;
  EXPECT_FOLLOWS(w.picks(s, kDraws), far);
}

TEST_P(ZonesOf, TooFewHealthyOnes_ZonesDoNotMatter) {
  PoolWorld w;
  const u32 s = w.add(zone_aware(GetParam()), zones({{"a", 3}, {"b", 3}}), "a");
  EXPECT_EQ(sum(w.picks(s, 1000), 3, 3), 0u);
  w.set_health(s, 5, kHealthFailing);
  w.picks(s, 200);
  EXPECT_FOLLOWS(w.picks(s, kDraws), (std::vector<double>{1, 1, 1, 1, 1, 0}));
}

TEST_P(ZonesOf, ForcedLocal_StaysWhileAnybodyIsThere) {
  PoolWorld w;
  auto how = zone_aware(GetParam());
  how.zone.force_local = true;
  const u32 s = w.add(how, zones({{"a", 1}, {"b", 3}}), "a");
  EXPECT_EQ(w.picks(s, 1000)[0], 1000u);
  w.set_health(s, 0, kHealthFailing);
  EXPECT_EQ(w.picks(s, 1000)[0], 0u);
}

TEST_P(ZonesOf, Weights_DecideWhatAZoneIsWorthAndWhoGetsItsPart) {
  PoolWorld w;
  std::vector<EndpointSpec> specs = zones({{"a", 2}, {"b", 4}});
  specs[0].weight = 3;  // a: 4 of 8, which is its half
  const u32 s = w.add(zone_aware(GetParam()), specs, "a");
  EXPECT_FOLLOWS(w.picks(s, kDraws), (std::vector<double>{3, 1, 0, 0, 0, 0}));
}

// ---- subsets

std::vector<EndpointSpec> versions(const std::vector<std::string>& values) {
  std::vector<EndpointSpec> out;
  for (const auto& v : values) out.push_back({.labels = v.empty() ? std::map<std::string, std::string>{} : std::map<std::string, std::string>{{"version", v}}});
  return out;
}
config::BalancingConfig by_version(BalancePolicy policy, bool or_any = true) {
  auto how = balancing(policy);
  how.subset_header = "x-version";
  how.subset_label = "version";
  how.subset_or_any = or_any;
  return how;
}
TestHead asking(const std::string& version) { return TestHead("GET", "/", "h", {{"X-Version", version}}); }

TEST_P(PoolsOf, Subset_OnlyEndpointsWithTheLabelServe) {
  PoolWorld w;
  const u32 s = w.add(by_version(GetParam()), versions({"1", "2", "", "1", "2", "1"}));
  std::vector<u64> count = w.picks(s, 3000, asking("1"));
  for (u32 i = 0; i < 6; ++i) EXPECT_EQ(count[i] > 500, i == 0 || i == 3 || i == 5) << i << " " << count[i];
  count = w.picks(s, 3000, asking("2"));
  for (u32 i = 0; i < 6; ++i) EXPECT_EQ(count[i] > 500, i == 1 || i == 4) << i << " " << count[i];
}

TEST_P(PoolsOf, Subset_FallbackAny_EveryEndpointServes) {
  PoolWorld w;
  const u32 s = w.add(by_version(GetParam()), versions({"1", "2", ""}));
  for (const u64 n : w.picks(s, 3000, asking("3"))) EXPECT_GT(n, 500u);
  for (const u64 n : w.picks(s, 3000)) EXPECT_GT(n, 500u);
}

TEST_P(PoolsOf, Subset_FallbackNone_IsRefused) {
  PoolWorld w;
  const u32 s = w.add(by_version(GetParam(), false), versions({"1", "2", ""}));
  EXPECT_EQ(w.pick(s, 1).endpoint, kNone32);
  const TestHead other = asking("3"), first = asking("1");
  EXPECT_EQ(w.router->pick(w.plan, s, *other, wire::Ip4{1}, 1).endpoint, kNone32);
  EXPECT_EQ(w.router->pick(w.plan, s, *first, wire::Ip4{1}, 1).endpoint, w.service(s).first_endpoint);
}

TEST_P(PoolsOf, Subset_UnhealthyMembers_StayWithinTheSubset) {
  PoolWorld w;
  const u32 s = w.add(by_version(GetParam()), versions({"1", "1", "1", "2"}));
  w.set_health(s, 1, kHealthFailing);
  const std::vector<u64> count = w.picks(s, 2000, asking("1"));
  EXPECT_EQ(count[1] + count[3], 0u);
  EXPECT_GT(count[0], 400u);
  EXPECT_GT(count[2], 400u);
}

TEST(Subset, WithPriorities_LevelsAreThoseOfTheSubset) {
  PoolWorld w;
  std::vector<EndpointSpec> specs = versions({"1", "1", "2"});
  specs[1].priority = 1;
  specs[2].priority = 1;
  const u32 s = w.add(by_version(BalancePolicy::random), specs);
  EXPECT_EQ(w.picks(s, 500, asking("1")), (std::vector<u64>{500, 0, 0}));
  EXPECT_EQ(w.picks(s, 500, asking("2")), (std::vector<u64>{0, 0, 500}));
  w.set_health(s, 0, kHealthFailing);
  EXPECT_EQ(w.picks(s, 500, asking("1")), (std::vector<u64>{0, 500, 0}));
}

TEST(Subset, TurnsOfASubset_AreItsOwn) {
  PoolWorld w;
  const u32 s = w.add(by_version(BalancePolicy::round_robin), versions({"1", "2", "1", "2"}));
  const TestHead one = asking("1"), any("GET", "/");
  std::vector<u64> count(4);
  for (u32 i = 0; i < 400; ++i) {  // in turn with requests for anybody
    ++count[w.router->pick(w.plan, s, *one, wire::Ip4{1}, 1).endpoint];
    w.router->pick(w.plan, s, *any, wire::Ip4{1}, 1);
  }
  EXPECT_EQ(count, (std::vector<u64>{200, 0, 200, 0}));
}

// ---- generated cookies

config::BalancingConfig sticky(BalancePolicy policy) {
  auto how = balancing(policy);
  how.hash_on = HashOn::cookie;
  how.hash_name = "sid";
  how.cookie_ttl_s = 60;
  return how;
}
TestHead with_cookie(u64 cookie) {
  std::array<char, route::kCookieBytes> text;
  return TestHead("GET", "/", "h", {{"Cookie", "a=b; sid=" + std::string(route::cookie_text(cookie, text))}});
}

class CookieOf : public testing::TestWithParam<BalancePolicy> {};
INSTANTIATE_TEST_SUITE_P(Policy, CookieOf, testing::Values(BalancePolicy::maglev, BalancePolicy::ring_hash));

TEST_P(CookieOf, Generated_LeadsBackToWhoGaveIt) {
  PoolWorld w;
  auto specs = levels({7, 7});
  const u32 s = w.add(sticky(GetParam()), specs);
  for (u32 i = 0; i < 4; ++i) w.set_health(s, i * 2, kHealthFailing);  // both levels are used
  w.set_health(s, 9, kHealthFailing);
  std::set<u64> cookies;
  std::vector<u64> count(14);
  for (u32 i = 0; i < 5000; ++i) {
    const Pick first = w.pick(s, 1);
    ASSERT_NE(first.cookie, 0u);
    cookies.insert(first.cookie);
    ++count[first.endpoint];
    const TestHead head = with_cookie(first.cookie);
    const Pick again = w.router->pick(w.plan, s, *head, wire::Ip4{i}, 1);
    ASSERT_EQ(again.endpoint, first.endpoint);
    ASSERT_EQ(again.cookie, 0u);  // it has one
  }
  EXPECT_EQ(cookies.size(), 5000u);
  EXPECT_GE(std::ranges::count_if(count, [](u64 n) { return n > 50; }), 8);  // one client, but a new one every time
}

TEST_P(CookieOf, GivenWhereTheFirstTryFailed_NamesTheEndpointThatServed) {
  PoolWorld w;
  const u32 s = w.add(sticky(GetParam()), std::vector<EndpointSpec>(5));
  const std::vector<u32> avoid{2};
  for (u32 i = 0; i < 2000; ++i) {
    const Pick p = w.pick(s, 1, avoid);
    ASSERT_NE(p.endpoint, 2u);
    // Eight draws that all fall to the one of five to be avoided: once in 390,625 requests.
    const TestHead head = with_cookie(p.cookie);
    ASSERT_EQ(w.router->pick(w.plan, s, *head, wire::Ip4{i}, 1).endpoint, p.endpoint);
  }
}

TEST(Cookie, NotGenerated_WhenNotAskedForOrForTcp) {
  PoolWorld w;
  auto how = sticky(BalancePolicy::maglev);
  how.cookie_ttl_s.reset();
  EXPECT_EQ(w.pick(w.add(how, std::vector<EndpointSpec>(3)), 1).cookie, 0u);
  const u32 tcp = w.add(sticky(BalancePolicy::maglev), std::vector<EndpointSpec>(3));
  w.service(tcp).app_protocol = contract::AppProtocol::tcp;
  EXPECT_EQ(w.pick(tcp, 1).cookie, 0u);
}

TEST(Cookie, Attributes_SayPathAndAge) {
  PoolWorld w;
  auto how = sticky(BalancePolicy::maglev);
  EXPECT_EQ(w.service(w.add(how, std::vector<EndpointSpec>(1))).pools.cookie_attributes, "; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
  how.cookie_ttl_s = 0;
  how.cookie_path = "/shop";
  EXPECT_EQ(w.service(w.add(how, std::vector<EndpointSpec>(1))).pools.cookie_attributes, "; Path=/shop; HttpOnly; SameSite=Lax");
}

}  // namespace
}  // namespace ringway::test
