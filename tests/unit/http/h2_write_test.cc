// Heads as header blocks: what a forwarded head becomes, that its edits are those of HTTP/1.1, field by field, and that
// a head survives the way there and back.

#include <algorithm>

#include "dataplane/http/bytes.h"
#include "tests/unit/http/h2_support.h"

namespace ringway::http::test {
namespace {

RequestEdit usual_edit() {
  RequestEdit edit;
  edit.client_ip = wire::Ip4::of(10, 1, 2, 3);
  edit.via = "gw";
  edit.request_id = "id";
  return edit;
}

RequestHead& parsed_request(const std::string& whole) {
  static RequestHead head;
  EXPECT_EQ(read_request(bytes_of(whole), {contract::kHeadBytesMax, contract::kFieldsMax, contract::kHeadBytesMax}, head).status,
            ReadStatus::complete)
      << shown(whole);
  return head;
}

ResponseHead& parsed_response(const std::string& whole, Method method) {
  static ResponseHead head;
  EXPECT_EQ(read_response(bytes_of(whole), method, {contract::kHeadBytesMax, contract::kFieldsMax}, head).status,
            ReadStatus::complete)
      << shown(whole);
  return head;
}

// What `write(encoder, out)` wrote, as a peer reads it.
template <class Write>
FieldList block_of(Write write) {
  HpackEncoder encoder;
  HpackDecoder decoder;
  std::vector<u8> out(kH2BlockBytesMax);
  const u32 n = write(encoder, MutBytes(out));
  EXPECT_GT(n, 0u);
  return decode(decoder, Bytes(out).first(n));
}

FieldList sent(const std::string& head, const RequestEdit& edit = usual_edit(), const NeverIndexed& never = {}) {
  const std::string whole = head + "\r\n";
  const RequestHead& parsed = parsed_request(whole);
  return block_of([&](HpackEncoder& e, MutBytes out) { return write_request(e, parsed, edit, never, out); });
}

FieldList sent_response(const std::string& head, ResponseEdit edit = {}, Method method = Method::get,
                        const NeverIndexed& never = {}) {
  edit.via = "gw";
  const std::string whole = head + "\r\n";
  const ResponseHead& parsed = parsed_response(whole, method);
  return block_of([&](HpackEncoder& e, MutBytes out) { return write_response(e, parsed, edit, never, out); });
}

// Adds the fields that every forwarded request ends with.
FieldList with_tail(FieldList fields, const std::string& forwarded_for = "10.1.2.3", const std::string& via = "1.1 gw") {
  for (const TestField& field : FieldList{{"x-forwarded-for", forwarded_for}, {"x-forwarded-proto", "http"},
                                          {"x-request-id", "id"}, {"via", via}}) {
    fields.push_back(field);
  }
  return fields;
}

FieldList head_of(const std::string& method, const std::string& path, const std::string& authority, FieldList more = {}) {
  FieldList fields{{":method", method}, {":scheme", "http"}, {":path", path}};
  if (!authority.empty()) fields.push_back({":authority", authority});
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

std::string value_of(const FieldList& fields, std::string_view name) {
  for (const TestField& field : fields) {
    if (field.name == name) return field.value;
  }
  return "(absent)";
}

bool has(const FieldList& fields, std::string_view name) { return value_of(fields, name) != "(absent)"; }

TEST(H2WriteRequest, Rfc9113_8_2_PseudoHeadersComeFirstAndNamesAreInLowerCase) {
  EXPECT_EQ(sent("GET /a?b HTTP/1.1\r\nAccept: 1\r\nHost: x:1\r\nX-Some-THING:\tTwo \r\n"),
            with_tail(head_of("GET", "/a?b", "x:1", {{"accept", "1"}, {"x-some-thing", "Two"}})));
}

TEST(H2WriteRequest, Rfc9113_8_2_2_HopByHopAndNamedFieldsAreLeftOut) {
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, A\r\nA: 1\r\nKeep-Alive: 5\r\nB: 2\r\n"
                 "Proxy-Connection: x\r\nTE: gzip\r\nUpgrade: websocket\r\nHTTP2-Settings: x\r\nC: 3\r\n"),
            with_tail(head_of("GET", "/", "x", {{"b", "2"}, {"c", "3"}})));
}

TEST(H2WriteRequest, Rfc9113_8_2_2_TeTrailersIsTheOneTeThatGoes) {
  EXPECT_EQ(sent("GET / HTTP/1.1\r\nHost: x\r\nTE: gzip, Trailers\r\nConnection: TE\r\n"),
            with_tail(head_of("GET", "/", "x", {{"te", "trailers"}})));
}

TEST(H2WriteRequest, Rfc9113_8_1_1_LengthIsKeptAndChunkedIsNot) {
  EXPECT_EQ(sent("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:  007\r\nTrailer: T\r\n"),
            with_tail(head_of("POST", "/", "x", {{"content-length", "7"}})));
  EXPECT_EQ(sent("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nTrailer: T\r\n"),
            with_tail(head_of("POST", "/", "x", {{"trailer", "T"}})));
}

TEST(H2WriteRequest, Rfc9112_3_2_2_AbsoluteFormBecomesPathAndAuthority) {
  EXPECT_EQ(sent("GET http://b:8/p?q#f HTTP/1.1\r\nHost: x\r\n"), with_tail(head_of("GET", "/p?q", "b:8")));
  EXPECT_EQ(sent("GET http://b?q HTTP/1.1\r\nHost: x\r\n"), with_tail(head_of("GET", "/?q", "b")));
  EXPECT_EQ(sent("GET http://b HTTP/1.1\r\nHost: x\r\n"), with_tail(head_of("GET", "/", "b")));
  EXPECT_EQ(sent("OPTIONS http://b HTTP/1.1\r\nHost: x\r\n"), with_tail(head_of("OPTIONS", "*", "b")));
  EXPECT_EQ(sent("OPTIONS * HTTP/1.1\r\nHost: x\r\n"), with_tail(head_of("OPTIONS", "*", "x")));
}

TEST(H2WriteRequest, Rfc9113_8_3_1_AnHttp10RequestWithoutHostHasNoAuthorityUnlessOneIsGiven) {
  EXPECT_EQ(sent("GET / HTTP/1.0\r\nExpect: 100-continue\r\n"), with_tail(head_of("GET", "/", ""), "10.1.2.3", "1.0 gw"));
  RequestEdit edit = usual_edit();
  edit.fallback_host = "alias:80";
  EXPECT_EQ(sent("GET / HTTP/1.0\r\n", edit), with_tail(head_of("GET", "/", "alias:80"), "10.1.2.3", "1.0 gw"));
}

TEST(H2WriteRequest, Rfc8441_4_UpgradeBecomesExtendedConnect) {
  RequestEdit edit = usual_edit();
  edit.upgrade = true;
  EXPECT_EQ(sent("GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"
                 "Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n", edit),
            with_tail({{":method", "CONNECT"}, {":scheme", "http"}, {":path", "/chat"}, {":authority", "x"},
                       {":protocol", "websocket"}, {"sec-websocket-version", "13"}}));
}

TEST(H2WriteRequest, Rfc8441_5_TheProtocolOfAWebSocketIsInLowerCase) {
  RequestEdit edit = usual_edit();
  edit.upgrade = true;
  const auto protocol = [&](const std::string& name) {
    return value_of(sent("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " + name + "\r\n", edit), ":protocol");
  };
  EXPECT_EQ(protocol("WebSocket"), "websocket");
  EXPECT_EQ(protocol("Other"), "Other");
}

TEST(H2WriteRequest, Rfc9110_7_6_3_ViaNamesTheProtocolThatTheMessageCameIn) {
  RequestEdit edit = usual_edit();
  edit.from_h2 = true;
  EXPECT_EQ(value_of(sent("GET / HTTP/1.1\r\nHost: x\r\nVia: 1.0 a\r\nVia: 1.1 b\r\n", edit), "via"), "1.0 a, 1.1 b, 2.0 gw");
  EXPECT_EQ(value_of(sent_response("HTTP/1.1 200 OK\r\n", {.from_h2 = true}), "via"), "2.0 gw");
}

NeverIndexed never_of(std::initializer_list<u32> lines, bool first_line = false) {
  NeverIndexed never;
  for (const u32 line : lines) never.set(line);
  never.first_line = first_line;
  return never;
}

std::vector<std::string> never_names(const FieldList& fields) {
  std::vector<std::string> names;
  for (const TestField& field : fields) {
    if (field.never_indexed) names.push_back(field.name);
  }
  return names;
}

using Names = std::vector<std::string>;

TEST(H2WriteRequest, Rfc7541_6_2_3_NeverIndexedLinesStaySo) {
  const std::string head = "POST /a HTTP/1.1\r\nA: 1\r\nHost: x\r\nContent-Length: 3\r\nVia: 1.1 a\r\nVia: 1.1 b\r\n"
                           "X-Forwarded-For: 1.1.1.1\r\n";
  EXPECT_EQ(never_names(sent(head)), Names{});
  EXPECT_EQ(never_names(sent(head, usual_edit(), never_of({0}))), Names{"a"});
  EXPECT_EQ(never_names(sent(head, usual_edit(), never_of({1, 2}))), (Names{":authority", "content-length"}));
  EXPECT_EQ(never_names(sent(head, usual_edit(), never_of({4}))), Names{"via"});
  EXPECT_EQ(never_names(sent(head, usual_edit(), never_of({5}))), Names{"x-forwarded-for"});
  EXPECT_EQ(never_names(sent(head, usual_edit(), never_of({}, true))), (Names{":method", ":path"}));
  RequestEdit edit = usual_edit();
  edit.upgrade = true;
  EXPECT_EQ(never_names(sent("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", edit, never_of({2}))),
            Names{":protocol"});
}

TEST(H2WriteRequest, TooSmallABufferGivesZeroAtEverySize) {
  const std::string whole = "POST /a HTTP/1.1\r\nHost: x\r\nA: 1\r\nContent-Length: 3\r\n\r\n";
  const RequestHead& head = parsed_request(whole);
  const auto write = [&](u32 size) {
    HpackEncoder encoder;
    std::vector<u8> out(size);
    return write_request(encoder, head, usual_edit(), {}, out);
  };
  const u32 n = write(1024);
  ASSERT_GT(n, 0u);
  for (u32 size = 0; size < n; ++size) EXPECT_EQ(write(size), 0u) << size;
  EXPECT_EQ(write(n), n);
}

// Bytes that Huffman code makes longer, in few long lines and in many short ones.
TEST(H2WriteRequest, TheBlockOfTheLargestHeadFits) {
  for (const std::size_t line_bytes : {520u, 4000u, 60000u}) {
    std::string whole = "GET http://b?q HTTP/1.1\r\nHost: x\r\n";
    for (u32 i = 0; whole.size() + line_bytes + 2 <= contract::kHeadBytesMax; ++i) {
      const std::string name = i % 2 == 0 ? "Via: " : "X-Forwarded-For: ";
      whole += name + std::string(line_bytes - name.size() - 2, '\xff') + "\r\n";
    }
    whole += "\r\n";
    const RequestHead& head = parsed_request(whole);
    const FieldList fields = block_of([&](HpackEncoder& e, MutBytes out) { return write_request(e, head, usual_edit(), {}, out); });
    EXPECT_GT(value_of(fields, "via").size() + value_of(fields, "x-forwarded-for").size(), line_bytes - 100);
  }
}

TEST(H2WriteResponse, StatusComesFirstAndHopByHopFieldsGo) {
  EXPECT_EQ(sent_response("HTTP/1.1 200 Fine\r\nServer: s\r\nConnection: X-A\r\nX-A: 1\r\nKeep-Alive: 5\r\n"
                          "Content-Length: 3\r\nETag: \"x\"\r\n"),
            (FieldList{{":status", "200"}, {"server", "s"}, {"etag", "\"x\""}, {"content-length", "3"}, {"via", "1.1 gw"}}));
}

TEST(H2WriteResponse, OnlyALengthFramesABody) {
  const FieldList bare{{":status", "200"}, {"via", "1.1 gw"}};
  EXPECT_EQ(sent_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", {.close = true}), bare);
  EXPECT_EQ(sent_response("HTTP/1.1 200 OK\r\n"), bare);
  EXPECT_EQ(value_of(sent_response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n", {}, Method::head), "content-length"), "9");
  EXPECT_EQ(value_of(sent_response("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n"), "content-length"), "9");
  EXPECT_FALSE(has(sent_response("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n"), "content-length"));
}

TEST(H2WriteResponse, UpstreamServiceTimeIsTheGatewaysOwnAndNotOfInterimAnswers) {
  const ResponseEdit edit{.upstream_service_ms = 12};
  EXPECT_EQ(value_of(sent_response("HTTP/1.1 200 OK\r\nX-Envoy-Upstream-Service-Time: 7\r\n", edit), "x-envoy-upstream-service-time"),
            "12");
  EXPECT_EQ(sent_response("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n", edit),
            (FieldList{{":status", "103"}, {"link", "<x>"}, {"via", "1.1 gw"}}));
}

TEST(H2WriteResponse, CookieStandsBesideThoseOfTheResponseAndIsNeverIndexed) {
  const SetCookie cookie{"sid", "0123", "; Path=/; HttpOnly"};
  const ResponseEdit edit{.cookie = &cookie};
  const FieldList list = sent_response("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n", edit);
  EXPECT_EQ(list, (FieldList{{":status", "200"}, {"set-cookie", "a=b"}, {"content-length", "0"},
                             {"set-cookie", "sid=0123; Path=/; HttpOnly", true}, {"via", "1.1 gw"}}));
}

TEST(H2WriteResponse, Rfc8441_5_SwitchingProtocolsBecomes200) {
  EXPECT_EQ(sent_response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: a\r\nSec-WebSocket-Protocol: p\r\n", {.upgrade = true}),
            (FieldList{{":status", "200"}, {"sec-websocket-protocol", "p"}, {"via", "1.1 gw"}}));
}

TEST(H2WriteResponse, Rfc7541_6_2_3_NeverIndexedLinesStaySo) {
  const std::string head = "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 3\r\n";
  EXPECT_EQ(never_names(sent_response(head, {}, Method::get, never_of({0, 1}, true))),
            (Names{":status", "a", "content-length"}));
}

FieldList sent_trailers(const std::string& text, const NeverIndexed& never = {}) {
  return block_of([&](HpackEncoder& e, MutBytes out) { return write_trailers(e, bytes_of(text), out, never); });
}

TEST(H2WriteTrailers, LinesBecomeFieldsWithoutTheirWhiteSpace) {
  EXPECT_EQ(sent_trailers("Grpc-Status: 0\r\nx:\t a, b \t\r\nempty:\r\n", never_of({1})),
            (FieldList{{"grpc-status", "0"}, {"x", "a, b", true}, {"empty", ""}}));
}

TEST(H2WriteTrailers, Rfc9110_6_5_1_WhatATrailerMayNotCarryIsLeftOut) {
  EXPECT_EQ(sent_trailers("Content-Length: 1\r\nx: 1\r\nHost: a\r\nconnection: close\r\nTE: trailers\r\n"),
            (FieldList{{"x", "1"}}));
}

TEST(H2WriteTrailers, NothingToSendGivesZero) {
  HpackEncoder encoder;
  std::vector<u8> out(64);
  EXPECT_EQ(write_trailers(encoder, bytes_of("host: a\r\n"), out), 0u);
  EXPECT_EQ(write_trailers(encoder, {}, out), 0u);
}

FieldList local(const LocalAnswer& answer) {
  return block_of([&](HpackEncoder& e, MutBytes out) { return write_local_head(e, answer, out); });
}

TEST(H2WriteLocalHead, NamesTheReasonAndTheLengthOfItsBody) {
  LocalAnswer a;
  a.status = 431;
  a.text = "head is too large";
  a.flag = "limit";
  a.flag_value = "head_bytes";
  a.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_EQ(local(a), (FieldList{{":status", "431"}, {"server", "ringway"}, {"date", std::string(a.date)},
                                 {"content-type", "text/plain"}, {"content-length", "18"}, {"x-ringway-limit", "head_bytes"}}));
}

TEST(H2WriteLocalHead, ContinueIsAStatusAlone) {
  LocalAnswer a;
  a.status = 100;
  EXPECT_EQ(local(a), (FieldList{{":status", "100"}}));
}

TEST(H2WriteLocalHead, AGrpcAnswerIsTrailersOnlyAndItsMessageIsEscaped) {
  LocalAnswer a;
  a.status = 503;
  a.text = "100% d\xc3\xa9j\xc3\xa0\n";
  a.grpc_status = 14;
  EXPECT_EQ(local(a), (FieldList{{":status", "200"}, {"server", "ringway"}, {"content-type", "application/grpc"},
                                 {"grpc-status", "14"}, {"grpc-message", "100%25 d%C3%A9j%C3%A0%0A"}}));
}

TEST(H2WriteLocalHead, AGrpcMessageIsCutAtAWholeEscape) {
  LocalAnswer a;
  const std::string text(1000, '%');
  a.text = text;
  a.grpc_status = 0;
  const std::string message = value_of(local(a), "grpc-message");
  ASSERT_GT(message.size(), 400u);
  for (std::size_t i = 0; i < message.size(); i += 3) EXPECT_EQ(message.substr(i, 3), "%25");
}

// --- beside HTTP/1.1

// The field lines of an HTTP/1.1 head, names in lower case, without what HTTP/2 has no fields for.
FieldList lines_of(const Head& head) {
  FieldList fields;
  for (u32 i = 0; i < head.field_count; ++i) {
    std::string name(head.name(i));
    std::transform(name.begin(), name.end(), name.begin(), [](char c) { return static_cast<char>(lower(static_cast<u8>(c))); });
    if (name == "connection" || name == "upgrade" || name == "transfer-encoding" || name == "host") continue;
    fields.push_back({name, std::string(head.value(i))});
  }
  return fields;
}

FieldList without_pseudo(FieldList fields) {
  std::erase_if(fields, [](const TestField& field) { return field.name.front() == ':'; });
  return names_and_values(fields);
}

// Without what one of the protocols has no use for.
FieldList without_key(FieldList fields) {
  std::erase_if(fields, [](const TestField& f) { return f.name == "sec-websocket-key" || f.name == "sec-websocket-accept"; });
  return fields;
}

const std::vector<std::string> kRequests{
    "GET / HTTP/1.1\r\nHost: a\r\n",
    "GET /a?b HTTP/1.1\r\nA: 1\r\nHost: b:1\r\nCookie: x=1; y=2\r\nB: 2\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n",
    "PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\nTE: trailers\r\nConnection: TE\r\n",
    "DELETE /p HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nVia: 1.0 x\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nVia: 1.1 y\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\nX-Envoy-Expected-Rq-Timeout-Ms: 1\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Request-Id, X-Forwarded-Proto, via, B\r\nX-Request-Id: 1\r\nX-Forwarded-Proto: https\r\n"
    "B: 1\r\nVia: 1.1 x\r\nC: 3\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nA: 1\r\n",
    "GET http://b:8/p?q HTTP/1.1\r\nHost: a\r\nKeep-Alive: 1\r\nX-Forwarded-For:\r\nAuthorization: secret\r\n",
    "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
    "custom /a//b/../c;d?e=%20&f HTTP/1.1\r\nHost: [fd00::1]:80\r\n"};

std::vector<RequestEdit> edits() {
  std::vector<RequestEdit> all(4, usual_edit());
  all[1].request_id = {};
  all[1].expected_timeout_ms = 15000;
  all[2].from_h2 = true;
  all[2].client_ip = wire::Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
  all[3].forwarded_proto = "https";
  return all;
}

std::string in_h1(const RequestHead& head, const RequestEdit& edit) {
  std::string out(head.bytes + 4096u, '\0');
  out.resize(write_request(head, edit, {reinterpret_cast<u8*>(out.data()), out.size()}));
  return out;
}

TEST(H2BesideH1, RequestsAreEditedAlikeFieldByField) {
  for (const std::string& request : kRequests) {
    for (const RequestEdit& edit : edits()) {
      const std::string whole = request + "\r\n";
      SCOPED_TRACE(shown(whole));
      const FieldList h2 = sent(request, edit);
      const std::string h1 = in_h1(parsed_request(whole), edit);
      const RequestHead& head = parsed_request(h1);
      EXPECT_EQ(without_pseudo(h2), lines_of(head));
      EXPECT_EQ(value_of(h2, ":method"), head.text(head.method_text));
      EXPECT_EQ(value_of(h2, ":path"), head.text(head.target));
      EXPECT_EQ(value_of(h2, ":authority"), head.text(head.authority));
    }
  }
}

TEST(H2BesideH1, UpgradesAreEditedAlikeFieldByField) {
  RequestEdit edit = usual_edit();
  edit.upgrade = true;
  const std::string request = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade, TE\r\nUpgrade: websocket\r\nTE: trailers\r\n"
                              "Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n";
  const FieldList h2 = sent(request, edit);
  EXPECT_EQ(without_pseudo(h2), without_key(lines_of(parsed_request(in_h1(parsed_request(request + "\r\n"), edit)))));
  EXPECT_EQ(value_of(h2, ":protocol"), "websocket");
}

const std::vector<std::string> kResponses{
    "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 3\r\nVia: 1.1 a\r\n",
    "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n",
    "HTTP/1.0 200 OK\r\nX-Envoy-Upstream-Service-Time: 7\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nConnection: close, B\r\nB: 1\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n"};

TEST(H2BesideH1, ResponsesAreEditedAlikeFieldByField) {
  for (const std::string& response : kResponses) {
    for (const Method method : {Method::get, Method::head}) {
      for (const u64 service_ms : {u64{12}, ~u64{0}}) {
        const ResponseEdit edit{.via = "gw", .upstream_service_ms = service_ms, .from_h2 = service_ms == 12};
        const std::string whole = response + "\r\n";
        SCOPED_TRACE(shown(whole));
        const FieldList h2 = sent_response(response, edit, method);
        std::string h1(4096, '\0');
        h1.resize(write_response(parsed_response(whole, method), edit, {reinterpret_cast<u8*>(h1.data()), h1.size()}));
        const ResponseHead& head = parsed_response(h1, method);
        EXPECT_EQ(without_pseudo(h2), lines_of(head));
        EXPECT_EQ(value_of(h2, ":status"), std::to_string(head.status));
      }
    }
  }
}

TEST(H2BesideH1, LocalAnswersSayTheSameFieldByField) {
  for (const u32 status : {100u, 204u, 304u, 400u, 404u, 426u, 503u}) {
    for (const i32 grpc : {-1, 0, 14}) {
      LocalAnswer a;
      a.status = static_cast<u16>(status);
      a.text = "one sentence, 100%";
      a.grpc_status = grpc;
      a.flag = "limit";
      a.flag_value = "x";
      a.date = "Sun, 06 Nov 1994 08:49:37 GMT";
      std::string h1(1024, '\0');
      h1.resize(write_local_answer(a, {reinterpret_cast<u8*>(h1.data()), h1.size()}));
      const ResponseHead& head = parsed_response(h1, Method::get);
      FieldList lines = lines_of(head);
      // An answer that is complete without a body needs no length in HTTP/2.
      if (grpc >= 0) std::erase_if(lines, [](const TestField& field) { return field.name == "content-length"; });
      const FieldList h2 = local(a);
      EXPECT_EQ(without_pseudo(h2), lines);
      EXPECT_EQ(value_of(h2, ":status"), std::to_string(head.status));
      EXPECT_EQ(head.bytes + head.content_length, h1.size());
    }
  }
}

// --- there and back

TEST(H2RoundTrip, ARequestIsReadAsItWasWritten) {
  HpackEncoder encoder;
  HpackDecoder decoder;
  for (u32 round = 0; round < 3; ++round) {  // the tables fill
    for (const std::string& request : kRequests) {
      const std::string whole = request + "\r\n";
      SCOPED_TRACE(shown(whole));
      const RequestHead& before = parsed_request(whole);
      const bool end = before.framing == Framing::none;
      std::vector<u8> out(kH2BlockBytesMax);
      const u32 n = write_request(encoder, before, usual_edit(), {}, out);
      const std::string h1 = in_h1(before, usual_edit());
      const Translated t = translate(Kind::request, decode(decoder, Bytes(out).first(n)), end);
      ASSERT_TRUE(t.complete());
      static RequestHead after;
      ASSERT_EQ(read_request(bytes_of(t.text), {}, after).status, ReadStatus::complete) << shown(t.text);
      const RequestHead& expected = parsed_request(h1);
      EXPECT_EQ(after.text(after.method_text), expected.text(expected.method_text));
      EXPECT_EQ(after.text(after.target), expected.text(expected.target));
      EXPECT_EQ(after.text(after.authority), expected.text(expected.authority));
      EXPECT_EQ(after.framing, expected.framing);
      EXPECT_EQ(after.content_length, expected.content_length);
      const auto by_name = [](FieldList fields) {  // cookie and framing have moved
        std::stable_sort(fields.begin(), fields.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
        return fields;
      };
      EXPECT_EQ(by_name(lines_of(after)), by_name(lines_of(expected)));
    }
  }
}

TEST(H2RoundTrip, AnUpgradeIsReadAsItWasWritten) {
  RequestEdit edit = usual_edit();
  edit.upgrade = true;
  const FieldList block = sent("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", edit);
  const Translated t = translate(Kind::request, block, false);
  ASSERT_TRUE(t.complete());
  EXPECT_TRUE(t.extended_connect);
  const RequestHead& head = parsed_request(t.text);
  EXPECT_TRUE(head.upgrade);
  EXPECT_EQ(head.text(head.target), "/chat");
}

TEST(H2RoundTrip, AResponseIsReadAsItWasWritten) {
  for (const std::string& response : kResponses) {
    for (const Method method : {Method::get, Method::head}) {
      SCOPED_TRACE(shown(response));
      const FieldList block = sent_response(response, {}, method);
      const ResponseHead& before = parsed_response(response + "\r\n", method);
      const u16 status = before.status;
      const Framing framing = before.framing == Framing::until_close ? Framing::chunked : before.framing;
      const bool end = framing == Framing::none && status >= 200;
      const Translated t = translate(Kind::response, block, end, method);
      ASSERT_TRUE(t.complete());
      const ResponseHead& after = parsed_response(t.text, method);
      EXPECT_EQ(after.status, status);
      EXPECT_EQ(after.framing, framing);
    }
  }
}

TEST(H2RoundTrip, Rfc7541_6_2_3_NeverIndexedSurvivesBothTranslations) {
  const FieldList fields = get_fields({{"a", "1"}, {"b", "2", true}, {"via", "1.1 x", true}});
  const Translated t = translate(Kind::request, fields, true);
  ASSERT_TRUE(t.complete());
  EXPECT_EQ(never_names(sent(t.text.substr(0, t.text.size() - 2), usual_edit(), t.never)), (Names{"b", "via"}));
}

}  // namespace
}  // namespace ringway::http::test
