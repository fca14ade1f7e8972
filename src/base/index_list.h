#pragma once
// IndexList: a doubly linked list threaded through the elements of an indexable container, by index.
//
// An element carries one IndexLink per list that it may be on; the list names that member as its template
// argument and holds only both ends and a count:
//
//   struct Flow { IndexLink ready; };
//   IndexList<&Flow::ready> ready;
//   ready.push_back(flows, index);
//
// The container is passed to every call (Slab, vector, span: whatever has operator[]), so that a list is 12 bytes
// and may live anywhere. An element is on at most one list through a given link. Every operation is O(1), and
// nothing allocates. Single-threaded, like what it links. Whoever frees an element takes it off its lists first.

#include "src/base/assert.h"
#include "src/base/types.h"

namespace ringway {

struct IndexLink {
  u32 prev = kNone32;
  u32 next = kNone32;
};

template <auto member>
class IndexList {
 public:
  bool empty() const { return head_ == kNone32; }
  u32 size() const { return size_; }
  // First and last index; kNone32 when empty.
  u32 front() const { return head_; }
  u32 back() const { return tail_; }

  template <class Container>
  void push_back(Container& c, u32 i) {
    RW_ASSERT(!linked(c, i));
    IndexLink& link = c[i].*member;
    link = {tail_, kNone32};
    if (tail_ == kNone32) {
      head_ = i;
    } else {
      (c[tail_].*member).next = i;
    }
    tail_ = i;
    size_++;
  }

  template <class Container>
  void push_front(Container& c, u32 i) {
    RW_ASSERT(!linked(c, i));
    IndexLink& link = c[i].*member;
    link = {kNone32, head_};
    if (head_ == kNone32) {
      tail_ = i;
    } else {
      (c[head_].*member).prev = i;
    }
    head_ = i;
    size_++;
  }

  // `i` is on this list.
  template <class Container>
  void remove(Container& c, u32 i) {
    IndexLink& link = c[i].*member;
    RW_ASSERT(link.prev != kNone32 || head_ == i);
    (link.prev == kNone32 ? head_ : (c[link.prev].*member).next) = link.next;
    (link.next == kNone32 ? tail_ : (c[link.next].*member).prev) = link.prev;
    link = {};
    size_--;
  }

  // Takes the first index off; kNone32 when empty.
  template <class Container>
  u32 pop_front(Container& c) {
    const u32 i = head_;
    if (i != kNone32) remove(c, i);
    return i;
  }

  // The index behind `i`, which is on this list; kNone32 at the end.
  template <class Container>
  u32 next(const Container& c, u32 i) const {
    return (c[i].*member).next;
  }

  // Whether `i` is on this list, given that it is on no other through the same link.
  template <class Container>
  bool linked(const Container& c, u32 i) const {
    const IndexLink& link = c[i].*member;
    return link.prev != kNone32 || link.next != kNone32 || head_ == i;
  }

 private:
  u32 head_ = kNone32;
  u32 tail_ = kNone32;
  u32 size_ = 0;
};

}  // namespace ringway
