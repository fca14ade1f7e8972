// Who may call: `callers`, services[].access, services[].rateLimit, gateway.ingress. See sections.h. References to callers,
// services and listeners are left by name; `check_access` looks at them.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>

#include "control/config/sections.h"

namespace ringway::config {
namespace {

constexpr std::size_t kNamesMax = 1024;
constexpr double kRateMax = 10'000'000;
constexpr double kRateMin = 0.001;
constexpr u32 kRateBurstMax = 10'000'000;

std::vector<Network> read_networks(Reader& reader, const Map& map, std::size_t least) {
  std::vector<Network> out;
  for (const Value& value : map.list("cidrs", least, contract::kNetworksMax)) {
    if (const auto prefix = read_network(reader, value)) out.push_back({value.mark, *prefix});
  }
  return out;
}

// A list that somebody left empty, or a template did: it asks nothing, which is more than nobody.
void warn_empty(Reader& reader, const Map& map, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto value = map.get(key);
    if (value && value->node.IsSequence() && value->node.size() == 0) {
      reader.warning(value->mark, std::string(key) + ": an empty list asks nothing, so the rule holds for all of them");
    }
  }
}

std::vector<CallerRef> read_names(Reader& reader, const Map& map, std::string_view key) {
  std::vector<CallerRef> out;
  for (const Value& value : map.list(key, 0, kNamesMax)) {
    if (auto name = read_string(reader, value)) out.push_back({value.mark, std::move(*name)});
  }
  return out;
}

void read_action(const Map& map, std::string_view key, bool& allow) {
  static constexpr std::pair<std::string_view, bool> kActions[] = {{"allow", true}, {"deny", false}};
  map.choice(key, allow, kActions);
}

AccessRuleConfig read_rule(Reader& reader, const Value& value) {
  AccessRuleConfig rule;
  const Map map(reader, value, keys::kAccessRule);
  rule.mark = value.mark;
  read_action(map, "action", rule.allow);
  rule.callers = read_names(reader, map, "callers");
  rule.networks = read_networks(reader, map, 0);
  for (const Value& one : map.list("methods", 0, 64)) {
    auto method = read_string(reader, one);
    if (!method) continue;
    if (method->size() > contract::kMethodBytesMax || !valid_token(*method)) {
      reader.problem(one.mark, one.name + ": must be a token of 1 to 32 characters");
    } else if (std::ranges::any_of(*method, [](char c) { return c >= 'a' && c <= 'z'; })) {
      reader.warning(one.mark, one.name + ": methods are case-sensitive, and the usual ones are written in capitals");
    }
    rule.methods.push_back(std::move(*method));
  }
  warn_empty(reader, map, {"callers", "cidrs", "methods", "paths"});
  for (const Value& path : map.list("paths", 0, 256)) rule.paths.push_back(read_path(reader, path, keys::kAccessPath));
  return rule;
}

// The burst is what a second brings, unless it is said.
std::optional<RateConfig> read_rate(Reader& reader, const Map& map) {
  RateConfig rate;
  const auto at = map.number("requestsPerSecond", rate.per_second, kRateMin, kRateMax);
  rate.burst = std::max(1u, static_cast<u32>(std::ceil(std::min(rate.per_second, double{kRateBurstMax}))));
  const auto burst = map.integer("burst", rate.burst, 1, kRateBurstMax);
  if (at) return rate;
  if (burst && !map.get("requestsPerSecond")) reader.problem(*burst, "burst: there is no requestsPerSecond beside it");
  return std::nullopt;
}

// 80, or "8000-8100".
std::optional<PortRange> read_ports(Reader& reader, const Value& value) {
  PortRange out;
  if (value.node.IsScalar() && scalar_type(value.node) != ScalarType::string) {
    const auto port = read_integer(reader, value, 1, 65'535);
    if (!port) return std::nullopt;
    out.first = out.last = static_cast<u16>(*port);
    return out;
  }
  const auto text = read_string(reader, value);
  if (!text) return std::nullopt;
  const char* const end = text->data() + text->size();
  const auto [dash, bad_first] = std::from_chars(text->data(), end, out.first);
  const bool has_dash = bad_first == std::errc{} && dash != end && *dash == '-';
  const auto [stop, bad_last] = std::from_chars(has_dash ? dash + 1 : end, end, out.last);
  if (!has_dash || bad_last != std::errc{} || stop != end || out.first == 0 || out.first > out.last) {
    reader.problem(value.mark, value.name + ": must be a port or a range such as \"8000-8100\"");
    return std::nullopt;
  }
  return out;
}

}  // namespace

void read_callers(Reader& reader, const Map& root, std::vector<CallerConfig>& out) {
  for (const Value& value : root.list("callers", 0, contract::kCallersMax)) {
    CallerConfig caller;
    const Map map(reader, value, keys::kCaller);
    caller.mark = value.mark;
    if (const auto at = map.string("name", caller.name)) {
      caller.mark = *at;
      if (caller.name.size() > 64 || !valid_token(caller.name)) {
        reader.problem(*at, "name: must be a token of 1 to 64 characters");
        caller.name.clear();
      }
    }
    caller.networks = read_networks(reader, map, 1);
    out.push_back(std::move(caller));
  }
}

void read_access(Reader& reader, const Value& value, AccessConfig& out) {
  const Map map(reader, value, keys::kAccess);
  out.mark = value.mark;
  read_action(map, "default", out.allow);
  for (const Value& rule : map.list("rules", 0, contract::kAccessRulesMax)) out.rules.push_back(read_rule(reader, rule));
}

void read_rate_limit(Reader& reader, const Value& value, RateLimitConfig& out) {
  const Map map(reader, value, keys::kRateLimit);
  out.mark = value.mark;
  out.all = read_rate(reader, map);
  if (const auto each = map.get("perCaller")) out.per_caller = read_rate(reader, Map(reader, *each, keys::kPerCaller));
  if (map.valid() && !map.get("requestsPerSecond") && !map.get("perCaller")) {
    reader.problem(value.mark, "rateLimit: neither requestsPerSecond nor perCaller is given");
  }
}

void read_ingress(Reader& reader, const Value& value, IngressConfig& out) {
  const Map map(reader, value, keys::kIngress);
  out.mark = value.mark;
  read_action(map, "default", out.allow);
  for (const Value& one : map.list("rules", 0, contract::kIngressRulesMax)) {
    IngressRuleConfig rule;
    const Map inner(reader, one, keys::kIngressRule);
    rule.mark = one.mark;
    read_action(inner, "action", rule.allow);
    rule.networks = read_networks(reader, inner, 0);
    for (const Value& port : inner.list("ports", 0, kNamesMax)) {
      if (const auto range = read_ports(reader, port)) rule.ports.push_back(*range);
    }
    rule.listeners = read_names(reader, inner, "listeners");
    warn_empty(reader, inner, {"cidrs", "ports", "listeners"});
    if (!rule.ports.empty() && !rule.listeners.empty()) {
      reader.problem(one.mark, "ingress rule: ports and listeners: only one of the two may be given");
    }
    out.rules.push_back(std::move(rule));
  }
}

}  // namespace ringway::config
