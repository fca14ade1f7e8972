// Header views read what the writers wrote, at the offsets of the RFCs.

#include <gtest/gtest.h>

#include <vector>

#include "src/wire/arp.h"
#include "src/wire/dns.h"
#include "src/wire/icmp.h"
#include "src/wire/ip4.h"
#include "src/wire/udp.h"

namespace ringway::wire {
namespace {

constexpr Mac kA{{2, 0, 0, 0, 0, 1}};
constexpr Mac kB{{2, 0, 0, 0, 0, 2}};

TEST(Views, EthernetRoundTrip) {
  u8 b[kEthHeaderBytes];
  write_eth(b, kA, kB, kEtherTypeIp4);
  const EthView v(b);
  EXPECT_EQ(v.destination(), kA);
  EXPECT_EQ(v.source(), kB);
  EXPECT_EQ(v.type(), 0x0800);
  EXPECT_EQ(b[5], 1);
}

TEST(Views, Rfc826FieldsStandWhereTheyBelong) {
  u8 b[kArpBytes];
  write_arp(b, {kArpReply, kA, Ip4::of(10, 0, 0, 1), kB, Ip4::of(10, 0, 0, 2)});
  const u8 expected[kArpBytes] = {0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2};
  EXPECT_TRUE(std::equal(b, b + kArpBytes, expected));
  const ArpView v(b);
  EXPECT_TRUE(v.is_ethernet_ip4());
  EXPECT_EQ(v.operation(), kArpReply);
  EXPECT_EQ(v.target_mac(), kB);
  EXPECT_EQ(v.target_ip(), Ip4::of(10, 0, 0, 2));
}

TEST(Views, Ip4HeaderIsWrittenWithARightChecksum) {
  u8 b[kIp4HeaderBytes];
  write_ip4(b, {.total_bytes = 115, .id = 7, .protocol = kIpProtoUdp, .source = Ip4::of(192, 168, 0, 1),
                .destination = Ip4::of(192, 168, 0, 199)});
  EXPECT_EQ(checksum({b, sizeof b}).raw, 0);
  const Ip4View v(b);
  EXPECT_EQ(v.version(), 4);
  EXPECT_EQ(v.header_bytes(), 20u);
  EXPECT_EQ(v.total_bytes(), 115u);
  EXPECT_TRUE(v.dont_fragment());
  EXPECT_FALSE(v.is_fragment());
  EXPECT_EQ(v.ttl(), 64);
  EXPECT_EQ(v.source(), Ip4::of(192, 168, 0, 1));
}

TEST(Views, KnownIp4HeaderHasTheChecksumOfTheBooks) {
  u8 b[kIp4HeaderBytes] = {0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7};
  EXPECT_EQ(checksum({b, sizeof b}).host(), 0xb861);
}

TEST(Views, FirstAndLaterFragmentsAreFragmentsAndDontFragmentIsNone) {
  u8 b[kIp4HeaderBytes] = {};
  b[6] = 0x20;
  EXPECT_TRUE(Ip4View(b).is_fragment());
  b[6] = 0;
  b[7] = 1;
  EXPECT_TRUE(Ip4View(b).is_fragment());
  b[6] = 0x40;
  b[7] = 0;
  EXPECT_FALSE(Ip4View(b).is_fragment());
}

TEST(Views, SourcesThatNeverAre) {
  for (const Ip4 a : {Ip4{}, Ip4::of(0, 1, 2, 3), Ip4::of(127, 0, 0, 1), Ip4::of(224, 0, 0, 1), Ip4::of(255, 255, 255, 255)}) {
    EXPECT_TRUE(never_a_source(a));
  }
  EXPECT_FALSE(never_a_source(Ip4::of(223, 255, 255, 254)));
}

TEST(Dns, NamesAreMeasuredAndImpossibleOnesRefused) {
  const std::vector<u8> good{1, 'a', 2, 'b', 'c', 0};
  EXPECT_EQ(dns_name_bytes(good, 0, false), 6u);
  EXPECT_EQ(dns_name_bytes(good, 5, false), 1u);
  EXPECT_EQ(dns_name_bytes(Bytes(good).first(5), 0, false), 0u);
  const std::vector<u8> pointer{1, 'a', 0xc0, 0};
  EXPECT_EQ(dns_name_bytes(pointer, 0, true), 4u);
  EXPECT_EQ(dns_name_bytes(pointer, 0, false), 0u);
  EXPECT_EQ(dns_name_bytes(Bytes(pointer).first(3), 0, true), 0u);
  EXPECT_EQ(dns_name_bytes(std::vector<u8>{0x40, 0}, 0, true), 0u);
  std::vector<u8> long_name;
  for (int i = 0; i < 127; ++i) long_name.insert(long_name.end(), {1, 'x'});
  long_name.push_back(0);
  EXPECT_EQ(dns_name_bytes(long_name, 0, false), 255u);
  long_name.insert(long_name.begin(), {1, 'x'});
  EXPECT_EQ(dns_name_bytes(long_name, 0, false), 0u);
}

TEST(Dns, WriterStopsWhereTheRoomEndsAndGoesOnAfterRewind) {
  u8 room[5];
  DnsWriter w(room);
  w.u32be(1);
  EXPECT_TRUE(w.fits());
  w.u16be(2);
  EXPECT_FALSE(w.fits());
  w.u8be(3);
  EXPECT_EQ(w.size(), 4u);
  w.rewind(4);
  w.u8be(3);
  EXPECT_TRUE(w.fits());
}

}  // namespace
}  // namespace ringway::wire
