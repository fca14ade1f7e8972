#pragma once
// Decodes base64url without padding (RFC 4648 section 5), as HTTP2-Settings carries it. Pure, any thread.

#include <optional>
#include <string_view>

#include "src/base/types.h"

namespace ringway::http {

// 0 to 63, or 64 for a character that is not of the alphabet.
constexpr u8 base64url_value(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<u8>(c - 'A');
  if (c >= 'a' && c <= 'z') return static_cast<u8>(c - 'a' + 26);
  if (c >= '0' && c <= '9') return static_cast<u8>(c - '0' + 52);
  return c == '-' ? u8{62} : c == '_' ? u8{63} : u8{64};
}

// Bytes written to `out`; nothing when `text` is malformed (a foreign character, a lone last one, bits behind the last
// byte) or `out` too small.
constexpr std::optional<u32> decode_base64url(std::string_view text, MutBytes out) {
  if (text.size() % 4 == 1 || text.size() * 3 / 4 > out.size()) return std::nullopt;
  u32 bits = 0;
  u32 held = 0;
  u32 n = 0;
  for (const char c : text) {
    const u8 value = base64url_value(c);
    if (value == 64) return std::nullopt;
    bits = (bits << 6 | value) & 0xffffu;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out[n++] = static_cast<u8>(bits >> held);
  }
  if ((bits & ((1u << held) - 1)) != 0) return std::nullopt;
  return n;
}

}  // namespace ringway::http
