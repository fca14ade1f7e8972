// Back to the client: response heads and bodies, the end of an exchange, its failures, and tunnels.

#include <algorithm>
#include <cstring>

#include "dataplane/relay/relay.h"

namespace ringway::relay {

using contract::EventKind;
using Fields = contract::EventFields;

namespace {

// Room that TCP needs in front of bytes to send them from where they are: Ethernet, IPv4, TCP with timestamps.
constexpr u32 kHeaderReserve = 14 + 20 + 20 + 12;

}  // namespace

// Reads response heads until the final one: interim ones pass, 101 makes a tunnel.
void Relay::read_response(u32 index) {
  while (true) {
    Exchange& x = exchanges_[index];
    if (x.upstream == kNone32) return;
    const tcp::ConnId from = upstreams_[x.upstream].conn;
    const mbuf::Chain& in = engine_.received(from);
    http::ReadResult result;
    if (!in.empty() && (in.bytes() > x.head_bytes_seen || engine_.peer_closed(from))) {
      const http::HeadLimits limits{contract::kHeadBytesMax, contract::kFieldsMax, 0};
      result = http::read_response(in.front(), x.method, limits, response_head_);
      if (result.status == http::ReadStatus::incomplete && in.slices() > 1) {
        const u32 n = in.copy_out(0, {gathered_.get(), std::min<u32>(in.bytes(), contract::kHeadBytesMax)});
        page().count(contract::Counter::head_copied, n);
        result = http::read_response({gathered_.get(), n}, x.method, limits, response_head_);
      }
    }
    if (result.status == http::ReadStatus::invalid) {
      page().count(contract::Counter::bad_responses);
      tell_control(x.plan->endpoints[x.endpoint], contract::Outcome::bad_response);
      return fail_exchange(index, 502, http::text_of(result.reject).sentence, http::text_of(result.reject).name);
    }
    if (result.status == http::ReadStatus::incomplete) {
      x.head_bytes_seen = in.bytes();
      if (engine_.peer_closed(from)) upstream_failed(index, contract::Outcome::reset);
      return;
    }
    x.head_bytes_seen = 0;
    const u16 status = response_head_.status;
    // Interim responses wait for a client that does not read, or their number would be held here; kWritable goes on.
    if (status < 200 && engine_.send_space(sessions_[x.session].conn) == 0) return;
    x.active_us = now_us_;
    if (status == 101 && x.wants_upgrade) return begin_upgrade(index);
    if (status == 101) {
      page().count(contract::Counter::bad_responses);
      return fail_exchange(index, 502, "the endpoint switched protocols without being asked", "UPE");
    }
    if (status >= 200) return begin_response(index);
    forward_interim(index);
    if (!exchanges_.used(index)) return;
  }
}

// Writes the head in `response_head_` as the client shall see it to scratch; it may then be let go. Returns its bytes.
u32 Relay::write_response_head(const http::ResponseEdit& edit) {
  const u32 n = http::write_response(response_head_, edit, {written_.get(), kWrittenHeadMax});
  RW_ASSERT(n != 0);
  return n;
}

// Queues the `n` bytes of head in scratch for the client, in front of `body` in the same packet where that has room.
void Relay::send_written(u32 index, u32 n, mbuf::Chain body) {
  Exchange& x = exchanges_[index];
  if (u8* room = body.grow_front(n, kHeaderReserve)) {
    std::memcpy(room, written_.get(), n);
  } else {
    mbuf::Chain bytes = to_chain({written_.get(), n});
    if (bytes.bytes() != n) return abort_session(x.session);
    bytes.append(std::move(body));
    body = std::move(bytes);
  }
  engine_.send(sessions_[x.session].conn, std::move(body));
}

void Relay::forward_interim(u32 index) {
  Exchange& x = exchanges_[index];
  if (x.client_minor >= 1) {  // RFC 9110 15.2: not to an HTTP/1.0 client
    page().count(contract::Counter::responses_1xx);
    const u32 n = write_response_head({.via = x.plan->via});
    engine_.discard(upstreams_[x.upstream].conn, response_head_.bytes);
    return send_written(index, n, pools_.chain());
  }
  engine_.discard(upstreams_[x.upstream].conn, response_head_.bytes);
}

void Relay::begin_upgrade(u32 index) {
  Exchange& x = exchanges_[index];
  count_status(x, 101);
  const u32 n = write_response_head({.via = x.plan->via, .upgrade = true});
  engine_.discard(upstreams_[x.upstream].conn, response_head_.bytes);
  send_written(index, n, pools_.chain());
  if (!exchanges_.used(index)) return;
  page().count(contract::Counter::tunnels);
  x.head.clear();
  x.status = 101;
  x.tunnel = true;
  x.response_started = true;
  x.request_done = false;  // from here on: the client's direction has ended
  pump_tunnel(index);
}

// The final head is in `response_head_`: decides how the response ends for the client and sends it with the bytes of
// the body that are there.
void Relay::begin_response(u32 index) {
  Exchange& x = exchanges_[index];
  Session& s = sessions_[x.session];
  const tcp::ConnId from = upstreams_[x.upstream].conn;
  const http::ResponseHead& head = response_head_;
  const contract::Limits& limits = x.plan->limits;

  x.status = head.status;
  count_status(x, head.status);
  note<EventKind::response>(x, [&] { return Fields{.half = head.status, .x = x.plan->endpoints[x.endpoint].slot}; });
  tell_control(x.plan->endpoints[x.endpoint],
               head.status >= 500 ? contract::Outcome::bad_status : contract::Outcome::success);
  x.response_started = true;
  x.head.clear();
  x.keep_upstream = head.keep_alive && head.framing != http::Framing::until_close;
  x.unwrap_chunked = x.client_minor == 0 && head.framing == http::Framing::chunked;
  x.close_client = !x.client_keep_alive || draining_ || said_all(s) || !x.request_done ||
                   head.framing == http::Framing::until_close || x.unwrap_chunked ||
                   (limits.requests_per_connection != 0 && s.requests >= limits.requests_per_connection);
  http::ResponseEdit edit{.via = x.plan->via};
  edit.close = x.close_client;
  edit.keep_alive_1_0 = !x.close_client && x.client_minor == 0;
  edit.chunked_to_close = x.unwrap_chunked;
  edit.upstream_service_ms = (now_us_ - x.attempt_started_us) / 1000;

  const u32 n = write_response_head(edit);
  engine_.discard(from, head.bytes);
  x.response_body.begin(head.framing, head.content_length);
  const u32 space = engine_.send_space(s.conn);
  Moved moved = move_body(x.response_body, from, space > n ? space - n : 0, x.unwrap_chunked);
  stats_.services[x.plan->services[x.service].slot].bytes_out.add(moved.bytes.bytes());
  send_written(index, n, std::move(moved.bytes));
  if (!exchanges_.used(index)) return;
  if (moved.reject != http::Reject::none || moved.short_of_memory) return break_response(index, moved);
  pump_response(index);
}

// The body cannot go on because of what the endpoint sent or because memory is short.
void Relay::break_response(u32 index, const Moved& moved) {
  if (moved.short_of_memory) {
    page().count(contract::Verdict::no_mbuf);
  } else {
    page().count(contract::Counter::bad_responses);
  }
  break_off(index);
}

// The response cannot be finished. What has come is still delivered; then the connection ends before the body does,
// which the client sees by its length or the missing last chunk. A body that ends with the connection would look whole:
// that client gets a reset (RFC 9112 section 8).
void Relay::break_off(u32 index) {
  const Exchange& x = exchanges_[index];
  const u32 session = x.session;
  if (x.tunnel || x.unwrap_chunked || x.response_body.framing() == http::Framing::until_close) {
    return abort_session(session);
  }
  end_exchange(index);
  linger(session);
}

// Response body towards the client, as far as the client's send budget allows.
void Relay::pump_response(u32 index) {
  Exchange& x = exchanges_[index];
  if (x.response_done || x.upstream == kNone32) return;
  const tcp::ConnId from = upstreams_[x.upstream].conn;
  const Session& s = sessions_[x.session];
  // Until nothing is left or the client's budget is found to be spent: only then kWritable will call again.
  while (!x.response_body.done()) {
    const u32 space = engine_.send_space(s.conn);
    if (space == 0) break;
    Moved moved = move_body(x.response_body, from, space, x.unwrap_chunked);
    if (moved.reject != http::Reject::none || moved.short_of_memory) return break_response(index, moved);
    if (moved.bytes.empty()) break;
    x.active_us = now_us_;
    stats_.services[x.plan->services[x.service].slot].bytes_out.add(moved.bytes.bytes());
    engine_.send(s.conn, std::move(moved.bytes));
  }
  if (!x.response_body.done() && engine_.peer_closed(from) && engine_.received(from).empty() &&
      !x.response_body.connection_closed()) {
    return upstream_failed(index, contract::Outcome::reset);
  }
  if (x.response_body.done()) response_end(index);
}

void Relay::response_end(u32 index) {
  Exchange& x = exchanges_[index];
  x.response_done = true;
  const u32 session = x.session;
  const tcp::ConnId from = upstreams_[x.upstream].conn;
  const bool clean = x.request_done && x.keep_upstream && engine_.received(from).empty() && !engine_.peer_closed(from);
  const bool close_client = x.close_client || !x.request_done || draining_;
  release_upstream(index, clean ? After::keep : x.request_done ? After::close : After::abort);
  stats_.services[x.plan->services[x.service].slot].latency_us.record(now_us_ - x.started_us);
  end_exchange(index);
  Session& s = sessions_[session];
  s.state = SessionState::reading_head;
  s.waiting_since_us = now_us_;
  if (close_client) linger(session);
}

void Relay::count_status(const Exchange& x, u16 status) {
  const u32 klass = std::min<u32>(status / 100, 5);
  stats_.services[x.plan->services[x.service].slot].responses[klass].add();
  if (x.endpoint != kNone32) stats_.endpoints[x.plan->endpoints[x.endpoint].slot].responses[klass].add();
  if (klass >= 2) {
    page().count(static_cast<contract::Counter>(static_cast<u32>(contract::Counter::responses_2xx) + klass - 2));
  }
}

// Ends an exchange that has no response yet with one of our own.
void Relay::fail_exchange(u32 index, u16 status, std::string_view text, std::string_view flag) {
  Exchange& x = exchanges_[index];
  const u32 session = x.session;
  if (x.tunnel || x.response_started) return abort_session(session);
  stats_.services[x.plan->services[x.service].slot].responses[std::min<u32>(status / 100, 5)].add();
  stats_.services[x.plan->services[x.service].slot].latency_us.record(now_us_ - x.started_us);
  Session& s = sessions_[session];
  const bool close = !x.request_done || !x.client_keep_alive || draining_ || said_all(s);
  const bool head_only = x.method == http::Method::head;
  end_exchange(index);
  s.state = SessionState::reading_head;
  answer(session, {.status = status, .text = text, .flag = "flag", .flag_value = flag, .head_only = head_only,
                   .close = close});
}

// Lets go of all that an exchange holds. Its session stays.
void Relay::end_exchange(u32 index) {
  Exchange& x = exchanges_[index];
  note<EventKind::request_end>(x, [&] { return Fields{.half = x.status, .x = static_cast<u32>(now_us_ - x.started_us)}; });
  release_upstream(index, After::abort);
  stats_.services[x.plan->services[x.service].slot].active.sub();
  sessions_[x.session].exchange = kNone32;
  release(*x.plan);
  exchanges_.free(index);
}

// Bytes both ways; each direction ends on its own (half-close).
void Relay::pump_tunnel(u32 index) {
  Exchange& x = exchanges_[index];
  if (x.upstream == kNone32 || upstreams_[x.upstream].state == UpstreamState::connecting) return;
  const tcp::ConnId client = sessions_[x.session].conn;
  const tcp::ConnId endpoint = upstreams_[x.upstream].conn;
  bool short_of_memory = false;
  const auto move = [&](tcp::ConnId from, tcp::ConnId to, bool& ended) -> u32 {
    u32 moved = 0;
    while (!engine_.received(from).empty()) {
      const u32 space = engine_.send_space(to);
      if (space == 0) break;
      mbuf::Chain bytes = engine_.take(from, space);
      if (bytes.empty()) {
        short_of_memory = true;
        break;
      }
      moved += bytes.bytes();
      engine_.send(to, std::move(bytes));
    }
    if (moved > 0) {
      x.active_us = now_us_;
      x.body_started = true;
    }
    if (!ended && engine_.peer_closed(from) && engine_.received(from).empty()) {
      ended = true;
      engine_.shutdown(to);
    }
    return moved;
  };
  auto& numbers = stats_.services[x.plan->services[x.service].slot];
  numbers.bytes_in.add(move(client, endpoint, x.request_done));
  numbers.bytes_out.add(move(endpoint, client, x.response_done));
  if (short_of_memory) {
    page().count(contract::Verdict::no_mbuf);
    return abort_session(x.session);
  }
  arm_session(x.session);
  if (x.request_done && x.response_done) end_tunnel(index);
}

// Both directions have ended in order.
void Relay::end_tunnel(u32 index) {
  const u32 session = exchanges_[index].session;
  release_upstream(index, After::close);
  end_exchange(index);
  engine_.close(sessions_[session].conn);
  free_session(session);
}

}  // namespace ringway::relay
