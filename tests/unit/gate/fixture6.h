#pragma once
// The gates of fixture.h with IPv6 on their port.

#include "tests/unit/gate/fixture.h"

namespace ringway::gate {

using wire::Icmp6Type;
using wire::Ip6;

inline constexpr Ip6 kOurs6 = Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1);
inline constexpr Ip6 kVip6 = Ip6::of(0xfd00, 9, 0, 0, 0, 0, 0, 1);
inline constexpr Ip6 kDns6 = Ip6::of(0xfd00, 9, 0, 0, 0, 0, 0, 0x53);
inline constexpr Ip6 kPeer6 = Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 0x77);
inline constexpr Ip6 kHop6 = Ip6::of(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
inline constexpr Ip6 kFar6 = Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);

class Gate6Test : public GateTest {
 protected:
  void SetUp() override {
    GateTest::SetUp();
    plan_.ports[0].ip6 = kOurs6;
    plan_.ports[0].next_hop6 = kHop6;
    plan_.addresses.insert(plan_.addresses.end(), {kOurs6, kVip6, kDns6});
    plan_.dns_ip6 = kDns6;
    plan_.dns_names.push_back({"auth-service", kVip6});
    for (auto& g : gates_) g->adopt(plan_, false, now_);
    link_local_ = wire::link_local_of(mac_);
  }
  // Headed by the MAC that fits the destination, a group's included.
  Frame from_peer6(const Frame& ip) {
    const Ip6 to = wire::Ip6View(ip.data()).destination();
    return test::eth(wire::is_multicast(to) ? wire::multicast_mac(to) : mac_, kPeerMac, wire::kEtherTypeIp6, ip);
  }
  Frame question(Ip6 target, Ip6 from = kPeer6, std::optional<Mac> mac = kPeerMac) {
    return from_peer6(test::nd(from, wire::solicited_node(target), {.target = target, .mac = mac}));
  }
  Frame advertisement(Ip6 target, bool solicited, bool override_flag, std::optional<Mac> mac = kPeerMac) {
    return from_peer6(test::nd(target, solicited ? kOurs6 : wire::kIp6AllNodes,
                               {.type = Icmp6Type::neighbour_advertisement, .solicited = solicited,
                                .override_flag = override_flag, .target = target, .mac = mac}));
  }
  void send6(Ip6 to, u32 core = 0) {
    gates_[core]->send(packet(test::tcp6(kOurs6, 20'000, to, 80, kSyn)), books_[core].name(to), now_);
  }
  bool knows(Ip6 ip, Mac* out = nullptr) {
    Mac mac;
    const bool found = neighbours_.find(0, wire::Ip(ip), mac);
    if (out != nullptr) *out = mac;
    return found;
  }
  void tick(TimeUs us) {
    for (const TimeUs end = now_ + us; now_ < end;) {
      now_ += 50'000;
      for (auto& g : gates_) g->housekeeping(now_);
    }
  }
  static bool sum_is_right(const Frame& f) {
    const wire::Ip6View ip(f.data() + 14);
    wire::Checksum sum(wire::pseudo_header_sum(ip.source(), ip.destination(), ip.next_header(), ip.payload_bytes()));
    sum.add(Bytes(f).subspan(54, ip.payload_bytes()));
    return sum.verifies();
  }
  // Our solicitation for `target`.
  void expect_question(const Frame& f, Ip6 target, std::optional<Mac> unicast = {}) {
    ASSERT_EQ(f.size(), 14 + 40 + 32u);
    const Ip6 to = unicast ? target : wire::solicited_node(target);
    EXPECT_EQ(wire::EthView(f.data()).destination(), unicast.value_or(wire::multicast_mac(to)));
    EXPECT_EQ(wire::EthView(f.data()).type(), wire::kEtherTypeIp6);
    const wire::Ip6View ip(f.data() + 14);
    EXPECT_EQ(ip.source(), kOurs6);
    EXPECT_EQ(ip.destination(), to);
    EXPECT_EQ(ip.hop_limit(), 255);
    EXPECT_EQ(wire::Icmp6View(f.data() + 54).type(), Icmp6Type::neighbour_solicitation);
    EXPECT_EQ(wire::NdView(f.data() + 54).target(), target);
    EXPECT_EQ(wire::read_nd_options(Bytes(f).subspan(78), wire::NdOption::source_mac).mac, mac_);
    EXPECT_TRUE(sum_is_right(f));
  }
  // Our advertisement of `target`.
  void expect_advertisement(const Frame& f, Ip6 target, Ip6 to, const Mac& to_mac, bool solicited) {
    ASSERT_EQ(f.size(), 14 + 40 + 32u);
    EXPECT_EQ(wire::EthView(f.data()).destination(), to_mac);
    const wire::Ip6View ip(f.data() + 14);
    EXPECT_EQ(ip.source(), target);
    EXPECT_EQ(ip.destination(), to);
    EXPECT_EQ(ip.hop_limit(), 255);
    EXPECT_EQ(wire::Icmp6View(f.data() + 54).type(), Icmp6Type::neighbour_advertisement);
    const wire::NdView nd(f.data() + 54);
    EXPECT_EQ(nd.target(), target);
    EXPECT_EQ(nd.solicited(), solicited);
    EXPECT_TRUE(nd.override_flag());
    EXPECT_EQ(wire::read_nd_options(Bytes(f).subspan(78), wire::NdOption::target_mac).mac, mac_);
    EXPECT_TRUE(sum_is_right(f));
  }

  Ip6 link_local_;
};

}  // namespace ringway::gate
