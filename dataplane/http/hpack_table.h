#pragma once
#include "src/base/types.h"
#include "src/contract/limits.h"
namespace ringway::http {
class HpackTable {
 public:
  u32 bytes() const { return 0; }
  u32 entries() const { return 0; }
};
}  // namespace ringway::http
