#pragma once
// Numbers in decimal. Pure, header-only, any thread.

#include <array>
#include <string_view>

#include "src/base/types.h"

namespace ringway::http {

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
