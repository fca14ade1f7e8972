// Circuit breakers where connections are few: who waits for one, what makes room, and who is told. See h2_fixture.h.

#include <algorithm>

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

class BreakersTest : public H2RelayTest {
 protected:
  void start_with(u32 endpoints, contract::AppProtocol protocol, u32 connections, std::function<void(contract::Plan&)> change = {}) {
    plan = test::one_service_plan(1, endpoints, protocol);
    limit(*plan, connections);
    if (change) change(*plan);
    if (protocol == contract::AppProtocol::http2) world->server_app = [this] { run_h2_server(); };
    adopt(endpoints);
  }
  static void limit(contract::Plan& plan, u32 connections) {
    plan.services[0].breakers.connections = connections;
    plan.services[0].breakers.share_among(1);
  }
  // What nobody answers yet, by endpoint, in the order of its coming.
  struct Open {
    u32 endpoint = 0, stream = kNone32;
    Peer* peer = nullptr;
  };
  void hold_streams() {
    respond = [this](Peer& peer, u32 stream, Message& message) {
      if (message.ended) open.push_back({peer.endpoint, stream, &peer});
    };
  }
  void answer(const Open& one) {
    respond_with(one.stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "fine");
    server_side->h2.release(one.stream, http::H2Error::no_error);
    one.peer->streams.erase(one.stream);
    world->run_for(3000);
  }
  // From now on every connection to the endpoint is believed to take `streams` at once, until it says otherwise.
  void teach(u32 streams) {
    server_settings.streams_max = streams;
    hold_streams();
    const u32 c = connect_h2();
    request(c, kGet);
    answer(open.at(0));
    world->server.tcp().close(open[0].peer->conn);
    open.clear();
    world->run_for(3000);
    ASSERT_EQ(numbers().upstreams.get(), 0u);
  }
  contract::ServiceStats& numbers() { return world->stats.services[0]; }

  std::vector<Open> open;
};

TEST_F(BreakersTest, ACoreKeepsToItsShareOfConnectionsAndOfThoseThatWait) {
  start_with(1, contract::AppProtocol::http, 8, [](auto& p) {
    p.services[0].breakers.pending = 4;
    p.services[0].breakers.share_among(4);
  });
  const u32 c[] = {connect(), connect(), connect(), connect()};
  for (const u32 i : c) say(i, kGet);
  EXPECT_EQ(serving.size(), 2u);
  EXPECT_EQ(numbers().pending.get(), 1u);
  EXPECT_THAT(clients[c[3]].got, HasSubstr("x-envoy-overloaded: true"));
}

TEST_F(BreakersTest, WhenANewPlanAllowsFewerConnectionsAllIdleOnesAboveItMakeRoom) {
  start_with(1, contract::AppProtocol::http, 3);
  const u32 c[] = {connect(), connect(), connect()};
  for (const u32 i : c) say(i, kGet);
  ASSERT_EQ(serving.size(), 3u);
  for (const Serving& s : serving) world->server.send(s.id, ok("first"));
  always(ok("second"));
  for (Serving& s : serving) s.got.clear();
  world->run_for(3000);
  EXPECT_EQ(world->stats.page.upstream_idle.get(), 3u);
  next_plan = test::one_service_plan(2, 2);
  limit(*next_plan, 1);
  world->server.tcp().listen(test::World::endpoint_ip(1), 8080, 1);
  world->adopt(*next_plan);
  world->run_for(500);
  for (const u32 i : c) {
    clients[i].got.clear();
    say(i, kGet);
    EXPECT_THAT(clients[i].got, EndsWith("second"));
  }
  EXPECT_GE(std::count(seen_at.begin(), seen_at.end(), 1u), 1) << "the other endpoint had its turn";
  EXPECT_EQ(numbers().upstreams.get(), 1u);
}

TEST_F(BreakersTest, AConnectionThatComesFreeAfterItsEndpointLeftMakesRoom) {
  start_with(2, contract::AppProtocol::http, 1);
  const u32 a = connect(), b = connect();
  say(a, kGet);
  ASSERT_EQ(serving.size(), 1u);
  const u32 first = serving[0].endpoint;
  next_plan = test::one_service_plan(2, 2);
  next_plan->endpoints.erase(next_plan->endpoints.begin() + first);
  next_plan->services[0].endpoint_count = 1;
  limit(*next_plan, 1);
  world->adopt(*next_plan);
  world->board.store(first, contract::kHealthDraining);
  contract::Mail mail;
  mail.kind = MailKind::endpoint_left;
  mail.endpoint_slot = first;
  mail.incarnation = 1;
  ASSERT_TRUE(world->inbox.push(mail));
  world->run_for(1000);
  say(b, kGet);
  EXPECT_EQ(numbers().pending.get(), 1u);
  world->server.send(serving[0].id, ok("from the old one"));
  serving[0].got.clear();
  always(ok("from the new one"));
  world->run_for(5000);
  EXPECT_THAT(clients[a].got, EndsWith("from the old one"));
  EXPECT_THAT(clients[b].got, EndsWith("from the new one"));
  EXPECT_TRUE(serving[0].peer_closed);
}

TEST_F(BreakersTest, AnIdleHttp2ConnectionMakesRoomWhereverItWasOpened) {
  server_settings.streams_max = 1;
  start_with(2, contract::AppProtocol::http2, 3);
  hold_streams();
  const u32 c = connect_h2();
  for (u32 i = 0; i < 3; ++i) request(c, kGet);  // endpoints in turn: one has two connections then
  ASSERT_EQ(server_side->peers.size(), 3u);
  const u32 twice = open[0].endpoint;
  ASSERT_EQ(open[2].endpoint, twice);
  answer(open[2]);  // the younger of the two; the older one stands behind it and is in use
  const u32 stream = request(c, kGet);
  world->run_for(5000);
  ASSERT_EQ(open.size(), 4u) << "the request waits though a connection is idle";
  answer(open[3]);
  EXPECT_EQ(answer_to(c, stream).body, "fine");
  EXPECT_EQ(numbers().upstreams.get(), 3u);
}

TEST_F(BreakersTest, WhoWaitsForAStreamGoesOnWhenTheEndpointSaysThatItTakesMore) {
  start_with(1, contract::AppProtocol::http2, 1);
  teach(1);
  server_settings.streams_max = 100;
  const u32 c = connect_h2();
  for (u32 i = 0; i < 4; ++i) send_request(c, kGet);  // at once: one opens the connection, which is believed to take one
  world->run_for(5000);
  EXPECT_EQ(open.size(), 4u);
  EXPECT_EQ(numbers().pending.get(), 0u);
  EXPECT_EQ(numbers().upstreams.get(), 1u);
}

TEST_F(BreakersTest, WhoWaitsForAStreamGoesOnWhenAnotherLeavesAConnectionThatIsNotOpenYet) {
  start_with(1, contract::AppProtocol::http2, 1);
  teach(1);
  plan->endpoints[0].ip = wire::Ip4::of(10, 2, 0, 99);  // nobody: it stays on its way
  const u32 a = connect(), b = connect();
  say(a, kGet);
  say(b, kGet);
  EXPECT_EQ(numbers().pending.get(), 1u);
  world->client.tcp().abort(clients[a].id);
  world->run_for(3000);
  EXPECT_EQ(numbers().pending.get(), 0u);
  EXPECT_EQ(world->stats.endpoints[0].active.get(), 1u) << "on the same connection";
  EXPECT_EQ(numbers().upstreams.get(), 1u);
}

// One connection, whose first stream holds more than half of what all may: nobody else gets a stream of it.
class LadenTest : public BreakersTest {
 protected:
  void SetUp() override {
    BreakersTest::SetUp();
    start_with(1, contract::AppProtocol::http2, 1, [](auto& p) { p.limits.h2_connection_window_bytes = 100'000; });
    hold_streams();
  }
  void fill(u32 stream) {
    for (u32 turn = 0; turn < 4000; ++turn) {
      const u32 n = std::min<u32>(server_side->h2.send_space(stream), 8000);
      if (n > 0) RW_ASSERT(server_side->h2.send_data(stream, chain_of(world->server, pattern(n)), false));
      world->step();
    }
  }
  void expect_that_others_wait_until(std::function<void()> taken) {
    const u32 before = static_cast<u32>(open.size());
    const u32 c = connect_h2();
    for (u32 i = 0; i < 3; ++i) request(c, kGet);
    ASSERT_EQ(numbers().pending.get(), 3u);
    ASSERT_EQ(open.size(), before);
    taken();
    world->run_for(20'000);
    EXPECT_EQ(numbers().pending.get(), 0u);
    EXPECT_EQ(open.size(), before + 3);
    EXPECT_EQ(numbers().upstreams.get(), 1u);
  }
};

TEST_F(LadenTest, WhoWaitsGoesOnWhenTheClientHasTakenItsResponse) {
  const u32 lazy = connect_h2();
  auto& peer = client_side->peers[lazy];
  peer.taking = false;
  const u32 stuck = request(lazy, kGet);
  ASSERT_EQ(open.size(), 1u);
  respond_with(open[0].stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "start", false);
  fill(open[0].stream);
  expect_that_others_wait_until([&] {
    peer.taking = true;
    collect(*client_side, peer, stuck, peer.streams[stuck]);
  });
}

TEST_F(LadenTest, WhoWaitsGoesOnWhenTheClientHasTakenFromItsTunnel) {
  u32 tunnel = kNone32;
  const auto hold = respond;
  respond = [&](Peer& peer, u32 stream, Message& message) {
    if (tunnel != kNone32) return hold(peer, stream, message);
    tunnel = stream;
    http::ResponseHead head;
    const std::string text = "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    RW_ASSERT(http::read_response(bytes_of(text), http::Method::get, {}, head).status == http::ReadStatus::complete);
    RW_ASSERT(server_side->h2.send_response(stream, head, {.via = "far", .upgrade = true}, {}, false));
  };
  const u32 lazy = connect();
  say(lazy, "GET /chat HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  ASSERT_THAT(clients[lazy].got, StartsWith("HTTP/1.1 101 "));
  clients[lazy].reading = false;
  fill(tunnel);
  expect_that_others_wait_until([&] { clients[lazy].reading = true; });
}

class TunnelsThatWaitTest : public BreakersTest {
 protected:
  void start_few() {
    start_with(1, contract::AppProtocol::tcp, 1, [](auto& p) { p.services[0].timeouts = {.per_request_us = 0, .idle_us = 0, .connect_us = 200'000}; });
  }
};

TEST_F(TunnelsThatWaitTest, TheyWaitForAConnectionNoLongerThanForOneToOpen) {
  start_few();
  const u32 a = connect(), b = connect();
  say(a, "mine");
  say(b, "waits");
  world->run_for(150'000, 500);
  EXPECT_EQ(numbers().pending.get(), 1u);
  EXPECT_FALSE(clients[b].closed);
  world->run_for(100'000, 500);
  EXPECT_TRUE(clients[b].closed);
  EXPECT_FALSE(clients[b].peer_closed) << "a reset, as where there is no endpoint";
  EXPECT_EQ(numbers().pending.get(), 0u);
  EXPECT_EQ(numbers().timeouts.get(), 1u);
  EXPECT_EQ(count(Counter::idle_timeouts), 0u);
  world->run_for(2'000'000, 1000);
  EXPECT_FALSE(clients[a].closed) << "one that has come to a connection may be silent for ever";
}

TEST_F(TunnelsThatWaitTest, OneThatComesFreeInTimeIsTaken) {
  start_few();
  const u32 a = connect(), b = connect();
  say(a, "mine");
  say(b, "waits");
  world->run_for(150'000, 500);
  world->client.tcp().close(clients[a].id);
  world->run_for(150'000, 500);
  ASSERT_EQ(serving.size(), 2u);
  EXPECT_EQ(serving[1].got, "waits");
  EXPECT_FALSE(clients[b].closed);
}

}  // namespace
}  // namespace ringway
