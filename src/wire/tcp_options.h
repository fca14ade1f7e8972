#pragma once
// TCP options that Ringway writes (RFC 9293 section 3.2, RFC 7323 section 2.2). Received ones are parsed by the gate.
//
// Layout on a SYN: MSS (4 bytes), NOP and window scale (1 + 3). The length is a multiple of 4, so that the data offset
// needs no padding. The table names every kind that this code knows, with the length that it must have.

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
inline constexpr u32 kTcpSynOptionBytesMax = 8;  // what `write_syn_options` writes at most

// What a SYN or SYN|ACK announces.
struct SynOptions {
  u16 mss = 0;              // always written
  u8 window_scale = 0xff;   // 0xff: not offered
};

constexpr u32 syn_option_bytes(const SynOptions& o) { return o.window_scale == 0xff ? 4 : 8; }

// Writes the options to `p`, which has room for syn_option_bytes(o); returns that number.
inline u32 write_syn_options(u8* p, const SynOptions& o) {
  p[0] = static_cast<u8>(TcpOption::mss);
  p[1] = 4;
  store_be16(p + 2, o.mss);
  if (o.window_scale == 0xff) return 4;
  p[4] = static_cast<u8>(TcpOption::nop);
  p[5] = static_cast<u8>(TcpOption::window_scale);
  p[6] = 3;
  p[7] = o.window_scale;
  return 8;
}

}  // namespace ringway::wire
