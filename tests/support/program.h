#pragma once
// Bytes as a program: what a fuzzer, or a seed, decides. Pure.

#include "src/base/types.h"

namespace ringway::test {

// Bytes that decide; zeros when they are used up.
class Program {
 public:
  explicit Program(Bytes b) : bytes_(b) {}
  bool more() const { return at_ < bytes_.size(); }
  u8 next() { return more() ? bytes_[at_++] : u8{0}; }
  u32 next16() {
    const u32 high = next();
    return high << 8 | next();
  }
  i32 next_signed() { return static_cast<signed char>(next()); }

 private:
  Bytes bytes_;
  std::size_t at_ = 0;
};

}  // namespace ringway::test
