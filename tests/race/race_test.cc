// Races: real threads play the cores while control publishes, probes and frees at full speed.
//
// Meant for ThreadSanitizer (-Db_sanitize=thread), and useful without: a plan freed too early is poisoned by its
// deleter, a torn row does not add up. The rings are DPDK's: with TSan they are built on its C11 memory model
// (meson.build says why).

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "control/health/checker.h"
#include "control/publish/publisher.h"
#include "control/trace/trace.h"
#include "src/contract/connections.h"
#include "src/contract/stats.h"

namespace ringway {
namespace {

using contract::Mail;
using contract::MailKind;
using contract::Plan;
using Ring = contract::Ring<Mail>;

constexpr u32 kCores = 3;
constexpr u32 kEndpoints = 16;

constexpr u64 plans_to_swap() {
#if defined(__SANITIZE_THREAD__)
  return 2000;
#else
  return 20'000;
#endif
}

// What a worker does with plans, and nothing else of it: adopts, holds some for a while, picks, retires.
class FakeCore {
 public:
  FakeCore(u32 index, const contract::HealthBoard& board, contract::CoreStats& stats)
      : index_(index), board_(board), stats_(stats) {}

  void run() {
    while (!stopped_) {
      Mail mail;
      if (inbox.pop(mail)) on_mail(mail);
      if (plan_ == nullptr) continue;
      pick(*plan_);
      if (held_ != nullptr && ++turns_ % 7 == 0) release();
      retire();
    }
  }

  Ring inbox{15}, outbox{63};
  std::atomic<u64> picks{0};
  u64 wrong = 0;

 private:
  void on_mail(const Mail& mail) {
    if (mail.kind == MailKind::stop) {
      stopped_ = true;
    } else if (mail.kind == MailKind::adopt_plan) {
      if (plan_ != nullptr) old_.push_back(plan_);
      plan_ = mail.plan;
      if (held_ == nullptr) {
        held_ = plan_;
        held_->use[index_].holders++;
      }
      tell(MailKind::plan_adopted, plan_, {});
    } else if (mail.kind == MailKind::probe) {
      if (mail.plan->endpoints.size() <= mail.probe.endpoint) wrong++;
      tell(MailKind::probe_done, mail.plan, mail.probe);
    }
  }
  // A lost plan message would keep a plan alive for ever; a probe's may be lost.
  void tell(MailKind kind, const Plan* plan, contract::ProbeRef probe) {
    Mail mail;
    mail.kind = kind;
    mail.core = static_cast<u16>(index_);
    mail.plan = plan;
    mail.probe = probe;
    while (!outbox.push(mail) && kind != MailKind::probe_done) std::this_thread::yield();
  }
  // The old plan is read too, as an exchange that began on it would.
  void pick(const Plan& plan) {
    for (const contract::Endpoint& e : plan.endpoints) picks += board_.may_pick(e.slot) ? 1u : 0u;
    if (held_ != nullptr && held_->endpoints.size() != kEndpoints) wrong++;
    stats_.page.count(contract::Counter::requests);
    stats_.page.plan_generation.set(plan.generation);
    stats_.services[0].latency_us.record(picks % 1000);
  }
  void release() {
    held_->use[index_].holders--;
    held_ = nullptr;
  }
  void retire() {
    std::erase_if(old_, [this](const Plan* plan) {
      if (plan->use[index_].holders != 0) return false;
      plan->use[index_].retired = true;
      tell(MailKind::plan_retired, plan, {});
      return true;
    });
  }

  u32 index_;
  const contract::HealthBoard& board_;
  contract::CoreStats& stats_;
  const Plan* plan_ = nullptr;
  const Plan* held_ = nullptr;
  std::vector<const Plan*> old_;
  u64 turns_ = 0;
  bool stopped_ = false;
};

std::shared_ptr<const Plan> make_plan(u64 generation, std::atomic<u64>& freed) {
  std::unique_ptr<Plan> plan = std::make_unique<Plan>();
  plan->generation = generation;
  contract::Service service;
  service.discovery_name = "svc";
  service.health_check = {.kind = contract::HealthCheckKind::tcp, .interval_us = 1, .timeout_us = 1'000'000,
                          .jitter_percent = 0, .request = {}};
  service.endpoint_count = kEndpoints;
  plan->services.push_back(service);
  for (u32 i = 0; i < kEndpoints; i++)
    plan->endpoints.push_back({.slot = (static_cast<u32>(generation / 64) % 3) * kEndpoints + i, .incarnation = 1,
                               .id = "svc/" + std::to_string(i), .zone = {}});
  return {plan.release(), [&freed](const Plan* p) {
            const_cast<Plan*>(p)->endpoints.clear();
            delete p;
            freed++;
          }};
}

TEST(Race, PlansSwappedAtFullSpeed_AreReadWholeAndAllFreed) {
  contract::HealthBoard board;
  std::vector<std::unique_ptr<contract::CoreStats>> stats;
  std::vector<std::unique_ptr<FakeCore>> cores;
  std::vector<publish::MailRing*> inboxes;
  for (u32 i = 0; i < kCores; i++) {
    stats.push_back(std::make_unique<contract::CoreStats>());
    cores.push_back(std::make_unique<FakeCore>(i, board, *stats[i]));
    inboxes.push_back(&cores[i]->inbox);
  }
  std::atomic<u64> freed{0};
  u64 retired = 0;
  {
    TimeUs now = 1;
    publish::Publisher publisher(inboxes);
    health::Checker checker(board, kCores, [&](u32 core, const Mail& mail) {
      return publisher.reached(core) && cores[core]->inbox.push(mail);
    }, 1);
    publisher.on_all_adopted([&](const Plan&) { checker.drain_removed(now); });
    publisher.on_retired([&](const Plan& plan) { retired++; checker.forget(plan); });

    std::vector<std::thread> threads;
    for (auto& core : cores) threads.emplace_back([&core] { core->run(); });
    std::atomic<bool> done{false};
    // The admin thread: plans, numbers and reports, whenever it likes.
    std::thread reader([&] {
      u64 seen = 0;
      while (!done.load()) {
        if (const auto plan = publisher.current()) {
          EXPECT_GE(plan->generation, seen);
          seen = plan->generation;
          EXPECT_EQ(plan->endpoints.size(), kEndpoints);
          checker.report(plan->endpoints[0].slot);
        }
        HistSnapshot h;
        for (auto& s : stats) h.add(s->services[0].latency_us);
        EXPECT_LE(h.percentile(50), 1023u);
      }
    });

    const auto turn = [&] {
      now += 100;
      for (auto& core : cores) {
        Mail mail;
        while (core->outbox.pop(mail)) EXPECT_TRUE(publisher.on_mail(mail) || checker.on_mail(mail, now));
      }
      publisher.poll();
      checker.poll(now);
    };
    for (u64 generation = 1; generation <= plans_to_swap(); generation++) {
      const auto plan = make_plan(generation, freed);
      publisher.publish(plan);
      checker.adopt(plan, now);
      turn();
      while (publisher.alive() > 20) turn();
    }
    while (publisher.alive() > 1 || !publisher.all_adopted()) turn();
    // On a busy machine no check may have come back while plans flew by: the last plan's do now.
    const auto all_picked = [&] {
      return std::all_of(cores.begin(), cores.end(), [](const auto& core) { return core->picks.load() > 0; });
    };
    while (!all_picked()) turn();
    done = true;
    reader.join();
    for (auto& core : cores) {
      Mail stop;
      while (!core->inbox.push(stop)) turn();
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(retired, plans_to_swap() - 1);
  }
  EXPECT_EQ(freed.load(), plans_to_swap());
  for (auto& core : cores) {
    EXPECT_EQ(core->wrong, 0u);
    EXPECT_GT(core->picks.load(), 0u);
  }
}

TEST(Race, HealthBoard_ReadersSeeOnlyWordsThatWereWritten) {
  contract::HealthBoard board;
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  std::atomic<u64> wrong{0};
  for (u32 r = 0; r < 2; r++)
    readers.emplace_back([&] {
      while (!done.load(std::memory_order_relaxed))
        for (u32 slot = 0; slot < 64; slot++) {
          const u32 word = board.word(slot);
          if ((word & ~(contract::kHealthUnproven | contract::kHealthFailing)) != 0) wrong++;
        }
    });
  for (u32 i = 0; i < 200'000; i++) {
    if (i % 2 == 0) board.set(i % 64, contract::kHealthFailing);
    else board.clear(i % 64, contract::kHealthFailing);
    board.suspect(i % 64, i % 3 == 0);  // beside the word, never in it
  }
  done = true;
  for (auto& t : readers) t.join();
  EXPECT_EQ(wrong.load(), 0u);
}

TEST(Race, Ring_OneProducerOneConsumer_LosesAndReordersNothing) {
  contract::Ring<Mail> ring(63);
  constexpr u64 kMails = 200'000;
  std::thread producer([&] {
    for (u64 i = 1; i <= kMails; i++) {
      Mail mail;
      mail.probe.id = i;
      mail.drain_us = i * 3;
      while (!ring.push(mail)) std::this_thread::yield();
    }
  });
  u64 wrong = 0;
  for (u64 i = 1; i <= kMails; i++) {
    Mail mail;
    while (!ring.pop(mail)) std::this_thread::yield();
    wrong += mail.probe.id == i && mail.drain_us == i * 3 ? 0u : 1u;
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(Race, Ring_SeveralProducers_KeepEachOnesOrder) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "rte_ring's later producer waits for the earlier one with a relaxed load: ordered on x86, where stores "
                  "are seen in order, but not by the language's model, so ThreadSanitizer reports it";
#endif
  contract::Ring<Mail, contract::Producers::many> ring(63);
  constexpr u64 kMails = 50'000;
  std::vector<std::thread> producers;
  for (u16 p = 0; p < 2; p++)
    producers.emplace_back([&ring, p] {
      for (u64 i = 1; i <= kMails; i++) {
        Mail mail;
        mail.core = p;
        mail.probe.id = i;
        while (!ring.push(mail)) std::this_thread::yield();
      }
    });
  u64 last[2] = {0, 0}, wrong = 0;
  for (u64 i = 0; i < 2 * kMails; i++) {
    Mail mail;
    while (!ring.pop(mail)) std::this_thread::yield();
    wrong += mail.probe.id == ++last[mail.core] ? 0u : 1u;
  }
  for (auto& t : producers) t.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(Race, ConnectionPage_RowsAreWholeWhileTheCoreRewritesThem) {
  auto page = std::make_unique<contract::ConnectionPage>();
  std::atomic<bool> done{false};
  std::thread core([&] {
    for (u64 i = 1; !done.load(std::memory_order_relaxed); i++) {
      contract::ConnectionRow row;
      row.bytes_in = i;
      row.bytes_out = i * 7;
      row.requests = static_cast<u32>(i);
      page->write(static_cast<u32>(i % 32), row);
      if (i % 32 == 31) {
        page->finish(32, i);
        std::this_thread::yield();
      }
    }
  });
  u64 wrong = 0, rows = 0;
  for (u32 i = 0; i < 2000 || rows == 0; i++)
    for (const auto& row : page->read()) {
      rows++;
      wrong += row.bytes_out == row.bytes_in * 7 && row.requests == static_cast<u32>(row.bytes_in) ? 0u : 1u;
    }
  done = true;
  core.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(rows, 0u);
}

// What a core says in its `i`th event, each field by another rule.
contract::EventFields fields_of(u32 i) {
  return {.code = static_cast<u8>(i), .half = static_cast<u16>(i), .conn = i, .exchange = ~i, .x = i * 5, .y = i * 7};
}
bool is_whole(const contract::Event& e) {
  const contract::EventFields f = fields_of(e.conn);
  return e.kind == contract::EventKind::request && e.tsc == u64{e.conn} * 3 && e.code == f.code && e.half == f.half &&
         e.exchange == f.exchange && e.x == f.x && e.y == f.y;
}

// A reader stops nobody: what it gets is whole, in order, and not older than a lap, also when it is overtaken all the time.
TEST(Race, Recorder_WhatIsReadWhileACoreWritesIsWhole) {
  using contract::EventKind;
  std::string error;
  const auto memory = trace::RecorderMemory::make("", 2, 8, 2'000'000'000, error);
  contract::Recorder recorder;
  recorder.attach(memory->ring(0));
  std::atomic<bool> done{false};
  std::thread core([&] {
    for (u32 i = 1; !done.load(std::memory_order_relaxed); i++) {
      recorder.at(u64{i} * 3);
      recorder.note<EventKind::request>(fields_of(i));
    }
  });
  recorder.record(contract::kAllEventGroups);
  std::atomic<u64> wrong{0}, seen{0};
  const contract::EventRing ring = memory->ring(0);
  std::vector<std::thread> readers;
  for (u32 r = 0; r < 3; r++)  // more than there may be processors: some are stopped within a record
    readers.emplace_back([&] {
      for (u32 place = 0; place < 10'000'000; place++) {
        contract::Event e;
        if (!ring.read(place, e)) continue;
        if (!is_whole(e)) wrong++;
        if (place % 1024 == 0) seen++;
      }
    });
  for (std::thread& t : readers) t.join();
  for (u32 turn = 0; turn < 2000 || seen == 0; turn++) {
    recorder.record(turn % 32 != 31 ? contract::kAllEventGroups : 0);  // switched meanwhile
    u32 before = 0;
    for (const contract::Event& e : trace::collect(ring)) {
      wrong += is_whole(e) && e.number > before ? 0u : 1u;
      before = e.number;
      seen++;
    }
  }
  done = true;
  core.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_GT(seen.load(), 0u);
}

}  // namespace
}  // namespace ringway
