#pragma once
// Worker: one poll core. Owns the rooms of its core (gate, tcp, relay, router) and calls them in a fixed order:
//
//   receive -> gate -> tcp input -> timers -> relay -> tcp output -> gate -> transmit -> one item of housekeeping
//
// `poll(now_us)` is one turn of that loop with the time as a value, so that tests and benchmarks drive it with a fake
// clock; `run` calls it for ever with the CPU's clock and books every tick. Work per poll is bounded: one burst per
// queue, a bounded number of timers, messages and events' packets. After construction nothing allocates or blocks; the
// idle policy `backoff` sleeps only when several hundred polls in a row found nothing to do.
//
// Control and worker meet in the inbox and outbox (contract/mail.h), the HealthBoard, and the stats pages.

#include <algorithm>
#include <memory>
#include <vector>

#include "dataplane/gate/gate.h"
#include "dataplane/mbuf/pools.h"
#include "dataplane/port/device.h"
#include "dataplane/relay/relay.h"
#include "dataplane/route/router.h"
#include "dataplane/tcp/engine.h"
#include "src/base/clock.h"
#include "src/base/types.h"
#include "src/contract/connections.h"
#include "src/contract/health.h"
#include "src/contract/mail.h"
#include "src/contract/plan.h"
#include "src/contract/ring.h"
#include "src/contract/stats.h"
#include "src/lookup/address_book.h"

namespace ringway::core {

using Inbox = contract::Ring<contract::Mail>;
using Outbox = contract::Ring<contract::Mail>;

enum class IdlePolicy : u8 { spin, backoff };

// How long a core sleeps that had nothing to do for `idle_us`: a small part of that. Between the bursts of a connection it
// is idle for a round trip, which the sleep makes longer.
constexpr u32 idle_sleep_us(u64 idle_us) { return static_cast<u32>(std::clamp<u64>(idle_us / 32, 20, 250)); }

struct WorkerConfig {
  u32 core = 0;
  IdlePolicy idle = IdlePolicy::spin;
  mbuf::Pools* pools = nullptr;
  std::vector<port::Queue*> queues;        // by port index
  const contract::HealthBoard* board = nullptr;
  contract::CoreStats* stats = nullptr;
  std::vector<const contract::CoreStats*> all_stats;  // of every core, for limits and counts over all of them; empty: one core
  contract::ConnectionPage* connections = nullptr;  // sample for the admin tools; may be null
  Inbox* inbox = nullptr;
  Outbox* outbox = nullptr;
  gate::Neighbours* neighbours = nullptr;
  const port::Steering* steering = nullptr;  // null: one core
  std::vector<gate::HandoverRing*> handover; // by core
  gate::HandoverRing* punt = nullptr;        // to the kernel tap
  gate::HandoverRing* from_kernel = nullptr; // frames to send as they are, or gate::kToFree; core 0's
  http::H2EngineConfig h2;
  tcp::EngineConfig tcp;                     // caps, port slice and secrets of this core included
  u64 seed = 1;
};

class Worker {
 public:
  Worker(const WorkerConfig& config, TimeUs now_us);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // One turn. Returns whether there was anything to do.
  bool poll(TimeUs now_us);
  // Polls until a `stop` mail. `hz`: ticks of read_tsc per second.
  void run(u64 hz);

  bool stopped() const { return stopped_; }
  const tcp::Engine& engine() const { return engine_; }
  const contract::Plan* plan() const { return plan_; }

 private:
  static constexpr u32 kTimersPerPoll = 64;
  static constexpr u32 kMailPerPoll = 4;
  static constexpr u32 kOldPlansMax = 64;

  u32 receive(TimeUs now_us);
  void input(std::span<mbuf::Pkt> packets, u32 port, TimeUs now_us, bool owned);
  u32 transmit(TimeUs now_us);
  u32 pass_from_kernel();
  u32 read_mail(TimeUs now_us);
  void adopt(const contract::Plan& plan, TimeUs now_us);
  bool listen(const contract::Plan* before, const contract::Plan& now);
  bool tell(contract::MailKind kind, const contract::Plan* plan);
  void housekeeping(TimeUs now_us);
  void retire_plans();
  void begin_drain(TimeUs deadline_us);
  void finish_drain(TimeUs now_us);
  void publish_gauges();
  void sample_connections();
  bool back_pressured() const;

  WorkerConfig config_;
  contract::CoreStats& stats_;
  mbuf::Pools& pools_;
  lookup::AddressBook book_;
  gate::Gate gate_;
  tcp::Engine engine_;
  route::Router router_;
  relay::Relay relay_;
  std::unique_ptr<tcp::OutBatch> out_;
  std::array<gate::Segment, contract::kBurstMax> segments_;  // of the burst at hand; the gate fills them whole

  const contract::Plan* plan_ = nullptr;
  std::vector<const contract::Plan*> old_plans_;  // adopted before, not yet retired
  contract::Mail held_mail_;       // an adoption that waits for room in old_plans_
  bool holds_mail_ = false;
  bool owes_adopted_ = false;
  bool draining_ = false;
  bool owes_drained_ = false;
  bool stopped_ = false;
  TimeUs drain_deadline_us_ = 0;
  // Housekeeping: one duty per poll, in an order that is shuffled every round, so that no two cores fall into step.
  enum class Duty : u8 { neighbours, gauges, plans, connections, drain };
  std::array<Duty, 5> duties_{Duty::neighbours, Duty::gauges, Duty::plans, Duty::connections, Duty::drain};
  u32 next_duty_ = 0;
  u64 shuffle_state_;
  u32 gauge_rounds_ = 0;
  u32 sample_place_ = 0;  // where the connection sample goes on
  u32 sample_rows_ = 0;
};

}  // namespace ringway::core
