#pragma once
// The hash that consistent hashing stands on: from the bytes of a request's key to 64 bits.
//
// Unkeyed and the same on every core and every gateway, so that a key reaches the same endpoint wherever it enters.
// A client can therefore aim at one endpoint; bounded load is what keeps that endpoint from drowning.
// A multiplication folds two words at a time (the high half carries what the low half lost). `reduce` maps the hash
// onto 0..n-1 by its high bits, with one multiplication instead of a division. Pure, any thread.

#include <cstring>
#include <string_view>

#include "src/base/types.h"

namespace ringway::route {

namespace key_hash_detail {

inline constexpr u64 kLeft = 0x9e37'79b9'7f4a'7c15;   // 2^64 / golden ratio
inline constexpr u64 kRight = 0xd1b5'4a32'd192'ed03;  // 2^64 / plastic number, made odd
inline constexpr u64 kTail = 0x8cb9'2ba7'2f3d'8dd7;

inline u64 fold(u64 a, u64 b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<u64>(product) ^ static_cast<u64>(product >> 64);
}

inline u64 load(const char* p, std::size_t bytes) {
  u64 word = 0;
  std::memcpy(&word, p, bytes);
  return word;
}

}  // namespace key_hash_detail

// Every bit of `v` moves every bit of the result.
inline u64 mix(u64 v) {
  using namespace key_hash_detail;
  return fold(v ^ kLeft, fold(v ^ kRight, kTail) ^ kLeft);
}

inline u64 hash_bytes(std::string_view text) {
  using namespace key_hash_detail;
  u64 state = text.size() * kLeft ^ kTail;
  const char* p = text.data();
  std::size_t left = text.size();
  for (; left >= 16; p += 16, left -= 16) state = fold(load(p, 8) ^ kLeft ^ state, load(p + 8, 8) ^ kRight);
  const u64 low = load(p, left < 8 ? left : 8);
  const u64 high = left > 8 ? load(p + 8, left - 8) : 0;
  state = fold(low ^ kLeft ^ state, high ^ kRight);
  return mix(state);
}

// 0..n-1, in proportion to the hash's high bits; n > 0.
inline u32 reduce(u64 hash, u32 n) {
  return static_cast<u32>((static_cast<unsigned __int128>(hash) * n) >> 64);
}

}  // namespace ringway::route
