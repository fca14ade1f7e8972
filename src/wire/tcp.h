#pragma once
// The TCP header of RFC 9293 section 3.1 as a view over bytes, for reading and for writing.
//
// Views do not own and do not check: a TcpView stands over at least 20 bytes that somebody has measured before, and
// `header_bytes()` must have been compared with what is there. Nothing is cast to a struct. Pure, any thread.

#include "src/base/types.h"
#include "src/wire/addr.h"
#include "src/wire/seqno.h"

namespace ringway::wire {

inline constexpr u32 kTcpHeaderBytes = 20;      // without options
inline constexpr u32 kTcpHeaderBytesMax = 60;   // data offset 15
inline constexpr u32 kTcpChecksumOffset = 16;
inline constexpr u16 kTcpMssDefault = 536;      // RFC 9293 3.7.1: when the peer names none
inline constexpr u16 kTcpMssDefault6 = 1220;    // the same over IPv6
inline constexpr u8 kTcpWindowScaleMax = 14;    // RFC 7323 2.3

class TcpView {
 public:
  explicit TcpView(const u8* p) : p_(p) {}
  u16 source_port() const { return load_be16(p_); }
  u16 destination_port() const { return load_be16(p_ + 2); }
  SeqNo seq() const { return SeqNo{load_be32(p_ + 4)}; }
  SeqNo ack() const { return SeqNo{load_be32(p_ + 8)}; }
  u32 header_bytes() const { return u32{p_[12]} >> 4 << 2; }
  u8 flags() const { return p_[13]; }
  u16 window() const { return load_be16(p_ + 14); }
  u16 checksum() const { return load_be16(p_ + 16); }
  u16 urgent() const { return load_be16(p_ + 18); }

 private:
  const u8* p_;
};

struct TcpFields {
  u16 source_port = 0;
  u16 destination_port = 0;
  SeqNo seq;
  SeqNo ack;
  u8 header_bytes = kTcpHeaderBytes;  // a multiple of 4, options included
  u8 flags = 0;
  u16 window = 0;  // as on the wire, scaled already
};

// Writes the 20 fixed bytes; checksum and urgent pointer are zero. Returns the checksum sum of what it wrote.
inline u64 write_tcp(u8* p, const TcpFields& f) {
  const u64 ports = Be32::from_host(u32{f.source_port} << 16 | f.destination_port).raw;
  const u64 seq = Be32::from_host(f.seq.v).raw;
  const u64 ack = Be32::from_host(f.ack.v).raw;
  const u64 rest = Be32::from_host(u32{f.header_bytes} << 26 | u32{f.flags} << 16 | f.window).raw;
  store_raw64(p, seq << 32 | ports);
  store_raw64(p + 8, rest << 32 | ack);
  store_be32(p + 16, 0);
  return ports + seq + ack + rest;
}

}  // namespace ringway::wire
