#pragma once
// Steering: which core owns a flow, in four modes, and why this one is in force.
//
//   single    one core: nothing to decide.
//   rss       every port took our key and table and showed them again: flows belong to the core of the queue that the
//             key and the table name. Local ports are chosen so that return traffic lands on the core that opened the
//             connection (lookup/toeplitz.h), so nothing is handed over as long as the port does what it says. What
//             arrives at another queue all the same (an ICMP error, a port that hashes otherwise) is handed over.
//   flow      as handover, and every port took rules (flow_rules.h) that bring return traffic to its core's queue, so
//             that only packets of clients are handed over.
//   handover  the receiving core passes packets to the owner over a ring. Return traffic belongs to the core whose own
//             address it is sent to, or, where cores share a port's address, to the core whose slice holds the local
//             port; all else to hash % cores. Right with any port, and the only mode that needs nothing of it: the same
//             flow may change its queue.
//
// Built once on the control thread from opened devices, read-only afterwards; any thread.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/port/device.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/lookup/toeplitz.h"
#include "src/wire/addr.h"

namespace ringway::port {

// The range that upstream connections take their local ports from (RFC 6335: dynamic ports begin at 49152; Ringway's
// addresses have no other user, so more is free).
inline constexpr PortSlice kLocalPorts{16'384, 49'152};

// Which modes may be in force with several cores. `automatic`: the first of rss, flow and handover that is possible; of
// the others, that one or handover.
enum class Wanted : u8 { automatic, handover, rss, flow };

struct SteeringConfig {
  u32 cores = 1;                     // 1..kCoresMax
  std::vector<Device*> devices{};    // of every port
  Wanted wanted = Wanted::automatic;
  std::vector<wire::Ip4> port_addresses{};  // from which upstream connections are opened, by port...
  std::vector<wire::Ip4> core_addresses{};  // ...or, by port, the first of `cores` addresses: one for each core
  std::vector<wire::Ip6> port_addresses6{};  // the same over IPv6, where cores share a port's address
  PortSlice local_ports = kLocalPorts;      // shared out among the cores, unless they have addresses
};

class Steering {
 public:
  enum class Mode : u8 { single, rss, flow, handover };

  // In mode flow the devices have been given their rules.
  explicit Steering(const SteeringConfig& config);
  // Several cores in mode rss, by what is known of all ports whatever the devices say: queue i is core i's.
  Steering(const SteeringConfig& config, const Rss& rss);

  Mode mode() const { return mode_; }
  std::string_view mode_name() const;
  // One sentence: why this mode and none of the cheaper ones.
  std::string_view why() const { return why_; }

  u32 cores() const { return cores_; }
  // The local ports that core `core` opens upstream connections from, unless `port_chooser` is there.
  PortSlice slice(u32 core) const;
  // In mode rss: what core `core` takes its local ports from instead, all of the range that lead home. Else null.
  const lookup::RssPortChooser* port_chooser(u32 core) const {
    return choosers_.empty() ? nullptr : &choosers_[core];
  }
  // The rules of mode flow for any one port: the same for all, since a rule names the address.
  std::vector<FlowRule> rules() const;

  // The core that owns the flow, over IPv4; `hash` is the segment's flow hash, the same on every core; `rx_core` received it.
  u32 owner(const wire::FourTuple& tuple, u32 hash, u32 rx_core) const {
    if (mode_ == Mode::single) return rx_core;
    if (mode_ == Mode::rss) {
      const u32 h = toeplitz_->hash(tuple.remote.ip4(), tuple.local.ip4(), tuple.remote_port, tuple.local_port);
      return reta_[h & (reta_.size() - 1)];
    }
    for (const wire::Ip4 first : core_addresses_) {
      const u32 core = tuple.local.v - first.v;
      if (core < cores_) return core;
    }
    if (slices_.contains(tuple.local_port)) {
      for (const wire::Ip4 address : port_addresses_) {
        if (address == tuple.local) return slice_owner(tuple.local_port);
      }
    }
    return by_hash(hash);
  }
  // The same over IPv6, where a tuple does not say the addresses; of `ports` only those count.
  u32 owner(const wire::Ip6& local, const wire::Ip6& remote, const wire::FourTuple& ports, u32 hash, u32 rx_core) const {
    if (mode_ == Mode::single) return rx_core;
    if (mode_ == Mode::rss) {
      const u32 h = toeplitz_->hash(remote, local, ports.remote_port, ports.local_port);
      return reta_[h & (reta_.size() - 1)];
    }
    if (slices_.contains(ports.local_port)) {
      for (const wire::Ip6& address : port_addresses6_) {
        if (address == local) return slice_owner(ports.local_port);
      }
    }
    return by_hash(hash);
  }

 private:
  u32 by_hash(u32 hash) const { return static_cast<u32>(u64{hash} * cores_ >> 32); }
  void use(const Rss& rss);
  // Empty when every device took our key and the same table with a queue for every core.
  std::string rss_refusal(const std::vector<Device*>& devices) const;
  // Empty when every device took the rules.
  std::string flow_refusal(const std::vector<Device*>& devices) const;
  u32 slice_owner(u16 port) const {
    return static_cast<u32>((u64{port} - slices_.first) * slice_reciprocal_ >> 32);
  }

  Mode mode_ = Mode::single;
  u32 cores_;
  PortSlice all_;              // every local port there is
  PortSlice slices_;           // what the slices cover together, a multiple of the cores
  u32 slice_ports_;            // of each core
  u64 slice_reciprocal_;       // 2^32 / slice_ports_ rounded up: exact for 16-bit ports, and no division
  std::vector<wire::Ip4> port_addresses_;          // none when there are core_addresses_
  std::vector<wire::Ip4> core_addresses_;
  std::vector<wire::Ip6> port_addresses6_;
  std::unique_ptr<lookup::Toeplitz> toeplitz_;     // mode rss
  std::vector<u16> reta_;                          // mode rss: core by index
  std::vector<lookup::RssPortChooser> choosers_;   // mode rss: by core
  std::string why_;
};

}  // namespace ringway::port
