// SEGMENT ARRIVES: RFC 9293 section 3.10.7, in the numbered steps of the RFC, with RFC 5961 (exact RST, challenge ACKs,
// old acknowledgements), RFC 5681 (duplicate acknowledgements) and RFC 6298 (round trips).
//
// Every segment ends here in one verdict or is taken in. Nothing is sent: steps leave obligations (Tcb::owes) for the
// next flush, so that a burst of segments is answered once. Where segments are lost or overtake one another that is not
// enough: there every second one has its acknowledgement, made on the spot (RFC 5681 4.2), because one that is lost would
// take all news of its burst along, and a burst may have more news than an option has room for.

#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

void Engine::Impl::input(const gate::Segment& seg, mbuf::Pkt& pkt) {
  count(Counter::tcp_segments_in);
  u32 value = find(seg.tuple, seg.hash);
  if (page.recorder.wants<EventKind::segment_in>()) [[unlikely]] value = note_arrival(value, seg);
  State state = State::closed;
  Listener* listener = nullptr;
  if (value == kNone32) {
    listener = listeners.find(seg.tuple.local, seg.tuple.local_port);
    if (listener != nullptr) state = State::listen;
    // A late segment of a connection of our own is answered by RST, whatever the rules are.
    if ((listener != nullptr || seg.has(gate::kSyn)) && refused(seg)) return count(Verdict::ingress_refused);
  } else if ((value & (kRecordBit | kHalfOpenBit)) == kHalfOpenBit) {
    return input_half_open(value & ~kHalfOpenBit, seg, pkt);
  } else {
    state = (value & kRecordBit) != 0 ? State::time_wait : tcbs[value].state;
  }
  switch (action(state, seg.flags)) {
    case Action::input: return input_steps(value, seg, pkt);
    case Action::listen: return input_listen(seg, *listener, {}, false);
    case Action::syn_sent: return input_syn_sent(value, seg, pkt);
    case Action::time_wait: return input_time_wait(value & ~kRecordBit, seg);
    case Action::bad_flags: return count(Verdict::tcp_bad_flags);
    case Action::drop: return count(value == kNone32 ? Verdict::tcp_no_listener : Verdict::tcp_bad_flags);
    case Action::reset:
      if (listener != nullptr && accept_by_cookie(listener->tag, seg, pkt)) return;
      reply_reset(seg);
      return count(Verdict::tcp_no_listener);
  }
}

u32 Engine::Impl::note_arrival(u32 value, const gate::Segment& seg) {
  page.recorder.note<EventKind::segment_in>({.code = seg.flags, .half = static_cast<u16>(seg.payload_bytes),
                                             .conn = value < kHalfOpenBit ? tcbs[value].generation : 0,
                                             .x = seg.seq.v, .y = seg.ack.v});
  return value;
}

// --- 3.10.7.3 SYN-SENT
void Engine::Impl::input_syn_sent(u32 i, const gate::Segment& seg, mbuf::Pkt& pkt) {
  Tcb& t = tcbs[i];
  const bool ack_good = seg.has(gate::kAck) && t.snd_una < seg.ack && seg.ack <= t.snd_max;
  // First: the ACK bit.
  if (seg.has(gate::kAck) && !ack_good) {
    if (!seg.has(gate::kRst)) reply_reset(seg);
    return count(Verdict::tcp_unacceptable_ack);
  }
  // Second: the RST bit.
  if (seg.has(gate::kRst)) {
    if (!ack_good) return count(Verdict::tcp_bad_rst);
    count(Counter::tcp_reset_received);
    return become_closed(i, CloseReason::refused);
  }
  // Fourth: the SYN bit (third, security, is not implemented).
  if (!seg.has(gate::kSyn)) return count(Verdict::tcp_unacceptable_ack);
  learn_peer(t, seg);
  if (!ack_good) {  // simultaneous open
    become(t, State::syn_rcvd);
    t.snd_nxt = t.iss;
    want_output(i);
    return;
  }
  established(i, seg);
  t.snd_wl1 = seg.seq;
  t.snd_wl2 = seg.ack;
  t.owe(kOwesAck);
  want_output(i);
  // Text on the SYN|ACK (fifth: continue with 3.10.7.4 at the sixth step).
  Arrival a{seg, pkt, seg.seq + 1, seg.payload_offset, seg.payload_bytes, false};
  const u32 window = static_cast<u32>(t.rcv_adv - t.rcv_nxt);
  a.bytes = std::min(a.bytes, window);
  if (a.bytes > 0) step_text(i, a);
}

// --- 3.10.7.4 TIME-WAIT, by the record
void Engine::Impl::input_time_wait(u32 r, const gate::Segment& seg) {
  const TimeWaitRecord record = time_wait[r];
  const bool plain_syn = seg.has(gate::kSyn) && !seg.has(gate::kAck | gate::kRst | gate::kFin);
  const bool later = record.timestamps && seg.options.timestamps &&
                     static_cast<i32>(seg.options.ts_value - record.ts_recent) > 0;  // RFC 6191 section 2
  const bool new_syn = plain_syn && (seg.seq > record.rcv_nxt || later);
  if (new_syn) {
    Listener* listener = listeners.find(seg.tuple.local, seg.tuple.local_port);
    if (refused(seg)) return count(Verdict::ingress_refused);
    if (listener != nullptr) {
      const SeqNo above = record.snd_nxt;
      forget_time_wait(r);
      return input_listen(seg, *listener, above, true);
    }
  }
  count(Verdict::tcp_time_wait);
  if (seg.has(gate::kRst)) {
    if (seg.seq != record.rcv_nxt) return;
    return forget_time_wait(r);
  }
  // A repeated FIN, and whatever else is not acceptable, is acknowledged; a plain acknowledgement at the edge is not,
  // or two ends in TIME-WAIT would talk for ever.
  if (seg.length() == 0 && seg.seq == record.rcv_nxt) return;
  Reply answer{.tuple = record.tuple, .seq = record.snd_nxt, .ack = record.rcv_nxt, .flags = gate::kAck};
  if (record.timestamps) stamp(answer, timestamp_offset(digest(record.tuple), config.secret), record.ts_recent);
  reply(answer);
  if (seg.has(gate::kFin)) time_wait.restart(r, now);
}

// --- 3.10.7.4 all other states
void Engine::Impl::input_steps(u32 i, const gate::Segment& seg, mbuf::Pkt& pkt) {
  Tcb& t = tcbs[i];
  Arrival a{seg, pkt, seg.seq, seg.payload_offset, seg.payload_bytes, seg.has(gate::kFin)};
  if (!acceptable(i, a)) return;                                      // first
  t.heard = static_cast<u32>(now >> 10);
  if (seg.has(gate::kRst | gate::kSyn) && !step_rst_syn(i, a)) return;  // second to fourth
  if (!seg.has(gate::kAck)) return count(Verdict::tcp_bad_flags);     // fifth
  if (t.has(kEcn)) step_ecn(i, seg);
  if (!step_ack(i, a)) return;
  if (t.fin_acked() && !after_fin_acked(i)) return;
  // sixth: URG is ignored, its bytes are in line.
  if (a.bytes > 0 && !step_text(i, a)) return;                        // seventh
  if (a.fin && !t.has(kFinReceived)) {                                // eighth
    t.peer_fin = a.seq + a.bytes;
    t.set(kFinAhead);
    if (t.rcv_nxt != t.peer_fin) {  // RFC 5681 4.2, as for text ahead of its turn
      t.owe(kOwesAck);
      want_output(i);
    }
  }
  if (t.has(kFinAhead) && t.rcv_nxt == t.peer_fin) step_fin(i);
}

// First: check the sequence number. Cuts the segment to the window; true when something acceptable is left.
bool Engine::Impl::acceptable(u32 i, Arrival& a) {
  Tcb& t = tcbs[i];
  const gate::Segment& seg = a.seg;
  const SeqNo edge = t.rcv_adv;
  const u32 window = static_cast<u32>(edge - t.rcv_nxt);
  if (t.has(kTimestamps) && !t.stamp.in_time(seg.options.timestamps, seg.options.ts_value) && !timely(i, seg)) return false;
  if (t.state == State::syn_rcvd && seg.has(gate::kSyn) && !seg.has(gate::kRst) && seg.seq == t.irs) {
    // The peer's SYN again: ours was lost, or both sides opened at once.
    if (!seg.has(gate::kAck)) {
      t.snd_nxt = t.iss;
      want_output(i);
      count(Verdict::tcp_duplicate);
      return false;
    }
    t.owe(kOwesAck);
    want_output(i);
    a.seq = t.rcv_nxt;
    a.bytes = std::min(a.bytes, window);
    a.fin = false;
    return true;
  }
  const u32 length = seg.length();
  const SeqNo end = seg.seq + length;
  // An empty segment just at the edge of a full window carries an acknowledgement that is worth having.
  const bool fits = length == 0 ? seg.seq >= t.rcv_nxt && seg.seq <= edge : seg.seq < edge && end > t.rcv_nxt;
  if (!fits && window == 0 && seg.seq == t.rcv_nxt && length > 0) {
    // "Special allowance" for a closed window: the acknowledgement counts, the text does not.
    a.bytes = 0;
    a.fin = false;
    t.owe(kOwesAck);
    want_output(i);
    count(Verdict::tcp_unacceptable);
    return true;
  }
  if (!fits) {
    count(length > 0 && end <= t.rcv_nxt ? Verdict::tcp_duplicate : Verdict::tcp_unacceptable);
    if (seg.has(gate::kRst)) return false;
    if (seg.payload_bytes > 0 && end <= t.rcv_nxt) twice(i, seg.seq, seg.seq + seg.payload_bytes);
    t.owe(kOwesAck);
    want_output(i);
    return false;
  }
  if (t.has(kTimestamps) && seg.options.timestamps) {
    t.stamp.see(seg.options.ts_value, seg.seq, timestamp_ticks(now));
  }
  if (a.seq < t.rcv_nxt) {
    const u32 old = static_cast<u32>(t.rcv_nxt - a.seq);
    a.seq = t.rcv_nxt;
    a.skip += old;
    if (a.bytes > 0) twice(i, seg.seq, seg.seq + std::min(a.bytes, old));
    a.bytes -= std::min(a.bytes, old);
    t.owe(kOwesAck);
    want_output(i);
  }
  if (a.seq + a.bytes > edge) {
    a.bytes = static_cast<u32>(edge - a.seq);
    a.fin = false;
  }
  return true;
}

// RFC 7323 5.3 R1: a segment that was sent before one that has arrived is acknowledged and dropped. One without the
// option, where both sides agreed on it, is dropped in silence (3.2), unless it is a RST or a peer that starts anew.
bool Engine::Impl::timely(u32 i, const gate::Segment& seg) {
  Tcb& t = tcbs[i];
  if (seg.has(gate::kRst)) return true;
  if (seg.options.timestamps && !t.stamp.is_old(seg.options.ts_value, timestamp_ticks(now))) return true;
  if (!seg.options.timestamps && seg.has(gate::kSyn)) return true;
  count(Verdict::tcp_old_timestamp);
  if (!seg.options.timestamps) return false;
  t.owe(kOwesAck);
  want_output(i);
  return false;
}

// Second: RST. Fourth: SYN. (Third, security, is not implemented.) False: the segment is done with.
bool Engine::Impl::step_rst_syn(u32 i, const Arrival& a) {
  Tcb& t = tcbs[i];
  const gate::Segment& seg = a.seg;
  if (seg.has(gate::kRst)) {
    if (seg.seq != t.rcv_nxt) {  // RFC 5961 3.2
      count(Verdict::tcp_bad_rst);
      challenge(i);
      return false;
    }
    count(Counter::tcp_reset_received);
    become_closed(i, t.has(kSynAcked) ? CloseReason::reset : CloseReason::refused);
    return false;
  }
  if (!seg.has(gate::kSyn) || (t.state == State::syn_rcvd && seg.seq == t.irs)) return true;
  count(Verdict::tcp_bad_syn);
  challenge(i);  // RFC 5961 4.2
  return false;
}

// RFC 3168 6.1.2 and 6.1.3: a mark that arrived is told to the peer until it says that it has reduced its window; one that it
// tells of reduces ours, once per window of data.
void Engine::Impl::step_ecn(u32 i, const gate::Segment& seg) {
  Tcb& t = tcbs[i];
  if (seg.has(gate::kCwr)) t.clear(kOwesEce);
  if (seg.ecn == kCongestionMet && seg.payload_bytes > 0) {
    count(Counter::tcp_ecn_marks);
    t.set(kOwesEce);
    t.owe(kOwesAck);
    want_output(i);
  }
  const bool of_now = t.snd_una <= seg.ack && seg.ack <= t.snd_max && t.in_flight() > 0;
  if (!seg.has(gate::kEce) || seg.has(gate::kSyn) || !t.has(kSynAcked) || !of_now) return;
  if (!t.cc.on_mark(t.snd_max, t.in_flight(), t.snd_mss)) return;
  count(Counter::tcp_ecn_reductions);
  t.set(kOwesCwr);
}

// Fifth: the ACK field.
bool Engine::Impl::step_ack(u32 i, const Arrival& a) {
  Tcb& t = tcbs[i];
  const gate::Segment& seg = a.seg;
  const SeqNo ack = seg.ack;
  if (t.state == State::syn_rcvd) {
    if (ack <= t.snd_una || ack > t.snd_max) {
      reply_reset(seg);
      count(Verdict::tcp_unacceptable_ack);
      return false;
    }
    established(i, seg);
    on_window(i, seg);
    t.snd_wnd_max = std::max(t.snd_wnd_max, t.snd_wnd);
    return true;
  }
  if (ack > t.snd_max) {
    count(Verdict::tcp_unacceptable_ack);
    t.owe(kOwesAck);
    want_output(i);
    return false;
  }
  if (ack < t.snd_una) {
    if (t.snd_una - ack > static_cast<i32>(std::min(t.snd_wnd_max, 0x4000'0000u))) {  // RFC 5961 5.2
      count(Verdict::tcp_unacceptable_ack);
      challenge(i);
      return false;
    }
    // Overtaken by a later one; what it says of arrivals is true still, and a D-SACK comes only once.
    if (seg.options.sack_count != 0 && t.flight != kNone32 && t.in_flight() > 0) on_sack_ack(i, seg, 0, t.in_flight());
    return true;
  }
  if (ack > t.snd_una) {
    on_new_ack(i, seg);
  } else if (t.in_flight() > 0 && t.has(kSack) && (seg.options.sack_count == 0 ? !t.has(kUnwatched) : watch(i))) {
    if (seg.options.sack_count != 0) on_sack_ack(i, seg, 0, t.in_flight());
  } else if (t.in_flight() > 0 && a.seg.length() == 0 && (u32{seg.window} << t.snd_wscale) == t.snd_wnd &&
             t.snd_wnd > 0 && t.cc.on_dupack(t.snd_una, t.snd_max, t.in_flight(), t.snd_mss)) {
    count(Counter::tcp_fast_retransmits);
    t.owe(kOwesRetransmit);
  }
  on_window(i, seg);
  if (t.unsent() > 0 || t.fin_to_send() || (t.owes & kOwesRetransmit) != 0) want_output(i);
  return true;
}

void Engine::Impl::on_new_ack(u32 i, const gate::Segment& seg) {
  Tcb& t = tcbs[i];
  const SeqNo ack = seg.ack;
  if (seg.options.sack_count != 0) watch(i);  // while what this acknowledges still counts
  const u32 acked = static_cast<u32>(ack - t.snd_una);
  const u32 flight_before = t.in_flight();
  if (t.has(kTimingRtt) && ack >= t.rtt_seq) {
    t.clear(kTimingRtt);
    sample_rtt(t, static_cast<u32>(now) - t.rtt_start_us);
  } else if (t.has(kTimestamps) && !t.has(kTimingRtt) && seg.options.ts_echo != 0) {
    // RFC 7323 4.1: an echo is unambiguous where Karn's rule took the finer sample away.
    const u32 us = echo_rtt_us(stamp_of(t), seg.options.ts_echo);
    if (us != 0) sample_rtt(t, us);
  }
  t.unacked.drop_front(std::min(acked, t.unacked.bytes()));  // the difference is our FIN
  t.snd_una = ack;
  if (t.snd_nxt < ack) {
    t.snd_nxt = ack;
    t.next = t.unacked.cursor(0);
  } else if (t.next.slice != kNone32 && t.next.slice == t.unacked.first()) {
    t.next.skip = static_cast<u32>(t.snd_nxt - ack);
  }
  t.retries = 0;
  t.backoff = 0;
  if (t.in_flight() > 0) restart_send_timer(i);  // RFC 6298 5.3
  if (t.flight != kNone32) {
    on_sack_ack(i, seg, acked, flight_before);
  } else {
    if ((t.flags & (kSack | kUnwatched)) == kSack) t.rack.on_whole(t.flight_sent_us, static_cast<u32>(now));
    if (t.cc.on_ack(acked_of(t, acked, flight_before), t.snd_mss)) t.owe(kOwesRetransmit);
  }
  if (t.in_flight() == 0) {
    if (t.flight != kNone32 || t.has(kUnwatched)) landed(i);
    t.paid(kOwesRetransmit | kOwesTail);
    drop_timer(t, kSendTimer);  // 5.2; the flush arms it again if the window holds something back
  }
  if (t.unsent() > 0) want_output(i);
  if (t.has(kFoundFull) && t.unacked.bytes() <= send_share_bytes - send_share_bytes / 4 && t.unacked.slices() < share) {
    t.clear(kFoundFull);
    raise(i, kWritable);
  }
}

// SND.WND, WL1, WL2: only a segment that is not older than the last one may set the window. One that acknowledges more
// than all before it is not old whatever its sequence number: the last one may have been forged ahead of the peer.
void Engine::Impl::on_window(u32 i, const gate::Segment& seg) {
  Tcb& t = tcbs[i];
  if (t.snd_wl2 >= seg.ack && (t.snd_wl1 > seg.seq || (t.snd_wl1 == seg.seq && t.snd_wl2 > seg.ack))) return;
  const u32 before = t.snd_wnd;
  t.snd_wnd = u32{seg.window} << (t.has(kScaling) ? t.snd_wscale : 0);
  t.snd_wnd_max = std::max(t.snd_wnd_max, t.snd_wnd);
  t.snd_wl1 = seg.seq;
  t.snd_wl2 = seg.ack;
  if (t.snd_wnd == 0) {
    t.retries = 0;  // the peer is alive and says wait
  } else if (before == 0 && (t.in_flight() > 0 || t.unsent() > 0)) {
    t.backoff = 0;
    t.retries = 0;
    restart_send_timer(i);
    want_output(i);
  }
}

// What the acknowledgement of our FIN changes. False: the block is gone or over.
bool Engine::Impl::after_fin_acked(u32 i) {
  Tcb& t = tcbs[i];
  switch (t.state) {
    case State::fin_wait_1:
      if (t.has(kOrphan)) want_timer(i, kIdleTimer, now + config.fin_timeout_us);
      become(t, State::fin_wait_2);
      return true;
    case State::closing:
      enter_time_wait(i);
      return false;
    case State::last_ack:
      count(Counter::tcp_closed);
      become_closed(i, CloseReason::finished);
      return false;
    default:
      return true;
  }
}

// Seventh: the segment text. False: the block is gone.
bool Engine::Impl::step_text(u32 i, Arrival& a) {
  Tcb& t = tcbs[i];
  if (t.has(kOrphan) || !in(t.state, kMayReceive)) return text_after_close(i, a);
  if (t.careful != 0 && t.segments_unacked >= (t.has(kSack) || t.reassembly == kNone32 ? 2 : 1)) send_ack_early(i);
  if (a.seq == t.rcv_nxt) {
    keep(i, a);
  } else {
    keep_ahead(i, a);
  }
  return true;
}

bool Engine::Impl::text_after_close(u32 i, Arrival& a) {
  Tcb& t = tcbs[i];
  count(Verdict::tcp_after_close);
  if (t.has(kOrphan)) {  // RFC 9293 3.10.4, RFC 1122 4.2.2.13: nobody will read this
    reset(i, CloseReason::reset);
    return false;
  }
  t.owe(kOwesAck);
  want_output(i);
  a.bytes = 0;
  return true;
}

void Engine::Impl::keep(u32 i, Arrival& a) {
  Tcb& t = tcbs[i];
  const u32 n = a.bytes;
  if (t.receive.slices() >= 2 * receive_share) {
    count(Verdict::tcp_out_of_budget);
    a.bytes = 0;
    a.fin = false;
    t.owe(kOwesAck);
    return want_output(i);
  }
  if (!copy_break(t, a) && !t.receive.append(std::move(a.pkt), a.skip, n)) {
    count(Verdict::no_mbuf);
    a.bytes = 0;
    a.fin = false;
    return;
  }
  t.rcv_nxt += n;
  a.seq += n;
  a.bytes = 0;
  t.bytes_in += n;
  if (t.segments_unacked < 255) ++t.segments_unacked;
  if (t.careful != 0) --t.careful;
  t.owe(n < t.snd_mss ? kOwesAckLater : kOwesAck);
  if (t.reassembly != kNone32) {
    Reassembly& ahead = holes[t.reassembly];
    const SeqNo before = t.rcv_nxt;
    t.rcv_nxt = ahead.drain(t.rcv_nxt, t.receive);
    t.bytes_in += static_cast<u32>(t.rcv_nxt - before);
    t.owe(kOwesAck);  // RFC 5681 4.2: a segment that fills a gap is acknowledged at once
    if (ahead.empty()) {
      holes.free(t.reassembly);
      t.reassembly = kNone32;
    }
  }
  want_output(i);
  raise(i, kReadable);
}

// Something is lost or late on the way here.
void Engine::Impl::unsettled(u32 i) {
  Tcb& t = tcbs[i];
  if (t.has(kSack)) t.set(kSackNews);
  t.careful = kCarefulSegments;
}

// RFC 2883: the next acknowledgement names what came twice. One has room for one such range.
void Engine::Impl::twice(u32 i, SeqNo begin, SeqNo end) {
  Tcb& t = tcbs[i];
  unsettled(i);
  if (!t.has(kSack)) return;
  const u32 more = static_cast<u32>(end - begin) + t.dsack_bytes;
  if (t.has(kDsack) && begin == t.dsack_begin + t.dsack_bytes && more <= 0xffff) {
    t.dsack_bytes = static_cast<u16>(more);
    return;
  }
  if (t.has(kDsack)) send_ack_early(i);
  t.owe(kOwesAck);
  t.set(kDsack | kSackNews);
  t.dsack_begin = begin;
  t.dsack_bytes = static_cast<u16>(end - begin);
}

// A segment ahead of its turn waits for what is missing; an immediate duplicate acknowledgement tells (RFC 5681 4.2).
void Engine::Impl::keep_ahead(u32 i, Arrival& a) {
  Tcb& t = tcbs[i];
  count(Counter::tcp_out_of_order);
  unsettled(i);
  if (t.segments_unacked < 255) ++t.segments_unacked;
  t.owe(kOwesAck);
  want_output(i);
  if (t.reassembly == kNone32) t.reassembly = holes.alloc();
  if (copy_break_ahead(t, a)) return;
  const bool room = t.reassembly != kNone32 && t.receive.slices() + holes[t.reassembly].slices() < receive_share;
  mbuf::Chain bytes = pools.chain();
  if (!room || !bytes.append(std::move(a.pkt), a.skip, a.bytes)) {
    count(Verdict::tcp_out_of_budget);
    a.fin = false;
  } else {
    switch (holes[t.reassembly].insert(a.seq, std::move(bytes))) {
      case Reassembly::Outcome::kept: break;
      case Reassembly::Outcome::duplicate:
        count(Verdict::tcp_duplicate);
        twice(i, a.seq, a.seq + a.bytes);
        break;
      case Reassembly::Outcome::refused:
        count(Verdict::tcp_out_of_budget);
        a.fin = false;
        break;
    }
  }
  if (t.reassembly != kNone32 && holes[t.reassembly].empty()) {
    holes.free(t.reassembly);
    t.reassembly = kNone32;
  }
}

// Copies a small segment behind the last one held, so that it does not pin a buffer of its own: always when it is
// small and some are held, and whatever fits once half of the budget is spent.
bool Engine::Impl::copy_break(Tcb& t, Arrival& a) {
  const u32 held = t.receive.slices();
  const bool small = a.bytes < kCopyBreakBytes && held >= kCopyBreakMbufs;
  if ((!small && held * 2 < mbufs_budget) || a.pkt.segments() != 1) return false;
  u8* const to = t.receive.grow_back(a.bytes);
  if (to == nullptr) return false;
  std::memcpy(to, a.pkt.data() + a.skip, a.bytes);
  count(Counter::payload_copied, a.bytes);
  a.pkt.reset();
  return true;
}

// The same for a small segment that goes on where a range ends.
bool Engine::Impl::copy_break_ahead(Tcb& t, Arrival& a) {
  if (a.bytes >= kCopyBreakBytes || a.pkt.segments() != 1 || t.reassembly == kNone32) return false;
  Reassembly& ahead = holes[t.reassembly];
  if (ahead.slices() < kCopyBreakMbufs || !ahead.extend(a.seq, {a.pkt.data() + a.skip, a.bytes})) return false;
  count(Counter::payload_copied, a.bytes);
  a.pkt.reset();
  return true;
}

// Eighth: the FIN bit, reached in order.
void Engine::Impl::step_fin(u32 i) {
  Tcb& t = tcbs[i];
  t.clear(kFinAhead);
  t.set(kFinReceived);
  if (t.reassembly != kNone32) {  // bytes behind the end of the stream
    holes.free(t.reassembly);
    t.reassembly = kNone32;
  }
  t.rcv_nxt += 1;
  if (t.rcv_adv < t.rcv_nxt) t.rcv_adv = t.rcv_nxt;
  t.owe(kOwesAck);
  want_output(i);
  raise(i, kPeerClosed);
  switch (t.state) {
    case State::established: become(t, State::close_wait); break;
    case State::fin_wait_1: become(t, State::closing); break;
    case State::fin_wait_2: enter_time_wait(i); break;
    default: break;
  }
}

// RFC 5961 section 7: few of them per connection and second, and never from a budget that connections share.
void Engine::Impl::challenge(u32 i) {
  Tcb& t = tcbs[i];
  const u32 second = static_cast<u32>(now >> 20);
  if (t.challenge_second != static_cast<u16>(second + 1)) {
    t.challenge_second = static_cast<u16>(second + 1);
    SipHash h(config.secret[0], config.secret[1]);  // how many is nobody's guess
    h.block(u64{t.iss.v} << 32 | second);
    t.challenges_left = static_cast<u8>(kChallengesLeast + (h.finish() & 7));
  }
  if (t.challenges_left == 0) return;
  --t.challenges_left;
  count(Counter::tcp_challenge_acks);
  t.owe(kOwesAck);
  want_output(i);
}

}  // namespace ringway::tcp
