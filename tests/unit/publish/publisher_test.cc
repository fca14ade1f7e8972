// Publisher against cores that are plain rings: what is sent, in which order, and when a plan may die.

#include "control/publish/publisher.h"

#include <gtest/gtest.h>

namespace ringway::publish {
namespace {

using contract::Mail;
using contract::MailKind;
using contract::Plan;

std::shared_ptr<const Plan> plan(u64 generation) {
  auto out = std::make_shared<Plan>();
  out->generation = generation;
  return out;
}

// Two cores with their inboxes; answers are written by the test.
struct TwoCores {
  MailRing a{1}, b{64};  // a has room for one mail
  Publisher publisher{{&a, &b}};
  std::vector<u64> freed;
  std::vector<u64> adopted;
  TwoCores() {
    publisher.on_retired([this](const Plan& p) { freed.push_back(p.generation); });
    publisher.on_all_adopted([this](const Plan& p) { adopted.push_back(p.generation); });
  }
  void say(MailKind kind, u16 core, const std::shared_ptr<const Plan>& p) {
    Mail mail;
    mail.kind = kind;
    mail.core = core;
    mail.plan = p.get();
    EXPECT_TRUE(publisher.on_mail(mail));
  }
  static const Plan* next(MailRing& ring) {
    Mail mail;
    if (!ring.pop(mail)) return nullptr;
    EXPECT_EQ(mail.kind, MailKind::adopt_plan);
    return mail.plan;
  }
};

TEST(Publisher, PublishedPlan_ReachesEveryCore) {
  TwoCores t;
  const auto p = plan(1);
  t.publisher.publish(p);
  EXPECT_EQ(TwoCores::next(t.a), p.get());
  EXPECT_EQ(TwoCores::next(t.b), p.get());
  EXPECT_EQ(t.publisher.current(), p);
  EXPECT_FALSE(t.publisher.all_adopted());
}

TEST(Publisher, AllAdopted_IsToldOnceWhenTheLastCoreHasIt) {
  TwoCores t;
  const auto p = plan(1);
  t.publisher.publish(p);
  t.say(MailKind::plan_adopted, 0, p);
  EXPECT_TRUE(t.adopted.empty());
  t.say(MailKind::plan_adopted, 1, p);
  EXPECT_EQ(t.adopted, std::vector<u64>{1});
}

TEST(Publisher, OldPlan_DiesOnlyWhenEveryCoreHasRetiredIt) {
  TwoCores t;
  auto p1 = plan(1);
  const auto p2 = plan(2);
  const std::weak_ptr<const Plan> watch = p1;
  t.publisher.publish(p1);
  TwoCores::next(t.a);
  t.say(MailKind::plan_adopted, 0, p1);
  t.say(MailKind::plan_adopted, 1, p1);
  t.publisher.publish(p2);
  t.say(MailKind::plan_adopted, 0, p2);
  t.say(MailKind::plan_adopted, 1, p2);
  t.say(MailKind::plan_retired, 0, p1);
  EXPECT_TRUE(t.freed.empty());
  EXPECT_EQ(t.publisher.alive(), 2u);
  t.say(MailKind::plan_retired, 1, p1);
  EXPECT_EQ(t.freed, std::vector<u64>{1});
  EXPECT_EQ(t.publisher.alive(), 1u);
  p1.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(Publisher, FullInbox_GetsThePlanAtALaterPoll) {
  TwoCores t;
  Mail filler;
  while (t.a.push(filler)) {
  }
  const auto p = plan(1);
  t.publisher.publish(p);
  EXPECT_FALSE(t.publisher.reached(0));
  EXPECT_TRUE(t.publisher.reached(1));
  while (t.a.pop(filler)) {
  }
  t.publisher.poll();
  EXPECT_TRUE(t.publisher.reached(0));
  EXPECT_EQ(TwoCores::next(t.a), p.get());
}

TEST(Publisher, PlanThatNeverReachedACore_NeedsNoRetirementFromIt) {
  TwoCores t;
  const auto p1 = plan(1), p2 = plan(2), p3 = plan(3);
  t.publisher.publish(p1);
  EXPECT_EQ(TwoCores::next(t.a), p1.get());
  Mail filler;
  while (t.a.push(filler)) {
  }
  t.publisher.publish(p2);  // core 0 has no room for it
  while (t.a.pop(filler)) {
  }
  t.publisher.publish(p3);
  EXPECT_EQ(TwoCores::next(t.a), p3.get());
  for (const auto& p : {p1, p2, p3}) t.say(MailKind::plan_adopted, 1, p);
  t.say(MailKind::plan_retired, 1, p2);
  EXPECT_EQ(t.freed, std::vector<u64>{2});
}

TEST(Publisher, CoreThatPassedOverAPlan_MayRetireItWithoutAdoption) {
  TwoCores t;
  const auto p1 = plan(1), p2 = plan(2);
  t.publisher.publish(p1);
  TwoCores::next(t.a);
  t.publisher.publish(p2);
  t.say(MailKind::plan_retired, 0, p1);
  t.say(MailKind::plan_retired, 1, p1);
  EXPECT_EQ(t.freed, std::vector<u64>{1});
}

TEST(Publisher, ShareOfAnAdminRequest_KeepsTheRetiredPlanAlive) {
  TwoCores t;
  t.publisher.publish(plan(1));
  TwoCores::next(t.a);
  const auto share = t.publisher.current();
  t.publisher.publish(plan(2));
  t.say(MailKind::plan_retired, 0, share);
  t.say(MailKind::plan_retired, 1, share);
  EXPECT_EQ(t.publisher.alive(), 1u);
  EXPECT_EQ(share->generation, 1u);
  EXPECT_EQ(share.use_count(), 1);
}

TEST(Publisher, OtherMail_IsLeftToOthers) {
  TwoCores t;
  Mail mail;
  mail.kind = MailKind::probe_done;
  EXPECT_FALSE(t.publisher.on_mail(mail));
}

using PublisherDeathTest = ::testing::Test;
TEST(PublisherDeathTest, GenerationThatDoesNotRise_IsAProgrammersError) {
  TwoCores t;
  t.publisher.publish(plan(2));
  EXPECT_DEATH(t.publisher.publish(plan(2)), "generation");
}

TEST(PublisherDeathTest, RetirementOfTheCurrentPlan_IsAProgrammersError) {
  TwoCores t;
  const auto p = plan(1);
  t.publisher.publish(p);
  EXPECT_DEATH(t.say(MailKind::plan_retired, 0, p), "assertion failed");
}

}  // namespace
}  // namespace ringway::publish
