#pragma once
// Ring hash: consistent hashing on a circle of 64-bit hashes, in the manner of ketama.
//
// Every endpoint has points on the circle, XXH64 of "<identity>_<n>" for n from 0, as many as its weight says; a key
// belongs to the first point at or after its hash. When an endpoint leaves, its keys alone move, each to the next point;
// when one comes, it takes keys and no others move. That is exact, where Maglev's is almost so; the price are shares that
// differ by about 1 / sqrt(points of an endpoint), and a larger table.
//
// How many points: the lightest endpoint gets ceil(its share of `points_min`), the others in proportion, so the ring has
// at least `points_min`; when that would be more than `points_max`, all are scaled down to it. Envoy's rule and hash, so
// that a mesh of both agrees where identities do. The order of input does not matter.
//
// Points are found by the leading bits of the hash, which name a bucket of two points or less on average, so a look-up is
// a few comparisons whatever the size. Built by the control plane; `find` is for the packet path and allocates nothing.

#include <span>
#include <vector>

#include "src/base/types.h"
#include "src/lookup/maglev.h"

namespace ringway::lookup {

struct Ring {
  std::vector<u64> hashes;  // ascending
  std::vector<u16> owners;  // beside `hashes`
  std::vector<u32> starts;  // by the leading bits of a hash: the first point that has them, or more
  u32 shift = 63;           // leaves the leading bits

  bool empty() const { return hashes.empty(); }
  u32 size() const { return static_cast<u32>(hashes.size()); }

  // The first point at or after `hash`, going round; the ring is not empty.
  u32 find(u64 hash) const {
    u32 at = starts[hash >> shift];
    const u32 end = size();
    while (at < end && hashes[at] < hash) ++at;
    return at == end ? 0 : at;
  }
};

// Owners are indexes into `endpoints`; an endpoint that weighs nothing has no point. 0 < points_min <= points_max.
Ring build_ring(std::span<const MaglevEndpoint> endpoints, u32 points_min, u32 points_max);

}  // namespace ringway::lookup
