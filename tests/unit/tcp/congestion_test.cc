// Congestion: slow start, NewReno, the switch to CUBIC, ECN, idle and unused windows, against the RFCs' own arithmetic. The
// curves of CUBIC and the rounds of HyStart++ have cubic_test.cc.

#include <gtest/gtest.h>

#include "dataplane/tcp/congestion.h"

namespace ringway::tcp {
namespace {

using wire::SeqNo;

constexpr u32 kMss = 1000;

// Nothing about round trips, and time stands still.
Acked acked(u32 bytes, SeqNo una, u32 flight, u32 now_ticks = 0) { return {bytes, una, una + flight, flight, 0, now_ticks}; }

Congestion started(CongestionControl kind = CongestionControl::newreno) {
  Congestion c;
  c.start(kind, kMss, SeqNo{0});
  c.on_full(SeqNo{0x4000'0000});  // there is always more to send
  return c;
}

TEST(NewReno, InitialWindowIsThatOfRfc6928) {
  Congestion c;
  c.start(CongestionControl::cubic, 1460, SeqNo{0});
  EXPECT_EQ(c.cwnd, 14'600u);
  c.start(CongestionControl::cubic, 9000, SeqNo{0});
  EXPECT_EQ(c.cwnd, 18'000u);
  c.start(CongestionControl::cubic, 536, SeqNo{0});
  EXPECT_EQ(c.cwnd, 5360u);
}

TEST(NewReno, SlowStartGrowsByWhatIsAcknowledged) {
  Congestion c = started();
  EXPECT_FALSE(c.on_ack(acked(1000, SeqNo{1000}, 10'000), kMss));
  EXPECT_EQ(c.cwnd, 11'000u);
  c.on_ack(acked(9000, SeqNo{10'000}, 11'000), kMss);
  EXPECT_EQ(c.cwnd, 19'000u) << "at most eight segments for one acknowledgement (RFC 9406 4.3)";
}

TEST(NewReno, WindowThatWasNotFilledDoesNotGrow) {
  Congestion c = started();
  c.on_full(SeqNo{0});
  c.on_ack(acked(1000, SeqNo{1000}, 1000), kMss);
  EXPECT_EQ(c.cwnd, 10'000u);
}

TEST(NewReno, EveryAcknowledgementOfAFullWindowCountsThoughNothingIsSentMeanwhile) {
  Congestion c = started();
  c.on_full(SeqNo{10'000});
  for (u32 i = 1; i <= 11; ++i) c.on_ack(acked(1000, SeqNo{i * 1000}, 11'000 - i * 1000), kMss);
  EXPECT_EQ(c.cwnd, 20'000u);
}

TEST(NewReno, WindowThatWasFullTwoGibibytesAgoDoesNotGrow) {
  Congestion c = started();
  c.on_full(SeqNo{5000});
  for (u64 una = 10'000; una < 5'000'000'000; una += 1 << 20) c.on_ack(acked(1 << 20, SeqNo{static_cast<u32>(una)}, 5000), kMss);
  EXPECT_EQ(c.cwnd, 10'000u);
}

TEST(NewReno, AvoidanceGrowsByOneSegmentPerWindow) {
  Congestion c = started();
  c.ssthresh = 5000;
  for (u32 i = 1; i <= 10; ++i) c.on_ack(acked(1000, SeqNo{i * 1000}, 10'000), kMss);
  EXPECT_EQ(c.cwnd, 11'000u);
}

TEST(NewReno, ThirdDuplicateHalvesOnceUntilRecoveryEnds) {
  Congestion c = started();
  const SeqNo una{5000}, sent{15'000};
  EXPECT_FALSE(c.on_dupack(una, sent, 10'000, kMss));
  EXPECT_EQ(c.window(kMss), 11'000u) << "limited transmit";
  EXPECT_FALSE(c.on_dupack(una, sent, 10'000, kMss));
  EXPECT_EQ(c.window(kMss), 12'000u);
  EXPECT_TRUE(c.on_dupack(una, sent, 10'000, kMss));
  EXPECT_EQ(c.ssthresh, 5000u);
  EXPECT_EQ(c.cwnd, 8000u);
  EXPECT_FALSE(c.on_dupack(una, sent, 10'000, kMss));
  EXPECT_EQ(c.cwnd, 9000u);
  EXPECT_TRUE(c.on_ack(acked(2000, SeqNo{7000}, 10'000), kMss)) << "partial";
  EXPECT_TRUE(c.in_recovery);
  EXPECT_EQ(c.ssthresh, 5000u) << "reduced once per event";
  EXPECT_FALSE(c.on_ack(acked(8000, sent, 8000), kMss)) << "full";
  EXPECT_FALSE(c.in_recovery);
  EXPECT_LE(c.cwnd, 5000u);
}

TEST(NewReno, DuplicatesOfWhatTheTimeoutResendsDoNotHalveAgain) {
  Congestion c = started();
  c.on_timeout(SeqNo{10'000}, 10'000, kMss, false);
  EXPECT_EQ(c.cwnd, kMss);
  EXPECT_EQ(c.ssthresh, 5000u);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(c.on_dupack(SeqNo{4000}, SeqNo{10'000}, 6000, kMss));
  c.on_timeout(SeqNo{10'000}, 1000, kMss, true);
  EXPECT_EQ(c.ssthresh, 5000u);
}

TEST(NewReno, AfterATimeoutSlowStartTakesOneSegmentPerAck) {
  Congestion c = started();
  c.on_timeout(SeqNo{10'000}, 10'000, kMss, false);
  c.on_ack(acked(3000, SeqNo{3000}, 10'000), kMss);
  EXPECT_EQ(c.cwnd, 2000u);
}

TEST(NewReno, IdleConnectionStartsAgainFromTheInitialWindow) {
  Congestion c = started();
  c.cwnd = 500'000;
  c.on_idle(kMss);
  EXPECT_EQ(c.cwnd, 10'000u);
}

TEST(Rfc9438_4_6, LossLeavesSevenTenthsOfWhatWasInFlight) {
  Congestion c = started(CongestionControl::cubic);
  c.cwnd = 100'000;
  c.begin_recovery(SeqNo{100'000}, 100'000, kMss);
  EXPECT_NEAR(c.ssthresh, 70'000, 100);
  EXPECT_FALSE(c.first_start);
  EXPECT_EQ(c.cubic.w_max, 100'000u);
}

TEST(Rfc9438_4_8, AfterATimeoutTheCurveBeginsAtItsTop) {
  Congestion c = started(CongestionControl::cubic);
  c.cwnd = 100'000;
  c.on_timeout(SeqNo{100'000}, 100'000, kMss, false);
  EXPECT_EQ(c.cwnd, kMss);
  EXPECT_NEAR(c.ssthresh, 70'000, 100);
  c.cwnd = c.ssthresh;
  c.on_ack(acked(kMss, SeqNo{100'001}, c.cwnd, 5000), kMss);
  EXPECT_EQ(c.cubic.k, 0u);
  EXPECT_EQ(c.cubic.w_max, c.ssthresh);
}

TEST(Rfc9438_4_9, UndoneRecoveryLeavesWindowAndCurveAsTheyWere) {
  Congestion c = started(CongestionControl::cubic);
  c.cwnd = 50'000;
  c.begin_recovery(SeqNo{50'000}, 50'000, kMss);
  c.end_recovery(kMss);
  const Congestion before = c;
  c.begin_recovery(SeqNo{99'000}, c.cwnd, kMss);
  c.cwnd = 3000;
  c.undo(before);
  EXPECT_EQ(c.cwnd, before.cwnd);
  EXPECT_EQ(c.ssthresh, before.ssthresh);
  EXPECT_EQ(c.cubic.w_max, before.cubic.w_max);
  EXPECT_FALSE(c.in_recovery);
}

// Rounds of one window each, at `rtt_us`, until `rounds` are over; returns the window.
u32 rounds(Congestion& c, u32& at, u32 count, u32 rtt_us, u32& ticks) {
  for (u32 r = 0; r < count; ++r, ticks += rtt_us >> 10) {
    const u32 flight = c.cwnd;
    for (u32 done = 0; done + kMss <= flight; done += kMss) {
      at += kMss;
      c.on_ack({kMss, SeqNo{at}, SeqNo{at} + flight, flight, rtt_us, ticks}, kMss);
    }
  }
  return c.cwnd;
}

TEST(Rfc9406_4_2, SlowStartEndsWithoutLossWhereRoundTripsGrow) {
  Congestion steady = started(CongestionControl::cubic), growing = steady;
  u32 at = 0, ticks = 1000;
  EXPECT_GE(rounds(steady, at, 6, 50'000, ticks), 500'000u) << "doubles every round";
  at = 0;
  u32 rtt = 50'000;
  for (u32 r = 0; r < 12; ++r, rtt += 8000) rounds(growing, at, 1, rtt, ticks);
  EXPECT_LT(growing.ssthresh, 300'000u);
  EXPECT_LT(growing.cwnd, 400'000u);
}

TEST(Rfc3168_6_1_2, MarkReducesOncePerWindowOfData) {
  Congestion c = started(CongestionControl::cubic);
  c.cwnd = 100'000;
  EXPECT_TRUE(c.on_mark(SeqNo{100'000}, 100'000, kMss));
  EXPECT_NEAR(c.cwnd, 70'000, 100);
  EXPECT_FALSE(c.on_mark(SeqNo{120'000}, 70'000, kMss));
  c.on_ack(acked(kMss, SeqNo{50'000}, 70'000), kMss);
  EXPECT_FALSE(c.on_mark(SeqNo{120'000}, 70'000, kMss));
  EXPECT_NEAR(c.cwnd, 70'000, 100) << "and does not grow meanwhile";
  c.on_ack(acked(kMss, SeqNo{100'000}, 70'000), kMss);
  EXPECT_TRUE(c.on_mark(SeqNo{170'000}, 70'000, kMss));
  EXPECT_NEAR(c.cwnd, 49'000, 100);
}

TEST(Rfc7661_4_4_1, LossInAWindowThatWasNotUsedCountsFromWhatWas) {
  Congestion c = started();
  c.on_full(SeqNo{0});
  c.cwnd = 100'000;
  c.ssthresh = 50'000;
  c.on_ack(acked(kMss, SeqNo{1000}, 40'000, 1), kMss);
  c.begin_recovery(SeqNo{50'000}, 20'000, kMss);
  EXPECT_EQ(c.ssthresh, 20'000u) << "half of the 40 000 that had arrived, neither of 100 000 nor of 20 000";
}

// Acknowledgements of a whole window come in one burst, and what is in flight is little for a moment.
TEST(Rfc9438_4_6, LossInAFullWindowCountsFromTheWindow) {
  for (const bool full : {true, false}) {
    Congestion c = started();
    if (!full) c.on_full(SeqNo{0});
    c.cwnd = c.ssthresh = 8000;
    c.on_ack(acked(3000, SeqNo{3000}, 8000), kMss);
    const u32 window = c.cwnd;
    c.begin_recovery(SeqNo{8000}, 5000, kMss);
    EXPECT_EQ(c.ssthresh, full ? window / 2 : 2500u);
  }
}

TEST(Rfc7661_4_4_1, SecondLossBehindTheFirstCountsFromTheWindowThatItLeft) {
  Congestion c = started();
  c.on_full(SeqNo{0});
  c.cwnd = 100'000;
  c.on_ack(acked(kMss, SeqNo{1000}, 100'000, 1), kMss);
  c.begin_recovery(SeqNo{50'000}, 100'000, kMss);
  EXPECT_EQ(c.ssthresh, 50'000u);
  c.end_recovery(kMss);
  c.begin_recovery(SeqNo{60'000}, 4000, kMss);
  EXPECT_EQ(c.ssthresh, 25'000u) << "not 2000";
}

TEST(Rfc7661_4_4_2, WindowThatIsNotUsedForFiveMinutesIsHalved) {
  Congestion c = started();
  c.on_full(SeqNo{0});
  c.cwnd = 100'000;
  c.ssthresh = 60'000;
  u32 una = 0;
  for (u32 ticks = 0; ticks < kNotValidatedTicks; ticks += 900) c.on_ack(acked(kMss, SeqNo{una += kMss}, 10'000, ticks), kMss);
  EXPECT_EQ(c.cwnd, 100'000u);
  for (u32 n = 1; n < 3; ++n) c.on_ack(acked(kMss, SeqNo{una += kMss}, 10'000, kNotValidatedTicks + n * 900), kMss);
  EXPECT_EQ(c.cwnd, 50'000u);
  EXPECT_EQ(c.ssthresh, 75'000u);
}

TEST(Rfc7661_4_4, WindowThatIsHalfUsedStays) {
  Congestion c = started();
  c.on_full(SeqNo{0});
  c.cwnd = 100'000;
  c.ssthresh = 60'000;
  u32 una = 0;
  for (u32 ticks = 0; ticks < 3 * kNotValidatedTicks; ticks += 900) c.on_ack(acked(kMss, SeqNo{una += kMss}, 60'000, ticks), kMss);
  EXPECT_EQ(c.cwnd, 100'000u);
}

}  // namespace
}  // namespace ringway::tcp
