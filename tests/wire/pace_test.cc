// Pacing: a window spread over its round trip, and what does not wait for it. The clock is the test's.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

tcp::EngineConfig paced(bool yes = true) {
  auto c = Wire::small();
  c.pacing = yes;
  return c;
}

// With a round trip of 100 ms, as the handshake measures it.
void establish(Wire& w, const std::string& syn = "S seq=0 win=65535 mss=1460 sackok") {
  w.connect();
  w.out("S seq=0");
  w.after(100ms);
  w.in("SA" + syn.substr(1) + " ack=1");
  w.out("A seq=1 ack=1");
  w.expect(State::established);
  ASSERT_EQ(w.info().srtt_us, 100'000u);
}

// How many segments leave within `ms`, looked at every millisecond.
u32 leaving(Wire& w, u32 ms) {
  for (u32 i = 0; i < ms; ++i) w.after(1ms);
  const u32 n = w.pending();
  w.forget_sent();
  return n;
}

TEST(Pacing, WindowLeavesOverItsRoundTrip) {
  Wire w(paced());
  establish(w);
  w.send(std::string(14'600, 'x'));
  EXPECT_EQ(w.pending(), 1u) << "the first at once";
  w.forget_sent();
  // 16384 bytes, the power of two above the window, per 100 ms: a segment every 8.9 ms.
  EXPECT_EQ(leaving(w, 8), 0u);
  EXPECT_EQ(leaving(w, 1), 1u);
  EXPECT_EQ(leaving(w, 36), 4u);
  EXPECT_EQ(leaving(w, 36), 4u);
  EXPECT_EQ(leaving(w, 10), 0u) << "the window is out";
  w.audit();
}

TEST(Pacing, UnlessConfigured_WindowLeavesAtOnce) {
  Wire w(paced(false));
  establish(w);
  w.send(std::string(14'600, 'x'));
  EXPECT_EQ(w.pending(), 10u);
  w.audit();
}

TEST(Pacing, WhileARoundTripIsUnknown_NothingWaits) {
  Wire w(paced());
  w.established();  // at once: a round trip of nothing
  w.send(std::string(14'600, 'x'));
  EXPECT_EQ(w.pending(), 10u);
  w.audit();
}

TEST(Pacing, LateFlushCatchesUpALittleAndNotAll) {
  Wire w(paced());
  establish(w);
  w.send(std::string(14'600, 'x'));
  w.forget_sent();
  w.now += 11'000;  // 8.9 were due, 3.1 are the thirty-second part that may be caught up
  EXPECT_EQ(leaving(w, 0), 1u);
  EXPECT_EQ(leaving(w, 7), 1u);
  w.now += 50'000;
  EXPECT_EQ(leaving(w, 0), 1u) << "no burst of six";
  w.audit();
}

TEST(Pacing, AcknowledgementsDoNotWait) {
  Wire w(paced());
  establish(w);
  w.send(std::string(14'600, 'x'));
  w.forget_sent();
  w.in("A seq=1 ack=1 len=1460");
  w.in("A seq=1461 ack=1 len=1460");
  w.out("A ack=2921 len=0");
  w.quiet();
  w.audit();
}

TEST(Pacing, RepairsDoNotWait) {
  Wire w(paced());
  establish(w);
  w.send(std::string(14'600, 'x'));
  leaving(w, 99);
  w.in("A seq=1 ack=1 win=65535 sack=1461-2921");
  w.in("A seq=1 ack=1 win=65535 sack=1461-14601");
  w.out("A seq=1 len=1460");
  w.audit();
}

TEST(Pacing, FinRidesOnTheLastDataAndWaitsWithIt) {
  Wire w(paced());
  establish(w);
  w.send(std::string(2920, 'x'));
  w.shutdown();
  w.out("A seq=1 len=1460");
  w.quiet();
  w.after(9ms);
  w.out("FA seq=1461 len=1460");
  w.in("A seq=1 ack=2922");
  w.quiet();
  w.expect(State::fin_wait_2);
  w.audit();
}

TEST(Pacing, PacketsThatThePortCutsAreSmall) {
  auto c = paced();
  c.caps = {.multi_segs = true, .ip_checksum = true, .tcp_checksum = true, .segs_max = 17, .tso4 = true, .tso_segs_max = 17};
  Wire w(c);
  establish(w);
  w.send(std::string(14'600, 'x'));
  EXPECT_EQ(w.pending(), 2u) << "one packet of two segments";
  EXPECT_EQ(w.cut, 1u);
  w.forget_sent();
  EXPECT_EQ(leaving(w, 17), 0u);
  EXPECT_EQ(leaving(w, 1), 2u);
  w.audit();
}

TEST(Pacing, ConnectionThatEndsWhileItWaitsLeavesNothingBehind) {
  Wire w(paced());
  establish(w);
  w.send(std::string(14'600, 'x'));
  w.forget_sent();
  w.abort();
  w.out("RA");
  w.quiet();
  EXPECT_TRUE(w.engine().quiet());
  w.audit();
}

TEST(Pacing, SilenceOfThirtyMinutesIsNotWaitedOut) {
  Wire w(paced());
  establish(w);
  w.send("x");
  w.forget_sent();
  w.in("A seq=1 ack=2");
  w.now += u64{0x7fff'0000};  // the low half of the clock is about to look like the future
  w.in("A seq=1 ack=2");
  w.send("y");
  EXPECT_GE(w.pending(), 1u);
  w.forget_sent();
  w.audit();
}

}  // namespace
}  // namespace ringway::test
