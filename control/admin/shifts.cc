// Deployments: what is shown of them, and their commands.

#include <algorithm>
#include <utility>

#include "control/admin/admin.h"

namespace ringway::admin {

namespace {

constexpr std::size_t kReasonBytesMax = 200;  // it stands in the log

}  // namespace

Json Admin::shifts() const {
  Json out = Json::array();
  if (!s_.shifts) return out;
  for (const shift::Report& r : s_.shifts()) {
    out.push_back({{"service", r.service}, {"green", r.green}, {"stage", shift::kStageNames[static_cast<u32>(r.stage)]},
                   {"paused", r.paused}, {"share_percent", r.share_percent}, {"reason", r.reason},
                   {"next_step_in_s", r.next_step_in_us == ~u64{0} ? Json(nullptr) : Json(static_cast<double>(r.next_step_in_us) / 1e6)},
                   {"requests", r.seen.requests}, {"failures", r.seen.failures}, {"latency_p99_us", r.seen.latency_p99_us}});
  }
  return out;
}

Response Admin::answer_shift(const Request& request) const {
  using Verb = shift::Shifter::Verb;
  constexpr std::pair<const char*, Verb> kVerbs[] = {{"start", Verb::start}, {"advance", Verb::advance}, {"pause", Verb::pause},
                                                     {"resume", Verb::resume}, {"rollback", Verb::rollback}, {"alarm", Verb::alarm}};
  const auto value = [&](const char* name) {
    const auto at = request.query.find(name);
    return at == request.query.end() ? std::string() : at->second;
  };
  const auto is_plain = [](unsigned char c) { return c >= 0x20 && c != 0x7f; };
  const std::string reason = value("reason");
  if (reason.size() > kReasonBytesMax || !std::ranges::all_of(reason, is_plain)) {
    return {.status = 400, .body = Json{{"error", "reason= wants at most 200 bytes without control characters"}}.dump(2) + "\n"};
  }
  for (const auto& [name, verb] : kVerbs) {
    if (value("do") != name) continue;
    const std::string refused = s_.shift(value("service"), verb, reason);
    if (refused.empty()) return {.status = 200, .body = shifts().dump(2) + "\n"};
    return {.status = 409, .body = Json{{"error", refused}}.dump(2) + "\n"};
  }
  return {.status = 400, .body = Json{{"error", "do= wants start, advance, pause, resume, rollback or alarm"}}.dump(2) + "\n"};
}

}  // namespace ringway::admin
