// The `listeners` section: shared listeners and their routes, shaped after the Kubernetes Gateway API's HTTPRoute. See
// sections.h. References to services are left by name; `check` resolves them.

#include <algorithm>

#include "control/config/load.h"
#include "control/config/sections.h"

namespace ringway::config {
namespace {

constexpr std::size_t kValueBytesMax = 4096;
constexpr std::size_t kConditionsMax = 16;

void read_host(Reader& reader, const Value& value, RouteConfig& route) {
  const auto text = read_string(reader, value);
  if (!text) return;
  const std::string host = lower_case(*text);
  const std::string_view name = std::string_view(host).substr(host.starts_with("*.") ? 2 : 0);
  if (host.size() > 253 || !valid_dns_name(name)) {
    reader.problem(value.mark, value.name + ": \"" + text->substr(0, 80) + "\" is neither a host name nor \"*.\" and one; no port belongs here" +
                                    (*text == "*" ? ", and without hosts a route is for all of them" : ""));
    return;
  }
  if (std::ranges::find(route.hosts, host) != route.hosts.end()) {
    reader.problem(value.mark, value.name + ": \"" + host + "\" is listed twice");
    return;
  }
  route.hosts.push_back(host);
  route.host_marks.push_back(value.mark);
}

}  // namespace

PathCondition read_path(Reader& reader, const Value& value, const ObjectKeys& keys) {
  static constexpr std::pair<std::string_view, PathMatch> kTypes[] = {
      {"exact", PathMatch::exact}, {"prefix", PathMatch::prefix}, {"regex", PathMatch::regex}};
  PathCondition path;
  const Map map(reader, value, keys);
  map.choice("type", path.type, kTypes);
  path.mark = value.mark;
  if (const auto at = map.string("value", path.value)) {
    path.mark = *at;
    if (path.value.empty() || path.value.size() > kValueBytesMax) {
      reader.problem(*at, "value: must be 1 to 4096 characters");
    } else if (path.type != PathMatch::regex && !path.value.starts_with('/')) {
      reader.problem(*at, "value: a path begins with '/'");
    }
  }
  return path;
}

namespace {

void read_conditions(Reader& reader, const Map& match, std::string_view key, const ObjectKeys& keys,
                     std::vector<ValueCondition>& out) {
  static constexpr std::pair<std::string_view, ValueMatch> kTypes[] = {{"exact", ValueMatch::exact}, {"regex", ValueMatch::regex}};
  const bool header = key == "headers";
  for (const Value& value : match.list(key, 0, kConditionsMax)) {
    ValueCondition condition;
    const Map map(reader, value, keys);
    condition.mark = value.mark;
    const auto name = map.string("name", condition.name);
    if (name && (condition.name.empty() || condition.name.size() > 255 || (header && !valid_token(condition.name)))) {
      reader.problem(*name, header ? "name: must be a token of 1 to 255 characters (RFC 9110 5.6.2)" : "name: must be 1 to 255 characters");
    }
    if (header) condition.name = lower_case(condition.name);
    map.choice("type", condition.type, kTypes);
    if (const auto at = map.string("value", condition.value)) {
      condition.mark = *at;
      if (condition.value.size() > kValueBytesMax) reader.problem(*at, "value: must be at most 4096 characters");
    }
    const auto same = [&](const ValueCondition& c) { return c.name == condition.name; };
    if (name && std::ranges::any_of(out, same)) {
      reader.problem(*name, "name: a second condition on \"" + condition.name + "\" in one match");
    }
    out.push_back(std::move(condition));
  }
}

MatchConfig read_match(Reader& reader, const Value& value) {
  MatchConfig match;
  const Map map(reader, value, keys::kMatch);
  match.mark = value.mark;
  if (const auto path = map.get("path")) match.path = read_path(reader, *path, keys::kPath);
  if (const auto at = map.string("method", match.method); at && (match.method.size() > 32 || !valid_token(match.method))) {
    reader.problem(*at, "method: must be a token of 1 to 32 characters");
  } else if (at && std::ranges::any_of(match.method, [](char c) { return c >= 'a' && c <= 'z'; })) {
    reader.warning(*at, "method: methods are case-sensitive, and the usual ones are written in capitals");
  }
  read_conditions(reader, map, "headers", keys::kHeader, match.headers);
  read_conditions(reader, map, "query", keys::kQuery, match.query);
  return match;
}

void read_backends(Reader& reader, const Map& map, RouteConfig& route) {
  u64 weights = 0;
  if (!map.get("backends")) return;
  for (const Value& value : map.list("backends", 1, 64)) {
    BackendRef backend;
    const Map inner(reader, value, keys::kBackend);
    backend.mark = value.mark;
    if (const auto at = inner.string("service", backend.service_name)) backend.mark = *at;
    inner.integer("weight", backend.weight, 0, 1'000'000);
    weights += backend.weight;
    read_backend_actions(reader, inner, backend);
    route.backends.push_back(std::move(backend));
  }
  if (weights == 0 && !route.backends.empty()) {
    reader.problem(map.get("backends")->mark, "backends: the weights are all zero");
  }
}

RouteConfig read_route(Reader& reader, const Value& value, std::size_t number) {
  RouteConfig route;
  const Map map(reader, value, keys::kRoute);
  route.mark = value.mark;
  route.name = "route-" + std::to_string(number);
  if (const auto at = map.string("name", route.name)) {
    route.mark = *at;
    if (route.name.size() > 64 || !valid_token(route.name)) reader.problem(*at, "name: must be a token of 1 to 64 characters");
  }
  for (const Value& host : map.list("hosts", 0, 64)) read_host(reader, host, route);
  for (const Value& match : map.list("matches", 0, 64)) route.matches.push_back(read_match(reader, match));
  read_backends(reader, map, route);
  read_route_actions(reader, map, route);
  check_prefixes(reader, route);
  return route;
}

ListenerConfig read_listener(Reader& reader, const Value& value) {
  ListenerConfig out;
  const Map map(reader, value, keys::kListener);
  out.mark = value.mark;
  if (const auto at = map.string("name", out.name)) {
    out.mark = *at;
    if (out.name.size() > 64 || !valid_token(out.name)) reader.problem(*at, "name: must be a token of 1 to 64 characters");
  }
  wire::Ip address;
  if (const auto at = map.ip("address", address)) {
    out.address = address;
    out.mark = *at;
  }
  if (const auto at = map.string("dnsName", out.dns_name); at && !valid_dns_name(out.dns_name)) {
    reader.problem(*at, "dnsName: must be 1 to 127 characters of a-z, 0-9, '_', '-' and '.', in labels of 1 to 63");
    out.dns_name.clear();
  }
  map.integer("port", out.port, 1, 65'535);
  if (const auto at = map.string("service", out.service_name)) out.service_mark = *at;
  out.proxies = read_proxies(reader, map, keys::kListenerProxy);
  std::size_t number = 0;
  for (const Value& route : map.list("routes", 0, contract::kRoutesMax)) {
    out.routes.push_back(read_route(reader, route, ++number));
    const auto& name = out.routes.back().name;
    if (std::ranges::count(out.routes, name, &RouteConfig::name) > 1) {
      reader.problem(out.routes.back().mark, "name: a second route \"" + name + "\" in one listener");
    }
  }
  if (out.routes.empty() && map.valid() && !map.get("service")) {
    reader.problem(value.mark, "listener has neither routes nor a service");
  }
  return out;
}

}  // namespace

void read_listeners(Reader& reader, const Map& root, std::vector<ListenerConfig>& out) {
  for (const Value& value : root.list("listeners", 0, contract::kListenersMax)) out.push_back(read_listener(reader, value));
}

}  // namespace ringway::config
