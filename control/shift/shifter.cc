#include "control/shift/shifter.h"

namespace ringway::shift {

Shifter::Shifter(contract::ShiftBoard& board, std::vector<const contract::CoreStats*> cores, Tell tell)
    : board_(board), cores_(std::move(cores)), tell_(std::move(tell)) {}

void Shifter::adopt(std::shared_ptr<const contract::Plan> plan, TimeUs now_us) {
  std::map<std::string, std::unique_ptr<Known>> next;
  for (const contract::Service& service : plan->services) {
    if (service.deployment.green == kNone32) continue;
    const contract::Service& green = plan->services[service.deployment.green];
    const auto before = known_.find(service.discovery_name);
    if (before != known_.end() && before->second->green == green.discovery_name && before->second->slot == service.slot &&
        before->second->green_slot == green.slot) {
      before->second->shift.change(service.deployment);
      next[service.discovery_name] = std::move(before->second);
      known_.erase(before);
      continue;
    }
    auto known = std::make_unique<Known>(Known{service.slot, green.slot, green.discovery_name, Shift(service.deployment, now_us), 0, 0, {}});
    begin_step(service.discovery_name, *known, now_us);
    next[service.discovery_name] = std::move(known);
  }
  for (const auto& [name, gone] : known_) {
    bool taken = false;
    for (const auto& [other, known] : next) taken = taken || known->slot == gone->slot;
    if (!taken) board_.set(gone->slot, 0, false);
  }
  known_ = std::move(next);
}

void Shifter::poll(TimeUs now_us) {
  for (auto& [service, known] : known_) {
    if (known->shift.over()) continue;
    if (known->shift.poll(now_us, seen(*known, known->shift.wants_latency()))) begin_step(service, *known, now_us);
  }
}

std::string Shifter::command(const std::string& service, Verb verb, TimeUs now_us, const std::string& reason) {
  const auto at = known_.find(service);
  if (at == known_.end()) return "service " + service + " has no deployment";
  Shift& shift = at->second->shift;
  const auto done = [&] {
    switch (verb) {
      case Verb::start: return shift.start(now_us);
      case Verb::advance: return shift.advance(now_us);
      case Verb::pause: return shift.pause();
      case Verb::resume: return shift.resume(now_us);
      case Verb::rollback: return shift.roll_back(now_us, reason.empty() ? "by command" : reason);
      case Verb::alarm: return shift.ring(now_us, reason.empty() ? "an alarm rang" : reason);
    }
    return false;
  };
  if (!done()) {
    return std::string("the deployment is ") + (shift.paused() ? "paused in " : "in ") + kStageNames[static_cast<u32>(shift.stage())] +
           ": that cannot be done now";
  }
  begin_step(service, *at->second, now_us);
  return "";
}

// The board learns what holds from now on, and counting begins anew.
void Shifter::begin_step(const std::string& service, Known& known, TimeUs now_us) {
  known.requests = sum(known.green_slot, false);
  known.failures = sum(known.green_slot, true);
  known.latency = latency(known.green_slot);
  board_.set(known.slot, known.shift.share(), known.shift.takes_test_traffic());
  if (tell_) tell_(report(service, known, now_us));
}

HistSnapshot Shifter::latency(u32 slot) const {
  HistSnapshot out;
  for (const contract::CoreStats* core : cores_) out.add(core->services[slot].latency_us);
  return out;
}

// What was answered for a service, or of that the 5xx.
u64 Shifter::sum(u32 slot, bool failures) const {
  u64 sum = 0;
  for (const contract::CoreStats* core : cores_) {
    const auto& responses = core->services[slot].responses;
    for (u32 klass = failures ? 5 : 2; klass <= 5; ++klass) sum += responses[klass].get();
  }
  return sum;
}

Seen Shifter::seen(const Known& known, bool with_latency) const {
  Seen out{sum(known.green_slot, false) - known.requests, sum(known.green_slot, true) - known.failures, 0};
  if (with_latency) out.latency_p99_us = latency(known.green_slot).since(known.latency).percentile(99);
  return out;
}

Report Shifter::report(const std::string& service, const Known& known, TimeUs now_us) const {
  Report out{.service = service, .green = known.green, .stage = known.shift.stage(), .paused = known.shift.paused(),
             .share_percent = known.shift.share() * 100.0 / contract::kWholeShare, .reason = known.shift.reason(),
             .next_step_in_us = ~u64{0}, .seen = seen(known, true)};
  if (const auto next = known.shift.next_step_us()) out.next_step_in_us = *next > now_us ? *next - now_us : 0;
  return out;
}

std::vector<Report> Shifter::reports(TimeUs now_us) const {
  std::vector<Report> out;
  for (const auto& [service, known] : known_) out.push_back(report(service, *known, now_us));
  return out;
}

}  // namespace ringway::shift
