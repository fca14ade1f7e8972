// Multicast listener discovery: which groups are reported, when, and to whom (RFC 3810; RFC 2710 towards old routers).

#include <set>

#include "src/wire/mld.h"
#include "src/wire/text.h"
#include "tests/unit/gate/fixture6.h"

namespace ringway::gate {
namespace {

constexpr Ip6 kRouter6 = Ip6::of(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
constexpr Ip6 kNew6 = Ip6::of(0xfd00, 9, 0, 0, 0, 0, 0x12, 0x3456);
constexpr u32 kReportAt = 14 + wire::kIp6HeaderBytes + wire::kIp6RouterAlertBytes;

std::string text(const Ip6& a) { return wire::to_string(wire::Ip(a)); }

class MldTest : public Gate6Test {
 protected:
  void SetUp() override {
    Gate6Test::SetUp();
    tick(3'000'000);
    reported();
  }

  struct Report {
    std::multiset<std::string> groups;  // as text
    std::set<u8> kinds;                 // of records; empty: of version 1
    u32 packets = 0;
    bool operator==(const Report&) const = default;
  };
  // What has been reported since the last call; the other frames are thrown away.
  Report reported() {
    Report out;
    for (Frame f = sent(); !f.empty(); f = sent()) {
      const wire::Ip6View ip(f.data() + 14);
      if (wire::EthView(f.data()).type() != wire::kEtherTypeIp6 || ip.next_header() != wire::kIp6HopByHop) continue;
      ++out.packets;
      read_report(f, out);
    }
    return out;
  }
  void read_report(const Frame& f, Report& out) {
    const wire::Ip6View ip(f.data() + 14);
    EXPECT_EQ(ip.hop_limit(), 1);
    EXPECT_EQ(ip.source(), link_local_);
    EXPECT_EQ(f.size(), 54 + ip.payload_bytes());
    EXPECT_LE(ip.payload_bytes() + 40u, wire::kIp6MtuMin);
    EXPECT_TRUE(wire::has_router_alert(Bytes(f).subspan(54, 8)));
    EXPECT_EQ(wire::EthView(f.data()).destination(), wire::multicast_mac(ip.destination()));
    const Bytes message = Bytes(f).subspan(kReportAt);
    wire::Checksum sum(wire::pseudo_header_sum(ip.source(), ip.destination(), wire::kIpProtoIcmp6, static_cast<u32>(message.size())));
    sum.add(message);
    EXPECT_TRUE(sum.verifies());
    const wire::Icmp6View icmp(message.data());
    if (icmp.type() == Icmp6Type::mld1_report) {
      ASSERT_EQ(message.size(), wire::kMldBytes);
      EXPECT_EQ(wire::load_ip6(&message[8]), ip.destination());
      out.groups.insert(text(ip.destination()));
      return;
    }
    ASSERT_EQ(icmp.type(), Icmp6Type::mld2_report);
    EXPECT_EQ(ip.destination(), wire::kIp6MldRouters);
    ASSERT_EQ(message.size(), 8 + 20 * icmp.rest());
    for (u32 at = 8; at < message.size(); at += 20) {
      out.kinds.insert(message[at]);
      EXPECT_EQ(wire::load_be32(&message[at]) & 0xff'ffff, 0u);  // neither auxiliary data nor sources
      out.groups.insert(text(wire::load_ip6(&message[at + 4])));
    }
  }
  std::multiset<std::string> groups_of(const std::vector<Ip6>& addresses) {
    std::multiset<std::string> out;
    for (const Ip6& a : addresses) out.insert(text(wire::solicited_node(a)));
    return out;
  }
  std::multiset<std::string> all_groups() { return groups_of({kOurs6, kVip6, kDns6, link_local_}); }

  struct Query {
    Ip6 from = kRouter6;
    Ip6 to = wire::kIp6AllNodes;
    u16 code = 1000;
    u32 bytes = wire::kMld2QueryBytes;
    u8 hop_limit = 1;
    Frame options = {5, 2, 0, 0, 1, 0};
  };
  Frame query(const Query& q) {
    Frame message(q.bytes);
    if (q.bytes >= 8) wire::write_icmp6(message.data(), Icmp6Type::mld_query, 0, u32{q.code} << 16);
    Frame body{wire::kIpProtoIcmp6, 0};
    test::append(body, q.options);
    test::append(body, q.bytes >= 8 ? test::summed6(q.from, q.to, wire::kIpProtoIcmp6, message, 2) : message);
    return from_peer6(test::ip6(q.from, q.to, wire::kIp6HopByHop, body, q.hop_limit));
  }
  Frame query() { return query(Query{}); }
};

TEST_F(MldTest, Rfc3810_6_1_NewAddressesAreReportedTwice) {
  plan_.addresses.push_back(kNew6);
  gates_[0]->adopt(plan_, true, now_);
  const Report first = reported();
  EXPECT_EQ(first.groups, groups_of({kOurs6, kVip6, kDns6, kNew6, link_local_}));
  EXPECT_EQ(first.kinds, std::set<u8>{4});
  tick(900'000);
  EXPECT_EQ(reported().packets, 0u);
  tick(200'000);
  EXPECT_EQ(reported(), first);
  tick(5'000'000);
  EXPECT_EQ(reported().packets, 0u);
}

TEST_F(MldTest, NothingNew_NothingIsReported) {
  gates_[0]->adopt(plan_, true, now_);
  tick(3'000'000);
  EXPECT_EQ(reported().packets, 0u);
}

TEST_F(MldTest, Rfc3810_6_2_QuestionIsAnsweredWithAllGroupsInTime) {
  expect_verdict(Verdict::mld_heard, query());
  tick(1'050'000);
  const Report answer = reported();
  EXPECT_EQ(answer.groups, all_groups());
  EXPECT_EQ(answer.kinds, std::set<u8>{2});
  EXPECT_EQ(answer.packets, 1u);
  tick(5'000'000);
  EXPECT_EQ(reported().packets, 0u);
}

TEST_F(MldTest, QuestionAboutOneGroupIsAnsweredToo) {
  expect_verdict(Verdict::mld_heard, query({.to = wire::solicited_node(kVip6)}));
  tick(1'050'000);
  EXPECT_EQ(reported().groups, all_groups());
}

TEST_F(MldTest, AnswersWaitARandomTime) {
  std::set<u32> waits;
  for (int round = 0; round < 8; ++round) {
    expect_verdict(Verdict::mld_heard, query({.code = 10'000}));
    u32 ms = 0;
    for (; reported().packets == 0 && ms <= 10'100; ms += 50) tick(50'000);
    EXPECT_LE(ms, 10'050u);
    waits.insert(ms);
    tick(1'000'000);
  }
  EXPECT_GT(waits.size(), 4u);
}

TEST_F(MldTest, LongWaitIsAFloatingPointNumberOfVersion2) {
  u8 message[wire::kMld2QueryBytes] = {130, 0, 0, 0, 0x8f, 0xff};
  EXPECT_EQ(wire::MldQueryView(message, wire::kMld2QueryBytes).answer_within_us(), u64{0x1fff << 3} * 1000);
  EXPECT_EQ(wire::MldQueryView(message, wire::kMldBytes).answer_within_us(), u64{0x8fff} * 1000);
  message[4] = 0x7f;
  EXPECT_EQ(wire::MldQueryView(message, wire::kMld2QueryBytes).answer_within_us(), u64{0x7fff} * 1000);
}

TEST_F(MldTest, FloodOfQuestionsIsAnsweredOnceASecond) {
  u32 packets = 0;
  for (int ms = 0; ms < 3000; ms += 50) {
    for (int n = 0; n < 20; ++n) expect_verdict(Verdict::mld_heard, query({.code = 0}));
    tick(50'000);
    packets += reported().packets;
  }
  EXPECT_EQ(packets, 3u);
}

TEST_F(MldTest, Rfc3810_8_2_1_OldRouterGetsAReportForEachGroup) {
  expect_verdict(Verdict::mld_heard, query({.bytes = wire::kMldBytes}));
  tick(1'050'000);
  const Report old{.groups = all_groups(), .kinds = {}, .packets = 4};
  EXPECT_EQ(reported(), old);
  // The other router's questions are answered in the old way too as long as the old one may be there.
  tick(250'000'000);
  expect_verdict(Verdict::mld_heard, query());
  tick(1'050'000);
  EXPECT_EQ(reported(), old);
  tick(20'000'000);
  expect_verdict(Verdict::mld_heard, query());
  tick(1'050'000);
  EXPECT_EQ(reported().kinds, std::set<u8>{2});
}

TEST_F(MldTest, ManyGroupsTakeSeveralPackets) {
  std::vector<Ip6> all{kOurs6, kVip6, kDns6, link_local_};
  for (u16 n = 0; n < 3000; ++n) {
    all.push_back(Ip6::of(0xfd00, 9, 0, 0, 0, 0, 2, n));
    plan_.addresses.push_back(all.back());
  }
  gates_[0]->adopt(plan_, true, now_);
  Report seen = reported();
  EXPECT_LE(seen.packets, 16u);  // a turn has its bound
  for (int turn = 0; turn < 200; ++turn) {
    gates_[0]->housekeeping(now_);
    const Report more = reported();
    seen.groups.insert(more.groups.begin(), more.groups.end());
    seen.packets += more.packets;
  }
  EXPECT_EQ(seen.groups, groups_of(all));
  EXPECT_EQ(seen.packets, 50u);
}

TEST_F(MldTest, Rfc3810_6_2_QuestionsThatAreNone) {
  expect_verdict(Verdict::mld_malformed, query({.from = kPeer6}));
  expect_verdict(Verdict::mld_malformed, query({.hop_limit = 2}));
  expect_verdict(Verdict::mld_malformed, query({.options = {1, 4, 0, 0, 0, 0}}));
  for (const u32 bytes : {23u, 25u, 27u}) expect_verdict(Verdict::mld_malformed, query({.bytes = bytes}));
  // Without hop-by-hop options at all.
  expect_verdict(Verdict::mld_malformed,
                 from_peer6(test::icmp6(kRouter6, wire::kIp6AllNodes, Icmp6Type::mld_query, 0, Frame(20), 1000u << 16, 1)));
  tick(3'000'000);
  EXPECT_EQ(reported().packets, 0u);
}

TEST_F(MldTest, HopByHopOptionsOpenTheLinkForNothingElse) {
  Frame body{wire::kIpProtoTcp, 0, 1, 4, 0, 0, 0, 0};
  test::append(body, test::tcp6_body(kPeer6, 5, link_local_, 80, kSyn));
  expect_verdict(Verdict::ip6_not_ours, from_peer6(test::ip6(kPeer6, link_local_, wire::kIp6HopByHop, body)));
  EXPECT_TRUE(sent().empty());
}

TEST_F(MldTest, PortWithoutIp6TellsNothing) {
  plan_.ports[0].ip6 = {};
  plan_.addresses.push_back(kNew6);
  gates_[0]->adopt(plan_, true, now_);
  tick(2'000'000);
  EXPECT_EQ(reported().packets, 0u);
}

TEST_F(MldTest, OtherCoresHandQuestionsOver) {
  expect_verdict(Verdict::handed_over, query(), 1);
}

}  // namespace
}  // namespace ringway::gate
