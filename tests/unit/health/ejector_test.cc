// The Checker with outlier detection: mail and pages of cores in, the board, reports and words for people out.

#include <gtest/gtest.h>

#include "control/health/checker.h"

namespace ringway::health {
namespace {

using contract::Mail;
using contract::MailKind;
using contract::Outcome;
using contract::Plan;

constexpr TimeUs kSecond = 1'000'000;

// Two cores, one service of ten endpoints in slots 10 to 19 without active checks unless said.
struct EjectorBench {
  contract::HealthBoard board;
  contract::CoreStats core0, core1;
  std::vector<std::pair<u32, Mail>> sent;
  bool refuse = false;
  std::vector<std::string> told;
  u64 generation = 0;
  TimeUs now = kSecond;
  contract::OutlierDetection settings;
  contract::HealthCheckKind check = contract::HealthCheckKind::none;
  contract::AppProtocol protocol = contract::AppProtocol::http;
  Checker checker{board, 2,
                  [this](u32 core, const Mail& mail) {
                    if (refuse) return false;
                    sent.emplace_back(core, mail);
                    return true;
                  },
                  7,
                  [this](const contract::Endpoint& e, Transition t, const EndpointReport& r) {
                    if (t == Transition::ejected) told.push_back(e.id + " out " + std::string(kEjectionCauseNames[static_cast<u32>(r.ejection.cause)]));
                    if (t == Transition::returned) told.push_back(e.id + " back");
                  },
                  {&core0, &core1}};

  std::shared_ptr<Plan> plan(u32 endpoints = 10, u32 incarnation = 1) {
    auto out = std::make_shared<Plan>();
    out->generation = ++generation;
    contract::Service service;
    service.outlier = settings;
    service.health_check = {.kind = check, .interval_us = kSecond, .healthy_threshold = 1, .unhealthy_threshold = 3, .jitter_percent = 0, .request = {}, .body = {}};
    service.app_protocol = protocol;
    service.drain_us = 20 * kSecond;
    service.endpoint_count = endpoints;
    for (u32 i = 0; i < endpoints; i++)
      out->endpoints.push_back({.slot = 10 + i, .incarnation = incarnation, .id = "e" + std::to_string(10 + i), .zone = {}});
    out->services.push_back(service);
    return out;
  }
  std::shared_ptr<Plan> adopt(u32 endpoints = 10, u32 incarnation = 1) {
    auto out = plan(endpoints, incarnation);
    checker.adopt(out, now);
    return out;
  }
  void happens(u32 slot, Outcome outcome, u16 core = 0) {
    Mail mail;
    mail.kind = MailKind::endpoint_event;
    mail.endpoint_slot = slot;
    mail.outcome = outcome;
    mail.core = core;
    EXPECT_TRUE(checker.on_mail(mail, now));
  }
  void fails(u32 slot, u32 times = 5) {
    for (u32 i = 0; i < times; i++) happens(slot, Outcome::bad_status, i % 2);
  }
  // Answers every check that is due.
  void answer_checks(Outcome outcome) {
    sent.clear();
    checker.poll(now);
    for (const auto& [core, probe] : std::vector(sent)) {
      Mail mail = probe;
      mail.kind = MailKind::probe_done;
      mail.outcome = outcome;
      EXPECT_TRUE(checker.on_mail(mail, now));
    }
  }
  void runs_for(TimeUs us) {
    for (const TimeUs end = now + us; now < end; now += 100'000) checker.poll(now);
  }
  std::vector<MailKind> kinds(u32 core) const {
    std::vector<MailKind> out;
    for (const auto& [to, mail] : sent)
      if (to == core && mail.kind != MailKind::probe) out.push_back(mail.kind);
    return out;
  }
};

TEST(Ejector, FailuresOfSeveralCoresInARow_TakeTheEndpointOut) {
  EjectorBench b;
  b.adopt();
  b.fails(12, 4);
  EXPECT_TRUE(b.board.may_pick(12));
  b.happens(12, Outcome::reset, 1);
  EXPECT_EQ(b.board.word(12), contract::kHealthEjected);
  EXPECT_EQ(b.told, std::vector<std::string>{"e12 out consecutive5xx"});
  const Ejection e = b.checker.report(12).ejection;
  EXPECT_TRUE(e.out);
  EXPECT_EQ(e.times, 1u);
  EXPECT_EQ(e.until_us, b.now + 30 * kSecond);
}

TEST(Ejector, ASuccessOfAnyCore_StartsTheCountAgain) {
  EjectorBench b;
  b.adopt();
  b.fails(12, 4);
  b.happens(12, Outcome::success, 1);
  b.fails(12, 4);
  EXPECT_TRUE(b.board.may_pick(12));
  b.happens(12, Outcome::bad_status);
  EXPECT_FALSE(b.board.may_pick(12));
}

TEST(Ejector, TheBoardSuspects_FromTheFirstFailureToTheNextSuccess) {
  EjectorBench b;
  b.adopt();
  EXPECT_FALSE(b.checker.in_suspense());
  b.happens(12, Outcome::bad_status);
  EXPECT_TRUE(b.board.suspected(12));
  EXPECT_TRUE(b.checker.in_suspense());
  EXPECT_TRUE(b.board.may_pick(12));
  b.happens(12, Outcome::success);
  EXPECT_FALSE(b.board.suspected(12));
  b.fails(12);
  EXPECT_FALSE(b.board.suspected(12)) << "decided";
  EXPECT_FALSE(b.checker.in_suspense());
}

TEST(Ejector, AnEjectionEnds_AndIsToldSo) {
  EjectorBench b;
  b.adopt();
  b.fails(12);
  b.now += 30 * kSecond - 1;
  b.checker.poll(b.now);
  EXPECT_FALSE(b.board.may_pick(12));
  b.now += 1;
  b.checker.poll(b.now);
  EXPECT_TRUE(b.board.may_pick(12));
  EXPECT_EQ(b.told.back(), "e12 back");
  EXPECT_FALSE(b.checker.report(12).ejection.out);
  EXPECT_EQ(b.checker.report(12).ejection.times, 1u);
}

TEST(Ejector, Sweeps_ReadThePagesOfAllCoresAsDifferences) {
  EjectorBench b;
  for (u32 slot = 10; slot < 20; slot++) b.core0.endpoints[slot].responses[2].set(1'000'000);  // before our time
  b.core0.endpoints[15].bad_answers.set(1'000'000);
  b.adopt();
  for (u32 slot = 10; slot < 20; slot++) {
    b.core0.endpoints[slot].responses[2].add(60);
    b.core1.endpoints[slot].responses[3].add(60);
  }
  b.core0.endpoints[13].bad_answers.add(40);
  b.core1.endpoints[13].broken.add(40);
  b.runs_for(11 * kSecond);
  EXPECT_EQ(b.told, std::vector<std::string>{"e13 out successRate"});
  b.told.clear();
  b.runs_for(11 * kSecond);
  EXPECT_TRUE(b.told.empty()) << "in this interval nothing happened";
}

TEST(Ejector, FailingCalls_AreNoGoodAnswers) {
  EjectorBench b;
  b.adopt();
  for (u32 slot = 10; slot < 20; slot++) b.core0.endpoints[slot].responses[2].add(100);
  b.core0.endpoints[13].bad_answers.add(50);
  b.core0.endpoints[13].grpc_failures.add(50);  // HTTP calls them 200
  b.runs_for(11 * kSecond);
  EXPECT_EQ(b.told, std::vector<std::string>{"e13 out successRate"});
}

TEST(Ejector, Reload_KeepsEjectionsAndCounts) {
  EjectorBench b;
  b.adopt();
  b.fails(12);
  b.fails(13, 4);
  b.adopt(9);
  EXPECT_FALSE(b.board.may_pick(12));
  EXPECT_TRUE(b.board.suspected(13));
  b.happens(13, Outcome::bad_status);
  EXPECT_FALSE(b.board.may_pick(13));
}

TEST(Ejector, Reload_ChangesTheSettingsInForce) {
  EjectorBench b;
  b.adopt();
  b.settings.consecutive_5xx = 2;
  b.settings.base_ejection_us = 7 * kSecond;
  b.adopt();
  b.fails(12, 2);
  EXPECT_EQ(b.checker.report(12).ejection.until_us, b.now + 7 * kSecond);
}

TEST(Ejector, SwitchedOff_TheEjectedReturnAndNobodyFollows) {
  EjectorBench b;
  b.adopt();
  b.fails(12);
  b.settings.enabled = false;
  b.adopt();
  EXPECT_TRUE(b.board.may_pick(12));
  EXPECT_EQ(b.told.back(), "e12 back");
  b.fails(13, 20);
  EXPECT_TRUE(b.board.may_pick(13));
  EXPECT_FALSE(b.board.suspected(13));
}

TEST(Ejector, ANewOwnerOfTheSlot_BeginsAnew) {
  EjectorBench b;
  b.adopt();
  b.fails(12);
  b.fails(13, 4);
  b.adopt(10, 2);
  EXPECT_TRUE(b.board.may_pick(12));
  EXPECT_FALSE(b.board.suspected(13));
  b.happens(13, Outcome::bad_status);
  EXPECT_TRUE(b.board.may_pick(13));
}

TEST(Ejector, OneThatLeavesAndComesBack_BeginsAnew) {
  EjectorBench b;
  b.adopt();
  b.fails(19);
  b.adopt(9);
  b.adopt();
  EXPECT_TRUE(b.board.may_pick(19));
  EXPECT_FALSE(b.checker.report(19).ejection.out);
  b.fails(18);
  EXPECT_FALSE(b.board.may_pick(18)) << "the share of those that are out is counted right";
}

TEST(Ejector, ACheckThatSucceedsAfterwards_EndsTheEjection) {
  EjectorBench b;
  b.check = contract::HealthCheckKind::http;
  b.adopt();
  b.answer_checks(Outcome::success);
  b.now += kSecond / 2;
  b.fails(12);
  EXPECT_FALSE(b.board.may_pick(12));
  b.now += kSecond;
  b.answer_checks(Outcome::success);
  EXPECT_TRUE(b.board.may_pick(12));
}

TEST(Ejector, AnOpenPort_SaysNothingAboutAnswers) {
  EjectorBench b;
  b.check = contract::HealthCheckKind::tcp;
  b.adopt();
  b.answer_checks(Outcome::success);
  b.fails(12);
  b.now += 2 * kSecond;
  b.answer_checks(Outcome::success);
  EXPECT_FALSE(b.board.may_pick(12));
}

TEST(Ejector, AnOpenPort_IsAllThatATcpServiceHas) {
  EjectorBench b;
  b.check = contract::HealthCheckKind::tcp;
  b.protocol = contract::AppProtocol::tcp;
  b.adopt();
  b.answer_checks(Outcome::success);
  for (u32 i = 0; i < 5; i++) b.happens(12, Outcome::connect_failed);
  EXPECT_FALSE(b.board.may_pick(12));
  b.now += 2 * kSecond;
  b.answer_checks(Outcome::success);
  EXPECT_TRUE(b.board.may_pick(12));
}

TEST(Ejector, AnEjectedEndpointThatFailsItsChecks_IsOutForBothReasons) {
  EjectorBench b;
  b.check = contract::HealthCheckKind::http;
  b.adopt();
  b.answer_checks(Outcome::success);
  b.fails(12);
  for (u32 i = 0; i < 3; i++) {
    b.now += 2 * kSecond;
    b.answer_checks(Outcome::bad_status);
  }
  EXPECT_EQ(b.board.word(12), contract::kHealthEjected | contract::kHealthFailing);
  b.now += 30 * kSecond;
  b.checker.poll(b.now);
  EXPECT_EQ(b.board.word(12), +contract::kHealthFailing);
}

TEST(CheckerDrain, OneThatLeft_IsToldToEveryCoreAtOnceAndAgainWhenItsTimeIsOver) {
  EjectorBench b;
  b.adopt(2);
  b.adopt(1);
  b.sent.clear();
  b.checker.drain_removed(b.now);
  for (const u32 core : {0u, 1u}) EXPECT_EQ(b.kinds(core), std::vector<MailKind>{MailKind::endpoint_left});
  EXPECT_EQ(b.sent[0].second.endpoint_slot, 11u);
  EXPECT_EQ(b.sent[0].second.incarnation, 1u);
  b.checker.poll(b.now + 20 * kSecond - 1);
  EXPECT_EQ(b.kinds(0).size(), 1u);
  b.checker.poll(b.now + 20 * kSecond);
  for (const u32 core : {0u, 1u})
    EXPECT_EQ(b.kinds(core), (std::vector<MailKind>{MailKind::endpoint_left, MailKind::endpoint_over}));
  b.checker.poll(b.now + 60 * kSecond);
  EXPECT_EQ(b.kinds(0).size(), 2u);
}

TEST(CheckerDrain, OneThatComesBackInTime_KeepsItsExchanges) {
  EjectorBench b;
  b.adopt(2);
  b.adopt(1);
  b.checker.drain_removed(b.now);
  b.adopt(2);
  b.sent.clear();
  b.checker.poll(b.now + 60 * kSecond);
  EXPECT_TRUE(b.kinds(0).empty());
}

TEST(CheckerDrain, OneThatIsForgottenInTime_IsNotToldAgain) {
  EjectorBench b;
  const auto first = b.adopt(2);
  b.adopt(1);
  b.checker.drain_removed(b.now);
  b.checker.forget(*first);
  b.sent.clear();
  b.checker.poll(b.now + 60 * kSecond);
  EXPECT_TRUE(b.kinds(0).empty());
}

TEST(CheckerDrain, AFullInbox_GetsItsMailLater) {
  EjectorBench b;
  b.adopt(2);
  b.adopt(1);
  b.refuse = true;
  b.checker.drain_removed(b.now);
  b.refuse = false;
  b.checker.poll(b.now + 1);
  for (const u32 core : {0u, 1u}) EXPECT_EQ(b.kinds(core), std::vector<MailKind>{MailKind::endpoint_left});
}

}  // namespace
}  // namespace ringway::health
