#include "dataplane/route/router.h"

#include <algorithm>

#include "dataplane/http/bytes.h"
#include "dataplane/route/key.h"
#include "dataplane/route/match_walk.h"
#include "dataplane/route/pick_pool.h"
#include "dataplane/route/pick_walk.h"

namespace ringway::route {

using contract::HashOn;
using contract::Plan;
using contract::Service;

Router::Router(const contract::HealthBoard& board, contract::CoreStats& stats, u32 core, u64 seed)
    : board_(board), stats_(stats), core_(core), salt_(mix(core) ^ seed) {
  std::fill(std::begin(next_in_turn_), std::end(next_in_turn_), kNone32);
}

Match Router::match(const Plan& plan, const contract::Listener& listener, const http::RequestHead& head) {
  Match out = find_route(plan, listener, head);
  choose_version(plan, head, out);
  if (out.scanned) stats_.page.count(contract::Counter::scans);
  return out;
}

void Router::choose_version(const Plan& plan, const http::RequestHead& head, Match& match) {
  if (match.service == kNone32 || plan.services[match.service].deployment.green == kNone32) [[likely]] return;
  match.green = goes_to_green(plan, plan.services[match.service], head);
  if (match.green) match.service = plan.services[match.service].deployment.green;
}

Match Router::find_route(const Plan& plan, const contract::Listener& listener, const http::RequestHead& head) {
  Match out;
  out.service = listener.service;
  out.actions = listener.actions;
  if (listener.route_table == kNone32) return out;
  const contract::RouteTable& table = plan.route_tables[listener.route_table];
  MatchWalk walk(plan, table, core_, head);
  const u32 rule = walk.find_rule();
  out.scanned = walk.scanned();
  if (rule == kNone32) return out;
  out.route_table = listener.route_table;
  out.rule = rule;
  const contract::Route& route = table.routes[table.rules[rule].route];
  const contract::Backend* const backend = choose_backend(route);
  out.service = backend == nullptr ? kNone32 : backend->service;
  out.actions = backend == nullptr ? route.actions : backend->actions;
  return out;
}

// Whether the request is served by the version of `service` that is being brought in: marked test traffic always, of the
// rest a share.
bool Router::goes_to_green(const Plan& plan, const Service& service, const http::RequestHead& head) {
  const u32 word = plan.shifts->word(service.slot);
  if ((word & contract::kTestTraffic) != 0) {
    for (u32 i = 0; i < head.field_count; ++i) {
      if (!http::equals_ignoring_case(head.name(i), service.deployment.test_header)) continue;
      if (service.deployment.test_value.empty() || head.value(i) == service.deployment.test_value) return true;
    }
  }
  const u32 share = word & ~contract::kTestTraffic;
  return share != 0 && reduce(draw(), contract::kWholeShare) < share;
}

// Each request draws anew: the split is right in the long run and does not follow keys, clients or connections.
const contract::Backend* Router::choose_backend(const contract::Route& route) {
  if (route.weight_sum == 0) return nullptr;
  const u64 at = route.backends.size() == 1 ? 0 : reduce(draw(), route.weight_sum);
  for (const auto& backend : route.backends)
    if (at < backend.weight_end) return &backend;
  return nullptr;
}

// The address as a word, the same on every gateway.
static u64 source_word(const wire::Ip& client) {
  return client.is6() ? mix(client.ip6().high()) + client.ip6().low() : client.ip4().v;
}

// A request that lacks the header, cookie or parameter is hashed on its source, so that it still has a stable home.
Router::Key Router::key_of(const Service& service, const http::RequestHead& head, const wire::Ip& client, u16 client_port) {
  std::optional<std::string_view> text;
  switch (service.hash_on) {
    case HashOn::source: break;
    case HashOn::header: text = inspect::find_header(head, service.hash_name); break;
    case HashOn::cookie: text = find_cookie(head, service.hash_name); break;
    case HashOn::path: text = head.path_text(); break;
    case HashOn::query: text = inspect::find_query(head, service.hash_name); break;
    case HashOn::request:
      return {mix(++requests_ ^ source_word(client) << 32 ^ u64{client_port} << 16 ^ mix(core_)), HashOn::request, {}};
  }
  if (text) return {hash_key(*text), service.hash_on, *text};
  return {mix(source_word(client)), HashOn::source, {}};
}

Pick Router::pick(const Plan& plan, u32 service_index, const http::RequestHead& head, const wire::Ip& client, u16 client_port,
                  std::span<const u32> avoid) {
  RW_ASSERT(service_index < plan.services.size());
  const Service& service = plan.services[service_index];
  if (service.endpoint_count == 0) return {};  // whatever table may be left over from when there were some
  NoTrace trace;
  return pick_by(plan, service, head, client, client_port, avoid, trace);
}

}  // namespace ringway::route
