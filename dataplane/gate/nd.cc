// Neighbour discovery, both ways (RFC 4861): solicitations answered and sent, advertisements read and sent. Our addresses
// are configured by hand and used at once, without asking first whether somebody has them (RFC 4862 5.4 asks that of
// addresses that a host gives itself); who asks whether an address of ours is free is told that it is not. Messages that
// come in at another core go to core 0. Redirects are not read; routers are in ra.cc.

#include "dataplane/gate/impl.h"
#include "src/wire/checksum.h"

namespace ringway::gate {

using contract::Verdict;
using wire::Icmp6Type;
using wire::kEthHeaderBytes;

// As over IPv4 (arp.cc), and the link-local address of the port itself.
bool Gate::Impl::answers_for(u32 port, const wire::Ip6& a) const {
  const std::vector<contract::PortNet>& nets = plan->ports;
  if (!nets[port].has6()) return false;
  if (a == link_locals[port]) return true;
  if (!ours(a)) return false;
  if (nets[port].connects(a)) return true;
  for (const contract::PortNet& n : nets) {
    if (n.connects(a)) return false;
  }
  return true;
}

// Nobody is told our own addresses by others, and nobody lives outside the link.
bool Gate::Impl::credible(u32 port, const wire::Ip6& a) const {
  const contract::PortNet& net = plan->ports[port];
  return net.has6() && (wire::is_link_local(a) || net.connects(a)) && a != link_locals[port] && !ours(a);
}

void Gate::Impl::send_nd(u32 port, const wire::NdFields& nd, const wire::Ip6& source, const wire::Ip6& destination,
                         const wire::Mac& to) {
  mbuf::Pkt pkt = pools.alloc();
  if (!pkt) return page.count(Verdict::no_mbuf);
  constexpr u32 kMost = wire::kNdBytes + wire::kNdOptionBytes;
  pkt.drop_back(kMost - wire::write_nd(pkt.append(kMost), nd));
  send_icmp6(std::move(pkt), port, to, source, destination, wire::kIp6HopLimitLink);
}

// RFC 4861 7.2.6.
void Gate::Impl::announce(u32 port, const wire::Ip6& a) {
  send_nd(port, {.type = Icmp6Type::neighbour_advertisement, .override_flag = true, .target = a, .mac = macs[port]}, a,
          wire::kIp6AllNodes, wire::multicast_mac(wire::kIp6AllNodes));
}

// RFC 4861 7.1.1 and 7.1.2, as far as both messages have it in common.
bool Gate::Impl::accept_nd(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us, bool owned) {
  if (config.core != 0 && !owned) return hand_over(pkt, port, 0);
  const bool far = wire::Ip6View(pkt.data() + kEthHeaderBytes).hop_limit() != wire::kIp6HopLimitLink;
  if (far || in.bytes() < wire::kNdBytes || !pull_up(pkt, in.end)) return drop(pkt, Verdict::nd_malformed);
  const u8* const message = pkt.data() + in.at;
  const bool bad_target = wire::is_multicast(wire::NdView(message).target());
  if (wire::Icmp6View(message).code() != 0 || bad_target) return drop(pkt, Verdict::nd_malformed);
  return wire::Icmp6View(message).type() == Icmp6Type::neighbour_solicitation
             ? accept_solicitation(pkt, port, in, now_us)
             : accept_advertisement(pkt, port, in, now_us);
}

bool Gate::Impl::accept_solicitation(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us) {
  const u8* const message = pkt.data() + in.at;
  const wire::Ip6 target = wire::NdView(message).target();
  const wire::NdOptions options =
      wire::read_nd_options({message + wire::kNdBytes, in.bytes() - wire::kNdBytes}, wire::NdOption::source_mac);
  const bool nobody = in.source == wire::Ip6{};
  const bool to_group = wire::is_multicast(in.destination);
  if (!options.well_formed || (options.mac && (options.mac->b[0] & 1) != 0) ||
      (nobody && (options.mac || !to_group || in.destination == wire::kIp6AllNodes))) {
    return drop(pkt, Verdict::nd_malformed);
  }
  if (!answers_for(port, target)) return punt_or_drop(pkt, port, Verdict::nd_not_ours);
  if (options.mac && credible(port, in.source)) {
    config.neighbours->learn(port, in.source, *options.mac, false, now_us);
    send_waiting(now_us);
  }
  // RFC 4861 7.2.4: to everybody where the sender has no address to answer to.
  const wire::Mac asker = wire::EthView(pkt.data()).source();
  send_nd(port,
          {.type = Icmp6Type::neighbour_advertisement, .solicited = !nobody, .override_flag = true, .target = target,
           .mac = macs[port]},
          target, nobody ? wire::kIp6AllNodes : in.source, nobody ? wire::multicast_mac(wire::kIp6AllNodes) : asker);
  return drop(pkt, Verdict::nd_answered);
}

// RFC 4861 7.2.5, without states of our own for it: one that answers a question is learned, one that overrides changes
// what is known, and neither adds what nobody asked for.
bool Gate::Impl::accept_advertisement(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us) {
  const u8* const message = pkt.data() + in.at;
  const wire::NdView nd(message);
  const wire::Ip6 target = nd.target();
  const wire::NdOptions options =
      wire::read_nd_options({message + wire::kNdBytes, in.bytes() - wire::kNdBytes}, wire::NdOption::target_mac);
  if (!options.well_formed || (options.mac && (options.mac->b[0] & 1) != 0) || in.source == wire::Ip6{} ||
      (wire::is_multicast(in.destination) && nd.solicited())) {
    return drop(pkt, Verdict::nd_malformed);
  }
  if (!credible(port, target)) {
    // The kernel behind the tap asks for itself.
    return ours(target) ? drop(pkt, Verdict::nd_unsolicited) : punt_or_drop(pkt, port, Verdict::nd_unsolicited);
  }
  // An answer to a question by unicast need not say the MAC again.
  wire::Mac known;
  const bool is_known = config.neighbours->find(port, target, known);
  if (!options.mac && !is_known) return drop(pkt, Verdict::nd_unsolicited);
  const wire::Mac mac = options.mac.value_or(known);
  const bool changes = is_known && mac != known;
  if (changes && !nd.override_flag()) return drop(pkt, Verdict::nd_unsolicited);
  const bool learned = nd.solicited() ? config.neighbours->learn(port, target, mac, true, now_us)
                                      : config.neighbours->update(port, target, mac, now_us);
  if (!learned) return drop(pkt, Verdict::nd_unsolicited);
  send_waiting(now_us);
  return drop(pkt, Verdict::nd_learned);
}

}  // namespace ringway::gate
