// Wheel: never early, at most a tick late, whatever is armed, moved or cancelled; checked against a sorted map.

#include "src/base/wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <utility>
#include <vector>

namespace ringway {
namespace {

constexpr u32 kAll = ~u32{0};
constexpr TimeUs kTick = Wheel::kTickUs;

std::vector<u32> expired(Wheel& w, TimeUs now, u32 most = kAll) {
  std::vector<u32> out;
  const u32 n = w.expire(now, most, [&](u32 id) { out.push_back(id); });
  EXPECT_EQ(n, out.size());
  return out;
}
using Ids = std::vector<u32>;

TEST(Wheel, Armed_FiresNotBeforeAndAtMostATickAfterItsDeadline) {
  // Around every level's border, from a start that is itself not on one.
  for (const TimeUs start : {TimeUs{0}, TimeUs{1}, TimeUs{123'456'789}, (TimeUs{1} << 39) - 3 * kTick}) {
    for (int shift = 0; shift < 45; shift++) {
      for (const i64 off : {i64{-129}, i64{-1}, i64{0}, i64{1}, i64{127}, i64{128}}) {
        const TimeUs after = (TimeUs{1} << shift) + static_cast<TimeUs>(off);
        if (static_cast<i64>(after) <= 0) continue;
        const TimeUs deadline = start + after;
        Wheel w(1, start);
        w.arm(0, deadline);
        ASSERT_LE(w.next_deadline_us(), deadline + kTick);
        ASSERT_EQ(expired(w, deadline - 1), Ids{}) << start << " " << after;
        ASSERT_EQ(expired(w, deadline + kTick), Ids{0}) << start << " " << after;
        ASSERT_EQ(w.armed_count(), 0u);
      }
    }
  }
}

TEST(Wheel, Cancelled_DoesNotFire) {
  Wheel w(3, 0);
  for (u32 id = 0; id < 3; id++) w.arm(id, 1000);
  w.cancel(1);
  w.cancel(1);
  EXPECT_FALSE(w.armed(1));
  auto fired = expired(w, 2000);
  std::sort(fired.begin(), fired.end());
  EXPECT_EQ(fired, (Ids{0, 2}));
}

TEST(Wheel, ArmedAgain_MovesEarlierAndLater) {
  Wheel w(2, 0);
  w.arm(0, 10'000);
  w.arm(0, 1'000);
  w.arm(1, 1'000);
  w.arm(1, 100'000'000);
  EXPECT_EQ(w.armed_count(), 2u);
  EXPECT_EQ(expired(w, 20'000), Ids{0});
  EXPECT_EQ(expired(w, 99'999'999), Ids{});
  EXPECT_EQ(expired(w, 100'000'128), Ids{1});
}

TEST(Wheel, PastDeadline_FiresWithTheNextTick) {
  Wheel w(1, 1'000'000);
  w.arm(0, 5);
  EXPECT_EQ(expired(w, 1'000'000 + kTick), Ids{0});
}

TEST(Wheel, CallbackArmingItselfForNow_DoesNotLoop) {
  Wheel w(1, 0);
  w.arm(0, 0);
  u32 calls = 0;
  w.expire(1'000'000, kAll, [&](u32 id) {
    calls++;
    w.arm(id, 0);
  });
  EXPECT_EQ(calls, 1u);
  EXPECT_TRUE(w.armed(0));
}

TEST(Wheel, CallbackCancellingItsNeighbourOfTheSameTick_IsObeyed) {
  Wheel w(2, 0);
  w.arm(0, 1000);
  w.arm(1, 1000);
  u32 calls = 0;
  w.expire(5000, kAll, [&](u32 id) {
    calls++;
    w.cancel(1 - id);
  });
  EXPECT_EQ(calls, 1u);
  EXPECT_EQ(w.armed_count(), 0u);
}

TEST(Wheel, Most_PostponesTheRestInOrderOfTicks) {
  Wheel w(100, 0);
  for (u32 id = 0; id < 100; id++) w.arm(id, (id + 1) * 10 * kTick);
  Ids all;
  for (int call = 0; call < 10; call++) {
    const Ids some = expired(w, 1'000'000, 10);
    EXPECT_EQ(some.size(), 10u);
    all.insert(all.end(), some.begin(), some.end());
  }
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_EQ(expired(w, 1'000'000, 10), Ids{});
}

TEST(Wheel, MostZero_FiresNothingAndLosesNothing) {
  Wheel w(10, 0);
  for (u32 id = 0; id < 10; id++) w.arm(id, 50'000'000 + id);
  EXPECT_EQ(expired(w, 60'000'000, 0), Ids{});
  EXPECT_LE(w.next_deadline_us(), 60'000'000u);
  EXPECT_EQ(expired(w, 60'000'000).size(), 10u);
}

TEST(Wheel, CrowdedCoarseSlot_FallsInBoundedSteps) {
  Wheel w(10'000, 0);
  for (u32 id = 0; id < 10'000; id++) w.arm(id, 60'000'000);
  u32 fired = 0;
  int calls = 0;
  while (fired < 10'000) {
    const u32 n = w.expire(61'000'000, 100, [](u32) {});
    ASSERT_LE(n, 100u);
    fired += n;
    ASSERT_LT(++calls, 500);
  }
  EXPECT_GE(calls, 100);
}

TEST(Wheel, FallingTimers_AreBoundedByMostAsWell) {
  Wheel w(1000, 0);
  for (u32 id = 0; id < 1000; id++) w.arm(id, 60'000'000);
  const TimeUs coarse = w.next_deadline_us();
  int calls = 0;
  while (w.next_deadline_us() == coarse) {
    ASSERT_EQ(expired(w, coarse, 10), Ids{});
    ASSERT_LT(++calls, 100);
  }
  EXPECT_GE(calls, 1000 / 40);
}

TEST(Wheel, TimeSteppingBack_IsIgnored) {
  Wheel w(2, 1'000'000);
  w.arm(0, 1'000'500);
  EXPECT_EQ(expired(w, 2'000'000), Ids{0});
  EXPECT_EQ(expired(w, 500), Ids{});
  w.arm(1, 2'001'000);
  EXPECT_EQ(expired(w, 2'002'000), Ids{1});
}

TEST(Wheel, Never_StaysArmedForAYear) {
  Wheel w(1, 0);
  w.arm(0, ~TimeUs{0});
  EXPECT_EQ(expired(w, TimeUs{366} * 86'400 * 1'000'000), Ids{});
  EXPECT_TRUE(w.armed(0));
}

TEST(Wheel, NextDeadline_IsNeverWhenEmptyAndExactWhenNear) {
  Wheel w(2, 0);
  EXPECT_EQ(w.next_deadline_us(), ~TimeUs{0});
  w.arm(0, 100 * kTick);
  w.arm(1, 10'000'000'000);
  EXPECT_EQ(w.next_deadline_us(), 100 * kTick);
  w.cancel(0);
  EXPECT_LE(w.next_deadline_us(), 10'000'000'000u);
  w.cancel(1);
  EXPECT_EQ(w.next_deadline_us(), ~TimeUs{0});
}

// Deadline, then when it was armed, per id: what must hold can be said without knowing how the wheel works.
class Model {
 public:
  void arm(u32 id, TimeUs deadline, TimeUs now) { armed_[id] = std::max(deadline, now); }
  void cancel(u32 id) { armed_.erase(id); }
  // `id` fired at `now`.
  void fired(u32 id, TimeUs now) {
    const auto it = armed_.find(id);
    ASSERT_NE(it, armed_.end()) << id << " fired unarmed";
    ASSERT_GE(now, it->second) << id << " fired early";
    armed_.erase(it);
  }
  // What had to be gone by `now` when nothing was postponed.
  void nothing_overdue(TimeUs now) const {
    for (const auto& [id, due] : armed_) ASSERT_GT(due + kTick, now) << id << " is overdue";
  }
  TimeUs earliest() const {
    TimeUs first = ~TimeUs{0};
    for (const auto& [id, due] : armed_) first = std::min(first, due);
    return first;
  }
  std::size_t size() const { return armed_.size(); }
  bool armed(u32 id) const { return armed_.count(id) != 0; }

 private:
  std::map<u32, TimeUs> armed_;
};

void run_random(u64 seed) {
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  constexpr u32 kIds = 60;
  const auto span = [&](int bits_max) { return random() >> (63 - random() % static_cast<u64>(bits_max)); };
  TimeUs now = span(50);
  Wheel w(kIds, now);
  Model model;
  for (int step = 0; step < 3000; step++) {
    const u32 id = static_cast<u32>(random() % kIds);
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const TimeUs deadline = random() % 10 == 0 ? now - std::min<TimeUs>(now, span(20)) : now + span(42);
        w.arm(id, deadline);
        model.arm(id, deadline, now);
        break;
      }
      case 4:
        w.cancel(id);
        model.cancel(id);
        break;
      default: {
        now += random() % 4 == 0 ? span(42) : span(17);
        const u32 most = random() % 3 == 0 ? static_cast<u32>(random() % 5) : kAll;
        const u32 n = w.expire(now, most, [&](u32 fired) {
          model.fired(fired, now);
          const u32 other = static_cast<u32>(random() % kIds);
          const u64 choice = random() % 6;
          if (choice == 0) {
            w.cancel(other);
            model.cancel(other);
          } else if (choice <= 2) {
            const TimeUs deadline = now + span(30);
            w.arm(other, deadline);
            model.arm(other, deadline, now);
          }
        });
        ASSERT_LE(n, most);
        if (most == kAll) model.nothing_overdue(now);
      }
    }
    ASSERT_EQ(w.armed_count(), model.size());
    ASSERT_EQ(w.armed(id), model.armed(id));
    if (model.size() == 0) {
      ASSERT_EQ(w.next_deadline_us(), Wheel::kNever);
    } else {
      ASSERT_LT(w.next_deadline_us(), std::max(model.earliest(), now) + 2 * kTick);
    }
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Wheel, RandomisedAgainstASortedMap_NeverEarlyNeverLost) {
  for (u64 seed = 1; seed <= 150 && !testing::Test::HasFatalFailure(); seed++) run_random(seed);
}

TEST(Wheel, SleepingUntilNextDeadline_VisitsEveryTimerInTime) {
  std::mt19937_64 random(5);
  Wheel w(500, 0);
  std::vector<TimeUs> due(500);
  for (u32 id = 0; id < 500; id++) w.arm(id, due[id] = random() % (TimeUs{1} << 40));
  int wakes = 0;
  TimeUs now = 0;
  while (w.armed_count() != 0) {
    now = w.next_deadline_us();
    w.expire(now, kAll, [&](u32 id) {
      EXPECT_GE(now, due[id]);
      EXPECT_LE(now, due[id] + kTick);
    });
    ASSERT_LT(++wakes, 2500);
  }
}

}  // namespace
}  // namespace ringway
