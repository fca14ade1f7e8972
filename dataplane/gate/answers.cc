// What the gate answers by itself: ICMP echo, UDP nobody listens for, DNS; and what it learns from ICMP errors.
// RFC 792, RFC 1122 3.2.2 and 4.1.3. Answers go back to the MAC that asked, by the port that it came in by: no route,
// no ARP, and nothing that a spoofed source could make wait.

#include <algorithm>
#include <cstring>

#include "dataplane/dns/responder.h"
#include "dataplane/gate/impl.h"
#include "src/lookup/flow_hash.h"
#include "src/wire/checksum.h"
#include "src/wire/icmp.h"
#include "src/wire/udp.h"

namespace ringway::gate {

using contract::Verdict;
using wire::Be16;
using wire::kEthHeaderBytes;

namespace {

constexpr u32 kIpAt = kEthHeaderBytes;
constexpr u32 kL4At = kEthHeaderBytes + wire::kIp4HeaderBytes;
constexpr u16 kDnsPort = 53;
// RFC 1812 4.3.2.3: an ICMP error is at most 576 bytes long.
constexpr u32 kQuoteBytesMax = 576 - wire::kIp4HeaderBytes - wire::kIcmpHeaderBytes;

void store(u8* p, Be16 v) { std::memcpy(p, &v.raw, 2); }
Be16 load(const u8* p) {
  Be16 v;
  std::memcpy(&v.raw, p, 2);
  return v;
}

}  // namespace

bool Gate::Impl::accept_icmp(mbuf::Pkt& pkt, u32 port, u32 ip_bytes, bool owned) {
  const u32 icmp_bytes = ip_bytes - wire::kIp4HeaderBytes;
  if (icmp_bytes < wire::kIcmpHeaderBytes || !pull_up(pkt, kL4At + wire::kIcmpHeaderBytes)) {
    return drop(pkt, Verdict::icmp_truncated);
  }
  if (!verify_checksum(pkt, kL4At, icmp_bytes, 0)) return drop(pkt, Verdict::icmp_bad_checksum);
  switch (wire::IcmpView(pkt.data() + kL4At).type()) {
    case wire::IcmpType::echo: return answer_echo(pkt, port, ip_bytes);
    case wire::IcmpType::unreachable: return note_unreachable(pkt, port, ip_bytes, owned);
    default: return drop(pkt, Verdict::icmp_ignored);
  }
}

// In place: addresses change sides, the checksums are adjusted by what changed.
bool Gate::Impl::answer_echo(mbuf::Pkt& pkt, u32 port, u32 ip_bytes) {
  const u32 padding = pkt.total_bytes() - kIpAt - ip_bytes;
  if (padding > 0 && padding < rte_pktmbuf_lastseg(pkt.get())->data_len) pkt.drop_back(padding);
  u8* const ip = pkt.data() + kIpAt;
  u8* const icmp = pkt.data() + kL4At;
  const wire::Mac asker = wire::EthView(pkt.data()).source();
  const wire::Ip4View view(ip);
  const wire::Ip4 source = view.source();
  wire::store_be32(ip + 12, view.destination().v);
  wire::store_be32(ip + 16, source.v);
  const Be16 ttl_before = load(ip + 8);
  ip[8] = wire::kIp4TtlDefault;
  store(ip + 10, wire::adjust_checksum(load(ip + 10), ttl_before, load(ip + 8)));
  const Be16 type_before = load(icmp);
  icmp[0] = static_cast<u8>(wire::IcmpType::echo_reply);
  store(icmp + 2, wire::adjust_checksum(load(icmp + 2), type_before, load(icmp)));
  page.count(Verdict::icmp_echo_answered);
  pkt.drop_front(kEthHeaderBytes);
  send_frame(std::move(pkt), port, asker, wire::kEtherTypeIp4);
  return false;
}

// The quoted packet is one that we sent: its source is our side of the connection.
bool Gate::Impl::note_unreachable(mbuf::Pkt& pkt, u32 port, u32 ip_bytes, bool owned) {
  constexpr u32 kQuoteAt = kL4At + wire::kIcmpHeaderBytes;
  constexpr u32 kQuoteMin = wire::kIp4HeaderBytes + wire::kIcmpQuoteBytesMin;
  if (kIpAt + ip_bytes < kQuoteAt + kQuoteMin || !pull_up(pkt, kQuoteAt + kQuoteMin)) {
    return drop(pkt, Verdict::icmp_truncated);
  }
  const wire::Ip4View quoted(pkt.data() + kQuoteAt);
  const bool of_tcp = quoted.version() == 4 && quoted.header_bytes() == wire::kIp4HeaderBytes &&
                      quoted.protocol() == wire::kIpProtoTcp && !quoted.is_fragment() && ours(quoted.source());
  if (!of_tcp) return drop(pkt, Verdict::icmp_ignored);
  const wire::IcmpView icmp(pkt.data() + kL4At);
  const bool too_big = icmp.code() == wire::kIcmpFragmentationNeeded;
  const u8* const ports = pkt.data() + kQuoteAt + wire::kIp4HeaderBytes;
  const wire::FourTuple tuple{quoted.source(), quoted.destination(), wire::load_be16(ports),
                              wire::load_be16(ports + 2)};
  if (!owned) {
    const u32 core = owner(tuple, lookup::flow_hash(tuple, config.seed));
    if (core != config.core) return hand_over(pkt, port, core);
  }
  if (unreachable_count == kUnreachableMax) return drop(pkt, Verdict::icmp_rate_limited);
  Unreachable& u = unreachable[unreachable_count++];
  u = {tuple, wire::SeqNo{wire::load_be32(ports + 4)}, 0};
  // RFC 1191 section 5: a router that names no size is of before that; the next smaller common one is tried.
  if (too_big) u.packet_bytes = (icmp.rest() & 0xffff) != 0 ? icmp.rest() & 0xffff : quoted.total_bytes() > 1492 ? 1492 : 576;
  return drop(pkt, too_big ? Verdict::icmp_too_big : Verdict::icmp_unreachable);
}

bool Gate::Impl::accept_udp(mbuf::Pkt& pkt, u32 port, u32 ip_bytes, TimeUs now_us) {
  const u32 ip_payload = ip_bytes - wire::kIp4HeaderBytes;
  if (ip_payload < wire::kUdpHeaderBytes || !pull_up(pkt, kL4At + wire::kUdpHeaderBytes)) {
    return drop(pkt, Verdict::udp_truncated);
  }
  const wire::UdpView udp(pkt.data() + kL4At);
  if (udp.bytes() < wire::kUdpHeaderBytes || udp.bytes() > ip_payload) return drop(pkt, Verdict::udp_truncated);
  const wire::Ip4View ip(pkt.data() + kIpAt);
  if (udp.checksum() != 0) {
    const u64 pseudo = wire::pseudo_header_sum(ip.source(), ip.destination(), wire::kIpProtoUdp,
                                               static_cast<u16>(udp.bytes()));
    if (!verify_checksum(pkt, kL4At, udp.bytes(), pseudo)) return drop(pkt, Verdict::udp_bad_checksum);
  }
  const bool is_dns = plan->dns_ip.v != 0 && ip.destination() == plan->dns_ip && udp.destination_port() == kDnsPort;
  if (is_dns) return answer_dns(pkt, port, udp.bytes() - wire::kUdpHeaderBytes);
  return refuse(pkt, port, wire::kIcmpPortUnreachable, Verdict::udp_no_port, now_us);
}

bool Gate::Impl::answer_dns(mbuf::Pkt& pkt, u32 port, u32 query_bytes) {
  constexpr u32 kHeaders = wire::kIp4HeaderBytes + wire::kUdpHeaderBytes;
  if (!pull_up(pkt, kL4At + wire::kUdpHeaderBytes + query_bytes)) return drop(pkt, Verdict::dns_malformed);
  mbuf::Pkt reply = pools.alloc();
  if (!reply) return drop(pkt, Verdict::no_mbuf);
  const u32 room = std::min(reply.tailroom(), kHeaders + dns::kAnswerBytesMax) - kHeaders;
  u8* const ip = reply.append(kHeaders + room);
  u8* const udp = ip + wire::kIp4HeaderBytes;
  const Bytes query = pkt.first().subspan(kL4At + wire::kUdpHeaderBytes, query_bytes);
  const u32 bytes = dns::answer(query, *plan, {udp + wire::kUdpHeaderBytes, room});
  if (bytes == 0) return drop(pkt, Verdict::dns_malformed);
  reply.drop_back(room - bytes);

  const wire::Ip4View asked(pkt.data() + kIpAt);
  const u16 udp_bytes = static_cast<u16>(wire::kUdpHeaderBytes + bytes);
  wire::write_ip4(ip, {.total_bytes = static_cast<u16>(kHeaders + bytes), .protocol = wire::kIpProtoUdp,
                       .source = asked.destination(), .destination = asked.source()});
  wire::write_udp(udp, kDnsPort, wire::UdpView(pkt.data() + kL4At).source_port(), udp_bytes);
  wire::Checksum sum(
      wire::pseudo_header_sum(asked.destination(), asked.source(), wire::kIpProtoUdp, udp_bytes));
  sum.add({udp, udp_bytes});
  // RFC 768: a checksum of zero is sent as all ones.
  store(udp + 6, sum.value().raw == 0 ? Be16{0xffff} : sum.value());
  send_frame(std::move(reply), port, wire::EthView(pkt.data()).source(), wire::kEtherTypeIp4);
  return drop(pkt, Verdict::dns_answered);
}

// Destination unreachable, with as much of the packet as is allowed. What comes here has one sender and one receiver.
bool Gate::Impl::refuse(mbuf::Pkt& pkt, u32 port, u8 code, Verdict verdict, TimeUs now_us) {
  if (!icmp_errors.take(now_us)) return drop(pkt, Verdict::icmp_rate_limited);
  mbuf::Pkt error = pools.alloc();
  if (!error) return drop(pkt, Verdict::no_mbuf);
  const wire::Ip4View about(pkt.data() + kIpAt);
  constexpr u32 kHeaders = wire::kIp4HeaderBytes + wire::kIcmpHeaderBytes;
  const u32 quote = std::min({about.total_bytes(), pkt.first_bytes() - kIpAt, kQuoteBytesMax});
  u8* const ip = error.append(kHeaders + quote);
  if (ip == nullptr) return drop(pkt, Verdict::no_mbuf);
  u8* const icmp = ip + wire::kIp4HeaderBytes;
  wire::write_ip4(ip, {.total_bytes = static_cast<u16>(kHeaders + quote), .protocol = wire::kIpProtoIcmp,
                       .source = about.destination(), .destination = about.source()});
  wire::write_icmp(icmp, wire::IcmpType::unreachable, code, 0);
  std::memcpy(icmp + wire::kIcmpHeaderBytes, pkt.data() + kIpAt, quote);
  store(icmp + 2, wire::checksum({icmp, wire::kIcmpHeaderBytes + quote}));
  send_frame(std::move(error), port, wire::EthView(pkt.data()).source(), wire::kEtherTypeIp4);
  return drop(pkt, verdict);
}

}  // namespace ringway::gate
