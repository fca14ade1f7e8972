// Two engines talk over links that lose, reorder, duplicate, corrupt and delay: RFC 9293 as a whole, RFC 6298, RFC 5681,
// RFC 6582, and the rows of the list of regrets that need two ends.

#include "tests/duet/duet.h"

namespace ringway::test {
namespace {

using contract::Counter;

struct Case {
  const char* name;
  Faults faults;
  u64 a_to_b, b_to_a;
  bool multi_segs;
  u32 piece;
  bool tso = false;
};

class Transfer : public testing::TestWithParam<std::tuple<Case, u64>> {};

TEST_P(Transfer, EveryByteArrivesBothWaysAndBothClose) {
  auto [c, seed] = GetParam();
  c.faults.seed = seed * 7919 + 13;
  tcp::EngineConfig config = Duet::config();
  config.caps.multi_segs = c.multi_segs;
  config.caps.segs_max = c.multi_segs ? 8 : 1;
  config.caps.tcp_checksum = config.caps.tso4 = c.tso;
  config.caps.tso_segs_max = 17;
  Duet d(c.faults, config, config);
  d.a.piece = d.b.piece = c.piece;
  d.transfer(c.a_to_b, c.b_to_a);
  EXPECT_TRUE(d.run(3'000'000'000)) << d.story();
  EXPECT_EQ(d.a.reason, tcp::CloseReason::finished) << d.story();
  EXPECT_EQ(d.b.reason, tcp::CloseReason::finished) << d.story();
  EXPECT_EQ(d.a.counter(Counter::tcp_tso_packets) > 0, c.tso) << d.story();
  d.audit();
}

constexpr u64 kMega = 1'000'000;
const Case kCases[] = {
    {"clean", {}, 4 * kMega, 4 * kMega, false, 1460},
    {"cleanMultiSegs", {}, 4 * kMega, 4 * kMega, true, 1460},
    {"oddPieces", {}, kMega, kMega, false, 999},
    {"oddPiecesMultiSegs", {}, kMega, kMega, true, 777},
    {"largePieces", {}, kMega, kMega, false, 2000},
    {"tinyPieces", {}, 20'000, 20'000, false, 3},
    {"tinyPiecesMultiSegs", {}, 20'000, 20'000, true, 3},
    {"loss1", {.loss = 1}, kMega, kMega, false, 1460},
    {"loss10", {.loss = 10}, 200'000, 200'000, false, 1460},
    {"loss30", {.loss = 30}, 30'000, 30'000, false, 1460},
    {"reorder", {.reorder = 20}, kMega, kMega, false, 1460},
    {"duplicate", {.duplicate = 30}, kMega, kMega, false, 1460},
    {"corrupt", {.corrupt = 5}, 300'000, 300'000, false, 1460},
    {"everything", {.loss = 3, .reorder = 10, .duplicate = 5, .corrupt = 2, .delay_us = 2000}, 300'000, 300'000, false, 1200},
    {"everythingMultiSegs", {.loss = 3, .reorder = 10, .duplicate = 5, .corrupt = 2, .delay_us = 2000}, 300'000, 300'000, true, 600},
    {"shortQueue", {.delay_us = 5000, .queue_packets = 20}, kMega, 100'000, false, 1460},
    {"nothingToSay", {.loss = 20}, 0, 0, false, 1460},
    {"cleanTso", {}, 4 * kMega, 4 * kMega, true, 1460, true},
    {"oddPiecesTso", {}, kMega, kMega, true, 777, true},
    {"largePiecesTso", {}, kMega, kMega, true, 2000, true},
    {"loss1Tso", {.loss = 1}, kMega, kMega, true, 1460, true},
    {"loss10Tso", {.loss = 10}, 200'000, 200'000, true, 1460, true},
    {"everythingTso", {.loss = 3, .reorder = 10, .duplicate = 5, .corrupt = 2, .delay_us = 2000}, 300'000, 300'000, true, 1200, true},
    {"shortQueueTso", {.delay_us = 5000, .queue_packets = 20}, kMega, 100'000, true, 1460, true},
    {"oneWay", {.loss = 5}, 500'000, 0, false, 1460},
};

// Simulated time for `bytes` one way.
TimeUs time_for(Faults faults, u64 bytes, const tcp::EngineConfig& config, u64* retransmits = nullptr) {
  Duet d(faults, config, config);
  d.transfer(bytes, 0);
  const TimeUs start = d.now;
  EXPECT_TRUE(d.run(3'000'000'000)) << d.story();
  const TimeUs took = d.now - start;
  if (retransmits != nullptr) *retransmits = d.a.counter(Counter::tcp_retransmits);
  d.audit();
  return took;
}

TEST(Regret10, LinkThatOnlyReordersKeepsFourFifthsOfTheThroughput) {
  const Faults clean{.delay_us = 5000};
  Faults mixed = clean;
  mixed.reorder = 20;
  mixed.reorder_us = 2000;
  tcp::EngineConfig with = Duet::config(), without = Duet::config();
  without.sack = false;
  const TimeUs best = time_for(clean, 8 * kMega, with);
  u64 again = 0, again_without = 0;
  const TimeUs reordered = time_for(mixed, 8 * kMega, with, &again);
  const TimeUs fallback = time_for(mixed, 8 * kMega, without, &again_without);
  EXPECT_LE(reordered * 4, best * 5) << best << " us clean, " << reordered << " us reordered, " << again << " sent again";
  EXPECT_GT(fallback * 4, best * 5) << "duplicate acknowledgements alone would do as well";
  EXPECT_GT(again_without, again);
}

TEST(Regret29, ShortQueueLosesLittleBecauseTheWindowFollowsIt) {
  const Faults narrow{.delay_us = 5000, .queue_packets = 40};
  tcp::EngineConfig config = Duet::config();
  config.send_budget_bytes = config.receive_budget_bytes = 1'000'000;  // without a congestion window: 690 packets at once
  u64 again = 0;
  time_for(narrow, 8 * kMega, config, &again);
  EXPECT_LT(again, 8 * kMega / 1448 / 20) << "sent again";
}

// Half of a paced window is on its way out at a time, half of it on its way back as acknowledgements.
TEST(Pacing, LinkThatHoldsFewPacketsAtOnceCarriesMoreThanOfBursts) {
  const Faults narrow{.delay_us = 20'000, .queue_packets = 30};
  tcp::EngineConfig burst = Duet::config(), paced = Duet::config();
  paced.pacing = true;
  const TimeUs with = time_for(narrow, 8 * kMega, paced), without = time_for(narrow, 8 * kMega, burst);
  EXPECT_LT(with * 5, without * 4) << with << " us paced, " << without << " us in bursts";
}

TEST(Regret30, LargerBuffersAreNeverSlowerThroughARingOf64Packets) {
  const Faults ring{.delay_us = 2000, .queue_packets = 64};
  TimeUs before = ~TimeUs{0};
  for (const u32 budget : {8'000u, 16'000u, 32'000u, 64'000u, 128'000u, 256'000u, 512'000u, 1'000'000u}) {
    tcp::EngineConfig config = Duet::config();
    config.send_budget_bytes = config.receive_budget_bytes = budget;
    const TimeUs took = time_for(ring, 8 * kMega, config);
    EXPECT_LE(took, before + before / 5) << budget << " bytes";
    before = std::min(before, took);
  }
}

// Without SACK the sender learns of one hole per round trip.
TEST(Recovery, HolesOfAnOverflowingQueueCostLessWithSackThanWithout) {
  const Faults narrow{.delay_us = 5000, .rate_mbit_s = 200, .queue_bytes = 150'000};
  tcp::EngineConfig with = Duet::config();
  with.send_budget_bytes = with.receive_budget_bytes = 2'000'000;
  tcp::EngineConfig without = with;
  without.sack = false;
  const TimeUs repaired = time_for(narrow, 4 * kMega, with);
  const TimeUs fallback = time_for(narrow, 4 * kMega, without);
  EXPECT_LT(repaired * 5, fallback * 4) << repaired << " us with, " << fallback << " us without";
}

class Mixed : public testing::TestWithParam<u64> {};

TEST_P(Mixed, PeersWithAndWithoutOptionsUnderstandOneAnother) {
  const Faults bad{.loss = 3, .reorder = 10, .duplicate = 5, .delay_us = 2000, .seed = GetParam()};
  for (u32 which = 0; which < 4; ++which) {
    tcp::EngineConfig other = Duet::config();
    other.sack = (which & 1) != 0;
    other.timestamps = (which & 2) != 0;
    Duet d(bad, Duet::config(), other);
    d.transfer(200'000, 200'000);
    EXPECT_TRUE(d.run(3'000'000'000)) << d.story();
    d.audit();
  }
}
INSTANTIATE_TEST_SUITE_P(Options, Mixed, testing::Range<u64>(1, 6));

INSTANTIATE_TEST_SUITE_P(Links, Transfer, testing::Combine(testing::ValuesIn(kCases), testing::Range<u64>(1, 9)),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param).name) + "_seed" +
                                  std::to_string(std::get<1>(p.param));
                         });

}  // namespace
}  // namespace ringway::test
