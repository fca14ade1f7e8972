#pragma once
// The transmission control block of one connection (RFC 9293 section 3.3.1), laid out by who touches it when.
//
// Five cache lines: who it is and what it owes; sequence variables; timing and congestion; the byte streams; the header
// template with what only opening and closing need. The engine is the only owner; nothing here is visible above it.
// Variables carry the names of the RFC: snd_nxt is the next number to send, which a timeout takes back to snd_una,
// while snd_max, the highest ever sent, is what the RFC's acceptability tests call SND.NXT.

#include <algorithm>
#include <array>

#include "dataplane/mbuf/chain.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/newreno.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/state.h"
#include "src/base/cacheline.h"
#include "src/base/index_list.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

// Promises to keep at the next flush; done when no bit is left.
enum Owes : u8 {
  kOwesAck = 1,         // at once
  kOwesAckLater = 2,    // may ride on data, or wait delayed_ack_us when it is alone and small
  kOwesRetransmit = 4,  // the first unacknowledged segment, once
  kOwesProbe = 8,       // what fits into a window that is closed or too small, at least one octet
  kOwesKeepalive = 16,  // an empty segment left of the window
};

// What has happened to a connection and stays so.
enum Flags : u16 {
  kActiveOpen = 1,       // by connect()
  kOrphan = 2,           // the application let go
  kAnnounced = 4,        // kAccepted or kConnected was queued: the application knows the ConnId
  kFinQueued = 8,        // our FIN stands behind the send queue
  kFinReceived = 16,     // the peer's FIN was reached; rcv_nxt is behind it
  kFinAhead = 32,        // a FIN at peer_fin arrived before the bytes in front of it
  kTimingRtt = 64,       // a segment ending at rtt_seq is being timed
  kFoundFull = 128,      // send_space() answered 0: kWritable is due
  kScaling = 256,        // both SYNs offered a window scale
  kSynAcked = 512,       // our SYN is acknowledged: `unacked` begins at snd_una
  kInTable = 1024,       // the flow table names this block
};

enum TimerKind : u32 { kSendTimer = 0, kIdleTimer = 1 };
inline constexpr u32 kTimersPerConnection = 2;

struct RW_CACHE_ALIGNED Tcb {
  // --- 1: who it is, what it owes, which lists it is on
  wire::FourTuple tuple;
  u32 hash = 0;
  u32 generation = 0;
  State state = State::closed;
  Leg leg = Leg::downstream;
  u8 owes = 0;
  u8 events = 0;          // EventBits not yet fetched
  u16 flags = 0;
  CloseReason reason = CloseReason::none;
  u8 segments_unacked = 0;  // received since our last ACK, saturating
  IndexLink output;       // has something to send
  IndexLink event;        // has something to report
  u64 user = 0;
  u32 reassembly = kNone32;  // index of a Reassembly, only while there are holes
  u32 heard = 0;             // when an acceptable segment last came, in units of 1024 us

  // --- 2: sequence variables, RFC 9293 3.3.1
  alignas(kCacheLineBytes) wire::SeqNo snd_una;
  wire::SeqNo snd_nxt;
  wire::SeqNo snd_max;
  u32 snd_wnd = 0;        // scaled
  u32 snd_wnd_max = 0;    // largest ever offered
  wire::SeqNo snd_wl1;
  wire::SeqNo snd_wl2;
  wire::SeqNo rcv_nxt;
  wire::SeqNo rcv_adv;    // right edge of what was advertised, and is enforced
  wire::SeqNo peer_fin;   // of the peer's FIN, with kFinAhead
  wire::SeqNo fin_seq;    // of our FIN, with kFinQueued
  wire::SeqNo iss;
  wire::SeqNo irs;
  u16 snd_mss = 536;
  u8 snd_wscale = 0;      // peer's
  u8 rcv_wscale = 0;      // ours
  u8 retries = 0;         // timeouts since the last progress
  u8 backoff = 0;
  u8 challenges_left = 0;
  u8 keepalives = 0;      // probes sent since the peer was heard
  wire::SeqNo rtt_seq;

  // --- 3: timing and congestion
  alignas(kCacheLineBytes) TimeUs deadline[kTimersPerConnection] = {};  // 0: not wanted
  TimeUs wheel_at[kTimersPerConnection] = {};                           // 0: not in the wheel
  NewReno cc;

  // --- 4: byte streams
  alignas(kCacheLineBytes) mbuf::Chain receive;  // in order, not yet taken
  mbuf::Chain unacked;                           // begins at snd_una (behind a SYN)
  mbuf::Chain::Cursor next;                      // where snd_nxt stands in `unacked`; slice kNone32 at the end
  Rtt rtt;

  // --- 5: template, opening and closing
  alignas(kCacheLineBytes) std::array<u8, 20> ip{};  // IPv4 header with length and checksum zero
  u32 rtt_start_us = 0;  // low half of the time
  u64 ip_sum = 0;      // checksum sum of `ip`
  u64 pseudo_sum = 0;  // of the pseudo-header without the length
  u32 listener = 0;
  u32 challenge_second = 0;
  TimeUs last_sent_us = 0;
  // --- 6: accounts
  u64 bytes_in = 0;
  u64 bytes_out = 0;
  wire::SeqNo progress;  // snd_una when the idle timer of an orphan last looked
  u32 stalled = 0;       // with retries: when the first of them was sent, in units of 1024 us

  bool has(u16 f) const { return (flags & f) != 0; }
  void set(u16 f) { flags = static_cast<u16>(flags | f); }
  void clear(u16 f) { flags = static_cast<u16>(flags & ~f); }
  void owe(u8 o) { owes = static_cast<u8>(owes | o); }
  void paid(u8 o) { owes = static_cast<u8>(owes & ~o); }

  // Sequence number of the first byte in `unacked`: the SYN stands in front of it until it is acknowledged.
  wire::SeqNo base() const { return has(kSynAcked) ? snd_una : iss + 1; }
  u32 in_flight() const { return static_cast<u32>(snd_max - snd_una); }
  // Queued bytes at and behind snd_nxt.
  u32 unsent() const {
    const i32 n = base() + unacked.bytes() - snd_nxt;
    return n <= 0 ? 0 : snd_nxt < base() ? unacked.bytes() : static_cast<u32>(n);
  }
  bool fin_to_send() const { return has(kFinQueued) && snd_nxt <= fin_seq; }
  bool fin_acked() const { return has(kFinQueued) && has(kSynAcked) && snd_una > fin_seq; }
};

}  // namespace ringway::tcp
