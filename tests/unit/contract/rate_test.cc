// Rates: the bucket's arithmetic against a table, and several cores that share one, whatever their load and order.

#include "src/contract/rate.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace ringway::contract {
namespace {

constexpr TimeUs kStart = 5'000'000;

struct Step {
  u64 after_us;  // since the step before
  u32 asked, given;
};
struct Case {
  const char* name;
  double per_second;
  u32 burst;
  std::vector<Step> steps;
};

const Case kCases[] = {
    {"BurstIsThereAtOnce", 10, 5, {{0, 9, 5}}},
    {"NothingBeforeATokenIsEarned", 10, 5, {{0, 5, 5}, {99'000, 3, 0}, {1'001, 3, 1}}},
    {"EarnedOneByOne", 10, 1, {{0, 2, 1}, {100'001, 2, 1}, {100'001, 2, 1}, {50'000, 2, 0}, {50'001, 2, 1}}},
    {"NeverMoreThanTheBurstIsSaved", 10, 3, {{0, 3, 3}, {60'000'000, 9, 3}}},
    {"SlowRate", 0.5, 1, {{0, 2, 1}, {1'999'000, 1, 0}, {1'001, 1, 1}}},
    {"FastRate", 1'000'000, 100, {{0, 200, 100}, {50, 100, 50}}},
    {"ALargeBurstWithBatches", 1000, 1000, {{0, 2000, 1000}, {100'000, 2000, 100}}},
};

class RateTable : public testing::TestWithParam<Case> {};

TEST_P(RateTable, GivesWhatItOwes) {
  const Case& c = GetParam();
  RateLimiter limiter(rate_limit(c.per_second, c.burst, 1), 1, 1);
  TimeUs now = kStart;
  for (std::size_t i = 0; i < c.steps.size(); ++i) {
    now += c.steps[i].after_us;
    u32 given = 0;
    for (u32 n = 0; n < c.steps[i].asked; ++n) given += limiter.take(0, 0, now) ? 1u : 0u;
    EXPECT_EQ(given, c.steps[i].given) << "step " << i;
  }
}
INSTANTIATE_TEST_SUITE_P(All, RateTable, testing::ValuesIn(kCases), [](const auto& c) { return std::string(c.param.name); });

TEST(Rate, WaitSaysWhenTheNextTokenIsThere) {
  RateLimiter limiter(rate_limit(4, 2, 1), 1, 1);
  EXPECT_EQ(limiter.wait_us(0, kStart), 0u);
  while (limiter.take(0, 0, kStart)) {
  }
  const u64 wait = limiter.wait_us(0, kStart);
  EXPECT_NEAR(static_cast<double>(wait), 250'000, 2);
  EXPECT_FALSE(limiter.take(0, 0, kStart + wait - 2));
  EXPECT_TRUE(limiter.take(0, 0, kStart + wait));
}

TEST(Rate, BucketsOfOneLimiterAreApart) {
  RateLimiter limiter(rate_limit(1, 2, 1), 200, 1);
  for (u32 bucket = 0; bucket < 200; ++bucket) {
    EXPECT_TRUE(limiter.take(0, bucket, kStart));
    EXPECT_TRUE(limiter.take(0, bucket, kStart));
    EXPECT_FALSE(limiter.take(0, bucket, kStart));
  }
}

TEST(Rate, ATokenGivenBackIsThereAgainAndNoMore) {
  for (const u32 burst : {1u, 3u, 400u}) {
    RateLimiter limiter(rate_limit(1, burst, 1), 1, 1);
    u32 given = 0;
    while (limiter.take(0, 0, kStart)) ++given;
    EXPECT_EQ(given, burst);
    limiter.give_back(0, 0);
    EXPECT_TRUE(limiter.take(0, 0, kStart));
    EXPECT_FALSE(limiter.take(0, 0, kStart));
  }
}

// The load moves from core to core at random; over every stretch of time they admit at most burst + rate * time together, and
// a core that is alone with the load is denied at most the quarter of the burst that others may keep.
TEST(Rate, CoresTogetherKeepTheRateUnderUnevenLoad) {
  std::mt19937 random(7);
  for (const u32 cores : {1u, 2u, 7u, 64u}) {
    for (const u32 burst : {1u, 10u, 100u, 1000u}) {
      constexpr double kRate = 2000;
      RateLimiter limiter(rate_limit(kRate, burst, cores), 1, cores);
      std::vector<TimeUs> given;
      TimeUs now = kStart;
      u32 core = 0;
      for (u32 i = 0; i < 20'000; ++i) {
        now += random() % 200;
        if (random() % 50 == 0) core = static_cast<u32>(random() % cores);
        if (random() % 400 == 0) now += 300'000;
        if (limiter.take(core, 0, now)) given.push_back(now);
      }
      ASSERT_GT(given.size(), 2000u);
      for (std::size_t i = 0; i < given.size(); ++i) {
        const std::size_t j = std::min(given.size() - 1, i + burst + random() % 2000);
        const double most = burst + static_cast<double>(given[j] - given[i]) / 1e6 * kRate;
        ASSERT_LE(static_cast<double>(j - i + 1), most + 1) << cores << " cores, burst " << burst;
      }
      now += 10'000'000;
      u32 alone = 0;
      while (limiter.take(0, 0, now)) ++alone;
      EXPECT_LE(alone, burst);
      EXPECT_GE(alone, burst - burst / 4) << cores << " cores";
    }
  }
}

TEST(Rate, ThreadsTogetherTakeTheBurstAndNotOneMore) {
  for (u32 round = 0; round < 20; ++round) {
    constexpr u32 kBurst = 40'000;
    RateLimiter limiter(rate_limit(0.001, kBurst, 2), 1, 2);
    u32 given[2] = {};
    const auto run = [&](u32 core) {
      u32 mine = 0;
      while (limiter.take(core, 0, kStart)) ++mine;
      given[core] = mine;
    };
    std::thread other(run, 1);
    run(0);
    other.join();
    EXPECT_LE(given[0] + given[1], kBurst);
    EXPECT_GE(given[0] + given[1], kBurst - 2 * kRateBatchMax);
  }
}

}  // namespace
}  // namespace ringway::contract
