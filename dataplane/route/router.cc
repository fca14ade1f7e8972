#include "dataplane/route/router.h"

#include <algorithm>

#include "dataplane/route/key.h"
#include "dataplane/route/key_hash.h"
#include "dataplane/route/pick_walk.h"

namespace ringway::route {

using contract::HashOn;
using contract::Plan;
using contract::Service;

Router::Router(const contract::HealthBoard& board, contract::CoreStats& stats, u32 core)
    : board_(board), stats_(stats), core_(core) {
  std::fill(std::begin(next_in_turn_), std::end(next_in_turn_), kNone32);
}

Match Router::match(const Plan& plan, const contract::Listener& listener, const http::RequestHead& head) {
  (void)plan;
  (void)head;
  Match out;
  out.service = listener.service;
  return out;
}

void Router::count_endpoints(const Plan& plan, const Service& service) {
  Census c;
  c.generation = plan.generation;
  u32 heaviest_healthy = 1;
  u32 heaviest_proven = 1;
  for (u32 i = 0; i < service.endpoint_count; ++i) {
    const contract::Endpoint& endpoint = plan.endpoints[service.first_endpoint + i];
    const u32 word = board_.word(endpoint.slot);
    const u32 weight = endpoint.weight;
    if (usable_in_panic(word)) {
      ++c.proven;
      c.proven_weight += weight;
      heaviest_proven = std::max(heaviest_proven, weight);
    }
    if (word == 0) {
      ++c.healthy;
      c.healthy_weight += weight;
      heaviest_healthy = std::max(heaviest_healthy, weight);
    }
  }
  c.weight_max = in_panic(c, service.panic_percent) ? heaviest_proven : heaviest_healthy;
  census_[service.slot] = c;
}

// A request that lacks the header, cookie or parameter is hashed on its source, so that it still has a stable home.
u64 Router::key_of(const Service& service, const http::RequestHead& head, wire::Ip4 client, u16 client_port) {
  switch (service.hash_on) {
    case HashOn::source: break;
    case HashOn::header:
      if (const u32 at = find_field(head, service.hash_name); at != kNone32) return hash_bytes(head.value(at));
      break;
    case HashOn::cookie:
      if (const auto value = find_cookie(head, service.hash_name)) return hash_bytes(*value);
      break;
    case HashOn::path: return hash_bytes(head.path_text());
    case HashOn::query:
      if (const auto value = find_query(head.text(head.query), service.hash_name)) return hash_bytes(*value);
      break;
    case HashOn::request:
      return mix(++requests_ ^ u64{client.v} << 32 ^ u64{client_port} << 16 ^ mix(core_));
  }
  return mix(client.v);
}

Pick Router::pick(const Plan& plan, u32 service_index, const http::RequestHead& head, wire::Ip4 client, u16 client_port,
                  std::span<const u32> avoid) {
  RW_ASSERT(service_index < plan.services.size());
  const Service& service = plan.services[service_index];
  if (service.endpoint_count == 0) return {};  // whatever table may be left over from when there were some
  NoTrace trace;
  if (service.policy == contract::BalancePolicy::round_robin || service.maglev.empty())
    return pick_in_turn(plan, service, avoid, trace);
  return pick_maglev(plan, service, key_of(service, head, client, client_port), avoid, trace);
}

}  // namespace ringway::route
