// The play of actors.h by seeds: what the fuzzer does with coverage, a few hundred times without it.

#include <gtest/gtest.h>

#include <random>

#include "tests/duet/actors.h"

namespace ringway::test {
namespace {

struct Stage {
  Actors::Memory small = Actors::small_memory(), fair = Actors::fair_memory();
  static Stage& get() {
    static Stage s;
    return s;
  }
};

std::vector<u8> program(u64 seed, bool lies) {
  std::mt19937_64 rng(seed);
  std::vector<u8> out(5 + rng() % 400);
  for (u8& b : out) b = static_cast<u8>(rng());
  if (lies) return out;
  // Without lies: what would forge, change or announce is a round instead. Operands are changed too, which is as random.
  for (u8& b : out)
    if ((b & 31) >= 13 && (b & 31) <= 18) b = static_cast<u8>((b & ~31) | 27);
  for (u8& b : out)
    if ((b & 31) == 24) b = static_cast<u8>((b & ~31) | 30);
  return out;
}

class Play : public testing::TestWithParam<u64> {};

TEST_P(Play, EverythingHoldsAndAllComesBack) {
  Stage& stage = Stage::get();
  for (u64 n = 0; n < 50; ++n) {
    const u64 seed = GetParam() * 1000 + n;
    const auto bytes = program(seed, n % 2 == 0);
    Actors actors({bytes.data(), bytes.size()}, stage.small, stage.fair);
    const std::string wrong = actors.run();
    ASSERT_EQ(wrong, "") << "seed " << seed;
  }
}
INSTANTIATE_TEST_SUITE_P(Actors, Play, testing::Range<u64>(1, 13));

// The play is worth something only if conversations that nobody disturbed come to a good end.
TEST(Actors, UndisturbedTalkComesToAGoodEndThroughLossAndReordering) {
  Stage& stage = Stage::get();
  constexpr u8 kPatientWithFairMemory = 2, kConnectWell = 31, kSayMuch = 30, kLose = 10, kLater = 9, kPass = 19;
  const std::vector<u8> bytes{kPatientWithFairMemory, 0xff, 0x20, 0xff, 0x20, kConnectWell, kSayMuch, kSayMuch, 2, 20, 0x82, 20,
                              kLose, 3, 0x80 + kLose, 2, kLater, 5, 0x80 + kLater, 4, kPass, 16, kSayMuch};
  Actors actors({bytes.data(), bytes.size()}, stage.small, stage.fair);
  EXPECT_EQ(actors.run(), "");
  EXPECT_EQ(actors.finished(), 1u);
}

}  // namespace
}  // namespace ringway::test
