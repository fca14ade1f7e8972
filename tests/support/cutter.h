#pragma once
// What a NIC with the transmit offloads that we use makes of a packet: checksums filled in, and large TCP packets cut into
// segments (TSO) as DPDK's rte_mbuf_core.h asks of drivers. Every promise of a sender to its port is checked on the way:
// headers whole in the first mbuf, the right pseudo-header sum in the checksum field, lengths that say where headers end.

#include <cstring>
#include <string>
#include <vector>

#include "dataplane/mbuf/pkt.h"
#include "src/base/assert.h"
#include "src/wire/checksum.h"
#include "src/wire/ip6.h"
#include "src/wire/tcp.h"
#include "tests/wire/decode.h"

namespace ringway::test {

using Frame = std::vector<u8>;

struct Offloads {
  u32 l2, l3, l4;
  bool ip_checksum, cuts;
  u32 segment_bytes;
};

inline u64 pseudo_sum(const Frame& f, const Offloads& o, u32 tcp_bytes) {
  const u8* const ip = f.data() + o.l2;
  if (o.l3 == 40) return wire::pseudo_header_sum(wire::Ip6View(ip).source(), wire::Ip6View(ip).destination(), 6, tcp_bytes);
  return wire::pseudo_header_sum({wire::load_be32(ip + 12)}, {wire::load_be32(ip + 16)}, 6, static_cast<u16>(tcp_bytes));
}

// Lengths and checksums of one segment that is whole but for them.
inline void finish_ip4(Frame& f, u32 l2) {
  u8* const ip = f.data() + l2;
  wire::store_be16(ip + 10, 0);
  const u16 sum = static_cast<u16>(~wire::fold(wire::sum_words(ip, 20)));
  std::memcpy(ip + 10, &sum, 2);
}
inline void finish(Frame& f, const Offloads& o) {
  u8* const ip = f.data() + o.l2;
  u8* const tcp = ip + o.l3;
  const u32 tcp_bytes = static_cast<u32>(f.size()) - o.l2 - o.l3;
  if (o.l3 == 40) {
    wire::store_be16(ip + 4, static_cast<u16>(tcp_bytes));
  } else {
    wire::store_be16(ip + 2, static_cast<u16>(f.size() - o.l2));
    if (o.ip_checksum || o.cuts) finish_ip4(f, o.l2);
  }
  wire::store_be16(tcp + wire::kTcpChecksumOffset, 0);
  wire::Checksum sum(pseudo_sum(f, o, tcp_bytes));
  sum.add({tcp, tcp_bytes});
  const wire::Be16 value = sum.value();
  std::memcpy(tcp + wire::kTcpChecksumOffset, &value.raw, 2);
}

// The frames, or, with `l2` 0, IP packets, that leave for `pkt`: several when it is to be cut.
inline std::vector<Frame> as_the_port_sends(const mbuf::Pkt& pkt, u32 l2 = 14) {
  const rte_mbuf& m = *pkt.get();
  Frame all = gather(pkt);
  RW_ASSERT(all.size() == pkt.total_bytes());
  const bool cuts = (m.ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
  const bool sums = (m.ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
  if (!cuts && !sums) {
    if ((m.ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0) finish_ip4(all, l2);
    return {std::move(all)};
  }
  const Offloads o{l2, static_cast<u32>(m.l3_len), static_cast<u32>(m.l4_len), (m.ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0, cuts,
                   static_cast<u32>(m.tso_segsz)};
  RW_ASSERT(o.l3 == 20 || o.l3 == 40);
  RW_ASSERT((m.ol_flags & (o.l3 == 20 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6)) != 0);
  const u32 headers = l2 + o.l3 + o.l4;
  RW_ASSERT(m.data_len >= headers && m.data_len <= m.buf_len);
  const u8* const tcp = all.data() + l2 + o.l3;
  RW_ASSERT(u32{tcp[12]} >> 4 << 2 == o.l4);
  const wire::Be16 partial = wire::Checksum(pseudo_sum(all, o, cuts ? 0 : static_cast<u32>(all.size()) - l2 - o.l3)).partial();
  RW_ASSERT(std::memcmp(tcp + wire::kTcpChecksumOffset, &partial.raw, 2) == 0);
  if (!cuts) {
    finish(all, o);
    return {std::move(all)};
  }
  RW_ASSERT(sums && o.segment_bytes >= 256 && all.size() - headers > o.segment_bytes && all.size() - l2 < 65'536);
  std::vector<Frame> out;
  for (std::size_t at = headers; at < all.size(); at += o.segment_bytes) {
    const std::size_t end = std::min<std::size_t>(at + o.segment_bytes, all.size());
    Frame f(all.begin(), all.begin() + headers);
    f.insert(f.end(), all.begin() + static_cast<long>(at), all.begin() + static_cast<long>(end));
    u8* const h = f.data() + l2 + o.l3;
    wire::store_be32(h + 4, wire::load_be32(h + 4) + static_cast<u32>(at - headers));
    if (end != all.size()) h[13] = static_cast<u8>(h[13] & ~(gate::kFin | gate::kPsh));
    if (at != headers) h[13] = static_cast<u8>(h[13] & ~gate::kCwr);
    finish(f, o);
    out.push_back(std::move(f));
  }
  return out;
}

}  // namespace ringway::test
