#pragma once
// The Internet checksum: RFC 1071, with the incremental update of RFC 1624.
//
// Sums are kept in memory order (RFC 1071 2(B): the sum does not depend on byte order as long as the result is stored
// the way the words were loaded), in 64 bits, and folded once at the end. `sum_words` is the inner loop: AVX2 where
// the target has it, 64-bit words elsewhere. `Checksum` joins pieces of any length, odd ones too, since payload comes
// as slices. Results are Be16: ready to be stored as they are.
//
// Pure, header-only, any thread.

#include <array>
#include <cstring>

#include "src/base/types.h"
#include "src/wire/addr.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace ringway::wire {

namespace checksum_detail {

// Bytes that do not fill a vector: 8, 4, 2, 1. A last odd byte counts as if a zero followed it.
inline u64 sum_tail(const u8* p, std::size_t n) {
  unsigned __int128 wide = 0;
  while (n >= 8) {
    u64 v;
    std::memcpy(&v, p, 8);
    wide += v;
    p += 8;
    n -= 8;
  }
  const u64 low = static_cast<u64>(wide);
  u64 sum = (low & 0xffff'ffffu) + (low >> 32) + static_cast<u64>(wide >> 64);
  if (n >= 4) {
    u32 v;
    std::memcpy(&v, p, 4);
    sum += v;
    p += 4;
    n -= 4;
  }
  if (n >= 2) {
    u16 v;
    std::memcpy(&v, p, 2);
    sum += v;
    p += 2;
    n -= 2;
  }
  if (n == 1) {
    u8 last[2] = {*p, 0};
    u16 v;
    std::memcpy(&v, last, 2);
    sum += v;
  }
  return sum;
}

#if defined(__AVX2__)
// Zeros, then ones: the 32 bytes from 32 - k on keep the last k bytes of a vector.
alignas(32) inline constexpr auto kKeepLast = [] {
  std::array<u8, 64> bytes{};
  for (std::size_t i = 32; i < 64; ++i) bytes[i] = 0xff;
  return bytes;
}();

// At least 32 bytes. Adds pairs of words with one multiply-add; the instruction takes signed words, so 0x8000 is taken
// off each of them first and given back in one go at the end. What does not fill a vector is the end of one that
// reaches back, less what was added already; a last odd byte counts as if a zero followed it.
inline u64 sum_vectors(const u8* p, std::size_t n) {
  const __m256i bias = _mm256_set1_epi16(static_cast<short>(-0x8000));
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i acc[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
  const auto load = [](const u8* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); };
  const auto add = [&](u32 lane, __m256i v) {
    acc[lane] = _mm256_add_epi32(acc[lane], _mm256_madd_epi16(_mm256_xor_si256(v, bias), ones));
  };
  std::size_t vectors = n / 32;
  std::size_t i = 0;
  for (; i + 4 <= vectors; i += 4) {
    add(0, load(p + i * 32));
    add(1, load(p + i * 32 + 32));
    add(2, load(p + i * 32 + 64));
    add(3, load(p + i * 32 + 96));
  }
  for (; i < vectors; ++i) add(0, load(p + i * 32));
  if (const std::size_t rest = n % 32 & ~std::size_t{1}; rest != 0) {
    add(1, _mm256_and_si256(load(p + vectors * 32 + rest - 32), load(kKeepLast.data() + rest)));
    ++vectors;
  }
  const u64 last = n % 2 == 0 ? 0 : p[n - 1];  // the low byte of its word, on the little-endian machines that have AVX2
  const __m256i both =
      _mm256_add_epi32(_mm256_add_epi32(acc[0], acc[1]), _mm256_add_epi32(acc[2], acc[3]));
  const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  const __m128i quarter = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
  const i64 signed_sum = i64{_mm_extract_epi32(quarter, 0)} + _mm_extract_epi32(quarter, 1);
  return static_cast<u64>(signed_sum + static_cast<i64>(vectors) * 16 * 0x8000) + last;
}
#endif

}  // namespace checksum_detail

// The sum of the 16-bit words at `p`, in memory order, unfolded; `n` is at most 64 KiB, so that no lane overflows.
inline u64 sum_words(const u8* p, std::size_t n) {
#if defined(__AVX2__)
  if (n >= 64) return checksum_detail::sum_vectors(p, n);
#endif
  return checksum_detail::sum_tail(p, n);
}

// Folds the carries back in: 0..0xffff.
inline u16 fold(u64 sum) {
  sum = (sum & 0xffff'ffffu) + (sum >> 32);
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  return static_cast<u16>(sum);
}

// The sum of the pseudo-header of TCP and UDP over IPv4 (RFC 9293 3.1); `bytes` is the length of header and payload.
inline u64 pseudo_header_sum(Ip4 source, Ip4 destination, u8 protocol, u16 bytes) {
  return u64{Be32::from_host(source.v).raw} + Be32::from_host(destination.v).raw + Be16::from_host(protocol).raw +
         Be16::from_host(bytes).raw;
}

// The same over IPv6, of ICMPv6 as well (RFC 8200 8.1).
inline u64 pseudo_header_sum(const Ip6& source, const Ip6& destination, u8 protocol, u32 bytes) {
  return checksum_detail::sum_tail(source.b.data(), 16) + checksum_detail::sum_tail(destination.b.data(), 16) +
         Be16::from_host(protocol).raw + Be32::from_host(bytes).raw;
}

// A checksum over pieces. A piece behind an odd number of bytes is summed with its bytes in the other place of each
// word, which is the byte-swapped sum (RFC 1071 2(B)).
class Checksum {
 public:
  Checksum() = default;
  // Starts from a sum of whole words, such as a pseudo-header's.
  explicit Checksum(u64 sum) : sum_(sum) {}

  void add(Bytes bytes) {
    const u64 part = sum_words(bytes.data(), bytes.size());
    sum_ += odd_ ? __builtin_bswap16(fold(part)) : part;
    odd_ ^= (bytes.size() & 1) != 0;
  }

  // The folded sum, not complemented: what a NIC wants in the field when it finishes the checksum itself.
  Be16 partial() const { return Be16{fold(sum_)}; }
  // The checksum field.
  Be16 value() const { return Be16{static_cast<u16>(~fold(sum_))}; }
  // True when what was added held a right checksum field.
  bool verifies() const { return fold(sum_) == 0xffff; }

 private:
  u64 sum_ = 0;
  bool odd_ = false;
};

inline Be16 checksum(Bytes bytes) { return Be16{static_cast<u16>(~fold(sum_words(bytes.data(), bytes.size())))}; }

// RFC 1624 equation 3: the new checksum field after one word went from `before` to `after`.
inline Be16 adjust_checksum(Be16 field, Be16 before, Be16 after) {
  return Be16{static_cast<u16>(
      ~fold(u64{static_cast<u16>(~field.raw)} + static_cast<u16>(~before.raw) + after.raw))};
}
inline Be16 adjust_checksum(Be16 field, Be32 before, Be32 after) {
  const u32 removed = ~before.raw;
  return Be16{static_cast<u16>(~fold(u64{static_cast<u16>(~field.raw)} + (removed & 0xffff) + (removed >> 16) +
                                     (after.raw & 0xffff) + (after.raw >> 16)))};
}

}  // namespace ringway::wire
