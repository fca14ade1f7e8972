// services[].retry and services[].circuitBreakers. Words and defaults are Envoy's (contract/resilience.h).

#include <algorithm>
#include <vector>

#include "control/config/sections.h"

namespace ringway::config {
namespace {

void read_words(Reader& reader, const Map& map, contract::RetryPolicy& out) {
  if (!map.get("on")) return;
  out.on = 0;
  for (const Value& value : map.list("on", 0, contract::kRetryOnNames.size())) {
    const auto word = read_word(reader, value);
    if (!word) continue;
    const auto at = std::ranges::find(contract::kRetryOnNames, *word);
    if (at == contract::kRetryOnNames.end()) {
      refuse_choice(reader, value, *word, contract::kRetryOnNames);
      continue;
    }
    out.on |= 1u << (at - contract::kRetryOnNames.begin());
  }
}

void read_statuses(Reader& reader, const Map& map, contract::RetryPolicy& out) {
  if (!map.get("statusCodes")) return;
  out.statuses = {};
  for (const Value& value : map.list("statusCodes", 0, 500)) {
    if (const auto status = read_integer(reader, value, 400, 599)) out.statuses.add(static_cast<u16>(*status));
  }
}

// What is said and yet changes nothing.
void warn_idle_retry(Reader& reader, const Map& map, const ServiceConfig& service) {
  const contract::RetryPolicy& retry = service.retry;
  const auto statuses = map.get("statusCodes");
  const bool by_status = (retry.on & contract::kOnStatusCodes) != 0;
  if (service.app_protocol == contract::AppProtocol::tcp) {
    for (const char* key : {"statusCodes", "nonIdempotent", "respectRetryAfter", "bodyBytes", "attemptCount"}) {
      if (const auto value = map.get(key)) reader.warning(value->mark, std::string(key) + ": has no effect on TCP");
    }
  } else if (statuses && !by_status) {
    reader.warning(statuses->mark, "statusCodes: has no effect, since `on` does not name retriable-status-codes");
  } else if (statuses && retry.statuses == contract::StatusSet{}) {
    reader.warning(statuses->mark, "statusCodes: names none, so no status is repeated");
  }
}

void read_retry(Reader& reader, const Map& map, ServiceConfig& service) {
  const auto value = map.get("retry");
  if (!value) return;
  contract::RetryPolicy& out = service.retry;
  const Map inner(reader, *value, keys::kRetry);
  inner.integer("retries", out.retries, 0, contract::kRetriesMax);
  read_words(reader, inner, out);
  read_statuses(reader, inner, out);
  warn_idle_retry(reader, inner, service);
  inner.boolean("nonIdempotent", out.non_idempotent);
  inner.boolean("respectRetryAfter", out.retry_after);
  inner.boolean("attemptCount", out.attempt_count);
  inner.integer("bodyBytes", out.body_bytes, 0, contract::kReplayBytesMax);
  if (const auto at = inner.seconds("perTryTimeoutSeconds", out.per_try_us, 0, 3600)) {
    const u64 whole = service.timeouts.per_request_us;
    if (service.app_protocol == contract::AppProtocol::tcp) {
      reader.problem(*at, "perTryTimeoutSeconds: not for TCP: give the service an appProtocol");
    } else if (whole != 0 && out.per_try_us >= whole) {
      reader.warning(*at, "perTryTimeoutSeconds: not shorter than perRequestTimeoutSeconds, so there is no time for a retry");
    }
  }
  if (const auto backoff = inner.get("backoffMs")) {
    const Map times(reader, *backoff, keys::kBackoff);
    u64 base = out.backoff_base_us / 1000, most = 0;
    times.integer("base", base, 1, 60'000);
    most = 10 * base;
    if (const auto at = times.integer("max", most, 1, 600'000); at && most < base) {
      reader.problem(*at, "max: smaller than base");
    }
    out.backoff_base_us = base * 1000;
    out.backoff_max_us = most * 1000;
  }
  if (const auto budget = inner.get("budget")) {
    const Map shares(reader, *budget, keys::kBudget);
    shares.integer("percent", out.budget_percent, 0, 100);
    shares.integer("min", out.budget_min, 0, 1'000'000);
  }
}

void read_breakers(Reader& reader, const Map& map, bool tcp, contract::CircuitBreakers& out) {
  constexpr i64 kMost = 2'147'483'647;
  const auto value = map.get("circuitBreakers");
  if (!value) return;
  const Map inner(reader, *value, keys::kBreakers);
  inner.integer("maxConnections", out.connections, 0, kMost);
  inner.integer("maxPendingRequests", out.pending, 0, kMost);
  inner.integer("maxRequests", out.requests, 0, kMost);
  inner.integer("maxRetries", out.retries, 0, kMost);
  if (const auto pending = inner.get("maxPendingRequests"); pending && out.connections == 0) {
    reader.warning(pending->mark, "maxPendingRequests: has no effect without maxConnections: nobody waits for a connection");
  }
  for (const char* key : {"maxRequests", "adaptiveConcurrency"}) {
    const auto extra = inner.get(key);
    if (tcp && extra) reader.problem(extra->mark, std::string(key) + ": not for TCP, whose connections maxConnections limits");
  }
  if (const auto adaptive = inner.get("adaptiveConcurrency")) {
    const Map limits(reader, *adaptive, keys::kAdaptive);
    out.adaptive = true;
    limits.boolean("enabled", out.adaptive);
    limits.integer("min", out.adaptive_min, 1, 65'535);
  }
}

}  // namespace

void read_resilience(Reader& reader, const Map& map, ServiceConfig& out) {
  read_retry(reader, map, out);
  read_breakers(reader, map, out.app_protocol == contract::AppProtocol::tcp, out.breakers);
}

}  // namespace ringway::config
