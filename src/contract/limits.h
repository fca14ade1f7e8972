#pragma once
// Every limit of Ringway, once. Settings of the configuration may lower what says "default"; nothing raises a `_max`.

#include "src/base/types.h"

namespace ringway::contract {

// Topology.
inline constexpr u32 kCoresMax = 64;
inline constexpr u32 kPortsMax = 8;
inline constexpr u32 kPathsMax = 32;  // networks of a port with a packet size of their own
inline constexpr u32 kServicesMax = 1024;
inline constexpr u32 kEndpointsMax = 16'384;
inline constexpr u32 kListenersMax = 4096;
inline constexpr u32 kRoutesMax = 8192;

// Access: callers beside services, networks of one list, rules of one service. What a plan tells apart by source has to fit
// 16 bits, and what gateway.ingress comes to, one entry for each network and each target of a rule, memory for its ACL.
inline constexpr u32 kCallersMax = 4096;
inline constexpr u32 kNetworksMax = 4096;
inline constexpr u32 kAccessRulesMax = 1024;
inline constexpr u32 kIngressRulesMax = 1024;
inline constexpr u32 kIngressEntriesMax = 65'536;

// Packets.
inline constexpr u32 kBurstMax = 32;
inline constexpr u32 kMbufDataBytes = 2048;  // data room behind the headroom, unless configured

// HTTP heads: RFC 9112 2.3 and 3 ask for at least 8000 octets of request line.
inline constexpr u32 kHeadBytesMax = 65'535;      // offsets of fields are 16 bits
inline constexpr u32 kHeadBytesDefault = 61'440;  // Envoy: 60 KiB
inline constexpr u32 kFieldsMax = 128;
inline constexpr u32 kFieldsDefault = 100;  // Envoy: 100
inline constexpr u32 kTargetBytesDefault = 8192;
inline constexpr u32 kMethodBytesMax = 32;
inline constexpr u32 kEmptyLinesMax = 4;          // skipped before a request line, RFC 9112 2.2
inline constexpr u32 kConnectionOptionsMax = 32;  // names in the Connection fields of one head
inline constexpr u32 kChunkLineBytesMax = 512;    // chunk size with its extensions
inline constexpr u32 kTrailerBytesMax = 8192;
inline constexpr u32 kProxyHeaderBytesMax = 2048;  // of a PROXY header, with whatever a load balancer adds to it

// HPACK, RFC 7541: the dynamic table of each direction of an HTTP/2 connection. 4096 is what a peer may use before any
// SETTINGS (RFC 9113 6.5.2); we never offer or use more.
inline constexpr u32 kHpackTableBytesMax = 4096;
inline constexpr u32 kHpackEntryBytes = 32;  // what an entry counts beside its text, RFC 7541 4.1

// HTTP/2, RFC 9113: what one connection may have, and what a peer may do that brings nothing (section 10.5). Tokens pay
// for such frames: earned by useful work, and by time, one in 8 ms.
inline constexpr u32 kH2StreamsDefault = 128;      // 6.5.2 advises at least 100
inline constexpr u32 kH2StreamsMax = 1024;
inline constexpr u32 kH2TokensMax = 1000;
inline constexpr u32 kH2TokenBytes = 256;          // so many octets of payload, either way, earn one
inline constexpr u32 kH2TokensPerStream = 16;      // that ended in order
inline constexpr u32 kH2TokensPerData = 2;         // sent by us and not cut short by a window: WINDOW_UPDATEs will come
inline constexpr u32 kH2ResetsMax = 100;           // early resets at once; a stream that ends in order earns one, so do 131 ms
inline constexpr u32 kH2ContinuationsMax = 64;     // of one header block
inline constexpr u32 kH2EmptyContinuationsMax = 4;
inline constexpr u32 kH2DecodedBytesMax = 4 * kHeadBytesMax;  // of one header block, as 6.5.2 counts a field section
inline constexpr u32 kH2AnswersMax = 512;         // owed to the peer and not taken by whoever sends

// Balancing.
inline constexpr u32 kMaglevSlotsDefault = 65'537;
inline constexpr u32 kMaglevSlotsMax = 5'000'011;
inline constexpr u32 kBoundPercentDefault = 125;
inline constexpr u32 kPickWalkMax = 64;  // slots looked at before any healthy endpoint is taken
inline constexpr u32 kRingPointsDefault = 1024;      // Envoy: minimum_ring_size
inline constexpr u32 kRingPointsMax = 8'388'608;     // Envoy: maximum_ring_size
inline constexpr u32 kPrioritiesMax = 8;             // 0 is the best
inline constexpr u32 kOverprovisioningPercent = 140; // Envoy: a level gives nothing away down to 72 % healthy
inline constexpr u32 kPoolsMax = 4096;  // of all services: levels and subsets beyond one table for a service; and zones of them
inline constexpr u32 kZonesMax = 16;    // of one pool, the gateway's own included
inline constexpr u32 kChoicesMax = 16;  // endpoints that leastRequest compares
inline constexpr u32 kScoredMax = 64;   // endpoints among which a weighted draw looks at every one

// Actions of routes.
inline constexpr u32 kFieldChangesMax = 32;         // names in one list of one place: set, add, remove
inline constexpr u32 kFieldValueBytesMax = 4096;    // of a value as configured
inline constexpr u32 kAnswerBodyBytesMax = 4096;    // Envoy: 4 KiB
inline constexpr u32 kRewritePatternBytesMax = 512;
inline constexpr u32 kRewriteCodeBytesMax = 16'384;  // of an expression, compiled
inline constexpr u32 kRewriteGroupsMax = 9;          // \1 to \9
inline constexpr u32 kRewriteMatchesMax = 16;        // replaced in one path
inline constexpr u32 kRewriteStepsMax = 10'000;      // of the matcher, for one match
inline constexpr u32 kFaultDelayMsMax = 300'000;

// Flight recorder: events kept per core, 32 bytes each.
inline constexpr u32 kRecorderEventsDefault = 16'384;
inline constexpr u32 kRecorderEventsMax = 4'194'304;

static_assert(kFieldsDefault <= kFieldsMax);
static_assert(kHeadBytesDefault <= kHeadBytesMax);
static_assert(kH2StreamsDefault <= kH2StreamsMax);
static_assert(kMaglevSlotsDefault <= kMaglevSlotsMax);
static_assert(kRingPointsDefault <= kRingPointsMax);
static_assert(kChoicesMax <= kPickWalkMax);
static_assert(kRecorderEventsDefault <= kRecorderEventsMax);

}  // namespace ringway::contract
