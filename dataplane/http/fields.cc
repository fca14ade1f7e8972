// The table behind field_id, built and proved free of collisions by the compiler, and the names a trailer section may
// not carry. Adding a known field means adding its name here, in the order of FieldId. Pure, any thread.

#include "dataplane/http/fields.h"

#include <array>
#include <cstring>

namespace ringway::http {
namespace {

constexpr u32 kIds = static_cast<u32>(FieldId::count_);
constexpr u32 kNameBytesMax = 32;

constexpr std::array<std::string_view, kIds> kNames{
    "",              "accept",         "accept-encoding", "authorization",
    "connection",    "content-length", "content-type",    "cookie",
    "date",          "expect",         "forwarded",       "host",
    "http2-settings", "keep-alive",    "proxy-connection", "retry-after",
    "server",        "te",             "trailer",         "transfer-encoding",
    "upgrade",       "user-agent",     "via",             "x-envoy-expected-rq-timeout-ms",
    "x-envoy-upstream-service-time",   "x-forwarded-for", "x-forwarded-proto", "x-request-id"};

constexpr u32 kSlots = 128;

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
constexpr u32 kFactor = find_factor();

struct Known {
  std::array<u8, kNameBytesMax> name{};
  u8 length = 0;
  FieldId id = FieldId::other;
};

constexpr std::array<Known, kSlots> make_table() {
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
constexpr std::array<Known, kSlots> kTable = make_table();

// Setting bit 0x20 folds case, and maps no other token byte onto a letter, a digit or '-'.
template <typename Word>
bool same_word(const u8* name, const u8* known) {
  Word a;
  Word b;
  std::memcpy(&a, name, sizeof a);
  std::memcpy(&b, known, sizeof b);
  return (a | static_cast<Word>(0x2020'2020'2020'2020u)) == b;
}

bool same_name(const u8* name, const u8* known, u32 length) {
  if (length >= 8) {
    for (u32 i = 0; i + 8 < length; i += 8) {
      if (!same_word<u64>(name + i, known + i)) return false;
    }
    return same_word<u64>(name + length - 8, known + length - 8);
  }
  if (length >= 4) return same_word<u32>(name, known) && same_word<u32>(name + length - 4, known + length - 4);
  return same_word<u16>(name, known) && same_word<u16>(name + length - 2, known + length - 2);
}

constexpr u64 hash_of(std::string_view name) {
  u64 hash = kNameHashStart;
  for (const char c : name) hash = name_hash(hash, static_cast<u8>(c));
  return hash;
}

constexpr std::array kForbiddenTrailers{
    hash_of("authorization"),    hash_of("connection"),        hash_of("content-length"),  hash_of("cookie"),
    hash_of("expect"),           hash_of("forwarded"),         hash_of("host"),            hash_of("http2-settings"),
    hash_of("keep-alive"),       hash_of("max-forwards"),      hash_of("proxy-authorization"),
    hash_of("proxy-connection"), hash_of("te"),                hash_of("trailer"),         hash_of("transfer-encoding"),
    hash_of("upgrade"),          hash_of("via"),               hash_of("x-forwarded-for"), hash_of("x-forwarded-host"),
    hash_of("x-forwarded-proto"), hash_of("content-encoding"), hash_of("content-range"),   hash_of("set-cookie")};

}  // namespace

FieldId field_id(std::string_view name) {
  const u32 length = static_cast<u32>(name.size());
  if (length < 2) return FieldId::other;
  const Known& known = kTable[slot_of(length, folded(name.front()), folded(name.back()), kFactor)];
  if (known.length != length) return FieldId::other;
  return same_name(reinterpret_cast<const u8*>(name.data()), known.name.data(), length) ? known.id : FieldId::other;
}

std::string_view field_name(FieldId id) { return kNames[static_cast<u32>(id)]; }

bool is_forbidden_trailer(u64 hash) {
  for (const u64 forbidden : kForbiddenTrailers) {
    if (hash == forbidden) return true;
  }
  return false;
}

}  // namespace ringway::http
