#pragma once
// Registry: which slot of HealthBoard and of the counter pages belongs to which endpoint, and to which service.
//
// An identity keeps its slot for as long as any live plan names it, so that health, counters and pooled connections
// outlive a reload. A slot whose last plan is gone goes back, and is given out again last, with a new incarnation:
// whoever remembered the slot compares incarnations and sees that the owner is another.
//
// A plan is named by its generation. `compile` takes slots for it; whoever frees the plan calls `retire`.
// Control thread only; no lock.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/types.h"
#include "src/contract/health.h"
#include "src/wire/addr.h"

namespace ringway::registry {

struct Slot {
  u32 index = 0;
  u32 incarnation = 0;  // counts the owners of this slot, from 1
  friend bool operator==(const Slot&, const Slot&) = default;
};

// Slots of one kind: identity -> slot, with the number of plans that name it.
class SlotTable {
 public:
  explicit SlotTable(u32 slots) : incarnations_(slots) {}

  // The slot of `identity`, taken for plan `generation` (once, however often it asks). Empty when none is free.
  std::optional<Slot> take(u64 generation, std::string_view identity);
  void retire(u64 generation);

  std::optional<Slot> find(std::string_view identity) const;
  u32 used() const { return static_cast<u32>(owners_.size()); }

 private:
  struct Owner {
    Slot slot;
    u32 plans = 0;
    u64 newest = 0;  // last generation that took it
  };
  using Owners = std::map<std::string, Owner, std::less<>>;

  Owners owners_;
  std::map<u64, std::vector<Owners::iterator>> plans_;
  std::deque<u32> free_;
  u32 fresh_ = 0;  // slots from here on never had an owner
  std::vector<u32> incarnations_;
};

class Registry {
 public:
  // Identity of an endpoint for hashing, slots and people: "service/10.0.0.1:80", "service/[fd00::1]:80".
  static std::string endpoint_id(std::string_view discovery_name, const wire::Ip& ip, u16 port);

  // Empty: every slot is in use, by this plan and by older ones that are not retired yet.
  std::optional<Slot> slot_of(u64 generation, std::string_view discovery_name, const wire::Ip& ip, u16 port) {
    return endpoints_.take(generation, endpoint_id(discovery_name, ip, port));
  }
  std::optional<Slot> service_slot_of(u64 generation, std::string_view discovery_name) {
    return services_.take(generation, discovery_name);
  }
  // The plan is gone, or never came to be. Unknown generations are passed over.
  void retire(u64 generation) {
    endpoints_.retire(generation);
    services_.retire(generation);
  }

  const SlotTable& endpoints() const { return endpoints_; }
  const SlotTable& services() const { return services_; }

 private:
  SlotTable endpoints_{contract::kEndpointsMax};
  SlotTable services_{contract::kServicesMax};
};

}  // namespace ringway::registry
