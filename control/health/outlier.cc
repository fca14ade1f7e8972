#include "control/health/outlier.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ringway::health {

using contract::Outcome;

namespace {

// One failure more; a run that is long enough ends by being noticed. 0 is never long enough.
bool long_enough(u32& run, u32 threshold) {
  if (++run < threshold || threshold == 0) return false;
  run = 0;
  return true;
}

}  // namespace

std::vector<Outliers::Change> Outliers::configure(const contract::OutlierDetection& settings) {
  settings_ = settings;
  std::vector<Change> out;
  if (settings_.enabled) return out;
  for (auto& [host, state] : hosts_) {
    if (state.ejection.out) out.push_back({host, false});
    put_back(state);
    state.ejection.factor = 0;
  }
  return out;
}

void Outliers::remove(Host host) {
  const auto at = hosts_.find(host);
  if (at == hosts_.end()) return;
  if (at->second.ejection.out) --ejected_;
  hosts_.erase(at);
}

std::vector<Outliers::Host> Outliers::hosts() const {
  std::vector<Host> out;
  for (const auto& [host, state] : hosts_) out.push_back(host);
  return out;
}

bool Outliers::on_outcome(Host host, Outcome outcome, TimeUs now_us, u32 dice) {
  const auto at = hosts_.find(host);
  // What comes from one that is out was begun before, or by force: it says nothing about its return.
  if (at == hosts_.end() || !settings_.enabled || at->second.ejection.out) return false;
  State& s = at->second;
  const bool broken = outcome == Outcome::connect_failed || outcome == Outcome::timed_out || outcome == Outcome::reset;
  if (outcome == Outcome::success) {
    s.run_5xx = s.run_gateway = s.run_broken = 0;
    return false;
  }
  if (broken && settings_.split_local_origin_errors) {
    return long_enough(s.run_broken, settings_.consecutive_local_origin_failure) &&
           eject(host, EjectionCause::consecutive_local_origin_failure, now_us, dice);
  }
  s.run_broken = 0;
  bool out = false;
  if (broken || outcome == Outcome::gateway_error || outcome == Outcome::bad_response) {
    out = long_enough(s.run_gateway, settings_.consecutive_gateway_failure) &&
          eject(host, EjectionCause::consecutive_gateway_failure, now_us, dice);
  } else {
    s.run_gateway = 0;
  }
  return (long_enough(s.run_5xx, settings_.consecutive_5xx) && eject(host, EjectionCause::consecutive_5xx, now_us, dice)) || out;
}

bool Outliers::on_check(Host host, TimeUs began_us) {
  const auto at = hosts_.find(host);
  if (at == hosts_.end() || !settings_.uneject_on_health_check) return false;
  State& s = at->second;
  if (!s.ejection.out || began_us < s.ejection.since_us) return false;
  put_back(s);
  return true;
}

u32 Outliers::enforced_percent(EjectionCause cause) const {
  switch (cause) {
    case EjectionCause::none: return 0;
    case EjectionCause::consecutive_5xx: return settings_.enforcing_consecutive_5xx;
    case EjectionCause::consecutive_gateway_failure: return settings_.enforcing_consecutive_gateway_failure;
    case EjectionCause::consecutive_local_origin_failure: return settings_.enforcing_consecutive_local_origin_failure;
    case EjectionCause::success_rate: return settings_.enforcing_success_rate;
    case EjectionCause::local_origin_success_rate: return settings_.enforcing_local_origin_success_rate;
    case EjectionCause::failure_percentage: return settings_.enforcing_failure_percentage;
    case EjectionCause::failure_percentage_local_origin: return settings_.enforcing_failure_percentage_local_origin;
  }
  return 0;
}

bool Outliers::eject(Host host, EjectionCause cause, TimeUs now_us, u32 dice) {
  State& s = hosts_.at(host);
  Ejection& e = s.ejection;
  const bool room = ejected_ == 0 || u64{ejected_ + 1} * 100 <= u64{settings_.max_ejection_percent} * hosts_.size();
  if (e.out || !room || dice >= enforced_percent(cause)) return false;
  const u64 base_us = settings_.base_ejection_us;
  const u64 max_us = std::max(settings_.max_ejection_us, base_us);
  // Beyond the factor that reaches the maximum it would only take longer to shrink again.
  if (base_us * e.factor < max_us) ++e.factor;
  e.cause = cause;
  e.out = s.was_out = true;
  e.since_us = now_us;
  e.until_us = now_us + std::min(base_us * e.factor, max_us);
  ++e.times;
  ++ejected_;
  return true;
}

// Counts begin anew, or the first failure after the return might be the last one of a run from before.
void Outliers::put_back(State& s) {
  if (s.ejection.out) --ejected_;
  s.ejection.out = false;
  s.run_5xx = s.run_gateway = s.run_broken = 0;
}

std::vector<Outliers::Change> Outliers::expire(TimeUs now_us) {
  std::vector<Change> out;
  for (auto& [host, state] : hosts_) {
    if (!state.ejection.out || state.ejection.until_us > now_us) continue;
    put_back(state);
    out.push_back({host, false});
  }
  return out;
}

TimeUs Outliers::next_return_us() const {
  TimeUs next = ~TimeUs{0};
  if (ejected_ == 0) return next;
  for (const auto& [host, state] : hosts_)
    if (state.ejection.out) next = std::min(next, state.ejection.until_us);
  return next;
}

bool Outliers::suspected(Host host) const {
  const auto at = hosts_.find(host);
  if (at == hosts_.end() || at->second.ejection.out) return false;
  return (at->second.run_5xx | at->second.run_gateway | at->second.run_broken) != 0;
}

std::vector<Outliers::Change> Outliers::sweep(const std::map<Host, Interval>& intervals, TimeUs now_us,
                                              const std::function<u32()>& dice) {
  std::vector<Change> out;
  if (!settings_.enabled) return out;
  for (auto& [host, s] : hosts_) {
    if (s.ejection.out) continue;
    if (!std::exchange(s.was_out, false) && s.ejection.factor != 0) --s.ejection.factor;
  }
  std::vector<std::pair<Host, EjectionCause>> outlying;
  judge_rates(intervals, false, outlying);
  if (settings_.split_local_origin_errors) judge_rates(intervals, true, outlying);
  for (const auto& [host, cause] : outlying)
    if (eject(host, cause, now_us, dice())) out.push_back({host, true});
  return out;
}

// `local`: of what broke before an answer alone, for which every answer is a success.
void Outliers::judge_rates(const std::map<Host, Interval>& intervals, bool local,
                           std::vector<std::pair<Host, EjectionCause>>& out) const {
  struct Rate {
    Host host;
    u64 volume;
    double percent;  // of success
  };
  std::vector<Rate> rated, shares;
  for (const auto& [host, state] : hosts_) {
    const auto at = intervals.find(host);
    if (state.ejection.out || at == intervals.end()) continue;
    const Interval& i = at->second;
    const u64 good = local ? i.good + i.bad : i.good;
    const u64 failed = local ? i.broken : settings_.split_local_origin_errors ? i.bad : i.bad + i.broken;
    const u64 volume = good + failed;
    if (volume == 0) continue;
    const Rate rate{host, volume, 100.0 * static_cast<double>(good) / static_cast<double>(volume)};
    if (volume >= settings_.success_rate_request_volume) rated.push_back(rate);
    if (volume >= settings_.failure_percentage_request_volume) shares.push_back(rate);
  }
  if (rated.size() >= settings_.success_rate_minimum_hosts) {
    const double count = static_cast<double>(rated.size());
    double sum = 0, squares = 0;
    for (const Rate& r : rated) sum += r.percent;
    const double mean = sum / count;
    for (const Rate& r : rated) squares += (r.percent - mean) * (r.percent - mean);
    const double least = mean - std::sqrt(squares / count) * static_cast<double>(settings_.success_rate_stdev_factor) / 1000;
    for (const Rate& r : rated)
      if (r.percent < least) out.emplace_back(r.host, local ? EjectionCause::local_origin_success_rate : EjectionCause::success_rate);
  }
  if (shares.size() >= settings_.failure_percentage_minimum_hosts) {
    for (const Rate& r : shares)
      if (100.0 - r.percent >= static_cast<double>(settings_.failure_percentage_threshold))
        out.emplace_back(r.host, local ? EjectionCause::failure_percentage_local_origin : EjectionCause::failure_percentage);
  }
}

}  // namespace ringway::health
