#pragma once
// What a route makes of a request's target: the one that an endpoint gets, and the Location of a redirect. Called by relay
// for every try and by explain; pure but for the core's SubstituteRoom, no allocation, any thread with a room of its own.
//
// Only the path changes; the query goes along. A prefix covers whole segments, so what stands for it loses its last slash
// and what is left begins with one (Gateway API, ReplacePrefixMatch): with prefix /foo and /xyz in its place /foo/bar
// becomes /xyz/bar and /foo becomes /xyz, with nothing in its place /bar and /.

#include <string_view>

#include "dataplane/http/head.h"
#include "src/base/types.h"
#include "src/contract/actions.h"

namespace ringway::rewrite {

enum class Outcome : u8 {
  ok,
  too_long,  // no room in `out`: 414
  invalid,   // an expression that failed, or made no path of it: 500
};

struct Text {
  Outcome outcome = Outcome::ok;
  std::string_view text;  // in `out`; of a target: empty when it stays as it came
};

// What the expressions of a plan need: null where it has none.
struct Expressions {
  const contract::SubstitutionDb* db = nullptr;
  u32 room = 0;
};

// Path and query as they go out. `prefix_bytes`: Rule::prefix_bytes of the rule that matched.
Text target(const contract::PathRewrite& rewrite, const Expressions& expressions, const http::RequestHead& head,
            u32 prefix_bytes, MutBytes out);

// The Location that answers the request. `own_host`: where the client connected, for a request that names no host.
Text location(const contract::Redirect& redirect, const http::RequestHead& head, u32 prefix_bytes,
              std::string_view own_host, MutBytes out);

}  // namespace ringway::rewrite
