// Bytes as a program for the gates of two cores on one port: frames of every kind that they read, built by the book, changed
// byte by byte and, when the program says so, summed up again, so that what lies behind a checksum is reached; packets on the
// way out, other plans, time. What must hold: no sanitizer complaint, whatever leaves is a packet of ours with right
// lengths and checksums, and all packet memory is back at the end.

#include <array>

#include "dataplane/gate/gate.h"
#include "dataplane/gate/neighbours.h"
#include "dataplane/port/steering.h"
#include "src/wire/mld.h"
#include "tests/support/eal.h"
#include "tests/support/program.h"
#include "tests/support/ring_port.h"
#include "tests/unit/gate/frames.h"

namespace {

using namespace ringway;
using test::Frame;
using test::Program;
using wire::Icmp6Type;
using wire::Ip4;
using wire::Ip6;
using wire::kEthHeaderBytes;

constexpr wire::Mac kPeerMac{{2, 0, 0, 0, 0, 0x77}};
constexpr Ip4 kAddresses4[] = {Ip4::of(10, 0, 0, 1), Ip4::of(10, 9, 0, 1), Ip4::of(10, 9, 0, 53), Ip4::of(10, 0, 0, 77),
                               Ip4::of(10, 0, 0, 254), Ip4::of(192, 0, 2, 5), Ip4::of(10, 0, 0, 255), Ip4{}};
constexpr Ip6 kOurs6 = Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1), kVip6 = Ip6::of(0xfd00, 9, 0, 0, 0, 0, 0, 1);
constexpr Ip6 kDns6 = Ip6::of(0xfd00, 9, 0, 0, 0, 0, 0, 0x53), kRouter6 = Ip6::of(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
constexpr Ip6 kAddresses6[] = {kOurs6, kVip6, kDns6, Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 0x77), kRouter6, wire::kIp6AllNodes,
                               Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5), Ip6{}};

// Of the process: EAL does not like to make ports anew for every program.
struct Hardware {
  Hardware() {
    test::start_eal();
    std::string error;
    pools = mbuf::Pools::make({.name = "gatefuzz", .packets = 1023, .indirect = 255, .slices = 64, .cache = 0}, error);
    RW_ASSERT(pools != nullptr);
    port = std::make_unique<test::RingPort>("gatefuzz", std::array<mbuf::Pools*, 2>{pools.get(), pools.get()}, 512);
    for (u32 core = 0; core < 2; ++core) {
      queues[core] = std::make_unique<port::Queue>(port->device(), static_cast<u16>(core), *pools, pages[core]);
    }
  }
  std::unique_ptr<mbuf::Pools> pools;
  std::unique_ptr<test::RingPort> port;
  contract::CorePage pages[2];
  std::array<std::unique_ptr<port::Queue>, 2> queues;
};

// A frame and where its parts are, so that it can be summed up again.
struct Made {
  Frame bytes;
  std::size_t transport_at = 0;  // 0: there is no checksum to mend
  u8 protocol = 0;
  std::size_t sum_at = 0;        // from the transport
};

class Machine {
 public:
  Machine(Program& p, Hardware& h) : p_(p), h_(h), steering_({.cores = 2, .port_addresses = {kAddresses4[0]}}) {
    mac_ = h.port->device().mac();
    for (contract::Plan& plan : plans_) {
      plan.ports = {{.ip = kAddresses4[0], .prefix_bits = 24, .next_hop = kAddresses4[4]}};
      plan.ports[0].ip6 = kOurs6;
      plan.addresses = {kAddresses4[0], kAddresses4[1], kAddresses4[2], kOurs6, kVip6, kDns6};
      plan.dns_ip = kAddresses4[2];
      plan.dns_ip6 = kDns6;
      plan.dns_names = {{"auth-service", kVip6}};
    }
    plans_[0].ports[0].router_advertisements = true;
    plans_[1].ports[0].next_hop6 = kRouter6;
    for (u16 n = 0; n < 200; ++n) plans_[1].addresses.push_back(Ip6::of(0xfd00, 9, 0, 0, 0, 0, 1, n));
    const u8 how = p.next();
    for (u32 core = 0; core < 2; ++core) {
      gate::GateConfig c{.core = core, .seed = 5, .book = &books_[core], .queues = {h.queues[core].get()},
                         .neighbours = &neighbours_, .steering = (how & 1) != 0 ? &steering_ : nullptr,
                         .handover = {&handover_[0], &handover_[1]}, .punt = (how & 2) != 0 ? &punt_ : nullptr};
      gates_[core] = std::make_unique<gate::Gate>(c, *h.pools, h.pages[core]);
      gates_[core]->adopt(plans_[how >> 2 & 1], core == 0, now_);
    }
  }

  void run() {
    for (u32 steps = 0; p_.more() && steps < 200; ++steps) step();
    gates_[0].reset();
    gates_[1].reset();
    look_at_sent();
    gate::Handover left;
    for (auto* ring : {&handover_[0], &handover_[1], &punt_})
      while (ring->pop(left)) rte_pktmbuf_free(left.packet);
    RW_ASSERT(!h_.pools->audit());
  }

 private:
  void step() {
    const u8 op = p_.next();
    if ((op & 15) < 14) {
      arrive(op);
    } else if ((op & 15) == 14) {
      now_ += u64{1} << (p_.next() & 27);
      for (auto& g : gates_) g->housekeeping(now_);
    } else if ((op & 16) != 0) {
      for (u32 core = 0; core < 2; ++core) gates_[core]->adopt(plans_[op >> 5 & 1], core == 0, now_);
    } else {
      leave(op);
    }
    hand_over();
    look_at_sent();
  }

  Ip4 ip4() { return kAddresses4[p_.next() & 7]; }
  Ip6 ip6() {
    const u8 which = p_.next();
    const Ip6 a = (which & 16) != 0 ? wire::link_local_of(mac_) : kAddresses6[which & 7];
    return (which & 8) != 0 ? wire::solicited_node(a) : a;
  }
  Frame some(u32 bytes) {
    Frame f(bytes);
    for (u8& b : f) b = p_.next();
    return f;
  }

  // --- frames

  Made over4(const Frame& packet, u8 protocol, std::size_t sum_at) {
    return {test::eth(mac_, kPeerMac, wire::kEtherTypeIp4, packet), kEthHeaderBytes + wire::kIp4HeaderBytes, protocol, sum_at};
  }
  // `options`: of a hop-by-hop header in front, none when empty.
  Made over6(Ip6 from, Ip6 to, u8 protocol, const Frame& body, std::size_t sum_at, u8 hop_limit, const Frame& options = {}) {
    Frame all;
    if (!options.empty()) {
      all = {protocol, static_cast<u8>((options.size() + 2) / 8 - 1)};
      test::append(all, options);
    }
    const std::size_t at = kEthHeaderBytes + wire::kIp6HeaderBytes + all.size();
    test::append(all, body);
    const Frame packet = test::ip6(from, to, options.empty() ? protocol : wire::kIp6HopByHop, all, hop_limit);
    const wire::Mac mac = wire::is_multicast(to) ? wire::multicast_mac(to) : mac_;
    Made made{test::eth(mac, kPeerMac, wire::kEtherTypeIp6, packet), at, protocol, sum_at};
    mend(made);
    return made;
  }
  Made icmp6(Icmp6Type type, u32 rest, const Frame& payload, u8 hop_limit, const Frame& options = {}) {
    Frame body(wire::kIcmp6HeaderBytes);
    wire::write_icmp6(body.data(), type, 0, rest);
    test::append(body, payload);
    const Ip6 from = ip6();
    return over6(from, ip6(), wire::kIpProtoIcmp6, body, 2, hop_limit, options);
  }
  Made nd(Icmp6Type type) {
    const Ip6 target = ip6();
    Frame payload(16);
    wire::store_ip6(payload.data(), target);
    const u8 kind = static_cast<u8>(type == Icmp6Type::neighbour_solicitation ? wire::NdOption::source_mac : wire::NdOption::target_mac);
    test::append(payload, {kind, 1, 2, 0, 0, 0, 0, 0x77});
    return icmp6(type, u32{p_.next()} << 24, payload, wire::kIp6HopLimitLink);
  }
  // A packet of a connection of ours, as errors quote it.
  Frame quoted4() { return test::tcp(kAddresses4[0], 20'000, ip4(), 80, 0x10); }
  Frame quoted6() {
    return test::ip6(kVip6, ip6(), wire::kIpProtoTcp, test::tcp6_body(kVip6, 80, kAddresses6[3], 20'000, 0x10));
  }
  Frame question() {
    return {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 12, 'a', 'u', 't', 'h', '-', 's', 'e', 'r', 'v', 'i', 'c', 'e', 0, 0, p_.next(), 0, 1};
  }
  Frame udp6_body(u16 port, const Frame& payload) {
    Frame f(wire::kUdpHeaderBytes);
    wire::write_udp(f.data(), 4242, port, static_cast<u16>(f.size() + payload.size()));
    test::append(f, payload);
    return f;
  }

  Made make(u32 kind) {
    switch (kind) {
      case 0: return {some(p_.next())};
      case 1: {
        const Ip4 sender = ip4();
        return {test::eth(mac_, kPeerMac, wire::kEtherTypeArp, test::arp(1 + (p_.next() & 1), kPeerMac, sender, ip4()))};
      }
      case 2: return over4(test::icmp(ip4(), kAddresses4[1], wire::IcmpType::echo, 0, {1, 2, 3}), wire::kIpProtoIcmp, 2);
      case 3: return over4(test::udp(ip4(), 4242, kAddresses4[2], 53, question()), wire::kIpProtoUdp, 6);
      case 4: return over4(test::icmp(ip4(), kAddresses4[0], wire::IcmpType::unreachable, 4, quoted4(), p_.next16()), wire::kIpProtoIcmp, 2);
      case 5: return over4(test::tcp(ip4(), 4242, ip4(), 80, 2, {2, 4, 5, 0xb4}), wire::kIpProtoTcp, wire::kTcpChecksumOffset);
      case 6: return nd(Icmp6Type::neighbour_solicitation);
      case 7: return nd(Icmp6Type::neighbour_advertisement);
      case 8: return icmp6(Icmp6Type::router_advertisement, 1800, {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0x77}, wire::kIp6HopLimitLink);
      case 9: return icmp6(Icmp6Type::mld_query, u32{p_.next()} << 16, Frame((p_.next() & 1) != 0 ? 16 : 20), 1, {5, 2, 0, 0, 1, 0});
      case 10: return icmp6(Icmp6Type::echo, 7, {1, 2, 3, 4}, 64, (p_.next() & 1) != 0 ? Frame{1, 4, 0, 0, 0, 0} : Frame{});
      case 11: return over6(ip6(), kDns6, wire::kIpProtoUdp, udp6_body(53, question()), 6, 64);
      case 12: return icmp6(Icmp6Type::packet_too_big, p_.next16(), quoted6(), 64);
      default: return over6(ip6(), kVip6, wire::kIpProtoTcp, test::tcp6_body(kAddresses6[3], 4242, kVip6, 80, 2), wire::kTcpChecksumOffset, 64);
    }
  }

  // Right checksums over what the frame says now, where it is long enough to have any.
  static void mend(Made& made) {
    Frame& f = made.bytes;
    const std::size_t at = made.transport_at;
    if (at == 0 || f.size() < at + made.sum_at + 2) return;
    u8* const ip = f.data() + kEthHeaderBytes;
    const u32 bytes = static_cast<u32>(f.size() - at);
    const bool is6 = at >= kEthHeaderBytes + wire::kIp6HeaderBytes;
    if (!is6) {
      wire::store_be16(ip + 10, 0);
      test::store_sum(ip + 10, wire::checksum({ip, wire::kIp4HeaderBytes}));
    }
    wire::store_be16(&f[at + made.sum_at], 0);
    const u64 pseudo = is6 ? wire::pseudo_header_sum(wire::load_ip6(ip + 8), wire::load_ip6(ip + 24), made.protocol, bytes)
                       : made.protocol == wire::kIpProtoIcmp ? 0
                           : wire::pseudo_header_sum(wire::Ip4View(ip).source(), wire::Ip4View(ip).destination(), made.protocol, static_cast<u16>(bytes));
    wire::Checksum sum(pseudo);
    sum.add(Bytes(f).subspan(at));
    test::store_sum(&f[at + made.sum_at], sum.value());
  }

  // One frame; up to three of its bytes are changed, it may be summed up again, and lie in many segments.
  void arrive(u8 op) {
    Made made = make(op & 15);
    for (u32 n = op >> 4 & 3; n > 0 && !made.bytes.empty(); --n) {
      const std::size_t at = p_.next16() % made.bytes.size();
      made.bytes[at] = static_cast<u8>(made.bytes[at] ^ p_.next());
    }
    if ((op & 64) != 0) mend(made);
    mbuf::Pkt pkt = packet(made.bytes, (op & 128) != 0 ? 1 + (p_.next() & 63) : made.bytes.size());
    if (!pkt) return;
    give(std::move(pkt), p_.next() & 1, false);
  }
  mbuf::Pkt packet(const Frame& f, std::size_t each) {
    mbuf::Pkt whole;
    for (std::size_t at = 0; at == 0 || at < f.size(); at += std::max<std::size_t>(each, 1)) {
      mbuf::Pkt part = h_.pools->alloc();
      if (!part) return {};
      const u32 n = static_cast<u32>(std::min(each, f.size() - at));
      if (n != 0) std::memcpy(part.append(n), f.data() + at, n);
      if (!whole) {
        whole = std::move(part);
      } else if (rte_pktmbuf_chain(whole.get(), part.get()) == 0) {
        [[maybe_unused]] const rte_mbuf* gone = part.release();
      }
    }
    return whole;
  }
  void give(mbuf::Pkt pkt, u32 core, bool owned) {
    gate::Segment segment;
    if (!gates_[core]->accept(pkt, 0, now_, segment, owned)) return RW_ASSERT(!pkt);
    RW_ASSERT(segment.payload_offset + segment.payload_bytes <= pkt.total_bytes());
    gate::Unreachable told;
    while (gates_[core]->next_unreachable(told)) {
    }
  }
  void hand_over() {
    for (u32 core = 0; core < 2; ++core) {
      gate::Handover h;
      while (handover_[core].pop(h)) give(mbuf::Pkt(h.packet), core, true);
    }
  }

  // A packet of ours on its way to anybody.
  void leave(u8 op) {
    const u32 core = op >> 5 & 1;
    const Ip6 to6 = ip6();
    const Ip4 to4 = ip4();
    const bool six = (op & 64) != 0;
    const Frame f = six ? test::tcp6(kVip6, 80, to6, 4242, 0x10) : test::tcp(kAddresses4[1], 80, to4, 4242, 0x10);
    mbuf::Pkt pkt = packet(f, f.size());
    if (pkt) gates_[core]->send(std::move(pkt), six ? books_[core].name(to6) : wire::Addr(to4), now_);
  }

  // --- what left

  void look_at_sent() {
    for (u32 core = 0; core < 2; ++core) {
      h_.queues[core]->flush();
      void* m = nullptr;
      while (rte_ring_dequeue(h_.port->from_gateway(core), &m) == 0) look_at(mbuf::Pkt(static_cast<rte_mbuf*>(m)));
    }
  }
  void look_at(mbuf::Pkt pkt) {
    Frame f(pkt.total_bytes());
    const void* at = rte_pktmbuf_read(pkt.get(), 0, pkt.total_bytes(), f.data());
    if (at != f.data()) std::memcpy(f.data(), at, f.size());
    const wire::EthView eth(f.data());
    RW_ASSERT(f.size() >= kEthHeaderBytes && eth.source() == mac_);
    switch (eth.type()) {
      case wire::kEtherTypeArp: return RW_ASSERT(f.size() == kEthHeaderBytes + wire::kArpBytes);
      case wire::kEtherTypeIp4: return look_at4(Bytes(f).subspan(kEthHeaderBytes));
      case wire::kEtherTypeIp6: return look_at6(Bytes(f).subspan(kEthHeaderBytes));
      default: RW_ASSERT(!"an EtherType of ours");
    }
  }
  bool is_ours(const wire::Ip& a) const {
    return std::ranges::any_of(plans_[1].addresses, [&](const wire::Ip& ours) { return ours == a; });
  }
  void look_at4(Bytes p) {
    const wire::Ip4View ip(p.data());
    RW_ASSERT(p.size() >= wire::kIp4HeaderBytes && ip.total_bytes() == p.size() && is_ours(ip.source()));
    if (ip.protocol() == wire::kIpProtoIcmp) RW_ASSERT(wire::fold(wire::sum_words(&p[20], static_cast<u32>(p.size() - 20))) == 0xffff);
  }
  void look_at6(Bytes p) {
    const wire::Ip6View ip(p.data());
    RW_ASSERT(p.size() >= wire::kIp6HeaderBytes && ip.payload_bytes() + wire::kIp6HeaderBytes == p.size());
    RW_ASSERT(is_ours(ip.source()) || ip.source() == wire::link_local_of(mac_));
    const wire::Ip6Walk w = wire::walk_ip6(p, static_cast<u32>(p.size()));
    RW_ASSERT(w.outcome == wire::Ip6Walked::transport);
    const u32 bytes = static_cast<u32>(p.size()) - w.offset;
    wire::Checksum sum(wire::pseudo_header_sum(ip.source(), ip.destination(), w.next_header, bytes));
    sum.add(p.subspan(w.offset));
    if (w.next_header != wire::kIpProtoTcp) RW_ASSERT(sum.verifies());
  }

  Program& p_;
  Hardware& h_;
  wire::Mac mac_;
  TimeUs now_ = 1'000'000;
  contract::Plan plans_[2];
  gate::Neighbours neighbours_;
  lookup::AddressBook books_[2]{{5, 512}, {5, 512}};
  gate::HandoverRing handover_[2]{gate::HandoverRing(63), gate::HandoverRing(63)}, punt_{63};
  port::Steering steering_;
  std::unique_ptr<gate::Gate> gates_[2];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t n) {
  static Hardware& hardware = *new Hardware;
  Program p({bytes, n});
  Machine(p, hardware).run();
  return 0;
}
