// The PROXY protocol by its specification's own examples and limits, what is refused and how early, and what is written.

#include "src/wire/proxy_protocol.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ringway::wire {
namespace {

using namespace std::string_literals;
using Status = ProxyHeader::Status;

constexpr u32 kMost = 2048;
const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

ProxyHeader read(std::string_view text, u32 most = kMost) {
  // On the heap without a byte to spare, so that a sanitizer sees a read past the end.
  const std::vector<u8> bytes(text.begin(), text.end());
  return read_proxy_header(bytes, most);
}
std::string be16(u32 v) { return {static_cast<char>(v >> 8), static_cast<char>(v)}; }
std::string vector_of(u8 type, const std::string& value) {
  return std::string(1, static_cast<char>(type)) + be16(static_cast<u32>(value.size())) + value;
}
std::string v2(u8 command, u8 family, const std::string& rest) {
  return kSignature + static_cast<char>(command) + static_cast<char>(family) + be16(static_cast<u32>(rest.size())) + rest;
}
const std::string kAddresses4 = "\xc0\xa8\0\x01\xc0\xa8\0\x0b\xdc\x04\x01\xbb"s;  // 192.168.0.1:56324 to 192.168.0.11:443
const ProxyEnds kEnds4{Ip4::of(192, 168, 0, 1), Ip4::of(192, 168, 0, 11), 56324, 443};
const ProxyEnds kEnds6{Ip6::of(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 0xb), 1, 65535};
const std::string kAddresses6 = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01\xfd" + std::string(14, '\0') + "\x0b\0\x01\xff\xff"s;

// Every front part of a header that is good is incomplete, and bytes behind it are not looked at.
void expect_good(const std::string& header, const std::optional<ProxyEnds>& ends) {
  for (std::size_t n = 0; n < header.size(); ++n) {
    ASSERT_EQ(read(header.substr(0, n)).status, Status::incomplete) << n << " of " << header;
  }
  for (const std::string behind : {"", "GET / HTTP/1.1\r\n", "\r\n"}) {
    const ProxyHeader got = read(header + behind);
    ASSERT_EQ(got.status, Status::complete) << header;
    EXPECT_EQ(got.bytes, header.size());
    EXPECT_EQ(got.ends, ends) << header;
  }
}
void expect_bad(const std::string& bytes) {
  const ProxyHeader got = read(bytes);
  EXPECT_EQ(got.status, Status::invalid) << bytes;
  EXPECT_FALSE(got.ends);
}

TEST(ProxyV1, TheExampleOfTheSpecification) {
  expect_good("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", kEnds4);
}

TEST(ProxyV1, TheLongestLinesOfTheSpecification) {
  const std::string longest4 = "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
  const Ip6 ones = Ip6::of(0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff);
  const std::string ff = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  EXPECT_EQ(longest4.size(), 56u);
  expect_good(longest4, ProxyEnds{Ip4::of(255, 255, 255, 255), Ip4::of(255, 255, 255, 255), 65535, 65535});
  EXPECT_EQ(("PROXY TCP6 " + ff + " " + ff + " 65535 65535\r\n").size(), 104u);
  expect_good("PROXY TCP6 " + ff + " " + ff + " 65535 65535\r\n", ProxyEnds{ones, ones, 65535, 65535});
  EXPECT_EQ(("PROXY UNKNOWN " + ff + " " + ff + " 65535 65535\r\n").size(), kProxyV1BytesMax);
  expect_good("PROXY UNKNOWN " + ff + " " + ff + " 65535 65535\r\n", std::nullopt);
}

TEST(ProxyV1, UnknownNamesNobodyWhateverFollows) {
  expect_good("PROXY UNKNOWN\r\n", std::nullopt);
  expect_good("PROXY UNKNOWN what ever\t\r\n", std::nullopt);
}

TEST(ProxyV1, Ip6InEveryFormOfRfc4291) {
  expect_good("PROXY TCP6 2001:DB8::1 fd00::b 1 65535\r\n", kEnds6);
  expect_good("PROXY TCP6 ::ffff:192.168.0.1 ::ffff:192.168.0.11 56324 443\r\n", kEnds4);
  expect_good("PROXY TCP6 :: ::1 0 0\r\n", ProxyEnds{Ip6{}, Ip6::of(0, 0, 0, 0, 0, 0, 0, 1), 0, 0});
}

TEST(ProxyV1, WhatIsNotExactlyALineIsRefused) {
  for (const char* line : {
           "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\r",
           "PROXY  TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "PROXY TCP4  192.168.0.1 192.168.0.11 56324 443\r\n",
           "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 \r\n", "PROXY TCP4 192.168.0.1 192.168.0.11 56324  443\r\n",
           "PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 1\r\n",
           "PROXY TCP4 192.168.0.01 192.168.0.11 56324 443\r\n", "PROXY TCP4 192.168.0.256 192.168.0.11 56324 443\r\n",
           "PROXY TCP4 192.168.0 192.168.0.11 56324 443\r\n", "PROXY TCP4 ::1 ::1 56324 443\r\n",
           "PROXY TCP6 192.168.0.1 192.168.0.11 56324 443\r\n", "PROXY TCP6 fd00::1%eth0 ::1 1 1\r\n", "PROXY TCP6 1::2::3 ::1 1 1\r\n",
           "PROXY TCP4 192.168.0.1 192.168.0.11 056324 443\r\n", "PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n",
           "PROXY TCP4 192.168.0.1 192.168.0.11 -1 443\r\n", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 4a3\r\n",
           "PROXY TCP4 192.168.0.1 192.168.0.11 56324 \r\n", "PROXY TCP5 192.168.0.1 192.168.0.11 56324 443\r\n",
           "PROXY tcp4 192.168.0.1 192.168.0.11 56324 443\r\n", "PROXY UNKNOWNX\r\n", "PROXY \r\n", "PROXY\r\n", "PROXY UNKNOWN a\rb\r\n",
           "PROXY UNKNOWN a\nb\r\n", "proxy TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"}) {
    expect_bad(line);
  }
}

TEST(ProxyV1, ALineThatDoesNotEndWithin107BytesIsRefused) {
  const std::string line = "PROXY UNKNOWN " + std::string(91, 'x');
  EXPECT_EQ(read(line).status, Status::incomplete);
  EXPECT_EQ(read(line + "\r\n").status, Status::complete);
  expect_bad(line + "xx");
  expect_bad(line + "x\r\n");
}

TEST(Proxy, OtherProtocolsAreSeenAtTheirFirstByteThatDiffers) {
  for (const char* bytes : {"G", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST", "PX", "PROX/", "\x16\x03\x01", "\r\n\r\nG", "\n"}) {
    expect_bad(bytes);
  }
}

TEST(ProxyV2, TcpOverIp4AndIp6) {
  expect_good(v2(0x21, 0x11, kAddresses4), kEnds4);
  expect_good(v2(0x21, 0x21, kAddresses6), kEnds6);
}

TEST(ProxyV2, LocalAndWhatIsNoTcpKeepTheConnectionsOwnEnds) {
  expect_good(v2(0x20, 0x00, ""), std::nullopt);
  expect_good(v2(0x20, 0x11, kAddresses4), std::nullopt);
  expect_good(v2(0x20, 0x11, ""), std::nullopt);
  expect_good(v2(0x20, 0x00, "anything at all"), std::nullopt);
  expect_good(v2(0x21, 0x00, ""), std::nullopt);
  expect_good(v2(0x21, 0x12, kAddresses4), std::nullopt);
  expect_good(v2(0x21, 0x22, kAddresses6), std::nullopt);
  expect_good(v2(0x21, 0x31, std::string(216, 'u')), std::nullopt);
  expect_good(v2(0x21, 0x32, std::string(216, 'u')), std::nullopt);
}

TEST(ProxyV2, VersionsCommandsAndFamiliesThatDoNotExistAreRefused) {
  for (const int command : {0x01, 0x11, 0x31, 0x22, 0x2f, 0xf1}) expect_bad(v2(static_cast<u8>(command), 0x11, kAddresses4));
  for (const int family : {0x01, 0x10, 0x13, 0x20, 0x23, 0x30, 0x33, 0x41, 0xff}) {
    expect_bad(v2(0x21, static_cast<u8>(family), std::string(300, 'x')));
  }
}

TEST(ProxyV2, AddressesThatDoNotFitTheLengthAreRefused) {
  expect_bad(v2(0x21, 0x11, kAddresses4.substr(1)));
  expect_bad(v2(0x21, 0x21, kAddresses6.substr(1)));
  expect_bad(v2(0x21, 0x31, std::string(215, 'u')));
}

TEST(ProxyV2, VectorsAreSkippedAmongThemThatOfAwsAndTheyFillTheHeaderExactly) {
  const std::string endpoint = vector_of(0xea, "\x01vpce-08d2bf15fac5001c9");
  expect_good(v2(0x21, 0x11, kAddresses4 + endpoint), kEnds4);
  expect_good(v2(0x21, 0x21, kAddresses6 + vector_of(0x04, "") + endpoint + vector_of(0x02, "a.example")), kEnds6);
  expect_bad(v2(0x21, 0x11, kAddresses4 + endpoint.substr(0, endpoint.size() - 1)));
  expect_bad(v2(0x21, 0x11, kAddresses4 + "\x04"));
  expect_bad(v2(0x21, 0x11, kAddresses4 + "\x04\0"s));
}

TEST(ProxyV2, Crc32cIsVerified) {
  // Bit by bit, over zeros in its place.
  std::string zeros = v2(0x21, 0x11, kAddresses4 + vector_of(0x03, std::string(4, '\0')) + vector_of(0xea, "x"));
  const std::size_t at = 16 + 12 + 3;
  const std::vector<u8> bytes(zeros.begin(), zeros.end());
  u32 crc = ~u32{0};
  for (const u8 byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  crc = ~crc;
  expect_bad(zeros);
  std::string good = zeros;
  for (u32 i = 0; i < 4; ++i) good[at + i] = static_cast<char>(crc >> (24 - 8 * i));
  expect_good(good, kEnds4);
  for (const std::size_t changed : {std::size_t{17}, std::size_t{24}, at, at + 3, good.size() - 1}) {
    std::string wrong = good;
    wrong[changed] = static_cast<char>(wrong[changed] ^ 1);
    EXPECT_NE(read(wrong).status, Status::complete) << changed;
  }
  expect_bad(v2(0x21, 0x11, kAddresses4 + vector_of(0x03, "abc")));
}

TEST(ProxyV2, AHeaderThatAnAwsLoadBalancerSent) {
  const std::string header = v2(0x21, 0x11, "\xac\x1f\x07\x71\xac\x1f\x0a\x1f\xc8\xf2\0\x50"s + vector_of(0x03, "\xe8\xd6\x89\x2d") +
                                                vector_of(0xea, "\x01vpce-08d2bf15fac5001c9") + vector_of(0x04, std::string(36, '\0')));
  ASSERT_EQ(header.size(), 100u);
  expect_good(header, ProxyEnds{Ip4::of(172, 31, 7, 113), Ip4::of(172, 31, 10, 31), 51442, 80});
}

TEST(ProxyV2, Crc32cOfRfc3720sExample) {
  const std::vector<u8> zeros(32, 0), ones(32, 0xff);
  EXPECT_EQ(proxy_detail::crc32c(zeros, 100), 0x8a9136aau);
  EXPECT_EQ(proxy_detail::crc32c(ones, 100), 0x62a8ab43u);
}

TEST(ProxyV2, AboveTheMostItIsRefusedBeforeItHasCome) {
  const std::string header = v2(0x21, 0x11, kAddresses4 + vector_of(0x04, std::string(100, 'x')));
  EXPECT_EQ(read(header, static_cast<u32>(header.size())).status, Status::complete);
  EXPECT_EQ(read(header, static_cast<u32>(header.size() - 1)).status, Status::invalid);
  EXPECT_EQ(read(header.substr(0, 16), static_cast<u32>(header.size() - 1)).status, Status::invalid);
}

std::string written(ProxyVersion version, const ProxyEnds& ends, bool local = false) {
  u8 out[kProxyWrittenBytesMax];
  const u32 n = local ? write_proxy_local(version, ends, out) : write_proxy_header(version, ends, out);
  return {reinterpret_cast<const char*>(out), n};
}

TEST(ProxyWrite, TheExampleOfTheSpecificationAndItsBinaryForm) {
  EXPECT_EQ(written(ProxyVersion::v1, kEnds4), "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
  EXPECT_EQ(written(ProxyVersion::v1, kEnds6), "PROXY TCP6 2001:db8::1 fd00::b 1 65535\r\n");
  EXPECT_EQ(written(ProxyVersion::v2, kEnds4), v2(0x21, 0x11, kAddresses4));
  EXPECT_EQ(written(ProxyVersion::v2, kEnds6), v2(0x21, 0x21, kAddresses6));
}

TEST(ProxyWrite, WhatIsWrittenIsRead) {
  const ProxyEnds mixed{Ip4::of(10, 0, 0, 1), Ip6::of(0xfd00, 0, 0, 0, 0, 0, 0, 1), 0, 80};
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2, ProxyVersion::v2_crc32c}) {
    for (const ProxyEnds& ends : {kEnds4, kEnds6, mixed}) expect_good(written(version, ends), ends);
  }
  EXPECT_EQ(written(ProxyVersion::v1, mixed), "PROXY TCP6 ::ffff:a00:1 fd00::1 0 80\r\n");
}

TEST(ProxyWrite, TheGatewaysOwnConnectionIsLocal) {
  EXPECT_EQ(written(ProxyVersion::v2, kEnds4, true), v2(0x20, 0x00, ""));
  expect_good(written(ProxyVersion::v2_crc32c, kEnds4, true), std::nullopt);
  expect_good(written(ProxyVersion::v1, kEnds4, true), kEnds4);
}

}  // namespace
}  // namespace ringway::wire
