// Health checks: control asks for one, the core that got the mail sends it over its own TCP, in the endpoint's protocol,
// and mails what came of it.

#include <algorithm>

#include "dataplane/http/grpc.h"
#include "dataplane/relay/relay.h"

namespace ringway::relay {

void Relay::probe(const contract::ProbeRef& ref, const contract::Plan& plan, TimeUs now_us) {
  now_us_ = now_us;
  const u32 index = probes_.alloc();
  if (index == kNone32) {
    page().count(contract::Counter::events_dropped);
    return;
  }
  Probe& p = probes_[index];
  p.ref = ref;
  p.plan = &plan;
  p.started_us = now_us;
  hold(plan);
  page().count(contract::Counter::probes_sent);
  const contract::Endpoint& endpoint = plan.endpoints[ref.endpoint];
  const wire::Ip source = source_address(plan, endpoint.ip, config_.core);
  const auto conn = source.unset() ? std::nullopt
                                   : engine_.connect(config_.book->name(source), config_.book->name(endpoint.ip),
                                                     endpoint.port, owner_tag(Owner::probe, index), now_us);
  if (!conn) return end_probe(index, contract::Outcome::connect_failed, 0);
  p.conn = *conn;
  wheel_.arm(probe_timer_id(index), now_us + plan.services[ref.service].health_check.timeout_us);
}

// The check's request, over HTTP/2. Ends the probe when there is no place for it.
void Relay::begin_call(u32 index) {
  Probe& p = probes_[index];
  const contract::HealthCheck& check = p.plan->services[p.ref.service].health_check;
  const auto as_bytes = [](const std::string& text) { return Bytes{reinterpret_cast<const u8*>(text.data()), text.size()}; };
  const auto read = http::read_request(as_bytes(check.request), {}, request_head_);
  RW_ASSERT(read.status == http::ReadStatus::complete);  // compile wrote it
  p.h2 = h2_.open(http::H2Role::client, h2_settings(), now_us_);
  const u32 stream = p.h2 == kNone32 ? kNone32 : h2_.open_stream(p.h2, index);
  const http::RequestEdit edit{.client_ip = config_.book->ip(engine_.info(p.conn)->tuple.local), .via = p.plan->via};
  if (stream == kNone32 || !h2_.send_request(stream, request_head_, edit, {}, check.body.empty()) ||
      (!check.body.empty() && !h2_.send_data(stream, to_chain(as_bytes(check.body)), true))) {
    return end_probe(index, contract::Outcome::connect_failed, 0);
  }
  p.sent = true;
  flush_h2(p.h2, p.conn);
}

void Relay::on_probe(u32 index, const tcp::AppEvent& event) {
  Probe& p = probes_[index];
  const contract::HealthCheck& check = p.plan->services[p.ref.service].health_check;
  if ((event.bits & tcp::kConnected) != 0) {
    if (check.kind == contract::HealthCheckKind::tcp) return end_probe(index, contract::Outcome::success, 0);
    if (check.h2) {
      begin_call(index);
      if (!probes_.used(index)) return;
    } else {
      engine_.send(p.conn, probe_announcement(p, p.plan->services[p.ref.service]));
      engine_.send(p.conn, to_chain({reinterpret_cast<const u8*>(check.request.data()), check.request.size()}));
      p.sent = true;
    }
  }
  const bool over = (event.bits & (tcp::kPeerClosed | tcp::kClosed)) != 0;
  check.h2 ? read_call(index) : read_probe(index);
  if (!probes_.used(index)) return;
  if ((event.bits & tcp::kClosed) != 0) p.conn = {};
  if (over) end_probe(index, p.sent ? contract::Outcome::reset : contract::Outcome::connect_failed, 0);
}

// The answer over HTTP/1.1.
void Relay::read_probe(u32 index) {
  Probe& p = probes_[index];
  while (!engine_.received(p.conn).empty()) {
    const mbuf::Chain& in = engine_.received(p.conn);
    const u32 n = in.copy_out(0, {gathered_.get(), std::min<u32>(in.bytes(), contract::kHeadBytesMax)});
    const auto read = http::read_response({gathered_.get(), n}, http::Method::get, {}, response_head_);
    if (read.status == http::ReadStatus::invalid) return end_probe(index, contract::Outcome::bad_response, 0);
    if (read.status == http::ReadStatus::incomplete) return;
    const u16 status = response_head_.status;
    if (status >= 200) return end_probe(index, outcome_of(p, status), status);
    engine_.discard(p.conn, response_head_.bytes);  // RFC 9110 15.2: the final answer is still to come
  }
}

contract::Outcome Relay::outcome_of(const Probe& p, u16 status) const {
  const contract::HealthCheck& check = p.plan->services[p.ref.service].health_check;
  const bool good = status >= check.status_min && status <= check.status_max;
  return good ? contract::Outcome::success : contract::Outcome::bad_status;
}

// The answer over HTTP/2.
void Relay::read_call(u32 index) {
  Probe& p = probes_[index];
  const u32 bytes = engine_.received(p.conn).bytes();
  if (bytes == 0) return;
  h2_.input(p.h2, engine_.take(p.conn, bytes), now_us_);
  http::H2Event event;
  while (h2_.next_event(p.h2, event)) {
    on_call_event(index, event);
    if (!probes_.used(index)) return;
  }
  flush_h2(p.h2, p.conn);
}

void Relay::on_call_event(u32 index, const http::H2Event& event) {
  using Kind = http::H2EventKind;
  Probe& p = probes_[index];
  const bool grpc = p.plan->services[p.ref.service].health_check.kind == contract::HealthCheckKind::grpc;
  switch (event.kind) {
    case Kind::none:
    case Kind::goaway: return;
    case Kind::reset:
    case Kind::failed: return end_probe(index, contract::Outcome::reset, p.status);
    case Kind::head: {
      const auto read = http::read_response(event.text, http::Method::get, {}, response_head_);
      if (read.status != http::ReadStatus::complete) return end_probe(index, contract::Outcome::bad_response, 0);
      if (response_head_.status < 200) return;
      p.status = response_head_.status;
      if (!grpc) return end_probe(index, outcome_of(p, p.status), p.status);
      // A call that fails at once has no message: its status stands in the head.
      if (event.end || p.status != 200) return end_probe(index, contract::Outcome::bad_status, p.status);
      return;
    }
    case Kind::data:
    case Kind::trailers: break;
  }
  const mbuf::Chain& message = h2_.received(event.stream);
  if (event.kind == Kind::data && !event.end) return;
  std::array<u8, 64> start;
  const u32 n = message.copy_out(0, {start.data(), std::min<u32>(message.bytes(), start.size())});
  const std::string_view trailers(reinterpret_cast<const char*>(event.text.data()), event.text.size());
  const bool serving = event.kind == Kind::trailers && http::grpc_status(trailers) == 0u && http::says_serving({start.data(), n});
  end_probe(index, serving ? contract::Outcome::success : contract::Outcome::bad_status, p.status);
}

void Relay::probe_timer(u32 index) { end_probe(index, contract::Outcome::timed_out, 0); }

void Relay::end_probe(u32 index, contract::Outcome outcome, u16 status) {
  Probe& p = probes_[index];
  // The answer's body is not read: a reset ends the check at once and leaves no TIME-WAIT here.
  if (p.h2 != kNone32) h2_.close(p.h2);
  if (p.conn) engine_.abort(p.conn);
  if (outcome != contract::Outcome::success) page().count(contract::Counter::probes_failed);
  contract::Mail mail;
  mail.kind = contract::MailKind::probe_done;
  mail.outcome = outcome;
  mail.core = static_cast<u16>(config_.core);
  mail.endpoint_slot = p.plan->endpoints[p.ref.endpoint].slot;
  mail.plan = p.plan;
  mail.probe = p.ref;
  mail.probe.status = status;
  mail.probe.rtt_us = static_cast<u32>(std::min<TimeUs>(now_us_ - p.started_us, ~u32{0}));
  page().recorder.note<contract::EventKind::mail_out>({.code = static_cast<u8>(mail.kind), .half = static_cast<u16>(outcome), .x = mail.endpoint_slot});
  if (!outbox_.push(mail)) page().count(contract::Counter::events_dropped);
  release(*p.plan);
  wheel_.cancel(probe_timer_id(index));
  probes_.free(index);
}

}  // namespace ringway::relay
