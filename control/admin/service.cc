// GET /service?name=: one service with every setting as in force, under the names and in the units of the configuration
// file, with the listeners that lead to it and its endpoints. A new setting is a line in `settings_of`.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>

#include "control/admin/admin.h"
#include "src/contract/rate.h"
#include "src/wire/text.h"

namespace ringway::admin {

using contract::Plan;
using contract::Service;

namespace {

template <std::size_t n, class E>
const char* word(const char* const (&words)[n], E value) {
  return words[static_cast<std::size_t>(value)];
}

// A field's value as the file writes it.
std::string value_text(const std::vector<contract::ValuePiece>& pieces) {
  std::string out;
  for (const contract::ValuePiece& piece : pieces) {
    if (piece.what == contract::Variable::text) {
      for (const char c : piece.text) out.append(c == '%' ? 2 : 1, c);
      continue;
    }
    out.append("%").append(contract::kVariableNames[static_cast<u32>(piece.what)]);
    if (piece.what == contract::Variable::request_field) out += "(" + piece.text + ")";
    out += "%";
  }
  return out;
}

// The plan keeps what goes and what comes; what does both is set.
Json field_changes(const contract::FieldChanges& changes) {
  Json set = Json::array(), add = Json::array(), remove = changes.dropped;
  for (const contract::FieldAddition& field : changes.added) {
    std::string name = field.name;
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto also_goes = std::find(remove.begin(), remove.end(), Json(name));
    (also_goes == remove.end() ? add : set).push_back({{"name", field.name}, {"value", value_text(field.value)}});
    if (also_goes != remove.end()) remove.erase(also_goes);
  }
  Json out;
  for (const auto& [key, list] : {std::pair("set", set), std::pair("add", add), std::pair("remove", remove)})
    if (!list.empty()) out[key] = list;
  return out;
}

// Whole seconds stay whole.
Json seconds(u64 us) { return us % 1'000'000 == 0 ? Json(us / 1'000'000) : Json(static_cast<double>(us) / 1e6); }

// From `mark` to the first of `ends`; empty when the mark is not there.
std::string between(std::string_view text, std::string_view mark, std::string_view ends) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + mark.size());
  return std::string(rest.substr(0, rest.find_first_of(ends)));
}

Json health_check(const contract::HealthCheck& check) {
  using Kind = contract::HealthCheckKind;
  constexpr const char* kKinds[] = {"none", "tcp", "http", "grpc"};
  constexpr std::size_t kMessageText = 7;  // prefix of five octets, tag, length
  Json out{{"protocol", word(kKinds, check.kind)}};
  if (check.kind == Kind::none) return out;
  // The plan keeps the request as it is sent.
  if (check.kind == Kind::http) out["path"] = between(check.request, " ", " ");
  if (check.kind != Kind::tcp) out["host"] = between(check.request, "\r\nHost: ", "\r");
  if (check.kind == Kind::grpc) out["grpcService"] = check.body.size() > kMessageText ? check.body.substr(kMessageText) : "";
  out["intervalSeconds"] = seconds(check.interval_us);
  out["timeoutSeconds"] = seconds(check.timeout_us);
  out["healthyThreshold"] = check.healthy_threshold;
  out["unhealthyThreshold"] = check.unhealthy_threshold;
  out["jitterPercent"] = check.jitter_percent;
  if (check.kind == Kind::http) {
    out["matcher"] = std::to_string(check.status_min) +
                     (check.status_max == check.status_min ? "" : "-" + std::to_string(check.status_max));
  }
  return out;
}

Json balancing(const Service& service) {
  using contract::BalancePolicy;
  constexpr const char* kPolicies[] = {"maglev", "roundRobin", "leastRequest", "ringHash", "random"};
  constexpr const char* kHashes[] = {"source", "header", "cookie", "path", "query", "request"};
  Json out{{"policy", word(kPolicies, service.policy)}};
  const contract::Pools& pools = service.pools;
  if (contract::picks_by_hash(service.policy)) {
    out["hash"] = {{"on", word(kHashes, service.hash_on)}};
    if (!service.hash_name.empty()) out["hash"]["name"] = service.hash_name;
    if (const std::string& cookie = pools.cookie_attributes; !cookie.empty()) {
      const std::string age = between(cookie, "; Max-Age=", ";");
      out["hash"]["ttlSeconds"] = age.empty() ? 0 : std::stoull(age);
      out["hash"]["path"] = between(cookie, "; Path=", ";");
    }
    out["boundFactor"] = static_cast<double>(service.bound_percent) / 100;
  }
  if (service.policy == BalancePolicy::maglev)
    out["tableSize"] = pools.list.empty() ? service.maglev.size() : pools.list[0].maglev.size();
  if (service.policy == BalancePolicy::ring_hash) {
    out["minRingSize"] = pools.ring_points_min;
    out["maxRingSize"] = pools.ring_points_max;
  }
  if (service.policy == BalancePolicy::least_request) out["choiceCount"] = pools.choices;
  if (pools.slow_start.window_us != 0) {
    out["slowStart"] = {{"seconds", seconds(pools.slow_start.window_us)},
                        {"aggression", pools.slow_start.aggression},
                        {"minWeightPercent", pools.slow_start.min_weight_percent}};
  }
  if (pools.zone.aware)
    out["zoneAware"] = {{"enabled", true}, {"minEndpoints", pools.zone.endpoints_min}, {"forceLocalZone", pools.zone.force_local}};
  if (!pools.subset_header.empty()) {
    Json values = Json::array();
    for (const contract::Subset& subset : pools.subsets) values.push_back(subset.value);
    out["subset"] = {{"header", pools.subset_header}, {"label", pools.subset_label}, {"values", values}, {"fallback", pools.or_any ? "any" : "none"}};
  }
  if (pools.levels > 1) out["priorityLevels"] = pools.levels;
  out["panicPercent"] = service.panic_percent;
  return out;
}

Json outlier_detection(const contract::OutlierDetection& outlier) {
  Json out;
#define RW_OUTLIER_SWITCH(field, key, value) out[key] = outlier.field;
#define RW_OUTLIER_COUNT(field, key, value, least, most) out[key] = outlier.field;
#define RW_OUTLIER_SECONDS(field, key, value, least, most) out[key] = seconds(outlier.field);
#include "src/contract/outlier.def"
#undef RW_OUTLIER_SWITCH
#undef RW_OUTLIER_COUNT
#undef RW_OUTLIER_SECONDS
  return out;
}

Json retry(const contract::RetryPolicy& retry) {
  Json on = Json::array(), statuses = Json::array();
  for (u32 i = 0; i < contract::kRetryOnNames.size(); i++)
    if ((retry.on >> i & 1) != 0) on.push_back(contract::kRetryOnNames[i]);
  for (u16 status = 400; status < 600; status++)
    if (retry.statuses.has(status)) statuses.push_back(status);
  return {{"retries", retry.retries}, {"on", on}, {"statusCodes", statuses}, {"nonIdempotent", retry.non_idempotent},
          {"perTryTimeoutSeconds", seconds(retry.per_try_us)},
          {"backoffMs", {{"base", retry.backoff_base_us / 1000}, {"max", retry.backoff_max_us / 1000}}},
          {"respectRetryAfter", retry.retry_after},
          {"budget", {{"percent", retry.budget_percent}, {"min", retry.budget_min}}},
          {"bodyBytes", retry.body_bytes}, {"attemptCount", retry.attempt_count}};
}

Json circuit_breakers(const contract::CircuitBreakers& breakers) {
  return {{"maxConnections", breakers.connections}, {"maxPendingRequests", breakers.pending}, {"maxRequests", breakers.requests},
          {"maxRetries", breakers.retries}, {"adaptiveConcurrency", {{"enabled", breakers.adaptive}, {"min", breakers.adaptive_min}}}};
}

Json deployment(const Plan& plan, const contract::Deployment& deployment) {
  constexpr const char* kStrategies[] = {"BLUE_GREEN", "CANARY", "LINEAR"};
  const auto minutes = [](u64 us) { return static_cast<double>(us) / 60e6; };
  const double percent = deployment.step * 100.0 / contract::kWholeShare;
  Json out{{"green", plan.services[deployment.green].discovery_name}, {"strategy", word(kStrategies, deployment.strategy)}};
  if (deployment.strategy == contract::ShiftStrategy::canary)
    out["canaryConfiguration"] = {{"canaryPercent", percent}, {"canaryBakeTimeInMinutes", minutes(deployment.step_bake_us)}};
  if (deployment.strategy == contract::ShiftStrategy::linear)
    out["linearConfiguration"] = {{"stepPercent", percent}, {"stepBakeTimeInMinutes", minutes(deployment.step_bake_us)}};
  out["bakeTimeInMinutes"] = minutes(deployment.bake_us);
  out["start"] = deployment.starts_itself ? "auto" : "manual";
  out["testTraffic"] = {{"header", deployment.test_header}};
  if (!deployment.test_value.empty()) out["testTraffic"]["value"] = deployment.test_value;
  out["rollback"] = {{"errorPercent", deployment.error_percent}, {"latencyP99Ms", deployment.latency_p99_us / 1000},
                     {"minimumRequests", deployment.least_requests}};
  return out;
}

Json access(const contract::Admission& admission) {
  return {{"default", admission.allow ? "allow" : "deny"}, {"rules", admission.rule_texts}};
}

Json rate(const contract::RateLimiter& limiter) {
  const contract::RateLimit& limit = limiter.limit();
  const double per_second = 1e6 * (1u << contract::kRateTimeBits) / static_cast<double>(limit.cost);
  return {{"requestsPerSecond", std::round(per_second * 1000) / 1000},
          {"burst", limit.depth / limit.cost + limiter.cores() * (limit.batch - 1)}};
}

Json settings_of(const Plan& plan, const Service& service) {
  constexpr const char* kProtocols[] = {"tcp", "http", "http2", "grpc"};
  constexpr const char* kProxies[] = {"off", "v1", "v2", "v2-crc32c"};
  Json out;
  out["portName"] = service.port_name;
  out["discoveryName"] = service.discovery_name;
  out["appProtocol"] = word(kProtocols, service.app_protocol);
  out["timeout"] = {{"perRequestTimeoutSeconds", seconds(service.timeouts.per_request_us)},
                    {"idleTimeoutSeconds", seconds(service.timeouts.idle_us)}};
  out["connectTimeoutSeconds"] = seconds(service.timeouts.connect_us);
  out["healthCheck"] = health_check(service.health_check);
  out["outlierDetection"] = outlier_detection(service.outlier);
  out["balancing"] = balancing(service);
  out["retry"] = retry(service.retry);
  out["circuitBreakers"] = circuit_breakers(service.breakers);
  if (service.deployment.green != kNone32) out["deployment"] = deployment(plan, service.deployment);
  if (service.admission != kNone32) {
    const contract::Admission& admission = plan.admissions[service.admission];
    out["access"] = access(admission);
    if (admission.rate != nullptr) out["rateLimit"] = rate(*admission.rate);
    if (admission.rate_per_caller != nullptr) out["rateLimit"]["perCaller"] = rate(*admission.rate_per_caller);
  }
  if (service.app_protocol == contract::AppProtocol::tcp) out["proxyProtocol"] = word(kProxies, service.proxy_protocol);
  out["drainSeconds"] = seconds(service.drain_us);
  if (service.actions != kNone32) {
    const contract::Actions& actions = plan.actions[service.actions];
    if (!actions.request.empty()) out["requestHeaders"] = field_changes(actions.request);
    if (!actions.response.empty()) out["responseHeaders"] = field_changes(actions.response);
  }
  return out;
}

// A listener leads to a service by default, and by each of its routes that has it among the backends.
Json listeners_of(const Plan& plan, u32 service) {
  Json out = Json::array();
  for (const contract::Listener& l : plan.listeners) {
    Json routes = Json::array();
    if (l.route_table != kNone32)
      for (const contract::Route& route : plan.route_tables[l.route_table].routes)
        for (const contract::Backend& backend : route.backends)
          if (backend.service == service) routes.push_back({{"route", route.name}, {"weight", backend.weight}});
    if (l.service != service && routes.empty()) continue;
    out.push_back({{"name", l.name}, {"address", to_string(l.ip, l.port)}, {"default", l.service == service}, {"routes", routes}});
    if (l.proxies.empty()) continue;
    Json& from = out.back()["acceptProxyProtocol"]["from"];
    for (const wire::Ip6Prefix& front_end : l.proxies) from.push_back(to_string(front_end));
  }
  return out;
}

}  // namespace

Json Admin::service(const std::string& name) const {
  const auto plan = s_.plan();
  for (u32 i = 0; plan != nullptr && i < plan->services.size(); i++) {
    const Service& service = plan->services[i];
    if (service.discovery_name != name) continue;
    return {{"service", name}, {"plan_generation", plan->generation}, {"settings", settings_of(*plan, service)},
            {"listeners", listeners_of(*plan, i)}, {"numbers", numbers_of(*plan, service)}, {"endpoints", endpoints_of(*plan, service)}};
  }
  return {{"error", "there is no service " + name}};
}

}  // namespace ringway::admin
