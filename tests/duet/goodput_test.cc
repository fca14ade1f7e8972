// How fast a transfer is over a bad wire, in simulated time: 200 Mbit/s and a round trip of 2 ms, which is the wire of
// tools/loss, without the machine that disturbs it there. What is right is arithmetic: a wire that only reorders or repeats
// costs nothing; one that loses at random leaves the window of Mathis, Semke, Mahdavi and Ott, "The macroscopic behavior of
// the TCP congestion avoidance algorithm" (1997), 1.22 / sqrt(p) segments per round trip, which RFC 9438 4.3 keeps to.

#include <cmath>

#include "tests/duet/duet.h"

namespace ringway::test {
namespace {

using contract::Counter;

constexpr u32 kRateMbit = 200, kDelayUs = 1000, kSeeds = 7;
constexpr double kLinkMbit = kRateMbit * 1448.0 / 1514;
constexpr u64 kMega = 1 << 20;

enum class Sender : u32 { client, server };  // the side that connected, and its peer; their minimum timeouts differ

struct Goodput {
  double mbit_s;
  u64 retransmits, timeouts, recoveries, spurious;
};

tcp::EngineConfig gateway() {
  tcp::EngineConfig c = Duet::config();
  c.rto_min_us[0] = 200'000;
  c.rto_min_us[1] = 5'000;
  return c;
}

Goodput measure(Faults f, Sender who, u64 bytes, u64 seed, const tcp::EngineConfig& c = gateway()) {
  f.delay_us = kDelayUs;
  f.rate_mbit_s = kRateMbit;
  f.seed = seed;
  Duet d(f, c, c, 4095);
  who == Sender::client ? d.transfer(bytes, 0) : d.transfer(0, bytes);
  const TimeUs began = d.now;
  EXPECT_TRUE(d.carry(600'000'000)) << d.story();
  const double us = static_cast<double>(d.now - began);
  const Side& s = who == Sender::client ? d.a : d.b;
  const Goodput g{static_cast<double>(bytes) * 8 / us, s.counter(Counter::tcp_retransmits), s.counter(Counter::tcp_rto),
                  s.counter(Counter::tcp_fast_retransmits), s.counter(Counter::tcp_spurious_recoveries)};
  EXPECT_TRUE(d.run(600'000'000)) << d.story();
  d.audit();
  return g;
}

// In the middle of kSeeds wires.
Goodput median(const Faults& f, Sender who, u64 bytes, const tcp::EngineConfig& c = gateway()) {
  std::vector<Goodput> all;
  for (u64 seed = 1; seed <= kSeeds; ++seed) all.push_back(measure(f, who, bytes, seed, c));
  std::sort(all.begin(), all.end(), [](const Goodput& a, const Goodput& b) { return a.mbit_s < b.mbit_s; });
  return all[kSeeds / 2];
}

double window_of_loss_mbit(double percent) { return 1.22 / std::sqrt(percent / 100) * 1448 * 8 / (2.0 * kDelayUs); }

class Direction : public testing::TestWithParam<Sender> {};

TEST_P(Direction, CleanWireIsFilled) { EXPECT_GT(measure({}, GetParam(), 16 * kMega, 1).mbit_s, 0.98 * kLinkMbit); }

TEST_P(Direction, FifthOfTheSegmentsLateCostsATwentiethOnEveryWire) {
  for (u64 seed = 1; seed <= kSeeds; ++seed) {
    const Goodput g = measure({.hold = 20}, GetParam(), 16 * kMega, seed);
    EXPECT_GT(g.mbit_s, 0.95 * kLinkMbit) << "seed " << seed;
    EXPECT_EQ(g.recoveries, g.spurious) << "nothing was lost; seed " << seed;
  }
}

// A core that others use as well sees much of a window at one time, and what is late beside it.
TEST_P(Direction, FifthOfTheSegmentsLateCostsATenthThoughTheCoresAreAwayNowAndThen) {
  for (u64 seed = 1; seed <= kSeeds; ++seed) {
    const Goodput g = measure({.hold = 20, .away_us = 4000}, GetParam(), 16 * kMega, seed);
    EXPECT_GT(g.mbit_s, 0.9 * kLinkMbit) << "seed " << seed;
    EXPECT_GE(g.spurious + 1, g.recoveries) << "seed " << seed;
  }
}

TEST_P(Direction, DuplicatesCostNothing) {
  const Goodput g = median({.duplicate = 1}, GetParam(), 16 * kMega);
  EXPECT_GT(g.mbit_s, 0.97 * kLinkMbit);
  EXPECT_EQ(g.recoveries, 0u);
}

TEST_P(Direction, RandomLossLeavesTheWindowThatItAllows) {
  EXPECT_GT(median({.loss = 0.1}, GetParam(), 16 * kMega).mbit_s, 0.9 * kLinkMbit);
  EXPECT_GT(median({.loss = 1}, GetParam(), 8 * kMega).mbit_s, window_of_loss_mbit(1));
  EXPECT_GT(median({.corrupt = 1}, GetParam(), 8 * kMega).mbit_s, window_of_loss_mbit(1));
}

// Windows of five segments: with one acknowledgement for each, a twentieth of the round trips ended in silence.
TEST_P(Direction, LossOfATwentiethIsRepairedWithoutTimeouts) {
  const u64 bytes = 4 * kMega;
  const Goodput g = median({.loss = 5}, GetParam(), bytes);
  EXPECT_GT(g.mbit_s, (GetParam() == Sender::client ? 0.8 : 0.5) * window_of_loss_mbit(5));
  u64 timeouts = 0;
  for (u64 seed = 1; seed <= kSeeds; ++seed) timeouts += measure({.loss = 5}, GetParam(), bytes, seed).timeouts;
  EXPECT_LE(timeouts, 4 * kSeeds);
}

// Slow start sends twice what the queue takes: half of a window of 600 KB is lost, in as many pieces.
TEST_P(Direction, OverflowOfAQueueIsRepairedInAFewRoundTrips) {
  tcp::EngineConfig c = gateway();
  c.send_budget_bytes = c.receive_budget_bytes = 1 << 20;
  const Goodput g = measure({}, GetParam(), 16 * kMega, 1, c);
  EXPECT_GT(g.mbit_s, 0.97 * kLinkMbit);
  EXPECT_GT(g.retransmits, 100u) << "the queue did not overflow";
  EXPECT_EQ(g.timeouts, 0u);
  EXPECT_GT(median({.hold = 20}, GetParam(), 16 * kMega, c).mbit_s, 0.95 * kLinkMbit);
}

INSTANTIATE_TEST_SUITE_P(Goodput, Direction, testing::Values(Sender::client, Sender::server),
                         [](const auto& p) { return std::string(p.param == Sender::client ? "client" : "server"); });

}  // namespace
}  // namespace ringway::test
