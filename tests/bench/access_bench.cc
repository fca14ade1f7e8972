// Who a source is, by the plan's sorted ranges (contract::Callers) and by DPDK's access control lists (rte_acl) over the same
// networks, one address at a time as a session asks.
//
// Both come out of one file: the networks are `callers`, and gateway.ingress refuses them. A list of gateway.ingress also holds
// the destination and its port, for any; it says whether, not who. Addresses are random: half of them from a network of the
// file, half from anywhere in IPv4 or fd00::/8. docs/performance.md has the ratios.

#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "control/compile/compile.h"
#include "control/config/load.h"
#include "dataplane/gate/ingress.h"
#include "src/base/assert.h"
#include "src/wire/text.h"
#include "tests/support/eal.h"

namespace ringway {
namespace {

using wire::Ip;
using wire::Ip4;
using wire::Ip6;
using wire::Ip6Prefix;

constexpr u32 kAddresses = 8192;  // more than a branch predictor learns by heart
constexpr u32 kCallers = 100;
constexpr u32 kListMax = 1000;    // networks of one ingress rule
constexpr u64 kLocal = u64{0xfd} << 56;

// Lengths of IPv4 are 20 to 28, of IPv6 48 to 64.
Ip6Prefix random_network(std::mt19937_64& random, bool is6) {
  const u64 bits = random();
  if (!is6) {
    const u32 length = 20 + static_cast<u32>(random() % 9);
    const u32 network = static_cast<u32>(bits) & ~u32{0} << (32 - length);
    return {Ip6::from_halves(0, u64{0xffff} << 32 | network), static_cast<u8>(96 + length)};
  }
  const u32 length = 48 + static_cast<u32>(random() % 17);
  const u64 local = kLocal | bits >> 8;
  return {Ip6::from_halves(length == 64 ? local : local & ~u64{0} << (64 - length), 0), static_cast<u8>(length)};
}

Ip random_address(std::mt19937_64& random, bool is6, const Ip6Prefix* within) {
  const u64 high = random(), low = random();
  if (is6) return Ip(Ip6::from_halves(within == nullptr ? kLocal | high >> 8 : within->network.high(), low));
  const u32 host = within == nullptr ? static_cast<u32>(low) : static_cast<u32>(low) & ((1u << (128 - within->bits)) - 1);
  return Ip(Ip4{(within == nullptr ? 0 : static_cast<u32>(within->network.low())) | host});
}

struct Mesh {
  std::unique_ptr<contract::Plan> plan;
  std::vector<Ip> addresses;

  Mesh(bool is6, u32 count) {
    std::mt19937_64 random(count);
    std::set<std::string> seen;
    std::vector<Ip6Prefix> networks;
    while (networks.size() < count) {
      const Ip6Prefix network = random_network(random, is6);
      if (seen.insert(to_string(network)).second) networks.push_back(network);
    }
    compile_plan(networks);
    for (u32 i = 0; i < kAddresses; ++i) {
      addresses.push_back(random_address(random, is6, random() % 2 == 0 ? &networks[random() % count] : nullptr));
    }
    for (const Ip& a : addresses) RW_ASSERT(is_refused(a) == (plan->callers.caller_of(a) != kNone32));
  }

  bool is_refused(const Ip& a) const { return plan->ingress_acl->refuses(a, Ip(Ip4::of(10, 9, 0, 1)), 80); }

 private:
  static std::string list(const std::vector<Ip6Prefix>& networks, std::size_t first, std::size_t step, std::size_t end) {
    std::string out;
    for (std::size_t i = first; i < end; i += step) out += (out.empty() ? "\"" : ", \"") + to_string(networks[i]) + "\"";
    return "[" + out + "]";
  }
  void compile_plan(const std::vector<Ip6Prefix>& networks) {
    std::string callers = "callers:\n", rules;
    for (u32 c = 0; c < kCallers; ++c) callers += "- { name: c" + std::to_string(c) + ", cidrs: " + list(networks, c, kCallers, networks.size()) + " }\n";
    for (std::size_t at = 0; at < networks.size(); at += kListMax) {
      rules += "    - { action: deny, cidrs: " + list(networks, at, 1, std::min(at + kListMax, networks.size())) + " }\n";
    }
    const auto config = config::parse("gateway:\n  ports: [ { device: net_null0, address: 10.1.0.1/24 } ]\n  vipRange: 10.9.0.0/24\n  cores: [0]\n"
                                      "  ingress:\n    default: allow\n    rules:\n" + rules +
                                      "services: [ { portName: web, appProtocol: http, endpoints: [ { address: 10.2.0.2, port: 80 } ] } ]\n" + callers, "f");
    RW_ASSERT(config.has_value());
    registry::Registry registry;
    auto made = compile::compile(*config, registry, {.generation = 1});
    RW_ASSERT(made.has_value());
    plan = std::move(*made);
    const std::string error = gate::build_ingress(*plan);
    RW_ASSERT(error.empty());
  }
};

// A list of 10,000 takes a while to build, and a benchmark is begun many times.
const Mesh& mesh_of(const benchmark::State& state) {
  test::start_eal();  // before the lists, which end before it does
  static std::map<std::pair<i64, i64>, std::unique_ptr<Mesh>> meshes;
  auto& mesh = meshes[{state.range(0), state.range(1)}];
  if (mesh == nullptr) mesh = std::make_unique<Mesh>(state.range(0) == 6, static_cast<u32>(state.range(1)));
  return *mesh;
}

// Ranges: 4 or 6, networks.
void SourceByRanges(benchmark::State& state) {
  const Mesh& mesh = mesh_of(state);
  u32 at = 0, sum = 0;
  for (auto _ : state) sum += mesh.plan->callers.source_of(mesh.addresses[at++ % kAddresses]);
  benchmark::DoNotOptimize(sum);
}
void RefusedByAcl(benchmark::State& state) {
  const Mesh& mesh = mesh_of(state);
  u32 at = 0, sum = 0;
  for (auto _ : state) sum += mesh.is_refused(mesh.addresses[at++ % kAddresses]) ? 1u : 0u;
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(SourceByRanges)->ArgsProduct({{4, 6}, {100, 1000, 10'000}});
BENCHMARK(RefusedByAcl)->ArgsProduct({{4, 6}, {100, 1000, 10'000}});

}  // namespace
}  // namespace ringway

BENCHMARK_MAIN();
