#pragma once
// The Huffman code of HPACK (RFC 7541 5.2 and appendix B), both ways. huffman.def holds the code; the tables are made
// of it by the compiler. Pure, any thread, no allocation.

#include <string_view>

#include "src/base/types.h"

namespace ringway::http {

// Room that decoding takes at most: the shortest code has 5 bits, one symbol may be decoded out of bad padding, and two
// are written at a time.
constexpr u64 huffman_decoded_bytes_max(u64 coded_bytes) { return coded_bytes * 8 / 5 + 3; }

// Decodes all of `coded` to `out`, which has room for huffman_decoded_bytes_max. Bytes decoded; kNone32 when there is
// an EOS in it, or padding that is longer than 7 bits or not of ones.
u32 huffman_decode(Bytes coded, u8* out);

// What `text` takes when it is coded, in bytes.
u64 huffman_bytes(std::string_view text);

// Writes these bytes; returns the end.
u8* huffman_encode(std::string_view text, u8* out);

}  // namespace ringway::http
