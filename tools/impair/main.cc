// impair: a bad piece of wire between two interfaces of one namespace, for the lab.
//
// Frames that arrive on one interface leave by the other, after a delay. Of the TCP segments a share is held back while those
// behind it overtake, a share leaves twice, a share has one bit flipped somewhere behind the Ethernet header; what exceeds
// a policer's rate is lost; the rest, and all that is not TCP, passes at once. The draws come from a seed. SIGTERM ends
// it; the last line on stdout counts what was done, so that a test can see that the wire was bad indeed.
//
// One thread, two packet sockets, frames in bursts. What the next interface does not take is dropped, as by a switch.

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "src/base/types.h"

namespace {

using namespace ringway;

constexpr std::size_t kBurst = 64;
constexpr std::size_t kFrameBytesMax = 9216;

volatile std::sig_atomic_t stopping = 0;

u64 now_us() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<u64>(t.tv_sec) * 1'000'000 + static_cast<u64>(t.tv_nsec) / 1000;
}

struct Faults {
  double hold = 0, duplicate = 0, corrupt = 0;  // percent of segments
  u64 hold_us = 500;   // beyond the delay
  u64 delay_us = 0;    // of every frame
  double police_kbit_s = 0;  // 0: no policer
  double burst_bytes = 65'536;
};

struct Counts {
  u64 frames = 0, held = 0, duplicated = 0, corrupted = 0, lost = 0, refused = 0;
};

struct Held {
  u64 due_us;
  u64 order;
  std::vector<u8> frame;
  bool operator>(const Held& o) const { return due_us != o.due_us ? due_us > o.due_us : order > o.order; }
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "impair: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int open_interface(const std::string& name) {
  const int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  if (fd < 0) fail("no packet socket");
  const int yes = 1, room = 16 << 20;
  // Frames that we send must not come back.
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes) != 0) fail("PACKET_IGNORE_OUTGOING");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  packet_mreq wanted{};
  wanted.mr_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
  if (wanted.mr_ifindex == 0) fail("no interface " + name);
  wanted.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wanted, sizeof wanted) != 0) fail("promiscuous " + name);
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_protocol = htons(ETH_P_ALL);
  at.sll_ifindex = wanted.mr_ifindex;
  if (bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) fail("bind to " + name);
  return fd;
}

bool is_tcp(const u8* frame, std::size_t bytes) {
  if (bytes >= 34 && frame[12] == 0x08 && frame[13] == 0x00) return frame[23] == IPPROTO_TCP;
  return bytes >= 54 && frame[12] == 0x86 && frame[13] == 0xdd && frame[20] == IPPROTO_TCP;
}

// One direction: frames of `from` go to `to`.
class Wire {
 public:
  Wire(int from, int to, const Faults& faults, u64 seed) : from_(from), to_(to), faults_(faults), random_(seed) {
    for (std::size_t i = 0; i < kBurst; ++i) {
      parts_[i] = {buffers_[i].data(), kFrameBytesMax};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  // All that has arrived, then what was held long enough.
  void run(u64 now, Counts& counts) {
    latest_us_ = now;
    for (int got = static_cast<int>(kBurst); got == static_cast<int>(kBurst);) {
      for (iovec& part : parts_) part.iov_len = kFrameBytesMax;
      got = recvmmsg(from_, messages_.data(), kBurst, MSG_DONTWAIT, nullptr);
      if (got <= 0) break;
      counts.frames += static_cast<u64>(got);
      for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) one(buffers_[i].data(), messages_[i].msg_len, now, counts);
      send_all(counts);
    }
    while (!held_.empty() && held_.top().due_us <= now) {
      put(held_.top().frame.data(), held_.top().frame.size());
      held_.pop();
      if (waiting_.size() == kBurst) send_all(counts);
    }
    send_all(counts);
  }

  // Microseconds until a held frame is due; `most` when none is.
  u64 next_us(u64 now, u64 most) const {
    if (held_.empty()) return most;
    return held_.top().due_us <= now ? 0 : std::min(most, held_.top().due_us - now);
  }

 private:
  bool drawn(double percent) { return percent > 0 && draw_(random_) < percent; }

  void one(u8* frame, std::size_t bytes, u64 now, Counts& counts) {
    if (!is_tcp(frame, bytes)) return later(frame, bytes, now + faults_.delay_us);
    if (faults_.police_kbit_s > 0 && !within_rate(static_cast<double>(bytes), now)) {
      ++counts.lost;
      return;
    }
    if (drawn(faults_.corrupt)) {
      const std::size_t bit = ETH_HLEN * 8 + random_() % ((bytes - ETH_HLEN) * 8);
      frame[bit / 8] = static_cast<u8>(frame[bit / 8] ^ (1u << (bit % 8)));
      ++counts.corrupted;
    }
    if (drawn(faults_.hold)) {
      ++counts.held;
      return later(frame, bytes, now + faults_.delay_us + faults_.hold_us);
    }
    later(frame, bytes, now + faults_.delay_us);
    if (drawn(faults_.duplicate)) {
      later(frame, bytes, now + faults_.delay_us);
      ++counts.duplicated;
    }
  }

  void later(const u8* frame, std::size_t bytes, u64 due_us) {
    if (due_us <= latest_us_) return put(frame, bytes);
    held_.push({due_us, order_++, {frame, frame + bytes}});
  }

  // A token bucket of burst_bytes.
  bool within_rate(double bytes, u64 now) {
    tokens_ = std::min(faults_.burst_bytes, tokens_ + static_cast<double>(now - filled_us_) * faults_.police_kbit_s / 8000);
    filled_us_ = now;
    if (tokens_ < bytes) return false;
    tokens_ -= bytes;
    return true;
  }

  void put(const u8* frame, std::size_t bytes) { waiting_.emplace_back(frame, frame + bytes); }

  void send_all(Counts& counts) {
    for (std::size_t sent = 0; sent < waiting_.size();) {
      std::array<mmsghdr, kBurst> out{};
      std::array<iovec, kBurst> parts{};
      const std::size_t count = std::min(kBurst, waiting_.size() - sent);
      for (std::size_t i = 0; i < count; ++i) {
        parts[i] = {waiting_[sent + i].data(), waiting_[sent + i].size()};
        out[i].msg_hdr.msg_iov = &parts[i];
        out[i].msg_hdr.msg_iovlen = 1;
      }
      const int done = sendmmsg(to_, out.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
      if (done <= 0) ++counts.refused;
      sent += done <= 0 ? 1 : static_cast<std::size_t>(done);
    }
    waiting_.clear();
  }

  int from_, to_;
  Faults faults_;
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> draw_{0, 100};
  std::array<std::array<u8, kFrameBytesMax>, kBurst> buffers_;
  std::array<iovec, kBurst> parts_{};
  std::array<mmsghdr, kBurst> messages_{};
  std::vector<std::vector<u8>> waiting_;
  std::priority_queue<Held, std::vector<Held>, std::greater<>> held_;
  u64 order_ = 0;
  u64 latest_us_ = 0;
  double tokens_ = 0;
  u64 filled_us_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("A bad piece of wire between two interfaces");
  std::string left, right;
  Faults faults;
  u64 seed = 1;
  app.add_option("left", left, "Interface")->required();
  app.add_option("right", right, "The other interface")->required();
  app.add_option("--hold", faults.hold, "Percent of segments held back while others overtake");
  app.add_option("--hold-us", faults.hold_us, "For how long")->capture_default_str();
  app.add_option("--delay-us", faults.delay_us, "Of every frame")->capture_default_str();
  app.add_option("--duplicate", faults.duplicate, "Percent sent twice");
  app.add_option("--corrupt", faults.corrupt, "Percent with one bit flipped");
  app.add_option("--police-kbit", faults.police_kbit_s, "Rate of a policer, kbit/s, for each direction");
  app.add_option("--burst", faults.burst_bytes, "Bytes that it lets pass at once")->capture_default_str();
  app.add_option("--seed", seed)->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGTERM, [](int) { stopping = 1; });
  std::signal(SIGINT, [](int) { stopping = 1; });
  const int a = open_interface(left), b = open_interface(right);
  const auto there = std::make_unique<Wire>(a, b, faults, seed), back = std::make_unique<Wire>(b, a, faults, seed + 1);
  Counts counts;
  std::printf("ready\n");
  std::fflush(stdout);
  while (stopping == 0) {
    const u64 now = now_us();
    const u64 wait_us = back->next_us(now, there->next_us(now, 100'000));
    std::array<pollfd, 2> fds{{{a, POLLIN, 0}, {b, POLLIN, 0}}};
    const timespec wait{static_cast<time_t>(wait_us / 1'000'000), static_cast<long>(wait_us % 1'000'000) * 1000};
    if (ppoll(fds.data(), fds.size(), &wait, nullptr) < 0 && errno != EINTR) fail("poll");
    there->run(now_us(), counts);
    back->run(now_us(), counts);
  }
  std::printf("{\"frames\": %llu, \"held\": %llu, \"duplicated\": %llu, \"corrupted\": %llu, \"lost\": %llu, \"refused\": %llu}\n",
              static_cast<unsigned long long>(counts.frames), static_cast<unsigned long long>(counts.held),
              static_cast<unsigned long long>(counts.duplicated), static_cast<unsigned long long>(counts.corrupted),
              static_cast<unsigned long long>(counts.lost), static_cast<unsigned long long>(counts.refused));
  return 0;
}
