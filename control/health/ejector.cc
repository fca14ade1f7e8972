#include "control/health/ejector.h"

#include <algorithm>

namespace ringway::health {

using contract::AppProtocol;
using contract::EndpointSlot;
using contract::HealthCheckKind;

Ejector::Ejector(contract::HealthBoard& board, std::vector<const contract::CoreStats*> stats, u64 seed, Changed changed)
    : board_(board), stats_(std::move(stats)), random_state_(seed | 1), changed_(std::move(changed)) {}

u64 Ejector::random() {  // xorshift64*
  random_state_ ^= random_state_ >> 12;
  random_state_ ^= random_state_ << 25;
  random_state_ ^= random_state_ >> 27;
  return random_state_ * 0x2545'f491'4f6c'dd1dull >> 16;
}

namespace {

// Whether a check that succeeds shows what exchanges failed to show: an open port says nothing about answers.
bool check_proves(const contract::Service& service) {
  const HealthCheckKind kind = service.health_check.kind;
  return kind == HealthCheckKind::http || kind == HealthCheckKind::grpc ||
         (kind == HealthCheckKind::tcp && service.app_protocol == AppProtocol::tcp);
}

}  // namespace

void Ejector::adopt(const contract::Plan& plan, TimeUs now_us) {
  std::vector<std::pair<Group*, Changes>> changes;
  for (const contract::Service& service : plan.services) {
    std::unique_ptr<Group>& group = groups_[service.slot];
    if (group == nullptr) group = std::make_unique<Group>();
    // Sweeps of many services are spread over the interval.
    const u64 interval_us = service.outlier.interval_us;
    if (group->next_sweep_us == 0 || group->next_sweep_us > now_us + interval_us) {
      group->next_sweep_us = now_us + interval_us - random() % (interval_us / 4 + 1);
    }
    group->generation = plan.generation;
    group->check_proves = check_proves(service);
    const bool begins = !group->outliers.settings().enabled;
    changes.emplace_back(group.get(), group->outliers.configure(service.outlier));
    for (u32 i = service.first_endpoint; i < service.first_endpoint + service.endpoint_count; i++) {
      const contract::Endpoint& endpoint = plan.endpoints[i];
      Seat& seat = seats_[endpoint.slot];
      if (seat.group != nullptr && (seat.group != group.get() || seat.incarnation != endpoint.incarnation)) {
        leave(endpoint.slot, seat);
        seat = Seat{};
      }
      if (seat.group == nullptr || begins) seat.before = totals(endpoint.slot);
      seat.group = group.get();
      seat.incarnation = endpoint.incarnation;
      seat.generation = plan.generation;
      group->outliers.add(endpoint.slot);
    }
  }
  for (auto at = seats_.begin(); at != seats_.end();) {
    if (at->second.generation == plan.generation) {
      mark(at->first, at->second);
      ++at;
      continue;
    }
    leave(at->first, at->second);
    at = seats_.erase(at);
  }
  for (const auto& [group, list] : changes) report(*group, list);
  next_us_ = 0;
  std::erase_if(groups_, [&](const auto& entry) { return entry.second->generation != plan.generation; });
}

// The endpoint has left its service: nothing is remembered.
void Ejector::leave(EndpointSlot slot, Seat& seat) {
  seat.group->outliers.remove(slot);
  mark(slot, seat);
}

// Brings the mark on the board up to date.
void Ejector::mark(EndpointSlot slot, Seat& seat) {
  const bool now = seat.group->outliers.suspected(slot);
  if (now == seat.suspected) return;
  seat.suspected = now;
  now ? ++suspected_ : --suspected_;
  board_.suspect(slot, now);
}

void Ejector::report(const Group& group, const Changes& changes) {
  for (const Outliers::Change& change : changes) {
    const auto at = seats_.find(change.host);
    if (at == seats_.end() || at->second.group != &group) continue;
    mark(change.host, at->second);
    next_us_ = 0;
    changed_(change.host, group.outliers.ejection(change.host));
  }
}

void Ejector::on_outcome(EndpointSlot slot, contract::Outcome outcome, TimeUs now_us) {
  const auto at = seats_.find(slot);
  if (at == seats_.end()) return;
  Seat& seat = at->second;
  const bool out = seat.group->outliers.on_outcome(slot, outcome, now_us, dice());
  mark(slot, seat);
  if (out) report(*seat.group, {{slot, true}});
}

void Ejector::on_check(EndpointSlot slot, TimeUs began_us) {
  const auto at = seats_.find(slot);
  if (at == seats_.end() || !at->second.group->check_proves) return;
  if (at->second.group->outliers.on_check(slot, began_us)) report(*at->second.group, {{slot, false}});
}

Interval Ejector::totals(EndpointSlot slot) const {
  Interval sum;
  for (const contract::CoreStats* core : stats_) {
    const contract::EndpointStats& e = core->endpoints[slot];
    // Cells of a core that works are read one after the other: the difference may be off by what happens meanwhile.
    const u64 failing = e.grpc_failures.get();
    for (u32 k = 2; k < 5; k++) sum.good += e.responses[k].get();
    sum.good -= std::min(sum.good, failing);
    sum.bad += e.bad_answers.get();
    sum.broken += e.broken.get();
  }
  return sum;
}

void Ejector::sweep(Group& group, TimeUs now_us) {
  const auto since = [](u64 now, u64 before) { return now > before ? now - before : 0; };
  std::map<Outliers::Host, Interval> intervals;
  for (const Outliers::Host host : group.outliers.hosts()) {
    Seat& seat = seats_.at(host);
    const Interval now = totals(host);
    intervals[host] = {since(now.good, seat.before.good), since(now.bad, seat.before.bad), since(now.broken, seat.before.broken)};
    seat.before = now;
  }
  report(group, group.outliers.sweep(intervals, now_us, [this] { return dice(); }));
}

TimeUs Ejector::poll(TimeUs now_us) {
  if (now_us < next_us_) return next_us_;
  TimeUs next_us = ~TimeUs{0};
  for (const auto& [slot, group] : groups_) {
    if (!group->outliers.settings().enabled) continue;
    if (group->outliers.next_return_us() <= now_us) report(*group, group->outliers.expire(now_us));
    if (group->next_sweep_us <= now_us) {
      sweep(*group, now_us);
      group->next_sweep_us = now_us + group->outliers.settings().interval_us;
    }
    next_us = std::min({next_us, group->next_sweep_us, group->outliers.next_return_us()});
  }
  return next_us_ = next_us;
}

const Ejection* Ejector::ejection(EndpointSlot slot) const {
  const auto at = seats_.find(slot);
  return at == seats_.end() ? nullptr : &at->second.group->outliers.ejection(slot);
}

}  // namespace ringway::health
