#pragma once
// RW_ASSERT states what the programmer guarantees; it stays on in release builds.
//
// A failed assertion prints file, line and expression to stderr and aborts. It is never used for input from
// the network or from a user: those get a Verdict or an error with a position.

#include <cstdio>
#include <cstdlib>

namespace ringway {

[[noreturn]] inline void assert_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
  std::abort();
}

}  // namespace ringway

#define RW_ASSERT(expression)                                                    \
  (__builtin_expect(static_cast<bool>(expression), 1) ? static_cast<void>(0)     \
                                                      : ::ringway::assert_failed(#expression, __FILE__, __LINE__))
