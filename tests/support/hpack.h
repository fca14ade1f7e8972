#pragma once
// What tests, benchmarks and fuzzing of HPACK share: lists of fields, and nghttp2's HPACK in the shape of our own.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/http/fields.h"
#include "dataplane/http/hpack.h"

namespace ringway::http::test {

inline std::string unhex(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
  }
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoul(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

struct FieldText {
  std::string name, value;
  bool never_indexed = false;
  bool operator==(const FieldText&) const = default;
};
using FieldList = std::vector<FieldText>;

inline u64 text_bytes(const FieldList& fields) {
  u64 bytes = 0;
  for (const FieldText& field : fields) bytes += field.name.size() + field.value.size();
  return bytes;
}

struct Decoded {
  FieldList fields;
  bool ok = false;
  bool operator==(const Decoded&) const = default;
};

// Each piece lies alone on the heap and scratch has the size that was promised, so that a sanitizer sees every step
// beside them.
inline Decoded decode_pieces(HpackDecoder& decoder, const std::vector<std::string>& pieces) {
  std::vector<std::vector<u8>> copies;
  std::vector<Bytes> spans;
  u64 bytes = 0;
  for (const std::string& piece : pieces) {
    bytes += piece.size();
    copies.emplace_back(piece.begin(), piece.end());
    spans.emplace_back(copies.back());
  }
  std::vector<u8> scratch(HpackDecoder::scratch_bytes(bytes));
  Decoded seen;
  seen.ok = decoder.decode(spans, scratch, [&](const HpackField& field) {
    seen.fields.push_back({std::string(field.name), std::string(field.value), field.never_indexed});
  }) == HpackStatus::ok;
  return seen;
}
inline Decoded decode(HpackDecoder& decoder, std::string_view block) {
  return decode_pieces(decoder, {std::string(block)});
}

inline std::string encode(HpackEncoder& encoder, const FieldList& fields) {
  using Index = HpackEncoder::Index;
  std::string block(HpackEncoder::kSizeUpdateBytesMax + text_bytes(fields) + 16 * fields.size(), '\0');
  const MutBytes out(reinterpret_cast<u8*>(block.data()), block.size());
  u32 at = encoder.begin_block(out);
  for (const FieldText& field : fields) {
    at += encoder.encode(FieldId::other, field.name, field.value, field.never_indexed ? Index::never : Index::yes,
                         out.subspan(at));
  }
  block.resize(at);
  return block;
}

class Nghttp2Decoder {
 public:
  Nghttp2Decoder() {
    if (nghttp2_hd_inflate_new(&inflater_) != 0) std::abort();
  }
  ~Nghttp2Decoder() { nghttp2_hd_inflate_del(inflater_); }
  Nghttp2Decoder(const Nghttp2Decoder&) = delete;
  Nghttp2Decoder& operator=(const Nghttp2Decoder&) = delete;

  void set_table_bytes_max(u32 bytes) {
    if (nghttp2_hd_inflate_change_table_size(inflater_, bytes) != 0) std::abort();
  }

  // As HpackDecoder::decode; the sink is shown nghttp2's own struct.
  template <class Sink>
  bool decode(Bytes block, Sink&& sink) {
    for (;;) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, block.data(), block.size(), 1);
      if (used < 0) return false;
      block = block.subspan(static_cast<std::size_t>(used));
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) sink(field);
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) return nghttp2_hd_inflate_end_headers(inflater_) == 0;
    }
  }

  u32 table_bytes() const { return static_cast<u32>(nghttp2_hd_inflate_get_dynamic_table_size(inflater_)); }

 private:
  nghttp2_hd_inflater* inflater_ = nullptr;
};

inline Decoded decode(Nghttp2Decoder& decoder, std::string_view block) {
  Decoded seen;
  seen.ok = decoder.decode({reinterpret_cast<const u8*>(block.data()), block.size()}, [&](const nghttp2_nv& field) {
    seen.fields.push_back({std::string(reinterpret_cast<const char*>(field.name), field.namelen),
                           std::string(reinterpret_cast<const char*>(field.value), field.valuelen),
                           (field.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0});
  });
  return seen;
}

class Nghttp2Encoder {
 public:
  explicit Nghttp2Encoder(u32 table_bytes_max = contract::kHpackTableBytesMax) {
    if (nghttp2_hd_deflate_new(&deflater_, table_bytes_max) != 0) std::abort();
  }
  ~Nghttp2Encoder() { nghttp2_hd_deflate_del(deflater_); }
  Nghttp2Encoder(const Nghttp2Encoder&) = delete;
  Nghttp2Encoder& operator=(const Nghttp2Encoder&) = delete;

  void set_table_bytes_max(u32 bytes) {
    if (nghttp2_hd_deflate_change_table_size(deflater_, bytes) != 0) std::abort();
  }

  // Bytes written.
  u32 encode(const std::vector<nghttp2_nv>& fields, MutBytes out) {
    const ssize_t bytes = nghttp2_hd_deflate_hd(deflater_, out.data(), out.size(), fields.data(), fields.size());
    if (bytes < 0) std::abort();
    return static_cast<u32>(bytes);
  }

 private:
  nghttp2_hd_deflater* deflater_ = nullptr;
};

inline std::vector<nghttp2_nv> nghttp2_fields(const FieldList& fields) {
  std::vector<nghttp2_nv> all;
  for (const FieldText& field : fields) {
    // nghttp2 asks for pointers to what it will not write to.
    all.push_back({reinterpret_cast<u8*>(const_cast<char*>(field.name.data())),
                   reinterpret_cast<u8*>(const_cast<char*>(field.value.data())), field.name.size(), field.value.size(),
                   static_cast<u8>(field.never_indexed ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE)});
  }
  return all;
}

inline std::string encode(Nghttp2Encoder& encoder, const FieldList& fields) {
  std::string block(64 + 2 * text_bytes(fields) + 32 * fields.size(), '\0');
  block.resize(encoder.encode(nghttp2_fields(fields), {reinterpret_cast<u8*>(block.data()), block.size()}));
  return block;
}

}  // namespace ringway::http::test
