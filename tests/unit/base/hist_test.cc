// Hist: bucket shape, error bound, addition over cores, and reading while a core writes.

#include "src/base/hist.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

namespace ringway {
namespace {

TEST(HistShape, Buckets_TileTheRangeWithoutGapOrOverlap) {
  u64 expected = 0;
  for (u32 b = 0; b < HistShape::kBuckets; b++) {
    ASSERT_EQ(HistShape::lowest_in(b), expected);
    ASSERT_EQ(HistShape::bucket_of(HistShape::lowest_in(b)), b);
    ASSERT_EQ(HistShape::bucket_of(HistShape::highest_in(b)), b);
    expected = HistShape::highest_in(b) + 1;
  }
  EXPECT_EQ(expected, u64{1} << HistShape::kTopBits);
}

TEST(HistShape, BucketWidth_IsAtMostAThirtySecondOfItsValue) {
  for (u32 b = 0; b < HistShape::kBuckets; b++) {
    const u64 width = HistShape::highest_in(b) - HistShape::lowest_in(b) + 1;
    if (width > 1) {
      ASSERT_LE(width * 32, HistShape::lowest_in(b));
    }
  }
}

TEST(HistShape, ValuesBeyondTheTop_ShareTheLastBucket) {
  EXPECT_EQ(HistShape::bucket_of(u64{1} << 36), HistShape::kBuckets - 1);
  EXPECT_EQ(HistShape::bucket_of(~u64{0}), HistShape::kBuckets - 1);
}

TEST(Hist, Empty_IsAllZero) {
  Hist h;
  HistSnapshot s;
  s.add(h);
  EXPECT_EQ(s.count(), 0u);
  EXPECT_EQ(s.percentile(50), 0u);
  EXPECT_EQ(s.max(), 0u);
  EXPECT_EQ(s.mean(), 0.0);
}

TEST(Hist, Percentiles_AreWithinTheBoundAndNeverBelowTheExactOne) {
  std::mt19937_64 random(11);
  std::lognormal_distribution<double> spread(6.0, 2.0);
  Hist h;
  std::vector<u64> exact;
  u64 sum = 0;
  for (int i = 0; i < 50'000; i++) {
    exact.push_back(static_cast<u64>(spread(random)));
    sum += exact.back();
    h.record(exact.back());
  }
  std::sort(exact.begin(), exact.end());
  HistSnapshot s;
  s.add(h);
  EXPECT_EQ(s.count(), exact.size());
  EXPECT_EQ(s.sum(), sum);
  EXPECT_EQ(s.max(), exact.back());
  for (const double p : {0.0, 1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto rank = std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(p / 100.0 * 50'000)));
    const u64 value = exact[rank - 1];
    EXPECT_GE(s.percentile(p), value) << p;
    EXPECT_LE(static_cast<double>(s.percentile(p)), static_cast<double>(value) * (1.0 + 1.0 / 32)) << p;
  }
  EXPECT_EQ(s.percentile(100), s.max());
}

TEST(HistSnapshot, OfTwoHists_IsTheHistOfBoth) {
  Hist a, b, both;
  for (u64 v = 0; v < 1000; v++) {
    (v % 3 == 0 ? a : b).record(v * v);
    both.record(v * v);
  }
  HistSnapshot sum, whole;
  sum.add(a);
  sum.add(b);
  whole.add(both);
  EXPECT_EQ(sum.count(), whole.count());
  EXPECT_EQ(sum.sum(), whole.sum());
  for (double p = 0; p <= 100; p += 0.5) ASSERT_EQ(sum.percentile(p), whole.percentile(p));
}

TEST(HistSnapshot, BucketsForExport_AddUpAndRise) {
  Hist h;
  for (const u64 v : {0ull, 5ull, 5ull, 100ull, 1'000'000ull, 1ull << 40}) h.record(v);
  HistSnapshot s;
  s.add(h);
  u64 count = 0, last = 0;
  s.for_each_bucket([&](u64 top, u64 n) {
    EXPECT_TRUE(count == 0 || top > last);
    last = top;
    count += n;
    if (top < u64{1} << 35) {
      EXPECT_EQ(s.count_at_most(top), count);
    }
  });
  EXPECT_EQ(count, 6u);
  EXPECT_EQ(s.count_at_most(5), 3u);
  EXPECT_EQ(s.max(), u64{1} << 40);
  EXPECT_EQ(s.percentile(100), u64{1} << 40);
}

TEST(Hist, ReadWhileOneThreadWrites_CountsOnlyGrowAndNoneIsLost) {
  Hist h;
  constexpr u64 kValues = 200'000;
  std::thread writer([&] {
    for (u64 i = 0; i < kValues; i++) h.record(i);
  });
  u64 last = 0;
  for (int i = 0; i < 50; i++) {
    HistSnapshot s;
    s.add(h);
    EXPECT_GE(s.count(), last);
    last = s.count();
  }
  writer.join();
  HistSnapshot s;
  s.add(h);
  EXPECT_EQ(s.count(), kValues);
  EXPECT_EQ(s.sum(), kValues * (kValues - 1) / 2);
}

}  // namespace
}  // namespace ringway
