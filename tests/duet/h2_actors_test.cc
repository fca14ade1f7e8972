// The play of h2_actors.h by seeds: what the fuzzer does with coverage, a thousand times without it.

#include "tests/duet/h2_actors.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/eal.h"

namespace ringway::test {
namespace {

class H2Play : public testing::TestWithParam<u64> {};

TEST_P(H2Play, EverythingHoldsAndAllComesBack) {
  start_eal();
  static const auto fair = H2Actors::memory(8191, "h2fair"), little = H2Actors::memory(63, "h2little");
  for (u64 n = 0; n < 80; ++n) {
    const u64 seed = GetParam() * 1000 + n;
    std::mt19937_64 rng(seed);
    std::vector<u8> bytes(2 + rng() % 1500);
    for (u8& b : bytes) b = static_cast<u8>(rng());
    const bool short_of_memory = n % 8 == 7;
    H2Actors actors({bytes.data(), bytes.size()}, short_of_memory ? *little : *fair, short_of_memory);
    ASSERT_EQ(actors.run(), "") << "seed " << seed;
  }
}
INSTANTIATE_TEST_SUITE_P(Actors, H2Play, testing::Range<u64>(1, 13));

// The play is worth something only if exchanges that nobody disturbed come to their end, with bodies both ways.
TEST(H2Actors, UndisturbedExchangesEndAndAreCompared) {
  start_eal();
  const auto pools = H2Actors::memory(8191, "h2good");
  constexpr u8 kLargeWindows = 6 + 8 * 3 + 32 * 3, kOpen = 0, kLongAnnounced = 1 + 4 + 8, kLongWithTrailers = 1 + 4 + 16;
  std::vector<u8> bytes{kLargeWindows, kLargeWindows};
  for (int n = 0; n < 10; ++n) bytes.insert(bytes.end(), {kOpen, 0, kLongAnnounced, 200, kLongWithTrailers, 200, 0});
  bytes[3] = kLongAnnounced;  // the first act has no exchange to choose
  H2Actors actors({bytes.data(), bytes.size()}, *pools, false);
  EXPECT_EQ(actors.run(), "");
  EXPECT_GT(actors.finished(), 5u);
  EXPECT_GT(actors.compared(), 10'000u);
}

}  // namespace
}  // namespace ringway::test
