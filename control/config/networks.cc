// Networks in the file: addresses with a length. See reader.h.

#include <charconv>

#include "control/config/reader.h"
#include "src/wire/text.h"

namespace ringway::config {

std::optional<std::string> split_prefix(Reader& reader, const Value& value, u8& bits, u32 least, u32 most, u32 whole,
                                        const char* example) {
  const auto text = read_string(reader, value);
  if (!text) return std::nullopt;
  const std::size_t slash = text->find('/');
  u32 length = 0;
  if (slash != std::string::npos) {
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data() + slash + 1, end, length);
    if (error != std::errc{} || stop != end || stop - (text->data() + slash + 1) > 3) length = 999;
  }
  if (slash == std::string::npos || length > whole) {
    reader.problem(value.mark, value.name + ": must be address/length, such as " + example);
    return std::nullopt;
  }
  if (length < least || length > most) {
    reader.problem(value.mark, value.name + ": prefix length " + std::to_string(length) + " is not within " +
                                   std::to_string(least) + " to " + std::to_string(most));
    return std::nullopt;
  }
  bits = static_cast<u8>(length);
  return text->substr(0, slash);
}

wire::Ip6 network_of(const wire::Ip6& ip, u8 bits) {
  const u64 high = bits >= 64 ? ip.high() : bits == 0 ? 0 : ip.high() & ~u64{0} << (64 - bits);
  const u64 low = bits <= 64 ? 0 : ip.low() & ~u64{0} << (128 - bits);
  return wire::Ip6::from_halves(high, low);
}

std::optional<wire::Ip6Prefix> read_network(Reader& reader, const Value& value) {
  const auto text = read_string(reader, value);
  if (!text) return std::nullopt;
  const u32 whole = text->find(':') != std::string::npos ? 128 : 32;
  u8 bits = 0;
  const auto network = split_prefix(reader, value, bits, 0, whole, whole, "10.0.0.0/24 or fd00::/64");
  if (!network) return std::nullopt;
  const auto ip = wire::parse_ip(*network);
  if (!ip) {
    reader.problem(value.mark, value.name + ": \"" + *network + "\" is not an address");
    return std::nullopt;
  }
  const wire::Ip6Prefix out{whole == 32 ? wire::Ip6::from_halves(0, u64{0xffff} << 32 | ip->ip4().v) : ip->ip6(),
                            static_cast<u8>(128 - whole + bits)};
  if (network_of(out.network, out.bits) == out.network) return out;
  reader.problem(value.mark, value.name + ": host bits are set");
  return std::nullopt;
}

}  // namespace ringway::config
