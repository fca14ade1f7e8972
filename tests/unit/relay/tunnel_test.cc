// TCP services: a connection of a client joined to one of an endpoint, whatever either says.

#include "tests/unit/relay/fixture.h"

namespace ringway {
namespace {

class TunnelTest : public RelayTest {
 protected:
  void start_tcp(u32 endpoints = 1) { start(endpoints, contract::AppProtocol::tcp); }
  // Endpoints that say back what they hear, and close when they have heard all.
  void echo() {
    on_request = [this](Serving& s) {
      if (!s.got.empty()) world->server.send(s.id, std::exchange(s.got, {}));
    };
  }
  // Endpoints that only listen; half-closes are left to the test.
  void hold_open() { close_when_told = false; }
  const contract::ServiceStats& service() const { return world->stats.services[0]; }
  std::vector<Outcome> outcomes() {
    std::vector<Outcome> all;
    for (const contract::Mail& mail : mails(MailKind::endpoint_event)) all.push_back(mail.outcome);
    return all;
  }
};

TEST_F(TunnelTest, TheClientsHalfCloseIsPassedAndTheAnswerStillComes) {
  start_tcp();
  hold_open();
  const u32 c = connect();
  say(c, "question");
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(3000);
  ASSERT_EQ(serving.size(), 1u);
  EXPECT_EQ(serving[0].got, "question");
  EXPECT_TRUE(serving[0].peer_closed);
  EXPECT_FALSE(clients[c].peer_closed);
  const std::string answer = pattern(300'000);
  world->server.send(serving[0].id, answer);
  world->server.tcp().close(serving[0].id);
  world->run_for(100'000);
  EXPECT_EQ(clients[c].got, answer);
  EXPECT_TRUE(clients[c].peer_closed);
  EXPECT_EQ(service().active.get(), 0u);
}

TEST_F(TunnelTest, TheEndpointsHalfCloseIsPassedAndTheClientGoesOn) {
  start_tcp();
  hold_open();
  const u32 c = connect();
  world->server.send(serving[0].id, "all that I say");
  world->server.tcp().shutdown(serving[0].id);
  world->run_for(3000);
  EXPECT_EQ(clients[c].got, "all that I say");
  EXPECT_TRUE(clients[c].peer_closed);
  EXPECT_FALSE(serving[0].peer_closed);
  const std::string more = pattern(300'000);
  world->client.send(clients[c].id, more);
  world->client.tcp().close(clients[c].id);
  world->run_for(100'000);
  EXPECT_EQ(serving[0].got, more);
  EXPECT_TRUE(serving[0].peer_closed);
  EXPECT_EQ(service().active.get(), 0u);
}

TEST_F(TunnelTest, TheEndpointMaySpeakFirst) {
  start_tcp();
  hold_open();
  const u32 c = connect();
  ASSERT_EQ(serving.size(), 1u) << "it is connected to before the client says anything";
  world->server.send(serving[0].id, "220 ready\r\n");
  world->run_for(2000);
  EXPECT_EQ(clients[c].got, "220 ready\r\n");
}

TEST_F(TunnelTest, BytesPassBothWaysAtOnceUncopiedAndAreCounted) {
  start_tcp();
  echo();
  const u32 c = connect();
  const std::string sent = pattern(2'000'000);
  world->client.send(clients[c].id, sent);
  world->run_for(400'000);
  EXPECT_EQ(clients[c].got == sent, true);
  EXPECT_EQ(count(Counter::payload_copied), 0u);
  EXPECT_EQ(service().bytes_in.get(), sent.size());
  EXPECT_EQ(service().bytes_out.get(), sent.size());
  EXPECT_EQ(service().requests.get(), 1u) << "connections, where there are no requests";
  EXPECT_EQ(service().active.get(), 1u);
  EXPECT_EQ(world->stats.endpoints[0].active.get(), 1u);
  world->client.tcp().close(clients[c].id);
  world->run_for(5000);
  EXPECT_EQ(service().active.get(), 0u);
  EXPECT_EQ(world->stats.endpoints[0].active.get(), 0u);
}

TEST_F(TunnelTest, AClientThatDoesNotReadStopsItsEndpoint) {
  start_tcp();
  hold_open();
  const u32 c = connect();
  clients[c].reading = false;
  world->server.send(serving[0].id, pattern(4'000'000));
  world->run_for(300'000);
  EXPECT_LT(service().bytes_out.get(), 1'100'000u) << "two budgets and a window";
  clients[c].reading = true;
  world->run_for(600'000);
  EXPECT_EQ(clients[c].got.size(), 4'000'000u);
}

TEST_F(TunnelTest, ConnectionsOfOneClientGoToOneEndpointWhateverTheirPort) {
  plan = test::one_service_plan(1, 3, contract::AppProtocol::tcp);
  plan->services[0].policy = contract::BalancePolicy::maglev;
  plan->services[0].bound_percent = 0;
  plan->services[0].maglev.resize(contract::kMaglevSlotsDefault);
  for (u32 i = 0; i < plan->services[0].maglev.size(); ++i) plan->services[0].maglev[i] = static_cast<u16>(i % 3);
  adopt(3);
  hold_open();
  for (int i = 0; i < 9; ++i) connect();
  ASSERT_EQ(serving.size(), 9u);
  for (const Serving& s : serving) EXPECT_EQ(s.endpoint, serving[0].endpoint);
}

TEST_F(TunnelTest, AnEndpointThatRefusesLeavesTheClientToAnother) {
  start_tcp(2);
  echo();
  world->server.tcp().unlisten(test::World::endpoint_ip(0), 8080);
  for (int i = 0; i < 4; ++i) {
    const u32 c = connect();
    say(c, "x");
    EXPECT_EQ(clients[c].got, "x");
  }
  EXPECT_EQ(count(Counter::upstream_retries), 4u) << "in turn: the other one's turn was over before the next client came";
  EXPECT_EQ(world->stats.endpoints[0].connect_failures.get(), 4u);
  const auto told = outcomes();
  EXPECT_EQ(std::count(told.begin(), told.end(), Outcome::connect_failed), 4);
}

TEST_F(TunnelTest, ATunnelThatTookARetryIsNoneAnyMore) {
  start_tcp(2);
  hold_open();
  world->server.tcp().unlisten(test::World::endpoint_ip(0), 8080);
  for (int i = 0; i < 8; ++i) connect();
  world->run_for(3000);
  EXPECT_EQ(serving.size(), 8u) << "more than the budget allows at a time";
  EXPECT_EQ(service().active.get(), 8u);
  EXPECT_EQ(service().retrying.get(), 0u);
  EXPECT_EQ(service().retries_denied.get(), 0u);
}

TEST_F(TunnelTest, AnEndpointThatDoesNotAnswerIsLeftAfterTheConnectTimeout) {
  start_tcp(2);
  echo();
  plan->services[0].timeouts.connect_us = 50'000;
  plan->endpoints[0].ip = wire::Ip4::of(10, 2, 0, 99);  // nobody
  const u32 c = connect();
  say(c, "hello");
  const u32 other = connect();
  say(other, "hello");
  world->run_for(100'000);
  EXPECT_EQ(clients[c].got, "hello");
  EXPECT_EQ(clients[other].got, "hello");
  const auto told = outcomes();
  EXPECT_EQ(std::count(told.begin(), told.end(), Outcome::timed_out), 1);
}

TEST_F(TunnelTest, AnEndpointThatResetsBeforeAnyByteLeavesTheClientToAnother) {
  start_tcp(2);
  on_request = [&](Serving& s) {
    if (s.endpoint == 0) return world->server.tcp().abort(s.id);
    if (!s.got.empty()) world->server.send(s.id, std::exchange(s.got, {}));
  };
  for (int i = 0; i < 2; ++i) {
    const u32 c = connect();
    say(c, "x");
    EXPECT_EQ(clients[c].got, "x");
  }
  const auto told = outcomes();
  EXPECT_EQ(std::count(told.begin(), told.end(), Outcome::reset), 2);
}

TEST_F(TunnelTest, AResetAfterBytesIsPassedAndSpeaksNotAgainstTheEndpoint) {
  start_tcp(2);
  hold_open();
  const u32 c = connect();
  say(c, "begin");
  ASSERT_EQ(serving.size(), 1u);
  world->server.tcp().abort(serving[0].id);
  world->run_for(3000);
  EXPECT_TRUE(clients[c].closed) << "its bytes cannot be said again to another";
  EXPECT_EQ(serving.size(), 1u);
  EXPECT_EQ(count(Counter::upstream_retries), 0u);
  EXPECT_TRUE(outcomes().empty());
}

TEST_F(TunnelTest, AClientsResetIsPassed) {
  start_tcp();
  hold_open();
  const u32 c = connect();
  say(c, "begin");
  world->client.tcp().abort(clients[c].id);
  world->run_for(3000);
  EXPECT_TRUE(serving[0].closed);
  EXPECT_FALSE(serving[0].peer_closed);
  EXPECT_EQ(count(Counter::client_aborts), 1u);
}

TEST_F(TunnelTest, WithoutAnEndpointTheClientIsReset) {
  start_tcp();
  world->server.tcp().unlisten(test::World::endpoint_ip(0), 8080);
  const u32 c = connect();
  world->run_for(3000);
  EXPECT_TRUE(clients[c].closed);
  world->board.store(0, contract::kHealthUnproven);
  world->run_for(20'000);
  const u32 other = connect();
  EXPECT_TRUE(clients[other].closed);
}

TEST_F(TunnelTest, SilenceEndsBothSidesInOrder) {
  start_tcp();
  hold_open();
  plan->services[0].timeouts = {.per_request_us = 0, .idle_us = 200'000};
  const u32 c = connect();
  for (int i = 0; i < 4; ++i) {  // as long as somebody speaks it lives
    say(c, "x");
    world->run_for(150'000, 500);
    world->server.send(serving[0].id, "y");
    world->run_for(150'000, 500);
  }
  EXPECT_FALSE(clients[c].peer_closed);
  world->run_for(60'000, 500);
  EXPECT_TRUE(clients[c].peer_closed);
  EXPECT_FALSE(clients[c].closed) << "a FIN, no reset";
  EXPECT_TRUE(serving[0].peer_closed);
  EXPECT_EQ(count(Counter::idle_timeouts), 1u);
  EXPECT_EQ(service().timeouts.get(), 1u);
  EXPECT_EQ(service().active.get(), 0u);
}

TEST_F(TunnelTest, AClientThatHasHalfClosedBeforeTheEndpointIsThereIsServed) {
  start_tcp();
  echo();
  const u32 c = static_cast<u32>(clients.size());
  clients.push_back({.id = *world->client.tcp().connect(test::World::kClient, kVip, 80, c, world->now_us)});
  world->client.send(clients[c].id, "all at once");
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(5000);
  EXPECT_EQ(clients[c].got, "all at once");
  EXPECT_TRUE(clients[c].peer_closed);
}

}  // namespace
}  // namespace ringway
