#pragma once
// Addresses and network-order integers as types of their own, so that neither converts silently.
//
// `Be16`/`Be32` hold bytes as they stand on the wire; `Ip4` and ports are host order once past the gate, `Ip6` is 16 bytes
// as they stand on the wire. `Ip` is one of either family: what the planes tell one another. `Addr` is one of either
// family within one core, in 32 bits: what connections are told apart by. Pure, header-only, any thread.

#include <array>
#include <bit>
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

// An IPv6 address in network order, RFC 4291. Compares as the number that it is.
struct Ip6 {
  std::array<u8, 16> b{};
  static constexpr Ip6 of(u16 g0, u16 g1, u16 g2, u16 g3, u16 g4, u16 g5, u16 g6, u16 g7) {
    Ip6 a;
    const u16 groups[8] = {g0, g1, g2, g3, g4, g5, g6, g7};
    for (u32 i = 0; i < 16; ++i) a.b[i] = static_cast<u8>(groups[i / 2] >> (i % 2 == 0 ? 8 : 0));
    return a;
  }
  // The address as two numbers.
  static constexpr Ip6 from_halves(u64 high, u64 low) {
    return {std::bit_cast<std::array<u8, 16>>(std::array{__builtin_bswap64(high), __builtin_bswap64(low)})};
  }
  constexpr u64 high() const { return __builtin_bswap64(std::bit_cast<std::array<u64, 2>>(b)[0]); }
  constexpr u64 low() const { return __builtin_bswap64(std::bit_cast<std::array<u64, 2>>(b)[1]); }
  friend auto operator<=>(const Ip6&, const Ip6&) = default;
  friend constexpr bool operator==(const Ip6& x, const Ip6& y) { return x.high() == y.high() && x.low() == y.low(); }
};

inline Ip6 load_ip6(const u8* p) {
  Ip6 a;
  std::memcpy(a.b.data(), p, a.b.size());
  return a;
}
inline void store_ip6(u8* p, const Ip6& a) { std::memcpy(p, a.b.data(), a.b.size()); }

// An IPv6 network, or one of IPv4, as Ip has its addresses: 96 bits more, under ::ffff:0:0/96.
struct Ip6Prefix {
  Ip6 network;
  u8 bits = 0;  // 0..128
  bool is4() const { return bits >= 96 && network.high() == 0 && network.low() >> 32 == 0xffff; }
  bool contains(const Ip6& a) const {
    const u64 high = a.high() ^ network.high();
    if (bits <= 64) return bits == 0 || high >> (64 - bits) == 0;
    return high == 0 && (a.low() ^ network.low()) >> (128 - bits) == 0;
  }
  friend auto operator<=>(const Ip6Prefix&, const Ip6Prefix&) = default;
};

// An address of either family; an IPv4 address is kept as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). IPv4 sorts before most of
// IPv6. Without an address in it, it is `::`.
class Ip {
 public:
  constexpr Ip() = default;
  constexpr Ip(Ip4 a) : v6_(Ip6::from_halves(0, a.v == 0 ? 0 : u64{0xffff} << 32 | a.v)) {}
  constexpr Ip(const Ip6& a) : v6_(a) {}
  constexpr bool is4() const { return v6_.high() == 0 && v6_.low() >> 32 == 0xffff; }
  bool is6() const { return !unset() && !is4(); }
  bool unset() const { return v6_ == Ip6{}; }
  // 0.0.0.0 where there is none.
  Ip4 ip4() const { return Ip4{static_cast<u32>(v6_.low())}; }
  const Ip6& ip6() const { return v6_; }
  friend auto operator<=>(const Ip&, const Ip&) = default;

 private:
  Ip6 v6_;
};

// An address as one core holds it: an IPv4 address as it is, an IPv6 address by a number out of 240.0.0.0/4, which no
// host has (RFC 1112 4), that the core's lookup::AddressBook gave it and can tell the address of.
struct Addr {
  static constexpr u32 kFirst6 = 0xf000'0000;
  u32 v = 0;
  constexpr Addr() = default;
  constexpr Addr(Ip4 a) : v(a.v) {}
  static constexpr Addr of6(u32 number) { return Addr(Ip4{kFirst6 | number}); }
  constexpr bool is4() const { return v < kFirst6; }
  constexpr Ip4 ip4() const { return Ip4{v}; }
  friend auto operator<=>(Addr, Addr) = default;
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
  Addr local;
  Addr remote;
  u16 local_port = 0;
  u16 remote_port = 0;
  friend auto operator<=>(const FourTuple&, const FourTuple&) = default;
};

}  // namespace ringway::wire
