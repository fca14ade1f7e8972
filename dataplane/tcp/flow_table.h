#pragma once
// Flow table: keyed hash of a four-tuple -> u32, in buckets of one cache line.
//
// Open addressing over buckets of eight entries. An entry is a 16-bit tag (from the upper half of the hash) and a
// value; the tuple itself stands in what the value names, so the caller says whether a candidate is the one. A bucket
// counts the entries that wanted to be in it and stand further on: a search ends at the first bucket where that count
// is zero, and there are no tombstones. The hash is keyed (lookup::flow_hash), so a peer cannot choose its bucket.
//
// One thread. Sized at construction for at most half load; never grows, never allocates later.

#include <bit>
#include <memory>

#include "src/base/assert.h"
#include "src/base/cacheline.h"
#include "src/base/types.h"

namespace ringway::tcp {

class FlowTable {
 public:
  // `entries`: at most so many will be in the table at once.
  explicit FlowTable(u32 entries)
      : mask_(std::bit_ceil(entries / (kWays / 2) + 1) - 1), buckets_(std::make_unique<Bucket[]>(mask_ + 1)) {}

  void prefetch(u32 hash) const { __builtin_prefetch(&buckets_[hash & mask_]); }

  // The value of the first candidate for which `is_it(value)` holds; kNone32 when there is none.
  template <class F>
  u32 find(u32 hash, F&& is_it) const {
    const u16 tag = tag_of(hash);
    for (u32 b = hash & mask_;; b = (b + 1) & mask_) {
      const Bucket& bucket = buckets_[b];
      for (u32 i = 0; i < kWays; ++i)
        if (bucket.tag[i] == tag && is_it(bucket.value[i])) return bucket.value[i];
      if (bucket.passed == 0) return kNone32;
    }
  }

  // The first value in the bucket with the same tag, unverified; for prefetching what it names.
  u32 guess(u32 hash) const {
    const Bucket& bucket = buckets_[hash & mask_];
    const u16 tag = tag_of(hash);
    for (u32 i = 0; i < kWays; ++i)
      if (bucket.tag[i] == tag) return bucket.value[i];
    return kNone32;
  }

  // (hash, value) is not in the table; there are fewer than `entries` in it.
  void insert(u32 hash, u32 value) {
    for (u32 b = hash & mask_;; b = (b + 1) & mask_) {
      Bucket& bucket = buckets_[b];
      for (u32 i = 0; i < kWays; ++i) {
        if (bucket.tag[i] != 0) continue;
        bucket.tag[i] = tag_of(hash);
        bucket.value[i] = value;
        ++size_;
        return;
      }
      ++bucket.passed;
    }
  }

  // (hash, value) is in the table.
  void erase(u32 hash, u32 value) {
    const u16 tag = tag_of(hash);
    for (u32 b = hash & mask_, steps = 0; steps <= mask_; b = (b + 1) & mask_, ++steps) {
      Bucket& bucket = buckets_[b];
      for (u32 i = 0; i < kWays; ++i) {
        if (bucket.tag[i] != tag || bucket.value[i] != value) continue;
        bucket.tag[i] = 0;
        --size_;
        for (u32 back = hash & mask_; back != b; back = (back + 1) & mask_) --buckets_[back].passed;
        return;
      }
    }
    RW_ASSERT(!"entry is in the flow table");
  }

  // (hash, from) is in the table and is to name `to` from now on.
  void replace(u32 hash, u32 from, u32 to) {
    const u16 tag = tag_of(hash);
    for (u32 b = hash & mask_, steps = 0; steps <= mask_; b = (b + 1) & mask_, ++steps) {
      Bucket& bucket = buckets_[b];
      for (u32 i = 0; i < kWays; ++i) {
        if (bucket.tag[i] != tag || bucket.value[i] != from) continue;
        bucket.value[i] = to;
        return;
      }
    }
    RW_ASSERT(!"entry is in the flow table");
  }

  u32 size() const { return size_; }

 private:
  static constexpr u32 kWays = 8;
  struct RW_CACHE_ALIGNED Bucket {
    u16 tag[kWays] = {};   // 0: free
    u32 value[kWays] = {};
    u32 passed = 0;        // entries whose search begins at or before this bucket and goes on beyond it
  };
  static_assert(sizeof(Bucket) == kCacheLineBytes);

  static u16 tag_of(u32 hash) {
    const u16 tag = static_cast<u16>(hash >> 16);
    return tag != 0 ? tag : u16{1};
  }

  u32 mask_;
  u32 size_ = 0;
  std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace ringway::tcp
