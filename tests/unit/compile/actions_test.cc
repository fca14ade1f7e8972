// Actions from the configuration to what a request becomes: merging, prefixes, expressions, locations, explanations; and that
// none of it allocates on a core.

#include <cstdlib>

#include "control/compile/actions.h"
#include "dataplane/rewrite/substitute.h"
#include "dataplane/rewrite/target.h"
#include "dataplane/route/explain.h"
#include "tests/unit/compile/routes_world.h"

namespace ringway::test {
extern std::size_t allocations;  // count_new.cc
}

namespace ringway::test {
namespace {

using contract::PathChange;

std::string rewritten(const contract::PathRewrite& rewrite, const std::string& target, u32 prefix_bytes,
                      const contract::SubstitutionDb* db = nullptr, u32 room_bytes = 200) {
  const TestHead head("GET", target);
  std::vector<u8> room(room_bytes);
  const rewrite::Text text = rewrite::target(rewrite, {db, 0}, *head, prefix_bytes, room);
  if (text.outcome == rewrite::Outcome::too_long) return "too long";
  if (text.outcome == rewrite::Outcome::invalid) return "invalid";
  return text.text.empty() ? "unchanged" : std::string(text.text);
}

// Gateway API, HTTPPathModifier: request path, prefix that matched, what stands for it, the path then.
TEST(Rewrite, Prefix_FollowsTheTableOfTheGatewayApi) {
  struct Row { const char *path, *prefix, *text, *want; };
  for (const Row& r : {Row{"/foo/bar", "/foo", "/xyz", "/xyz/bar"}, {"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
                       {"/foo/bar", "/foo/", "/xyz", "/xyz/bar"}, {"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
                       {"/foo", "/foo", "/xyz", "/xyz"}, {"/foo/", "/foo", "/xyz", "/xyz/"}, {"/foo/bar", "/foo", "", "/bar"},
                       {"/foo/", "/foo", "", "/"}, {"/foo", "/foo", "", "/"}, {"/foo/", "/foo", "/", "/"}, {"/foo", "/foo", "/", "/"},
                       {"/a", "/", "/xyz", "/xyz/a"}, {"/", "/", "/xyz", "/xyz/"}, {"/foo?q=/foo", "/foo", "/xyz", "/xyz?q=/foo"},
                       {"/foo?", "/foo", "", "/?"}}) {
    RouteWorld w;
    w.route("a", {on().prefix(r.prefix)});
    w.config_.listeners[0].routes[0].actions.rewrite = config::RewriteConfig{PathChange::prefix, r.text, "", "", {}, {}};
    w.compile();
    const TestHead head("GET", r.path);
    const route::Match m = w.match(head);
    ASSERT_NE(m.actions, kNone32);
    EXPECT_EQ(rewritten(w.world.plan.actions[m.actions].path, r.path, m.prefix_bytes(w.world.plan)), r.want)
        << r.path << ' ' << r.prefix << ' ' << r.text;
  }
}

TEST(Rewrite, FullPath_KeepsTheQueryAndAsteriskStays) {
  const contract::PathRewrite full{PathChange::full, "/one", kNone32};
  EXPECT_EQ(rewritten(full, "/a/b?c=d", 0), "/one?c=d");
  EXPECT_EQ(rewritten(full, "/a/b?c=d", 0, nullptr, 8), "/one?c=d");
  EXPECT_EQ(rewritten(full, "/a/b?c=d", 0, nullptr, 7), "too long");
}

struct Expression {
  std::shared_ptr<const contract::SubstitutionDb> db;
  Expression(const std::string& pattern, const std::string& text) {
    compile::SubstitutionSet set;
    const auto added = set.add(pattern, text);
    EXPECT_TRUE(added.has_value()) << added.error().sentence;
    db = *set.build(2);
  }
  std::string of(const std::string& target, u32 room_bytes = 200) const {
    return rewritten({PathChange::regex, "", 0}, target, 0, db.get(), room_bytes);
  }
};

TEST(Rewrite, Expressions_ReplaceEveryMatchWithGroups) {
  EXPECT_EQ(Expression("^/service/([^/]+)(/.*)$", "\\2/instance/\\1").of("/service/foo/v1/api?x=/service/"), "/v1/api/instance/foo?x=/service/");
  EXPECT_EQ(Expression("one", "two").of("/xxx/one/yyy/one/zzz"), "/xxx/two/yyy/two/zzz");
  EXPECT_EQ(Expression("(?i)/xxx/", "/yyy/").of("/aaa/XxX/bbb"), "/aaa/yyy/bbb");
  EXPECT_EQ(Expression("^(.*?)one(.*)$", "\\1two\\2").of("/xxx/one/yyy/one/zzz"), "/xxx/two/yyy/one/zzz");
  EXPECT_EQ(Expression("(a)|(b)", "[\\1\\2\\0\\\\]").of("/ab"), "/[aa\\][bb\\]");
  EXPECT_EQ(Expression("/.*", "/x").of("/abc"), "/x") << "nothing more right behind a match";
  EXPECT_EQ(Expression("x*", "-").of("/xy"), "invalid") << "an empty match at the front leaves no path";
  EXPECT_EQ(Expression("^/old", "/new").of("/other"), "unchanged");
  EXPECT_EQ(Expression("/a", "/aa").of("/a", 2), "too long");
}

TEST(Rewrite, WhatMakesNoPath_IsInvalid) {
  EXPECT_EQ(Expression("^/", "").of("/a"), "invalid");
  EXPECT_EQ(Expression("^/.*", "").of("/a"), "invalid");
  EXPECT_EQ(Expression("^/a", "b").of("/a"), "invalid");
}

// Work is bounded: an expression that tries everything gives up, and one that matches everywhere too.
TEST(Rewrite, HostileExpressions_GiveUp) {
  const std::string many = "/" + std::string(8000, 'a');
  EXPECT_EQ(Expression("(a+)+(a+)+[0-9][xy]", "").of(many + "0", 10'000), "invalid");
  EXPECT_EQ(Expression("(?:a|aa)+$b", "x").of(many, 10'000), "unchanged");
  EXPECT_EQ(Expression("a", "b").of(many, 10'000), "invalid") << "more than kRewriteMatchesMax matches";
  EXPECT_EQ(Expression("a", "b").of("/" + std::string(contract::kRewriteMatchesMax, 'a')), "/" + std::string(contract::kRewriteMatchesMax, 'b'));
  const std::string deep = Expression("^/(?:(a)|b)*$", "/\\1").of(many, 10'000);
  EXPECT_TRUE(deep == "/a" || deep == "invalid") << deep.substr(0, 40);
}

TEST(Rewrite, ExpressionsThatACoreCannotBear_AreRefused) {
  const auto problem = [](const std::string& pattern, const std::string& text = "x") {
    compile::SubstitutionSet set;
    const auto added = set.add(pattern, text);
    return added ? std::string("taken") : added.error().sentence;
  };
  EXPECT_EQ(problem("(1)(2)(3)(4)(5)(6)(7)(8)(9)"), "taken");
  EXPECT_EQ(problem("(1)(2)(3)(4)(5)(6)(7)(8)(9)(10)"), "regular expression: more than 9 groups; (?:) groups without one");
  EXPECT_EQ(problem("a(b"), "regular expression: missing closing parenthesis (at character 4)");
  EXPECT_EQ(problem("(a)", "\\2"), "substitution: \\2: the pattern has 1 groups");
  EXPECT_EQ(problem("(a)", "\\x"), "substitution: a backslash is followed by a group's number or by another one");
  EXPECT_EQ(problem("(a)", "\\"), "substitution: a backslash is followed by a group's number or by another one");
  EXPECT_EQ(problem("(*NO_JIT)a"), "regular expression: forbids machine code, which the cores need");
  EXPECT_EQ(problem("(*UTF)a").substr(0, 20), "regular expression: ");
  EXPECT_EQ(problem("(((a{100}){100}){100})").substr(0, 20), "regular expression: ");
  EXPECT_EQ(problem(std::string(17, '(') + "a" + std::string(17, ')')).substr(0, 20), "regular expression: ");
}

TEST(RewriteMemory, TargetsAndLocations_AllocateNothing) {
  const Expression expression("^/service/([^/]+)(/.*)$", "\\2/instance/\\1");
  const contract::PathRewrite regex{PathChange::regex, "", 0}, prefix{PathChange::prefix, "/xyz", kNone32};
  contract::Redirect redirect;
  redirect.path = prefix;
  const TestHead head("GET", "/service/foo/v1/api");
  std::vector<u8> room(1000);
  bool good = true;
  void* volatile taken = std::malloc(1);
  EXPECT_GT(allocations, 0u) << "what a library in C takes is counted too";
  std::free(taken);
  const std::size_t before = allocations;
  for (u32 i = 0; i < 1000; ++i) {
    good &= !rewrite::target(regex, {expression.db.get(), 1}, *head, 0, room).text.empty();
    good &= !rewrite::target(prefix, {}, *head, 8, room).text.empty();
    good &= !rewrite::location(redirect, *head, 8, "own", room).text.empty();
  }
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_TRUE(good);
}

std::string location_of(const config::RedirectConfig& redirect, u16 listener_port, const std::string& host, const std::string& target) {
  RouteWorld w;
  w.route(RouteWorld::Weighted{}, {on().prefix("/old")});
  w.config_.listeners[0].port = listener_port;
  w.config_.listeners[0].routes[0].actions.redirect = redirect;
  w.compile();
  const TestHead head("GET", target, host);
  const route::Match m = w.match(head);
  std::vector<u8> room(500);
  const auto& actions = w.world.plan.actions.at(m.actions);
  return std::to_string(actions.redirect.status) + " " +
         std::string(rewrite::location(actions.redirect, *head, m.prefix_bytes(w.world.plan), "10.9.0.1", room).text);
}

TEST(Redirects, Location_HasThePortOfTheListenerUnlessTheSchemeIsSaid) {
  config::RedirectConfig r;
  EXPECT_EQ(location_of(r, 80, "a.example:81", "/old?q"), "302 http://a.example/old?q");
  EXPECT_EQ(location_of(r, 8080, "a.example", "/old"), "302 http://a.example:8080/old");
  r.scheme = "https";
  EXPECT_EQ(location_of(r, 8080, "[fd00::1]:80", "/old"), "302 https://[fd00::1]/old");
  r.port = 8443;
  r.host = "b.example";
  r.status = 301;
  EXPECT_EQ(location_of(r, 80, "a.example", "/old"), "301 https://b.example:8443/old");
  r.path = {PathChange::prefix, "/new/", "", "", {}, {}};
  EXPECT_EQ(location_of(r, 80, "a.example", "/old/x?q"), "301 https://b.example:8443/new/x?q");
  EXPECT_EQ(location_of({}, 80, "", "/old"), "302 http://10.9.0.1/old");
}

config::FieldConfig text_field(const std::string& name, const std::string& value) { return {name, {{contract::Variable::text, value}}}; }

// In words: "-name" goes, "name=value" comes.
std::string words(const contract::FieldChanges& changes) {
  std::string out;
  for (const auto& name : changes.dropped) out += "-" + name + " ";
  for (const auto& field : changes.added) out += field.name + "=" + field.value.at(0).text + " ";
  return out;
}

TEST(FieldChanges, RouteThenBackendThenService_EachOnWhatIsLeft) {
  RouteWorld w;
  w.route("a", {on().prefix("/r")});
  w.config_.services[0].request = {{text_field("S", "3")}, {text_field("x-all", "s")}, {}};
  w.config_.services[0].response = {{}, {}, {"Server"}};
  auto& route = w.config_.listeners[0].routes[0];
  route.actions.request = {{text_field("s", "1"), text_field("X", "1")}, {text_field("X-All", "r")}, {"y"}};
  route.backends[0].actions.request = {{}, {text_field("X-All", "b")}, {"x"}};
  w.default_service("a");
  w.compile();
  const auto& plan = w.world.plan;
  EXPECT_EQ(words(plan.actions.at(w.match(TestHead("GET", "/r")).actions).request), "-y -s -x X-All=r X-All=b S=3 x-all=s ");
  EXPECT_EQ(words(plan.actions.at(w.match(TestHead("GET", "/other")).actions).request), "-s S=3 x-all=s ") << "the service alone";
  EXPECT_EQ(words(plan.actions.at(w.match(TestHead("GET", "/r")).actions).response), "-server ");
}

TEST(FieldChanges, NothingToDo_IsNoAction) {
  RouteWorld w;
  w.route("a", {on().prefix("/r")});
  EXPECT_EQ(w.match(TestHead("GET", "/r")).actions, kNone32);
}

TEST(Explain, Actions_AreToldAsTheCoresWouldDoThem) {
  RouteWorld w;
  w.route("a", {on().prefix("/r")}).route(RouteWorld::Weighted{}, {on().prefix("/old")});
  auto& route = w.config_.listeners[0].routes[0];
  route.actions.rewrite = config::RewriteConfig{PathChange::regex, "/n/\\1", "^/r/([a-z]+)", "inner:81", {}, {}};
  route.actions.request = {{{"X-Asked", {{contract::Variable::request_field, ":path"}}}}, {}, {"x-gone"}};
  route.actions.fault = contract::Fault{.delay_share = 50'000, .abort_share = 1'000'000, .delay_us = 3000, .abort_status = 500, .header = "x-f"};
  route.actions.mirror.service = 0;
  w.config_.listeners[0].port = 80;
  w.config_.listeners[0].routes[1].actions.redirect = config::RedirectConfig{.status = 308};
  w.compile();
  route::Explainer explainer(*w.world.board, *w.world.stats, 1);
  const auto e = explainer.explain(w.world.plan, w.listener, *TestHead("GET", "/r/abc?q"), wire::Ip4::of(10, 0, 0, 7), 4711);
  EXPECT_EQ(e.actions, (std::vector<std::string>{"path and query become /n/abc?q", "host becomes inner:81", "request header x-gone goes",
                                                 "request header x-asked goes", "request header X-Asked: /r/abc?q",
                                                 "held back for 3 ms: 5 % of the requests that have the header x-f",
                                                 "answered with 500: 100 % of the requests that have the header x-f",
                                                 "copied to a: 100 % of the requests"}));
  EXPECT_TRUE(e.outcome.starts_with("forwarded to")) << e.outcome;
  w.listener.ip = wire::Ip4::of(10, 9, 0, 1);
  EXPECT_EQ(explainer.explain(w.world.plan, w.listener, *TestHead("GET", "/old/x", "h"), wire::Ip4{1}, 1).outcome,
            "308: redirect to http://h/old/x");
}

}  // namespace
}  // namespace ringway::test
