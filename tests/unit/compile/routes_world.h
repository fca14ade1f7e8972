#pragma once
// For tests of route compilation: a configuration of one listener in few words, compiled into a plan and asked.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "control/compile/routes.h"
#include "dataplane/route/router.h"
#include "tests/unit/route/world.h"

namespace ringway::test {

using config::PathMatch;
using config::ValueMatch;

struct MatchWords {
  config::MatchConfig m;
  MatchWords& exact(std::string v) { return path(PathMatch::exact, std::move(v)); }
  MatchWords& prefix(std::string v) { return path(PathMatch::prefix, std::move(v)); }
  MatchWords& regex(std::string v) { return path(PathMatch::regex, std::move(v)); }
  MatchWords& method(std::string v) { m.method = std::move(v); return *this; }
  MatchWords& header(std::string n, std::string v, ValueMatch t = ValueMatch::exact) {
    m.headers.push_back({std::move(n), t, std::move(v), mark()});
    return *this;
  }
  MatchWords& query(std::string n, std::string v, ValueMatch t = ValueMatch::exact) {
    m.query.push_back({std::move(n), t, std::move(v), mark()});
    return *this;
  }

  int line = 0;  // given to the marks of the next conditions

 private:
  config::Mark mark() const { return {line, 9}; }
  MatchWords& path(PathMatch type, std::string v) {
    m.path = config::PathCondition{type, std::move(v), mark()};
    return *this;
  }
};
inline MatchWords on() { return {}; }

class RouteWorld {
 public:
  RouteWorld() {
    config_.file = "test.yaml";
    config_.listeners.emplace_back().name = "shared";
  }

  using Weighted = std::vector<std::pair<std::string, u32>>;
  RouteWorld& route(const std::string& service, std::vector<MatchWords> matches = {},
                    std::vector<std::string> hosts = {}) {
    return route(Weighted{{service, 1}}, std::move(matches), std::move(hosts));
  }
  RouteWorld& route(const Weighted& backends, std::vector<MatchWords> matches = {},
                    std::vector<std::string> hosts = {}) {
    auto& shared = config_.listeners[0];
    config::RouteConfig r;
    r.name = "route-" + std::to_string(shared.routes.size() + 1);
    r.hosts = std::move(hosts);
    for (auto& m : matches) r.matches.push_back(std::move(m.m));
    for (const auto& [name, weight] : backends) {
      config::BackendRef b;
      b.service = service(name);
      b.service_name = name;
      b.weight = weight;
      r.backends.push_back(b);
    }
    shared.routes.push_back(std::move(r));
    compiled_ = false;
    return *this;
  }
  RouteWorld& default_service(const std::string& name) {
    config_.listeners[0].service = service(name);
    return *this;
  }

  u32 service(const std::string& name) {
    for (u32 i = 0; i < names_.size(); ++i)
      if (names_[i] == name) return i;
    names_.push_back(name);
    world.add_service(name, {1, 1}, contract::BalancePolicy::round_robin);
    config_.services.emplace_back().discovery_name = name;
    return static_cast<u32>(names_.size() - 1);
  }

  std::expected<compile::Routes, std::vector<config::Problem>> try_compile() {
    return compile::compile_routes(config_, 1);
  }
  void compile() {
    auto routes = try_compile();
    ASSERT_TRUE(routes.has_value()) << routes.error()[0].message;
    world.plan.route_tables = std::move(routes->tables);
    world.plan.patterns = routes->patterns;
    world.plan.actions = std::move(routes->actions);
    world.plan.substitutions = routes->substitutions;
    listener.name = "shared";
    listener.route_table = routes->table_of[0];
    listener.service = config_.listeners[0].service;
    listener.actions = listener.service >= routes->actions_of.size() ? kNone32 : routes->actions_of[listener.service];
    compiled_ = true;
  }

  route::Match match(const TestHead& head) {
    if (!compiled_) compile();
    return world.router->match(world.plan, listener, *head);
  }
  // Name of the service that gets the request; "404" without a route, "500" without a backend.
  std::string to(const TestHead& head) {
    const route::Match m = match(head);
    if (m.no_backend()) return "500";
    return m.service == kNone32 ? "404" : names_[m.service];
  }
  std::string get(std::string_view target, std::string_view host = "h", const Headers& headers = {}) {
    return to(TestHead("GET", target, host, headers));
  }

  World world;
  contract::Listener listener;
  config::Config config_;

 private:
  std::vector<std::string> names_;
  bool compiled_ = false;
};

}  // namespace ringway::test
