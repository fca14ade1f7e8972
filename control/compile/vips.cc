// See vips.h.

#include "control/compile/vips.h"

#include <algorithm>
#include <set>

#include "src/lookup/flow_hash.h"

namespace ringway::compile {
namespace {

bool is_own(const config::GatewayConfig& gateway, const wire::Ip& ip) {
  const auto is = [&](wire::Ip4 v4, const wire::Ip6& v6) { return ip.is4() ? v4 == ip.ip4() : v6 == ip.ip6(); };
  const auto port_is = [&](const config::PortConfig& port) { return is(port.address, port.address6); };
  return std::ranges::any_of(gateway.ports, port_is) || (gateway.dns.enabled && is(gateway.dns.address, gateway.dns.address6));
}
bool is_port_address(const config::GatewayConfig& gateway, const wire::Ip& ip) {
  return std::ranges::any_of(gateway.ports, [&](const config::PortConfig& port) {
    return ip.is4() ? port.address == ip.ip4() : port.address6 == ip.ip6();
  });
}

// A range of one family as hosts numbered 0 .. hosts - 1, without the first and the last address.
struct Range {
  wire::Ip Vips::* family;
  const char* key;
  config::Mark mark;
  wire::Ip network;
  u64 hosts = 0;  // 0: there is no range

  wire::Ip host(u64 n) const {
    if (network.is4()) return wire::Ip4{network.ip4().v + 1 + static_cast<u32>(n)};
    return wire::Ip6::from_halves(network.ip6().high(), network.ip6().low() + 1 + n);
  }
  bool contains(const wire::Ip& ip) const {
    if (hosts == 0 || ip.is4() != network.is4() || ip.ip6().high() != network.ip6().high()) return false;
    return ip.ip6().low() - network.ip6().low() - 1 < hosts;
  }
};

Range range4(const config::GatewayConfig& gateway) {
  Range r{&Vips::v4, "vipRange", gateway.vip_range_mark, gateway.vip_range.network};
  if (gateway.vip_range.bits != 0) r.hosts = ~gateway.vip_range.mask() - 1;
  return r;
}
Range range6(const config::GatewayConfig& gateway) {
  Range r{&Vips::v6, "vipRange6", gateway.vip_range6_mark, gateway.vip_range6.network};
  if (gateway.vip_range6.bits != 0) r.hosts = (~u64{0} >> (gateway.vip_range6.bits - 64)) - 1;
  return r;
}

// Gives each of `open` an address of the range. False, with a problem, when it is too small.
bool fill(const config::Config& config, const Range& range, std::set<std::string> open, const VipMap& previous, VipMap& out,
          std::vector<config::Problem>& problems) {
  std::set<wire::Ip> taken;
  for (const auto& [name, vips] : out) {
    if (!(vips.*range.family).unset()) taken.insert(vips.*range.family);
  }
  std::erase_if(open, [&](const std::string& name) { return out.contains(name) && !(out[name].*range.family).unset(); });
  const auto usable = [&](const wire::Ip& ip) { return range.contains(ip) && !is_own(config.gateway, ip) && !taken.contains(ip); };
  const auto give = [&](const std::string& name, const wire::Ip& ip) {
    out[name].*range.family = ip;
    taken.insert(ip);
  };
  for (const auto& [name, vips] : previous) {
    if (open.contains(name) && usable(vips.*range.family)) {
      give(name, vips.*range.family);
      open.erase(name);
    }
  }
  for (const std::string& name : open) {
    const u64 start = lookup::hash_bytes(name, 0) % range.hosts;
    const u64 steps = std::min<u64>(range.hosts, out.size() + taken.size() + 2 * contract::kPortsMax + 2);
    u64 step = 0;
    const auto candidate = [&] { return range.host((start + step) % range.hosts); };
    while (step < steps && !usable(candidate())) ++step;
    if (step == steps) {
      problems.push_back({config.file, range.mark.line, range.mark.column,
                          std::string(range.key) + ": too small: " + std::to_string(taken.size()) +
                              " names have a VIP and none is left for \"" + name + "\""});
      return false;
    }
    give(name, candidate());
  }
  return true;
}

}  // namespace

std::string vip_name(const config::ListenerConfig& listener) {
  return listener.dns_name.empty() ? "listener/" + listener.name : listener.dns_name;
}

std::expected<VipMap, std::vector<config::Problem>> assign_vips(const config::Config& config, const VipMap& previous) {
  VipMap out;
  std::set<std::string> open;
  for (const config::ServiceConfig& service : config.services) {
    for (const config::ClientAlias& alias : service.client_aliases) {
      if (alias.vip) out[alias.dns_name].v4 = *alias.vip;
      if (alias.vip6) out[alias.dns_name].v6 = *alias.vip6;
      open.insert(alias.dns_name);
    }
  }
  for (const config::ListenerConfig& listener : config.listeners) {
    if (!listener.address) {
      open.insert(vip_name(listener));
    } else if (!is_port_address(config.gateway, *listener.address)) {
      (listener.address->is4() ? out[vip_name(listener)].v4 : out[vip_name(listener)].v6) = *listener.address;
    }
  }
  if (const auto& health = config.gateway.health_endpoint; health.address && !is_port_address(config.gateway, *health.address)) {
    (health.address->is4() ? out["listener/gateway.healthEndpoint"].v4 : out["listener/gateway.healthEndpoint"].v6) = *health.address;
  }
  std::vector<config::Problem> problems;
  for (const Range& range : {range4(config.gateway), range6(config.gateway)}) {
    if (range.hosts != 0) fill(config, range, open, previous, out, problems);
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return out;
}

}  // namespace ringway::compile
