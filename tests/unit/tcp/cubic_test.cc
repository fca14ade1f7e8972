// CUBIC and HyStart++ against the formulae of RFC 9438 and RFC 9406 in floating point.

#include <gtest/gtest.h>

#include <cmath>

#include "dataplane/tcp/cubic.h"
#include "dataplane/tcp/hystart.h"

namespace ringway::tcp {
namespace {

using wire::SeqNo;

constexpr u32 kMss = 1448;

TEST(CubeRoot, IsTheLargestIntegerWhoseCubeFits) {
  for (u64 x : {0ull, 1ull, 7ull, 8ull, 26ull, 27ull, 1'000'000ull, 999'999ull, 1ull << 60}) {
    const u64 r = cube_root(x);
    EXPECT_LE(r * r * r, x);
    EXPECT_GT((r + 1) * (r + 1) * (r + 1), x);
  }
}

TEST(Rfc9438_4_2, KIsTheCubeRootOfTheDistanceOverC) {
  for (u32 segments = 10; segments < 20'000; segments = segments * 3 / 2) {
    const u32 w_max = segments * kMss, cwnd = w_max * 7 / 10;
    const double seconds = std::cbrt((w_max - cwnd) / double{kMss} / 0.4);
    EXPECT_NEAR(Cubic::k_for(w_max, cwnd, kMss) * 1024e-6, seconds, 0.004 + seconds * 0.002) << segments;
  }
}

TEST(Rfc9438_4_2, CurveIsTheCubicOfTheRfc) {
  Cubic c;
  c.w_max = 1000 * kMss;
  c.k = Cubic::k_for(c.w_max, c.w_max * 7 / 10, kMss);
  const double k = c.k * 1024e-6;
  for (u64 t = 0; t < 20'000; t += 137) {
    const double s = static_cast<double>(t) * 1024e-6;
    const double want = 0.4 * std::pow(s - k, 3) + 1000;
    EXPECT_NEAR(c.curve(t, kMss) / double{kMss}, want, 1 + want * 0.01) << t;
  }
}

TEST(Rfc9438_4_6, CongestionLeavesSevenTenths) {
  Cubic c;
  EXPECT_NEAR(c.on_congestion(1000 * kMss, kMss), 700 * kMss, 2 * kMss);
  EXPECT_EQ(c.w_max, 1000 * kMss);
  EXPECT_EQ(c.on_congestion(2 * kMss, kMss), 2 * kMss);
}

TEST(Rfc9438_4_7, SecondCongestionBelowTheFirstReleasesBandwidth) {
  Cubic c;
  c.on_congestion(1000 * kMss, kMss);
  c.on_congestion(800 * kMss, kMss);
  EXPECT_NEAR(c.w_max, 0.85 * 800 * kMss, 2 * kMss);
}

// A round trip of 100 ms at a time, every byte of the window acknowledged in it.
u32 window_after(Cubic& c, u32 cwnd, u64 from_us, u32 rounds) {
  u32 counted = 0;
  for (u32 r = 0; r < rounds; ++r) {
    const u32 now = static_cast<u32>((from_us + r * 100'000) >> 10);
    for (u32 left = cwnd / (2 * kMss); left > 0; --left) cwnd = c.on_ack(cwnd, 2 * kMss, counted, now, 100'000, kMss);
  }
  return cwnd;
}

TEST(Rfc9438_4_4, WindowIsBackAtItsMaximumAfterKAndGrowsConvexlyBehindIt) {
  Cubic c;
  const u32 top = 1000 * kMss;
  u32 cwnd = c.on_congestion(top, kMss);
  const u32 rounds = static_cast<u32>(std::cbrt(300 / 0.4) * 10);
  cwnd = window_after(c, cwnd, 1'000'000, rounds);
  EXPECT_NEAR(cwnd, top, top * 0.03);
  const u32 flat = window_after(c, cwnd, 1'000'000 + rounds * 100'000, 10) - cwnd;
  cwnd += flat;
  const u32 steep = window_after(c, cwnd, 1'000'000 + (rounds + 40) * 100'000, 10) - cwnd;
  EXPECT_GT(steep, 4 * flat);
}

TEST(Rfc9438_4_3, ShortRoundTripsGrowNoSlowerThanReno) {
  Cubic c;
  u32 cwnd = c.on_congestion(20 * kMss, kMss);
  u32 now = 1000, counted = 0;
  const u32 before = cwnd;
  for (u32 r = 0; r < 30; ++r, ++now)
    for (u32 left = cwnd / kMss; left > 0; --left) cwnd = c.on_ack(cwnd, kMss, counted, now, 1024, kMss);
  EXPECT_GE(cwnd, before + 12 * kMss) << "about half a segment per round trip, a whole one above the window of before";
}

TEST(Rfc9406_4_2, GrowingRoundTripsSlowTheStartAndFiveRoundsEndIt) {
  Hystart h;
  h.start(SeqNo{1000});
  u32 at = 1000;
  const auto round = [&](u32 rtt) {
    bool over = false;
    for (u32 i = 0; i < 10; ++i) over = h.on_ack(SeqNo{at + i}, SeqNo{at + 1000}, rtt) || over;
    at += 1000;
    return over;
  };
  EXPECT_FALSE(round(50'000));
  EXPECT_FALSE(round(51'000));
  EXPECT_FALSE(h.in_css);
  EXPECT_FALSE(round(60'000));
  EXPECT_TRUE(h.in_css);
  EXPECT_EQ(h.growth(4000), 1000u);
  for (u32 i = 0; i < 4; ++i) EXPECT_FALSE(round(60'000)) << i;
  EXPECT_TRUE(round(60'000));
}

TEST(Rfc9406_4_2, RoundTripsThatShrinkAgainResumeSlowStart) {
  Hystart h;
  h.start(SeqNo{1000});
  u32 at = 1000;
  const auto round = [&](u32 rtt) {
    for (u32 i = 0; i < 10; ++i) EXPECT_FALSE(h.on_ack(SeqNo{at + i}, SeqNo{at + 1000}, rtt));
    at += 1000;
  };
  round(50'000);
  round(60'000);
  EXPECT_TRUE(h.in_css);
  round(50'000);
  EXPECT_FALSE(h.in_css);
  EXPECT_EQ(h.growth(4000), 4000u);
}

}  // namespace
}  // namespace ringway::tcp
