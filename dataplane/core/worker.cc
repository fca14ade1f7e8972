#include "dataplane/core/worker.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

namespace ringway::core {

namespace {

constexpr u32 kIdlePollsBeforeSleep = 512;
constexpr u32 kFlushesPerPoll = 4;
constexpr u32 kSamplePlacesPerDuty = 4;
constexpr u32 kGaugeRoundsMask = 1023;

// Every connection, half-open client and TIME-WAIT may have an address of its own; a session may outlive its connection.
u32 addresses_held_max(const tcp::EngineConfig& c) {
  return 2 * c.connections + c.half_open_max + c.time_wait_max + c.listeners + gate::kOwnAddressesMax;
}

gate::GateConfig gate_config(const WorkerConfig& c, lookup::AddressBook& book) {
  return {.core = c.core, .seed = c.tcp.secret[1], .book = &book, .queues = c.queues, .neighbours = c.neighbours, .steering = c.steering,
          .handover = c.handover, .punt = c.punt};
}

tcp::EngineConfig engine_config(const WorkerConfig& c, lookup::AddressBook& book) {
  tcp::EngineConfig out = c.tcp;
  out.book = &book;
  return out;
}

relay::RelayConfig relay_config(const WorkerConfig& c, lookup::AddressBook& book) {
  return {.core = c.core, .sessions = c.tcp.connections, .upstreams = c.tcp.connections, .probes = 1024, .h2 = c.h2, .seed = c.seed,
          .send_budget_bytes = c.tcp.send_budget_bytes, .book = &book, .board = c.board,
          .all_stats = c.all_stats};
}

bool same_address(const contract::Listener& a, const contract::Listener& b) { return a.ip == b.ip && a.port == b.port; }
bool before_address(const contract::Listener& a, const contract::Listener& b) {
  return a.ip < b.ip || (a.ip == b.ip && a.port < b.port);
}

}  // namespace

Worker::Worker(const WorkerConfig& config, TimeUs now_us)
    : config_(config), stats_(*config.stats), pools_(*config.pools),
      book_(config.tcp.secret[1], addresses_held_max(config.tcp)), gate_(gate_config(config, book_), *config.pools, config.stats->page),
      engine_(engine_config(config, book_), *config.pools, config.stats->page), router_(*config.board, *config.stats, config.core, config.seed),
      relay_(relay_config(config, book_), engine_, *config.pools, router_, *config.stats, *config.outbox, now_us),
      out_(std::make_unique<tcp::OutBatch>()), shuffle_state_(config.seed | 1) {
  old_plans_.reserve(kOldPlansMax);
  std::vector<const contract::CoreStats*> others;
  for (const contract::CoreStats* each : config.all_stats)
    if (each != config.stats) others.push_back(each);
  router_.watch(std::move(others));
}

Worker::~Worker() = default;

bool Worker::poll(TimeUs now_us) {
  using contract::Phase;
  using contract::Regime;
  contract::Recorder& recorder = stats_.page.recorder;
  const Tsc start = read_tsc();
  recorder.at(start);
  const u32 mail = read_mail(now_us);
  housekeeping(now_us);
  const Tsc kept = read_tsc();
  recorder.at(kept);
  u32 work = receive(now_us);
  work += engine_.timers(now_us, kTimersPerPoll);
  const Tsc received = read_tsc();
  recorder.at(received);
  work += relay_.timers(now_us, kTimersPerPoll);
  work += relay_.run(now_us);
  work += transmit(now_us);
  const Tsc end = read_tsc();

  const Regime regime = back_pressured() ? Regime::back_pressured : work + mail != 0 ? Regime::working : Regime::idle;
  auto& ticks = stats_.page.ticks[static_cast<u32>(regime)];
  ticks[static_cast<u32>(Phase::housekeeping)].add(kept - start);
  ticks[static_cast<u32>(Phase::before)].add(received - kept);
  ticks[static_cast<u32>(Phase::after)].add(end - received);
  stats_.page.polls.add();
  return work + mail != 0;
}

void Worker::run(u64 hz) {
  const TscScale scale(hz);
  // The kernel rounds sleeps up by 50 us unless told otherwise.
  prctl(PR_SET_TIMERSLACK, 1000);
  u32 idle_polls = 0;
  TimeUs worked_us = 0;
  while (!stopped_) {
    const TimeUs now_us = scale.to_us(read_tsc());
    if (poll(now_us)) {
      idle_polls = 0;
      worked_us = now_us;
      continue;
    }
    if (config_.idle == IdlePolicy::spin || ++idle_polls < kIdlePollsBeforeSleep) {
#if defined(__x86_64__)
      _mm_pause();
#endif
      continue;
    }
    const timespec pause{0, static_cast<long>(idle_sleep_us(now_us - worked_us)) * 1000};
    nanosleep(&pause, nullptr);
  }
}

u32 Worker::receive(TimeUs now_us) {
  mbuf::Pkt burst[contract::kBurstMax];
  u32 total = 0;
  for (u32 port = 0; port < config_.queues.size(); ++port) {
    const u32 count = config_.queues[port]->rx(burst);
    if (count == 0) continue;
    input({burst, count}, port, now_us, false);
    total += count;
  }
  if (config_.handover.size() > 1) {
    gate::Handover passed[contract::kBurstMax];
    const u32 count = config_.handover[config_.core]->pop_burst(passed, contract::kBurstMax);
    for (u32 i = 0; i < count; ++i) {
      mbuf::Pkt pkt(passed[i].packet);
      input({&pkt, 1}, static_cast<u32>(passed[i].port), now_us, true);
    }
    total += count;
  }
  gate::Unreachable gone;
  while (gate_.next_unreachable(gone)) {
    if (gone.packet_bytes == 0) {
      engine_.unreachable(gone.tuple);
    } else {
      engine_.too_big(gone.tuple, gone.seq, gone.packet_bytes, now_us);
    }
  }
  return total;
}

// Three passes over a burst: the gate reads headers, the flow table's lines are fetched, then the engine runs.
void Worker::input(std::span<mbuf::Pkt> packets, u32 port, TimeUs now_us, bool owned) {
  u32 count = 0;
  for (u32 i = 0; i < packets.size(); ++i) {
    if (!gate_.accept(packets[i], port, now_us, segments_[count], owned)) continue;
    engine_.prefetch(segments_[count]);
    if (count != i) packets[count] = std::move(packets[i]);
    ++count;
  }
  for (u32 i = 0; i < count; ++i) engine_.input(segments_[i], std::move(packets[i]), now_us);
}

u32 Worker::transmit(TimeUs now_us) {
  u32 total = 0;
  for (u32 round = 0; round < kFlushesPerPoll; ++round) {
    engine_.flush(*out_, now_us);
    const u32 count = out_->count;
    for (u32 i = 0; i < count; ++i) gate_.send(std::move(out_->items[i].pkt), out_->items[i].dst, now_us);
    out_->count = 0;
    total += count;
    if (count < tcp::OutBatch::kCapacity) break;
  }
  if (config_.from_kernel != nullptr) total += pass_from_kernel();
  for (port::Queue* queue : config_.queues) queue->flush();
  return total;
}

u32 Worker::pass_from_kernel() {
  gate::Handover burst[contract::kBurstMax];
  const u32 count = config_.from_kernel->pop_burst(burst, contract::kBurstMax);
  for (u32 i = 0; i < count; ++i) {
    mbuf::Pkt pkt(burst[i].packet);
    if (burst[i].port < config_.queues.size()) config_.queues[burst[i].port]->tx(std::move(pkt));
  }
  return count;
}

bool Worker::back_pressured() const {
  return std::any_of(config_.queues.begin(), config_.queues.end(), [](const port::Queue* q) { return !q->idle(); });
}

u32 Worker::read_mail(TimeUs now_us) {
  u32 count = 0;
  contract::Mail mail;
  while (count < kMailPerPoll) {
    if (holds_mail_) {
      if (old_plans_.size() >= kOldPlansMax) break;
      mail = held_mail_;
      holds_mail_ = false;
    } else if (!config_.inbox->pop(mail)) {
      break;
    }
    ++count;
    stats_.page.recorder.note<contract::EventKind::mail_in>({.code = static_cast<u8>(mail.kind)});
    switch (mail.kind) {
      case contract::MailKind::adopt_plan:
        if (old_plans_.size() >= kOldPlansMax) {
          held_mail_ = mail;
          holds_mail_ = true;
          return count;
        }
        adopt(*mail.plan, now_us);
        break;
      case contract::MailKind::probe: relay_.probe(mail.probe, *mail.plan, now_us); break;
      case contract::MailKind::endpoint_left: relay_.endpoint_left(mail.endpoint_slot, mail.incarnation, now_us); break;
      case contract::MailKind::endpoint_over: relay_.endpoint_over(mail.endpoint_slot, mail.incarnation, now_us); break;
      case contract::MailKind::drain: begin_drain(now_us + mail.drain_us); break;
      case contract::MailKind::stop: stopped_ = true; break;
      default: RW_ASSERT(false);  // the other kinds go from core to control
    }
  }
  return count;
}

void Worker::adopt(const contract::Plan& plan, TimeUs now_us) {
  gate_.adopt(plan, config_.core == 0, now_us);
  engine_.adopt(plan.path_sizes);
  engine_.screen(plan.ingress_acl.get());
  engine_.limit_sources(plan.limits.connections_per_source);
  const bool some_left = !draining_ && listen(plan_, plan);
  relay_.adopt(plan);
  if (some_left) relay_.listeners_left();
  if (plan_ != nullptr) old_plans_.push_back(plan_);
  plan_ = &plan;
  stats_.page.count(contract::Counter::plans_adopted);
  stats_.page.plan_generation.set(plan.generation);
  stats_.page.recorder.note<contract::EventKind::plan_adopted>({.x = static_cast<u32>(plan.generation)});
  owes_adopted_ = !tell(contract::MailKind::plan_adopted, plan_);
}

// Opens the listeners that are new and closes those that are gone, if any: then true. Both lists are sorted.
bool Worker::listen(const contract::Plan* before, const contract::Plan& now) {
  static const std::vector<contract::Listener> none;
  const auto& old_ones = before == nullptr ? none : before->listeners;
  const auto& new_ones = now.listeners;
  std::size_t o = 0, n = 0;
  bool some_left = false;
  while (o < old_ones.size() || n < new_ones.size()) {
    if (o < old_ones.size() && n < new_ones.size() && same_address(old_ones[o], new_ones[n])) {
      ++o;
      ++n;
    } else if (n == new_ones.size() || (o < old_ones.size() && before_address(old_ones[o], new_ones[n]))) {
      engine_.unlisten(book_.name(old_ones[o].ip), old_ones[o].port);
      some_left = true;
      ++o;
    } else {
      engine_.listen(book_.name(new_ones[n].ip), new_ones[n].port, static_cast<u32>(n));
      ++n;
    }
  }
  return some_left;
}

bool Worker::tell(contract::MailKind kind, const contract::Plan* plan) {
  contract::Mail mail;
  mail.kind = kind;
  mail.core = static_cast<u16>(config_.core);
  mail.plan = plan;
  stats_.page.recorder.note<contract::EventKind::mail_out>({.code = static_cast<u8>(kind)});
  return config_.outbox->push(mail);
}

void Worker::housekeeping(TimeUs now_us) {
  if (next_duty_ == duties_.size()) {
    next_duty_ = 0;
    shuffle_state_ = shuffle_state_ * 6364136223846793005ull + 1442695040888963407ull;
    std::swap(duties_[shuffle_state_ >> 40 & 3], duties_[(shuffle_state_ >> 42 & 3) + 1]);
  }
  switch (duties_[next_duty_++]) {
    case Duty::neighbours: gate_.housekeeping(now_us); break;
    case Duty::gauges: publish_gauges(); break;
    case Duty::plans: retire_plans(); break;
    case Duty::connections: sample_connections(); break;
    case Duty::drain: finish_drain(now_us); break;
  }
}

// Tells control which of the plans before this one no exchange of this core holds any more.
void Worker::retire_plans() {
  if (owes_adopted_) owes_adopted_ = !tell(contract::MailKind::plan_adopted, plan_);
  std::erase_if(old_plans_, [this](const contract::Plan* plan) {
    contract::PlanUse& use = plan->use[config_.core];
    if (use.holders != 0) return false;
    use.retired = true;
    return tell(contract::MailKind::plan_retired, plan);
  });
}

void Worker::begin_drain(TimeUs deadline_us) {
  if (draining_) return;
  draining_ = true;
  owes_drained_ = true;
  drain_deadline_us_ = deadline_us;
  if (plan_ != nullptr) {
    for (const contract::Listener& l : plan_->listeners) engine_.unlisten(book_.name(l.ip), l.port);
  }
  relay_.drain();
}

void Worker::finish_drain(TimeUs now_us) {
  if (!owes_drained_) return;
  if (!relay_.drained() && now_us < drain_deadline_us_) return;
  relay_.abort_all();
  owes_drained_ = !tell(contract::MailKind::drained, nullptr);
}

void Worker::publish_gauges() {
  if ((++gauge_rounds_ & kGaugeRoundsMask) != 0) return;  // counting a mempool walks every lcore's cache
  stats_.page.connections_active.set(engine_.active());
  stats_.page.mbufs_in_use.set(pools_.packets_in_use());
}

void Worker::sample_connections() {
  if (config_.connections == nullptr) return;
  for (u32 i = 0; i < kSamplePlacesPerDuty; ++i) {
    if (sample_place_ >= relay_.session_places() || sample_rows_ == contract::kConnectionRowsMax) {
      config_.connections->finish(sample_rows_, relay_.sessions());
      sample_place_ = sample_rows_ = 0;
      return;
    }
    contract::ConnectionRow row;
    if (relay_.describe(sample_place_++, row)) config_.connections->write(sample_rows_++, row);
  }
}

}  // namespace ringway::core
