// The Gateway API's conformance tests of HTTPRoute, as data: routes, requests and the backend that must answer.
//
// Read from the folder that RINGWAY_SHARED names. A Gateway becomes one listener for each port; the host of a Gateway's
// listener narrows the hosts of the routes attached to it, as the Gateway API says. Expectations about anything
// but the choice of a rule and a backend are outside of routing: see kBeyondRouting.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "dataplane/inspect/pieces.h"
#include "tests/unit/compile/routes_world.h"

namespace ringway::test {
namespace {

// Tests that expect more than a backend. Their requests must still find the right rule, unless skipped.
struct Beyond {
  const char* test;
  bool skip;
  const char* reason;
};
constexpr Beyond kBeyondRouting[] = {
    {"HTTPRoute307Redirect", false, "redirects are filters: the rule is found, its answer comes with filters"},
    {"HTTPRoute308Redirect", false, "redirects are filters"},
    {"HTTPRouteRedirectPort", false, "redirects are filters"},
    {"HTTPRouteRedirectPortAndScheme", false, "redirects are filters"},
    {"HTTPRouteRedirectScheme", false, "redirects are filters"},
    {"HTTPRouteBackendURLRewrite", false, "the backend is checked; rewriting the path is a filter"},
    {"HTTPRouteCORS", false, "the backend is checked; CORS answers are a filter"},
    {"HTTPRouteRequestHeaderModifierBackendWeights", false, "one of the backends is checked; its headers are a filter"},
    {"HTTPRouteRequestPercentageMirror", false, "the backend is checked; mirroring is a filter"},
    {"HTTPRouteResponseHeaderModifier", false, "the backend is checked; response headers are a filter"},
    {"HTTPRouteTimeoutBackendRequest", false, "the backend is checked; deadlines of routes are not routing"},
    {"HTTPRouteRetry", true, "its requests are computed by the original's program, not written in the data"},
    {"HTTPRouteHTTPSListenerDetectMisdirectedRequests", true, "its requests are computed; it is about TLS and 421"},
};

const Beyond* beyond(const std::string& test) {
  for (const auto& b : kBeyondRouting)
    if (test == b.test) return &b;
  return nullptr;
}

bool is_wild(const std::string& host) { return host.starts_with("*."); }
bool covered(const std::string& host, const std::string& wildcard) {
  return host.size() > wildcard.size() - 1 && host.ends_with(wildcard.substr(1));
}

// The hosts of a route narrowed by the host of a listener; nullopt: none is left.
std::optional<std::vector<std::string>> intersect(const std::vector<std::string>& route, const std::string& listener) {
  if (listener.empty()) return route;
  if (route.empty()) return std::vector<std::string>{listener};
  std::vector<std::string> out;
  for (const auto& host : route) {
    if (host == listener || (is_wild(listener) && covered(host, listener)))
      out.push_back(host);
    else if (is_wild(host) && covered(listener, host))
      out.push_back(listener);
  }
  if (out.empty()) return std::nullopt;
  return out;
}

struct Entry {  // one listener of a Gateway
  std::string gateway, name, host;
  int port = 80;
};

bool given(const YAML::Node& n) { return n.IsDefined() && !n.IsNull(); }

// A backend of another namespace has weight 0 where `refuse_foreign` says that no ReferenceGrant allows it: what an
// importer makes of a reference that must answer 500.
class Harness {
 public:
  Harness(const YAML::Node& test, bool refuse_foreign) : refuse_foreign_(refuse_foreign) {
    for (const auto& gateway : test["gateways"])
      for (const auto& l : gateway["listeners"])
        entries_.push_back({gateway["name"].as<std::string>(), l["name"].as<std::string>(),
                            given(l["hostname"]) ? l["hostname"].as<std::string>() : "", l["port"].as<int>()});
    for (const auto& route : test["routes"])
      for (const auto& parent : route["parents"]) attach(route, parent);
    for (auto& [key, world] : worlds_) world->compile();
  }

  // What each Gateway makes of the request: by its name.
  std::map<std::string, std::string> ask(const YAML::Node& request) {
    const std::string host = given(request["Host"]) ? request["Host"].as<std::string>() : "example.com";
    const auto colon = host.find(':');
    const int port = colon == std::string::npos ? 80 : std::stoi(host.substr(colon + 1));
    bool port_known = false;
    for (const auto& [key, world] : worlds_) port_known |= key.second == port;
    Headers headers;
    if (request["Headers"].IsDefined() && request["Headers"].IsMap())
      for (const auto& h : request["Headers"]) headers.emplace_back(h.first.as<std::string>(), h.second.as<std::string>());
    const TestHead head(given(request["Method"]) ? request["Method"].as<std::string>() : "GET",
                        request["Path"].as<std::string>(), host, headers);
    std::map<std::string, std::string> out;
    for (auto& [key, world] : worlds_)
      if (key.second == (port_known ? port : 80)) out[key.first] = world->to(head);
    return out;
  }

 private:
  void attach(const YAML::Node& route, const YAML::Node& parent) {
    const std::string gateway = parent[0].as<std::string>();
    bool known = false;
    for (const auto& e : entries_) known |= e.gateway == gateway;
    std::vector<Entry> entries = entries_;
    if (!known) entries.push_back({gateway, given(parent[1]) ? parent[1].as<std::string>() : "", "", 80});
    for (const auto& e : entries) {
      if (e.gateway != gateway || (given(parent[1]) && parent[1].as<std::string>() != e.name)) continue;
      if (given(parent[2]) && parent[2].as<int>() != e.port) continue;
      std::vector<std::string> hosts;
      if (given(route["hostnames"]))
        for (const auto& h : route["hostnames"]) hosts.push_back(h.as<std::string>());
      auto& world = worlds_[{gateway, e.port}];
      if (world == nullptr) world = std::make_unique<RouteWorld>();
      if (const auto narrowed = intersect(hosts, e.host)) add_rules(*world, route, *narrowed);
    }
  }

  void add_rules(RouteWorld& world, const YAML::Node& route, const std::vector<std::string>& hosts) {
    for (const auto& rule : route["rules"]) {
      RouteWorld::Weighted backends;
      for (const auto& b : rule["backendRefs"]) {
        const bool foreign = refuse_foreign_ && given(b["namespace"]);
        backends.emplace_back(b["name"].as<std::string>(), foreign ? 0 : given(b["weight"]) ? b["weight"].as<u32>() : 1);
      }
      std::vector<MatchWords> matches;
      for (const auto& m : rule["matches"]) matches.push_back(match_of(m));
      world.route(backends, std::move(matches), hosts);
    }
  }

  static MatchWords match_of(const YAML::Node& m) {
    MatchWords out;
    if (given(m["path"])) {
      const auto value = m["path"]["value"].as<std::string>();
      const auto type = given(m["path"]["type"]) ? m["path"]["type"].as<std::string>() : "PathPrefix";
      if (type == "Exact") out.exact(value);
      else if (type == "PathPrefix") out.prefix(value);
      else out.regex(value);
    }
    if (given(m["method"])) out.method(m["method"].as<std::string>());
    const auto kind = [](const YAML::Node& n) {
      return given(n["type"]) && n["type"].as<std::string>() == "RegularExpression" ? ValueMatch::regex : ValueMatch::exact;
    };
    for (const auto& h : m["headers"]) {
      std::string name = h["name"].as<std::string>();
      for (char& c : name) c = inspect::lower(c);
      out.header(name, h["value"].as<std::string>(), kind(h));
    }
    for (const auto& q : m["queryParams"]) out.query(q["name"].as<std::string>(), q["value"].as<std::string>(), kind(q));
    return out;
  }

  bool refuse_foreign_;
  std::vector<Entry> entries_;
  std::map<std::pair<std::string, int>, std::unique_ptr<RouteWorld>> worlds_;  // by Gateway and port
};

std::set<std::string> backends_of(const YAML::Node& test) {
  std::set<std::string> names;
  for (const auto& route : test["routes"])
    for (const auto& rule : route["rules"])
      for (const auto& b : rule["backendRefs"]) names.insert(b["name"].as<std::string>());
  return names;
}

std::string status_of(const YAML::Node& c) {
  const YAML::Node response = c["Response"];
  return response.IsDefined() && response.IsMap() && given(response["StatusCode"])
             ? response["StatusCode"].as<std::string>() : "";
}

TEST(GatewayApi, EveryRequestOfTheConformanceTests_ReachesItsBackend) {
  const char* shared = std::getenv("RINGWAY_SHARED");
  const std::string file = std::string(shared == nullptr ? "" : shared) + "/data/suites/gwapi_routes.dev.json";
  if (shared == nullptr || !std::filesystem::exists(shared)) GTEST_SKIP() << "no folder of shared test data (RINGWAY_SHARED)";
  const YAML::Node tests = YAML::LoadFile(file);
  std::set<std::string> names;
  u32 exact = 0, found = 0;
  for (const auto& test : tests) {
    const std::string name = test["name"].as<std::string>();
    names.insert(name);
    const Beyond* const b = beyond(name);
    if (b != nullptr && b->skip) continue;
    u32 number = 0;
    for (const auto& c : test["cases"]) {
      const std::string status = status_of(c);
      Harness harness(test, status == "500" || name == "HTTPRoutePartiallyInvalidViaInvalidReferenceGrant");
      if (name == "HTTPRoutePartiallyInvalidViaInvalidReferenceGrant" && status != "500") harness = Harness(test, false);
      auto answers = harness.ask(c["Request"]);
      if (name == "HTTPRouteMultipleGateways")  // the first half goes to one Gateway, the rest to the other
        answers.erase(number < 2 ? "all-namespaces" : "same-namespace");
      const std::string where = name + " case " + std::to_string(number++);
      ASSERT_FALSE(answers.empty()) << where;

      std::string want = given(c["Backend"]) ? c["Backend"].as<std::string>() : status;
      if (want == "404" || want == "500" || given(c["Backend"])) {
        bool reached = want == "404";
        for (const auto& [gateway, answer] : answers) {
          reached |= answer == want;
          EXPECT_TRUE(answer == want || answer == "404") << where << " at " << gateway << ": " << answer;
        }
        EXPECT_TRUE(reached) << where << " wants " << want;
        ++exact;
      } else {
        ASSERT_NE(b, nullptr) << where << " expects something else than a backend and is not listed";
        const auto backends = backends_of(test);  // none: the rule redirects, which is "500" until there are filters
        bool any = false;  // where several Gateways stand there, the data does not say which one is asked
        for (const auto& [gateway, answer] : answers)
          any |= backends.empty() ? answer == "500" : backends.contains(answer);
        EXPECT_TRUE(any) << where;
        ++found;
      }
    }
  }
  for (const auto& b : kBeyondRouting) EXPECT_TRUE(names.contains(b.test)) << b.test << ": " << b.reason;
  EXPECT_EQ(names.size(), 25u);
  RecordProperty("exact", static_cast<int>(exact));
  std::printf("%u requests reached exactly their backend or status, %u found a rule whose filters come later\n", exact, found);
}

}  // namespace
}  // namespace ringway::test
