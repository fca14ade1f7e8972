// Contracts between the planes: the ring's bounds, the board's words, the mail's size, the tables' names.

#include <gtest/gtest.h>

#include <set>

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

}  // namespace
}  // namespace ringway::contract
