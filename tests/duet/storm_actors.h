#pragma once
// The people of the storm who speak HTTP/1.1 or just bytes: clients and endpoints of a World that behave by a seed.
//
// A careful client checks every answer against what it asked for and in which order; with `must_succeed` nothing but its
// own answers will do. A careless one says garbage, half a head, too little body, stops reading, leaves. Good endpoints
// answer what is asked for in random pieces; bad ones also reset, stay silent, talk nonsense or too early. Bytes go out
// and come in by chance, so that every boundary is met. One thread; driven by World::step.

#include <deque>
#include <memory>
#include <vector>

#include "tests/duet/storm_judge.h"

namespace ringway::storm {

using test::Host;

inline constexpr TimeUs kPatienceUs = 10'000'000;

// Sends what there is room for; returns how many bytes that was.
inline std::size_t send_some(Host& host, tcp::ConnId id, std::string_view text, u32 most) {
  if (host.pools().packets_free() < 256) return 0;
  const std::size_t n = std::min<std::size_t>({text.size(), most, host.tcp().send_space(id)});
  if (n > 0) host.send(id, text.substr(0, n));
  return n;
}

// What of a TCP service's first bytes is a PROXY header: its length; 0 where there is none; nothing while that cannot be known.
// The bytes of a tunnel have neither blanks nor line ends.
inline std::optional<std::size_t> proxy_header(std::string_view text, bool all_there) {
  constexpr std::string_view v1 = "PROXY ", v2 = "\r\n\r\n";
  const auto may_be = [&](std::string_view begin) { return begin.starts_with(text.substr(0, begin.size())); };
  if (text.starts_with(v1)) {
    const auto end = text.find("\r\n");
    return end == std::string_view::npos ? std::nullopt : std::optional(end + 2);
  }
  if (text.starts_with(v2)) {
    const std::size_t bytes = text.size() < 16 ? 16 : 16u + static_cast<u8>(text[14]) * 256u + static_cast<u8>(text[15]);
    return text.size() < bytes ? std::nullopt : std::optional(bytes);
  }
  return !all_there && (may_be(v1) || may_be(v2)) ? std::nullopt : std::optional(std::size_t{0});
}

// A final answer's fields; `framing` are lines that say how its body ends.
inline std::string answer_head(const Message& m, const Told& told, Kind kind, const std::string& framing) {
  const std::string line = told.kind == 'n' || (told.kind == 'U' && kind == kHttp2) ? "204 No Content" : told.kind == 'm' ? "304 Not Modified" : "200 OK";
  return "HTTP/1.1 " + line + "\r\nX-Id: " + std::to_string(told.id) + "\r\nX-Sum: " + sum_of(m.body) + "\r\nX-Secret: 1\r\nX-Seen: " +
         m.field("x-plan") + "/" + m.field("x-said") + "\r\nX-Kind: " + std::to_string(static_cast<u32>(kind)) + "\r\n" +
         (kind == kShadow ? "X-Shadow: 1\r\n" : "") + framing + "\r\n";
}

// The begin of a head that may be worth another try.
inline std::string failure(Rng& rng) {
  static constexpr const char* kLines[] = {"503 Service Unavailable", "500 Internal Server Error", "409 Conflict", "502 Bad Gateway"};
  return std::string("HTTP/1.1 ") + kLines[rng.below(4)] + "\r\n" + (rng.chance(300) ? "Retry-After: " + std::to_string(rng.below(2)) + "\r\n" : "");
}

struct Serving {
  tcp::ConnId id;
  u32 endpoint = 0;
  Kind kind = kHttp1;
  bool bad = false;
  bool raw = false;
  std::string first_bytes;  // of a tunnel, until it is known whether they are a PROXY header
  bool knows_client = false;
  std::unique_ptr<Reader> reader = std::make_unique<Reader>(Reader::Of::requests);
  std::string out;
  TimeUs hold_until_us = 0;
  TimeUs deaf_until_us = 0;
  TimeUs leave_us = ~TimeUs{0};  // closes or resets then, come what may
  bool peer_closed = false, close_after = false, reset_after = false, mute = false;
};

class Endpoints {
 public:
  Endpoints(World& world, Judge& judge, u64 seed) : world_(world), judge_(judge), rng_(seed) {}

  std::string error;
  u32 slow_permille = 0;  // chance not to act in a step

  void on_event(tcp::AppEvent& event) {
    if (event.bits & tcp::kAccepted) accept(event);
    Serving& s = serving_[event.user];
    if (event.bits & tcp::kPeerClosed) s.peer_closed = true;
    if (event.bits & tcp::kClosed) open_.erase(static_cast<u32>(event.user));
  }
  void step() {
    for (auto at = open_.begin(); at != open_.end();) {
      const bool stays = rng_.chance(slow_permille) || serve(serving_[*at]);
      at = stays ? std::next(at) : open_.erase(at);
    }
  }
  u32 open() const { return static_cast<u32>(open_.size()); }

 private:
  void accept(tcp::AppEvent& event) {
    const u32 index = static_cast<u32>(serving_.size());
    world_.server.tcp().set_user(event.id, index);
    event.user = index;
    Serving& s = serving_.emplace_back();
    s.id = event.id;
    s.endpoint = event.listener % kTagIps;
    s.kind = static_cast<Kind>(event.listener / kTagIps);
    s.raw = s.kind == kRaw;
    s.bad = s.endpoint >= kGoodIps;
    open_.insert(index);
    if (s.bad && rng_.chance(30)) s.leave_us = world_.now_us;
    if (s.bad && rng_.chance(200)) s.leave_us = world_.now_us + rng_.below(100'000);
    s.reader->on_head = [this, &s](Message& m) { on_head(s, m); };
    s.reader->on_message = [this, &s](Message& m) { on_request(s, m); };
  }

  // False: the connection is over.
  bool serve(Serving& s) {
    auto& tcp = world_.server.tcp();
    if (world_.now_us >= s.leave_us) {
      rng_.chance(500) ? tcp.abort(s.id) : tcp.close(s.id);
      return false;
    }
    if (!tcp.received(s.id).empty() && world_.now_us >= s.deaf_until_us) {
      const std::string bytes = world_.server.take(s.id);
      if (s.raw) {
        take_raw(s, bytes);
      } else if (s.reader->opaque) {
        s.out += bytes;
      } else if (!s.mute) {
        s.reader->feed(bytes);
        if (s.reader->opaque) s.out += std::exchange(s.reader->buffer, {});
        if (!s.reader->error.empty()) error = "an endpoint was sent " + s.reader->error;
      }
    }
    if (s.peer_closed && !s.first_bytes.empty()) take_raw(s, "");
    if (!s.out.empty() && world_.now_us >= s.hold_until_us) {
      const u32 most = rng_.chance(300) ? rng_.between(1, 30) : rng_.between(1, 20'000);
      s.out.erase(0, send_some(world_.server, s.id, s.out, most));
    }
    if (!s.out.empty()) return true;
    if (s.reset_after) {
      tcp.abort(s.id);
      return false;
    }
    if (s.close_after || (s.peer_closed && world_.now_us >= s.hold_until_us && tcp.received(s.id).empty())) {
      tcp.close(s.id);
      return false;
    }
    return true;
  }

  void take_raw(Serving& s, const std::string& bytes) {
    s.first_bytes += bytes;
    if (!s.knows_client) {
      const auto header = proxy_header(s.first_bytes, s.peer_closed);
      if (!header) return;
      s.first_bytes.erase(0, *header);
      s.knows_client = true;
    }
    s.out += std::exchange(s.first_bytes, {});
  }

  void on_head(Serving& s, Message& m) {
    judge_.reached(m, s.endpoint, s.kind);
    if (m.field("expect") == "100-continue") s.out += "HTTP/1.1 100 Continue\r\n\r\n";
    if (s.bad && rng_.chance(40)) {  // early: the body is not waited for
      s.out += "HTTP/1.1 413 Early\r\nContent-Length: 0\r\n\r\n";
      s.mute = true;
      s.close_after = rng_.chance(500);
    }
  }

  void on_request(Serving& s, Message& m) {
    if (s.mute) return;
    judge_.served(m, s.kind);
    if (m.line.find("GET /probe ") == 0) {
      s.out += "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
      return;
    }
    const std::size_t before = s.out.size();
    answer(s, m);
    if (s.bad) spoil(s, before);
  }

  // What was asked for.
  void answer(Serving& s, Message& m) {
    const Told told(m);
    const bool head_only = m.line.starts_with("HEAD ");
    const std::string body = head_only ? "" : content(told.id, told.bytes);
    const auto head = [&](const std::string& framing) { return answer_head(m, told, s.kind, framing); };
    if (rng_.chance(100)) s.hold_until_us = world_.now_us + rng_.below(3000);
    switch (told.kind) {
      case 'c': s.out += head("Transfer-Encoding: chunked\r\n") + (head_only ? "" : chunked(rng_, body)); return;
      case 'u':
        s.out += head("") + body;
        s.close_after = s.mute = true;
        return;
      case 'n': s.out += head(""); return;
      case 'm': s.out += head("Content-Length: 77\r\n"); return;
      case 'U':
        if (!m.fields.contains("upgrade")) break;
        s.out += "HTTP/1.1 101 Switching Protocols" + head("Connection: upgrade\r\nUpgrade: echo\r\n").substr(15);
        s.reader->opaque = true;
        return;
      case 'i': s.out += "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"; break;
      case 'w': s.hold_until_us = world_.now_us + rng_.below(50'000); break;
      default: break;
    }
    s.out += head((told.kind == 'k' ? "Connection: close\r\n" : "") + ("Content-Length: " + std::to_string(told.bytes)) + "\r\n") + body;
    if (told.kind == 'k') s.close_after = s.mute = true;
  }

  // Turns a good answer into what a bad endpoint does instead.
  void spoil(Serving& s, std::size_t before) {
    switch (rng_.below(20)) {
      case 0: s.leave_us = world_.now_us; return;
      case 1:
      case 2:
        s.out.resize(before + rng_.below(static_cast<u32>(s.out.size() - before) + 1));
        s.reset_after = s.close_after || rng_.chance(500);  // a FIN would make a body until close look whole
        s.close_after = s.mute = true;
        return;
      case 3:
        s.out.resize(before);
        s.mute = true;
        return;
      case 4:
        s.out.resize(before);
        for (u32 n = rng_.between(1, 400); n > 0; --n) s.out += static_cast<char>(rng_.below(256));
        s.mute = true;
        s.close_after = rng_.chance(500);
        return;
      case 5:
        s.out.resize(before);
        s.out += "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n";
        s.mute = true;
        return;
      case 6: {
        std::string flood;
        for (u32 n = rng_.between(1, 2000); n > 0; --n) flood += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        s.out.insert(before, flood);
        return;
      }
      case 7:
        s.out.resize(before);
        s.out += "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n";
        s.mute = true;
        return;
      case 8:
        if (s.close_after || s.reader->opaque) return;
        s.out += "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nextra";
        s.mute = true;
        s.leave_us = world_.now_us + rng_.below(20'000);
        return;
      case 9: s.deaf_until_us = world_.now_us + rng_.below(300'000); return;
      case 10: s.leave_us = world_.now_us + rng_.below(5'000); return;
      case 11: s.hold_until_us = world_.now_us + rng_.below(1'500'000); return;
      case 12:
      case 13:
        if (s.close_after || s.reader->opaque) return;
        s.out.resize(before);
        s.out += failure(rng_) + "Content-Length: 4\r\n\r\nfail";
        return;
      default: return;
    }
  }

  World& world_;
  Judge& judge_;
  Rng rng_;
  std::deque<Serving> serving_;
  std::set<u32> open_;
};

// From where, to where, and what it may expect.
struct Caller {
  wire::Ip4 ip = kShop, vip = kGoodVip;
  bool careful = false;       // checks its answers
  bool must_succeed = false;  // and accepts nothing else
  bool raw() const { return vip == kRawVip || vip == kBadRawVip; }
};

// What a client asks for; `last`: of its connection.
inline Ask write_ask(Rng& rng, u32 id, const Caller& who, bool last, bool h2) {
  const auto size = [&] { return rng.chance(15) ? rng.below(400'000) : rng.chance(200) ? rng.below(20'000) : rng.below(1500); };
  Ask a;
  a.id = id;
  a.from = wire::to_string(who.ip);
  a.listener = who.vip == kBadVip ? 1 : 0;
  if (rng.chance(600)) a.word = kServedWords[rng.below(std::size(kServedWords))];
  if (!who.must_succeed && rng.chance(300)) a.word = kOtherWords[rng.below(std::size(kOtherWords))];
  a.test = rng.chance(200);
  a.tagged = rng.chance(400);
  const u32 m = rng.below(10);
  a.method = m < 5 ? "GET" : m < 6 ? "HEAD" : m < 9 ? "POST" : "PUT";
  a.kind = last && !h2 ? rng.pick("lcuUnmikw") : rng.pick("lllcccnmikw");
  a.answer_bytes = size();
  if (a.kind == 'U') {
    a.method = "GET";
  } else if (last && !h2) {
    a.one_zero = rng.chance(200);
    a.close = rng.chance(200);
  }
  if (a.has_body()) {
    a.body_bytes = size();
    a.body_chunked = !a.one_zero && rng.chance(500);
    a.expects = !a.one_zero && !h2 && rng.chance(100);
  }
  return a;
}

struct Client {
  tcp::ConnId id;
  std::vector<Ask> asks;
  std::size_t next = 0;
  u32 depth = 1;              // requests on their way at once
  std::deque<Ask> waiting;
  Reader reader{Reader::Of::answers};
  std::string out;
  std::string held_body;      // until 100 (Continue)
  std::string tunnel_text;
  bool tunnel = false, half_close = false, half_closed = false, told_to_close = false;
  bool connected = false, peer_closed = false;
  Caller who;
  TimeUs deaf_until_us = 0, leave_us = ~TimeUs{0}, moved_us = 0;
  u32 act_permille = 1000;
  u32 piece = 20'000;

  bool all_answered() const { return next == asks.size() && waiting.empty() && !tunnel; }
};

class Clients {
 public:
  Clients(World& world, Judge& judge, u64 seed) : world_(world), judge_(judge), rng_(seed) {}

  std::string error;
  u32 tunnels = 0;
  bool hears_of_resets = false;  // no frame gets lost: who is careful needs no patience

  u32 open() const { return static_cast<u32>(open_.size()); }

  // Opens a connection; false when the host has none left.
  bool begin(const Caller& who) {
    const u32 index = static_cast<u32>(clients_.size());
    const auto id = world_.client.tcp().connect(who.ip, who.vip, 80, index, world_.now_us);
    if (!id) return false;
    Client& c = clients_.emplace_back();
    c.id = *id;
    c.who = who;
    c.moved_us = world_.now_us;
    c.act_permille = rng_.chance(300) ? rng_.between(20, 400) : 1000;
    c.piece = c.act_permille == 1000 && rng_.chance(300) ? rng_.between(1, 40) : rng_.between(100, 30'000);
    if (rng_.chance(200)) c.deaf_until_us = world_.now_us + rng_.below(200'000);
    if (who.raw()) {
      begin_tunnel(c);
    } else {
      write_asks(c);
      c.reader.is_head_answer = [&c] { return !c.waiting.empty() && c.waiting.front().method == "HEAD"; };
      c.reader.on_message = [this, &c](Message& m) { on_answer(c, m); };
    }
    if (!who.careful) spoil(c);
    open_.insert(index);
    return true;
  }

  void on_event(const tcp::AppEvent& event) {
    Client& c = clients_[event.user];
    if (event.bits & tcp::kConnected) c.connected = true;
    if (c.connected && c.who.ip == kBanned) complain(c, "one whom the gateway's ingress denies has connected");
    if (event.bits & tcp::kPeerClosed) c.peer_closed = true;
    if (event.bits & tcp::kClosed) {
      const bool finished = event.reason == tcp::CloseReason::finished;
      ended(c, finished ? "closed" : "reset");
      open_.erase(static_cast<u32>(event.user));
    }
  }
  void step() {
    auto& tcp = world_.client.tcp();
    for (auto at = open_.begin(); at != open_.end();) {
      Client& c = clients_[*at];
      // A reset may get lost, and a client that only listens would never hear of it.
      if (!c.who.must_succeed && world_.now_us - c.moved_us > kPatienceUs) {
        if (hears_of_resets && c.who.careful && c.who.ip != kBanned) complain(c, "neither an answer nor an end");
        c.leave_us = world_.now_us;
      }
      const bool stays = !c.connected || !rng_.chance(c.act_permille) ? world_.now_us < c.leave_us : act(c);
      if (!stays && world_.client.tcp().alive(c.id)) tcp.close(c.id);
      at = stays ? std::next(at) : open_.erase(at);
    }
  }

  void abort_all() {
    for (const u32 i : open_) world_.client.tcp().abort(clients_[i].id);
    open_.clear();
  }
  // A client that has neither sent nor received since `since_us`, of all or of those that must succeed.
  std::string stalled(TimeUs since_us, bool of_all = false) const {
    for (const u32 i : open_) {
      const Client& c = clients_[i];
      if ((of_all || c.who.must_succeed) && c.moved_us < since_us) return name(c) + " waits" + where(c);
    }
    return "";
  }

 private:
  std::string name(const Client& c) const {
    return "client " + std::to_string(&c == &clients_.back() ? clients_.size() - 1 : index_of(c));
  }
  std::size_t index_of(const Client& c) const {
    std::size_t i = 0;
    while (&clients_[i] != &c) ++i;
    return i;
  }
  std::string where(const Client& c) const {
    std::string t = ", " + std::to_string(c.next) + "/" + std::to_string(c.asks.size()) + " asked, " +
                    std::to_string(c.out.size()) + " bytes unsent";
    if (!c.waiting.empty()) t += ", waits for " + c.waiting.front().head_text();
    if (c.peer_closed) t += ", told the end";
    return t + (c.tunnel ? " in a tunnel" : "") + (c.half_closed ? " half-closed" : "");
  }
  void complain(const Client& c, const std::string& what) {
    if (error.empty()) error = name(c) + ": " + what + where(c);
  }

  void write_asks(Client& c) {
    const u32 count = rng_.between(1, 10);
    c.depth = rng_.chance(500) ? 1 : rng_.between(2, 8);
    c.half_close = rng_.chance(200);
    for (u32 i = 0; i < count; ++i) {
      c.asks.push_back(write_ask(rng_, judge_.next_id++, c.who, i + 1 == count, false));
      judge_.asked(c.asks.back());
      if (c.asks.back().body_bytes > 20'000) c.piece = std::max(c.piece, 1000u);  // or it would talk for minutes
    }
  }

  void begin_tunnel(Client& c) {
    c.tunnel = true;
    c.tunnel_text = content(judge_.next_id++, rng_.chance(200) ? rng_.below(100'000) : rng_.below(2000));
    c.out += c.tunnel_text;
    c.half_close = false;
    ++tunnels;
  }

  // Makes a careless client of a careful one.
  void spoil(Client& c) {
    c.leave_us = world_.now_us + rng_.below(rng_.chance(500) ? 20'000 : 1'500'000);
    c.half_close = rng_.chance(300);
    if (rng_.chance(200)) c.deaf_until_us = c.leave_us;
    if (c.tunnel) return;
    switch (rng_.below(7)) {
      case 0: {  // garbage
        c.asks.clear();
        for (u32 n = rng_.between(1, 3000); n > 0; --n) c.out += static_cast<char>(rng_.below(256));
        return;
      }
      case 1: {  // a part of a request
        const std::string text = c.asks[0].head_text() + c.asks[0].body_text(rng_);
        c.out = text.substr(0, rng_.below(static_cast<u32>(text.size()) + 1));
        c.asks.clear();
        return;
      }
      case 2: {  // a head without an end
        c.out = "GET / HTTP/1.1\r\nHost: web\r\n";
        for (u32 n = rng_.between(1, 3000); n > 0; --n) c.out += "X-" + std::to_string(n) + ": long long long value\r\n";
        c.asks.clear();
        return;
      }
      case 3:  // a bad body behind a good head
        c.out = "POST /1/l/3 HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n";
        c.asks.clear();
        return;
      case 4: c.asks.clear(); return;  // silence
      default: return;                 // leaves in the middle
    }
  }

  // False: the client is done.
  bool act(Client& c) {
    auto& tcp = world_.client.tcp();
    if (world_.now_us >= c.leave_us) {
      if (rng_.chance(700)) tcp.abort(c.id);
      return false;
    }
    if (world_.now_us >= c.deaf_until_us && !tcp.received(c.id).empty()) {
      const std::string bytes = world_.client.take(c.id);
      c.moved_us = world_.now_us;
      if (c.who.careful || !c.tunnel) hear(c, bytes);
    }
    speak(c);
    if (c.who.careful && c.all_answered() && (!c.half_closed || c.peer_closed)) return false;
    if (c.peer_closed && tcp.received(c.id).empty()) {
      c.reader.end();
      if (!c.all_answered()) ended(c, "closed");
      return false;
    }
    return true;
  }

  void hear(Client& c, std::string_view bytes) {
    if (c.tunnel) {
      c.reader.buffer += bytes;
    } else {
      c.reader.feed(bytes);
    }
    if (!c.who.careful) return;
    if (!c.reader.error.empty()) complain(c, c.reader.error);
    if (!c.tunnel) return;
    const std::string_view got = c.reader.buffer;
    if (!got.empty() && c.who.ip == kOutlaw) complain(c, "one whom the service's rules deny was served");
    if (got != std::string_view(c.tunnel_text).substr(0, got.size())) complain(c, "wrong bytes from the tunnel");
    if (c.half_closed && c.peer_closed && got.size() == c.tunnel_text.size()) c.tunnel = false;
  }

  void speak(Client& c) {
    auto& tcp = world_.client.tcp();
    while (c.next < c.asks.size() && c.waiting.size() < c.depth && c.held_body.empty() && !c.told_to_close) {
      const Ask& a = c.asks[c.next];
      const bool alone = a.expects || a.kind == 'U';
      if (alone && !c.waiting.empty()) break;
      c.out += a.head_text();
      (a.expects ? c.held_body : c.out) += a.body_text(rng_);
      c.waiting.push_back(a);
      ++c.next;
      if (alone) break;
    }
    if (!c.out.empty()) {
      const std::size_t n = send_some(world_.client, c.id, c.out, rng_.between(1, c.piece));
      c.out.erase(0, n);
      if (n > 0) c.moved_us = world_.now_us;
    }
    if (!c.out.empty() || !c.held_body.empty() || c.half_closed) return;
    const bool upgrading = !c.waiting.empty() && c.waiting.back().kind == 'U';
    if ((c.half_close && c.next == c.asks.size() && !upgrading) || (c.tunnel && c.out.empty())) {
      tcp.shutdown(c.id);
      c.half_closed = true;
    }
    if (c.tunnel) hear(c, "");
  }

  void on_answer(Client& c, Message& m) {
    if (m.status() == 100) c.out += std::exchange(c.held_body, {});
    if (m.status() < 200 && m.status() != 101) return;
    if (!c.who.careful) {
      if (!c.waiting.empty()) c.waiting.pop_front();
      return;
    }
    if (c.waiting.empty()) return complain(c, "an answer that nobody asked for: " + m.line);
    const Ask ask = c.waiting.front();
    if (const std::string wrong = judge_.judge(ask, m, c.who.must_succeed); !wrong.empty()) return complain(c, wrong);
    c.held_body.clear();
    c.waiting.pop_front();
    if (m.field("connection") == "close") c.told_to_close = true;
    if (m.status() == 101) {
      begin_tunnel(c);
      c.reader.opaque = true;
    }
  }

  void ended(Client& c, const std::string& how) {
    if (c.tunnel) hear(c, "");
    if (how == "closed") c.reader.end();
    if (c.who.must_succeed && !c.all_answered()) complain(c, how + " before the end");
  }

  World& world_;
  Judge& judge_;
  Rng rng_;
  std::deque<Client> clients_;
  std::set<u32> open_;
};

}  // namespace ringway::storm
