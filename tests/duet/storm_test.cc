// The storm: a whole gateway core between many clients and endpoints that behave by a seed (storm_actors.h, storm_h2.h), over
// links that lose, repeat, reorder and corrupt frames, while plans of all kinds are swapped (storm_plan.h), shares of new
// versions move, endpoints change their health, probes run and memory may be tiny. It ends with a drain.
//
// In every seed: no assertion, every careful client got only its own answers, in order, well framed, or those that the plan
// in force gives; endpoints saw what routes make of a request, and nothing that was denied or turned away (storm_judge.h);
// rates, circuit breakers that stay the same and the rule that a POST is served once hold. Afterwards every pool is full,
// every gauge is zero, no plan is held and all old ones have retired. In a seed with enough memory the
// careful clients of the good service also got all of their answers. A failure names its seed:
// RINGWAY_STORM_FIRST=<seed> RINGWAY_STORM_SEEDS=1 storm
// RINGWAY_STORM_SEEDS says how many seeds to run (60).

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "tests/duet/storm_h2.h"

namespace ringway::storm {
namespace {

using contract::Counter;
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
      // Three lost ARP frames in a row keep a host silent for seconds, which is no fault of the gateway.
      if (rng_.chance(loss_) && is_ip(m)) {
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

// What has to happen in all seeds together: a storm without it proves nothing about it.
constexpr Counter kHappens[] = {
    Counter::access_denied, Counter::rate_limited, Counter::ingress_ended, Counter::route_answers, Counter::rewrites_refused,
    Counter::faults_delayed, Counter::faults_aborted, Counter::mirrors_sent, Counter::mirrors_dropped, Counter::upstream_retries,
    Counter::try_timeouts, Counter::tunnels, Counter::scans, Counter::h2_streams, Counter::drains_cut};
constexpr const char* kIsSeen[] = {"requests", "requests over HTTP/2", "copies of requests", "answers of routes",
                                   "answers of old versions", "answers of new versions", "flag UO", "flag RL", "flag UAEX", "flag FI"};

class Storm {
 public:
  explicit Storm(u64 seed)
      : seed_(seed), rng_(seed), strict_(!rng_.chance(350)), flat_(rng_.chance(700)), maker_(seed + 3, strict_),
        world_("st" + std::to_string(seed), kIps, 0, sizes()), faults_(make_faults()), judge_(maker_),
        endpoints_(world_, judge_, seed + 1), h2_endpoints_(world_, judge_, seed + 4), clients_(world_, judge_, seed + 2),
        h2_clients_(world_, judge_, seed + 5) {
    world_.tamper = [this](rte_ring& ring) { faults_(ring); };
    world_.client_app = [this] {
      each_event(world_.client, [this](tcp::AppEvent& e) { (e.user & kH2User) != 0 ? h2_clients_.on_event(e) : clients_.on_event(e); });
      clients_.step();
      h2_clients_.step();
    };
    world_.server_app = [this] {
      each_event(world_.server, [this](tcp::AppEvent& e) {
        const bool h2 = (e.bits & tcp::kAccepted) != 0 ? e.listener / kTagIps == kHttp2 : (e.user & kH2User) != 0;
        h2 ? h2_endpoints_.on_event(e) : endpoints_.on_event(e);
      });
      endpoints_.step();
      h2_endpoints_.step();
    };
    endpoints_.slow_permille = rng_.chance(300) ? rng_.below(900) : 0;
    clients_.hears_of_resets = h2_clients_.hears_of_resets = strict_ && !lossy_;
    judge_.shifts_stand = rng_.chance(500);
    for (u32 i = 0; i < kIps; ++i) {
      for (const Kind kind : {kHttp1, kRaw, kHttp2, kShadow}) listen(i, kind, true);
    }
  }

  void run() {
    next_plan();
    if (!plans_.empty()) blow();
    if (!plans_.empty()) drain();
    settle();
    account();
    if (testing::Test::HasFailure()) print();
  }

 private:
  template <class F>
  static void each_event(Host& host, F on_event) {
    tcp::AppEvent event;
    while (host.tcp().next_event(event)) on_event(event);
  }
  void listen(u32 endpoint, Kind kind, bool on) {
    auto& tcp = world_.server.tcp();
    on ? (void)tcp.listen(World::endpoint_ip(endpoint), kPorts[kind], endpoint + kTagIps * kind)
       : (void)tcp.unlisten(World::endpoint_ip(endpoint), kPorts[kind]);
  }

  test::WorldSizes sizes() {
    test::WorldSizes s;
    s.more_clients = {kStranger, kOutlaw, kBanned};
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
      if (rng_.chance(500)) s.h2 = {.connections = rng_.between(1, 20), .streams = rng_.between(1, 60)};
    }
    return s;
  }
  Faults make_faults() {
    lossy_ = !rng_.chance(400);
    if (!lossy_) return {seed_, flat_, 0, 0, 0, 0};
    return {seed_, flat_, rng_.below(50), rng_.below(30), rng_.below(60), rng_.below(20)};
  }

  // A new plan, unlike the one before; the good service stays in a strict seed.
  void next_plan() {
    auto plan = maker_.next(plan_);
    if (plan == nullptr) return;
    for (contract::Service& service : plan->services) set_times(service);
    contract::Limits& limits = plan->limits;
    limits.upstream_idle_us = rng_.between(2'000, 500'000);
    limits.upstream_idle_per_endpoint = rng_.below(8);
    limits.h2_stream_window_bytes = rng_.chance(500) ? 65'536 : rng_.between(1'000, 100'000);
    if (rng_.chance(300)) limits.h2_streams_per_connection = rng_.between(1, 20);
    if (!strict_) {
      limits.header_timeout_us = 500'000;
      limits.client_idle_us = 1'000'000;
      limits.requests_per_connection = rng_.below(5);
      limits.request_body_bytes = rng_.chance(300) ? 2000 : 0;
      limits.h2_age_us = rng_.chance(300) ? 50'000 : 0;
      limits.connections_per_source = rng_.chance(200) ? rng_.between(1, 20) : 0;
    }
    world_.adopt(*plan);
    say_who_left(*plan);
    plan_ = plan.get();
    plans_.push_back(std::move(plan));
    for (u32 i = 0; i < 2; ++i) shift(i, 0);
  }
  // Shorter than a file may say.
  void set_times(contract::Service& service) const {
    const bool stays = strict_ && (service.discovery_name.starts_with("good") || service.discovery_name == "raw");
    if (stays) service.timeouts.per_request_us = 60'000'000;
    else service.timeouts = {.per_request_us = 800'000, .idle_us = 1'000'000, .connect_us = 300'000};
    service.health_check.timeout_us = 100'000;
  }
  // As control does once a plan is adopted; here at once, which cores must bear as well.
  void say_who_left(const contract::Plan& next) {
    if (plan_ == nullptr) return;
    for (const contract::Endpoint& old : plan_->endpoints) {
      const auto is_old = [&](const contract::Endpoint& e) { return e.slot == old.slot; };
      if (std::any_of(next.endpoints.begin(), next.endpoints.end(), is_old)) continue;
      contract::Mail mail;
      mail.endpoint_slot = old.slot;
      mail.incarnation = old.incarnation;
      mail.kind = MailKind::endpoint_left;
      (void)world_.inbox.push(mail);
      if (strict_ || !rng_.chance(300)) continue;
      mail.kind = MailKind::endpoint_over;
      (void)world_.inbox.push(mail);
    }
  }
  const contract::Service& service(std::string_view name) const {
    return *std::find_if(plan_->services.begin(), plan_->services.end(), [&](auto& s) { return s.discovery_name == name; });
  }
  // Test traffic always goes to the new version of the good service or of the bad one.
  void shift(u32 which, u32 share) { maker_.shifts.set(service(which == 0 ? "good" : "bad").slot, share, true); }

  void read_mail() {
    contract::Mail mail;
    while (world_.outbox.pop(mail)) {
      if (mail.kind == MailKind::plan_retired) {
        const auto at = std::find_if(plans_.begin(), plans_.end(), [&](auto& p) { return p.get() == mail.plan; });
        ASSERT_NE(at, plans_.end()) << "a plan retired twice";
        ASSERT_EQ(mail.plan->use[0].holders, 0u);
        maker_.retire(mail.plan->generation);
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
    world_.board.at(world_.now_us);
    if (rng_.chance(8) && !plan_->endpoints.empty()) {
      const contract::Endpoint& e = plan_->endpoints[rng_.below(static_cast<u32>(plan_->endpoints.size()))];
      world_.board.store(e.slot, rng_.chance(500) ? u32{0} : u32{contract::kHealthFailing});
    }
    if (rng_.chance(4)) probe();
    if (rng_.chance(5)) {
      const u32 e = rng_.between(kGoodIps, kIps - 1);
      const Kind kind = static_cast<Kind>(rng_.below(4));
      listen(e, kind, std::exchange(refusing_[e][kind], !refusing_[e][kind]));
    }
    if (!judge_.shifts_stand && rng_.chance(10)) shift(rng_.below(2), rng_.below(contract::kWholeShare + 1));
  }

  void begin_client() {
    const u32 kind = rng_.below(10);
    Caller who;
    who.ip = rng_.chance(700) ? kShop : kStranger;
    who.careful = kind < 7 || (kind == 9 && rng_.chance(600));
    const bool good = who.careful ? kind < 5 || rng_.chance(500) : rng_.chance(500);
    who.vip = kind == 9 ? (good ? kRawVip : kBadRawVip) : good ? kGoodVip : kBadVip;
    if (rng_.chance(50)) who.ip = rng_.chance(700) ? kOutlaw : kBanned;
    const bool lawful = who.ip == kShop || who.ip == kStranger;
    who.must_succeed = strict_ && who.careful && good && lawful;
    const bool h2 = !who.raw() && rng_.chance(400);
    if (h2 ? h2_clients_.begin(who) : clients_.begin(who)) ++begun_;
  }

  // Short steps while there is something to do, long ones when all wait for a timer.
  void step() {
    const bool quiet = world_.worker->engine().quiet() && world_.client.tcp().quiet() && world_.server.tcp().quiet();
    const u64 before = world_.count(Counter::tcp_segments_in);
    world_.step(idle_steps_ < 30 ? rng_.between(5, 150) : idle_steps_ < 300 ? 500 : 4000);
    read_mail();
    watch_breakers();
    idle_steps_ = !quiet && world_.count(Counter::tcp_segments_in) != before ? 0 : idle_steps_ + 1;
  }

  void watch_breakers() {
    if (!maker_.fixed_breakers() || plan_ == nullptr) return;
    const contract::Service& bad = service("bad");
    const contract::ServiceStats& now = world_.stats.services[bad.slot];
    const auto within = [&](const char* what, const contract::Cell& cell, u32 most) {
      EXPECT_TRUE(most == 0 || cell.get() <= most) << "seed " << seed_ << ": " << cell.get() << " " << what << ", and " << most << " may be";
    };
    within("requests", now.active, bad.breakers.requests);
    within("connections", now.upstreams, bad.breakers.connections);
    within("retries", now.retrying, bad.breakers.retries);
    EXPECT_LE(now.pending.get(), bad.breakers.pending) << "seed " << seed_;
  }

  u32 open_clients() const { return clients_.open() + h2_clients_.open(); }
  void blow() {
    const u32 total = rng_.between(10, 80);
    const u32 at_once = rng_.between(1, 40);
    const TimeUs end = world_.now_us + 120'000'000;
    while (begun_ < total || open_clients() > 0) {
      if (begun_ < total && open_clients() < at_once && rng_.chance(100)) begin_client();
      if (begun_ < total) disturb();
      step();
      if (!fine()) return;
      if (world_.now_us > end || (!strict_ && begun_ == total && rng_.chance(1))) break;
    }
    EXPECT_LE(world_.now_us, end) << "seed " << seed_ << ": " << open_clients() << " clients never end; "
                                  << clients_.stalled(end, true) << h2_clients_.stalled(end, true);
  }
  bool fine() {
    for (const std::string* error : {&judge_.error, &clients_.error, &h2_clients_.error, &endpoints_.error, &h2_endpoints_.error}) {
      EXPECT_EQ(*error, "") << "seed " << seed_;
    }
    const TimeUs long_ago = world_.now_us > 15'000'000 ? world_.now_us - 15'000'000 : 0;
    EXPECT_EQ(clients_.stalled(long_ago) + h2_clients_.stalled(long_ago), "") << "seed " << seed_;
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
    asked_until_us_ = world_.now_us;
    EXPECT_EQ(drained_, 1u) << "seed " << seed_;
  }

  // Lets every timer run out.
  void settle() {
    faults_.stop();
    clients_.abort_all();
    h2_clients_.abort_all();
    const TimeUs end = world_.now_us + 60'000'000;
    while (world_.now_us < end && (world_.worker->engine().active() > 0 || plans_.size() > 1 || probes_done_ < probes_)) step();
    for (u32 i = 0; i < 20'000 && endpoints_.open() + h2_endpoints_.open() > 0; ++i) step();
    for (u32 i = 0; i < 64; ++i) step();
  }

  void account() {
    EXPECT_EQ(world_.worker->engine().active(), 0u) << "seed " << seed_;
    EXPECT_EQ(plans_.size(), 1u) << "seed " << seed_;
    EXPECT_EQ(probes_done_, probes_) << "seed " << seed_;
    EXPECT_EQ(plan_->use[0].holders, 0u) << "seed " << seed_;
    EXPECT_EQ(world_.stats.page.sessions_active.get(), 0u) << "seed " << seed_;
    EXPECT_EQ(world_.stats.page.upstream_idle.get(), 0u) << "seed " << seed_;
    for (u32 i = 0; i < contract::kServicesMax; ++i) {
      const contract::ServiceStats& numbers = world_.stats.services[i];
      EXPECT_EQ(numbers.active.get(), 0u) << "seed " << seed_ << " service " << i;
      EXPECT_EQ(numbers.retrying.get(), 0u) << "seed " << seed_ << " service " << i;
      EXPECT_EQ(numbers.pending.get(), 0u) << "seed " << seed_ << " service " << i;
      EXPECT_EQ(numbers.upstreams.get(), 0u) << "seed " << seed_ << " service " << i;
    }
    for (u32 i = 0; i < contract::kEndpointsMax; ++i) EXPECT_EQ(world_.stats.endpoints[i].active.get(), 0u) << "seed " << seed_ << " endpoint " << i;
    EXPECT_LE(judge_.rated(), maker_.admitted_most(asked_until_us_ - begun_us_)) << "seed " << seed_;
    EXPECT_EQ(judge_.error, "") << "seed " << seed_;
    faults_.release();
    h2_endpoints_.release();
    h2_clients_.release();
    world_.client_app = world_.server_app = nullptr;
    EXPECT_EQ(world_.audit(), "") << "seed " << seed_;
  }

  void print() {
    std::printf("seed %llu: %s, %u clients begun, %u answers, %u own, %u tunnels, plan %llu, now %llu us\n",
                static_cast<unsigned long long>(seed_), strict_ ? "strict" : "short of everything", begun_, judge_.answers,
                judge_.own_answers, clients_.tunnels, static_cast<unsigned long long>(maker_.generation()),
                static_cast<unsigned long long>(world_.now_us));
    test::print_counts("client ", world_.client.page());
    test::print_counts("server ", world_.server.page());
    test::print_counts("gateway", world_.stats.page);
  }

 public:
  u32 answers() const { return judge_.own_answers; }
  // Adds what has happened.
  void tell(std::map<std::string, u64>& everything) const {
    for (const auto& [what, times] : judge_.seen) everything[what] += times;
    for (const Counter c : kHappens) everything[name_of(c)] += world_.count(c);
    everything["ingress_refused"] += world_.stats.page.verdicts[static_cast<u32>(contract::Verdict::ingress_refused)].get();
    everything["plans"] += maker_.generation();
  }
  static std::string name_of(Counter c) { return std::string(contract::kCounterTexts[static_cast<u32>(c)].name); }
  bool strict() const { return strict_; }

 private:
  u64 seed_;
  Rng rng_;
  bool strict_, flat_, lossy_ = false;
  bool swaps_ = rng_.chance(600);
  PlanMaker maker_;  // its board outlives all plans
  std::vector<std::unique_ptr<contract::Plan>> plans_;  // outlive the world's worker
  const contract::Plan* plan_ = nullptr;
  World world_;
  Faults faults_;
  Judge judge_;
  Endpoints endpoints_;
  H2Endpoints h2_endpoints_;
  Clients clients_;
  H2Clients h2_clients_;
  const TimeUs begun_us_ = world_.now_us;
  TimeUs asked_until_us_ = begun_us_;
  bool refusing_[kIps][4] = {};
  u32 begun_ = 0, probes_ = 0, probes_done_ = 0, drained_ = 0, idle_steps_ = 0;
};

TEST(Storm, NothingIsLostMixedUpOrLeftBehind) {
  test::start_eal();
  const u64 first = setting("RINGWAY_STORM_FIRST", 1);
  const u64 seeds = setting("RINGWAY_STORM_SEEDS", 60);
  u64 answers = 0, strict = 0;
  std::map<std::string, u64> everything;
  for (u64 seed = first; seed < first + seeds; ++seed) {
    if (setting("RINGWAY_STORM_SAY", 0) != 0) std::fprintf(stderr, "seed %llu\n", static_cast<unsigned long long>(seed));
    Storm storm(seed);
    storm.run();
    answers += storm.answers();
    storm.tell(everything);
    if (storm.strict()) ++strict;
    if (HasFailure()) break;
  }
  std::printf("%llu seeds from %llu, %llu of them strict, %llu answers from endpoints checked\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(strict), static_cast<unsigned long long>(answers));
  for (const auto& [what, times] : everything) std::printf("%llu %s\n", static_cast<unsigned long long>(times), what.c_str());
  if (seeds >= 60 && !HasFailure()) {
    EXPECT_GT(answers, 50 * seeds);
    for (const Counter c : kHappens) EXPECT_GT(everything[Storm::name_of(c)], 0u) << Storm::name_of(c);
    for (const char* what : kIsSeen) EXPECT_GT(everything[what], 0u) << what;
    EXPECT_GT(everything["ingress_refused"], 0u);
  }
}

}  // namespace
}  // namespace ringway::storm
