#include "dataplane/port/flow_rules.h"

#include <algorithm>
#include <bit>

namespace ringway::port {

std::vector<FlowRule> return_traffic_rules(wire::Ip4 port_address, std::span<const PortSlice> slices) {
  std::vector<FlowRule> rules;
  for (u16 core = 0; core < slices.size(); ++core) {
    u32 at = slices[core].first;
    for (u32 left = slices[core].count; left > 0;) {
      // The largest block that begins here: a power of two, aligned to itself, not beyond the slice.
      const u32 aligned = at == 0 ? 0x1'0000 : at & -at;
      const u32 block = std::min(aligned, std::bit_floor(left));
      rules.push_back({port_address, static_cast<u16>(at), static_cast<u16>(~(block - 1)), core});
      at += block;
      left -= block;
    }
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
