// Timestamps and PAWS by section of RFC 7323. A tick of ours is 1024 us, of theirs 1.

#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

constexpr const char* kSyn = "S seq=0 win=65535 mss=1460 ts=0";

void established(Wire& w) {
  w.listen();
  w.in(kSyn);
  w.out("SA seq=0 ack=1 ts=0 ecr=0");
  w.in("A seq=1 ack=1 win=65535 ts=1 ecr=0");
  w.quiet();
}

TEST(Rfc7323_3_2, SynOffersTimestampsAndTheAnswerOfTheSameTurnsThemOn) {
  Wire w;
  w.connect();
  w.out("S seq=0 mss=1460 ts=0");
  w.in("SA seq=0 ack=1 mss=1460 ts=5 ecr=0");
  w.out("A seq=1 ack=1 ts=0 ecr=5");
  w.send("hello");
  w.out("A seq=1 data=hello ecr=5");
  w.audit();
}

TEST(Rfc7323_3_2, SynWithoutThemIsAnsweredWithoutThem) {
  Wire w;
  w.listen();
  w.in("S seq=0 mss=1460");
  w.out("SA seq=0 nots");
  w.in("A seq=1 ack=1");
  w.quiet();
  w.send("x");
  w.out("A data=x nots");
  w.audit();
}

TEST(Rfc7323_3_2, AnswerWithoutThemTurnsThemOff) {
  Wire w;
  w.connect();
  w.out("S ts=0");
  w.in("SA seq=0 ack=1 mss=1460");
  w.out("A seq=1 ack=1 nots");
  EXPECT_EQ(w.info().mss, 1460u);
  w.audit();
}

TEST(Rfc7323_3_2, SwitchedOffTheyAreNeitherOfferedNorAccepted) {
  auto c = Wire::small();
  c.timestamps = false;
  Wire w(c);
  w.listen();
  w.in(kSyn);
  w.out("SA nots");
  w.in("A seq=1 ack=1");
  w.connect();
  w.out("S nots");
  w.audit();
}

TEST(Rfc7323_3_2, EverySegmentCarriesThemAndTheSegmentSizeShrinksByTwelve) {
  Wire w;
  established(w);
  EXPECT_EQ(w.info().mss, 1448u);
  w.after(10240us);
  w.send(std::string(3000, 'x'), 1448);
  w.out("A seq=1 len=1448 ts=10 ecr=1");
  w.out("A seq=1449 len=1448 ts=10");
  w.out("A seq=2897 len=104 ts=10");
  w.in("A seq=1 ack=3001 len=100 ts=9");
  w.after(41ms);
  w.out("A ack=101 ecr=9");
  w.shutdown();
  w.out("FA ecr=9");
  w.audit();
}

TEST(Rfc7323_3_2, SegmentWithoutThemIsDroppedInSilence) {
  Wire w;
  established(w);
  w.in("A seq=1 ack=1 data=hello");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_old_timestamp), 1u);
  w.in("R seq=1");
  w.quiet();
  EXPECT_TRUE(w.saw(tcp::kClosed));
  w.audit();
}

TEST(Rfc7323_3_2, ResetCarriesThem) {
  Wire w;
  established(w);
  w.abort();
  w.out("RA seq=1 ts=0 ecr=1");
  w.audit();
}

TEST(Rfc7323_4_1, EchoTimesWhatWasSentAgain) {
  for (const bool with : {true, false}) {
    auto c = Wire::small();
    c.timestamps = with;
    Wire w(c);
    w.listen();
    w.in(kSyn);
    w.out("SA");
    w.after(100ms);
    w.in("A seq=1 ack=1 win=65535 ts=1 ecr=0");
    w.quiet();
    const u32 before = w.info().srtt_us;
    w.send("hello");
    w.out("A data=hello");
    w.after(301ms);
    w.out("A data=hello");  // again
    w.after(40ms);
    w.in("A seq=1 ack=6 ts=2 ecr=" + std::to_string(w.last.seg.options.ts_value - w.our_clock()));
    w.quiet();
    if (with) EXPECT_LT(w.info().srtt_us, before) << w.log();
    else EXPECT_EQ(w.info().srtt_us, before) << w.log();  // Karn's rule
    w.audit();
  }
}

TEST(Rfc7323_4_3, OnlyWhatMovedOurAcknowledgementIsEchoed) {
  Wire w;
  established(w);
  w.in("A seq=1001 ack=1 len=1000 ts=20");  // ahead
  w.out("A ack=1 ecr=1");
  w.in("A seq=1 ack=1 len=1000 ts=15");
  w.out("A ack=2001 ecr=15");
  w.in("A seq=2001 ack=1 len=1448 ts=30");
  w.out("A ack=3449 ecr=30");
  w.audit();
}

TEST(Rfc7323_4_3, OfSegmentsAcknowledgedTogetherTheFirstIsEchoed) {
  Wire w;
  established(w);
  w.in("A seq=1 ack=1 len=1448 ts=20");
  w.in("A seq=1449 ack=1 len=1448 ts=25");
  w.out("A ack=2897 ecr=20");
  w.audit();
}

TEST(Rfc7323_5_3, SegmentOlderThanOneThatArrivedIsAcknowledgedAndDropped) {
  Wire w;
  established(w);
  w.in("A seq=1 ack=1 len=1448 ts=100");
  w.out("A ack=1449 ecr=100");
  w.in("A seq=1449 ack=1 len=1000 ts=50");
  w.out("A ack=1449 ecr=100");
  EXPECT_EQ(w.verdict(Verdict::tcp_old_timestamp), 1u);
  w.audit();
}

TEST(Rfc7323_5_3, ResetIsNotJudgedByItsTimestamp) {
  Wire w;
  established(w);
  w.in("A seq=1 ack=1 len=1448 ts=100");
  w.out("A ack=1449");
  w.in("R seq=1449 ts=50");
  w.quiet();
  EXPECT_EQ(w.reason, CloseReason::reset);
  w.audit();
}

TEST(Rfc7323_5_5, StampOlderThan24DaysIsNoReasonToDrop) {
  Wire w;
  established(w);
  w.in("A seq=1 ack=1 len=1448 ts=100");
  w.out("A ack=1449");
  w.now += 25ull * 86'400 * 1'000'000;
  w.in("A seq=1449 ack=1 len=1448 ts=50");
  w.out("A ack=2897");
  EXPECT_EQ(w.verdict(Verdict::tcp_old_timestamp), 0u);
  w.audit();
}

TEST(Rfc7323_7_1, TwoConnectionsHaveClocksOfTheirOwn) {
  Wire w;
  w.listen();
  w.in(kSyn);
  w.out("SA");
  const u32 first = w.last.seg.options.ts_value;
  auto other = w.tuple;
  other.remote_port = 41'000;
  w.in_from(other, kSyn);
  w.out("SA");
  EXPECT_GT(w.last.seg.options.ts_value - first, 1000u);
  w.audit();
}

TEST(Rfc7323_TimeWait, RepeatedFinIsAcknowledgedWithTheConnectionsClock) {
  Wire w;
  established(w);
  w.shutdown();
  w.out("FA seq=1 ack=1");
  w.in("A seq=1 ack=2 ts=2");
  w.in("FA seq=1 ack=2 ts=3");
  w.out("A seq=2 ack=2 ts=0 ecr=3");
  w.after(10240us);
  w.in("FA seq=1 ack=2 ts=4");
  w.out("A seq=2 ack=2 ts=10 ecr=3");
  w.audit();
}

TEST(Rfc6191_2, SynWithALaterTimestampReopensEvenBelowTheLastSequenceNumber) {
  Wire w;
  established(w);
  w.in("A seq=1 ack=1 len=1448 ts=4");
  w.out("A");
  EXPECT_EQ(w.read().size(), 1448u);
  w.shutdown();
  w.out("FA");
  w.in("FA seq=1449 ack=2 ts=5");
  w.out("A seq=2 ack=1450");
  w.in("S seq=10 mss=1460 ts=5");  // not later
  w.out("A seq=2 ack=1450");
  w.in("S seq=10 mss=1460 ts=6");
  w.out("SA ack=11 ecr=6");
  w.audit();
}

TEST(Rfc6691_2, FloorOfTheSegmentSizeLeavesRoomForTimestamps) {
  Wire w;
  w.listen();
  w.in("S seq=0 win=65535 mss=1 ts=0");
  w.out("SA");
  w.in("A seq=1 ack=1 win=65535 ts=1");
  w.quiet();
  w.send(std::string(600, 'x'));
  w.out("A len=524");
  w.out("A len=76");
  w.audit();
}

// Or the sender ends every window with a part of a segment.
TEST(Rfc7323_3_2, WindowIsWholeSegmentsLessTheirOptions) {
  Wire w;
  w.listen();
  w.in("S seq=0 win=65535 mss=1460 ws=7 ts=0");
  w.out("SA ws=3");
  w.in("A seq=1 ack=1 win=512 ts=1 ecr=0");
  w.in("A seq=1 ack=1 win=512 len=1448 ts=1 ecr=0");
  w.read();
  w.out("A ack=1449");
  EXPECT_EQ((u32{w.last.seg.window} << 3) % 1448, 0u) << w.last.seg.window;
  EXPECT_GT(u32{w.last.seg.window} << 3, 100'000u);
  w.audit();
}

}  // namespace
}  // namespace ringway::test
