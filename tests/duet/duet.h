#pragma once
// Two engines back to back over a bad link: the client (A) connects to the server (B), both send what they were given,
// and every byte is compared. Time jumps from event to event; every random choice comes from one seed, which a failure
// prints. After every step of either engine its invariants are checked: bytes in flight have a timer, sums agree.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <random>

#include "dataplane/tcp/state.h"
#include "tests/duet/stack.h"

namespace ringway::test {

// What the link does to each packet, in percent where not said otherwise.
struct Faults {
  double loss = 0;
  u32 reorder = 0;       // is overtaken by what follows within reorder_us
  u32 hold = 0;          // is overtaken by all that follows within hold_us
  u32 duplicate = 0;
  u32 corrupt = 0;       // one bit flips; the checksums must catch it
  u32 delay_us = 100;    // each way
  u32 reorder_us = 1000;
  u32 hold_us = 500;
  u32 queue_packets = 100'000;  // in flight each way; more are lost
  // A policer in front of these faults: what exceeds its rate and its bucket is lost. 0: none.
  u32 police_mbit_s = 0;
  u32 police_burst_bytes = 65'536;
  // Behind them stands a bottleneck: a token bucket and what waits for it. 0: none.
  u32 rate_mbit_s = 0;
  u32 burst_bytes = 65'536;
  u32 queue_bytes = 262'144;
  // Each end is away from its work now and then, as a core is that others use as well: for so long at most, about so often.
  u32 away_us = 0;
  u32 away_every_us = 10'000;
  u64 seed = 1;
};

// Packets under way to one side: delayed, in any order, then through the bottleneck in the order in which they get there.
class Link {
 public:
  explicit Link(const Faults& f) : faults_(f) {}
  void clear() {
    delayed_.clear();
    queued_.clear();
  }
  std::size_t packets() const { return delayed_.size() + queued_.size(); }

  // True: the policer takes it away.
  bool polices(TimeUs now, u64 bytes) {
    if (faults_.police_mbit_s == 0) return false;
    police_tokens_ = std::min<u64>(faults_.police_burst_bytes, police_tokens_ + (now - police_at_) * faults_.police_mbit_s / 8);
    police_at_ = now;
    if (police_tokens_ < bytes) return true;
    police_tokens_ -= bytes;
    return false;
  }

  void enter(TimeUs at, const std::vector<u8>& bytes) {
    delayed_.push_back({at, order_++, bytes});
    std::push_heap(delayed_.begin(), delayed_.end(), std::greater<>());
  }
  // The next packet that is there at `now`. False: none is.
  bool leave(TimeUs now, std::vector<u8>& bytes) {
    while (!delayed_.empty() && delayed_.front().at <= now) {
      std::pop_heap(delayed_.begin(), delayed_.end(), std::greater<>());
      queue(std::move(delayed_.back()));
      delayed_.pop_back();
    }
    if (queued_.empty() || queued_.front().at > now) return false;
    bytes = std::move(queued_.front().bytes);
    queued_bytes_ -= bytes.size();
    queued_.pop_front();
    return true;
  }
  TimeUs next() const {
    TimeUs at = ~TimeUs{0};
    if (!delayed_.empty()) at = delayed_.front().at;
    return queued_.empty() ? at : std::min(at, queued_.front().at);
  }

 private:
  struct Flying {
    TimeUs at;
    u64 order;
    std::vector<u8> bytes;
    bool operator>(const Flying& o) const { return at != o.at ? at > o.at : order > o.order; }
  };

  void queue(Flying f) {
    if (faults_.rate_mbit_s != 0) {
      if (queued_bytes_ + f.bytes.size() > faults_.queue_bytes) return;
      const u64 at_ns = f.at * 1000, credit_ns = u64{faults_.burst_bytes} * 8000 / faults_.rate_mbit_s;
      free_ns_ = std::max(free_ns_, at_ns - credit_ns) + f.bytes.size() * 8000 / faults_.rate_mbit_s;
      f.at = std::max(f.at, free_ns_ / 1000);
    }
    queued_bytes_ += f.bytes.size();
    queued_.push_back(std::move(f));
  }

  const Faults& faults_;
  std::vector<Flying> delayed_;  // a heap, earliest first
  std::deque<Flying> queued_;
  u64 queued_bytes_ = 0;
  u64 free_ns_ = 0;  // when the bucket has no debt any more
  u64 order_ = 0;
  u64 police_tokens_ = 0;
  TimeUs police_at_ = 0;
};

// One side: its stack, what it sends, what it got.
struct Side : Stack {
  Side(const tcp::EngineConfig& c, const std::string& name, u32 mbufs)
      : Stack(c, memory({.name = name, .packets = mbufs, .indirect = 2047, .slices = 8192})) {}
  bool done() const { return sent == to_send && got == to_get && closed; }

  tcp::ConnId id;
  bool open = false, closed = false, shut = false, peer_closed = false;
  tcp::CloseReason reason = tcp::CloseReason::none;
  u64 to_send = 0, sent = 0, to_get = 0, got = 0;
  u32 piece = 1460;       // bytes per mbuf that the application writes
  u32 read_most = ~0u;    // bytes taken per step
  u64 salt = 0;           // of the stream that it sends
  TimeUs back_at = 0;     // away until then
  TimeUs leaves_at = 0;
  bool shut_when_done = true;
};

class Duet {
 public:
  static tcp::EngineConfig config() {
    tcp::EngineConfig c;
    c.connections = 16;
    c.listeners = 4;
    c.half_open_max = 8;
    c.time_wait_max = 8;
    c.secret[0] = 11;
    c.secret[1] = 12;
    c.rto_min_us[0] = c.rto_min_us[1] = 20'000;
    c.rto_initial_us[0] = c.rto_initial_us[1] = 200'000;
    // Waits long enough that losing many copies in a row ends nothing.
    c.fin_timeout_us = c.user_timeout_us = c.time_wait_us = 600'000'000;
    c.retransmits_max = 40;
    c.syn_retransmits_max = 12;
    return c;
  }

  explicit Duet(Faults f, tcp::EngineConfig ca = config(), tcp::EngineConfig cb = config(), u32 mbufs = 2047)
      : faults(f), rng(f.seed), a(ca, "da", mbufs), b(cb, "db", mbufs) {
    a.salt = 0x1111;
    b.salt = 0x2222;
    EXPECT_TRUE(b.engine->listen(kServer, 80, 0));
    a.id = *a.engine->connect(kClient, kServer, 80, 0, now);
  }

  // The byte at place `at` of a stream.
  static u8 byte(u64 salt, u64 at) { return static_cast<u8>((at * 0x9e37'79b9 + salt + (at >> 8) * 7) >> 5); }

  void transfer(u64 a_to_b, u64 b_to_a) {
    a.to_send = b.to_get = a_to_b;
    b.to_send = a.to_get = b_to_a;
  }

  // Runs until both sides are closed, or `limit` of simulated time. True when everything arrived.
  bool run(TimeUs limit_us) {
    return run_until(limit_us, [this] { return a.done() && b.done(); });
  }
  // Runs until every byte is there; the connection lives on.
  bool carry(TimeUs limit_us) {
    return run_until(limit_us, [this] { return a.got == a.to_get && b.got == b.to_get; });
  }
  void audit() {
    to_a.clear();
    to_b.clear();
    for (Side* s : {&a, &b}) {
      s->engine.reset();
      const auto wrong = s->pools->audit();
      EXPECT_FALSE(wrong.has_value()) << wrong.value_or("") << " seed " << faults.seed;
    }
  }
  std::string story() const {
    const auto line = [](const Side& s) {
      const auto info = s.engine ? s.engine->info(s.id) : std::nullopt;
      return "sent " + std::to_string(s.sent) + "/" + std::to_string(s.to_send) + " got " + std::to_string(s.got) + "/" +
             std::to_string(s.to_get) + " state " +
             (info ? std::string(tcp::name(static_cast<tcp::State>(info->state))) : "gone") + " in flight " +
             std::to_string(info ? info->in_flight_bytes : 0) + " closed " + std::to_string(s.closed) + " reason " +
             std::to_string(static_cast<u32>(s.reason)) + "\n";
    };
    return "seed " + std::to_string(faults.seed) + " time " + std::to_string(now) + " us\n" + line(a) + line(b);
  }

  static constexpr wire::Ip4 kClient = wire::Ip4::of(10, 1, 0, 1);
  static constexpr wire::Ip4 kServer = wire::Ip4::of(10, 1, 0, 2);

  Faults faults;
  std::mt19937_64 rng;
  TimeUs now = 1'000'000;
  Side a, b;
  Link to_a{faults}, to_b{faults};
  u64 packets = 0;
  bool failed = false;

 private:
  template <class Done>
  bool run_until(TimeUs limit_us, Done done) {
    const TimeUs end = now + limit_us;
    while (now < end && !failed) {
      step(a, to_b);
      step(b, to_a);
      if (done()) break;
      now = next_time(end);
    }
    return done() && !failed;
  }

  bool chance(double percent) { return percent > 0 && static_cast<double>(rng() % 100'000) < percent * 1000; }

  // Polls until nothing more has arrived.
  void step(Side& me, Link& out) {
    if (away(me)) return;
    Link& in = &me == &a ? to_a : to_b;
    while (poll(me, in, out) == contract::kBurstMax) {
    }
  }
  bool away(Side& me) {
    if (faults.away_us == 0) return false;
    if (now >= me.leaves_at) {
      me.back_at = now + rng() % (faults.away_us + 1);
      me.leaves_at = me.back_at + rng() % (2 * faults.away_every_us);
    }
    return now < me.back_at;
  }
  u32 poll(Side& me, Link& in, Link& out) {
    u32 count = 0;
    for (std::vector<u8> bytes; count < contract::kBurstMax && in.leave(now, bytes); ++count) me.arrive(bytes, now);
    me.engine->timers(now, 1000);
    application(me);
    me.flush(now, [&](mbuf::Pkt pkt) { depart(pkt, out); });
    if (const char* what = me.engine->check_invariants()) {
      failed = true;
      ADD_FAILURE() << "this should hold: " << what << "\n" << story();
    }
    return count;
  }

  void depart(const mbuf::Pkt& pkt, Link& out) {
    for (Frame& frame : as_the_port_sends(pkt, 0)) fly(std::move(frame), out);
  }
  void fly(std::vector<u8> bytes, Link& out) {
    ++packets;
    if (out.polices(now, bytes.size()) || chance(faults.loss) || out.packets() >= faults.queue_packets) return;
    if (chance(faults.corrupt)) bytes[rng() % bytes.size()] ^= static_cast<u8>(1u << rng() % 8);
    const u32 copies = chance(faults.duplicate) ? 2 : 1;
    for (u32 i = 0; i < copies; ++i) {
      TimeUs late = chance(faults.reorder) ? rng() % (faults.reorder_us + 1) : 0;
      if (chance(faults.hold)) late += faults.hold_us;
      out.enter(now + faults.delay_us + late, bytes);
    }
  }

  void application(Side& me) {
    tcp::AppEvent e;
    while (me.engine->next_event(e)) {
      if (e.bits & tcp::kAccepted) me.id = e.id;
      if (e.bits & (tcp::kAccepted | tcp::kConnected)) me.open = true;
      if (e.bits & tcp::kPeerClosed) me.peer_closed = true;
      if (e.bits & tcp::kClosed) {
        me.closed = true;
        me.reason = e.reason;
      }
    }
    if (!me.open || !me.engine->alive(me.id)) return;
    read(me);
    while (me.sent < me.to_send && me.engine->send_space(me.id) > 0 && write(me)) {
    }
    if (me.sent == me.to_send && me.shut_when_done && !me.shut) {
      me.shut = true;
      me.engine->shutdown(me.id);
    }
  }
  void read(Side& me) {
    mbuf::Chain c = me.engine->take(me.id, std::min(me.read_most, me.engine->received(me.id).bytes()));
    const u64 salt = &me == &a ? b.salt : a.salt;
    for (u32 at = c.first(); at != kNone32; at = c.slice(at).next) {
      for (const u8 got : c.slice(at).bytes()) {
        if (got != byte(salt, me.got++) && !failed) {
          failed = true;
          ADD_FAILURE() << "byte " << me.got - 1 << " differs\n" << story();
        }
      }
    }
  }
  bool write(Side& me) {
    if (me.pools->packets_free() < 200) return false;
    mbuf::Pkt p = me.pools->alloc();
    const u32 n = static_cast<u32>(std::min<u64>({me.piece, me.to_send - me.sent, me.engine->send_space(me.id)}));
    u8* to = p.append(n);
    for (u32 i = 0; i < n; ++i) to[i] = byte(me.salt, me.sent + i);
    mbuf::Chain c = me.pools->chain();
    if (!c.append(std::move(p))) return false;
    me.engine->send(me.id, std::move(c));
    me.sent += n;
    return true;
  }
  TimeUs next_time(TimeUs end) const {
    TimeUs t = std::min(end, now + 1'000'000);
    t = std::min({t, to_a.next(), to_b.next()});
    for (const Side* s : {&a, &b}) t = std::min(t, now + s->engine->next_timer_us(now, 1'000'000));
    return std::max(t, now + 50);
  }
};

}  // namespace ringway::test
