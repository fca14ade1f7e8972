#pragma once
// The CPU timestamp counter and its conversion to microseconds without a division.
//
// `read_tsc` is for the poll loop (one stamp per poll) and for benchmarks. Rooms below the loop never read a
// clock: time is a value passed in (`TimeUs now_us`), so tests run with a fake one.

#include <chrono>

#include "src/base/types.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace ringway {

inline Tsc read_tsc() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<Tsc>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

// Ticks to microseconds as a 32.32 fixed-point multiplication.
class TscScale {
 public:
  // `hz`: ticks per second, > 1 MHz.
  explicit TscScale(u64 hz) : hz_(hz), us_per_tick_q32_((u64{1'000'000} << 32) / hz) {}

  TimeUs to_us(Tsc ticks) const {
    return static_cast<TimeUs>((static_cast<unsigned __int128>(ticks) * us_per_tick_q32_) >> 32);
  }
  u64 hz() const { return hz_; }

 private:
  u64 hz_;
  u64 us_per_tick_q32_;
};

}  // namespace ringway
