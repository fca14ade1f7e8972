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

// `begins_at`, by length: the first code of that length as the highest bits of 32, or that of the next longer one.
struct Canonical {
  std::array<u16, kSymbols> symbols{};   // in the order of their codes
  std::array<u32, kSymbols> codes{};     // by symbol
  std::array<u16, kBitsMax + 2> first{}; // by length: where in `symbols`
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
      c.codes[symbol] = static_cast<u32>(next >> (32 - length));
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

// By the next bits: the bits that are used (lowest 6), how many symbols they are (2; none when the first is longer),
// and the symbols (8 each). The bits stand lowest because a shift looks at no more than 6.
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
    looks[bits] = used | count << 6 | symbols << 8;
  }
  return looks;
}
constexpr std::array<u32, 1u << kLookBits> kLooks = make_looks();

constexpr u32 used_of(u32 look) { return look & 63; }
constexpr u32 count_of(u32 look) { return look >> 6 & 3; }

inline u8* put_symbols(u8* to, u32 look) {
  const u16 both = static_cast<u16>(look >> 8);
  std::memcpy(to, &both, sizeof both);
  return to + count_of(look);
}

// The last bits, at most 64: `window` has `left` of them in front of ones. The end of what was written, or nullptr.
u8* decode_rest(u64 window, i32 left, u8* to) {
  while (left > 0) {
    const u32 look = kLooks[window >> (64 - kLookBits)];
    u32 used = used_of(look);
    if (count_of(look) != 0) [[likely]] {
      to = put_symbols(to, look);
    } else {
      if (left < 8 && window == ~u64{0}) return to;
      const Symbol symbol = symbol_ahead(window >> 32, kLookBits + 1);
      if (symbol.value == kEos) return nullptr;
      *to++ = static_cast<u8>(symbol.value);
      used = symbol.bits;
    }
    window = ~(~window << used);
    left -= static_cast<i32>(used);
  }
  return left == 0 ? to : nullptr;  // below: the last symbol ends in the padding
}

}  // namespace

u32 huffman_decode(Bytes coded, u8* out) {
  const u8* at = coded.data();
  const u8* const end = at + coded.size();
  u8* to = out;
  u32 skew = 0;  // bits of *at that are used
  while (end - at >= 8) {
    // At least 57 bits are in the window: four looks, or one symbol of any length.
    u64 window = load_big<u64>(at) << skew;
    for (u32 i = 0; i < 4; ++i) {
      const u32 look = kLooks[window >> (64 - kLookBits)];
      if (count_of(look) == 0) [[unlikely]] {
        if (i != 0) break;
        const Symbol symbol = symbol_ahead(window >> 32, kLookBits + 1);
        if (symbol.value == kEos) return kNone32;
        *to++ = static_cast<u8>(symbol.value);
        skew += symbol.bits;
        break;
      }
      to = put_symbols(to, look);
      window <<= used_of(look);
      skew += used_of(look);
    }
    at += skew >> 3;
    skew &= 7;
  }
  if (at != end) {
    const u32 rest = static_cast<u32>(end - at);
    const u64 bits = coded.size() >= 8 ? load_big<u64>(end - 8) << (64 - 8 * rest) : load_big_short(at, rest);
    const u64 window = bits | ~u64{0} >> (8 * rest);
    to = decode_rest(~(~window << skew), static_cast<i32>(8 * rest - skew), to);
    if (to == nullptr) return kNone32;
  }
  return static_cast<u32>(to - out);
}

u64 huffman_bytes(std::string_view text) {
  u64 bits = 0;
  for (const char c : text) bits += kLengths[static_cast<u8>(c)];
  return (bits + 7) / 8;
}

u8* huffman_encode(std::string_view text, u8* out) {
  u64 window = 0;  // the lowest `held` bits wait to be written
  u32 held = 0;
  for (const char c : text) {
    const u8 symbol = static_cast<u8>(c);
    window = window << kLengths[symbol] | kCode.codes[symbol];
    held += kLengths[symbol];
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
