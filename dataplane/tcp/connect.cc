// Opening and closing: blocks, what a SYN tells, local ports, the ways out (RST, TIME-WAIT, gone), and answers that
// belong to no block. RFC 9293 3.10.1 (OPEN), 3.10.4 (CLOSE), 3.10.5 (ABORT), 3.10.7.1; RFC 6528, RFC 6191.

#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

u32 Engine::Impl::find(const wire::FourTuple& t, u32 hash) const {
  return flows.find(hash, [&](u32 value) {
    if (value < kHalfOpenBit) return tcbs[value].tuple == t;
    return (value & kRecordBit) != 0 ? time_wait[value & ~kRecordBit].tuple == t
                                     : half_open[value & ~kHalfOpenBit].tuple == t;
  });
}

u32 Engine::Impl::open(const wire::FourTuple& tuple, u32 hash, Leg leg, const FirstNumbers& first) {
  const u32 i = tcbs.alloc();
  if (i == kNone32) return i;
  Tcb& t = tcbs[i];
  t.tuple = tuple;
  t.hash = hash;
  t.leg = leg;
  t.generation = next_generation;
  next_generation = next_generation + 1 == 0 ? 1 : next_generation + 1;
  t.receive = pools.chain();
  t.unacked = pools.chain();
  t.rcv_wscale = wscale_ours;
  t.rtt.start(config.rto_initial_us[static_cast<u32>(leg)]);
  t.iss = first.iss;
  t.ts_offset = first.ts_offset;
  t.snd_una = t.snd_nxt = t.snd_max = t.iss;
  t.last_sent = timestamp_ticks(now);
  t.heard = t.moved = static_cast<u32>(now >> 10);
  t.set(kInTable);
  t.address_sum = address_sum(tuple);
  return i;
}

void Engine::Impl::enter(u32 i) {
  hold(tcbs[i].tuple);
  flows.insert(tcbs[i].hash, i);
}

// MSS (RFC 9293 3.7.1; RFC 6691: less what options take on every segment), window scale (RFC 7323 2.2) and timestamps
// (3.2); the window of a SYN is never scaled.
void Engine::Impl::learn_peer(Tcb& t, const gate::Segment& seg) {
  const u32 advertised = static_cast<u32>(t.rcv_adv - t.rcv_nxt);  // by our SYN, if it went first
  t.irs = seg.seq;
  t.rcv_nxt = seg.seq + 1;
  t.rcv_adv = t.rcv_nxt + advertised;
  const u16 unsaid = t.tuple.local.is4() ? wire::kTcpMssDefault : wire::kTcpMssDefault6;
  const u16 theirs = seg.options.mss == 0 ? unsaid : std::max(seg.options.mss, kMssFloor);
  t.snd_mss = std::min(theirs, mss_of(t.tuple));
  if (config.sack && seg.options.sack_permitted) t.set(kSack);
  // RFC 3168 6.1.1: a SYN asks by both flags, a SYN|ACK agrees by one.
  const u8 ecn = seg.flags & gate::kAsksForEcn;
  if (seg.has(gate::kAck) ? t.has(kEcnAsked) && ecn == gate::kEce : config.ecn != Ecn::off && ecn == gate::kAsksForEcn) {
    t.set(kEcn);
  }
  if (config.timestamps && seg.options.timestamps) {
    t.set(kTimestamps);
    t.snd_mss = static_cast<u16>(t.snd_mss - wire::kTcpTimestampBytes);
    t.stamp = {seg.options.ts_value, timestamp_ticks(now), t.rcv_nxt};
  }
  if (seg.options.window_scale != 0xff) {
    t.set(kScaling);
    t.snd_wscale = std::min(seg.options.window_scale, wire::kTcpWindowScaleMax);
  }
  t.snd_wnd = t.snd_wnd_max = seg.window;
  t.snd_wl1 = seg.seq;
  t.snd_wl2 = seg.ack;
}

// Of an IPv6 address the half that tells hosts of a network apart.
template <EventKind of4, EventKind of6>
void Engine::Impl::note_far_end(const Tcb& t) {
  const contract::EventFields f{.half = t.tuple.remote_port, .conn = t.generation, .x = t.tuple.remote.v};
  if (t.tuple.remote.is4()) return page.recorder.note<of4>(f);
  const u64 low = config.book->ip6(t.tuple.remote).low();
  page.recorder.note<of6>({.half = f.half, .conn = f.conn, .x = static_cast<u32>(low), .y = static_cast<u32>(low >> 32)});
}
template void Engine::Impl::note_far_end<EventKind::connecting, EventKind::connecting6>(const Tcb& t);

// Our SYN is acknowledged and the peer's was received.
void Engine::Impl::established(u32 i, const gate::Segment& seg) {
  Tcb& t = tcbs[i];
  if (t.has(kTimingRtt) && seg.ack >= t.rtt_seq) {
    sample_rtt(t, static_cast<u32>(now) - t.rtt_start_us);
  } else if (t.retries > 0 && t.leg == Leg::downstream) {
    t.rtt.start(kSynTimedOutRtoUs);
  }
  t.mss_most = t.snd_mss;
  if (!paths.empty()) shrink_segments(t, paths.packet_bytes(path_key(t.tuple.remote), timestamp_ticks(now)));
  t.clear(kTimingRtt);
  t.set(kSynAcked);
  t.retries = t.backoff = 0;
  t.snd_una = t.snd_nxt = t.snd_max = t.iss + 1;
  t.next = t.unacked.cursor(0);
  t.cc.start(config.congestion_control, t.snd_mss, t.iss, timestamp_ticks(now));
  drop_timer(t, kSendTimer);
  t.state = t.has(kFinQueued) ? State::fin_wait_1 : State::established;
  if (t.has(kActiveOpen)) {
    count(Counter::tcp_connected);
    note_state(t, State::syn_sent);
    raise(i, kConnected);
  } else {
    count(Counter::tcp_accepted);
    if (page.recorder.wants<EventKind::accepted>()) [[unlikely]] note_far_end<EventKind::accepted, EventKind::accepted6>(t);
    t.set(kAnnounced);
    raise(i, kAccepted);
  }
  if (!t.unacked.empty() || t.has(kFinQueued)) want_output(i);
}

// The connection is over. What the application has not read stays until it has, unless it let go or never knew.
void Engine::Impl::become_closed(u32 i, CloseReason reason) {
  Tcb& t = tcbs[i];
  if (t.has(kActiveOpen) && !t.has(kSynAcked)) count(Counter::tcp_connect_failed);
  cancel_timers(i);
  if (t.has(kInTable)) {
    flows.erase(t.hash, i);
    t.clear(kInTable);
  }
  if (output.linked(tcbs, i)) output.remove(tcbs, i);
  if (t.reassembly != kNone32) {
    holes.free(t.reassembly);
    t.reassembly = kNone32;
  }
  landed(i);
  t.owes = 0;
  note<EventKind::closed>(t, [&] {
    return contract::EventFields{.code = static_cast<u8>(reason), .half = static_cast<u16>(t.state),
                                 .x = static_cast<u32>(t.bytes_in), .y = static_cast<u32>(t.bytes_out)};
  });
  t.state = State::closed;
  t.reason = reason;
  if (t.has(kOrphan) || !t.has(kAnnounced) || (t.events & kAccepted) != 0) return free_block(i);
  if (reason == CloseReason::finished && !t.receive.empty()) return;
  raise(i, kClosed);
}

// Of a connection that is over: nothing but the list of events may still name it.
void Engine::Impl::free_block(u32 i) {
  Tcb& t = tcbs[i];
  RW_ASSERT(t.state == State::closed);
  if (events.linked(tcbs, i)) events.remove(tcbs, i);
  if (closed_last == i) closed_last = kNone32;
  if (source_limit != 0 && t.leg == Leg::downstream) sources.remove(t.tuple.remote);
  drop(t.tuple);
  t.generation = 0;
  tcbs.free(i);
}

void Engine::Impl::forget_time_wait(u32 record) {
  const wire::FourTuple tuple = time_wait[record].tuple;
  flows.erase(hash_of(tuple), record | kRecordBit);
  drop(tuple);
  time_wait.remove(record);
}

// The last acknowledgement goes out as an answer of the record, which takes the block's place in the flow table.
void Engine::Impl::enter_time_wait(u32 i) {
  Tcb& t = tcbs[i];
  if (time_wait.full()) {
    const u32 oldest = time_wait.oldest();
    forget_time_wait(oldest);
  }
  const u32 r = time_wait.add(t.tuple, t.rcv_nxt, t.snd_max, now);
  hold(t.tuple);
  time_wait[r].timestamps = t.has(kTimestamps);
  time_wait[r].ts_recent = t.stamp.recent;
  flows.replace(t.hash, i, r | kRecordBit);
  t.clear(kInTable);
  if ((t.owes & (kOwesAck | kOwesAckLater)) != 0) reply(reply_of(t, gate::kAck));
  count(Counter::tcp_closed);
  become_closed(i, CloseReason::finished);
}

void Engine::Impl::reset(u32 i, CloseReason reason) {
  Tcb& t = tcbs[i];
  if (t.state != State::closed && t.state != State::syn_sent) {
    reply(reply_of(t, gate::kRst | gate::kAck));
    count(Counter::tcp_reset_sent);
  }
  become_closed(i, reason);
}

// The state changes when the FIN is queued; it is sent behind the last byte.
void Engine::Impl::queue_fin(u32 i) {
  Tcb& t = tcbs[i];
  if (t.has(kFinQueued)) return;
  t.set(kFinQueued);
  t.fin_seq = t.base() + t.unacked.bytes();
  if (t.has(kSynAcked)) want_output(i);
  if (in(t.state, states(State::established, State::close_wait))) {
    become(t, t.state == State::established ? State::fin_wait_1 : State::last_ack);
  }
}

Reply Engine::Impl::reply_of(const Tcb& t, u8 flags) const {
  Reply r{.tuple = t.tuple, .seq = t.snd_max, .ack = t.rcv_nxt, .flags = flags};
  if (t.has(kTimestamps)) stamp(r, t.ts_offset, t.stamp.recent);
  return r;
}

bool Engine::Impl::reply(const Reply& r) {
  if (replies_count == kRepliesMax) return false;
  hold(r.tuple);
  replies[replies_count++] = r;
  return true;
}

// RFC 9293 3.10.7.1: a RST that the sender will find acceptable. Rate-bounded, so that strangers cannot make us talk.
void Engine::Impl::reply_reset(const gate::Segment& seg) {
  const u32 t = static_cast<u32>(now >> 10);
  reset_tokens = std::min<u32>(kResetsBurst, reset_tokens + std::min(t - reset_refilled, kResetsBurst));
  reset_refilled = t;
  if (reset_tokens == 0) return;
  --reset_tokens;
  if (seg.has(gate::kAck)) {
    reply({seg.tuple, seg.ack, SeqNo{0}, gate::kRst});
  } else {
    reply({seg.tuple, SeqNo{0}, seg.seq + seg.length(), gate::kRst | gate::kAck});
  }
}

// RFC 6056 3.3.1 in spirit: a start that nobody can guess, then the next free port of those that this core may use. A port whose
// tuple waits in TIME-WAIT is the last resort (RFC 6191): our initial sequence numbers grow.
std::optional<u16> Engine::Impl::choose_port(wire::FourTuple& t) {
  u32 fallback_record = kNone32;
  const lookup::RssPortChooser* const chooser = config.port_chooser;
  const wire::Ip remote = address_of(t.remote), local = address_of(t.local);
  const u32 choices = chooser == nullptr ? config.port_count : chooser->choices(remote, t.remote_port, local);
  for (u32 n = 0; n < choices; ++n) {
    next_port = (next_port + 1) % choices;
    t.local_port = chooser == nullptr ? static_cast<u16>(config.port_first + next_port)
                                      : chooser->choice(remote, t.remote_port, local, next_port);
    const u32 value = find(t, hash_of(t));
    if (value == kNone32) return t.local_port;
    const u32 record = value & ~kRecordBit;
    if ((value & kRecordBit) != 0 && fallback_record == kNone32 && time_wait.age_us(record, now) >= kPortReuseAgeUs) {
      fallback_record = record;
    }
  }
  if (fallback_record == kNone32) return std::nullopt;
  t.local_port = time_wait[fallback_record].tuple.local_port;
  forget_time_wait(fallback_record);
  return t.local_port;
}

}  // namespace ringway::tcp
