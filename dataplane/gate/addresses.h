#pragma once
// The addresses that are ours, of both families, as a hash set of fixed size: asked once per packet, rebuilt at every plan.
// One core's; an IPv6 address is in it by its name in the core's address book.

#include <array>
#include <span>

#include "dataplane/gate/gate.h"
#include "src/base/assert.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/wire/addr.h"

namespace ringway::gate {

class Addresses {
 public:
  static constexpr u32 kMax = kOwnAddressesMax;
  static_assert(kMax >= 2 * (contract::kServicesMax + contract::kListenersMax + contract::kPortsMax + 1) +
                            contract::kPortsMax * contract::kCoresMax + kFormerAddressesMax);

  void assign(std::span<const wire::Addr> addresses) {
    RW_ASSERT(addresses.size() <= kMax);
    places_.fill(0);
    for (const wire::Addr a : addresses) {
      u32 at = place(a.v);
      while (places_[at] != 0 && places_[at] != a.v) at = (at + 1) % kPlaces;
      places_[at] = a.v;
    }
  }
  bool contains(wire::Addr a) const {
    if (a.v == 0) return false;
    for (u32 at = place(a.v); places_[at] != 0; at = (at + 1) % kPlaces) {
      if (places_[at] == a.v) return true;
    }
    return false;
  }

 private:
  static constexpr u32 kPlaces = 2 * kMax;
  static u32 place(u32 v) { return (v * 0x9e37'79b1u) >> 17; }
  static_assert(kPlaces == 1u << 15);

  std::array<u32, kPlaces> places_{};
};

}  // namespace ringway::gate
