// Decoding looks at 12 bits at a time and finds one or two symbols there: most of what headers are made of has codes of
// 5 to 7 bits. Longer codes, which hardly occur, are told by where the 32 bits ahead stand between the first codes of
// each length; that works because the code is canonical. Bits behind the end of the text read as ones, which is what
// padding has to be, and ones alone are no symbol: so a text has ended well when all its bits are used and what is left
// below a byte is ones.
// Pure, any thread, no allocation.

#include "dataplane/http/huffman.h"

#include <array>

#include "dataplane/http/words.h"

namespace ringway::http {
namespace {

constexpr u32 kSymbols = 257;
constexpr u32 kEos = 256;
constexpr u32 kBitsMax = 30;

constexpr std::array<u8, kSymbols> make_lengths() {
  std::array<u8, kSymbols> lengths{};
  const auto row = [&](u32 symbol, auto... bits) { ((lengths[symbol++] = static_cast<u8>(bits)), ...); };
#define RW_HUFFMAN_ROW(first, ...) row(first, __VA_ARGS__);
#include "dataplane/http/huffman.def"
#undef RW_HUFFMAN_ROW
  lengths[kEos] = kBitsMax;
  return lengths;
}
constexpr std::array<u8, kSymbols> kLengths = make_lengths();

struct Code {
  u32 bits, length;
};

// `begins_at`, by length: the first code of that length as the highest bits of 32, or that of the next longer one.
struct Canonical {
  std::array<Code, kSymbols> codes{};     // by symbol
  std::array<u16, kSymbols> symbols{};    // in the order of their codes
  std::array<u16, kBitsMax + 2> first{};  // by length: where in `symbols`
  std::array<u64, kBitsMax + 2> begins_at{};
};

constexpr Canonical make_canonical() {
  Canonical c;
  u32 index = 0;
  u64 next = 0;
  for (u32 length = 1; length <= kBitsMax; ++length) {
    c.first[length] = static_cast<u16>(index);
    c.begins_at[length] = next;
    for (u32 symbol = 0; symbol < kSymbols; ++symbol) {
      if (kLengths[symbol] != length) continue;
      c.symbols[index++] = static_cast<u16>(symbol);
      c.codes[symbol] = {static_cast<u32>(next >> (32 - length)), length};
      next += u64{1} << (32 - length);
    }
  }
  c.begins_at[kBitsMax + 1] = next;
  return c;
}
constexpr Canonical kCode = make_canonical();
static_assert(kCode.begins_at[kBitsMax + 1] == u64{1} << 32, "every string of bits is some symbol");
static_assert(kCode.symbols[kSymbols - 1] == kEos, "ones alone are EOS");

struct Symbol {
  u32 value, bits;
};

// The symbol that the 32 bits begin with, which takes `shortest` bits or more.
constexpr Symbol symbol_ahead(u64 ahead, u32 shortest) {
  u32 length = shortest;
  while (ahead >= kCode.begins_at[length + 1]) ++length;
  return {kCode.symbols[kCode.first[length] + ((ahead - kCode.begins_at[length]) >> (32 - length))], length};
}

// By the next bits, inverted: how many of them are used, how many symbols that is (2; none when the first is longer),
// and the symbols; a byte each, from the lowest on.
constexpr u32 kLookBits = 12;
constexpr std::array<u32, 1u << kLookBits> make_looks() {
  std::array<u32, 1u << kLookBits> looks{};
  for (u32 bits = 0; bits < looks.size(); ++bits) {
    u32 used = 0;
    u32 count = 0;
    u32 symbols = 0;
    for (; count < 2; ++count) {
      const Symbol symbol = symbol_ahead(static_cast<u32>(u64{bits} << (32 - kLookBits + used)), 1);
      if (used + symbol.bits > kLookBits) break;
      symbols |= symbol.value << (8 * count);
      used += symbol.bits;
    }
    looks[~bits % looks.size()] = used | count << 8 | symbols << 16;
  }
  return looks;
}
constexpr std::array<u32, 1u << kLookBits> kLooks = make_looks();

// Bits that are yet to be decoded, and where their symbols go. The bits are inverted and the next one is the highest:
// so what a shift brings in stands for ones.
struct Decoding {
  // Four looks. What begins with a longer code stays as it is; so do ones.
  void look() {
    u32 sum = 0;
    for (u32 i = 0; i < 4; ++i) {
      const u32 look = kLooks[window >> (64 - kLookBits)];
      const u16 symbols = static_cast<u16>(look >> 16);
      std::memcpy(to, &symbols, sizeof symbols);
      to += look >> 8 & 0xff;
      window <<= look & 63;
      sum += look;
    }
    taken += sum & 0xff;
  }

  // One symbol with a longer code; false for EOS.
  bool look_far() {
    const Symbol symbol = symbol_ahead(static_cast<u32>(~window >> 32), kLookBits + 1);
    *to++ = static_cast<u8>(symbol.value);
    window <<= symbol.bits;
    taken += symbol.bits;
    return symbol.value != kEos;
  }

  u64 window;
  u32 taken;  // bits
  u8* to;
};

}  // namespace

u32 huffman_decode(Bytes coded, u8* out) {
  const u8* at = coded.data();
  const u8* const end = at + coded.size();
  Decoding d{0, 0, out};
  while (end - at >= 8) {
    // With 57 bits or more ahead there are enough for four looks, or for one symbol of any length.
    const u32 skew = d.taken;  // below 8
    d.window = ~load_big<u64>(at) << skew;
    d.look();
    if (d.taken == skew && !d.look_far()) return kNone32;
    at += d.taken >> 3;
    d.taken &= 7;
  }
  const u32 rest = static_cast<u32>(end - at);
  u64 bits = 0;
  if (rest != 0) bits = coded.size() >= 8 ? load_big<u64>(end - 8) << (64 - 8 * rest) : load_big_short(at, rest);
  d.window = ~(bits | ~u64{0} >> (8 * rest)) << d.taken;
  while (d.window != 0) {
    const u32 taken = d.taken;
    d.look();
    if (d.taken == taken && !d.look_far()) return kNone32;
  }
  const u32 padding = 8 * rest - d.taken;  // wraps round when the last symbol ends in the padding
  return padding < 8 ? static_cast<u32>(d.to - out) : kNone32;
}

u64 huffman_bytes(std::string_view text) {
  const char* at = text.data();
  u64 left = text.size();
  u64 bits = 0;
  for (; left >= 8; left -= 8, at += 8) {
    u64 word;
    std::memcpy(&word, at, sizeof word);
    for (u32 shift = 0; shift < 64; shift += 8) bits += kLengths[word >> shift & 0xff];
  }
  for (; left != 0; --left) bits += kLengths[static_cast<u8>(*at++)];
  return (bits + 7) / 8;
}

u8* huffman_encode(std::string_view text, u8* out) {
  u64 window = 0;  // the lowest `held` bits wait to be written
  u32 held = 0;
  for (const char c : text) {
    const auto [code, length] = kCode.codes[static_cast<u8>(c)];
    window = window << length | code;
    held += length;
    if (held < 32) continue;
    held -= 32;
    const u32 word = __builtin_bswap32(static_cast<u32>(window >> held));
    std::memcpy(out, &word, sizeof word);
    out += sizeof word;
  }
  window = window << 8 | 0xff;
  for (; held > 8; held -= 8) *out++ = static_cast<u8>(window >> held);
  if (held != 0) *out++ = static_cast<u8>(window >> held);
  return out;
}

}  // namespace ringway::http
