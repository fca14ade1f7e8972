#pragma once
// Pools: one core's packet memory. One mempool serves its receive queues, its transmit queues and every packet it
// builds, because net_af_xdp sends without a copy only from the pool that its queue was set up with, and only if the
// pool lies in one piece of memory without gaps (`side_by_side`, asked when such a port is opened). A second, small
// pool holds indirect mbufs (no data room) for ports that take several segments.
//
// Made at start on the control thread; used by its core. The leak audit of every packet-level test is `audit()`.

#include <optional>
#include <string>

#include "dataplane/mbuf/chain.h"
#include "dataplane/mbuf/pkt.h"
#include "src/base/types.h"

namespace ringway::mbuf {

struct PoolConfig {
  std::string name;            // unique in the process, at most 20 characters
  u32 packets = 16'383;        // mbufs; 2^n - 1 is cheapest
  u32 data_bytes = 2048;       // data room behind the headroom; mbuf and headers must fit a page for net_af_xdp
  u32 indirect = 8191;         // indirect mbufs
  u32 slices = 65'536;         // slices of Chain
  u32 cache = 256;             // per-lcore mempool cache; 0 in tests that count
  int socket = -1;             // NUMA node, -1 is any
};

class Pools {
 public:
  // Null with `error` set to a sentence when DPDK has no memory for it.
  static std::unique_ptr<Pools> make(const PoolConfig& config, std::string& error);
  ~Pools();
  Pools(const Pools&) = delete;
  Pools& operator=(const Pools&) = delete;

  // A fresh packet with no data and the usual headroom; empty when the pool is.
  Pkt alloc() { return Pkt(rte_pktmbuf_alloc(packets_)); }
  // The same with `bytes` of data, of any content, which one segment holds.
  Pkt alloc(u32 bytes) {
    Pkt pkt = alloc();
    if (pkt) pkt.resize_fresh(bytes);
    return pkt;
  }
  // A packet whose single segment refers to `length` bytes of `slice` from `skip` on (no copy); empty when out of mbufs.
  Pkt refer(const Slice& slice, u32 skip, u32 length);

  rte_mempool* packets() const { return packets_; }
  SlicePool& slices() { return slices_; }
  Chain chain() { return Chain(slices_); }

  // Whether all packets lie in one piece of memory without gaps.
  bool side_by_side() const;
  u32 packets_capacity() const { return packets_->size; }
  u32 data_bytes() const { return rte_pktmbuf_data_room_size(packets_) - u32{RTE_PKTMBUF_HEADROOM}; }
  u32 packets_in_use() const { return rte_mempool_in_use_count(packets_); }
  u32 packets_free() const { return rte_mempool_avail_count(packets_); }

  // Empty when every mbuf and slice is back; otherwise a sentence that says what is missing.
  // `held_by_ports`: mbufs that receive rings keep while the ports run.
  std::optional<std::string> audit(u32 held_by_ports = 0) const;

 private:
  Pools(rte_mempool* packets, rte_mempool* indirect, u32 slices)
      : packets_(packets), indirect_(indirect), slices_(slices) {}

  rte_mempool* packets_;
  rte_mempool* indirect_;
  SlicePool slices_;
};

}  // namespace ringway::mbuf
