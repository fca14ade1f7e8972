// The play of tests/duet/actors.h with the fuzzer's bytes as its text: two engines, a bad wire, liars, short memory.

#include <cstdio>
#include <cstdlib>

#include "tests/duet/actors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using ringway::test::Actors;
  static const Actors::Memory small = Actors::small_memory(), fair = Actors::fair_memory();
  Actors actors(ringway::Bytes(data, size), small, fair);
  const std::string wrong = actors.run();
  if (!wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
  }
  return 0;
}
