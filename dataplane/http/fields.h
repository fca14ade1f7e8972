#pragma once
// Field names that the gateway acts on, found by length, first and last byte through a table without collisions that
// the compiler builds and proves free of collisions, then compared once. Adding a known field means adding its name to
// kNames, in the order of FieldId. Inline, because every field line of every head asks.
// Pure, any thread. RFC 9110 section 5.1: names are case-insensitive.

#include <array>
#include <cstring>
#include <string_view>

#include "dataplane/http/head.h"
#include "src/base/types.h"

namespace ringway::http {

namespace field_detail {

inline constexpr u32 kIds = static_cast<u32>(FieldId::count_);
inline constexpr u32 kNameBytesMax = 32;

inline constexpr std::array<std::string_view, kIds> kNames{
    "",              "accept",         "accept-encoding", "authorization",
    "connection",    "content-length", "content-type",    "cookie",
    "date",          "expect",         "forwarded",       "host",
    "http2-settings", "keep-alive",    "proxy-connection", "retry-after",
    "sec-websocket-accept",            "sec-websocket-key",
    "server",        "te",             "trailer",         "transfer-encoding",
    "upgrade",       "user-agent",     "via",             "x-envoy-attempt-count",
    "x-envoy-expected-rq-timeout-ms",  "x-envoy-upstream-service-time",   "x-forwarded-for", "x-forwarded-proto", "x-request-id"};

inline constexpr u32 kSlots = 128;

constexpr u32 slot_of(u32 length, u32 first, u32 last, u32 factor) {
  return ((length + (first << 8) + (last << 16)) * factor) >> 25;
}
static_assert(kSlots == 1u << (32 - 25));

constexpr u8 folded(char c) { return static_cast<u8>(static_cast<u8>(c) | 0x20u); }

// A factor under which no two known names share a slot.
constexpr u32 find_factor() {
  for (u32 factor = 0x9e37'79b1u;; factor += 2) {
    std::array<bool, kSlots> used{};
    bool clash = false;
    for (u32 id = 1; id < kIds && !clash; ++id) {
      const std::string_view name = kNames[id];
      const u32 slot = slot_of(static_cast<u32>(name.size()), folded(name.front()), folded(name.back()), factor);
      clash = used[slot];
      used[slot] = true;
    }
    if (!clash) return factor;
  }
}
inline constexpr u32 kFactor = find_factor();

struct Known {
  std::array<u8, kNameBytesMax> name{};
  u8 length = 0;
  FieldId id = FieldId::other;
};

inline constexpr std::array<Known, kSlots> make_table() {
  std::array<Known, kSlots> table{};
  for (u32 id = 1; id < kIds; ++id) {
    const std::string_view name = kNames[id];
    Known& known = table[slot_of(static_cast<u32>(name.size()), folded(name.front()), folded(name.back()), kFactor)];
    for (u32 i = 0; i < name.size(); ++i) known.name[i] = folded(name[i]);
    known.length = static_cast<u8>(name.size());
    known.id = static_cast<FieldId>(id);
  }
  return table;
}
inline constexpr std::array<Known, kSlots> kTable = make_table();

// Setting bit 0x20 folds case, and maps no other token byte onto a letter, a digit or '-'.
template <typename Word>
inline bool same_word(const u8* name, const u8* known) {
  Word a;
  Word b;
  std::memcpy(&a, name, sizeof a);
  std::memcpy(&b, known, sizeof b);
  return (a | static_cast<Word>(0x2020'2020'2020'2020u)) == b;
}

inline bool same_name(const u8* name, const u8* known, u32 length) {
  if (length >= 8) {
    for (u32 i = 0; i + 8 < length; i += 8) {
      if (!same_word<u64>(name + i, known + i)) return false;
    }
    return same_word<u64>(name + length - 8, known + length - 8);
  }
  if (length >= 4) return same_word<u32>(name, known) && same_word<u32>(name + length - 4, known + length - 4);
  return same_word<u16>(name, known) && same_word<u16>(name + length - 2, known + length - 2);
}

}  // namespace field_detail

// `name` consists of token bytes only (is_token_byte). FieldId::other for every name that is not listed.
inline FieldId field_id(std::string_view name) {
  const u32 length = static_cast<u32>(name.size());
  if (length < 2) return FieldId::other;
  const field_detail::Known& known = field_detail::kTable[field_detail::slot_of(length, field_detail::folded(name.front()), field_detail::folded(name.back()), field_detail::kFactor)];
  if (known.length != length) return FieldId::other;
  return field_detail::same_name(reinterpret_cast<const u8*>(name.data()), known.name.data(), length) ? known.id : FieldId::other;
}

// In lower case; empty for FieldId::other.
std::string_view field_name(FieldId id);

// Sets of fields are words with one bit per FieldId.
constexpr u32 bit(FieldId id) { return 1u << static_cast<u32>(id); }
static_assert(static_cast<u32>(FieldId::count_) <= 32);

// RFC 9110 7.6.1, and HTTP2-Settings (RFC 7540 3.2.1, obsolete): never forwarded as they came.
inline constexpr u32 kHopByHop = bit(FieldId::connection) | bit(FieldId::http2_settings) | bit(FieldId::keep_alive) |
                                 bit(FieldId::proxy_connection) | bit(FieldId::te) | bit(FieldId::transfer_encoding) |
                                 bit(FieldId::upgrade);
constexpr bool is_hop_by_hop(FieldId id) { return (kHopByHop & bit(id)) != 0; }

// Field names that a trailer section may not carry (RFC 9110 6.5.1): framing, routing, connection, authentication.
// By FNV-1a of the name with bit 0x20 set in every byte, so that a name can arrive in pieces.
inline constexpr u64 kNameHashStart = 0xcbf2'9ce4'8422'2325u;
constexpr u64 name_hash(u64 hash, u8 byte) { return (hash ^ (byte | 0x20u)) * 0x100'0000'01b3u; }
bool is_forbidden_trailer(u64 hash);

}  // namespace ringway::http
