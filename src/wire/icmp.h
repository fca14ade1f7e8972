#pragma once
// ICMP (RFC 792) as a view over bytes. Pure, any thread.

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::wire {

inline constexpr u32 kIcmpHeaderBytes = 8;
// An error carries the header of the packet that it is about, and at least 8 bytes behind it (RFC 792).
inline constexpr u32 kIcmpQuoteBytesMin = 8;

enum class IcmpType : u8 { echo_reply = 0, unreachable = 3, source_quench = 4, redirect = 5, echo = 8, time_exceeded = 11 };

// Codes of `unreachable`.
inline constexpr u8 kIcmpNetUnreachable = 0;
inline constexpr u8 kIcmpHostUnreachable = 1;
inline constexpr u8 kIcmpProtocolUnreachable = 2;
inline constexpr u8 kIcmpPortUnreachable = 3;
inline constexpr u8 kIcmpFragmentationNeeded = 4;

// Stands over at least kIcmpHeaderBytes.
class IcmpView {
 public:
  explicit IcmpView(const u8* p) : p_(p) {}
  IcmpType type() const { return static_cast<IcmpType>(p_[0]); }
  u8 code() const { return p_[1]; }
  u16 checksum() const { return load_be16(p_ + 2); }
  // The second word: identifier and sequence number, or the next hop's MTU in its low half (RFC 1191).
  u32 rest() const { return load_be32(p_ + 4); }

 private:
  const u8* p_;
};

// Writes kIcmpHeaderBytes with a zero checksum.
inline void write_icmp(u8* p, IcmpType type, u8 code, u32 rest) {
  p[0] = static_cast<u8>(type);
  p[1] = code;
  store_be16(p + 2, 0);
  store_be32(p + 4, rest);
}

}  // namespace ringway::wire
