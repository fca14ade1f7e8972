#pragma once
// Reads HTTP/1.1 heads in place (RFC 9112 sections 2 to 6, 9), strictly: what two parsers could read differently is
// refused. Pure functions over one contiguous stretch of bytes; no allocation, no state between calls. A head that
// is not complete yet is read again from its first byte when more has come (relay bounds how often).

#include <string_view>

#include "dataplane/http/head.h"
#include "dataplane/http/reject.h"
#include "src/base/types.h"

namespace ringway::http {

struct HeadLimits {
  u32 head_bytes = contract::kHeadBytesDefault;      // above: 431
  u32 fields = contract::kFieldsDefault;             // above: 431
  u32 target_bytes = contract::kTargetBytesDefault;  // above: 414
};

enum class ReadStatus : u8 { complete, incomplete, invalid };

struct ReadResult {
  ReadStatus status = ReadStatus::incomplete;
  Reject reject = Reject::none;  // why, when invalid
};

// Reads a request head from the start of `in` (leading empty lines are skipped and counted in `out.bytes`, RFC 9112
// 2.2). `invalid` is reported as soon as the bytes seen can no longer begin an acceptable head.
ReadResult read_request(Bytes in, const HeadLimits& limits, RequestHead& out);

// Reads a response head that answers `request_method`, which decides about its body (RFC 9112 6.3).
ReadResult read_response(Bytes in, Method request_method, const HeadLimits& limits, ResponseHead& out);

// Value of a Content-Length field: decimal digits only, at most 19 of them, at most 2^63 - 1 (RFC 9112 6.3: anything
// else is unrecoverable; some peers count in signed 64-bit numbers).
bool read_length(std::string_view text, u64& length);

// One protocol name that may become a tunnel (RFC 9110 7.8, RFC 8441 4). HTTP/2 in clear text and TLS would carry
// requests past every route.
bool is_tunnel_protocol(std::string_view protocol);

}  // namespace ringway::http
