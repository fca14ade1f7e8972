// The client's side of relay: request heads, the gateway's own answers, request bodies.

#include <algorithm>
#include <cstring>

#include "dataplane/relay/relay.h"

namespace ringway::relay {

using contract::EventKind;
using Fields = contract::EventFields;

namespace {

constexpr u32 kEagerHeadBytes = 2048;  // below this, a head is looked at again whenever a byte has come
constexpr u32 kSliceBytes = 1448;      // of bytes that we write ourselves: no packet has to cut them

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
  ++s.requests;
  page().count(contract::Counter::requests);
  if (page().recorder.wants<EventKind::request>()) [[unlikely]] note_request(s);
  begin_exchange(index);
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
  page().count(contract::Counter::local_answers);
  page().recorder.note<EventKind::answered>({.half = answer.status, .conn = s.conn.generation});
  page().count(answer.status >= 500 ? contract::Counter::responses_5xx : contract::Counter::responses_4xx);
  if (answer.close) return linger(index);
  s.waiting_since_us = now_us_;
}

// Copies bytes that we wrote into fresh packets; shorter than asked when the pool is empty.
mbuf::Chain Relay::to_chain(Bytes bytes) {
  mbuf::Chain out = pools_.chain();
  while (!bytes.empty()) {
    mbuf::Pkt pkt = pools_.alloc();
    const u32 n = std::min<u32>(kSliceBytes, static_cast<u32>(bytes.size()));
    if (!pkt) break;
    std::memcpy(pkt.append(n), bytes.data(), n);
    if (!out.append(std::move(pkt))) break;
    bytes = bytes.subspan(n);
  }
  if (!bytes.empty()) page().count(contract::Verdict::no_mbuf);
  return out;
}

Exchange& Relay::open_exchange(u32 session, u32 service) {
  const u32 index = exchanges_.alloc();  // as many as sessions: never empty
  RW_ASSERT(index != kNone32);
  sessions_[session].exchange = index;
  sessions_[session].state = SessionState::exchanging;
  Exchange& x = exchanges_[index];
  x.number = ++exchanges_begun_;
  x.session = session;
  x.plan = plan_;
  hold(*plan_);
  x.service = service;
  x.started_us = x.active_us = now_us_;
  stats_.services[plan_->services[service].slot].active.add();
  note<EventKind::routed>(x, [&] { return Fields{.x = plan_->services[service].slot}; });
  return x;
}

// The head is complete in `request_head_`: finds its service and endpoint and sends it on its way.
void Relay::begin_exchange(u32 index) {
  Session& s = sessions_[index];
  const http::RequestHead& head = request_head_;
  const bool head_only = head.method == http::Method::head;
  const bool last = s.peer_closed && engine_.received(s.conn).bytes() == head.bytes;
  const bool keep = head.keep_alive && !draining_ && !last && head.framing == http::Framing::none;
  const auto answer_and_skip = [&](u16 status, std::string_view text, std::string_view flag, std::string_view value) {
    engine_.discard(s.conn, head.bytes);
    answer(index, {.status = status, .text = text, .flag = flag, .flag_value = value, .head_only = head_only,
                   .close = !keep});
  };
  const contract::Listener* listener = find_listener(s);
  const route::Match match = listener == nullptr ? route::Match{} : router_.match(*plan_, *listener, head);
  if (match.scanned) page().count(contract::Counter::scans);
  if (match.service == kNone32) {
    page().count(contract::Counter::no_route_found);
    if (match.no_backend()) return answer_and_skip(500, "every backend of the route has weight 0", "flag", "NR");
    return answer_and_skip(404, "no route matches this request", "flag", "NR");
  }
  const contract::Service& service = plan_->services[match.service];
  if (service.app_protocol != contract::AppProtocol::http) {
    return answer_and_skip(426, "this service does not speak HTTP/1.1", "flag", "protocol");
  }
  const u64 body_max = plan_->limits.request_body_bytes;
  if (body_max != 0 && head.framing == http::Framing::length && head.content_length > body_max) {
    return answer_and_skip(413, "the request body is too large", "limit", "request_body_bytes");
  }

  Exchange& x = open_exchange(index, match.service);
  x.client_minor = head.minor_version;
  x.method = head.method;
  x.client_keep_alive = head.keep_alive;
  x.has_body = head.framing != http::Framing::none;
  x.wants_upgrade = head.upgrade;
  x.request_body.begin(head.framing, head.content_length);
  x.request_done = !x.has_body;
  x.request_done_us = now_us_;
  if (!head.has(http::FieldId::x_request_id)) {
    x.id_high = random();
    x.id_low = random();
  }
  stats_.services[service.slot].requests.add();

  x.head = engine_.take(s.conn, head.bytes);  // the bytes stay where they are: `head` goes on pointing at them
  if (x.head.bytes() != head.bytes) return abort_session(index);
  dispatch(s.exchange, head);
}

// A connection of a service without appProtocol: bytes both ways.
void Relay::begin_tunnel(u32 index) {
  Session& s = sessions_[index];
  open_exchange(index, plan_->listeners[s.listener].service).tunnel = true;
  page().count(contract::Counter::tunnels);
  request_head_ = {};
  dispatch(s.exchange, request_head_);
}

// Moves as many body bytes as `reader` and `budget` allow out of a connection's receive chain. With `unwrap` only the
// content, otherwise the framing goes along.
Relay::Moved Relay::move_body(http::BodyReader& reader, tcp::ConnId from, u32 budget, bool unwrap) {
  using RunKind = http::BodyReader::RunKind;
  Moved moved{pools_.chain()};
  if (unwrap) {
    while (budget > 0 && !reader.done() && !engine_.received(from).empty()) {
      const Bytes piece = engine_.received(from).front();
      const auto run = reader.next(piece.first(std::min<std::size_t>(piece.size(), budget)));
      if (run.kind == RunKind::invalid) moved.reject = run.reject;
      if (run.kind != RunKind::payload && run.kind != RunKind::framing) break;
      if (run.kind == RunKind::framing) {
        engine_.discard(from, run.bytes);
        continue;
      }
      mbuf::Chain bytes = engine_.take(from, run.bytes);
      moved.short_of_memory = bytes.bytes() != run.bytes;
      budget -= run.bytes;
      moved.bytes.append(std::move(bytes));
      if (moved.short_of_memory) break;
    }
    return moved;
  }
  const mbuf::Chain& in = engine_.received(from);
  u32 n = 0;
  for (u32 at = in.first(); at != kNone32 && n < budget && !reader.done(); at = in.slice(at).next) {
    Bytes piece = in.slice(at).bytes();
    piece = piece.first(std::min<std::size_t>(piece.size(), budget - n));
    while (!piece.empty() && !reader.done()) {
      const auto run = reader.next(piece);
      if (run.kind == RunKind::invalid) {
        moved.reject = run.reject;
        return moved;
      }
      if (run.bytes == 0) break;
      piece = piece.subspan(run.bytes);
      n += run.bytes;
    }
  }
  if (n == 0) return moved;
  moved.bytes = engine_.take(from, n);
  moved.short_of_memory = moved.bytes.bytes() != n;
  return moved;
}

// Request body towards the endpoint, as far as its send budget allows. Waits until the connection is open, so that a
// request whose connection never opens is still whole.
void Relay::pump_request(u32 index) {
  Exchange& x = exchanges_[index];
  Session& s = sessions_[x.session];
  if (x.upstream == kNone32 || upstreams_[x.upstream].state == UpstreamState::connecting) return;
  const tcp::ConnId to = upstreams_[x.upstream].conn;
  const u64 body_max = x.plan->limits.request_body_bytes;
  while (!x.request_body.done()) {
    const u32 space = engine_.send_space(to);
    if (space == 0) break;
    Moved moved = move_body(x.request_body, s.conn, space, false);
    if (moved.reject != http::Reject::none) {
      page().count(contract::Counter::bad_requests);
      const http::RejectText& text = http::text_of(moved.reject);
      return fail_exchange(index, text.status, text.sentence, text.name);
    }
    if (moved.short_of_memory) {
      page().count(contract::Verdict::no_mbuf);
      return abort_session(x.session);
    }
    if (moved.bytes.empty()) break;
    x.body_bytes += moved.bytes.bytes();
    if (body_max != 0 && x.body_bytes > body_max) {
      return fail_exchange(index, 413, "the request body is too large", "request_body_bytes");
    }
    x.active_us = now_us_;
    x.body_started = true;
    x.head.clear();
    stats_.services[x.plan->services[x.service].slot].bytes_in.add(moved.bytes.bytes());
    engine_.send(to, std::move(moved.bytes));
  }
  if (x.request_body.done()) {
    x.request_done = true;
    x.request_done_us = now_us_;
    return arm_session(x.session);
  }
  if (s.peer_closed && engine_.received(s.conn).empty()) {
    page().count(contract::Counter::client_aborts);
    abort_session(x.session);
  }
}

}  // namespace ringway::relay
