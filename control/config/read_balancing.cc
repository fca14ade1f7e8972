// services[].balancing, and of endpoints what only balancing looks at. See sections.h; what each setting does is told in
// docs/balancing.md.
//
// A setting that the policy has no use for is refused, so that nobody believes it to work; of `hash` and `boundFactor`,
// which one may keep for the day the policy is changed back, a warning is enough.

#include <algorithm>
#include <cmath>
#include <set>

#include "control/config/sections.h"
#include "src/lookup/maglev.h"

namespace ringway::config {
namespace {

using contract::BalancePolicy;
using contract::HashOn;

constexpr std::size_t kLabelsMax = 16;
constexpr std::size_t kLabelBytesMax = 64;

bool valid_label_text(std::string_view text) { return !text.empty() && text.size() <= kLabelBytesMax && printable(text); }

void read_cookie(Reader& reader, const Map& map, BalancingConfig& out) {
  u64 ttl_s = 0;
  const auto ttl = map.integer("ttlSeconds", ttl_s, 0, 31'536'000);
  if (ttl) out.cookie_ttl_s = ttl_s;
  const auto path = map.string("path", out.cookie_path);
  const bool good = out.cookie_path.starts_with('/') && out.cookie_path.size() <= 255 && printable(out.cookie_path) &&
                    out.cookie_path.find(';') == std::string::npos;
  if (path && !good) reader.problem(*path, "path: must begin with '/' and be at most 255 printable characters without blanks and ';'");
  for (const auto& [key, at] : {std::pair("ttlSeconds", ttl), std::pair("path", path)}) {
    if (at && out.hash_on != HashOn::cookie) reader.problem(*at, std::string(key) + ": only a hash on cookie has one");
  }
  if (path && !ttl && out.hash_on == HashOn::cookie) {
    reader.problem(*path, "path: of a cookie that the gateway makes: that needs ttlSeconds, 0 for the browser's session");
  }
}

void read_hash(Reader& reader, const Map& map, BalancingConfig& out) {
  static constexpr std::pair<std::string_view, HashOn> kHashes[] = {
      {"source", HashOn::source}, {"header", HashOn::header}, {"cookie", HashOn::cookie},
      {"path", HashOn::path},     {"query", HashOn::query},   {"request", HashOn::request}};
  const auto value = map.get("hash");
  if (!value) return;
  const Map inner(reader, *value, keys::kHash);
  const auto on = inner.choice("on", out.hash_on, kHashes);
  const auto at = inner.string("name", out.hash_name);
  const bool named = out.hash_on == HashOn::header || out.hash_on == HashOn::cookie || out.hash_on == HashOn::query;
  if (on && named && !inner.get("name")) reader.problem(*on, "hash: a hash on header, cookie or query needs a name");
  if (on && !named && at) reader.problem(*at, "name: only a hash on header, cookie or query has a name");
  if (on) read_cookie(reader, inner, out);
  if (!contract::picks_by_hash(out.policy)) reader.warning(value->mark, "hash: has no effect with this policy");
  if (!at) return;
  if (out.hash_name.empty() || out.hash_name.size() > 255 || (out.hash_on != HashOn::query && !valid_token(out.hash_name))) {
    reader.problem(*at, "name: must be a token of 1 to 255 characters (RFC 9110 5.6.2)");
  }
  if (out.hash_on == HashOn::header) out.hash_name = lower_case(out.hash_name);
}

void read_bound(Reader& reader, const Map& map, BalancingConfig& out) {
  double factor = 1.25;
  const auto at = map.number("boundFactor", factor, 0, 100);
  if (!at) return;
  if (factor != 0 && factor < 1) {
    reader.problem(*at, "boundFactor: must be at least 1, or 0 for no bound");
  } else {
    out.bound_percent = static_cast<u32>(std::lround(factor * 100));
  }
  if (!contract::picks_by_hash(out.policy)) reader.warning(*at, "boundFactor: has no effect with this policy");
}

void read_tables(Reader& reader, const Map& map, std::size_t endpoints, BalancingConfig& out) {
  if (const auto at = map.integer("tableSize", out.table_size, 2, contract::kMaglevSlotsMax)) {
    if (out.policy != BalancePolicy::maglev) {
      reader.problem(*at, "tableSize: only policy maglev has a table");
    } else if (!lookup::is_prime(out.table_size)) {
      reader.problem(*at, "tableSize: " + std::to_string(out.table_size) + " is not prime; the next prime is " +
                              std::to_string(lookup::next_prime(out.table_size)));
    } else if (out.table_size < endpoints) {
      reader.problem(*at, "tableSize: smaller than the number of endpoints");
    } else if (out.table_size < endpoints * 100) {
      reader.warning(*at, "tableSize: less than 100 slots an endpoint, so shares will be uneven");
    }
  }
  const auto least = map.integer("minRingSize", out.ring_points_min, 1, contract::kRingPointsMax);
  const auto most = map.integer("maxRingSize", out.ring_points_max, 1, contract::kRingPointsMax);
  for (const auto& [key, at] : {std::pair("minRingSize", least), std::pair("maxRingSize", most)}) {
    if (at && out.policy != BalancePolicy::ring_hash) reader.problem(*at, std::string(key) + ": only policy ringHash has a ring");
  }
  if ((least || most) && out.ring_points_min > out.ring_points_max) {
    reader.problem(most ? *most : *least, "maxRingSize: smaller than minRingSize, which is " + std::to_string(out.ring_points_min));
  } else if (most && out.ring_points_max < endpoints) {
    reader.problem(*most, "maxRingSize: smaller than the number of endpoints");
  }
}

void read_slow_start(Reader& reader, const Map& map, BalancingConfig& out) {
  const auto value = map.get("slowStart");
  if (!value) return;
  const Map inner(reader, *value, keys::kSlowStart);
  inner.seconds("seconds", out.slow_start_us, 0.1, static_cast<double>(contract::kSlowStartUsMax) / 1e6);
  inner.number("aggression", out.aggression, 0.1, 10);
  inner.integer("minWeightPercent", out.min_weight_percent, 1, 100);
  if (contract::picks_by_hash(out.policy)) {
    reader.problem(value->mark, "slowStart: not with a policy that hashes: keys would move twice; roundRobin, leastRequest and random have it");
  }
}

void read_zones(Reader& reader, const Map& map, BalancingConfig& out) {
  const auto value = map.get("zoneAware");
  if (!value) return;
  const Map inner(reader, *value, keys::kZoneAware);
  out.zone.aware = true;
  out.zone_mark = value->mark;
  inner.boolean("enabled", out.zone.aware);
  inner.integer("minEndpoints", out.zone.endpoints_min, 1, contract::kEndpointsMax);
  inner.boolean("forceLocalZone", out.zone.force_local);
  if (contract::picks_by_hash(out.policy)) {
    reader.problem(value->mark, "zoneAware: not with a policy that hashes: a key has one endpoint, wherever it stands");
  }
}

void read_subset(Reader& reader, const Map& map, BalancingConfig& out) {
  static constexpr std::pair<std::string_view, bool> kFallbacks[] = {{"any", true}, {"none", false}};
  const auto value = map.get("subset");
  if (!value) return;
  const Map inner(reader, *value, keys::kSubset);
  if (const auto at = inner.string("header", out.subset_header)) {
    if (out.subset_header.size() > 255 || !valid_token(out.subset_header)) {
      reader.problem(*at, "header: must be a token of 1 to 255 characters (RFC 9110 5.6.2)");
    }
    out.subset_header = lower_case(out.subset_header);
  }
  if (const auto at = inner.string("label", out.subset_label)) {
    if (!valid_label_text(out.subset_label)) {
      reader.problem(*at, "label: must be 1 to 64 printable characters without blanks");
    }
    out.subset_mark = *at;
  }
  inner.choice("fallback", out.subset_or_any, kFallbacks);
}

}  // namespace

void read_place(Reader& reader, const Map& map, EndpointConfig& out) {
  map.integer("priority", out.priority, 0, contract::kPrioritiesMax - 1);
  const auto at = map.strings("labels", out.labels, kLabelsMax);
  if (!at) return;
  for (const auto& [name, value] : out.labels) {
    if (!valid_label_text(name) || !valid_label_text(value)) {
      reader.problem(*at, "labels: names and values must be 1 to 64 printable characters without blanks");
      return;
    }
  }
}

void read_balancing(Reader& reader, const Map& map, ServiceConfig& service) {
  static constexpr std::pair<std::string_view, BalancePolicy> kPolicies[] = {
      {"maglev", BalancePolicy::maglev},     {"roundRobin", BalancePolicy::round_robin}, {"leastRequest", BalancePolicy::least_request},
      {"ringHash", BalancePolicy::ring_hash}, {"random", BalancePolicy::random}};
  const auto value = map.get("balancing");
  if (!value) return;
  BalancingConfig& out = service.balancing;
  const Map inner(reader, *value, keys::kBalancing);
  inner.choice("policy", out.policy, kPolicies);
  read_hash(reader, inner, out);
  if (service.app_protocol == contract::AppProtocol::tcp && out.hash_on != HashOn::source && out.hash_on != HashOn::request) {
    reader.warning(inner.get("hash")->mark, "hash: a TCP connection shows nothing but its source, which is hashed");
    out.hash_on = HashOn::source;
    out.hash_name.clear();
    out.cookie_ttl_s.reset();
  }
  read_bound(reader, inner, out);
  read_tables(reader, inner, service.endpoints.size(), out);
  if (const auto at = inner.integer("choiceCount", out.choices, 2, contract::kChoicesMax); at && out.policy != BalancePolicy::least_request) {
    reader.problem(*at, "choiceCount: only policy leastRequest compares endpoints");
  }
  read_slow_start(reader, inner, out);
  read_zones(reader, inner, out);
  read_subset(reader, inner, out);
  if (const auto subset = inner.get("subset"); subset && service.app_protocol == contract::AppProtocol::tcp) {
    reader.problem(subset->mark, "subset: not for TCP: a connection has no header to choose by");
  }
  inner.integer("panicPercent", out.panic_percent, 0, 100);
}

// What is wrong only beside something else: zones without the gateway's own, labels that nobody has.
void check_balancing(Reader& reader, const Config& config) {
  const std::string& own = config.gateway.zone;
  for (const ServiceConfig& service : config.services) {
    const BalancingConfig& b = service.balancing;
    if (b.zone.aware && own.empty()) reader.problem(b.zone_mark, "zoneAware: needs gateway.zone to know which endpoints are near");
    if (b.zone.aware && !own.empty()) {
      std::set<std::string_view> zones{own};
      for (const EndpointConfig& e : service.endpoints) zones.insert(e.zone);
      if (zones.size() > contract::kZonesMax) {
        reader.problem(b.zone_mark, "zoneAware: endpoints in " + std::to_string(zones.size()) + " zones, at most " +
                                        std::to_string(contract::kZonesMax) + " are possible");
      } else if (std::ranges::none_of(service.endpoints, [&](const EndpointConfig& e) { return e.zone == own; })) {
        reader.warning(b.zone_mark, "zoneAware: no endpoint of service " + service.discovery_name + " is in the zone \"" + own + "\"");
      }
    }
    if (!b.subset_label.empty() && std::ranges::none_of(service.endpoints, [&](const EndpointConfig& e) { return e.labels.contains(b.subset_label); })) {
      reader.warning(b.subset_mark, "label: no endpoint of service " + service.discovery_name + " has the label \"" + b.subset_label + "\"");
    }
  }
}

}  // namespace ringway::config
