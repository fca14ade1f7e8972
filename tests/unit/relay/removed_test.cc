// Endpoints that have left, and the gateway's own health endpoint. See fixture.h.

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

class RemovedTest : public H2RelayTest {
 protected:
  void tell(MailKind kind, u32 slot = 0, u32 incarnation = 1) {
    contract::Mail mail;
    mail.kind = kind;
    mail.endpoint_slot = slot;
    mail.incarnation = incarnation;
    ASSERT_TRUE(world->inbox.push(mail));
    world->run_for(3000);
  }
  // As control does: the endpoint drains, and its idle connections close.
  void remove(u32 slot) {
    world->board.store(slot, contract::kHealthDraining);
    tell(MailKind::endpoint_left, slot);
  }
};

TEST_F(RemovedTest, IdleConnectionsOfOneThatLeftCloseAtOnce) {
  start();
  always(ok("x"));
  ask(kGet);
  ASSERT_EQ(serving.size(), 1u);
  EXPECT_FALSE(serving[0].peer_closed);
  remove(0);
  EXPECT_TRUE(serving[0].peer_closed);
  EXPECT_EQ(world->stats.page.upstream_idle.get(), 0u);
}

TEST_F(RemovedTest, ConnectionsOfAnotherOwnerOfTheSlotStay) {
  start();
  always(ok("x"));
  ask(kGet);
  tell(MailKind::endpoint_left, 0, 2);
  EXPECT_FALSE(serving[0].peer_closed);
  const u32 c = connect();
  on_request = nullptr;
  say(c, kGet);
  tell(MailKind::endpoint_over, 0, 2);
  EXPECT_FALSE(serving[0].closed);
  EXPECT_EQ(count(Counter::drains_cut), 0u);
}

TEST_F(RemovedTest, AnExchangeGoesOnUntilTheDrainTimeIsOver) {
  start();
  const u32 c = connect();
  say(c, kGet);
  remove(0);
  world->server.send(serving[0].id, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
  world->run_for(3000);
  EXPECT_THAT(clients[c].got, EndsWith("half"));
  EXPECT_FALSE(clients[c].peer_closed);
  tell(MailKind::endpoint_over);
  EXPECT_TRUE(clients[c].peer_closed) << "short of its length: the client sees that it broke";
  EXPECT_TRUE(serving[0].closed);
  EXPECT_EQ(count(Counter::drains_cut), 1u);
}

// --- listeners that have left

class RemovedListenerTest : public RemovedTest {
 protected:
  // A plan whose only listener has another address.
  void move_listener() {
    next_plan = std::move(plan);
    plan = test::one_service_plan(2, 1);
    plan->listeners[0].ip = wire::Ip4::of(10, 9, 0, 9);
    world->adopt(*plan);
    world->run_for(20'000);
  }
  u64 strays() const { return world->stats.page.verdicts[static_cast<u32>(contract::Verdict::ip4_not_ours)].get(); }
};

TEST_F(RemovedListenerTest, WhoWaitsForAnAnswerGetsItAndTheEnd) {
  start();
  const u32 idle = connect(), busy = connect();
  say(busy, kGet);
  move_listener();
  EXPECT_TRUE(clients[idle].peer_closed) << "nothing would tell it later";
  EXPECT_FALSE(clients[busy].peer_closed);
  const std::string body = pattern(300'000);  // more than a window: the client's acknowledgements have to come in
  const std::string answer = ok(body);
  for (std::size_t at = 0; at < answer.size(); at += 20'000) {
    world->server.send(serving[0].id, answer.substr(at, 20'000));
    world->run_for(20'000);
  }
  EXPECT_THAT(clients[busy].got, AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("onnection: close\r\n")));
  EXPECT_TRUE(clients[busy].got.ends_with(body));
  EXPECT_TRUE(clients[busy].peer_closed);
  EXPECT_EQ(strays(), 0u);
}

TEST_F(RemovedListenerTest, AnAnswerUnderWayEndsAndItsConnectionToo) {
  start();
  const u32 c = connect();
  say(c, kGet);
  world->server.send(serving[0].id, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
  world->run_for(3000);
  move_listener();
  world->server.send(serving[0].id, "lf");
  world->run_for(3000);
  EXPECT_THAT(clients[c].got, EndsWith("half"));
  EXPECT_TRUE(clients[c].peer_closed);
}

TEST_F(RemovedListenerTest, StreamsEndBehindGoaway) {
  start();
  const u32 c = connect_h2(), idle = connect_h2();
  const u32 stream = request(c, kGet);
  move_listener();
  EXPECT_TRUE(client_side->peers[idle].goaway);
  EXPECT_TRUE(client_side->peers[idle].closed);
  EXPECT_TRUE(client_side->peers[c].goaway);
  EXPECT_FALSE(answer_to(c, stream).ended);
  world->server.send(serving[0].id, ok("late"));
  world->run_for(5000);
  EXPECT_EQ(answer_to(c, stream).body, "late");
  EXPECT_TRUE(answer_to(c, stream).ended);
  EXPECT_TRUE(client_side->peers[c].closed);
}

TEST_F(RemovedListenerTest, TheAddressIsOursUntilNobodyIsConnectedToIt) {
  start();
  const u32 c = connect();
  say(c, kGet);
  move_listener();
  EXPECT_EQ(strays(), 0u);
  world->client.tcp().abort(clients[c].id);
  world->run_for(20'000);
  EXPECT_EQ(strays(), 0u);
  connect();
  EXPECT_GT(strays(), 0u);
}

TEST_F(RemovedListenerTest, AnAddressThatComesBackIsAsBefore) {
  start();
  always(ok("x"));
  const u32 c = connect();
  say(c, kGet);
  move_listener();
  const auto third = test::one_service_plan(3, 1);
  world->adopt(*third);
  world->run_for(20'000);
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(strays(), 0u);
  world->stop();
}

TEST_F(RemovedTest, ARequestWithoutAnAnswerGoesElsewhereWhenTheTimeIsOver) {
  start(2);
  const u32 c = connect();
  say(c, kGet);
  const u32 first = serving[0].endpoint;
  remove(first);
  always(ok("from the other"));
  tell(MailKind::endpoint_over, first);
  EXPECT_THAT(clients[c].got, EndsWith("from the other"));
  EXPECT_EQ(seen_at, std::vector<u32>{1 - first});
}

TEST_F(RemovedTest, ATunnelEndsWhenTheTimeIsOver) {
  start(1, contract::AppProtocol::tcp);
  const u32 c = connect();
  say(c, "bytes");
  remove(0);
  EXPECT_FALSE(clients[c].closed);
  tell(MailKind::endpoint_over);
  EXPECT_TRUE(clients[c].closed);
  EXPECT_EQ(count(Counter::drains_cut), 1u);
}

TEST_F(RemovedTest, StreamsGoOnAndTheirConnectionEndsWithTheLast) {
  start_h2();
  respond = [](Peer&, u32, Message&) {};
  const u32 c = connect_h2();
  const u32 stream = request(c, kGet);
  remove(0);
  EXPECT_FALSE(server_side->peers[0].closed);
  const u32 at = server_side->peers[0].streams.begin()->first;
  respond_with(at, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok");
  server_side->h2.release(at, http::H2Error::no_error);
  world->run_for(5000);
  EXPECT_EQ(answer_to(c, stream).body, "ok");
  EXPECT_TRUE(server_side->peers[0].closed);
}

TEST_F(RemovedTest, StreamsEndWhenTheTimeIsOver) {
  start_h2();
  respond = [](Peer&, u32, Message&) {};
  plan->services[0].panic_percent = 0;
  const u32 c = connect_h2();
  const u32 one = request(c, kGet);
  const u32 two = request(c, kGet);
  remove(0);
  tell(MailKind::endpoint_over);
  EXPECT_THAT(answer_to(c, one).head, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answer_to(c, two).head, StartsWith("HTTP/1.1 503"));
  EXPECT_TRUE(server_side->peers[0].closed);
  EXPECT_EQ(count(Counter::drains_cut), 2u);
}

TEST_F(RemovedTest, ManyConnectionsAreLookedAtOverSeveralPolls) {
  start();
  for (u32 i = 0; i < 600; ++i) {
    clients.push_back({.id = *world->client.tcp().connect(test::World::kClient, kVip, 80, clients.size(), world->now_us)});
    world->run_for(200);
    world->client.send(clients.back().id, kGet);
  }
  world->run_for(3000);
  ASSERT_EQ(serving.size(), 600u);
  remove(0);
  plan->services[0].panic_percent = 0;
  tell(MailKind::endpoint_over);
  EXPECT_EQ(count(Counter::drains_cut), 600u);
  for (const Client& c : clients) EXPECT_THAT(c.got, StartsWith("HTTP/1.1 503"));
}

class HealthEndpointTest : public H2RelayTest {
 protected:
  void start_with_health() {
    plan = test::one_service_plan(1, 1);
    plan->listeners[0] = {.ip = kVip, .port = 80, .name = "health:80", .health_path = "/health"};
    adopt(0);
    world->board.say_ready(true);
  }
};

TEST_F(HealthEndpointTest, Says200WhileReadyAnd503FromTheMomentThatItIsNot) {
  start_with_health();
  const u32 c = connect();
  say(c, "GET /health HTTP/1.1\r\nHost: lb\r\n\r\n");
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\nok\n"), Not(HasSubstr("lose"))));
  clients[c].got.clear();
  world->board.say_ready(false);
  say(c, "GET /health?deep=1 HTTP/1.1\r\nHost: lb\r\n\r\n");
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("draining\n")));
  EXPECT_EQ(count(Counter::responses_2xx), 1u);
  EXPECT_EQ(count(Counter::responses_5xx), 1u);
}

TEST_F(HealthEndpointTest, HasOnePathAndTwoMethods) {
  start_with_health();
  EXPECT_THAT(ask("HEAD /health HTTP/1.1\r\nHost: lb\r\n\r\n"), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\n")));
  EXPECT_THAT(ask("GET / HTTP/1.1\r\nHost: lb\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("GET /healthy HTTP/1.1\r\nHost: lb\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("POST /health HTTP/1.1\r\nHost: lb\r\nContent-Length: 0\r\n\r\n"), StartsWith("HTTP/1.1 501 "));
}

TEST_F(HealthEndpointTest, AnswersHttp2) {
  start_with_health();
  EXPECT_THAT(ask_h2("GET /health HTTP/1.1\r\nHost: lb\r\n\r\n").head, StartsWith("HTTP/1.1 200 "));
  world->board.say_ready(false);
  EXPECT_THAT(ask_h2("GET /health HTTP/1.1\r\nHost: lb\r\n\r\n").head, StartsWith("HTTP/1.1 503 "));
}

}  // namespace
}  // namespace ringway
