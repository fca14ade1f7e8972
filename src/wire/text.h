#pragma once
// Addresses as text, both ways: dotted IPv4, IPv6 by RFC 4291 2.2 read and by RFC 5952 written. Pure, any thread; but
// for `to_string`, which is for people, nothing allocates. Zones ("%eth0") and prefix lengths are not part of an address here.

#include <optional>
#include <string>
#include <string_view>

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::wire {

inline constexpr u32 kIpTextBytesMax = 39;  // eight groups of four digits

namespace text_detail {

inline char* write_decimal(char* p, u32 octet) {
  if (octet >= 100) *p++ = static_cast<char>('0' + octet / 100);
  if (octet >= 10) *p++ = static_cast<char>('0' + octet / 10 % 10);
  *p++ = static_cast<char>('0' + octet % 10);
  return p;
}

inline char* write_group(char* p, u32 group) {
  bool digits = false;
  for (int shift = 12; shift >= 0; shift -= 4) {
    const u32 digit = group >> shift & 15;
    digits |= digit != 0 || shift == 0;
    if (digits) *p++ = "0123456789abcdef"[digit];
  }
  return p;
}

inline int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// One to four hexadecimal digits off the front of `text`; false when there is none.
inline bool take_group(std::string_view& text, u32& group) {
  std::size_t n = 0;
  for (group = 0; n < text.size() && n < 4 && hex_digit(text[n]) >= 0; ++n) {
    group = group << 4 | static_cast<u32>(hex_digit(text[n]));
  }
  text.remove_prefix(n);
  return n > 0;
}

}  // namespace text_detail

// Writes `a` without a final zero and returns the place behind it; `out` has room for kIpTextBytesMax.
inline char* write_text(char* out, Ip4 a) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out = text_detail::write_decimal(out, a.v >> shift & 255);
    if (shift > 0) *out++ = '.';
  }
  return out;
}
// RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as "::".
inline char* write_text(char* out, const Ip6& a) {
  u32 groups[8], run_at = 8, run = 1;
  for (u32 i = 0; i < 8; ++i) groups[i] = load_be16(&a.b[2 * i]);
  for (u32 i = 0; i < 8; ++i) {
    u32 n = 0;
    while (i + n < 8 && groups[i + n] == 0) ++n;
    if (n > run) {
      run_at = i;
      run = n;
    }
  }
  for (u32 i = 0; i < 8;) {
    if (i == run_at) {
      *out++ = ':';
      *out++ = ':';
      i += run;
      continue;
    }
    if (i != 0 && i != run_at + run) *out++ = ':';
    out = text_detail::write_group(out, groups[i++]);
  }
  return out;
}
inline char* write_text(char* out, const Ip& a) { return a.is4() ? write_text(out, a.ip4()) : write_text(out, a.ip6()); }

inline std::string to_string(const Ip& a) {
  char text[kIpTextBytesMax];
  return {text, write_text(text, a)};
}
// "10.0.0.1:80", "[fd00::1]:80" (RFC 5952 6).
inline std::string to_string(const Ip& a, u16 port) {
  const std::string text = to_string(a);
  return (a.is4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}

// "10.0.0.0/8", "fd00::/8"; a network of ::ffff:0:0/96 is written as that of IPv4 which it stands for.
inline std::string to_string(const Ip6Prefix& p) {
  char text[kIpTextBytesMax];
  char* const end = p.is4() ? write_text(text, Ip4{static_cast<u32>(p.network.low())}) : write_text(text, p.network);
  return std::string(text, end) + "/" + std::to_string(p.is4() ? p.bits - 96 : p.bits);
}

// "10.0.0.1": four decimal octets without leading zeros.
inline std::optional<Ip4> parse_ip4(std::string_view text) {
  u32 ip = 0;
  for (u32 i = 0; i < 4; ++i) {
    u32 octet = 0;
    std::size_t n = 0;
    for (; n < text.size() && n < 3 && text[n] >= '0' && text[n] <= '9'; ++n) {
      octet = octet * 10 + static_cast<u32>(text[n] - '0');
    }
    if (n == 0 || octet > 255 || (n > 1 && text[0] == '0')) return std::nullopt;
    text.remove_prefix(n);
    if (i < 3) {
      if (text.empty() || text[0] != '.') return std::nullopt;
      text.remove_prefix(1);
    }
    ip = ip << 8 | octet;
  }
  return text.empty() ? std::optional(Ip4{ip}) : std::nullopt;
}

// The three forms of RFC 4291 2.2.
inline std::optional<Ip6> parse_ip6(std::string_view text) {
  u16 groups[8] = {};
  constexpr u32 kNone = 9;
  u32 n = 0, gap = kNone;  // `gap`: groups before "::"
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    if (n == 8) return std::nullopt;
    if (const auto tail = n <= 6 ? parse_ip4(text) : std::nullopt) {
      groups[n++] = static_cast<u16>(tail->v >> 16);
      groups[n++] = static_cast<u16>(tail->v);
      break;
    }
    u32 group = 0;
    if (!text_detail::take_group(text, group)) return std::nullopt;
    groups[n++] = static_cast<u16>(group);
    if (text.empty()) break;
    if (text[0] != ':') return std::nullopt;
    text.remove_prefix(1);
    if (text.starts_with(':')) {
      if (gap != kNone) return std::nullopt;
      gap = n;
      text.remove_prefix(1);
    } else if (text.empty()) {
      return std::nullopt;
    }
  }
  if (gap == kNone ? n != 8 : n > 7) return std::nullopt;
  u16 all[8] = {};
  for (u32 i = 0; i < n; ++i) all[i < gap ? i : 8 - n + i] = groups[i];
  return Ip6::of(all[0], all[1], all[2], all[3], all[4], all[5], all[6], all[7]);
}

inline std::optional<Ip> parse_ip(std::string_view text) {
  if (const auto a = parse_ip4(text)) return Ip(*a);
  if (const auto a = parse_ip6(text)) return Ip(*a);
  return std::nullopt;
}

}  // namespace ringway::wire
