#pragma once
// Integer and byte-range names used in every room.
//
// Pure, header-only, callable from any thread. Nothing here allocates.
// Time on the packet path is microseconds since an arbitrary start (`TimeUs`), read once per poll;
// cycle accounting uses raw TSC ticks (`Tsc`), see base/clock.h.

#include <cstddef>
#include <cstdint>
#include <span>

namespace ringway {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

using Bytes = std::span<const u8>;
using MutBytes = std::span<u8>;

using TimeUs = u64;  // microseconds, monotonic
using Tsc = u64;     // CPU timestamp counter ticks

// "No such index" for slabs, lists and tables addressed by u32.
inline constexpr u32 kNone32 = 0xffff'ffffu;

}  // namespace ringway
