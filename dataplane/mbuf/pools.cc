#include "dataplane/mbuf/pools.h"

#include <rte_errno.h>

#include <cstring>

namespace ringway::mbuf {

std::unique_ptr<Pools> Pools::make(const PoolConfig& config, std::string& error) {
  const u32 room = RTE_PKTMBUF_HEADROOM + config.data_bytes;
  rte_mempool* packets = rte_pktmbuf_pool_create((config.name + "_p").c_str(), config.packets, config.cache, 0,
                                                 static_cast<u16>(room), config.socket);
  if (packets == nullptr) {
    error = "packet pool " + config.name + " of " + std::to_string(config.packets) +
            " mbufs cannot be made: " + rte_strerror(rte_errno) + "; lower pools.packets or give DPDK more memory";
    return nullptr;
  }
  rte_mempool* indirect =
      rte_pktmbuf_pool_create((config.name + "_i").c_str(), config.indirect, config.cache, 0, 0, config.socket);
  if (indirect == nullptr) {
    rte_mempool_free(packets);
    error = "indirect mbuf pool " + config.name + " cannot be made: " + rte_strerror(rte_errno);
    return nullptr;
  }
  return std::unique_ptr<Pools>(new Pools(packets, indirect, config.slices));
}

Pools::~Pools() {
  rte_mempool_free(indirect_);
  rte_mempool_free(packets_);
}

Pkt Pools::refer(const Slice& slice, u32 skip, u32 length) {
  RW_ASSERT(skip + length <= slice.length);
  rte_mbuf* m = rte_pktmbuf_alloc(indirect_);
  if (m == nullptr) return {};
  rte_pktmbuf_attach(m, slice.m);
  m->data_off = static_cast<u16>(slice.offset + skip);
  m->data_len = static_cast<u16>(length);
  m->pkt_len = length;
  m->ol_flags &= RTE_MBUF_F_INDIRECT;
  return Pkt(m);
}

std::optional<std::string> Pools::audit(u32 held_by_ports) const {
  const u32 packets = packets_in_use();
  const u32 indirect = rte_mempool_in_use_count(indirect_);
  if (packets == held_by_ports && indirect == 0 && slices_.in_use() == 0) return std::nullopt;
  return "not all packet memory is back: " + std::to_string(packets) + " mbufs (ports hold " +
         std::to_string(held_by_ports) + "), " + std::to_string(indirect) + " indirect mbufs, " +
         std::to_string(slices_.in_use()) + " slices";
}

}  // namespace ringway::mbuf
