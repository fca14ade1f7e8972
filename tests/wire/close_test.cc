// Ending a connection: RFC 9293 3.10.4 (CLOSE), 3.10.5 (ABORT), 3.6, 3.10.7.4 eighth step and TIME-WAIT; RFC 6191.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

TEST(Close, ActiveCloseWalksFinWait1FinWait2TimeWait) {
  Wire w;
  w.time_wait();
  EXPECT_FALSE(w.engine().alive(w.id));
  EXPECT_EQ(w.counter(Counter::tcp_closed), 1u);
  EXPECT_EQ(w.engine().active(), 0u) << "TIME-WAIT is a record, not a block";
  w.audit();
}

TEST(Close, PassiveCloseWalksCloseWaitLastAckClosed) {
  Wire w;
  w.last_ack();
  w.in("A seq=2 ack=2");
  w.quiet();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::finished);
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Close, SimultaneousCloseWalksClosingTimeWait) {
  Wire w;
  w.closing();
  w.in("A seq=2 ack=2");
  w.quiet();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  w.in("FA seq=1 ack=2");
  w.out("A seq=2 ack=2");
  EXPECT_EQ(w.verdict(Verdict::tcp_time_wait), 1u);
  w.audit();
}

TEST(Close, FinAcknowledgingOurFinGoesStraightToTimeWait) {
  Wire w;
  w.fin_wait_1();
  w.in("FA seq=1 ack=2");
  w.out("A seq=2 ack=2");
  EXPECT_TRUE(w.saw(tcp::kPeerClosed | tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::finished);
  w.audit();
}

TEST(Close, HalfCloseGoesOnReceiving) {
  Wire w;
  w.fin_wait_2();
  w.in("A seq=1 ack=2 data=later");
  w.after(50ms);
  w.out("A seq=2 ack=6");
  EXPECT_EQ(w.read(), "later");
  w.expect(State::fin_wait_2);
  w.audit();
}

TEST(Close, HalfClosedPeerGoesOnReceivingFromUs) {
  Wire w;
  w.close_wait();
  w.send("answer");
  w.out("A seq=1 ack=2 data=answer");
  w.expect(State::close_wait);
  w.audit();
}

TEST(Close, FinRidesOnTheLastData) {
  Wire w;
  w.established();
  w.send("bye");
  w.shutdown();
  w.out("FA seq=1 ack=1 data=bye");
  w.quiet();
  w.in("A seq=1 ack=5");
  w.expect(State::fin_wait_2);
  w.audit();
}

TEST(Close, RequestWithFinIsAnsweredInOnePacket) {
  Wire w;
  w.established();
  w.in("FA seq=1 ack=1 data=GET");
  EXPECT_EQ(w.read(), "GET");
  w.send("200");
  w.close();
  w.out("FA seq=1 ack=5 data=200");
  w.quiet();
  w.in("A seq=5 ack=5");
  w.quiet();
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Close, LostFinIsSentAgain) {
  Wire w;
  w.fin_wait_1();
  w.after(1100ms);
  w.out("FA seq=1 ack=1");
  w.in("A seq=1 ack=2");
  w.expect(State::fin_wait_2);
  w.audit();
}

TEST(Close, UnreadDataTurnsCloseIntoRst) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 data=unread");
  w.close();
  w.out("RA seq=1 ack=7");
  w.quiet();
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_EQ(w.counter(Counter::tcp_reset_sent), 1u);
  w.audit();
}

TEST(Close, DataAfterCloseIsAnsweredByRst) {
  Wire w;
  w.established();
  w.close();
  w.out("FA seq=1 ack=1");
  w.in("A seq=1 ack=2 data=late");
  w.out("RA seq=2");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_after_close), 1u);
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Close, WhatWasQueuedIsDeliveredAfterClose) {
  Wire w;
  w.established("S seq=0 win=2000 mss=1000");
  w.in("A seq=1 ack=1 win=2000");
  w.send(std::string(5000, 'x'), 1000);
  w.close();
  EXPECT_FALSE(w.engine().alive(w.id));
  w.out("A seq=1 len=1000");
  w.out("A seq=1001 len=1000");
  w.quiet();
  w.in("A seq=1 ack=2001 win=4000");
  w.out("A seq=2001 len=1000");
  w.out("A seq=3001 len=1000");
  w.out("FA seq=4001 len=1000");
  w.in("A seq=1 ack=5002");
  w.in("FA seq=1 ack=5002");
  w.out("A seq=5002 ack=2");
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Close, OrphanInFinWait2IsForgottenAfterFinTimeout) {
  auto c = Wire::small();
  c.fin_timeout_us = 3'000'000;
  Wire w(c);
  w.established();
  w.close();
  w.out("FA");
  w.in("A seq=1 ack=2");
  EXPECT_EQ(w.engine().active(), 1u);
  w.after(3100ms);
  w.quiet();
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Close, HalfCloseByShutdownHasNoTimeLimit) {
  auto c = Wire::small();
  c.fin_timeout_us = 3'000'000;
  Wire w(c);
  w.established();
  w.shutdown();
  w.out("FA");
  w.in("A seq=1 ack=2");
  w.after(60s);
  w.expect(State::fin_wait_2);
  w.audit();
}

TEST(Close, OrphanWhosePeerTakesNothingIsReset) {
  auto c = Wire::small();
  c.fin_timeout_us = 3'000'000;
  Wire w(c);
  w.established();
  w.in("A seq=1 ack=1 win=0");
  w.send("stuck");
  w.close();
  w.poll();
  w.after(3100ms);
  EXPECT_EQ(w.engine().active(), 0u);
  while (w.pending() > 1) w.out("*");
  w.out("RA");
  w.audit();
}

TEST(Close, UnreadDataSurvivesTheEndOfTheConnection) {
  Wire w;
  w.fin_wait_2();
  w.in("FA seq=1 ack=2 data=tail");
  w.out("A seq=2 ack=6");
  EXPECT_FALSE(w.saw(tcp::kClosed)) << "closed only when everything was read";
  EXPECT_TRUE(w.engine().alive(w.id));
  EXPECT_TRUE(w.engine().peer_closed(w.id));
  EXPECT_EQ(w.read(), "tail");
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::finished);
  w.audit();
}

TEST(Abort, SendsRstAndForgets) {
  Wire w;
  w.established();
  w.send("never");
  w.abort();
  w.out("RA seq=1 ack=1");
  w.quiet();
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_TRUE(w.engine().quiet());
  w.audit();
}

TEST(Abort, InSynSentIsSilent) {
  Wire w;
  w.connect();
  w.out("S");
  w.abort();
  w.quiet();
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(ConnId, OfThePastDoesNothing) {
  Wire w;
  w.established();
  const ConnId old = w.id;
  w.abort();
  w.out("RA");
  w.in("S seq=100");
  w.out("SA");
  w.in("A seq=101 ack=1");
  w.collect();
  EXPECT_EQ(w.id.index, old.index) << "the place is used again";
  EXPECT_FALSE(w.engine().alive(old));
  w.engine().send(old, w.bytes("x"));
  w.engine().close(old);
  w.engine().abort(old);
  w.engine().shutdown(old);
  w.engine().set_user(old, 5);
  EXPECT_EQ(w.engine().send_space(old), 0u);
  EXPECT_TRUE(w.engine().take(old, 10).empty());
  w.quiet();
  w.expect(State::established);
  w.audit();
}

TEST(Rfc9293_TimeWait, RepeatedFinIsAcknowledgedAndStartsTwoMslAgain) {
  auto c = Wire::small();
  c.time_wait_us = 10'000'000;
  Wire w(c);
  w.time_wait();
  w.after(9s);
  w.in("FA seq=1 ack=2");
  w.out("A seq=2 ack=2");
  w.after(9s);
  w.in("FA seq=1 ack=2");
  w.out("A seq=2 ack=2");
  w.after(11s);
  w.in("FA seq=1 ack=2");
  w.out("R seq=2");
  w.audit();
}

TEST(Rfc9293_TimeWait, PlainAckAtTheEdgeIsNotAnswered) {
  Wire w;
  w.time_wait();
  w.in("A seq=2 ack=2");
  w.quiet();
  w.audit();
}

TEST(Rfc9293_TimeWait, ExactRstEndsItAndAnotherDoesNot) {
  Wire w;
  w.time_wait();
  w.in("R seq=3");
  w.quiet();
  w.in("FA seq=1 ack=2");
  w.out("A");
  w.in("R seq=2");
  w.quiet();
  w.in("FA seq=1 ack=2");
  w.out("R");
  w.audit();
}

TEST(Rfc6191, HigherSynTakesTupleOverFromTimeWait) {
  Wire w;
  w.time_wait();
  const wire::SeqNo old = w.our_isn(w.tuple);
  w.in("S seq=1000");
  w.out("SA ack=1001");
  EXPECT_GT(w.last.seg.seq, old);
  w.in("A seq=1001 ack=1");
  w.expect(State::established);
  w.audit();
}

TEST(Rfc6191, OldSynInTimeWaitIsAcknowledgedOnly) {
  Wire w;
  w.time_wait();
  w.in("S seq=0");
  w.out("A seq=2 ack=2");
  w.audit();
}

TEST(TimeWait, OldestRecordGoesWhenAllAreTaken) {
  auto c = Wire::small();
  c.time_wait_max = 2;
  Wire w(c);
  w.listen();
  for (u16 p = 0; p < 4; ++p) {
    wire::FourTuple t = w.tuple;
    t.remote_port = static_cast<u16>(t.remote_port + p);
    w.in_from(t, "S seq=0");
    w.in_from(t, "A seq=1 ack=1");
    w.forget_sent();
    w.in_from(t, "A seq=1 ack=1");
    w.collect();
    w.shutdown();
    w.forget_sent();
    w.in_from(t, "FA seq=1 ack=2");
    w.out("A seq=2 ack=2");
  }
  EXPECT_EQ(w.engine().active(), 0u);
  w.in("FA seq=1 ack=2");
  w.out("R");
  w.audit();
}

TEST(TimeWait, LocalPortIsTakenAgainOnlyWhenNoOtherIsFree) {
  auto c = Wire::small();
  c.port_count = 1;
  Wire w(c);
  w.connected();
  w.shutdown();
  w.out("FA");
  w.in("FA seq=1 ack=2");
  w.out("A");
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_FALSE(w.engine().connect(kOurs, kTheirs, 8080, 0, w.now).has_value()) << "younger than a second";
  w.after(1500ms);
  w.connect();
  w.out("S");
  w.audit();
}

}  // namespace
}  // namespace ringway::test
