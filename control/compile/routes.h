#pragma once
// compile_routes: from the routes of the configured listeners to route tables and one pattern database, in which the
// expressions of access rules stand too.
//
// Control thread only; the result goes into a Plan and is not changed again. All that Hyperscan refuses is reported at
// once, each with the place of the expression in the file; so is what PCRE2 refuses of those that rewrite paths. What the
// matching means is told in docs/routing.md, what happens to a request then in docs/actions.md.

#include <expected>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "control/config/config.h"
#include "src/contract/routes.h"

namespace ringway::compile {

struct Routes {
  std::vector<contract::RouteTable> tables;
  std::vector<u32> table_of;  // by configured listener: index into `tables`; kNone32 for one without routes
  std::shared_ptr<const contract::PatternDb> patterns;  // null when nothing is a regular expression
  std::map<std::string, u32> access_patterns;  // of access rules: index of the pattern by its expression
  std::vector<u32> access_pieces;              // what they look at
  std::vector<contract::Actions> actions;
  std::vector<u32> actions_of;  // by configured service: index into `actions`, for listeners that have no route for it
  std::shared_ptr<const contract::SubstitutionDb> substitutions;  // null when no expression rewrites a path
};

// `service_index` translates indexes of config.services to those of the plan; empty when they are the same.
// `cores`: scan rooms are made for each, and one more (index `cores`) for explanations on a control thread.
std::expected<Routes, std::vector<config::Problem>> compile_routes(const config::Config& config, u32 cores,
                                                                   std::span<const u32> service_index = {});

}  // namespace ringway::compile
