// TscScale: ticks to microseconds, without drift that a timer would notice.

#include "src/base/clock.h"

#include <gtest/gtest.h>

namespace ringway {
namespace {

TEST(TscScale, TicksOfADay_AreADayToAMillionth) {
  constexpr u64 kDayUs = 86'400'000'000;
  for (const u64 hz : {u64{1'000'001}, u64{1'996'250'000}, u64{2'600'000'000}, u64{5'200'000'000}}) {
    const TscScale scale(hz);
    const double us = static_cast<double>(scale.to_us(hz * 86'400));
    EXPECT_NEAR(us / static_cast<double>(kDayUs), 1.0, 1.5e-6) << hz;
    EXPECT_EQ(scale.to_us(0), 0u);
    EXPECT_EQ(scale.hz(), hz);
  }
}

TEST(TscScale, CounterOfAMachineUpForAges_DoesNotOverflow) {
  const TscScale scale(1'000'000'000);
  EXPECT_NEAR(static_cast<double>(scale.to_us(~u64{0})) / 18'446'744'073'709'551.0, 1.0, 1e-6);
}

TEST(ReadTsc, ReadTwice_DoesNotGoBack) {
  const Tsc first = read_tsc();
  EXPECT_GE(read_tsc(), first);
}

}  // namespace
}  // namespace ringway
