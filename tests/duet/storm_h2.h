#pragma once
// The people of the storm who speak HTTP/2. Their side of a connection is an H2Engine of their own, which is strict about
// what the gateway sends: a connection that ends by an error of a careful side is a failure of the storm. Heads are the text
// of HTTP/1.1 that they mean, so that what is asked and answered is the same as in storm_actors.h.

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h2_engine.h"
#include "tests/duet/storm_actors.h"

namespace ringway::storm {

inline constexpr u64 kH2User = u64{1} << 40;  // marks their connections among those of a host

inline Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }
inline std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Whose fault it is that a stream or a connection is over, for people.
inline std::string how_it_ended(const http::H2Event& event) {
  return (event.by_peer ? "so the gateway says, " : "") + std::string(http::kH2ErrorNames[static_cast<u32>(event.error)]);
}

// One host's side of HTTP/2.
class H2Host {
 public:
  explicit H2Host(Host& host) : host_(host), h2({.connections = 512, .streams = 4096}, host.pools(), host.page()) {}

  // `patient`: never refuses a stream for want of places.
  static http::H2Settings settings(Rng& rng, bool patient) {
    static constexpr u32 kWindows[] = {1000, 16'384, 65'535, 200'000}, kStreams[] = {1, 4, 100, 128};
    http::H2Settings s;
    s.stream_window_bytes = kWindows[rng.below(4)];
    s.held_bytes_max = rng.chance(300) ? 65'535 : 200'000;
    s.streams_max = kStreams[patient ? 2 + rng.below(2) : rng.below(4)];
    return s;
  }

  std::string take(u32 stream) {
    const mbuf::Chain bytes = h2.take(stream, h2.received(stream).bytes());
    std::string text(bytes.bytes(), '\0');
    bytes.copy_out(0, {reinterpret_cast<u8*>(text.data()), text.size()});
    return text;
  }
  // Sends what windows and memory allow of `text` and takes it off; `end` goes with the last of it. True when all has left.
  bool send(tcp::ConnId conn, u32 stream, std::string& text, bool end, u32 most) {
    if (host_.pools().packets_free() < 256) return false;
    const u32 n = std::min({static_cast<u32>(text.size()), h2.send_space(stream), host_.tcp().send_space(conn), most});
    if (n == 0 && !text.empty()) return false;
    const bool last = n == text.size();
    mbuf::Chain chain = host_.pools().chain();
    for (u32 at = 0; at < n;) {
      mbuf::Pkt pkt = host_.pools().alloc();
      RW_ASSERT(pkt);
      const u32 part = std::min(n - at, 1400u);
      std::memcpy(pkt.append(part), text.data() + at, part);
      RW_ASSERT(chain.append(std::move(pkt)));
      at += part;
    }
    if (n > 0 || end) RW_ASSERT(h2.send_data(stream, std::move(chain), end && last));
    text.erase(0, n);
    return last;
  }
  void flush(tcp::ConnId conn, u32 at) {
    if (h2.has_output(at) && host_.tcp().alive(conn) && host_.pools().packets_free() >= 256) host_.tcp().send(conn, h2.take_output(at));
  }

 private:
  Host& host_;

 public:
  http::H2Engine h2;
};

// --- endpoints

// One request at an endpoint, and what has not been said of its answer.
struct H2Serving {
  Message request;
  bool whole = false, answered = false, mute = false, trailers = false, ends_by_reset = false;
  std::vector<std::string> heads;
  std::string body;
  TimeUs hold_until_us = 0;
};

struct H2Endpoint {
  tcp::ConnId id;
  u32 h2 = kNone32;
  u32 endpoint = 0;
  bool bad = false, peer_closed = false, says_nonsense = false;
  TimeUs leave_us = ~TimeUs{0}, deaf_until_us = 0;
  std::map<u32, H2Serving> streams;
};

class H2Endpoints {
 public:
  H2Endpoints(World& world, Judge& judge, u64 seed) : world_(world), judge_(judge), rng_(seed), side_(std::make_unique<H2Host>(world.server)) {}

  std::string error;

  void on_event(tcp::AppEvent& event) {
    if (event.bits & tcp::kAccepted) {
      const u32 index = static_cast<u32>(all_.size());
      event.user = kH2User | index;
      world_.server.tcp().set_user(event.id, event.user);
      H2Endpoint& e = all_.emplace_back();
      e.id = event.id;
      e.endpoint = event.listener % kTagIps;
      e.bad = e.endpoint >= kGoodIps;
      e.h2 = side_->h2.open(http::H2Role::server, H2Host::settings(rng_, !e.bad), world_.now_us);
      RW_ASSERT(e.h2 != kNone32);
      if (e.bad && rng_.chance(100)) e.leave_us = world_.now_us + rng_.below(100'000);
      open_.insert(index);
    }
    const u32 index = static_cast<u32>(event.user & ~kH2User);
    if (event.bits & tcp::kPeerClosed) all_[index].peer_closed = true;
    if (event.bits & tcp::kClosed) end(index);
  }
  void step() {
    for (auto at = open_.begin(); at != open_.end();) {
      const u32 index = *at++;
      if (!serve(all_[index])) end(index);
    }
  }
  u32 open() const { return static_cast<u32>(open_.size()); }
  void release() { side_.reset(); }

 private:
  void end(u32 index) {
    if (open_.erase(index) == 0) return;
    side_->h2.close(all_[index].h2);
    all_[index].streams.clear();
  }

  // False: the connection is over.
  bool serve(H2Endpoint& e) {
    auto& tcp = world_.server.tcp();
    if (world_.now_us >= e.leave_us) {
      rng_.chance(500) ? tcp.abort(e.id) : tcp.close(e.id);
      return false;
    }
    if (world_.now_us >= e.deaf_until_us) {
      if (const u32 n = tcp.received(e.id).bytes(); n > 0) side_->h2.input(e.h2, tcp.take(e.id, n), world_.now_us);
      http::H2Event event;
      while (side_->h2.next_event(e.h2, event)) {
        if (!on_event(e, event)) return leave(e);
      }
    }
    for (auto at = e.streams.begin(); at != e.streams.end();) {
      const bool stays = answer(e, at->first, at->second);
      at = stays ? std::next(at) : e.streams.erase(at);
    }
    side_->flush(e.id, e.h2);
    if (!e.peer_closed || !tcp.received(e.id).empty()) return true;
    tcp.close(e.id);
    return false;
  }
  bool leave(H2Endpoint& e) {
    side_->flush(e.id, e.h2);
    world_.server.tcp().close(e.id);
    return false;
  }

  // False when the connection has failed.
  bool on_event(H2Endpoint& e, const http::H2Event& event) {
    using K = http::H2EventKind;
    if (event.kind == K::failed) {
      const bool fair = e.says_nonsense || (event.by_peer && (e.bad || event.error == http::H2Error::no_error));
      if (!fair) error = "an HTTP/2 endpoint's connection failed, " + how_it_ended(event);
      return false;
    }
    if (event.stream == kNone32) return true;
    if (event.kind == K::reset) {
      e.streams.erase(event.stream);
      return true;
    }
    H2Serving& s = e.streams[event.stream];
    if (event.kind == K::head) {
      const std::string text = text_of(event.text);
      const auto line = text.find("\r\n");
      s.request.line = text.substr(0, line);
      const std::string wrong = read_fields(std::string_view(text).substr(line + 2, text.size() - line - 4), s.request);
      if (!wrong.empty()) error = "an HTTP/2 endpoint was sent " + wrong + " in " + text;
      judge_.reached(s.request, e.endpoint, kHttp2);
      if (s.request.field("expect") == "100-continue" && !event.end) say_head(event.stream, s, "HTTP/1.1 100 Continue\r\n\r\n", false);
      if (e.bad && rng_.chance(40)) {  // early: the body is not waited for
        s.heads = {"HTTP/1.1 413 Early\r\nContent-Length: 0\r\n\r\n"};
        s.answered = true;
      }
    } else if (event.kind == K::data) {
      s.request.body += side_->take(event.stream);
    }
    if ((event.end || event.kind == K::trailers) && !s.whole) {
      s.whole = true;
      if (!s.answered) begin_answer(e, event.stream, s);
    }
    return true;
  }

  void begin_answer(H2Endpoint& e, u32 stream, H2Serving& s) {
    const bool refuses = e.bad && rng_.chance(60);
    s.answered = true;
    if (refuses) {  // unprocessed
      s.mute = s.ends_by_reset = true;
      refusing_.insert(stream);
      return;
    }
    judge_.served(s.request, kHttp2);
    if (s.request.line.find("GET /probe ") == 0) {
      s.heads = {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"};
      s.body = "ok";
      return;
    }
    const Told told(s.request);
    const bool bodyless = s.request.line.starts_with("HEAD ") || told.kind == 'n' || told.kind == 'm' || told.kind == 'U';
    if (told.kind == 'i') s.heads.push_back("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    const bool counted = told.kind != 'c' && told.kind != 'u' && told.kind != 'n' && told.kind != 'U';
    s.heads.push_back(answer_head(s.request, told, kHttp2, counted ? "Content-Length: " + std::to_string(told.bytes) + "\r\n" : ""));
    if (!bodyless) s.body = content(told.id, told.bytes);
    s.trailers = !bodyless && rng_.chance(150);
    if (told.kind == 'w') s.hold_until_us = world_.now_us + rng_.below(50'000);
    if (told.kind == 'k') going_away_.insert(stream);
    if (e.bad) spoil(e, s);
  }

  void spoil(H2Endpoint& e, H2Serving& s) {
    switch (rng_.below(14)) {
      case 0: s.heads.clear(); [[fallthrough]];
      case 1:
        s.body.resize(s.body.size() / 2);
        s.ends_by_reset = true;
        return;
      case 2: s.mute = true; return;
      case 3: e.leave_us = world_.now_us + rng_.below(5000); return;
      case 4:
        e.says_nonsense = true;
        world_.server.send(e.id, "certainly no frame at all, and long enough to be read as one");
        e.leave_us = world_.now_us + rng_.below(20'000);
        return;
      case 5:
      case 6:
        s.heads = {failure(rng_) + "Content-Length: 4\r\n\r\n"};
        s.body = "fail";
        s.trailers = false;
        return;
      case 7: side_->h2.goaway_final(e.h2, http::H2Error::no_error); return;
      case 8: s.hold_until_us = world_.now_us + rng_.below(1'500'000); return;
      case 9: e.deaf_until_us = world_.now_us + rng_.below(300'000); return;
      case 10: s.heads.insert(s.heads.begin(), rng_.below(200), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"); return;
      default: return;
    }
  }

  // Says what there is room for; false when the stream is done with.
  bool answer(H2Endpoint& e, u32 stream, H2Serving& s) {
    if (!s.answered || world_.now_us < s.hold_until_us || world_.server.pools().packets_free() < 256) return true;
    while (!s.mute && !s.heads.empty()) {
      const bool last = s.heads.size() == 1 && s.body.empty() && !s.trailers && !s.ends_by_reset;
      if (!say_head(stream, s, s.heads.front(), last)) return true;
      s.heads.erase(s.heads.begin());
      if (last) return done(e, stream, http::H2Error::no_error);
    }
    if (!s.mute && !s.body.empty() && !side_->send(e.id, stream, s.body, !s.trailers && !s.ends_by_reset, rng_.between(1, 20'000))) return true;
    if (s.ends_by_reset) return done(e, stream, refusing_.contains(stream) ? http::H2Error::refused_stream : http::H2Error::internal_error);
    if (s.mute) return true;
    if (s.trailers && !side_->h2.send_trailers(stream, bytes_of("x-trailer: t\r\n"))) return true;
    return done(e, stream, http::H2Error::no_error);
  }
  bool say_head(u32 stream, const H2Serving& s, const std::string& text, bool last) {
    http::ResponseHead head;
    const auto read = http::read_response(bytes_of(text), s.request.line.starts_with("HEAD ") ? http::Method::head : http::Method::get, {}, head);
    RW_ASSERT(read.status == http::ReadStatus::complete);
    return side_->h2.send_response(stream, head, {.via = "far"}, {}, last);
  }
  bool done(H2Endpoint& e, u32 stream, http::H2Error how) {
    side_->h2.release(stream, how);
    refusing_.erase(stream);
    // A good one lets come what is on its way: a request with a large body cannot be sent again.
    if (going_away_.erase(stream) != 0) e.bad ? side_->h2.goaway_final(e.h2, http::H2Error::no_error) : side_->h2.goaway_notice(e.h2);
    return false;
  }

  World& world_;
  Judge& judge_;
  Rng rng_;
  std::unique_ptr<H2Host> side_;
  std::deque<H2Endpoint> all_;
  std::set<u32> open_;
  std::set<u32> refusing_, going_away_;  // streams
};

// --- clients

struct H2Asked {
  Ask ask;
  Message answer;
  std::string body;      // that has not left
  bool sent = false, answered = false;
};

struct H2Client {
  tcp::ConnId id;
  u32 h2 = kNone32;
  Caller who;
  std::vector<Ask> asks;
  std::size_t next = 0;
  u32 depth = 1;
  std::map<u32, H2Asked> streams;
  bool connected = false, peer_closed = false, told_to_close = false;
  TimeUs deaf_until_us = 0, leave_us = ~TimeUs{0}, moved_us = 0;
  u32 act_permille = 1000;
  bool all_answered() const { return next == asks.size() && streams.empty(); }
};

class H2Clients {
 public:
  H2Clients(World& world, Judge& judge, u64 seed) : world_(world), judge_(judge), rng_(seed), side_(std::make_unique<H2Host>(world.client)) {}

  std::string error;
  bool hears_of_resets = false;

  u32 open() const { return static_cast<u32>(open_.size()); }
  void release() { side_.reset(); }

  bool begin(const Caller& who) {
    const u32 index = static_cast<u32>(all_.size());
    const auto id = world_.client.tcp().connect(who.ip, who.vip, 80, kH2User | index, world_.now_us);
    if (!id) return false;
    H2Client& c = all_.emplace_back();
    c.id = *id;
    c.h2 = side_->h2.open(http::H2Role::client, H2Host::settings(rng_, true), world_.now_us);
    RW_ASSERT(c.h2 != kNone32);
    c.who = who;
    c.moved_us = world_.now_us;
    c.depth = rng_.between(1, 12);
    c.act_permille = rng_.chance(300) ? rng_.between(20, 400) : 1000;
    if (rng_.chance(200)) c.deaf_until_us = world_.now_us + rng_.below(200'000);
    for (u32 n = rng_.between(1, 16); n > 0; --n) {
      c.asks.push_back(write_ask(rng_, judge_.next_id++, who, false, true));
      judge_.asked(c.asks.back());
    }
    if (!who.careful) c.leave_us = world_.now_us + rng_.below(rng_.chance(500) ? 20'000 : 1'500'000);
    open_.insert(index);
    return true;
  }

  void on_event(const tcp::AppEvent& event) {
    const u32 index = static_cast<u32>(event.user & ~kH2User);
    H2Client& c = all_[index];
    if (event.bits & tcp::kConnected) c.connected = true;
    if (c.connected && c.who.ip == kBanned) complain(c, "one whom the gateway's ingress denies has connected");
    if (event.bits & tcp::kPeerClosed) c.peer_closed = true;
    if ((event.bits & tcp::kClosed) && open_.contains(index)) {
      ended(c, "closed");
      end(index);
    }
  }
  void step() {
    auto& tcp = world_.client.tcp();
    for (auto at = open_.begin(); at != open_.end();) {
      const u32 index = *at++;
      H2Client& c = all_[index];
      if (!c.who.must_succeed && world_.now_us - c.moved_us > kPatienceUs) {
        if (hears_of_resets && c.who.careful && c.who.ip != kBanned) complain(c, "neither an answer nor an end");
        c.leave_us = world_.now_us;
      }
      const bool stays = !c.connected || !rng_.chance(c.act_permille) ? world_.now_us < c.leave_us : act(c);
      if (stays) continue;
      if (tcp.alive(c.id)) tcp.close(c.id);
      end(index);
    }
  }
  void abort_all() {
    while (!open_.empty()) {
      world_.client.tcp().abort(all_[*open_.begin()].id);
      end(*open_.begin());
    }
  }
  std::string stalled(TimeUs since_us, bool of_all = false) const {
    for (const u32 i : open_) {
      const H2Client& c = all_[i];
      if ((of_all || c.who.must_succeed) && c.moved_us < since_us) return where(c) + " waits";
    }
    return "";
  }

 private:
  std::string where(const H2Client& c) const {
    std::string t = "HTTP/2 client, " + std::to_string(c.next) + "/" + std::to_string(c.asks.size()) + " asked";
    for (const auto& [stream, s] : c.streams) t += ", " + std::string(s.answered ? "answered " : "") + s.ask.head_text();
    return t;
  }
  void complain(const H2Client& c, const std::string& what) {
    if (error.empty()) error = what + ": " + where(c);
  }
  void end(u32 index) {
    if (open_.erase(index) == 0) return;
    side_->h2.close(all_[index].h2);
    all_[index].streams.clear();
  }
  void ended(const H2Client& c, const std::string& how) {
    if (c.who.must_succeed && !c.all_answered()) complain(c, how + " before the end");
  }

  // False: the client is done.
  bool act(H2Client& c) {
    auto& tcp = world_.client.tcp();
    if (world_.now_us >= c.leave_us) {
      if (rng_.chance(700)) tcp.abort(c.id);
      return false;
    }
    if (world_.now_us >= c.deaf_until_us) {
      if (const u32 n = tcp.received(c.id).bytes(); n > 0) {
        side_->h2.input(c.h2, tcp.take(c.id, n), world_.now_us);
        c.moved_us = world_.now_us;
      }
      http::H2Event event;
      while (side_->h2.next_event(c.h2, event)) {
        if (!on_event(c, event)) return false;
      }
    }
    speak(c);
    if (!c.who.careful && rng_.chance(20) && !c.streams.empty()) {
      side_->h2.release(c.streams.begin()->first, http::H2Error::cancel);
      c.streams.erase(c.streams.begin());
    }
    side_->flush(c.id, c.h2);
    if (c.who.careful && (c.all_answered() || (c.told_to_close && c.streams.empty() && !c.who.must_succeed))) return false;
    if (!c.peer_closed || !tcp.received(c.id).empty()) return true;
    ended(c, "closed");
    return false;
  }

  bool on_event(H2Client& c, const http::H2Event& event) {
    using K = http::H2EventKind;
    if (event.kind == K::goaway) c.told_to_close = true;
    if (event.kind == K::failed) {
      // A flood of interim answers passes the gateway, and a client may have enough of it.
      const bool flooded = !c.who.must_succeed && event.error == http::H2Error::enhance_your_calm;
      const bool fair = event.by_peer ? !c.who.careful || event.error == http::H2Error::no_error : flooded;
      if (!fair) complain(c, "its connection failed, " + how_it_ended(event));
      ended(c, "failed");
      return false;
    }
    const auto at = event.stream == kNone32 ? c.streams.end() : c.streams.find(event.stream);
    if (at == c.streams.end()) return true;
    H2Asked& s = at->second;
    if (event.kind == K::reset) {
      const bool unprocessed = event.error == http::H2Error::refused_stream;  // beyond the limit that was not known yet
      if (unprocessed) c.asks.push_back(s.ask);
      else if (c.who.must_succeed) complain(c, "a stream was reset, " + how_it_ended(event));
      c.streams.erase(at);
      return true;
    }
    if (event.kind == K::head) on_head(c, s, text_of(event.text));
    if (event.kind == K::data) s.answer.body += side_->take(event.stream);
    if (!event.end && event.kind != K::trailers) return true;
    if (!s.answered) complain(c, "an end without an answer");
    if (const std::string wrong = c.who.careful ? judge_.judge(s.ask, s.answer, c.who.must_succeed) : ""; !wrong.empty()) complain(c, wrong);
    side_->h2.release(event.stream, http::H2Error::no_error);
    c.streams.erase(at);
    return true;
  }
  void on_head(H2Client& c, H2Asked& s, const std::string& text) {
    if (s.answered) complain(c, "a second answer: " + text);
    const auto line = text.find("\r\n");
    Message m;
    m.line = text.substr(0, line);
    const std::string wrong = read_fields(std::string_view(text).substr(line + 2, text.size() - line - 4), m);
    if (!wrong.empty()) complain(c, wrong + " in " + text);
    if (m.status() < 200) return;
    s.answered = true;
    s.answer = std::move(m);
  }

  void speak(H2Client& c) {
    http::H2Engine& h2 = side_->h2;
    while (c.next < c.asks.size() && c.streams.size() < c.depth && !c.told_to_close && h2.accepts_streams(c.h2) &&
           world_.client.pools().packets_free() >= 256) {
      const u32 stream = h2.open_stream(c.h2, 0);
      if (stream == kNone32) break;
      H2Asked s{.ask = c.asks[c.next++]};
      s.body = s.ask.has_body() ? s.ask.body() : "";
      const std::string text = s.ask.head_text();
      http::RequestHead head;
      RW_ASSERT(http::read_request(bytes_of(text), {}, head).status == http::ReadStatus::complete);
      s.sent = !s.ask.has_body();
      RW_ASSERT(h2.send_request(stream, head, {.client_ip = c.who.ip, .via = "far"}, {}, s.sent));
      c.streams.emplace(stream, std::move(s));
      c.moved_us = world_.now_us;
    }
    for (auto& [stream, s] : c.streams) {
      if (s.sent) continue;
      const std::size_t before = s.body.size();
      s.sent = side_->send(c.id, stream, s.body, true, rng_.between(1, 20'000));
      if (s.body.size() != before || s.sent) c.moved_us = world_.now_us;
    }
  }

  World& world_;
  Judge& judge_;
  Rng rng_;
  std::unique_ptr<H2Host> side_;
  std::deque<H2Client> all_;
  std::set<u32> open_;
};

}  // namespace ringway::storm
