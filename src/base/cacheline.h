#pragma once
// Cache-line size, for laying out what different cores write.

#include <cstddef>

namespace ringway {

inline constexpr std::size_t kCacheLineBytes = 64;

}  // namespace ringway

#define RW_CACHE_ALIGNED alignas(::ringway::kCacheLineBytes)
