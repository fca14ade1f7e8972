#pragma once
// HealthBoard: one atomic word per endpoint slot, written by the control plane, read in place by every core.
//
// A slot belongs to an endpoint (service, address, port) for as long as any plan names it; control/registry hands
// slots out and takes them back. One writer (the control thread that owns health), any number of readers; loads are
// relaxed, because a pick needs the newest bit and nothing that was written before it.
// A word of zero means "may be picked".

#include <array>
#include <atomic>

#include "src/base/assert.h"
#include "src/base/types.h"
#include "src/contract/limits.h"

namespace ringway::contract {

using EndpointSlot = u32;  // 0..kEndpointsMax-1

// Reasons why an endpoint is not picked; several may hold at once.
enum HealthBits : u32 {
  kHealthUnproven = 1u << 0,   // no active check has succeeded yet
  kHealthFailing = 1u << 1,    // active checks fail
  kHealthEjected = 1u << 2,    // outlier detection took it out
  kHealthDraining = 1u << 3,   // configured away or drained by an operator
};

class HealthBoard {
 public:
  HealthBoard() {
    for (auto& word : words_) word.store(kHealthUnproven, std::memory_order_relaxed);
  }

  bool may_pick(EndpointSlot slot) const { return words_[slot].load(std::memory_order_relaxed) == 0; }
  u32 word(EndpointSlot slot) const { return words_[slot].load(std::memory_order_relaxed); }

  // Writer's side: one thread only.
  void set(EndpointSlot slot, u32 bits) { store(slot, word(slot) | bits); }
  void clear(EndpointSlot slot, u32 bits) { store(slot, word(slot) & ~bits); }
  void store(EndpointSlot slot, u32 word) {
    RW_ASSERT(slot < kEndpointsMax);
    words_[slot].store(word, std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<u32>, kEndpointsMax> words_;
};

}  // namespace ringway::contract
