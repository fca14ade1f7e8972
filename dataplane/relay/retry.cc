// Another try: what a failed try comes to, when the next one begins, and what an exchange keeps for it.

#include "dataplane/relay/retry.h"

#include <charconv>

#include "dataplane/relay/relay.h"

namespace ringway::relay {

namespace {

constexpr u32 kRetryWaitsMax = 8;    // for the budget, beside the back-off itself
constexpr u32 kKeepShareMin = 32;    // packets that a connection may hold: with less, no body is kept for another try
constexpr u32 kKeptSlices = 32;      // of a body that is kept, and one more for each
constexpr u32 kKeptSliceBytes = 1024;  // that it may have: a client that sends byte by byte must not hold a packet for each

}  // namespace

// The request can be sent once more: its head is there, and what of its body has left.
bool Relay::is_whole(const Exchange& x) const {
  if (x.tunnel) return !x.body_started && !x.response_done;  // nor was the client told that the endpoint had ended
  return !x.head.empty() && !x.body_started;
}

// From here on the request cannot be repeated.
void Relay::forget_request(Exchange& x) {
  x.body_started = true;
  if (!keeps_head(x)) x.head.clear();
  x.kept.clear();
}

// `bytes` of the body are about to leave. They are kept, shared, where another try may be safe when they have left.
void Relay::keep_body(Exchange& x, const mbuf::Chain& bytes) {
  const contract::RetryPolicy& policy = retry_policy(x);
  const bool repeatable = policy.non_idempotent || is_idempotent(x.method) || x.grpc || x.upstream_stream != kNone32;
  if (repeatable && !x.body_started && policy.retries > 0 && x.kept.bytes() + bytes.bytes() <= policy.body_bytes &&
      x.kept.slices() + bytes.slices() <= kKeptSlices + policy.body_bytes / kKeptSliceBytes && engine_.packet_share() >= kKeepShareMin) {
    mbuf::Chain copy = bytes.share();
    if (copy.bytes() == bytes.bytes()) {
      if (x.kept.pool() == nullptr) x.kept = pools_.chain();
      return x.kept.append(std::move(copy));
    }
  }
  forget_request(x);
}

// What the response in hand asks to wait for: seconds of Retry-After; 0 when it says none, or a date (RFC 9110 10.2.3).
u64 Relay::retry_after_s() const {
  const std::string_view text = response_head_.value_of(http::FieldId::retry_after);
  u64 seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return error == std::errc{} && end == text.data() + text.size() ? std::min(seconds, contract::kRetryAfterMaxUs) : 0;
}

// A try of `x` has ended so: how long another one has to wait; nothing when there is to be none.
std::optional<u64> Relay::wait_before_retry(const Exchange& x, const TryEnd& end) {
  const contract::RetryPolicy& policy = retry_policy(x);
  if (!is_worth_a_retry(policy, end) || !is_whole(x) || !is_safe_to_repeat(policy, end, x.method)) return std::nullopt;
  if (x.retries >= policy.retries) return std::nullopt;
  u64 wait_us = backoff_us(policy, x.retries + 1u, random());
  if (policy.retry_after && end.kind == TryEnd::Kind::answered) {
    if (const u64 seconds = retry_after_s(); seconds > 0) {
      if (seconds * 1'000'000 > contract::kRetryAfterMaxUs) return std::nullopt;
      wait_us = retry_after_us(seconds, random());
    }
  }
  if (now_us_ + wait_us >= exchange_deadline(x)) return std::nullopt;
  return wait_us;
}

// True: another try follows, when its back-off is over. False: nothing has changed, the failure stands.
bool Relay::retry(u32 index, const TryEnd& end) {
  const auto wait_us = wait_before_retry(exchanges_[index], end);
  if (wait_us) retry_after(index, *wait_us, After::abort);
  return wait_us.has_value();
}

// The try is over; its connection is given up as `after` says.
void Relay::retry_after(u32 index, u64 wait_us, After after) {
  Exchange& x = exchanges_[index];
  end_retry(x);
  ++x.retries;
  release_upstream(index, after);
  x.retry_at_us = now_us_ + wait_us;
  arm_session_at(x.session, x.retry_at_us);
}

void Relay::end_retry(Exchange& x) {
  if (std::exchange(x.retrying, false)) service_stats(x).retrying.sub();
}

// The service's retries under way allow one more.
bool Relay::may_retry(const Exchange& x) {
  const contract::Service& service = x.plan->services[x.service];
  const contract::ServiceStats& numbers = service_stats(x);
  return is_within_budget(service.retry, numbers.active.get(), numbers.retrying.get()) &&
         (service.breakers.retries == 0 ||
          sum_over_cores(service.slot, &contract::ServiceStats::retrying) < service.breakers.retries);
}

// The back-off is over. Where the service has as many retries under way as it may, this one waits again, a few times: an
// endpoint that dies leaves many at once, and they follow each other soon.
void Relay::begin_retry(u32 index) {
  Exchange& x = exchanges_[index];
  if (!may_retry(x)) {
    if (x.retry_waits++ == kRetryWaitsMax) {
      service_stats(x).retries_denied.add();
      return fail_exchange(index, 503, "the service has too many retries under way", "URX");
    }
    x.retry_at_us = now_us_ + backoff_us(retry_policy(x), x.retries + x.retry_waits, random());
    return arm_session_at(x.session, x.retry_at_us);
  }
  x.retrying = true;
  service_stats(x).retrying.add();
  dispatch_again(index);
}

// Sends the request once more, from its first byte.
void Relay::dispatch_again(u32 index) {
  Exchange& x = exchanges_[index];
  x.retry_at_us = 0;
  if (x.tunnel) x.active_us = now_us_;  // its silence begins with this try
  page().count(contract::Counter::upstream_retries);
  service_stats(x).retries.add();
  read_again(x);
  dispatch(index, request_head_);
}

// The request's head is in `request_head_` again, and what of its body has left comes first.
void Relay::read_again(Exchange& x) {
  if (x.tunnel) {
    request_head_ = {};
    x.request_done = false;  // that the client has half-closed, the next endpoint has to hear as well
    return;
  }
  if (!x.kept.empty()) {
    if (x.mirror != kNone32) end_mirror(x.mirror, true);  // it has had them
    x.request_done = false;
    x.request_body.chunks = {};
    x.kept.append(std::move(x.request_body.again));  // what the last try had not sent again yet
    x.request_body.again = std::move(x.kept);
  }
  const contract::Limits& limits = x.plan->limits;
  const auto again = http::read_request(contiguous(x.head), {limits.head_bytes, limits.fields, limits.target_bytes}, request_head_);
  RW_ASSERT(again.status == http::ReadStatus::complete);  // it was read once already, by the same limits
}

// When the present try has taken too long; all ones when it may go on.
TimeUs Relay::try_deadline(const Exchange& x) const {
  const u64 most = retry_policy(x).per_try_us;
  if (most == 0 || x.upstream == kNone32 || !x.request_done || x.response_started || x.tunnel) return ~TimeUs{0};
  return std::max(x.attempt_started_us, x.try_sent_us) + most;
}

void Relay::try_timed_out(u32 index) {
  Exchange& x = exchanges_[index];
  page().count(contract::Counter::try_timeouts);
  tell_control(x.plan->endpoints[x.endpoint], contract::Outcome::timed_out);
  if (retry(index, {TryEnd::Kind::broken})) return;
  fail_exchange(index, 504, "no try was answered in time", "UT");
}

// Something of the exchange is due: its next try, or an end.
void Relay::exchange_timer(u32 index) {
  Exchange& x = exchanges_[index];
  if (exchange_deadline(x) <= now_us_) return time_out(index);
  if (x.retry_at_us != 0 && x.retry_at_us <= now_us_) return begin_retry(index);
  if (try_deadline(x) <= now_us_) try_timed_out(index);
}

TimeUs Relay::next_due(const Exchange& x) const {
  const TimeUs deadline = std::min(exchange_deadline(x), try_deadline(x));
  return x.retry_at_us != 0 ? std::min(deadline, x.retry_at_us) : deadline;
}

}  // namespace ringway::relay
