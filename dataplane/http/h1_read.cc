// The reader of heads: a cursor walks request or status line, then field lines, each function one production of RFC
// 9112. `Step::more` means that the bytes end inside the production and nothing seen so far is wrong; what needs the
// whole head (Host, Connection, body framing) is settled behind the empty line.
// Pure, any thread, no allocation; no byte outside the given stretch is read.

#include "dataplane/http/h1_read.h"

#include <algorithm>
#include <cstring>

#include "dataplane/http/bytes.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/h1_target.h"

namespace ringway::http {
namespace {

// `more`: the bytes end inside the element that is read.
enum class Step : u8 { ok, more, bad };

struct Reader {
  const u8* begin;
  const u8* at;
  const u8* end;
  Reject reject = Reject::none;
  bool request = false;

  Step refuse(Reject r) {
    reject = r;
    return Step::bad;
  }
  u16 offset(const u8* p) const { return static_cast<u16>(p - begin); }
  Stretch stretch(const u8* from, const u8* to) const { return {offset(from), static_cast<u16>(to - from)}; }
};

std::string_view text_between(const u8* from, const u8* to) {
  return {reinterpret_cast<const char*>(from), static_cast<std::size_t>(to - from)};
}

// Consumes CRLF at `p`; anything else there is `otherwise`.
Step end_line(Reader& r, const u8* p, Reject otherwise) {
  if (p == r.end) return Step::more;
  if (*p == '\r') {
    if (p + 1 == r.end) return Step::more;
    if (p[1] != '\n') return r.refuse(Reject::bare_cr);
    r.at = p + 2;
    return Step::ok;
  }
  return r.refuse(*p == '\n' ? Reject::bare_lf : otherwise);
}

// Consumes `wanted`, as far as the bytes go.
Step expect_text(Reader& r, std::string_view wanted, Reject otherwise) {
  const std::size_t seen = static_cast<std::size_t>(r.end - r.at);
  const std::size_t common = seen < wanted.size() ? seen : wanted.size();
  if (std::memcmp(r.at, wanted.data(), common) != 0) return r.refuse(otherwise);
  if (common < wanted.size()) return Step::more;
  r.at += common;
  return Step::ok;
}

// "HTTP/1.0" or "HTTP/1.1" (RFC 9112 2.3).
Step read_version(Reader& r, Head& head) {
  if (const Step step = expect_text(r, "HTTP/1.", Reject::bad_version); step != Step::ok) return step;
  if (r.at == r.end) return Step::more;
  if (*r.at != '0' && *r.at != '1') return r.refuse(Reject::bad_version);
  head.minor_version = static_cast<u8>(*r.at++ - '0');
  return Step::ok;
}

// Judges a field that decides about framing or routing; `index` is its place in `head.fields`.
Reject note_field(Head& head, FieldId id, std::string_view value, bool repeated) {
  switch (id) {
    case FieldId::content_length:
      if (repeated || !read_length(value, head.content_length)) return Reject::bad_content_length;
      return head.has(FieldId::transfer_encoding) ? Reject::length_and_chunked : Reject::none;
    case FieldId::transfer_encoding:
      if (head.minor_version == 0) return Reject::chunked_in_http_1_0;
      if (repeated || !equals_ignoring_case(value, "chunked")) return Reject::bad_transfer_encoding;
      return head.has(FieldId::content_length) ? Reject::length_and_chunked : Reject::none;
    default:
      return Reject::none;
  }
}

// Whether a value of which `seen` has come so far, or part of it, can still be acceptable.
bool may_become(const Head& head, FieldId id, std::string_view seen) {
  while (!seen.empty() && is_white(static_cast<u8>(seen.back()))) seen.remove_suffix(1);
  if (id == FieldId::content_length) {
    u64 length = 0;
    return !head.has(id) && !head.has(FieldId::transfer_encoding) && (seen.empty() || read_length(seen, length));
  }
  if (id == FieldId::transfer_encoding) {
    constexpr std::string_view wanted = "chunked";
    return head.minor_version == 1 && !head.has(id) && !head.has(FieldId::content_length) &&
           seen.size() <= wanted.size() && equals_ignoring_case(seen, wanted.substr(0, seen.size()));
  }
  return true;
}

Step unfinished_value(Reader& r, const Head& head, FieldId id, const u8* value, const u8* stop) {
  if (may_become(head, id, text_between(value, stop))) return Step::more;
  return r.refuse(id == FieldId::content_length ? Reject::bad_content_length : Reject::bad_transfer_encoding);
}

// field-line = field-name ":" OWS field-value OWS CRLF (RFC 9112 5)
// A name that endpoints which read '_' as '-' (CGI and its heirs) take for framing.
bool apes_framing(std::string_view name) {
  const auto same = [&](std::string_view real) {
    for (std::size_t i = 0; i < real.size(); ++i) {
      if ((name[i] == '_' ? '-' : lower(static_cast<u8>(name[i]))) != real[i]) return false;
    }
    return true;
  };
  constexpr std::string_view length = "content-length", encoding = "transfer-encoding";
  return (name.size() == length.size() && same(length)) || (name.size() == encoding.size() && same(encoding));
}

Step read_field(Reader& r, Head& head) {
  const u8* name = r.at;
  const LineLook look = look_at_line(name, r.end, r.begin);
  const u8* colon = look.name_stops != 0 ? name + __builtin_ctz(look.name_stops)
                                         : scan<is_token_byte>(name + look.seen, r.end, r.begin);
  if (colon == r.end) return Step::more;
  if (*colon != ':' || colon == name) {
    return r.refuse(*colon == '\n' && colon == name ? Reject::bare_lf : Reject::bad_field_name);
  }
  const FieldId id = field_id(text_between(name, colon));
  if (id == FieldId::other && r.request && apes_framing(text_between(name, colon))) return r.refuse(Reject::underscored_framing);
  const u8* value = colon + 1;
  while (value != r.end && is_white(*value)) ++value;
  // Every byte up to the value may stand in one.
  const u8* stop = look.value_stops != 0 ? name + __builtin_ctz(look.value_stops)
                                         : scan<is_value_byte>(std::max(value, name + look.seen), r.end, r.begin);
  if (const Step step = end_line(r, stop, Reject::bad_field_value); step != Step::ok) {
    return step == Step::more ? unfinished_value(r, head, id, value, stop) : step;
  }
  while (stop != value && is_white(stop[-1])) --stop;

  Field& field = head.fields[head.field_count];
  field = {r.stretch(name, colon), r.stretch(value, stop), id, is_hop_by_hop(id)};
  ++head.field_count;
  if (id == FieldId::other) return Step::ok;
  u8& first = head.first[static_cast<u32>(id)];
  const bool repeated = first != 0;
  if (const Reject why = note_field(head, id, text_between(value, stop), repeated); why != Reject::none) {
    return r.refuse(why);
  }
  if (!repeated) first = static_cast<u8>(head.field_count);
  if (repeated && id == FieldId::host) return r.refuse(Reject::bad_host);
  return Step::ok;
}

Step read_fields(Reader& r, u32 fields_max, Head& head) {
  for (;;) {
    if (r.at == r.end) return Step::more;
    if (*r.at == '\r') return end_line(r, r.at, Reject::bare_cr);
    if (is_white(*r.at)) return r.refuse(Reject::obs_fold);
    if (head.field_count == fields_max) return r.refuse(Reject::too_many_fields);
    if (const Step step = read_field(r, head); step != Step::ok) return step;
  }
}

// What the options of the Connection fields ask for.
struct Options {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
};

// Marks the fields that a connection option names.
void mark_named(Head& head, std::string_view option) {
  for (u32 i = 0; i < head.field_count; ++i) {
    Field& field = head.fields[i];
    if (field.name.length != option.size()) continue;
    const std::string_view name = head.name(i);
    bool same = true;
    for (std::size_t k = 0; k < name.size() && same; ++k) {
      same = lower(static_cast<u8>(name[k])) == lower(static_cast<u8>(option[k]));
    }
    if (same) field.hop_by_hop = true;
  }
}

void take_option(Head& head, std::string_view option, Options& options) {
  if (equals_ignoring_case(option, "close")) {
    options.close = true;
  } else if (equals_ignoring_case(option, "keep-alive")) {
    options.keep_alive = true;
  } else if (equals_ignoring_case(option, "upgrade")) {
    options.upgrade = true;
  } else {
    mark_named(head, option);
  }
}

// Connection = #connection-option (RFC 9110 7.6.1), over all its field lines.
Reject read_connection(Head& head, Options& options) {
  u32 count = 0;
  for (u32 i = head.first[static_cast<u32>(FieldId::connection)] - 1u; i < head.field_count; ++i) {
    if (head.fields[i].id != FieldId::connection) continue;
    std::string_view rest = head.value(i);
    while (!rest.empty()) {
      const std::string_view option = take_list_element(rest);
      if (++count > contract::kConnectionOptionsMax) return Reject::bad_connection;
      if (!option.empty()) take_option(head, option, options);
    }
  }
  return Reject::none;
}

// RFC 9112 9.3 and RFC 9110 7.8.
Reject settle_connection(Head& head) {
  Options options;
  if (head.has(FieldId::connection)) {
    if (const Reject why = read_connection(head, options); why != Reject::none) return why;
  }
  head.keep_alive = !options.close && (head.minor_version == 1 || options.keep_alive);
  const bool upgrade = options.upgrade && head.minor_version == 1;
  head.upgrade = upgrade && is_tunnel_protocol(head.value_of(FieldId::upgrade));
  head.upgrade_h2c = upgrade && head.has(FieldId::http2_settings) && head.value_of(FieldId::upgrade) == "h2c";
  return Reject::none;
}

void begin_head(Head& head, const u8* base) {
  head.base = base;
  head.bytes = 0;
  head.field_count = 0;
  head.first.fill(0);
  head.minor_version = 1;
  head.framing = Framing::none;
  head.content_length = 0;
  head.upgrade = head.upgrade_h2c = false;
  head.keep_alive = true;
}

Method method_of(std::string_view text) {
  switch (text.size()) {
    case 3: return text == "GET" ? Method::get : text == "PUT" ? Method::put : Method::other;
    case 4: return text == "POST" ? Method::post : text == "HEAD" ? Method::head : Method::other;
    case 5: return text == "PATCH" ? Method::patch : text == "TRACE" ? Method::trace : Method::other;
    case 6: return text == "DELETE" ? Method::delete_ : Method::other;
    case 7: return text == "OPTIONS" ? Method::options : text == "CONNECT" ? Method::connect : Method::other;
    default: return Method::other;
  }
}

Step skip_empty_lines(Reader& r) {
  for (u32 lines = 0; r.at != r.end && (*r.at == '\r' || *r.at == '\n'); ++lines) {
    if (lines == contract::kEmptyLinesMax) return r.refuse(Reject::bad_request_line);
    if (const Step step = end_line(r, r.at, Reject::bad_request_line); step != Step::ok) return step;
  }
  return Step::ok;
}

Step read_method(Reader& r, RequestHead& head) {
  const u8* method = r.at;
  const u8* limit = r.end - method > contract::kMethodBytesMax + 1 ? method + contract::kMethodBytesMax + 1 : r.end;
  const u8* space = scan<is_token_byte>(method, limit, r.begin);
  if (space - method > contract::kMethodBytesMax) return r.refuse(Reject::bad_method);
  if (space == r.end) return Step::more;
  if (*space != ' ' || space == method) return r.refuse(Reject::bad_method);
  head.method_text = r.stretch(method, space);
  head.method = method_of(text_between(method, space));
  if (head.method == Method::connect) return r.refuse(Reject::connect_refused);
  r.at = space + 1;
  return Step::ok;
}

// request-line = method SP request-target SP HTTP-version CRLF (RFC 9112 3)
Step read_request_line(Reader& r, u32 target_bytes_max, RequestHead& head) {
  if (const Step step = read_method(r, head); step != Step::ok) return step;
  const u8* target = r.at;
  const u8* space = scan<is_target_byte>(target, r.end, r.begin);
  if (static_cast<u64>(space - target) > target_bytes_max) return r.refuse(Reject::target_too_long);
  if (space == r.end) {
    return may_begin_target(text_between(target, space), head) ? Step::more : r.refuse(Reject::bad_target);
  }
  if (space == target || *space == '\r' || *space == '\n') return r.refuse(Reject::bad_request_line);
  if (*space != ' ') return r.refuse(Reject::bad_target);
  head.target = r.stretch(target, space);
  if (const Reject why = read_target(head); why != Reject::none) return r.refuse(why);
  r.at = space + 1;
  if (const Step step = read_version(r, head); step != Step::ok) return step;
  return end_line(r, r.at, Reject::bad_version);
}

// Host exactly once in HTTP/1.1 (RFC 9112 3.2); the authority of an absolute-form target goes before it (3.2.2).
Reject settle_host(RequestHead& head) {
  const u8 host = head.first[static_cast<u32>(FieldId::host)];
  if (host == 0) return head.minor_version == 0 ? Reject::none : Reject::bad_host;
  if (!is_authority(head.value(host - 1u), head.base)) return Reject::bad_host;
  if (!head.absolute_form) head.authority = head.fields[host - 1u].value;
  return Reject::none;
}

Reject settle_request(RequestHead& head) {
  if (const Reject why = settle_host(head); why != Reject::none) return why;
  if (const Reject why = settle_connection(head); why != Reject::none) return why;
  head.framing = head.has(FieldId::transfer_encoding) ? Framing::chunked
                 : head.has(FieldId::content_length)  ? Framing::length
                                                      : Framing::none;
  head.expects_continue = false;
  if (const u8 expect = head.first[static_cast<u32>(FieldId::expect)]; expect != 0) {
    head.expects_continue = head.minor_version == 1 && !head.fields[expect - 1u].hop_by_hop &&
                            equals_ignoring_case(head.value(expect - 1u), "100-continue");
  }
  return Reject::none;
}

// status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF (RFC 9112 4); the second SP may be missing
// where there is no reason, as nothing can be read differently without it.
Step read_status_line(Reader& r, ResponseHead& head) {
  if (const Step step = read_version(r, head); step != Step::ok) return step;
  if (const Step step = expect_text(r, " ", Reject::bad_status_line); step != Step::ok) return step;
  head.status = 0;
  for (u32 digits = 0; digits < 3; ++digits) {
    if (r.at == r.end) return Step::more;
    const u8 c = *r.at++;
    if (!is_digit(c) || (digits == 0 && (c < '1' || c > '5'))) return r.refuse(Reject::bad_status_line);
    head.status = static_cast<u16>(head.status * 10 + (c - '0'));
  }
  const u8* reason = r.at;
  if (reason != r.end && *reason == ' ') ++reason;
  const u8* stop = reason == r.at ? reason : scan<is_value_byte>(reason, r.end, r.begin);
  head.reason = r.stretch(reason, stop);
  return end_line(r, stop, Reject::bad_status_line);
}

// RFC 9112 6.3, in its order.
Reject settle_response(ResponseHead& head, Method request_method) {
  if (const Reject why = settle_connection(head); why != Reject::none) return why;
  const bool chunked = head.has(FieldId::transfer_encoding);
  if (head.status < 200 || head.status == 204) {
    // "Content-Length: 0" beside a 204 is forbidden too (RFC 9110 8.6) but common and read alike by everyone.
    if (chunked || head.content_length != 0) return Reject::body_not_allowed;
    head.framing = Framing::none;
  } else if (request_method == Method::head || head.status == 304) {
    head.framing = Framing::none;
  } else if (chunked) {
    head.framing = Framing::chunked;
  } else if (head.has(FieldId::content_length)) {
    head.framing = Framing::length;
  } else {
    head.framing = Framing::until_close;
    head.keep_alive = false;
  }
  return Reject::none;
}

Reader start(Bytes in, const HeadLimits& limits) {
  const std::size_t bytes_max = std::min(limits.head_bytes, contract::kHeadBytesMax);
  const u8* begin = in.data();
  return {begin, begin, begin + (in.size() < bytes_max ? in.size() : bytes_max)};
}

u32 fields_max_of(const HeadLimits& limits) {
  return limits.fields < contract::kFieldsMax ? limits.fields : contract::kFieldsMax;
}

// A head that needs one byte more than it may have is too large, no matter whether that byte has come.
ReadResult finish(const Reader& r, Step step, const HeadLimits& limits) {
  if (step == Step::bad) return {ReadStatus::invalid, r.reject};
  if (static_cast<u64>(r.end - r.begin) >= limits.head_bytes ||
      static_cast<u64>(r.end - r.begin) >= contract::kHeadBytesMax) {
    return {ReadStatus::invalid, Reject::head_too_large};
  }
  return {ReadStatus::incomplete, Reject::none};
}

}  // namespace

bool read_length(std::string_view text, u64& length) {
  constexpr u64 kLengthMax = ~u64{0} >> 1;
  constexpr u32 kLengthDigitsMax = 19;
  if (text.empty() || text.size() > kLengthDigitsMax) return false;
  u64 value = 0;
  for (const char c : text) {
    if (!is_digit(static_cast<u8>(c))) return false;
    value = value * 10 + static_cast<u64>(c - '0');
  }
  length = value;
  return value <= kLengthMax;
}

bool is_tunnel_protocol(std::string_view protocol) {
  if (protocol.empty() || equals_ignoring_case(protocol, "h2c") || equals_ignoring_case(protocol, "h2")) return false;
  for (const std::string_view refused : {std::string_view("http/"), std::string_view("tls/")}) {
    if (equals_ignoring_case(protocol.substr(0, refused.size()), refused)) return false;
  }
  for (const char c : protocol) {
    if (!is_token_byte(static_cast<u8>(c)) && c != '/') return false;
  }
  return true;
}

ReadResult read_request(Bytes in, const HeadLimits& limits, RequestHead& out) {
  Reader r = start(in, limits);
  r.request = true;
  begin_head(out, r.begin);
  Step step = skip_empty_lines(r);
  if (step == Step::ok) step = read_request_line(r, limits.target_bytes, out);
  if (step == Step::ok) step = read_fields(r, fields_max_of(limits), out);
  if (step != Step::ok) return finish(r, step, limits);
  if (const Reject why = settle_request(out); why != Reject::none) return {ReadStatus::invalid, why};
  out.bytes = r.offset(r.at);
  return {ReadStatus::complete, Reject::none};
}

ReadResult read_response(Bytes in, Method request_method, const HeadLimits& limits, ResponseHead& out) {
  Reader r = start(in, limits);
  begin_head(out, r.begin);
  Step step = read_status_line(r, out);
  if (step == Step::ok) step = read_fields(r, fields_max_of(limits), out);
  if (step != Step::ok) return finish(r, step, limits);
  if (const Reject why = settle_response(out, request_method); why != Reject::none) return {ReadStatus::invalid, why};
  out.bytes = r.offset(r.at);
  return {ReadStatus::complete, Reject::none};
}

}  // namespace ringway::http
