#pragma once
// What the tests of HTTP/1.1 share: bytes out of text, a driver that reads a whole connection's bytes the way the
// relay does (head, body, next head), and the case files of the shared folder.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/http/h1_body.h"
#include "dataplane/http/h1_read.h"
#include "dataplane/http/h1_write.h"

namespace ringway::http::test {

inline Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }

// A copy on the heap with not one byte to spare, so that a sanitizer sees a read past either end.
class Exact {
 public:
  explicit Exact(std::string_view text) : size_(text.size()), bytes_(new u8[text.size()]) {
    std::copy(text.begin(), text.end(), bytes_.get());
  }
  Bytes bytes() const { return {bytes_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<u8[]> bytes_;
};

struct Message {
  std::string method;
  std::string target;
  int minor_version = 1;
  int status = 0;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;       // without framing
  std::string body_wire;  // with framing
  std::string forwarded;  // the head as write_request sends it (requests only)
  Framing framing = Framing::none;
  bool complete = false;
};

struct Conversation {
  std::vector<Message> messages;
  Reject reject = Reject::none;
  bool data_after_close = false;
  bool tunnel = false;
  std::size_t left = 0;  // bytes behind the last complete message

  bool refused() const { return reject != Reject::none || data_after_close; }
  std::size_t complete() const {
    std::size_t n = 0;
    for (const Message& m : messages) n += m.complete;
    return n;
  }
};

inline std::string forwarded_head(const RequestHead& head, bool upgrade = false) {
  RequestEdit edit;
  edit.client_ip = wire::Ip4::of(10, 1, 2, 3);
  edit.via = "ringway";
  edit.request_id = "00000000-0000-4000-8000-000000000000";
  edit.upgrade = upgrade;
  std::string out(head.bytes + 4096u, '\0');
  const u32 n = write_request(head, edit, {reinterpret_cast<u8*>(out.data()), out.size()});
  out.resize(n);
  return out;
}

// Reads the body behind a head; false when it is refused or more bytes are needed.
inline bool read_body(std::string_view raw, std::size_t& at, BodyReader& reader, Message& m, Reject& reject) {
  for (;;) {
    const BodyReader::Run run = reader.next(bytes_of(raw.substr(at)));
    if (run.kind == BodyReader::RunKind::end) return true;
    if (run.kind == BodyReader::RunKind::invalid) reject = run.reject;
    if (run.kind == BodyReader::RunKind::invalid || run.kind == BodyReader::RunKind::more) return false;
    if (run.kind == BodyReader::RunKind::payload) m.body += raw.substr(at, run.bytes);
    m.body_wire += raw.substr(at, run.bytes);
    at += run.bytes;
  }
}

inline void keep_fields(const Head& head, Message& m) {
  for (u32 i = 0; i < head.field_count; ++i) m.fields.emplace_back(head.name(i), head.value(i));
  m.minor_version = head.minor_version;
  m.framing = head.framing;
}

inline bool only_empty_lines(std::string_view rest) {
  return rest.find_first_not_of("\r\n") == std::string_view::npos;
}

inline Conversation read_requests(std::string_view raw, const HeadLimits& limits = {}) {
  Conversation c;
  std::size_t at = 0;
  auto head = std::make_unique<RequestHead>();
  while (at < raw.size()) {
    const Exact rest(raw.substr(at));
    const ReadResult result = read_request(rest.bytes(), limits, *head);
    c.left = raw.size() - at;
    if (result.status == ReadStatus::invalid) c.reject = result.reject;
    if (result.status != ReadStatus::complete) return c;
    Message& m = c.messages.emplace_back();
    m.method = head->text(head->method_text);
    m.target = head->text(head->target);
    keep_fields(*head, m);
    m.forwarded = forwarded_head(*head, head->upgrade);
    at += head->bytes;
    BodyReader body;
    body.begin(head->framing, head->content_length);
    m.complete = read_body(raw, at, body, m, c.reject);
    if (!m.complete) return c;
    c.left = raw.size() - at;
    c.tunnel = head->upgrade;
    if (c.tunnel) return c;
    if (!head->keep_alive) {
      c.data_after_close = at < raw.size();
      return c;
    }
  }
  return c;
}

inline Conversation read_responses(std::string_view raw, Method method = Method::get) {
  Conversation c;
  std::size_t at = 0;
  auto head = std::make_unique<ResponseHead>();
  while (at < raw.size()) {
    const Exact rest(raw.substr(at));
    const ReadResult result = read_response(rest.bytes(), method, {}, *head);
    c.left = raw.size() - at;
    if (result.status == ReadStatus::invalid) c.reject = result.reject;
    if (result.status != ReadStatus::complete) return c;
    Message& m = c.messages.emplace_back();
    m.status = head->status;
    m.reason = head->text(head->reason);
    keep_fields(*head, m);
    at += head->bytes;
    BodyReader body;
    body.begin(head->framing, head->content_length);
    m.complete = read_body(raw, at, body, m, c.reject);
    if (!m.complete) return c;
    c.left = raw.size() - at;
    c.tunnel = head->status == 101;
    if (c.tunnel) return c;
    if (!head->keep_alive) {
      c.data_after_close = at < raw.size();
      return c;
    }
  }
  return c;
}

inline std::string base64(std::string_view text) {
  std::string out;
  u32 word = 0;
  int bits = 0;
  for (const char c : text) {
    u32 six = 0;
    if (c >= 'A' && c <= 'Z') six = static_cast<u32>(c - 'A');
    else if (c >= 'a' && c <= 'z') six = static_cast<u32>(c - 'a') + 26;
    else if (c >= '0' && c <= '9') six = static_cast<u32>(c - '0') + 52;
    else if (c == '+') six = 62;
    else if (c == '/') six = 63;
    else continue;
    word = word << 6 | six;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += static_cast<char>(word >> bits & 0xff);
    }
  }
  return out;
}

// The case file `name` of data/suites; nothing where the shared folder is absent. A file that is there and cannot be
// read fails the test.
inline std::optional<nlohmann::json> suite(const std::string& name) {
  const char* shared = std::getenv("RINGWAY_SHARED");
  if (shared == nullptr || !std::filesystem::exists(shared)) return std::nullopt;
  std::ifstream in(std::filesystem::path(shared) / "data" / "suites" / name);
  nlohmann::json cases = nlohmann::json::parse(in, nullptr, false);
  if (cases.is_discarded()) {
    ADD_FAILURE() << name << " is not readable JSON";
    return nlohmann::json::array();
  }
  return cases;
}

#define RW_SUITE_OR_SKIP(variable, name)                              \
  const auto variable##_read = ::ringway::http::test::suite(name);    \
  if (!variable##_read) GTEST_SKIP() << "no shared folder of suites"; \
  const nlohmann::json& variable = *variable##_read

inline std::string shown(std::string_view raw) {
  std::string out;
  for (const char ch : raw) {
    const u8 c = static_cast<u8>(ch);
    constexpr char digits[] = "0123456789abcdef";
    if (c == '\r') out += "\\r";
    else if (c == '\n') out += "\\n";
    else if (c < 0x20 || c > 0x7e) out += std::string("\\x") + digits[c >> 4] + digits[c & 15];
    else out += ch;
  }
  return out;
}

// Adds "Host: localhost" to every request of `raw` that has none, as the black-box runner does: the cases were
// written for parsers that do not ask for it.
std::string with_host(const std::string& raw);

}  // namespace ringway::http::test
