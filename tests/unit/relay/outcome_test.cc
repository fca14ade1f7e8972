// What a core tells of its endpoints: failures always, successes when somebody waits for one. See fixture.h.

#include <algorithm>

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

class OutcomeTest : public H2RelayTest {
 protected:
  std::vector<Outcome> told() {
    std::vector<Outcome> out;
    for (const auto& mail : mails(MailKind::endpoint_event)) out.push_back(mail.outcome);
    return out;
  }
  static std::string status(u32 code) { return "HTTP/1.1 " + std::to_string(code) + " X\r\nContent-Length: 0\r\n\r\n"; }
  contract::EndpointStats& numbers(u32 slot = 0) { return world->stats.endpoints[slot]; }
};

using Outcomes = std::vector<Outcome>;
const std::string kGrpcCall = "POST /pkg.Service/Method HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\nTE: trailers\r\n";

TEST_F(OutcomeTest, SuccessesAreNotToldWhileNobodyIsSuspected) {
  start();
  always(ok("x"));
  for (u32 i = 0; i < 5; ++i) ask(kGet);
  EXPECT_EQ(told(), Outcomes{});
  EXPECT_EQ(numbers().responses[2].get(), 5u);
}

TEST_F(OutcomeTest, SuccessesAreToldWhileTheBoardSuspects) {
  start();
  always(ok("x"));
  world->board.suspect(0, true);
  EXPECT_TRUE(world->board.may_pick(0)) << "a suspect serves on";
  ask(kGet);
  ask(kGet);
  EXPECT_EQ(told(), (Outcomes{Outcome::success, Outcome::success}));
  world->board.suspect(0, false);
  ask(kGet);
  EXPECT_EQ(told(), Outcomes{});
}

TEST_F(OutcomeTest, TheFirstSuccessAfterAFailureIsToldWhateverTheBoardSays) {
  start();
  always(status(500));
  ask(kGet);
  always(ok("x"));
  ask(kGet);
  ask(kGet);
  EXPECT_EQ(told(), (Outcomes{Outcome::bad_status, Outcome::success}));
}

TEST_F(OutcomeTest, AnotherEndpointInTheSameSlotBeginsAnew) {
  start();
  always(status(500));
  ask(kGet);
  next_plan = test::one_service_plan(2, 1);
  next_plan->endpoints[0].incarnation = 2;
  world->adopt(*next_plan);
  world->run_for(500);
  always(ok("x"));
  ask(kGet);
  EXPECT_EQ(told(), Outcomes{Outcome::bad_status});
}

TEST_F(OutcomeTest, StatusesFrom500AreFailuresAndThreeOfThemGatewayErrors) {
  start();
  for (const u32 code : {499u, 500u, 501u, 502u, 503u, 504u, 505u}) {
    always(status(code));
    ask("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n");
  }
  EXPECT_EQ(told(), (Outcomes{Outcome::bad_status, Outcome::bad_status, Outcome::gateway_error, Outcome::gateway_error,
                              Outcome::gateway_error, Outcome::bad_status}));
  EXPECT_EQ(numbers().bad_answers.get(), 6u);
}

TEST_F(OutcomeTest, OfAnEjectedEndpointNothingIsToldButAllIsCounted) {
  start();
  always(status(500));
  world->board.store(0, contract::kHealthEjected);  // and used all the same: there is nobody else
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 500"));
  EXPECT_EQ(told(), Outcomes{});
  EXPECT_EQ(numbers().bad_answers.get(), 1u);
}

TEST_F(OutcomeTest, AnEndpointThatDoesNotAnswerInTimeIsToldAsTimedOut) {
  plan = test::one_service_plan(1, 1);
  plan->services[0].timeouts.per_request_us = 100'000;
  adopt(1);
  const u32 c = connect();
  say(c, kGet);
  world->run_for(150'000);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 504"));
  EXPECT_EQ(told(), Outcomes{Outcome::timed_out});
  EXPECT_EQ(numbers().broken.get(), 1u);
}

TEST_F(OutcomeTest, AClientThatDoesNotSendItsBodyInTimeIsNoEndpointsFault) {
  plan = test::one_service_plan(1, 1);
  plan->services[0].timeouts.idle_us = 100'000;
  adopt(1);
  const u32 c = connect();
  say(c, "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nb");
  world->run_for(150'000);
  EXPECT_THAT(clients[c].got, StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(told(), Outcomes{});
}

TEST_F(OutcomeTest, ADeadlineOfTheCallersOwnSpeaksAgainstTheEndpointOnlyAfterASecond) {
  start_h2(1, contract::AppProtocol::grpc);
  respond = [](Peer&, u32, Message&) {};
  const u32 c = connect_h2();
  request(c, kGrpcCall + "grpc-timeout: 50m\r\nTransfer-Encoding: chunked\r\n\r\n", "question");
  world->run_for(100'000);
  EXPECT_EQ(told(), Outcomes{});
  request(c, kGrpcCall + "grpc-timeout: 1100m\r\nTransfer-Encoding: chunked\r\n\r\n", "question");
  world->run_for(1'300'000, 500);
  EXPECT_EQ(told(), Outcomes{Outcome::timed_out});
}

TEST_F(OutcomeTest, GrpcStatusesThatHttpWouldCall5xxAreFailures) {
  start_h2(1, contract::AppProtocol::grpc);
  plan->services[0].retry.retries = 0;
  u32 code = 0;
  respond = [&](Peer&, u32 stream, Message& message) {
    if (!message.ended) return;
    respond_with(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: " + std::to_string(code) +
                             "\r\nContent-Length: 0\r\n\r\n");
    server_side->h2.release(stream, http::H2Error::no_error);
  };
  std::string failures;
  for (code = 0; code <= 16; ++code) {
    ask_h2(kGrpcCall + "Transfer-Encoding: chunked\r\n\r\n", "question");
    const Outcomes outcomes = told();  // several where it was tried again
    if (std::ranges::count(outcomes, Outcome::bad_status) > 0) failures += std::to_string(code) + " ";
    if (std::ranges::count(outcomes, Outcome::gateway_error) > 0) failures += std::to_string(code) + "g ";
  }
  // UNKNOWN 500, DEADLINE_EXCEEDED 504, UNIMPLEMENTED 501, INTERNAL 500, UNAVAILABLE 503, DATA_LOSS 500.
  EXPECT_EQ(failures, "2 4g 12 13 14g 15 ");
  // All of them came with 200: what is left speaks for the endpoint, however often the others were tried again.
  EXPECT_GE(numbers().grpc_failures.get(), 6u);
  EXPECT_EQ(numbers().responses[2].get() - numbers().grpc_failures.get(), 11u);
}

TEST_F(OutcomeTest, WhatIsNoHttpIsToldWhateverTheProtocol) {
  start();
  always("HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc");
  ask(kGet);
  EXPECT_EQ(told(), Outcomes{Outcome::bad_response});
}

TEST_F(OutcomeTest, AnAnswerOnAStreamThatLacksItsContentIsToldAsBad) {
  start_h2();
  respond = [&](Peer&, u32 stream, Message& message) {
    if (!message.ended) return;
    respond_with(stream, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");  // and no more
    server_side->h2.release(stream, http::H2Error::no_error);
  };
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(told(), Outcomes{Outcome::bad_response});
}

TEST_F(OutcomeTest, OfATcpServiceConnectionsAreToldThatFailedAndThoseThatServe) {
  start(1, contract::AppProtocol::tcp);
  world->server.tcp().unlisten(test::World::endpoint_ip(0), 8080);
  plan->services[0].retry.retries = 0;
  connect();
  world->run_for(2000);
  const Outcomes failures = told();  // several when it is tried again
  EXPECT_FALSE(failures.empty());
  for (const Outcome outcome : failures) EXPECT_EQ(outcome, Outcome::connect_failed);
  world->server.tcp().listen(test::World::endpoint_ip(0), 8080, 0);
  const u32 c = connect();
  world->run_for(2000);
  EXPECT_EQ(told(), Outcomes{}) << "it may still be reset";
  say(c, "the first byte");
  EXPECT_EQ(told(), Outcomes{Outcome::success});
}

}  // namespace
}  // namespace ringway
