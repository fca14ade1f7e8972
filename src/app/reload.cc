#include "src/app/reload.h"

namespace ringway::app {

namespace {

// Marks are places in the file and say nothing about the value.
bool same(const config::PortConfig& a, const config::PortConfig& b) {
  return a.devices == b.devices && a.address == b.address && a.prefix_bits == b.prefix_bits && a.next_hop == b.next_hop &&
         a.address6 == b.address6 && a.prefix6_bits == b.prefix6_bits && a.next_hop6 == b.next_hop6 &&
         a.router_advertisements == b.router_advertisements &&
         a.core_addresses == b.core_addresses && a.mtu == b.mtu && a.paths == b.paths && a.rx_descriptors == b.rx_descriptors && a.tx_descriptors == b.tx_descriptors &&
         a.promiscuous == b.promiscuous;
}
bool same(const std::vector<config::PortConfig>& a, const std::vector<config::PortConfig>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); i++)
    if (!same(a[i], b[i])) return false;
  return true;
}
bool same(const config::MemoryConfig& a, const config::MemoryConfig& b) {
  return a.hugepages == b.hugepages && a.megabytes == b.megabytes;
}
bool same(const config::PoolsConfig& a, const config::PoolsConfig& b) {
  return a.packets == b.packets && a.data_bytes == b.data_bytes && a.slices == b.slices;
}
bool same(const config::RecorderConfig& a, const config::RecorderConfig& b) {
  return a.events == b.events && a.groups == b.groups && a.file == b.file;
}
template <class T>
bool same(const T& a, const T& b) {
  return a == b;
}

}  // namespace

std::vector<std::string> keep_until_restart(const config::GatewayConfig& running, config::GatewayConfig& next) {
  std::vector<std::string> out;
  const auto keep = [&](const auto& old_value, auto& new_value, const char* key) {
    if (!same(old_value, new_value)) out.emplace_back(key);
    new_value = old_value;
  };
  keep(running.ports, next.ports, "gateway.ports");
  keep(running.cores, next.cores, "gateway.cores");
  keep(running.control_core, next.control_core, "gateway.controlCore");
  keep(running.idle, next.idle, "gateway.idle");
  keep(running.steering, next.steering, "gateway.steering");
  keep(running.memory, next.memory, "gateway.memory");
  keep(running.pools, next.pools, "gateway.pools");
  keep(running.tcp, next.tcp, "gateway.tcp");
  keep(running.http2.connections, next.http2.connections, "gateway.http2.connections");
  keep(running.http2.streams, next.http2.streams, "gateway.http2.streams");
  keep(running.admin_socket, next.admin_socket, "gateway.adminSocket");
  keep(running.recorder, next.recorder, "gateway.recorder");
  keep(running.kernel_tap, next.kernel_tap, "gateway.kernelTap");
  return out;
}

}  // namespace ringway::app
