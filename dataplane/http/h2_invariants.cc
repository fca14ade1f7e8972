// What is true of a connection between any two calls, whatever the peer and the user did before: every sum counted
// anew, every list and window looked at. Tests and fuzzers ask after each step; the program never does, for it walks
// over everything. RFC 9113 sections 5.1, 5.1.2, 5.2 and 6.9.

#include "dataplane/http/h2_conn.h"

namespace ringway::http {

const char* H2Engine::Impl::broken_stream(const H2Conn& k, u32 i) const {
  const H2Stream& s = streams[i];
  if (s.state == H2State::idle || s.state > H2State::finished) return "a stream that exists is open or over in order";
  if (s.id != 0 && find(k, s.id) != i) return "a stream is found by its identifier";
  if (s.id == 0 && (k.is_server() || s.head_came)) return "only a request that was not sent has no identifier";
  if (s.id != 0 && (s.id & 1) == 0) return "identifiers are odd";
  if (k.is_server() ? s.id > k.peer_last_id : s.id >= k.next_id) return "a stream was opened";
  if (s.recv_window > static_cast<i32>(k.our_window)) return "a stream's window is at most what we announced";
  // Until our SETTINGS are acknowledged, and after they shrank the window, less is asked for than stands open.
  if (h2_may_receive(s.state) && s.owned && i64{s.recv_window} + s.received.bytes() > i64{k.our_window}) {
    return "what is held and what may come fit the announced window";
  }
  if (!s.owned && (s.unsent.empty() || !s.received.empty() || s.waits)) return "nobody's stream only sends";
  if (!s.unsent.empty() && !h2_may_send(s.state)) return "what is unsent can still be sent";
  if (s.in_line && (!s.waits || !h2_may_send(s.state))) return "who stands in line waits to send";
  if (s.waits && !s.in_line && s.send_window > 0 && h2_may_send(s.state)) return "who waits and may send is in line";
  if (s.length_left != kH2LengthUnknown && s.state == H2State::finished && s.length_left != 0) {
    return "a message that ended has the length that it announced";
  }
  return nullptr;
}

const char* H2Engine::Impl::broken_lines(const H2Conn& k) const {
  for (u32 urgency = 0; urgency < kUrgencies; ++urgency) {
    u32 n = 0;
    for (u32 i = k.ready[urgency].front(); i != kNone32; i = k.ready[urgency].next(streams, i), ++n)
      if (streams[i].urgency != urgency || !streams[i].in_line) return "who stands in a line has its urgency";
    if (n != k.ready[urgency].size()) return "a line is as long as it says";
  }
  return nullptr;
}

const char* H2Engine::Impl::broken(u32 c) const {
  const H2Conn& k = conns[c];
  u32 active = 0, held = 0, slices = 0, unsent = 0, in_line = 0, lines = 0, last = 0, n = 0;
  for (u32 i = first_of(k); i != kNone32; i = after(k, i), ++n) {
    const H2Stream& s = streams[i];
    if (s.conn != c) return "a stream belongs to the connection that lists it";
    if (s.id != 0 && s.id <= last) return "streams stand in ascending order";
    if (s.id != 0) last = s.id;
    active += h2_active(s.state) ? 1u : 0u;
    held += s.received.bytes();
    slices += s.received.slices();
    unsent += s.unsent.empty() ? 0u : 1u;
    in_line += s.in_line ? 1u : 0u;
    if (const char* what = k.failed ? nullptr : broken_stream(k, i)) return what;
  }
  for (const auto& line : k.ready) lines += line.size();
  if (n != k.streams.size() + k.unnamed.size()) return "the walk meets every stream";
  if (active != k.active) return "active streams are counted";
  if (k.is_server() && active > k.settings.streams_max) return "no more streams are active than we announced";
  if (held != k.held_bytes || slices != k.held_slices) return "what is held is counted";
  if (unsent != k.unsent_streams) return "streams with unsent answers are counted";
  if (in_line != lines) return "a stream stands in one line";
  if (const char* what = broken_lines(k)) return what;
  if (k.failed) return k.in.empty() && k.block.bytes.empty() ? nullptr : "who is over has nothing to read";
  if (k.settings.held_bytes_max > kH2WindowInitial && i64{k.recv_window} + held > i64{k.settings.held_bytes_max}) {
    return "what streams hold and what may come fit the connection's window";
  }
  if (k.data_stream != kNone32 && !streams.used(k.data_stream)) return "payload is for a stream that exists";
  if (k.news != kNone32 && !streams.used(k.news)) return "news are of a stream that exists";
  return nullptr;
}

}  // namespace ringway::http
