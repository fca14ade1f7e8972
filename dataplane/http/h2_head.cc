// Fields of HTTP/2 written as an HTTP/1.1 head. A line is copied to its place first and judged there, where a vector
// load may reach back; a line that is not to stay is written over by the next.
//
// Why everything fits: what a field puts into `out` is less than what it counts in the list, which has kHeadBytesMax at
// most (a waiting crumb was judged before it was moved to the end); what is added (first line, upgrade, framing, empty
// line) is below 256 bytes, of the 1024 that the caller gives beside.
// Pure, no allocation. Sections named alone are those of RFC 9113.

#include "dataplane/http/h2_head.h"

#include <algorithm>
#include <cstring>

#include "dataplane/http/bytes.h"
#include "dataplane/http/copy_text.h"
#include "dataplane/http/decimal.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/h1_read.h"
#include "dataplane/http/h1_target.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/http/head_edit.h"
#include "src/base/assert.h"

namespace ringway::http {
namespace {

constexpr u32 kFirstLineBytesMax = 64;  // a method, or "HTTP/1.1 203 Non-Authoritative Information" and its like
constexpr u32 kBesideBytes = 1024;
static_assert(contract::kMethodBytesMax < kFirstLineBytesMax);

// Section 8.2.1: names are in lower case.
constexpr bool is_h2_name_byte(u8 c) { return is_token_byte(c) && lower(c) == c; }

// Section 8.2.2: these make a message malformed, wherever they stand. TE may stand in a request.
constexpr u32 kConnectionFields = bit(FieldId::connection) | bit(FieldId::http2_settings) | bit(FieldId::keep_alive) |
                                  bit(FieldId::proxy_connection) | bit(FieldId::te) | bit(FieldId::transfer_encoding) |
                                  bit(FieldId::upgrade);

// Fields that are looked at, by H2HeadText::Kind.
constexpr std::array<u32, 3> kLookedAt{
    kConnectionFields | bit(FieldId::content_length) | bit(FieldId::cookie) | bit(FieldId::host),
    kConnectionFields | bit(FieldId::content_length),
    0};  // trailers have a list of their own

std::string_view view(const u8* from, std::size_t bytes) { return {reinterpret_cast<const char*>(from), bytes}; }

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(static_cast<u8>(x)) == lower(static_cast<u8>(y)); });
}

// Section 8.2.1 on values, and every other control byte but the tab inside.
bool is_value(const u8* from, const u8* to, const u8* readable) {
  if (from == to) return true;
  return !is_white(from[0]) && !is_white(to[-1]) && scan<is_value_byte>(from, to, readable) == to;
}

bool is_trailer_name(std::string_view name) {
  u64 hash = kNameHashStart;
  for (const char c : name) hash = name_hash(hash, static_cast<u8>(c));
  return !is_forbidden_trailer(hash);
}

}  // namespace

H2HeadText::H2HeadText(Kind kind, const H2HeadLimits& limits, MutBytes out)
    : kind_(kind),
      lines_max_(std::min(limits.fields, contract::kFieldsMax)),
      list_bytes_max_(std::min(limits.head_bytes, contract::kHeadBytesMax)),
      begin_(out.data()),
      start_(out.data() + kFirstLineBytesMax),
      at_(start_),
      waiting_(out.data() + out.size()),
      end_(waiting_) {
  RW_ASSERT(out.size() >= contract::kHeadBytesMax + kBesideBytes);
}

void H2HeadText::refuse(H2HeadStatus why) {
  if (status_ == H2HeadStatus::complete) status_ = why;
}

void H2HeadText::operator()(const HpackField& field) {
  if (status_ != H2HeadStatus::complete) return;
  list_bytes_ += field.name.size() + field.value.size() + contract::kHpackEntryBytes;
  if (list_bytes_ > list_bytes_max_) return refuse(H2HeadStatus::too_large);
  if (!field.name.empty() && field.name.front() == ':') return take_pseudo(field);
  if (!fields_begun_) begin_fields();
  if (status_ == H2HeadStatus::complete) take_field(field);
}

// --- pseudo-headers, section 8.3

H2HeadText::Pseudo H2HeadText::pseudo_of(std::string_view name) {
  switch (name.size()) {
    case 5: return name == ":path" ? Pseudo::path : Pseudo::unknown;
    case 7: return name == ":method" ? Pseudo::method
                   : name == ":scheme" ? Pseudo::scheme
                   : name == ":status" ? Pseudo::status
                                       : Pseudo::unknown;
    case 9: return name == ":protocol" ? Pseudo::protocol : Pseudo::unknown;
    case 10: return name == ":authority" ? Pseudo::authority : Pseudo::unknown;
    default: return Pseudo::unknown;
  }
}

// Each once, in front of all fields, and those of the message's kind alone.
void H2HeadText::take_pseudo(const HpackField& field) {
  const Pseudo which = pseudo_of(field.name);
  const bool in_place = kind_ == Kind::request    ? which < Pseudo::status
                        : kind_ == Kind::response ? which == Pseudo::status
                                                  : false;
  if (!in_place || fields_begun_ || has(which) || !take_pseudo_value(which, field.value)) return refuse();
  const u8 mark = static_cast<u8>(1u << static_cast<u32>(which));
  pseudos_ |= mark;
  if (field.never_indexed) never_pseudos_ |= mark;
}

bool H2HeadText::take_pseudo_value(Pseudo which, std::string_view value) {
  switch (which) {
    case Pseudo::method: return take_method(value);
    case Pseudo::scheme: return equals_ignoring_case(value, "http") || equals_ignoring_case(value, "https");
    case Pseudo::authority: return take_authority(value);
    case Pseudo::path: return take_path(value);
    case Pseudo::status: return take_status(value);
    case Pseudo::protocol:
      if (value.size() > protocol_.size() || !is_tunnel_protocol(value)) return false;
      std::copy(value.begin(), value.end(), protocol_.begin());
      protocol_bytes_ = static_cast<u8>(value.size());
      return true;
    case Pseudo::unknown: return false;
  }
  return false;
}

// The method stands right in front of the path's place.
bool H2HeadText::take_method(std::string_view method) {
  if (method.empty() || method.size() > contract::kMethodBytesMax) return false;
  method_bytes_ = static_cast<u8>(method.size());
  u8* const end = begin_ + kFirstLineBytesMax - 1;
  std::memcpy(end - method.size(), method.data(), method.size());
  *end = ' ';
  return scan_portable<is_token_byte>(end - method.size(), end, begin_) == end;
}

std::string_view H2HeadText::method() const {
  return view(begin_ + kFirstLineBytesMax - 1 - method_bytes_, method_bytes_);
}

// Origin-form or "*". A fragment is no part of :path (section 8.3.1).
bool H2HeadText::take_path(std::string_view path) {
  if (path.empty() || (path.front() != '/' && path != "*")) return false;
  copy_text(at_, path.data(), path.size());
  at_ += path.size();
  return scan<is_target_byte>(start_, at_, begin_) == at_ && path.find('#') == std::string_view::npos;
}

bool H2HeadText::take_authority(std::string_view authority) {
  if (authority.empty()) return false;
  authority_bytes_ = static_cast<u32>(authority.size());
  waiting_ -= authority.size();
  std::memcpy(waiting_, authority.data(), authority.size());
  return is_authority(view(waiting_, authority.size()), begin_);
}

// It has waited at the end of `out`, which is free again from here on.
void H2HeadText::put_authority() {
  authority_ = at_;
  std::memmove(at_, waiting_, authority_bytes_);
  at_ += authority_bytes_;
  waiting_ = end_;
}

std::string_view H2HeadText::authority() const { return view(authority_, authority_bytes_); }

bool H2HeadText::take_status(std::string_view status) {
  if (status.size() != 3 || status[0] < '1' || status[0] > '5') return false;
  for (const char c : status) {
    if (!is_digit(static_cast<u8>(c))) return false;
    code_ = static_cast<u16>(code_ * 10 + (c - '0'));
  }
  return code_ != 101;  // section 8.6
}

// --- fields, section 8.2

void H2HeadText::begin_fields() {
  fields_begun_ = true;
  never_.first_line = is_never(Pseudo::method) || is_never(Pseudo::path) || is_never(Pseudo::status);
  if (kind_ == Kind::request) begin_request();
  if (kind_ == Kind::response && !has(Pseudo::status)) refuse();
}

// Request line and Host. A CONNECT without :protocol has neither scheme nor path (section 8.5); it is written as such,
// and the reader refuses it.
void H2HeadText::begin_request() {
  if (!has(Pseudo::method)) return refuse();
  const bool connect = method() == "CONNECT";
  const bool plain_connect = connect && !has(Pseudo::protocol);
  if (has(Pseudo::protocol) && !connect) return refuse();  // RFC 8441 4
  if (has(Pseudo::scheme) == plain_connect || has(Pseudo::path) == plain_connect) return refuse();
  if (connect && !has(Pseudo::authority)) return refuse();
  if (!plain_connect && *start_ == '*' && method() != "OPTIONS") return refuse();

  start_ -= method_bytes_ + 1u;
  if (extended_connect()) write_first_line("GET ");
  if (plain_connect) put_authority();
  put(" HTTP/1.1\r\n");
  if (plain_connect) return;
  if (has(Pseudo::authority)) {
    put("host: ");
    put_authority();
    end_line(is_never(Pseudo::authority));
  }
  if (extended_connect()) write_upgrade({protocol_.data(), protocol_bytes_});
}

void H2HeadText::take_field(const HpackField& field) {
  u8* const name = at_;
  u8* const colon = name + field.name.size();
  u8* const value = colon + 2;
  u8* const stop = value + field.value.size();
  copy_text(name, field.name.data(), field.name.size());
  std::memcpy(colon, ": ", 2);
  copy_text(value, field.value.data(), field.value.size());
  if (name == colon || scan<is_h2_name_byte>(name, colon, begin_) != colon || !is_value(value, stop, begin_)) {
    return refuse();
  }
  const FieldId id = field_id(view(name, field.name.size()));
  if ((kLookedAt[static_cast<u32>(kind_)] & bit(id)) != 0 && !stays(id, field)) return;
  // As the reader of chunked trailer sections has it (RFC 9110 6.5.1).
  if (kind_ == Kind::trailers && !is_trailer_name(field.name)) return refuse();
  at_ = stop;
  end_line(field.never_indexed);
}

// Judges a field that is looked at. False: its line does not stay, as it is refused, or written later.
bool H2HeadText::stays(FieldId id, const HpackField& field) {
  switch (id) {
    case FieldId::te:
      if (kind_ == Kind::request && equals_ignoring_case(field.value, "trailers")) return true;
      refuse();
      return false;
    case FieldId::content_length:
      if (has_length_ || !read_length(field.value, length_)) refuse();
      has_length_ = true;
      never_length_ = field.never_indexed;
      return false;
    case FieldId::cookie: keep_crumb(field); return false;
    case FieldId::host: return take_host(field);
    default: refuse(); return false;
  }
}

// Section 8.3.1: Host says what :authority says, or stands for it.
bool H2HeadText::take_host(const HpackField& field) {
  if (has_host_) refuse();
  has_host_ = true;
  if (!has(Pseudo::authority)) return true;
  if (!same_ignoring_case(field.value, authority())) refuse();
  if (field.never_indexed) never_.set(0);
  return false;
}

// Section 8.2.3: the crumbs wait backwards at the end of `out`, as what follows one of them is not known to be another.
void H2HeadText::keep_crumb(const HpackField& field) {
  if (has_cookie_) {
    *--waiting_ = ';';
    *--waiting_ = ' ';
  }
  waiting_ -= field.value.size();
  std::reverse_copy(field.value.begin(), field.value.end(), waiting_);
  has_cookie_ = true;
  never_cookie_ |= field.never_indexed;
}

// --- the end of the head

H2HeadStatus H2HeadText::finish(bool end, Method request_method, std::string_view protocol) {
  if (status_ == H2HeadStatus::complete && !fields_begun_) begin_fields();
  if (status_ != H2HeadStatus::complete) return status_;
  switch (kind_) {
    case Kind::request: finish_request(end); break;
    case Kind::response: finish_response(end, request_method, protocol); break;
    case Kind::trailers:
      if (!end) refuse();  // section 8.1
      return status_;
  }
  put("\r\n");
  if (text().size() > list_bytes_max_) refuse(H2HeadStatus::too_large);
  return status_;
}

void H2HeadText::finish_request(bool end) {
  if (has_cookie_) write_cookie();
  if (extended_connect()) {
    if (has_length_) refuse();  // what follows is a tunnel (RFC 9110 9.3.6)
    return;
  }
  if (has_length_) data_bytes_ = length_;
  const std::string_view m = method();
  write_framing(end, m == "POST" || m == "PUT" || m == "PATCH");  // RFC 9110 8.6
}

void H2HeadText::finish_response(bool end, Method request_method, std::string_view protocol) {
  const bool interim = code_ < 200;
  if (interim && end) return refuse();  // section 8.1
  if (request_method == Method::connect && code_ / 100 == 2) {
    write_first_line("HTTP/1.1 101 Switching Protocols\r\n");
    return write_upgrade(protocol);
  }
  std::array<char, kFirstLineBytesMax> line;
  char* at = line.data();
  const auto add = [&at](std::string_view text) {
    copy_text(at, text.data(), text.size());
    at += text.size();
  };
  Digits digits;
  add("HTTP/1.1 ");
  add(decimal(code_, digits));
  add(" ");
  add(reason_phrase(code_));
  add("\r\n");
  write_first_line({line.data(), static_cast<std::size_t>(at - line.data())});

  const bool bodyless = head_edit::has_no_body(code_) || request_method == Method::head;
  if (!bodyless) {
    if (has_length_) data_bytes_ = length_;
    return write_framing(end, true);
  }
  if (!interim) data_bytes_ = 0;
  if (has_length_) write_framing(false, false);  // of what a GET would bring
}

// --- writing

void H2HeadText::put(std::string_view text) {
  copy_text(at_, text.data(), text.size());
  at_ += text.size();
}

void H2HeadText::end_line(bool never_indexed) {
  if (lines_ == lines_max_) return refuse(H2HeadStatus::too_large);
  std::memcpy(at_, "\r\n", 2);
  at_ += 2;
  if (never_indexed) never_.set(lines_);
  ++lines_;
}

// Sets `line` right in front of what follows it.
void H2HeadText::write_first_line(std::string_view line) {
  start_ = begin_ + kFirstLineBytesMax - line.size();
  copy_text(start_, line.data(), line.size());
}

void H2HeadText::write_upgrade(std::string_view protocol) {
  put("connection: upgrade");
  end_line(false);
  put("upgrade: ");
  put(protocol);
  end_line(is_never(Pseudo::protocol));
}

void H2HeadText::write_cookie() {
  put("cookie: ");
  std::reverse(waiting_, end_);
  const auto bytes = static_cast<std::size_t>(end_ - waiting_);
  std::memmove(at_, waiting_, bytes);
  at_ += bytes;
  end_line(never_cookie_);
}

// Section 8.1.1; the length is written anew. `length_wanted`: when there is no body, say so.
void H2HeadText::write_framing(bool end, bool length_wanted) {
  if (has_length_ && end && length_ != 0) return refuse();
  if (!has_length_ && end && !length_wanted) return;
  if (!has_length_ && !end) {
    put("transfer-encoding: chunked");
    return end_line(false);
  }
  put("content-length: ");
  Digits digits;
  put(decimal(length_, digits));
  end_line(never_length_);
}

}  // namespace ringway::http
