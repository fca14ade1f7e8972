#pragma once
// OutlierDetection: when an endpoint that serves badly is left out, and for how long. Values; outlier.def has them all.

#include "src/base/types.h"

namespace ringway::contract {

struct OutlierDetection {
#define RW_OUTLIER_SWITCH(field, key, value) bool field = value;
#define RW_OUTLIER_COUNT(field, key, value, least, most) u32 field = value;
#define RW_OUTLIER_SECONDS(field, key, value, least, most) u64 field = u64{value} * 1'000'000;
#include "src/contract/outlier.def"
#undef RW_OUTLIER_SWITCH
#undef RW_OUTLIER_COUNT
#undef RW_OUTLIER_SECONDS
  friend bool operator==(const OutlierDetection&, const OutlierDetection&) = default;
};

}  // namespace ringway::contract
