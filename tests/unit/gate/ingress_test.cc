// Ingress rules as an access control list of DPDK: what it says is what the rules say, read one after the other.

#include "dataplane/gate/ingress.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/eal.h"

namespace ringway::gate {
namespace {

using contract::Ingress;
using contract::IngressRule;
using contract::IngressTarget;
using wire::Ip;
using wire::Ip4;
using wire::Ip6;
using wire::Ip6Prefix;

Ip6Prefix net4(Ip4 ip, u32 bits) {
  const u32 mask = bits == 0 ? 0 : ~u32{0} << (32 - bits);
  return {Ip6::from_halves(0, u64{0xffff} << 32 | (ip.v & mask)), static_cast<u8>(96 + bits)};
}

// The rules, one after the other.
bool refused_by_hand(const Ingress& ingress, const Ip& remote, const Ip& local, u16 port) {
  for (const IngressRule& rule : ingress.rules) {
    const auto is_from = [&](const Ip6Prefix& p) { return p.is4() == remote.is4() && p.contains(remote.ip6()); };
    const auto is_to = [&](const IngressTarget& t) {
      return (t.ip.unset() || t.ip == local) && port >= t.port_first && port <= t.port_last;
    };
    const bool from = rule.from.empty() || std::ranges::any_of(rule.from, is_from);
    const bool to = rule.to.empty() || std::ranges::any_of(rule.to, is_to);
    if (from && to) return !rule.allow;
  }
  return !ingress.allow;
}

class IngressTest : public testing::Test {
 protected:
  void SetUp() override { test::start_eal(); }
  const contract::IngressAcl* build() {
    EXPECT_EQ(build_ingress(plan_), "");
    return plan_.ingress_acl.get();
  }
  contract::Plan plan_;
};

constexpr Ip4 kVip = Ip4::of(10, 9, 0, 1);

TEST_F(IngressTest, RulesThatRefuseNobodyAreNoList) {
  EXPECT_EQ(build(), nullptr);
  plan_.ingress.rules.push_back({.allow = true, .from = {net4(Ip4::of(10, 0, 0, 0), 8)}});
  EXPECT_EQ(build(), nullptr);
}

TEST_F(IngressTest, DefaultDenyWithoutARuleRefusesBothFamilies) {
  plan_.ingress.allow = false;
  const auto* acl = build();
  ASSERT_NE(acl, nullptr);
  EXPECT_TRUE(acl->refuses(Ip4::of(10, 1, 2, 3), kVip, 80));
  EXPECT_TRUE(acl->refuses(Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1), Ip6::of(0xfd09, 0, 0, 0, 0, 0, 0, 1), 80));
}

TEST_F(IngressTest, FirstRuleThatHoldsDecides) {
  plan_.ingress.rules = {{.allow = true, .from = {net4(Ip4::of(10, 1, 2, 3), 32)}},
                         {.allow = false, .from = {net4(Ip4::of(10, 1, 0, 0), 16)}, .to = {{.port_first = 80, .port_last = 90}}},
                         {.allow = false, .to = {{.ip = kVip, .port_first = 443, .port_last = 443}}}};
  const auto* acl = build();
  ASSERT_NE(acl, nullptr);
  EXPECT_FALSE(acl->refuses(Ip4::of(10, 1, 2, 3), kVip, 80)) << "named first";
  EXPECT_TRUE(acl->refuses(Ip4::of(10, 1, 2, 4), kVip, 80));
  EXPECT_TRUE(acl->refuses(Ip4::of(10, 1, 2, 4), kVip, 90));
  EXPECT_FALSE(acl->refuses(Ip4::of(10, 1, 2, 4), kVip, 91));
  EXPECT_FALSE(acl->refuses(Ip4::of(10, 2, 2, 4), kVip, 80));
  EXPECT_TRUE(acl->refuses(Ip4::of(10, 2, 2, 4), kVip, 443));
  EXPECT_FALSE(acl->refuses(Ip4::of(10, 2, 2, 4), Ip4::of(10, 9, 0, 2), 443)) << "another VIP";
}

TEST_F(IngressTest, AnyListSaysWhatItsRulesSayOneByOne) {
  std::mt19937 random(3);
  const auto pick = [&](u32 n) { return static_cast<u32>(random() % n); };
  // Few different bits, so that rules and addresses meet.
  const auto ip4 = [&] { return Ip4::of(10, static_cast<u8>(pick(3)), static_cast<u8>(pick(2) * 128), static_cast<u8>(pick(4))); };
  const auto ip6 = [&] {
    return Ip6::from_halves(0xfd00'0000'0000'0000 | pick(3), u64{pick(2)} << 63 | u64{pick(2)} << 32 | pick(3));
  };
  const auto under = [](const Ip6& a, u32 bits) {
    const u64 high = bits >= 64 ? a.high() : bits == 0 ? 0 : a.high() & ~u64{0} << (64 - bits);
    const u64 low = bits <= 64 ? 0 : a.low() & ~u64{0} << (128 - bits);
    return Ip6Prefix{Ip6::from_halves(high, low), static_cast<u8>(bits)};
  };
  const auto port = [&] { return static_cast<u16>(78 + pick(8)); };
  u32 refused = 0, asked = 0;
  for (u32 round = 0; round < 40; ++round) {
    plan_.ingress = {.allow = pick(2) == 0};
    for (u32 n = 1 + pick(12); n > 0; --n) {
      IngressRule rule{.allow = pick(2) == 0};
      for (u32 i = pick(3); i > 0; --i) {
        if (pick(2) == 0) {
          rule.from.push_back(net4(ip4(), pick(33)));
        } else {
          rule.from.push_back(under(ip6(), pick(129)));
        }
      }
      for (u32 i = pick(3); i > 0; --i) {
        const u16 first = port();
        IngressTarget to{.port_first = first, .port_last = static_cast<u16>(first + pick(4))};
        if (pick(2) == 0) to.ip = pick(2) == 0 ? Ip(ip4()) : Ip(ip6());
        rule.to.push_back(to);
      }
      plan_.ingress.rules.push_back(std::move(rule));
    }
    const auto* acl = build();
    if (acl == nullptr) continue;
    for (u32 i = 0; i < 500; ++i) {
      const bool is4 = pick(2) == 0;
      const Ip remote = is4 ? Ip(ip4()) : Ip(ip6()), local = is4 ? Ip(ip4()) : Ip(ip6());
      const u16 to = port();
      ASSERT_EQ(acl->refuses(remote, local, to), refused_by_hand(plan_.ingress, remote, local, to)) << "round " << round;
      refused += acl->refuses(remote, local, to) ? 1u : 0u;
      ++asked;
    }
  }
  EXPECT_GT(refused, asked / 5);
  EXPECT_LT(refused, asked * 4 / 5);
}

TEST_F(IngressTest, ManyRulesAreBuiltAndGivenBack) {
  for (u32 round = 0; round < 3; ++round) {
    plan_.ingress = {.allow = false};
    for (u32 i = 0; i < 1000; ++i) {
      plan_.ingress.rules.push_back({.allow = i % 3 != 0, .from = {net4(Ip4{Ip4::of(10, 0, 0, 0).v + i * 256}, 24)}});
    }
    const auto* acl = build();
    ASSERT_NE(acl, nullptr);
    for (u32 i = 0; i < 1000; ++i) {
      EXPECT_EQ(acl->refuses(Ip4{Ip4::of(10, 0, 0, 7).v + i * 256}, kVip, 80), i % 3 == 0) << i;
    }
  }
}

}  // namespace
}  // namespace ringway::gate
