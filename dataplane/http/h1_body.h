#pragma once
// BodyReader: finds the end of an HTTP/1.1 body without touching its payload (RFC 9112 sections 6 and 7).
//
// One per direction of an exchange; 32 bytes of state, no buffer, so that bytes may come in any pieces. The caller
// shows it the unread bytes piece by piece and moves as many as each run says.

#include "dataplane/http/head.h"
#include "dataplane/http/reject.h"
#include "src/base/types.h"

namespace ringway::http {

class BodyReader {
 public:
  enum class RunKind : u8 {
    payload,  // the next `bytes` bytes (> 0) are content
    framing,  // the next `bytes` bytes (> 0) are chunk sizes, extensions, CRLFs or the trailer section, all checked
    end,      // the body is complete; `bytes` is 0
    more,     // nothing can be said about an empty piece
    invalid,  // `reject` says why; `bytes` is 0
  };
  struct Run {
    RunKind kind = RunKind::more;
    u32 bytes = 0;
    Reject reject = Reject::none;
    u32 trailer_bytes = 0;  // of a framing run, the last so many: trailer section with its empty line
  };

  // Starts a body; Framing::none is complete at once, Framing::until_close ends by `connection_closed`.
  void begin(Framing framing, u64 content_length);

  // Looks at the next unread bytes (one contiguous piece) and advances past the run that it returns. `payload` runs
  // are as long as the piece allows. Call again until `end`, `invalid` or the bytes are used up.
  Run next(Bytes in);

  // The peer closed: true when the body is complete by that (until_close, or already ended).
  bool connection_closed();

  bool done() const;
  Framing framing() const { return framing_; }
  // Bytes of Framing::length that are still to come.
  u64 remaining() const { return remaining_; }

 private:
  Run next_framing(Bytes in);
  u8 step_chunk(u8 c);
  u8 step_trailer(u8 c);

  u64 remaining_ = 0;  // of the content, or of the present chunk
  Framing framing_ = Framing::none;
  u8 state_ = 0;
  u16 line_bytes_ = 0;
  u32 trailer_bytes_ = 0;
  u64 trailer_name_ = 0;  // hash of the trailer field's name so far
};
static_assert(sizeof(BodyReader) <= 32);

}  // namespace ringway::http
