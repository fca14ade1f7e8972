#pragma once
// Frames as byte strings, built with the wire writers, for tests that hand them to a gate.

#include <string>
#include <vector>

#include "src/wire/arp.h"
#include "src/wire/checksum.h"
#include "src/wire/eth.h"
#include "src/wire/icmp.h"
#include "src/wire/icmp6.h"
#include "src/wire/ip4.h"
#include "src/wire/ip6.h"
#include "src/wire/tcp.h"
#include "src/wire/udp.h"

namespace ringway::test {

using Frame = std::vector<u8>;

[[gnu::noinline]] inline void append(Frame& f, const Frame& more) {
  const std::size_t at = f.size();
  f.resize(at + more.size());
  if (!more.empty()) std::memcpy(&f[at], more.data(), more.size());
}

inline void store_sum(u8* p, wire::Be16 v) { std::memcpy(p, &v.raw, 2); }

inline Frame eth(const wire::Mac& to, const wire::Mac& from, u16 type, const Frame& body) {
  Frame f(wire::kEthHeaderBytes);
  wire::write_eth(f.data(), to, from, type);
  append(f, body);
  return f;
}

inline Frame ip4(wire::Ip4 from, wire::Ip4 to, u8 protocol, const Frame& body) {
  Frame f(wire::kIp4HeaderBytes);
  wire::write_ip4(f.data(), {.total_bytes = static_cast<u16>(f.size() + body.size()), .protocol = protocol,
                             .source = from, .destination = to});
  append(f, body);
  return f;
}

// Computes the IPv4 header checksum anew, after a test changed the header.
inline void mend_ip4(Frame& frame, std::size_t at = wire::kEthHeaderBytes) {
  u8* ip = frame.data() + at;
  wire::store_be16(ip + 10, 0);
  store_sum(ip + 10, wire::checksum({ip, std::size_t{(ip[0] & 15u) * 4u}}));
}

inline Frame tcp(wire::Ip4 from, u16 from_port, wire::Ip4 to, u16 to_port, u8 flags, const Frame& options = {},
                 const Frame& payload = {}) {
  Frame f(wire::kTcpHeaderBytes);
  wire::write_tcp(f.data(), {.source_port = from_port, .destination_port = to_port, .seq = wire::SeqNo{1000},
                             .ack = wire::SeqNo{2000},
                             .header_bytes = static_cast<u8>(wire::kTcpHeaderBytes + options.size()), .flags = flags,
                             .window = 4096});
  append(f, options);
  append(f, payload);
  wire::Checksum sum(wire::pseudo_header_sum(from, to, wire::kIpProtoTcp, static_cast<u16>(f.size())));
  sum.add(f);
  store_sum(f.data() + wire::kTcpChecksumOffset, sum.value());
  return ip4(from, to, wire::kIpProtoTcp, f);
}

inline Frame udp(wire::Ip4 from, u16 from_port, wire::Ip4 to, u16 to_port, const Frame& payload, bool sum = true) {
  Frame f(wire::kUdpHeaderBytes);
  wire::write_udp(f.data(), from_port, to_port, static_cast<u16>(f.size() + payload.size()));
  append(f, payload);
  wire::Checksum c(wire::pseudo_header_sum(from, to, wire::kIpProtoUdp, static_cast<u16>(f.size())));
  c.add(f);
  if (sum) store_sum(f.data() + 6, c.value());
  return ip4(from, to, wire::kIpProtoUdp, f);
}

inline Frame icmp(wire::Ip4 from, wire::Ip4 to, wire::IcmpType type, u8 code, const Frame& payload,
                  u32 rest = 0x0001'0002) {
  Frame f(wire::kIcmpHeaderBytes);
  wire::write_icmp(f.data(), type, code, rest);
  append(f, payload);
  store_sum(f.data() + 2, wire::checksum(f));
  return ip4(from, to, wire::kIpProtoIcmp, f);
}

inline Frame arp(u16 operation, const wire::Mac& sender_mac, wire::Ip4 sender, wire::Ip4 target) {
  Frame f(wire::kArpBytes);
  wire::write_arp(f.data(), {.operation = operation, .sender_mac = sender_mac, .sender_ip = sender, .target_mac = {},
                             .target_ip = target});
  return f;
}

// --- IPv6. `checksum_at`: where in `body` the transport's checksum stands.
inline Frame ip6(wire::Ip6 from, wire::Ip6 to, u8 next_header, const Frame& body, u8 hop_limit = 64) {
  Frame f(wire::kIp6HeaderBytes);
  wire::write_ip6(f.data(), {.payload_bytes = static_cast<u16>(body.size()), .next_header = next_header,
                             .hop_limit = hop_limit, .source = from, .destination = to});
  append(f, body);
  return f;
}

inline Frame summed6(wire::Ip6 from, wire::Ip6 to, u8 protocol, Frame body, std::size_t checksum_at) {
  wire::Checksum sum(wire::pseudo_header_sum(from, to, protocol, static_cast<u32>(body.size())));
  sum.add(body);
  store_sum(body.data() + checksum_at, sum.value());
  return body;
}

// Of TCP, without the IPv6 header.
inline Frame tcp6_body(wire::Ip6 from, u16 from_port, wire::Ip6 to, u16 to_port, u8 flags, const Frame& payload = {}) {
  Frame f(wire::kTcpHeaderBytes);
  wire::write_tcp(f.data(), {.source_port = from_port, .destination_port = to_port, .seq = wire::SeqNo{1000},
                             .ack = wire::SeqNo{2000}, .header_bytes = wire::kTcpHeaderBytes, .flags = flags,
                             .window = 4096});
  append(f, payload);
  return summed6(from, to, wire::kIpProtoTcp, f, wire::kTcpChecksumOffset);
}
inline Frame tcp6(wire::Ip6 from, u16 from_port, wire::Ip6 to, u16 to_port, u8 flags, const Frame& payload = {}) {
  return ip6(from, to, wire::kIpProtoTcp, tcp6_body(from, from_port, to, to_port, flags, payload));
}

inline Frame udp6(wire::Ip6 from, u16 from_port, wire::Ip6 to, u16 to_port, const Frame& payload) {
  Frame f(wire::kUdpHeaderBytes);
  wire::write_udp(f.data(), from_port, to_port, static_cast<u16>(f.size() + payload.size()));
  append(f, payload);
  return ip6(from, to, wire::kIpProtoUdp, summed6(from, to, wire::kIpProtoUdp, f, 6));
}

inline Frame icmp6(wire::Ip6 from, wire::Ip6 to, wire::Icmp6Type type, u8 code, const Frame& payload, u32 rest = 0x10002,
                   u8 hop_limit = 64) {
  Frame f(wire::kIcmp6HeaderBytes);
  wire::write_icmp6(f.data(), type, code, rest);
  append(f, payload);
  return ip6(from, to, wire::kIpProtoIcmp6, summed6(from, to, wire::kIpProtoIcmp6, f, 2), hop_limit);
}

inline Frame nd(wire::Ip6 from, wire::Ip6 to, const wire::NdFields& fields, u8 hop_limit = wire::kIp6HopLimitLink,
                const Frame& more_options = {}) {
  Frame f(wire::kNdBytes + wire::kNdOptionBytes);
  f.resize(wire::write_nd(f.data(), fields));
  append(f, more_options);
  return ip6(from, to, wire::kIpProtoIcmp6, summed6(from, to, wire::kIpProtoIcmp6, f, 2), hop_limit);
}

}  // namespace ringway::test
