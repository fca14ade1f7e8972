// Opening a connection: RFC 9293 3.10.1, 3.10.7.2, 3.10.7.3, 3.5; RFC 7323 2; RFC 5961; half-open limits.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

TEST(Handshake, ListenerAnswersSynAndAccepts) {
  Wire w;
  w.listen(42);
  w.in("S seq=0 mss=1460 ws=7");
  w.out("SA seq=0 ack=1 mss=1460 ws=3");
  w.in("A seq=1 ack=1");
  w.quiet();
  EXPECT_TRUE(w.saw(tcp::kAccepted));
  EXPECT_EQ(w.last_event.listener, 42u);
  w.expect(State::established);
  EXPECT_EQ(w.counter(Counter::tcp_accepted), 1u);
  w.audit();
}

TEST(Handshake, ConnectSendsSynAndConnects) {
  Wire w;
  w.connect(99);
  w.out("S seq=0 mss=1460 ws=3");
  w.in("SA seq=0 ack=1 mss=1400 ws=7");
  w.out("A seq=1 ack=1");
  EXPECT_TRUE(w.saw(tcp::kConnected));
  EXPECT_EQ(w.last_event.user, 99u);
  w.expect(State::established);
  EXPECT_EQ(w.counter(Counter::tcp_connected), 1u);
  w.audit();
}

TEST(Handshake, DataMovesBothWaysAndConnectionCloses) {
  Wire w;
  w.established();
  w.in("A seq=1 ack=1 data=hello");
  EXPECT_EQ(w.read(), "hello");
  w.send("world");
  w.out("A seq=1 ack=6 data=world psh");
  w.quiet();
  w.in("A seq=6 ack=6");
  w.in("FA seq=6 ack=6");
  w.out("A seq=6 ack=7");
  EXPECT_TRUE(w.saw(tcp::kPeerClosed));
  w.close();
  w.out("FA seq=6 ack=7");
  w.in("A seq=7 ack=7");
  w.quiet();
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Handshake, WindowScaleIsOfferedInAnswerOnlyWhenPeerOffered) {
  Wire w;
  w.listen();
  w.in("S seq=0 mss=1460");
  w.out("SA ws=255");
  w.audit();
}

TEST(Handshake, DataQueuedBeforeConnectLeavesWithFirstAck) {
  Wire w;
  w.connect();
  w.send("early");
  w.out("S seq=0 len=0");
  w.in("SA seq=0 ack=1 mss=1460");
  w.out("A seq=1 ack=1 data=early");
  w.quiet();
  w.audit();
}

TEST(Handshake, PayloadOnSynIsNotAcknowledged) {
  Wire w;
  w.listen();
  w.in("S seq=0 data=hello");
  w.out("SA ack=1");
  w.audit();
}

TEST(Handshake, TextOnSynAckIsTaken) {
  Wire w;
  w.connect();
  w.out("S");
  w.in("SA seq=0 ack=1 data=hi");
  w.out("A seq=1 ack=3");
  EXPECT_EQ(w.read(), "hi");
  w.audit();
}

TEST(Rfc9293_3_10_7_2, ListenRefusesAckWithRst) {
  Wire w;
  w.listen();
  w.in("A seq=1 ack=77");
  w.out("R seq=77");
  EXPECT_EQ(w.verdict(Verdict::tcp_no_listener), 1u);
  w.audit();
}

TEST(Rfc9293_3_10_7_2, ListenIgnoresRst) {
  Wire w;
  w.listen();
  w.in("R seq=1");
  w.quiet();
  w.audit();
}

TEST(Rfc9293_3_10_7_2, SynAckToListenerIsRefusedWithRst) {
  Wire w;
  w.listen();
  w.in("SA seq=0 ack=5");
  w.out("R seq=5");
  w.audit();
}

TEST(Rfc9293_3_10_7_3, WrongAckInSynSentIsAnsweredByRstAndHandshakeGoesOn) {
  Wire w;
  w.connect();
  w.out("S");
  w.in("SA seq=0 ack=2");
  w.out("R seq=2");
  EXPECT_EQ(w.verdict(Verdict::tcp_unacceptable_ack), 1u);
  w.expect(State::syn_sent);
  w.in("SA seq=0 ack=1");
  w.out("A seq=1 ack=1");
  w.expect(State::established);
  w.audit();
}

TEST(Rfc9293_3_10_7_3, RstWithGoodAckRefusesConnection) {
  Wire w;
  w.connect();
  w.out("S");
  w.send("never sent");
  w.in("RA seq=0 ack=1");
  w.quiet();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::refused);
  EXPECT_EQ(w.reclaimed, 10u) << "what was queued can be taken back for another endpoint";
  EXPECT_EQ(w.counter(Counter::tcp_connect_failed), 1u);
  EXPECT_FALSE(w.engine().alive(w.id));
  w.audit();
}

TEST(Rfc9293_3_10_7_3, RstWithoutAckInSynSentIsDropped) {
  Wire w;
  w.connect();
  w.out("S");
  w.in("R seq=0");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_rst), 1u);
  w.expect(State::syn_sent);
  w.audit();
}

TEST(Rfc9293_3_10_7_3, AckWithoutSynInSynSentIsDropped) {
  Wire w;
  w.connect();
  w.out("S");
  w.in("A seq=0 ack=1");
  w.quiet();
  w.expect(State::syn_sent);
  w.audit();
}

TEST(Rfc9293_3_5, SimultaneousOpenEndsEstablished) {
  Wire w;
  w.connect();
  w.out("S seq=0");
  w.in("S seq=0 mss=1460 win=5000");
  w.out("SA seq=0 ack=1");
  w.expect(State::syn_rcvd);
  w.in("SA seq=0 ack=1");
  w.out("A seq=1 ack=1");
  w.expect(State::established);
  EXPECT_TRUE(w.saw(tcp::kConnected));
  w.in("A seq=1 ack=1 data=x");
  EXPECT_EQ(w.read(), "x");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, RstInSynReceivedReturnsToListen) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("R seq=1");
  w.quiet();
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_EQ(w.events, 0u) << "the application never heard of it";
  w.in("S seq=0");
  w.out("SA");
  w.audit();
}

TEST(Rfc9293_3_10_7_4, SecondSynInSynReceivedReturnsToListen) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("S seq=10");
  w.quiet();
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_syn), 1u);
  w.audit();
}

TEST(Rfc9293_3_10_7_4, WrongAckInSynReceivedIsAnsweredByRst) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("A seq=1 ack=9");
  w.out("R seq=9");
  w.in("A seq=1 ack=1");
  w.quiet();
  w.expect(State::established);
  w.audit();
}

TEST(Handshake, RepeatedSynIsAnsweredAgain) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA seq=0 ack=1");
  w.in("S seq=0");
  w.out("SA seq=0 ack=1");
  w.in("A seq=1 ack=1");
  w.expect(State::established);
  w.audit();
}

TEST(Handshake, SynIsRepeatedWithBackoffThenGivenUp) {
  auto c = Wire::small();
  c.rto_initial_us[1] = 200'000;
  c.syn_retransmits_max = 2;
  Wire w(c);
  w.connect();
  w.out("S");
  w.after(190ms);
  w.quiet();
  w.after(20ms);
  w.out("S");
  w.after(380ms);
  w.quiet();
  w.after(20ms);
  w.out("S");
  w.after(810ms);
  w.quiet();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::timed_out);
  EXPECT_EQ(w.counter(Counter::tcp_timed_out), 1u);
  EXPECT_TRUE(w.engine().quiet());
  w.audit();
}

TEST(Handshake, SynAckIsRepeatedThenForgotten) {
  auto c = Wire::small();
  c.syn_retransmits_max = 1;
  Wire w(c);
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.after(1100ms);
  w.out("SA");
  w.after(2100ms);
  w.quiet();
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Handshake, LostThirdAckIsMadeGoodByData) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("A seq=1 ack=1 data=GET");
  EXPECT_TRUE(w.saw(tcp::kAccepted | tcp::kReadable));
  EXPECT_EQ(w.read(), "GET");
  w.audit();
}

TEST(Handshake, MssIsTheSmallerOfBothAndNeverBelow536) {
  Wire w;
  w.established("S seq=0 mss=1");
  EXPECT_EQ(w.info().mss, 536u);
  w.audit();
  Wire v;
  v.established("S seq=0 mss=9000");
  EXPECT_EQ(v.info().mss, 1460u);
  v.audit();
  Wire u;
  u.established("S seq=0");
  EXPECT_EQ(u.info().mss, 536u) << "RFC 9293 3.7.1: the default without the option";
  u.audit();
}

TEST(Handshake, MssOfAPortWithoutSegmentsLeavesAPacketInOneMbuf) {
  tcp::EngineConfig jumbo = Wire::small();
  jumbo.caps.mtu = 9000;
  jumbo.caps.multi_segs = false;
  Wire w(jumbo);
  w.established("S seq=0 mss=8960");
  EXPECT_EQ(w.info().mss, 2048u - 40u);
  w.audit();
}

TEST(Handshake, InitialSequenceNumbersDifferByTupleAndGrowWithTime) {
  Wire w;
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  const wire::SeqNo first = w.last.seg.seq;
  w.in("R seq=1");
  w.after(4ms);
  w.in("S seq=0");
  w.out("SA");
  EXPECT_EQ(w.last.seg.seq - first, 1000) << "RFC 6528: one per 4 us";
  wire::FourTuple other = w.tuple;
  other.remote_port++;
  w.in_from(other, "S seq=0");
  w.out("SA");
  EXPECT_GT(std::abs(w.last.seg.seq - first), 100'000);
  w.audit();
}

TEST(Handshake, ConnectTakesAnotherPortForEachConnectionToOneRemote) {
  auto c = Wire::small();
  c.port_first = 20'000;
  c.port_count = 3;
  Wire w(c);
  std::map<u16, int> ports;
  for (int i = 0; i < 3; ++i) {
    w.connect();
    w.out("S");
    ports[w.last.seg.tuple.remote_port]++;
  }
  EXPECT_EQ(ports.size(), 3u);
  EXPECT_EQ(ports.begin()->first, 20'000);
  EXPECT_EQ(ports.rbegin()->first, 20'002);
  EXPECT_FALSE(w.engine().connect(kOurs, kTheirs, 8080, 0, w.now).has_value()) << "no port is left";
  EXPECT_TRUE(w.engine().connect(kOurs, kTheirs, 8081, 0, w.now).has_value()) << "another remote is another tuple";
  w.audit();
}

TEST(Handshake, UnreachableRefusesConnectionInSynSentOnly) {
  Wire w;
  w.connect();
  w.out("S");
  w.engine().unreachable(w.tuple);
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::refused);
  w.connected();
  w.engine().unreachable(w.tuple);
  w.expect(State::established);
  w.audit();
}

TEST(Listeners, PortIsTakenOnceAndRelistenChangesItsTag) {
  Wire w;
  EXPECT_TRUE(w.engine().listen(kOurs, 81, 1));
  EXPECT_FALSE(w.engine().listen(kOurs, 81, 2));
  EXPECT_TRUE(w.engine().relisten(kOurs, 81, 3));
  wire::FourTuple t{kOurs, kTheirs, 81, 5};
  w.in_from(t, "S seq=0");
  w.out("SA");
  w.in_from(t, "A seq=1 ack=1");
  w.collect();
  EXPECT_EQ(w.last_event.listener, 3u);
  w.engine().unlisten(kOurs, 81);
  t.remote_port = 6;
  w.in_from(t, "S seq=0");
  w.out("RA seq=0 ack=1");
  w.expect(State::established);
  w.audit();
}

}  // namespace
}  // namespace ringway::test
