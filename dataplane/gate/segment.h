#pragma once
// Segment: one received TCP segment in host order, as the gate hands it to tcp. Fixed size, no mbuf inside: the packet
// travels beside it. Checksums, lengths and option lengths have been verified; values have not been judged.

#include <array>

#include "src/base/types.h"
#include "src/wire/addr.h"
#include "src/wire/seqno.h"

namespace ringway::gate {

enum TcpFlags : u8 { kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20, kEce = 0x40, kCwr = 0x80 };
inline constexpr u8 kAsksForEcn = kEce | kCwr;  // on a SYN (RFC 3168 6.1.1)

// Options of RFC 9293 3.2, 7323 and 2018; absent ones keep these values.
struct TcpOptions {
  u16 mss = 0;             // 0: absent
  u8 window_scale = 0xff;  // 0xff: absent
  bool sack_permitted = false;
  bool timestamps = false;
  u32 ts_value = 0;
  u32 ts_echo = 0;
  u8 sack_count = 0;  // blocks in `sack`
  struct SackBlock {
    wire::SeqNo begin, end;
  };
  std::array<SackBlock, 4> sack{};
};

struct Segment {
  wire::FourTuple tuple;  // local is the destination
  wire::SeqNo seq;
  wire::SeqNo ack;
  u16 window = 0;  // as on the wire, not scaled
  u8 flags = 0;
  u8 ecn = 0;              // the two bits of RFC 3168 section 5 in the IP header; 3: congestion was met
  u16 payload_offset = 0;  // from the packet's data()
  u32 payload_bytes = 0;   // excluding Ethernet padding
  u32 hash = 0;            // lookup::flow_hash of the tuple
  TcpOptions options;

  bool has(u8 mask) const { return (flags & mask) != 0; }
  // SEG.LEN of RFC 9293: payload and one for each of SYN and FIN.
  u32 length() const { return payload_bytes + (has(kSyn) ? 1u : 0u) + (has(kFin) ? 1u : 0u); }
};

}  // namespace ringway::gate
