#pragma once
// Who may call: callers, access rules, rates and ingress rules of the configuration as contract/access.h has them.
//
// All networks of the file, nested or not, are laid out as ranges of addresses in one pass with a stack: within a range the
// longest network that has a name says who calls, and every rule's source part is true or false. Ranges with one answer
// share a source. Control thread only; no DPDK: the ACL of gateway.ingress is made later (dataplane/gate/ingress.h), so
// that `ringway check` needs no EAL.

#include <vector>

#include "control/compile/routes.h"
#include "control/config/config.h"
#include "src/contract/plan.h"

namespace ringway::compile {

// Services, listeners and patterns are in `plan` already. `previous`: the plan in force; rates that do not change go on with
// their buckets as they are. Null at start.
void fill_access(const config::Config& config, const Routes& routes, const contract::Plan* previous, u32 cores,
                 contract::Plan& plan, std::vector<config::Problem>& problems);

}  // namespace ringway::compile
