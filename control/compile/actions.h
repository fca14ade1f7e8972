#pragma once
// ActionSet: from what routes, backends and services say to the entries of Plan::actions, one for each pair of route and
// backend that has something to say. Control thread only; a part of compile_routes.
//
// Fields are changed by the route first, then by the backend, then by the service, each on what the ones before have left.
// A backend's rewrite stands in front of its route's, path and host each on its own.

#include <span>
#include <vector>

#include "control/compile/substitutions.h"
#include "control/config/config.h"
#include "src/contract/actions.h"

namespace ringway::compile {

class ActionSet {
 public:
  // `service_index` translates indexes of config.services to those of the plan; empty when they are the same.
  ActionSet(const config::Config& config, std::span<const u32> service_index) : config_(config), service_index_(service_index) {}

  // Each returns an index into the actions; kNone32 when there is nothing to do.
  u32 add_service(const config::ServiceConfig& service);
  u32 add_backend(const config::RouteConfig& route, const config::BackendRef& backend);
  // Of a route that answers itself.
  u32 add_answer(const config::ListenerConfig& listener, const config::RouteConfig& route);

  std::vector<contract::Actions>& actions() { return actions_; }
  SubstitutionSet& substitutions() { return substitutions_; }
  const std::vector<config::Problem>& problems() const { return problems_; }

 private:
  void rewrite(const config::RewriteConfig& in, contract::Actions& out);
  u32 keep(contract::Actions actions, bool says_something);

  const config::Config& config_;
  std::span<const u32> service_index_;
  std::vector<contract::Actions> actions_;
  SubstitutionSet substitutions_;
  std::vector<config::Problem> problems_;
};

}  // namespace ringway::compile
