// bench_relay: the whole path of a request through the gateway, over in-memory rings.
//
// A synthetic client keeps C connections busy, a synthetic endpoint answers; between them stands a real core::Worker
// with two ports: ARP, TCP on both legs with software checksums, HTTP/1.1 parsing, routing, balancing, rewriting,
// forwarding. Only the ticks spent inside Worker::poll are counted, so the far ends cost nothing in the figures;
// requests per second and core is the CPU's frequency over the ticks of one request. The far ends' packets arrive in
// mbufs of the gateway's own pool that nobody else holds, as a NIC would deliver them.
//
// The run is cut into 1000 parts, each shorter than what a scheduler lets a program run at a stretch: on a machine with
// other work the mean says how often we were interrupted, and the median part what a request costs meanwhile.
//
// usage: bench_relay [requests] [connections] [response body bytes] [keep|close|h2-h1|h1-h2|h2-h2] [software|checksums|tso] [streams]
//        [record|rules|ingress]
// `close`: every request on a client connection of its own, `Connection: close`. `h2-h1`: clients speak HTTP/2, each with
// so many streams at once (100), endpoints HTTP/1.1; and so on.
// `checksums`, `tso`: what the gateway's ports do for it; the far ends cut packets and fill in checksums as a NIC would.
// Last word: `record`: with the flight recorder at full. `rules`: the service has 100 access rules on paths, none of which
// holds, and a rate that is never used up; `ingress`: gateway.ingress has 100 rules, none of which holds.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "control/compile/trie.h"
#include "control/trace/memory.h"
#include "dataplane/gate/ingress.h"
#include "dataplane/http/h1_read.h"
#include "dataplane/http/h2_engine.h"
#include "src/contract/rate.h"
#include "tests/support/world.h"

namespace {

using namespace ringway;
using namespace ringway::test;

constexpr std::string_view kRequest =
    "GET /validate HTTP/1.1\r\nHost: auth-service:4000\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
constexpr std::string_view kLastRequest =
    "GET /validate HTTP/1.1\r\nHost: auth-service:4000\r\nUser-Agent: bench\r\nConnection: close\r\n\r\n";
constexpr u32 kParts = 1000;

u64 tsc_hz() {
  const auto begin = std::chrono::steady_clock::now();
  const Tsc first = read_tsc();
  while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(100)) {
  }
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin).count();
  return static_cast<u64>(static_cast<double>(read_tsc() - first) * 1e9 / static_cast<double>(ns));
}

struct Kind {
  bool close = false;      // one request per connection
  bool client_h2 = false;
  bool server_h2 = false;
  u32 streams = 100;       // at once, of each HTTP/2 client
};

// A far end's HTTP/2.
struct Speaker {
  explicit Speaker(Host& at) : host(at), h2({.connections = 4096, .streams = 65'536}, at.pools(), at.page()) {}

  void read(u32 conn, tcp::ConnId id, TimeUs now_us) {
    h2.input(conn, host.tcp().take(id, host.tcp().received(id).bytes()), now_us);
  }
  void flush(u32 conn, tcp::ConnId id) {
    if (h2.has_output(conn)) host.tcp().send(id, h2.take_output(conn));
  }
  mbuf::Chain bytes(u32 n) {
    mbuf::Chain chain = host.pools().chain();
    for (u32 part = 0; n > 0; n -= part) {
      part = std::min<u32>(n, 1400);
      mbuf::Pkt pkt = host.pools().alloc();
      RW_ASSERT(pkt);
      std::memset(pkt.append(part), 'x', part);
      RW_ASSERT(chain.append(std::move(pkt)));
    }
    return chain;
  }

  Host& host;
  http::H2Engine h2;
  std::vector<u32> conns;  // by user of the TCP connection
};

struct Bench {
  std::unique_ptr<contract::Plan> plan;  // outlives the exchanges that hold it
  World world;
  std::string response;
  u64 wanted_bytes = 0;  // of one response as the client sees it; learned from the first
  std::vector<std::pair<tcp::ConnId, u64>> clients;
  u64 answered = 0, failed = 0;
  Kind kind;
  u32 body_bytes;
  Speaker client{world.client}, server{world.server};
  http::RequestHead request_head;
  http::ResponseHead response_head;

  static WorldSizes sizes(std::string_view offloads) {
    WorldSizes s;
    s.tcp.caps.ip_checksum = s.tcp.caps.tcp_checksum = offloads != "software";
    s.tcp.caps.tso4 = offloads == "tso";
    s.tcp.caps.tso_segs_max = 16;
    return s;
  }

  // What control/compile would make of it.
  void add_rules() {
    contract::Admission admission;
    compile::TrieBuilder trie('/');
    admission.path_holds.assign(2 * 101, 0);
    for (u32 i = 0; i < 100; ++i) {
      admission.rules.push_back({.allow = false, .any_path = false});
      trie.set_prefix("/admin/" + std::to_string(i), i + 1);
      admission.path_holds[2 * (i + 1) + i / 64] = u64{1} << (i % 64);
    }
    admission.paths = trie.build();
    const contract::RateLimit limit = contract::rate_limit(1e7, 1'000'000, 1);
    admission.rate = std::make_shared<contract::RateLimiter>(limit, 1, 1);
    plan->callers.ranges = {{}};
    plan->callers.caller = {kNone32};
    plan->callers.words = 2;
    plan->callers.holds = {~u64{0}, (u64{1} << 36) - 1};
    plan->admissions.push_back(std::move(admission));
    plan->services[0].admission = 0;
  }
  void add_ingress() {
    for (u32 i = 0; i < 100; ++i) {
      const wire::Ip4 network{wire::Ip4::of(172, 16, 0, 0).v + (i << 8)};
      plan->ingress.rules.push_back({.allow = i % 2 != 0, .from = {contract::mapped(network, 24)}, .to = {{.port_first = 80, .port_last = 90}}});
    }
    RW_ASSERT(gate::build_ingress(*plan).empty());
  }

  Bench(u32 connections, u32 body, const Kind& how, std::string_view offloads, std::string_view extra)
      : plan(one_service_plan(1, 2, how.server_h2 ? contract::AppProtocol::http2 : contract::AppProtocol::http)),
        world("rw", 2, 256, sizes(offloads)), kind(how), body_bytes(body) {
    if (offloads != "software") {
      world.tamper = [this, n = 0u](rte_ring& frames) mutable {
        // To and from the gateway in turn: clients' side, then endpoints'.
        const u32 which = n++ & 3;
        if (which == 0) send_as_a_nic(frames, world.client.pools());
        if (which == 2) send_as_a_nic(frames, world.server.pools());
      };
    }
    world.client.deliver_into(world.gateway_pools());
    world.server.deliver_into(world.gateway_pools());
    response = "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: " +
               std::to_string(body) + "\r\n\r\n" + std::string(body, 'x');
    RW_ASSERT(http::read_request(as_bytes(kRequest), {}, request_head).status == http::ReadStatus::complete);
    RW_ASSERT(http::read_response(as_bytes(response), http::Method::get, {}, response_head).status == http::ReadStatus::complete);
    if (extra == "rules") add_rules();
    if (extra == "ingress") add_ingress();
    world.server.tcp().listen(World::endpoint_ip(0), 8080, 0);
    world.server.tcp().listen(World::endpoint_ip(1), 8080, 0);
    world.adopt(*plan);
    world.server_app = [this] { kind.server_h2 ? serve_streams() : serve(); };
    world.client_app = [this] { kind.client_h2 ? drive_streams() : drive(); };
    world.run_for(2000);
    clients.resize(connections);
    client.conns.resize(connections);
    for (u32 i = 0; i < connections; ++i) open(i);
  }

  static Bytes as_bytes(std::string_view text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }

  void serve_streams() {
    tcp::AppEvent event;
    auto& tcp = world.server.tcp();
    while (tcp.next_event(event)) {
      if ((event.bits & tcp::kAccepted) != 0) {
        event.user = server.conns.size();
        tcp.set_user(event.id, event.user);
        server.conns.push_back(server.h2.open(http::H2Role::server, {.streams_max = 1000}, world.now_us));
      }
      if ((event.bits & tcp::kClosed) != 0) continue;
      const u32 conn = server.conns[event.user];
      server.read(conn, event.id, world.now_us);
      http::H2Event seen;
      while (server.h2.next_event(conn, seen)) {
        if (seen.kind != http::H2EventKind::head) continue;
        RW_ASSERT(server.h2.send_response(seen.stream, response_head, {.via = "far"}, {}, false));
        RW_ASSERT(server.h2.send_data(seen.stream, server.bytes(body_bytes), true));
        server.h2.release(seen.stream, http::H2Error::no_error);
      }
      server.flush(conn, event.id);
    }
  }

  void ask(u32 conn) {
    const u32 stream = client.h2.open_stream(conn, 0);
    if (stream == kNone32) return;
    RW_ASSERT(client.h2.send_request(stream, request_head, {.client_ip = World::kClient, .via = "far"}, {}, true));
  }

  void drive_streams() {
    tcp::AppEvent event;
    auto& tcp = world.client.tcp();
    while (tcp.next_event(event)) {
      if ((event.bits & tcp::kClosed) != 0) {
        ++failed;
        continue;
      }
      u32& conn = client.conns[event.user];
      if ((event.bits & tcp::kConnected) != 0) {
        conn = client.h2.open(http::H2Role::client, {}, world.now_us);
        for (u32 i = 0; i < kind.streams; ++i) ask(conn);
      }
      client.read(conn, event.id, world.now_us);
      http::H2Event seen;
      while (client.h2.next_event(conn, seen)) {
        if (seen.stream == kNone32) continue;
        if (seen.kind == http::H2EventKind::reset) {
          ++failed;
          continue;
        }
        client.h2.discard(seen.stream, client.h2.received(seen.stream).bytes());
        if (!seen.end) continue;
        ++answered;
        client.h2.release(seen.stream, http::H2Error::no_error);
        ask(conn);
      }
      client.flush(conn, event.id);
    }
  }

  void open(u32 i) {
    const auto id = world.client.tcp().connect(World::kClient, wire::Ip4::of(10, 9, 0, 1), 80, i, world.now_us);
    RW_ASSERT(id.has_value());
    clients[i] = {*id, 0};
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
      if ((event.bits & tcp::kConnected) != 0) world.client.send(id, kind.close ? kLastRequest : kRequest);
      if ((event.bits & tcp::kReadable) == 0) continue;
      if (wanted_bytes == 0) learn(tcp.received(id));
      got += tcp.received(id).bytes();
      tcp.discard(id, tcp.received(id).bytes());
      if (wanted_bytes == 0 || got < wanted_bytes) continue;
      ++answered;
      got = 0;
      if (kind.close) {
        tcp.close(id);
        open(static_cast<u32>(event.user));
      } else {
        world.client.send(id, kRequest);
      }
    }
  }

  void learn(const mbuf::Chain& in) {
    std::string text(in.bytes(), '\0');
    in.copy_out(0, {reinterpret_cast<u8*>(text.data()), text.size()});
    const auto end = text.find("\r\n\r\n");
    if (end != std::string::npos) wanted_bytes = end + 4 + response.size() - (response.find("\r\n\r\n") + 4);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view extra = argv[argc - 1];
  const bool record = extra == "record";
  if (record || extra == "rules" || extra == "ingress") --argc;
  const u64 requests = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 500'000;
  const u32 connections = argc > 2 ? static_cast<u32>(std::strtoul(argv[2], nullptr, 10)) : 64;
  const u32 body = argc > 3 ? static_cast<u32>(std::strtoul(argv[3], nullptr, 10)) : 128;
  const std::string_view how = argc > 4 ? argv[4] : "keep";
  const Kind kind{.close = how == "close", .client_h2 = how.starts_with("h2-"), .server_h2 = how.ends_with("-h2"),
                  .streams = argc > 6 ? static_cast<u32>(std::strtoul(argv[6], nullptr, 10)) : 100};
  const bool huge = start_eal_huge(256);
  const std::string_view offloads = argc > 5 ? argv[5] : "software";
  std::string error;
  const auto recorded = trace::RecorderMemory::make("", 1, contract::kRecorderEventsDefault, tsc_hz(), error);
  RW_ASSERT(recorded != nullptr);
  Bench bench(connections, body, kind, offloads, extra);
  bench.world.stats.page.recorder.attach(recorded->ring(0));
  if (record) bench.world.stats.page.recorder.record(contract::kAllEventGroups);
  const auto& ticks = bench.world.stats.page.ticks;
  const auto busy = [&](u32 phase) {
    return ticks[static_cast<u32>(contract::Regime::working)][phase].get() +
           ticks[static_cast<u32>(contract::Regime::back_pressured)][phase].get();
  };
  const auto busy_all = [&] { return busy(0) + busy(1) + busy(2); };
  const auto until = [&](u64 count) {
    for (u64 steps = 0; bench.answered < count && steps < 200'000'000; ++steps) bench.world.step(20);
  };
  until(std::min<u64>(requests / 10, 20'000));  // warm: pool, caches, ARP, upstream connections

  using contract::Counter;
  constexpr Counter kShown[] = {Counter::rx_packets, Counter::tx_packets, Counter::payload_copied, Counter::tx_linearized,
                                Counter::tcp_retransmits};
  u64 before[std::size(kShown)];
  for (std::size_t i = 0; i < std::size(kShown); ++i) before[i] = bench.world.count(kShown[i]);
  const u64 phases[3] = {busy(0), busy(1), busy(2)};
  const u64 first = bench.answered;
  std::vector<double> parts;
  for (u32 part = 1; part <= kParts; ++part) {
    const u64 answered = bench.answered, spent = busy_all();
    until(first + requests * part / kParts);
    if (bench.answered == answered) continue;
    parts.push_back(static_cast<double>(busy_all() - spent) / static_cast<double>(bench.answered - answered));
  }
  const double done = static_cast<double>(bench.answered - first);
  if (done == 0) return 1;
  std::sort(parts.begin(), parts.end());
  const double hz = static_cast<double>(tsc_hz());
  const double median = parts[parts.size() / 2];
  const auto each = [&](u64 now, u64 then) { return static_cast<double>(now - then) / done; };
  const auto counted = [&](std::size_t i) { return bench.world.count(kShown[i]) - before[i]; };
  std::printf("requests                 %12.0f (%u connections, %u-byte bodies, %s, %s, %llu failed)\n", done, connections, body,
              how.data(), offloads.data(), static_cast<unsigned long long>(bench.failed));
  std::printf("memory                   %12s\n", huge ? "2 MiB pages" : "4 KiB pages");
  const double fast = parts[parts.size() / 10];
  std::printf("ticks per request        %12.0f (median part; fastest tenth below %.0f, mean %.0f)\n", median, fast,
              each(busy_all(), phases[0] + phases[1] + phases[2]));
  std::printf("  of the mean: housekeeping %.0f, receive to tcp %.0f, relay to transmit %.0f\n", each(busy(0), phases[0]),
              each(busy(1), phases[1]), each(busy(2), phases[2]));
  std::printf("requests/s per core      %12.0f (at %.2f GHz; fastest tenth above %.0f)\n", hz / median, hz / 1e9, hz / fast);
  if (body >= 1024) {
    std::printf("ticks per MB of body     %12.0f (%.2f Gbit/s of body)\n", median * 1e6 / body, hz / median * body * 8e-9);
  }
  std::printf("packets in per request   %12.2f\n", static_cast<double>(counted(0)) / done);
  std::printf("packets out per request  %12.2f\n", static_cast<double>(counted(1)) / done);
  std::printf("payload bytes copied     %12llu\n", static_cast<unsigned long long>(counted(2)));
  std::printf("packets linearized       %12llu\n", static_cast<unsigned long long>(counted(3)));
  std::printf("retransmissions          %12llu\n", static_cast<unsigned long long>(counted(4)));
  return bench.failed == 0 ? 0 : 1;
}
