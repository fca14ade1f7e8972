// Pure arithmetic of balancing as tables: levels, zones, slow start, scores.

#include "dataplane/route/spread.h"

#include <gtest/gtest.h>

#include <vector>

#include "dataplane/route/balance.h"

namespace ringway::route {
namespace {

struct LevelRow {
  std::vector<u32> healthy;  // of 100 each
  std::vector<u32> load;
  u32 panicking = 0;         // how many levels
  u32 panic_percent = 50;
};

// The first rows are the examples of Envoy's documentation for two and three levels.
const LevelRow kLevelRows[] = {
    {{100, 100}, {100, 0}},
    {{72, 72}, {100, 0}},
    {{71, 71}, {99, 1}},
    {{50, 50}, {70, 30}},
    {{25, 100}, {35, 65}},
    {{25, 25}, {50, 50}, 2},
    {{0, 100}, {0, 100}},
    {{100, 100, 100}, {100, 0, 0}},
    {{72, 72, 100}, {100, 0, 0}},
    {{71, 71, 100}, {99, 1, 0}},
    {{50, 60, 100}, {70, 30, 0}},
    {{25, 25, 100}, {35, 35, 30}},
    {{25, 25, 25}, {35, 35, 30}},
    {{25, 25, 20}, {34, 33, 33}, 3},         // 98 % in all: panic, by the number of endpoints
    {{25, 25, 20}, {37, 35, 28}, 0, 0},      // the same where nobody panics: in proportion
    {{60, 5}, {93, 7}, 1},                   // 84 + 7 of 91; the second level panics alone, the first is above 50 %
    {{0, 0}, {50, 50}, 2},
    {{0, 0}, {100, 0}, 0, 0},
    {{49}, {100}, 1},
    {{50}, {100}, 0},
};

TEST(Levels, LoadAndPanic_AreThoseOfTheTable) {
  for (const LevelRow& row : kLevelRows) {
    std::vector<LevelLoad> levels;
    for (const u32 healthy : row.healthy) levels.push_back({.healthy = healthy, .proven = 100});
    divide_levels(levels, row.panic_percent);
    u32 before = 0, panicking = 0;
    std::vector<u32> load;
    for (const LevelLoad& l : levels) {
      load.push_back(l.load_end - before);
      before = l.load_end;
      panicking += l.panic;
    }
    EXPECT_EQ(load, row.load) << testing::PrintToString(row.healthy);
    EXPECT_EQ(panicking, row.panicking) << testing::PrintToString(row.healthy);
  }
}

TEST(Levels, LevelThatNeverServed_GivesEverythingAway) {
  LevelLoad levels[] = {{.healthy = 0, .proven = 0}, {.healthy = 3, .proven = 3}};
  divide_levels(levels, 50);
  EXPECT_EQ(levels[0].load_end, 0u);
  EXPECT_EQ(levels[1].load_end, 100u);
}

struct ZoneRow {
  std::vector<u64> weights;      // own zone first
  std::vector<double> shares;    // empty: zones do not matter
  u32 healthy = 12;
  bool force = false;
};

const ZoneRow kZoneRows[] = {
    {{10, 10}, {1, 0}},
    {{10, 10, 10}, {1, 0, 0}},
    {{12, 10, 8}, {1, 0, 0}},
    {{5, 15}, {0.5, 0.5}},
    {{2, 10, 8}, {0.3, 0.5, 0.2}},        // part 1/3; own 0.1 of it; the others have 1/6 and 1/15 to spare
    {{2, 16, 2}, {0.3, 0.7, 0}},          // the third zone has nothing to spare
    {{0, 10, 8}, {}},                     // nobody near
    {{10}, {}},                           // nobody far
    {{5, 15}, {}, 5},                     // too few
    {{5, 15}, {1, 0}, 5, true},
    {{1, 1'000'000'000}, {2e-9, 1}},
};

TEST(Zones, Shares_AreThoseOfTheTable) {
  for (const ZoneRow& row : kZoneRows) {
    std::vector<u32> ends(row.weights.size());
    const bool matter = divide_zones(row.weights, row.healthy, {.aware = true, .force_local = row.force, .endpoints_min = 6}, ends);
    ASSERT_EQ(matter, !row.shares.empty()) << testing::PrintToString(row.weights);
    u64 before = 0;
    for (std::size_t z = 0; matter && z < ends.size(); ++z) {
      const u64 end = u64{ends[z]} + 1;
      EXPECT_NEAR(static_cast<double>(end - before) / 4294967296.0, row.shares[z], 1e-8) << testing::PrintToString(row.weights) << z;
      before = end;
    }
    if (matter) {
      EXPECT_EQ(ends.back(), ~u32{0});
    }
  }
}

TEST(Reciprocal, IsWithinTwoThousandths) {
  for (u64 active = 0; active < (u64{1} << 24); active += 1 + active / 50) {
    const double exact = 4294967296.0 / static_cast<double>(active + 1);
    EXPECT_NEAR(static_cast<double>(reciprocal(active)), exact, exact / 500 + 1) << active;
  }
}

TEST(RequestScore, IsWeightOverActivePlusOne_AndNeverNothing) {
  const double unit = static_cast<double>(request_score(kWeightScale, 0));
  for (const u32 weight : {1u, 2u, 100u, 65'535u}) {
    for (const u64 active : {u64{0}, u64{1}, u64{2}, u64{9}, u64{99}, u64{5000}}) {
      const double exact = unit * weight / static_cast<double>(active + 1);
      EXPECT_NEAR(static_cast<double>(request_score(weight * kWeightScale, active)), exact, exact / 500 + 1);
    }
  }
  EXPECT_GE(request_score(1, u64{1} << 24), 1u);
}

TEST(EarnsTurn, WeightThatShrinks_LeavesNoBurst) {
  u32 credit = 500;
  EXPECT_TRUE(earns_turn(credit, 1, 2));
  EXPECT_FALSE(earns_turn(credit, 1, 2));
}

}  // namespace
}  // namespace ringway::route
