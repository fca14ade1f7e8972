// SYN cookies (RFC 4987 3.6): handshakes without memory above the cache's mark, what a cookie carries, how long it lives,
// and who cannot make one.

#include "dataplane/tcp/cookie.h"
#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

constexpr u64 kSecret[2] = {1, 2};
const wire::FourTuple kTuple{kOurs, kTheirs, 80, 40'000};

TEST(Cookie, CarriesTheLargestTabledMssNotAboveTheAgreedOne) {
  for (const auto& [agreed, carried] : std::map<u16, u16>{{0, 536}, {536, 536}, {1000, 536}, {1399, 1360}, {1400, 1400},
                                                          {1459, 1452}, {1460, 1460}, {8939, 1460}, {8960, 8940}}) {
    const wire::SeqNo c = tcp::make_cookie(kTuple, kTheirIsn, agreed, kSecret, 5'000'000);
    EXPECT_EQ(tcp::read_cookie(c, kTuple, kTheirIsn, kSecret, 5'000'000), carried) << agreed;
  }
}

TEST(Cookie, IsGoodForOneToTwoSlotsAndNoLonger) {
  constexpr TimeUs slot = TimeUs{1} << tcp::kCookieSlotShift;
  for (const TimeUs made : {10 * slot, 10 * slot + slot / 2, 11 * slot - 1}) {
    const wire::SeqNo c = tcp::make_cookie(kTuple, kTheirIsn, 1460, kSecret, made);
    EXPECT_TRUE(tcp::read_cookie(c, kTuple, kTheirIsn, kSecret, made + slot)) << made;
    EXPECT_FALSE(tcp::read_cookie(c, kTuple, kTheirIsn, kSecret, made + 2 * slot)) << made;
    EXPECT_FALSE(tcp::read_cookie(c, kTuple, kTheirIsn, kSecret, made - slot)) << "from the future";
  }
}

TEST(Cookie, BelongsToOneTupleOneNumberAndOneKey) {
  const wire::SeqNo c = tcp::make_cookie(kTuple, kTheirIsn, 1460, kSecret, 0);
  auto other = kTuple;
  other.remote_port++;
  EXPECT_FALSE(tcp::read_cookie(c, other, kTheirIsn, kSecret, 0));
  other = kTuple;
  other.remote.v++;
  EXPECT_FALSE(tcp::read_cookie(c, other, kTheirIsn, kSecret, 0));
  EXPECT_FALSE(tcp::read_cookie(c, kTuple, kTheirIsn + 1, kSecret, 0));
  constexpr u64 another[2] = {1, 3};
  EXPECT_FALSE(tcp::read_cookie(c, kTuple, kTheirIsn, another, 0));
}

TEST(Cookie, AMillionGuessesFindNone) {
  u32 found = 0;
  for (u32 i = 0; i < 1'000'000; ++i) {
    if (tcp::read_cookie(wire::SeqNo{i * 4295u}, kTuple, kTheirIsn, kSecret, 0)) ++found;
  }
  EXPECT_EQ(found, 0u);
}

TEST(Cookie, StampSaysTheOptionsAndIsTheLastOneNotInTheFuture) {
  for (const u32 ticks : {0u, 1u, 31u, 32u, 1'000'000u, 0xffff'ffffu}) {
    for (u32 scale = 0; scale <= 15; ++scale) {
      for (u32 bits = 0; bits < 4; ++bits) {
        const tcp::CookieOptions o{scale == 15 ? u8{0xff} : static_cast<u8>(scale), (bits & 1) != 0, (bits & 2) != 0};
        const u32 stamp = tcp::cookie_stamp(ticks, o);
        EXPECT_EQ(tcp::read_cookie_stamp(stamp), o);
        EXPECT_LT(ticks - stamp, 64u) << ticks;
      }
    }
  }
}

TEST(Cookie, StampOfAScaleThatIsNotAllowedSaysTheLargestThatIs) {
  EXPECT_EQ(tcp::read_cookie_stamp(tcp::cookie_stamp(77, {200, false, false})).window_scale, 14);
}

// Every handshake by cookie.
tcp::EngineConfig cookies_only() {
  auto c = Wire::small();
  c.half_open_mark = 0;
  return c;
}

TEST(SynCookies, HandshakeAboveTheMarkNeedsNoRecord) {
  Wire w(cookies_only());
  w.listen(5);
  w.in("S seq=0 mss=1400 ws=7");
  w.out("SA seq=0 ack=1 mss=1460 ws=255");
  EXPECT_EQ(w.engine().half_open(), 0u);
  EXPECT_TRUE(w.engine().quiet());
  w.after(30s);
  w.in("A seq=1 ack=1 win=5000 data=GET");
  EXPECT_TRUE(w.saw(tcp::kAccepted | tcp::kReadable));
  EXPECT_EQ(w.last_event.listener, 5u);
  EXPECT_EQ(w.read(), "GET");
  EXPECT_EQ(w.info().mss, 1400u);
  w.send(std::string(7000, 'x'), 1400);
  for (int i = 0; i < 3; ++i) w.out("A len=1400");
  EXPECT_LE(w.info().in_flight_bytes, 5000u) << "no scale was agreed";
  w.forget_sent();
  EXPECT_EQ(w.counter(Counter::tcp_cookies_sent), 1u);
  EXPECT_EQ(w.counter(Counter::tcp_cookies_accepted), 1u);
  EXPECT_EQ(w.counter(Counter::tcp_accepted), 1u);
  w.audit();
}

TEST(SynCookies, OptionsComeBackInTheTimestampThatIsEchoed) {
  Wire w(cookies_only());
  w.listen();
  w.in("S seq=0 mss=1460 ws=7 sackok ts=0");
  w.out("SA seq=0 ack=1 mss=1460 ws=3 sackok ecr=0");
  EXPECT_EQ(w.engine().half_open(), 0u);
  w.after(3s);
  w.in("A seq=1 ack=1 win=100 ts=9 ecr=0");
  w.expect(State::established);
  EXPECT_EQ(w.info().mss, 1448u);
  w.send(std::string(14'480, 'x'), 1448);
  for (int i = 0; i < 8; ++i) w.out("A len=1448 ecr=9");  // 100 << 7
  w.in("A seq=101 ack=1 len=100 win=100 ts=10 ecr=0");
  w.out("A sack=101-201");
  w.audit();
}

TEST(SynCookies, OptionsThatWereNotOfferedDoNotComeBack) {
  Wire w(cookies_only());
  w.listen();
  w.in("S seq=0 mss=1460 ts=0");
  w.out("SA seq=0 ack=1 mss=1460 ws=255 ecr=0");
  EXPECT_FALSE(w.last.seg.options.sack_permitted);
  w.in("A seq=1 ack=1 win=3000 ts=9 ecr=0");
  w.expect(State::established);
  w.send(std::string(7240, 'x'), 1448);
  w.out("A len=1448");
  w.out("A len=1448");
  w.quiet();
  w.in("A seq=101 ack=1 len=100 win=100 ts=10 ecr=0");
  w.out("A sack=none");
  w.audit();
}

TEST(SynCookies, StampsAfterACookieNeverGoBack) {
  Wire w(cookies_only());
  w.listen();
  w.in("S seq=0 mss=1460 ws=7 sackok ts=0");
  w.out("SA seq=0");
  const u32 first = w.last.seg.options.ts_value;
  w.in("A seq=1 ack=1 win=100 ts=9 ecr=0");
  w.expect(State::established);
  w.send("x");
  w.out("A data=x");
  EXPECT_LT(w.last.seg.options.ts_value - first, 64u);
  w.audit();
}

TEST(SynCookies, BelowTheMarkRecordsAreUsed) {
  auto c = Wire::small();
  c.half_open_mark = 1;
  Wire w(c);
  w.listen();
  w.in("S seq=0 ws=7");
  w.out("SA ws=3");
  EXPECT_EQ(w.engine().half_open(), 1u);
  EXPECT_EQ(w.counter(Counter::tcp_cookies_sent), 0u);
  w.audit();
}

TEST(SynCookies, AreNotSentWhenSwitchedOff) {
  auto c = cookies_only();
  c.syn_cookies = false;
  Wire w(c);
  w.listen();
  for (u16 p = 1; p < 100; ++p) w.in_from({kOurs, kTheirs, kOurPort, p}, "S seq=0");
  w.forget_sent();
  EXPECT_EQ(w.counter(Counter::tcp_cookies_sent), 0u);
  EXPECT_EQ(w.engine().half_open(), 16u);
  w.audit();
}

TEST(SynCookies, StaleOneIsRefused) {
  Wire w(cookies_only());
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.after(70s);
  w.in_from({kOurs, kTheirs, kOurPort, 9}, "S seq=0");  // keeps cookies in force
  w.out("SA");
  w.after(70s);
  w.in("A seq=1 ack=1");
  w.out("R seq=1");
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_cookie), 1u);
  EXPECT_EQ(w.engine().active(), 0u);
  w.audit();
}

TEST(SynCookies, ForgedOneIsRefused) {
  Wire w(cookies_only());
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("A seq=1 ack=2");
  w.out("R seq=2");
  w.in("A seq=2 ack=1");
  w.out("R seq=1");
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_cookie), 2u);
  w.in("A seq=1 ack=1");
  w.expect(State::established);
  w.audit();
}

TEST(SynCookies, DataThatOvertakesTheLastAckDoesNotEndTheHandshake) {
  Wire w(cookies_only());
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("A seq=101 ack=1 len=100");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_cookie), 1u);
  w.in("A seq=1 ack=1 len=100");
  w.expect(State::established);
  w.in("A seq=101 ack=1 len=100");
  EXPECT_EQ(w.read(), Wire::pattern(kTheirIsn + 1, 200));
  w.audit();
}

TEST(SynCookies, FinOfNoConnectionIsRefusedAlthoughCookiesAreOut) {
  Wire w(cookies_only());
  w.listen();
  w.in("S seq=0");
  w.out("SA");
  w.in("FA seq=101 ack=1");
  w.out("R");
  EXPECT_EQ(w.verdict(Verdict::tcp_bad_cookie), 1u);
  w.audit();
}

TEST(SynCookies, NoneIsTakenWhenNoneWasSent) {
  auto c = Wire::small();
  Wire w(c);
  w.listen();
  const wire::SeqNo good = tcp::make_cookie(w.tuple, kTheirIsn, 1460, c.secret, w.now);
  w.in("A seq=1 ack=" + std::to_string(good.v + 1));
  w.forget_sent();
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_EQ(w.verdict(Verdict::tcp_no_listener), 1u);
  w.audit();
}

TEST(SynCookies, TupleOutOfTimeWaitGetsARecordAndAHigherNumber) {
  auto c = cookies_only();
  Wire w(c);
  w.time_wait();
  const wire::SeqNo old = w.our_isn(w.tuple);
  w.in("S seq=1000");
  w.out("SA ack=1001");
  EXPECT_GT(w.last.seg.seq, old);
  EXPECT_EQ(w.engine().half_open(), 1u);
  w.audit();
}

TEST(SynCookies, LastAckThatFindsNoBlockMayComeAgain) {
  auto c = cookies_only();
  c.connections = 1;
  Wire w(c);
  w.established();
  wire::FourTuple second = w.tuple;
  second.remote_port = 7;
  w.in_from(second, "S seq=0");
  w.out("SA");
  w.in_from(second, "A seq=1 ack=1");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::tcp_table_full), 1u);
  w.abort();
  w.out("RA");
  w.in_from(second, "A seq=1 ack=1");
  w.expect(State::established);
  w.audit();
}

}  // namespace
}  // namespace ringway::test
