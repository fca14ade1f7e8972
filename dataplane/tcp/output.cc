// What a flush sends: SYN, data by the windows (RFC 9293 3.8.6, RFC 5681), one segment again (RFC 6582), probes of a
// closed window (3.8.6.1), acknowledgements and window updates, FIN riding on data. Only connections on the output list
// are looked at. Silly windows are avoided on both sides (3.8.6.2); Nagle's algorithm is not used, because a gateway
// sends whole messages.

#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

namespace {

// bytes / mss, for less than kTsoBytesMax.
[[gnu::noinline]] u32 full_segments(u32 bytes, u32 mss) {
  u32 full = 0;
  for (u32 bit = kTsoSegmentsBits; bit-- > 0;) {
    if (bytes < mss << bit) continue;
    bytes -= mss << bit;
    full |= 1u << bit;
  }
  return full;
}

}  // namespace

u32 Engine::Impl::flush(OutBatch& out) {
  const u32 before = out.count;
  if (early_count != 0) flush_early(out);
  u32 done = 0;
  while (done < replies_count && !out.full()) {
    mbuf::Pkt pkt = build_reply(replies[done]);
    if (!pkt) break;
    if (replies[done].flags & gate::kRst) count(Counter::tcp_resets_sent);
    out.push(std::move(pkt), replies[done].tuple.remote);
    drop(replies[done].tuple);
    ++done;
  }
  if (done != 0) {
    std::move(replies.begin() + done, replies.begin() + replies_count, replies.begin());
    replies_count -= done;
  }
  while (!out.full() && half_open.to_answer() != kNone32) {
    if (!answer_half_open(half_open.to_answer(), out)) break;
  }
  IndexList<&Tcb::output> paced;
  pace_next = 0;
  while (!output.empty()) {
    const u32 i = output.front();
    if (!flush_one(i, out)) break;
    output.remove(tcbs, i);
    if (config.pacing && tcbs[i].has(kPaced)) paced.push_back(tcbs, i);
  }
  while (!paced.empty()) output.push_back(tcbs, paced.pop_front(tcbs));  // they have their turn at the next flush
  count(Counter::tcp_segments_out, out.count - before);
  return out.count - before;
}

[[gnu::noinline]] void Engine::Impl::flush_early(OutBatch& out) {
  u32 done = 0;
  while (done < early_count && !out.full()) {
    OutPkt& next = early[done++];
    out.push(std::move(next.pkt), next.dst);
  }
  std::move(early.begin() + done, early.begin() + early_count, early.begin());
  early_count -= done;
}

bool Engine::Impl::flush_one(u32 i, OutBatch& out) {
  Tcb& t = tcbs[i];
  if (t.state == State::closed) return true;
  if (!t.has(kSynAcked)) {
    if (t.snd_nxt == t.iss && !send_syn(i, out)) return false;
    if ((t.owes & kOwesAck) != 0 && t.state == State::syn_rcvd && !send_ack(i, out)) return false;
    return true;
  }
  if (t.flight != kNone32 && flights[t.flight].board.lost() != 0 && !send_lost(i, out)) return false;
  if ((t.owes & ~(kOwesAck | kOwesAckLater)) != 0) {
    if ((t.owes & kOwesRetransmit) != 0 && !send_again(i, out)) return false;
    if ((t.owes & kOwesTail) != 0 && !send_tail(i, out)) return false;
    if ((t.owes & kOwesProbe) != 0 && !send_probe(i, out)) return false;
    if ((t.owes & kOwesKeepalive) != 0 && !send_keepalive(i, out)) return false;
  }
  if (!send_data(i, out)) return false;
  settle_send_timer(i);
  if ((t.owes & kOwesAckLater) != 0 && t.segments_unacked >= 2) t.owe(kOwesAck);
  if ((t.owes & kOwesAck) != 0) return send_ack(i, out);
  if ((t.owes & kOwesAckLater) != 0 && t.deadline[kIdleTimer] == 0) {
    want_timer(i, kIdleTimer, now + config.delayed_ack_us);
  }
  return true;
}

bool Engine::Impl::send_syn(u32 i, OutBatch& out) {
  Tcb& t = tcbs[i];
  if (out.full()) return false;
  // RFC 3168 6.1.1.1: a SYN that was lost may have been one that some box does not like.
  if (config.ecn == Ecn::request && t.state == State::syn_sent && t.snd_max == t.iss) {
    t.set(kEcnAsked);
  } else {
    t.clear(kEcnAsked);
  }
  mbuf::Pkt pkt = build_syn(t, advertise(t, true));
  if (!pkt) return false;
  if (t.snd_max == t.iss) {
    t.set(kTimingRtt);
    t.rtt_seq = t.iss + 1;
    t.rtt_start_us = static_cast<u32>(now);
  } else {
    count(Counter::tcp_retransmits);
  }
  t.snd_nxt = t.iss + 1;
  t.snd_max = t.iss + 1;
  t.paid(kOwesAck | kOwesAckLater);
  t.stamp.last_ack_sent = t.rcv_nxt;
  out.push(std::move(pkt), t.tuple.remote);
  restart_send_timer(i);
  return true;
}

// How much of the queue the next segment takes; 0: nothing now. Sender's silly window avoidance, 3.8.6.2.1: a full
// segment, or all there is, or at least half of the largest window that the peer ever offered, but nothing silly to a peer
// that never offered more: such bytes go at the pace of probes, or each would cost a packet and its acknowledgement.
u32 Engine::Impl::next_length(const Tcb& t) const {
  const u32 unsent = t.unsent();
  if (unsent == 0) return 0;
  u32 window = std::min(t.snd_wnd, t.cc.window(t.snd_mss));
  i32 usable = t.snd_una + window - t.snd_nxt;
  if (t.flight != kNone32) {  // what the network holds counts against cwnd, what the peer holds against its window
    const Scoreboard& board = flights[t.flight].board;
    const i32 allowed = t.has(kTailProbe) ? static_cast<i32>(t.snd_mss) : static_cast<i32>(t.cc.cwnd - board.pipe());
    usable = std::min(t.snd_una + t.snd_wnd - t.snd_nxt, allowed);
    window = usable == allowed ? 0 : t.snd_wnd;
  }
  if (usable <= 0) return 0;
  const u32 room = std::min(unsent, static_cast<u32>(usable));
  u32 n = std::min(room, u32{t.snd_mss});
  if (room > n) [[unlikely]] {
    if (const u32 more = tso_length(t, room); more != 0) return more;
  }
  if (n < t.snd_mss && n < unsent && n * 2 < std::max(t.snd_wnd_max, 2 * kSillyBytes)) return 0;
  if (n < t.snd_mss && n < unsent && t.snd_wnd > window && t.in_flight() > 0) return 0;
  const u32 rest = t.unacked.slice(t.next.slice).length - t.next.skip;
  return rest >= n ? n : packet_length(t, t.next, rest, n);
}

// How much of `room` bytes one packet takes that the port cuts into segments; 0: it had better be one segment. Whole slices,
// as in packet_length: a short segment behind several full ones is cheaper than every packet after it made of halves.
// Retransmissions are single segments, and so is what carries CWR, which ports may write into every segment that they cut.
u32 Engine::Impl::tso_length(const Tcb& t, u32 room) const {
  if (!(t.tuple.local.is4() ? config.caps.tso4 : config.caps.tso6)) return 0;
  if (t.snd_nxt != t.snd_max || t.has(kOwesCwr)) return 0;
  const u32 most = std::min({room, kTsoBytesMax, config.pacing ? pace_bytes(t) : ~0u});
  u32 at = t.next.slice;
  const u32 rest = t.unacked.slice(at).length - t.next.skip;
  u32 n = std::min(rest, most);
  for (u32 pieces = 2; n < most && pieces < config.caps.tso_segs_max; ++pieces) {
    at = t.unacked.slice(at).next;
    const u32 more = t.unacked.slice(at).length;
    if (n + more > most) break;
    n += more;
  }
  const u32 full = full_segments(n, t.snd_mss);
  const bool whole = rest <= most;
  if (full < 2 && n < room) return 0;
  return n == room || (whole && full >= kTsoUncut) ? n : full * t.snd_mss;
}

// How much of the `n` bytes at `from`, of which its slice has `rest`, one packet takes. Whole slices are joined, and one that
// fits a packet is not cut to fill another, or every packet after it would be made of two. Where a packet has to be one
// segment, which is free when it is one slice, only small ones are joined.
u32 Engine::Impl::packet_length(const Tcb& t, mbuf::Chain::Cursor from, u32 rest, u32 n) const {
  const u32 pieces_max = config.caps.multi_segs ? std::max<u32>(config.caps.segs_max, 2) : ~0u;
  const u32 enough = config.caps.multi_segs ? n : std::min(n, t.snd_mss / 2u);
  u32 at = from.slice;
  for (u32 pieces = 2; rest < enough && pieces < pieces_max; ++pieces) {
    at = t.unacked.slice(at).next;
    const u32 more = t.unacked.slice(at).length;
    if (rest + more > n && more <= t.snd_mss) break;
    rest += more;
  }
  return std::min(rest, n);
}

bool Engine::Impl::send_data(u32 i, OutBatch& out) {
  Tcb& t = tcbs[i];
  while (true) {
    const u32 unsent = t.unsent();
    if (unsent == 0 && !t.has(kFinQueued)) return true;
    if (t.in_flight() == 0 && unsent > 0 && u64{timestamp_ticks(now) - t.last_sent} << 10 > t.rtt.rto_us) {
      t.cc.on_idle(t.snd_mss);
      t.rack.on_idle();
    }
    const u32 n = next_length(t);
    const bool fin = n == unsent && t.fin_to_send();
    if (n == 0 && !fin) {
      if (pipe_of(t) + t.snd_mss > t.cc.cwnd) t.cc.on_full(t.snd_max);
      return true;
    }
    if (config.pacing && n > 0 && keeps_pace(t)) [[unlikely]] return true;
    if (out.full()) return false;
    const u8 flags = static_cast<u8>(gate::kAck | (n == unsent && n > 0 ? gate::kPsh : 0) | (fin ? gate::kFin : 0));
    mbuf::Pkt pkt = build(t, t.snd_nxt, flags, advertise(t, false), t.next, n);
    if (!pkt) return false;
    if (t.snd_nxt < t.snd_max) {
      count(Counter::tcp_retransmits);
    } else {
      t.bytes_out += n;
      if (!t.has(kTimingRtt)) {
        t.set(kTimingRtt);
        t.rtt_seq = t.snd_nxt + std::min(n + (fin ? 1u : 0u), u32{t.snd_mss});
        t.rtt_start_us = static_cast<u32>(now);
      }
    }
    if (t.has(kOwesCwr) && n > 0 && t.snd_nxt >= t.snd_max) t.clear(kOwesCwr);
    t.snd_nxt += n + (fin ? 1u : 0u);
    if (n > 0) t.unacked.advance(t.next, n);
    if (const SeqNo before = t.snd_max; before < t.snd_nxt) {
      t.snd_max = t.snd_nxt;
      flew(i, before);
    }
    t.last_sent = timestamp_ticks(now);
    if (config.pacing) [[unlikely]] pace(t, n);
    acked_peer(i);
    out.push(std::move(pkt), t.tuple.remote);
    if (n > t.snd_mss) [[unlikely]] {
      count(Counter::tcp_tso_packets);
      count(Counter::tcp_segments_out, full_segments(n - 1, t.snd_mss));  // one more is counted as the packet
    }
    if (t.deadline[kSendTimer] == 0 || t.timer_mode == TimerMode::probe) restart_send_timer(i);
    if (t.has(kTailProbe)) return true;
  }
}

// The first unacknowledged segment once more; snd_nxt stays where it is.
bool Engine::Impl::send_again(u32 i, OutBatch& out) {
  Tcb& t = tcbs[i];
  if (t.in_flight() == 0) {
    t.paid(kOwesRetransmit);
    return true;
  }
  if (out.full()) return false;
  const u32 sent = std::min(t.unacked.bytes(), t.in_flight());
  u32 n = std::min<u32>(sent, t.snd_mss);
  if (config.caps.multi_segs && n > 0) {
    u32 pieces = 2;
    u32 at = t.unacked.first();
    u32 have = t.unacked.slice(at).length;
    for (; have < n && pieces < std::max<u32>(config.caps.segs_max, 2); ++pieces) {
      at = t.unacked.slice(at).next;
      have += t.unacked.slice(at).length;
    }
    n = std::min(n, have);
  }
  const bool fin = t.has(kFinQueued) && n == t.unacked.bytes() && t.snd_max > t.fin_seq;
  const u8 flags = static_cast<u8>(gate::kAck | (n > 0 ? gate::kPsh : 0) | (fin ? gate::kFin : 0));
  mbuf::Pkt pkt = build(t, t.snd_una, flags, advertise(t, false), t.unacked.cursor(0), n);
  if (!pkt) return false;
  t.paid(kOwesRetransmit);
  t.clear(kTimingRtt);  // Karn's rule
  t.last_sent = timestamp_ticks(now);
  acked_peer(i);
  count(Counter::tcp_retransmits);
  out.push(std::move(pkt), t.tuple.remote);
  restart_send_timer(i);
  return true;
}

// 3.8.6.1. What the window allows although it is silly, or one octet although it is closed; what was sent before comes
// first. snd_nxt stays, so that an open window continues from there.
bool Engine::Impl::send_probe(u32 i, OutBatch& out) {
  Tcb& t = tcbs[i];
  if (t.unacked.empty()) {
    t.paid(kOwesProbe);
    return true;
  }
  if (out.full()) return false;
  const u32 first = t.unacked.slice(t.unacked.first()).length;
  const u32 n = std::min({std::max<u32>(t.snd_wnd, 1), u32{t.snd_mss}, first});
  mbuf::Pkt pkt = build(t, t.snd_una, gate::kAck | gate::kPsh, advertise(t, false), t.unacked.cursor(0), n);
  if (!pkt) return false;
  t.paid(kOwesProbe);
  if (const SeqNo before = t.snd_max; before < t.snd_una + n) {
    t.snd_max = t.snd_una + n;
    flew(i, before);
  }
  t.clear(kTimingRtt);
  t.last_sent = timestamp_ticks(now);
  acked_peer(i);
  count(Counter::tcp_zero_window_probes);
  out.push(std::move(pkt), t.tuple.remote);
  restart_send_timer(i);
  return true;
}

mbuf::Pkt Engine::Impl::build_ack(u32 i) {
  Tcb& t = tcbs[i];
  // What went beyond the peer's window, a probe or a FIN, must not make this segment unacceptable there.
  const SeqNo edge = t.snd_una + t.snd_wnd;
  const SeqNo seq = !t.has(kSynAcked) || t.snd_max <= edge ? t.snd_max : edge;
  mbuf::Pkt pkt = build(t, seq, gate::kAck, advertise(t, false), {}, 0, t.has(kSack) ? sack_blocks(t) : 0);
  if (!pkt) return pkt;
  t.clear(kSackNews | kDsack);
  acked_peer(i);
  return pkt;
}

bool Engine::Impl::send_ack(u32 i, OutBatch& out) {
  if (out.full()) return false;
  mbuf::Pkt pkt = build_ack(i);
  if (!pkt) return false;
  out.push(std::move(pkt), tcbs[i].tuple.remote);
  return true;
}

// In the middle of a burst, as of what has been read of it. Without room for it the one at the end has to do.
[[gnu::noinline]] void Engine::Impl::send_ack_early(u32 i) {
  if (early_count == kEarlyAcksMax) return;
  mbuf::Pkt pkt = build_ack(i);
  if (pkt) early[early_count++] = {std::move(pkt), tcbs[i].tuple.remote};
}

bool Engine::Impl::send_keepalive(u32 i, OutBatch& out) {
  Tcb& t = tcbs[i];
  if (out.full()) return false;
  mbuf::Pkt pkt = build(t, t.snd_una - 1, gate::kAck, advertise(t, false), {}, 0);
  if (!pkt) return false;
  t.paid(kOwesKeepalive);
  acked_peer(i);
  count(Counter::tcp_keepalives);
  out.push(std::move(pkt), t.tuple.remote);
  return true;
}

// A segment with our rcv_nxt and window has left.
void Engine::Impl::acked_peer(u32 i) {
  Tcb& t = tcbs[i];
  t.paid(t.has(kSackNews) ? kOwesAckLater : kOwesAck | kOwesAckLater);
  t.segments_unacked = 0;
  t.stamp.last_ack_sent = t.rcv_nxt;
  if (!t.has(kOrphan)) drop_timer(t, kIdleTimer);
}

// The window field, and rcv_adv to match: the right edge never moves back, and moves on by no less than a segment or
// half of the budget (3.8.6.2.2).
u16 Engine::Impl::advertise(Tcb& t, bool syn) {
  const u32 shift = !syn && t.has(kScaling) ? t.rcv_wscale : 0;
  const u32 unit = 1u << shift;
  const u32 most = 0xffffu << shift;
  u32 now_open = static_cast<u32>(std::max(t.rcv_adv - t.rcv_nxt, 0));
  const u32 could = std::min(free_window(t), most) & ~(unit - 1);
  const u32 step = std::min<u32>(mss_ours, config.receive_budget_bytes / 2);
  if (could >= now_open + step) {
    now_open = could;
  } else {
    now_open = std::min((now_open + unit - 1) & ~(unit - 1), most);
  }
  t.rcv_adv = t.rcv_nxt + now_open;
  return static_cast<u16>(now_open >> shift);
}

}  // namespace ringway::tcp
