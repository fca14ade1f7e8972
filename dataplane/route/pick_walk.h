#pragma once
// The walk from a first choice to an endpoint that may be picked: the body of Router::pick, open to a trace.
//
// Included by router.cc (with a trace that is nothing) and explain.cc (with one that writes down each look), so that
// an explanation runs the very code that it explains. On the thread of the Router. Picks of services with pools use the
// same walk: pick_pool.h.
//
// Order of preference: healthy, below the bound and not to be avoided; then healthy but over the bound; then to be
// avoided. Below the panic threshold "healthy" reads "proven and not draining". The walk goes slot by slot, at most
// kPickWalkMax, then over the endpoints by index from a point given by the hash, so that whoever comes here does not
// pile onto the first one.

#include <algorithm>
#include <span>

#include "dataplane/route/key.h"
#include "dataplane/route/router.h"
#include "src/lookup/maglev.h"

namespace ringway::route {

// Why a look did not end in a pick.
enum class Passed : u8 { taken, unhealthy, avoided, over_bound, not_its_turn, drawn, slow_start };

// A trace hears of everything that decides; this one of nothing.
struct NoTrace {
  void look(u32 /*endpoint*/, u32 /*slot*/, Passed) {}
  void restart() {}
  void key(const contract::Service&, contract::HashOn /*used*/, std::string_view /*text*/) {}
  void new_cookie(std::string_view /*value*/) {}
  void subset(const contract::Service&, const contract::Subset*, std::string_view /*value*/) {}
  void level(const contract::EndpointPool&, const Census&, u32 /*percent*/) {}
  void zone(const contract::EndpointPool&, u32 /*zone*/) {}
};

// `pooled`: what is looked at is the pools of `levels`, one after the other, instead of the service as a whole.
template <class Trace, bool pooled>
class Router::Walk {
 public:
  Walk(Router& router, const contract::Plan& plan, const contract::Service& service, std::span<const u32> avoid,
       bool bounded, Trace& trace, std::span<const contract::EndpointPool> levels = {})
      : r_(router), plan_(plan), service_(service), avoid_(avoid), bounded_(bounded), trace_(trace), levels_(levels),
        census_(&router.census_[pooled ? levels[0].slot : service.slot]), counted_(census_),
        service_active_(router.stats_.services[service.slot].active.get()) {
    const u32 refresh = std::max(service.endpoint_count, 64u);
    const bool grows = pooled && census_->slow_starting && r_.board_.now_us() != census_->counted_us;
    if (census_->generation != plan.generation || ++census_->age > refresh || grows) renew();
  }

  // From now on it is about this pool.
  void enter(const contract::EndpointPool& pool) {
    census_ = &r_.census_[pool.slot];
    panic_known_ = false;
    out.panic = false;
    if (census_->generation != plan_.generation) renew();  // another plan has counted in its place
  }

  // Looks at the endpoint of that index within the service; true: it is to be picked.
  bool take(u32 index, u32 maglev_slot) {
    RW_ASSERT(index < service_.endpoint_count);
    const u32 id = service_.first_endpoint + index;
    const contract::Endpoint& endpoint = plan_.endpoints[id];
    const Passed why = judge(id, endpoint);
    trace_.look(id, maglev_slot, why);
    if (why == Passed::taken) {
      out.endpoint = id;
      return true;
    }
    ++out.walked;
    return false;
  }
  // Its weight earns it no turn. Who cannot be taken earns nothing meanwhile, or its return would begin with a burst.
  bool waits(u32 index, u32& credit, u32 weight, u32 weight_max) {
    const u32 id = service_.first_endpoint + index;
    if (r_.board_.word(plan_.endpoints[id].slot) != 0 && !out.panic) return false;
    if (earns_turn(credit, weight, weight_max)) return false;
    trace_.look(id, kNone32, Passed::not_its_turn);
    return true;
  }
  // A look without taking it.
  Passed consider(u32 index) {
    const u32 id = service_.first_endpoint + index;
    return judge(id, plan_.endpoints[id]);
  }

  // Nobody stood every test: the best of who was passed over.
  void settle() {
    if (out.endpoint != kNone32) return;
    if (over_ != kNone32) {
      out.endpoint = over_;
      out.over_bound = true;
    } else {
      out.endpoint = avoided_ != kNone32 ? avoided_ : just_tried_;
    }
  }

  // Nothing at all was found on a count that was not made just now: the board may have changed since.
  bool worth_another_walk() {
    if (out.endpoint != kNone32 || out.panic || counted_->age == 0) return false;
    renew();
    out.panic = census_->panic;
    if constexpr (pooled) {
      for (const contract::EndpointPool& pool : levels_) out.panic = out.panic || r_.census_[pool.slot].panic;
    }
    if (out.panic) trace_.restart();
    return out.panic;
  }

  const Census& census() const { return *census_; }

  Pick out;

 private:
  Passed judge(u32 id, const contract::Endpoint& endpoint) {
    const u32 word = r_.board_.word(endpoint.slot);
    if (word != 0 && !(panic_now() && usable_in_panic(word))) return Passed::unhealthy;
    if (const auto at = std::find(avoid_.begin(), avoid_.end(), id); at != avoid_.end()) {
      u32& first = at + 1 == avoid_.end() ? just_tried_ : avoided_;
      if (first == kNone32) first = id;
      return Passed::avoided;
    }
    if (bounded_ && over_bound(r_.stats_.endpoints[endpoint.slot].active.get(), service_active_, endpoint.weight,
                               census_->bound_weight, service_.bound_percent)) {
      if (over_ == kNone32) over_ = id;
      return Passed::over_bound;
    }
    return Passed::taken;
  }

  // Asked at the sight of an unhealthy endpoint only: while every look succeeds panic would change nothing. The count
  // is renewed there unless it is fresh for the size of the service.
  bool panic_now() {
    if (!panic_known_) {
      panic_known_ = true;
      if (counted_->age * 8 >= service_.endpoint_count || everybody_healthy()) renew();
      out.panic = census_->panic;
    }
    return out.panic;
  }
  bool everybody_healthy() const {
    if constexpr (pooled) return census_->healthy == census_->proven;
    return census_->healthy == service_.endpoint_count;
  }
  void renew() {
    if constexpr (pooled) {
      r_.count_pools(plan_, service_, levels_);
    } else {
      r_.count_endpoints(plan_, service_);
    }
  }

  Router& r_;
  const contract::Plan& plan_;
  const contract::Service& service_;
  std::span<const u32> avoid_;
  const bool bounded_;
  Trace& trace_;
  std::span<const contract::EndpointPool> levels_;
  Census* census_;   // of what is looked at
  Census* counted_;  // that says how old the count is
  const u64 service_active_;
  bool panic_known_ = false;
  u32 over_ = kNone32;     // first of each kind that was passed over
  u32 avoided_ = kNone32;
  u32 just_tried_ = kNone32;  // the last one to be avoided: only when there is no other at all
};

// The owners of slots, or points, from `first` on and going round, at most kPickWalkMax of them.
template <class Walk>
[[gnu::always_inline]] inline bool walk_owners(Walk& walk, const std::vector<u16>& owners, u32 first) {
  const u32 slots = static_cast<u32>(owners.size());
  const u32 steps = std::min(contract::kPickWalkMax, slots);
  for (u32 step = 0, slot = first; step < steps; ++step, slot = slot + 1 == slots ? 0 : slot + 1)
    if (walk.take(owners[slot], slot)) return true;
  return false;
}

// All of `count` endpoints, from a point that the hash gives. `member(i)`: index of the one at place i.
template <class Walk, class Member>
[[gnu::always_inline]] inline bool walk_members(Walk& walk, u64 hash, u32 count, Member member) {
  u32 at = static_cast<u32>(reduce(mix(hash), count));
  for (u32 step = 0; step < count; ++step, at = at + 1 == count ? 0 : at + 1)
    if (walk.take(member(at), kNone32)) return true;
  return false;
}

// Cores begin at different endpoints, or all of them would call on the first one first.
inline void begin_turns(u32& next, u32 count, u32 core) {
  if (next == kNone32) next = static_cast<u32>(reduce(core * kGolden, count));
}

// Laps over `count` endpoints. `next()`: index of the one whose turn it is; `waits(index)`: its weight earns it none yet.
template <class Walk, class Next, class Waits>
[[gnu::always_inline]] inline bool walk_turns(Walk& walk, u32 count, Next next, Waits waits) {
  // The heaviest healthy endpoint has a turn in every lap, so two laps are enough unless it cannot be taken.
  for (u32 visit = 0; visit < 2 * count; ++visit) {
    const u32 index = next();
    if (!waits(index) && walk.take(index, kNone32)) return true;
  }
  for (u32 visit = 0; visit < count; ++visit)
    if (walk.take(next(), kNone32)) return true;
  return false;
}

template <class Trace>
Pick Router::pick_maglev(const contract::Plan& plan, const contract::Service& service, u64 hash,
                         std::span<const u32> avoid, Trace& trace) {
  Walk<Trace, false> walk(*this, plan, service, avoid, true, trace);
  const u32 first = lookup::maglev_slot(hash, static_cast<u32>(service.maglev.size()));
  walk.out.hash = hash;
  walk.out.slot = first;
  do {
    if (walk_owners(walk, service.maglev, first)) return walk.out;
    if (walk_members(walk, hash, service.endpoint_count, [](u32 at) { return at; })) return walk.out;
    walk.settle();
  } while (walk.worth_another_walk());
  return walk.out;
}

template <class Trace>
Pick Router::pick_in_turn(const contract::Plan& plan, const contract::Service& service, std::span<const u32> avoid,
                          Trace& trace) {
  Walk<Trace, false> walk(*this, plan, service, avoid, false, trace);
  const u32 count = service.endpoint_count;
  u32& next = next_in_turn_[service.slot];
  begin_turns(next, count, core_);
  const auto advance = [&] {
    if (next >= count) next = 0;
    return next++;
  };
  const auto waits = [&](u32 index) {
    const contract::Endpoint& endpoint = plan.endpoints[service.first_endpoint + index];
    return walk.waits(index, credit_[endpoint.slot], endpoint.weight, walk.census().weight_max);
  };
  do {
    if (walk_turns(walk, count, advance, waits)) return walk.out;
    walk.settle();
  } while (walk.worth_another_walk());
  return walk.out;
}

}  // namespace ringway::route
