// services[].outlierDetection, read by the table of contract/outlier.def. See sections.h.

#include "control/config/sections.h"

namespace ringway::config {

void read_outlier(Reader& reader, const Map& service, contract::OutlierDetection& out) {
  const auto value = service.get("outlierDetection");
  if (!value) return;
  const Map map(reader, *value, keys::kOutlier);
#define RW_OUTLIER_SWITCH(field, key, otherwise) map.boolean(key, out.field);
#define RW_OUTLIER_COUNT(field, key, otherwise, least, most) map.integer(key, out.field, least, most);
#define RW_OUTLIER_SECONDS(field, key, otherwise, least, most) map.seconds(key, out.field, least, most);
#include "src/contract/outlier.def"
#undef RW_OUTLIER_SWITCH
#undef RW_OUTLIER_COUNT
#undef RW_OUTLIER_SECONDS
  if (const auto most = map.get("maxEjectionSeconds"); most && out.max_ejection_us < out.base_ejection_us) {
    reader.warning(most->mark, "maxEjectionSeconds: shorter than baseEjectionSeconds, which counts then");
  }
  const auto local = map.get("consecutiveLocalOriginFailure");
  if (local && !out.split_local_origin_errors) {
    reader.warning(local->mark, "consecutiveLocalOriginFailure: has no effect without splitLocalOriginErrors");
  }
}

}  // namespace ringway::config
