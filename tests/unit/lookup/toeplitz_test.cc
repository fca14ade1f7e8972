// Toeplitz against Microsoft's published vectors; the port chooser against the hash itself.

#include "src/lookup/toeplitz.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace ringway::lookup {
namespace {

using wire::Ip4;

struct Vector {
  Ip4 destination;
  u16 destination_port;
  Ip4 source;
  u16 source_port;
  u32 addresses_only;
  u32 with_ports;
};

// Microsoft, "Verifying the RSS Hash Calculation", IPv4.
const Vector kVectors[] = {
    {Ip4::of(161, 142, 100, 80), 1766, Ip4::of(66, 9, 149, 187), 2794, 0x323e8fc2, 0x51ccc178},
    {Ip4::of(65, 69, 140, 83), 4739, Ip4::of(199, 92, 111, 2), 14230, 0xd718262a, 0xc626b0ea},
    {Ip4::of(12, 22, 207, 184), 38024, Ip4::of(24, 19, 198, 95), 12898, 0xd2d0a5de, 0x5c2b394a},
    {Ip4::of(209, 142, 163, 6), 2217, Ip4::of(38, 27, 205, 30), 48228, 0x82989176, 0xafc7327f},
    {Ip4::of(202, 188, 127, 2), 1303, Ip4::of(153, 39, 163, 191), 44251, 0x5d1809c5, 0x10e828a2},
};

TEST(Toeplitz, MicrosoftsVectors_AreReproduced) {
  const Toeplitz t(kRssKeyMicrosoft);
  for (const Vector& v : kVectors) {
    EXPECT_EQ(t.hash(v.source, v.destination), v.addresses_only);
    EXPECT_EQ(t.hash(v.source, v.destination, v.source_port, v.destination_port), v.with_ports);
  }
}

// The same source's vectors of TCP over IPv6.
TEST(Toeplitz, MicrosoftsIpv6Vectors_AreReproduced) {
  using wire::Ip6;
  const Toeplitz t(kRssKeyMicrosoft);
  struct {
    Ip6 destination;
    u16 destination_port;
    Ip6 source;
    u16 source_port;
    u32 with_ports;
  } const vectors[] = {
      {Ip6::of(0x3ffe, 0x2501, 0x200, 3, 0, 0, 0, 1), 1766, Ip6::of(0x3ffe, 0x2501, 0x200, 0x1fff, 0, 0, 0, 7), 2794,
       0x40207d3d},
      {Ip6::of(0xff02, 0, 0, 0, 0, 0, 0, 1), 4739, Ip6::of(0x3ffe, 0x501, 8, 0, 0x260, 0x97ff, 0xfe40, 0xefab), 14230,
       0xdde51bbf},
      {Ip6::of(0xfe80, 0, 0, 0, 0x200, 0xf8ff, 0xfe21, 0x67cf), 38024,
       Ip6::of(0x3ffe, 0x1900, 0x4545, 3, 0x200, 0xf8ff, 0xfe21, 0x67cf), 44251, 0x02d1feef},
  };
  for (const auto& v : vectors) {
    EXPECT_EQ(t.hash(v.source, v.destination, v.source_port, v.destination_port), v.with_ports);
  }
}

TEST(RssPortChooser, Ipv6PortsOfEachQueue_LandThereAndTogetherAreAllPorts) {
  const wire::Ip ours = wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1), theirs = wire::Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 2);
  std::vector<u16> reta(128);
  for (u32 i = 0; i < reta.size(); ++i) reta[i] = static_cast<u16>(i % 3);
  const Toeplitz t(kRssKeyMicrosoft);
  u32 all = 0;
  for (u16 queue = 0; queue < 3; ++queue) {
    const RssPortChooser chooser(kRssKeyMicrosoft, reta, queue, 20'000, 20'999);
    const u32 choices = chooser.choices(theirs, 443, ours);
    all += choices;
    for (u32 n = 0; n < choices; ++n) {
      const u16 port = chooser.choice(theirs, 443, ours, n);
      ASSERT_EQ(reta[t.hash(theirs.ip6(), ours.ip6(), 443, port) & 127], queue);
      ASSERT_TRUE(chooser.lands(theirs, 443, ours, port));
    }
    const u16 drawn = chooser.pick(theirs, 443, ours, 0x9abc'def0u);
    EXPECT_TRUE(chooser.lands(theirs, 443, ours, drawn));
  }
  EXPECT_EQ(all, 1000u);
}

RssKey random_key(u64 seed) {
  std::mt19937_64 random(seed);
  RssKey key;
  for (u8& b : key) b = static_cast<u8>(random());
  return key;
}

TEST(Toeplitz, SymmetricKey_HashesBothDirectionsAlike) {
  EXPECT_TRUE(is_symmetric(kRssKeySymmetric));
  const Toeplitz t(kRssKeySymmetric);
  std::mt19937 random(1);
  for (int i = 0; i < 1000; i++) {
    const Ip4 a{static_cast<u32>(random())}, b{static_cast<u32>(random())};
    const u16 p = static_cast<u16>(random()), q = static_cast<u16>(random());
    ASSERT_EQ(t.hash(a, b, p, q), t.hash(b, a, q, p));
    ASSERT_EQ(t.hash(a, b), t.hash(b, a));
  }
}

TEST(Toeplitz, IsSymmetric_RefusesOtherKeysAndOneFlippedBit) {
  EXPECT_FALSE(is_symmetric(kRssKeyMicrosoft));
  EXPECT_FALSE(is_symmetric(random_key(4)));
  // Bits 0..126 take part in the hash of a 12-byte tuple; what is behind them does not matter.
  for (std::size_t bit = 0; bit < 160; bit++) {
    RssKey key = kRssKeySymmetric;
    key[bit / 8] = static_cast<u8>(key[bit / 8] ^ 0x80 >> bit % 8);
    EXPECT_EQ(is_symmetric(key), bit > 126) << bit;
  }
}

std::vector<u16> round_robin_reta(std::size_t size, u16 queues) {
  std::vector<u16> reta(size);
  for (std::size_t i = 0; i < size; i++) reta[i] = static_cast<u16>(i % queues);
  return reta;
}

struct Upstream {
  Ip4 ip;
  u16 port;
  Ip4 local;
};
Upstream random_upstream(std::mt19937& random) {
  return {Ip4{static_cast<u32>(random())}, static_cast<u16>(random()), Ip4{static_cast<u32>(random())}};
}

TEST(RssPortChooser, PickedPorts_LandOnTheWantedQueueForAnyKeyAndReta) {
  std::mt19937 random(20);
  const RssKey keys[] = {kRssKeyMicrosoft, kRssKeySymmetric, random_key(1), random_key(2)};
  for (const RssKey& key : keys) {
    const Toeplitz t(key);
    for (const std::size_t reta_size : {std::size_t{1}, std::size_t{64}, std::size_t{128}, std::size_t{512}}) {
      const u16 queues = reta_size == 1 ? 1 : 6;
      const auto reta = round_robin_reta(reta_size, queues);
      for (u16 queue = 0; queue < queues; queue++) {
        const RssPortChooser chooser(key, reta, queue, 1024, 65'535);
        for (int i = 0; i < 500; i++) {
          const Upstream u = random_upstream(random);
          const u16 port = chooser.pick(u.ip, u.port, u.local, static_cast<u32>(random()));
          ASSERT_GE(port, 1024);
          ASSERT_EQ(reta[t.hash(u.ip, u.local, u.port, port) & (reta_size - 1)], queue);
          ASSERT_TRUE(chooser.lands(u.ip, u.port, u.local, port));
        }
      }
    }
  }
}

TEST(RssPortChooser, ChoicesOfAllQueues_PartitionTheRangeAndAgreeWithLands) {
  const auto reta = round_robin_reta(128, 3);
  std::mt19937 random(5);
  const Upstream u = random_upstream(random);
  std::set<u16> seen;
  for (u16 queue = 0; queue < 3; queue++) {
    const RssPortChooser chooser(kRssKeyMicrosoft, reta, queue, 32'768, 60'999);
    const u32 count = chooser.choices(u.ip, u.port, u.local);
    for (u32 n = 0; n < count; n++) {
      const u16 port = chooser.choice(u.ip, u.port, u.local, n);
      ASSERT_TRUE(chooser.lands(u.ip, u.port, u.local, port));
      ASSERT_TRUE(seen.insert(port).second) << port;
    }
    EXPECT_EQ(chooser.choice(u.ip, u.port, u.local, count), 0);
    EXPECT_NEAR(count, 28'232 / 3.0, 400);
  }
  EXPECT_EQ(seen.size(), 28'232u);
  EXPECT_EQ(*seen.begin(), 32'768);
  EXPECT_EQ(*seen.rbegin(), 60'999);
}

TEST(RssPortChooser, Draws_ReachEveryQualifyingPort) {
  const auto reta = round_robin_reta(128, 4);
  const RssPortChooser chooser(random_key(9), reta, 2, 50'000, 51'999);
  const Upstream u{Ip4::of(10, 0, 0, 1), 8080, Ip4::of(10, 0, 0, 2)};
  std::mt19937 random(1);
  std::set<u16> seen;
  for (int i = 0; i < 20'000; i++) seen.insert(chooser.pick(u.ip, u.port, u.local, static_cast<u32>(random())));
  EXPECT_EQ(seen.size(), chooser.choices(u.ip, u.port, u.local));
}

TEST(RssPortChooser, QueueThatNoIndexLeadsTo_GivesZero) {
  const RssPortChooser chooser(kRssKeyMicrosoft, round_robin_reta(128, 2), 7, 1024, 65'535);
  EXPECT_EQ(chooser.pick(Ip4{1}, 2, Ip4{3}, 4), 0);
  EXPECT_EQ(chooser.choices(Ip4{1}, 2, Ip4{3}), 0u);
}

TEST(RssPortChooser, FewPorts_AreFoundWhateverTheDrawOrAreNotThere) {
  const auto reta = round_robin_reta(128, 2);
  std::mt19937 random(8);
  int none = 0;
  for (int i = 0; i < 2000; i++) {
    const RssPortChooser chooser(kRssKeyMicrosoft, reta, 0, 40'000, 40'002);
    const Upstream u = random_upstream(random);
    const u16 port = chooser.pick(u.ip, u.port, u.local, static_cast<u32>(random()));
    ASSERT_EQ(port == 0, chooser.choices(u.ip, u.port, u.local) == 0);
    if (port != 0) {
      ASSERT_TRUE(chooser.lands(u.ip, u.port, u.local, port));
    }
    none += port == 0;
  }
  EXPECT_LT(none, 1000);
}

}  // namespace
}  // namespace ringway::lookup
