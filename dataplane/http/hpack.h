#pragma once
// HPACK, RFC 7541: header blocks of HTTP/2 to fields and back.
//
// A connection owns one HpackDecoder for what its peer sends and one HpackEncoder for what it sends itself; both are
// values of about 4.5 KiB that allocate nothing and are not zeroed when they are made. (A class that holds one of them
// has a constructor of its own, or is an aggregate: otherwise T{} zeroes all of it.)
// Pure: no mbuf, no TCP; one thread at a time. What fields mean is for others: here a name is any bytes.
//
// Both sides' tables move in step, block by block. So a decoder is shown every block of its connection, in order and
// whole, also those of streams that are refused; and every block that an encoder wrote is sent.

#include <span>
#include <string_view>
#include <type_traits>

#include "dataplane/http/head.h"
#include "dataplane/http/hpack_index.h"
#include "dataplane/http/hpack_table.h"
#include "src/base/types.h"
#include "src/contract/limits.h"

namespace ringway::http {

struct HpackField {
  std::string_view name, value;  // valid during the sink's call
  bool never_indexed = false;    // whoever forwards the field must write it so again, RFC 7541 6.2.3
};

// compression_error ends the connection (RFC 9113 4.3): the table is no longer that of the peer.
enum class HpackStatus : u8 { ok, compression_error };

class HpackDecoder {
 public:
  HpackDecoder() { begin(); }

  // Forgets everything. Below 4096 as if set_table_bytes_max had been called too.
  void begin(u32 table_bytes_max = contract::kHpackTableBytesMax);

  // The peer has acknowledged SETTINGS with this SETTINGS_HEADER_TABLE_SIZE, at most kHpackTableBytesMax. When that is
  // less than the table's size, the next block must begin with a size update to as much or less (RFC 7541 4.2).
  void set_table_bytes_max(u32 bytes);

  // Decodes one whole header block, which lies in `pieces` and is read in place. Calls `sink(const HpackField&)` for
  // each field in order; the sink cannot stop the decoding. `scratch` holds strings that are Huffman coded or span
  // pieces, one field at a time: at least scratch_bytes() of the block's bytes.
  // compression_error: the block breaks RFC 7541, or ends early. Fields before the error have been shown.
  template <class Sink>
  HpackStatus decode(std::span<const Bytes> pieces, MutBytes scratch, Sink&& sink) {
    using Target = std::remove_reference_t<Sink>;
    return decode_block(pieces, scratch, const_cast<void*>(static_cast<const void*>(&sink)),
                        [](void* target, const HpackField& field) { (*static_cast<Target*>(target))(field); });
  }
  static constexpr u64 scratch_bytes(u64 block_bytes) { return 2 * block_bytes + 2 * contract::kHpackTableBytesMax; }

  u32 table_bytes() const { return table_.bytes(); }  // size of the table as RFC 7541 4.1 counts it
  u32 table_entries() const { return table_.entries(); }

 private:
  using Emit = void (*)(void* sink, const HpackField& field);
  HpackStatus decode_block(std::span<const Bytes> pieces, MutBytes scratch, void* sink, Emit emit);

  u32 table_bytes_max_ = 0;         // what size updates may ask for
  u32 update_bytes_max_ = kNone32;  // owed: the next block begins with an update to at most this
  HpackTable table_;
};

class HpackEncoder {
 public:
  // May the peer, and we, keep the field in the table? yes: where the policy of hpack_static.def thinks that it pays;
  // no: not here; never: nowhere down the line either (RFC 7541 7.1.3), for what a decoder showed as never_indexed.
  enum class Index : u8 { yes, no, never };

  HpackEncoder() { begin(); }

  // Forgets everything.
  void begin(u32 table_bytes_max = contract::kHpackTableBytesMax);

  // The peer's SETTINGS_HEADER_TABLE_SIZE, whatever it says; no more than kHpackTableBytesMax is used of it. Takes
  // effect with the next block, which announces it (RFC 7541 4.2).
  void set_table_bytes_max(u32 bytes);

  // Begins a header block: writes the size updates that are owed into `out`, which has room for kSizeUpdateBytesMax.
  // Bytes written.
  u32 begin_block(MutBytes out);
  static constexpr u32 kSizeUpdateBytesMax = 6;

  // Appends one field. The name may be in any case and is written in lower case; `id` is field_id(name), or `other`
  // when nobody looked; a name that begins with ':' is a pseudo-header. Bytes written; 0 when `out` has no room for the
  // field, and then nothing has changed.
  u32 encode(FieldId id, std::string_view name, std::string_view value, Index index, MutBytes out);

  u32 table_bytes() const { return table_.bytes(); }
  u32 table_entries() const { return table_.entries(); }

 private:
  u32 update_bytes_min_ = kNone32;  // smallest size that was asked for since the last block; kNone32: nothing is owed
  u32 table_bytes_max_ = 0;         // what was asked for last
  HpackTable table_;
  HpackIndex index_;
};

}  // namespace ringway::http
