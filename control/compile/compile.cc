// See compile.h. One function per part of the Plan, in the order of plan.h.

#include "control/compile/compile.h"

#include <algorithm>
#include <iterator>

#include "control/compile/access.h"
#include "control/compile/pools.h"
#include "control/compile/routes.h"
#include "src/base/assert.h"
#include "src/contract/path_sizes.h"

#ifndef RINGWAY_VERSION
#error "RINGWAY_VERSION comes from the build: it stands in the User-Agent of health checks"
#endif

namespace ringway::compile {
namespace {

using Problems = std::vector<config::Problem>;

config::Problem problem_at(const config::Config& config, config::Mark mark, std::string message) {
  return {config.file, mark.line, mark.column, std::move(message)};
}

contract::HealthCheck health_check(const config::ServiceConfig& service) {
  const config::HealthCheckConfig& in = service.health_check;
  contract::HealthCheck out;
  out.kind = in.kind;
  out.interval_us = in.interval_us;
  out.timeout_us = in.timeout_us;
  out.healthy_threshold = in.healthy_threshold;
  out.unhealthy_threshold = in.unhealthy_threshold;
  out.jitter_percent = in.jitter_percent;
  out.status_min = in.status_min;
  out.status_max = in.status_max;
  const std::string common = " HTTP/1.1\r\nHost: " + (in.host.empty() ? service.discovery_name : in.host) +
                             "\r\nUser-Agent: ringway-health/" RINGWAY_VERSION "\r\n";
  if (in.kind == contract::HealthCheckKind::http) {
    out.h2 = service.app_protocol == contract::AppProtocol::http2 || service.app_protocol == contract::AppProtocol::grpc;
    out.request = "GET " + in.path + common + "Accept: */*\r\nConnection: close\r\n\r\n";
  } else if (in.kind == contract::HealthCheckKind::grpc) {
    out.h2 = true;
    out.request = "POST /grpc.health.v1.Health/Check" + common +
                  "Content-Type: application/grpc\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n";
    // HealthCheckRequest: field 1, a string of at most 127 bytes; not compressed, length in four bytes.
    const std::string message = in.grpc_service.empty() ? "" : std::string("\x0a") + static_cast<char>(in.grpc_service.size()) + in.grpc_service;
    out.body = std::string(4, '\0') + static_cast<char>(message.size()) + message;
  }
  return out;
}

void fill_endpoints(const config::Config& config, const config::ServiceConfig& in, registry::Registry& registry, u64 generation,
                    contract::Plan& plan, PoolSlots& pools, contract::Service& out, Problems& problems) {
  std::vector<contract::Endpoint> endpoints;
  std::map<std::string, std::map<std::string, std::string>> labels_of;
  for (const config::EndpointConfig& e : in.endpoints) {
    const auto slot = registry.slot_of(generation, in.discovery_name, e.ip, e.port);
    if (!slot) {
      problems.push_back(problem_at(config, e.mark, "no endpoint slot is free until older plans are retired; try again"));
      continue;
    }
    contract::Endpoint endpoint;
    endpoint.ip = e.ip;
    endpoint.port = e.port;
    endpoint.weight = e.weight;
    endpoint.slot = slot->index;
    endpoint.incarnation = slot->incarnation;
    endpoint.id = registry::Registry::endpoint_id(in.discovery_name, e.ip, e.port);
    endpoint.zone = e.zone;
    endpoint.priority = e.priority;
    labels_of[endpoint.id] = e.labels;
    endpoints.push_back(std::move(endpoint));
  }
  std::ranges::sort(endpoints, {}, &contract::Endpoint::id);
  std::vector<std::map<std::string, std::string>> labels;
  for (const contract::Endpoint& e : endpoints) {
    labels.push_back(labels_of[e.id]);
    out.weight_sum += e.weight;
  }
  if (!compile_pools(in.balancing, config.gateway.zone, endpoints, labels, pools, out)) {
    problems.push_back(problem_at(config, in.mark, "priorities, subsets and zones of all services make more than " +
                                                       std::to_string(contract::kPoolsMax) + " pools of endpoints"));
  }
  out.first_endpoint = static_cast<u32>(plan.endpoints.size());
  out.endpoint_count = static_cast<u32>(endpoints.size());
  std::ranges::move(endpoints, std::back_inserter(plan.endpoints));
  std::ranges::move(labels, std::back_inserter(plan.endpoint_labels));
}

void fill_services(const config::Config& config, registry::Registry& registry, const CompileContext& context, contract::Plan& plan,
                   Problems& problems) {
  PoolSlots pools;
  const u64 generation = context.generation;
  for (const config::ServiceConfig& in : config.services) {
    contract::Service out;
    const auto slot = registry.service_slot_of(generation, in.discovery_name);
    if (!slot) problems.push_back(problem_at(config, in.mark, "no service slot is free until older plans are retired; try again"));
    out.slot = slot ? slot->index : 0;
    out.port_name = in.port_name;
    out.discovery_name = in.discovery_name;
    out.app_protocol = in.app_protocol;
    out.timeouts = in.timeouts;
    out.retry = in.retry;
    out.breakers = in.breakers;
    out.deployment = in.deployment;
    if (out.deployment.green != kNone32) plan.shifts = context.shifts;
    out.health_check = health_check(in);
    out.outlier = in.outlier;
    out.drain_us = in.drain_us;
    out.proxy_protocol = in.proxy_protocol;
    fill_endpoints(config, in, registry, generation, plan, pools, out, problems);
    plan.services.push_back(std::move(out));
  }
}

void fill_health_endpoint(const config::GatewayConfig& gateway, contract::Plan& plan) {
  const config::HealthEndpointConfig& in = gateway.health_endpoint;
  if (in.port == 0) return;
  std::vector<wire::Ip> addresses;
  if (in.address) addresses.push_back(*in.address);
  for (const config::PortConfig& port : gateway.ports) {
    if (!in.address && port.address.v != 0) addresses.push_back(port.address);
    if (!in.address && port.address6 != wire::Ip6{}) addresses.push_back(port.address6);
  }
  for (const wire::Ip& ip : addresses) {
    plan.listeners.push_back({.ip = ip, .port = in.port, .name = "health:" + std::to_string(in.port), .health_path = in.path});
  }
}

// Two listeners may end on one (address, port) only here: by an explicit VIP that another name was given.
void fill_listeners(const config::Config& config, const VipMap& vips, const Routes& routes, contract::Plan& plan) {
  const auto actions_of = [&](u32 service) { return service == kNone32 ? kNone32 : routes.actions_of[service]; };
  for (u32 i = 0; i < config.services.size(); ++i) {
    for (const config::ClientAlias& alias : config.services[i].client_aliases) {
      const Vips& vip = vips.at(alias.dns_name);
      for (const wire::Ip& ip : {vip.v4, vip.v6}) {
        if (ip.unset()) continue;
        plan.listeners.push_back({ip, alias.port, i, kNone32, actions_of(i), alias.dns_name + ":" + std::to_string(alias.port), {}, alias.proxies});
      }
    }
  }
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const config::ListenerConfig& in = config.listeners[i];
    const Vips vip = in.address ? Vips{*in.address, {}} : vips.at(vip_name(in));
    for (const wire::Ip& ip : {vip.v4, vip.v6}) {
      if (ip.unset()) continue;
      plan.listeners.push_back({ip, in.port, in.service, routes.table_of[i], actions_of(in.service), in.name + ":" + std::to_string(in.port), {}, in.proxies});
    }
  }
  fill_health_endpoint(config.gateway, plan);
  std::ranges::sort(plan.listeners, {}, [](const contract::Listener& l) { return std::pair(l.ip, l.port); });
}

void fill_dns(const config::Config& config, const VipMap& vips, contract::Plan& plan) {
  const config::GatewayConfig& gateway = config.gateway;
  for (const auto& [name, vip] : vips) {
    if (name.starts_with("listener/")) continue;
    for (const wire::Ip& ip : {vip.v4, vip.v6}) {
      if (!ip.unset()) plan.dns_names.push_back({name, ip});
    }
  }
  for (const config::ListenerConfig& listener : config.listeners) {
    if (!listener.dns_name.empty() && !vips.contains(listener.dns_name)) {
      plan.dns_names.push_back({listener.dns_name, *listener.address});
    }
  }
  const auto key = [](const contract::DnsName& n) { return std::pair(std::string_view(n.name), n.ip); };
  std::ranges::sort(plan.dns_names, {}, key);
  const auto same = std::ranges::unique(plan.dns_names, {}, key);
  plan.dns_names.erase(same.begin(), same.end());
  plan.dns_ttl_s = gateway.dns.ttl_s;
  if (gateway.dns.enabled) {
    plan.dns_ip = gateway.dns.address;
    plan.dns_ip6 = gateway.dns.address6;
  }
  plan.dns_zones = gateway.dns.zones;
  if (!gateway.namespace_name.empty()) plan.dns_zones.push_back(gateway.namespace_name);
  std::ranges::sort(plan.dns_zones);
  const auto twice = std::ranges::unique(plan.dns_zones);
  plan.dns_zones.erase(twice.begin(), twice.end());
}

void fill_addresses(const config::Config& config, contract::Plan& plan) {
  for (const config::PortConfig& port : config.gateway.ports) {
    plan.ports.push_back({port.address, port.prefix_bits, port.next_hop, port.mtu, port.core_addresses, port.address6,
                          port.prefix6_bits, port.next_hop6, port.router_advertisements, port.paths});
    if (port.address.v != 0) plan.addresses.push_back(port.address);
    if (port.address6 != wire::Ip6{}) plan.addresses.push_back(port.address6);
    for (u32 core = 0; port.core_addresses.v != 0 && core < config.gateway.cores.size(); ++core) {
      plan.addresses.push_back(wire::Ip(plan.ports.back().source(core)));
    }
  }
  plan.path_sizes = contract::path_sizes(plan.ports);
  if (plan.dns_ip.v != 0) plan.addresses.push_back(plan.dns_ip);
  if (plan.dns_ip6 != wire::Ip6{}) plan.addresses.push_back(plan.dns_ip6);
  for (const contract::Listener& listener : plan.listeners) plan.addresses.push_back(listener.ip);
  std::ranges::sort(plan.addresses);
  const auto same = std::ranges::unique(plan.addresses);
  plan.addresses.erase(same.begin(), same.end());
}

}  // namespace

std::expected<std::unique_ptr<contract::Plan>, Problems> compile(const config::Config& config, registry::Registry& registry,
                                                                 const CompileContext& context) {
  Problems problems;
  auto plan = std::make_unique<contract::Plan>();
  plan->generation = context.generation;
  fill_services(config, registry, context, *plan, problems);
  auto vips = assign_vips(config, context.previous_vips);
  if (!vips) std::ranges::move(vips.error(), std::back_inserter(problems));
  auto routes = compile_routes(config, context.cores);
  if (!routes) std::ranges::move(routes.error(), std::back_inserter(problems));
  if (!problems.empty()) {
    registry.retire(context.generation);
    return std::unexpected(std::move(problems));
  }
  plan->route_tables = std::move(routes->tables);
  plan->patterns = std::move(routes->patterns);
  plan->actions = std::move(routes->actions);
  plan->substitutions = std::move(routes->substitutions);
  for (u32 i = 0; i < plan->services.size(); ++i) plan->services[i].actions = routes->actions_of[i];
  fill_listeners(config, *vips, *routes, *plan);
  fill_dns(config, *vips, *plan);
  fill_addresses(config, *plan);
  plan->limits = config.gateway.limits;
  plan->limits.connections_per_source = (plan->limits.connections_per_source + context.cores - 1) / context.cores;
  plan->access_pieces = routes->access_pieces;
  fill_access(config, *routes, context.previous, context.cores, *plan, problems);
  if (!problems.empty()) {
    registry.retire(context.generation);
    return std::unexpected(std::move(problems));
  }
  plan->via = config.gateway.name;
  return plan;
}

}  // namespace ringway::compile
