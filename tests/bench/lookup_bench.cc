// What hashing, Maglev and the choice of ports cost: per packet, per request, per new connection, per plan.

#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "src/lookup/flow_hash.h"
#include "src/lookup/maglev.h"
#include "src/lookup/toeplitz.h"

namespace ringway::lookup {
namespace {

using wire::FourTuple;
using wire::Ip4;

std::vector<FourTuple> random_flows() {
  std::mt19937 random(1);
  std::vector<FourTuple> flows(1024);
  for (auto& f : flows)
    f = {Ip4{static_cast<u32>(random())}, Ip4{static_cast<u32>(random())}, static_cast<u16>(random()),
         static_cast<u16>(random())};
  return flows;
}

void FlowHash(benchmark::State& state) {
  const auto flows = random_flows();
  u32 at = 0, sum = 0;
  for (auto _ : state) sum += flow_hash(flows[at++ & 1023], 42);
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(FlowHash);

// Each hash waits for the one before: the latency that a lookup sees.
void FlowHashLatency(benchmark::State& state) {
  FourTuple f{Ip4::of(10, 0, 0, 1), Ip4::of(10, 0, 0, 2), 80, 0};
  for (auto _ : state) f.remote.v = flow_hash(f, 42);
  benchmark::DoNotOptimize(f);
}
BENCHMARK(FlowHashLatency);

// Range: bytes of the key (an address, a cookie, a path).
void HashBytes(benchmark::State& state) {
  const std::string key(static_cast<std::size_t>(state.range(0)), 'k');
  for (auto _ : state) benchmark::DoNotOptimize(hash_bytes(key, 0));
}
BENCHMARK(HashBytes)->Arg(4)->Arg(36)->Arg(200);

struct Mesh {
  explicit Mesh(u32 count) {
    for (u32 i = 0; i < count; i++) names.push_back(std::to_string(i) + ".backend:8080");
    for (const auto& name : names) endpoints.push_back({name, 1});
  }
  std::vector<std::string> names;
  std::vector<MaglevEndpoint> endpoints;
};

// Ranges: slots, endpoints.
void MaglevBuild(benchmark::State& state) {
  const Mesh mesh(static_cast<u32>(state.range(1)));
  for (auto _ : state) benchmark::DoNotOptimize(build_maglev(mesh.endpoints, static_cast<u32>(state.range(0))));
}
BENCHMARK(MaglevBuild)
    ->Args({65'537, 3})
    ->Args({65'537, 100})
    ->Args({65'537, 1000})
    ->Args({655'373, 1000})
    ->Unit(benchmark::kMillisecond);

// From a key's hash to an endpoint's index; the table of 65,537 slots is 128 KiB.
void MaglevPick(benchmark::State& state) {
  const Mesh mesh(100);
  const u32 slots = static_cast<u32>(state.range(0));
  const auto table = build_maglev(mesh.endpoints, slots);
  u64 hash = 1, sum = 0;
  for (auto _ : state) {
    hash = hash * 6'364'136'223'846'793'005u + 1;
    sum += table[maglev_slot(hash, slots)];
  }
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(MaglevPick)->Arg(65'537)->Arg(655'373);

void ToeplitzHash(benchmark::State& state) {
  const auto flows = random_flows();
  const Toeplitz t(kRssKeyMicrosoft);
  u32 at = 0, sum = 0;
  for (auto _ : state) {
    const FourTuple& f = flows[at++ & 1023];
    sum ^= t.hash(f.remote.ip4(), f.local.ip4(), f.remote_port, f.local_port);
  }
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(ToeplitzHash);

std::vector<u16> six_queues() {
  std::vector<u16> reta(128);
  for (std::size_t i = 0; i < reta.size(); i++) reta[i] = static_cast<u16>(i % 6);
  return reta;
}

void PortChooserBuild(benchmark::State& state) {
  const auto reta = six_queues();
  for (auto _ : state) benchmark::DoNotOptimize(RssPortChooser(kRssKeyMicrosoft, reta, 3, 1024, 65'535));
}
BENCHMARK(PortChooserBuild)->Unit(benchmark::kMicrosecond);

void PortChooserPick(benchmark::State& state) {
  const RssPortChooser chooser(kRssKeyMicrosoft, six_queues(), 3, 1024, 65'535);
  const auto flows = random_flows();
  u32 at = 0, draw = 1, sum = 0;
  for (auto _ : state) {
    const FourTuple& f = flows[at++ & 1023];
    draw = draw * 1'664'525u + 1'013'904'223u;
    sum += chooser.pick(f.remote.ip4(), f.remote_port, f.local.ip4(), draw);
  }
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(PortChooserPick);

// The way without buckets: try ports until one lands.
void PortByTrying(benchmark::State& state) {
  const Toeplitz t(kRssKeyMicrosoft);
  const auto reta = six_queues();
  const auto flows = random_flows();
  u32 at = 0, sum = 0;
  u16 port = 1024;
  for (auto _ : state) {
    const FourTuple& f = flows[at++ & 1023];
    while (reta[t.hash(f.remote.ip4(), f.local.ip4(), f.remote_port, ++port) & 127] != 3) {
    }
    sum += port;
  }
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(PortByTrying);

}  // namespace
}  // namespace ringway::lookup
