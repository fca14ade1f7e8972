// How packets are built: headers in front of the payload's own mbuf where nobody else uses it, else in a fresh mbuf with
// indirect ones behind it, else copied into one (design: sending without copying). Writes IPv4 (RFC 791; DF set, so the
// identification may be zero, RFC 6864) and TCP (RFC 9293 3.1). Called by output.cc only.

#include "dataplane/tcp/impl.h"
#include "src/wire/checksum.h"
#include "src/wire/tcp_options.h"

namespace ringway::tcp {

namespace {

constexpr u8 kProtocolTcp = 6;

void write_ip_template(u8* p, wire::Ip4 source, wire::Ip4 destination) {
  p[0] = 0x45;
  p[1] = 0;
  wire::store_be16(p + 2, 0);
  wire::store_be16(p + 4, 0);
  wire::store_be16(p + 6, 0x4000);
  p[8] = 64;
  p[9] = kProtocolTcp;
  wire::store_be16(p + 10, 0);
  wire::store_be32(p + 12, source.v);
  wire::store_be32(p + 16, destination.v);
}

void store(u8* p, wire::Be16 v) { std::memcpy(p, &v.raw, 2); }

}  // namespace

void Engine::Impl::make_template(Tcb& t) {
  write_ip_template(t.ip.data(), t.tuple.local, t.tuple.remote);
  t.ip_sum = wire::sum_words(t.ip.data(), t.ip.size());
  t.pseudo_sum = wire::pseudo_header_sum(t.tuple.local, t.tuple.remote, kProtocolTcp, 0);
}

// The packet's first f.header_bytes + 20 bytes are ours; TCP options, if any, are there already.
void Engine::Impl::write_headers(mbuf::Pkt& pkt, const u8* ip, u64 ip_sum, u64 pseudo_sum, const wire::TcpFields& f) {
  u8* const p = pkt.data();
  const u16 total = static_cast<u16>(pkt.total_bytes());
  const wire::Be16 total_be = wire::Be16::from_host(total);
  std::memcpy(p, ip, kIpHeaderBytes);
  store(p + 2, total_be);
  if (!config.caps.ip_checksum) store(p + 10, wire::Be16{static_cast<u16>(~wire::fold(ip_sum + total_be.raw))});

  u8* const h = p + kIpHeaderBytes;
  wire::write_tcp(h, f);
  const u16 tcp_bytes = static_cast<u16>(total - kIpHeaderBytes);
  wire::Checksum sum(pseudo_sum + wire::Be16::from_host(tcp_bytes).raw);
  if (config.caps.tcp_checksum) {
    store(h + wire::kTcpChecksumOffset, sum.partial());
  } else {
    sum.add({h, pkt.first_bytes() - kIpHeaderBytes});
    for (const rte_mbuf* m = pkt.get()->next; m != nullptr; m = m->next) {
      sum.add({static_cast<const u8*>(m->buf_addr) + m->data_off, m->data_len});
    }
    store(h + wire::kTcpChecksumOffset, sum.value());
  }
  if (config.caps.ip_checksum || config.caps.tcp_checksum) {
    pkt.set_tx_offload(kIpHeaderBytes, f.header_bytes, config.caps.ip_checksum, config.caps.tcp_checksum);
  }
}

mbuf::Pkt Engine::Impl::build(const Tcb& t, SeqNo seq, u8 flags, u16 window, mbuf::Chain::Cursor from, u32 bytes) {
  constexpr u32 header_bytes = kIpHeaderBytes + wire::kTcpHeaderBytes;
  mbuf::Pkt pkt;
  if (bytes == 0) {
    pkt = pools.alloc();
    if (pkt) pkt.append(header_bytes);
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
  write_headers(pkt, t.ip.data(), t.ip_sum, t.pseudo_sum,
                {t.tuple.local_port, t.tuple.remote_port, seq, t.rcv_nxt, wire::kTcpHeaderBytes, flags, window});
  return pkt;
}

mbuf::Pkt Engine::Impl::build_in_place(const Tcb&, const mbuf::Slice& s, u32 header_bytes) {
  return mbuf::Pkt::over(s.m, s.offset - header_bytes, s.length + header_bytes);
}

// A first slice that has room in front carries the headers itself; every other piece is an indirect mbuf.
mbuf::Pkt Engine::Impl::build_indirect(const Tcb& t, mbuf::Chain::Cursor from, u32 bytes, u32 header_bytes) {
  mbuf::Pkt pkt;
  const mbuf::Slice& first = t.unacked.slice(from.slice);
  if (from.skip == 0 && bytes > first.length && first.unshared() && first.offset >= kEtherHeaderBytes + header_bytes) {
    pkt = build_in_place(t, first, header_bytes);
    bytes -= first.length;
    from = {first.next, 0};
  } else {
    pkt = pools.alloc();
    if (!pkt) return pkt;
    pkt.append(header_bytes);
  }
  while (bytes > 0) {
    const mbuf::Slice& s = t.unacked.slice(from.slice);
    const u32 n = std::min<u32>(s.length - from.skip, bytes);
    mbuf::Pkt piece = pools.refer(s, from.skip, n);
    if (!piece) return piece;
    pkt.join(std::move(piece));
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
  // RFC 7323 2.2: an answer offers a scale only if the peer's SYN did.
  const wire::SynOptions options{mss_ours, answer && !t.has(kScaling) ? u8{0xff} : wscale_ours};
  const u32 tcp_bytes = wire::kTcpHeaderBytes + wire::syn_option_bytes(options);
  mbuf::Pkt pkt = pools.alloc();
  if (!pkt) {
    count(Verdict::no_mbuf);
    return pkt;
  }
  u8* const p = pkt.append(kIpHeaderBytes + tcp_bytes);
  wire::write_syn_options(p + kIpHeaderBytes + wire::kTcpHeaderBytes, options);
  const u8 flags = answer ? gate::kSyn | gate::kAck : gate::kSyn;
  write_headers(pkt, t.ip.data(), t.ip_sum, t.pseudo_sum,
                {t.tuple.local_port, t.tuple.remote_port, t.iss, answer ? t.rcv_nxt : SeqNo{}, static_cast<u8>(tcp_bytes),
                 flags, window});
  return pkt;
}

mbuf::Pkt Engine::Impl::build_reply(const Reply& r) {
  mbuf::Pkt pkt = pools.alloc();
  if (!pkt) {
    count(Verdict::no_mbuf);
    return pkt;
  }
  const wire::SynOptions options{r.mss, 0xff};
  const u32 tcp_bytes = wire::kTcpHeaderBytes + (r.mss == 0 ? 0 : wire::syn_option_bytes(options));
  u8* const p = pkt.append(kIpHeaderBytes + tcp_bytes);
  if (r.mss != 0) wire::write_syn_options(p + kIpHeaderBytes + wire::kTcpHeaderBytes, options);
  u8 ip[kIpHeaderBytes];
  write_ip_template(ip, r.tuple.local, r.tuple.remote);
  write_headers(pkt, ip, wire::sum_words(ip, kIpHeaderBytes),
                wire::pseudo_header_sum(r.tuple.local, r.tuple.remote, kProtocolTcp, 0),
                {r.tuple.local_port, r.tuple.remote_port, r.seq, r.ack, static_cast<u8>(tcp_bytes), r.flags, r.window});
  return pkt;
}

}  // namespace ringway::tcp
