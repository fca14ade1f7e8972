#pragma once
// ICMPv6 (RFC 4443) and the messages of neighbour discovery (RFC 4861) as views over bytes. Pure, any thread.

#include <cstring>
#include <optional>

#include "src/base/types.h"
#include "src/wire/addr.h"
#include "src/wire/eth.h"

namespace ringway::wire {

inline constexpr u32 kIcmp6HeaderBytes = 8;
inline constexpr u32 kNdBytes = 24;        // solicitation or advertisement without options
inline constexpr u32 kNdOptionBytes = 8;   // a link-layer address of Ethernet
inline constexpr u32 kNdOptionsMax = 8;    // looked at in one message

enum class Icmp6Type : u8 {
  unreachable = 1, packet_too_big = 2, time_exceeded = 3, parameter_problem = 4, echo = 128, echo_reply = 129,
  mld_query = 130, mld1_report = 131, router_solicitation = 133, router_advertisement = 134, neighbour_solicitation = 135, neighbour_advertisement = 136,
  redirect = 137, mld2_report = 143
};

inline constexpr u8 kIcmp6PortUnreachable = 4;      // code of `unreachable`
inline constexpr u8 kIcmp6ErroneousField = 0;       // codes of `parameter_problem`
inline constexpr u8 kIcmp6UnknownNextHeader = 1;
inline constexpr u8 kIcmp6UnknownOption = 2;

// Stands over at least kIcmp6HeaderBytes.
class Icmp6View {
 public:
  explicit Icmp6View(const u8* p) : p_(p) {}
  Icmp6Type type() const { return static_cast<Icmp6Type>(p_[0]); }
  u8 code() const { return p_[1]; }
  u16 checksum() const { return load_be16(p_ + 2); }
  // Identifier and sequence number, the MTU of the next hop, or a place in the packet that the message is about.
  u32 rest() const { return load_be32(p_ + 4); }
  bool is_error() const { return p_[0] < 128; }

 private:
  const u8* p_;
};

// Writes kIcmp6HeaderBytes with a zero checksum.
inline void write_icmp6(u8* p, Icmp6Type type, u8 code, u32 rest) {
  p[0] = static_cast<u8>(type);
  p[1] = code;
  store_be16(p + 2, 0);
  store_be32(p + 4, rest);
}

inline constexpr u32 kRouterBytes = 16;      // advertisement of a router without options

// Stands over at least kRouterBytes (RFC 4861 4.2).
class RouterView {
 public:
  explicit RouterView(const u8* p) : p_(p) {}
  // 0: no router any more.
  u16 lifetime_s() const { return load_be16(p_ + 6); }
  // 2 high, 1 medium, 0 low (RFC 4191 2.2: a reserved value is medium).
  u32 preference() const {
    constexpr u32 kOf[4] = {1, 2, 1, 0};
    return kOf[p_[5] >> 3 & 3];
  }

 private:
  const u8* p_;
};

enum class NdOption : u8 { source_mac = 1, target_mac = 2 };

// Stands over at least kNdBytes of a solicitation or an advertisement.
class NdView {
 public:
  explicit NdView(const u8* p) : p_(p) {}
  bool solicited() const { return (p_[4] & 0x40) != 0; }    // of advertisements
  bool override_flag() const { return (p_[4] & 0x20) != 0; }
  Ip6 target() const { return load_ip6(p_ + 8); }

 private:
  const u8* p_;
};

struct NdOptions {
  bool well_formed = false;  // no option of length 0 or past the end (RFC 4861 7.1)
  std::optional<Mac> mac;    // of the kind asked for
};

// `options`: what follows the 24 bytes.
inline NdOptions read_nd_options(Bytes options, NdOption wanted) {
  NdOptions out;
  for (u32 n = 0; !options.empty(); ++n) {
    if (n == kNdOptionsMax || options.size() < 2) return out;
    const std::size_t bytes = options[1] * 8u;
    if (bytes == 0 || bytes > options.size()) return out;
    if (options[0] == static_cast<u8>(wanted) && bytes == kNdOptionBytes) out.mac = load_mac(&options[2]);
    options = options.subspan(bytes);
  }
  out.well_formed = true;
  return out;
}

struct NdFields {
  Icmp6Type type = Icmp6Type::neighbour_solicitation;
  bool solicited = false;
  bool override_flag = false;
  Ip6 target;
  std::optional<Mac> mac;  // source's of a solicitation, target's of an advertisement
};

// Writes kIcmp6HeaderBytes and kNdOptionBytes, with a zero checksum (RFC 4861 4.1).
inline void write_router_solicitation(u8* p, const Mac& source) {
  write_icmp6(p, Icmp6Type::router_solicitation, 0, 0);
  p[kIcmp6HeaderBytes] = static_cast<u8>(NdOption::source_mac);
  p[kIcmp6HeaderBytes + 1] = 1;
  store_mac(p + kIcmp6HeaderBytes + 2, source);
}

// Writes kNdBytes, and kNdOptionBytes more with a MAC; the checksum is zero. Returns how many.
inline u32 write_nd(u8* p, const NdFields& f) {
  write_icmp6(p, f.type, 0, (f.solicited ? 0x4000'0000u : 0) | (f.override_flag ? 0x2000'0000u : 0));
  store_ip6(p + 8, f.target);
  if (!f.mac) return kNdBytes;
  const bool ask = f.type == Icmp6Type::neighbour_solicitation;
  p[kNdBytes] = static_cast<u8>(ask ? NdOption::source_mac : NdOption::target_mac);
  p[kNdBytes + 1] = 1;
  store_mac(p + kNdBytes + 2, *f.mac);
  return kNdBytes + kNdOptionBytes;
}

}  // namespace ringway::wire
