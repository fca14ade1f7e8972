#pragma once
// Reload: what a new configuration may change while the gateway runs, and what waits for a restart.
//
// Ports, cores, memory, pools, TCP settings and sockets are laid out at start. A new file that changes them is applied
// without that part, and each such key is named in a warning. Pure.

#include <string>
#include <vector>

#include "control/config/config.h"

namespace ringway::app {

// Puts `running`'s values over those of `next` that only a restart can change; returns the keys that differed.
std::vector<std::string> keep_until_restart(const config::GatewayConfig& running, config::GatewayConfig& next);

}  // namespace ringway::app
