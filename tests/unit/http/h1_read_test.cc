// Reading heads: one table of refusals and one of acceptances per RFC section, and the prefix property: a head is
// incomplete at every byte but its last, and what is refused whole is never complete in part.

#include "tests/unit/http/support.h"

namespace ringway::http::test {
namespace {

struct Case {
  const char* name;
  std::string head;  // without the final empty line
  Reject reject;     // none: accepted
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::string get(const std::string& fields) { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields; }

// The status of every prefix must lead up to the status of the whole without turning back.
template <typename Read>
void expect_prefixes_agree(const std::string& whole, Reject reject, Read read) {
  bool was_invalid = false;
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    const Exact part(std::string_view(whole).substr(0, n));
    const ReadResult r = read(part.bytes());
    if (was_invalid) {
      ASSERT_EQ(r.status, ReadStatus::invalid) << "taken back after " << n << " bytes";
    }
    if (reject == Reject::none && n < whole.size()) {
      ASSERT_EQ(r.status, ReadStatus::incomplete) << n << " bytes: " << text_of(r.reject).sentence;
    }
    if (reject != Reject::none) {
      ASSERT_NE(r.status, ReadStatus::complete) << n << " bytes";
    }
    was_invalid = r.status == ReadStatus::invalid;
  }
}

class Requests : public testing::TestWithParam<Case> {};

TEST_P(Requests, AreJudgedAsListedAndByEveryPrefix) {
  const Case& c = GetParam();
  const std::string whole = c.head + "\r\n";
  SCOPED_TRACE(shown(whole));
  auto head = std::make_unique<RequestHead>();
  const auto read = [&](Bytes in) { return read_request(in, {}, *head); };
  const ReadResult r = read(Exact(whole).bytes());
  EXPECT_EQ(text_of(r.reject).name, text_of(c.reject).name);
  EXPECT_EQ(r.status, c.reject == Reject::none ? ReadStatus::complete : ReadStatus::invalid);
  if (r.status == ReadStatus::complete) {
    EXPECT_EQ(head->bytes, whole.size());
  }
  expect_prefixes_agree(whole, c.reject, read);
}

std::string case_name(const testing::TestParamInfo<Case>& c) { return c.param.name; }

using R = Reject;
const std::string kNul(1, '\0');

INSTANTIATE_TEST_SUITE_P(Rfc9112_2_2_Lines_Regret28, Requests, testing::Values(
    Case{"PlainHeadAccepted", get(""), R::none},
    Case{"EmptyLineBeforeAccepted", "\r\n" + get(""), R::none},
    Case{"FourEmptyLinesBeforeAccepted", "\r\n\r\n\r\n\r\n" + get(""), R::none},
    Case{"FiveEmptyLinesBeforeRefused", "\r\n\r\n\r\n\r\n\r\n" + get(""), R::bad_request_line},
    Case{"BareLfBeforeRefused", "\n" + get(""), R::bare_lf},
    Case{"BareLfAfterRequestLineRefused", "GET / HTTP/1.1\nHost: a\r\n", R::bare_lf},
    Case{"BareLfAfterFieldRefused", "GET / HTTP/1.1\r\nHost: a\n", R::bare_lf},
    Case{"BareLfAsEmptyLineRefused", get("\n"), R::bare_lf},
    Case{"BareCrInValueRefused", get("X: a\rb\r\n"), R::bare_cr},
    Case{"BareCrAfterRequestLineRefused", "GET / HTTP/1.1\rHost: a\r\n", R::bare_cr},
    Case{"DoubleCrAtLineEndRefused", get("X: a\r\r\n"), R::bare_cr},
    Case{"BareCrAsEmptyLineRefused", get("\rX"), R::bare_cr}), case_name);

INSTANTIATE_TEST_SUITE_P(Rfc9112_3_RequestLine, Requests, testing::Values(
    Case{"UnknownMethodAccepted", "PROPFIND / HTTP/1.1\r\nHost: a\r\n", R::none},
    Case{"LowerCaseMethodAccepted", "get / HTTP/1.1\r\nHost: a\r\n", R::none},
    Case{"EmptyMethodRefused", " / HTTP/1.1\r\nHost: a\r\n", R::bad_method},
    Case{"MethodWithSlashRefused", "G/T / HTTP/1.1\r\nHost: a\r\n", R::bad_method},
    Case{"MethodWithNulRefused", "G" + kNul + "T / HTTP/1.1\r\nHost: a\r\n", R::bad_method},
    Case{"MethodThenTabRefused", "GET\t/ HTTP/1.1\r\nHost: a\r\n", R::bad_method},
    Case{"EndlessMethodRefused", std::string(40, 'A') + " / HTTP/1.1\r\nHost: a\r\n", R::bad_method},
    Case{"ConnectRefused", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n", R::connect_refused},
    Case{"TwoSpacesRefused", "GET  / HTTP/1.1\r\nHost: a\r\n", R::bad_request_line},
    Case{"NoVersionRefused", "GET /\r\n", R::bad_request_line},
    Case{"SpaceInTargetRefused", "GET /a b HTTP/1.1\r\nHost: a\r\n", R::bad_version},
    Case{"SpaceAfterVersionRefused", "GET / HTTP/1.1 \r\nHost: a\r\n", R::bad_version},
    Case{"LowerCaseVersionRefused", "GET / http/1.1\r\nHost: a\r\n", R::bad_version},
    Case{"Version2Refused", "GET / HTTP/2.0\r\nHost: a\r\n", R::bad_version},
    Case{"Version1_2Refused", "GET / HTTP/1.2\r\nHost: a\r\n", R::bad_version},
    Case{"Version1_10Refused", "GET / HTTP/1.10\r\nHost: a\r\n", R::bad_version},
    Case{"Http2PrefaceRefused", "PRI * HTTP/2.0\r\n\r\nSM\r\n", R::bad_target}), case_name);

INSTANTIATE_TEST_SUITE_P(Rfc9112_3_2_Target, Requests, testing::Values(
    Case{"QuotesBarsAndBackslashAccepted", "GET /\"<>\\^`{|} HTTP/1.1\r\nHost: a\r\n", R::none},
    Case{"QueryAccepted", "GET /?a=b?c HTTP/1.1\r\nHost: a\r\n", R::none},
    Case{"FragmentAccepted", "GET /a#b HTTP/1.1\r\nHost: a\r\n", R::none},
    Case{"AbsoluteFormAccepted", "GET http://b:80/x HTTP/1.1\r\nHost: a\r\n", R::none},
    Case{"AbsoluteHttpsUpperCaseAccepted", "GET HTTPS://b HTTP/1.1\r\nHost: a\r\n", R::none},
    Case{"OptionsAsteriskAccepted", "OPTIONS * HTTP/1.1\r\nHost: a\r\n", R::none},
    Case{"GetAsteriskRefused", "GET * HTTP/1.1\r\nHost: a\r\n", R::bad_target},
    Case{"AsteriskAndMoreRefused", "OPTIONS *a HTTP/1.1\r\nHost: a\r\n", R::bad_target},
    Case{"RelativeTargetRefused", "GET a/b HTTP/1.1\r\nHost: a\r\n", R::bad_target},
    Case{"OtherSchemeRefused", "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n", R::bad_target},
    Case{"EmptyAuthorityRefused", "GET http:///x HTTP/1.1\r\nHost: a\r\n", R::bad_target},
    Case{"UserinfoRefused", "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n", R::bad_target},
    Case{"DelRefused", "GET /\x7f HTTP/1.1\r\nHost: a\r\n", R::bad_target},
    Case{"Utf8Refused", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n", R::bad_target},
    Case{"NulRefused", "GET /" + kNul + " HTTP/1.1\r\nHost: a\r\n", R::bad_target},
    Case{"TabRefused", "GET /\tb HTTP/1.1\r\nHost: a\r\n", R::bad_target}), case_name);

INSTANTIATE_TEST_SUITE_P(Rfc9112_5_FieldLines_Regret28, Requests, testing::Values(
    Case{"NoSpaceAfterColonAccepted", get("X:a\r\n"), R::none},
    Case{"EmptyValueAccepted", get("X:\r\n"), R::none},
    Case{"WhiteSpaceOnlyAccepted", get("X: \t \r\n"), R::none},
    Case{"TabInsideAccepted", get("X: a\tb\r\n"), R::none},
    Case{"ObsTextAccepted", get("X: \xff\x80\r\n"), R::none},
    Case{"OddTokenNameAccepted", get("!#$%&'*+-.^_`|~09: a\r\n"), R::none},
    Case{"SpaceBeforeColonRefused", get("X : a\r\n"), R::bad_field_name},
    Case{"TabBeforeColonRefused", get("X\t: a\r\n"), R::bad_field_name},
    Case{"EmptyNameRefused", get(": a\r\n"), R::bad_field_name},
    Case{"NoColonRefused", get("X\r\n"), R::bad_field_name},
    Case{"NameWithNulRefused", get("X" + kNul + ": a\r\n"), R::bad_field_name},
    Case{"UnderscoredTransferEncodingRefused", get("Transfer_Encoding: chunked\r\n"), R::underscored_framing},
    Case{"UnderscoredContentLengthRefused", get("CONTENT_length: 5\r\n"), R::underscored_framing},
    Case{"NameAboveAsciiRefused", get("X\xc3: a\r\n"), R::bad_field_name},
    Case{"FoldedBySpaceRefused", get("X: a\r\n b\r\n"), R::obs_fold},
    Case{"FoldedByTabRefused", get("X: a\r\n\tb\r\n"), R::obs_fold},
    Case{"SpaceBeforeFirstFieldRefused", "GET / HTTP/1.1\r\n Host: a\r\n", R::obs_fold},
    Case{"NulInValueRefused", get("X: a" + kNul + "\r\n"), R::bad_field_value},
    Case{"DelInValueRefused", get("X: a\x7f\r\n"), R::bad_field_value},
    Case{"VerticalTabRefused", get("X:\v a\r\n"), R::bad_field_value},
    Case{"EscapeLateInLongValueRefused", get("X: " + std::string(100, 'a') + "\x1b\r\n"), R::bad_field_value}), case_name);

INSTANTIATE_TEST_SUITE_P(Rfc9112_6_Framing_Regret28, Requests, testing::Values(
    Case{"LengthAccepted", get("Content-Length: 10\r\n"), R::none},
    Case{"LengthWithLeadingZeroAccepted", get("Content-Length: 003\r\n"), R::none},
    Case{"LargestLengthAccepted", get("Content-Length: 9223372036854775807\r\n"), R::none},
    Case{"LengthAbove63BitsRefused", get("Content-Length: 9223372036854775808\r\n"), R::bad_content_length},
    Case{"TwentyDigitsRefused", get("Content-Length: 00000000000000000001\r\n"), R::bad_content_length},
    Case{"EmptyLengthRefused", get("Content-Length:\r\n"), R::bad_content_length},
    Case{"SignedLengthRefused", get("Content-Length: +1\r\n"), R::bad_content_length},
    Case{"NegativeLengthRefused", get("Content-Length: -1\r\n"), R::bad_content_length},
    Case{"HexLengthRefused", get("Content-Length: 0x1\r\n"), R::bad_content_length},
    Case{"LengthListRefused", get("Content-Length: 1, 1\r\n"), R::bad_content_length},
    Case{"LengthWithSpaceInsideRefused", get("Content-Length: 1 1\r\n"), R::bad_content_length},
    Case{"SameLengthTwiceRefused", get("Content-Length: 1\r\nContent-Length: 1\r\n"), R::bad_content_length},
    Case{"ChunkedAccepted", get("Transfer-Encoding: chunked\r\n"), R::none},
    Case{"ChunkedInAnyCaseAccepted", get("tRANSFER-eNCODING: cHuNkEd\r\n"), R::none},
    Case{"ChunkedThenLengthRefused", get("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), R::length_and_chunked},
    Case{"LengthThenChunkedRefused", get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), R::length_and_chunked},
    Case{"EmptyCodingRefused", get("Transfer-Encoding:\r\n"), R::bad_transfer_encoding},
    Case{"IdentityRefused", get("Transfer-Encoding: identity\r\n"), R::bad_transfer_encoding},
    Case{"GzipChunkedRefused", get("Transfer-Encoding: gzip, chunked\r\n"), R::bad_transfer_encoding},
    Case{"CommaChunkedRefused", get("Transfer-Encoding: ,chunked\r\n"), R::bad_transfer_encoding},
    Case{"ChunkedTwiceRefused", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), R::bad_transfer_encoding},
    Case{"ChunkedInHttp10Refused", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", R::chunked_in_http_1_0}), case_name);

INSTANTIATE_TEST_SUITE_P(Rfc9110_7_2_Host, Requests, testing::Values(
    Case{"PortAccepted", "GET / HTTP/1.1\r\nHost: a.b-c_d:8080\r\n", R::none},
    Case{"EmptyPortAccepted", "GET / HTTP/1.1\r\nHost: a:\r\n", R::none},
    Case{"Ip6Accepted", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n", R::none},
    Case{"EscapeAccepted", "GET / HTTP/1.1\r\nHost: a%41b\r\n", R::none},
    Case{"AbsentInHttp10Accepted", "GET / HTTP/1.0\r\n", R::none},
    Case{"AbsentRefused", "GET / HTTP/1.1\r\nX: a\r\n", R::bad_host},
    Case{"AbsentBesideAbsoluteFormRefused", "GET http://a/ HTTP/1.1\r\n", R::bad_host},
    Case{"TwiceRefused", get("Host: a\r\n"), R::bad_host},
    Case{"TwiceInHttp10Refused", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n", R::bad_host},
    Case{"EmptyRefused", "GET / HTTP/1.1\r\nHost:\r\n", R::bad_host},
    Case{"PortOnlyRefused", "GET / HTTP/1.1\r\nHost: :80\r\n", R::bad_host},
    Case{"UserinfoRefused", "GET / HTTP/1.1\r\nHost: u@a\r\n", R::bad_host},
    Case{"SlashRefused", "GET / HTTP/1.1\r\nHost: a/b\r\n", R::bad_host},
    Case{"SpaceRefused", "GET / HTTP/1.1\r\nHost: a b\r\n", R::bad_host},
    Case{"CommaRefused", "GET / HTTP/1.1\r\nHost: a,b\r\n", R::bad_host},
    Case{"ObsTextRefused", "GET / HTTP/1.1\r\nHost: \xff\r\n", R::bad_host},
    Case{"PortTooBigRefused", "GET / HTTP/1.1\r\nHost: a:65536\r\n", R::bad_host},
    Case{"PortNotANumberRefused", "GET / HTTP/1.1\r\nHost: a:8x\r\n", R::bad_host},
    Case{"BrokenEscapeRefused", "GET / HTTP/1.1\r\nHost: a%4\r\n", R::bad_host},
    Case{"OpenBracketRefused", "GET / HTTP/1.1\r\nHost: [::1\r\n", R::bad_host},
    Case{"ZoneRefused", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n", R::bad_host}), case_name);

class Responses : public testing::TestWithParam<Case> {};

TEST_P(Responses, AreJudgedAsListedAndByEveryPrefix) {
  const Case& c = GetParam();
  const std::string whole = c.head + "\r\n";
  SCOPED_TRACE(shown(whole));
  auto head = std::make_unique<ResponseHead>();
  const auto read = [&](Bytes in) { return read_response(in, Method::get, {}, *head); };
  const ReadResult r = read(Exact(whole).bytes());
  EXPECT_EQ(text_of(r.reject).name, text_of(c.reject).name);
  EXPECT_EQ(r.status, c.reject == Reject::none ? ReadStatus::complete : ReadStatus::invalid);
  expect_prefixes_agree(whole, c.reject, read);
}

INSTANTIATE_TEST_SUITE_P(Rfc9112_4_StatusLine, Responses, testing::Values(
    Case{"PlainAccepted", "HTTP/1.1 200 OK\r\n", R::none},
    Case{"EmptyReasonAccepted", "HTTP/1.1 200 \r\n", R::none},
    Case{"NoReasonAccepted", "HTTP/1.1 200\r\n", R::none},
    Case{"ObsTextReasonAccepted", "HTTP/1.0 500 Ori\xeb\r\n", R::none},
    Case{"EmptyLineBeforeRefused", "\r\nHTTP/1.1 200 OK\r\n", R::bad_version},
    Case{"TwoDigitsRefused", "HTTP/1.1 20 OK\r\n", R::bad_status_line},
    Case{"FourDigitsRefused", "HTTP/1.1 2000 OK\r\n", R::bad_status_line},
    Case{"Status600Refused", "HTTP/1.1 600 OK\r\n", R::bad_status_line},
    Case{"Status099Refused", "HTTP/1.1 099 OK\r\n", R::bad_status_line},
    Case{"TwoSpacesRefused", "HTTP/1.1  200 OK\r\n", R::bad_status_line},
    Case{"ControlInReasonRefused", "HTTP/1.1 200 O\x01K\r\n", R::bad_status_line},
    Case{"BareLfRefused", "HTTP/1.1 200 OK\n", R::bare_lf},
    Case{"OtherVersionRefused", "HTTP/2.0 200 OK\r\n", R::bad_version},
    Case{"LengthIn204Refused", "HTTP/1.1 204 None\r\nContent-Length: 5\r\n", R::body_not_allowed},
    Case{"ZeroLengthIn204Accepted", "HTTP/1.1 204 None\r\nContent-Length: 0\r\n", R::none},
    Case{"ChunkedIn204Refused", "HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n", R::body_not_allowed},
    Case{"LengthIn100Refused", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n", R::body_not_allowed},
    Case{"ChunkedInHttp10Refused", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", R::chunked_in_http_1_0},
    Case{"LengthAndChunkedRefused", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
         R::length_and_chunked}), case_name);

RequestHead request(const std::string& head) {
  static std::string kept;
  kept = head + "\r\n";
  RequestHead out;
  EXPECT_EQ(read_request(bytes_of(kept), {}, out).status, ReadStatus::complete) << shown(kept);
  return out;
}

ResponseHead response(const std::string& head, Method method = Method::get) {
  static std::string kept;
  kept = head + "\r\n";
  ResponseHead out;
  EXPECT_EQ(read_response(bytes_of(kept), method, {}, out).status, ReadStatus::complete) << shown(kept);
  return out;
}

TEST(Rfc9112_3_2, OriginFormIsSplitIntoPathAndQueryWithoutFragment) {
  const RequestHead h = request("GET /a/b?c=d#e HTTP/1.1\r\nHost: x:1\r\n");
  EXPECT_EQ(h.method, Method::get);
  EXPECT_EQ(h.text(h.target), "/a/b?c=d#e");
  EXPECT_EQ(h.path_text(), "/a/b");
  EXPECT_EQ(h.text(h.query), "c=d");
  EXPECT_TRUE(h.has_query);
  EXPECT_EQ(h.text(h.authority), "x:1");
  EXPECT_FALSE(h.absolute_form);
}

TEST(Rfc9112_3_2_2, AuthorityOfAbsoluteFormGoesBeforeHost) {
  const RequestHead h = request("GET http://b:81?q HTTP/1.1\r\nHost: a\r\n");
  EXPECT_TRUE(h.absolute_form);
  EXPECT_EQ(h.text(h.authority), "b:81");
  EXPECT_EQ(h.path_text(), "/");
  EXPECT_EQ(h.text(h.query), "q");
}

TEST(Rfc9112_3_2_4, AsteriskFormIsMarked) {
  EXPECT_TRUE(request("OPTIONS * HTTP/1.1\r\nHost: a\r\n").asterisk_form);
}

TEST(Rfc9112_6_3, RequestFramingFollowsItsFields) {
  EXPECT_EQ(request(get("")).framing, Framing::none);
  EXPECT_EQ(request(get("Transfer-Encoding: chunked\r\n")).framing, Framing::chunked);
  const RequestHead h = request(get("Content-Length:\t042 \r\n"));
  EXPECT_EQ(h.framing, Framing::length);
  EXPECT_EQ(h.content_length, 42u);
}

TEST(Rfc9112_6_3, ResponseFramingFollowsStatusMethodAndFields) {
  const std::string length = "Content-Length: 7\r\n";
  EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + length).framing, Framing::length);
  EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + length, Method::head).framing, Framing::none);
  EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + length, Method::head).content_length, 7u);
  EXPECT_EQ(response("HTTP/1.1 304 Not Modified\r\n" + length).framing, Framing::none);
  EXPECT_EQ(response("HTTP/1.1 204 None\r\n").framing, Framing::none);
  EXPECT_EQ(response("HTTP/1.1 100 Continue\r\n").framing, Framing::none);
  EXPECT_EQ(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n").framing, Framing::chunked);
  const ResponseHead until_close = response("HTTP/1.1 200 OK\r\n");
  EXPECT_EQ(until_close.framing, Framing::until_close);
  EXPECT_FALSE(until_close.keep_alive);
}

TEST(Rfc9112_9_3, PersistenceFollowsVersionAndConnection) {
  EXPECT_TRUE(request(get("")).keep_alive);
  EXPECT_FALSE(request(get("Connection: foo, Close\r\n")).keep_alive);
  EXPECT_FALSE(request(get("Connection: keep-alive\r\nConnection: close\r\n")).keep_alive);
  EXPECT_FALSE(request("GET / HTTP/1.0\r\n").keep_alive);
  EXPECT_TRUE(request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n").keep_alive);
  EXPECT_FALSE(request("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n").keep_alive);
}

TEST(Rfc9110_7_6_1, FieldsNamedByConnectionAreHopByHop) {
  const RequestHead h = request(get("X-A: 1\r\nConnection: x-a ,, X-b\r\nX-B: 2\r\nX-C: 3\r\n"));
  EXPECT_FALSE(h.fields[0].hop_by_hop);
  EXPECT_TRUE(h.fields[1].hop_by_hop);
  EXPECT_TRUE(h.fields[2].hop_by_hop);
  EXPECT_TRUE(h.fields[3].hop_by_hop);
  EXPECT_FALSE(h.fields[4].hop_by_hop);
}

TEST(Rfc9110_7_6_1, TooManyConnectionOptionsAreRefused) {
  RequestHead h;
  std::string options = "a";
  for (u32 i = 0; i < contract::kConnectionOptionsMax; ++i) options += ",a";
  const std::string whole = get("Connection: " + options + "\r\n") + "\r\n";
  EXPECT_EQ(read_request(bytes_of(whole), {}, h).reject, Reject::bad_connection);
}

TEST(Rfc9110_7_8, UpgradeNeedsBothFieldsHttp11AndATunnelProtocol) {
  EXPECT_TRUE(request(get("Connection: Upgrade\r\nUpgrade: websocket\r\n")).upgrade);
  EXPECT_FALSE(request(get("Connection: Upgrade\r\n")).upgrade);
  EXPECT_FALSE(request(get("Upgrade: websocket\r\n")).upgrade);
  EXPECT_FALSE(request(get("Connection: Upgrade\r\nUpgrade: h2c\r\n")).upgrade);
  EXPECT_FALSE(request(get("Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n")).upgrade);
  EXPECT_FALSE(request(get("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n")).upgrade);
  EXPECT_FALSE(request("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n").upgrade);
}

TEST(Rfc9110_10_1_1, ExpectContinueCountsInHttp11Only) {
  EXPECT_TRUE(request(get("Expect: 100-Continue\r\n")).expects_continue);
  EXPECT_FALSE(request(get("Expect: 200-ok\r\n")).expects_continue);
  EXPECT_FALSE(request("POST / HTTP/1.0\r\nExpect: 100-continue\r\n").expects_continue);
}

TEST(HeadLimits, EveryLimitRefusesOneMoreAndAcceptsTheLast) {
  RequestHead h;
  const std::string whole = "GET /12345 HTTP/1.1\r\nHost: a\r\nA: 1\r\n\r\n";
  HeadLimits limits;
  limits.head_bytes = static_cast<u32>(whole.size());
  limits.fields = 2;
  limits.target_bytes = 6;
  EXPECT_EQ(read_request(bytes_of(whole), limits, h).status, ReadStatus::complete);
  limits.head_bytes -= 1;
  EXPECT_EQ(read_request(bytes_of(whole), limits, h).reject, Reject::head_too_large);
  EXPECT_EQ(read_request(bytes_of(std::string_view(whole).substr(0, limits.head_bytes)), limits, h).reject,
            Reject::head_too_large);
  limits.head_bytes += 1;
  limits.fields = 1;
  EXPECT_EQ(read_request(bytes_of(whole), limits, h).reject, Reject::too_many_fields);
  limits.fields = 2;
  limits.target_bytes = 5;
  EXPECT_EQ(read_request(bytes_of(whole), limits, h).reject, Reject::target_too_long);
}

TEST(HeadLimits, BytesBehindTheHeadDoNotCount) {
  RequestHead h;
  const std::string whole = get("") + "\r\n";
  HeadLimits limits;
  limits.head_bytes = static_cast<u32>(whole.size());
  EXPECT_EQ(read_request(bytes_of(whole + std::string(100'000, 'x')), limits, h).status, ReadStatus::complete);
  EXPECT_EQ(h.bytes, whole.size());
}

TEST(Early, RefusalsComeWithTheFirstImpossibleByte) {
  RequestHead h;
  for (const char* part : {"GET x", "OPTIONS *x", "GET ht+", "GET / HTTP/2", "GET / HTTP/1.1\r\nContent-Length: 1x",
                           "GET / HTTP/1.1\r\nTransfer-Encoding: gz", "GET / HTTP/1.1\r\nX: \x01", "CONNECT "}) {
    EXPECT_EQ(read_request(bytes_of(part), {}, h).status, ReadStatus::invalid) << part;
  }
}

}  // namespace
}  // namespace ringway::http::test
