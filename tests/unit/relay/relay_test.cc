// Relay through a whole gateway core in a network of rings (tests/support/world.h): what a client sees for what an
// endpoint does. Every test ends with the audit of all packet memory.

#include "tests/unit/relay/fixture.h"

namespace ringway {
namespace {

TEST_F(RelayTest, GetIsForwardedWithGatewayFieldsAndAnswered) {
  start();
  always(ok("hello"));
  EXPECT_THAT(ask(kGet), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("\r\n\r\nhello")));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(seen[0], AllOf(StartsWith("GET /a HTTP/1.1\r\n"), HasSubstr("10.1.0.2")));
  EXPECT_EQ(count(Counter::requests), 1u);
  EXPECT_EQ(count(Counter::responses_2xx), 1u);
}

TEST_F(RelayTest, KeepAliveRequestsReuseTheEndpointsConnection) {
  start();
  always(ok("x"));
  const u32 c = connect();
  for (int i = 0; i < 5; ++i) say(c, kGet);
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(serving.size(), 1u);
  EXPECT_EQ(count(Counter::upstream_reused), 4u);
  EXPECT_FALSE(clients[c].peer_closed);
}

TEST_F(RelayTest, Regret22_EndpointIsChosenFirstAndAnIdleConnectionToItSecond) {
  start(3);
  always(ok("x"));
  const u32 c = connect();
  for (int i = 0; i < 12; ++i) say(c, kGet);
  EXPECT_EQ(serving.size(), 3u) << "a connection to each";
  for (u32 endpoint = 0; endpoint < 3; ++endpoint) EXPECT_EQ(std::count(seen_at.begin(), seen_at.end(), endpoint), 4) << endpoint;
  EXPECT_EQ(count(Counter::upstream_reused), 9u);
}

TEST_F(RelayTest, PipelinedRequestsAreAnsweredInOrder) {
  start();
  int number = 0;
  on_request = [&](Serving& s) {
    for (auto end = s.got.find("\r\n\r\n"); end != std::string::npos; end = s.got.find("\r\n\r\n")) {
      s.got.erase(0, end + 4);
      world->server.send(s.id, ok("<" + std::to_string(number++) + ">"));
    }
  };
  const u32 c = connect();
  std::string many;
  for (int i = 0; i < 40; ++i) many += kGet;
  say(c, many);
  world->run_for(10'000);
  std::size_t at = 0;
  for (int i = 0; i < 40; ++i) {
    at = clients[c].got.find("<" + std::to_string(i) + ">", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST_F(RelayTest, HeadSplitIntoSingleBytesIsReadOnce) {
  start();
  always(ok("x"));
  const u32 c = connect();
  for (const char byte : kGet) say(c, std::string_view(&byte, 1));
  EXPECT_THAT(clients[c].got, EndsWith("\r\n\r\nx"));
  EXPECT_EQ(count(Counter::requests), 1u);
}

TEST_F(RelayTest, LargeBodiesPassBothWaysUnchangedAndUncopied) {
  start();
  std::string body(3'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 24);
  std::string received;
  on_request = [&](Serving& s) {
    received += std::exchange(s.got, {});
    const auto end = received.find("\r\n\r\n");
    if (end != std::string::npos && received.size() == end + 4 + body.size()) {
      world->server.send(s.id, ok(received.substr(end + 4)));
    }
  };
  const u32 c = connect();
  say(c, "POST /up HTTP/1.1\r\nHost: web\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  world->run_for(2'000'000);
  const auto end = clients[c].got.find("\r\n\r\n");
  ASSERT_NE(end, std::string::npos);
  const auto differ = [](std::string_view a, std::string_view b) {
    return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  };
  EXPECT_EQ(differ(received.substr(received.find("\r\n\r\n") + 4), body), body.size());
  EXPECT_EQ(differ(clients[c].got.substr(end + 4), body), body.size());
  EXPECT_EQ(count(Counter::payload_copied), 0u);
}

TEST_F(RelayTest, ChunkedResponseKeepsItsFraming) {
  start();
  always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n");
  const u32 c = connect();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, EndsWith("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n"));
  say(c, kGet);
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(serving.size(), 1u);
}

TEST_F(RelayTest, ChunkedResponseIsUnwrappedForHttp10Client) {
  start();
  always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  const u32 c = connect();
  say(c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(clients[c].got, AllOf(EndsWith("\r\n\r\nabcde"), Not(HasSubstr("chunked"))));
  EXPECT_TRUE(clients[c].peer_closed);
}

TEST_F(RelayTest, HeadAnd304HaveNoBody) {
  start();
  always("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  const u32 c = connect();
  say(c, "HEAD / HTTP/1.1\r\nHost: web\r\n\r\n");
  EXPECT_THAT(clients[c].got, HasSubstr("1000"));
  always("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n");
  say(c, kGet);
  EXPECT_THAT(clients[c].got, AllOf(HasSubstr("304 Not Modified"), EndsWith("\r\n\r\n")));
  EXPECT_EQ(serving.size(), 1u);
}

TEST_F(RelayTest, InterimResponsesPassBeforeTheFinalOne) {
  start();
  always("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok("x"));
  EXPECT_THAT(ask(kGet), AllOf(StartsWith("HTTP/1.1 103 "), HasSubstr("HTTP/1.1 200 OK"), EndsWith("x")));
  EXPECT_EQ(count(Counter::responses_1xx), 1u);
}

TEST_F(RelayTest, ExpectContinueWaitsForTheEndpointsHundred) {
  start();
  on_request = [&](Serving& s) {
    if (s.got.ends_with("\r\n\r\n")) world->server.send(s.id, "HTTP/1.1 100 Continue\r\n\r\n");
    if (s.got.ends_with("body")) world->server.send(s.id, ok("got"));
  };
  const u32 c = connect();
  say(c, "PUT / HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 100 Continue\r\n"));
  say(c, "body");
  EXPECT_THAT(clients[c].got, EndsWith("\r\n\r\ngot"));
}

TEST_F(RelayTest, ResponseUntilCloseEndsTheClientsConnection) {
  start();
  on_request = [&](Serving& s) {
    if (s.got.empty()) return;
    s.got.clear();
    world->server.send(s.id, "HTTP/1.1 200 OK\r\n\r\nall there is");
    world->server.tcp().close(s.id);
  };
  const u32 c = connect();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, AllOf(HasSubstr("onnection: close\r\n"), EndsWith("all there is")));
  EXPECT_TRUE(clients[c].peer_closed);
}

TEST_F(RelayTest, BadRequestIsAnswered400AndTheConnectionClosed) {
  start();
  always(ok("x"));
  const u32 c = connect();
  say(c, "GET / HTTP/1.1\nHost: web\n\n");
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("x-ringway-reject: bare_lf")));
  EXPECT_TRUE(clients[c].peer_closed);
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(count(Counter::bad_requests), 1u);
}

TEST_F(RelayTest, UnknownRouteIs404AndTheConnectionStays) {
  plan = test::one_service_plan(1, 1);
  plan->listeners[0].service = kNone32;
  adopt(1);
  const u32 c = connect();
  say(c, kGet);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 404 "));
  EXPECT_FALSE(clients[c].peer_closed);
}

TEST_F(RelayTest, NoHealthyEndpointIs503) {
  start();
  plan->services[0].panic_percent = 0;
  world->board.store(0, contract::kHealthFailing);
  EXPECT_THAT(ask(kGet), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("UH")));
  EXPECT_EQ(count(Counter::no_endpoint), 1u);
  EXPECT_EQ(world->stats.services[0].no_endpoint.get(), 1u);
}

TEST_F(RelayTest, RefusedConnectionIsTriedElsewhereUnseenByTheClient) {
  start(2);
  world->server.tcp().unlisten(test::World::endpoint_ip(0), 8080);
  always(ok("x"));
  for (int i = 0; i < 4; ++i) EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 200 "));
  EXPECT_GE(count(Counter::upstream_retries), 1u);
  EXPECT_GE(mails(MailKind::endpoint_event).size(), 1u);
}

TEST_F(RelayTest, RequestWithBodyIsTriedElsewhereWhenTheConnectionNeverOpened) {
  start(2);
  world->server.tcp().unlisten(test::World::endpoint_ip(0), 8080);
  on_request = [&](Serving& s) {
    if (s.got.ends_with("body")) world->server.send(s.id, ok("got"));
    s.got.clear();
  };
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody"), EndsWith("got"));
  }
  EXPECT_GE(count(Counter::upstream_retries), 1u);
}

TEST_F(RelayTest, EveryEndpointRefusingIs503) {
  start(2);
  world->server.tcp().unlisten(test::World::endpoint_ip(0), 8080);
  world->server.tcp().unlisten(test::World::endpoint_ip(1), 8080);
  EXPECT_THAT(ask(kGet), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("x-ringway-flag: UF")));
}

TEST_F(RelayTest, IdleConnectionClosedUnderARequestIsTriedAgain) {
  start();
  always(ok("x"));
  const u32 c = connect();
  say(c, kGet);
  int resets = 0;
  on_request = [&](Serving& s) {
    if (s.got.empty()) return;
    s.got.clear();
    if (resets++ == 0) return world->server.tcp().abort(s.id);
    world->server.send(s.id, ok("again"));
  };
  say(c, kGet);
  EXPECT_THAT(clients[c].got, EndsWith("again"));
  EXPECT_EQ(count(Counter::upstream_retries), 1u);
}

TEST_F(RelayTest, PostIsNotRepeatedAfterItWasSent) {
  start(2);
  int posts = 0;
  on_request = [&](Serving& s) {
    if (!s.got.ends_with("body")) return;
    ++posts;
    world->server.tcp().abort(s.id);
  };
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody"),
              AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("x-ringway-flag: UC")));
  EXPECT_EQ(posts, 1);
}

TEST_F(RelayTest, MalformedResponseIs502) {
  start();
  always("HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc");
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(count(Counter::bad_responses), 1u);
}

TEST_F(RelayTest, SilentEndpointIs504AfterThePerRequestTimeout) {
  plan = test::one_service_plan(1, 1);
  plan->services[0].timeouts.per_request_us = 100'000;
  adopt(1);
  const u32 c = connect();
  say(c, kGet);
  world->run_for(80'000);
  EXPECT_EQ(clients[c].got, "");
  world->run_for(40'000);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 504 "), HasSubstr("x-ringway-flag: UT")));
  EXPECT_EQ(count(Counter::request_timeouts), 1u);
}

TEST_F(RelayTest, UnfinishedHeadIs408AfterTheHeaderTimeout) {
  plan = test::one_service_plan(1, 1);
  plan->limits.header_timeout_us = 100'000;
  adopt(1);
  const u32 c = connect();
  say(c, "GET / HT");
  world->run_for(120'000);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(clients[c].peer_closed);
}

TEST_F(RelayTest, IdleClientIsClosedWithoutAnAnswer) {
  plan = test::one_service_plan(1, 1);
  plan->limits.client_idle_us = 100'000;
  adopt(1);
  const u32 c = connect();
  world->run_for(150'000);
  EXPECT_EQ(clients[c].got, "");
  EXPECT_TRUE(clients[c].peer_closed);
}

TEST_F(RelayTest, BodyAboveTheLimitIs413) {
  plan = test::one_service_plan(1, 1);
  plan->limits.request_body_bytes = 10;
  adopt(1);
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 11\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
}

TEST_F(RelayTest, SlowReaderStopsTheEndpointAndMemoryStaysBounded) {
  start();
  const std::string big(8'000'000, 'z');
  on_request = [&](Serving& s) {
    if (std::exchange(s.got, {}).ends_with("\r\n\r\n")) world->server.send(s.id, ok(big));
  };
  const u32 c = connect();
  clients[c].reading = false;
  say(c, kGet);
  world->run_for(300'000);
  const u32 held = world->gateway_pools().packets_in_use();
  const u32 at_server = world->server.pools().packets_in_use();
  world->run_for(300'000);
  EXPECT_LE(world->gateway_pools().packets_in_use(), held + 8);
  EXPECT_LT(held, 1000u);
  EXPECT_GT(at_server, 4000u);  // most of the body still waits at the endpoint
  clients[c].reading = true;
  world->run_for(5'000'000);
  EXPECT_THAT(clients[c].got.size(), testing::Gt(big.size()));
}

TEST_F(RelayTest, UpgradeBecomesATunnelWithHalfClose) {
  start();
  on_request = [&](Serving& s) {
    if (s.got.ends_with("\r\n\r\n")) {
      seen.push_back(std::exchange(s.got, {}));
      world->server.send(s.id, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    } else if (!s.got.empty()) {
      world->server.send(s.id, "<" + std::exchange(s.got, {}) + ">");
    }
  };
  const u32 c = connect();
  say(c, "GET / HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 101 "), HasSubstr("pgrade: echo")));
  say(c, "one");
  say(c, "two");
  EXPECT_THAT(clients[c].got, EndsWith("<one><two>"));
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(5000);
  EXPECT_TRUE(serving[0].peer_closed);
  EXPECT_TRUE(clients[c].peer_closed);
  EXPECT_EQ(count(Counter::tunnels), 1u);
}

TEST_F(RelayTest, TcpServiceRelaysBytes) {
  start(1, contract::AppProtocol::tcp);
  on_request = [&](Serving& s) {
    if (!s.got.empty()) world->server.send(s.id, "[" + std::exchange(s.got, {}) + "]");
  };
  const u32 c = connect();
  say(c, "\x01\x02 not http");
  EXPECT_EQ(clients[c].got, "[\x01\x02 not http]");
}

TEST_F(RelayTest, ClientThatLeavesEndsTheExchangeAtTheEndpoint) {
  start();
  const u32 c = connect();
  say(c, kGet);
  ASSERT_EQ(serving.size(), 1u);
  world->client.tcp().abort(clients[c].id);
  world->run_for(5000);
  EXPECT_TRUE(serving[0].closed);
  EXPECT_EQ(count(Counter::client_aborts), 1u);
}

TEST_F(RelayTest, HalfClosedClientStillGetsItsAnswer) {
  start();
  always(ok("late"));
  const u32 c = connect();
  world->client.send(clients[c].id, kGet);
  world->client.tcp().shutdown(clients[c].id);
  world->run_for(5000);
  EXPECT_THAT(clients[c].got, EndsWith("late"));
  EXPECT_TRUE(clients[c].peer_closed);
}

TEST_F(RelayTest, ExchangeFinishesOnItsPlanAndTheOldPlanRetires) {
  start(2);
  const u32 c = connect();
  say(c, kGet);
  ASSERT_EQ(serving.size(), 1u);
  next_plan = test::one_service_plan(2, 2);
  world->adopt(*next_plan);
  world->run_for(2000);
  EXPECT_EQ(mails(MailKind::plan_retired).size(), 0u);
  world->server.send(serving[0].id, ok("old"));
  world->run_for(2000);
  EXPECT_THAT(clients[c].got, EndsWith("old"));
  const auto retired = mails(MailKind::plan_retired);
  ASSERT_EQ(retired.size(), 1u);
  EXPECT_EQ(retired[0].plan, plan.get());
  always(ok("new"));
  say(c, kGet);
  EXPECT_THAT(clients[c].got, EndsWith("new"));
}

TEST_F(RelayTest, RemovedListenerRefusesNewConnections) {
  start();
  next_plan = test::one_service_plan(2, 1);
  next_plan->listeners[0].port = 81;
  world->adopt(*next_plan);
  world->run_for(1000);
  const u32 c = connect();
  EXPECT_TRUE(clients[c].closed);
}

TEST_F(RelayTest, DrainFinishesExchangesWithConnectionCloseThenSaysSo) {
  start();
  const u32 busy = connect();
  const u32 idle = connect();
  say(busy, kGet);
  contract::Mail mail;
  mail.kind = MailKind::drain;
  mail.drain_us = 10'000'000;
  world->inbox.push(mail);
  world->run_for(3000);
  EXPECT_TRUE(clients[idle].peer_closed);
  EXPECT_FALSE(clients[busy].peer_closed);
  EXPECT_TRUE(mails(MailKind::drained).empty());
  world->server.send(serving[0].id, ok("last"));
  world->client.tcp().close(clients[idle].id);
  world->run_for(3000);
  EXPECT_THAT(clients[busy].got, AllOf(HasSubstr("onnection: close"), EndsWith("last")));
  world->client.tcp().close(clients[busy].id);
  world->run_for(3'000'000, 500);
  EXPECT_EQ(mails(MailKind::drained).size(), 1u);
}

TEST_F(RelayTest, DrainDeadlineEndsWhatIsLeft) {
  start();
  const u32 c = connect();
  say(c, kGet);
  contract::Mail mail;
  mail.kind = MailKind::drain;
  mail.drain_us = 50'000;
  world->inbox.push(mail);
  world->run_for(100'000);
  EXPECT_TRUE(clients[c].closed);
  EXPECT_EQ(mails(MailKind::drained).size(), 1u);
}

TEST_F(RelayTest, HttpProbeReportsStatusAndTcpProbeTheHandshake) {
  plan = test::one_service_plan(1, 1);
  auto& check = plan->services[0].health_check;
  check.kind = contract::HealthCheckKind::http;
  check.request = "GET /health HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
  adopt(1);
  always(ok("fine"));
  const auto probe = [&](u64 id) {
    contract::Mail mail;
    mail.kind = MailKind::probe;
    mail.plan = plan.get();
    mail.probe.id = id;
    world->inbox.push(mail);
    world->run_for(5000);
    const auto done = mails(MailKind::probe_done);
    EXPECT_EQ(done.size(), 1u);
    EXPECT_EQ(done.at(0).probe.id, id);
    return done.at(0);
  };
  auto done = probe(7);
  EXPECT_EQ(done.outcome, Outcome::success);
  EXPECT_EQ(done.probe.status, 200);
  always("HTTP/1.1 103 Early Hints\r\n\r\n" + ok("fine"));
  EXPECT_EQ(probe(11).probe.status, 200);
  always("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
  done = probe(8);
  EXPECT_EQ(done.outcome, Outcome::bad_status);
  EXPECT_EQ(done.probe.status, 500);
  world->server.tcp().unlisten(test::World::endpoint_ip(0), 8080);
  EXPECT_EQ(probe(9).outcome, Outcome::connect_failed);
  check.kind = contract::HealthCheckKind::tcp;
  world->server.tcp().listen(test::World::endpoint_ip(0), 8080, 0);
  EXPECT_EQ(probe(10).outcome, Outcome::success);
}

TEST_F(RelayTest, ProbeWithoutAnswerTimesOut) {
  plan = test::one_service_plan(1, 1);
  plan->services[0].health_check = {.kind = contract::HealthCheckKind::http, .timeout_us = 50'000,
                                    .request = "GET / HTTP/1.1\r\nHost: web\r\n\r\n"};
  adopt(1);
  contract::Mail mail;
  mail.kind = MailKind::probe;
  mail.plan = plan.get();
  world->inbox.push(mail);
  world->run_for(60'000);
  const auto done = mails(MailKind::probe_done);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].outcome, Outcome::timed_out);
}

TEST_F(RelayTest, EarlyResponseEndsTheUploadingConnection) {
  start();
  on_request = [&](Serving& s) {
    if (std::exchange(s.got, {}).find("\r\n\r\n") != std::string::npos) {
      world->server.send(s.id, "HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n");
    }
  };
  const u32 c = connect();
  say(c, "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000\r\n\r\nstart");
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 413 "), HasSubstr("onnection: close")));
  EXPECT_TRUE(clients[c].peer_closed);
}

TEST_F(RelayTest, EndpointThatDiesInTheMiddleOfABodyEndsItShort) {
  start();
  on_request = [&](Serving& s) {
    if (std::exchange(s.got, {}).empty()) return;
    world->server.send(s.id, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  };
  const u32 c = connect();
  say(c, kGet);
  world->server.tcp().abort(serving[0].id);
  world->run_for(3000);
  EXPECT_THAT(clients[c].got, EndsWith("\r\n\r\nhalf"));
  EXPECT_TRUE(clients[c].peer_closed);
  EXPECT_EQ(count(Counter::upstream_aborts), 1u);
}

TEST_F(RelayTest, EndpointThatDiesInABodyWithoutLengthResetsTheClient) {
  start();
  on_request = [&](Serving& s) {
    if (std::exchange(s.got, {}).empty()) return;
    world->server.send(s.id, "HTTP/1.1 200 OK\r\n\r\nhalf");
  };
  const u32 c = connect();
  say(c, kGet);
  world->server.tcp().abort(serving[0].id);
  world->run_for(3000);
  EXPECT_TRUE(clients[c].closed);
}

TEST_F(RelayTest, ActiveGaugesReturnToZero) {
  start(2);
  always(ok("x"));
  for (int i = 0; i < 6; ++i) ask(kGet);
  EXPECT_EQ(world->stats.services[0].active.get(), 0u);
  EXPECT_EQ(world->stats.endpoints[0].active.get(), 0u);
  EXPECT_EQ(world->stats.endpoints[0].requests.get() + world->stats.endpoints[1].requests.get(), 6u);
}

// The listener that a connection came by is looked for where it was when the worker began to listen, and found elsewhere.
const contract::Listener kNowhere{.ip = wire::Ip4::of(10, 8, 0, 1), .port = 80, .name = "nowhere:80"};  // sorts before ours

TEST_F(RelayTest, AListenerBeforeWhichAPlanPutAnotherIsFound) {
  start();
  always(ok("here"));
  EXPECT_THAT(ask(kGet), EndsWith("here"));
  next_plan = test::one_service_plan(2, 1);
  next_plan->listeners.insert(next_plan->listeners.begin(), kNowhere);
  world->adopt(*next_plan);
  world->run_for(500);
  EXPECT_THAT(ask(kGet), EndsWith("here"));
}

TEST_F(RelayTest, AListenerBeforeWhichAPlanTookOneAwayIsFound) {
  plan = test::one_service_plan(1, 1);
  plan->listeners.insert(plan->listeners.begin(), kNowhere);
  adopt(1);
  always(ok("here"));
  EXPECT_THAT(ask(kGet), EndsWith("here"));
  next_plan = test::one_service_plan(2, 1);
  world->adopt(*next_plan);
  world->run_for(500);
  EXPECT_THAT(ask(kGet), EndsWith("here"));
}

}  // namespace
}  // namespace ringway
