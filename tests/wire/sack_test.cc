// SACK, D-SACK, RACK-TLP, PRR and the undoing of what was no loss, on one wire: RFC 2018, 2883, 8985, 6937, 3522, 3708.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

// Ten segments of 1460 bytes in flight over a path of 10 ms.
void ten_out(Wire& w, const std::string& syn = "S seq=0 win=65535 mss=1460 sackok") {
  w.listen();
  w.in(syn);
  w.out("SA sackok");
  w.after(10ms);
  w.in(syn.find("ts=") == std::string::npos ? "A seq=1 ack=1 win=65535" : "A seq=1 ack=1 win=65535 ts=1 ecr=0");
  w.quiet();
  const u32 mss = w.info().mss;
  w.send(std::string(40 * mss, 'x'), mss);
  for (u32 i = 0; i < 10; ++i) w.out("A seq=" + std::to_string(1 + i * mss) + " len=" + std::to_string(mss));
  w.quiet();
}

// --- negotiation
TEST(Rfc2018_2, PermissionIsAnsweredOnlyToAPermission) {
  Wire w;
  w.listen();
  w.in("S seq=0 mss=1460");
  w.out("SA");
  EXPECT_FALSE(w.last.seg.options.sack_permitted);
  w.in("A seq=1 ack=1");
  w.connect();
  w.out("S sackok");
  w.audit();
}

TEST(Rfc2018_2, SwitchedOffItIsNeitherOfferedNorAcceptedNorSent) {
  auto c = Wire::small();
  c.sack = false;
  Wire w(c);
  w.listen();
  w.in("S seq=0 mss=1460 sackok");
  w.out("SA");
  EXPECT_FALSE(w.last.seg.options.sack_permitted);
  w.in("A seq=1 ack=1");
  w.in("A seq=101 ack=1 len=100");
  w.out("A ack=1 sack=none");
  w.audit();
}

// --- receiver
TEST(Rfc2018_4, RangeThatGrewLastComesFirst) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1460 sackok");
  w.in("A seq=101 ack=1 len=100");
  w.out("A ack=1 sack=101-201");
  w.in("A seq=301 ack=1 len=100");
  w.out("A ack=1 sack=301-401,101-201");
  w.in("A seq=501 ack=1 len=100");
  w.out("A ack=1 sack=501-601,301-401,101-201");
  w.in("A seq=201 ack=1 len=50");
  w.out("A ack=1 sack=101-251,501-601,301-401");
  w.in("A seq=1 ack=1 len=100");
  w.out("A ack=251 sack=501-601,301-401");
  w.in("A seq=251 ack=1 len=250");
  w.out("A ack=601 sack=none");
  w.audit();
}

TEST(Rfc2018_3, FourBlocksFitAndThreeBesideTimestamps) {
  for (const bool ts : {false, true}) {
    Wire w;
    w.listen();
    const std::string stamp = ts ? " ts=1" : "";
    w.in("S seq=0 win=65535 mss=1460 sackok" + stamp);
    w.out("SA");
    w.in("A seq=1 ack=1 win=65535" + stamp);
    for (u32 i = 1; i <= 5; ++i) {
      w.forget_sent();
      w.in("A seq=" + std::to_string(1 + 200 * i) + " ack=1 len=100" + stamp);
    }
    w.out(ts ? "A sack=1001-1101,801-901,601-701" : "A sack=1001-1101,801-901,601-701,401-501");
    w.quiet();
    w.audit();
  }
}

TEST(Rfc2018_4, DataOnItsWayDoesNotSwallowTheBlocks) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1460 sackok");
  w.in("A seq=101 ack=1 len=100");
  w.send("hello");
  w.out("A data=hello sack=none");
  w.out("A ack=1 len=0 sack=101-201");
  w.quiet();
  w.audit();
}

TEST(Rfc2883_4, BytesThatCameTwiceAreNamedOnce) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1460 sackok");
  w.in("A seq=1 ack=1 len=1460");
  w.out("A ack=1461 sack=none");
  w.in("A seq=1 ack=1 len=1460");
  w.out("A ack=1461 sack=1-1461");
  w.in("A seq=2001 ack=1 len=100");
  w.out("A ack=1461 sack=2001-2101");
  w.in("A seq=2001 ack=1 len=100");
  w.out("A ack=1461 sack=2001-2101,2001-2101");
  w.in("A seq=1001 ack=1 len=560");  // 460 old, 100 new
  w.out("A ack=1561 sack=1001-1461,2001-2101");
  w.audit();
}

TEST(Rfc2883_4, OneBurstNamesEveryRangeThatCameTwice) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1460 sackok");
  w.in("A seq=1 ack=1 len=900");
  w.after(50ms);
  w.out("A ack=901 sack=none");
  w.in("A seq=1 ack=1 len=100");
  w.in("A seq=101 ack=1 len=100");  // behind the first: one range
  w.in("A seq=401 ack=1 len=100");
  w.in("A seq=301 ack=1 len=100");
  w.out("A ack=901 sack=1-201");
  w.out("A ack=901 sack=401-501");
  w.out("A ack=901 sack=301-401");
  w.quiet();
  w.in("A seq=1001 ack=1 len=400");
  w.out("A ack=901 sack=1001-1401");
  w.in("A seq=1301 ack=1 len=100");
  w.in("A seq=1101 ack=1 len=100");
  w.out("A ack=901 sack=1301-1401,1001-1401");
  w.out("A ack=901 sack=1101-1201,1001-1401");
  w.quiet();
  w.audit();
}

// One acknowledgement for a burst would have to be silent about most of what came, and all would be lost with it.
TEST(Rfc5681_4_2, BurstWithHolesIsAcknowledgedEverySecondSegment) {
  Wire w;
  w.listen();
  w.in("S seq=0 win=65535 mss=1460 sackok ts=0");
  w.out("SA");
  w.in("A seq=1 ack=1 win=65535 ts=0 ecr=0");
  for (u32 i = 0; i < 8; ++i) w.in("A seq=" + std::to_string(101 + 200 * i) + " ack=1 len=100 ts=0");
  w.out("A ack=1 sack=301-401,101-201");
  w.out("A ack=1 sack=701-801,501-601,301-401");
  w.out("A ack=1 sack=1101-1201,901-1001,701-801");
  w.out("A ack=1 sack=1501-1601,1301-1401,1101-1201");
  w.quiet();
  w.audit();
}

TEST(Rfc5681_4_2, PeerWithoutSackHearsOfEverySegmentAheadOfItsTurn) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1460");
  for (u32 i = 1; i <= 4; ++i) w.in("A seq=" + std::to_string(1 + 1460 * i) + " ack=1 len=1460");
  for (u32 i = 1; i <= 4; ++i) w.out("A ack=1");
  w.quiet();
  w.audit();
}

TEST(Rfc5681_4_2, BurstInOrderHasOneAcknowledgementUnlessTheWireIsBad) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1460 sackok");
  u32 at = 1;
  const auto burst = [&] {
    for (u32 i = 0; i < 6; ++i, at += 1460) w.in("A seq=" + std::to_string(at) + " ack=1 len=1460");
    w.poll();
    w.read();
  };
  burst();
  w.out("A ack=8761");
  w.quiet();
  w.in("A seq=" + std::to_string(at + 100) + " ack=1 len=100");
  w.out("A ack=8761 sack=8861-8961");
  burst();
  w.out("A ack=11681");
  w.out("A ack=14601");
  w.out("A ack=17521");
  w.quiet();
  for (u32 i = 0; i < 50; ++i) burst();
  w.forget_sent();
  burst();
  EXPECT_EQ(w.pending(), 1u) << "after some hundred segments in order the wire is good again";
  w.audit();
}

// --- sender
TEST(Rfc8985_6_2, ThreeSackedRepairTheHoleAtOnceAndOnlyTheHole) {
  Wire w;
  ten_out(w);
  w.after(10ms);
  w.in("A seq=1 ack=1461");  // first arrived
  w.out("A seq=14601");
  w.out("A seq=16061");
  w.in("A seq=1 ack=1461 sack=2921-4381");
  w.out("A seq=17521 len=1460");  // limited transmit
  w.in("A seq=1 ack=1461 sack=2921-5841");
  w.out("A seq=18981 len=1460");
  w.in("A seq=1 ack=1461 sack=2921-7301");
  w.out("A seq=1461 len=1460");
  EXPECT_EQ(w.counter(Counter::tcp_fast_retransmits), 1u);
  w.in("A seq=1 ack=1461 sack=2921-8761");
  w.in("A seq=1 ack=7301");
  while (w.pending() != 0) {
    w.out("A len=1460");
    EXPECT_GT(w.last.seg.seq - w.our_isn(w.tuple), 14'600);
  }
  EXPECT_EQ(w.counter(Counter::tcp_retransmits), 1u);
  EXPECT_EQ(w.engine().check_invariants(), nullptr);
  w.audit();
}

// The reduction would let nothing out yet, and no further acknowledgement may come to ask it again.
TEST(Rfc6937_3, FirstRepairGoesAtOnceHoweverManyAcknowledgementsOneBurstBrings) {
  for (u32 last = 3; last <= 9; ++last) {
    Wire w;
    ten_out(w);
    w.after(10ms);
    for (u32 n = 1; n <= last; ++n) w.in("A seq=1 ack=1 sack=1461-" + std::to_string(1461 + 1460 * n));
    w.out("A seq=1 len=1460");
    EXPECT_EQ(w.counter(Counter::tcp_rto), 0u);
    w.audit();
  }
}

TEST(Rfc8985_6_2, LostRetransmissionIsFoundWithoutATimeout) {
  Wire w;
  ten_out(w);
  w.after(10ms);
  w.in("A seq=1 ack=1 sack=1461-8761");
  w.out("A seq=1 len=1460");  // and lost again
  w.after(10ms);
  w.forget_sent();
  w.in("A seq=1 ack=1 sack=1461-14601");
  w.forget_sent();
  w.after(11ms);
  const u64 before = w.counter(Counter::tcp_retransmits);
  w.in("A seq=1 ack=1 sack=1461-16061");
  w.poll();
  EXPECT_GT(w.counter(Counter::tcp_retransmits), before) << w.log();
  EXPECT_EQ(w.counter(Counter::tcp_rto), 0u);
  w.audit();
}

TEST(Rfc8985_6_2, ReorderingWindowWaitsBeforeItGivesUp) {
  Wire w;
  ten_out(w);
  w.after(10ms);
  w.in("A seq=1 ack=1 sack=1461-2921");  // one SACKed: overtaken, perhaps
  w.out("A seq=14601 len=1460");         // limited transmit
  w.quiet();
  w.in("A seq=1 ack=2921");              // it was
  w.after(5ms);
  EXPECT_EQ(w.counter(Counter::tcp_retransmits), 0u);
  w.forget_sent();
  w.audit();
}

TEST(Rfc8985_6_2, SilenceMakesThePathUnknownAndAQuarterOfAnOldRoundTripIsNoPatience) {
  Wire w;
  w.listen();
  w.in("S seq=0 win=65535 mss=1460 sackok");
  w.out("SA");
  w.after(1ms);
  w.in("A seq=1 ack=1 win=65535");
  w.quiet();
  w.send(std::string(1460, 'x'), 1460);
  w.out("A seq=1 len=1460");
  w.after(1ms);
  w.in("A seq=1 ack=1461");
  w.after(2s);  // and the way is forty times as long
  for (u32 i = 2; i < 10; ++i) {
    w.send(std::string(1460, 'x'), 1460);
    w.after(40ms);
    w.in("A seq=1 ack=" + std::to_string(1 + 1460 * i));
  }
  w.send(std::string(14'600, 'x'), 1460);
  w.after(40ms);
  w.forget_sent();
  w.in("A seq=1 ack=13141 sack=14601-16061");
  w.after(5ms);
  EXPECT_EQ(w.counter(Counter::tcp_fast_retransmits), 0u) << w.log();
  w.after(10ms);
  EXPECT_EQ(w.counter(Counter::tcp_fast_retransmits), 1u);
  w.forget_sent();
  w.audit();
}

TEST(Rfc8985_7_3, TailIsProbedBeforeTheTimeout) {
  for (const bool sack : {true, false}) {
    auto c = Wire::small();
    c.sack = sack;
    Wire w(c);
    w.listen();
    w.in("S seq=0 win=65535 mss=1460 sackok");
    w.out("SA");
    w.after(10ms);
    w.in("A seq=1 ack=1 win=65535");
    w.quiet();
    w.send(std::string(2920, 'x'), 1460);
    w.out("A seq=1 len=1460");
    w.out("A seq=1461 len=1460");
    w.after(25ms);
    if (sack) w.out("A seq=1461 len=1460");
    w.quiet();
    EXPECT_EQ(w.counter(Counter::tcp_tail_probes), sack ? 1u : 0u);
    EXPECT_TRUE(w.info().send_timer);
    w.after(400ms);
    w.out("A seq=1 len=1460");
    EXPECT_EQ(w.counter(Counter::tcp_rto), 1u);
    w.audit();
  }
}

TEST(Rfc8985_7_4, ProbeThatRepairedALossHalvesTheWindowAndOneThatDidNotLeavesIt) {
  for (const bool lost : {true, false}) {
    Wire w;
    w.listen();
    w.in("S seq=0 win=65535 mss=1460 sackok");
    w.out("SA");
    w.after(10ms);
    w.in("A seq=1 ack=1 win=65535");
    w.quiet();
    w.send(std::string(14'600, 'x'), 1460);
    for (u32 i = 0; i < 10; ++i) w.out("A len=1460");
    const u32 before = w.info().cwnd_bytes;
    w.after(25ms);
    w.out("A seq=13141 len=1460");
    w.in(lost ? "A seq=1 ack=14601" : "A seq=1 ack=14601 sack=13141-14601");
    w.quiet();
    if (lost) EXPECT_LT(w.info().cwnd_bytes, before);
    else EXPECT_GE(w.info().cwnd_bytes, before);
    w.audit();
  }
}

TEST(Rfc2018_8, RenegingPeerGetsEverythingAgainAfterTheTimeout) {
  Wire w;
  ten_out(w);
  w.after(10ms);
  w.in("A seq=1 ack=1461 sack=2921-14601");
  w.forget_sent();
  w.in("A seq=1 ack=2921");  // the repaired hole, but not what was SACKed behind it
  w.forget_sent();
  w.after(2s);
  EXPECT_EQ(w.counter(Counter::tcp_sack_reneged), 1u) << w.log();
  w.out("A seq=2921 len=1460");
  w.forget_sent();
  w.in("A seq=1 ack=4381");
  w.out("A seq=4381 len=1460");
  w.audit();
}

TEST(Rfc3522_3, EchoFromBeforeTheRetransmissionUndoesTheTimeout) {
  for (const bool spurious : {true, false}) {
    Wire w;
    ten_out(w, "S seq=0 win=65535 mss=1460 sackok ts=0");
    const u32 original = w.last.seg.options.ts_value - w.our_clock();
    const u32 before = w.info().cwnd_bytes;
    while (w.counter(Counter::tcp_rto) == 0) w.after(10ms);
    EXPECT_LT(w.info().cwnd_bytes, before);
    w.forget_sent();
    const u32 echo = spurious ? original : original + 100'000;
    w.in("A seq=1 ack=1449 ts=2 ecr=" + std::to_string(echo));
    EXPECT_EQ(w.counter(Counter::tcp_spurious_recoveries), spurious ? 1u : 0u) << w.log();
    if (spurious) EXPECT_GE(w.info().cwnd_bytes, before);
    else EXPECT_LT(w.info().cwnd_bytes, before);
    w.forget_sent();
    w.audit();
  }
}

TEST(Rfc3708_2, DsackForEverythingSentAgainUndoesTheRecovery) {
  Wire w;
  ten_out(w);
  const u32 before = w.info().cwnd_bytes;
  w.after(10ms);
  w.in("A seq=1 ack=1 sack=1461-8761");
  w.out("A seq=1 len=1460");
  EXPECT_LT(w.info().cwnd_bytes, before);
  w.in("A seq=1 ack=8761");
  w.forget_sent();
  EXPECT_EQ(w.counter(Counter::tcp_dsacks), 0u);
  w.in("A seq=1 ack=8761 sack=1-1461");
  EXPECT_EQ(w.counter(Counter::tcp_dsacks), 1u);
  EXPECT_EQ(w.counter(Counter::tcp_spurious_recoveries), 1u) << w.log();
  EXPECT_GE(w.info().cwnd_bytes, before);
  w.forget_sent();
  w.audit();
}

TEST(Rfc3708_2, DsackCountsThoughALaterAcknowledgementHasOvertakenIt) {
  Wire w;
  ten_out(w);
  const u32 before = w.info().cwnd_bytes;
  w.after(10ms);
  w.in("A seq=1 ack=1 sack=1461-8761");
  w.out("A seq=1 len=1460");
  w.in("A seq=1 ack=10221");
  w.forget_sent();
  w.in("A seq=1 ack=8761 sack=1-1461");
  EXPECT_EQ(w.counter(Counter::tcp_spurious_recoveries), 1u) << w.log();
  EXPECT_GE(w.info().cwnd_bytes, before);
  w.forget_sent();
  w.audit();
}

// No D-SACK can ever tell: what was thought lost came before it was sent again.
TEST(Rfc4015_3_2, RecoveryThatSentNothingAgainIsUndoneWhenAllHasCome) {
  for (const bool sent_again : {false, true}) {
    Wire w;
    ten_out(w);
    const u32 before = w.info().cwnd_bytes;
    w.after(10ms);
    w.in("A seq=1 ack=1 sack=1461-2921,4381-8761");
    if (sent_again) w.out("A seq=1 len=1460");
    w.in("A seq=1 ack=2921 sack=4381-8761");  // else in the same burst
    EXPECT_EQ(w.counter(Counter::tcp_spurious_recoveries), 0u) << "one is missing yet";
    w.in("A seq=1 ack=8761");
    EXPECT_EQ(w.counter(Counter::tcp_fast_retransmits), 1u);
    EXPECT_EQ(w.counter(Counter::tcp_spurious_recoveries), sent_again ? 0u : 1u) << w.log();
    if (sent_again) EXPECT_LT(w.info().cwnd_bytes, before);
    else EXPECT_GE(w.info().cwnd_bytes, before);
    w.forget_sent();
    w.audit();
  }
}

// --- the order of regret of others
TEST(Recovery, EndsAtItsPointAndNotAtResidualBlocks) {
  Wire w;
  ten_out(w);
  w.after(10ms);
  w.in("A seq=1 ack=1 sack=1461-8761");
  w.out("A seq=1 len=1460");
  const u32 half = 7300;
  w.in("A seq=1 ack=8761 sack=10221-11681");  // before the point of 14601
  w.forget_sent();
  w.in("A seq=1 ack=14601");
  w.forget_sent();
  EXPECT_LE(w.info().cwnd_bytes, half + 3 * 1460u);
  EXPECT_EQ(w.counter(Counter::tcp_fast_retransmits), 1u);
  w.audit();
}

TEST(Recovery, TimeoutWithinARecoveryReducesTheThresholdOnce) {
  Wire w;
  ten_out(w);
  w.after(10ms);
  w.in("A seq=1 ack=1 sack=1461-8761");
  w.out("A seq=1 len=1460");
  while (w.counter(Counter::tcp_rto) < 3) w.after(10ms);
  EXPECT_EQ(w.info().cwnd_bytes, 1460u);
  w.forget_sent();
  // The whole window is acknowledged segment by segment: slow start up to half of what was in flight.
  for (u32 at = 8761; at <= 14'601; at += 1460) {
    w.in("A seq=1 ack=" + std::to_string(at));
    w.forget_sent();
  }
  EXPECT_GE(w.info().cwnd_bytes, 4 * 1460u) << w.log();
  w.audit();
}

TEST(Recovery, FlightIsCountedRightOverRepeatedTimeouts) {
  Wire w;
  ten_out(w);
  for (u32 i = 0; i < 5; ++i) {
    w.after(3s);
    w.forget_sent();
    const auto info = w.info();
    EXPECT_EQ(w.engine().check_invariants(), nullptr);
    EXPECT_EQ(info.in_flight_bytes, 16'060u);  // ten, and what probed the tail
    EXPECT_LE(info.pipe_bytes, 1460u);
  }
  w.in("A seq=1 ack=14601");
  w.forget_sent();
  EXPECT_EQ(w.engine().check_invariants(), nullptr);
  w.audit();
}

TEST(Regret8, TimerIsArmedWhileBytesAreInFlightThroughProbeReorderingAndTimeout) {
  Wire w;
  ten_out(w);
  EXPECT_TRUE(w.info().send_timer);
  w.after(10ms);
  w.in("A seq=1 ack=1 sack=1461-2921");
  EXPECT_TRUE(w.info().send_timer);
  for (u32 i = 0; i < 300; ++i) {
    w.after(5ms);
    ASSERT_TRUE(w.info().send_timer) << i;
    w.forget_sent();
  }
  w.audit();
}

TEST(Regret14, BlocksOfOneByteAgainstTheSmallestSegmentsCostBoundedWork) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1 sackok");
  w.send(std::string(50'000, 'x'), 1460);
  w.forget_sent();
  for (u32 i = 1; i < 5000; i += 8) {
    w.in("A seq=1 ack=1 sack=" + std::to_string(i + 1) + "-" + std::to_string(i + 2) + "," + std::to_string(i + 3) + "-" +
         std::to_string(i + 4) + "," + std::to_string(i + 5) + "-" + std::to_string(i + 6));
    ASSERT_EQ(w.engine().check_invariants(), nullptr);
  }
  w.forget_sent();
  EXPECT_LT(w.counter(Counter::tcp_segments_out), 400u);
  w.audit();
}

TEST(Regret15, BlocksThatCannotBeAreIgnored) {
  Wire w;
  ten_out(w);
  w.after(10ms);
  w.in("A seq=1 ack=1 sack=5000-4000");
  w.in("A seq=1 ack=1 sack=20000-30000");
  w.in("A seq=1 ack=1 sack=14000-14602");
  EXPECT_EQ(w.info().pipe_bytes, 14'600u);
  w.quiet();
  w.audit();
}

}  // namespace
}  // namespace ringway::test
