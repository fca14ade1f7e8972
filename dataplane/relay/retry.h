#pragma once
// Whether a try that failed is followed by another, and when: decisions without clock, plan or connection.
//
// A request is repeated when its service's policy says that the failure is worth it, and when that is safe: no endpoint
// has acted on it (no connection, a refused stream), its method is idempotent (RFC 9110 9.2.2), a gRPC status says that it
// may be called again, or the service says that all of its requests may. Back-off is Envoy's fully jittered one. Any thread.

#include <algorithm>

#include "dataplane/http/grpc.h"
#include "dataplane/http/head.h"
#include "src/base/types.h"
#include "src/contract/resilience.h"

namespace ringway::relay {

// RFC 9110 9.2.2, the methods a gateway may repeat without knowing more.
constexpr bool is_idempotent(http::Method method) {
  switch (method) {
    case http::Method::get:
    case http::Method::head:
    case http::Method::put:
    case http::Method::delete_:
    case http::Method::options:
    case http::Method::trace: return true;
    default: return false;
  }
}

// How a try ended.
struct TryEnd {
  enum class Kind : u8 {
    not_connected,  // no connection opened
    refused,        // the endpoint did not process it
    broken,         // reset, or too slow, before a response
    answered,       // with `status`, or a gRPC status and no message
  };
  Kind kind = Kind::not_connected;
  u16 status = 0;
  i32 grpc_status = -1;
};

constexpr u32 retry_word_of(i32 grpc_status) {
  switch (grpc_status) {
    case 1: return contract::kOnCancelled;
    case 4: return contract::kOnDeadlineExceeded;
    case 8: return contract::kOnResourceExhausted;
    case 13: return contract::kOnInternal;
    case 14: return contract::kOnUnavailable;
    default: return 0;
  }
}

constexpr bool is_worth_a_retry(const contract::RetryPolicy& policy, const TryEnd& end) {
  using contract::RetryOn;
  switch (end.kind) {
    case TryEnd::Kind::not_connected: return (policy.on & contract::kOnConnectFailure) != 0;
    case TryEnd::Kind::refused: return (policy.on & contract::kOnRefusedStream) != 0;
    case TryEnd::Kind::broken: return (policy.on & (contract::kOnReset | contract::kOn5xx)) != 0;
    case TryEnd::Kind::answered: break;
  }
  if (end.grpc_status > 0) return (policy.on & retry_word_of(end.grpc_status)) != 0;
  const u16 status = end.status;
  return (status >= 500 && (policy.on & contract::kOn5xx) != 0) ||
         (status >= 502 && status <= 504 && (policy.on & contract::kOnGatewayError) != 0) ||
         (status == 409 && (policy.on & contract::kOnRetriable4xx) != 0) ||
         (policy.statuses.has(status) && (policy.on & contract::kOnStatusCodes) != 0);
}

// Whether a request may be sent again after its try ended so.
constexpr bool is_safe_to_repeat(const contract::RetryPolicy& policy, const TryEnd& end, http::Method method) {
  if (end.kind == TryEnd::Kind::not_connected || end.kind == TryEnd::Kind::refused) return true;
  return end.grpc_status > 0 || policy.non_idempotent || is_idempotent(method);
}

// Before retry number `retry`, from 1: a random time in [0, (2^retry - 1) * base), at most the maximum (Envoy: "fully
// jittered exponential back-off"). `random`: 64 bits.
constexpr u64 backoff_us(const contract::RetryPolicy& policy, u32 retry, u64 random) {
  const u64 range = std::min(((u64{1} << std::min(retry, 16u)) - 1) * policy.backoff_base_us, policy.backoff_max_us);
  return static_cast<u64>(static_cast<unsigned __int128>(random) * range >> 64);
}

// What a Retry-After of `seconds` asks for, with up to half as much again, so that clients do not come back together.
constexpr u64 retry_after_us(u64 seconds, u64 random) {
  const u64 us = seconds * 1'000'000;
  return us + static_cast<u64>(static_cast<unsigned __int128>(random) * (us / 2) >> 64);
}

// One retry more, while `active` exchanges of the service are under way and `retrying` of them are retries.
constexpr bool is_within_budget(const contract::RetryPolicy& policy, u64 active, u64 retrying) {
  return retrying < policy.budget_min || (retrying + 1) * 100 <= active * policy.budget_percent;
}

}  // namespace ringway::relay
