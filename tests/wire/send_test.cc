// Sending: windows and silly windows (RFC 9293 3.8.6), retransmission (RFC 6298), fast retransmit (RFC 5681, 6582),
// probes of a closed window, and how packets are built without copying.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

// --- windows
TEST(SendWindow, NothingGoesBeyondIt) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 win=3000");
  w.send(std::string(5000, 'x'), 1460);
  w.out("A seq=1 len=1460");
  w.out("A seq=1461 len=1460");
  w.quiet();
  w.in("A seq=1 ack=2921 win=3000");
  w.out("A seq=2921 len=1460");
  w.out("A seq=4381 len=620");
  w.audit();
}

TEST(SendWindow, IsScaledAsAgreed) {
  Wire w;
  w.established("S seq=0 mss=1460 win=1000 ws=4");
  w.in("A seq=1 ack=1 win=500");  // 8000 bytes
  w.send(std::string(20'000, 'x'), 1460);
  for (int i = 0; i < 5; ++i) w.out("A len=1460");
  w.quiet();
  w.audit();
}

TEST(SendWindow, InitialCongestionWindowIsTenSegments) {
  Wire w;
  w.established();
  w.send(std::string(30'000, 'x'), 1460);
  for (int i = 0; i < 10; ++i) w.out("A len=1460");
  w.quiet();
  w.in("A seq=1 ack=2921");
  for (int i = 0; i < 4; ++i) w.out("A len=1460");  // two acknowledged, two of slow start
  w.quiet();
  w.audit();
}

TEST(SendWindow, SillySegmentIsNotSent) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 win=1500");
  w.send(std::string(4000, 'x'), 4000 / 2);
  w.out("A seq=1 len=1460");
  w.quiet();
  w.audit();
}

TEST(ZeroWindow, IsProbedWithBackoffAndNeverGivenUpWhileThePeerAnswers) {
  auto c = Wire::small();
  c.retransmits_max = 3;
  Wire w(c);
  w.established();
  w.in("A seq=1 ack=1 win=0");
  w.send("waiting");
  w.quiet();
  for (int i = 0; i < 10; ++i) {
    while (w.pending() == 0) w.after(100ms);
    w.out("A seq=1 ack=1 data=w");
    w.in("A seq=1 ack=1 win=0");
    w.quiet();
  }
  EXPECT_EQ(w.counter(Counter::tcp_zero_window_probes), 10u);
  w.in("A seq=1 ack=1 win=100");
  w.out("A seq=1 data=waiting");
  w.in("A seq=1 ack=8 win=100");
  w.quiet();
  EXPECT_TRUE(w.engine().quiet());
  w.audit();
}

TEST(ZeroWindow, ProbeThatWasTakenGoesOnBehindIt) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 win=0");
  w.send("waiting");
  w.quiet();
  w.after(250ms);
  w.out("A seq=1 data=w");
  w.in("A seq=1 ack=2 win=100");
  w.out("A seq=2 data=aiting");
  w.audit();
}

// A segment from beyond what the peer has sent, whoever made it, must not make every window after it look old.
TEST(ZeroWindow, SetBySegmentAheadIsReplacedByWhoeverAcknowledgesNewData) {
  Wire w;
  w.established();
  w.in("A seq=1000 ack=1 win=0");
  w.send("waiting");
  w.quiet();
  w.after(250ms);
  w.out("A seq=1 data=w");
  w.in("A seq=1 ack=2 win=100");
  w.out("A seq=2 data=aiting");
  w.in("A seq=1 ack=8 win=100");
  w.audit();
}

TEST(ZeroWindow, PeerThatNeverAnswersIsGivenUp) {
  auto c = Wire::small();
  c.retransmits_max = 3;
  Wire w(c);
  w.established();
  w.in("A seq=1 ack=1 win=0");
  w.send("waiting");
  w.after(60s);
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::timed_out);
  w.forget_sent();
  w.audit();
}

TEST(ZeroWindow, AcknowledgementOfOurDataStillCounts) {
  auto c = Wire::small();
  c.receive_budget_bytes = 8 * 2304;
  Wire w(c);
  w.established();
  u32 at = 1;
  for (int i = 0; i < 40; ++i, at += 1000) {  // nobody reads
    w.in("A seq=" + std::to_string(at) + " ack=1 len=1000");
    w.poll();
  }
  w.forget_sent();
  w.send("abc");
  w.out("A seq=1 win=0 data=abc");
  const u32 next = w.info().receive_queue_bytes + 1;
  w.in("A seq=" + std::to_string(next) + " ack=4 len=1");  // a probe that acknowledges
  w.out("A seq=4 win=0");
  EXPECT_EQ(w.engine().unacked(w.id), 0u);
  w.audit();
}

TEST(SendSpace, IsFoundFullThenReportedWritable) {
  auto c = Wire::small();
  c.send_budget_bytes = 4000;
  Wire w(c);
  w.established();
  EXPECT_EQ(w.engine().send_space(w.id), 4000u);
  w.send(std::string(4000, 'x'), 1000);
  EXPECT_EQ(w.engine().send_space(w.id), 0u);
  w.poll();
  EXPECT_FALSE(w.saw(tcp::kWritable));
  w.in("A seq=1 ack=2001");
  EXPECT_TRUE(w.saw(tcp::kWritable));
  EXPECT_EQ(w.engine().send_space(w.id), 2000u);
  w.in("A seq=1 ack=4001");
  EXPECT_FALSE(w.saw(tcp::kWritable)) << "nobody asked meanwhile and found it full";
  w.forget_sent();
  w.audit();
}

// --- retransmission
TEST(Rfc6298, LostSegmentIsSentAgainWithDoublingTimeout) {
  Wire w;
  w.established();
  w.send("abc");
  w.out("A seq=1 data=abc");
  const u32 rto = w.info().rto_us;
  w.after(std::chrono::microseconds(rto - 1000));
  w.quiet();
  w.after(2ms);
  w.out("A seq=1 data=abc");
  w.after(std::chrono::microseconds(2 * rto - 3000));
  w.quiet();
  w.after(4ms);
  w.out("A seq=1 data=abc");
  EXPECT_EQ(w.counter(Counter::tcp_rto), 2u);
  EXPECT_EQ(w.counter(Counter::tcp_retransmits), 2u);
  w.in("A seq=1 ack=4");
  w.after(100s);
  w.quiet();
  w.audit();
}

TEST(Rfc6298, AckOfNewDataRestartsTheTimer) {
  Wire w;
  w.established();
  w.send(std::string(2920, 'x'));
  w.out("A");
  w.out("A");
  w.after(std::chrono::microseconds(w.info().rto_us) - 10ms);
  w.in("A seq=1 ack=1461");
  w.after(std::chrono::microseconds(w.info().rto_us) - 10ms);
  w.quiet();
  w.after(20ms);
  w.out("A seq=1461 len=1460");
  w.audit();
}

TEST(Rfc6298, RoundTripSetsTheTimeoutWithinTheLegsMinimum) {
  Wire w;
  w.connect();
  w.out("S");
  w.after(3ms);
  w.in("SA seq=0 ack=1 mss=1460");
  w.out("A");
  EXPECT_NEAR(w.info().srtt_us, 3000, 2);
  EXPECT_NEAR(w.info().rto_us, 9000, 200) << "backend leg: SRTT + 4 RTTVAR";
  w.audit();
  Wire v;
  v.established();
  EXPECT_EQ(v.info().rto_us, 200'000u) << "client leg: minimum";
  v.audit();
}

TEST(Rfc6298, KarnNoSampleFromWhatWasSentTwice) {
  Wire w;
  w.connected();
  const u32 before = w.info().srtt_us;
  w.send("abc");
  w.out("A data=abc");
  while (w.pending() == 0) w.after(1ms);
  w.out("A data=abc");
  w.after(1ms);
  w.in("A seq=1 ack=4");
  EXPECT_EQ(w.info().srtt_us, before);
  w.audit();
}

TEST(Rfc6298, ConnectionIsGivenUpAfterTheLastRetransmission) {
  auto c = Wire::small();
  c.retransmits_max = 3;
  Wire w(c);
  w.established();
  w.send("abc");
  w.after(20s);
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::timed_out);
  EXPECT_EQ(w.pending(), 4u);
  w.forget_sent();
  w.audit();
}

TEST(Rfc5681, ThirdDuplicateAckSendsTheFirstSegmentAgain) {
  Wire w;
  w.established();
  w.send(std::string(7300, 'x'), 1460);
  for (int i = 0; i < 5; ++i) w.out("A len=1460");
  w.in("A seq=1 ack=1");
  w.in("A seq=1 ack=1");
  w.quiet();
  w.in("A seq=1 ack=1");
  w.out("A seq=1 len=1460");
  w.quiet();
  w.in("A seq=1 ack=1");
  w.quiet();
  w.in("A seq=1 ack=7301");
  w.quiet();
  EXPECT_EQ(w.counter(Counter::tcp_fast_retransmits), 1u);
  EXPECT_EQ(w.counter(Counter::tcp_rto), 0u);
  w.audit();
}

TEST(Rfc6582, PartialAckSendsTheNextHoleAtOnce) {
  Wire w;
  w.established();
  w.send(std::string(8 * 1460, 'x'), 1460);
  for (int i = 0; i < 8; ++i) w.out("A len=1460");
  for (int i = 0; i < 3; ++i) w.in("A seq=1 ack=1");
  w.out("A seq=1 len=1460");
  w.in("A seq=1 ack=2921");
  w.out("A seq=2921 len=1460");
  w.in("A seq=1 ack=11681");
  w.quiet();
  EXPECT_EQ(w.counter(Counter::tcp_fast_retransmits), 1u);
  w.audit();
}

TEST(Rfc5681, TimeoutGoesBackAndSlowStarts) {
  Wire w;
  w.established();
  w.send(std::string(5 * 1460, 'x'), 1460);
  for (int i = 0; i < 5; ++i) w.out("A len=1460");
  while (w.pending() == 0) w.after(10ms);
  w.out("A seq=1 len=1460");
  w.quiet();
  EXPECT_EQ(w.info().cwnd_bytes, 1460u);
  w.in("A seq=1 ack=1461");
  w.out("A seq=1461 len=1460");
  w.out("A seq=2921 len=1460");
  w.quiet();
  w.in("A seq=1 ack=7301");  // the rest had arrived after all
  w.quiet();
  EXPECT_TRUE(w.engine().quiet());
  w.audit();
}

// --- building packets
TEST(ZeroCopy, WholeUnsharedSliceIsSentFromItsOwnMbuf) {
  Wire w;
  w.nic_holds = true;
  w.established();
  w.release_nic();
  const u32 before = w.pools().packets_in_use();
  w.send(std::string(1000, 'x'));
  w.out("A len=1000");
  EXPECT_EQ(w.pools().packets_in_use(), before + 1) << "headers went in front of the payload";
  EXPECT_EQ(w.counter(Counter::tx_linearized), 0u);
  EXPECT_EQ(w.counter(Counter::payload_copied), 0u);
  w.audit();
}

TEST(ZeroCopy, RetransmissionWhileTheNicHoldsThePacketDoesNotTouchIt) {
  Wire w;
  w.nic_holds = true;
  w.established();
  w.release_nic();
  const u32 before = w.pools().packets_in_use();
  w.send(std::string(1000, 'x'));
  w.out("A len=1000");
  while (w.pending() == 0) w.after(10ms);
  w.out("A seq=1 len=1000");
  EXPECT_EQ(w.pools().packets_in_use(), before + 2);
  EXPECT_EQ(w.counter(Counter::tx_linearized), 1u);
  w.release_nic();
  while (w.pending() == 0) w.after(10ms);
  w.out("A seq=1 len=1000");
  EXPECT_EQ(w.pools().packets_in_use(), before + 1) << "free again, so its own mbuf again";
  w.audit();
}

TEST(ZeroCopy, ForwardedBytesLeaveInTheMbufThatTheyCameIn) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 len=1400");
  w.collect();
  w.engine().send(w.id, w.engine().take(w.id, 1400));
  w.out("A seq=1 ack=1401 len=1400");
  EXPECT_EQ(w.counter(Counter::tx_linearized), 0u);
  EXPECT_EQ(w.counter(Counter::payload_copied), 0u);
  w.audit();
}

TEST(ZeroCopy, SmallSlicesAreGatheredIntoOnePacketByCopyWithoutMultiSegs) {
  Wire w;
  w.established();
  w.send("abcdefghij", 3);
  w.out("A data=abcdefghij psh");
  w.quiet();
  EXPECT_EQ(w.counter(Counter::tx_linearized), 1u);
  w.audit();
}

TEST(ZeroCopy, LargeSlicesAreSentApartRatherThanCopiedWithoutMultiSegs) {
  Wire w;
  w.established();
  w.send(std::string(2000, 'x'), 1000);
  w.out("A len=1000");
  w.out("A len=1000");
  EXPECT_EQ(w.counter(Counter::tx_linearized), 0u);
  w.audit();
}

TEST(ZeroCopy, MultiSegsJoinWholeSlicesWithoutCopying) {
  auto c = Wire::small();
  c.caps.multi_segs = true;
  c.caps.segs_max = 8;
  Wire w(c);
  w.established();
  w.send(std::string(2800, 'x'), 700);
  w.out("A len=1400");
  w.out("A len=1400");
  w.send("abcdefghij", 3);
  w.out("A data=abcdefghij");
  EXPECT_EQ(w.counter(Counter::tx_linearized), 0u);
  w.audit();
}

TEST(ZeroCopy, SegmentsPerPacketStayWithinThePortsMost) {
  auto c = Wire::small();
  c.caps.multi_segs = true;
  c.caps.segs_max = 3;
  Wire w(c);  // the wire checks every packet
  w.established();
  w.send(std::string(30, 'x'), 3);
  std::string all;
  while (w.pending() > 0) {
    w.out("A");
    all += w.last.data;
  }
  EXPECT_EQ(all, std::string(30, 'x'));
  w.audit();
}

TEST(ZeroCopy, SharedSliceIsNeverWrittenInFront) {
  Wire w;
  w.established();
  mbuf::Chain c = w.bytes("0123456789");
  mbuf::Chain front = c.take_front(4);
  w.engine().send(w.id, std::move(c));
  w.out("A data=456789");
  std::string kept(4, 0);
  front.copy_out(0, {reinterpret_cast<u8*>(kept.data()), 4});
  EXPECT_EQ(kept, "0123");
  front.clear();
  w.audit();
}

TEST(OneExchange, RequestAndAnswerInOnePollAreOnePacket) {
  Wire w;
  w.established();
  for (int i = 0; i < 20; ++i) {
    w.in("A seq=" + std::to_string(1 + i * 3) + " ack=" + std::to_string(1 + i * 4) + " data=GET");
    EXPECT_EQ(w.read(), "GET");
    w.send("200\n");
    w.out("A seq=" + std::to_string(1 + i * 4) + " ack=" + std::to_string(4 + i * 3) + " len=4");
    w.quiet();
  }
  w.audit();
}

TEST(Flush, GoesOnWhereAFullBatchStoppedIt) {
  auto c = Wire::small();
  Wire w(c, 2047);
  w.established("S seq=0 mss=536 win=65535 ws=8");
  w.in("A seq=1 ack=1 win=2000");
  u32 acked = 1;
  w.send(std::string(250'000, 'x'), 536);
  for (int round = 0; round < 8; ++round) {  // opens the congestion window
    const u32 n = w.pending();
    for (u32 i = 0; i < n; ++i) w.out("A");
    acked = static_cast<u32>(w.last.seg.seq - w.our_isn(w.tuple)) + static_cast<u32>(w.last.data.size());
    w.in("A seq=1 ack=" + std::to_string(acked) + " win=2000");
  }
  tcp::OutBatch batch;
  batch.count = tcp::OutBatch::kCapacity - 3;
  EXPECT_EQ(w.engine().flush(batch, w.now), 3u);
  for (auto& item : batch.items) item.pkt.reset();
  EXPECT_FALSE(w.engine().quiet());
  EXPECT_GT(w.pending(), 3u);
  w.forget_sent();
  w.audit();
}

TEST(NoMbuf, EngineWaitsForPacketMemoryAndGoesOn) {
  Wire w;
  w.established();
  w.send("abcdef", 2);  // needs a fresh mbuf
  std::vector<mbuf::Pkt> hog;
  while (mbuf::Pkt p = w.pools().alloc()) hog.push_back(std::move(p));
  w.quiet();
  EXPECT_GT(w.verdict(Verdict::no_mbuf), 0u);
  hog.clear();
  w.out("A data=abcdef");
  w.audit();
}

// A slice is cut by a small window; 20 of them follow through an open one.
void cut_then_stream(Wire& w) {
  w.listen();
  w.in("S seq=0 win=1000 mss=1460");
  w.out("SA");
  w.in("A seq=1 ack=1 win=1000");
  w.expect(State::established);
  w.send(std::string(30'660, 'x'));
  w.out("A seq=1 len=1000");
  w.in("A seq=1 ack=1001 win=65535");
  w.out("A seq=1001 len=460");
  for (u32 acked = 1461; acked < 30'661; acked += 2920) {
    w.in("A seq=1 ack=" + std::to_string(acked) + " win=65535");
    w.forget_sent();
  }
  w.in("A seq=1 ack=30661 win=65535");
  EXPECT_EQ(w.info().send_queue_bytes, 0u);
}

TEST(Slices, AreInStepWithPacketsAgainAfterACutWhereAPacketIsOneSegment) {
  Wire w;
  cut_then_stream(w);
  EXPECT_EQ(w.counter(Counter::tx_linearized), 1u) << "the slice that was cut";
  w.audit();
}

TEST(Slices, AreInStepWithPacketsAgainAfterACutWherePacketsMayBeJoined) {
  auto c = Wire::small();
  c.caps.multi_segs = true;
  c.caps.segs_max = 8;
  Wire w(c);
  cut_then_stream(w);
  EXPECT_EQ(w.joined, 1u) << "the slice that was cut";
  w.audit();
}

TEST(Slices, LargerThanASegmentAreJoinedToFullPackets) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1000");
  w.send(std::string(8000, 'x'), 1100);
  for (u32 k = 0; k < 5; ++k) w.out("A len=1000");
  w.forget_sent();
  w.audit();
}

}  // namespace
}  // namespace ringway::test
