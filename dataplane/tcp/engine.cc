// Engine's face: construction, events, and the calls of the application (RFC 9293 3.10.1 to 3.10.6). The work is done in
// the files that impl.h lists.

#include "dataplane/tcp/engine.h"

#include <algorithm>
#include <bit>

#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

namespace {

u8 scale_for(u32 bytes) {
  const int shift = static_cast<int>(std::bit_width(bytes)) - 16;
  return static_cast<u8>(std::clamp<int>(shift, 0, wire::kTcpWindowScaleMax));
}

// A packet that must be one segment fits one mbuf, whatever the MTU.
u32 packet_bytes_max(const TxCaps& caps, const mbuf::Pools& pools) {
  const u32 mtu = std::max<u32>(caps.mtu, 576);
  return caps.multi_segs ? mtu : std::min(mtu, pools.data_bytes());
}

}  // namespace

Engine::Impl::Impl(const EngineConfig& c, mbuf::Pools& p, contract::CorePage& pg)
    : config(c),
      pools(p),
      page(pg),
      mss_ours(static_cast<u16>(packet_bytes_max(c.caps, p) - wire::kIp4HeaderBytes - wire::kTcpHeaderBytes)),
      wscale_ours(scale_for(c.receive_budget_bytes)),
      mbuf_bytes(p.data_bytes()),
      mbufs_budget(std::max<u32>(c.receive_budget_bytes / (p.data_bytes() + kMbufOverhead), 2 * kCopyBreakMbufs)),
      receive_share(mbufs_budget),
      send_share_bytes(c.send_budget_bytes),
      tcbs(c.connections),
      holes(std::max<u32>(c.connections / 16, 64)),
      flights(std::max<u32>(c.connections / 4, 64)),
      flows(c.connections + c.time_wait_max + c.half_open_max),
      time_wait(c.time_wait_max, c.time_wait_us),
      listeners(c.listeners),
      sources(c.connections, c.secret[1]),
      wheel(c.connections, 0),
      half_open(c.half_open_max),
      next_port(c.port_count == 0
                    ? 0
                    : static_cast<u32>(((c.secret[0] ^ c.secret[1]) & 0xffff'ffff) * u64{c.port_count} >> 32)),
      nothing(p.chain()) {
  config.half_open_mark = std::min(c.half_open_mark, c.half_open_max);
  RW_ASSERT(c.caps.header_bytes_max >= kHeaderBytesLeast);
  const bool cuts = c.caps.multi_segs && c.caps.tcp_checksum;
  config.caps.tso4 = c.caps.tso4 && cuts;
  config.caps.tso6 = c.caps.tso6 && cuts;
  // Shares of what the ports' receive rings have left, which is what there is to run out of.
  const u64 left = p.packets_free();
  config.pool_low_percent = static_cast<u32>(c.pool_low_percent * left / p.packets_capacity());
  config.pool_shed_percent = static_cast<u32>(c.pool_shed_percent * left / p.packets_capacity());
}

// Its ConnId stayed valid for reclaim_unsent until now.
void Engine::Impl::release_closed() {
  if (closed_last != kNone32) free_block(closed_last);
}

// Bytes were taken: tell the peer when that opens the window by two segments or half of the budget, and let a finished
// connection go once everything was read.
void Engine::Impl::after_take(u32 i) {
  Tcb& t = tcbs[i];
  if (t.state == State::closed) {
    if (t.receive.empty() && (t.events & kClosed) == 0) raise(i, kClosed);
    return;
  }
  if (!in(t.state, kMayReceive)) return;
  const u32 open = static_cast<u32>(t.rcv_adv - t.rcv_nxt);
  // Below a quarter of the budget the sender may be waiting; above it the next acknowledgement is soon enough.
  if (open >= config.receive_budget_bytes / 4) return;
  const u32 could = std::min(free_window(t), 0xffffu << (t.has(kScaling) ? t.rcv_wscale : 0));
  const u32 step = std::min<u32>(2 * u32{mss_ours}, config.receive_budget_bytes / 2);
  if (could < open + step) return;
  t.owe(kOwesAck);
  want_output(i);
}

Engine::Engine(const EngineConfig& config, mbuf::Pools& pools, contract::CorePage& page)
    : impl_(std::make_unique<Impl>(config, pools, page)) {}
Engine::~Engine() = default;

void Engine::input(const gate::Segment& segment, mbuf::Pkt pkt, TimeUs now_us) {
  impl_->now = now_us;
  impl_->release_closed();
  impl_->input(segment, pkt);
}

void Engine::prefetch(const gate::Segment& segment) const {
  const u32 value = impl_->flows.guess(segment.hash);
  if (value >= kHalfOpenBit) return;
  const char* const t = reinterpret_cast<const char*>(&impl_->tcbs[value]);
  for (u32 line = 0; line < 4; ++line) __builtin_prefetch(t + line * kCacheLineBytes, 1);
}

void Engine::adopt(std::span<const contract::PathSize> sizes) {
  const u32 ours = impl_->mss_ours + wire::kIp4HeaderBytes + wire::kTcpHeaderBytes;
  const auto smaller = [&](const contract::PathSize& p) {
    return std::min<u32>(p.packet_bytes, impl_->config.port_mtu[p.port]) < ours;
  };
  // Where every path takes what all ports do, there is nothing to be asked at every handshake.
  impl_->path_sizes = std::ranges::any_of(sizes, smaller) ? sizes : std::span<const contract::PathSize>{};
}

void Engine::screen(const contract::IngressAcl* rules) { impl_->ingress = rules; }

// Sources are counted as long as there is a limit. The first one counts what is there.
void Engine::limit_sources(u32 connections) {
  Impl& m = *impl_;
  const bool counted = m.source_limit != 0;
  m.source_limit = connections;
  if (counted == (connections != 0)) return;
  m.sources.clear();
  if (counted) return;
  for (u32 i = 0; i < m.tcbs.high_water(); ++i) {
    if (m.tcbs.used(i) && m.tcbs[i].leg == Leg::downstream) m.sources.add(m.tcbs[i].tuple.remote);
  }
}

void Engine::unreachable(const wire::FourTuple& tuple) {
  const u32 value = impl_->find(tuple, impl_->hash_of(tuple));
  if (value >= kHalfOpenBit) return;
  if (impl_->tcbs[value].state == State::syn_sent) impl_->become_closed(value, CloseReason::refused);
}

void Engine::too_big(const wire::FourTuple& tuple, wire::SeqNo seq, u32 packet_bytes, TimeUs now_us) {
  impl_->now = now_us;
  const u32 value = impl_->find(tuple, impl_->hash_of(tuple));
  if (value < kHalfOpenBit) impl_->too_big(value, seq, packet_bytes);
}

u32 Engine::timers(TimeUs now_us, u32 most) {
  impl_->now = now_us;
  impl_->release_closed();
  u32 ran = impl_->wheel.expire(now_us, most, [this](u32 i) { impl_->on_timer(i); });
  ran += impl_->expire_half_open(most - ran);
  impl_->look_at_pool();
  ran += impl_->sweep();
  return ran + impl_->expire_time_wait(ran < most ? most - ran : 0);
}

u32 Engine::flush(OutBatch& out, TimeUs now_us) {
  impl_->now = now_us;
  impl_->release_closed();
  return impl_->flush(out);
}

bool Engine::listen(wire::Addr ip, u16 port, u32 tag) {
  if (!impl_->listeners.add(ip, port, tag)) return false;
  impl_->hold(ip);
  return true;
}

bool Engine::relisten(wire::Addr ip, u16 port, u32 tag) {
  Listener* const there = impl_->listeners.find(ip, port);
  if (there == nullptr) return listen(ip, port, tag);
  there->tag = tag;
  return true;
}

void Engine::unlisten(wire::Addr ip, u16 port) {
  if (impl_->listeners.find(ip, port) == nullptr) return;
  impl_->forget_half_open_of(ip, port);
  impl_->listeners.remove(ip, port);
  impl_->drop(ip);
}

std::optional<ConnId> Engine::connect(wire::Addr local, wire::Addr remote, u16 remote_port, u64 user, TimeUs now_us) {
  impl_->now = now_us;
  if (impl_->tcbs.in_use() == impl_->tcbs.capacity()) return std::nullopt;
  wire::FourTuple tuple{local, remote, 0, remote_port};
  if (!impl_->choose_port(tuple)) return std::nullopt;
  const wire::FourTuple keyed = impl_->digest(tuple);
  const u32 i = impl_->open(tuple, lookup::flow_hash(keyed, impl_->config.secret[1]), Leg::upstream,
                            first_numbers(keyed, impl_->config.secret, now_us));
  impl_->enter(i);
  Tcb& t = impl_->tcbs[i];
  if (impl_->page.recorder.wants<EventKind::connecting>()) [[unlikely]] {
    impl_->note_far_end<EventKind::connecting, EventKind::connecting6>(t);
  }
  impl_->become(t, State::syn_sent);
  t.set(kActiveOpen | kAnnounced);
  t.user = user;
  impl_->want_output(i);
  return impl_->id_of(i);
}

bool Engine::next_event(AppEvent& out) {
  Impl& m = *impl_;
  m.release_closed();
  const u32 i = m.events.front();
  if (i == kNone32) return false;
  m.events.remove(m.tcbs, i);
  Tcb& t = m.tcbs[i];
  // What can still be read is announced before the end is.
  const bool over = (t.events & kClosed) != 0;
  const u8 first = static_cast<u8>(t.events & ~kClosed);
  const bool split = over && first != 0 && !t.receive.empty();
  out = AppEvent{m.id_of(i), t.user, t.listener, split ? first : t.events, CloseReason::none};
  t.events = split ? kClosed : 0;
  if (split) {
    m.events.push_back(m.tcbs, i);
  } else if (over) {
    out.reason = t.reason;
    m.closed_last = i;
  }
  return true;
}

bool Engine::alive(ConnId id) const {
  return impl_->get(id) != nullptr && id.index != impl_->closed_last;
}

void Engine::set_user(ConnId id, u64 user) {
  if (Tcb* t = impl_->get(id)) t->user = user;
}

const mbuf::Chain& Engine::received(ConnId id) const {
  Tcb* t = impl_->get(id);
  return t != nullptr ? t->receive : impl_->nothing;
}

mbuf::Chain Engine::take(ConnId id, u32 n) {
  Tcb* t = impl_->get(id);
  if (t == nullptr) return impl_->pools.chain();
  mbuf::Chain out = t->receive.take_front(n);
  impl_->after_take(id.index);
  return out;
}

void Engine::discard(ConnId id, u32 n) {
  Tcb* t = impl_->get(id);
  if (t == nullptr) return;
  t->receive.drop_front(std::min(n, t->receive.bytes()));
  impl_->after_take(id.index);
}

bool Engine::peer_closed(ConnId id) const {
  const Tcb* t = impl_->get(id);
  return t != nullptr && t->has(kFinReceived);
}

u32 Engine::send_space(ConnId id) const {
  Tcb* t = impl_->get(id);
  if (t == nullptr || !in(t->state, kMaySend)) return 0;
  const u32 queued = t->unacked.bytes(), budget = impl_->send_share_bytes;
  if (queued < budget && t->unacked.slices() < impl_->share) return budget - queued;
  t->set(kFoundFull);
  return 0;
}

u32 Engine::unacked(ConnId id) const {
  const Tcb* t = impl_->get(id);
  return t != nullptr ? t->unacked.bytes() : 0;
}

void Engine::send(ConnId id, mbuf::Chain bytes) {
  Tcb* t = impl_->get(id);
  if (t == nullptr || !in(t->state, kMaySend) || t->has(kFinQueued) || bytes.empty()) return;
  const bool was_at_end = t->next.slice == kNone32;
  const u32 last = t->unacked.last();
  const u32 last_bytes = last == kNone32 ? 0 : t->unacked.slice(last).length;
  t->unacked.append(std::move(bytes));
  if (was_at_end) {  // the new bytes begin a slice, or went on in the last one
    if (last == kNone32) {
      t->next = {t->unacked.first(), 0};
    } else if (t->unacked.slice(last).length > last_bytes) {
      t->next = {last, last_bytes};
    } else {
      t->next = {t->unacked.slice(last).next, 0};
    }
  }
  if (t->has(kSynAcked)) impl_->want_output(id.index);
}

void Engine::shutdown(ConnId id) {
  Tcb* t = impl_->get(id);
  if (t != nullptr && in(t->state, kMaySend)) impl_->queue_fin(id.index);
}

void Engine::close(ConnId id) {
  Tcb* t = impl_->get(id);
  if (t == nullptr) return;
  const u32 i = id.index;
  t->set(kOrphan);
  t->events = 0;
  if (impl_->events.linked(impl_->tcbs, i)) impl_->events.remove(impl_->tcbs, i);
  if (t->state == State::closed) return impl_->free_block(i);
  if (t->state == State::syn_sent && t->unacked.empty()) return impl_->become_closed(i, CloseReason::finished);
  const bool unread = !t->receive.empty() || t->reassembly != kNone32;
  if (unread) return impl_->reset(i, CloseReason::reset);
  impl_->queue_fin(i);
  t->progress = t->snd_una.v;
  impl_->drop_timer(i, kIdleTimer);
  impl_->want_timer(i, kIdleTimer, impl_->now + impl_->config.fin_timeout_us);
}

void Engine::abort(ConnId id) {
  Tcb* t = impl_->get(id);
  if (t == nullptr) return;
  t->set(kOrphan);
  impl_->reset(id.index, CloseReason::reset);
}

mbuf::Chain Engine::reclaim_unsent(ConnId id) {
  Tcb* t = impl_->get(id);
  if (t == nullptr) return impl_->pools.chain();
  const u32 sent = t->snd_max <= t->base() ? 0 : static_cast<u32>(t->snd_max - t->base());
  if (t->has(kFinQueued) || sent >= t->unacked.bytes()) return impl_->pools.chain();
  mbuf::Chain rest = std::move(t->unacked);
  t->unacked = rest.take_front(sent);
  if (t->unacked.bytes() < sent) {  // no slice to cut with: everything stays
    t->unacked.append(std::move(rest));
    t->next = t->unacked.cursor(static_cast<u32>(std::max(t->snd_nxt - t->base(), 0)));
    return impl_->pools.chain();
  }
  t->next = t->unacked.cursor(std::min(sent, static_cast<u32>(std::max(t->snd_nxt - t->base(), 0))));
  return rest;
}

const wire::FourTuple& Engine::tuple(ConnId id) const {
  const Tcb* t = impl_->get(id);
  RW_ASSERT(t != nullptr);
  return t->tuple;
}

std::optional<ConnInfo> Engine::info(ConnId id) const {
  const Tcb* t = impl_->get(id);
  if (t == nullptr) return std::nullopt;
  const Scoreboard* const board = t->flight == kNone32 ? nullptr : &impl_->flights[t->flight].board;
  return ConnInfo{t->tuple,           t->leg,
                  static_cast<u8>(t->state), t->cc.cwnd,
                  t->rtt.srtt_us(),   t->rtt.backed_off_us(t->backoff, impl_->config.rto_max_us),
                  t->unacked.bytes(), t->receive.bytes(),
                  t->bytes_in,        t->bytes_out,
                  t->user,            t->in_flight(),
                  t->snd_mss,         t->deadline[kSendTimer] != 0,
                  board == nullptr ? t->in_flight() : board->pipe(),
                  t->iss,             t->irs};
}

u32 Engine::active() const { return impl_->tcbs.in_use(); }
u32 Engine::packet_share() const { return impl_->share; }
u64 Engine::used_among(std::span<const wire::Addr> of, u32 place, u32 most) const {
  const auto& tcbs = impl_->tcbs;
  u64 found = 0;
  for (; most > 0 && place < tcbs.high_water(); --most, ++place) {
    if (!tcbs.used(place)) continue;
    const auto at = std::find(of.begin(), of.end(), tcbs[place].tuple.local);
    if (at != of.end()) found |= u64{1} << (at - of.begin());
  }
  return found;
}
u32 Engine::places() const { return impl_->tcbs.high_water(); }
u32 Engine::half_open() const { return impl_->half_open.size(); }

bool Engine::quiet() const {
  const Impl& m = *impl_;
  return m.output.empty() && m.events.empty() && m.replies_count == 0 && m.early_count == 0 && m.timers_wanted == 0 &&
         m.half_open.size() == 0;
}

u64 Engine::next_timer_us(TimeUs now_us, u64 most_us) const {
  const TimeUs at = impl_->wheel.next_deadline_us();
  u64 wait = at <= now_us ? 0 : std::min<u64>(at - now_us, most_us);
  if (impl_->pace_next != 0) wait = impl_->pace_next <= now_us ? 0 : std::min<u64>(impl_->pace_next - now_us, wait);
  const TimeUs sweep = impl_->next_sweep;
  if (impl_->tcbs.in_use() > 0) wait = sweep <= now_us ? 0 : std::min<u64>(sweep - now_us, wait);
  return impl_->time_wait.next_us(now_us, impl_->half_open.next_us(now_us, wait));
}

}  // namespace ringway::tcp
