#pragma once
// Initial sequence numbers by RFC 6528: a clock of 4 us plus a keyed pseudo-random function of the connection's tuple; and
// what the connection adds to the clock of its timestamps (RFC 7323 section 7.1), the same for a tuple at any time.
//
// The function is SipHash-2-4 (Aumasson and Bernstein, 2012) over twelve bytes; each number is one half of its result, so
// neither tells of the other. Pure, any thread.

#include <bit>

#include "src/base/types.h"
#include "src/wire/addr.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

class SipHash {
 public:
  SipHash(u64 k0, u64 k1)
      : a_(k0 ^ 0x736f'6d65'7073'6575), b_(k1 ^ 0x646f'7261'6e64'6f6d), c_(k0 ^ 0x6c79'6765'6e65'7261),
        d_(k1 ^ 0x7465'6462'7974'6573) {}

  // One block of eight bytes; the last holds the length in its top byte.
  void block(u64 m) {
    d_ ^= m;
    round();
    round();
    a_ ^= m;
  }
  u64 finish() {
    c_ ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return a_ ^ b_ ^ c_ ^ d_;
  }

 private:
  void round() {
    a_ += b_;
    b_ = std::rotl(b_, 13) ^ a_;
    a_ = std::rotl(a_, 32);
    c_ += d_;
    d_ = std::rotl(d_, 16) ^ c_;
    a_ += d_;
    d_ = std::rotl(d_, 21) ^ a_;
    c_ += b_;
    b_ = std::rotl(b_, 17) ^ c_;
    c_ = std::rotl(c_, 32);
  }

  u64 a_, b_, c_, d_;
};

struct FirstNumbers {
  wire::SeqNo iss;
  u32 ts_offset = 0;
};

inline FirstNumbers first_numbers(const wire::FourTuple& t, const u64 (&secret)[2], TimeUs now_us) {
  SipHash h(secret[0], secret[1]);
  h.block(u64{t.local.v} << 32 | t.remote.v);
  h.block(u64{12} << 56 | u64{t.local_port} << 16 | t.remote_port);
  const u64 both = h.finish();
  return {wire::SeqNo{static_cast<u32>(both) + static_cast<u32>(now_us >> 2)}, static_cast<u32>(both >> 32)};
}

inline u32 timestamp_offset(const wire::FourTuple& t, const u64 (&secret)[2]) {
  return first_numbers(t, secret, 0).ts_offset;
}

}  // namespace ringway::tcp
