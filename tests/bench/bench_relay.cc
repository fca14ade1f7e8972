// bench_relay: the whole path of a request through the gateway, over in-memory rings.
//
// A synthetic client keeps C keep-alive connections busy, a synthetic endpoint answers; between them stands a real
// core::Worker with two ports: ARP, TCP on both legs with software checksums, HTTP/1.1 parsing, routing, balancing,
// rewriting, forwarding. Only the ticks spent inside Worker::poll are counted, so the far ends cost nothing in the
// figures; requests per second and core is the CPU's frequency over the ticks of one request.
//
// usage: bench_relay [requests] [connections] [response body bytes]

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/support/world.h"

namespace {

using namespace ringway;
using namespace ringway::test;

constexpr std::string_view kRequest =
    "GET /validate HTTP/1.1\r\nHost: auth-service:4000\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

u64 tsc_hz() {
  const auto begin = std::chrono::steady_clock::now();
  const Tsc first = read_tsc();
  while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(100)) {
  }
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin).count();
  return static_cast<u64>(static_cast<double>(read_tsc() - first) * 1e9 / static_cast<double>(ns));
}

struct Bench {
  World world{"rw", 2, 256};
  std::unique_ptr<contract::Plan> plan = one_service_plan(1, 2);
  std::string response;
  u64 wanted_bytes = 0;  // of one response as the client sees it; learned from the first
  std::vector<std::pair<tcp::ConnId, u64>> clients;
  u64 answered = 0, started = 0, failed = 0;

  Bench(u32 connections, u32 body) {
    response = "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: " +
               std::to_string(body) + "\r\n\r\n" + std::string(body, 'x');
    world.server.tcp().listen(World::endpoint_ip(0), 8080, 0);
    world.server.tcp().listen(World::endpoint_ip(1), 8080, 0);
    world.adopt(*plan);
    world.server_app = [this] { serve(); };
    world.client_app = [this] { drive(); };
    world.run_for(2000);
    for (u32 i = 0; i < connections; ++i) {
      const auto id = world.client.tcp().connect(World::kClient, wire::Ip4::of(10, 9, 0, 1), 80, i, world.now_us);
      clients.emplace_back(*id, 0);
    }
  }

  void serve() {
    tcp::AppEvent event;
    auto& tcp = world.server.tcp();
    while (tcp.next_event(event)) {
      if ((event.bits & tcp::kClosed) != 0) continue;
      if ((event.bits & tcp::kReadable) != 0) {
        tcp.discard(event.id, tcp.received(event.id).bytes());  // every request fits one segment
        world.server.send(event.id, response);
      }
      if ((event.bits & tcp::kPeerClosed) != 0) tcp.close(event.id);
    }
  }

  void drive() {
    tcp::AppEvent event;
    auto& tcp = world.client.tcp();
    while (tcp.next_event(event)) {
      if ((event.bits & tcp::kClosed) != 0) {
        ++failed;
        continue;
      }
      auto& [id, got] = clients[event.user];
      if ((event.bits & tcp::kConnected) != 0) ask(id);
      if ((event.bits & tcp::kReadable) == 0) continue;
      if (wanted_bytes == 0) learn(tcp.received(id));
      got += tcp.received(id).bytes();
      tcp.discard(id, tcp.received(id).bytes());
      if (wanted_bytes != 0 && got >= wanted_bytes) {
        ++answered;
        got = 0;
        ask(id);
      }
    }
  }

  void learn(const mbuf::Chain& in) {
    std::string text(in.bytes(), '\0');
    in.copy_out(0, {reinterpret_cast<u8*>(text.data()), text.size()});
    const auto end = text.find("\r\n\r\n");
    if (end != std::string::npos) wanted_bytes = end + 4 + response.size() - (response.find("\r\n\r\n") + 4);
  }

  void ask(tcp::ConnId id) {
    ++started;
    world.client.send(id, kRequest);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const u64 requests = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 500'000;
  const u32 connections = argc > 2 ? static_cast<u32>(std::strtoul(argv[2], nullptr, 10)) : 64;
  const u32 body = argc > 3 ? static_cast<u32>(std::strtoul(argv[3], nullptr, 10)) : 128;
  const bool huge = start_eal_huge(256);
  Bench bench(connections, body);
  auto& ticks = bench.world.stats.page.ticks;
  const auto spent = [&](contract::Regime r) {
    u64 sum = 0;
    for (auto& phase : ticks[static_cast<u32>(r)]) sum += phase.get();
    return sum;
  };
  const auto busy = [&] { return spent(contract::Regime::working) + spent(contract::Regime::back_pressured); };
  const auto until = [&](u64 count) {
    u64 steps = 0;
    for (; bench.answered < count && steps < 200'000'000; ++steps) bench.world.step(20);
    return steps;
  };
  until(std::min<u64>(requests / 10, 20'000));  // warm: pool, caches, ARP, upstream connections

  const u64 first = bench.answered;
  const u64 busy_before = busy();
  const u64 rx = bench.world.count(contract::Counter::rx_packets), tx = bench.world.count(contract::Counter::tx_packets);
  const u64 copied = bench.world.count(contract::Counter::payload_copied);
  const u64 linearized = bench.world.count(contract::Counter::tx_linearized);
  const u64 phases[3] = {ticks[1][0].get(), ticks[1][1].get(), ticks[1][2].get()};
  until(first + requests);
  const double done = static_cast<double>(bench.answered - first);
  const double per = static_cast<double>(busy() - busy_before) / done;
  const double hz = static_cast<double>(tsc_hz());
  const auto each = [&](u64 now, u64 before) { return static_cast<double>(now - before) / done; };
  std::printf("requests                 %12.0f (%u connections, %u-byte bodies, %llu failed)\n", done, connections, body,
              static_cast<unsigned long long>(bench.failed));
  std::printf("memory                   %12s\n", huge ? "2 MiB pages" : "4 KiB pages");
  std::printf("ticks per request        %12.0f\n", per);
  std::printf("  housekeeping           %12.0f\n", each(ticks[1][0].get(), phases[0]));
  std::printf("  receive, gate, tcp     %12.0f\n", each(ticks[1][1].get(), phases[1]));
  std::printf("  relay, tcp, transmit   %12.0f\n", each(ticks[1][2].get(), phases[2]));
  std::printf("requests/s per core      %12.0f (at %.2f GHz)\n", hz / per, hz / 1e9);
  std::printf("packets in per request   %12.2f\n", each(bench.world.count(contract::Counter::rx_packets), rx));
  std::printf("packets out per request  %12.2f\n", each(bench.world.count(contract::Counter::tx_packets), tx));
  std::printf("payload bytes copied     %12llu\n",
              static_cast<unsigned long long>(bench.world.count(contract::Counter::payload_copied) - copied));
  std::printf("packets linearized       %12llu\n",
              static_cast<unsigned long long>(bench.world.count(contract::Counter::tx_linearized) - linearized));
  return bench.failed == 0 && done > 0 ? 0 : 1;
}
