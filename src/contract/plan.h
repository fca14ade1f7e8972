#pragma once
// The Plan: all that the cores know of the configuration, immutable once published.
//
// Built by control/compile from a validated configuration, its pointer sent to every core over a ring (mail.h),
// adopted between two polls. An exchange finishes on the plan that it began with: it holds `PlanUse` of its core.
// A core mails `plan_retired` once it has adopted a newer plan and its use count is zero; control frees the plan
// when every core has said so. Except for `use`, nothing here is written after publication.
//
// Names follow the ECS API (portName, discoveryName, clientAliases, timeout) where it has one.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "src/base/cacheline.h"
#include "src/base/types.h"
#include "src/contract/access.h"
#include "src/contract/actions.h"
#include "src/contract/balance.h"
#include "src/contract/health.h"
#include "src/contract/limits.h"
#include "src/contract/outlier.h"
#include "src/contract/resilience.h"
#include "src/contract/routes.h"
#include "src/contract/shift.h"
#include "src/wire/addr.h"
#include "src/wire/proxy_version.h"

namespace ringway::contract {

enum class AppProtocol : u8 { tcp, http, http2, grpc };  // ECS appProtocol; absent means tcp
enum class HealthCheckKind : u8 { none, tcp, http, grpc };

// One active health check, ready to be sent by a core.
struct HealthCheck {
  HealthCheckKind kind = HealthCheckKind::none;
  u64 interval_us = 10'000'000;
  u64 timeout_us = 2'000'000;
  u32 healthy_threshold = 1;
  u32 unhealthy_threshold = 3;
  u32 jitter_percent = 10;
  u16 status_min = 200;  // inclusive
  u16 status_max = 299;  // inclusive
  bool h2 = false;       // http: over HTTP/2; grpc always is
  std::string request;   // http and grpc: the head as HTTP/1.1 text; with HTTP/1.1 it is sent as it stands
  std::string body;      // grpc: the message of grpc.health.v1.Health/Check with its prefix
};

// One task: an address that serves. `slot` indexes HealthBoard and the per-endpoint counters.
struct Endpoint {
  wire::Ip ip;
  u16 port = 0;
  u16 weight = 1;  // 1..65535, relative within the service
  EndpointSlot slot = 0;
  u32 incarnation = 0;  // changes when the slot gets a new owner: pooled connections compare it
  std::string id;       // "service/10.0.0.1:80", "service/[fd00::1]:80": identity for hashing and for people
  std::string zone;     // empty when not said
  u8 priority = 0;      // 0..kPrioritiesMax-1, 0 is the best
};

struct Timeouts {
  u64 per_request_us = 15'000'000;  // ECS timeout.perRequestTimeoutSeconds; 0 is off
  u64 idle_us = 300'000'000;        // ECS timeout.idleTimeoutSeconds (3600 s for TCP); 0 is off
  u64 connect_us = 5'000'000;       // Envoy connect_timeout
};

struct Service {
  u32 slot = 0;                  // stable index of the per-service counters
  std::string port_name;         // ECS portName
  std::string discovery_name;    // ECS discoveryName: how messages and counters call it
  AppProtocol app_protocol = AppProtocol::http;
  Timeouts timeouts;
  RetryPolicy retry;
  CircuitBreakers breakers;
  Deployment deployment;
  HealthCheck health_check;
  OutlierDetection outlier;
  BalancePolicy policy = BalancePolicy::maglev;
  HashOn hash_on = HashOn::source;
  std::string hash_name;         // of the header (lower case), cookie or query parameter
  u32 bound_percent = kBoundPercentDefault;  // bounded load, percent of the fair share; 0 is unbounded
  u32 panic_percent = 50;        // below this share of healthy endpoints every endpoint is used; 0 is never
  u64 drain_us = 20'000'000;     // how long exchanges on a removed endpoint may go on
  wire::ProxyVersion proxy_protocol = wire::ProxyVersion::off;  // of TCP services: how endpoints are told of the client
  u32 first_endpoint = 0;        // its endpoints are endpoints[first_endpoint .. +endpoint_count), sorted by id
  u32 endpoint_count = 0;
  u64 weight_sum = 0;
  u32 admission = kNone32;       // index into admissions; kNone32: whoever asks is served
  u32 actions = kNone32;         // index into Plan::actions: its own changes of fields, without those of a route
  std::vector<u16> maglev;       // slot -> index within the service; empty when there is no endpoint, or there are pools
  Pools pools;                   // empty where all endpoints are one pool and `maglev` or turns will do
  // Its endpoints speak HTTP/2 over cleartext, by prior knowledge (RFC 9113 section 3.3).
  bool multiplexed() const { return app_protocol == AppProtocol::http2 || app_protocol == AppProtocol::grpc; }
};

// Where clients connect: a VIP of an alias, or a shared listener with a route table, or the gateway's own health endpoint.
// One for each family.
struct Listener {
  wire::Ip ip;
  u16 port = 0;
  u32 service = kNone32;      // default service, index into services
  u32 route_table = kNone32;  // index into route_tables; routes are tried before the default service
  u32 actions = kNone32;      // index into actions: of the default service
  std::string name = {};      // "auth-service:4000"
  std::string health_path = {};  // not empty: answers 200 here while the gateway is ready, 503 when it is not, 404 elsewhere
  // Front ends whose connections begin with a PROXY header that names the client; IPv4 networks as ::ffff:0:0/96 and more.
  std::vector<wire::Ip6Prefix> proxies = {};

  bool is_proxy(const wire::Ip& peer) const {
    for (const wire::Ip6Prefix& p : proxies) {
      if (p.contains(peer.ip6())) return true;
    }
    return false;
  }
};

// A name of the DNS responder: lower case, without the final dot, and its A or AAAA record.
struct DnsName {
  std::string name;
  wire::Ip ip;
};

// The largest IP packet on the way to a network. IPv4 networks stand as ::ffff:a.b.c.d with 96 bits more.
struct PathSize {
  wire::Ip6Prefix to;
  u16 packet_bytes = 1500;
  u8 port = 0;  // that leads there
  friend auto operator<=>(const PathSize&, const PathSize&) = default;
};

// One port's place in the network; the order is that of the configured ports. At least one family has an address.
struct PortNet {
  wire::Ip4 ip;        // 0.0.0.0 when there is none
  u8 prefix_bits = 24;
  wire::Ip4 next_hop;  // 0.0.0.0 when there is none
  u16 mtu = 1500;
  wire::Ip4 core_addresses;  // core i opens its connections from this + i; 0.0.0.0: all of them from `ip`
  wire::Ip6 ip6;        // :: when there is none
  u8 prefix6_bits = 64;
  wire::Ip6 next_hop6;  // :: when there is none
  bool router_advertisements = false;  // of IPv6: a next hop where none is configured
  std::vector<PathSize> paths;  // networks that take less than `mtu`, or say so; in any order
  wire::Ip4 source(u32 core) const { return core_addresses.v == 0 ? ip : wire::Ip4{core_addresses.v + core}; }
  bool has6() const { return ip6 != wire::Ip6{}; }
  bool connects(wire::Ip4 a) const { return ip.v != 0 && wire::Ip4Prefix{ip, prefix_bits}.contains(a); }
  bool connects(const wire::Ip6& a) const { return has6() && wire::Ip6Prefix{ip6, prefix6_bits}.contains(a); }
};

struct Limits {
  u32 head_bytes = kHeadBytesDefault;      // 431 above
  u32 fields = kFieldsDefault;             // 431 above
  u32 target_bytes = kTargetBytesDefault;  // 414 above
  u64 request_body_bytes = 0;              // 413 above; 0 is unlimited
  u64 header_timeout_us = 60'000'000;      // 408: from the first byte of a head to its last
  u64 client_idle_us = 3'600'000'000;      // keep-alive connection without a request (Envoy: 1 h)
  u64 upstream_idle_us = 60'000'000;       // idle connection in the pool
  u32 upstream_idle_per_endpoint = 64;     // per core
  u32 requests_per_connection = 0;         // 0 is unlimited
  u32 h2_streams_per_connection = 128;     // SETTINGS_MAX_CONCURRENT_STREAMS
  u32 h2_stream_window_bytes = 65'536;     // what a stream may hold that nobody takes
  u32 h2_connection_window_bytes = 524'288;  // and all streams of a connection together
  u64 h2_age_us = 3'600'000'000;           // then a connection of either side gets no more streams; 0 is never
  u32 connections_per_source = 0;          // of clients, open at once; 0 is unlimited. In a plan: of one core
};

// A core's hold on one plan. Written by that core alone.
struct RW_CACHE_ALIGNED PlanUse {
  u64 holders = 0;
  bool retired = false;  // this core has said so
};

struct Plan {
  u64 generation = 0;
  std::vector<PortNet> ports;
  std::vector<PathSize> path_sizes;  // by where packets go, the first that fits; see path_sizes.h
  std::vector<wire::Ip> addresses;   // every address that is ours: ports, VIPs, listeners; sorted
  wire::Ip4 dns_ip;                  // 0.0.0.0 when the responder has none, or is off
  wire::Ip6 dns_ip6;                 // :: alike
  u32 dns_ttl_s = 5;
  std::vector<DnsName> dns_names;    // sorted by name
  std::vector<std::string> dns_zones;  // suffixes for which an unknown name is NXDOMAIN instead of REFUSED
  std::vector<Listener> listeners;   // sorted by (ip, port)
  std::vector<Service> services;
  std::vector<Endpoint> endpoints;
  std::vector<std::map<std::string, std::string>> endpoint_labels;  // beside `endpoints`, for people
  std::vector<RouteTable> route_tables;
  std::shared_ptr<const PatternDb> patterns;  // null when neither route nor access rule needs a scan
  Callers callers;
  std::vector<Admission> admissions;
  std::vector<u32> access_pieces;    // indexes into PatternDb::pieces that access rules look at; empty: no scan
  Ingress ingress;
  std::shared_ptr<const IngressAcl> ingress_acl;  // null when `ingress` refuses nobody
  std::vector<Actions> actions;
  std::shared_ptr<const SubstitutionDb> substitutions;  // null when no path is rewritten by an expression
  const ShiftBoard* shifts = nullptr;  // outlives the plan; null when no service has a deployment
  Limits limits;
  std::string via = "ringway";       // pseudonym in the Via field

  mutable PlanUse use[kCoresMax];
};

}  // namespace ringway::contract
