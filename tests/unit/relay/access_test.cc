// Who may come in, through a whole core: plans are compiled from files, requests and SYNs meet their rules. Clients are
// 10.1.0.2, the service is 10.9.0.1:80.

#include "control/compile/compile.h"
#include "control/config/load.h"
#include "dataplane/gate/ingress.h"
#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

using contract::Verdict;

class AccessRelayTest : public H2RelayTest {
 protected:
  // `service` are lines of the service `web`, `gateway` of the gateway section, `more` sections of their own.
  struct File {
    std::string service = {}, gateway = {}, more = {}, protocol = "http";
  };
  std::unique_ptr<contract::Plan> compiled(const File& f, u64 number, const contract::Plan* previous = nullptr) {
    const auto config = config::parse(
        "gateway:\n  ports: [ { device: net_null0, address: 10.1.0.1/24 }, { device: net_null1, address: 10.2.0.1/24 } ]\n"
        "  vipRange: 10.9.0.0/24\n  cores: [0]\n" + f.gateway +
        "services:\n  - portName: web\n" + (f.protocol == "tcp" ? "" : "    appProtocol: " + f.protocol + "\n") +
        "    clientAliases: [ { dnsName: web, port: 80, vip: 10.9.0.1 } ]\n"
        "    endpoints: [ { address: 10.2.0.2, port: 8080 } ]\n    healthCheck: { protocol: none }\n" + f.service + f.more, "f.yaml");
    if (!config) {
      for (const auto& p : config.error()) ADD_FAILURE() << config::to_string(p);
      return nullptr;
    }
    auto made = compile::compile(*config, registry, {.generation = number, .previous = previous});
    if (!made) {
      for (const auto& p : made.error()) ADD_FAILURE() << config::to_string(p);
      return nullptr;
    }
    EXPECT_EQ(gate::build_ingress(**made), "");
    return std::move(*made);
  }
  void begin(const File& f) {
    plan = compiled(f, 1);
    ASSERT_NE(plan, nullptr);
    adopt(1);
    always(ok("x"));
  }
  // The plan before stays where exchanges may hold it.
  void reload(const File& f) {
    next_plan = std::move(plan);
    plan = compiled(f, ++generation, next_plan.get());
    ASSERT_NE(plan, nullptr);
    world->adopt(*plan);
    world->run_for(500);
  }
  u64 verdicts(Verdict v) const { return world->stats.page.verdicts[static_cast<u32>(v)].get(); }

  registry::Registry registry;
  u64 generation = 1;
};

const std::string kClientIsShop = "callers: [ { name: shop, cidrs: [10.1.0.2/32] }, { name: other, cidrs: [10.3.0.0/16] } ]\n";

TEST_F(AccessRelayTest, RefusedCallerIs403AndNoEndpointIsTouched) {
  begin({.service = "    access: { default: allow, rules: [ { action: deny, callers: [shop] } ] }\n", .more = kClientIsShop});
  const u32 c = connect();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 403 Forbidden\r\n"), HasSubstr("x-ringway-flag: UAEX\r\n")));
  EXPECT_FALSE(clients[c].peer_closed) << "the next request may be a better one";
  EXPECT_EQ(count(Counter::access_denied), 1u);
  EXPECT_EQ(count(Counter::tcp_connected), 0u);
  EXPECT_EQ(count(Counter::upstream_retries), 0u);
  EXPECT_EQ(world->stats.services[0].denied.get(), 1u);
  EXPECT_EQ(world->stats.services[0].requests.get(), 0u);
}

TEST_F(AccessRelayTest, OnlyWhoIsAllowedIsServed) {
  begin({.service = "    access: { default: deny, rules: [ { action: allow, callers: [shop], methods: [GET], paths: [ { value: /a } ] } ] }\n",
         .more = kClientIsShop});
  const u32 c = connect();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 200 "));
  clients[c].got.clear();
  say(c, "GET /b HTTP/1.1\r\nHost: web\r\n\r\n");
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 403 "));
  clients[c].got.clear();
  say(c, "DELETE /a HTTP/1.1\r\nHost: web\r\n\r\n");
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 403 "));
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(count(Counter::access_denied), 2u);
}

TEST_F(AccessRelayTest, RefusedRequestWithABodyIsAnsweredAndItsConnectionCloses) {
  begin({.service = "    access: { default: deny }\n"});
  const u32 c = connect();
  say(c, "POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 403 "), HasSubstr("onnection: close")));
  EXPECT_TRUE(clients[c].peer_closed);
}

TEST_F(AccessRelayTest, ExpressionsOfRulesAreScannedOnceForARequest) {
  begin({.service = "    access: { rules: [ { action: deny, paths: [ { type: regex, value: \"/[b-z]\" }, { type: regex, value: \"/[0-9]\" } ] } ] }\n"});
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask("GET /b HTTP/1.1\r\nHost: web\r\n\r\n"), StartsWith("HTTP/1.1 403 "));
  EXPECT_EQ(count(Counter::scans), 2u);
}

TEST_F(AccessRelayTest, StreamsAreRefusedOneByOne) {
  begin({.service = "    access: { rules: [ { action: deny, paths: [ { value: /b } ] } ] }\n"});
  const u32 c = connect_h2();
  const u32 bad = request(c, "GET /b HTTP/1.1\r\nHost: web\r\n\r\n"), good = request(c, kGet);
  EXPECT_THAT(answer_to(c, bad).head, AllOf(StartsWith("HTTP/1.1 403"), HasSubstr("x-ringway-flag: UAEX")));
  EXPECT_THAT(answer_to(c, good).head, StartsWith("HTTP/1.1 200"));
  EXPECT_FALSE(client_side->peers[c].goaway);
}

TEST_F(AccessRelayTest, GrpcCallIsToldPermissionDenied) {
  begin({.service = "    access: { default: deny }\n", .protocol = "grpc"});
  const auto answer = ask_h2("POST /s/m HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n", "x");
  EXPECT_THAT(answer.head, AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("grpc-status: 7"), HasSubstr("UAEX")));
}

TEST_F(AccessRelayTest, TcpConnectionOfARefusedCallerIsReset) {
  begin({.service = "    access: { default: deny }\n", .protocol = "tcp"});
  const u32 c = connect();
  EXPECT_TRUE(clients[c].closed);
  EXPECT_TRUE(serving.empty());
  EXPECT_EQ(count(Counter::access_denied), 1u);
  EXPECT_EQ(world->stats.services[0].denied.get(), 1u);
}

TEST_F(AccessRelayTest, OpenConnectionsMeetNewRulesAtTheirNextRequest) {
  begin({.more = kClientIsShop});
  const u32 c = connect(), h = connect_h2();
  say(c, kGet);
  EXPECT_THAT(answer_to(h, request(h, kGet)).head, StartsWith("HTTP/1.1 200"));
  reload({.service = "    access: { rules: [ { action: deny, callers: [shop] } ] }\n", .more = kClientIsShop});
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(answer_to(h, request(h, kGet)).head, StartsWith("HTTP/1.1 403"));
  reload({.service = "    access: { rules: [ { action: deny, callers: [other] } ] }\n", .more = kClientIsShop});
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 200 "));
}

// --- rates

TEST_F(AccessRelayTest, RequestsBeyondTheBurstAre429UntilTokensAreEarned) {
  begin({.service = "    rateLimit: { requestsPerSecond: 2, burst: 3 }\n"});
  const u32 c = connect();
  for (int i = 0; i < 3; ++i) say(c, kGet);
  EXPECT_THAT(clients[c].got, Not(HasSubstr("429")));
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 429 Too Many Requests\r\n"), HasSubstr("Retry-After: 1\r\n"),
                                    HasSubstr("x-envoy-ratelimited: true\r\n"), HasSubstr("x-ringway-flag: RL\r\n")));
  EXPECT_EQ(count(Counter::rate_limited), 1u);
  EXPECT_EQ(world->stats.services[0].limited.get(), 1u);
  EXPECT_EQ(seen.size(), 3u);
  world->run_for(500'000, 1000);
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 200 "));
}

TEST_F(AccessRelayTest, ARateOfTheCallerIsItsOwnAndTakesNothingOfTheServicesWhenItIsUsedUp) {
  begin({.service = "    rateLimit: { requestsPerSecond: 0.001, burst: 4, perCaller: { requestsPerSecond: 0.001, burst: 2 } }\n", .more = kClientIsShop});
  const u32 c = connect();
  for (int i = 0; i < 5; ++i) say(c, kGet);
  EXPECT_EQ(seen.size(), 2u) << "shop's two";
  EXPECT_EQ(count(Counter::rate_limited), 3u);
  EXPECT_THAT(clients[c].got, HasSubstr("Retry-After: 1000\r\n"));
  // Somebody else has two more: the service's four are not used up by what was refused.
  reload({.service = "    rateLimit: { requestsPerSecond: 0.001, burst: 4, perCaller: { requestsPerSecond: 0.001, burst: 2 } }\n",
          .more = "callers: [ { name: other, cidrs: [10.1.0.2/32] }, { name: shop, cidrs: [10.3.0.0/16] } ]\n"});
  for (int i = 0; i < 5; ++i) say(c, kGet);
  EXPECT_EQ(seen.size(), 4u);
}

TEST_F(AccessRelayTest, ARateStreamIs429AndAGrpcCallIsUnavailable) {
  begin({.service = "    rateLimit: { requestsPerSecond: 0.01, burst: 1 }\n"});
  const u32 c = connect_h2();
  request(c, kGet);
  EXPECT_THAT(answer_to(c, request(c, kGet)).head,
              AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("retry-after: 100"), HasSubstr("x-envoy-ratelimited: true")));
  const u32 call = request(c, "POST /s/m HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n", "x");
  EXPECT_THAT(answer_to(c, call).head, AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("grpc-status: 14"), HasSubstr("x-envoy-ratelimited: true")));
}

TEST_F(AccessRelayTest, AReloadFillsNoBucketWhoseRateStays) {
  const File f{.service = "    rateLimit: { requestsPerSecond: 0.001, burst: 2 }\n"};
  begin(f);
  const u32 c = connect();
  say(c, kGet);
  say(c, kGet);
  reload(f);
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 429 "));
  reload({.service = "    rateLimit: { requestsPerSecond: 0.002, burst: 2 }\n"});
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 200 ")) << "another rate begins with a full bucket";
}

// --- ingress

TEST_F(AccessRelayTest, RefusedSynIsDroppedBeforeThereIsARecord) {
  begin({.gateway = "  ingress: { rules: [ { action: deny, cidrs: [10.1.0.0/24], ports: [80] } ] }\n"});
  const u64 resets = count(Counter::tcp_resets_sent);
  const u32 c = connect();
  world->run_for(2'500'000, 5000);
  EXPECT_FALSE(clients[c].connected);
  EXPECT_FALSE(clients[c].closed) << "no answer: the client goes on trying";
  EXPECT_GE(verdicts(Verdict::ingress_refused), 2u) << "the SYN and its repetition";
  EXPECT_EQ(world->worker->engine().half_open(), 0u);
  EXPECT_EQ(world->worker->engine().active(), 0u);
  EXPECT_EQ(count(Counter::tcp_resets_sent), resets);
}

TEST_F(AccessRelayTest, WhatBelongsToNoConnectionIsDroppedAndConnectionsToEndpointsAreOurs) {
  begin({.gateway = "  ingress: { default: deny, rules: [ { action: allow, cidrs: [10.1.0.2/32], listeners: [\"web:80\"] } ] }\n"});
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 200 ")) << "nothing names the endpoint, and it answers all the same";
  EXPECT_EQ(verdicts(Verdict::ingress_refused), 0u);
}

TEST_F(AccessRelayTest, OpenConnectionsOfANowRefusedSourceEndAtTheirNextRequest) {
  begin({});
  const u32 c = connect(), h = connect_h2(), idle = connect();
  say(c, kGet);
  request(h, kGet);
  reload({.gateway = "  ingress: { rules: [ { action: deny, cidrs: [10.1.0.0/24] } ] }\n"});
  EXPECT_FALSE(clients[c].peer_closed);
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 403 "), HasSubstr("UAEX")));
  EXPECT_TRUE(clients[c].peer_closed);
  EXPECT_THAT(answer_to(h, request(h, kGet)).head, StartsWith("HTTP/1.1 403"));
  EXPECT_TRUE(client_side->peers[h].goaway);
  EXPECT_EQ(count(Counter::ingress_ended), 2u);
  EXPECT_FALSE(clients[idle].closed) << "it has asked for nothing";
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(AccessRelayTest, IngressIsAboutTheFrontEndNotAboutWhomItSpeaksFor) {
  const auto only_front_ends = [](const char* cidr) {
    return File{.gateway = "  ingress: { default: deny, rules: [ { action: allow, cidrs: [" + std::string(cidr) + "] } ] }\n"};
  };
  const auto trust = [&] { plan->listeners[0].proxies = {{wire::Ip(wire::Ip4::of(10, 1, 0, 0)).ip6(), 120}}; };
  plan = compiled(only_front_ends("10.1.0.2/32"), 1);
  ASSERT_NE(plan, nullptr);
  trust();
  adopt(1);
  always(ok("x"));
  const std::string header = "PROXY TCP4 203.0.113.7 10.9.0.1 4711 80\r\n";
  const u32 c = connect(), silent = connect();
  say(c, header + std::string(kGet));
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 200 "));
  reload(only_front_ends("10.1.0.0/24"));
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 200 "));
  reload(only_front_ends("203.0.113.0/24"));
  clients[c].got.clear();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 403 "));
  say(silent, header + std::string(kGet));
  EXPECT_EQ(clients[silent].got, "") << "it had not said yet whom it speaks for";
  EXPECT_TRUE(clients[silent].closed);
  EXPECT_EQ(count(Counter::ingress_ended), 2u);
}

// --- connections of a source

TEST_F(AccessRelayTest, ConnectionsOfASourceBeyondItsLimitAreReset) {
  begin({.gateway = "  limits: { connectionsPerSource: 2 }\n"});
  const u32 a = connect(), b = connect(), over = connect();
  EXPECT_TRUE(clients[a].connected);
  EXPECT_TRUE(clients[b].connected);
  EXPECT_FALSE(clients[over].connected);
  EXPECT_TRUE(clients[over].closed) << "told at once";
  EXPECT_EQ(verdicts(Verdict::tcp_source_full), 1u);
  say(b, kGet);
  EXPECT_THAT(clients[b].got, StartsWith("HTTP/1.1 200 "));
  world->client.tcp().close(clients[a].id);
  world->run_for(10'000);
  EXPECT_TRUE(clients[connect()].connected) << "a place has become free";
}

TEST_F(AccessRelayTest, ALimitThatComesLaterCountsWhatIsThere) {
  begin({});
  const u32 a = connect(), b = connect(), c = connect();
  reload({.gateway = "  limits: { connectionsPerSource: 2 }\n"});
  for (const u32 open : {a, b, c}) {
    say(open, kGet);
    EXPECT_THAT(clients[open].got, StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_FALSE(clients[connect()].connected);
  world->client.tcp().close(clients[a].id);
  world->client.tcp().close(clients[b].id);
  world->run_for(10'000);
  EXPECT_TRUE(clients[connect()].connected);
  reload({});
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(clients[connect()].connected);
}

}  // namespace
}  // namespace ringway
