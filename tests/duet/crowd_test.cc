// Two hundred thousand idle keep-alive connections on one core: each has asked once and was answered, then says nothing.
//
// A whole core holds them (tests/support/world.h) while a crowd of clients stands in front of it, so what
// the process grows by is what the gateway keeps per connection. They live through keepalive; some ask again; other
// clients are served meanwhile; when their idle time is over all end in order and every pool is full again.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "dataplane/relay/objects.h"
#include "dataplane/tcp/tcb.h"
#include "tests/support/crowd.h"

namespace ringway::test {
namespace {

constexpr u32 kIdle = 200'000;
constexpr u32 kAtOnce = 400;         // handshakes and requests under way while the crowd arrives
constexpr u64 kIdleSeconds = 900;    // then the gateway closes them
constexpr u64 kFlowTableBytes = 18;  // of the flow table for each, written at start
constexpr u64 kBytesMax = 512;       // of memory for each; docs/memory.md has the true figure
constexpr std::string_view kRequest = "GET /validate HTTP/1.1\r\nHost: auth-service:4000\r\n\r\n";
constexpr std::string_view kResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

u64 resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  u64 all = 0, resident = 0;
  statm >> all >> resident;
  return resident * static_cast<u64>(sysconf(_SC_PAGESIZE));
}

WorldSizes sizes() {
  WorldSizes s;
  s.tcp.connections = 262'144;
  s.tcp.keepalive_idle_us = 300'000'000;
  return s;
}

struct Idle : testing::Test {
  std::unique_ptr<contract::Plan> plan = make_plan();
  World world{"cr", 2, 0, sizes()};
  u64 asked = 0, answered = 0, failed = 0;

  static std::unique_ptr<contract::Plan> make_plan() {
    auto made = one_service_plan(1, 2);
    made->limits.client_idle_us = kIdleSeconds * 1'000'000;
    return made;
  }

  Idle() {
    world.server.tcp().listen(World::endpoint_ip(0), 8080, 0);
    world.server.tcp().listen(World::endpoint_ip(1), 8080, 0);
    world.adopt(*plan);
    world.server_app = [this] { serve(); };
    world.client_app = [this] { drive(); };
  }

  void serve() {
    tcp::AppEvent event;
    auto& tcp = world.server.tcp();
    while (tcp.next_event(event)) {
      if ((event.bits & tcp::kClosed) != 0) continue;
      if ((event.bits & tcp::kReadable) != 0) {
        tcp.discard(event.id, tcp.received(event.id).bytes());
        world.server.send(event.id, kResponse);
      }
      if ((event.bits & tcp::kPeerClosed) != 0) tcp.close(event.id);
    }
  }

  // The other clients: a connection for each request.
  void ask() {
    ++asked;
    const auto id = world.client.tcp().connect(World::kClient, wire::Ip4::of(10, 9, 0, 1), 80, 0, world.now_us);
    ASSERT_TRUE(id.has_value());
    world.client.send(*id, kRequest);
  }
  void drive() {
    tcp::AppEvent event;
    auto& tcp = world.client.tcp();
    while (tcp.next_event(event)) {
      if ((event.bits & tcp::kClosed) != 0) {
        ++failed;
      } else if ((event.bits & tcp::kReadable) != 0) {
        const std::string text = world.client.take(event.id);
        (text.starts_with("HTTP/1.1 200") ? answered : failed) += 1;
        tcp.close(event.id);
      }
    }
  }
  u64 busy_ticks() const {
    u64 sum = 0;
    for (const auto regime : {contract::Regime::working, contract::Regime::back_pressured})
      for (const auto& phase : world.stats.page.ticks[static_cast<u32>(regime)]) sum += phase.get();
    return sum;
  }
  // Serves `count` requests of the other clients; the gateway's ticks for each.
  double ticks_per_request(u32 count) {
    const u64 before = busy_ticks(), first = answered;
    for (u32 steps = 0; answered + failed < asked || answered - first < count; ++steps) {
      if (asked - answered - failed < 32 && answered - first + (asked - answered) < count) ask();
      world.step(50);
      if (steps > 4'000'000) break;
    }
    return static_cast<double>(busy_ticks() - before) / count;
  }
};

TEST_F(Idle, TwoHundredThousandConnectionsAreHeldWhileNewRequestsAreServedAndAllComesBack) {
  Crowd crowd(world, kIdle, wire::Ip4::of(10, 9, 0, 1), 80, kRequest);
  world.run_for(2000);
  ASSERT_TRUE(crowd.ready());
  const double alone = ticks_per_request(5000);
  const u64 before = resident_bytes();

  for (u32 opened = 0, steps = 0; crowd.answered < kIdle && steps < 200'000; ++steps) {
    for (u32 n = 0; n < 64 && opened < kIdle && opened - crowd.answered < kAtOnce; ++n) crowd.open(opened++);
    world.step(100);
  }
  const TimeUs arrived_us = world.now_us;
  world.run_for(200'000);
  ASSERT_EQ(crowd.answered, kIdle);
  const u64 each = (resident_bytes() - before) / kIdle;
  EXPECT_GE(world.worker->engine().active(), kIdle);
  EXPECT_LT(world.gateway_pools().packets_in_use(), 16u) << "an idle connection holds no packet";
  EXPECT_LE(each + kFlowTableBytes, kBytesMax);

  const double among = ticks_per_request(5000);
  EXPECT_EQ(failed, 0u);
  EXPECT_EQ(answered, asked);

  crowd.ask_again = 100;
  world.run_for(600'000'000, 1000);
  EXPECT_GE(crowd.probed, u64{kIdle}) << "everybody was asked whether they are there";
  EXPECT_GE(crowd.answered, kIdle + kIdle / 100) << "idle connections serve further requests";
  EXPECT_EQ(crowd.reset, 0u);
  EXPECT_GE(world.worker->engine().active(), kIdle);

  // Idle since it came, or since it asked again: until then nothing happens, then everybody goes within seconds.
  crowd.ask_again = 0;
  const TimeUs first_ends = arrived_us + kIdleSeconds * 1'000'000;
  world.run_for(first_ends - world.now_us, 2000);
  world.run_for(5'000'000, 50);
  while (world.now_us < first_ends + 700'000'000 && world.worker->engine().active() > 0) world.step(2000);
  EXPECT_GE(crowd.finished, u64{kIdle});
  EXPECT_EQ(crowd.reset, 0u);
  EXPECT_EQ(world.worker->engine().active(), 0u);
  std::printf("resident bytes per idle connection: %llu (tcp block %zu, session %zu)\n"
              "ticks per request and connection: %.0f alone, %.0f among %u idle ones\n",
              static_cast<unsigned long long>(each), sizeof(tcp::Tcb), sizeof(relay::Session), alone, among, kIdle);
  world.tamper = nullptr;
  EXPECT_EQ(world.audit(), "");
}

}  // namespace
}  // namespace ringway::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ringway::test::start_eal();
  return RUN_ALL_TESTS();
}
