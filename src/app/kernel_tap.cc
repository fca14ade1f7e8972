#include "src/app/kernel_tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "src/contract/limits.h"

namespace ringway::app {

namespace {

constexpr int kPollMs = 1;
constexpr u32 kSegmentsMax = 16;

// Address, MTU, up. Returns the call that failed, or nullptr.
const char* configure(const std::string& name, const wire::Mac& mac, u16 mtu) {
  const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s < 0) return "socket";
  ifreq r{};
  std::strncpy(r.ifr_name, name.c_str(), IFNAMSIZ - 1);
  const char* failed = nullptr;
  r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(r.ifr_hwaddr.sa_data, mac.b.data(), mac.b.size());
  if (ioctl(s, SIOCSIFHWADDR, &r) != 0) failed = "its MAC address is refused";
  r.ifr_mtu = mtu;
  if (failed == nullptr && ioctl(s, SIOCSIFMTU, &r) != 0) failed = "its MTU is refused";
  if (failed == nullptr && ioctl(s, SIOCGIFFLAGS, &r) != 0) failed = "its flags cannot be read";
  r.ifr_flags = static_cast<short>(r.ifr_flags | IFF_UP);
  if (failed == nullptr && ioctl(s, SIOCSIFFLAGS, &r) != 0) failed = "it does not come up";
  const int error = errno;
  close(s);
  errno = error;
  return failed;
}

}  // namespace

std::expected<std::unique_ptr<KernelTap>, std::string> KernelTap::open(const std::string& name, const wire::Mac& mac,
                                                                       u16 mtu) {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    return std::unexpected("gateway.kernelTap: /dev/net/tun cannot be opened: " + std::string(std::strerror(errno)) +
                           "; load the tun module, or say false");
  }
  std::unique_ptr<KernelTap> tap(new KernelTap(fd));
  ifreq r{};
  std::strncpy(r.ifr_name, name.c_str(), IFNAMSIZ - 1);
  r.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (ioctl(fd, TUNSETIFF, &r) != 0) {
    return std::unexpected("gateway.kernelTap: interface " + name + " cannot be made: " + std::strerror(errno) +
                           "; another interface may have that name");
  }
  if (const char* failed = configure(name, mac, mtu); failed != nullptr) {
    return std::unexpected("gateway.kernelTap: interface " + name + ": " + failed + ": " + std::strerror(errno));
  }
  std::string error;
  tap->pools_ = mbuf::Pools::make({.name = "tap", .packets = kPackets, .indirect = 15, .slices = 1, .cache = 0}, error);
  if (tap->pools_ == nullptr) return std::unexpected(error);
  return tap;
}

KernelTap::~KernelTap() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  gate::Handover left;
  while (punt_.pop(left)) rte_pktmbuf_free(left.packet);
  while (to_core_.pop(left)) rte_pktmbuf_free(left.packet);
  close(fd_);
}

void KernelTap::start() {
  thread_ = std::thread([this] {
    while (!stop_.load(std::memory_order_relaxed)) {
      if (turn()) continue;
      pollfd p{fd_, POLLIN, 0};
      poll(&p, 1, kPollMs);
    }
  });
}

bool KernelTap::turn() {
  const bool out = write_punted();
  const bool in = read_frames();
  return out || in;
}

bool KernelTap::write_punted() {
  gate::Handover burst[contract::kBurstMax];
  const u32 count = punt_.pop_burst(burst, contract::kBurstMax);
  for (u32 i = 0; i < count; ++i) {
    iovec parts[kSegmentsMax];
    int n = 0;
    const rte_mbuf* s = burst[i].packet;
    for (; s != nullptr && n < static_cast<int>(kSegmentsMax); s = s->next) {
      parts[n++] = {rte_pktmbuf_mtod(s, void*), s->data_len};
    }
    if (s == nullptr) {
      [[maybe_unused]] const ssize_t written = writev(fd_, parts, n);
    }
    if (!to_core_.push({burst[i].packet, gate::kToFree})) rte_pktmbuf_free(burst[i].packet);
  }
  return count > 0;
}

bool KernelTap::read_frames() {
  for (u32 i = 0; i < contract::kBurstMax; ++i) {
    mbuf::Pkt pkt = pools_->alloc();
    if (!pkt) return i > 0;
    const u32 room = pkt.tailroom();
    u8* const at = pkt.append(room);
    const ssize_t bytes = read(fd_, at, room);
    if (bytes <= 0) return i > 0;
    pkt.drop_back(room - static_cast<u32>(bytes));
    if (to_core_.push({pkt.get(), 0})) {
      [[maybe_unused]] const rte_mbuf* gone = pkt.release();
    }
  }
  return true;
}

}  // namespace ringway::app
