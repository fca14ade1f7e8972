#pragma once
// Outliers: which endpoints of one service are left out because they serve badly, and for how long. Decisions alone: time,
// outcomes, counts and dice are values; there is no clock, no thread and no randomness here.
//
// The rules are Envoy's (envoy.config.cluster.v3.OutlierDetection):
//  - so many failures in a row eject at once; any success starts the count again. 502, 503 and 504 are counted apart as
//    gateway failures too. What breaks before an answer (no connection, timeout, reset) counts as a 503 would, unless local
//    origin errors are split off: then it has a count of its own, which any answer ends.
//  - at each sweep an endpoint whose success rate lies below the mean by so many standard deviations is ejected, and one
//    that fails too large a share; both only among enough endpoints with enough requests.
//  - an ejection lasts base x how often it came, at most max; the factor shrinks by one at each sweep that finds the
//    endpoint in. Detecting is one thing, enforcing another: each rule has a percentage.
//  - at most max_ejection_percent of the endpoints are out, but one may always be (Envoy: always_eject_one_host).
// Other than in Envoy an ejection ends when it is over, not at the sweep after that.
//
// Belongs to control/health/ejector.h. Endpoints are named by a number of the caller's.

#include <array>
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "src/base/types.h"
#include "src/contract/mail.h"
#include "src/contract/outlier.h"

namespace ringway::health {

enum class EjectionCause : u8 {
  none, consecutive_5xx, consecutive_gateway_failure, consecutive_local_origin_failure, success_rate,
  local_origin_success_rate, failure_percentage, failure_percentage_local_origin
};
inline constexpr std::array<std::string_view, 8> kEjectionCauseNames{
    "none", "consecutive5xx", "consecutiveGatewayFailure", "consecutiveLocalOriginFailure", "successRate",
    "localOriginSuccessRate", "failurePercentage", "failurePercentageLocalOrigin"};

// What one endpoint did between two sweeps.
struct Interval {
  u64 good = 0;    // answers that are no failures
  u64 bad = 0;     // answers that are: 5xx, failing gRPC, malformed
  u64 broken = 0;  // no connection, timeout, reset
};

struct Ejection {
  EjectionCause cause = EjectionCause::none;  // of the last one
  u32 times = 0;       // since the endpoint is known
  u32 factor = 0;      // of the base time: how long the last one is, and one less of the next
  bool out = false;
  TimeUs since_us = 0;
  TimeUs until_us = 0;
};

class Outliers {
 public:
  using Host = u32;
  struct Change {
    Host host = 0;
    bool ejected = false;  // or returned
    friend bool operator==(const Change&, const Change&) = default;
  };

  // From now on. Switching off returns everybody; else what is known stays.
  std::vector<Change> configure(const contract::OutlierDetection& settings);
  void add(Host host) { hosts_.try_emplace(host); }
  void remove(Host host);
  std::vector<Host> hosts() const;

  // One exchange came to an end. `dice`, 0 to 99, decides about enforcing. True: the endpoint is ejected by this.
  bool on_outcome(Host host, contract::Outcome outcome, TimeUs now_us, u32 dice);
  // An active check succeeded that began at `began_us`. True: the endpoint is back by this.
  bool on_check(Host host, TimeUs began_us);
  // One interval has passed, in which the endpoints did this. `dice` is thrown for each ejection.
  std::vector<Change> sweep(const std::map<Host, Interval>& intervals, TimeUs now_us, const std::function<u32()>& dice);
  // Those whose time is over.
  std::vector<Change> expire(TimeUs now_us);
  TimeUs next_return_us() const;  // ~0: nobody is out

  // Failures are being counted: successes are of interest.
  bool suspected(Host host) const;
  const Ejection& ejection(Host host) const { return hosts_.at(host).ejection; }
  const contract::OutlierDetection& settings() const { return settings_; }
  u32 ejected() const { return ejected_; }

 private:
  struct State {
    u32 run_5xx = 0, run_gateway = 0, run_broken = 0;  // failures in a row
    bool was_out = false;                              // since the last sweep
    Ejection ejection;
  };
  bool eject(Host host, EjectionCause cause, TimeUs now_us, u32 dice);
  void put_back(State& state);
  u32 enforced_percent(EjectionCause cause) const;
  void judge_rates(const std::map<Host, Interval>& intervals, bool local, std::vector<std::pair<Host, EjectionCause>>& out) const;

  contract::OutlierDetection settings_;
  std::map<Host, State> hosts_;
  u32 ejected_ = 0;
};

}  // namespace ringway::health
