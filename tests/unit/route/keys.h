#pragma once
// For tests of policies that go by a key, whatever their table: what the death of an endpoint moves, and the bound on its load.

#include <cmath>
#include <deque>
#include <random>
#include <vector>

#include "tests/unit/route/world.h"

namespace ringway::test {

constexpr u32 kKeys = 20'000;

// What becomes of kKeys keys while endpoint `dead` of the service fails, and once it is back.
struct Death {
  std::vector<u32> heirs;  // of its keys, by endpoint
  u32 strayed = 0;         // keys of others that moved
  u32 lost = 0;            // keys that were elsewhere than before when it was back
};
inline Death death_of(World& w, u32 service, u32 dead) {
  const u32 first = w.service(service).first_endpoint;
  std::vector<u32> homes;
  for (u32 client = 0; client < kKeys; ++client) homes.push_back(w.pick(service, client).endpoint - first);
  Death out{.heirs = std::vector<u32>(w.service(service).endpoint_count)};
  w.set_health(service, dead, contract::kHealthFailing);
  for (u32 client = 0; client < kKeys; ++client) {
    const u32 now = w.pick(service, client).endpoint - first;
    if (homes[client] == dead) {
      ++out.heirs[now];
    } else {
      out.strayed += now != homes[client];
    }
  }
  w.set_health(service, dead, 0);
  for (u32 client = 0; client < kKeys; ++client) out.lost += w.pick(service, client).endpoint - first != homes[client];
  return out;
}

// Exchanges come and go, 200 at a time; every second one has the same key, whose endpoint would hold half of them without a
// bound. How many picks left an endpoint above its share of the bound, or said that they did.
inline u32 picks_over_bound(World& w, u32 service, u32 picks) {
  const contract::Service& s = w.service(service);
  const double part = s.bound_percent / 100.0 / s.endpoint_count;
  std::mt19937_64 random(20'16);
  std::deque<u32> active;
  u32 over = 0;
  for (u32 i = 0; i < picks; ++i) {
    const route::Pick p = w.pick(service, random() % 2 == 0 ? 1 : static_cast<u32>(random()));
    w.begin(p, service);
    active.push_back(p.endpoint);
    if (active.size() > 200) {
      w.end(active.front(), service);
      active.pop_front();
    }
    const u64 mine = w.stats->endpoints[w.plan.endpoints[p.endpoint].slot].active.get();
    over += p.over_bound || static_cast<double>(mine) > std::ceil(part * (static_cast<double>(active.size()) + 1));
  }
  return over;
}

}  // namespace ringway::test
