#pragma once
// Finding a header or a query parameter in a request head.
//
// Views into the head; nothing is decoded, so what is compared, scanned or hashed is what the endpoint will see. Where
// a name occurs more than once, the first occurrence counts. Pure, any thread. RFC 9110 5.1: field names ignore case.

#include <optional>
#include <string_view>

#include "dataplane/http/head.h"

namespace ringway::inspect {

inline char lower(char c) {
  const u32 v = static_cast<unsigned char>(c);
  return v - 'A' < 26u ? static_cast<char>(v | 0x20u) : c;
}

// ASCII letters compare without case; `lower_text` is lower case already.
inline bool equals_lower(std::string_view text, std::string_view lower_text) {
  if (text.size() != lower_text.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (lower(text[i]) != lower_text[i]) return false;
  return true;
}

// Index of the first field of that (lower-case) name; kNone32 when there is none.
inline u32 find_field(const http::RequestHead& head, std::string_view lower_name) {
  for (u32 i = 0; i < head.field_count; ++i)
    if (equals_lower(head.name(i), lower_name)) return i;
  return kNone32;
}

inline std::optional<std::string_view> find_header(const http::RequestHead& head, std::string_view lower_name) {
  const u32 at = find_field(head, lower_name);
  if (at == kNone32) return std::nullopt;
  return head.value(at);
}

// Value of the first parameter of that exact name; "" for a parameter without '='.
inline std::optional<std::string_view> find_query(const http::RequestHead& head, std::string_view name) {
  std::string_view query = head.text(head.query);
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

}  // namespace ringway::inspect
