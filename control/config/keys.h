#pragma once
// Every key of the configuration file, once: by object, with what is obligatory.
//
// The reader refuses what is not listed here and asks only for what is; a test holds this table against
// schema/ringway.schema.json in both directions. `path` names an object as the schema's nesting does: `ports[]` is each
// element of the list `ports`. Immutable; any thread.

#include <span>
#include <string_view>

namespace ringway::config {

struct Key {
  std::string_view name;
  bool required = false;
};

struct ObjectKeys {
  std::string_view path;
  std::span<const Key> keys;
};

namespace keys {

inline constexpr bool kRequired = true;

inline constexpr Key kRootList[] = {{"gateway", kRequired}, {"services"}, {"listeners"}, {"callers"}};
inline constexpr Key kGatewayList[] = {
    {"name"}, {"namespace"}, {"zone"}, {"ports", kRequired}, {"vipRange"}, {"vipRange6"}, {"dns"}, {"cores", kRequired},
    {"controlCore"}, {"idle"}, {"steering"}, {"memory"}, {"pools"}, {"tcp"}, {"http2"}, {"limits"}, {"adminSocket"}, {"kernelTap"}, {"recorder"}, {"healthEndpoint"}, {"ingress"}};
inline constexpr Key kPortList[] = {{"device"}, {"devices"}, {"address"}, {"nextHop"}, {"coreAddresses"}, {"address6"}, {"nextHop6"}, {"routerAdvertisements"}, {"mtu"},
                                    {"pathMtu"}, {"rxDescriptors"}, {"txDescriptors"}, {"promiscuous"}};
inline constexpr Key kPathMtuList[] = {{"prefix", kRequired}, {"mtu", kRequired}};
inline constexpr Key kDnsList[] = {{"enabled"}, {"address"}, {"address6"}, {"ttlSeconds"}, {"zones"}};
inline constexpr Key kMemoryList[] = {{"hugepages"}, {"megabytes"}};
inline constexpr Key kPoolsList[] = {{"packets"}, {"dataBytes"}, {"slices"}};
inline constexpr Key kTcpList[] = {{"connections"}, {"receiveBudgetBytes"}, {"sendBudgetBytes"}, {"minRtoMs"},
                                   {"timeWaitSeconds"}, {"finTimeoutSeconds"}, {"userTimeoutSeconds"}, {"retransmits"},
                                   {"delayedAckMs"}, {"congestionControl"}, {"ecn"}, {"tso"}, {"pacing"}, {"keepalive"}, {"halfOpen"}, {"pressure"}};
inline constexpr Key kKeepaliveList[] = {{"idleSeconds"}, {"intervalSeconds"}, {"probes"}};
inline constexpr Key kHalfOpenList[] = {{"records"}, {"perListener"}, {"retransmits"}, {"cookies"}, {"cookiesAbove"}};
inline constexpr Key kPressureList[] = {{"lowPercent"}, {"shedPercent"}, {"shedIdleSeconds"}};
inline constexpr Key kRecorderList[] = {{"events"}, {"groups"}, {"file"}};
inline constexpr Key kMinRtoList[] = {{"client"}, {"backend"}};
inline constexpr Key kHttp2List[] = {{"connections"}, {"streams"}, {"streamsPerConnection"}, {"streamWindowBytes"}, {"connectionWindowBytes"}, {"maxAgeSeconds"}};
inline constexpr Key kLimitsList[] = {
    {"headBytes"}, {"fields"}, {"targetBytes"}, {"requestBodyBytes"}, {"headerTimeoutSeconds"}, {"clientIdleSeconds"},
    {"upstreamIdleSeconds"}, {"upstreamIdlePerEndpoint"}, {"requestsPerConnection"}, {"drainSeconds"}, {"connectionsPerSource"}};
inline constexpr Key kHealthEndpointList[] = {{"port", kRequired}, {"path"}, {"address"}, {"drainDelaySeconds"}};
inline constexpr Key kServiceList[] = {{"portName", kRequired}, {"discoveryName"}, {"appProtocol"}, {"clientAliases"},
                                       {"timeout"}, {"connectTimeoutSeconds"}, {"endpoints"}, {"healthCheck"}, {"outlierDetection"},
                                       {"balancing"}, {"retry"}, {"circuitBreakers"}, {"deployment"}, {"drainSeconds"}, {"proxyProtocol"}, {"access"}, {"rateLimit"},
                                       {"requestHeaders"}, {"responseHeaders"}};
inline constexpr Key kAliasList[] = {{"dnsName"}, {"port", kRequired}, {"vip"}, {"vip6"}, {"acceptProxyProtocol"}};
inline constexpr Key kAcceptProxyList[] = {{"from", kRequired}};
inline constexpr Key kTimeoutList[] = {{"perRequestTimeoutSeconds"}, {"idleTimeoutSeconds"}};
inline constexpr Key kRetryList[] = {{"retries"}, {"on"}, {"statusCodes"}, {"nonIdempotent"}, {"perTryTimeoutSeconds"}, {"backoffMs"},
                                     {"respectRetryAfter"}, {"budget"}, {"bodyBytes"}, {"attemptCount"}};
inline constexpr Key kBackoffList[] = {{"base"}, {"max"}};
inline constexpr Key kBudgetList[] = {{"percent"}, {"min"}};
inline constexpr Key kBreakersList[] = {{"maxConnections"}, {"maxPendingRequests"}, {"maxRequests"}, {"maxRetries"}, {"adaptiveConcurrency"}};
inline constexpr Key kAdaptiveList[] = {{"enabled"}, {"min"}};
inline constexpr Key kDeploymentList[] = {{"green", kRequired}, {"strategy"}, {"canaryConfiguration"}, {"linearConfiguration"},
                                          {"bakeTimeInMinutes"}, {"start"}, {"testTraffic"}, {"rollback"}};
inline constexpr Key kCanaryList[] = {{"canaryPercent"}, {"canaryBakeTimeInMinutes"}};
inline constexpr Key kLinearList[] = {{"stepPercent"}, {"stepBakeTimeInMinutes"}};
inline constexpr Key kTestTrafficList[] = {{"header"}, {"value"}};
inline constexpr Key kRollbackList[] = {{"errorPercent"}, {"latencyP99Ms"}, {"minimumRequests"}};
inline constexpr Key kEndpointList[] = {{"address", kRequired}, {"port", kRequired}, {"weight"}, {"zone"}, {"priority"}, {"labels"}};
inline constexpr Key kHealthList[] = {{"protocol"}, {"path"}, {"host"}, {"grpcService"}, {"intervalSeconds"}, {"timeoutSeconds"},
                                      {"healthyThreshold"}, {"unhealthyThreshold"}, {"matcher"}, {"jitterPercent"}};
inline constexpr Key kOutlierList[] = {
#define RW_OUTLIER_SWITCH(field, key, value) {key},
#define RW_OUTLIER_COUNT(field, key, value, least, most) {key},
#define RW_OUTLIER_SECONDS(field, key, value, least, most) {key},
#include "src/contract/outlier.def"
#undef RW_OUTLIER_SWITCH
#undef RW_OUTLIER_COUNT
#undef RW_OUTLIER_SECONDS
};
inline constexpr Key kBalancingList[] = {{"policy"}, {"hash"}, {"boundFactor"}, {"tableSize"}, {"minRingSize"}, {"maxRingSize"}, {"choiceCount"},
                                         {"slowStart"}, {"zoneAware"}, {"subset"}, {"panicPercent"}};
inline constexpr Key kHashList[] = {{"on", kRequired}, {"name"}, {"ttlSeconds"}, {"path"}};
inline constexpr Key kSlowStartList[] = {{"seconds", kRequired}, {"aggression"}, {"minWeightPercent"}};
inline constexpr Key kZoneAwareList[] = {{"enabled"}, {"minEndpoints"}, {"forceLocalZone"}};
inline constexpr Key kSubsetList[] = {{"header", kRequired}, {"label", kRequired}, {"fallback"}};
inline constexpr Key kListenerList[] = {{"name", kRequired}, {"address"}, {"dnsName"}, {"port", kRequired}, {"service"},
                                        {"routes"}, {"acceptProxyProtocol"}};
inline constexpr Key kRouteList[] = {{"name"}, {"hosts"}, {"matches"}, {"rewrite"}, {"requestHeaders"}, {"responseHeaders"}, {"redirect"},
                                     {"directResponse"}, {"fault"}, {"mirror"}, {"backends"}};
inline constexpr Key kMatchList[] = {{"path"}, {"method"}, {"headers"}, {"query"}};
inline constexpr Key kPathList[] = {{"type"}, {"value", kRequired}};
inline constexpr Key kValueList[] = {{"name", kRequired}, {"type"}, {"value", kRequired}};
inline constexpr Key kBackendList[] = {{"service", kRequired}, {"weight"}, {"rewrite"}, {"requestHeaders"}, {"responseHeaders"}};
inline constexpr Key kRewriteList[] = {{"replacePrefixMatch"}, {"replaceFullPath"}, {"regex"}, {"host"}};
inline constexpr Key kRegexList[] = {{"pattern", kRequired}, {"substitution", kRequired}};
inline constexpr Key kFieldChangesList[] = {{"set"}, {"add"}, {"remove"}};
inline constexpr Key kFieldList[] = {{"name", kRequired}, {"value", kRequired}};
inline constexpr Key kRedirectList[] = {{"scheme"}, {"host"}, {"port"}, {"replacePrefixMatch"}, {"replaceFullPath"}, {"status"}};
inline constexpr Key kAnswerList[] = {{"status", kRequired}, {"body"}, {"contentType"}};
inline constexpr Key kFaultList[] = {{"delay"}, {"abort"}, {"header"}};
inline constexpr Key kDelayList[] = {{"milliseconds", kRequired}, {"percent"}};
inline constexpr Key kAbortList[] = {{"status"}, {"grpcStatus"}, {"percent"}};
inline constexpr Key kMirrorList[] = {{"service", kRequired}, {"percent"}};

inline constexpr Key kCallerList[] = {{"name", kRequired}, {"cidrs", kRequired}};
inline constexpr Key kAccessList[] = {{"default"}, {"rules"}};
inline constexpr Key kAccessRuleList[] = {{"action", kRequired}, {"callers"}, {"cidrs"}, {"methods"}, {"paths"}};
inline constexpr Key kRateLimitList[] = {{"requestsPerSecond"}, {"burst"}, {"perCaller"}};
inline constexpr Key kRateList[] = {{"requestsPerSecond", kRequired}, {"burst"}};
inline constexpr Key kIngressRuleList[] = {{"action", kRequired}, {"cidrs"}, {"ports"}, {"listeners"}};

inline constexpr ObjectKeys kRoot{"", kRootList};
inline constexpr ObjectKeys kGateway{"gateway", kGatewayList};
inline constexpr ObjectKeys kPort{"gateway.ports[]", kPortList};
inline constexpr ObjectKeys kPathMtu{"gateway.ports[].pathMtu[]", kPathMtuList};
inline constexpr ObjectKeys kDns{"gateway.dns", kDnsList};
inline constexpr ObjectKeys kMemory{"gateway.memory", kMemoryList};
inline constexpr ObjectKeys kPools{"gateway.pools", kPoolsList};
inline constexpr ObjectKeys kTcp{"gateway.tcp", kTcpList};
inline constexpr ObjectKeys kKeepalive{"gateway.tcp.keepalive", kKeepaliveList};
inline constexpr ObjectKeys kHalfOpen{"gateway.tcp.halfOpen", kHalfOpenList};
inline constexpr ObjectKeys kPressure{"gateway.tcp.pressure", kPressureList};
inline constexpr ObjectKeys kRecorder{"gateway.recorder", kRecorderList};
inline constexpr ObjectKeys kMinRto{"gateway.tcp.minRtoMs", kMinRtoList};
inline constexpr ObjectKeys kHttp2{"gateway.http2", kHttp2List};
inline constexpr ObjectKeys kLimits{"gateway.limits", kLimitsList};
inline constexpr ObjectKeys kHealthEndpoint{"gateway.healthEndpoint", kHealthEndpointList};
inline constexpr ObjectKeys kIngress{"gateway.ingress", kAccessList};
inline constexpr ObjectKeys kIngressRule{"gateway.ingress.rules[]", kIngressRuleList};
inline constexpr ObjectKeys kCaller{"callers[]", kCallerList};
inline constexpr ObjectKeys kAccess{"services[].access", kAccessList};
inline constexpr ObjectKeys kAccessRule{"services[].access.rules[]", kAccessRuleList};
inline constexpr ObjectKeys kAccessPath{"services[].access.rules[].paths[]", kPathList};
inline constexpr ObjectKeys kRateLimit{"services[].rateLimit", kRateLimitList};
inline constexpr ObjectKeys kPerCaller{"services[].rateLimit.perCaller", kRateList};
inline constexpr ObjectKeys kService{"services[]", kServiceList};
inline constexpr ObjectKeys kAlias{"services[].clientAliases[]", kAliasList};
inline constexpr ObjectKeys kAliasProxy{"services[].clientAliases[].acceptProxyProtocol", kAcceptProxyList};
inline constexpr ObjectKeys kTimeout{"services[].timeout", kTimeoutList};
inline constexpr ObjectKeys kRetry{"services[].retry", kRetryList};
inline constexpr ObjectKeys kBackoff{"services[].retry.backoffMs", kBackoffList};
inline constexpr ObjectKeys kBudget{"services[].retry.budget", kBudgetList};
inline constexpr ObjectKeys kBreakers{"services[].circuitBreakers", kBreakersList};
inline constexpr ObjectKeys kAdaptive{"services[].circuitBreakers.adaptiveConcurrency", kAdaptiveList};
inline constexpr ObjectKeys kDeployment{"services[].deployment", kDeploymentList};
inline constexpr ObjectKeys kCanary{"services[].deployment.canaryConfiguration", kCanaryList};
inline constexpr ObjectKeys kLinear{"services[].deployment.linearConfiguration", kLinearList};
inline constexpr ObjectKeys kTestTraffic{"services[].deployment.testTraffic", kTestTrafficList};
inline constexpr ObjectKeys kRollback{"services[].deployment.rollback", kRollbackList};
inline constexpr ObjectKeys kEndpoint{"services[].endpoints[]", kEndpointList};
inline constexpr ObjectKeys kHealth{"services[].healthCheck", kHealthList};
inline constexpr ObjectKeys kOutlier{"services[].outlierDetection", kOutlierList};
inline constexpr ObjectKeys kBalancing{"services[].balancing", kBalancingList};
inline constexpr ObjectKeys kHash{"services[].balancing.hash", kHashList};
inline constexpr ObjectKeys kSlowStart{"services[].balancing.slowStart", kSlowStartList};
inline constexpr ObjectKeys kZoneAware{"services[].balancing.zoneAware", kZoneAwareList};
inline constexpr ObjectKeys kSubset{"services[].balancing.subset", kSubsetList};
inline constexpr ObjectKeys kListener{"listeners[]", kListenerList};
inline constexpr ObjectKeys kListenerProxy{"listeners[].acceptProxyProtocol", kAcceptProxyList};
inline constexpr ObjectKeys kRoute{"listeners[].routes[]", kRouteList};
inline constexpr ObjectKeys kMatch{"listeners[].routes[].matches[]", kMatchList};
inline constexpr ObjectKeys kPath{"listeners[].routes[].matches[].path", kPathList};
inline constexpr ObjectKeys kHeader{"listeners[].routes[].matches[].headers[]", kValueList};
inline constexpr ObjectKeys kQuery{"listeners[].routes[].matches[].query[]", kValueList};
inline constexpr ObjectKeys kBackend{"listeners[].routes[].backends[]", kBackendList};

// Changes of fields, by whose they are.
struct FieldChangesKeys {
  std::string_view key;
  ObjectKeys changes, set, add;
};
inline constexpr FieldChangesKeys kServiceRequest{"requestHeaders", {"services[].requestHeaders", kFieldChangesList},
    {"services[].requestHeaders.set[]", kFieldList}, {"services[].requestHeaders.add[]", kFieldList}};
inline constexpr FieldChangesKeys kServiceResponse{"responseHeaders", {"services[].responseHeaders", kFieldChangesList},
    {"services[].responseHeaders.set[]", kFieldList}, {"services[].responseHeaders.add[]", kFieldList}};
inline constexpr FieldChangesKeys kRouteRequest{"requestHeaders", {"listeners[].routes[].requestHeaders", kFieldChangesList},
    {"listeners[].routes[].requestHeaders.set[]", kFieldList}, {"listeners[].routes[].requestHeaders.add[]", kFieldList}};
inline constexpr FieldChangesKeys kRouteResponse{"responseHeaders", {"listeners[].routes[].responseHeaders", kFieldChangesList},
    {"listeners[].routes[].responseHeaders.set[]", kFieldList}, {"listeners[].routes[].responseHeaders.add[]", kFieldList}};
inline constexpr FieldChangesKeys kBackendRequest{"requestHeaders", {"listeners[].routes[].backends[].requestHeaders", kFieldChangesList},
    {"listeners[].routes[].backends[].requestHeaders.set[]", kFieldList}, {"listeners[].routes[].backends[].requestHeaders.add[]", kFieldList}};
inline constexpr FieldChangesKeys kBackendResponse{"responseHeaders", {"listeners[].routes[].backends[].responseHeaders", kFieldChangesList},
    {"listeners[].routes[].backends[].responseHeaders.set[]", kFieldList}, {"listeners[].routes[].backends[].responseHeaders.add[]", kFieldList}};
struct RewriteKeys {
  ObjectKeys rewrite, regex;
};
inline constexpr RewriteKeys kRouteRewrite{{"listeners[].routes[].rewrite", kRewriteList}, {"listeners[].routes[].rewrite.regex", kRegexList}};
inline constexpr RewriteKeys kBackendRewrite{{"listeners[].routes[].backends[].rewrite", kRewriteList},
    {"listeners[].routes[].backends[].rewrite.regex", kRegexList}};
inline constexpr ObjectKeys kRedirect{"listeners[].routes[].redirect", kRedirectList};
inline constexpr ObjectKeys kAnswer{"listeners[].routes[].directResponse", kAnswerList};
inline constexpr ObjectKeys kFault{"listeners[].routes[].fault", kFaultList};
inline constexpr ObjectKeys kDelay{"listeners[].routes[].fault.delay", kDelayList};
inline constexpr ObjectKeys kAbort{"listeners[].routes[].fault.abort", kAbortList};
inline constexpr ObjectKeys kMirror{"listeners[].routes[].mirror", kMirrorList};

inline constexpr ObjectKeys kAll[] = {
    kRoot, kGateway, kPort, kPathMtu, kDns, kMemory, kPools, kTcp, kMinRto, kKeepalive, kHalfOpen, kPressure, kHttp2, kLimits, kRecorder, kHealthEndpoint, kService, kAlias, kAliasProxy, kTimeout, kEndpoint,
    kHealth, kOutlier, kBalancing, kHash, kSlowStart, kZoneAware, kSubset, kRetry, kBackoff, kBudget, kBreakers, kAdaptive, kDeployment, kCanary, kLinear, kTestTraffic, kRollback, kListener, kListenerProxy, kRoute, kMatch, kPath, kHeader, kQuery, kBackend,
    kIngress, kIngressRule, kCaller, kAccess, kAccessRule, kAccessPath, kRateLimit, kPerCaller,
    kServiceRequest.changes, kServiceRequest.set, kServiceRequest.add, kServiceResponse.changes, kServiceResponse.set, kServiceResponse.add,
    kRouteRequest.changes, kRouteRequest.set, kRouteRequest.add, kRouteResponse.changes, kRouteResponse.set, kRouteResponse.add,
    kBackendRequest.changes, kBackendRequest.set, kBackendRequest.add, kBackendResponse.changes, kBackendResponse.set, kBackendResponse.add,
    kRouteRewrite.rewrite, kRouteRewrite.regex, kBackendRewrite.rewrite, kBackendRewrite.regex, kRedirect, kAnswer, kFault, kDelay, kAbort, kMirror};

}  // namespace keys
}  // namespace ringway::config
