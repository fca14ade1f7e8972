// Routes beside the rest of the file: what stands behind them, and routes that another one hides. See sections.h.

#include <map>
#include <set>

#include "control/config/sections.h"

namespace ringway::config {
namespace {

// Routes look into requests, and a TCP service has none: all that could be said to one is 426.
void refuse_tcp_behind_routes(Reader& reader, const Config& config, const ListenerConfig& listener) {
  if (listener.routes.empty()) return;
  const auto refuse = [&](u32 service, Mark mark) {
    if (service == kNone32 || config.services[service].app_protocol != contract::AppProtocol::tcp) return;
    reader.problem(mark, "service: \"" + config.services[service].discovery_name +
                             "\" is a TCP service, and a listener with routes speaks HTTP: give the service an appProtocol");
  };
  refuse(listener.service, listener.service_mark);
  for (const RouteConfig& route : listener.routes) {
    for (const BackendRef& backend : route.backends) refuse(backend.service, backend.mark);
  }
}

// All that a rule asks of a request, as one text: two rules with the same text hold for the same requests.
std::string conditions(const std::string& host, const MatchConfig& match) {
  constexpr char kEnd = '\n';  // in no host, method or name
  std::string out = host + kEnd + match.method + kEnd;
  if (match.path) {
    std::string path = match.path->value;
    if (match.path->type == PathMatch::prefix && path.ends_with('/')) path.pop_back();
    if (match.path->type != PathMatch::prefix || !path.empty()) out += std::to_string(static_cast<int>(match.path->type)) + path;
  }
  for (const auto* list : {&match.headers, &match.query}) {
    std::set<std::string> sorted;
    for (const ValueCondition& c : *list) sorted.insert(c.name + kEnd + std::to_string(static_cast<int>(c.type)) + c.value);
    out += kEnd;
    for (const std::string& one : sorted) out += kEnd + one;
  }
  return out;
}

void warn_hidden_routes(Reader& reader, const ListenerConfig& listener) {
  const std::vector<std::string> any_host{""};
  const std::vector<MatchConfig> any_request(1);
  std::map<std::string, const RouteConfig*> owner;
  for (const RouteConfig& route : listener.routes) {
    for (const std::string& host : route.hosts.empty() ? any_host : route.hosts) {
      for (const MatchConfig& match : route.matches.empty() ? any_request : route.matches) {
        const auto [first, fresh] = owner.emplace(conditions(host, match), &route);
        if (fresh) continue;
        const bool same = first->second == &route;
        reader.warning(match.mark.line == 0 ? route.mark : match.mark,
                       "matches: " + (same ? "a match is listed twice" : "route " + first->second->name + at_line(first->second->mark) +
                                                                             " has the same conditions and goes first"));
      }
    }
  }
}

}  // namespace

void check_routes(Reader& reader, const Config& config) {
  for (const ListenerConfig& listener : config.listeners) {
    refuse_tcp_behind_routes(reader, config, listener);
    warn_hidden_routes(reader, listener);
  }
}

}  // namespace ringway::config
