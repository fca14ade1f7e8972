#include "dataplane/gate/gate.h"

#include <algorithm>
#include <cstring>

#include "dataplane/gate/impl.h"
#include "dataplane/gate/segment_parse.h"
#include "src/lookup/flow_hash.h"
#include "src/wire/checksum.h"
#include "src/wire/icmp.h"
#include "src/wire/tcp.h"

namespace ringway::gate {

using contract::Counter;
using contract::Verdict;
using wire::kEthHeaderBytes;

bool pull_up_more(mbuf::Pkt& pkt, u32 n) {
  rte_mbuf* const first = pkt.get();
  if (first->pkt_len < n || u32{n} - first->data_len > rte_pktmbuf_tailroom(first)) return false;
  while (first->data_len < n) {
    rte_mbuf* const next = first->next;
    const u16 moved = static_cast<u16>(std::min<u32>(n - first->data_len, next->data_len));
    std::memcpy(rte_pktmbuf_mtod_offset(first, u8*, first->data_len), rte_pktmbuf_mtod(next, const u8*), moved);
    first->data_len = static_cast<u16>(first->data_len + moved);
    next->data_off = static_cast<u16>(next->data_off + moved);
    next->data_len = static_cast<u16>(next->data_len - moved);
    if (next->data_len == 0) {
      first->next = next->next;
      --first->nb_segs;
      rte_pktmbuf_free_seg(next);
    }
  }
  return true;
}

bool verify_checksum(const mbuf::Pkt& pkt, u32 offset, u32 n, u64 sum) {
  if (offset + n <= pkt.first_bytes()) return wire::fold(sum + wire::sum_words(pkt.data() + offset, n)) == 0xffff;
  wire::Checksum check(sum);
  for (const rte_mbuf* s = pkt.get(); s != nullptr && n > 0; s = s->next) {
    if (offset >= s->data_len) {
      offset -= s->data_len;
      continue;
    }
    const u32 here = std::min<u32>(s->data_len - offset, n);
    check.add({rte_pktmbuf_mtod_offset(s, const u8*, offset), here});
    n -= here;
    offset = 0;
  }
  return n == 0 && check.verifies();
}

Gate::Impl::Impl(const GateConfig& c, mbuf::Pools& p, contract::CorePage& pg)
    : config(c), pools(p), page(pg), waiting(std::make_unique<Waiting[]>(kWaitingMax)) {
  RW_ASSERT(config.neighbours != nullptr && config.book != nullptr && !config.queues.empty());
  RW_ASSERT(config.steering == nullptr || config.handover.size() >= config.steering->cores());
  for (const port::Queue* q : config.queues) {
    macs.push_back(q->device().mac());
    link_locals.push_back(wire::link_local_of(macs.back()));
  }
  listening.resize(macs.size());
  to_announce.reserve(Addresses::kMax);
}

bool Gate::Impl::drop(mbuf::Pkt& pkt, Verdict verdict) {
  page.count(verdict);
  pkt.reset();
  return false;
}

bool Gate::Impl::punt_or_drop(mbuf::Pkt& pkt, u32 port, Verdict verdict) {
  if (config.punt == nullptr || !config.punt->push({pkt.get(), port})) return drop(pkt, verdict);
  page.count(Verdict::punted);
  [[maybe_unused]] const rte_mbuf* gone = pkt.release();
  return false;
}

bool Gate::Impl::hand_over(mbuf::Pkt& pkt, u32 port, u32 core) {
  if (!config.handover[core]->push({pkt.get(), port})) return drop(pkt, Verdict::handover_full);
  page.count(Verdict::handed_over);
  page.count(Counter::handover_out);
  [[maybe_unused]] const rte_mbuf* gone = pkt.release();
  return false;
}

bool Gate::Impl::never_a_source(wire::Ip4 a, u32 port) const {
  return wire::never_a_source(a) || a.v == nets4[port].broadcast || ours(a);
}

bool Gate::Impl::accept(mbuf::Pkt& pkt, u32 port, TimeUs now_us, Segment& segment, bool owned) {
  if (owned) page.count(Counter::handover_in);
  if (!pull_up(pkt, kEthHeaderBytes)) return drop(pkt, Verdict::eth_truncated);
  const wire::EthView eth(pkt.data());
  const wire::Mac to = eth.destination();
  if (to != macs[port] && to != wire::kMacBroadcast &&
      !(wire::is_ip6_multicast(to) && eth.type() == wire::kEtherTypeIp6)) {
    return drop(pkt, Verdict::eth_not_for_us);
  }
  switch (eth.type()) {
    case wire::kEtherTypeIp4:
      // RFC 1122 3.3.6: a packet to one host does not travel in a broadcast frame.
      if (to == wire::kMacBroadcast) return punt_or_drop(pkt, port, Verdict::eth_not_for_us);
      return accept_ip4(pkt, port, now_us, segment, owned);
    case wire::kEtherTypeIp6:
      if (to == wire::kMacBroadcast) return punt_or_drop(pkt, port, Verdict::eth_not_for_us);
      return accept_ip6(pkt, port, now_us, segment, owned);
    case wire::kEtherTypeArp: return accept_arp(pkt, port, now_us, owned);
    default: return punt_or_drop(pkt, port, Verdict::eth_unknown_type);
  }
}

// Lengths, checksum and addresses of an IPv4 packet behind the Ethernet header. RFC 791, RFC 1122 3.2.1.
Verdict Gate::Impl::check_ip4(mbuf::Pkt& pkt, u32 port, u32& ip_bytes) const {
  if (!pull_up(pkt, kEthHeaderBytes + wire::kIp4HeaderBytes)) return Verdict::ip4_truncated;
  const wire::Ip4View ip(pkt.data() + kEthHeaderBytes);
  const u32 header = ip.header_bytes();
  if (ip.version() != 4 || header < wire::kIp4HeaderBytes) return Verdict::ip4_bad_version;
  ip_bytes = ip.total_bytes();
  if (ip_bytes < header || kEthHeaderBytes + ip_bytes > pkt.total_bytes()) return Verdict::ip4_truncated;
  const bool sum_is_good =
      (pkt.get()->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  const bool plain = header == wire::kIp4HeaderBytes;
  if (!sum_is_good && !(plain ? wire::fold(wire::sum_words(pkt.data() + kEthHeaderBytes, wire::kIp4HeaderBytes)) == 0xffff
                              : verify_checksum(pkt, kEthHeaderBytes, header, 0))) {
    return Verdict::ip4_bad_checksum;
  }
  if (!plain) return Verdict::ip4_options;
  if (ip.is_fragment()) return Verdict::ip4_fragment;
  if (ip.ttl() == 0) return Verdict::ip4_ttl_expired;
  if (never_a_source(ip.source(), port)) return Verdict::ip4_bad_source;
  if (!ours(ip.destination())) return Verdict::ip4_not_ours;
  return Verdict::ok;
}

bool Gate::Impl::accept_ip4(mbuf::Pkt& pkt, u32 port, TimeUs now_us, Segment& segment, bool owned) {
  u32 ip_bytes = 0;
  const Verdict v = check_ip4(pkt, port, ip_bytes);
  if (v == Verdict::ip4_not_ours) return punt_or_drop(pkt, port, v);
  if (v != Verdict::ok) return drop(pkt, v);
  switch (wire::Ip4View(pkt.data() + kEthHeaderBytes).protocol()) {
    case wire::kIpProtoTcp: return accept_tcp(pkt, port, ip_bytes, segment, owned);
    case wire::kIpProtoUdp: return accept_udp(pkt, port, ip_bytes, now_us);
    case wire::kIpProtoIcmp: return accept_icmp(pkt, port, ip_bytes, owned);
    default:
      if (config.punt != nullptr) return punt_or_drop(pkt, port, Verdict::ip4_unknown_protocol);
      return refuse(pkt, port, wire::kIcmpProtocolUnreachable, Verdict::ip4_unknown_protocol, now_us);
  }
}

bool Gate::Impl::accept_tcp(mbuf::Pkt& pkt, u32 port, u32 ip_bytes, Segment& segment, bool owned) {
  constexpr u32 kHeaders = kEthHeaderBytes + wire::kIp4HeaderBytes;
  const u32 tcp_bytes = ip_bytes - wire::kIp4HeaderBytes;
  if (tcp_bytes < wire::kTcpHeaderBytes || !pull_up(pkt, kHeaders + wire::kTcpHeaderBytes)) {
    return drop(pkt, Verdict::tcp_truncated);
  }
  const u32 header = wire::TcpView(pkt.data() + kHeaders).header_bytes();
  if (header > tcp_bytes || !pull_up(pkt, kHeaders + header)) return drop(pkt, Verdict::tcp_truncated);
  rte_mbuf* const m = pkt.get();
  if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
    const wire::Ip4View ip(pkt.data() + kEthHeaderBytes);
    const u64 pseudo =
        wire::pseudo_header_sum(ip.source(), ip.destination(), wire::kIpProtoTcp, static_cast<u16>(tcp_bytes));
    if (!verify_checksum(pkt, kHeaders, tcp_bytes, pseudo)) return drop(pkt, Verdict::tcp_bad_checksum);
    // Whoever it is handed to need not do it again.
    m->ol_flags = (m->ol_flags & ~(RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_IP_CKSUM_MASK)) |
                  RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  }
  const Verdict v = parse_segment(pkt.first().subspan(kEthHeaderBytes), ip_bytes, config.seed, segment);
  if (v != Verdict::ok) return drop(pkt, v);
  if (!owned) {
    const u32 core = owner(segment.tuple, segment.hash);
    if (core != config.core) return hand_over(pkt, port, core);
  }
  pkt.drop_front(kEthHeaderBytes);
  return true;
}

Gate::Gate(const GateConfig& config, mbuf::Pools& pools, contract::CorePage& page)
    : impl_(std::make_unique<Impl>(config, pools, page)) {}
Gate::~Gate() = default;

void Gate::adopt(const contract::Plan& plan, bool announce, TimeUs now_us) {
  Impl& g = *impl_;
  RW_ASSERT(plan.ports.size() == g.config.queues.size());
  g.to_announce.clear();
  if (announce) {
    for (const wire::Ip& a : plan.addresses) {
      if ((a.is4() ? !g.ours(a.ip4()) : !g.ours(a.ip6())) || g.is_former(a)) g.to_announce.push_back(a);
    }
  }
  g.plan = &plan;
  g.nets4.assign(plan.ports.size(), {});
  for (u32 i = 0; i < plan.ports.size(); ++i) {
    const contract::PortNet& net = plan.ports[i];
    if (net.ip.v == 0) continue;
    const u32 mask = wire::Ip4Prefix{net.ip, net.prefix_bits}.mask();
    g.nets4[i] = {net.ip.v & mask, mask, net.prefix_bits < 31 ? net.ip.v | ~mask : 0};
  }
  // The new ones are named before the old ones are let go, so that an address that stays keeps its name.
  std::vector<wire::Addr> named;
  for (const wire::Ip& a : plan.addresses) {
    named.push_back(g.config.book->name(a));
    g.config.book->hold(named.back());
  }
  g.named.swap(named);
  g.addresses.assign(g.named);
  named.insert(named.begin(), g.former.begin(), g.former.end());
  std::vector<wire::Addr> former;
  for (auto a = named.rbegin(); a != named.rend(); ++a) {
    const bool stays = !g.addresses.contains(*a) && former.size() < kFormerAddressesMax;
    if (stays) former.insert(former.begin(), *a);
    else g.config.book->drop(*a);
  }
  g.former.swap(former);
  g.assign_addresses();
  if (std::ranges::any_of(g.to_announce, &wire::Ip::is6)) g.begin_to_listen(now_us);
  g.housekeeping(now_us);
}

// Somebody else may have had it meanwhile.
bool Gate::Impl::is_former(const wire::Ip& a) const {
  const wire::Addr named_so = a.is4() ? wire::Addr(a.ip4()) : config.book->find(a.ip6());
  return std::find(former.begin(), former.end(), named_so) != former.end();
}

void Gate::Impl::assign_addresses() {
  std::vector<wire::Addr> all = named;
  all.insert(all.end(), former.begin(), former.end());
  addresses.assign(all);
}

std::span<const wire::Addr> Gate::former() const { return impl_->former; }

void Gate::let_go(u64 which) {
  Impl& g = *impl_;
  std::vector<wire::Addr> stay;
  for (u32 i = 0; i < g.former.size(); ++i) {
    if ((which >> i & 1) == 0) stay.push_back(g.former[i]);
    else g.config.book->drop(g.former[i]);
  }
  g.former.swap(stay);
  g.assign_addresses();
}

bool Gate::accept(mbuf::Pkt& pkt, u32 port, TimeUs now_us, Segment& segment, bool owned) {
  return impl_->accept(pkt, port, now_us, segment, owned);
}
void Gate::send(mbuf::Pkt ip_packet, wire::Addr dst, TimeUs now_us) {
  if (dst.is4()) return impl_->send(std::move(ip_packet), dst.ip4(), now_us);
  impl_->send6(std::move(ip_packet), now_us);
}
void Gate::housekeeping(TimeUs now_us) { impl_->housekeeping(now_us); }

bool Gate::next_unreachable(Unreachable& out) {
  if (impl_->unreachable_count == 0) return false;
  out = impl_->unreachable[--impl_->unreachable_count];
  return true;
}

}  // namespace ringway::gate
