#include "dataplane/port/steering.h"

#include <algorithm>

namespace ringway::port {

Steering::Steering(const SteeringConfig& config)
    : cores_(config.cores), slice_ports_(config.local_ports.count / config.cores),
      slice_reciprocal_((u64{1} << 32) / slice_ports_ + 1), port_addresses_(config.port_addresses) {
  RW_ASSERT(cores_ >= 1 && cores_ <= contract::kCoresMax && slice_ports_ > 0);
  all_ = PortSlice{config.local_ports.first, static_cast<u16>(slice_ports_ * cores_)};
  if (cores_ == 1) {
    mode_ = Mode::single;
    why_ = "one core owns every flow";
    return;
  }
  mode_ = Mode::handover;
  why_ = "flows are handed over between cores: it works with any port and asks nothing of it";
  for (const Device* device : config.devices) {
    if (device->queues() > 1 && device->caps().rss_hash) continue;
    why_ = "flows are handed over between cores: port " + device->name() + " (" + device->driver() +
           ") does not tell how it spreads flows over queues";
    break;
  }
}

std::string_view Steering::mode_name() const {
  switch (mode_) {
    case Mode::single: return "single";
    case Mode::rte_flow: return "rte_flow";
    case Mode::rss: return "rss";
    case Mode::handover: return "handover";
  }
  return "";
}

PortSlice Steering::slice(u32 core) const {
  RW_ASSERT(core < cores_);
  return {static_cast<u16>(all_.first + core * slice_ports_), static_cast<u16>(slice_ports_)};
}

}  // namespace ringway::port
