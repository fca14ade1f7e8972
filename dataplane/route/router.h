#pragma once
// Router: from a request head to a service, and from a service to one endpoint. One per core.
//
// `match` finds the route (trie for paths, at most one Hyperscan scan for what is a pattern), `pick` chooses the
// endpoint by the service's policy: Maglev with bounded load, or round robin. Both read the plan and the HealthBoard
// in place; no lock, no allocation. The same code answers `ringwayctl explain`.

#include <span>
#include <string_view>

#include "dataplane/http/head.h"
#include "src/contract/health.h"
#include "src/contract/plan.h"
#include "src/contract/stats.h"

namespace ringway::route {

struct Match {
  u32 service = kNone32;      // index into plan.services; kNone32: no route (404)
  u32 route_table = kNone32;  // where the rule stands; kNone32: the listener's own service
  u32 rule = kNone32;         // index into the route table's rules
  bool scanned = false;       // Hyperscan was asked
};

struct Pick {
  u32 endpoint = kNone32;  // index into plan.endpoints; kNone32: nothing may be picked (503)
  u64 hash = 0;
  u32 slot = kNone32;      // first Maglev slot looked at
  u32 walked = 0;          // slots passed over: unhealthy, over the bound, or to be avoided
  bool panic = false;      // too few are healthy: health was ignored
  bool over_bound = false; // every healthy endpoint was over the bound: the bound was ignored
};

class Router {
 public:
  // `core` indexes the scratch space that compile has laid into the pattern database and offsets round robin.
  // `stats.endpoints[slot].active` is what bounded load reads (relay keeps it).
  Router(const contract::HealthBoard& board, contract::CoreStats& stats, u32 core);

  Match match(const contract::Plan& plan, const contract::Listener& listener, const http::RequestHead& head);

  // `client` and `client_port` feed HashOn::source and ::request. Endpoints in `avoid` (plan indexes) are taken only if
  // nothing else is left.
  Pick pick(const contract::Plan& plan, u32 service, const http::RequestHead& head, wire::Ip4 client, u16 client_port,
            std::span<const u32> avoid = {});

 private:
  const contract::HealthBoard& board_;
  contract::CoreStats& stats_;
  u32 core_;
  u64 round_robin_[contract::kServicesMax] = {};
  u64 requests_ = 0;
};

}  // namespace ringway::route
