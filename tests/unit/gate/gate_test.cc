// Gate: every verdict of Ethernet, IPv4, TCP, UDP, ICMP and DNS is provoked once; what passes is what was sent.

#include "src/lookup/flow_hash.h"
#include "tests/unit/gate/fixture.h"

namespace ringway::gate {
namespace {

Frame syn() { return test::tcp(kPeer, 5555, kVip, 80, kSyn); }

TEST_F(GateTest, SegmentForUsIsPassedInHostOrderWithItsPayload) {
  const Frame options{1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9};
  ASSERT_TRUE(accept(from_peer(test::tcp(kPeer, 5555, kVip, 80, kAck | kPsh, options, {'h', 'i', '!'}))));
  EXPECT_EQ(segment_.tuple, (wire::FourTuple{kVip, kPeer, 80, 5555}));
  EXPECT_EQ(segment_.seq.v, 1000u);
  EXPECT_EQ(segment_.ack.v, 2000u);
  EXPECT_EQ(segment_.window, 4096);
  EXPECT_EQ(segment_.flags, kAck | kPsh);
  EXPECT_EQ(segment_.payload_bytes, 3u);
  EXPECT_EQ(segment_.hash, lookup::flow_hash(segment_.tuple, 5));
  EXPECT_TRUE(segment_.options.timestamps);
  EXPECT_EQ(segment_.options.ts_value, 7u);
  EXPECT_EQ(std::memcmp(accepted_.data() + segment_.payload_offset, "hi!", 3), 0);
  accepted_.reset();
}

TEST_F(GateTest, EthernetPaddingIsNotPayload) {
  Frame f = from_peer(syn());
  f.resize(60, 0xee);
  ASSERT_TRUE(accept(f));
  EXPECT_EQ(segment_.payload_bytes, 0u);
  accepted_.reset();
}

TEST_F(GateTest, SegmentScatteredOverManyMbufsIsReadAndItsHeadersArePulledUp) {
  const Frame f = from_peer(test::tcp(kPeer, 5555, kVip, 80, kAck, {2, 4, 5, 0xb4}, Frame(301, 'x')));
  for (std::size_t each : {1u, 3u, 7u, 13u, 33u, 57u, 58u, 59u, 100u}) {
    ASSERT_TRUE(accept(scattered(f, each))) << each;
    EXPECT_EQ(segment_.payload_bytes, 301u);
    EXPECT_EQ(segment_.options.mss, 1460);
    EXPECT_GE(accepted_.first_bytes(), segment_.payload_offset);
    EXPECT_EQ(accepted_.total_bytes(), segment_.payload_offset + 301u);
    accepted_.reset();
  }
}

TEST_F(GateTest, ChecksumIsNotComputedWhereTheNicFoundItGood) {
  Frame f = from_peer(syn());
  f[wire::kEthHeaderBytes + 20 + 16] ^= 1;
  mbuf::Pkt p = packet(f);
  p.get()->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  EXPECT_TRUE(accept(std::move(p)));
  accepted_.reset();
  expect_verdict(Verdict::tcp_bad_checksum, f);
}

TEST_F(GateTest, EthernetVerdicts) {
  expect_verdict(Verdict::eth_truncated, Frame(13));
  expect_verdict(Verdict::eth_not_for_us, test::eth(Mac{{2, 9, 9, 9, 9, 9}}, kPeerMac, wire::kEtherTypeIp4, syn()));
  expect_verdict(Verdict::eth_not_for_us, test::eth(wire::kMacBroadcast, kPeerMac, wire::kEtherTypeIp4, syn()));
  expect_verdict(Verdict::eth_unknown_type, from_peer(Frame(40), 0x88cc));
}

TEST_F(GateTest, Ip4Verdicts) {
  const auto with = [&](std::size_t at, u8 value) {
    Frame f = from_peer(syn());
    f[wire::kEthHeaderBytes + at] = value;
    test::mend_ip4(f);
    return f;
  };
  expect_verdict(Verdict::ip4_truncated, from_peer(Frame(19, 0x45)));
  expect_verdict(Verdict::ip4_truncated, with(3, 200));  // total length beyond the frame
  expect_verdict(Verdict::ip4_truncated, with(3, 19));   // shorter than its header
  expect_verdict(Verdict::ip4_bad_version, with(0, 0x65));
  expect_verdict(Verdict::ip4_bad_version, with(0, 0x44));
  Frame bad = from_peer(syn());
  bad[wire::kEthHeaderBytes + 10] ^= 1;
  expect_verdict(Verdict::ip4_bad_checksum, bad);
  expect_verdict(Verdict::ip4_options, with(0, 0x46));
  expect_verdict(Verdict::ip4_fragment, with(6, 0x20));
  expect_verdict(Verdict::ip4_fragment, with(7, 0x01));
  expect_verdict(Verdict::ip4_ttl_expired, with(8, 0));
  expect_verdict(Verdict::ip4_not_ours, from_peer(test::tcp(kPeer, 1, kFar, 80, kSyn)));
  for (const Ip4 source : {Ip4{}, Ip4::of(127, 0, 0, 1), Ip4::of(224, 0, 0, 1), Ip4{~0u}, Ip4::of(10, 0, 0, 255), kVip}) {
    expect_verdict(Verdict::ip4_bad_source, from_peer(test::tcp(source, 1, kVip, 80, kSyn)));
  }
  expect_verdict(Verdict::ip4_unknown_protocol, from_peer(test::ip4(kPeer, kVip, 47, Frame(30))));
}

// A service that left the file, or whose address changed, is still at work for those who are connected to it.
TEST_F(GateTest, AnAddressThatLeavesThePlan_KeepsItsConnectionsAndGetsNoNewOnes) {
  const auto adopt = [&](std::vector<wire::Ip> addresses) {
    plan_.addresses = std::move(addresses);
    gates_[0]->adopt(plan_, false, now_);
  };
  const Frame late = from_peer(test::tcp(kPeer, 5, kVip, 80, kAck));
  adopt({kOurs, kDns});
  EXPECT_TRUE(accept(late));
  EXPECT_EQ(segment_.tuple.local, wire::Addr(kVip));
  expect_verdict(Verdict::ip4_not_ours, from_peer(test::tcp(kPeer, 5, kVip, 80, kSyn)));
  expect_verdict(Verdict::ip4_not_ours, from_peer(test::udp(kPeer, 5, kVip, 53, Frame(20))));
  expect_verdict(Verdict::arp_not_ours, from_peer(test::arp(wire::kArpRequest, kPeerMac, kPeer, kVip), wire::kEtherTypeArp));
  adopt({kOurs, kDns});
  EXPECT_TRUE(accept(late));  // whatever plans come
  adopt({kOurs, kVip, kDns});
  EXPECT_TRUE(accept(from_peer(test::tcp(kPeer, 5, kVip, 80, kSyn))));
  expect_verdict(Verdict::ip4_not_ours, from_peer(test::tcp(kPeer, 5, kFar, 80, kAck)));
}

// There is an end to what is remembered, and what left last stays.
TEST_F(GateTest, OfManyAddressesThatLeft_TheEarlierOnesAreForgotten) {
  const auto adopt = [&](std::vector<wire::Ip> addresses) {
    plan_.addresses = std::move(addresses);
    gates_[0]->adopt(plan_, false, now_);
  };
  std::vector<wire::Ip> many{kOurs};
  for (u32 i = 0; i < 1024; ++i) many.push_back(Ip4{Ip4::of(10, 9, 8, 0).v + i});
  adopt(many);  // kVip has left
  EXPECT_TRUE(accept(from_peer(test::tcp(kPeer, 5, kVip, 80, kAck))));
  adopt({kOurs});
  expect_verdict(Verdict::ip4_not_ours, from_peer(test::tcp(kPeer, 5, kVip, 80, kAck)));
  EXPECT_TRUE(accept(from_peer(test::tcp(kPeer, 5, Ip4::of(10, 9, 8, 0), 80, kAck))));
  EXPECT_TRUE(accept(from_peer(test::tcp(kPeer, 5, Ip4::of(10, 9, 11, 255), 80, kAck))));
}

TEST_F(GateTest, TcpVerdicts) {
  expect_verdict(Verdict::tcp_truncated, from_peer(test::ip4(kPeer, kVip, wire::kIpProtoTcp, Frame(19))));
  expect_verdict(Verdict::tcp_truncated, from_peer([] {
                   Frame f = test::tcp(kPeer, 5, kVip, 80, kSyn);
                   f[20 + 12] = 0xf0;
                   return f;
                 }()));
  Frame bad = from_peer(test::tcp(kPeer, 5, kVip, 80, kAck, {}, {'a', 'b', 'c'}));
  bad.back() ^= 1;
  expect_verdict(Verdict::tcp_bad_checksum, bad);
  expect_verdict(Verdict::tcp_bad_flags, from_peer(test::tcp(kPeer, 5, kVip, 80, kSyn | kFin)));
  expect_verdict(Verdict::tcp_bad_option, from_peer(test::tcp(kPeer, 5, kVip, 80, kSyn, {2, 3, 5, 0})));
}

TEST_F(GateTest, UdpVerdictsAndPortUnreachable) {
  expect_verdict(Verdict::udp_truncated, from_peer(test::ip4(kPeer, kVip, wire::kIpProtoUdp, Frame(7))));
  Frame f = from_peer(test::udp(kPeer, 1, kVip, 99, {1, 2, 3}));
  f[wire::kEthHeaderBytes + 20 + 5] = 12;
  expect_verdict(Verdict::udp_truncated, f);
  f = from_peer(test::udp(kPeer, 1, kVip, 99, {1, 2, 3}));
  f.back() ^= 1;
  expect_verdict(Verdict::udp_bad_checksum, f);
  EXPECT_TRUE(sent().empty());

  const Frame datagram = test::udp(kPeer, 1, kVip, 99, {1, 2, 3}, false);
  expect_verdict(Verdict::udp_no_port, from_peer(datagram));
  const Frame error = sent();
  ASSERT_EQ(error.size(), 14 + 20 + 8 + datagram.size());
  EXPECT_EQ(wire::EthView(error.data()).destination(), kPeerMac);
  const wire::Ip4View ip(error.data() + 14);
  EXPECT_EQ(ip.source(), kVip);
  EXPECT_EQ(ip.destination(), kPeer);
  const wire::IcmpView icmp(error.data() + 34);
  EXPECT_EQ(icmp.type(), wire::IcmpType::unreachable);
  EXPECT_EQ(icmp.code(), wire::kIcmpPortUnreachable);
  EXPECT_TRUE(std::equal(datagram.begin(), datagram.end(), error.begin() + 42));
  EXPECT_EQ(wire::checksum(Bytes(error).subspan(34)).raw, 0);
}

TEST_F(GateTest, IcmpErrorsAreHeldBackBeyondTheirRate) {
  const Frame f = from_peer(test::udp(kPeer, 1, kVip, 99, {}));
  for (int i = 0; i < 200; ++i) accept(f);
  EXPECT_EQ(count(Verdict::udp_no_port), 50u);
  EXPECT_EQ(count(Verdict::icmp_rate_limited), 150u);
  now_ += 10'000;
  for (int i = 0; i < 20; ++i) accept(f);
  EXPECT_EQ(count(Verdict::udp_no_port), 60u);
  while (!sent().empty()) {
  }
}

TEST_F(GateTest, EchoIsAnsweredInPlaceWithRightChecksumsAndWithoutPadding) {
  Frame data(33);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<u8>(i * 37);
  Frame f = from_peer(test::icmp(kPeer, kVip, wire::IcmpType::echo, 0, data));
  f[wire::kEthHeaderBytes + 8] = 3;
  test::mend_ip4(f);
  const std::size_t whole = f.size();
  f.resize(whole + 9, 0xee);
  expect_verdict(Verdict::icmp_echo_answered, f);
  const Frame reply = sent();
  ASSERT_EQ(reply.size(), whole);
  EXPECT_EQ(wire::EthView(reply.data()).destination(), kPeerMac);
  const wire::Ip4View ip(reply.data() + 14);
  EXPECT_EQ(ip.source(), kVip);
  EXPECT_EQ(ip.destination(), kPeer);
  EXPECT_EQ(ip.ttl(), 64);
  EXPECT_EQ(wire::checksum(Bytes(reply).subspan(14, 20)).raw, 0);
  EXPECT_EQ(wire::checksum(Bytes(reply).subspan(34)).raw, 0);
  EXPECT_EQ(reply[34], 0);
  EXPECT_TRUE(std::equal(data.begin(), data.end(), reply.begin() + 42));
}

TEST_F(GateTest, IcmpVerdicts) {
  expect_verdict(Verdict::icmp_truncated, from_peer(test::ip4(kPeer, kVip, wire::kIpProtoIcmp, Frame(7))));
  Frame bad = from_peer(test::icmp(kPeer, kVip, wire::IcmpType::echo, 0, {1}));
  bad.back() ^= 4;
  expect_verdict(Verdict::icmp_bad_checksum, bad);
  expect_verdict(Verdict::icmp_ignored, from_peer(test::icmp(kPeer, kVip, wire::IcmpType::redirect, 0, Frame(28))));
  expect_verdict(Verdict::icmp_truncated, from_peer(test::icmp(kPeer, kVip, wire::IcmpType::unreachable, 1, Frame(27))));
}

TEST_F(GateTest, TooBigPacketIsSurfacedWithItsNumberAndWhatTheRouterNames) {
  const Frame ours = test::tcp(kOurs, 20'000, kPeer, 80, kAck);
  expect_verdict(Verdict::icmp_too_big, from_peer(test::icmp(kHop, kOurs, wire::IcmpType::unreachable, 4, ours, 1400)));
  Unreachable u;
  ASSERT_TRUE(gates_[0]->next_unreachable(u));
  EXPECT_EQ(u.tuple, (wire::FourTuple{kOurs, kPeer, 20'000, 80}));
  EXPECT_EQ(u.seq, wire::SeqNo{1000});
  EXPECT_EQ(u.packet_bytes, 1400u);
  expect_verdict(Verdict::icmp_too_big, from_peer(test::icmp(kHop, kOurs, wire::IcmpType::unreachable, 4, ours, 0)));
  ASSERT_TRUE(gates_[0]->next_unreachable(u));
  EXPECT_EQ(u.packet_bytes, 576u) << "RFC 1191 section 5: it named none";
}

TEST_F(GateTest, UnreachableAboutOurConnectionIsSurfacedWithOurSideAsLocal) {
  const Frame ours = test::tcp(kOurs, 20'000, kPeer, 80, kSyn);
  expect_verdict(Verdict::icmp_unreachable, from_peer(test::icmp(kHop, kOurs, wire::IcmpType::unreachable, 1, ours)));
  Unreachable t;
  ASSERT_TRUE(gates_[0]->next_unreachable(t));
  EXPECT_EQ(t.packet_bytes, 0u);
  EXPECT_EQ(t.tuple, (wire::FourTuple{kOurs, kPeer, 20'000, 80}));
  EXPECT_FALSE(gates_[0]->next_unreachable(t));
  const Frame theirs = test::tcp(kFar, 20'000, kPeer, 80, kSyn);
  expect_verdict(Verdict::icmp_ignored, from_peer(test::icmp(kHop, kOurs, wire::IcmpType::unreachable, 1, theirs)));
}

TEST_F(GateTest, DnsQuestionIsAnsweredOverUdpWithARightChecksum) {
  Frame query{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 12};
  for (char c : std::string("auth-service")) query.push_back(static_cast<u8>(c));
  for (u8 b : Frame{0, 0, 1, 0, 1}) query.push_back(b);
  expect_verdict(Verdict::dns_answered, from_peer(test::udp(kPeer, 4242, kDns, 53, query)));
  const Frame reply = sent();
  ASSERT_EQ(reply.size(), 42 + query.size() + 16);
  const wire::Ip4View ip(reply.data() + 14);
  const wire::UdpView udp(reply.data() + 34);
  EXPECT_EQ(udp.source_port(), 53);
  EXPECT_EQ(udp.destination_port(), 4242);
  wire::Checksum sum(wire::pseudo_header_sum(ip.source(), ip.destination(), 17, static_cast<u16>(udp.bytes())));
  sum.add(Bytes(reply).subspan(34));
  EXPECT_TRUE(sum.verifies());
  EXPECT_EQ(wire::load_be32(&reply[reply.size() - 4]), kVip.v);
  expect_verdict(Verdict::dns_malformed, from_peer(test::udp(kPeer, 4242, kDns, 53, {1, 2, 3})));
  expect_verdict(Verdict::udp_no_port, from_peer(test::udp(kPeer, 4242, kVip, 53, query)));
  sent();
}

TEST_F(GateTest, WhatIsNotOursIsPuntedWhenThereIsATapAndDroppedWhenItIsFull) {
  make_gates(nullptr, &punt_);
  const Frame f = from_peer(Frame(40), 0x88cc);
  for (int i = 0; i < 7; ++i) expect_verdict(Verdict::punted, f);
  expect_verdict(Verdict::eth_unknown_type, f);
}

TEST_F(GateTest, FlowOfAnotherCoreIsHandedOverWholeAndTakenThere) {
  make_gates(steering_.get(), nullptr);
  // Return traffic of an upstream connection in core 1's slice.
  const u16 port = steering_->slice(1).first;
  const Frame f = from_peer(test::tcp(kPeer, 80, kOurs, port, kAck, {}, {'z'}));
  expect_verdict(Verdict::handed_over, f, 0);
  EXPECT_EQ(count(Counter::handover_out, 0), 1u);
  Handover h;
  ASSERT_TRUE(handover_[1].pop(h));
  ASSERT_TRUE(accept(mbuf::Pkt(h.packet), 1, true));
  EXPECT_EQ(segment_.tuple.local_port, port);
  EXPECT_EQ(accepted_.data()[segment_.payload_offset], 'z');
  EXPECT_EQ(count(Counter::handover_in, 1), 1u);
  accepted_.reset();
  ASSERT_TRUE(accept(f, 1));
  accepted_.reset();
}

// The frames are put on queues as a NIC would put them.
TEST_F(GateTest, InModeRssAnswersArriveAtTheirOwnerAndNothingIsHandedOver) {
  port::Rss rss{lookup::kRssKeyMicrosoft, std::vector<u16>(128)};
  for (u32 i = 0; i < 128; ++i) rss.reta[i] = static_cast<u16>(i % 2);
  const port::Steering steering({.cores = 2, .port_addresses = {kOurs}}, rss);
  const lookup::Toeplitz nic(rss.key);
  make_gates(&steering, nullptr);
  for (u32 i = 0; i < 400; ++i) {
    const u32 core = i % 2;
    const u16 upstream_port = static_cast<u16>(8000 + i);
    const u16 port = steering.port_chooser(core)->pick(kPeer, upstream_port, kOurs, i * 2654435761u);
    const u32 queue = rss.reta[nic.hash(kPeer, kOurs, upstream_port, port) % 128];
    ASSERT_EQ(queue, core);
    ASSERT_TRUE(accept(from_peer(test::tcp(kPeer, upstream_port, kOurs, port, kAck)), queue));
    const u16 client = static_cast<u16>(50'000 + i);
    const u32 lands = rss.reta[nic.hash(kPeer, kVip, client, 4000) % 128];
    ASSERT_TRUE(accept(from_peer(test::tcp(kPeer, client, kVip, 4000, kSyn)), lands));
  }
  for (u32 core = 0; core < 2; ++core) EXPECT_EQ(count(Counter::handover_out, core), 0u);
  accepted_.reset();
}

TEST_F(GateTest, InModeRssAFrameOnTheWrongQueueIsHandedToItsOwner) {
  const port::Rss rss{lookup::kRssKeyMicrosoft, {0, 1}};
  const port::Steering steering({.cores = 2, .port_addresses = {kOurs}}, rss);
  make_gates(&steering, nullptr);
  const u16 port = steering.port_chooser(1)->pick(kPeer, 80, kOurs, 77);
  expect_verdict(Verdict::handed_over, from_peer(test::tcp(kPeer, 80, kOurs, port, kAck)), 0);
  EXPECT_EQ(count(Counter::handover_out, 0), 1u);
  Handover h;
  ASSERT_TRUE(handover_[1].pop(h));
  ASSERT_TRUE(accept(mbuf::Pkt(h.packet), 1, true));
  EXPECT_EQ(segment_.tuple.local_port, port);
  EXPECT_EQ(count(Counter::handover_in, 1), 1u);
  accepted_.reset();
}

TEST_F(GateTest, FullHandoverRingDropsAndCounts) {
  make_gates(steering_.get(), nullptr);
  const Frame f = from_peer(test::tcp(kPeer, 80, kOurs, steering_->slice(1).first, kAck));
  for (int i = 0; i < 7; ++i) expect_verdict(Verdict::handed_over, f, 0);
  expect_verdict(Verdict::handover_full, f, 0);
}

TEST_F(GateTest, UnreachableForAnotherCoresConnectionIsHandedOver) {
  make_gates(steering_.get(), nullptr);
  const Frame ours = test::tcp(kOurs, steering_->slice(1).first, kPeer, 80, kSyn);
  expect_verdict(Verdict::handed_over, from_peer(test::icmp(kPeer, kOurs, wire::IcmpType::unreachable, 1, ours)), 0);
  Handover h;
  ASSERT_TRUE(handover_[1].pop(h));
  EXPECT_FALSE(accept(mbuf::Pkt(h.packet), 1, true));
  Unreachable t;
  EXPECT_TRUE(gates_[1]->next_unreachable(t));
}

TEST_F(GateTest, EmptyPoolMakesAnAnswerANoMbuf) {
  mbuf::Pkt p = packet(from_peer(test::udp(kPeer, 1, kVip, 99, {})));
  std::vector<mbuf::Pkt> all;
  while (mbuf::Pkt q = pools_->alloc()) all.push_back(std::move(q));
  EXPECT_FALSE(accept(std::move(p)));
  EXPECT_EQ(count(Verdict::no_mbuf), 1u);
}

}  // namespace
}  // namespace ringway::gate
