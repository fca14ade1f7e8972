#pragma once
// Access rules of a service: may a request from this source come in? The first rule that holds decides (contract/access.h).
//
// What rules ask of the source is a row of bits that control/compile has laid out, and so is which rules name a path that one
// walk down a trie meets: only rules whose source and path hold are looked at. Regular expressions are read off the one scan
// of the head: the router's, if it made one, since every table that scans has the path among its pieces. No allocation. Called by relay for
// every request to a service with rules, and by the explainer.

#include "dataplane/http/head.h"
#include "src/contract/plan.h"

namespace ringway::route {

struct Judgement {
  bool allow = true;
  u32 rule = kNone32;    // that decided; kNone32: the default
  bool scanned = false;  // Hyperscan was asked, by this call
};

// `room`: of the core that asks. `scanned`: the router has scanned this very head just now.
Judgement judge(const contract::Plan& plan, const contract::Admission& admission, contract::Source source,
                const http::RequestHead& head, u32 room, bool scanned);

// The same for a connection of a TCP service, whose rules ask nothing but the source.
Judgement judge(const contract::Plan& plan, const contract::Admission& admission, contract::Source source);

}  // namespace ringway::route
