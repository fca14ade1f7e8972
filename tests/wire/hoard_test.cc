// Peers that hoard packet memory: readers that take nothing, writers to whom nobody listens, and who is in the way when
// memory runs out. However many they are, what connections may hold shrinks so that newcomers find packets.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

constexpr u32 kPackets = 4095;
constexpr u32 kLow = kPackets / 10;

wire::FourTuple client(u32 n) { return {kOurs, kTheirs, kOurPort, static_cast<u16>(2000 + n)}; }

tcp::EngineConfig roomy() {
  auto c = Wire::small();
  c.connections = 256;
  c.user_timeout_us = 0;
  return c;
}

ConnId accepted(Wire& w, u32 n, u16 window) {
  w.in_from(client(n), "S seq=0 win=65535 mss=1460 ws=7");
  w.poll();
  w.in_from(client(n), "A seq=1 ack=1 win=" + std::to_string(window));
  w.collect();
  w.forget_sent();
  return w.id;
}

// As relay does: as much as there is space for.
u32 fill(Wire& w, ConnId id) {
  u32 packets = 0;
  for (; w.engine().send_space(id) > 0; ++packets) w.engine().send(id, w.bytes(std::string(1448, 'x'), 1448));
  w.forget_sent();
  return packets;
}

void serves_newcomer(Wire& w, u32 n) {
  accepted(w, n, 512);
  w.in_from(client(n), "A seq=1 ack=1 win=512 data=GET");
  EXPECT_EQ(w.read(), "GET");
  w.send("200");
  w.out("A data=200");
}

TEST(Hoard, ReadersThatTakeNothingLeavePacketsForOthers) {
  Wire w(roomy(), kPackets);
  w.listen();
  u32 first = 0, last = 0;
  for (u32 n = 0; n < 200; ++n) {
    const ConnId id = accepted(w, n, 0);
    last = fill(w, id);
    if (n == 0) first = last;
    w.after(2ms);
  }
  EXPECT_GT(first, 150u) << "while memory is ample, a whole budget";
  EXPECT_LT(last, 8u);
  EXPECT_GE(last, 1u) << "everybody gets on";
  EXPECT_GT(w.pools().packets_free(), kLow);
  EXPECT_EQ(w.verdict(Verdict::tcp_pool_low), 0u);
  serves_newcomer(w, 200);
  w.audit();
}

TEST(Hoard, WritersToWhomNobodyListensLeavePacketsForOthers) {
  Wire w(roomy(), kPackets);
  w.listen();
  for (u32 n = 0; n < 200; ++n) {
    accepted(w, n, 512);
    for (u32 k = 0; k < 180; ++k) {
      if (w.pools().packets_free() < 8) break;
      w.in_from(client(n), "A seq=" + std::to_string(1 + k * 1448) + " ack=1 win=512 data=" + std::string(1448, 'y'));
      if (k % 16 == 0) w.forget_sent();
    }
    w.forget_sent();
    w.after(2ms);
  }
  EXPECT_GT(w.pools().packets_free(), kLow);
  serves_newcomer(w, 200);
  w.audit();
}

// Half of the largest window ever offered is one byte here.
TEST(Hoard, WindowsOfOneByteFromTheStartAreServedAtThePaceOfProbes) {
  Wire w(roomy(), kPackets);
  w.listen();
  w.in("S seq=0 win=1 mss=1460");
  w.out("SA seq=0 ack=1");
  w.in("A seq=1 ack=1 win=1");
  w.collect();
  w.send(std::string(20'000, 'x'));
  u32 segments = 0;
  for (u32 tenth = 0; tenth < 600; ++tenth) {
    w.after(100ms);
    segments += w.pending();
    w.forget_sent();
    w.in("A seq=1 ack=" + std::to_string(1 + w.counter(Counter::tcp_zero_window_probes)) + " win=1");
  }
  EXPECT_GE(w.counter(Counter::tcp_zero_window_probes), 10u);
  EXPECT_LE(segments, 300u) << "less than one in the shortest timeout";
  EXPECT_TRUE(w.engine().alive(w.id));
  w.audit();
}

TEST(Hoard, WhoIsGivenMoreRoomAgainIsTold) {
  Wire w(roomy(), kPackets);
  w.listen();
  std::vector<mbuf::Pkt> hog;
  while (w.pools().packets_free() > kPackets / 4) hog.push_back(w.pools().alloc());
  w.after(2ms);
  const ConnId id = accepted(w, 0, 512);
  const u32 little = fill(w, id);
  EXPECT_LT(little, 8u);
  hog.clear();
  w.after(2ms);
  w.seen = 0;
  w.in_from(client(0), "A seq=1 ack=" + std::to_string(1 + little * 1448) + " win=512");
  EXPECT_TRUE(w.saw(tcp::kWritable));
  EXPECT_GT(fill(w, id), 150u);
  w.audit();
}

// Each answers every probe, so none is silent; one takes its bytes, the other does not.
TEST(Hoard, EmptyPoolEndsWhoTakesNothingThoughItAnswersProbes) {
  Wire w(roomy(), kPackets);
  w.listen();
  const ConnId stuck = accepted(w, 0, 0), alive = accepted(w, 1, 512);
  w.engine().send(stuck, w.bytes(std::string(1448, 'x'), 1448));
  for (u32 second = 0; second < 10; ++second) {
    w.engine().send(alive, w.bytes(std::string(1448, 'x'), 1448));
    w.after(1s);
    w.in_from(client(0), "A seq=1 ack=1 win=0");
    w.in_from(client(1), "A seq=1 ack=" + std::to_string(1 + second * 1448) + " win=512");
    w.forget_sent();
  }
  EXPECT_GT(w.counter(Counter::tcp_zero_window_probes), 3u);
  std::vector<mbuf::Pkt> hog;
  while (w.pools().packets_free() > kPackets / 50) hog.push_back(w.pools().alloc());
  w.after(10ms);
  EXPECT_EQ(w.counter(Counter::tcp_shed), 1u);
  EXPECT_FALSE(w.engine().alive(stuck));
  EXPECT_TRUE(w.engine().alive(alive));
  w.forget_sent();
  hog.clear();
  w.audit();
}

}  // namespace
}  // namespace ringway::test
