// The `gateway` section: ports, addresses, cores, pools and limits. See sections.h.

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "control/config/load.h"
#include "control/config/sections.h"
#include "src/contract/path_sizes.h"
#include "src/contract/recorder.h"
#include "src/wire/ip6.h"
#include "src/wire/text.h"

namespace ringway::config {
namespace {

constexpr i64 kCpuMax = 4095;
constexpr i64 kU32Max = std::numeric_limits<u32>::max();
constexpr double kWeekSeconds = 604'800;

bool read_prefix(Reader& reader, const Value& value, wire::Ip4& ip, u8& bits, u32 least, u32 most) {
  u8 length = 0;
  const auto address = split_prefix(reader, value, length, least, most, 32, "10.0.0.1/24");
  const auto read = address ? to_unicast(reader, value, *address) : std::nullopt;
  if (!read) return false;
  ip = *read;
  bits = length;
  return true;
}

bool read_prefix6(Reader& reader, const Value& value, wire::Ip6& ip, u8& bits, u32 least, u32 most) {
  u8 length = 0;
  const auto address = split_prefix(reader, value, length, least, most, 128, "fd00::1/64");
  const auto read = address ? to_unicast6(reader, value, *address) : std::nullopt;
  if (!read) return false;
  ip = *read;
  bits = length;
  return true;
}

void read_port6(Reader& reader, const Map& map, PortConfig& port) {
  if (const auto address = map.get("address6")) {
    port.address6_mark = address->mark;
    if (read_prefix6(reader, *address, port.address6, port.prefix6_bits, 32, 126) &&
        network_of(port.address6, port.prefix6_bits) == port.address6) {
      reader.problem(address->mark, "address6: " + to_string(port.address6) + " is the routers' anycast address of its own network");
    }
  }
  if (const auto at = map.boolean("routerAdvertisements", port.router_advertisements)) {
    if (port.router_advertisements && !map.get("address6")) {
      reader.problem(*at, "routerAdvertisements: the port has no address6");
    }
  }
  if (const auto at = map.ip6("nextHop6", port.next_hop6, LinkLocal::allowed)) {
    const bool on_link = wire::is_link_local(port.next_hop6) ||
                         wire::Ip6Prefix{port.address6, port.prefix6_bits}.contains(port.next_hop6);
    if (port.address6 == wire::Ip6{}) {
      if (!map.get("address6")) reader.problem(*at, "nextHop6: the port has no address6");
    } else if (!on_link) {
      reader.problem(*at, "nextHop6: " + to_string(port.next_hop6) + " is not in the port's network");
    } else if (port.next_hop6 == port.address6) {
      reader.problem(*at, "nextHop6: " + to_string(port.next_hop6) + " is the port's own address");
    }
  }
}

void read_devices(Reader& reader, const Map& map, PortConfig& port) {
  const auto single = map.get("device");
  const auto several = map.get("devices");
  if (single && several) reader.problem(single->mark, "device and devices: only one of the two may be given");
  if (!single && !several && map.valid()) reader.problem(map.mark(), "missing key \"device\" or \"devices\"");
  std::vector<Value> values = map.list("devices", 1, contract::kCoresMax);
  if (single) values.insert(values.begin(), *single);
  for (const Value& value : values) {
    const auto text = read_string(reader, value);
    if (!text) continue;
    if (text->empty() || text->size() > 512 || !printable(*text)) {
      reader.problem(value.mark, value.name + ": must be a PCI address or a vdev string without blanks");
    } else if (std::ranges::find(port.devices, *text) != port.devices.end()) {
      reader.problem(value.mark, value.name + ": device \"" + *text + "\" is listed twice");
    } else {
      port.devices.push_back(*text);
    }
  }
}

// A network of either family, any of them.
void read_path_mtu(Reader& reader, const Value& value, PortConfig& port) {
  const Map map(reader, value, keys::kPathMtu);
  contract::PathSize path;
  const auto prefix = map.get("prefix");
  if (const auto to = prefix ? read_network(reader, *prefix) : std::nullopt) path.to = *to;
  const bool is6 = !path.to.is4();
  if (const auto at = map.integer("mtu", path.packet_bytes, 576, 9216)) {
    if (is6 && path.packet_bytes < wire::kIp6MtuMin) reader.problem(*at, "mtu: IPv6 needs 1280 at least (RFC 8200 5)");
    if (path.packet_bytes > port.mtu) reader.warning(*at, "mtu: larger than the port's, which counts");
  }
  port.paths.push_back(path);
}

PortConfig read_port(Reader& reader, const Value& value) {
  PortConfig port;
  const Map map(reader, value, keys::kPort);
  port.mark = value.mark;
  read_devices(reader, map, port);
  if (const auto address = map.get("address")) {
    port.address_mark = address->mark;
    if (read_prefix(reader, *address, port.address, port.prefix_bits, 8, 30)) {
      const u32 mask = wire::Ip4Prefix{port.address, port.prefix_bits}.mask();
      if ((port.address.v & ~mask) == 0 || (port.address.v | mask) == ~u32{0}) {
        reader.problem(address->mark, "address: " + to_string(port.address) + " is the network or broadcast address of its own network");
      }
    }
  }
  if (const auto at = map.ip4("nextHop", port.next_hop)) {
    if (port.address.v == 0 && !map.get("address")) {
      reader.problem(*at, "nextHop: the port has no address");
    } else if (port.address.v != 0 && !wire::Ip4Prefix{port.address, port.prefix_bits}.contains(port.next_hop)) {
      reader.problem(*at, "nextHop: " + to_string(port.next_hop) + " is not in the port's network");
    } else if (port.next_hop == port.address) {
      reader.problem(*at, "nextHop: " + to_string(port.next_hop) + " is the port's own address");
    }
  }
  read_port6(reader, map, port);
  if (map.valid() && !map.get("address") && !map.get("address6")) {
    reader.problem(map.mark(), "missing key \"address\" or \"address6\"");
  }
  if (const auto at = map.ip4("coreAddresses", port.core_addresses)) port.core_addresses_mark = *at;
  map.integer("mtu", port.mtu, 576, 9216);
  for (const Value& path : map.list("pathMtu", 0, contract::kPathsMax)) read_path_mtu(reader, path, port);
  map.integer("rxDescriptors", port.rx_descriptors, 32, 16'384);
  map.integer("txDescriptors", port.tx_descriptors, 32, 16'384);
  map.boolean("promiscuous", port.promiscuous);
  return port;
}

void read_dns(Reader& reader, const Value& value, DnsConfig& dns) {
  const Map map(reader, value, keys::kDns);
  dns.mark = value.mark;
  map.boolean("enabled", dns.enabled);
  if (const auto at = map.ip4("address", dns.address)) dns.mark = *at;
  if (const auto at = map.ip6("address6", dns.address6)) dns.mark = *at;
  map.integer("ttlSeconds", dns.ttl_s, 0, 86'400);
  for (const Value& zone : map.list("zones", 0, 64)) {
    const auto text = read_string(reader, zone);
    if (!text) continue;
    std::string name = lower_case(*text);
    if (name.ends_with('.')) name.pop_back();
    if (!valid_dns_name(name)) {
      reader.problem(zone.mark, zone.name + ": \"" + *text + "\" is not a DNS name");
    } else {
      dns.zones.push_back(std::move(name));
    }
  }
}

void read_cores(Reader& reader, const Map& map, GatewayConfig& out) {
  for (const Value& value : map.list("cores", 1, contract::kCoresMax)) {
    const auto cpu = read_integer(reader, value, 0, kCpuMax);
    if (!cpu) continue;
    if (std::ranges::find(out.cores, static_cast<u32>(*cpu)) != out.cores.end()) {
      reader.problem(value.mark, value.name + ": CPU " + std::to_string(*cpu) + " is listed twice");
    } else {
      out.cores.push_back(static_cast<u32>(*cpu));
    }
  }
  u32 control = 0;
  if (const auto at = map.integer("controlCore", control, 0, kCpuMax)) {
    out.control_core = control;
    if (std::ranges::find(out.cores, control) != out.cores.end()) {
      reader.warning(*at, "controlCore: CPU " + std::to_string(control) + " also polls: control work will delay packets");
    }
  }
}

void read_tcp_life(Reader& reader, const Map& map, TcpConfig& tcp) {
  map.integer("timeWaitSeconds", tcp.time_wait_s, 0, 240);
  map.integer("finTimeoutSeconds", tcp.fin_timeout_s, 1, 3600);
  map.integer("userTimeoutSeconds", tcp.user_timeout_s, 0, 3600);
  map.integer("retransmits", tcp.retransmits, 1, 100);
  map.integer("delayedAckMs", tcp.delayed_ack_ms, 1, 500);
  if (const auto at = map.get("keepalive")) {
    const Map keepalive(reader, *at, keys::kKeepalive);
    keepalive.integer("idleSeconds", tcp.keepalive_idle_s, 0, 86'400);
    keepalive.integer("intervalSeconds", tcp.keepalive_interval_s, 1, 3600);
    keepalive.integer("probes", tcp.keepalive_probes, 1, 100);
  }
}

void read_half_open(Reader& reader, const Value& value, TcpConfig& tcp) {
  const Map map(reader, value, keys::kHalfOpen);
  map.integer("records", tcp.half_open, 16, 4'194'304);
  map.integer("perListener", tcp.half_open_per_listener, 1, 4'194'304);
  map.integer("retransmits", tcp.syn_retransmits, 0, 15);
  map.boolean("cookies", tcp.syn_cookies);
  map.integer("cookiesAbove", tcp.syn_cookies_above, 0, 4'194'304);
}

void read_pressure(Reader& reader, const Value& value, TcpConfig& tcp) {
  const Map map(reader, value, keys::kPressure);
  map.integer("lowPercent", tcp.pool_low_percent, 0, 90);
  if (const auto at = map.integer("shedPercent", tcp.pool_shed_percent, 0, 90)) {
    if (tcp.pool_shed_percent > tcp.pool_low_percent) {
      reader.warning(*at, "shedPercent: above lowPercent, so connections end before new ones are refused");
    }
  }
  map.integer("shedIdleSeconds", tcp.shed_idle_s, 1, 3600);
}

// Returns where receiveBudgetBytes stands, if it does.
std::optional<Mark> read_tcp(Reader& reader, const Value& value, TcpConfig& tcp) {
  const Map map(reader, value, keys::kTcp);
  map.integer("connections", tcp.connections, 64, 16'777'216);
  const auto budget_mark = map.integer("receiveBudgetBytes", tcp.receive_budget_bytes, 16'384, 64 << 20);
  map.integer("sendBudgetBytes", tcp.send_budget_bytes, 16'384, 64 << 20);
  read_tcp_life(reader, map, tcp);
  static constexpr std::pair<std::string_view, CongestionControl> kControls[] = {{"cubic", CongestionControl::cubic},
                                                                                 {"newreno", CongestionControl::newreno}};
  static constexpr std::pair<std::string_view, Ecn> kEcn[] = {
      {"off", Ecn::off}, {"accept", Ecn::accept}, {"request", Ecn::request}};
  map.choice("congestionControl", tcp.congestion_control, kControls);
  static constexpr std::pair<std::string_view, Tso> kTso[] = {{"auto", Tso::automatic}, {"off", Tso::off}};
  map.choice("ecn", tcp.ecn, kEcn);
  map.choice("tso", tcp.tso, kTso);
  map.boolean("pacing", tcp.pacing);
  if (const auto at = map.get("halfOpen")) read_half_open(reader, *at, tcp);
  if (const auto at = map.get("pressure")) read_pressure(reader, *at, tcp);
  if (const auto rto = map.get("minRtoMs")) {
    const Map legs(reader, *rto, keys::kMinRto);
    legs.integer("client", tcp.client_min_rto_ms, 1, 60'000);
    legs.integer("backend", tcp.backend_min_rto_ms, 1, 60'000);
  }
  return budget_mark;
}

// Returns where headBytes stands, if it does.
void read_http2(Reader& reader, const Value& value, GatewayConfig& out) {
  const Map map(reader, value, keys::kHttp2);
  contract::Limits& limits = out.limits;
  map.integer("connections", out.http2.connections, 1, 1'048'576);
  map.integer("streams", out.http2.streams, 1, 4'194'304);
  map.integer("streamsPerConnection", limits.h2_streams_per_connection, 1, contract::kH2StreamsMax);
  map.seconds("maxAgeSeconds", limits.h2_age_us, 0, kWeekSeconds);
  map.integer("streamWindowBytes", limits.h2_stream_window_bytes, 1, 16'777'216);
  const auto at = map.integer("connectionWindowBytes", limits.h2_connection_window_bytes, 65'535, 67'108'864);
  if (at && limits.h2_connection_window_bytes < limits.h2_stream_window_bytes) {
    reader.warning(*at, "connectionWindowBytes: smaller than streamWindowBytes, which one stream can then never use");
  }
}

std::optional<Mark> read_limits(Reader& reader, const Value& value, GatewayConfig& out) {
  const Map map(reader, value, keys::kLimits);
  contract::Limits& limits = out.limits;
  const auto head_mark = map.integer("headBytes", limits.head_bytes, 1024, contract::kHeadBytesMax);
  map.integer("fields", limits.fields, 8, contract::kFieldsMax);
  if (const auto at = map.integer("targetBytes", limits.target_bytes, 64, contract::kHeadBytesMax)) {
    if (limits.target_bytes > limits.head_bytes) {
      reader.warning(*at, "targetBytes: larger than headBytes, which refuses such a request first");
    }
  }
  map.integer("requestBodyBytes", limits.request_body_bytes, 0, i64{1} << 53);
  map.seconds("headerTimeoutSeconds", limits.header_timeout_us, 0.1, 3600);
  map.seconds("clientIdleSeconds", limits.client_idle_us, 1, kWeekSeconds);
  map.seconds("upstreamIdleSeconds", limits.upstream_idle_us, 0.1, kWeekSeconds);
  map.integer("upstreamIdlePerEndpoint", limits.upstream_idle_per_endpoint, 0, 65'535);
  map.integer("requestsPerConnection", limits.requests_per_connection, 0, kU32Max);
  map.integer("connectionsPerSource", limits.connections_per_source, 0, 16'777'216);
  map.seconds("drainSeconds", out.drain_us, 0, 3600);
  return head_mark;
}

// A head is held in the receive budget until it is whole, beside segments of which only the beginning belongs to it.
void check_head_fits(Reader& reader, std::optional<Mark> budget_mark, std::optional<Mark> head_mark,
                     const GatewayConfig& out) {
  constexpr u32 kBeside = 4096;
  if (out.tcp.receive_budget_bytes >= out.limits.head_bytes + kBeside) return;
  reader.problem(budget_mark ? *budget_mark : head_mark ? *head_mark : out.mark,
                 "tcp.receiveBudgetBytes " + std::to_string(out.tcp.receive_budget_bytes) +
                     ": must be at least limits.headBytes and 4096, which is " +
                     std::to_string(out.limits.head_bytes + kBeside) + ", or the largest head never fits");
}

void read_pools(Reader& reader, const Value& value, PoolsConfig& pools) {
  const Map map(reader, value, keys::kPools);
  map.integer("packets", pools.packets, 1023, 16'777'215);
  map.integer("dataBytes", pools.data_bytes, 2048, 16'384);
  map.integer("slices", pools.slices, 1024, 67'108'864);
}

void read_recorder(Reader& reader, const Value& value, RecorderConfig& recorder) {
  const Map map(reader, value, keys::kRecorder);
  map.integer("events", recorder.events, 1024, contract::kRecorderEventsMax);
  for (const Value& group : map.list("groups", 0, contract::kEventGroups + 1)) {
    const auto text = read_string(reader, group);
    if (!text) continue;
    std::vector<std::string_view> known{"all"};
    for (const contract::EventGroupText& g : contract::kEventGroupTexts) known.push_back(g.name);
    const auto at = std::ranges::find(known, *text);
    if (at == known.end()) {
      refuse_choice(reader, group, *text, known);
    } else {
      recorder.groups |= at == known.begin() ? contract::kAllEventGroups : 1u << (at - known.begin() - 1);
    }
  }
  if (const auto at = map.string("file", recorder.file)) {
    if (!recorder.file.starts_with('/') || recorder.file.size() > 4000) {
      reader.problem(*at, "file: must be an absolute path of at most 4000 bytes");
    }
  }
}

void read_tap(Reader& reader, const Map& map, GatewayConfig& out) {
  const auto value = map.get("kernelTap");
  if (!value) return;
  if (value->node.IsScalar() && scalar_type(value->node) == ScalarType::boolean) {
    if (*read_boolean(reader, *value)) {
      reader.problem(value->mark, "kernelTap: give the name of the interface, or false");
    }
    return;
  }
  const auto text = read_string(reader, *value);
  if (!text) return;
  const bool plain = std::ranges::all_of(*text, [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ',' && c != ':'; });
  if (text->empty() || text->size() > 15 || !plain) {
    reader.problem(value->mark, "kernelTap: \"" + text->substr(0, 80) + "\" is not the name of an interface (1 to 15 characters)");
  } else {
    out.kernel_tap = *text;
  }
}

void read_names(Reader& reader, const Map& map, GatewayConfig& out) {
  out.name = "ringway";
  if (const auto at = map.string("name", out.name); at && (out.name.size() > 64 || !valid_token(out.name))) {
    reader.problem(*at, "name: must be a token of 1 to 64 characters (RFC 9110 5.6.2), since it stands in Via");
  }
  if (const auto at = map.string("namespace", out.namespace_name); at && !valid_dns_name(out.namespace_name)) {
    reader.problem(*at, "namespace: must be 1 to 127 characters of a-z, 0-9, '_', '-' and '.'");
    out.namespace_name.clear();
  }
  if (const auto at = map.string("zone", out.zone); at && (out.zone.empty() || out.zone.size() > 64 || !printable(out.zone))) {
    reader.problem(*at, "zone: must be 1 to 64 printable characters without blanks");
  }
  if (const auto at = map.string("adminSocket", out.admin_socket)) {
    if (!out.admin_socket.starts_with('/') || out.admin_socket.size() > 107) {
      reader.problem(*at, "adminSocket: must be an absolute path of at most 107 bytes");
    }
  }
}

void read_vip_range6(Reader& reader, const Map& map, GatewayConfig& out) {
  const auto range = map.get("vipRange6");
  if (!range) return;
  out.vip_range6_mark = range->mark;
  if (!read_prefix6(reader, *range, out.vip_range6.network, out.vip_range6.bits, 64, 120)) return;
  const wire::Ip6 network = network_of(out.vip_range6.network, out.vip_range6.bits);
  if (network == out.vip_range6.network) return;
  reader.problem(range->mark, "vipRange6: host bits are set; did you mean " + to_string(network) + "/" +
                                  std::to_string(out.vip_range6.bits) + "?");
  out.vip_range6.network = network;
}

}  // namespace

void read_gateway(Reader& reader, const Value& value, GatewayConfig& out) {
  static constexpr std::pair<std::string_view, Idle> kIdle[] = {{"backoff", Idle::backoff}, {"spin", Idle::spin}};
  static constexpr std::pair<std::string_view, Steering> kSteering[] = {
      {"auto", Steering::automatic}, {"handover", Steering::handover}, {"rss", Steering::rss}, {"flow", Steering::flow}};
  const Map map(reader, value, keys::kGateway);
  out.mark = value.mark;
  read_names(reader, map, out);
  for (const Value& port : map.list("ports", 1, contract::kPortsMax)) out.ports.push_back(read_port(reader, port));
  if (const auto range = map.get("vipRange")) {
    out.vip_range_mark = range->mark;
    if (read_prefix(reader, *range, out.vip_range.network, out.vip_range.bits, 8, 30) &&
        (out.vip_range.network.v & ~out.vip_range.mask()) != 0) {
      const wire::Ip4 network{out.vip_range.network.v & out.vip_range.mask()};
      reader.problem(range->mark, "vipRange: host bits are set; did you mean " + to_string(network) + "/" +
                                      std::to_string(out.vip_range.bits) + "?");
      out.vip_range.network = network;
    }
  }
  read_vip_range6(reader, map, out);
  if (map.valid() && !map.get("vipRange") && !map.get("vipRange6")) {
    reader.problem(map.mark(), "missing key \"vipRange\" or \"vipRange6\"");
  }
  if (!out.ports.empty()) out.dns.address = out.ports[0].address;
  if (!out.ports.empty()) out.dns.address6 = out.ports[0].address6;
  if (const auto dns = map.get("dns")) read_dns(reader, *dns, out.dns);
  read_cores(reader, map, out);
  map.choice("idle", out.idle, kIdle);
  map.choice("steering", out.steering, kSteering);
  if (const auto memory = map.get("memory")) {
    const Map inner(reader, *memory, keys::kMemory);
    inner.boolean("hugepages", out.memory.hugepages);
    inner.integer("megabytes", out.memory.megabytes, 64, 1 << 20);
  }
  if (const auto pools = map.get("pools")) read_pools(reader, *pools, out.pools);
  std::optional<Mark> budget_mark, head_mark;
  if (const auto tcp = map.get("tcp")) budget_mark = read_tcp(reader, *tcp, out.tcp);
  if (const auto http2 = map.get("http2")) read_http2(reader, *http2, out);
  if (const auto limits = map.get("limits")) head_mark = read_limits(reader, *limits, out);
  check_head_fits(reader, budget_mark, head_mark, out);
  if (const auto ingress = map.get("ingress")) read_ingress(reader, *ingress, out.ingress);
  if (const auto recorder = map.get("recorder")) read_recorder(reader, *recorder, out.recorder);
  read_tap(reader, map, out);
  read_health_endpoint(reader, map, out.health_endpoint);
}

}  // namespace ringway::config
