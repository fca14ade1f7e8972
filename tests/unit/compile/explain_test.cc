// Explanations, and that routing a request allocates nothing.

#include <gtest/gtest.h>

#include "dataplane/route/explain.h"
#include "tests/unit/compile/routes_world.h"

namespace ringway::test {
extern std::size_t allocations;  // count_new.cc
}

namespace ringway::test {
namespace {

TEST(RouteMemory, MatchAndPick_AllocateNothing) {
  RouteWorld w;
  w.route("a", {on().regex("/v[0-9]+/.*").header("x-user", "[a-z]+", ValueMatch::regex)}, {"*.example.com"});
  w.route(RouteWorld::Weighted{{"b", 1}, {"c", 2}}, {on().prefix("/p").query("q", "1")});
  const u32 hashed = w.world.add_service("hashed", std::vector<u16>(50, 1));
  for (u32 i = 0; i < 20; ++i) w.world.set_health(hashed, i, contract::kHealthFailing);
  w.compile();
  const TestHead scanned("GET", "/v1/x", "api.example.com", {{"X-User", "bob"}});
  const TestHead walked("GET", "/p/x?q=1");
  const std::vector<u32> avoid{30};
  const std::size_t before = allocations;
  bool all_good = true;
  for (u32 i = 0; i < 1000; ++i) {
    const route::Match m = w.match(scanned);
    all_good &= m.scanned && m.service == 0 && w.match(walked).service != kNone32;
    all_good &= w.world.router->pick(w.world.plan, m.service, *scanned, wire::Ip4{i}, 1).endpoint != kNone32;
    all_good &= w.world.router->pick(w.world.plan, hashed, *scanned, wire::Ip4{i}, 1, avoid).endpoint != kNone32;
  }
  const std::size_t after = allocations;
  EXPECT_TRUE(all_good);
  EXPECT_EQ(after - before, 0u);
}

struct ExplainWorld : RouteWorld {
  route::Explanation explain(const TestHead& head) {
    compile();
    route::Explainer explainer(*world.board, *world.stats, 1);  // one core: room 1 is the spare one
    return explainer.explain(world.plan, listener, *head, wire::Ip4::of(10, 0, 0, 7), 4711);
  }
};

TEST(Explain, RouteAndRule_AreNamed) {
  ExplainWorld w;
  w.route("a", {on().regex("/v[0-9]+").header("x-user", "bob").method("GET")}, {"*.example.com"});
  const auto e = w.explain(TestHead("GET", "/v7", "api.example.com", {{"X-User", "bob"}}));
  EXPECT_EQ(e.listener, "shared");
  EXPECT_EQ(e.route, "route-1");
  EXPECT_EQ(e.rule, "host *.example.com, path ~ /v[0-9]+, method GET, header x-user = bob");
  EXPECT_EQ(e.service, "a");
  EXPECT_TRUE(e.match.scanned);
  EXPECT_EQ(e.policy, "round robin");
  EXPECT_EQ(e.outcome, "forwarded to " + e.endpoint);
}

TEST(Explain, NoRoute_Says404AndNoBackend500AndNoEndpoint503) {
  ExplainWorld w;
  w.route("a", {on().prefix("/a")}).route(RouteWorld::Weighted{{"b", 0}}, {on().prefix("/b")});
  EXPECT_EQ(w.explain(TestHead("GET", "/x")).outcome, "404: no route");
  EXPECT_TRUE(w.explain(TestHead("GET", "/b")).outcome.starts_with("500"));
  for (u32 i = 0; i < 2; ++i) w.world.set_health(0, i, contract::kHealthUnproven);
  const auto e = w.explain(TestHead("GET", "/a"));
  EXPECT_EQ(e.outcome, "503: no endpoint may be picked");
  EXPECT_EQ(e.looks.at(0).outcome, "no health check has succeeded yet");
}

TEST(Explain, MaglevWalk_SaysWhatCoresDo) {
  ExplainWorld w;
  const u32 s = w.world.add_service("hashed", std::vector<u16>(4, 1));
  w.config_.listeners[0].service = s;
  w.compile();
  w.listener.service = s;
  w.world.service(s).hash_on = contract::HashOn::header;
  w.world.service(s).hash_name = "x-user";
  const TestHead head("GET", "/", "h", {{"X-User", "bob"}});
  const auto first = w.world.router->pick(w.world.plan, s, *head, wire::Ip4{1}, 1);
  w.world.board->store(w.world.plan.endpoints[first.endpoint].slot, contract::kHealthFailing);
  const auto core = w.world.router->pick(w.world.plan, s, *head, wire::Ip4{1}, 1);

  route::Explainer explainer(*w.world.board, *w.world.stats, 1);
  const auto e = explainer.explain(w.world.plan, w.listener, *head, wire::Ip4{1}, 1);
  EXPECT_EQ(e.hash_input, "header x-user: bob");
  EXPECT_EQ(e.policy, "maglev, 65537 slots");
  EXPECT_EQ(e.pick.hash, core.hash);
  EXPECT_EQ(e.pick.slot, core.slot);
  EXPECT_EQ(e.pick.endpoint, core.endpoint);
  ASSERT_EQ(e.looks.size(), core.walked + 1);
  EXPECT_EQ(e.looks.front().endpoint, first.endpoint);
  EXPECT_EQ(e.looks.front().maglev_slot, core.slot);
  EXPECT_EQ(e.looks.front().outcome, "failing health checks");
  EXPECT_EQ(e.looks.back().outcome, "taken");
  EXPECT_EQ(e.endpoint, w.world.plan.endpoints[core.endpoint].id);
  const TestHead without("GET", "/");
  EXPECT_EQ(explainer.explain(w.world.plan, w.listener, *without, wire::Ip4::of(10, 0, 0, 7), 1).hash_input,
            "source address 10.0.0.7 (the request has no x-user)");
}

}  // namespace
}  // namespace ringway::test
