// See vips.h.

#include "control/compile/vips.h"

#include <algorithm>
#include <set>

#include "src/lookup/flow_hash.h"

namespace ringway::compile {
namespace {

bool is_port_address(const config::GatewayConfig& gateway, wire::Ip4 ip) {
  return std::ranges::any_of(gateway.ports, [&](const config::PortConfig& port) { return port.address == ip; });
}

}  // namespace

std::string vip_name(const config::ListenerConfig& listener) {
  return listener.dns_name.empty() ? "listener/" + listener.name : listener.dns_name;
}

std::expected<VipMap, std::vector<config::Problem>> assign_vips(const config::Config& config, const VipMap& previous) {
  const config::GatewayConfig& gateway = config.gateway;
  const wire::Ip4Prefix range = gateway.vip_range;
  VipMap out;
  std::set<std::string> open;
  for (const config::ServiceConfig& service : config.services) {
    for (const config::ClientAlias& alias : service.client_aliases) {
      if (alias.vip) out[alias.dns_name] = *alias.vip;
      open.insert(alias.dns_name);
    }
  }
  for (const config::ListenerConfig& listener : config.listeners) {
    if (listener.address && is_port_address(gateway, *listener.address)) continue;
    if (listener.address) out[vip_name(listener)] = *listener.address;
    open.insert(vip_name(listener));
  }
  std::set<wire::Ip4> taken;
  for (const auto& [name, ip] : out) {
    taken.insert(ip);
    open.erase(name);
  }
  const u32 hosts = ~range.mask() - 1;  // without the first and the last address
  const auto own = [&](wire::Ip4 ip) { return is_port_address(gateway, ip) || (gateway.dns.enabled && gateway.dns.address == ip); };
  const auto usable = [&](wire::Ip4 ip) {
    const u32 host = ip.v & ~range.mask();
    return range.contains(ip) && host != 0 && host != ~range.mask() && !own(ip) && !taken.contains(ip);
  };
  const auto give = [&](const std::string& name, wire::Ip4 ip) {
    out[name] = ip;
    taken.insert(ip);
  };
  for (const auto& [name, ip] : previous) {
    if (open.contains(name) && usable(ip)) {
      give(name, ip);
      open.erase(name);
    }
  }
  for (const std::string& name : open) {
    const u32 start = static_cast<u32>(lookup::hash_bytes(name, 0) % hosts);
    u32 step = 0;
    const auto candidate = [&] { return wire::Ip4{range.network.v + 1 + static_cast<u32>((u64{start} + step) % hosts)}; };
    while (step < hosts && !usable(candidate())) ++step;
    if (step == hosts) {
      return std::unexpected(std::vector<config::Problem>{
          {config.file, gateway.vip_range_mark.line, gateway.vip_range_mark.column,
           "vipRange: too small: " + std::to_string(out.size()) + " names have a VIP and none is left for \"" + name + "\""}});
    }
    give(name, candidate());
  }
  return out;
}

}  // namespace ringway::compile
