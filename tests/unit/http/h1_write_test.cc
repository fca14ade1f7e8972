// Writing heads: what a forwarded request and response look like, byte for byte, and the gateway's own answers.

#include "tests/unit/http/support.h"

namespace ringway::http::test {
namespace {

// Adds the fields that every forwarded request ends with.
std::string tail(const std::string& forwarded_for = "10.1.2.3", const std::string& via = "1.1 gw") {
  return "X-Forwarded-For: " + forwarded_for + "\r\nX-Forwarded-Proto: http\r\nX-Request-Id: id\r\nVia: " + via +
         "\r\n\r\n";
}

RequestEdit usual_edit() {
  RequestEdit edit;
  edit.client_ip = wire::Ip4::of(10, 1, 2, 3);
  edit.via = "gw";
  edit.request_id = "id";
  return edit;
}

std::string sent(const std::string& head, RequestEdit edit = usual_edit()) {
  const std::string whole = head + "\r\n";
  RequestHead parsed;
  EXPECT_EQ(read_request(bytes_of(whole), {}, parsed).status, ReadStatus::complete) << shown(whole);
  std::string out(whole.size() + 1024, '\0');
  return out.substr(0, write_request(parsed, edit, {reinterpret_cast<u8*>(out.data()), out.size()}));
}

std::string sent_response(const std::string& head, ResponseEdit edit, Method method = Method::get) {
  edit.via = "gw";
  const std::string whole = head + "\r\n";
  ResponseHead parsed;
  EXPECT_EQ(read_response(bytes_of(whole), method, {}, parsed).status, ReadStatus::complete) << shown(whole);
  std::string out(whole.size() + 1024, '\0');
  return out.substr(0, write_response(parsed, edit, {reinterpret_cast<u8*>(out.data()), out.size()}));
}

TEST(WriteRequest, AnIpv6ClientIsForwardedForByItsAddressAlone) {
  RequestEdit edit = usual_edit();
  edit.client_ip = wire::Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x1234);
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n", edit),
            "GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n" + tail("2001:db8::1234"));
  edit.client_ip = wire::Ip6::of(0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff);
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1\r\n", edit),
            "GET / HTTP/1.1\r\nHost: x\r\n" + tail("10.0.0.1, ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}

TEST(WriteRequest, HostComesFirstAndTheRestKeepsItsOrderAndBytes) {
  EXPECT_EQ(sent("GET /a?b HTTP/1.1\r\nA: 1\r\nB:\t2 \r\nHost: x:1\r\nC:3\r\n"),
            "GET /a?b HTTP/1.1\r\nHost: x:1\r\nA: 1\r\nB:\t2 \r\nC:3\r\n" + tail());
}

TEST(WriteRequest, Rfc9110_7_6_1_HopByHopAndNamedFieldsAreLeftOut) {
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, A\r\nA: 1\r\nKeep-Alive: 5\r\nB: 2\r\n"
                 "Proxy-Connection: x\r\nTE: gzip\r\nUpgrade: websocket\r\nHTTP2-Settings: x\r\nC: 3\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nB: 2\r\nC: 3\r\n" + tail());
}

TEST(WriteRequest, Rfc9110_10_1_4_TeTrailersSurvives) {
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nTE: gzip, Trailers\r\nConnection: TE\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: TE\r\nTE: trailers\r\n" + tail());
}

TEST(WriteRequest, FramingIsWrittenAnew) {
  EXPECT_EQ(sent("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:  007\r\n"),
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n" + tail());
  EXPECT_EQ(sent("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"),
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + tail());
  EXPECT_EQ(sent("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nTrailer: X\r\n"),
            "POST / HTTP/1.1\r\nHost: x\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n" + tail());
}

TEST(WriteRequest, FramingSurvivesBeingNamedByConnection) {
  EXPECT_EQ(sent("POST / HTTP/1.1\r\nHost: x\r\nConnection: host, content-length\r\nContent-Length: 3\r\n"),
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + tail());
}

TEST(WriteRequest, Rfc9112_3_2_2_AbsoluteFormBecomesOriginForm) {
  EXPECT_EQ(sent("GET http://b:8/p?q HTTP/1.1\r\nHost: x\r\n"), "GET /p?q HTTP/1.1\r\nHost: b:8\r\n" + tail());
  EXPECT_EQ(sent("GET http://b?q HTTP/1.1\r\nHost: x\r\n"), "GET /?q HTTP/1.1\r\nHost: b\r\n" + tail());
  EXPECT_EQ(sent("GET http://b HTTP/1.1\r\nHost: x\r\n"), "GET / HTTP/1.1\r\nHost: b\r\n" + tail());
  EXPECT_EQ(sent("OPTIONS http://b HTTP/1.1\r\nHost: x\r\n"), "OPTIONS * HTTP/1.1\r\nHost: b\r\n" + tail());
  EXPECT_EQ(sent("OPTIONS * HTTP/1.1\r\nHost: x\r\n"), "OPTIONS * HTTP/1.1\r\nHost: x\r\n" + tail());
}

TEST(WriteRequest, FragmentsAreNotForwarded) {
  EXPECT_EQ(sent("GET /a?b#c HTTP/1.1\r\nHost: x\r\n"), "GET /a?b HTTP/1.1\r\nHost: x\r\n" + tail());
  EXPECT_EQ(sent("GET /a#c?d HTTP/1.1\r\nHost: x\r\n"), "GET /a HTTP/1.1\r\nHost: x\r\n" + tail());
  EXPECT_EQ(sent("GET http://b#c HTTP/1.1\r\nHost: x\r\n"), "GET / HTTP/1.1\r\nHost: b\r\n" + tail());
}

TEST(WriteRequest, Http10BecomesHttp11WithItsViaAndWithoutExpect) {
  EXPECT_EQ(sent("GET / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\n" + tail("10.1.2.3", "1.0 gw"));
  RequestEdit edit = usual_edit();
  edit.fallback_host = "alias:80";
  EXPECT_EQ(sent("GET / HTTP/1.0\r\n", edit), "GET / HTTP/1.1\r\nHost: alias:80\r\n" + tail("10.1.2.3", "1.0 gw"));
}

TEST(WriteRequest, ViaAndForwardedForAreAppendedOverAllLines) {
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nVia: 1.0 a\r\nX-Forwarded-For: 1.1.1.1\r\nVia: 1.1 b\r\n"
                 "X-Forwarded-For: 2.2.2.2\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\n" + tail("1.1.1.1, 2.2.2.2, 10.1.2.3", "1.0 a, 1.1 b, 1.1 gw"));
}

TEST(WriteRequest, Rfc9110_7_6_3_WhatCameByHttp2SaysSoInVia) {
  RequestEdit edit = usual_edit();
  edit.from_h2 = true;
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nVia: 1.1 a\r\n", edit),
            "GET / HTTP/1.1\r\nHost: x\r\n" + tail("10.1.2.3", "1.1 a, 2.0 gw"));
  EXPECT_EQ(sent_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", {.from_h2 = true}),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nVia: 2.0 gw\r\n\r\n");
}

TEST(WriteRequest, ProtoAndRequestIdOfTheClientAreKept) {
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\n"),
            "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\n"
            "X-Forwarded-For: 10.1.2.3\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteRequest, ExpectedTimeoutIsTheGatewaysOwn) {
  RequestEdit edit = usual_edit();
  edit.expected_timeout_ms = 15000;
  const std::string out = sent("GET / HTTP/1.1\r\nHost: x\r\nX-Envoy-Expected-Rq-Timeout-Ms: 1\r\n", edit);
  EXPECT_NE(out.find("X-Envoy-Expected-Rq-Timeout-Ms: 15000\r\n"), std::string::npos);
  EXPECT_EQ(out.find("Ms: 1\r\n"), std::string::npos);
}

TEST(WriteRequest, Rfc9110_7_8_UpgradeIsKeptWhenAsked) {
  RequestEdit edit = usual_edit();
  edit.upgrade = true;
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", edit),
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + tail());
}

TEST(WriteRequest, Rfc6455_4_1_TheGatewaysKeyReplacesAClients) {
  RequestEdit edit = usual_edit();
  edit.upgrade = true;
  edit.websocket_key = "ours";
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: theirs\r\nA: 1\r\n", edit),
            "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ours\r\n" + tail());
}

TEST(WriteRequest, TooSmallABufferGivesZeroAtEverySize) {
  const std::string whole = "POST /a HTTP/1.1\r\nHost: x\r\nA: 1\r\nContent-Length: 3\r\n\r\n";
  RequestHead head;
  ASSERT_EQ(read_request(bytes_of(whole), {}, head).status, ReadStatus::complete);
  std::vector<u8> out(1024);
  const u32 n = write_request(head, usual_edit(), out);
  ASSERT_GT(n, 0u);
  for (u32 size = 0; size < n; ++size) {
    std::vector<u8> small(size);
    EXPECT_EQ(write_request(head, usual_edit(), small), 0u);
  }
  std::vector<u8> exact(n);
  EXPECT_EQ(write_request(head, usual_edit(), exact), n);
}

TEST(WriteResponse, HopByHopFieldsGoAndViaIsAdded) {
  EXPECT_EQ(sent_response("HTTP/1.1 200 Fine\r\nServer: s\r\nConnection: X-A\r\nX-A: 1\r\nKeep-Alive: 5\r\n"
                          "Content-Length: 3\r\nETag: \"x\"\r\n", {}),
            "HTTP/1.1 200 Fine\r\nServer: s\r\nETag: \"x\"\r\nContent-Length: 3\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteResponse, ChunkedIsKeptForHttp11AndUnwrappedForHttp10) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n";
  EXPECT_EQ(sent_response(head, {}),
            "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\nVia: 1.1 gw\r\n\r\n");
  ResponseEdit edit;
  edit.chunked_to_close = true;
  edit.keep_alive_1_0 = true;
  EXPECT_EQ(sent_response(head, edit), "HTTP/1.1 200 OK\r\nConnection: close\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteResponse, CloseAndKeepAliveAreSaid) {
  const std::string head = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n";
  ResponseEdit edit;
  edit.close = true;
  EXPECT_EQ(sent_response(head, edit),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nVia: 1.0 gw\r\n\r\n");
  edit.close = false;
  edit.keep_alive_1_0 = true;
  EXPECT_EQ(sent_response(head, edit),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\nVia: 1.0 gw\r\n\r\n");
  EXPECT_EQ(sent_response("HTTP/1.1 200 OK\r\n", {}),
            "HTTP/1.1 200 OK\r\nConnection: close\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteResponse, Rfc9110_8_6_LengthOfBodylessAnswersIsKeptWhereItMeansSomething) {
  const std::string length = "Content-Length: 9\r\n";
  EXPECT_EQ(sent_response("HTTP/1.1 200 OK\r\n" + length, {}, Method::head),
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nVia: 1.1 gw\r\n\r\n");
  EXPECT_EQ(sent_response("HTTP/1.1 304 Not Modified\r\n" + length, {}),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nVia: 1.1 gw\r\n\r\n");
  EXPECT_EQ(sent_response("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n", {}),
            "HTTP/1.1 204 No Content\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteResponse, InterimAnswersSayNothingAboutTheConnection) {
  ResponseEdit edit;
  edit.close = true;
  edit.upstream_service_ms = 3;
  EXPECT_EQ(sent_response("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n", edit),
            "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteResponse, SwitchingProtocolsKeepsUpgrade) {
  ResponseEdit edit;
  edit.upgrade = true;
  EXPECT_EQ(sent_response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", edit),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteResponse, Rfc6455_4_2_2_TheGatewaysProofReplacesAnEndpoints) {
  ResponseEdit edit;
  edit.upgrade = true;
  edit.websocket_accept = "ours";
  EXPECT_EQ(sent_response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: theirs\r\n"
                          "Sec-WebSocket-Protocol: p\r\n", edit),
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: p\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Accept: ours\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteResponse, UpstreamServiceTimeIsTheGatewaysOwn) {
  ResponseEdit edit;
  edit.upstream_service_ms = 12;
  EXPECT_EQ(sent_response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Envoy-Upstream-Service-Time: 7\r\n", edit),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Envoy-Upstream-Service-Time: 12\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteResponse, CookieStandsBesideThoseOfTheResponse) {
  ResponseEdit edit;
  const SetCookie cookie{"sid", "0123", "; Path=/; HttpOnly"};
  edit.cookie = &cookie;
  EXPECT_EQ(sent_response("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n", edit),
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\nSet-Cookie: sid=0123; Path=/; HttpOnly\r\nVia: 1.1 gw\r\n\r\n");
}

TEST(WriteResponse, LongCookieIsWrittenWholeOrNotAtAll) {
  const std::string name(255, 'n'), attributes = "; Path=/" + std::string(254, 'p') + "; Max-Age=31536000; HttpOnly; SameSite=Lax";
  ResponseEdit edit;
  const SetCookie cookie{name, "0123456789abcdef", attributes};
  edit.cookie = &cookie;
  const std::string whole = sent_response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", edit);
  EXPECT_NE(whole.find("\r\nSet-Cookie: " + name + "=0123456789abcdef" + attributes + "\r\n"), std::string::npos);
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  ResponseHead parsed;
  ASSERT_EQ(read_response(bytes_of(head), Method::get, {}, parsed).status, ReadStatus::complete);
  edit.via = "gw";
  for (std::size_t room = whole.size() - 300; room < whole.size(); ++room) {
    std::vector<u8> out(room);
    EXPECT_EQ(write_response(parsed, edit, out), 0u) << room;
  }
  std::vector<u8> out(whole.size());
  EXPECT_EQ(write_response(parsed, edit, out), whole.size());
}

std::string local(const LocalAnswer& answer) {
  std::string out(1024, '\0');
  return out.substr(0, write_local_answer(answer, {reinterpret_cast<u8*>(out.data()), out.size()}));
}

TEST(WriteLocalAnswer, NamesTheReasonInTextAndFlag) {
  LocalAnswer a;
  a.status = 431;
  a.text = text_of(Reject::head_too_large).sentence;
  a.flag = "limit";
  a.flag_value = "head_bytes";
  EXPECT_EQ(local(a),
            "HTTP/1.1 431 Request Header Fields Too Large\r\nServer: ringway\r\nContent-Type: text/plain\r\n"
            "Content-Length: 18\r\nx-ringway-limit: head_bytes\r\nConnection: close\r\n\r\nhead is too large\n");
  a.head_only = true;
  a.close = false;
  a.flag = {};
  a.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_EQ(local(a),
            "HTTP/1.1 431 Request Header Fields Too Large\r\nServer: ringway\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Content-Type: text/plain\r\nContent-Length: 18\r\n\r\n");
}

TEST(WriteLocalAnswer, ContinueIsAStatusLineOnly) {
  LocalAnswer a;
  a.status = 100;
  EXPECT_EQ(local(a), "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST(WriteLocalAnswer, Rfc9110_15_5_22_UpgradeRequiredNamesTheProtocol) {
  LocalAnswer a;
  a.status = 426;
  EXPECT_NE(local(a).find("Upgrade: HTTP/1.1\r\nConnection: close, upgrade\r\n"), std::string::npos);
}

TEST(WriteLocalAnswer, TooManyRequestsSayWhenToComeBack) {
  LocalAnswer a;
  a.status = 429;
  a.text = "too many requests";
  EXPECT_EQ(local(a).find("Retry-After"), std::string::npos);
  a.retry_after_s = 17;
  EXPECT_NE(local(a).find("\r\nRetry-After: 17\r\nx-envoy-ratelimited: true\r\n"), std::string::npos);
}

TEST(WriteLocalAnswer, AGrpcAnswerIs200WithItsStatusAndMessageInTheHead) {
  LocalAnswer a;
  a.status = 503;
  a.text = "no endpoint is \"up\": 100% down\n";
  a.grpc_status = 14;
  a.close = false;
  EXPECT_EQ(local(a),
            "HTTP/1.1 200 OK\r\nServer: ringway\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n"
            "grpc-status: 14\r\ngrpc-message: no endpoint is \"up\": 100%25 down%0A\r\n\r\n");
}

TEST(WriteLocalAnswer, EveryRejectMakesAnAnswerThatReadsBack) {
  ResponseHead head;
  for (u32 i = 1; i < static_cast<u32>(Reject::count_); ++i) {
    const RejectText& why = kRejectTexts[i];
    EXPECT_NE(reason_phrase(why.status), "Unknown") << why.name;
    LocalAnswer a;
    a.status = why.status;
    a.text = why.sentence;
    const std::string out = local(a);
    ASSERT_EQ(read_response(bytes_of(out), Method::get, {}, head).status, ReadStatus::complete) << out;
    EXPECT_EQ(head.bytes + head.content_length, out.size());
  }
}

TEST(WriteUuid, Rfc9562_VersionAndVariantAreSetAndTheRestIsRandom) {
  char out[36];
  write_uuid(0x0123'4567'89ab'cdef, 0xfedc'ba98'7654'3210, out);
  EXPECT_EQ(std::string_view(out, 36), "01234567-89ab-4def-bedc-ba9876543210");
  write_uuid(0, 0, out);
  EXPECT_EQ(std::string_view(out, 36), "00000000-0000-4000-8000-000000000000");
}

}  // namespace
}  // namespace ringway::http::test
