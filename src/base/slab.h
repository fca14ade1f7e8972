#pragma once
// Slab: a fixed number of places for T, named by u32 index, with all memory reserved at construction.
//
// One thread owns a slab and makes every call. Storage is mapped straight from the kernel and not written before it
// is handed out: a slab of a million places costs address space at start and pages only as they are used. Places
// never used before are taken in order; places given back are taken again last in, first out, so the working set
// stays the size of what is alive and stays warm.
//
// The free list lives beside the objects, not inside them: a dead object's bytes are not reused for bookkeeping
// (a stale index shows up as `used() == false` instead of as a plausible link). When T is aligned to a cache line,
// so is every place: mappings begin on a page. After construction the slab never allocates; it never moves an object.

#include <sys/mman.h>

#include <new>
#include <type_traits>

#include "src/base/assert.h"
#include "src/base/types.h"

namespace ringway {

template <class T>
class Slab {
  static_assert(std::is_nothrow_destructible_v<T> && alignof(T) <= 4096);

 public:
  // `capacity`: places, below kNone32 - 1.
  explicit Slab(u32 capacity) : capacity_(capacity), places_(capacity), links_(capacity) {
    RW_ASSERT(capacity < kUsed);
  }
  ~Slab() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      for (u32 i = 0; i < fresh_; i++)
        if (links_.get()[i] == kUsed) place(i)->~T();
    }
  }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // Constructs a T{} and returns its index; kNone32 when every place is taken.
  u32 alloc() {
    u32 index = free_head_;
    if (index != kNone32) {
      free_head_ = links_.get()[index];
    } else if (fresh_ < capacity_) {
      index = fresh_++;
    } else {
      return kNone32;
    }
    links_.get()[index] = kUsed;
    in_use_++;
    ::new (static_cast<void*>(place(index))) T{};
    return index;
  }

  // Destroys the T at `index`, which is in use; its place is the next to be handed out.
  void free(u32 index) {
    RW_ASSERT(used(index));
    place(index)->~T();
    links_.get()[index] = free_head_;
    free_head_ = index;
    in_use_--;
  }

  // `index` is in use; only the range is checked here, for `used` would touch a second cache line.
  T& operator[](u32 index) {
    RW_ASSERT(index < fresh_);
    return *std::launder(place(index));
  }
  const T& operator[](u32 index) const {
    RW_ASSERT(index < fresh_);
    return *std::launder(place(index));
  }

  // The place `index`, whether or not somebody has it, or nullptr when it was never handed out (kNone32 never is): for
  // owners whose objects say themselves that they are over. What was destroyed there keeps its bytes.
  T* place_of(u32 index) { return index < fresh_ ? std::launder(place(index)) : nullptr; }

  // Any index may be asked about, kNone32 too.
  bool used(u32 index) const { return index < fresh_ && links_.get()[index] == kUsed; }
  u32 in_use() const { return in_use_; }
  u32 capacity() const { return capacity_; }
  // One past the highest index ever handed out: where a walk over all places may stop.
  u32 high_water() const { return fresh_; }

 private:
  static constexpr u32 kUsed = kNone32 - 1;

  // `count` U's of mapped memory, no constructor run.
  template <class U>
  class Mapping {
   public:
    explicit Mapping(u32 count) : bytes_(sizeof(U) * (std::size_t{count} + 1)) {
      void* at = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      RW_ASSERT(at != MAP_FAILED);
      first_ = static_cast<U*>(at);
    }
    ~Mapping() { munmap(first_, bytes_); }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    U* get() const { return first_; }

   private:
    std::size_t bytes_;
    U* first_;
  };

  T* place(u32 index) const { return places_.get() + index; }

  u32 capacity_;
  u32 in_use_ = 0;
  u32 fresh_ = 0;  // places at and above were never used
  u32 free_head_ = kNone32;
  Mapping<T> places_;
  Mapping<u32> links_;  // below fresh_: kUsed, or the next free place
};

}  // namespace ringway
