#pragma once
// Bytes as a play for two engines: what both applications do, what becomes of every packet between them, what strangers
// and liars send into their conversation, and when. Used by the fuzzer of tests/fuzz and, with seeds, by actors_test.cc.
//
// Four conversations at most run between A and B: two that A opens, one that B opens, one that both open at once. A byte of
// a stream depends on nothing but its sequence number and the two ports, so that whatever arrives can be judged, forged
// segments included, which carry the bytes that belong where they claim to be. After each act every invariant of both
// engines is asked for, what was read must be what was written, and what is acknowledged must have arrived. A conversation
// that was lied to (`lied_to`) need not come to a good end, but the rest holds for it too. When the bytes are used up
// everybody reads, says goodbye and the wire is good: both engines must be empty within bounded time and all memory back.
//
// No test framework in here: the first thing that does not hold is what `run` returns. One thread.

#include <algorithm>
#include <array>
#include <deque>

#include "dataplane/tcp/state.h"
#include "tests/duet/actors_wire.h"
#include "tests/duet/stack.h"

namespace ringway::test {

// One side of one conversation.
struct End {
  tcp::ConnId id;
  wire::FourTuple tuple;
  wire::SeqNo iss;
  u64 sent = 0, got = 0;
  bool open = false;
  bool shut = false;
  bool peer_closed = false;
  bool left = false;  // the application closed or aborted it
  bool over = false;  // kClosed came
  tcp::CloseReason reason = tcp::CloseReason::none;
};

class Actors {
 public:
  // The memory of both sides is used again by the next play.
  struct Memory {
    std::shared_ptr<mbuf::Pools> sides[2];
  };
  static Memory small_memory() { return memory({.name = "as", .packets = 63, .indirect = 31, .slices = 160}); }
  static Memory fair_memory() { return memory({.name = "af", .packets = 511, .indirect = 255, .slices = 1024}); }

  Actors(Bytes program, Memory small, Memory fair) : p_(program) {
    const u8 memory = p_.next();
    const Memory& m = (memory & 1) != 0 ? small : fair;
    patient_ = (memory & 2) != 0;
    lazy_ = (memory & 4) != 0;
    for (u32 s = 0; s < 2; ++s) sides_[s] = std::make_unique<Stack>(configure(s), m.sides[s]);
    for (u32 s = 0; s < 2; ++s) listen(s);
  }
  ~Actors() { forget_packets(); }

  // Empty, or what did not hold.
  std::string run() {
    for (u32 acts = 0; p_.more() && acts < kActsMax && wrong_.empty(); ++acts) {
      act();
      settle();
    }
    if (wrong_.empty()) last_act();
    forget_packets();
    for (u32 s = 0; s < 2; ++s) {
      sides_[s]->engine.reset();
      if (const auto missing = sides_[s]->pools->audit()) fail(side_name(s) + *missing);
    }
    return wrong_;
  }
  // Whether a conversation had a good end, for the test of this very file.
  u32 finished() const { return finished_; }

 private:
  static constexpr u32 kActsMax = 240;      // fewer than the timeouts that the patient stand
  static constexpr u32 kTalks = 4;
  static constexpr u16 kPortOfA = 1000, kPortOfB = 2000;
  static constexpr wire::Ip4 kA = wire::Ip4::of(10, 1, 0, 1), kB = wire::Ip4::of(10, 1, 0, 2);
  static constexpr TimeUs kSecond = 1'000'000;

  static Memory memory(const mbuf::PoolConfig& c) { return {{Stack::memory(c), Stack::memory(c)}}; }
  static std::string side_name(u32 s) { return s == 0 ? "A: " : "B: "; }
  void fail(const std::string& what) {
    if (wrong_.empty()) wrong_ = what + " (at " + std::to_string(now_) + " us)";
  }

  tcp::EngineConfig configure(u32 s) {
    static constexpr u32 kBudgets[8] = {3000, 5000, 9000, 20'000, 40'000, 70'000, 150'000, 600'000};
    const u8 sizes = p_.next(), options = p_.next();
    tcp::EngineConfig c;
    c.connections = 4;
    c.listeners = 2;
    c.half_open_max = 3;
    c.half_open_per_listener = 2;
    c.half_open_mark = options >> 6;
    c.time_wait_max = 2;
    c.receive_budget_bytes = kBudgets[sizes & 7];
    c.send_budget_bytes = kBudgets[sizes >> 3 & 7];
    c.sack = (options & 1) == 0;
    c.timestamps = (options & 2) == 0;
    c.syn_cookies = (options & 4) == 0;
    c.caps.multi_segs = (options & 8) != 0;
    c.caps.segs_max = c.caps.multi_segs ? static_cast<u16>(2 + (sizes >> 6)) : u16{1};
    c.caps.tcp_checksum = c.caps.tso4 = (options & 32) != 0;
    c.caps.tso_segs_max = static_cast<u16>(3 + (sizes >> 6));
    c.caps.mtu = (options & 16) != 0 ? u16{576} : u16{1500};
    c.secret[0] = s + 5;
    c.secret[1] = s + 9;
    c.port_first = s == 0 ? kPortOfA : kPortOfB;
    c.port_count = 1;
    c.rto_max_us = 2'000'000;
    c.time_wait_us = 2'000'000;
    c.shed_idle_us = 1'000'000;
    c.user_timeout_us = patient_ ? 0 : 10'000'000;
    c.retransmits_max = patient_ ? 250 : 4;
    c.syn_retransmits_max = patient_ ? 250 : 3;
    c.fin_timeout_us = patient_ ? 60'000'000 : 3'000'000;
    c.keepalive_idle_us = patient_ ? 0 : 5'000'000;
    c.keepalive_interval_us = 1'000'000;
    c.keepalive_probes = 2;
    return c;
  }
  void listen(u32 s) {
    sides_[s]->engine->listen(address(s), 80, 0);
    sides_[s]->engine->listen(address(s), 81, 1);
  }

  // --- who talks to whom
  static wire::Ip4 address(u32 s) { return s == 0 ? kA : kB; }
  // The conversation of a tuple as side `s` sees it; kTalks: none.
  static u32 talk_of(u32 s, const wire::FourTuple& t) {
    const u16 of_a = s == 0 ? t.local_port : t.remote_port, of_b = s == 0 ? t.remote_port : t.local_port;
    if (of_a == kPortOfA) return of_b == 80 ? 0 : of_b == 81 ? 1 : of_b == kPortOfB ? 3 : kTalks;
    return of_a == 80 && of_b == kPortOfB ? 2 : kTalks;
  }
  static wire::FourTuple tuple_of(u32 s, u32 talk) {
    static constexpr u16 kPorts[kTalks][2] = {{kPortOfA, 80}, {kPortOfA, 81}, {80, kPortOfB}, {kPortOfA, kPortOfB}};
    return {address(s), address(1 - s), kPorts[talk][s], kPorts[talk][1 - s]};
  }
  End& end(u32 s, u32 talk) { return ends_[s][talk]; }
  tcp::Engine& engine(u32 s) { return *sides_[s]->engine; }
  bool alive(u32 s, const End& e) { return !e.left && !e.over && engine(s).alive(e.id); }

  // --- the acts
  void act() {
    const u8 op = p_.next();
    const u32 s = op >> 7, talk = op >> 5 & 3;
    End& e = end(s, talk);
    switch (op & 31) {
      case 0: return connect(s, talk);
      case 1: {
        const u32 n = 1 + p_.next() * 8u;  // before the other, with every compiler
        return send(s, e, n, 1 + p_.next() * 8u);
      }
      case 2: return send(s, e, 1 + p_.next() * 200u, 1400);
      case 3: return read(s, e, 1 + p_.next() * 64u);
      case 4: return shutdown(s, e);
      case 5: return leave(s, e, false);
      case 6: return leave(s, e, true);
      case 7: case 8: return deliver(s, 1 + talk, 0);
      case 9: return deliver(s, 1, p_.next());
      case 10: return lose(s, p_.next(), 1 + talk);
      case 11: return repeat(s, p_.next());
      case 12: return damage(s);
      case 13: case 14: return mutate(s);
      case 15: case 16: case 17: return forge(s, talk);
      case 18: return stranger(s, talk);
      case 19: return pass(u64{1} << (p_.next() % 26));
      case 20: return pass(1 + p_.next() * 1000u);
      case 21: return flush(s, 1 + p_.next());
      case 22: return hog(s, p_.next());
      case 23: nic_holds_[s] = (talk & 1) != 0; return held_[s].clear();
      case 24: return icmp(s, talk);
      case 25: (talk & 1) != 0 ? engine(s).unlisten(address(s), 80) : listen(s); return;
      case 26: lazy_ = !lazy_; return;
      case 27: for (u32 n = 0; n <= talk; ++n) round(); return;
      case 28: case 29: round(); return read(s, e, ~0u);
      case 30: send(0, end(0, talk), 5000, 1400); send(1, end(1, talk), 3000, 700); return round();
      default: return connect_well(s, talk);
    }
  }

  void connect(u32 s, u32 talk) {
    const u32 opener = talk == 2 ? 1 : talk == 3 ? s : 0;
    const wire::FourTuple t = tuple_of(opener, talk);
    const auto id = engine(opener).connect(t.local, t.remote, t.remote_port, talk, now_);
    if (!id) return;
    if (talk != 3 || !alive(1 - opener, end(1 - opener, talk))) lied_to_[talk] = !quiet_about(opener, talk);
    begin(opener, *id);
  }
  // Nothing of a former conversation with these ports is left to be mistaken for this one.
  bool quiet_about(u32 s, u32 talk) {
    for (u32 to = 0; to < 2; ++to)
      for (const Wire& w : link_[to])
        if (talk_of(to, read_tuple(w)) == talk) return false;
    const End& other = end(1 - s, talk);
    return !engine(1 - s).alive(other.id) && !other.left && engine(1 - s).half_open() == 0;
  }
  // Handshake without accidents, so that what follows meets an open connection.
  void connect_well(u32 s, u32 talk) {
    connect(s, talk);
    for (u32 n = 0; n < 3; ++n) round();
  }
  void begin(u32 s, tcp::ConnId id) {
    const auto info = engine(s).info(id);
    if (!info) return;
    const u32 talk = talk_of(s, info->tuple);
    if (talk == kTalks) return fail("a connection of nobody's");
    End& e = end(s, talk);
    read(s, e, ~0u);  // a former one may be over and wait for this
    leave(s, e, false);
    e = End{};
    e.id = id;
    e.tuple = info->tuple;
    e.iss = info->iss;
  }
  // As every application has to: half of the memory is left for what arrives.
  bool may_fill(u32 s) {
    mbuf::Pools& pools = *sides_[s]->pools;
    return pools.packets_free() * 2 > pools.packets_capacity() && pools.slices().in_use() * 2 < pools.slices().capacity();
  }
  void send(u32 s, End& e, u32 n, u32 piece) {
    if (!alive(s, e) || e.shut) return;
    n = std::min(n, engine(s).send_space(e.id));
    mbuf::Chain c = sides_[s]->pools->chain();
    for (u32 at = 0; at < n && may_fill(s);) {
      mbuf::Pkt pkt = sides_[s]->pools->alloc();
      if (!pkt) break;
      const u32 part = std::min({n - at, piece, 1900u});
      fill(pkt.append(part), part, e.tuple, e.iss + 1 + static_cast<u32>(e.sent) + at);
      if (!c.append(std::move(pkt))) break;
      at += part;
    }
    if (c.empty()) return;
    e.sent += c.bytes();
    engine(s).send(e.id, std::move(c));
  }
  void read(u32 s, End& e, u32 n) {
    if (!alive(s, e)) return;
    const auto info = engine(s).info(e.id);
    mbuf::Chain c = engine(s).take(e.id, std::min(n, engine(s).received(e.id).bytes()));
    const wire::FourTuple from{e.tuple.remote, e.tuple.local, e.tuple.remote_port, e.tuple.local_port};
    for (u32 at = c.first(); at != kNone32; at = c.slice(at).next)
      for (const u8 got : c.slice(at).bytes())
        if (got != stream_byte(from, info->irs + 1 + static_cast<u32>(e.got++))) return fail(side_name(s) + "a byte is wrong");
  }
  void shutdown(u32 s, End& e) {
    if (!alive(s, e)) return;
    engine(s).shutdown(e.id);
    e.shut = true;
  }
  void leave(u32 s, End& e, bool abort) {
    if (!alive(s, e)) return;
    e.left = true;
    abort ? engine(s).abort(e.id) : engine(s).close(e.id);
  }
  // ICMP about the last packet that `s` sent: nobody is there, or it was too large. The latter may slow, never harm.
  void icmp(u32 s, u32 talk) {
    const u32 bytes = p_.next16();
    if ((bytes & 1) != 0 && !last_[1 - s][talk].empty()) {
      const wire::SeqNo seq = Crafted::read(last_[1 - s][talk]).seq;
      return engine(s).too_big(tuple_of(s, talk), seq + static_cast<u32>(p_.next_signed()), bytes >> 1 & 2047, now_);
    }
    lied_to_[talk] = true;
    engine(s).unreachable(tuple_of(s, talk));
  }
  void hog(u32 s, u32 n) {
    hogged_[s].clear();
    for (; n > 0 && sides_[s]->pools->packets_free() > 0; --n) hogged_[s].push_back(sides_[s]->pools->alloc());
  }

  // --- what the wire does; `s` is who gets it
  void take_in(u32 s, const Wire& w) { sides_[s]->arrive(w, now_); }
  void deliver(u32 s, u32 n, u32 at) {
    for (; n > 0 && !link_[s].empty(); --n) {
      const u32 k = at % static_cast<u32>(link_[s].size());
      const Wire w = std::move(link_[s][k]);
      link_[s].erase(link_[s].begin() + k);
      take_in(s, w);
    }
  }
  void lose(u32 s, u32 at, u32 n) {
    for (; n > 0 && !link_[s].empty(); --n) link_[s].erase(link_[s].begin() + at % static_cast<u32>(link_[s].size()));
  }
  void repeat(u32 s, u32 at) {
    if (!link_[s].empty()) take_in(s, link_[s][at % link_[s].size()]);
  }
  void damage(u32 s) {
    if (link_[s].empty()) return;
    Wire& w = link_[s].front();
    const u32 bit = p_.next16();
    w[20 + bit / 8 % (w.size() - 20)] ^= static_cast<u8>(1u << bit % 8);
    const Wire hurt = std::move(w);
    link_[s].pop_front();
    if (sides_[s]->arrive(hurt, now_)) fail("a damaged packet was taken in");
  }
  // A packet under way is changed, with good checksums.
  void mutate(u32 s) {
    if (link_[s].empty()) return;
    const u32 at = p_.next() % static_cast<u32>(link_[s].size());
    const Wire w = std::move(link_[s][at]);
    link_[s].erase(link_[s].begin() + at);
    lie(s, w);
  }
  // The last packet that `s` was sent in this conversation, or one made up, is changed and comes.
  void forge(u32 s, u32 talk) {
    const Wire& seen = last_[s][talk];
    if (!seen.empty()) return lie(s, seen);
    const wire::FourTuple t = tuple_of(1 - s, talk);
    lie(s, Crafted{.tuple = t, .seq = wire::SeqNo{p_.next() * 0x0101'0101u}, .flags = gate::kSyn}.wire());
  }
  void lie(u32 s, const Wire& w) {
    Crafted c = Crafted::read(w);
    for (u32 n = 1 + (p_.next() & 3); n > 0; --n) c.change(p_);
    const u32 talk = talk_of(s, read_tuple(w));
    if (talk < kTalks) lied_to_[talk] = true;
    take_in(s, c.wire());
  }
  // SYNs of people who will not be heard again.
  void stranger(u32 s, u32 n) {
    for (u32 i = 0; i <= n; ++i) {
      Crafted c{.tuple = {address(1 - s), address(s), static_cast<u16>(3000 + p_.next()), 80}, .flags = gate::kSyn};
      c.seq = wire::SeqNo{u32{p_.next()} << 20};
      take_in(s, c.wire());
    }
  }
  void pass(TimeUs us) {
    now_ += us;
    for (u32 s = 0; s < 2; ++s) engine(s).timers(now_, 64);
  }

  // --- packets out
  void flush(u32 s, u32 room) {
    Stack& side = *sides_[s];
    side.batch->count = tcp::OutBatch::kCapacity - std::min(room, tcp::OutBatch::kCapacity);
    const u32 from = side.batch->count;
    engine(s).flush(*side.batch, now_);
    for (u32 i = from; i < side.batch->count; ++i) depart(s, std::move(side.batch->items[i].pkt));
    side.batch->count = 0;
  }
  void depart(u32 s, mbuf::Pkt pkt) {
    if (pkt.headroom() < 14) fail("no room for Ethernet");
    for (Wire& w : as_the_port_sends(pkt, 0)) {
      if (!Stack::sound(w)) return fail(side_name(s) + "a packet that no receiver takes");
      const u32 talk = talk_of(1 - s, read_tuple(w));
      if (talk < kTalks) last_[1 - s][talk] = w;
      link_[1 - s].push_back(std::move(w));
    }
    if (nic_holds_[s]) held_[s].push_back(std::move(pkt));
    // A flood of answers to answers would be seen here.
    if (++packets_ > kPacketsMax) fail("packets without end");
  }
  void round() {
    now_ += 100;
    for (u32 s = 0; s < 2; ++s) {
      flush(s, 256);
      deliver(1 - s, static_cast<u32>(link_[1 - s].size()), 0);
      events(1 - s);
    }
  }

  // --- after every act
  void settle() {
    for (u32 s = 0; s < 2; ++s) {
      events(s);
      if (!lazy_) flush(s, 256);
    }
    inspect();
  }
  void events(u32 s) {
    tcp::AppEvent event;
    while (engine(s).next_event(event)) {
      if ((event.bits & tcp::kAccepted) != 0) begin(s, event.id);
      for (End& e : ends_[s]) {
        if (e.id != event.id) continue;
        if (e.left) fail(side_name(s) + "an event for a connection that was left");
        if ((event.bits & (tcp::kAccepted | tcp::kConnected)) != 0) e.open = true;
        if ((event.bits & tcp::kPeerClosed) != 0) e.peer_closed = true;
        if ((event.bits & tcp::kClosed) == 0) continue;
        e.over = true;
        e.reason = event.reason;
      }
    }
  }
  void inspect() {
    for (u32 s = 0; s < 2; ++s) {
      if (const char* what = engine(s).check_invariants()) fail(side_name(s) + "this should hold: " + what);
      for (u32 talk = 0; talk < kTalks; ++talk)
        if (alive(s, end(s, talk)) && !lied_to_[talk]) compare(s, talk);
    }
  }
  // The other side of what `s` says, if both speak of the same connection.
  End* partner(u32 s, u32 talk) {
    End& other = end(1 - s, talk);
    const auto mine = engine(s).info(end(s, talk).id);
    return mine && mine->irs == other.iss && engine(s).alive(end(s, talk).id) ? &other : nullptr;
  }
  void compare(u32 s, u32 talk) {
    End& e = end(s, talk);
    End* const other = partner(s, talk);
    if (other == nullptr) return;
    const u64 here = e.got + engine(s).received(e.id).bytes();
    if (here > other->sent) fail(side_name(s) + "more came than was sent");
    if (e.peer_closed && (here != other->sent || !(other->shut || other->left))) fail(side_name(s) + "an end before the end");
    if (!alive(1 - s, *other)) return;
    const u64 there = other->got + engine(1 - s).received(other->id).bytes();
    if (e.sent - engine(s).unacked(e.id) > there) fail(side_name(s) + "acknowledged and not received");
  }

  // --- the end of the play
  void last_act() {
    for (u32 s = 0; s < 2; ++s) {
      hogged_[s].clear();
      held_[s].clear();
      nic_holds_[s] = false;
    }
    bool had_partner[kTalks];
    for (u32 talk = 0; talk < kTalks; ++talk) {
      had_partner[talk] = partner(0, talk) == &end(1, talk) && partner(1, talk) == &end(0, talk) &&
                          alive(0, end(0, talk)) && alive(1, end(1, talk));
    }
    play_out(200 * kSecond, false);
    for (u32 talk = 0; talk < kTalks && wrong_.empty(); ++talk)
      if (had_partner[talk] && !lied_to_[talk]) good_end(talk);
    play_out(200 * kSecond, true);
    for (u32 s = 0; s < 2; ++s)
      if (engine(s).active() != 0) fail(side_name(s) + "a connection does not end");
    pass(600 * kSecond);
    for (u32 n = 0; n < 20; ++n) pass(3 * kSecond);
    play_out(200 * kSecond, true);
    for (u32 s = 0; s < 2 && wrong_.empty(); ++s) {
      if (!engine(s).quiet()) fail(side_name(s) + "there is something left to do");
      if (sides_[s]->pools->packets_in_use() != 0 || sides_[s]->pools->slices().in_use() != 0) {
        fail(side_name(s) + "memory is held by nobody");
      }
    }
  }
  void good_end(u32 talk) {
    if (!patient_) return;
    for (u32 s = 0; s < 2; ++s) {
      const End &e = end(s, talk), &other = end(1 - s, talk);
      if (e.reason == tcp::CloseReason::shed || other.reason == tcp::CloseReason::shed) return;
      if (!e.over || e.reason != tcp::CloseReason::finished) fail(side_name(s) + "no good end");
      if (e.got != other.sent) fail(side_name(s) + "not everything arrived");
    }
    ++finished_;
  }
  // Everything is carried, read and said goodbye to, until both engines are empty. `leave_all`: by leaving.
  void play_out(TimeUs most_us, bool leave_all) {
    const TimeUs until = now_ + most_us;
    const u64 packets = packets_;
    while (now_ < until && wrong_.empty()) {
      for (u32 s = 0; s < 2; ++s)
        for (End& e : ends_[s]) {
          read(s, e, ~0u);
          shutdown(s, e);
          if (leave_all) leave(s, e, false);
        }
      round();
      inspect();
      if (packets_ - packets > kPacketsOfEnd) fail("packets without end");
      if (!link_[0].empty() || !link_[1].empty()) continue;
      if (engine(0).active() + engine(1).active() == 0 && engine(0).quiet() && engine(1).quiet()) return;
      const TimeUs wait = std::min(engine(0).next_timer_us(now_, kSecond), engine(1).next_timer_us(now_, kSecond));
      pass(std::max<TimeUs>(wait, 100));
    }
  }
  void forget_packets() {
    for (u32 s = 0; s < 2; ++s) {
      hogged_[s].clear();
      held_[s].clear();
    }
  }

  static constexpr u64 kPacketsMax = 60'000, kPacketsOfEnd = 15'000;

  Program p_;
  bool patient_ = false, lazy_ = false;
  TimeUs now_ = kSecond;
  std::unique_ptr<Stack> sides_[2];
  std::array<End, kTalks> ends_[2];
  bool lied_to_[kTalks] = {};
  std::deque<Wire> link_[2];       // by who gets it
  Wire last_[2][kTalks];           // by who got it
  std::vector<mbuf::Pkt> hogged_[2], held_[2];
  bool nic_holds_[2] = {};
  u64 packets_ = 0;
  u32 finished_ = 0;
  std::string wrong_;
};

}  // namespace ringway::test
