#include "tests/unit/http/h2_talk.h"

#include <cstdlib>
#include <cstring>
#include <set>

#include "tests/support/eal.h"

namespace ringway::http::test {

Talk::Talk(H2Role role, H2Settings settings, u32 mbufs) : role_(role) {
  ringway::test::start_eal();
  static int serial = 0;
  std::string error;
  pools_ = mbuf::Pools::make({.name = "h2" + std::to_string(serial++), .packets = mbufs, .indirect = 63,
                              .slices = 16'384, .cache = 0}, error);
  RW_ASSERT(pools_ != nullptr);
  engine_ = std::make_unique<H2Engine>(H2EngineConfig{.connections = 4, .streams = 300}, *pools_, *page_);
  conn = engine_->open(role, settings, now);
  RW_ASSERT(conn != kNone32);
  collect();
}

Talk::~Talk() {
  if (!audited_) ADD_FAILURE() << "the test did not end with audit()";
}

Talk& Talk::in_together(std::initializer_list<std::string_view> texts) {
  std::string bytes;
  for (const std::string_view said : texts) {
    bytes += speaker.say(std::string(said));
    note("    " + std::string(said));
  }
  return arrive(bytes);
}

u32 Talk::default_piece() {
  const char* said = std::getenv("RINGWAY_H2_PIECE");
  return said != nullptr ? number(said) : 1460;
}

Talk& Talk::arrive(const std::string& bytes) {
  const size_t together = piece < 64 && !held ? piece : bytes.size();  // small pieces come one by one
  for (size_t at = 0; at < bytes.size(); at += together) {
    engine_->input(conn, chain(bytes.substr(at, together), piece), now);
    if (!held) pump();
  }
  return *this;
}

Talk& Talk::out(const std::string& want) {
  collect();
  if (sent_.empty()) {
    ADD_FAILURE() << "expected: " << want << "\nbut nothing was sent\n" << log_;
    return *this;
  }
  last = sent_.front();
  sent_.pop_front();
  compare(want, last);
  return *this;
}

Talk& Talk::event(const std::string& want) {
  if (events_.empty()) {
    ADD_FAILURE() << "expected event: " << want << "\nbut there is none\n" << log_;
    return *this;
  }
  compare(want, events_.front().first);
  text = events_.front().second;
  events_.pop_front();
  return *this;
}

Talk& Talk::quiet() {
  collect();
  for (const std::string& s : sent_) ADD_FAILURE() << "unexpected: " << s << "\n" << log_;
  for (const auto& e : events_) ADD_FAILURE() << "unexpected event: " << e.first << "\n" << log_;
  sent_.clear();
  events_.clear();
  return *this;
}

void Talk::dies(const std::string& error, const std::string& last_stream) {
  collect();
  while (!sent_.empty() && !sent_.front().starts_with("GOAWAY")) sent_.pop_front();
  out("GOAWAY " + (last_stream.empty() ? "" : "last=" + last_stream + " ") + error);
  while (!events_.empty() && !events_.front().first.starts_with("failed")) events_.pop_front();
  event("failed " + error);
  in("PING abcdefgh");  // deaf
  quiet();
  audit();
}

void Talk::audit() {
  audited_ = true;
  sent_.clear();
  engine_.reset();
  if (const auto wrong = pools_->audit()) ADD_FAILURE() << *wrong << "\n" << log_;
}

u32 Talk::stream(u32 id) const {
  for (u32 i = engine_->first_stream(conn); i != kNone32; i = engine_->next_stream(conn, i))
    if (engine_->id(i) == id) return i;
  ADD_FAILURE() << "there is no stream " << id << "\n" << log_;
  std::abort();
}

bool Talk::has_stream(u32 id) const {
  for (u32 i = engine_->first_stream(conn); i != kNone32; i = engine_->next_stream(conn, i))
    if (engine_->id(i) == id) return true;
  return false;
}

Talk& Talk::respond(u32 id, u32 status, bool end, const std::string& fields) {
  const std::string head = "HTTP/1.1 " + std::to_string(status) + " X\r\n" + fields + "\r\n";
  auto parsed = std::make_unique<ResponseHead>();
  EXPECT_EQ(read_response(bytes_of(head), Method::get, {}, *parsed).status, ReadStatus::complete);
  EXPECT_TRUE(engine_->send_response(stream(id), *parsed, {.via = "t"}, {}, end));
  return check();
}

u32 Talk::request(const std::string& head, bool end, const std::string& fields, bool upgrade) {
  const u32 i = engine_->open_stream(conn, 77);
  if (i == kNone32) return 0;
  send_request(i, head, end, fields, upgrade);
  return engine_->id(i);
}

void Talk::send_request(u32 i, const std::string& head, bool end, const std::string& fields, bool upgrade) {
  const std::string whole = head + " HTTP/1.1\r\nhost: a.example\r\n" + fields + "\r\n";
  auto parsed = std::make_unique<RequestHead>();
  EXPECT_EQ(read_request(bytes_of(whole), {}, *parsed).status, ReadStatus::complete);
  EXPECT_TRUE(engine_->send_request(i, *parsed, {.via = "t", .upgrade = upgrade}, {}, end));
  ids_[i] = engine_->id(i);
  check();
}

Talk& Talk::send(u32 id, const std::string& data, bool end, u32 each) {
  EXPECT_TRUE(engine_->send_data(stream(id), chain(data, each), end));
  return check();
}

Talk& Talk::send_trailers(u32 id, const std::string& fields) {
  EXPECT_TRUE(engine_->send_trailers(stream(id), bytes_of(fields)));
  return check();
}

Talk& Talk::answer(u32 id, const LocalAnswer& local) {
  EXPECT_TRUE(engine_->send_local_answer(stream(id), local));
  return check();
}

std::string Talk::take(u32 id, u32 n) {
  const u32 i = stream(id);
  std::string got = string_of(engine_->take(i, std::min(n, engine_->received(i).bytes())));
  check();
  return got;
}

Talk& Talk::release(u32 id, H2Error error) {
  engine_->release(stream(id), error);
  return check();
}

u32 Talk::writable() {
  const u32 i = engine_->next_writable(conn);
  check();
  return i == kNone32 ? 0 : engine_->id(i);
}

Talk& Talk::wait(u32 id) {
  engine_->wait_writable(stream(id));
  return check();
}

Talk& Talk::after(u64 ms) {
  now += ms * 1000;
  return *this;
}

Talk& Talk::begun(const std::string& settings) {
  out("SETTINGS");
  if (role_ == H2Role::server) {
    in("preface", settings, "SETTINGS ack");
  } else {
    in(settings, "SETTINGS ack");
  }
  forget("WINDOW_UPDATE +");
  out("SETTINGS ack");
  return quiet();
}

Talk& Talk::open(u32 id, bool end, const std::string& head) {
  in("HEADERS " + std::to_string(id) + (end ? " end " : " ") + head);
  return event("head " + std::to_string(id) + (end ? " end" : "")).quiet();
}

Talk& Talk::forget(const std::string& beginning) {
  collect();
  std::erase_if(sent_, [&](const std::string& s) { return s.starts_with(beginning); });
  return *this;
}

void Talk::pump() {
  H2Event e;
  while (engine_->next_event(conn, e)) {
    show(e);
    check();
  }
  check();
  collect();
}

bool Talk::pump_one() {
  H2Event e;
  const bool any = engine_->next_event(conn, e);
  if (any) show(e);
  check();
  return any;
}

mbuf::Chain Talk::chain(const std::string& data, u32 each) {
  mbuf::Chain c = pools_->chain();
  for (size_t at = 0; at < data.size(); at += each) {
    mbuf::Pkt p = pools_->alloc();
    RW_ASSERT(p);
    const u32 n = static_cast<u32>(std::min<size_t>(each, data.size() - at));
    std::memcpy(p.append(n), data.data() + at, n);
    RW_ASSERT(c.append(std::move(p)));
  }
  return c;
}

size_t Talk::frames_waiting() {
  collect();
  return sent_.size();
}

Talk& Talk::drop_sent() {
  collect();
  sent_.clear();
  return *this;
}

Talk& Talk::drop_events() {
  events_.clear();
  return *this;
}

std::string Talk::string_of(const mbuf::Chain& c) {
  std::string s(c.bytes(), 0);
  c.copy_out(0, {reinterpret_cast<u8*>(s.data()), s.size()});
  return s;
}

Talk& Talk::check() {
  if (!engine_) return *this;
  if (const char* what = engine_->check_invariants(conn)) ADD_FAILURE() << "this should hold: " << what << "\n" << log_;
  return *this;
}

void Talk::show(const H2Event& e) {
  static const char* const kinds[] = {"none", "head", "data", "trailers", "reset", "goaway", "failed"};
  std::string line = kinds[static_cast<u32>(e.kind)];
  // A stream that is over has no identifier any more; the last one it had was noted.
  if (e.stream != kNone32) {
    if (e.kind != H2EventKind::reset) ids_[e.stream] = engine_->id(e.stream);
    line += " " + std::to_string(ids_[e.stream]);
  }
  if (e.end) line += " end";
  if (e.too_large) line += " too_large";
  if (e.by_peer) line += " by_peer";
  if (e.kind >= H2EventKind::reset) line += " " + std::string(h2_error_name(e.error));
  note("        event " + line);
  last_event = e;
  // Payload that comes in more pieces is told of more often; to a test that is one event.
  if (e.kind == H2EventKind::data && !events_.empty() && events_.back().first == "data " + std::to_string(ids_[e.stream])) events_.pop_back();
  events_.emplace_back(line, std::string(reinterpret_cast<const char*>(e.text.data()), e.text.size()));
}

void Talk::collect() {
  if (!engine_ || hold_output) return;
  for (u32 i = engine_->first_stream(conn); i != kNone32; i = engine_->next_stream(conn, i)) ids_[i] = engine_->id(i);
  came_ += string_of(engine_->take_output(conn));
  if (role_ == H2Role::client && !preface_came_ && came_.size() >= kH2Preface.size()) {
    EXPECT_EQ(came_.substr(0, kH2Preface.size()), kH2Preface);
    came_.erase(0, kH2Preface.size());
    preface_came_ = true;
  }
  while (came_.size() >= kH2FrameHeaderBytes) {
    Frame f{h2_read_header(reinterpret_cast<const u8*>(came_.data())), {}};
    if (came_.size() < kH2FrameHeaderBytes + f.head.length) break;
    f.payload = came_.substr(kH2FrameHeaderBytes, f.head.length);
    came_.erase(0, kH2FrameHeaderBytes + f.head.length);
    sent_.push_back(speaker.show(f));
    note("                " + sent_.back());
  }
}

void Talk::compare(const std::string& want, const std::string& got) {
  const std::vector<std::string> have = split_words(got), words = split_words(want);
  bool same = !words.empty() && have[0] == words[0];
  const bool names_stream = words.size() > 1 && words[1].find_first_not_of("0123456789") == std::string::npos;
  if (names_stream) same = same && have.size() > 1 && have[1] == words[1];
  std::multiset<std::string> left(have.begin() + 1, have.end());
  for (size_t i = 1; i < words.size(); ++i) {
    const auto at = left.find(words[i]);
    if (at == left.end()) {
      same = false;
    } else {
      left.erase(at);
    }
  }
  if (left.contains("end")) same = false;  // the end is always meant
  if (!same) ADD_FAILURE() << "expected: " << shortened(want) << "\nhave:     " << shortened(got) << "\n" << log_;
}

void Talk::note(const std::string& line) {
  if (log_.size() < 20'000) log_ += shortened(line) + "\n";
}

}  // namespace ringway::http::test
