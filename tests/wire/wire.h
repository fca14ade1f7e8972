#pragma once
// One engine, an in-memory wire and a fake clock. A test is an exchange in six verbs:
//
//   w.in("A seq=1 ack=1 data=hello")   the peer says this; sequence numbers count from each side's SYN
//   w.out("A seq=1 ack=6")             the engine's next packet; only what is named is compared
//   w.after(200ms)                     time passes, timers run
//   w.quiet()                          nothing more was sent
//   w.expect(State::close_wait)        the connection is in this state
//   w.audit()                          every mbuf and slice is back once the engine is gone
//
// Fields: flags first (letters of S F R A E W, or - for none), then ecn= (of the IP header) seq= ack= win= (as on the wire) mss= ws= len= data=
// psh, ts= (the sender's clock, from its first stamp) ecr= (the other's), sackok, sack=A-B,C-D (none: no block), and
// nots for a segment without timestamps. The engine polls whenever a test looks. Packets are freed when looked at unless `nic_holds` keeps them.
// A failure prints the exchange so far.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <sstream>

#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/state.h"
#include "src/lookup/flow_hash.h"
#include "tests/support/cutter.h"
#include "tests/support/eal.h"
#include "tests/wire/decode.h"

namespace ringway::test {

using namespace std::chrono_literals;
using contract::Counter;
using contract::Verdict;
using tcp::CloseReason;
using tcp::ConnId;
using tcp::State;

inline constexpr wire::Ip4 kOurs = wire::Ip4::of(10, 0, 0, 1);
inline constexpr wire::Ip4 kTheirs = wire::Ip4::of(10, 0, 0, 2);
inline constexpr u16 kOurPort = 80;
inline constexpr u16 kTheirPort = 40'000;
inline constexpr wire::SeqNo kTheirIsn{0xffff'ff00};  // so that every longer exchange wraps
inline constexpr u32 kTheirClock = 0xffff'fff0;         // so do their timestamps

struct Sent {
  gate::Segment seg;
  std::string data;
  std::string text;
};

class Wire {
 public:
  static tcp::EngineConfig small() {
    tcp::EngineConfig c;
    c.connections = 64;
    c.listeners = 8;
    c.half_open_max = 16;
    c.time_wait_max = 8;
    c.secret[0] = 0x0123'4567'89ab'cdef;
    c.secret[1] = 0xfedc'ba98'7654'3210;
    return c;
  }

  explicit Wire(tcp::EngineConfig config = small(), u32 mbufs = 1023) : config_(config) {
    start_eal();
    static int serial = 0;
    std::string error;
    pools_ = mbuf::Pools::make({.name = "w" + std::to_string(serial++), .packets = mbufs, .indirect = 511,
                                .slices = 4096, .cache = 0}, error);
    RW_ASSERT(pools_ != nullptr);
    config_.book = &book;
    engine_ = std::make_unique<tcp::Engine>(config_, *pools_, *page_);
    batch_ = std::make_unique<tcp::OutBatch>();
    tuple = {kOurs, kTheirs, kOurPort, kTheirPort};
  }
  ~Wire() {
    if (!audited_) ADD_FAILURE() << "the test did not end with audit()";
  }

  // --- the six verbs
  void in(const std::string& text) { in_from(tuple, text); }
  void out(const std::string& want) {
    poll();
    if (sent_.empty()) {
      ADD_FAILURE() << "expected: " << want << "\nbut nothing was sent\n" << log_;
      return;
    }
    last = sent_.front();
    sent_.pop_front();
    const std::string wrong = differs(last, want);
    if (!wrong.empty()) ADD_FAILURE() << "expected: " << want << "\nsent:     " << last.text << "\n" << wrong << log_;
  }
  void after(std::chrono::microseconds time) {
    poll();
    const TimeUs until = now + static_cast<TimeUs>(time.count());
    while (now < until) {
      now += std::clamp<TimeUs>(engine_->next_timer_us(now, until - now), 1, until - now);
      poll();
    }
  }
  void quiet() {
    poll();
    for (const Sent& s : sent_) ADD_FAILURE() << "unexpected: " << s.text << "\n" << log_;
    sent_.clear();
  }
  void expect(State state) {
    poll();
    const auto info = engine_->info(id);
    if (!info) {
      ADD_FAILURE() << "expected " << name(state) << ", but the connection is gone\n" << log_;
      return;
    }
    EXPECT_EQ(name(static_cast<State>(info->state)), name(state)) << log_;
  }
  void audit() {
    audited_ = true;
    sent_.clear();
    held_.clear();
    engine_.reset();
    for (u32 i = 0; i < batch_->count; ++i) batch_->items[i].pkt.reset();
    if (const auto wrong = pools_->audit()) ADD_FAILURE() << *wrong << "\n" << log_;
  }

  // --- the application's side
  void poll() {
    if (!engine_) return;
    engine_->timers(now, 1000);
    collect();
    while (engine_->flush(*batch_, now) != 0) carry();
    carry();
    if (const char* what = engine_->check_invariants()) ADD_FAILURE() << "this should hold: " << what << "\n" << log_;
  }
  // Events are fetched here and by every verb that polls.
  void collect() {
    tcp::AppEvent e;
    while (engine_->next_event(e)) {
      note("        event " + std::to_string(e.bits));
      seen |= e.bits;
      last_event = e;
      ++events;
      if (e.bits & (tcp::kAccepted | tcp::kConnected)) id = e.id;
      if (e.bits & tcp::kClosed) {
        reason = e.reason;
        reclaimed = engine_->reclaim_unsent(e.id).bytes();
      }
    }
  }
  bool saw(u8 bits) {
    collect();
    const bool yes = (seen & bits) == bits;
    seen = static_cast<u8>(seen & ~bits);
    return yes;
  }
  std::string read(u32 n = ~u32{0}) {
    collect();
    const mbuf::Chain c = engine_->take(id, std::min(n, engine_->received(id).bytes()));
    std::string s(c.bytes(), 0);
    c.copy_out(0, {reinterpret_cast<u8*>(s.data()), s.size()});
    return s;
  }
  // As whole packets of the pool, at most `piece` bytes each, the way that received or written bytes stand in mbufs.
  mbuf::Chain bytes(const std::string& data, u32 piece = 1460) {
    mbuf::Chain c = pools_->chain();
    for (size_t at = 0; at < data.size(); at += piece) {
      mbuf::Pkt p = pools_->alloc();
      const u32 n = static_cast<u32>(std::min<size_t>(piece, data.size() - at));
      std::memcpy(p.append(n), data.data() + at, n);
      RW_ASSERT(c.append(std::move(p)));
    }
    return c;
  }
  void send(const std::string& data, u32 piece = 1460) { engine_->send(id, bytes(data, piece)); }
  void shutdown() { engine_->shutdown(id); }
  void close() { engine_->close(id); }
  void abort() { engine_->abort(id); }
  void listen(u32 tag = 7) { EXPECT_TRUE(engine_->listen(kOurs, kOurPort, tag)); }
  void connect(u64 user = 1, wire::Addr local = kOurs, wire::Addr remote = kTheirs) {
    poll();
    const auto c = engine_->connect(local, remote, 8080, user, now);
    ASSERT_TRUE(c.has_value());
    id = *c;
    tuple = engine_->info(id)->tuple;
  }

  // --- states built from one another
  void established(const std::string& syn = "S seq=0 win=65535 mss=1460") {
    listen();
    in(syn);
    out("SA seq=0 ack=1");
    in("A seq=1 ack=1 win=65535");
    quiet();
    EXPECT_TRUE(saw(tcp::kAccepted)) << log_;
    expect(State::established);
  }
  void connected(const std::string& answer = "SA seq=0 ack=1 win=65535 mss=1460") {
    connect();
    out("S seq=0");
    in(answer);
    out("A seq=1 ack=1");
    EXPECT_TRUE(saw(tcp::kConnected)) << log_;
    expect(State::established);
  }
  void fin_wait_1() {
    established();
    shutdown();
    out("FA seq=1 ack=1");
    expect(State::fin_wait_1);
  }
  void fin_wait_2() {
    fin_wait_1();
    in("A seq=1 ack=2 win=65535");
    quiet();
    expect(State::fin_wait_2);
  }
  void close_wait() {
    established();
    in("FA seq=1 ack=1 win=65535");
    out("A seq=1 ack=2");
    EXPECT_TRUE(saw(tcp::kPeerClosed)) << log_;
    expect(State::close_wait);
  }
  void closing() {
    fin_wait_1();
    in("FA seq=1 ack=1 win=65535");
    out("A seq=2 ack=2");
    expect(State::closing);
  }
  void last_ack() {
    close_wait();
    shutdown();
    out("FA seq=1 ack=2");
    expect(State::last_ack);
  }
  void time_wait() {
    fin_wait_2();
    in("FA seq=1 ack=2 win=65535");
    out("A seq=2 ack=2");
    EXPECT_TRUE(saw(tcp::kClosed)) << log_;
    EXPECT_EQ(reason, CloseReason::finished);
  }

  // The peer's address goes by another name from now on.
  void rename(wire::Addr remote) {
    auto isn = isn_.extract(tuple);
    isn.key().remote = tuple.remote = remote;
    isn_.insert(std::move(isn));
  }

  // --- looking inside
  u64 counter(Counter c) const { return page_->counters[static_cast<u32>(c)].get(); }
  u64 verdict(Verdict v) const { return page_->verdicts[static_cast<u32>(v)].get(); }
  contract::Recorder& recorder() { return page_->recorder; }
  tcp::Engine& engine() { return *engine_; }
  mbuf::Pools& pools() { return *pools_; }
  tcp::ConnInfo info() { return engine_->info(id).value_or(tcp::ConnInfo{}); }
  u32 our_clock() const { return our_clock_; }
  const std::string& log() const { return log_; }
  u32 pending() {
    poll();
    return static_cast<u32>(sent_.size());
  }
  void release_nic() { held_.clear(); }
  void forget_sent() {
    poll();
    sent_.clear();
  }
  wire::SeqNo our_isn(const wire::FourTuple& t) const { return isn_.at(t); }

  void in_from(const wire::FourTuple& from, const std::string& text) {
    note(std::to_string(now) + " in  " + text);
    gate::Segment seg;
    seg.tuple = from;
    seg.window = 65'535;
    std::istringstream words(text);
    std::string word;
    words >> word;
    for (const char c : word)
      seg.flags |= c == 'S' ? gate::kSyn : c == 'F' ? gate::kFin : c == 'R' ? gate::kRst : c == 'A' ? gate::kAck : c == 'E' ? gate::kEce : c == 'W' ? gate::kCwr : 0;
    seg.seq = kTheirIsn;
    const auto ours = isn_.find(from);
    if (seg.has(gate::kAck)) seg.ack = ours == isn_.end() ? wire::SeqNo{0} : ours->second;
    std::string data;
    while (words >> word) {
      const size_t eq = word.find('=');
      const std::string key = word.substr(0, eq);
      const std::string value = eq == std::string::npos ? "" : word.substr(eq + 1);
      if (key == "data") {
        data = value;
        continue;
      }
      const u32 v = value.empty() || key == "sack" ? 0 : static_cast<u32>(std::stoll(value));
      if (key == "seq") seg.seq = kTheirIsn + v;
      if (key == "ack") seg.ack += v;
      if (key == "win") seg.window = static_cast<u16>(v);
      if (key == "mss") seg.options.mss = static_cast<u16>(v);
      if (key == "ws") seg.options.window_scale = static_cast<u8>(v);
      if (key == "ecn") seg.ecn = static_cast<u8>(v);
      if (key == "sackok") seg.options.sack_permitted = true;
      if (key == "sack") {
        for (const auto& [from_, to_] : ranges(value))
          seg.options.sack[seg.options.sack_count++] = {isn_[from] + from_, isn_[from] + to_};
      }
      if (key == "ts" || key == "ecr") seg.options.timestamps = true;
      if (key == "ts") seg.options.ts_value = kTheirClock + v;
      if (key == "ecr") seg.options.ts_echo = our_clock_ + v;
      if (key == "len") data = pattern(seg.seq, v);
    }
    mbuf::Pkt pkt = pools_->alloc();
    ASSERT_TRUE(pkt) << "no mbuf for the peer's segment";
    // As the gate leaves it: 14 bytes of Ethernet gone, IPv4 and TCP headers in front of the payload.
    pkt.append(static_cast<u32>(54 + data.size()));
    pkt.drop_front(14);
    std::memcpy(pkt.data() + 40, data.data(), data.size());
    seg.payload_offset = 40;
    seg.payload_bytes = static_cast<u32>(data.size());
    seg.hash = lookup::flow_hash(book.digest(from), config_.secret[1]);
    engine_->input(seg, std::move(pkt), now);
  }
  static std::vector<std::pair<u32, u32>> ranges(const std::string& text) {
    std::vector<std::pair<u32, u32>> out;
    std::istringstream in(text);
    u32 from = 0, to = 0;
    char c = 0;
    while (in >> from >> c >> to) {
      out.emplace_back(from, to);
      in >> c;
    }
    return out;
  }
  // The peer's stream: what stands at a sequence number depends on nothing else.
  static std::string pattern(wire::SeqNo seq, u32 n) {
    std::string s(n, 0);
    for (u32 i = 0; i < n; ++i) s[i] = static_cast<char>('a' + (seq.v - kTheirIsn.v + i) % 23);
    return s;
  }

  TimeUs now = 1'000'000;
  wire::FourTuple tuple;
  lookup::AddressBook book{small().secret[1], 1024};
  ConnId id;
  Sent last;
  u8 seen = 0;
  u32 events = 0;
  u32 joined = 0;  // packets of more than one mbuf
  u32 cut = 0;     // packets that the port cut into segments, which are seen one by one
  u32 reclaimed = 0;
  tcp::AppEvent last_event;
  CloseReason reason = CloseReason::none;
  bool nic_holds = false;

 private:
  void note(const std::string& line) {
    if (log_.size() < 20'000) log_ += line + "\n";
  }
  void carry() {
    for (u32 i = 0; i < batch_->count; ++i) {
      mbuf::Pkt pkt = std::move(batch_->items[i].pkt);
      EXPECT_GE(pkt.headroom(), 14u) << "no room for Ethernet";
      if (!config_.caps.multi_segs) {
        EXPECT_EQ(pkt.segments(), 1u);
      }
      if (pkt.segments() > 1) ++joined;
      const std::vector<Frame> frames = as_the_port_sends(pkt, 0);
      EXPECT_LE(pkt.segments(), std::max<u32>(frames.size() > 1 ? config_.caps.tso_segs_max : config_.caps.segs_max, 1));
      if (frames.size() > 1) ++cut;
      for (const Frame& frame : frames) leave(frame);
      if (nic_holds) held_.push_back(std::move(pkt));
    }
    batch_->count = 0;
  }
  void leave(const Frame& b) {
    std::string why;
    const auto seg = decode(b, why, &book);
    if (!seg) {
      ADD_FAILURE() << "a packet that no receiver takes: " << why << "\n" << log_;
      return;
    }
    EXPECT_LE(14u + seg->payload_offset, config_.caps.header_bytes_max) << log_;
    Sent s{*seg, std::string(b.begin() + seg->payload_offset, b.end()), ""};
    wire::FourTuple ours{seg->tuple.remote, seg->tuple.local, seg->tuple.remote_port, seg->tuple.local_port};
    if (seg->has(gate::kSyn)) isn_[ours] = seg->seq;
    if (seg->has(gate::kSyn) && seg->options.timestamps && our_clock_ == 0) our_clock_ = seg->options.ts_value;
    s.text = describe(s);
    note(std::to_string(now) + " out " + s.text);
    sent_.push_back(std::move(s));
  }
  wire::SeqNo base_of(const Sent& s) const {
    const auto it = isn_.find({s.seg.tuple.remote, s.seg.tuple.local, s.seg.tuple.remote_port, s.seg.tuple.local_port});
    return it == isn_.end() ? wire::SeqNo{0} : it->second;
  }
  std::string describe(const Sent& s) const {
    std::string t = flag_letters(s.seg.flags) + " seq=" + std::to_string((s.seg.seq - base_of(s)));
    if (s.seg.has(gate::kAck)) t += " ack=" + std::to_string(s.seg.ack - kTheirIsn);
    t += " win=" + std::to_string(s.seg.window) + " len=" + std::to_string(s.data.size());
    if (s.seg.options.mss != 0) t += " mss=" + std::to_string(s.seg.options.mss);
    if (s.seg.options.window_scale != 0xff) t += " ws=" + std::to_string(s.seg.options.window_scale);
    if (s.seg.options.sack_permitted) t += " sackok";
    if (s.seg.options.sack_count != 0) t += " sack=" + sack_text(s.seg);
    if (s.seg.options.timestamps) {
      t += " ts=" + std::to_string(s.seg.options.ts_value - our_clock_) +
           " ecr=" + std::to_string(s.seg.options.ts_echo - kTheirClock);
    }
    return t;
  }
  static std::string sack_text(const gate::Segment& seg) {
    std::string t;
    for (u32 i = 0; i < seg.options.sack_count; ++i) {
      t += (i == 0 ? "" : ",") + std::to_string(seg.options.sack[i].begin - kTheirIsn) + "-" +
           std::to_string(seg.options.sack[i].end - kTheirIsn);
    }
    return t.empty() ? "none" : t;
  }
  std::string differs(const Sent& s, const std::string& want) const {
    std::istringstream words(want);
    std::string word, wrong;
    words >> word;
    const auto check = [&](const std::string& what, auto is, auto should) {
      std::ostringstream o;
      o << what << " is " << is << ", not " << should << "\n";
      if (!(is == should)) wrong += o.str();
    };
    if (word != "*") check("flags", flag_letters(s.seg.flags), word == "-" ? "" : word);
    while (words >> word) {
      const size_t eq = word.find('=');
      const std::string key = word.substr(0, eq);
      const std::string value = eq == std::string::npos ? "" : word.substr(eq + 1);
      if (key == "data") check(key, s.data, value);
      if (key == "psh") check(key, (s.seg.flags & gate::kPsh) != 0, true);
      if (key == "sack") check(key, sack_text(s.seg), value);
      if (key == "sackok") check(key, s.seg.options.sack_permitted, true);
      if (key == "nots") check(key, s.seg.options.timestamps, false);
      if (key == "data" || key == "psh" || key == "sack" || key == "sackok" || key == "nots") continue;
      const i64 v = std::stoll(value);
      if (key == "ecn") check(key, i64{s.seg.ecn}, v);
      if (key == "seq") check(key, i64{s.seg.seq - base_of(s)}, v);
      if (key == "ack") check(key, i64{s.seg.ack - kTheirIsn}, v);
      if (key == "win") check(key, i64{s.seg.window}, v);
      if (key == "mss") check(key, i64{s.seg.options.mss}, v);
      if (key == "ws") check(key, i64{s.seg.options.window_scale}, v);
      if (key == "len") check(key, static_cast<i64>(s.data.size()), v);
      if (key == "ts") check(key, s.seg.options.timestamps ? i64{s.seg.options.ts_value - our_clock_} : -1, v);
      if (key == "ecr") check(key, s.seg.options.timestamps ? i64{s.seg.options.ts_echo - kTheirClock} : -1, v);
    }
    return wrong;
  }

  tcp::EngineConfig config_;
  std::unique_ptr<contract::CorePage> page_ = std::make_unique<contract::CorePage>();
  std::unique_ptr<mbuf::Pools> pools_;
  std::unique_ptr<tcp::Engine> engine_;
  std::unique_ptr<tcp::OutBatch> batch_;
  std::deque<Sent> sent_;
  std::vector<mbuf::Pkt> held_;
  std::map<wire::FourTuple, wire::SeqNo> isn_;
  std::string log_;
  u32 our_clock_ = 0;
  bool audited_ = false;
};

}  // namespace ringway::test
