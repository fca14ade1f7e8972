#pragma once
// RateLimiter: so many requests a second and so many at once, held together by all cores.
//
// A bucket is one number, the time at which it will be full again (a virtual clock, as in the GCRA of ATM Forum TM 4.1):
// taking moves it on by what a token costs in time, and there is no token where it would get further ahead of now than a
// full bucket is worth. So nothing refills buckets, and nothing is divided. The number is shared by all cores; a core takes
// `batch` tokens at a time and keeps what it does not need yet, so it touches the shared line once in as many requests.
//
// What cores may keep (batch - 1 each) is taken off the bucket beforehand: over any stretch of time, all cores together
// admit no more than `burst` and what the rate brings, however the load is spread. The price is that of a burst which comes
// to one core alone up to a quarter is refused; the rate in the long run is not touched. One core has no batches.
//
// Times are in units of 2^-12 us. What a token costs is rounded up to one, so a rate is never exceeded.
//
// Cores take; a core's tokens are its own. Control makes limiters and hands them from plan to plan, so that a reload which
// does not change a rate does not fill its bucket.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <vector>

#include "src/base/cacheline.h"
#include "src/base/types.h"

namespace ringway::contract {

inline constexpr u32 kRateTimeBits = 12;
inline constexpr u32 kRateBatchMax = 64;

struct RateLimit {
  u64 cost = 0;   // of one token: the time that earns it
  u64 depth = 0;  // of the shared bucket: the time that fills it
  u32 batch = 1;  // tokens that a core takes at once
  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

// `per_second` > 0, `burst` >= 1.
inline RateLimit rate_limit(double per_second, u32 burst, u32 cores) {
  RateLimit out;
  out.cost = std::max<u64>(1, static_cast<u64>(std::ceil(1e6 * (1u << kRateTimeBits) / per_second)));
  out.batch = cores == 1 ? 1 : std::min(kRateBatchMax, 1 + burst / (4 * cores));
  out.depth = out.cost * (burst - cores * (out.batch - 1));
  return out;
}

// What `full_at` becomes when `n` tokens are taken at `now`; 0 when there are not so many.
constexpr u64 after_taking(const RateLimit& limit, u64 full_at, u64 now, u32 n) {
  const u64 next = (full_at > now ? full_at : now) + limit.cost * n;
  return next > now + limit.depth ? 0 : next;
}

class RateLimiter {
 public:
  RateLimiter(const RateLimit& limit, u32 buckets, u32 cores)
      : limit_(limit), full_at_(std::make_unique<std::atomic<u64>[]>(buckets)), held_(cores), buckets_(buckets) {
    for (auto& of_core : held_) of_core.tokens = std::make_unique<Kept[]>(buckets / kPerLine + 1);
  }

  // One token of `bucket` for core `core`.
  bool take(u32 core, u32 bucket, TimeUs now_us) {
    u8& held = kept(core, bucket);
    if (held > 0) {
      --held;
      return true;
    }
    const u64 now = now_us << kRateTimeBits;
    if (limit_.batch > 1 && take_shared(bucket, now, limit_.batch)) {
      held = static_cast<u8>(limit_.batch - 1);
      return true;
    }
    return take_shared(bucket, now, 1);
  }
  // The token that `take` has just given was not used.
  void give_back(u32 core, u32 bucket) {
    u8& held = kept(core, bucket);
    if (held + 1u < limit_.batch) {
      ++held;
    } else {
      full_at_[bucket].fetch_sub(limit_.cost, std::memory_order_relaxed);
    }
  }
  // When the next token of an empty bucket will be there.
  u64 wait_us(u32 bucket, TimeUs now_us) const {
    const u64 now = now_us << kRateTimeBits;
    const u64 next = std::max(full_at_[bucket].load(std::memory_order_relaxed), now) + limit_.cost;
    return next <= now + limit_.depth ? 0 : ((next - now - limit_.depth) >> kRateTimeBits) + 1;
  }

  const RateLimit& limit() const { return limit_; }
  u32 buckets() const { return buckets_; }
  u32 cores() const { return static_cast<u32>(held_.size()); }

 private:
  static constexpr u32 kPerLine = kCacheLineBytes;
  static_assert(kRateBatchMax <= 256);
  struct RW_CACHE_ALIGNED Kept {
    u8 tokens[kPerLine] = {};
  };
  struct OfCore {
    std::unique_ptr<Kept[]> tokens;
  };

  u8& kept(u32 core, u32 bucket) { return held_[core].tokens[bucket / kPerLine].tokens[bucket % kPerLine]; }
  bool take_shared(u32 bucket, u64 now, u32 n) {
    std::atomic<u64>& full_at = full_at_[bucket];
    u64 seen = full_at.load(std::memory_order_relaxed), next;
    do {
      next = after_taking(limit_, seen, now, n);
      if (next == 0) return false;
    } while (!full_at.compare_exchange_weak(seen, next, std::memory_order_relaxed));
    return true;
  }

  RateLimit limit_;
  std::unique_ptr<std::atomic<u64>[]> full_at_;
  std::vector<OfCore> held_;  // by core
  u32 buckets_;
};

}  // namespace ringway::contract
