#include "dataplane/mbuf/chain.h"

#include <algorithm>
#include <cstring>

namespace ringway::mbuf {

SlicePool::SlicePool(u32 capacity) : slices_(std::make_unique<Slice[]>(capacity)), capacity_(capacity) {
  RW_ASSERT(capacity > 0);
  for (u32 i = 0; i < capacity; ++i) slices_[i].next = i + 1 < capacity ? i + 1 : kNone32;
}

void Chain::pop() {
  const u32 index = head_;
  Slice& s = slice(index);
  head_ = s.next;
  if (head_ == kNone32) tail_ = kNone32;
  --slices_;
  bytes_ -= s.length;
  rte_pktmbuf_free_seg(s.m);
  pool_->free(index);
}

bool Chain::append(Pkt pkt, u32 skip, u32 length) {
  const u32 segments = pkt.segments();
  if (pool_->capacity() - pool_->in_use() < segments) return false;
  rte_mbuf* m = pkt.release();
  while (m != nullptr) {
    rte_mbuf* const next = m->next;
    m->next = nullptr;
    m->nb_segs = 1;
    const u32 here = m->data_len;
    const u32 cut = std::min(skip, here);
    const u32 kept = std::min(here - cut, length);
    skip -= cut;
    length -= kept;
    if (kept == 0) {
      rte_pktmbuf_free_seg(m);
    } else {
      const u32 index = pool_->alloc();
      slice(index) = Slice{m, static_cast<u16>(m->data_off + cut), static_cast<u16>(kept), kNone32};
      push(index);
    }
    m = next;
  }
  return true;
}

void Chain::append(Chain&& other) {
  if (other.empty()) {
    other.clear();
    return;
  }
  if (empty()) {
    *this = std::move(other);
    return;
  }
  RW_ASSERT(pool_ == other.pool_);
  Slice& last = slice(tail_);
  const Slice& first = slice(other.head_);
  if (last.m == first.m && last.offset + last.length == first.offset) {
    last.length = static_cast<u16>(last.length + first.length);
    bytes_ += first.length;
    other.pop();
    if (other.empty()) return;
  }
  slice(tail_).next = other.head_;
  tail_ = std::exchange(other.tail_, kNone32);
  other.head_ = kNone32;
  slices_ += std::exchange(other.slices_, 0);
  bytes_ += std::exchange(other.bytes_, 0);
}

void Chain::prepend(Chain&& other) {
  other.append(std::move(*this));
  *this = std::move(other);
}

void Chain::drop_back(u32 n) {
  RW_ASSERT(n <= bytes_);
  const u32 keep = bytes_ - n;
  if (keep == 0) return clear();
  u32 at = head_;
  u32 before = 0;
  u32 index = 1;
  while (before + slice(at).length < keep) {
    before += slice(at).length;
    at = slice(at).next;
    ++index;
  }
  Slice& s = slice(at);
  u32 rest = std::exchange(s.next, kNone32);
  s.length = static_cast<u16>(keep - before);
  tail_ = at;
  slices_ = index;
  bytes_ = keep;
  while (rest != kNone32) {
    const u32 next = slice(rest).next;
    rte_pktmbuf_free_seg(slice(rest).m);
    pool_->free(rest);
    rest = next;
  }
}

Chain Chain::share() const {
  Chain out(*pool_);
  for (u32 at = head_; at != kNone32; at = slice(at).next) {
    if (!out.append_shared(slice(at), 0, slice(at).length)) {
      out.clear();
      break;
    }
  }
  return out;
}

u32 Chain::copy_out(u32 offset, MutBytes out) const {
  u32 done = 0;
  Cursor at = cursor(offset);
  while (at.slice != kNone32 && done < out.size()) {
    const Slice& s = slice(at.slice);
    const u32 n = std::min<u32>(s.length - at.skip, static_cast<u32>(out.size()) - done);
    std::memcpy(out.data() + done, s.data() + at.skip, n);
    done += n;
    at = Cursor{s.next, 0};
  }
  return done;
}

u32 Chain::room_back() const {
  if (tail_ == kNone32) return 0;
  const Slice& s = slice(tail_);
  return s.unshared() ? s.m->buf_len - (u32{s.offset} + s.length) : 0;
}

u8* Chain::grow_back(u32 n) {
  if (n > room_back() || tail_ == kNone32) return nullptr;
  Slice& s = slice(tail_);
  const u32 end = u32{s.offset} + s.length;
  s.length = static_cast<u16>(s.length + n);
  bytes_ += n;
  return static_cast<u8*>(s.m->buf_addr) + end;
}

}  // namespace ringway::mbuf
