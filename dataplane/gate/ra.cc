// Router advertisements read and asked for (RFC 4861 6.1.2, 6.3.4, 6.3.7; RFC 4191 2.2), on ports that are told to listen.
// Only the router itself is learned: its address, lifetime, preference and MAC. Addresses, prefixes and MTU are configured.

#include "dataplane/gate/impl.h"

namespace ringway::gate {

using contract::Verdict;
using wire::kEthHeaderBytes;

bool Gate::Impl::accept_router(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us, bool owned) {
  if (config.core != 0 && !owned) return hand_over(pkt, port, 0);
  const bool far = wire::Ip6View(pkt.data() + kEthHeaderBytes).hop_limit() != wire::kIp6HopLimitLink;
  if (far || !wire::is_link_local(in.source) || in.bytes() < wire::kRouterBytes || !pull_up(pkt, in.end)) {
    return drop(pkt, Verdict::ra_malformed);
  }
  const u8* const message = pkt.data() + in.at;
  const wire::NdOptions options =
      wire::read_nd_options({message + wire::kRouterBytes, in.bytes() - wire::kRouterBytes}, wire::NdOption::source_mac);
  if (wire::Icmp6View(message).code() != 0 || !options.well_formed || (options.mac && (options.mac->b[0] & 1) != 0)) {
    return drop(pkt, Verdict::ra_malformed);
  }
  const wire::RouterView router(message);
  if (!config.neighbours->routers().heard(port, in.source, u64{router.lifetime_s()} * 1'000'000, router.preference(), now_us)) {
    return drop(pkt, Verdict::ra_ignored);
  }
  if (options.mac && router.lifetime_s() != 0) {
    config.neighbours->learn(port, in.source, *options.mac, false, now_us);
    send_waiting(now_us);
  }
  copy_hops();
  return drop(pkt, Verdict::ra_learned);
}

void Gate::Impl::copy_hops() {
  const u64 version = config.neighbours->routers().version();
  if (version == hops_version) return;
  hops_version = version;
  hops = config.neighbours->routers().hops();
}

// Core 0, once a second: routers grow old, a chosen one is kept as a neighbour, a silent one is left, and where there is
// none the link is asked.
void Gate::Impl::look_at_routers(TimeUs now_us) {
  if (now_us < routers_due_us) return;
  routers_due_us = now_us + Routers::kLookEveryUs;
  Routers& routers = config.neighbours->routers();
  for (u32 port = 0; port < plan->ports.size(); ++port) {
    if (!plan->ports[port].router_advertisements) continue;
    routers.expire(port, now_us);
    if (routers.solicit(port, now_us)) solicit_routers(port);
    if (routers.hop(port) == wire::Ip6{}) continue;
    wire::Mac mac;
    const bool silent = !config.neighbours->find(port, wire::Ip(routers.hop(port)), mac);
    if (silent) config.neighbours->ask(port, routers.hop(port));
    if (routers.silent(port, silent) >= Routers::kSilentLooks) routers.doubt(port);
  }
}

void Gate::Impl::solicit_routers(u32 port) {
  mbuf::Pkt pkt = pools.alloc();
  if (!pkt) return page.count(Verdict::no_mbuf);
  wire::write_router_solicitation(pkt.append(wire::kIcmp6HeaderBytes + wire::kNdOptionBytes), macs[port]);
  send_icmp6(std::move(pkt), port, wire::multicast_mac(wire::kIp6AllRouters), plan->ports[port].ip6, wire::kIp6AllRouters,
             wire::kIp6HopLimitLink);
}

}  // namespace ringway::gate
