#pragma once
// Addresses of the tests of steering and of flow rules: a port's, and somebody's who talks to it.

#include "src/wire/addr.h"

namespace ringway::port {

inline constexpr wire::Ip4 kOurs = wire::Ip4::of(10, 0, 0, 1);
inline constexpr wire::Ip4 kPeer = wire::Ip4::of(10, 0, 0, 77);

}  // namespace ringway::port
