#pragma once
// The addresses that are ours, as a hash set of fixed size: asked once per packet, rebuilt at every plan. One core's.

#include <array>
#include <span>

#include "src/base/assert.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/wire/addr.h"

namespace ringway::gate {

class Addresses {
 public:
  static constexpr u32 kMax = 8192;
  static_assert(kMax >= contract::kServicesMax + contract::kListenersMax + contract::kPortsMax + 1);

  void assign(std::span<const wire::Ip4> addresses) {
    RW_ASSERT(addresses.size() <= kMax);
    places_.fill(0);
    for (const wire::Ip4 a : addresses) {
      u32 at = place(a.v);
      while (places_[at] != 0 && places_[at] != a.v) at = (at + 1) % kPlaces;
      places_[at] = a.v;
    }
  }
  bool contains(wire::Ip4 a) const {
    if (a.v == 0) return false;
    for (u32 at = place(a.v); places_[at] != 0; at = (at + 1) % kPlaces) {
      if (places_[at] == a.v) return true;
    }
    return false;
  }

 private:
  static constexpr u32 kPlaces = 2 * kMax;
  static u32 place(u32 v) { return (v * 0x9e37'79b1u) >> 18; }
  static_assert(kPlaces == 1u << 14);

  std::array<u32, kPlaces> places_{};
};

}  // namespace ringway::gate
