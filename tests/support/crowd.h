#pragma once
// A crowd of clients that remember one number each, at the front of a World: what a client says next follows from the
// segment that it got. Those numbers are written at construction, so what a process that holds hundreds of thousands of
// connections grows by afterwards is the gateway's alone.
//
// Client i has a tuple of its own. It sends a SYN; a SYN|ACK is answered by the handshake's end with a request, bytes by
// an acknowledgement, a FIN by the acknowledgement and a FIN; a keepalive probe is acknowledged or, by every
// `ask_again`-th client, answered with the next request. Frames arrive in mbufs of the gateway's pool with their checksums
// said to be good, as a NIC delivers them.

#include <deque>
#include <string_view>

#include "src/wire/arp.h"
#include "src/wire/eth.h"
#include "src/wire/ip4.h"
#include "src/wire/tcp.h"
#include "tests/support/world.h"

namespace ringway::test {

class Crowd {
 public:
  static constexpr u32 kPerAddress = 50'000;
  static constexpr u16 kPortFirst = 10'000;
  static constexpr wire::Ip4 kFirst = wire::Ip4::of(10, 1, 0, 100);

  // `server`, `port`: where `count` clients connect. From now on the world's front ring is looked through at every step.
  Crowd(World& world, u32 count, wire::Ip4 server, u16 port, std::string_view request)
      : pools_(world.gateway_pools()), server_(server), port_(port), request_(request), expected_(count, wire::SeqNo{1}) {
    world.tamper = [this](rte_ring& ring) { pass(ring); };
    ask_mac();
  }
  ~Crowd() {
    for (rte_mbuf* m : out_) rte_pktmbuf_free(m);
  }

  u64 answered = 0;  // segments with bytes of a response; every response fits one
  u64 reset = 0;     // connections that the gateway ended by RST
  u64 finished = 0;  // FINs seen
  u64 probed = 0;    // keepalive probes answered
  u32 ask_again = 0;  // every so-manieth probe is answered with a request; 0: none
  bool ready() const { return known_; }

  void open(u32 i) {
    const u8 options[] = {2, 4, 0x05, 0xb4, 4, 2, 1, 1, 1, 3, 3, 7};  // MSS 1460, SACK permitted, window scale 7
    const wire::Ip4 from{kFirst.v + i / kPerAddress};
    say(from, static_cast<u16>(kPortFirst + i % kPerAddress), wire::SeqNo{i}, wire::SeqNo{0}, kSyn,
        {reinterpret_cast<const char*>(options), sizeof options}, {});
  }

 private:
  static constexpr u8 kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;
  static constexpr std::size_t kWaitingMax = 2048;  // frames
  static constexpr wire::Mac kMac{{2, 0, 0, 0, 0, 0x99}};

  // Both rings of the front pass here: to the gateway goes what waits, from it is taken what is ours.
  void pass(rte_ring& ring) {
    if (from_ == nullptr && to_ == nullptr) from_ = &ring;  // World looks at the front's outgoing ring first
    if (from_ == &ring) return take(ring);
    if (to_ == nullptr) to_ = &ring;
    if (to_ != &ring) return;
    while (!out_.empty() && rte_ring_enqueue(&ring, out_.front()) == 0) out_.pop_front();
  }

  void take(rte_ring& ring) {
    // With much to say still, it does not listen: the gateway finds its transmit ring full.
    for (unsigned n = out_.size() < kWaitingMax ? rte_ring_count(&ring) : 0; n > 0; --n) {
      void* item = nullptr;
      if (rte_ring_dequeue(&ring, &item) != 0) return;
      auto* m = static_cast<rte_mbuf*>(item);
      if (ours(*m)) {
        rte_pktmbuf_free(m);
      } else {
        RW_ASSERT(rte_ring_enqueue(&ring, m) == 0);
      }
    }
  }

  bool ours(const rte_mbuf& m) {
    const u8* frame = rte_pktmbuf_mtod(&m, const u8*);
    const wire::EthView eth(frame);
    if (eth.type() == wire::kEtherTypeArp) return arp(wire::ArpView(frame + wire::kEthHeaderBytes));
    if (eth.destination() != kMac) return false;
    const wire::Ip4View ip(frame + wire::kEthHeaderBytes);
    hear(ip, wire::TcpView(frame + wire::kEthHeaderBytes + ip.header_bytes()));
    return true;
  }

  bool arp(wire::ArpView a) {
    if (a.operation() == wire::kArpReply && a.target_mac() == kMac) {
      gateway_ = a.sender_mac();
      known_ = true;
      return true;
    }
    if (a.operation() != wire::kArpRequest || a.target_ip().v - kFirst.v >= 100) return false;
    push_arp({.operation = wire::kArpReply, .sender_mac = kMac, .sender_ip = a.target_ip(), .target_mac = a.sender_mac(),
              .target_ip = a.sender_ip()}, a.sender_mac());
    return true;
  }

  void hear(wire::Ip4View ip, wire::TcpView t) {
    const u32 bytes = ip.total_bytes() - ip.header_bytes() - t.header_bytes();
    wire::SeqNo& expected = expected_[(ip.destination().v - kFirst.v) * kPerAddress + t.destination_port() - kPortFirst];
    const auto answer = [&](u32 beyond, u8 flags, std::string_view payload = {}) {
      say(ip.destination(), t.destination_port(), t.ack(), t.seq() + (bytes + beyond), flags, {}, payload);
    };
    if ((t.flags() & kRst) != 0) {
      ++reset;
    } else if ((t.flags() & kSyn) != 0) {
      expected = t.seq() + 1;
      answer(1, kAck | kPsh, request_);
    } else if (t.seq() + 1 == expected) {  // one left of the window
      ++probed;
      const bool asks = ask_again != 0 && probed % ask_again == 0;
      answer(1, asks ? kAck | kPsh : kAck, asks ? request_ : std::string_view{});
    } else if ((t.flags() & kFin) != 0) {
      ++finished;
      expected = t.seq() + (bytes + 1);
      answer(1, kAck | kFin);
    } else if (bytes > 0) {
      ++answered;
      expected = t.seq() + bytes;
      answer(0, kAck);
    }
  }

  void say(wire::Ip4 from, u16 from_port, wire::SeqNo seq, wire::SeqNo ack, u8 flags, std::string_view options,
           std::string_view payload) {
    const u32 header = wire::kTcpHeaderBytes + static_cast<u32>(options.size());
    u8* ip = frame(wire::kIp4HeaderBytes + header + static_cast<u32>(payload.size()), gateway_, wire::kEtherTypeIp4);
    wire::write_ip4(ip, {.total_bytes = static_cast<u16>(wire::kIp4HeaderBytes + header + payload.size()),
                         .protocol = wire::kIpProtoTcp, .source = from, .destination = server_});
    u8* tcp = ip + wire::kIp4HeaderBytes;
    wire::write_tcp(tcp, {.source_port = from_port, .destination_port = port_, .seq = seq, .ack = ack,
                          .header_bytes = static_cast<u8>(header), .flags = flags, .window = 512});
    if (!options.empty()) std::memcpy(tcp + wire::kTcpHeaderBytes, options.data(), options.size());
    if (!payload.empty()) std::memcpy(tcp + header, payload.data(), payload.size());
  }

  void ask_mac() {
    push_arp({.operation = wire::kArpRequest, .sender_mac = kMac, .sender_ip = kFirst, .target_mac = {},
              .target_ip = World::kFront}, wire::Mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}});
  }
  void push_arp(const wire::ArpFields& fields, const wire::Mac& to) {
    wire::write_arp(frame(wire::kArpBytes, to, wire::kEtherTypeArp), fields);
  }

  // A frame of `bytes` behind its Ethernet header, which waits to be sent; where those bytes begin.
  u8* frame(u32 bytes, const wire::Mac& to, u16 type) {
    rte_mbuf* m = rte_pktmbuf_alloc(pools_.packets());
    RW_ASSERT(m != nullptr);
    m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    u8* at = reinterpret_cast<u8*>(rte_pktmbuf_append(m, static_cast<u16>(wire::kEthHeaderBytes + bytes)));
    wire::write_eth(at, to, kMac, type);
    out_.push_back(m);
    return at + wire::kEthHeaderBytes;
  }

  mbuf::Pools& pools_;
  wire::Ip4 server_;
  u16 port_;
  std::string_view request_;
  std::vector<wire::SeqNo> expected_;  // by client: the next byte of the gateway's
  wire::Mac gateway_{};
  bool known_ = false;
  rte_ring* from_ = nullptr;
  rte_ring* to_ = nullptr;
  std::deque<rte_mbuf*> out_;
};

}  // namespace ringway::test
