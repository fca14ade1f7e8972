// Benchmarks of what every packet pays at the gate: the Internet checksum by length, and a segment's headers.

#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "dataplane/gate/segment_parse.h"
#include "src/wire/checksum.h"
#include "src/wire/ip4.h"
#include "src/wire/tcp.h"

namespace ringway {
namespace {

void checksum(benchmark::State& state) {
  const std::vector<u8> bytes(static_cast<std::size_t>(state.range(0)) + 1, 0x5a);
  for (auto _ : state) {
    // Payload begins at an odd place behind most headers.
    benchmark::DoNotOptimize(wire::checksum(Bytes(bytes).subspan(1)));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(20)->Arg(64)->Arg(512)->Arg(1460);

void segment_parse(benchmark::State& state, std::vector<u8> options) {
  std::vector<u8> packet(40 + options.size() + 100);
  wire::write_ip4(packet.data(), {.total_bytes = static_cast<u16>(packet.size()), .protocol = wire::kIpProtoTcp,
                                  .source = wire::Ip4{1}, .destination = wire::Ip4{2}});
  wire::write_tcp(&packet[20], {.source_port = 5555, .destination_port = 80,
                                .header_bytes = static_cast<u8>(20 + options.size()), .flags = gate::kAck});
  for (std::size_t i = 0; i < options.size(); ++i) packet[40 + i] = options[i];
  gate::Segment segment;
  for (auto _ : state) {
    benchmark::DoNotOptimize(gate::parse_segment(packet, static_cast<u32>(packet.size()), 7, segment));
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(segment_parse, no_options, std::vector<u8>{});
BENCHMARK_CAPTURE(segment_parse, timestamps, std::vector<u8>{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2});
BENCHMARK_CAPTURE(segment_parse, syn, std::vector<u8>{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7});

}  // namespace
}  // namespace ringway
