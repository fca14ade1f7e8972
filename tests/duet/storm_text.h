#pragma once
// What the actors of the storm say and how they understand it: a seeded random source, requests that carry the answer
// they want, and a reader of HTTP/1.1 messages that shares nothing with Ringway's own.
//
// The reader is written for clarity on std::string and refuses whatever RFC 9112 does not allow a gateway to send. A
// request names an id; content, sum and answer follow from it, so that client and endpoint agree without talking.

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <string_view>

#include "src/base/types.h"

namespace ringway::storm {

class Rng {
 public:
  explicit Rng(u64 seed) : state_(seed * 0x9e37'79b9'7f4a'7c15ull + 1) {}
  u64 next() {
    u64 z = (state_ += 0x9e37'79b9'7f4a'7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11ebull;
    return z ^ (z >> 31);
  }
  u32 below(u32 n) { return static_cast<u32>(next() >> 32) % n; }
  u32 between(u32 low, u32 high) { return low + below(high - low + 1); }
  bool chance(u32 permille) { return below(1000) < permille; }
  char pick(std::string_view of) { return of[below(static_cast<u32>(of.size()))]; }

 private:
  u64 state_;
};

// The `n` bytes of content that belong to `id`.
inline std::string content(u32 id, u32 n) {
  std::string out(n, '\0');
  u32 x = id * 2654435761u + 1;
  for (char& c : out) {
    x = x * 1664525u + 1013904223u;
    c = static_cast<char>('A' + (x >> 27));
  }
  return out;
}

inline std::string sum_of(std::string_view text) {
  u64 h = 0xcbf2'9ce4'8422'2325ull;
  for (const char c : text) h = (h ^ static_cast<u8>(c)) * 0x100'0000'01b3ull;
  return std::to_string(h);
}

// `text` in chunked coding, cut at random, sometimes with extensions and trailers.
inline std::string chunked(Rng& rng, std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const u32 n = std::min<u32>(static_cast<u32>(text.size()), rng.chance(300) ? rng.between(1, 20) : rng.between(1, 6000));
    char size[16];
    std::snprintf(size, sizeof size, rng.chance(500) ? "%x" : "0%X", n);
    out += std::string(size) + (rng.chance(200) ? ";name=value\r\n" : "\r\n") + std::string(text.substr(0, n)) + "\r\n";
    text.remove_prefix(n);
  }
  return out + (rng.chance(200) ? "0\r\nX-Trailer: t\r\n\r\n" : "0\r\n\r\n");
}

// One request. `kind` is how the endpoint shall answer: l length, c chunked, u until close, n 204, m 304, i interim
// first, k Connection: close, w after a while, U upgrade to a tunnel. That stands in a field, so that a route may change the
// path as it likes; the path's first word says what routes and rules of the plan do to the request (storm_plan.h).
struct Ask {
  u32 id = 0;
  std::string word = "plain";
  std::string from;          // the client's address
  u32 listener = 0;          // of the good service, or 1: of the bad one
  bool test = false;         // of the new version that a deployment brings
  bool tagged = false;       // has the field that faults ask for, and that subsets go by
  std::string method = "GET";
  char kind = 'l';
  u32 answer_bytes = 0;
  u32 body_bytes = 0;
  bool body_chunked = false;
  bool expects = false;
  bool one_zero = false;
  bool close = false;

  bool has_body() const { return method == "POST" || method == "PUT"; }
  std::string body() const { return content(id ^ 0x5555, body_bytes); }
  std::string path() const { return "/" + word + "/" + std::to_string(id); }
  std::string query() const { return id % 3 == 0 ? "?key=" + std::to_string(id % 5) : ""; }
  std::string token() const { return "t" + std::to_string(id); }
  std::string head_text() const {
    std::string t = method + " " + path() + query() + (one_zero ? " HTTP/1.0\r\nHost: web\r\n" : " HTTP/1.1\r\nHost: web\r\n");
    t += "X-Ask: " + std::to_string(id) + "/" + kind + "/" + std::to_string(answer_bytes) + "\r\nX-Gone: 1\r\nX-Token: " + token() + "\r\n";
    if (id % 4 == 1) t += "Cookie: sid=" + std::to_string(id % 7) + "\r\n";
    if (test) t += "X-Amzn-Ecs-Blue-Green-Test: 1\r\n";
    if (tagged) t += "X-Tag: v" + std::to_string(id % 3) + "\r\n";
    if (close) t += "Connection: close\r\n";
    if (kind == 'U') t += "Connection: Upgrade\r\nUpgrade: echo\r\n";
    if (expects) t += "Expect: 100-continue\r\n";
    if (has_body()) t += body_chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: " + std::to_string(body_bytes) + "\r\n";
    return t + "\r\n";
  }
  std::string body_text(Rng& rng) const {
    return !has_body() ? "" : body_chunked ? chunked(rng, body()) : body();
  }
};

// A request or an answer as it was received.
struct Message {
  std::string line;                           // request line or status line
  std::map<std::string, std::string> fields;  // lower-case names
  std::string body;
  u32 status() const { return static_cast<u32>(std::strtoul(line.substr(9, 3).c_str(), nullptr, 10)); }
  std::string field(const std::string& name) const { return fields.contains(name) ? fields.at(name) : ""; }
};

// Reads the lines behind a first one, "name: value" CRLF each; what is wrong with them, or nothing.
inline std::string read_fields(std::string_view text, Message& out) {
  for (std::size_t at = 0; !text.empty(); text.remove_prefix(at + 2)) {
    at = text.find("\r\n");
    const auto colon = text.find(':');
    if (at == std::string_view::npos || colon == std::string_view::npos || colon > at) return "field";
    std::string name(text.substr(0, colon));
    for (char& c : name) c = static_cast<char>(tolower(c));
    auto from = colon + 1;
    while (from < at && text[from] == ' ') ++from;
    if ((name == "content-length" || name == "transfer-encoding") && out.fields.contains(name)) return "twice " + name;
    out.fields[name] = text.substr(from, at - from);
  }
  return "";
}

// Takes bytes apart into messages. `error` says what was not HTTP/1.1.
class Reader {
 public:
  enum class Of : u8 { requests, answers };
  explicit Reader(Of of) : of_(of) {}

  std::function<void(Message&)> on_head, on_message;
  std::function<bool()> is_head_answer = [] { return false; };  // the next answer is to a HEAD request
  std::string error;
  bool opaque = false;  // from here on bytes are a tunnel's; they stay in `buffer`
  std::string buffer;

  bool between_messages() const { return state_ == State::head && buffer.empty(); }

  void feed(std::string_view bytes) {
    buffer += bytes;
    while (error.empty() && !opaque && step()) {
    }
  }
  // The peer will send no more.
  void end() {
    if (state_ == State::to_close) finish();
  }

 private:
  enum class State : u8 { head, length, chunk_size, chunk, chunk_end, trailer, to_close };

  bool fail(std::string why) {
    error = why + " in: " + buffer.substr(0, 200);
    return false;
  }
  bool line(std::string& out) {
    const auto end = buffer.find("\r\n");
    if (end == std::string::npos) return false;
    out = buffer.substr(0, end);
    buffer.erase(0, end + 2);
    return true;
  }
  void finish() {
    state_ = State::head;
    Message done = std::move(now_);
    now_ = {};
    on_message(done);
  }
  // Moves up to `left_` bytes of content; true when they were all.
  bool content_done() {
    const std::size_t n = std::min<std::size_t>(left_, buffer.size());
    now_.body += buffer.substr(0, n);
    buffer.erase(0, n);
    left_ -= n;
    return left_ == 0;
  }

  bool step() {
    std::string text;
    switch (state_) {
      case State::head: return head();
      case State::length:
        if (!content_done()) return false;
        finish();
        return true;
      case State::chunk_size: {
        if (!line(text)) return false;
        if (text.empty() || !isxdigit(static_cast<u8>(text[0]))) return fail("chunk size '" + text + "'");
        left_ = std::strtoull(text.c_str(), nullptr, 16);
        state_ = left_ == 0 ? State::trailer : State::chunk;
        return true;
      }
      case State::chunk:
        if (!content_done()) return false;
        state_ = State::chunk_end;
        return true;
      case State::chunk_end:
        if (!line(text)) return false;
        if (!text.empty()) return fail("end of chunk '" + text + "'");
        state_ = State::chunk_size;
        return true;
      case State::trailer:
        if (!line(text)) return false;
        if (text.empty()) finish();
        return true;
      case State::to_close:
        now_.body += std::exchange(buffer, {});
        return false;
    }
    return false;
  }

  bool head() {
    const auto end = buffer.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    std::string text = buffer.substr(0, end + 2);
    const auto at = text.find("\r\n");
    now_.line = text.substr(0, at);
    if (of_ == Of::answers && now_.line.substr(0, 9) != "HTTP/1.1 ") return fail("status line");
    if (const std::string wrong = read_fields(std::string_view(text).substr(at + 2), now_); !wrong.empty()) return fail(wrong);
    buffer.erase(0, end + 4);
    const bool coded = now_.fields.contains("transfer-encoding");
    const bool counted = now_.fields.contains("content-length");
    if (coded && counted) return fail("two framings");
    const u32 status = of_ == Of::answers ? now_.status() : 0;
    if (status == 101) {
      opaque = true;
    } else if ((status >= 100 && status < 200) || status == 204 || status == 304 ||
               (of_ == Of::answers && is_head_answer())) {
      state_ = State::length;
      left_ = 0;
    } else if (coded) {
      state_ = State::chunk_size;
    } else if (counted || of_ == Of::requests) {
      state_ = State::length;
      left_ = counted ? std::strtoull(now_.fields["content-length"].c_str(), nullptr, 10) : 0;
    } else {
      state_ = State::to_close;
    }
    if (on_head) on_head(now_);
    if (opaque) finish();
    return true;
  }

  Of of_;
  State state_ = State::head;
  u64 left_ = 0;
  Message now_;
};

}  // namespace ringway::storm
