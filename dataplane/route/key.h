#pragma once
// The key that a service hashes on, and the arithmetic of hashes around it.
//
// Keys are hashed by lookup::hash_bytes without a secret, so that a key reaches the same endpoint on every core and
// every gateway. A client can therefore aim at one endpoint; bounded load is what keeps that endpoint from drowning.
// Pure, any thread. RFC 6265 4.2 (cookies).

#include <array>
#include <optional>
#include <string_view>

#include "dataplane/http/head.h"
#include "dataplane/inspect/pieces.h"
#include "src/lookup/flow_hash.h"

namespace ringway::route {

inline constexpr u64 kGolden = 0x9e37'79b9'7f4a'7c15;  // 2^64 / golden ratio

// Every bit of `v` moves every bit of the result.
inline u64 mix(u64 v) {
  constexpr u64 kPlastic = 0xd1b5'4a32'd192'ed03;
  return lookup::fold_multiply(v ^ kGolden, lookup::fold_multiply(v ^ kPlastic, kGolden) ^ kPlastic);
}

// 0..n-1 by the hash's high bits, in even shares and without a division; n > 0.
inline u64 reduce(u64 hash, u64 n) { return static_cast<u64>((static_cast<unsigned __int128>(hash) * n) >> 64); }

inline u64 hash_key(std::string_view key) { return lookup::hash_bytes(key, 0); }

// A generated cookie's value: the number in 16 hexadecimal digits.
inline constexpr u32 kCookieBytes = 16;
inline std::string_view cookie_text(u64 cookie, std::array<char, kCookieBytes>& out) {
  for (u32 i = 0; i < kCookieBytes; ++i) out[i] = "0123456789abcdef"[cookie >> (60 - 4 * i) & 15];
  return {out.data(), out.size()};
}

// Value of the first cookie of that exact name, over all Cookie fields.
inline std::optional<std::string_view> find_cookie(const http::RequestHead& head, std::string_view name) {
  for (u32 i = 0; i < head.field_count; ++i) {
    if (!inspect::equals_lower(head.name(i), "cookie")) continue;
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
