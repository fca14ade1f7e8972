#pragma once
// Reads packets that an engine made, and makes segments for one: the far end of tests/wire and tests/duet.
//
// `decode` checks everything that a receiver would (lengths, both checksums, options) on the gathered bytes of all
// segments of a packet, so that a packet built wrongly fails whatever test sent it.

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/gate/segment.h"
#include "dataplane/mbuf/pools.h"
#include "src/lookup/address_book.h"
#include "src/wire/checksum.h"
#include "src/wire/ip6.h"
#include "src/wire/tcp.h"

namespace ringway::test {

inline std::vector<u8> gather(const mbuf::Pkt& pkt) {
  std::vector<u8> out;
  for (const rte_mbuf* m = pkt.get(); m != nullptr; m = m->next) {
    const u8* p = static_cast<const u8*>(m->buf_addr) + m->data_off;
    out.insert(out.end(), p, p + m->data_len);
  }
  return out;
}

// An IPv4 packet with TCP, or, with a book to name its addresses, an IPv6 one, as a Segment seen by its receiver;
// payload_offset counts from the IP header. Empty, with `why`, when a receiver would refuse it.
inline std::optional<gate::Segment> decode(const std::vector<u8>& b, std::string& why, lookup::AddressBook* book = nullptr) {
  const auto refuse = [&](const char* reason) {
    why = reason;
    return std::nullopt;
  };
  gate::Segment s;
  const bool is6 = book != nullptr && b.size() >= 60 && b[0] >> 4 == 6;
  const u32 at = is6 ? 40 : 20;
  const u16 bytes = static_cast<u16>(b.size() - at);
  u64 pseudo = 0;
  if (is6) {
    const wire::Ip6View ip(b.data());
    if (ip.payload_bytes() != bytes || ip.next_header() != 6 || ip.hop_limit() != 64) return refuse("IPv6 header");
    s.tuple.remote = book->name(ip.source());
    s.tuple.local = book->name(ip.destination());
    pseudo = wire::pseudo_header_sum(ip.source(), ip.destination(), 6, bytes);
  } else {
    if (b.size() < 40 || b[0] != 0x45 || wire::load_be16(&b[2]) != b.size()) return refuse("IPv4 lengths");
    if (wire::fold(wire::sum_words(b.data(), 20)) != 0xffff) return refuse("IPv4 checksum");
    s.tuple.remote = wire::Ip4{wire::load_be32(&b[12])};
    s.tuple.local = wire::Ip4{wire::load_be32(&b[16])};
    pseudo = wire::pseudo_header_sum(s.tuple.remote.ip4(), s.tuple.local.ip4(), 6, bytes);
  }
  wire::Checksum sum(pseudo);
  sum.add({b.data() + at, bytes});
  if (!sum.verifies()) return refuse("TCP checksum");
  const wire::TcpView h(b.data() + at);
  if (h.header_bytes() < 20 || h.header_bytes() > bytes) return refuse("TCP data offset");
  s.tuple.remote_port = h.source_port();
  s.tuple.local_port = h.destination_port();
  s.seq = h.seq();
  s.ack = h.ack();
  s.window = h.window();
  s.flags = h.flags();
  s.ecn = is6 ? b[1] >> 4 & 3 : b[1] & 3;
  s.payload_offset = static_cast<u16>(at + h.header_bytes());
  s.payload_bytes = static_cast<u32>(b.size()) - s.payload_offset;
  for (const u8 *p = b.data() + at + 20, *end = b.data() + s.payload_offset; p < end && *p != 0;) {
    if (*p == 1) {
      ++p;
      continue;
    }
    if (p + 1 >= end || p[1] < 2 || p + p[1] > end) return refuse("TCP option length");
    if (*p == 2) s.options.mss = wire::load_be16(p + 2);
    if (*p == 3) s.options.window_scale = p[2];
    if (*p == 4) s.options.sack_permitted = true;
    if (*p == 5) {
      s.options.sack_count = static_cast<u8>((p[1] - 2) / 8);
      if (s.options.sack_count > 4 || 2 + 8 * s.options.sack_count != p[1]) return refuse("SACK length");
      for (u32 i = 0; i < s.options.sack_count; ++i)
        s.options.sack[i] = {wire::SeqNo{wire::load_be32(p + 2 + 8 * i)}, wire::SeqNo{wire::load_be32(p + 6 + 8 * i)}};
    }
    if (*p == 8) {
      if (p[1] != 10) return refuse("timestamps length");
      s.options.timestamps = true;
      s.options.ts_value = wire::load_be32(p + 2);
      s.options.ts_echo = wire::load_be32(p + 6);
    }
    p += p[1];
  }
  return s;
}

inline std::string flag_letters(u8 flags) {
  std::string out;
  for (const auto& [bit, letter] : {std::pair{gate::kSyn, 'S'}, {gate::kFin, 'F'}, {gate::kRst, 'R'}, {gate::kAck, 'A'},
                                   {gate::kEce, 'E'}, {gate::kCwr, 'W'}})
    if (flags & bit) out += letter;
  return out;
}

}  // namespace ringway::test
