#pragma once
// The configuration file as structs: what a person wrote, checked and with defaults filled in, before it becomes a Plan.
//
// control/config/load.h reads the YAML file and fills these; control/compile turns them into contract::Plan; src/app
// reads `gateway` for bring-up. Keys are the ECS API's own where it has one (portName, discoveryName, clientAliases,
// timeout), camelCase everywhere. Every value that another room may still refuse carries the `Mark` of its place, so
// that an error found late (a regex that Hyperscan refuses) still points at the line.
//
// Plain values, owned by whoever holds the Config; control threads only. Units are those of the file: seconds and
// milliseconds became microseconds here (`_us`), shares became percent.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/config/access_config.h"
#include "control/config/mark.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/contract/plan.h"
#include "src/wire/addr.h"

namespace ringway::config {

// ---------------------------------------------------------------------------------------------------------- gateway

// gateway.ports[]: one network port. Exactly one device, or one per core: device i is polled by core i.
struct PortConfig {
  Mark mark;
  std::vector<std::string> devices;  // PCI address "0000:00:06.0" or vdev string "net_af_xdp0,iface=gw0"
  wire::Ip4 address;                 // 0.0.0.0 when not said
  u8 prefix_bits = 24;               // 8..30
  wire::Ip4 next_hop;                // 0.0.0.0 when not said
  wire::Ip4 core_addresses;          // core i opens its connections from this + i; 0.0.0.0: all from `address`
  u16 mtu = 1500;                    // 576..9216
  std::vector<contract::PathSize> paths;  // pathMtu; their `port` is not set
  u16 rx_descriptors = 1024;
  u16 tx_descriptors = 1024;
  bool promiscuous = false;
  wire::Ip6 address6;                // :: when not said; one family has an address
  u8 prefix6_bits = 64;              // 32..126
  wire::Ip6 next_hop6;               // :: when not said
  bool router_advertisements = false;
  Mark address_mark;
  Mark core_addresses_mark;
  Mark address6_mark;
};

struct DnsConfig {
  bool enabled = true;
  wire::Ip4 address;               // the first port's unless said; none when it has none
  wire::Ip6 address6;              // alike
  u32 ttl_s = 5;
  std::vector<std::string> zones;  // lower case, without the final dot: an unknown name below one is NXDOMAIN
  Mark mark;
};

enum class CongestionControl : u8 { cubic, newreno };
enum class Ecn : u8 { off, accept, request };
enum class Tso : u8 { automatic, off };  // "auto" in the file
enum class Idle : u8 { backoff, spin };
enum class Steering : u8 { automatic, handover, rss, flow };  // "auto" in the file

struct MemoryConfig {
  bool hugepages = false;  // false: EAL --no-huge
  u32 megabytes = 512;
};

struct PoolsConfig {
  u32 packets = 16'383;     // mbufs of all cores together
  u32 data_bytes = contract::kMbufDataBytes;
  u32 slices = 65'536;      // chain slices
};

struct TcpConfig {
  u32 connections = 65'536;  // per core
  u32 receive_budget_bytes = 262'144;
  u32 send_budget_bytes = 262'144;
  CongestionControl congestion_control = CongestionControl::cubic;
  Ecn ecn = Ecn::accept;
  Tso tso = Tso::automatic;
  bool pacing = false;
  u32 client_min_rto_ms = 200;
  u32 backend_min_rto_ms = 5;
  u32 time_wait_s = 60;
  u32 fin_timeout_s = 60;
  u32 user_timeout_s = 120;  // 0: never
  u32 retransmits = 12;
  u32 syn_retransmits = 5;
  u32 delayed_ack_ms = 40;
  u32 keepalive_idle_s = 300;  // 0: never
  u32 keepalive_interval_s = 15;
  u32 keepalive_probes = 4;
  u32 half_open = 16'384;  // records per core
  u32 half_open_per_listener = 8192;
  bool syn_cookies = true;
  u32 syn_cookies_above = 12'288;
  u32 pool_low_percent = 10;
  u32 pool_shed_percent = 5;
  u32 shed_idle_s = 5;
  friend bool operator==(const TcpConfig&, const TcpConfig&) = default;
};

// gateway.http2, but for what is in contract::Limits.
struct Http2Config {
  u32 connections = 4096;  // per core, both sides; the rest find no place
  u32 streams = 65'536;    // per core, of all connections
};

struct RecorderConfig {
  u32 events = contract::kRecorderEventsDefault;  // kept by each core
  u32 groups = 0;             // recorded from the start: bits of contract::EventGroup
  std::string file;           // where the events stay after a crash; empty: nowhere
};

// gateway.healthEndpoint; there is none when `port` is 0.
struct HealthEndpointConfig {
  Mark mark;
  u16 port = 0;
  std::string path = "/health";
  std::optional<wire::Ip> address;   // every address of the ports when not said
  u64 drain_delay_us = 5'000'000;    // from failing to the first connection that is told to close
};

struct GatewayConfig {
  Mark mark;
  std::string name;                // Via pseudonym; "ringway" when not said
  std::string zone;                // where this gateway stands; empty when not said
  std::string namespace_name;      // key `namespace`: appended to discoveryName where an alias says no dnsName
  std::vector<PortConfig> ports;   // 1..kPortsMax
  wire::Ip4Prefix vip_range;       // of 0 bits when not said
  Mark vip_range_mark;
  wire::Ip6Prefix vip_range6;      // alike
  Mark vip_range6_mark;
  DnsConfig dns;
  std::vector<u32> cores;          // CPU ids, in the order of core indexes; no duplicates
  std::optional<u32> control_core;
  Idle idle = Idle::backoff;
  Steering steering = Steering::automatic;
  MemoryConfig memory;
  PoolsConfig pools;
  TcpConfig tcp;
  Http2Config http2;
  contract::Limits limits;
  u64 drain_us = 20'000'000;       // limits.drainSeconds: how long SIGTERM waits for exchanges
  HealthEndpointConfig health_endpoint;
  std::string admin_socket = "/run/ringway/admin.sock";
  RecorderConfig recorder;
  std::string kernel_tap;          // name of the interface for punted packets; empty: such packets are dropped
  IngressConfig ingress;
};

// ---------------------------------------------------------------------------------------------------------- actions

// One field of set or add; the value is cut into its parts already.
struct FieldConfig {
  std::string name;               // as written
  std::vector<contract::ValuePiece> value;
};

// requestHeaders, responseHeaders: `remove` first, then `set`, then `add`. No name stands twice.
struct FieldChangesConfig {
  std::vector<FieldConfig> set;
  std::vector<FieldConfig> add;
  std::vector<std::string> remove;
};

struct RewriteConfig {
  contract::PathChange path = contract::PathChange::none;
  std::string text;               // prefix, full: what stands there instead; regex: the substitution
  std::string pattern;            // regex
  std::string host;               // empty: as it is
  Mark mark;                      // of `text`
  Mark pattern_mark;
};

struct RedirectConfig {
  u16 status = 302;
  std::string scheme;             // "http", "https"; empty: that of the request
  std::string host;               // empty: that of the request
  u16 port = 0;                   // 0: the scheme's where one is said, else the listener's
  RewriteConfig path;             // no regex, no host
};

struct MirrorConfig {
  u32 service = kNone32;          // index into Config::services
  std::string service_name;       // empty: no mirror
  Mark mark;
  u32 share = contract::kShareOfAll;
};

// Of a route; a backend has rewrite and fields only.
struct ActionsConfig {
  std::optional<RewriteConfig> rewrite;
  FieldChangesConfig request, response;
  std::optional<RedirectConfig> redirect;
  std::optional<contract::FixedAnswer> answer;
  std::optional<contract::Fault> fault;
  MirrorConfig mirror;
};

// --------------------------------------------------------------------------------------------------------- services

// services[].clientAliases[]: how clients call the service.
struct ClientAlias {
  Mark mark;
  std::string dns_name;           // lower case; defaulted
  u16 port = 0;
  std::optional<wire::Ip4> vip;   // derived from the name when not said (vips.h)
  std::optional<wire::Ip6> vip6;  // alike
  std::vector<wire::Ip6Prefix> proxies;  // acceptProxyProtocol.from; IPv4 as ::ffff:0:0/96 and more
};

struct EndpointConfig {
  Mark mark;
  wire::Ip ip;
  u16 port = 0;
  u16 weight = 1;     // 1..65535
  std::string zone;
  u8 priority = 0;    // 0..kPrioritiesMax-1, 0 is the best
  std::map<std::string, std::string> labels;
};

struct HealthCheckConfig {
  contract::HealthCheckKind kind = contract::HealthCheckKind::tcp;
  std::string path = "/";         // kind http
  std::string host;               // Host field; "" is the discoveryName
  std::string grpc_service;       // kind grpc: the name that is asked about; "" is the server as a whole
  u64 interval_us = 10'000'000;
  u64 timeout_us = 2'000'000;
  u32 healthy_threshold = 1;
  u32 unhealthy_threshold = 3;
  u16 status_min = 200;           // matcher "200-299"
  u16 status_max = 299;
  u32 jitter_percent = 10;
};

struct BalancingConfig {
  contract::BalancePolicy policy = contract::BalancePolicy::maglev;
  contract::HashOn hash_on = contract::HashOn::source;
  std::string hash_name;          // lower case for a header
  u32 bound_percent = contract::kBoundPercentDefault;  // boundFactor * 100; 0 is unbounded
  u32 table_size = contract::kMaglevSlotsDefault;      // prime
  u32 ring_points_min = contract::kRingPointsDefault;
  u32 ring_points_max = contract::kRingPointsMax;
  u32 panic_percent = 50;
  u32 choices = 2;                // choiceCount
  u64 slow_start_us = 0;          // 0: there is none
  double aggression = 1;
  u32 min_weight_percent = 10;
  contract::ZoneRules zone;
  Mark zone_mark;                 // of zoneAware
  std::string subset_header;      // lower case; empty: there are no subsets
  std::string subset_label;
  bool subset_or_any = true;      // fallback
  Mark subset_mark;               // of its label
  std::optional<u64> cookie_ttl_s;  // of a generated cookie; 0 ends with the browser's session
  std::string cookie_path = "/";
};

struct ServiceConfig {
  Mark mark;
  std::string port_name;
  std::string discovery_name;     // unique
  contract::AppProtocol app_protocol = contract::AppProtocol::tcp;
  std::vector<ClientAlias> client_aliases;  // one by the ECS API; more is Ringway's extension; none: reached by routes only
  contract::Timeouts timeouts;
  std::vector<EndpointConfig> endpoints;    // may be empty: 503 until there is one
  HealthCheckConfig health_check;
  contract::OutlierDetection outlier;
  BalancingConfig balancing;
  wire::ProxyVersion proxy_protocol = wire::ProxyVersion::off;
  contract::RetryPolicy retry;
  contract::CircuitBreakers breakers;
  contract::Deployment deployment;
  std::string green_name;         // deployment.green: a discoveryName; empty: no deployment
  Mark green_mark;
  u64 drain_us = 20'000'000;
  AccessConfig access;
  RateLimitConfig rate_limit;
  FieldChangesConfig request, response;     // of all exchanges with the service
};

// -------------------------------------------------------------------------------------------------------- listeners

enum class ValueMatch : u8 { exact, regex };

// A header (name in lower case) or a query parameter (name as written).
struct ValueCondition {
  std::string name;
  ValueMatch type = ValueMatch::exact;
  std::string value;
  Mark mark;                      // of the value
};

// All conditions hold together. An absent path is prefix "/", which every request matches.
struct MatchConfig {
  Mark mark;
  std::optional<PathCondition> path;
  std::string method;             // upper-case token; empty: any
  std::vector<ValueCondition> headers;  // no two with one name
  std::vector<ValueCondition> query;    // no two with one name
};

struct BackendRef {
  Mark mark;
  u32 service = kNone32;          // index into Config::services
  std::string service_name;       // its discoveryName
  u32 weight = 1;                 // 0..1'000'000
  ActionsConfig actions;
};

struct RouteConfig {
  Mark mark;
  std::string name;               // unique within its listener; defaulted to "route-<n>", n from 1
  std::vector<std::string> hosts; // lower case, "api.example.com" or "*.example.com"; empty: every host
  std::vector<Mark> host_marks;   // beside `hosts`
  std::vector<MatchConfig> matches;  // any of these; empty: everything
  std::vector<BackendRef> backends;  // at least one unless the route answers itself; the weights are not all zero
  ActionsConfig actions;
};

struct ListenerConfig {
  Mark mark;
  std::string name;               // unique
  std::optional<wire::Ip> address;  // a VIP is given by name when not said
  std::string dns_name;           // lower case; empty: no DNS name
  u16 port = 0;
  u32 service = kNone32;          // default when no route matches; index into Config::services
  std::string service_name;       // its discoveryName; empty: no default
  Mark service_mark;
  std::vector<wire::Ip6Prefix> proxies;  // as of an alias
  std::vector<RouteConfig> routes;
};

// ------------------------------------------------------------------------------------------------------------- all

struct Config {
  std::string file;               // as given to load_file: for Problems found later
  GatewayConfig gateway;
  std::vector<ServiceConfig> services;
  std::vector<ListenerConfig> listeners;
  std::vector<CallerConfig> callers;
  std::vector<Problem> warnings;  // suspicious, not refused: to be logged by whoever loads
};

}  // namespace ringway::config
