// See registry.h.

#include "control/registry/registry.h"

#include "src/wire/text.h"

namespace ringway::registry {

std::optional<Slot> SlotTable::take(u64 generation, std::string_view identity) {
  auto owner = owners_.find(identity);
  if (owner == owners_.end()) {
    u32 index = fresh_;
    if (fresh_ < incarnations_.size()) {
      ++fresh_;
    } else if (!free_.empty()) {
      index = free_.front();
      free_.pop_front();
    } else {
      return std::nullopt;
    }
    owner = owners_.emplace(std::string(identity), Owner{{index, ++incarnations_[index]}, 0, 0}).first;
  } else if (owner->second.newest == generation && owner->second.plans > 0) {
    return owner->second.slot;
  }
  owner->second.newest = generation;
  ++owner->second.plans;
  plans_[generation].push_back(owner);
  return owner->second.slot;
}

void SlotTable::retire(u64 generation) {
  const auto plan = plans_.find(generation);
  if (plan == plans_.end()) return;
  for (const auto owner : plan->second) {
    if (--owner->second.plans > 0) continue;
    free_.push_back(owner->second.slot.index);
    owners_.erase(owner);
  }
  plans_.erase(plan);
}

std::optional<Slot> SlotTable::find(std::string_view identity) const {
  const auto owner = owners_.find(identity);
  if (owner == owners_.end()) return std::nullopt;
  return owner->second.slot;
}

std::string Registry::endpoint_id(std::string_view discovery_name, const wire::Ip& ip, u16 port) {
  return std::string(discovery_name) + "/" + to_string(ip, port);
}

}  // namespace ringway::registry
