#pragma once
// path_sizes: how large packets may be by where they go, as one list of which the first entry that fits counts.
//
// The order is that of the gate's routes: connected networks of the ports in turn, then the first port with a next hop. In
// front of each stand the port's own paths within it, the longest prefix first. Made by the control thread for the Plan; read
// by TCP when a connection opens (RFC 9293 3.7.1).

#include <algorithm>
#include <vector>

#include "src/contract/plan.h"

namespace ringway::contract {

inline wire::Ip6Prefix mapped(wire::Ip4 network, u8 bits) {
  return {wire::Ip6::from_halves(0, u64{0xffff} << 32 | network.v), static_cast<u8>(96 + bits)};
}

inline std::vector<PathSize> path_sizes(const std::vector<PortNet>& ports) {
  std::vector<PathSize> out;
  const auto add = [&](u8 index, const wire::Ip6Prefix& whole) {
    const PortNet& port = ports[index];
    const std::size_t first = out.size();
    for (const PathSize& p : port.paths) {
      if (p.to.bits < whole.bits || !whole.contains(p.to.network)) continue;
      out.push_back({p.to, std::min(p.packet_bytes, port.mtu), index});
    }
    std::stable_sort(out.begin() + static_cast<long>(first), out.end(),
                     [](const PathSize& a, const PathSize& b) { return a.to.bits > b.to.bits; });
    out.push_back({whole, port.mtu, index});
  };
  const auto each = [&](const auto& wanted, const auto& whole, bool once) {
    for (std::size_t i = 0; i < ports.size(); ++i) {
      if (!wanted(ports[i])) continue;
      add(static_cast<u8>(i), whole(ports[i]));
      if (once) return;
    }
  };
  each([](const PortNet& p) { return p.ip.v != 0; }, [](const PortNet& p) { return mapped(p.ip, p.prefix_bits); }, false);
  each([](const PortNet& p) { return p.next_hop.v != 0; }, [](const PortNet&) { return mapped({}, 0); }, true);
  each([](const PortNet& p) { return p.has6(); }, [](const PortNet& p) { return wire::Ip6Prefix{p.ip6, p.prefix6_bits}; }, false);
  each([](const PortNet& p) { return p.has6() && (p.next_hop6 != wire::Ip6{} || p.router_advertisements); }, [](const PortNet&) { return wire::Ip6Prefix{}; },
       true);
  return out;
}

}  // namespace ringway::contract
