#pragma once
// Copies texts as short as most names and values are without the call that memcpy is. Pure, header-only, any thread.

#include <cstring>

#include "src/base/types.h"

namespace ringway::http {

// Like memcpy; the two do not overlap.
template <class Byte>
inline void copy_text(Byte* to, const char* from, std::size_t count) {
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
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<Byte>(from[i]);
  }
}

}  // namespace ringway::http
