// The PROXY protocol in the file: `proxyProtocol` of services, `acceptProxyProtocol` of aliases and listeners. See
// sections.h.

#include <charconv>

#include "control/config/load.h"
#include "control/config/sections.h"
#include "src/contract/path_sizes.h"
#include "src/wire/text.h"

namespace ringway::config {
namespace {

constexpr std::size_t kProxiesMax = 64;  // looked through for every connection of the listener

// "10.0.0.0/24" or "fd00::/64"; IPv4 as ::ffff:a.b.c.d with 96 bits more.
std::optional<wire::Ip6Prefix> read_front_end(Reader& reader, const Value& value) {
  const auto text = read_string(reader, value);
  if (!text) return std::nullopt;
  const std::size_t slash = text->find('/');
  const auto ip = wire::parse_ip(text->substr(0, slash));
  const u32 whole = text->find(':') == std::string::npos ? 32 : 128;
  u32 bits = whole + 1;
  if (slash != std::string::npos) {
    const char* const end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data() + slash + 1, end, bits);
    if (error != std::errc{} || stop != end) bits = whole + 1;
  }
  if (!ip || bits > whole) {
    reader.problem(value.mark, value.name + ": must be address/length, such as 10.0.0.0/24 or fd00::/64");
    return std::nullopt;
  }
  const u8 length = static_cast<u8>(bits);
  const wire::Ip6Prefix out = whole == 32 ? contract::mapped(ip->ip4(), length) : wire::Ip6Prefix{ip->ip6(), length};
  const u64 high = out.bits >= 64 ? 0 : ~u64{0} >> out.bits;
  const u64 low = out.bits <= 64 ? ~u64{0} : out.bits == 128 ? 0 : ~u64{0} >> (out.bits - 64);
  if ((out.network.high() & high) != 0 || (out.network.low() & low) != 0) {
    reader.problem(value.mark, value.name + ": host bits are set");
    return std::nullopt;
  }
  return out;
}

}  // namespace

std::vector<wire::Ip6Prefix> read_proxies(Reader& reader, const Map& map, const ObjectKeys& keys) {
  std::vector<wire::Ip6Prefix> out;
  const auto value = map.get("acceptProxyProtocol");
  if (!value) return out;
  const Map inner(reader, *value, keys);
  for (const Value& network : inner.list("from", 1, kProxiesMax)) {
    if (const auto read = read_front_end(reader, network)) out.push_back(*read);
  }
  return out;
}

void read_proxy_protocol(Reader& reader, const Map& map, ServiceConfig& out) {
  using wire::ProxyVersion;
  static constexpr std::pair<std::string_view, ProxyVersion> kVersions[] = {
      {"off", ProxyVersion::off}, {"v1", ProxyVersion::v1}, {"v2", ProxyVersion::v2}, {"v2-crc32c", ProxyVersion::v2_crc32c}};
  const auto at = map.choice("proxyProtocol", out.proxy_protocol, kVersions);
  if (!at || out.proxy_protocol == ProxyVersion::off) return;
  if (out.app_protocol != contract::AppProtocol::tcp) {
    reader.problem(*at, "proxyProtocol: for TCP services only: requests of many clients share a connection to an HTTP "
                        "endpoint, which finds the client in X-Forwarded-For");
  } else if (out.health_check.kind == contract::HealthCheckKind::grpc) {
    reader.problem(*at, "proxyProtocol: not together with a health check of protocol grpc");
  }
}

}  // namespace ringway::config
