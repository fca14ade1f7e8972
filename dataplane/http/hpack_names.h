#pragma once
// What the HPACK encoder knows of names before any field was sent: where they stand in the static table, and whether
// their fields are worth a place in the dynamic one. Names of hpack_static.def and of FieldId are found by a hash, in a
// table that the compiler builds and proves free of collisions. Pure, header-only, any thread.

#include <array>
#include <string_view>

#include "dataplane/http/fields.h"
#include "dataplane/http/hpack_static.h"
#include "dataplane/http/words.h"

namespace ringway::http {

// Does a field go into the dynamic table? The words of hpack_static.def.
enum class HpackKeep : u8 { yes, no, never, unless_short };

struct HpackName {
  std::string_view name;  // in lower case
  u64 hash = 0;           // of the name
  u8 index = 0;           // of its first entry in the static table; 0: it has none
  u8 entries = 0;         // that it has there
  HpackKeep keep = HpackKeep::yes;
};

namespace hpack_detail {

inline constexpr u64 kFactor = 0x9e37'79b9'7f4a'7c15u;

constexpr u64 mixed(u64 word) {
  const unsigned __int128 product = static_cast<unsigned __int128>(word) * kFactor;
  return static_cast<u64>(product) ^ static_cast<u64>(product >> 64);
}

}  // namespace hpack_detail

// Goes on from `hash`, which is 0 or the hash of what stands before `text`, with the text's words as `each` shows them.
template <class Each>
constexpr u64 hpack_hash(u64 hash, std::string_view text, Each&& each) {
  const char* at = text.data();
  u64 left = text.size();
  hash += (left + 1) * hpack_detail::kFactor;
  if (left == 0) return hpack_detail::mixed(hash);
  if (left < 8) return hpack_detail::mixed(hash ^ each(word_at(at, left)));
  for (; left > 8; left -= 8, at += 8) hash = hpack_detail::mixed(hash ^ each(word_at(at, 8)));
  return hpack_detail::mixed(hash ^ each(word_at(at + left - 8, 8)));  // may overlap the word before
}
constexpr u64 hpack_hash(u64 hash, std::string_view text) {
  return hpack_hash(hash, text, [](u64 word) { return word; });
}

namespace hpack_detail {

inline constexpr u32 kNamesMax = 128;
inline constexpr u32 kSlotBits = 9;

struct Names {
  std::array<HpackName, kNamesMax> known{};  // [0] is nobody
  u32 count = 1;
  std::array<u8, static_cast<u32>(FieldId::count_)> of_field{};
  u64 factor = kFactor;
  std::array<u8, 1u << kSlotBits> slots{};  // index into `known`

  constexpr u32 find_or_add(std::string_view name, HpackKeep keep) {
    const u64 hash = hpack_hash(0, name);
    for (u32 i = 1; i < count; ++i) {
      if (known[i].hash == hash && known[i].name == name) return i;
    }
    known[count] = {name, hash, 0, 0, keep};
    return count++;
  }
  constexpr void add_static(u8 index, std::string_view name, HpackKeep keep) {
    HpackName& entry = known[find_or_add(name, keep)];
    if (entry.entries++ == 0) entry.index = index;
  }
  constexpr u32 slot_of(u64 hash) const { return static_cast<u32>(hash * factor >> (64 - kSlotBits)); }
  constexpr bool fill_slots() {
    slots = {};
    for (u32 i = 1; i < count; ++i) {
      u8& slot = slots[slot_of(known[i].hash)];
      if (slot != 0) return false;
      slot = static_cast<u8>(i);
    }
    return true;
  }
};

constexpr Names make_names() {
  Names names;
#define RW_HPACK_STATIC(index, name, value, keep) names.add_static(index, name, HpackKeep::keep);
#define RW_HPACK_NAME(name, keep) names.find_or_add(name, HpackKeep::keep);
#include "dataplane/http/hpack_static.def"
#undef RW_HPACK_STATIC
#undef RW_HPACK_NAME
  for (u32 id = 1; id < field_detail::kIds; ++id) {
    names.of_field[id] = static_cast<u8>(names.find_or_add(field_detail::kNames[id], HpackKeep::yes));
  }
  while (!names.fill_slots()) names.factor += 2;
  return names;
}
inline constexpr Names kNames = make_names();

}  // namespace hpack_detail

// `id` is not `other`.
inline const HpackName& hpack_name(FieldId id) {
  return hpack_detail::kNames.known[hpack_detail::kNames.of_field[static_cast<u32>(id)]];
}

// `name` is in lower case. A name that is not listed has its hash, and nothing else to say.
inline HpackName hpack_name(std::string_view name, u64 hash) {
  using hpack_detail::kNames;
  const HpackName& known = kNames.known[kNames.slots[kNames.slot_of(hash)]];
  if (known.hash == hash && same_text(known.name, name)) return known;
  return {name, hash};
}

}  // namespace ringway::http
