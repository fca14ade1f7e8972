// Bytes as a program for one engine with live connections: the first bytes bring three of them into states of RFC 9293,
// by the book and with the options that they name; then come segments that a good peer would send next, changed field by
// field (tests/duet/actors_wire.h) and read by the gate's own reader, calls of the application, time, a NIC that keeps
// packets. What must hold: no sanitizer complaint, every packet that leaves can be read, every invariant of the engine
// after every step, and all packet memory back at the end.

#include <array>
#include <cstdio>
#include <map>

#include "tests/duet/actors_wire.h"
#include "tests/duet/stack.h"

namespace {

using namespace ringway;
using test::Crafted;
using test::Program;
using test::Stack;

constexpr wire::Ip4 kOurs{1}, kTheirs{2};

std::shared_ptr<mbuf::Pools> pools() {
  static const auto p = Stack::memory({.name = "fuzz", .packets = 511, .indirect = 255, .slices = 1024});
  return p;
}

tcp::EngineConfig config(Program& p) {
  static constexpr u32 kBudgets[4] = {3000, 20'000, 70'000, 500'000};
  const u8 caps = p.next(), sizes = p.next();
  tcp::EngineConfig c;
  c.connections = 8;
  c.listeners = 2;
  c.half_open_max = 3;
  c.half_open_mark = sizes >> 6;
  c.time_wait_max = 2;
  c.receive_budget_bytes = kBudgets[sizes & 3];
  c.send_budget_bytes = kBudgets[sizes >> 2 & 3];
  c.retransmits_max = 3;
  c.secret[1] = 99;
  c.port_first = 1000;
  c.port_count = 4;
  c.caps.multi_segs = (caps & 1) != 0;
  c.caps.segs_max = c.caps.multi_segs ? static_cast<u16>(2 + (caps >> 5)) : u16{1};
  c.caps.tcp_checksum = c.caps.tso4 = (caps & 8) != 0;
  c.caps.tso_segs_max = static_cast<u16>(3 + (caps >> 5));
  c.sack = (caps & 2) == 0;
  c.timestamps = (caps & 4) == 0;
  return c;
}

// What a peer knows: its next number, the engine's, and stamps.
struct Peer {
  wire::SeqNo seq, ack;
  bool stamps = false;
  u32 clock = 1, echo = 0;
};

class Machine {
 public:
  explicit Machine(Program& p) : p_(p), stack_(config(p), pools()) {
    engine().listen(kOurs, 80, 0);
    for (u32 n = 0; n < 3; ++n) begin(n, p.next());
    by_the_book_ = false;
  }

  void run() {
    for (u32 steps = 0; p_.more() && steps < 300; ++steps) step();
    flush();
    held_.clear();
    stack_.engine.reset();
    RW_ASSERT(!pools()->audit());
  }

 private:
  tcp::Engine& engine() { return *stack_.engine; }
  // Three clients of ours, three servers that we are clients of.
  wire::FourTuple client(u32 n) const { return {kOurs, kTheirs, 80, static_cast<u16>(n & 3)}; }
  wire::FourTuple server(u32 n) const { return {kOurs, kTheirs, static_cast<u16>(1000 + (n & 3)), 8080}; }

  // How far connection `n` gets before the program begins.
  void begin(u32 n, u8 how) {
    const bool active = (how & 16) != 0;
    const u32 far = how & 15;
    if (far == 0) return;
    next_id_ = n;
    if (active) ids_[n] = *engine().connect(kOurs, kTheirs, 8080, 0, now_);
    const wire::FourTuple t = active ? engine().info(ids_[n])->tuple : client(n);
    Peer& peer = peers_[t];
    peer.seq = wire::SeqNo{u32{how} << 24 | 0xff'ff00};
    settle();
    if (!active) say(t, gate::kSyn, 0, how);
    if (far == 1) return;
    if (active) say(t, gate::kSyn | gate::kAck, 0, how);
    if (!active) say(t, gate::kAck, 0, how);
    if (far == 2) return;
    send(ids_[n], far * 700);
    settle();
    if (far >= 4) say(t, gate::kAck, 300, how);
    if (far == 5) say(t, gate::kAck, 200, how, 500);                    // a hole
    if (far == 6 || far == 7) say(t, gate::kFin | gate::kAck, 0, how);  // CLOSE-WAIT
    if (far >= 7) engine().shutdown(ids_[n]);                           // LAST-ACK, FIN-WAIT-1
    settle();
    if (far >= 9) say(t, gate::kAck, 0, how);                           // FIN-WAIT-2
    if (far == 10) engine().close(ids_[n]);
    if (far >= 11) say(t, gate::kFin | gate::kAck, 0, how);             // TIME-WAIT
    settle();
  }

  void step() {
    const u8 op = p_.next();
    switch (op & 15) {
      case 8: now_ += u64{1} << (p_.next() & 31); engine().timers(now_, 64); break;
      case 9: if (auto c = engine().connect(kOurs, kTheirs, 8080, 0, now_)) ids_[op >> 6] = *c; break;
      case 10: send(ids_[op >> 6], 1 + p_.next() * 8u); break;
      case 11: engine().take(ids_[op >> 6], 1 + p_.next() * 16u); break;
      case 12: engine().shutdown(ids_[op >> 6]); break;
      case 13: (op & 16) != 0 ? engine().close(ids_[op >> 6]) : engine().abort(ids_[op >> 6]); break;
      case 14: hold_ = (op & 16) != 0; held_.clear(); break;
      case 15: flush(); break;
      default: segment(op); break;
    }
    settle();
  }
  void settle() {
    events();
    if (!hold_) flush();
    if (const char* what = engine().check_invariants()) {
      std::fprintf(stderr, "this should hold: %s\n", what);
      RW_ASSERT(!"an invariant of the engine");
    }
  }

  // A segment as a good peer would send it, with at most three changes.
  void segment(u8 op) {
    const wire::FourTuple t = (op & 32) != 0 ? server(op >> 6) : client(op >> 6);
    Crafted c = good(t, gate::kAck, (op & 16) != 0 ? p_.next() * 5u : 0);
    for (u32 n = op & 3; n > 0; --n) c.change(p_);
    stack_.arrive(c.wire(), now_);
  }
  Crafted good(const wire::FourTuple& t, u8 flags, u32 payload) {
    Peer& peer = peers_[t];
    Crafted c{.tuple = {t.remote, t.local, t.remote_port, t.local_port}, .seq = peer.seq, .ack = peer.ack, .flags = flags};
    c.payload = payload;
    if (!peer.stamps) return c;
    c.options = {1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
    wire::store_be32(&c.options[4], ++peer.clock);
    wire::store_be32(&c.options[8], peer.echo);
    return c;
  }
  // `how`: bits 5 to 7 choose the options of a SYN. `ahead`: left out in front.
  void say(const wire::FourTuple& t, u8 flags, u32 payload, u8 how, u32 ahead = 0) {
    if ((flags & gate::kSyn) != 0) peers_[t].stamps = (how & 128) != 0;
    Crafted c = good(t, flags, payload);
    c.seq += ahead;
    if ((flags & gate::kSyn) != 0) {
      if ((how & 32) != 0) c.options.insert(c.options.end(), {1, 3, 3, 2});
      if ((how & 64) != 0) c.options.insert(c.options.end(), {1, 1, 4, 2});
      if ((how & 96) != 0) c.options.insert(c.options.end(), {2, 4, 5, 0xb4});
    }
    stack_.arrive(c.wire(), now_);
    if (ahead == 0) peers_[t].seq += payload + ((flags & (gate::kSyn | gate::kFin)) != 0 ? 1u : 0u);
    settle();
  }

  void send(tcp::ConnId id, u32 n) {
    if (engine().send_space(id) == 0) return;
    mbuf::Chain c = pools()->chain();
    while (n > 0) {
      mbuf::Pkt pkt = pools()->alloc();
      if (!pkt) break;
      const u32 part = std::min<u32>(n, 1 + p_.next() * 6u);
      pkt.append(part);
      if (!c.append(std::move(pkt))) break;
      n -= part;
    }
    engine().send(id, std::move(c));
  }

  void events() {
    tcp::AppEvent e;
    while (engine().next_event(e))
      if ((e.bits & tcp::kAccepted) != 0) ids_[next_id_++ & 3] = e.id;
  }

  void flush() {
    stack_.flush(now_, [this](mbuf::Pkt pkt) {
      RW_ASSERT(pkt.headroom() >= 14);
      for (const test::Frame& frame : test::as_the_port_sends(pkt, 0)) see(frame);
      if (hold_) held_.push_back(std::move(pkt));
    });
  }

  void see(const test::Frame& frame) {
    std::string why;
    const auto s = test::decode(frame, why);
    RW_ASSERT(s.has_value());
    Peer& peer = peers_[{s->tuple.remote, s->tuple.local, s->tuple.remote_port, s->tuple.local_port}];
    peer.ack = s->seq + s->length();
    if (s->options.timestamps) peer.echo = s->options.ts_value;
    if (s->has(gate::kAck) && !s->has(gate::kRst) && !by_the_book_) peer.seq = s->ack;
  }

  Program& p_;
  Stack stack_;
  TimeUs now_ = 1'000'000;
  bool hold_ = false;
  bool by_the_book_ = true;
  u32 next_id_ = 0;
  std::array<tcp::ConnId, 4> ids_;
  std::map<wire::FourTuple, Peer> peers_;
  std::vector<mbuf::Pkt> held_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Program p(Bytes(data, size));
  Machine(p).run();
  return 0;
}
