#pragma once
// Plans of the storm: configuration files written by a seed and compiled like any other, with rules, rates, routes and their
// actions, balancing policies, circuit breakers, retries, mirrors and deployments in whatever combination comes.
//
// A request's first path segment is a word; what a plan does to each word is kept as its Law. Fields that routes and services
// put in name the plan, so an answer can be judged by the very plan that it was made under, however many have come since.
// Some things are the same in all plans of a storm, so that they can be asked for without exception: /no is denied, so is
// whatever the outlaw asks, and the banned may not even connect.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "control/compile/compile.h"
#include "control/config/load.h"
#include "dataplane/gate/ingress.h"
#include "tests/duet/storm_text.h"
#include "tests/support/world.h"

namespace ringway::storm {

using test::World;

inline constexpr u32 kGoodIps = 4, kIps = 8;  // endpoints 0..3 are good, 4..7 bad
// Ports of endpoints, which are kinds of servers; a listener's tag is its endpoint and 16 times its kind.
enum Kind : u32 { kHttp1 = 0, kRaw = 1, kHttp2 = 2, kShadow = 3 };
inline constexpr u16 kPorts[] = {8080, 9090, 8081, 8082};
inline constexpr u32 kTagIps = 16;

// VIPs, and who calls them.
inline constexpr wire::Ip4 kGoodVip = wire::Ip4::of(10, 9, 0, 1), kBadVip = wire::Ip4::of(10, 9, 0, 2);
inline constexpr wire::Ip4 kRawVip = wire::Ip4::of(10, 9, 0, 3), kBadRawVip = wire::Ip4::of(10, 9, 0, 4);
inline constexpr wire::Ip4 kShop = World::kClient, kStranger = wire::Ip4::of(10, 1, 0, 3);
inline constexpr wire::Ip4 kOutlaw = wire::Ip4::of(10, 1, 0, 4), kBanned = wire::Ip4::of(10, 1, 0, 5);

// Words whose requests reach an endpoint, if all goes well; and others.
inline constexpr const char* kServedWords[] = {"plain", "pre", "full", "expr", "fields", "split", "copy", "slow"};
inline constexpr const char* kOtherWords[] = {"moved", "fixed", "fail", "no", "odd"};

// What a route does to requests of one word.
struct RouteLaw {
  enum class Path : u8 { same, prefix, full, regex };
  Path path = Path::same;
  std::string text;      // that stands for the path, or for its prefix; of a redirect: what stands before that
  std::string host;      // empty: as it is
  u16 status = 0;        // of an answer of the route's own; 0: it has none
  std::string body;      // of that
  bool redirects = false;

  std::string path_of(const Ask& ask) const {
    const std::string id = std::to_string(ask.id);
    switch (path) {
      case Path::same: return ask.path();
      case Path::prefix: return text + "/" + id;
      case Path::full: return text;
      case Path::regex: return "/" + id + "/" + ask.word;
    }
    return "";
  }
};

struct Law {
  std::map<std::string, RouteLaw> routes[2];  // of the good listener and the bad one
  bool deploys[2] = {};                       // the same services bring in a new version
};

class PlanMaker {
 public:
  // `strict`: whoever asks the good service for a served word gets its answer.
  PlanMaker(u64 seed, bool strict) : rng_(seed), strict_(strict), breakers_(breakers(true, false)) {
    fixed_breakers_ = rng_.chance(500);
    repeats_posts_ = rng_.chance(200);
    rated_ = rng_.chance(300);
    rate_ = rng_.between(1, 20);
    burst_ = rng_.between(1, 20);
    // Rates begin with full buckets, so a seed's rates stand from its first plan on.
    rate_text_ = "    rateLimit: { requestsPerSecond: " + std::to_string(rate_) + ", burst: " + std::to_string(burst_) +
                 (rng_.chance(500) ? ", perCaller: { requestsPerSecond: " + std::to_string(rate_ / 2 + 1) + ", burst: 20 }" : "") + " }\n";
  }

  // The next plan; null, with a failure of the test, when it does not compile.
  std::unique_ptr<contract::Plan> next(const contract::Plan* previous) {
    ++generation_;
    const std::string text = file();
    const auto config = config::parse(text, "storm.yaml");
    if (!config) return refused(text, config.error());
    auto made = compile::compile(*config, registry_, {.generation = generation_, .previous = previous, .shifts = &shifts});
    if (!made) return refused(text, made.error());
    EXPECT_EQ(gate::build_ingress(**made), "");
    return std::move(*made);
  }
  void retire(u64 generation) { registry_.retire(generation); }

  u64 generation() const { return generation_; }
  const Law* law(u64 generation) const { return laws_.contains(generation) ? &laws_.at(generation) : nullptr; }
  // The bad service's endpoints may have been asked by so many requests after `us`; all ones when there is no rate.
  u64 admitted_most(u64 us) const { return rated_ ? burst_ + rate_ * us / 1'000'000 + 1 : ~u64{0}; }
  bool repeats_posts() const { return repeats_posts_; }  // else a POST that may have been served is not sent again
  // The bad service's circuit breakers are the same in all plans.
  bool fixed_breakers() const { return fixed_breakers_; }

  contract::ShiftBoard shifts;

 private:
  std::unique_ptr<contract::Plan> refused(const std::string& text, const std::vector<config::Problem>& problems) {
    for (const config::Problem& p : problems) ADD_FAILURE() << config::to_string(p);
    ADD_FAILURE() << text;
    return nullptr;
  }
  std::string one_of(std::initializer_list<const char*> texts) { return *(texts.begin() + rng_.below(static_cast<u32>(texts.size()))); }
  std::string some(u32 low, u32 high) { return std::to_string(rng_.between(low, high)); }

  std::string file() {
    Law& law = laws_[generation_];
    std::string t =
        "gateway:\n  ports: [ { device: net_null0, address: 10.1.0.1/24 }, { device: net_null1, address: 10.2.0.1/24 } ]\n"
        "  vipRange: 10.9.0.0/24\n  cores: [0]\n  zone: a\n" + ingress() + "services:\n";
    t += service("good", "http", 0, kHttp1, strict_) + deployment("good-new", law.deploys[0]) + guards("good");
    t += service("good-new", "http2", 0, kHttp2, strict_) + own_access(0, strict_);
    t += service("bad", "http", kGoodIps, kHttp1, false) + deployment("bad-new", law.deploys[1]) + guards("bad");
    t += service("bad-new", "http2", kGoodIps, kHttp2, false) + own_access(1, false);
    t += service("shadow", "http", kGoodIps, kShadow, false);
    t += service("raw", "", 0, kRaw, strict_) + alias("raw", "10.9.0.3", strict_);
    t += service("bad-raw", "", kGoodIps, kRaw, false) + alias("bad-raw", "10.9.0.4", false);
    t += "callers:\n  - { name: shop, cidrs: [10.1.0.2/32] }\n  - { name: outlaw, cidrs: [10.1.0.4/32] }\n";
    t += "listeners:\n" + listener("good", "10.9.0.1", law.routes[0]);
    if (rng_.chance(850)) t += listener("bad", "10.9.0.2", law.routes[1]);
    return t;
  }

  std::string ingress() {
    std::string t = "  ingress:\n    rules:\n      - { action: deny, cidrs: [10.1.0.5/32] }\n";
    if (rng_.chance(300)) t += "      - { action: deny, cidrs: [10.1.0.4/31], ports: [" + std::string(rng_.chance(500) ? "80" : "\"81-90\"") + "] }\n";
    if (!strict_ && rng_.chance(200)) t += "      - { action: deny, cidrs: [10.1.0.3/32] }\n";
    if (rng_.chance(300)) t += "      - { action: allow, cidrs: [10.1.0.0/24] }\n";
    return t;
  }

  std::string service(const std::string& name, const std::string& protocol, u32 first_ip, Kind kind, bool stays) {
    const bool http = !protocol.empty();
    std::string t = "  - portName: " + name + "\n" + (http ? "    appProtocol: " + protocol + "\n" : "");
    t += "    healthCheck: { protocol: " + std::string(http && rng_.chance(500) ? "http, path: /probe" : "tcp") + ", timeoutSeconds: 0.1 }\n";
    t += endpoints(first_ip, kind, stays);
    t += balancing(http, stays);
    const bool breaks = name != "shadow" && rng_.chance(500);
    t += name == "bad" && fixed_breakers_ ? breakers_ : breaks ? breakers(http, stays) : "";
    t += retry(http, stays);
    if (!http) return t + access(false, stays) + (first_ip == 0 ? "    proxyProtocol: " + one_of({"off", "v1", "v2", "v2-crc32c"}) + "\n" : "");
    if (name == "shadow" || !rng_.chance(600)) return t;
    const std::string value = "{ name: x-said, value: \"" + std::to_string(generation_) + ":" + name + "\" }";
    return t + "    requestHeaders: { set: [ " + value + " ] }\n    responseHeaders: { set: [ " + value + " ] }\n";
  }

  std::string endpoints(u32 first_ip, Kind kind, bool stays) {
    u32 which = rng_.chance(600) ? 15 : rng_.below(16);
    if (stays && which == 0) which = 1u << rng_.below(4);
    const bool weights = rng_.chance(300), zones = rng_.chance(300), levels = rng_.chance(200), labels = rng_.chance(400);
    std::string t;
    for (u32 i = 0; i < 4; ++i) {
      if ((which >> i & 1) == 0) continue;
      t += "      - { address: 10.2.0." + std::to_string(2 + first_ip + i) + ", port: " + std::to_string(kPorts[kind]);
      if (weights) t += ", weight: " + some(1, 9);
      if (zones) t += ", zone: " + one_of({"a", "b"});
      if (levels) t += ", priority: " + some(0, 2);
      if (labels) t += ", labels: { track: v" + some(0, 1) + " }";
      t += " }\n";
    }
    return t.empty() ? t : "    endpoints:\n" + t;
  }

  std::string balancing(bool http, bool stays) {
    const std::string policy = one_of({"maglev", "roundRobin", "leastRequest", "ringHash", "random"});
    const bool hashes = policy == "maglev" || policy == "ringHash";
    std::string t = "    balancing: { policy: " + policy;
    if (hashes) {
      t += ", hash: { on: " + (http ? one_of({"source", "request", "path", "header, name: x-token", "query, name: key", "cookie, name: sid",
                                              "cookie, name: sid, ttlSeconds: 60", "cookie, name: made, ttlSeconds: 0"})
                                    : one_of({"source", "request"})) + " }";
      t += ", boundFactor: " + one_of({"0", "1", "1.25", "3"});
    } else {
      if (rng_.chance(300)) t += ", slowStart: { seconds: " + one_of({"0.1", "3"}) + ", aggression: " + one_of({"0.5", "1", "2"}) + " }";
      if (rng_.chance(300)) t += ", zoneAware: { minEndpoints: " + some(1, 4) + ", forceLocalZone: " + one_of({"true", "false"}) + " }";
    }
    if (policy == "maglev") t += ", tableSize: 251";
    if (policy == "ringHash") t += ", minRingSize: 64";
    if (policy == "leastRequest") t += ", choiceCount: " + some(2, 5);
    if (http && rng_.chance(300)) t += ", subset: { header: x-tag, label: track, fallback: " + (stays ? "any" : one_of({"any", "none"})) + " }";
    return t + (stays ? "" : ", panicPercent: " + one_of({"0", "30", "50", "100"})) + " }\n";
  }

  // Where a service stays they may make requests wait, but refuse none.
  std::string breakers(bool http, bool stays) {
    if (stays) return "    circuitBreakers: { maxConnections: " + some(4, 12) + (http ? ", maxRequests: 10000" : "") + ", maxRetries: 10000 }\n";
    std::string t = "    circuitBreakers: { maxConnections: " + some(0, 3) + ", maxPendingRequests: " + some(0, 7) + ", maxRetries: " + some(0, 3);
    if (http) t += ", maxRequests: " + some(0, 19);
    if (http && rng_.chance(300)) t += ", adaptiveConcurrency: { min: " + some(1, 5) + " }";
    return t + " }\n";
  }

  std::string retry(bool http, bool stays) {
    std::string t = "    retry: { retries: " + (stays ? some(2, 7) : some(0, 4)) + ", bodyBytes: " + one_of({"2000", "65536", "1000000"});
    if (rng_.chance(500)) {
      t += ", on: [ connect-failure, refused-stream, reset";
      for (const char* word : {"5xx", "gateway-error", "retriable-4xx", "retriable-status-codes", "unavailable", "internal"}) {
        if (rng_.chance(400)) t += std::string(", ") + word;
      }
      t += " ]";
    } else if (!stays && rng_.chance(300)) {
      t += ", on: [ " + one_of({"connect-failure", "reset", "5xx", "refused-stream"}) + " ]";
    }
    if (rng_.chance(300)) t += ", statusCodes: [ 503, 413, 500 ]";
    if (http && rng_.chance(300)) t += std::string(", perTryTimeoutSeconds: ") + (stays ? "30" : "0.1");
    if (rng_.chance(300)) t += ", respectRetryAfter: true";
    if (rng_.chance(300)) t += ", attemptCount: true";
    if (repeats_posts_ && rng_.chance(500)) t += ", nonIdempotent: true";
    if (rng_.chance(500)) t += ", backoffMs: { base: " + some(1, 20) + " }";
    if (!stays && rng_.chance(300)) t += ", budget: { percent: " + some(0, 50) + ", min: " + some(0, 3) + " }";
    return t + " }\n";
  }

  std::string alias(const std::string& name, const std::string& vip, bool stays) {
    return stays || rng_.chance(850) ? "    clientAliases: [ { dnsName: " + name + ", port: 80, vip: " + vip + " } ]\n" : "";
  }

  std::string deployment(const std::string& green, bool& deploys) {
    deploys = rng_.chance(500);
    return deploys ? "    deployment: { green: " + green + ", strategy: " + one_of({"BLUE_GREEN", "CANARY", "LINEAR"}) + " }\n" : "";
  }

  std::string guards(const std::string& name) {
    std::string t = access(true, strict_ && name == "good");
    if (name == "bad" && rated_) t += rate_text_;
    if (name == "good" && rng_.chance(500)) {
      t += strict_ ? "    rateLimit: { requestsPerSecond: 1000000, perCaller: { requestsPerSecond: 1000000 } }\n"
                   : "    rateLimit: { perCaller: { requestsPerSecond: " + some(10, 500) + " } }\n";
    }
    return t;
  }

  // A new version is behind the rules of the service that is called, unless it has its own; a route can lead to it as well.
  std::string own_access(u32 which, bool stays) {
    guarded_[which] = rng_.chance(500);
    return guarded_[which] ? access(true, stays) : "";
  }
  std::string access(bool http, bool stays) {
    std::string t = "    access:\n      rules:\n        - { action: deny, callers: [outlaw] }\n";
    if (http) t += "        - { action: deny, paths: [ { value: /no } ] }\n";
    for (u32 n = rng_.below(4); n > 0; --n) {
      t += "        - { action: " + std::string(stays ? "allow" : one_of({"allow", "deny"}));
      if (rng_.chance(500)) t += ", callers: [ " + one_of({"shop", "good", "shop, outlaw"}) + " ]";
      if (rng_.chance(300)) t += ", cidrs: [ " + one_of({"10.1.0.3/32", "10.1.0.2/31", "fd00::/8"}) + " ]";
      if (http && rng_.chance(300)) t += ", methods: [ " + one_of({"GET", "POST, PUT", "HEAD"}) + " ]";
      if (http && rng_.chance(700)) {
        t += ", paths: [ " + one_of({"{ value: /pre }", "{ type: regex, value: \"/[a-m]+/[0-9]*[13579]\" }",
                                     "{ type: exact, value: /copy/7 }, { value: /full }"}) + " ]";
      }
      t += " }\n";
    }
    return t;
  }

  std::string listener(const std::string& name, const std::string& vip, std::map<std::string, RouteLaw>& routes) {
    std::string t = "  - name: " + name + "\n    address: " + vip + "\n    port: 80\n    service: " + name + "\n";
    std::string list;
    for (const char* word : kServedWords) {
      if (std::string_view(word) != "plain" && rng_.chance(800)) list += route(word, name, routes[word]);
    }
    for (const char* word : kOtherWords) {
      if (std::string_view(word) != "no" && rng_.chance(800)) list += route(word, name, routes[word]);
    }
    return list.empty() ? t : t + "    routes:\n" + list;
  }

  std::string route(const std::string& word, const std::string& service, RouteLaw& law) {
    const std::string plan = std::to_string(generation_);
    std::string t = "      - name: " + word + "\n        matches: [ { path: { ";
    const bool regex = word != "pre" && word != "moved" && rng_.chance(300);
    t += regex ? "type: regex, value: \"/" + word + "/[0-9]+\"" : "value: /" + word;
    t += rng_.chance(200) ? " } }, { path: { value: /" + word + " }, headers: [ { name: x-token, value: none } ] } ]\n" : " } } ]\n";
    if (word == "moved") return t + moved(law) + answer_fields(plan);
    if (word == "fixed") {
      law.status = rng_.chance(500) ? 200 : rng_.chance(500) ? 404 : 503;
      law.body = "fixed by plan " + plan;
      return t + "        directResponse: { status: " + std::to_string(law.status) + ", body: \"" + law.body + "\" }\n" + answer_fields(plan);
    }
    t += rewrite(word, law);
    t += "        requestHeaders:\n          set: [ { name: x-plan, value: \"" + plan + "\" }, { name: x-route, value: \"%ROUTE_NAME%\" }, "
         "{ name: x-who, value: \"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\" }, { name: x-copy, value: \"%REQ(x-token)%\" } ]\n"
         "          add: [ { name: x-more, value: \"%REQ(:path)% %PROTOCOL% %UPSTREAM_CLUSTER% %UPSTREAM_HOST%\" } ]\n          remove: [ x-gone ]\n";
    t += answer_fields(plan);
    if (word == "slow" || rng_.chance(100)) t += "        fault: { delay: { milliseconds: " + some(1, 30) + ", percent: " + some(1, 100) + " } }\n";
    else if (word == "fail") t += "        fault: { " + std::string(rng_.chance(300) ? "delay: { milliseconds: 2 }, " : "") + "abort: { status: " +
                                  one_of({"400", "500", "503"}) + ", percent: " + some(1, 100) + " }" + (rng_.chance(300) ? ", header: x-tag" : "") + " }\n";
    if (word == "copy" || rng_.chance(100)) t += "        mirror: { service: shadow, percent: " + one_of({"100", "50", "3.5"}) + " }\n";
    return t + "        backends: [ " + backends(word, service) + " ]\n";
  }

  std::string answer_fields(const std::string& plan) {
    return "        responseHeaders: { set: [ { name: x-plan, value: \"" + plan + "\" }, { name: x-route, value: \"%ROUTE_NAME%\" }, "
           "{ name: x-copy, value: \"%REQ(x-token)%\" } ], remove: [ x-secret ] }\n";
  }

  std::string moved(RouteLaw& law) {
    law.status = 308;
    law.redirects = true;
    law.path = rng_.chance(500) ? RouteLaw::Path::prefix : RouteLaw::Path::same;
    std::string t = "        redirect: { status: 308";
    law.host = rng_.chance(500) ? "else.where" : "web";
    if (law.host != "web") t += ", host: else.where";
    if (rng_.chance(300)) {
      law.host += ":8443";
      t += ", port: 8443";
    }
    if (law.path == RouteLaw::Path::prefix) {
      law.text = "/new";
      t += ", replacePrefixMatch: /new";
    }
    return t + " }\n";
  }

  std::string rewrite(const std::string& word, RouteLaw& law) {
    std::string t;
    if (word == "pre") {
      const std::string with = one_of({"/", "/x", "/x/y/"});
      law.path = RouteLaw::Path::prefix;
      law.text = with == "/" ? "" : with == "/x" ? "/x" : "/x/y";
      t = "replacePrefixMatch: " + with;
    } else if (word == "full") {
      law.path = RouteLaw::Path::full;
      law.text = "/all";
      t = "replaceFullPath: /all";
    } else if (word == "expr") {
      law.path = RouteLaw::Path::regex;
      t = R"(regex: { pattern: "^/([a-z]+)/([0-9]+)$", substitution: "/\\2/\\1" })";
    } else if (word == "odd") {  // makes no path at all
      law.path = RouteLaw::Path::full;
      law.text = "none: the request is refused";
      t = R"(regex: { pattern: "^/", substitution: "" })";
    }
    if (word != "odd" && rng_.chance(300)) {
      law.host = "other:81";
      t += (t.empty() ? "" : ", ") + std::string("host: \"other:81\"");
    }
    return t.empty() ? t : "        rewrite: { " + t + " }\n";
  }

  std::string backends(const std::string& word, const std::string& service) {
    if (word != "split") return "{ service: " + service + " }";
    std::string t = "{ service: " + service + ", weight: " + some(1, 3) + " }";
    if (guarded_[service == "bad"]) t += ", { service: " + service + "-new, weight: " + some(0, 3) + " }";
    if (service == "bad" || !strict_) t += ", { service: " + std::string(service == "bad" ? "good" : "bad") + ", weight: " + some(0, 2) + " }";
    return t;
  }

  Rng rng_;
  bool strict_, fixed_breakers_ = false, rated_ = false, repeats_posts_ = false;
  bool guarded_[2] = {};
  u64 rate_ = 0, burst_ = 0;
  std::string breakers_, rate_text_;
  registry::Registry registry_;
  u64 generation_ = 0;
  std::map<u64, Law> laws_;
};

}  // namespace ringway::storm
