// Neighbour discovery and the way out over IPv6: who is answered, who is believed, what waits and for how long.

#include "tests/unit/gate/fixture6.h"

namespace ringway::gate {
namespace {

class NdTest : public Gate6Test {};

TEST_F(NdTest, Rfc4861_7_2_4_SolicitationForOurAddressIsAnsweredAndTheAskerLearned) {
  for (const Ip6 target : {kOurs6, kVip6, link_local_}) {
    expect_verdict(Verdict::nd_answered, question(target));
    expect_advertisement(sent(), target, kPeer6, kPeerMac, true);
  }
  Mac mac;
  ASSERT_TRUE(knows(kPeer6, &mac));
  EXPECT_EQ(mac, kPeerMac);
}

TEST_F(NdTest, SolicitationByUnicast_IsAnswered) {
  expect_verdict(Verdict::nd_answered, from_peer6(test::nd(kHop6, kOurs6, {.target = kOurs6})));
  expect_advertisement(sent(), kOurs6, kHop6, kPeerMac, true);
  EXPECT_FALSE(knows(kHop6));
}

TEST_F(NdTest, Rfc4862_5_4_3_WhoAsksWhetherOurAddressIsFree_IsToldByAllThatItIsNot) {
  expect_verdict(Verdict::nd_answered, question(kVip6, Ip6{}, std::nullopt));
  expect_advertisement(sent(), kVip6, wire::kIp6AllNodes, wire::multicast_mac(wire::kIp6AllNodes), false);
}

TEST_F(NdTest, SolicitationForAStranger_IsNotAnswered) {
  expect_verdict(Verdict::nd_not_ours, question(kPeer6, kFar6));
  EXPECT_TRUE(sent().empty());
}

TEST_F(NdTest, Rfc4861_7_1_1_MalformedSolicitations) {
  const auto group = wire::solicited_node(kOurs6);
  expect_verdict(Verdict::nd_malformed, from_peer6(test::nd(kPeer6, group, {.target = kOurs6}, 254)));
  expect_verdict(Verdict::nd_malformed,
                 from_peer6(test::nd(kPeer6, group, {.target = kOurs6}, 255, {1, 0, 0, 0, 0, 0, 0, 0})));
  expect_verdict(Verdict::nd_malformed, from_peer6(test::nd(kPeer6, group, {.target = wire::kIp6AllNodes})));
  expect_verdict(Verdict::nd_malformed, from_peer6(test::nd(kPeer6, group, {.target = kOurs6, .mac = wire::kMacBroadcast})));
  expect_verdict(Verdict::nd_malformed, from_peer6(test::nd(Ip6{}, group, {.target = kOurs6, .mac = kPeerMac})));
  expect_verdict(Verdict::nd_malformed, from_peer6(test::nd(Ip6{}, kOurs6, {.target = kOurs6})));
  expect_verdict(Verdict::nd_malformed, from_peer6(test::icmp6(kPeer6, group, Icmp6Type::neighbour_solicitation, 0,
                                                               Frame(8), 0, 255)));
  EXPECT_TRUE(sent().empty());
  EXPECT_FALSE(knows(kPeer6));
}

TEST_F(NdTest, PacketWaitsForTheNeighbourAndGoesOutWithItsMac) {
  send6(kPeer6);
  expect_question(sent(), kPeer6);
  expect_verdict(Verdict::nd_learned, advertisement(kPeer6, true, true));
  const Frame out = sent();
  ASSERT_FALSE(out.empty());
  EXPECT_EQ(wire::EthView(out.data()).destination(), kPeerMac);
  EXPECT_EQ(wire::EthView(out.data()).type(), wire::kEtherTypeIp6);
  EXPECT_EQ(wire::Ip6View(out.data() + 14).destination(), kPeer6);
}

TEST_F(NdTest, FarAddresses_GoByTheNextHopWhichMayBeLinkLocal) {
  send6(kFar6);
  expect_question(sent(), kHop6);
  expect_verdict(Verdict::nd_learned, advertisement(kHop6, true, true));
  const Frame out = sent();
  ASSERT_FALSE(out.empty());
  EXPECT_EQ(wire::Ip6View(out.data() + 14).destination(), kFar6);
}

TEST_F(NdTest, NowhereToGo_IsCounted) {
  send6(kVip6);
  send6(Ip6::of(0xfe80, 0, 0, 0, 0, 0, 0, 9));
  plan_.ports[0].next_hop6 = {};
  for (auto& g : gates_) g->adopt(plan_, false, now_);
  send6(kFar6);
  EXPECT_EQ(count(Verdict::no_route), 3u);
  EXPECT_TRUE(sent().empty());
}

TEST_F(NdTest, BothFamilies_ShareTheQueueOfWaitingPackets) {
  for (int i = 0; i < 20; ++i) send6(kPeer6);
  EXPECT_EQ(count(Verdict::neighbour_queue_full), 4u);
  expect_question(sent(), kPeer6);
  EXPECT_TRUE(sent().empty());
  tick(4'000'000);
  EXPECT_EQ(count(Verdict::neighbour_unresolved), 16u);
}

TEST_F(NdTest, SilentNeighbour_IsAskedThreeTimes) {
  send6(kPeer6);
  tick(5'000'000);
  for (int i = 0; i < 3; ++i) expect_question(sent(), kPeer6);
  EXPECT_TRUE(sent().empty());
  EXPECT_EQ(count(Verdict::neighbour_unresolved), 1u);
}

TEST_F(NdTest, AfterAMinute_AUsedNeighbourIsAskedByUnicastAndMayAnswerWithoutItsMac) {
  expect_verdict(Verdict::nd_answered, question(kOurs6));
  sent();
  send6(kPeer6);
  sent();
  tick(Neighbours::kReachableUs + 200'000);
  expect_question(sent(), kPeer6, kPeerMac);
  expect_verdict(Verdict::nd_learned, advertisement(kPeer6, true, true, std::nullopt));
  EXPECT_TRUE(knows(kPeer6));
}

TEST_F(NdTest, Rfc4861_7_2_5_OverrideChangesAKnownMacAndNothingElseDoes) {
  const Mac moved{{2, 0, 0, 0, 9, 9}};
  expect_verdict(Verdict::nd_answered, question(kOurs6));
  sent();
  expect_verdict(Verdict::nd_unsolicited, advertisement(kPeer6, false, false, moved));
  Mac mac;
  ASSERT_TRUE(knows(kPeer6, &mac));
  EXPECT_EQ(mac, kPeerMac);
  expect_verdict(Verdict::nd_learned, advertisement(kPeer6, false, true, moved));
  ASSERT_TRUE(knows(kPeer6, &mac));
  EXPECT_EQ(mac, moved);
}

TEST_F(NdTest, AdvertisementsNobodyAskedFor_AddNothing) {
  expect_verdict(Verdict::nd_unsolicited, advertisement(kPeer6, true, true));
  expect_verdict(Verdict::nd_unsolicited, advertisement(kPeer6, false, true));
  expect_verdict(Verdict::nd_unsolicited, advertisement(kFar6, false, true));
  EXPECT_FALSE(knows(kPeer6));
  EXPECT_FALSE(knows(kFar6));
  // Nor does one take our own address.
  expect_verdict(Verdict::nd_unsolicited,
                 from_peer6(test::nd(kPeer6, wire::kIp6AllNodes, {.type = Icmp6Type::neighbour_advertisement,
                                                                   .override_flag = true, .target = kVip6, .mac = kPeerMac})));
  EXPECT_FALSE(knows(kVip6));
}

TEST_F(NdTest, Rfc4861_7_1_2_MalformedAdvertisements) {
  const wire::NdFields nd{.type = Icmp6Type::neighbour_advertisement, .solicited = true, .target = kPeer6, .mac = kPeerMac};
  send6(kPeer6);
  sent();
  expect_verdict(Verdict::nd_malformed, from_peer6(test::nd(kPeer6, kOurs6, nd, 64)));
  expect_verdict(Verdict::nd_malformed, from_peer6(test::nd(kPeer6, wire::kIp6AllNodes, nd)));
  EXPECT_FALSE(knows(kPeer6));
}

TEST_F(NdTest, Rfc4861_7_2_6_NewAddressesAreAnnouncedOnceEach) {
  const Ip6 fresh = Ip6::of(0xfd00, 9, 0, 0, 0, 0, 0, 2);
  plan_.addresses.push_back(fresh);
  gates_[0]->adopt(plan_, true, now_);
  EXPECT_EQ(wire::Ip6View(sent().data() + 14).next_header(), wire::kIp6HopByHop);  // the report of our groups: mld_test.cc
  expect_advertisement(sent(), fresh, wire::kIp6AllNodes, wire::multicast_mac(wire::kIp6AllNodes), false);
  EXPECT_TRUE(sent().empty());
}

TEST_F(NdTest, MessagesAtAnotherCore_GoToCoreZero) {
  expect_verdict(Verdict::handed_over, question(kOurs6), 1);
  Handover h;
  ASSERT_TRUE(handover_[0].pop(h));
  EXPECT_FALSE(accept(mbuf::Pkt(h.packet), 0, true));
  EXPECT_EQ(count(Verdict::nd_answered), 1u);
  expect_advertisement(sent(), kOurs6, kPeer6, kPeerMac, true);
}

TEST_F(NdTest, APortWithoutIpv6_AnswersNobody) {
  plan_.ports[0].ip6 = {};
  gates_[0]->adopt(plan_, false, now_);
  expect_verdict(Verdict::ip6_not_ours, question(kOurs6));
  expect_verdict(Verdict::nd_not_ours, from_peer6(test::nd(kPeer6, kVip6, {.target = kVip6})));
  EXPECT_TRUE(sent().empty());
}

TEST(Neighbours6, ManyAddresses_AreFoundByThemselvesAlone) {
  Neighbours n;
  Mac mac;
  for (u32 i = 0; i < 1000; ++i) {
    n.learn(i % 2, wire::Ip6::from_halves(0xfd00'0000'0000'0000, i), Mac{{2, 0, 0, 0, static_cast<u8>(i >> 8), static_cast<u8>(i)}},
            false, 1'000'000 + i);
  }
  u32 found = 0;
  for (u32 i = 0; i < 1000; ++i) {
    const wire::Ip ip = wire::Ip6::from_halves(0xfd00'0000'0000'0000, i);
    EXPECT_FALSE(n.find(1 - i % 2, ip, mac));
    if (!n.find(i % 2, ip, mac)) continue;
    ++found;
    EXPECT_EQ(mac.b[5], static_cast<u8>(i));
  }
  EXPECT_EQ(found, 1000u);
}

// RFC 6583: addresses that nobody has, asked for in numbers, do not push out neighbours that are there.
TEST(Neighbours6, QuestionsWithoutAnswer_PushOutOneAnother) {
  Neighbours n;
  Mac mac;
  for (u32 i = 0; i < 200; ++i) n.learn(0, wire::Ip6::from_halves(1, i), kPeerMac, false, 1'000'000);
  Neighbours::Request r;
  for (u32 i = 0; i < 50'000; ++i) {
    n.ask(0, wire::Ip6::from_halves(2, i));
    while (n.next_request(1'000'000, r)) {
    }
  }
  u32 found = 0;
  for (u32 i = 0; i < 200; ++i) found += n.find(0, wire::Ip(wire::Ip6::from_halves(1, i)), mac);
  EXPECT_EQ(found, 200u);
}

}  // namespace
}  // namespace ringway::gate
