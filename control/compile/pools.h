#pragma once
// compile_pools: from a service's endpoints and its balancing to the tables and pools that cores pick from.
//
// A service that is one pool with a Maglev table or turns gets Service::maglev and no pools; any other gets a pool for
// each priority level of all endpoints, and for each of each subset (contract/balance.h). Deterministic: the order of
// endpoints in the file changes nothing. Control thread only; pure.

#include <map>
#include <span>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "src/contract/plan.h"

namespace ringway::compile {

// Indexes of the cores' state for pools and zones, given out over all services of a plan.
struct PoolSlots {
  u32 pools = 0;
  u32 groups = 0;
};

// `endpoints`: the service's, sorted by id; `labels` beside them. Fills policy, hash and all that follows from `in`. False
// when the plan has too many pools; then the service is not to be used.
bool compile_pools(const config::BalancingConfig& in, const std::string& own_zone, std::span<const contract::Endpoint> endpoints,
                   std::span<const std::map<std::string, std::string>> labels, PoolSlots& slots, contract::Service& out);

}  // namespace ringway::compile
