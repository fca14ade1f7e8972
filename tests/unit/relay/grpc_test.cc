// What relay does for gRPC calls and for health checks over HTTP/2, and tunnels from streams; see h2_fixture.h.

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

const std::string kCall = "POST /pkg.Service/Method HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\nTE: trailers\r\n";
const std::string kUnavailable = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 14\r\nContent-Length: 0\r\n\r\n";
const std::string kMessageComes = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n";

class GrpcTest : public H2RelayTest {
 protected:
  // A unary call's answer: one message, then the status in trailers.
  void reply(u32 stream, std::string_view message, std::string_view status) {
    respond_with(stream, kMessageComes, message, false);
    server_side->h2.send_trailers(stream, bytes_of("grpc-status: " + std::string(status) + "\r\n"));
    server_side->h2.release(stream, http::H2Error::no_error);
  }
  contract::Mail probe() {
    contract::Mail mail;
    mail.kind = MailKind::probe;
    mail.plan = plan.get();
    world->inbox.push(mail);
    world->run_for(5000);
    const auto done = mails(MailKind::probe_done);
    RW_ASSERT(done.size() == 1);
    return done[0];
  }
};

TEST_F(GrpcTest, UnaryCallPassesWithItsTrailersAndIsCounted) {
  start_h2(1, contract::AppProtocol::grpc);
  respond = [&](Peer&, u32 stream, Message& message) {
    if (message.ended) reply(stream, message.body, "0");
  };
  const u32 c = connect_h2();
  const u32 stream = request(c, kCall + "Transfer-Encoding: chunked\r\n\r\n", "question");
  EXPECT_EQ(answer_to(c, stream).body, "question");
  EXPECT_EQ(answer_to(c, stream).trailers, "grpc-status: 0\r\n");
  EXPECT_EQ(count(Counter::grpc_ok), 1u);
  EXPECT_TRUE(mails(MailKind::endpoint_event).empty()) << "nobody waits for a success";
}

TEST_F(GrpcTest, UnavailableIsTriedAtAnotherEndpointWithTheWholeMessage) {
  start_h2(2, contract::AppProtocol::grpc);
  std::string whole;
  respond = [&](Peer& peer, u32 stream, Message& message) {
    if (!message.ended) return;
    if (peer.endpoint == 0) {
      respond_with(stream, kUnavailable);
      return server_side->h2.release(stream, http::H2Error::no_error);
    }
    whole = message.body;
    reply(stream, "answer", "0");
  };
  const u32 c = connect_h2();
  const u32 stream = request(c, kCall + "Transfer-Encoding: chunked\r\n\r\n", "question");
  EXPECT_EQ(answer_to(c, stream).body, "answer");
  EXPECT_EQ(whole, "question");
  EXPECT_EQ(count(Counter::upstream_retries), 1u);
}

TEST_F(GrpcTest, UnavailableEverywhereIsWhatTheClientSees) {
  start_h2(2, contract::AppProtocol::grpc);
  respond = [&](Peer&, u32 stream, Message& message) {
    if (!message.ended) return;
    respond_with(stream, kUnavailable);
    server_side->h2.release(stream, http::H2Error::no_error);
  };
  const Message answer = ask_h2(kCall + "Transfer-Encoding: chunked\r\n\r\n", "question");
  EXPECT_THAT(answer.head, HasSubstr("grpc-status: 14\r\n"));
  EXPECT_TRUE(answer.ended);
  EXPECT_EQ(count(Counter::grpc_errors), 1u);
}

TEST_F(GrpcTest, DeadlineOfTheCallIsHonoured) {
  start_h2(1, contract::AppProtocol::grpc);
  respond = [](Peer&, u32, Message&) {};
  const u32 c = connect_h2();
  const u32 stream = request(c, kCall + "grpc-timeout: 50m\r\nTransfer-Encoding: chunked\r\n\r\n", "question");
  world->run_for(40'000);
  EXPECT_EQ(answer_to(c, stream).head, "");
  world->run_for(20'000);
  EXPECT_THAT(answer_to(c, stream).head, HasSubstr("grpc-status: 4\r\n"));
}

TEST_F(GrpcTest, AnswerThatBreaksOffEndsWithAStatus) {
  start_h2(1, contract::AppProtocol::grpc);
  respond = [&](Peer&, u32 stream, Message& message) {
    if (!message.ended) return;
    respond_with(stream, kMessageComes, "half a mess", false);
    server_side->h2.release(stream, http::H2Error::internal_error);
  };
  const Message answer = ask_h2(kCall + "Transfer-Encoding: chunked\r\n\r\n", "question");
  EXPECT_EQ(answer.body, "half a mess");
  EXPECT_EQ(answer.trailers, "grpc-status: 14\r\ngrpc-message: the answer broke off\r\n");
  EXPECT_TRUE(answer.ended);
  EXPECT_EQ(count(Counter::grpc_errors), 1u);
  EXPECT_EQ(count(Counter::upstream_aborts), 1u);
}

TEST_F(GrpcTest, AnswerThatIsNotOverInTimeEndsWithAStatus) {
  start_h2(1, contract::AppProtocol::grpc);
  plan->services[0].timeouts.per_request_us = 50'000;
  respond = [&](Peer&, u32 stream, Message& message) {
    if (message.ended) respond_with(stream, kMessageComes, "some", false);
    message.ended = false;
  };
  const u32 c = connect_h2();
  const u32 stream = request(c, kCall + "Transfer-Encoding: chunked\r\n\r\n", "question");
  world->run_for(40'000);
  EXPECT_FALSE(answer_to(c, stream).ended);
  world->run_for(20'000);
  EXPECT_THAT(answer_to(c, stream).trailers, StartsWith("grpc-status: 4\r\n"));
  EXPECT_TRUE(answer_to(c, stream).ended);
}

TEST_F(GrpcTest, HealthCheckBelievesOnlyServing) {
  start_h2(1, contract::AppProtocol::grpc);
  plan->services[0].health_check = {
      .kind = contract::HealthCheckKind::grpc, .h2 = true,
      .request = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\nTE: trailers\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n",
      .body = std::string("\0\0\0\0\x05\x0a\x03" "abc", 10)};
  std::string asked, body = std::string("\0\0\0\0\x02\x08\x01", 7), status = "0";
  respond = [&](Peer&, u32 stream, Message& message) {
    if (!message.ended) return;
    asked = message.head + message.body;
    reply(stream, body, status);
  };
  EXPECT_EQ(probe().outcome, Outcome::success);
  EXPECT_THAT(asked, AllOf(StartsWith("POST /grpc.health.v1.Health/Check "), EndsWith("abc")));
  body[6] = 2;  // NOT_SERVING
  EXPECT_EQ(probe().outcome, Outcome::bad_status);
  body[6] = 1;
  status = "5";
  EXPECT_EQ(probe().outcome, Outcome::bad_status);
  respond = [&](Peer&, u32 stream, Message& message) {
    if (message.ended) server_side->h2.release(stream, http::H2Error::internal_error);
  };
  EXPECT_EQ(probe().outcome, Outcome::reset);
}

TEST_F(GrpcTest, HttpHealthCheckOfAnHttp2ServiceGoesOverHttp2) {
  start_h2();
  plan->services[0].health_check = {.kind = contract::HealthCheckKind::http, .h2 = true,
                                    .request = "GET /health HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"};
  always_h2("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(probe().outcome, Outcome::success);
  always_h2("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
  const auto done = probe();
  EXPECT_EQ(done.outcome, Outcome::bad_status);
  EXPECT_EQ(done.probe.status, 503);
}

TEST_F(GrpcTest, UpgradeToH2cIsTakenAndTheRequestAnsweredOnStreamOne) {
  start();
  always(ok("hello"));
  const u32 c = connect();
  say(c, "GET /a HTTP/1.1\r\nHost: web\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
         "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
  const std::string& got = clients[c].got;
  ASSERT_THAT(got, StartsWith("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"));
  const std::string frames = got.substr(got.find("\r\n\r\n") + 4);
  ASSERT_GT(frames.size(), 9u);
  EXPECT_EQ(frames[3], 4) << "SETTINGS is the first frame";
  EXPECT_THAT(frames, EndsWith("hello"));
  EXPECT_THAT(seen.at(0), AllOf(StartsWith("GET /a "), Not(HasSubstr("h2c")), Not(HasSubstr("ettings"))));
}

}  // namespace
}  // namespace ringway
