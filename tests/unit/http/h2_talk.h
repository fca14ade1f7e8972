#pragma once
// One connection of an H2Engine and a peer that a test plays, in the verbs of tests/wire:
//
//   t.in("HEADERS 1 end GET /")      the peer says this (h2_words.h); several frames arrive together
//   t.out("HEADERS 1 end 200")       the engine's next frame; only the words that are named are compared
//   t.event("head 1 end")            the engine's next event: its kind, stream and what else is true of it
//   t.quiet()                        no more frames, no more events
//   t.audit()                        all packet memory is back once the engine is gone
//
// Events: head, data, trailers, reset, goaway, failed; then stream, "end", "too_large", "by_peer", an error's name.
// Streams are named by their identifiers. The invariants are checked after every verb. A failure prints the exchange.
// RINGWAY_H2_PIECE=N makes all bytes arrive in packets of N octets, each by itself when they are small, except in tests
// that set `piece`.

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h2_engine.h"
#include "tests/unit/http/h2_words.h"

namespace ringway::http::test {

using contract::Counter;

class Talk {
 public:
  static u32 default_piece();

  explicit Talk(H2Role role = H2Role::server, H2Settings settings = {}, u32 mbufs = 2047);
  ~Talk();

  // --- verbs
  template <class... Texts>
  Talk& in(const Texts&... texts) {
    return in_together({std::string_view(texts)...});
  }
  Talk& arrive(const std::string& bytes);
  Talk& out(const std::string& want);
  Talk& event(const std::string& want);
  Talk& quiet();
  // The connection ends for `error`; `last`: the highest stream that was looked at.
  void dies(const std::string& error, const std::string& last_stream = "");
  void audit();

  // --- the user's side
  u32 stream(u32 id) const;
  bool has_stream(u32 id) const;
  // `fields`: lines of an HTTP/1.1 head, each with CRLF.
  Talk& respond(u32 id, u32 status, bool end, const std::string& fields = "");
  // Returns the identifier. `head`: "GET /" and the like.
  u32 request(const std::string& head, bool end, const std::string& fields = "", bool upgrade = false);
  void send_request(u32 i, const std::string& head, bool end, const std::string& fields = "", bool upgrade = false);
  Talk& send(u32 id, const std::string& data, bool end = false, u32 each = 1460);
  Talk& send_trailers(u32 id, const std::string& fields);
  Talk& answer(u32 id, const LocalAnswer& local);
  std::string take(u32 id, u32 n = ~u32{0});
  Talk& release(u32 id, H2Error error = H2Error::no_error);
  // Identifier of the stream whose turn it is; 0 when none.
  u32 writable();
  Talk& wait(u32 id);
  Talk& after(u64 ms);

  // --- states
  // Both sides' SETTINGS are exchanged and acknowledged.
  Talk& begun(const std::string& settings = "SETTINGS");
  // A server with one stream whose request is whole, or is to go on.
  Talk& open(u32 id = 1, bool end = false, const std::string& head = "POST /");
  // Frames that begin like this may have been sent; they do not matter here.
  Talk& forget(const std::string& beginning);

  void pump();
  bool pump_one();
  mbuf::Chain chain(const std::string& data, u32 each);
  u64 counter(Counter c) const { return page_->counters[static_cast<u32>(c)].get(); }
  H2Engine& engine() { return *engine_; }
  mbuf::Pools& pools() { return *pools_; }
  size_t frames_waiting();
  // Drops whatever was sent.
  Talk& drop_sent();
  Talk& drop_events();
  size_t events_waiting() const { return events_.size(); }

  Speaker speaker;
  TimeUs now = 1'000'000;
  u32 conn = kNone32;
  u32 piece = default_piece();
  bool held = false;          // events are fetched by pump() alone
  bool hold_output = false;   // the output is not taken
  std::string last, text;     // of out() and event()
  H2Event last_event;

  static Bytes bytes_of(const std::string& s) { return {reinterpret_cast<const u8*>(s.data()), s.size()}; }
  static std::string string_of(const mbuf::Chain& c);

 private:
  Talk& in_together(std::initializer_list<std::string_view> texts);
  Talk& check();
  void show(const H2Event& e);
  void collect();
  // Every word of `want` stands in `got`; type and stream are at their places.
  void compare(const std::string& want, const std::string& got);
  void note(const std::string& line);

  H2Role role_;
  std::unique_ptr<mbuf::Pools> pools_;
  std::unique_ptr<contract::CorePage> page_ = std::make_unique<contract::CorePage>();
  std::unique_ptr<H2Engine> engine_;
  std::map<u32, u32> ids_;
  std::string came_, log_;
  std::deque<std::string> sent_;
  std::deque<std::pair<std::string, std::string>> events_;
  bool preface_came_ = false, audited_ = false;
};

}  // namespace ringway::http::test
