#pragma once
// Engine: all TCP connections of one core (RFC 9293; RFC 6298 retransmission; RFC 7323 window scaling, timestamps).
//
// One thread, no allocation after construction, no clock of its own: time comes in as `now_us`. Below it stands the
// gate (segments in, IP packets out), above it an application (relay) that it never calls: the engine queues events,
// the application fetches them between `input` and `flush`, so nothing is re-entered and nothing is freed under a
// caller's feet. The order of a poll is input*, timers, next_event*, flush.
//
// A connection is named by a ConnId; one whose generation has passed is recognised, and every call on it does nothing.
// The application owns the connection until it calls `close` or `abort`, or receives `closed`: after any of these the
// ConnId is dead and no further event comes. Payload goes up and down as Chain, without a copy.

#include <array>
#include <memory>
#include <optional>
#include <span>

#include "dataplane/gate/segment.h"
#include "dataplane/mbuf/chain.h"
#include "dataplane/mbuf/pools.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/state.h"
#include "src/base/types.h"
#include "src/contract/plan.h"
#include "src/contract/stats.h"
#include "src/lookup/address_book.h"
#include "src/lookup/toeplitz.h"
#include "src/wire/addr.h"

namespace ringway::tcp {

struct ConnId {
  u32 index = kNone32;
  u32 generation = 0;
  friend bool operator==(ConnId, ConnId) = default;
  explicit operator bool() const { return index != kNone32; }
};

// Client leg and backend leg differ in minimum RTO and TIME-WAIT policy.
enum class Leg : u8 { downstream, upstream };

// RFC 3168: never, when the peer's SYN asks for it, or asked for by ours too.
enum class Ecn : u8 { off, accept, request };

// What the ports in use can all do; the engine builds packets accordingly.
struct TxCaps {
  bool multi_segs = false;    // else every packet is built as one segment
  bool ip_checksum = false;   // NIC fills the IPv4 header checksum
  bool tcp_checksum = false;  // NIC fills the TCP checksum from the pseudo-header sum
  u16 mtu = 1500;              // of the port with the largest
  u16 segs_max = 1;
  // The port cuts a large TCP packet into segments itself (TSO), of one family or both. Counts only with multi_segs and
  // tcp_checksum; such a packet has at most tso_segs_max mbufs.
  bool tso4 = false;
  bool tso6 = false;
  u16 tso_segs_max = 1;
  // Ethernet, IP and TCP headers with all options are at most so long; no less than kHeaderBytesLeast.
  u16 header_bytes_max = 0xffff;
};
inline constexpr u32 kHeaderBytesLeast = 94;  // IPv4 and TCP with 40 bytes of options; IPv6 and a SYN of ours


struct EngineConfig {
  u32 connections = 65'536;
  u32 listeners = 2 * contract::kListenersMax;  // of both families
  u32 half_open_max = 16'384;         // records of clients that are not connected yet
  u32 half_open_per_listener = 8192;  // of these, at most so many for one listener
  u32 half_open_mark = 12'288;        // above it, and above a listener's share, SYNs are answered by cookies
  bool syn_cookies = true;            // else the stalest record makes room
  u32 time_wait_max = 32'768;         // records
  u32 receive_budget_bytes = 262'144;  // advertised window at most; the receive chain is charged in mbufs
  u32 send_budget_bytes = 262'144;     // send_space() at an empty queue
  u32 rto_min_us[2] = {200'000, 5'000};  // by Leg
  u32 rto_initial_us[2] = {1'000'000, 200'000};
  u32 rto_max_us = 60'000'000;
  u32 retransmits_max = 12;
  u32 syn_retransmits_max = 5;
  u32 time_wait_us = 60'000'000;      // 2 MSL of RFC 9293 3.6.1, as Linux
  u32 fin_timeout_us = 60'000'000;    // FIN-WAIT-2, LAST-ACK and CLOSING after the application let go
  u32 user_timeout_us = 120'000'000;  // no progress for so long ends a connection (RFC 9293 3.8.3, RFC 5482); 0: never
  u64 keepalive_idle_us = 300'000'000;  // silence after which a peer is asked whether it is there; 0: never
  u32 keepalive_interval_us = 15'000'000;
  u32 keepalive_probes = 4;           // without an answer; then the connection ends
  u32 pool_low_percent = 10;          // of packets free: below, SYNs are refused
  u32 pool_shed_percent = 5;          // below, connections that hold packets end, the most silent first
  u32 shed_idle_us = 5'000'000;       // one that was heard within this time is not shed
  u32 delayed_ack_us = 40'000;        // only for a lone small segment that brought nothing to say
  u16 port_first = 16'384;            // this core's slice of local ports for connect: first, count
  u16 port_count = 49'152;
  // Chooses local ports instead, so that answers come to this core's queue; outlives the engine.
  const lookup::RssPortChooser* port_chooser = nullptr;
  lookup::AddressBook* book = nullptr;  // this core's, keyed by secret[1]; null: no IPv6 address ever comes here
  CongestionControl congestion_control = CongestionControl::cubic;
  Ecn ecn = Ecn::accept;
  bool pacing = false;                // a window is spread over its round trip
  bool sack = true;                   // offered and accepted (RFC 2018); with it RACK-TLP
  bool timestamps = true;             // offered and accepted (RFC 7323)
  u64 secret[2] = {0, 0};             // ISN (RFC 6528) and flow table
  TxCaps caps;
  std::array<u16, contract::kPortsMax> port_mtu = every_port(0xffff);  // as the devices have it
  static constexpr std::array<u16, contract::kPortsMax> every_port(u16 mtu) {
    std::array<u16, contract::kPortsMax> all;
    all.fill(mtu);
    return all;
  }
};

enum EventBits : u8 {
  kAccepted = 1,    // a client's handshake is complete; `listener` says where
  kConnected = 2,   // our connect succeeded
  kReadable = 4,    // more bytes in the receive chain
  kPeerClosed = 8,  // the peer's FIN has been reached: no byte comes after those in the receive chain
  kWritable = 16,   // send_space() has grown after it was found to be 0
  kClosed = 32,     // the connection is gone, `reason` says why; the ConnId is dead after this event
};

struct AppEvent {
  ConnId id;
  u64 user = 0;      // as set by set_user or connect
  u32 listener = 0;  // the tag given to listen(), for kAccepted
  u8 bits = 0;
  CloseReason reason = CloseReason::none;
};

// A packet ready for the gate: IPv4 header and all behind it. The gate adds Ethernet.
struct OutPkt {
  mbuf::Pkt pkt;
  wire::Addr dst;
};

// Where a flush puts packets; the worker empties it before the next poll.
struct OutBatch {
  static constexpr u32 kCapacity = 256;
  std::array<OutPkt, kCapacity> items;
  u32 count = 0;
  bool full() const { return count == kCapacity; }
  u32 room() const { return kCapacity - count; }
  void push(mbuf::Pkt pkt, wire::Addr dst) { items[count++] = OutPkt{std::move(pkt), dst}; }
};

struct ConnInfo {
  wire::FourTuple tuple;
  Leg leg = Leg::downstream;
  u8 state = 0;  // tcp::State
  u32 cwnd_bytes = 0, srtt_us = 0, rto_us = 0;
  u32 send_queue_bytes = 0, receive_queue_bytes = 0;
  u64 bytes_in = 0, bytes_out = 0;
  u64 user = 0;
  u32 in_flight_bytes = 0;
  u32 mss = 0;
  bool send_timer = false;  // retransmission or window probe is armed: true whenever bytes are in flight
  u32 pipe_bytes = 0;     // of in_flight_bytes, neither SACKed nor lost; equal to it without SACK
  wire::SeqNo iss, irs;       // initial sequence numbers; irs once the peer's SYN came
  friend bool operator==(const ConnInfo&, const ConnInfo&) = default;
};

class Engine {
 public:
  Engine(const EngineConfig& config, mbuf::Pools& pools, contract::CorePage& page);
  ~Engine();  // frees every mbuf it holds
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // --- below: the gate
  // One segment. Takes the packet over; whatever happens to it is counted.
  void input(const gate::Segment& segment, mbuf::Pkt pkt, TimeUs now_us);
  // Brings the connection that `segment.hash` belongs to into the cache: call for a whole burst before `input`.
  void prefetch(const gate::Segment& segment) const;
  // ICMP said that `tuple`'s destination cannot be reached (RFC 9293 3.9.2.2: only an advice once synchronised;
  // a connection in SYN_SENT is refused).
  void unreachable(const wire::FourTuple& tuple);
  // ICMP said that the packet of `tuple` that began with `seq` was larger than `packet_bytes`, which is all that gets there.
  void too_big(const wire::FourTuple& tuple, wire::SeqNo seq, u32 packet_bytes, TimeUs now_us);
  // Runs at most `most` timers that are due; returns how many ran.
  u32 timers(TimeUs now_us, u32 most);
  // Sends what is owed: data, acknowledgements, windows, FIN, RST, retransmissions. Stops when `out` is full and goes on
  // at the next call. Returns the packets added.
  u32 flush(OutBatch& out, TimeUs now_us);

  // Packet sizes by destination for connections to come; outlives its use here, until the next.
  void adopt(std::span<const contract::PathSize> sizes);

  // Rules that segments of no connection have to pass, half-open clients aside; null: none. Outlives its use here, until
  // the next.
  void screen(const contract::IngressAcl* rules);
  // Clients' connections that one address may have open here at once; 0: any number. Those above the limit already stay.
  void limit_sources(u32 connections);

  // --- above: the application
  // `tag` comes back in AppEvent.listener. False when (ip, port) is taken or the table is full.
  bool listen(wire::Addr ip, u16 port, u32 tag);
  // Changes the tag of a listener, or opens it. Existing connections stay.
  bool relisten(wire::Addr ip, u16 port, u32 tag);
  // Half-open clients of the listener are forgotten; existing connections stay.
  void unlisten(wire::Addr ip, u16 port);
  // Starts a connection from `local` (a port is chosen from this core's slice) to `remote`; kConnected or kClosed will
  // follow. Data may be queued at once. Empty when no local port or connection is free.
  std::optional<ConnId> connect(wire::Addr local, wire::Addr remote, u16 remote_port, u64 user, TimeUs now_us);

  // Next pending event, every connection at most once per call round; false when there is none.
  bool next_event(AppEvent& out);

  bool alive(ConnId id) const;
  void set_user(ConnId id, u64 user);
  // Bytes received in order and not yet taken. Valid until the next call on the engine.
  const mbuf::Chain& received(ConnId id) const;
  // Moves the first `n` received bytes out (fewer when the slice pool is empty); opens the window by as much.
  mbuf::Chain take(ConnId id, u32 n);
  void discard(ConnId id, u32 n);
  bool peer_closed(ConnId id) const;
  // Bytes that may be sent before the send budget is spent; `send` itself never refuses.
  u32 send_space(ConnId id) const;
  // Bytes queued and not yet acknowledged.
  u32 unacked(ConnId id) const;
  void send(ConnId id, mbuf::Chain bytes);
  // FIN after what is queued; receiving goes on.
  void shutdown(ConnId id);
  // Finished with both directions: what is queued is still delivered, then FIN; received data is refused by RST
  // (RFC 9293 3.10.4). The ConnId is dead.
  void close(ConnId id);
  // RST now. The ConnId is dead.
  void abort(ConnId id);
  // Takes back everything queued that was not yet sent, for a connection that never opened.
  mbuf::Chain reclaim_unsent(ConnId id);

  std::optional<ConnInfo> info(ConnId id) const;
  // Of a connection that is alive.
  const wire::FourTuple& tuple(ConnId id) const;
  u32 active() const;     // connections that hold a TCB
  // Packets that a connection may hold each way, by how many are left; kNone32 as long as nobody has looked.
  u32 packet_share() const;
  // Which of at most 64 local addresses (bit i: of[i]) have connections, in the `most` places from `place` on; there are
  // places() of them.
  u64 used_among(std::span<const wire::Addr> of, u32 place, u32 most) const;
  u32 places() const;
  u32 half_open() const;  // clients whose handshake is not complete: they hold a record
  // True when no connection has anything to send, to time or to report (test and idle decision).
  bool quiet() const;
  // For tests, after any call: what should be true of the engine and is not, in words; nullptr when all is well.
  const char* check_invariants() const;
  // Microseconds until the next timer, at most `most_us`.
  u64 next_timer_us(TimeUs now_us, u64 most_us) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringway::tcp
