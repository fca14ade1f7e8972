#pragma once
// Sources: how many of a core's connections each address has.
//
// Open addressing with linear probing and backward-shift deletion. An address has a place only while it has a connection,
// so the table is bounded by the connections there can be. Asked and changed when a connection opens and when its block is
// freed, never per segment. Addresses are those of the core's book, which holds them as long as their connections live.
// One thread; memory is mapped at construction and touched as it is used.

#include <bit>
#include <cstdlib>
#include <memory>

#include "src/base/assert.h"
#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::tcp {

class Sources {
 public:
  Sources(u32 connections, u64 secret)
      : secret_(secret), mask_(std::bit_ceil(connections * 2 + 2) - 1),
        places_(static_cast<Place*>(std::calloc(std::size_t{mask_} + 1, sizeof(Place)))) {
    RW_ASSERT(places_ != nullptr);
  }

  u32 count(wire::Addr a) const { return places_[find(a)].count; }
  void add(wire::Addr a) {
    Place& p = places_[find(a)];
    if (p.count == 0) ++used_;
    RW_ASSERT(used_ <= mask_);
    p.address = a.v;
    ++p.count;
  }
  void remove(wire::Addr a) {
    u32 i = find(a);
    RW_ASSERT(places_[i].count > 0);
    if (--places_[i].count > 0) return;
    --used_;
    // Whatever stood further on only because this place was taken moves back.
    for (u32 j = (i + 1) & mask_; places_[j].count != 0; j = (j + 1) & mask_) {
      if (((j - home(places_[j].address)) & mask_) < ((j - i) & mask_)) continue;
      places_[i] = places_[j];
      places_[j].count = 0;
      i = j;
    }
  }
  void clear() {
    for (u32 i = 0; used_ > 0; ++i) {
      if (places_[i].count == 0) continue;
      places_[i].count = 0;
      --used_;
    }
  }
  u32 size() const { return used_; }

 private:
  struct Place {
    u32 address;
    u32 count;  // 0: free
  };
  struct Free {
    void operator()(Place* p) const { std::free(p); }
  };

  u32 find(wire::Addr a) const {  // its place, or the free one where it belongs
    u32 i = home(a.v);
    while (places_[i].count != 0 && places_[i].address != a.v) i = (i + 1) & mask_;
    return i;
  }
  u32 home(u32 v) const {
    return static_cast<u32>((v ^ secret_) * 0x9e37'79b9'7f4a'7c15 >> 32) & mask_;
  }

  u64 secret_;
  u32 mask_;
  u32 used_ = 0;
  std::unique_ptr<Place[], Free> places_;
};

}  // namespace ringway::tcp
