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

}  // namespace
}  // namespace ringway::test
