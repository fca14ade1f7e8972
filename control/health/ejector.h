#pragma once
// Ejector: outlier detection of all services. Gives each service's Outliers what the cores have seen, and tells the Checker
// whom to take out and whom to take back.
//
// Failures come as endpoint_event mail from the cores, in the order of each; the next success after a failure comes the same
// way, because whoever has failures in a row is marked as suspected on the HealthBoard. What decides at the sweeps is read
// from the cores' stats pages, as differences since the sweep before. Between a first failure and its mark lies one turn of
// the control loop: successes on other cores in that time are not heard of.
//
// Control thread only; time is a value, all randomness comes from `seed`.

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "control/health/outlier.h"
#include "src/base/types.h"
#include "src/contract/mail.h"
#include "src/contract/plan.h"
#include "src/contract/stats.h"

namespace ringway::health {

class Ejector {
 public:
  // An endpoint is out, or back.
  using Changed = std::function<void(contract::EndpointSlot, const Ejection&)>;

  // `stats`: the pages of every core. They outlive the Ejector, as the board does.
  Ejector(contract::HealthBoard& board, std::vector<const contract::CoreStats*> stats, u64 seed, Changed changed);

  // What is known of endpoints that stay is kept. New ones, and those with a new owner, begin anew.
  void adopt(const contract::Plan& plan, TimeUs now_us);
  void on_outcome(contract::EndpointSlot slot, contract::Outcome outcome, TimeUs now_us);
  // An active check of that kind succeeded that began at `began_us`.
  void on_check(contract::EndpointSlot slot, TimeUs began_us);
  // Returns when to call again at the latest.
  TimeUs poll(TimeUs now_us);

  const Ejection* ejection(contract::EndpointSlot slot) const;  // null: not known
  // Somebody has failures in a row: the next mail may decide.
  bool suspects() const { return suspected_ > 0; }

 private:
  struct Group {  // one service
    Outliers outliers;
    TimeUs next_sweep_us = 0;
    u64 generation = 0;  // of the last plan that had it
    bool check_proves = false;
  };
  struct Seat {  // one endpoint
    Group* group = nullptr;
    u32 incarnation = 0;
    u64 generation = 0;
    bool suspected = false;
    Interval before;  // totals at the last sweep
  };
  using Changes = std::vector<Outliers::Change>;

  void report(const Group& group, const Changes& changes);
  void mark(contract::EndpointSlot slot, Seat& seat);
  void leave(contract::EndpointSlot slot, Seat& seat);
  Interval totals(contract::EndpointSlot slot) const;
  void sweep(Group& group, TimeUs now_us);
  u64 random();
  u32 dice() { return static_cast<u32>(random() % 100); }

  contract::HealthBoard& board_;
  std::vector<const contract::CoreStats*> stats_;
  u64 random_state_;
  Changed changed_;
  std::map<u32, std::unique_ptr<Group>> groups_;  // by service slot
  std::map<contract::EndpointSlot, Seat> seats_;
  u32 suspected_ = 0;
  TimeUs next_us_ = 0;  // when there is something to do at the earliest
};

}  // namespace ringway::health
