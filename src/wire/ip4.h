#pragma once
// The IPv4 header (RFC 791) as a view over bytes. Pure, any thread; the caller has checked that 20 bytes are there and
// compares header_bytes() and total_bytes() with what is.

#include "src/base/types.h"
#include "src/wire/addr.h"
#include "src/wire/checksum.h"

namespace ringway::wire {

inline constexpr u32 kIp4HeaderBytes = 20;  // without options
inline constexpr u8 kIpProtoIcmp = 1;
inline constexpr u8 kIpProtoTcp = 6;
inline constexpr u8 kIpProtoUdp = 17;
inline constexpr u8 kIp4TtlDefault = 64;    // RFC 1700

class Ip4View {
 public:
  explicit Ip4View(const u8* p) : p_(p) {}
  u8 version() const { return p_[0] >> 4; }
  u32 header_bytes() const { return (p_[0] & 0x0fu) * 4u; }
  u32 total_bytes() const { return load_be16(p_ + 2); }
  u16 id() const { return load_be16(p_ + 4); }
  bool dont_fragment() const { return (p_[6] & 0x40) != 0; }
  // More fragments follow, or this one does not begin at zero.
  bool is_fragment() const { return (load_be16(p_ + 6) & 0x3fffu) != 0; }
  u8 ttl() const { return p_[8]; }
  u8 protocol() const { return p_[9]; }
  u16 checksum() const { return load_be16(p_ + 10); }
  Ip4 source() const { return Ip4{load_be32(p_ + 12)}; }
  Ip4 destination() const { return Ip4{load_be32(p_ + 16)}; }

 private:
  const u8* p_;
};

struct Ip4Fields {
  u16 total_bytes = 0;
  u16 id = 0;  // RFC 6864: meaningless in a packet that may not be fragmented
  bool dont_fragment = true;
  u8 ttl = kIp4TtlDefault;
  u8 protocol = 0;
  Ip4 source;
  Ip4 destination;
};

// Writes kIp4HeaderBytes, checksum included.
inline void write_ip4(u8* p, const Ip4Fields& f) {
  p[0] = 0x45;
  p[1] = 0;
  store_be16(p + 2, f.total_bytes);
  store_be16(p + 4, f.id);
  store_be16(p + 6, f.dont_fragment ? 0x4000 : 0);
  p[8] = f.ttl;
  p[9] = f.protocol;
  store_be16(p + 10, 0);
  store_be32(p + 12, f.source.v);
  store_be32(p + 16, f.destination.v);
  const Be16 sum = wire::checksum({p, kIp4HeaderBytes});
  std::memcpy(p + 10, &sum.raw, 2);
}

// An address that no packet may come from (RFC 1122 3.2.1.3): this network, loopback, multicast, reserved, broadcast.
constexpr bool never_a_source(Ip4 a) {
  const u32 top = a.v >> 24;
  return top == 0 || top == 127 || top >= 224;
}

}  // namespace ringway::wire
