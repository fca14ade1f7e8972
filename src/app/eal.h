#pragma once
// EAL: the words that start DPDK, from the configuration, and the start itself.
//
// lcore 0 is the control thread (the caller's), lcore i+1 is core i; several may share one CPU. Devices are named, never
// found: `--no-pci` unless a PCI address is configured. Main thread only, once per process.

#include <optional>
#include <string>
#include <vector>

#include "control/config/config.h"

namespace ringway::app {

// "0000:00:05.0" or "00:05.0"
bool is_pci_address(const std::string& device);
// The name under which ethdev knows a device: a vdev string up to its first comma.
std::string ethdev_name(const std::string& device);

// argv of rte_eal_init. `prefix` is unique on this machine (telemetry socket, hugepage files).
std::vector<std::string> eal_words(const config::GatewayConfig& gateway, const std::string& prefix);

// Starts EAL. A sentence when it fails: what, and how to mend it.
std::optional<std::string> start_eal(const config::GatewayConfig& gateway, const std::string& prefix);
// Ends EAL and removes what it left in its runtime folder.
void end_eal();

}  // namespace ringway::app
