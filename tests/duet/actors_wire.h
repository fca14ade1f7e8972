#pragma once
// Packets as a liar writes them: read from the wire, changed field by field as the bytes of a program say, written again with
// good checksums. What a changed segment carries are the bytes that belong to the sequence numbers it claims (stream_byte),
// so that a receiver which takes it in still holds a stream that can be judged. Pure. RFC 9293 3.1, RFC 2018, RFC 7323.

#include <algorithm>
#include <vector>

#include "dataplane/gate/segment.h"
#include "src/wire/checksum.h"
#include "src/wire/tcp.h"
#include "tests/support/program.h"

namespace ringway::test {

using Wire = std::vector<u8>;  // from the IPv4 header on

// The byte that `from` (its own view of the connection) sends at `seq`.
inline u8 stream_byte(const wire::FourTuple& from, wire::SeqNo seq) {
  return static_cast<u8>(((seq.v ^ u32{from.local_port} << 16 ^ from.remote_port) * 0x9e37'79b1u) >> 24);
}
inline void fill(u8* to, u32 n, const wire::FourTuple& from, wire::SeqNo seq) {
  for (u32 i = 0; i < n; ++i) to[i] = stream_byte(from, seq + i);
}

// The tuple of a packet as its receiver sees it.
inline wire::FourTuple read_tuple(const Wire& w) {
  const wire::TcpView h(w.data() + 20);
  return {wire::Ip4{wire::load_be32(&w[16])}, wire::Ip4{wire::load_be32(&w[12])}, h.destination_port(), h.source_port()};
}

struct Crafted {
  wire::FourTuple tuple;  // local is the sender
  wire::SeqNo seq, ack;
  u8 flags = 0;
  u16 window = 8000;
  u16 urgent = 0;
  u32 payload = 0;
  u32 offset_bytes = 0;  // that the data offset claims, 0: the truth
  std::vector<u8> options;

  static Crafted read(const Wire& w) {
    const wire::TcpView h(w.data() + 20);
    const wire::FourTuple t = read_tuple(w);
    Crafted c{.tuple = {t.remote, t.local, t.remote_port, t.local_port}, .seq = h.seq(), .ack = h.ack(), .flags = h.flags()};
    c.window = h.window();
    const u32 header = std::min<u32>(std::max(h.header_bytes(), 20u), static_cast<u32>(w.size()) - 20);
    c.options.assign(w.begin() + 40, w.begin() + 20 + header);
    c.payload = static_cast<u32>(w.size()) - 20 - header;
    return c;
  }

  void change(Program& p) {
    static constexpr u8 kUsual[8] = {gate::kAck, gate::kSyn, gate::kSyn | gate::kAck, gate::kFin | gate::kAck,
                                     gate::kRst, gate::kRst | gate::kAck, gate::kAck | gate::kPsh, gate::kFin};
    const u8 what = p.next();
    switch (what & 15) {
      case 0: flags = kUsual[what >> 5]; break;
      case 1: flags ^= p.next(); break;
      case 2: seq += static_cast<u32>(p.next_signed()); break;
      case 3: seq += static_cast<u32>(p.next_signed() * 536); break;
      case 4: ack += static_cast<u32>(p.next_signed()); break;
      case 5: ack += static_cast<u32>(p.next_signed() * 536); break;
      case 6: window = static_cast<u16>(p.next16()); break;
      case 7: window = static_cast<u16>(what >> 4); break;
      case 8: payload = p.next() * (what >= 128 ? 7u : 1u); break;
      case 9: change_option(p); break;
      case 10: add_to_stamp(4, static_cast<u32>(p.next_signed() * (what >= 128 ? 5000 : 1))); break;
      case 11: add_to_stamp(8, static_cast<u32>(p.next_signed() * (what >= 128 ? 5000 : 1))); break;
      case 12: add_sack(p, what >> 4); break;
      case 13: {
        options.assign(std::min(u32{what} >> 4 << 2, 40u), 0);
        for (u8& o : options) o = p.next();
        break;
      }
      case 14: (what & 16 ? seq : ack) += 1u << (what >> 3 & 31); break;
      default:
        urgent = p.next();
        if (what >= 128) offset_bytes = (what >> 3 & 15) * 4;
        flags |= gate::kUrg;
        break;
    }
  }

  Wire wire() const {
    std::vector<u8> o = options;
    while (o.size() % 4 != 0) o.push_back(0);
    o.resize(std::min<std::size_t>(o.size(), 40));
    const u32 header = 20 + static_cast<u32>(o.size());
    const u32 body = std::min(payload, 1900u);
    Wire w(20 + header + body);
    w[0] = 0x45;
    wire::store_be16(&w[2], static_cast<u16>(w.size()));
    w[8] = 64;
    w[9] = 6;
    wire::store_be32(&w[12], tuple.local.v);
    wire::store_be32(&w[16], tuple.remote.v);
    const u16 ip = static_cast<u16>(~wire::fold(wire::sum_words(w.data(), 20)));
    std::memcpy(&w[10], &ip, 2);
    const u8 claimed = static_cast<u8>(offset_bytes == 0 ? header : offset_bytes);
    wire::write_tcp(&w[20], {tuple.local_port, tuple.remote_port, seq, ack, claimed, flags, window});
    wire::store_be16(&w[38], urgent);
    std::copy(o.begin(), o.end(), w.begin() + 40);
    // Where the receiver will see the payload begin.
    const u32 from = 20 + std::clamp<u32>(claimed, 20, header + body);
    const bool syn = (flags & gate::kSyn) != 0;
    for (u32 at = from; at < w.size(); ++at) w[at] = stream_byte(tuple, seq + (syn ? 1u : 0u) + (at - from));
    const u16 n = static_cast<u16>(w.size() - 20);
    wire::Checksum sum(wire::pseudo_header_sum(tuple.local.ip4(), tuple.remote.ip4(), 6, n));
    sum.add({w.data() + 20, n});
    const wire::Be16 value = sum.value();
    std::memcpy(&w[36], &value.raw, 2);
    return w;
  }

 private:
  void change_option(Program& p) {
    if (!options.empty()) options[p.next() % options.size()] ^= p.next();
  }
  void add_to_stamp(u32 at, u32 n) {
    for (std::size_t i = 0; i + 10 <= options.size(); ++i) {
      if (options[i] != 8 || options[i + 1] != 10) continue;
      u8* const to = &options[i + (at == 4 ? 2 : 6)];
      return wire::store_be32(to, wire::load_be32(to) + n);
    }
  }
  void add_sack(Program& p, u32 kind) {
    const u32 blocks = 1 + (kind & 3);
    const u32 unit = (kind & 4) != 0 ? 536 : 1;
    if (options.size() + 4 + 8 * blocks > 40) options.clear();
    options.insert(options.end(), {1, 1, 5, static_cast<u8>(2 + 8 * blocks)});
    for (u32 b = 0; b < blocks; ++b) {
      const wire::SeqNo begin = ack + static_cast<u32>(p.next_signed()) * unit;
      const wire::SeqNo end = begin + p.next() * unit;
      for (const wire::SeqNo edge : {begin, end}) {
        options.resize(options.size() + 4);
        wire::store_be32(&options[options.size() - 4], edge.v);
      }
    }
  }
};

}  // namespace ringway::test
