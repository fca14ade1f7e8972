// Routing and picking: what a rule costs by trie and by scan, what a pick costs with healthy and unhealthy endpoints.
//
// Requests cycle through 64 different heads, so branch predictors do not learn one answer by heart. The figures of one
// run compare with each other; docs/routing.md has them as ratios.

#include <benchmark/benchmark.h>

#include "control/compile/routes.h"
#include "dataplane/route/router.h"
#include "tests/unit/route/pool_world.h"

namespace ringway::test {
namespace {

constexpr u32 kHeads = 64;
enum class Kind { exact, prefix, prefix_scanned, regex, header_regex };

std::string segment(u32 i) { return std::string("/service").append(std::to_string(i * 7919 % 10'007)); }

config::MatchConfig match_of(Kind kind, u32 i) {
  config::MatchConfig m;
  const std::string base = std::string("/api").append(segment(i));
  switch (kind) {
    case Kind::exact: m.path = {config::PathMatch::exact, base + "/items/7", {}}; break;
    case Kind::prefix: m.path = {config::PathMatch::prefix, base, {}}; break;
    case Kind::prefix_scanned: m.path = {config::PathMatch::regex, base + "(/.*)?", {}}; break;
    case Kind::regex: m.path = {config::PathMatch::regex, base + "/items/[0-9]+(\\.json)?", {}}; break;
    case Kind::header_regex:
      m.headers.push_back({"x-tenant", config::ValueMatch::regex, "t" + base.substr(5) + "-[a-z]+", {}});
      break;
  }
  return m;
}

struct Routed {
  World world;
  contract::Listener listener;
  std::vector<TestHead> heads;

  Routed(Kind kind, u32 routes) {
    config::Config config;
    auto& shared = config.listeners.emplace_back();
    for (u32 i = 0; i < routes; ++i) {
      config::RouteConfig r;
      r.matches.push_back(match_of(kind, i));
      config::BackendRef to;
      to.service = 0;
      r.backends.push_back(to);
      shared.routes.push_back(r);
    }
    auto compiled = compile::compile_routes(config, 1);
    RW_ASSERT(compiled.has_value());
    world.add_service("a", {1});
    world.plan.route_tables = std::move(compiled->tables);
    world.plan.patterns = compiled->patterns;
    listener.route_table = 0;
    for (u32 i = 0; i < kHeads; ++i) {
      const u32 route = (i * 37 + 5) % routes;
      const std::string path = std::string("/api").append(segment(route)).append("/items/7");
      const std::string tenant = std::string("t").append(segment(route).substr(1)).append("-blue");
      heads.emplace_back("GET", path, "example.com",
                         Headers{{"User-Agent", "bench"}, {"Accept", "*/*"}, {"X-Tenant", tenant}});
    }
  }
};

template <Kind kind>
void match(benchmark::State& state) {
  Routed r(kind, static_cast<u32>(state.range(0)));
  for (const auto& head : r.heads) RW_ASSERT(r.world.router->match(r.world.plan, r.listener, *head).rule != kNone32);
  u32 i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(r.world.router->match(r.world.plan, r.listener, *r.heads[i]));
    i = (i + 1) % kHeads;
  }
}
BENCHMARK(match<Kind::exact>)->Name("match/exact/trie")->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(match<Kind::prefix>)->Name("match/prefix/trie")->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(match<Kind::prefix_scanned>)->Name("match/prefix/scan")->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(match<Kind::regex>)->Name("match/regex/scan")->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK(match<Kind::header_regex>)->Name("match/header_regex/scan")->Arg(10)->Arg(100)->Arg(1000);

// 100 endpoints; range(0) percent of them are failing.
void pick(benchmark::State& state, contract::BalancePolicy policy, contract::HashOn on) {
  World w;
  const u32 s = w.add_service("a", std::vector<u16>(100, 1), policy);
  w.service(s).hash_on = on;
  for (u32 i = 0; i < state.range(0); ++i) w.set_health(s, i * 9 % 100, contract::kHealthFailing);
  const TestHead head("GET", "/api/items/7");
  u32 client = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(w.router->pick(w.plan, s, *head, wire::Ip4{client * 2'654'435'761u}, 1));
    ++client;
  }
}
BENCHMARK_CAPTURE(pick, maglev_source, contract::BalancePolicy::maglev, contract::HashOn::source)->Arg(0)->Arg(10);
BENCHMARK_CAPTURE(pick, maglev_path, contract::BalancePolicy::maglev, contract::HashOn::path)->Arg(0)->Arg(10);
BENCHMARK_CAPTURE(pick, round_robin, contract::BalancePolicy::round_robin, contract::HashOn::source)->Arg(0)->Arg(10);

// The same by way of pools. `weights`: every third endpoint weighs thrice as much.
void pick_pool(benchmark::State& state, contract::BalancePolicy policy, bool weights, bool levels) {
  PoolWorld w;
  std::vector<EndpointSpec> specs(100);
  for (u32 i = 0; i < 100; ++i) {
    if (weights && i % 3 == 0) specs[i].weight = 3;
    if (levels && i >= 50) specs[i].priority = 1;
  }
  config::BalancingConfig how = balancing(policy);
  how.table_size = contract::kMaglevSlotsDefault;
  const u32 s = w.add(how, specs);
  for (u32 i = 0; i < state.range(0); ++i) w.set_health(s, i * 9 % 100, contract::kHealthFailing);
  const TestHead head("GET", "/api/items/7");
  u32 client = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(w.router->pick(w.plan, s, *head, wire::Ip4{client * 2'654'435'761u}, 1));
    ++client;
  }
}
BENCHMARK_CAPTURE(pick_pool, ring_hash, contract::BalancePolicy::ring_hash, false, false)->Arg(0)->Arg(10);
BENCHMARK_CAPTURE(pick_pool, least_request, contract::BalancePolicy::least_request, false, false)->Arg(0)->Arg(10);
BENCHMARK_CAPTURE(pick_pool, least_request_weighted, contract::BalancePolicy::least_request, true, false)->Arg(0)->Arg(10);
BENCHMARK_CAPTURE(pick_pool, random, contract::BalancePolicy::random, false, false)->Arg(0)->Arg(10);
BENCHMARK_CAPTURE(pick_pool, random_weighted, contract::BalancePolicy::random, true, false)->Arg(0)->Arg(10);
BENCHMARK_CAPTURE(pick_pool, maglev_levels, contract::BalancePolicy::maglev, false, true)->Arg(0)->Arg(10);
BENCHMARK_CAPTURE(pick_pool, round_robin_levels, contract::BalancePolicy::round_robin, false, true)->Arg(0)->Arg(10);

}  // namespace
}  // namespace ringway::test

BENCHMARK_MAIN();
