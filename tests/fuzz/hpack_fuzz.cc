// libFuzzer target: HPACK. The bytes are the life of a connection: header blocks, cut in pieces, and changes of the
// table's size. nghttp2 is shown the same, and has to read the same fields or refuse the same block. What was read is
// then encoded by us, on a connection that gets the same changes of size, and has to come out of both decoders again.
//
// A step is a byte below 8 and two bytes that are a size; or a byte whose highest 5 bits say how long the pieces of a
// block are (31: it is one piece), whose lowest 3 bits and the byte behind it say how long the block is, and the block.

#include "src/base/assert.h"
#include "tests/support/hpack.h"

namespace ringway::http::test {
namespace {

struct Connection {
  void set_table_bytes_max(u32 bytes) {
    decoder.set_table_bytes_max(bytes);
    nghttp2.set_table_bytes_max(bytes);
  }
  Decoded read(const std::string& block, std::size_t piece) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < block.size(); at += piece) pieces.push_back(block.substr(at, piece));
    const Decoded seen = decode_pieces(decoder, pieces);
    RW_ASSERT(seen == decode(nghttp2, block));
    RW_ASSERT(!seen.ok || decoder.table_bytes() == nghttp2.table_bytes());
    return seen;
  }

  HpackDecoder decoder;
  Nghttp2Decoder nghttp2;
};

void check_round_trip(HpackEncoder& encoder, Connection& reader, const FieldList& fields) {
  const std::string block = encode(encoder, fields);
  const Decoded seen = reader.read(block, 1 + block.size() / 3);
  RW_ASSERT(seen.ok && seen.fields.size() == fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::string name = fields[i].name;
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    RW_ASSERT(seen.fields[i].name == name && seen.fields[i].value == fields[i].value);
    RW_ASSERT(seen.fields[i].never_indexed || !fields[i].never_indexed);
  }
  RW_ASSERT(reader.decoder.table_bytes() == encoder.table_bytes());
}

void run(std::string_view life) {
  Connection peer;
  Connection reader;
  HpackEncoder encoder;
  while (life.size() >= 3) {
    const u8 step = static_cast<u8>(life[0]);
    const u32 number = static_cast<u8>(life[1]) | static_cast<u32>(step < 8 ? static_cast<u8>(life[2]) : step & 7) << 8;
    life.remove_prefix(step < 8 ? 3 : 2);
    if (step < 8) {
      const u32 bytes = number % (contract::kHpackTableBytesMax + 1);
      peer.set_table_bytes_max(bytes);
      reader.set_table_bytes_max(bytes);
      encoder.set_table_bytes_max(bytes);
      continue;
    }
    const std::string block(life.substr(0, number));
    life.remove_prefix(block.size());
    const Decoded seen = peer.read(block, step >> 3 == 31 ? 2048 : step >> 3);
    check_round_trip(encoder, reader, seen.fields);
    if (!seen.ok) return;
  }
}

}  // namespace
}  // namespace ringway::http::test

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t count) {
  ringway::http::test::run({reinterpret_cast<const char*>(bytes), count});
  return 0;
}
