#pragma once
// Chain: a byte stream as a list of slices (mbuf, offset, length), without copying.
//
// TCP hands received payload up as a Chain and takes what is to be sent as a Chain; HTTP and relay move slices between
// them. A slice owns one reference to its mbuf and carries its own offset: it never relies on `data_off`, so the same
// mbuf may be in several slices, with a NIC, and in a retransmission queue at once.
//
// Slices live in a SlicePool of fixed capacity, one per core. When it is empty nothing fails loudly: `append` returns
// false and `take_front` cuts at a slice boundary, so callers must look at what they got.
// Owned by one core; move-only. Never allocates after the pool was made.

#include <algorithm>
#include <memory>
#include <utility>

#include "dataplane/mbuf/pkt.h"
#include "src/base/assert.h"
#include "src/base/types.h"

namespace ringway::mbuf {

struct Slice {
  rte_mbuf* m = nullptr;  // one reference is ours; a single segment
  u16 offset = 0;         // from buf_addr
  u16 length = 0;
  u32 next = kNone32;

  u8* data() const { return static_cast<u8*>(m->buf_addr) + offset; }
  Bytes bytes() const { return {data(), length}; }
  // No other slice, queue or NIC holds the mbuf: its bytes before `offset` may be overwritten.
  bool unshared() const { return rte_mbuf_refcnt_read(m) == 1 && RTE_MBUF_DIRECT(m); }
};

class SlicePool {
 public:
  // `capacity`: slices at most, > 0.
  explicit SlicePool(u32 capacity);

  u32 in_use() const { return in_use_; }
  u32 capacity() const { return capacity_; }
  Slice& operator[](u32 index) { return slices_[index]; }
  const Slice& operator[](u32 index) const { return slices_[index]; }

  u32 alloc();  // kNone32 when empty
  void free(u32 index);

 private:
  std::unique_ptr<Slice[]> slices_;
  u32 capacity_;
  u32 free_head_ = 0;
  u32 in_use_ = 0;
};

class Chain {
 public:
  // A place in the stream: `skip` bytes into slice `slice`. Valid until that slice leaves the chain.
  struct Cursor {
    u32 slice = kNone32;
    u32 skip = 0;
  };

  Chain() = default;
  explicit Chain(SlicePool& pool) : pool_(&pool) {}
  Chain(Chain&& o) noexcept
      : pool_(o.pool_), head_(std::exchange(o.head_, kNone32)), tail_(std::exchange(o.tail_, kNone32)),
        slices_(std::exchange(o.slices_, 0)), bytes_(std::exchange(o.bytes_, 0)) {}
  Chain& operator=(Chain&& o) noexcept {
    if (this != &o) {
      clear();
      pool_ = o.pool_;
      head_ = std::exchange(o.head_, kNone32);
      tail_ = std::exchange(o.tail_, kNone32);
      slices_ = std::exchange(o.slices_, 0);
      bytes_ = std::exchange(o.bytes_, 0);
    }
    return *this;
  }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;
  ~Chain() { clear(); }

  bool empty() const { return bytes_ == 0; }
  u32 bytes() const { return bytes_; }
  u32 slices() const { return slices_; }
  SlicePool* pool() const { return pool_; }

  // Walking: `first()` is kNone32 when empty; `next` of the last slice is kNone32.
  u32 first() const { return head_; }
  u32 last() const { return tail_; }
  const Slice& slice(u32 index) const { return (*pool_)[index]; }
  Slice& slice(u32 index) { return (*pool_)[index]; }
  Bytes front() const { return head_ == kNone32 ? Bytes{} : slice(head_).bytes(); }

  // Takes over a packet's bytes, every segment a slice, in order; `skip` bytes at the front and all beyond `length`
  // are left out. False, with the packet dropped and the chain unchanged, when the slice pool has no room.
  bool append(Pkt pkt, u32 skip = 0, u32 length = ~u32{0});
  // Joins `other` at the end; merges adjacent bytes of one mbuf into one slice. Same pool.
  void append(Chain&& other);
  // Joins `other` in front.
  void prepend(Chain&& other);
  // Adds another reference to the bytes of `slice[skip, skip+length)`. False without room.
  bool append_shared(const Slice& slice, u32 skip, u32 length);

  // Moves the first `n` bytes (at most all) out; cuts short at a slice boundary when the pool is empty.
  Chain take_front(u32 n);
  // Lets go of the first `n` bytes (n <= bytes()).
  void drop_front(u32 n);
  // Lets go of the last `n` bytes (n <= bytes()).
  void drop_back(u32 n);
  void clear() {
    while (head_ != kNone32) pop();
  }

  // Another chain over the same bytes (references, no copy); empty when the pool has no room.
  Chain share() const;

  // Copies `n` bytes from byte `offset` on to `out`; returns the number copied.
  u32 copy_out(u32 offset, MutBytes out) const;

  // Where byte `offset` (<= bytes()) stands; `slice` is kNone32 at the end.
  Cursor cursor(u32 offset) const;
  // Moves `cursor` on by `n` bytes.
  void advance(Cursor& cursor, u32 n) const;

  // Extends the first slice backwards by `n` bytes for new bytes in front of it, if its mbuf is unshared and keeps
  // `reserve` bytes of room before them; returns where to write, or nullptr.
  u8* grow_front(u32 n, u32 reserve);
  // Extends the last slice by `n` bytes behind it, if its mbuf is unshared and has room there; returns where to write,
  // or nullptr.
  u8* grow_back(u32 n);
  // The most that `grow_back` would extend by.
  u32 room_back() const;

 private:
  void push(u32 index);
  void pop();

  SlicePool* pool_ = nullptr;
  u32 head_ = kNone32;
  u32 tail_ = kNone32;
  u32 slices_ = 0;
  u32 bytes_ = 0;
};

// --- what every packet goes through, here so that it is inlined

inline u32 SlicePool::alloc() {
  const u32 index = free_head_;
  if (index == kNone32) return kNone32;
  free_head_ = slices_[index].next;
  slices_[index].next = kNone32;
  ++in_use_;
  return index;
}

inline void SlicePool::free(u32 index) {
  RW_ASSERT(index < capacity_ && in_use_ > 0);
  slices_[index].m = nullptr;
  slices_[index].next = free_head_;
  free_head_ = index;
  --in_use_;
}

inline void Chain::push(u32 index) {
  if (tail_ == kNone32) {
    head_ = index;
  } else {
    slice(tail_).next = index;
  }
  tail_ = index;
  ++slices_;
  bytes_ += slice(index).length;
}

inline bool Chain::append_shared(const Slice& from, u32 skip, u32 length) {
  RW_ASSERT(skip + length <= from.length && length > 0);
  rte_mbuf* const m = from.m;
  const u32 offset = from.offset + skip;
  const u32 index = pool_->alloc();
  if (index == kNone32) return false;
  rte_mbuf_refcnt_update(m, 1);
  slice(index) = Slice{m, static_cast<u16>(offset), static_cast<u16>(length), kNone32};
  push(index);
  return true;
}

inline void Chain::drop_front(u32 n) {
  RW_ASSERT(n <= bytes_);
  while (n > 0) {
    Slice& s = slice(head_);
    if (s.length <= n) {
      n -= s.length;
      pop();
      continue;
    }
    s.offset = static_cast<u16>(s.offset + n);
    s.length = static_cast<u16>(s.length - n);
    bytes_ -= n;
    n = 0;
  }
}

inline Chain::Cursor Chain::cursor(u32 offset) const {
  RW_ASSERT(offset <= bytes_);
  Cursor at{head_, 0};
  advance(at, offset);
  return at;
}

inline void Chain::advance(Cursor& at, u32 n) const {
  at.skip += n;
  while (at.slice != kNone32 && at.skip >= slice(at.slice).length) {
    at.skip -= slice(at.slice).length;
    at.slice = slice(at.slice).next;
  }
  RW_ASSERT(at.slice != kNone32 || at.skip == 0);
}

inline u8* Chain::grow_front(u32 n, u32 reserve) {
  if (head_ == kNone32) return nullptr;
  Slice& s = slice(head_);
  if (!s.unshared() || s.offset < n + reserve || s.length + n > 0xffff) return nullptr;
  s.offset = static_cast<u16>(s.offset - n);
  s.length = static_cast<u16>(s.length + n);
  bytes_ += n;
  return s.data();
}

inline Chain Chain::take_front(u32 n) {
  n = std::min(n, bytes_);
  if (n == bytes_) return std::move(*this);
  Chain out(*pool_);
  while (n > 0) {
    Slice& s = slice(head_);
    if (s.length <= n) {
      const u32 index = head_;
      n -= s.length;
      bytes_ -= s.length;
      --slices_;
      head_ = s.next;
      s.next = kNone32;
      out.push(index);
      continue;
    }
    if (!out.append_shared(s, 0, n)) break;
    s.offset = static_cast<u16>(s.offset + n);
    s.length = static_cast<u16>(s.length - n);
    bytes_ -= n;
    n = 0;
  }
  return out;
}

}  // namespace ringway::mbuf
