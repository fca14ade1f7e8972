// What the gate answers by itself over IPv6: ICMPv6 echo, UDP nobody listens for, DNS; and what it learns from ICMPv6
// errors. RFC 4443. As over IPv4, answers go back to the MAC that asked, by the port that it came in by.

#include <algorithm>
#include <cstring>

#include "dataplane/dns/responder.h"
#include "dataplane/gate/impl.h"
#include "src/lookup/flow_hash.h"
#include "src/wire/checksum.h"
#include "src/wire/udp.h"

namespace ringway::gate {

using contract::Verdict;
using wire::Be16;
using wire::Icmp6Type;
using wire::kEthHeaderBytes;
using wire::kIp6HeaderBytes;

namespace {

constexpr u32 kIpAt = kEthHeaderBytes;
constexpr u16 kDnsPort = 53;
// RFC 4443 2.4 (c): an error and its quote fit the smallest MTU.
constexpr u32 kQuoteBytesMax = wire::kIp6MtuMin - kIp6HeaderBytes - wire::kIcmp6HeaderBytes;

void store(u8* p, Be16 v) { std::memcpy(p, &v.raw, 2); }

}  // namespace

bool Gate::Impl::accept_icmp6(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us, bool owned) {
  if (in.bytes() < wire::kIcmp6HeaderBytes || !pull_up(pkt, in.at + wire::kIcmp6HeaderBytes)) {
    return drop(pkt, Verdict::icmp_truncated);
  }
  const u64 pseudo = wire::pseudo_header_sum(in.source, in.destination, wire::kIpProtoIcmp6, in.bytes());
  if (!verify_checksum(pkt, in.at, in.bytes(), pseudo)) return drop(pkt, Verdict::icmp_bad_checksum);
  const Icmp6Type type = wire::Icmp6View(pkt.data() + in.at).type();
  if (type == Icmp6Type::neighbour_solicitation || type == Icmp6Type::neighbour_advertisement) {
    return accept_nd(pkt, port, in, now_us, owned);
  }
  if (type == Icmp6Type::router_advertisement && plan->ports[port].router_advertisements) {
    return accept_router(pkt, port, in, now_us, owned);
  }
  if (type == Icmp6Type::mld_query) return accept_query(pkt, port, in, now_us, owned);
  if (in.source == wire::Ip6{}) return drop(pkt, Verdict::ip6_bad_source);
  const bool to_us = !wire::is_multicast(in.destination);
  if (to_us && type == Icmp6Type::echo) return answer_echo6(pkt, port, in);
  if (to_us && (type == Icmp6Type::unreachable || type == Icmp6Type::packet_too_big)) {
    return note_error6(pkt, port, in, owned);
  }
  return punt_or_drop(pkt, port, Verdict::icmp_ignored);
}

// `pkt`: an ICMPv6 message in one segment, whose checksum is zero until then.
void Gate::Impl::sum_icmp6(mbuf::Pkt& pkt, const wire::Ip6& source, const wire::Ip6& destination) {
  wire::Checksum sum(wire::pseudo_header_sum(source, destination, wire::kIpProtoIcmp6, pkt.total_bytes()));
  sum.add(pkt.first());
  store(pkt.data() + 2, sum.value());
}

// `pkt`: an ICMPv6 message whose checksum is zero.
void Gate::Impl::send_icmp6(mbuf::Pkt pkt, u32 port, const wire::Mac& to, const wire::Ip6& source,
                            const wire::Ip6& destination, u8 hop_limit) {
  const u32 bytes = pkt.total_bytes();
  sum_icmp6(pkt, source, destination);
  u8* const ip = pkt.prepend(kIp6HeaderBytes);
  RW_ASSERT(ip != nullptr);
  wire::write_ip6(ip, {.payload_bytes = static_cast<u16>(bytes), .next_header = wire::kIpProtoIcmp6, .hop_limit = hop_limit,
                       .source = source, .destination = destination});
  send_frame(std::move(pkt), port, to, wire::kEtherTypeIp6);
}

// In place: a new header right in front of the message, so that extension headers are not echoed; the checksum is
// adjusted by what changed, which the exchange of the addresses is not.
bool Gate::Impl::answer_echo6(mbuf::Pkt& pkt, u32 port, const In6& in) {
  const u32 padding = pkt.total_bytes() - in.end;
  if (padding > 0 && padding < rte_pktmbuf_lastseg(pkt.get())->data_len) pkt.drop_back(padding);
  const wire::Mac asker = wire::EthView(pkt.data()).source();
  pkt.drop_front(in.at - kIp6HeaderBytes);
  u8* const ip = pkt.data();
  u8* const icmp = ip + kIp6HeaderBytes;
  Be16 before, after, sum;
  std::memcpy(&before.raw, icmp, 2);
  icmp[0] = static_cast<u8>(Icmp6Type::echo_reply);
  std::memcpy(&after.raw, icmp, 2);
  std::memcpy(&sum.raw, icmp + 2, 2);
  store(icmp + 2, wire::adjust_checksum(sum, before, after));
  wire::write_ip6(ip, {.payload_bytes = static_cast<u16>(in.bytes()), .next_header = wire::kIpProtoIcmp6,
                       .source = in.destination, .destination = in.source});
  page.count(Verdict::icmp_echo_answered);
  send_frame(std::move(pkt), port, asker, wire::kEtherTypeIp6);
  return false;
}

// The quoted packet is one that we sent: without extension headers, its source our side of the connection.
bool Gate::Impl::note_error6(mbuf::Pkt& pkt, u32 port, const In6& in, bool owned) {
  constexpr u32 kQuoteMin = wire::kIcmp6HeaderBytes + kIp6HeaderBytes + 8;
  if (in.bytes() < kQuoteMin || !pull_up(pkt, in.at + kQuoteMin)) return drop(pkt, Verdict::icmp_truncated);
  const u8* const message = pkt.data() + in.at;
  const wire::Ip6View quoted(message + wire::kIcmp6HeaderBytes);
  const wire::Ip6 local = quoted.source(), remote = quoted.destination();
  if (quoted.version() != 6 || quoted.next_header() != wire::kIpProtoTcp || !ours(local)) {
    return drop(pkt, Verdict::icmp_ignored);
  }
  const bool too_big = wire::Icmp6View(message).type() == Icmp6Type::packet_too_big;
  const u32 packet_bytes = too_big ? wire::Icmp6View(message).rest() : 0;
  // RFC 8201 4: below the smallest MTU it says nothing.
  if (too_big && packet_bytes < wire::kIp6MtuMin) return drop(pkt, Verdict::icmp_ignored);
  const u8* const ports = message + wire::kIcmp6HeaderBytes + kIp6HeaderBytes;
  wire::FourTuple tuple{wire::Ip4{config.book->digest(local)}, wire::Ip4{config.book->digest(remote)},
                        wire::load_be16(ports), wire::load_be16(ports + 2)};
  if (!owned) {
    const u32 core = owner(local, remote, tuple, lookup::flow_hash(tuple, config.seed));
    if (core != config.core) return hand_over(pkt, port, core);
  }
  if (unreachable_count == kUnreachableMax) return drop(pkt, Verdict::icmp_rate_limited);
  tuple.local = config.book->find(local);
  tuple.remote = config.book->name(remote);
  unreachable[unreachable_count++] = {tuple, wire::SeqNo{wire::load_be32(ports + 4)}, packet_bytes};
  return drop(pkt, too_big ? Verdict::icmp_too_big : Verdict::icmp_unreachable);
}

bool Gate::Impl::accept_udp6(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us) {
  if (in.bytes() < wire::kUdpHeaderBytes || !pull_up(pkt, in.at + wire::kUdpHeaderBytes)) {
    return drop(pkt, Verdict::udp_truncated);
  }
  const wire::UdpView udp(pkt.data() + in.at);
  if (udp.bytes() < wire::kUdpHeaderBytes || udp.bytes() > in.bytes()) return drop(pkt, Verdict::udp_truncated);
  // Over IPv6 a checksum there must be (RFC 8200 8.1).
  const u64 pseudo = wire::pseudo_header_sum(in.source, in.destination, wire::kIpProtoUdp, udp.bytes());
  if (udp.checksum() == 0 || !verify_checksum(pkt, in.at, udp.bytes(), pseudo)) {
    return drop(pkt, Verdict::udp_bad_checksum);
  }
  const bool is_dns = in.destination == plan->dns_ip6 && udp.destination_port() == kDnsPort;
  if (is_dns) return answer_dns6(pkt, port, in, udp.bytes() - wire::kUdpHeaderBytes);
  return refuse6(pkt, port, in, Icmp6Type::unreachable, wire::kIcmp6PortUnreachable, 0, Verdict::udp_no_port, now_us);
}

bool Gate::Impl::answer_dns6(mbuf::Pkt& pkt, u32 port, const In6& in, u32 query_bytes) {
  constexpr u32 kHeaders = kIp6HeaderBytes + wire::kUdpHeaderBytes;
  const u32 query_at = in.at + wire::kUdpHeaderBytes;
  if (!pull_up(pkt, query_at + query_bytes)) return drop(pkt, Verdict::dns_malformed);
  mbuf::Pkt reply = pools.alloc();
  if (!reply) return drop(pkt, Verdict::no_mbuf);
  const u32 room = std::min(reply.tailroom(), kHeaders + dns::kAnswerBytesMax) - kHeaders;
  u8* const ip = reply.append(kHeaders + room);
  u8* const udp = ip + kIp6HeaderBytes;
  const u32 bytes = dns::answer(pkt.first().subspan(query_at, query_bytes), *plan, {udp + wire::kUdpHeaderBytes, room});
  if (bytes == 0) return drop(pkt, Verdict::dns_malformed);
  reply.drop_back(room - bytes);

  const u16 udp_bytes = static_cast<u16>(wire::kUdpHeaderBytes + bytes);
  wire::write_ip6(ip, {.payload_bytes = udp_bytes, .next_header = wire::kIpProtoUdp, .source = in.destination,
                       .destination = in.source});
  wire::write_udp(udp, kDnsPort, wire::UdpView(pkt.data() + in.at).source_port(), udp_bytes);
  wire::Checksum sum(wire::pseudo_header_sum(in.destination, in.source, wire::kIpProtoUdp, udp_bytes));
  sum.add({udp, udp_bytes});
  store(udp + 6, sum.value().raw == 0 ? Be16{0xffff} : sum.value());
  send_frame(std::move(reply), port, wire::EthView(pkt.data()).source(), wire::kEtherTypeIp6);
  return drop(pkt, Verdict::dns_answered);
}

// An error about the packet, with as much of it as is allowed. Nobody is told who is many, or nobody (RFC 4443 2.4 e).
bool Gate::Impl::refuse6(mbuf::Pkt& pkt, u32 port, const In6& in, Icmp6Type type, u8 code, u32 rest, Verdict verdict,
                         TimeUs now_us) {
  if (wire::is_multicast(in.destination) || in.source == wire::Ip6{}) return drop(pkt, verdict);
  if (!icmp_errors.take(now_us)) return drop(pkt, Verdict::icmp_rate_limited);
  mbuf::Pkt error = pools.alloc();
  if (!error) return drop(pkt, Verdict::no_mbuf);
  const u32 quote = std::min({in.end - kIpAt, pkt.first_bytes() - kIpAt, kQuoteBytesMax});
  u8* const icmp = error.append(wire::kIcmp6HeaderBytes + quote);
  if (icmp == nullptr) return drop(pkt, Verdict::no_mbuf);
  wire::write_icmp6(icmp, type, code, rest);
  std::memcpy(icmp + wire::kIcmp6HeaderBytes, pkt.data() + kIpAt, quote);
  send_icmp6(std::move(error), port, wire::EthView(pkt.data()).source(), in.destination, in.source,
             wire::kIp6HopLimitDefault);
  return drop(pkt, verdict);
}

}  // namespace ringway::gate
