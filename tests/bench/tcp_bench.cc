// What tcp costs: a lookup in the flow table by the number of flows, and one request with its answer through an engine
// (input, take, send, flush) with hot and with many connections.

#include <benchmark/benchmark.h>

#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/flow_table.h"
#include "src/lookup/flow_hash.h"
#include "tests/support/eal.h"
#include "tests/wire/decode.h"

namespace ringway {
namespace {

void FlowTableFind(benchmark::State& state) {
  const u32 flows = static_cast<u32>(state.range(0));
  tcp::FlowTable t(flows);
  const auto hash = [](u32 i) {
    return lookup::flow_hash({wire::Ip4{i}, wire::Ip4{7}, 80, static_cast<u16>(i)}, 42);
  };
  for (u32 i = 0; i < flows; ++i) t.insert(hash(i), i);
  u32 x = 1, sum = 0;
  for (auto _ : state) {
    x = x * 1664525 + 1013904223;
    const u32 i = static_cast<u32>(u64{x} * flows >> 32);
    sum += t.find(hash(i), [i](u32 v) { return v == i; });
  }
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(FlowTableFind)->Arg(1000)->Arg(65'536)->Arg(1'000'000);

struct Client {
  gate::Segment seg;
};

// Each iteration: one 100-byte request in, one 200-byte answer out, the answer acknowledged by the next request.
void RequestAnswer(benchmark::State& state) {
  test::start_eal();
  const u32 clients = static_cast<u32>(state.range(0));
  static int serial = 0;
  std::string error;
  auto pools = mbuf::Pools::make({.name = "tb" + std::to_string(serial++), .packets = 16'383, .indirect = 2047}, error);
  if (pools == nullptr) return state.SkipWithError(error.c_str());
  auto page = std::make_unique<contract::CorePage>();
  tcp::EngineConfig config;
  config.secret[1] = 5;
  tcp::Engine engine(config, *pools, *page);
  auto batch = std::make_unique<tcp::OutBatch>();
  engine.listen(wire::Ip4{1}, 80, 0);
  TimeUs now = 1'000'000;
  std::vector<Client> all(clients);
  std::vector<tcp::ConnId> ids(clients);
  const auto packet = [&](u32 bytes) {
    mbuf::Pkt p = pools->alloc();
    p.append(54 + bytes);
    p.drop_front(14);
    return p;
  };
  const auto drain = [&] {
    engine.flush(*batch, now);
    for (u32 i = 0; i < batch->count; ++i) batch->items[i].pkt.reset();
    batch->count = 0;
  };
  for (u32 i = 0; i < clients; ++i) {
    gate::Segment& s = all[i].seg;
    s.tuple = {wire::Ip4{1}, wire::Ip4{1000 + i}, 80, 4000};
    s.hash = lookup::flow_hash(s.tuple, config.secret[1]);
    s.flags = gate::kSyn;
    s.options.mss = 1460;
    s.window = 60'000;
    s.payload_offset = 40;
    engine.input(s, packet(0), now);
    engine.flush(*batch, now);
    std::string why;
    const auto answer = test::decode(test::gather(batch->items[0].pkt), why);
    batch->items[0].pkt.reset();
    batch->count = 0;
    s.seq += 1;
    s.ack = answer->seq + 1;
    s.flags = gate::kAck;
    engine.input(s, packet(0), now);
    tcp::AppEvent e;
    while (engine.next_event(e)) ids[i] = e.id;
    drain();
  }
  constexpr u32 kBurst = 32;
  u32 at = 0;
  for (auto _ : state) {
    now += 20;
    for (u32 b = 0; b < kBurst; ++b) engine.prefetch(all[(at + b) % clients].seg);
    for (u32 b = 0; b < kBurst; ++b) {
      gate::Segment& s = all[(at + b) % clients].seg;
      s.payload_bytes = 100;
      engine.input(s, packet(100), now);
      s.seq += 100;
    }
    engine.timers(now, 64);
    tcp::AppEvent e;
    while (engine.next_event(e)) {
      const mbuf::Chain request = engine.take(e.id, 100);
      mbuf::Pkt p = pools->alloc();
      p.append(200);
      mbuf::Chain answer = pools->chain();
      answer.append(std::move(p));
      engine.send(e.id, std::move(answer));
    }
    drain();
    for (u32 b = 0; b < kBurst; ++b) all[(at + b) % clients].seg.ack += 200;
    at = (at + kBurst) % clients;
  }
  state.SetItemsProcessed(static_cast<i64>(state.iterations()) * kBurst);
  const auto counter = [&](contract::Counter c) { return static_cast<double>(page->counters[static_cast<u32>(c)].get()); };
  state.counters["packets_per_request"] = counter(contract::Counter::tcp_segments_out) /
                                          static_cast<double>(static_cast<u64>(state.iterations()) * kBurst + clients);
}
BENCHMARK(RequestAnswer)->Arg(64)->Arg(4096)->Arg(12'288);  // below the pool: every client holds one unacknowledged answer

}  // namespace
}  // namespace ringway

BENCHMARK_MAIN();
