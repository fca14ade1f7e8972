// Attacks against a running engine while honest clients ask: every honest request is answered, packet memory and records
// stay inside their budgets, and each attack shows in a counter of its own.

#include <functional>

#include "dataplane/tcp/half_open.h"
#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

struct Attack {
  const char* name;
  void (*blow)(Wire& w, u32 i);  // one forged segment
  std::vector<Verdict> seen;
  std::vector<Counter> counted = {};
};

wire::FourTuple forged(u32 i) {
  return {kOurs, wire::Ip4{wire::Ip4::of(172, 16, 0, 0).v + i % 1'000'003}, kOurPort, static_cast<u16>(1024 + i * 7 % 60'000)};
}

class UnderAttack : public testing::TestWithParam<Attack> {};

// A request from SYN to FIN with the attack between all its steps.
bool served(Wire& w, u16 port, const std::function<void()>& attack) {
  const wire::FourTuple t{kOurs, kTheirs, kOurPort, port};
  w.tuple = t;
  attack();
  w.in_from(t, "S seq=0 mss=1460");
  w.forget_sent();
  attack();
  w.in_from(t, "A seq=1 ack=1");
  w.collect();
  const ConnId mine = w.id;
  attack();
  w.id = mine;
  w.in_from(t, "A seq=1 ack=1 data=GET");
  if (w.read() != "GET") return false;
  attack();
  w.id = mine;
  w.send("200");
  w.forget_sent();
  attack();
  w.in_from(t, "FA seq=4 ack=4");
  w.collect();
  if (w.engine().unacked(mine) != 0 || !w.engine().peer_closed(mine)) return false;
  w.engine().close(mine);
  w.forget_sent();
  w.in_from(t, "A seq=5 ack=5");
  return !w.engine().alive(mine);
}

TEST_P(UnderAttack, EveryHonestRequestIsServedAndMemoryStaysInItsBudget) {
  auto c = Wire::small();
  c.connections = 256;
  c.half_open_max = 512;
  c.half_open_mark = 384;
  c.half_open_per_listener = 384;
  Wire w(c);
  w.listen();
  u32 blows = 0, good = 0;
  u32 packets = 0;
  constexpr u32 kRequests = 1000;
  const auto attack = [&] {
    for (int n = 0; n < 5; ++n) GetParam().blow(w, blows++);
    w.poll();
    packets = std::max(packets, w.pools().packets_in_use());
    w.forget_sent();
  };
  for (u32 r = 0; r < kRequests; ++r) {
    if (served(w, static_cast<u16>(2000 + r), attack)) ++good;
    w.now += 1000;
  }
  EXPECT_EQ(good, kRequests);
  EXPECT_LE(packets, 64u);
  EXPECT_LE(w.engine().half_open(), 512u);
  EXPECT_LE(w.engine().active(), 256u);
  for (const Verdict v : GetParam().seen) EXPECT_GT(w.verdict(v), 0u) << contract::kVerdictNames[static_cast<u32>(v)];
  for (const Counter k : GetParam().counted) EXPECT_GT(w.counter(k), 0u) << static_cast<u32>(k);
  w.audit();
}

const Attack kAttacks[] = {
    {"synFlood", [](Wire& w, u32 i) { w.in_from(forged(i), "S seq=77 mss=1460"); }, {}, {Counter::tcp_cookies_sent}},
    {"synFloodFromOneAddress",
     [](Wire& w, u32 i) { w.in_from({kOurs, wire::Ip4{9}, kOurPort, static_cast<u16>(i)}, "S seq=1"); },
     {},
     {Counter::tcp_cookies_sent}},
    {"sameSynAgainAndAgain", [](Wire& w, u32) { w.in_from(forged(1), "S seq=1"); }, {Verdict::tcp_duplicate}},
    {"ackFlood", [](Wire& w, u32 i) { w.in_from(forged(i), "A seq=5 ack=" + std::to_string(i * 2'654'435)); },
     {Verdict::tcp_no_listener}},
    {"ackFloodWhileCookiesAreOut",
     [](Wire& w, u32 i) {
       w.in_from(forged(i), i < 1000 ? "S seq=1" : "A seq=5 ack=" + std::to_string(i * 2'654'435) + " data=x");
     },
     {Verdict::tcp_bad_cookie}},
    {"rstStormOnTheHonestTuple",
     [](Wire& w, u32 i) { w.in("R seq=" + std::to_string(100 + i * 977 % 60'000)); },
     {Verdict::tcp_bad_rst},
     {Counter::tcp_challenge_acks}},
    {"blindRstOutsideTheWindow", [](Wire& w, u32 i) { w.in("R seq=" + std::to_string(1'000'000 + i * 70'000)); },
     {Verdict::tcp_unacceptable}},
    {"blindSynInTheConnection", [](Wire& w, u32 i) {
       if (w.engine().active() != 0) w.in("S seq=" + std::to_string(1'000'000 + i));
     },
     {Verdict::tcp_unacceptable}},
    {"blindDataInTheConnection", [](Wire& w, u32 i) { w.in("A seq=20 ack=" + std::to_string(1'000'000 + i) + " data=evil"); },
     {Verdict::tcp_unacceptable_ack}},
    {"oldAcksInTheConnection", [](Wire& w, u32) { w.in("A seq=1 ack=-900000 data=evil"); }, {Verdict::tcp_unacceptable_ack}},
    {"contradictoryFlags", [](Wire& w, u32 i) { w.in_from(i % 2 ? forged(i) : w.tuple, i % 3 ? "SF seq=1" : "SFRA seq=1"); },
     {Verdict::tcp_bad_flags}},
    {"impossibleOptions",
     [](Wire& w, u32 i) { w.in_from(forged(i), "S seq=1 mss=" + std::to_string(i % 3) + " ws=" + std::to_string(i % 256)); },
     {},
     {Counter::tcp_cookies_sent}},
    {"synAckFlood", [](Wire& w, u32 i) { w.in_from(forged(i), "SA seq=1 ack=1"); }, {Verdict::tcp_no_listener}},
    {"finFlood", [](Wire& w, u32 i) { w.in_from(forged(i), "FA seq=1 ack=1"); }, {Verdict::tcp_no_listener}},
    {"connectionsThatSayNothing",  // real handshakes: the table fills, the most silent go
     [](Wire& w, u32 i) {
       if (i % 50 != 0) return;
       w.in_from(forged(i), "S seq=0");
       w.poll();
       w.in_from(forged(i), "A seq=1 ack=1");
       w.now += 60'000;
     },
     {},
     {Counter::tcp_shed}},
};

INSTANTIATE_TEST_SUITE_P(Regret1And12, UnderAttack, testing::ValuesIn(kAttacks),
                         [](const auto& p) { return std::string(p.param.name); });

TEST(HalfOpenFlood, HundredThousandHalfOpenClientsCostTheirRecordsOnly) {
  auto c = Wire::small();
  c.half_open_max = c.half_open_mark = c.half_open_per_listener = 131'072;
  Wire w(c);
  w.listen();
  for (u32 i = 0; i < 100'000; ++i) {
    w.in_from({kOurs, wire::Ip4{0x0b00'0000 + i}, kOurPort, 999}, "S seq=0");
    if (i % 100 == 99) w.forget_sent();
  }
  EXPECT_EQ(w.engine().half_open(), 100'000u);
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_EQ(w.pools().packets_in_use(), 0u);
  EXPECT_LE(sizeof(tcp::HalfOpen) * 131'072, 13u << 19);
  EXPECT_TRUE(served(w, 4000, [] {}));
  w.after(70s);
  w.forget_sent();
  EXPECT_EQ(w.engine().half_open(), 0u) << "all have expired";
  w.audit();
}

TEST(Regret14, TinyMssMakesSegmentsOf536) {
  Wire w;
  w.established("S seq=0 mss=1");
  w.send(std::string(5360, 'x'), 536);
  for (int i = 0; i < 10; ++i) w.out("A len=536");
  w.audit();
}

}  // namespace
}  // namespace ringway::test
