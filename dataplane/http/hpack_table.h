#pragma once
// The dynamic table of HPACK, RFC 7541 2.3.2 and 4: the newest entries first, evicted oldest first.
//
// Texts lie one behind the other in one stretch of bytes, each entry as a whole: the lengths of name and value, the
// name, the value. A ring of places says where each begins. When the stretch has reached the end of the bytes, what is
// alive moves to their front. As an entry counts 32 bytes beside its text and takes 4, everything that may be alive
// always fits, and a move comes only after the table has taken in what was free before it.
// Places are counted on without bound (mod 2^16); `base_` is the place of the first byte. 4.4 KiB, of which nothing is
// written before it is used. One thread at a time.

#include <array>
#include <cstring>

#include "dataplane/http/copy_text.h"
#include "dataplane/http/hpack_static.h"
#include "src/base/types.h"
#include "src/contract/limits.h"

namespace ringway::http {

class HpackTable {
 public:
  HpackTable() { begin(); }

  // Empty, of the largest size.
  void begin() {
    bytes_max_ = contract::kHpackTableBytesMax;
    newest_ = 0;
    clear();
  }

  u32 bytes_max() const { return bytes_max_; }
  u32 bytes() const { return bytes_; }  // as RFC 7541 4.1 counts them
  u32 entries() const { return entries_; }

  // Entries are numbered from 1 on as they are put in; 0: none was.
  u32 newest() const { return newest_; }

  // Entry number newest() - `age`, which is below entries(). The views hold until the next insert or resize.
  HpackEntry entry(u32 age) const {
    const char* at = text_.data() + offset_of(places_[(newest_ - age) % kPlaces]);
    const Lengths lengths = lengths_at(at);
    return {{at + sizeof lengths, lengths.name}, {at + sizeof lengths + lengths.name, lengths.value}};
  }

  // RFC 7541 4.3; at most kHpackTableBytesMax.
  void resize(u32 bytes_max) {
    bytes_max_ = bytes_max;
    evict_down_to(bytes_max);
  }

  // RFC 7541 4.4: makes room, then puts the field in. False when it is larger than the table, which is then empty.
  // `name` and `value` are not the table's own.
  bool insert(std::string_view name, std::string_view value) {
    const u64 bytes = u64{name.size()} + value.size() + contract::kHpackEntryBytes;
    if (bytes > bytes_max_) {
      clear();
      return false;
    }
    evict_down_to(bytes_max_ - static_cast<u32>(bytes));
    const Lengths lengths{static_cast<u16>(name.size()), static_cast<u16>(value.size())};
    if (offset_of(end_) + stored_bytes(lengths) > kTextBytes) move_to_front();
    char* const at = text_.data() + offset_of(end_);
    std::memcpy(at, &lengths, sizeof lengths);
    copy_text(at + sizeof lengths, name.data(), name.size());
    copy_text(at + sizeof lengths + name.size(), value.data(), value.size());
    places_[++newest_ % kPlaces] = end_;
    end_ = static_cast<u16>(end_ + stored_bytes(lengths));
    bytes_ += static_cast<u32>(bytes);
    ++entries_;
    return true;
  }

 private:
  struct Lengths {
    u16 name, value;
  };
  static constexpr u32 kTextBytes = contract::kHpackTableBytesMax;
  static constexpr u32 kPlaces = contract::kHpackTableBytesMax / contract::kHpackEntryBytes;
  static_assert(sizeof(Lengths) <= contract::kHpackEntryBytes && kTextBytes <= 0xffff);

  static u32 stored_bytes(Lengths lengths) { return static_cast<u32>(sizeof lengths) + lengths.name + lengths.value; }
  u32 offset_of(u16 place) const { return static_cast<u16>(place - base_); }
  static Lengths lengths_at(const char* at) {
    Lengths lengths;
    std::memcpy(&lengths, at, sizeof lengths);
    return lengths;
  }

  void clear() {
    bytes_ = 0;
    entries_ = 0;
    base_ = end_ = 0;
  }

  void evict_down_to(u32 bytes) {
    while (bytes_ > bytes) {
      const Lengths lengths = lengths_at(text_.data() + offset_of(places_[(newest_ - entries_ + 1) % kPlaces]));
      bytes_ -= contract::kHpackEntryBytes + lengths.name + lengths.value;
      --entries_;
    }
  }

  void move_to_front() {
    const u16 oldest = entries_ == 0 ? end_ : places_[(newest_ - entries_ + 1) % kPlaces];
    std::memmove(text_.data(), text_.data() + offset_of(oldest), offset_of(end_) - offset_of(oldest));
    base_ = oldest;
  }

  u32 bytes_max_;
  u32 bytes_;
  u32 entries_;
  u32 newest_;
  u16 base_;
  u16 end_;
  std::array<u16, kPlaces> places_;
  std::array<char, kTextBytes> text_;
};

}  // namespace ringway::http
