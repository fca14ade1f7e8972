// libFuzzer target: bodies. The first byte picks the framing and the pieces; the rest is the body. Shown whole, byte
// by byte and in pieces, a body must give the same payload, end at the same byte, or be refused for the same reason;
// what is accepted as chunked must be accepted again behind itself.

#include <algorithm>
#include <string>

#include "dataplane/http/h1_body.h"
#include "src/base/assert.h"

namespace ringway::http {
namespace {

struct Outcome {
  std::string payload;
  std::size_t used = 0;
  bool done = false;
  Reject reject = Reject::none;

  bool operator==(const Outcome& other) const {
    // A refusal in the middle of a piece reports nothing of the piece's framing.
    if (reject != Reject::none || other.reject != Reject::none) return reject == other.reject;
    return payload == other.payload && used == other.used && done == other.done;
  }
};

Outcome read(Bytes body, Framing framing, u64 length, std::size_t piece) {
  Outcome seen;
  BodyReader reader;
  reader.begin(framing, length);
  while (!reader.done() && seen.used < body.size()) {
    const Bytes next = body.subspan(seen.used, std::min(piece, body.size() - seen.used));
    const BodyReader::Run run = reader.next(next);
    if (run.kind == BodyReader::RunKind::invalid) {
      seen.reject = run.reject;
      return seen;
    }
    RW_ASSERT(run.bytes > 0 && run.bytes <= next.size());
    if (run.kind == BodyReader::RunKind::payload) {
      seen.payload.append(reinterpret_cast<const char*>(next.data()), run.bytes);
    } else {
      RW_ASSERT(run.kind == BodyReader::RunKind::framing);
    }
    seen.used += run.bytes;
  }
  seen.done = reader.done();
  return seen;
}

void check(Bytes body, Framing framing, u64 length, std::size_t piece) {
  const Outcome whole = read(body, framing, length, body.size() + 1);
  RW_ASSERT(whole == read(body, framing, length, 1));
  RW_ASSERT(whole == read(body, framing, length, piece));
  if (!whole.done || framing != Framing::chunked) return;
  const Outcome exact = read(body.first(whole.used), framing, length, piece);
  RW_ASSERT(exact.done && exact.payload == whole.payload);
  RW_ASSERT(whole.used == 0 || !read(body.first(whole.used - 1), framing, length, piece).done);
}

}  // namespace
}  // namespace ringway::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace ringway;
  using namespace ringway::http;
  if (size == 0 || size > 16384) return 0;
  const Bytes body{bytes + 1, size - 1};
  const std::size_t piece = bytes[0] % 16 + 1u;
  check(body, Framing::chunked, 0, piece);
  check(body, Framing::length, bytes[0], piece);
  return 0;
}
