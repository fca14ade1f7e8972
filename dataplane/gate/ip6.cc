// IPv6 packets on the way in: addresses, extension headers by the policy of wire/ip6.h, TCP. RFC 8200, RFC 4291.

#include <algorithm>

#include "dataplane/gate/impl.h"
#include "dataplane/gate/segment_parse.h"
#include "src/wire/checksum.h"
#include "src/wire/tcp.h"

namespace ringway::gate {

using contract::Verdict;
using wire::Icmp6Type;
using wire::Ip6Walked;
using wire::kEthHeaderBytes;

namespace {

constexpr u32 kIpAt = kEthHeaderBytes;
constexpr u32 kHeadersMax = kIpAt + wire::kIp6HeaderBytes + wire::kIp6ExtensionBytesMax;

// Groups that every node is in, or that somebody with one of its addresses is (RFC 4291 2.8): the message itself says
// which address it asks for.
bool is_neighbour_group(const wire::Ip6& a) {
  return a == wire::kIp6AllNodes || a == wire::solicited_node(a);
}

bool is_extension(u8 next_header) {
  return next_header == wire::kIp6HopByHop || next_header == wire::kIp6Routing || next_header == wire::kIp6Fragment ||
         next_header == wire::kIp6DestinationOptions;
}

}  // namespace

// Lengths and addresses. A hop limit of zero is no reason to drop what has arrived (RFC 8200 3).
Verdict Gate::Impl::check_ip6(mbuf::Pkt& pkt, u32 port, In6& in) const {
  if (!pull_up(pkt, kIpAt + wire::kIp6HeaderBytes)) return Verdict::ip6_truncated;
  const wire::Ip6View ip(pkt.data() + kIpAt);
  if (ip.version() != 6) return Verdict::ip6_bad_version;
  in.end = kIpAt + wire::kIp6HeaderBytes + ip.payload_bytes();
  if (in.end > pkt.total_bytes()) return Verdict::ip6_truncated;
  in.source = ip.source();
  in.destination = ip.destination();
  // Who has no address yet asks whether somebody has it (RFC 4862 5.4.2): accept_icmp6 lets nothing else pass.
  const bool nobody = in.source == wire::Ip6{} && ip.next_header() == wire::kIpProtoIcmp6;
  if (!nobody && (wire::never_a_source(in.source) || in.source == link_locals[port] || ours(in.source))) {
    return Verdict::ip6_bad_source;
  }
  const bool to_group = wire::is_multicast(in.destination);
  // RFC 1122 3.3.6 in the other family: a packet to one host does not travel in a frame to many.
  if (to_group != wire::is_ip6_multicast(wire::EthView(pkt.data()).destination())) return Verdict::eth_not_for_us;
  if (ours(in.destination)) return Verdict::ok;
  // On the link itself we speak ICMPv6 and nothing else; questions about groups come behind hop-by-hop options.
  in.is_on_link = to_group ? is_neighbour_group(in.destination) : in.destination == link_locals[port];
  const bool is_spoken = ip.next_header() == wire::kIpProtoIcmp6 || ip.next_header() == wire::kIp6HopByHop;
  return in.is_on_link && is_spoken && plan->ports[port].has6() ? Verdict::ok : Verdict::ip6_not_ours;
}

bool Gate::Impl::walk(mbuf::Pkt& pkt, u32 port, In6& in, TimeUs now_us) {
  const u8 first = wire::Ip6View(pkt.data() + kIpAt).next_header();
  in.protocol = first;
  in.at = kIpAt + wire::kIp6HeaderBytes;
  if (!is_extension(first)) return true;
  if (!pull_up(pkt, std::min(in.end, kHeadersMax))) return drop(pkt, Verdict::ip6_truncated);
  const wire::Ip6Walk w = wire::walk_ip6(pkt.first().subspan(kIpAt), in.end - kIpAt);
  const auto tell = [&](u8 code, Verdict verdict) {
    return refuse6(pkt, port, in, Icmp6Type::parameter_problem, code, w.offset, verdict, now_us);
  };
  switch (w.outcome) {
    case Ip6Walked::transport: break;
    case Ip6Walked::truncated: return drop(pkt, Verdict::ip6_truncated);
    case Ip6Walked::fragment: return drop(pkt, Verdict::ip6_fragment);
    case Ip6Walked::too_many: return drop(pkt, Verdict::ip6_bad_extension);
    case Ip6Walked::misplaced: return tell(wire::kIcmp6UnknownNextHeader, Verdict::ip6_bad_extension);
    case Ip6Walked::routing: return tell(wire::kIcmp6ErroneousField, Verdict::ip6_bad_extension);
    case Ip6Walked::unknown_option:
      return w.tell ? tell(wire::kIcmp6UnknownOption, Verdict::ip6_unknown_option) : drop(pkt, Verdict::ip6_unknown_option);
  }
  in.protocol = w.next_header;
  in.at = kIpAt + w.offset;
  in.named_at = w.named_at;
  return true;
}

bool Gate::Impl::accept_ip6(mbuf::Pkt& pkt, u32 port, TimeUs now_us, Segment& segment, bool owned) {
  In6 in;
  const Verdict v = check_ip6(pkt, port, in);
  if (v == Verdict::ip6_not_ours || v == Verdict::eth_not_for_us) return punt_or_drop(pkt, port, v);
  if (v != Verdict::ok) return drop(pkt, v);
  if (!walk(pkt, port, in, now_us)) return false;
  if (in.is_on_link && in.protocol != wire::kIpProtoIcmp6) return punt_or_drop(pkt, port, Verdict::ip6_not_ours);
  switch (in.protocol) {
    case wire::kIpProtoTcp: return accept_tcp6(pkt, port, in, segment, owned);
    case wire::kIpProtoUdp: return accept_udp6(pkt, port, in, now_us);
    case wire::kIpProtoIcmp6: return accept_icmp6(pkt, port, in, now_us, owned);
    default:
      if (config.punt != nullptr) return punt_or_drop(pkt, port, Verdict::ip6_unknown_protocol);
      return refuse6(pkt, port, in, Icmp6Type::parameter_problem, wire::kIcmp6UnknownNextHeader, in.named_at,
                     Verdict::ip6_unknown_protocol, now_us);
  }
}

bool Gate::Impl::accept_tcp6(mbuf::Pkt& pkt, u32 port, const In6& in, Segment& segment, bool owned) {
  if (in.bytes() < wire::kTcpHeaderBytes || !pull_up(pkt, in.at + wire::kTcpHeaderBytes)) {
    return drop(pkt, Verdict::tcp_truncated);
  }
  const u32 header = wire::TcpView(pkt.data() + in.at).header_bytes();
  if (header > in.bytes() || !pull_up(pkt, in.at + header)) return drop(pkt, Verdict::tcp_truncated);
  rte_mbuf* const m = pkt.get();
  if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
    const u64 pseudo = wire::pseudo_header_sum(in.source, in.destination, wire::kIpProtoTcp, in.bytes());
    if (!verify_checksum(pkt, in.at, in.bytes(), pseudo)) return drop(pkt, Verdict::tcp_bad_checksum);
    m->ol_flags = (m->ol_flags & ~RTE_MBUF_F_RX_L4_CKSUM_MASK) | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  }
  const Verdict v =
      parse_segment6(pkt.first().subspan(kIpAt), in.end - kIpAt, in.at - kIpAt, config.seed, segment);
  if (v != Verdict::ok) return drop(pkt, v);
  if (!owned) {
    const u32 core = owner(in.destination, in.source, segment.tuple, segment.hash);
    if (core != config.core) return hand_over(pkt, port, core);
  }
  segment.tuple.local = config.book->name(in.destination);
  segment.tuple.remote = config.book->name(in.source);
  pkt.drop_front(kEthHeaderBytes);
  return true;
}

}  // namespace ringway::gate
