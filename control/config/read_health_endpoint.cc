// gateway.healthEndpoint: where a load balancer in front asks whether this gateway takes requests. See sections.h.

#include <algorithm>

#include "control/config/sections.h"

namespace ringway::config {

void read_health_endpoint(Reader& reader, const Map& gateway, HealthEndpointConfig& out) {
  const auto value = gateway.get("healthEndpoint");
  if (!value) return;
  const Map map(reader, *value, keys::kHealthEndpoint);
  out.mark = value->mark;
  map.integer("port", out.port, 1, 65'535);
  if (const auto at = map.string("path", out.path)) {
    const bool plain = std::ranges::all_of(out.path, [](char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#'; });
    if (!out.path.starts_with('/') || out.path.size() > 1024 || !plain) {
      reader.problem(*at, "path: must begin with '/' and be at most 1024 printable characters without blanks, '?' and '#'");
    }
  }
  wire::Ip address;
  if (const auto at = map.ip("address", address)) {
    out.address = address;
    out.mark = *at;
  }
  map.seconds("drainDelaySeconds", out.drain_delay_us, 0, 3600);
}

}  // namespace ringway::config
