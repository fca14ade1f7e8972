// Two whole workers on ports of two queues each, and a network card between them and the far hosts that is the test's:
// it puts each frame into the queue that RSS, flow rules or chance name. Some thousand connections of clients, each with
// a connection to an endpoint of its own; what is asked is whether every packet of both legs comes to the core that owns
// it, and whether nothing breaks where it does not.

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <unordered_map>

#include "dataplane/port/steering.h"
#include "src/wire/eth.h"
#include "src/wire/ip4.h"
#include "src/wire/tcp.h"
#include "tests/support/world.h"

namespace ringway {
namespace {

using contract::Counter;
using contract::Verdict;
using port::Steering;
using test::World;

constexpr u32 kCores = 2;
constexpr u32 kConnections = 3000;
constexpr u32 kAtOnce = 48;
constexpr wire::Ip4 kVip = wire::Ip4::of(10, 9, 0, 1);
constexpr wire::Ip4 kCoreAddresses = wire::Ip4::of(10, 2, 0, 100);

// The queue for one frame. `tuple` is that of the receiving gateway; null when the frame is not TCP over IPv4.
using Card = std::function<u32(const wire::FourTuple* tuple)>;

class TwoCores : public testing::Test {
 protected:
  // A network port: what the far host sends is sorted into queues by the card, what the queues send is put together.
  struct Side {
    Side(const std::string& name, std::span<mbuf::Pools* const> pools)
        : port(name, pools, 2048), out(ring(name + "out")), in(ring(name + "in")) {}
    ~Side() {
      for (rte_ring* r : {out, in}) rte_ring_free(r);
    }
    static rte_ring* ring(const std::string& name) {
      rte_ring* r = rte_ring_create(name.c_str(), 2048, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
      RW_ASSERT(r != nullptr);
      return r;
    }
    test::RingPort port;
    rte_ring* out;  // what the far host sends
    rte_ring* in;   // what it receives
  };
  struct Core {
    std::unique_ptr<mbuf::Pools> pools;
    contract::CoreStats stats;
    core::Inbox inbox{64};
    core::Outbox outbox{4096};
    gate::HandoverRing handover{4095};
    std::unique_ptr<port::Queue> front, back;
    std::unique_ptr<core::Worker> worker;
  };

  void SetUp() override {
    test::start_eal();
    static int number = 0;
    name_ = "tc" + std::to_string(number++);
    std::vector<mbuf::Pools*> pools;
    for (u32 i = 0; i < kCores; ++i) {
      cores_[i].pools = test::make_pools(name_ + "g" + std::to_string(i), 8191, 0, 2047, 16'384);
      pools.push_back(cores_[i].pools.get());
    }
    front_ = std::make_unique<Side>(name_ + "f", pools);
    back_ = std::make_unique<Side>(name_ + "b", pools);
    client_ = std::make_unique<test::Host>(name_ + "c", front_->in, front_->out, std::vector{World::kClient},
                                           World::kFront, 0u, tcp::EngineConfig{.connections = 4096}, 8191u);
    server_ = std::make_unique<test::Host>(name_ + "s", back_->in, back_->out, World::endpoint_ips(3), World::kBack, 0u,
                                           tcp::EngineConfig{.connections = 4096}, 8191u);
  }

  // `choosers` false: local ports by slices although the mode is rss, as if the choice were not connected.
  void start(std::unique_ptr<Steering> steering, Card card, bool core_addresses = false, bool choosers = true) {
    steering_ = std::move(steering);
    card_ = std::move(card);
    std::vector<gate::HandoverRing*> handover;
    for (Core& core : cores_) handover.push_back(&core.handover);
    plan_ = test::one_service_plan(1, 3);
    plan_->ports = {{.ip = World::kFront, .prefix_bits = 24}, {.ip = World::kBack, .prefix_bits = 24}};
    plan_->addresses = {World::kFront, World::kBack, kVip};
    if (core_addresses) {
      plan_->ports[1].core_addresses = kCoreAddresses;
      for (u32 i = 0; i < kCores; ++i) plan_->addresses.push_back(plan_->ports[1].source(i));
    }
    std::sort(plan_->addresses.begin(), plan_->addresses.end());
    for (const contract::Endpoint& e : plan_->endpoints) board_.store(e.slot, 0);
    for (u32 i = 0; i < 3; ++i) server_->tcp().listen(World::endpoint_ip(i), 8080, i);
    for (u32 i = 0; i < kCores; ++i) {
      Core& core = cores_[i];
      core.front = std::make_unique<port::Queue>(front_->port.device(), static_cast<u16>(i), *core.pools, core.stats.page);
      core.back = std::make_unique<port::Queue>(back_->port.device(), static_cast<u16>(i), *core.pools, core.stats.page);
      core::WorkerConfig config;
      config.core = i;
      config.pools = core.pools.get();
      config.queues = {core.front.get(), core.back.get()};
      config.board = &board_;
      config.stats = &core.stats;
      config.inbox = &core.inbox;
      config.outbox = &core.outbox;
      config.neighbours = &neighbours_;
      config.steering = steering_.get();
      config.handover = handover;
      config.seed = i + 1;
      config.tcp.connections = 2048;
      config.tcp.secret[0] = 1;
      config.tcp.secret[1] = 2;
      config.tcp.caps.multi_segs = true;
      config.tcp.caps.segs_max = 16;
      config.tcp.port_first = steering_->slice(i).first;
      config.tcp.port_count = steering_->slice(i).count;
      config.tcp.port_chooser = choosers ? steering_->port_chooser(i) : nullptr;
      core.worker = std::make_unique<core::Worker>(config, now_us_);
      contract::Mail mail;
      mail.kind = contract::MailKind::adopt_plan;
      mail.plan = plan_.get();
      ASSERT_TRUE(core.inbox.push(mail));
    }
    for (u32 i = 0; i < 10; ++i) step();
  }

  void TearDown() override {
    for (Core& core : cores_) {
      core.worker.reset();
      gate::Handover passed;
      while (core.handover.pop(passed)) rte_pktmbuf_free(passed.packet);
      core.front.reset();
      core.back.reset();
    }
    client_->stop();
    server_->stop();
    for (const auto& side : {front_.get(), back_.get()}) {
      for (u32 q = 0; q < kCores; ++q) {
        drain(side->port.to_gateway(q));
        drain(side->port.from_gateway(q));
      }
      drain(side->out);
      drain(side->in);
    }
    for (const Core& core : cores_) EXPECT_EQ(core.pools->audit().value_or(""), "");
    EXPECT_EQ(client_->pools().audit().value_or(""), "");
    EXPECT_EQ(server_->pools().audit().value_or(""), "");
  }
  static void drain(rte_ring* ring) {
    void* left = nullptr;
    while (rte_ring_dequeue(ring, &left) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(left));
  }

  // --- the card

  static bool tcp_of(const rte_mbuf* frame, wire::FourTuple& tuple) {
    const u8* const p = rte_pktmbuf_mtod(frame, const u8*);
    if (wire::EthView(p).type() != wire::kEtherTypeIp4) return false;
    const wire::Ip4View ip(p + wire::kEthHeaderBytes);
    const wire::TcpView tcp(p + wire::kEthHeaderBytes + ip.header_bytes());
    tuple = {ip.destination(), ip.source(), tcp.destination_port(), tcp.source_port()};
    return ip.protocol() == wire::kIpProtoTcp;
  }
  void carry(Side& side) {
    void* frame = nullptr;
    while (rte_ring_dequeue(side.out, &frame) == 0) {
      wire::FourTuple tuple;
      const bool tcp = tcp_of(static_cast<rte_mbuf*>(frame), tuple);
      const u32 queue = card_(tcp ? &tuple : nullptr);
      RW_ASSERT(rte_ring_enqueue(side.port.to_gateway(queue), frame) == 0);
      if (tcp) ++frames_[queue];
    }
    for (u32 q = 0; q < kCores; ++q) {
      while (rte_ring_dequeue(side.port.from_gateway(q), &frame) == 0) RW_ASSERT(rte_ring_enqueue(side.in, frame) == 0);
    }
  }
  // As a NIC does it: TCP by the hash, the rest to queue 0.
  static Card by_rss(const port::Rss& rss) {
    return [nic = std::make_shared<lookup::Toeplitz>(rss.key), reta = rss.reta](const wire::FourTuple* t) {
      if (t == nullptr) return 0u;
      return u32{reta[nic->hash(t->remote.ip4(), t->local.ip4(), t->remote_port, t->local_port) % reta.size()]};
    };
  }
  static Card by_chance() {
    return [random = std::make_shared<std::mt19937>(16)](const wire::FourTuple*) { return static_cast<u32>((*random)() % kCores); };
  }
  static Card by_rules(std::vector<port::FlowRule> rules) {
    return [rules = std::move(rules), otherwise = by_chance()](const wire::FourTuple* t) {
      for (const port::FlowRule& r : rules) {
        if (t != nullptr && r.matches(t->local.ip4(), t->local_port)) return u32{r.queue};
      }
      return otherwise(t);
    };
  }
  static port::Rss rss(const lookup::RssKey& key) {
    port::Rss out{key, std::vector<u16>(128)};
    for (u32 i = 0; i < 128; ++i) out.reta[i] = static_cast<u16>(i % kCores);
    return out;
  }

  // --- the far ends

  void step() {
    now_us_ += 50;
    client_->receive(now_us_);
    run_clients();
    client_->transmit(now_us_);
    carry(*front_);
    for (Core& core : cores_) core.worker->poll(now_us_);
    carry(*back_);
    server_->receive(now_us_);
    run_server();
    server_->transmit(now_us_);
    carry(*back_);
    for (Core& core : cores_) core.worker->poll(now_us_);
    carry(*front_);
  }
  // Each connection asks once; the endpoint answers and closes, so that the next request needs another one, and the
  // gateway then closes the client's.
  void run_clients() {
    tcp::AppEvent event;
    tcp::Engine& tcp = client_->tcp();
    while (tcp.next_event(event)) {
      if (event.bits & tcp::kConnected) client_->send(event.id, "GET /a HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
      if ((event.bits & tcp::kReadable) && client_->take(event.id).starts_with("HTTP/1.1 200 OK\r\n")) ++answered_;
      if (event.bits & tcp::kPeerClosed) {
        tcp.close(event.id);
        --open_;
      } else if (event.bits & tcp::kClosed) {
        ++broken_;
        --open_;
      }
    }
    for (; open_ < kAtOnce && opened_ < wanted_; ++open_, ++opened_) {
      ASSERT_TRUE(tcp.connect(World::kClient, kVip, 80, opened_, now_us_));
    }
  }
  void run_server() {
    tcp::AppEvent event;
    tcp::Engine& tcp = server_->tcp();
    while (tcp.next_event(event)) {
      if (event.bits & tcp::kAccepted) ++served_;
      if (event.bits & tcp::kClosed) continue;
      if ((event.bits & tcp::kReadable) && server_->take(event.id).ends_with("\r\n\r\n")) {
        server_->send(event.id, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        tcp.close(event.id);
      }
    }
  }
  void run() {
    wanted_ = kConnections;
    for (u32 i = 0; i < 20'000 && (opened_ < wanted_ || open_ > 0); ++i) step();
    for (u32 i = 0; i < 200; ++i) step();
  }

  u64 count(Counter c) const {
    u64 n = 0;
    for (const Core& core : cores_) n += core.stats.page.counters[static_cast<u32>(c)].get();
    return n;
  }
  u64 count(Verdict v) const {
    u64 n = 0;
    for (const Core& core : cores_) n += core.stats.page.verdicts[static_cast<u32>(v)].get();
    return n;
  }
  // Nothing was lost, refused or asked for twice, and both cores had their share of both legs.
  void expect_whole() {
    EXPECT_EQ(answered_, kConnections);
    EXPECT_EQ(served_, kConnections);
    EXPECT_EQ(broken_, 0u);
    EXPECT_EQ(count(Counter::responses_2xx), kConnections);
    for (const Counter c : {Counter::tcp_resets_sent, Counter::tcp_reset_sent, Counter::tcp_reset_received,
                            Counter::tcp_retransmits, Counter::upstream_retries, Counter::tcp_connect_failed}) {
      EXPECT_EQ(count(c), 0u) << contract::kCounterTexts[static_cast<u32>(c)].name;
    }
    EXPECT_EQ(count(Verdict::tcp_no_listener), 0u);
    EXPECT_EQ(count(Verdict::handover_full), 0u);
    for (const Core& core : cores_) {
      for (const Counter c : {Counter::tcp_accepted, Counter::tcp_connected}) {
        EXPECT_GT(core.stats.page.counters[static_cast<u32>(c)].get(), kConnections / 3);
      }
    }
    EXPECT_GT(std::min(frames_[0], frames_[1]), kConnections * 2);
  }

  std::string name_;
  TimeUs now_us_ = 1'000'000;
  Core cores_[kCores];
  std::unique_ptr<Side> front_, back_;
  std::unique_ptr<test::Host> client_, server_;
  gate::Neighbours neighbours_;
  contract::HealthBoard board_;
  std::unique_ptr<contract::Plan> plan_;
  std::unique_ptr<Steering> steering_;
  Card card_;
  u64 frames_[kCores] = {};
  u32 wanted_ = 0, opened_ = 0, open_ = 0, answered_ = 0, broken_ = 0, served_ = 0;
};

port::SteeringConfig cores() { return {.cores = kCores, .port_addresses = {World::kFront, World::kBack}}; }

TEST(IdleSleep, IsASmallPartOfTheSilenceSoThatRoundTripsStayAsTheyAre) {
  for (u64 idle = 0; idle < 1'000'000; idle += 100) {
    const u32 sleep = core::idle_sleep_us(idle);
    EXPECT_GE(sleep, 20u);
    EXPECT_LE(sleep, std::max<u64>(20, idle / 32));
    EXPECT_LE(sleep, 250u);
  }
  EXPECT_EQ(core::idle_sleep_us(1'000'000), 250u);
}

TEST_F(TwoCores, RssBringsEveryPacketOfBothLegsToItsOwner) {
  const port::Rss nic = rss(lookup::kRssKeyMicrosoft);
  start(std::make_unique<Steering>(cores(), nic), by_rss(nic));
  run();
  expect_whole();
  EXPECT_EQ(count(Counter::handover_out), 0u);
}

// What the choice of ports is for.
TEST_F(TwoCores, RssWithPortsBySlicesLosesAnswers) {
  const port::Rss nic = rss(lookup::kRssKeyMicrosoft);
  start(std::make_unique<Steering>(cores(), nic), by_rss(nic), false, false);
  run();
  // The owner of the answers is the core that the table names, not the one that asked: nobody there knows them.
  EXPECT_GT(count(Verdict::tcp_no_listener), 0u);
  EXPECT_LT(answered_, kConnections);
}

TEST_F(TwoCores, Regret16_RssOfACardThatHashesOtherwiseIsMendedByHandover) {
  start(std::make_unique<Steering>(cores(), rss(lookup::kRssKeyMicrosoft)), by_rss(rss(lookup::kRssKeySymmetric)));
  run();
  expect_whole();
  EXPECT_GT(count(Counter::handover_out), kConnections);
  EXPECT_EQ(count(Counter::handover_in), count(Counter::handover_out));
}

TEST_F(TwoCores, HandoverNeedsNothingOfTheCard) {
  start(std::make_unique<Steering>(cores()), by_chance());
  ASSERT_EQ(steering_->mode(), Steering::Mode::handover);
  run();
  expect_whole();
  EXPECT_NEAR(static_cast<double>(count(Counter::handover_out)) / static_cast<double>(frames_[0] + frames_[1]), 0.5, 0.02);
}

TEST_F(TwoCores, RulesForSlicesOfPortsBringAnswersHome) {
  const Steering s(cores());
  start(std::make_unique<Steering>(cores()), by_rules(s.rules()));
  run();
  expect_whole();
  // Only packets of clients cross over: about half of those, where it would be half of all.
  EXPECT_LT(count(Counter::handover_out) * 10, (frames_[0] + frames_[1]) * 3);
}

TEST_F(TwoCores, RulesForAddressesOfCoresBringAnswersHome) {
  port::SteeringConfig config = cores();
  config.core_addresses = {kCoreAddresses};
  start(std::make_unique<Steering>(config), by_rules(Steering(config).rules()), true);
  run();
  expect_whole();
  EXPECT_LT(count(Counter::handover_out) * 10, (frames_[0] + frames_[1]) * 3);
}

}  // namespace
}  // namespace ringway
