// What must not pass from HTTP/2 into HTTP/1.1: one row for each way to say with fields what only a parser of text
// would hear. A refused head leaves no text at all; `section` is of RFC 9113 where nothing else is said.

#include <algorithm>

#include "tests/unit/http/h2_support.h"

namespace ringway::http::test {
namespace {

struct Row {
  const char* name;
  const char* section;
  FieldList fields;
  bool end = true;
};

std::string row_name(const testing::TestParamInfo<Row>& info) { return info.param.name; }

FieldList with(FieldList fields, std::size_t index, std::string value) {
  fields[index].value = std::move(value);
  return fields;
}
FieldList without(FieldList fields, std::size_t index) {
  fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(index));
  return fields;
}
FieldList then(FieldList fields, FieldList more) {
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
constexpr std::size_t kMethod = 0, kScheme = 1, kPath = 2, kAuthority = 3;
using namespace std::string_literals;

const FieldList kConnect{{":method", "CONNECT"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}, {":protocol", "websocket"}};

class MalformedRequest : public testing::TestWithParam<Row> {};
TEST_P(MalformedRequest, LeavesNoText) {
  const Translated t = translate(Kind::request, GetParam().fields, GetParam().end);
  EXPECT_EQ(t.status, H2HeadStatus::malformed) << GetParam().section << ": " << shown(t.text);
}

INSTANTIATE_TEST_SUITE_P(Values, MalformedRequest, testing::Values(
  Row{"CrLf",            "8.2.1",  get_fields({{"x", "a\r\ny: b"}})},
  Row{"CrLfCrLf",        "8.2.1",  get_fields({{"x", "a\r\n\r\nGET /evil HTTP/1.1\r\nhost: b"}})},
  Row{"Cr",              "8.2.1",  get_fields({{"x", "a\ry: b"}})},
  Row{"Lf",              "8.2.1",  get_fields({{"x", "a\ny: b"}})},
  Row{"Nul",             "8.2.1",  get_fields({{"x", "a\0b"s}})},
  Row{"NulAlone",        "8.2.1",  get_fields({{"x", "\0"s}})},
  Row{"LfBehindAVector", "8.2.1",  get_fields({{"x", std::string(45, 'v') + "\n" + std::string(45, 'v')}})},
  Row{"LfAtTheEnd",      "8.2.1",  get_fields({{"x", std::string(63, 'v') + "\n"}})},
  Row{"VerticalTab",     "RFC 9110 5.5", get_fields({{"x", "a\vb"}})},
  Row{"Del",             "RFC 9110 5.5", get_fields({{"x", "a\x7f" "b"}})},
  Row{"LeadingSpace",    "8.2.1",  get_fields({{"x", " a"}})},
  Row{"TrailingSpace",   "8.2.1",  get_fields({{"x", "a "}})},
  Row{"LeadingTab",      "8.2.1",  get_fields({{"x", "\ta"}})},
  Row{"TrailingTab",     "8.2.1",  get_fields({{"x", "a\t"}})},
  Row{"SpaceAlone",      "8.2.1",  get_fields({{"x", " "}})},
  Row{"CrLfInCookie",    "8.2.1",  get_fields({{"cookie", "a"}, {"cookie", "b\r\nx: y"}})},
  Row{"CrLfInTe",        "8.2.1",  get_fields({{"te", "trailers\r\nx: y"}})},
  Row{"CrLfInHost",      "8.2.1",  without(get_fields({{"host", "a\r\nx: y"}}), kAuthority)},
  Row{"CrLfInLength",    "8.2.1",  post_fields({{"content-length", "1\r\nx: y"}}), false}), row_name);

INSTANTIATE_TEST_SUITE_P(Names, MalformedRequest, testing::Values(
  Row{"Empty",           "8.2",    get_fields({{"", "a"}})},
  Row{"UpperCase",       "8.2",    get_fields({{"X-a", "1"}})},
  Row{"UpperCaseLast",   "8.2",    get_fields({{"x-tokeN", "1"}})},
  Row{"UpperCaseTransferEncoding", "8.2", post_fields({{"Transfer-Encoding", "chunked"}}), false},
  Row{"CrLf",            "8.2.1",  get_fields({{"x\r\ny", "1"}})},
  Row{"ColonCrLf",       "8.2.1",  get_fields({{"x: 1\r\ntransfer-encoding", "chunked"}})},
  Row{"Lf",              "8.2.1",  get_fields({{"x\n", "1"}})},
  Row{"Nul",             "8.2.1",  get_fields({{"transfer-encoding\0"s, "chunked"}})},
  Row{"Colon",           "8.2.1",  get_fields({{"transfer-encoding:chunked", "x"}})},
  Row{"Space",           "8.2.1",  get_fields({{"transfer-encoding ", "chunked"}})},
  Row{"SpaceInFront",    "8.2.1",  get_fields({{" x", "1"}})},
  Row{"Tab",             "8.2.1",  get_fields({{"content-length\t", "1"}})},
  Row{"Latin1",          "8.2.1",  get_fields({{"content-length\xa0", "1"}})},
  Row{"LongSIsNoS",      "8.2.1",  get_fields({{"tran\xc5\xbf" "fer-encoding", "chunked"}})},
  Row{"Separator",       "8.2.1",  get_fields({{"x\"y", "1"}})},
  Row{"SpaceBehindAVector", "8.2.1", get_fields({{std::string(40, 'n') + " " + std::string(8, 'n'), "1"}})}), row_name);

INSTANTIATE_TEST_SUITE_P(ConnectionFields, MalformedRequest, testing::Values(
  Row{"Connection",      "8.2.2",  get_fields({{"connection", "close"}})},
  Row{"ConnectionNamesAField", "8.2.2", get_fields({{"connection", "x-forwarded-for"}})},
  Row{"KeepAlive",       "8.2.2",  get_fields({{"keep-alive", "5"}})},
  Row{"ProxyConnection", "8.2.2",  get_fields({{"proxy-connection", "x"}})},
  Row{"TransferEncoding", "8.2.2", post_fields({{"transfer-encoding", "chunked"}}), false},
  Row{"TransferEncodingAndLength", "8.2.2", post_fields({{"content-length", "5"}, {"transfer-encoding", "chunked"}}), false},
  Row{"TransferEncodingIdentity", "8.2.2", post_fields({{"transfer-encoding", "identity"}}), false},
  Row{"Upgrade",         "8.2.2",  get_fields({{"upgrade", "websocket"}})},
  Row{"UpgradeH2c",      "8.2.2",  get_fields({{"upgrade", "h2c"}, {"http2-settings", ""}})},
  Row{"Http2Settings",   "8.2.2",  get_fields({{"http2-settings", "AAMAAABk"}})},
  Row{"TeGzip",          "8.2.2",  get_fields({{"te", "gzip"}})},
  Row{"TeTrailersAndGzip", "8.2.2", get_fields({{"te", "trailers, gzip"}})},
  Row{"TeChunked",       "8.2.2",  get_fields({{"te", "chunked"}})},
  Row{"TeEmpty",         "8.2.2",  get_fields({{"te", ""}})}), row_name);

INSTANTIATE_TEST_SUITE_P(Lengths, MalformedRequest, testing::Values(
  Row{"Negative",        "8.1.1",  post_fields({{"content-length", "-1"}}), false},
  Row{"Plus",            "8.1.1",  post_fields({{"content-length", "+1"}}), false},
  Row{"Hexadecimal",     "8.1.1",  post_fields({{"content-length", "0x5"}}), false},
  Row{"Empty",           "8.1.1",  post_fields({{"content-length", ""}}), false},
  Row{"List",            "8.1.1",  post_fields({{"content-length", "5, 5"}}), false},
  Row{"Twice",           "8.1.1",  post_fields({{"content-length", "5"}, {"content-length", "5"}}), false},
  Row{"TwoThatDiffer",   "8.1.1",  post_fields({{"content-length", "5"}, {"content-length", "6"}}), false},
  Row{"Above63Bits",     "8.1.1",  post_fields({{"content-length", "9223372036854775808"}}), false},
  Row{"TwentyDigits",    "8.1.1",  post_fields({{"content-length", "00000000000000000001"}}), false},
  Row{"OfNothing",       "8.1.1",  post_fields({{"content-length", "5"}}), true},
  Row{"OfATunnel",       "RFC 9110 9.3.6", then(kConnect, {{"content-length", "5"}}), false}), row_name);

INSTANTIATE_TEST_SUITE_P(PseudoHeaders, MalformedRequest, testing::Values(
  Row{"NoMethod",        "8.3.1",  without(get_fields(), kMethod)},
  Row{"NoScheme",        "8.3.1",  without(get_fields(), kScheme)},
  Row{"NoPath",          "8.3.1",  without(get_fields(), kPath)},
  Row{"None",            "8.3.1",  {}},
  Row{"MethodTwice",     "8.3",    then(get_fields(), {{":method", "POST"}})},
  Row{"PathTwice",       "8.3",    then(get_fields(), {{":path", "/"}})},
  Row{"AuthorityTwice",  "8.3",    then(get_fields(), {{":authority", "a"}})},
  Row{"SchemeTwice",     "8.3",    then(get_fields(), {{":scheme", "http"}})},
  Row{"BehindAField",    "8.3",    without(get_fields({{"x", "1"}, {":authority", "a"}}), kAuthority)},
  Row{"Unknown",         "8.3",    get_fields({{":transfer-encoding", "chunked"}})},
  Row{"UpperCase",       "8.3",    get_fields({{":Path", "/x"}})},
  Row{"ColonAlone",      "8.3",    get_fields({{":", "/x"}})},
  Row{"Status",          "8.3",    get_fields({{":status", "200"}})}), row_name);

INSTANTIATE_TEST_SUITE_P(Method, MalformedRequest, testing::Values(
  Row{"Empty",           "8.3.1",  with(get_fields(), kMethod, "")},
  Row{"RequestLine",     "8.3.1",  with(get_fields(), kMethod, "GET / HTTP/1.1\r\nx: y")},
  Row{"WholeRequest",    "8.3.1",  with(get_fields(), kMethod, "GET / HTTP/1.1\r\nhost: b\r\n\r\nGET")},
  Row{"Space",           "8.3.1",  with(get_fields(), kMethod, "GET /admin")},
  Row{"Lf",              "8.3.1",  with(get_fields(), kMethod, "\nGET")},
  Row{"Nul",             "8.3.1",  with(get_fields(), kMethod, "GE\0T"s)},
  Row{"Colon",           "8.3.1",  with(get_fields(), kMethod, "x:")},
  Row{"TooLong",         "8.3.1",  with(get_fields(), kMethod, std::string(contract::kMethodBytesMax + 1, 'M'))}), row_name);

INSTANTIATE_TEST_SUITE_P(Scheme, MalformedRequest, testing::Values(
  Row{"Empty",           "8.3.1",  with(get_fields(), kScheme, "")},
  Row{"Other",           "8.3.1",  with(get_fields(), kScheme, "ftp")},
  Row{"RequestLine",     "8.3.1",  with(get_fields(), kScheme, "https://a/ HTTP/1.1\r\ntransfer-encoding: chunked\r\nx: x")},
  Row{"WithAuthority",   "8.3.1",  with(get_fields(), kScheme, "http://b/?")}), row_name);

INSTANTIATE_TEST_SUITE_P(Path, MalformedRequest, testing::Values(
  Row{"Empty",           "8.3.1",  with(get_fields(), kPath, "")},
  Row{"AbsoluteForm",    "8.3.1",  with(get_fields(), kPath, "http://b/")},
  Row{"AuthorityForm",   "8.3.1",  with(get_fields(), kPath, "b:443")},
  Row{"Relative",        "8.3.1",  with(get_fields(), kPath, "a/b")},
  Row{"Query",           "8.3.1",  with(get_fields(), kPath, "?q")},
  Row{"AsteriskOfGet",   "8.3.1",  with(get_fields(), kPath, "*")},
  Row{"AsteriskAndMore", "8.3.1",  with(with(get_fields(), kMethod, "OPTIONS"), kPath, "*/")},
  Row{"Fragment",        "8.3.1",  with(get_fields(), kPath, "/a#b")},
  Row{"Space",           "8.3.1",  with(get_fields(), kPath, "/a b")},
  Row{"VersionAndField", "8.3.1",  with(get_fields(), kPath, "/ HTTP/1.1\r\nx: y")},
  Row{"WholeRequest",    "8.3.1",  with(get_fields(), kPath, "/ HTTP/1.1\r\nhost: b\r\n\r\nGET /evil")},
  Row{"Version10",       "8.3.1",  with(get_fields(), kPath, "/ HTTP/1.0")},
  Row{"Lf",              "8.3.1",  with(get_fields(), kPath, "/\nx: y")},
  Row{"Cr",              "8.3.1",  with(get_fields(), kPath, "/\r")},
  Row{"Nul",             "8.3.1",  with(get_fields(), kPath, "/\0"s)},
  Row{"Tab",             "8.3.1",  with(get_fields(), kPath, "/\tHTTP/1.1")},
  Row{"Latin1",          "8.3.1",  with(get_fields(), kPath, "/\xa0")},
  Row{"SpaceBehindAVector", "8.3.1", with(get_fields(), kPath, "/" + std::string(70, 'p') + " HTTP/1.1")}), row_name);

INSTANTIATE_TEST_SUITE_P(Authority, MalformedRequest, testing::Values(
  Row{"Empty",           "8.3.1",  with(get_fields(), kAuthority, "")},
  Row{"Userinfo",        "8.3.1",  with(get_fields(), kAuthority, "user@a")},
  Row{"UserinfoPassword", "8.3.1", with(get_fields(), kAuthority, "user:secret@a")},
  Row{"CrLf",            "8.3.1",  with(get_fields(), kAuthority, "a\r\nx: y")},
  Row{"Path",            "8.3.1",  with(get_fields(), kAuthority, "a/b")},
  Row{"Space",           "8.3.1",  with(get_fields(), kAuthority, "a b")},
  Row{"List",            "8.3.1",  with(get_fields(), kAuthority, "a,b")},
  Row{"Port",            "8.3.1",  with(get_fields(), kAuthority, "a:65536")},
  Row{"Nul",             "8.3.1",  with(get_fields(), kAuthority, "a\0b"s)},
  Row{"HostDiffers",     "8.3.1",  get_fields({{"host", "b"}})},
  Row{"HostHasAPort",    "8.3.1",  get_fields({{"host", "a:80"}})},
  Row{"HostEmpty",       "8.3.1",  get_fields({{"host", ""}})},
  Row{"HostTwice",       "8.3.1",  get_fields({{"host", "a"}, {"host", "a"}})},
  Row{"HostTwiceAlone",  "8.3.1",  without(get_fields({{"host", "a"}, {"host", "b"}}), kAuthority)}), row_name);

INSTANTIATE_TEST_SUITE_P(Connect, MalformedRequest, testing::Values(
  Row{"PlainWithPath",   "8.5",    {{":method", "CONNECT"}, {":authority", "a:1"}, {":path", "/"}}, false},
  Row{"PlainWithScheme", "8.5",    {{":method", "CONNECT"}, {":authority", "a:1"}, {":scheme", "http"}}, false},
  Row{"PlainWithoutAuthority", "8.5", {{":method", "CONNECT"}}, false},
  Row{"ProtocolOfGet",   "RFC 8441 4", get_fields({{":protocol", "websocket"}}), false},
  Row{"NoScheme",        "RFC 8441 4", without(kConnect, kScheme), false},
  Row{"NoPath",          "RFC 8441 4", without(kConnect, kPath), false},
  Row{"NoAuthority",     "RFC 8441 4", without(kConnect, kAuthority), false},
  Row{"Asterisk",        "RFC 8441 4", with(kConnect, kPath, "*"), false},
  Row{"ProtocolEmpty",   "RFC 8441 4", with(kConnect, 4, ""), false},
  Row{"ProtocolH2c",     "RFC 8441 4", with(kConnect, 4, "h2c"), false},
  Row{"ProtocolTls",     "RFC 8441 4", with(kConnect, 4, "TLS/1.0"), false},
  Row{"ProtocolList",    "RFC 8441 4", with(kConnect, 4, "websocket, h2c"), false},
  Row{"ProtocolCrLf",    "RFC 8441 4", with(kConnect, 4, "websocket\r\nx: y"), false},
  Row{"ProtocolTooLong", "RFC 8441 4", with(kConnect, 4, std::string(33, 'p')), false}), row_name);

class MalformedResponse : public testing::TestWithParam<Row> {};
TEST_P(MalformedResponse, LeavesNoText) {
  const Translated t = translate(Kind::response, GetParam().fields, GetParam().end);
  EXPECT_EQ(t.status, H2HeadStatus::malformed) << GetParam().section << ": " << shown(t.text);
}

INSTANTIATE_TEST_SUITE_P(Rows, MalformedResponse, testing::Values(
  Row{"NoStatus",        "8.3.2",  {{"x", "1"}}},
  Row{"Nothing",         "8.3.2",  {}},
  Row{"StatusTwice",     "8.3",    answer_fields({{":status", "200"}})},
  Row{"StatusBehind",    "8.3",    {{"x", "1"}, {":status", "200"}}},
  Row{"RequestPseudo",   "8.3",    answer_fields({{":path", "/"}})},
  Row{"TwoDigits",       "8.3.2",  answer_fields({}, "20")},
  Row{"FourDigits",      "8.3.2",  answer_fields({}, "2000")},
  Row{"NoDigit",         "8.3.2",  answer_fields({}, "2x0")},
  Row{"Zero",            "RFC 9110 15", answer_fields({}, "099")},
  Row{"Six",             "RFC 9110 15", answer_fields({}, "600")},
  Row{"StatusCrLf",      "8.3.2",  answer_fields({}, "200\r\nx: y")},
  Row{"StatusReason",    "8.3.2",  answer_fields({}, "200 OK")},
  Row{"SwitchingProtocols", "8.6", answer_fields({}, "101"), false},
  Row{"InterimWithEnd",  "8.1",    answer_fields({}, "103")},
  Row{"CrLf",            "8.2.1",  answer_fields({{"x", "a\r\nset-cookie: b"}})},
  Row{"Name",            "8.2",    answer_fields({{"Server", "b"}})},
  Row{"TransferEncoding", "8.2.2", answer_fields({{"transfer-encoding", "chunked"}}), false},
  Row{"Connection",      "8.2.2",  answer_fields({{"connection", "close"}})},
  Row{"Upgrade",         "8.2.2",  answer_fields({{"upgrade", "websocket"}}), false},
  Row{"Te",              "8.2.2",  answer_fields({{"te", "trailers"}})},
  Row{"LengthOfNothing", "8.1.1",  answer_fields({{"content-length", "5"}})},
  Row{"LengthTwice",     "8.1.1",  answer_fields({{"content-length", "5"}, {"content-length", "5"}}), false}), row_name);

class MalformedTrailers : public testing::TestWithParam<Row> {};
TEST_P(MalformedTrailers, LeaveNoText) {
  const Translated t = translate(Kind::trailers, GetParam().fields, GetParam().end);
  EXPECT_EQ(t.status, H2HeadStatus::malformed) << GetParam().section << ": " << shown(t.text);
}

// Forbidden names end a chunked body too (h1_body_test.cc): one rule for both protocols.
INSTANTIATE_TEST_SUITE_P(Rows, MalformedTrailers, testing::Values(
  Row{"NotTheEnd",       "8.1",    {{"x", "1"}}, false},
  Row{"Pseudo",          "8.1",    {{":path", "/"}}},
  Row{"Status",          "8.1",    {{":status", "200"}}},
  Row{"CrLf",            "8.2.1",  {{"x", "1\r\n\r\nGET / HTTP/1.1"}}},
  Row{"EmptyName",       "8.2",    {{"", "1"}}},
  Row{"UpperCase",       "8.2",    {{"X", "1"}}},
  Row{"TransferEncoding", "8.2.2", {{"transfer-encoding", "chunked"}}},
  Row{"Te",              "8.2.2",  {{"te", "trailers"}}},
  Row{"Length",          "RFC 9110 6.5.1", {{"content-length", "0"}}},
  Row{"Host",            "RFC 9110 6.5.1", {{"host", "a"}}},
  Row{"Authorization",   "RFC 9110 6.5.1", {{"authorization", "x"}}},
  Row{"Cookie",          "RFC 9110 6.5.1", {{"cookie", "x"}}}), row_name);

TEST(H2Smuggle, Http2smuglCasesAreRefusedOrMeanOneRequestOfTheirOwnFields) {
  RW_SUITE_OR_SKIP(cases, "h2_smuggle.dev.json");
  ASSERT_FALSE(cases.empty());
  u32 passed = 0;
  for (const nlohmann::json& x : cases) {
    FieldList fields;
    for (const nlohmann::json& field : x.at("headers")) {
      fields.push_back({base64(field.at(0).get<std::string>()), base64(field.at(1).get<std::string>())});
    }
    const Translated t = translate(Kind::request, fields, x.at("body").get<std::string>().empty());
    if (!t.complete()) continue;
    SCOPED_TRACE(x.at("id").get<std::string>() + " " + shown(t.text));
    RequestHead head;
    const ReadResult read = read_request(bytes_of(t.text), {}, head);
    if (read.status == ReadStatus::invalid) {
      EXPECT_EQ(read.reject, Reject::underscored_framing);  // the rest is refused before it is text
      continue;
    }
    ++passed;
    ASSERT_EQ(read.status, ReadStatus::complete);
    EXPECT_EQ(head.bytes, t.text.size());
    for (u32 i = 0; i < head.field_count; ++i) {
      if (head.name(i) == "host" || head.name(i) == "transfer-encoding") continue;
      EXPECT_NE(std::find(fields.begin(), fields.end(), TestField{std::string(head.name(i)), std::string(head.value(i))}),
                fields.end());
    }
  }
  EXPECT_LT(passed, cases.size() / 4);
}

}  // namespace
}  // namespace ringway::http::test
