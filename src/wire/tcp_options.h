#pragma once
// TCP options that Ringway writes (RFC 9293 section 3.2, RFC 7323 section 2.2). Received ones are parsed by the gate.
//
// Layout on a SYN: MSS (4 bytes), SACK permitted (2) and timestamps (10), each with NOPs in front when it stands alone,
// NOP and window scale (1 + 3). The length is a multiple of 4, so that the data offset needs no padding. Behind a SYN
// timestamps stand as RFC 7323 appendix A recommends, SACK blocks (RFC 2018 section 3) behind them. The table names every
// kind that this code knows, with the length that it must have.

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::wire {

//                                      kind   bytes  source
enum class TcpOption : u8 {
  end = 0,                              //     1      RFC 9293 3.2
  nop = 1,                              //     1      RFC 9293 3.2
  mss = 2,                              //     4      RFC 9293 3.7.1
  window_scale = 3,                     //     3      RFC 7323 2.2
  sack_permitted = 4,                   //     2      RFC 2018 2
  sack = 5,                             //     2+8n   RFC 2018 3
  timestamps = 8,                       //     10     RFC 7323 3.2
};

inline constexpr u32 kTcpOptionBytesMax = 40;
inline constexpr u32 kTcpSynOptionBytesMax = 20;  // what `write_syn_options` writes at most

// What a SYN or SYN|ACK announces.
struct SynOptions {
  u16 mss = 0;              // always written
  u8 window_scale = 0xff;   // 0xff: not offered
  bool sack_permitted = false;
  bool timestamps = false;
  u32 ts_value = 0;
  u32 ts_echo = 0;
};

inline constexpr u32 kTcpTimestampBytes = 12;  // with the two NOPs in front

constexpr u32 syn_option_bytes(const SynOptions& o) {
  return (o.window_scale == 0xff ? 4u : 8u) + (o.timestamps ? kTcpTimestampBytes : o.sack_permitted ? 4u : 0u);
}

// Two NOPs and the timestamps option: kTcpTimestampBytes at `p`. Returns the checksum sum of what it wrote.
inline u64 write_timestamps(u8* p, u32 value, u32 echo) {
  const u64 head = Be32::from_host(0x0101'080a).raw;
  const u64 stamp = Be32::from_host(value).raw;
  store_raw64(p, stamp << 32 | head);
  store_be32(p + 8, echo);
  return head + stamp + Be32::from_host(echo).raw;
}

// The timestamps option and one SACK block without padding: kTcpStampAndSackBytes at `p`.
inline constexpr u32 kTcpStampAndSackBytes = 20;
inline void write_stamp_and_sack(u8* p, u32 value, u32 echo, u32 begin, u32 end) {
  p[0] = static_cast<u8>(TcpOption::timestamps);
  p[1] = 10;
  store_be32(p + 2, value);
  store_be32(p + 6, echo);
  p[10] = static_cast<u8>(TcpOption::sack);
  p[11] = 10;
  store_be32(p + 12, begin);
  store_be32(p + 16, end);
}

// Writes the options to `p`, which has room for syn_option_bytes(o); returns that number.
inline u32 write_syn_options(u8* p, const SynOptions& o) {
  p[0] = static_cast<u8>(TcpOption::mss);
  p[1] = 4;
  store_be16(p + 2, o.mss);
  u8* at = p + 4;
  if (o.timestamps) {
    write_timestamps(at, o.ts_value, o.ts_echo);
    at += kTcpTimestampBytes;
  }
  if (o.sack_permitted) {  // in the place of the two NOPs where timestamps stand
    u8* const to = o.timestamps ? p + 4 : at;
    if (!o.timestamps) {
      to[2] = to[3] = static_cast<u8>(TcpOption::nop);
      at += 4;
    }
    to[0] = static_cast<u8>(TcpOption::sack_permitted);
    to[1] = 2;
  }
  if (o.window_scale == 0xff) return static_cast<u32>(at - p);
  at[0] = static_cast<u8>(TcpOption::nop);
  at[1] = static_cast<u8>(TcpOption::window_scale);
  at[2] = 3;
  at[3] = o.window_scale;
  return static_cast<u32>(at + 4 - p);
}

}  // namespace ringway::wire
