// Contracts between the planes: the ring's bounds, the board's words, the mail's size, the tables' names.

#include <gtest/gtest.h>

#include <set>

#include "src/contract/path_sizes.h"
#include "src/contract/connections.h"
#include "src/contract/health.h"
#include "src/contract/mail.h"
#include "src/contract/ring.h"
#include "src/contract/stats.h"

namespace ringway::contract {
namespace {

TEST(Ring, FullRing_RefusesAndKeepsWhatItHolds) {
  Ring<u64> ring(3);
  EXPECT_TRUE(ring.empty());
  for (u64 i = 0; i < 3; i++) EXPECT_TRUE(ring.push(i));
  EXPECT_FALSE(ring.push(99));
  u64 out[8] = {};
  EXPECT_EQ(ring.pop_burst(out, 2), 2u);
  EXPECT_EQ(out[1], 1u);
  EXPECT_EQ(ring.size(), 1u);
  u64 last = 0;
  EXPECT_TRUE(ring.pop(last));
  EXPECT_EQ(last, 2u);
  EXPECT_FALSE(ring.pop(last));
}

TEST(Ring, CapacityAsked_IsHeldAtLeast) {
  Ring<Mail> ring(100);
  u32 held = 0;
  while (ring.push(Mail{})) held++;
  EXPECT_GE(held, 100u);
}

TEST(HealthBoard, NewSlot_MayNotBePickedUntilEveryReasonIsGone) {
  HealthBoard board;
  EXPECT_FALSE(board.may_pick(0));
  board.set(0, kHealthFailing);
  board.clear(0, kHealthUnproven);
  EXPECT_FALSE(board.may_pick(0));
  board.clear(0, kHealthFailing);
  EXPECT_TRUE(board.may_pick(0));
}

TEST(ConnectionPage, Regret25_FinishedPage_ShowsItsRowsAndNotOlderOnesWithoutAskingItsCore) {
  auto page = std::make_unique<ConnectionPage>();
  ConnectionRow row;
  for (u32 i = 0; i < 3; i++) {
    row.requests = i;
    page->write(i, row);
  }
  EXPECT_TRUE(page->read().empty());
  page->finish(3, 10);
  EXPECT_EQ(page->read().size(), 3u);
  page->finish(1, 1);
  ASSERT_EQ(page->read().size(), 1u);
  EXPECT_EQ(page->total(), 1u);
}

TEST(Tables, NamesOfCountersAndVerdicts_AreUniqueAndExplained) {
  std::set<std::string_view> names;
  for (const CounterText& text : kCounterTexts) {
    EXPECT_TRUE(names.insert(text.name).second) << text.name;
    EXPECT_FALSE(text.sentence.empty());
  }
  names.clear();
  for (u32 i = 0; i < kVerdictCount; i++) {
    EXPECT_TRUE(names.insert(kVerdictNames[i]).second) << kVerdictNames[i];
    EXPECT_FALSE(kVerdictSentences[i].empty());
  }
}

// What a core would take for a packet to `a`.
u32 bytes_to(const std::vector<PathSize>& list, const wire::Ip6& a) {
  for (const PathSize& p : list)
    if (p.to.contains(a)) return p.packet_bytes;
  return 0;
}
u32 bytes_to(const std::vector<PathSize>& list, wire::Ip4 a) { return bytes_to(list, mapped(a, 32).network); }

TEST(PathSizes, FollowTheRoutesAndTheLongestPrefix) {
  PortNet front{.ip = wire::Ip4::of(10, 1, 0, 1), .prefix_bits = 24, .mtu = 1500};
  PortNet back{.ip = wire::Ip4::of(10, 2, 0, 1), .prefix_bits = 24, .next_hop = wire::Ip4::of(10, 2, 0, 254), .mtu = 9001};
  back.paths = {{mapped({}, 0), 1400}, {mapped(wire::Ip4::of(10, 0, 0, 0), 8), 8000}, {mapped(wire::Ip4::of(10, 2, 0, 128), 25), 2000},
                {mapped(wire::Ip4::of(10, 3, 0, 0), 16), 9100}};
  const auto list = path_sizes({front, back});
  EXPECT_EQ(bytes_to(list, wire::Ip4::of(10, 1, 0, 9)), 1500u) << "connected to the other port, whatever this one says";
  EXPECT_EQ(bytes_to(list, wire::Ip4::of(10, 2, 0, 9)), 9001u) << "its own network";
  EXPECT_EQ(bytes_to(list, wire::Ip4::of(10, 2, 0, 200)), 2000u);
  EXPECT_EQ(bytes_to(list, wire::Ip4::of(10, 9, 0, 1)), 8000u);
  EXPECT_EQ(bytes_to(list, wire::Ip4::of(10, 3, 0, 1)), 9001u) << "not more than the port";
  EXPECT_EQ(bytes_to(list, wire::Ip4::of(192, 0, 2, 1)), 1400u);
  EXPECT_EQ(bytes_to(list, wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1)), 0u) << "no port speaks IPv6";
}

TEST(PathSizes, FamiliesAreApart) {
  PortNet port{.ip = wire::Ip4::of(10, 1, 0, 1), .next_hop = wire::Ip4::of(10, 1, 0, 254), .mtu = 9001};
  port.ip6 = wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1);
  port.next_hop6 = wire::Ip6::of(0xfe80, 0, 0, 0, 0, 0, 0, 1);
  port.paths = {{{}, 1500}, {{wire::Ip6::of(0xfd00, 1, 0, 0, 0, 0, 0, 0), 32}, 8900}};
  const auto list = path_sizes({port});
  EXPECT_EQ(bytes_to(list, wire::Ip4::of(192, 0, 2, 1)), 9001u) << "::/0 says nothing of IPv4";
  EXPECT_EQ(bytes_to(list, wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 7)), 9001u);
  EXPECT_EQ(bytes_to(list, wire::Ip6::of(0xfd00, 1, 5, 0, 0, 0, 0, 7)), 8900u);
  EXPECT_EQ(bytes_to(list, wire::Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)), 1500u);
}

}  // namespace
}  // namespace ringway::contract
