#pragma once
// Seqlock: one writer publishes a small value that any number of threads read without ever stopping the writer.
//
// The sequence is odd while a write is under way. A reader copies the words between two looks at the sequence and
// keeps the copy when both looks saw the same even number. The words are atomics, so a torn copy is discarded
// rather than undefined: each word is stored with release and loaded with acquire, which is a plain move on
// x86-64, and a reader that saw any word of a newer write is bound to see the newer sequence as well. No fence is
// used: ThreadSanitizer follows this form.
//
// `write` belongs to one thread; `try_read` and `read` to any. Nothing allocates. For values of a few cache lines.

#include <atomic>
#include <cstring>
#include <type_traits>

#include "src/base/cacheline.h"
#include "src/base/types.h"

namespace ringway {

template <class T>
class Seqlock {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Seqlock() { write(T{}); }
  explicit Seqlock(const T& first) { write(first); }
  Seqlock(const Seqlock&) = delete;
  Seqlock& operator=(const Seqlock&) = delete;

  void write(const T& value) {
    u64 words[kWords] = {};
    std::memcpy(words, &value, sizeof(T));
    const u64 sequence = sequence_.load(std::memory_order_relaxed);
    sequence_.store(sequence + 1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < kWords; i++) words_[i].store(words[i], std::memory_order_release);
    sequence_.store(sequence + 2, std::memory_order_release);
  }

  // False, with `out` untouched, when a write was under way or came between.
  bool try_read(T& out) const {
    const u64 before = sequence_.load(std::memory_order_acquire);
    if (before & 1) return false;
    u64 words[kWords];
    for (std::size_t i = 0; i < kWords; i++) words[i] = words_[i].load(std::memory_order_acquire);
    if (sequence_.load(std::memory_order_relaxed) != before) return false;
    std::memcpy(static_cast<void*>(&out), words, sizeof(T));
    return true;
  }

  // Spins until a copy is whole; for readers outside the packet path.
  T read() const {
    T out;
    while (!try_read(out)) {
    }
    return out;
  }

  // How many writes there were, the constructor's included.
  u64 writes() const { return sequence_.load(std::memory_order_acquire) / 2; }

 private:
  static constexpr std::size_t kWords = (sizeof(T) + 7) / 8;
  RW_CACHE_ALIGNED std::atomic<u64> sequence_{0};
  std::atomic<u64> words_[kWords]{};
};

}  // namespace ringway
