#pragma once
// What a port that takes rte_flow rules is told, as data. FlowRule: TCP over IPv4 to one of our addresses, and of that
// perhaps only some destination ports, goes to a queue; Device::steer makes it real. DropRule: SYNs over IPv4 from a network
// are thrown away before they reach us; Device::refuse makes it real.
//
// `return_traffic_rules` says by rules what Steering::owner says by arithmetic: which core the answers to upstream
// connections belong to. Either every core has an address of its own, and one rule that matches it exactly, which every
// driver with rules takes; or all share the port's address and each has a slice of the local ports, cut into blocks of
// 2^n ports that a value and a mask describe, which only some drivers take. Clients choose their ports, so nothing is
// said of their packets: whichever queue they come by, they belong to the core that their hash names.
//
// `drop_rules` takes from gateway.ingress what stands in front of the first rule that allows something: what any order of
// drop rules says alike. Connections that are open are not touched, since only a SYN without ACK is dropped.
//
// Pure; any thread; allocates, so not for a polling core.

#include <span>
#include <vector>

#include "src/base/types.h"
#include "src/contract/access.h"
#include "src/wire/addr.h"

namespace ringway::port {

// Local TCP ports [first, first + count) of one core.
struct PortSlice {
  u16 first = 0;
  u16 count = 0;
  bool contains(u16 port) const { return port >= first && u32{port} < u32{first} + count; }
  friend bool operator==(PortSlice, PortSlice) = default;
};

struct FlowRule {
  wire::Ip4 destination;
  u16 port = 0;       // destination port, in the bits that `port_mask` names
  u16 port_mask = 0;  // 0: every port
  u16 queue = 0;
  bool matches(wire::Ip4 to, u16 to_port) const { return to == destination && (to_port & port_mask) == port; }
  friend bool operator==(const FlowRule&, const FlowRule&) = default;
};

struct DropRule {
  wire::Ip4Prefix source;
  wire::Ip4 destination;  // 0.0.0.0: any
  u16 port = 0;
  u16 port_mask = 0;      // 0: every port
  bool matches(wire::Ip4 from, wire::Ip4 to, u16 to_port) const {
    return source.contains(from) && (destination.v == 0 || to == destination) && (to_port & port_mask) == port;
  }
  friend bool operator==(const DropRule&, const DropRule&) = default;
};

std::vector<DropRule> drop_rules(const contract::Ingress& ingress);

// One slice per core; queue i is core i's.
std::vector<FlowRule> return_traffic_rules(wire::Ip4 port_address, std::span<const PortSlice> slices);
// Core i's address is `first_core_address` + i.
std::vector<FlowRule> return_traffic_rules(wire::Ip4 first_core_address, u32 cores);

}  // namespace ringway::port
