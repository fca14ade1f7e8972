#pragma once
// How a header of the PROXY protocol (proxy_protocol.h) is written.

#include "src/base/types.h"

namespace ringway::wire {

enum class ProxyVersion : u8 { off, v1, v2, v2_crc32c };

}  // namespace ringway::wire
