#pragma once
// What the gateway changes in a head on its way, as far as it does not depend on the protocol that the head is written
// in: which fields it leaves out to write them itself, and what their new values are made of. Shared by h1_write and
// h2_write, so that both do the same (RFC 9110 section 7.6). Pure, any thread.

#include <array>
#include <string_view>

#include "dataplane/http/bytes.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/http/head.h"
#include "src/base/types.h"

namespace ringway::http::head_edit {

// Fields of a request that are left out; those of them that still hold are written anew.
inline u32 own_fields(const RequestHead& head) {
  u32 own = kHopByHop | bit(FieldId::host) | bit(FieldId::content_length) | bit(FieldId::via) |
            bit(FieldId::x_forwarded_for) | bit(FieldId::x_envoy_expected_rq_timeout_ms) |
            bit(FieldId::x_envoy_attempt_count);
  // An HTTP/1.0 client cannot take the 100 that an Expect would bring (RFC 9110 10.1.1); trailers need chunks.
  if (head.minor_version == 0) own |= bit(FieldId::expect);
  if (head.framing != Framing::chunked) own |= bit(FieldId::trailer);
  return own;
}

inline constexpr u32 kOwnResponseFields = kHopByHop | bit(FieldId::content_length) | bit(FieldId::via) |
                                          bit(FieldId::x_envoy_upstream_service_time);

inline bool is_left_out(const Field& field, u32 own) { return field.hop_by_hop || (own & bit(field.id)) != 0; }

// Whether the message has such a field that goes on as it came.
inline bool forwards(const Head& head, FieldId id) {
  const u8 at = head.first[static_cast<u32>(id)];
  return at != 0 && !head.fields[at - 1u].hop_by_hop;
}

// Shows the index of every field of that kind whose value goes into the gateway's own.
template <class Visit>
inline void each_kept(const Head& head, FieldId id, Visit visit) {
  if (!head.has(id)) return;
  for (u32 i = head.first[static_cast<u32>(id)] - 1u; i < head.field_count; ++i) {
    if (head.fields[i].id == id && !head.fields[i].hop_by_hop && head.fields[i].value.length != 0) visit(i);
  }
}

// "TE: trailers" is the one option that survives a hop (RFC 9110 10.1.4).
inline bool accepts_trailers(const Head& head) {
  constexpr std::string_view wanted = "trailers";
  if (!head.has(FieldId::te)) return false;
  for (u32 i = head.first[static_cast<u32>(FieldId::te)] - 1u; i < head.field_count; ++i) {
    if (head.fields[i].id != FieldId::te) continue;
    std::string_view rest = head.value(i);
    while (!rest.empty()) {
      const std::string_view option = take_list_element(rest);
      if (equals_ignoring_case(option, wanted)) return true;
    }
  }
  return false;
}

// RFC 9110 7.6.3: the protocol is the one that the message came in.
inline std::string_view received_protocol(const Head& head, bool from_h2) {
  return from_h2 ? "2.0 " : head.minor_version == 0 ? "1.0 " : "1.1 ";
}

// Path and query as they are forwarded: `lead` and what the head has. RFC 9112 3.2.4: the last proxy turns
// "OPTIONS http://host" into "OPTIONS *".
struct Target {
  std::string_view lead;
  std::string_view sent;
};
inline u32 target_end(const RequestHead& head) {
  return head.has_query ? head.query.offset + u32{head.query.length} : head.path.offset + u32{head.path.length};
}
inline Target target_of(const RequestHead& head) {
  Target target;
  target.sent = {reinterpret_cast<const char*>(head.base) + head.path.offset, target_end(head) - head.path.offset};
  if (head.path.length == 0) target.lead = head.method == Method::options && !head.has_query ? "*" : "/";
  return target;
}

// A response that has no body and says how long that of a GET would be: to HEAD, or 304 (RFC 9110 8.6).
inline bool announces_length(const ResponseHead& head) {
  return head.framing == Framing::none && head.status >= 200 && head.status != 204 && head.has(FieldId::content_length);
}

inline bool has_no_body(u16 status) { return status < 200 || status == 204 || status == 304; }

// `text` as a grpc-message: what is not printable ASCII, and '%', as %XX. Cut where `out` is full.
inline constexpr u32 kGrpcMessageBytesMax = 512;
inline std::string_view grpc_message(std::string_view text, std::array<char, kGrpcMessageBytesMax>& out) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  u32 at = 0;
  for (const char c : text) {
    if (at + 3 > out.size()) break;
    const u8 byte = static_cast<u8>(c);
    if (byte >= 0x20 && byte < 0x7f && byte != '%') {
      out[at++] = c;
    } else {
      out[at++] = '%';
      out[at++] = digits[byte >> 4];
      out[at++] = digits[byte & 15];
    }
  }
  return {out.data(), at};
}

}  // namespace ringway::http::head_edit
