#pragma once
// Pkt: the one owner of a packet (an rte_mbuf chain). Move-only; dropping it gives the mbufs back to their pool.
//
// Passing a Pkt by value hands the packet over; `const Pkt&` looks. `release()` gives the raw mbuf to whoever speaks
// to a port or a ring. Callable on the core that owns the packet. Never allocates; Pools (pools.h) makes new packets.
// Bytes are those of the first segment unless said otherwise: headers are always parsed there (gate makes sure).

#include <utility>

#include "dataplane/dpdk/mbuf.h"
#include "src/base/assert.h"
#include "src/base/types.h"

namespace ringway::mbuf {

class Pkt {
 public:
  Pkt() = default;
  explicit Pkt(rte_mbuf* m) : m_(m) {}
  Pkt(Pkt&& o) noexcept : m_(std::exchange(o.m_, nullptr)) {}
  Pkt& operator=(Pkt&& o) noexcept {
    if (this != &o) {
      reset();
      m_ = std::exchange(o.m_, nullptr);
    }
    return *this;
  }
  Pkt(const Pkt&) = delete;
  Pkt& operator=(const Pkt&) = delete;
  ~Pkt() { reset(); }

  explicit operator bool() const { return m_ != nullptr; }
  rte_mbuf* get() const { return m_; }
  [[nodiscard]] rte_mbuf* release() { return std::exchange(m_, nullptr); }
  void reset() {
    if (m_ != nullptr) rte_pktmbuf_free(std::exchange(m_, nullptr));
  }

  // The bytes of the first segment.
  u8* data() { return rte_pktmbuf_mtod(m_, u8*); }
  const u8* data() const { return rte_pktmbuf_mtod(m_, const u8*); }
  u32 first_bytes() const { return m_->data_len; }
  Bytes first() const { return {data(), first_bytes()}; }
  MutBytes first() { return {data(), first_bytes()}; }

  // All segments together.
  u32 total_bytes() const { return m_->pkt_len; }
  u32 segments() const { return m_->nb_segs; }

  u32 headroom() const { return rte_pktmbuf_headroom(m_); }
  u32 tailroom() const { return rte_pktmbuf_tailroom(m_); }  // of the last segment

  // Makes room for `n` bytes in front of / behind the data and returns where they begin, or nullptr without room.
  u8* prepend(u32 n) { return reinterpret_cast<u8*>(rte_pktmbuf_prepend(m_, static_cast<u16>(n))); }
  u8* append(u32 n) { return reinterpret_cast<u8*>(rte_pktmbuf_append(m_, static_cast<u16>(n))); }
  // Of a packet that nobody has written to yet: its data is `n` bytes of its only segment.
  void resize_fresh(u32 n) {
    RW_ASSERT(m_->data_off + n <= m_->buf_len);
    m_->data_len = static_cast<u16>(n);
    m_->pkt_len = n;
  }
  // Drops `n` bytes from the front of the first segment (n <= first_bytes()) or from the end of the packet.
  void drop_front(u32 n) { RW_ASSERT(rte_pktmbuf_adj(m_, static_cast<u16>(n)) != nullptr); }
  void drop_back(u32 n) { RW_ASSERT(rte_pktmbuf_trim(m_, static_cast<u16>(n)) == 0); }

  // Joins `tail`, whose packet ends up as the last segments of this one.
  void join(Pkt tail) { RW_ASSERT(rte_pktmbuf_chain(m_, tail.release()) == 0); }
  // As join, for a tail of one segment, without looking for the end: `last` is the last segment, before and after.
  void join_behind(rte_mbuf*& last, Pkt tail) {
    rte_mbuf* const m = tail.release();
    last->next = m;
    last = m;
    ++m_->nb_segs;
    m_->pkt_len += m->data_len;
  }
  // Asks the NIC for checksums; the packet begins with an IPv4 header that a 14-byte Ethernet header will precede.
  // `tcp`: the TCP checksum field holds the pseudo-header sum.
  void set_tx_offload(u32 ip_bytes, u32 tcp_bytes, bool ip, bool tcp) {
    m_->l2_len = 14;
    m_->l3_len = ip_bytes & 0x1ff;
    m_->l4_len = tcp_bytes & 0xff;
    m_->ol_flags |= ip_bytes == 20 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
    if (ip) m_->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
    if (tcp) m_->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
  }
  // Asks the NIC to cut the packet into segments of `bytes` payload, with set_tx_offload; the TCP checksum field holds the
  // pseudo-header sum without a length.
  void set_tso(u16 bytes) {
    m_->tso_segsz = bytes;
    m_->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
  }
  // A packet over a slice's own mbuf, beginning at `offset` from buf_addr with `bytes`; takes one more reference.
  // Nobody else may be using the mbuf's data_off and data_len.
  static Pkt over(rte_mbuf* m, u32 offset, u32 bytes) {
    rte_mbuf_refcnt_update(m, 1);
    m->data_off = static_cast<u16>(offset);
    m->data_len = static_cast<u16>(bytes);
    m->pkt_len = bytes;
    m->nb_segs = 1;
    m->next = nullptr;
    m->ol_flags = 0;
    return Pkt(m);
  }

 private:
  rte_mbuf* m_ = nullptr;
};

}  // namespace ringway::mbuf
