// Outlier detection: the decisions as tables of outcomes, then the sweeps, the limits and the length of ejections. The rules
// are those that the comments of Envoy's outlier_detection.proto state.

#include "control/health/outlier.h"

#include <gtest/gtest.h>

namespace ringway::health {
namespace {

using contract::OutlierDetection;
using contract::Outcome;

constexpr TimeUs kSecond = 1'000'000;

// '+' success, '5' 5xx, 'g' 502 to 504, 'c' no connection, 't' timeout, 'r' reset, 'm' malformed
Outcome outcome_of(char c) {
  switch (c) {
    case '5': return Outcome::bad_status;
    case 'g': return Outcome::gateway_error;
    case 'c': return Outcome::connect_failed;
    case 't': return Outcome::timed_out;
    case 'r': return Outcome::reset;
    case 'm': return Outcome::bad_response;
    default: return Outcome::success;
  }
}

struct RunRow {
  const char* name;
  OutlierDetection settings;
  const char* outcomes;
  EjectionCause cause;  // none: stays in
  u32 after;            // outcomes until it was out
};

OutlierDetection with(void (*change)(OutlierDetection&)) {
  OutlierDetection out;
  change(out);
  return out;
}

class OutlierRuns : public ::testing::TestWithParam<RunRow> {};

TEST_P(OutlierRuns, Ejects_AsTheTableSays) {
  const RunRow& row = GetParam();
  Outliers outliers;
  outliers.configure(row.settings);
  for (u32 host = 0; host < 10; host++) outliers.add(host);
  u32 after = 0, at = 0;
  for (const char* c = row.outcomes; *c != '\0'; c++) {
    at++;
    if (outliers.on_outcome(3, outcome_of(*c), at, 50) && after == 0) after = at;
  }
  EXPECT_EQ(outliers.ejection(3).out, row.cause != EjectionCause::none);
  EXPECT_EQ(outliers.ejection(3).cause, row.cause);
  EXPECT_EQ(after, row.after);
}

const OutlierDetection kDefault;
const OutlierDetection kSplit = with([](auto& s) { s.split_local_origin_errors = true; });
const OutlierDetection kGateway = with([](auto& s) { s.consecutive_5xx = 0, s.consecutive_gateway_failure = 3, s.enforcing_consecutive_gateway_failure = 100; });
constexpr EjectionCause kNone = EjectionCause::none, k5xx = EjectionCause::consecutive_5xx;
constexpr EjectionCause kGatewayFailure = EjectionCause::consecutive_gateway_failure;
constexpr EjectionCause kLocal = EjectionCause::consecutive_local_origin_failure;

INSTANTIATE_TEST_SUITE_P(
    All, OutlierRuns,
    ::testing::Values(RunRow{"FourInARow_StayIn", kDefault, "5555", kNone, 0},
                      RunRow{"FiveInARow_AreOut", kDefault, "55555", k5xx, 5},
                      RunRow{"SuccessBetween_StartsTheCountAgain", kDefault, "5555+5555", kNone, 0},
                      RunRow{"FiveAfterASuccess_AreOut", kDefault, "5555+55555", k5xx, 10},
                      RunRow{"WhatBreaksCountsAsA5xx", kDefault, "ctrgm", k5xx, 5},
                      RunRow{"AnyMixCounts", kDefault, "5c5r5", k5xx, 5},
                      RunRow{"GatewayFailuresAreSeenButNotEnforced", kDefault, "gggg", kNone, 0},
                      RunRow{"GatewayFailures_AreOutWhereEnforced", kGateway, "ggg", kGatewayFailure, 3},
                      RunRow{"Other5xx_EndsARunOfGatewayFailures", kGateway, "gg5gg", kNone, 0},
                      RunRow{"BrokenIsAGatewayFailure", kGateway, "crt", kGatewayFailure, 3},
                      RunRow{"ThresholdZero_IsNever", with([](auto& s) { s.consecutive_5xx = 0; }), "5555555555", kNone, 0},
                      RunRow{"ThresholdOne_IsAtOnce", with([](auto& s) { s.consecutive_5xx = 1; }), "5", k5xx, 1},
                      RunRow{"NotEnforced_StaysIn", with([](auto& s) { s.enforcing_consecutive_5xx = 0; }), "5555555555", kNone, 0},
                      RunRow{"DiceBelowThePercentage_Enforces", with([](auto& s) { s.enforcing_consecutive_5xx = 51; }), "55555", k5xx, 5},
                      RunRow{"DiceAtThePercentage_DoesNot", with([](auto& s) { s.enforcing_consecutive_5xx = 50; }), "55555", kNone, 0},
                      RunRow{"Off_EjectsNobody", with([](auto& s) { s.enabled = false; }), "5555555555", kNone, 0},
                      RunRow{"Split_BrokenHasItsOwnCount", kSplit, "ccttr", kLocal, 5},
                      RunRow{"Split_BrokenIsNo5xx", kSplit, "5555c", kNone, 0},
                      RunRow{"Split_AnAnswerEndsARunOfBroken", kSplit, "cccc5c", kNone, 0},
                      RunRow{"Split_BrokenLeavesTheRunOf5xx", kSplit, "5555c5", k5xx, 6}),
    [](const auto& param) { return std::string(param.param.name); });

// A service of `count` endpoints whose dice always enforce.
struct Service {
  Outliers outliers;
  TimeUs now = kSecond;

  explicit Service(u32 count, const OutlierDetection& settings = {}) {
    outliers.configure(settings);
    for (u32 host = 0; host < count; host++) outliers.add(host);
  }
  bool fail(u32 host) {
    bool out = false;
    for (u32 i = 0; i < 5; i++) out = outliers.on_outcome(host, Outcome::bad_status, now, 0) || out;
    return out;
  }
  std::vector<u32> sweep(const std::map<u32, Interval>& intervals = {}) {
    std::vector<u32> out;
    for (const auto& change : outliers.sweep(intervals, now, [] { return 0u; })) out.push_back(change.host);
    return out;
  }
  std::vector<u32> expire() {
    std::vector<u32> back;
    for (const auto& change : outliers.expire(now)) back.push_back(change.host);
    return back;
  }
  TimeUs length(u32 host) const { return outliers.ejection(host).until_us - outliers.ejection(host).since_us; }
};

using Hosts = std::vector<u32>;

TEST(OutlierLength, EachEjection_IsABaseLongerUpToTheMaximum) {
  Service s(10);
  for (const u32 seconds : {30u, 60u, 90u, 120u, 150u, 180u, 210u, 240u, 270u, 300u, 300u, 300u}) {
    ASSERT_TRUE(s.fail(3));
    EXPECT_EQ(s.length(3), seconds * kSecond);
    s.now = s.outliers.next_return_us() - 1;
    EXPECT_EQ(s.expire(), Hosts{});
    s.now++;
    EXPECT_EQ(s.expire(), Hosts{3});
  }
  EXPECT_EQ(s.outliers.ejection(3).times, 12u);
  EXPECT_EQ(s.outliers.ejection(3).factor, 10u) << "no more than the maximum needs, or it would shrink too late";
}

TEST(OutlierLength, HealthySweeps_ShrinkTheFactorOneByOne) {
  Service s(10);
  for (u32 i = 0; i < 3; i++) {
    s.fail(3);
    s.now = s.outliers.next_return_us();
    s.expire();
  }
  EXPECT_EQ(s.outliers.ejection(3).factor, 3u);
  s.sweep();
  EXPECT_EQ(s.outliers.ejection(3).factor, 3u) << "it was out since the sweep before";
  s.sweep();
  s.sweep();
  EXPECT_EQ(s.outliers.ejection(3).factor, 1u);
  s.fail(3);
  EXPECT_EQ(s.length(3), 60 * kSecond);
  s.sweep();
  EXPECT_EQ(s.outliers.ejection(3).factor, 2u) << "who is out does not get better";
}

TEST(OutlierLength, BaseAboveTheMaximum_Counts) {
  OutlierDetection settings;
  settings.max_ejection_us = 5 * kSecond;
  Service s(10, settings);
  s.fail(3);
  EXPECT_EQ(s.length(3), 30 * kSecond);
}

TEST(OutlierRunsAfterwards, CountsBeginAnew) {
  Service s(10);
  s.fail(3);
  EXPECT_FALSE(s.outliers.on_outcome(3, Outcome::bad_status, s.now, 0)) << "out already";
  s.now = s.outliers.next_return_us();
  s.expire();
  EXPECT_FALSE(s.outliers.suspected(3));
  for (u32 i = 0; i < 4; i++) EXPECT_FALSE(s.outliers.on_outcome(3, Outcome::bad_status, s.now, 0));
  EXPECT_TRUE(s.outliers.on_outcome(3, Outcome::bad_status, s.now, 0));
}

struct ShareRow {
  const char* name;
  u32 hosts, percent, out;  // how many of the failing ones get out
};
class OutlierShare : public ::testing::TestWithParam<ShareRow> {};
TEST_P(OutlierShare, NoMoreThanTheShare_IsOut) {
  OutlierDetection settings;
  settings.max_ejection_percent = GetParam().percent;
  Service s(GetParam().hosts, settings);
  for (u32 host = 0; host < GetParam().hosts; host++) s.fail(host);
  EXPECT_EQ(s.outliers.ejected(), GetParam().out);
}
INSTANTIATE_TEST_SUITE_P(All, OutlierShare,
                         ::testing::Values(ShareRow{"OneOfOne", 1, 50, 1}, ShareRow{"OneOfTwo", 2, 50, 1}, ShareRow{"OneOfThree", 3, 50, 1},
                                           ShareRow{"TwoOfFour", 4, 50, 2}, ShareRow{"EnvoysTenPercentOfTen", 10, 10, 1},
                                           ShareRow{"OneAlwaysMay", 10, 0, 1}, ShareRow{"All", 10, 100, 10},
                                           ShareRow{"ThreeOfTenAtThirtyNine", 10, 39, 3}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(OutlierShareAfterwards, WhoReturnsMakesRoomForAnother) {
  Service s(2);
  EXPECT_TRUE(s.fail(0));
  EXPECT_FALSE(s.fail(1));
  s.now = s.outliers.next_return_us();
  s.expire();
  EXPECT_TRUE(s.fail(1));
}

// 100 requests of each, with so many failures.
std::map<u32, Interval> intervals(std::initializer_list<u64> failures, u64 requests = 100) {
  std::map<u32, Interval> out;
  for (const u64 f : failures) out[static_cast<u32>(out.size())] = {.good = requests - f, .bad = f, .broken = 0};
  return out;
}

TEST(OutlierRates, BelowTheMeanBy1900Thousandths_IsOut) {
  // Rates 100 x 9 and 50: mean 95, standard deviation 15, limit 95 - 1.9 x 15 = 66.5.
  Service s(10);
  EXPECT_EQ(s.sweep(intervals({0, 0, 0, 0, 0, 0, 0, 0, 0, 50})), Hosts{9});
  EXPECT_EQ(s.outliers.ejection(9).cause, EjectionCause::success_rate);
}
TEST(OutlierRates, WithinTheSpread_StaysIn) {
  // Rates 100 90 80 70 60: mean 80, deviation 14.14, limit 53.1.
  Service s(5);
  EXPECT_EQ(s.sweep(intervals({0, 10, 20, 30, 40})), Hosts{});
}
TEST(OutlierRates, AllEquallyBad_StayIn) {
  OutlierDetection settings;
  settings.success_rate_stdev_factor = 0;
  Service s(5, settings);
  EXPECT_EQ(s.sweep(intervals({37, 37, 37, 37, 37})), Hosts{});
}
TEST(OutlierRates, TooFewEndpoints_AreNotCompared) {
  OutlierDetection settings;
  settings.success_rate_stdev_factor = 500;
  Service s(4, settings);
  EXPECT_EQ(s.sweep(intervals({0, 0, 0, 100})), Hosts{});
  Service five(5, settings);
  EXPECT_EQ(five.sweep(intervals({0, 0, 0, 0, 100})), Hosts{4});
}
TEST(OutlierRates, TooFewRequests_DoNotCount) {
  Service s(10);
  auto seen = intervals({0, 0, 0, 0, 0, 0, 0, 0, 0});
  seen[9] = {.good = 0, .bad = 99, .broken = 0};
  EXPECT_EQ(s.sweep(seen), Hosts{});
  seen[9].bad = 100;
  EXPECT_EQ(s.sweep(seen), Hosts{9});
}
TEST(OutlierRates, NotEnforced_StaysIn) {
  OutlierDetection settings;
  settings.enforcing_success_rate = 0;
  Service s(10, settings);
  EXPECT_EQ(s.sweep(intervals({0, 0, 0, 0, 0, 0, 0, 0, 0, 50})), Hosts{});
}
TEST(OutlierRates, Split_BrokenIsJudgedApart) {
  OutlierDetection settings;
  settings.split_local_origin_errors = true;
  Service s(10, settings);
  auto seen = intervals({0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  seen[9].broken = 100;
  EXPECT_EQ(s.sweep(seen), Hosts{9});
  EXPECT_EQ(s.outliers.ejection(9).cause, EjectionCause::local_origin_success_rate);
}

TEST(OutlierPercentage, AtTheThreshold_IsOutWhereEnforced) {
  OutlierDetection settings;
  settings.enforcing_success_rate = 0;
  Service off(5, settings);
  EXPECT_EQ(off.sweep(intervals({0, 0, 0, 0, 100}, 100)), Hosts{}) << "not enforced by default";
  settings.enforcing_failure_percentage = 100;
  Service s(5, settings);
  EXPECT_EQ(s.sweep(intervals({0, 0, 0, 84, 85})), Hosts{4});
  EXPECT_EQ(s.outliers.ejection(4).cause, EjectionCause::failure_percentage);
}
TEST(OutlierPercentage, TooFewRequestsOrEndpoints_DoNotCount) {
  OutlierDetection settings;
  settings.enforcing_failure_percentage = 100;
  Service s(5, settings);
  EXPECT_EQ(s.sweep(intervals({0, 0, 0, 0, 49}, 49)), Hosts{});
  EXPECT_EQ(s.sweep(intervals({0, 0, 0, 0, 50}, 50)), Hosts{4});
  Service four(4, settings);
  EXPECT_EQ(four.sweep(intervals({0, 0, 0, 100})), Hosts{});
}

TEST(OutlierCheck, ASuccessThatBeganAfterTheEjection_EndsIt) {
  Service s(10);
  s.fail(3);
  EXPECT_FALSE(s.outliers.on_check(3, s.now - 1)) << "it was asked before";
  EXPECT_TRUE(s.outliers.on_check(3, s.now));
  EXPECT_FALSE(s.outliers.ejection(3).out);
  EXPECT_EQ(s.outliers.ejected(), 0u);
  EXPECT_FALSE(s.outliers.on_check(3, s.now)) << "in already";
}
TEST(OutlierCheck, SwitchedOff_DoesNot) {
  OutlierDetection settings;
  settings.uneject_on_health_check = false;
  Service s(10, settings);
  s.fail(3);
  EXPECT_FALSE(s.outliers.on_check(3, s.now));
}

TEST(OutlierSettings, Change_KeepsWhatIsKnown) {
  Service s(10);
  s.fail(3);
  for (u32 i = 0; i < 3; i++) s.outliers.on_outcome(4, Outcome::bad_status, s.now, 0);
  OutlierDetection settings;
  settings.consecutive_5xx = 4;
  EXPECT_TRUE(s.outliers.configure(settings).empty());
  EXPECT_TRUE(s.outliers.ejection(3).out);
  EXPECT_TRUE(s.outliers.on_outcome(4, Outcome::bad_status, s.now, 0));
}
TEST(OutlierSettings, SwitchedOff_EverybodyReturns) {
  Service s(10);
  s.fail(3);
  s.outliers.on_outcome(4, Outcome::bad_status, s.now, 0);
  OutlierDetection off;
  off.enabled = false;
  EXPECT_EQ(s.outliers.configure(off), (std::vector<Outliers::Change>{{3, false}}));
  EXPECT_EQ(s.outliers.ejected(), 0u);
  EXPECT_FALSE(s.outliers.suspected(4));
}
TEST(OutlierSettings, WhoLeavesMakesRoom) {
  Service s(2);
  s.fail(0);
  s.outliers.remove(0);
  s.outliers.add(2);
  EXPECT_EQ(s.outliers.ejected(), 0u);
  EXPECT_TRUE(s.fail(1));
}

}  // namespace
}  // namespace ringway::health
