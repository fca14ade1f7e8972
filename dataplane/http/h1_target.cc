// Request targets and authorities: splits what the reader has found to be visible ASCII. Nothing is decoded or
// normalised; dot segments and encoded slashes pass as sent. Pure, any thread.

#include "dataplane/http/h1_target.h"

#include <cstring>

#include "dataplane/http/bytes.h"

namespace ringway::http {
namespace {

const u8* bytes_of(std::string_view text) { return reinterpret_cast<const u8*>(text.data()); }

// [":" *DIGIT]
bool is_port_part(const u8* at, const u8* end) {
  if (at == end) return true;
  if (*at != ':' || end - at > 6) return false;
  u32 port = 0;
  for (++at; at != end; ++at) {
    if (!is_digit(*at)) return false;
    port = port * 10 + (*at - u32{'0'});
  }
  return port <= 65535;
}

// "[" IPv6address "]" by its alphabet; the address itself is never resolved here.
bool is_ip_literal(const u8* at, const u8* end) {
  const u8* start = ++at;
  bool colon = false;
  while (at != end && (hex_value(*at) < 16 || *at == ':' || *at == '.')) colon |= *at++ == ':';
  return colon && at - start >= 2 && at != end && *at == ']' && is_port_part(at + 1, end);
}

// Length of "http://" or "https://" at the start of `target`; 0 for anything else.
u32 scheme_bytes(std::string_view target) {
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (target.size() >= scheme.size() && equals_ignoring_case(target.substr(0, scheme.size()), scheme)) {
      return static_cast<u32>(scheme.size());
    }
  }
  return 0;
}

// Path and query of `rest`, which begins `offset` bytes into the head.
void split_path(RequestHead& head, std::string_view rest, u32 offset) {
  if (const void* fragment = std::memchr(rest.data(), '#', rest.size()); fragment != nullptr) {
    rest = rest.substr(0, static_cast<std::size_t>(static_cast<const char*>(fragment) - rest.data()));
  }
  const void* mark = rest.empty() ? nullptr : std::memchr(rest.data(), '?', rest.size());
  const auto path_bytes =
      mark == nullptr ? rest.size() : static_cast<std::size_t>(static_cast<const char*>(mark) - rest.data());
  head.path = {static_cast<u16>(offset), static_cast<u16>(path_bytes)};
  head.has_query = mark != nullptr;
  head.query = {};
  if (head.has_query) {
    head.query = {static_cast<u16>(offset + path_bytes + 1), static_cast<u16>(rest.size() - path_bytes - 1)};
  }
}

}  // namespace

bool is_authority(std::string_view text, const u8* readable) {
  const u8* begin = bytes_of(text);
  const u8* end = begin + text.size();
  if (begin == end) return false;
  if (*begin == '[') return is_ip_literal(begin, end);
  const u8* at = begin;
  for (;;) {
    at = scan<is_host_byte>(at, end, readable == nullptr ? begin : readable);
    if (at == end || *at != '%') break;
    if (end - at < 3 || hex_value(at[1]) > 15 || hex_value(at[2]) > 15) return false;
    at += 3;
  }
  return at != begin && is_port_part(at, end);
}

Reject read_target(RequestHead& head) {
  const std::string_view target = head.text(head.target);
  head.absolute_form = false;
  head.asterisk_form = false;
  head.authority = {};
  if (target.front() == '/') {
    split_path(head, target, head.target.offset);
    return Reject::none;
  }
  if (target == "*") {
    if (head.method != Method::options) return Reject::bad_target;
    head.asterisk_form = true;
    head.path = head.target;
    head.query = {};
    head.has_query = false;
    return Reject::none;
  }
  const u32 scheme = scheme_bytes(target);
  if (scheme == 0) return Reject::bad_target;
  const std::size_t authority_end = target.find_first_of("/?#", scheme);
  const std::string_view authority = target.substr(scheme, authority_end - scheme);
  if (!is_authority(authority, head.base)) return Reject::bad_target;
  head.absolute_form = true;
  head.authority = {static_cast<u16>(head.target.offset + scheme), static_cast<u16>(authority.size())};
  const u32 rest = scheme + static_cast<u32>(authority.size());
  split_path(head, target.substr(rest), head.target.offset + rest);
  return Reject::none;
}

bool may_begin_target(std::string_view seen, const RequestHead& head) {
  if (seen.empty() || seen.front() == '/') return true;
  if (seen == "*") return head.method == Method::options;
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    const std::size_t common = seen.size() < scheme.size() ? seen.size() : scheme.size();
    if (equals_ignoring_case(seen.substr(0, common), scheme.substr(0, common))) return true;
  }
  return false;
}

}  // namespace ringway::http
