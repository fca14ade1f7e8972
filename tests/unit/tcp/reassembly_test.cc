// Reassembly against a model: random overlapping segments in any order give the stream, whole and without a copy.

#include "dataplane/tcp/reassembly.h"

#include <gtest/gtest.h>

#include <random>

#include "dataplane/mbuf/pools.h"
#include "tests/support/eal.h"

namespace ringway::tcp {
namespace {

using wire::SeqNo;

struct Reassemble : testing::Test {
  Reassemble() {
    test::start_eal();
    std::string error;
    static int serial = 0;
    pools = mbuf::Pools::make({.name = "ra" + std::to_string(serial++), .packets = 511, .indirect = 7, .slices = 512,
                               .cache = 0}, error);
    RW_ASSERT(pools != nullptr);
  }
  ~Reassemble() override {
    r = Reassembly{};
    out.clear();
    EXPECT_FALSE(pools->audit().has_value()) << pools->audit().value_or("");
  }
  mbuf::Chain segment(u32 at, u32 n) {
    mbuf::Pkt p = pools->alloc();
    u8* to = p.append(n);
    for (u32 i = 0; i < n; ++i) to[i] = static_cast<u8>((at + i) * 37 >> 3);
    mbuf::Chain c = pools->chain();
    EXPECT_TRUE(c.append(std::move(p)));
    return c;
  }
  Reassembly::Outcome insert(u32 at, u32 n) { return r.insert(start + at, segment(at, n)); }
  void check_out() {
    std::vector<u8> b(out.bytes());
    out.copy_out(0, b);
    for (u32 i = 0; i < b.size(); ++i) ASSERT_EQ(b[i], static_cast<u8>(i * 37 >> 3)) << i;
  }

  std::unique_ptr<mbuf::Pools> pools;
  SeqNo start{0xffff'ff80};  // wraps
  Reassembly r;
  mbuf::Chain out;
};

TEST_F(Reassemble, HoleIsFilledAndEverythingComesOut) {
  out = pools->chain();
  EXPECT_EQ(insert(10, 10), Reassembly::Outcome::kept);
  EXPECT_EQ(insert(30, 10), Reassembly::Outcome::kept);
  EXPECT_EQ(r.ranges(), 2u);
  EXPECT_EQ(insert(20, 10), Reassembly::Outcome::kept);
  EXPECT_EQ(r.ranges(), 1u);
  EXPECT_EQ(insert(0, 10), Reassembly::Outcome::kept);
  EXPECT_EQ(r.drain(start, out), start + 40);
  EXPECT_TRUE(r.empty());
  check_out();
}

TEST_F(Reassemble, BytesThatAreThereAlreadyAreDuplicates) {
  EXPECT_EQ(insert(10, 20), Reassembly::Outcome::kept);
  EXPECT_EQ(insert(10, 20), Reassembly::Outcome::duplicate);
  EXPECT_EQ(insert(15, 5), Reassembly::Outcome::duplicate);
  EXPECT_EQ(insert(5, 30), Reassembly::Outcome::kept);
  EXPECT_EQ(r.ranges(), 1u);
  EXPECT_EQ(r.begin(0), start + 5);
  EXPECT_EQ(r.end(0), start + 35);
}

TEST_F(Reassemble, OneRangeTooManyIsRefused) {
  for (u32 i = 0; i < Reassembly::kRanges; ++i) EXPECT_EQ(insert(10 + i * 20, 5), Reassembly::Outcome::kept);
  EXPECT_EQ(insert(1000, 5), Reassembly::Outcome::refused);
  EXPECT_EQ(insert(15, 15), Reassembly::Outcome::kept) << "what joins ranges needs no room";
  EXPECT_EQ(r.ranges(), Reassembly::kRanges - 1);
}

TEST_F(Reassemble, StreamMovesPastWhatWasKept) {
  out = pools->chain();
  insert(10, 10);
  insert(30, 10);
  EXPECT_EQ(r.drain(start + 25, out), start + 25);
  EXPECT_EQ(r.ranges(), 1u);
  EXPECT_TRUE(out.empty());
}

TEST_F(Reassemble, RandomSegmentsGiveTheStream) {
  for (u64 seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 rng(seed);
    r = Reassembly{};
    out = pools->chain();
    SeqNo next = start;
    u32 steps = 0;
    while (next - start < 2000) {
      ASSERT_LT(++steps, 100'000u) << seed;
      const u32 front = static_cast<u32>(next - start);
      const u32 at = rng() % 3 == 0 ? front : front + static_cast<u32>(rng() % 300);
      insert(at, 1 + static_cast<u32>(rng() % 120));
      for (u32 i = 0; i + 1 < r.ranges(); ++i) ASSERT_LT(r.end(i), r.begin(i + 1)) << "ranges stand apart, seed " << seed;
      next = r.drain(next, out);
      ASSERT_EQ(out.bytes(), static_cast<u32>(next - start));
    }
    check_out();
  }
}

}  // namespace
}  // namespace ringway::tcp
