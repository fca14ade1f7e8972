// Counters that no other test of relay has a reason to look at: what moves each of them, and what does not.

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

class CountersTest : public H2RelayTest {};

TEST_F(CountersTest, ResponsesAreCountedByTheirClass) {
  start();
  const std::pair<Counter, const char*> classes[]{{Counter::responses_2xx, "204 Fine"}, {Counter::responses_3xx, "304 Same"},
                                                  {Counter::responses_4xx, "404 None"}, {Counter::responses_5xx, "500 Broken"}};
  for (const auto& [counter, status] : classes) {
    always("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: 0\r\n\r\n");
    ask(kGet);
    for (const auto& [other, unused] : classes) EXPECT_EQ(count(other), other <= counter ? 1u : 0u) << status;
  }
  EXPECT_EQ(count(Counter::local_answers), 0u);
}

TEST_F(CountersTest, AnAnswerOfOurOwnIsCountedAsSuchAndByItsClass) {
  start();
  plan->listeners[0].service = kNone32;
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 404 "));
  EXPECT_EQ(count(Counter::local_answers), 1u);
  EXPECT_EQ(count(Counter::no_route_found), 1u);
  EXPECT_EQ(count(Counter::responses_4xx), 1u);
}

TEST_F(CountersTest, ProbesAreCountedAndThoseThatFailBeside) {
  plan = test::one_service_plan(1, 1);
  plan->services[0].health_check.kind = contract::HealthCheckKind::tcp;
  adopt(1);
  const auto probe = [&] {
    contract::Mail mail;
    mail.kind = MailKind::probe;
    mail.plan = plan.get();
    world->inbox.push(mail);
    world->run_for(5000);
  };
  probe();
  EXPECT_EQ(count(Counter::probes_sent), 1u);
  EXPECT_EQ(count(Counter::probes_failed), 0u);
  world->server.tcp().unlisten(test::World::endpoint_ip(0), 8080);
  probe();
  EXPECT_EQ(count(Counter::probes_sent), 2u);
  EXPECT_EQ(count(Counter::probes_failed), 1u);
}

TEST_F(CountersTest, PlansAreCountedAsTheyAreAdopted) {
  start();
  EXPECT_EQ(count(Counter::plans_adopted), 1u);
  next_plan = test::one_service_plan(2, 1);
  world->adopt(*next_plan);
  world->run_for(1000);
  EXPECT_EQ(count(Counter::plans_adopted), 2u);
}

TEST_F(CountersTest, AnEventThatFindsTheRingFullIsDroppedAndTheRequestIsServed) {
  start();
  always(ok("x"));
  contract::Mail mail;
  mail.kind = MailKind::endpoint_event;
  while (world->outbox.push(mail)) {
  }
  EXPECT_THAT(ask(kGet), EndsWith("x"));
  EXPECT_EQ(count(Counter::events_dropped), 1u);
}

class OneH2ConnectionTest : public H2RelayTest {
 protected:
  test::WorldSizes sizes() const override { return {.h2 = {.connections = 1, .streams = 16}}; }
};

TEST_F(OneH2ConnectionTest, AnH2ClientThatFindsNoPlaceIsResetAndCounted) {
  start();
  always(ok("hello"));
  const u32 first = connect_h2();
  const u32 second = connect_h2();
  EXPECT_TRUE(client_side->peers[second].closed);
  EXPECT_EQ(count(Counter::h2_refused), 1u);
  EXPECT_EQ(answer_to(first, request(first, kGet)).body, "hello");
  EXPECT_THAT(ask(kGet), EndsWith("hello")) << "HTTP/1.1 needs no such place";
  world->client.tcp().abort(client_side->peers[first].conn);
  world->run_for(2000);
  const u32 third = connect_h2();
  EXPECT_EQ(answer_to(third, request(third, kGet)).body, "hello");
  EXPECT_EQ(count(Counter::h2_refused), 1u);
}

}  // namespace
}  // namespace ringway
