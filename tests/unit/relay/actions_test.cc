// What routes do to requests, through a whole core: what the endpoint sees and what the client gets, by HTTP/1.1 and HTTP/2.

#include "control/compile/substitutions.h"
#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

using contract::Variable;

contract::FieldAddition field(std::string name, std::string text) { return {std::move(name), {{Variable::text, std::move(text)}}}; }
contract::FieldAddition field(std::string name, contract::ValuePiece piece) { return {std::move(name), {std::move(piece)}}; }

u32 count_of(const std::string& text, std::string_view what) {
  u32 n = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

class ActionsTest : public H2RelayTest {
 protected:
  // The one service's listener does this to every request.
  void act(contract::Actions actions, u32 endpoints = 1, contract::AppProtocol protocol = contract::AppProtocol::http) {
    if (protocol != contract::AppProtocol::http) world->server_app = [this] { run_h2_server(); };
    plan = test::one_service_plan(1, endpoints, protocol);
    actions.response_reads_request = true;
    plan->actions.push_back(std::move(actions));
    plan->listeners[0].actions = 0;
    plan->substitutions = substitutions;
    adopt(endpoints);
  }
  // The same with the next plan, whose endpoints listen already.
  void act_next(contract::Actions actions) {
    next_plan = std::move(plan);
    plan = test::one_service_plan(2, 1);
    plan->actions.push_back(std::move(actions));
    plan->listeners[0].actions = 0;
    plan->substitutions = substitutions;
    world->adopt(*plan);
    world->run_for(500);
  }
  contract::PathRewrite regex(const std::string& pattern, const std::string& text) {
    compile::SubstitutionSet set;
    EXPECT_TRUE(set.add(pattern, text).has_value());
    substitutions = *set.build(2);
    return {contract::PathChange::regex, "", 0};
  }
  static contract::Actions rewriting() {
    contract::Actions a;
    a.route = "r";
    a.path = {contract::PathChange::prefix, "/v2", kNone32};
    a.host = "inner:81";
    a.request.dropped = {"x-gone", "x-set"};
    a.request.added = {field("X-Set", "new"), field("X-From", {Variable::remote_address_without_port, ""}),
                       field("X-Copy", {Variable::request_field, "x-in"}), field("X-Where", {Variable::endpoint, ""})};
    return a;
  }

  std::shared_ptr<const contract::SubstitutionDb> substitutions;
};

constexpr std::string_view kAsked = "GET /a?q=1 HTTP/1.1\r\nHost: web\r\nX-Gone: 1\r\nX-Set: old\r\nX-In: in\r\n\r\n";

TEST_F(ActionsTest, PathHostAndFieldsAreThoseOfTheRoute) {
  act(rewriting());
  always(ok("x"));
  EXPECT_THAT(ask(kAsked), EndsWith("\r\n\r\nx"));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(seen[0], AllOf(StartsWith("GET /v2/a?q=1 HTTP/1.1\r\nHost: inner:81\r\nX-Envoy-Original-Path: /a?q=1\r\n"),
                             HasSubstr("\r\nX-Set: new\r\n"), HasSubstr("\r\nX-From: 10.1.0.2\r\n"), HasSubstr("\r\nX-Copy: in\r\n"),
                             HasSubstr("\r\nX-Where: 10.2.0.2:8080\r\n"), HasSubstr("\r\nX-In: in\r\n"), Not(HasSubstr("X-Gone")),
                             Not(HasSubstr("old"))));
}

TEST_F(ActionsTest, ARequestThatIsSentAgainIsRewrittenOnce) {
  act(rewriting(), 2);
  on_request = [&](Serving& s) {
    const auto end = s.got.find("\r\n\r\n");
    if (end == std::string::npos) return;
    seen.push_back(s.got.substr(0, end + 4));
    s.got.clear();
    if (seen.size() == 1) return world->server.tcp().abort(s.id);
    world->server.send(s.id, ok("x"));
  };
  EXPECT_THAT(ask(kAsked), EndsWith("\r\n\r\nx"));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(count(Counter::upstream_retries), 1u);
  for (const std::string& head : seen) {
    EXPECT_THAT(head, StartsWith("GET /v2/a?q=1 "));
    for (const char* name : {"X-Envoy-Original-Path:", "X-Set:", "X-From:", "X-Copy:", "X-Where:"}) EXPECT_EQ(count_of(head, name), 1u) << name;
  }
  EXPECT_NE(seen[0].substr(seen[0].find("X-Where")), seen[1].substr(seen[1].find("X-Where"))) << "each try tells its endpoint";
}

TEST_F(ActionsTest, Http2OnBothSidesSeesTheSame) {
  act(rewriting(), 1, contract::AppProtocol::http2);
  always_h2("HTTP/1.1 200 OK\r\n\r\n", "x");
  EXPECT_EQ(ask_h2(kAsked).body, "x");
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(seen[0], AllOf(StartsWith("GET /v2/a?q=1 HTTP/1.1\r\nhost: inner:81\r\n"), HasSubstr("\r\nx-envoy-original-path: /a?q=1\r\n"),
                             HasSubstr("\r\nx-set: new\r\n"), HasSubstr("\r\nx-copy: in\r\n"), HasSubstr("\r\nx-where: 10.2.0.2:8080\r\n"),
                             Not(HasSubstr("x-gone")), Not(HasSubstr("old"))));
}

TEST_F(ActionsTest, ResponseFieldsMayTellOfTheRequestEvenOfOneWithABody) {
  contract::Actions a;
  a.response.dropped = {"server", "x-set"};
  a.response.added = {field("X-Set", "new"), field("X-Asked", {Variable::request_field, ":path"}), field("X-Id", {Variable::request_field, "x-request-id"}),
                      field("X-Nothing", {Variable::request_field, "x-absent"})};
  act(a);
  on_request = [&](Serving& s) {
    if (!s.got.ends_with("body")) return;
    seen.push_back(s.got);
    world->server.send(s.id, ok("x", "Server: s\r\nX-Set: a\r\nX-Set: b\r\nX-Kept: k\r\n"));
  };
  const std::string got = ask("POST /p?q HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_THAT(got, AllOf(HasSubstr("\r\nX-Set: new\r\n"), HasSubstr("\r\nX-Asked: /p?q\r\n"), HasSubstr("\r\nX-Kept: k\r\n"), Not(HasSubstr("Server:")),
                         Not(HasSubstr("X-Nothing")), EndsWith("\r\n\r\nx")));
  const auto id_at = got.find("X-Id: ") + 6;
  EXPECT_THAT(seen.at(0), HasSubstr("X-Request-Id: " + got.substr(id_at, 36))) << "the id that the gateway gave";
}

TEST_F(ActionsTest, AnExpressionThatMakesNoPathIs500AndTooLongIs414) {
  contract::Actions a;
  a.path = regex("^/bad", "bad");
  act(a);
  always(ok("x"));
  EXPECT_THAT(ask("GET /good HTTP/1.1\r\nHost: web\r\n\r\n"), EndsWith("x"));
  EXPECT_THAT(ask("GET /bad HTTP/1.1\r\nHost: web\r\n\r\n"), AllOf(StartsWith("HTTP/1.1 500 "), HasSubstr("x-ringway-flag: rewrite\r\n")));
  a.path = regex("/(.*)", "/\\1\\1\\1");
  act_next(a);
  EXPECT_THAT(ask("GET /ab HTTP/1.1\r\nHost: web\r\n\r\n"), EndsWith("x"));
  EXPECT_THAT(seen.back(), StartsWith("GET /ababab "));
  EXPECT_THAT(ask("GET /" + std::string(4000, 'a') + " HTTP/1.1\r\nHost: web\r\n\r\n"), StartsWith("HTTP/1.1 414 "));
  EXPECT_EQ(count(Counter::rewrites_refused), 2u);
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(ActionsTest, FieldsThatDoNotFitAreRefusedNotCut) {
  contract::Actions a;
  for (int i = 0; i < 20; ++i) a.request.added.push_back(field("X-" + std::to_string(i), {Variable::request_field, "x-long"}));
  act(a);
  always(ok("x"));
  EXPECT_THAT(ask("GET / HTTP/1.1\r\nHost: web\r\nX-Long: " + std::string(2000, 'v') + "\r\n\r\n"), EndsWith("x"));
  EXPECT_THAT(ask("GET / HTTP/1.1\r\nHost: web\r\nX-Long: " + std::string(4000, 'v') + "\r\n\r\n"), StartsWith("HTTP/1.1 500 "));
  EXPECT_EQ(count(Counter::rewrites_refused), 1u);
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(ActionsTest, RedirectsAreAnsweredAndTheConnectionGoesOn) {
  contract::Actions a;
  a.ending = contract::Ending::redirect;
  a.redirect = {.status = 308, .scheme = "https", .host = "", .port = ":8443", .path = {contract::PathChange::full, "/new", kNone32}};
  a.response.added = {field("X-Why", {Variable::request_field, ":method"})};
  act(a);
  const u32 c = connect();
  say(c, "GET /old?q=1 HTTP/1.1\r\nHost: web:80\r\n\r\n");
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 308 Permanent Redirect\r\n"), HasSubstr("\r\nLocation: https://web:8443/new?q=1\r\n"),
                                    HasSubstr("\r\nContent-Length: 0\r\n"), HasSubstr("\r\nX-Why: GET\r\n"), Not(HasSubstr("Content-Type"))));
  say(c, "HEAD /old HTTP/1.1\r\nHost: web\r\n\r\n");
  EXPECT_EQ(count_of(clients[c].got, "HTTP/1.1 308 "), 2u);
  EXPECT_FALSE(clients[c].peer_closed);
  say(c, "POST /old HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_EQ(count_of(clients[c].got, "HTTP/1.1 308 "), 3u);
  EXPECT_TRUE(clients[c].peer_closed) << "its body is not read";
  EXPECT_THAT(ask("GET / HTTP/1.0\r\n\r\n"), HasSubstr("Location: https://10.9.0.1:8443/new\r\n"));
  EXPECT_EQ(count(Counter::route_answers), 4u);
  EXPECT_EQ(count(Counter::responses_3xx), 4u);
  EXPECT_TRUE(serving.empty());
}

TEST_F(ActionsTest, FixedAnswersComeWholeByBothProtocols) {
  contract::Actions a;
  a.ending = contract::Ending::answer;
  a.answer = {.status = 418, .content_type = "text/x-pot", .body = "short\nand stout"};
  act(a);
  EXPECT_THAT(ask(kGet), AllOf(StartsWith("HTTP/1.1 418 "), HasSubstr("\r\nContent-Type: text/x-pot\r\n"), HasSubstr("\r\nContent-Length: 15\r\n"),
                               EndsWith("\r\n\r\nshort\nand stout")));
  const Message whole = ask_h2(kGet);
  EXPECT_THAT(whole.head, AllOf(StartsWith("HTTP/1.1 418 "), HasSubstr("content-type: text/x-pot\r\n"), HasSubstr("content-length: 15\r\n")));
  EXPECT_EQ(whole.body, "short\nand stout");
  EXPECT_TRUE(whole.ended);
  EXPECT_TRUE(ask_h2("HEAD / HTTP/1.1\r\nHost: web\r\n\r\n").ended);
}

TEST_F(ActionsTest, ADelayHoldsOneRequestBackAndNobodyElse) {
  contract::Actions a;
  a.fault = {.delay_share = contract::kShareOfAll, .delay_us = 100'000, .header = "x-slow"};
  act(a);
  plan->services[0].timeouts.per_request_us = 60'000;  // begins when the delay is over
  on_request = [&](Serving& s) {
    if (s.got.ends_with("body")) world->server.send(s.id, ok("late"));
    if (s.got.ends_with("\r\n\r\n")) world->server.send(s.id, ok("soon"));
    if (s.got.ends_with("body") || s.got.ends_with("\r\n\r\n")) s.got.clear();
  };
  const u32 slow = connect(), quick = connect(), h2 = connect_h2();
  say(slow, "POST / HTTP/1.1\r\nHost: web\r\nX-Slow: 1\r\nContent-Length: 4\r\n\r\nbody");
  const u32 stream = request(h2, "GET /h2 HTTP/1.1\r\nHost: web\r\nX-Slow: 1\r\n\r\n");
  say(quick, kGet);
  EXPECT_THAT(clients[quick].got, AllOf(EndsWith("soon"), Not(HasSubstr("Ringway-Flag"))));
  world->run_for(80'000);
  EXPECT_EQ(clients[slow].got, "");
  EXPECT_EQ(serving.size(), 1u);
  world->run_for(40'000);
  EXPECT_THAT(clients[slow].got, AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("\r\nX-Ringway-Flag: DI\r\n"), EndsWith("late")));
  EXPECT_THAT(answer_to(h2, stream).head, AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("x-ringway-flag: DI\r\n")));
  EXPECT_EQ(answer_to(h2, stream).body, "soon");
  EXPECT_EQ(count(Counter::faults_delayed), 2u);
  EXPECT_EQ(count(Counter::request_timeouts), 0u);
}

TEST_F(ActionsTest, DeadlinesStillEndADelayedRequest) {
  contract::Actions a;
  a.fault = {.delay_share = contract::kShareOfAll, .delay_us = 100'000};
  act(a);
  plan->services[0].timeouts.per_request_us = 60'000;
  on_request = [](Serving&) {};
  const u32 c = connect();
  say(c, kGet);
  world->run_for(150'000);
  EXPECT_EQ(clients[c].got, "");
  world->run_for(30'000);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 504 "));
}

TEST_F(ActionsTest, ACallsOwnDeadlineDoesNotWaitForADelay) {
  contract::Actions a;
  a.fault = {.delay_share = contract::kShareOfAll, .delay_us = 100'000};
  act(a, 1, contract::AppProtocol::grpc);
  const u32 c = connect_h2();
  const u32 call = request(c, "POST /s/m HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\ngrpc-timeout: 20m\r\nTransfer-Encoding: chunked\r\n\r\n", "12345");
  world->run_for(10'000);
  EXPECT_EQ(answer_to(c, call).head, "");
  world->run_for(20'000);
  EXPECT_THAT(answer_to(c, call).head, HasSubstr("grpc-status: 4\r\n"));
  world->run_for(100'000);
  EXPECT_TRUE(server_side->peers.empty());
}

TEST_F(ActionsTest, ClientsThatLeaveDuringADelayLeaveNothingBehind) {
  contract::Actions a;
  a.fault = {.delay_share = contract::kShareOfAll, .delay_us = 50'000};
  act(a);
  const u32 c = connect(), h2 = connect_h2();
  say(c, kGet);
  const u32 stream = request(h2, kGet);
  world->client.tcp().abort(clients[c].id);
  client_side->h2.release(stream, http::H2Error::cancel);
  client_side->peers[h2].streams.clear();
  world->run_for(100'000);
  EXPECT_EQ(serving.size(), 0u);
  EXPECT_EQ(count(Counter::client_aborts), 2u);
  EXPECT_EQ(world->stats.services[0].active.get(), 0u);
}

TEST_F(ActionsTest, AbortsAnswerInTheClientsTerms) {
  contract::Actions a;
  a.fault = {.delay_share = contract::kShareOfAll, .abort_share = contract::kShareOfAll, .delay_us = 5'000, .abort_status = 429, .abort_grpc = 10};
  act(a, 1, contract::AppProtocol::grpc);
  const u32 c = connect();
  say(c, kGet);
  world->run_for(10'000);
  EXPECT_THAT(clients[c].got, AllOf(StartsWith("HTTP/1.1 429 "), HasSubstr("x-ringway-flag: DI,FI\r\n")));
  const u32 h2 = connect_h2();
  const u32 call = request(h2, "POST /s/m HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n", "12345");
  world->run_for(10'000);
  EXPECT_THAT(answer_to(h2, call).head, AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("grpc-status: 10\r\n"), HasSubstr("x-ringway-flag: DI,FI\r\n")));
  EXPECT_EQ(count(Counter::faults_aborted), 2u);
  EXPECT_EQ(world->stats.services[0].faulted.get(), 2u);
  EXPECT_EQ(count(Counter::faults_delayed), 2u);
  EXPECT_TRUE(server_side->peers.empty());
}

TEST_F(ActionsTest, SharesAreMetInTheLongRun) {
  contract::Actions a;
  a.fault = {.abort_share = contract::kShareOfAll / 4, .abort_status = 500};
  act(a);
  always(ok("x"));
  const u32 c = connect();
  constexpr u32 kRequests = 2000;
  std::string many;
  for (u32 i = 0; i < 50; ++i) many += kGet;
  for (u32 i = 0; i < kRequests; i += 50) {
    say(c, many);
    world->run_for(5'000);
  }
  // 500 wanted; one in a million runs would be beyond five standard deviations of 19.4. The seed is fixed.
  EXPECT_NEAR(static_cast<double>(count(Counter::faults_aborted)), kRequests / 4.0, 97.0);
  EXPECT_EQ(count(Counter::faults_aborted) + seen.size(), kRequests);
}

TEST_F(ActionsTest, NewPlansDoNotChangeWhatARequestBeganWith) {
  contract::Actions a = rewriting();
  a.fault = {.delay_share = contract::kShareOfAll, .delay_us = 20'000};
  act(a);
  always(ok("x"));
  const u32 c = connect();
  say(c, kAsked);
  next_plan = std::move(plan);
  plan = test::one_service_plan(2, 1);
  world->adopt(*plan);
  world->run_for(30'000);
  EXPECT_THAT(clients[c].got, EndsWith("x"));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(seen[0], StartsWith("GET /v2/a?q=1 "));
  say(c, kAsked);
  EXPECT_THAT(seen.at(1), StartsWith("GET /a?q=1 "));
}

}  // namespace
}  // namespace ringway
