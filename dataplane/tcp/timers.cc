// Timers: retransmission (RFC 6298 section 5), tail loss probe and reordering window (RFC 8985), probes of a closed window
// (RFC 9293 3.8.6.1), the lone delayed acknowledgement (3.8.6.3), connections that the application left (fin_timeout_us),
// and TIME-WAIT.
//
// Deadlines are fields of the block, which has one place in the wheel for the earliest of them. The wheel is only told when
// it would otherwise wake too late, and a block that wakes before its time is armed again. So setting and clearing a
// deadline, as every request does, costs a store.

#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

void Engine::Impl::want_timer(u32 i, TimerKind k, TimeUs at) {
  Tcb& t = tcbs[i];
  if (t.deadline[k] == 0) ++timers_wanted;
  t.deadline[k] = at;
  if (t.wheel_at != 0 && t.wheel_at <= at) return;
  wheel.arm(i, at);
  t.wheel_at = at;
}

void Engine::Impl::cancel_timers(u32 i) {
  Tcb& t = tcbs[i];
  for (const TimerKind k : {kSendTimer, kIdleTimer}) drop_timer(t, k);
  if (t.wheel_at != 0) wheel.cancel(i);
  t.wheel_at = 0;
}

void Engine::Impl::on_timer(u32 i) {
  const u32 generation = tcbs[i].generation;
  tcbs[i].wheel_at = 0;
  for (const TimerKind k : {kSendTimer, kIdleTimer}) {
    const TimeUs at = tcbs[i].deadline[k];
    if (at == 0) continue;
    if (at > now) {
      want_timer(i, k, at);
      continue;
    }
    drop_timer(i, k);
    note<EventKind::timer>(tcbs[i], [&] {
      const TimerMode what = k == kSendTimer ? tcbs[i].timer_mode : TimerMode::idle;
      return contract::EventFields{.code = static_cast<u8>(what), .half = tcbs[i].retries, .x = tcbs[i].in_flight()};
    });
    k == kSendTimer ? on_send_timer(i) : on_idle_timer(i);
    if (!tcbs.used(i) || tcbs[i].generation != generation) return;
  }
}

// Whether what would be probed is in a state for it is looked at when the time has come.
void Engine::Impl::restart_send_timer(u32 i) {
  Tcb& t = tcbs[i];
  u32 wait = t.rtt.backed_off_us(t.backoff, config.rto_max_us);
  t.timer_mode = TimerMode::timeout;
  if (t.retries > 0 && t.has(kSynAcked) && config.user_timeout_us != 0) {
    wait = static_cast<u32>(std::min<u64>(wait, patience_us(t)));
  } else if ((t.flags & (kSack | kUnwatched)) == kSack && t.backoff == 0) {
    const u32 pto = probe_timeout_us(t.rtt.srtt_us(), t.in_flight() <= t.snd_mss, wait);
    if (pto < wait) {
      wait = pto;
      t.timer_mode = TimerMode::probe;
    }
  }
  want_timer(i, kSendTimer, now + wait);
}

// Bytes in flight keep the timer (RFC 6298 5.1, 5.2); so do bytes that the peer's window holds back (3.8.6.1).
void Engine::Impl::settle_send_timer(u32 i) {
  Tcb& t = tcbs[i];
  if (t.in_flight() == 0 && t.unsent() == 0) return drop_timer(t, kSendTimer);
  if (t.deadline[kSendTimer] == 0) restart_send_timer(i);
}

// What is left of the user timeout, since the first segment that had to be sent again.
u64 Engine::Impl::patience_us(const Tcb& t) const {
  const u64 stalled_us = u64{static_cast<u32>(now >> 10) - t.stalled} << 10;
  return stalled_us >= config.user_timeout_us ? 0 : config.user_timeout_us - stalled_us;
}

void Engine::Impl::on_send_timer(u32 i) {
  Tcb& t = tcbs[i];
  if (on_recovery_timer(i)) return;
  const bool held_back = t.in_flight() == 0 || (t.snd_wnd == 0 && !t.unacked.empty());
  // Bytes in flight wait since they were sent; a peer with a closed window, from when it is asked and does not answer.
  if (t.retries == 0) {
    t.stalled = static_cast<u32>((held_back ? now : now - t.rtt.backed_off_us(t.backoff, config.rto_max_us)) >> 10);
  }
  ++t.retries;
  if (t.backoff < 16) ++t.backoff;
  t.clear(kTimingRtt);
  if (!t.has(kSynAcked)) {
    if (t.retries > config.syn_retransmits_max) {
      count(Counter::tcp_timed_out);
      return become_closed(i, CloseReason::timed_out);
    }
    count(Counter::tcp_rto);
    t.snd_nxt = t.iss;
    want_output(i);
    return restart_send_timer(i);
  }
  if (t.in_flight() == 0 && t.unsent() == 0) return;
  const bool out_of_patience = config.user_timeout_us != 0 && t.retries > 1 && patience_us(t) <= 1024;
  if (t.retries > config.retransmits_max || out_of_patience) {
    count(Counter::tcp_timed_out);
    return become_closed(i, CloseReason::timed_out);
  }
  want_output(i);
  restart_send_timer(i);  // 5.6, and again when the segment leaves: no moment without a timer
  if (held_back) {
    t.owe(kOwesProbe);
    return;
  }
  count(Counter::tcp_rto);
  suspect_black_hole(t);
  t.paid(kOwesRetransmit | kOwesTail);
  if (watch(i)) return on_sack_timeout(i);
  t.cc.on_timeout(t.snd_max, t.in_flight(), t.snd_mss, t.retries > 1);
  t.snd_nxt = t.snd_una;
  t.next = t.unacked.cursor(0);
  // A window smaller than what silly window avoidance asks for must not keep the retransmission back.
  if (t.unsent() > 0 && next_length(t) == 0) t.owe(kOwesProbe);
}

void Engine::Impl::on_idle_timer(u32 i) {
  Tcb& t = tcbs[i];
  if (!t.has(kOrphan)) {
    if ((t.owes & kOwesAckLater) == 0) return;
    t.owe(kOwesAck);
    want_output(i);
    return;
  }
  // What the application queued before it left goes on being delivered for as long as the peer takes some of it.
  if (t.state != State::fin_wait_2 && t.snd_una.v != t.progress) {
    t.progress = t.snd_una.v;
    want_timer(i, kIdleTimer, now + config.fin_timeout_us);
    return;
  }
  count(Counter::tcp_timed_out);
  if (t.state == State::fin_wait_2) return become_closed(i, CloseReason::finished);
  reset(i, CloseReason::timed_out);
}

u32 Engine::Impl::expire_time_wait(u32 most) {
  u32 done = 0;
  for (u32 r; done < most && (r = time_wait.due(now)) != kNone32; ++done) {
    forget_time_wait(r);
  }
  return done;
}

}  // namespace ringway::tcp
