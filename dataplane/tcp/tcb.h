#pragma once
// The transmission control block of one connection (RFC 9293 section 3.3.1), laid out by who touches it when.
//
// Six cache lines: who it is and what it owes; sequence variables; timing; the byte streams; stamps, RACK and congestion;
// what few segments ask for. The engine is the only owner; nothing here is visible above it.
// Variables carry the names of the RFC: snd_nxt is the next number to send, which a timeout takes back to snd_una,
// while snd_max, the highest ever sent, is what the RFC's acceptability tests call SND.NXT.

#include <algorithm>
#include <array>

#include "dataplane/mbuf/chain.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/prr.h"
#include "dataplane/tcp/rack.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/state.h"
#include "dataplane/tcp/timestamps.h"
#include "src/base/cacheline.h"
#include "src/base/index_list.h"
#include "src/wire/seqno.h"
#include "src/wire/tcp.h"
#include "src/wire/tcp_options.h"

namespace ringway::tcp {

// Promises to keep at the next flush; done when no bit is left.
enum Owes : u8 {
  kOwesAck = 1,         // at once
  kOwesAckLater = 2,    // may ride on data, or wait delayed_ack_us when it is alone and small
  kOwesRetransmit = 4,  // the first unacknowledged segment, once
  kOwesProbe = 8,       // what fits into a window that is closed or too small, at least one octet
  kOwesKeepalive = 16,  // an empty segment left of the window
  kOwesTail = 32,       // a tail loss probe
};

// What has happened to a connection and stays so.
enum Flags : u32 {
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
  kTimestamps = 2048,    // both SYNs carried timestamps: every segment does
  kSack = 4096,          // both SYNs permitted SACK
  kSackNews = 8192,      // an acknowledgement with SACK blocks is due, even where data goes
  kDsack = 16384,        // dsack_bytes from dsack_begin on arrived twice
  kUnwatched = 32768,    // this window went out without a scoreboard
  kTailProbe = 0x10000,  // within send_tail: one segment beyond the congestion window
  kPaced = 0x200000,     // the last flush kept data back for its pace
  kEcnAsked = 0x100000,  // our SYN did
  kEcn = 0x20000,        // both SYNs spoke of ECN
  kOwesEce = 0x40000,    // a mark arrived: every segment says so until the peer has reduced its window
  kOwesCwr = 0x80000,    // our window was reduced by a mark: the next new data says so
};

enum TimerKind : u32 { kSendTimer = 0, kIdleTimer = 1 };
inline constexpr u32 kTimerKinds = 2;

// Account of what is in flight towards a peer with SACK, made when there is more to say of it than that all of it left
// at one time and nothing has happened to it since.
struct Flight {
  Scoreboard board;
  Prr prr;
  Congestion before;          // with can_undo
  u32 sent_again = 0;         // bytes sent again that no D-SACK has named
  u32 first_again_stamp = 0;  // our timestamp on the first of them, with `stamped`
  bool can_undo = false;
  bool repaired = false;      // something was sent again since
  bool stamped = false;
  bool probing = false;         // a tail probe up to probe_end is out
  bool probe_repeated = false;  // and it carried nothing new
  wire::SeqNo probe_end;
  // Nothing is SACKed, lost or probed.
  bool quiet() const { return !probing && board.sacked() == 0 && board.lost() == 0; }
};

struct RW_CACHE_ALIGNED Tcb {
  // --- 1: who it is, what it owes, which lists it is on
  wire::FourTuple tuple;
  u32 hash = 0;
  u32 generation = 0;
  State state = State::closed;
  Leg leg = Leg::downstream;
  u8 owes = 0;
  u8 events = 0;          // EventBits not yet fetched
  u32 flags = 0;
  CloseReason reason = CloseReason::none;
  u8 segments_unacked = 0;  // received since our last ACK, saturating
  u16 address_sum = 0;    // checksum sum of both addresses
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
  wire::SeqNo rtt_seq;    // with kTimingRtt
  u16 snd_mss = 536;
  u8 snd_wscale = 0;      // peer's
  u8 rcv_wscale = 0;      // ours
  u8 retries = 0;         // timeouts since the last progress
  u8 backoff = 0;
  u8 challenges_left = 0;
  u8 keepalives = 0;      // probes sent since the peer was heard
  TimerMode timer_mode = TimerMode::timeout;
  u8 careful = 0;         // segments to come until acknowledgements may be few again
  u16 dsack_bytes = 0;    // with kDsack

  // --- 3: timing, accounts
  alignas(kCacheLineBytes) TimeUs deadline[kTimerKinds] = {};  // 0: not wanted
  TimeUs wheel_at = 0;                                         // when it wakes the block; 0: not in the wheel
  Rtt rtt;
  u32 rtt_start_us = 0;     // low half of the time
  u64 bytes_in = 0;
  u64 bytes_out = 0;
  wire::SeqNo moved_to;  // snd_una when the sweep last saw a segment's worth of progress, or nothing queued
  u32 moved = 0;         // and when, in units of 1024 us

  // --- 4: byte streams
  alignas(kCacheLineBytes) mbuf::Chain receive;  // in order, not yet taken
  mbuf::Chain unacked;                           // begins at snd_una (behind a SYN)
  mbuf::Chain::Cursor next;                      // where snd_nxt stands in `unacked`; slice kNone32 at the end
  u32 flight = kNone32;     // index of a Flight, only while one is needed
  u32 flight_sent_us = 0;   // without one: when all that is in flight was sent

  // --- 5: what every packet carries, and what every acknowledgement asks; the rest of `cc` is for windows that are filled
  alignas(kCacheLineBytes) PeerStamp stamp;  // with kTimestamps
  u32 ts_offset = 0;        // added to our ticks
  u32 last_sent = 0;        // when something was, in units of 1024 us
  Rack rack;
  Congestion cc;

  // --- 6: what few segments ask for
  wire::SeqNo irs;
  wire::SeqNo dsack_begin;  // with kDsack
  union {
    u32 listener = 0;      // its tag, while the application has the connection
    u32 progress;          // with kOrphan: snd_una when the idle timer last looked
  };
  u32 pace_us = 0;       // with pacing: when the next packet may leave, low half
  u16 challenge_second = 0;  // and one, with challenges_left
  u16 mss_most = 0;          // snd_mss before ICMP made it smaller
  u32 stalled = 0;       // with retries: since when the peer owes us something, in units of 1024 us

  bool has(u32 f) const { return (flags & f) != 0; }
  void set(u32 f) { flags |= f; }
  void clear(u32 f) { flags &= ~f; }
  void owe(u8 o) { owes = static_cast<u8>(owes | o); }
  void paid(u8 o) { owes = static_cast<u8>(owes & ~o); }

  // Sequence number of the first byte in `unacked`: the SYN stands in front of it until it is acknowledged.
  wire::SeqNo base() const { return has(kSynAcked) ? snd_una : iss + 1; }
  // Bytes of TCP header on everything behind the SYN, SACK blocks apart.
  u32 tcp_header_bytes() const { return wire::kTcpHeaderBytes + (has(kTimestamps) ? wire::kTcpTimestampBytes : 0); }
  u32 in_flight() const { return static_cast<u32>(snd_max - snd_una); }
  // Queued bytes at and behind snd_nxt.
  u32 unsent() const {
    const i32 n = base() + unacked.bytes() - snd_nxt;
    return n <= 0 ? 0 : snd_nxt < base() ? unacked.bytes() : static_cast<u32>(n);
  }
  bool fin_to_send() const { return has(kFinQueued) && snd_nxt <= fin_seq; }
  bool fin_acked() const { return has(kFinQueued) && has(kSynAcked) && snd_una > fin_seq; }
};

static_assert(sizeof(Tcb) == 6 * kCacheLineBytes);

}  // namespace ringway::tcp
