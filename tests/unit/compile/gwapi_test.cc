// The Gateway API's conformance tests of HTTPRoute, as data: routes, requests and the backend that must answer.
//
// Read from the folder that RINGWAY_SHARED names. A Gateway becomes one listener for each port; the host of a Gateway's
// listener narrows the hosts of the routes attached to it, as the Gateway API says. Filters become actions: what they make of
// request and response is written by the writers of heads and compared, as is the Location of a redirect. What is left
// out is said in kBeyondRouting.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/inspect/pieces.h"
#include "dataplane/rewrite/sources.h"
#include "dataplane/rewrite/target.h"
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
    {"HTTPRouteCORS", false, "the backend is checked; CORS answers are a filter"},
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

// Empty where `n` has none.
YAML::Node part_of(const YAML::Node& n, const char* key) {
  return n.IsMap() && given(n[key]) ? n[key] : YAML::Node(YAML::NodeType::Map);
}

using Fields = std::vector<std::pair<std::string, std::string>>;

Fields fields_of(const YAML::Node& map) {
  Fields out;
  if (map.IsDefined() && map.IsMap())
    for (const auto& f : map) out.emplace_back(f.first.as<std::string>(), f.second.as<std::string>());
  return out;
}

std::string lower_name(std::string name) {
  for (char& c : name) c = inspect::lower(c);
  return name;
}

// Filters of a rule or of one of its backends.
config::ActionsConfig actions_of(const YAML::Node& filters) {
  config::ActionsConfig out;
  const auto path = [](const YAML::Node& p, config::RewriteConfig& to) {
    if (!given(p)) return;
    const bool full = p["type"].as<std::string>() == "ReplaceFullPath";
    to.path = full ? contract::PathChange::full : contract::PathChange::prefix;
    to.text = p[full ? "replaceFullPath" : "replacePrefixMatch"].as<std::string>();
  };
  const auto changes = [](const YAML::Node& m, config::FieldChangesConfig& to) {
    const auto read = [](const YAML::Node& list, std::vector<config::FieldConfig>& fields) {
      for (const auto& f : list) fields.push_back({f["name"].as<std::string>(), {{contract::Variable::text, f["value"].as<std::string>()}}});
    };
    read(m["set"], to.set);
    read(m["add"], to.add);
    for (const auto& name : m["remove"]) to.remove.push_back(name.as<std::string>());
  };
  for (const auto& filter : filters) {
    if (const auto f = filter["requestHeaderModifier"]) changes(f, out.request);
    if (const auto f = filter["responseHeaderModifier"]) changes(f, out.response);
    if (const auto f = filter["urlRewrite"]) path(f["path"], out.rewrite.emplace());
    if (const auto f = filter["requestRedirect"]) {
      auto& r = out.redirect.emplace();
      if (given(f["scheme"])) r.scheme = f["scheme"].as<std::string>();
      if (given(f["hostname"])) r.host = f["hostname"].as<std::string>();
      if (given(f["port"])) r.port = f["port"].as<u16>();
      if (given(f["statusCode"])) r.status = f["statusCode"].as<u16>();
      path(f["path"], r.path);
    }
  }
  return out;
}

// What one Gateway makes of a request and of the response to it.
struct Told {
  std::string to;        // a backend, or a status
  std::string location;
  std::string path, host;
  Fields request, response;  // as they go on
  std::string mirror;
  u32 mirror_percent = 0;
};

template <class Head>
Fields fields_of(const Head& head) {
  Fields out;
  for (u32 i = 0; i < head.field_count; ++i) out.emplace_back(head.name(i), head.value(i));
  return out;
}

std::string joined(const Fields& fields, const std::string& name) {
  std::string out;
  for (const auto& [n, value] : fields)
    if (lower_name(n) == lower_name(name)) out += (out.empty() ? "" : ",") + value;
  return out;
}

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

  // What each Gateway makes of the request, and of a response with `response_fields`: by its name.
  std::map<std::string, Told> ask(const YAML::Node& request, const Fields& response_fields) {
    const std::string host = given(request["Host"]) ? request["Host"].as<std::string>() : "example.com";
    const auto colon = host.find(':');
    const int port = colon == std::string::npos ? 80 : std::stoi(host.substr(colon + 1));
    bool port_known = false;
    for (const auto& [key, world] : worlds_) port_known |= key.second == port;
    std::string text = (given(request["Method"]) ? request["Method"].as<std::string>() : "GET") + " " +
                       request["Path"].as<std::string>() + " HTTP/1.1\r\nHost: " + host + "\r\n";
    for (const auto& [name, value] : fields_of(request["Headers"])) text += name + ": " + value + "\r\n";
    text += "\r\n";
    http::RequestHead head;
    EXPECT_EQ(http::read_request(bytes(text), {}, head).status, http::ReadStatus::complete) << text;
    std::map<std::string, Told> out;
    for (auto& [key, world] : worlds_) {  // a Gateway without port 80 is asked where it listens
      const bool only_elsewhere = colon == std::string::npos && !worlds_.contains({key.first, 80});
      if (only_elsewhere || key.second == (port_known ? port : 80)) out[key.first] = tell(*world, head, response_fields);
    }
    return out;
  }

  static Bytes bytes(const std::string& text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }

  static Told tell(RouteWorld& world, const http::RequestHead& head, const Fields& response_fields) {
    Told out;
    const contract::Plan& plan = world.world.plan;
    const route::Match match = world.world.router->match(plan, world.listener, head);
    out.to = match.service != kNone32 ? plan.services[match.service].discovery_name : match.no_backend() ? "500" : "404";
    const contract::Actions* const actions = match.actions == kNone32 ? nullptr : &plan.actions[match.actions];
    std::vector<u8> room(70'000), target(70'000);
    if (actions != nullptr && actions->ending == contract::Ending::redirect) {
      out.to = std::to_string(actions->redirect.status);
      out.location = rewrite::location(actions->redirect, head, match.prefix_bytes(plan), "own", room).text;
      return out;
    }
    rewrite::Sources sources;
    http::RequestEdit edit{.client_ip = wire::Ip4{1}, .via = "gw"};
    http::ResponseEdit back{.via = "gw"};
    http::RouteEdit request, response;
    if (actions != nullptr) {
      const auto& values = sources.fill(plan, *actions, match.service, kNone32, wire::Ip4{1}, 1, false, &head, nullptr, {});
      request.fields = {&actions->request, &values};
      response.fields = {&actions->response, &values};
      edit.route = &request;
      back.route = &response;
      request.host = actions->host;
      request.target = rewrite::target(actions->path, {plan.substitutions.get(), 0}, head, match.prefix_bytes(plan), target).text;
      if (actions->mirror.service != kNone32) {
        out.mirror = plan.services[actions->mirror.service].discovery_name;
        out.mirror_percent = actions->mirror.share / 10'000;
      }
    }
    http::RequestHead sent;
    const u32 n = http::write_request(head, edit, room);
    EXPECT_EQ(http::read_request(Bytes(room).first(n), {}, sent).status, http::ReadStatus::complete);
    out.path = sent.path_text();
    out.host = sent.text(sent.authority);
    out.request = fields_of(sent);
    std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    for (const auto& [name, value] : response_fields) answer += name + ": " + value + "\r\n";
    answer += "\r\n";
    http::ResponseHead came, gone;
    EXPECT_EQ(http::read_response(bytes(answer), http::Method::get, {}, came).status, http::ReadStatus::complete);
    const u32 m = http::write_response(came, back, room);
    EXPECT_EQ(http::read_response(Bytes(room).first(m), http::Method::get, {}, gone).status, http::ReadStatus::complete);
    out.response = fields_of(gone);
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
      world->config_.listeners[0].port = static_cast<u16>(e.port);
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
      config::RouteConfig& made = world.config_.listeners[0].routes.back();
      made.actions = actions_of(rule["filters"]);
      for (std::size_t i = 0; i < made.backends.size(); ++i) made.backends[i].actions = actions_of(rule["backendRefs"][i]["filters"]);
      for (const auto& filter : rule["filters"]) {
        const YAML::Node mirror = filter["requestMirror"];
        if (!mirror) continue;
        made.actions.mirror.service = world.service(mirror["backendRef"]["name"].as<std::string>());
        const u32 percent = given(mirror["percent"]) ? mirror["percent"].as<u32>()
                                                     : 100 * mirror["fraction"]["numerator"].as<u32>() / mirror["fraction"]["denominator"].as<u32>();
        made.actions.mirror.share = percent * 10'000;
      }
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

// Why what a Gateway told is not what the case wants; empty: it is.
std::string differs(const Told& told, const YAML::Node& c) {
  const auto differ = [](const std::string& what, const std::string& is, const std::string& want) {
    return is == want ? "" : what + " is \"" + is + "\", not \"" + want + "\"; ";
  };
  const auto fields = [&](const char* whose, const Fields& are, const YAML::Node& wanted, const YAML::Node& absent) {
    std::string out;
    for (const auto& [name, value] : fields_of(wanted)) out += differ(std::string(whose) + ' ' + name, joined(are, name), value);
    for (const auto& name : absent) out += differ(std::string(whose) + ' ' + name.as<std::string>(), joined(are, name.as<std::string>()), "");
    return out;
  };
  std::string out;
  const YAML::Node expected = part_of(c, "ExpectedRequest"), request = part_of(expected, "Request"), response = part_of(c, "Response"),
                   redirect = part_of(c, "RedirectRequest");
  if (given(c["Backend"])) out += differ("backend", told.to, c["Backend"].as<std::string>());
  if (given(request["Path"]) && !request["Path"].as<std::string>().empty())
    out += differ("path", told.path, request["Path"].as<std::string>());
  if (given(request["Host"]) && !request["Host"].as<std::string>().empty()) out += differ("host", told.host, request["Host"].as<std::string>());
  out += fields("request", told.request, request["Headers"], expected["AbsentHeaders"]);
  if (given(c["Backend"])) out += fields("response", told.response, response["Headers"], response["AbsentHeaders"]);
  if (redirect.size() > 0) {
    const auto part = [&](const char* name, const std::string& otherwise) {
      return given(redirect[name]) ? redirect[name].as<std::string>() : otherwise;
    };
    const std::string port = part("Port", "");
    out += differ("status", told.to, status_of(c));
    out += differ("location", told.location, part("Scheme", "http") + "://" + part("Host", "example.com") + (port.empty() ? "" : ":" + port) +
                                                 part("Path", c["Request"]["Path"].as<std::string>()));
  }
  for (const auto& mirror : c["MirroredTo"]) {
    out += differ("mirror", told.mirror, mirror["BackendRef"]["Name"].as<std::string>());
    out += differ("share", std::to_string(told.mirror_percent), mirror["Percent"].as<std::string>());
  }
  return out;
}

// Answers of Gateways whose listeners speak TLS, where nothing but the listener says so.
bool needs_tls(const std::string& name, u32 number) { return name == "HTTPRouteRedirectPortAndScheme" && number >= 9 && number < 12; }

TEST(GatewayApi, EveryRequestOfTheConformanceTests_ReachesItsBackendAsItsFiltersSay) {
  const char* shared = std::getenv("RINGWAY_SHARED");
  const std::string file = std::string(shared == nullptr ? "" : shared) + "/data/suites/gwapi_routes.dev.json";
  if (shared == nullptr || !std::filesystem::exists(shared)) GTEST_SKIP() << "no folder of shared test data (RINGWAY_SHARED)";
  const YAML::Node tests = YAML::LoadFile(file);
  std::set<std::string> names;
  u32 whole = 0, found = 0, tls = 0;
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
      auto answers = harness.ask(c["Request"], fields_of(c["BackendSetResponseHeaders"]));
      if (name == "HTTPRouteMultipleGateways")  // the first half goes to one Gateway, the rest to the other
        answers.erase(number < 2 ? "all-namespaces" : "same-namespace");
      if (needs_tls(name, number++)) {
        ++tls;
        continue;
      }
      const std::string where = name + " case " + std::to_string(number - 1);
      ASSERT_FALSE(answers.empty()) << where;

      const auto backends = backends_of(test);
      const bool refused = status == "404" || status == "500";
      bool any = refused && status == "404";  // where several Gateways stand there, the data does not say which one is asked
      std::string why;
      for (const auto& [gateway, told] : answers) {
        const bool reached = refused ? told.to == status
                             : given(c["Backend"]) || c["RedirectRequest"].IsDefined() ? told.to != "404" : backends.contains(told.to);
        const std::string difference = refused || b != nullptr ? "" : differs(told, c);
        any |= reached && difference.empty();
        why += gateway + ": " + told.to + ", " + difference;
        if (refused || given(c["Backend"])) {
          EXPECT_TRUE(told.to == "404" || reached) << where << " at " << gateway << ": " << told.to;
        }
      }
      EXPECT_TRUE(any) << where << ": " << why;
      if (name == "HTTPRouteRequestHeaderModifierBackendWeights") {
        const Told& told = answers.begin()->second;
        EXPECT_EQ(joined(told.request, "Backend"), told.to) << where << ": each backend has a filter of its own";
      }
      (b == nullptr ? whole : found) += 1;
    }
  }
  for (const auto& b : kBeyondRouting) EXPECT_TRUE(names.contains(b.test)) << b.test << ": " << b.reason;
  EXPECT_EQ(names.size(), 25u);
  std::printf("%u requests answered as wanted, head by head; %u reached a backend whose other filters are left out; %u ask for TLS\n", whole, found, tls);
}

}  // namespace
}  // namespace ringway::test
