// The play of tests/duet/h2_actors.h with the fuzzer's bytes as its text: client and server engine, all that users do,
// pipes that pass little at a time, short memory.

#include <cstdio>
#include <cstdlib>

#include "tests/duet/h2_actors.h"
#include "tests/support/eal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using ringway::test::H2Actors;
  ringway::test::start_eal();
  static const auto fair = H2Actors::memory(4095, "h2fair"), little = H2Actors::memory(63, "h2little");
  const bool short_of_memory = size != 0 && (data[0] & 128) != 0;
  H2Actors actors(ringway::Bytes(data, size), short_of_memory ? *little : *fair, short_of_memory);
  const std::string wrong = actors.run();
  if (!wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
  }
  return 0;
}
