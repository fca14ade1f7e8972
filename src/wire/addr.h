#pragma once
// Addresses and network-order integers as types of their own, so that neither converts silently.
//
// `Be16`/`Be32` hold bytes as they stand on the wire; `Ip4` and ports are host order once past the gate.
// Pure, header-only, any thread.

#include <array>
#include <compare>
#include <cstring>

#include "src/base/types.h"

namespace ringway::wire {

struct Be16 {
  u16 raw = 0;
  static constexpr Be16 from_host(u16 v) { return Be16{__builtin_bswap16(v)}; }
  constexpr u16 host() const { return __builtin_bswap16(raw); }
  friend bool operator==(Be16, Be16) = default;
};

struct Be32 {
  u32 raw = 0;
  static constexpr Be32 from_host(u32 v) { return Be32{__builtin_bswap32(v)}; }
  constexpr u32 host() const { return __builtin_bswap32(raw); }
  friend bool operator==(Be32, Be32) = default;
};

// Unaligned loads and stores of network-order integers.
inline u16 load_be16(const u8* p) { u16 v; std::memcpy(&v, p, 2); return __builtin_bswap16(v); }
inline u32 load_be32(const u8* p) { u32 v; std::memcpy(&v, p, 4); return __builtin_bswap32(v); }
inline void store_be16(u8* p, u16 v) { v = __builtin_bswap16(v); std::memcpy(p, &v, 2); }
inline void store_be32(u8* p, u32 v) { v = __builtin_bswap32(v); std::memcpy(p, &v, 4); }
// Eight bytes that stand in network order already, the first one lowest.
inline void store_raw64(u8* p, u64 v) { std::memcpy(p, &v, 8); }

// An IPv4 address in host order: 10.0.0.1 is 0x0a000001.
struct Ip4 {
  u32 v = 0;
  static constexpr Ip4 of(u8 a, u8 b, u8 c, u8 d) {
    return Ip4{static_cast<u32>(a) << 24 | static_cast<u32>(b) << 16 | static_cast<u32>(c) << 8 | d};
  }
  friend auto operator<=>(Ip4, Ip4) = default;
};

// An IPv4 network: `contains` compares under the prefix.
struct Ip4Prefix {
  Ip4 network;
  u8 bits = 0;  // 0..32
  constexpr u32 mask() const { return bits == 0 ? 0 : ~u32{0} << (32 - bits); }
  constexpr bool contains(Ip4 a) const { return (a.v & mask()) == (network.v & mask()); }
  friend auto operator<=>(const Ip4Prefix&, const Ip4Prefix&) = default;
};

struct Mac {
  std::array<u8, 6> b{};
  friend auto operator<=>(const Mac&, const Mac&) = default;
};
inline constexpr Mac kMacBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// What identifies one TCP connection, seen from the gateway: `local` is ours. Ports in host order.
struct FourTuple {
  Ip4 local;
  Ip4 remote;
  u16 local_port = 0;
  u16 remote_port = 0;
  friend auto operator<=>(const FourTuple&, const FourTuple&) = default;
};

}  // namespace ringway::wire
