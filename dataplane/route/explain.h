#pragma once
// Explainer: what the gateway would do with a request, and why, told by the code that does it.
//
// Called on a control thread, off the packet path; it allocates. It owns a Router of its own with the spare scan room
// of the pattern database (index: number of cores), so it disturbs no core: round robin's turn and the counter behind
// per-request hashing are its own, and it counts nothing. Bounded load is judged by the core whose stats it is given.

#include <memory>
#include <string>
#include <vector>

#include "dataplane/route/router.h"

namespace ringway::route {

// One endpoint that was looked at.
struct Look {
  u32 endpoint = kNone32;     // index into plan.endpoints
  u32 maglev_slot = kNone32;  // or point of the ring; kNone32: by turn or draw, or after the walk over the table
  std::string id;             // Endpoint::id
  std::string outcome;        // "taken", "failing health checks", "over the bound (5 active)", ...
};

struct Explanation {
  Match match;
  Pick pick;
  std::string listener;
  std::string route;       // name; empty: no rule matched, or the listener has none
  std::string rule;        // the conditions that held, in words
  std::string why;         // one sentence about how the service was chosen
  std::string service;     // discoveryName; empty: none
  std::string caller;      // who the source is; empty: a stranger
  std::string access;      // which rule of the service let it in or not, in words; empty: the service has no rules
  std::string policy;      // "maglev, 65537 slots", "least request, best of 2 draws", ...
  std::string hash_input;  // "source address 10.0.0.7", "header x-user: bob"; empty where the policy does not hash
  std::vector<std::string> choices;  // what narrowed the pick down, in order: deployment, subset, priority level, zone, slow start
  std::vector<Look> looks;
  std::string endpoint;    // Endpoint::id of the pick; empty: none
  std::string outcome;     // one sentence: where the request goes, or which status answers it
  std::vector<std::string> actions;  // what happens to it and to its response, a few words each
};

class Explainer {
 public:
  // `room`: the spare scan room, which is the number of cores.
  Explainer(const contract::HealthBoard& board, contract::CoreStats& stats, u32 room)
      : board_(board), stats_(stats), room_(room), router_(std::make_unique<Router>(board, stats, room)) {}

  Explanation explain(const contract::Plan& plan, const contract::Listener& listener, const http::RequestHead& head,
                      const wire::Ip& client, u16 client_port);

 private:
  void tell_match(const contract::Plan& plan, const contract::Listener& listener, Explanation& out) const;
  void tell_version(const contract::Plan& plan, const contract::Service& called, Explanation& out) const;
  bool tell_access(const contract::Plan& plan, const http::RequestHead& head, const wire::Ip& client, Explanation& out) const;
  void explain_pick(const contract::Plan& plan, const http::RequestHead& head, const wire::Ip& client, u16 client_port,
                    Explanation& out);
  void tell_pick(const contract::Plan& plan, Explanation& out) const;
  void tell_actions(const contract::Plan& plan, const contract::Listener& listener, const http::RequestHead& head,
                    const wire::Ip& client, u16 client_port, Explanation& out) const;

  const contract::HealthBoard& board_;
  contract::CoreStats& stats_;
  u32 room_;
  std::unique_ptr<Router> router_;
};

}  // namespace ringway::route
