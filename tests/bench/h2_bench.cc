// What HTTP/2 costs beside HPACK: frame headers read and judged; payload through an engine by the size of its frames, in
// and out; a small request and its answer on a stream of its own.

#include <benchmark/benchmark.h>

#include <cstring>

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h2_engine.h"
#include "tests/support/eal.h"

namespace ringway {
namespace {

using namespace http;

void FrameHeaders(benchmark::State& state) {
  std::array<u8, 64 * kH2FrameHeaderBytes> bytes;
  for (u32 n = 0; n < 64; ++n) {
    static constexpr H2Type kTypes[4] = {H2Type::data, H2Type::headers, H2Type::window_update, H2Type::ping};
    const H2Type type = kTypes[n % 4];
    h2_write_header(&bytes[n * kH2FrameHeaderBytes], {type == H2Type::ping ? 8u : 4u, type, 0, type == H2Type::ping ? 0 : n});
  }
  u32 faults = 0;
  for (auto _ : state) {
    for (u32 n = 0; n < 64; ++n) faults += h2_fault(h2_read_header(&bytes[n * kH2FrameHeaderBytes]), kH2FrameBytesLeast).error != H2Error::no_error;
    benchmark::DoNotOptimize(faults);
  }
  state.SetItemsProcessed(static_cast<i64>(state.iterations()) * 64);
}
BENCHMARK(FrameHeaders);

Bytes view(std::string_view s) { return {reinterpret_cast<const u8*>(s.data()), s.size()}; }
std::string frame(H2Type type, u8 flags, u32 stream, const std::string& payload) {
  std::string out(kH2FrameHeaderBytes, 0);
  h2_write_header(reinterpret_cast<u8*>(out.data()), {static_cast<u32>(payload.size()), type, flags, stream});
  return out + payload;
}

// A server's connection that has shaken hands with a client of large windows.
struct Bench {
  Bench() {
    test::start_eal();
    static int serial = 0;
    std::string error;
    pools = mbuf::Pools::make({.name = "h2b" + std::to_string(serial++), .packets = 8191, .indirect = 1023}, error);
    RW_ASSERT(pools != nullptr);
    page = std::make_unique<contract::CorePage>();
    engine = std::make_unique<H2Engine>(H2EngineConfig{.connections = 2, .streams = 512}, *pools, *page);
    conn = engine->open(H2Role::server, {.stream_window_bytes = 1u << 20}, 0);
    std::string settings(6, 0);
    h2_write_setting(reinterpret_cast<u8*>(settings.data()), {H2SettingId::initial_window_size, kH2WindowMost});
    input(std::string(kH2Preface) + frame(H2Type::settings, 0, 0, settings) + frame(H2Type::settings, kH2Ack, 0, ""));
    widen();
  }
  mbuf::Chain chain(const std::string& bytes) {
    mbuf::Chain c = pools->chain();
    for (std::size_t at = 0; at < bytes.size(); at += 1448) {
      mbuf::Pkt p = pools->alloc();
      const u32 n = static_cast<u32>(std::min<std::size_t>(1448, bytes.size() - at));
      std::memcpy(p.append(n), bytes.data() + at, n);
      RW_ASSERT(c.append(std::move(p)));
    }
    return c;
  }
  // The last event's stream.
  u32 input(const std::string& bytes) { return input(chain(bytes)); }
  u32 input(mbuf::Chain bytes) {
    engine->input(conn, std::move(bytes), now += 100);
    u32 stream = kNone32;
    H2Event e;
    while (engine->next_event(conn, e)) stream = e.stream;
    engine->take_output(conn).clear();
    return stream;
  }
  // All the window that the connection can have.
  void widen() {
    const u32 by = kH2WindowMost - static_cast<u32>(engine->send_window(conn));
    std::string payload(4, 0);
    wire::store_be32(reinterpret_cast<u8*>(payload.data()), by);
    if (by > kH2WindowMost / 2) input(frame(H2Type::window_update, 0, 0, payload));
  }

  std::unique_ptr<mbuf::Pools> pools;
  std::unique_ptr<contract::CorePage> page;
  std::unique_ptr<H2Engine> engine;
  u32 conn = kNone32;
  TimeUs now = 0;
};

// :method POST, :scheme http, :path /, :authority a
const std::string kPost("\x83\x86\x84\x41\x01" "a", 6);

// Each iteration: 16 kB of payload in frames of a size arrive, are told of and let go of.
void DataIn(benchmark::State& state) {
  Bench b;
  const u32 stream = b.input(frame(H2Type::headers, kH2EndHeaders, 1, kPost));
  const u32 each = static_cast<u32>(state.range(0));
  std::string bytes;
  for (u32 at = 0; at < 16'384; at += each) bytes += frame(H2Type::data, 0, 1, std::string(each, 'd'));
  mbuf::Chain packets = b.chain(bytes);
  for (auto _ : state) {
    b.input(packets.share());
    b.engine->discard(stream, b.engine->received(stream).bytes());
  }
  state.SetItemsProcessed(static_cast<i64>(state.iterations()) * (16'384 / each));
  state.SetBytesProcessed(static_cast<i64>(state.iterations()) * 16'384);
  state.counters["copied"] = static_cast<double>(b.page->counters[static_cast<u32>(contract::Counter::payload_copied)].get());
  packets.clear();
}
BENCHMARK(DataIn)->Arg(64)->Arg(1024)->Arg(16'384);

// Each iteration: a packet of 1448 octets is framed and leaves.
void DataOut(benchmark::State& state) {
  Bench b;
  const u32 stream = b.input(frame(H2Type::headers, kH2EndHeaders, 1, kPost));
  i64 sent = 0;
  for (auto _ : state) {
    mbuf::Chain bytes = b.pools->chain();
    mbuf::Pkt p = b.pools->alloc();
    p.append(1448);
    bytes.append(std::move(p));
    if (b.engine->send_space(stream) < 1448) {
      state.PauseTiming();
      b.widen();
      std::string payload(4, 0);
      wire::store_be32(reinterpret_cast<u8*>(payload.data()), 1u << 30);
      if (b.engine->send_window(b.conn, stream) < 1448) b.input(frame(H2Type::window_update, 0, 1, payload));
      state.ResumeTiming();
    }
    b.engine->send_data(stream, std::move(bytes), false);
    b.engine->take_output(b.conn).clear();
    sent += 1448;
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(sent);
}
BENCHMARK(DataOut);

// Each iteration: a request of eight fields on a stream of its own, a head and 100 octets back.
void RequestAnswer(benchmark::State& state) {
  Bench b;
  HpackEncoder encoder;
  ResponseHead head;
  const std::string answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\nserver: x\r\n\r\n";
  RW_ASSERT(read_response(view(answer), Method::get, {}, head).status == ReadStatus::complete);
  std::string block(1024, 0);
  u32 id = 1;
  for (auto _ : state) {
    u32 n = encoder.begin_block({reinterpret_cast<u8*>(block.data()), block.size()});
    const auto field = [&](std::string_view name, std::string_view value) {
      n += encoder.encode(FieldId::other, name, value, HpackEncoder::Index::yes, {reinterpret_cast<u8*>(block.data()) + n, block.size() - n});
    };
    field(":method", "GET");
    field(":scheme", "http");
    field(":path", "/api/v1/things");
    field(":authority", "things.internal");
    field("user-agent", "bench/1.0");
    field("accept", "*/*");
    field("x-request-id", "0123456789abcdef");
    field("x-tenant", "blue");
    const u32 stream = b.input(frame(H2Type::headers, kH2EndHeaders | kH2EndStream, id, block.substr(0, n)));
    id += 2;
    if (b.engine->send_space(stream) < 100) b.widen();
    b.engine->send_response(stream, head, {.via = "t"}, {}, false);
    mbuf::Chain body = b.pools->chain();
    mbuf::Pkt p = b.pools->alloc();
    p.append(100);
    body.append(std::move(p));
    b.engine->send_data(stream, std::move(body), true);
    b.engine->release(stream, H2Error::no_error);
    b.engine->take_output(b.conn).clear();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(RequestAnswer)->Iterations(1 << 18);  // identifiers end at 2^31

}  // namespace
}  // namespace ringway

BENCHMARK_MAIN();
