// Callers and access rules from the file to a judgement: who a source is, which rule decides, what reloads keep.

#include "dataplane/route/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "control/compile/compile.h"
#include "control/config/load.h"
#include "dataplane/http/h1_read.h"
#include "dataplane/route/explain.h"
#include "dataplane/route/router.h"
#include "src/contract/rate.h"
#include "src/wire/text.h"

namespace ringway::compile {
namespace {

using testing::HasSubstr;

const std::string kGateway =
    "gateway:\n  ports: [ { device: net_null0, address: 10.80.0.1/24, address6: fd00::1/64 } ]\n  vipRange: 10.80.64.0/24\n"
    "  vipRange6: fd64::/120\n  cores: [1]\n";

// Services: shop (endpoints 10.0.0.1, fd00::11), cart (10.0.0.2), and `api`, which is called; `access` are its lines.
std::string file(const std::string& access, const std::string& more = "") {
  return kGateway + more +
         "services:\n"
         "  - { portName: shop, appProtocol: http, endpoints: [ { address: 10.0.0.1, port: 80 }, { address: \"fd00::11\", port: 80 } ] }\n"
         "  - { portName: cart, appProtocol: http, endpoints: [ { address: 10.0.0.2, port: 80 } ] }\n"
         "  - portName: api\n    appProtocol: http\n    clientAliases: [ { port: 80 } ]\n"
         "    endpoints: [ { address: 10.0.0.3, port: 80 } ]\n" +
         access +
         "callers:\n"
         "  - { name: office, cidrs: [10.1.0.0/16, \"fd01::/32\"] }\n"
         "  - { name: desk, cidrs: [10.1.2.0/24, 10.1.2.3/32] }\n"
         "  - { name: shop, cidrs: [10.5.0.0/16] }\n"
         "  - { name: everybody, cidrs: [0.0.0.0/1] }\n";
}

class AccessTest : public testing::Test {
 protected:
  const contract::Plan& load(const std::string& text, u64 generation = 1, const contract::Plan* previous = nullptr) {
    const auto config = config::parse(text, "f.yaml");
    if (!config) {
      for (const auto& p : config.error()) ADD_FAILURE() << config::to_string(p);
      return *plan_;
    }
    auto plan = compile(*config, registry_, {.generation = generation, .cores = 2, .previous = previous});
    if (!plan) {
      for (const auto& p : plan.error()) ADD_FAILURE() << config::to_string(p);
      return *plan_;
    }
    before_ = std::move(plan_);
    plan_ = std::move(*plan);
    return *plan_;
  }
  const contract::Plan& rules(const std::string& lines, const std::string& by_default = "deny") {
    return load(file("    access:\n      default: " + by_default + "\n      rules:\n" + lines));
  }
  std::string caller(const std::string& ip) const {
    const u32 who = plan_->callers.caller_of(*wire::parse_ip(ip));
    return who == kNone32 ? "" : plan_->callers.names[who];
  }
  route::Judgement judge(const std::string& ip, const std::string& method, const std::string& path) {
    text_ = method + " " + path + " HTTP/1.1\r\nHost: api\r\n\r\n";
    const auto read = http::read_request({reinterpret_cast<const u8*>(text_.data()), text_.size()}, {}, head_);
    EXPECT_EQ(read.status, http::ReadStatus::complete);
    const auto& service = plan_->services[2];
    return route::judge(*plan_, plan_->admissions[service.admission], plan_->callers.source_of(*wire::parse_ip(ip)), head_, 0, false);
  }
  bool allowed(const std::string& ip, const std::string& method = "GET", const std::string& path = "/") {
    return judge(ip, method, path).allow;
  }

  registry::Registry registry_;
  std::unique_ptr<contract::Plan> plan_ = std::make_unique<contract::Plan>(), before_;
  std::string text_;
  http::RequestHead head_;
};

TEST_F(AccessTest, LongestNetworkThatHasANameSaysWhoCalls) {
  load(file(""));
  EXPECT_EQ(caller("10.1.9.9"), "office");
  EXPECT_EQ(caller("10.1.2.9"), "desk");
  EXPECT_EQ(caller("10.1.2.3"), "desk");
  EXPECT_EQ(caller("10.1.3.0"), "office");
  EXPECT_EQ(caller("10.2.0.0"), "everybody");
  EXPECT_EQ(caller("127.255.255.255"), "everybody");
  EXPECT_EQ(caller("128.0.0.0"), "");
  EXPECT_EQ(caller("fd01::9"), "office");
  EXPECT_EQ(caller("fd01:0:ffff:ffff:ffff:ffff:ffff:ffff"), "office");
  EXPECT_EQ(caller("fd01:1::"), "");
  EXPECT_EQ(caller("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "");
}

TEST_F(AccessTest, TasksOfAServiceAreThatService) {
  load(file(""));
  EXPECT_EQ(caller("10.0.0.1"), "shop");
  EXPECT_EQ(caller("fd00::11"), "shop");
  EXPECT_EQ(caller("10.0.0.2"), "cart");
  EXPECT_EQ(caller("10.5.0.1"), "shop") << "its own network beside its endpoints";
  EXPECT_EQ(caller("10.0.0.4"), "everybody");
}

TEST_F(AccessTest, AnAddressOfTwoServicesIsNobodysOwn) {
  load(kGateway +
       "services:\n"
       "  - { portName: a, appProtocol: http, endpoints: [ { address: 10.0.0.1, port: 80 }, { address: 10.0.0.2, port: 80 } ] }\n"
       "  - { portName: b, appProtocol: http, endpoints: [ { address: 10.0.0.1, port: 81 }, { address: 10.0.0.2, port: 81 } ] }\n"
       "callers: [ { name: a, cidrs: [10.0.0.2/32] } ]\n");
  EXPECT_EQ(caller("10.0.0.1"), "");
  EXPECT_EQ(caller("10.0.0.2"), "a") << "said in so many words";
}

TEST_F(AccessTest, RandomNetworksAgreeWithALinearSearch) {
  std::mt19937 random(5);
  for (u32 round = 0; round < 20; ++round) {
    std::string callers = "callers:\n";
    std::vector<std::pair<wire::Ip4Prefix, std::string>> networks;
    for (u32 i = 0; i < 30; ++i) {
      const u8 bits = static_cast<u8>(8 + random() % 25);
      const wire::Ip4Prefix p{wire::Ip4{wire::Ip4{0x0a000000 | static_cast<u32>(random() & 0x00030303)}.v & (~u32{0} << (32 - bits))}, bits};
      if (std::ranges::any_of(networks, [&](const auto& n) { return n.first == p; })) continue;
      networks.emplace_back(p, "c" + std::to_string(i));
      callers += "  - { name: c" + std::to_string(i) + ", cidrs: [" + to_string(p.network) + "/" + std::to_string(bits) + "] }\n";
    }
    load(kGateway + callers, 10 + round);
    for (u32 i = 0; i < 2000; ++i) {
      const wire::Ip4 ip{0x0a000000 | static_cast<u32>(random() & 0x00030303)};
      std::string wanted;
      i32 longest = -1;
      for (const auto& [p, name] : networks) {
        if (p.contains(ip) && p.bits > longest) {
          longest = p.bits;
          wanted = name;
        }
      }
      ASSERT_EQ(caller(to_string(ip)), wanted) << to_string(ip);
    }
  }
}

TEST_F(AccessTest, ServicesWithoutRulesAreNotAsked) {
  EXPECT_EQ(load(file("")).services[2].admission, kNone32);
  EXPECT_TRUE(plan_->admissions.empty());
}

TEST_F(AccessTest, ANewVersionIsBehindTheRulesOfTheOneThatIsCalled) {
  const std::string deny = "    access: { default: deny }\n", green = "    deployment: { green: cart }\n";
  const auto& plan = load(file(deny + green));
  EXPECT_NE(plan.services[2].admission, kNone32);
  EXPECT_EQ(plan.services[1].admission, plan.services[2].admission);
  const std::string with_own = "{ portName: cart, access: { default: allow, rules: [ { action: deny, methods: [PUT] } ] },";
  std::string text = file(deny + green);
  text.replace(text.find("{ portName: cart,"), 17, with_own);
  const auto& own = load(text, 2);
  EXPECT_NE(own.services[1].admission, kNone32);
  EXPECT_NE(own.services[1].admission, own.services[2].admission);
}

TEST_F(AccessTest, CallersAndNetworksBothHaveToHold) {
  rules("        - { action: allow, callers: [shop, office], cidrs: [10.0.0.0/24, 10.1.2.0/23] }\n");
  EXPECT_TRUE(allowed("10.0.0.1"));
  EXPECT_FALSE(allowed("10.5.0.1")) << "shop from elsewhere";
  EXPECT_FALSE(allowed("10.0.0.2")) << "cart from there";
  EXPECT_TRUE(allowed("10.1.3.1"));
  EXPECT_FALSE(allowed("10.1.2.1")) << "desk, not office";
  EXPECT_FALSE(allowed("fd01::1")) << "office over IPv6, which no network names";
}

TEST_F(AccessTest, FirstRuleThatHoldsDecides) {
  rules("        - { action: deny, callers: [desk], paths: [ { value: /admin } ] }\n"
        "        - { action: allow, callers: [office, desk] }\n"
        "        - { action: allow, methods: [GET, HEAD], paths: [ { type: exact, value: /health } ] }\n");
  EXPECT_FALSE(allowed("10.1.2.3", "GET", "/admin"));
  EXPECT_FALSE(allowed("10.1.2.3", "GET", "/admin/users"));
  EXPECT_TRUE(allowed("10.1.2.3", "GET", "/administrator")) << "a prefix covers whole segments";
  EXPECT_TRUE(allowed("10.1.9.3", "GET", "/admin"));
  EXPECT_TRUE(allowed("200.0.0.1", "HEAD", "/health"));
  EXPECT_FALSE(allowed("200.0.0.1", "POST", "/health"));
  EXPECT_FALSE(allowed("200.0.0.1", "GET", "/health/"));
  EXPECT_EQ(judge("10.1.2.3", "GET", "/admin").rule, 0u);
  EXPECT_EQ(judge("10.1.2.3", "GET", "/").rule, 1u);
  EXPECT_EQ(judge("200.0.0.1", "GET", "/").rule, kNone32);
}

// However a path is named, and by how many rules, the first one in the file decides.
TEST_F(AccessTest, ExactPathsPrefixesAndExpressionsMeetInOneRuleAndInMany) {
  rules("        - { action: deny, paths: [ { type: exact, value: /a/b/c }, { value: /x/ }, { type: regex, value: \"/a/[0-9]+\" } ] }\n"
        "        - { action: allow, methods: [GET], paths: [ { value: /a/b } ] }\n"
        "        - { action: deny, paths: [ { value: /a/b } ] }\n"
        "        - { action: allow, paths: [ { value: /a }, { type: exact, value: /x } ] }\n"
        "        - { action: deny, callers: [office], paths: [ { value: / } ] }\n"
        "        - { action: allow, methods: [PUT] }\n");
  const auto rule = [&](const std::string& method, const std::string& path, const std::string& ip = "200.0.0.1") {
    return judge(ip, method, path).rule;
  };
  EXPECT_EQ(rule("GET", "/a/b/c"), 0u);
  EXPECT_EQ(rule("GET", "/x"), 0u);
  EXPECT_EQ(rule("GET", "/x/y"), 0u);
  EXPECT_EQ(rule("GET", "/a/77"), 0u);
  EXPECT_EQ(rule("GET", "/a/b/c/d"), 1u);
  EXPECT_EQ(rule("POST", "/a/b/c/d"), 2u);
  EXPECT_EQ(rule("POST", "/a/77x"), 3u);
  EXPECT_EQ(rule("PUT", "/y", "10.1.9.9"), 4u);
  EXPECT_EQ(rule("PUT", "/y"), 5u);
  EXPECT_EQ(rule("GET", "/y"), kNone32);
}

TEST_F(AccessTest, RegularExpressionsMatchTheWholePath) {
  rules("        - { action: deny, paths: [ { type: regex, value: \"/v[0-9]+/secret\" } ] }\n", "allow");
  EXPECT_FALSE(allowed("10.1.2.3", "GET", "/v12/secret"));
  EXPECT_TRUE(judge("10.1.2.3", "GET", "/v12/secret").scanned);
  EXPECT_TRUE(allowed("10.1.2.3", "GET", "/v12/secrets"));
  EXPECT_TRUE(allowed("10.1.2.3", "GET", "/a/v1/secret"));
}

TEST_F(AccessTest, ABadExpressionIsRefusedAtItsPlace) {
  const auto config = config::parse(
      file("    access: { rules: [ { action: deny, paths: [ { type: regex, value: \"(\" } ] } ] }\n"), "f.yaml");
  ASSERT_TRUE(config);
  const auto plan = compile(*config, registry_, {});
  ASSERT_FALSE(plan);
  EXPECT_THAT(config::to_string(plan.error()[0]), HasSubstr("f.yaml:13:71: regular expression: "));
}

TEST_F(AccessTest, HundredsOfRulesKeepTheirOrder) {
  std::string lines;
  for (u32 i = 0; i < 300; ++i) {
    lines += "        - { action: " + std::string(i % 2 == 0 ? "allow" : "deny") + ", cidrs: [10." + std::to_string(20 + i / 256) + "." +
             std::to_string(i % 256) + ".0/24] }\n";
  }
  lines += "        - { action: allow, cidrs: [10.20.0.0/15] }\n";
  rules(lines);
  for (u32 i = 0; i < 300; ++i) {
    const auto j = judge("10." + std::to_string(20 + i / 256) + "." + std::to_string(i % 256) + ".9", "GET", "/");
    ASSERT_EQ(j.rule, i);
    ASSERT_EQ(j.allow, i % 2 == 0);
  }
  EXPECT_EQ(judge("10.21.200.1", "GET", "/").rule, 300u);
  EXPECT_FALSE(allowed("10.22.0.1"));
}

// A table that scans looks at the path as well, so that the rules have their answer from the same scan.
TEST_F(AccessTest, OneScanServesRoutesAndRules) {
  load(file("    access: { rules: [ { action: deny, paths: [ { type: regex, value: \"/x+\" } ] } ] }\n",
            "") + "listeners:\n  - name: edge\n    port: 8080\n    routes:\n      - backends: [ { service: api } ]\n"
                  "        matches: [ { headers: [ { name: x-a, type: regex, value: \"b.*\" } ] } ]\n");
  const auto board = std::make_unique<contract::HealthBoard>();
  const auto stats = std::make_unique<contract::CoreStats>();
  const auto router = std::make_unique<route::Router>(*board, *stats, 0);
  const auto listener = *std::ranges::find(plan_->listeners, "edge:8080", &contract::Listener::name);
  for (const bool hit : {true, false}) {
    text_ = std::string("GET ") + (hit ? "/xxx" : "/y") + " HTTP/1.1\r\nHost: e\r\nx-a: bcd\r\n\r\n";
    ASSERT_EQ(http::read_request({reinterpret_cast<const u8*>(text_.data()), text_.size()}, {}, head_).status, http::ReadStatus::complete);
    const route::Match match = router->match(*plan_, listener, head_);
    ASSERT_EQ(match.service, 2u);
    EXPECT_TRUE(match.scanned);
    const auto judgement = route::judge(*plan_, plan_->admissions[0], 0, head_, 0, match.scanned);
    EXPECT_EQ(judgement.allow, !hit);
    EXPECT_FALSE(judgement.scanned);
  }
}

TEST_F(AccessTest, ExplanationNamesTheCallerAndTheRule) {
  rules("        - { action: allow, callers: [office], methods: [GET] }\n");
  const auto board = std::make_unique<contract::HealthBoard>();
  const auto stats = std::make_unique<contract::CoreStats>();
  route::Explainer explainer(*board, *stats, 2);
  judge("10.1.9.9", "GET", "/");
  const auto& listener = plan_->listeners[0];
  const auto welcome = explainer.explain(*plan_, listener, head_, *wire::parse_ip("10.1.9.9"), 1);
  EXPECT_EQ(welcome.caller, "office");
  EXPECT_EQ(welcome.access, "allowed by rule 1: allow, caller office, method GET");
  const auto stranger = explainer.explain(*plan_, listener, head_, *wire::parse_ip("200.0.0.1"), 1);
  EXPECT_EQ(stranger.caller, "");
  EXPECT_EQ(stranger.access, "refused by default: no rule holds");
  EXPECT_THAT(stranger.outcome, HasSubstr("403"));
  EXPECT_TRUE(stranger.endpoint.empty());
}

TEST_F(AccessTest, AReloadKeepsBucketsOfRatesThatStay) {
  const auto limit = [](const std::string& all, const std::string& each) {
    return file("    rateLimit: { requestsPerSecond: " + all + ", burst: 5, perCaller: { requestsPerSecond: " + each + " } }\n");
  };
  load(limit("1", "2"));
  const auto first = plan_->admissions[0];
  EXPECT_EQ(first.rate_per_caller->buckets(), plan_->callers.names.size() + 1);
  load(limit("1", "2"), 2, plan_.get());
  EXPECT_EQ(plan_->admissions[0].rate, first.rate);
  EXPECT_EQ(plan_->admissions[0].rate_per_caller, first.rate_per_caller);
  load(limit("1", "3"), 3, plan_.get());
  EXPECT_EQ(plan_->admissions[0].rate, first.rate);
  EXPECT_NE(plan_->admissions[0].rate_per_caller, first.rate_per_caller);
}

TEST_F(AccessTest, IngressRulesNameListenersByTheirAddressesOfBothFamilies) {
  load(file("", "  ingress:\n    default: deny\n    rules:\n      - { action: allow, cidrs: [10.0.0.0/8, \"fd00::/8\"], listeners: [\"api:80\"] }\n"
                "      - { action: allow, ports: [22, \"8000-8100\"] }\n"));
  ASSERT_EQ(plan_->ingress.rules.size(), 2u);
  EXPECT_FALSE(plan_->ingress.allow);
  EXPECT_FALSE(plan_->ingress.refuses_nobody());
  ASSERT_EQ(plan_->ingress.rules[0].to.size(), 2u) << "one VIP of each family";
  for (const auto& to : plan_->ingress.rules[0].to) {
    EXPECT_TRUE(std::ranges::any_of(plan_->listeners, [&](const auto& l) { return l.ip == to.ip; }));
    EXPECT_EQ(to.port_first, 80);
    EXPECT_EQ(to.port_last, 80);
  }
  EXPECT_EQ(plan_->ingress.rules[0].from[0].bits, 96 + 8);
  EXPECT_EQ(plan_->ingress.rules[1].to[1].port_first, 8000);
  EXPECT_EQ(plan_->ingress.rules[1].to[1].port_last, 8100);
}

TEST_F(AccessTest, ConnectionsPerSourceAreSharedOutToCores) {
  const std::string limits = "  limits: { connectionsPerSource: 5 }\n";
  EXPECT_EQ(load(file("", limits)).limits.connections_per_source, 3u) << "for each of two cores";
}

}  // namespace
}  // namespace ringway::compile
