// HTTP/2 fields as HTTP/1.1 text: what a request, a response and trailers become, byte for byte, and what is too large.
// What is malformed stands in h2_smuggle_test.cc.

#include "tests/unit/http/h2_support.h"

namespace ringway::http::test {
namespace {

std::string request_text(const FieldList& fields, bool end = true) {
  const Translated head = translate(Kind::request, fields, end);
  EXPECT_EQ(head.status, H2HeadStatus::complete);
  return head.text;
}

std::string response_text(const FieldList& fields, bool end = true, Method request_method = Method::get) {
  const Translated head = translate(Kind::response, fields, end, request_method);
  EXPECT_EQ(head.status, H2HeadStatus::complete);
  return head.text;
}

TEST(H2RequestText, Rfc9113_8_3_1_PseudoHeadersBecomeRequestLineAndHost) {
  EXPECT_EQ(request_text({{":method", "GET"}, {":scheme", "http"}, {":path", "/p?q=1"}, {":authority", "b:8"}, {"a", "1"}}),
            "GET /p?q=1 HTTP/1.1\r\nhost: b:8\r\na: 1\r\n\r\n");
  EXPECT_EQ(request_text({{":authority", "b:8"}, {":path", "/p"}, {":scheme", "https"}, {":method", "DELETE"}}),
            "DELETE /p HTTP/1.1\r\nhost: b:8\r\n\r\n");
  EXPECT_EQ(request_text({{":method", "OPTIONS"}, {":scheme", "http"}, {":path", "*"}, {":authority", "b"}}),
            "OPTIONS * HTTP/1.1\r\nhost: b\r\n\r\n");
}

TEST(H2RequestText, Rfc9113_8_3_1_HostAloneStandsForAuthority) {
  EXPECT_EQ(request_text({{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"a", "1"}, {"host", "h"}}),
            "GET / HTTP/1.1\r\na: 1\r\nhost: h\r\n\r\n");
}

TEST(H2RequestText, Rfc9113_8_3_1_HostThatSaysWhatAuthoritySaysIsWrittenOnce) {
  EXPECT_EQ(request_text(get_fields({{"host", "A"}, {"b", "2"}})), "GET / HTTP/1.1\r\nhost: a\r\nb: 2\r\n\r\n");
}

TEST(H2RequestText, WithoutAuthorityAndHostTheReaderRefuses) {
  RequestHead head;
  const std::string text = request_text({{":method", "GET"}, {":scheme", "http"}, {":path", "/"}});
  EXPECT_EQ(read_request(bytes_of(text), {}, head).reject, Reject::bad_host);
}

TEST(H2RequestText, Rfc9113_8_5_ConnectIsRefusedByTheReader) {
  RequestHead head;
  const std::string text = request_text({{":method", "CONNECT"}, {":authority", "b:443"}}, false);
  EXPECT_EQ(text.substr(0, 14), "CONNECT b:443 ");
  EXPECT_EQ(read_request(bytes_of(text), {}, head).reject, Reject::connect_refused);
}

TEST(H2RequestText, Rfc9113_8_2_3_CookieCrumbsAreJoinedInTheirOrder) {
  EXPECT_EQ(request_text(get_fields({{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2; c=3"}, {"cookie", "d"}, {"z", ""}})),
            "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\nz: \r\ncookie: a=1; b=2; c=3; d\r\n\r\n");
}

TEST(H2RequestText, TheLargestCookieIsJoinedWhole) {
  H2HeadLimits limits;
  limits.head_bytes = contract::kHeadBytesMax;
  FieldList fields = get_fields();
  std::string joined;
  u32 list_bytes = 42 + 43 + 38 + 43;
  for (u32 i = 0; list_bytes + 38 + 600 <= limits.head_bytes; ++i) {
    const std::string crumb(600, static_cast<char>('a' + i % 26));
    fields.push_back({"cookie", crumb});
    joined += (joined.empty() ? "" : "; ") + crumb;
    list_bytes += 38 + 600;
  }
  const Translated head = translate(Kind::request, fields, true, Method::get, limits);
  ASSERT_TRUE(head.complete());
  EXPECT_EQ(head.text, "GET / HTTP/1.1\r\nhost: a\r\ncookie: " + joined + "\r\n\r\n");
}

TEST(H2RequestText, FramingTellsWhatTheEndOfTheStreamTells) {
  const std::string start = " / HTTP/1.1\r\nhost: a\r\n";
  EXPECT_EQ(request_text(post_fields({{"content-length", "007"}, {"b", "2"}}), false),
            "POST" + start + "b: 2\r\ncontent-length: 7\r\n\r\n");
  EXPECT_EQ(request_text(post_fields(), false), "POST" + start + "transfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(request_text(get_fields(), false), "GET" + start + "transfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(request_text(post_fields(), true), "POST" + start + "content-length: 0\r\n\r\n");
  EXPECT_EQ(request_text(get_fields({{"content-length", "0"}}), true), "GET" + start + "content-length: 0\r\n\r\n");
  for (const char* method : {"PUT", "PATCH", "DELETE", "HEAD", "other"}) {
    FieldList fields = get_fields();
    fields[0].value = method;
    const bool expects_body = fields[0].value.front() == 'P';
    EXPECT_EQ(request_text(fields), method + start + (expects_body ? "content-length: 0\r\n\r\n" : "\r\n"));
  }
}

TEST(H2RequestText, Rfc9113_8_1_1_DataIsHeldAgainstTheAnnouncedLength) {
  EXPECT_EQ(translate(Kind::request, post_fields({{"content-length", "7"}}), false).content_length, 7u);
  EXPECT_EQ(translate(Kind::request, post_fields({{"content-length", "0"}}), true).content_length, 0u);
  EXPECT_EQ(translate(Kind::request, post_fields(), false).content_length, ~u64{0});
}

FieldList websocket_fields(FieldList more = {}) {
  FieldList fields{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", "/chat"}, {":authority", "a"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

TEST(H2RequestText, Rfc8441_4_ExtendedConnectBecomesAnUpgrade) {
  const Translated t = translate(Kind::request, websocket_fields({{"sec-websocket-version", "13"}, {"cookie", "c"}}), false);
  ASSERT_TRUE(t.complete());
  EXPECT_TRUE(t.extended_connect);
  EXPECT_EQ(t.text,
            "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            "cookie: c\r\n\r\n");
  EXPECT_EQ(t.content_length, ~u64{0});
  RequestHead head;
  ASSERT_EQ(read_request(bytes_of(t.text), {}, head).status, ReadStatus::complete);
  EXPECT_TRUE(head.upgrade);
  EXPECT_EQ(head.framing, Framing::none);
  EXPECT_FALSE(translate(Kind::request, get_fields(), true).extended_connect);
}

TEST(H2RequestText, Rfc8441_4_AnyProtocolMayBeAskedFor) {
  FieldList other = websocket_fields();
  other[1].value = "connect-udp";
  EXPECT_EQ(request_text(other, false),
            "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: connect-udp\r\n\r\n");
}

TEST(H2RequestText, Rfc7541_6_2_3_NeverIndexedLinesAreNumberedAsTheReaderNumbersThem) {
  FieldList fields{{":method", "POST"}, {":authority", "a", true}, {":scheme", "http", true}, {":path", "/"},
                   {"x", "1"}, {"cookie", "c"}, {"y", "2", true}, {"content-length", "3", true}, {"z", "4"}, {"cookie", "d", true}};
  const Translated t = translate(Kind::request, fields, false);
  ASSERT_TRUE(t.complete());
  RequestHead head;
  ASSERT_EQ(read_request(bytes_of(t.text), {}, head).status, ReadStatus::complete);
  const std::vector<std::pair<std::string, bool>> expected{{"host", true}, {"x", false},     {"y", true},
                                                           {"z", false},   {"cookie", true}, {"content-length", true}};
  ASSERT_EQ(head.field_count, expected.size());
  for (u32 i = 0; i < head.field_count; ++i) {
    EXPECT_EQ(head.name(i), expected[i].first);
    EXPECT_EQ(t.never.has(i), expected[i].second) << head.name(i);
  }
  EXPECT_FALSE(t.never.first_line);
  fields[3].never_indexed = true;
  EXPECT_TRUE(translate(Kind::request, fields, false).never.first_line);
}

TEST(H2RequestText, Rfc7541_6_2_3_HostIsNeverIndexedWhenEitherOfItsSourcesIs) {
  const Translated t = translate(Kind::request, get_fields({{"b", "1"}, {"host", "a", true}}), true);
  EXPECT_TRUE(t.never.has(0));
  EXPECT_FALSE(t.never.has(1));
  FieldList upgrade = websocket_fields();
  upgrade[1].never_indexed = true;
  EXPECT_TRUE(translate(Kind::request, upgrade, false).never.has(2));
}

TEST(H2ResponseText, Rfc9113_8_3_2_StatusBecomesTheStatusLine) {
  EXPECT_EQ(response_text(answer_fields({{"content-length", "2"}, {"a", "1"}}), false),
            "HTTP/1.1 200 OK\r\na: 1\r\ncontent-length: 2\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields({}, "404")), "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields({}, "203")),
            "HTTP/1.1 203 Non-Authoritative Information\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields({}, "299")), "HTTP/1.1 299 Unknown\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(translate(Kind::response, answer_fields({}, "503"), true).code, 503);
}

TEST(H2ResponseText, Rfc9110_6_4_1_FramingFollowsStatusAndMethod) {
  const FieldList length{{"content-length", "9"}};
  EXPECT_EQ(response_text(answer_fields(), false), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields({}, "205")), "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields(), true, Method::head), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields(length), true, Method::head), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields(length), false, Method::head), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields(length, "304")), "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields({}, "304"), false), "HTTP/1.1 304 Not Modified\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields({}, "204")), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(response_text(answer_fields({{"link", "<x>"}}, "103"), false), "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n");
}

TEST(H2ResponseText, Rfc9113_8_1_1_NoDataMayFollowWhatHasNoBody) {
  const FieldList length{{"content-length", "9"}};
  const auto held_against = [](const FieldList& fields, Method method) {
    return translate(Kind::response, fields, false, method).content_length;
  };
  EXPECT_EQ(held_against(answer_fields(length), Method::get), 9u);
  EXPECT_EQ(held_against(answer_fields(), Method::get), ~u64{0});
  EXPECT_EQ(held_against(answer_fields(length), Method::head), 0u);
  EXPECT_EQ(held_against(answer_fields(length, "304"), Method::get), 0u);
  EXPECT_EQ(held_against(answer_fields({}, "204"), Method::get), 0u);
  EXPECT_EQ(held_against(answer_fields({}, "103"), Method::get), ~u64{0});
}

TEST(H2ResponseText, Rfc8441_5_SuccessOfAnExtendedConnectIsSwitchingProtocols) {
  const std::string text =
      response_text(answer_fields({{"sec-websocket-protocol", "p"}, {"content-length", "3"}}), false, Method::connect);
  EXPECT_EQ(text,
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: p\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  ResponseHead head;
  ASSERT_EQ(read_response(bytes_of(text), Method::get, {}, head).status, ReadStatus::complete);
  EXPECT_TRUE(head.upgrade);
  EXPECT_EQ(response_text(answer_fields({}, "403"), true, Method::connect),
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
}

TEST(H2TrailerText, LinesWithoutAnEmptyOne) {
  const Translated t = translate(Kind::trailers, {{"grpc-status", "0"}, {"grpc-message", "", true}}, true);
  ASSERT_TRUE(t.complete());
  EXPECT_EQ(t.text, "grpc-status: 0\r\ngrpc-message: \r\n");
  EXPECT_TRUE(t.never.has(1));
  EXPECT_EQ(translate(Kind::trailers, {}, true).text, "");
}

TEST(H2HeadLimit, Rfc9113_6_5_2_TheListIsMeasuredWith32BytesForEachField) {
  const FieldList fields = get_fields({{"ab", "cde"}});
  const u32 list_bytes = 42 + 43 + 38 + 43 + 37;
  H2HeadLimits limits;
  limits.head_bytes = list_bytes;
  EXPECT_EQ(translate(Kind::request, fields, true, Method::get, limits).status, H2HeadStatus::complete);
  limits.head_bytes = list_bytes - 1;
  EXPECT_EQ(translate(Kind::request, fields, true, Method::get, limits).status, H2HeadStatus::too_large);
}

TEST(H2HeadLimit, LinesAreCountedAsTheReaderCountsThem) {
  for (const bool end : {false, true}) {
    const u32 beside = end ? 1 : 2;  // host, and transfer-encoding
    H2HeadLimits limits;
    limits.fields = 8;
    FieldList fields = get_fields({{"cookie", "a"}, {"cookie", "b"}, {"cookie", "c"}});
    for (u32 lines = beside + 1; lines < limits.fields; ++lines) fields.push_back({"x", "1"});
    const Translated t = translate(Kind::request, fields, end, Method::get, limits);
    EXPECT_EQ(t.status, H2HeadStatus::complete);
    RequestHead head;
    EXPECT_EQ(read_request(bytes_of(t.text), {.fields = limits.fields}, head).status, ReadStatus::complete);
    fields.push_back({"x", "1"});
    EXPECT_EQ(translate(Kind::request, fields, end, Method::get, limits).status, H2HeadStatus::too_large);
  }
}

TEST(H2HeadLimit, TheTextIsWithinTheLimitToo) {
  H2HeadLimits limits;
  limits.head_bytes = contract::kHeadBytesMax;
  for (u32 spare = 0; spare < 64; ++spare) {
    const std::string value(contract::kHeadBytesMax - 42 - 33 - spare, 'v');
    const Translated t = translate(Kind::response, answer_fields({{"x", value}}, "203"), false, Method::get, limits);
    if (t.complete()) {
      ResponseHead head;
      EXPECT_LE(t.text.size(), limits.head_bytes);
      EXPECT_EQ(read_response(bytes_of(t.text), Method::get, {contract::kHeadBytesMax}, head).status, ReadStatus::complete);
    } else {
      EXPECT_EQ(t.status, H2HeadStatus::too_large);
      EXPECT_LT(spare, 40u);
    }
  }
}

// Pseudo-headers in the order in which :authority has to wait, as large as they can be.
TEST(H2HeadLimit, TheLongestPathAndAuthorityFit) {
  H2HeadLimits limits;
  limits.head_bytes = contract::kHeadBytesMax;
  const u32 room = contract::kHeadBytesMax - 42 - 43 - 42 - 37;
  for (const u32 path_bytes : {1u, room / 2, room - 1}) {
    const std::string path = "/" + std::string(path_bytes - 1, 'p');
    const std::string authority(room - path_bytes, 'h');
    const Translated t = translate(Kind::request,
                                   {{":method", "GET"}, {":authority", authority}, {":scheme", "http"}, {":path", path}},
                                   true, Method::get, limits);
    ASSERT_TRUE(t.complete()) << path_bytes;
    EXPECT_EQ(t.text, "GET " + path + " HTTP/1.1\r\nhost: " + authority + "\r\n\r\n");
  }
}

TEST(H2HeadLimit, WhatComesBehindTheLimitIsStillShownAndDoesNothing) {
  H2HeadLimits limits;
  limits.head_bytes = 200;
  FieldList fields = get_fields({{"x", std::string(100, 'x')}});
  for (u32 i = 0; i < 4096; ++i) fields.push_back({"Upper", std::string(64, '\r')});
  EXPECT_EQ(translate(Kind::request, fields, true, Method::get, limits).status, H2HeadStatus::too_large);
}

}  // namespace
}  // namespace ringway::http::test
