// Edges of relay that only show when several things arrive in one poll, or when somebody does not listen. The links of
// the world are held back where the test says, so that the gateway sees in one burst what was sent over several steps.

#include "tests/unit/relay/fixture.h"

namespace ringway {
namespace {

class RelayEdgesTest : public RelayTest {
 protected:
  // From now on what endpoints send waits; `release` lets it in together with the clients' frames of the next step.
  void hold_endpoints() {
    holding = true;
    turn = 0;
    world->tamper = [this](rte_ring& ring) {
      const u32 at = turn++ % 4;  // World::step: from and to the clients, from and to the endpoints
      void* frame = nullptr;
      if (at == 3) from_endpoints = &ring;
      while (at == 3 && holding && rte_ring_dequeue(&ring, &frame) == 0) held.push_back(frame);
      if (at == 1 && !holding) {
        for (void* f : held) rte_ring_enqueue(from_endpoints, f);
        held.clear();
      }
    };
  }
  void release() {
    holding = false;
    world->run_for(5000);
  }

  bool holding = false;
  u32 turn = 0;
  rte_ring* from_endpoints = nullptr;
  std::vector<void*> held;
};

TEST_F(RelayEdgesTest, PartOfAHeadWithFinAndResetInOneBurstIsTriedAgainOnce) {
  start();
  const u32 c = connect();
  say(c, kGet);
  ASSERT_EQ(serving.size(), 1u);
  hold_endpoints();
  world->server.send(serving[0].id, "HTTP/1.1 2");
  world->server.tcp().shutdown(serving[0].id);
  world->run_for(200);
  world->server.tcp().abort(serving[0].id);
  world->run_for(200);
  always(ok("second"));
  release();
  EXPECT_THAT(clients[c].got, EndsWith("second"));
  EXPECT_EQ(count(Counter::upstream_retries), 1u);
  EXPECT_EQ(serving.size(), 2u);
}

TEST_F(RelayEdgesTest, TunnelWhoseEndpointSendsAndResetsInOneBurstEnds) {
  start(1, contract::AppProtocol::tcp);
  const u32 c = connect();
  say(c, "hello");
  ASSERT_EQ(serving.size(), 1u);
  hold_endpoints();
  world->server.send(serving[0].id, "last words");
  world->run_for(200);
  world->server.tcp().abort(serving[0].id);
  world->run_for(200);
  release();
  EXPECT_TRUE(clients[c].closed);
  EXPECT_EQ(world->stats.services[0].active.get(), 0u);
}

TEST_F(RelayEdgesTest, BytesThatNobodyAskedForAreNotTheNextAnswer) {
  start();
  always(ok("first"));
  const u32 c = connect();
  say(c, kGet);
  hold_endpoints();
  world->server.send(serving[0].id, ok("stale"));
  world->run_for(200);
  always(ok("second"));
  world->client.send(clients[c].id, kGet);
  release();
  EXPECT_THAT(clients[c].got, AllOf(EndsWith("second"), Not(HasSubstr("stale"))));
}

TEST_F(RelayEdgesTest, PostDoesNotGoToAConnectionThatEndedInTheSameBurst) {
  start();
  always(ok("first"));
  const u32 c = connect();
  say(c, kGet);
  hold_endpoints();
  world->server.tcp().abort(serving[0].id);
  world->run_for(200);
  on_request = [&](Serving& s) {
    if (s.got.ends_with("body")) world->server.send(s.id, ok("got"));
  };
  world->client.send(clients[c].id, "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody");
  release();
  EXPECT_THAT(clients[c].got, EndsWith("got"));
}

TEST_F(RelayEdgesTest, InterimResponsesWaitForAClientThatDoesNotRead) {
  start();
  std::string flood;
  for (int i = 0; i < 40'000; ++i) flood += "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n";
  always(flood + ok("at last"));
  const u32 c = connect();
  clients[c].reading = false;
  say(c, kGet);
  world->run_for(500'000);
  EXPECT_LT(world->gateway_pools().packets_in_use(), 8000u);
  clients[c].reading = true;
  world->run_for(20'000'000, 100);
  EXPECT_TRUE(clients[c].got.ends_with("at last"));
}

TEST_F(RelayEdgesTest, PipelinedRequestsOfAHalfClosedClientAreAllAnswered) {
  start();
  always(ok("x"));
  const u32 c = connect();
  world->client.send(clients[c].id, std::string(kGet) + std::string(kGet) + std::string(kGet));
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(5000);
  EXPECT_EQ(seen.size(), 3u);
  const auto last = clients[c].got.rfind("HTTP/1.1 200 OK");
  EXPECT_THAT(clients[c].got.substr(0, last), Not(HasSubstr("onnection: close")));
  EXPECT_THAT(clients[c].got.substr(last), HasSubstr("onnection: close"));
  EXPECT_TRUE(clients[c].peer_closed);
}

TEST_F(RelayEdgesTest, PartOfAHeadBehindARequestDoesNotResetTheAnswer) {
  start();
  always(ok("x"));
  const u32 c = connect();
  world->client.send(clients[c].id, std::string(kGet) + "GET / HT");
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(5000);
  EXPECT_THAT(clients[c].got, EndsWith("x"));
  EXPECT_TRUE(clients[c].peer_closed);
  EXPECT_EQ(world->stats.page.counters[static_cast<u32>(Counter::tcp_resets_sent)].get(), 0u);
}

}  // namespace
}  // namespace ringway
