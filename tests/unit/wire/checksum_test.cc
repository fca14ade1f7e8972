// The Internet checksum against RFC 1071's example, RFC 1624's, and a version that adds word by word.

#include "src/wire/checksum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace ringway::wire {
namespace {

u16 slow_sum(Bytes b) {
  u32 sum = 0;
  for (std::size_t i = 0; i < b.size(); i += 2) {
    sum += static_cast<u32>(b[i] << 8) | (i + 1 < b.size() ? b[i + 1] : 0u);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<u16>(sum);
}

std::vector<u8> random_bytes(std::size_t n, std::mt19937& rng) {
  std::vector<u8> v(n);
  for (u8& b : v) b = static_cast<u8>(rng());
  return v;
}

TEST(Rfc1071, ExampleOfSection3SumsToDdf2) {
  const std::vector<u8> b{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  Checksum sum;
  sum.add(b);
  EXPECT_EQ(sum.partial().host(), 0xddf2);
  EXPECT_EQ(sum.value().host(), 0x220d);
}

TEST(Rfc1071, ExampleInOddPiecesSumsToTheSame) {
  const std::vector<u8> b{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  Checksum sum;
  sum.add(Bytes(b).first(3));
  sum.add(Bytes(b).subspan(3, 1));
  sum.add(Bytes(b).subspan(4, 3));
  sum.add(Bytes(b).subspan(7));
  EXPECT_EQ(sum.partial().host(), 0xddf2);
}

TEST(Checksum, EveryLengthAndAlignmentAgreesWithWordByWord) {
  std::mt19937 rng(1);
  const std::vector<u8> b = random_bytes(4096, rng);
  for (std::size_t n = 0; n < 700; ++n) {
    for (std::size_t at = 0; at < 5; ++at) {
      const Bytes part = Bytes(b).subspan(at, n);
      ASSERT_EQ(checksum(part).host(), static_cast<u16>(~slow_sum(part))) << n << " bytes at " << at;
    }
  }
}

TEST(Checksum, ExtremesOfAllOnesAndAllZerosDoNotOverflow) {
  for (u32 fill : {0x00u, 0x7fu, 0x80u, 0xffu}) {
    const std::vector<u8> b(65'535, static_cast<u8>(fill));
    for (std::size_t n : {1u, 64u, 1500u, 9000u, 65'535u}) {
      ASSERT_EQ(checksum(Bytes(b).first(n)).host(), static_cast<u16>(~slow_sum(Bytes(b).first(n)))) << n;
    }
  }
}

TEST(Checksum, RandomPiecesSumAsOneWhole) {
  std::mt19937 rng(2);
  for (int round = 0; round < 2000; ++round) {
    const std::vector<u8> b = random_bytes(1 + rng() % 2000, rng);
    Checksum pieces;
    for (std::size_t at = 0; at < b.size();) {
      const std::size_t n = std::min<std::size_t>(rng() % 300, b.size() - at);
      pieces.add(Bytes(b).subspan(at, n));
      at += n;
    }
    ASSERT_EQ(pieces.value(), checksum(b));
  }
}

TEST(Rfc1624, ExampleOfSection4UpdatesToZeroPlus) {
  // HC = 0xdd2f, m = 0x5555, m' = 0x3285 gives 0x0000.
  EXPECT_EQ(adjust_checksum(Be16::from_host(0xdd2f), Be16::from_host(0x5555), Be16::from_host(0x3285)).host(), 0x0000);
}

TEST(Rfc1624, UpdateEqualsComputingAnew) {
  std::mt19937 rng(3);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<u8> b = random_bytes(40, rng);
    const Be16 before = checksum(b);
    Be32 was, is{static_cast<u32>(rng())};
    std::memcpy(&was.raw, &b[8], 4);
    std::memcpy(&b[8], &is.raw, 4);
    ASSERT_EQ(adjust_checksum(before, was, is), checksum(b));
    Be16 was16, is16{static_cast<u16>(rng())};
    std::memcpy(&was16.raw, &b[20], 2);
    const Be16 between = checksum(b);
    std::memcpy(&b[20], &is16.raw, 2);
    ASSERT_EQ(adjust_checksum(between, was16, is16), checksum(b));
  }
}

TEST(Checksum, PseudoHeaderIsSummedAsIfItStoodInFront) {
  std::mt19937 rng(4);
  const Ip4 from{static_cast<u32>(rng())}, to{static_cast<u32>(rng())};
  const std::vector<u8> body = random_bytes(333, rng);
  std::vector<u8> whole(12);
  store_be32(&whole[0], from.v);
  store_be32(&whole[4], to.v);
  whole[9] = 6;
  store_be16(&whole[10], 333);
  whole.insert(whole.end(), body.begin(), body.end());
  Checksum sum(pseudo_header_sum(from, to, 6, 333));
  sum.add(body);
  EXPECT_EQ(sum.value(), checksum(whole));
}

}  // namespace
}  // namespace ringway::wire
