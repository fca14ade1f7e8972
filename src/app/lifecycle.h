#pragma once
// Lifecycle: the gateway's control thread, from a checked configuration to exit.
//
// Brings the dataplane up (EAL, Gateway), publishes the first plan, then turns a loop: signals, file changes, requests
// of the admin server, mail from the cores, health checks. Reload is one function whoever asks for it: SIGHUP, a
// changed file, `ringwayctl reload`; a file with problems changes nothing. SIGTERM or SIGINT drains: no new
// connections, `Connection: close`, a deadline; a second one stops at once. With a health endpoint that fails first, for as
// long as whoever balances over gateways needs to see it.
//
// The caller's thread becomes the control thread (EAL's main lcore). The admin server's thread only posts to it.

#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "control/admin/admin.h"
#include "control/compile/compile.h"
#include "control/config/config.h"
#include "control/health/checker.h"
#include "control/publish/publisher.h"
#include "control/registry/registry.h"
#include "control/shift/shifter.h"
#include "src/app/explain.h"
#include "src/app/gateway.h"
#include "src/app/watch.h"

namespace ringway::app {

class Lifecycle {
 public:
  explicit Lifecycle(config::Config config);
  ~Lifecycle();
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;

  // Everything, until the gateway has stopped. The process's exit status; what went wrong has been logged.
  int run();

 private:
  enum class State : u8 { starting, serving, draining, stopping };

  bool start();
  bool publish_plan(const config::Config& config, std::vector<config::Problem>& problems);
  void make_checker();
  void make_shifter();
  void open_control();
  bool open_admin();
  void loop();
  void keep_time();
  void turn(TimeUs now_us);
  void read_signals();
  void read_mail(TimeUs now_us);
  void run_posted();
  void shut_down();

  admin::ReloadAnswer reload(const char* why);
  void begin_drain(const char* why);
  void close_connections();
  void say_ready();
  void begin_stop();
  bool drain_endpoint(const std::string& id, bool undo);
  admin::Json status() const;
  admin::Sources sources();
  std::vector<admin::PortNumbers> port_numbers() const;
  // Runs `f` on the control thread and waits for it; for the admin server's thread.
  template <class F>
  auto on_control(F f) -> decltype(f());
  static TimeUs now_us();

  config::Config config_;  // in force
  compile::VipMap vips_;
  registry::Registry registry_;
  u64 generation_ = 0;
  TimeUs started_us_;
  std::string prefix_;
  std::atomic<State> state_ = State::starting;
  bool eal_ = false;
  int exit_status_ = 0;

  contract::ShiftBoard shifts_;  // outlives the plans that point to it
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<publish::Publisher> publisher_;
  std::unique_ptr<health::Checker> checker_;
  std::unique_ptr<shift::Shifter> shifter_;
  std::unique_ptr<Explain> explain_;
  std::unique_ptr<admin::Admin> admin_;
  std::unique_ptr<admin::UnixHttp> server_;
  std::unique_ptr<FileWatch> watch_;
  int signals_ = -1;
  int wake_ = -1;
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
  bool takes_posts_ = false;  // under posted_mutex_

  std::atomic<bool> all_adopted_{false};
  u64 anchored_ns_ = 0;
  bool told_to_fail_ = false;     // by an operator: the health endpoint
  TimeUs close_at_us_ = 0;        // draining: when connections are told to close; 0: they have been
  u64 drain_owed_ = 0;            // cores whose inbox had no room for it
  u32 drained_cores_ = 0;
  TimeUs drain_deadline_us_ = 0;
};

// Signals that the control thread reads from a descriptor: blocked before any thread is made.
void block_signals();

}  // namespace ringway::app
