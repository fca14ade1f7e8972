#pragma once
// Device: one ethdev port, brought up by what it can do; Queue: one core's receive and transmit queue of it.
//
// Offloads are asked only where offered (checksums, RSS hash, scatter, multi-segment transmit) and done in software
// otherwise. Control thread opens, starts, stops and reads xstats; each Queue belongs to one core.
//
// One network port may consist of several Devices, one per core, each with one queue: that is how net_af_xdp serves
// several cores on a veth before DPDK 25.07. The gate knows ports by index and does not see the difference.
// net_af_xdp sends only the first segment's memory of a frame, so frames are joined into one mbuf of the core's own
// pool wherever the port does not offer multi-segment transmit (counted as tx_linearized).
// RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE is never asked: retransmission queues share mbufs with the port.

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/mbuf/pkt.h"
#include "dataplane/mbuf/pools.h"
#include "dataplane/port/flow_rules.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/contract/stats.h"
#include "src/lookup/toeplitz.h"
#include "src/wire/addr.h"

struct rte_flow;

namespace ringway::port {

struct DeviceConfig {
  // PCI address or vdev name as EAL knows it ("0000:00:05.0", "net_af_xdp0"). A vdev that EAL was not told of is made
  // here from its arguments ("net_af_xdp0,iface=v0") and removed again by ~Device.
  std::string name;
  u16 rx_descriptors = 1024;
  u16 tx_descriptors = 1024;
  u16 mtu = 1500;
  bool promiscuous = false;
  bool tso = true;         // ask for segmentation where it is offered
  bool multicast = false;  // receive every multicast frame: neighbour discovery of IPv6
  // What a port of several queues shall spread flows by, if it lets us.
  lookup::RssKey rss_key = lookup::kRssKeyMicrosoft;
};

// How a port spreads TCP flows over its queues: queue = reta[toeplitz(key) % reta.size()], both as read back from it.
struct Rss {
  lookup::RssKey key{};
  std::vector<u16> reta;  // 2^n entries
};

// What the port does for us, after bring-up: only what was offered and asked.
struct Caps {
  bool multi_segs = false;
  bool tx_ip_checksum = false;
  bool tx_tcp_checksum = false;
  bool rx_ip_checksum = false;
  bool rx_l4_checksum = false;
  bool rss_hash = false;
  bool scatter = false;
  bool tx_prepare = false;  // some transmit offload is on: rte_eth_tx_prepare goes before rte_eth_tx_burst
  bool tx_cleanup = false;  // rte_eth_tx_done_cleanup is there
  u16 segs_max = 1;         // mbufs of a frame
  bool tso4 = false;        // cuts large TCP packets into segments, over IPv4
  bool tso6 = false;        // and over IPv6
  u16 tso_segs_max = 1;     // mbufs of such a packet
  u16 header_bytes_max = 0xffff;  // Ethernet to TCP: longer headers do not get out
  u16 mtu = 1500;
};

class Device {
 public:
  // Configures and starts the port with one rx/tx queue pair per element of `pools` (queue i receives into pools[i]).
  // Null with a sentence in `error`: what, where, how to mend it.
  static std::unique_ptr<Device> open(const DeviceConfig& config, std::span<mbuf::Pools* const> pools, std::string& error);
  ~Device();  // stops and closes

  u16 id() const { return id_; }
  const std::string& name() const { return name_; }
  const std::string& driver() const { return driver_; }
  wire::Mac mac() const { return mac_; }
  const Caps& caps() const { return caps_; }
  u16 queues() const { return queues_; }
  // Null when the port did not take our key and table, or has one queue; `rss_refusal` says why.
  const Rss* rss() const { return rss_.reta.empty() ? nullptr : &rss_; }
  const std::string& rss_refusal() const { return rss_refusal_; }
  // Has the port obey every rule until `unsteer` or the end; called once. Empty when it does, else what was refused, and
  // then no rule is left.
  std::string steer(std::span<const FlowRule> rules);
  void unsteer();
  // Has the port drop what the rules say, instead of what they said before; none: nothing. Empty when it does, else what was
  // refused, and then it drops nothing. While cores poll, too; control thread.
  std::string refuse(std::span<const DropRule> rules);
  // All of the driver's extended statistics.
  std::vector<std::pair<std::string, u64>> xstats() const;

 private:
  Device() = default;
  // Our key and a table that uses all queues alike; empty when both can be read back, else what was refused.
  std::string program_rss(const lookup::RssKey& key, u64 functions, u64 welcome, u32 reta_entries);
  bool started_ = false;
  bool plugged_ = false;  // we made the vdev
  u16 id_ = 0xffff;
  u16 queues_ = 0;
  std::string name_, driver_;
  wire::Mac mac_;
  Caps caps_;
  Rss rss_;
  std::string rss_refusal_;
  std::vector<rte_flow*> flows_;
  std::vector<rte_flow*> drops_;
};

// A core's end of one queue pair. Packets that the port does not take at once are kept and tried again; beyond the
// bound they are dropped and counted as tx_full. The Device outlives its queues.
class Queue {
 public:
  Queue(const Device& device, u16 queue, mbuf::Pools& pools, contract::CorePage& page);
  ~Queue();  // frees what was not sent
  Queue(Queue&&) = default;
  Queue& operator=(Queue&&) = delete;

  // Receives at most kBurstMax packets; counts rx_packets and rx_bytes.
  u32 rx(mbuf::Pkt (&out)[contract::kBurstMax]);
  // Queues a whole Ethernet frame; linearizes it first where the port takes fewer segments. A frame that the port cannot
  // send at all is dropped and counted as tx_refused.
  void tx(mbuf::Pkt frame);
  // Hands queued frames to the port. Call once per poll, also when idle: it reclaims completions.
  void flush();
  u32 waiting() const { return waiting_count_; }
  bool idle() const { return waiting_count_ == 0; }

  const Device& device() const { return *device_; }

 private:
  static constexpr u32 kWaitingMax = 512;  // power of two
  static constexpr u32 kReclaimEvery = 64;  // idle flushes: it may cost a system call
  inline bool must_linearize(const rte_mbuf& frame) const;  // of queue.cc alone
  mbuf::Pkt linearize(mbuf::Pkt frame);
  u32 send(rte_mbuf** frames, u32 count);
  void reclaim();

  const Device* device_;
  u16 queue_;
  mbuf::Pools* pools_;
  contract::CorePage* page_;
  std::unique_ptr<rte_mbuf*[]> waiting_;
  u32 waiting_first_ = 0;
  u32 waiting_count_ = 0;
  u32 idle_flushes_ = 0;
};

}  // namespace ringway::port
