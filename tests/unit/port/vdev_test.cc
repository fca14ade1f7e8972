// Device over real virtual ports: net_null, net_tap, net_af_packet and net_af_xdp, the latter three against the kernel
// in a network namespace of this test's own. Frames go both ways and are compared byte by byte; one of several segments
// goes too, which net_af_xdp itself would corrupt. Needs root; skipped, saying so, without it.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <rte_ethdev.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "dataplane/port/device.h"
#include "dataplane/port/steering.h"
#include "src/wire/checksum.h"
#include "src/wire/ip4.h"
#include "src/wire/tcp.h"
#include "tests/support/eal.h"

namespace ringway::port {
namespace {

using contract::CorePage;
using contract::Counter;

constexpr u16 kTestType = 0x88b5;  // IEEE 802 local experimental

// A raw socket on an interface: the kernel's end.
class RawSocket {
 public:
  explicit RawSocket(const std::string& interface, u16 type = kTestType)
      : fd_(socket(AF_PACKET, SOCK_RAW, htons(type))) {
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(type);
    at.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    RW_ASSERT(fd_ >= 0 && bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  }
  ~RawSocket() { close(fd_); }
  void send(const std::vector<u8>& f) { RW_ASSERT(write(fd_, f.data(), f.size()) == static_cast<ssize_t>(f.size())); }
  // Empty when nothing comes.
  std::vector<u8> receive(int ms) {
    pollfd p{fd_, POLLIN, 0};
    if (poll(&p, 1, ms) <= 0) return {};
    std::vector<u8> f(4096);
    const ssize_t n = recv(fd_, f.data(), f.size(), 0);
    f.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return f;
  }

 private:
  int fd_;
};

void shell(const std::string& command) { RW_ASSERT(std::system(command.c_str()) == 0); }

std::vector<u8> frame(u32 bytes, u8 seed) {
  std::vector<u8> f(bytes);
  for (u32 i = 0; i < bytes; ++i) f[i] = static_cast<u8>(i * 31 + seed);
  std::memset(f.data(), 0xff, 6);
  f[6] = 2;
  f[12] = kTestType >> 8;
  f[13] = kTestType & 0xff;
  return f;
}

class Vdev : public testing::Test {
 protected:
  // A namespace without a name: it is gone with the process.
  static bool enter_namespace() {
    static const bool entered = geteuid() == 0 && unshare(CLONE_NEWNET) == 0;
    return entered;
  }
  void SetUp() override {
    if (!enter_namespace()) GTEST_SKIP() << "needs root for a network namespace";
    test::start_eal();
    static int n = 0;
    number_ = n++;
    std::string error;
    pools_ = mbuf::Pools::make({.name = "vd" + std::to_string(number_), .packets = 8191, .indirect = 255, .slices = 64,
                                .cache = 0}, error);
    ASSERT_NE(pools_, nullptr) << error;
  }
  void TearDown() override {
    for (int i = 0; queue_ != nullptr && i < 2000 && pools_->packets_in_use() > held_; ++i) {
      queue_->flush();
      if (i % 64 == 63) usleep(500);
    }
    queue_.reset();
    device_.reset();
    if (pools_ != nullptr) {
      EXPECT_EQ(pools_->audit(held_), std::nullopt);
    }
  }
  void veth() {
    a_ = "rwv" + std::to_string(number_);
    b_ = "rwp" + std::to_string(number_);
    shell("ip link add " + a_ + " type veth peer name " + b_);
    for (const std::string& i : {a_, b_}) {
      shell("echo 1 > /proc/sys/net/ipv6/conf/" + i + "/disable_ipv6 2>/dev/null; ip link set " + i + " up");
    }
  }
  void open(const std::string& name) {
    mbuf::Pools* pools[] = {pools_.get()};
    std::string error;
    device_ = Device::open({.name = name}, pools, error);
    ASSERT_NE(device_, nullptr) << error;
    queue_ = std::make_unique<Queue>(*device_, u16{0}, *pools_, page_);
    // net_af_xdp fills its ring at start and, up to 22.11, does not give those mbufs back at close.
    if (device_->driver() == "net_af_xdp") held_ = pools_->packets_in_use();
  }
  mbuf::Pkt packet(const u8* at, std::size_t n) {
    mbuf::Pkt p = pools_->alloc();
    std::memcpy(p.append(static_cast<u32>(n)), at, n);
    return p;
  }
  // In `segments` mbufs.
  mbuf::Pkt packet(const std::vector<u8>& f, u32 segments = 1) {
    const std::size_t each = f.size() / segments;
    mbuf::Pkt p = packet(f.data(), each);
    for (u32 i = 1; i < segments; ++i) {
      const std::size_t n = i + 1 == segments ? f.size() - each * i : each;
      RW_ASSERT(rte_pktmbuf_chain(p.get(), packet(f.data() + each * i, n).release()) == 0);
    }
    return p;
  }
  std::vector<u8> receive() {
    mbuf::Pkt burst[contract::kBurstMax];
    for (int turn = 0; turn < 2000; ++turn) {
      const u32 n = queue_->rx(burst);
      for (u32 i = 0; i < n; ++i) {
        const u8* d = burst[i].data();
        if (burst[i].total_bytes() > 14 && (d[12] << 8 | d[13]) == kTestType) {
          return {d, d + burst[i].first_bytes()};
        }
      }
      usleep(500);
      queue_->flush();
    }
    return {};
  }
  void both_ways(RawSocket& kernel) {
    for (u32 bytes : {60u, 577u, 1514u}) {
      for (u32 segments : {1u, 2u, 3u}) {
        const std::vector<u8> f = frame(bytes, static_cast<u8>(bytes + segments));
        queue_->tx(packet(f, segments));
        queue_->flush();
        EXPECT_EQ(kernel.receive(1000), f) << bytes << " bytes in " << segments << " segments";
      }
      const std::vector<u8> f = frame(bytes, 7);
      kernel.send(f);
      EXPECT_EQ(receive(), f) << bytes;
    }
  }

  int number_ = 0;
  u32 held_ = 0;
  std::string a_, b_;
  CorePage page_;
  std::unique_ptr<mbuf::Pools> pools_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Queue> queue_;
};

TEST_F(Vdev, AfXdpCarriesFramesBothWaysAndLinearizesSegments) {
  veth();
  open("net_af_xdp" + std::to_string(number_) + ",iface=" + a_);
  if (HasFatalFailure()) return;
  EXPECT_EQ(device_->driver(), "net_af_xdp");
  EXPECT_FALSE(device_->caps().multi_segs);
  RawSocket kernel(b_);
  both_ways(kernel);
  EXPECT_EQ(page_.counters[static_cast<u32>(Counter::tx_linearized)].get(), 6u);
  EXPECT_FALSE(device_->xstats().empty());
}

TEST_F(Vdev, AfXdpGivesSentPacketsBackWhenItIsIdle) {
  veth();
  open("net_af_xdp" + std::to_string(number_) + ",iface=" + a_);
  if (HasFatalFailure()) return;
  const u32 before = pools_->packets_in_use();
  for (u32 i = 0; i < 20; ++i) queue_->tx(packet(frame(60, 1)));
  queue_->flush();
  for (int i = 0; i < 1000 && pools_->packets_in_use() > before; ++i) {
    queue_->flush();
    if (i % 64 == 63) usleep(1000);
  }
  EXPECT_LE(pools_->packets_in_use(), before);
}

// More than its receive ring holds and all that is left: packets from every part of the pool.
TEST_F(Vdev, AfXdpSendsEveryPacketOfThePool) {
  veth();
  open("net_af_xdp" + std::to_string(number_) + ",iface=" + a_);
  if (HasFatalFailure()) return;
  RawSocket kernel(b_);
  const std::vector<u8> f = frame(60, 3);
  std::vector<mbuf::Pkt> all;
  while (mbuf::Pkt p = pools_->alloc()) {
    std::memcpy(p.append(60), f.data(), 60);
    all.push_back(std::move(p));
  }
  ASSERT_GT(all.size(), 4096u);
  u32 lost = 0;
  for (mbuf::Pkt& p : all) {
    queue_->tx(std::move(p));
    queue_->flush();
    lost += kernel.receive(200) != f;
    if (lost == 8) break;
  }
  EXPECT_EQ(lost, 0u);
}

TEST_F(Vdev, AfPacketCarriesFramesBothWays) {
  veth();
  open("net_af_packet" + std::to_string(number_) + ",iface=" + a_);
  if (HasFatalFailure()) return;
  EXPECT_TRUE(device_->caps().multi_segs);
  RawSocket kernel(b_);
  both_ways(kernel);
  EXPECT_EQ(page_.counters[static_cast<u32>(Counter::tx_linearized)].get(), 0u);
}

TEST_F(Vdev, TapCarriesFramesBothWays) {
  if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/net/tun";
  const std::string tap = "rwt" + std::to_string(number_);
  open("net_tap" + std::to_string(number_) + ",iface=" + tap);
  if (HasFatalFailure()) return;
  shell("ip link set " + tap + " up");
  RawSocket kernel(tap);
  both_ways(kernel);
}

// As the engine builds packets: with the checksum in place, or asked of the port where the port offers it.
TEST_F(Vdev, TapSendsSegmentsOfOddLengthWithTheRightChecksum) {
  if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/net/tun";
  const std::string tap = "rwt" + std::to_string(number_);
  open("net_tap" + std::to_string(number_) + ",iface=" + tap);
  if (HasFatalFailure()) return;
  shell("ip link set " + tap + " up");
  RawSocket kernel(tap, 0x0800);
  constexpr u32 kHeaders = wire::kIp4HeaderBytes + wire::kTcpHeaderBytes;
  std::vector<u8> f = frame(14 + kHeaders + 501, 9);
  f[12] = 0x08;
  f[13] = 0x00;
  const wire::Ip4 from = wire::Ip4::of(10, 9, 9, 1), to = wire::Ip4::of(10, 9, 9, 2);
  wire::write_ip4(f.data() + 14, {.total_bytes = kHeaders + 501, .protocol = wire::kIpProtoTcp, .source = from,
                                  .destination = to});
  u8* const tcp = f.data() + 14 + wire::kIp4HeaderBytes;
  tcp[12] = 5 << 4;
  const u64 pseudo = wire::pseudo_header_sum(from, to, wire::kIpProtoTcp, wire::kTcpHeaderBytes + 501);
  tcp[16] = tcp[17] = 0;
  wire::Checksum sum(pseudo);
  if (!device_->caps().tx_tcp_checksum) sum.add({tcp, wire::kTcpHeaderBytes + 501});
  wire::Be16 field = sum.value();
  if (device_->caps().tx_tcp_checksum) field.raw = static_cast<u16>(~field.raw);
  std::memcpy(tcp + 16, &field.raw, 2);
  mbuf::Pkt p = packet(f, 3);
  ASSERT_EQ(p.first_bytes() % 2, 1u);
  if (device_->caps().tx_tcp_checksum) {
    p.set_tx_offload(wire::kIp4HeaderBytes, wire::kTcpHeaderBytes, device_->caps().tx_ip_checksum, true);
  }
  queue_->tx(std::move(p));
  queue_->flush();
  const std::vector<u8> got = kernel.receive(1000);
  ASSERT_EQ(got.size(), f.size());
  wire::Checksum check(pseudo);
  check.add({got.data() + 14 + wire::kIp4HeaderBytes, wire::kTcpHeaderBytes + 501});
  EXPECT_TRUE(check.verifies());
}

// net_tap cuts in software. It sums pieces of odd length wrongly, so a Device does not ask it to; with even pieces it shows
// that a driver finds all that it needs in what we hand to it.
TEST_F(Vdev, TapIsNotAskedToCutPackets) {
  if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/net/tun";
  open("net_tap" + std::to_string(number_) + ",iface=rwt" + std::to_string(number_));
  if (HasFatalFailure()) return;
  EXPECT_TRUE(device_->caps().multi_segs);
  EXPECT_FALSE(device_->caps().tso4);
  EXPECT_FALSE(device_->caps().tso6);
}

TEST_F(Vdev, TapCutsALargePacketIntoSegmentsThatAReceiverTakes) {
  if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/net/tun";
  const std::string tap = "rwt" + std::to_string(number_), name = "net_tap" + std::to_string(number_);
  ASSERT_EQ(rte_eal_hotplug_add("vdev", name.c_str(), ("iface=" + tap).c_str()), 0);
  u16 id = 0;
  ASSERT_EQ(rte_eth_dev_get_port_by_name(name.c_str(), &id), 0);
  rte_eth_conf conf{};
  conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
                         RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  ASSERT_EQ(rte_eth_dev_configure(id, 1, 1, &conf), 0);
  ASSERT_EQ(rte_eth_rx_queue_setup(id, 0, 64, 0, nullptr, pools_->packets()), 0);
  ASSERT_EQ(rte_eth_tx_queue_setup(id, 0, 64, 0, nullptr), 0);
  ASSERT_EQ(rte_eth_dev_start(id), 0);
  shell("ip link set " + tap + " up");
  {
    RawSocket kernel(tap, 0x0800);
    constexpr u32 kHeaders = wire::kIp4HeaderBytes + wire::kTcpHeaderBytes, kPayload = 3500;
    std::vector<u8> f = frame(14 + kHeaders + kPayload, 5);
    f[12] = 0x08;
    f[13] = 0x00;
    const wire::Ip4 from = wire::Ip4::of(10, 9, 9, 1), to = wire::Ip4::of(10, 9, 9, 2);
    wire::write_ip4(f.data() + 14, {.total_bytes = kHeaders + kPayload, .protocol = wire::kIpProtoTcp, .source = from,
                                    .destination = to});
    wire::store_be16(f.data() + 14 + 10, 0);
    wire::write_tcp(f.data() + 34, {1, 2, wire::SeqNo{1000}, wire::SeqNo{7}, 20, 0x18, 500});
    const wire::Be16 partial = wire::Checksum(wire::pseudo_header_sum(from, to, wire::kIpProtoTcp, 0)).partial();
    std::memcpy(f.data() + 34 + wire::kTcpChecksumOffset, &partial.raw, 2);
    mbuf::Pkt p = packet(f.data(), 14 + kHeaders + 500);
    rte_mbuf* last = p.get();
    for (u32 at = 500; at < kPayload; at += 1000) p.join_behind(last, packet(f.data() + 14 + kHeaders + at, 1000));
    p.set_tx_offload(wire::kIp4HeaderBytes, wire::kTcpHeaderBytes, true, true);
    p.set_tso(1000);
    ASSERT_EQ(p.segments(), 4u);
    rte_mbuf* m = p.release();
    ASSERT_EQ(rte_eth_tx_prepare(id, 0, &m, 1), 1);
    ASSERT_EQ(rte_eth_tx_burst(id, 0, &m, 1), 1);
    for (u32 at = 0; at < kPayload; at += 1000) {
      const u32 n = std::min(1000u, kPayload - at);
      const std::vector<u8> got = kernel.receive(1000);
      ASSERT_EQ(got.size(), 14 + kHeaders + n);
      EXPECT_EQ(wire::load_be16(got.data() + 16), kHeaders + n);
      EXPECT_EQ(wire::load_be32(got.data() + 38), 1000 + at);
      EXPECT_EQ(got[47] & 8, at + n == kPayload ? 8 : 0) << "PSH";
      EXPECT_TRUE(std::equal(got.begin() + 14 + kHeaders, got.end(), f.begin() + 14 + kHeaders + at));
      wire::Checksum tcp(wire::pseudo_header_sum(from, to, wire::kIpProtoTcp, static_cast<u16>(wire::kTcpHeaderBytes + n)));
      tcp.add({got.data() + 34, wire::kTcpHeaderBytes + n});
      EXPECT_TRUE(tcp.verifies());
      EXPECT_EQ(wire::fold(wire::sum_words(got.data() + 14, 20)), 0xffff);
    }
  }
  rte_eth_dev_stop(id);
  rte_eal_hotplug_remove("vdev", name.c_str());
}

TEST_F(Vdev, NullTakesAndMakesFramesAndItsQueuesSpreadByRss) {
  mbuf::Pools* pools[] = {pools_.get(), pools_.get()};
  std::string error;
  device_ = Device::open({.name = "net_null" + std::to_string(number_) + ",size=64"}, pools, error);
  ASSERT_NE(device_, nullptr) << error;
  EXPECT_EQ(device_->queues(), 2);
  queue_ = std::make_unique<Queue>(*device_, u16{1}, *pools_, page_);
  mbuf::Pkt burst[contract::kBurstMax];
  EXPECT_EQ(queue_->rx(burst), contract::kBurstMax);
  EXPECT_EQ(burst[0].total_bytes(), 64u);
  for (auto& p : burst) queue_->tx(std::move(p));
  queue_->flush();
  EXPECT_TRUE(queue_->idle());
}

// net_null stores key and table and gives them back; it spreads nothing.
TEST_F(Vdev, PortThatTakesKeyAndTableIsSteeredByRss) {
  mbuf::Pools* pools[] = {pools_.get(), pools_.get()};
  lookup::RssKey key{};
  for (u32 i = 0; i < key.size(); ++i) key[i] = static_cast<u8>(i * 7 + 1);
  std::string error;
  device_ = Device::open({.name = "net_null" + std::to_string(number_), .rss_key = key}, pools, error);
  ASSERT_NE(device_, nullptr) << error;
  ASSERT_NE(device_->rss(), nullptr) << device_->rss_refusal();
  EXPECT_EQ(device_->rss()->key, key);
  ASSERT_EQ(device_->rss()->reta.size(), 128u);
  for (u32 i = 0; i < 128; ++i) EXPECT_EQ(device_->rss()->reta[i], i % 2);
  u8 told[40] = {};
  rte_eth_rss_conf get{};
  get.rss_key = told;
  get.rss_key_len = sizeof told;
  ASSERT_EQ(rte_eth_dev_rss_hash_conf_get(device_->id(), &get), 0);
  EXPECT_EQ(std::memcmp(told, key.data(), key.size()), 0);

  SteeringConfig config{.cores = 2, .devices = {device_.get()}, .port_addresses = {wire::Ip4::of(10, 0, 0, 1)}};
  const Steering s(config);
  EXPECT_EQ(s.mode_name(), "rss");
  EXPECT_NE(s.port_chooser(1), nullptr);
  config.wanted = Wanted::handover;
  EXPECT_EQ(Steering(config).mode_name(), "handover");
  config.wanted = Wanted::automatic;
  config.cores = 3;
  EXPECT_EQ(Steering(config).mode_name(), "handover");
}

TEST_F(Vdev, PortWithoutRssIsSteeredByHandoverAndTheReasonNamesIt) {
  veth();
  mbuf::Pools* pools[] = {pools_.get(), pools_.get()};
  const std::string name = "net_af_packet" + std::to_string(number_);
  std::string error;
  device_ = Device::open({.name = name + ",iface=" + a_ + ",qpairs=2"}, pools, error);
  ASSERT_NE(device_, nullptr) << error;
  EXPECT_EQ(device_->rss(), nullptr);
  const Steering s({.cores = 2, .devices = {device_.get()}});
  EXPECT_EQ(s.mode_name(), "handover");
  EXPECT_NE(s.why().find(name), std::string::npos) << s.why();
  EXPECT_NE(s.why().find("RSS"), std::string::npos) << s.why();
}

// The kernel here may lack cls_flower, of which net_tap makes its rules: then even the plainest one is refused. Where
// it has it, the rules for ranges of ports are what net_tap does not know.
TEST_F(Vdev, PortThatRefusesRulesIsSteeredByHandoverAndTheReasonNamesIt) {
  if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/net/tun";
  mbuf::Pools* pools[] = {pools_.get(), pools_.get()};
  const std::string name = "net_tap" + std::to_string(number_);
  std::string error;
  device_ = Device::open({.name = name + ",iface=rwt" + std::to_string(number_)}, pools, error);
  ASSERT_NE(device_, nullptr) << error;
  for (const Wanted wanted : {Wanted::flow, Wanted::automatic}) {
    const Steering s({.cores = 2, .devices = {device_.get()}, .wanted = wanted,
                      .port_addresses = {wire::Ip4::of(10, 0, 0, 1)}});
    EXPECT_EQ(s.mode_name(), "handover");
    EXPECT_NE(s.why().find(name + " (net_tap) does not steer by rules: it does not take a rule"), std::string::npos) << s.why();
    EXPECT_EQ(s.why().find("RSS") != std::string::npos, wanted == Wanted::automatic) << s.why();
  }
}

// Where the kernel has cls_flower, net_tap's rules are the real thing: what is sent to the address of a core comes by that
// core's queue, whatever its ports; without the rules the kernel spreads the same frames over both. Where it has not, the
// port must say so (tools/guest runs this under a kernel that has it, and prints that frames were steered).
TEST_F(Vdev, APortWithoutRulesSaysThatItDropsNoSyn) {
  mbuf::Pools* pools[] = {pools_.get()};
  std::string error;
  device_ = Device::open({.name = "net_null" + std::to_string(number_)}, pools, error);
  ASSERT_NE(device_, nullptr) << error;
  const DropRule rules[] = {{{wire::Ip4::of(10, 0, 0, 0), 8}, {}, 80, 0xffff}};
  EXPECT_NE(device_->refuse(rules).find("it does not take a rule that drops SYNs"), std::string::npos);
  EXPECT_EQ(device_->refuse({}), "") << "nothing to be dropped is what every port can do";
}

TEST_F(Vdev, TapBringsAnswersToTheQueueOfTheirCoreOrSaysThatItTakesNoRule) {
  if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/net/tun";
  mbuf::Pools* pools[] = {pools_.get(), pools_.get()};
  const std::string tap = "rwt" + std::to_string(number_);
  std::string error;
  device_ = Device::open({.name = "net_tap" + std::to_string(number_) + ",iface=" + tap}, pools, error);
  ASSERT_NE(device_, nullptr) << error;
  shell("ip link set " + tap + " up");
  const wire::Ip4 first = wire::Ip4::of(10, 9, 9, 100);
  const Steering s({.cores = 2, .devices = {device_.get()}, .wanted = Wanted::flow, .core_addresses = {first}});
  if (s.mode() != Steering::Mode::flow) {
    EXPECT_NE(s.why().find("it does not take a rule"), std::string::npos) << s.why();
    return;
  }
  std::puts("net_tap takes rules: frames are steered");
  Queue queues[] = {{*device_, 0, *pools_, page_}, {*device_, 1, *pools_, page_}};
  RawSocket kernel(tap, 0x0800);
  const auto queues_of = [&](wire::Ip4 to) {
    u32 seen[2] = {};
    for (u16 port = 0; port < 64; ++port) {
      std::vector<u8> f = frame(14 + 20 + 20, 1);
      f[12] = 0x08;
      f[13] = 0x00;
      wire::write_ip4(f.data() + 14, {.total_bytes = 40, .protocol = wire::kIpProtoTcp,
                                      .source = wire::Ip4::of(10, 9, 9, 1), .destination = to});
      wire::write_tcp(f.data() + 34, {.source_port = static_cast<u16>(8000 + port * 7), .destination_port = port});
      kernel.send(f);
    }
    mbuf::Pkt burst[contract::kBurstMax];
    for (int turn = 0; turn < 500 && seen[0] + seen[1] < 64; ++turn, usleep(1000)) {
      for (u32 q = 0; q < 2; ++q) {
        const u32 n = queues[q].rx(burst);
        for (u32 i = 0; i < n; ++i) {
          const u8* const ip = burst[i].data() + 14;
          if (burst[i].total_bytes() == 54 && wire::Ip4View(ip).destination() == to) ++seen[q];
          burst[i].reset();
        }
      }
    }
    return std::pair(seen[0], seen[1]);
  };
  EXPECT_EQ(queues_of(first), std::pair(64u, 0u));
  EXPECT_EQ(queues_of(wire::Ip4{first.v + 1}), std::pair(0u, 64u));
  device_->unsteer();
  const auto [zero, one] = queues_of(wire::Ip4{first.v + 1});
  EXPECT_EQ(zero + one, 64u);
  EXPECT_GT(zero, 0u);
}

TEST_F(Vdev, DriverWithoutRulesIsNamedToo) {
  mbuf::Pools* pools[] = {pools_.get(), pools_.get()};
  std::string error;
  device_ = Device::open({.name = "net_null" + std::to_string(number_)}, pools, error);
  ASSERT_NE(device_, nullptr) << error;
  const FlowRule rule{.destination = wire::Ip4::of(10, 0, 0, 1), .queue = 1};
  const std::string refusal = device_->steer({&rule, 1});
  EXPECT_NE(refusal.find("queue 1: Function not implemented"), std::string::npos) << refusal;
}

TEST_F(Vdev, FrameThatFitsNoMbufIsRefusedWhereThePortTakesOneSegment) {
  open("net_null" + std::to_string(number_));
  if (HasFatalFailure()) return;
  queue_->tx(packet(std::vector<u8>(3000), 2));
  EXPECT_EQ(page_.verdicts[static_cast<u32>(contract::Verdict::tx_refused)].get(), 1u);
  EXPECT_TRUE(queue_->idle());
  mbuf::Pkt p = packet(std::vector<u8>(200), 2);
  std::vector<mbuf::Pkt> all;
  while (mbuf::Pkt q = pools_->alloc()) all.push_back(std::move(q));
  queue_->tx(std::move(p));
  EXPECT_EQ(page_.verdicts[static_cast<u32>(contract::Verdict::no_mbuf)].get(), 1u);
}

TEST_F(Vdev, MoreQueuesThanTheDriverHasIsRefusedWithItsLimit) {
  veth();
  mbuf::Pools* pools[] = {pools_.get(), pools_.get()};
  std::string error;
  ASSERT_EQ(Device::open({.name = "net_af_xdp" + std::to_string(number_) + ",iface=" + a_}, pools, error), nullptr);
  EXPECT_NE(error.find("2 queues"), std::string::npos) << error;
  EXPECT_NE(error.find("has 1"), std::string::npos) << error;
}

TEST_F(Vdev, MissingInterfaceIsRefusedWithASentence) {
  mbuf::Pools* pools[] = {pools_.get()};
  std::string error;
  ASSERT_EQ(Device::open({.name = "net_af_xdp" + std::to_string(number_) + ",iface=nothere"}, pools, error), nullptr);
  EXPECT_NE(error.find("nothere"), std::string::npos) << error;
}

}  // namespace
}  // namespace ringway::port
