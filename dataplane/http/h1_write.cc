// Writes heads into the caller's buffer. A forwarded head is one run over the parsed fields: lines that stay are copied
// together with their neighbours, lines that the gateway owns (Host, framing, connection, Via, X-Forwarded-For) are
// left out there and written anew, so that nothing which only we have judged is passed on in the sender's spelling.
// Pure, any thread, no allocation.

#include "dataplane/http/h1_write.h"

#include <array>
#include <cstring>

#include "dataplane/http/copy_text.h"
#include "dataplane/http/decimal.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/head_edit.h"
#include "src/base/assert.h"
#include "src/wire/text.h"

namespace ringway::http {
namespace {

using namespace head_edit;

// 0 to 255 in decimal, the number of digits in the last byte.
constexpr std::array<std::array<char, 4>, 256> make_octets() {
  std::array<std::array<char, 4>, 256> table{};
  for (u32 value = 0; value < 256; ++value) {
    u32 at = 0;
    if (value >= 100) table[value][at++] = static_cast<char>('0' + value / 100);
    if (value >= 10) table[value][at++] = static_cast<char>('0' + value / 10 % 10);
    table[value][at++] = static_cast<char>('0' + value % 10);
    table[value][3] = static_cast<char>(at);
  }
  return table;
}
constexpr std::array<std::array<char, 4>, 256> kOctets = make_octets();

// Appends to the caller's buffer; once something did not fit nothing more is written and the result is 0.
// `roomy`: the caller has shown that everything fits, so that no part is measured again.
template <bool roomy>
class Writer {
 public:
  static constexpr bool kRoomy = roomy;
  explicit Writer(MutBytes out) : begin_(out.data()), at_(begin_), end_(begin_ + out.size()) {}

  template <std::size_t N>
  void literal(const char (&text)[N]) {
    bytes(text, N - 1);
  }
  void text(std::string_view text) { bytes(text.data(), text.size()); }

  void number(u64 value) {
    Digits digits;
    text(decimal(value, digits));
  }

  void address(const wire::Ip& ip) {
    if (!ip.is4()) {
      char digits[wire::kIpTextBytesMax];
      return bytes(digits, static_cast<std::size_t>(wire::write_text(digits, ip) - digits));
    }
    const wire::Ip4 v4 = ip.ip4();
    for (u32 shift = 32; shift != 0;) {
      shift -= 8;
      const std::array<char, 4>& octet = kOctets[v4.v >> shift & 0xffu];
      bytes(octet.data(), static_cast<std::size_t>(octet[3]));
      if (shift != 0) literal(".");
    }
  }

  u32 written() const {
    if constexpr (roomy) RW_ASSERT(at_ <= end_);
    return fits_ ? static_cast<u32>(at_ - begin_) : 0;
  }

 private:
  void bytes(const char* from, std::size_t count) {
    if constexpr (!roomy) {
      if (static_cast<std::size_t>(end_ - at_) < count || !fits_) {
        fits_ = false;
        return;
      }
    }
    if (__builtin_constant_p(count)) {
      std::memcpy(at_, from, count);
    } else {
      copy_text(at_, from, count);
    }
    at_ += count;
  }

  u8* begin_;
  u8* at_;
  u8* end_;
  bool fits_ = true;
};

// Copies every field line that is not in `own` and not hop-by-hop, neighbours in one go. Lines end where the next
// one begins; the last ends before the empty line.
// `dropped(i)`: a route wants field i left out too.
template <class W, class Dropped>
void copy_fields(W& w, const Head& head, u32 own, Dropped dropped) {
  const u32 end_of_fields = head.bytes - 2u;
  u32 run_start = 0;
  u32 run_end = 0;
  for (u32 i = 0; i < head.field_count; ++i) {
    const Field& field = head.fields[i];
    if (is_left_out(field, own) || dropped(i)) continue;
    const u32 line_start = field.name.offset;
    const u32 line_end = i + 1u < head.field_count ? head.fields[i + 1].name.offset : end_of_fields;
    if (line_start != run_end) {
      w.text({reinterpret_cast<const char*>(head.base) + run_start, run_end - run_start});
      run_start = line_start;
    }
    run_end = line_end;
  }
  w.text({reinterpret_cast<const char*>(head.base) + run_start, run_end - run_start});
}

// Writes the values of every field of that kind with ", " behind each, so that the gateway's own value can follow.
template <class W>
void join_values(W& w, const Head& head, FieldId id) {
  each_kept(head, id, [&](u32 i) {
    w.text(head.value(i));
    w.literal(", ");
  });
}

template <class W>
void write_via(W& w, const Head& head, std::string_view pseudonym, bool from_h2) {
  w.literal("Via: ");
  join_values(w, head, FieldId::via);
  w.text(received_protocol(head, from_h2));
  w.text(pseudonym);
  w.literal("\r\n");
}

constexpr auto kNoneDropped = [](u32) { return false; };

template <class W>
void write_added(W& w, const FieldEdits& fields) {
  fields.each_added([&](std::string_view name, bool, auto parts) {
    w.text(name);
    w.literal(": ");
    parts([&](std::string_view part) { w.text(part); });
    w.literal("\r\n");
  });
}

template <class W>
void write_edited_line(W& w, const RequestHead& head, const RequestEdit& edit) {
  const RouteEdit& route = *edit.route;
  const Target came = target_of(head);
  w.text(head.text(head.method_text));
  w.literal(" ");
  w.text(route.target.empty() ? came.lead : route.target);
  if (route.target.empty()) w.text(came.sent);
  w.literal(" HTTP/1.1\r\nHost: ");
  w.text(!route.host.empty() ? route.host : head.authority.length == 0 ? edit.fallback_host : head.text(head.authority));
  w.literal("\r\n");
  if (route.target.empty() || is_dropped(edit.route, kOriginalPath)) return;
  w.literal("X-Envoy-Original-Path: ");
  w.text(came.lead);
  w.text(came.sent);
  w.literal("\r\n");
}

template <class W>
void write_request_line(W& w, const RequestHead& head, std::string_view fallback_host) {
  if (!head.absolute_form) {
    const u32 method = head.method_text.offset;
    w.text({reinterpret_cast<const char*>(head.base) + method, target_end(head) - method});
  } else {
    const Target target = target_of(head);
    w.text(head.text(head.method_text));
    w.literal(" ");
    w.text(target.lead);
    w.text(target.sent);
  }
  w.literal(" HTTP/1.1\r\nHost: ");
  w.text(head.authority.length == 0 ? fallback_host : head.text(head.authority));
  w.literal("\r\n");
}

template <class W>
void write_request_connection(W& w, const RequestHead& head, bool upgrade) {
  const bool trailers = accepts_trailers(head);
  if (upgrade) {
    w.literal("Connection: upgrade");
    if (trailers) w.literal(", TE");
    w.literal("\r\nUpgrade: ");
    w.text(head.value_of(FieldId::upgrade));
    w.literal("\r\n");
  } else if (trailers) {
    w.literal("Connection: TE\r\n");
  }
  if (trailers) w.literal("TE: trailers\r\n");
}

template <class W>
void write_framing(W& w, const Head& head) {
  if (head.framing == Framing::chunked) {
    w.literal("Transfer-Encoding: chunked\r\n");
  } else if (head.framing == Framing::length) {
    w.literal("Content-Length: ");
    w.number(head.content_length);
    w.literal("\r\n");
  }
}

template <class W>
void write_status_line(W& w, u16 status, std::string_view reason) {
  w.literal("HTTP/1.1 ");
  w.number(status);
  w.literal(" ");
  w.text(reason);
  w.literal("\r\n");
}

constexpr std::array<std::array<char, 2>, 256> make_hex_pairs() {
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> table{};
  for (u32 value = 0; value < 256; ++value) table[value] = {digits[value >> 4], digits[value & 15]};
  return table;
}
constexpr std::array<std::array<char, 2>, 256> kHexPairs = make_hex_pairs();

struct Phrase {
  u16 status;
  std::string_view text;
};
constexpr std::array kPhrases{
    Phrase{100, "Continue"},
    Phrase{101, "Switching Protocols"},
    Phrase{103, "Early Hints"},
    Phrase{200, "OK"},
    Phrase{201, "Created"},
    Phrase{202, "Accepted"},
    Phrase{203, "Non-Authoritative Information"},
    Phrase{204, "No Content"},
    Phrase{205, "Reset Content"},
    Phrase{206, "Partial Content"},
    Phrase{300, "Multiple Choices"},
    Phrase{301, "Moved Permanently"},
    Phrase{302, "Found"},
    Phrase{303, "See Other"},
    Phrase{304, "Not Modified"},
    Phrase{305, "Use Proxy"},
    Phrase{307, "Temporary Redirect"},
    Phrase{308, "Permanent Redirect"},
    Phrase{400, "Bad Request"},
    Phrase{401, "Unauthorized"},
    Phrase{402, "Payment Required"},
    Phrase{403, "Forbidden"},
    Phrase{404, "Not Found"},
    Phrase{405, "Method Not Allowed"},
    Phrase{406, "Not Acceptable"},
    Phrase{407, "Proxy Authentication Required"},
    Phrase{408, "Request Timeout"},
    Phrase{409, "Conflict"},
    Phrase{410, "Gone"},
    Phrase{411, "Length Required"},
    Phrase{412, "Precondition Failed"},
    Phrase{413, "Content Too Large"},
    Phrase{414, "URI Too Long"},
    Phrase{415, "Unsupported Media Type"},
    Phrase{416, "Range Not Satisfiable"},
    Phrase{417, "Expectation Failed"},
    Phrase{421, "Misdirected Request"},
    Phrase{422, "Unprocessable Content"},
    Phrase{426, "Upgrade Required"},
    Phrase{428, "Precondition Required"},
    Phrase{429, "Too Many Requests"},
    Phrase{431, "Request Header Fields Too Large"},
    Phrase{500, "Internal Server Error"},
    Phrase{501, "Not Implemented"},
    Phrase{502, "Bad Gateway"},
    Phrase{503, "Service Unavailable"},
    Phrase{504, "Gateway Timeout"},
    Phrase{505, "HTTP Version Not Supported"},
};

// `edited`: with what a route changes; then the room is measured as it is used.
template <bool edited, class W>
u32 put_request(W w, const RequestHead& head, const RequestEdit& edit) {
  const u32 own = own_fields(head) | (edit.websocket_key.empty() ? 0u : bit(FieldId::sec_websocket_key));
  const auto written = [&]([[maybe_unused]] std::string_view name) { return !edited || !is_dropped(edit.route, name); };
  if constexpr (edited) {
    write_edited_line(w, head, edit);
    copy_fields(w, head, own, [&](u32 i) {
      return is_dropped(edit.route, head.name(i)) ||
             (!edit.route->target.empty() && equals_ignoring_case(head.name(i), kOriginalPath));
    });
  } else {
    write_request_line(w, head, edit.fallback_host);
    copy_fields(w, head, own, kNoneDropped);
  }
  write_framing(w, head);
  if (edit.upgrade || head.has(FieldId::te)) write_request_connection(w, head, edit.upgrade);
  if (!edit.websocket_key.empty()) {
    w.literal("Sec-WebSocket-Key: ");
    w.text(edit.websocket_key);
    w.literal("\r\n");
  }
  if (written("x-forwarded-for")) {
    w.literal("X-Forwarded-For: ");
    join_values(w, head, FieldId::x_forwarded_for);
    w.address(edit.client_ip);
    w.literal("\r\n");
  }
  if (!forwards(head, FieldId::x_forwarded_proto) && written("x-forwarded-proto")) {
    w.literal("X-Forwarded-Proto: ");
    w.text(edit.forwarded_proto);
    w.literal("\r\n");
  }
  if (!edit.request_id.empty() && !forwards(head, FieldId::x_request_id) && written("x-request-id")) {
    w.literal("X-Request-Id: ");
    w.text(edit.request_id);
    w.literal("\r\n");
  }
  if (edit.expected_timeout_ms != 0 && written("x-envoy-expected-rq-timeout-ms")) {
    w.literal("X-Envoy-Expected-Rq-Timeout-Ms: ");
    w.number(edit.expected_timeout_ms);
    w.literal("\r\n");
  }
  if (edit.attempt != 0 && written("x-envoy-attempt-count")) {
    w.literal("X-Envoy-Attempt-Count: ");
    w.number(edit.attempt);
    w.literal("\r\n");
  }
  if (written("via")) write_via(w, head, edit.via, edit.from_h2);
  if constexpr (edited) {
    if (edit.route->close) w.literal("Connection: close\r\n");
    write_added(w, edit.route->fields);
  }
  w.literal("\r\n");
  return w.written();
}

template <class W>
void write_cookie(W& w, const SetCookie& cookie) {
  w.literal("Set-Cookie: ");
  w.text(cookie.name);
  w.literal("=");
  w.text(cookie.value);
  w.text(cookie.attributes);
  w.literal("\r\n");
}

template <bool edited, class W>
u32 put_response(W w, const ResponseHead& head, const ResponseEdit& edit) {
  const auto written = [&]([[maybe_unused]] std::string_view name) { return !edited || !is_dropped(edit.route, name); };
  const bool interim = head.status < 200;
  const bool unwrapped = edit.chunked_to_close && head.framing == Framing::chunked;
  const u32 own = kOwnResponseFields | (unwrapped ? bit(FieldId::trailer) : 0u) |
                  (edit.websocket_accept.empty() ? 0u : bit(FieldId::sec_websocket_accept));
  write_status_line(w, head.status, head.text(head.reason));
  if constexpr (edited) {
    copy_fields(w, head, own, [&](u32 i) { return is_dropped(edit.route, head.name(i)); });
  } else {
    copy_fields(w, head, own, kNoneDropped);
  }
  if (!unwrapped) write_framing(w, head);
  if (announces_length(head)) {
    w.literal("Content-Length: ");
    w.number(head.content_length);
    w.literal("\r\n");
  }
  if (edit.upgrade && head.status == 101) {
    w.literal("Connection: upgrade\r\nUpgrade: ");
    w.text(head.value_of(FieldId::upgrade));
    w.literal("\r\n");
    if (!edit.websocket_accept.empty()) {
      w.literal("Sec-WebSocket-Accept: ");
      w.text(edit.websocket_accept);
      w.literal("\r\n");
    }
  } else if (!interim && (edit.close || unwrapped || head.framing == Framing::until_close)) {
    w.literal("Connection: close\r\n");
  } else if (!interim && edit.keep_alive_1_0) {
    w.literal("Connection: keep-alive\r\n");
  }
  if (edit.upstream_service_ms != ~u64{0} && !interim && written("x-envoy-upstream-service-time")) {
    w.literal("X-Envoy-Upstream-Service-Time: ");
    w.number(edit.upstream_service_ms);
    w.literal("\r\n");
  }
  if constexpr (!W::kRoomy) {
    if (edit.cookie != nullptr) write_cookie(w, *edit.cookie);
  }
  if (written("via")) write_via(w, head, edit.via, edit.from_h2);
  if constexpr (edited) {
    if (!edit.route->flag.empty()) {
      w.literal("X-Ringway-Flag: ");
      w.text(edit.route->flag);
      w.literal("\r\n");
    }
    write_added(w, edit.route->fields);
  }
  w.literal("\r\n");
  return w.written();
}

// Apart, so that heads without edits are written as if there were none.
[[gnu::noinline, gnu::cold]] u32 put_edited(const RequestHead& head, const RequestEdit& edit, MutBytes out) {
  return put_request<true>(Writer<false>(out), head, edit);
}
[[gnu::noinline, gnu::cold]] u32 put_edited(const ResponseHead& head, const ResponseEdit& edit, MutBytes out) {
  return put_response<true>(Writer<false>(out), head, edit);
}
[[gnu::noinline]] u32 put_response_with_care(const ResponseHead& head, const ResponseEdit& edit, MutBytes out) {
  return put_response<false>(Writer<false>(out), head, edit);
}

// More than the literals, numbers and addresses that a forwarded head can gain. Every byte of a head is written at most
// once: lines are either copied or made anew from their values, whose names and line ends pay for the commas between.
constexpr std::size_t kAddedBytesMax = 512;

}  // namespace

u32 write_request(const RequestHead& head, const RequestEdit& edit, MutBytes out) {
  if (edit.route != nullptr) [[unlikely]] return put_edited(head, edit, out);
  const std::size_t most = head.bytes + edit.via.size() + edit.forwarded_proto.size() + edit.request_id.size() +
                           edit.fallback_host.size() + edit.websocket_key.size() + kAddedBytesMax;
  if (out.size() >= most) return put_request<false>(Writer<true>(out), head, edit);
  return put_request<false>(Writer<false>(out), head, edit);
}

u32 write_response(const ResponseHead& head, const ResponseEdit& edit, MutBytes out) {
  if (edit.route != nullptr) [[unlikely]] return put_edited(head, edit, out);
  // A cookie of the gateway's own is seldom, and not in what `kAddedBytesMax` covers.
  if (edit.cookie != nullptr) [[unlikely]] return put_response_with_care(head, edit, out);
  const std::size_t most = head.bytes + edit.via.size() + edit.websocket_accept.size() + kAddedBytesMax;
  if (out.size() >= most) return put_response<false>(Writer<true>(out), head, edit);
  return put_response_with_care(head, edit, out);
}

namespace {

// Status line and fields of an answer of our own.
void write_local_fields(Writer<false>& w, const LocalAnswer& answer, u16 status) {
  const auto field = [&](std::string_view name, std::string_view value) {
    if (value.empty() || (answer.fields != nullptr && answer.fields->drops(name))) return;
    w.text(name);
    w.literal(": ");
    w.text(value);
    w.literal("\r\n");
  };
  if (status < 200) return;
  field("Server", "ringway");
  field("Date", answer.date);
  field("Location", answer.location);
  if (answer.grpc_status < 0 && !has_no_body(status)) {
    const std::size_t bytes = answer.text.size() + (answer.verbatim ? 0 : 1);
    if (bytes != 0) field("Content-Type", answer.content_type);
    w.literal("Content-Length: ");
    w.number(bytes);
    w.literal("\r\n");
  }
}

}  // namespace

u32 write_local_answer(const LocalAnswer& answer, MutBytes out) {
  Writer<false> w(out);
  const bool grpc = answer.grpc_status >= 0;
  const u16 status = grpc ? u16{200} : answer.status;
  write_status_line(w, status, reason_phrase(status));
  write_local_fields(w, answer, status);
  if (grpc) {
    std::array<char, kGrpcMessageBytesMax> message;
    w.literal("Content-Type: application/grpc\r\nContent-Length: 0\r\ngrpc-status: ");
    w.number(static_cast<u64>(answer.grpc_status));
    w.literal("\r\ngrpc-message: ");
    w.text(grpc_message(answer.text, message));
    w.literal("\r\n");
  }
  if (!answer.flag.empty()) {
    w.literal("x-ringway-");
    w.text(answer.flag);
    w.literal(": ");
    w.text(answer.flag_value);
    w.literal("\r\n");
  }
  if (answer.retry_after_s != 0) {
    w.literal("Retry-After: ");
    w.number(answer.retry_after_s);
    w.literal("\r\nx-envoy-ratelimited: true\r\n");
  }
  if (answer.overloaded) w.literal("x-envoy-overloaded: true\r\n");
  if (answer.fields != nullptr) write_added(w, *answer.fields);
  if (status == 426) w.literal("Upgrade: HTTP/1.1\r\n");  // RFC 9110 15.5.22
  if (status >= 200 && (answer.close || status == 426)) {
    w.literal("Connection: ");
    if (answer.close) w.literal("close");
    if (answer.close && status == 426) w.literal(", ");
    if (status == 426) w.literal("upgrade");
    w.literal("\r\n");
  }
  w.literal("\r\n");
  if (!grpc && !has_no_body(status) && !answer.head_only) {
    w.text(answer.text);
    if (!answer.verbatim) w.literal("\n");
  }
  return w.written();
}

std::string_view reason_phrase(u16 status) {
  for (const Phrase& phrase : kPhrases) {
    if (phrase.status == status) return phrase.text;
  }
  return "Unknown";
}

void write_uuid(u64 random_high, u64 random_low, char out[36]) {
  constexpr std::array<u8, 16> places{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
  random_high = (random_high & ~u64{0xf000}) | 0x4000u;          // version 4
  random_low = (random_low & ~(u64{3} << 62)) | (u64{2} << 62);  // variant 10
  for (u32 i = 0; i < 8; ++i) {
    std::memcpy(out + places[i], kHexPairs[random_high >> (56 - 8 * i) & 0xff].data(), 2);
    std::memcpy(out + places[i + 8], kHexPairs[random_low >> (56 - 8 * i) & 0xff].data(), 2);
  }
  out[8] = out[13] = out[18] = out[23] = '-';
}

}  // namespace ringway::http
