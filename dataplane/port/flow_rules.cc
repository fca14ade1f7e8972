#include "dataplane/port/flow_rules.h"

#include <algorithm>
#include <bit>

namespace ringway::port {

namespace {

// Ports [first, end) as blocks that a value and a mask describe.
template <class F>
void each_block(u32 first, u32 end, F&& visit) {
  while (first < end) {
    // The largest block that begins here: a power of two, aligned to itself, not beyond the end.
    const u32 aligned = first == 0 ? 0x1'0000 : first & -first;
    const u32 block = std::min(aligned, std::bit_floor(end - first));
    visit(static_cast<u16>(first), static_cast<u16>(~(block - 1)));
    first += block;
  }
}

}  // namespace

std::vector<DropRule> drop_rules(const contract::Ingress& ingress) {
  std::vector<DropRule> rules;
  const auto add_target = [&](wire::Ip4Prefix source, const contract::IngressTarget& to) {
    if (to.ip.is6()) return;
    each_block(to.port_first, u32{to.port_last} + 1, [&](u16 port, u16 mask) {
      rules.push_back({source, to.ip.unset() ? wire::Ip4{} : to.ip.ip4(), port, mask});
    });
  };
  const auto add_source = [&](const contract::IngressRule& rule, wire::Ip4Prefix source) {
    if (rule.to.empty()) add_target(source, {});
    for (const contract::IngressTarget& to : rule.to) add_target(source, to);
  };
  for (const contract::IngressRule& rule : ingress.rules) {
    if (rule.allow) return rules;
    if (rule.from.empty()) add_source(rule, {});
    for (const wire::Ip6Prefix& from : rule.from) {
      if (from.is4()) add_source(rule, {wire::Ip4{static_cast<u32>(from.network.low())}, static_cast<u8>(from.bits - 96)});
    }
  }
  if (!ingress.allow) add_source({}, {});
  return rules;
}

std::vector<FlowRule> return_traffic_rules(wire::Ip4 port_address, std::span<const PortSlice> slices) {
  std::vector<FlowRule> rules;
  for (u16 core = 0; core < slices.size(); ++core) {
    each_block(slices[core].first, u32{slices[core].first} + slices[core].count,
               [&](u16 port, u16 mask) { rules.push_back({port_address, port, mask, core}); });
  }
  return rules;
}

std::vector<FlowRule> return_traffic_rules(wire::Ip4 first_core_address, u32 cores) {
  std::vector<FlowRule> rules;
  for (u32 core = 0; core < cores; ++core) {
    rules.push_back({.destination = wire::Ip4{first_core_address.v + core}, .queue = static_cast<u16>(core)});
  }
  return rules;
}

}  // namespace ringway::port
