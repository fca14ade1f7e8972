#include "dataplane/gate/segment_parse.h"

#include "src/lookup/flow_hash.h"
#include "src/wire/ip4.h"
#include "src/wire/ip6.h"
#include "src/wire/tcp.h"
#include "src/wire/tcp_options.h"

namespace ringway::gate {

using contract::Verdict;
using wire::TcpOption;

namespace {

// What nearly every segment of an established connection carries, laid out as RFC 7323 appendix A recommends.
constexpr u32 kAlignedTimestamps = 0x0101'080a;  // NOP, NOP, kind 8, length 10

bool read_sack(const u8* p, u32 bytes, TcpOptions& out) {
  const u32 blocks = (bytes - 2) / 8;
  if (blocks == 0 || blocks > out.sack.size() || 2 + blocks * 8 != bytes) return false;
  for (u32 i = 0; i < blocks; ++i) {
    out.sack[i] = {wire::SeqNo{wire::load_be32(p + 2 + i * 8)}, wire::SeqNo{wire::load_be32(p + 6 + i * 8)}};
  }
  out.sack_count = static_cast<u8>(blocks);
  return true;
}

void read_timestamps(const u8* p, TcpOptions& out) {
  out.timestamps = true;
  out.ts_value = wire::load_be32(p + 2);
  out.ts_echo = wire::load_be32(p + 6);
}

// One option of `bytes` bytes, kind and length included. False when its kind has another length.
bool read_option(const u8* p, u32 bytes, TcpOptions& out) {
  switch (static_cast<TcpOption>(p[0])) {
    case TcpOption::mss:
      if (bytes != 4) return false;
      out.mss = wire::load_be16(p + 2);
      return true;
    case TcpOption::window_scale:
      if (bytes != 3) return false;
      out.window_scale = p[2];
      return true;
    case TcpOption::sack_permitted:
      if (bytes != 2) return false;
      out.sack_permitted = true;
      return true;
    case TcpOption::sack:
      return read_sack(p, bytes, out);
    case TcpOption::timestamps:
      if (bytes != 10) return false;
      read_timestamps(p, out);
      return true;
    default:
      return true;
  }
}

}  // namespace

Verdict parse_tcp_options(Bytes options, TcpOptions& out) {
  const u8* p = options.data();
  std::size_t left = options.size();
  while (left > 0) {
    if (p[0] == static_cast<u8>(TcpOption::end)) return Verdict::ok;
    if (p[0] == static_cast<u8>(TcpOption::nop)) {
      ++p;
      --left;
      continue;
    }
    if (left < 2) return Verdict::tcp_bad_option;
    const u32 bytes = p[1];
    if (bytes < 2 || bytes > left || !read_option(p, bytes, out)) return Verdict::tcp_bad_option;
    p += bytes;
    left -= bytes;
  }
  return Verdict::ok;
}

namespace {

// The TCP header at `at`; addresses and hash are left alone.
[[gnu::always_inline]] inline Verdict parse_tcp(Bytes first, u32 at, u32 ip_bytes, Segment& out) {
  const u32 tcp_bytes = ip_bytes - at;
  const u32 here = static_cast<u32>(first.size()) - at;
  if (tcp_bytes < wire::kTcpHeaderBytes || here < wire::kTcpHeaderBytes) return Verdict::tcp_truncated;
  const wire::TcpView tcp(first.data() + at);
  const u32 tcp_header = tcp.header_bytes();
  if (tcp_header < wire::kTcpHeaderBytes || tcp_header > tcp_bytes || tcp_header > here) return Verdict::tcp_truncated;

  const u8 flags = tcp.flags();
  const bool contradiction = (flags & kSyn) != 0 && (flags & (kFin | kRst)) != 0;
  if (contradiction || (flags & (kSyn | kFin | kRst | kAck)) == 0) return Verdict::tcp_bad_flags;

  out.tuple.local_port = tcp.destination_port();
  out.tuple.remote_port = tcp.source_port();
  out.seq = tcp.seq();
  out.ack = tcp.ack();
  out.window = tcp.window();
  out.flags = flags;
  out.payload_offset = static_cast<u16>(at + tcp_header);
  out.payload_bytes = tcp_bytes - tcp_header;
  out.options = {};
  if (tcp_header == wire::kTcpHeaderBytes) return Verdict::ok;
  const u8* const options = first.data() + at + wire::kTcpHeaderBytes;
  if (tcp_header == wire::kTcpHeaderBytes + wire::kTcpTimestampBytes && wire::load_be32(options) == kAlignedTimestamps) {
    read_timestamps(options + 2, out.options);
    return Verdict::ok;
  }
  return parse_tcp_options(first.subspan(at + wire::kTcpHeaderBytes, tcp_header - wire::kTcpHeaderBytes), out.options);
}

}  // namespace

Verdict parse_segment(Bytes first, u32 ip_bytes, u64 seed, Segment& out) {
  if (first.size() < wire::kIp4HeaderBytes || ip_bytes < wire::kIp4HeaderBytes) return Verdict::ip4_truncated;
  const wire::Ip4View ip(first.data());
  const u32 ip_header = ip.header_bytes();
  if (ip.version() != 4 || ip_header < wire::kIp4HeaderBytes) return Verdict::ip4_bad_version;
  if (ip_header > ip_bytes || ip_header > first.size()) return Verdict::ip4_truncated;

  const Verdict v = parse_tcp(first, ip_header, ip_bytes, out);
  if (v != Verdict::ok) return v;
  out.ecn = first[1] & 3;
  out.tuple.local = ip.destination();
  out.tuple.remote = ip.source();
  out.hash = lookup::flow_hash(out.tuple, seed);
  return Verdict::ok;
}

Verdict parse_segment6(Bytes first, u32 ip_bytes, u32 at, u64 seed, Segment& out) {
  if (first.size() < wire::kIp6HeaderBytes || at < wire::kIp6HeaderBytes) return Verdict::ip6_truncated;
  if (at > ip_bytes || at > first.size()) return Verdict::tcp_truncated;
  const Verdict v = parse_tcp(first, at, ip_bytes, out);
  if (v != Verdict::ok) return v;
  const wire::Ip6View ip(first.data());
  out.ecn = ip.traffic_class() & 3;
  out.tuple.local = wire::Ip4{lookup::address_digest(ip.destination(), seed)};
  out.tuple.remote = wire::Ip4{lookup::address_digest(ip.source(), seed)};
  out.hash = lookup::flow_hash(out.tuple, seed);
  return Verdict::ok;
}

}  // namespace ringway::gate
