#include "dataplane/route/explain.h"

#include <cstdio>
#include <utility>

#include "dataplane/route/access.h"
#include "dataplane/route/pick_pool.h"
#include "dataplane/route/pick_walk.h"
#include "src/wire/text.h"

namespace ringway::route {

namespace {

using contract::HashOn;
using contract::Plan;
using contract::Service;

std::string unhealthy_words(u32 word) {
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

// Writes down every look of the walk, and what led to it.
struct Notes {
  const Plan& plan;
  const contract::HealthBoard& board;
  const contract::CoreStats& stats;
  const wire::Ip& client;
  Explanation& out;

  void look(u32 endpoint, u32 slot, Passed why) {
    const contract::Endpoint& e = plan.endpoints[endpoint];
    out.looks.push_back({endpoint, slot, e.id, words(e, why)});
  }
  void restart() { out.looks.push_back({kNone32, kNone32, "", "panic: once more, health ignored"}); }
  void key(const Service& service, HashOn used, std::string_view text) {
    out.hash_input = input_words(service.hash_on, used, service.hash_name, text, client);
  }
  // A cookie is drawn anew while the one before would have to be passed on: only what comes of the last one counts.
  void new_cookie(std::string_view value) {
    out.hash_input = "a new cookie, " + std::string(value) + ", since the request has none";
    out.looks.clear();
    std::erase_if(out.choices, [](const std::string& c) { return !c.starts_with("subset") && !c.starts_with("deployment"); });
  }
  void subset(const Service& service, const contract::Subset* subset, std::string_view value) {
    const std::string asked = service.pools.subset_header + ": " + std::string(value);
    if (subset != nullptr) {
      out.choices.push_back("subset of the endpoints labelled " + subset->value + ", by " + asked);
    } else {
      out.choices.push_back((value.empty() ? "subset: the request has no " + service.pools.subset_header
                                           : "subset: no endpoint has the label that the request asks for, " + asked) +
                            (service.pools.or_any ? "; any endpoint will do" : "; without one it is refused"));
    }
  }
  void level(const contract::EndpointPool& pool, const Census& c, u32 percent) {
    out.choices.push_back("priority " + std::to_string(pool.priority) + ", which takes " + std::to_string(percent) + " %: " +
                          std::to_string(c.healthy) + " of " + std::to_string(c.proven) + " healthy" +
                          (c.panic ? ", in panic" : ""));
  }
  void zone(const contract::EndpointPool& pool, u32 zone) {
    const std::string& name = pool.zones[zone].name;
    out.choices.push_back(zone == 0 ? "zone " + name + ", the gateway's own"
                                    : "zone " + (name.empty() ? "of endpoints without one" : name) +
                                          ": the own zone has less than its part of the endpoints, the rest spills");
  }

  std::string words(const contract::Endpoint& e, Passed why) const {
    const std::string active = std::to_string(stats.endpoints[e.slot].active.get()) + " active";
    switch (why) {
      case Passed::taken: return "taken";
      case Passed::unhealthy: return unhealthy_words(board.word(e.slot));
      case Passed::avoided: return "to be avoided";
      case Passed::over_bound: return "over the bound (" + active + ")";
      case Passed::not_its_turn: return "not its turn by weight";
      case Passed::drawn: return "drawn, " + active;
      case Passed::slow_start: return "drawn, but still in its slow start";
    }
    return "";
  }
};

std::string policy_words(const Service& service) {
  const contract::EndpointPool* pool = service.pools.list.empty() ? nullptr : service.pools.list.data();
  const auto slots = [](std::size_t n, const char* what) { return std::to_string(n) + what; };
  switch (service.policy) {
    case contract::BalancePolicy::maglev:
      if (pool == nullptr && service.maglev.empty()) break;  // no table: in turn
      return "maglev, " + slots(pool == nullptr ? service.maglev.size() : pool->maglev.size(), " slots");
    case contract::BalancePolicy::ring_hash: return "ring hash, " + slots(pool == nullptr ? 0 : pool->ring.size(), " points");
    case contract::BalancePolicy::least_request:
      return pool != nullptr && pool->weighted
                 ? "least request, a draw by weight / (active + 1)"
                 : "least request, the best of " + std::to_string(service.pools.choices) + " draws";
    case contract::BalancePolicy::random: return "random, by weight";
    case contract::BalancePolicy::round_robin: break;
  }
  return "round robin";
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

// Which version of a service serves, while a new one is brought in.
void Explainer::tell_version(const Plan& plan, const Service& called, Explanation& out) const {
  const u32 word = plan.shifts->word(called.slot);
  char percent[16];
  std::snprintf(percent, sizeof(percent), "%g", (word & ~contract::kTestTraffic) * 100.0 / contract::kWholeShare);
  const std::string& green = plan.services[called.deployment.green].discovery_name;
  std::string words = "deployment of " + called.discovery_name + ": " + percent + " % of the requests go to " + green;
  if ((word & contract::kTestTraffic) != 0) words += ", and all that have " + called.deployment.test_header;
  out.choices.push_back(words + (out.match.green ? "; this one does" : "; this one does not"));
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
    const bool refused = out.looks.empty() && !out.choices.empty();
    out.outcome = refused             ? "503: no endpoint fits the request"
                  : out.looks.empty() ? "503: the service has no endpoint"
                                      : "503: no endpoint may be picked";
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
  const u32 called = out.match.service;
  router_->choose_version(plan, head, out.match);
  tell_match(plan, listener, out);
  if (called != kNone32 && plan.services[called].deployment.green != kNone32) tell_version(plan, plan.services[called], out);
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
  out.policy = policy_words(service);
  if (service.endpoint_count > 0) {
    Notes notes{plan, board_, stats_, client, out};
    out.pick = router_->pick_by(plan, service, head, client, client_port, {}, notes);
  }
  tell_pick(plan, out);
}

}  // namespace ringway::route
