// The client's side of relay: request heads, the gateway's own answers, request bodies.

#include <algorithm>
#include <cstring>

#include "dataplane/http/grpc.h"
#include "dataplane/relay/relay.h"

namespace ringway::relay {

using contract::EventKind;
using Fields = contract::EventFields;

namespace {

constexpr u32 kEagerHeadBytes = 2048;  // below this, a head is looked at again whenever a byte has come

}  // namespace

// True when looking at the head again can bring something new: a short head always, a long one only when a line has
// ended or a limit is passed. Bounds what a client can cost that sends its head byte by byte.
bool Relay::head_may_be_complete(const mbuf::Chain& in, u32 seen) const {
  if (in.bytes() <= kEagerHeadBytes || in.bytes() >= plan_->limits.head_bytes) return true;
  u32 before = 0;
  for (u32 at = in.first(); at != kNone32; at = in.slice(at).next) {
    const Bytes piece = in.slice(at).bytes();
    const u32 skip = seen > before ? std::min<u32>(seen - before, static_cast<u32>(piece.size())) : 0;
    if (std::memchr(piece.data() + skip, '\n', piece.size() - skip) != nullptr) return true;
    before += static_cast<u32>(piece.size());
  }
  return false;
}

// Reads the next head and acts on it. False when there is nothing to go on with: more bytes are needed, or the session
// is gone or closing.
bool Relay::read_request(u32 index) {
  Session& s = sessions_[index];
  const mbuf::Chain& in = engine_.received(s.conn);
  if (in.empty()) {
    if (s.peer_closed) {
      engine_.close(s.conn);
      free_session(index);
      return false;
    }
    arm_session(index);
    return false;
  }
  if (s.head_bytes_seen == 0) s.waiting_since_us = now_us_;
  if (s.head_bytes_seen == in.bytes() && !s.peer_closed) return false;
  if (s.head_bytes_seen > 0 && !s.peer_closed && !head_may_be_complete(in, s.head_bytes_seen)) return false;

  if (s.requests == 0) {
    const Preface preface = preface_of(in);
    if (preface == Preface::yes) {
      begin_multiplexing(index);
      return false;
    }
    if (preface == Preface::partly && !s.peer_closed) {
      s.head_bytes_seen = in.bytes();
      arm_session(index);
      return false;
    }
  }
  const http::HeadLimits limits{plan_->limits.head_bytes, plan_->limits.fields, plan_->limits.target_bytes};
  http::ReadResult result = http::read_request(in.front(), limits, request_head_);
  if (result.status == http::ReadStatus::incomplete && in.slices() > 1) {
    const u32 n = in.copy_out(0, {gathered_.get(), std::min<u32>(in.bytes(), contract::kHeadBytesMax)});
    page().count(contract::Counter::head_copied, n);
    result = http::read_request({gathered_.get(), n}, limits, request_head_);
  }
  switch (result.status) {
    case http::ReadStatus::invalid: refuse(index, result.reject); return false;
    case http::ReadStatus::incomplete:
      if (s.peer_closed) {
        linger(index);
        return false;
      }
      s.head_bytes_seen = in.bytes();
      arm_session(index);
      return false;
    case http::ReadStatus::complete: break;
  }
  s.head_bytes_seen = 0;
  u32 stream = kNone32;
  if (request_head_.upgrade_h2c) stream = upgrade_to_h2(index);
  begin_exchange(index, stream, request_head_.framing == http::Framing::none);
  return sessions_.used(index);
}

void Relay::note_request(const Session& s) {
  page().recorder.note<EventKind::request>({.conn = s.conn.generation, .x = request_head_.bytes, .y = s.requests});
}

void Relay::refuse(u32 index, http::Reject reject) {
  page().count(contract::Counter::bad_requests);
  const http::RejectText& text = http::text_of(reject);
  answer(index, {.status = text.status, .text = text.sentence, .flag = "reject", .flag_value = text.name});
}

// Sends an answer of the gateway's own to the request whose head is still in `request_head_` or unreadable; with
// `close` the session lingers.
void Relay::answer(u32 index, const http::LocalAnswer& answer) {
  const u32 n = http::write_local_answer(answer, {written_.get(), contract::kHeadBytesMax});
  RW_ASSERT(n > 0);
  mbuf::Chain bytes = to_chain({written_.get(), n});
  if (bytes.bytes() != n) return abort_session(index);
  Session& s = sessions_[index];
  engine_.send(s.conn, std::move(bytes));
  count_answer(s, answer.status);
  if (answer.close) return linger(index);
  s.waiting_since_us = now_us_;
}

// The same on a stream, which ends by it.
void Relay::answer_stream(u32 index, u32 stream, http::LocalAnswer answer, bool grpc) {
  if (grpc && answer.grpc_status < 0) answer.grpc_status = static_cast<i32>(http::grpc_status_of(answer.status));
  const bool sent = h2_.send_local_answer(stream, answer);
  count_answer(sessions_[index], answer.status);
  h2_.release(stream, sent ? http::H2Error::no_error : http::H2Error::internal_error);
  if (sessions_[index].head_bytes_seen == 0) sessions_[index].waiting_since_us = now_us_;
  flush_h2(sessions_[index].h2, sessions_[index].conn);
}

void Relay::count_answer(const Session& s, u16 status) {
  page().count(contract::Counter::local_answers);
  page().recorder.note<EventKind::answered>({.half = status, .conn = s.conn.generation});
  page().count(static_cast<contract::Counter>(static_cast<u32>(contract::Counter::responses_2xx) + (status / 100 - 2u)));
}

// The request in `request_head_` goes no further than this answer.
void Relay::turn_away(u32 index, u32 stream, http::LocalAnswer reply) {
  const http::RequestHead& head = request_head_;
  reply.head_only = head.method == http::Method::head;
  reply.overloaded = reply.flag_value == "UO";
  if (stream != kNone32) {
    answer_stream(index, stream, reply, http::is_grpc(head));
    stream_head_.clear();  // no exchange takes them
    stream_never_ = {};
    return;
  }
  Session& s = sessions_[index];
  const bool last = s.peer_closed && engine_.received(s.conn).bytes() == head.bytes;
  reply.close = !head.keep_alive || draining_ || s.goaway_sent || last || head.framing != http::Framing::none;
  engine_.discard(s.conn, head.bytes);
  answer(index, reply);
}

// The gateway's own health, for whoever balances over gateways.
void Relay::answer_health(u32 index, u32 stream, const contract::Listener& listener) {
  const http::RequestHead& head = request_head_;
  if (head.path_text() != listener.health_path) return turn_away(index, stream, 404, "health is not told here", {}, {});
  if (head.method != http::Method::get && head.method != http::Method::head) {
    return turn_away(index, stream, 501, "GET and HEAD ask for health", {}, {});
  }
  config_.board->ready() ? turn_away(index, stream, 200, "ok", {}, {}) : turn_away(index, stream, 503, "draining", {}, {});
}

// `stream`: the client's, kNone32 with HTTP/1.1.
Exchange& Relay::open_exchange(u32 session, u32 stream, u32 service) {
  const u32 index = exchanges_.alloc();  // as many as sessions and streams: never empty
  RW_ASSERT(index != kNone32);
  if (stream == kNone32) {
    sessions_[session].exchange = index;
    sessions_[session].state = SessionState::exchanging;
  } else {
    h2_.set_user(stream, index);
  }
  Exchange& x = exchanges_[index];
  x.number = ++exchanges_begun_;
  x.session = session;
  x.stream = stream;
  x.plan = plan_;
  hold(*plan_);
  x.service = service;
  x.started_us = x.active_us = now_us_;
  stats_.services[plan_->services[service].slot].active.add();
  note<EventKind::routed>(x, [&] {
    return Fields{.x = plan_->services[service].slot, .y = stream == kNone32 ? 0 : h2_.id(stream)};
  });
  return x;
}

// The head is complete in `request_head_`: finds its service and endpoint and sends it on its way. `ended`: no body comes.
// The head's bytes are in front of what the connection has received, or in `stream_head_` for a stream.
void Relay::begin_exchange(u32 index, u32 stream, bool ended) {
  Session& s = sessions_[index];
  const http::RequestHead& head = request_head_;
  ++s.requests;
  page().count(contract::Counter::requests);
  if (page().recorder.wants<EventKind::request>()) [[unlikely]] note_request(s);
  if (plan_->ingress_acl != nullptr && outstays(s)) [[unlikely]] return show_out(index, stream);
  const contract::Listener* listener = find_listener(s);
  const route::Match match = listener == nullptr ? route::Match{} : router_.match(*plan_, *listener, head);
  if (match.actions != kNone32 && answer_by_route(index, stream, match)) return;
  if (match.service == kNone32) {
    if (listener != nullptr && !listener->health_path.empty()) return answer_health(index, stream, *listener);
    page().count(contract::Counter::no_route_found);
    if (match.no_backend()) return turn_away(index, stream, 500, "every backend of the route has weight 0", "flag", "NR");
    return turn_away(index, stream, 404, "no route matches this request", "flag", "NR");
  }
  const contract::Service& service = plan_->services[match.service];
  if (service.admission != kNone32 && !admit(index, stream, match)) return;
  if (service.app_protocol == contract::AppProtocol::tcp) {
    return turn_away(index, stream, 426, "this service does not speak HTTP", "flag", "protocol");
  }
  const u64 body_max = plan_->limits.request_body_bytes;
  if (body_max != 0 && head.framing == http::Framing::length && head.content_length > body_max) {
    return turn_away(index, stream, 413, "the request body is too large", "limit", "request_body_bytes");
  }

  if (is_overloaded(service)) return turn_away(index, stream, 503, "the service is at its limit of requests", "flag", "UO");

  Exchange& x = open_exchange(index, stream, match.service);
  x.client_minor = head.minor_version;
  x.method = head.method;
  x.client_keep_alive = head.keep_alive;
  x.has_body = !ended;
  consider_upgrade(x, head, service.multiplexed());
  x.grpc = http::is_grpc(head);
  if (x.grpc) x.grpc_timeout_us = http::grpc_timeout_us(head).value_or(0);
  x.never_indexed = std::exchange(stream_never_, {});
  x.request_body.reader.begin(head.framing, head.content_length);
  x.request_body.unwrap = stream == kNone32 && service.multiplexed();
  x.request_done = x.request_came = ended;
  x.request_done_us = now_us_;
  if (!head.has(http::FieldId::x_request_id)) {
    x.id_high = random();
    x.id_low = random();
  }
  stats_.services[service.slot].requests.add();
  const u32 exchange = stream == kNone32 ? s.exchange : static_cast<u32>(h2_.user(stream));

  if (s.state == SessionState::multiplexing) {
    x.head = std::move(stream_head_);
  } else {
    x.head = engine_.take(s.conn, head.bytes);  // the bytes stay where they are: `head` goes on pointing at them
  }
  if (x.head.bytes() != head.bytes) return abort_exchange(exchange);
  if (match.actions != kNone32 && !begin_actions(exchange, match, head)) return;
  dispatch(exchange, head);
}

// Request body towards the endpoint, as far as its leg has space. Waits until the connection is open, so that a request
// whose connection never opens is still whole.
void Relay::pump_request(u32 index) {
  Exchange& x = exchanges_[index];
  if (x.tunnel) return pump_tunnel(index);
  if (x.request_done || x.upstream == kNone32 || upstreams_[x.upstream].state == UpstreamState::connecting) return;
  const Leg from = client_leg(x);
  const Leg to = endpoint_leg(x);
  const u64 body_max = x.plan->limits.request_body_bytes;
  while (!x.request_done) {
    const u32 room = space(to);
    if (room == 0) {
      wait_for_space(to);
      break;
    }
    Moved moved = take_body(from, x.request_body, room);
    if (moved.reject != http::Reject::none) {
      page().count(contract::Counter::bad_requests);
      const http::RejectText& text = http::text_of(moved.reject);
      return fail_exchange(index, text.status, text.sentence, text.name);
    }
    if (moved.short_of_memory) {
      page().count(contract::Verdict::no_mbuf);
      return abort_exchange(index);
    }
    if (moved.bytes.empty() && !moved.end) break;
    x.body_bytes += moved.bytes.bytes();
    if (body_max != 0 && x.body_bytes > body_max) {
      return fail_exchange(index, 413, "the request body is too large", "request_body_bytes");
    }
    if (!moved.bytes.empty()) {
      x.active_us = now_us_;
      keep_body(x, moved.bytes);
      stats_.services[x.plan->services[x.service].slot].bytes_in.add(moved.bytes.bytes());
    }
    if (x.mirror != kNone32) [[unlikely]] copy_to_mirror(x, moved.bytes, moved.end);
    if (!put_body(to, x.request_body, std::move(moved.bytes), moved.end, x.request_chunked)) return abort_exchange(index);
    if (moved.end) {
      if (!x.request_body.trailers.empty()) forget_request(x);  // they go out once
      if (!x.request_came) x.request_done_us = now_us_;            // the deadline is of all tries together
      x.request_done = x.request_came = true;
      x.try_sent_us = now_us_;
      return arm_exchange(x);
    }
  }
  if (!from.h2() && sessions_[x.session].peer_closed && engine_.received(from.conn).empty() && x.request_body.again.empty()) {
    page().count(contract::Counter::client_aborts);
    abort_exchange(index);
  }
}

}  // namespace ringway::relay
