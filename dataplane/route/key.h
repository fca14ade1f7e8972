#pragma once
// Finding the bytes that a service hashes on: a header, a cookie, a query parameter.
//
// Views into the head, nothing decoded: what is hashed and compared is what the endpoint will see. Pure, any thread.
// RFC 9110 5.1 (field names ignore case), RFC 6265 4.2 (cookies), the query's `name=value&...` form of HTML.

#include <optional>
#include <string_view>

#include "dataplane/http/head.h"

namespace ringway::route {

// ASCII letters compare without case; `lower` is lower case already.
inline bool equals_lower(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const u32 c = static_cast<unsigned char>(text[i]);
    const u32 folded = c - 'A' < 26u ? c | 0x20u : c;
    if (folded != static_cast<unsigned char>(lower[i])) return false;
  }
  return true;
}

// Index of the first field of that (lower-case) name at or after `from`; kNone32 when there is none.
inline u32 find_field(const http::RequestHead& head, std::string_view lower_name, u32 from = 0) {
  for (u32 i = from; i < head.field_count; ++i)
    if (equals_lower(head.name(i), lower_name)) return i;
  return kNone32;
}

// Value of the first parameter of that exact name; "" for a parameter without '='.
inline std::optional<std::string_view> find_query(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto amp = query.find('&');
    const std::string_view pair = query.substr(0, amp);
    const auto equal = pair.find('=');
    if (pair.substr(0, equal) == name)
      return equal == std::string_view::npos ? std::string_view{} : pair.substr(equal + 1);
    if (amp == std::string_view::npos) break;
    query.remove_prefix(amp + 1);
  }
  return std::nullopt;
}

// Value of the first cookie of that exact name, over all Cookie fields.
inline std::optional<std::string_view> find_cookie(const http::RequestHead& head, std::string_view name) {
  for (u32 i = 0; i < head.field_count; ++i) {
    if (!equals_lower(head.name(i), "cookie")) continue;
    std::string_view rest = head.value(i);
    while (!rest.empty()) {
      const auto end = rest.find(';');
      std::string_view pair = rest.substr(0, end);
      while (!pair.empty() && (pair.front() == ' ' || pair.front() == '\t')) pair.remove_prefix(1);
      const auto equal = pair.find('=');
      if (equal != std::string_view::npos && pair.substr(0, equal) == name) return pair.substr(equal + 1);
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
    }
  }
  return std::nullopt;
}

}  // namespace ringway::route
