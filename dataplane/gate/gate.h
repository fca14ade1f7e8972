#pragma once
// Gate: the first and last room of a packet. Raw frames become Segments or a Verdict; IP packets become frames.
//
// One per core. On the way in it checks lengths and checksums (NIC flag or software), answers ARP, neighbour discovery,
// ICMP echo and DNS by itself, passes what belongs to another core over, punts or drops what is not ours, and returns TCP segments. On the
// way out it finds port and neighbour, adds the Ethernet header and queues the frame at the port. Every packet ends in
// exactly one Verdict or goes on. RFC 894, 826, 791, 792, 1122; RFC 2464, 4861, 8200, 4443. Both families share ports,
// neighbours and the queue of packets that wait for one; docs/ipv6.md says what is done and what is not.

#include <memory>
#include <span>
#include <vector>

#include "dataplane/gate/segment.h"
#include "dataplane/mbuf/pools.h"
#include "dataplane/port/device.h"
#include "src/base/types.h"
#include "src/contract/plan.h"
#include "src/contract/ring.h"
#include "src/contract/stats.h"
#include "src/lookup/address_book.h"

namespace ringway::port {
class Steering;  // steering.h: which core owns a flow
}

namespace ringway::gate {

class Neighbours;  // neighbours.h: shared by all cores, written by core 0

// A packet on its way to the core that owns it.
struct Handover {
  rte_mbuf* packet = nullptr;
  u64 port = 0;  // index of the port that it came in by
};
// In place of a port, from the kernel tap's thread to core 0: the packet was punted and may be freed.
inline constexpr u64 kToFree = ~u64{0};
using HandoverRing = contract::Ring<Handover, contract::Producers::many>;

// Addresses that a gate can have.
inline constexpr u32 kOwnAddressesMax = 16'384;
inline constexpr u32 kFormerAddressesMax = 64;

struct GateConfig {
  u32 core = 0;
  u64 seed = 0;                              // of the flow hash: EngineConfig::secret[1], the same on all cores
  lookup::AddressBook* book = nullptr;       // this core's, with the same seed
  std::vector<port::Queue*> queues;          // by port index; this core's
  Neighbours* neighbours = nullptr;
  const port::Steering* steering = nullptr;  // null: one core
  std::vector<HandoverRing*> handover;       // by core; [core] is our own inbox
  HandoverRing* punt = nullptr;              // to the kernel tap; null: drop
};

// What ICMP says of a packet of ours, whose first sequence number was `seq`.
struct Unreachable {
  wire::FourTuple tuple;
  wire::SeqNo seq;
  u32 packet_bytes = 0;  // the largest that gets there; 0: none does
};

class Gate {
 public:
  Gate(const GateConfig& config, mbuf::Pools& pools, contract::CorePage& page);
  ~Gate();

  // Takes addresses, ports' networks, DNS names from the plan; it must outlive its use here (until the next adopt).
  // `announce`: send gratuitous ARP, or an unsolicited advertisement, for every address that is new (core 0).
  // Addresses that the plan does not name any more stay ours as former ones, or what clients have begun there would hang
  // without a word: as many as kFormerAddressesMax, the latest, until they are let go.
  void adopt(const contract::Plan& plan, bool announce, TimeUs now_us);
  std::span<const wire::Addr> former() const;
  // Bit i: former()[i] is ours no longer.
  void let_go(u64 which);

  // Looks at one received frame. True: it is a TCP segment for us, `segment` is filled and `pkt` still holds the packet,
  // from its IP header on (payload at segment.payload_offset). False: `pkt` is empty, its verdict is counted, answers
  // are queued.
  // `owned`: it came over a hand-over ring and is not to be passed on again.
  bool accept(mbuf::Pkt& pkt, u32 port, TimeUs now_us, Segment& segment, bool owned = false);

  // Sends an IP packet (IP header first) towards `dst`, its destination; waits for the neighbour if need be.
  void send(mbuf::Pkt ip_packet, wire::Addr dst, TimeUs now_us);

  // ICMP "unreachable" for one of our connections that `accept` met since the last call; tcp is told by the worker.
  bool next_unreachable(Unreachable& out);

  // Retries and expiry of neighbours, packets waiting for neighbours; cheap, call now and then.
  void housekeeping(TimeUs now_us);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringway::gate
