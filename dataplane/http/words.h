#pragma once
// Text as machine words: what Huffman decoding and the encoder's hashes read, never past the ends of the text.
// Pure, header-only, any thread.

#include <bit>
#include <cstring>

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

}  // namespace ringway::http
