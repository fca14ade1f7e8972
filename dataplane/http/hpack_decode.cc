// HPACK: a header block to fields. One turn of the loop is one field, or one size update, of RFC 7541 section 6; its
// first byte says which. Strings are views into the block, or into scratch where they had to be decoded or joined.
// Pure, one thread at a time, no allocation. The limit for integers that RFC 7541 5.1 asks for: as many bytes as 32 bits
// may need.

#include <algorithm>

#include "dataplane/http/copy_text.h"
#include "dataplane/http/hpack.h"
#include "dataplane/http/huffman.h"
#include "src/base/assert.h"

namespace ringway::http {
namespace {

// RFC 7541 section 6: what a field begins with, and the bits that its first integer has in that byte.
constexpr u8 kIndexed = 0x80;       // 6.1
constexpr u8 kIndexing = 0x40;      // 6.2.1
constexpr u8 kSizeUpdate = 0x20;    // 6.3
constexpr u8 kNeverIndexed = 0x10;  // 6.2.3; less is a literal without indexing, 6.2.2
constexpr u8 kHuffman = 0x80;       // 5.2

// The bytes of a block, piece after piece.
class Block {
 public:
  explicit Block(std::span<const Bytes> pieces) : next_(pieces.data()), last_(next_ + pieces.size()) {
    for (const Bytes piece : pieces) behind_ += piece.size();
  }

  u64 bytes_left() const { return static_cast<u64>(end_ - at_) + behind_; }

  bool more() { return at_ != end_ || next_piece(); }
  u8 first() const { return *at_; }  // after more()

  // The integer that begins in the low bits of this byte, those of `mask` (5.1).
  bool integer(u32 mask, u32& value) {
    value = *at_++ & mask;
    return value != mask || continued(value);
  }

  // `count` <= bytes_left(): these bytes where they lie, when they lie together, else joined in `room`.
  std::string_view take(u32 count, u8* room) {
    if (count <= static_cast<u64>(end_ - at_)) {
      const char* text = reinterpret_cast<const char*>(at_);
      at_ += count;
      return {text, count};
    }
    for (u32 done = 0; done < count && more();) {
      const u32 bytes = static_cast<u32>(std::min<u64>(count - done, static_cast<u64>(end_ - at_)));
      std::memcpy(room + done, at_, bytes);
      at_ += bytes;
      done += bytes;
    }
    return {reinterpret_cast<const char*>(room), count};
  }

 private:
  bool next_piece() {
    while (next_ != last_) {
      at_ = next_->data();
      end_ = at_ + next_->size();
      behind_ -= next_->size();
      ++next_;
      if (at_ != end_) return true;
    }
    return false;
  }

  bool continued(u32& value) {
    u64 sum = value;
    for (u32 shift = 0; shift < 35; shift += 7) {
      if (!more()) return false;
      const u8 byte = *at_++;
      sum += u64{byte & 0x7fu} << shift;
      if ((byte & 0x80) != 0) continue;
      value = static_cast<u32>(sum);
      return sum <= 0xffff'ffffu;
    }
    return false;
  }

  const u8* at_ = nullptr;
  const u8* end_ = nullptr;
  const Bytes* next_;
  const Bytes* last_;
  u64 behind_ = 0;  // bytes of the pieces from next_ on
};

// Takes a string literal (5.2). What has to be written goes to `room`, which then begins behind it.
bool take_string(Block& block, u8*& room, std::string_view& text) {
  if (!block.more()) return false;
  const bool huffman = (block.first() & kHuffman) != 0;
  u32 length;
  if (!block.integer(0x7f, length) || length > block.bytes_left()) return false;
  if (!huffman) {
    text = block.take(length, room);
    if (text.data() == reinterpret_cast<const char*>(room)) room += length;
    return true;
  }
  // Coded bytes that had to be joined lie so far ahead of the decoded ones that these never reach them: decoding adds
  // three bytes to five, and there are as many free ones in front as there are coded ones.
  const std::string_view coded = block.take(length, room + length + sizeof(u64));
  const u32 decoded = huffman_decode({reinterpret_cast<const u8*>(coded.data()), coded.size()}, room);
  if (decoded == kNone32) return false;
  text = {reinterpret_cast<const char*>(room), decoded};
  room += decoded;
  return true;
}

bool entry_at(const HpackTable& table, u32 index, HpackEntry& entry) {
  if (index - 1 < kHpackStaticEntries) {
    entry = kHpackStatic[index];
    return true;
  }
  const u32 age = index - 1 - kHpackStaticEntries;
  if (index == 0 || age >= table.entries()) return false;
  entry = table.entry(age);
  return true;
}

}  // namespace

void HpackDecoder::begin(u32 table_bytes_max) {
  table_.begin();
  update_bytes_max_ = kNone32;
  set_table_bytes_max(table_bytes_max);
}

void HpackDecoder::set_table_bytes_max(u32 bytes) {
  RW_ASSERT(bytes <= contract::kHpackTableBytesMax);
  table_bytes_max_ = bytes;
  if (bytes < table_.bytes_max()) update_bytes_max_ = std::min(update_bytes_max_, bytes);
}

HpackStatus HpackDecoder::decode_block(std::span<const Bytes> pieces, MutBytes scratch, void* sink, Emit emit) {
  Block block(pieces);
  RW_ASSERT(scratch.size() >= scratch_bytes(block.bytes_left()));
  // RFC 7541 4.2 and 6.3: size updates stand first, and one has to when we have made the table smaller.
  while (block.more() && (block.first() & 0xe0) == kSizeUpdate) {
    u32 bytes;
    if (!block.integer(kSizeUpdate - 1, bytes) || bytes > std::min(table_bytes_max_, update_bytes_max_)) {
      return HpackStatus::compression_error;
    }
    update_bytes_max_ = kNone32;
    table_.resize(bytes);
  }
  if (update_bytes_max_ != kNone32) return HpackStatus::compression_error;

  while (block.more()) {
    const u8 first = block.first();
    u8* room = scratch.data();
    u32 index;
    HpackEntry entry;
    if ((first & kIndexed) != 0) {
      if (!block.integer(kIndexed - 1, index) || !entry_at(table_, index, entry)) return HpackStatus::compression_error;
      emit(sink, {entry.name, entry.value});
      continue;
    }
    const bool indexing = (first & kIndexing) != 0;
    if (!indexing && (first & kSizeUpdate) != 0) return HpackStatus::compression_error;
    if (!block.integer(indexing ? kIndexing - 1 : kNeverIndexed - 1, index)) return HpackStatus::compression_error;
    if (index == 0) {
      if (!take_string(block, room, entry.name)) return HpackStatus::compression_error;
    } else {
      if (!entry_at(table_, index, entry)) return HpackStatus::compression_error;
      if (indexing && index > kHpackStaticEntries) {
        // The name may be that of an entry which this one evicts (RFC 7541 4.4).
        copy_text(room, entry.name.data(), entry.name.size());
        entry.name = {reinterpret_cast<const char*>(room), entry.name.size()};
        room += entry.name.size();
      }
    }
    if (!take_string(block, room, entry.value)) return HpackStatus::compression_error;
    emit(sink, {entry.name, entry.value, !indexing && (first & kNeverIndexed) != 0});
    if (indexing) table_.insert(entry.name, entry.value);
  }
  return HpackStatus::ok;
}

}  // namespace ringway::http
