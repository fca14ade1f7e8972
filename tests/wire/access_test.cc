// What an engine does for gateway.ingress and for connections per source: who is asked, who is not, and what the other side
// sees of it.

#include "src/contract/access.h"
#include "tests/wire/wire.h"

namespace ringway::test {
namespace {

wire::FourTuple from_port(u16 port) { return {kOurs, kTheirs, kOurPort, port}; }

// Rules that refuse their port 40'000 to us, and count how often they are asked.
struct Rules : contract::IngressAcl {
  Rules() {
    ask = [](const contract::IngressAcl& self, const wire::Ip& remote, const wire::Ip& local, u16 port) {
      ++static_cast<const Rules&>(self).asked;
      return remote == wire::Ip(kTheirs) && local == wire::Ip(kOurs) && port == kOurPort;
    };
  }
  mutable u32 asked = 0;
};

TEST(Ingress, RefusedSynLeavesNothingBehindAndHasNoAnswer) {
  Wire w;
  const Rules rules;
  w.listen();
  w.engine().screen(&rules);
  w.in("S seq=0");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::ingress_refused), 1u);
  EXPECT_EQ(w.engine().half_open(), 0u);
  EXPECT_TRUE(w.engine().quiet());
  w.engine().screen(nullptr);
  w.in("S seq=0");
  w.out("SA seq=0 ack=1");
  w.audit();
}

TEST(Ingress, NoCookieIsGivenAndNoneIsTaken) {
  auto config = Wire::small();
  config.half_open_mark = 0;
  Wire w(config);
  const Rules rules;
  w.listen();
  w.in("S seq=0");
  w.out("SA seq=0 ack=1");
  w.engine().screen(&rules);
  w.in("A seq=1 ack=1");
  w.in("S seq=0");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::ingress_refused), 2u);
  EXPECT_EQ(w.engine().active(), 0u);
  EXPECT_FALSE(w.saw(tcp::kAccepted));
  w.audit();
}

TEST(Ingress, StraysToAListenerAreDroppedAndOthersAreResetAsEver) {
  Wire w;
  const Rules rules;
  w.listen();
  w.engine().screen(&rules);
  w.in("A seq=1 ack=1 data=x");
  w.in("FA seq=1 ack=1");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::ingress_refused), 2u);
  w.in_from({kOurs, kTheirs, 50'000, 8080}, "A seq=1 ack=1");
  w.out("R");
  EXPECT_EQ(w.verdict(Verdict::tcp_no_listener), 1u);
  w.audit();
}

TEST(Ingress, SegmentsOfAConnectionAreNotAskedAbout) {
  Wire w;
  const Rules rules;
  w.established();
  w.engine().screen(&rules);
  w.in("A seq=1 ack=1 data=hello");
  EXPECT_EQ(w.read(), "hello");
  w.send("world");
  w.out("A seq=1 data=world");
  EXPECT_EQ(rules.asked, 0u);
  w.audit();
}

TEST(Ingress, AConnectionOfOurOwnIsNotAskedAbout) {
  Wire w;
  const Rules rules;
  w.engine().screen(&rules);
  w.connected();
  EXPECT_EQ(rules.asked, 0u);
  w.audit();
}

TEST(Ingress, SynThatMeetsTimeWaitIsRefusedToo) {
  Wire w;
  const Rules rules;
  w.time_wait();
  w.engine().screen(&rules);
  w.in("S seq=5000");
  w.quiet();
  EXPECT_EQ(w.verdict(Verdict::ingress_refused), 1u);
  w.audit();
}

TEST(SourceLimit, SynBeyondItIsReset) {
  Wire w;
  w.engine().limit_sources(1);
  w.established();
  w.in_from(from_port(40'001), "S seq=0");
  w.out("RA ack=1");
  EXPECT_EQ(w.verdict(Verdict::tcp_source_full), 1u);
  EXPECT_EQ(w.engine().half_open(), 0u);
  w.audit();
}

TEST(SourceLimit, HalfOpenClientsDoNotCountAndAreAskedAgainWhenTheyHaveAnswered) {
  Wire w;
  w.engine().limit_sources(1);
  w.listen();
  for (u16 i = 0; i < 3; ++i) w.in_from(from_port(static_cast<u16>(40'000 + i)), "S seq=0");
  for (u32 i = 0; i < 3; ++i) w.out("SA seq=0 ack=1");
  EXPECT_EQ(w.engine().half_open(), 3u);
  w.in_from(from_port(40'000), "A seq=1 ack=1");
  w.quiet();
  w.in_from(from_port(40'001), "A seq=1 ack=1");
  w.out("R seq=1");
  EXPECT_EQ(w.engine().active(), 1u);
  EXPECT_EQ(w.engine().half_open(), 1u);
  EXPECT_EQ(w.verdict(Verdict::tcp_source_full), 1u);
  w.audit();
}

TEST(SourceLimit, ACookieDoesNotGetAroundIt) {
  auto config = Wire::small();
  config.half_open_mark = 0;
  Wire w(config);
  w.listen();
  for (u16 i = 0; i < 2; ++i) w.in_from(from_port(static_cast<u16>(40'000 + i)), "S seq=0");
  for (u32 i = 0; i < 2; ++i) w.out("SA seq=0 ack=1");
  w.engine().limit_sources(1);
  w.in_from(from_port(40'000), "A seq=1 ack=1");
  w.quiet();
  w.in_from(from_port(40'001), "A seq=1 ack=1");
  w.out("R seq=1");
  EXPECT_EQ(w.engine().active(), 1u);
  w.audit();
}

TEST(SourceLimit, AConnectionThatHasEndedCountsNoMore) {
  Wire w;
  w.engine().limit_sources(1);
  w.time_wait();
  w.in_from(from_port(40'001), "S seq=0");
  w.out("SA seq=0 ack=1");
  w.audit();
}

TEST(SourceLimit, OurOwnConnectionsDoNotCount) {
  Wire w;
  w.engine().limit_sources(1);
  w.connected();
  w.tuple = from_port(kTheirPort);
  w.listen();
  w.in("S seq=0");
  w.out("SA seq=0 ack=1");
  w.audit();
}

}  // namespace
}  // namespace ringway::test
