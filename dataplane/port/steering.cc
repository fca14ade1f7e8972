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
  const std::string refusal = config.handover_only ? "the configuration wants it so" : rss_refusal(config.devices);
  if (!refusal.empty()) {
    mode_ = Mode::handover;
    why_ = "flows are handed over between cores: " + refusal;
    return;
  }
  use(*config.devices.front()->rss(), config.local_ports);
}

Steering::Steering(const SteeringConfig& config, const Rss& rss)
    : cores_(config.cores), slice_ports_(config.local_ports.count / config.cores),
      slice_reciprocal_((u64{1} << 32) / slice_ports_ + 1), port_addresses_(config.port_addresses) {
  all_ = PortSlice{config.local_ports.first, static_cast<u16>(slice_ports_ * cores_)};
  use(rss, config.local_ports);
}

void Steering::use(const Rss& rss, PortSlice ports) {
  mode_ = Mode::rss;
  why_ = "every port spreads flows by a key and a table of ours; local ports are chosen to bring answers home";
  toeplitz_ = std::make_unique<lookup::Toeplitz>(rss.key);
  reta_ = rss.reta;
  choosers_.reserve(cores_);
  for (u32 core = 0; core < cores_; ++core) {
    choosers_.emplace_back(rss.key, reta_, static_cast<u16>(core), ports.first,
                           static_cast<u16>(ports.first + ports.count - 1));
  }
}

std::string Steering::rss_refusal(const std::vector<const Device*>& devices) const {
  if (devices.empty()) return "no port says how it spreads flows over queues";
  const Rss* const first = devices.front()->rss();
  for (const Device* device : devices) {
    const std::string who = "port " + device->name() + " (" + device->driver() + ") ";
    if (device->queues() != cores_) return who + "has one queue, and each core a device of its own";
    if (device->rss() == nullptr) return who + "does not spread flows as we ask: " + device->rss_refusal();
    if (device->rss()->key != first->key || device->rss()->reta != first->reta) {
      return who + "spreads flows otherwise than port " + devices.front()->name();
    }
  }
  for (u32 core = 0; core < cores_; ++core) {
    if (std::find(first->reta.begin(), first->reta.end(), core) == first->reta.end()) {
      return "the RSS table of port " + devices.front()->name() + " is too small for all cores";
    }
  }
  return {};
}

std::string_view Steering::mode_name() const {
  switch (mode_) {
    case Mode::single: return "single";
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
