#pragma once
// Ingress rules (gateway.ingress) as DPDK's access control lists: from where which of our addresses and ports may be
// connected to. The only place that includes rte_acl.h.
//
// A list is built on the control thread for a plan, after EAL has begun, and asked by the cores. It is asked only about
// segments that belong to no connection (dataplane/tcp/input.cc): the packets of a connection cost nothing, and a refused
// SYN ends before there is a record of it, without an answer. Relay asks once more when a connection meets a new plan.

#include <string>

#include "src/contract/plan.h"

namespace ringway::gate {

// Sets plan.ingress_acl to what plan.ingress says; null where it refuses nobody. What is wrong, or empty: then memory was
// short, since the rules have been checked. Allocates; control thread.
std::string build_ingress(contract::Plan& plan);

}  // namespace ringway::gate
