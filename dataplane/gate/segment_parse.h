#pragma once
// From the bytes of an IP packet to a Segment: RFC 9293 3.1 (header) and 3.2 (options), RFC 7323, RFC 2018.
//
// Pure: bytes in, a Segment or a Verdict out; any thread. Judges lengths, option lengths and contradictory flags, never
// values. Checksums are not looked at: the gate has verified them, in hardware or over all segments of the packet.

#include "dataplane/gate/segment.h"
#include "src/base/types.h"
#include "src/contract/verdict.h"

namespace ringway::gate {

// `first`: the packet from its IPv4 header on, as far as it lies in the first segment; `ip_bytes`: IPv4 total length,
// which may reach into further segments but has been compared with the packet's. `seed` keys the flow hash.
// `out.payload_offset` counts from the IPv4 header. `ok`, or tcp_truncated, tcp_bad_flags, tcp_bad_option;
// ip4_truncated or ip4_bad_version where even the IPv4 header is not whole.
contract::Verdict parse_segment(Bytes first, u32 ip_bytes, u64 seed, Segment& out);

// The same of an IPv6 packet whose TCP header is at `at`, where walk_ip6 found it. The addresses in `out.tuple` are their
// digests (lookup/flow_hash.h), which the hash is of: whoever has an address book puts the names there.
contract::Verdict parse_segment6(Bytes first, u32 ip_bytes, u32 at, u64 seed, Segment& out);

// The options alone: `ok` or tcp_bad_option. Kinds that are not known are skipped.
contract::Verdict parse_tcp_options(Bytes options, TcpOptions& out);

}  // namespace ringway::gate
