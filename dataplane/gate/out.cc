// The way out: route, neighbour, Ethernet header; packets that wait for a neighbour; the clock of ARP and of neighbour
// discovery.

#include <algorithm>

#include "dataplane/gate/impl.h"
#include "src/wire/arp.h"

namespace ringway::gate {

using contract::Verdict;

// Connected networks first, then the first port that has a next hop.
bool Gate::Impl::route(wire::Ip4 dst, u32& port, wire::Ip4& hop) const {
  for (u32 i = 0; i < nets4.size(); ++i) {
    if (!nets4[i].connects(dst)) continue;
    port = i;
    hop = dst;
    return true;
  }
  const std::vector<contract::PortNet>& nets = plan->ports;
  for (u32 i = 0; i < nets.size(); ++i) {
    if (nets[i].next_hop.v == 0) continue;
    port = i;
    hop = nets[i].next_hop;
    return true;
  }
  return false;
}

// Nothing is sent to a link-local address by this way: it would need to know the link.
bool Gate::Impl::route(const wire::Ip6& dst, u32& port, wire::Ip6& hop) const {
  const std::vector<contract::PortNet>& nets = plan->ports;
  if (wire::is_multicast(dst) || wire::is_link_local(dst)) return false;
  for (u32 i = 0; i < nets.size(); ++i) {
    if (!nets[i].connects(dst)) continue;
    port = i;
    hop = dst;
    return true;
  }
  for (u32 i = 0; i < nets.size(); ++i) {
    if (!nets[i].has6()) continue;
    hop = nets[i].next_hop6 != wire::Ip6{} ? nets[i].next_hop6 : hops.by_port[i];
    if (hop == wire::Ip6{}) continue;
    port = i;
    return true;
  }
  return false;
}

void Gate::Impl::send_frame(mbuf::Pkt&& pkt, u32 port, const wire::Mac& to, u16 type) {
  u8* head = pkt.prepend(wire::kEthHeaderBytes);
  if (head == nullptr) {
    mbuf::Pkt front = pools.alloc();
    if (!front) return void(drop(pkt, Verdict::no_mbuf));
    head = front.append(wire::kEthHeaderBytes);
    front.get()->ol_flags |= pkt.get()->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK;
    front.get()->tx_offload = pkt.get()->tx_offload;
    if (rte_pktmbuf_chain(front.get(), pkt.get()) != 0) return void(drop(pkt, Verdict::tx_refused));
    [[maybe_unused]] const rte_mbuf* chained = pkt.release();
    pkt = std::move(front);
  }
  wire::write_eth(head, to, macs[port], type);
  pkt.get()->l2_len = wire::kEthHeaderBytes;
  config.queues[port]->tx(std::move(pkt));
}

void Gate::Impl::send(mbuf::Pkt&& pkt, wire::Ip4 dst, TimeUs now_us) {
  u32 port = 0;
  wire::Ip4 hop;
  // To an address of our own: nobody out there would answer for it.
  if (ours(dst) || !route(dst, port, hop)) return page.count(Verdict::no_route);
  wire::Mac mac;
  if (config.neighbours->find(port, hop, mac)) return send_frame(std::move(pkt), port, mac, wire::kEtherTypeIp4);
  wait_for(std::move(pkt), port, hop, now_us);
}

void Gate::Impl::send6(mbuf::Pkt&& pkt, TimeUs now_us) {
  const wire::Ip6 dst = wire::Ip6View(pkt.data()).destination();
  u32 port = 0;
  wire::Ip6 hop;
  if (ours(dst) || !route(dst, port, hop)) return page.count(Verdict::no_route);
  wire::Mac mac;
  if (config.neighbours->find(port, hop, mac)) return send_frame(std::move(pkt), port, mac, wire::kEtherTypeIp6);
  wait_for(std::move(pkt), port, hop, now_us);
}

void Gate::Impl::wait_for(mbuf::Pkt pkt, u32 port, const wire::Ip& hop, TimeUs now_us) {
  u32 same = 0;
  for (u32 i = 0; i < waiting_count; ++i) same += waiting[i].hop == hop && waiting[i].port == port;
  if (waiting_count == kWaitingMax || same >= kWaitingPerNeighbourMax) return page.count(Verdict::neighbour_queue_full);
  waiting[waiting_count++] = {std::move(pkt), port, hop, now_us + Neighbours::kRetryUs, now_us + kWaitUs};
  if (same > 0) return;
  config.neighbours->ask(port, hop);
  if (config.core == 0) ask_due(now_us);
}

void Gate::Impl::send_waiting(TimeUs now_us) {
  u32 kept = 0;
  for (u32 i = 0; i < waiting_count; ++i) {
    Waiting& w = waiting[i];
    wire::Mac mac;
    if (config.neighbours->find(w.port, w.hop, mac)) {
      send_frame(std::move(w.pkt), w.port, mac, w.hop.is4() ? wire::kEtherTypeIp4 : wire::kEtherTypeIp6);
      continue;
    }
    if (now_us >= w.give_up_us) {
      drop(w.pkt, Verdict::neighbour_unresolved);
      continue;
    }
    // The first question may have been lost with a full ring, or given up for an earlier packet.
    if (now_us >= w.ask_again_us && now_us + Neighbours::kRetryUs < w.give_up_us) {
      config.neighbours->ask(w.port, w.hop);
      w.ask_again_us += Neighbours::kRetryUs;
    }
    if (kept != i) waiting[kept] = std::move(w);
    ++kept;
  }
  waiting_count = kept;
}

void Gate::Impl::ask_due(TimeUs now_us) {
  Neighbours::Request r;
  while (config.neighbours->next_request(now_us, r)) {
    if (r.port < plan->ports.size()) ask(r);
  }
}

void Gate::Impl::ask(const Neighbours::Request& r) {
  const contract::PortNet& net = plan->ports[r.port];
  if (r.ip.is4()) {
    const wire::Mac to = r.unicast ? r.to : wire::kMacBroadcast;
    return send_arp(r.port, wire::kArpRequest, net.ip, to, wire::Mac{}, r.ip.ip4());
  }
  const wire::Ip6& target = r.ip.ip6();
  const wire::Ip6 group = wire::solicited_node(target);
  send_nd(r.port, {.target = target, .mac = macs[r.port]}, net.ip6, r.unicast ? target : group,
          r.unicast ? r.to : wire::multicast_mac(group));
}

void Gate::Impl::housekeeping(TimeUs now_us) {
  if (plan == nullptr) return;
  if (config.core == 0) {
    look_at_routers(now_us);
    report_groups(now_us);
  }
  copy_hops();
  if (waiting_count > 0) send_waiting(now_us);
  if (!to_announce.empty()) announce_some();
  if (config.core == 0) ask_due(now_us);
}

}  // namespace ringway::gate
