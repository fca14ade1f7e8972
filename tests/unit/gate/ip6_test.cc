// The gate over IPv6: what reaches TCP, what is answered, and the verdict of everything else.

#include "src/lookup/flow_hash.h"
#include "tests/unit/gate/fixture6.h"

namespace ringway::gate {
namespace {

class Ip6Test : public Gate6Test {};

TEST_F(Ip6Test, SegmentForUsIsNamedAndKeepsItsPayload) {
  ASSERT_TRUE(accept(from_peer6(test::tcp6(kFar6, 4242, kVip6, 80, kAck | kPsh, {'a', 'b', 'c'}))));
  EXPECT_EQ(segment_.tuple.local_port, 80);
  EXPECT_EQ(segment_.tuple.remote_port, 4242);
  EXPECT_EQ(books_[0].ip(segment_.tuple.local), wire::Ip(kVip6));
  EXPECT_EQ(books_[0].ip(segment_.tuple.remote), wire::Ip(kFar6));
  EXPECT_EQ(segment_.payload_bytes, 3u);
  EXPECT_EQ(segment_.payload_offset, 60u);
  EXPECT_EQ(accepted_.data()[segment_.payload_offset], 'a');
  EXPECT_EQ(segment_.hash, lookup::flow_hash(books_[0].digest(segment_.tuple), 5));
}

TEST_F(Ip6Test, ExtensionHeadersThatAskNothing_ArePassedOver) {
  Frame body{wire::kIpProtoTcp, 0, 1, 4, 0, 0, 0, 0};
  test::append(body, test::tcp6_body(kPeer6, 4242, kVip6, 80, kSyn));
  ASSERT_TRUE(accept(from_peer6(test::ip6(kPeer6, kVip6, wire::kIp6DestinationOptions, body))));
  EXPECT_EQ(segment_.payload_offset, 68u);
  EXPECT_TRUE(segment_.has(kSyn));
  // Spread over segments too.
  ASSERT_TRUE(accept(scattered(from_peer6(test::ip6(kPeer6, kVip6, wire::kIp6DestinationOptions, body)), 15)));
  EXPECT_EQ(segment_.payload_offset, 68u);
}

TEST_F(Ip6Test, HeaderVerdicts) {
  const Frame good = from_peer6(test::tcp6(kPeer6, 5, kVip6, 80, kSyn));
  Frame f = good;
  f.resize(14 + 39);
  expect_verdict(Verdict::ip6_truncated, f);
  f = good;
  f.pop_back();
  expect_verdict(Verdict::ip6_truncated, f);
  f = good;
  f[14] = 0x50;
  expect_verdict(Verdict::ip6_bad_version, f);
  expect_verdict(Verdict::ip6_not_ours, from_peer6(test::tcp6(kPeer6, 5, kFar6, 80, kSyn)));
  f = good;
  wire::store_mac(f.data(), wire::multicast_mac(wire::solicited_node(kVip6)));
  expect_verdict(Verdict::eth_not_for_us, f);
  wire::store_mac(f.data(), wire::kMacBroadcast);
  expect_verdict(Verdict::eth_not_for_us, f);
  EXPECT_TRUE(sent().empty());
}

TEST_F(Ip6Test, SourcesThatNeverAre) {
  for (const Ip6 from : {Ip6{}, Ip6::of(0, 0, 0, 0, 0, 0, 0, 1), wire::kIp6AllNodes, kVip6, link_local_,
                         Ip6::of(0, 0, 0, 0, 0, 0xffff, 0x0a00, 1)}) {
    expect_verdict(Verdict::ip6_bad_source, from_peer6(test::tcp6(from, 5, kVip6, 80, kSyn)));
  }
  expect_verdict(Verdict::ip6_bad_source, from_peer6(test::icmp6(Ip6{}, kVip6, Icmp6Type::echo, 0, {})));
}

TEST_F(Ip6Test, GroupsAreForNeighbourDiscoveryAlone) {
  expect_verdict(Verdict::ip6_not_ours, from_peer6(test::udp6(kPeer6, 5353, Ip6::of(0xff02, 0, 0, 0, 0, 0, 0, 0xfb), 5353, {1})));
  expect_verdict(Verdict::ip6_not_ours, from_peer6(test::tcp6(kPeer6, 5, wire::solicited_node(kVip6), 80, kSyn)));
  expect_verdict(Verdict::icmp_ignored, from_peer6(test::icmp6(kPeer6, wire::kIp6AllNodes, Icmp6Type::echo, 0, {1})));
  expect_verdict(Verdict::ip6_not_ours, from_peer6(test::tcp6(kPeer6, 5, link_local_, 80, kSyn)));
  EXPECT_TRUE(sent().empty());
}

TEST_F(Ip6Test, FragmentsAndExtensionsOutOfBounds_AreRefused) {
  const Frame tcp = test::tcp6_body(kPeer6, 5, kVip6, 80, kSyn);
  const auto behind = [&](u8 first, Frame header) {
    test::append(header, tcp);
    return from_peer6(test::ip6(kPeer6, kVip6, first, header));
  };
  expect_verdict(Verdict::ip6_fragment, behind(wire::kIp6Fragment, {6, 0, 0, 1, 0, 0, 0, 0}));
  Frame many;
  for (int i = 0; i < 5; ++i) test::append(many, {static_cast<u8>(i < 4 ? 60 : 6), 0, 1, 4, 0, 0, 0, 0});
  expect_verdict(Verdict::ip6_bad_extension, behind(wire::kIp6DestinationOptions, many));
  expect_verdict(Verdict::ip6_truncated, from_peer6(test::ip6(kPeer6, kVip6, wire::kIp6DestinationOptions, {6, 0, 1})));
  EXPECT_TRUE(sent().empty());
}

TEST_F(Ip6Test, Rfc4443_3_4_ParameterProblemsPointAtTheirPlace) {
  const auto expect_problem = [&](Verdict v, u8 first, const Frame& body, u8 code, u32 pointer) {
    const Frame packet = test::ip6(kPeer6, kVip6, first, body);
    expect_verdict(v, from_peer6(packet));
    const Frame error = sent();
    ASSERT_EQ(error.size(), 14 + 40 + 8 + packet.size());
    EXPECT_EQ(wire::EthView(error.data()).destination(), kPeerMac);
    const wire::Icmp6View icmp(error.data() + 54);
    EXPECT_EQ(icmp.type(), Icmp6Type::parameter_problem);
    EXPECT_EQ(icmp.code(), code);
    EXPECT_EQ(icmp.rest(), pointer);
    EXPECT_TRUE(sum_is_right(error));
    EXPECT_TRUE(std::equal(packet.begin(), packet.end(), error.begin() + 62));
  };
  expect_problem(Verdict::ip6_unknown_option, wire::kIp6DestinationOptions, {6, 0, 0x9e, 4, 0, 0, 0, 0}, 2, 42);
  expect_problem(Verdict::ip6_bad_extension, wire::kIp6Routing, {6, 0, 0, 1, 0, 0, 0, 0}, 0, 43);
  expect_problem(Verdict::ip6_bad_extension, wire::kIp6DestinationOptions,
                 {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0}, 1, 40);
  expect_problem(Verdict::ip6_unknown_protocol, 132, {1, 2, 3, 4}, 1, 6);
  expect_verdict(Verdict::ip6_unknown_option,
                 from_peer6(test::ip6(kPeer6, kVip6, wire::kIp6DestinationOptions, {6, 0, 0x5e, 4, 0, 0, 0, 0})));
  EXPECT_TRUE(sent().empty());
}

TEST_F(Ip6Test, TcpVerdicts) {
  Frame bad = from_peer6(test::tcp6(kPeer6, 5, kVip6, 80, kSyn));
  bad.back() ^= 1;
  expect_verdict(Verdict::tcp_bad_checksum, bad);
  expect_verdict(Verdict::tcp_truncated, from_peer6(test::ip6(kPeer6, kVip6, wire::kIpProtoTcp, Frame(19))));
  expect_verdict(Verdict::tcp_bad_flags, from_peer6(test::tcp6(kPeer6, 5, kVip6, 80, kSyn | kFin)));
}

TEST_F(Ip6Test, EchoIsAnsweredInPlaceWithoutExtensionsAndPadding) {
  Frame message = test::icmp6(kPeer6, kVip6, Icmp6Type::echo, 0, {1, 2, 3, 4, 5});
  const Frame body(message.begin() + 40, message.end());
  Frame extended{wire::kIpProtoIcmp6, 0, 1, 4, 0, 0, 0, 0};
  test::append(extended, body);
  for (const Frame& ip : {message, test::ip6(kPeer6, kVip6, wire::kIp6DestinationOptions, extended)}) {
    Frame f = from_peer6(ip);
    f.resize(f.size() + 3, 0xee);
    expect_verdict(Verdict::icmp_echo_answered, f);
    const Frame reply = sent();
    ASSERT_EQ(reply.size(), 14 + message.size());
    const wire::Ip6View view(reply.data() + 14);
    EXPECT_EQ(view.source(), kVip6);
    EXPECT_EQ(view.destination(), kPeer6);
    EXPECT_EQ(reply[54], 129);
    EXPECT_TRUE(sum_is_right(reply));
    EXPECT_TRUE(std::equal(body.begin() + 4, body.end(), reply.begin() + 58));
  }
  expect_verdict(Verdict::icmp_echo_answered, from_peer6(test::icmp6(kHop6, link_local_, Icmp6Type::echo, 0, {})));
  EXPECT_FALSE(sent().empty());
}

TEST_F(Ip6Test, IcmpVerdicts) {
  expect_verdict(Verdict::icmp_truncated, from_peer6(test::ip6(kPeer6, kVip6, wire::kIpProtoIcmp6, Frame(7))));
  Frame bad = from_peer6(test::icmp6(kPeer6, kVip6, Icmp6Type::echo, 0, {1}));
  bad.back() ^= 4;
  expect_verdict(Verdict::icmp_bad_checksum, bad);
  expect_verdict(Verdict::icmp_ignored, from_peer6(test::icmp6(kPeer6, kVip6, Icmp6Type::redirect, 0, Frame(32))));
  expect_verdict(Verdict::icmp_truncated, from_peer6(test::icmp6(kPeer6, kVip6, Icmp6Type::unreachable, 1, Frame(47))));
}

TEST_F(Ip6Test, ErrorsAboutOurConnections_AreSurfaced) {
  const Frame ours = test::tcp6(kOurs6, 20'000, kFar6, 80, kSyn);
  expect_verdict(Verdict::icmp_unreachable, from_peer6(test::icmp6(kPeer6, kOurs6, Icmp6Type::unreachable, 0, ours)));
  Unreachable u;
  ASSERT_TRUE(gates_[0]->next_unreachable(u));
  EXPECT_EQ(u.tuple, (wire::FourTuple{books_[0].find(kOurs6), books_[0].find(kFar6), 20'000, 80}));
  EXPECT_EQ(u.packet_bytes, 0u);
  const Frame theirs = test::tcp6(kFar6, 20'000, kPeer6, 80, kSyn);
  expect_verdict(Verdict::icmp_ignored, from_peer6(test::icmp6(kPeer6, kOurs6, Icmp6Type::unreachable, 0, theirs)));
  // RFC 8201 4: a packet too big, and one that lies about it.
  expect_verdict(Verdict::icmp_too_big, from_peer6(test::icmp6(kPeer6, kOurs6, Icmp6Type::packet_too_big, 0, ours, 1280)));
  expect_verdict(Verdict::icmp_ignored, from_peer6(test::icmp6(kPeer6, kOurs6, Icmp6Type::packet_too_big, 0, ours, 1279)));
  ASSERT_TRUE(gates_[0]->next_unreachable(u));
  EXPECT_EQ(u.packet_bytes, 1280u);
  EXPECT_EQ(u.seq, wire::SeqNo{1000});
  EXPECT_FALSE(gates_[0]->next_unreachable(u));
}

TEST_F(Ip6Test, UdpVerdictsAndPortUnreachable) {
  expect_verdict(Verdict::udp_truncated, from_peer6(test::ip6(kPeer6, kVip6, wire::kIpProtoUdp, Frame(7))));
  Frame f = from_peer6(test::udp6(kPeer6, 1, kVip6, 99, {1, 2, 3}));
  f[54 + 6] = f[54 + 7] = 0;  // RFC 8200 8.1: there must be one
  expect_verdict(Verdict::udp_bad_checksum, f);
  const Frame datagram = test::udp6(kPeer6, 1, kVip6, 99, Frame(1300));
  expect_verdict(Verdict::udp_no_port, from_peer6(datagram));
  const Frame error = sent();
  ASSERT_EQ(error.size(), 14 + 1280u);
  EXPECT_EQ(error[54], 1);
  EXPECT_EQ(error[55], wire::kIcmp6PortUnreachable);
  EXPECT_TRUE(sum_is_right(error));
  for (int i = 0; i < 200; ++i) accept(from_peer6(datagram));
  EXPECT_GT(count(Verdict::icmp_rate_limited), 100u);
  while (!sent().empty()) {
  }
}

TEST_F(Ip6Test, DnsQuestionIsAnsweredWithTheAddressOfItsFamily) {
  Frame query{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 12};
  for (char c : std::string("auth-service")) query.push_back(static_cast<u8>(c));
  for (u8 b : Frame{0, 0, 28, 0, 1}) query.push_back(b);
  expect_verdict(Verdict::dns_answered, from_peer6(test::udp6(kPeer6, 4242, kDns6, 53, query)));
  const Frame reply = sent();
  ASSERT_EQ(reply.size(), 14 + 40 + 8 + query.size() + 28);
  EXPECT_TRUE(sum_is_right(reply));
  EXPECT_EQ(wire::load_ip6(&reply[reply.size() - 16]), kVip6);
  expect_verdict(Verdict::dns_malformed, from_peer6(test::udp6(kPeer6, 4242, kDns6, 53, {1, 2, 3})));
}

TEST_F(Ip6Test, FlowOfAnotherCore_IsHandedOverAndNamedThere) {
  make_gates(steering_.get(), nullptr);
  for (auto& g : gates_) g->adopt(plan_, false, now_);
  u32 handed = 0;
  for (u16 port = 1; port <= 64; ++port) {
    if (accept(from_peer6(test::tcp6(kPeer6, port, kVip6, 80, kSyn)))) continue;
    ++handed;
    Handover h;
    ASSERT_TRUE(handover_[1].pop(h));
    ASSERT_TRUE(accept(mbuf::Pkt(h.packet), 1, true));
    EXPECT_EQ(books_[1].ip(segment_.tuple.remote), wire::Ip(kPeer6));
    EXPECT_EQ(segment_.tuple.remote_port, port);
  }
  EXPECT_GT(handed, 16u);
  EXPECT_LT(handed, 48u);
}

TEST_F(Ip6Test, ReturnTrafficToAPortsAddress_GoesToTheCoreOfTheLocalPort) {
  const port::Steering steering(port::SteeringConfig{.cores = 2, .port_addresses = {kOurs}, .port_addresses6 = {kOurs6}});
  make_gates(&steering, nullptr);
  for (auto& g : gates_) g->adopt(plan_, false, now_);
  for (u32 core = 0; core < 2; ++core) {
    const u16 local = static_cast<u16>(steering.slice(core).first + 7);
    EXPECT_EQ(accept(from_peer6(test::tcp6(kFar6, 80, kOurs6, local, kAck))), core == 0);
  }
  EXPECT_EQ(count(Verdict::handed_over), 1u);
}

TEST_F(Ip6Test, AnAddressThatLeavesThePlan_IsOursNoMore) {
  const wire::Addr before = books_[0].find(kVip6);
  gates_[0]->adopt(plan_, false, now_);
  EXPECT_EQ(books_[0].find(kVip6), before);
  std::erase(plan_.addresses, wire::Ip(kVip6));
  gates_[0]->adopt(plan_, false, now_);
  expect_verdict(Verdict::ip6_not_ours, from_peer6(test::tcp6(kPeer6, 5, kVip6, 80, kSyn)));
  // Connections that it had end in order.
  EXPECT_TRUE(accept(from_peer6(test::tcp6(kPeer6, 5, kVip6, 80, kAck))));
  EXPECT_EQ(segment_.tuple.local, before);
}

}  // namespace
}  // namespace ringway::gate
