// Building a Maglev table: the population loop of the paper's section 3.4, with weights.

#include "src/lookup/maglev.h"

#include <algorithm>
#include <numeric>

#include "src/base/assert.h"
#include "src/lookup/flow_hash.h"

namespace ringway::lookup {

namespace {

struct Turn {
  u32 slot;  // next in this endpoint's permutation
  u32 skip;
  u64 weight;
  u64 credit;  // takes a slot when this reaches the largest weight
  u16 index;   // in the caller's order
};

std::vector<Turn> turns_by_identity(std::span<const MaglevEndpoint> endpoints, u32 slots, u64 weight_max) {
  std::vector<u16> order(endpoints.size());
  std::iota(order.begin(), order.end(), u16{0});
  std::sort(order.begin(), order.end(), [&](u16 a, u16 b) { return endpoints[a].identity < endpoints[b].identity; });
  std::vector<Turn> turns;
  turns.reserve(order.size());
  for (const u16 index : order) {
    const MaglevEndpoint& e = endpoints[index];
    if (e.weight == 0) continue;
    turns.push_back({.slot = static_cast<u32>(hash_bytes(e.identity, 0) % slots),
                     .skip = static_cast<u32>(hash_bytes(e.identity, 1) % (slots - 1) + 1),
                     .weight = e.weight,
                     .credit = weight_max,
                     .index = index});
  }
  return turns;
}

}  // namespace

std::vector<u16> build_maglev(std::span<const MaglevEndpoint> endpoints, u32 slots) {
  RW_ASSERT(is_prime(slots));
  RW_ASSERT(endpoints.size() <= kMaglevEndpointsMax);
  u64 weight_max = 0;
  for (const MaglevEndpoint& e : endpoints) weight_max = std::max<u64>(weight_max, e.weight);
  if (weight_max == 0) return {};

  std::vector<Turn> turns = turns_by_identity(endpoints, slots, weight_max);
  std::vector<u16> table(slots);
  // Most looks find the slot taken: a bit per slot keeps them in the first-level cache.
  std::vector<u64> taken(slots / 64 + 1);
  const auto is_taken = [&](u32 slot) { return (taken[slot / 64] >> (slot % 64) & 1) != 0; };
  for (u32 filled = 0;;) {
    for (Turn& t : turns) {
      t.credit += t.weight;
      if (t.credit < weight_max) continue;
      t.credit -= weight_max;
      const auto advance = [&] {
        // slot + skip may pass 2^32 when slots is near it, hence the comparison instead of a sum.
        t.slot = t.slot >= slots - t.skip ? t.slot - (slots - t.skip) : t.slot + t.skip;
      };
      while (is_taken(t.slot)) advance();
      taken[t.slot / 64] |= u64{1} << (t.slot % 64);
      table[t.slot] = t.index;
      advance();
      if (++filled == slots) return table;
    }
  }
}

bool is_prime(u32 n) {
  if (n < 4) return n >= 2;
  if (n % 2 == 0 || n % 3 == 0) return false;
  for (u64 d = 5; d * d <= n; d += 6)
    if (n % d == 0 || n % (d + 2) == 0) return false;
  return true;
}

u32 next_prime(u32 n) {
  RW_ASSERT(n <= 4'294'967'291u);
  while (!is_prime(n)) n++;
  return n;
}

}  // namespace ringway::lookup
