// Callers, access rules, rates and ingress rules in the file: what is read, and where what is wrong is told.

#include <gtest/gtest.h>

#include "control/config/load.h"

namespace ringway::config {
namespace {

// Lines 1 to 10; what is wrong stands from line 11 on.
const std::string kBegin =
    "gateway:\n"
    "  ports: [ { device: net_null0, address: 10.80.0.1/24 } ]\n"
    "  vipRange: 10.80.64.0/24\n"
    "  cores: [1]\n"
    "services:\n"
    "  - portName: auth\n"
    "    appProtocol: http\n"
    "    clientAliases: [ { dnsName: auth, port: 4000 } ]\n"
    "    endpoints: [ { address: 10.80.0.11, port: 80 } ]\n"
    "    drainSeconds: 5\n";
const std::string kGatewayLast =  // for keys of the gateway: line 3
    "services: []\n"
    "gateway:\n"
    "  ";
const std::string kGatewayRest = "\n  ports: [ { device: net_null0, address: 10.80.0.1/24 } ]\n  vipRange: 10.80.64.0/24\n  cores: [1]\n";

std::string told(const std::string& text) {
  const auto config = parse(text, "f");
  std::string out;
  for (const Problem& p : config ? config->warnings : config.error()) out += to_string(p) + "\n";
  return out;
}
std::string service(const std::string& line) { return told(kBegin + "    " + line + "\n"); }
std::string ingress(const std::string& line) { return told(kGatewayLast + "ingress: " + line + kGatewayRest); }
std::string callers(const std::string& line) { return told(kBegin + "callers: " + line + "\n"); }

TEST(AccessConfig, EverythingIsRead) {
  const auto config = parse(
      kBegin +
          "    access:\n      default: deny\n      rules:\n"
          "        - { action: allow, callers: [auth, office], cidrs: [10.0.0.0/8, \"fd00::/8\"], methods: [GET], paths: [ { type: exact, value: /a } ] }\n"
          "    rateLimit: { requestsPerSecond: 2.5, perCaller: { requestsPerSecond: 1, burst: 7 } }\n"
          "callers: [ { name: office, cidrs: [0.0.0.0/0] } ]\n",
      "f");
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->warnings.empty());
  const ServiceConfig& s = config->services[0];
  EXPECT_FALSE(s.access.allow);
  const AccessRuleConfig& rule = s.access.rules[0];
  EXPECT_TRUE(rule.allow);
  EXPECT_EQ(rule.callers[1].name, "office");
  EXPECT_EQ(rule.networks[0].prefix.bits, 104);
  EXPECT_TRUE(rule.networks[0].prefix.is4());
  EXPECT_EQ(rule.networks[1].prefix.bits, 8);
  EXPECT_EQ(rule.methods[0], "GET");
  EXPECT_EQ(rule.paths[0].type, PathMatch::exact);
  EXPECT_EQ(s.rate_limit.all->burst, 3u) << "what a second brings, rounded up";
  EXPECT_EQ(s.rate_limit.per_caller->burst, 7u);
  EXPECT_TRUE(config->callers[0].networks[0].prefix.is4());
}

TEST(AccessConfig, RulesOfAService) {
  EXPECT_EQ(service("access: { default: maybe }"), "f:11:24: default: \"maybe\" is none of allow, deny\n");
  EXPECT_EQ(service("access: { rules: [ { callers: [auth] } ] }"), "f:11:24: missing key \"action\" in rules[0]\n");
  EXPECT_EQ(service("access: { rules: [ { action: deny, callers: [auht] } ] }"),
            "f:11:50: callers: there is no caller or service \"auht\"; did you mean \"auth\"?\n");
  EXPECT_EQ(service("access: { rules: [ { action: deny, cidrs: [10.0.0.1] } ] }"), "f:11:48: cidrs[0]: must be address/length, such as 10.0.0.0/24 or fd00::/64\n");
  EXPECT_EQ(service("access: { rules: [ { action: deny, cidrs: [10.0.0.1/8] } ] }"), "f:11:48: cidrs[0]: host bits are set\n");
  EXPECT_EQ(service("access: { rules: [ { action: deny, methods: [\"G E\"] } ] }"), "f:11:50: methods[0]: must be a token of 1 to 32 characters\n");
  EXPECT_EQ(service("access: { rules: [ { action: deny, paths: [ { value: a } ] } ] }"), "f:11:58: value: a path begins with '/'\n");
  EXPECT_EQ(service("access: { rules: [ { action: allow }, { action: deny, callers: [auth] } ] }"),
            "f:11:43: rules: never asked: the rule before holds for every request\n");
}

TEST(AccessConfig, WhatTcpCannotAnswer) {
  const auto tcp = [](const std::string& line) {
    std::string text = kBegin;
    text.erase(text.find("    appProtocol: http\n"), 22);
    return told(text + "    " + line + "\n");
  };
  EXPECT_EQ(tcp("access: { rules: [ { action: deny, callers: [auth] } ] }"), "");
  EXPECT_EQ(tcp("access: { rules: [ { action: deny, methods: [GET] } ] }"),
            "f:10:24: rules: a TCP service has neither methods nor paths: give it an appProtocol\n");
  EXPECT_EQ(tcp("rateLimit: { requestsPerSecond: 1 }"), "f:10:16: rateLimit: not for TCP: give the service an appProtocol\n");
}

TEST(AccessConfig, Rates) {
  EXPECT_EQ(service("rateLimit: { burst: 3 }"), "f:11:16: rateLimit: neither requestsPerSecond nor perCaller is given\n"
                                                "f:11:25: burst: there is no requestsPerSecond beside it\n");
  EXPECT_EQ(service("rateLimit: { requestsPerSecond: 0 }"), "f:11:37: requestsPerSecond: 0 is not within 0.001 to 1e+07\n");
  EXPECT_EQ(service("rateLimit: { perCaller: { burst: 1 } }"), "f:11:29: missing key \"requestsPerSecond\" in perCaller\n"
                                                              "f:11:38: burst: there is no requestsPerSecond beside it\n");
}

TEST(AccessConfig, Callers) {
  EXPECT_EQ(callers("[ { name: a } ]"), "f:11:12: missing key \"cidrs\" in callers[0]\n");
  EXPECT_EQ(callers("[ { name: a, cidrs: [] } ]"), "f:11:30: cidrs: 0 entries, must be 1 to 4096\n");
  EXPECT_EQ(callers("[ { name: a, cidrs: [10.0.0.0/8] }, { name: a, cidrs: [10.1.0.0/16] } ]"), "f:11:54: name: caller \"a\" is used before (line 11)\n");
  EXPECT_EQ(callers("[ { name: a, cidrs: [10.0.0.0/8] }, { name: b, cidrs: [10.0.0.0/8] } ]"), "f:11:65: cidrs: 10.0.0.0/8 belongs to \"a\" (line 11)\n");
}

TEST(AccessConfig, AnAddressOfTwoServicesWarnsWhoAsksForCallers) {
  const std::string other = "  - { portName: b, appProtocol: http, clientAliases: [ { port: 1 } ], endpoints: [ { address: 10.80.0.11, port: 81 } ]";
  EXPECT_EQ(told(kBegin + other + " }\n"), "");
  const std::string rule = ",\n      access: { rules: [ { action: deny, callers: [auth] } ] } }\n";
  EXPECT_EQ(told(kBegin + other + rule),
            "f:11:95: address: 10.80.0.11 is also an endpoint of auth: calls from there have no caller until `callers` names one\n");
  EXPECT_EQ(told(kBegin + other + rule + "callers: [ { name: auth, cidrs: [10.80.0.11/32] } ]\n"), "");
}

TEST(AccessConfig, IngressRules) {
  EXPECT_EQ(ingress("{ default: deny, rules: [ { action: allow, ports: [80, \"8000-8100\"] } ] }"), "");
  EXPECT_EQ(ingress("{ rules: [ { action: deny, ports: [0] } ] }"), "f:3:47: ports[0]: 0 is not within 1 to 65535\n");
  for (const char* bad : {"\"80\"", "\"90-80\"", "\"80-\"", "\"-80\"", "\"0-80\"", "\"1-65536\"", "\"1-2-3\""}) {
    EXPECT_EQ(ingress(std::string("{ rules: [ { action: deny, ports: [") + bad + "] } ] }"),
              "f:3:47: ports[0]: must be a port or a range such as \"8000-8100\"\n") << bad;
  }
  EXPECT_EQ(ingress("{ rules: [ { action: deny, listeners: [edge] } ] }"), "f:3:51: listeners: there is no listener or alias \"edge\"\n");
  EXPECT_EQ(ingress("{ rules: [ { action: deny, listeners: [edge], ports: [80] } ] }"),
            "f:3:23: ingress rule: ports and listeners: only one of the two may be given\n"
            "f:3:51: listeners: there is no listener or alias \"edge\"\n");
}

}  // namespace
}  // namespace ringway::config
