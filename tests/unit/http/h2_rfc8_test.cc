// RFC 9113 section 8: messages on streams, as far as the engine judges them; what single fields may be is in
// h2_head_test.cc. RFC 8441 (extended CONNECT) and the upgrade of RFC 7540 3.2.

#include "tests/unit/http/h2_talk.h"

namespace ringway::http::test {
namespace {

// A request that is no HTTP is refused by a stream error, and the connection goes on.
void expect_malformed(const std::string& headers) {
  SCOPED_TRACE(headers);
  Talk t;
  t.begun().in(headers).out("RST_STREAM 1 PROTOCOL_ERROR").quiet();
  EXPECT_EQ(t.counter(Counter::h2_malformed), 1u);
  EXPECT_EQ(t.counter(Counter::h2_stream_errors), 1u);
  EXPECT_EQ(t.engine().streams(t.conn), 0u);
  t.in("HEADERS 3 end GET /").event("head 3 end").quiet().audit();
}

// --- 8.1

TEST(H2, Rfc9113_8_1_SecondHeadersWithoutEndAreMalformed) {
  Talk t;
  t.begun().open().in("HEADERS 1 x=y").out("RST_STREAM 1 PROTOCOL_ERROR").event("reset 1 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_8_1_TrailersWithoutFieldsEndTheMessage) {
  Talk t;
  t.begun().open().in("DATA 1 hello", "HEADERS 1 end").event("data 1").event("trailers 1 end");
  EXPECT_EQ(t.text, "");
  t.quiet().audit();
}
TEST(H2, Rfc9113_8_1_PseudoHeadersInTrailersAreMalformed) {
  Talk t;
  t.begun().open().in("HEADERS 1 end :path=/").out("RST_STREAM 1 PROTOCOL_ERROR").event("reset 1 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_8_1_InterimResponseWithEndIsMalformed) {
  Talk t(H2Role::client);
  t.begun();
  t.request("GET /", true);
  t.drop_sent().in("HEADERS 1 end 103").out("RST_STREAM 1 PROTOCOL_ERROR").event("reset 1 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_8_1_DataInFrontOfTheFinalHeadIsMalformed) {
  Talk t(H2Role::client);
  t.begun();
  t.request("GET /", true);
  t.drop_sent().in("HEADERS 1 100", "DATA 1 x").event("head 1").out("RST_STREAM 1 PROTOCOL_ERROR").event("reset 1 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_8_1_AnswerMayBeCompleteBeforeTheRequest) {
  Talk t;
  t.begun().open().respond(1, 413, true).out("HEADERS 1 end 413").release(1, H2Error::no_error).out("RST_STREAM 1 NO_ERROR");
  t.in("DATA 1 hello").quiet().audit();
}
TEST(H2, Rfc9113_8_1_ClientKeepsAWholeAnswerWhenTheRestOfItsRequestIsNotWanted) {
  Talk t(H2Role::client);
  t.begun();
  t.request("POST /", false);
  t.send(1, "part").drop_sent();
  t.in("HEADERS 1 413", "DATA 1 end large", "RST_STREAM 1 NO_ERROR").event("head 1").event("data 1 end").quiet();
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 0u);
  t.send(1, "").quiet();  // has nowhere to go
  EXPECT_EQ(t.take(1), "large");
  t.release(1).quiet().audit();
}
TEST(H2, Rfc9113_8_1_OtherResetsEndTheAnswer) {
  Talk t(H2Role::client);
  t.begun();
  t.request("POST /", false);
  t.drop_sent().in("HEADERS 1 200", "DATA 1 half", "RST_STREAM 1 NO_ERROR").event("head 1").event("data 1").event("reset 1 by_peer NO_ERROR").quiet().audit();
}

// --- 8.1.1 content-length

TEST(H2, Rfc9113_8_1_1_LessDataThanTheLengthIsMalformed) {
  Talk t;
  t.begun().in("HEADERS 1 POST / content-length=5").event("head 1").in("DATA 1 end test").out("RST_STREAM 1 PROTOCOL_ERROR").event("reset 1 PROTOCOL_ERROR");
  t.quiet().audit();
}
TEST(H2, Rfc9113_8_1_1_MoreDataThanTheLengthIsMalformedAsSoonAsItComes) {
  Talk t;
  t.begun().in("HEADERS 1 POST / content-length=5").event("head 1").in("DATA 1 tes").event("data 1").in("DATA 1 ted").out("RST_STREAM 1 PROTOCOL_ERROR");
  t.event("reset 1 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_8_1_1_LengthIsTheSumOfAllDataFrames) {
  Talk t;
  t.begun().in("HEADERS 1 POST / content-length=6", "DATA 1 abc", "DATA 1 pad=9 de", "DATA 1 f", "DATA 1 end").event("head 1").event("data 1 end");
  EXPECT_EQ(t.take(1), "abcdef");
  t.quiet().audit();
}
TEST(H2, Rfc9113_8_1_1_TrailersBehindLessDataThanTheLengthAreMalformed) {
  Talk t;
  t.begun().in("HEADERS 1 POST / content-length=5").event("head 1").in("DATA 1 tes", "HEADERS 1 end x=y").event("data 1").out("RST_STREAM 1 PROTOCOL_ERROR");
  t.event("reset 1 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_8_1_1_LengthWithoutDataIsMalformed) { expect_malformed("HEADERS 1 end POST / content-length=1"); }
TEST(H2, Rfc9113_8_1_1_ClientHoldsAnswersToTheirLength) {
  Talk t(H2Role::client);
  t.begun();
  t.request("GET /", true);
  t.request("GET /", true);
  t.request("GET /", true);
  t.drop_sent();
  t.in("HEADERS 1 200 content-length=3", "DATA 1 end abc").event("head 1").event("data 1 end").quiet();
  t.in("HEADERS 3 200 content-length=3", "DATA 3 abcd").event("head 3").out("RST_STREAM 3 PROTOCOL_ERROR").event("reset 3 PROTOCOL_ERROR").quiet();
  t.in("HEADERS 5 end 200 content-length=3").out("RST_STREAM 5 PROTOCOL_ERROR").event("reset 5 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_8_1_1_AnswersWithoutContentMayHaveALength) {
  Talk t(H2Role::client);
  t.begun();
  t.request("HEAD /", true);
  t.request("GET /", true);
  t.drop_sent();
  t.in("HEADERS 1 end 200 content-length=1000", "HEADERS 3 304 content-length=7", "DATA 3 end").event("head 1 end").event("head 3").event("data 3 end");
  t.quiet().audit();
}
TEST(H2, Rfc9113_8_1_1_AnswersWithoutContentMustNotHaveData) {
  Talk t(H2Role::client);
  t.begun();
  t.request("HEAD /", true);
  t.request("GET /", true);
  t.request("GET /", true);
  t.drop_sent();
  t.in("HEADERS 1 200", "DATA 1 x", "HEADERS 3 204", "DATA 3 x", "HEADERS 5 304", "DATA 5 x").drop_events();
  t.out("RST_STREAM 1 PROTOCOL_ERROR").out("RST_STREAM 3 PROTOCOL_ERROR").out("RST_STREAM 5 PROTOCOL_ERROR").quiet().audit();
}

// --- 8.2, 8.3: one of each; the reader's tests have the others

TEST(H2, Rfc9113_8_2_1_MalformedFieldsAreAStreamError) {
  expect_malformed("HEADERS 1 end GET / block=828684410161400158016e");
  expect_malformed("HEADERS 1 end GET / x%0a=1");
  expect_malformed("HEADERS 1 end GET / x=a%0db");
  expect_malformed("HEADERS 1 end GET / x=%20a");
}
TEST(H2, Rfc9113_8_2_2_ConnectionSpecificFieldsAreAStreamError) {
  for (const char* field : {"connection=keep-alive", "proxy-connection=x", "keep-alive=1", "transfer-encoding=chunked", "upgrade=h2c", "te=gzip"}) {
    expect_malformed(std::string("HEADERS 1 end GET / ") + field);
  }
}
TEST(H2, Rfc9113_8_3_1_PseudoHeadersOutOfPlaceAreAStreamError) {
  expect_malformed("HEADERS 1 end GET / :status=200");
  expect_malformed("HEADERS 1 end GET / :nonsense=1");
  expect_malformed("HEADERS 1 end GET / x=y :authority=b");
  expect_malformed("HEADERS 1 end GET / :path=/again");
  expect_malformed("HEADERS 1 end :method=GET :scheme=http :authority=a.example");
  expect_malformed("HEADERS 1 end :method=GET :path=/ :authority=a.example");
  expect_malformed("HEADERS 1 end :scheme=http :path=/ :authority=a.example");
  expect_malformed("HEADERS 1 end :method=GET :scheme=http :path= :authority=a.example");
}
TEST(H2, Rfc9113_8_3_2_ResponsesWithoutAGoodStatusAreAStreamError) {
  for (const char* head : {"x=y", ":status=20", ":status=abc", ":status=200 :path=/", ":status=101"}) {
    SCOPED_TRACE(head);
    Talk t(H2Role::client);
    t.begun();
    t.request("GET /", true);
    t.drop_sent().in(std::string("HEADERS 1 end ") + head).out("RST_STREAM 1 PROTOCOL_ERROR").event("reset 1 PROTOCOL_ERROR").quiet().audit();
  }
}
TEST(H2, Rfc9113_8_2_MalformedHeadStillMovesTheHeaderTable) {
  Talk t;
  t.begun();
  t.speaker.index = HpackEncoder::Index::yes;
  t.in("HEADERS 1 end GET / x-good=1 connection=close x-more=2").out("RST_STREAM 1 PROTOCOL_ERROR");
  t.in("HEADERS 3 end GET / x-good=1 x-more=2").event("head 3 end");
  EXPECT_NE(t.text.find("x-good: 1\r\nx-more: 2\r\n"), std::string::npos) << t.text;
  t.quiet().audit();
}

// --- limits of heads (section 10.5.1)

TEST(H2, Rfc9113_10_5_1_HeadAboveTheLimitIsToldAndMayBeAnswered) {
  Talk t(H2Role::server, {.head_bytes_max = 1000});
  t.begun().in("HEADERS 1 end GET / big=" + letters(1000)).event("head 1 end too_large");
  EXPECT_EQ(t.text, "");
  t.answer(1, {.status = 431, .text = "head is too large"}).out("HEADERS 1 431").out("DATA 1 end").quiet().audit();
}
TEST(H2, Rfc9113_10_5_1_MoreFieldsThanTheLimitAreToldToo) {
  Talk t(H2Role::server, {.fields_max = 5});
  t.begun().in("HEADERS 1 GET / a=1 b=2 c=3 d=4 e=5 f=6").event("head 1 too_large").in("DATA 1 end x").event("data 1 end").quiet().audit();
}
TEST(H2, Rfc9113_10_5_1_TrailersAboveTheLimitAreAStreamError) {
  Talk t(H2Role::server, {.head_bytes_max = 1000});
  t.begun().open().in("HEADERS 1 end big=" + letters(1000)).out("RST_STREAM 1 PROTOCOL_ERROR").event("reset 1 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_10_5_1_AnswerAboveTheLimitIsTold) {
  Talk t(H2Role::client, {.head_bytes_max = 1000});
  t.begun();
  t.request("GET /", true);
  t.drop_sent().in("HEADERS 1 200 big=" + letters(1000)).event("head 1 too_large").in("DATA 1 end x").event("data 1 end").quiet().audit();
}

// --- never indexed

TEST(H2, Rfc7541_6_2_3_NeverIndexedFieldsAreToldOf) {
  Talk t;
  t.begun();
  t.speaker.index = HpackEncoder::Index::never;
  t.in("HEADERS 1 end GET / x-secret=1").event("head 1 end");
  EXPECT_TRUE(t.last_event.never_indexed.has(1));  // behind Host
  t.speaker.index = HpackEncoder::Index::no;
  t.in("HEADERS 3 end GET / x-open=1").event("head 3 end");
  EXPECT_FALSE(t.last_event.never_indexed.has(1));
  t.quiet().audit();
}

// --- 8.5, RFC 8441

TEST(H2, Rfc9113_8_5_PlainConnectIsNotServed) {
  Talk t;
  t.begun().in("HEADERS 1 :method=CONNECT :authority=a.example:80").event("head 1");
  EXPECT_TRUE(t.text.starts_with("CONNECT a.example:80 HTTP/1.1\r\n")) << t.text;
  auto head = std::make_unique<RequestHead>();
  EXPECT_EQ(read_request(Talk::bytes_of(t.text), {}, *head).reject, Reject::connect_refused);  // by the reader behind
  t.quiet().audit();
}
TEST(H2, Rfc8441_4_ExtendedConnectIsAnUpgrade) {
  Talk t;
  t.begun().in("HEADERS 1 :method=CONNECT :protocol=websocket :scheme=http :path=/chat :authority=a.example").event("head 1");
  EXPECT_TRUE(t.text.starts_with("GET /chat HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n")) << t.text;
  t.in("DATA 1 ping").event("data 1");
  EXPECT_EQ(t.take(1), "ping");
  auto head = std::make_unique<ResponseHead>();
  const std::string answer = "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
  EXPECT_EQ(read_response(Talk::bytes_of(answer), Method::get, {}, *head).status, ReadStatus::complete);
  EXPECT_TRUE(t.engine().send_response(t.stream(1), *head, {.via = "t", .upgrade = true}, {}, false));
  t.send(1, "pong").out("HEADERS 1 200").out("DATA 1 pong").in("DATA 1 end").event("data 1 end").send(1, "", true).out("DATA 1 end").quiet().audit();
}
TEST(H2, Rfc8441_4_ExtendedConnectThatWasNotAnnouncedIsMalformed) {
  Talk t(H2Role::server, {.extended_connect = false});
  t.begun().in("HEADERS 1 :method=CONNECT :protocol=websocket :scheme=http :path=/chat :authority=a.example").out("RST_STREAM 1 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc8441_5_ClientAsksForAnUpgradeByExtendedConnect) {
  Talk t(H2Role::client);
  t.begun("SETTINGS enable_connect_protocol=1");
  EXPECT_EQ(t.request("GET /chat", false, "connection: upgrade\r\nupgrade: websocket\r\n", true), 1u);
  t.out("HEADERS 1 :method=CONNECT :protocol=websocket :path=/chat").in("HEADERS 1 200").event("head 1");
  EXPECT_TRUE(t.text.starts_with("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n")) << t.text;
  t.send(1, "ping").out("DATA 1 ping").in("DATA 1 pong").event("data 1");
  EXPECT_EQ(t.take(1), "pong");
  t.quiet().audit();
}
TEST(H2, Rfc8441_5_ExtendedConnectThatIsRefusedHasAnOrdinaryAnswer) {
  Talk t(H2Role::client);
  t.begun("SETTINGS enable_connect_protocol=1");
  t.request("GET /chat", false, "connection: upgrade\r\nupgrade: websocket\r\n", true);
  t.drop_sent().in("HEADERS 1 403 content-length=2", "DATA 1 end no").event("head 1");
  EXPECT_TRUE(t.text.starts_with("HTTP/1.1 403 ")) << t.text;
  t.event("data 1 end").quiet().audit();
}

// --- RFC 7540 3.2: h2c

TEST(H2, Rfc7540_3_2_UpgradedConnectionBeginsWithStreamOne) {
  Talk t;
  const std::string settings = big_endian(4, 2) + big_endian(10, 4);  // INITIAL_WINDOW_SIZE
  const H2Engine::Upgraded up = t.engine().open_upgraded(Talk::bytes_of(settings), {}, 99, t.now);
  ASSERT_NE(up.conn, kNone32);
  t.engine().close(t.conn);
  t.conn = up.conn;
  EXPECT_EQ(t.engine().user(up.stream), 99u);
  EXPECT_TRUE(t.engine().peer_ended(up.stream));
  EXPECT_EQ(t.engine().send_space(up.stream), 10u);
  t.drop_sent().respond(1, 200, false).send(1, "hello", true).out("HEADERS 1 200").out("DATA 1 end hello");
  t.in("preface", "SETTINGS", "HEADERS 3 end GET /").out("SETTINGS ack").event("head 3 end").release(1).quiet();
  t.in("DATA 1 x").dies("STREAM_CLOSED");
}
TEST(H2, Rfc7540_3_2_1_WrongUpgradeSettingsOpenNothing) {
  Talk t;
  for (const std::string& settings : {std::string("abc"), big_endian(4, 2) + big_endian(0x8000'0000, 4), big_endian(2, 2) + big_endian(7, 4)}) {
    const H2Engine::Upgraded up = t.engine().open_upgraded(Talk::bytes_of(settings), {}, 99, t.now);
    EXPECT_EQ(up.conn, kNone32);
    EXPECT_EQ(up.stream, kNone32);
  }
  EXPECT_EQ(t.engine().connections_in_use(), 1u);
  t.drop_sent().audit();
}
TEST(H2, Rfc7540_3_2_ClientMayResetStreamOne) {
  Talk t;
  const H2Engine::Upgraded up = t.engine().open_upgraded({}, {}, 99, t.now);
  t.engine().close(t.conn);
  t.conn = up.conn;
  t.drop_sent().in("preface", "SETTINGS", "RST_STREAM 1 CANCEL").out("SETTINGS ack").event("reset 1 by_peer CANCEL").quiet().audit();
}

// --- places

TEST(H2, ConnectionsAreAsManyAsTheEngineWasMadeFor) {
  Talk t;
  std::vector<u32> conns;
  for (int n = 0; n < 3; ++n) conns.push_back(t.engine().open(H2Role::client, {}, t.now));
  for (const u32 c : conns) EXPECT_NE(c, kNone32);
  EXPECT_EQ(t.engine().open(H2Role::server, {}, t.now), kNone32);
  EXPECT_EQ(t.engine().open_upgraded({}, {}, 0, t.now).conn, kNone32);
  const u32 s = t.engine().open_stream(conns[0], 5);
  EXPECT_EQ(t.engine().conn_of(s), conns[0]);
  t.engine().set_user(s, 6);
  EXPECT_EQ(t.engine().user(s), 6u);
  t.engine().close(conns[0]);
  EXPECT_EQ(t.engine().streams_in_use(), 0u);
  EXPECT_NE(t.engine().open(H2Role::server, {}, t.now), kNone32);
  t.drop_sent().audit();
}

}  // namespace
}  // namespace ringway::http::test
