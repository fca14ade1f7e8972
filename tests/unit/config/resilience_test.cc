// services[].outlierDetection and gateway.healthEndpoint: read, refused, and the same in the schema.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>

#include "control/config/load.h"

namespace ringway::config {
namespace {

// The gateway's and the service's further lines in a file of otherwise few.
std::string resilience_file(const std::string& of_gateway, const std::string& of_service) {
  return "gateway:\n"
         "  ports: [ { device: net_null0, address: 10.80.0.1/24, address6: \"fd00::1/64\" } ]\n"
         "  vipRange: 10.80.64.0/24\n"
         "  cores: [1]\n" +
         (of_gateway.empty() ? "" : "  " + of_gateway + "\n") +
         "services:\n"
         "  - portName: auth\n"
         "    clientAliases: [ { dnsName: auth-service, port: 4000, vip: 10.80.64.5 } ]\n"
         "    endpoints: [ { address: 10.80.0.11, port: 80 } ]\n" +
         (of_service.empty() ? "" : "    " + of_service + "\n") +
         "listeners: [ { name: edge, address: 10.80.0.1, port: 8080, service: auth } ]\n";
}
Config resilience_of(const std::string& of_gateway, const std::string& of_service) {
  auto config = parse(resilience_file(of_gateway, of_service), "f.yaml");
  if (config) return *config;
  for (const Problem& problem : config.error()) ADD_FAILURE() << to_string(problem);
  return {};
}
std::string refusal_of(const std::string& of_gateway, const std::string& of_service) {
  const auto config = parse(resilience_file(of_gateway, of_service), "f.yaml");
  return config ? "" : to_string(config.error().front());
}

TEST(OutlierConfig, NotSaid_IsOnWithTheDefaults) {
  const Config config = resilience_of("", "");
  EXPECT_EQ(config.services.at(0).outlier, contract::OutlierDetection{});
  EXPECT_TRUE(config.services.at(0).outlier.enabled);
}

TEST(OutlierConfig, EverySettingOfTheTable_IsRead) {
  contract::OutlierDetection wanted;
  std::string text;
#define RW_OUTLIER_SWITCH(field, key, value) text += std::string(", ") + key + ": " + (value ? "false" : "true"), wanted.field = !value;
#define RW_OUTLIER_COUNT(field, key, value, least, most) text += std::string(", ") + key + ": 7", wanted.field = 7;
#define RW_OUTLIER_SECONDS(field, key, value, least, most) text += std::string(", ") + key + ": 2.5", wanted.field = 2'500'000;
#include "src/contract/outlier.def"
#undef RW_OUTLIER_SWITCH
#undef RW_OUTLIER_COUNT
#undef RW_OUTLIER_SECONDS
  EXPECT_EQ(resilience_of("", "outlierDetection: {" + text.substr(1) + " }").services.at(0).outlier, wanted);
}

TEST(OutlierConfig, WhatHasNoEffect_IsWarnedOf) {
  const Config config = resilience_of("", "outlierDetection: { consecutiveLocalOriginFailure: 3, maxEjectionSeconds: 10 }");
  ASSERT_EQ(config.warnings.size(), 2u);
  EXPECT_NE(config.warnings[0].message.find("splitLocalOriginErrors"), std::string::npos);
  EXPECT_NE(config.warnings[1].message.find("baseEjectionSeconds"), std::string::npos);
}

TEST(OutlierConfig, Mistakes_AreRefusedAtTheirPlace) {
  EXPECT_EQ(refusal_of("", "outlierDetection: { consecutive5XX: 3 }"),
            "f.yaml:9:25: unknown key \"consecutive5XX\"; did you mean \"consecutive5xx\"?");
  EXPECT_EQ(refusal_of("", "outlierDetection: { maxEjectionPercent: 101 }"),
            "f.yaml:9:45: maxEjectionPercent: 101 is not within 0 to 100");
  EXPECT_EQ(refusal_of("", "outlierDetection: off"), "f.yaml:9:23: outlierDetection: must be a mapping, not the text \"off\"; docs/configuration.md has its keys");
}

TEST(OutlierConfig, Schema_HasTheDefaultsAndRangesOfTheTable) {
  const YAML::Node properties =
      YAML::LoadFile(std::getenv("RINGWAY_SCHEMA"))["properties"]["services"]["items"]["properties"]["outlierDetection"]["properties"];
#define RW_OUTLIER_SWITCH(field, key, value) EXPECT_EQ(properties[key]["default"].as<bool>(), value) << key;
#define RW_OUTLIER_COUNT(field, key, value, least, most)    \
  EXPECT_EQ(properties[key]["default"].as<u32>(), u32{value}) << key; \
  EXPECT_EQ(properties[key]["minimum"].as<u32>(), u32{least}) << key; \
  EXPECT_EQ(properties[key]["maximum"].as<u32>(), u32{most}) << key;
#define RW_OUTLIER_SECONDS(field, key, value, least, most)    \
  EXPECT_EQ(properties[key]["default"].as<double>(), value) << key; \
  EXPECT_EQ(properties[key]["minimum"].as<double>(), least) << key; \
  EXPECT_EQ(properties[key]["maximum"].as<double>(), most) << key;
#include "src/contract/outlier.def"
#undef RW_OUTLIER_SWITCH
#undef RW_OUTLIER_COUNT
#undef RW_OUTLIER_SECONDS
}

TEST(HealthEndpointConfig, NotSaid_IsNone) { EXPECT_EQ(resilience_of("", "").gateway.health_endpoint.port, 0); }

TEST(HealthEndpointConfig, IsRead) {
  const HealthEndpointConfig health =
      resilience_of("healthEndpoint: { port: 8081, path: /lb, address: 10.80.64.9, drainDelaySeconds: 0.5 }", "").gateway.health_endpoint;
  EXPECT_EQ(health.port, 8081);
  EXPECT_EQ(health.path, "/lb");
  EXPECT_EQ(health.address, wire::Ip(wire::Ip4::of(10, 80, 64, 9)));
  EXPECT_EQ(health.drain_delay_us, 500'000u);
}

TEST(HealthEndpointConfig, WhatCollides_IsRefused) {
  EXPECT_EQ(refusal_of("healthEndpoint: { path: /lb }", ""), "f.yaml:5:19: missing key \"port\" in healthEndpoint");
  EXPECT_EQ(refusal_of("healthEndpoint: { port: 8081, path: lb }", ""),
            "f.yaml:5:39: path: must begin with '/' and be at most 1024 printable characters without blanks, '?' and '#'");
  EXPECT_EQ(refusal_of("healthEndpoint: { port: 8080 }", ""),
            "f.yaml:5:19: healthEndpoint: 10.80.0.1:8080 is used by a listener (line 10)");
  EXPECT_EQ(refusal_of("healthEndpoint: { port: 4000, address: 10.80.64.5 }", ""),
            "f.yaml:5:42: address: 10.80.64.5 belongs to \"auth-service\" (line 8)");
  EXPECT_EQ(refusal_of("healthEndpoint: { port: 4000, address: 10.80.0.7 }", ""),
            "f.yaml:5:42: address: 10.80.0.7 is no port's address and outside gateway.vipRange");
}

}  // namespace
}  // namespace ringway::config
