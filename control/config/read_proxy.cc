// The PROXY protocol in the file: `proxyProtocol` of services, `acceptProxyProtocol` of aliases and listeners. See
// sections.h.

#include "control/config/sections.h"

namespace ringway::config {
namespace {

constexpr std::size_t kProxiesMax = 64;  // looked through for every connection of the listener

}  // namespace

std::vector<wire::Ip6Prefix> read_proxies(Reader& reader, const Map& map, const ObjectKeys& keys) {
  std::vector<wire::Ip6Prefix> out;
  const auto value = map.get("acceptProxyProtocol");
  if (!value) return out;
  const Map inner(reader, *value, keys);
  for (const Value& network : inner.list("from", 1, kProxiesMax)) {
    if (const auto read = read_network(reader, network)) out.push_back(*read);
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
