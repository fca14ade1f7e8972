// attack: forged packets for the end-to-end tests, from a raw socket, at a given rate.
//
// The first word says what is forged; kKinds below is the list. Where strangers speak, their addresses lie in
// 10.80.0.0/12 or fd50::/108, which the gateway reaches by way of the namespace that this program runs in. Where an honest connection is
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
#include "src/wire/icmp6.h"
#include "src/wire/ip4.h"
#include "src/wire/ip6.h"
#include "src/wire/tcp.h"
#include "src/wire/text.h"

namespace {

using namespace ringway;
using wire::Ip;
using wire::Ip4;
using wire::Ip6;
using wire::SeqNo;

constexpr std::size_t kBurst = 64;
constexpr std::size_t kFrameBytesMax = 1514;
constexpr Ip4 kStrangers = Ip4::of(10, 80, 0, 0);
constexpr u32 kStrangersMask = 0x000f'ffff;
constexpr Ip6 kStrangers6 = Ip6::of(0xfd50, 0, 0, 0, 0, 0, 0, 0);
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

Ip parse_ip(const std::string& text) {
  const auto ip = wire::parse_ip(text);
  if (!ip) fail("no address: " + text);
  return *ip;
}

bool is_stranger(const Ip& a) {
  if (a.is4()) return (a.ip4().v & ~kStrangersMask) == kStrangers.v;
  return a.ip6().high() == kStrangers6.high() && a.ip6().low() <= kStrangersMask;
}

u64 pseudo_sum(const Ip& from, const Ip& to, u8 protocol, std::size_t bytes) {
  if (from.is4()) return wire::pseudo_header_sum(from.ip4(), to.ip4(), protocol, static_cast<u16>(bytes));
  return wire::pseudo_header_sum(from.ip6(), to.ip6(), protocol, static_cast<u32>(bytes));
}

u8* write_ip(u8* at, const Ip& from, const Ip& to, u8 protocol, std::size_t payload) {
  if (from.is4()) {
    wire::write_ip4(at, {.total_bytes = static_cast<u16>(wire::kIp4HeaderBytes + payload), .protocol = protocol,
                         .source = from.ip4(), .destination = to.ip4()});
    return at + wire::kIp4HeaderBytes;
  }
  wire::write_ip6(at, {.payload_bytes = static_cast<u16>(payload), .next_header = protocol, .source = from.ip6(),
                       .destination = to.ip6()});
  return at + wire::kIp6HeaderBytes;
}

// A segment to a stranger.
struct Heard {
  Ip to;
  u32 payload_bytes;
  wire::TcpView tcp;
};

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
  Line(const std::string& interface, const wire::Mac& gateway, bool is4) : gateway_(gateway), is4_(is4) {
    const u16 type = htons(is4 ? ETH_P_IP : ETH_P_IPV6);
    fd_ = socket(AF_PACKET, SOCK_RAW, type);
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
    at.sll_protocol = type;
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
    Ip from, to;
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
    wire::Checksum sum(pseudo_sum(s.from, s.to, wire::kIpProtoTcp, bytes));
    sum.add({at, bytes});
    const wire::Be16 value = sum.value();
    std::memcpy(at + wire::kTcpChecksumOffset, &value.raw, 2);
    push(at + bytes);
  }
  // An error about `quoted` bytes of a packet.
  void icmp(const Ip& from, const Ip& to, u8 type, u8 code, u32 rest, const std::vector<u8>& quoted) {
    const std::size_t bytes = wire::kIcmpHeaderBytes + quoted.size();
    u8* at = packet(from, to, is4_ ? wire::kIpProtoIcmp : wire::kIpProtoIcmp6, bytes);
    wire::write_icmp(at, static_cast<wire::IcmpType>(type), code, rest);
    std::memcpy(at + wire::kIcmpHeaderBytes, quoted.data(), quoted.size());
    wire::Checksum sum(is4_ ? 0 : pseudo_sum(from, to, wire::kIpProtoIcmp6, bytes));
    sum.add({at, bytes});
    const wire::Be16 value = sum.value();
    std::memcpy(at + 2, &value.raw, 2);
    push(at + bytes);
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

  // Calls `on` for every segment to a stranger that has arrived within `wait_us`.
  void hear(u64 wait_us, const std::function<void(const Heard&)>& on) {
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
      const u8* const ip = frame + wire::kEthHeaderBytes;
      const wire::Ip4View ip4(ip);
      const wire::Ip6View ip6(ip);
      const Ip to = is4_ ? Ip(ip4.destination()) : Ip(ip6.destination());
      if ((is4_ ? ip4.protocol() : ip6.next_header()) != wire::kIpProtoTcp || !is_stranger(to)) continue;
      const u32 header = is4_ ? ip4.header_bytes() : wire::kIp6HeaderBytes;
      const u32 bytes = is4_ ? ip4.total_bytes() - header : ip6.payload_bytes();
      const wire::TcpView tcp(ip + header);
      on({to, bytes - tcp.header_bytes(), tcp});
    }
  }

 private:
  u8* packet(const Ip& from, const Ip& to, u8 protocol, std::size_t bytes) {
    if (count_ == kBurst) flush();
    u8* frame = frames_[count_].data();
    wire::write_eth(frame, gateway_, own_, is4_ ? wire::kEtherTypeIp4 : wire::kEtherTypeIp6);
    return write_ip(frame + wire::kEthHeaderBytes, from, to, protocol, bytes);
  }
  void push(const u8* end) {
    parts_[count_].iov_len = static_cast<std::size_t>(end - frames_[count_].data());
    ++count_;
  }

  int fd_ = -1;
  wire::Mac gateway_, own_;
  bool is4_;
  std::size_t count_ = 0;
  std::array<std::array<u8, kFrameBytesMax>, kBurst> frames_;
  std::array<iovec, kBurst> parts_{};
  std::array<mmsghdr, kBurst> messages_{};
};

struct Plan {
  Ip to, victim;
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
    static const std::remove_extent_t<decltype(kLies)> kLies6[] = {
        {1, 0, 0}, {1, 1, 0}, {1, 3, 0}, {1, 4, 0}, {2, 0, 68}, {2, 0, 1280}, {3, 0, 0}, {4, 1, 6}, {137, 0, 0}};
    const bool is4 = plan_.to.is4();
    const auto& lie = is4 ? kLies[i % std::size(kLies)] : kLies6[i % std::size(kLies6)];
    std::vector<u8> quoted((is4 ? wire::kIp4HeaderBytes : wire::kIp6HeaderBytes) + 8);
    u8* tcp = write_ip(quoted.data(), plan_.to, plan_.victim, wire::kIpProtoTcp, 1400);
    wire::store_be16(tcp, plan_.port);
    wire::store_be16(tcp + 2, victim_port(i));
    wire::store_be32(tcp + 4, any().v);
    line_.icmp(strange_ip(i), plan_.to, lie.type, lie.code, lie.rest, quoted);
  }

  // The liars. The SYN; then an answer to each segment that comes.
  void liar(u64 i) {
    Line::Tcp s = stranger(liar_first + i, {.flags = kSyn, .options = mss(liar_mss)});
    s.from_port = static_cast<u16>(kLiarPort + (liar_first + i) % kLiarPorts);
    line_.tcp(s);
  }
  void answer(const Heard& said) {
    const wire::TcpView& t = said.tcp;
    const u32 liar = u32{t.destination_port()} - kLiarPort;
    if (liar < liar_first || liar >= liar_first + kLiarPorts / 3) return;  // to a stranger of an earlier attack
    const u32 bytes = said.payload_bytes;
    ++heard;
    heard_bytes += bytes;
    largest = std::max(largest, bytes);
    if ((t.flags() & kRst) != 0) {
      ++reset;
      return;
    }
    Line::Tcp s{.from = said.to, .to = plan_.to, .from_port = t.destination_port(), .to_port = plan_.port,
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
  u64 liar_first = 0;
  u64 heard = 0, heard_bytes = 0, connected = 0, reset = 0;
  u32 largest = 0;

 private:
  static std::string mss(u16 v) { return {'\x02', '\x04', static_cast<char>(v >> 8), static_cast<char>(v & 255)}; }
  SeqNo any() { return SeqNo{static_cast<u32>(random_())}; }
  Ip strange_ip(u64 i) const {
    const u32 number = static_cast<u32>(i * 40'503 + 7) & kStrangersMask;
    return plan_.to.is4() ? Ip(Ip4{kStrangers.v | number}) : Ip(Ip6::from_halves(kStrangers6.high(), number));
  }
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
  u64 first = 0;  // liars of another attack may still be known
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
    {"drip", {&Attacker::liar, true, 1460, 1, 1000}},
    {"closed", {&Attacker::liar, true, 1460, 0, 2000}},
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

  Line line(interface, parse_mac(mac), plan.to.is4());
  Attacker attacker(plan, line);
  const Kind& how = kKinds.at(kind);
  attacker.liar_mss = how.mss;
  attacker.liar_window = how.window;
  attacker.liar_first = how.first;
  const u64 begin = now_us(), end = begin + static_cast<u64>(plan.seconds * 1e6);
  for (u64 i = 0, now = begin; now < end; now = now_us()) {
    const u64 wanted = std::min(plan.count, (now - begin) * plan.rate / 1'000'000);
    for (; i < wanted; ++i) (attacker.*how.blow)(i);
    line.flush();
    line.hear(500, [&](const Heard& said) {
      if (how.liar) attacker.answer(said);
    });
    line.flush();
  }
  std::printf("{\"sent\": %llu, \"heard\": %llu, \"heard_bytes\": %llu, \"largest\": %u, \"connected\": %llu, \"reset\": %llu}\n",
              static_cast<unsigned long long>(line.sent), static_cast<unsigned long long>(attacker.heard),
              static_cast<unsigned long long>(attacker.heard_bytes), attacker.largest,
              static_cast<unsigned long long>(attacker.connected), static_cast<unsigned long long>(attacker.reset));
  return 0;
}
