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

  // {"error": sentence} when the request cannot be read or no listener takes it. "note" says when the name is not one of
  // ours and the only listener of that port was assumed.
  admin::Json answer(const contract::Plan& plan, const admin::ExplainRequest& request);

 private:
  route::Explainer explainer_;
};

}  // namespace ringway::app
