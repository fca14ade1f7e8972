#pragma once
// Listeners: (address, port) -> tag of the application, and how many half-open records are theirs.
//
// A small open-addressing table with linear probing and backward-shift deletion; it is asked once per SYN, never per
// segment. RFC 9293 section 3.10.1 and 3.10.7.2. One thread; never allocates after construction.

#include <bit>
#include <memory>

#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::tcp {

struct Listener {
  wire::Addr ip;
  u32 tag = 0;
  u32 half_open = 0;
  u16 port = 0;
  bool used = false;
};

class Listeners {
 public:
  explicit Listeners(u32 capacity)
      : capacity_(capacity), mask_(std::bit_ceil(capacity * 2 + 1) - 1), slots_(std::make_unique<Listener[]>(mask_ + 1)) {}

  // By pointer, good until the next `add` or `remove`; or nullptr.
  Listener* find(wire::Addr ip, u16 port) {
    for (u32 i = home(ip, port);; i = (i + 1) & mask_) {
      Listener& s = slots_[i];
      if (!s.used) return nullptr;
      if (s.ip == ip && s.port == port) return &s;
    }
  }

  // False when (ip, port) is taken or the table is full.
  bool add(wire::Addr ip, u16 port, u32 tag) {
    if (size_ == capacity_ || find(ip, port) != nullptr) return false;
    u32 i = home(ip, port);
    while (slots_[i].used) i = (i + 1) & mask_;
    slots_[i] = {.ip = ip, .tag = tag, .port = port, .used = true};
    ++size_;
    return true;
  }

  void remove(wire::Addr ip, u16 port) {
    u32 i = home(ip, port);
    while (slots_[i].used && !(slots_[i].ip == ip && slots_[i].port == port)) i = (i + 1) & mask_;
    if (!slots_[i].used) return;
    --size_;
    // Whatever stood further on only because this place was taken moves back.
    for (u32 j = (i + 1) & mask_; slots_[j].used; j = (j + 1) & mask_) {
      const u32 h = home(slots_[j].ip, slots_[j].port);
      if (((j - h) & mask_) < ((j - i) & mask_)) continue;
      slots_[i] = slots_[j];
      i = j;
    }
    slots_[i] = {};
  }

  u32 size() const { return size_; }
  template <class F>
  void each(F&& visit) const {
    for (u32 i = 0; i <= mask_; ++i)
      if (slots_[i].used) visit(slots_[i]);
  }

 private:
  u32 home(wire::Addr ip, u16 port) const { return (ip.v * 0x9e37'79b1u ^ port * 0x85eb'ca6bu) >> 7 & mask_; }

  u32 capacity_;
  u32 mask_;
  u32 size_ = 0;
  std::unique_ptr<Listener[]> slots_;
};

}  // namespace ringway::tcp
