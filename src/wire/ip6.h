#pragma once
// The IPv6 header (RFC 8200) as a view over bytes, kinds of addresses (RFC 4291), and the walk over extension headers.
//
// The walk's policy: hop-by-hop options stand first or not at all; destination options and routing headers are passed
// over as long as they ask nothing of us (options of which the sender says "skip when unknown"; no segment left, which
// also ends RFC 5095's type 0); a fragment header is passed over in a packet that is whole (RFC 6946), and every other
// fragment is refused; anything else that is no transport is for the caller to refuse. A packet has at most
// kIp6ExtensionsMax extension headers, of kIp6ExtensionBytesMax bytes together, with kIp6OptionsMax options
// (RFC 8504 5.3 and 12); the whole walk lies in bytes that are there. Pure, any thread; nothing loops without a bound.

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::wire {

inline constexpr u32 kIp6HeaderBytes = 40;
inline constexpr u8 kIp6HopLimitDefault = 64;
inline constexpr u8 kIp6HopLimitLink = 255;  // of what no router passed on (RFC 4861 3.1)
inline constexpr u32 kIp6MtuMin = 1280;      // RFC 8200 5
inline constexpr u32 kIp6ExtensionsMax = 4;
inline constexpr u32 kIp6ExtensionBytesMax = 256;
inline constexpr u32 kIp6OptionsMax = 8;

// Next headers that are no transport.
inline constexpr u8 kIp6HopByHop = 0;
inline constexpr u8 kIp6Routing = 43;
inline constexpr u8 kIp6Fragment = 44;
inline constexpr u8 kIp6DestinationOptions = 60;
inline constexpr u8 kIpProtoIcmp6 = 58;

// Stands over at least kIp6HeaderBytes.
class Ip6View {
 public:
  explicit Ip6View(const u8* p) : p_(p) {}
  u8 version() const { return p_[0] >> 4; }
  u8 traffic_class() const { return static_cast<u8>(load_be16(p_) >> 4); }  // ECN in its two low bits (RFC 3168 5)
  u32 payload_bytes() const { return load_be16(p_ + 4); }  // extension headers included
  u8 next_header() const { return p_[6]; }
  u8 hop_limit() const { return p_[7]; }
  Ip6 source() const { return load_ip6(p_ + 8); }
  Ip6 destination() const { return load_ip6(p_ + 24); }

 private:
  const u8* p_;
};

struct Ip6Fields {
  u16 payload_bytes = 0;
  u8 traffic_class = 0;
  u8 next_header = 0;
  u8 hop_limit = kIp6HopLimitDefault;
  Ip6 source;
  Ip6 destination;
};

// Writes kIp6HeaderBytes; the flow label is zero (RFC 6437 allows it).
inline void write_ip6(u8* p, const Ip6Fields& f) {
  store_be32(p, 0x6000'0000 | u32{f.traffic_class} << 20);
  store_be16(p + 4, f.payload_bytes);
  p[6] = f.next_header;
  p[7] = f.hop_limit;
  store_ip6(p + 8, f.source);
  store_ip6(p + 24, f.destination);
}

inline bool is_multicast(const Ip6& a) { return a.b[0] == 0xff; }
inline bool is_link_local(const Ip6& a) { return a.b[0] == 0xfe && (a.b[1] & 0xc0) == 0x80; }
// An address that no packet may come from: multicast, ::/96 (the unspecified, loopback, the old IPv4-compatible ones),
// and IPv4-mapped, which must not be on any wire (RFC 4291 2.5, RFC 6890).
inline bool never_a_source(const Ip6& a) {
  return is_multicast(a) || (a.high() == 0 && (a.low() >> 32 == 0 || a.low() >> 32 == 0xffff));
}
inline constexpr Ip6 kIp6AllNodes = Ip6::of(0xff02, 0, 0, 0, 0, 0, 0, 1);
inline constexpr Ip6 kIp6AllRouters = Ip6::of(0xff02, 0, 0, 0, 0, 0, 0, 2);
// Where the owner of `a` is asked for (RFC 4291 2.7.1).
inline Ip6 solicited_node(const Ip6& a) {
  Ip6 group = Ip6::of(0xff02, 0, 0, 0, 0, 1, 0xff00, 0);
  std::memcpy(&group.b[13], &a.b[13], 3);
  return group;
}
// The MAC of an IPv6 multicast group (RFC 2464 7).
inline Mac multicast_mac(const Ip6& group) {
  return Mac{{0x33, 0x33, group.b[12], group.b[13], group.b[14], group.b[15]}};
}
inline bool is_ip6_multicast(const Mac& m) { return m.b[0] == 0x33 && m.b[1] == 0x33; }
// The link-local address that a host has by its MAC (RFC 4291 2.5.1 and appendix A).
inline Ip6 link_local_of(const Mac& m) {
  return Ip6{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<u8>(m.b[0] ^ 2), m.b[1], m.b[2], 0xff, 0xfe, m.b[3], m.b[4],
              m.b[5]}};
}

enum class Ip6Walked : u8 {
  transport,       // `next_header` at `offset`: TCP, UDP, ICMPv6 or what we do not know
  truncated,       // a header runs past the packet, or past what lies in the first segment
  fragment,
  too_many,        // above the bounds
  misplaced,       // hop-by-hop options that do not stand first: `offset` of the field that named them
  unknown_option,  // one whose sender says "discard when unknown": its `offset`
  routing,         // segments left: `offset` of that field
};

struct Ip6Walk {
  Ip6Walked outcome = Ip6Walked::transport;
  u8 next_header = 0;
  u32 offset = 0;      // from the IPv6 header
  u32 named_at = 6;    // of the field that says `next_header`, from the IPv6 header
  bool tell = false;   // unknown_option: the sender wants to be told (RFC 8200 4.2)
};

namespace ip6_detail {

// The options of one header at `p`, of `bytes` with its two leading ones. 0: every one may be skipped; else the place of
// one that may not, from `p`; ~0: lengths that do not fit, or too many.
inline u32 refused_option(const u8* p, u32 bytes, u32& options) {
  for (u32 at = 2; at < bytes;) {
    if (p[at] == 0) {  // Pad1
      ++at;
      continue;
    }
    if (at + 2 > bytes || at + 2u + p[at + 1] > bytes) return ~u32{0};
    if (p[at] != 1 && ++options > kIp6OptionsMax) return ~u32{0};
    if (p[at] != 1 && p[at] >> 6 != 0) return at;
    at += 2u + p[at + 1];
  }
  return 0;
}

}  // namespace ip6_detail

// `packet`: from its IPv6 header on, as far as it lies in the first segment; at least kIp6HeaderBytes. `bytes`: of the
// whole packet by its header.
inline Ip6Walk walk_ip6(Bytes packet, u32 bytes) {
  const u32 here = packet.size() < bytes ? static_cast<u32>(packet.size()) : bytes;
  Ip6Walk w{.next_header = packet[6], .offset = kIp6HeaderBytes};
  u32 options = 0;
  const auto ends = [&](Ip6Walked outcome, u32 offset) {
    w.outcome = outcome;
    w.offset = offset;
    return w;
  };
  for (u32 headers = 0;; ++headers) {
    const u8 kind = w.next_header;
    const bool has_options = kind == kIp6HopByHop || kind == kIp6DestinationOptions;
    if (!has_options && kind != kIp6Routing && kind != kIp6Fragment) return w;
    if (kind == kIp6HopByHop && headers != 0) return ends(Ip6Walked::misplaced, w.named_at);
    if (headers == kIp6ExtensionsMax) return ends(Ip6Walked::too_many, w.named_at);
    if (w.offset + 8 > here) return ends(Ip6Walked::truncated, w.offset);
    const u8* const p = packet.data() + w.offset;
    const u32 size = kind == kIp6Fragment ? 8u : 8u + p[1] * 8u;
    if (w.offset + size > here) {
      return ends(w.offset + size > bytes ? Ip6Walked::truncated : Ip6Walked::too_many, w.offset);
    }
    if (w.offset + size - kIp6HeaderBytes > kIp6ExtensionBytesMax) return ends(Ip6Walked::too_many, w.offset);
    if (kind == kIp6Fragment && (load_be16(p + 2) & 0xfff9) != 0) return ends(Ip6Walked::fragment, w.offset);
    if (kind == kIp6Routing && p[3] != 0) return ends(Ip6Walked::routing, w.offset + 3);
    if (has_options) {
      const u32 bad = ip6_detail::refused_option(p, size, options);
      if (bad == ~u32{0}) return ends(Ip6Walked::too_many, w.offset);
      if (bad != 0) {
        w.tell = p[bad] >> 6 >= 2;
        return ends(Ip6Walked::unknown_option, w.offset + bad);
      }
    }
    w.named_at = w.offset;
    w.next_header = p[0];
    w.offset += size;
  }
}

}  // namespace ringway::wire
