// What is wrong only beside something else: names used twice, references that lead nowhere, addresses that collide. See
// sections.h. Ranges and spelling have been checked before; a value that was refused there is empty or zero here, and is
// passed over so that one mistake is told once.

#include <algorithm>
#include <map>
#include <utility>

#include "control/config/load.h"
#include "control/config/sections.h"
#include "src/wire/text.h"

namespace ringway::config {
std::string at_line(Mark mark) { return " (line " + std::to_string(mark.line) + ")"; }

namespace {

std::string name_port(const std::string& name, u16 port) { return name + ":" + std::to_string(port); }

void check_discovery_names(Reader& reader, const Config& config) {
  std::map<std::string_view, Mark> seen;
  for (const ServiceConfig& service : config.services) {
    if (service.discovery_name.empty()) continue;
    const auto [first, fresh] = seen.emplace(service.discovery_name, service.mark);
    if (!fresh) {
      reader.problem(service.mark, "discoveryName: \"" + service.discovery_name + "\" is used before" + at_line(first->second));
    }
  }
}

void check_endpoint_count(Reader& reader, const Config& config) {
  std::size_t count = 0;
  for (const ServiceConfig& service : config.services) count += service.endpoints.size();
  if (count > contract::kEndpointsMax) {
    reader.problem(config.services.back().mark, "services: " + std::to_string(count) + " endpoints, at most " +
                                                    std::to_string(contract::kEndpointsMax) + " are possible");
  }
}

// (dnsName, port) is unique over aliases and listeners, and so is a listener's name.
void check_called_names(Reader& reader, const Config& config) {
  std::map<std::pair<std::string, u16>, Mark> called;
  const auto call = [&](const std::string& name, u16 port, Mark mark) {
    if (name.empty() || port == 0) return;
    const auto [first, fresh] = called.emplace(std::pair(name, port), mark);
    if (!fresh) reader.problem(mark, "alias " + name_port(name, port) + " is used before" + at_line(first->second));
  };
  for (const ServiceConfig& service : config.services) {
    for (const ClientAlias& alias : service.client_aliases) call(alias.dns_name, alias.port, alias.mark);
  }
  std::map<std::string_view, Mark> names;
  for (const ListenerConfig& listener : config.listeners) {
    call(listener.dns_name, listener.port, listener.mark);
    if (listener.name.empty()) continue;
    const auto [first, fresh] = names.emplace(listener.name, listener.mark);
    if (!fresh) reader.problem(listener.mark, "name: listener \"" + listener.name + "\" is used before" + at_line(first->second));
  }
}

class References {
 public:
  References(Reader& reader, const Config& config) : reader_(reader) {
    for (u32 i = 0; i < config.services.size(); ++i) {
      index_.emplace(config.services[i].discovery_name, i);
      names_.push_back(config.services[i].discovery_name);
    }
  }

  u32 find(const std::string& name, Mark mark, const std::string& key = "service") const {
    if (name.empty()) return kNone32;
    const auto found = index_.find(name);
    if (found != index_.end()) return found->second;
    const std::string_view meant = near_miss(name, names_);
    reader_.problem(mark, key + ": there is no service \"" + name + "\"" +
                              (meant.empty() ? std::string() : "; did you mean \"" + std::string(meant) + "\"?"));
    return kNone32;
  }

 private:
  Reader& reader_;
  std::map<std::string_view, u32> index_;
  std::vector<std::string_view> names_;
};

void resolve(Reader& reader, Config& config) {
  const References references(reader, config);
  for (ServiceConfig& service : config.services) {
    service.deployment.green = references.find(service.green_name, service.green_mark, "green");
    if (service.deployment.green == kNone32) continue;
    const ServiceConfig& green = config.services[service.deployment.green];
    if (&green == &service || !green.green_name.empty()) {
      reader.problem(service.green_mark, "green: must be another service, without a deployment of its own");
    } else if (green.app_protocol == contract::AppProtocol::tcp) {
      reader.problem(service.green_mark, "green: " + green.discovery_name + " is a TCP service");
    }
  }
  std::size_t routes = 0;
  for (ListenerConfig& listener : config.listeners) {
    listener.service = references.find(listener.service_name, listener.service_mark);
    for (RouteConfig& route : listener.routes) {
      for (BackendRef& backend : route.backends) backend.service = references.find(backend.service_name, backend.mark);
      route.actions.mirror.service = references.find(route.actions.mirror.service_name, route.actions.mirror.mark);
    }
    for (const RouteConfig& route : listener.routes) {
      const MirrorConfig& mirror = route.actions.mirror;
      if (mirror.service != kNone32 && config.services[mirror.service].app_protocol != contract::AppProtocol::http) {
        reader.problem(mirror.mark, "service: a mirror speaks HTTP/1.1, and the appProtocol of \"" + mirror.service_name + "\" is not http");
      }
    }
    routes += listener.routes.size();
    if (routes > contract::kRoutesMax) {
      reader.problem(listener.mark, "routes: more than " + std::to_string(contract::kRoutesMax) + " in the whole file");
      return;
    }
  }
}

bool is_core_address(const GatewayConfig& gateway, wire::Ip4 ip) {
  return std::ranges::any_of(gateway.ports, [&](const PortConfig& port) {
    return port.core_addresses.v != 0 && ip.v - port.core_addresses.v < gateway.cores.size();
  });
}

// One address per core: all in the port's network, and nobody else's.
void check_core_addresses(Reader& reader, const Config& config) {
  const GatewayConfig& gateway = config.gateway;
  const u32 last = static_cast<u32>(std::max<std::size_t>(gateway.cores.size(), 1)) - 1;
  for (const PortConfig& port : gateway.ports) {
    const auto refuse = [&](const std::string& why) {
      const Mark mark = port.core_addresses.v == 0 ? port.mark : port.core_addresses_mark;
      reader.problem(mark, "coreAddresses: " + why);
    };
    if ((port.core_addresses.v == 0) != (gateway.ports[0].core_addresses.v == 0)) {
      refuse("every port has them, or none");
      continue;
    }
    if (port.core_addresses.v != 0 && port.address6 != wire::Ip6{}) {
      refuse("not together with address6, whose local ports the cores share");
      continue;
    }
    if (port.core_addresses.v == 0 || port.address.v == 0) continue;
    const wire::Ip4Prefix net{port.address, port.prefix_bits};
    const wire::Ip4 end{port.core_addresses.v + last};
    const auto holds = [&](wire::Ip4 ip) { return ip.v - port.core_addresses.v <= last; };
    const wire::Ip4 first_of_net{port.address.v & net.mask()}, last_of_net{port.address.v | ~net.mask()};
    if (!net.contains(port.core_addresses) || !net.contains(end) || holds(first_of_net) || holds(last_of_net)) {
      refuse(to_string(port.core_addresses) + " to " + to_string(end) + " is not all in the port's network");
    } else if (holds(port.address) || holds(port.next_hop) || (gateway.dns.enabled && holds(gateway.dns.address))) {
      refuse(to_string(port.core_addresses) + " to " + to_string(end) +
             " contains the port's own address, its next hop or the address of gateway.dns");
    }
  }
}

void check_ports(Reader& reader, const Config& config) {
  const GatewayConfig& gateway = config.gateway;
  for (std::size_t i = 0; i < gateway.ports.size(); ++i) {
    const PortConfig& port = gateway.ports[i];
    if (port.devices.size() > 1 && !gateway.cores.empty() && port.devices.size() != gateway.cores.size()) {
      reader.problem(port.mark, "devices: " + std::to_string(port.devices.size()) + " devices for " +
                                    std::to_string(gateway.cores.size()) + " cores: give one device, or one per core");
    }
    for (std::size_t j = 0; j < i; ++j) {
      const PortConfig& other = gateway.ports[j];
      for (const std::string& device : port.devices) {
        if (std::ranges::find(other.devices, device) != other.devices.end()) {
          reader.problem(port.mark, "device \"" + device + "\" belongs to another port" + at_line(other.mark));
        }
      }
      const wire::Ip4Prefix net{port.address, port.prefix_bits};
      const wire::Ip4Prefix other_net{other.address, other.prefix_bits};
      const bool both = port.address.v != 0 && other.address.v != 0;
      if (both && (net.contains(other.address) || other_net.contains(port.address))) {
        reader.problem(port.address_mark, "address: the port's network overlaps that of another port" + at_line(other.address_mark));
      }
      const wire::Ip6Prefix net6{port.address6, port.prefix6_bits};
      const wire::Ip6Prefix other_net6{other.address6, other.prefix6_bits};
      const bool both6 = port.address6 != wire::Ip6{} && other.address6 != wire::Ip6{};
      if (both6 && (net6.contains(other.address6) || other_net6.contains(port.address6))) {
        reader.problem(port.address6_mark, "address6: the port's network overlaps that of another port" + at_line(other.address6_mark));
      }
    }
  }
}

// The range belongs to the VIPs alone: nothing else that we know of may live in it.
void check_vip_range(Reader& reader, const Config& config) {
  const GatewayConfig& gateway = config.gateway;
  if (gateway.vip_range.bits == 0) return;
  const auto refuse = [&](wire::Ip4 ip, std::string_view what) {
    if (ip.v != 0 && gateway.vip_range.contains(ip)) {
      reader.problem(gateway.vip_range_mark, "vipRange: contains " + to_string(ip) + ", " + std::string(what));
    }
  };
  for (const PortConfig& port : gateway.ports) {
    refuse(port.address, "the address of a port" + at_line(port.address_mark));
    refuse(port.next_hop, "a next hop" + at_line(port.mark));
    for (u32 core = 0; port.core_addresses.v != 0 && core < gateway.cores.size(); ++core) {
      refuse(wire::Ip4{port.core_addresses.v + core}, "the address of a core" + at_line(port.core_addresses_mark));
    }
    if (port.address.v != 0 && wire::Ip4Prefix{port.address, port.prefix_bits}.contains(gateway.vip_range.network) &&
        !gateway.vip_range.contains(port.address)) {
      reader.warning(gateway.vip_range_mark, "vipRange: lies inside a port's network: see that no host there has an address of it");
    }
  }
}

void check_vip_range6(Reader& reader, const Config& config) {
  const GatewayConfig& gateway = config.gateway;
  if (gateway.vip_range6.bits == 0) return;
  const auto refuse = [&](const wire::Ip6& ip, std::string_view what) {
    if (ip != wire::Ip6{} && gateway.vip_range6.contains(ip)) {
      reader.problem(gateway.vip_range6_mark, "vipRange6: contains " + to_string(ip) + ", " + std::string(what));
    }
  };
  for (const PortConfig& port : gateway.ports) {
    refuse(port.address6, "the address of a port" + at_line(port.address6_mark));
    refuse(port.next_hop6, "a next hop" + at_line(port.mark));
    if (port.address6 != wire::Ip6{} && wire::Ip6Prefix{port.address6, port.prefix6_bits}.contains(gateway.vip_range6.network) &&
        !gateway.vip_range6.contains(port.address6)) {
      reader.warning(gateway.vip_range6_mark, "vipRange6: lies inside a port's network: see that no host there has an address of it");
    }
  }
}

bool in_vip_range(const GatewayConfig& gateway, const wire::Ip& ip) {
  return ip.is4() ? gateway.vip_range.bits != 0 && gateway.vip_range.contains(ip.ip4())
                  : gateway.vip_range6.bits != 0 && gateway.vip_range6.contains(ip.ip6());
}
bool is_port_address(const PortConfig& port, const wire::Ip& ip) {
  return ip.is4() ? port.address == ip.ip4() : port.address6 == ip.ip6();
}
bool is_dns_address(const GatewayConfig& gateway, const wire::Ip& ip) {
  return gateway.dns.enabled && (ip.is4() ? gateway.dns.address == ip.ip4() : gateway.dns.address6 == ip.ip6());
}

void check_endpoints(Reader& reader, const Config& config) {
  const GatewayConfig& gateway = config.gateway;
  bool has4 = false, has6 = false;
  for (const PortConfig& port : gateway.ports) {
    has4 |= port.address.v != 0;
    has6 |= port.address6 != wire::Ip6{};
  }
  for (const ServiceConfig& service : config.services) {
    for (const EndpointConfig& endpoint : service.endpoints) {
      if (endpoint.ip.unset()) continue;
      const auto own = [&](const PortConfig& port) { return is_port_address(port, endpoint.ip); };
      if (std::ranges::any_of(gateway.ports, own) || (endpoint.ip.is4() && is_core_address(gateway, endpoint.ip.ip4())) ||
          is_dns_address(gateway, endpoint.ip)) {
        reader.problem(endpoint.mark, "address: " + to_string(endpoint.ip) + " is the gateway's own address");
      } else if (in_vip_range(gateway, endpoint.ip)) {
        reader.problem(endpoint.mark, "address: " + to_string(endpoint.ip) + " lies in gateway." +
                                          (endpoint.ip.is4() ? "vipRange" : "vipRange6") + ", which is for VIPs alone");
      } else if (!(endpoint.ip.is4() ? has4 : has6) && (has4 || has6)) {
        reader.problem(endpoint.mark, "address: no port has an " + std::string(endpoint.ip.is4() ? "IPv4" : "IPv6") +
                                          " address to reach " + to_string(endpoint.ip) + " from");
      }
    }
  }
}

// Explicit VIPs: in the range, and each for one name.
class VipCheck {
 public:
  VipCheck(Reader& reader, const Config& config) : reader_(reader), gateway_(config.gateway) {}

  // `key` is how the file calls it.
  void claim(const wire::Ip& vip, const std::string& name, Mark mark, const std::string& key) {
    const std::string range = vip.is4() ? "gateway.vipRange" : "gateway.vipRange6";
    const u8 bits = vip.is4() ? gateway_.vip_range.bits : gateway_.vip_range6.bits;
    if (bits == 0) {
      if (gateway_.vip_range.bits != 0 || gateway_.vip_range6.bits != 0) {
        reader_.problem(mark, key + to_string(vip) + " needs " + range + " to lie in");
      }
      return;
    }
    if (!in_vip_range(gateway_, vip)) {
      reader_.problem(mark, key + to_string(vip) + (key == "address: " ? " is no port's address and" : " is") + " outside " + range);
      return;
    }
    if (is_edge(vip)) {
      reader_.problem(mark, key + to_string(vip) + " is the first or last address of " + range);
      return;
    }
    if (is_dns_address(gateway_, vip)) {
      reader_.problem(mark, key + to_string(vip) + " is the address of gateway.dns");
      return;
    }
    const auto [owner, fresh] = owner_of_.emplace(vip, std::pair(name, mark));
    if (!fresh && owner->second.first != name) {
      reader_.problem(mark, key + to_string(vip) + " belongs to \"" + owner->second.first + "\"" + at_line(owner->second.second));
    }
    const auto [first, only] = vip_of_.emplace(std::pair(name, vip.is4()), std::pair(vip, mark));
    if (!only && first->second.first != vip) {
      reader_.problem(mark, key + "\"" + name + "\" has another VIP" + at_line(first->second.second));
    }
  }

 private:
  bool is_edge(const wire::Ip& vip) const {
    if (vip.is4()) {
      const u32 host_bits = ~gateway_.vip_range.mask();
      return (vip.ip4().v & host_bits) == 0 || (vip.ip4().v & host_bits) == host_bits;
    }
    const u64 host_bits = gateway_.vip_range6.bits == 64 ? ~u64{0} : ~u64{0} >> (gateway_.vip_range6.bits - 64);
    return (vip.ip6().low() & host_bits) == 0 || (vip.ip6().low() & host_bits) == host_bits;
  }

  Reader& reader_;
  const GatewayConfig& gateway_;
  std::map<wire::Ip, std::pair<std::string, Mark>> owner_of_;
  std::map<std::pair<std::string, bool>, std::pair<wire::Ip, Mark>> vip_of_;  // by name and family
};

void check_vips(Reader& reader, const Config& config) {
  VipCheck vips(reader, config);
  for (const ServiceConfig& service : config.services) {
    for (const ClientAlias& alias : service.client_aliases) {
      if (alias.vip && !alias.dns_name.empty()) vips.claim(*alias.vip, alias.dns_name, alias.mark, "vip: ");
      if (alias.vip6 && !alias.dns_name.empty()) vips.claim(*alias.vip6, alias.dns_name, alias.mark, "vip6: ");
    }
  }
  std::map<std::pair<wire::Ip, u16>, Mark> own;
  for (const ListenerConfig& listener : config.listeners) {
    if (!listener.address) continue;
    const auto is_port = [&](const PortConfig& port) { return is_port_address(port, *listener.address); };
    if (std::ranges::any_of(config.gateway.ports, is_port)) {
      const auto [first, fresh] = own.emplace(std::pair(*listener.address, listener.port), listener.mark);
      if (!fresh) reader.problem(listener.mark, "address: " + to_string(*listener.address, listener.port) + " is used before" + at_line(first->second));
    } else {
      vips.claim(*listener.address, listener.dns_name.empty() ? "listener/" + listener.name : listener.dns_name, listener.mark, "address: ");
    }
  }
  const HealthEndpointConfig& health = config.gateway.health_endpoint;
  if (health.port == 0) return;
  const auto is_port = [&](const PortConfig& port) { return is_port_address(port, *health.address); };
  if (health.address && std::ranges::none_of(config.gateway.ports, is_port)) {
    vips.claim(*health.address, "gateway.healthEndpoint", health.mark, "address: ");
  }
  for (const auto& [where, mark] : own) {
    if (where.second != health.port || (health.address && *health.address != where.first)) continue;
    reader.problem(health.mark, "healthEndpoint: " + to_string(where.first, where.second) + " is used by a listener" + at_line(mark));
  }
}

void warn_reach(Reader& reader, const Config& config) {
  std::vector<bool> routed(config.services.size());
  const auto reach = [&](u32 service) {
    if (service != kNone32) routed[service] = true;
  };
  for (const ServiceConfig& service : config.services) reach(service.deployment.green);
  for (const ListenerConfig& listener : config.listeners) {
    reach(listener.service);
    for (const RouteConfig& route : listener.routes) {
      reach(route.actions.mirror.service);
      for (const BackendRef& backend : route.backends) reach(backend.service);
    }
  }
  for (std::size_t i = 0; i < config.services.size(); ++i) {
    const ServiceConfig& service = config.services[i];
    if (service.client_aliases.empty() && !routed[i]) {
      reader.warning(service.mark, "service " + service.discovery_name + " has no alias and no route: nobody can call it");
    }
  }
}

}  // namespace

void check(Reader& reader, Config& config) {
  check_discovery_names(reader, config);
  check_endpoint_count(reader, config);
  check_called_names(reader, config);
  resolve(reader, config);
  check_ports(reader, config);
  check_core_addresses(reader, config);
  check_vip_range(reader, config);
  check_vip_range6(reader, config);
  check_endpoints(reader, config);
  check_vips(reader, config);
  check_routes(reader, config);
  check_access(reader, config);
  check_balancing(reader, config);
  warn_reach(reader, config);
}

}  // namespace ringway::config
