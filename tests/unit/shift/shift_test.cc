// Deployments: the steps of each strategy, the alarm, commands; then a Shifter over counted pages.

#include <gtest/gtest.h>

#include "control/shift/shifter.h"

namespace ringway::shift {
namespace {

constexpr u64 kMinute = 60'000'000;

// The shares of all steps with their times, when nobody interferes.
std::string story(const Deployment& plan) {
  Shift shift(plan, 0);
  std::string out;
  TimeUs now = 0;
  if (!plan.starts_itself) shift.start(0);
  for (int steps = 0; steps < 50 && !shift.over(); ++steps) {
    if (shift.poll(now, {}) || steps == 0) {
      out += std::to_string(now / kMinute) + "min:" + std::to_string(shift.share() / 100) + "% ";
    }
    if (const auto next = shift.next_step_us()) now = *next;
  }
  return out + kStageNames[static_cast<u32>(shift.stage())];
}

TEST(Shift, BlueGreenMovesAllAtOnceAndBakes) {
  EXPECT_EQ(story({}), "0min:100% 5min:100% DONE");
}

TEST(Shift, CanaryIsAShareThenAll) {
  EXPECT_EQ(story({.strategy = ShiftStrategy::canary, .step = 500, .step_bake_us = 10 * kMinute}), "0min:5% 10min:100% 15min:100% DONE");
}

TEST(Shift, LinearGrowsByEqualSteps) {
  EXPECT_EQ(story({.strategy = ShiftStrategy::linear, .step = 3000, .step_bake_us = 6 * kMinute}),
            "0min:30% 6min:60% 12min:90% 18min:100% 23min:100% DONE");
}

TEST(Shift, WaitsWithTestTrafficUntilItIsStarted) {
  Shift shift({}, 0);
  EXPECT_EQ(shift.next_step_us(), std::nullopt);
  EXPECT_FALSE(shift.poll(1000 * kMinute, {}));
  EXPECT_EQ(shift.stage(), Stage::test_traffic_shift);
  EXPECT_TRUE(shift.takes_test_traffic());
  EXPECT_EQ(shift.share(), 0u);
  EXPECT_TRUE(shift.start(0));
  EXPECT_EQ(shift.stage(), Stage::bake_time);
  EXPECT_FALSE(shift.start(0));
}

TEST(Shift, OneThatStartsItselfDoes) {
  Shift shift({.starts_itself = true}, 7);
  EXPECT_TRUE(shift.poll(7, {}));
  EXPECT_EQ(shift.share(), contract::kWholeShare);
}

TEST(Shift, AlarmNeedsEnoughRequestsAndTakesEverythingBackInAnyStage) {
  struct Row {
    Seen seen;
    bool alarm;
  };
  const Deployment plan{.strategy = ShiftStrategy::canary, .step = 500, .error_percent = 5, .latency_p99_us = 100'000, .least_requests = 20};
  const Row rows[] = {
      {{0, 0, 0}, false},          {{19, 19, 0}, false},        {{20, 0, 0}, false},       {{20, 1, 0}, true},
      {{100, 4, 0}, false},        {{100, 5, 0}, true},         {{100, 0, 100'000}, false}, {{100, 0, 100'001}, true},
  };
  for (const Row& row : rows) {
    for (const bool started : {false, true}) {
      Shift shift(plan, 0);
      if (started) shift.start(0);
      EXPECT_EQ(shift.poll(1, row.seen), row.alarm) << row.seen.requests << "/" << row.seen.failures;
      EXPECT_EQ(shift.stage() == Stage::rolled_back, row.alarm);
      if (row.alarm) {
        EXPECT_EQ(shift.share(), 0u);
        EXPECT_FALSE(shift.takes_test_traffic());
        EXPECT_NE(shift.reason(), "");
      }
    }
  }
}

TEST(Shift, DoneIsDoneWhateverComesLater) {
  Shift shift({.bake_us = 10}, 0);
  shift.start(0);
  EXPECT_TRUE(shift.poll(10, {}));
  EXPECT_EQ(shift.stage(), Stage::done);
  EXPECT_FALSE(shift.poll(20, {1000, 1000, 0}));
  EXPECT_EQ(shift.share(), contract::kWholeShare);
  EXPECT_TRUE(shift.roll_back(30, "by command"));  // people still may
  EXPECT_EQ(shift.share(), 0u);
}

TEST(Shift, SomebodyElsesAlarmRollsBackInEveryStageUntilDone) {
  const Deployment plan{.strategy = ShiftStrategy::canary, .step_bake_us = 100, .bake_us = 100};
  const auto reach = [&](Stage stage) {
    Shift shift(plan, 0);
    if (stage != Stage::test_traffic_shift) shift.start(0);
    for (TimeUs now_us = 100; now_us <= 300 && shift.stage() != stage; now_us += 100) shift.poll(now_us, {});
    EXPECT_EQ(shift.stage(), stage);
    return shift;
  };
  for (const Stage stage : {Stage::test_traffic_shift, Stage::production_traffic_shift, Stage::bake_time}) {
    Shift shift = reach(stage);
    EXPECT_TRUE(shift.ring(400, "auth-5xx"));
    EXPECT_EQ(shift.stage(), Stage::rolled_back);
    EXPECT_EQ(shift.reason(), "auth-5xx");
    EXPECT_FALSE(shift.ring(401, "auth-p99")) << "once is enough";
    EXPECT_EQ(shift.reason(), "auth-5xx");
  }
  Shift done = reach(Stage::done);
  EXPECT_FALSE(done.ring(400, "auth-5xx"));
  EXPECT_EQ(done.share(), contract::kWholeShare);
}

TEST(Shift, CommandsPauseResumeAdvanceAndBeginAgain) {
  Shift shift({.strategy = ShiftStrategy::linear, .step = 5000, .step_bake_us = 100}, 0);
  shift.start(0);
  EXPECT_TRUE(shift.pause());
  EXPECT_FALSE(shift.pause());
  EXPECT_FALSE(shift.poll(1000, {}));
  EXPECT_TRUE(shift.resume(1000));
  EXPECT_FALSE(shift.resume(1000));
  EXPECT_FALSE(shift.poll(1099, {}));
  EXPECT_TRUE(shift.advance(1099));
  EXPECT_EQ(shift.share(), 10'000u);
  EXPECT_TRUE(shift.roll_back(1100, "why"));
  EXPECT_FALSE(shift.advance(1100));
  EXPECT_TRUE(shift.start(1200));
  EXPECT_EQ(shift.share(), 5000u);
  EXPECT_EQ(shift.reason(), "");
}

// ------------------------------------------------------------------------------------------------------------- Shifter

class ShifterTest : public testing::Test {
 protected:
  std::shared_ptr<contract::Plan> plan(Deployment deployment, bool with = true) {
    auto out = std::make_shared<contract::Plan>();
    contract::Service blue, green;
    blue.discovery_name = "auth";
    blue.slot = 3;
    green.discovery_name = "auth-v2";
    green.slot = 9;
    if (with) {
      deployment.green = 1;
      blue.deployment = deployment;
    }
    out->services = {blue, green};
    return out;
  }
  void answer(u32 klass, u32 times) {
    cores[times % 2]->services[9].responses[klass].add(times);
  }
  Report only() { return shifter.reports(now).at(0); }
  u32 share() const { return board.word(3) & ~contract::kTestTraffic; }
  bool test_traffic() const { return (board.word(3) & contract::kTestTraffic) != 0; }

  TimeUs now = 1000;
  contract::ShiftBoard board;
  std::unique_ptr<contract::CoreStats> core0 = std::make_unique<contract::CoreStats>(), core1 = std::make_unique<contract::CoreStats>();
  std::vector<const contract::CoreStats*> pages{core0.get(), core1.get()};
  contract::CoreStats* cores[2] = {core0.get(), core1.get()};
  std::vector<std::string> told;
  Shifter shifter{board, pages, [this](const Report& r) { told.push_back(kStageNames[static_cast<u32>(r.stage)]); }};
};

TEST_F(ShifterTest, WritesTheBoardStepByStep) {
  shifter.adopt(plan({.strategy = ShiftStrategy::canary, .step = 500, .step_bake_us = 100, .bake_us = 100}), now);
  EXPECT_TRUE(test_traffic());
  EXPECT_EQ(share(), 0u);
  EXPECT_EQ(shifter.command("auth", Shifter::Verb::start, now), "");
  EXPECT_EQ(share(), 500u);
  now += 100;
  shifter.poll(now);
  EXPECT_EQ(share(), 10'000u);
  now += 100;
  shifter.poll(now);
  EXPECT_EQ(only().stage, Stage::done);
  EXPECT_EQ(told, (std::vector<std::string>{"TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "DONE"}));
}

TEST_F(ShifterTest, CountsOnlyWhatCameSinceTheStepBegan) {
  answer(5, 1000);
  shifter.adopt(plan({.step = 500}), now);
  shifter.command("auth", Shifter::Verb::start, now);
  answer(2, 95);
  answer(5, 4);
  shifter.poll(++now);
  EXPECT_EQ(only().seen.requests, 99u);
  EXPECT_EQ(only().seen.failures, 4u);
  EXPECT_EQ(share(), 10'000u);
  answer(5, 1);
  shifter.poll(++now);
  EXPECT_EQ(only().stage, Stage::rolled_back);
  EXPECT_EQ(share(), 0u);
  EXPECT_FALSE(test_traffic());
  EXPECT_EQ(only().reason, "5 of 100 requests failed, which is 5 % or more");
}

TEST_F(ShifterTest, LatencyIsThatOfTheStep) {
  for (int i = 0; i < 1000; ++i) core0->services[9].latency_us.record(900'000);
  shifter.adopt(plan({.latency_p99_us = 500'000}), now);
  answer(2, 100);
  for (int i = 0; i < 100; ++i) core1->services[9].latency_us.record(400'000);
  shifter.poll(++now);
  EXPECT_EQ(only().stage, Stage::test_traffic_shift);
  for (int i = 0; i < 10; ++i) core1->services[9].latency_us.record(600'000);
  shifter.poll(++now);
  EXPECT_EQ(only().stage, Stage::rolled_back);
}

TEST_F(ShifterTest, AReloadKeepsTheStageAndAnotherVersionBeginsAnew) {
  shifter.adopt(plan({.strategy = ShiftStrategy::linear, .step = 2000, .step_bake_us = 1000}), now);
  shifter.command("auth", Shifter::Verb::start, now);
  shifter.adopt(plan({.strategy = ShiftStrategy::linear, .step = 3000, .step_bake_us = 500}), ++now);
  EXPECT_EQ(share(), 2000u);
  shifter.poll(now + 500);
  EXPECT_EQ(share(), 5000u);
  auto other = plan({});
  other->services[1].discovery_name = "auth-v3";
  shifter.adopt(other, ++now);
  EXPECT_EQ(share(), 0u);
  EXPECT_EQ(only().green, "auth-v3");
  shifter.adopt(plan({}, false), ++now);
  EXPECT_EQ(board.word(3), 0u);
  EXPECT_TRUE(shifter.reports(now).empty());
}

TEST_F(ShifterTest, CommandsThatMakeNoSenseAreRefusedWithASentence) {
  EXPECT_EQ(shifter.command("auth", Shifter::Verb::start, now), "service auth has no deployment");
  shifter.adopt(plan({}), now);
  EXPECT_EQ(shifter.command("auth", Shifter::Verb::resume, now), "the deployment is in TEST_TRAFFIC_SHIFT: that cannot be done now");
  EXPECT_EQ(shifter.command("auth", Shifter::Verb::alarm, now, "auth-5xx"), "");
  EXPECT_EQ(shifter.reports(now)[0].reason, "auth-5xx");
  EXPECT_EQ(shifter.command("auth", Shifter::Verb::alarm, now), "the deployment is in ROLLED_BACK: that cannot be done now");
}

}  // namespace
}  // namespace ringway::shift
