// Back to the client: response heads and bodies, the end of an exchange and its failures.

#include <algorithm>

#include "dataplane/http/grpc.h"
#include "dataplane/relay/relay.h"

namespace ringway::relay {

using contract::EventKind;
using Fields = contract::EventFields;

namespace {

constexpr TimeUs kLateUs = 1'000'000;  // an endpoint that took longer is late, whoever set the deadline

}  // namespace

namespace {

// What an answer says of its endpoint's health. `grpc_status`: -1 when there is none.
contract::Outcome outcome_of_answer(u16 status, i32 grpc_status) {
  using contract::Outcome;
  if (grpc_status >= 0 && status < 500) {
    const u32 code = static_cast<u32>(grpc_status);
    if (!http::is_grpc_failure(code)) return Outcome::success;
    return http::is_grpc_gateway_failure(code) ? Outcome::gateway_error : Outcome::bad_status;
  }
  if (status < 500) return Outcome::success;
  return status >= 502 && status <= 504 ? Outcome::gateway_error : Outcome::bad_status;
}

}  // namespace

// Reads response heads from an HTTP/1.1 endpoint until the final one: interim ones pass, 101 makes a tunnel.
void Relay::read_response(u32 index) {
  while (true) {
    Exchange& x = exchanges_[index];
    if (x.upstream == kNone32 || x.upstream_stream != kNone32) return;
    const tcp::ConnId from = upstreams_[x.upstream].conn;
    const mbuf::Chain& in = engine_.received(from);
    http::ReadResult result;
    if (!in.empty() && (in.bytes() > x.head_bytes_seen || engine_.peer_closed(from))) {
      const http::HeadLimits limits{contract::kHeadBytesMax, contract::kFieldsMax, 0};
      result = http::read_response(in.front(), x.method, limits, response_head_);
      if (result.status == http::ReadStatus::incomplete && in.slices() > 1) {
        const Bytes whole = contiguous(in);
        page().count(contract::Counter::head_copied, whole.size());
        result = http::read_response(whole, x.method, limits, response_head_);
      }
    }
    if (result.status == http::ReadStatus::invalid) return bad_response(index, result.reject);
    if (result.status == http::ReadStatus::incomplete) {
      x.head_bytes_seen = in.bytes();
      if (engine_.peer_closed(from)) upstream_failed(index, contract::Outcome::reset);
      return;
    }
    x.head_bytes_seen = 0;
    response_never_ = {};
    const u16 status = response_head_.status;
    // Interim responses wait for a client that does not read, or their number would be held here; kWritable goes on.
    if (status < 200 && engine_.send_space(sessions_[x.session].conn) == 0) return;
    x.active_us = now_us_;
    if (status == 101 && x.wants_upgrade) return begin_upgrade(index);
    if (status == 101) {
      page().count(contract::Counter::bad_responses);
      return fail_exchange(index, 502, "the endpoint switched protocols without being asked", "UPE");
    }
    // A 2xx would tell a client over HTTP/2 that its tunnel is open (RFC 8441 section 5).
    if (x.wants_upgrade && x.stream != kNone32 && status >= 200 && status < 300) [[unlikely]] {
      return fail_exchange(index, 501, "the endpoint switched to no other protocol", "protocol");
    }
    if (status >= 200) return begin_response(index, response_head_.framing == http::Framing::none);
    forward_interim(index);
    if (!exchanges_.used(index)) return;
    engine_.discard(from, response_head_.bytes);
  }
}

void Relay::bad_response(u32 index, http::Reject reject) {
  Exchange& x = exchanges_[index];
  page().count(contract::Counter::bad_responses);
  tell_control(x.plan->endpoints[x.endpoint], contract::Outcome::bad_response);
  fail_exchange(index, 502, http::text_of(reject).sentence, http::text_of(reject).name);
}

// The cookie that brings the client back to the endpoint it was given by.
const http::SetCookie* Relay::cookie_of(const Exchange& x) {
  const contract::Service& service = x.plan->services[x.service];
  cookie_ = {service.hash_name, route::cookie_text(x.cookie, cookie_text_), service.pools.cookie_attributes};
  return &cookie_;
}

// Sends the head in `response_head_` as the client shall see it, without a body. The head may then be let go.
void Relay::send_response_head(u32 index, const http::ResponseEdit& edit, bool end) {
  Exchange& x = exchanges_[index];
  if (x.stream != kNone32) {
    const bool sent = h2_.send_response(x.stream, response_head_, edit, response_never_, end);
    flush_h2(h2_.conn_of(x.stream), sessions_[x.session].conn);
    if (!sent) abort_exchange(index);
    return;
  }
  const u32 n = http::write_response(response_head_, edit, {written_.get(), kWrittenHeadMax});
  RW_ASSERT(n != 0);
  send_written(index, n, pools_.chain());
}

// Queues the `n` bytes of head in scratch for the client, in front of `body` in the same packet where that has room.
void Relay::send_written(u32 index, u32 n, mbuf::Chain body) {
  const Exchange& x = exchanges_[index];
  if (!put_in_front(body, {written_.get(), n})) return abort_session(x.session);
  engine_.send(sessions_[x.session].conn, std::move(body));
}

void Relay::forward_interim(u32 index) {
  const Exchange& x = exchanges_[index];
  if (x.stream == kNone32 && x.client_minor == 0) return;  // RFC 9110 15.2: not to an HTTP/1.0 client
  page().count(contract::Counter::responses_1xx);
  send_response_head(index, {.via = x.plan->via, .from_h2 = x.upstream_stream != kNone32}, false);
}

// The final head is in `response_head_`: decides how the response ends for the client and sends it with the bytes of
// the body that are there. `ended`: no body comes.
void Relay::begin_response(u32 index, bool ended) {
  Exchange& x = exchanges_[index];
  Session& s = sessions_[x.session];
  const http::ResponseHead& head = response_head_;
  const contract::Limits& limits = x.plan->limits;
  const bool from_h2 = x.upstream_stream != kNone32;
  const bool to_h2 = x.stream != kNone32;
  const bool chunked_to_1_0 = !to_h2 && x.client_minor == 0 && head.framing == http::Framing::chunked;

  const auto grpc_status = x.grpc ? http::grpc_status(head) : std::nullopt;
  if (head.status >= 400 || grpc_status.value_or(0) != 0) [[unlikely]] {
    const TryEnd end{TryEnd::Kind::answered, head.status, ended && grpc_status ? static_cast<i32>(*grpc_status) : -1};
    if (answered_badly(index, end, ended)) return;
  }
  http::ResponseEdit edit{.via = x.plan->via};
  if (x.actions != kNone32 && !edit_response(index, edit)) return;
  note_latency(x);

  x.status = head.status;
  count_status(x, head.status);
  note<EventKind::response>(x, [&] { return Fields{.half = head.status, .x = x.plan->endpoints[x.endpoint].slot}; });
  if (head.status >= 500) {
    tell_control(x.plan->endpoints[x.endpoint], outcome_of_answer(head.status, -1));
  } else if (grpc_status) {
    note_grpc_status(x, *grpc_status);
  } else if (!x.grpc) {
    tell_control(x.plan->endpoints[x.endpoint], contract::Outcome::success);
  }
  x.response_started = true;
  x.head.clear();
  x.kept.clear();
  x.keep_upstream = head.keep_alive && head.framing != http::Framing::until_close;
  x.response_body.reader.begin(head.framing, head.content_length);
  x.response_body.unwrap = !from_h2 && (to_h2 || chunked_to_1_0);
  x.response_chunked = from_h2 && !chunked_to_1_0 && head.framing == http::Framing::chunked;
  x.ends_by_close = !to_h2 && (head.framing == http::Framing::until_close || chunked_to_1_0);
  x.close_client = !to_h2 && (!x.client_keep_alive || draining_ || s.goaway_sent || said_all(s) || !x.request_done || x.ends_by_close ||
                              (limits.requests_per_connection != 0 && s.requests >= limits.requests_per_connection));
  edit.from_h2 = from_h2;
  edit.close = x.close_client;
  edit.keep_alive_1_0 = !x.close_client && x.client_minor == 0;
  edit.chunked_to_close = chunked_to_1_0;
  edit.upstream_service_ms = (now_us_ - x.attempt_started_us) / 1000;
  if (x.cookie != 0) [[unlikely]] edit.cookie = cookie_of(x);

  if (to_h2) {
    send_response_head(index, edit, ended);
    if (!exchanges_.used(index)) return;
    if (!from_h2) engine_.discard(upstreams_[x.upstream].conn, head.bytes);
    return ended ? response_end(index) : pump_response(index);
  }
  const u32 n = http::write_response(head, edit, {written_.get(), kWrittenHeadMax});
  RW_ASSERT(n != 0);
  const Leg from = endpoint_leg(x);
  if (!from_h2) engine_.discard(from.conn, head.bytes);
  const u32 room = engine_.send_space(s.conn);
  Moved moved = take_body(from, x.response_body, room > n ? room - n : 0);
  stats_.services[x.plan->services[x.service].slot].bytes_out.add(moved.bytes.bytes());
  if (x.response_chunked && !ended && !wrap_chunk(x.response_body, moved.bytes, moved.end)) return abort_exchange(index);
  send_written(index, n, std::move(moved.bytes));
  if (!exchanges_.used(index)) return;
  if (moved.reject != http::Reject::none || moved.short_of_memory) return break_response(index, moved);
  if (moved.end || ended) return response_end(index);
  pump_response(index);
}

// What a call came to, for the endpoint's health and for the counters.
void Relay::note_grpc_status(const Exchange& x, u32 status) {
  const contract::Endpoint& endpoint = x.plan->endpoints[x.endpoint];
  if (http::is_grpc_failure(status)) stats_.endpoints[endpoint.slot].grpc_failures.add();
  tell_control(endpoint, outcome_of_answer(200, static_cast<i32>(status)));
  page().count(status == 0 ? contract::Counter::grpc_ok : contract::Counter::grpc_errors);
}

// The endpoint has answered with a status that may be worth another try, head in `response_head_`. True: there is one, and
// the client does not see this answer.
bool Relay::answered_badly(u32 index, const TryEnd& end, bool ended) {
  Exchange& x = exchanges_[index];
  const contract::Endpoint& endpoint = x.plan->endpoints[x.endpoint];
  const Leg from = endpoint_leg(x);
  // A small body that has come already is thrown away, else the connection with it.
  const http::ResponseHead& head = response_head_;
  const u64 whole = head.bytes + (head.framing == http::Framing::length ? head.content_length : 0);
  const bool complete = ended || (head.framing == http::Framing::length && engine_.received(from.conn).bytes() == whole);
  const bool clean = x.request_done && (from.h2() ? ended : head.keep_alive && complete && !engine_.peer_closed(from.conn));
  const auto wait_us = wait_before_retry(x, end);
  if (!wait_us) return false;
  if (clean && !from.h2()) engine_.discard(from.conn, static_cast<u32>(ended ? head.bytes : whole));
  retry_after(index, *wait_us, clean ? After::keep : After::abort);
  stats_.endpoints[endpoint.slot].responses[std::min<u32>(end.status / 100, 5)].add();
  tell_control(endpoint, outcome_of_answer(end.status, end.grpc_status));
  return true;
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
// that client gets a reset (RFC 9112 section 8), as a stream does (RFC 9113 8.1). A gRPC call ends by trailers: of a reset its
// library makes INTERNAL ("Errors" in PROTOCOL-HTTP2), which says less.
void Relay::break_off(u32 index) {
  const Exchange& x = exchanges_[index];
  const u32 session = x.session;
  if (x.stream != kNone32 && x.grpc && !x.tunnel) return end_call(index, "grpc-status: 14\r\ngrpc-message: the answer broke off\r\n");
  if (x.stream != kNone32 || x.tunnel || x.ends_by_close) return abort_exchange(index);
  end_exchange(index);
  linger(session);
}

// Ends a gRPC call in the middle of its response by a status of ours.
void Relay::end_call(u32 index, std::string_view trailers) {
  const bool sent = h2_.send_trailers(exchanges_[index].stream, {reinterpret_cast<const u8*>(trailers.data()), trailers.size()});
  page().count(contract::Counter::grpc_errors);
  abort_exchange(index, sent ? http::H2Error::no_error : http::H2Error::internal_error);
}

// Response body towards the client, as far as its leg has space.
void Relay::pump_response(u32 index) {
  Exchange& x = exchanges_[index];
  if (x.tunnel) return pump_tunnel(index);
  if (!x.response_started || x.response_done || x.upstream == kNone32) return;
  const Leg from = endpoint_leg(x);
  const Leg to = client_leg(x);
  const bool laden = from.h2() && is_laden(x.upstream);
  // Until nothing is left or the client's budget is found to be spent: only then kWritable will call again.
  while (true) {
    const u32 room = space(to);
    if (room == 0) {
      wait_for_space(to);
      break;
    }
    Moved moved = take_body(from, x.response_body, room);
    if (moved.reject != http::Reject::none || moved.short_of_memory) return break_response(index, moved);
    if (moved.bytes.empty() && !moved.end) break;
    x.active_us = now_us_;
    stats_.services[x.plan->services[x.service].slot].bytes_out.add(moved.bytes.bytes());
    if (!put_body(to, x.response_body, std::move(moved.bytes), moved.end, x.response_chunked)) return abort_exchange(index);
    if (moved.end) return response_end(index);
  }
  if (laden && !is_laden(x.upstream)) [[unlikely]] note_free(upstreams_[x.upstream].service_slot);
  if (!from.h2() && leg_ended(from) && !x.response_body.reader.done()) upstream_failed(index, contract::Outcome::reset);
}

void Relay::response_end(u32 index) {
  Exchange& x = exchanges_[index];
  x.response_done = true;
  const u32 session = x.session;
  const Leg from = endpoint_leg(x);
  const bool clean = x.request_done && (from.h2() || (x.keep_upstream && engine_.received(from.conn).empty() &&
                                                      !engine_.peer_closed(from.conn)));
  const bool h2 = x.stream != kNone32;
  const bool close_client = x.close_client || !x.request_done || draining_ || sessions_[session].goaway_sent;
  release_upstream(index, clean ? After::keep : x.request_done ? After::close : After::abort);
  stats_.services[x.plan->services[x.service].slot].latency_us.record(now_us_ - x.started_us);
  end_exchange(index);
  if (h2) return;
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
void Relay::fail_exchange(u32 index, u16 status, std::string_view text, std::string_view flag, i32 grpc_status) {
  Exchange& x = exchanges_[index];
  const u32 session = x.session;
  if (x.tunnel || x.response_started) return abort_exchange(index);
  stats_.services[x.plan->services[x.service].slot].responses[std::min<u32>(status / 100, 5)].add();
  stats_.services[x.plan->services[x.service].slot].latency_us.record(now_us_ - x.started_us);
  Session& s = sessions_[session];
  http::LocalAnswer reply{.status = status, .text = text, .flag = "flag", .flag_value = flag,
                          .head_only = x.method == http::Method::head, .overloaded = flag == "UO"};
  if (const u32 stream = std::exchange(x.stream, kNone32); stream != kNone32) {
    const bool grpc = x.grpc;
    if (grpc) reply.grpc_status = grpc_status;
    end_exchange(index);
    return answer_stream(session, stream, reply, grpc);
  }
  reply.close = !x.request_done || !x.client_keep_alive || draining_ || s.goaway_sent || said_all(s);
  end_exchange(index);
  s.state = SessionState::reading_head;
  answer(session, reply);
}

// Ends an exchange without a word, or in the middle of one: its stream is reset, or its HTTP/1.1 connection.
void Relay::abort_exchange(u32 index, http::H2Error error) {
  Exchange& x = exchanges_[index];
  if (x.stream == kNone32) return abort_session(x.session);
  x.reset = error;
  end_exchange(index);
}

// Whether a deadline speaks against the endpoint: it has the whole request and said nothing. After other tries, or with a
// deadline of the caller's own, only if it had some time, or callers could take endpoints out of rotation.
bool Relay::endpoint_is_late(const Exchange& x) const {
  if (x.endpoint == kNone32 || x.upstream == kNone32 || x.tunnel || !x.request_done || x.response_started) return false;
  const contract::Timeouts& timeouts = x.plan->services[x.service].timeouts;
  const bool callers_own = x.grpc_timeout_us != 0 && (timeouts.per_request_us == 0 || x.grpc_timeout_us < timeouts.per_request_us);
  return now_us_ - x.attempt_started_us >= kLateUs || (!callers_own && x.attempts <= 1);
}

// A deadline has passed (exchange_deadline).
void Relay::time_out(u32 index) {
  const Exchange& x = exchanges_[index];
  if (x.held_until_us != 0 && x.held_until_us <= now_us_) return end_delay(index);
  if (endpoint_is_late(x)) tell_control(x.plan->endpoints[x.endpoint], contract::Outcome::timed_out);
  stats_.services[x.plan->services[x.service].slot].timeouts.add();
  if (x.tunnel) return time_out_tunnel(index);
  page().count(contract::Counter::request_timeouts);
  if (x.response_started && x.grpc && x.stream != kNone32) {
    return end_call(index, "grpc-status: 4\r\ngrpc-message: the service did not answer in time\r\n");
  }
  if (x.response_started) return abort_exchange(index, http::H2Error::cancel);
  if (x.request_came || x.pending || x.grpc) return fail_exchange(index, 504, "the service did not answer in time", "UT");
  fail_exchange(index, 408, "the request body did not arrive in time", "SI");
}

TimeUs Relay::exchange_deadline(const Exchange& x) const {
  const contract::Timeouts& timeouts = x.plan->services[x.service].timeouts;
  TimeUs deadline = ~TimeUs{0};
  if (x.held_until_us != 0) [[unlikely]] {
    return x.grpc_timeout_us == 0 ? x.held_until_us : std::min(x.held_until_us, x.started_us + x.grpc_timeout_us);
  }
  if (timeouts.idle_us != 0) deadline = x.active_us + timeouts.idle_us;
  // One that waits for a connection waits for it to open, too.
  if (x.tunnel && x.pending) deadline = std::min(deadline, x.active_us + timeouts.connect_us);
  // A body that waits for a connection of ours is not late by its client's doing.
  if (timeouts.per_request_us != 0 && (x.request_came || x.pending) && !x.tunnel) {
    deadline = std::min(deadline, (x.request_came ? x.request_done_us : x.active_us) + timeouts.per_request_us);
  }
  if (x.grpc_timeout_us != 0) deadline = std::min(deadline, x.started_us + x.grpc_timeout_us);
  return deadline;
}

// Lets go of all that an exchange holds. Its session stays.
void Relay::end_exchange(u32 index) {
  Exchange& x = exchanges_[index];
  leave_pending(index);
  end_retry(x);
  note<EventKind::request_end>(x, [&] { return Fields{.half = x.status, .x = static_cast<u32>(now_us_ - x.started_us)}; });
  release_upstream(index, After::abort);
  if (x.mirror != kNone32) end_mirror(x.mirror, true);  // the rest of its body will not come
  stats_.services[x.plan->services[x.service].slot].active.sub();
  Session& s = sessions_[x.session];
  if (s.state == SessionState::multiplexing) {
    if (s.head_bytes_seen == 0) s.waiting_since_us = now_us_;
    if (x.stream != kNone32) {
      h2_.release(x.stream, x.reset);
      flush_h2(s.h2, s.conn);
    }
  } else {
    s.exchange = kNone32;
  }
  release(*x.plan);
  exchanges_.free(index);
}

}  // namespace ringway::relay
