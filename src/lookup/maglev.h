#pragma once
// Maglev: the consistent-hashing table of Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
// Balancer", NSDI 2016, section 3.4.
//
// Every endpoint has its own permutation of the slots, made from two hashes of its identity: it begins at `offset`
// and strides by `skip`, which a prime number of slots makes visit each slot once. Endpoints take turns, each taking
// the next slot of its permutation that is still free, until the table is full. Shares come out almost equal, and
// most slots keep their endpoint when another one comes or goes (docs/maglev.md has the measured figures).
//
// The identity decides, not the place in the input: endpoints are sorted by identity first, so any two gateways
// that know the same endpoints build the same table, whatever order they learnt them in. offset is XXH64(identity,
// seed 0) mod slots and skip is XXH64(identity, seed 1) mod (slots - 1) + 1: Envoy's choice, so that a mesh of both
// agrees where identities do. Weights follow Envoy as well: in turn n an endpoint takes a slot when n * weight has
// caught up with what it took times the largest weight; all that weigh anything get a slot in the first turn.
//
// Called by the control plane; pure, any thread. `maglev_slot` is for the packet path and allocates nothing.

#include <span>
#include <string_view>
#include <vector>

#include "src/base/types.h"

namespace ringway::lookup {

struct MaglevEndpoint {
  std::string_view identity;  // distinct within one table, e.g. "10.0.0.7:8080"
  u32 weight = 1;             // relative; 0 takes no slot
};

// A slot names its endpoint in 16 bits.
inline constexpr u32 kMaglevEndpointsMax = 65'535;

// Returns, for each of `slots` slots, an index into `endpoints`. Empty when no endpoint weighs anything. `slots` is
// prime and should be over a hundred times the number of endpoints, for shares equal to 1 %; at most
// kMaglevEndpointsMax endpoints. With more endpoints than slots the last by identity get none.
std::vector<u16> build_maglev(std::span<const MaglevEndpoint> endpoints, u32 slots);

// The slot that a key's 64-bit hash falls into: its high 32 bits scaled to `slots`, without a division.
inline u32 maglev_slot(u64 hash, u32 slots) { return static_cast<u32>((hash >> 32) * slots >> 32); }

bool is_prime(u32 n);
// The smallest prime that is at least `n`; `n` is at most 4,294,967,291, the largest prime of 32 bits.
u32 next_prime(u32 n);

}  // namespace ringway::lookup
