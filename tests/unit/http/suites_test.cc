// The shared case files against the reader, the body reader and the writer: verdicts that most servers agree on,
// llhttp's own cases, and requests made to be read differently by two parsers.

#include <map>
#include <regex>

#include "tests/unit/http/support.h"

namespace ringway::http::test {

std::string with_host(const std::string& raw) {
  static const std::regex line("[A-Z\\-]+ [^\\r\\n]* HTTP/1\\.[01]\\r\\n");
  static const std::regex host("(^|\\n)host:", std::regex::icase);
  std::string out;
  std::size_t at = 0;
  for (std::sregex_iterator it(raw.begin(), raw.end(), line), last; it != last; ++it) {
    const auto start = static_cast<std::size_t>(it->position());
    if (start != 0 && raw[start - 1] != '\n') continue;
    const std::size_t end = start + static_cast<std::size_t>(it->length());
    const std::string head = raw.substr(end, raw.find("\r\n\r\n", end) - end);
    out += raw.substr(at, end - at);
    at = end;
    if (!std::regex_search(head, host)) out += "Host: localhost\r\n";
  }
  return out + raw.substr(at);
}

namespace {

std::string outcome(std::string_view raw, const Conversation& c) {
  if (c.refused()) return "reject";
  if (c.left == 0 || only_empty_lines(raw.substr(raw.size() - c.left))) {
    if (!c.messages.empty() && c.messages.back().complete) return "accept";
  }
  return "incomplete";
}

void expect_consensus(const nlohmann::json& cases) {
  ASSERT_FALSE(cases.empty());
  for (const nlohmann::json& x : cases) {
    const std::string raw = with_host(base64(x.at("raw").get<std::string>()));
    const std::string expected = x.at("expect");
    std::size_t messages = expected == "accept" ? 1 : 0;
    if (x.contains("nmsg") && x["nmsg"].is_number()) messages = x["nmsg"];
    SCOPED_TRACE(x.at("id").get<std::string>() + " " + shown(raw));
    const Conversation c = read_requests(raw);
    EXPECT_EQ(outcome(raw, c), expected) << text_of(c.reject).sentence;
    if (expected == "accept") {
      EXPECT_EQ(c.complete(), messages);
    }
    EXPECT_LE(c.complete(), messages);
  }
}

TEST(Consensus, LlhttpCasesAreJudgedAsMostServersJudgeThem) {
  RW_SUITE_OR_SKIP(cases, "h1_llhttp_consensus.dev.json");
  expect_consensus(cases);
}

TEST(Consensus, PicoCasesAreJudgedAsMostServersJudgeThem) {
  RW_SUITE_OR_SKIP(cases, "h1_pico_consensus.dev.json");
  expect_consensus(cases);
}

// --- forwarded streams, read by a second reader that shares no code with the first

struct Naive {
  std::size_t requests = 0;
  std::vector<std::string> bodies;
  std::string fault;
};

bool naive_name(const std::string& name) {
  static const std::regex token("[!#$%&'*+\\-.^_`|~0-9A-Za-z]+");
  return std::regex_match(name, token);
}

std::string lowered(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Splits a head into lines and checks each; returns its lower-case fields, or a fault.
std::multimap<std::string, std::string> naive_head(const std::string& head, std::string& fault) {
  std::multimap<std::string, std::string> fields;
  static const std::regex request_line("[A-Z\\-]+ (/[\\x21-\\x7e]*|\\*) HTTP/1\\.1");
  std::size_t at = 0;
  for (std::size_t line = 0; at < head.size(); ++line) {
    const std::size_t end = head.find("\r\n", at);
    const std::string text = head.substr(at, end - at);
    at = end + 2;
    for (const char ch : text) {
      const u8 c = static_cast<u8>(ch);
      if ((c < 0x20 && c != '\t') || c == 0x7f) fault = "control byte";
    }
    if (line == 0) {
      if (!std::regex_match(text, request_line)) fault = "request line " + text;
      if (text.find('#') != std::string::npos) fault = "fragment";
      continue;
    }
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos || !naive_name(text.substr(0, colon))) {
      fault = "field line " + text;
      return fields;
    }
    std::string value = text.substr(colon + 1);
    value.erase(0, value.find_first_not_of(" \t"));
    value.erase(value.find_last_not_of(" \t") + 1);
    fields.emplace(lowered(text.substr(0, colon)), value);
  }
  return fields;
}

// The body of a chunked message from `at` on, which moves behind it.
bool naive_chunks(const std::string& stream, std::size_t& at, std::string& body) {
  static const std::regex size_line("([0-9A-Fa-f]{1,16})(;[\\x20-\\x7e]*)?");
  for (;;) {
    std::size_t end = stream.find("\r\n", at);
    if (end == std::string::npos) return false;
    std::smatch match;
    const std::string line = stream.substr(at, end - at);
    if (!std::regex_match(line, match, size_line)) return false;
    const u64 size = std::stoull(match[1], nullptr, 16);
    at = end + 2;
    if (size == 0) break;
    if (stream.size() - at < size + 2 || stream.compare(at + size, 2, "\r\n") != 0) return false;
    body += stream.substr(at, size);
    at += size + 2;
  }
  for (;;) {
    const std::size_t end = stream.find("\r\n", at);
    if (end == std::string::npos) return false;
    const bool last = end == at;
    at = end + 2;
    if (last) return true;
  }
}

Naive naive_read(const std::string& stream) {
  Naive seen;
  std::size_t at = 0;
  while (at < stream.size() && seen.fault.empty()) {
    const std::size_t end = stream.find("\r\n\r\n", at);
    if (end == std::string::npos) {
      seen.fault = "no end of head";
      break;
    }
    const auto fields = naive_head(stream.substr(at, end + 2 - at), seen.fault);
    at = end + 4;
    const auto lengths = fields.count("content-length");
    const auto codings = fields.count("transfer-encoding");
    if (fields.count("host") != 1 || lengths + codings > 1) seen.fault = "framing or host fields";
    std::string body;
    if (codings == 1) {
      if (fields.find("transfer-encoding")->second != "chunked") seen.fault = "coding";
      if (!naive_chunks(stream, at, body)) seen.fault = "chunks";
    } else if (lengths == 1) {
      const std::string& text = fields.find("content-length")->second;
      if (text.find_first_not_of("0123456789") != std::string::npos) seen.fault = "length";
      const std::size_t size = std::stoull(text);
      if (stream.size() - at < size) seen.fault = "short body";
      body = stream.substr(at, size);
      at += body.size();
    }
    seen.bodies.push_back(body);
    ++seen.requests;
  }
  return seen;
}

void expect_forwarded_unambiguously(const nlohmann::json& cases) {
  ASSERT_FALSE(cases.empty());
  std::size_t refused = 0;
  for (const nlohmann::json& x : cases) {
    const std::string raw = base64(x.at("raw").get<std::string>());
    SCOPED_TRACE(x.at("id").get<std::string>() + " " + shown(raw));
    const Conversation c = read_requests(raw);
    refused += c.refused();
    std::string stream;
    std::vector<Message> sent;
    for (const Message& m : c.messages) {
      if (!m.complete) continue;
      ASSERT_FALSE(m.forwarded.empty());
      stream += m.forwarded + m.body_wire;
      sent.push_back(m);
    }
    const Naive seen = naive_read(stream);
    EXPECT_EQ(seen.fault, "") << shown(stream);
    ASSERT_EQ(seen.requests, sent.size()) << shown(stream);
    const Conversation again = read_requests(stream);
    EXPECT_EQ(again.reject, Reject::none) << text_of(again.reject).sentence << shown(stream);
    ASSERT_EQ(again.complete(), sent.size());
    for (std::size_t i = 0; i < sent.size(); ++i) {
      EXPECT_EQ(seen.bodies[i], sent[i].body);
      EXPECT_EQ(again.messages[i].body, sent[i].body);
      EXPECT_EQ(again.messages[i].framing, sent[i].framing);
      EXPECT_EQ(again.messages[i].method, sent[i].method);
    }
  }
  EXPECT_GT(refused, cases.size() / 2);
}

TEST(Desync, HttpGardenCasesAreRefusedOrForwardedUnambiguously) {
  RW_SUITE_OR_SKIP(cases, "h1_garden.dev.json");
  expect_forwarded_unambiguously(cases);
}

TEST(Desync, DesyncBoxCasesAreRefusedOrForwardedUnambiguously) {
  RW_SUITE_OR_SKIP(cases, "h1_desyncbox.dev.json");
  expect_forwarded_unambiguously(cases);
}

TEST(Desync, Regret28_SmugglerCasesAreRefusedOrForwardedUnambiguously) {
  RW_SUITE_OR_SKIP(cases, "h1_smuggler.dev.json");
  expect_forwarded_unambiguously(cases);
}

}  // namespace
}  // namespace ringway::http::test
