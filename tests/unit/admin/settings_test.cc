// `ringwayctl service` against the schema: a file that says every key of a service, and every one of them is shown again with
// its value. A key that the schema has and the file here has not fails too, so that none is forgotten.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "control/admin/admin.h"
#include "control/compile/compile.h"
#include "control/config/load.h"

namespace ringway::admin {
namespace {

// JSON is YAML. No value is the default of its key. Several services, since policies and protocols exclude one another.
constexpr const char* kFile = R"({
  "gateway": { "zone": "a", "ports": [ { "device": "net_null0", "address": "10.80.0.1/24", "address6": "fd00:80::1/64" } ],
               "vipRange": "10.80.64.0/24", "vipRange6": "fd00:64::/64", "cores": [1] },
  "callers": [ { "name": "shop", "cidrs": ["192.0.2.0/24"] } ],
  "services": [
    { "portName": "web", "discoveryName": "web-service", "appProtocol": "http",
      "clientAliases": [ { "dnsName": "web.test", "port": 4000, "vip": "10.80.64.7", "vip6": "fd00:64::7",
                           "acceptProxyProtocol": { "from": ["10.80.0.0/28", "fd00:80::/96"] } } ],
      "timeout": { "perRequestTimeoutSeconds": 7, "idleTimeoutSeconds": 70 }, "connectTimeoutSeconds": 1.5,
      "endpoints": [ { "address": "10.80.0.11", "port": 80, "weight": 3, "zone": "a", "priority": 1, "labels": { "track": "stable", "rack": "r-1" } },
                     { "address": "fd00:80::12", "port": 8080, "weight": 4, "zone": "b", "priority": 0, "labels": { "track": "canary" } } ],
      "healthCheck": { "protocol": "http", "path": "/ping", "host": "probe.test", "intervalSeconds": 0.5, "timeoutSeconds": 0.25,
                       "healthyThreshold": 2, "unhealthyThreshold": 4, "matcher": "200-204", "jitterPercent": 20 },
      "outlierDetection": {
        "enabled": true, "consecutive5xx": 6, "enforcingConsecutive5xx": 99, "consecutiveGatewayFailure": 7,
        "enforcingConsecutiveGatewayFailure": 1, "splitLocalOriginErrors": true, "consecutiveLocalOriginFailure": 8,
        "enforcingConsecutiveLocalOriginFailure": 98, "intervalSeconds": 5, "baseEjectionSeconds": 31, "maxEjectionSeconds": 301,
        "maxEjectionPercent": 50, "successRateMinimumHosts": 6, "successRateRequestVolume": 101, "successRateStdevFactor": 1901,
        "enforcingSuccessRate": 97, "enforcingLocalOriginSuccessRate": 96, "failurePercentageThreshold": 86,
        "failurePercentageMinimumHosts": 9, "failurePercentageRequestVolume": 51, "enforcingFailurePercentage": 2,
        "enforcingFailurePercentageLocalOrigin": 3, "unejectOnHealthCheck": false },
      "balancing": { "policy": "maglev", "hash": { "on": "cookie", "name": "sid", "ttlSeconds": 3600, "path": "/shop" }, "boundFactor": 1.5,
                     "tableSize": 1009,
                     "subset": { "header": "x-track", "label": "track", "fallback": "none" }, "panicPercent": 40 },
      "retry": { "retries": 3, "on": ["connect-failure", "5xx", "retriable-status-codes"], "statusCodes": [409, 502], "nonIdempotent": true,
                 "perTryTimeoutSeconds": 1.5, "backoffMs": { "base": 30, "max": 300 }, "respectRetryAfter": true,
                 "budget": { "percent": 30, "min": 4 }, "bodyBytes": 4096, "attemptCount": true },
      "circuitBreakers": { "maxConnections": 10, "maxPendingRequests": 20, "maxRequests": 30, "maxRetries": 5,
                           "adaptiveConcurrency": { "enabled": true, "min": 6 } },
      "deployment": { "green": "green", "strategy": "CANARY", "canaryConfiguration": { "canaryPercent": 2.5, "canaryBakeTimeInMinutes": 1.5 },
                      "bakeTimeInMinutes": 2.5, "start": "auto", "testTraffic": { "header": "x-test", "value": "yes" },
                      "rollback": { "errorPercent": 6, "latencyP99Ms": 300, "minimumRequests": 21 } },
      "drainSeconds": 12.5,
      "requestHeaders": { "set": [ { "name": "X-Who", "value": "%DOWNSTREAM_REMOTE_ADDRESS%, %REQ(x-from)% 100%%" } ],
                          "add": [ { "name": "X-Via", "value": "%UPSTREAM_HOST%" } ], "remove": ["x-secret", "x-other"] },
      "responseHeaders": { "set": [ { "name": "Server", "value": "web" } ], "add": [ { "name": "X-On", "value": "%PROTOCOL%" } ],
                           "remove": ["x-powered-by"] },
      "access": { "default": "deny", "rules": [
        { "action": "allow", "callers": ["shop", "ring"], "methods": ["GET", "PUT"],
          "paths": [ { "type": "exact", "value": "/a" }, { "type": "prefix", "value": "/b" }, { "type": "regex", "value": "/c[0-9]" } ] },
        { "action": "deny", "cidrs": ["198.51.100.0/24", "fd00:9::/32"] } ] },
      "rateLimit": { "requestsPerSecond": 500, "burst": 700, "perCaller": { "requestsPerSecond": 50, "burst": 70 } } },
    { "portName": "ring", "appProtocol": "http2", "endpoints": [ { "address": "10.80.0.21", "port": 80 } ],
      "balancing": { "policy": "ringHash", "minRingSize": 512, "maxRingSize": 4096 },
      "deployment": { "green": "green-ring", "strategy": "LINEAR", "linearConfiguration": { "stepPercent": 12.5, "stepBakeTimeInMinutes": 2 } } },
    { "portName": "least", "appProtocol": "grpc", "endpoints": [ { "address": "10.80.0.31", "port": 80, "zone": "a" } ],
      "healthCheck": { "protocol": "grpc", "grpcService": "a.b.C" },
      "balancing": { "policy": "leastRequest", "choiceCount": 3, "slowStart": { "seconds": 30, "aggression": 2.5, "minWeightPercent": 5 },
                     "zoneAware": { "enabled": true, "minEndpoints": 4, "forceLocalZone": true } } },
    { "portName": "wire", "endpoints": [ { "address": "10.80.0.41", "port": 80 } ], "proxyProtocol": "v2-crc32c" },
    { "portName": "green", "appProtocol": "http", "endpoints": [ { "address": "10.80.0.51", "port": 80 } ] },
    { "portName": "green-ring", "appProtocol": "http2", "endpoints": [ { "address": "10.80.0.61", "port": 80 } ] } ]
})";

using Keys = std::set<std::string>;

void schema_keys(const Json& schema, const Json& node, const std::string& path, Keys& out) {
  const auto resolve = [&](const Json& n) -> const Json& {
    return n.contains("$ref") ? schema.at(Json::json_pointer(n["$ref"].get<std::string>().substr(1))) : n;
  };
  for (const auto& [key, value] : node["properties"].items()) {
    const Json* inner = &resolve(value);
    if (inner->contains("items")) inner = &resolve((*inner)["items"]);
    out.insert(path + key);
    if (inner->contains("properties")) schema_keys(schema, *inner, path + key + ".", out);
  }
}

class Settings : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto config = config::parse(kFile, "f.yaml");
    ASSERT_TRUE(config.has_value()) << config::to_string(config.error()[0]);
    auto made = compile::compile(*config, registry, {.generation = 1, .cores = 2, .shifts = &shifts});
    ASSERT_TRUE(made.has_value()) << config::to_string(made.error()[0]);
    plan = std::move(*made);
    Sources sources;
    sources.board = &board;
    sources.plan = [this] { return plan; };
    admin = std::make_unique<Admin>(sources);
  }

  // What the file says at `path` is shown by the same name below `shown`.
  void expect_shown(const Json& said, const Json& shown, const std::string& path) {
    if (!said.is_object()) {
      EXPECT_EQ(said, shown) << path;
      return;
    }
    for (const auto& [key, value] : said.items()) {
      const std::string below = path.empty() ? key : path + "." + key;
      if (!shown.contains(key)) {
        ADD_FAILURE() << below << " is not shown";
      } else if (below == "access.rules") {
        expect_in_words(value, shown[key]);
      } else {
        expect_shown(value, shown[key], below);
      }
    }
  }

  void expect_in_words(const Json& rules, const Json& texts) {
    ASSERT_EQ(rules.size(), texts.size());
    const auto expect_word = [](const Json& word, const std::string& text) {
      EXPECT_NE(text.find(word.get<std::string>()), std::string::npos) << word << " is not in: " << text;
    };
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const std::string text = texts[i];
      for (const auto& [key, value] : rules[i].items()) {
        if (!value.is_array()) expect_word(value, text);
        else for (const Json& one : value) expect_word(key == "paths" ? one["value"] : one, text);
      }
    }
  }

  // Aliases are shown as the listeners that they make, one for each family.
  void expect_listeners(const Json& alias, const Json& listeners) {
    const std::string port = std::to_string(alias["port"].get<int>());
    for (const std::string& address : {alias["vip"].get<std::string>() + ":" + port, "[" + alias["vip6"].get<std::string>() + "]:" + port}) {
      const auto at = std::find_if(listeners.begin(), listeners.end(), [&](const Json& l) { return l["address"] == address; });
      ASSERT_NE(at, listeners.end()) << address;
      EXPECT_EQ((*at)["name"], alias["dnsName"].get<std::string>() + ":" + port);
      EXPECT_EQ((*at)["acceptProxyProtocol"], alias["acceptProxyProtocol"]);
    }
  }

  contract::ShiftBoard shifts;
  contract::HealthBoard board;
  registry::Registry registry;
  std::shared_ptr<const contract::Plan> plan;
  std::unique_ptr<Admin> admin;
};

TEST_F(Settings, EveryOneThatTheFileSaysIsShownWithItsValue) {
  Json file = Json::parse(kFile);
  for (Json& service : file["services"]) {
    const Json shown = admin->service(service.value("discoveryName", service["portName"].get<std::string>()));
    for (const Json& endpoint : service["endpoints"]) {
      const auto& rows = shown["endpoints"];
      const auto at = std::find_if(rows.begin(), rows.end(), [&](const Json& row) { return row["address"] == endpoint["address"]; });
      ASSERT_NE(at, rows.end());
      expect_shown(endpoint, *at, "endpoints");
    }
    for (const Json& alias : service.value("clientAliases", Json::array())) expect_listeners(alias, shown["listeners"]);
    service.erase("endpoints");
    service.erase("clientAliases");
    expect_shown(service, shown["settings"], "");
  }
}

// Keys of objects that stand in lists have no number here.
void keys_of(const Json& said, const std::string& path, Keys& out) {
  for (const auto& [key, value] : said.items()) {
    out.insert(path + key);
    if (value.is_object() && key != "labels") keys_of(value, path + key + ".", out);
    if (!value.is_array()) continue;
    for (const Json& one : value)
      if (one.is_object()) keys_of(one, path + key + ".", out);
  }
}

TEST(SettingsFile, HasEveryKeyThatTheSchemaGivesAService) {
  const char* file = std::getenv("RINGWAY_SCHEMA");
  ASSERT_NE(file, nullptr);
  std::ifstream in(file);
  const Json schema = Json::parse(in);
  Keys known, said;
  schema_keys(schema, schema["properties"]["services"]["items"], "", known);
  const Json services = Json::parse(kFile)["services"];
  for (const Json& service : services) keys_of(service, "", said);
  EXPECT_EQ(known, said);
  EXPECT_GT(known.size(), 150u);
}

}  // namespace
}  // namespace ringway::admin
