#pragma once
// Router: from a request head to a service, and from a service to one endpoint. One per core.
//
// `match` finds the route (trie for paths, at most one Hyperscan scan for what is a pattern), `pick` chooses the
// endpoint by the service's policy (docs/balancing.md). Both read the plan and the HealthBoard in place; no lock, no
// allocation. The same code answers `ringwayctl explain`.
//
// Most services are one pool with a Maglev table or turns: pick_walk.h. Services with pools, priorities, subsets, zones,
// slow start or another policy are pick_pool.h's; what is counted of their endpoints is in census.cc.

#include <span>
#include <string_view>
#include <vector>

#include "dataplane/http/head.h"
#include "dataplane/route/balance.h"
#include "src/contract/health.h"
#include "src/contract/plan.h"
#include "src/contract/stats.h"

namespace ringway::route {

struct Match {
  u32 service = kNone32;      // index into plan.services; kNone32: no route (404), or with a rule: see below
  u32 route_table = kNone32;  // where the rule stands; kNone32: the listener's own service
  u32 rule = kNone32;         // index into the route table's rules
  u32 actions = kNone32;      // index into plan.actions: what else happens to the request; kNone32: nothing
  bool scanned = false;       // Hyperscan was asked
  bool green = false;         // the service is the version that is being brought in

  // A rule matched, but every backend of it has weight 0: the Gateway API asks for status 500.
  bool no_backend() const { return service == kNone32 && rule != kNone32; }
  // Bytes of the path that the rule's prefix covers.
  u32 prefix_bytes(const contract::Plan& plan) const {
    return rule == kNone32 ? 0 : plan.route_tables[route_table].rules[rule].prefix_bytes;
  }
};

struct Pick {
  u32 endpoint = kNone32;  // index into plan.endpoints; kNone32: nothing may be picked (503)
  u64 hash = 0;
  u64 cookie = 0;          // the request shall be known by this from now on (cookie_text); 0: nothing to set
  u32 slot = kNone32;      // first slot of the Maglev table, or point of the ring, looked at
  u32 walked = 0;          // slots passed over: unhealthy, over the bound, or to be avoided
  bool panic = false;      // too few are healthy: health was ignored
  bool over_bound = false; // every healthy endpoint was over the bound: the bound was ignored
};

class Router {
 public:
  // `core` indexes the scratch space that compile has laid into the pattern database and offsets round robin.
  // `stats.endpoints[slot].active` is what bounded load and leastRequest read (relay keeps it). `seed`: of all draws.
  Router(const contract::HealthBoard& board, contract::CoreStats& stats, u32 core, u64 seed = 0);
  // Pages of the other cores, whose counts leastRequest adds to its own. They outlive the router.
  void watch(std::vector<const contract::CoreStats*> others) { others_ = std::move(others); }

  Match match(const contract::Plan& plan, const contract::Listener& listener, const http::RequestHead& head);

  // `client` and `client_port` feed HashOn::source and ::request. Endpoints in `avoid` (plan indexes, in the order of their
  // tries) are taken only if nothing else is left, the last of them only if it is the only one.
  Pick pick(const contract::Plan& plan, u32 service, const http::RequestHead& head, const wire::Ip& client, u16 client_port,
            std::span<const u32> avoid = {});

 private:
  friend class Explainer;
  template <class Trace, bool pooled> class Walk;  // pick_walk.h
  template <class Trace> class PoolPick;           // pick_pool.h

  Match find_route(const contract::Plan& plan, const contract::Listener& listener, const http::RequestHead& head);
  // A service that a new version is being brought in for may have that one serve.
  void choose_version(const contract::Plan& plan, const http::RequestHead& head, Match& match);
  bool goes_to_green(const contract::Plan& plan, const contract::Service& service, const http::RequestHead& head);
  const contract::Backend* choose_backend(const contract::Route& route);

  // What `pick` does, open to a trace.
  template <class Trace>
  Pick pick_by(const contract::Plan& plan, const contract::Service& service, const http::RequestHead& head,
               const wire::Ip& client, u16 client_port, std::span<const u32> avoid, Trace& trace);
  template <class Trace>
  [[gnu::noinline]] Pick pick_pooled(const contract::Plan& plan, const contract::Service& service, const http::RequestHead& head,
                                     const wire::Ip& client, u16 client_port, std::span<const u32> avoid, Trace& trace);
  template <class Trace>
  Pick pick_maglev(const contract::Plan& plan, const contract::Service& service, u64 hash, std::span<const u32> avoid,
                   Trace& trace);
  template <class Trace>
  Pick pick_in_turn(const contract::Plan& plan, const contract::Service& service, std::span<const u32> avoid,
                    Trace& trace);
  struct Key {
    u64 hash;
    contract::HashOn from;  // what was hashed: the source where the request lacks the rest
    std::string_view text;  // empty for source and request
  };
  Key key_of(const contract::Service& service, const http::RequestHead& head, const wire::Ip& client, u16 client_port);

  // census.cc
  void count_endpoints(const contract::Plan& plan, const contract::Service& service);
  void count_pools(const contract::Plan& plan, const contract::Service& service, std::span<const contract::EndpointPool> levels);
  void count_pool(const contract::Plan& plan, const contract::Service& service, const contract::EndpointPool& pool);
  void weigh_zones(const contract::Plan& plan, const contract::Service& service, const contract::EndpointPool& pool);
  u32 weight_now(const contract::Service& service, const contract::Endpoint& endpoint) const;
  u64 active_everywhere(contract::EndpointSlot slot) const;
  u64 draw();

  const contract::HealthBoard& board_;
  contract::CoreStats& stats_;
  u32 core_;
  u64 salt_;
  u64 requests_ = 0;  // hashed per request
  u64 draws_ = 0;
  std::vector<const contract::CoreStats*> others_;
  Census census_[contract::kServicesMax + contract::kPoolsMax] = {};  // by Service::slot, EndpointPool::slot
  u32 next_in_turn_[contract::kServicesMax] = {};  // by Service::slot: index within the service
  u32 credit_[2 * contract::kEndpointsMax] = {};   // by Endpoint::slot, once more for subsets: what round robin owes
  // The turns within one pool or one zone of it, by EndpointPool::first_group.
  struct Turns {
    u32 next = kNone32;    // place in the pool's members, from the first of the zone on
    u32 weight_max = 1;    // as Census, scaled
    u32 share_end = 0;     // of the zone, spread.h
  };
  Turns turns_[contract::kPoolsMax];
};

}  // namespace ringway::route
