// The endpoint's side of relay: choosing an endpoint, its idle pool, new connections, and their failures.

#include <algorithm>

#include "dataplane/relay/relay.h"

namespace ringway::relay {

using contract::EventKind;
using Fields = contract::EventFields;

namespace {

constexpr u32 kFreshHeadBytes = 1448;  // a rewritten head up to this size goes straight into one packet

}  // namespace

wire::Ip source_address(const contract::Plan& plan, const wire::Ip& endpoint, u32 core) {
  const bool is4 = endpoint.is4();
  for (const contract::PortNet& port : plan.ports) {
    if (is4 ? port.connects(endpoint.ip4()) : port.connects(endpoint.ip6())) {
      return is4 ? wire::Ip(port.source(core)) : wire::Ip(port.ip6);
    }
  }
  for (const contract::PortNet& port : plan.ports) {
    if (is4 && port.next_hop.v != 0) return port.source(core);
    if (!is4 && port.has6() && port.next_hop6 != wire::Ip6{}) return port.ip6;
  }
  return {};
}

// Picks an endpoint and sends the request head to it: on an idle connection, on a stream, or on a new connection that it
// waits in.
void Relay::dispatch(u32 index, const http::RequestHead& head) {
  Exchange& x = exchanges_[index];
  const Session& s = sessions_[x.session];
  const contract::Plan& plan = *x.plan;
  const bool h2 = plan.services[x.service].multiplexed();
  if (x.actions != kNone32 && !prepare(index, head)) return;
  const u32 tries = plan.services[x.service].retry.retries + 1;
  while (x.attempts < tries) {
    const route::Pick pick = router_.pick(plan, x.service, head, client_ip(s), s.tuple.remote_port,
                                          std::span(x.tried.data(), x.attempts));
    if (pick.endpoint == kNone32) {
      page().count(contract::Counter::no_endpoint);
      stats_.services[plan.services[x.service].slot].no_endpoint.add();
      return fail_exchange(index, 503, "no healthy endpoint", "UH");
    }
    const contract::Endpoint& endpoint = plan.endpoints[pick.endpoint];
    x.tried[x.attempts++] = pick.endpoint;
    u32 u = x.tunnel ? kNone32 : h2 ? take_multiplexed(endpoint) : take_idle(endpoint);
    if (u == kNone32 && is_full(x)) {
      --x.attempts;
      return wait_for_connection(index);
    }
    if (u == kNone32) u = open_upstream(x, endpoint);
    if (u == kNone32 || (h2 && !begin_stream(index, u))) {
      stats_.endpoints[endpoint.slot].connect_failures.add();
      continue;
    }
    if (!h2) upstreams_[u].exchange = index;
    x.upstream = u;
    x.endpoint = pick.endpoint;
    x.cookie = pick.cookie;
    x.attempt_started_us = now_us_;
    x.head_bytes_seen = 0;
    note<EventKind::picked>(x, [&] {
      return Fields{.code = x.attempts, .half = upstreams_[u].reused, .x = endpoint.slot, .y = upstreams_[u].conn.generation};
    });
    stats_.endpoints[endpoint.slot].requests.add();
    stats_.endpoints[endpoint.slot].active.add();
    if (x.tunnel) return announce(x) ? void() : abort_exchange(index);
    if (!may_ask(x, u)) return arm_exchange(x);
    return ask(index, head);
  }
  fail_exchange(index, 503, "no connection to an endpoint could be opened", "UF");
}

// How long the endpoint may take: what is left of the request's time, or a try's; 0 when neither has an end.
u64 Relay::expected_us(const Exchange& x) const {
  const u64 whole = x.plan->services[x.service].timeouts.per_request_us;
  const u64 spent = x.request_came && x.retries > 0 ? now_us_ - x.request_done_us : 0;
  const u64 left = whole == 0 ? 0 : whole - std::min(spent, whole - 1000);
  const u64 per_try = retry_policy(x).per_try_us;
  return per_try != 0 && (left == 0 || per_try < left) ? per_try : left;
}

// Writes the request head as the endpoint shall see it. False when packet memory is short.
bool Relay::send_head(Exchange& x, const http::RequestHead& head) {
  const Session& s = sessions_[x.session];
  char id[36];
  http::RequestEdit edit{.client_ip = client_ip(s), .via = x.plan->via};
  if (x.id_high != 0) {
    http::write_uuid(x.id_high, x.id_low, id);
    edit.request_id = {id, sizeof id};
  }
  edit.expected_timeout_ms = expected_us(x) / 1000;
  if (retry_policy(x).attempt_count) edit.attempt = x.retries + 1u;
  edit.upgrade = x.wants_upgrade;
  edit.fallback_host = x.plan->services[x.service].discovery_name;
  edit.from_h2 = x.stream != kNone32;
  edit.websocket_key = x.websocket_key.text();
  if (x.actions != kNone32) edit_request(x, head, edit);
  const Leg to = endpoint_leg(x);
  if (to.h2()) {
    const bool sent = h2_.send_request(to.stream, head, edit, x.never_indexed, x.request_done && !x.wants_upgrade);
    flush_h2(h2_.conn_of(to.stream), to.conn);
    return sent;
  }
  x.request_chunked = edit.from_h2 && head.framing == http::Framing::chunked;

  mbuf::Chain bytes = pools_.chain();
  mbuf::Pkt pkt = pools_.alloc();
  if (!pkt) {
    page().count(contract::Verdict::no_mbuf);
    return false;
  }
  const u32 n = http::write_request(head, edit, {pkt.data(), std::min(kFreshHeadBytes, pkt.tailroom())});
  if (n != 0) {
    pkt.append(n);
    if (!bytes.append(std::move(pkt))) return false;
  } else {
    const u32 large = http::write_request(head, edit, {written_.get(), kWrittenHeadMax});
    RW_ASSERT(large != 0);
    bytes = to_chain({written_.get(), large});
    if (bytes.bytes() != large) return false;
  }
  engine_.send(to.conn, std::move(bytes));
  return true;
}

// The most recently used idle connection of the endpoint, or kNone32.
u32 Relay::take_idle(const contract::Endpoint& endpoint) {
  auto& list = idle_[endpoint.slot];
  while (!list.empty()) {
    const u32 u = list.front();
    unlink_idle(u);
    Upstream& up = upstreams_[u];
    // One that ended in this very poll has not been reported yet; and bytes that nobody asked for must not become the
    // answer to this request.
    if (up.incarnation == endpoint.incarnation && engine_.send_space(up.conn) > 0 && !engine_.peer_closed(up.conn) &&
        engine_.received(up.conn).empty()) {
      up.state = UpstreamState::busy;
      up.reused = true;
      page().count(contract::Counter::upstream_reused);
      return u;
    }
    free_upstream(u, false);
  }
  return kNone32;
}

u32 Relay::open_upstream(const Exchange& x, const contract::Endpoint& endpoint) {
  const wire::Ip source = source_address(*x.plan, endpoint.ip, config_.core);
  const u32 u = source.unset() ? kNone32 : upstreams_.alloc();
  if (u == kNone32) return kNone32;
  const auto conn = engine_.connect(config_.book->name(source), config_.book->name(endpoint.ip), endpoint.port,
                                    owner_tag(Owner::upstream, u), now_us_);
  if (!conn) {
    upstreams_.free(u);
    return kNone32;
  }
  Upstream& up = upstreams_[u];
  up.conn = *conn;
  up.opened_us = now_us_;
  up.slot = endpoint.slot;
  up.incarnation = endpoint.incarnation;
  up.service_slot = x.plan->services[x.service].slot;
  stats_.services[up.service_slot].upstreams.add();
  up.armed_us = now_us_ + x.plan->services[x.service].timeouts.connect_us;
  wheel_.arm(upstream_timer_id(u), up.armed_us);
  if (!x.plan->services[x.service].multiplexed()) return u;
  http::H2Settings settings = h2_settings();
  settings.peer_streams = streams_taken_[endpoint.slot];
  up.h2 = h2_.open(http::H2Role::client, settings, now_us_);
  if (up.h2 == kNone32) {
    free_upstream(u, true);
    return kNone32;
  }
  list(u);
  return u;
}

// Parts an exchange from its connection: back to the pool, or closed.
void Relay::release_upstream(u32 index, After after) {
  Exchange& x = exchanges_[index];
  if (x.upstream == kNone32) return;
  const u32 u = std::exchange(x.upstream, kNone32);
  Upstream& up = upstreams_[u];
  stats_.endpoints[up.slot].active.sub();
  if (up.h2 != kNone32) {
    const u32 stream = std::exchange(x.upstream_stream, kNone32);
    if (stream != kNone32) h2_.release(stream, after == After::keep ? http::H2Error::no_error : http::H2Error::cancel);
    return stream_released(u);
  }
  up.exchange = kNone32;
  auto& list = idle_[up.slot];
  const contract::Limits& limits = plan_->limits;
  // Of an endpoint that takes no more exchanges nothing is kept: it would only stand in the way of others.
  const bool left = (config_.board->word(up.slot) & contract::kHealthDraining) != 0;
  if (after != After::keep || draining_ || left || list.size() >= limits.upstream_idle_per_endpoint) {
    return free_upstream(u, after == After::abort);
  }
  up.state = UpstreamState::idle;
  up.idle_since_us = now_us_;
  list.push_front(upstreams_, u);
  page().upstream_idle.set(++idle_upstreams_);
  note_free(up.service_slot);
  const TimeUs deadline = now_us_ + limits.upstream_idle_us;
  if (up.armed_us == 0 || up.armed_us > deadline) {
    up.armed_us = deadline;
    wheel_.arm(upstream_timer_id(u), deadline);
  }
}

void Relay::unlink_idle(u32 u) {
  Upstream& up = upstreams_[u];
  if (up.state != UpstreamState::idle) return;
  idle_[up.slot].remove(upstreams_, u);
  up.state = UpstreamState::busy;
  page().upstream_idle.set(--idle_upstreams_);
}

// Gives up a connection that no exchange holds. `abort`: RST, because the endpoint's bytes are not wanted any more.
void Relay::free_upstream(u32 u, bool abort) {
  const Upstream& up = upstreams_[u];
  if (up.h2 != kNone32) {
    unlist(u);
    h2_.close(up.h2);
  }
  if (up.conn) {
    if (abort) {
      engine_.abort(up.conn);
    } else {
      engine_.close(up.conn);
    }
  }
  wheel_.cancel(upstream_timer_id(u));
  if (up.state != UpstreamState::over) {
    stats_.services[up.service_slot].upstreams.sub();
    note_free(up.service_slot);
  }
  upstreams_.free(u);
}

void Relay::upstream_timer(u32 index) {
  Upstream& up = upstreams_[index];
  up.armed_us = 0;
  if (up.h2 != kNone32) return multiplexed_upstream_timer(index);
  if (up.state == UpstreamState::connecting) {
    const Exchange& x = exchanges_[up.exchange];
    const u32 session = x.session;
    upstream_failed(up.exchange, contract::Outcome::timed_out);
    if (sessions_.used(session)) advance(session);
    return;
  }
  if (up.state != UpstreamState::idle) return;
  const TimeUs deadline = up.idle_since_us + plan_->limits.upstream_idle_us;
  if (deadline > now_us_) {
    up.armed_us = deadline;
    wheel_.arm(upstream_timer_id(index), deadline);
    return;
  }
  unlink_idle(index);
  free_upstream(index, false);
}

// The numbers that outlier detection sweeps over, and the mail that it decides by at once.
void Relay::mail_outcome(const contract::Endpoint& endpoint, contract::Outcome outcome) {
  using contract::Outcome;
  const bool broken = outcome == Outcome::connect_failed || outcome == Outcome::timed_out || outcome == Outcome::reset;
  auto& numbers = stats_.endpoints[endpoint.slot];
  if (outcome != Outcome::success) (broken ? numbers.broken : numbers.bad_answers).add();
  // What comes from one that is out decides nothing, and may be much: nobody else may be left.
  if ((config_.board->word(endpoint.slot) & contract::kHealthEjected) != 0) return;
  failed_here_[endpoint.slot] = outcome == Outcome::success ? 0 : endpoint.incarnation;
  contract::Mail mail;
  mail.kind = contract::MailKind::endpoint_event;
  mail.outcome = outcome;
  mail.core = static_cast<u16>(config_.core);
  mail.endpoint_slot = endpoint.slot;
  if (outcome != contract::Outcome::success) {  // else the response says it
    page().recorder.note<EventKind::mail_out>({.code = static_cast<u8>(mail.kind), .half = static_cast<u16>(outcome), .x = endpoint.slot});
  }
  if (!outbox_.push(mail)) page().count(contract::Counter::events_dropped);
}

// The exchange's connection or stream broke, or never opened: another try where that is safe, else the client hears of it.
void Relay::upstream_failed(u32 index, contract::Outcome outcome, Failure failure) {
  Exchange& x = exchanges_[index];
  const Upstream& up = upstreams_[x.upstream];
  const bool opened = up.state != UpstreamState::connecting;
  const bool stale = up.reused && up.h2 == kNone32;
  const bool processed = opened && failure != Failure::unprocessed;
  const contract::Endpoint& endpoint = x.plan->endpoints[x.endpoint];
  auto& numbers = stats_.endpoints[endpoint.slot];
  (opened ? numbers.resets : numbers.connect_failures).add();
  // An idle connection that the endpoint closed as we wrote to it says nothing about the endpoint, nor does GOAWAY, nor how
  // an application ends a tunnel that has served.
  const bool served = x.tunnel && x.body_started;
  if (!stale && !served && (processed || !opened)) tell_control(endpoint, outcome);
  release_upstream(index, After::abort);
  if (x.response_started) {
    page().count(contract::Counter::upstream_aborts);
    return break_off(index);
  }
  if (opened && (stale || !processed) && is_whole(x) && try_at_once(x, processed)) return dispatch_again(index);
  const TryEnd end{!opened ? TryEnd::Kind::not_connected : !processed ? TryEnd::Kind::refused : TryEnd::Kind::broken};
  if (retry(index, end)) return;
  page().count(contract::Counter::upstream_aborts);
  fail_exchange(index, 503, opened ? "the endpoint closed the connection before it answered"
                                   : "no connection to an endpoint could be opened",
                opened ? "UC" : "UF");
}

// A try that failed without fault of the endpoint is made again without waiting and without being counted: on a pooled
// connection that had just ended, where the method allows it; or refused unprocessed (GOAWAY and the limit of streams meet
// many at once, some again and again).
bool Relay::try_at_once(Exchange& x, bool processed) {
  const contract::RetryPolicy& policy = retry_policy(x);
  if (policy.retries == 0) return false;
  if (processed) {
    if (!is_safe_to_repeat(policy, {TryEnd::Kind::broken}, x.method)) return false;
    --x.attempts;
    return true;
  }
  if ((policy.on & contract::kOnRefusedStream) == 0) return false;
  if (x.attempts > policy.retries) {
    if (x.refused_rounds == kRefusedRoundsMax) return false;
    x.attempts = 0;
    ++x.refused_rounds;
  }
  return true;
}

}  // namespace ringway::relay
