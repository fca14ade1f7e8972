// Loss recovery towards a peer that sends SACK: RFC 2018 and 2883 read into a scoreboard, RACK-TLP (RFC 8985) to find
// what is lost, PRR (RFC 6937) to pace its repair, and the way back when nothing was lost (Eifel detection, RFC 3522, or
// D-SACK, RFC 3708; response as RFC 4015 has it). A connection whose peer sends no SACK never comes here.
//
// Most windows are one flight: sent at one time, acknowledged in order. They need no account; a block of the slab
// `flights` is taken when bytes leave at a second time, a SACK arrives, or a timer runs out, and kept until all is
// acknowledged.

#include <bit>

#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

// Bytes from `before`, which was snd_max, up to snd_max left at another time than what is in flight.
void Engine::Impl::flew_apart(u32 i, SeqNo before) {
  Tcb& t = tcbs[i];
  const u32 now_us = static_cast<u32>(now);
  if (!watch(i, before)) return;
  Flight& f = flights[t.flight];
  f.board.sent(t.snd_max, now_us, grain_of(t));
  if (t.cc.in_recovery) f.prr.on_sent(static_cast<u32>(t.snd_max - before));
}

// Sends within 2^this us of one another are one run of the scoreboard: a thirty-second part of a round trip.
u32 Engine::Impl::grain_of(const Tcb& t) const {
  return static_cast<u32>(std::max(static_cast<i32>(std::bit_width(t.rtt.srtt_us())) - 5, 0));
}

// Makes an account of what is in flight, up to `sent`, if there is none. False: the peer sends no SACK, or the slab is used
// up; the window is then repaired as for a peer without SACK, to its end.
bool Engine::Impl::watch(u32 i, SeqNo sent) {
  Tcb& t = tcbs[i];
  if (t.flight != kNone32) return true;
  if (!t.has(kSack) || t.has(kUnwatched) || !t.has(kSynAcked) || sent == t.snd_una) return false;
  t.flight = flights.alloc();
  if (t.flight == kNone32) {
    t.set(kUnwatched);
    return false;
  }
  Flight& f = flights[t.flight];
  f.board.start(t.snd_una);
  f.board.sent(sent, t.flight_sent_us, grain_of(t));
  return true;
}

// Everything is acknowledged, or the connection ends.
void Engine::Impl::landed(u32 i) {
  Tcb& t = tcbs[i];
  t.clear(kUnwatched);
  if (t.flight == kNone32) return;
  flights.free(t.flight);
  t.flight = kNone32;
}

// The wait for a tail probe or the reordering window is over. False: it was neither; a timeout is what is due.
bool Engine::Impl::on_recovery_timer(u32 i) {
  Tcb& t = tcbs[i];
  const TimerMode mode = std::exchange(t.timer_mode, TimerMode::timeout);
  if (mode == TimerMode::timeout) return false;
  const bool watched = t.snd_wnd != 0 && watch(i);
  if (mode == TimerMode::reorder) {
    if (!watched) return false;
    find_lost(i, flights[t.flight].board.pipe());
    if (t.deadline[kSendTimer] == 0) restart_send_timer(i);
    return true;
  }
  const u32 rto = t.rtt.backed_off_us(t.backoff, config.rto_max_us);
  // RFC 8985 7.2: probes are for flights of which nothing says yet that any bytes are lost.
  if (watched && flights[t.flight].quiet() && !t.cc.in_recovery && !t.cc.after_timeout) {
    flights[t.flight].probing = true;
    t.owe(kOwesTail);
    want_output(i);
    want_timer(i, kSendTimer, now + rto);
  } else {
    want_timer(i, kSendTimer, now + rto - probe_timeout_us(t.rtt.srtt_us(), t.in_flight() <= t.snd_mss, rto));
  }
  return true;
}

// The blocks of one acknowledgement.
void Engine::Impl::read_sack(u32 i, const gate::Segment& seg, Delivered& d) {
  Tcb& t = tcbs[i];
  Flight& f = flights[t.flight];
  const auto& sack = seg.options.sack;
  u32 first = 0;
  const u32 blocks = seg.options.sack_count;
  if (blocks == 0) return;
  const bool inside = blocks > 1 && sack[1].begin <= sack[0].begin && sack[0].end <= sack[1].end;
  if (sack[0].end <= seg.ack || inside) {  // RFC 2883 section 4
    first = 1;
    on_dsack(i, sack[0].begin, sack[0].end);
  }
  for (u32 b = first; b < blocks; ++b) {
    if (sack[b].end <= sack[b].begin || sack[b].begin < seg.ack || t.snd_max < sack[b].end) continue;
    f.board.sack(sack[b].begin, sack[b].end, d);
  }
}

void Engine::Impl::on_dsack(u32 i, SeqNo begin, SeqNo end) {
  Tcb& t = tcbs[i];
  Flight& f = flights[t.flight];
  const i32 n = end - begin;
  if (n <= 0 || t.snd_max < end || t.snd_una - begin > static_cast<i32>(std::min(t.snd_wnd_max, 0x4000'0000u))) return;
  count(Counter::tcp_dsacks);
  t.rack.on_dsack(t.snd_max);
  f.probe_repeated = false;  // RFC 8985 7.4.2: the probe was not needed
  if (!f.can_undo || f.sent_again == 0) return;
  f.sent_again -= std::min(f.sent_again, static_cast<u32>(n));
  if (f.sent_again == 0) undo(i);
}

// An acknowledgement that is not older than the last. `acked`: bytes it acknowledged anew.
void Engine::Impl::on_sack_ack(u32 i, const gate::Segment& seg, u32 acked, u32 flight_before) {
  Tcb& t = tcbs[i];
  Flight& f = flights[t.flight];
  Delivered d;
  d.now_us = static_cast<u32>(now);
  d.highest = f.board.highest_delivered();
  d.min_rtt_us = t.rack.rtt_known() ? t.rack.min_rtt_us : 0;
  if (t.has(kTimestamps)) d.echo_age_us = echo_rtt_us(stamp_of(t), seg.options.ts_echo);
  const u32 pipe_before = f.board.pipe();
  if (acked > 0) f.board.ack(seg.ack, d);
  read_sack(i, seg, d);
  t.rack.on_delivered(d);
  t.rack.on_ack(seg.ack);
  if (acked > 0) judge_repair(i, seg);
  if (f.can_undo && !f.repaired && f.board.lost() == 0) {  // all that was thought lost has come, and nothing went twice
    undo(i);
    t.rack.on_dsack(t.snd_max);
  }
  if (f.probing && f.probe_end <= seg.ack) {
    f.probing = false;
    if (f.probe_repeated && !t.cc.in_recovery) t.cc.on_probe_repaired(t.in_flight() + acked, t.snd_mss);
  }
  if (t.cc.in_recovery && seg.ack >= t.cc.recover) {
    t.cc.end_recovery(t.snd_mss);
    t.rack.on_recovery_end();
  }
  if (t.in_flight() == 0) {
    if (acked > 0) t.cc.on_ack(acked_of(t, acked, flight_before), t.snd_mss);
    return;
  }
  find_lost(i, pipe_before);
  if (t.cc.in_recovery) {
    const u32 quota = f.prr.on_ack(d.bytes, f.board.pipe(), t.cc.ssthresh, t.snd_mss);
    // The first segment goes at once, whatever the proportion says and however many acknowledgements one burst brings.
    t.cc.cwnd = std::max<u32>(f.board.pipe() + quota, f.prr.out > 0 ? t.snd_mss : f.board.pipe() + t.snd_mss);
  } else if (acked > 0) {
    t.cc.on_ack(acked_of(t, acked, flight_before), t.snd_mss);
  }
  want_output(i);
}

// RFC 3522: the acknowledgement of what was sent again echoes a stamp from before it was sent again.
void Engine::Impl::judge_repair(u32 i, const gate::Segment& seg) {
  Tcb& t = tcbs[i];
  Flight& f = flights[t.flight];
  if (!f.can_undo || !f.stamped) return;
  f.stamped = false;
  if (!t.has(kTimestamps) || !seg.options.timestamps) return;
  if (static_cast<i32>(seg.options.ts_echo - f.first_again_stamp) < 0) undo(i);
}

void Engine::Impl::undo(u32 i) {
  Tcb& t = tcbs[i];
  Flight& f = flights[t.flight];
  count(Counter::tcp_spurious_recoveries);
  t.cc.undo(f.before);
  f.board.unlose();
  f.can_undo = false;
  t.backoff = 0;
  want_output(i);
}

// What is to be restored if this turns out to be no loss at all.
void Engine::Impl::remember(Tcb& t, Flight& f) {
  f.can_undo = true;
  f.repaired = f.stamped = false;
  f.sent_again = 0;
  f.before = t.cc;
}

// RFC 8985 6.2 step 5; begins a recovery when the first loss of an event shows.
void Engine::Impl::find_lost(u32 i, u32 pipe_before) {
  Tcb& t = tcbs[i];
  Flight& f = flights[t.flight];
  if (!t.rack.valid) return;
  const bool many = f.board.sacked() >= kDupThreshold * t.snd_mss;
  const u32 patience = t.rack.patience_us(t.rtt.srtt_us(), many, t.cc.in_recovery || t.cc.after_timeout);
  u32 wait = 0;
  const u32 newly = f.board.detect(t.rack.end, t.rack.sent_us, static_cast<u32>(now), patience, wait);
  if (wait != 0) {
    t.timer_mode = TimerMode::reorder;
    want_timer(i, kSendTimer, now + wait);
  } else if (t.timer_mode == TimerMode::reorder) {
    restart_send_timer(i);
  }
  if (newly == 0) return;
  want_output(i);
  if (t.cc.in_recovery || t.cc.after_timeout) return;  // of an event that the window has paid for
  count(Counter::tcp_fast_retransmits);
  remember(t, f);
  const u32 flight = std::max(pipe_before, f.board.pipe() + newly);
  t.cc.begin_recovery(t.snd_max, flight, t.snd_mss);
  f.prr.start(flight);
  t.cc.cwnd = f.board.pipe() + t.snd_mss;
  restart_send_timer(i);
}

// RFC 6298 5.4 and RFC 8985 6.3: everything that is not SACKed goes again, by slow start.
void Engine::Impl::on_sack_timeout(u32 i) {
  Tcb& t = tcbs[i];
  Flight& f = flights[t.flight];
  if (!t.cc.in_recovery && !t.cc.after_timeout) remember(t, f);
  t.cc.on_timeout(t.snd_max, t.in_flight(), t.snd_mss, t.retries > 1 || t.cc.in_recovery);
  f.probing = false;
  if (f.board.lose_all()) count(Counter::tcp_sack_reneged);
  t.rack.valid = false;  // times of before say nothing about what goes now
}

// RFC 8985 7.3: new data if there is some and the peer's window takes it, else the last segment again.
bool Engine::Impl::send_tail(u32 i, OutBatch& out) {
  Tcb& t = tcbs[i];
  if (t.flight == kNone32 || t.in_flight() == 0) {
    t.paid(kOwesTail);
    return true;
  }
  if (out.full()) return false;
  t.paid(kOwesTail);
  Flight& f = flights[t.flight];
  f.probing = true;
  f.probe_repeated = false;
  f.probe_end = t.snd_max;
  count(Counter::tcp_tail_probes);
  if (t.unsent() > 0 && t.snd_una + t.snd_wnd - t.snd_nxt >= static_cast<i32>(t.snd_mss)) {
    t.set(kTailProbe);  // one segment beyond the congestion window
    const u32 max_before = t.snd_max.v;
    const bool sent = send_data(i, out);
    t.clear(kTailProbe);
    if (!sent || t.snd_max.v != max_before) {
      f.probe_end = t.snd_max;
      return sent;
    }
  }
  const u32 n = std::min<u32>(t.in_flight(), t.snd_mss);
  f.probe_repeated = true;
  return send_range(i, t.snd_max - n, n, out);
}

// Lost ranges, oldest first, as the window allows. False: come back.
bool Engine::Impl::send_lost(u32 i, OutBatch& out) {
  Tcb& t = tcbs[i];
  while (t.flight != kNone32) {
    Flight& f = flights[t.flight];
    SeqNo from;
    u32 n = f.board.next_lost(from, t.snd_mss);
    if (n == 0) return true;
    if (f.board.pipe() != 0 && f.board.pipe() + n > t.cc.cwnd) return true;
    const i32 room = t.snd_una + t.snd_wnd - from;
    if (room <= 0) return true;
    n = std::min(n, static_cast<u32>(room));
    if (out.full()) return false;
    if (!send_range(i, from, n, out)) return false;
  }
  return true;
}

// Sends [from, from + n) again, or as much of it as one packet takes.
bool Engine::Impl::send_range(u32 i, SeqNo from, u32 n, OutBatch& out) {
  Tcb& t = tcbs[i];
  if (out.full()) return false;
  Flight& f = flights[t.flight];
  const u32 offset = static_cast<u32>(from - t.snd_una);
  const u32 there = t.unacked.bytes() > offset ? t.unacked.bytes() - offset : 0;
  u32 bytes = std::min(n, there);
  const mbuf::Chain::Cursor at = bytes == 0 ? mbuf::Chain::Cursor{} : t.unacked.cursor(offset);
  const u32 rest = bytes == 0 ? 0 : t.unacked.slice(at.slice).length - at.skip;
  if (rest < bytes) bytes = packet_length(t, at, rest, bytes);
  const bool fin = t.has(kFinQueued) && from + bytes == t.fin_seq && t.snd_max > t.fin_seq;
  const u8 flags = static_cast<u8>(gate::kAck | (bytes > 0 ? gate::kPsh : 0) | (fin ? gate::kFin : 0));
  mbuf::Pkt pkt = build(t, from, flags, advertise(t, false), at, bytes);
  if (!pkt) return false;
  const u32 length = bytes + (fin ? 1u : 0u);
  f.board.again(from, length, static_cast<u32>(now));
  f.sent_again += length;
  f.repaired = true;
  if (f.can_undo && !f.stamped && from == t.snd_una) {
    f.stamped = true;
    f.first_again_stamp = stamp_of(t);
  }
  if (t.cc.in_recovery) f.prr.on_sent(length);
  t.clear(kTimingRtt);  // Karn's rule
  t.last_sent = timestamp_ticks(now);
  acked_peer(i);
  count(Counter::tcp_retransmits);
  out.push(std::move(pkt), t.tuple.remote);
  if (from == t.snd_una || t.deadline[kSendTimer] == 0) restart_send_timer(i);
  return true;
}

}  // namespace ringway::tcp
