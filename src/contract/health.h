#pragma once
// HealthBoard: one atomic word per endpoint slot, written by the control plane, read in place by every core.
//
// A slot belongs to an endpoint (service, address, port) for as long as any plan names it; control/registry hands
// slots out and takes them back. One writer (the control thread that owns health), any number of readers; loads are
// relaxed, because a pick needs the newest bit and nothing that was written before it.
// A word of zero means "may be picked". The board also says since when: by the writer's clock, which it shows as of the
// writer's last turn, so that a core measures a slow start without knowing what time control has. Beside the reasons stands
// one bit for the cores: control counts failures of this endpoint and wants to hear of the next success. The gateway's own
// readiness, for whoever balances over gateways, is here too.

#include <array>
#include <atomic>
#include <string>

#include "src/base/assert.h"
#include "src/base/cacheline.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/contract/recorder.h"

namespace ringway::contract {

using EndpointSlot = u32;  // 0..kEndpointsMax-1

// Reasons why an endpoint is not picked; several may hold at once.
enum HealthBits : u32 {
  kHealthUnproven = 1u << 0,   // no active check has succeeded yet
  kHealthFailing = 1u << 1,    // active checks fail
  kHealthEjected = 1u << 2,    // outlier detection took it out
  kHealthDraining = 1u << 3,   // configured away or drained by an operator
};

// A word as people read it: "healthy", "unproven", "failing,draining".
inline std::string health_words(u32 word) {
  static constexpr std::pair<u32, const char*> kWords[] = {
      {kHealthUnproven, "unproven"}, {kHealthFailing, "failing"}, {kHealthEjected, "ejected"}, {kHealthDraining, "draining"}};
  std::string out;
  for (const auto& [bit, name] : kWords)
    if ((word & bit) != 0) out += (out.empty() ? "" : ",") + std::string(name);
  return out.empty() ? "healthy" : out;
}

class HealthBoard {
 public:
  HealthBoard() {
    for (auto& word : words_) word.store(kHealthUnproven, std::memory_order_relaxed);
  }

  bool may_pick(EndpointSlot slot) const { return word(slot) == 0; }
  u32 word(EndpointSlot slot) const { return words_[slot].load(std::memory_order_relaxed) & ~kSuspected; }
  bool suspected(EndpointSlot slot) const { return (words_[slot].load(std::memory_order_relaxed) & kSuspected) != 0; }
  // What the gateway's health endpoint says.
  bool ready() const { return ready_.load(std::memory_order_relaxed); }
  // How long the word has been zero; a core may see this a moment before or after the word itself.
  u64 healthy_us(EndpointSlot slot) const {
    const TimeUs since = healthy_since_us_[slot].load(std::memory_order_relaxed), now = now_us();
    return now > since ? now - since : 0;
  }
  TimeUs now_us() const { return now_us_.load(std::memory_order_relaxed); }

  // Writer's side: one thread only. Changes happen at the time of the last `at`.
  void at(TimeUs now_us) { now_us_.store(now_us, std::memory_order_relaxed); }
  void set(EndpointSlot slot, u32 bits) { store(slot, word(slot) | bits); }
  void clear(EndpointSlot slot, u32 bits) { store(slot, word(slot) & ~bits); }
  void store(EndpointSlot slot, u32 word) {
    RW_ASSERT(slot < kEndpointsMax);
    const u32 before = words_[slot].load(std::memory_order_relaxed);
    if (recorder_ != nullptr && (before & ~kSuspected) != word)
      recorder_->note<EventKind::health>({.code = static_cast<u8>(word), .x = slot});
    if (word == 0 && (before & ~kSuspected) != 0) healthy_since_us_[slot].store(now_us(), std::memory_order_relaxed);
    words_[slot].store(word | (before & kSuspected), std::memory_order_relaxed);
  }
  void suspect(EndpointSlot slot, bool on) {
    RW_ASSERT(slot < kEndpointsMax);
    words_[slot].store(word(slot) | (on ? kSuspected : 0u), std::memory_order_relaxed);
  }
  void say_ready(bool on) { ready_.store(on, std::memory_order_relaxed); }
  // Where changes are told: the writer's own recorder, which outlives the board.
  void record_to(Recorder& recorder) { recorder_ = &recorder; }

 private:
  static constexpr u32 kSuspected = 1u << 31;

  Recorder* recorder_ = nullptr;
  std::atomic<bool> ready_{false};
  RW_CACHE_ALIGNED std::atomic<TimeUs> now_us_{0};
  RW_CACHE_ALIGNED std::array<std::atomic<u32>, kEndpointsMax> words_;
  std::array<std::atomic<TimeUs>, kEndpointsMax> healthy_since_us_{};
};

}  // namespace ringway::contract
