// KernelTap against the kernel, in a network namespace of this test's own. Needs root and /dev/net/tun; skipped, saying
// so, without them.

#include "src/app/kernel_tap.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "src/wire/arp.h"
#include "src/wire/eth.h"
#include "tests/support/eal.h"

namespace ringway::app {
namespace {

constexpr wire::Mac kPort{{2, 0, 0, 0, 0, 1}};
constexpr wire::Mac kPeer{{2, 0, 0, 0, 0, 2}};
constexpr wire::Ip4 kKernel = wire::Ip4::of(10, 9, 0, 1);
constexpr wire::Ip4 kAsker = wire::Ip4::of(10, 9, 0, 2);

TEST(KernelTap, KernelAnswersAPuntedQuestionAndThePacketComesBackToBeFreed) {
  if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs root for a network namespace";
  if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/net/tun";
  test::start_eal();
  std::string error;
  const auto pools = mbuf::Pools::make({.name = "kt", .packets = 255, .indirect = 15, .slices = 1, .cache = 0}, error);
  ASSERT_NE(pools, nullptr) << error;
  auto opened = KernelTap::open("rwtap0", kPort, 1400);
  ASSERT_TRUE(opened.has_value()) << opened.error();
  KernelTap& tap = **opened;
  ASSERT_EQ(std::system("ip addr add 10.9.0.1/24 dev rwtap0 && ip link show rwtap0 | grep -q 02:00:00:00:00:01"), 0);
  EXPECT_FALSE(KernelTap::open("rwtap0", kPort, 1400).has_value()) << "the name is taken";

  mbuf::Pkt question = pools->alloc();
  u8* const at = question.append(wire::kEthHeaderBytes + wire::kArpBytes);
  wire::write_eth(at, wire::kMacBroadcast, kPeer, wire::kEtherTypeArp);
  wire::write_arp(at + wire::kEthHeaderBytes, {.operation = wire::kArpRequest, .sender_mac = kPeer, .sender_ip = kAsker,
                                               .target_mac = {}, .target_ip = kKernel});
  rte_mbuf* const asked = question.get();
  ASSERT_TRUE(tap.punt().push({question.release(), 0}));
  bool freed = false;
  bool answered = false;
  for (int i = 0; i < 1000 && !(freed && answered); ++i) {
    tap.turn();
    gate::Handover got;
    while (tap.to_core().pop(got)) {
      const mbuf::Pkt pkt(got.packet);
      if (got.port == gate::kToFree) {
        EXPECT_EQ(got.packet, asked);
        freed = true;
        continue;
      }
      EXPECT_EQ(got.port, 0u);
      const wire::EthView eth(pkt.data());
      if (eth.type() != wire::kEtherTypeArp) continue;
      const wire::ArpView arp(pkt.data() + wire::kEthHeaderBytes);
      if (arp.operation() != wire::kArpReply) continue;
      EXPECT_EQ(eth.destination(), kPeer);
      EXPECT_EQ(arp.sender_mac(), kPort);
      EXPECT_EQ(arp.sender_ip(), kKernel);
      answered = true;
    }
    usleep(1000);
  }
  EXPECT_TRUE(freed);
  EXPECT_TRUE(answered);
  EXPECT_EQ(pools->audit(), std::nullopt);
}

}  // namespace
}  // namespace ringway::app
