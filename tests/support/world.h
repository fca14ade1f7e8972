#pragma once
// A small network in one process: clients, a gateway and endpoints, joined by rings, under a clock that the test moves.
//
//   clients 10.1.0.2  --ring-->  gateway 10.1.0.1 | 10.2.0.1  --ring-->  endpoints 10.2.0.2, .3, ...
//
// The gateway is a real core::Worker on two ethdev ports. The far hosts are our own gate and tcp engine behind the same
// rings turned round, with an application of a few lines in the test. Nothing is mocked: ARP, handshakes and checksums
// happen. `step()` polls everybody once and moves the clock.

#include <functional>
#include <map>
#include <string>

#include "dataplane/core/worker.h"
#include "dataplane/gate/neighbours.h"
#include "src/contract/path_sizes.h"
#include "tests/support/cutter.h"
#include "tests/support/eal.h"
#include "tests/support/ring_port.h"

namespace ringway::test {

inline std::unique_ptr<mbuf::Pools> make_pools(const std::string& name, u32 packets = 16'383, u32 cache = 0,
                                               u32 indirect = 4095, u32 slices = 32'768) {
  std::string error;
  auto pools = mbuf::Pools::make(
      {.name = name, .packets = packets, .indirect = indirect, .slices = slices, .cache = cache}, error);
  if (pools == nullptr) std::fprintf(stderr, "%s\n", error.c_str());
  RW_ASSERT(pools != nullptr);
  return pools;
}

// A machine at the far end of a gateway port: TCP over our own engine, no application.
class Host {
 public:
  // `addresses`: all that it answers for; the first is its own. `gateway`: its next hop.
  Host(const std::string& name, RingPort& across, std::vector<wire::Ip4> addresses, wire::Ip4 gateway, u32 cache = 0,
       tcp::EngineConfig config = {.connections = 8192}, u32 packets = 16'383)
      : Host(name, across.from_gateway(), across.to_gateway(), std::move(addresses), gateway, cache, config, packets) {}
  // Between two rings that somebody else connects.
  Host(const std::string& name, rte_ring* rx, rte_ring* tx, std::vector<wire::Ip4> addresses, wire::Ip4 gateway,
       u32 cache = 0, tcp::EngineConfig config = {.connections = 8192}, u32 packets = 16'383)
      : pools_(make_pools(name, packets, cache)) {
    RW_ASSERT(rte_eth_from_rings(name.c_str(), &rx, 1, &tx, 1, 0) >= 0);
    mbuf::Pools* pools[] = {pools_.get()};
    std::string error;
    device_ = port::Device::open({.name = "net_ring_" + name}, pools, error);
    RW_ASSERT(device_ != nullptr);
    queue_ = std::make_unique<port::Queue>(*device_, u16{0}, *pools_, stats_.page);
    gate_ = std::make_unique<gate::Gate>(gate::GateConfig{.seed = 9, .book = &book_, .queues = {queue_.get()}, .neighbours = &neighbours_},
                                         *pools_, stats_.page);
    plan_.ports.push_back({.ip = addresses[0], .prefix_bits = 24, .next_hop = gateway});
    plan_.addresses.assign(addresses.begin(), addresses.end());
    std::sort(plan_.addresses.begin(), plan_.addresses.end());
    config.secret[0] = 7;
    config.secret[1] = 9;
    config.caps.multi_segs = true;
    config.caps.segs_max = 16;
    tcp_ = std::make_unique<tcp::Engine>(config, *pools_, stats_.page);
    gate_->adopt(plan_, false, 0);
  }
  ~Host() { stop(); }

  // Gives back every packet that connections, gate and queue hold.
  void stop() {
    tcp_.reset();
    gate_.reset();
    queue_.reset();
  }

  void receive(TimeUs now_us) {
    mbuf::Pkt burst[contract::kBurstMax];
    const u32 n = queue_->rx(burst);
    for (u32 i = 0; i < n; ++i) {
      gate::Segment segment;
      if (gate_->accept(burst[i], 0, now_us, segment)) tcp_->input(segment, std::move(burst[i]), now_us);
    }
    tcp_->timers(now_us, 64);
  }
  void transmit(TimeUs now_us) {
    do {
      out_.count = 0;
      tcp_->flush(out_, now_us);
      for (u32 i = 0; i < out_.count; ++i) gate_->send(on_the_wire(std::move(out_.items[i].pkt)), out_.items[i].dst, now_us);
    } while (out_.count == tcp::OutBatch::kCapacity);
    gate_->housekeeping(now_us);
    queue_->flush();
  }

  // From now on packets leave as copies in mbufs of `pools`, as a NIC would deliver them there; otherwise the receiver
  // gets the very mbufs that this host's retransmission queue still holds.
  void deliver_into(mbuf::Pools& pools) { deliver_into_ = &pools; }

  tcp::Engine& tcp() { return *tcp_; }
  mbuf::Pools& pools() { return *pools_; }
  contract::CorePage& page() { return stats_.page; }

  // Queues text on a connection, copied into fresh packets.
  void send(tcp::ConnId id, std::string_view text) {
    mbuf::Chain chain = pools_->chain();
    while (!text.empty()) {
      mbuf::Pkt pkt = pools_->alloc();
      RW_ASSERT(pkt);
      const std::size_t n = std::min<std::size_t>(text.size(), 1448);
      std::memcpy(pkt.append(static_cast<u32>(n)), text.data(), n);
      RW_ASSERT(chain.append(std::move(pkt)));
      text.remove_prefix(n);
    }
    tcp_->send(id, std::move(chain));
  }
  // Takes all that a connection has received.
  std::string take(tcp::ConnId id) {
    const mbuf::Chain bytes = tcp_->take(id, tcp_->received(id).bytes());
    std::string text(bytes.bytes(), '\0');
    bytes.copy_out(0, {reinterpret_cast<u8*>(text.data()), text.size()});
    return text;
  }

 private:
  mbuf::Pkt on_the_wire(mbuf::Pkt pkt) {
    if (deliver_into_ == nullptr) return pkt;
    mbuf::Pkt copy(rte_pktmbuf_copy(pkt.get(), deliver_into_->packets(), 0, pkt.total_bytes()));
    RW_ASSERT(copy);
    return copy;
  }

  mbuf::Pools* deliver_into_ = nullptr;
  std::unique_ptr<mbuf::Pools> pools_;
  contract::CoreStats stats_;
  contract::Plan plan_;
  gate::Neighbours neighbours_;
  lookup::AddressBook book_{9, 65'536};
  std::unique_ptr<port::Device> device_;
  std::unique_ptr<port::Queue> queue_;
  std::unique_ptr<gate::Gate> gate_;
  std::unique_ptr<tcp::Engine> tcp_;
  tcp::OutBatch out_;
};

// What a core has counted, for a failing test to print.
inline void print_counts(const char* who, const contract::CorePage& page) {
  for (u32 i = 0; i < contract::kCounterCount; ++i) {
    if (page.counters[i].get() != 0) std::printf("%s %s %llu\n", who, contract::kCounterTexts[i].name.data(),
                                                 static_cast<unsigned long long>(page.counters[i].get()));
  }
  for (u32 i = 0; i < contract::kVerdictCount; ++i) {
    if (page.verdicts[i].get() != 0) std::printf("%s %s %llu\n", who, contract::kVerdictNames[i].data(),
                                                 static_cast<unsigned long long>(page.verdicts[i].get()));
  }
}

// Frames on their way from a port with transmit offloads: from now on they are as its NIC would send them, in mbufs of `pools`.
inline void send_as_a_nic(rte_ring& frames, mbuf::Pools& pools) {
  for (u32 n = rte_ring_count(&frames); n > 0; --n) {
    void* taken = nullptr;
    if (rte_ring_dequeue(&frames, &taken) != 0) return;
    const mbuf::Pkt pkt(static_cast<rte_mbuf*>(taken));
    for (const Frame& frame : as_the_port_sends(pkt)) {
      mbuf::Pkt copy = pools.alloc();
      RW_ASSERT(copy);
      std::memcpy(copy.append(static_cast<u32>(frame.size())), frame.data(), frame.size());
      RW_ASSERT(rte_ring_enqueue(&frames, copy.release()) == 0);
    }
  }
}

// How large the parts of a World are; a test of shortages makes them small.
struct WorldSizes {
  u32 packets = 16'383, indirect = 4095, slices = 32'768;  // of the gateway
  u32 host_packets = 16'383;
  tcp::EngineConfig tcp{.connections = 8192};       // of the gateway; secrets and caps are filled in
  tcp::EngineConfig host_tcp{.connections = 8192};  // of clients and endpoints, likewise
  http::H2EngineConfig h2;                          // of the gateway
  std::vector<wire::Ip4> more_clients = {};         // addresses of the clients' host, beside World::kClient
};

// Everything together. `plan` is made by the test; its ports and addresses are filled in here.
class World {
 public:
  static constexpr wire::Ip4 kClient = wire::Ip4::of(10, 1, 0, 2);
  static constexpr wire::Ip4 kFront = wire::Ip4::of(10, 1, 0, 1);
  static constexpr wire::Ip4 kBack = wire::Ip4::of(10, 2, 0, 1);
  static constexpr wire::Ip4 endpoint_ip(u32 i) { return wire::Ip4{wire::Ip4::of(10, 2, 0, 2).v + i}; }

  explicit World(const std::string& name, u32 endpoints = 3, u32 cache = 0, const WorldSizes& sizes = {})
      : pools_(make_pools(name + "g", sizes.packets, cache, sizes.indirect, sizes.slices)), front_(name + "f", *pools_),
        back_(name + "b", *pools_),
        client(name + "c", front_, client_ips(sizes), kFront, cache, sizes.host_tcp, sizes.host_packets),
        server(name + "s", back_, endpoint_ips(endpoints), kBack, cache, sizes.host_tcp, sizes.host_packets),
        front_queue_(std::make_unique<port::Queue>(front_.device(), u16{0}, *pools_, stats.page)),
        back_queue_(std::make_unique<port::Queue>(back_.device(), u16{0}, *pools_, stats.page)) {
    core::WorkerConfig config;
    config.pools = pools_.get();
    config.queues = {front_queue_.get(), back_queue_.get()};
    config.board = &board;
    config.stats = &stats;
    config.inbox = &inbox;
    config.outbox = &outbox;
    config.neighbours = &neighbours_;
    config.tcp = sizes.tcp;
    config.h2 = sizes.h2;
    config.tcp.secret[0] = 1;
    config.tcp.secret[1] = 2;
    config.tcp.caps.multi_segs = true;
    config.tcp.caps.segs_max = 16;
    worker = std::make_unique<core::Worker>(config, now_us);
  }
  ~World() { stop(); }
  void stop() {
    worker.reset();
    front_queue_.reset();
    back_queue_.reset();
    client.stop();
    server.stop();
  }

  // Ends everybody and says what packet memory did not come back; empty is well.
  std::string audit() {
    stop();
    for (RingPort* port : {&front_, &back_}) {
      for (rte_ring* ring : {port->to_gateway(), port->from_gateway()}) {
        void* left = nullptr;
        while (rte_ring_dequeue(ring, &left) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(left));
      }
    }
    std::string missing;
    for (mbuf::Pools* pools : {pools_.get(), &client.pools(), &server.pools()}) {
      missing += pools->audit().value_or("");
    }
    return missing;
  }

  // Fills in ports and addresses, makes every endpoint healthy, and has the worker adopt it.
  void adopt(contract::Plan& plan) {
    plan.ports = {{.ip = kFront, .prefix_bits = 24, .mtu = 9001}, {.ip = kBack, .prefix_bits = 24, .mtu = 9001}};
    plan.addresses = {kFront, kBack};
    for (const contract::Listener& l : plan.listeners) plan.addresses.push_back(l.ip);
    plan.path_sizes = contract::path_sizes(plan.ports);
    std::sort(plan.addresses.begin(), plan.addresses.end());
    plan.addresses.erase(std::unique(plan.addresses.begin(), plan.addresses.end()), plan.addresses.end());
    for (const contract::Endpoint& e : plan.endpoints) board.store(e.slot, 0);
    contract::Mail mail;
    mail.kind = contract::MailKind::adopt_plan;
    mail.plan = &plan;
    RW_ASSERT(inbox.push(mail));
  }

  // One turn of everybody. Applications run between the hosts' receive and transmit.
  void step(u64 advance_us = 50) {
    now_us += advance_us;
    if (tamper) tamper(*front_.from_gateway());
    client.receive(now_us);
    if (client_app) client_app();
    client.transmit(now_us);
    if (tamper) tamper(*front_.to_gateway());
    worker->poll(now_us);
    if (tamper) tamper(*back_.from_gateway());
    server.receive(now_us);
    if (server_app) server_app();
    server.transmit(now_us);
    if (tamper) tamper(*back_.to_gateway());
    worker->poll(now_us);
  }
  void run_for(u64 us, u64 step_us = 50) {
    for (const TimeUs end = now_us + us; now_us < end;) step(step_us);
  }

  static std::vector<wire::Ip4> client_ips(const WorldSizes& sizes) {
    std::vector<wire::Ip4> ips{kClient};
    ips.insert(ips.end(), sizes.more_clients.begin(), sizes.more_clients.end());
    return ips;
  }
  static std::vector<wire::Ip4> endpoint_ips(u32 count) {
    std::vector<wire::Ip4> ips;
    for (u32 i = 0; i < count; ++i) ips.push_back(endpoint_ip(i));
    return ips;
  }

  TimeUs now_us = 1'000'000;
  contract::CoreStats stats;
  contract::HealthBoard board;
  core::Inbox inbox{64};
  core::Outbox outbox{4096};

 private:
  std::unique_ptr<mbuf::Pools> pools_;
  RingPort front_, back_;
  gate::Neighbours neighbours_;

 public:
  Host client, server;

 private:
  std::unique_ptr<port::Queue> front_queue_, back_queue_;

 public:
  std::unique_ptr<core::Worker> worker;
  std::function<void()> client_app, server_app;
  // Faults of the links: sees each ring of frames just before they are received, and may take out, put in and reorder.
  std::function<void(rte_ring& frames)> tamper;
  mbuf::Pools& gateway_pools() { return *pools_; }
  u64 count(contract::Counter c) const { return stats.page.counters[static_cast<u32>(c)].get(); }
};

// A plan with one service at 10.9.0.1:80 on the first `endpoints` endpoints, port 8080, round robin.
inline std::unique_ptr<contract::Plan> one_service_plan(u64 generation, u32 endpoints,
                                                        contract::AppProtocol protocol = contract::AppProtocol::http) {
  auto plan = std::make_unique<contract::Plan>();
  plan->generation = generation;
  contract::Service service;
  service.discovery_name = service.port_name = "web";
  service.app_protocol = protocol;
  service.policy = contract::BalancePolicy::round_robin;
  service.retry.backoff_base_us = service.retry.backoff_max_us = 1;  // tests ask what comes next, not when
  service.endpoint_count = endpoints;
  service.weight_sum = endpoints;
  for (u32 i = 0; i < endpoints; ++i) {
    plan->endpoints.push_back({.ip = World::endpoint_ip(i), .port = 8080, .slot = i, .incarnation = 1,
                               .id = "web/" + std::to_string(i)});
  }
  plan->services.push_back(service);
  plan->listeners.push_back({.ip = wire::Ip4::of(10, 9, 0, 1), .port = 80, .service = 0, .name = "web:80"});
  return plan;
}

}  // namespace ringway::test
