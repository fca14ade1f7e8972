#pragma once
// From fields to text: an HTTP/2 head is written as the HTTP/1.1 head that it means, and read by h1_read.
//
// A request becomes "METHOD target HTTP/1.1", "host: authority", its fields with cookie crumbs joined, and the framing
// that its end tells: content-length as sent, "transfer-encoding: chunked" when the length is unknown. A response becomes
// "HTTP/1.1 status " alike. What section 8.2 and 8.3 of RFC 9113 forbid is refused here (upper case, connection-specific
// fields, pseudo-header order, :authority against host, white space around values, control bytes); what HTTP/1.1 forbids
// is refused by the reader behind. So nothing that a second parser could read differently gets through.
// Pure: a buffer of the caller's, no allocation, any thread. RFC 9113 section 8, RFC 8441 (extended CONNECT).

#include "dataplane/http/hpack.h"
#include "dataplane/http/head.h"
#include "src/base/types.h"

namespace ringway::http {

// Which lines of a head (index into Head::fields) came as never indexed and must go on as such (RFC 7541 6.2.3).
struct NeverIndexed {
  std::array<u64, contract::kFieldsMax / 64> bits{};
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
  // answers (HEAD changes what its length means).
  H2HeadStatus finish(bool end, Method request_method = Method::get);
  Bytes text() const;
  const NeverIndexed& never_indexed() const;
  // Of a request: extended CONNECT (RFC 8441); `text` is then a GET with "connection: upgrade" and "upgrade: <protocol>".
  bool extended_connect() const;
  // Of a response: its :status.
  u16 status() const;
  // The content-length that DATA is held against (section 8.1.1); all ones when none was announced.
  u64 content_length() const;

 private:
  // (room's own)
};

}  // namespace ringway::http
