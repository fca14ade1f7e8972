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
};

class Transfer : public testing::TestWithParam<std::tuple<Case, u64>> {};

TEST_P(Transfer, EveryByteArrivesBothWaysAndBothClose) {
  auto [c, seed] = GetParam();
  c.faults.seed = seed * 7919 + 13;
  tcp::EngineConfig config = Duet::config();
  config.caps.multi_segs = c.multi_segs;
  config.caps.segs_max = c.multi_segs ? 8 : 1;
  Duet d(c.faults, config, config);
  d.a.piece = d.b.piece = c.piece;
  d.transfer(c.a_to_b, c.b_to_a);
  EXPECT_TRUE(d.run(3'000'000'000)) << d.story();
  EXPECT_EQ(d.a.reason, tcp::CloseReason::finished) << d.story();
  EXPECT_EQ(d.b.reason, tcp::CloseReason::finished) << d.story();
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
    {"oneWay", {.loss = 5}, 500'000, 0, false, 1460},
};

INSTANTIATE_TEST_SUITE_P(Links, Transfer, testing::Combine(testing::ValuesIn(kCases), testing::Range<u64>(1, 9)),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param).name) + "_seed" +
                                  std::to_string(std::get<1>(p.param));
                         });

}  // namespace
}  // namespace ringway::test
