// ARP, both ways (RFC 826; announcements as in RFC 5227 3). Frames that come in at another core go to core 0.

#include "dataplane/gate/impl.h"
#include "src/wire/arp.h"

namespace ringway::gate {

using contract::Verdict;
using wire::kEthHeaderBytes;

// A port's network has its addresses answered for by that port alone; addresses outside of all networks (VIPs behind a
// route) by any port.
bool Gate::Impl::answers_for(u32 port, wire::Ip4 a) const {
  if (!ours(a)) return false;
  const std::vector<contract::PortNet>& nets = plan->ports;
  if (nets[port].connects(a)) return true;
  for (const contract::PortNet& n : nets) {
    if (n.connects(a)) return false;
  }
  return true;
}

void Gate::Impl::send_arp(u32 port, u16 operation, wire::Ip4 sender, const wire::Mac& to, const wire::Mac& target_mac,
                          wire::Ip4 target) {
  mbuf::Pkt pkt = pools.alloc();
  if (!pkt) return page.count(Verdict::no_mbuf);
  wire::write_arp(pkt.append(wire::kArpBytes), {.operation = operation, .sender_mac = macs[port], .sender_ip = sender,
                                                .target_mac = target_mac, .target_ip = target});
  send_frame(std::move(pkt), port, to, wire::kEtherTypeArp);
}

bool Gate::Impl::accept_arp(mbuf::Pkt& pkt, u32 port, TimeUs now_us, bool owned) {
  if (config.core != 0 && !owned) return hand_over(pkt, port, 0);
  if (!pull_up(pkt, kEthHeaderBytes + wire::kArpBytes)) return drop(pkt, Verdict::arp_malformed);
  const wire::ArpView arp(pkt.data() + kEthHeaderBytes);
  const u16 operation = arp.operation();
  if (!arp.is_ethernet_ip4() || (operation != wire::kArpRequest && operation != wire::kArpReply)) {
    return drop(pkt, Verdict::arp_malformed);
  }
  const wire::Mac mac = arp.sender_mac();
  const wire::Ip4 sender = arp.sender_ip();
  const wire::Ip4 target = arp.target_ip();
  if ((mac.b[0] & 1) != 0) return drop(pkt, Verdict::arp_malformed);
  const contract::PortNet& net = plan->ports[port];
  // Nobody is told our own addresses by others, and nobody lives outside the port's network.
  const bool credible = !ours(sender) && net.connects(sender);

  // An announcement, as after a change of MAC.
  if (sender == target && credible) {
    if (!config.neighbours->update(port, sender, mac, now_us)) return drop(pkt, Verdict::arp_unsolicited);
    send_waiting(now_us);
    return drop(pkt, Verdict::arp_learned);
  }
  if (operation == wire::kArpReply) {
    // The kernel behind the tap asks for itself.
    if (!ours(target)) return punt_or_drop(pkt, port, Verdict::arp_unsolicited);
    if (!credible || !config.neighbours->learn(port, sender, mac, true, now_us)) {
      return drop(pkt, Verdict::arp_unsolicited);
    }
    send_waiting(now_us);
    return drop(pkt, Verdict::arp_learned);
  }
  if (!answers_for(port, target)) return punt_or_drop(pkt, port, Verdict::arp_not_ours);
  if (credible) {
    config.neighbours->learn(port, sender, mac, false, now_us);
    send_waiting(now_us);
  }
  send_arp(port, wire::kArpReply, target, mac, mac, sender);
  return drop(pkt, Verdict::arp_answered);
}

void Gate::Impl::announce_some() {
  for (u32 n = 0; n < kAnnouncePerTurn && !to_announce.empty(); ++n) {
    const wire::Ip a = to_announce.back();
    to_announce.pop_back();
    for (u32 port = 0; port < config.queues.size(); ++port) {
      if (a.is6()) {
        if (answers_for(port, a.ip6())) announce(port, a.ip6());
      } else if (answers_for(port, a.ip4())) {
        send_arp(port, wire::kArpRequest, a.ip4(), wire::kMacBroadcast, wire::Mac{}, a.ip4());
      }
    }
  }
}

}  // namespace ringway::gate
