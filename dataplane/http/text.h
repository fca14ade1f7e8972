#pragma once
// The small texts that heads are made of: copied, and made of numbers. Pure, any thread.

#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "src/base/types.h"

namespace ringway::http {

// Copies without the call where a text is as short as most parts of a head are.
inline void copy_text(u8* to, const char* from, std::size_t count) {
  const auto both_ends = [&](auto word) {
    decltype(word) tail;
    std::memcpy(&word, from, sizeof word);
    std::memcpy(&tail, from + count - sizeof tail, sizeof tail);
    std::memcpy(to, &word, sizeof word);
    std::memcpy(to + count - sizeof tail, &tail, sizeof tail);
  };
  using Vector = unsigned __int128;
  if (count > 2 * sizeof(Vector)) {
    std::memcpy(to, from, count);
  } else if (count >= sizeof(Vector)) {
    both_ends(Vector{});
  } else if (count >= sizeof(u64)) {
    both_ends(u64{});
  } else if (count >= sizeof(u32)) {
    both_ends(u32{});
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<u8>(from[i]);
  }
}

// `value` in decimal, in the last of `digits`.
using Digits = std::array<char, 20>;
inline std::string_view decimal(u64 value, Digits& digits) {
  std::size_t first = digits.size();
  do {
    digits[--first] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return {digits.data() + first, digits.size() - first};
}

}  // namespace ringway::http
