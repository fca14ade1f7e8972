#pragma once
// Head: a parsed request or response head, as offsets into the bytes that it was read from.
//
// Filled by h1_read, also for HTTP/2 (h2_head.h); read by inspect, route, h1_write and h2_write. A core has one
// RequestHead and one ResponseHead as scratch; a head lives from its parse to its forwarding in one step of relay and
// is never stored.
// Offsets are 16 bits and relative to `base`, so a head that moved in memory only needs a new `base`.
// Pure: no mbuf, any thread. Follows RFC 9110 (semantics) and RFC 9112 (HTTP/1.1).

#include <array>
#include <string_view>

#include "src/base/types.h"
#include "src/contract/limits.h"

namespace ringway::http {

// A stretch of the head, relative to its first byte.
struct Stretch {
  u16 offset = 0;
  u16 length = 0;
};

// Fields that the gateway itself acts on; all others are `other`.
enum class FieldId : u8 {
  other, accept, accept_encoding, authorization, connection, content_length, content_type, cookie, date, expect,
  forwarded, host, http2_settings, keep_alive, proxy_connection, retry_after, sec_websocket_accept, sec_websocket_key,
  server, te, trailer, transfer_encoding, upgrade, user_agent, via, x_envoy_attempt_count,
  x_envoy_expected_rq_timeout_ms, x_envoy_upstream_service_time, x_forwarded_for, x_forwarded_proto, x_request_id,
  count_
};

struct Field {
  Stretch name;   // as sent
  Stretch value;  // without surrounding white space
  FieldId id = FieldId::other;
  bool hop_by_hop = false;  // named by Connection, or hop-by-hop by RFC 9110 7.6.1: not forwarded
};

// How the end of the body is found, RFC 9112 section 6.3.
enum class Framing : u8 { none, length, chunked, until_close };

enum class Method : u8 { get, head, post, put, delete_, connect, options, trace, patch, other };

struct Head {
  const u8* base = nullptr;
  u16 bytes = 0;  // with the empty line
  u16 field_count = 0;
  std::array<Field, contract::kFieldsMax> fields;

  u8 minor_version = 1;      // HTTP/1.x
  bool keep_alive = true;    // by version and Connection, RFC 9112 9.3
  bool upgrade = false;      // Connection: upgrade with an Upgrade field that asks for a tunnel
  bool upgrade_h2c = false;  // the same for HTTP/2, with HTTP2-Settings (RFC 7540 section 3.2)
  Framing framing = Framing::none;
  u64 content_length = 0;    // for Framing::length, or what a HEAD response announces

  // First occurrence of a known field as 1 + index into `fields`; 0 is absent.
  std::array<u8, static_cast<u32>(FieldId::count_)> first{};

  std::string_view text(Stretch s) const { return {reinterpret_cast<const char*>(base) + s.offset, s.length}; }
  std::string_view name(u32 i) const { return text(fields[i].name); }
  std::string_view value(u32 i) const { return text(fields[i].value); }
  bool has(FieldId id) const { return first[static_cast<u32>(id)] != 0; }
  // Value of the first field of that kind; empty when absent.
  std::string_view value_of(FieldId id) const {
    const u8 at = first[static_cast<u32>(id)];
    return at == 0 ? std::string_view{} : value(at - 1u);
  }
};

struct RequestHead : Head {
  Method method = Method::other;
  Stretch method_text;
  Stretch target;     // as sent
  Stretch path;       // of the target, without query; "/" for an absolute-form target with an empty path
  Stretch query;      // after '?', without it
  Stretch authority;  // of an absolute-form target, else the Host field's value (RFC 9112 3.2.2)
  bool has_query = false;
  bool absolute_form = false;
  bool asterisk_form = false;
  bool expects_continue = false;  // Expect: 100-continue

  std::string_view path_text() const;  // "/" where an absolute-form target has no path
};

inline std::string_view RequestHead::path_text() const {
  return path.length == 0 ? std::string_view("/") : text(path);
}

struct ResponseHead : Head {
  u16 status = 0;
  Stretch reason;
};

}  // namespace ringway::http
