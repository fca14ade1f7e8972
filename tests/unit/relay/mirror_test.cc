// Mirrors through a whole core: the other service gets what the endpoint gets, and nothing that it does is seen by the client.

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

class MirrorTest : public H2RelayTest {
 protected:
  // Endpoint 0 serves, endpoint 1 is the mirror; it listens when `listening`.
  void mirror(u32 share = contract::kShareOfAll, bool listening = true) {
    make_plan(1, share);
    adopt(listening ? 2 : 1);
  }
  void make_plan(u64 generation, u32 share) {
    plan = test::one_service_plan(generation, 1);
    contract::Service shadow = plan->services[0];
    shadow.slot = 1;
    shadow.discovery_name = shadow.port_name = "shadow";
    shadow.first_endpoint = 1;
    plan->services.push_back(shadow);
    plan->endpoints.push_back({.ip = test::World::endpoint_ip(1), .port = 8080, .slot = 1, .incarnation = 1, .id = "shadow/1"});
    contract::Actions actions;
    actions.path = {contract::PathChange::prefix, "/v2", kNone32};
    actions.request.added = {{"X-Where", {{contract::Variable::endpoint, ""}}}};
    actions.mirror = {1, share};
    plan->actions.push_back(actions);
    plan->listeners[0].actions = 0;
  }
  // Whole requests that came, by endpoint; the serving one answers when `body_ends` does.
  void collect(const std::string& body_ends, std::function<void(Serving&)> of_mirror = {}) {
    on_request = [=, this](Serving& s) {
      got[s.endpoint] += std::exchange(s.got, {});
      if (s.endpoint == 1 && of_mirror) return of_mirror(s);
      if (got[s.endpoint].ends_with(body_ends)) {
        whole[s.endpoint].push_back(std::exchange(got[s.endpoint], {}));
        world->server.send(s.id, ok(s.endpoint == 0 ? "real" : "from the mirror"));
      }
    };
  }
  std::map<u32, std::string> got;
  std::map<u32, std::vector<std::string>> whole;
};

std::string field_of(const std::string& head, const std::string& name) {
  const auto at = head.find("\r\n" + name + ": ");
  return at == std::string::npos ? "" : head.substr(at + name.size() + 4, head.find("\r\n", at + 2) - at - name.size() - 4);
}
std::string body_in(const std::string& message) { return message.substr(message.find("\r\n\r\n") + 4); }

TEST_F(MirrorTest, TheMirrorGetsACopyUnderTheShadowOfItsHost) {
  mirror();
  collect("\r\n\r\n");
  const u32 c = connect();
  say(c, "GET /a?q HTTP/1.1\r\nHost: web:80\r\nX-In: 1\r\n\r\n");
  EXPECT_THAT(clients[c].got, EndsWith("\r\n\r\nreal"));
  ASSERT_EQ(whole[0].size(), 1u);
  ASSERT_EQ(whole[1].size(), 1u);
  EXPECT_THAT(whole[1][0], AllOf(StartsWith("GET /v2/a?q HTTP/1.1\r\nHost: web-shadow:80\r\n"), HasSubstr("\r\nX-In: 1\r\n"), HasSubstr("\r\nConnection: close\r\n")));
  EXPECT_THAT(whole[0][0], StartsWith("GET /v2/a?q HTTP/1.1\r\nHost: web:80\r\n"));
  EXPECT_EQ(field_of(whole[0][0], "X-Request-Id"), field_of(whole[1][0], "X-Request-Id")) << "the two can be told to belong together";
  EXPECT_EQ(field_of(whole[1][0], "X-Where"), "10.2.0.3:8080");
  say(c, "GET /a?q HTTP/1.1\r\nHost: web:80\r\n\r\n");
  EXPECT_EQ(count(Counter::mirrors_sent), 2u);
  EXPECT_EQ(count(Counter::responses_2xx), 2u);
}

TEST_F(MirrorTest, BodiesAreSharedNotCopiedAndArriveWhole) {
  mirror();
  std::string body(40'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i * 2654435761u % 23);
  body += "END";
  collect("END");
  EXPECT_THAT(ask("POST /up HTTP/1.1\r\nHost: web\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body), EndsWith("real"));
  world->run_for(100'000);
  ASSERT_EQ(whole[0].size() + whole[1].size(), 2u);
  EXPECT_TRUE(body_in(whole[0][0]) == body);
  EXPECT_TRUE(body_in(whole[1][0]) == body);
  EXPECT_EQ(count(Counter::payload_copied), 0u);
  EXPECT_EQ(count(Counter::mirrors_dropped), 0u);
}

TEST_F(MirrorTest, ChunksOfAnHttp2ClientAreFramedForBoth) {
  mirror();
  collect("0\r\n\r\n");
  const u32 c = connect_h2();
  const u32 stream = request(c, "POST /up HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n", "some body");
  EXPECT_EQ(answer_to(c, stream).body, "real");
  ASSERT_EQ(whole[1].size(), 1u);
  for (u32 i : {0u, 1u}) EXPECT_EQ(body_in(whole[i][0]), "9\r\nsome body\r\n0\r\n\r\n") << i;
}

TEST_F(MirrorTest, AMirrorThatDoesNotReadIsDroppedAndTheUploadGoesOn) {
  mirror();
  const std::string body(1'000'000, 'x');
  std::string real;
  on_request = [&](Serving& s) {
    if (s.endpoint == 0) real += std::exchange(s.got, {});
    if (real.ends_with(body.substr(0, 1000)) && real.size() > body.size()) world->server.send(s.id, ok("real"));
  };
  // Its packets get lost from now on: nothing that it is sent is acknowledged.
  world->tamper = [](rte_ring& frames) {
    for (u32 n = rte_ring_count(&frames); n > 0; --n) {
      void* taken = nullptr;
      if (rte_ring_dequeue(&frames, &taken) != 0) return;
      const auto* frame = rte_pktmbuf_mtod(static_cast<rte_mbuf*>(taken), const u8*);
      const bool from_mirror = frame[12] == 8 && frame[13] == 0 && frame[26] == 10 && frame[27] == 2 && frame[29] == 3 && frame[14 + 20 + 13] != 0x12;
      if (from_mirror) rte_pktmbuf_free(static_cast<rte_mbuf*>(taken));
      else RW_ASSERT(rte_ring_enqueue(&frames, taken) == 0);
    }
  };
  const u32 c = connect();
  say(c, "POST /up HTTP/1.1\r\nHost: web\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  world->run_for(500'000);
  EXPECT_THAT(clients[c].got, EndsWith("real"));
  EXPECT_EQ(count(Counter::mirrors_sent), 1u);
  EXPECT_EQ(count(Counter::mirrors_dropped), 1u);
}

TEST_F(MirrorTest, AMirrorThatIsNotThereOrNeverAnswersChangesNothing) {
  mirror(contract::kShareOfAll, false);
  collect("\r\n\r\n");
  EXPECT_THAT(ask(kGet), EndsWith("real"));
  world->run_for(10'000);
  EXPECT_EQ(count(Counter::mirrors_dropped), 1u);
  next_plan = std::move(plan);
  make_plan(2, contract::kShareOfAll);
  plan->services[1].timeouts.per_request_us = 50'000;
  world->server.tcp().listen(test::World::endpoint_ip(1), 8080, 1);
  world->adopt(*plan);
  world->run_for(500);
  collect("\r\n\r\n", [](Serving&) {});
  EXPECT_THAT(ask(kGet), EndsWith("real"));
  world->run_for(20'000);
  EXPECT_EQ(count(Counter::mirrors_dropped), 1u) << "it has its time";
  world->run_for(50'000);
  EXPECT_EQ(count(Counter::mirrors_dropped), 2u);
  EXPECT_TRUE(mails(MailKind::endpoint_event).empty()) << "nothing of the mirror speaks against anybody";
}

TEST_F(MirrorTest, AClientThatLeavesTakesTheUnfinishedCopyAlong) {
  mirror();
  collect("END");
  const u32 c = connect();
  say(c, "POST /up HTTP/1.1\r\nHost: web\r\nContent-Length: 100\r\n\r\nhalf");
  EXPECT_THAT(got[1], EndsWith("half"));
  world->client.tcp().abort(clients[c].id);
  world->run_for(10'000);
  EXPECT_EQ(count(Counter::mirrors_dropped), 1u);
}

TEST_F(MirrorTest, ARequestThatIsTriedAgainIsCopiedOnce) {
  mirror(contract::kShareOfAll);
  u32 tries = 0;
  on_request = [&](Serving& s) {
    if (!s.got.ends_with("\r\n\r\n")) return;
    s.got.clear();
    if (s.endpoint == 1) return world->server.send(s.id, ok("m"));
    if (++tries == 1) return world->server.tcp().abort(s.id);
    world->server.send(s.id, ok("real"));
  };
  EXPECT_THAT(ask(kGet), EndsWith("real"));
  EXPECT_EQ(tries, 2u);
  EXPECT_EQ(count(Counter::mirrors_sent), 1u);
}

TEST_F(MirrorTest, SharesAreDrawn) {
  mirror(contract::kShareOfAll / 5);
  always(ok("x"));
  const u32 c = connect();
  for (u32 i = 0; i < 1000; ++i) say(c, kGet);
  // 200 wanted, five standard deviations of 12.6; the seed is fixed.
  EXPECT_NEAR(static_cast<double>(count(Counter::mirrors_sent)), 200.0, 63.0);
  EXPECT_EQ(count(Counter::responses_2xx), 1000u);
}

}  // namespace
}  // namespace ringway
