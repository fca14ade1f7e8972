// Seqlock: a reader never sees half of a write.

#include "src/base/seqlock.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

namespace ringway {
namespace {

struct Odd {
  u64 a;
  u32 b;
  u8 c[7];
};

TEST(Seqlock, Default_ReadsAZeroValue) {
  Seqlock<Odd> lock;
  EXPECT_EQ(lock.read().a, 0u);
  EXPECT_EQ(lock.writes(), 1u);
}

TEST(Seqlock, SizeThatIsNoMultipleOfAWord_RoundTrips) {
  Seqlock<Odd> lock;
  lock.write({.a = 1, .b = 2, .c = {3, 4, 5, 6, 7, 8, 9}});
  const Odd out = lock.read();
  EXPECT_EQ(out.a, 1u);
  EXPECT_EQ(out.b, 2u);
  EXPECT_EQ(out.c[6], 9);
  EXPECT_EQ(lock.writes(), 2u);
}

TEST(Seqlock, ManyReadersAgainstOneWriter_NeverSeeATornValueNorTimeGoingBack) {
  using Value = std::array<u64, 12>;
  Seqlock<Value> lock;
  std::atomic<bool> stop{false};
  std::atomic<u64> torn{0}, backwards{0}, whole{0};
  const auto reader = [&] {
    u64 last = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      Value v;
      if (!lock.try_read(v)) {
        std::this_thread::yield();
        continue;
      }
      for (const u64 word : v) torn += word != v[0];
      backwards += v[0] < last;
      last = v[0];
      whole++;
    }
  };
  std::thread one(reader), two(reader);
  for (u64 n = 1; n <= 100'000; n++) {
    Value v;
    v.fill(n);
    lock.write(v);
    if (n % 1000 == 0) std::this_thread::yield();
  }
  while (whole.load() == 0) std::this_thread::yield();
  stop = true;
  one.join();
  two.join();
  EXPECT_EQ(torn.load(), 0u);
  EXPECT_EQ(backwards.load(), 0u);
  EXPECT_GT(whole.load(), 0u);
  EXPECT_EQ(lock.read()[11], 100'000u);
}

}  // namespace
}  // namespace ringway
