#pragma once
// The Ethernet II header (RFC 894) as a view over bytes. Pure, any thread; the caller has checked the length.

#include <cstring>

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::wire {

inline constexpr u32 kEthHeaderBytes = 14;
inline constexpr u16 kEtherTypeIp4 = 0x0800;
inline constexpr u16 kEtherTypeArp = 0x0806;
inline constexpr u16 kEtherTypeIp6 = 0x86dd;  // RFC 2464

inline Mac load_mac(const u8* p) {
  Mac m;
  std::memcpy(m.b.data(), p, m.b.size());
  return m;
}
inline void store_mac(u8* p, const Mac& m) { std::memcpy(p, m.b.data(), m.b.size()); }

class EthView {
 public:
  explicit EthView(const u8* p) : p_(p) {}
  Mac destination() const { return load_mac(p_); }
  Mac source() const { return load_mac(p_ + 6); }
  u16 type() const { return load_be16(p_ + 12); }

 private:
  const u8* p_;
};

// Writes kEthHeaderBytes.
inline void write_eth(u8* p, const Mac& destination, const Mac& source, u16 type) {
  store_mac(p, destination);
  store_mac(p + 6, source);
  store_be16(p + 12, type);
}

}  // namespace ringway::wire
