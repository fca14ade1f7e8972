#pragma once
// Checker: keeps the HealthBoard. Schedules the active checks of every endpoint, has cores send them, takes results.
//
// A check is a `probe` mail to one core, round robin over the cores, and a `probe_done` mail back; the core enforces the
// timeout. A probe whose answer never comes (a full outbox drops it) is given up after twice its timeout and counts as
// no result. Checks begin `interval` apart, plus a random share of `jitter_percent`, and never overlap; an
// endpoint that was never healthy is checked every second at least, so that a new task is found soon. Probes in flight
// are bounded. Endpoints with `healthCheck: none` are healthy at once.
//
// An endpoint lives as long as its slot and incarnation: over a reload it keeps its state. One that the current plan
// lacks is marked draining when every core has adopted that plan, and forgotten at `forget`, when no plan names it.
// The cores close idle connections to it at once, and what is left of its exchanges when its service's drain time is over.
//
// Outlier detection (ejector.h) says who is out beside that. The Checker is the only writer of the board. Control thread
// only; time is a value; all randomness comes from `seed`.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/health/ejector.h"
#include "control/health/state.h"
#include "src/base/types.h"
#include "src/contract/mail.h"
#include "src/contract/plan.h"

namespace ringway::health {

// What people want to know about an endpoint's health, beside its board word.
struct EndpointReport {
  u64 checks = 0, failures = 0;
  u32 run = 0;              // results alike in a row
  contract::Outcome last = contract::Outcome::success;
  u16 last_status = 0;
  u32 last_rtt_us = 0;
  bool checked = false;     // there was a result
  u64 events[contract::kOutcomeCount] = {};  // endpoint_event mails by Outcome
  Ejection ejection;        // the last one
  TimeUs since_us = 0;      // when it last became healthy or unhealthy
};

class Checker {
 public:
  // Sends a mail to a core; false when it cannot take it now.
  using Send = std::function<bool(u32 core, const contract::Mail&)>;
  // Tells people: endpoint id, what happened.
  using Tell = std::function<void(const contract::Endpoint&, Transition, const EndpointReport&)>;

  // `stats`: the cores' pages, for outlier detection's sweeps.
  Checker(contract::HealthBoard& board, u32 cores, Send send, u64 seed, Tell tell = {},
          std::vector<const contract::CoreStats*> stats = {});

  // `plan` is the current one from now on. New endpoints start unproven and are checked at once.
  void adopt(std::shared_ptr<const contract::Plan> plan, TimeUs now_us);
  // Every core has adopted the current plan: endpoints that it lacks are drained, for as long as their service said.
  void drain_removed(TimeUs now_us);
  // No core holds `gone` any more: its endpoints that no plan names now are forgotten.
  void forget(const contract::Plan& gone);
  // An operator takes an endpoint out of rotation or puts it back; holds over reloads. False: no such endpoint.
  bool drain(contract::EndpointSlot slot, bool on);

  // Takes probe_done and endpoint_event; true when the mail was one of them.
  bool on_mail(const contract::Mail& mail, TimeUs now_us);
  // Sends what is due. Returns when to call again at the latest.
  TimeUs poll(TimeUs now_us);

  // The next mail may take an endpoint out of rotation, or keep it in: it should not lie for long.
  bool in_suspense() const { return ejector_.suspects(); }

  // Any thread.
  EndpointReport report(contract::EndpointSlot slot) const;
  // Endpoints known, for tests: those of the plan and those not yet forgotten.
  std::size_t known() const { return endpoints_.size(); }
  std::size_t in_flight() const { return in_flight_.size(); }

 private:
  static constexpr std::size_t kInFlightMax = 1024;
  static constexpr u64 kUnprovenIntervalUs = 1'000'000;
  static constexpr u64 kFarUs = 3'600'000'000;

  struct Known {
    u32 incarnation = 0;
    u32 index = kNone32;    // in plan_->endpoints; kNone32: the plan lacks it
    u32 service = kNone32;  // in plan_->services
    u32 plans = 0;          // alive that name it
    HealthState state;
    bool removed = false;
    u64 drain_us = 0;       // of its service
    TimeUs over_us = 0;     // removed: when its exchanges end; 0: they have been told
    bool drained_by_operator = false;
    bool checked_before = false;  // its service had a check in the last plan
    TimeUs due_us = 0;      // 0: not scheduled
    TimeUs began_us = 0;    // the last check
    u64 probe = 0;          // in flight; 0: none
  };
  struct Flight {
    contract::EndpointSlot slot;
    TimeUs give_up_us;
  };

  const contract::HealthCheck& check_of(const Known& known) const { return plan_->services[known.service].health_check; }
  void schedule(contract::EndpointSlot slot, Known& known, TimeUs at_us);
  void unschedule(contract::EndpointSlot slot, Known& known);
  TimeUs next_check_us(const Known& known, TimeUs now_us);
  bool send_probe(contract::EndpointSlot slot, Known& known, TimeUs now_us);
  void on_result(const contract::Mail& mail, TimeUs now_us);
  void write(contract::EndpointSlot slot, const Known& known);
  void on_ejection(contract::EndpointSlot slot, const Ejection& ejection);
  void mail_cores(contract::MailKind kind, contract::EndpointSlot slot, const Known& known);
  TimeUs end_drains(TimeUs now_us);
  u64 random();

  contract::HealthBoard& board_;
  u32 cores_;
  Send send_;
  Tell tell_;
  u64 random_state_;
  std::shared_ptr<const contract::Plan> plan_;
  std::unordered_map<contract::EndpointSlot, Known> endpoints_;
  std::set<std::pair<TimeUs, contract::EndpointSlot>> due_;
  std::map<u64, Flight> in_flight_;  // by probe id
  u64 next_probe_ = 1;
  u32 next_core_ = 0;
  std::set<std::pair<TimeUs, contract::EndpointSlot>> over_;  // by Known::over_us
  std::deque<std::pair<u32, contract::Mail>> unsent_;         // mail that found a core's inbox full
  Ejector ejector_;
  mutable std::mutex reports_mutex_;
  std::unordered_map<contract::EndpointSlot, EndpointReport> reports_;
};

}  // namespace ringway::health
