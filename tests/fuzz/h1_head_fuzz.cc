// libFuzzer target: HTTP/1.1 heads. The input is a request and a response in turn. What must hold for any bytes:
// no prefix of an accepted head is accepted, a refusal is never taken back when more bytes come, and what the writer
// makes of an accepted head is accepted again with the same method, framing and target, whatever stood in it.

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h1_write.h"
#include "src/base/assert.h"

namespace ringway::http {
namespace {

struct Exact {
  explicit Exact(Bytes from) : size(from.size()), bytes(new u8[from.size() + 1]) {
    if (size != 0) std::memcpy(bytes.get() + 1, from.data(), size);
  }
  Bytes view() const { return {bytes.get() + 1, size}; }
  std::size_t size;
  std::unique_ptr<u8[]> bytes;
};

template <typename Read>
void check_prefixes(Bytes whole, const ReadResult& result, std::size_t head_bytes, Read read) {
  const std::size_t end = result.status == ReadStatus::complete ? head_bytes : whole.size();
  bool was_invalid = false;
  const std::size_t step = end / 64 + 1;
  for (std::size_t n = 0; n < end; n += step) {
    const Exact part(whole.first(n));
    const ReadStatus status = read(part.view()).status;
    RW_ASSERT(status != ReadStatus::complete || result.status == ReadStatus::invalid);
    RW_ASSERT(!was_invalid || status == ReadStatus::invalid);
    RW_ASSERT(result.status == ReadStatus::invalid || status == ReadStatus::incomplete);
    was_invalid = status == ReadStatus::invalid;
  }
}

void check_request(Bytes in) {
  static RequestHead head;
  static RequestHead scratch;
  const ReadResult result = read_request(in, {}, head);
  check_prefixes(in, result, head.bytes, [](Bytes part) { return read_request(part, {}, scratch); });
  if (result.status != ReadStatus::complete) return;
  RequestEdit edit;
  edit.client_ip = wire::Ip4::of(1, 2, 3, 4);
  edit.via = "fuzz";
  edit.request_id = "id";
  edit.upgrade = head.upgrade;
  edit.fallback_host = "fallback";
  std::vector<u8> out(head.bytes + 1024u);
  const u32 n = write_request(head, edit, out);
  RW_ASSERT(n != 0);
  HeadLimits roomy;
  roomy.head_bytes = contract::kHeadBytesMax;
  roomy.fields = contract::kFieldsMax;
  roomy.target_bytes = contract::kHeadBytesMax;
  const ReadResult again = read_request(Bytes(out).first(n), roomy, scratch);
  RW_ASSERT(again.status == ReadStatus::complete && scratch.bytes == n);
  RW_ASSERT(scratch.framing == head.framing && scratch.content_length == head.content_length);
  RW_ASSERT(scratch.text(scratch.method_text) == head.text(head.method_text));
  RW_ASSERT(scratch.asterisk_form || scratch.path_text() == head.path_text());
  RW_ASSERT(scratch.text(scratch.query) == head.text(head.query));
  RW_ASSERT(scratch.upgrade == head.upgrade && scratch.keep_alive);
}

void check_response(Bytes in, Method method) {
  static ResponseHead head;
  static ResponseHead scratch;
  const ReadResult result = read_response(in, method, {}, head);
  check_prefixes(in, result, head.bytes, [method](Bytes part) { return read_response(part, method, {}, scratch); });
  if (result.status != ReadStatus::complete) return;
  ResponseEdit edit;
  edit.via = "fuzz";
  edit.upgrade = head.upgrade;
  std::vector<u8> out(head.bytes + 1024u);
  const u32 n = write_response(head, edit, out);
  RW_ASSERT(n != 0);
  HeadLimits roomy;
  roomy.head_bytes = contract::kHeadBytesMax;
  roomy.fields = contract::kFieldsMax;
  const ReadResult again = read_response(Bytes(out).first(n), method, roomy, scratch);
  RW_ASSERT(again.status == ReadStatus::complete && scratch.bytes == n);
  RW_ASSERT(scratch.status == head.status && scratch.framing == head.framing);
  RW_ASSERT(scratch.content_length == head.content_length || head.status == 204);
}

}  // namespace
}  // namespace ringway::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace ringway::http;
  if (size > 4096) return 0;
  check_request({bytes, size});
  check_response({bytes, size}, Method::get);
  check_response({bytes, size}, Method::head);
  return 0;
}
