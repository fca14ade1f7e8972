#pragma once
// Multicast listener discovery as bytes: version 2 (RFC 3810) and what of version 1 (RFC 2710) a host still needs. Pure, any
// thread.

#include <algorithm>

#include "src/base/types.h"
#include "src/wire/icmp6.h"
#include "src/wire/ip6.h"

namespace ringway::wire {

inline constexpr u32 kMldBytes = 24;             // any message of version 1
inline constexpr u32 kMld2QueryBytes = 28;       // without sources
inline constexpr u32 kMld2ReportBytes = 8;       // without records
inline constexpr u32 kMld2RecordBytes = 20;      // without sources
inline constexpr u32 kIp6RouterAlertBytes = 8;   // a header of hop-by-hop options with this one alone
inline constexpr Ip6 kIp6MldRouters = Ip6::of(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

// Kinds of records about a group that is listened to whatever the source (RFC 3810 5.2.12).
enum class MldRecord : u8 { listening = 2, begins_to_listen = 4 };

// Stands over at least kMldBytes.
class MldQueryView {
 public:
  MldQueryView(const u8* p, u32 bytes) : p_(p), is_old_(bytes == kMldBytes) {}
  bool is_old() const { return is_old_; }  // of version 1 (RFC 3810 8.1)
  // By when to have answered; above 15 bits the newer version writes it as a floating-point number (5.1.3).
  u64 answer_within_us() const {
    const u32 code = load_be16(p_ + 4);
    const u64 ms = is_old_ || code < 0x8000 ? code : u64{(code & 0xfff) | 0x1000} << ((code >> 12 & 7) + 3);
    return ms * 1000;
  }

 private:
  const u8* p_;
  bool is_old_;
};

// `header`: of hop-by-hop options, whole.
inline bool has_router_alert(Bytes header) {
  for (std::size_t at = 2; at + 1 < header.size();) {
    if (header[at] == 5) return true;
    at += header[at] == 0 ? 1u : 2u + header[at + 1];
  }
  return false;
}

// Writes kIp6RouterAlertBytes (RFC 2711: value 0 is MLD).
inline void write_router_alert(u8* p, u8 next_header) {
  constexpr u8 kOptions[] = {0, 5, 2, 0, 0, 1, 0};
  p[0] = next_header;
  std::copy(std::begin(kOptions), std::end(kOptions), p + 1);
}

// Writes kMldBytes: the report of version 1. The checksum is zero.
inline void write_mld1_report(u8* p, const Ip6& group) {
  write_icmp6(p, Icmp6Type::mld1_report, 0, 0);
  store_ip6(p + 8, group);
}

// Writes kMld2ReportBytes, in front of so many records. The checksum is zero.
inline void write_mld2_report(u8* p, u32 records) { write_icmp6(p, Icmp6Type::mld2_report, 0, records); }

// Writes kMld2RecordBytes.
inline void write_mld2_record(u8* p, MldRecord kind, const Ip6& group) {
  store_be32(p, u32{static_cast<u8>(kind)} << 24);
  store_ip6(p + 4, group);
}

}  // namespace ringway::wire
