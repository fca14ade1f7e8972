#include "control/shift/shift.h"

#include <algorithm>
#include <utility>

namespace ringway::shift {

std::optional<TimeUs> Shift::next_step_us() const {
  if (over() || paused_) return std::nullopt;
  switch (stage_) {
    case Stage::test_traffic_shift: return plan_.starts_itself ? std::optional(step_began_us_) : std::nullopt;
    case Stage::production_traffic_shift: return step_began_us_ + plan_.step_bake_us;
    default: return step_began_us_ + plan_.bake_us;
  }
}

bool Shift::poll(TimeUs now_us, const Seen& seen) {
  if (over()) return false;
  if (const auto why = alarm(seen)) return roll_back(now_us, *why);
  const auto due = next_step_us();
  if (!due || *due > now_us) return false;
  step(now_us);
  return true;
}

void Shift::step(TimeUs now_us) {
  step_began_us_ = now_us;
  if (stage_ == Stage::bake_time) {
    stage_ = Stage::done;
    return;
  }
  const bool first = stage_ == Stage::test_traffic_shift;
  share_ = plan_.strategy == ShiftStrategy::blue_green || (plan_.strategy == ShiftStrategy::canary && !first)
               ? contract::kWholeShare
               : std::min(share_ + plan_.step, contract::kWholeShare);
  stage_ = share_ == contract::kWholeShare ? Stage::bake_time : Stage::production_traffic_shift;
}

std::optional<std::string> Shift::alarm(const Seen& seen) const {
  if (seen.requests == 0 || seen.requests < plan_.least_requests) return std::nullopt;
  if (plan_.error_percent != 0 && seen.failures * 100 >= seen.requests * plan_.error_percent) {
    return std::to_string(seen.failures) + " of " + std::to_string(seen.requests) + " requests failed, which is " +
           std::to_string(plan_.error_percent) + " % or more";
  }
  if (plan_.latency_p99_us != 0 && seen.latency_p99_us > plan_.latency_p99_us) {
    return "p99 is " + std::to_string(seen.latency_p99_us / 1000) + " ms, above " + std::to_string(plan_.latency_p99_us / 1000) + " ms";
  }
  return std::nullopt;
}

bool Shift::start(TimeUs now_us) {
  if (stage_ == Stage::rolled_back) {
    stage_ = Stage::test_traffic_shift;
    reason_.clear();
  }
  return stage_ == Stage::test_traffic_shift && advance(now_us);
}

bool Shift::advance(TimeUs now_us) {
  if (over()) return false;
  paused_ = false;
  step(now_us);
  return true;
}

bool Shift::pause() {
  if (over() || paused_) return false;
  return paused_ = true;
}

bool Shift::resume(TimeUs now_us) {
  if (!std::exchange(paused_, false)) return false;
  step_began_us_ = now_us;
  return true;
}

bool Shift::ring(TimeUs now_us, std::string reason) { return !over() && roll_back(now_us, std::move(reason)); }

bool Shift::roll_back(TimeUs now_us, std::string reason) {
  if (stage_ == Stage::rolled_back) return false;
  stage_ = Stage::rolled_back;
  share_ = 0;
  paused_ = false;
  step_began_us_ = now_us;
  reason_ = std::move(reason);
  return true;
}

}  // namespace ringway::shift
