#pragma once
// Byte classes of HTTP/1.1 (RFC 9110 section 5.6.2, RFC 9112 section 3, RFC 3986 section 3.2.2) and the scans over
// them.
//
// A scan answers one question: where does this stretch stop being of a class? It takes three addresses: `at`, where
// to look from; `end`, one past the last byte; and `begin`, the lowest address that may be read, so that a vector load
// near the end can reach back instead of past it. No byte outside [begin, end) is ever read.
// With AVX2 a scan looks at 32 bytes per step; without, at one. Both are compiled wherever AVX2 is and a test holds
// them equal. Pure, header-only, any thread, no allocation.

#include <array>
#include <string_view>
#include <type_traits>

#include "src/base/types.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace ringway::http {

// RFC 9110 5.6.2 tchar.
constexpr bool is_token_byte(u8 c) {
  if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return true;
  return c != 0 && std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
}
// Field values: visible ASCII, SP, HTAB and obs-text; no control byte, no DEL (RFC 9110 5.5).
constexpr bool is_value_byte(u8 c) { return (c >= 0x20 && c != 0x7f) || c == '\t'; }
// Request targets: visible ASCII. Wider than RFC 3986, as browsers send quotes, bars and braces unescaped.
constexpr bool is_target_byte(u8 c) { return c > 0x20 && c < 0x7f; }
// Host names: unreserved and sub-delims of RFC 3986, without the comma, which would make the field look like a list.
constexpr bool is_host_byte(u8 c) {
  if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return true;
  return c != 0 && std::string_view("-._~!$&'()*+;=").find(static_cast<char>(c)) != std::string_view::npos;
}
constexpr bool is_digit(u8 c) { return c >= '0' && c <= '9'; }
constexpr bool is_white(u8 c) { return c == ' ' || c == '\t'; }
constexpr u8 lower(u8 c) { return c >= 'A' && c <= 'Z' ? static_cast<u8>(c | 0x20) : c; }

// 0 to 15, or 16 when `c` is not a hexadecimal digit.
constexpr u8 hex_value(u8 c) {
  if (is_digit(c)) return static_cast<u8>(c - '0');
  const u8 l = lower(c);
  return l >= 'a' && l <= 'f' ? static_cast<u8>(l - 'a' + 10) : u8{16};
}

// `lowered` is in lower case.
constexpr bool equals_ignoring_case(std::string_view text, std::string_view lowered) {
  if (text.size() != lowered.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (lower(static_cast<u8>(text[i])) != static_cast<u8>(lowered[i])) return false;
  }
  return true;
}

template <bool (*In)(u8)>
constexpr std::array<bool, 256> make_class() {
  std::array<bool, 256> table{};
  for (u32 c = 0; c < 256; ++c) table[c] = In(static_cast<u8>(c));
  return table;
}
template <bool (*In)(u8)>
inline constexpr std::array<bool, 256> kClass = make_class<In>();

// One byte at a time.
template <bool (*In)(u8)>
inline const u8* scan_portable(const u8* at, const u8* end, const u8*) {
  while (at != end && kClass<In>[*at]) ++at;
  return at;
}

#if defined(__AVX2__)

// Membership of a class of ASCII bytes by two shuffles: bit h of low[l] says that byte 16*h + l belongs to it, and
// high[h] is that bit; bytes above 0x7f select nothing.
template <bool (*In)(u8)>
struct NibbleTables {
  alignas(16) std::array<u8, 16> low{};
  alignas(16) std::array<u8, 16> high{};
  constexpr NibbleTables() {
    for (u32 h = 0; h < 8; ++h) {
      high[h] = static_cast<u8>(1u << h);
      for (u32 l = 0; l < 16; ++l) {
        if (In(static_cast<u8>(h * 16 + l))) low[l] = static_cast<u8>(low[l] | (1u << h));
      }
    }
  }
};
template <bool (*In)(u8)>
inline constexpr NibbleTables<In> kNibbles{};

inline __m256i broadcast16(const std::array<u8, 16>& table) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table.data())));
}

// Comparing the pointers themselves is no constant expression under g++'s -fsanitize=undefined.
template <bool (*In)(u8)>
struct ClassName {};
template <bool (*A)(u8), bool (*B)(u8)>
inline constexpr bool kSameClass = std::is_same_v<ClassName<A>, ClassName<B>>;

// One bit per byte of `v` that is not of the class.
template <bool (*In)(u8)>
inline u32 stops(__m256i v) {
  if constexpr (kSameClass<In, is_value_byte>) {
    const __m256i printable = _mm256_cmpeq_epi8(_mm256_max_epu8(v, _mm256_set1_epi8(0x20)), v);
    const __m256i allowed = _mm256_or_si256(printable, _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t')));
    const __m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
    return ~static_cast<u32>(_mm256_movemask_epi8(_mm256_andnot_si256(del, allowed)));
  } else if constexpr (kSameClass<In, is_target_byte>) {
    const __m256i above_space = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(0x20));  // signed: also refuses 0x80 and above
    const __m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
    return ~static_cast<u32>(_mm256_movemask_epi8(_mm256_andnot_si256(del, above_space)));
  } else {
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    const __m256i low = _mm256_shuffle_epi8(broadcast16(kNibbles<In>.low), _mm256_and_si256(v, nibble));
    const __m256i high = _mm256_shuffle_epi8(broadcast16(kNibbles<In>.high),
                                             _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
    const __m256i outside = _mm256_cmpeq_epi8(_mm256_and_si256(low, high), _mm256_setzero_si256());
    return static_cast<u32>(_mm256_movemask_epi8(outside));
  }
}

inline __m256i load32(const u8* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }

template <bool (*In)(u8)>
inline const u8* scan_avx2(const u8* at, const u8* end, const u8* begin) {
  while (end - at >= 32) {
    if (const u32 mask = stops<In>(load32(at)); mask != 0) return at + __builtin_ctz(mask);
    at += 32;
  }
  if (at == end) return end;
  if (end - begin < 32) return scan_portable<In>(at, end, begin);
  const u32 mask = stops<In>(load32(end - 32)) >> (32 - (end - at));
  return mask != 0 ? at + __builtin_ctz(mask) : end;
}

#endif

// First byte in [at, end) that is not of the class, or `end`.
template <bool (*In)(u8)>
inline const u8* scan(const u8* at, const u8* end, const u8* begin) {
#if defined(__AVX2__)
  return scan_avx2<In>(at, end, begin);
#else
  return scan_portable<In>(at, end, begin);
#endif
}

// One look at a field line serves its name and, where the line is short, its value too.
struct LineLook {
  u32 name_stops = 0;   // one bit per byte from the start of the line that is no token byte
  u32 value_stops = 0;  // that is no value byte
  u32 seen = 0;         // bytes looked at; bits above are zero
};
inline LineLook look_at_line(const u8* line, const u8* end, const u8* begin) {
#if defined(__AVX2__)
  if (end - line >= 32) {
    const __m256i v = load32(line);
    return {stops<is_token_byte>(v), stops<is_value_byte>(v), 32};
  }
  if (end - begin >= 32) {
    const __m256i v = load32(end - 32);
    const u32 seen = static_cast<u32>(end - line);
    if (seen == 0) return {};
    return {stops<is_token_byte>(v) >> (32 - seen), stops<is_value_byte>(v) >> (32 - seen), seen};
  }
#else
  (void)line, (void)end, (void)begin;
#endif
  return {};
}

// Takes the first element of a comma-separated list (RFC 9110 5.6.1) off `rest`, without the white space around it.
inline std::string_view take_list_element(std::string_view& rest) {
  const std::size_t comma = rest.find(',');
  std::string_view element = rest.substr(0, comma);
  rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  while (!element.empty() && is_white(static_cast<u8>(element.front()))) element.remove_prefix(1);
  while (!element.empty() && is_white(static_cast<u8>(element.back()))) element.remove_suffix(1);
  return element;
}

}  // namespace ringway::http
