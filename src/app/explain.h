#pragma once
// Explain: "where would this request go?", answered with the production code (dataplane/route/explain.h) as JSON.
//
// Admin server's thread only. The request is written out as HTTP/1.1 bytes and read by the same reader as a client's.

#include <string>

#include "control/admin/admin.h"
#include "dataplane/route/explain.h"
#include "src/contract/plan.h"

namespace ringway::app {

class Explain {
 public:
  Explain(const contract::HealthBoard& board, contract::CoreStats& stats, u32 cores) : explainer_(board, stats, cores) {}

  // `url` is "http://host[:port]/path?query"; `source` "ip" or "ip:port", empty for 0.0.0.0. {"error": sentence} when
  // the URL cannot be read or no listener takes it.
  admin::Json answer(const contract::Plan& plan, const std::string& method, const std::string& url, const std::string& source);

 private:
  route::Explainer explainer_;
};

}  // namespace ringway::app
