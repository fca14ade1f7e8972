#pragma once
// SYN cookies (RFC 4987 section 3.6): a handshake that needs no memory here, because our initial number is its record.
//
// The number is 29 bits of SipHash over the tuple, the client's initial number, a slot of time and the MSS that was
// agreed, followed by 3 bits that name the MSS in a table of eight. The slot is not in the number: the last ACK is tried
// against the slot that runs and the one before, so a cookie lives between one and two slots, and one forged at random is
// taken once in 2^28. The key is that of initial sequence numbers; the length block keeps the two uses apart.
// What the SYN offered beyond its MSS is kept in the low bits of our timestamp, which the last ACK echoes (as Linux has it);
// from a client without timestamps it is forgotten. The echo is not authenticated: who lies about it harms himself. Pure,
// any thread.

#include <algorithm>
#include <array>
#include <optional>

#include "dataplane/tcp/isn.h"

namespace ringway::tcp {

inline constexpr u32 kCookieSlotShift = 26;                            // slots of 2^26 us, 67 s
inline constexpr TimeUs kCookieLifeUs = TimeUs{2} << kCookieSlotShift;  // none is good for longer

// RFC 791 and RFC 9293 3.7.1 (536), IPv6's least (1220), tunnels, PPPoE (1452), Ethernet (1460), jumbo frames.
inline constexpr std::array<u16, 8> kCookieMss{536, 1220, 1300, 1360, 1400, 1452, 1460, 8940};

// The largest entry of the table that is not above `mss`.
constexpr u32 cookie_mss_index(u16 mss) {
  u32 i = kCookieMss.size() - 1;
  while (i > 0 && kCookieMss[i] > mss) --i;
  return i;
}

inline wire::SeqNo cookie_of(const wire::FourTuple& t, wire::SeqNo irs, u32 mss_index, u64 slot, const u64 (&secret)[2]) {
  SipHash h(secret[0], secret[1]);
  h.block(u64{t.local.v} << 32 | t.remote.v);
  h.block(u64{irs.v} << 32 | u64{t.local_port} << 16 | t.remote_port);
  h.block(u64{22} << 56 | (slot & 0xffff'ffff'ffff) << 3 | mss_index);
  return wire::SeqNo{static_cast<u32>(h.finish()) << 3 | mss_index};
}

inline wire::SeqNo make_cookie(const wire::FourTuple& t, wire::SeqNo irs, u16 mss, const u64 (&secret)[2], TimeUs now_us) {
  return cookie_of(t, irs, cookie_mss_index(mss), now_us >> kCookieSlotShift, secret);
}

// The MSS inside `cookie` when we made it for this tuple and `irs`, not too long ago.
inline std::optional<u16> read_cookie(wire::SeqNo cookie, const wire::FourTuple& t, wire::SeqNo irs, const u64 (&secret)[2],
                                      TimeUs now_us) {
  const u32 index = cookie.v & 7;
  const u64 slot = now_us >> kCookieSlotShift;
  for (const u64 tried : {slot, slot - 1})
    if (cookie_of(t, irs, index, tried, secret) == cookie) return kCookieMss[index];
  return std::nullopt;
}

// --- options in the timestamp: window scale in four bits, 15 for none; SACK permitted and ECN in one each.
inline constexpr u32 kCookieStampMask = 0x3f;

struct CookieOptions {
  u8 window_scale = 0xff;  // 0xff: not offered
  bool sack = false;
  bool ecn = false;
  friend bool operator==(const CookieOptions&, const CookieOptions&) = default;
};

// The last stamp that is not after `ticks` and says `o`.
constexpr u32 cookie_stamp(u32 ticks, const CookieOptions& o) {
  const u32 scale = o.window_scale == 0xff ? 15u : std::min<u32>(o.window_scale, 14);
  const u32 stamp = (ticks & ~kCookieStampMask) | scale | (o.sack ? 16u : 0u) | (o.ecn ? 32u : 0u);
  return static_cast<i32>(stamp - ticks) > 0 ? stamp - (kCookieStampMask + 1) : stamp;
}
constexpr CookieOptions read_cookie_stamp(u32 stamp) {
  const u8 scale = stamp & 15;
  return {scale == 15 ? u8{0xff} : scale, (stamp & 16) != 0, (stamp & 32) != 0};
}

}  // namespace ringway::tcp
