// Clients that speak HTTP/2: by prior knowledge (the preface is the first that they say) or by Upgrade: h2c. Each stream
// is an exchange of its own, routed, balanced and retried as if it had come alone.

#include <algorithm>
#include <cstring>

#include "dataplane/http/base64url.h"
#include "dataplane/relay/relay.h"

namespace ringway::relay {

namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // RFC 9113 section 3.4
constexpr std::string_view kSwitching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
constexpr u32 kSettingsBytesMax = 256;       // of an HTTP2-Settings field, decoded
constexpr u32 kOwedBytesMax = 65'536;        // answers to frames that wait for a client which does not read
constexpr TimeUs kLastStreamsUs = 1'000'000;  // from the notice of GOAWAY to the last one (section 6.8: a round trip)

}  // namespace

http::H2Settings Relay::h2_settings() const {
  http::H2Settings settings;
  settings.streams_max = plan_->limits.h2_streams_per_connection;
  settings.stream_window_bytes = plan_->limits.h2_stream_window_bytes;
  settings.held_bytes_max = plan_->limits.h2_connection_window_bytes;
  settings.head_bytes_max = plan_->limits.head_bytes;
  settings.fields_max = plan_->limits.fields;
  return settings;
}

Relay::Preface Relay::preface_of(const mbuf::Chain& in) const {
  const Bytes front = in.front();
  if (front[0] != 'P') return Preface::no;
  std::array<u8, kPreface.size()> start;
  const u32 n = in.copy_out(0, {start.data(), std::min<u32>(in.bytes(), kPreface.size())});
  if (std::memcmp(start.data(), kPreface.data(), n) != 0) return Preface::no;
  return n == kPreface.size() ? Preface::yes : Preface::partly;
}

void Relay::begin_multiplexing(u32 index) {
  Session& s = sessions_[index];
  const u32 h2 = h2_.open(http::H2Role::server, h2_settings(), now_us_);
  if (h2 == kNone32) {
    page().count(contract::Counter::h2_refused);
    return abort_session(index);
  }
  s.state = SessionState::multiplexing;
  s.goaway_sent = false;
  s.h2 = h2;
  s.waiting_since_us = now_us_;
  on_multiplexed(index, {});
}

// The request in `request_head_` offers to go on in HTTP/2 (RFC 7540 section 3.2): its stream, or kNone32 when the offer
// is not taken. One with a body is not, since the body would have to be read to its end first.
u32 Relay::upgrade_to_h2(u32 index) {
  Session& s = sessions_[index];
  const http::RequestHead& head = request_head_;
  if (head.framing != http::Framing::none) return kNone32;
  std::array<u8, kSettingsBytesMax> settings;
  const auto n = http::decode_base64url(head.value_of(http::FieldId::http2_settings), settings);
  if (!n) return kNone32;
  mbuf::Chain answer = to_chain({reinterpret_cast<const u8*>(kSwitching.data()), kSwitching.size()});
  const auto upgraded = h2_.open_upgraded({settings.data(), *n}, h2_settings(), 0, now_us_);
  if (upgraded.conn == kNone32 || answer.empty()) {
    if (upgraded.conn != kNone32) h2_.close(upgraded.conn);
    return kNone32;
  }
  stream_head_ = engine_.take(s.conn, head.bytes);
  engine_.send(s.conn, std::move(answer));
  s.state = SessionState::multiplexing;
  s.h2 = upgraded.conn;
  flush_h2(s.h2, s.conn);
  return upgraded.stream;
}

void Relay::on_multiplexed(u32 index, const tcp::AppEvent& event) {
  Session& s = sessions_[index];
  if ((event.bits & tcp::kClosed) != 0) {
    if (h2_.streams(s.h2) > 0) page().count(contract::Counter::client_aborts, h2_.streams(s.h2));
    end_streams(index);
    return free_session(index);
  }
  const u32 bytes = engine_.received(s.conn).bytes();
  if (bytes > 0) {
    h2_.input(s.h2, engine_.take(s.conn, bytes), now_us_);
    http::H2Event seen;
    while (h2_.next_event(s.h2, seen)) on_client_event(index, seen);
    flush_h2(s.h2, s.conn);
    watch_frame(index);
  }
  if ((event.bits & tcp::kPeerClosed) != 0) end_incomplete(index);
  run_writable(s.h2, s.conn, &Relay::pump_response);
  if ((event.bits & tcp::kWritable) != 0) read_waiting_responses(index);
  settle(index);
}

// Interim responses of endpoints with HTTP/1.1, and what is behind them, that waited for room towards the client.
void Relay::read_waiting_responses(u32 index) {
  const u32 h2 = sessions_[index].h2;
  for (u32 stream = h2_.first_stream(h2), next; stream != kNone32; stream = next) {
    next = h2_.next_stream(h2, stream);
    const Exchange& x = exchanges_[static_cast<u32>(h2_.user(stream))];
    if (x.response_started || x.tunnel || x.upstream == kNone32 || x.upstream_stream != kNone32) continue;
    if (!engine_.received(upstreams_[x.upstream].conn).empty()) read_response(static_cast<u32>(h2_.user(stream)));
  }
}

// A frame or a header block that has begun has to be complete in time, as an HTTP/1.1 head has; payload belongs to its
// exchange, which has deadlines of its own.
void Relay::watch_frame(u32 index) {
  Session& s = sessions_[index];
  const bool begun = h2_.mid_frame(s.h2) && !h2_.in_payload(s.h2);
  if (!begun) {
    s.head_bytes_seen = 0;
  } else if (s.head_bytes_seen == 0) {
    s.head_bytes_seen = 1;
    s.waiting_since_us = now_us_;
    arm_session_at(index, now_us_ + plan_->limits.header_timeout_us);
  }
}

void Relay::on_client_event(u32 index, const http::H2Event& event) {
  using Kind = http::H2EventKind;
  switch (event.kind) {
    case Kind::head: return read_stream_head(index, event);
    case Kind::data: return pump_request(static_cast<u32>(event.user));
    case Kind::trailers: {
      const u32 x = static_cast<u32>(event.user);
      on_stream_trailers(exchanges_[x].request_body, event.text);
      return pump_request(x);
    }
    case Kind::reset: {
      const u32 x = static_cast<u32>(event.user);
      page().count(contract::Counter::client_aborts);
      exchanges_[x].stream = kNone32;
      return end_exchange(x);
    }
    default: return;
  }
}

// A request head has come as text: it is kept in packets, as one that came by HTTP/1.1 is, and read by the same reader.
void Relay::read_stream_head(u32 index, const http::H2Event& event) {
  const auto refuse = [&](const http::RejectText& text) {
    page().count(contract::Counter::bad_requests);
    answer_stream(index, event.stream,
                  {.status = text.status, .text = text.sentence, .flag = "reject", .flag_value = text.name}, false);
  };
  if (event.too_large) return refuse(http::text_of(http::Reject::head_too_large));
  stream_head_ = to_chain(event.text);
  if (stream_head_.bytes() != event.text.size() || exchanges_.in_use() == exchanges_.capacity()) {
    stream_head_.clear();
    h2_.release(event.stream, http::H2Error::refused_stream);
    return;
  }
  const http::HeadLimits limits{plan_->limits.head_bytes, plan_->limits.fields, plan_->limits.target_bytes};
  const auto result = http::read_request(contiguous(stream_head_), limits, request_head_);
  if (result.status != http::ReadStatus::complete) {
    stream_head_.clear();
    return refuse(http::text_of(result.status == http::ReadStatus::invalid ? result.reject : http::Reject::bad_request_line));
  }
  stream_never_ = event.never_indexed;
  // What a client says after an extended CONNECT waits for the endpoint's answer, as with Upgrade.
  begin_exchange(index, event.stream, event.end || request_head_.upgrade);
}

// The client will send no more: requests that are not complete never will be.
void Relay::end_incomplete(u32 index) {
  const u32 h2 = sessions_[index].h2;
  for (u32 stream = h2_.first_stream(h2), next; stream != kNone32; stream = next) {
    next = h2_.next_stream(h2, stream);
    if (h2_.peer_ended(stream)) continue;
    page().count(contract::Counter::client_aborts);
    abort_exchange(static_cast<u32>(h2_.user(stream)), http::H2Error::cancel);
  }
}

// Ends every exchange of the session; its HTTP/2 connection is forgotten.
void Relay::end_streams(u32 index) {
  const u32 h2 = sessions_[index].h2;
  for (u32 stream = h2_.first_stream(h2); stream != kNone32; stream = h2_.first_stream(h2)) {
    end_exchange(static_cast<u32>(h2_.user(stream)));
  }
  h2_.close(h2);
  sessions_[index].state = SessionState::reading_head;
  sessions_[index].exchange = kNone32;
}

// What is due when events have been handled: the connection has failed, or the last of its streams has ended.
void Relay::settle(u32 index) {
  Session& s = sessions_[index];
  flush_h2(s.h2, s.conn);
  // Answers to frames are sent whatever the window: a client that asks and does not read is let go.
  if (engine_.unacked(s.conn) > config_.send_budget_bytes + kOwedBytesMax) {
    page().count(contract::Counter::h2_hoarders);
    return abort_session(index);
  }
  if (h2_.failed(s.h2)) {
    end_streams(index);
    return linger(index);
  }
  const contract::Limits& limits = plan_->limits;
  const bool served = limits.requests_per_connection != 0 && s.requests >= limits.requests_per_connection;
  const TimeUs age_us = u64{static_cast<u32>(now_us_ >> 10) - s.accepted} << 10;
  if (!s.goaway_sent && (served || too_old(now_us_ - age_us))) last_streams(index);
  if (h2_.streams(s.h2) == 0 && (s.peer_closed || s.goaway_sent)) {
    end_streams(index);
    return linger(index);
  }
  if (s.armed_us == 0) arm_session(index);
}

// The client learns which stream was the last.
void Relay::last_streams(u32 index) {
  Session& s = sessions_[index];
  s.goaway_sent = true;
  h2_.goaway_final(s.h2, http::H2Error::no_error);
  flush_h2(s.h2, s.conn);
}

// When a connection without exchanges ends; answers of our own may still wait for its windows.
TimeUs Relay::multiplexed_idle_deadline(const Session& s) const {
  const contract::Limits& limits = plan_->limits;
  return s.waiting_since_us + (h2_.settings_acknowledged(s.h2) ? limits.client_idle_us : limits.header_timeout_us);
}

void Relay::multiplexed_timer(u32 index) {
  Session& s = sessions_[index];
  if (s.head_bytes_seen > 0 && s.waiting_since_us + plan_->limits.header_timeout_us <= now_us_) {
    page().count(contract::Counter::idle_timeouts);
    h2_.goaway_final(s.h2, http::H2Error::enhance_your_calm);
    flush_h2(s.h2, s.conn);
    end_streams(index);
    return linger(index);
  }
  const bool forgotten = h2_.first_stream(s.h2) == kNone32 && multiplexed_idle_deadline(s) <= now_us_;
  if (forgotten && !draining_) page().count(contract::Counter::idle_timeouts);
  if ((forgotten || draining_) && !s.goaway_sent) last_streams(index);
  if (forgotten) {
    end_streams(index);
    return linger(index);
  }
  for (u32 stream = h2_.first_stream(s.h2), next; stream != kNone32; stream = next) {
    next = h2_.next_stream(s.h2, stream);
    const u32 x = static_cast<u32>(h2_.user(stream));
    if (next_due(exchanges_[x]) <= now_us_) exchange_timer(x);
  }
  arm_session(index);  // one of them may have armed it for itself alone
  settle(index);
}

TimeUs Relay::multiplexed_deadline(const Session& s) const {
  TimeUs deadline = ~TimeUs{0};
  if (s.head_bytes_seen > 0) {
    deadline = s.waiting_since_us + plan_->limits.header_timeout_us;
  } else if (h2_.first_stream(s.h2) == kNone32) {
    deadline = multiplexed_idle_deadline(s);
  }
  if (draining_ && !s.goaway_sent) deadline = std::min(deadline, draining_since_us_ + kLastStreamsUs);
  for (u32 stream = h2_.first_stream(s.h2); stream != kNone32; stream = h2_.next_stream(s.h2, stream)) {
    deadline = std::min(deadline, next_due(exchanges_[static_cast<u32>(h2_.user(stream))]));
  }
  return deadline;
}

}  // namespace ringway::relay
