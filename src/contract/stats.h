#pragma once
// What a core measures: pages of u64 written by that core alone and read by anybody with relaxed loads.
//
// Counters only grow; gauges (active_*) go up and down. Control sums the pages of all cores. The core's recorder stands here
// too, because every room has the page at hand.
// Latency histograms are log-linear (base/hist.h), in microseconds.

#include <array>
#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include "src/base/cacheline.h"
#include "src/base/hist.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/contract/recorder.h"
#include "src/contract/verdict.h"

namespace ringway::contract {

enum class Counter : u16 {
#define RW_COUNTER(name, unit, sentence) name,
#include "src/contract/counters.def"
#undef RW_COUNTER
  count_
};
inline constexpr u32 kCounterCount = static_cast<u32>(Counter::count_);

struct CounterText {
  std::string_view name, unit, sentence;
};
inline constexpr std::array<CounterText, kCounterCount> kCounterTexts{{
#define RW_COUNTER(name, unit, sentence) {#name, unit, sentence},
#include "src/contract/counters.def"
#undef RW_COUNTER
}};

// A u64 with one writer: plain load, add, store; no locked instruction.
class Cell {
 public:
  void add(u64 n = 1) { v_.store(v_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void sub(u64 n = 1) { v_.store(v_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed); }
  void set(u64 n) { v_.store(n, std::memory_order_relaxed); }
  u64 get() const { return v_.load(std::memory_order_relaxed); }

 private:
  std::atomic<u64> v_{0};
};

// Where the ticks of a core went (design: {idle, working, back-pressured} x {housekeeping, before, after}).
enum class Regime : u8 { idle, working, back_pressured, count_ };
enum class Phase : u8 { housekeeping, before, after, count_ };  // before: rx to tcp; after: relay to tx

struct ServiceStats {
  Cell requests, responses[6];  // responses[status / 100], [0]: none was sent
  Cell active;                  // exchanges now
  Cell retries, timeouts, no_endpoint;
  Cell retrying;                // exchanges now that are at least at their second try
  Cell upstreams, pending;      // connections to endpoints now, and exchanges that wait for one
  Cell overflows;               // turned away by a circuit breaker
  Cell denied, limited;         // refused by access rules (TCP connections too), by a rate; not among `requests`
  Cell faulted;                 // answered by a route's fault
  Cell retries_denied;          // by the retry budget or a circuit breaker
  Cell concurrency;             // what adaptive concurrency allows now; 0 where it is off
  Cell bytes_in, bytes_out;     // payload of requests and responses
  Hist latency_us;              // head read to response's end
};

struct EndpointStats {
  Cell requests, responses[6];
  Cell active;                  // exchanges now: what bounded load reads
  Cell connections, connect_failures, resets;
  // What outlier detection counts against it: answers that are failures, and what broke before an answer. The third: of
  // the first, those that stand among `responses` as 2xx.
  Cell bad_answers, broken, grpc_failures;
};

struct RW_CACHE_ALIGNED CorePage {
  Recorder recorder;
  std::array<Cell, kCounterCount> counters;
  std::array<Cell, kVerdictCount> verdicts;
  std::array<std::array<Cell, static_cast<u32>(Phase::count_)>, static_cast<u32>(Regime::count_)> ticks;
  Cell polls;
  Cell connections_active, sessions_active, upstream_idle, mbufs_in_use, plan_generation;

  void count(Counter c, u64 n = 1) { counters[static_cast<u32>(c)].add(n); }
  [[gnu::noinline, gnu::cold]] void count(Verdict v, u64 n = 1) {  // not inlined: what goes on its way has none
    verdicts[static_cast<u32>(v)].add(n);
    recorder.note<EventKind::verdict>({.code = static_cast<u8>(v)});
  }
};

// All pages of one core. Sized at start for the largest plan, so that nothing is allocated later.
struct CoreStats {
  CorePage page;
  std::unique_ptr<ServiceStats[]> services = std::make_unique<ServiceStats[]>(kServicesMax);
  std::unique_ptr<EndpointStats[]> endpoints = std::make_unique<EndpointStats[]>(kEndpointsMax);
};

}  // namespace ringway::contract
