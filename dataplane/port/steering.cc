#include "dataplane/port/steering.h"

#include <algorithm>

namespace ringway::port {

namespace {

std::string title(const Device& device) { return "port " + device.name() + " (" + device.driver() + ") "; }

}  // namespace

Steering::Steering(const SteeringConfig& config)
    : cores_(config.cores), all_(config.local_ports), slice_ports_(config.local_ports.count / config.cores),
      slice_reciprocal_((u64{1} << 32) / slice_ports_ + 1), port_addresses_(config.port_addresses),
      core_addresses_(config.core_addresses), port_addresses6_(config.port_addresses6) {
  RW_ASSERT(core_addresses_.empty() || port_addresses6_.empty());
  RW_ASSERT(cores_ >= 1 && cores_ <= contract::kCoresMax && slice_ports_ > 0);
  slices_ = PortSlice{all_.first, static_cast<u16>(slice_ports_ * cores_)};
  if (!core_addresses_.empty()) port_addresses_.clear();
  if (cores_ == 1) {
    mode_ = Mode::single;
    why_ = "one core owns every flow";
    return;
  }
  mode_ = Mode::handover;
  std::string refusal = "the configuration wants it so";
  if (config.wanted == Wanted::automatic || config.wanted == Wanted::rss) {
    refusal = rss_refusal(config.devices);
    if (refusal.empty()) {
      use(*config.devices.front()->rss());
      return;
    }
  }
  if (config.wanted == Wanted::automatic || config.wanted == Wanted::flow) {
    const std::string also = flow_refusal(config.devices);
    if (also.empty()) {
      mode_ = Mode::flow;
      why_ = "every port takes rules that bring answers to the core that opened the connection";
      return;
    }
    refusal = config.wanted == Wanted::flow ? also : refusal + "; " + also;
  }
  why_ = "flows are handed over between cores: " + refusal;
}

Steering::Steering(const SteeringConfig& config, const Rss& rss)
    : cores_(config.cores), all_(config.local_ports), slice_ports_(config.local_ports.count / config.cores),
      slice_reciprocal_((u64{1} << 32) / slice_ports_ + 1) {
  use(rss);
}

void Steering::use(const Rss& rss) {
  mode_ = Mode::rss;
  why_ = "every port spreads flows by a key and a table of ours; local ports are chosen to bring answers home";
  toeplitz_ = std::make_unique<lookup::Toeplitz>(rss.key);
  reta_ = rss.reta;
  choosers_.reserve(cores_);
  for (u32 core = 0; core < cores_; ++core) {
    choosers_.emplace_back(rss.key, reta_, static_cast<u16>(core), all_.first,
                           static_cast<u16>(all_.first + all_.count - 1));
  }
}

std::string Steering::rss_refusal(const std::vector<Device*>& devices) const {
  if (devices.empty()) return "no port says how it spreads flows over queues";
  const Rss* const first = devices.front()->rss();
  for (const Device* device : devices) {
    const std::string who = title(*device);
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

std::string Steering::flow_refusal(const std::vector<Device*>& devices) const {
  const std::vector<FlowRule> wanted = rules();
  if (devices.empty() || wanted.empty()) return "there is nothing to make rules of";
  for (std::size_t i = 0; i < devices.size(); ++i) {
    std::string refusal = devices[i]->queues() != cores_ ? "it has one queue, and each core a device of its own"
                                                          : devices[i]->steer(wanted);
    if (refusal.empty()) continue;
    for (std::size_t j = 0; j < i; ++j) devices[j]->unsteer();
    return title(*devices[i]) + "does not steer by rules: " + refusal;
  }
  return {};
}

std::vector<FlowRule> Steering::rules() const {
  std::vector<PortSlice> slices;
  for (u32 core = 0; core < cores_; ++core) slices.push_back(slice(core));
  std::vector<FlowRule> out;
  const auto add = [&](const std::vector<FlowRule>& more) { out.insert(out.end(), more.begin(), more.end()); };
  for (const wire::Ip4 first : core_addresses_) add(return_traffic_rules(first, cores_));
  for (const wire::Ip4 address : port_addresses_) add(return_traffic_rules(address, slices));
  return out;
}

std::string_view Steering::mode_name() const {
  switch (mode_) {
    case Mode::single: return "single";
    case Mode::rss: return "rss";
    case Mode::flow: return "flow";
    case Mode::handover: return "handover";
  }
  return "";
}

PortSlice Steering::slice(u32 core) const {
  RW_ASSERT(core < cores_);
  if (!core_addresses_.empty()) return all_;
  return {static_cast<u16>(slices_.first + core * slice_ports_), static_cast<u16>(slice_ports_)};
}

}  // namespace ringway::port
