// Fields that a route changes, as both writers of heads apply them: what goes, what comes, that both protocols agree, and
// that no value can end a line.

#include "tests/unit/http/h2_support.h"

namespace ringway::http::test {
namespace {

using contract::Variable;

struct EditRoom {
  contract::FieldChanges changes;
  ValueSources sources{.remote_address = "10.0.0.7:4711", .remote_address_without_port = "10.0.0.7", .protocol = "HTTP/2",
                       .route = "r", .service = "s", .endpoint = "10.2.0.2:8080", .request_id = "made"};
  RouteEdit route{.fields = {&changes, &sources}};

  EditRoom& drop(std::string name) {
    changes.dropped.push_back(std::move(name));
    return *this;
  }
  EditRoom& add(std::string name, std::vector<contract::ValuePiece> value) {
    changes.added.push_back({std::move(name), std::move(value)});
    return *this;
  }
  EditRoom& add(std::string name, std::string text) { return add(std::move(name), {{Variable::text, std::move(text)}}); }
};

RequestEdit edit_of(EditRoom& room) {
  RequestEdit edit;
  edit.client_ip = wire::Ip4::of(10, 1, 2, 3);
  edit.via = "gw";
  edit.request_id = "id";
  edit.route = &room.route;
  return edit;
}

// As HTTP/1.1, with its fields read again strictly.
std::string by_h1(EditRoom& room, const std::string& head, RequestEdit edit, FieldList* fields = nullptr) {
  const std::string whole = head + "\r\n";
  RequestHead parsed;
  EXPECT_EQ(read_request(bytes_of(whole), {}, parsed).status, ReadStatus::complete);
  room.sources.request = &parsed;
  std::string out(whole.size() + 9000, '\0');
  out.resize(write_request(parsed, edit, {reinterpret_cast<u8*>(out.data()), out.size()}));
  RequestHead again;
  EXPECT_EQ(read_request(bytes_of(out), {}, again).status, ReadStatus::complete) << shown(out);
  EXPECT_EQ(again.bytes, out.size());
  for (u32 i = 0; fields != nullptr && i < again.field_count; ++i) {
    std::string name(again.name(i));
    for (char& c : name) c = static_cast<char>(lower(static_cast<u8>(c)));
    fields->push_back({name, std::string(again.value(i))});
  }
  return out;
}
FieldList by_h2(EditRoom& room, const std::string& head, const RequestEdit& edit, const NeverIndexed& never = {}) {
  const std::string whole = head + "\r\n";
  RequestHead parsed;
  EXPECT_EQ(read_request(bytes_of(whole), {}, parsed).status, ReadStatus::complete);
  room.sources.request = &parsed;
  HpackEncoder encoder;
  HpackDecoder decoder;
  std::vector<u8> out(kH2BlockBytesMax);
  return decode(decoder, Bytes(out).first(write_request(encoder, parsed, edit, never, out)));
}

TEST(FieldEdits, DroppedFieldsGoAndAddedOnesComeBehind) {
  EditRoom room;
  room.drop("x-a").drop("x-c").add("X-A", "new").add("X-D", {{Variable::text, "<"}, {Variable::service, ""}, {Variable::text, ">"}});
  EXPECT_EQ(by_h1(room, "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX-C: 4\r\nX-B: 5\r\n", edit_of(room)),
            "GET / HTTP/1.1\r\nHost: h\r\nX-B: 2\r\nX-B: 5\r\nX-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: http\r\n"
            "X-Request-Id: id\r\nVia: 1.1 gw\r\nX-A: new\r\nX-D: <s>\r\n\r\n");
}

TEST(FieldEdits, FieldsOfTheGatewayItselfCanBeReplacedToo) {
  EditRoom room;
  room.drop("via").drop("x-forwarded-for").drop("x-request-id").drop("x-forwarded-proto").drop("x-envoy-expected-rq-timeout-ms").add("X-Forwarded-For", "me");
  RequestEdit edit = edit_of(room);
  edit.expected_timeout_ms = 5;
  EXPECT_EQ(by_h1(room, "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 x\r\n", edit), "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: me\r\n\r\n");
  for (const auto& f : by_h2(room, "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 x\r\n", edit)) {
    EXPECT_TRUE(f.name.starts_with(':') || (f.name == "x-forwarded-for" && f.value == "me")) << f.name;
  }
}

TEST(FieldEdits, VariablesStandForTheirValuesAndEmptyOnesLeaveTheFieldOut) {
  EditRoom room;
  const auto variable = [&](const char* name, Variable what, std::string text = "") { room.add(name, {{what, std::move(text)}}); };
  variable("a", Variable::remote_address);
  variable("b", Variable::remote_address_without_port);
  variable("c", Variable::protocol);
  variable("d", Variable::route);
  variable("e", Variable::endpoint);
  variable("f", Variable::request_field, ":path");
  variable("g", Variable::request_field, ":authority");
  variable("h", Variable::request_field, ":method");
  variable("i", Variable::request_field, "x-in");
  variable("j", Variable::request_field, "x-absent");
  variable("k", Variable::request_field, "x-request-id");
  const std::string out = by_h1(room, "GET /p?q HTTP/1.1\r\nHost: h:1\r\nX-In: one\r\nX-In: two\r\n", edit_of(room));
  EXPECT_NE(out.find("\r\na: 10.0.0.7:4711\r\nb: 10.0.0.7\r\nc: HTTP/2\r\nd: r\r\ne: 10.2.0.2:8080\r\nf: /p?q\r\ng: h:1\r\nh: GET\r\ni: one\r\nk: made\r\n\r\n"),
            std::string::npos)
      << out;
}

TEST(FieldEdits, TargetAndHostAreReplacedAndTheOldPathIsTold) {
  EditRoom room;
  RequestEdit edit = edit_of(room);
  room.route.target = "/new?q";
  room.route.host = "inner:81";
  const std::string head = "POST http://web/old?q HTTP/1.1\r\nHost: web\r\nX-Envoy-Original-Path: /forged\r\nContent-Length: 3\r\n";
  FieldList h1;
  EXPECT_TRUE(by_h1(room, head, edit, &h1).starts_with("POST /new?q HTTP/1.1\r\nHost: inner:81\r\nX-Envoy-Original-Path: /old?q\r\nContent-Length: 3\r\n"));
  const FieldList h2 = by_h2(room, head, edit);
  const auto value = [](const FieldList& list, const char* name) {
    std::string out;
    for (const auto& f : list) out += f.name == name ? f.value + ";" : "";
    return out;
  };
  EXPECT_EQ(value(h2, ":path"), "/new?q;");
  EXPECT_EQ(value(h2, ":authority"), "inner:81;");
  for (const FieldList& list : {h1, h2}) EXPECT_EQ(value(list, "x-envoy-original-path"), "/old?q;");
  room.route.target = {};
  room.route.host = "inner";
  EXPECT_EQ(by_h1(room, "OPTIONS * HTTP/1.1\r\nHost: web\r\n", edit).substr(0, 37), "OPTIONS * HTTP/1.1\r\nHost: inner\r\nX-Fo");
}

// Whatever the reader lets through as a value comes out as that value, in one line, and the two protocols agree.
TEST(FieldEdits, NoValueOfARequestEndsALine) {
  for (u32 byte = 1; byte < 256; ++byte) {
    const std::string value = std::string("a") + static_cast<char>(byte) + "b";
    const std::string head = "GET / HTTP/1.1\r\nHost: h\r\nX-In: " + value + "\r\n";
    RequestHead parsed;
    const bool taken = read_request(bytes_of(head + "\r\n"), {}, parsed).status == ReadStatus::complete;
    EXPECT_EQ(taken, is_value_byte(static_cast<u8>(byte))) << byte;
    if (!taken) continue;
    EditRoom room;
    room.add("x-copy", {{Variable::text, "<"}, {Variable::request_field, "x-in"}, {Variable::text, ">"}});
    FieldList h1;
    by_h1(room, head, edit_of(room), &h1);
    ASSERT_EQ(h1.back().name, "x-copy");
    EXPECT_EQ(h1.back().value, "<" + value + ">");
    EXPECT_EQ(by_h2(room, head, edit_of(room)).back().value, "<" + value + ">");
  }
}

TEST(FieldEdits, WhatCameNeverIndexedGoesOnSo) {
  EditRoom room;
  room.add("x-copy", {{Variable::request_field, "x-secret"}}).add("x-open", {{Variable::request_field, "x-other"}});
  NeverIndexed never;
  never.set(1);
  room.sources.never = &never;
  for (const auto& f : by_h2(room, "GET / HTTP/1.1\r\nHost: h\r\nX-Secret: s\r\nX-Other: o\r\n", edit_of(room), never)) {
    if (f.name == "x-copy" || f.name == "x-open") {
      EXPECT_EQ(f.never_indexed, f.name == "x-copy");
    }
  }
}

TEST(FieldEdits, ABufferThatIsTooSmallIsSaidSo) {
  EditRoom room;
  room.add("X-Long", std::string(500, 'v'));
  const std::string whole = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  RequestHead parsed;
  ASSERT_EQ(read_request(bytes_of(whole), {}, parsed).status, ReadStatus::complete);
  std::vector<u8> out(600);
  EXPECT_EQ(write_request(parsed, edit_of(room), MutBytes(out).first(599)), 0u);
  const u32 n = write_request(parsed, edit_of(room), out);
  EXPECT_EQ(n, 0u) << "the gateway's own fields need more";
  std::vector<u8> exact(2000);
  const u32 needed = write_request(parsed, edit_of(room), exact);
  EXPECT_EQ(write_request(parsed, edit_of(room), MutBytes(exact).first(needed)), needed);
  EXPECT_EQ(write_request(parsed, edit_of(room), MutBytes(exact).first(needed - 1)), 0u);
}

TEST(FieldEdits, ResponsesAreEditedAlikeAndTellOfAFault) {
  EditRoom room;
  room.drop("server").drop("via").drop("x-envoy-upstream-service-time").add("Cache-Control", "no-store");
  const std::string whole = "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 0\r\nX-Kept: k\r\n\r\n";
  ResponseHead parsed;
  ASSERT_EQ(read_response(bytes_of(whole), Method::get, {}, parsed).status, ReadStatus::complete);
  ResponseEdit edit{.via = "gw"};
  edit.route = &room.route;
  room.route.flag = "DI";
  edit.upstream_service_ms = 3;
  std::string out(1000, '\0');
  out.resize(write_response(parsed, edit, {reinterpret_cast<u8*>(out.data()), out.size()}));
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nX-Kept: k\r\nContent-Length: 0\r\nX-Ringway-Flag: DI\r\nCache-Control: no-store\r\n\r\n");
  HpackEncoder encoder;
  HpackDecoder decoder;
  std::vector<u8> block(kH2BlockBytesMax);
  std::string names;
  for (const auto& f : decode(decoder, Bytes(block).first(write_response(encoder, parsed, edit, {}, block)))) names += f.name + "=" + f.value + ";";
  EXPECT_EQ(names, ":status=200;x-kept=k;content-length=0;x-ringway-flag=DI;cache-control=no-store;");
}

TEST(LocalAnswers, ARoutesAnswerHasItsBodyItsTypeAndItsFields) {
  EditRoom room;
  room.drop("server").add("X-A", "1");
  LocalAnswer answer{.status = 302, .verbatim = true, .location = "http://h/new", .fields = &room.route.fields, .close = false};
  std::string out(500, '\0');
  const auto text = [&] { return out.substr(0, write_local_answer(answer, {reinterpret_cast<u8*>(out.data()), out.size()})); };
  EXPECT_EQ(text(), "HTTP/1.1 302 Found\r\nLocation: http://h/new\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n");
  answer = {.status = 200, .text = "{}", .verbatim = true, .content_type = "application/json", .close = false};
  EXPECT_EQ(text(), "HTTP/1.1 200 OK\r\nServer: ringway\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
}

}  // namespace
}  // namespace ringway::http::test
