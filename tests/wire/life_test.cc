// Connections that say nothing or get nowhere: keepalive (RFC 9293 3.8.4), user timeout (3.8.3, RFC 5482), closed windows
// (3.8.6.1), limits of the closing states, challenge limits (RFC 5961 section 7), and what goes first when memory is low.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

wire::FourTuple client(u16 port) { return {kOurs, kTheirs, kOurPort, port}; }

tcp::EngineConfig lively() {
  auto c = Wire::small();
  c.keepalive_idle_us = 20'000'000;
  c.keepalive_interval_us = 5'000'000;
  c.keepalive_probes = 3;
  return c;
}

TEST(Keepalive, IdlePeerIsAskedAndItsAnswerIsEnough) {
  Wire w(lively());
  w.established();
  for (int i = 0; i < 3; ++i) {
    w.after(19s);
    w.quiet();
    w.after(4s);
    w.out("A seq=0 ack=1 len=0");
    w.in("A seq=1 ack=1");
    w.quiet();
  }
  EXPECT_EQ(w.counter(Counter::tcp_keepalives), 3u);
  w.expect(State::established);
  w.audit();
}

TEST(Keepalive, SilentPeerIsGivenUpAfterTheProbesAndTold) {
  Wire w(lively());
  w.established();
  w.after(20s + 4 * 5s + 8s);
  for (int i = 0; i < 3; ++i) w.out("A seq=0 ack=1 len=0");
  w.out("RA seq=1 ack=1");
  w.quiet();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::timed_out);
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Keepalive, PeerThatForgotEndsTheConnectionByRst) {
  Wire w(lively());
  w.established();
  w.after(23s);
  w.out("A seq=0");
  w.in("R seq=1");
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::reset);
  w.audit();
}

TEST(Keepalive, HalfClosedConnectionWhosePeerIsGoneEnds) {
  Wire w(lively());
  w.fin_wait_2();
  w.after(60s);
  w.forget_sent();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(Keepalive, EveryConnectionIsAskedHoweverManyThereAre) {
  auto c = lively();
  c.connections = 300;
  c.half_open_max = 300;
  c.half_open_per_listener = 300;
  Wire w(c);
  w.listen();
  for (u16 p = 1; p <= 300; ++p) {
    w.in_from(client(p), "S seq=0");
    w.poll();
    w.in_from(client(p), "A seq=1 ack=1");
  }
  w.forget_sent();
  EXPECT_EQ(w.engine().active(), 300u);
  w.after(23s);
  EXPECT_EQ(w.pending(), 300u);
  w.audit();
}

TEST(Keepalive, ZeroSwitchesItOff) {
  auto c = lively();
  c.keepalive_idle_us = 0;
  Wire w(c);
  w.established();
  w.after(3600s);
  w.quiet();
  w.expect(State::established);
  w.audit();
}

TEST(UserTimeout, BytesThatGetNowhereEndTheConnectionInTime) {
  auto c = Wire::small();
  c.user_timeout_us = 5'000'000;
  Wire w(c);
  w.established();
  w.send("lost");
  w.after(4900ms);
  w.expect(State::established);
  w.after(200ms);
  w.forget_sent();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::timed_out);
  w.audit();
}

TEST(UserTimeout, ProgressStartsItAgain) {
  auto c = Wire::small();
  c.user_timeout_us = 5'000'000;
  Wire w(c);
  w.established();
  w.send("four");
  for (int acked = 1; acked < 5; ++acked) {
    w.after(4s);
    w.in("A seq=1 ack=" + std::to_string(1 + acked));
    w.forget_sent();
  }
  w.expect(State::established);
  w.audit();
}

TEST(UserTimeout, ZeroLeavesItToTheRetransmissions) {
  auto c = Wire::small();
  c.user_timeout_us = 0;
  c.retransmits_max = 9;
  Wire w(c);
  w.established();
  w.send("lost");
  w.after(150s);
  w.expect(State::established);
  w.after(300s);
  w.forget_sent();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  w.audit();
}

// Whatever the user timeout: probes grow rare, but each answer is a sign of life.
TEST(Rfc9293_3_8_6_1, PeerThatAnswersProbesOfItsClosedWindowIsWaitedForForever) {
  for (const u32 limit_us : {3'000'000u, 10'000'000u, 45'000'000u, 120'000'000u}) {
    auto c = Wire::small();
    c.user_timeout_us = limit_us;
    Wire w(c);
    w.established();
    w.in("A seq=1 ack=1 win=0");
    w.send("waiting");
    for (int i = 0; i < 36'000; ++i) {
      w.after(100ms);
      if (w.pending() == 0) continue;
      w.forget_sent();
      w.in("A seq=1 ack=1 win=0");
    }
    w.expect(State::established);
    w.in("A seq=1 ack=1 win=1000");
    w.out("A seq=1 data=waiting");
    w.audit();
  }
}

TEST(Rfc9293_3_8_6_1, PeerThatNeverAnswersProbesIsGivenUp) {
  for (const u32 limit_us : {0u, 30'000'000u}) {
    auto c = Wire::small();
    c.user_timeout_us = limit_us;
    c.keepalive_idle_us = 0;
    c.retransmits_max = 6;
    Wire w(c);
    w.established();
    w.in("A seq=1 ack=1 win=0");
    w.send("waiting");
    w.after(20s);
    w.expect(State::established);
    w.after(180s);
    w.forget_sent();
    EXPECT_TRUE(w.saw(tcp::kClosed)) << limit_us;
    EXPECT_EQ(w.reason, CloseReason::timed_out);
    w.audit();
  }
}

TEST(FinTimeout, OrphansInLastAckAndClosingAreReset) {
  auto c = Wire::small();
  c.fin_timeout_us = 3'000'000;
  Wire w(c);
  w.close_wait();
  w.close();
  w.out("FA seq=1");
  w.after(3100ms);
  EXPECT_EQ(w.engine().active(), 0u) << "LAST-ACK";
  w.forget_sent();
  Wire v(c);
  v.established();
  v.close();
  v.out("FA seq=1");
  v.in("FA seq=1 ack=1");
  v.after(3100ms);
  EXPECT_EQ(v.engine().active(), 0u) << "CLOSING";
  v.forget_sent();
  w.audit();
  v.audit();
}

TEST(Regret12, ChallengeLimitIsPerConnectionAndNobodysGuess) {
  Wire w;
  w.listen();
  std::map<u64, u32> limits;
  for (u16 p = 1; p <= 24; ++p) {
    w.in_from(client(p), "S seq=0");
    w.poll();
    w.in_from(client(p), "A seq=1 ack=1");
    w.forget_sent();
    const u64 before = w.counter(Counter::tcp_challenge_acks);
    for (int i = 0; i < 30; ++i) w.in_from(client(p), "R seq=5");
    const u64 sent = w.counter(Counter::tcp_challenge_acks) - before;
    EXPECT_GE(sent, 4u) << "whatever other connections have used up";
    EXPECT_LE(sent, 11u);
    limits[sent]++;
  }
  w.forget_sent();
  EXPECT_GE(limits.size(), 4u) << "a limit that is everywhere the same can be counted against";
  w.audit();
}

TEST(Pressure, LowPoolRefusesSynsFirstAndServesWhoIsThere) {
  Wire w;
  w.established();
  std::vector<mbuf::Pkt> hog;
  while (w.pools().packets_free() > 80) hog.push_back(w.pools().alloc());
  w.after(2ms);
  w.in_from(client(7), "S seq=0");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_pool_low), 1u);
  EXPECT_EQ(w.engine().half_open(), 0u);
  w.in("A seq=1 ack=1 data=GET");
  EXPECT_EQ(w.read(), "GET");
  w.send("200");
  w.out("A seq=1 ack=4 data=200");
  hog.clear();
  w.after(2ms);
  w.in_from(client(7), "S seq=0");
  w.out("SA");
  w.audit();
}

TEST(Pressure, EmptyPoolEndsTheMostSilentHolderOfPackets) {
  Wire w;
  w.listen();
  std::array<ConnId, 3> ids;
  for (u16 p = 0; p < 3; ++p) {  // 0 and 2 hold bytes that nobody reads, 1 holds none
    w.in_from(client(static_cast<u16>(p + 1)), "S seq=0");
    w.poll();
    w.in_from(client(static_cast<u16>(p + 1)), p == 1 ? "A seq=1 ack=1" : "A seq=1 ack=1 data=unread");
    w.collect();
    ids[p] = w.id;
    w.after(p == 1 ? 6s : 1s);
  }
  w.forget_sent();
  w.seen = 0;
  std::vector<mbuf::Pkt> hog;
  while (w.pools().packets_free() > 20) hog.push_back(w.pools().alloc());
  w.after(10ms);
  EXPECT_TRUE(w.saw(tcp::kClosed));
  EXPECT_EQ(w.reason, CloseReason::shed);
  EXPECT_EQ(w.counter(Counter::tcp_shed), 1u);
  EXPECT_FALSE(w.engine().alive(ids[0]));
  EXPECT_TRUE(w.engine().alive(ids[1])) << "it would have given nothing back";
  EXPECT_TRUE(w.engine().alive(ids[2])) << "it was heard a second ago";
  w.out("RA");
  w.quiet();
  hog.clear();
  w.audit();
}

TEST(Pressure, FullTableLetsTheMostSilentGoForAClientThatHasShaken) {
  auto c = Wire::small();
  c.connections = 8;
  Wire w(c);
  w.listen();
  std::vector<ConnId> ids;
  for (u16 p = 1; p <= 8; ++p) {
    w.in_from(client(p), "S seq=0");
    w.poll();
    w.in_from(client(p), "A seq=1 ack=1");
    w.collect();
    ids.push_back(w.id);
    w.after(1s);
  }
  for (u16 p = 100; p < 110; ++p) w.in_from(client(p), "S seq=0");
  w.forget_sent();
  EXPECT_EQ(w.engine().active(), 8u) << "SYNs cost nobody a connection";
  w.in_from(client(100), "A seq=1 ack=1");
  w.forget_sent();
  EXPECT_FALSE(w.engine().alive(ids[0]));
  EXPECT_EQ(w.counter(Counter::tcp_shed), 1u);
  w.in_from(client(100), "A seq=1 ack=1 data=GET");
  EXPECT_EQ(w.read(), "GET");
  for (size_t i = 1; i < ids.size(); ++i) EXPECT_TRUE(w.engine().alive(ids[i]));
  w.audit();
}

}  // namespace
}  // namespace ringway::test
