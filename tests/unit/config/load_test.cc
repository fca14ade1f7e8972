// The loader against a table of bad files (exact place and sentence), against several mistakes at once, and against the
// shipped examples. Every file is the smallest good one with one part replaced.

#include "control/config/load.h"

#include <gtest/gtest.h>

#include "src/contract/recorder.h"

#include <cstdlib>
#include <fstream>

namespace ringway::config {
namespace {

const std::string kGateway =
    "gateway:\n"                                                    // 1
    "  ports: [ { device: net_null0, address: 10.80.0.1/24 } ]\n"   // 2
    "  vipRange: 10.80.64.0/24\n"                                   // 3
    "  cores: [1]\n";                                               // 4
const std::string kServices =
    "services:\n"                                                   // 5
    "  - portName: auth\n"                                          // 6
    "    discoveryName: auth-service\n"                             // 7
    "    appProtocol: http\n"                                       // 8
    "    clientAliases: [ { dnsName: auth-service, port: 4000 } ]\n"  // 9
    "    endpoints: [ { address: 10.80.0.11, port: 80 } ]\n";       // 10

std::string listing(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) out += to_string(problem) + "\n";
  return out;
}

std::string problems_of(const std::string& text) {
  const auto config = parse(text, "f.yaml");
  return config ? "" : listing(config.error());
}

struct Bad {
  const char* name;
  std::string text;
  std::string problems;
};

class BadFile : public testing::TestWithParam<Bad> {};

TEST_P(BadFile, IsRefusedAtItsPlace) { EXPECT_EQ(problems_of(GetParam().text), GetParam().problems); }

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}
const std::string kGood = kGateway + kServices;
std::string service(const std::string& line) { return kGood + "    " + line + "\n"; }      // line 11
std::string gateway(const std::string& line) { return kGateway + "  " + line + "\n" + kServices; }  // line 5
std::string tcp(const std::string& line) { return with(service(line), "    appProtocol: http\n", "\n"); }
const std::string kRoutes = "listeners:\n  - name: edge\n    port: 8080\n    routes:\n      - ";  // 11..15
std::string route(const std::string& line) { return kGood + kRoutes + line + "\n"; }
// A route that does this and forwards, or answers.
std::string act(const std::string& line) { return route(line + "\n        backends: [ { service: auth-service } ]"); }
std::string answer(const std::string& line) { return route(line); }

const Bad kBad[] = {
    {"Empty", "", "f.yaml:1:1: file is empty\n"},
    {"LineOfAComma", ", a\n" + kGood, "f.yaml:1:1: file holds more than one YAML document\n"},
    {"TwoDocuments", kGood + "---\n" + kGood, "f.yaml:1:1: file holds more than one YAML document\n"},
    {"ListAtTop", "- a\n", "f.yaml:1:1: the file: must be a mapping, not a list; its keys are gateway, services, listeners, callers\n"},
    {"NoGateway", kServices, "f.yaml:1:1: missing key \"gateway\"\n"},
    {"UnknownKeyNear", gateway("contolCore: 0"), "f.yaml:5:3: unknown key \"contolCore\"; did you mean \"controlCore\"?\n"},
    {"UnknownKeyFar", gateway("colour: red"), "f.yaml:5:3: unknown key \"colour\" in gateway; docs/configuration.md has its keys\n"},
    {"UnknownKeyOfFew", gateway("idle: spin\n  dns: { name: a }"), "f.yaml:6:10: unknown key \"name\" in dns; its keys are enabled, address, address6, ttlSeconds, zones\n"},
    {"UnknownKeyBeginsSo", gateway("dns: { ttlSecond: 5 }\n  limits: { headerTimeoutMs: 5 }"), "f.yaml:5:10: unknown key \"ttlSecond\"; did you mean \"ttlSeconds\"?\nf.yaml:6:13: unknown key \"headerTimeoutMs\"; did you mean \"headerTimeoutSeconds\"?\n"},
    {"UnknownKeyBeginsLikeTwo", service("circuitBreakers: { maxRe: 5 }"), "f.yaml:11:24: unknown key \"maxRe\" in circuitBreakers; its keys are maxConnections, maxPendingRequests, maxRequests, maxRetries, adaptiveConcurrency\n"},
    {"DuplicateKey", gateway("cores: [2]"), "f.yaml:5:3: duplicate key \"cores\"\n"},
    {"ReceiveBudgetBelowHead", gateway("tcp: { receiveBudgetBytes: 32768 }\n  limits: { headBytes: 32768 }"), "f.yaml:5:30: tcp.receiveBudgetBytes 32768: must be at least limits.headBytes and 4096, which is 36864, or the largest head never fits\n"},
    {"RecorderGroup", gateway("recorder: { groups: [requests, segment] }"), "f.yaml:5:34: groups[1]: \"segment\" is none of all, packets, segments, connections, timers, requests, planes; did you mean segments?\n"},
    {"RecorderFile", gateway("recorder: { file: events }"), "f.yaml:5:21: file: must be an absolute path of at most 4000 bytes\n"},
    {"RecorderEvents", gateway("recorder: { events: 5000000 }"), "f.yaml:5:23: events: 5000000 is not within 1024 to 4194304\n"},
    {"CoresEmpty", with(kGood, "[1]", "[]"), "f.yaml:4:10: cores: 0 entries, must be 1 to 64\n"},
    {"CoresTwice", with(kGood, "[1]", "[1, 1]"), "f.yaml:4:14: cores[1]: CPU 1 is listed twice\n"},
    {"CoresText", with(kGood, "[1]", "[one]"), "f.yaml:4:11: cores[0]: must be a whole number, not the text \"one\"\n"},
    {"PortText", with(kGood, "port: 4000", "port: \"4000\""), "f.yaml:9:53: port: must be a whole number, not the text \"4000\"\n"},
    {"PortZero", with(kGood, "port: 4000", "port: 0"), "f.yaml:9:53: port: 0 is not within 1 to 65535\n"},
    {"PortHuge", with(kGood, "port: 80 ", "port: 70000 "), "f.yaml:10:47: port: 70000 is not within 1 to 65535\n"},
    {"NameIsNumber", with(kGood, "portName: auth", "portName: 12"), "f.yaml:6:15: portName: must be a string: write \"12\" in quotes\n"},
    {"PrefixMissing", with(kGood, "10.80.0.1/24", "10.80.0.1"), "f.yaml:2:42: address: must be address/length, such as 10.0.0.1/24\n"},
    {"AddressIsNetwork", with(kGood, "10.80.0.1/24", "10.80.0.0/24"), "f.yaml:2:42: address: 10.80.0.0 is the network or broadcast address of its own network\n"},
    {"RangeHostBits", with(kGood, "10.80.64.0/24", "10.80.64.7/24"), "f.yaml:3:13: vipRange: host bits are set; did you mean 10.80.64.0/24?\n"},
    {"RangeHoldsPort", with(kGood, "10.80.64.0/24", "10.80.0.0/30"), "f.yaml:3:13: vipRange: contains 10.80.0.1, the address of a port (line 2)\n"},
    {"RangeHoldsEndpoint", with(kGood, "10.80.0.11", "10.80.64.9"), "f.yaml:10:29: address: 10.80.64.9 lies in gateway.vipRange, which is for VIPs alone\n"},
    {"EndpointIsGateway", with(kGood, "10.80.0.11", "10.80.0.1"), "f.yaml:10:29: address: 10.80.0.1 is the gateway's own address\n"},
    {"EndpointLoopback", with(kGood, "10.80.0.11", "127.0.0.1"), "f.yaml:10:29: address: 127.0.0.1 is not the address of a host on a network\n"},
    {"EndpointLeadingZero", with(kGood, "10.80.0.11", "10.80.0.011"), "f.yaml:10:29: address: \"10.80.0.011\" is not an IPv4 address such as 10.0.0.1\n"},
    {"VipOutside", with(kGood, "port: 4000", "port: 4000, vip: 10.80.65.5"), "f.yaml:9:22: vip: 10.80.65.5 is outside gateway.vipRange\n"},
    {"VipBroadcast", with(kGood, "port: 4000", "port: 4000, vip: 10.80.64.255"), "f.yaml:9:22: vip: 10.80.64.255 is the first or last address of gateway.vipRange\n"},
    {"Vip6WithoutRange", with(kGood, "port: 4000", "port: 4000, vip6: \"fd00::5\""), "f.yaml:9:22: vip6: fd00::5 needs gateway.vipRange6 to lie in\n"},
    {"Endpoint6Unreachable", with(kGood, "10.80.0.11", "\"fd00::5\""), "f.yaml:10:29: address: no port has an IPv6 address to reach fd00::5 from\n"},
    {"Endpoint6NotOne", with(kGood, "10.80.0.11", "\"fd00:::5\""), "f.yaml:10:29: address: \"fd00:::5\" is not an IPv6 address such as fd00::1\n"},
    {"Endpoint6Mapped", with(kGood, "10.80.0.11", "\"::ffff:10.0.0.1\""), "f.yaml:10:29: address: ::ffff:10.0.0.1 is not the address of a host on a network\n"},
    {"Endpoint6LinkLocal", with(kGood, "10.80.0.11", "\"fe80::1\""), "f.yaml:10:29: address: fe80::1 is good on one link only\n"},
    {"NoAddress", with(kGood, ", address: 10.80.0.1/24", ""), "f.yaml:2:12: missing key \"address\" or \"address6\"\n"},
    {"NoRange", with(kGood, "  vipRange: 10.80.64.0/24\n", ""), "f.yaml:2:3: missing key \"vipRange\" or \"vipRange6\"\n"},
    {"Address6Anycast", with(kGood, "10.80.0.1/24", "10.80.0.1/24, address6: \"fd00::/64\""), "f.yaml:2:66: address6: fd00:: is the routers' anycast address of its own network\n"},
    {"Address6Length", with(kGood, "10.80.0.1/24", "10.80.0.1/24, address6: \"fd00::1/129\""), "f.yaml:2:66: address6: must be address/length, such as fd00::1/64\n"},
    {"NextHop6Elsewhere", with(kGood, "10.80.0.1/24", "10.80.0.1/24, address6: \"fd00::1/64\", nextHop6: \"fd01::1\""), "f.yaml:2:90: nextHop6: fd01::1 is not in the port's network\n"},
    {"PathMtuHostBits", with(kGood, "10.80.0.1/24", "10.80.0.1/24, pathMtu: [ { prefix: 10.1.0.1/16, mtu: 1500 } ]"), "f.yaml:2:77: prefix: host bits are set; did you mean 10.1.0.0/16?\n"},
    {"PathMtuNoAddress", with(kGood, "10.80.0.1/24", "10.80.0.1/24, pathMtu: [ { prefix: 10.1/16, mtu: 1500 } ]"), "f.yaml:2:77: prefix: \"10.1\" is not an address\n"},
    {"PathMtuSmallForIp6", with(kGood, "10.80.0.1/24", "10.80.0.1/24, pathMtu: [ { prefix: \"::/0\", mtu: 1000 } ]"), "f.yaml:2:90: mtu: IPv6 needs 1280 at least (RFC 8200 5)\n"},
    {"RoutersWithoutIp6", with(kGood, "10.80.0.1/24", "10.80.0.1/24, routerAdvertisements: true"), "f.yaml:2:78: routerAdvertisements: the port has no address6\n"},
    {"NextHop6Alone", with(kGood, "10.80.0.1/24", "10.80.0.1/24, nextHop6: \"fe80::1\""), "f.yaml:2:66: nextHop6: the port has no address6\n"},
    {"Range6HostBits", with(kGood, "10.80.64.0/24", "10.80.64.0/24\n  vipRange6: \"fd00:64::1/64\""), "f.yaml:4:14: vipRange6: host bits are set; did you mean fd00:64::/64?\n"},
    {"Range6Length", with(kGood, "10.80.64.0/24", "10.80.64.0/24\n  vipRange6: \"fd00:64::/48\""), "f.yaml:4:14: vipRange6: prefix length 48 is not within 64 to 120\n"},
    {"CoreAddresses6", with(kGood, "10.80.0.1/24", "10.80.0.1/24, address6: \"fd00::1/64\", coreAddresses: 10.80.0.100"), "f.yaml:2:95: coreAddresses: not together with address6, whose local ports the cores share\n"},
    {"VipForTwoNames", with(kGood, "port: 4000 }", "port: 4000, vip: 10.80.64.5 }, { dnsName: b, port: 1, vip: 10.80.64.5 }"), "f.yaml:9:78: vip: 10.80.64.5 belongs to \"auth-service\" (line 9)\n"},
    {"AliasTwice", with(kGood, "port: 4000 }", "port: 4000 }, { port: 4000 }"), "f.yaml:9:61: alias auth-service:4000 is used before (line 9)\n"},
    {"DiscoveryTwice", kGood + "  - portName: auth-service\n    endpoints: [ { address: 10.80.0.12, port: 80 } ]\n", "f.yaml:11:5: discoveryName: \"auth-service\" is used before (line 7)\n"},
    {"DiscoveryUpper", with(kGood, "discoveryName: auth-service", "discoveryName: Auth"), "f.yaml:7:20: discoveryName: must be 1 to 64 characters of a-z, 0-9, '_' and '-', and not begin with '-'\n"},
    {"ProtocolNear", with(kGood, "appProtocol: http", "appProtocol: htpp"), "f.yaml:8:18: appProtocol: \"htpp\" is none of http, http2, grpc; did you mean http?\n"},
    {"TcpRequestTimeout", with(service("timeout: { perRequestTimeoutSeconds: 1 }"), "    appProtocol: http\n", "\n"), "f.yaml:11:42: perRequestTimeoutSeconds: not for TCP: give the service an appProtocol\n"},
    {"TimeoutFraction", service("timeout: { idleTimeoutSeconds: 1.5 }"), "f.yaml:11:36: idleTimeoutSeconds: must be a whole number, not 1.5\n"},
    {"RetryWord", service("retry: { on: [reset, refused] }"), "f.yaml:11:26: on[1]: \"refused\" is none of connect-failure, refused-stream, reset, 5xx, gateway-error, retriable-4xx, retriable-status-codes, cancelled, deadline-exceeded, internal, resource-exhausted, unavailable; did you mean refused-stream?\n"},
    {"RetryStatus", service("retry: { statusCodes: [503, 200] }"), "f.yaml:11:33: statusCodes[1]: 200 is not within 400 to 599\n"},
    {"RetryBackoff", service("retry: { backoffMs: { base: 50, max: 20 } }"), "f.yaml:11:42: max: smaller than base\n"},
    {"RetriesTooMany", service("retry: { retries: 8 }"), "f.yaml:11:23: retries: 8 is not within 0 to 7\n"},
    {"TcpPerTry", with(service("retry: { perTryTimeoutSeconds: 1 }"), "    appProtocol: http\n", "\n"), "f.yaml:11:36: perTryTimeoutSeconds: not for TCP: give the service an appProtocol\n"},
    {"RetryNumber", service("retry: { on: [503] }"), "f.yaml:11:19: on[0]: \"503\" is none of connect-failure, refused-stream, reset, 5xx, gateway-error, retriable-4xx, retriable-status-codes, cancelled, deadline-exceeded, internal, resource-exhausted, unavailable\n"},
    {"BooleanOfYaml11", service("retry: { attemptCount: yes }"), "f.yaml:11:28: attemptCount: must be true or false, not the text \"yes\"\n"},
    {"TcpFields", tcp("responseHeaders: { remove: [x] }"), "f.yaml:11:22: responseHeaders: not for TCP: give the service an appProtocol\n"},
    {"TcpSubset", tcp("balancing: { subset: { header: a, label: b } }"), "f.yaml:11:26: subset: not for TCP: a connection has no header to choose by\n"},
    {"TcpRequestBreakers", tcp("circuitBreakers: { maxRequests: 5, adaptiveConcurrency: {} }"), "f.yaml:11:37: maxRequests: not for TCP, whose connections maxConnections limits\nf.yaml:11:61: adaptiveConcurrency: not for TCP, whose connections maxConnections limits\n"},
    {"TcpBehindRoutes", with(route("{ backends: [ { service: auth-service } ] }\n    service: auth-service"), "    appProtocol: http\n", "\n"), "f.yaml:15:34: service: \"auth-service\" is a TCP service, and a listener with routes speaks HTTP: give the service an appProtocol\nf.yaml:16:14: service: \"auth-service\" is a TCP service, and a listener with routes speaks HTTP: give the service an appProtocol\n"},
    {"ListenerAddressOutside", kGood + "listeners: [ { name: edge, address: 10.80.1.1, port: 80, service: auth-service } ]\n", "f.yaml:11:37: address: 10.80.1.1 is no port's address and outside gateway.vipRange\n"},
    {"AdaptiveMin", service("circuitBreakers: { adaptiveConcurrency: { min: 0 } }"), "f.yaml:11:52: min: 0 is not within 1 to 65535\n"},
    {"DeploymentOfItself", service("deployment: { green: auth-service }"), "f.yaml:11:26: green: must be another service, without a deployment of its own\n"},
    {"DeploymentUnknown", service("deployment: { green: auth }"), "f.yaml:11:26: green: there is no service \"auth\"\n"},
    {"CanaryForLinear", service("deployment: { green: auth, strategy: LINEAR, canaryConfiguration: { canaryPercent: 5 } }"), "f.yaml:11:26: green: there is no service \"auth\"\nf.yaml:11:71: canaryConfiguration: only for strategy CANARY\n"},
    {"BoundBelowOne", service("balancing: { boundFactor: 0.9 }"), "f.yaml:11:31: boundFactor: must be at least 1, or 0 for no bound\n"},
    {"TableNotPrime", service("balancing: { tableSize: 65536 }"), "f.yaml:11:29: tableSize: 65536 is not prime; the next prime is 65537\n"},
    {"TableWithoutMaglev", service("balancing: { policy: random, tableSize: 65537 }"), "f.yaml:11:45: tableSize: only policy maglev has a table\n"},
    {"RingWithoutRingHash", service("balancing: { minRingSize: 2048 }"), "f.yaml:11:31: minRingSize: only policy ringHash has a ring\n"},
    {"RingUpsideDown", service("balancing: { policy: ringHash, maxRingSize: 1000 }"), "f.yaml:11:49: maxRingSize: smaller than minRingSize, which is 1024\n"},
    {"ChoicesWithoutLeastRequest", service("balancing: { choiceCount: 3 }"), "f.yaml:11:31: choiceCount: only policy leastRequest compares endpoints\n"},
    {"OneChoice", service("balancing: { policy: leastRequest, choiceCount: 1 }"), "f.yaml:11:53: choiceCount: 1 is not within 2 to 16\n"},
    {"SlowStartOfMaglev", service("balancing: { slowStart: { seconds: 10 } }"), "f.yaml:11:29: slowStart: not with a policy that hashes: keys would move twice; roundRobin, leastRequest and random have it\n"},
    {"SlowStartWithoutTime", service("balancing: { policy: random, slowStart: { aggression: 2 } }"), "f.yaml:11:45: missing key \"seconds\" in slowStart\n"},
    {"ZonesOfRingHash", with(service("balancing: { policy: ringHash, zoneAware: {} }"), "  cores: [1]\n", "  cores: [1]\n  zone: a\n"), "f.yaml:12:47: zoneAware: not with a policy that hashes: a key has one endpoint, wherever it stands\n"},
    {"ZonesWithoutOwn", service("balancing: { policy: random, zoneAware: { enabled: true } }"), "f.yaml:11:45: zoneAware: needs gateway.zone to know which endpoints are near\n"},
    {"SubsetWithoutLabel", service("balancing: { subset: { header: x-version } }"), "f.yaml:11:26: missing key \"label\" in subset\n"},
    {"SubsetFallback", service("balancing: { subset: { header: x, label: v, fallback: some } }"), "f.yaml:11:59: fallback: \"some\" is none of any, none\n"},
    {"CookieAgeOfHeader", service("balancing: { hash: { on: header, name: x, ttlSeconds: 5 } }"), "f.yaml:11:59: ttlSeconds: only a hash on cookie has one\n"},
    {"CookiePathAlone", service("balancing: { hash: { on: cookie, name: x, path: / } }"), "f.yaml:11:53: path: of a cookie that the gateway makes: that needs ttlSeconds, 0 for the browser's session\n"},
    {"CookiePathWithSemicolon", service("balancing: { hash: { on: cookie, name: x, ttlSeconds: 5, path: /a;b } }"), "f.yaml:11:68: path: must begin with '/' and be at most 255 printable characters without blanks and ';'\n"},
    {"PriorityTooBad", with(kGood, "port: 80 }", "port: 80, priority: 8 }"), "f.yaml:10:61: priority: 8 is not within 0 to 7\n"},
    {"LabelsAsList", with(kGood, "port: 80 }", "port: 80, labels: [a] }"), "f.yaml:10:59: labels: must be a mapping, not a list\n"},
    {"LabelAsNumber", with(kGood, "port: 80 }", "port: 80, labels: { v: 1 } }"), "f.yaml:10:64: v: must be a string: write \"1\" in quotes\n"},
    {"LabelWithBlank", with(kGood, "port: 80 }", "port: 80, labels: { v: a b } }"), "f.yaml:10:59: labels: names and values must be 1 to 64 printable characters without blanks\n"},
    {"HashWithoutName", service("balancing: { hash: { on: header } }"), "f.yaml:11:30: hash: a hash on header, cookie or query needs a name\n"},
    {"MatcherBackwards", service("healthCheck: { protocol: http, matcher: \"299-200\" }"), "f.yaml:11:45: matcher: must be a status or a range of statuses from 200 to 599, such as \"200-299\"\n"},
    {"EndpointTwice", with(kGood, "port: 80 }", "port: 80 }, { address: 10.80.0.11, port: 80 }"), "f.yaml:10:64: endpoint 10.80.0.11:80 is listed twice\n"},
    {"NullList", kGateway + "services:\n", "f.yaml:5:1: services: must be a list, not nothing\n"},
    {"RouteToNowhere", route("backends: [ { service: auth-servce } ]"), "f.yaml:15:32: service: there is no service \"auth-servce\"; did you mean \"auth-service\"?\n"},
    {"RouteWeightsZero", route("backends: [ { service: auth-service, weight: 0 } ]"), "f.yaml:15:19: backends: the weights are all zero\n"},
    {"RouteHostPort", route("{ hosts: [\"a:80\"], backends: [ { service: auth-service } ] }"), "f.yaml:15:19: hosts[0]: \"a:80\" is neither a host name nor \"*.\" and one; no port belongs here\n"},
    {"RoutePathWord", route("{ matches: [ { path: /a } ], backends: [ { service: auth-service } ] }"), "f.yaml:15:30: path: must be a mapping, not the text \"/a\"; its keys are type, value\n"},
    {"RouteBackendsWord", route("{ backends: auth-service }"), "f.yaml:15:21: backends: must be a list, not the text \"auth-service\"; a list of one is [auth-service]\n"},
    {"RouteHostStar", route("{ hosts: [\"*\"], backends: [ { service: auth-service } ] }"), "f.yaml:15:19: hosts[0]: \"*\" is neither a host name nor \"*.\" and one; no port belongs here, and without hosts a route is for all of them\n"},
    {"RouteDoesNothing", route("{ matches: [] }"), "f.yaml:15:9: route needs backends, redirect or directResponse\n"},
    {"RouteAnswersAndForwards", act("redirect: { scheme: https }"), "f.yaml:16:19: backends: has no effect in a route that answers itself\n"},
    {"RouteAnswersTwice", answer("redirect: { scheme: https }\n        directResponse: { status: 200 }"), "f.yaml:16:25: directResponse: the route redirects already\n"},
    {"RedirectStatus", answer("redirect: { status: 304 }"), "f.yaml:15:29: status: must be 301, 302, 303, 307 or 308\n"},
    {"RedirectHostPort", answer("redirect: { host: \"a:80\" }"), "f.yaml:15:27: host: \"a:80\" is no host name; the port has a key of its own\n"},
    {"AnswerBodyOf204", answer("directResponse: { status: 204, body: x }"), "f.yaml:15:46: body: an answer of status 204 has none\n"},
    {"AnswerBodyTooLong", answer("directResponse: { status: 200, body: \"" + std::string(4097, 'x') + "\" }"), "f.yaml:15:46: body: must be at most 4096 bytes\n"},
    {"RewriteTwoWays", act("rewrite: { replaceFullPath: /a, replacePrefixMatch: /b }"), "f.yaml:15:18: rewrite: one of replacePrefixMatch, replaceFullPath and regex\n"},
    {"RewriteNothing", act("rewrite: {}"), "f.yaml:15:18: rewrite: says nothing\n"},
    {"RewriteNoSlash", act("rewrite: { replaceFullPath: a }"), "f.yaml:15:37: replaceFullPath: must begin with '/', without spaces, '?' and '#', of at most 4096 characters\n"},
    {"RewriteSpace", act("rewrite: { replacePrefixMatch: \"/a b\" }"), "f.yaml:15:40: replacePrefixMatch: must begin with '/', without spaces, '?' and '#', of at most 4096 characters\n"},
    {"RewriteQuery", act("rewrite: { regex: { pattern: a, substitution: \"b?c\" } }"), "f.yaml:15:55: substitution: no spaces, '?' and '#', at most 4096 characters\n"},
    {"RewriteHost", act("rewrite: { host: \"a b\" }"), "f.yaml:15:26: host: \"a b\" is no host, with or without a port\n"},
    {"RewritePortRange", act("rewrite: { host: \"a:70000\" }"), "f.yaml:15:26: host: \"a:70000\" is no host, with or without a port\n"},
    {"RewritePrefixOfExact", act("rewrite: { replacePrefixMatch: /b }\n        matches: [ { path: { type: exact, value: /a } } ]"), "f.yaml:15:40: replacePrefixMatch: a match of this route has a path that is no prefix\n"},
    {"FieldHost", act("requestHeaders: { set: [ { name: Host, value: a } ] }"), "f.yaml:15:42: name: \"Host\" belongs to the gateway and cannot be changed; see rewrite.host\n"},
    {"FieldLength", act("responseHeaders: { remove: [Content-Length] }"), "f.yaml:15:37: name: \"Content-Length\" belongs to the gateway and cannot be changed\n"},
    {"FieldCoding", act("requestHeaders: { add: [ { name: transfer-encoding, value: a } ] }"), "f.yaml:15:42: name: \"transfer-encoding\" belongs to the gateway and cannot be changed\n"},
    {"FieldPseudo", act("requestHeaders: { set: [ { name: \":path\", value: a } ] }"), "f.yaml:15:42: name: must be a token of 1 to 255 characters (RFC 9110 5.6.2)\n"},
    {"FieldTwice", act("requestHeaders: { set: [ { name: X-A, value: a } ], remove: [x-a] }"), "f.yaml:15:42: name: \"X-A\" is changed twice\n"},
    {"FieldValueLine", act("requestHeaders: { set: [ { name: x, value: \"a\\r\\nb\" } ] }"), "f.yaml:15:52: value: must be 1 to 4096 characters without control characters, and not begin or end with a space\n"},
    {"FieldVariable", act("requestHeaders: { set: [ { name: x, value: \"%ROUTE_NAM%\" } ] }"), "f.yaml:15:52: value: %ROUTE_NAM% is no variable; did you mean %ROUTE_NAME%?\n"},
    {"FieldVariableOpen", act("requestHeaders: { set: [ { name: x, value: \"10 %\" } ] }"), "f.yaml:15:52: value: a variable has no second percent sign; a percent sign is written %%\n"},
    {"FieldVariableField", act("requestHeaders: { set: [ { name: x, value: \"%REQ(a b)%\" } ] }"), "f.yaml:15:52: value: %REQ(a b)%: a field name or :method, :path, :authority, :scheme belongs in REQ()\n"},
    {"FieldOfService", service("requestHeaders: { remove: [te] }"), "f.yaml:11:32: name: \"te\" belongs to the gateway and cannot be changed\n"},
    {"FaultNothing", act("fault: { header: x }"), "f.yaml:15:16: fault: needs delay or abort\n"},
    {"FaultAbortNothing", act("fault: { abort: { percent: 1 } }"), "f.yaml:15:25: abort: needs status or grpcStatus\n"},
    {"FaultPercent", act("fault: { delay: { milliseconds: 5, percent: 101 } }"), "f.yaml:15:53: percent: 101 is not within 0 to 100\n"},
    {"MirrorOfHttp2", with(act("mirror: { service: auth-service }"), "appProtocol: http", "appProtocol: http2"), "f.yaml:15:28: service: a mirror speaks HTTP/1.1, and the appProtocol of \"auth-service\" is not http\n"},
    {"MirrorNowhere", act("mirror: { service: auth-servce }"), "f.yaml:15:28: service: there is no service \"auth-servce\"; did you mean \"auth-service\"?\n"},
    {"CoreAddressOutside", with(kGood, "10.80.0.1/24", "10.80.0.1/24, coreAddresses: 10.80.1.5"), "f.yaml:2:71: coreAddresses: 10.80.1.5 to 10.80.1.5 is not all in the port's network\n"},
    {"CoreAddressesRunOut", with(with(kGood, "10.80.0.1/24", "10.80.0.1/24, coreAddresses: 10.80.0.254"), "[1]", "[1, 2]"), "f.yaml:2:71: coreAddresses: 10.80.0.254 to 10.80.0.255 is not all in the port's network\n"},
    {"CoreAddressIsPorts", with(with(kGood, "10.80.0.1/24", "10.80.0.2/24, coreAddresses: 10.80.0.1"), "[1]", "[1, 2]"), "f.yaml:2:71: coreAddresses: 10.80.0.1 to 10.80.0.2 contains the port's own address, its next hop or the address of gateway.dns\n"},
    {"CoreAddressIsEndpoints", with(with(kGood, "10.80.0.1/24", "10.80.0.1/24, coreAddresses: 10.80.0.10"), "[1]", "[1, 2]"), "f.yaml:10:29: address: 10.80.0.11 is the gateway's own address\n"},
    {"CoreAddressesOfOnePort", with(kGood, "10.80.0.1/24", "10.80.0.1/24, coreAddresses: 10.80.0.5 }, { device: net_null1, address: 10.81.0.1/24"), "f.yaml:2:84: coreAddresses: every port has them, or none\n"},
    {"DevicesOddNumber", with(kGood, "device: net_null0", "devices: [a, b]"), "f.yaml:2:12: devices: 2 devices for 1 cores: give one device, or one per core\n"},
};
INSTANTIATE_TEST_SUITE_P(Table, BadFile, testing::ValuesIn(kBad), [](const auto& row) { return std::string(row.param.name); });

TEST(Load, BrokenYaml_IsOneProblemWithAPlace) {
  const auto config = parse("gateway: [\n", "f.yaml");
  ASSERT_FALSE(config);
  ASSERT_EQ(config.error().size(), 1u);
  EXPECT_EQ(config.error()[0].line, 2);
  EXPECT_TRUE(config.error()[0].message.starts_with("not YAML: "));
}

TEST(Load, Tab_IsNamedAsWhatYamlStumblesOver) {
  EXPECT_EQ(problems_of("gateway:\n  cores: [1]\n\tports: []\n"), "f.yaml:3:2: not YAML: end of map not found: a tab cannot indent, spaces do\n");
}

TEST(Load, SeveralMistakes_AreAllReportedInOrder) {
  const std::string text = with(with(with(kGood, "cores: [1]", "cores: []"), "port: 4000", "port: 0"), "10.80.0.11", "nowhere");
  EXPECT_EQ(problems_of(text),
            "f.yaml:4:10: cores: 0 entries, must be 1 to 64\n"
            "f.yaml:9:53: port: 0 is not within 1 to 65535\n"
            "f.yaml:10:29: address: \"nowhere\" is not an IPv4 address such as 10.0.0.1\n");
}

TEST(Load, MissingFile_SaysWhy) {
  const auto config = load_file("/nonexistent/ringway.yaml");
  ASSERT_FALSE(config);
  EXPECT_EQ(listing(config.error()), "/nonexistent/ringway.yaml: cannot be read: No such file or directory\n");
}

TEST(Load, Directory_IsAProblemNotACrash) { EXPECT_FALSE(load_file("/")); }

TEST(Load, Defaults_AreThoseOfEcs) {
  const auto http = parse(kGood, "f");
  ASSERT_TRUE(http) << listing(http.error());
  EXPECT_EQ(http->services[0].timeouts.per_request_us, 15'000'000u);
  EXPECT_EQ(http->services[0].timeouts.idle_us, 300'000'000u);
  const auto tcp = parse(with(kGood, "    appProtocol: http\n", ""), "f");
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->services[0].app_protocol, contract::AppProtocol::tcp);
  EXPECT_EQ(tcp->services[0].timeouts.per_request_us, 0u);
  EXPECT_EQ(tcp->services[0].timeouts.idle_us, 3'600'000'000u);
}

TEST(Load, Recorder_IsOffUnlessGroupsAreNamed) {
  const auto plain = parse(kGood, "f.yaml");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->gateway.recorder.groups, 0u);
  EXPECT_EQ(plain->gateway.recorder.events, contract::kRecorderEventsDefault);
  const auto some = parse(gateway("recorder: { events: 4096, groups: [timers, requests], file: /run/r }"), "f.yaml");
  ASSERT_TRUE(some.has_value());
  EXPECT_EQ(some->gateway.recorder.groups, bit_of(contract::EventGroup::timers) | bit_of(contract::EventGroup::requests));
  EXPECT_EQ(some->gateway.recorder.events, 4096u);
  EXPECT_EQ(some->gateway.recorder.file, "/run/r");
  const auto all = parse(gateway("recorder: { groups: [all] }"), "f.yaml");
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(all->gateway.recorder.groups, contract::kAllEventGroups);
}

TEST(Load, TimeoutZero_IsOff) {
  const auto config = parse(service("timeout: { perRequestTimeoutSeconds: 0, idleTimeoutSeconds: 0 }"), "f");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->services[0].timeouts.per_request_us, 0u);
  EXPECT_EQ(config->services[0].timeouts.idle_us, 0u);
}

TEST(Load, RetriesAndBreakers_AreReadAndOtherwiseServiceConnects) {
  const auto plain = parse(kGood, "f");
  ASSERT_TRUE(plain) << listing(plain.error());
  EXPECT_EQ(plain->services[0].retry, contract::RetryPolicy{});
  EXPECT_EQ(plain->services[0].breakers, contract::CircuitBreakers{});
  const auto config = parse(service("retry: { retries: 4, on: [5xx, cancelled], statusCodes: [500], nonIdempotent: true, perTryTimeoutSeconds: 0.5,\n"
                                    "      backoffMs: { base: 10 }, respectRetryAfter: true, budget: { percent: 50, min: 0 }, bodyBytes: 1, attemptCount: true }\n"
                                    "    circuitBreakers: { maxConnections: 1, maxPendingRequests: 2, maxRequests: 3, maxRetries: 4, adaptiveConcurrency: {} }"), "f");
  ASSERT_TRUE(config) << listing(config.error());
  const contract::RetryPolicy wanted{.retries = 4, .on = contract::kOn5xx | contract::kOnCancelled, .statuses = contract::status_set({500}),
                                     .non_idempotent = true, .per_try_us = 500'000, .backoff_base_us = 10'000, .backoff_max_us = 100'000,
                                     .retry_after = true, .budget_percent = 50, .budget_min = 0, .body_bytes = 1, .attempt_count = true};
  EXPECT_EQ(config->services[0].retry, wanted);
  const contract::CircuitBreakers breakers{.connections = 1, .pending = 2, .requests = 3, .retries = 4, .adaptive = true};
  EXPECT_EQ(config->services[0].breakers, breakers);
}

TEST(Load, AliasWithoutDnsName_IsDiscoveryNameInItsNamespace) {
  const std::string bare = with(kGood, "dnsName: auth-service, ", "");
  EXPECT_EQ(parse(bare, "f")->services[0].client_aliases[0].dns_name, "auth-service");
  const auto named = parse(with(bare, "  cores: [1]", "  namespace: prod.local\n  cores: [1]"), "f");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->services[0].client_aliases[0].dns_name, "auth-service.prod.local");
}

TEST(Load, Http2AndGrpc_AreAccepted) {
  EXPECT_EQ(problems_of(with(kGood, "appProtocol: http", "appProtocol: http2")), "");
  EXPECT_EQ(problems_of(with(kGood, "appProtocol: http", "appProtocol: grpc")), "");
}

TEST(Load, RangeInsidePortNetwork_WarnsButLoads) {
  const auto config = parse(with(kGood, "10.80.64.0/24", "10.80.0.128/28"), "f");
  ASSERT_TRUE(config);
  ASSERT_EQ(config->warnings.size(), 1u);
  EXPECT_EQ(config->warnings[0].line, 3);
}

TEST(Load, PathMtu_IsOfBothFamiliesAndLargerThanThePortWarns) {
  const auto config = parse(with(kGood, "10.80.0.1/24", "10.80.0.1/24, mtu: 8000, pathMtu: [ { prefix: 0.0.0.0/0, mtu: 1500 }, "
                                 "{ prefix: \"fd00::/8\", mtu: 9001 } ]"), "f");
  ASSERT_TRUE(config) << listing(config.error());
  const auto& paths = config->gateway.ports[0].paths;
  ASSERT_EQ(paths.size(), 2u);
  EXPECT_EQ(paths[0].to, (wire::Ip6Prefix{wire::Ip6::from_halves(0, u64{0xffff} << 32), 96}));
  EXPECT_EQ(paths[0].packet_bytes, 1500);
  EXPECT_EQ(paths[1].to, (wire::Ip6Prefix{wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 0), 8}));
  EXPECT_EQ(listing(config->warnings), "f:2:139: mtu: larger than the port's, which counts\n");
}

TEST(Load, Balancing_IsReadWhole) {
  const std::string text = with(with(kGood, "port: 80 }", "port: 80, zone: a, priority: 7, labels: { version: v1, \"on\": \"2\" } }"), "  cores: [1]\n", "  cores: [1]\n  zone: a\n");
  const auto config = parse(text + "    balancing: { policy: leastRequest, choiceCount: 5, panicPercent: 0, slowStart: { seconds: 2.5, aggression: 2, minWeightPercent: 1 },\n"
                                   "      zoneAware: { minEndpoints: 3, forceLocalZone: true }, subset: { header: X-Version, label: version, fallback: none } }\n", "f");
  ASSERT_TRUE(config) << listing(config.error());
  EXPECT_EQ(listing(config->warnings), "");
  EXPECT_EQ(config->gateway.zone, "a");
  const EndpointConfig& endpoint = config->services[0].endpoints[0];
  EXPECT_EQ(endpoint.priority, 7);
  EXPECT_EQ(endpoint.labels, (std::map<std::string, std::string>{{"version", "v1"}, {"on", "2"}}));
  const BalancingConfig& b = config->services[0].balancing;
  EXPECT_EQ(b.policy, contract::BalancePolicy::least_request);
  EXPECT_EQ(b.choices, 5u);
  EXPECT_EQ(b.slow_start_us, 2'500'000u);
  EXPECT_EQ(b.aggression, 2);
  EXPECT_EQ(b.min_weight_percent, 1u);
  EXPECT_TRUE(b.zone.aware && b.zone.force_local);
  EXPECT_EQ(b.zone.endpoints_min, 3u);
  EXPECT_EQ(b.subset_header, "x-version");
  EXPECT_EQ(b.subset_label, "version");
  EXPECT_FALSE(b.subset_or_any);
}

TEST(Load, ResilienceThatDoesNothing_WarnsButLoads) {
  const auto warnings = [](const std::string& text) { return listing(parse(text, "f.yaml")->warnings); };
  EXPECT_EQ(warnings(service("retry: { on: [reset], statusCodes: [502] }")),
            "f.yaml:11:40: statusCodes: has no effect, since `on` does not name retriable-status-codes\n");
  EXPECT_EQ(warnings(service("retry: { statusCodes: [] }")), "f.yaml:11:27: statusCodes: names none, so no status is repeated\n");
  EXPECT_EQ(warnings(service("retry: { statusCodes: [502] }")), "");
  EXPECT_EQ(warnings(tcp("retry: { attemptCount: true }")), "f.yaml:11:28: attemptCount: has no effect on TCP\n");
  EXPECT_EQ(warnings(service("circuitBreakers: { maxPendingRequests: 5 }")),
            "f.yaml:11:44: maxPendingRequests: has no effect without maxConnections: nobody waits for a connection\n");
  EXPECT_EQ(warnings(tcp("circuitBreakers: { maxPendingRequests: 5, maxConnections: 5, maxRetries: 1 }")), "");
  EXPECT_EQ(warnings(service("outlierDetection: { consecutiveGatewayFailure: 3, failurePercentageThreshold: 50 }")),
            "f.yaml:11:52: consecutiveGatewayFailure: has no effect while enforcingConsecutiveGatewayFailure is 0, its default\n"
            "f.yaml:11:83: failurePercentageThreshold: has no effect while enforcingFailurePercentage is 0, its default\n");
  EXPECT_EQ(warnings(service("outlierDetection: { consecutiveGatewayFailure: 3, enforcingConsecutiveGatewayFailure: 100 }")), "");
}

TEST(Load, RoutesThatAnotherOneHides_AreWarnedOf) {
  const std::string to = "backends: [ { service: auth-service } ] }\n";
  const auto warnings = [&](const std::string& first, const std::string& second) {
    return listing(parse(route("{ name: a, " + first + to + "      - { " + second + to), "f.yaml")->warnings);
  };
  const std::string hidden = " matches: route a (line 15) has the same conditions and goes first\n";
  EXPECT_EQ(warnings("", ""), "f.yaml:16:9:" + hidden);
  EXPECT_EQ(warnings("", "matches: [ { path: { value: / } } ], "), "f.yaml:16:22:" + hidden);
  EXPECT_EQ(warnings("matches: [ { path: { value: /a/ } } ], ", "matches: [ { path: { value: /b } }, { path: { value: /a } } ], "), "f.yaml:16:47:" + hidden);
  const std::string xy = "headers: [ { name: x, value: v }, { name: y, value: v } ] } ], ", yx = "headers: [ { name: Y, value: v }, { name: x, value: v } ] } ], ";
  EXPECT_EQ(warnings("matches: [ { " + xy, "matches: [ { " + yx), "f.yaml:16:22:" + hidden);
  EXPECT_EQ(warnings("matches: [ { path: { value: /a } } ], ", "matches: [ { path: { value: /a, type: exact } } ], "), "");
  EXPECT_EQ(warnings("matches: [ { headers: [ { name: x, value: v } ] } ], ", "matches: [ { query: [ { name: x, value: v } ] } ], "), "");
  EXPECT_EQ(warnings("hosts: [a.example], ", "hosts: [b.example], "), "");
  EXPECT_EQ(warnings("hosts: [a.example], ", "hosts: [b.example, a.example], "), "f.yaml:16:9:" + hidden);
  EXPECT_EQ(warnings("matches: [ { method: GET }, { method: GET } ], ", "matches: [ { method: PUT } ], "), "f.yaml:15:48: matches: a match is listed twice\n");
}

TEST(Load, ServiceThatNobodyCanCall_WarnsUnlessItIsANewVersionOrAMirror) {
  const std::string other = "  - portName: other\n    appProtocol: http\n    endpoints: [ { address: 10.80.0.12, port: 80 } ]\n";
  const auto warnings = [](const std::string& text) { return listing(parse(text, "f.yaml")->warnings); };
  EXPECT_EQ(warnings(kGood + other), "f.yaml:11:5: service other has no alias and no route: nobody can call it\n");
  EXPECT_EQ(warnings(service("deployment: { green: other }") + other), "");
  EXPECT_EQ(warnings(kGood + other + kRoutes + "{ mirror: { service: other }, backends: [ { service: auth-service } ] }\n"), "");
}

TEST(Load, BalancingThatDoesNothing_WarnsButLoads) {
  const auto listed = [](const std::string& text) {
    const auto config = parse(text, "f");
    return config ? listing(config->warnings) : "refused: " + listing(config.error());
  };
  EXPECT_EQ(listed(service("balancing: { policy: random, hash: { on: source } }")), "f:11:40: hash: has no effect with this policy\n");
  EXPECT_EQ(listed(service("balancing: { policy: random, boundFactor: 2 }")), "f:11:47: boundFactor: has no effect with this policy\n");
  EXPECT_EQ(listed(service("balancing: { subset: { header: x, label: version } }")),
            "f:11:46: label: no endpoint of service auth-service has the label \"version\"\n");
  EXPECT_EQ(listed(with(service("balancing: { policy: random, zoneAware: {} }"), "  cores: [1]\n", "  cores: [1]\n  zone: a\n")),
            "f:12:45: zoneAware: no endpoint of service auth-service is in the zone \"a\"\n");
}

TEST(Load, Regex_KeepsItsPlaceForTheCompiler) {
  const auto config = parse(route("{ matches: [ { path: { type: regex, value: \"/a(b\" } } ], backends: [ { service: auth-service } ] }"), "f");
  ASSERT_TRUE(config) << listing(config.error());
  EXPECT_EQ(config->listeners[0].routes[0].matches[0].path->mark, (Mark{15, 52}));
  EXPECT_EQ(config->listeners[0].routes[0].backends[0].service, 0u);
}

TEST(Load, Values_AreCutIntoTheirParts) {
  const auto config = parse(act("requestHeaders: { add: [ { name: X, value: \"a%%b %REQ(X-In)%%REQ(:path)%c %PROTOCOL%\" } ] }"), "f");
  ASSERT_TRUE(config) << listing(config.error());
  using contract::Variable;
  std::string shown;
  for (const auto& piece : config->listeners[0].routes[0].actions.request.add.at(0).value) {
    shown += std::to_string(static_cast<int>(piece.what)) + piece.text + "|";
  }
  const auto number = [](Variable v) { return std::to_string(static_cast<int>(v)); };
  EXPECT_EQ(shown, number(Variable::text) + "a%b |" + number(Variable::request_field) + "x-in|" + number(Variable::request_field) + ":path|" +
                       number(Variable::text) + "c |" + number(Variable::protocol) + "|");
}

TEST(Load, Shares_AreMillionths) {
  const auto config = parse(act("fault: { delay: { milliseconds: 5, percent: 0.01 }, abort: { grpcStatus: 14 } }"), "f");
  ASSERT_TRUE(config) << listing(config.error());
  const contract::Fault& fault = *config->listeners[0].routes[0].actions.fault;
  EXPECT_EQ(fault.delay_share, 100u);
  EXPECT_EQ(fault.delay_us, 5000u);
  EXPECT_EQ(fault.abort_share, contract::kShareOfAll);
  EXPECT_EQ(fault.abort_grpc, 14);
  EXPECT_EQ(fault.abort_status, 503);
}

TEST(Load, Examples_HaveNoProblemAndNoWarning) {
  const char* folder = std::getenv("RINGWAY_EXAMPLES");
  ASSERT_NE(folder, nullptr);
  for (const char* name : {"service-connect.yaml", "routes.yaml"}) {
    const auto config = load_file(std::string(folder) + "/" + name);
    ASSERT_TRUE(config) << listing(config.error());
    EXPECT_EQ(listing(config->warnings), "");
  }
}

}  // namespace
}  // namespace ringway::config
