// Tunnels: bytes both ways, each direction ending on its own. TCP services from their first byte, HTTP/1.1 connections
// after 101, HTTP/2 streams after an extended CONNECT was answered.

#include "dataplane/relay/relay.h"

namespace ringway::relay {

// A connection of a service without appProtocol: as long as no byte has passed it may still go to another endpoint.
void Relay::begin_tunnel(u32 index) {
  Exchange& x = open_exchange(index, kNone32, plan_->listeners[sessions_[index].listener].service);
  x.tunnel = true;
  page().count(contract::Counter::tunnels);
  stats_.services[x.plan->services[x.service].slot].requests.add();
  request_head_ = {};
  dispatch(sessions_[index].exchange, request_head_);
}

void Relay::pump_tunnel(u32 index) {
  Exchange& x = exchanges_[index];
  if (x.upstream == kNone32 || upstreams_[x.upstream].state == UpstreamState::connecting) return;
  if (x.retrying) end_retry(x);  // it has come to a connection, which may live long beyond the budget of retries
  const Leg client = client_leg(x);
  const Leg endpoint = endpoint_leg(x);
  const bool laden = endpoint.h2() && is_laden(x.upstream);
  bool short_of_memory = false;
  const auto move = [&](const Leg& from, const Leg& to, BodyWay& way, bool& ended) -> u32 {
    u32 moved = 0;
    // Of a request that was tried before, and switches protocols before its body has gone out again, that comes first.
    while (!way.again.empty() || !(from.h2() ? h2_.received(from.stream) : engine_.received(from.conn)).empty()) {
      const u32 room = space(to);
      if (room == 0) {
        wait_for_space(to);
        break;
      }
      mbuf::Chain bytes = !way.again.empty() ? way.again.take_front(room)
                          : from.h2()        ? h2_.take(from.stream, room)
                                             : engine_.take(from.conn, room);
      const u32 n = bytes.bytes();
      if (n == 0 || !put_body(to, way, std::move(bytes), false, false)) {
        short_of_memory = true;
        break;
      }
      if (from.h2()) flush_h2(h2_.conn_of(from.stream), from.conn);
      moved += n;
    }
    if (moved > 0) {
      x.active_us = now_us_;
      x.body_started = true;
    }
    if (!ended && way.again.empty() && leg_ended(from)) {
      ended = true;
      end_leg(to);
    }
    return moved;
  };
  const bool fresh = !x.body_started;
  auto& numbers = stats_.services[x.plan->services[x.service].slot];
  numbers.bytes_in.add(move(client, endpoint, x.request_body, x.request_done));
  numbers.bytes_out.add(move(endpoint, client, x.response_body, x.response_done));
  if (fresh && x.body_started) tell_control(x.plan->endpoints[x.endpoint], contract::Outcome::success);
  if (short_of_memory) {
    page().count(contract::Verdict::no_mbuf);
    return abort_exchange(index);
  }
  if (laden && !is_laden(x.upstream)) note_free(upstreams_[x.upstream].service_slot);
  arm_exchange(x);
  if (x.request_done && x.response_done) end_tunnel(index);
}

// Nothing has moved for as long as the service allows: both sides are told that this is the end, what is queued first.
// One that never came to a connection is reset, as where there is no endpoint.
void Relay::time_out_tunnel(u32 index) {
  if (exchanges_[index].pending) return abort_exchange(index);
  page().count(contract::Counter::idle_timeouts);
  exchanges_[index].reset = http::H2Error::cancel;
  end_tunnel(index);
}

// Both directions have ended in order.
void Relay::end_tunnel(u32 index) {
  const u32 session = exchanges_[index].session;
  const bool stream = exchanges_[index].stream != kNone32;
  release_upstream(index, After::close);
  end_exchange(index);
  if (stream) return;
  engine_.close(sessions_[session].conn);
  free_session(session);
}

}  // namespace ringway::relay
