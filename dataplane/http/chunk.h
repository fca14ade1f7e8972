#pragma once
// ChunkWriter: chunked transfer coding (RFC 9112 7.1) around bytes that come without a known length, as from HTTP/2 DATA.
//
// The line end behind a chunk's data is written in front of the next chunk, so that every piece needs room on one side
// only; for 64 KiB and less it is no more than the frame header of nine bytes that stood there. Pure, any thread.

#include <cstring>

#include "src/base/types.h"

namespace ringway::http {

inline constexpr u32 kChunkHeadBytesMax = 2 + 8 + 2;

class ChunkWriter {
 public:
  // What goes in front of `bytes` (> 0) of data; returns its length.
  u32 head(u32 bytes, u8 out[kChunkHeadBytesMax]) {
    u32 n = line_end(out);
    open_ = true;
    u32 digits = 1;
    while (digits < 8 && bytes >> (4 * digits) != 0) ++digits;
    while (digits-- > 0) out[n++] = static_cast<u8>("0123456789abcdef"[bytes >> (4 * digits) & 15u]);
    out[n++] = '\r';
    out[n++] = '\n';
    return n;
  }
  // What goes behind the last byte, up to the trailer section; the empty line is the caller's.
  u32 last(u8 out[kChunkHeadBytesMax]) {
    const u32 n = line_end(out);
    std::memcpy(out + n, "0\r\n", 3);
    return n + 3;
  }

 private:
  u32 line_end(u8* out) const {
    if (!open_) return 0;
    out[0] = '\r';
    out[1] = '\n';
    return 2;
  }
  bool open_ = false;  // a chunk's data was written
};

}  // namespace ringway::http
