#pragma once
// VIPs: for every name that clients call one address of gateway.vipRange, and one of gateway.vipRange6, where these are.
//
// Explicit addresses come first, then what the names had before (`previous`), then the rest by hash of the name with
// linear probing, names in sorted order: the same file gives the same addresses after a restart, and a reload moves
// nobody. Never the first or last address of the range, never one of the gateway's own. Aliases of one dnsName with
// several ports share its VIPs. Control threads only; pure.

#include <expected>
#include <map>
#include <string>
#include <vector>

#include "control/config/config.h"

namespace ringway::compile {

// Unset in a family that the name has no VIP of.
struct Vips {
  wire::Ip v4, v6;
  friend bool operator==(const Vips&, const Vips&) = default;
};
using VipMap = std::map<std::string, Vips>;  // by dnsName, or by `vip_name` where a listener has none

// "listener/edge": no dnsName can look like it.
std::string vip_name(const config::ListenerConfig& listener);

// Fails when a range has too few addresses. Listeners on a port's own address are not in the map.
std::expected<VipMap, std::vector<config::Problem>> assign_vips(const config::Config& config, const VipMap& previous = {});

}  // namespace ringway::compile
