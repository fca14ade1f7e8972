#pragma once
// The parts of load.h's work, one per section of the file: read_* turn YAML into structs and refuse what is wrong on its
// own; `check` refuses what is wrong only beside something else. Used by control/config alone, control threads only.

#include <string_view>

#include "control/config/config.h"
#include "control/config/reader.h"

namespace ringway::config {

// The whole text. Empty when it is right; then `config` is filled.
std::vector<Problem> read(std::string_view text, std::string file, Config& config);

void read_gateway(Reader& reader, const Value& value, GatewayConfig& out);
// `namespace_name` completes the names of aliases without a dnsName.
void read_services(Reader& reader, const Map& root, std::string_view namespace_name, std::vector<ServiceConfig>& out);
void read_balancing(Reader& reader, const Map& map, ServiceConfig& service);
// priority and labels of services[].endpoints[].
void read_place(Reader& reader, const Map& map, EndpointConfig& out);
// Retries and circuit breakers of a service.
void read_resilience(Reader& reader, const Map& map, ServiceConfig& out);
// How a new version of a service is brought in.
void read_deployment(Reader& reader, const Map& map, ServiceConfig& out);
void read_outlier(Reader& reader, const Map& service, contract::OutlierDetection& out);
void read_health_endpoint(Reader& reader, const Map& gateway, HealthEndpointConfig& out);
void read_listeners(Reader& reader, const Map& root, std::vector<ListenerConfig>& out);
void read_callers(Reader& reader, const Map& root, std::vector<CallerConfig>& out);
void read_access(Reader& reader, const Value& value, AccessConfig& out);
void read_rate_limit(Reader& reader, const Value& value, RateLimitConfig& out);
void read_ingress(Reader& reader, const Value& value, IngressConfig& out);
void check(Reader& reader, Config& config);
void check_balancing(Reader& reader, const Config& config);
// `proxyProtocol` of a service; its appProtocol and health check are known.
void read_proxy_protocol(Reader& reader, const Map& map, ServiceConfig& out);
// The networks of `acceptProxyProtocol`; none where it is absent.
std::vector<wire::Ip6Prefix> read_proxies(Reader& reader, const Map& map, const ObjectKeys& keys);
std::string at_line(Mark mark);  // " (line 7)", for messages about two places
void check_routes(Reader& reader, const Config& config);
void check_access(Reader& reader, const Config& config);  // part of it

// A path of a route or an access rule.
PathCondition read_path(Reader& reader, const Value& value, const ObjectKeys& keys);

// What routes, backends and services do to requests and responses (read_actions.cc).
void read_field_changes(Reader& reader, const Map& map, const keys::FieldChangesKeys& keys, FieldChangesConfig& out);
void read_route_actions(Reader& reader, const Map& map, RouteConfig& route);
void read_backend_actions(Reader& reader, const Map& map, BackendRef& backend);
// Changes that only make sense beside the route's matches: a prefix can be replaced only where one matched.
void check_prefixes(Reader& reader, const RouteConfig& route);

// ECS-MODEL clientAliases[].dnsName: 1 to 127 of a-z 0-9 _ . - ; and every label 1 to 63 long, or DNS cannot carry it.
bool valid_dns_name(std::string_view name);
// RFC 9110 5.6.2 token.
bool valid_token(std::string_view text);
std::string lower_case(std::string_view text);
// Visible ASCII, no blank.
bool printable(std::string_view text);

}  // namespace ringway::config
