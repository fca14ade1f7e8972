#include "control/admin/admin.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <set>

#include "control/trace/document.h"
#include "src/wire/text.h"

namespace ringway::admin {

using contract::Counter;
using contract::CoreStats;
using contract::Phase;
using contract::Plan;
using contract::Regime;

namespace {

constexpr const char* kRegimeNames[] = {"idle", "working", "back_pressured"};
constexpr const char* kPhaseNames[] = {"housekeeping", "before", "after"};
constexpr const char* kClassNames[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

Response json(const Json& document, u32 status = 200) { return {.status = status, .body = document.dump(2) + "\n"}; }
Response sentence(u32 status, const std::string& text) { return json({{"error", text}}, status); }

template <class Get>
u64 sum(const std::vector<const CoreStats*>& cores, Get get) {
  u64 total = 0;
  for (const CoreStats* core : cores) total += get(*core);
  return total;
}

template <class Get>
Json classes(const std::vector<const CoreStats*>& cores, Get get) {
  Json out = Json::object();
  for (u32 c = 0; c < 6; c++) out[kClassNames[c]] = sum(cores, [&](const CoreStats& s) { return get(s)[c].get(); });
  return out;
}

// "2026-01-02T03:04:05Z"
std::string utc_text(u64 unix_s) {
  const time_t seconds = static_cast<time_t>(unix_s);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char out[32];
  std::strftime(out, sizeof(out), "%FT%TZ", &parts);
  return out;
}

Json percentiles(const HistSnapshot& h) {
  return {{"count", h.count()}, {"mean", h.mean()}, {"p50", h.percentile(50)}, {"p90", h.percentile(90)},
          {"p99", h.percentile(99)}, {"p999", h.percentile(99.9)}, {"max", h.max()}};
}

HistSnapshot latency(const std::vector<const CoreStats*>& cores, u32 service_slot) {
  HistSnapshot out;
  for (const CoreStats* core : cores) out.add(core->services[service_slot].latency_us);
  return out;
}

// What is under way against what may be; null where there is no limit.
Json breakers(const std::vector<const CoreStats*>& cores, const contract::Service& service) {
  const auto number = [&](auto get) { return sum(cores, [&](const CoreStats& s) { return get(s.services[service.slot]).get(); }); };
  const auto against = [](u64 now, u64 limit) {
    return Json{{"now", now}, {"limit", limit == 0 ? Json(nullptr) : Json(limit)},
                {"remaining", limit == 0 ? Json(nullptr) : Json(limit - std::min(now, limit))}};
  };
  const contract::CircuitBreakers& limits = service.breakers;
  return {{"connections", against(number([](const auto& s) -> auto& { return s.upstreams; }), limits.connections)},
          {"pending", against(number([](const auto& s) -> auto& { return s.pending; }), limits.pending)},
          {"requests", against(number([](const auto& s) -> auto& { return s.active; }), limits.requests)},
          {"retries", against(number([](const auto& s) -> auto& { return s.retrying; }), limits.retries)},
          {"concurrency", limits.adaptive ? Json(number([](const auto& s) -> auto& { return s.concurrency; })) : Json(nullptr)},
          {"retries_denied", number([](const auto& s) -> auto& { return s.retries_denied; })}};
}

const char* protocol_name(contract::AppProtocol p) {
  constexpr const char* kNames[] = {"tcp", "http", "http2", "grpc"};
  return kNames[static_cast<u32>(p)];
}

}  // namespace

Json Admin::status() const {
  Json out = s_.status ? s_.status() : Json::object();
  const auto plan = s_.plan();
  out["plan_generation"] = plan == nullptr ? 0u : plan->generation;
  out["ready"] = s_.ready ? s_.ready() : false;
  out["services"] = plan == nullptr ? 0u : plan->services.size();
  u64 healthy = 0;
  if (plan != nullptr)
    for (const auto& e : plan->endpoints) healthy += s_.board->may_pick(e.slot) ? 1u : 0u;
  out["endpoints"] = {{"all", plan == nullptr ? 0u : plan->endpoints.size()}, {"healthy", healthy}};
  Json cores = Json::array();
  for (u32 i = 0; i < s_.cores.size(); i++) {
    const contract::CorePage& page = s_.cores[i]->page;
    u64 all = 0;
    u64 by_regime[static_cast<u32>(Regime::count_)] = {};
    for (u32 r = 0; r < static_cast<u32>(Regime::count_); r++)
      for (const contract::Cell& cell : page.ticks[r]) {
        by_regime[r] += cell.get();
        all += cell.get();
      }
    const double busy = all == 0 ? 0.0 : 100.0 * static_cast<double>(all - by_regime[0]) / static_cast<double>(all);
    cores.push_back({{"core", i}, {"plan_generation", page.plan_generation.get()}, {"busy_percent", busy},
                     {"connections", page.connections_active.get()}, {"mbufs_in_use", page.mbufs_in_use.get()},
                     {"requests", page.counters[static_cast<u32>(Counter::requests)].get()}});
  }
  out["cores"] = cores;
  if (s_.recording) out["recording"] = trace::names_of(s_.recording());
  return out;
}

// What the cores counted for a service, and how its endpoints are.
Json Admin::numbers_of(const Plan& plan, const contract::Service& service) const {
  const auto number = [&](auto get) {
    return sum(s_.cores, [&](const CoreStats& s) { return get(s.services[service.slot]).get(); });
  };
  u32 healthy = 0, ejected = 0;
  u64 ejections = 0;
  for (u32 e = 0; e < service.endpoint_count; e++) {
    const contract::EndpointSlot slot = plan.endpoints[service.first_endpoint + e].slot;
    healthy += s_.board->may_pick(slot) ? 1u : 0u;
    ejected += (s_.board->word(slot) & contract::kHealthEjected) != 0 ? 1u : 0u;
    ejections += s_.health ? s_.health(slot).ejection.times : 0u;
  }
  const Json refused{{"denied", number([](const auto& s) -> auto& { return s.denied; })},
                     {"limited", number([](const auto& s) -> auto& { return s.limited; })},
                     {"overflows", number([](const auto& s) -> auto& { return s.overflows; })},
                     {"no_endpoint", number([](const auto& s) -> auto& { return s.no_endpoint; })},
                     {"faulted", number([](const auto& s) -> auto& { return s.faulted; })}};
  return {{"endpoints", service.endpoint_count}, {"healthy", healthy}, {"ejected", ejected}, {"ejections", ejections},
          {"requests", number([](const auto& s) -> auto& { return s.requests; })},
          {"active", number([](const auto& s) -> auto& { return s.active; })},
          {"responses", classes(s_.cores, [&](const CoreStats& s) -> auto& { return s.services[service.slot].responses; })},
          {"refused", refused},
          {"retries", number([](const auto& s) -> auto& { return s.retries; })},
          {"timeouts", number([](const auto& s) -> auto& { return s.timeouts; })},
          {"breakers", breakers(s_.cores, service)},
          {"bytes_in", number([](const auto& s) -> auto& { return s.bytes_in; })},
          {"bytes_out", number([](const auto& s) -> auto& { return s.bytes_out; })},
          {"latency_us", percentiles(latency(s_.cores, service.slot))}};
}

Json Admin::services() const {
  Json out = Json::array();
  const auto plan = s_.plan();
  if (plan == nullptr) return out;
  for (u32 i = 0; i < plan->services.size(); i++) {
    const contract::Service& service = plan->services[i];
    Json listeners = Json::array();
    for (const auto& l : plan->listeners)
      if (l.service == i) listeners.push_back({{"name", l.name}, {"address", to_string(l.ip)}, {"port", l.port}});
    Json& row = out.emplace_back(Json{{"service", service.discovery_name}, {"port_name", service.port_name},
                                      {"protocol", protocol_name(service.app_protocol)}, {"listeners", listeners}});
    row.update(numbers_of(*plan, service));
  }
  return out;
}

std::string Admin::wall_clock(TimeUs at_us) const {
  const TimeUs now_us = s_.now_us ? s_.now_us() : 0;
  const u64 unix_us = s_.unix_us ? s_.unix_us() : 0;
  return utc_text((unix_us + at_us - now_us) / 1'000'000);
}

Json Admin::endpoint(const Plan& plan, const contract::Service& service, u32 index) const {
  const contract::Endpoint& endpoint = plan.endpoints[index];
  const auto number = [&](auto get) {
    return sum(s_.cores, [&](const CoreStats& s) { return get(s.endpoints[endpoint.slot]).get(); });
  };
  const health::EndpointReport report = s_.health ? s_.health(endpoint.slot) : health::EndpointReport{};
  Json events = Json::object();
  for (u32 o = 0; o < contract::kOutcomeCount; o++) events[std::string(contract::kOutcomeNames[o])] = report.events[o];
  return {{"endpoint", endpoint.id}, {"service", service.discovery_name}, {"address", to_string(endpoint.ip)},
          {"port", endpoint.port}, {"zone", endpoint.zone}, {"weight", endpoint.weight}, {"priority", endpoint.priority},
          {"labels", index < plan.endpoint_labels.size() ? Json(plan.endpoint_labels[index]) : Json::object()},
          {"slot", endpoint.slot}, {"health", contract::health_words(s_.board->word(endpoint.slot))},
          {"checks", report.checks}, {"check_failures", report.failures},
          {"last_check", report.checked ? Json(contract::kOutcomeNames[static_cast<u32>(report.last)]) : Json(nullptr)},
          {"last_status", report.last_status}, {"last_rtt_us", report.last_rtt_us},
          {"requests", number([](const auto& s) -> auto& { return s.requests; })},
          {"active", number([](const auto& s) -> auto& { return s.active; })},
          {"responses", classes(s_.cores, [&](const CoreStats& s) -> auto& { return s.endpoints[endpoint.slot].responses; })},
          {"connections", number([](const auto& s) -> auto& { return s.connections; })},
          {"connect_failures", number([](const auto& s) -> auto& { return s.connect_failures; })},
          {"resets", number([](const auto& s) -> auto& { return s.resets; })}, {"events", events},
          {"ejections", report.ejection.times},
          {"ejection_cause", report.ejection.times == 0 ? Json(nullptr) : Json(health::kEjectionCauseNames[static_cast<u32>(report.ejection.cause)])},
          {"ejected_until", report.ejection.out ? Json(wall_clock(report.ejection.until_us)) : Json(nullptr)}};
}

Json Admin::endpoints_of(const Plan& plan, const contract::Service& service) const {
  Json out = Json::array();
  for (u32 e = 0; e < service.endpoint_count; e++) out.push_back(endpoint(plan, service, service.first_endpoint + e));
  return out;
}

Json Admin::endpoints() const {
  Json out = Json::array();
  const auto plan = s_.plan();
  if (plan == nullptr) return out;
  for (const contract::Service& service : plan->services)
    for (Json& row : endpoints_of(*plan, service)) out.push_back(std::move(row));
  return out;
}

Json Admin::connections() const {
  Json rows = Json::array();
  u64 total = 0;
  const auto plan = s_.plan();
  for (u32 core = 0; core < s_.connections.size(); core++) {
    total += s_.connections[core]->total();
    for (const contract::ConnectionRow& row : s_.connections[core]->read()) {
      Json service, endpoint, caller;
      if (plan != nullptr) {
        if (const u32 who = plan->callers.caller_of(row.client); who != kNone32) caller = plan->callers.names[who];
        for (const auto& s : plan->services)
          if (s.slot == row.service) service = s.discovery_name;
        for (const auto& e : plan->endpoints)
          if (e.slot == row.endpoint) endpoint = e.id;
      }
      rows.push_back({{"core", core}, {"client", to_string(row.client, row.client_port)},
                      {"local", to_string(row.local, row.local_port)}, {"caller", caller},
                      {"stage", contract::kConnectionStageNames[static_cast<u32>(row.stage)]}, {"service", service},
                      {"endpoint", endpoint}, {"requests", row.requests}, {"bytes_in", row.bytes_in},
                      {"bytes_out", row.bytes_out}, {"age_ms", row.age_us / 1000}, {"idle_ms", row.idle_us / 1000}});
    }
  }
  const auto shown = rows.size();
  return {{"total", total}, {"shown", shown}, {"connections", std::move(rows)}};
}

Json Admin::counters() const {
  Json counters = Json::object();
  for (u32 i = 0; i < contract::kCounterCount; i++)
    counters[std::string(contract::kCounterTexts[i].name)] =
        sum(s_.cores, [&](const CoreStats& s) { return s.page.counters[i].get(); });
  Json verdicts = Json::object();
  for (u32 i = 1; i < contract::kVerdictCount; i++)
    verdicts[std::string(contract::kVerdictNames[i])] =
        sum(s_.cores, [&](const CoreStats& s) { return s.page.verdicts[i].get(); });
  Json cores = Json::array();
  for (u32 c = 0; c < s_.cores.size(); c++) {
    const contract::CorePage& page = s_.cores[c]->page;
    Json ticks = Json::object();
    for (u32 r = 0; r < static_cast<u32>(Regime::count_); r++)
      for (u32 p = 0; p < static_cast<u32>(Phase::count_); p++)
        ticks[kRegimeNames[r]][kPhaseNames[p]] = page.ticks[r][p].get();
    cores.push_back({{"core", c}, {"polls", page.polls.get()}, {"ticks", ticks},
                     {"connections_active", page.connections_active.get()},
                     {"sessions_active", page.sessions_active.get()}, {"upstream_idle", page.upstream_idle.get()},
                     {"mbufs_in_use", page.mbufs_in_use.get()}, {"plan_generation", page.plan_generation.get()}});
  }
  Json ports = Json::object();
  if (s_.xstats)
    for (const PortNumbers& port : s_.xstats()) {
      Json& numbers = ports[port.name] = Json::object();
      for (const auto& [name, value] : port.xstats) numbers[name] = value;
    }
  return {{"counters", counters}, {"verdicts", verdicts}, {"tsc_hz", s_.tsc_hz}, {"cores", cores}, {"ports", ports}};
}

Json Admin::histograms() const {
  Json out = Json::object();
  const auto plan = s_.plan();
  if (plan == nullptr) return out;
  for (const contract::Service& service : plan->services) {
    const HistSnapshot h = latency(s_.cores, service.slot);
    Json buckets = Json::array();
    h.for_each_bucket([&](u64 bound, u64 count) { buckets.push_back({bound, count}); });
    Json numbers = percentiles(h);
    numbers["buckets"] = buckets;
    out[service.discovery_name]["latency_us"] = numbers;
  }
  return out;
}

std::string Admin::hosts() const {
  std::string out;
  const auto plan = s_.plan();
  if (plan != nullptr)
    for (const auto& name : plan->dns_names) out += to_string(name.ip) + "\t" + name.name + "\n";
  return out;
}

Json Admin::trace(const trace::Filter& filter) const {
  trace::Names names;
  if (const auto plan = s_.plan()) {
    for (const auto& service : plan->services) names.services[service.slot] = service.discovery_name;
    for (const auto& endpoint : plan->endpoints) names.endpoints[endpoint.slot] = endpoint.id;
  }
  Json out = trace::document_of(trace::collect(*s_.recorded, filter), s_.recorded->cores(), names);
  out["recording"] = trace::names_of(s_.recording());
  return out;
}

Response Admin::answer_trace(const Request& request) const {
  trace::Filter filter;
  for (const auto& [name, value] : request.query) {
    u32 number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || end != value.data() + value.size()) return sentence(400, name + "= wants a number");
    if (name == "conn") filter.conn = number;
    if (name == "core") filter.core = number;
    if (name == "last") filter.last = number;
  }
  return json(trace(filter));
}

Response Admin::answer_record(const Request& request) const {
  const auto at = request.query.find("groups");
  const auto groups = trace::groups_of(at == request.query.end() ? "" : at->second);
  if (!groups) return sentence(400, "groups= knows all, " + trace::names_of(contract::kAllEventGroups));
  s_.record(*groups);
  return json({{"recording", trace::names_of(*groups)}, {"events_per_core", s_.recorded->events()}});
}

Response Admin::answer(const Request& request) const {
  const std::set<std::string> reads{"/status", "/ready", "/services", "/service", "/endpoints", "/connections", "/counters",
                                    "/histograms", "/hosts", "/explain", "/trace", "/shifts"};
  const std::set<std::string> changes{"/reload", "/drain", "/record", "/healthcheck", "/shift"};
  const bool writes = changes.contains(request.path);
  if (!writes && !reads.contains(request.path)) return sentence(404, "there is nothing at " + request.path);
  if (writes ? request.method != "POST" : request.method != "GET" && request.method != "HEAD")
    return sentence(405, request.path + " wants " + (writes ? "POST" : "GET"));

  if (request.path == "/status") return json(status());
  if (request.path == "/services") return json(services());
  if (request.path == "/endpoints") return json(endpoints());
  if (request.path == "/connections") return json(connections());
  if (request.path == "/counters") return json(counters());
  if (request.path == "/histograms") return json(histograms());
  if (request.path == "/trace") return answer_trace(request);
  if (request.path == "/record") return answer_record(request);
  if (request.path == "/shifts") return json(shifts());
  if (request.path == "/shift") return answer_shift(request);
  if (request.path == "/hosts") return {.body = hosts(), .content_type = "text/plain"};
  if (request.path == "/ready") {
    const bool ready = s_.ready();
    return json({{"ready", ready}}, ready ? 200 : 503);
  }
  const auto value = [&](const char* name, const char* otherwise) {
    const auto at = request.query.find(name);
    return at == request.query.end() ? std::string(otherwise) : at->second;
  };
  if (request.path == "/service") {
    const Json out = service(value("name", ""));
    return json(out, out.contains("error") ? 404 : 200);
  }
  if (request.path == "/explain") {
    const std::string url = value("url", "");
    if (url.empty()) return sentence(400, "explain wants url=, for example http://auth-service:4000/validate");
    const Json out = s_.explain({value("method", "GET"), url, value("source", ""), value("fields", "")});
    return json(out, out.contains("error") ? 400 : 200);
  }
  if (request.path == "/reload") {
    const ReloadAnswer out = s_.reload();
    return json({{"applied", out.applied}, {"problems", out.problems}, {"warnings", out.warnings}}, out.applied ? 200 : 409);
  }
  if (request.path == "/healthcheck") {
    const std::string answer = value("answer", "");
    if (answer != "fail" && answer != "ok") return sentence(400, "healthcheck wants answer=fail or answer=ok");
    s_.answer_health(answer == "ok");
    return json({{"healthcheck", answer}});
  }
  const std::string endpoint = value("endpoint", "");
  if (endpoint.empty()) {
    s_.drain();
    return json({{"draining", true}});
  }
  const bool undo = value("undo", "") == "1";
  if (!s_.drain_endpoint(endpoint, undo)) return sentence(404, "no endpoint " + endpoint);
  return json({{"endpoint", endpoint}, {"draining", !undo}});
}

}  // namespace ringway::admin
