// The largest packet of a path: ICMP "fragmentation needed" believed and disbelieved (RFC 1191, RFC 5927 section 7), what is
// remembered, and full segments that vanish without a word (RFC 2923).

#include "dataplane/tcp/path.h"
#include "src/contract/path_sizes.h"
#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

wire::SeqNo ours(Wire& w, u32 seq) { return w.our_isn(w.tuple) + seq; }

void with_sack(Wire& w) { w.established("S seq=0 win=65535 mss=1460 sackok"); }

TEST(Rfc1191, SegmentsBecomeSmallerAndWhatIsInFlightGoesAgain) {
  for (const bool sack : {false, true}) {
    Wire w;
    sack ? with_sack(w) : w.established();
    w.send(std::string(4380, 'x'));
    w.forget_sent();
    const u32 window = w.info().cwnd_bytes;
    w.engine().too_big(w.tuple, ours(w, 1461), 1400, w.now);
    w.out("A seq=1 len=1360");
    w.out("A seq=1361 len=1360");
    w.out("A seq=2721 len=1360");
    w.out("A seq=4081 len=300");
    w.quiet();
    EXPECT_EQ(w.info().mss, 1360u);
    EXPECT_EQ(w.info().cwnd_bytes, window) << "nothing was congested (section 6.4)";
    EXPECT_TRUE(w.info().send_timer);
    EXPECT_EQ(w.engine().check_invariants(), nullptr);
    EXPECT_EQ(w.counter(Counter::tcp_path_mtu_reduced), 1u);
    w.in("A seq=1 ack=4381");
    w.quiet();
    EXPECT_EQ(w.info().send_queue_bytes, 0u);
    w.audit();
  }
}

TEST(Rfc1191, EveryLostPacketBringsAMessageAndTheFirstIsEnough) {
  Wire w;
  with_sack(w);
  w.send(std::string(4380, 'x'));
  w.forget_sent();
  for (const u32 seq : {1u, 1461u, 2921u}) w.engine().too_big(w.tuple, ours(w, seq), 1400, w.now);
  EXPECT_EQ(w.pending(), 4u);
  EXPECT_EQ(w.counter(Counter::tcp_path_mtu_reduced), 1u);
  w.audit();
}

TEST(Rfc1191, NextConnectionToTheSameHostBeginsWithTheSizeForTenMinutes) {
  Wire w;
  with_sack(w);
  w.send(std::string(1460, 'x'));
  w.forget_sent();
  w.engine().too_big(w.tuple, ours(w, 1), 1400, w.now);
  w.abort();
  w.forget_sent();
  w.connected();
  EXPECT_EQ(w.info().mss, 1360u);
  w.abort();
  w.forget_sent();
  w.after(11min);
  w.connected();
  EXPECT_EQ(w.info().mss, 1460u);
  w.audit();
}

TEST(Rfc1191_6_3, ConnectionTriesLargerPacketsAgainAfterTenMinutes) {
  Wire w;
  with_sack(w);
  w.send(std::string(1460, 'x'));
  w.forget_sent();
  w.engine().too_big(w.tuple, ours(w, 1), 1400, w.now);
  w.forget_sent();
  w.in("A seq=1 ack=1461");
  for (int minute = 0; minute < 9; ++minute) {
    w.after(1min);
    w.forget_sent();
    w.in("A seq=1 ack=1461");  // a keepalive's answer
  }
  EXPECT_EQ(w.info().mss, 1360u);
  w.after(65s);
  w.forget_sent();
  w.in("A seq=1 ack=1461");
  EXPECT_EQ(w.info().mss, 1460u);
  w.send(std::string(1460, 'y'));
  w.out("A seq=1461 len=1460");
  EXPECT_EQ(w.counter(Counter::tcp_path_mtu_raised), 1u);
  w.engine().too_big(w.tuple, ours(w, 1461), 1400, w.now);
  w.out("A seq=1461 len=1360");
  w.out("A seq=2821 len=100");
  w.audit();
}

TEST(Rfc1191_6_3, WhatWasAgreedIsNotExceeded) {
  Wire w;
  w.established("S seq=0 win=65535 mss=1000");
  w.send(std::string(1000, 'x'));
  w.forget_sent();
  w.engine().too_big(w.tuple, ours(w, 1), 800, w.now);
  w.forget_sent();
  w.in("A seq=1 ack=1001");
  EXPECT_EQ(w.info().mss, 760u);
  for (int minute = 0; minute < 11; ++minute) {
    w.after(1min);
    w.forget_sent();
    w.in("A seq=1 ack=1001");
  }
  EXPECT_EQ(w.info().mss, 1000u);
  w.audit();
}

// Nobody would say that larger ones vanish again.
TEST(BlackHole, SizeThatWasGuessedStays) {
  Wire w;
  with_sack(w);
  w.send(std::string(1460, 'x'));
  w.after(10s);
  w.forget_sent();
  const u32 guessed = w.info().mss;
  ASSERT_LT(guessed, 1460u);
  w.in("A seq=1 ack=1461");
  for (int minute = 0; minute < 11; ++minute) {
    w.after(1min);
    w.forget_sent();
    w.in("A seq=1 ack=1461");
  }
  EXPECT_EQ(w.info().mss, guessed);
  w.audit();
}

TEST(Rfc5927_7, MessageAboutWhatIsNotInFlightIsDisbelieved) {
  Wire w;
  with_sack(w);
  w.send(std::string(2920, 'x'));
  w.forget_sent();
  w.in("A seq=1 ack=1461");
  for (const u32 seq : {0u, 1u, 1460u, 2921u, 100'000u}) w.engine().too_big(w.tuple, ours(w, seq), 1400, w.now);
  auto stranger = w.tuple;
  stranger.remote_port++;
  w.engine().too_big(stranger, ours(w, 1461), 1400, w.now);
  w.quiet();
  EXPECT_EQ(w.info().mss, 1460u);
  EXPECT_EQ(w.counter(Counter::tcp_icmp_disbelieved), 5u);
  w.audit();
}

TEST(Rfc5927_7, NothingMakesSegmentsLargerOrSillilySmall) {
  Wire w;
  with_sack(w);
  w.send(std::string(1460, 'x'));
  w.forget_sent();
  w.engine().too_big(w.tuple, ours(w, 1), 1500, w.now);
  w.engine().too_big(w.tuple, ours(w, 1), 9000, w.now);
  EXPECT_EQ(w.info().mss, 1460u);
  w.engine().too_big(w.tuple, ours(w, 1), 68, w.now);
  EXPECT_EQ(w.info().mss, 536u);
  w.engine().too_big(w.tuple, ours(w, 1), 1400, w.now);
  EXPECT_EQ(w.info().mss, 536u);
  w.audit();
}

// As the control thread makes them of ports and their paths.
struct Sizes {
  std::vector<contract::PathSize> list;
  explicit Sizes(const contract::PortNet& port) : list(contract::path_sizes({port})) {}
};

TEST(Rfc9293_3_7_1, MssIsThatOfTheWayToThePeer) {
  contract::PortNet port{.ip = kOurs, .prefix_bits = 24, .next_hop = wire::Ip4::of(10, 0, 0, 254), .mtu = 9001};
  port.paths = {{contract::mapped({}, 0), 1500}, {contract::mapped(wire::Ip4::of(10, 0, 0, 0), 8), 8500},
                {contract::mapped(wire::Ip4::of(10, 0, 0, 64), 26), 1400}};
  const Sizes sizes(port);
  auto c = Wire::small();
  c.caps = {.multi_segs = true, .mtu = 9001, .segs_max = 16};
  struct Case {
    wire::Ip4 peer;
    u16 mss;
  };
  for (const Case& k : {Case{kTheirs, 8961}, Case{wire::Ip4::of(10, 0, 0, 65), 1360}, Case{wire::Ip4::of(10, 7, 0, 1), 8460},
                        Case{wire::Ip4::of(192, 0, 2, 1), 1460}}) {
    Wire w(c);
    w.engine().adopt(sizes.list);
    w.tuple.remote = k.peer;
    w.listen();
    w.in("S seq=0 win=65535 mss=8961");
    w.out("SA seq=0 ack=1 mss=" + std::to_string(k.mss));
    w.in("A seq=1 ack=1 win=65535");
    w.expect(State::established);
    EXPECT_EQ(w.info().mss, k.mss);
    w.abort();
    w.forget_sent();
    w.connect(1, kOurs, k.peer);
    w.out("S seq=0 mss=" + std::to_string(k.mss));
    w.abort();
    w.forget_sent();
    w.audit();
  }
}

TEST(Rfc9293_3_7_1, MssOfACookieIsThatOfTheWay) {
  contract::PortNet port{.ip = kOurs, .prefix_bits = 24, .mtu = 9001};
  port.paths = {{contract::mapped(kTheirs, 32), 1500}};
  const Sizes sizes(port);
  auto c = Wire::small();
  c.caps = {.multi_segs = true, .mtu = 9001, .segs_max = 16};
  c.half_open_mark = 0;
  Wire w(c);
  w.engine().adopt(sizes.list);
  w.listen();
  w.in("S seq=0 win=65535 mss=8961");
  w.out("SA seq=0 ack=1 mss=1460");
  EXPECT_EQ(w.counter(Counter::tcp_cookies_sent), 1u);
  w.in("A seq=1 ack=1 win=65535");
  w.expect(State::established);
  EXPECT_EQ(w.info().mss, 1460u);
  w.audit();
}

TEST(Rfc9293_3_7_1, DeviceThatTakesLessThanConfiguredCounts) {
  const Sizes sizes({.ip = kOurs, .prefix_bits = 24, .mtu = 9001});
  auto c = Wire::small();
  c.caps = {.multi_segs = true, .mtu = 9001, .segs_max = 16};
  c.port_mtu[0] = 3498;
  Wire w(c);
  w.engine().adopt(sizes.list);
  w.established("S seq=0 win=65535 mss=8961");
  EXPECT_EQ(w.info().mss, 3458u);
  w.audit();
}

TEST(BlackHole, FullSegmentsThatVanishAreTriedSmaller) {
  for (const bool sack : {false, true}) {
    Wire w;
    sack ? with_sack(w) : w.established();
    w.send(std::string(1460, 'x'));
    w.out("A seq=1 len=1460");
    w.after(10s);
    while (w.pending() > 0 && w.info().mss == 1460) w.forget_sent(), w.after(1s);
    EXPECT_LT(w.info().mss, 1460u);
    EXPECT_GE(w.info().mss, 536u);
    EXPECT_GE(w.counter(Counter::tcp_black_holes), 1u);
    w.forget_sent();
    w.in("A seq=1 ack=1461");
    w.send(std::string(3000, 'y'));
    w.out("A seq=1461 len=" + std::to_string(w.info().mss));
    w.audit();
  }
}

TEST(BlackHole, SmallSegmentsThatVanishAreNotToBlame) {
  Wire w;
  with_sack(w);
  w.send("x");
  w.after(10s);
  w.forget_sent();
  EXPECT_EQ(w.info().mss, 1460u);
  EXPECT_EQ(w.counter(Counter::tcp_black_holes), 0u);
  w.audit();
}

TEST(Paths, RememberTheLastThatWasLearnedForAKeyAndNothingOfOthers) {
  auto paths = std::make_unique<tcp::Paths>();
  EXPECT_TRUE(paths->empty());
  paths->learn(5, 1400, 100);
  paths->learn(6, 1300, 100);
  EXPECT_EQ(paths->packet_bytes(5, 100), 1400);
  EXPECT_EQ(paths->packet_bytes(6, 100), 1300);
  EXPECT_EQ(paths->packet_bytes(5 + 1024, 100), 0xffff);
  paths->learn(5, 1200, 200);
  EXPECT_EQ(paths->packet_bytes(5, 200), 1200);
  EXPECT_EQ(paths->packet_bytes(5, 200 + tcp::kPathKeepTicks), 0xffff);
}

TEST(Paths, SmallerSizesEndAtTheLeast) {
  EXPECT_EQ(tcp::smaller_packet(9001, 576), 1500u);
  EXPECT_EQ(tcp::smaller_packet(1500, 576), 1280u);
  EXPECT_EQ(tcp::smaller_packet(1280, 576), 1064u);
  EXPECT_EQ(tcp::smaller_packet(1064, 576), 576u);
}

}  // namespace
}  // namespace ringway::test
