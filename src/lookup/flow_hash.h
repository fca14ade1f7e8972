#pragma once
// Hashes: of a connection's four-tuple for flow tables, and of bytes for balancing.
//
// `flow_hash` is keyed, so that a sender who chooses ports and addresses cannot choose buckets without the seed;
// it is two 64x64 multiplications with their halves folded together, and is good in all of its bits. Its value
// means nothing outside this process: the seed is drawn at start.
//
// `hash_bytes` is XXH64 (libxxhash). Its value is part of how gateways agree: the same endpoint identities and the
// same request keys give the same Maglev slots on every gateway, so its algorithm and seeds are not to change.
//
// Pure; any thread; nothing allocates.

#include <string_view>

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::lookup {

// Both halves of a 64x64 bit product, folded.
inline u64 fold_multiply(u64 a, u64 b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<u64>(product) ^ static_cast<u64>(product >> 64);
}

inline u32 flow_hash(const wire::FourTuple& flow, u64 seed) {
  // Odd constants with about half of their bits set: digits of the golden ratio and of the square root of two.
  constexpr u64 kPhi = 0x9e37'79b9'7f4a'7c15;
  constexpr u64 kRoot2 = 0x6a09'e667'f3bc'c909;
  const u64 addresses = u64{flow.local.v} << 32 | flow.remote.v;
  const u64 ports = u64{flow.local_port} << 16 | flow.remote_port;
  const u64 once = fold_multiply(addresses ^ seed, (ports << 24 | ports) ^ kRoot2);
  const u64 twice = fold_multiply(once ^ ports ^ seed, kPhi);
  return static_cast<u32>(twice ^ twice >> 32);
}

// An IPv6 address in 32 bits that a stranger without the seed cannot choose; it takes the place of an IPv4 address where a
// tuple is hashed (lookup/address_book.h).
inline u32 address_digest(const wire::Ip6& ip, u64 seed) {
  constexpr u64 kRoot3 = 0xbb67'ae85'84ca'a73b;
  const u64 once = fold_multiply(ip.high() ^ seed, ip.low() ^ kRoot3);
  const u64 twice = fold_multiply(once ^ ip.low() ^ kRoot3, seed | 1);
  return static_cast<u32>(twice ^ twice >> 32);
}

u64 hash_bytes(std::string_view bytes, u64 seed);

}  // namespace ringway::lookup
