#pragma once
// The UDP header (RFC 768) as a view over bytes. Pure, any thread.

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::wire {

inline constexpr u32 kUdpHeaderBytes = 8;

// Stands over at least kUdpHeaderBytes.
class UdpView {
 public:
  explicit UdpView(const u8* p) : p_(p) {}
  u16 source_port() const { return load_be16(p_); }
  u16 destination_port() const { return load_be16(p_ + 2); }
  u32 bytes() const { return load_be16(p_ + 4); }  // header and payload
  u16 checksum() const { return load_be16(p_ + 6); }  // 0: the sender computed none

 private:
  const u8* p_;
};

// Writes kUdpHeaderBytes with a zero checksum.
inline void write_udp(u8* p, u16 source_port, u16 destination_port, u16 bytes) {
  store_be16(p, source_port);
  store_be16(p + 2, destination_port);
  store_be16(p + 4, bytes);
  store_be16(p + 6, 0);
}

}  // namespace ringway::wire
