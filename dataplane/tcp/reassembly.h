#pragma once
// Reassembly: what arrived ahead of its turn, as at most kRanges disjoint ranges of slices in order of sequence number.
//
// A segment that overlaps or touches a range is cut to what is new and joined to it, without copying. Work per segment
// is bounded by the number of ranges, and so is what a peer can pin with holes; a segment that would open one range
// too many is refused. RFC 9293 section 3.10.7.4 (seventh), section 3.4. One thread; never allocates.

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "dataplane/mbuf/chain.h"
#include "src/base/types.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

class Reassembly {
 public:
  static constexpr u32 kRanges = 64;  // every other segment of a default receive budget may be missing
  static constexpr u32 kNewest = 4;   // a SACK option has no room for more

  bool empty() const { return count_ == 0; }
  u32 ranges() const { return count_; }
  u32 slices() const {
    u32 n = 0;
    for (u32 i = 0; i < count_; ++i) n += ranges_[i].bytes.slices();
    return n;
  }
  wire::SeqNo begin(u32 i) const { return ranges_[i].begin; }
  wire::SeqNo end(u32 i) const { return ranges_[i].end(); }
  // Indices of the ranges that grew last, the latest first; returns their number.
  u32 newest(std::array<u8, kNewest>& out) const {
    u32 n = 0;
    for (u32 i = 0; i < count_; ++i) {
      if (n == kNewest && ranges_[out[n - 1]].grown > ranges_[i].grown) continue;
      u32 at = n < kNewest ? n++ : n - 1;
      for (; at > 0 && ranges_[out[at - 1]].grown < ranges_[i].grown; --at) out[at] = out[at - 1];
      out[at] = static_cast<u8>(i);
    }
    return n;
  }

  enum class Outcome : u8 { kept, duplicate, refused };

  // Takes bytes that begin at `seq`. `duplicate`: nothing in them was new; `refused`: too many holes. Both drop them.
  Outcome insert(wire::SeqNo seq, mbuf::Chain bytes) {
    u32 at = 0;
    while (at < count_ && ranges_[at].end() < seq) ++at;
    // Ranges [at, to) overlap or touch the new bytes.
    u32 to = at;
    while (to < count_ && ranges_[to].begin <= seq + bytes.bytes()) ++to;
    if (at == to) return open(at, seq, std::move(bytes));
    const bool news = join_front(at, seq, bytes);
    bool more = false;
    while (!bytes.empty()) more = join_back(at, seq, bytes) || more;
    close_up(at);
    if (news || more) ranges_[at].grown = ++inserts_;
    return news || more ? Outcome::kept : Outcome::duplicate;
  }

  // Copies bytes that go on where a range ends behind its last ones. False, and nothing happened: they do not, or there is no
  // room in that mbuf, and they are to be inserted.
  bool extend(wire::SeqNo seq, Bytes more) {
    const u32 n = static_cast<u32>(more.size());
    for (u32 i = 0; i < count_; ++i) {
      Range& r = ranges_[i];
      if (r.end() != seq) continue;
      u8* const to = i + 1 < count_ && ranges_[i + 1].begin <= seq + n ? nullptr : r.bytes.grow_back(n);
      if (to == nullptr) return false;
      std::memcpy(to, more.data(), n);
      r.grown = ++inserts_;
      return true;
    }
    return false;
  }

  // Moves what begins at or before `next` to the end of `out`; returns the new left edge.
  wire::SeqNo drain(wire::SeqNo next, mbuf::Chain& out) {
    while (count_ != 0 && ranges_[0].begin <= next) {
      Range first = std::move(ranges_[0]);
      remove(0);
      const i32 old = next - first.begin;
      if (old >= static_cast<i32>(first.bytes.bytes())) continue;
      first.bytes.drop_front(static_cast<u32>(old));
      next += first.bytes.bytes();
      out.append(std::move(first.bytes));
    }
    return next;
  }

 private:
  struct Range {
    wire::SeqNo begin;
    mbuf::Chain bytes;
    u32 grown = 0;  // value of inserts_ when it grew last
    wire::SeqNo end() const { return begin + bytes.bytes(); }
  };

  Outcome open(u32 at, wire::SeqNo seq, mbuf::Chain bytes) {
    if (count_ == kRanges) return Outcome::refused;
    for (u32 i = count_; i > at; --i) ranges_[i] = std::move(ranges_[i - 1]);
    ranges_[at].begin = seq;
    ranges_[at].bytes = std::move(bytes);
    ranges_[at].grown = ++inserts_;
    ++count_;
    return Outcome::kept;
  }

  // The part of `bytes` in front of range `at` goes in front of it; what the range has already is cut off.
  // True when there was such a part. `seq` follows the front of `bytes`.
  bool join_front(u32 at, wire::SeqNo& seq, mbuf::Chain& bytes) {
    Range& r = ranges_[at];
    if (seq >= r.begin) return false;
    const u32 before = static_cast<u32>(r.begin - seq);
    if (before >= bytes.bytes()) {
      const wire::SeqNo begin = seq;
      seq += bytes.bytes();
      r.bytes.prepend(std::move(bytes));
      r.begin = begin;
      return true;
    }
    mbuf::Chain front = bytes.take_front(before);
    const u32 got = front.bytes();
    if (got < before) {  // out of slices: keep nothing that would leave a gap
      bytes.clear();
      return false;
    }
    r.bytes.prepend(std::move(front));
    r.begin = seq;
    seq += got;
    return true;
  }

  // Brings the front of `bytes` behind range `at`, up to the beginning of the next range.
  bool join_back(u32 at, wire::SeqNo& seq, mbuf::Chain& bytes) {
    Range& r = ranges_[at];
    const i32 old = r.end() - seq;
    if (old > 0) {
      const u32 n = std::min<u32>(static_cast<u32>(old), bytes.bytes());
      bytes.drop_front(n);
      seq += n;
      if (bytes.empty()) return false;
    }
    u32 fits = bytes.bytes();
    if (at + 1 < count_) fits = std::min(fits, static_cast<u32>(ranges_[at + 1].begin - seq));
    if (fits > 0) {
      mbuf::Chain part = bytes.take_front(fits);
      if (part.bytes() < fits) bytes.clear();
      seq += part.bytes();
      r.bytes.append(std::move(part));
    }
    if (!bytes.empty()) close_up(at);
    return fits > 0;
  }

  // Joins range `at` with the next while they touch.
  void close_up(u32 at) {
    while (at + 1 < count_ && ranges_[at].end() >= ranges_[at + 1].begin) {
      Range next = std::move(ranges_[at + 1]);
      remove(at + 1);
      const i32 old = ranges_[at].end() - next.begin;
      if (old >= static_cast<i32>(next.bytes.bytes())) continue;
      next.bytes.drop_front(static_cast<u32>(old));
      ranges_[at].bytes.append(std::move(next.bytes));
    }
  }

  void remove(u32 at) {
    for (u32 i = at; i + 1 < count_; ++i) ranges_[i] = std::move(ranges_[i + 1]);
    ranges_[--count_].bytes.clear();
  }

  u32 count_ = 0;
  u32 inserts_ = 0;
  std::array<Range, kRanges> ranges_;
};

}  // namespace ringway::tcp
