#pragma once
// Every limit of Ringway, once. Settings of the configuration may lower what says "default"; nothing raises a `_max`.

#include "src/base/types.h"

namespace ringway::contract {

// Topology.
inline constexpr u32 kCoresMax = 64;
inline constexpr u32 kPortsMax = 8;
inline constexpr u32 kServicesMax = 1024;
inline constexpr u32 kEndpointsMax = 16'384;
inline constexpr u32 kListenersMax = 4096;
inline constexpr u32 kRoutesMax = 8192;

// Packets.
inline constexpr u32 kBurstMax = 32;
inline constexpr u32 kMbufDataBytes = 2048;  // data room behind the headroom

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

// Balancing.
inline constexpr u32 kMaglevSlotsDefault = 65'537;
inline constexpr u32 kMaglevSlotsMax = 5'000'011;
inline constexpr u32 kBoundPercentDefault = 125;
inline constexpr u32 kPickWalkMax = 64;  // slots looked at before any healthy endpoint is taken

// Flight recorder: events kept per core, 32 bytes each.
inline constexpr u32 kRecorderEventsDefault = 16'384;
inline constexpr u32 kRecorderEventsMax = 4'194'304;

static_assert(kFieldsDefault <= kFieldsMax);
static_assert(kHeadBytesDefault <= kHeadBytesMax);
static_assert(kMaglevSlotsDefault <= kMaglevSlotsMax);
static_assert(kRecorderEventsDefault <= kRecorderEventsMax);

}  // namespace ringway::contract
