// Heads as header blocks: one run over the parsed fields, each encoded on its own, then what the gateway adds. The
// rules of what goes and what comes are those of h1_write (head_edit.h).

#include "dataplane/http/h2_write.h"

#include <array>

#include "dataplane/http/bytes.h"
#include "dataplane/http/copy_text.h"
#include "dataplane/http/decimal.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/head_edit.h"
#include "dataplane/http/websocket.h"
#include "src/base/assert.h"
#include "src/wire/text.h"

namespace ringway::http {
namespace {

using namespace head_edit;
using Index = HpackEncoder::Index;

Index index_for(bool never) { return never ? Index::never : Index::yes; }

// One header block. Once a field did not fit nothing more is written and the result is 0.
class Block {
 public:
  Block(HpackEncoder& encoder, MutBytes out) : encoder_(encoder), out_(out) {
    fits_ = out.size() >= HpackEncoder::kSizeUpdateBytesMax;
    if (fits_) at_ = encoder.begin_block(out);
  }

  void field(FieldId id, std::string_view name, std::string_view value, Index index = Index::yes) {
    if (!fits_) return;
    const u32 n = encoder_.encode(id, name, value, index, out_.subspan(at_));
    fits_ = n != 0;
    at_ += n;
  }
  void pseudo(std::string_view name, std::string_view value, Index index = Index::yes) {
    field(FieldId::other, name, value, index);
  }
  void number(FieldId id, std::string_view name, u64 value, Index index = Index::yes) {
    Digits digits;
    field(id, name, decimal(value, digits), index);
  }

  u32 written() const { return fits_ ? at_ : 0; }

 private:
  HpackEncoder& encoder_;
  MutBytes out_;
  u32 at_ = 0;
  bool fits_;
};

// A value made of parts. All that a head holds has room, and what the gateway adds to it.
class Joined {
 public:
  void add(std::string_view part) {
    RW_ASSERT(part.size() <= bytes_.size() - size_);
    copy_text(bytes_.data() + size_, part.data(), part.size());
    size_ += part.size();
  }
  std::string_view text() const { return {bytes_.data(), size_}; }

 private:
  std::size_t size_ = 0;
  std::array<char, contract::kHeadBytesMax + 1024> bytes_;  // left as it is found
};

bool never_first(const Head& head, FieldId id, const NeverIndexed& never) {
  const u8 at = head.first[static_cast<u32>(id)];
  return at != 0 && never.has(at - 1u);
}

// `route`: what a route changes; null: nothing. `but`: a name that is written anew; empty: none.
void put_fields(Block& block, const Head& head, u32 own, const NeverIndexed& never, const RouteEdit* route,
                std::string_view but = {}) {
  for (u32 i = 0; i < head.field_count; ++i) {
    const Field& field = head.fields[i];
    if (is_left_out(field, own) || is_dropped(route, head.name(i))) continue;
    if (!but.empty() && equals_ignoring_case(head.name(i), but)) continue;
    block.field(field.id, head.name(i), head.value(i), index_for(never.has(i)));
  }
}

// The gateway's own value, in two parts, behind those that came, all in one field: not every application looks at a
// second one.
void put_list(Block& block, const Head& head, FieldId id, std::string_view own, std::string_view own_end,
              const NeverIndexed& never) {
  Joined joined;
  bool secret = false;
  each_kept(head, id, [&](u32 i) {
    joined.add(head.value(i));
    joined.add(", ");
    secret |= never.has(i);
  });
  joined.add(own);
  joined.add(own_end);
  block.field(id, field_name(id), joined.text(), index_for(secret));
}

void put_target(Block& block, FieldId id, std::string_view name, const RequestHead& head, Index index) {
  const Target target = target_of(head);
  if (target.lead.empty()) return block.field(id, name, target.sent, index);
  Joined joined;
  joined.add(target.lead);
  joined.add(target.sent);
  block.field(id, name, joined.text(), index);
}

void put_added(Block& block, const FieldEdits& fields) {
  fields.each_added([&](std::string_view name, bool secret, auto parts) {
    Joined value;
    parts([&](std::string_view part) { value.add(part); });
    block.field(field_id(name), name, value.text(), index_for(secret));
  });
}

// Those that came, and the path that came where another takes its place.
void put_request_fields(Block& block, const RequestHead& head, const RequestEdit& edit, const NeverIndexed& never) {
  const u32 own = own_fields(head) | (edit.upgrade ? bit(FieldId::sec_websocket_key) : 0u);
  if (edit.route == nullptr || edit.route->target.empty()) return put_fields(block, head, own, never, edit.route);
  if (!is_dropped(edit.route, kOriginalPath)) put_target(block, FieldId::other, kOriginalPath, head, index_for(never.first_line));
  put_fields(block, head, own, never, edit.route, kOriginalPath);
}

void put_length(Block& block, const Head& head, const NeverIndexed& never) {
  block.number(FieldId::content_length, "content-length", head.content_length,
               index_for(never_first(head, FieldId::content_length, never)));
}

// Every client's own, and who knows it can be taken for that client: it has no place in tables.
[[gnu::noinline, gnu::cold]] void put_cookie(Block& block, const SetCookie& cookie) {
  Joined joined;
  joined.add(cookie.name);
  joined.add("=");
  joined.add(cookie.value);
  joined.add(cookie.attributes);
  block.field(FieldId::other, "set-cookie", joined.text(), Index::never);
}

}  // namespace

u32 write_request(HpackEncoder& encoder, const RequestHead& head, const RequestEdit& edit, const NeverIndexed& never,
                  MutBytes out) {
  Block block(encoder, out);
  const Index first_line = index_for(never.first_line);
  block.pseudo(":method", edit.upgrade ? std::string_view("CONNECT") : head.text(head.method_text), first_line);
  block.pseudo(":scheme", "http");
  if (edit.route == nullptr || edit.route->target.empty()) {
    put_target(block, FieldId::other, ":path", head, first_line);
  } else {
    block.pseudo(":path", edit.route->target, first_line);
  }
  std::string_view authority = head.authority.length == 0 ? edit.fallback_host : head.text(head.authority);
  if (edit.route != nullptr && !edit.route->host.empty()) authority = edit.route->host;
  if (!authority.empty()) {  // section 8.3.1: none where the request has none
    block.pseudo(":authority", authority, index_for(never_first(head, FieldId::host, never)));
  }
  if (edit.upgrade) {
    const std::string_view protocol = head.value_of(FieldId::upgrade);
    block.pseudo(":protocol", is_websocket(protocol) ? "websocket" : protocol,
                 index_for(never_first(head, FieldId::upgrade, never)));
  }
  const auto written = [&](std::string_view name) { return !is_dropped(edit.route, name); };
  put_request_fields(block, head, edit, never);
  if (head.framing == Framing::length && !edit.upgrade) put_length(block, head, never);
  if (accepts_trailers(head)) block.field(FieldId::te, "te", "trailers");
  std::array<char, wire::kIpTextBytesMax> client;
  const char* const client_end = wire::write_text(client.data(), edit.client_ip);
  if (written("x-forwarded-for")) {
    put_list(block, head, FieldId::x_forwarded_for,
             {client.data(), static_cast<std::size_t>(client_end - client.data())}, {}, never);
  }
  if (!forwards(head, FieldId::x_forwarded_proto) && written("x-forwarded-proto")) {
    block.field(FieldId::x_forwarded_proto, "x-forwarded-proto", edit.forwarded_proto);
  }
  if (!edit.request_id.empty() && !forwards(head, FieldId::x_request_id) && written("x-request-id")) {
    block.field(FieldId::x_request_id, "x-request-id", edit.request_id);
  }
  if (edit.expected_timeout_ms != 0 && written("x-envoy-expected-rq-timeout-ms")) {
    block.number(FieldId::x_envoy_expected_rq_timeout_ms, "x-envoy-expected-rq-timeout-ms", edit.expected_timeout_ms);
  }
  if (edit.attempt != 0 && written("x-envoy-attempt-count")) {
    block.number(FieldId::x_envoy_attempt_count, "x-envoy-attempt-count", edit.attempt);
  }
  if (written("via")) put_list(block, head, FieldId::via, received_protocol(head, edit.from_h2), edit.via, never);
  if (edit.route != nullptr) put_added(block, edit.route->fields);
  return block.written();
}

u32 write_response(HpackEncoder& encoder, const ResponseHead& head, const ResponseEdit& edit, const NeverIndexed& never,
                   MutBytes out) {
  RW_ASSERT(head.status != 101 || edit.upgrade);  // section 8.6
  Block block(encoder, out);
  const bool switched = head.status == 101;
  block.number(FieldId::other, ":status", switched ? 200 : head.status, index_for(never.first_line));
  const auto written = [&](std::string_view name) { return !is_dropped(edit.route, name); };
  put_fields(block, head, kOwnResponseFields | (switched ? bit(FieldId::sec_websocket_accept) : 0u), never, edit.route);
  if (head.framing == Framing::length || announces_length(head)) put_length(block, head, never);
  if (edit.upstream_service_ms != ~u64{0} && head.status >= 200 && written("x-envoy-upstream-service-time")) {
    block.number(FieldId::x_envoy_upstream_service_time, "x-envoy-upstream-service-time", edit.upstream_service_ms);
  }
  if (edit.cookie != nullptr) put_cookie(block, *edit.cookie);
  if (written("via")) put_list(block, head, FieldId::via, received_protocol(head, edit.from_h2), edit.via, never);
  if (edit.route != nullptr) {
    if (!edit.route->flag.empty()) block.field(FieldId::other, "x-ringway-flag", edit.route->flag);
    put_added(block, edit.route->fields);
  }
  return block.written();
}

u32 write_trailers(HpackEncoder& encoder, Bytes text, MutBytes out, const NeverIndexed& never) {
  Block block(encoder, out);
  std::string_view rest{reinterpret_cast<const char*>(text.data()), text.size()};
  for (u32 line = 0; !rest.empty(); ++line) {
    const std::size_t end = rest.find("\r\n");
    const std::size_t colon = rest.find(':');
    if (end == std::string_view::npos || colon >= end || colon == 0) break;
    const std::string_view name = rest.substr(0, colon);
    std::string_view value = rest.substr(colon + 1, end - colon - 1);
    while (!value.empty() && is_white(static_cast<u8>(value.front()))) value.remove_prefix(1);
    while (!value.empty() && is_white(static_cast<u8>(value.back()))) value.remove_suffix(1);
    rest.remove_prefix(end + 2);
    u64 hash = kNameHashStart;
    for (const char c : name) hash = name_hash(hash, static_cast<u8>(c));
    if (is_forbidden_trailer(hash)) continue;
    block.field(field_id(name), name, value, index_for(line < contract::kFieldsMax && never.has(line)));
  }
  return block.written();
}

u32 write_local_head(HpackEncoder& encoder, const LocalAnswer& answer, MutBytes out) {
  Block block(encoder, out);
  const bool grpc = answer.grpc_status >= 0;
  const u16 status = grpc ? u16{200} : answer.status;
  block.number(FieldId::other, ":status", status);
  const auto field = [&](FieldId id, std::string_view name, std::string_view value) {
    if (!value.empty() && (answer.fields == nullptr || !answer.fields->drops(name))) block.field(id, name, value);
  };
  if (status >= 200) {
    field(FieldId::server, "server", "ringway");
    field(FieldId::date, "date", answer.date);
    field(FieldId::other, "location", answer.location);
  }
  if (grpc) {
    std::array<char, kGrpcMessageBytesMax> message;
    block.field(FieldId::content_type, "content-type", "application/grpc");
    block.number(FieldId::other, "grpc-status", static_cast<u64>(answer.grpc_status));
    block.field(FieldId::other, "grpc-message", grpc_message(answer.text, message));
  } else if (!has_no_body(status)) {
    const std::size_t bytes = answer.text.size() + (answer.verbatim ? 0 : 1);
    if (bytes != 0) field(FieldId::content_type, "content-type", answer.content_type);
    block.number(FieldId::content_length, "content-length", bytes);
  }
  if (!answer.flag.empty()) {
    Joined name;
    name.add("x-ringway-");
    name.add(answer.flag);
    block.field(FieldId::other, name.text(), answer.flag_value);
  }
  if (answer.retry_after_s != 0) {
    block.number(FieldId::retry_after, "retry-after", answer.retry_after_s);
    block.field(FieldId::other, "x-envoy-ratelimited", "true");
  }
  if (answer.overloaded) block.field(FieldId::other, "x-envoy-overloaded", "true");
  if (answer.fields != nullptr) put_added(block, *answer.fields);
  return block.written();
}

}  // namespace ringway::http
