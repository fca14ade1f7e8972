// Clients whose handshake is not complete: records instead of blocks. RFC 9293 3.10.7.2 and 3.10.7.4 for SYN-RECEIVED,
// RFC 5961 (exact RST, bounded challenges), RFC 6298 (schedule, Karn's rule); shares of listeners.

#include "dataplane/tcp/half_open.h"
#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

wire::FourTuple opener(u16 port) { return {kOurs, kTheirs, kOurPort, port}; }

TEST(HalfOpen, SynCostsARecordAndNeitherABlockNorAPacket) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA seq=0 ack=1");
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_EQ(w.engine().half_open(), 1u);
  EXPECT_EQ(w.pools().packets_in_use(), 0u);
  EXPECT_EQ(w.pools().slices().in_use(), 0u);
  EXPECT_LE(sizeof(tcp::HalfOpen), 52u);
  EXPECT_FALSE(w.engine().quiet());
  w.audit();
}

TEST(HalfOpen, LastAckMakesTheBlockAndEndsTheRecord) {
  Wire w;
  w.established();
  EXPECT_EQ(w.engine().active(), 1u);
  EXPECT_EQ(w.engine().half_open(), 0u);
  EXPECT_TRUE(w.engine().quiet());
  w.audit();
}

TEST(HalfOpen, WhatTheSynSaidReachesTheConnection) {
  Wire w;
  w.listen(9);
  w.in("S seq=0 win=2000 mss=1000 ws=4");
  w.out("SA seq=0 ack=1 mss=1460 ws=3");
  w.in("A seq=1 ack=1 win=200");
  EXPECT_TRUE(w.saw(tcp::kAccepted));
  EXPECT_EQ(w.last_event.listener, 9u);
  EXPECT_EQ(w.info().mss, 1000u);
  w.send(std::string(10'000, 'x'), 1000);
  for (int i = 0; i < 3; ++i) w.out("A len=1000");  // 200 << 4: neither 200 nor what the SYN said
  w.quiet();
  w.audit();
}

TEST(HalfOpen, TimestampsAndSackOfTheSynReachTheConnection) {
  Wire w;
  w.listen();
  w.in("S seq=0 mss=1460 ws=4 sackok ts=3");
  w.out("SA seq=0 ack=1 mss=1460 ws=3 sackok ts=0 ecr=3");
  w.after(1100ms);
  w.out("SA seq=0 ack=1 sackok ecr=3");
  w.in("A seq=1 ack=1 win=200 ts=4 ecr=0");
  w.expect(State::established);
  EXPECT_EQ(w.info().mss, 1448u);
  w.in("A seq=101 ack=1 len=50 ts=5 ecr=0");
  w.out("A ack=1 ecr=4 sack=101-151");
  w.audit();
}

TEST(HalfOpen, RepeatedSynWithALaterStampIsEchoed) {
  Wire w;
  w.listen();
  w.in("S seq=0 mss=1460 ts=3");
  w.out("SA ecr=3");
  w.in("S seq=0 mss=1460 ts=8");
  w.out("SA ecr=8");
  w.in("S seq=0 mss=1460 ts=2");
  w.out("SA ecr=8");
  w.audit();
}

TEST(HalfOpen, SegmentOlderThanTheSynIsAcknowledgedAndDropped) {
  Wire w;
  w.listen();
  w.in("S seq=0 mss=1460 ts=3");
  w.out("SA");
  w.in("A seq=1 ack=1 data=old ts=2 ecr=0");
  w.out("A seq=1 ack=1 ecr=3");
  w.in("A seq=1 ack=1 data=without");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_old_timestamp), 2u);
  EXPECT_EQ(w.engine().active(), 0u);
  w.in("A seq=1 ack=1 data=new ts=4 ecr=0");
  EXPECT_EQ(w.read(), "new");
  w.audit();
}

TEST(HalfOpen, DataAndFinOnTheLastAckAreKept) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("FA seq=1 ack=1 data=GET");
  EXPECT_TRUE(w.saw(tcp::kAccepted | tcp::kReadable | tcp::kPeerClosed));
  EXPECT_EQ(w.read(), "GET");
  w.out("A seq=1 ack=5");
  w.expect(State::close_wait);
  w.audit();
}

TEST(HalfOpen, RepeatedSynIsAnsweredWithTheSameNumber) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA seq=0");
  const wire::SeqNo iss = w.last.seg.seq;
  w.after(20ms);
  w.in("S seq=0");
  w.out("SA ack=1");
  EXPECT_EQ(w.last.seg.seq, iss);
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_duplicate), 1u);
  EXPECT_EQ(w.engine().half_open(), 1u);
  w.audit();
}

TEST(HalfOpen, SynAckIsRepeatedAfterOneTwoAndFourSecondsThenForgotten) {
  auto c = Wire::small();
  c.syn_retransmits_max = 3;
  Wire w(c);
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  for (const auto wait : {1000ms, 2000ms, 4000ms}) {
    w.after(wait - 10ms);
    w.quiet();
    w.after(15ms);
    w.out("SA seq=0 ack=1");
  }
  EXPECT_EQ(w.counter(Counter::tcp_retransmits), 3u);
  w.after(8010ms);
  w.quiet();
  EXPECT_EQ(w.engine().half_open(), 0u);
  EXPECT_EQ(w.counter(Counter::tcp_timed_out), 1u);
  EXPECT_TRUE(w.engine().quiet());
  EXPECT_EQ(w.events, 0u);
  w.in("A seq=1 ack=1");
  w.out("R seq=1");
  w.audit();
}

TEST(HalfOpen, ClientThatAnswersTheThirdSynAckIsConnected) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.after(3500ms);
  w.forget_sent();
  w.in("A seq=1 ack=1");
  w.expect(State::established);
  EXPECT_EQ(w.info().srtt_us, 0u) << "Karn: which SYN|ACK was answered is not known";
  EXPECT_EQ(w.info().rto_us, 3'000'000u) << "RFC 6298 5.7";
  w.audit();
}

TEST(HalfOpen, RoundTripOfTheHandshakeIsMeasured) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.after(70ms);
  w.in("A seq=1 ack=1");
  w.expect(State::established);
  EXPECT_EQ(w.info().srtt_us, 70'000u);
  w.audit();
}

TEST(Rfc5961_HalfOpen, RstInsideTheWindowButNotAtItsEdgeIsChallengedAFewTimes) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  for (int i = 0; i < 100; ++i) w.in("R seq=" + std::to_string(2 + i * 100));
  u32 challenges = 0;
  for (; w.pending() > 0; ++challenges) w.out("A seq=1 ack=1");
  EXPECT_GE(challenges, 4u);
  EXPECT_LE(challenges, 11u);
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_rst), 100u);
  w.in("A seq=1 ack=1");
  w.expect(State::established);
  w.audit();
}

TEST(Rfc5961_HalfOpen, RstOutsideTheWindowIsDropped) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("R seq=0");
  w.in("R seq=900000");
  w.quiet();
  EXPECT_EQ(w.engine().half_open(), 1u);
  w.audit();
}

TEST(Rfc9293_3_10_7_4_HalfOpen, SegmentOutsideTheWindowIsAcknowledgedOnly) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("A seq=900000 ack=1 data=x");
  w.out("A seq=1 ack=1");
  w.in("S seq=900000");
  w.out("A seq=1 ack=1");
  EXPECT_EQ(w.verdict(Verdict::tcp_unacceptable), 2u);
  EXPECT_EQ(w.engine().half_open(), 1u);
  w.audit();
}

TEST(HalfOpen, LastAckWaitsUntilABlockIsFree) {
  auto c = Wire::small();
  c.connections = 1;
  Wire w(c);
  w.listen();
  for (const u16 port : {u16{1}, u16{2}}) {
    w.in_from(opener(port), "S seq=0");
    w.out("SA");
  }
  w.in_from(opener(1), "A seq=1 ack=1");
  w.in_from(opener(2), "A seq=1 ack=1");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_table_full), 1u);
  EXPECT_EQ(w.engine().half_open(), 1u);
  w.abort();
  w.out("RA");
  w.in_from(opener(2), "A seq=1 ack=1 data=GET");
  w.expect(State::established);
  EXPECT_EQ(w.read(), "GET");
  w.audit();
}

TEST(HalfOpen, CrowdedListenerDoesNotPushOutTheClientsOfAnother) {
  auto c = Wire::small();
  c.half_open_per_listener = 4;
  c.syn_cookies = false;
  Wire w(c);
  w.listen();
  ASSERT_TRUE(w.engine().listen(kOurs, 81, 2));
  const wire::FourTuple honest{kOurs, kTheirs, 81, 5};
  w.in_from(honest, "S seq=0");
  for (u16 p = 1; p <= 1000; ++p) {
    w.in_from(opener(p), "S seq=0");
    w.poll();
  }
  EXPECT_EQ(w.engine().half_open(), 5u);
  EXPECT_EQ(w.verdict(Verdict::tcp_listen_full), 996u);
  w.forget_sent();
  w.in_from(honest, "A seq=1 ack=1");
  EXPECT_TRUE(w.saw(tcp::kAccepted));
  EXPECT_EQ(w.last_event.listener, 2u);
  w.audit();
}

TEST(HalfOpen, ShareOfAListenerIsGivenBackWhicheverWayARecordEnds) {
  auto c = Wire::small();
  c.half_open_per_listener = 1;
  c.syn_retransmits_max = 0;
  c.time_wait_max = 64;
  Wire w(c);
  w.listen();
  for (const char* end : {"A seq=1 ack=1", "R seq=1", "S seq=5", ""}) {
    w.in("S seq=0");
    w.out("SA");
    if (*end != 0) w.in(end);
    w.poll();
    if (w.engine().active() > 0) w.abort();
    w.after(1100ms);
    w.forget_sent();
    EXPECT_EQ(w.engine().half_open(), 0u) << end;
  }
  w.in("S seq=0");
  w.out("SA");
  EXPECT_EQ(w.verdict(Verdict::tcp_listen_full), 0u);
  w.audit();
}

TEST(HalfOpen, ListenerThatGoesTakesItsHalfOpenClientsAlong) {
  Wire w;
  w.listen();
  ASSERT_TRUE(w.engine().listen(kOurs, 81, 2));
  const wire::FourTuple other{kOurs, kTheirs, 81, 5};
  w.in("S seq=0");
  w.in_from(other, "S seq=0");
  w.forget_sent();
  w.engine().unlisten(kOurs, kOurPort);
  EXPECT_EQ(w.engine().half_open(), 1u);
  w.in("A seq=1 ack=1");
  w.out("R seq=1");
  w.in_from(other, "A seq=1 ack=1");
  EXPECT_TRUE(w.saw(tcp::kAccepted));
  w.audit();
}

TEST(HalfOpen, SynAckThatFoundNoPacketIsSentLater) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  std::vector<mbuf::Pkt> hog;
  while (mbuf::Pkt p = w.pools().alloc()) hog.push_back(std::move(p));
  w.quiet();
  hog.clear();
  w.out("SA seq=0 ack=1");
  w.quiet();
  w.audit();
}

}  // namespace
}  // namespace ringway::test
