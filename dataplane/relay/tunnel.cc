// Tunnels: bytes both ways, each direction ending on its own. TCP services from their first byte, HTTP/1.1 connections
// after 101, HTTP/2 streams after an extended CONNECT was answered.

#include "dataplane/relay/relay.h"

namespace ringway::relay {

// A connection of a service without appProtocol.
void Relay::begin_tunnel(u32 index) {
  open_exchange(index, kNone32, plan_->listeners[sessions_[index].listener].service).tunnel = true;
  page().count(contract::Counter::tunnels);
  request_head_ = {};
  dispatch(sessions_[index].exchange, request_head_);
}

// The endpoint has switched protocols, as the client asked; its head is in `response_head_`.
void Relay::begin_upgrade(u32 index) {
  Exchange& x = exchanges_[index];
  count_status(x, 101);
  x.tunnel = true;
  http::ResponseEdit edit{.via = x.plan->via, .upgrade = true};
  if (x.cookie != 0) edit.cookie = cookie_of(x);
  send_response_head(index, edit, false);
  if (!exchanges_.used(index)) return;
  engine_.discard(upstreams_[x.upstream].conn, response_head_.bytes);
  page().count(contract::Counter::tunnels);
  x.head.clear();
  x.status = 101;
  x.response_started = true;
  x.request_done = false;  // from here on: the client's direction has ended
  pump_tunnel(index);
}

void Relay::pump_tunnel(u32 index) {
  Exchange& x = exchanges_[index];
  if (x.upstream == kNone32 || upstreams_[x.upstream].state == UpstreamState::connecting) return;
  const Leg client = client_leg(x);
  const Leg endpoint = endpoint_leg(x);
  bool short_of_memory = false;
  const auto move = [&](const Leg& from, const Leg& to, bool& ended) -> u32 {
    u32 moved = 0;
    while (!(from.h2() ? h2_.received(from.stream) : engine_.received(from.conn)).empty()) {
      const u32 room = space(to);
      if (room == 0) {
        wait_for_space(to);
        break;
      }
      BodyWay way;  // its bytes have no form of their own
      mbuf::Chain bytes = from.h2() ? h2_.take(from.stream, room) : engine_.take(from.conn, room);
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
    if (!ended && leg_ended(from)) {
      ended = true;
      end_leg(to);
    }
    return moved;
  };
  auto& numbers = stats_.services[x.plan->services[x.service].slot];
  numbers.bytes_in.add(move(client, endpoint, x.request_done));
  numbers.bytes_out.add(move(endpoint, client, x.response_done));
  if (short_of_memory) {
    page().count(contract::Verdict::no_mbuf);
    return abort_exchange(index);
  }
  arm_exchange(x);
  if (x.request_done && x.response_done) end_tunnel(index);
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
