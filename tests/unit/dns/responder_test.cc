// The responder by RFC 1035, 2308, 4343, 6891, 8020: message by message.

#include "dataplane/dns/responder.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "src/wire/dns.h"

namespace ringway::dns {
namespace {

using wire::DnsRcode;
using Message = std::vector<u8>;

struct Ask {
  std::string name = "auth-service";
  u16 type = wire::kDnsTypeA;
  u16 klass = wire::kDnsClassIn;
  u8 flags = 1;
  int edns_bytes = -1;
  u8 edns_version = 0;
  bool dnssec = false;
};

void put16(Message& m, u16 v) {
  m.push_back(static_cast<u8>(v >> 8));
  m.push_back(static_cast<u8>(v));
}

Message ask(const Ask& a) {
  Message m{0xab, 0xcd, a.flags, 0, 0, 1, 0, 0, 0, 0, 0, static_cast<u8>(a.edns_bytes >= 0)};
  std::size_t at = 0;
  while (at < a.name.size()) {
    const std::size_t dot = std::min(a.name.find('.', at), a.name.size());
    m.push_back(static_cast<u8>(dot - at));
    for (; at < dot; ++at) m.push_back(static_cast<u8>(a.name[at]));
    ++at;
  }
  m.push_back(0);
  put16(m, a.type);
  put16(m, a.klass);
  if (a.edns_bytes >= 0) {
    m.push_back(0);
    put16(m, wire::kDnsTypeOpt);
    put16(m, static_cast<u16>(a.edns_bytes));
    for (u8 b : Message{0, a.edns_version, static_cast<u8>(a.dnssec ? 0x80 : 0), 0, 0, 0}) m.push_back(b);
  }
  return m;
}

class Responder : public testing::Test {
 protected:
  Responder() {
    plan.dns_ttl_s = 5;
    plan.dns_names = {{"api-service", wire::Ip4::of(10, 9, 0, 2)},
                      {"auth-service", wire::Ip4::of(10, 9, 0, 1)},
                      {"deep.inner.mesh.local", wire::Ip4::of(10, 9, 0, 3)},
                      {"shop.example.org", wire::Ip4::of(10, 9, 0, 4)}};
    plan.dns_zones = {"mesh.local"};
  }
  Message reply(const Message& query, std::size_t room = kAnswerBytesMax) {
    Message out(room, 0xee);
    out.resize(answer(query, plan, out));
    return out;
  }
  static DnsRcode rcode(const Message& m) { return static_cast<DnsRcode>(m[3] & 15); }
  static u16 answers(const Message& m) { return wire::load_be16(&m[6]); }
  static u16 authorities(const Message& m) { return wire::load_be16(&m[8]); }
  static bool authoritative(const Message& m) { return (m[2] & 4) != 0; }
  static bool truncated(const Message& m) { return (m[2] & 2) != 0; }
  contract::Plan plan;
};

TEST_F(Responder, KnownNameGetsItsAddress) {
  const Message q = ask({});
  const Message r = reply(q);
  ASSERT_EQ(r.size(), q.size() + 16);
  EXPECT_EQ(wire::load_be16(&r[0]), 0xabcd);
  EXPECT_EQ(r[2], 0x85);  // QR, AA, RD as asked
  EXPECT_EQ(r[3], 0);
  EXPECT_TRUE(std::equal(q.begin() + 12, q.end(), r.begin() + 12));
  const u8* a = &r[q.size()];
  EXPECT_EQ(wire::load_be16(a), 0xc00c);
  EXPECT_EQ(wire::load_be16(a + 2), wire::kDnsTypeA);
  EXPECT_EQ(wire::load_be32(a + 6), 5u);
  EXPECT_EQ(wire::load_be16(a + 10), 4);
  EXPECT_EQ(wire::load_be32(a + 12), wire::Ip4::of(10, 9, 0, 1).v);
}

TEST_F(Responder, Rfc4343_CaseIsIgnoredAndEchoedAsSent) {
  const Message q = ask({.name = "AuTh-SeRvIcE"});
  const Message r = reply(q);
  EXPECT_EQ(answers(r), 1);
  EXPECT_TRUE(std::equal(q.begin() + 12, q.end(), r.begin() + 12));
}

TEST_F(Responder, Rfc3596_EachFamilyHasItsRecordAndTheOtherIsNoData) {
  const wire::Ip6 vip6 = wire::Ip6::of(0xfd00, 9, 0, 0, 0, 0, 0, 7);
  plan.dns_names.insert(plan.dns_names.begin() + 2, {"auth-service", vip6});
  plan.dns_names.insert(plan.dns_names.begin() + 3, {"both-not", vip6});
  const Message aaaa = reply(ask({.type = wire::kDnsTypeAaaa}));
  EXPECT_EQ(answers(aaaa), 1);
  EXPECT_EQ(wire::load_be16(&aaaa[aaaa.size() - 26]), wire::kDnsTypeAaaa);
  EXPECT_EQ(wire::load_be16(&aaaa[aaaa.size() - 18]), 16);
  EXPECT_EQ(wire::load_ip6(&aaaa[aaaa.size() - 16]), vip6);
  const Message a = reply(ask({}));
  EXPECT_EQ(answers(a), 1);
  EXPECT_EQ(wire::load_be32(&a[a.size() - 4]), wire::Ip4::of(10, 9, 0, 1).v);
  EXPECT_EQ(answers(reply(ask({.type = wire::kDnsTypeAny}))), 2);
  const Message none = reply(ask({.name = "both-not"}));
  EXPECT_EQ(rcode(none), DnsRcode::no_error);
  EXPECT_EQ(answers(none), 0);
  EXPECT_EQ(authorities(none), 1);
}

TEST_F(Responder, Rfc2308_KnownNameOfAnotherTypeIsNoDataWithSoa) {
  const Message r = reply(ask({.type = 28}));
  EXPECT_EQ(rcode(r), DnsRcode::no_error);
  EXPECT_EQ(answers(r), 0);
  EXPECT_EQ(authorities(r), 1);
  EXPECT_TRUE(authoritative(r));
  // Negative TTL: the SOA's and its minimum.
  EXPECT_EQ(wire::load_be32(&r[r.size() - 4]), 5u);
}

TEST_F(Responder, Rfc2308_UnknownNameBelowAZoneIsNxDomainWithTheZonesSoa) {
  const Message q = ask({.name = "nobody.mesh.local"});
  const Message r = reply(q);
  EXPECT_EQ(rcode(r), DnsRcode::nx_domain);
  EXPECT_EQ(authorities(r), 1);
  // The owner is "mesh.local": a pointer into the question, behind "nobody".
  EXPECT_EQ(wire::load_be16(&r[q.size()]), 0xc000 | (12 + 7));
  EXPECT_EQ(wire::load_be16(&r[q.size() + 2]), wire::kDnsTypeSoa);
}

TEST_F(Responder, UnknownSingleLabelIsNxDomainOfTheRoot) {
  const Message q = ask({.name = "nobody"});
  const Message r = reply(q);
  EXPECT_EQ(rcode(r), DnsRcode::nx_domain);
  const u16 owner = wire::load_be16(&r[q.size()]) & 0x3fff;
  EXPECT_EQ(r[owner], 0);
}

TEST_F(Responder, ZoneItselfAndNamesAboveKnownOnesExistWithoutAddresses) {
  for (const char* name : {"mesh.local", "inner.mesh.local"}) {
    const Message r = reply(ask({.name = name}));
    EXPECT_EQ(rcode(r), DnsRcode::no_error) << name;
    EXPECT_EQ(answers(r), 0) << name;
    EXPECT_EQ(authorities(r), 1) << name;
  }
}

TEST_F(Responder, ForeignNameIsRefusedWithoutAuthority) {
  for (const char* name : {"www.example.com", "example.org", "notmesh.local", "local.", ""}) {
    const Message r = reply(ask({.name = name}));
    if (std::string(name) == "local.") continue;
    EXPECT_EQ(rcode(r), DnsRcode::refused) << name;
    EXPECT_FALSE(authoritative(r));
    EXPECT_EQ(answers(r) + authorities(r), 0);
  }
  EXPECT_EQ(answers(reply(ask({.name = "shop.example.org"}))), 1);
}

TEST_F(Responder, OtherClassIsRefusedAndAnyClassAndAnyTypeAreAnswered) {
  EXPECT_EQ(rcode(reply(ask({.klass = 3}))), DnsRcode::refused);
  EXPECT_EQ(answers(reply(ask({.klass = wire::kDnsClassAny}))), 1);
  EXPECT_EQ(answers(reply(ask({.type = wire::kDnsTypeAny}))), 1);
}

TEST_F(Responder, OtherOpcodeIsNotImplemented) {
  const Message r = reply(ask({.flags = 0x28}));
  EXPECT_EQ(rcode(r), DnsRcode::not_imp);
  EXPECT_EQ(r.size(), 12u);
  EXPECT_EQ(r[2] & 0x78, 0x28);
}

TEST_F(Responder, ResponsesAndFragmentsOfHeadersGetNoAnswer) {
  EXPECT_TRUE(reply(ask({.flags = 0x80})).empty());
  EXPECT_TRUE(reply(Message(11)).empty());
}

TEST_F(Responder, BrokenMessagesAreFormErr) {
  Message two = ask({});
  two[5] = 2;
  EXPECT_EQ(rcode(reply(two)), DnsRcode::form_err);
  Message none = ask({});
  none[5] = 0;
  EXPECT_EQ(rcode(reply(none)), DnsRcode::form_err);
  const Message loop{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1};
  EXPECT_EQ(rcode(reply(loop)), DnsRcode::form_err);
  const Message whole = ask({.edns_bytes = 1232});
  for (std::size_t n = 12; n < whole.size(); ++n) {
    const Message r = reply(Message(whole.begin(), whole.begin() + static_cast<long>(n)));
    EXPECT_EQ(rcode(r), DnsRcode::form_err) << n;
  }
}

TEST_F(Responder, Rfc6891_OptIsAnsweredByOptAndDnssecOkCopied) {
  const Message q = ask({.edns_bytes = 4096, .dnssec = true});
  const Message r = reply(q);
  EXPECT_EQ(answers(r), 1);
  EXPECT_EQ(wire::load_be16(&r[10]), 1);
  const u8* opt = &r[r.size() - 11];
  EXPECT_EQ(opt[0], 0);
  EXPECT_EQ(wire::load_be16(opt + 1), wire::kDnsTypeOpt);
  EXPECT_EQ(wire::load_be16(opt + 3), kAnswerBytesMax);
  EXPECT_EQ(opt[5], 0);
  EXPECT_EQ(opt[7], 0x80);
}

TEST_F(Responder, Rfc6891_UnknownVersionIsBadVers) {
  const Message r = reply(ask({.edns_bytes = 4096, .edns_version = 1}));
  EXPECT_EQ(r[3] & 15, 0);
  EXPECT_EQ(r[r.size() - 11 + 5], 1);
  EXPECT_EQ(answers(r), 0);
}

TEST_F(Responder, Rfc6891_TwoOptsAreFormErr) {
  Message q = ask({.edns_bytes = 512});
  const Message opt(q.end() - 11, q.end());
  q.insert(q.end(), opt.begin(), opt.end());
  q[11] = 2;
  EXPECT_EQ(rcode(reply(q)), DnsRcode::form_err);
}

TEST_F(Responder, AnswerBeyondTheAskersSizeIsTruncatedToTheQuestion) {
  plan.dns_names.clear();
  for (u32 i = 0; i < 40; ++i) plan.dns_names.push_back({"auth-service", wire::Ip4{i + 1}});
  const Message q = ask({});
  const Message cut = reply(q);
  EXPECT_TRUE(truncated(cut));
  EXPECT_EQ(answers(cut), 0);
  EXPECT_EQ(cut.size(), q.size());
  const Message whole = reply(ask({.edns_bytes = 1232}));
  EXPECT_FALSE(truncated(whole));
  EXPECT_EQ(answers(whole), 40);
  const Message small = reply(ask({.edns_bytes = 100}));
  EXPECT_TRUE(truncated(small));
  EXPECT_LE(small.size(), 512u);
}

TEST_F(Responder, DotInsideALabelIsNotADotBetweenLabels) {
  Message q{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10};
  for (char c : std::string("mesh.local")) q.push_back(static_cast<u8>(c));
  for (u8 b : Message{0, 0, 1, 0, 1}) q.push_back(b);
  EXPECT_EQ(rcode(reply(q)), DnsRcode::nx_domain);  // a single label nobody has
}

TEST_F(Responder, NoQueryMakesItWriteBeyondItsRoom) {
  std::mt19937 rng(9);
  const Message base = ask({.name = "deep.inner.mesh.local", .edns_bytes = 600});
  for (int i = 0; i < 200'000; ++i) {
    Message q = base;
    for (u32 k = 0; k < 1 + rng() % 4; ++k) q[rng() % q.size()] = static_cast<u8>(rng());
    q.resize(rng() % (q.size() + 1));
    u8 out[600];
    std::fill(std::begin(out), std::end(out), u8{0x5a});
    const u32 n = answer(q, plan, MutBytes(out, 512));
    ASSERT_LE(n, 512u);
    ASSERT_EQ(out[512], 0x5a);
  }
}

}  // namespace
}  // namespace ringway::dns
