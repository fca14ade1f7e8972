// Fuzzes parse_segment, and the walk over extension headers in front of parse_segment6: any bytes, any claimed total length. What is accepted lies within the packet.

#include <cstdlib>

#include "dataplane/gate/segment_parse.h"
#include "src/wire/addr.h"
#include "src/wire/ip6.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t n) {
  using namespace ringway;
  if (n < 2) return 0;
  // The claimed length comes first: it may reach beyond what lies in the first segment.
  const u32 ip_bytes = wire::load_be16(bytes);
  // A copy of exact size, so that the sanitizer sees the end.
  u8* const packet = static_cast<u8*>(std::malloc(n - 2 > 0 ? n - 2 : 1));
  for (std::size_t i = 2; i < n; ++i) packet[i - 2] = bytes[i];
  gate::Segment s;
  contract::Verdict v;
  if (n >= 2 + wire::kIp6HeaderBytes && ip_bytes >= wire::kIp6HeaderBytes && packet[0] >> 4 == 6) {
    const wire::Ip6Walk w = wire::walk_ip6({packet, n - 2}, ip_bytes);
    if (w.outcome == wire::Ip6Walked::transport && (w.offset > n - 2 || w.offset > ip_bytes)) std::abort();
    if (w.offset > wire::kIp6HeaderBytes + wire::kIp6ExtensionBytesMax + 255 * 8u) std::abort();
    v = gate::parse_segment6({packet, n - 2}, ip_bytes, w.offset, 1, s);
  } else {
    v = gate::parse_segment({packet, n - 2}, ip_bytes, 1, s);
  }
  if (v == contract::Verdict::ok) {
    if (s.payload_offset + s.payload_bytes != ip_bytes) std::abort();
    if (s.payload_offset > n - 2 || s.payload_offset < 40) std::abort();
    if (s.options.sack_count > s.options.sack.size()) std::abort();
    if (s.has(gate::kSyn) && s.has(gate::kFin | gate::kRst)) std::abort();
  }
  std::free(packet);
  return 0;
}
