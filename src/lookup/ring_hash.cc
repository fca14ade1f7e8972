// Building a ring: how many points each endpoint has, and where they lie.

#include "src/lookup/ring_hash.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <string>

#include "src/base/assert.h"
#include "src/lookup/flow_hash.h"

namespace ringway::lookup {

namespace {

struct Point {
  u64 hash;
  u16 rank;  // of the owner by identity: points that coincide stand in that order
};

std::vector<u16> by_identity(std::span<const MaglevEndpoint> endpoints) {
  std::vector<u16> order(endpoints.size());
  std::iota(order.begin(), order.end(), u16{0});
  std::sort(order.begin(), order.end(), [&](u16 a, u16 b) { return endpoints[a].identity < endpoints[b].identity; });
  return order;
}

// starts[b] is the first point whose leading bits are b or more.
void index_points(Ring& ring) {
  const u32 bits = std::max(1u, static_cast<u32>(std::bit_width(ring.size())) - 1u);
  ring.shift = 64 - bits;
  ring.starts.resize(std::size_t{1} << bits);
  u32 at = 0;
  for (std::size_t bucket = 0; bucket < ring.starts.size(); ++bucket) {
    while (at < ring.size() && ring.hashes[at] >> ring.shift < bucket) ++at;
    ring.starts[bucket] = at;
  }
}

}  // namespace

Ring build_ring(std::span<const MaglevEndpoint> endpoints, u32 points_min, u32 points_max) {
  RW_ASSERT(points_min > 0 && points_min <= points_max);
  RW_ASSERT(endpoints.size() <= kMaglevEndpointsMax);
  u64 sum = 0, lightest = 0;
  for (const MaglevEndpoint& e : endpoints) {
    sum += e.weight;
    if (e.weight != 0 && (lightest == 0 || e.weight < lightest)) lightest = e.weight;
  }
  Ring ring;
  if (sum == 0) return ring;

  // Points up to and with an endpoint: ceil(scale * weight so far), where scale = numerator / denominator.
  using Wide = unsigned __int128;
  Wide numerator = (Wide{lightest} * points_min + sum - 1) / sum, denominator = lightest;
  if (numerator * sum > Wide{points_max} * denominator) numerator = points_max, denominator = sum;

  const std::vector<u16> order = by_identity(endpoints);
  std::vector<Point> points;
  u64 weight = 0;
  std::string name;
  for (u16 rank = 0; rank < order.size(); ++rank) {
    const MaglevEndpoint& e = endpoints[order[rank]];
    weight += e.weight;
    const u64 target = static_cast<u64>((numerator * weight + denominator - 1) / denominator);
    for (u32 n = 0; points.size() < target; ++n) {
      name = e.identity;
      name += '_' + std::to_string(n);
      points.push_back({hash_bytes(name, 0), rank});
    }
  }
  std::sort(points.begin(), points.end(),
            [](const Point& a, const Point& b) { return a.hash != b.hash ? a.hash < b.hash : a.rank < b.rank; });
  ring.hashes.reserve(points.size());
  ring.owners.reserve(points.size());
  for (const Point& p : points) {
    ring.hashes.push_back(p.hash);
    ring.owners.push_back(order[p.rank]);
  }
  index_points(ring);
  return ring;
}

}  // namespace ringway::lookup
