#pragma once
// The DNS responder: answers for the service names, authoritatively, over UDP (RFC 1035, 2308, 4343, 6891).
//
// Names of the plan get their addresses: A the IPv4 one, AAAA (RFC 3596) the IPv6 one. A known name asked for another type,
// or for a family that it has no address of, gets NODATA, an unknown name below one of
// the plan's zones (or of a single label) NXDOMAIN, both with an SOA for negative caching; any other name is REFUSED.
// The question is echoed as it was sent, letter case included (0x20). An answer that does not fit the asker's size (512
// bytes, or what EDNS0 says) is sent without records and with TC set.
//
// Pure: bytes in, bytes out, no state; any thread.

#include "src/base/types.h"
#include "src/contract/plan.h"

namespace ringway::dns {

inline constexpr u32 kAnswerBytesMax = 1232;  // what we offer by EDNS0: fits every path (DNS flag day 2020)

// Writes the answer to `query` (the UDP payload) to `out`, which has room for at least 512 bytes; returns its length.
// 0: nothing is to be answered, because the message is too short for a header or is itself a response.
u32 answer(Bytes query, const contract::Plan& plan, MutBytes out);

}  // namespace ringway::dns
