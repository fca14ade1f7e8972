// Routers that say so themselves (RFC 4861 6.1.2, 6.3.4 to 6.3.7, RFC 4191): which advertisements are believed, for how long,
// which of several routers is used, and when the link is asked.

#include "tests/unit/gate/fixture6.h"

namespace ringway::gate {
namespace {

constexpr Ip6 kSecond6 = Ip6::of(0xfe80, 0, 0, 0, 0, 0, 0, 0xfd);
constexpr Mac kRouterMac{{2, 0, 0, 0, 0, 0xfe}}, kSecondMac{{2, 0, 0, 0, 0, 0xfd}};
constexpr u8 kHigh = 1, kMedium = 0, kLow = 3;  // as on the wire

class RaTest : public Gate6Test {
 protected:
  void SetUp() override {
    Gate6Test::SetUp();
    plan_.ports[0].next_hop6 = {};
    listen(true);
  }
  void listen(bool yes) {
    plan_.ports[0].router_advertisements = yes;
    for (auto& g : gates_) g->adopt(plan_, false, now_);
    while (!sent().empty()) {
    }
  }
  static Frame mac_option(const Mac& mac) {
    Frame f{1, 1};
    f.insert(f.end(), mac.b.begin(), mac.b.end());
    return f;
  }
  struct Says {
    u16 lifetime_s = 1800;
    u8 preference = kMedium;
    u8 code = 0;
    u8 hop_limit = 255;
  };
  Frame advertisement(const Ip6& router, const Frame& options, const Says& s) {
    Frame payload(8);
    test::append(payload, options);
    return from_peer6(test::icmp6(router, wire::kIp6AllNodes, Icmp6Type::router_advertisement, s.code, payload,
                                  64u << 24 | u32{s.preference} << 19 | s.lifetime_s, s.hop_limit));
  }
  Frame advertisement(const Ip6& router, const Mac& mac) { return advertisement(router, mac_option(mac), {}); }
  Frame advertisement(const Ip6& router, const Mac& mac, const Says& s) { return advertisement(router, mac_option(mac), s); }
  // The MAC that a packet to a far host leaves to; ff:.. when it does not leave.
  Mac way_out(u32 core = 0) {
    while (!sent(core).empty()) {
    }
    send6(kFar6, core);
    for (Frame f = sent(core); !f.empty(); f = sent(core)) {
      if (wire::Ip6View(f.data() + 14).destination() == kFar6) return wire::EthView(f.data()).destination();
    }
    return wire::kMacBroadcast;
  }
};

TEST_F(RaTest, Rfc4861_6_3_4_RouterIsTheNextHopOfEveryCore) {
  EXPECT_EQ(way_out(), wire::kMacBroadcast);
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac));
  EXPECT_EQ(way_out(), kRouterMac);
  tick(50'000);
  EXPECT_EQ(way_out(1), kRouterMac);
}

TEST_F(RaTest, UnlessToldTo_NothingIsBelieved) {
  listen(false);
  expect_verdict(Verdict::icmp_ignored, advertisement(kHop6, kRouterMac));
  EXPECT_EQ(way_out(), wire::kMacBroadcast);
  tick(10'000'000);
  EXPECT_TRUE(sent().empty()) << "nor is anybody asked";
}

TEST_F(RaTest, ConfiguredNextHop_GoesFirst) {
  plan_.ports[0].next_hop6 = kSecond6;
  listen(true);
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac));
  neighbours_.learn(0, kSecond6, kSecondMac, false, now_);
  EXPECT_EQ(way_out(), kSecondMac);
}

TEST_F(RaTest, LifetimeOfZero_EndsIt) {
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac));
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac, {.lifetime_s = 0}));
  EXPECT_EQ(way_out(), wire::kMacBroadcast);
  expect_verdict(Verdict::ra_ignored, advertisement(kHop6, kRouterMac, {.lifetime_s = 0}));
}

TEST_F(RaTest, Lifetime_EndsUnlessItIsSaidAgain) {
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac, {.lifetime_s = 5}));
  tick(4'000'000);
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac, {.lifetime_s = 5}));
  tick(4'000'000);
  EXPECT_EQ(way_out(), kRouterMac);
  tick(2'100'000);
  EXPECT_EQ(way_out(), wire::kMacBroadcast);
}

TEST_F(RaTest, Rfc4191_PreferredRouterIsUsedAndEqualOnesChangeNothing) {
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac));
  expect_verdict(Verdict::ra_learned, advertisement(kSecond6, kSecondMac));
  EXPECT_EQ(way_out(), kRouterMac);
  expect_verdict(Verdict::ra_learned, advertisement(kSecond6, kSecondMac, {.preference = kHigh}));
  EXPECT_EQ(way_out(), kSecondMac);
  expect_verdict(Verdict::ra_learned, advertisement(kSecond6, kSecondMac, {.preference = kLow}));
  EXPECT_EQ(way_out(), kRouterMac);
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac, {.lifetime_s = 0}));
  EXPECT_EQ(way_out(), kSecondMac);
}

TEST_F(RaTest, Rfc4861_6_3_6_RouterThatDoesNotAnswerIsLeftForAnother) {
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, Frame{}, {.preference = kHigh}));  // without its MAC
  expect_verdict(Verdict::ra_learned, advertisement(kSecond6, kSecondMac));
  EXPECT_EQ(way_out(), wire::kMacBroadcast) << "it is being asked for";
  tick(6'000'000);
  EXPECT_EQ(way_out(), kSecondMac);
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac, {.preference = kHigh}));
  EXPECT_EQ(way_out(), kRouterMac) << "heard again";
}

TEST_F(RaTest, OneRouterTooMany_IsIgnored) {
  for (u16 i = 0; i < Routers::kPerPort; ++i) {
    expect_verdict(Verdict::ra_learned, advertisement(Ip6::of(0xfe80, 0, 0, 0, 0, 0, 1, i), kRouterMac));
  }
  expect_verdict(Verdict::ra_ignored, advertisement(kSecond6, kSecondMac, {.preference = kHigh}));
  EXPECT_EQ(way_out(), kRouterMac);
}

TEST_F(RaTest, Rfc4861_6_1_2_Malformed) {
  expect_verdict(Verdict::ra_malformed, advertisement(kHop6, kRouterMac, {.hop_limit = 254}));
  expect_verdict(Verdict::ra_malformed, advertisement(kHop6, kRouterMac, {.code = 1}));
  expect_verdict(Verdict::ra_malformed, advertisement(kPeer6, kRouterMac));
  expect_verdict(Verdict::ra_malformed, advertisement(Ip6{}, kRouterMac));
  expect_verdict(Verdict::ra_malformed, advertisement(kHop6, Frame{1, 0, 0, 0, 0, 0, 0, 0}, {}));
  expect_verdict(Verdict::ra_malformed, advertisement(kHop6, Frame{1, 2, 0, 0, 0, 0, 0, 0}, {}));
  expect_verdict(Verdict::ra_malformed, advertisement(kHop6, wire::kMacBroadcast));
  expect_verdict(Verdict::ra_malformed, from_peer6(test::icmp6(kHop6, wire::kIp6AllNodes, Icmp6Type::router_advertisement, 0,
                                                               Frame(7), 1800, 255)));
  EXPECT_EQ(way_out(), wire::kMacBroadcast);
}

TEST_F(RaTest, AnotherCore_HandsItToTheFirst) {
  make_gates(steering_.get(), nullptr);
  expect_verdict(Verdict::handed_over, advertisement(kHop6, kRouterMac), 1);
  Handover h;
  ASSERT_TRUE(handover_[0].pop(h));
  EXPECT_FALSE(accept(mbuf::Pkt(h.packet), 0, true));
  EXPECT_EQ(way_out(), kRouterMac);
}

TEST_F(RaTest, Rfc4861_6_3_7_LinkIsAskedThreeTimesAndNotWhileThereIsARouter) {
  u32 asked = 0;
  const auto count = [&](TimeUs us) {
    for (const TimeUs end = now_ + us; now_ < end;) {
      tick(50'000);
      for (Frame f = sent(); !f.empty(); f = sent()) {
        const wire::Ip6View ip(f.data() + 14);
        if (ip.next_header() != wire::kIpProtoIcmp6) continue;
        if (wire::Icmp6View(f.data() + 54).type() != Icmp6Type::router_solicitation) continue;
        ++asked;
        EXPECT_EQ(ip.source(), kOurs6);
        EXPECT_EQ(ip.destination(), wire::kIp6AllRouters);
        EXPECT_EQ(ip.hop_limit(), 255);
        EXPECT_EQ(wire::EthView(f.data()).destination(), wire::multicast_mac(wire::kIp6AllRouters));
        EXPECT_EQ(wire::read_nd_options(Bytes(f).subspan(62), wire::NdOption::source_mac).mac, mac_);
        EXPECT_TRUE(sum_is_right(f));
      }
    }
    return asked;
  };
  EXPECT_EQ(count(20'000'000), 3u);
  expect_verdict(Verdict::ra_learned, advertisement(kHop6, kRouterMac, {.lifetime_s = 6}));
  EXPECT_EQ(count(5'000'000), 3u);
  EXPECT_EQ(count(20'000'000), 6u) << "it is gone, the link is asked anew";
}

}  // namespace
}  // namespace ringway::gate
