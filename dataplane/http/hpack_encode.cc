// HPACK: fields to a header block. Each field is measured, then written in the shortest form that its policy allows:
// an index (RFC 7541 6.1), or a literal (6.2) with the name by index where a table has it and strings Huffman coded
// where that is shorter. Pure, one thread at a time, no allocation, nothing that depends on how full the table is.

#include <algorithm>

#include "dataplane/http/bytes.h"
#include "dataplane/http/copy_text.h"
#include "dataplane/http/hpack.h"
#include "dataplane/http/hpack_names.h"
#include "dataplane/http/huffman.h"
#include "src/base/assert.h"

namespace ringway::http {
namespace {

using Index = HpackEncoder::Index;

constexpr u32 kNameBytesMax = 64;      // longer names stay out of the table
constexpr u32 kShortSecretBytes = 20;  // a value this short can be guessed, HpackKeep::unless_short

// Integers, RFC 7541 5.1: `mask` are the low bits that the first byte has for them.
u32 integer_bytes(u32 mask, u64 value) {
  if (value < mask) return 1;
  u32 bytes = 2;
  for (u64 left = value - mask; left >= 0x80; left >>= 7) ++bytes;
  return bytes;
}

u8* put_integer(u8* to, u8 pattern, u32 mask, u64 value) {
  if (value < mask) {
    *to++ = static_cast<u8>(pattern | value);
    return to;
  }
  *to++ = static_cast<u8>(pattern | mask);
  u64 left = value - mask;
  for (; left >= 0x80; left >>= 7) *to++ = static_cast<u8>(0x80 | left);
  *to++ = static_cast<u8>(left);
  return to;
}

// A string literal, RFC 7541 5.2.
struct Text {
  explicit Text(std::string_view of) : text(of), coded_bytes(huffman_bytes(of)) {}
  bool huffman() const { return coded_bytes < text.size(); }
  u64 bytes() const { return huffman() ? coded_bytes : text.size(); }
  u64 all_bytes() const { return integer_bytes(0x7f, bytes()) + bytes(); }
  u8* put(u8* to) const {
    to = put_integer(to, huffman() ? 0x80 : 0, 0x7f, bytes());
    if (huffman()) return huffman_encode(text, to);
    copy_text(to, text.data(), text.size());
    return to + text.size();
  }

  std::string_view text;
  u64 coded_bytes;
};

// RFC 7541 6.1. 0 when there is no room.
u32 put_indexed(u32 index, MutBytes out) {
  const u32 bytes = integer_bytes(0x7f, index);
  if (bytes > out.size()) return 0;
  put_integer(out.data(), 0x80, 0x7f, index);
  return bytes;
}

// Literals, RFC 7541 6.2: the pattern of the first byte, and the bits below it that count.
struct Form {
  u8 pattern;
  u8 mask;
};
constexpr Form kIndexing{0x40, 0x3f};         // 6.2.1
constexpr Form kWithoutIndexing{0x00, 0x0f};  // 6.2.2
constexpr Form kNeverIndexed{0x10, 0x0f};     // 6.2.3

// `name_index` 0: the name itself is written. 0 when there is no room.
u32 put_literal(Form form, u32 name_index, std::string_view name, std::string_view value, MutBytes out) {
  const Text value_text(value);
  const Text name_text(name_index == 0 ? name : std::string_view{});
  const u64 bytes = integer_bytes(form.mask, name_index) + value_text.all_bytes();
  if (bytes + (name_index == 0 ? name_text.all_bytes() : 0) > out.size()) return 0;
  u8* to = put_integer(out.data(), form.pattern, form.mask, name_index);
  if (name_index == 0) to = name_text.put(to);
  return static_cast<u32>(value_text.put(to) - out.data());
}

// What is known of a name in any case; `room` receives it in lower case where it is not.
using NameRoom = std::array<char, kNameBytesMax>;
HpackName name_in_any_case(std::string_view name, NameRoom& room) {
  u64 changed = 0;
  const u64 hash = hpack_hash(0, name, [&](u64 word) {
    changed |= word ^ lower_word(word);
    return lower_word(word);
  });
  if (changed == 0) return hpack_name(name, hash);
  for (std::size_t i = 0; i < name.size(); ++i) room[i] = static_cast<char>(lower(static_cast<u8>(name[i])));
  return hpack_name({room.data(), name.size()}, hash);
}

// A field of a name that no table will ever have.
u32 put_long_name(Form form, std::string_view name, std::string_view value, MutBytes out) {
  const Text value_text(value);
  const u64 length_bytes = integer_bytes(0x7f, name.size());
  if (1 + length_bytes + name.size() + value_text.all_bytes() > out.size()) return 0;
  u8* to = put_integer(out.data(), form.pattern, form.mask, 0);
  to = put_integer(to, 0, 0x7f, name.size());
  for (const char c : name) *to++ = lower(static_cast<u8>(c));
  return static_cast<u32>(value_text.put(to) - out.data());
}

HpackEncoder::Index index_by_policy(HpackKeep keep, std::string_view value) {
  switch (keep) {
    case HpackKeep::yes: return Index::yes;
    case HpackKeep::no: return Index::no;
    case HpackKeep::never: return Index::never;
    case HpackKeep::unless_short: return value.size() < kShortSecretBytes ? Index::never : Index::yes;
  }
  return Index::no;
}

}  // namespace

void HpackEncoder::begin(u32 table_bytes_max) {
  table_.begin();
  index_.clear();
  update_bytes_min_ = kNone32;
  set_table_bytes_max(table_bytes_max);
}

void HpackEncoder::set_table_bytes_max(u32 bytes) {
  table_bytes_max_ = std::min(bytes, contract::kHpackTableBytesMax);
  const bool owed = update_bytes_min_ != kNone32;
  if (owed || table_bytes_max_ != table_.bytes_max()) update_bytes_min_ = std::min(update_bytes_min_, table_bytes_max_);
}

u32 HpackEncoder::begin_block(MutBytes out) {
  if (update_bytes_min_ == kNone32) return 0;
  RW_ASSERT(out.size() >= kSizeUpdateBytesMax);
  u8* to = out.data();
  if (update_bytes_min_ < table_bytes_max_) to = put_integer(to, 0x20, 0x1f, update_bytes_min_);
  to = put_integer(to, 0x20, 0x1f, table_bytes_max_);
  table_.resize(update_bytes_min_);
  table_.resize(table_bytes_max_);
  update_bytes_min_ = kNone32;
  return static_cast<u32>(to - out.data());
}

u32 HpackEncoder::encode(FieldId id, std::string_view name, std::string_view value, Index index, MutBytes out) {
  if (name.size() > kNameBytesMax) {
    return put_long_name(index == Index::never ? kNeverIndexed : kWithoutIndexing, name, value, out);
  }
  NameRoom room;
  const HpackName known = id != FieldId::other ? hpack_name(id) : name_in_any_case(name, room);
  const Index policy = index_by_policy(known.keep, value);
  const bool fits = u64{known.name.size()} + value.size() + contract::kHpackEntryBytes <= table_.bytes_max() * 3 / 4;
  const bool may_insert = index == Index::yes && fits;
  if (index == Index::yes || policy == Index::never) index = policy;

  bool insert = may_insert && index == Index::yes;
  u64 hash = 0;  // of the whole field, where it is to be in the table
  if (index != Index::never) {
    for (u32 i = known.index; i < u32{known.index} + known.entries; ++i) {
      if (same_text(kHpackStatic[i].value, value)) return put_indexed(i, out);
    }
    if (insert) {
      hash = hpack_hash(known.hash, value);
      const u32 age = index_.find(table_, hash, [&](const HpackEntry& entry) {
        return same_text(entry.name, known.name) && same_text(entry.value, value);
      });
      if (age != kNone32) return put_indexed(kHpackStaticEntries + 1 + age, out);
    }
  }

  u32 name_index = known.index;
  if (name_index == 0) {
    const u32 age =
        index_.find(table_, known.hash, [&](const HpackEntry& entry) { return same_text(entry.name, known.name); });
    if (age != kNone32) name_index = kHpackStaticEntries + 1 + age;
    if (age == kNone32 && may_insert && index == Index::no) {
      insert = true;
      hash = hpack_hash(known.hash, value);
    }
  }
  const Form form = insert ? kIndexing : index == Index::never ? kNeverIndexed : kWithoutIndexing;
  const u32 bytes = put_literal(form, name_index, known.name, value, out);
  if (bytes != 0 && insert) {
    table_.insert(known.name, value);
    index_.remember_newest(table_, hash);
    if (known.index == 0) index_.remember_newest(table_, known.hash);
  }
  return bytes;
}

}  // namespace ringway::http
