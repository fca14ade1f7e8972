#pragma once
// What a gateway has to know of gRPC over HTTP/2 (the protocol's own document, PROTOCOL-HTTP2): which requests are gRPC,
// their deadline, their status, and the health check of grpc.health.v1. Pure, header-only, any thread.

#include <cstring>
#include <optional>
#include <string_view>

#include "dataplane/http/bytes.h"
#include "dataplane/http/head.h"
#include "src/base/types.h"

namespace ringway::http {

// Codes of google.rpc.Code that the gateway answers or acts on.
enum class GrpcStatus : u8 {
  ok = 0, unknown = 2, deadline_exceeded = 4, permission_denied = 7, resource_exhausted = 8, unimplemented = 12,
  internal = 13, unavailable = 14, data_loss = 15, unauthenticated = 16,
};

// Content-Type application/grpc, with or without "+format" and parameters.
inline bool is_grpc(const RequestHead& head) {
  constexpr std::string_view type = "application/grpc";
  const std::string_view sent = head.value_of(FieldId::content_type);
  return sent.starts_with(type) && (sent.size() == type.size() || sent[type.size()] == '+' || sent[type.size()] == ';');
}

// How an answer of the gateway's own is told to a gRPC client ("HTTP to gRPC status code mapping"; a deadline of ours is
// DEADLINE_EXCEEDED, a limit of ours RESOURCE_EXHAUSTED).
constexpr GrpcStatus grpc_status_of(u16 http_status) {
  switch (http_status) {
    case 400: return GrpcStatus::internal;
    case 401: return GrpcStatus::unauthenticated;
    case 403: return GrpcStatus::permission_denied;
    case 404: return GrpcStatus::unimplemented;
    case 408: case 504: return GrpcStatus::deadline_exceeded;
    case 413: case 431: return GrpcStatus::resource_exhausted;
    case 429: case 502: case 503: return GrpcStatus::unavailable;
    default: return GrpcStatus::unknown;
  }
}

// A status that speaks against the endpoint, as an HTTP status from 500 on does.
constexpr bool is_grpc_failure(u32 status) {
  return status == 2 || status == 4 || status == 12 || status == 13 || status == 14 || status == 15;
}

// One that HTTP would call 503 or 504: UNAVAILABLE, DEADLINE_EXCEEDED.
constexpr bool is_grpc_gateway_failure(u32 status) { return status == 4 || status == 14; }

// A decimal of one or two digits, as grpc-status carries it.
constexpr std::optional<u32> read_grpc_status(std::string_view text) {
  if (text.empty() || text.size() > 2) return std::nullopt;
  u32 status = 0;
  for (const char c : text) {
    if (!is_digit(static_cast<u8>(c))) return std::nullopt;
    status = status * 10 + static_cast<u32>(c - '0');
  }
  return status;
}

// grpc-status of a head, or of a trailer section given as lines "name: value" CRLF with names in lower case.
inline std::optional<u32> grpc_status(const Head& head) {
  for (u32 i = 0; i < head.field_count; ++i) {
    if (equals_ignoring_case(head.name(i), "grpc-status")) return read_grpc_status(head.value(i));
  }
  return std::nullopt;
}
inline std::optional<u32> grpc_status(std::string_view lines) {
  constexpr std::string_view name = "grpc-status: ";
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    if (line.starts_with(name)) return read_grpc_status(line.substr(name.size()));
    lines = end == std::string_view::npos ? std::string_view{} : lines.substr(end + 2);
  }
  return std::nullopt;
}

// grpc-timeout in microseconds: up to eight digits and a unit H, M, S, m, u or n; nothing when it is absent or malformed.
inline std::optional<u64> grpc_timeout_us(const Head& head) {
  for (u32 i = 0; i < head.field_count; ++i) {
    if (!equals_ignoring_case(head.name(i), "grpc-timeout")) continue;
    const std::string_view text = head.value(i);
    if (text.size() < 2 || text.size() > 9) return std::nullopt;
    u64 value = 0;
    for (const char c : text.substr(0, text.size() - 1)) {
      if (!is_digit(static_cast<u8>(c))) return std::nullopt;
      value = value * 10 + static_cast<u64>(c - '0');
    }
    switch (text.back()) {
      case 'H': return value * 3'600'000'000;
      case 'M': return value * 60'000'000;
      case 'S': return value * 1'000'000;
      case 'm': return value * 1'000;
      case 'u': return value;
      case 'n': return (value + 999) / 1'000;
      default: return std::nullopt;
    }
  }
  return std::nullopt;
}

// Whether a message of grpc.health.v1.HealthCheckResponse, with its prefix of five bytes, says SERVING: field 1, varint 1.
constexpr bool says_serving(Bytes message) {
  constexpr u32 prefix = 5;
  if (message.size() < prefix || message[0] != 0) return false;
  const u32 length = u32{message[1]} << 24 | u32{message[2]} << 16 | u32{message[3]} << 8 | message[4];
  return length >= 2 && message.size() >= prefix + 2 && message[prefix] == 0x08 && message[prefix + 1] == 1;
}

}  // namespace ringway::http
