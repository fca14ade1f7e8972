// Endpoints that speak HTTP/2: few connections for each, many streams on each. The pick comes first; among the picked
// endpoint's connections the first that takes a stream is used, and a new one is opened when none does.

#include <algorithm>

#include "dataplane/http/grpc.h"
#include "dataplane/relay/relay.h"

namespace ringway::relay {

namespace {

std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace

void Relay::list(u32 u) {
  upstreams_[u].listed = true;
  taking_[upstreams_[u].slot].push_front(upstreams_, u);
}

// Takes no further streams.
void Relay::unlist(u32 u) {
  if (!std::exchange(upstreams_[u].listed, false)) return;
  taking_[upstreams_[u].slot].remove(upstreams_, u);
  rest(u, false);
}

// Counted, so that who needs room for another connection looks for one to close only when there is one.
void Relay::rest(u32 u, bool rests) {
  if (std::exchange(upstreams_[u].resting, rests) == rests) return;
  u32& all = pending_[upstreams_[u].service_slot].resting;
  all = rests ? all + 1 : all - 1;
}

// Its streams hold much that their clients do not take: its own window may stop all of them.
bool Relay::is_laden(u32 u) const {
  return h2_.held_bytes(upstreams_[u].h2) > plan_->limits.h2_connection_window_bytes / 2;
}

bool Relay::takes_streams(u32 u) const { return h2_.accepts_streams(upstreams_[u].h2) && !is_laden(u); }

// A connection of the endpoint that takes one more stream, or kNone32.
u32 Relay::take_multiplexed(const contract::Endpoint& endpoint) {
  auto& list = taking_[endpoint.slot];
  u32 next = kNone32;
  for (u32 u = list.front(); u != kNone32; u = next) {
    next = list.next(upstreams_, u);
    const Upstream& up = upstreams_[u];
    if (up.incarnation != endpoint.incarnation || engine_.peer_closed(up.conn) || too_old(up.opened_us)) {
      retire(u);
      continue;
    }
    if (!takes_streams(u)) continue;
    if (up.reused) page().count(contract::Counter::upstream_reused);
    return u;
  }
  return kNone32;
}

// No new streams; the connection ends with its last one.
void Relay::retire(u32 u) {
  unlist(u);
  if (h2_.streams(upstreams_[u].h2) == 0) stream_released(u);
}

// Connections that live for ever gather what their peers leak, and keep what was balanced once as it was.
bool Relay::too_old(TimeUs begun_us) const {
  const u64 most = plan_->limits.h2_age_us;
  return most != 0 && now_us_ - begun_us > most;
}

bool Relay::begin_stream(u32 index, u32 u) {
  const u32 stream = h2_.open_stream(upstreams_[u].h2, index);
  exchanges_[index].upstream_stream = stream;
  if (stream == kNone32) return false;
  rest(u, false);
  return true;
}

// A stream of the connection has ended. The last one starts the clock of idleness; the end itself is left to the timer,
// since a caller may be in the middle of the connection's events.
void Relay::stream_released(u32 u) {
  Upstream& up = upstreams_[u];
  flush_h2(up.h2, up.conn);
  note_free(up.service_slot);
  if (up.state == UpstreamState::connecting) return;
  up.reused = true;
  if (h2_.streams(up.h2) > 0) return;
  rest(u, up.listed);
  up.idle_since_us = now_us_;
  up.armed_us = now_us_ + (up.listed && !draining_ && !h2_.failed(up.h2) ? plan_->limits.upstream_idle_us : 0);
  wheel_.arm(upstream_timer_id(u), up.armed_us);
}

void Relay::multiplexed_upstream_timer(u32 u) {
  Upstream& up = upstreams_[u];
  if (h2_.failed(up.h2)) return end_multiplexed(u, contract::Outcome::reset);
  if (up.state == UpstreamState::connecting) {
    fail_streams(u, contract::Outcome::timed_out, true);
    return free_upstream(u, true);
  }
  if (h2_.streams(up.h2) > 0) return;  // the last one will arm it again
  const TimeUs deadline = up.idle_since_us + plan_->limits.upstream_idle_us;
  if (up.listed && !draining_ && deadline > now_us_) {
    up.armed_us = deadline;
    return wheel_.arm(upstream_timer_id(u), deadline);
  }
  h2_.goaway_final(up.h2, http::H2Error::no_error);
  flush_h2(up.h2, up.conn);
  free_upstream(u, false);
}

// Whether the endpoint has said all that the exchange needs of it; the client may have to take it yet.
bool Relay::has_whole_response(const Exchange& x) const {
  return x.response_started && h2_.peer_ended(x.upstream_stream) && (!x.tunnel || x.request_done);
}

// The connection is over. Exchanges whose response is here are left to their clients, and it goes with the last of them;
// from now on it is none of those that the service may have.
void Relay::end_multiplexed(u32 u, contract::Outcome outcome) {
  fail_streams(u, outcome, false);
  Upstream& up = upstreams_[u];
  if (h2_.streams(up.h2) == 0) return free_upstream(u, false);
  if (std::exchange(up.state, UpstreamState::over) == UpstreamState::over) return;
  stats_.services[up.service_slot].upstreams.sub();
  note_free(up.service_slot);
}

// The exchanges of a connection fail, and each may go on elsewhere; those whose response is here only if `whole_too`.
void Relay::fail_streams(u32 u, contract::Outcome outcome, bool whole_too) {
  unlist(u);
  const u32 h2 = upstreams_[u].h2;
  for (u32 stream = h2_.first_stream(h2); stream != kNone32;) {
    const u32 x = static_cast<u32>(h2_.user(stream));
    if (!whole_too && has_whole_response(exchanges_[x])) {
      stream = h2_.next_stream(h2, stream);
      continue;
    }
    const u32 session = exchanges_[x].session;
    upstream_failed(x, outcome);
    if (sessions_.used(session)) advance(session);
    stream = h2_.first_stream(h2);  // any of them may have ended meanwhile
  }
}

void Relay::on_multiplexed_upstream(u32 u, const tcp::AppEvent& event) {
  const u32 h2 = upstreams_[u].h2;
  const tcp::ConnId conn = upstreams_[u].conn;
  const bool closed = (event.bits & tcp::kClosed) != 0;
  if ((event.bits & tcp::kConnected) != 0) {
    upstreams_[u].state = UpstreamState::busy;
    stats_.endpoints[upstreams_[u].slot].connections.add();
    for (u32 stream = h2_.first_stream(h2), next; stream != kNone32; stream = next) {
      next = h2_.next_stream(h2, stream);
      pump_request(static_cast<u32>(h2_.user(stream)));
    }
    if (h2_.streams(h2) == 0) stream_released(u);
  }
  const bool opened = upstreams_[u].state == UpstreamState::busy;
  const u32 bytes = engine_.received(conn).bytes();
  if (bytes > 0) {
    const bool knew = h2_.settings_came(h2);
    const u32 took = h2_.peer_streams_max(h2);
    h2_.input(h2, engine_.take(conn, bytes), now_us_);
    http::H2Event seen;
    while (h2_.next_event(h2, seen)) on_endpoint_event(u, seen);
    if (!knew && h2_.settings_came(h2)) ask_waiting(u);
    const u32 takes = h2_.peer_streams_max(h2);
    if (takes > took) note_free(upstreams_[u].service_slot);
    streams_taken_[upstreams_[u].slot] = static_cast<u8>(std::clamp<u32>(takes, 1, http::kH2PeerStreamsUnknown));
    flush_h2(h2, conn);
  }
  run_writable(h2, conn, &Relay::pump_request);
  const bool over = closed || engine_.peer_closed(conn) || h2_.failed(h2);
  if (!over) return;
  if (closed) upstreams_[u].conn = {};
  end_multiplexed(u, event.reason == tcp::CloseReason::timed_out ? contract::Outcome::timed_out
                     : opened                                    ? contract::Outcome::reset
                                                                 : contract::Outcome::connect_failed);
}

void Relay::on_endpoint_event(u32 u, const http::H2Event& event) {
  using Kind = http::H2EventKind;
  if (event.kind == Kind::goaway) return retire(u);
  if (event.stream == kNone32) return;
  const u32 index = static_cast<u32>(event.user);
  const u32 session = exchanges_[index].session;
  switch (event.kind) {
    case Kind::head: read_stream_response(index, event); break;
    case Kind::data: pump_response(index); break;
    case Kind::trailers:
      if (const Exchange& x = exchanges_[index]; x.grpc) {
        note_grpc_status(x, http::grpc_status(as_text(event.text)).value_or(static_cast<u32>(http::GrpcStatus::unknown)));
      }
      on_stream_trailers(exchanges_[index].response_body, event.text);
      pump_response(index);
      break;
    case Kind::reset:
      exchanges_[index].upstream_stream = kNone32;
      stream_broke(index, event);
      break;
    default: break;
  }
  if (sessions_.used(session)) advance(session);
}

// The endpoint, or H2Engine for what the endpoint sent, has ended the stream early.
void Relay::stream_broke(u32 index, const http::H2Event& event) {
  const bool malformed = !event.by_peer && event.error == http::H2Error::protocol_error;
  if (malformed) page().count(contract::Counter::bad_responses);
  if (malformed && !exchanges_[index].response_started) {
    tell_control(exchanges_[index].plan->endpoints[exchanges_[index].endpoint], contract::Outcome::bad_response);
    return fail_exchange(index, 502, "the endpoint sent a malformed response", "UPE");
  }
  upstream_failed(index, contract::Outcome::reset,
                  event.error == http::H2Error::refused_stream ? Failure::unprocessed : Failure::stream);
}

// A response head has come as text; interim ones pass.
void Relay::read_stream_response(u32 index, const http::H2Event& event) {
  Exchange& x = exchanges_[index];
  if (event.too_large) return bad_response(index, http::Reject::head_too_large);
  const http::HeadLimits limits{contract::kHeadBytesMax, contract::kFieldsMax, 0};
  const auto result = http::read_response(event.text, x.method, limits, response_head_);
  if (result.status != http::ReadStatus::complete) {
    return bad_response(index, result.status == http::ReadStatus::invalid ? result.reject : http::Reject::bad_status_line);
  }
  x.active_us = now_us_;
  response_never_ = event.never_indexed;
  if (response_head_.status == 101) return begin_upgrade(index);  // H2Engine's word for what an extended CONNECT got
  if (response_head_.status < 200) return forward_interim(index);
  if (x.wants_upgrade) end_leg(endpoint_leg(x));  // refused: the other direction was open for the tunnel
  begin_response(index, event.end || response_head_.framing == http::Framing::none);
}

// Kept until the body before it has gone.
void Relay::on_stream_trailers(BodyWay& way, Bytes text) { way.trailers = to_chain(text); }

}  // namespace ringway::relay
