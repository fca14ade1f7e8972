#pragma once
// Device: one ethdev port, brought up by what it can do; Queue: one core's receive and transmit queue of it.
//
// Offloads are asked only where offered (checksums, RSS hash, scatter, multi-segment transmit) and done in software
// otherwise. Control thread opens, starts, stops and reads xstats; each Queue belongs to one core.

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/mbuf/pkt.h"
#include "dataplane/mbuf/pools.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/contract/stats.h"
#include "src/wire/addr.h"

namespace ringway::port {

struct DeviceConfig {
  std::string name;  // PCI address or vdev name as EAL knows it ("0000:00:05.0", "net_af_xdp0")
  u16 rx_descriptors = 1024;
  u16 tx_descriptors = 1024;
  u16 mtu = 1500;
  bool promiscuous = false;
};

// What the port does for us, after bring-up: only what was offered and asked.
struct Caps {
  bool multi_segs = false;
  bool tx_ip_checksum = false;
  bool tx_tcp_checksum = false;
  bool rx_ip_checksum = false;
  bool rx_l4_checksum = false;
  bool rss_hash = false;
  u16 segs_max = 1;
  u16 mtu = 1500;
};

class Device {
 public:
  // Configures and starts the port with one rx/tx queue pair per element of `pools` (queue i receives into pools[i]).
  // The error is a sentence: what, where, how to mend it.
  static std::expected<std::unique_ptr<Device>, std::string> open(const DeviceConfig& config,
                                                                  std::span<mbuf::Pools* const> pools);
  ~Device();  // stops and closes

  u16 id() const { return id_; }
  const std::string& name() const { return name_; }
  const std::string& driver() const { return driver_; }
  wire::Mac mac() const { return mac_; }
  const Caps& caps() const { return caps_; }
  u16 queues() const { return queues_; }
  // All of the driver's extended statistics.
  std::vector<std::pair<std::string, u64>> xstats() const;

 private:
  Device() = default;
  u16 id_ = 0;
  u16 queues_ = 0;
  std::string name_, driver_;
  wire::Mac mac_;
  Caps caps_;
};

// A core's end of one queue pair. Packets that the port does not take at once are kept and tried again; beyond the
// bound they are dropped and counted as tx_full.
class Queue {
 public:
  Queue(const Device& device, u16 queue, mbuf::Pools& pools, contract::CorePage& page);
  ~Queue();  // frees what was not sent
  Queue(Queue&&) = default;

  // Receives at most kBurstMax packets; counts rx_packets and rx_bytes.
  u32 rx(mbuf::Pkt (&out)[contract::kBurstMax]);
  // Queues a whole Ethernet frame; linearizes it first where the port takes one segment only.
  void tx(mbuf::Pkt frame);
  // Hands queued frames to the port. Call once per poll, also when idle: it reclaims completions.
  void flush();
  u32 waiting() const { return waiting_count_; }
  bool idle() const { return waiting_count_ == 0; }

  const Device& device() const { return *device_; }

 private:
  static constexpr u32 kWaitingMax = 512;
  const Device* device_;
  u16 queue_;
  mbuf::Pools* pools_;
  contract::CorePage* page_;
  std::unique_ptr<rte_mbuf*[]> waiting_;
  u32 waiting_first_ = 0;
  u32 waiting_count_ = 0;
};

}  // namespace ringway::port
