// Health: the decision as a table, and the scheduler under a clock and cores of the test's own.

#include "control/health/checker.h"

#include <gtest/gtest.h>

namespace ringway::health {
namespace {

using contract::HealthCheckKind;
using contract::Mail;
using contract::MailKind;
using contract::Outcome;
using contract::Plan;

struct Row {
  const char* name;
  Thresholds thresholds;
  const char* results;  // '+' success, '-' failure
  const char* changes;  // 'H' became healthy, 'U' became unhealthy, '.' nothing
  u32 bits;             // at the end
};

class HealthTable : public ::testing::TestWithParam<Row> {};

TEST_P(HealthTable, Results_ChangeWhatTheTableSays) {
  const Row& row = GetParam();
  HealthState state;
  std::string changes;
  for (const char* r = row.results; *r != '\0'; r++) {
    const Transition t = state.on_result(*r == '+', row.thresholds);
    changes += t == Transition::none ? '.' : t == Transition::became_healthy ? 'H' : 'U';
  }
  EXPECT_EQ(changes, row.changes);
  EXPECT_EQ(state.bits(), row.bits);
}

constexpr u32 kUnproven = contract::kHealthUnproven, kFailing = contract::kHealthFailing;
INSTANTIATE_TEST_SUITE_P(
    All, HealthTable,
    ::testing::Values(Row{"NoResult_IsUnproven", {2, 3}, "", "", kUnproven},
                      Row{"FirstSuccess_IsHealthyAtOnce", {3, 3}, "+", "H", 0},
                      Row{"FailuresBeforeProof_ChangeNothing", {1, 3}, "--", "..", kUnproven},
                      Row{"ManyFailuresBeforeProof_AreFailingToo", {1, 3}, "----", "....", kUnproven | kFailing},
                      Row{"FirstSuccessAfterFailures_IsHealthyAtOnce", {3, 3}, "----+", "....H", 0},
                      Row{"FailuresBelowThreshold_StayHealthy", {1, 3}, "+--", "H..", 0},
                      Row{"FailuresAtThreshold_AreOut", {1, 3}, "+---", "H..U", kFailing},
                      Row{"SuccessBetweenFailures_StartsTheCountAgain", {1, 3}, "+--+--", "H.....", 0},
                      Row{"ReturnNeedsTheHealthyThreshold", {2, 1}, "+-+-++", "HU...H", 0},
                      Row{"ThresholdOfOne_IsOutAtOnce", {1, 1}, "+-+-", "HUHU", kFailing}),
    [](const auto& param) { return std::string(param.param.name); });

constexpr u64 kSecond = 1'000'000;

// A checker with two cores that keep the mail they get.
struct Bench {
  contract::HealthBoard board;
  std::vector<std::pair<u32, Mail>> sent;
  bool refuse = false;
  std::vector<std::string> told;
  u64 generation = 0;
  Checker checker{board, 2,
                  [this](u32 core, const Mail& mail) {
                    if (refuse) return false;
                    sent.emplace_back(core, mail);
                    return true;
                  },
                  1,
                  [this](const contract::Endpoint& e, Transition t, const EndpointReport&) {
                    told.push_back(e.id + (t == Transition::became_healthy ? " up" : " down"));
                  }};

  // One service with an endpoint in each of `slots`.
  std::shared_ptr<Plan> plan(std::vector<u32> slots, HealthCheckKind kind = HealthCheckKind::http, u32 incarnation = 1) {
    auto out = std::make_shared<Plan>();
    out->generation = ++generation;
    contract::Service service;
    service.health_check = {.kind = kind, .interval_us = 10 * kSecond, .timeout_us = 2 * kSecond, .healthy_threshold = 2,
                            .unhealthy_threshold = 2, .jitter_percent = 0};
    service.endpoint_count = static_cast<u32>(slots.size());
    for (const u32 slot : slots)
      out->endpoints.push_back({.slot = slot, .incarnation = incarnation, .id = "e" + std::to_string(slot), .zone = {}});
    out->services.push_back(service);
    return out;
  }
  void answer(const Mail& probe, Outcome outcome, TimeUs now, u16 status = 200) {
    Mail mail;
    mail.kind = MailKind::probe_done;
    mail.outcome = outcome;
    mail.probe = probe.probe;
    mail.probe.status = status;
    EXPECT_TRUE(checker.on_mail(mail, now));
  }
};

TEST(Checker, NewEndpoint_IsUnprovenUntilItsFirstSuccess) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  EXPECT_EQ(b.board.word(5), kUnproven);
  b.checker.poll(1);
  ASSERT_EQ(b.sent.size(), 1u);
  EXPECT_EQ(b.board.word(5), kUnproven);
  b.answer(b.sent[0].second, Outcome::success, 1000);
  EXPECT_TRUE(b.board.may_pick(5));
  EXPECT_EQ(b.told, std::vector<std::string>{"e5 up"});
}

TEST(Checker, ServiceWithoutCheck_IsHealthyAtOnceAndNeverProbed) {
  Bench b;
  b.checker.adopt(b.plan({5}, HealthCheckKind::none), 0);
  EXPECT_TRUE(b.board.may_pick(5));
  b.checker.poll(100 * kSecond);
  EXPECT_TRUE(b.sent.empty());
}

TEST(Checker, Probes_GoRoundTheCores) {
  Bench b;
  b.checker.adopt(b.plan({1, 2, 3, 4}), 0);
  b.checker.poll(1);
  ASSERT_EQ(b.sent.size(), 4u);
  for (u32 i = 0; i < 4; i++) EXPECT_EQ(b.sent[i].first, i % 2);
}

TEST(Checker, NextCheck_ComesOneIntervalAfterTheLastBegan) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  b.checker.poll(1);
  b.answer(b.sent[0].second, Outcome::success, kSecond);
  b.checker.poll(10 * kSecond);
  EXPECT_EQ(b.sent.size(), 1u);
  EXPECT_EQ(b.checker.poll(2 * kSecond), 10 * kSecond + 1);
  b.checker.poll(10 * kSecond + 1);
  EXPECT_EQ(b.sent.size(), 2u);
}

// What a slow start is measured by.
TEST(Checker, Board_SaysSinceWhenAnEndpointIsHealthy) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  b.checker.poll(1);
  b.answer(b.sent[0].second, Outcome::success, 3 * kSecond);
  b.checker.poll(10 * kSecond);
  EXPECT_EQ(b.board.healthy_us(5), 7 * kSecond);
  b.checker.adopt(b.plan({5}), 11 * kSecond);  // a reload changes nothing
  EXPECT_EQ(b.board.healthy_us(5), 8 * kSecond);
  b.checker.drain(5, true);
  b.checker.poll(12 * kSecond);
  b.checker.drain(5, false);
  b.checker.poll(15 * kSecond);
  EXPECT_EQ(b.board.healthy_us(5), 3 * kSecond);
}

TEST(Checker, UnprovenEndpoint_IsTriedEverySecond) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  b.checker.poll(1);
  b.answer(b.sent[0].second, Outcome::connect_failed, 2, 0);
  b.checker.poll(1 + kSecond);
  EXPECT_EQ(b.sent.size(), 2u);
}

TEST(Checker, FailuresAtThreshold_TakeTheEndpointOut) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  TimeUs now = 1;
  for (const Outcome outcome : {Outcome::success, Outcome::timed_out, Outcome::bad_status}) {
    b.checker.poll(now);
    b.answer(b.sent.back().second, outcome, now);
    now += 10 * kSecond;
  }
  EXPECT_EQ(b.board.word(5), kFailing);
  EXPECT_EQ(b.told, (std::vector<std::string>{"e5 up", "e5 down"}));
  const EndpointReport report = b.checker.report(5);
  EXPECT_EQ(report.checks, 3u);
  EXPECT_EQ(report.failures, 2u);
  EXPECT_EQ(report.last, Outcome::bad_status);
}

TEST(Checker, ProbeWithoutAnswer_IsGivenUpAndTriedAgainWithoutAVerdict) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  b.checker.poll(1);
  const Mail lost = b.sent[0].second;
  b.checker.poll(5 * kSecond + 1);
  b.checker.poll(5 * kSecond + 2);
  EXPECT_EQ(b.sent.size(), 2u);
  EXPECT_EQ(b.checker.report(5).checks, 0u);
  b.answer(lost, Outcome::success, 6 * kSecond);  // too late: not this probe's answer
  EXPECT_FALSE(b.board.may_pick(5));
}

TEST(Checker, FullInboxes_LeaveTheProbeDue) {
  Bench b;
  b.refuse = true;
  b.checker.adopt(b.plan({5}), 0);
  b.checker.poll(1);
  EXPECT_EQ(b.checker.in_flight(), 0u);
  b.refuse = false;
  b.checker.poll(2);
  EXPECT_EQ(b.sent.size(), 1u);
}

TEST(Checker, Reload_KeepsHealthAndNamesTheNewPlan) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  b.checker.poll(1);
  b.answer(b.sent[0].second, Outcome::success, 2);
  const auto next = b.plan({5, 6});
  b.checker.adopt(next, 3);
  EXPECT_TRUE(b.board.may_pick(5));
  EXPECT_EQ(b.board.word(6), kUnproven);
  b.checker.poll(10 * kSecond + 2);
  for (std::size_t i = 1; i < b.sent.size(); i++) EXPECT_EQ(b.sent[i].second.plan, next.get());
  EXPECT_EQ(b.sent.size(), 3u);
}

TEST(Checker, ProbeInFlightOverAReload_StillCounts) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  b.checker.poll(1);
  b.checker.adopt(b.plan({4, 5}), 2);
  b.answer(b.sent[0].second, Outcome::success, 3);
  EXPECT_TRUE(b.board.may_pick(5));
}

TEST(Checker, RemovedEndpoint_DrainsWhenAllHaveAdoptedAndIsThenForgotten) {
  Bench b;
  const auto first = b.plan({5, 6});
  b.checker.adopt(first, 0);
  b.checker.poll(1);
  for (const auto& [core, mail] : std::vector(b.sent)) b.answer(mail, Outcome::success, 2);
  b.checker.adopt(b.plan({6}), 3);
  EXPECT_TRUE(b.board.may_pick(5)) << "cores still on the old plan need it";
  b.checker.drain_removed(4);
  EXPECT_EQ(b.board.word(5), contract::kHealthDraining);
  b.checker.forget(*first);
  EXPECT_EQ(b.board.word(5), kUnproven);
  EXPECT_EQ(b.checker.known(), 1u);
  EXPECT_TRUE(b.board.may_pick(6));
}

TEST(Checker, EndpointOfSeveralPlans_IsForgottenWithTheLast) {
  Bench b;
  const auto first = b.plan({5, 6}), second = b.plan({5, 6}), third = b.plan({6});
  for (const auto& plan : {first, second, third}) b.checker.adopt(plan, 1);
  b.checker.drain_removed(2);
  b.checker.forget(*first);
  EXPECT_EQ(b.checker.known(), 2u) << "exchanges of the second plan may be under way";
  EXPECT_NE(b.board.word(5) & contract::kHealthDraining, 0u);
  b.checker.forget(*second);
  EXPECT_EQ(b.checker.known(), 1u);
}

TEST(Checker, EndpointThatComesBackWhileDraining_IsPickedAgainAtOnce) {
  Bench b;
  b.checker.adopt(b.plan({5}, HealthCheckKind::none), 0);
  b.checker.adopt(b.plan({}, HealthCheckKind::none), 1);
  b.checker.drain_removed(4);
  EXPECT_FALSE(b.board.may_pick(5));
  b.checker.adopt(b.plan({5}, HealthCheckKind::none), 2);
  EXPECT_TRUE(b.board.may_pick(5));
}

TEST(Checker, EndpointThatComesBackBeforeItIsForgotten_IsCheckedAgain) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  b.checker.adopt(b.plan({}), 1);
  b.checker.adopt(b.plan({5}), 2);
  b.sent.clear();
  b.checker.poll(3);
  ASSERT_EQ(b.sent.size(), 1u);
  b.answer(b.sent[0].second, Outcome::success, 4);
  EXPECT_TRUE(b.board.may_pick(5));
}

TEST(Checker, SlotWithANewOwner_StartsUnproven) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  b.checker.poll(1);
  b.answer(b.sent[0].second, Outcome::success, 2);
  b.checker.adopt(b.plan({5}, HealthCheckKind::http, 2), 3);
  EXPECT_EQ(b.board.word(5), kUnproven);
}

TEST(Checker, OperatorsDrain_OutlivesReloadsUntilUndone) {
  Bench b;
  b.checker.adopt(b.plan({5}, HealthCheckKind::none), 0);
  EXPECT_TRUE(b.checker.drain(5, true));
  b.checker.adopt(b.plan({5}, HealthCheckKind::none), 1);
  EXPECT_EQ(b.board.word(5), contract::kHealthDraining);
  EXPECT_TRUE(b.checker.drain(5, false));
  EXPECT_TRUE(b.board.may_pick(5));
  EXPECT_FALSE(b.checker.drain(77, true));
}

TEST(Checker, EndpointEvents_AreCountedByOutcome) {
  Bench b;
  b.checker.adopt(b.plan({5}), 0);
  Mail mail;
  mail.kind = MailKind::endpoint_event;
  mail.endpoint_slot = 5;
  mail.outcome = Outcome::reset;
  EXPECT_TRUE(b.checker.on_mail(mail, 1));
  EXPECT_TRUE(b.checker.on_mail(mail, 1));
  EXPECT_EQ(b.checker.report(5).events[static_cast<u32>(Outcome::reset)], 2u);
}

TEST(Checker, Jitter_SpreadsTheChecksWithinItsShare) {
  Bench b;
  auto p = b.plan({1, 2, 3, 4, 5, 6, 7, 8});
  p->services[0].health_check.jitter_percent = 50;
  b.checker.adopt(p, 0);
  b.checker.poll(1);
  for (const auto& [core, mail] : std::vector(b.sent)) b.answer(mail, Outcome::success, 1);
  std::set<std::size_t> counts;
  b.checker.poll(10 * kSecond);
  EXPECT_EQ(b.sent.size(), 8u);
  for (TimeUs at = 10 * kSecond; at <= 15 * kSecond + 1; at += kSecond) {
    b.checker.poll(at);
    counts.insert(b.sent.size());
  }
  EXPECT_GT(counts.size(), 2u);
  EXPECT_EQ(b.sent.size(), 16u);
}

}  // namespace
}  // namespace ringway::health
