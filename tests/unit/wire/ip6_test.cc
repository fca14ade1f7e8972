// IPv6: addresses and their text, the header, the walk over extension headers, ICMPv6 and neighbour discovery.

#include "src/wire/ip6.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/wire/checksum.h"
#include "src/wire/icmp6.h"
#include "src/wire/text.h"

namespace ringway::wire {
namespace {

const Ip6 kA = Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const Ip6 kB = Ip6::of(0x2001, 0xdb8, 0, 1, 0, 0, 0, 2);

std::string text_of(const Ip& a) {
  char buffer[kIpTextBytesMax];
  return {buffer, write_text(buffer, a)};
}

TEST(IpText, Rfc5952_4_EveryAddressHasOneText) {
  const std::pair<const char*, const char*> cases[] = {
      {"2001:0db8::0001", "2001:db8::1"}, {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, {"2001:DB8::ABCD", "2001:db8::abcd"}, {"::", "::"}, {"::1", "::1"},
      {"1::", "1::"}, {"0:0:1::", "0:0:1::"}, {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"}, {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, {"::ffff:10.1.2.3", "10.1.2.3"}, {"10.255.0.9", "10.255.0.9"},
      {"0::5:6:7:8", "::5:6:7:8"}, {"1:0:3:4:5:6:7:0", "1:0:3:4:5:6:7:0"}};
  for (const auto& [in, out] : cases) {
    const auto read = parse_ip(in);
    ASSERT_TRUE(read) << in;
    EXPECT_EQ(text_of(*read), out);
    EXPECT_EQ(parse_ip(out), read) << out;
  }
}

TEST(IpText, WhatIsNoAddress_IsNotRead) {
  for (const char* bad : {"", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "1:2:3:4:5:6:7:8::",
                          "::1:2:3:4:5:6:7:8", "g::", "1:", "::1%eth0", "::1/64", "[::1]", "10.1.2", "10.1.2.256", "10.01.2.3",
                          "1.2.3.4:", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "10.1.2.3.4", " ::1", ":1:2:3:4:5:6:7"}) {
    EXPECT_FALSE(parse_ip(bad)) << bad;
  }
}

TEST(Ip, Families_AreToldApartAndSorted) {
  EXPECT_TRUE(Ip(Ip4::of(10, 0, 0, 1)).is4());
  EXPECT_TRUE(Ip(kA).is6());
  EXPECT_TRUE(Ip(Ip4{}).unset());
  EXPECT_FALSE(Ip().is4() || Ip().is6());
  EXPECT_EQ(Ip(Ip4::of(10, 0, 0, 1)).ip4(), Ip4::of(10, 0, 0, 1));
  EXPECT_LT(Ip(Ip4::of(255, 0, 0, 1)), Ip(kA));
  EXPECT_LT(Ip(Ip4::of(10, 0, 0, 1)), Ip(Ip4::of(10, 0, 0, 2)));
}

TEST(Ip6Prefix, Contains_ComparesUnderThePrefix) {
  EXPECT_TRUE((Ip6Prefix{kA, 48}).contains(kB));
  EXPECT_FALSE((Ip6Prefix{kA, 64}).contains(kB));
  EXPECT_TRUE((Ip6Prefix{kA, 0}).contains(Ip6{}));
  EXPECT_TRUE((Ip6Prefix{kA, 128}).contains(kA));
  EXPECT_TRUE((Ip6Prefix{kA, 127}).contains(Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)));
  EXPECT_FALSE((Ip6Prefix{kA, 127}).contains(Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)));
}

TEST(Ip6, Rfc4291_Kinds) {
  EXPECT_TRUE(never_a_source(Ip6{}));
  EXPECT_TRUE(never_a_source(Ip6::of(0, 0, 0, 0, 0, 0, 0, 1)));
  EXPECT_TRUE(never_a_source(kIp6AllNodes));
  EXPECT_TRUE(never_a_source(Ip6::of(0, 0, 0, 0, 0, 0xffff, 0x0a00, 1)));
  EXPECT_FALSE(never_a_source(kA));
  EXPECT_FALSE(never_a_source(Ip6::of(0xfe80, 0, 0, 0, 0, 0, 0, 1)));
  EXPECT_EQ(solicited_node(Ip6::of(0x4037, 0, 0, 0, 0x01, 0x800, 0x200e, 0x8c6c)),
            Ip6::of(0xff02, 0, 0, 0, 0, 1, 0xff0e, 0x8c6c));  // RFC 4291 2.7.1
  EXPECT_EQ(multicast_mac(solicited_node(kA)), (Mac{{0x33, 0x33, 0xff, 0, 0, 1}}));
  // RFC 4291, appendix A.
  EXPECT_EQ(link_local_of(Mac{{0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde}}),
            Ip6::of(0xfe80, 0, 0, 0, 0x3656, 0x78ff, 0xfe9a, 0xbcde));
}

TEST(Ip6View, Rfc8200_3_FieldsStandWhereTheyBelong) {
  u8 b[kIp6HeaderBytes];
  write_ip6(b, {.payload_bytes = 300, .next_header = 6, .hop_limit = 7, .source = kA, .destination = kB});
  const Ip6View v(b);
  EXPECT_EQ(v.version(), 6);
  EXPECT_EQ(v.payload_bytes(), 300u);
  EXPECT_EQ(v.next_header(), 6);
  EXPECT_EQ(v.hop_limit(), 7);
  EXPECT_EQ(v.source(), kA);
  EXPECT_EQ(v.destination(), kB);
  EXPECT_EQ(b[4], 1);
  EXPECT_EQ(b[39], 2);
}

TEST(Checksum, Rfc8200_8_1_PseudoHeaderOfIpv6) {
  u8 pseudo[40] = {};
  store_ip6(pseudo, kA);
  store_ip6(pseudo + 16, kB);
  store_be32(pseudo + 32, 1500);
  pseudo[39] = 58;
  EXPECT_EQ(fold(pseudo_header_sum(kA, kB, 58, 1500)), fold(sum_words(pseudo, sizeof pseudo)));
}

// A packet of kA with these headers behind the fixed one; `first`: kind of the first.
std::vector<u8> packet(u8 first, const std::vector<std::vector<u8>>& headers) {
  std::vector<u8> p(kIp6HeaderBytes);
  for (const auto& h : headers) p.insert(p.end(), h.begin(), h.end());
  write_ip6(p.data(), {.payload_bytes = static_cast<u16>(p.size() - kIp6HeaderBytes), .next_header = first, .source = kA,
                       .destination = kB});
  return p;
}
Ip6Walk walk(const std::vector<u8>& p) { return walk_ip6(p, static_cast<u32>(p.size())); }

const std::vector<u8> kTcp(20);

TEST(Ip6Walk, NoExtensions_IsTheTransportAtForty) {
  const Ip6Walk w = walk(packet(6, {kTcp}));
  EXPECT_EQ(w.outcome, Ip6Walked::transport);
  EXPECT_EQ(w.next_header, 6);
  EXPECT_EQ(w.offset, 40u);
}

TEST(Ip6Walk, HeadersThatAskNothing_ArePassedOver) {
  const std::vector<u8> hop{kIp6Routing, 0, 5, 2, 0, 0, 1, 0};               // router alert, PadN
  const std::vector<u8> routing{kIp6DestinationOptions, 0, 4, 0, 0, 0, 0, 0};  // no segment left
  const std::vector<u8> options{kIp6Fragment, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const std::vector<u8> whole{6, 0, 0, 0, 1, 2, 3, 4};  // RFC 6946: a fragment header of a packet that is whole
  const Ip6Walk w = walk(packet(kIp6HopByHop, {hop, routing, options, whole, kTcp}));
  EXPECT_EQ(w.outcome, Ip6Walked::transport);
  EXPECT_EQ(w.next_header, 6);
  EXPECT_EQ(w.offset, 40u + 8 + 8 + 16 + 8);
}

TEST(Ip6Walk, Rfc8200_4_5_RealFragments_AreRefused) {
  for (const auto& [high, low] : {std::pair<u8, u8>{0, 1}, {0, 8}, {0x12, 0x30}}) {
    EXPECT_EQ(walk(packet(kIp6Fragment, {{6, 0, high, low, 0, 0, 0, 0}, kTcp})).outcome, Ip6Walked::fragment);
  }
}

TEST(Ip6Walk, Rfc8200_4_3_HopByHopBehindAnotherHeader_IsMisplaced) {
  const std::vector<u8> pad{kIp6HopByHop, 0, 1, 4, 0, 0, 0, 0};
  const Ip6Walk w = walk(packet(kIp6DestinationOptions, {pad, {6, 0, 1, 4, 0, 0, 0, 0}, kTcp}));
  EXPECT_EQ(w.outcome, Ip6Walked::misplaced);
  EXPECT_EQ(w.offset, 40u);
}

TEST(Ip6Walk, Rfc8200_4_2_UnknownOptions_SayThemselvesWhatToDo) {
  const auto with = [](u8 kind) { return walk(packet(kIp6DestinationOptions, {{6, 0, kind, 0, 1, 2, 0, 0}, kTcp})); };
  EXPECT_EQ(with(0x3e).outcome, Ip6Walked::transport);
  EXPECT_EQ(with(0x7e).outcome, Ip6Walked::unknown_option);
  EXPECT_FALSE(with(0x7e).tell);
  EXPECT_EQ(with(0xbe).outcome, Ip6Walked::unknown_option);
  EXPECT_TRUE(with(0xbe).tell);
  EXPECT_TRUE(with(0xc2).tell);
  EXPECT_EQ(with(0xbe).offset, 42u);
}

TEST(Ip6Walk, Rfc5095_RoutingWithSegmentsLeft_IsRefused) {
  const Ip6Walk w = walk(packet(kIp6Routing, {{6, 0, 0, 1, 0, 0, 0, 0}, kTcp}));
  EXPECT_EQ(w.outcome, Ip6Walked::routing);
  EXPECT_EQ(w.offset, 43u);
}

TEST(Ip6Walk, Bounds_Hold) {
  const std::vector<u8> next{kIp6DestinationOptions, 0, 1, 4, 0, 0, 0, 0};
  const std::vector<u8> last{6, 0, 1, 4, 0, 0, 0, 0};
  EXPECT_EQ(walk(packet(kIp6DestinationOptions, {next, next, next, last, kTcp})).outcome, Ip6Walked::transport);
  EXPECT_EQ(walk(packet(kIp6DestinationOptions, {next, next, next, next, last, kTcp})).outcome, Ip6Walked::too_many);
  // 264 bytes of one header.
  std::vector<u8> wide(264);
  wide[0] = 6;
  wide[1] = 32;
  EXPECT_EQ(walk(packet(kIp6DestinationOptions, {wide, kTcp})).outcome, Ip6Walked::too_many);
  wide.resize(256);
  wide[1] = 31;
  EXPECT_EQ(walk(packet(kIp6DestinationOptions, {wide, kTcp})).outcome, Ip6Walked::transport);
  // Nine options.
  std::vector<u8> many(24);
  many[0] = 6;
  many[1] = 2;
  for (u32 i = 0; i < 9; ++i) many[2 + 2 * i] = 0x1e;
  EXPECT_EQ(walk(packet(kIp6DestinationOptions, {many, kTcp})).outcome, Ip6Walked::too_many);
}

TEST(Ip6Walk, LengthsThatRunPast_AreTruncated) {
  const std::vector<u8> options{6, 1, 1, 4, 0, 0, 0, 0};
  EXPECT_EQ(walk(packet(kIp6DestinationOptions, {options})).outcome, Ip6Walked::truncated);
  EXPECT_EQ(walk(packet(kIp6DestinationOptions, {{6, 0, 1}})).outcome, Ip6Walked::truncated);
  // An option that runs past its header.
  EXPECT_EQ(walk(packet(kIp6DestinationOptions, {{6, 0, 1, 9, 0, 0, 0, 0}, kTcp})).outcome, Ip6Walked::too_many);
  // Headers that are not in the first segment.
  const std::vector<u8> p = packet(kIp6DestinationOptions, {{6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, kTcp});
  EXPECT_NE(walk_ip6(Bytes(p).first(50), static_cast<u32>(p.size())).outcome, Ip6Walked::transport);
}

TEST(Nd, Rfc4861_4_3_SolicitationRoundTrip) {
  const Mac mac{{2, 0, 0, 0, 0, 9}};
  u8 b[kNdBytes + kNdOptionBytes];
  EXPECT_EQ(write_nd(b, {.target = kA, .mac = mac}), sizeof b);
  EXPECT_EQ(b[0], 135);
  EXPECT_EQ(NdView(b).target(), kA);
  EXPECT_EQ(b[24], 1);
  const NdOptions options = read_nd_options(Bytes(b).subspan(kNdBytes), NdOption::source_mac);
  EXPECT_TRUE(options.well_formed);
  EXPECT_EQ(options.mac, mac);
  EXPECT_EQ(read_nd_options(Bytes(b).subspan(kNdBytes), NdOption::target_mac).mac, std::nullopt);
}

TEST(Nd, Rfc4861_4_4_AdvertisementCarriesItsFlags) {
  u8 b[kNdBytes];
  EXPECT_EQ(write_nd(b, {.type = Icmp6Type::neighbour_advertisement, .solicited = true, .target = kB}), kNdBytes);
  EXPECT_EQ(b[0], 136);
  EXPECT_TRUE(NdView(b).solicited());
  EXPECT_FALSE(NdView(b).override_flag());
  write_nd(b, {.type = Icmp6Type::neighbour_advertisement, .override_flag = true, .target = kB});
  EXPECT_EQ(b[4], 0x20);
}

TEST(Nd, Rfc4861_7_1_1_OptionsOfLengthZeroOrPastTheEnd_AreMalformed) {
  const u8 zero[8] = {1, 0};
  EXPECT_FALSE(read_nd_options(zero, NdOption::source_mac).well_formed);
  const u8 past[8] = {1, 2};
  EXPECT_FALSE(read_nd_options(past, NdOption::source_mac).well_formed);
  const u8 odd[9] = {14, 1};
  EXPECT_FALSE(read_nd_options(odd, NdOption::source_mac).well_formed);
  std::vector<u8> many((kNdOptionsMax + 1) * 8);
  for (std::size_t i = 0; i < many.size(); i += 8) many[i] = 14, many[i + 1] = 1;
  EXPECT_FALSE(read_nd_options(many, NdOption::source_mac).well_formed);
}

}  // namespace
}  // namespace ringway::wire
