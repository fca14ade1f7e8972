// flow_hash: avalanche, spread over a table, dependence on the seed; hash_bytes: XXH64 with published values.

#include "src/lookup/flow_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace ringway::lookup {
namespace {

using wire::FourTuple;
using wire::Ip4;

FourTuple with_bit_flipped(FourTuple f, unsigned bit) {
  if (bit < 32)
    f.local.v ^= 1u << bit;
  else if (bit < 64)
    f.remote.v ^= 1u << (bit - 32);
  else if (bit < 80)
    f.local_port = static_cast<u16>(f.local_port ^ 1u << (bit - 64));
  else
    f.remote_port = static_cast<u16>(f.remote_port ^ 1u << (bit - 80));
  return f;
}

TEST(FlowHash, OneInputBitFlipped_FlipsEachOutputBitHalfOfTheTime) {
  std::mt19937_64 random(3);
  constexpr int kDraws = 4000;
  double worst = 0;
  for (unsigned bit = 0; bit < 96; bit++) {
    std::array<u32, 32> flips{};
    for (int i = 0; i < kDraws; i++) {
      const FourTuple f{Ip4{static_cast<u32>(random())}, Ip4{static_cast<u32>(random())}, static_cast<u16>(random()),
                        static_cast<u16>(random())};
      const u64 seed = random();
      const u32 changed = flow_hash(f, seed) ^ flow_hash(with_bit_flipped(f, bit), seed);
      for (unsigned out = 0; out < 32; out++) flips[out] += changed >> out & 1;
    }
    for (const u32 n : flips) worst = std::max(worst, std::abs(n / double{kDraws} - 0.5));
  }
  // 3072 fractions of 4000 draws: the standard deviation is 0.8 %, so 5 of them are 4 %.
  EXPECT_LT(worst, 0.04);
}

// Pearson's chi-squared over 2^bits buckets, in standard deviations from its mean.
double unevenness(const std::vector<u32>& hashes, unsigned shift, unsigned bits) {
  std::vector<u32> count(std::size_t{1} << bits);
  for (const u32 h : hashes) count[h >> shift & ((1u << bits) - 1)]++;
  const double expected = static_cast<double>(hashes.size()) / static_cast<double>(count.size());
  double chi = 0;
  for (const u32 n : count) chi += (n - expected) * (n - expected) / expected;
  const double freedom = static_cast<double>(count.size() - 1);
  return (chi - freedom) / std::sqrt(2 * freedom);
}

TEST(FlowHash, RealisticFlows_SpreadEvenlyInLowMiddleAndHighBits) {
  for (const u64 seed : {0ull, 1ull, 0x1234'5678'9abc'def0ull}) {
    std::vector<u32> one_client, many_clients, many_vips;
    for (u32 i = 0; i < 60'000; i++) {
      const u16 port = static_cast<u16>(1024 + i);
      one_client.push_back(flow_hash({Ip4::of(10, 0, 0, 1), Ip4::of(10, 1, 0, 9), 80, port}, seed));
      many_clients.push_back(flow_hash({Ip4::of(10, 0, 0, 1), Ip4{0x0a010000 + i}, 80, 40'000}, seed));
      many_vips.push_back(
          flow_hash({Ip4{0x7f000000 + i % 250}, Ip4::of(10, 1, 0, 9), 80, static_cast<u16>(i / 250)}, seed));
    }
    for (const auto* hashes : {&one_client, &many_clients, &many_vips}) {
      for (const unsigned shift : {0u, 10u, 20u})
        EXPECT_LT(unevenness(*hashes, shift, 12), 5.0) << seed << " " << shift;
    }
  }
}

TEST(FlowHash, DirectionsAndSeeds_GiveDifferentValues) {
  const FourTuple f{Ip4::of(10, 0, 0, 1), Ip4::of(10, 0, 0, 2), 80, 5000};
  const FourTuple back{f.remote, f.local, f.remote_port, f.local_port};
  EXPECT_NE(flow_hash(f, 1), flow_hash(back, 1));
  EXPECT_NE(flow_hash(f, 1), flow_hash(f, 2));
  EXPECT_EQ(flow_hash(f, 1), flow_hash(f, 1));
}

// Two flows that collide under one seed should not go on colliding under others.
TEST(FlowHash, CollidingFlows_PartUnderAnotherSeed) {
  std::vector<std::pair<u32, u32>> by_hash;
  const auto flow = [](u32 i) {
    return FourTuple{Ip4::of(10, 0, 0, 1), Ip4{0x0a000000 + i}, 443, static_cast<u16>(i * 7)};
  };
  for (u32 i = 0; i < 300'000; i++) by_hash.emplace_back(flow_hash(flow(i), 1), i);
  std::sort(by_hash.begin(), by_hash.end());
  int collide = 0, again = 0;
  for (std::size_t i = 1; i < by_hash.size(); i++) {
    if (by_hash[i].first != by_hash[i - 1].first) continue;
    collide++;
    again += flow_hash(flow(by_hash[i].second), 2) == flow_hash(flow(by_hash[i - 1].second), 2);
  }
  EXPECT_LT(collide, 40);  // 10.5 are expected of a random function
  EXPECT_EQ(again, 0);
}

// Values of XXH64 as its author publishes them for the empty input.
TEST(HashBytes, EmptyInput_IsXxh64) {
  EXPECT_EQ(hash_bytes("", 0), 0xef46'db37'51d8'e999u);
  EXPECT_NE(hash_bytes("", 1), hash_bytes("", 0));
}

}  // namespace
}  // namespace ringway::lookup
