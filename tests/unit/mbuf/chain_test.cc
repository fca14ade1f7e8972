// Chain and Pools: a byte stream that is compared with a plain string after every random operation, reference counts,
// and what happens when the slice pool is spent.

#include "dataplane/mbuf/chain.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "dataplane/mbuf/pools.h"
#include "tests/support/eal.h"

namespace ringway::mbuf {
namespace {

class ChainTest : public testing::Test {
 protected:
  void SetUp() override { make(512); }
  void make(u32 slices) {
    test::start_eal();
    pools_.reset();
    static int n = 0;
    std::string error;
    pools_ = Pools::make({.name = "mt" + std::to_string(n++), .packets = 1023, .indirect = 63, .slices = slices,
                          .cache = 0}, error);
    ASSERT_NE(pools_, nullptr) << error;
  }
  void TearDown() override { EXPECT_EQ(pools_->audit(), std::nullopt); }

  // A packet of these bytes in segments of `each`.
  Pkt packet(const std::string& text, std::size_t each = 2048) {
    Pkt whole;
    for (std::size_t at = 0; at < text.size(); at += each) {
      Pkt p = pools_->alloc();
      RW_ASSERT(p);
      const std::size_t n = std::min(each, text.size() - at);
      std::memcpy(p.append(static_cast<u32>(n)), text.data() + at, n);
      if (!whole) {
        whole = std::move(p);
      } else {
        RW_ASSERT(rte_pktmbuf_chain(whole.get(), p.release()) == 0);
      }
    }
    return whole;
  }
  Chain chain(const std::string& text, std::size_t each = 2048) {
    Chain c = pools_->chain();
    EXPECT_TRUE(c.append(packet(text, each)));
    return c;
  }
  static std::string text(const Chain& c) {
    std::string out(c.bytes(), '?');
    EXPECT_EQ(c.copy_out(0, {reinterpret_cast<u8*>(out.data()), out.size()}), c.bytes());
    return out;
  }
  // Counts, ends and walk agree with one another.
  static void check(const Chain& c) {
    u32 bytes = 0, slices = 0, last = kNone32;
    for (u32 at = c.first(); at != kNone32; at = c.slice(at).next) {
      ASSERT_GT(c.slice(at).length, 0u);
      bytes += c.slice(at).length;
      ++slices;
      last = at;
    }
    ASSERT_EQ(bytes, c.bytes());
    ASSERT_EQ(slices, c.slices());
    ASSERT_EQ(last, c.last());
    ASSERT_EQ(c.empty(), bytes == 0);
  }
  std::string random_text(std::size_t most) {
    std::string s(1 + rng_() % most, ' ');
    for (char& ch : s) ch = static_cast<char>('a' + rng_() % 26);
    return s;
  }

  std::mt19937 rng_{7};
  std::unique_ptr<Pools> pools_;
};

TEST_F(ChainTest, AppendTakesEverySegmentAndLeavesOutBothEnds) {
  const std::string all = "0123456789abcdefghij";
  for (u32 skip = 0; skip <= 20; ++skip) {
    for (u32 length = 0; length <= 21 - skip; ++length) {
      Chain c = pools_->chain();
      ASSERT_TRUE(c.append(packet(all, 6), skip, length));
      check(c);
      ASSERT_EQ(text(c), all.substr(skip, length));
    }
  }
}

TEST_F(ChainTest, BytesAreNeverCopied) {
  Pkt p = packet("hello");
  const u8* where = p.data();
  Chain c = pools_->chain();
  ASSERT_TRUE(c.append(std::move(p)));
  EXPECT_EQ(c.front().data(), where);
  Chain front = c.take_front(2);
  EXPECT_EQ(front.front().data(), where);
  EXPECT_EQ(c.front().data(), where + 2);
}

TEST_F(ChainTest, SplitSharesTheMbufAndJoiningMergesItAgain) {
  Chain c = chain("hello world");
  EXPECT_TRUE(c.slice(c.first()).unshared());
  Chain front = c.take_front(5);
  EXPECT_FALSE(c.slice(c.first()).unshared());
  EXPECT_EQ(pools_->packets_in_use(), 1u);
  front.append(std::move(c));
  EXPECT_EQ(front.slices(), 1u);
  EXPECT_TRUE(front.slice(front.first()).unshared());
  EXPECT_EQ(text(front), "hello world");
}

TEST_F(ChainTest, MbufIsFreedWithItsLastReference) {
  Chain c = chain("hello");
  Chain copy = c.share();
  EXPECT_EQ(text(copy), "hello");
  c.clear();
  EXPECT_EQ(pools_->packets_in_use(), 1u);
  copy.clear();
  EXPECT_EQ(pools_->packets_in_use(), 0u);
}

TEST_F(ChainTest, DropFrontAndBackFreeWhatTheyPass) {
  Chain c = chain("0123456789abcdef", 4);
  EXPECT_EQ(pools_->packets_in_use(), 4u);
  c.drop_front(5);
  EXPECT_EQ(text(c), "56789abcdef");
  EXPECT_EQ(pools_->packets_in_use(), 3u);
  c.drop_back(5);
  EXPECT_EQ(text(c), "56789a");
  EXPECT_EQ(pools_->packets_in_use(), 2u);
  c.drop_back(6);
  EXPECT_TRUE(c.empty());
}

TEST_F(ChainTest, PrependPutsTheOtherInFront) {
  Chain c = chain("world");
  c.prepend(chain("hello "));
  EXPECT_EQ(text(c), "hello world");
  c.prepend(pools_->chain());
  EXPECT_EQ(text(c), "hello world");
}

TEST_F(ChainTest, CursorWalksByAnyStep) {
  const std::string all = random_text(300) + random_text(300);
  const Chain c = chain(all, 7);
  for (u32 step = 1; step < 40; ++step) {
    Chain::Cursor at = c.cursor(0);
    for (u32 offset = 0; offset < c.bytes(); offset += step) {
      ASSERT_NE(at.slice, kNone32);
      ASSERT_EQ(c.slice(at.slice).bytes()[at.skip], static_cast<u8>(all[offset]));
      c.advance(at, std::min(step, c.bytes() - offset));
    }
    EXPECT_EQ(at.slice, kNone32);
  }
}

TEST_F(ChainTest, GrowFrontGivesRoomOnlyInAnUnsharedMbufWithReserve) {
  Chain c = chain("body");
  u8* head = c.grow_front(6, 60);
  ASSERT_NE(head, nullptr);
  std::memcpy(head, "head: ", 6);
  EXPECT_EQ(text(c), "head: body");
  EXPECT_EQ(c.grow_front(RTE_PKTMBUF_HEADROOM, 0), nullptr);
  EXPECT_EQ(c.grow_front(10, RTE_PKTMBUF_HEADROOM - 10), nullptr);
  const Chain other = c.share();
  EXPECT_EQ(c.grow_front(1, 0), nullptr);
  EXPECT_EQ(pools_->chain().grow_front(1, 0), nullptr);
}

TEST_F(ChainTest, RoomBackIsWhatGrowBackGivesInAnUnsharedMbuf) {
  Chain c = chain("head");
  const u32 room = c.room_back();
  EXPECT_GE(room, 2000u);
  EXPECT_EQ(c.grow_back(room + 1), nullptr);
  u8* const more = c.grow_back(room);
  ASSERT_NE(more, nullptr);
  EXPECT_EQ(more, c.front().data() + 4);
  EXPECT_EQ(c.bytes(), 4 + room);
  EXPECT_EQ(c.room_back(), 0u);
  c.drop_back(room);
  EXPECT_EQ(c.room_back(), room);
  const Chain other = c.share();
  EXPECT_EQ(c.room_back(), 0u);
  EXPECT_EQ(c.grow_back(1), nullptr);
  EXPECT_EQ(pools_->chain().room_back(), 0u);
  EXPECT_EQ(pools_->chain().grow_back(0), nullptr);
}

TEST_F(ChainTest, SpentSlicePoolRefusesAppendAndDropsThePacketOnly) {
  make(4);
  Chain c = chain("abc", 1);
  EXPECT_FALSE(c.append(packet("de", 1)));
  EXPECT_EQ(text(c), "abc");
  EXPECT_EQ(pools_->packets_in_use(), 3u);
  EXPECT_TRUE(c.append(packet("d")));
  EXPECT_EQ(text(c), "abcd");
}

TEST_F(ChainTest, SpentSlicePoolCutsTakeFrontAtASliceBoundary) {
  make(3);
  Chain c = chain("aaabbbccc", 3);
  Chain front = c.take_front(5);
  EXPECT_EQ(text(front), "aaa");
  EXPECT_EQ(text(c), "bbbccc");
  Chain none = c.take_front(1);
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(text(c), "bbbccc");
}

TEST_F(ChainTest, SpentSlicePoolMakesShareEmptyAndAppendSharedFalse) {
  make(3);
  Chain c = chain("abc", 2);
  EXPECT_TRUE(c.share().empty());
  Chain one = pools_->chain();
  EXPECT_TRUE(one.append_shared(c.slice(c.first()), 0, 1));
  EXPECT_FALSE(one.append_shared(c.slice(c.first()), 1, 1));
  EXPECT_EQ(text(one), "a");
}

TEST_F(ChainTest, RandomOperationsAgreeWithAString) {
  for (u32 seed = 1; seed <= 30; ++seed) {
    rng_.seed(seed);
    Chain c[2] = {pools_->chain(), pools_->chain()};
    std::string model[2];
    for (int step = 0; step < 600; ++step) {
      const u32 i = rng_() % 2, j = 1 - i;
      const u32 n = model[i].empty() ? 0 : static_cast<u32>(rng_() % (model[i].size() + 1));
      switch (rng_() % 8) {
        case 0: {
          const std::string t = random_text(200);
          const u32 skip = static_cast<u32>(rng_() % t.size());
          const u32 length = static_cast<u32>(rng_() % (t.size() + 5));
          if (model[i].size() > 2000 || !c[i].append(packet(t, 1 + rng_() % 90), skip, length)) break;
          model[i] += t.substr(skip, length);
          break;
        }
        case 1: {
          Chain front = c[i].take_front(n);
          ASSERT_EQ(text(front), model[i].substr(0, front.bytes()));
          const std::string moved = model[i].substr(0, front.bytes());
          model[i].erase(0, front.bytes());
          c[j].append(std::move(front));
          model[j] += moved;
          break;
        }
        case 2: {
          Chain front = c[i].take_front(n);
          const std::string moved = model[i].substr(0, front.bytes());
          model[i].erase(0, front.bytes());
          c[j].prepend(std::move(front));
          model[j].insert(0, moved);
          break;
        }
        case 3: c[i].drop_front(n); model[i].erase(0, n); break;
        case 4: c[i].drop_back(n); model[i].resize(model[i].size() - n); break;
        case 5: {
          const Chain other = c[i].share();
          if (!other.empty()) {
            ASSERT_EQ(text(other), model[i]);
          }
          break;
        }
        case 6: c[i].append(std::move(c[j])); model[i] += model[j]; model[j].clear(); break;
        default: {
          std::string part(rng_() % 50, ' ');
          const u32 got = c[i].copy_out(n, {reinterpret_cast<u8*>(part.data()), part.size()});
          ASSERT_EQ(part.substr(0, got), model[i].substr(n, part.size()));
        }
      }
      for (u32 k = 0; k < 2; ++k) {
        check(c[k]);
        ASSERT_EQ(text(c[k]), model[k]) << "seed " << seed << " step " << step;
      }
    }
  }
}

TEST_F(ChainTest, ReferringPacketIsIndirectAndHoldsTheBytes) {
  Chain c = chain("hello world");
  Pkt view = pools_->refer(c.slice(c.first()), 6, 5);
  ASSERT_TRUE(view);
  EXPECT_EQ(std::memcmp(view.data(), "world", 5), 0);
  EXPECT_EQ(view.total_bytes(), 5u);
  EXPECT_EQ(view.data(), c.front().data() + 6);
  EXPECT_FALSE(c.slice(c.first()).unshared());
  c.clear();
  EXPECT_EQ(std::memcmp(view.data(), "world", 5), 0);
  EXPECT_EQ(pools_->packets_in_use(), 1u);
}

TEST_F(ChainTest, EmptyIndirectPoolMakesReferEmpty) {
  Chain c = chain("x");
  std::vector<Pkt> all;
  while (Pkt p = pools_->refer(c.slice(c.first()), 0, 1)) all.push_back(std::move(p));
  EXPECT_EQ(all.size(), 63u);
}

// net_af_xdp registers so much memory as the packets need without gaps, and loses every packet beyond it.
TEST(PoolsTest, PacketsLieSideBySideWhateverThePageSize) {
  test::start_eal();
  std::string error;
  for (const u32 packets : {100u, 1023u, 8191u}) {
    const auto pools = Pools::make({.name = "side" + std::to_string(packets), .packets = packets, .indirect = 63,
                                    .slices = 64, .cache = 32}, error);
    ASSERT_NE(pools, nullptr) << error;
    EXPECT_TRUE(pools->side_by_side()) << packets << " packets";
    EXPECT_EQ(pools->packets_capacity(), packets);
    EXPECT_EQ(pools->data_bytes(), 2048u);
  }
}

TEST_F(ChainTest, AuditNamesWhatIsMissing) {
  Chain c = chain("x");
  const auto missing = pools_->audit();
  ASSERT_TRUE(missing.has_value());
  EXPECT_NE(missing->find("1 mbufs"), std::string::npos) << *missing;
  EXPECT_NE(missing->find("1 slices"), std::string::npos) << *missing;
  c.clear();
  EXPECT_EQ(pools_->audit(), std::nullopt);
}

}  // namespace
}  // namespace ringway::mbuf
