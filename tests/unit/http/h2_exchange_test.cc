// The straight path of H2Engine: requests and responses with bodies and trailers in both roles, without a copy.

#include "tests/unit/http/h2_talk.h"

namespace ringway::http::test {
namespace {

TEST(H2Exchange, ServerReadsARequestAndAnswersIt) {
  Talk t;
  t.begun();
  t.in("HEADERS 1 end GET /path?q=1 x-a=b").event("head 1 end");
  EXPECT_EQ(t.text, "GET /path?q=1 HTTP/1.1\r\nhost: a.example\r\nx-a: b\r\n\r\n");
  t.quiet();
  t.respond(1, 200, false, "content-length: 5\r\n").send(1, "hello", true);
  t.out("HEADERS 1 200 content-length=5").out("DATA 1 end hello").quiet();
  t.release(1).quiet();
  EXPECT_EQ(t.engine().streams(t.conn), 0u);
  EXPECT_EQ(t.counter(Counter::h2_connections), 1u);
  EXPECT_EQ(t.counter(Counter::h2_streams), 1u);
  t.audit();
}

TEST(H2Exchange, RequestBodyAndTrailersComeInOrder) {
  Talk t;
  t.begun();
  t.in("HEADERS 1 POST /", "DATA 1 hello ", "DATA 1 world", "HEADERS 1 end x-sum=1");
  t.event("head 1");
  EXPECT_EQ(t.text, "POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n");
  t.event("data 1").event("trailers 1 end");
  EXPECT_EQ(t.text, "x-sum: 1\r\n");
  EXPECT_TRUE(t.engine().peer_ended(t.stream(1)));
  EXPECT_EQ(t.take(1), "helloworld");
  t.respond(1, 200, false).send(1, "fine").send_trailers(1, "grpc-status: 0\r\n");
  t.out("HEADERS 1 200").out("DATA 1 fine").out("HEADERS 1 end grpc-status=0").quiet();
  t.release(1).quiet().audit();
}

TEST(H2Exchange, ClientSendsARequestAndReadsTheAnswer) {
  Talk t(H2Role::client);
  t.begun();
  EXPECT_EQ(t.request("POST /x", false, "content-length: 4\r\n"), 1u);
  t.send(1, "ping", true);
  t.out("HEADERS 1 :method=POST :path=/x :authority=a.example content-length=4").out("DATA 1 end ping").quiet();
  t.in("HEADERS 1 103 link=x", "HEADERS 1 200 x=y", "DATA 1 pong", "HEADERS 1 end x-t=1");
  t.event("head 1");
  EXPECT_TRUE(t.text.starts_with("HTTP/1.1 103 ")) << t.text;
  t.event("head 1");
  EXPECT_TRUE(t.text.starts_with("HTTP/1.1 200 ")) << t.text;
  t.event("data 1").event("trailers 1 end").quiet();
  EXPECT_EQ(t.take(1), "pong");
  t.release(1).quiet().audit();
}

TEST(H2Exchange, HeadsAndBodiesOfManyStreamsInterleave) {
  Talk t;
  t.begun();
  t.in("HEADERS 1 POST /1", "HEADERS 3 POST /3", "DATA 1 a", "DATA 3 b", "DATA 3 c", "DATA 1 end d", "DATA 3 end");
  t.event("head 1").event("head 3").event("data 1").event("data 3").event("data 1 end").event("data 3 end").quiet();
  EXPECT_EQ(t.take(1), "ad");
  EXPECT_EQ(t.take(3), "bc");
  t.respond(3, 200, true).respond(1, 204, true);
  t.out("HEADERS 3 end 200").out("HEADERS 1 end 204").quiet();
  t.release(3).release(1).quiet().audit();
}

TEST(H2Exchange, EventsShowTheStateJustBehindThem) {
  Talk t;
  t.begun();
  t.held = true;
  t.in("HEADERS 1 POST /1", "DATA 1 a", "HEADERS 3 end GET /3", "DATA 1 end b");
  EXPECT_TRUE(t.pump_one());
  t.event("head 1");
  EXPECT_FALSE(t.has_stream(3));
  EXPECT_TRUE(t.pump_one());
  t.event("data 1");
  EXPECT_EQ(t.take(1), "a");
  EXPECT_FALSE(t.engine().peer_ended(t.stream(1)));
  EXPECT_TRUE(t.pump_one());
  t.event("head 3 end");
  EXPECT_TRUE(t.pump_one());
  t.event("data 1 end");
  EXPECT_EQ(t.take(1), "b");
  EXPECT_FALSE(t.pump_one());
  t.audit();
}

TEST(H2Exchange, StreamWhoseErrorEndsTheConnectionIsLeftToItsUser) {
  Talk t;
  t.begun();
  u32 id = 1;
  for (; t.counter(Counter::h2_calm_provoked_resets) == 0; id += 2) {
    ASSERT_LT(id, 2 * (contract::kH2ResetsMax + 2));
    t.in("HEADERS " + std::to_string(id) + " GET /", "WINDOW_UPDATE " + std::to_string(id) + " +0");
    t.event("head " + std::to_string(id));
    if (t.counter(Counter::h2_calm_provoked_resets) == 0) t.event("reset " + std::to_string(id) + " PROTOCOL_ERROR");
    t.forget("RST_STREAM");
  }
  t.event("failed ENHANCE_YOUR_CALM");
  EXPECT_TRUE(t.has_stream(id - 2));
  t.release(id - 2);
  EXPECT_EQ(t.engine().streams(t.conn), 0u);
  t.audit();
}

TEST(H2Exchange, PayloadComesAndGoesWithoutACopy) {
  Talk t(H2Role::server, {.stream_window_bytes = 1'000'000});
  t.piece = 1460;
  t.begun("SETTINGS initial_window_size=1000000");
  t.open();
  t.in("WINDOW_UPDATE +1000000");
  for (int n = 0; n < 20; ++n) t.in("DATA 1 n=16384").forget("WINDOW_UPDATE");
  t.drop_events();
  mbuf::Chain body = t.engine().take(t.stream(1), ~0u);
  EXPECT_EQ(body.bytes(), 20u * 16'384u);
  const u8* const first = body.front().data();
  mbuf::Chain shared = body.share();
  t.respond(1, 200, false).out("HEADERS 1 200");
  t.hold_output = true;
  EXPECT_TRUE(t.engine().send_data(t.stream(1), std::move(shared), true));
  mbuf::Chain sent = t.engine().take_output(t.conn);
  EXPECT_GT(sent.bytes(), body.bytes());
  bool found = false;
  for (u32 at = sent.first(); at != kNone32; at = sent.slice(at).next) found |= sent.slice(at).data() == first;
  EXPECT_TRUE(found);  // the very bytes that came
  EXPECT_EQ(t.counter(Counter::payload_copied), 0u);
  body.clear();
  sent.clear();
  t.audit();
}

}  // namespace
}  // namespace ringway::http::test
