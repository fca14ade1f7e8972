// Relay between protocols, through a whole gateway core: HTTP/1.1 and HTTP/2 on either side.

#include <set>

#include "tests/unit/relay/h2_fixture.h"

namespace ringway {
namespace {

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
const std::string kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

std::size_t first_difference(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return std::min(a.size(), b.size());
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

TEST_F(H2RelayTest, H2ClientToH1Endpoint) {
  start();
  always(ok("hello"));
  const Message answer = ask_h2(kGet);
  EXPECT_THAT(answer.head, StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(answer.body, "hello");
  EXPECT_TRUE(answer.ended);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(seen[0], AllOf(StartsWith("GET /a HTTP/1.1\r\nHost: web\r\n"), HasSubstr("Via: 1.1 far, 2.0 ringway"), HasSubstr("10.1.0.2")));
}

TEST_F(H2RelayTest, H1ClientToH2Endpoint) {
  start_h2();
  always_h2(kOk, "hello");
  EXPECT_THAT(ask(kGet), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Length: 5"), EndsWith("\r\n\r\nhello")));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(seen[0], AllOf(StartsWith("GET /a HTTP/1.1\r\nhost: web\r\n"), HasSubstr("via: 1.1 ringway")));
}

TEST_F(H2RelayTest, H2ClientToH2Endpoint) {
  start_h2();
  always_h2(kOk, "hello");
  const Message answer = ask_h2(kGet);
  EXPECT_THAT(answer.head, StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(answer.body, "hello");
  EXPECT_TRUE(answer.ended);
}

TEST_F(H2RelayTest, RetriesOfManyStreamsEachBeginAtTheirTime) {
  plan = test::one_service_plan(1, 2, contract::AppProtocol::http2);
  plan->services[0].retry.backoff_base_us = plan->services[0].retry.backoff_max_us = 50'000;
  plan->services[0].retry.budget_percent = 100;
  world->server_app = [this] { run_h2_server(); };
  adopt(2);
  plan->services[0].retry.attempt_count = true;
  respond = [&](Peer& peer, u32 stream, Message& message) {
    if (!message.ended) return;
    const bool busy = message.head.find("x-envoy-attempt-count: 1") != std::string::npos;
    respond_with(stream, busy ? "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" : kOk, busy ? "" : "hello");
    server_side->h2.release(stream, http::H2Error::no_error);
    peer.streams.erase(stream);
  };
  const u32 c = connect_h2();
  std::vector<u32> streams;
  for (int i = 0; i < 20; ++i) streams.push_back(request(c, kGet));
  world->run_for(60'000);
  for (const u32 stream : streams) EXPECT_EQ(answer_to(c, stream).body, "hello");
  EXPECT_EQ(count(Counter::upstream_retries), 20u);
}

TEST_F(H2RelayTest, ManyStreamsOfOneClientShareOneConnectionToTheEndpoint) {
  start_h2();
  always_h2(kOk, "hello");
  const u32 c = connect_h2();
  std::vector<u32> streams;
  for (int i = 0; i < 50; ++i) streams.push_back(request(c, kGet));
  for (const u32 stream : streams) EXPECT_TRUE(answer_to(c, stream).ended);
  EXPECT_EQ(seen.size(), 50u);
  EXPECT_EQ(server_side->peers.size(), 1u);
}

TEST_F(H2RelayTest, Regret22_StreamsAreBalancedOneByOne) {
  start_h2(3);
  always_h2(kOk, "hello");
  const u32 c = connect_h2();
  for (int i = 0; i < 12; ++i) request(c, kGet);
  EXPECT_EQ(server_side->peers.size(), 3u);
  for (u32 endpoint = 0; endpoint < 3; ++endpoint) EXPECT_EQ(std::count(seen_at.begin(), seen_at.end(), endpoint), 4) << endpoint;
}

TEST_F(H2RelayTest, ResponseOfUnknownLengthIsChunkedForH1Client) {
  start_h2();
  always_h2(kChunked, "hello");
  EXPECT_THAT(ask(kGet), AllOf(HasSubstr("Transfer-Encoding: chunked"), EndsWith("\r\n\r\n5\r\nhello\r\n0\r\n\r\n")));
}

TEST_F(H2RelayTest, ChunkedRequestOfH1ClientLosesItsFramingAndKeepsItsTrailers) {
  start_h2();
  Message got;
  respond = [&](Peer&, u32 stream, Message& message) {
    if (!message.ended) return;
    got = message;
    respond_with(stream, kOk, "hello");
    server_side->h2.release(stream, http::H2Error::no_error);
  };
  const std::string answer = ask("POST /a HTTP/1.1\r\nHost: web\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nSum: 5\r\n\r\n");
  EXPECT_THAT(answer, EndsWith("hello"));
  EXPECT_EQ(got.body, "abcde");
  EXPECT_EQ(got.trailers, "sum: 5\r\n");
}

TEST_F(H2RelayTest, ChunkedResponseOfH1EndpointLosesItsFramingAndKeepsItsTrailers) {
  start();
  always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n");
  const Message answer = ask_h2(kGet);
  EXPECT_EQ(answer.body, "abcde");
  EXPECT_EQ(answer.trailers, "t: v\r\n");
  EXPECT_TRUE(answer.ended);
}

TEST_F(H2RelayTest, TrailersOfH2EndpointReachAnH1ClientBehindTheLastChunk) {
  start_h2();
  respond = [&](Peer&, u32 stream, Message& message) {
    if (!message.ended) return;
    respond_with(stream, kChunked, "hello", false);
    server_side->h2.send_trailers(stream, bytes_of("t: v\r\n"));
    server_side->h2.release(stream, http::H2Error::no_error);
  };
  EXPECT_THAT(ask(kGet), EndsWith("5\r\nhello\r\n0\r\nt: v\r\n\r\n"));
}

TEST_F(H2RelayTest, ResponseThatEndsWithItsConnectionEndsItsStream) {
  start();
  on_request = [&](Serving& s) {
    if (!s.got.ends_with("\r\n\r\n")) return;
    s.got.clear();
    world->server.send(s.id, "HTTP/1.0 200 OK\r\n\r\nall of it");
    world->server.tcp().close(s.id);
  };
  const Message answer = ask_h2(kGet);
  EXPECT_EQ(answer.body, "all of it");
  EXPECT_TRUE(answer.ended);
  EXPECT_FALSE(answer.reset);
}

TEST_F(H2RelayTest, RequestBodyOfUnknownLengthIsChunkedForH1Endpoint) {
  start();
  std::string got;
  on_request = [&](Serving& s) {
    got = s.got;
    if (got.ends_with("0\r\n\r\n")) world->server.send(s.id, ok("x"));
  };
  const u32 c = connect_h2();
  const u32 stream = request(c, "POST /a HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n", "abc", false);
  send_body(*client_side, stream, "defg", true);
  world->run_for(3000);
  EXPECT_THAT(got, AllOf(HasSubstr("Transfer-Encoding: chunked"), EndsWith("\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")));
  EXPECT_EQ(answer_to(c, stream).body, "x");
}

TEST_F(H2RelayTest, LargeBodiesPassBothWaysUnchangedAndUncopied) {
  start_h2();
  const std::string body = pattern(1'500'000);
  std::string received;
  u32 at = kNone32;
  respond = [&](Peer&, u32 stream, Message& message) {
    received = message.body;
    if (message.ended) at = stream;
  };
  const u32 c = connect_h2();
  const u32 stream = request(c, "POST /up HTTP/1.1\r\nHost: web\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n", body);
  world->run_for(200'000);
  EXPECT_EQ(first_difference(received, body), body.size());
  ASSERT_NE(at, kNone32);
  http::ResponseHead head;
  ASSERT_EQ(http::read_response(bytes_of(kChunked), http::Method::get, {}, head).status, http::ReadStatus::complete);
  ASSERT_TRUE(server_side->h2.send_response(at, head, {.via = "far"}, {}, false));
  send_body(*server_side, at, body, true);
  world->run_for(400'000);
  EXPECT_EQ(first_difference(answer_to(c, stream).body, body), body.size());
  EXPECT_TRUE(answer_to(c, stream).ended);
  EXPECT_EQ(count(Counter::payload_copied), 0u);
}

TEST_F(H2RelayTest, StreamThatNobodyTakesStopsAlone) {
  start_h2();
  const std::string body = pattern(400'000);
  respond = [&](Peer&, u32, Message&) {};
  const u32 lazy = connect_h2();
  const u32 busy = connect_h2();
  client_side->peers[lazy].taking = false;
  request(lazy, kGet);
  const u32 quick = request(busy, kGet);
  ASSERT_EQ(server_side->peers.size(), 1u) << "both are on one connection to the endpoint";
  std::vector<u32> streams;
  for (const auto& [stream, message] : server_side->peers[0].streams) streams.push_back(stream);
  ASSERT_EQ(streams.size(), 2u);
  http::ResponseHead head;
  ASSERT_EQ(http::read_response(bytes_of(kChunked), http::Method::get, {}, head).status, http::ReadStatus::complete);
  for (const u32 stream : streams) ASSERT_TRUE(server_side->h2.send_response(stream, head, {.via = "far"}, {}, false));
  // The first was asked by the client that takes nothing: fill it until it stops.
  u32 stuck = 0;
  for (u32 turn = 0; turn < 4000; ++turn) {
    const u32 n = std::min<u32>(server_side->h2.send_space(streams[0]), 8000);
    if (n > 0) {
      ASSERT_TRUE(server_side->h2.send_data(streams[0], chain_of(world->server, body.substr(0, n)), false));
    }
    stuck += n;
    world->step();
  }
  EXPECT_LT(stuck, 300'000u) << "two windows of a stream";
  send_body(*server_side, streams[1], body, true);
  world->run_for(100'000);
  EXPECT_EQ(first_difference(answer_to(busy, quick).body, body), body.size());
}

TEST_F(H2RelayTest, HeadRequestsAndInterimResponsesPass) {
  start();
  always("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  const Message answer = ask_h2("HEAD / HTTP/1.1\r\nHost: web\r\n\r\n");
  EXPECT_THAT(answer.head, AllOf(HasSubstr("103"), HasSubstr("HTTP/1.1 200"), HasSubstr("content-length: 1000")));
  EXPECT_EQ(answer.body, "");
  EXPECT_TRUE(answer.ended);
}

TEST_F(H2RelayTest, StreamsAreAnsweredLocally) {
  start_h2();
  plan->listeners[0].service = kNone32;
  EXPECT_THAT(ask_h2(kGet).head, AllOf(StartsWith("HTTP/1.1 404 "), HasSubstr("x-ringway-flag: NR")));
}

TEST_F(H2RelayTest, GrpcIsAnsweredInItsOwnWords) {
  start_h2();
  plan->listeners[0].service = kNone32;
  const Message answer = ask_h2("POST /s/m HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(answer.head, AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("grpc-status: 12\r\n"), HasSubstr("application/grpc")));
  EXPECT_TRUE(answer.ended);
}

TEST_F(H2RelayTest, RefusedStreamGoesToAnotherEndpoint) {
  start_h2(2);
  always_h2(kOk, "hello");
  const auto answer = respond;
  respond = [&, answer](Peer& peer, u32 stream, Message& message) {
    if (peer.endpoint != 0) return answer(peer, stream, message);
    server_side->h2.release(stream, http::H2Error::refused_stream);
    peer.streams.erase(stream);
  };
  const u32 c = connect_h2();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(answer_to(c, request(c, "POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n")).body, "hello");
  EXPECT_GE(count(Counter::upstream_retries), 2u);
}

TEST_F(H2RelayTest, RequestThatIsRefusedAgainAndAgainIsServedInTheEnd) {
  start_h2();
  always_h2(kOk, "hello");
  const auto answer = respond;
  int refusals = 8;
  respond = [&, answer](Peer& peer, u32 stream, Message& message) {
    if (refusals == 0) return answer(peer, stream, message);
    --refusals;
    server_side->h2.release(stream, http::H2Error::refused_stream);
    peer.streams.erase(stream);
  };
  const u32 c = connect_h2();
  const u32 stream = request(c, kGet);
  world->run_for(20'000);
  EXPECT_EQ(answer_to(c, stream).body, "hello");
  EXPECT_EQ(count(Counter::upstream_retries), 8u);
}

TEST_F(H2RelayTest, RequestThatIsRefusedForEverGets503) {
  start_h2();
  respond = [&](Peer& peer, u32 stream, Message&) {
    server_side->h2.release(stream, http::H2Error::refused_stream);
    peer.streams.erase(stream);
  };
  const u32 c = connect_h2();
  const u32 stream = request(c, kGet);
  world->run_for(50'000);
  EXPECT_THAT(answer_to(c, stream).head, StartsWith("HTTP/1.1 503 "));
}

TEST_F(H2RelayTest, LimitOfStreamsIsKnownToTheNextConnection) {
  server_settings.streams_max = 2;
  start_h2();
  respond = [](Peer&, u32, Message&) {};
  const u32 c = connect_h2();
  request(c, kGet);
  for (int i = 0; i < 6; ++i) send_request(c, kGet);  // at once: no later connection has heard SETTINGS yet
  world->run_for(5000);
  ASSERT_EQ(server_side->peers.size(), 4u);
  EXPECT_EQ(count(Counter::upstream_retries), 0u);
  for (const Peer& peer : server_side->peers) EXPECT_LE(peer.streams.size(), 2u);
}

TEST_F(H2RelayTest, AnswerOfOurOwnThatWaitsForItsWindowIsNobodysExchange) {
  start_h2();
  respond = [](Peer&, u32, Message&) {};
  const u32 honest = connect_h2();
  const u32 stream = request(honest, kGet);  // the first exchange of all
  plan->listeners[0].service = kNone32;
  plan->limits.client_idle_us = plan->limits.header_timeout_us = 50'000;
  const u32 other = connect_h2({.stream_window_bytes = 1});
  client_side->peers[other].taking = false;
  const u32 refused = request(other, kGet);
  EXPECT_THAT(answer_to(other, refused).head, StartsWith("HTTP/1.1 404 "));
  EXPECT_FALSE(answer_to(other, refused).ended);
  world->run_for(100'000);
  EXPECT_TRUE(client_side->peers[other].closed);  // idle for too long
  const u32 third = connect_h2({.stream_window_bytes = 1});
  client_side->peers[third].taking = false;
  request(third, kGet);
  world->client.tcp().abort(client_side->peers[third].conn);
  world->run_for(5000);
  const u32 at = server_side->peers[0].streams.begin()->first;
  respond_with(at, kOk, "hello");
  server_side->h2.release(at, http::H2Error::no_error);
  world->run_for(3000);
  EXPECT_EQ(answer_to(honest, stream).body, "hello");
}

TEST_F(H2RelayTest, ConnectionThatBreaksTakesItsStreamsElsewhere) {
  start_h2(2);
  respond = [](Peer&, u32, Message&) {};
  const u32 c = connect_h2();
  const u32 first = request(c, kGet);
  const u32 second = request(c, kGet);
  ASSERT_EQ(server_side->peers.size(), 2u);
  always_h2(kOk, "hello");
  world->server.tcp().abort(server_side->peers[0].conn);
  server_side->peers[0].closed = true;
  world->run_for(5000);
  const u32 broken = server_side->peers[0].endpoint;
  EXPECT_EQ(seen_at.size(), 1u);
  for (const u32 endpoint : seen_at) EXPECT_NE(endpoint, broken);
  EXPECT_EQ(answer_to(c, first).ended + answer_to(c, second).ended, 1);
}

TEST_F(H2RelayTest, ClientThatResetsAStreamEndsItsExchangeAlone) {
  start_h2();
  respond = [](Peer&, u32, Message&) {};
  const u32 c = connect_h2();
  const u32 stream = request(c, kGet);
  client_side->h2.release(stream, http::H2Error::cancel);
  world->run_for(3000);
  EXPECT_EQ(count(Counter::client_aborts), 1u);
  EXPECT_FALSE(client_side->peers[c].closed);
  bool cancelled = false;
  for (const auto& [at, message] : server_side->peers[0].streams) cancelled |= message.reset == http::H2Error::cancel;
  always_h2(kOk, "hello");
  EXPECT_EQ(answer_to(c, request(c, kGet)).body, "hello");
}

TEST_F(H2RelayTest, DrainLetsStreamsFinishAndThenCloses) {
  start_h2();
  respond = [](Peer&, u32, Message&) {};
  const u32 c = connect_h2();
  const u32 stream = request(c, kGet);
  contract::Mail mail;
  mail.kind = MailKind::drain;
  mail.drain_us = 20'000'000;
  ASSERT_TRUE(world->inbox.push(mail));
  world->run_for(1'500'000, 500);
  EXPECT_TRUE(client_side->peers[c].goaway);
  EXPECT_FALSE(client_side->peers[c].closed);
  const u32 at = server_side->peers[0].streams.begin()->first;
  respond_with(at, kOk, "hello");
  server_side->h2.release(at, http::H2Error::no_error);
  world->run_for(3000);
  EXPECT_EQ(answer_to(c, stream).body, "hello");
  EXPECT_TRUE(client_side->peers[c].closed);
}

TEST_F(H2RelayTest, RequestThatIsNotAnsweredInTimeGets504) {
  start_h2();
  plan->services[0].timeouts.per_request_us = 100'000;
  respond = [](Peer&, u32, Message&) {};
  const u32 c = connect_h2();
  const u32 stream = request(c, kGet);
  world->run_for(150'000);
  EXPECT_THAT(answer_to(c, stream).head, StartsWith("HTTP/1.1 504 "));
  EXPECT_EQ(count(Counter::request_timeouts), 1u);
}

TEST_F(H2RelayTest, MalformedResponseIs502) {
  start_h2();
  respond = [&](Peer&, u32 stream, Message& message) {
    if (!message.ended) return;
    respond_with(stream, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "hello");  // longer than it says
    server_side->h2.release(stream, http::H2Error::no_error);
  };
  const u32 c = connect();
  say(c, kGet);
  EXPECT_GE(count(Counter::bad_responses), 1u);
}

TEST_F(H2RelayTest, Regret20_ConnectionsOfBothSidesAgeOut) {
  start_h2();
  plan->limits.h2_age_us = 1'000'000;
  always_h2(kOk, "hello");
  const u32 c = connect_h2();
  request(c, kGet);
  world->run_for(1'100'000, 500);
  EXPECT_FALSE(client_side->peers[c].goaway);
  EXPECT_EQ(answer_to(c, request(c, kGet)).body, "hello") << "whose connection is too old is still answered";
  EXPECT_TRUE(client_side->peers[c].goaway);
  EXPECT_EQ(server_side->peers.size(), 2u) << "the old one to the endpoint took no more streams";
  world->run_for(10'000);
  EXPECT_TRUE(client_side->peers[c].closed);
  EXPECT_TRUE(server_side->peers[0].closed);
}

TEST_F(H2RelayTest, FrameThatDoesNotEndInTimeEndsTheConnection) {
  start();
  plan->limits.header_timeout_us = 100'000;
  const u32 c = connect();
  say(c, std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string("\0\0\0\4\0\0\0\0\0", 9) +
             std::string("\0\0\0\4\1\0\0\0\0", 9) + std::string("\0\0\x10\1", 4));
  world->run_for(80'000);
  EXPECT_FALSE(clients[c].peer_closed);
  world->run_for(40'000);
  EXPECT_TRUE(clients[c].peer_closed);
  EXPECT_EQ(count(Counter::idle_timeouts), 1u);
}

class H2HoardTest : public H2RelayTest {
 protected:
  test::WorldSizes sizes() const override { return {.packets = 1023}; }
};

TEST_F(H2HoardTest, UploadsThatNobodyTakesLeavePacketsForOthers) {
  server_settings.held_bytes_max = 64 << 20;
  server_settings.stream_window_bytes = 1000;
  start_h2();
  std::set<u32> hoarded;
  respond = [&](Peer& peer, u32 stream, Message& message) {
    if (message.head.find("/hoard") != std::string::npos) {
      peer.taking = false;
      hoarded.insert(stream);
    } else if (message.ended) {
      respond_with(stream, kOk, "hello");
      server_side->h2.release(stream, http::H2Error::no_error);
    }
  };
  const std::string head = "POST /hoard HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string part = pattern(8000);
  std::vector<std::pair<u32, u32>> uploads;
  for (int i = 0; i < 16; ++i) {
    const u32 c = connect_h2();
    for (int k = 0; k < 6; ++k) uploads.emplace_back(c, request(c, head, "start", false));
  }
  for (int round = 0; round < 40; ++round) {
    for (const auto& [c, stream] : uploads) {
      const u32 n = std::min<u32>(client_side->h2.send_space(stream), 8000);
      if (n > 0) {
        ASSERT_TRUE(client_side->h2.send_data(stream, chain_of(world->client, part.substr(0, n)), false));
      }
    }
    world->run_for(2000);
  }
  EXPECT_EQ(hoarded.size(), uploads.size());
  EXPECT_GT(world->gateway_pools().packets_free(), 100u);
  EXPECT_THAT(ask(kGet), EndsWith("hello"));
}

TEST_F(H2RelayTest, AnAnswerBehindInterimOnesWaitsForAClientThatDoesNotRead) {
  start();
  const u32 c = connect_h2({.stream_window_bytes = 4 << 20, .held_bytes_max = 4 << 20});
  const u32 large = request(c, kGet), late = request(c, kGet);
  ASSERT_EQ(serving.size(), 2u);
  world->client_app = nullptr;
  const std::string body = pattern(2'000'000);
  world->server.send(serving[0].id, "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n");
  std::string_view rest = body;
  const auto send = [&] {
    const u32 n = std::min<u32>(static_cast<u32>(rest.size()), world->server.tcp().send_space(serving[0].id));
    world->server.send(serving[0].id, rest.substr(0, n));
    rest.remove_prefix(n);
    world->run_for(2000);
  };
  for (int i = 0; i < 200; ++i) send();
  ASSERT_FALSE(rest.empty()) << "the way to the client is full";
  std::string interim;
  for (int i = 0; i < 200; ++i) interim += "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";  // the last bit of room as well
  world->server.send(serving[1].id, interim + ok("late"));
  world->run_for(20'000);
  world->client_app = [this] { run_h2_clients(); };
  for (int i = 0; i < 2000 && !rest.empty(); ++i) send();
  world->run_for(50'000);
  EXPECT_EQ(answer_to(c, large).body, body);
  EXPECT_THAT(answer_to(c, late).head, AllOf(StartsWith("HTTP/1.1 103 "), HasSubstr("HTTP/1.1 200 ")));
  EXPECT_EQ(answer_to(c, late).body, "late");
}

}  // namespace
}  // namespace ringway
