#pragma once
// Steering: which core owns a flow, in four modes, and why this one is in force.
//
//   single    one core: nothing to decide.
//   rte_flow  the NIC has rules that send return traffic of upstream connections, told by their local port, to the core
//             whose slice of the local port range holds it; client flows stay where RSS puts them.
//   rss       the NIC spreads all flows by Toeplitz; local ports are chosen so that return traffic lands on the core
//             that opened the connection (lookup/toeplitz.h). Client flows stay where they land.
//   handover  the receiving core passes packets to the owner over a ring. Return traffic (to a port's own address and a
//             port in the local range) belongs to the core whose slice holds the port; all else to hash % cores.
//             Right with any port, and the only mode that needs nothing of it: the same flow may change its queue.
//
// The constructor chooses between single and handover: both are right with any port. rte_flow and rss are names for what
// a NIC may take over from handover.
//
// Built once on the control thread from opened devices, read-only afterwards; any thread.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/port/device.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/wire/addr.h"

namespace ringway::port {

// Local TCP ports [first, first + count) of one core.
struct PortSlice {
  u16 first = 0;
  u16 count = 0;
  bool contains(u16 port) const { return port >= first && u32{port} < u32{first} + count; }
  friend bool operator==(PortSlice, PortSlice) = default;
};

// The range that upstream connections take their local ports from (RFC 6335: dynamic ports begin at 49152; Ringway's
// addresses have no other user, so more is free).
inline constexpr PortSlice kLocalPorts{16'384, 49'152};

struct SteeringConfig {
  u32 cores = 1;                          // 1..kCoresMax
  std::vector<const Device*> devices{};    // of every port
  std::vector<wire::Ip4> port_addresses{};  // from which upstream connections are opened
  PortSlice local_ports = kLocalPorts;    // shared out among the cores
};

class Steering {
 public:
  enum class Mode : u8 { single, rte_flow, rss, handover };

  // One core: single; more: handover.
  explicit Steering(const SteeringConfig& config);

  Mode mode() const { return mode_; }
  std::string_view mode_name() const;
  // One sentence: why this mode and none of the cheaper ones.
  std::string_view why() const { return why_; }

  u32 cores() const { return cores_; }
  // The local ports that core `core` opens upstream connections from.
  PortSlice slice(u32 core) const;

  // The core that owns the flow; `hash` is the segment's flow hash, the same on every core; `rx_core` received it.
  u32 owner(const wire::FourTuple& tuple, u32 hash, u32 rx_core) const {
    if (mode_ != Mode::handover) return rx_core;
    if (all_.contains(tuple.local_port)) {
      for (const wire::Ip4 address : port_addresses_) {
        if (address == tuple.local) return slice_owner(tuple.local_port);
      }
    }
    return static_cast<u32>(u64{hash} * cores_ >> 32);
  }

 private:
  u32 slice_owner(u16 port) const {
    return static_cast<u32>((u64{port} - all_.first) * slice_reciprocal_ >> 32);
  }

  Mode mode_ = Mode::single;
  u32 cores_;
  PortSlice all_;              // what the slices cover together, a multiple of the cores
  u32 slice_ports_;            // of each core
  u64 slice_reciprocal_;       // 2^32 / slice_ports_ rounded up: exact for 16-bit ports, and no division
  std::vector<wire::Ip4> port_addresses_;
  std::string why_;
};

}  // namespace ringway::port
