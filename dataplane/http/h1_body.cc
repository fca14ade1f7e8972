// The body reader: payload is counted, framing is checked byte by byte by a state machine that needs no look-back, so
// that a body may be cut anywhere. Accepted framing is forwarded as it stands; for that reason only what every peer
// reads alike is accepted (RFC 9112 7.1 without its optional white space).
// One reader belongs to one direction of one exchange; no allocation.

#include "dataplane/http/h1_body.h"

#include <algorithm>

#include "dataplane/http/bytes.h"
#include "dataplane/http/fields.h"
#include "src/contract/limits.h"

namespace ringway::http {
namespace {

// Where a chunked body stands (RFC 9112 7.1). Between chunks every byte is one step of this table:
//
//   chunk      = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//   chunk-size = 1*16 HEXDIG, below 2^63
//   chunk-ext  = *( ";" token [ "=" ( token / quoted-string ) ] ), without white space around the signs
//   last-chunk = 1*"0" [ chunk-ext ] CRLF, then the trailer section and an empty line
enum State : u8 {
  kBody,  // a body that is not chunked
  kSizeFirst,
  kSize,
  kExtNameFirst,
  kExtName,
  kExtValueFirst,
  kExtValue,
  kExtQuoted,
  kExtQuotedPair,
  kExtQuotedEnd,
  kSizeLf,
  kPayload,
  kPayloadCr,
  kPayloadLf,
  kTrailerFirst,
  kTrailerName,
  kTrailerValue,
  kTrailerLf,
  kLastLf,
  kDone,
  kBadChunk,
  kBadTrailer,
};

constexpr u32 kSizeDigitsMax = 16;

// After a size, an extension's name or its value: another extension or the end of the line.
State after_ext(u8 c) { return c == ';' ? kExtNameFirst : c == '\r' ? kSizeLf : kBadChunk; }

// Visible ASCII and SP; a tab or a byte above 0x7e is legal in a quoted string and read differently by peers.
bool is_quoted_byte(u8 c) { return c >= 0x20 && c < 0x7f; }

State next_in_extension(u8 state, u8 c) {
  switch (state) {
    case kExtNameFirst: return is_token_byte(c) ? kExtName : kBadChunk;
    case kExtName: return is_token_byte(c) ? kExtName : c == '=' ? kExtValueFirst : after_ext(c);
    case kExtValueFirst: return is_token_byte(c) ? kExtValue : c == '"' ? kExtQuoted : kBadChunk;
    case kExtValue: return is_token_byte(c) ? kExtValue : after_ext(c);
    case kExtQuoted:
      if (c == '"') return kExtQuotedEnd;
      return c == '\\' ? kExtQuotedPair : is_quoted_byte(c) ? kExtQuoted : kBadChunk;
    case kExtQuotedPair: return is_quoted_byte(c) ? kExtQuoted : kBadChunk;
    default: return after_ext(c);
  }
}

}  // namespace

void BodyReader::begin(Framing framing, u64 content_length) {
  framing_ = framing;
  remaining_ = framing == Framing::length ? content_length : 0;
  line_bytes_ = 0;
  trailer_bytes_ = 0;
  trailer_name_ = kNameHashStart;
  state_ = framing == Framing::chunked ? kSizeFirst : kBody;
  if (framing == Framing::none || (framing == Framing::length && content_length == 0)) state_ = kDone;
}

bool BodyReader::done() const { return state_ == kDone; }

bool BodyReader::connection_closed() {
  if (framing_ == Framing::until_close) state_ = kDone;
  return done();
}

BodyReader::Run BodyReader::next(Bytes in) {
  if (state_ == kDone) return {RunKind::end, 0, Reject::none};
  if (state_ == kBadChunk) return {RunKind::invalid, 0, Reject::bad_chunk};
  if (state_ == kBadTrailer) return {RunKind::invalid, 0, Reject::bad_trailer};
  if (in.empty()) return {RunKind::more, 0, Reject::none};
  const u64 seen = std::min<u64>(in.size(), 0xffff'ffffu);
  if (framing_ == Framing::until_close) return {RunKind::payload, static_cast<u32>(seen), Reject::none};
  if (framing_ == Framing::length || state_ == kPayload) {
    const u64 bytes = std::min(seen, remaining_);
    remaining_ -= bytes;
    if (remaining_ == 0) state_ = framing_ == Framing::length ? kDone : kPayloadCr;
    return {RunKind::payload, static_cast<u32>(bytes), Reject::none};
  }
  return next_framing(in.first(seen));
}

BodyReader::Run BodyReader::next_framing(Bytes in) {
  u32 bytes = 0;
  u32 trailer_bytes = 0;
  for (const u8 c : in) {
    if (state_ >= kTrailerFirst) ++trailer_bytes;
    state_ = state_ < kTrailerFirst ? step_chunk(c) : step_trailer(c);
    if (state_ >= kBadChunk) {
      return {RunKind::invalid, 0, state_ == kBadChunk ? Reject::bad_chunk : Reject::bad_trailer};
    }
    ++bytes;
    if (state_ == kPayload || state_ == kDone) break;
  }
  return {RunKind::framing, bytes, Reject::none, trailer_bytes};
}

// One byte of a chunk's size line or of the CRLF behind its data.
u8 BodyReader::step_chunk(u8 c) {
  switch (state_) {
    case kPayloadCr: return c == '\r' ? kPayloadLf : kBadChunk;
    case kPayloadLf: return c == '\n' ? kSizeFirst : kBadChunk;
    case kSizeFirst:
      line_bytes_ = 0;
      remaining_ = 0;
      [[fallthrough]];
    case kSize: {
      const u8 digit = hex_value(c);
      if (digit > 15) return state_ == kSizeFirst ? kBadChunk : after_ext(c);
      if (++line_bytes_ > kSizeDigitsMax || remaining_ >> 59 != 0) return kBadChunk;
      remaining_ = remaining_ << 4 | digit;
      return kSize;
    }
    case kSizeLf:
      if (c != '\n') return kBadChunk;
      return remaining_ == 0 ? kTrailerFirst : kPayload;
    default:
      if (++line_bytes_ > contract::kChunkLineBytesMax) return kBadChunk;
      return next_in_extension(state_, c);
  }
}

// One byte of the trailer section: field lines as strict as those of a head, and none that frames, routes or
// authenticates (RFC 9110 6.5.1).
u8 BodyReader::step_trailer(u8 c) {
  if (++trailer_bytes_ > contract::kTrailerBytesMax) return kBadTrailer;
  switch (state_) {
    case kTrailerFirst:
      if (c == '\r') return kLastLf;
      trailer_name_ = name_hash(kNameHashStart, c);
      return is_token_byte(c) ? kTrailerName : kBadTrailer;
    case kTrailerName:
      if (c == ':') return is_forbidden_trailer(trailer_name_) ? kBadTrailer : kTrailerValue;
      trailer_name_ = name_hash(trailer_name_, c);
      return is_token_byte(c) ? kTrailerName : kBadTrailer;
    case kTrailerValue: return c == '\r' ? kTrailerLf : is_value_byte(c) ? kTrailerValue : kBadTrailer;
    case kTrailerLf: return c == '\n' ? kTrailerFirst : kBadTrailer;
    default: return c == '\n' ? kDone : kBadTrailer;
  }
}

}  // namespace ringway::http
