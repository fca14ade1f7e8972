// Connections and streams of H2Engine: making them, finding them, ending them, whose turn it is to send; and the calls
// of the engine's user, each a few lines over the verbs of h2_conn.h.

#include "dataplane/http/h2_engine.h"

#include <algorithm>

#include "dataplane/http/h2_conn.h"

namespace ringway::http {

static_assert(contract::kH2StreamsMax <= kH2StreamIdMost);

H2Engine::Impl::Impl(const H2EngineConfig& config, mbuf::Pools& p, contract::CorePage& pg)
    : pools(p),
      page(pg),
      conns(config.connections),
      streams(config.streams),
      text_bytes(contract::kHeadBytesMax + 1024),
      text(std::make_unique<u8[]>(text_bytes)),
      block(std::make_unique<u8[]>(kH2FrameHeaderBytes + kH2BlockBytesMax)),
      scratch(std::make_unique<u8[]>(HpackDecoder::scratch_bytes(kH2BlockBytesMax))) {}

// --- connections

u32 H2Engine::Impl::open(H2Role role, const H2Settings& settings, TimeUs now_us) {
  const u32 c = conns.alloc();
  if (c == kNone32) return kNone32;
  H2Conn& k = conns[c];
  k.role = role;
  k.settings = settings;
  k.settings.streams_max = std::min(settings.streams_max, contract::kH2StreamsMax);
  k.settings.stream_window_bytes = std::min(settings.stream_window_bytes, kH2WindowMost);
  k.settings.held_bytes_max = std::min(settings.held_bytes_max, kH2WindowMost);
  k.peer_streams_max = settings.peer_streams;
  k.guard.begin(now_us);
  k.in = pools.chain();
  k.out = pools.chain();
  k.block.bytes = pools.chain();
  k.buckets.fill(kNone32);
  k.reading = k.is_server() ? H2Reading::preface : H2Reading::header;
  count(Counter::h2_connections);
  if (!k.is_server()) write_bytes(k, {reinterpret_cast<const u8*>(kH2Preface.data()), kH2Preface.size()});
  write_settings(k);
  credit_connection(k);
  return c;
}

void H2Engine::Impl::close(u32 c) {
  H2Conn& k = conns[c];
  k.failed = true;  // nothing is written any more
  while (!k.streams.empty()) free_stream(k.streams.front());
  while (!k.unnamed.empty()) free_stream(k.unnamed.front());
  conns.free(c);
  if (conns.in_use() == 0) shelf.reset();
}

void H2Engine::Impl::fail(H2Conn& k, H2Error error) {
  if (k.failed) return;
  if (error != H2Error::no_error) count(Counter::h2_connection_errors);
  k.failure = error;
  write_goaway(k, std::min(k.goaway_sent, k.peer_last_id), error);
  k.failed = true;
  k.in.clear();
  k.block.bytes.clear();
}

void H2Engine::Impl::short_of_memory(H2Conn& k) {
  page.count(contract::Verdict::no_mbuf);
  if (k.failed) return;
  k.failure = H2Error::internal_error;
  k.failed = true;
  k.in.clear();
  k.block.bytes.clear();
}

void H2Engine::Impl::calm(H2Conn& k, H2Guard::Abuse abuse) {
  if (abuse == H2Guard::Abuse::none || k.failed) return;
  count(H2Guard::counter(abuse));
  fail(k, H2Error::enhance_your_calm);
}

// --- streams

namespace {
u32 bucket_of(u32 id) { return (id >> 1) % kH2Buckets; }
}  // namespace

u32 H2Engine::Impl::find(const H2Conn& k, u32 id) const {
  for (u32 i = k.buckets[bucket_of(id)]; i != kNone32; i = streams[i].next_in_bucket)
    if (streams[i].id == id) return i;
  return kNone32;
}

u32 H2Engine::Impl::after(const H2Conn& k, u32 i) const {
  const H2Stream& s = streams[i];
  return s.all.next == kNone32 && s.id != 0 ? k.unnamed.front() : s.all.next;
}

u32 H2Engine::Impl::add_stream(u32 c) {
  const u32 i = streams.alloc();
  if (i == kNone32) return kNone32;
  H2Conn& k = conns[c];
  H2Stream& s = streams[i];
  s.conn = c;
  s.received = pools.chain();
  s.unsent = pools.chain();
  s.send_window = static_cast<i32>(k.peer_window);
  s.recv_window = static_cast<i32>(k.our_window);
  k.unnamed.push_back(streams, i);
  ++k.active;
  set_state(i, H2State::open);
  return i;
}

void H2Engine::Impl::name_stream(u32 i, u32 id) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  k.unnamed.remove(streams, i);
  k.streams.push_back(streams, i);
  s.id = id;
  u32& bucket = k.buckets[bucket_of(id)];
  s.next_in_bucket = bucket;
  bucket = i;
}

void H2Engine::Impl::free_stream(u32 i) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  leave_line(i);
  set_state(i, H2State::finished);
  drop_received(i);
  if (!s.unsent.empty()) --k.unsent_streams;
  if (k.data_stream == i) k.data_stream = kNone32;
  if (s.id == 0) {
    k.unnamed.remove(streams, i);
  } else {
    k.streams.remove(streams, i);
    u32* link = &k.buckets[bucket_of(s.id)];
    while (*link != i) link = &streams[*link].next_in_bucket;
    *link = s.next_in_bucket;
  }
  streams.free(i);
}

// Nobody will take what the stream holds, and no event tells of it.
void H2Engine::Impl::drop_received(u32 i) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  k.held_bytes -= s.received.bytes();
  k.held_slices -= s.received.slices();
  s.received.clear();
  if (k.news == i) k.news = kNone32;
}

void H2Engine::Impl::set_state(u32 i, H2State to) {
  H2Stream& s = streams[i];
  if (h2_active(s.state) && !h2_active(to)) --conns[s.conn].active;
  s.state = to;
}

H2State H2Engine::Impl::state_of(const H2Conn& k, u32 id) const {
  if ((id & 1) == 0) return H2State::idle;  // a server never opens one
  if (!k.is_server()) {
    if (id >= k.next_id) return H2State::idle;
    const H2State past = k.past.state(id);
    return past == H2State::passed ? H2State::reset_by_us : past;  // all of them were ours
  }
  if (id > k.peer_last_id) return H2State::idle;
  if (id > k.goaway_sent) return H2State::reset_by_us;  // section 6.8: ignored
  return k.past.state(id);
}

void H2Engine::Impl::finish(u32 i, H2State to) {
  H2Stream& s = streams[i];
  set_state(i, to);
  if (to != H2State::finished) return;
  H2Conn& k = conns[s.conn];
  k.past.finished(s.id);
  k.guard.stream_ended();
}

void H2Engine::Impl::reset_id(H2Conn& k, u32 id, H2Error error) {
  write_rst(k, id, error);
  k.past.reset(id, false);
}

bool H2Engine::Impl::stream_error(u32 i, H2Error error, H2Event& out) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  count(Counter::h2_stream_errors);
  reset_id(k, s.id, error);
  answered(k);
  if (k.is_server()) calm(k, k.guard.provoked());
  if (k.failed) return false;  // its user learns of it with all the others, by `failed`
  const bool told = s.owned;
  if (told) {
    out = event_for(H2EventKind::reset, i);
    out.error = error;
  }
  free_stream(i);
  credit_connection(k);
  return told;
}

void H2Engine::Impl::release(u32 i, H2Error error) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  if (!k.failed && !s.unsent.empty()) {  // our answer goes out first
    s.owned = false;
    s.waits = false;
    s.then = error;
    leave_line(i);
    drop_received(i);
    return credit_connection(k);
  }
  if (!k.failed && s.id != 0 && h2_active(s.state)) reset_id(k, s.id, error);
  free_stream(i);
  credit_connection(k);
}

// --- whose turn it is

// A stream whose window allows nothing stands in no line; WINDOW_UPDATE brings it here. Urgency chooses the line. There
// those that share go one after another round and round; one that does not share goes on until it needs no more turn.
void H2Engine::Impl::stand_in_line(u32 i) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  auto& line = k.ready[s.urgency];
  if (s.in_line || !s.waits || s.send_window <= 0 || !h2_may_send(s.state)) return;
  if (!s.incremental && k.last_served == s.id) {
    line.push_front(streams, i);
  } else {
    line.push_back(streams, i);
  }
  s.in_line = true;
}

void H2Engine::Impl::leave_line(u32 i) {
  H2Stream& s = streams[i];
  if (s.in_line) conns[s.conn].ready[s.urgency].remove(streams, i);
  s.in_line = false;
}

void H2Engine::Impl::set_urgency(u32 i, H2Urgency urgency) {
  H2Stream& s = streams[i];
  leave_line(i);
  s.urgency = urgency.urgency;
  s.incremental = urgency.incremental;
  stand_in_line(i);
}

u32 H2Engine::Impl::next_writable(u32 c) {
  H2Conn& k = conns[c];
  if (k.failed || k.send_window <= 0) return kNone32;
  for (auto& line : k.ready) {
    while (!line.empty()) {
      const u32 i = line.front();
      H2Stream& s = streams[i];
      leave_line(i);
      if (send_space(s) == 0) continue;  // its window has shrunk since; WINDOW_UPDATE calls it again
      s.waits = false;
      k.last_served = s.id;
      return i;
    }
  }
  return kNone32;
}

u32 H2Engine::Impl::send_space(const H2Stream& s) const {
  const H2Conn& k = conns[s.conn];
  if (k.failed || !h2_may_send(s.state) || !s.unsent.empty()) return 0;
  return static_cast<u32>(std::max(0, std::min(k.send_window, s.send_window)));
}

// --- the user's calls

H2Engine::H2Engine(const H2EngineConfig& config, mbuf::Pools& pools, contract::CorePage& page)
    : impl_(std::make_unique<Impl>(config, pools, page)) {}
H2Engine::~H2Engine() = default;

u32 H2Engine::open(H2Role role, const H2Settings& settings, TimeUs now_us) {
  return impl_->open(role, settings, now_us);
}

H2Engine::Upgraded H2Engine::open_upgraded(Bytes peer_settings, const H2Settings& settings, u64 user, TimeUs now_us) {
  if (peer_settings.size() % kH2SettingBytes != 0 || impl_->streams.in_use() == impl_->streams.capacity()) return {};
  const u32 c = impl_->open(H2Role::server, settings, now_us);
  if (c == kNone32) return {};
  H2Conn& k = impl_->conns[c];
  if (impl_->apply(c, peer_settings) != H2Error::no_error) {
    impl_->close(c);
    return {};
  }
  const u32 i = impl_->add_stream(c);
  impl_->name_stream(i, 1);
  impl_->set_state(i, H2State::half_closed_remote);
  impl_->streams[i].user = user;
  impl_->streams[i].head_came = true;
  k.peer_last_id = 1;
  return {c, i};
}

void H2Engine::close(u32 conn) { impl_->close(conn); }

void H2Engine::input(u32 conn, mbuf::Chain bytes, TimeUs now_us) {
  H2Conn& k = impl_->conns[conn];
  if (k.failed) return;
  k.guard.time(now_us);
  impl_->keep(k.in, std::move(bytes), k.in.slices() >= kH2CrowdedSlices);
}
void H2Engine::bear(u32 packets) { impl_->packets_borne = packets; }
bool H2Engine::next_event(u32 conn, H2Event& out) { return impl_->next_event(conn, out); }

mbuf::Chain H2Engine::take_output(u32 conn) {
  H2Conn& k = impl_->conns[conn];
  k.open_frame = nullptr;
  k.answers_waiting = 0;
  mbuf::Chain out = std::move(k.out);
  k.out = impl_->pools.chain();
  return out;
}
bool H2Engine::has_output(u32 conn) const { return !impl_->conns[conn].out.empty(); }

void H2Engine::goaway_notice(u32 conn) {
  H2Conn& k = impl_->conns[conn];
  if (!k.failed && !k.goaway_is_sent()) impl_->write_goaway(k, k.is_server() ? kH2StreamIdMost : 0, H2Error::no_error);
}
void H2Engine::goaway_final(u32 conn, H2Error error) {
  H2Conn& k = impl_->conns[conn];
  if (!k.failed) impl_->write_goaway(k, std::min(k.goaway_sent, k.peer_last_id), error);
}
void H2Engine::ping(u32 conn) {
  H2Conn& k = impl_->conns[conn];
  constexpr std::array<u8, 8> kOpaque{'r', 'i', 'n', 'g', 'w', 'a', 'y', '?'};
  if (!k.failed && !k.ping_out) impl_->write_control(k, H2Type::ping, 0, 0, kOpaque);
  k.ping_out = true;
}

bool H2Engine::failed(u32 conn) const { return impl_->conns[conn].failed; }
u32 H2Engine::streams(u32 conn) const {
  const H2Conn& k = impl_->conns[conn];
  return k.streams.size() + k.unnamed.size();
}
bool H2Engine::accepts_streams(u32 conn) const {
  const H2Conn& k = impl_->conns[conn];
  return !k.is_server() && !k.failed && !k.goaway_has_come() &&
         k.active < std::min(k.peer_streams_max, contract::kH2StreamsMax) &&
         u64{k.next_id} + 2 * u64{k.unnamed.size()} <= kH2StreamIdMost &&
         impl_->streams.in_use() < impl_->streams.capacity();
}
bool H2Engine::settings_came(u32 conn) const { return impl_->conns[conn].settings_came; }
bool H2Engine::accepts_extended_connect(u32 conn) const { return impl_->conns[conn].peer_extended_connect; }
u32 H2Engine::peer_streams_max(u32 conn) const { return impl_->conns[conn].peer_streams_max; }
bool H2Engine::settings_acknowledged(u32 conn) const { return impl_->conns[conn].acknowledged; }
u32 H2Engine::held_bytes(u32 conn) const { return impl_->conns[conn].held_bytes; }
u32 H2Engine::held_packets(u32 conn) const {
  const H2Conn& k = impl_->conns[conn];
  return k.in.slices() + k.block.bytes.slices() + k.held_slices;
}
bool H2Engine::in_payload(u32 conn) const {
  const H2Conn& k = impl_->conns[conn];
  return k.reading == H2Reading::data && k.in.empty();
}
bool H2Engine::mid_frame(u32 conn) const {
  const H2Conn& k = impl_->conns[conn];
  return k.reading != H2Reading::header || !k.in.empty() || k.block.purpose != H2Block::For::nothing;
}

u32 H2Engine::first_stream(u32 conn) const {
  const u32 first = impl_->first_of(impl_->conns[conn]);
  return first == kNone32 || impl_->streams[first].owned ? first : next_stream(conn, first);
}
u32 H2Engine::next_stream(u32 conn, u32 stream) const {
  do {
    stream = impl_->after(impl_->conns[conn], stream);
  } while (stream != kNone32 && !impl_->streams[stream].owned);
  return stream;
}

u32 H2Engine::open_stream(u32 conn, u64 user) {
  if (!accepts_streams(conn)) return kNone32;
  const u32 i = impl_->add_stream(conn);
  if (i != kNone32) impl_->streams[i].user = user;
  return i;
}
void H2Engine::set_user(u32 stream, u64 user) { impl_->streams[stream].user = user; }
u64 H2Engine::user(u32 stream) const { return impl_->streams[stream].user; }
u32 H2Engine::conn_of(u32 stream) const { return impl_->streams[stream].conn; }
u32 H2Engine::id(u32 stream) const { return impl_->streams[stream].id; }
void H2Engine::release(u32 stream, H2Error error) { impl_->release(stream, error); }

const mbuf::Chain& H2Engine::received(u32 stream) const { return impl_->streams[stream].received; }
bool H2Engine::peer_ended(u32 stream) const {
  const H2State s = impl_->streams[stream].state;
  return s == H2State::half_closed_remote || s == H2State::finished;
}
mbuf::Chain H2Engine::take(u32 stream, u32 n) { return impl_->take(stream, n); }
void H2Engine::discard(u32 stream, u32 n) { impl_->discard(stream, n); }

u32 H2Engine::send_space(u32 stream) const { return impl_->send_space(impl_->streams[stream]); }
void H2Engine::wait_writable(u32 stream) {
  impl_->streams[stream].waits = true;
  impl_->stand_in_line(stream);
}
u32 H2Engine::next_writable(u32 conn) { return impl_->next_writable(conn); }

u32 H2Engine::connections_in_use() const { return impl_->conns.in_use(); }
u32 H2Engine::streams_in_use() const { return impl_->streams.in_use(); }
i32 H2Engine::send_window(u32 conn, u32 stream) const {
  return stream == kNone32 ? impl_->conns[conn].send_window : impl_->streams[stream].send_window;
}
i32 H2Engine::receive_window(u32 conn, u32 stream) const {
  return stream == kNone32 ? impl_->conns[conn].recv_window : impl_->streams[stream].recv_window;
}
const char* H2Engine::check_invariants(u32 conn) const { return impl_->broken(conn); }

}  // namespace ringway::http
