#pragma once
// What was learned of paths: the largest packet that gets to a host, from ICMP (RFC 1191, RFC 8201), and the sizes to try
// when nothing is said (black holes, RFC 2923 section 2.1).
//
// A direct-mapped table by a keyed hash of the far address, so that the family does not matter and nobody can choose whom to
// push out; what is forgotten, or kept for ten minutes (RFC 1191 section 6.3), is learned again. Pure; one thread; never
// allocates.

#include <algorithm>
#include <array>

#include "src/base/types.h"

namespace ringway::tcp {

inline constexpr u32 kPathKeepTicks = 585'938;  // 10 min in units of 1024 us

class Paths {
 public:
  bool empty() const { return !any_; }
  // `key`: of the far address.
  void learn(u64 key, u16 packet_bytes, u32 now_ticks) {
    any_ = true;
    at(key) = {key, now_ticks, packet_bytes};
  }
  // The largest packet to there; 0xffff: nothing is known.
  u16 packet_bytes(u64 key, u32 now_ticks) const {
    const Entry& e = entries_[key % kEntries];
    return e.key == key && e.packet_bytes != 0 && now_ticks - e.learned < kPathKeepTicks ? e.packet_bytes : u16{0xffff};
  }

 private:
  static constexpr u32 kEntries = 1024;
  struct Entry {
    u64 key = 0;
    u32 learned = 0;
    u16 packet_bytes = 0;
  };
  Entry& at(u64 key) { return entries_[key % kEntries]; }

  std::array<Entry, kEntries> entries_;
  bool any_ = false;
};

// The packet to try when larger ones seem to vanish: Ethernet's, a tunnel's, what every host takes. `least` when none is
// smaller than `packet_bytes`.
constexpr u32 smaller_packet(u32 packet_bytes, u32 least) {
  for (const u32 size : {1500u, 1280u, 1064u})
    if (size < packet_bytes && size > least) return size;
  return least;
}

}  // namespace ringway::tcp
