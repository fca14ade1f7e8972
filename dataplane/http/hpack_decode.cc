#include "dataplane/http/hpack.h"
namespace ringway::http {
void HpackDecoder::begin(u32 bytes) { table_bytes_max_ = bytes; }
void HpackDecoder::set_table_bytes_max(u32) {}
HpackStatus HpackDecoder::decode_block(std::span<const Bytes>, MutBytes, void*, Emit) { return HpackStatus::compression_error; }
}  // namespace ringway::http
