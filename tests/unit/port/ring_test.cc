// Device and Queue over in-memory rings: what goes in comes out, what cannot be sent is kept, bounded and counted.

#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/port/device.h"
#include "tests/support/eal.h"
#include "tests/support/ring_port.h"

namespace ringway::port {
namespace {

using contract::Counter;
using contract::CorePage;
using contract::Verdict;

u64 value(const CorePage& page, Counter c) { return page.counters[static_cast<u32>(c)].get(); }
u64 value(const CorePage& page, Verdict v) { return page.verdicts[static_cast<u32>(v)].get(); }

class RingDevice : public testing::Test {
 protected:
  void SetUp() override {
    test::start_eal();
    static int n = 0;
    name_ = "rt" + std::to_string(n++);
    std::string error;
    pools_ = mbuf::Pools::make({.name = name_, .packets = 2047, .indirect = 255, .slices = 64, .cache = 0}, error);
    ASSERT_NE(pools_, nullptr) << error;
    port_ = std::make_unique<test::RingPort>(name_, *pools_, 64);
    queue_ = std::make_unique<Queue>(port_->device(), 0, *pools_, page_);
  }
  void TearDown() override {
    queue_.reset();
    port_.reset();
    EXPECT_EQ(pools_->audit(), std::nullopt);
  }
  mbuf::Pkt frame(u32 bytes, u8 fill) {
    mbuf::Pkt p = pools_->alloc();
    std::memset(p.append(bytes), fill, bytes);
    return p;
  }
  mbuf::Pkt take() {
    void* m = nullptr;
    return rte_ring_dequeue(port_->from_gateway(), &m) == 0 ? mbuf::Pkt(static_cast<rte_mbuf*>(m)) : mbuf::Pkt();
  }

  std::string name_;
  CorePage page_;
  std::unique_ptr<mbuf::Pools> pools_;
  std::unique_ptr<test::RingPort> port_;
  std::unique_ptr<Queue> queue_;
};

TEST_F(RingDevice, ReceivedFramesAreHandedOutInOrderAndCounted) {
  for (u8 i = 0; i < 40; ++i) rte_ring_enqueue(port_->to_gateway(), frame(60u + i, i).release());
  mbuf::Pkt burst[contract::kBurstMax];
  EXPECT_EQ(queue_->rx(burst), 32u);
  EXPECT_EQ(burst[31].data()[0], 31);
  EXPECT_EQ(queue_->rx(burst), 8u);
  EXPECT_EQ(burst[7].data()[0], 39);
  EXPECT_EQ(value(page_, Counter::rx_packets), 40u);
  EXPECT_EQ(value(page_, Counter::rx_bytes), 40u * 60 + 39 * 40 / 2);
  for (auto& p : burst) p.reset();
}

TEST_F(RingDevice, SentFramesLeaveAtFlushInOrder) {
  for (u8 i = 0; i < 10; ++i) queue_->tx(frame(60, i));
  EXPECT_FALSE(take());
  queue_->flush();
  for (u8 i = 0; i < 10; ++i) {
    mbuf::Pkt p = take();
    ASSERT_TRUE(p);
    EXPECT_EQ(p.data()[0], i);
  }
  EXPECT_TRUE(queue_->idle());
  EXPECT_EQ(value(page_, Counter::tx_packets), 10u);
  EXPECT_EQ(value(page_, Counter::tx_bytes), 600u);
}

TEST_F(RingDevice, FullPortKeepsFramesAndDropsBeyondTheBoundAsTxFull) {
  // The ring takes 63, the queue keeps 512.
  for (u32 i = 0; i < 63 + 512 + 5; ++i) queue_->tx(frame(60, static_cast<u8>(i)));
  queue_->flush();
  EXPECT_EQ(value(page_, Verdict::tx_full), 5u);
  EXPECT_EQ(queue_->waiting(), 512u);
  u32 seen = 0;
  while (seen < 63 + 512) {
    mbuf::Pkt p = take();
    if (!p) {
      queue_->flush();
      continue;
    }
    ASSERT_EQ(p.data()[0], static_cast<u8>(seen));
    ++seen;
  }
  EXPECT_TRUE(queue_->idle());
}

TEST_F(RingDevice, FramesStillWaitingAreFreedWithTheQueue) {
  for (u32 i = 0; i < 200; ++i) queue_->tx(frame(60, 1));
  queue_->flush();
  EXPECT_GT(queue_->waiting(), 0u);
}

TEST_F(RingDevice, SegmentsArePassedAsTheyAreWhereThePortTakesThem) {
  ASSERT_TRUE(port_->device().caps().multi_segs);
  mbuf::Pkt head = frame(60, 1);
  mbuf::Pkt tail = frame(100, 2);
  ASSERT_EQ(rte_pktmbuf_chain(head.get(), tail.release()), 0);
  queue_->tx(std::move(head));
  queue_->flush();
  mbuf::Pkt p = take();
  ASSERT_TRUE(p);
  EXPECT_EQ(p.segments(), 2u);
  EXPECT_EQ(p.total_bytes(), 160u);
  EXPECT_EQ(value(page_, Counter::tx_linearized), 0u);
}

TEST_F(RingDevice, UnknownPortIsRefusedWithASentenceThatListsTheKnownOnes) {
  mbuf::Pools* pools[] = {pools_.get()};
  std::string error;
  ASSERT_EQ(Device::open({.name = "0000:99:00.0"}, pools, error), nullptr);
  EXPECT_NE(error.find("0000:99:00.0"), std::string::npos);
  EXPECT_NE(error.find("net_ring_" + name_), std::string::npos);
}

}  // namespace
}  // namespace ringway::port
