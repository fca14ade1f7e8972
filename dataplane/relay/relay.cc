#include "dataplane/relay/relay.h"

#include <algorithm>

namespace ringway::relay {

namespace {

constexpr u32 kPlacesPerPoll = 256;           // of connections to endpoints that are over, of sessions without a listener
constexpr u32 kHeadsPerStep = 16;             // pipelined requests of one session handled at a stretch
constexpr TimeUs kLingerUs = 2'000'000;       // how long thrown-away input is waited for

}  // namespace

Relay::Relay(const RelayConfig& config, tcp::Engine& engine, mbuf::Pools& pools, route::Router& router,
             contract::CoreStats& stats, Outbox& outbox, TimeUs now_us)
    : config_(config), engine_(engine), pools_(pools), router_(router), stats_(stats), outbox_(outbox), now_us_(now_us),
      h2_(config.h2, pools, stats.page), sessions_(config.sessions), upstreams_(config.upstreams),
      exchanges_(config.sessions + config.h2.streams), probes_(config.probes),
      mirrors_(config.mirrors), wheel_(config.sessions + config.upstreams + config.probes + config.mirrors, now_us),
      idle_(contract::kEndpointsMax), taking_(contract::kEndpointsMax),
      pending_(contract::kServicesMax), concurrency_(std::make_unique<ConcurrencyLimit[]>(contract::kServicesMax)),
      streams_taken_(contract::kEndpointsMax, http::kH2PeerStreamsUnknown),
      failed_here_(contract::kEndpointsMax), over_(contract::kEndpointsMax),
      random_state_(config.seed | 1),
      gathered_(std::make_unique<u8[]>(contract::kHeadBytesMax)), written_(std::make_unique<u8[]>(kWrittenHeadMax)),
      target_(std::make_unique<u8[]>(contract::kHeadBytesMax)), request_again_(std::make_unique<u8[]>(contract::kHeadBytesMax)) {
  run_queue_.reserve(config.sessions);
  freed_.reserve(contract::kServicesMax);
  over_slots_.reserve(contract::kEndpointsMax);
}

Relay::~Relay() { abort_all(); }

u64 Relay::random() {  // xorshift64*: request ids need to differ, not to be secret
  random_state_ ^= random_state_ >> 12;
  random_state_ ^= random_state_ << 25;
  random_state_ ^= random_state_ >> 27;
  return random_state_ * 0x2545'f491'4f6c'dd1dull;
}

void Relay::adopt(const contract::Plan& plan) {
  // The plan may have an endpoint again that is over now.
  while (!over_slots_.empty()) end_over(~u32{0});
  plan_ = &plan;
}

u32 Relay::run(TimeUs now_us) {
  now_us_ = now_us;
  h2_.bear(engine_.packet_share());
  u32 events = 0;
  if (!over_slots_.empty()) [[unlikely]] end_over(kPlacesPerPoll);
  if (left_place_ != kNone32) [[unlikely]] end_left(kPlacesPerPoll);
  if (!run_queue_.empty()) {
    // Sessions that are made runnable meanwhile wait for the next poll.
    const u32 count = static_cast<u32>(run_queue_.size());
    for (u32 i = 0; i < count; ++i) {
      const u32 index = run_queue_[i];
      if (!sessions_.used(index) || !sessions_[index].runnable) continue;
      sessions_[index].runnable = false;
      advance(index);
    }
    run_queue_.erase(run_queue_.begin(), run_queue_.begin() + count);
    events += count;
  }
  tcp::AppEvent event;
  while (engine_.next_event(event)) {
    on_event(event);
    ++events;
  }
  if (!freed_.empty()) wake_pending();
  return events;
}

u32 Relay::timers(TimeUs now_us, u32 most) {
  now_us_ = now_us;
  const u32 ran = wheel_.expire(now_us, most, [this](u32 id) {
    if (id < config_.sessions) {
      session_timer(id);
    } else if (id < config_.sessions + config_.upstreams) {
      upstream_timer(id - config_.sessions);
    } else if (id < mirror_timer_id(0)) {
      probe_timer(id - config_.sessions - config_.upstreams);
    } else {
      end_mirror(id - mirror_timer_id(0), true);
    }
  });
  if (!freed_.empty()) wake_pending();
  return ran;
}

void Relay::on_event(const tcp::AppEvent& event) {
  if ((event.bits & tcp::kAccepted) != 0) return accept(event);
  const u32 index = static_cast<u32>(event.user);
  switch (static_cast<Owner>(event.user >> 32)) {
    case Owner::session: return on_session(index, event);
    case Owner::upstream: return on_upstream(index, event);
    case Owner::probe: return on_probe(index, event);
    case Owner::mirror: return on_mirror(index, event);
  }
}

void Relay::accept(const tcp::AppEvent& event) {
  if ((event.bits & tcp::kClosed) != 0) return;  // came and went within one poll
  const u32 index = draining_ || plan_ == nullptr ? kNone32 : sessions_.alloc();
  if (index == kNone32) {
    engine_.abort(event.id);
    return;
  }
  page().sessions_active.set(sessions_.in_use());
  Session& s = sessions_[index];
  s.conn = event.id;
  s.tuple = engine_.tuple(event.id);
  config_.book->hold(s.tuple);
  s.accepted = static_cast<u32>(now_us_ >> 10);
  s.waiting_since_us = now_us_;
  engine_.set_user(event.id, owner_tag(Owner::session, index));
  s.listener = static_cast<u16>(event.listener);  // where it was when the worker began to listen: nearly always still
  if (plan_->ingress_acl != nullptr && outstays(s)) {  // half-open when the plan came
    page().count(contract::Counter::ingress_ended);
    return abort_session(index);
  }
  const contract::Listener* listener = find_listener(s);
  if (listener == nullptr) return abort_session(index);
  if (listener->is_proxy(client_ip(s))) {
    s.state = SessionState::announced;
    arm_session(index);
  } else {
    serve(index, *listener);
  }
  if (sessions_.used(index)) on_session(index, event);
}

// It is known who the client is: begins what the listener is for.
void Relay::serve(u32 index, const contract::Listener& listener) {
  if (listener.route_table == kNone32 && listener.service != kNone32 &&
      plan_->services[listener.service].app_protocol == contract::AppProtocol::tcp) {
    if (!admit_tunnel(index, listener.service)) return abort_session(index);
    begin_tunnel(index);
  }
}

// The listener of the current plan at the address that the client connected to; cached per plan generation, because
// keep-alive connections outlive plans.
const contract::Listener* Relay::find_listener(Session& s) {
  if (s.listener_generation != static_cast<u32>(plan_->generation)) {
    const auto& listeners = plan_->listeners;
    const wire::Ip local = config_.book->ip(s.tuple.local);
    const auto is_it = [&](u32 i) {
      return i < listeners.size() && listeners[i].port == s.tuple.local_port && listeners[i].ip == local;
    };
    if (!is_it(s.listener)) {
      const std::pair wanted(local, s.tuple.local_port);
      const auto at = std::lower_bound(listeners.begin(), listeners.end(), wanted,
                                       [](const auto& l, const auto& w) { return std::pair(l.ip, l.port) < w; });
      s.listener = static_cast<u16>(at - listeners.begin());
      if (!is_it(s.listener)) s.listener = kNoListener;
    }
    s.source = contract::kNoSource;
    s.listener_generation = static_cast<u32>(plan_->generation);
  }
  return s.listener == kNoListener ? nullptr : &plan_->listeners[s.listener];
}

void Relay::on_session(u32 index, const tcp::AppEvent& event) {
  Session& s = sessions_[index];
  if ((event.bits & tcp::kPeerClosed) != 0) s.peer_closed = true;
  if (s.state == SessionState::multiplexing) return on_multiplexed(index, event);
  if ((event.bits & tcp::kClosed) != 0) {
    if (s.exchange != kNone32) {
      if (exchanges_[s.exchange].tunnel && event.reason == tcp::CloseReason::finished) return end_tunnel(s.exchange);
      page().count(contract::Counter::client_aborts);
      end_exchange(s.exchange);
    }
    return free_session(index);
  }
  switch (s.state) {
    case SessionState::announced:
      if (!read_announcement(index)) return;
      break;
    case SessionState::reading_head:
    case SessionState::multiplexing: break;
    case SessionState::exchanging: {
      const u32 x = s.exchange;
      if (exchanges_[x].tunnel) {
        pump_tunnel(x);
        break;
      }
      if (!exchanges_[x].request_done) pump_request(x);
      if ((event.bits & tcp::kWritable) != 0 && exchanges_.used(x)) {
        exchanges_[x].response_started ? pump_response(x) : read_response(x);
      }
      break;
    }
    case SessionState::lingering:
      engine_.discard(s.conn, engine_.received(s.conn).bytes());
      if (s.peer_closed) {
        engine_.close(s.conn);
        return free_session(index);
      }
      break;
  }
  if (sessions_.used(index)) advance(index);
}

// Reads the next requests of a session, as far as it is their turn.
void Relay::advance(u32 index) {
  for (u32 round = 0; round < kHeadsPerStep; ++round) {
    Session& s = sessions_[index];
    if (s.state == SessionState::multiplexing) return settle(index);
    // A client that does not read its answers gets no further ones; kWritable goes on from here.
    if (s.state != SessionState::reading_head || engine_.send_space(s.conn) == 0) return arm_session(index);
    if (!read_request(index)) return;
    if (!sessions_.used(index)) return;
  }
  make_runnable(index);
  arm_session(index);
}

void Relay::make_runnable(u32 index) {
  Session& s = sessions_[index];
  if (s.runnable) return;
  s.runnable = true;
  run_queue_.push_back(index);
}

void Relay::on_upstream(u32 index, const tcp::AppEvent& event) {
  Upstream& u = upstreams_[index];
  if (u.h2 != kNone32) return on_multiplexed_upstream(index, event);
  const bool closed = (event.bits & tcp::kClosed) != 0;
  if (u.state == UpstreamState::idle) {
    // Nothing is expected on an idle connection: whatever comes ends it.
    unlink_idle(index);
    if (closed) u.conn = {};
    return free_upstream(index, (event.bits & tcp::kReadable) != 0);
  }
  const u32 x = u.exchange;
  const u32 session = exchanges_[x].session;
  if ((event.bits & tcp::kConnected) != 0) {
    u.state = UpstreamState::busy;
    stats_.endpoints[u.slot].connections.add();
  }
  if (closed && exchanges_[x].tunnel && event.reason == tcp::CloseReason::finished) return end_tunnel(x);
  const bool opened = u.state == UpstreamState::busy;
  if (closed && (event.bits & tcp::kReadable) == 0) {
    // Nothing is left to be used.
  } else if (exchanges_[x].tunnel) {
    pump_tunnel(x);
  } else {
    if ((event.bits & (tcp::kConnected | tcp::kWritable)) != 0 && !exchanges_[x].request_done) pump_request(x);
    if (exchanges_.used(x) && (event.bits & (tcp::kReadable | tcp::kPeerClosed)) != 0) {
      if (exchanges_[x].response_started) {
        pump_response(x);
      } else {
        read_response(x);
      }
    }
  }
  // What is missing now will not come. Another try may have begun meanwhile, at the same place.
  if (closed && exchanges_.used(x) && exchanges_[x].upstream == index && upstreams_[index].conn == event.id) {
    upstreams_[index].conn = {};
    upstream_failed(x, event.reason == tcp::CloseReason::timed_out ? contract::Outcome::timed_out
                       : opened                                    ? contract::Outcome::reset
                                                                   : contract::Outcome::connect_failed);
  }
  if (sessions_.used(session)) advance(session);
}

void Relay::free_session(u32 index) {
  wheel_.cancel(index);
  config_.book->drop(sessions_[index].tuple);
  sessions_.free(index);
  page().sessions_active.set(sessions_.in_use());
}

void Relay::abort_session(u32 index) {
  Session& s = sessions_[index];
  if (s.state == SessionState::multiplexing) {
    end_streams(index);
  } else if (s.exchange != kNone32) {
    end_exchange(s.exchange);
  }
  engine_.abort(s.conn);
  free_session(index);
}

// Our last byte is queued: sends FIN and reads on without listening, so that the answer is not lost to a RST while the
// client still sends (RFC 9112 9.6).
void Relay::linger(u32 index) {
  Session& s = sessions_[index];
  engine_.shutdown(s.conn);
  engine_.discard(s.conn, engine_.received(s.conn).bytes());
  if (s.peer_closed) {
    engine_.close(s.conn);
    return free_session(index);
  }
  s.state = SessionState::lingering;
  s.waiting_since_us = now_us_;
  arm_session(index);
}

// The client will send no more, and what it sent has been read: no request comes after the one in hand.
bool Relay::said_all(const Session& s) const { return s.peer_closed && engine_.received(s.conn).empty(); }

TimeUs Relay::session_deadline(const Session& s) const {
  const contract::Limits& limits = plan_->limits;
  switch (s.state) {
    case SessionState::lingering: return s.waiting_since_us + kLingerUs;
    case SessionState::announced: return s.waiting_since_us + limits.header_timeout_us;
    case SessionState::reading_head:
      return s.waiting_since_us + (s.head_bytes_seen > 0 ? limits.header_timeout_us : limits.client_idle_us);
    case SessionState::multiplexing: return multiplexed_deadline(s);
    case SessionState::exchanging: break;
  }
  return next_due(exchanges_[s.exchange]);
}

// Lazy: an entry that goes off too early is put off then; only one that would be late is moved.
void Relay::arm_session(u32 index) { arm_session_at(index, session_deadline(sessions_[index])); }

void Relay::arm_session_at(u32 index, TimeUs deadline) {
  Session& s = sessions_[index];
  if (deadline == ~TimeUs{0} || (s.armed_us != 0 && s.armed_us <= deadline)) return;
  s.armed_us = deadline;
  wheel_.arm(index, deadline);
}

// A session with many exchanges need not look at the others.
void Relay::arm_exchange(const Exchange& x) { arm_session_at(x.session, next_due(x)); }

void Relay::session_timer(u32 index) {
  Session& s = sessions_[index];
  s.armed_us = 0;
  if (session_deadline(s) > now_us_) return arm_session(index);
  switch (s.state) {
    case SessionState::lingering:
      engine_.close(s.conn);
      return free_session(index);
    case SessionState::announced: return refuse_announcement(index);
    case SessionState::reading_head:
      page().count(contract::Counter::idle_timeouts);
      if (s.head_bytes_seen > 0) {
        answer(index, {.status = 408, .text = "the request head did not arrive in time", .flag = "limit",
                       .flag_value = "header_timeout"});
        return;
      }
      engine_.close(s.conn);
      return free_session(index);
    case SessionState::multiplexing: return multiplexed_timer(index);
    case SessionState::exchanging: break;
  }
  exchange_timer(s.exchange);
  if (sessions_.used(index)) advance(index);
}

bool Relay::describe(u32 place, contract::ConnectionRow& row) const {
  using Stage = contract::ConnectionStage;
  if (!sessions_.used(place)) return false;
  const Session& s = sessions_[place];
  const auto info = engine_.info(s.conn);
  if (!info) return false;
  row = {};
  row.client = client_ip(s);
  row.client_port = s.tuple.remote_port;
  row.local = config_.book->ip(s.tuple.local);
  row.local_port = s.tuple.local_port;
  row.requests = s.requests;
  row.bytes_in = info->bytes_in;
  row.bytes_out = info->bytes_out;
  row.age_us = u64{static_cast<u32>(now_us_ >> 10) - s.accepted} << 10;
  row.idle_us = now_us_ - s.waiting_since_us;
  if (s.state == SessionState::lingering) {
    row.stage = Stage::closing;
  } else if (s.state == SessionState::multiplexing) {
    row.stage = h2_.streams(s.h2) > 0 ? Stage::exchanging : Stage::idle;
  } else if (s.exchange == kNone32) {
    row.stage = s.head_bytes_seen > 0 ? Stage::reading_request : Stage::idle;
  } else {
    const Exchange& x = exchanges_[s.exchange];
    row.service = x.plan->services[x.service].slot;
    if (x.endpoint != kNone32) row.endpoint = x.plan->endpoints[x.endpoint].slot;
    row.idle_us = now_us_ - x.active_us;
    row.stage = x.tunnel ? Stage::tunnel : x.response_started ? Stage::exchanging : Stage::waiting_for_endpoint;
  }
  return true;
}

void Relay::drain() {
  draining_ = true;
  draining_since_us_ = now_us_;
  for (u32 i = 0; i < config_.sessions; ++i) {
    if (sessions_.used(i) && sessions_[i].state == SessionState::multiplexing) {
      h2_.goaway_notice(sessions_[i].h2);
      flush_h2(sessions_[i].h2, sessions_[i].conn);
      arm_session(i);
      continue;
    }
    if (!sessions_.used(i) || sessions_[i].state != SessionState::reading_head || sessions_[i].head_bytes_seen > 0) {
      continue;
    }
    if (!engine_.received(sessions_[i].conn).empty()) continue;
    linger(i);
  }
}

void Relay::abort_all() {
  for (u32 i = 0; i < config_.sessions && sessions_.in_use() > 0; ++i) {
    if (sessions_.used(i)) abort_session(i);
  }
  for (u32 i = 0; i < config_.upstreams && upstreams_.in_use() > 0; ++i) {
    if (!upstreams_.used(i)) continue;
    if (upstreams_[i].h2 == kNone32) unlink_idle(i);
    free_upstream(i, true);
  }
  for (u32 i = 0; i < config_.probes && probes_.in_use() > 0; ++i) {
    if (probes_.used(i)) end_probe(i, contract::Outcome::reset, 0);
  }
  for (u32 i = 0; i < config_.mirrors && mirrors_.in_use() > 0; ++i) {
    if (mirrors_.used(i)) end_mirror(i, true);
  }
}

}  // namespace ringway::relay
