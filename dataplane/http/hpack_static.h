#pragma once
// The static table of HPACK (RFC 7541 appendix A), out of hpack_static.def. Pure, any thread.

#include <array>
#include <string_view>

#include "src/base/types.h"

namespace ringway::http {

struct HpackEntry {
  std::string_view name, value;
};

inline constexpr u32 kHpackStaticEntries = 61;

namespace hpack_detail {
constexpr std::array<HpackEntry, kHpackStaticEntries + 1> make_static_entries() {
  std::array<HpackEntry, kHpackStaticEntries + 1> entries{};
#define RW_HPACK_STATIC(index, name, value, keep) entries[index] = {name, value};
#define RW_HPACK_NAME(name, keep)
#include "dataplane/http/hpack_static.def"
#undef RW_HPACK_STATIC
#undef RW_HPACK_NAME
  return entries;
}
}  // namespace hpack_detail

// By index; there is no entry 0.
inline constexpr std::array<HpackEntry, kHpackStaticEntries + 1> kHpackStatic = hpack_detail::make_static_entries();

}  // namespace ringway::http
