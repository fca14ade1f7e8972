// Ends that come at odd moments: a half-close before a retry, an endpoint that leaves before its answer has been taken, an
// answer before the end of its request, a protocol that is another after a reload. See h2_fixture.h.

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

class EndingsTest : public H2RelayTest {
 protected:
  static bool is_complete(const std::string& got) {
    const auto end = got.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const auto length = got.find("Content-Length: ");
    return length == std::string::npos || got.size() >= end + 4 + std::stoul(got.substr(length + 16));
  }
  static std::string body_of(const std::string& got) { return got.substr(got.find("\r\n\r\n") + 4); }
  // Sends a body until both windows on its way are full; what was sent.
  std::string fill(u32 stream) {
    const std::string all = pattern(1'000'000);
    u32 sent = 0;
    for (u32 turn = 0; turn < 4000; ++turn) {
      const u32 n = std::min<u32>(server_side->h2.send_space(stream), 8000);
      if (n > 0) RW_ASSERT(server_side->h2.send_data(stream, chain_of(world->server, std::string_view(all).substr(sent, n)), false));
      sent += n;
      world->step();
    }
    return all.substr(0, sent);
  }
  void take_all(u32 client, u32 stream) {
    Peer& peer = client_side->peers[client];
    peer.taking = true;
    collect(*client_side, peer, stream, peer.streams[stream]);
    world->run_for(100'000);
  }
  contract::ServiceStats& numbers() { return world->stats.services[0]; }
};

// --------------------------------------------------------------------------------------------------------- small budgets

class SmallBudgetEndingsTest : public EndingsTest {
 protected:
  test::WorldSizes sizes() const override {
    test::WorldSizes s;
    s.tcp.send_budget_bytes = 10'000;
    return s;
  }
  const std::string body = pattern(30'000);
};

TEST_F(SmallBudgetEndingsTest, AClientThatHasSaidAllAndHalfClosedIsServedByTheNextTry) {
  start(2);
  u32 tries = 0;
  on_request = [&](Serving& s) {
    if (!is_complete(s.got)) return;
    if (++tries == 1) return world->server.tcp().abort(s.id);
    seen.push_back(std::exchange(s.got, ""));
    world->server.send(s.id, ok("fine"));
  };
  const u32 c = connect();
  world->client.send(clients[c].id, "PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: 30000\r\n\r\n" + body);
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(400'000);
  EXPECT_EQ(tries, 2u);
  EXPECT_THAT(clients[c].got, EndsWith("fine"));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(body_of(seen[0]) == body);
  EXPECT_EQ(count(Counter::client_aborts), 0u);
}

TEST_F(SmallBudgetEndingsTest, AnUpgradeThatIsAnsweredBeforeItsBodyWasSentAgainLosesNothingOfIt) {
  start(2);
  u32 tries = 0;
  Serving* at = nullptr;
  on_request = [&](Serving& s) {
    if (at == &s || s.got.find("\r\n\r\n") == std::string::npos) return;
    if (tries == 0 && !is_complete(s.got)) return;
    if (++tries == 1) return world->server.tcp().abort(s.id);
    at = &s;
    EXPECT_FALSE(is_complete(s.got)) << "the answer shall come early";
    world->server.send(s.id, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: thing\r\n\r\n");
  };
  const u32 c = connect();
  const u32 held = world->gateway_pools().packets_in_use();
  say(c, "PUT /a HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: thing\r\nContent-Length: 30000\r\n\r\n" + body);
  world->run_for(300'000);
  ASSERT_NE(at, nullptr);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 101 "));
  say(c, "more");
  EXPECT_TRUE(body_of(at->got) == body + "more");
  EXPECT_LE(world->gateway_pools().packets_in_use(), held + 4) << "nothing is kept for another try any more";
}

// --------------------------------------------------------------------------------------------------------- tunnels

TEST_F(EndingsTest, TheNextEndpointOfATunnelHearsOfAHalfCloseThatTheLastOneHeardOf) {
  start(2, contract::AppProtocol::tcp);
  on_request = [&](Serving& s) {
    if (&s == &serving[0] && s.peer_closed) world->server.tcp().abort(s.id);
  };
  const u32 c = connect();
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(5000);
  ASSERT_EQ(serving.size(), 2u);
  EXPECT_TRUE(serving[1].peer_closed);
  EXPECT_TRUE(clients[c].peer_closed) << "whose end comes back";
  EXPECT_EQ(numbers().active.get(), 0u);
}

TEST_F(EndingsTest, ATunnelWhoseClientWasToldOfTheEndGoesToNoOtherEndpoint) {
  start(2, contract::AppProtocol::tcp);
  bool ended = false;
  on_request = [&](Serving& s) {
    if (!std::exchange(ended, true)) world->server.tcp().shutdown(s.id);
  };
  const u32 c = connect();
  world->run_for(2000);
  ASSERT_EQ(serving.size(), 1u);
  EXPECT_TRUE(clients[c].peer_closed);
  world->server.tcp().abort(serving[0].id);
  world->run_for(5000);
  EXPECT_TRUE(clients[c].closed);
  EXPECT_EQ(serving.size(), 1u);
}

// --------------------------------------------------------------------------------------------------------- whole responses

class WholeResponseTest : public EndingsTest {
 protected:
  // Two streams on one connection: one whose response is here and has not been taken, one without any. Then the connection
  // ends as `end` does it.
  void when(std::function<void(tcp::ConnId)> end) {
    start_h2();
    plan->services[0].breakers.core_connections = 1;
    std::vector<u32> asked;
    respond = [&](Peer&, u32 stream, Message& message) {
      if (message.ended) asked.push_back(stream);
    };
    const u32 lazy = connect_h2(), other = connect_h2();
    client_side->peers[lazy].taking = false;
    const u32 whole = request(lazy, kGet), unanswered = request(other, kGet);
    ASSERT_EQ(asked.size(), 2u);
    respond_with(asked[0], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "start:", false);
    const std::string sent = "start:" + fill(asked[0]);
    ASSERT_TRUE(server_side->h2.send_data(asked[0], world->server.pools().chain(), true));
    world->run_for(2000);
    ASSERT_EQ(server_side->peers.size(), 1u);
    end(server_side->peers[0].conn);
    world->run_for(5000);
    ASSERT_EQ(asked.size(), 3u) << "the other request is asked again, on a connection in place of this one";
    EXPECT_EQ(numbers().upstreams.get(), 1u);
    take_all(lazy, whole);
    EXPECT_TRUE(answer_to(lazy, whole).body == sent);
    EXPECT_TRUE(answer_to(lazy, whole).ended);
    EXPECT_FALSE(answer_to(lazy, whole).reset);
    EXPECT_EQ(numbers().upstreams.get(), 1u);
    respond_with(asked[2], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok");
    world->run_for(2000);
    EXPECT_EQ(answer_to(other, unanswered).body, "ok");
  }
};

TEST_F(WholeResponseTest, OutlivesItsConnectionThatEndsInOrder) {
  when([this](tcp::ConnId conn) { world->server.tcp().close(conn); });
}

TEST_F(WholeResponseTest, OutlivesItsConnectionThatIsReset) {
  when([this](tcp::ConnId conn) { world->server.tcp().abort(conn); });
}

// --------------------------------------------------------------------------------------------------------- short memory

class ShortMemoryTest : public EndingsTest {
 protected:
  // While no packet is free, a request comes that is too large for what is at hand.
  void fail_connection_of(u32 client) {
    std::vector<mbuf::Pkt> taken;
    for (mbuf::Pkt pkt = world->gateway_pools().alloc(); pkt; pkt = world->gateway_pools().alloc()) taken.push_back(std::move(pkt));
    say(client, "GET /b HTTP/1.1\r\nHost: web\r\nX-Long: " + std::string(4000, 'x') + "\r\n\r\n");
  }
};

TEST_F(ShortMemoryTest, AConnectionThatFailedOverItLeavesNobodyWaiting) {
  start_h2();
  plan->services[0].retry.backoff_base_us = plan->services[0].retry.backoff_max_us = 100'000;  // memory is back by then
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok");
  const u32 a = connect(), b = connect();
  say(a, "PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\n");
  ASSERT_EQ(server_side->peers.size(), 1u);
  fail_connection_of(b);
  world->run_for(150'000);
  say(a, "body");
  world->run_for(10'000);
  EXPECT_THAT(clients[a].got, EndsWith("ok")) << "on another connection";
  EXPECT_EQ(server_side->peers.size(), 2u);
  EXPECT_EQ(numbers().upstreams.get(), 1u);
  EXPECT_EQ(numbers().active.get(), 0u);
}

TEST_F(ShortMemoryTest, AConnectionThatFailedOverItIsNotKept) {
  start_h2();
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok");
  const u32 c = connect();
  say(c, kGet);
  EXPECT_EQ(numbers().upstreams.get(), 1u);
  fail_connection_of(c);
  world->run_for(5000);
  EXPECT_EQ(numbers().upstreams.get(), 0u);
}

// --------------------------------------------------------------------------------------------------------- early answers

class FewStreamsTest : public EndingsTest {
 protected:
  test::WorldSizes sizes() const override { return {.h2 = {.connections = 16, .streams = 8}}; }
};

TEST_F(FewStreamsTest, Rfc9113_8_1_AnAnswerBeforeTheEndOfItsRequestLeavesWindowsAndStreamsAsTheyWere) {
  start_h2();
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok");
  plan->listeners[0].service = kNone32;
  plan->limits.h2_connection_window_bytes = 100'000;
  const u32 c = connect_h2();
  const std::string head = "POST /a HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (u32 i = 0; i < 20; ++i) {
    const u32 stream = request(c, head, pattern(20'000), false);
    EXPECT_THAT(answer_to(c, stream).head, StartsWith("HTTP/1.1 404 "));
    EXPECT_TRUE(answer_to(c, stream).ended);
    EXPECT_EQ(client_side->h2.send_space(stream), 0u) << "it has been told to stop, and takes that for no error";
    EXPECT_GE(client_side->h2.send_window(client_side->peers[c].h2), 50'000) << i;
  }
  plan->listeners[0].service = 0;
  const u32 stream = request(c, head, pattern(200'000), true);
  world->run_for(20'000);
  EXPECT_EQ(answer_to(c, stream).body, "ok");
  EXPECT_FALSE(client_side->peers[c].failed);
}

TEST_F(EndingsTest, ARequestThatWasTurnedAwayLeavesNothingToTheNext) {
  start_h2();
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok");
  std::vector<http::NeverIndexed> never;
  const auto answer = respond;
  respond = [&](Peer& peer, u32 stream, Message& message) {
    if (message.ended) never.push_back(message.never);
    answer(peer, stream, message);
  };
  const std::string with_field = "GET /a HTTP/1.1\r\nHost: web\r\nX-Field: value\r\n\r\n";
  http::RequestHead head;
  ASSERT_EQ(http::read_request(bytes_of(with_field), {}, head).status, http::ReadStatus::complete);
  http::NeverIndexed secret;
  for (u32 i = 0; i < 8; ++i) secret.set(i);
  const u32 c = connect_h2();
  const auto ask_secretly = [&] {
    Peer& peer = client_side->peers[c];
    const u32 stream = client_side->h2.open_stream(peer.h2, 0);
    peer.streams[stream];
    ASSERT_TRUE(client_side->h2.send_request(stream, head, {.client_ip = test::World::kClient, .via = "far"}, secret, true));
    world->run_for(3000);
  };
  ask_secretly();
  ask(with_field);
  plan->listeners[0].service = kNone32;
  const u32 held = world->gateway_pools().packets_in_use();
  ask_secretly();
  EXPECT_LE(world->gateway_pools().packets_in_use(), held) << "its head is let go";
  plan->listeners[0].service = 0;
  EXPECT_THAT(ask(with_field), EndsWith("ok"));
  ASSERT_EQ(never.size(), 3u);
  EXPECT_NE(never[0].bits, http::NeverIndexed().bits) << "what a client wants in no table stays in none";
  EXPECT_EQ(never[1].bits, http::NeverIndexed().bits);
  EXPECT_EQ(never[2].bits, http::NeverIndexed().bits) << "of the request that was turned away";
}

// --------------------------------------------------------------------------------------------------------- reloads

class ProtocolChangeTest : public EndingsTest {
 protected:
  // A new plan names the same endpoint, which by now speaks `protocol`.
  void change_to(contract::AppProtocol protocol) {
    next_plan = test::one_service_plan(2, 1, protocol);
    world->adopt(*next_plan);
    world->run_for(500);
    protocol == contract::AppProtocol::http2 ? world->server_app = [this] { run_h2_server(); } : world->server_app = [this] { run_server(); };
  }
};

TEST_F(ProtocolChangeTest, FromHttp1ToHttp2NoConnectionOfTheOldOneIsUsed) {
  start();
  always(ok("old"));
  EXPECT_THAT(ask(kGet), EndsWith("old"));
  EXPECT_EQ(world->stats.page.upstream_idle.get(), 1u);
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "new");
  change_to(contract::AppProtocol::http2);
  EXPECT_THAT(ask(kGet), EndsWith("new"));
  EXPECT_EQ(numbers().upstreams.get(), 2u);
}

TEST_F(ProtocolChangeTest, FromHttp2ToHttp1NoConnectionOfTheOldOneIsUsed) {
  start_h2();
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "old");
  EXPECT_THAT(ask(kGet), EndsWith("old"));
  always(ok("new"));
  change_to(contract::AppProtocol::http);
  EXPECT_THAT(ask(kGet), EndsWith("new"));
  EXPECT_EQ(numbers().upstreams.get(), 2u);
}

}  // namespace
}  // namespace ringway
