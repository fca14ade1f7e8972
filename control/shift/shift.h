#pragma once
// Shift: brings a new version of a service in, step by step: a decision without clock, thread or counters.
//
// Strategies, defaults and names of stages are those of an ECS deployment (deploymentConfiguration; service-connect
// deployments BLUE_GREEN, CANARY, LINEAR): first only marked test traffic reaches the new version, then a share of the
// production traffic that grows by steps with a time to bake after each, then all of it, which bakes once more. An alarm
// takes everything back to the old version at once, in any stage. Time and what was seen of the new version are arguments.

#include <optional>
#include <string>

#include "src/base/types.h"
#include "src/contract/shift.h"

namespace ringway::shift {

using contract::Deployment;
using contract::ShiftStrategy;

// Of the new version, since the present step began.
struct Seen {
  u64 requests = 0;
  u64 failures = 0;      // answered 5xx, by it or for it
  u64 latency_p99_us = 0;
};

enum class Stage : u8 { test_traffic_shift, production_traffic_shift, bake_time, done, rolled_back };
inline constexpr const char* kStageNames[] = {"TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "DONE", "ROLLED_BACK"};

class Shift {
 public:
  Shift(const Deployment& plan, TimeUs now_us) : plan_(plan), step_began_us_(now_us) {}

  Stage stage() const { return stage_; }
  bool paused() const { return paused_; }
  const std::string& reason() const { return reason_; }  // of a roll-back
  // Of the production traffic, in ten-thousandths.
  u32 share() const { return share_; }
  // What test traffic gets: the new version, unless it was rolled back.
  bool takes_test_traffic() const { return stage_ != Stage::rolled_back; }
  TimeUs step_began_us() const { return step_began_us_; }
  // When the next step is due; nothing while it waits for a command or is over.
  std::optional<TimeUs> next_step_us() const;
  bool wants_latency() const { return plan_.latency_p99_us != 0; }
  bool over() const { return stage_ == Stage::done || stage_ == Stage::rolled_back; }

  // What time and alarm bring. True: stage or share changed, and with them a new step began.
  bool poll(TimeUs now_us, const Seen& seen);

  // Commands. False, and nothing happens, where they make no sense.
  bool start(TimeUs now_us);     // also again, after a roll-back
  bool advance(TimeUs now_us);   // the next step now
  bool pause();
  bool resume(TimeUs now_us);    // the present step bakes from its beginning
  bool roll_back(TimeUs now_us, std::string reason);
  bool ring(TimeUs now_us, std::string reason);  // somebody else's alarm: rolls back, but nothing that is over

  // New settings; what has been reached stays.
  void change(const Deployment& plan) { plan_ = plan; }

 private:
  void step(TimeUs now_us);
  std::optional<std::string> alarm(const Seen& seen) const;

  Deployment plan_;
  Stage stage_ = Stage::test_traffic_shift;
  bool paused_ = false;
  u32 share_ = 0;
  TimeUs step_began_us_;
  std::string reason_;
};

}  // namespace ringway::shift
