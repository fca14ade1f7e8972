#pragma once
// How a service's exchanges are repeated when a try fails, and how many of them there may be at once.
//
// Words and defaults are Envoy's (route.v3.RetryPolicy, cluster.v3.CircuitBreakers) as Service Connect uses them: two
// retries on connection failure, refused stream, reset, 503 and gRPC UNAVAILABLE; no circuit breaker unless one is set.
// Immutable parts of a Plan; any thread.

#include <array>
#include <initializer_list>
#include <string_view>

#include "src/base/types.h"

namespace ringway::contract {

inline constexpr u32 kRetriesMax = 7;
inline constexpr u32 kReplayBytesDefault = 65'536;   // of a request body, kept until it cannot be needed again
inline constexpr u32 kReplayBytesMax = 1'048'576;
inline constexpr u64 kRetryAfterMaxUs = 300'000'000;  // a longer Retry-After is not waited for (Envoy: max_interval)

// What is worth another try: Envoy's retry_on, a bit for each word.
enum RetryOn : u32 {
  kOnConnectFailure = 1u << 0,   // no connection could be opened
  kOnRefusedStream = 1u << 1,    // REFUSED_STREAM, or GOAWAY below the stream: it was not processed
  kOnReset = 1u << 2,            // the connection or stream broke, or a try took too long, before a response
  kOn5xx = 1u << 3,              // any status from 500 on, and what kOnReset says
  kOnGatewayError = 1u << 4,     // 502, 503, 504
  kOnRetriable4xx = 1u << 5,     // 409
  kOnStatusCodes = 1u << 6,      // RetryPolicy::statuses
  kOnCancelled = 1u << 7,        // gRPC statuses that come without a message
  kOnDeadlineExceeded = 1u << 8,
  kOnInternal = 1u << 9,
  kOnResourceExhausted = 1u << 10,
  kOnUnavailable = 1u << 11,
};
inline constexpr std::array<std::string_view, 12> kRetryOnNames{
    "connect-failure", "refused-stream", "reset", "5xx", "gateway-error", "retriable-4xx", "retriable-status-codes",
    "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"};
inline constexpr u32 kRetryOnDefault = kOnConnectFailure | kOnRefusedStream | kOnReset | kOnStatusCodes | kOnUnavailable;

// A set of the statuses 100 to 599.
class StatusSet {
 public:
  constexpr void add(u16 status) { words_[status / 64] |= u64{1} << status % 64; }
  constexpr bool has(u16 status) const { return status < 640 && (words_[status / 64] >> status % 64 & 1) != 0; }
  friend constexpr bool operator==(const StatusSet&, const StatusSet&) = default;

 private:
  std::array<u64, 10> words_{};
};
inline constexpr StatusSet status_set(std::initializer_list<u16> statuses) {
  StatusSet set;
  for (const u16 status : statuses) set.add(status);
  return set;
}

struct RetryPolicy {
  u32 retries = 2;                 // 0..kRetriesMax, beside the first try
  u32 on = kRetryOnDefault;        // RetryOn
  StatusSet statuses = status_set({503});
  bool non_idempotent = false;     // POST and the like are repeated even where an endpoint may have acted (RFC 9110 9.2.2)
  u64 per_try_us = 0;              // from the request's end to the response's head; 0 is off
  u64 backoff_base_us = 25'000;    // the n-th retry waits up to (2^n - 1) times this,
  u64 backoff_max_us = 250'000;    // but no more than that
  bool retry_after = false;        // a response's Retry-After is waited for
  u32 budget_percent = 20;         // of the service's exchanges may be retries at a time,
  u32 budget_min = 3;              // but always so many (each core)
  u32 body_bytes = kReplayBytesDefault;
  bool attempt_count = false;      // X-Envoy-Attempt-Count towards endpoints
  friend bool operator==(const RetryPolicy&, const RetryPolicy&) = default;
};

// Limits of what is under way at once; 0 is unlimited, but for `pending`. Requests are counted over all cores; connections,
// and requests that wait for one, by each core against its share.
struct CircuitBreakers {
  u32 connections = 0;
  u32 pending = 1024;              // requests that wait for a connection, once `connections` is reached
  u32 requests = 0;
  u32 retries = 0;                 // beside the budget
  bool adaptive = false;           // concurrency follows latency (relay/concurrency.h)
  u32 adaptive_min = 10;           // that it never goes below (each core)
  u32 core_connections = 0;        // of the two above, what one core may have: compile writes it
  u32 core_pending = 1024;
  // Rounded up, so that whatever is allowed at all is allowed to every core.
  constexpr void share_among(u32 cores) {
    const auto share = [cores](u32 all) { return static_cast<u32>((u64{all} + cores - 1) / cores); };
    core_connections = share(connections);
    core_pending = share(pending);
  }
  friend bool operator==(const CircuitBreakers&, const CircuitBreakers&) = default;
};

}  // namespace ringway::contract
