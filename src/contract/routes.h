#pragma once
// Route tables as data: what control/compile builds and dataplane/route reads. See plan.h for who owns them.
//
// Precedence follows the Kubernetes Gateway API (HTTPRoute, "precedence"): exact path, longest prefix, method, most
// headers, most query parameters, then order in the file. Rules come sorted, so the first match wins.

#include <string>
#include <vector>

#include "src/base/types.h"

struct hs_database;  // Hyperscan's own names, so that only inspect and compile include its headers
struct hs_scratch;

namespace ringway::contract {

struct PatternDb;
struct RouteTable;

}  // namespace ringway::contract
