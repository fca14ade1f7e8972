#pragma once
// Request targets and authorities (RFC 9112 section 3.2, RFC 3986 sections 3.2 and 3.5). Pure, any thread.
// Origin-form, absolute-form with http or https, and asterisk-form for OPTIONS; no userinfo, no escapes decoded, no
// path normalised. A fragment is cut off: it is not part of the resource's identity at a server (RFC 9110 7.1), and
// what is forwarded carries none.

#include <string_view>

#include "dataplane/http/head.h"
#include "dataplane/http/reject.h"
#include "src/base/types.h"

namespace ringway::http {

// host [":" port] with a host that is not empty: a registered name, an IPv4 address or a bracketed IP literal, and at
// most five digits of port, not above 65535. `readable`: the lowest address that may be read, for scans that reach back
// (bytes.h); null: nothing in front of `text`.
bool is_authority(std::string_view text, const u8* readable = nullptr);

// Splits the whole target `head.target` (is_target_byte bytes only, `head.method` is set) into path, query and, for
// absolute-form, authority.
Reject read_target(RequestHead& head);

// Whether bytes that began a target can still become one of the forms.
bool may_begin_target(std::string_view seen, const RequestHead& head);

}  // namespace ringway::http
