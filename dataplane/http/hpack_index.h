#pragma once
// Finds entries of the dynamic table by a hash: the encoder's look-up. A set of four slots by the hash, each the low
// bits of an entry's number and 8 bits of the hash; at most four entries are ever compared, however full the table is.
// Slots of evicted entries are known by their number. A set that is full forgets its oldest entry, which then is not
// found any more: that costs bytes on the wire and nothing else. 512 bytes. One thread at a time.

#include <array>

#include "dataplane/http/hpack_table.h"
#include "src/base/types.h"

namespace ringway::http {

class HpackIndex {
 public:
  void clear() { slots_ = {}; }

  // Age of an entry that was remembered under `hash` and that `matches(HpackEntry)`; kNone32 when there is none.
  template <class Matches>
  u32 find(const HpackTable& table, u64 hash, Matches&& matches) const {
    const u16* const set = &slots_[set_of(hash)];
    for (u32 i = 0; i < kWays; ++i) {
      const u32 age = age_of(table, set[i]);
      if (set[i] >> 8 == tag_of(hash) && age < table.entries() && matches(table.entry(age))) return age;
    }
    return kNone32;
  }

  // The newest entry is found under `hash` from now on. What was under it before need not be.
  void remember_newest(const HpackTable& table, u64 hash) {
    u16* const set = &slots_[set_of(hash)];
    u32 oldest = 0;
    for (u32 i = 0; i < kWays; ++i) {
      if (set[i] >> 8 == tag_of(hash)) {
        oldest = i;
        break;
      }
      if (age_of(table, set[i]) > age_of(table, set[oldest])) oldest = i;
    }
    set[oldest] = static_cast<u16>(tag_of(hash) << 8 | static_cast<u8>(table.newest()));
  }

 private:
  static constexpr u32 kWays = 4;
  static constexpr u32 kSlots = 256;
  static_assert(contract::kHpackTableBytesMax / contract::kHpackEntryBytes <= 256, "ages of entries have 8 bits");

  static u32 set_of(u64 hash) { return static_cast<u32>(hash) % kSlots & ~(kWays - 1); }
  static u32 tag_of(u64 hash) { return static_cast<u32>(hash >> 56); }
  static u32 age_of(const HpackTable& table, u16 slot) { return static_cast<u8>(table.newest() - slot); }

  std::array<u16, kSlots> slots_;
};

}  // namespace ringway::http
