#pragma once
// Writes HTTP/1.1 heads: a forwarded request or response with the gateway's edits, and the gateway's own answers.
// Pure functions into a caller's buffer; they return the bytes written, or 0 when `out` is too small.

#include <string_view>

#include "dataplane/http/field_edits.h"
#include "dataplane/http/head.h"
#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::http {

// What the gateway changes on the way to an endpoint (RFC 9110 7.6; Service Connect 1.3). Hop-by-hop fields are left
// out, an absolute-form target becomes origin-form, Host is sent first and is the request's authority.
struct RequestEdit {
  wire::Ip client_ip;              // appended to X-Forwarded-For
  std::string_view via;            // pseudonym: "1.1 <via>" is appended to Via
  std::string_view forwarded_proto = "http";  // X-Forwarded-Proto where the request has none
  std::string_view request_id = {};  // X-Request-Id where the request has none; empty leaves it out
  u64 expected_timeout_ms = 0;     // X-Envoy-Expected-Rq-Timeout-Ms; 0 leaves it out
  u32 attempt = 0;                 // X-Envoy-Attempt-Count; 0 leaves it out
  bool upgrade = false;            // keep Connection: upgrade and Upgrade
  std::string_view fallback_host = {};  // Host of an HTTP/1.0 request that names none; empty sends an empty Host
  bool from_h2 = false;            // the request came by HTTP/2: Via says so
  const RouteEdit* route = nullptr;  // null: a route changes nothing
  std::string_view websocket_key = {};  // Sec-WebSocket-Key towards HTTP/1.1 instead of the request's own; empty leaves that
};
u32 write_request(const RequestHead& head, const RequestEdit& edit, MutBytes out);

// A Set-Cookie field of the gateway's own: "name=value" and the attributes behind, "; Path=/" (RFC 6265 4.1.1).
struct SetCookie {
  std::string_view name, value, attributes;
};

// What the gateway changes on the way to the client. `chunked_to_close`: the client speaks HTTP/1.0, the body is
// unwrapped and ends with the connection.
struct ResponseEdit {
  std::string_view via;
  bool close = false;             // send Connection: close
  bool keep_alive_1_0 = false;    // send Connection: keep-alive to an HTTP/1.0 client
  bool chunked_to_close = false;
  bool upgrade = false;           // 101: keep Connection: upgrade and Upgrade
  u64 upstream_service_ms = ~u64{0};  // X-Envoy-Upstream-Service-Time; all ones leaves it out
  bool from_h2 = false;           // the response came by HTTP/2: Via says so
  const RouteEdit* route = nullptr;  // null: a route changes nothing
  std::string_view websocket_accept = {};  // 101: Sec-WebSocket-Accept towards HTTP/1.1 instead of the response's own
  const SetCookie* cookie = nullptr;  // beside those of the response; not with an interim one
};
u32 write_response(const ResponseHead& head, const ResponseEdit& edit, MutBytes out);

// A whole answer of the gateway's own: status line, text/plain body of one line, `x-ringway-<flag>: <flag_value>`.
// What a route answers is written the same way, with the route's body and fields.
struct LocalAnswer {
  u16 status = 500;
  std::string_view text;        // one sentence, becomes the body with a newline
  bool verbatim = false;        // `text` is the whole body, without a newline; it may be empty
  std::string_view content_type = "text/plain";
  std::string_view location = {};  // empty leaves it out
  const FieldEdits* fields = nullptr;
  std::string_view flag = {};        // e.g. "limit"; empty leaves the field out
  std::string_view flag_value = {};  // e.g. "head_bytes"
  std::string_view date = {};        // Date, as RFC 9110 5.6.7 writes it; empty leaves it out
  bool head_only = false;       // answers HEAD
  bool close = true;
  bool overloaded = false;      // send x-envoy-overloaded: true
  u32 retry_after_s = 0;        // with 429: Retry-After, and x-envoy-ratelimited; 0 leaves both out
  i32 grpc_status = -1;         // from 0 on: the request is gRPC, its answer is HTTP 200 with grpc-status and grpc-message
};
u32 write_local_answer(const LocalAnswer& answer, MutBytes out);

// RFC 9110 section 15; "Unknown" for an unassigned status.
std::string_view reason_phrase(u16 status);

// Writes a random UUID (RFC 9562 version 4, 36 characters) made of `random` to `out`.
void write_uuid(u64 random_high, u64 random_low, char out[36]);

}  // namespace ringway::http
