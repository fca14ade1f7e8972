#pragma once
// Bytes as a play for two HTTP/2 engines, client and server, that talk through two pipes in small pieces: what both users do,
// and how much passes when. Used by the fuzzer of tests/fuzz and, with seeds, by h2_actors_test.cc.
//
// A byte of a body depends on nothing but its exchange, its direction and its place, so that whatever arrives can be judged.
// After each act every invariant of both engines is asked for. When the bytes are used up everybody finishes what was
// begun: every exchange must come to its end or have been reset, both sides' windows must agree once nothing is under way,
// and all packet memory must be back. No test framework in here: the first thing that does not hold is what `run` returns.

#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h2_engine.h"
#include "tests/support/program.h"

namespace ringway::test {

class H2Actors {
 public:
  static std::unique_ptr<mbuf::Pools> memory(u32 packets, const std::string& name) {
    std::string error;
    auto pools = mbuf::Pools::make({.name = name, .packets = packets, .indirect = 31, .slices = packets * 8, .cache = 0}, error);
    RW_ASSERT(pools != nullptr);
    return pools;
  }

  H2Actors(Bytes program, mbuf::Pools& pools, bool memory_may_end) : p_(program), pools_(pools), memory_may_end_(memory_may_end) {
    for (Side& s : sides_) {
      s.engine = std::make_unique<http::H2Engine>(http::H2EngineConfig{.connections = 1, .streams = 24}, pools_, *s.page);
      s.conn = s.engine->open(&s == &client() ? http::H2Role::client : http::H2Role::server, settings(), now_);
      s.pipe = pools_.chain();
    }
  }

  // Empty, or what did not hold.
  std::string run() {
    for (u32 acts = 0; p_.more() && acts < kActsMax && going(); ++acts) {
      act();
      now_ += 20'000;  // an honest peer with small windows takes its time
      check();
    }
    if (going()) last_act();
    for (Side& s : sides_) {
      s.pipe.clear();
      s.engine.reset();
    }
    if (const auto missing = pools_.audit()) fail(*missing);
    return wrong_;
  }
  // For the test of this very file: exchanges that came to their end, and octets that were compared.
  u32 finished() const { return finished_; }
  u64 compared() const { return compared_; }

 private:
  static constexpr u32 kActsMax = 600, kExchanges = 64, kResetsMax = 80, kBodyMax = 3000;
  static constexpr u32 kPiece = 64;

  struct Side {
    std::unique_ptr<contract::CorePage> page = std::make_unique<contract::CorePage>();
    std::unique_ptr<http::H2Engine> engine;
    u32 conn = kNone32;
    mbuf::Chain pipe;  // what this side has sent and the other has not read
    bool over = false;
  };
  // One direction of an exchange.
  struct Message {
    u32 bytes = 0;  // of its body
    bool announced = false, trailers = false;
    u32 sent = 0, got = 0;
    bool head_sent = false, end_sent = false, head_came = false, end_came = false;
  };
  struct Exchange {
    u32 client = kNone32, server = kNone32;  // streams, while their users hold them
    bool reset = false;                      // by anybody: it need not end well
    Message request, response;
  };

  Side& client() { return sides_[0]; }
  Side& server() { return sides_[1]; }
  bool going() const { return wrong_.empty() && !sides_[0].over && !sides_[1].over; }
  void fail(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }

  http::H2Settings settings() {
    static constexpr u32 kWindows[8] = {1, 2, 10, 100, 1000, 16'384, 65'535, 70'000};
    static constexpr u32 kHeld[4] = {100, 5000, 65'535, 200'000};
    static constexpr u32 kStreams[4] = {1, 2, 5, 100};
    const u8 sizes = p_.next();
    http::H2Settings s;
    s.stream_window_bytes = kWindows[sizes & 7];
    s.held_bytes_max = kHeld[sizes >> 3 & 3];
    s.streams_max = kStreams[sizes >> 5 & 3];
    return s;
  }

  static u8 body_byte(u32 exchange, bool answer, u32 at) { return static_cast<u8>(exchange * 31 + (answer ? 101 : 0) + at * 7); }
  mbuf::Chain body(u32 exchange, bool answer, u32 from, u32 n) {
    mbuf::Chain out = pools_.chain();
    while (n > 0) {
      mbuf::Pkt pkt = pools_.alloc();
      if (!pkt) break;
      const u32 part = std::min<u32>(n, 1 + p_.next() * 3u);
      u8* const to = pkt.append(part);
      for (u32 i = 0; i < part; ++i) to[i] = body_byte(exchange, answer, from + i);
      if (!out.append(std::move(pkt))) break;
      from += part;
      n -= part;
    }
    return out;
  }
  void compare(u32 exchange, bool answer, Message& m, const mbuf::Chain& bytes) {
    for (u32 at = bytes.first(); at != kNone32; at = bytes.slice(at).next)
      for (const u8 b : bytes.slice(at).bytes())
        if (b != body_byte(exchange, answer, m.got++)) return fail("a body arrives as it was sent");
    compared_ += bytes.bytes();
    if (m.got > m.bytes) fail("no body is longer than it was");
  }

  // --- acts

  void act() {
    const u8 op = p_.next();
    const u32 e = count_ == 0 ? 0 : p_.next() % count_;
    switch (op & 15) {
      case 0: case 1: return open();
      case 2: return say(e, false, 1 + p_.next() * 8u);
      case 3: return say(e, true, 1 + p_.next() * 8u);
      case 4: return take(e, false, 1 + p_.next() * 8u);
      case 5: return take(e, true, 1 + p_.next() * 8u);
      case 6: case 7: return pass(client(), server(), 1 + p_.next() * 4u);
      case 8: case 9: return pass(server(), client(), 1 + p_.next() * 4u);
      case 10: return break_off(e, false);
      case 11: return break_off(e, true);
      case 12: return turns((op & 16) != 0);
      case 13: return local_answer(e);
      case 14: return interim(e);
      default: return other(op >> 4);
    }
  }
  void other(u32 which) {
    Side& s = (which & 1) != 0 ? server() : client();
    now_ += u64{1} << (p_.next() & 20);
    if (which < 4) s.engine->ping(s.conn);
    if (which == 4) server().engine->goaway_notice(server().conn);
    if (which == 5 && count_ > 8) server().engine->goaway_final(server().conn, http::H2Error::no_error);
    if (which == 6) client().engine->goaway_notice(client().conn);
    if (which >= 8) s.engine->bear(1 + p_.next());
  }

  Message message() {
    const u8 plan = p_.next();
    Message m;
    m.bytes = (plan & 3) == 0 ? 0 : p_.next() * (plan & 4 ? 12u : 1u);
    m.announced = (plan & 8) != 0;
    m.trailers = (plan & 16) != 0;
    return m;
  }
  void open() {
    if (count_ == kExchanges || !client().engine->accepts_streams(client().conn)) return;
    Exchange& x = exchanges_[count_];
    x.request = message();
    x.response = message();
    x.client = client().engine->open_stream(client().conn, count_);
    if (x.client == kNone32) return fail("who accepts streams opens them");
    std::string head = "POST /" + std::to_string(count_) + " HTTP/1.1\r\nhost: a\r\n";
    if (x.request.announced) head += "content-length: " + std::to_string(x.request.bytes) + "\r\n";
    if ((p_.next() & 1) != 0) head += "priority: u=" + std::to_string(p_.next() & 7) + ((p_.next() & 1) != 0 ? ", i\r\n" : "\r\n");
    head += "\r\n";
    if (http::read_request(bytes_of(head), {}, *request_).status != http::ReadStatus::complete) return fail("our request is one");
    const bool end = x.request.bytes == 0 && !x.request.trailers;
    sent_or_short(client(), client().engine->send_request(x.client, *request_, {.via = "t"}, {}, end));
    x.request.head_sent = true;
    x.request.end_sent = end;
    ++count_;
  }
  // Sends of a body what `most` and the windows allow, and its end.
  void say(u32 e, bool answer, u32 most) {
    Exchange& x = exchanges_[e];
    Side& s = answer ? server() : client();
    Message& m = answer ? x.response : x.request;
    const u32 stream = answer ? x.server : x.client;
    if (stream == kNone32 || m.end_sent) return;
    if (answer && !m.head_sent) {
      std::string head = "HTTP/1.1 200 X\r\n";
      if (m.announced) head += "content-length: " + std::to_string(m.bytes) + "\r\n";
      head += "\r\n";
      if (http::read_response(bytes_of(head), http::Method::post, {}, *response_).status != http::ReadStatus::complete) return fail("our response is one");
      m.head_sent = true;
      m.end_sent = m.bytes == 0 && !m.trailers;
      sent_or_short(s, s.engine->send_response(stream, *response_, {.via = "t"}, {}, m.end_sent));
    }
    const u32 n = std::min({most, m.bytes - m.sent, s.engine->send_space(stream)});
    if (n > 0) {
      mbuf::Chain bytes = body(e, answer, m.sent, n);
      m.sent += bytes.bytes();
      m.end_sent = m.sent == m.bytes && !m.trailers;
      sent_or_short(s, s.engine->send_data(stream, std::move(bytes), m.end_sent));
    }
    if (m.sent == m.bytes && m.trailers && !m.end_sent) {
      m.end_sent = true;
      sent_or_short(s, s.engine->send_trailers(stream, bytes_of(kTrailers)));
    }
    if (!m.end_sent && m.sent < m.bytes && s.engine->send_space(stream) == 0) s.engine->wait_writable(stream);
    let_go(e);
  }
  void take(u32 e, bool answer, u32 most) {
    Exchange& x = exchanges_[e];
    Side& s = answer ? client() : server();
    const u32 stream = answer ? x.client : x.server;
    if (stream == kNone32) return;
    const mbuf::Chain bytes = s.engine->take(stream, most);
    compare(e, answer, answer ? x.response : x.request, bytes);
    let_go(e);
  }
  // A side's user lets go of a stream that has ended both ways and holds nothing.
  void let_go(u32 e) {
    Exchange& x = exchanges_[e];
    // With an answer that the server made by itself, the rest of the request is not wanted (RFC 9113 8.1).
    const auto done = [&x](const http::H2Engine& engine, u32 stream, const Message& out, const Message& in) {
      return stream != kNone32 && (out.end_sent || x.reset) && in.end_came && engine.received(stream).empty();
    };
    if (done(*client().engine, x.client, x.request, x.response)) {
      if (x.response.got != x.response.bytes && !x.reset) fail("an answer that ended is whole");
      client().engine->release(std::exchange(x.client, kNone32), http::H2Error::no_error);
      if (!x.reset) ++finished_;
    }
    if (done(*server().engine, x.server, x.response, x.request)) {
      if (x.request.got != x.request.bytes && !x.reset) fail("a request that ended is whole");
      server().engine->release(std::exchange(x.server, kNone32), http::H2Error::no_error);
    }
  }
  void break_off(u32 e, bool answer) {
    Exchange& x = exchanges_[e];
    u32& stream = answer ? x.server : x.client;
    if (stream == kNone32 || resets_++ > kResetsMax) return;
    x.reset = true;
    (answer ? server() : client()).engine->release(std::exchange(stream, kNone32), answer ? http::H2Error::internal_error : http::H2Error::cancel);
  }
  // The server answers by itself and lets go at once; the line that it says waits for its window.
  void local_answer(u32 e) {
    Exchange& x = exchanges_[e];
    if (x.server == kNone32 || x.response.head_sent || resets_++ > kResetsMax) return;
    x.reset = true;
    sent_or_short(server(), server().engine->send_local_answer(x.server, {.status = 503, .text = "sorry"}));
    server().engine->release(std::exchange(x.server, kNone32), http::H2Error::no_error);
  }
  void interim(u32 e) {
    Exchange& x = exchanges_[e];
    if (x.server == kNone32 || x.response.head_sent || interims_++ > 100) return;
    if (http::read_response(bytes_of("HTTP/1.1 103 X\r\n\r\n"), http::Method::post, {}, *response_).status != http::ReadStatus::complete) return;
    sent_or_short(server(), server().engine->send_response(x.server, *response_, {.via = "t"}, {}, false));
  }
  // Whoever may send again does.
  void turns(bool of_server) {
    Side& s = of_server ? server() : client();
    for (u32 n = 0; n < 8; ++n) {
      const u32 stream = s.engine->next_writable(s.conn);
      if (stream == kNone32) return;
      if (s.engine->send_space(stream) == 0) return fail("whose turn it is may send");
      say(static_cast<u32>(s.engine->user(stream)), of_server, 50 + p_.next());
    }
  }
  void sent_or_short(Side& s, bool sent) {
    if (!sent && (!memory_may_end_ || !s.engine->failed(s.conn))) fail("only short memory keeps us from sending");
  }

  // --- what passes

  void pass(Side& from, Side& to, u32 most) {
    from.pipe.append(from.engine->take_output(from.conn));
    while (most > 0 && !from.pipe.empty() && going()) {
      mbuf::Chain piece = from.pipe.take_front(std::min({most, kPiece, from.pipe.bytes()}));
      if (piece.empty()) return;  // out of slices; its neighbours will go first
      most -= std::min(most, piece.bytes());
      to.engine->input(to.conn, std::move(piece), now_);
      hear(to);
    }
  }
  void hear(Side& to) {
    http::H2Event event;
    while (wrong_.empty() && to.engine->next_event(to.conn, event)) told(to, event);
  }
  void told(Side& to, const http::H2Event& event) {
    const bool at_server = &to == &server();
    if (event.kind == http::H2EventKind::goaway) return;
    if (event.kind == http::H2EventKind::failed) {
      to.over = true;
      const bool by_memory = event.error == http::H2Error::internal_error && memory_may_end_;
      if (!by_memory) fail("no connection ends: " + std::string(http::h2_error_name(event.error)));
      return;
    }
    if (event.kind == http::H2EventKind::head && at_server) return begin(event);
    const u32 e = static_cast<u32>(event.user);
    Exchange& x = exchanges_[e];
    if ((at_server ? x.server : x.client) != event.stream) return fail("an event is of a stream that its user holds");
    Message& m = at_server ? x.request : x.response;
    if (event.kind == http::H2EventKind::reset) {
      const bool refused = event.error == http::H2Error::refused_stream;
      if (!event.by_peer) return fail("nobody breaks a rule: " + std::string(http::h2_error_name(event.error)));
      if (!x.reset && !refused) return fail((at_server ? "server" : "client") + std::string(": nothing is reset that nobody reset: ") + std::string(http::h2_error_name(event.error)));
      x.reset = true;
      (at_server ? x.server : x.client) = kNone32;
      return;
    }
    if (event.kind == http::H2EventKind::head) {
      const std::string_view text(reinterpret_cast<const char*>(event.text.data()), event.text.size());
      m.head_came |= !text.starts_with("HTTP/1.1 103");
    }
    if (event.kind == http::H2EventKind::trailers) {
      const std::string_view text(reinterpret_cast<const char*>(event.text.data()), event.text.size());
      if (text != kTrailers) fail("trailers arrive as they were sent");
    }
    if (event.end) m.end_came = true;
    if (event.end != to.engine->peer_ended(event.stream)) fail("an event shows the state just behind it");
    if (x.reset) {  // what a local answer says is not compared
      to.engine->discard(event.stream, to.engine->received(event.stream).bytes());
      m.got = m.bytes;
    }
    let_go(e);
  }
  void begin(const http::H2Event& event) {
    if (http::read_request(event.text, {}, *request_).status != http::ReadStatus::complete) return fail("a request can be read");
    const u32 e = static_cast<u32>(std::stoul(std::string(request_->path_text().substr(1))));
    if (e >= count_) return fail("a request was sent");
    Exchange& x = exchanges_[e];
    x.server = event.stream;
    x.request.head_came = true;
    x.request.end_came = event.end;
    server().engine->set_user(event.stream, e);
  }

  // --- the end

  void last_act() {
    for (Side& s : sides_) s.engine->bear(kNone32);
    for (u32 round = 0; round < 40'000 && going(); ++round) {
      bool anything = false;
      now_ += 1'000'000;
      for (u32 e = 0; e < count_; ++e) {
        for (const bool answer : {false, true}) {
          say(e, answer, kBodyMax * 2);
          take(e, answer, kBodyMax * 2);
        }
        anything |= exchanges_[e].client != kNone32 || exchanges_[e].server != kNone32;
      }
      pass(client(), server(), kBodyMax);
      pass(server(), client(), kBodyMax);
      for (Side& s : sides_) hear(s);  // a send that found no memory has ended its connection
      check();
      const bool under_way = !client().pipe.empty() || !server().pipe.empty() || client().engine->has_output(client().conn) ||
                             server().engine->has_output(server().conn);
      if (!under_way) agree();
      if (!anything && !under_way) break;
    }
    for (u32 e = 0; e < count_ && going(); ++e) {
      if (exchanges_[e].client != kNone32 || exchanges_[e].server != kNone32) fail("every exchange ends or is reset: " + shown(e));
    }
    for (Side& s : sides_)
      if (going() && s.engine->streams_in_use() != 0) fail("no stream is left");
  }
  std::string shown(u32 e) {
    std::string out;
    const Exchange& x = exchanges_[e];
    for (const bool answer : {false, true}) {
      const Message& m = answer ? x.response : x.request;
      Side& s = answer ? server() : client();
      const u32 stream = answer ? x.server : x.client;
      out += (answer ? " answer " : "request ") + std::to_string(m.sent) + " of " + std::to_string(m.bytes) + " sent, " + std::to_string(m.got) + " taken";
      if (m.end_sent) out += ", ended";
      if (m.end_came) out += ", end came";
      if (stream == kNone32) out += ", let go of";
      if (stream != kNone32) out += ", window " + std::to_string(s.engine->send_window(s.conn, stream));
      out += ", of all " + std::to_string(s.engine->send_window(s.conn)) + ";";
    }
    return out + (x.reset ? " reset" : "");
  }
  // Nothing is under way: what one side may send is what the other expects.
  void agree() {
    for (const Side& s : sides_)
      if (s.engine->failed(s.conn)) return;  // its user will hear of it
    if (client().engine->settings_acknowledged(client().conn) != server().engine->settings_acknowledged(server().conn)) return;
    for (const bool up : {true, false}) {
      const Side &from = up ? client() : server(), &to = up ? server() : client();
      if (from.engine->send_window(from.conn) != to.engine->receive_window(to.conn)) fail("the connection's windows agree");
    }
    for (u32 e = 0; e < count_; ++e) {
      const Exchange& x = exchanges_[e];
      if (x.client == kNone32 || x.server == kNone32 || x.reset) continue;
      if (!x.request.end_sent && client().engine->send_window(client().conn, x.client) != server().engine->receive_window(server().conn, x.server)) {
        fail("a request's windows agree");
      }
      if (!x.response.end_sent && server().engine->send_window(server().conn, x.server) != client().engine->receive_window(client().conn, x.client)) {
        fail("an answer's windows agree");
      }
    }
  }
  void check() {
    for (Side& s : sides_)
      if (const char* what = s.engine->check_invariants(s.conn)) fail((&s == &client() ? "client: " : "server: ") + std::string(what));
  }

  static Bytes bytes_of(std::string_view s) { return {reinterpret_cast<const u8*>(s.data()), s.size()}; }
  static constexpr std::string_view kTrailers = "x-sum: 1\r\n";

  Program p_;
  mbuf::Pools& pools_;
  bool memory_may_end_;
  std::array<Side, 2> sides_;
  std::array<Exchange, kExchanges> exchanges_;
  u32 count_ = 0, resets_ = 0, interims_ = 0, finished_ = 0;
  u64 compared_ = 0;
  TimeUs now_ = 1'000'000;
  std::unique_ptr<http::RequestHead> request_ = std::make_unique<http::RequestHead>();
  std::unique_ptr<http::ResponseHead> response_ = std::make_unique<http::ResponseHead>();
  std::string wrong_;
};

}  // namespace ringway::test
