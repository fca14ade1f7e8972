#include "control/health/checker.h"

#include <algorithm>

#include "src/base/assert.h"

namespace ringway::health {

using contract::Endpoint;
using contract::EndpointSlot;
using contract::HealthCheck;
using contract::HealthCheckKind;
using contract::Mail;
using contract::MailKind;
using contract::Outcome;
using contract::Plan;

Checker::Checker(contract::HealthBoard& board, u32 cores, Send send, u64 seed, Tell tell,
                 std::vector<const contract::CoreStats*> stats)
    : board_(board), cores_(cores), send_(std::move(send)), tell_(std::move(tell)), random_state_(seed),
      ejector_(board, std::move(stats), seed, [this](EndpointSlot slot, const Ejection& e) { on_ejection(slot, e); }) {
  RW_ASSERT(cores_ > 0);
}

// splitmix64: a jitter needs no more.
u64 Checker::random() {
  u64 z = random_state_ += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

void Checker::adopt(std::shared_ptr<const Plan> plan, TimeUs now_us) {
  RW_ASSERT(plan != nullptr);
  board_.at(now_us);
  plan_ = std::move(plan);
  for (auto& [slot, known] : endpoints_) known.index = kNone32;

  for (u32 s = 0; s < plan_->services.size(); s++) {
    const contract::Service& service = plan_->services[s];
    const bool checked = service.health_check.kind != HealthCheckKind::none;
    for (u32 i = service.first_endpoint; i < service.first_endpoint + service.endpoint_count; i++) {
      const Endpoint& endpoint = plan_->endpoints[i];
      auto [at, fresh] = endpoints_.try_emplace(endpoint.slot);
      Known& known = at->second;
      if (!fresh && known.incarnation != endpoint.incarnation) {
        unschedule(endpoint.slot, known);
        known = Known{};
        fresh = true;
      }
      if (fresh) {
        known.incarnation = endpoint.incarnation;
        std::lock_guard lock(reports_mutex_);
        reports_[endpoint.slot] = EndpointReport{.since_us = now_us};
      }
      known.plans++;
      known.index = i;
      known.service = s;
      known.removed = false;
      known.drain_us = service.drain_us;
      over_.erase({known.over_us, endpoint.slot});
      known.over_us = 0;
      if (!checked) {
        unschedule(endpoint.slot, known);
        known.state.take_as_healthy();
      } else if (fresh || !known.checked_before || (known.probe == 0 && known.due_us == 0)) {
        // The last: it had left the plan, and comes back before the plans that name it are gone.
        schedule(endpoint.slot, known, now_us);
      } else if (known.probe == 0 && known.due_us > now_us + service.health_check.interval_us) {
        schedule(endpoint.slot, known, next_check_us(known, now_us));
      }
      known.checked_before = checked;
    }
  }
  ejector_.adopt(*plan_, now_us);
  for (auto& [slot, known] : endpoints_) {
    if (known.index == kNone32) {
      unschedule(slot, known);
      continue;
    }
    write(slot, known);
    std::lock_guard lock(reports_mutex_);
    reports_[slot].ejection = *ejector_.ejection(slot);
  }
}

void Checker::drain_removed(TimeUs now_us) {
  for (auto& [slot, known] : endpoints_)
    if (known.index == kNone32 && !known.removed) {
      known.removed = true;
      known.over_us = std::max<TimeUs>(now_us + known.drain_us, 1);
      over_.insert({known.over_us, slot});
      write(slot, known);
      mail_cores(MailKind::endpoint_left, slot, known);
    }
}

void Checker::mail_cores(MailKind kind, EndpointSlot slot, const Known& known) {
  Mail mail;
  mail.kind = kind;
  mail.endpoint_slot = slot;
  mail.incarnation = known.incarnation;
  for (u32 core = 0; core < cores_; core++) {
    mail.core = static_cast<u16>(core);
    if (!unsent_.empty() || !send_(core, mail)) unsent_.emplace_back(core, mail);
  }
}

// Ends the exchanges of removed endpoints whose time is over, and delivers what inboxes had no room for. Returns when to
// come back.
TimeUs Checker::end_drains(TimeUs now_us) {
  while (!over_.empty() && over_.begin()->first <= now_us) {
    const EndpointSlot slot = over_.begin()->second;
    over_.erase(over_.begin());
    Known& known = endpoints_.at(slot);
    known.over_us = 0;
    mail_cores(MailKind::endpoint_over, slot, known);
  }
  while (!unsent_.empty()) {
    const auto& [core, mail] = unsent_.front();
    // An endpoint that has come back meanwhile keeps its connections.
    const auto known = endpoints_.find(mail.endpoint_slot);
    const bool gone = known != endpoints_.end() && known->second.removed && known->second.incarnation == mail.incarnation;
    if (gone && !send_(core, mail)) return now_us + 1;
    unsent_.pop_front();
  }
  return over_.empty() ? now_us + kFarUs : over_.begin()->first;
}

void Checker::forget(const Plan& gone) {
  for (const Endpoint& endpoint : gone.endpoints) {
    const auto at = endpoints_.find(endpoint.slot);
    if (at == endpoints_.end() || at->second.incarnation != endpoint.incarnation) continue;
    if (--at->second.plans > 0) continue;
    unschedule(endpoint.slot, at->second);
    over_.erase({at->second.over_us, endpoint.slot});
    endpoints_.erase(at);
    board_.store(endpoint.slot, contract::kHealthUnproven);
    std::lock_guard lock(reports_mutex_);
    reports_.erase(endpoint.slot);
  }
}

bool Checker::drain(EndpointSlot slot, bool on) {
  const auto at = endpoints_.find(slot);
  if (at == endpoints_.end()) return false;
  at->second.drained_by_operator = on;
  write(slot, at->second);
  return true;
}

void Checker::write(EndpointSlot slot, const Known& known) {
  const Ejection* ejection = ejector_.ejection(slot);
  const u32 ejected = ejection != nullptr && ejection->out ? contract::kHealthEjected : 0u;
  const u32 draining = known.removed || known.drained_by_operator ? contract::kHealthDraining : 0u;
  board_.store(slot, ejected | known.state.bits() | draining);
}

void Checker::on_ejection(EndpointSlot slot, const Ejection& ejection) {
  const Known& known = endpoints_.at(slot);
  write(slot, known);
  EndpointReport report;
  {
    std::lock_guard lock(reports_mutex_);
    EndpointReport& kept = reports_[slot];
    kept.ejection = ejection;
    report = kept;
  }
  if (tell_) tell_(plan_->endpoints[known.index], ejection.out ? Transition::ejected : Transition::returned, report);
}

void Checker::schedule(EndpointSlot slot, Known& known, TimeUs at_us) {
  if (known.due_us != 0) due_.erase({known.due_us, slot});
  known.due_us = std::max<TimeUs>(at_us, 1);
  due_.insert({known.due_us, slot});
}

void Checker::unschedule(EndpointSlot slot, Known& known) {
  if (known.due_us != 0) due_.erase({known.due_us, slot});
  known.due_us = 0;
  if (known.probe != 0) in_flight_.erase(known.probe);
  known.probe = 0;
}

TimeUs Checker::next_check_us(const Known& known, TimeUs now_us) {
  const HealthCheck& check = check_of(known);
  const u64 interval_us = known.state.proven() ? check.interval_us : std::min(check.interval_us, kUnprovenIntervalUs);
  const u64 spread_us = interval_us * check.jitter_percent / 100;
  const u64 wait_us = interval_us + (spread_us == 0 ? 0 : random() % (spread_us + 1));
  return std::max(now_us, known.began_us + wait_us);
}

bool Checker::send_probe(EndpointSlot slot, Known& known, TimeUs now_us) {
  Mail mail;
  mail.kind = MailKind::probe;
  mail.plan = plan_.get();
  mail.endpoint_slot = slot;
  mail.probe.id = next_probe_;
  mail.probe.service = known.service;
  mail.probe.endpoint = known.index;
  for (u32 tried = 0; tried < cores_; tried++) {
    const u32 core = next_core_;
    next_core_ = (next_core_ + 1) % cores_;
    mail.core = static_cast<u16>(core);
    if (!send_(core, mail)) continue;
    const HealthCheck& check = check_of(known);
    in_flight_[next_probe_] = Flight{slot, now_us + 2 * check.timeout_us + kUnprovenIntervalUs};
    known.probe = next_probe_++;
    known.began_us = now_us;
    due_.erase({known.due_us, slot});
    known.due_us = 0;
    return true;
  }
  return false;
}

TimeUs Checker::poll(TimeUs now_us) {
  board_.at(now_us);
  // Probe ids rise with time, but timeouts differ by service: look at all of the bounded set.
  TimeUs next_us = now_us + kFarUs;
  for (auto flight = in_flight_.begin(); flight != in_flight_.end();) {
    const auto [id, lost] = *flight;
    if (lost.give_up_us > now_us) {
      next_us = std::min(next_us, lost.give_up_us);
      ++flight;
      continue;
    }
    flight = in_flight_.erase(flight);
    Known& known = endpoints_.at(lost.slot);
    known.probe = 0;
    schedule(lost.slot, known, next_check_us(known, now_us));
  }
  while (!due_.empty() && due_.begin()->first <= now_us && in_flight_.size() < kInFlightMax) {
    const EndpointSlot slot = due_.begin()->second;
    if (!send_probe(slot, endpoints_.at(slot), now_us)) break;
  }
  if (!due_.empty()) next_us = std::min(next_us, std::max(due_.begin()->first, now_us + 1));
  next_us = std::min(next_us, end_drains(now_us));
  return std::min(next_us, ejector_.poll(now_us));
}

bool Checker::on_mail(const Mail& mail, TimeUs now_us) {
  board_.at(now_us);
  if (mail.kind == MailKind::endpoint_event) {
    {
      std::lock_guard lock(reports_mutex_);
      const auto report = reports_.find(mail.endpoint_slot);
      if (report != reports_.end()) report->second.events[static_cast<u32>(mail.outcome)]++;
    }
    ejector_.on_outcome(mail.endpoint_slot, mail.outcome, now_us);
    return true;
  }
  if (mail.kind != MailKind::probe_done) return false;
  on_result(mail, now_us);
  return true;
}

void Checker::on_result(const Mail& mail, TimeUs now_us) {
  // A result that comes after its probe was given up, or after its endpoint left the plan, says nothing any more.
  const auto flight = in_flight_.find(mail.probe.id);
  if (flight == in_flight_.end()) return;
  const EndpointSlot slot = flight->second.slot;
  in_flight_.erase(flight);
  Known& known = endpoints_.at(slot);
  known.probe = 0;

  const HealthCheck& check = check_of(known);
  const bool ok = mail.outcome == Outcome::success;
  const Transition change = known.state.on_result(ok, {check.healthy_threshold, check.unhealthy_threshold});
  write(slot, known);
  schedule(slot, known, next_check_us(known, now_us));
  if (ok && known.state.healthy()) ejector_.on_check(slot, known.began_us);

  EndpointReport report;
  {
    std::lock_guard lock(reports_mutex_);
    EndpointReport& kept = reports_[slot];
    kept.checks++;
    kept.failures += ok ? 0u : 1u;
    kept.run = known.state.run();
    kept.last = mail.outcome;
    kept.last_status = mail.probe.status;
    kept.last_rtt_us = mail.probe.rtt_us;
    kept.checked = true;
    if (change != Transition::none) kept.since_us = now_us;
    report = kept;
  }
  if (change != Transition::none && tell_) tell_(plan_->endpoints[known.index], change, report);
}

EndpointReport Checker::report(EndpointSlot slot) const {
  std::lock_guard lock(reports_mutex_);
  const auto report = reports_.find(slot);
  return report == reports_.end() ? EndpointReport{} : report->second;
}

}  // namespace ringway::health
