// What the parts of src/base cost on the packet path, and the ring between threads.
//
// Sizes are those of a busy core: a million timers and places, visited in random order, so that the caches miss as
// they would. `*Warm` is the same within the cache.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "src/base/hist.h"
#include "src/base/seqlock.h"
#include "src/base/slab.h"
#include "src/base/wheel.h"
#include "src/contract/ring.h"

namespace ringway {
namespace {

std::vector<u32> random_order(u32 count) {
  std::vector<u32> order(count);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  return order;
}

// Moving an armed timer, as an idle timeout does with every request. Range: how many timers.
void WheelArmMoves(benchmark::State& state) {
  const u32 ids = static_cast<u32>(state.range(0));
  const auto order = random_order(ids);
  Wheel w(ids, 0);
  for (u32 id = 0; id < ids; id++) w.arm(id, 1'000'000 + id * 30u);
  u32 at = 0;
  TimeUs deadline = 2'000'000;
  for (auto _ : state) {
    w.arm(order[at], deadline += 200);
    at = at + 1 == ids ? 0 : at + 1;
  }
}
BENCHMARK(WheelArmMoves)->Arg(1000)->Arg(1'000'000);

void WheelArmCancel(benchmark::State& state) {
  const u32 ids = static_cast<u32>(state.range(0));
  const auto order = random_order(ids);
  Wheel w(ids, 0);
  u32 at = 0;
  for (auto _ : state) {
    w.arm(order[at], 200'000);
    w.cancel(order[at]);
    at = at + 1 == ids ? 0 : at + 1;
  }
}
BENCHMARK(WheelArmCancel)->Arg(1000)->Arg(1'000'000);

// The whole life of a timer: armed 200 ms ahead, falls one level, fires and is armed again.
void WheelArmToExpire(benchmark::State& state) {
  const u32 ids = static_cast<u32>(state.range(0));
  Wheel w(ids, 0);
  std::mt19937 random(1);
  for (u32 id = 0; id < ids; id++) w.arm(id, random() % 200'000);
  TimeUs now = 0;
  u64 fired = 0;
  for (auto _ : state) {
    now += 128;
    fired += w.expire(now, 1 << 20, [&](u32 id) { w.arm(id, now + 200'000); });
  }
  state.SetItemsProcessed(static_cast<i64>(fired));
}
BENCHMARK(WheelArmToExpire)->Arg(10'000)->Arg(1'000'000);

// What a poll pays when nothing is due.
void WheelExpireNothing(benchmark::State& state) {
  Wheel w(100'000, 0);
  for (u32 id = 0; id < 100'000; id++) w.arm(id, TimeUs{1} << 45);
  TimeUs now = 0;
  for (auto _ : state) benchmark::DoNotOptimize(w.expire(now += 2, 64, [](u32) {}));
}
BENCHMARK(WheelExpireNothing);

struct Flow {
  u64 words[40];
};

void SlabAllocFreeWarm(benchmark::State& state) {
  Slab<Flow> slab(1000);
  for (auto _ : state) {
    const u32 i = slab.alloc();
    benchmark::DoNotOptimize(slab[i]);
    slab.free(i);
  }
}
BENCHMARK(SlabAllocFreeWarm);

void SlabAllocFreeScattered(benchmark::State& state) {
  constexpr u32 kPlaces = 200'000;
  Slab<Flow> slab(kPlaces);
  for (u32 i = 0; i < kPlaces; i++) slab.alloc();
  const auto order = random_order(kPlaces);
  u32 at = 0;
  for (auto _ : state) {
    slab.free(order[at]);
    benchmark::DoNotOptimize(slab.alloc());
    at = at + 1 == kPlaces ? 0 : at + 1;
  }
}
BENCHMARK(SlabAllocFreeScattered);

void HistRecord(benchmark::State& state) {
  Hist h;
  u64 v = 1;
  for (auto _ : state) {
    v = v * 6'364'136'223'846'793'005u + 1;
    h.record(v >> 44);
  }
}
BENCHMARK(HistRecord);

void SeqlockWrite(benchmark::State& state) {
  Seqlock<std::array<u64, 8>> lock;
  std::array<u64, 8> v{};
  for (auto _ : state) {
    v[0]++;
    lock.write(v);
  }
}
BENCHMARK(SeqlockWrite);

// One element of a cache line's size, pushed and popped by the same thread.
struct Note {
  u64 words[8];
};

template <contract::Producers producers>
void RingPushPop(benchmark::State& state) {
  contract::Ring<Note, producers> ring(1023);
  Note note{};
  for (auto _ : state) {
    ring.push(note);
    benchmark::DoNotOptimize(ring.pop(note));
  }
}
BENCHMARK(RingPushPop<contract::Producers::one>);
BENCHMARK(RingPushPop<contract::Producers::many>);

// There and back between two threads: half of it is one hop. With fewer than two idle cores this measures the
// scheduler.
void RingThereAndBack(benchmark::State& state) {
  contract::Ring<Note> there(63), back(63);
  std::atomic<bool> stop{false};
  std::thread echo([&] {
    Note n;
    while (!stop.load(std::memory_order_relaxed)) {
      if (there.pop(n)) {
        back.push(n);
      }
    }
  });
  Note note{};
  for (auto _ : state) {
    there.push(note);
    while (!back.pop(note)) {
    }
  }
  stop = true;
  echo.join();
}
BENCHMARK(RingThereAndBack)->UseRealTime();

}  // namespace
}  // namespace ringway
