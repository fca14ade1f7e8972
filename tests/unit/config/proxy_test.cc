// `proxyProtocol` and `acceptProxyProtocol` in the file: what they may say, what is refused and where.

#include <gtest/gtest.h>

#include "control/config/load.h"

namespace ringway::config {
namespace {

// Line 5 is the service, line 6 a listener.
std::string file(const std::string& service, const std::string& listener = "") {
  return "gateway:\n  ports: [ { device: net_null0, address: 10.80.0.1/24 } ]\n  vipRange: 10.80.64.0/24\n  cores: [1]\nservices: [ { portName: a, endpoints: [ { address: 10.80.0.11, port: 80 } ], " +
         service + " } ]\nlisteners: [ { name: l, port: 81, service: a" + listener + " } ]\n";
}
std::string refusals(const std::string& text) {
  const auto config = parse(text, "f");
  std::string out;
  if (!config) {
    for (const Problem& p : config.error()) out += std::to_string(p.line) + " " + p.message + "\n";
  }
  return out;
}
const std::string kAlias = "clientAliases: [ { dnsName: a, port: 80, acceptProxyProtocol: { from: ";

TEST(ProxyConfig, EveryVersionIsRead) {
  using wire::ProxyVersion;
  for (const auto& [word, version] : {std::pair("off", ProxyVersion::off), std::pair("v1", ProxyVersion::v1), std::pair("v2", ProxyVersion::v2),
                                      std::pair("v2-crc32c", ProxyVersion::v2_crc32c)}) {
    const auto config = parse(file(std::string("proxyProtocol: ") + word), "f");
    ASSERT_TRUE(config) << word;
    EXPECT_EQ(config->services[0].proxy_protocol, version);
  }
  EXPECT_EQ(parse(file("drainSeconds: 1"), "f")->services[0].proxy_protocol, ProxyVersion::off);
}

TEST(ProxyConfig, ItIsForTcpServices) {
  EXPECT_EQ(refusals(file("appProtocol: http, proxyProtocol: v2")),
            "5 proxyProtocol: for TCP services only: requests of many clients share a connection to an HTTP endpoint, which finds the client in X-Forwarded-For\n");
  EXPECT_EQ(refusals(file("appProtocol: http, proxyProtocol: off")), "");
  EXPECT_EQ(refusals(file("proxyProtocol: v1, healthCheck: { protocol: grpc }")), "5 proxyProtocol: not together with a health check of protocol grpc\n");
  EXPECT_EQ(refusals(file("proxyProtocol: v3")), "5 proxyProtocol: \"v3\" is none of off, v1, v2, v2-crc32c; did you mean v1?\n");
}

TEST(ProxyConfig, NetworksOfBothFamiliesAtAliasAndListener) {
  const auto config = parse(file(kAlias + "[ 10.0.16.0/20, \"fd00:16::/64\", 10.1.1.1/32, 0.0.0.0/0, \"::/0\" ] } } ]",
                                 ", acceptProxyProtocol: { from: [ 10.2.0.0/16 ] }"), "f");
  ASSERT_TRUE(config);
  const auto& proxies = config->services[0].client_aliases[0].proxies;
  ASSERT_EQ(proxies.size(), 5u);
  EXPECT_TRUE(proxies[0].contains(wire::Ip(wire::Ip4::of(10, 0, 31, 255)).ip6()));
  EXPECT_FALSE(proxies[0].contains(wire::Ip(wire::Ip4::of(10, 0, 32, 0)).ip6()));
  EXPECT_EQ(proxies[1], (wire::Ip6Prefix{wire::Ip6::of(0xfd00, 0x16, 0, 0, 0, 0, 0, 0), 64}));
  EXPECT_EQ(proxies[2].bits, 128);
  EXPECT_TRUE(proxies[3].contains(wire::Ip(wire::Ip4::of(1, 2, 3, 4)).ip6()));
  EXPECT_FALSE(proxies[3].contains(wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1)));
  ASSERT_EQ(config->listeners[0].proxies.size(), 1u);
}

TEST(ProxyConfig, WhatIsNoNetworkIsRefusedAtItsPlace) {
  const auto refused = [](const std::string& list) { return refusals(file(kAlias + list + " } } ]")); };
  const std::string shape = "5 from[0]: must be address/length, such as 10.0.0.0/24 or fd00::/64\n";
  for (const char* network : {"[ 10.0.0.1 ]", "[ 10.0.0.0/33 ]", "[ \"fd00::/129\" ]", "[ 10.0.0.0/ ]", "[ 10.0.0.0/24x ]"}) {
    EXPECT_EQ(refused(network), shape) << network;
  }
  for (const char* network : {"[ 10.0.0.1/24 ]", "[ \"fd00::1/64\" ]", "[ \"fd00:0:0:1::/63\" ]"}) EXPECT_EQ(refused(network), "5 from[0]: host bits are set\n") << network;
  EXPECT_EQ(refused("[ lb.example/24 ]"), "5 from[0]: \"lb.example\" is not an address\n");
  EXPECT_EQ(refused("[ 10.0.0/24 ]"), "5 from[0]: \"10.0.0\" is not an address\n");
  EXPECT_EQ(refused("[]"), "5 from: 0 entries, must be 1 to 64\n");
}

TEST(ProxyConfig, AHashThatATcpServiceCannotTakeIsOfItsSource) {
  const auto config = parse(file("balancing: { hash: { on: path } }"), "f");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->services[0].balancing.hash_on, contract::HashOn::source);
  ASSERT_EQ(config->warnings.size(), 1u);
  EXPECT_EQ(config->warnings[0].line, 5);
  EXPECT_EQ(parse(file("balancing: { hash: { on: request } }"), "f")->services[0].balancing.hash_on, contract::HashOn::request);
}

}  // namespace
}  // namespace ringway::config
