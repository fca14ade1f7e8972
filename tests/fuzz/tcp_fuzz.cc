// Bytes as a program for one engine: segments from strangers and peers, calls of the application, time, a NIC that keeps
// packets. What must hold: no sanitizer complaint, every packet that leaves can be read, bytes in flight have a timer,
// and all packet memory is back at the end.

#include <array>
#include <map>

#include "dataplane/tcp/engine.h"
#include "src/lookup/flow_hash.h"
#include "tests/support/eal.h"
#include "tests/wire/decode.h"

namespace {

using namespace ringway;

mbuf::Pools& pools() {
  static std::unique_ptr<mbuf::Pools> p = [] {
    test::start_eal();
    std::string error;
    auto made = mbuf::Pools::make({.name = "fuzz", .packets = 511, .indirect = 255, .slices = 1024, .cache = 0}, error);
    RW_ASSERT(made != nullptr);
    return made;
  }();
  return *p;
}

struct Program {
  explicit Program(Bytes b) : bytes(b) {}
  bool more() const { return at < bytes.size(); }
  u8 next() { return more() ? bytes[at++] : u8{0}; }
  Bytes bytes;
  std::size_t at = 0;
};

struct Peer {
  wire::SeqNo seq, ack;  // what the engine expects from us, what it has sent
};

class Machine {
 public:
  explicit Machine(Program& p) : p_(p) {
    tcp::EngineConfig c;
    c.connections = 8;
    c.listeners = 2;
    c.half_open_max = 3;
    c.time_wait_max = 2;
    c.receive_budget_bytes = 30'000;
    c.send_budget_bytes = 20'000;
    c.retransmits_max = 3;
    c.secret[1] = 99;
    c.port_first = 1000;
    c.port_count = 4;
    const u8 caps = p.next();
    c.caps.multi_segs = (caps & 1) != 0;
    c.caps.segs_max = c.caps.multi_segs ? static_cast<u16>(2 + (caps >> 5)) : u16{1};
    seed_ = c.secret[1];
    engine_ = std::make_unique<tcp::Engine>(c, pools(), *page_);
    engine_->listen({1}, 80, 0);
  }

  void run() {
    for (u32 steps = 0; p_.more() && steps < 400; ++steps) step();
    flush();
    held_.clear();
    engine_.reset();
    RW_ASSERT(!pools().audit());
  }

 private:
  void step() {
    const u8 op = p_.next();
    switch (op & 15) {
      case 8: now_ += u64{1} << (p_.next() & 31); engine_->timers(now_, 64); break;
      case 9: if (auto c = engine_->connect({1}, {2}, 8080, 0, now_)) ids_[op >> 6] = *c; break;
      case 10: send(ids_[op >> 6], 1 + p_.next() * 8u); break;
      case 11: engine_->take(ids_[op >> 6], 1 + p_.next() * 16u); break;
      case 12: engine_->shutdown(ids_[op >> 6]); break;
      case 13: (op & 16) != 0 ? engine_->close(ids_[op >> 6]) : engine_->abort(ids_[op >> 6]); break;
      case 14: hold_ = (op & 16) != 0; held_.clear(); break;
      case 15: flush(); break;
      default: segment(op); break;
    }
    events();
    for (const tcp::ConnId id : ids_) {
      const auto info = engine_->info(id);
      if (info && info->in_flight_bytes > 0 && info->state >= 4) RW_ASSERT(info->send_timer);
    }
  }

  void segment(u8 op) {
    wire::FourTuple t{{1}, {2}, 80, static_cast<u16>(op >> 6)};
    if ((op & 32) != 0) t = {{1}, {2}, static_cast<u16>(1000 + (op >> 6)), 8080};
    const Peer& peer = peers_[t];
    gate::Segment s;
    s.tuple = t;
    s.hash = lookup::flow_hash(t, seed_);
    const u8 shape = p_.next();
    static constexpr u8 kUsual[8] = {gate::kAck, gate::kAck, gate::kAck, gate::kSyn, gate::kSyn | gate::kAck,
                                     gate::kFin | gate::kAck, gate::kRst, gate::kAck};
    s.flags = (op & 7) == 7 ? p_.next() : kUsual[op & 7];
    s.seq = peer.seq;
    s.ack = peer.ack;
    if ((shape & 1) != 0) s.seq += static_cast<u32>(static_cast<signed char>(p_.next())) * ((shape & 2) != 0 ? 700u : 1u);
    if ((shape & 4) != 0) s.ack += static_cast<u32>(static_cast<signed char>(p_.next())) * ((shape & 8) != 0 ? 700u : 1u);
    s.window = (shape & 16) != 0 ? static_cast<u16>(p_.next() * 16) : u16{60'000};
    if ((shape & 32) != 0) {
      s.options.mss = static_cast<u16>(p_.next() << 4);
      s.options.window_scale = p_.next();
    }
    s.payload_offset = 40;
    s.payload_bytes = (shape & 64) != 0 ? p_.next() * ((shape & 128) != 0 ? 5u : 1u) : 0;
    mbuf::Pkt pkt = pools().alloc();
    if (!pkt) return;
    pkt.append(40 + s.payload_bytes);
    engine_->prefetch(s);
    engine_->input(s, std::move(pkt), now_);
  }

  void send(tcp::ConnId id, u32 n) {
    if (engine_->send_space(id) == 0) return;
    mbuf::Chain c = pools().chain();
    while (n > 0) {
      mbuf::Pkt pkt = pools().alloc();
      if (!pkt) break;
      const u32 part = std::min<u32>(n, 1 + p_.next() * 6u);
      pkt.append(part);
      c.append(std::move(pkt));
      n -= part;
    }
    engine_->send(id, std::move(c));
  }

  void events() {
    tcp::AppEvent e;
    while (engine_->next_event(e))
      if ((e.bits & tcp::kAccepted) != 0) ids_[e.id.index & 3] = e.id;
  }

  void flush() {
    batch_->count = 0;
    engine_->flush(*batch_, now_);
    for (u32 i = 0; i < batch_->count; ++i) {
      mbuf::Pkt pkt = std::move(batch_->items[i].pkt);
      RW_ASSERT(pkt.headroom() >= 14);
      std::string why;
      const auto s = test::decode(test::gather(pkt), why);
      RW_ASSERT(s.has_value());
      Peer& peer = peers_[{s->tuple.remote, s->tuple.local, s->tuple.remote_port, s->tuple.local_port}];
      peer.ack = s->seq + s->length();
      if (s->has(gate::kAck) && !s->has(gate::kRst)) peer.seq = s->ack;
      if (hold_) held_.push_back(std::move(pkt));
    }
  }

  Program& p_;
  u64 seed_ = 0;
  TimeUs now_ = 1'000'000;
  bool hold_ = false;
  std::unique_ptr<contract::CorePage> page_ = std::make_unique<contract::CorePage>();
  std::unique_ptr<tcp::Engine> engine_;
  std::unique_ptr<tcp::OutBatch> batch_ = std::make_unique<tcp::OutBatch>();
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
