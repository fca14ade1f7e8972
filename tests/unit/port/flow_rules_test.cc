// Flow rules as data: every packet of return traffic is matched by exactly one rule, and that rule names the queue of the
// core that Steering calls the owner; nothing else is matched.

#include "dataplane/port/flow_rules.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/port/steering.h"
#include "tests/unit/port/addresses.h"

namespace ringway::port {
namespace {

constexpr wire::Ip4 kOther = wire::Ip4::of(10, 0, 1, 1);

TEST(FlowRules, SliceIsCutIntoBlocksThatAMaskDescribes) {
  const PortSlice slices[] = {{16'384, 24'576}, {40'960, 24'576}};
  const std::vector<FlowRule> wanted{{kOurs, 0x4000, 0xc000, 0}, {kOurs, 0x8000, 0xe000, 0},
                                     {kOurs, 0xa000, 0xe000, 1}, {kOurs, 0xc000, 0xc000, 1}};
  EXPECT_EQ(return_traffic_rules(kOurs, slices), wanted);
}

TEST(FlowRules, PortsOfASliceMatchOneRuleOfTheirCoreAndOthersNone) {
  for (const u32 cores : {2u, 3u, 5u, 16u, 61u}) {
    const Steering s({.cores = cores, .port_addresses = {kOurs, kOther}});
    const std::vector<FlowRule> rules = s.rules();
    EXPECT_LE(rules.size(), 2 * cores * 2 * 16);
    const u32 covered = 49'152 / cores * cores;
    for (const wire::Ip4 address : {kOurs, kOther, kPeer}) {
      for (u32 port = 0; port < 65'536; port += port < 16'380 ? 97 : 1) {
        const auto matches = [&](const FlowRule& r) { return r.matches(address, static_cast<u16>(port)); };
        const bool return_traffic = address != kPeer && port >= 16'384 && port < 16'384 + covered;
        ASSERT_EQ(std::ranges::count_if(rules, matches), return_traffic ? 1 : 0) << cores << " cores, port " << port;
        if (!return_traffic) continue;
        const u32 owner = s.owner({address, kPeer, static_cast<u16>(port), 80}, 0, 0);
        ASSERT_EQ(std::ranges::find_if(rules, matches)->queue, owner) << cores << " cores, port " << port;
      }
    }
  }
}

TEST(FlowRules, AddressOfACoreNeedsOneExactRule) {
  const Steering s({.cores = 3, .port_addresses = {kOurs, kOther}, .core_addresses = {wire::Ip4::of(10, 0, 0, 100),
                                                                                      wire::Ip4::of(10, 0, 1, 100)}});
  const std::vector<FlowRule> rules = s.rules();
  ASSERT_EQ(rules.size(), 6u);
  for (const FlowRule& rule : rules) {
    EXPECT_EQ(rule.port_mask, 0);
    EXPECT_EQ(s.owner({rule.destination, kPeer, 20'000, 80}, 0, 0), rule.queue);
  }
}

// --- drop rules: a port throws away only what the rules refuse, and of what they refuse all that stands before an exception

TEST(DropRules, AreThoseBeforeTheFirstThatAllows) {
  const wire::Ip6Prefix ten{wire::Ip6::from_halves(0, u64{0xffff} << 32 | wire::Ip4::of(10, 0, 0, 0).v), 96 + 8};
  const wire::Ip6Prefix far{wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 0), 8};
  contract::Ingress ingress{.allow = false};
  ingress.rules = {{.allow = false, .from = {ten, far}, .to = {{.ip = kOurs, .port_first = 80, .port_last = 95}}},
                   {.allow = true, .from = {ten}},
                   {.allow = false}};
  const std::vector<DropRule> wanted{{{wire::Ip4::of(10, 0, 0, 0), 8}, kOurs, 80, 0xfff0}};
  EXPECT_EQ(drop_rules(ingress), wanted);
  ingress.rules.clear();
  EXPECT_EQ(drop_rules(ingress), (std::vector<DropRule>{{}})) << "default deny and nothing else: everything";
  ingress.allow = true;
  EXPECT_TRUE(drop_rules(ingress).empty());
}

TEST(DropRules, RangesOfPortsAreCutWithoutAGapOrAnExcess) {
  for (const auto& [first, last] : {std::pair<u16, u16>{1, 1}, {1, 65'535}, {0, 65'535}, {8000, 8100}, {1023, 1025}, {40'000, 65'535}}) {
    contract::Ingress ingress;
    ingress.rules = {{.allow = false, .to = {{.port_first = first, .port_last = last}}}};
    const std::vector<DropRule> rules = drop_rules(ingress);
    EXPECT_LE(rules.size(), 30u);
    for (u32 port = 0; port < 65'536; ++port) {
      const auto matches = [&](const DropRule& r) { return r.matches(kPeer, kOurs, static_cast<u16>(port)); };
      ASSERT_EQ(std::ranges::count_if(rules, matches), port >= first && port <= last ? 1 : 0) << port;
    }
  }
}

}  // namespace
}  // namespace ringway::port
