#pragma once
// Picks of services with pools: the subset that a request asks for, the priority level, the zone, then the policy.
//
// Included by router.cc and explain.cc like pick_walk.h, whose walk does the looking. On the thread of the Router.
//
// Whatever is chosen first, a request is only turned away when no level has anybody to take it: the level that its draw
// names is looked at first, then the others, best first. A draw for the level comes out of the key's hash where the policy
// hashes, so that a key keeps its level as well as its endpoint.

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "dataplane/inspect/pieces.h"
#include "dataplane/route/pick_walk.h"

namespace ringway::route {

// A key that is new to its endpoint is drawn again so often before it is left with one that has to pass it on.
inline constexpr u32 kCookieDraws = 8;
// Endpoints drawn in vain before all are looked at.
inline constexpr u32 kVainDraws = 8;

// The levels that serve the request: of the subset its header names, or of the service. None: it fits no subset.
template <class Trace>
std::span<const contract::EndpointPool> levels_for(const contract::Service& service, const http::RequestHead& head, Trace& trace) {
  const contract::Pools& pools = service.pools;
  const std::span all(pools.list.data(), pools.levels);
  if (pools.subset_header.empty()) return all;
  const std::string_view value = inspect::find_header(head, pools.subset_header).value_or(std::string_view{});
  const auto at = std::lower_bound(pools.subsets.begin(), pools.subsets.end(), value,
                                   [](const contract::Subset& s, std::string_view v) { return std::string_view(s.value) < v; });
  if (at != pools.subsets.end() && at->value == value) {
    trace.subset(service, &*at, value);
    return {pools.list.data() + at->first_pool, at->levels};
  }
  trace.subset(service, nullptr, value);
  return pools.or_any ? all : all.first(0);
}

// One pick among `levels`, which are not empty.
template <class Trace>
class Router::PoolPick {
 public:
  PoolPick(Router& router, const contract::Plan& plan, const contract::Service& service,
           std::span<const contract::EndpointPool> levels, std::span<const u32> avoid, Trace& trace)
      : r_(router), plan_(plan), service_(service), pools_(service.pools), levels_(levels), trace_(trace),
        walk_(router, plan, service, avoid, contract::picks_by_hash(service.policy), trace, levels) {}

  // `hash`: of the key, or a draw where the policy does not hash.
  Pick pick(u64 hash) {
    if (contract::picks_by_hash(service_.policy)) walk_.out.hash = hash;
    do {
      const u32 first = level_of(hash);
      if (try_level(first, hash)) return walk_.out;
      for (u32 l = 0; l < levels_.size(); ++l)
        if (l != first && try_level(l, hash)) return walk_.out;
      walk_.settle();
    } while (walk_.worth_another_walk());
    return walk_.out;
  }

 private:
  struct Range {
    u32 first, count;  // of the pool's members
  };

  u32 level_of(u64 hash) const {
    if (levels_.size() == 1) return 0;
    const u32 at = static_cast<u32>(reduce(mix(hash ^ kGolden), 100));
    u32 l = 0;
    while (l + 1 < levels_.size() && at >= r_.census_[levels_[l].slot].load_end) ++l;
    return l;
  }

  bool try_level(u32 l, u64 hash) {
    const contract::EndpointPool& pool = levels_[l];
    walk_.enter(pool);
    if (levels_.size() > 1) {
      const u32 better = l == 0 ? 0 : r_.census_[levels_[l - 1].slot].load_end;
      trace_.level(pool, walk_.census(), walk_.census().load_end - better);
    }
    switch (service_.policy) {
      case contract::BalancePolicy::maglev: {
        const u32 slot = lookup::maglev_slot(hash, static_cast<u32>(pool.maglev.size()));
        return try_owners(pool.maglev, slot) || try_members(pool, hash);
      }
      case contract::BalancePolicy::ring_hash:
        return try_owners(pool.ring.owners, pool.ring.find(hash)) || try_members(pool, hash);
      default: break;
    }
    const Range all{0, static_cast<u32>(pool.members.size())};
    if (!walk_.census().by_zone) return try_range(pool, all, 0);
    const u32 zone = zone_of(pool);
    trace_.zone(pool, zone);
    return try_range(pool, {pool.zones[zone].first, pool.zones[zone].count}, 1 + zone) || try_range(pool, all, 0);
  }

  u32 zone_of(const contract::EndpointPool& pool) {
    const u32 at = static_cast<u32>(r_.draw() >> 32);
    const Turns* const zones = &r_.turns_[pool.first_group + 1];
    u32 z = 0;
    while (z + 1 < pool.zones.size() && at > zones[z].share_end) ++z;
    return z;
  }

  // `group`: whose turns these are, 0 for the whole pool.
  bool try_range(const contract::EndpointPool& pool, Range range, u32 group) {
    switch (service_.policy) {
      case contract::BalancePolicy::round_robin: return try_turns(pool, range, r_.turns_[pool.first_group + group]);
      case contract::BalancePolicy::least_request: return try_least(pool, range);
      default: return try_random(pool, range);
    }
  }

  // ---- by hash

  bool try_owners(const std::vector<u16>& owners, u32 first) {
    if (walk_.out.slot == kNone32) walk_.out.slot = first;
    return walk_owners(walk_, owners, first);
  }
  bool try_members(const contract::EndpointPool& pool, u64 hash) {
    return walk_members(walk_, hash, static_cast<u32>(pool.members.size()), [&](u32 at) { return pool.members[at]; });
  }

  // ---- in turn

  bool try_turns(const contract::EndpointPool& pool, Range range, Turns& turns) {
    begin_turns(turns.next, range.count, r_.core_);
    const auto advance = [&] {
      if (turns.next >= range.count) turns.next = 0;
      return pool.members[range.first + turns.next++];
    };
    const u32 credits = pool.of_subset ? contract::kEndpointsMax : 0;
    const auto waits = [&](u32 index) {
      const contract::Endpoint& endpoint = endpoint_of(index);
      return walk_.waits(index, r_.credit_[credits + endpoint.slot], r_.weight_now(service_, endpoint), turns.weight_max);
    };
    return walk_turns(walk_, range.count, advance, waits);
  }

  // ---- by draws

  // Power of two choices: of so many endpoints drawn, the one with the fewest exchanges on all cores; the first drawn of
  // several. Where weights differ, or one is not whole yet, every endpoint has a share by its score instead.
  bool try_least(const contract::EndpointPool& pool, Range range) {
    if (pool.weighted || walk_.census().slow_starting) return try_scores(pool, range, true);
    u32 best = kNone32;
    u64 fewest = 0;
    for (u32 found = 0, vain = 0; found < pools_.choices && vain < kVainDraws;) {
      const u32 index = pool.members[range.first + static_cast<u32>(reduce(r_.draw(), range.count))];
      if (const Passed why = walk_.consider(index); why != Passed::taken) {
        trace_.look(service_.first_endpoint + index, kNone32, why);
        ++vain;
        continue;
      }
      const contract::Endpoint& endpoint = endpoint_of(index);
      if (pools_.slow_start.window_us != 0 && r_.weight_now(service_, endpoint) < endpoint.weight * kWeightScale) {
        return try_scores(pool, range, true);  // healthy since a moment
      }
      trace_.look(service_.first_endpoint + index, kNone32, Passed::drawn);
      const u64 active = r_.active_everywhere(endpoint.slot);
      if (found++ == 0 || active < fewest) {
        fewest = active;
        best = index;
      }
    }
    return best == kNone32 ? try_scores(pool, range, false) : walk_.take(best, kNone32);
  }

  // A draw by weight; who is in its slow start takes only so many of the draws that fall to it.
  bool try_random(const contract::EndpointPool& pool, Range range) {
    for (u32 vain = 0; vain < kVainDraws; ++vain) {
      const u32 index = pool.members[range.first + draw_member(pool, range)];
      const contract::Endpoint& endpoint = endpoint_of(index);
      if (pools_.slow_start.window_us != 0 && r_.board_.word(endpoint.slot) == 0 &&
          reduce(r_.draw(), endpoint.weight * kWeightScale) >= r_.weight_now(service_, endpoint)) {
        trace_.look(service_.first_endpoint + index, kNone32, Passed::slow_start);
        continue;
      }
      if (walk_.take(index, kNone32)) return true;
    }
    return try_scores(pool, range, false);
  }

  // Place in the range.
  u32 draw_member(const contract::EndpointPool& pool, Range range) {
    if (pool.weight_ends.empty()) return static_cast<u32>(reduce(r_.draw(), range.count));
    const u32* const ends = pool.weight_ends.data() + range.first;
    const u32 before = range.first == 0 ? 0 : ends[-1];
    const u32 at = before + static_cast<u32>(reduce(r_.draw(), ends[range.count - 1] - before));
    return static_cast<u32>(std::upper_bound(ends, ends + range.count, at) - ends);
  }

  // Everybody who may be picked has a share by weight, or by weight / (active + 1). Of more than kScoredMax endpoints it
  // is that many neighbours from a drawn place that compete, so that a pick stays bounded; and all, that many at a time,
  // while nobody is found.
  bool try_scores(const contract::EndpointPool& pool, Range range, bool by_active) {
    const u32 window = std::min(range.count, contract::kScoredMax);
    u32 at = window < range.count ? static_cast<u32>(reduce(r_.draw(), range.count)) : 0;
    for (u32 seen = 0; seen < range.count; seen += window) {
      std::array<u64, contract::kScoredMax> ends;
      std::array<u16, contract::kScoredMax> indexes;
      u32 able = 0;
      u64 sum = 0;
      for (u32 i = 0; i < window; ++i, at = at + 1 == range.count ? 0 : at + 1) {
        const u16 index = pool.members[range.first + at];
        const Passed why = walk_.consider(index);
        if (why != Passed::taken) {
          trace_.look(service_.first_endpoint + index, kNone32, why);
          continue;
        }
        const contract::Endpoint& endpoint = endpoint_of(index);
        const u32 weight = r_.weight_now(service_, endpoint);
        sum += by_active ? request_score(weight, r_.stats_.endpoints[endpoint.slot].active.get()) : weight;
        indexes[able] = index;
        ends[able++] = sum;
      }
      if (able == 0) continue;
      const u64 drawn = reduce(r_.draw(), sum);
      const auto end = std::upper_bound(ends.begin(), ends.begin() + able, drawn);
      return walk_.take(indexes[static_cast<std::size_t>(end - ends.begin())], kNone32);
    }
    return false;
  }

  const contract::Endpoint& endpoint_of(u32 index) const { return plan_.endpoints[service_.first_endpoint + index]; }

  Router& r_;
  const contract::Plan& plan_;
  const contract::Service& service_;
  const contract::Pools& pools_;
  std::span<const contract::EndpointPool> levels_;
  Trace& trace_;
  Walk<Trace, true> walk_;
};

template <class Trace>
Pick Router::pick_by(const contract::Plan& plan, const contract::Service& service, const http::RequestHead& head,
                     const wire::Ip& client, u16 client_port, std::span<const u32> avoid, Trace& trace) {
  if (service.policy == contract::BalancePolicy::maglev && !service.maglev.empty()) {
    const Key key = key_of(service, head, client, client_port);
    trace.key(service, key.from, key.text);
    return pick_maglev(plan, service, key.hash, avoid, trace);
  }
  if (!service.pools.list.empty()) return pick_pooled(plan, service, head, client, client_port, avoid, trace);
  return pick_in_turn(plan, service, avoid, trace);  // whatever its policy says: there is no table
}

template <class Trace>
Pick Router::pick_pooled(const contract::Plan& plan, const contract::Service& service, const http::RequestHead& head,
                         const wire::Ip& client, u16 client_port, std::span<const u32> avoid, Trace& trace) {
  const auto levels = levels_for(service, head, trace);
  if (levels.empty()) return {};
  const auto pick_with = [&](u64 hash) { return PoolPick<Trace>(*this, plan, service, levels, avoid, trace).pick(hash); };
  if (!contract::picks_by_hash(service.policy)) return pick_with(draw());
  const Key key = key_of(service, head, client, client_port);
  trace.key(service, key.from, key.text);
  const bool new_cookie = !service.pools.cookie_attributes.empty() && key.from != contract::HashOn::cookie &&
                          service.app_protocol != contract::AppProtocol::tcp;
  if (!new_cookie) return pick_with(key.hash);
  // The cookie shall lead back to whom it is given by: one whose first look is a pick is preferred to one that is passed on.
  Pick pick;
  for (u32 n = 0; n < kCookieDraws; ++n) {
    const u64 cookie = draw();
    std::array<char, kCookieBytes> text;
    trace.new_cookie(cookie_text(cookie, text));
    pick = pick_with(hash_key({text.data(), text.size()}));
    pick.cookie = cookie;
    if (pick.walked == 0) break;
  }
  return pick;
}

}  // namespace ringway::route
