// The PROXY header reader: whatever the bytes, what it finds does not depend on how they come, and what it reads can be
// written and read again. The first byte says how long a header may be.

#include <vector>

#include "src/base/assert.h"
#include "src/wire/proxy_protocol.h"

using namespace ringway;
using namespace ringway::wire;
using Status = ProxyHeader::Status;

namespace {

ProxyHeader read(Bytes in, u32 most) {
  const std::vector<u8> exact(in.begin(), in.end());
  return read_proxy_header(exact, most);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  if (size == 0) return 0;
  const u32 most = 16 + 8 * u32{data[0]};
  const Bytes in{data + 1, size - 1};
  const ProxyHeader whole = read(in, most);
  RW_ASSERT((whole.status == Status::complete) == (whole.bytes != 0) && whole.bytes <= in.size());
  RW_ASSERT(whole.bytes <= std::max(most, kProxyV1BytesMax));
  RW_ASSERT(whole.status == Status::complete || !whole.ends);
  for (std::size_t n = 0; n < std::min<std::size_t>(in.size(), 400); ++n) {
    const ProxyHeader part = read(in.first(n), most);
    if (whole.status == Status::complete) RW_ASSERT(part.status == (n < whole.bytes ? Status::incomplete : Status::complete));
    if (whole.status == Status::incomplete) RW_ASSERT(part.status == Status::incomplete);
    if (part.status == Status::invalid) RW_ASSERT(whole.status == Status::invalid);
  }
  if (!whole.ends) return 0;
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2, ProxyVersion::v2_crc32c}) {
    u8 out[kProxyWrittenBytesMax];
    const u32 n = write_proxy_header(version, *whole.ends, out);
    const ProxyHeader again = read({out, n}, kProxyWrittenBytesMax);
    RW_ASSERT(again.status == Status::complete && again.bytes == n && again.ends == whole.ends);
  }
  return 0;
}
