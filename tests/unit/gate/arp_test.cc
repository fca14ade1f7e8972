// ARP and the way out: who is answered, who is believed, what waits and for how long.

#include "tests/unit/gate/fixture.h"

namespace ringway::gate {
namespace {

Frame ip_packet(Ip4 to) { return test::tcp(kOurs, 20'000, to, 80, kSyn); }

class ArpTest : public GateTest {
 protected:
  void send(Ip4 to, u32 core = 0) { gates_[core]->send(packet(ip_packet(to)), to, now_); }
  Frame asked(u16 operation, Ip4 sender, Ip4 target, const Mac& mac = kPeerMac) {
    return from_peer(test::arp(operation, mac, sender, target), wire::kEtherTypeArp);
  }
  // The frame is an ARP request of ours for `ip`.
  void expect_request(const Frame& f, Ip4 ip, const Mac& to = wire::kMacBroadcast) {
    ASSERT_EQ(f.size(), 42u);
    EXPECT_EQ(wire::EthView(f.data()).destination(), to);
    EXPECT_EQ(wire::EthView(f.data()).type(), wire::kEtherTypeArp);
    const wire::ArpView a(f.data() + 14);
    EXPECT_EQ(a.operation(), wire::kArpRequest);
    EXPECT_EQ(a.target_ip(), ip);
    EXPECT_EQ(a.sender_ip(), kOurs);
    EXPECT_EQ(a.sender_mac(), mac_);
  }
  void tick(TimeUs us) {
    for (const TimeUs end = now_ + us; now_ < end;) {
      now_ += 50'000;
      for (auto& g : gates_) g->housekeeping(now_);
    }
  }
};

TEST_F(ArpTest, RequestForOurAddressIsAnsweredAndTheAskerLearned) {
  expect_verdict(Verdict::arp_answered, asked(wire::kArpRequest, kPeer, kOurs));
  const Frame reply = sent();
  ASSERT_EQ(reply.size(), 42u);
  EXPECT_EQ(wire::EthView(reply.data()).destination(), kPeerMac);
  const wire::ArpView a(reply.data() + 14);
  EXPECT_EQ(a.operation(), wire::kArpReply);
  EXPECT_EQ(a.sender_ip(), kOurs);
  EXPECT_EQ(a.sender_mac(), mac_);
  EXPECT_EQ(a.target_ip(), kPeer);
  Mac mac;
  EXPECT_TRUE(neighbours_.find(0, kPeer, mac));
  EXPECT_EQ(mac, kPeerMac);
}

TEST_F(ArpTest, Rfc5227_3_AnnouncementOfAKnownNeighbourMovesItsMacAtOnce) {
  const Mac moved{{2, 0, 0, 0, 9, 9}};
  expect_verdict(Verdict::arp_answered, asked(wire::kArpRequest, kPeer, kOurs));
  sent();
  expect_verdict(Verdict::arp_learned, asked(wire::kArpRequest, kPeer, kPeer, moved));
  Mac mac;
  ASSERT_TRUE(neighbours_.find(0, kPeer, mac));
  EXPECT_EQ(mac, moved);
  expect_verdict(Verdict::arp_learned, asked(wire::kArpReply, kPeer, kPeer));
  ASSERT_TRUE(neighbours_.find(0, kPeer, mac));
  EXPECT_EQ(mac, kPeerMac);
  EXPECT_TRUE(sent().empty());
}

TEST_F(ArpTest, AnswerToTheKernelIsPuntedToIt) {
  expect_verdict(Verdict::arp_unsolicited, asked(wire::kArpReply, kPeer, Ip4::of(10, 0, 0, 44)));
  make_gates(nullptr, &punt_);
  expect_verdict(Verdict::punted, asked(wire::kArpReply, kPeer, Ip4::of(10, 0, 0, 44)));
  expect_verdict(Verdict::arp_unsolicited, asked(wire::kArpReply, kPeer, kOurs));
}

TEST_F(ArpTest, Rfc5227_3_AnnouncementOfAStrangerIsNotLearned) {
  expect_verdict(Verdict::arp_unsolicited, asked(wire::kArpRequest, kPeer, kPeer));
  expect_verdict(Verdict::arp_unsolicited, asked(wire::kArpReply, kPeer, kPeer));
  Mac mac;
  EXPECT_FALSE(neighbours_.find(0, kPeer, mac));
  EXPECT_TRUE(sent().empty());
}

TEST_F(ArpTest, RequestForAVipOutsideOfAllNetworksIsAnswered) {
  expect_verdict(Verdict::arp_answered, asked(wire::kArpRequest, kPeer, kVip));
  EXPECT_FALSE(sent().empty());
}

TEST_F(ArpTest, MalformedAndForeignFramesAreDropped) {
  Frame f = asked(wire::kArpRequest, kPeer, kOurs);
  expect_verdict(Verdict::arp_malformed, Frame(f.begin(), f.begin() + 41));
  f[14 + 4] = 8;
  expect_verdict(Verdict::arp_malformed, f);
  expect_verdict(Verdict::arp_malformed, asked(3, kPeer, kOurs));
  expect_verdict(Verdict::arp_malformed, asked(wire::kArpRequest, kPeer, kOurs, wire::kMacBroadcast));
  expect_verdict(Verdict::arp_not_ours, asked(wire::kArpRequest, kPeer, kHop));
  EXPECT_TRUE(sent().empty());
}

TEST_F(ArpTest, UnsolicitedReplyAndClaimOfOurAddressAreNotBelieved) {
  expect_verdict(Verdict::arp_unsolicited, asked(wire::kArpReply, kPeer, kOurs));
  expect_verdict(Verdict::arp_unsolicited, asked(wire::kArpReply, kOurs, kOurs));
  expect_verdict(Verdict::arp_answered, asked(wire::kArpRequest, kFar, kOurs));
  Mac mac;
  EXPECT_FALSE(neighbours_.find(0, kPeer, mac));
  EXPECT_FALSE(neighbours_.find(0, kOurs, mac));
  EXPECT_FALSE(neighbours_.find(0, kFar, mac));
  sent();
}

TEST_F(ArpTest, PacketWaitsForTheAnswerAndThenGoesOut) {
  send(kPeer);
  expect_request(sent(), kPeer);
  EXPECT_TRUE(sent().empty());
  expect_verdict(Verdict::arp_learned, asked(wire::kArpReply, kPeer, kOurs));
  const Frame f = sent();
  EXPECT_EQ(f, test::eth(kPeerMac, mac_, wire::kEtherTypeIp4, ip_packet(kPeer)));
  send(kPeer);
  EXPECT_EQ(sent(), f);
}

TEST_F(ArpTest, FarDestinationGoesToTheNextHopAndNoneWithoutOne) {
  send(kFar);
  expect_request(sent(), kHop);
  plan_.ports[0].next_hop = {};
  send(kFar);
  EXPECT_EQ(count(Verdict::no_route), 1u);
  send(kVip);
  EXPECT_EQ(count(Verdict::no_route), 2u);
}

TEST_F(ArpTest, QuestionIsRepeatedThreeTimesASecondApartAndThenThePacketDropped) {
  send(kPeer);
  u32 requests = 0;
  std::vector<TimeUs> at;
  for (int i = 0; i < 100; ++i) {
    for (Frame f = sent(); !f.empty(); f = sent()) {
      expect_request(f, kPeer);
      at.push_back(now_);
      ++requests;
    }
    tick(50'000);
  }
  EXPECT_EQ(requests, 3u);
  EXPECT_NEAR(static_cast<double>(at[1] - at[0]), 1e6, 2e5);
  EXPECT_NEAR(static_cast<double>(at[2] - at[1]), 1e6, 2e5);
  EXPECT_EQ(count(Verdict::neighbour_unresolved), 1u);
  send(kPeer);
  expect_request(sent(), kPeer);
}

TEST_F(ArpTest, NoMoreThanABoundedNumberWaitsForOneNeighbour) {
  for (int i = 0; i < 20; ++i) send(kPeer);
  EXPECT_EQ(count(Verdict::neighbour_queue_full), 4u);
  send(kHop);
  EXPECT_EQ(count(Verdict::neighbour_queue_full), 4u);
}

TEST_F(ArpTest, ManyNeighboursShareOneBoundedQueue) {
  plan_.ports[0].prefix_bits = 16;
  gates_[0]->adopt(plan_, false, now_);
  for (u32 i = 0; i < 260; ++i) send(Ip4{Ip4::of(10, 0, 1, 0).v + i});
  EXPECT_EQ(count(Verdict::neighbour_queue_full), 4u);
}

TEST_F(ArpTest, EntryInUseIsConfirmedByUnicastAndForgottenWithoutAnAnswer) {
  learn_peer();
  Mac mac;
  EXPECT_TRUE(neighbours_.find(0, kPeer, mac));
  tick(59'000'000);
  EXPECT_TRUE(sent().empty());
  tick(1'200'000);
  expect_request(sent(), kPeer, kPeerMac);
  EXPECT_TRUE(neighbours_.find(0, kPeer, mac));
  tick(4'000'000);
  EXPECT_FALSE(neighbours_.find(0, kPeer, mac));
  while (!sent().empty()) {
  }
}

TEST_F(ArpTest, ConfirmedEntryStays) {
  learn_peer();
  Mac mac;
  EXPECT_TRUE(neighbours_.find(0, kPeer, mac));
  tick(60'200'000);
  expect_request(sent(), kPeer, kPeerMac);
  expect_verdict(Verdict::arp_learned, asked(wire::kArpReply, kPeer, kOurs));
  tick(10'000'000);
  EXPECT_TRUE(neighbours_.find(0, kPeer, mac));
}

TEST_F(ArpTest, EntryOutOfUseIsForgottenInSilence) {
  learn_peer();
  tick(61'000'000);
  EXPECT_TRUE(sent().empty());
  EXPECT_EQ(neighbours_.known(), 0u);
}

TEST_F(ArpTest, OtherCoreAsksThroughCoreZeroAndSendsWhenItIsKnown) {
  send(kPeer, 1);
  EXPECT_TRUE(sent(1).empty());
  EXPECT_TRUE(sent(0).empty());
  gates_[0]->housekeeping(now_);
  expect_request(sent(0), kPeer);
  expect_verdict(Verdict::handed_over, asked(wire::kArpReply, kPeer, kOurs), 1);
  Handover h;
  ASSERT_TRUE(handover_[0].pop(h));
  EXPECT_FALSE(accept(mbuf::Pkt(h.packet), 0, true));
  EXPECT_EQ(count(Verdict::arp_learned, 0), 1u);
  gates_[1]->housekeeping(now_);
  EXPECT_EQ(sent(1), test::eth(kPeerMac, mac_, wire::kEtherTypeIp4, ip_packet(kPeer)));
}

TEST_F(ArpTest, NewAddressesAreAnnouncedOnce) {
  plan_.addresses.push_back(Ip4::of(10, 9, 0, 77));
  gates_[0]->adopt(plan_, true, now_);
  const Frame f = sent();
  ASSERT_EQ(f.size(), 42u);
  const wire::ArpView a(f.data() + 14);
  EXPECT_EQ(a.operation(), wire::kArpRequest);
  EXPECT_EQ(a.sender_ip(), Ip4::of(10, 9, 0, 77));
  EXPECT_EQ(a.target_ip(), Ip4::of(10, 9, 0, 77));
  EXPECT_TRUE(sent().empty());
  gates_[0]->adopt(plan_, true, now_);
  EXPECT_TRUE(sent().empty());
}

TEST_F(ArpTest, PacketWithoutHeadroomGetsAHeaderOfItsOwn) {
  learn_peer();
  mbuf::Pkt p = packet(ip_packet(kPeer));
  rte_mbuf* m = p.get();
  std::memmove(static_cast<u8*>(m->buf_addr), p.data(), p.first_bytes());
  m->data_off = 0;
  gates_[0]->send(std::move(p), kPeer, now_);
  EXPECT_EQ(sent(), test::eth(kPeerMac, mac_, wire::kEtherTypeIp4, ip_packet(kPeer)));
}

TEST(Neighbours, FullWindowGivesUpItsOldestAndTheRestIsStillFound) {
  Neighbours n;
  // More addresses than there is room for: what is found is right, and much is.
  for (u32 i = 0; i < 3 * Neighbours::kEntries; ++i) {
    Mac mac;
    std::memcpy(mac.b.data() + 2, &i, 4);
    n.learn(0, Ip4{0x0a000000 + i}, mac, false, 1000 + i);
  }
  u32 found = 0;
  for (u32 i = 0; i < 3 * Neighbours::kEntries; ++i) {
    Mac mac;
    if (!n.find(0, Ip4{0x0a000000 + i}, mac)) continue;
    u32 v = 0;
    std::memcpy(&v, mac.b.data() + 2, 4);
    ASSERT_EQ(v, i);
    ++found;
  }
  EXPECT_GT(found, Neighbours::kEntries * 8 / 10);
  EXPECT_EQ(found, n.known());
}

}  // namespace
}  // namespace ringway::gate
