#include "dataplane/route/explain.h"

#include <utility>

#include "dataplane/route/access.h"
#include "dataplane/route/pick_walk.h"
#include "src/wire/text.h"

namespace ringway::route {

namespace {

using contract::HashOn;
using contract::Plan;
using contract::Service;

std::string health_words(u32 word) {
  static constexpr std::pair<u32, const char*> kWords[] = {
      {contract::kHealthUnproven, "no health check has succeeded yet"},
      {contract::kHealthFailing, "failing health checks"},
      {contract::kHealthEjected, "ejected as an outlier"},
      {contract::kHealthDraining, "draining"},
  };
  std::string text;
  for (const auto& [bit, sentence] : kWords)
    if ((word & bit) != 0) text += (text.empty() ? "" : ", ") + std::string(sentence);
  return text.empty() ? "healthy again meanwhile" : text;
}

// Writes down every look of the walk.
struct LookTrace {
  const Plan& plan;
  const contract::HealthBoard& board;
  const contract::CoreStats& stats;
  std::vector<Look>& looks;

  void look(u32 endpoint, u32 maglev_slot, Passed why) {
    const contract::Endpoint& e = plan.endpoints[endpoint];
    looks.push_back({endpoint, maglev_slot, e.id, words(e, why)});
  }
  void restart() { looks.push_back({kNone32, kNone32, "", "panic: once more, health ignored"}); }

  std::string words(const contract::Endpoint& e, Passed why) const {
    switch (why) {
      case Passed::taken: return "taken";
      case Passed::unhealthy: return health_words(board.word(e.slot));
      case Passed::avoided: return "to be avoided";
      case Passed::over_bound:
        return "over the bound (" + std::to_string(stats.endpoints[e.slot].active.get()) + " active)";
      case Passed::not_its_turn: return "not its turn by weight";
    }
    return "";
  }
};

std::string input_words(HashOn asked, HashOn used, const std::string& name, std::string_view text, const wire::Ip& client) {
  std::string words;
  switch (used) {
    case HashOn::source: words = "source address " + to_string(client); break;
    case HashOn::header: words = "header " + name + ": " + std::string(text); break;
    case HashOn::cookie: words = "cookie " + name + "=" + std::string(text); break;
    case HashOn::path: words = "path " + std::string(text); break;
    case HashOn::query: words = "query parameter " + name + "=" + std::string(text); break;
    case HashOn::request: words = "drawn for each request"; break;
  }
  if (asked != used) words += " (the request has no " + name + ")";
  return words;
}

}  // namespace

void Explainer::tell_match(const Plan& plan, const contract::Listener& listener, Explanation& out) const {
  out.listener = listener.name;
  if (out.match.service != kNone32) out.service = plan.services[out.match.service].discovery_name;
  if (out.match.rule == kNone32) {
    out.why = listener.route_table == kNone32 ? "the listener has no routes; its own service answers"
                                              : "no route matched; the listener's default service answers";
    if (out.service.empty()) {
      out.why = "no route matched and the listener has no default service";
      out.outcome = "404: no route";
    }
    return;
  }
  const contract::RouteTable& table = plan.route_tables[out.match.route_table];
  const contract::Route& route = table.routes[table.rules[out.match.rule].route];
  out.route = route.name;
  out.rule = table.rule_texts[out.match.rule];
  out.why = "the first rule by precedence whose conditions hold";
  if (out.match.scanned) out.why += "; regular expressions were scanned";
  if (route.backends.size() > 1) {
    out.why += "; weights";
    for (const auto& backend : route.backends)
      out.why += ' ' + plan.services[backend.service].discovery_name + '=' + std::to_string(backend.weight);
    out.why += ", drawn for each request";
  }
  if (out.match.no_backend()) out.outcome = "500: every backend of the route has weight 0";
}

// False: the service turns the request away. Rates are not asked: that would take a token.
bool Explainer::tell_access(const Plan& plan, const http::RequestHead& head, const wire::Ip& client, Explanation& out) const {
  const contract::Source source = plan.callers.source_of(client);
  if (const u32 caller = plan.callers.caller_of(source); caller != kNone32) out.caller = plan.callers.names[caller];
  const Service& service = plan.services[out.match.service];
  if (service.admission == kNone32) return true;
  const contract::Admission& admission = plan.admissions[service.admission];
  if (admission.rules.empty() && admission.allow) return true;
  const Judgement judgement = judge(plan, admission, source, head, room_, out.match.scanned);
  out.access = judgement.allow ? "allowed" : "refused";
  out.access += judgement.rule == kNone32 ? " by default: no rule holds"
                                          : " by rule " + std::to_string(judgement.rule + 1) + ": " + admission.rule_texts[judgement.rule];
  if (!judgement.allow) out.outcome = "403: the service's access rules refuse this request";
  return judgement.allow;
}

void Explainer::tell_pick(const Plan& plan, Explanation& out) const {
  if (out.pick.endpoint == kNone32) {
    out.outcome = out.looks.empty() ? "503: the service has no endpoint" : "503: no endpoint may be picked";
    return;
  }
  out.endpoint = plan.endpoints[out.pick.endpoint].id;
  out.outcome = "forwarded to " + out.endpoint;
  if (out.pick.panic) out.outcome += "; panic: too few endpoints are healthy, so health is ignored";
  if (out.pick.over_bound) out.outcome += "; every healthy endpoint is over the bound";
}

Explanation Explainer::explain(const Plan& plan, const contract::Listener& listener, const http::RequestHead& head,
                               const wire::Ip& client, u16 client_port) {
  Explanation out;
  if (plan.ingress_acl != nullptr && !client.unset() && plan.ingress_acl->refuses(client, listener.ip, listener.port)) {
    out.listener = listener.name;
    out.access = "gateway.ingress refuses connections from this source";
    out.outcome = "no connection: its SYN is dropped";
    return out;
  }
  out.match = router_->find_route(plan, listener, head);
  tell_match(plan, listener, out);
  if (out.match.service != kNone32) {
    if (!tell_access(plan, head, client, out)) return out;
    explain_pick(plan, head, client, client_port, out);
  }
  if (out.match.actions != kNone32) tell_actions(plan, listener, head, client, client_port, out);
  return out;
}

void Explainer::explain_pick(const Plan& plan, const http::RequestHead& head, const wire::Ip& client, u16 client_port,
                             Explanation& out) {
  const Service& service = plan.services[out.match.service];
  LookTrace trace{plan, board_, stats_, out.looks};
  if (Router::in_turn(service)) {
    out.policy = "round robin";
    if (service.endpoint_count > 0) out.pick = router_->pick_in_turn(plan, service, {}, trace);
  } else {
    const Router::Key key = router_->key_of(service, head, client, client_port);
    out.policy = "maglev, " + std::to_string(service.maglev.size()) + " slots";
    out.hash_input = input_words(service.hash_on, key.from, service.hash_name, key.text, client);
    if (service.endpoint_count > 0) out.pick = router_->pick_maglev(plan, service, key.hash, {}, trace);
  }
  tell_pick(plan, out);
}

}  // namespace ringway::route
