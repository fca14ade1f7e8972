// SEGMENT ARRIVES in a synchronised state: RFC 9293 3.10.7.4 step by step, RFC 5961, and acknowledgements (3.8.6.3).

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

// --- first: sequence numbers
TEST(Rfc9293_3_10_7_4, SegmentBeyondTheWindowIsAcknowledgedAndDropped) {
  Wire w;
  w.established();
  w.in("A seq=70000 ack=1 data=x");
  w.out("A seq=1 ack=1");
  EXPECT_EQ(w.verdict(Verdict::tcp_unacceptable), 1u);
  EXPECT_EQ(w.read(), "");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, RepeatedSegmentIsAcknowledgedAndDropped) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 data=abc");
  w.in("A seq=1 ack=1 data=abc");
  w.out("A seq=1 ack=4");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_duplicate), 1u);
  EXPECT_EQ(w.read(), "abc");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, OverlappingSegmentGivesOnlyWhatIsNew) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 data=abc");
  w.in("A seq=2 ack=1 data=bcde");
  w.out("A seq=1 ack=6");
  EXPECT_EQ(w.read(), "abcde");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, SegmentAcrossTheRightEdgeIsCut) {
  auto c = Wire::small();
  c.receive_budget_bytes = 30'000;
  Wire w(c);
  w.established();
  const u32 window = w.last.seg.window;
  ASSERT_LT(window, 30'001u);
  for (u32 at = 0; at + 1000 <= window; at += 1000)
    w.in("A seq=" + std::to_string(1 + at) + " ack=1 len=1000");
  w.in("FA seq=" + std::to_string(1 + window / 1000 * 1000) + " ack=1 len=1000");
  w.poll();
  EXPECT_GE(w.info().receive_queue_bytes, window);
  EXPECT_FALSE(w.engine().peer_closed(w.id)) << "the FIN lay beyond the edge";
  const u32 got = w.info().receive_queue_bytes;
  EXPECT_EQ(w.read(), Wire::pattern(kTheirIsn + 1, got));
  w.audit();
}

// --- second: RST; RFC 5961 3.2
TEST(Rfc5961, RstAtTheLeftEdgeResets) {
  Wire w;
  w.established();
  w.in("R seq=1");
  w.quiet();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::reset);
  EXPECT_EQ(w.counter(Counter::tcp_reset_received), 1u);
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Rfc5961, RstInsideTheWindowGetsAChallengeAck) {
  Wire w;
  w.established();
  w.in("R seq=2");
  w.out("A seq=1 ack=1");
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_rst), 1u);
  EXPECT_EQ(w.counter(Counter::tcp_challenge_acks), 1u);
  w.expect(State::established);
  w.audit();
}

TEST(Rfc5961, RstOutsideTheWindowIsDroppedInSilence) {
  Wire w;
  w.established();
  w.in("R seq=100000");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_unacceptable), 1u);
  w.expect(State::established);
  w.audit();
}

TEST(Rfc5961, ChallengeAcksAreLimitedPerConnectionAndComeBack) {
  Wire w;
  w.established();
  for (int i = 0; i < 30; ++i) {
    w.in("R seq=5");
    w.poll();
  }
  EXPECT_GE(w.pending(), 4u);
  EXPECT_LE(w.pending(), 11u);
  w.forget_sent();
  w.after(1100ms);
  w.in("R seq=5");
  w.out("A");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, RstAfterDataLetsTheDataBeReadFirst) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 data=last");
  w.in("R seq=5");
  tcp::AppEvent e;
  ASSERT_TRUE(w.engine().next_event(e));
  EXPECT_EQ(e.bits, tcp::kReadable);
  EXPECT_EQ(w.engine().received(w.id).bytes(), 4u);
  ASSERT_TRUE(w.engine().next_event(e));
  EXPECT_EQ(e.bits, tcp::kClosed);
  EXPECT_EQ(e.reason, CloseReason::reset);
  w.audit();
}

// --- fourth: SYN; RFC 5961 4.2
TEST(Rfc5961, SynInsideAConnectionGetsAChallengeAck) {
  Wire w;
  w.established();
  w.in("S seq=1");
  w.out("A seq=1 ack=1");
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_syn), 1u);
  w.expect(State::established);
  w.audit();
}

// --- fifth: ACK
TEST(Rfc9293_3_10_7_4, SegmentWithoutAckIsDropped) {
  Wire w;
  w.established();
  w.in("- seq=1 data=x");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_flags), 1u);
  EXPECT_EQ(w.read(), "");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, AckAboveSndNxtIsAckedAndDropped) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=2 data=x");
  w.out("A seq=1 ack=1");
  EXPECT_EQ(w.verdict(Verdict::tcp_unacceptable_ack), 1u);
  EXPECT_EQ(w.read(), "");
  w.audit();
}

TEST(Rfc5961, VeryOldAckGetsAChallengeAck) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=-70000 data=x");
  w.out("A seq=1 ack=1");
  EXPECT_EQ(w.verdict(Verdict::tcp_unacceptable_ack), 1u);
  w.audit();
}

TEST(Rfc9293_3_10_7_4, OldAckInsideTheWindowIsIgnoredButTextIsTaken) {
  Wire w;
  w.established();
  w.send("abc");
  w.out("A data=abc");
  w.in("A seq=1 ack=4");
  w.in("A seq=1 ack=2 data=x");
  EXPECT_EQ(w.read(), "x");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, AckFreesWhatItCoversAndTellsUnacked) {
  Wire w;
  w.established();
  w.send("abcdef");
  EXPECT_EQ(w.engine().unacked(w.id), 6u);
  w.out("A data=abcdef");
  w.in("A seq=1 ack=4");
  EXPECT_EQ(w.engine().unacked(w.id), 3u);
  w.in("A seq=1 ack=7");
  EXPECT_EQ(w.engine().unacked(w.id), 0u);
  w.quiet();
  EXPECT_TRUE(w.engine().quiet());
  w.audit();
}

TEST(Rfc9293_3_10_7_4, WindowIsNotTakenFromAnOlderSegment) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 win=3000 data=abc");
  w.in("A seq=1 ack=1 win=100");  // sent before the one above
  w.send(std::string(3000, 'x'));
  w.out("A len=1460");
  w.out("A len=1460");
  w.out("A len=80");
  w.audit();
}

// --- seventh: text
TEST(Rfc9293_3_10_7_4, TextAheadOfItsTurnWaitsAndIsAcknowledgedAtOnce) {
  Wire w;
  w.established();
  w.in("A seq=4 ack=1 data=def");
  w.out("A seq=1 ack=1");
  w.in("A seq=7 ack=1 data=ghi");
  w.out("A seq=1 ack=1");
  EXPECT_EQ(w.read(), "");
  w.in("A seq=1 ack=1 data=abc");
  w.out("A seq=1 ack=10");
  EXPECT_EQ(w.read(), "abcdefghi");
  EXPECT_EQ(w.counter(Counter::tcp_out_of_order), 2u);
  EXPECT_EQ(w.counter(Counter::payload_copied), 0u);
  w.audit();
}

TEST(Rfc9293_3_10_7_4, TextForAPeerThatSentFinIsDropped) {
  Wire w;
  w.close_wait();
  w.in("A seq=2 ack=1 data=x");
  w.out("A ack=2");
  EXPECT_EQ(w.verdict(Verdict::tcp_after_close), 1u);
  w.audit();
}

// --- eighth: FIN
TEST(Rfc5681_4_2, BareFinAheadOfItsTurnIsAcknowledgedAtOnce) {
  Wire w;
  w.established();
  w.in("FA seq=101 ack=1");
  w.out("A ack=1");
  w.expect(State::established);
  w.in("A seq=1 ack=1 len=100");
  w.out("A ack=102");
  w.expect(State::close_wait);
  w.audit();
}

TEST(Rfc9293_3_10_7_4, FinAheadOfItsTurnWaitsForTheText) {
  Wire w;
  w.established();
  w.in("FA seq=4 ack=1 data=def");
  w.out("A ack=1");
  w.expect(State::established);
  w.in("A seq=1 ack=1 data=abc");
  w.out("A ack=8");
  w.expect(State::close_wait);
  EXPECT_EQ(w.read(), "abcdef");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, RepeatedFinInCloseWaitIsAcknowledged) {
  Wire w;
  w.close_wait();
  w.in("FA seq=1 ack=1");
  w.out("A ack=2");
  w.expect(State::close_wait);
  w.audit();
}

// --- 3.8.6.3: delayed acknowledgements
TEST(DelayedAck, LoneSmallSegmentWaitsAndIsThenAcknowledged) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 data=x");
  w.quiet();
  w.after(39ms);
  w.quiet();
  w.after(2ms);
  w.out("A seq=1 ack=2");
  w.audit();
}

TEST(DelayedAck, RidesOnTheAnswer) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 data=GET");
  w.send("200");
  w.out("A seq=1 ack=4 data=200");
  w.after(100ms);
  w.quiet();
  w.audit();
}

TEST(DelayedAck, TwoSegmentsInOnePollGetOneAckAtOnce) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 data=x");
  w.in("A seq=2 ack=1 data=y");
  w.out("A ack=3");
  w.quiet();
  w.audit();
}

TEST(DelayedAck, FullSegmentIsAcknowledgedAtOnce) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 len=1460");
  w.out("A ack=1461");
  w.audit();
}

// --- flags
TEST(Table, ContradictoryFlagsAreDroppedInEveryState) {
  Wire w;
  w.established();
  for (const char* flags : {"SF", "SR", "FR", "SFA", "SRA", "FRA", "SFRA"}) w.in(std::string(flags) + " seq=1 ack=1");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_flags), 7u);
  w.expect(State::established);
  w.audit();
}

TEST(Stranger, GetsRstForAckAndForSynButNotForRst) {
  Wire w;
  w.in("A seq=5 ack=9");
  w.out("R seq=9");
  w.in("S seq=5");
  w.out("RA seq=0 ack=6");
  w.in("FA seq=5 ack=3 data=xy");
  w.out("R seq=3");
  w.in("- seq=5 data=xy");
  w.out("RA seq=0 ack=7");
  w.in("R seq=5");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_no_listener), 5u);
  EXPECT_EQ(w.counter(Counter::tcp_resets_sent), 4u);
  w.audit();
}

TEST(Stranger, RstAnswersAreRateBounded) {
  Wire w;
  for (int i = 0; i < 2000; ++i) {
    w.in("A seq=5 ack=9");
    w.poll();
  }
  EXPECT_EQ(w.counter(Counter::tcp_resets_sent), 512u);
  EXPECT_EQ(w.verdict(Verdict::tcp_no_listener), 2000u);
  w.forget_sent();
  w.after(100ms);
  w.in("A seq=5 ack=9");
  w.out("R");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, BytesBehindTheFinAreLetGo) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1460 sackok");
  w.in("A seq=2 ack=1 len=10");
  w.out("A ack=1 sack=2-12");
  EXPECT_EQ(w.pools().packets_in_use(), 1u);
  w.in("FA seq=1 ack=1");
  w.out("A ack=2 sack=none");
  w.expect(State::close_wait);
  EXPECT_EQ(w.pools().packets_in_use(), 0u);
  w.audit();
}

}  // namespace
}  // namespace ringway::test
