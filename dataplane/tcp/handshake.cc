// The passive side of a handshake: SYNs of clients become records (half_open.h), a good ACK makes a record into a block.
// RFC 9293 3.10.7.2 (LISTEN) and 3.10.7.4 for SYN-RECEIVED; RFC 5961 (exact RST, bounded challenge ACKs).
//
// Nothing that a stranger sends costs more than a record until it has shown, by acknowledging our number, that it
// receives what we send. Above the cache's mark, or a listener's share of it, a SYN costs nothing at all: the answer is
// a cookie (RFC 4987 3.6, cookie.h), and no record has to make room. An active open that meets the peer's SYN (3.5) has
// a block already and stays in input.cc.

#include "dataplane/tcp/cookie.h"
#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

// --- 3.10.7.2 LISTEN. `above`: the last number of a former connection of this tuple, which ISS must exceed.
void Engine::Impl::input_listen(const gate::Segment& seg, Listener& listener, SeqNo above, bool has_above) {
  if (pool_low) return count(Verdict::tcp_pool_low);
  if (source_is_full(seg)) return;
  const bool over_share = listener.half_open >= config.half_open_per_listener;
  // A tuple that comes out of TIME-WAIT needs a number above the last one, which a cookie cannot promise.
  if (config.syn_cookies && !has_above && (over_share || half_open.size() >= config.half_open_mark)) {
    return answer_by_cookie(seg);
  }
  if ((half_open.full() || over_share) && !make_room(listener, over_share)) return;
  const u32 h = half_open.add(seg);
  hold(seg.tuple);
  HalfOpen& r = half_open[h];
  const FirstNumbers first = first_numbers(digest(seg.tuple), config.secret, now);
  r.iss = first.iss;
  r.ts_offset = first.ts_offset;
  if (has_above && r.iss <= above) r.iss = above + 0x1'0000;
  flows.insert(seg.hash, h | kHalfOpenBit);
  ++listener.half_open;
  half_open.owe_answer(h);
}

// The client hears at once that it is refused: what is not answered would be sent again. Half-open clients do not count: a
// SYN may lie about where it is from, and would keep out whom it names.
bool Engine::Impl::source_is_full(const gate::Segment& seg) {
  if (source_limit == 0 || sources.count(seg.tuple.remote) < source_limit) return false;
  count(Verdict::tcp_source_full);
  reply_reset(seg);
  return true;
}

// A client that means it leaves the cache within a round trip, so the stalest record is the least likely to be one. A
// listener that has used up its share gives up one of its own. False: none was found in a few steps.
bool Engine::Impl::make_room(const Listener& listener, bool own) {
  count(Verdict::tcp_listen_full);
  u32 h = half_open.stalest();
  for (u32 steps = 0; own && h != kNone32; ++steps, h = half_open.behind(h)) {
    const wire::FourTuple& t = half_open[h].tuple;
    if (t.local == listener.ip && t.local_port == listener.port) break;
    if (steps == kRoomSteps) return false;
  }
  if (h == kNone32) return false;
  forget_half_open(h);
  return true;
}

void Engine::Impl::forget_half_open(u32 h) {
  const wire::FourTuple tuple = half_open[h].tuple;
  flows.erase(hash_of(tuple), h | kHalfOpenBit);
  half_open.remove(h);
  drop(tuple);
  if (Listener* l = listeners.find(tuple.local, tuple.local_port)) --l->half_open;
}

// A listener that goes takes its half-open clients along.
void Engine::Impl::forget_half_open_of(wire::Addr ip, u16 port) {
  for (u32 h = 0; h < half_open.high_water(); ++h) {
    if (!half_open.used(h)) continue;
    const wire::FourTuple& t = half_open[h].tuple;
    if (t.local == ip && t.local_port == port) forget_half_open(h);
  }
}

void Engine::Impl::answer_by_cookie(const gate::Segment& seg) {
  const u16 theirs = seg.options.mss == 0 ? wire::kTcpMssDefault : seg.options.mss;
  const wire::FourTuple keyed = digest(seg.tuple);
  HalfOpen r;
  r.keep(seg);
  r.iss = make_cookie(keyed, seg.seq, std::min(theirs, mss_of(seg.tuple)), config.secret, now);
  const bool stamped = config.timestamps && r.has(HalfOpen::kTimestamps);
  if (stamped) {
    r.ts_offset = timestamp_offset(keyed, config.secret);
  } else {  // nothing would bring them back
    r.flags = 0;
    r.window_scale = 0xff;
  }
  Reply answer = syn_ack(r);
  if (stamped) {
    const CookieOptions kept{r.window_scale, answer.options.sack_permitted, (answer.flags & gate::kEce) != 0};
    answer.options.ts_value -= timestamp_ticks(now) - cookie_stamp(timestamp_ticks(now), kept);
  }
  if (!reply(answer)) return count(Verdict::tcp_listen_full);
  count(Counter::tcp_cookies_sent);
  cookies_until = now + kCookieLifeUs;
}

// An ACK for a listener may be the end of a handshake that we remember nothing of. False: it is not.
bool Engine::Impl::accept_by_cookie(u32 tag, const gate::Segment& seg, mbuf::Pkt& pkt) {
  if (seg.has(gate::kSyn | gate::kRst) || now >= cookies_until) return false;
  const auto mss = read_cookie(seg.ack - 1, digest(seg.tuple), seg.seq - 1, config.secret, now);
  if (!mss) {
    count(Verdict::tcp_bad_cookie);
    // Data may have overtaken what ends the handshake: a RST would end it for good, silence lets the first bytes come again.
    if (seg.payload_bytes == 0) reply_reset(seg);
    return true;
  }
  if (source_is_full(seg)) return true;
  if (!block_to_be_had()) {
    count(Verdict::tcp_table_full);
    return true;
  }
  count(Counter::tcp_cookies_accepted);
  HalfOpen r;
  r.tuple = seg.tuple;
  r.irs = seg.seq - 1;
  r.iss = seg.ack - 1;
  r.mss = *mss;
  r.window = seg.window;
  if (config.timestamps && seg.options.timestamps) {
    r.ts_offset = timestamp_offset(digest(seg.tuple), config.secret);
    const CookieOptions kept = read_cookie_stamp(seg.options.ts_echo - r.ts_offset);
    r.window_scale = kept.window_scale;
    r.ts_value = seg.options.ts_value;
    r.flags = static_cast<u8>(HalfOpen::kTimestamps | (kept.sack ? HalfOpen::kSack : 0) |
                              (kept.ecn ? HalfOpen::kEcn : 0));
  }
  const u32 i = open(r, seg.hash, tag);
  enter(i);
  input_steps(i, seg, pkt);
  return true;
}

// --- 3.10.7.4 SYN-RECEIVED, by the record.
void Engine::Impl::input_half_open(u32 h, const gate::Segment& seg, mbuf::Pkt& pkt) {
  HalfOpen& r = half_open[h];
  if (action(State::syn_rcvd, seg.flags) == Action::bad_flags) return count(Verdict::tcp_bad_flags);
  if (seg.has(gate::kSyn) && !seg.has(gate::kAck | gate::kRst) && seg.seq == r.irs) {  // our answer was lost
    count(Verdict::tcp_duplicate);
    if (seg.options.timestamps && !r.is_old(seg.options.ts_value)) r.ts_value = seg.options.ts_value;
    return half_open.owe_answer(h);
  }
  if (config.timestamps && r.has(HalfOpen::kTimestamps) && !seg.has(gate::kRst)) {  // RFC 7323 5.3 R1 and 3.2
    if (!seg.options.timestamps || r.is_old(seg.options.ts_value)) {
      count(Verdict::tcp_old_timestamp);
      return seg.options.timestamps ? challenge_half_open(r) : void();
    }
  }
  // First: the sequence number.
  const SeqNo rcv_nxt = r.irs + 1;
  const SeqNo edge = rcv_nxt + syn_window(r.tuple);
  const u32 length = seg.length();
  const bool fits = length == 0 ? seg.seq >= rcv_nxt && seg.seq <= edge : seg.seq < edge && seg.seq + length > rcv_nxt;
  if (!fits) {
    count(Verdict::tcp_unacceptable);
    return seg.has(gate::kRst) ? void() : challenge_half_open(r);
  }
  // Second: RST. Fourth: SYN.
  if (seg.has(gate::kRst)) {
    if (seg.seq != rcv_nxt) {
      count(Verdict::tcp_bad_rst);
      return challenge_half_open(r);
    }
    count(Counter::tcp_reset_received);
    return forget_half_open(h);
  }
  if (seg.has(gate::kSyn)) {
    count(Verdict::tcp_bad_syn);
    return forget_half_open(h);
  }
  // Fifth: the ACK.
  if (!seg.has(gate::kAck)) return count(Verdict::tcp_bad_flags);
  if (seg.ack != r.iss + 1) {
    reply_reset(seg);
    return count(Verdict::tcp_unacceptable_ack);
  }
  if (source_is_full(seg)) return forget_half_open(h);
  Listener* const listener = listeners.find(seg.tuple.local, seg.tuple.local_port);
  if (listener == nullptr || !block_to_be_had()) return count(Verdict::tcp_table_full);
  // The block takes the record's place in the flow table, and its hold on the addresses. The segment goes on as any other,
  // at the first step.
  const u32 i = open(r, seg.hash, listener->tag);
  flows.replace(seg.hash, h | kHalfOpenBit, i);
  half_open.remove(h);
  --listener->half_open;
  input_steps(i, seg, pkt);
}

void Engine::Impl::challenge_half_open(HalfOpen& r) {
  if (r.challenges == kChallengesLeast + (r.iss.v >> 29)) return;
  ++r.challenges;
  count(Counter::tcp_challenge_acks);
  Reply answer{.tuple = r.tuple, .seq = r.iss + 1, .ack = r.irs + 1, .flags = gate::kAck,
               .window = static_cast<u16>(syn_window(r.tuple))};
  if (config.timestamps && r.has(HalfOpen::kTimestamps)) {
    stamp(answer, r.ts_offset, r.ts_value);
  }
  reply(answer);
}

// Before the last block is taken an idle connection is asked to go. Only a client that has completed its handshake can
// bring that about; a SYN cannot.
bool Engine::Impl::block_to_be_had() {
  const u32 free = tcbs.capacity() - tcbs.in_use();
  if (free <= tcbs.capacity() / 32) shed(false);
  return free > 0;
}

// There is a block to be had: it becomes what it would be had it been there since the SYN, our SYN|ACK sent.
u32 Engine::Impl::open(const HalfOpen& r, u32 hash, u32 tag) {
  const u32 i = open(r.tuple, hash, Leg::downstream, {r.iss, r.ts_offset});
  Tcb& t = tcbs[i];
  t.listener = tag;
  if (source_limit != 0) sources.add(r.tuple.remote);
  t.state = State::syn_rcvd;
  t.snd_nxt = t.snd_max = t.iss + 1;
  t.retries = r.tries;
  learn_peer(t, r.syn());
  advertise(t, true);
  if (!r.has(HalfOpen::kRepeated) && r.has(HalfOpen::kAnswered)) {
    t.set(kTimingRtt);
    t.rtt_seq = t.iss + 1;
    t.rtt_start_us = r.sent_us;
  }
  return i;
}

// What a SYN of ours offers: an unscaled window over an empty receive queue.
u32 Engine::Impl::syn_window(const wire::FourTuple& t) const { return std::min(window_over(0, 0, full_bytes(t, wire::kTcpHeaderBytes)), 0xffffu); }

// What answers the SYN of a record: a scale, SACK, timestamps and ECN only if that offered them (RFC 7323 2.2 and 3.2,
// RFC 2018 2, RFC 3168 6.1.1).
Reply Engine::Impl::syn_ack(const HalfOpen& r) const {
  Reply a{.tuple = r.tuple, .seq = r.iss, .ack = r.irs + 1, .flags = gate::kSyn | gate::kAck,
          .window = static_cast<u16>(syn_window(r.tuple))};
  if (config.ecn != Ecn::off && r.has(HalfOpen::kEcn)) a.flags |= gate::kEce;
  a.options.mss = mss_of(r.tuple);
  a.options.window_scale = r.window_scale == 0xff ? u8{0xff} : wscale_ours;
  a.options.sack_permitted = config.sack && r.has(HalfOpen::kSack);
  if (config.timestamps && r.has(HalfOpen::kTimestamps)) stamp(a, r.ts_offset, r.ts_value);
  return a;
}

bool Engine::Impl::answer_half_open(u32 h, OutBatch& out) {
  HalfOpen& r = half_open[h];
  mbuf::Pkt pkt = build_reply(syn_ack(r));
  if (!pkt) return false;
  if (r.has(HalfOpen::kAnswered | HalfOpen::kRepeated)) count(Counter::tcp_retransmits);
  out.push(std::move(pkt), r.tuple.remote);
  const u64 wait = u64{config.rto_initial_us[static_cast<u32>(Leg::downstream)]} << r.tries;
  half_open.answered(h, now, std::min<u64>(wait, config.rto_max_us));
  return true;
}

u32 Engine::Impl::expire_half_open(u32 most) {
  if (half_open.size() == 0) return 0;
  u32 done = 0;
  for (u32 h; done < most && (h = half_open.due(now)) != kNone32; ++done) {
    if (half_open[h].tries >= std::min(config.syn_retransmits_max, HalfOpens::kTriesMax)) {
      count(Counter::tcp_timed_out);
      forget_half_open(h);
    } else {
      count(Counter::tcp_rto);
      half_open.repeat(h);
    }
  }
  return done;
}

}  // namespace ringway::tcp
