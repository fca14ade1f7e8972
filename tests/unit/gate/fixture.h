#pragma once
// Two gates (cores 0 and 1) over one ring port with two queues; the test is the network. Ends with the pool audit.

#include <gtest/gtest.h>

#include "dataplane/gate/gate.h"
#include "dataplane/gate/neighbours.h"
#include "dataplane/port/steering.h"
#include "tests/support/eal.h"
#include "tests/support/ring_port.h"
#include "tests/unit/gate/frames.h"

namespace ringway::gate {

using contract::Counter;
using contract::Verdict;
using test::Frame;
using wire::Ip4;
using wire::Mac;

inline constexpr Ip4 kOurs = Ip4::of(10, 0, 0, 1);
inline constexpr Ip4 kVip = Ip4::of(10, 9, 0, 1);
inline constexpr Ip4 kDns = Ip4::of(10, 9, 0, 53);
inline constexpr Ip4 kPeer = Ip4::of(10, 0, 0, 77);
inline constexpr Ip4 kHop = Ip4::of(10, 0, 0, 254);
inline constexpr Ip4 kFar = Ip4::of(192, 0, 2, 5);
inline constexpr Mac kPeerMac{{2, 0, 0, 0, 0, 0x77}};

class GateTest : public testing::Test {
 protected:
  void SetUp() override {
    test::start_eal();
    static int n = 0;
    const std::string name = "gt" + std::to_string(n++);
    std::string error;
    pools_ = mbuf::Pools::make({.name = name, .packets = 2047, .indirect = 255, .slices = 64, .cache = 0}, error);
    ASSERT_NE(pools_, nullptr) << error;
    std::array<mbuf::Pools*, 2> both{pools_.get(), pools_.get()};
    port_ = std::make_unique<test::RingPort>(name, both, 1024);
    plan_.ports = {{.ip = kOurs, .prefix_bits = 24, .next_hop = kHop}};
    plan_.addresses = {kOurs, kVip, kDns};
    plan_.dns_ip = kDns;
    plan_.dns_names = {{"auth-service", kVip}};
    steering_ = std::make_unique<port::Steering>(port::SteeringConfig{.cores = 2, .port_addresses = {kOurs}});
    for (u32 core = 0; core < 2; ++core) {
      queues_[core] = std::make_unique<port::Queue>(port_->device(), static_cast<u16>(core), *pools_, page_[core]);
    }
    make_gates(nullptr, nullptr);
  }
  void make_gates(const port::Steering* steering, HandoverRing* punt) {
    for (u32 core = 0; core < 2; ++core) {
      GateConfig c;
      c.core = core;
      c.seed = 5;
      c.book = &books_[core];
      c.queues = {queues_[core].get()};
      c.neighbours = &neighbours_;
      c.steering = steering;
      c.handover = {&handover_[0], &handover_[1]};
      c.punt = punt;
      gates_[core] = std::make_unique<Gate>(c, *pools_, page_[core]);
      gates_[core]->adopt(plan_, false, now_);
    }
    mac_ = port_->device().mac();
  }
  void TearDown() override {
    accepted_.reset();
    for (auto& g : gates_) g.reset();
    for (auto& q : queues_) q.reset();
    for (auto* ring : {&handover_[0], &handover_[1], &punt_}) {
      Handover h;
      while (ring->pop(h)) rte_pktmbuf_free(h.packet);
    }
    port_.reset();
    EXPECT_EQ(pools_->audit(), std::nullopt);
  }

  mbuf::Pkt packet(const Frame& f) {
    mbuf::Pkt p = pools_->alloc();
    std::memcpy(p.append(static_cast<u32>(f.size())), f.data(), f.size());
    return p;
  }
  // The same bytes in segments of `each` bytes.
  mbuf::Pkt scattered(const Frame& f, std::size_t each) {
    mbuf::Pkt whole;
    for (std::size_t at = 0; at < f.size(); at += each) {
      mbuf::Pkt part = packet(Frame(f.begin() + static_cast<long>(at),
                                    f.begin() + static_cast<long>(std::min(at + each, f.size()))));
      if (!whole) {
        whole = std::move(part);
      } else {
        EXPECT_EQ(rte_pktmbuf_chain(whole.get(), part.release()), 0);
      }
    }
    return whole;
  }
  Frame from_peer(const Frame& ip, u16 type = wire::kEtherTypeIp4) { return test::eth(mac_, kPeerMac, type, ip); }
  bool accept(mbuf::Pkt pkt, u32 core = 0, bool owned = false) {
    const bool mine = gates_[core]->accept(pkt, 0, now_, segment_, owned);
    EXPECT_EQ(mine, static_cast<bool>(pkt));
    accepted_ = std::move(pkt);
    return mine;
  }
  bool accept(const Frame& f, u32 core = 0) { return accept(packet(f), core); }
  // What happened to a frame: exactly this verdict was counted, once.
  void expect_verdict(Verdict v, const Frame& f, u32 core = 0) {
    const std::vector<u64> before = verdicts(core);
    EXPECT_FALSE(accept(f, core));
    std::vector<u64> after = verdicts(core);
    for (u32 i = 0; i < contract::kVerdictCount; ++i) {
      EXPECT_EQ(after[i] - before[i], i == static_cast<u32>(v) ? 1u : 0u) << contract::kVerdictNames[i];
    }
  }
  std::vector<u64> verdicts(u32 core) const {
    std::vector<u64> all;
    for (const auto& c : page_[core].verdicts) all.push_back(c.get());
    return all;
  }
  u64 count(Verdict v, u32 core = 0) const { return page_[core].verdicts[static_cast<u32>(v)].get(); }
  u64 count(Counter c, u32 core = 0) const { return page_[core].counters[static_cast<u32>(c)].get(); }
  // The next frame that the gateway sent on `core`'s queue; empty when there is none.
  Frame sent(u32 core = 0) {
    queues_[core]->flush();
    void* m = nullptr;
    if (rte_ring_dequeue(port_->from_gateway(core), &m) != 0) return {};
    mbuf::Pkt p(static_cast<rte_mbuf*>(m));
    Frame f(p.total_bytes());
    const void* at = rte_pktmbuf_read(p.get(), 0, p.total_bytes(), f.data());
    if (at != f.data()) std::memcpy(f.data(), at, f.size());
    return f;
  }
  void learn_peer(Ip4 ip = kPeer) {
    accept(from_peer(test::arp(wire::kArpRequest, kPeerMac, ip, kOurs), wire::kEtherTypeArp));
    EXPECT_FALSE(sent().empty());
  }

  TimeUs now_ = 1'000'000;
  Mac mac_;
  contract::Plan plan_;
  contract::CorePage page_[2];
  Segment segment_;
  mbuf::Pkt accepted_;
  Neighbours neighbours_;
  lookup::AddressBook books_[2]{{5, 1024}, {5, 1024}};
  HandoverRing handover_[2]{HandoverRing(7), HandoverRing(7)};
  HandoverRing punt_{7};
  std::unique_ptr<port::Steering> steering_;
  std::unique_ptr<mbuf::Pools> pools_;
  std::unique_ptr<test::RingPort> port_;
  std::unique_ptr<port::Queue> queues_[2];
  std::unique_ptr<Gate> gates_[2];
};

}  // namespace ringway::gate
