#pragma once
// The inside of Engine: its tables and the verbs that the engine's source files share.
//
//   engine.cc   construction, the application's calls, events        input.cc   RFC 9293 3.10.7
//   connect.cc  opening and closing: blocks, ports, TIME-WAIT        output.cc  what a flush sends
//   handshake.cc  clients that are not connected yet                 packet.cc  how a packet is built
//   recovery.cc loss towards a peer with SACK                        life.cc    keepalive, pressure
//   timers.cc   expiry                                               path.cc    the largest packet that gets through
//   invariants.cc  what always holds, for tests                    pace.cc    a window over its round trip
//
// Private to dataplane/tcp. Connections are named by their index in `tcbs`; a verb that may free the block says so.

#include <array>

#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/flow_table.h"
#include "dataplane/tcp/half_open.h"
#include "dataplane/tcp/isn.h"
#include "dataplane/tcp/listen.h"
#include "dataplane/tcp/path.h"
#include "dataplane/tcp/sources.h"
#include "dataplane/tcp/table.h"
#include "dataplane/tcp/tcb.h"
#include "dataplane/tcp/time_wait.h"
#include "src/base/slab.h"
#include "src/base/wheel.h"
#include "src/lookup/address_book.h"
#include "src/lookup/flow_hash.h"
#include "src/wire/ip4.h"
#include "src/wire/ip6.h"
#include "src/wire/tcp.h"
#include "src/wire/tcp_options.h"

namespace ringway::tcp {

using contract::Counter;
using contract::EventKind;
using contract::Verdict;
using wire::SeqNo;

inline constexpr u32 kRecordBit = 0x8000'0000;       // in a value of the flow table: a TIME-WAIT record
inline constexpr u32 kHalfOpenBit = 0x4000'0000;     // in a value without kRecordBit: a half-open record
inline constexpr u32 kRoomSteps = 64;                // records looked at to find one of a crowded listener
inline constexpr u32 kRepliesMax = 256;              // answers without a connection, per flush
inline constexpr u32 kEarlyAcksMax = 64;             // acknowledgements that do not wait for the end of a burst
inline constexpr u8 kCarefulSegments = 255;          // in order, after one that was not: a few windows
inline constexpr u32 kResetsBurst = 512;             // RST answers at once; then one per 1024 us
inline constexpr u32 kMbufOverhead = 256;            // of one held mbuf, beside its data room, against the receive budget
inline constexpr u32 kCopyBreakBytes = 256;          // smaller segments are copied when kCopyBreakMbufs are held already
inline constexpr u32 kCopyBreakMbufs = 4;
inline constexpr u8 kChallengesLeast = 4;            // RFC 5961 section 7, per connection and second: 4 to 11 of them
inline constexpr u64 kSweepUs = 1 << 21;             // one round of the hand over all blocks
inline constexpr u32 kSweepStep = 32;                // blocks looked at in one go
inline constexpr u32 kShedSample = 64;
inline constexpr u8 kCongestionMet = 3;              // of gate::Segment::ecn
inline constexpr u32 kReserveLows = 3;               // marks of low memory that what connections share leaves alone
inline constexpr u32 kSharePart = 4;                 // of what is left above them, for one connection and direction
inline constexpr u32 kShareLeast = 2;                // mbufs
inline constexpr u32 kEtherHeaderBytes = 14;         // which the gate will put in front
inline constexpr u32 kLooseSackBytes6 =              // headers over IPv6 with timestamps and one SACK block
    kEtherHeaderBytes + wire::kIp6HeaderBytes + wire::kTcpHeaderBytes + wire::kTcpTimestampBytes + 12;
static_assert(kEtherHeaderBytes + wire::kIp4HeaderBytes + wire::kTcpHeaderBytes + wire::kTcpOptionBytesMax <= kHeaderBytesLeast);
static_assert(kEtherHeaderBytes + wire::kIp6HeaderBytes + wire::kTcpHeaderBytes + wire::kTcpSynOptionBytesMax <= kHeaderBytesLeast);
inline constexpr u32 kSillyBytes = 128;              // less of a longer queue is not worth a segment
inline constexpr u16 kMssFloor = 536;                // RFC 791: every host takes datagrams of 576 octets
inline constexpr u32 kTsoBytesMax = 65'535 - 40 - 60;  // payload of a packet that the port cuts: lengths have 16 bits
inline constexpr u32 kTsoUncut = 4;                  // full segments in front of which a short one may end such a packet
inline constexpr u32 kPaceBits = 5;                  // a packet that is cut has at most 2^-this of a paced round trip
inline constexpr u32 kPaceLateUs = 100;              // so late a flush may be and still catch up
inline constexpr u32 kTsoSegmentsBits = 7;           // such a packet has fewer than 2^this
static_assert(kTsoBytesMax < u32{kMssFloor - wire::kTcpTimestampBytes} << kTsoSegmentsBits);
inline constexpr u32 kPacketLeast = 576;             // so no path is believed to take less; over IPv6 kIp6MtuMin
inline constexpr u8 kBlackHoleRetries = 4;           // of full segments, before smaller ones are tried
inline constexpr u32 kSynTimedOutRtoUs = 3'000'000;  // RFC 6298 (5.7)
inline constexpr u32 kPortReuseAgeUs = 1'000'000;    // a TIME-WAIT record younger than this keeps its local port

// A segment that belongs to no block: RST for strangers, answers of TIME-WAIT.
struct Reply {
  wire::FourTuple tuple;
  SeqNo seq, ack;
  u8 flags = 0;
  u16 window = 0;
  wire::SynOptions options;  // mss 0: at most timestamps
};

// One arriving segment on its way through 3.10.7.4, cut to what is new and inside the window.
struct Arrival {
  const gate::Segment& seg;
  mbuf::Pkt& pkt;
  SeqNo seq;        // of the first payload byte left
  u32 skip;         // from the packet's data() to that byte
  u32 bytes;        // payload left
  bool fin;
};

struct Engine::Impl {
  Impl(const EngineConfig& c, mbuf::Pools& p, contract::CorePage& pg);

  EngineConfig config;
  mbuf::Pools& pools;
  contract::CorePage& page;
  u16 mss_ours;            // largest MTU less IPv4 and TCP headers; what we announce is `mss_of`
  u8 wscale_ours;          // smallest shift with which the receive budget fits 16 bits
  u32 mbuf_bytes;          // data room of one
  u32 mbufs_budget;        // receive budget in mbufs
  u32 share = kNone32;     // mbufs that a connection may hold each way now; above every budget while memory is ample
  u32 receive_share;       // the lesser of share and mbufs_budget
  u32 send_share_bytes;    // of share and the send budget
  Slab<Tcb> tcbs;
  Slab<Reassembly> holes;
  Slab<Flight> flights;
  Paths paths;
  std::span<const contract::PathSize> path_sizes;
  FlowTable flows;
  TimeWait time_wait;
  Listeners listeners;
  Sources sources;         // of clients' connections, while there is a source_limit
  u32 source_limit = 0;    // connections of one; 0: any number
  const contract::IngressAcl* ingress = nullptr;
  Wheel wheel;
  IndexList<&Tcb::output> output;
  IndexList<&Tcb::event> events;
  TimeUs pace_next = 0;    // when the first of those on `output` that keep a pace may go on; 0: none does
  HalfOpens half_open;
  std::array<Reply, kRepliesMax> replies;
  u32 replies_count = 0;
  std::array<OutPkt, kEarlyAcksMax> early;
  u32 early_count = 0;
  TimeUs now = 0;
  u32 timers_wanted = 0;   // deadlines that are not 0
  TimeUs cookies_until = 0;  // no cookie of ours is good after this time
  u32 next_generation = 1;
  u32 next_port;           // offset into the slice
  u32 hand = 0;            // of the sweep
  u32 shed_hand = 0;
  TimeUs next_sweep = 0;
  u32 pool_looked = 0;     // in units of 1024 us
  bool pool_low = false;
  u32 reset_tokens = kResetsBurst;
  u32 reset_refilled = 0;  // in units of 1024 us
  u32 closed_last = kNone32;  // its kClosed was fetched; freed at the next call from below or for an event
  mbuf::Chain nothing;
  std::array<gate::TcpOptions::SackBlock, 4> blocks_out;  // of the acknowledgement being built

  // --- engine.cc
  void count(Counter c, u64 n = 1) { page.count(c, n); }
  void count(Verdict v) { page.count(v); }
  // `fields` says what there is to say, when it is wanted.
  template <EventKind kind, class F>
  void note(const Tcb& t, F&& fields) {
    if (!page.recorder.wants<kind>()) [[likely]] return;
    contract::EventFields f = fields();
    f.conn = t.generation;
    page.recorder.note<kind>(f);
  }
  void note_state(const Tcb& t, State before) {
    note<EventKind::state>(t, [&] {
      return contract::EventFields{.code = static_cast<u8>(t.state), .half = static_cast<u16>(before)};
    });
  }
  [[gnu::noinline]] void become(Tcb& t, State s) { note_state(t, std::exchange(t.state, s)); }
  // A block that nobody has is of generation 0, which no ConnId is.
  Tcb* get(ConnId id) {
    Tcb* const t = tcbs.place_of(id.index);
    return t != nullptr && t->generation == id.generation && !t->has(kOrphan) ? t : nullptr;
  }
  ConnId id_of(u32 i) { return {i, tcbs[i].generation}; }
  void raise(u32 i, u8 bits) {
    Tcb& t = tcbs[i];
    if (t.has(kOrphan)) return;
    t.events |= bits;
    if (!events.linked(tcbs, i)) events.push_back(tcbs, i);
  }
  void want_output(u32 i) {
    if (!output.linked(tcbs, i)) output.push_back(tcbs, i);
  }
  void release_closed();
  void after_take(u32 i);

  // --- connect.cc
  // The same tuple, or, over IPv6, what stands for it where it is hashed.
  wire::FourTuple digest(const wire::FourTuple& t) const { return t.local.is4() ? t : config.book->digest(t); }
  u32 hash_of(const wire::FourTuple& t) const { return lookup::flow_hash(digest(t), config.secret[1]); }
  wire::Ip address_of(wire::Addr a) const { return a.is4() ? wire::Ip(a.ip4()) : config.book->ip(a); }
  // Names of IPv6 addresses that something of ours keeps.
  void hold(wire::Addr a) {
    if (!a.is4()) config.book->hold(a);
  }
  void drop(wire::Addr a) {
    if (!a.is4()) config.book->drop(a);
  }
  void hold(const wire::FourTuple& t) {
    hold(t.local);
    hold(t.remote);
  }
  void drop(const wire::FourTuple& t) {
    drop(t.local);
    drop(t.remote);
  }
  u32 find(const wire::FourTuple& t, u32 hash) const;
  // A block that the flow table is to name: by `enter`, or in the place of a record. kNone32: full.
  u32 open(const wire::FourTuple& t, u32 hash, Leg leg, const FirstNumbers& first);
  void enter(u32 i);
  void learn_peer(Tcb& t, const gate::Segment& seg);      // from its SYN
  template <EventKind of4, EventKind of6>
  [[gnu::cold]] void note_far_end(const Tcb& t);
  void established(u32 i, const gate::Segment& seg);
  void become_closed(u32 i, CloseReason reason);          // may free
  void free_block(u32 i);                                 // frees
  void forget_time_wait(u32 record);
  void enter_time_wait(u32 i);                            // may free
  void reset(u32 i, CloseReason reason);                  // sends RST; may free
  void queue_fin(u32 i);
  bool reply(const Reply& r);
  void stamp(Reply& r, u32 offset, u32 echo) const {
    r.options.timestamps = true;
    r.options.ts_value = timestamp_ticks(now) + offset;
    r.options.ts_echo = echo;
  }
  Reply reply_of(const Tcb& t, u8 flags) const;           // at snd_max, with the connection's timestamps
  void reply_reset(const gate::Segment& seg);             // RFC 9293 3.10.7.1
  std::optional<u16> choose_port(wire::FourTuple& t);

  // --- input.cc
  void input(const gate::Segment& seg, mbuf::Pkt& pkt);
  // Returns `value`, so that it need not be kept for the sake of what is rarely done.
  [[gnu::cold]] u32 note_arrival(u32 value, const gate::Segment& seg);
  void input_syn_sent(u32 i, const gate::Segment& seg, mbuf::Pkt& pkt);
  void input_time_wait(u32 record, const gate::Segment& seg);
  void input_steps(u32 i, const gate::Segment& seg, mbuf::Pkt& pkt);
  bool acceptable(u32 i, Arrival& a);
  bool timely(u32 i, const gate::Segment& seg);
  bool step_rst_syn(u32 i, const Arrival& a);
  void step_ecn(u32 i, const gate::Segment& seg);
  bool step_ack(u32 i, const Arrival& a);
  void on_new_ack(u32 i, const gate::Segment& seg);
  void sample_rtt(Tcb& t, u32 us) {
    t.rtt.sample(us, config.rto_min_us[static_cast<u32>(t.leg)], config.rto_max_us);
  }
  Acked acked_of(const Tcb& t, u32 bytes, u32 flight_before) const {
    return {bytes, t.snd_una, t.snd_max, flight_before, t.rack.rtt_us, timestamp_ticks(now)};
  }
  void on_window(u32 i, const gate::Segment& seg);
  void twice(u32 i, SeqNo begin, SeqNo end);
  void unsettled(u32 i);
  bool after_fin_acked(u32 i);                           // may free
  bool step_text(u32 i, Arrival& a);                      // may free
  bool text_after_close(u32 i, Arrival& a);               // may free
  void step_fin(u32 i);
  void keep(u32 i, Arrival& a);
  void keep_ahead(u32 i, Arrival& a);
  bool copy_break(Tcb& t, Arrival& a);
  bool copy_break_ahead(Tcb& t, Arrival& a);
  void challenge(u32 i);

  // --- recovery.cc
  // Bytes from `before`, which was snd_max, up to snd_max left. Called after every change of snd_max behind the SYN.
  void flew(u32 i, SeqNo before) {
    Tcb& t = tcbs[i];
    if (before == t.snd_una) t.flight_sent_us = static_cast<u32>(now);  // all of it at one time: that says everything
    if (t.flight != kNone32 || t.flight_sent_us != static_cast<u32>(now)) flew_apart(i, before);
  }
  void flew_apart(u32 i, SeqNo before);
  bool watch(u32 i, SeqNo sent);
  bool watch(u32 i) { return watch(i, tcbs[i].snd_max); }
  void landed(u32 i);
  u32 grain_of(const Tcb& t) const;
  bool on_recovery_timer(u32 i);
  void read_sack(u32 i, const gate::Segment& seg, Delivered& d);
  void on_dsack(u32 i, SeqNo begin, SeqNo end);
  void on_sack_ack(u32 i, const gate::Segment& seg, u32 acked, u32 flight_before);
  void judge_repair(u32 i, const gate::Segment& seg);
  void undo(u32 i);
  void remember(Tcb& t, Flight& f);
  void find_lost(u32 i, u32 pipe_before);
  void on_sack_timeout(u32 i);
  bool send_tail(u32 i, OutBatch& out);
  bool send_lost(u32 i, OutBatch& out);
  bool send_range(u32 i, SeqNo from, u32 n, OutBatch& out);
  // --- handshake.cc
  void input_listen(const gate::Segment& seg, Listener& listener, SeqNo above, bool has_above);
  void input_half_open(u32 h, const gate::Segment& seg, mbuf::Pkt& pkt);
  bool refused(const gate::Segment& seg) const {
    return ingress != nullptr && ingress->refuses(address_of(seg.tuple.remote), address_of(seg.tuple.local), seg.tuple.local_port);
  }
  bool source_is_full(const gate::Segment& seg);          // then it has been told
  bool make_room(const Listener& listener, bool own);
  bool block_to_be_had();
  void answer_by_cookie(const gate::Segment& seg);
  bool accept_by_cookie(u32 tag, const gate::Segment& seg, mbuf::Pkt& pkt);
  void forget_half_open(u32 h);
  void forget_half_open_of(wire::Addr ip, u16 port);
  void challenge_half_open(HalfOpen& r);
  u32 open(const HalfOpen& r, u32 hash, u32 tag);
  Reply syn_ack(const HalfOpen& r) const;
  u32 syn_window(const wire::FourTuple& t) const;
  bool answer_half_open(u32 h, OutBatch& out);            // false: there is no mbuf
  u32 expire_half_open(u32 most);

  // --- life.cc
  u32 sweep();
  u64 silent_us(const Tcb& t) const;
  void keep_alive(u32 i);                                 // may free
  void look_at_pool();                                    // may free
  void look_at_progress(Tcb& t);
  u64 stuck_us(const Tcb& t) const;
  bool shed(bool holding);                                // may free

  // --- path.cc
  u64 path_key(wire::Addr remote) const;
  void too_big(u32 i, SeqNo seq, u32 packet_bytes);
  u32 packet_bytes_to(wire::Addr remote) const {
    const u32 ours = mss_ours + wire::kIp4HeaderBytes + wire::kTcpHeaderBytes;
    return path_sizes.empty() ? ours : packet_bytes_by_path(remote, ours);
  }
  u32 packet_bytes_by_path(wire::Addr remote, u32 ours) const;
  static u32 packet_least(const Tcb& t) { return t.tuple.local.is4() ? kPacketLeast : wire::kIp6MtuMin; }
  bool shrink_segments(Tcb& t, u32 packet_bytes);
  void suspect_black_hole(Tcb& t);
  void look_at_path(Tcb& t);

  // --- timers.cc
  void want_timer(u32 i, TimerKind k, TimeUs at);
  void drop_timer(Tcb& t, TimerKind k) {
    if (t.deadline[k] == 0) return;
    t.deadline[k] = 0;
    --timers_wanted;
  }
  void drop_timer(u32 i, TimerKind k) { drop_timer(tcbs[i], k); }
  void cancel_timers(u32 i);
  void on_timer(u32 i);
  void on_send_timer(u32 i);
  void on_idle_timer(u32 i);
  void settle_send_timer(u32 i);
  void restart_send_timer(u32 i);
  u64 patience_us(const Tcb& t) const;
  u32 expire_time_wait(u32 most);

  // --- output.cc
  u32 flush(OutBatch& out);
  void flush_early(OutBatch& out);
  bool flush_one(u32 i, OutBatch& out);  // false: out is full or there is no mbuf; come back
  bool send_syn(u32 i, OutBatch& out);
  bool send_data(u32 i, OutBatch& out);
  bool send_again(u32 i, OutBatch& out);
  bool send_probe(u32 i, OutBatch& out);
  bool send_ack(u32 i, OutBatch& out);
  void send_ack_early(u32 i);
  mbuf::Pkt build_ack(u32 i);
  bool send_keepalive(u32 i, OutBatch& out);
  u32 pipe_of(const Tcb& t) const { return t.flight == kNone32 ? t.in_flight() : flights[t.flight].board.pipe(); }
  u32 next_length(const Tcb& t) const;
  u32 tso_length(const Tcb& t, u32 room) const;
  bool keeps_pace(Tcb& t);
  void pace(Tcb& t, u32 bytes);
  u32 pace_bytes(const Tcb& t) const;
  u32 packet_length(const Tcb& t, mbuf::Chain::Cursor at, u32 rest, u32 n) const;
  u16 advertise(Tcb& t, bool syn);
  // Bytes that may come behind rcv_nxt: the budget less what is held, in bytes and in mbufs, of which a connection has its
  // share.
  u32 free_window(const Tcb& t) const {
    const u32 held = t.receive.slices() + (t.reassembly == kNone32 ? 0 : holes[t.reassembly].slices());
    return window_over(held, t.receive.bytes(), full_bytes(t.tuple, t.tcp_header_bytes()));
  }
  // What a full segment brings, of which a mbuf may hold less.
  u32 full_bytes(const wire::FourTuple& t, u32 tcp_header_bytes) const {
    return std::min(mss_ours + wire::kIp4HeaderBytes + wire::kTcpHeaderBytes - ip_header_bytes(t) - tcp_header_bytes, mbuf_bytes);
  }
  u32 window_over(u32 held_mbufs, u32 held_bytes, u32 per_mbuf) const {
    if (held_mbufs >= receive_share || held_bytes >= config.receive_budget_bytes) return 0;
    return std::min(config.receive_budget_bytes - held_bytes,
                    (receive_share - held_mbufs) * per_mbuf);
  }
  void acked_peer(u32 i);

  // --- invariants.cc: what does not hold, or nullptr
  const char* broken() const;
  const char* broken_sender(const Tcb& t) const;
  const char* broken_receiver(const Tcb& t) const;
  const char* broken_duty(u32 i, u32& wanted) const;

  // --- packet.cc
  // SACK and timestamps over IPv6 stand without padding where the port would not take the headers otherwise.
  bool tight(const Tcb& t) const {
    return t.has(kTimestamps) && !t.tuple.local.is4() && config.caps.header_bytes_max < kLooseSackBytes6;
  }
  mbuf::Pkt build(const Tcb& t, SeqNo seq, u8 flags, u16 window, mbuf::Chain::Cursor from, u32 bytes, u32 blocks = 0);
  void note_sent(const Tcb& t, SeqNo seq, u8 flags, u32 bytes);
  void note_sent(const Reply& r);
  u32 sack_blocks(const Tcb& t);
  u64 write_sack(u8* p, u32 blocks) const;
  mbuf::Pkt build_in_place(const Tcb& t, const mbuf::Slice& s, u32 header_bytes);
  mbuf::Pkt build_indirect(const Tcb& t, mbuf::Chain::Cursor from, u32 bytes, u32 header_bytes);
  mbuf::Pkt build_copy(const Tcb& t, mbuf::Chain::Cursor from, u32 bytes, u32 header_bytes);
  mbuf::Pkt build_syn(const Tcb& t, u16 window);
  mbuf::Pkt build_reply(const Reply& r);
  // `segment_bytes` of payload is what the port cuts the packet into; 0: it is one segment.
  void write_headers(mbuf::Pkt& pkt, const wire::FourTuple& t, u16 addresses, const wire::TcpFields& f, u64 options, u8 tos = 0,
                     u16 segment_bytes = 0);
  template <bool is4>
  void write_headers_of(mbuf::Pkt& pkt, const wire::FourTuple& t, u16 addresses, const wire::TcpFields& f, u64 options, u8 tos,
                        u16 segment_bytes);
  u16 address_sum(const wire::FourTuple& t);
  static u32 ip_header_bytes(const wire::FourTuple& t) {
    return t.local.is4() ? wire::kIp4HeaderBytes : wire::kIp6HeaderBytes;
  }
  // What we announce, and send at most: RFC 9293 3.7.1, RFC 6691.
  u16 mss_of(const wire::FourTuple& t) const {
    return static_cast<u16>(packet_bytes_to(t.remote) - ip_header_bytes(t) - wire::kTcpHeaderBytes);
  }
  u32 stamp_of(const Tcb& t) const { return timestamp_ticks(now) + t.ts_offset; }  // RFC 7323, TSval
};

}  // namespace ringway::tcp
