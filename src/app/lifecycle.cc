#include "src/app/lifecycle.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <chrono>

#include <spdlog/spdlog.h>

#include "control/config/load.h"
#include "dataplane/gate/ingress.h"
#include "src/app/eal.h"
#include "src/app/reload.h"
#include "src/app/telemetry.h"

namespace ringway::app {

using contract::Mail;
using contract::MailKind;

namespace {

constexpr int kTurnMs = 2;                // how long mail from a core may lie
constexpr int kSuspenseMs = 1;            // and while the next one may take an endpoint out
constexpr u32 kMailsPerTurn = 4096;       // of one core
constexpr u64 kAnchorEveryNs = 1'000'000'000;
constexpr u64 kDrainGraceUs = 1'000'000;  // for cores to say that they have drained

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  return set;
}

const char* state_name(u8 state) {
  constexpr const char* kNames[] = {"starting", "serving", "draining", "stopping"};
  return kNames[state];
}

}  // namespace

void block_signals() {
  const sigset_t set = our_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

TimeUs Lifecycle::now_us() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<TimeUs>(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

Lifecycle::Lifecycle(config::Config config)
    : config_(std::move(config)), started_us_(now_us()), prefix_("ringway-" + std::to_string(getpid())) {}

Lifecycle::~Lifecycle() {
  if (signals_ >= 0) close(signals_);
  if (wake_ >= 0) close(wake_);
}

int Lifecycle::run() {
  if (start()) loop();
  else exit_status_ = 1;
  shut_down();
  return exit_status_;
}

bool Lifecycle::start() {
  open_control();
  if (const auto error = start_eal(config_.gateway, prefix_)) {
    spdlog::error("{}", *error);
    return false;
  }
  eal_ = true;
  auto gateway = Gateway::build(config_.gateway);
  if (!gateway.has_value()) {
    spdlog::error("{}", gateway.error());
    return false;
  }
  gateway_ = std::move(*gateway);
  for (const auto& device : gateway_->devices())
    spdlog::info("port {} ({}): {} queues, multi-segment {}, checksums ip {} tcp {}, tso {}, mtu {}", device->name(), device->driver(),
                 device->queues(), device->caps().multi_segs ? "yes" : "no", device->caps().tx_ip_checksum ? "nic" : "software",
                 device->caps().tx_tcp_checksum ? "nic" : "software",
                 device->caps().tso4 ? device->caps().tso6 ? "yes" : "ip4" : "no", device->caps().mtu);
  spdlog::info("steering {}: {}", gateway_->steering().mode_name(), gateway_->steering().why());

  keep_time();
  std::vector<publish::MailRing*> inboxes;
  for (u32 i = 0; i < gateway_->cores(); i++) inboxes.push_back(&gateway_->inbox(i));
  publisher_ = std::make_unique<publish::Publisher>(inboxes);
  make_checker();
  make_shifter();
  publisher_->on_all_adopted([this](const contract::Plan& plan) {
    checker_->drain_removed(now_us());
    if (!all_adopted_.exchange(true)) {
      state_ = State::serving;
      say_ready();
      spdlog::info("ready: plan {} is in force on {} cores", plan.generation, gateway_->cores());
    }
    sd_notify(0, "READY=1");
  });
  publisher_->on_retired([this](const contract::Plan& plan) {
    checker_->forget(plan);
    registry_.retire(plan.generation);
  });
  explain_ = std::make_unique<Explain>(gateway_->board(), gateway_->stats(0), gateway_->cores());
  admin_ = std::make_unique<admin::Admin>(sources());

  std::vector<config::Problem> problems;
  if (!publish_plan(config_, problems)) {
    for (const auto& problem : problems) spdlog::error("{}", config::to_string(problem));
    return false;
  }
  std::string error;
  if (!gateway_->launch(error)) {
    spdlog::error("{}", error);
    return false;
  }
  return open_admin();
}

void Lifecycle::make_checker() {
  u64 seed = 0;
  if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) seed = started_us_;
  const auto send = [this](u32 core, const Mail& mail) { return publisher_->reached(core) && gateway_->inbox(core).push(mail); };
  const auto tell = [](const contract::Endpoint& endpoint, health::Transition change, const health::EndpointReport& report) {
    const health::Ejection& e = report.ejection;
    switch (change) {
      case health::Transition::none: break;
      case health::Transition::became_healthy: spdlog::info("{} is healthy", endpoint.id); break;
      case health::Transition::became_unhealthy:
        spdlog::warn("{} is out of rotation after {} failed checks", endpoint.id, report.run);
        break;
      case health::Transition::ejected:
        spdlog::warn("{} is ejected for {} s: {}, time {}", endpoint.id, static_cast<double>(e.until_us - e.since_us) / 1e6,
                     health::kEjectionCauseNames[static_cast<u32>(e.cause)], e.times);
        break;
      case health::Transition::returned: spdlog::info("{} is back after its ejection", endpoint.id); break;
    }
  };
  std::vector<const contract::CoreStats*> stats;
  for (u32 i = 0; i < gateway_->cores(); i++) stats.push_back(&gateway_->stats(i));
  checker_ = std::make_unique<health::Checker>(gateway_->board(), gateway_->cores(), send, seed, tell, stats);
}

void Lifecycle::make_shifter() {
  std::vector<const contract::CoreStats*> stats;
  for (u32 i = 0; i < gateway_->cores(); i++) stats.push_back(&gateway_->stats(i));
  shifter_ = std::make_unique<shift::Shifter>(shifts_, stats, [](const shift::Report& r) {
    if (r.stage == shift::Stage::rolled_back) {
      spdlog::warn("deployment of {}: all traffic is back from {}: {}", r.service, r.green, r.reason);
    } else {
      spdlog::info("deployment of {}: {}, {} gets {} %{}", r.service, shift::kStageNames[static_cast<u32>(r.stage)], r.green,
                   r.share_percent, r.paused ? ", paused" : "");
    }
  });
}

void Lifecycle::open_control() {
  const sigset_t set = our_signals();
  signals_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  RW_ASSERT(signals_ >= 0 && wake_ >= 0);
  watch_ = std::make_unique<FileWatch>(config_.file);
  if (watch_->fd() < 0) spdlog::warn("changes of {} cannot be watched; SIGHUP and ringwayctl reload still work", config_.file);
}

bool Lifecycle::open_admin() {
  {
    std::lock_guard lock(posted_mutex_);
    takes_posts_ = true;
  }
  auto server = admin::UnixHttp::open(config_.gateway.admin_socket,
                                      [this](const admin::Request& request) { return admin_->answer(request); });
  if (!server.has_value()) {
    spdlog::error("{}", server.error());
    return false;
  }
  server_ = std::move(*server);
  start_telemetry(*admin_);
  spdlog::info("admin socket {}, telemetry prefix {}", config_.gateway.admin_socket, prefix_);
  return true;
}

bool Lifecycle::publish_plan(const config::Config& config, std::vector<config::Problem>& problems) {
  const u64 generation = ++generation_;
  const auto before = publisher_->current();
  auto plan = compile::compile(config, registry_, {.generation = generation, .cores = gateway_->cores(), .previous_vips = vips_,
                                                   .previous = before.get(), .shifts = &shifts_});
  if (!plan.has_value()) {
    problems = std::move(plan.error());
    return false;
  }
  if (const std::string error = gate::build_ingress(**plan); !error.empty()) {
    registry_.retire(generation);
    problems.push_back({config.file, config.gateway.ingress.mark.line, config.gateway.ingress.mark.column, error});
    return false;
  }
  if (auto vips = compile::assign_vips(config, vips_)) vips_ = std::move(*vips);
  const std::shared_ptr<const contract::Plan> shared = std::move(*plan);
  gateway_->recorder().note<contract::EventKind::plan_published>({.x = static_cast<u32>(generation)});
  publisher_->publish(shared);
  refuse_in_ports(*shared);
  checker_->adopt(shared, now_us());
  shifter_->adopt(shared, now_us());
  return true;
}

// What ports can drop by themselves they need not hand to a core; the cores refuse it as well.
void Lifecycle::refuse_in_ports(const contract::Plan& plan) {
  const std::vector<port::DropRule> rules = port::drop_rules(plan.ingress);
  for (const auto& device : gateway_->devices()) {
    const std::string refusal = device->refuse(rules);
    if (rules.empty()) continue;
    if (refusal.empty()) spdlog::info("port {} drops refused SYNs by {} rules of its own", device->name(), rules.size());
    else spdlog::info("port {} leaves refused SYNs to the cores: {}", device->name(), refusal);
  }
}

admin::ReloadAnswer Lifecycle::reload(const char* why) {
  admin::ReloadAnswer answer;
  if (state_ == State::draining || state_ == State::stopping) {
    answer.problems.emplace_back("the gateway is draining");
    return answer;
  }
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", static_cast<unsigned long long>(now_us()));
  std::vector<config::Problem> problems;
  auto next = config::load_file(config_.file);
  if (next.has_value()) {
    for (const auto& warning : next->warnings) answer.warnings.push_back(config::to_string(warning));
    for (const std::string& key : keep_until_restart(config_.gateway, next->gateway))
      answer.warnings.push_back(key + " takes effect at the next start");
    answer.applied = publish_plan(*next, problems);
    if (answer.applied) config_ = std::move(*next);
  } else {
    problems = std::move(next.error());
  }
  for (const auto& problem : problems) answer.problems.push_back(config::to_string(problem));
  for (const auto& text : answer.warnings) spdlog::warn("reload: {}", text);
  for (const auto& text : answer.problems) spdlog::error("reload: {}", text);
  if (answer.applied) {
    spdlog::info("reload ({}): plan {} published", why, generation_);
  } else {
    spdlog::error("reload ({}) refused, the plan before it stays in force", why);
    sd_notify(0, "READY=1");
  }
  return answer;
}

void Lifecycle::begin_drain(const char* why) {
  if (state_ == State::draining || state_ == State::stopping) {
    begin_stop();
    return;
  }
  state_ = State::draining;
  say_ready();
  sd_notify(0, "STOPPING=1");
  const config::HealthEndpointConfig& health = config_.gateway.health_endpoint;
  const u64 delay_us = health.port == 0 ? 0 : health.drain_delay_us;
  drain_deadline_us_ = now_us() + delay_us + config_.gateway.drain_us + kDrainGraceUs;
  spdlog::info("draining ({}): {} s with the health endpoint failing, then at most {} s", why, static_cast<double>(delay_us) / 1e6,
               static_cast<double>(config_.gateway.drain_us) / 1e6);
  drain_owed_ = ~u64{0} >> (64 - gateway_->cores());
  close_at_us_ = now_us() + delay_us;
  if (delay_us == 0) close_connections();
}

void Lifecycle::close_connections() {
  close_at_us_ = 0;
  Mail mail;
  mail.kind = MailKind::drain;
  mail.drain_us = config_.gateway.drain_us;
  for (u32 i = 0; i < gateway_->cores(); i++)
    if ((drain_owed_ >> i & 1) != 0 && gateway_->inbox(i).push(mail)) drain_owed_ &= ~(u64{1} << i);
}

// The health endpoint follows: a core reads the word at the next question.
void Lifecycle::say_ready() { gateway_->board().say_ready(state_ == State::serving && !told_to_fail_); }

void Lifecycle::begin_stop() {
  if (state_ == State::stopping) return;
  state_ = State::stopping;
}

void Lifecycle::loop() {
  while (state_ != State::stopping) {
    pollfd watched[3] = {{signals_, POLLIN, 0}, {wake_, POLLIN, 0}, {watch_->fd(), POLLIN, 0}};
    poll(watched, 3, checker_->in_suspense() ? kSuspenseMs : kTurnMs);
    keep_time();
    if (watched[0].revents != 0) read_signals();
    if (watched[1].revents != 0) run_posted();
    if (watched[2].revents != 0) watch_->read(now_us());
    turn(now_us());
  }
}

// Of the recorder: its clock, and from time to time what the clock on the wall says.
void Lifecycle::keep_time() {
  const trace::Anchor now = trace::anchor_now();
  gateway_->recorder().at(now.tsc);
  if (now.unix_ns - anchored_ns_ < kAnchorEveryNs) return;
  anchored_ns_ = now.unix_ns;
  gateway_->recorded().set_anchor(now);
}

void Lifecycle::turn(TimeUs now) {
  read_mail(now);
  publisher_->poll();
  checker_->poll(now);
  shifter_->poll(now);
  if (watch_->changed(now)) reload("the file changed");
  if (state_ != State::draining) return;
  if (drain_owed_ != 0 && now >= close_at_us_) close_connections();
  if (drained_cores_ == gateway_->cores() || now >= drain_deadline_us_) begin_stop();
}

void Lifecycle::read_signals() {
  signalfd_siginfo info;
  while (read(signals_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    if (info.ssi_signo == SIGHUP) reload("SIGHUP");
    else begin_drain(info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
  }
}

void Lifecycle::read_mail(TimeUs now) {
  for (u32 core = 0; core < gateway_->cores(); core++) {
    Mail mail;
    for (u32 n = 0; n < kMailsPerTurn && gateway_->outbox(core).pop(mail); n++) {
      if (publisher_->on_mail(mail) || checker_->on_mail(mail, now)) continue;
      RW_ASSERT(mail.kind == MailKind::drained);
      drained_cores_++;
    }
  }
}

void Lifecycle::run_posted() {
  u64 ignored = 0;
  [[maybe_unused]] const ssize_t n = read(wake_, &ignored, sizeof(ignored));
  std::vector<std::function<void()>> posted;
  {
    std::lock_guard lock(posted_mutex_);
    posted.swap(posted_);
  }
  for (auto& f : posted) f();
}

template <class F>
auto Lifecycle::on_control(F f) -> decltype(f()) {
  auto task = std::make_shared<std::packaged_task<decltype(f())()>>(std::move(f));
  auto result = task->get_future();
  {
    std::lock_guard lock(posted_mutex_);
    if (!takes_posts_) return {};
    posted_.push_back([task] { (*task)(); });
  }
  const u64 one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_, &one, sizeof(one));
  return result.get();
}

void Lifecycle::shut_down() {
  // Requests that wait for the control thread are answered before the server's thread is joined.
  {
    std::lock_guard lock(posted_mutex_);
    takes_posts_ = false;
  }
  if (wake_ >= 0) run_posted();
  stop_telemetry();
  server_.reset();
  if (gateway_ != nullptr) {
    Mail stop;
    stop.kind = MailKind::stop;
    for (u32 i = 0; i < gateway_->cores(); i++)
      for (u32 tries = 0; !gateway_->inbox(i).push(stop) && tries < 1000; tries++) usleep(1000);
    gateway_->join();
  }
  admin_.reset();
  explain_.reset();
  // Cores hold plans until their workers are gone.
  gateway_.reset();
  checker_.reset();
  shifter_.reset();
  publisher_.reset();
  if (eal_) end_eal();
  if (exit_status_ == 0) spdlog::info("stopped");
}

bool Lifecycle::drain_endpoint(const std::string& id, bool undo) {
  const auto plan = publisher_->current();
  for (const auto& endpoint : plan->endpoints)
    if (endpoint.id == id) return checker_->drain(endpoint.slot, !undo);
  return false;
}

std::vector<admin::PortNumbers> Lifecycle::port_numbers() const {
  std::vector<admin::PortNumbers> out;
  for (const auto& device : gateway_->devices()) out.push_back({device->name(), device->xstats()});
  return out;
}

admin::Json Lifecycle::status() const {
  admin::Json ports = admin::Json::array();
  for (const auto& device : gateway_->devices()) {
    char mac[18];
    const auto& b = device->mac().b;
    std::snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
    ports.push_back({{"name", device->name()}, {"driver", device->driver()}, {"mac", mac}, {"queues", device->queues()},
                     {"mtu", device->caps().mtu}, {"multi_segs", device->caps().multi_segs},
                     {"tso", device->caps().tso4}});
  }
  return {{"version", RINGWAY_VERSION}, {"state", state_name(static_cast<u8>(state_.load()))}, {"pid", getpid()},
          {"uptime_s", (now_us() - started_us_) / 1'000'000}, {"config", config_.file},
          {"telemetry_prefix", prefix_}, {"steering", std::string(gateway_->steering().mode_name())},
          {"steering_why", std::string(gateway_->steering().why())}, {"ports", ports}};
}

admin::Sources Lifecycle::sources() {
  admin::Sources out;
  for (u32 i = 0; i < gateway_->cores(); i++) {
    out.cores.push_back(&gateway_->stats(i));
    out.connections.push_back(&gateway_->connections(i));
  }
  out.board = &gateway_->board();
  out.recorded = &gateway_->recorded();
  out.recording = [this] { return gateway_->recording(); };
  out.record = [this](u32 groups) { gateway_->record(groups); };
  out.tsc_hz = gateway_->tsc_hz();
  out.plan = [this] { return publisher_->current(); };
  out.health = [this](contract::EndpointSlot slot) { return checker_->report(slot); };
  out.now_us = [] { return now_us(); };
  out.unix_us = [] {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<u64>(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
  };
  out.status = [this] { return status(); };
  out.ready = [this] { return gateway_->board().ready(); };
  out.answer_health = [this](bool ok) {
    on_control([this, ok] {
      told_to_fail_ = !ok;
      say_ready();
      spdlog::info("the health endpoint is told to {}", ok ? "answer 200 while the gateway serves" : "fail");
      return true;
    });
  };
  out.xstats = [this] { return port_numbers(); };
  out.reload = [this] { return on_control([this] { return reload("ringwayctl"); }); };
  out.drain = [this] { on_control([this] { return begin_drain("ringwayctl"), true; }); };
  out.drain_endpoint = [this](const std::string& id, bool undo) {
    return on_control([this, id, undo] { return drain_endpoint(id, undo); });
  };
  out.shifts = [this] { return on_control([this] { return shifter_->reports(now_us()); }); };
  out.shift = [this](const std::string& service, shift::Shifter::Verb verb, const std::string& reason) {
    return on_control([this, service, verb, reason] { return shifter_->command(service, verb, now_us(), reason); });
  };
  out.explain = [this](const admin::ExplainRequest& request) -> admin::Json {
    const auto plan = publisher_->current();
    if (plan == nullptr) return {{"error", "no plan is in force yet"}};
    return explain_->answer(*plan, request);
  };
  return out;
}

}  // namespace ringway::app
