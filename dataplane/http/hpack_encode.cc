#include "dataplane/http/hpack.h"
namespace ringway::http {
void HpackEncoder::begin(u32 bytes) { table_bytes_max_ = bytes; }
void HpackEncoder::set_table_bytes_max(u32) {}
u32 HpackEncoder::begin_block(MutBytes) { return 0; }
u32 HpackEncoder::encode(FieldId, std::string_view, std::string_view, Index, MutBytes) { return 0; }
}  // namespace ringway::http
