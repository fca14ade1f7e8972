// The `services` section: the ECS API's ServiceConnectService with Ringway's keys beside it. See sections.h.
//
// Ranges and character sets are those of the ECS API model (portName, discoveryName, clientAliases, timeout); defaults of
// the timeouts are ECS's: 15 s a request, 300 s idle for HTTP and 3600 s for TCP, 0 for off.

#include <algorithm>
#include <charconv>
#include <limits>

#include "control/config/load.h"
#include "control/config/sections.h"
#include "src/wire/text.h"

namespace ringway::config {
namespace {

constexpr i64 kEcsDurationMax = 2'147'483'647;

bool valid_label(std::string_view text, std::size_t most) {
  return !text.empty() && text.size() <= most && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

void read_aliases(Reader& reader, const Map& map, std::string_view namespace_name, ServiceConfig& out) {
  for (const Value& value : map.list("clientAliases", 0, 16)) {
    ClientAlias alias;
    const Map inner(reader, value, keys::kAlias);
    alias.mark = value.mark;
    alias.dns_name = out.discovery_name;
    if (!namespace_name.empty()) alias.dns_name += "." + std::string(namespace_name);
    if (const auto at = inner.string("dnsName", alias.dns_name); at && !valid_dns_name(alias.dns_name)) {
      reader.problem(*at, "dnsName: must be 1 to 127 characters of a-z, 0-9, '_', '-' and '.', in labels of 1 to 63");
      alias.dns_name.clear();
    }
    inner.integer("port", alias.port, 1, 65'535);
    wire::Ip4 vip;
    if (inner.ip4("vip", vip)) alias.vip = vip;
    wire::Ip6 vip6;
    if (inner.ip6("vip6", vip6)) alias.vip6 = vip6;
    alias.proxies = read_proxies(reader, inner, keys::kAliasProxy);
    out.client_aliases.push_back(std::move(alias));
  }
}

void read_timeouts(Reader& reader, const Map& map, ServiceConfig& out) {
  const bool tcp = out.app_protocol == contract::AppProtocol::tcp;
  if (tcp) {
    out.timeouts.per_request_us = 0;
    out.timeouts.idle_us = 3'600'000'000;
  }
  if (const auto timeout = map.get("timeout")) {
    const Map inner(reader, *timeout, keys::kTimeout);
    u64 seconds = 0;
    if (const auto at = inner.integer("perRequestTimeoutSeconds", seconds, 0, kEcsDurationMax)) {
      out.timeouts.per_request_us = seconds * 1'000'000;
      if (tcp) reader.problem(*at, "perRequestTimeoutSeconds: not for TCP: give the service an appProtocol");
    }
    if (const auto at = inner.integer("idleTimeoutSeconds", seconds, 0, kEcsDurationMax)) {
      out.timeouts.idle_us = seconds * 1'000'000;
      if (seconds != 0 && out.timeouts.idle_us < out.timeouts.per_request_us) {
        reader.warning(*at, "idleTimeoutSeconds: shorter than perRequestTimeoutSeconds, so a silent request ends here first");
      }
    }
  }
  map.seconds("connectTimeoutSeconds", out.timeouts.connect_us, 0.001, 3600);
}

void read_endpoints(Reader& reader, const Map& map, ServiceConfig& out) {
  for (const Value& value : map.list("endpoints", 0, contract::kEndpointsMax)) {
    EndpointConfig endpoint;
    const Map inner(reader, value, keys::kEndpoint);
    endpoint.mark = value.mark;
    if (const auto at = inner.ip("address", endpoint.ip)) endpoint.mark = *at;
    inner.integer("port", endpoint.port, 1, 65'535);
    inner.integer("weight", endpoint.weight, 1, 65'535);
    if (const auto at = inner.string("zone", endpoint.zone); at && (endpoint.zone.size() > 64 || !printable(endpoint.zone))) {
      reader.problem(*at, "zone: must be at most 64 printable characters without blanks");
    }
    read_place(reader, inner, endpoint);
    if (endpoint.ip.unset() || endpoint.port == 0) continue;
    const auto same = [&](const EndpointConfig& e) { return e.ip == endpoint.ip && e.port == endpoint.port; };
    if (std::ranges::any_of(out.endpoints, same)) {
      reader.problem(endpoint.mark, "endpoint " + to_string(endpoint.ip, endpoint.port) + " is listed twice");
      continue;
    }
    out.endpoints.push_back(std::move(endpoint));
  }
  if (out.endpoints.empty() && map.valid()) {
    reader.warning(out.mark, "service " + out.discovery_name + " has no endpoint: its requests are answered 503");
  }
}

// "200" or "200-299".
void read_matcher(Reader& reader, const Map& map, HealthCheckConfig& out) {
  const auto value = map.get("matcher");
  if (!value) return;
  const auto text = read_string(reader, *value);
  if (!text) return;
  const auto status = [](std::string_view digits) -> u16 {
    u16 read = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), read);
    return error == std::errc{} && end == digits.data() + digits.size() && digits.size() == 3 ? read : u16{0};
  };
  const std::size_t dash = text->find('-');
  const std::string_view all = *text;
  const u16 least = status(all.substr(0, dash));
  const u16 most = dash == std::string::npos ? least : status(all.substr(dash + 1));
  if (least < 200 || most > 599 || least > most) {
    reader.problem(value->mark, "matcher: must be a status or a range of statuses from 200 to 599, such as \"200-299\"");
    return;
  }
  out.status_min = least;
  out.status_max = most;
}

void read_health(Reader& reader, const Map& map, HealthCheckConfig& out) {
  static constexpr std::pair<std::string_view, contract::HealthCheckKind> kKinds[] = {
      {"http", contract::HealthCheckKind::http}, {"grpc", contract::HealthCheckKind::grpc}, {"tcp", contract::HealthCheckKind::tcp}, {"none", contract::HealthCheckKind::none}};
  const auto value = map.get("healthCheck");
  if (!value) return;
  const Map inner(reader, *value, keys::kHealth);
  inner.choice("protocol", out.kind, kKinds);
  if (const auto at = inner.string("path", out.path)) {
    if (!out.path.starts_with('/') || out.path.size() > 1024 || !printable(out.path)) {
      reader.problem(*at, "path: must begin with '/' and be at most 1024 printable characters without blanks");
    }
  }
  if (const auto at = inner.string("host", out.host); at && (out.host.size() > 255 || out.host.empty() || !printable(out.host))) {
    reader.problem(*at, "host: must be 1 to 255 printable characters without blanks");
  }
  if (const auto at = inner.string("grpcService", out.grpc_service); at && (out.grpc_service.size() > 120 || !printable(out.grpc_service))) {
    reader.problem(*at, "grpcService: must be at most 120 printable characters without blanks");
  }
  inner.seconds("intervalSeconds", out.interval_us, 0.01, 3600);
  inner.seconds("timeoutSeconds", out.timeout_us, 0.01, 3600);
  inner.integer("healthyThreshold", out.healthy_threshold, 1, 100);
  inner.integer("unhealthyThreshold", out.unhealthy_threshold, 1, 100);
  inner.integer("jitterPercent", out.jitter_percent, 0, 100);
  read_matcher(reader, inner, out);
  for (const char* key : {"path", "matcher", "host", "grpcService"}) {
    const auto extra = inner.get(key);
    const bool grpc = out.kind == contract::HealthCheckKind::grpc;
    const bool http = out.kind == contract::HealthCheckKind::http;
    const std::string_view named = key;
    if (extra && !(named == "host" ? http || grpc : named == "grpcService" ? grpc : http)) {
      reader.warning(extra->mark, std::string(key) + ": has no effect with this protocol");
    }
  }
  if (out.timeout_us > out.interval_us && inner.valid()) {
    reader.warning(value->mark, "healthCheck: timeoutSeconds is longer than intervalSeconds");
  }
}

ServiceConfig read_service(Reader& reader, const Value& value, std::string_view namespace_name) {
  using contract::AppProtocol;
  static constexpr std::pair<std::string_view, AppProtocol> kProtocols[] = {
      {"http", AppProtocol::http}, {"http2", AppProtocol::http2}, {"grpc", AppProtocol::grpc}};
  ServiceConfig out;
  const Map map(reader, value, keys::kService);
  out.mark = value.mark;
  if (const auto at = map.string("portName", out.port_name)) {
    out.discovery_name = out.port_name;
    if (!valid_label(out.port_name, 64)) {
      reader.problem(*at, "portName: must be 1 to 64 characters of a-z, 0-9, '_' and '-'");
      out.discovery_name.clear();
    }
  }
  if (const auto at = map.string("discoveryName", out.discovery_name)) {
    out.mark = *at;
    if (!valid_label(out.discovery_name, 64) || out.discovery_name[0] == '-') {
      reader.problem(*at, "discoveryName: must be 1 to 64 characters of a-z, 0-9, '_' and '-', and not begin with '-'");
      out.discovery_name.clear();
    }
  }
  map.choice("appProtocol", out.app_protocol, kProtocols);
  read_aliases(reader, map, namespace_name, out);
  read_timeouts(reader, map, out);
  read_endpoints(reader, map, out);
  read_health(reader, map, out.health_check);
  read_outlier(reader, map, out.outlier);
  read_balancing(reader, map, out);
  read_proxy_protocol(reader, map, out);
  read_resilience(reader, map, out);
  read_deployment(reader, map, out);
  map.seconds("drainSeconds", out.drain_us, 0, 3600);
  if (const auto access = map.get("access")) read_access(reader, *access, out.access);
  if (const auto limit = map.get("rateLimit")) read_rate_limit(reader, *limit, out.rate_limit);
  read_field_changes(reader, map, keys::kServiceRequest, out.request);
  read_field_changes(reader, map, keys::kServiceResponse, out.response);
  for (const char* key : {"requestHeaders", "responseHeaders"}) {
    const auto extra = map.get(key);
    if (extra && out.app_protocol == AppProtocol::tcp) {
      reader.problem(extra->mark, std::string(key) + ": not for TCP: give the service an appProtocol");
    }
  }
  return out;
}

}  // namespace

void read_services(Reader& reader, const Map& root, std::string_view namespace_name, std::vector<ServiceConfig>& out) {
  for (const Value& value : root.list("services", 0, contract::kServicesMax)) {
    out.push_back(read_service(reader, value, namespace_name));
  }
}

}  // namespace ringway::config
