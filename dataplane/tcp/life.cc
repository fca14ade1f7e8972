// The life of connections that say nothing, and what goes first when memory runs low: keepalive (RFC 9293 3.8.4, RFC 1122
// 4.2.3.6), refusing and shedding under pressure.
//
// Idle connections own no timer. A hand goes over the blocks once per kSweepUs, a few at each step, and looks at when the
// peer was last heard; so keepalive is true to within one round of the hand and costs a connection nothing but that mark.

#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

u32 Engine::Impl::sweep() {
  if (now < next_sweep) return 0;
  const u32 places = tcbs.high_water();
  for (u32 n = std::min(kSweepStep, places); n > 0; --n) {
    if (++hand >= places) hand = 0;
    if (!tcbs.used(hand)) continue;
    look_at_progress(tcbs[hand]);
    if (!paths.empty()) look_at_path(tcbs[hand]);
    keep_alive(hand);
  }
  next_sweep = now + kSweepUs / (places / kSweepStep + 1);
  return 1;
}

u64 Engine::Impl::silent_us(const Tcb& t) const { return u64{static_cast<u32>(now >> 10) - t.heard} << 10; }

// A probe is a segment with nothing in it just left of the window: whoever has the connection acknowledges it, whoever
// has not answers RST. Bytes in flight have timers of their own.
void Engine::Impl::keep_alive(u32 i) {
  Tcb& t = tcbs[i];
  if (config.keepalive_idle_us == 0 || !in(t.state, kSynchronised) || t.in_flight() > 0 || t.unsent() > 0) return;
  const u64 silent = silent_us(t);
  if (silent < config.keepalive_idle_us) {
    t.keepalives = 0;
    return;
  }
  if (silent < config.keepalive_idle_us + u64{t.keepalives} * config.keepalive_interval_us) return;
  if (t.keepalives >= config.keepalive_probes) {
    count(Counter::tcp_timed_out);
    return reset(i, CloseReason::timed_out);
  }
  ++t.keepalives;
  t.owe(kOwesKeepalive);
  want_output(i);
}

// --- memory

// How many packets are left is asked once in a while: the answer adds up every cache of the pool. What a connection may
// hold follows from it (Choudhury and Hahne, "Dynamic queue length thresholds", 1998): however many hoard, what they leave
// shrinks by a part of itself with each of them and does not end, and below it lies a reserve for those who come and go.
void Engine::Impl::look_at_pool() {
  if (static_cast<u32>(now >> 10) == pool_looked) return;
  pool_looked = static_cast<u32>(now >> 10);
  const u64 free = u64{pools.packets_free()} * 100, capacity = pools.packets_capacity();
  const u64 reserve = capacity * config.pool_low_percent * kReserveLows;
  share = free <= reserve ? kShareLeast : std::max(kShareLeast, static_cast<u32>((free - reserve) / 100) / kSharePart);
  receive_share = std::min(share, mbufs_budget);
  send_share_bytes = static_cast<u32>(std::min<u64>(config.send_budget_bytes, u64{share} * mss_ours));
  pool_low = free < capacity * config.pool_low_percent;
  if (free < capacity * config.pool_shed_percent) shed(true);
}

// An answer to a probe is not progress, nor is a byte now and then.
void Engine::Impl::look_at_progress(Tcb& t) {
  if (!t.unacked.empty() && static_cast<u32>(t.snd_una - t.moved_to) < t.snd_mss) return;
  t.moved_to = t.snd_una;
  t.moved = static_cast<u32>(now >> 10);
}

// How long the peer has said nothing, or taken nothing of what waits for it.
u64 Engine::Impl::stuck_us(const Tcb& t) const {
  const u64 unmoved = t.unacked.empty() ? 0 : u64{static_cast<u32>(now >> 10) - t.moved} << 10;
  return std::max(silent_us(t), unmoved);
}

// Of the blocks that the second hand passes next, the one that has been stuck longest ends. `holding`: only those that
// hold packets. One that got on within shed_idle_us is spared. False: none was found.
bool Engine::Impl::shed(bool holding) {
  const u32 places = tcbs.high_water();
  u32 worst = kNone32;
  u64 stuck_most = config.shed_idle_us;
  for (u32 n = std::min(kShedSample, places); n > 0; --n) {
    if (++shed_hand >= places) shed_hand = 0;
    if (!tcbs.used(shed_hand)) continue;
    const Tcb& t = tcbs[shed_hand];
    if (!in(t.state, kSynchronised)) continue;
    if (holding && t.receive.slices() + t.unacked.slices() == 0 && t.reassembly == kNone32) continue;
    const u64 stuck = stuck_us(t);
    if (stuck < stuck_most) continue;
    stuck_most = stuck;
    worst = shed_hand;
  }
  if (worst == kNone32) return false;
  count(Counter::tcp_shed);
  tcbs[worst].receive.drop_front(tcbs[worst].receive.bytes());
  reset(worst, CloseReason::shed);
  return true;
}

}  // namespace ringway::tcp
