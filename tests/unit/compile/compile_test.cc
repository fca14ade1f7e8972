// Config to Plan: what a plan holds, that a permuted file changes no table, and that VIPs stay where they were.

#include "control/compile/compile.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "control/config/load.h"

namespace ringway::compile {
namespace {

config::Config load(const std::string& services, const std::string& range = "10.80.64.0/24") {
  auto config = config::parse("gateway:\n  name: gw-7\n  ports: [ { device: net_null0, address: 10.80.0.1/24, nextHop: 10.80.0.254 } ]\n  vipRange: " + range +
                                  "\n  dns: { address: 10.80.0.53, ttlSeconds: 9 }\n  namespace: prod\n  cores: [1]\n" + services,
                              "f.yaml");
  if (!config) {
    for (const auto& problem : config.error()) ADD_FAILURE() << config::to_string(problem);
    return {};
  }
  return *config;
}

const std::string kTwo =
    "services:\n"
    "  - { portName: auth, appProtocol: http, clientAliases: [ { dnsName: auth, port: 4000 }, { dnsName: auth, port: 4001 } ],\n"
    "      healthCheck: { protocol: http, path: /health },\n"
    "      endpoints: [ { address: 10.80.0.12, port: 80, weight: 2, zone: b }, { address: 10.80.0.11, port: 80 } ] }\n"
    "  - { portName: api, appProtocol: grpc, clientAliases: [ { dnsName: api, port: 3000, vip: 10.80.64.9 } ], endpoints: [] }\n";

std::unique_ptr<contract::Plan> plan_of(const config::Config& config, registry::Registry& registry, CompileContext context = {}) {
  auto plan = compile(config, registry, context);
  if (plan) return std::move(*plan);
  for (const auto& problem : plan.error()) ADD_FAILURE() << config::to_string(problem);
  return std::make_unique<contract::Plan>();
}

TEST(Compile, Endpoints_AreSortedByIdAndHaveSlots) {
  registry::Registry registry;
  const auto plan = plan_of(load(kTwo), registry);
  ASSERT_EQ(plan->endpoints.size(), 2u);
  EXPECT_EQ(plan->endpoints[0].id, "auth/10.80.0.11:80");
  EXPECT_EQ(plan->endpoints[1].id, "auth/10.80.0.12:80");
  EXPECT_EQ(plan->endpoints[1].weight, 2);
  EXPECT_EQ(plan->endpoints[1].zone, "b");
  EXPECT_NE(plan->endpoints[0].slot, plan->endpoints[1].slot);
  EXPECT_EQ(plan->services[0].weight_sum, 3u);
  EXPECT_EQ(plan->services[0].maglev.size(), contract::kMaglevSlotsDefault);
  EXPECT_EQ(plan->via, "gw-7");
}

TEST(Compile, CoreAddresses_AreOursAndEachCoresSource) {
  registry::Registry registry;
  config::Config config = load(kTwo);
  config.gateway.cores = {1, 2, 3};
  const auto shared = plan_of(config, registry);
  EXPECT_EQ(shared->ports[0].source(2), wire::Ip4::of(10, 80, 0, 1));
  config.gateway.ports[0].core_addresses = wire::Ip4::of(10, 80, 0, 100);
  const auto plan = plan_of(config, registry, {.generation = 2});
  for (u32 core = 0; core < 3; ++core) {
    const wire::Ip4 own{wire::Ip4::of(10, 80, 0, 100).v + core};
    EXPECT_EQ(plan->ports[0].source(core), own);
    EXPECT_TRUE(std::ranges::binary_search(plan->addresses, own));
  }
  EXPECT_EQ(plan->addresses.size(), shared->addresses.size() + 3);
}

TEST(Compile, CircuitBreakers_AreSharedAmongTheCoresRoundedUp) {
  registry::Registry registry;
  const auto of = [&](const std::string& limits, u64 generation) {
    const auto plan = plan_of(load("services:\n  - { portName: a, appProtocol: http, endpoints: [], circuitBreakers: {" + limits + "} }\n"), registry,
                              {.generation = generation, .cores = 3});
    return plan->services.at(0).breakers;
  };
  const auto few = of("maxConnections: 10, maxPendingRequests: 1", 1);
  EXPECT_EQ(few.core_connections, 4u);
  EXPECT_EQ(few.core_pending, 1u);
  EXPECT_EQ(few.connections, 10u) << "what the file says stays, to be shown";
  const auto none = of("maxPendingRequests: 0", 2);
  EXPECT_EQ(none.core_connections, 0u) << "without a limit there is no share";
  EXPECT_EQ(none.core_pending, 0u);
  EXPECT_EQ(of("maxConnections: 2147483647", 3).core_connections, 715'827'883u);
}

TEST(Compile, NoEndpoint_GivesAnEmptyTable) {
  registry::Registry registry;
  const auto plan = plan_of(load(kTwo), registry);
  EXPECT_EQ(plan->services[1].endpoint_count, 0u);
  EXPECT_TRUE(plan->services[1].maglev.empty());
}

TEST(Compile, Regret24_PermutedFile_GivesTheSameTables) {
  const std::string head = "services:\n  - { portName: auth, appProtocol: http, endpoints: [";
  const std::string a = "{ address: 10.80.0.11, port: 80, weight: 3 }", b = "{ address: 10.80.0.12, port: 80 }", c = "{ address: 10.80.0.13, port: 80 }";
  registry::Registry one, other;
  const auto plan = plan_of(load(head + a + "," + b + "," + c + "] }\n"), one);
  const auto permuted = plan_of(load(head + c + "," + a + "," + b + "] }\n"), other);
  EXPECT_EQ(plan->services[0].maglev, permuted->services[0].maglev);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(plan->endpoints[i].id, permuted->endpoints[i].id);
}

TEST(Compile, Listeners_AreSortedAndAliasesOfOneNameShareItsVip) {
  registry::Registry registry;
  const auto plan = plan_of(load(kTwo), registry);
  ASSERT_EQ(plan->listeners.size(), 3u);
  EXPECT_TRUE(std::ranges::is_sorted(plan->listeners, {}, [](const contract::Listener& l) { return std::pair(l.ip, l.port); }));
  const auto at = [&](const std::string& name) { return *std::ranges::find(plan->listeners, name, &contract::Listener::name); };
  EXPECT_EQ(at("auth:4000").ip, at("auth:4001").ip);
  EXPECT_EQ(at("api:3000").ip, wire::Ip4::of(10, 80, 64, 9));
  EXPECT_EQ(at("api:3000").service, 1u);
}

TEST(Compile, ProxyProtocol_StandsAtServiceAndListenersOfItsAliasAlone) {
  registry::Registry registry;
  const auto plan = plan_of(load("services:\n  - { portName: a, proxyProtocol: v2, endpoints: [], clientAliases: [ { dnsName: a, port: 1, acceptProxyProtocol: { from: [ 10.0.0.0/8 ] } }, { dnsName: a, port: 2 } ] }\n"
                                 "listeners: [ { name: l, port: 3, service: a, acceptProxyProtocol: { from: [ 10.2.0.0/16 ] } } ]\n"), registry);
  EXPECT_EQ(plan->services[0].proxy_protocol, wire::ProxyVersion::v2);
  ASSERT_EQ(plan->listeners.size(), 3u);
  for (const contract::Listener& l : plan->listeners) {
    EXPECT_EQ(l.is_proxy(wire::Ip4::of(10, 2, 0, 1)), l.port != 2) << l.name;
    EXPECT_EQ(l.is_proxy(wire::Ip4::of(10, 3, 0, 1)), l.port == 1) << l.name;
    EXPECT_FALSE(l.is_proxy(wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1)));
  }
}

TEST(Compile, Addresses_AreAllOfOursSorted) {
  registry::Registry registry;
  const auto plan = plan_of(load(kTwo), registry);
  EXPECT_TRUE(std::ranges::is_sorted(plan->addresses));
  for (const wire::Ip4 ip : {wire::Ip4::of(10, 80, 0, 1), wire::Ip4::of(10, 80, 0, 53), wire::Ip4::of(10, 80, 64, 9)}) {
    EXPECT_TRUE(std::ranges::binary_search(plan->addresses, ip));
  }
  EXPECT_EQ(plan->addresses.size(), 4u);
  EXPECT_EQ(plan->ports[0].next_hop, wire::Ip4::of(10, 80, 0, 254));
}

TEST(Compile, DnsNames_AreSortedWithTheirVips) {
  registry::Registry registry;
  const auto plan = plan_of(load(kTwo), registry);
  ASSERT_EQ(plan->dns_names.size(), 2u);
  EXPECT_EQ(plan->dns_names[0].name, "api");
  EXPECT_EQ(plan->dns_names[0].ip, wire::Ip4::of(10, 80, 64, 9));
  EXPECT_EQ(plan->dns_ip, wire::Ip4::of(10, 80, 0, 53));
  EXPECT_EQ(plan->dns_ttl_s, 9u);
  EXPECT_EQ(plan->dns_zones, std::vector<std::string>{"prod"});
}

TEST(Compile, HealthCheck_IsAWholeRequest) {
  registry::Registry registry;
  const auto plan = plan_of(load(kTwo), registry);
  EXPECT_EQ(plan->services[0].health_check.request,
            "GET /health HTTP/1.1\r\nHost: auth\r\nUser-Agent: ringway-health/" RINGWAY_VERSION
            "\r\nAccept: */*\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(plan->services[1].health_check.kind, contract::HealthCheckKind::tcp);
}

TEST(Compile, Reload_KeepsSlots) {
  registry::Registry registry;
  const auto config = load(kTwo);
  const auto plan = plan_of(config, registry);
  const auto next = plan_of(config, registry, {.generation = 2});
  EXPECT_EQ(plan->endpoints[1].slot, next->endpoints[1].slot);
  EXPECT_EQ(plan->endpoints[1].incarnation, next->endpoints[1].incarnation);
  EXPECT_EQ(plan->services[1].slot, next->services[1].slot);
}

TEST(Compile, BadRegex_FailsAtItsPlaceAndGivesSlotsBack) {
  registry::Registry registry;
  const auto plan = compile(load(kTwo + "listeners:\n  - name: e\n    port: 80\n    routes:\n      - matches: [ { path: { type: regex, value: \"/a(b\" } } ]\n"
                                        "        backends: [ { service: auth } ]\n"), registry, {});
  ASSERT_FALSE(plan);
  ASSERT_EQ(plan.error().size(), 1u);
  EXPECT_EQ(plan.error()[0].line, 17);
  EXPECT_EQ(plan.error()[0].column, 50);
  EXPECT_EQ(registry.endpoints().used(), 0u);
}

std::string named(const std::vector<std::string>& names) {
  std::string out = "services:\n";
  for (const auto& n : names) out += "  - { portName: " + n + ", clientAliases: [ { dnsName: " + n + ", port: 80 } ], endpoints: [] }\n";
  return out;
}

TEST(Vips, SameNamesInAnyOrder_GetTheSameAddresses) {
  EXPECT_EQ(*assign_vips(load(named({"a", "b", "c", "d"}))), *assign_vips(load(named({"d", "b", "a", "c"}))));
}

TEST(Vips, FullRange_UsesEveryHostOnceAndNeverTheEnds) {
  const auto vips = assign_vips(load(named({"a", "b", "c", "d", "e", "f"}), "10.80.64.0/29"));
  ASSERT_TRUE(vips);
  std::vector<u32> hosts;
  for (const auto& [name, vip] : *vips) hosts.push_back(vip.v4.ip4().v & 7);
  std::ranges::sort(hosts);
  EXPECT_EQ(hosts, (std::vector<u32>{1, 2, 3, 4, 5, 6}));
}

TEST(Vips, OneNameTooMany_IsAProblemAtTheRange) {
  const auto vips = assign_vips(load(named({"a", "b", "c", "d", "e", "f", "g"}), "10.80.64.0/29"));
  ASSERT_FALSE(vips);
  EXPECT_EQ(config::to_string(vips.error()[0]), "f.yaml:4:13: vipRange: too small: 6 names have a VIP and none is left for \"g\"");
}

TEST(Vips, Reload_KeepsWhatWasAssigned) {
  const auto before = assign_vips(load(named({"m", "n"}), "10.80.64.0/29"));
  const auto after = assign_vips(load(named({"a", "b", "c", "m", "n"}), "10.80.64.0/29"), *before);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->at("m"), before->at("m"));
  EXPECT_EQ(after->at("n"), before->at("n"));
}

TEST(Vips, PreviousOutsideTheNewRange_IsReplaced) {
  const auto vips = assign_vips(load(named({"a"})), {{"a", {wire::Ip4::of(10, 9, 9, 9), {}}}});
  EXPECT_TRUE((wire::Ip4Prefix{wire::Ip4::of(10, 80, 64, 0), 24}.contains(vips->at("a").v4.ip4())));
}

const std::string kSix =
    "gateway:\n  ports: [ { device: net_null0, address: 10.80.0.1/24, address6: fd00::1/64, nextHop6: fe80::1 } ]\n"
    "  vipRange: 10.80.64.0/24\n  vipRange6: fd00:64::/120\n  dns: { address6: fd00::53 }\n  cores: [1]\n"
    "services:\n"
    "  - { portName: a, clientAliases: [ { port: 80 } ], endpoints: [ { address: \"fd00::b\", port: 80 }, { address: 10.80.0.11, port: 80 } ] }\n"
    "  - { portName: b, clientAliases: [ { port: 81, vip6: \"fd00:64::9\" } ], endpoints: [] }\n"
    "listeners: [ { name: l, address: \"fd00::1\", port: 8080, service: a } ]\n";

TEST(Compile, BothFamilies_EveryNameHasAVipAndAListenerInEach) {
  registry::Registry registry;
  const auto config = config::parse(kSix, "f.yaml");
  ASSERT_TRUE(config) << config::to_string(config.error()[0]);
  const auto plan = plan_of(*config, registry);
  ASSERT_EQ(plan->listeners.size(), 5u);
  EXPECT_TRUE(std::ranges::is_sorted(plan->listeners, {}, [](const auto& l) { return std::pair(l.ip, l.port); }));
  const wire::Ip6Prefix range{wire::Ip6::of(0xfd00, 0x64, 0, 0, 0, 0, 0, 0), 120};
  ASSERT_EQ(plan->dns_names.size(), 4u);
  EXPECT_EQ(plan->dns_names[0].name, "a");
  EXPECT_TRUE(plan->dns_names[0].ip.is4());
  EXPECT_EQ(plan->dns_names[1].name, "a");
  EXPECT_TRUE(range.contains(plan->dns_names[1].ip.ip6()));
  EXPECT_EQ(plan->dns_names[3].ip, wire::Ip(wire::Ip6::of(0xfd00, 0x64, 0, 0, 0, 0, 0, 9)));
  EXPECT_EQ(plan->dns_ip6, wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 0x53));
  EXPECT_EQ(plan->ports[0].ip6, wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1));
  EXPECT_EQ(plan->ports[0].next_hop6, wire::Ip6::of(0xfe80, 0, 0, 0, 0, 0, 0, 1));
  EXPECT_EQ(plan->endpoints[0].id, "a/10.80.0.11:80");
  EXPECT_EQ(plan->endpoints[1].id, "a/[fd00::b]:80");
  EXPECT_TRUE(std::ranges::binary_search(plan->addresses, wire::Ip(plan->dns_ip6)));
}

TEST(Vips, Ipv6Range_GivesDistinctAddressesThatStay) {
  const auto config = config::parse(kSix, "f.yaml");
  const auto first = assign_vips(*config);
  ASSERT_TRUE(first);
  EXPECT_EQ(*assign_vips(*config), *first);
  EXPECT_EQ(*assign_vips(*config, *first), *first);
  EXPECT_NE(first->at("a").v6, first->at("b").v6);
}

TEST(Compile, Ipv6Alone_NeedsNoIpv4Address) {
  registry::Registry registry;
  const auto config = config::parse(
      "gateway:\n  ports: [ { device: net_null0, address6: fd00::1/64 } ]\n  vipRange6: fd00:64::/64\n  cores: [1]\n"
      "services: [ { portName: a, clientAliases: [ { port: 80 } ], endpoints: [ { address: \"fd00::b\", port: 80 } ] } ]\n", "f.yaml");
  ASSERT_TRUE(config) << config::to_string(config.error()[0]);
  const auto plan = plan_of(*config, registry);
  ASSERT_EQ(plan->listeners.size(), 1u);
  EXPECT_TRUE(plan->listeners[0].ip.is6());
  EXPECT_EQ(plan->addresses.size(), 2u);
  EXPECT_EQ(plan->dns_ip.v, 0u);
}

TEST(Compile, OutlierDetection_IsThatOfTheFile) {
  registry::Registry registry;
  config::Config config = load(kTwo);
  config.services[1].outlier.consecutive_5xx = 17;
  const auto plan = plan_of(config, registry);
  EXPECT_EQ(plan->services[0].outlier, contract::OutlierDetection{});
  EXPECT_EQ(plan->services[1].outlier.consecutive_5xx, 17u);
}

TEST(Compile, HealthEndpoint_ListensOnEveryAddressOfThePorts) {
  registry::Registry registry;
  config::Config config = load(kTwo);
  const std::size_t before = plan_of(config, registry)->listeners.size();
  config.gateway.health_endpoint.port = 8081;
  config.gateway.ports[0].address6 = wire::Ip6::from_halves(0xfd00ull << 48, 1);
  const auto plan = plan_of(config, registry, {.generation = 2});
  EXPECT_EQ(plan->listeners.size(), before + 2);
  for (const contract::Listener& l : plan->listeners) {
    if (l.health_path.empty()) continue;
    EXPECT_EQ(l.health_path, "/health");
    EXPECT_EQ(l.port, 8081);
    EXPECT_EQ(l.service, kNone32);
    EXPECT_TRUE(l.ip == wire::Ip(config.gateway.ports[0].address) || l.ip == wire::Ip(config.gateway.ports[0].address6));
  }
  EXPECT_TRUE(std::ranges::is_sorted(plan->listeners, {}, [](const auto& l) { return std::pair(l.ip, l.port); }));
}

TEST(Compile, HealthEndpointOnAVip_IsNoNamesAddress) {
  registry::Registry registry;
  config::Config config = load(kTwo);
  const auto first = plan_of(config, registry);
  const auto auth = std::ranges::find(first->dns_names, "auth", &contract::DnsName::name);
  ASSERT_NE(auth, first->dns_names.end());
  config.gateway.health_endpoint.port = 4000;
  config.gateway.health_endpoint.address = auth->ip;  // where that name would go by itself
  const auto plan = plan_of(config, registry, {.generation = 2});
  const auto moved = std::ranges::find(plan->dns_names, "auth", &contract::DnsName::name);
  EXPECT_NE(moved->ip, auth->ip);
  EXPECT_TRUE(std::ranges::binary_search(plan->addresses, auth->ip));
  EXPECT_EQ(plan->dns_names.size(), first->dns_names.size());
}

}  // namespace
}  // namespace ringway::compile
