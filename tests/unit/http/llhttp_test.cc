// llhttp's own cases (requests, responses, URLs) against the reader: the same messages, or refused by both. Where
// Ringway refuses what llhttp takes, kStricter says so and why. Cases of llhttp's lenient modes have no counterpart:
// there the reader only has to come to an end.

#include <map>
#include <set>

#include "tests/unit/http/support.h"

namespace ringway::http::test {
namespace {

const std::map<std::string, std::string> kStricter{
    {"request/method.md:147", "asterisk-form is for OPTIONS only (RFC 9112 3.2.4)"},
    {"request/method.md:382", "ICE is not HTTP"},
    {"request/method.md:412", "RTSP is not HTTP"},
    {"request/method.md:440", "RTSP is not HTTP"},
    {"request/sample.md:323", "HTTP/0.9 has no version and no fields"},
    {"request/transfer-encoding.md:766", "only chunked: a coding below it would have to be undone for HTTP/1.0 peers"},
    {"request/transfer-encoding.md:809", "one Transfer-Encoding field, only chunked"},
    {"request/uri.md:231", "userinfo in a target is an error (RFC 9110 4.2.4)"},
    {"response/connection.md:506", "bytes between responses are nobody's"},
    {"response/connection.md:602", "bytes between responses are nobody's"},
    {"response/pipelining.md:22", "bytes between responses are nobody's"},
    {"response/sample.md:707", "bytes between responses are nobody's"},
    {"response/sample.md:49", "RTSP is not HTTP"},
    {"response/sample.md:69", "ICE is not HTTP"},
    {"response/sample.md:654", "HTTP/0.9 has no status line"},
    {"response/connection.md:306", "101 has no body (RFC 9110 8.6)"},
    {"response/connection.md:349", "101 has no body (RFC 9112 6.1)"},
    {"response/transfer-encoding.md:54", "a response that ends with the connection only because its coding is odd"},
    {"response/transfer-encoding.md:86", "one Transfer-Encoding field, only chunked"},
    {"response/transfer-encoding.md:127", "chunkedchunked is no coding"},
    {"url.md:173", "userinfo in a target is an error (RFC 9110 4.2.4)"},
    {"url.md:199", "userinfo in a target is an error (RFC 9110 4.2.4)"},
    {"url.md:211", "userinfo in a target is an error (RFC 9110 4.2.4)"},
    {"url.md:223", "zone identifiers have no meaning at another host (RFC 6874 4)"},
    {"url.md:235", "zone identifiers have no meaning at another host (RFC 6874 4)"},
};

// llhttp takes a closed list of methods; for a gateway a method is any token (RFC 9110 9.1).
const std::set<std::string> kMethodsUnknownToLlhttp{"request/invalid.md:76", "request/invalid.md:365"};

// The case file writes bytes above 0x7f as the code points of the same number.
std::string narrow(const std::string& utf8) {
  std::string out;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const u8 c = static_cast<u8>(utf8[i]);
    if (c < 0xc0 || i + 1 == utf8.size()) {
      out += utf8[i];
      continue;
    }
    out += static_cast<char>((c & 3) << 6 | (static_cast<u8>(utf8[++i]) & 0x3f));
  }
  return out;
}

// Without trailing white space; the case file writes a tab as backslash and t.
std::string trimmed(std::string text) {
  for (;;) {
    text.erase(text.find_last_not_of(" \t") + 1);
    if (!text.ends_with("\\t")) return text;
    text.erase(text.size() - 2);
  }
}

// The case file has bodies without their CRs and LFs.
std::string without_line_ends(std::string text) {
  std::erase_if(text, [](char c) { return c == '\r' || c == '\n'; });
  return text;
}

void expect_same_message(const nlohmann::json& theirs, const Message& ours) {
  EXPECT_EQ(ours.method, theirs.value("method", ""));
  EXPECT_EQ(ours.target, narrow(theirs.value("url", "")));
  EXPECT_EQ("1." + std::to_string(ours.minor_version), theirs.value("version", ""));
  EXPECT_EQ(without_line_ends(ours.body), narrow(theirs.value("body", "")));
  EXPECT_EQ(ours.reason, narrow(theirs.value("status", "")));
  // Theirs has the trailer fields too, behind those of the head; ours may have a Host that the test added.
  std::size_t i = 0;
  for (const auto& [name, value] : ours.fields) {
    if (name == "Host" && value == "localhost") continue;
    while (i < theirs["headers"].size() && theirs["headers"][i][0] == "Host" &&
           theirs["headers"][i][1] == "localhost") {
      ++i;
    }
    ASSERT_LT(i, theirs["headers"].size());
    EXPECT_EQ(name, narrow(theirs["headers"][i][0]));
    EXPECT_EQ(value, trimmed(narrow(theirs["headers"][i][1])));
    ++i;
  }
}

void expect_same_messages(const nlohmann::json& x, const Conversation& c) {
  const nlohmann::json& theirs = x["messages"];
  EXPECT_FALSE(c.refused()) << text_of(c.reject).sentence;
  std::size_t complete = 0;
  for (const nlohmann::json& m : theirs) complete += m["complete"].get<bool>();
  EXPECT_EQ(c.complete(), complete);
  ASSERT_LE(c.messages.size(), theirs.size());
  for (std::size_t i = 0; i < c.messages.size(); ++i) expect_same_message(theirs[i], c.messages[i]);
}

void expect_like_llhttp(const nlohmann::json& x) {
  const std::string id = x["id"];
  const std::string type = x["type"];
  const bool request = type.starts_with("request");
  const std::string sent = base64(x["raw_b64"].get<std::string>());
  const std::string raw = request ? with_host(sent) : sent;
  SCOPED_TRACE(id + " " + shown(raw));
  const Conversation c = request ? read_requests(raw) : read_responses(raw);
  if (type.find("lenient") != std::string::npos) return;
  if (x["meta"].is_object() && x["meta"].value("skipBody", false)) return;  // asks llhttp not to read the body
  if (kStricter.contains(id)) {
    EXPECT_TRUE(c.refused()) << "no longer stricter than llhttp";
    return;
  }
  if (kMethodsUnknownToLlhttp.contains(id)) {
    EXPECT_EQ(c.complete(), 1u);
    return;
  }
  if (x["error"].is_null()) return expect_same_messages(x, c);
  const bool pause = x["error"]["reason"].get<std::string>().starts_with("Pause on CONNECT");
  EXPECT_TRUE(c.refused() || (pause && c.tunnel)) << x["error"].dump();
}

TEST(Llhttp, MessagesAreReadAlikeOrRefused) {
  RW_SUITE_OR_SKIP(cases, "llhttp_cases.json");
  ASSERT_FALSE(cases.empty());
  for (const nlohmann::json& x : cases) {
    if (x["kind"] != "url") expect_like_llhttp(x);
  }
}

// Text of the URL part that llhttp found, from a log line such as: off=18 len=5 span[url.path]="/path"
std::string logged(const nlohmann::json& log, const std::string& part) {
  for (const nlohmann::json& entry : log) {
    const std::string line = entry;
    const std::size_t at = line.find("span[url." + part + "]=\"");
    if (at != std::string::npos) return line.substr(at + part.size() + 12, line.size() - at - part.size() - 13);
  }
  return "";
}

TEST(Llhttp, UrlsAreSplitAlikeOrRefused) {
  RW_SUITE_OR_SKIP(cases, "llhttp_cases.json");
  RequestHead head;
  for (const nlohmann::json& x : cases) {
    if (x["kind"] != "url") continue;
    const std::string id = x["id"];
    const std::string raw = "GET " + base64(x["raw_b64"].get<std::string>()) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    SCOPED_TRACE(id + " " + shown(raw));
    const ReadResult result = read_request(bytes_of(raw), {}, head);
    if (!x["error"].is_null() || kStricter.contains(id)) {
      EXPECT_EQ(result.status, ReadStatus::invalid);
      continue;
    }
    ASSERT_EQ(result.status, ReadStatus::complete) << text_of(result.reject).sentence;
    EXPECT_EQ(head.text(head.path), logged(x["log"], "path"));
    EXPECT_EQ(head.text(head.query), logged(x["log"], "query"));
    const std::string host = logged(x["log"], "host");
    if (head.absolute_form) {
      EXPECT_NE(head.text(head.authority).find(host), std::string_view::npos);
      EXPECT_FALSE(host.empty());
    }
  }
}

}  // namespace
}  // namespace ringway::http::test
