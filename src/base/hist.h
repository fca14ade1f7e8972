#pragma once
// Hist: a histogram of u64 values in log-linear buckets, written by one thread and read by any.
//
// Values below 32 have a bucket each; above, every power of two is cut into 32 equal buckets, so a bucket is at
// most 1/32 (3.2 %) of its value wide. The last power covered begins at 2^35: in microseconds 19 hours, in
// nanoseconds a minute, in bytes 64 GiB; larger values count in the last bucket, while `sum` and `max` keep them whole.
//
// `record` belongs to the owning thread: cells are atomics that only it writes, with a relaxed load and a relaxed
// store, so no locked instruction is issued. A reader may see a value in its bucket but not yet in the sum.
//
// HistSnapshot adds up any number of Hists (one per core) and answers questions about the whole. It is 8 KiB:
// for control threads, not for the packet path. Nothing here allocates.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>

#include "src/base/cacheline.h"
#include "src/base/types.h"

namespace ringway {

struct HistShape {
  static constexpr u32 kSubBits = 5;
  static constexpr u32 kSub = 1u << kSubBits;  // buckets per power of two
  static constexpr u32 kTopBits = 36;          // values at and above 2^36 share the last bucket
  static constexpr u32 kBuckets = (kTopBits - kSubBits + 1) * kSub;

  static constexpr u32 bucket_of(u64 v) {
    if (v < kSub) return static_cast<u32>(v);
    const u32 power = static_cast<u32>(std::bit_width(v)) - 1;
    if (power >= kTopBits) return kBuckets - 1;
    const u32 shift = power - kSubBits;
    return (shift + 1) * kSub + (static_cast<u32>(v >> shift) & (kSub - 1));
  }
  // The smallest and the largest value that falls into `bucket` (the last bucket takes larger ones as well).
  static constexpr u64 lowest_in(u32 bucket) {
    if (bucket < kSub) return bucket;
    const u32 shift = bucket / kSub - 1;
    return u64{kSub + bucket % kSub} << shift;
  }
  static constexpr u64 highest_in(u32 bucket) {
    const u32 shift = bucket < kSub ? 0 : bucket / kSub - 1;
    return lowest_in(bucket) + (u64{1} << shift) - 1;
  }
};

class Hist {
 public:
  Hist() = default;
  Hist(const Hist&) = delete;
  Hist& operator=(const Hist&) = delete;

  void record(u64 v) {
    bump(cells_[HistShape::bucket_of(v)], 1);
    bump(sum_, v);
    if (v > max_.load(std::memory_order_relaxed)) max_.store(v, std::memory_order_relaxed);
  }

 private:
  friend class HistSnapshot;
  using Cell = std::atomic<u64>;
  static void bump(Cell& cell, u64 by) {
    cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  RW_CACHE_ALIGNED Cell sum_{0};
  Cell max_{0};
  std::array<Cell, HistShape::kBuckets> cells_{};
};

class HistSnapshot {
 public:
  void add(const Hist& h) {
    for (u32 i = 0; i < HistShape::kBuckets; i++) {
      const u64 n = h.cells_[i].load(std::memory_order_relaxed);
      cells_[i] += n;
      count_ += n;
    }
    sum_ += h.sum_.load(std::memory_order_relaxed);
    max_ = std::max(max_, h.max_.load(std::memory_order_relaxed));
  }

  // Only what was recorded after `earlier`, a snapshot of the same Hists; `max` stays that of all.
  HistSnapshot since(const HistSnapshot& earlier) const {
    HistSnapshot out = *this;
    out.count_ = 0;
    for (u32 i = 0; i < HistShape::kBuckets; i++) out.count_ += out.cells_[i] -= std::min(out.cells_[i], earlier.cells_[i]);
    out.sum_ -= std::min(out.sum_, earlier.sum_);
    return out;
  }

  u64 count() const { return count_; }
  u64 sum() const { return sum_; }
  // The largest value recorded, exact; 0 when empty.
  u64 max() const { return max_; }
  double mean() const { return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_); }

  // A bound that at least `p` percent of the values do not exceed: the top of their bucket, so at most 3.2 % above
  // the exact percentile and never below it. `p` is 0..100; 0 when empty.
  u64 percentile(double p) const {
    if (count_ == 0) return 0;
    const double share = std::clamp(p, 0.0, 100.0) / 100.0;
    const u64 rank = std::max<u64>(1, static_cast<u64>(std::ceil(share * static_cast<double>(count_))));
    u64 seen = 0;
    for (u32 i = 0; i + 1 < HistShape::kBuckets; i++) {
      seen += cells_[i];
      if (seen >= rank) return std::min(HistShape::highest_in(i), max_bound());
    }
    return max_bound();
  }

  // Calls `f(highest value of the bucket, count in the bucket)` for each bucket that is not empty, in rising order.
  template <class F>
  void for_each_bucket(F&& f) const {
    for (u32 i = 0; i < HistShape::kBuckets; i++)
      if (cells_[i] != 0) f(HistShape::highest_in(i), cells_[i]);
  }

  // How many values were at most `bound`, exact when `bound` is the top of a bucket; for cumulative exports.
  u64 count_at_most(u64 bound) const {
    u64 n = 0;
    for (u32 i = 0; i < HistShape::kBuckets && HistShape::highest_in(i) <= bound; i++) n += cells_[i];
    return n;
  }

 private:
  // While a writer runs, max_ may trail the buckets: the top non-empty bucket then stands in for it.
  u64 max_bound() const {
    for (u32 i = HistShape::kBuckets; i-- > 0;)
      if (cells_[i] != 0) return std::max(max_, HistShape::lowest_in(i));
    return max_;
  }

  std::array<u64, HistShape::kBuckets> cells_{};
  u64 count_ = 0;
  u64 sum_ = 0;
  u64 max_ = 0;
};

}  // namespace ringway
