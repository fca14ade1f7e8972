#pragma once
// TCP sequence numbers: arithmetic modulo 2^32 (RFC 9293 section 3.4).
//
// A type of its own, so that no sequence number is ever compared with `<` as an integer. The difference of two
// numbers is signed and right while they are less than 2^31 apart.

#include "src/base/types.h"

namespace ringway::wire {

struct SeqNo {
  u32 v = 0;

  constexpr SeqNo operator+(u32 n) const { return SeqNo{v + n}; }
  constexpr SeqNo operator-(u32 n) const { return SeqNo{v - n}; }
  constexpr SeqNo& operator+=(u32 n) { v += n; return *this; }
  constexpr i32 operator-(SeqNo o) const { return static_cast<i32>(v - o.v); }

  friend constexpr bool operator==(SeqNo, SeqNo) = default;
  friend constexpr bool operator<(SeqNo a, SeqNo b) { return a - b < 0; }
  friend constexpr bool operator<=(SeqNo a, SeqNo b) { return a - b <= 0; }
  friend constexpr bool operator>(SeqNo a, SeqNo b) { return a - b > 0; }
  friend constexpr bool operator>=(SeqNo a, SeqNo b) { return a - b >= 0; }
};

}  // namespace ringway::wire
