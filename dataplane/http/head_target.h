#pragma once
// Path and query of a request as they are forwarded. Pure, header-only, any thread.

#include <string_view>

#include "dataplane/http/head.h"
#include "src/base/types.h"

namespace ringway::http::head_edit {

// `lead` and what the head has. RFC 9112 3.2.4: the last proxy turns "OPTIONS http://host" into "OPTIONS *".
struct Target {
  std::string_view lead;
  std::string_view sent;
};
inline u32 target_end(const RequestHead& head) {
  return head.has_query ? head.query.offset + u32{head.query.length} : head.path.offset + u32{head.path.length};
}
inline Target target_of(const RequestHead& head) {
  Target target;
  target.sent = {reinterpret_cast<const char*>(head.base) + head.path.offset, target_end(head) - head.path.offset};
  if (head.path.length == 0) target.lead = head.method == Method::options && !head.has_query ? "*" : "/";
  return target;
}

}  // namespace ringway::http::head_edit
