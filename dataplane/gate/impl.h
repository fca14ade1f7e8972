#pragma once
// The inside of Gate, shared by its files: gate.cc (frames and IPv4), ip6.cc (IPv6), answers.cc and answers6.cc (ICMP, UDP),
// arp.cc, nd.cc, ra.cc (routers), mld.cc (groups), out.cc (routes, neighbours, packets that wait for them). Nobody else includes it.

#include "dataplane/gate/addresses.h"
#include "dataplane/gate/gate.h"
#include "dataplane/gate/neighbours.h"
#include "dataplane/port/steering.h"
#include "src/wire/eth.h"
#include "src/wire/icmp6.h"
#include "src/wire/ip4.h"
#include "src/wire/ip6.h"
#include "src/wire/mld.h"

namespace ringway::gate {

// Room for `burst` at once and `per_second` in the long run.
class TokenBucket {
 public:
  TokenBucket(u32 per_second, u32 burst) : us_per_token_(1'000'000 / per_second), burst_us_(us_per_token_ * burst) {}
  bool take(TimeUs now_us) {
    // `full_at_us_`: when the bucket will be full again.
    if (full_at_us_ < now_us) full_at_us_ = now_us;
    if (full_at_us_ + us_per_token_ > now_us + burst_us_) return false;
    full_at_us_ += us_per_token_;
    return true;
  }

 private:
  u64 us_per_token_;
  u64 burst_us_;
  TimeUs full_at_us_ = 0;
};

struct Gate::Impl {
  static constexpr u32 kWaitingMax = 256;              // packets that wait for a neighbour, per core
  static constexpr u32 kWaitingPerNeighbourMax = 16;
  static constexpr u32 kUnreachableMax = 64;
  static constexpr u32 kAnnouncePerTurn = 16;
  static constexpr u32 kFormerMax = 1024;
  // A question is given up after its tries; the slack covers the way over core 0.
  static constexpr TimeUs kWaitUs = Neighbours::kTries * Neighbours::kRetryUs + 200'000;

  Impl(const GateConfig& c, mbuf::Pools& p, contract::CorePage& pg);

  // gate.cc
  bool accept(mbuf::Pkt& pkt, u32 port, TimeUs now_us, Segment& segment, bool owned);
  bool accept_ip4(mbuf::Pkt& pkt, u32 port, TimeUs now_us, Segment& segment, bool owned);
  bool accept_tcp(mbuf::Pkt& pkt, u32 port, u32 ip_bytes, Segment& segment, bool owned);
  inline contract::Verdict check_ip4(mbuf::Pkt& pkt, u32 port, u32& ip_bytes) const;  // of gate.cc alone
  bool drop(mbuf::Pkt& pkt, contract::Verdict verdict);
  bool punt_or_drop(mbuf::Pkt& pkt, u32 port, contract::Verdict verdict);
  bool hand_over(mbuf::Pkt& pkt, u32 port, u32 core);
  u32 owner(const wire::FourTuple& tuple, u32 hash) const {
    return config.steering == nullptr ? config.core : config.steering->owner(tuple, hash, config.core);
  }
  bool ours(wire::Ip4 a) const { return addresses.contains(a); }
  bool ours(const wire::Ip6& a) const { return addresses.contains(config.book->find(a)); }
  bool never_a_source(wire::Ip4 a, u32 port) const;
  void part_with(std::span<const wire::Addr> before);
  bool is_late(mbuf::Pkt& pkt, u32 tcp_at, wire::Addr to) const;

  // ip6.cc
  // A packet of IPv6 behind the Ethernet header, checked; offsets from the frame's begin.
  struct In6 {
    wire::Ip6 source, destination;
    u32 end = 0;         // of the packet
    u32 at = 0;          // of the transport
    u8 protocol = 0;
    u32 named_at = 6;    // of the field that says the transport, from the IPv6 header
    bool is_on_link = false;  // to a group or to the port's link-local address
    u32 bytes() const { return end - at; }
  };
  bool accept_ip6(mbuf::Pkt& pkt, u32 port, TimeUs now_us, Segment& segment, bool owned);
  contract::Verdict check_ip6(mbuf::Pkt& pkt, u32 port, In6& in) const;
  bool walk(mbuf::Pkt& pkt, u32 port, In6& in, TimeUs now_us);  // false: ended, and counted
  bool accept_tcp6(mbuf::Pkt& pkt, u32 port, const In6& in, Segment& segment, bool owned);
  u32 owner(const wire::Ip6& local, const wire::Ip6& remote, const wire::FourTuple& ports, u32 hash) const {
    return config.steering == nullptr ? config.core : config.steering->owner(local, remote, ports, hash, config.core);
  }

  // answers6.cc
  bool accept_icmp6(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us, bool owned);
  bool accept_udp6(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us);
  bool answer_echo6(mbuf::Pkt& pkt, u32 port, const In6& in);
  bool note_error6(mbuf::Pkt& pkt, u32 port, const In6& in, bool owned);
  bool answer_dns6(mbuf::Pkt& pkt, u32 port, const In6& in, u32 query_bytes);
  bool refuse6(mbuf::Pkt& pkt, u32 port, const In6& in, wire::Icmp6Type type, u8 code, u32 rest, contract::Verdict verdict,
               TimeUs now_us);
  void sum_icmp6(mbuf::Pkt& pkt, const wire::Ip6& source, const wire::Ip6& destination);
  void send_icmp6(mbuf::Pkt pkt, u32 port, const wire::Mac& to, const wire::Ip6& source, const wire::Ip6& destination,
                  u8 hop_limit);

  // nd.cc
  bool accept_nd(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us, bool owned);
  bool accept_solicitation(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us);
  bool accept_advertisement(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us);
  bool answers_for(u32 port, const wire::Ip6& a) const;
  bool credible(u32 port, const wire::Ip6& a) const;
  void send_nd(u32 port, const wire::NdFields& nd, const wire::Ip6& source, const wire::Ip6& destination,
               const wire::Mac& to);
  void announce(u32 port, const wire::Ip6& a);
  void ask(const Neighbours::Request& r);

  // ra.cc
  bool accept_router(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us, bool owned);
  void copy_hops();
  void look_at_routers(TimeUs now_us);
  void solicit_routers(u32 port);

  // mld.cc
  bool accept_query(mbuf::Pkt& pkt, u32 port, const In6& in, TimeUs now_us, bool owned);
  void begin_to_listen(TimeUs now_us);
  void report_groups(TimeUs now_us);
  wire::Ip6 next_group(u32 port);
  bool report_some(u32 port);
  bool report_one(u32 port);
  void send_report(mbuf::Pkt pkt, u32 port, const wire::Ip6& destination);

  // arp.cc
  bool accept_arp(mbuf::Pkt& pkt, u32 port, TimeUs now_us, bool owned);
  void send_arp(u32 port, u16 operation, wire::Ip4 sender, const wire::Mac& to, const wire::Mac& target_mac,
                wire::Ip4 target);
  bool answers_for(u32 port, wire::Ip4 a) const;
  void announce_some();

  // answers.cc
  bool accept_icmp(mbuf::Pkt& pkt, u32 port, u32 ip_bytes, bool owned);
  bool accept_udp(mbuf::Pkt& pkt, u32 port, u32 ip_bytes, TimeUs now_us);
  bool answer_echo(mbuf::Pkt& pkt, u32 port, u32 ip_bytes);
  bool note_unreachable(mbuf::Pkt& pkt, u32 port, u32 ip_bytes, bool owned);
  bool answer_dns(mbuf::Pkt& pkt, u32 port, u32 payload_bytes);
  bool refuse(mbuf::Pkt& pkt, u32 port, u8 code, contract::Verdict verdict, TimeUs now_us);

  // out.cc
  bool route(wire::Ip4 dst, u32& port, wire::Ip4& hop) const;
  bool route(const wire::Ip6& dst, u32& port, wire::Ip6& hop) const;
  // What has no route stays with the caller, who drops it.
  void send(mbuf::Pkt&& pkt, wire::Ip4 dst, TimeUs now_us);
  void send6(mbuf::Pkt&& pkt, TimeUs now_us);
  void send_frame(mbuf::Pkt&& pkt, u32 port, const wire::Mac& to, u16 type);
  void wait_for(mbuf::Pkt pkt, u32 port, const wire::Ip& hop, TimeUs now_us);
  void send_waiting(TimeUs now_us);
  void ask_due(TimeUs now_us);
  void housekeeping(TimeUs now_us);

  // A packet that waits until `hop` is known.
  struct Waiting {
    mbuf::Pkt pkt;
    u32 port = 0;
    wire::Ip hop;
    TimeUs ask_again_us = 0;
    TimeUs give_up_us = 0;
  };

  // What a port has still to tell of the groups that we are in.
  struct Listening {
    TimeUs due_us = 0;        // 0: nothing
    TimeUs told_us = 0;       // all of it, the last time
    TimeUs old_until_us = 0;  // a router on the link knows version 1 alone
    u32 next = 0;             // the groups before it have been told
    bool again = false;       // and all once more
    wire::MldRecord kind = wire::MldRecord::listening;
  };

  GateConfig config;
  mbuf::Pools& pools;
  contract::CorePage& page;
  const contract::Plan* plan = nullptr;
  // By port, of IPv4: what is asked of every packet.
  struct Net4 {
    u32 network = 1, mask = 0;  // without an address: nobody's
    u32 broadcast = 0;          // 0: has none
    bool connects(wire::Ip4 a) const { return (a.v & mask) == network; }
  };
  std::vector<Net4> nets4;
  std::vector<wire::Mac> macs;          // by port
  std::vector<wire::Ip6> link_locals;   // by port: ours on a link that has IPv6
  Routers::Hops hops;                   // learned next hops over IPv6, of hops_version
  u64 hops_version = 0;
  TimeUs routers_due_us = 0;
  std::vector<Listening> listening;     // by port; core 0's
  Addresses addresses;
  std::vector<wire::Addr> named;        // what `addresses` holds
  std::vector<wire::Addr> former;       // ours under an earlier plan: connections to them end in order; sorted
  std::vector<wire::Ip> to_announce;
  TokenBucket icmp_errors{1000, 50};
  std::unique_ptr<Waiting[]> waiting;
  u32 waiting_count = 0;
  Unreachable unreachable[kUnreachableMax];
  u32 unreachable_count = 0;
};

// Makes the first `n` bytes of the packet lie in its first segment. False when the packet is shorter or has no room.
bool pull_up_more(mbuf::Pkt& pkt, u32 n);
inline bool pull_up(mbuf::Pkt& pkt, u32 n) { return pkt.first_bytes() >= n || pull_up_more(pkt, n); }
// True when bytes [offset, offset + n) of all segments, their checksum field included, sum up right; `sum` is what to
// start from, such as a pseudo-header's.
bool verify_checksum(const mbuf::Pkt& pkt, u32 offset, u32 n, u64 sum);

}  // namespace ringway::gate
