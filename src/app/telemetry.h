#pragma once
// Telemetry: the admin documents on DPDK's own telemetry socket, for dpdk-telemetry.py and what scrapes it.
//
// /ringway/status  /ringway/counters  /ringway/verdicts  /ringway/services[,NAME]  /ringway/endpoints[,ID]
// Runs on DPDK's telemetry thread; reads what admin reads.

#include "control/admin/admin.h"

namespace ringway::app {

// `admin` outlives EAL's telemetry, or `stop_telemetry` comes first.
void start_telemetry(const admin::Admin& admin);
void stop_telemetry();

}  // namespace ringway::app
