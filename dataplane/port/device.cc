#include "dataplane/port/device.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>

namespace ringway::port {

namespace {

constexpr u64 kRxWanted = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
                          RTE_ETH_RX_OFFLOAD_SCATTER;
constexpr u64 kTxWanted =
    RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
constexpr u64 kRssWanted = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
constexpr u16 kEnaHeaderBytesMax = 96;  // that a device with low-latency queues reads of a packet, unless told otherwise
constexpr u64 kRssWelcome = RTE_ETH_RSS_NONFRAG_IPV6_TCP;  // without it, IPv6 is handed over to its cores

std::string known_ports() {
  std::string list;
  for (u16 id = 0; id < RTE_MAX_ETHPORTS; ++id) {
    char name[RTE_ETH_NAME_MAX_LEN];
    if (!rte_eth_dev_is_valid_port(id) || rte_eth_dev_get_name_by_port(id, name) != 0) continue;
    list += (list.empty() ? "" : ", ") + std::string(name);
  }
  return list.empty() ? "none" : list;
}

// What the driver does well of what it offers. net_tap computes checksums in software, segment by segment, and wrongly
// behind a segment of odd length (DPDK 22.11): ours are right, and as fast.
u64 tx_offloads(const rte_eth_dev_info& about, bool tso) {
  u64 offloads = (kTxWanted | (tso ? u64{RTE_ETH_TX_OFFLOAD_TCP_TSO} : 0)) & about.tx_offload_capa;
  if (std::strcmp(about.driver_name, "net_tap") == 0) {
    offloads &= ~u64{RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM};
  }
  // Whoever cuts a packet computes what is summed over each piece.
  constexpr u64 kNeeded = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  if ((offloads & kNeeded) != kNeeded) offloads &= ~u64{RTE_ETH_TX_OFFLOAD_TCP_TSO};
  return offloads;
}

// Mbufs that one packet may have: what the driver says, or any number. ENA refuses a packet of as many as it says unless
// the device gets its headers apart.
u16 segments_max(const std::string& driver, u16 said) {
  if (said == 0) return RTE_MBUF_MAX_NB_SEGS;
  return driver == "net_ena" && said > 1 ? static_cast<u16>(said - 1) : said;
}

std::string reason(int error) { return rte_strerror(error < 0 ? -error : error); }

// What a name in the configuration stands for: an existing port, or a vdev to be made. Empty error on success.
std::string find_port(const std::string& name, u16& id, bool& plugged, std::string& bare_name) {
  const std::size_t comma = name.find(',');
  bare_name = name.substr(0, comma);
  if (rte_eth_dev_get_port_by_name(bare_name.c_str(), &id) == 0) return {};
  const std::string arguments = comma == std::string::npos ? "" : name.substr(comma + 1);
  const bool is_vdev = bare_name.starts_with("net_");
  if (is_vdev) {
    const int made = rte_eal_hotplug_add("vdev", bare_name.c_str(), arguments.c_str());
    if (made != 0) {
      return "port " + name + " cannot be made: " + reason(made) +
             "; see that its interface exists and that nothing else uses it";
    }
    plugged = true;
    if (rte_eth_dev_get_port_by_name(bare_name.c_str(), &id) == 0) return {};
  }
  return "port " + name + " is unknown to DPDK; known ports: " + known_ports() +
         ". Bind the device to a DPDK driver, or name a vdev";
}

}  // namespace

std::unique_ptr<Device> Device::open(const DeviceConfig& config, std::span<mbuf::Pools* const> pools, std::string& error) {
  RW_ASSERT(!pools.empty());
  const auto refuse = [&error](std::string why) {
    error = std::move(why);
    return nullptr;
  };
  std::unique_ptr<Device> device(new Device);
  error = find_port(config.name, device->id_, device->plugged_, device->name_);
  if (!error.empty()) return nullptr;
  const u16 id = device->id_;
  const std::string where = "port " + device->name_ + ": ";
  rte_eth_dev_info about{};
  if (const int e = rte_eth_dev_info_get(id, &about); e != 0) {
    return refuse(where + "the driver tells nothing of itself: " + reason(e));
  }
  device->driver_ = about.driver_name;
  device->queues_ = static_cast<u16>(pools.size());
  if (pools.size() > about.max_rx_queues || pools.size() > about.max_tx_queues) {
    return refuse(where + std::to_string(pools.size()) + " queues are wanted and " + device->driver_ +
                           " has " + std::to_string(std::min(about.max_rx_queues, about.max_tx_queues)) +
                           "; use fewer cores or give the port one device per core");
  }
  // net_af_xdp registers its pool's first piece of memory with the kernel, as long as the packets without gaps would be;
  // what lies beyond is lost when it is sent, and useless to the kernel when it is to be received into.
  if (device->driver_ == "net_af_xdp") {
    for (const mbuf::Pools* pool : pools) {
      if (pool->side_by_side()) continue;
      return refuse(where + "net_af_xdp needs its packet pool in one piece of memory without gaps and got " +
                             std::to_string(pool->packets()->nb_mem_chunks) +
                             " pieces or gaps; start with --iova-mode=va, or lower pools.packets");
    }
  }

  const bool rss = pools.size() > 1 && (about.flow_type_rss_offloads & kRssWanted) != 0;
  rte_eth_conf conf{};
  conf.rxmode.offloads = kRxWanted & about.rx_offload_capa;
  conf.txmode.offloads = tx_offloads(about, config.tso);
  if (rss) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = kRssWanted | (kRssWelcome & about.flow_type_rss_offloads);
    conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH & about.rx_offload_capa;
  }
  // Without scatter a frame must fit one mbuf.
  u16 mtu = std::clamp(config.mtu, std::max<u16>(about.min_mtu, RTE_ETHER_MIN_MTU), about.max_mtu);
  if ((conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER) == 0) {
    const u32 room = pools[0]->data_bytes() - RTE_ETHER_HDR_LEN - RTE_VLAN_HLEN;
    mtu = static_cast<u16>(std::min<u32>(mtu, room));
  }
  conf.rxmode.mtu = mtu;
  if (const int e = rte_eth_dev_configure(id, device->queues_, device->queues_, &conf); e != 0) {
    return refuse(where + "cannot be configured with " + std::to_string(pools.size()) + " queues and MTU " +
                           std::to_string(mtu) + ": " + reason(e));
  }
  if (const int e = rte_eth_dev_set_mtu(id, mtu); e != 0 && e != -ENOTSUP) {
    return refuse(where + "MTU " + std::to_string(mtu) + " is refused: " + reason(e));
  }
  rte_eth_dev_get_mtu(id, &mtu);

  u16 rx_descriptors = config.rx_descriptors;
  u16 tx_descriptors = config.tx_descriptors;
  rte_eth_dev_adjust_nb_rx_tx_desc(id, &rx_descriptors, &tx_descriptors);
  const unsigned socket = static_cast<unsigned>(rte_eth_dev_socket_id(id));
  rte_eth_rxconf rx_conf = about.default_rxconf;
  rte_eth_txconf tx_conf = about.default_txconf;
  rx_conf.offloads = conf.rxmode.offloads & about.rx_queue_offload_capa;
  tx_conf.offloads = conf.txmode.offloads & about.tx_queue_offload_capa;
  for (u16 q = 0; q < device->queues_; ++q) {
    if (const int e = rte_eth_rx_queue_setup(id, q, rx_descriptors, socket, &rx_conf, pools[q]->packets()); e != 0) {
      return refuse(where + "receive queue " + std::to_string(q) + " cannot be set up: " + reason(e) +
                             "; the pool of " + std::to_string(pools[q]->packets_capacity()) +
                             " mbufs may be too small (net_af_xdp wants 2500 and more for each queue)");
    }
    if (const int e = rte_eth_tx_queue_setup(id, q, tx_descriptors, socket, &tx_conf); e != 0) {
      return refuse(where + "transmit queue " + std::to_string(q) + " cannot be set up: " + reason(e));
    }
  }
  if (const int e = rte_eth_dev_start(id); e != 0) {
    return refuse(where + "cannot be started: " + reason(e));
  }
  device->started_ = true;
  // Behind the start: some drivers put their own table back when they start.
  if (rss) {
    device->rss_refusal_ = device->program_rss(config.rss_key, kRssWanted, kRssWelcome & about.flow_type_rss_offloads, about.reta_size);
  } else if (pools.size() > 1) {
    device->rss_refusal_ = "it offers no RSS of TCP over IPv4";
  }
  if (config.promiscuous) {
    if (const int e = rte_eth_promiscuous_enable(id); e != 0 && e != -ENOTSUP) {
      return refuse(where + "promiscuous mode is refused: " + reason(e));
    }
  }
  // IPv6 neighbours ask in groups that follow from our addresses, of which there are many.
  if (config.multicast) {
    if (const int e = rte_eth_allmulticast_enable(id); e != 0 && e != -ENOTSUP) {
      return refuse(where + "receiving multicast is refused: " + reason(e));
    }
  }
  rte_ether_addr mac{};
  rte_eth_macaddr_get(id, &mac);
  std::memcpy(device->mac_.b.data(), mac.addr_bytes, sizeof mac.addr_bytes);

  const u64 rx = conf.rxmode.offloads;
  const u64 tx = conf.txmode.offloads;
  Caps& caps = device->caps_;
  caps.multi_segs = (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
  caps.tx_ip_checksum = (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
  caps.tx_tcp_checksum = (tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
  caps.rx_ip_checksum = (rx & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0;
  caps.rx_l4_checksum = (rx & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) != 0;
  caps.rss_hash = (rx & RTE_ETH_RX_OFFLOAD_RSS_HASH) != 0;
  caps.scatter = (rx & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
  caps.tx_prepare = tx != 0;
  caps.tx_cleanup = rte_eth_tx_done_cleanup(id, 0, 1) != -ENOTSUP;
  caps.mtu = mtu;
  if (device->driver_ == "net_ena") caps.header_bytes_max = kEnaHeaderBytesMax;
  if (caps.multi_segs) {
    caps.segs_max = segments_max(device->driver_, about.tx_desc_lim.nb_mtu_seg_max);
    caps.tso_segs_max = segments_max(device->driver_, about.tx_desc_lim.nb_seg_max);
  }
  if ((tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0) {
    caps.tso4 = true;
    caps.tso6 = device->driver_ != "net_ena";  // which has it for IPv4 only and says nothing of it
  }
  return device;
}

Device::~Device() {
  if (id_ == 0xffff) return;
  unsteer();
  refuse({});
  if (started_) rte_eth_dev_stop(id_);
  if (plugged_) {
    rte_eal_hotplug_remove("vdev", name_.c_str());
  } else if (started_) {
    rte_eth_dev_close(id_);
  }
}

std::vector<std::pair<std::string, u64>> Device::xstats() const {
  std::vector<std::pair<std::string, u64>> out;
  const int count = rte_eth_xstats_get_names(id_, nullptr, 0);
  if (count <= 0) return out;
  std::vector<rte_eth_xstat_name> names(static_cast<std::size_t>(count));
  std::vector<rte_eth_xstat> values(static_cast<std::size_t>(count));
  const unsigned room = static_cast<unsigned>(count);
  if (rte_eth_xstats_get_names(id_, names.data(), room) != count) return out;
  if (rte_eth_xstats_get(id_, values.data(), room) != count) return out;
  for (const rte_eth_xstat& v : values) {
    if (v.id < names.size()) out.emplace_back(names[v.id].name, v.value);
  }
  return out;
}

}  // namespace ringway::port
