#include "dataplane/mbuf/pools.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>

#include <algorithm>

namespace ringway::mbuf {

namespace {

// As rte_pktmbuf_pool_create, with packets side by side where an address is the same to a device as to us. Otherwise
// DPDK lets no object cross a page, which leaves gaps (one packet for each page without hugepages), and net_af_xdp
// registers as much memory as the packets would take without gaps: the last ones would be lost, sent or received.
rte_mempool* packet_pool(const PoolConfig& config) {
  const u32 room = RTE_PKTMBUF_HEADROOM + config.data_bytes;
  if (rte_eal_iova_mode() != RTE_IOVA_VA) {
    return rte_pktmbuf_pool_create((config.name + "_p").c_str(), config.packets, config.cache, 0,
                                   static_cast<u16>(room), config.socket);
  }
  rte_pktmbuf_pool_private about{};
  about.mbuf_data_room_size = static_cast<u16>(room);
  const unsigned element = static_cast<unsigned>(sizeof(rte_mbuf)) + room;
  rte_mempool* pool =
      rte_mempool_create_empty((config.name + "_p").c_str(), config.packets, element, config.cache,
                               sizeof(rte_pktmbuf_pool_private), config.socket, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (pool == nullptr) return nullptr;
  int e = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), nullptr);
  if (e == 0) {
    rte_pktmbuf_pool_init(pool, &about);
    e = rte_mempool_populate_default(pool);
  }
  if (e < 0) {
    rte_mempool_free(pool);
    rte_errno = -e;
    return nullptr;
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
  return pool;
}

}  // namespace

std::unique_ptr<Pools> Pools::make(const PoolConfig& config, std::string& error) {
  rte_mempool* packets = packet_pool(config);
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

bool Pools::side_by_side() const {
  struct Extent {
    std::uintptr_t first = ~std::uintptr_t{0}, last = 0;
  } extent;
  rte_mempool_obj_iter(
      packets_,
      [](rte_mempool*, void* out, void* object, unsigned) {
        auto* const e = static_cast<Extent*>(out);
        const auto at = reinterpret_cast<std::uintptr_t>(object);
        e->first = std::min(e->first, at);
        e->last = std::max(e->last, at);
      },
      &extent);
  const u64 step = u64{packets_->header_size} + packets_->elt_size + packets_->trailer_size;
  return packets_->nb_mem_chunks == 1 && extent.last - extent.first == (packets_->populated_size - 1) * step;
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
