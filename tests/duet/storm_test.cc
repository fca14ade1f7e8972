// The storm: a whole gateway core between many clients and endpoints that behave by a seed (storm_actors.h), over links
// that lose, repeat, reorder and corrupt frames, while plans are swapped, endpoints change their health, probes run and
// memory may be tiny. It ends with a drain.
//
// In every seed: no assertion, every careful client got only its own answers, in order, well framed; afterwards every
// pool is full, every gauge is zero, no plan is held and all old ones have retired. In a seed with enough memory the
// careful clients of the good service also got all of their answers. A failure names its seed:
// RINGWAY_STORM_FIRST=<seed> RINGWAY_STORM_SEEDS=1 storm
// RINGWAY_STORM_SEEDS says how many seeds to run (60).

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "tests/duet/storm_actors.h"

namespace ringway::storm {
namespace {

using contract::MailKind;

u64 setting(const char* name, u64 otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What happens to frames between the hosts and the gateway.
class Faults {
 public:
  // `flat`: every frame arrives in one mbuf of its own, as from a NIC; the rates are per mille.
  Faults(u64 seed, bool flat, u32 loss, u32 twice, u32 late, u32 corrupt)
      : rng_(seed), flat_(flat), loss_(loss), twice_(twice), late_(late), corrupt_(corrupt) {}
  ~Faults() { release(); }
  void release() {
    for (auto& [ring, frame] : held_) rte_pktmbuf_free(frame);
    held_.clear();
  }
  void stop() { loss_ = twice_ = late_ = corrupt_ = 0; }

  void operator()(rte_ring& ring) {
    rte_mbuf* frames[512];
    const u32 n = rte_ring_dequeue_burst(&ring, reinterpret_cast<void**>(frames), 512, nullptr);
    for (u32 i = 0; i < n; ++i) {
      rte_mbuf* m = flat_ ? flattened(frames[i]) : frames[i];
      if (rng_.chance(loss_)) {
        rte_pktmbuf_free(m);
        continue;
      }
      if (rng_.chance(corrupt_) && is_ip(m)) m = flipped(m);
      if (rng_.chance(twice_)) {
        if (rte_mbuf* again = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX)) put(ring, again);
      }
      if (rng_.chance(late_)) {
        held_.emplace_back(&ring, m);
        continue;
      }
      put(ring, m);
    }
    std::erase_if(held_, [&](auto& held) {
      if (held.first != &ring || rng_.chance(600)) return false;
      put(ring, held.second);
      return true;
    });
  }

 private:
  static bool is_ip(const rte_mbuf* m) {
    const u8* p = rte_pktmbuf_mtod(m, const u8*);
    return m->data_len >= 34 && p[12] == 8 && p[13] == 0;
  }
  static rte_mbuf* flattened(rte_mbuf* m) {
    rte_mbuf* copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
    if (copy == nullptr) return m;
    rte_pktmbuf_free(m);
    return copy;
  }
  // A copy with one bit wrong behind the Ethernet header: the sender still needs the original.
  rte_mbuf* flipped(rte_mbuf* m) {
    rte_mbuf* copy = m->pkt_len > 1500 ? nullptr : rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
    if (copy == nullptr) return m;
    rte_pktmbuf_free(m);
    rte_pktmbuf_mtod(copy, u8*)[14 + rng_.below(copy->data_len - 14u)] ^= static_cast<u8>(1u << rng_.below(8));
    return copy;
  }
  static void put(rte_ring& ring, rte_mbuf* m) {
    if (rte_ring_enqueue(&ring, m) != 0) rte_pktmbuf_free(m);
  }

  Rng rng_;
  bool flat_;
  u32 loss_, twice_, late_, corrupt_;
  std::vector<std::pair<rte_ring*, rte_mbuf*>> held_;
};

constexpr wire::Ip4 kGoodVip = wire::Ip4::of(10, 9, 0, 1);
constexpr wire::Ip4 kBadVip = wire::Ip4::of(10, 9, 0, 2);
constexpr wire::Ip4 kRawVip = wire::Ip4::of(10, 9, 0, 3);

class Storm {
 public:
  explicit Storm(u64 seed)
      : seed_(seed), rng_(seed), strict_(!rng_.chance(350)), flat_(rng_.chance(700)), world_("st" + std::to_string(seed), 4, 0, sizes()),
        faults_(make_faults()), endpoints_(world_, seed + 1), clients_(world_, seed + 2) {
    world_.tamper = [this](rte_ring& ring) { faults_(ring); };
    world_.client_app = [this] { clients_.step(); };
    world_.server_app = [this] { endpoints_.step(); };
    endpoints_.slow_permille = rng_.chance(300) ? rng_.below(900) : 0;
    for (u32 i = 0; i < 4; ++i) world_.server.tcp().listen(World::endpoint_ip(i), 8080, i);
    for (u32 i = 0; i < 2; ++i) world_.server.tcp().listen(World::endpoint_ip(i), 9090, i + kRawTag);
  }

  void run() {
    next_plan();
    blow();
    drain();
    settle();
    account();
    if (testing::Test::HasFailure()) print();
  }

 private:
  test::WorldSizes sizes() {
    test::WorldSizes s;
    s.host_packets = 8191;
    s.tcp = s.host_tcp = {.connections = 512, .time_wait_us = 500'000, .fin_timeout_us = strict_ ? 20'000'000u : 2'000'000u};
    s.tcp.rto_max_us = s.host_tcp.rto_max_us = 1'000'000;
    const u32 budgets[] = {20'000, 40'000, 100'000, 262'144};
    s.tcp.send_budget_bytes = budgets[rng_.below(4)];
    // Small segments in mbufs that the sender shares cannot be joined, and would fill a small budget for good.
    if (flat_) s.tcp.receive_budget_bytes = budgets[rng_.below(4)];
    s.host_tcp.receive_budget_bytes = budgets[rng_.below(4)];
    s.packets = 8191;
    if (!strict_) {
      s.tcp.connections = rng_.between(6, 60);
      s.tcp.half_open_max = rng_.between(2, 20);
      s.tcp.time_wait_max = rng_.between(2, 20);
      s.tcp.port_count = static_cast<u16>(rng_.between(4, 100));
      s.tcp.retransmits_max = s.host_tcp.retransmits_max = 6;
      s.packets = rng_.between(20, 400);
      s.indirect = rng_.between(10, 300);
      s.slices = rng_.between(10, 400);
    }
    return s;
  }
  Faults make_faults() {
    if (rng_.chance(400)) return {seed_, flat_, 0, 0, 0, 0};
    return {seed_, flat_, rng_.below(50), rng_.below(30), rng_.below(60), rng_.below(20)};
  }

  // A new plan, somewhat unlike the one before; the good service stays in a strict seed.
  void next_plan() {
    auto plan = std::make_unique<contract::Plan>();
    plan->generation = ++generation_;
    const auto add = [&](wire::Ip4 vip, contract::AppProtocol protocol, u32 first_ip, u16 port, u32 first_slot, bool stays) {
      contract::Service s;
      s.slot = static_cast<u32>(plan->services.size());
      s.discovery_name = s.port_name = "s" + std::to_string(s.slot);
      s.app_protocol = protocol;
      s.policy = rng_.chance(500) ? contract::BalancePolicy::round_robin : contract::BalancePolicy::maglev;
      s.hash_on = rng_.chance(500) ? contract::HashOn::request : contract::HashOn::source;
      s.first_endpoint = static_cast<u32>(plan->endpoints.size());
      const u32 which = stays ? rng_.between(1, 3) : rng_.below(4);
      for (u32 i = 0; i < 2; ++i) {
        if ((which >> i & 1) == 0) continue;
        if (rng_.chance(50)) ++incarnation_[first_slot + i];
        plan->endpoints.push_back({.ip = World::endpoint_ip(first_ip + i), .port = port, .slot = first_slot + i,
                                   .incarnation = incarnation_[first_slot + i], .id = "e" + std::to_string(first_slot + i)});
        ++s.endpoint_count;
      }
      s.weight_sum = s.endpoint_count;
      if (s.endpoint_count > 0) {
        for (u32 i = 0; i < 251; ++i) s.maglev.push_back(static_cast<u16>(i % s.endpoint_count));
      }
      s.health_check.kind = rng_.chance(500) ? contract::HealthCheckKind::http : contract::HealthCheckKind::tcp;
      s.health_check.timeout_us = 100'000;
      s.health_check.request = "GET /probe HTTP/1.1\r\nHost: web\r\n\r\n";
      if (!stays) s.timeouts = {.per_request_us = 800'000, .idle_us = 1'000'000, .connect_us = 300'000};
      if (stays) s.timeouts.per_request_us = 60'000'000;
      plan->services.push_back(s);
      if (stays || rng_.chance(850)) {
        plan->listeners.push_back({.ip = vip, .port = 80, .service = s.slot, .name = s.port_name + ":80"});
      }
    };
    add(kGoodVip, contract::AppProtocol::http, 0, 8080, 0, strict_);
    add(kBadVip, contract::AppProtocol::http, 2, 8080, 2, false);
    add(kRawVip, contract::AppProtocol::tcp, 0, 9090, 4, strict_);
    plan->limits.upstream_idle_us = rng_.between(2'000, 500'000);
    plan->limits.upstream_idle_per_endpoint = rng_.below(8);
    if (!strict_) {
      for (auto& service : plan->services) {
        service.retry.retries = rng_.between(0, 4);
        service.retry.per_try_us = rng_.chance(300) ? 100'000 : 0;
        service.retry.body_bytes = rng_.chance(500) ? 2000 : 65'536;
        service.breakers = {.connections = rng_.below(4), .pending = rng_.below(8), .requests = rng_.below(20), .adaptive = rng_.chance(300)};
      }
      plan->limits.header_timeout_us = 500'000;
      plan->limits.client_idle_us = 1'000'000;
      plan->limits.requests_per_connection = rng_.below(5);
      plan->limits.request_body_bytes = rng_.chance(300) ? 2000 : 0;
    }
    world_.adopt(*plan);
    plan_ = plan.get();
    plans_.push_back(std::move(plan));
  }

  void read_mail() {
    contract::Mail mail;
    while (world_.outbox.pop(mail)) {
      if (mail.kind == MailKind::plan_retired) {
        const auto at = std::find_if(plans_.begin(), plans_.end(), [&](auto& p) { return p.get() == mail.plan; });
        ASSERT_NE(at, plans_.end()) << "a plan retired twice";
        ASSERT_EQ(mail.plan->use[0].holders, 0u);
        plans_.erase(at);  // whoever uses it now is found by the address sanitizer
      } else if (mail.kind == MailKind::probe_done) {
        ++probes_done_;
      } else if (mail.kind == MailKind::drained) {
        ++drained_;
      }
    }
  }

  void probe() {
    if (plan_->endpoints.empty()) return;
    contract::Mail mail;
    mail.kind = MailKind::probe;
    mail.plan = plan_;
    mail.probe.endpoint = rng_.below(static_cast<u32>(plan_->endpoints.size()));
    while (mail.probe.endpoint >= plan_->services[mail.probe.service].first_endpoint +
                                      plan_->services[mail.probe.service].endpoint_count) {
      ++mail.probe.service;
    }
    if (world_.inbox.push(mail)) ++probes_;
  }

  void disturb() {
    if (swaps_ && rng_.chance(2)) next_plan();
    if (rng_.chance(4)) world_.board.store(rng_.below(6), rng_.chance(500) ? u32{0} : u32{contract::kHealthFailing});
    if (rng_.chance(4)) probe();
    if (rng_.chance(3)) {
      const u32 e = rng_.between(2, 3);
      refusing_[e - 2] = !refusing_[e - 2];
      if (refusing_[e - 2]) world_.server.tcp().unlisten(World::endpoint_ip(e), 8080);
      else world_.server.tcp().listen(World::endpoint_ip(e), 8080, e);
    }
  }

  void begin_client() {
    const u32 kind = rng_.below(10);
    const bool raw = kind == 9;
    const bool careful = kind < 7 || (raw && rng_.chance(600));
    const bool good = raw || (careful ? kind < 5 : rng_.chance(500));
    const wire::Ip4 vip = raw ? kRawVip : good ? kGoodVip : kBadVip;
    if (clients_.begin(vip, careful, strict_ && careful && good, raw)) ++begun_;
  }

  // Short steps while there is something to do, long ones when all wait for a timer.
  void step() {
    const bool quiet = world_.worker->engine().quiet() && world_.client.tcp().quiet() && world_.server.tcp().quiet();
    const u64 before = world_.count(contract::Counter::tcp_segments_in);
    world_.step(idle_steps_ < 30 ? rng_.between(5, 150) : idle_steps_ < 300 ? 500 : 4000);
    read_mail();
    idle_steps_ = !quiet && world_.count(contract::Counter::tcp_segments_in) != before ? 0 : idle_steps_ + 1;
  }

  void blow() {
    const u32 total = rng_.between(10, 80);
    const u32 at_once = rng_.between(1, 40);
    const TimeUs end = world_.now_us + 120'000'000;
    while (begun_ < total || clients_.open() > 0) {
      if (begun_ < total && clients_.open() < at_once && rng_.chance(100)) begin_client();
      if (begun_ < total) disturb();
      step();
      if (!fine()) return;
      if (world_.now_us > end || (!strict_ && begun_ == total && rng_.chance(1))) break;
    }
    EXPECT_LE(world_.now_us, end) << "seed " << seed_ << ": " << clients_.open() << " clients never end; "
                                  << clients_.stalled(end, true);
  }
  bool fine() {
    EXPECT_EQ(clients_.error, "") << "seed " << seed_;
    EXPECT_EQ(endpoints_.error, "") << "seed " << seed_;
    const TimeUs long_ago = world_.now_us > 15'000'000 ? world_.now_us - 15'000'000 : 0;
    EXPECT_EQ(clients_.stalled(long_ago), "") << "seed " << seed_;
    return !testing::Test::HasFailure();
  }

  void drain() {
    contract::Mail mail;
    mail.kind = MailKind::drain;
    mail.drain_us = strict_ ? 5'000'000 : rng_.below(300'000);
    while (!world_.inbox.push(mail)) step();
    const TimeUs end = world_.now_us + 20'000'000;
    while (drained_ == 0 && world_.now_us < end) {
      if (!strict_ && rng_.chance(20)) begin_client();
      step();
    }
    EXPECT_EQ(drained_, 1u) << "seed " << seed_;
  }

  // Lets every timer run out.
  void settle() {
    faults_.stop();
    clients_.abort_all();
    const TimeUs end = world_.now_us + 60'000'000;
    while (world_.now_us < end && (world_.worker->engine().active() > 0 || plans_.size() > 1 || probes_done_ < probes_)) step();
    for (u32 i = 0; i < 20'000 && endpoints_.open() > 0; ++i) step();
    for (u32 i = 0; i < 64; ++i) step();
  }

  void account() {
    EXPECT_EQ(world_.worker->engine().active(), 0u) << "seed " << seed_;
    EXPECT_EQ(plans_.size(), 1u) << "seed " << seed_;
    EXPECT_EQ(probes_done_, probes_) << "seed " << seed_;
    EXPECT_EQ(plan_->use[0].holders, 0u) << "seed " << seed_;
    EXPECT_EQ(world_.stats.page.sessions_active.get(), 0u) << "seed " << seed_;
    EXPECT_EQ(world_.stats.page.upstream_idle.get(), 0u) << "seed " << seed_;
    for (u32 i = 0; i < 3; ++i) {
      const contract::ServiceStats& numbers = world_.stats.services[i];
      EXPECT_EQ(numbers.active.get(), 0u) << "seed " << seed_ << " service " << i;
      EXPECT_EQ(numbers.retrying.get(), 0u) << "seed " << seed_ << " service " << i;
      EXPECT_EQ(numbers.pending.get(), 0u) << "seed " << seed_ << " service " << i;
      EXPECT_EQ(numbers.upstreams.get(), 0u) << "seed " << seed_ << " service " << i;
    }
    for (u32 i = 0; i < 6; ++i) EXPECT_EQ(world_.stats.endpoints[i].active.get(), 0u) << "seed " << seed_ << " endpoint " << i;
    faults_.release();
    EXPECT_EQ(world_.audit(), "") << "seed " << seed_;
  }

  void print() {
    std::printf("seed %llu: %s, %u clients begun, %u answers, %u own, %u tunnels, plan %llu, now %llu us\n",
                static_cast<unsigned long long>(seed_), strict_ ? "strict" : "short of everything", begun_, clients_.answers,
                clients_.own_answers, clients_.tunnels, static_cast<unsigned long long>(generation_),
                static_cast<unsigned long long>(world_.now_us));
    test::print_counts("client ", world_.client.page());
    test::print_counts("server ", world_.server.page());
    test::print_counts("gateway", world_.stats.page);
  }

 public:
  u32 answers() const { return clients_.own_answers; }
  bool strict() const { return strict_; }

 private:
  u64 seed_;
  Rng rng_;
  bool strict_, flat_;
  bool swaps_ = rng_.chance(600);
  std::vector<std::unique_ptr<contract::Plan>> plans_;  // outlive the world's worker
  const contract::Plan* plan_ = nullptr;
  World world_;
  Faults faults_;
  Endpoints endpoints_;
  Clients clients_;
  u64 generation_ = 0;
  u32 incarnation_[6] = {};
  bool refusing_[2] = {};
  u32 begun_ = 0, probes_ = 0, probes_done_ = 0, drained_ = 0, idle_steps_ = 0;
};

TEST(Storm, NothingIsLostMixedUpOrLeftBehind) {
  test::start_eal();
  const u64 first = setting("RINGWAY_STORM_FIRST", 1);
  const u64 seeds = setting("RINGWAY_STORM_SEEDS", 60);
  u64 answers = 0, strict = 0;
  for (u64 seed = first; seed < first + seeds; ++seed) {
    if (setting("RINGWAY_STORM_SAY", 0) != 0) std::fprintf(stderr, "seed %llu\n", static_cast<unsigned long long>(seed));
    Storm storm(seed);
    storm.run();
    answers += storm.answers();
    if (storm.strict()) ++strict;
    if (HasFailure()) break;
  }
  std::printf("%llu seeds from %llu, %llu of them strict, %llu answers from endpoints checked\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(strict), static_cast<unsigned long long>(answers));
  if (seeds >= 20 && !HasFailure()) {
    EXPECT_GT(answers, 50 * seeds);
  }
}

}  // namespace
}  // namespace ringway::storm
