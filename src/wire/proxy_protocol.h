#pragma once
// The PROXY protocol: the header by which a proxy says, in front of the first byte of a connection, for whom it opened it.
// Version 1 is a line of text, version 2 is binary with type-length-value vectors behind the addresses. Follows HAProxy's
// proxy-protocol.txt, whose section numbers stand below.
//
// Reading is strict, because the header decides who the client is: what is not exactly a header is refused as soon as its
// bytes show it. Only the addresses are used; of the vectors the checksum is verified and all others, a load balancer's
// own among them, are passed over. Pure, header-only, any thread, no allocation.

#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include "src/base/types.h"
#include "src/wire/addr.h"
#include "src/wire/proxy_version.h"
#include "src/wire/text.h"

namespace ringway::wire {

inline constexpr u32 kProxyV1BytesMax = 107;  // 2.1
inline constexpr u32 kProxyV2FixedBytes = 16;
inline constexpr u32 kProxyWrittenBytesMax = kProxyV1BytesMax;  // of what we write, in either version

// The ends of the connection that a header is about.
struct ProxyEnds {
  Ip source, destination;
  u16 source_port = 0, destination_port = 0;
  friend bool operator==(const ProxyEnds&, const ProxyEnds&) = default;
};

struct ProxyHeader {
  enum class Status : u8 { incomplete, complete, invalid };
  Status status = Status::incomplete;
  u32 bytes = 0;  // complete: what comes behind them is the connection's first byte
  // Empty where the header names nobody (LOCAL, UNKNOWN, what is no TCP): the connection's own ends hold.
  std::optional<ProxyEnds> ends;
};

namespace proxy_detail {

inline constexpr std::array<u8, 12> kSignature{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
inline constexpr std::string_view kWord = "PROXY ";
inline constexpr u8 kCrc32c = 0x03;
inline constexpr u32 kVectorHeadBytes = 3;
inline constexpr u32 kCrcBytes = 4;
inline constexpr u8 kTcp4 = 0x11, kTcp6 = 0x21;

// CRC32c (RFC 9260 appendix A) by a table: a header is short, and there is one per connection. Unlike SCTP, those who send
// it, HAProxy and Amazon's load balancers, write it as any other number of the header, the highest byte first.
constexpr std::array<u32, 256> make_crc_table() {
  std::array<u32, 256> table{};
  for (u32 i = 0; i < 256; ++i) {
    u32 crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f6'3b78u : 0u);
    table[i] = crc;
  }
  return table;
}
inline constexpr std::array<u32, 256> kCrcTable = make_crc_table();

// Over `bytes`, with the kCrcBytes from `hole` on as zeros.
inline u32 crc32c(Bytes bytes, u32 hole) {
  u32 crc = ~u32{0};
  for (u32 i = 0; i < bytes.size(); ++i) {
    const u8 byte = i - hole < kCrcBytes ? u8{0} : bytes[i];
    crc = crc >> 8 ^ kCrcTable[(crc ^ byte) & 0xff];
  }
  return ~crc;
}

// 0 to 65535 without leading zeros.
inline std::optional<u16> parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  u32 port = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    port = port * 10 + static_cast<u32>(c - '0');
  }
  return port > 0xffff ? std::nullopt : std::optional(static_cast<u16>(port));
}

// Up to the next space, which is taken too; the rest where there is none.
inline std::string_view take_word(std::string_view& line) {
  const auto end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return word;
}

inline constexpr ProxyHeader kInvalid{ProxyHeader::Status::invalid, 0, std::nullopt};

// The four words behind "TCP4 " or "TCP6 ". An IPv4 address within IPv6 is written with dots by most systems, so that is
// read too.
inline std::optional<ProxyEnds> read_v1_ends(std::string_view line, bool four) {
  const auto address = [four](std::string_view word) -> std::optional<Ip> {
    if (four) {
      const auto a = parse_ip4(word);
      return a ? std::optional<Ip>(*a) : std::nullopt;
    }
    const auto a = parse_ip6(word);
    return a ? std::optional<Ip>(*a) : std::nullopt;
  };
  const auto source = address(take_word(line));
  const auto destination = address(take_word(line));
  const auto source_port = parse_port(take_word(line));
  const bool one_more = line.find(' ') == std::string_view::npos;
  const auto destination_port = parse_port(line);
  if (!source || !destination || !source_port || !destination_port || !one_more) return std::nullopt;
  return ProxyEnds{*source, *destination, *source_port, *destination_port};
}

// 2.1. `in` begins with kWord as far as it goes.
inline ProxyHeader read_v1(Bytes in) {
  const std::string_view seen{reinterpret_cast<const char*>(in.data()), std::min<std::size_t>(in.size(), kProxyV1BytesMax)};
  const auto end = seen.find_first_of("\r\n");
  if (end == std::string_view::npos) return seen.size() == kProxyV1BytesMax ? kInvalid : ProxyHeader{};
  if (seen[end] != '\r') return kInvalid;
  if (end + 1 == seen.size()) return seen.size() == kProxyV1BytesMax ? kInvalid : ProxyHeader{};
  if (seen[end + 1] != '\n' || end < kWord.size()) return kInvalid;
  std::string_view line = seen.substr(kWord.size(), end - kWord.size());
  ProxyHeader header{ProxyHeader::Status::complete, static_cast<u32>(end + 2), std::nullopt};
  const std::string_view family = take_word(line);
  if (family == "UNKNOWN") return header;  // the rest of the line says nothing
  if (family != "TCP4" && family != "TCP6") return kInvalid;
  header.ends = read_v1_ends(line, family == "TCP4");
  return header.ends ? header : kInvalid;
}

// 2.2: the vectors from `at` on fill `header` to its end; a checksum among them is right.
inline bool vectors_are_good(Bytes header, u32 at) {
  bool summed = false;
  while (at < header.size()) {
    if (header.size() - at < kVectorHeadBytes) return false;
    const u8 type = header[at];
    const u32 n = load_be16(&header[at + 1]);
    at += kVectorHeadBytes;
    if (header.size() - at < n) return false;
    if (type == kCrc32c) {
      if (summed || n != kCrcBytes || load_be32(&header[at]) != crc32c(header, at)) return false;
      summed = true;
    }
    at += n;
  }
  return true;
}

// 2.2. `in` begins with kSignature as far as it goes.
inline ProxyHeader read_v2(Bytes in, u32 bytes_max) {
  if (in.size() > 12 && in[12] >> 4 != 2) return kInvalid;
  if (in.size() > 12 && (in[12] & 15) > 1) return kInvalid;
  if (in.size() < kProxyV2FixedBytes) return {};
  const bool local = (in[12] & 15) == 0;
  const u8 family = in[13];
  const u32 addresses = family == 0x00                       ? 0
                        : family == kTcp4 || family == 0x12  ? 2 * 4 + 2 * 2
                        : family == kTcp6 || family == 0x22  ? 2 * 16 + 2 * 2
                        : family == 0x31 || family == 0x32   ? 2 * 108
                                                             : kNone32;
  const u32 bytes = kProxyV2FixedBytes + load_be16(&in[14]);
  if (addresses == kNone32 || bytes > bytes_max) return kInvalid;
  if (!local && bytes < kProxyV2FixedBytes + addresses) return kInvalid;
  if (in.size() < bytes) return {};
  ProxyHeader header{ProxyHeader::Status::complete, bytes, std::nullopt};
  if (local) return header;  // whatever it carries is not looked at
  if (!vectors_are_good(in.first(bytes), kProxyV2FixedBytes + addresses)) return kInvalid;
  const u8* const p = &in[0] + kProxyV2FixedBytes;
  if (family == kTcp4) {
    header.ends = ProxyEnds{Ip4{load_be32(p)}, Ip4{load_be32(p + 4)}, load_be16(p + 8), load_be16(p + 10)};
  } else if (family == kTcp6) {
    header.ends = ProxyEnds{load_ip6(p), load_ip6(p + 16), load_be16(p + 32), load_be16(p + 34)};
  }
  return header;
}

template <std::size_t N>
inline bool begins_with(Bytes in, const u8* word) {
  return std::memcmp(in.data(), word, std::min(in.size(), N)) == 0;
}

}  // namespace proxy_detail

// Reads the header at the start of `in`. `bytes_max`: version 2 headers above it are invalid.
inline ProxyHeader read_proxy_header(Bytes in, u32 bytes_max) {
  using namespace proxy_detail;
  if (in.empty()) return {};
  if (begins_with<kSignature.size()>(in, kSignature.data())) return read_v2(in, bytes_max);
  if (begins_with<kWord.size()>(in, reinterpret_cast<const u8*>(kWord.data()))) return read_v1(in);
  return kInvalid;
}

namespace proxy_detail {

inline u32 write_v1(const ProxyEnds& ends, bool four, u8* out) {
  char* p = reinterpret_cast<char*>(out);
  const auto add = [&p](std::string_view text) {
    std::memcpy(p, text.data(), text.size());
    p += text.size();
  };
  const auto port = [&add](u16 value) {
    char digits[5];
    u32 at = sizeof digits;
    do digits[--at] = static_cast<char>('0' + value % 10);
    while ((value = static_cast<u16>(value / 10)) != 0);
    add({digits + at, sizeof digits - at});
  };
  add(four ? "PROXY TCP4 " : "PROXY TCP6 ");
  p = four ? write_text(p, ends.source.ip4()) : write_text(p, ends.source.ip6());
  add(" ");
  p = four ? write_text(p, ends.destination.ip4()) : write_text(p, ends.destination.ip6());
  add(" ");
  port(ends.source_port);
  add(" ");
  port(ends.destination_port);
  add("\r\n");
  return static_cast<u32>(p - reinterpret_cast<char*>(out));
}

inline u32 write_v2(const ProxyEnds* ends, bool four, bool sum, u8* out) {
  std::memcpy(out, kSignature.data(), kSignature.size());
  out[12] = ends == nullptr ? 0x20 : 0x21;
  out[13] = ends == nullptr ? u8{0} : four ? kTcp4 : kTcp6;
  u8* p = out + kProxyV2FixedBytes;
  const auto address = [&p, four](const Ip& ip) {
    if (four) {
      store_be32(p, ip.ip4().v);
    } else {
      store_ip6(p, ip.ip6());
    }
    p += four ? 4 : 16;
  };
  if (ends != nullptr) {
    address(ends->source);
    address(ends->destination);
    store_be16(p, ends->source_port);
    store_be16(p + 2, ends->destination_port);
    p += 4;
  }
  u8* const vector = p;
  if (sum) p += kVectorHeadBytes + kCrcBytes;
  const u32 bytes = static_cast<u32>(p - out);
  store_be16(out + 14, static_cast<u16>(bytes - kProxyV2FixedBytes));
  if (!sum) return bytes;
  vector[0] = kCrc32c;
  store_be16(vector + 1, kCrcBytes);
  const u32 hole = static_cast<u32>(vector - out) + kVectorHeadBytes;
  store_be32(out + hole, crc32c({out, bytes}, hole));
  return bytes;
}

}  // namespace proxy_detail

// Writes the header for a connection between `ends`; returns its bytes. An IPv4 address beside an IPv6 one is written as
// ::ffff:a.b.c.d. `out` holds kProxyWrittenBytesMax; `version` is not off.
inline u32 write_proxy_header(ProxyVersion version, const ProxyEnds& ends, u8* out) {
  const bool four = ends.source.is4() && ends.destination.is4();
  if (version == ProxyVersion::v1) return proxy_detail::write_v1(ends, four, out);
  return proxy_detail::write_v2(&ends, four, version == ProxyVersion::v2_crc32c, out);
}

// The header of a connection that is the gateway's own, a health check: version 2 has a word for it, version 1 names
// `ends`, which are those of the connection itself.
inline u32 write_proxy_local(ProxyVersion version, const ProxyEnds& ends, u8* out) {
  if (version == ProxyVersion::v1) return write_proxy_header(version, ends, out);
  return proxy_detail::write_v2(nullptr, false, version == ProxyVersion::v2_crc32c, out);
}

}  // namespace ringway::wire
