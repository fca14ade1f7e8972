// How packets are built: headers in front of the payload's own mbuf where nobody else uses it, else in a fresh mbuf with
// indirect ones behind it, else copied into one (design: sending without copying). Writes IPv4 (RFC 791; DF set, so the
// identification may be zero, RFC 6864) or IPv6 (RFC 8200), and TCP (RFC 9293 3.1). Called by output.cc only.

#include "dataplane/tcp/impl.h"
#include "src/wire/checksum.h"
#include "src/wire/ip6.h"
#include "src/wire/tcp_options.h"

namespace ringway::tcp {

namespace {

constexpr u8 kProtocolTcp = 6;
constexpr u8 kEctZero = 2;  // RFC 3168 section 5

constexpr u64 kIpConstantSum = u64{wire::Be16::from_host(0x4500).raw} + wire::Be16::from_host(0x4000).raw +
                               wire::Be16::from_host(64 << 8 | kProtocolTcp).raw;

constexpr u32 kNotesSent = bit_of(contract::EventGroup::segments) | bit_of(contract::EventGroup::timers);

void store(u8* p, wire::Be16 v) { std::memcpy(p, &v.raw, 2); }

// `addresses` as address_sum; without `summed` the port fills in the checksum.
void write_ip4(u8* p, const wire::FourTuple& t, u8 tos, u16 bytes, u16 addresses, bool summed) {
  const wire::Be16 total = wire::Be16::from_host(bytes);
  const u64 sum = summed ? kIpConstantSum + total.raw + addresses + (u64{tos} << 8) : 0xffff;
  const wire::Be16 checksum{static_cast<u16>(~wire::fold(sum))};
  constexpr u64 kFirst = u64{wire::Be32::from_host(0x4000).raw} << 32 | wire::Be16::from_host(0x4500).raw;
  wire::store_raw64(p, kFirst | u64{tos} << 8 | u64{total.raw} << 16);
  wire::store_raw64(p + 8, u64{wire::Be32::from_host(t.local.v).raw} << 32 | u64{checksum.raw} << 16 |
                               wire::Be16::from_host(64 << 8 | kProtocolTcp).raw);
  wire::store_be32(p + 16, t.remote.v);
}

}  // namespace

// Both addresses of `t`, which stand in the IP header and in the pseudo-header.
u16 Engine::Impl::address_sum(const wire::FourTuple& t) {
  if (t.local.is4()) return wire::fold(wire::pseudo_header_sum(t.local.ip4(), t.remote.ip4(), 0, 0));
  return wire::fold(wire::pseudo_header_sum(config.book->ip6(t.local), config.book->ip6(t.remote), 0, 0));
}

// The packet's first f.header_bytes and those of the IP header are ours; TCP options, if any, are there already, with the
// sum `options`.
// The sums are made of what is written, not of the bytes: reading back what was stored a moment ago stalls.
void Engine::Impl::write_headers(mbuf::Pkt& pkt, const wire::FourTuple& t, u16 addresses, const wire::TcpFields& f,
                                 u64 options, u8 tos, u16 segment_bytes) {
  if (t.local.is4()) return write_headers_of<true>(pkt, t, addresses, f, options, tos, segment_bytes);
  write_headers_of<false>(pkt, t, addresses, f, options, tos, segment_bytes);
}

template <bool is4>
void Engine::Impl::write_headers_of(mbuf::Pkt& pkt, const wire::FourTuple& t, u16 addresses, const wire::TcpFields& f,
                                    u64 options, u8 tos, u16 segment_bytes) {
  constexpr u32 ip_bytes = is4 ? wire::kIp4HeaderBytes : wire::kIp6HeaderBytes;
  u8* const p = pkt.data();
  const u16 total = static_cast<u16>(pkt.total_bytes());
  if constexpr (is4) {
    write_ip4(p, t, tos, total, addresses, !config.caps.ip_checksum);
  } else {
    wire::write_ip6(p, {.payload_bytes = static_cast<u16>(total - ip_bytes), .traffic_class = tos, .next_header = kProtocolTcp,
                        .source = config.book->ip6(t.local), .destination = config.book->ip6(t.remote)});
  }

  u8* const h = p + ip_bytes;
  const u64 fields = wire::write_tcp(h, f);
  const u16 tcp_bytes = static_cast<u16>(total - ip_bytes);
  const u64 pseudo = u64{addresses} + wire::Be16::from_host(kProtocolTcp).raw + wire::Be16::from_host(tcp_bytes).raw;
  if (segment_bytes != 0) {  // the port adds every segment's own length
    const u64 without = u64{addresses} + wire::Be16::from_host(kProtocolTcp).raw;
    store(h + wire::kTcpChecksumOffset, wire::Checksum(without).partial());
  } else if (config.caps.tcp_checksum) {
    store(h + wire::kTcpChecksumOffset, wire::Checksum(pseudo).partial());
  } else {
    wire::Checksum sum(pseudo + fields + options);
    const u32 first = pkt.first_bytes() - ip_bytes - f.header_bytes;
    if (first != 0) sum.add({h + f.header_bytes, first});
    for (const rte_mbuf* m = pkt.get()->next; m != nullptr; m = m->next) {
      sum.add({static_cast<const u8*>(m->buf_addr) + m->data_off, m->data_len});
    }
    store(h + wire::kTcpChecksumOffset, sum.value());
  }
  if (config.caps.ip_checksum || config.caps.tcp_checksum) {
    pkt.set_tx_offload(ip_bytes, f.header_bytes, config.caps.ip_checksum && is4, config.caps.tcp_checksum);
  }
  if (segment_bytes != 0) pkt.set_tso(segment_bytes);
}

mbuf::Pkt Engine::Impl::build(const Tcb& t, SeqNo seq, u8 flags, u16 window, mbuf::Chain::Cursor from, u32 bytes,
                              u32 blocks) {
  const bool packed = blocks != 0 && tight(t);
  const u32 tcp_bytes = packed ? wire::kTcpHeaderBytes + wire::kTcpStampAndSackBytes
                               : t.tcp_header_bytes() + (blocks == 0 ? 0 : 4 + 8 * blocks);
  const u32 ip_bytes = ip_header_bytes(t.tuple);
  const u32 header_bytes = ip_bytes + tcp_bytes;
  mbuf::Pkt pkt;
  if (bytes == 0) {
    pkt = pools.alloc(header_bytes);
  } else {
    const mbuf::Slice& s = t.unacked.slice(from.slice);
    const bool whole = from.skip == 0 && bytes >= s.length;
    const bool in_front = whole && s.unshared() && s.offset >= kEtherHeaderBytes + header_bytes;
    if (in_front && bytes == s.length) {
      pkt = build_in_place(t, s, header_bytes);
    } else if (config.caps.multi_segs) {
      pkt = build_indirect(t, from, bytes, header_bytes);
    } else {
      pkt = build_copy(t, from, bytes, header_bytes);
    }
  }
  if (!pkt) {
    count(Verdict::no_mbuf);
    return pkt;
  }
  u8 ect = 0;
  if (t.has(kEcn)) {  // RFC 3168 6.1.2, 6.1.3, 6.1.5: only data that was never sent is marked as capable
    if (t.has(kOwesEce)) flags |= gate::kEce;
    if (bytes > 0 && seq >= t.snd_max) {
      ect = kEctZero;
      if (t.has(kOwesCwr)) flags |= gate::kCwr;
    }
  }
  u64 option_sum = 0;
  if (packed) {
    u8* const at = pkt.data() + ip_bytes + wire::kTcpHeaderBytes;
    wire::write_stamp_and_sack(at, stamp_of(t), t.stamp.recent, blocks_out[0].begin.v, blocks_out[0].end.v);
    option_sum = wire::sum_words(at, wire::kTcpStampAndSackBytes);
  } else if (t.has(kTimestamps)) {
    option_sum = wire::write_timestamps(pkt.data() + ip_bytes + wire::kTcpHeaderBytes, stamp_of(t), t.stamp.recent);
  }
  if (blocks != 0 && !packed) option_sum += write_sack(pkt.data() + ip_bytes + t.tcp_header_bytes(), blocks);
  write_headers(pkt, t.tuple, t.address_sum,
                {t.tuple.local_port, t.tuple.remote_port, seq, t.rcv_nxt, static_cast<u8>(tcp_bytes), flags, window},
                option_sum, ect, bytes > t.snd_mss ? t.snd_mss : u16{0});
  if (page.recorder.wants(kNotesSent)) [[unlikely]] note_sent(t, seq, flags, bytes);
  return pkt;
}

// Before snd_max moves: what was sent before is below it.
void Engine::Impl::note_sent(const Tcb& t, SeqNo seq, u8 flags, u32 bytes) {
  const contract::EventFields f{.code = flags, .half = static_cast<u16>(bytes), .conn = t.generation, .x = seq.v, .y = t.rcv_nxt.v};
  page.recorder.note<EventKind::segment_out>(f);
  const bool numbered = bytes > 0 || (flags & (gate::kSyn | gate::kFin)) != 0;
  if (numbered && seq < t.snd_max) page.recorder.note<EventKind::sent_again>(f);
}

// The first `blocks` of blocks_out as an option of 4 + 8 * blocks bytes at `p`; returns their checksum sum.
[[gnu::noinline]] u64 Engine::Impl::write_sack(u8* p, u32 blocks) const {
  wire::store_be32(p, 0x0101'0502 + 8 * blocks);  // NOP, NOP, kind 5, length
  for (u32 b = 0; b < blocks; ++b) {
    wire::store_be32(p + 4 + 8 * b, blocks_out[b].begin.v);
    wire::store_be32(p + 8 + 8 * b, blocks_out[b].end.v);
  }
  return wire::sum_words(p, 4 + 8 * blocks);
}

// RFC 2018 section 4, RFC 2883 section 4: what came twice, then the ranges that wait, the one that grew last first.
u32 Engine::Impl::sack_blocks(const Tcb& t) {
  if (!t.has(kDsack) && t.reassembly == kNone32) return 0;
  const u32 before = kEtherHeaderBytes + ip_header_bytes(t.tuple) + t.tcp_header_bytes() + 4;
  const u32 room = tight(t) ? 1 : (config.caps.header_bytes_max - before) / 8;
  const u32 most = std::min<u32>(room, t.has(kTimestamps) ? 3 : 4);
  u32 n = 0;
  if (t.has(kDsack)) blocks_out[n++] = {t.dsack_begin, t.dsack_begin + t.dsack_bytes};
  if (t.reassembly == kNone32) return n;
  const Reassembly& ahead = holes[t.reassembly];
  std::array<u8, Reassembly::kNewest> order;
  const u32 ranges = ahead.newest(order);
  for (u32 r = 0; r < ranges && n < most; ++r) blocks_out[n++] = {ahead.begin(order[r]), ahead.end(order[r])};
  return n;
}

mbuf::Pkt Engine::Impl::build_in_place(const Tcb&, const mbuf::Slice& s, u32 header_bytes) {
  return mbuf::Pkt::over(s.m, s.offset - header_bytes, s.length + header_bytes);
}

// A first slice that has room in front carries the headers itself. Further pieces are the slices' own mbufs where nobody
// else uses them, else indirect ones.
mbuf::Pkt Engine::Impl::build_indirect(const Tcb& t, mbuf::Chain::Cursor from, u32 bytes, u32 header_bytes) {
  mbuf::Pkt pkt;
  const mbuf::Slice& first = t.unacked.slice(from.slice);
  if (from.skip == 0 && bytes > first.length && first.unshared() && first.offset >= kEtherHeaderBytes + header_bytes) {
    pkt = build_in_place(t, first, header_bytes);
    bytes -= first.length;
    from = {first.next, 0};
  } else {
    pkt = pools.alloc(header_bytes);
    if (!pkt) return pkt;
  }
  rte_mbuf* last = pkt.get();
  while (bytes > 0) {
    const mbuf::Slice& s = t.unacked.slice(from.slice);
    const u32 n = std::min<u32>(s.length - from.skip, bytes);
    mbuf::Pkt piece = s.unshared() ? mbuf::Pkt::over(s.m, s.offset + from.skip, n) : pools.refer(s, from.skip, n);
    if (!piece) return piece;
    pkt.join_behind(last, std::move(piece));
    bytes -= n;
    from = {s.next, 0};
  }
  return pkt;
}

mbuf::Pkt Engine::Impl::build_copy(const Tcb& t, mbuf::Chain::Cursor from, u32 bytes, u32 header_bytes) {
  mbuf::Pkt pkt = pools.alloc();
  if (!pkt) return pkt;
  u8* p = pkt.append(header_bytes + bytes);
  RW_ASSERT(p != nullptr);
  p += header_bytes;
  while (bytes > 0) {
    const mbuf::Slice& s = t.unacked.slice(from.slice);
    const u32 n = std::min<u32>(s.length - from.skip, bytes);
    std::memcpy(p, s.data() + from.skip, n);
    p += n;
    bytes -= n;
    from = {s.next, 0};
  }
  count(Counter::tx_linearized);
  return pkt;
}

mbuf::Pkt Engine::Impl::build_syn(const Tcb& t, u16 window) {
  const bool answer = t.state == State::syn_rcvd;
  // RFC 7323 2.2, 3.2: an answer offers a scale and timestamps only if the peer's SYN did.
  wire::SynOptions options{.mss = mss_of(t.tuple), .window_scale = answer && !t.has(kScaling) ? u8{0xff} : wscale_ours};
  options.sack_permitted = answer ? t.has(kSack) : config.sack;
  options.timestamps = answer ? t.has(kTimestamps) : config.timestamps;
  options.ts_value = stamp_of(t);
  options.ts_echo = answer ? t.stamp.recent : 0;
  const u32 ip_bytes = ip_header_bytes(t.tuple);
  const u32 tcp_bytes = wire::kTcpHeaderBytes + wire::syn_option_bytes(options);
  mbuf::Pkt pkt = pools.alloc(ip_bytes + tcp_bytes);
  if (!pkt) {
    count(Verdict::no_mbuf);
    return pkt;
  }
  u8* const at = pkt.data() + ip_bytes + wire::kTcpHeaderBytes;
  const u32 option_bytes = wire::write_syn_options(at, options);
  u8 flags = answer ? gate::kSyn | gate::kAck : gate::kSyn;
  if (answer && t.has(kEcn)) flags |= gate::kEce;
  if (!answer && t.has(kEcnAsked)) flags |= gate::kAsksForEcn;
  write_headers(pkt, t.tuple, t.address_sum,
                {t.tuple.local_port, t.tuple.remote_port, t.iss, answer ? t.rcv_nxt : SeqNo{}, static_cast<u8>(tcp_bytes),
                 flags, window},
                wire::sum_words(at, option_bytes));
  if (page.recorder.wants(kNotesSent)) [[unlikely]] note_sent(t, t.iss, flags, 0);
  return pkt;
}

mbuf::Pkt Engine::Impl::build_reply(const Reply& r) {
  const bool syn = (r.flags & gate::kSyn) != 0;
  const u32 option_bytes = syn ? wire::syn_option_bytes(r.options) : r.options.timestamps ? wire::kTcpTimestampBytes : 0;
  const u32 tcp_bytes = wire::kTcpHeaderBytes + option_bytes;
  const u32 ip_bytes = ip_header_bytes(r.tuple);
  mbuf::Pkt pkt = pools.alloc(ip_bytes + tcp_bytes);
  if (!pkt) {
    count(Verdict::no_mbuf);
    return pkt;
  }
  u8* const at = pkt.data() + ip_bytes + wire::kTcpHeaderBytes;
  u64 option_sum = 0;
  if (syn) {
    option_sum = wire::sum_words(at, wire::write_syn_options(at, r.options));
  } else if (r.options.timestamps) {
    option_sum = wire::write_timestamps(at, r.options.ts_value, r.options.ts_echo);
  }
  write_headers(pkt, r.tuple, address_sum(r.tuple),
                {r.tuple.local_port, r.tuple.remote_port, r.seq, r.ack, static_cast<u8>(tcp_bytes), r.flags, r.window},
                option_sum);
  if (page.recorder.wants(kNotesSent)) [[unlikely]] note_sent(r);
  return pkt;
}

void Engine::Impl::note_sent(const Reply& r) {
  page.recorder.note<EventKind::segment_out>({.code = r.flags, .x = r.seq.v, .y = r.ack.v});
}

}  // namespace ringway::tcp
