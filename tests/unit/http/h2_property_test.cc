// H2HeadText beside a plain model of RFC 9113 section 8, over lists of fields drawn from what is usual and what is
// forbidden: the same lists are refused, the others become exactly the lines that the model says, and the HTTP/1.1
// reader accepts the text, whole, unless the model knows why not.

#include <algorithm>
#include <optional>
#include <random>
#include <regex>

#include "dataplane/http/h1_target.h"
#include "tests/unit/http/h2_support.h"

namespace ringway::http::test {
namespace {

using namespace std::string_literals;
using Lines = std::vector<std::pair<std::string, std::string>>;

// What a list of fields means, or nothing where it is malformed.
struct Meaning {
  std::string first;   // method or status
  std::string target;
  Lines lines;
  bool upgrade = false;
  bool refused_behind = false;  // by the HTTP/1.1 reader, knowingly
};

std::string lowered(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

bool is_number(const std::string& text) {
  if (text.empty() || text.size() > 19 || text.find_first_not_of("0123456789") != std::string::npos) return false;
  return text.size() < 19 || text <= "9223372036854775807";
}

bool is_plain_field(const TestField& field) {
  static const std::regex name("[!#$%&'*+\\-.^_`|~0-9a-z]+");
  if (!std::regex_match(field.name, name)) return false;
  for (const char c : field.value) {
    const u8 byte = static_cast<u8>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return false;
  }
  const auto white = [](char c) { return c == ' ' || c == '\t'; };
  return field.value.empty() || (!white(field.value.front()) && !white(field.value.back()));
}

// The pseudo-headers of a list; nothing where they break section 8.3.
std::optional<std::map<std::string, std::string>> pseudo_of(const FieldList& fields, const std::vector<std::string>& allowed) {
  std::map<std::string, std::string> pseudo;
  bool behind = false;
  for (const TestField& field : fields) {
    const bool is_pseudo = !field.name.empty() && field.name.front() == ':';
    behind |= !is_pseudo;
    if (!is_pseudo) continue;
    if (behind || std::find(allowed.begin(), allowed.end(), field.name) == allowed.end()) return std::nullopt;
    if (!pseudo.emplace(field.name, field.value).second) return std::nullopt;
  }
  return pseudo;
}

bool is_connection_field(const std::string& name) {
  static const std::vector<std::string> names{"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade",
                                              "http2-settings"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::optional<Meaning> request_meaning(const FieldList& fields, bool end) {
  const auto pseudo = pseudo_of(fields, {":method", ":scheme", ":path", ":authority", ":protocol"});
  if (!pseudo || !pseudo->contains(":method")) return std::nullopt;
  const auto get = [&](const char* name) { return pseudo->contains(name) ? pseudo->at(name) : ""s; };
  const std::string method = get(":method"), path = get(":path"), authority = get(":authority"), protocol = get(":protocol");
  const bool upgrade = pseudo->contains(":protocol");
  const bool plain_connect = method == "CONNECT" && !upgrade;
  static const std::regex token("[!#$%&'*+\\-.^_`|~0-9a-zA-Z]{1,32}");
  static const std::regex path_form("/[!\"$-~]*|\\*");  // visible ASCII without '#'
  static const std::regex tunnel("(?!h2c?$|(http|tls)/)[!#$%&'*+\\-.^_`|~0-9a-z/]{1,32}", std::regex::icase);
  if (!std::regex_match(method, token)) return std::nullopt;
  if (plain_connect == pseudo->contains(":scheme") || plain_connect == pseudo->contains(":path")) return std::nullopt;
  if (!plain_connect) {
    if (lowered(get(":scheme")) != "http" && lowered(get(":scheme")) != "https") return std::nullopt;
    if (!std::regex_match(path, path_form) || (path == "*" && method != "OPTIONS")) return std::nullopt;
  }
  if (pseudo->contains(":authority") ? !is_authority(authority) : method == "CONNECT") return std::nullopt;
  if (upgrade && (method != "CONNECT" || !std::regex_match(protocol, tunnel))) return std::nullopt;

  Meaning m{upgrade ? "GET" : method, path, {}, upgrade, plain_connect};
  if (pseudo->contains(":authority")) m.lines.emplace_back("host", authority);
  if (upgrade) {
    m.lines.emplace_back("connection", "upgrade");
    m.lines.emplace_back("upgrade", protocol);
  }
  std::optional<std::string> cookie, length, host;
  for (const TestField& field : fields) {
    if (!field.name.empty() && field.name.front() == ':') continue;
    if (!is_plain_field(field) || is_connection_field(field.name)) return std::nullopt;
    if (field.name == "te" && lowered(field.value) != "trailers") return std::nullopt;
    m.refused_behind |= field.name == "transfer_encoding";
    if (field.name == "cookie") {
      cookie = cookie ? *cookie + "; " + field.value : field.value;
    } else if (field.name == "content-length") {
      if (length || upgrade || !is_number(field.value) || (end && std::stoull(field.value) != 0)) return std::nullopt;
      length = std::to_string(std::stoull(field.value));
    } else if (field.name == "host") {
      if (host || (pseudo->contains(":authority") && lowered(field.value) != lowered(authority))) return std::nullopt;
      host = field.value;
      if (!pseudo->contains(":authority")) m.lines.emplace_back("host", field.value);
    } else {
      m.lines.emplace_back(field.name, field.value);
    }
  }
  if (!pseudo->contains(":authority")) m.refused_behind |= !host || !is_authority(*host);
  while (cookie && !cookie->empty() && cookie->back() == ' ') cookie->pop_back();  // an empty crumb at the end
  if (cookie) m.lines.emplace_back("cookie", *cookie);
  if (upgrade) {
    // What follows is a tunnel.
  } else if (length) {
    m.lines.emplace_back("content-length", *length);
  } else if (!end) {
    m.lines.emplace_back("transfer-encoding", "chunked");
  } else if (method == "POST" || method == "PUT" || method == "PATCH") {
    m.lines.emplace_back("content-length", "0");
  }
  return m;
}

std::optional<Meaning> response_meaning(const FieldList& fields, bool end, bool to_head) {
  const auto pseudo = pseudo_of(fields, {":status"});
  static const std::regex code("[1-5][0-9][0-9]");
  if (!pseudo || !pseudo->contains(":status")) return std::nullopt;
  Meaning m{pseudo->at(":status"), "", {}, false, false};
  if (!std::regex_match(m.first, code) || m.first == "101" || (m.first[0] == '1' && end)) return std::nullopt;
  const bool bodyless = m.first[0] == '1' || m.first == "204" || m.first == "304" || to_head;
  std::optional<std::string> length;
  for (const TestField& field : fields) {
    if (!field.name.empty() && field.name.front() == ':') continue;
    if (!is_plain_field(field) || is_connection_field(field.name) || field.name == "te") return std::nullopt;
    if (field.name == "host" && std::count_if(m.lines.begin(), m.lines.end(), [](auto& l) { return l.first == "host"; }) != 0) {
      m.refused_behind = true;
    }
    if (field.name != "content-length") {
      m.lines.emplace_back(field.name, field.value);
    } else {
      if (length || !is_number(field.value) || (!bodyless && end && std::stoull(field.value) != 0)) return std::nullopt;
      length = std::to_string(std::stoull(field.value));
    }
  }
  if (length) {
    m.lines.emplace_back("content-length", *length);
    m.refused_behind |= (m.first[0] == '1' || m.first == "204") && *length != "0";
  } else if (!bodyless) {
    m.lines.emplace_back(end ? "content-length" : "transfer-encoding", end ? "0" : "chunked");
  }
  return m;
}

// Mostly what is usual, so that many lists are well-formed; now and then something else, anywhere.
class Draw {
 public:
  explicit Draw(u32 seed) : random_(seed) {}

  u32 below(u32 n) { return static_cast<u32>(random_() % n); }
  bool one_in(u32 n) { return below(n) == 0; }
  std::string from(const std::vector<std::string>& usual, const std::vector<std::string>& odd) {
    const auto& list = one_in(16) ? odd : usual;
    return damaged(list[below(static_cast<u32>(list.size()))]);
  }
  std::string damaged(std::string text) {
    if (!one_in(48)) return text;
    static const std::vector<std::string> bits{"\r\n", "\n", "\r", "\0"s, " ", "\t", ":", ": ", "\x7f", "\x80", ",", "A", "#",
                                               " HTTP/1.1\r\nx: y", "\r\n\r\nGET / HTTP/1.1\r\nhost: b\r\n\r\n"};
    text.insert(below(static_cast<u32>(text.size()) + 1), bits[below(static_cast<u32>(bits.size()))]);
    return text;
  }
  bool chance() { return one_in(2); }

 private:
  std::mt19937 random_;
};

void add_fields(Draw& draw, FieldList& fields) {
  for (u32 n = draw.below(7); n != 0; --n) {
    const std::string name = draw.from(
        {"accept", "cookie", "cookie", "content-length", "host", "te", "x-forwarded-for", "via", "user-agent", "x_y", "expect",
         "sec-websocket-key", "a", std::string(40, 'n')},
        {"connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection", "http2-settings", "", "X", ":path",
         ":authority", "transfer_encoding"});
    std::string value = name == "content-length" ? draw.from({"0", "7"}, {"-1", "5, 5", "", "99999999999999999999"})
                        : name == "host"         ? draw.from({"a", "A"}, {"b", "", "a@b", "a:80"})
                        : name == "te"           ? draw.from({"trailers"}, {"gzip", "trailers, gzip", "Trailers"})
                                                 : draw.from({"1", "a=b", "", "x, y", std::string(70, 'v'), "caf\xc3\xa9"},
                                                             {" x", "x ", "chunked", "\t"});
    fields.push_back({name, value});
  }
}

FieldList draw_request(Draw& draw) {
  FieldList fields;
  const bool connect = draw.one_in(8);
  const bool extended = connect && !draw.one_in(4);
  if (!draw.one_in(64)) {
    fields.push_back({":method", connect ? "CONNECT" : draw.from({"GET", "POST", "PUT", "HEAD", "OPTIONS", "X"}, {"", "GET /", "CONNECT"})});
  }
  if (!connect || extended || draw.one_in(8)) fields.push_back({":scheme", draw.from({"http", "https", "HTTP"}, {"", "ftp"})});
  if (!connect || extended || draw.one_in(8)) {
    fields.push_back({":path", draw.from({"/", "/a?b", "/a/../b;c=%20", "/" + std::string(60, 'p')}, {"", "*", "a", "http://b/", "/#f"})});
  }
  if (!draw.one_in(6)) fields.push_back({":authority", draw.from({"a", "a", "b:80", "[::1]:8"}, {"", "u@a", "a,b"})});
  if (extended || draw.one_in(64)) fields.push_back({":protocol", draw.from({"websocket", "connect-udp", "WebSocket"}, {"h2c", "", "tls/1.0"})});
  if (draw.one_in(64)) fields.push_back({draw.from({":status"}, {":x"}), "200"});
  if (draw.one_in(64) && !fields.empty()) fields.push_back(fields[draw.below(static_cast<u32>(fields.size()))]);
  for (std::size_t i = fields.size(); i > 1; --i) std::swap(fields[i - 1], fields[draw.below(static_cast<u32>(i))]);
  add_fields(draw, fields);
  return fields;
}

Lines pairs_of(const Head& head) {
  Lines lines;
  for (u32 i = 0; i < head.field_count; ++i) lines.emplace_back(head.name(i), head.value(i));
  return lines;
}

constexpr u32 kLists = 12'000;

TEST(H2HeadProperty, RequestsMeanWhatTheModelSaysOrLeaveNoText) {
  static RequestHead head;
  u32 complete = 0, read = 0;
  for (u32 seed = 0; seed < kLists; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Draw draw(seed);
    const FieldList fields = draw_request(draw);
    const bool end = draw.chance();
    const auto expected = request_meaning(fields, end);
    const Translated t = translate(Kind::request, fields, end);
    ASSERT_EQ(t.status, expected ? H2HeadStatus::complete : H2HeadStatus::malformed) << testing::PrintToString(fields);
    if (!expected) continue;
    ++complete;
    const ReadResult result = read_request(bytes_of(t.text), {}, head);
    ASSERT_EQ(result.status, expected->refused_behind ? ReadStatus::invalid : ReadStatus::complete) << shown(t.text);
    if (expected->refused_behind) continue;
    ++read;
    ASSERT_EQ(head.bytes, t.text.size()) << shown(t.text);
    ASSERT_EQ(pairs_of(head), expected->lines) << shown(t.text);
    ASSERT_EQ(head.text(head.method_text), expected->first);
    ASSERT_EQ(head.text(head.target), expected->target);
    ASSERT_EQ(head.upgrade, expected->upgrade);
    ASSERT_EQ(t.extended_connect, expected->upgrade);
  }
  // Both outcomes are seen often, or the draw shows nothing.
  EXPECT_GT(read, kLists / 8);
  EXPECT_GT(complete, read);
  EXPECT_LT(complete, kLists * 7 / 8);
}

TEST(H2HeadProperty, ResponsesMeanWhatTheModelSaysOrLeaveNoText) {
  static ResponseHead head;
  u32 complete = 0;
  for (u32 seed = 0; seed < kLists; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Draw draw(seed);
    FieldList fields;
    if (!draw.one_in(64)) fields.push_back({":status", draw.from({"200", "404", "204", "304", "103", "205", "500"}, {"101", "", "20", "600"})});
    if (draw.one_in(64)) fields.push_back({":status", "200"});
    add_fields(draw, fields);
    const bool end = draw.chance();
    const Method method = draw.one_in(4) ? Method::head : Method::get;
    const auto expected = response_meaning(fields, end, method == Method::head);
    const Translated t = translate(Kind::response, fields, end, method);
    ASSERT_EQ(t.status, expected ? H2HeadStatus::complete : H2HeadStatus::malformed) << testing::PrintToString(fields);
    if (!expected) continue;
    ++complete;
    const ReadResult result = read_response(bytes_of(t.text), method, {}, head);
    ASSERT_EQ(result.status, expected->refused_behind ? ReadStatus::invalid : ReadStatus::complete) << shown(t.text);
    if (expected->refused_behind) continue;
    ASSERT_EQ(head.bytes, t.text.size());
    ASSERT_EQ(pairs_of(head), expected->lines) << shown(t.text);
    ASSERT_EQ(std::to_string(head.status), expected->first);
    ASSERT_NE(head.framing, Framing::until_close);
  }
  EXPECT_GT(complete, kLists / 8);
  EXPECT_LT(complete, kLists * 7 / 8);
}

}  // namespace
}  // namespace ringway::http::test
