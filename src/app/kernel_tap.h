#pragma once
// KernelTap: a TAP interface of the kernel that gets the frames which are not ours (gateway.kernelTap) and whose own
// frames leave by the first port: what the kernel of this machine has to say on the gateway's network.
//
// One thread between two rings and a file descriptor. Any core pushes punted packets to `punt()`. Core 0 takes from
// `to_core()`: frames to send (`port` is 0) and packets to free (`port` is kToFree). The thread allocates from a pool
// of its own and leaves it to core 0 to free packets of the cores, because it may lose its CPU at any moment, and
// whoever loses it within a pool's ring stops the cores. What a full ring or the kernel does not take is lost, as on a
// wire.

#include <atomic>
#include <expected>
#include <memory>
#include <string>
#include <thread>

#include "dataplane/gate/gate.h"
#include "dataplane/mbuf/pools.h"
#include "src/wire/addr.h"

namespace ringway::app {

class KernelTap {
 public:
  // Makes the interface with the port's MAC address and brings it up; it has no IP address yet. Needs CAP_NET_ADMIN.
  // The error is a sentence.
  static std::expected<std::unique_ptr<KernelTap>, std::string> open(const std::string& name, const wire::Mac& mac,
                                                                     u16 mtu);
  // The thread ends, then the interface. The cores have left their loops.
  ~KernelTap();
  KernelTap(const KernelTap&) = delete;
  KernelTap& operator=(const KernelTap&) = delete;

  gate::HandoverRing& punt() { return punt_; }
  gate::HandoverRing& to_core() { return to_core_; }

  void start();
  // One pass of the thread: at most a burst each way. True when anything moved.
  bool turn();

 private:
  explicit KernelTap(int fd) : fd_(fd) {}
  bool write_punted();
  bool read_frames();

  static constexpr u32 kRingPackets = 1023;
  static constexpr u32 kPackets = 1023;
  int fd_;
  std::unique_ptr<mbuf::Pools> pools_;
  gate::HandoverRing punt_{kRingPackets};
  gate::HandoverRing to_core_{2 * kRingPackets};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace ringway::app
