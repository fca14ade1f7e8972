#pragma once
// Gateway: the cores and what they stand on, put together from the configuration. Pools, ports, queues, steering, rings
// and one Worker per core; made once, before traffic, on the control thread, and taken apart in reverse order.
//
// After `launch` the workers belong to their cores; control speaks to them by `inbox`/`outbox` only.

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/trace/memory.h"
#include "dataplane/core/worker.h"
#include "dataplane/gate/neighbours.h"
#include "dataplane/port/steering.h"
#include "src/app/kernel_tap.h"
#include "src/contract/connections.h"
#include "src/contract/health.h"
#include "src/contract/mail.h"
#include "src/contract/stats.h"

namespace ringway::app {

class Gateway {
 public:
  // EAL runs. The error is a sentence: what, where, how to mend it.
  static std::expected<std::unique_ptr<Gateway>, std::string> build(const config::GatewayConfig& config);
  // The cores must have left their loops (`join`).
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Starts every worker on its lcore. False with `error` set when an lcore refuses.
  bool launch(std::string& error);
  // Waits for every worker to leave its loop.
  void join();

  u32 cores() const { return static_cast<u32>(cores_.size()); }
  core::Inbox& inbox(u32 core) { return *cores_[core]->inbox; }
  core::Outbox& outbox(u32 core) { return *cores_[core]->outbox; }
  contract::CoreStats& stats(u32 core) { return *cores_[core]->stats; }
  contract::ConnectionPage& connections(u32 core) { return *cores_[core]->connections; }
  contract::HealthBoard& board() { return *board_; }
  u64 tsc_hz() const { return tsc_hz_; }
  // What the cores and control record, and where. Any thread reads; `record` is for one thread.
  trace::RecorderMemory& recorded() { return *recorded_; }
  contract::Recorder& recorder() { return recorder_; }  // control's own
  void record(u32 groups);
  u32 recording() const { return recorder_.groups(); }

  // Every opened device, in the order of the configured ports.
  const std::vector<std::unique_ptr<port::Device>>& devices() const { return devices_; }
  const port::Steering& steering() const { return *steering_; }

 private:
  struct Core {
    std::unique_ptr<contract::CoreStats> stats = std::make_unique<contract::CoreStats>();
    std::unique_ptr<contract::ConnectionPage> connections = std::make_unique<contract::ConnectionPage>();
    std::unique_ptr<core::Inbox> inbox;
    std::unique_ptr<core::Outbox> outbox;
    std::unique_ptr<gate::HandoverRing> handover;
    std::unique_ptr<mbuf::Pools> pools;
    std::vector<std::unique_ptr<port::Queue>> queues;  // by port index
    std::unique_ptr<core::Worker> worker;
    u64 tsc_hz = 0;
  };

  Gateway() = default;
  std::string make_pools(const config::GatewayConfig& config);
  std::string make_recorder(const config::RecorderConfig& config);
  std::string open_ports(const config::GatewayConfig& config);
  std::string open_port(const config::PortConfig& port, bool tso);
  void make_workers(const config::GatewayConfig& config);
  tcp::EngineConfig engine_config(const config::GatewayConfig& config, u32 core) const;

  u64 tsc_hz_ = 0;
  lookup::RssKey rss_key_{};  // random: who knows it can aim at one core
  bool launched_ = false;
  std::unique_ptr<trace::RecorderMemory> recorded_;
  contract::Recorder recorder_;
  std::unique_ptr<contract::HealthBoard> board_ = std::make_unique<contract::HealthBoard>();
  std::unique_ptr<gate::Neighbours> neighbours_;
  std::vector<std::unique_ptr<Core>> cores_;
  std::vector<std::unique_ptr<port::Device>> devices_;
  std::unique_ptr<port::Steering> steering_;
  std::unique_ptr<KernelTap> tap_;  // null: what is not ours is dropped
};

}  // namespace ringway::app
