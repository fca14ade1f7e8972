// Slab: places are handed out once, come back last in first out, and cost memory only when used.

#include "src/base/slab.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <set>

namespace ringway {
namespace {

struct Counted {
  static inline int alive = 0;
  int value = 7;
  Counted() { alive++; }
  Counted(const Counted&) = delete;
  ~Counted() { alive--; }
};

struct alignas(64) Line {
  u8 bytes[64];
};

TEST(Slab, AllocUntilFull_GivesEveryIndexOnceThenNone) {
  Slab<int> slab(100);
  std::set<u32> seen;
  for (int i = 0; i < 100; i++) seen.insert(slab.alloc());
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(*seen.rbegin(), 99u);
  EXPECT_EQ(slab.alloc(), kNone32);
  EXPECT_EQ(slab.in_use(), 100u);
  slab.free(42);
  EXPECT_EQ(slab.alloc(), 42u);
  EXPECT_EQ(slab.alloc(), kNone32);
}

TEST(Slab, CapacityZero_IsAlwaysFull) {
  Slab<int> slab(0);
  EXPECT_EQ(slab.alloc(), kNone32);
  EXPECT_FALSE(slab.used(0));
}

TEST(Slab, FreedPlaces_ComeBackLastInFirstOut) {
  Slab<int> slab(8);
  for (int i = 0; i < 5; i++) slab.alloc();
  slab.free(1);
  slab.free(3);
  slab.free(0);
  EXPECT_EQ(slab.alloc(), 0u);
  EXPECT_EQ(slab.alloc(), 3u);
  EXPECT_EQ(slab.alloc(), 1u);
  EXPECT_EQ(slab.alloc(), 5u);
  EXPECT_EQ(slab.high_water(), 6u);
}

TEST(Slab, ReusedPlace_IsValueInitialisedAgain) {
  Slab<Line> slab(1);
  const u32 i = slab.alloc();
  slab[i].bytes[63] = 9;
  slab.free(i);
  EXPECT_EQ(slab.alloc(), i);
  EXPECT_EQ(slab[i].bytes[63], 0);
}

TEST(Slab, FreeAndDestruction_DestroyEachObjectOnce) {
  {
    Slab<Counted> slab(10);
    for (int i = 0; i < 6; i++) slab.alloc();
    slab.free(2);
    slab.free(4);
    EXPECT_EQ(Counted::alive, 4);
    EXPECT_EQ(slab[slab.alloc()].value, 7);
    EXPECT_EQ(Counted::alive, 5);
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST(Slab, PlaceOf_IsThereOnceHandedOutAndKeepsWhatItsLastObjectSaid) {
  Slab<int> slab(4);
  EXPECT_EQ(slab.place_of(0), nullptr);
  const u32 i = slab.alloc();
  EXPECT_EQ(slab.place_of(i), &slab[i]);
  slab[i] = 5;
  slab.free(i);
  ASSERT_NE(slab.place_of(i), nullptr);
  EXPECT_EQ(*slab.place_of(i), 5);
  EXPECT_EQ(slab.place_of(i + 1), nullptr);
  EXPECT_EQ(slab.place_of(kNone32), nullptr);
}

TEST(Slab, Used_IsTrueExactlyBetweenAllocAndFree) {
  Slab<int> slab(4);
  EXPECT_FALSE(slab.used(0));
  const u32 i = slab.alloc();
  EXPECT_TRUE(slab.used(i));
  slab.free(i);
  EXPECT_FALSE(slab.used(i));
  EXPECT_FALSE(slab.used(4));
  EXPECT_FALSE(slab.used(kNone32));
}

TEST(Slab, AlignedType_EveryPlaceIsOnALine) {
  Slab<Line> slab(3);
  for (int i = 0; i < 3; i++) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&slab[slab.alloc()]) % 64, 0u);
}

TEST(Slab, RandomisedAgainstASet_KeepsCountAndValues) {
  std::mt19937 random(20260101);
  Slab<u64> slab(64);
  std::set<u32> model;
  for (int step = 0; step < 20'000; step++) {
    if (random() % 2 == 0) {
      const u32 i = slab.alloc();
      ASSERT_EQ(i == kNone32, model.size() == 64);
      if (i == kNone32) continue;
      ASSERT_TRUE(model.insert(i).second);
      ASSERT_EQ(slab[i], 0u);
      slab[i] = i * 3u + 1;
    } else if (!model.empty()) {
      const auto it = std::next(model.begin(), static_cast<long>(random() % model.size()));
      ASSERT_EQ(slab[*it], *it * 3u + 1);
      slab.free(*it);
      model.erase(it);
    }
    ASSERT_EQ(slab.in_use(), model.size());
  }
}

TEST(SlabDeath, FreeingTwice_IsCaught) {
  Slab<int> slab(2);
  const u32 i = slab.alloc();
  slab.free(i);
  EXPECT_DEATH(slab.free(i), "assertion failed");
}

long resident_kib() {
  std::ifstream statm("/proc/self/statm");
  long total = 0, resident = 0;
  statm >> total >> resident;
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

TEST(Slab, AMillionPlaces_TouchPagesOnlyAsTheyAreUsed) {
  struct Big {
    u8 bytes[512];
  };
  const long before = resident_kib();
  Slab<Big> slab(1'000'000);
  for (int i = 0; i < 100; i++) slab.alloc();
  EXPECT_LT(resident_kib() - before, 16 * 1024);
}

}  // namespace
}  // namespace ringway
