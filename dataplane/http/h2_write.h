#pragma once
// Writes heads for HTTP/2: the counterpart of h1_write, with the same edits. Each function writes one header block
// (HPACK) to `out` and returns its bytes, 0 when `out` is too small; then the connection cannot go on, since the
// encoder's table has moved. `out` of kH2BlockBytesMax is always enough.
// Fields that are hop-by-hop or the gateway's own are left out and written anew, as in h1_write; names in lower case.
// Pure but for the encoder's table. RFC 9113 section 8.3.

#include "dataplane/http/h1_write.h"
#include "dataplane/http/h2_head.h"
#include "dataplane/http/head.h"
#include "dataplane/http/hpack.h"
#include "src/base/types.h"

namespace ringway::http {

inline constexpr u32 kH2BlockBytesMax = contract::kHeadBytesMax + 8192;

// :method, :scheme, :path, :authority, the fields. With `edit.upgrade` it becomes extended CONNECT (RFC 8441), which
// has no content: the caller sees to it that the request has none.
u32 write_request(HpackEncoder& encoder, const RequestHead& head, const RequestEdit& edit, const NeverIndexed& never,
                  MutBytes out);
// :status, the fields. 101 becomes 200 when `edit.upgrade` (RFC 8441 section 5).
u32 write_response(HpackEncoder& encoder, const ResponseHead& head, const ResponseEdit& edit, const NeverIndexed& never,
                   MutBytes out);
// `text`: "name: value" CRLF each, as a chunked trailer section or H2HeadText give it; fields that a trailer section may
// not carry (RFC 9110 6.5.1) are left out. 0 also when there is nothing to send; then nothing is wrong with the table.
u32 write_trailers(HpackEncoder& encoder, Bytes text, MutBytes out, const NeverIndexed& never = {});
// Head of a gateway's own answer; its body (text and a newline) is DATA. An answer in gRPC is this head alone.
u32 write_local_head(HpackEncoder& encoder, const LocalAnswer& answer, MutBytes out);

}  // namespace ringway::http
