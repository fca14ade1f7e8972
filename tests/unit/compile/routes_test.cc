// Route tables from configuration to decision: precedence, conditions, weights, expressions, errors with positions.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "control/compile/patterns.h"
#include "dataplane/inspect/scan.h"
#include "tests/unit/compile/routes_world.h"

namespace ringway::test {
namespace {

TEST(RouteHosts, ExactBeatsWildcardBeatsAny) {
  RouteWorld w;
  w.route("any").route("wild", {}, {"*.example.com"}).route("longer", {}, {"*.api.example.com"});
  w.route("exact", {}, {"a.example.com"});
  EXPECT_EQ(w.get("/", "a.example.com"), "exact");
  EXPECT_EQ(w.get("/", "b.example.com"), "wild");
  EXPECT_EQ(w.get("/", "x.y.example.com"), "wild");
  EXPECT_EQ(w.get("/", "x.api.example.com"), "longer");
  EXPECT_EQ(w.get("/", "api.example.com"), "wild");
  EXPECT_EQ(w.get("/", "example.com"), "any");
  EXPECT_EQ(w.get("/", "notexample.com"), "any");
  EXPECT_EQ(w.get("/", "x.notexample.com"), "any");
}

TEST(RouteHosts, CasePortAndFinalDot_SayNothing) {
  RouteWorld w;
  w.route("exact", {}, {"a.example.com"}).route("wild", {}, {"*.example.com"});
  EXPECT_EQ(w.get("/", "A.Example.COM"), "exact");
  EXPECT_EQ(w.get("/", "a.example.com:8080"), "exact");
  EXPECT_EQ(w.get("/", "a.example.com."), "exact");
  EXPECT_EQ(w.get("/", "B.example.com:80"), "wild");
  EXPECT_EQ(w.get("/", ""), "404");
  EXPECT_EQ(w.get("/", std::string(300, 'a') + ".example.com"), "404");
}

TEST(RouteHosts, NoRuleOfTheBestHostHolds_TheNextHostIsAsked) {
  RouteWorld w;
  w.route("exact", {on().prefix("/only")}, {"a.example.com"}).route("wild", {on().prefix("/w")}, {"*.example.com"});
  w.route("any", {on().prefix("/")});
  EXPECT_EQ(w.get("/only", "a.example.com"), "exact");
  EXPECT_EQ(w.get("/w", "a.example.com"), "wild");
  EXPECT_EQ(w.get("/z", "a.example.com"), "any");
}

TEST(RoutePaths, ExactBeatsRegexBeatsLongestPrefix) {
  RouteWorld w;
  w.route("root", {on().prefix("/")}).route("long", {on().prefix("/api/v1")}).route("short", {on().prefix("/api")});
  w.route("regex", {on().regex("/api/v1/[0-9]+")}).route("exact", {on().exact("/api/v1/7")});
  EXPECT_EQ(w.get("/api/v1/7"), "exact");
  EXPECT_EQ(w.get("/api/v1/8"), "regex");
  EXPECT_EQ(w.get("/api/v1/x"), "long");
  EXPECT_EQ(w.get("/api/v2"), "short");
  EXPECT_EQ(w.get("/other"), "root");
}

TEST(RoutePaths, Prefix_CoversWholeSegments) {
  for (const char* prefix : {"/foo", "/foo/"}) {
    RouteWorld w;
    w.route("foo", {on().prefix(prefix)});
    EXPECT_EQ(w.get("/foo"), "foo") << prefix;
    EXPECT_EQ(w.get("/foo/"), "foo") << prefix;
    EXPECT_EQ(w.get("/foo/bar"), "foo") << prefix;
    EXPECT_EQ(w.get("/foo?x=/bar"), "foo") << prefix;
    EXPECT_EQ(w.get("/foobar"), "404") << prefix;
    EXPECT_EQ(w.get("/fo"), "404") << prefix;
    EXPECT_EQ(w.get("/FOO"), "404") << prefix;
  }
}

TEST(RoutePaths, PrefixBesideALongerWord_IsNotShadowedByIt) {
  RouteWorld w;
  w.route("foo", {on().prefix("/foo")}).route("foobar", {on().prefix("/foobar")}).route("root", {on().prefix("/")});
  w.route("deep", {on().prefix("/foobar/a/b")});
  EXPECT_EQ(w.get("/foobar/x"), "foobar");
  EXPECT_EQ(w.get("/foobarx"), "root");
  EXPECT_EQ(w.get("/foo/barx"), "foo");
  EXPECT_EQ(w.get("/foobar/a/bc"), "foobar");
  EXPECT_EQ(w.get("/foobar/a/b/c"), "deep");
}

TEST(RoutePaths, Exact_IsExact) {
  RouteWorld w;
  w.route("e", {on().exact("/foo")});
  EXPECT_EQ(w.get("/foo"), "e");
  EXPECT_EQ(w.get("/foo?q"), "e");
  EXPECT_EQ(w.get("/foo/"), "404");
  EXPECT_EQ(w.get("/foo/bar"), "404");
}

TEST(RoutePaths, NothingIsDecodedOrMerged) {
  RouteWorld w;
  w.route("e", {on().exact("/a b")}).route("enc", {on().exact("/a%20b")}).route("dots", {on().prefix("/x")});
  EXPECT_EQ(w.get("/a%20b"), "enc");
  EXPECT_EQ(w.get("/y/../x"), "404");
}

TEST(RouteTies, MethodThenHeadersThenQueryThenOrder) {
  RouteWorld w;
  w.route("plain", {on().prefix("/a")});
  w.route("query1", {on().prefix("/a").query("q", "1")});
  w.route("query2", {on().prefix("/a").query("q", "1").query("r", "2")});
  w.route("header1", {on().prefix("/a").header("x", "1")});
  w.route("header2", {on().prefix("/a").header("x", "1").header("y", "2")});
  w.route("method", {on().prefix("/a").method("GET")});
  w.route("second plain", {on().prefix("/a")});
  const Headers x{{"X", "1"}}, xy{{"X", "1"}, {"Y", "2"}};
  EXPECT_EQ(w.to(TestHead("GET", "/a?q=1&r=2", "h", xy)), "method");
  EXPECT_EQ(w.to(TestHead("PUT", "/a?q=1&r=2", "h", xy)), "header2");
  EXPECT_EQ(w.to(TestHead("PUT", "/a?q=1&r=2", "h", x)), "header1");
  EXPECT_EQ(w.to(TestHead("PUT", "/a?q=1&r=2")), "query2");
  EXPECT_EQ(w.to(TestHead("PUT", "/a?q=1")), "query1");
  EXPECT_EQ(w.to(TestHead("PUT", "/a")), "plain");
}

TEST(RouteTies, LongerPathBeatsMoreConditions) {
  RouteWorld w;
  w.route("rich", {on().prefix("/a").method("GET").header("x", "1")}).route("long", {on().prefix("/a/b")});
  EXPECT_EQ(w.get("/a/b", "h", {{"x", "1"}}), "long");
  EXPECT_EQ(w.get("/a/c", "h", {{"x", "1"}}), "rich");
}

TEST(RouteTies, LongerPrefixWhoseConditionsFail_GivesWayToTheShorterOne) {
  RouteWorld w;
  w.route("post", {on().prefix("/a/b").method("POST")}).route("short", {on().prefix("/a")});
  EXPECT_EQ(w.get("/a/b/c"), "short");
  EXPECT_EQ(w.to(TestHead("POST", "/a/b/c")), "post");
}

TEST(RouteConditions, Headers_IgnoreTheCaseOfNamesAndTakeTheFirst) {
  RouteWorld w;
  w.route("h", {on().header("version", "one")});
  EXPECT_EQ(w.get("/", "h", {{"VERSION", "one"}}), "h");
  EXPECT_EQ(w.get("/", "h", {{"version", "One"}}), "404");
  EXPECT_EQ(w.get("/", "h", {{"version", "one"}, {"version", "two"}}), "h");
  EXPECT_EQ(w.get("/", "h", {{"version", "two"}, {"version", "one"}}), "404");
  EXPECT_EQ(w.get("/", "h", {{"versions", "one"}}), "404");
}

TEST(RouteConditions, Query_IsComparedAsSentAndTakesTheFirst) {
  RouteWorld w;
  w.route("q", {on().query("a", "1")}).route("empty", {on().query("flag", "")});
  EXPECT_EQ(w.get("/?a=1"), "q");
  EXPECT_EQ(w.get("/?b=2&a=1"), "q");
  EXPECT_EQ(w.get("/?a=1&a=2"), "q");
  EXPECT_EQ(w.get("/?a=2&a=1"), "404");
  EXPECT_EQ(w.get("/?A=1"), "404");
  EXPECT_EQ(w.get("/?a=%31"), "404");
  EXPECT_EQ(w.get("/?aa=1"), "404");
  EXPECT_EQ(w.get("/?flag"), "empty");
  EXPECT_EQ(w.get("/?flag="), "empty");
  EXPECT_EQ(w.get("/"), "404");
}

TEST(RoutePatterns, MatchTheWholeValue) {
  RouteWorld w;
  w.route("p", {on().regex("/v[0-9]+/users")}).route("h", {on().header("x-id", "a+b", ValueMatch::regex)});
  w.route("q", {on().query("n", "[0-9]{2}", ValueMatch::regex)});
  EXPECT_EQ(w.get("/v12/users"), "p");
  EXPECT_EQ(w.get("/v12/users/7"), "404");
  EXPECT_EQ(w.get("/x/v12/users"), "404");
  EXPECT_EQ(w.get("/", "h", {{"X-Id", "aaab"}}), "h");
  EXPECT_EQ(w.get("/", "h", {{"X-Id", "aaabc"}}), "404");
  EXPECT_EQ(w.get("/", "h", {{"Other", "aaab"}}), "404");
  EXPECT_EQ(w.get("/?n=42"), "q");
  EXPECT_EQ(w.get("/?n=421"), "404");
  EXPECT_EQ(w.get("/?m=42"), "404");
}

TEST(RoutePatterns, AnchorsAlternativesAndFlags_MeanWhatTheyMeanAlone) {
  RouteWorld w;
  w.route("anchored", {on().regex("^/a$")}).route("either", {on().regex("/b|/c")});
  w.route("caseless", {on().regex("(?i)/secret")}).route("empty", {on().header("e", "", ValueMatch::regex)});
  w.route("dollar", {on().regex("/cost\\$")}).route("slashed", {on().regex("/back\\\\$")});
  EXPECT_EQ(w.get("/cost$"), "dollar");
  EXPECT_EQ(w.get("/cost"), "404");
  EXPECT_EQ(w.get("/back\\"), "slashed");
  EXPECT_EQ(w.get("/a"), "anchored");
  EXPECT_EQ(w.get("/b"), "either");
  EXPECT_EQ(w.get("/c"), "either");
  EXPECT_EQ(w.get("/bc"), "404");
  EXPECT_EQ(w.get("/SeCret"), "caseless");
  EXPECT_EQ(w.get("/", "h", {{"E", ""}}), "empty");
  EXPECT_EQ(w.get("/", "h", {{"E", "x"}}), "404");
}

// "[^/]*" matches a line's end too: without the check of where a match ends it would run on into the next piece.
TEST(RoutePatterns, MatchesDoNotRunOnIntoTheNextPiece) {
  RouteWorld w;
  w.route("p", {on().regex("/a[^/]*z")}).route("h", {on().header("x", "q[^/]*z", ValueMatch::regex)});
  w.route("y", {on().header("y", "nothing", ValueMatch::regex)});
  EXPECT_EQ(w.get("/ab", "h", {{"X", "yz"}}), "404");
  EXPECT_EQ(w.get("/abz", "h", {{"X", "yz"}}), "p");
  EXPECT_EQ(w.get("/ab", "h", {{"X", "q"}, {"Y", "z"}}), "404");
  EXPECT_EQ(w.get("/ab", "h", {{"X", "qz"}, {"Y", "z"}}), "h");
}

TEST(RoutePatterns, ScannedOnlyWhenAPatternIsAskedFor) {
  RouteWorld w;
  w.route("exact", {on().exact("/e")}).route("regex", {on().regex("/r[0-9]")}).route("root", {on().prefix("/")});
  EXPECT_FALSE(w.match(TestHead("GET", "/e")).scanned);
  EXPECT_TRUE(w.match(TestHead("GET", "/r1")).scanned);
  EXPECT_TRUE(w.match(TestHead("GET", "/other")).scanned);
  const auto scans = w.world.stats->page.counters[static_cast<u32>(contract::Counter::scans)].get();
  EXPECT_EQ(scans, 2u);
  RouteWorld plain;
  plain.route("a", {on().prefix("/a").header("x", "1")});
  EXPECT_EQ(plain.get("/a", "h", {{"x", "1"}}), "a");
  EXPECT_EQ(plain.world.plan.patterns, nullptr);
}

TEST(RoutePatterns, SharedByRoutes_AreKeptOnceAndEveryCoreHasARoom) {
  config::Config config;
  for (const char* name : {"one", "two"}) {
    auto& listener = config.listeners.emplace_back();
    listener.name = name;
    for (const char* value : {"/a.*", "/b.*"}) {
      config::RouteConfig r;
      r.matches.push_back(on().regex(value).m);
      listener.routes.push_back(r);
    }
  }
  const auto routes = compile::compile_routes(config, 3);
  ASSERT_TRUE(routes.has_value());
  EXPECT_EQ(routes->patterns->patterns.size(), 2u);
  EXPECT_EQ(routes->patterns->pieces.size(), 1u);
  ASSERT_EQ(routes->patterns->rooms.size(), 4u);
  for (const auto& room : routes->patterns->rooms) EXPECT_NE(room.scratch, nullptr);
}

TEST(RouteErrors, EveryBadExpression_IsReportedAtItsPlace) {
  RouteWorld w;
  MatchWords first = on(), second = on(), third = on();
  first.line = 12;
  second.line = 20;
  third.line = 31;
  w.route("a", {first.regex("/a(")}).route("b", {second.header("x", "(?=ahead)", ValueMatch::regex)});
  w.route("c", {third.query("q", "a)|(b", ValueMatch::regex)}).route("fine", {on().regex("/ok")});
  const auto routes = w.try_compile();
  ASSERT_FALSE(routes.has_value());
  ASSERT_EQ(routes.error().size(), 3u);
  const int lines[] = {12, 20, 31};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(routes.error()[static_cast<u32>(i)].file, "test.yaml");
    EXPECT_EQ(routes.error()[static_cast<u32>(i)].line, lines[i]);
    EXPECT_EQ(routes.error()[static_cast<u32>(i)].column, 9);
    EXPECT_TRUE(routes.error()[static_cast<u32>(i)].message.starts_with("regular expression: "));
  }
}

TEST(RouteErrors, ExpressionThatSwallowsItsBrackets_IsRefused) {
  for (const char* text : {"(?x)/a # comment", "\\Q/a"}) {
    RouteWorld w;
    MatchWords m = on();
    m.line = 5;
    w.route("a", {m.regex(text)});
    const auto routes = w.try_compile();
    if (routes.has_value()) {  // accepted is fine too, as long as it means what it says
      EXPECT_EQ(w.get("/a"), "a") << text;
      EXPECT_EQ(w.get("/ab"), "404") << text;
    } else {
      EXPECT_EQ(routes.error()[0].line, 5) << text;
    }
  }
}

TEST(RouteWeights, Split_IsStatisticallyRight) {
  RouteWorld w;
  w.route(RouteWorld::Weighted{{"a", 70}, {"b", 20}, {"none", 0}, {"c", 10}});
  std::map<std::string, u32> count;
  constexpr u32 kRequests = 100'000;
  const TestHead head("GET", "/");
  for (u32 i = 0; i < kRequests; ++i) ++count[w.to(head)];
  EXPECT_EQ(count.count("none"), 0u);
  double chi2 = 0;
  for (const auto& [name, share] : std::map<std::string, double>{{"a", 0.7}, {"b", 0.2}, {"c", 0.1}}) {
    const double expected = kRequests * share;
    chi2 += std::pow(count[name] - expected, 2) / expected;
  }
  EXPECT_LT(chi2, 13.8);  // 2 degrees of freedom, 0.1 %
}

TEST(RouteWeights, AllZero_MatchesWithoutABackend) {
  RouteWorld w;
  w.route(RouteWorld::Weighted{{"a", 0}, {"b", 0}}).default_service("default");
  EXPECT_EQ(w.get("/"), "500");
}

TEST(RouteDefaults, NoRule_GoesToTheListenersService) {
  RouteWorld w;
  w.route("a", {on().prefix("/a")}).default_service("default");
  EXPECT_EQ(w.get("/b"), "default");
  EXPECT_EQ(w.match(TestHead("GET", "/b")).rule, kNone32);
  EXPECT_EQ(w.get("/a"), "a");
}

TEST(RouteDefaults, ServiceIndexes_AreTranslatedToThoseOfThePlan) {
  RouteWorld w;
  w.route("a").route("b", {on().prefix("/b")});
  const std::vector<u32> plan_index{7, 3};
  const auto routes = compile::compile_routes(w.config_, 1, plan_index);
  ASSERT_TRUE(routes.has_value());
  EXPECT_EQ(routes->tables[0].routes[0].backends[0].service, 7u);
  EXPECT_EQ(routes->tables[0].routes[1].backends[0].service, 3u);
}

// Random routes against a reader's interpretation of the rules, and the same rules as expressions in Hyperscan.
TEST(RouteRandom, TrieScanAndPlainReading_Agree) {
  std::mt19937 random(7);
  const auto pick = [&](u32 n) { return static_cast<u32>(random() % n); };
  const auto path = [&] {
    std::string p;
    for (u32 i = 0, n = 1 + pick(4); i < n; ++i) {
      p += '/';
      for (u32 c = 0, m = pick(3); c < m; ++c) p += static_cast<char>('a' + pick(2));
    }
    return p;
  };
  const auto name = [](u32 i) { return std::string("s").append(std::to_string(i)); };
  struct Plain {
    bool exact;
    std::string path;
  };
  for (int round = 0; round < 40; ++round) {
    RouteWorld w;
    compile::PatternSet patterns;
    std::vector<Plain> rules;
    for (u32 i = 0; i < 30; ++i) {
      rules.push_back({pick(2) == 0, path()});
      w.route(name(i), {rules[i].exact ? on().exact(rules[i].path) : on().prefix(rules[i].path)});
    }
    std::vector<std::string> texts;
    std::vector<u32> ids;
    const auto trim = [](std::string p) {
      while (!p.empty() && p.back() == '/') p.pop_back();
      return p;
    };
    for (const auto& r : rules)
      ids.push_back(patterns.add(contract::PieceKind::path, "", r.exact ? r.path : trim(r.path) + "(/.*)?"));
    const auto db = patterns.build(1);
    ASSERT_TRUE(db.has_value());
    const std::vector<u32> pieces{0};
    for (int i = 0; i < 60; ++i) {
      const std::string p = path();
      const TestHead head("GET", p);
      inspect::Scan scan(db->get(), 0, pieces, *head);
      std::string winner = "404";
      std::size_t best = 0;
      for (u32 r = 0; r < rules.size(); ++r) {
        const std::string prefix = trim(rules[r].path);
        const bool holds = rules[r].exact ? p == rules[r].path
                                          : p.starts_with(prefix) && (p.size() == prefix.size() || p[prefix.size()] == '/');
        ASSERT_EQ(scan.matches(ids[r]), holds) << p << " against " << rules[r].path;
        const std::size_t rank = !holds ? 0 : rules[r].exact ? 1000 : 1 + prefix.size();
        if (rank > best) best = rank, winner = name(r);
      }
      ASSERT_EQ(w.to(head), winner) << p;
    }
  }
}

}  // namespace
}  // namespace ringway::test
