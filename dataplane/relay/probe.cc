// Health checks: control asks for one, the core that got the mail sends it over its own TCP and mails what came of it.

#include <algorithm>

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

void Relay::on_probe(u32 index, const tcp::AppEvent& event) {
  Probe& p = probes_[index];
  const contract::HealthCheck& check = p.plan->services[p.ref.service].health_check;
  if ((event.bits & tcp::kConnected) != 0) {
    if (check.kind == contract::HealthCheckKind::tcp) return end_probe(index, contract::Outcome::success, 0);
    engine_.send(p.conn, to_chain({reinterpret_cast<const u8*>(check.request.data()), check.request.size()}));
    p.sent = true;
  }
  const bool over = (event.bits & (tcp::kPeerClosed | tcp::kClosed)) != 0;
  while (!engine_.received(p.conn).empty()) {
    const mbuf::Chain& in = engine_.received(p.conn);
    const u32 n = in.copy_out(0, {gathered_.get(), std::min<u32>(in.bytes(), contract::kHeadBytesMax)});
    const auto read = http::read_response({gathered_.get(), n}, http::Method::get, {}, response_head_);
    if (read.status == http::ReadStatus::invalid) return end_probe(index, contract::Outcome::bad_response, 0);
    if (read.status == http::ReadStatus::incomplete) break;
    const u16 status = response_head_.status;
    if (status < 200) {  // RFC 9110 15.2: the final answer is still to come
      engine_.discard(p.conn, response_head_.bytes);
      continue;
    }
    const bool good = status >= check.status_min && status <= check.status_max;
    return end_probe(index, good ? contract::Outcome::success : contract::Outcome::bad_status, status);
  }
  if ((event.bits & tcp::kClosed) != 0) p.conn = {};
  if (over) end_probe(index, p.sent ? contract::Outcome::reset : contract::Outcome::connect_failed, 0);
}

void Relay::probe_timer(u32 index) { end_probe(index, contract::Outcome::timed_out, 0); }

void Relay::end_probe(u32 index, contract::Outcome outcome, u16 status) {
  Probe& p = probes_[index];
  // The answer's body is not read: a reset ends the check at once and leaves no TIME-WAIT here.
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
