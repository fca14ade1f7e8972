#include "src/app/gateway.h"

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <sys/random.h>

#include <algorithm>

#include "src/app/eal.h"

namespace ringway::app {

namespace {

constexpr u32 kInboxMails = 4095;
constexpr u32 kOutboxMails = 16'383;
constexpr u32 kHandoverPackets = 4095;
constexpr u32 kIndirectPerPacket = 2;  // indirect mbufs: one for every second packet

port::Wanted wanted(config::Steering steering) {
  switch (steering) {
    case config::Steering::automatic: return port::Wanted::automatic;
    case config::Steering::handover: return port::Wanted::handover;
    case config::Steering::rss: return port::Wanted::rss;
    case config::Steering::flow: return port::Wanted::flow;
  }
  return port::Wanted::automatic;
}

u64 random_u64() {
  u64 out = 0;
  RW_ASSERT(getrandom(&out, sizeof(out), 0) == sizeof(out));
  return out;
}

}  // namespace

std::expected<std::unique_ptr<Gateway>, std::string> Gateway::build(const config::GatewayConfig& config) {
  std::unique_ptr<Gateway> gateway(new Gateway);
  gateway->tsc_hz_ = rte_get_tsc_hz();
  gateway->neighbours_ = std::make_unique<gate::Neighbours>();
  RW_ASSERT(getrandom(gateway->rss_key_.data(), gateway->rss_key_.size(), 0) == ssize_t{lookup::kRssKeyBytes});
  std::string error = gateway->make_pools(config);
  if (error.empty()) error = gateway->make_recorder(config.recorder);
  if (error.empty()) error = gateway->open_ports(config);
  if (!error.empty()) return std::unexpected(error);
  if (!config.kernel_tap.empty()) {
    const port::Device& first = *gateway->devices_.front();
    auto tap = KernelTap::open(config.kernel_tap, first.mac(), first.caps().mtu);
    if (!tap.has_value()) return std::unexpected(tap.error());
    gateway->tap_ = std::move(*tap);
  }
  gateway->make_workers(config);
  return gateway;
}

std::string Gateway::make_pools(const config::GatewayConfig& config) {
  const u32 count = static_cast<u32>(config.cores.size());
  for (u32 i = 0; i < count; i++) {
    auto core = std::make_unique<Core>();
    core->inbox = std::make_unique<core::Inbox>(kInboxMails);
    core->outbox = std::make_unique<core::Outbox>(kOutboxMails);
    core->handover = std::make_unique<gate::HandoverRing>(kHandoverPackets);
    core->tsc_hz = tsc_hz_;
    std::string error;
    mbuf::PoolConfig pool;
    pool.name = "core" + std::to_string(i);
    pool.packets = config.pools.packets / count;
    pool.data_bytes = config.pools.data_bytes;
    pool.indirect = std::max(pool.packets / kIndirectPerPacket, 1023u);
    pool.slices = config.pools.slices;
    core->pools = mbuf::Pools::make(pool, error);
    if (core->pools == nullptr) return error;
    cores_.push_back(std::move(core));
  }
  return {};
}

std::string Gateway::make_recorder(const config::RecorderConfig& config) {
  std::string error;
  recorded_ = trace::RecorderMemory::make(config.file, cores(), config.events, tsc_hz_, error);
  if (recorded_ == nullptr) return "gateway.recorder: " + error;
  for (u32 i = 0; i < cores(); i++) cores_[i]->stats->page.recorder.attach(recorded_->ring(i));
  recorder_.attach(recorded_->ring(cores()));
  board_->record_to(recorder_);
  record(config.groups);
  return {};
}

void Gateway::record(u32 groups) {
  for (auto& core : cores_) core->stats->page.recorder.record(groups);
  recorder_.record(groups);
}

std::string Gateway::open_ports(const config::GatewayConfig& config) {
  for (const config::PortConfig& port : config.ports) {
    const std::string error = open_port(port, config.tcp.tso == config::Tso::automatic);
    if (!error.empty()) return error;
  }
  port::SteeringConfig steering;
  steering.cores = cores();
  steering.wanted = wanted(config.steering);
  for (const auto& device : devices_) steering.devices.push_back(device.get());
  for (const config::PortConfig& port : config.ports) {
    if (port.address.v != 0) steering.port_addresses.push_back(port.address);
    if (port.address6 != wire::Ip6{}) steering.port_addresses6.push_back(port.address6);
    if (port.core_addresses.v != 0) steering.core_addresses.push_back(port.core_addresses);
  }
  steering_ = std::make_unique<port::Steering>(steering);
  // What was asked for by name is not silently replaced.
  const bool fell_back = steering_->mode() == port::Steering::Mode::handover;
  for (const auto& [named, name] : {std::pair(port::Wanted::rss, "rss"), std::pair(port::Wanted::flow, "flow")}) {
    if (steering.wanted == named && fell_back)
      return std::string("gateway.steering: ") + name + " is not possible: " + std::string(steering_->why()) +
             "; say auto or handover";
  }
  return {};
}

// One device with a queue per core, or one device per core with one queue each.
std::string Gateway::open_port(const config::PortConfig& port, bool tso) {
  const bool per_core = port.devices.size() > 1;
  if (per_core && port.devices.size() != cores_.size())
    return "port " + port.devices.front() + ": " + std::to_string(port.devices.size()) + " devices for " +
           std::to_string(cores_.size()) + " cores; give one device, or one for each core";
  for (u32 d = 0; d < port.devices.size(); d++) {
    port::DeviceConfig device;
    device.name = ethdev_name(port.devices[d]);
    device.rx_descriptors = port.rx_descriptors;
    device.tx_descriptors = port.tx_descriptors;
    device.mtu = port.mtu;
    device.tso = tso;
    device.promiscuous = port.promiscuous;
    device.multicast = port.address6 != wire::Ip6{};
    device.rss_key = rss_key_;
    std::vector<mbuf::Pools*> pools;
    for (u32 c = 0; c < cores(); c++)
      if (!per_core || c == d) pools.push_back(cores_[c]->pools.get());
    std::string error;
    auto opened = port::Device::open(device, pools, error);
    if (opened == nullptr) return error;
    for (u32 c = 0; c < cores(); c++)
      if (!per_core || c == d) {
        Core& core = *cores_[c];
        core.queues.push_back(std::make_unique<port::Queue>(*opened, static_cast<u16>(per_core ? 0 : c), *core.pools,
                                                            core.stats->page));
      }
    devices_.push_back(std::move(opened));
  }
  return {};
}

tcp::EngineConfig Gateway::engine_config(const config::GatewayConfig& config, u32 core) const {
  tcp::EngineConfig out;
  out.connections = config.tcp.connections;
  out.receive_budget_bytes = config.tcp.receive_budget_bytes;
  out.send_budget_bytes = config.tcp.send_budget_bytes;
  out.rto_min_us[static_cast<u32>(tcp::Leg::downstream)] = config.tcp.client_min_rto_ms * 1000;
  out.rto_min_us[static_cast<u32>(tcp::Leg::upstream)] = config.tcp.backend_min_rto_ms * 1000;
  out.congestion_control = config.tcp.congestion_control == config::CongestionControl::cubic
                               ? tcp::CongestionControl::cubic
                               : tcp::CongestionControl::newreno;
  out.ecn = config.tcp.ecn == config::Ecn::off      ? tcp::Ecn::off
            : config.tcp.ecn == config::Ecn::accept ? tcp::Ecn::accept
                                                    : tcp::Ecn::request;
  out.pacing = config.tcp.pacing;
  out.time_wait_us = config.tcp.time_wait_s * 1'000'000;
  out.fin_timeout_us = config.tcp.fin_timeout_s * 1'000'000;
  out.user_timeout_us = config.tcp.user_timeout_s * 1'000'000;
  out.retransmits_max = config.tcp.retransmits;
  out.syn_retransmits_max = config.tcp.syn_retransmits;
  out.delayed_ack_us = config.tcp.delayed_ack_ms * 1000;
  out.keepalive_idle_us = u64{config.tcp.keepalive_idle_s} * 1'000'000;
  out.keepalive_interval_us = config.tcp.keepalive_interval_s * 1'000'000;
  out.keepalive_probes = config.tcp.keepalive_probes;
  out.half_open_max = config.tcp.half_open;
  out.half_open_per_listener = config.tcp.half_open_per_listener;
  out.half_open_mark = config.tcp.syn_cookies_above;
  out.syn_cookies = config.tcp.syn_cookies;
  out.pool_low_percent = config.tcp.pool_low_percent;
  out.pool_shed_percent = config.tcp.pool_shed_percent;
  out.shed_idle_us = config.tcp.shed_idle_s * 1'000'000;
  const port::PortSlice slice = steering_->slice(core);
  out.port_first = slice.first;
  out.port_count = slice.count;
  out.port_chooser = steering_->port_chooser(core);
  out.secret[0] = random_u64();
  out.secret[1] = random_u64();
  // A connection may leave by any port: it is built as the weakest one wants it.
  out.caps = {.multi_segs = true, .ip_checksum = true, .tcp_checksum = true, .mtu = 0, .segs_max = 65'535, .tso4 = true,
              .tso6 = true, .tso_segs_max = 65'535};
  for (const auto& device : devices_) {
    const port::Caps& caps = device->caps();
    out.caps.multi_segs = out.caps.multi_segs && caps.multi_segs;
    out.caps.ip_checksum = out.caps.ip_checksum && caps.tx_ip_checksum;
    out.caps.tcp_checksum = out.caps.tcp_checksum && caps.tx_tcp_checksum;
    out.caps.mtu = std::max(out.caps.mtu, caps.mtu);
    out.caps.segs_max = std::min(out.caps.segs_max, caps.segs_max);
    out.caps.tso4 = out.caps.tso4 && caps.tso4;
    out.caps.tso6 = out.caps.tso6 && caps.tso6;
    out.caps.header_bytes_max = std::min(out.caps.header_bytes_max, caps.header_bytes_max);
    out.caps.tso_segs_max = std::min(out.caps.tso_segs_max, caps.tso_segs_max);
  }
  for (std::size_t p = 0; p < cores_[core]->queues.size(); ++p) {
    out.port_mtu[p] = cores_[core]->queues[p]->device().caps().mtu;
  }
  return out;
}

void Gateway::make_workers(const config::GatewayConfig& config) {
  std::vector<gate::HandoverRing*> handover;
  for (const auto& core : cores_) handover.push_back(core->handover.get());
  const TimeUs now_us = TscScale(tsc_hz_).to_us(read_tsc());
  // Both halves of the flow hash's key are the same on every core: they must agree about a flow's owner.
  const tcp::EngineConfig first = engine_config(config, 0);
  for (u32 i = 0; i < cores(); i++) {
    Core& core = *cores_[i];
    core::WorkerConfig worker;
    worker.core = i;
    worker.idle = config.idle == config::Idle::spin ? core::IdlePolicy::spin : core::IdlePolicy::backoff;
    worker.pools = core.pools.get();
    for (const auto& queue : core.queues) worker.queues.push_back(queue.get());
    worker.board = board_.get();
    worker.stats = core.stats.get();
    for (const auto& each : cores_) worker.all_stats.push_back(each->stats.get());
    worker.connections = core.connections.get();
    worker.inbox = core.inbox.get();
    worker.outbox = core.outbox.get();
    worker.neighbours = neighbours_.get();
    worker.steering = cores() > 1 ? steering_.get() : nullptr;
    worker.handover = handover;
    if (tap_ != nullptr) {
      worker.punt = &tap_->punt();
      worker.from_kernel = i == 0 ? &tap_->to_core() : nullptr;
    }
    worker.tcp = engine_config(config, i);
    worker.h2 = {.connections = config.http2.connections, .streams = config.http2.streams};
    worker.tcp.secret[0] = first.secret[0];
    worker.tcp.secret[1] = first.secret[1];
    worker.seed = random_u64();
    core.worker = std::make_unique<core::Worker>(worker, now_us);
  }
}

bool Gateway::launch(std::string& error) {
  launched_ = true;
  if (tap_ != nullptr) tap_->start();
  for (u32 i = 0; i < cores(); i++) {
    const auto loop = [](void* argument) {
      auto* core = static_cast<Core*>(argument);
      core->worker->run(core->tsc_hz);
      return 0;
    };
    if (rte_eal_remote_launch(loop, cores_[i].get(), i + 1) != 0) {
      error = "core " + std::to_string(i) + " cannot be started: its lcore is busy or missing";
      return false;
    }
  }
  return true;
}

void Gateway::join() {
  if (!launched_) return;
  for (u32 i = 0; i < cores(); i++) rte_eal_wait_lcore(i + 1);
  launched_ = false;
}

Gateway::~Gateway() {
  RW_ASSERT(!launched_);
  for (auto& core : cores_) core->worker.reset();
  for (auto& core : cores_) {
    gate::Handover passed;
    while (core->handover->pop(passed)) rte_pktmbuf_free(passed.packet);
    core->queues.clear();
  }
  devices_.clear();
  tap_.reset();  // ports may have held packets of its pool
}

}  // namespace ringway::app
