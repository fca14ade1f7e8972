// services[].outlierDetection, read by the table of contract/outlier.def. See sections.h.

#include <initializer_list>

#include "control/config/sections.h"

namespace ringway::config {
namespace {

// Settings that wait for another one, in the order of the table.
void warn_idle(Reader& reader, const Map& map, const contract::OutlierDetection& o) {
  const auto warn = [&](std::initializer_list<const char*> keys, bool needed, const std::string& why) {
    for (const char* key : keys) {
      const auto value = map.get(key);
      if (value && !needed) reader.warning(value->mark, std::string(key) + ": has no effect " + why);
    }
  };
  warn({"consecutiveGatewayFailure"}, o.enforcing_consecutive_gateway_failure != 0,
       "while enforcingConsecutiveGatewayFailure is 0, its default");
  warn({"consecutiveLocalOriginFailure", "enforcingConsecutiveLocalOriginFailure", "enforcingLocalOriginSuccessRate",
        "enforcingFailurePercentageLocalOrigin"},
       o.split_local_origin_errors, "without splitLocalOriginErrors");
  warn({"failurePercentageThreshold", "failurePercentageMinimumHosts", "failurePercentageRequestVolume"},
       o.enforcing_failure_percentage != 0 || o.enforcing_failure_percentage_local_origin != 0,
       "while enforcingFailurePercentage is 0, its default");
}

}  // namespace

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
  warn_idle(reader, map, out);
}

}  // namespace ringway::config
