#pragma once
// Shifter: the deployments of all services: it reads what the cores counted, lets each Shift decide, and writes the ShiftBoard.
//
// A deployment lives as long as its service names the same new version: over a reload it keeps its stage, with new
// settings. After a restart of the gateway it begins anew, with test traffic only. It is the only writer of the board.
// Control thread only; time is a value.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/shift/shift.h"
#include "src/base/hist.h"
#include "src/base/types.h"
#include "src/contract/plan.h"
#include "src/contract/stats.h"

namespace ringway::shift {

// One deployment, for people.
struct Report {
  std::string service, green;
  Stage stage = Stage::test_traffic_shift;
  bool paused = false;
  double share_percent = 0;
  std::string reason;              // of a roll-back
  u64 next_step_in_us = ~u64{0};   // all ones: it waits for a command, or is over
  Seen seen;                       // since the step began
};

class Shifter {
 public:
  // Told of every step and roll-back.
  using Tell = std::function<void(const Report&)>;

  Shifter(contract::ShiftBoard& board, std::vector<const contract::CoreStats*> cores, Tell tell = {});

  void adopt(std::shared_ptr<const contract::Plan> plan, TimeUs now_us);
  // Looks at every deployment; cheap enough for each turn of the control thread.
  void poll(TimeUs now_us);

  enum class Verb : u8 { start, advance, pause, resume, rollback, alarm };
  // Empty when done, else why not. `reason` is that of a roll-back, where one is known.
  std::string command(const std::string& service, Verb verb, TimeUs now_us, const std::string& reason = {});
  std::vector<Report> reports(TimeUs now_us) const;

 private:
  struct Known {
    u32 slot = 0, green_slot = 0;
    std::string green;
    Shift shift;
    // Of the new version, when the step began.
    u64 requests = 0, failures = 0;
    HistSnapshot latency;
  };

  void begin_step(const std::string& service, Known& known, TimeUs now_us);
  HistSnapshot latency(u32 slot) const;
  u64 sum(u32 slot, bool failures) const;
  Seen seen(const Known& known, bool with_latency) const;
  Report report(const std::string& service, const Known& known, TimeUs now_us) const;

  contract::ShiftBoard& board_;
  std::vector<const contract::CoreStats*> cores_;
  Tell tell_;
  std::map<std::string, std::unique_ptr<Known>> known_;  // by service
};

}  // namespace ringway::shift
