#pragma once
// SYN cookies (RFC 4987 section 3.6): a handshake that needs no memory here, because our initial number is its record.
//
// The number is 29 bits of SipHash over the tuple, the client's initial number, a slot of time and the MSS that was
// agreed, followed by 3 bits that name the MSS in a table of eight. The slot is not in the number: the last ACK is tried
// against the slot that runs and the one before, so a cookie lives between one and two slots, and one forged at random is
// taken once in 2^28. The key is that of initial sequence numbers; the length block keeps the two uses apart.
// What the SYN offered beyond its MSS (window scale, SACK, timestamps) is forgotten. Pure, any thread.

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

}  // namespace ringway::tcp
