// Explicit congestion notification by section of RFC 3168: who asks, who agrees, what is marked, what a mark does.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

void agreed(Wire& w) {
  w.listen();
  w.in("SEW seq=0 win=65535 mss=1460");
  w.out("SAE seq=0 ack=1 ecn=0");
  w.in("A seq=1 ack=1 win=65535");
  w.expect(State::established);
}

TEST(Rfc3168_6_1_1, SynThatAsksIsAnsweredAndNewDataIsCapable) {
  Wire w;
  agreed(w);
  w.send("abc");
  w.out("A data=abc ecn=2");
  w.in("A seq=1 ack=4 data=x");
  w.after(41ms);
  w.out("A ack=2 len=0 ecn=0");
  w.audit();
}

TEST(Rfc3168_6_1_1, SynThatDoesNotAskIsNotAnswered) {
  Wire w;
  w.established();
  w.send("abc");
  w.out("A data=abc ecn=0");
  w.audit();
}

TEST(Rfc3168_6_1_1, SwitchedOffNobodyIsAnswered) {
  auto c = Wire::small();
  c.ecn = tcp::Ecn::off;
  Wire w(c);
  w.listen();
  w.in("SEW seq=0 mss=1460");
  w.out("SA");
  w.audit();
}

TEST(Rfc3168_6_1_1, OurSynAsksWhenToldToAndNotAgainWhenItIsLost) {
  auto c = Wire::small();
  c.ecn = tcp::Ecn::request;
  Wire w(c);
  w.connect();
  w.out("SEW seq=0");
  w.after(250ms);
  w.out("S seq=0");
  w.in("SAE seq=0 ack=1 mss=1460");
  w.out("A");
  w.send("abc");
  w.out("A data=abc ecn=0");
  w.audit();
}

TEST(Rfc3168_6_1_1, AnswerWithOneFlagAgreesAndWithBothDoesNot) {
  for (const bool both : {false, true}) {
    auto c = Wire::small();
    c.ecn = tcp::Ecn::request;
    Wire w(c);
    w.connect();
    w.out("SEW seq=0");
    w.in(both ? "SAEW seq=0 ack=1 mss=1460" : "SAE seq=0 ack=1 mss=1460");
    w.out("A");
    w.send("abc");
    w.out(both ? "A data=abc ecn=0" : "A data=abc ecn=2");
    w.audit();
  }
}

TEST(Rfc3168_6_1_1, CookieKeepsItInTheTimestamp) {
  auto c = Wire::small();
  c.half_open_mark = 0;
  Wire w(c);
  w.listen();
  w.in("SEW seq=0 mss=1460 ts=0");
  w.out("SAE");
  w.in("A seq=1 ack=1 ts=1 ecr=0");
  w.expect(State::established);
  w.send("abc");
  w.out("A data=abc ecn=2");
  w.audit();
}

TEST(Rfc3168_6_1_2, EchoHalvesTheWindowOnceAndIsAnsweredOnNewData) {
  Wire w;
  agreed(w);
  w.send(std::string(60'000, 'x'));
  w.forget_sent();
  const u32 before = w.info().cwnd_bytes;
  w.in("AE seq=1 ack=1461 win=65535");
  const u32 after = w.info().cwnd_bytes;
  EXPECT_NEAR(after, before * 0.7, 1500);
  EXPECT_EQ(w.counter(Counter::tcp_ecn_reductions), 1u);
  w.quiet();
  w.in("AE seq=1 ack=2921 win=65535");
  EXPECT_EQ(w.info().cwnd_bytes, after);
  w.in("AE seq=1 ack=10221 win=65535");
  w.out("AW seq=14601 ecn=2");
  w.out("A seq=16061 ecn=2");
  w.forget_sent();
  EXPECT_EQ(w.counter(Counter::tcp_ecn_reductions), 1u);
  EXPECT_EQ(w.counter(Counter::tcp_retransmits), 0u);
  w.audit();
}

TEST(Rfc3168_6_1_3, MarkIsEchoedUntilThePeerHasReduced) {
  Wire w;
  agreed(w);
  w.in("A seq=1 ack=1 len=100 ecn=3");
  w.out("AE ack=101");
  w.in("A seq=101 ack=1 len=100 ecn=2");
  w.after(41ms);
  w.out("AE ack=201");
  w.send("abc");
  w.out("AE data=abc");
  w.in("AW seq=201 ack=4 len=100 ecn=2");
  w.after(41ms);
  w.out("A ack=301");
  EXPECT_EQ(w.counter(Counter::tcp_ecn_marks), 1u);
  w.audit();
}

TEST(Rfc3168_6_1_3, MarkThatMeetsTheReducedFlagIsANewOne) {
  Wire w;
  agreed(w);
  w.in("AW seq=1 ack=1 len=100 ecn=3");
  w.out("AE ack=101");
  w.audit();
}

TEST(Rfc3168_6_1_5, WhatIsSentAgainIsNotCapable) {
  Wire w;
  agreed(w);
  w.send("abc");
  w.out("A data=abc ecn=2");
  w.after(1100ms);
  w.out("A data=abc ecn=0");
  w.audit();
}

TEST(Rfc3168_6_1, MarksOfAPeerThatDidNotAgreeMeanNothing) {
  Wire w;
  w.established();
  w.send("abc");
  w.forget_sent();
  const u32 before = w.info().cwnd_bytes;
  w.in("AE seq=1 ack=1 len=10 ecn=3");
  w.after(41ms);
  w.out("A ack=11");
  EXPECT_EQ(w.info().cwnd_bytes, before);
  w.audit();
}

}  // namespace
}  // namespace ringway::test
