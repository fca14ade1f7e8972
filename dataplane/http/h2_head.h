#pragma once
// From fields to text: an HTTP/2 head is written as the HTTP/1.1 head that it means, and read by h1_read.
//
// A request becomes "METHOD target HTTP/1.1", "host: authority", its fields with cookie crumbs joined, and the framing
// that its end tells: content-length, or "transfer-encoding: chunked" when the length is unknown. A response becomes
// "HTTP/1.1 status reason" alike. What sections 8.2 and 8.3 of RFC 9113 forbid is refused here (upper case,
// connection-specific fields, pseudo-header order, :authority against host, white space around values, control bytes);
// what HTTP/1.1 forbids is refused by the reader behind. So nothing that a second parser could read differently gets
// through. Framing is written at the end of the head, cookie in front of it, :authority as the first field.
// Pure: a buffer of the caller's, no allocation, any thread. RFC 9113 section 8, RFC 8441 (extended CONNECT).

#include <array>
#include <string_view>

#include "dataplane/http/head.h"
#include "dataplane/http/hpack.h"
#include "src/base/types.h"

namespace ringway::http {

// What of a head came as never indexed and must go on as such (RFC 7541 6.2.3).
struct NeverIndexed {
  std::array<u64, contract::kFieldsMax / 64> bits{};  // by index into Head::fields
  bool first_line = false;                            // method, path or status
  bool has(u32 field) const { return (bits[field / 64] >> (field % 64) & 1u) != 0; }
  void set(u32 field) { bits[field / 64] |= u64{1} << (field % 64); }
};

enum class H2HeadStatus : u8 {
  complete,
  malformed,  // stream error PROTOCOL_ERROR (section 8.1.1)
  too_large,  // above the limits; 431
};

struct H2HeadLimits {
  u32 head_bytes = contract::kHeadBytesDefault;  // by the measure of SETTINGS_MAX_HEADER_LIST_SIZE (section 6.5.2)
  u32 fields = contract::kFieldsDefault;
};

// Collects the fields of one block; the sink of HpackDecoder::decode.
class H2HeadText {
 public:
  enum class Kind : u8 { request, response, trailers };

  // `out` holds the text: at least kHeadBytesMax + 1024 bytes; all of it may be written to.
  H2HeadText(Kind kind, const H2HeadLimits& limits, MutBytes out);
  void operator()(const HpackField& field);

  // `end`: the block carried END_STREAM. Then text() is the head. `request_method` of the request that a response
  // answers (HEAD changes what its length means). Method::connect stands for extended CONNECT: a 2xx that answers it
  // is written as the 101 that it means, with `protocol` as what was switched to.
  H2HeadStatus finish(bool end, Method request_method = Method::get, std::string_view protocol = "websocket");
  Bytes text() const { return {start_, at_}; }
  const NeverIndexed& never_indexed() const { return never_; }
  // Of a request: extended CONNECT (RFC 8441); the text is a GET with "connection: upgrade" and "upgrade: <protocol>".
  bool extended_connect() const { return kind_ == Kind::request && has(Pseudo::protocol); }
  // Of a response: its :status, as sent.
  u16 status() const { return code_; }
  // The content-length that DATA is held against (section 8.1.1); all ones when none was announced. 0 for a response
  // that never has a body, whatever it announces.
  u64 content_length() const { return data_bytes_; }

 private:
  enum class Pseudo : u8 { method, scheme, authority, path, protocol, status, unknown };
  static Pseudo pseudo_of(std::string_view name);
  bool has(Pseudo which) const { return (pseudos_ >> static_cast<u32>(which) & 1u) != 0; }
  bool is_never(Pseudo which) const { return (never_pseudos_ >> static_cast<u32>(which) & 1u) != 0; }

  void refuse(H2HeadStatus why = H2HeadStatus::malformed);
  void take_pseudo(const HpackField& field);
  bool take_pseudo_value(Pseudo which, std::string_view value);
  bool take_method(std::string_view method);
  bool take_path(std::string_view path);
  bool take_authority(std::string_view authority);
  bool take_status(std::string_view status);
  void take_field(const HpackField& field);
  bool stays(FieldId id, const HpackField& field);
  bool take_host(const HpackField& field);
  void keep_crumb(const HpackField& field);

  void begin_fields();
  void begin_request();
  void finish_request(bool end);
  void finish_response(bool end, Method request_method, std::string_view protocol);
  void write_first_line(std::string_view line);
  void put_authority();
  void write_upgrade(std::string_view protocol);
  void write_cookie();
  void write_framing(bool end, bool length_wanted);
  void put(std::string_view text);
  void end_line(bool never_indexed);

  std::string_view method() const;
  std::string_view authority() const;

  Kind kind_;
  H2HeadStatus status_ = H2HeadStatus::complete;
  bool fields_begun_ = false;
  u8 pseudos_ = 0;        // one bit per Pseudo that came
  u8 never_pseudos_ = 0;  // and of those never indexed
  u8 method_bytes_ = 0;
  u8 protocol_bytes_ = 0;
  bool has_host_ = false;
  bool has_length_ = false;
  bool has_cookie_ = false;
  bool never_length_ = false;
  bool never_cookie_ = false;
  u16 code_ = 0;
  u32 lines_ = 0;
  u32 lines_max_;
  u32 list_bytes_max_;
  u32 authority_bytes_ = 0;
  u64 list_bytes_ = 0;    // by the measure of SETTINGS_MAX_HEADER_LIST_SIZE
  u64 length_ = 0;        // content-length
  u64 data_bytes_ = ~u64{0};

  // The text grows from the front of `out`, behind room for a first line. What has no place yet waits at the end of
  // `out`: first :authority, then the cookie crumbs, backwards from the last byte.
  u8* begin_;
  u8* start_;
  u8* at_;
  u8* waiting_;
  u8* end_;
  u8* authority_ = nullptr;  // :authority in its place
  std::array<char, contract::kMethodBytesMax> protocol_;
  NeverIndexed never_;
};

}  // namespace ringway::http
