#pragma once
// Ring: fixed-size elements between two threads, lock-free, on DPDK's rte_ring. The one header where DPDK stands
// outside its rooms, because the planes meet here.
//
// `Ring<T>` has one producer and one consumer; `Ring<T, Producers::many>` takes several producers (hand-over between
// cores). Memory is allocated by the constructor, never later; no EAL is needed. T is trivially copyable and its size
// is a multiple of 4 bytes (rte_ring's rule).

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <cstdlib>
#include <memory>
#include <type_traits>

#include "src/base/assert.h"
#include "src/base/types.h"

namespace ringway::contract {

enum class Producers : u8 { one, many };

template <class T, Producers producers = Producers::one>
class Ring {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0);

 public:
  // Holds at least `capacity` elements (rounded up to 2^n - 1).
  explicit Ring(u32 capacity) {
    u32 count = 2;
    while (count - 1 < capacity) count *= 2;
    const ssize_t bytes = rte_ring_get_memsize_elem(sizeof(T), count);
    RW_ASSERT(bytes > 0);
    const std::size_t rounded = (static_cast<std::size_t>(bytes) + 127) / 128 * 128;
    ring_.reset(static_cast<rte_ring*>(std::aligned_alloc(128, rounded)));
    RW_ASSERT(ring_ != nullptr);
    const u32 flags = RING_F_SC_DEQ | (producers == Producers::one ? u32{RING_F_SP_ENQ} : 0u);
    RW_ASSERT(rte_ring_init(ring_.get(), "ringway", count, flags) == 0);
  }

  // False when full; nothing is kept then.
  bool push(T element) { return rte_ring_enqueue_elem(ring_.get(), &element, sizeof(T)) == 0; }
  bool pop(T& out) { return rte_ring_dequeue_elem(ring_.get(), &out, sizeof(T)) == 0; }
  // Takes out at most `most` elements; returns how many.
  u32 pop_burst(T* out, u32 most) {
    return rte_ring_dequeue_burst_elem(ring_.get(), out, sizeof(T), most, nullptr);
  }
  u32 size() const { return rte_ring_count(ring_.get()); }
  bool empty() const { return rte_ring_empty(ring_.get()) != 0; }

 private:
  struct Free {
    void operator()(rte_ring* r) const { std::free(r); }
  };
  std::unique_ptr<rte_ring, Free> ring_;
};

}  // namespace ringway::contract
