#pragma once
// Text as machine words: what Huffman decoding and the encoder's hashes read, never past the ends of the text.
// Pure, header-only, any thread.

#include <bit>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "src/base/types.h"

namespace ringway::http {

static_assert(std::endian::native == std::endian::little);

// 4 or 8 bytes, the first in the highest bits.
template <class Word>
inline Word load_big(const u8* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  if constexpr (sizeof word == 8) return __builtin_bswap64(word);
  return static_cast<Word>(__builtin_bswap32(static_cast<u32>(word)));
}

// 1 to 7 bytes in the highest bits, the first highest; zero below.
inline u64 load_big_short(const u8* at, u32 count) {
  if (count >= 4) {
    const u64 first = load_big<u32>(at);
    const u64 last = load_big<u32>(at + count - 4);
    return first << 32 | last << (64 - 8 * count);
  }
  const u64 first = at[0];
  const u64 middle = at[count / 2];
  const u64 last = at[count - 1];
  return first << 56 | middle << (56 - 8 * (count / 2)) | last << (64 - 8 * count);
}

// 1 to 8 bytes in the highest bits, the first highest; zero below. Also for the compiler.
constexpr u64 word_at(const char* at, u64 count) {
  if (!std::is_constant_evaluated()) {
    const u8* bytes = reinterpret_cast<const u8*>(at);
    return count == 8 ? load_big<u64>(bytes) : load_big_short(bytes, static_cast<u32>(count));
  }
  u64 word = 0;
  for (u64 i = 0; i < count; ++i) word |= u64{static_cast<u8>(at[i])} << (56 - 8 * i);
  return word;
}

// Without the call that comparing is elsewhere.
inline bool same_text(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  const char* left = a.data();
  const char* right = b.data();
  u64 count = a.size();
  if (count < 8) return count == 0 || word_at(left, count) == word_at(right, count);
  for (; count > 8; count -= 8, left += 8, right += 8) {
    if (word_at(left, 8) != word_at(right, 8)) return false;
  }
  return word_at(left + count - 8, 8) == word_at(right + count - 8, 8);
}

// Letters in lower case, every other byte as it is.
constexpr u64 lower_word(u64 word) {
  constexpr u64 kEach = 0x0101'0101'0101'0101u;
  const u64 low7 = word & (0x7f * kEach);
  const u64 from_a = low7 + (0x80 - 'A') * kEach;
  const u64 beyond_z = low7 + (0x7f - 'Z') * kEach;
  return word | (((from_a ^ beyond_z) & ~word & (0x80 * kEach)) >> 2);
}

}  // namespace ringway::http
