// Who may come in: what stands before a service (access rules, rates) is asked once per request, after its route is known
// and before an exchange, an endpoint or a connection is touched. docs/access.md.

#include "dataplane/relay/relay.h"
#include "dataplane/route/access.h"
#include "src/contract/rate.h"

namespace ringway::relay {

namespace {

constexpr u64 kSecondUs = 1'000'000;

}  // namespace

// From where the session's client comes, as the rules of the plan tell sources apart. Looked up once per plan: find_listener
// forgets it.
contract::Source Relay::source_of(Session& s) const {
  if (s.source == contract::kNoSource) s.source = plan_->callers.source_of(client_ip(s));
  return s.source;
}

// A connection that was there before the plan whose gateway.ingress refuses it. Asked before find_listener, so once per plan;
// there are rules. They are about who is connected, whomever a PROXY header names.
bool Relay::outstays(const Session& s) const {
  if (s.listener_generation == static_cast<u32>(plan_->generation)) return false;
  return plan_->ingress_acl->refuses(config_.book->ip(engine_.tuple(s.conn).remote), config_.book->ip(s.tuple.local), s.tuple.local_port);
}

// Its next request is the last one, and is refused; those under way end in order.
void Relay::show_out(u32 index, u32 stream) {
  turn_away(index, stream, 403, "this source may not connect here any more", "flag", "UAEX");
  if (!sessions_.used(index)) return;
  Session& s = sessions_[index];
  if (s.state == SessionState::lingering || s.goaway_sent) return;
  page().count(contract::Counter::ingress_ended);
  if (stream != kNone32) return last_streams(index);
  linger(index);
}

// Whether the request in `request_head_` may go on to `match.service`; if not, it has been answered.
bool Relay::admit(u32 index, u32 stream, const route::Match& match) {
  const contract::Service& service = plan_->services[match.service];
  const contract::Admission& admission = plan_->admissions[service.admission];
  const contract::Source source = source_of(sessions_[index]);
  const auto judgement = route::judge(*plan_, admission, source, request_head_, config_.core, match.scanned);
  if (judgement.scanned) page().count(contract::Counter::scans);
  if (!judgement.allow) {
    page().count(contract::Counter::access_denied);
    stats_.services[service.slot].denied.add();
    turn_away(index, stream, 403, "this caller may not do that here", "flag", "UAEX");
    return false;
  }
  const u64 wait_us = wait_for_token(admission, source);
  if (wait_us == 0) return true;
  page().count(contract::Counter::rate_limited);
  stats_.services[service.slot].limited.add();
  turn_away(index, stream, {.status = 429, .text = "too many requests", .flag = "flag", .flag_value = "RL",
                            .retry_after_s = static_cast<u32>((wait_us + kSecondUs - 1) / kSecondUs)});
  return false;
}

// Takes a token of each rate that the service has. 0, or how long there will be none.
u64 Relay::wait_for_token(const contract::Admission& admission, contract::Source source) {
  contract::RateLimiter* const own = admission.rate_per_caller.get();
  u32 bucket = 0;
  if (own != nullptr) {
    const u32 caller = plan_->callers.caller_of(source);
    bucket = caller == kNone32 ? own->buckets() - 1 : caller;
    if (!own->take(config_.core, bucket, now_us_)) return std::max<u64>(own->wait_us(bucket, now_us_), 1);
  }
  contract::RateLimiter* const all = admission.rate.get();
  if (all == nullptr || all->take(config_.core, 0, now_us_)) return 0;
  if (own != nullptr) own->give_back(config_.core, bucket);
  return std::max<u64>(all->wait_us(0, now_us_), 1);
}

// The same for a connection of a TCP service.
bool Relay::admit_tunnel(u32 index, u32 service) {
  const u32 admission = plan_->services[service].admission;
  if (admission == kNone32) return true;
  const contract::Source source = source_of(sessions_[index]);
  if (route::judge(*plan_, plan_->admissions[admission], source).allow) return true;
  page().count(contract::Counter::access_denied);
  stats_.services[plan_->services[service].slot].denied.add();
  return false;
}

}  // namespace ringway::relay
