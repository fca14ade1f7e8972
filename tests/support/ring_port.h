#pragma once
// A port made of two rte_rings: the gateway sees a Device, the test holds the far ends and so owns time, loss and
// order. What the test enqueues at `to_gateway(q)` is received on queue q; what the gateway sends appears at
// `from_gateway(q)`. mbufs pass as pointers, with segments and flags kept; whoever dequeues owns them.

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include <memory>
#include <string>
#include <vector>

#include "dataplane/port/device.h"
#include "src/base/assert.h"

namespace ringway::test {

class RingPort {
 public:
  // One queue pair per element of `pools`; EAL has been started. `name` is unique in the process.
  RingPort(const std::string& name, std::span<mbuf::Pools* const> pools, u32 ring_size = 1024) {
    for (std::size_t q = 0; q < pools.size(); ++q) {
      to_.push_back(make(name + "_to" + std::to_string(q), ring_size));
      from_.push_back(make(name + "_from" + std::to_string(q), ring_size));
    }
    const unsigned queues = static_cast<unsigned>(pools.size());
    RW_ASSERT(rte_eth_from_rings(name.c_str(), to_.data(), queues, from_.data(), queues, 0) >= 0);
    std::string error;
    device_ = port::Device::open({.name = "net_ring_" + name}, pools, error);
    if (device_ == nullptr) std::fprintf(stderr, "%s\n", error.c_str());
    RW_ASSERT(device_ != nullptr);
  }
  RingPort(const std::string& name, mbuf::Pools& pools, u32 ring_size = 1024)
      : RingPort(name, std::array<mbuf::Pools*, 1>{&pools}, ring_size) {}

  ~RingPort() {
    device_.reset();
    for (auto* rings : {&to_, &from_}) {
      for (rte_ring* r : *rings) {
        void* left = nullptr;
        while (rte_ring_dequeue(r, &left) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(left));
        rte_ring_free(r);
      }
    }
  }

  port::Device& device() { return *device_; }
  rte_ring* to_gateway(u32 queue = 0) { return to_[queue]; }
  rte_ring* from_gateway(u32 queue = 0) { return from_[queue]; }

 private:
  static rte_ring* make(const std::string& name, u32 size) {
    rte_ring* r = rte_ring_create(name.c_str(), size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    RW_ASSERT(r != nullptr);
    return r;
  }

  std::vector<rte_ring*> to_, from_;
  std::unique_ptr<port::Device> device_;
};

}  // namespace ringway::test
