// Frames about the connection and about windows: SETTINGS, PING, GOAWAY, WINDOW_UPDATE, RST_STREAM and both kinds of
// priority; and our own windows, which open again as bytes are taken. RFC 9113 sections 5.2, 6.3 to 6.9; RFC 9218.
//
// Each verb finds its whole frame at the front of `in` and takes it off.

#include <algorithm>

#include "dataplane/http/h2_conn.h"

namespace ringway::http {

using Step = H2Step;

namespace {

// Takes the frame's payload off `in`; its first octets are the value. The others, GOAWAY's debug data, say nothing.
template <u32 n>
std::array<u8, n> take_payload(H2Conn& k) {
  std::array<u8, n> out{};
  k.in.copy_out(0, out);
  k.in.drop_front(k.frame.length);
  return out;
}

constexpr u32 kSettingsCost = 4;  // and one more for each 16 settings
constexpr u32 kTextPerToken = 64;  // of a priority that is to be read

// A window is opened again when half of it is owed, or as soon as the peer can send nothing.
u32 due(i64 whole, i64 open, i64 held) {
  const i64 owed = whole - open - held;
  return owed > 0 && (2 * owed >= whole || open <= 0) ? static_cast<u32>(std::min(owed, i64{kH2WindowMost})) : 0;
}

}  // namespace

// --- SETTINGS, section 6.5

Step H2Engine::Impl::on_settings(u32 c) {
  H2Conn& k = conns[c];
  if (k.frame.has(kH2Ack)) {
    if (k.acknowledged) calm(k, k.guard.frame(H2Guard::Abuse::settings));
    if (!k.acknowledged) on_settings_ack(k);
    return Step::again;
  }
  const u32 n = k.in.copy_out(0, {block.get(), k.frame.length});
  k.in.drop_front(n);
  calm(k, k.guard.frame(H2Guard::Abuse::settings, kSettingsCost + n / (16 * kH2SettingBytes)));
  if (k.failed) return Step::again;
  if (!k.settings_came) k.peer_streams_max = kNone32;  // what the first SETTINGS do not name is at its initial value
  k.settings_came = true;
  if (const H2Error error = apply(c, {block.get(), n}); error != H2Error::no_error) {
    fail(k, error);
    return Step::again;
  }
  write_control(k, H2Type::settings, kH2Ack, 0, {});
  answered(k);
  send_all_unsent(k);
  return Step::again;
}

// Takes the peer's settings over, in their order; returns the connection error that they are.
H2Error H2Engine::Impl::apply(u32 c, Bytes settings) {
  H2Conn& k = conns[c];
  u32 window = k.peer_window;
  for (u32 at = 0; at < settings.size(); at += kH2SettingBytes) {
    const H2Setting s = h2_read_setting(settings.data() + at);
    if (const H2Error error = h2_setting_fault(s, !k.is_server()); error != H2Error::no_error) return error;
    switch (s.id) {
      case H2SettingId::header_table_size: k.encoder.set_table_bytes_max(s.value); break;
      case H2SettingId::max_concurrent_streams: k.peer_streams_max = s.value; break;
      case H2SettingId::initial_window_size: window = s.value; break;
      case H2SettingId::max_frame_size: k.peer_frame_bytes = s.value; break;
      case H2SettingId::enable_connect_protocol:
        if (k.peer_extended_connect && s.value == 0) return H2Error::protocol_error;  // RFC 8441 3
        k.peer_extended_connect = s.value == 1;
        break;
      case H2SettingId::no_rfc7540_priorities:
        // RFC 9218 2.1: never changed.
        if (k.peer_no_priorities != kH2NotSaid && k.peer_no_priorities != s.value) return H2Error::protocol_error;
        k.peer_no_priorities = static_cast<u8>(s.value);
        break;
      case H2SettingId::enable_push:             // we never push
      case H2SettingId::max_header_list_size: break;  // advice; a head above it is the peer's to refuse
    }
  }
  return window == k.peer_window ? H2Error::no_error : move_windows(k, window);
}

// Section 6.9.2: the windows of all streams move by the difference, below 0 too.
H2Error H2Engine::Impl::move_windows(H2Conn& k, u32 window) {
  const i64 by = i64{window} - i64{k.peer_window};
  k.peer_window = window;
  for (u32 i = first_of(k); i != kNone32; i = after(k, i)) {
    H2Stream& s = streams[i];
    const i64 moved = s.send_window + by;
    if (moved > i64{kH2WindowMost}) return H2Error::flow_control_error;
    s.send_window = static_cast<i32>(moved);
    stand_in_line(i);
  }
  return H2Error::no_error;
}

// The peer has taken over what we announced: from here on, and not before, its streams obey our window.
void H2Engine::Impl::on_settings_ack(H2Conn& k) {
  k.acknowledged = true;
  const i64 by = i64{k.settings.stream_window_bytes} - i64{k.our_window};
  k.our_window = k.settings.stream_window_bytes;
  for (u32 i = first_of(k); i != kNone32; i = after(k, i)) {
    streams[i].recv_window = static_cast<i32>(streams[i].recv_window + by);
    credit_stream(k, streams[i]);
  }
}

// --- PING, section 6.7

Step H2Engine::Impl::on_ping(H2Conn& k) {
  const auto opaque = take_payload<8>(k);
  const bool ours = k.frame.has(kH2Ack) && k.ping_out;
  if (ours) k.ping_out = false;
  if (!ours) calm(k, k.guard.frame(H2Guard::Abuse::pings));
  if (k.failed || k.frame.has(kH2Ack)) return Step::again;
  write_control(k, H2Type::ping, kH2Ack, 0, opaque);
  answered(k);
  return Step::again;
}

// --- GOAWAY, section 6.8

Step H2Engine::Impl::on_goaway(H2Conn& k) {
  const auto payload = take_payload<8>(k);
  calm(k, k.guard.frame(H2Guard::Abuse::strays));
  if (k.failed) return Step::again;
  count(Counter::h2_goaways_received);
  const u32 last = wire::load_be32(payload.data()) & kH2StreamIdMost;
  k.goaway_received = std::min(k.goaway_received, last);  // it must not grow
  k.goaway_error = static_cast<H2Error>(wire::load_be32(payload.data() + 4));
  k.goaway_news = true;
  return Step::again;
}

// Streams of ours that the peer will not touch, highest first, then the GOAWAY itself.
bool H2Engine::Impl::tell_refused(H2Conn& k, H2Event& out) {
  const u32 i = !k.unnamed.empty() ? k.unnamed.front() : k.streams.back();
  if (!k.is_server() && i != kNone32 && (streams[i].id == 0 || streams[i].id > k.goaway_received)) {
    out = event_for(H2EventKind::reset, i);
    out.error = H2Error::refused_stream;
    out.by_peer = true;
    if (streams[i].id != 0) k.past.reset(streams[i].id, false);
    free_stream(i);
    credit_connection(k);
    return true;
  }
  k.goaway_news = false;
  out.kind = H2EventKind::goaway;
  out.error = k.goaway_error;
  out.by_peer = true;
  return true;
}

// --- WINDOW_UPDATE, section 6.9

Step H2Engine::Impl::on_window_update(H2Conn& k, H2Event& out) {
  const u32 increment = wire::load_be32(take_payload<4>(k).data()) & kH2StreamIdMost;
  calm(k, k.guard.frame(H2Guard::Abuse::window_updates));
  if (k.failed) return Step::again;
  if (k.frame.stream == 0) {
    const i64 grown = i64{k.send_window} + increment;
    if (increment == 0 || grown > i64{kH2WindowMost}) {
      fail(k, increment == 0 ? H2Error::protocol_error : H2Error::flow_control_error);
      return Step::again;
    }
    k.send_window = static_cast<i32>(grown);
    send_all_unsent(k);
    return Step::again;
  }
  const u32 i = find(k, k.frame.stream);
  const H2Reaction reaction =
      h2_reaction(i != kNone32 ? streams[i].state : state_of(k, k.frame.stream), H2Type::window_update);
  if (reaction == H2Reaction::protocol_error) fail(k, H2Error::protocol_error);
  if (reaction != H2Reaction::take) return Step::again;
  H2Stream& s = streams[i];
  const i64 grown = i64{s.send_window} + increment;
  if (increment == 0 || grown > i64{kH2WindowMost}) {
    const H2Error error = increment == 0 ? H2Error::protocol_error : H2Error::flow_control_error;
    return stream_error(i, error, out) ? Step::event : Step::again;
  }
  s.send_window = static_cast<i32>(grown);
  stand_in_line(i);
  if (!s.unsent.empty()) send_unsent(i);
  return Step::again;
}

// --- RST_STREAM, section 6.4

Step H2Engine::Impl::on_rst_stream(H2Conn& k, H2Event& out) {
  const H2Error error = static_cast<H2Error>(wire::load_be32(take_payload<4>(k).data()));
  const u32 i = find(k, k.frame.stream);
  const H2Reaction reaction =
      h2_reaction(i != kNone32 ? streams[i].state : state_of(k, k.frame.stream), H2Type::rst_stream);
  if (reaction == H2Reaction::protocol_error) fail(k, H2Error::protocol_error);
  if (reaction == H2Reaction::ignore) calm(k, k.guard.frame(H2Guard::Abuse::strays));
  if (reaction != H2Reaction::take) return Step::again;
  H2Stream& s = streams[i];
  count(Counter::h2_resets_received);
  calm(k, k.guard.reset(k.is_server() && !s.answered));
  if (k.failed) return Step::again;
  if (!k.is_server() && error == H2Error::no_error && s.state == H2State::half_closed_remote) {
    leave_line(i);  // section 8.1: the answer is whole, only the rest of the request is not wanted
    finish(i, H2State::finished);
    return Step::again;
  }
  const bool told = s.owned;
  if (told) {
    out = event_for(H2EventKind::reset, i);
    out.error = error;
    out.by_peer = true;
  }
  k.past.reset(s.id, true);
  free_stream(i);
  credit_connection(k);
  return told ? Step::event : Step::again;
}

// --- priorities

// Section 6.3: deprecated, so looked at and forgotten. Lengths and a stream that depends on itself (RFC 7540 5.3.1) are
// errors of the stream, where there is one to reset.
Step H2Engine::Impl::on_priority(H2Conn& k, H2Event& out) {
  const u32 depends_on = wire::load_be32(take_payload<4>(k).data()) & kH2StreamIdMost;
  calm(k, k.guard.frame(H2Guard::Abuse::priorities));
  const H2Error error = k.frame.length != 5              ? H2Error::frame_size_error
                        : depends_on == k.frame.stream ? H2Error::protocol_error
                                                       : H2Error::no_error;
  if (k.failed || error == H2Error::no_error) return Step::again;
  const u32 i = find(k, k.frame.stream);
  if (i != kNone32 && h2_active(streams[i].state)) return stream_error(i, error, out) ? Step::event : Step::again;
  if (i == kNone32 && state_of(k, k.frame.stream) == H2State::idle) fail(k, error);  // RST_STREAM is not for idle ones
  return Step::again;
}

// RFC 9218 section 7.1.
Step H2Engine::Impl::on_priority_update(H2Conn& k) {
  const u32 n = k.in.copy_out(0, {block.get(), k.frame.length});
  k.in.drop_front(n);
  calm(k, k.guard.frame(H2Guard::Abuse::priorities, 1 + n / kTextPerToken));
  if (k.failed) return Step::again;
  const u32 id = wire::load_be32(block.get()) & kH2StreamIdMost;
  const u32 i = find(k, id);
  const bool idle = i == kNone32 && id != 0 && state_of(k, id) == H2State::idle;
  if (!k.is_server() || id == 0 || (idle && (id & 1) == 0)) {
    fail(k, H2Error::protocol_error);
    return Step::again;
  }
  const H2Urgency urgency = h2_urgency({reinterpret_cast<const char*>(block.get()) + 4, n - 4});
  if (!urgency.said) return Step::again;
  if (i != kNone32) {
    set_urgency(i, urgency);
  } else if (idle) {
    remember_priority(k, id, urgency);
  }
  return Step::again;
}

// Of a stream that is still to be opened. Those and the active ones together stay within what we announced.
void H2Engine::Impl::remember_priority(H2Conn& k, u32 id, H2Urgency urgency) {
  H2Conn::IdlePriority* place = nullptr;
  u32 idle = 1;
  for (H2Conn::IdlePriority& p : k.idle_priorities) {
    if (p.id == id) place = &p;
    if (p.id > k.peer_last_id && p.id != id) ++idle;
  }
  if (k.acknowledged && k.active + idle > k.settings.streams_max) return fail(k, H2Error::protocol_error);
  if (place == nullptr) place = &k.idle_priorities[k.idle_priorities_next++ % kH2IdlePriorities];
  *place = {id, urgency};
}

// --- our windows, section 5.2

mbuf::Chain H2Engine::Impl::take(u32 i, u32 n) {
  H2Stream& s = streams[i];
  const u32 slices = s.received.slices();
  mbuf::Chain out = s.received.take_front(n);
  taken(i, out.bytes(), slices);
  return out;
}

void H2Engine::Impl::discard(u32 i, u32 n) {
  H2Stream& s = streams[i];
  const u32 slices = s.received.slices();
  s.received.drop_front(n);
  taken(i, n, slices);
}

void H2Engine::Impl::taken(u32 i, u32 bytes, u32 slices_before) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  k.held_bytes -= bytes;
  k.held_slices -= slices_before - s.received.slices();
  credit_stream(k, s);
  credit_connection(k);
}

void H2Engine::Impl::credit_connection(H2Conn& k) {
  if (k.failed) return;
  const i64 most = std::min(i64{k.settings.held_bytes_max}, i64{packets_borne} * kH2BytesPerPacket);
  const u32 n = due(most, k.recv_window, k.held_bytes);
  if (n == 0) return;
  k.recv_window += static_cast<i32>(n);
  write_window_update(k, 0, n);
}

void H2Engine::Impl::credit_stream(H2Conn& k, H2Stream& s) {
  if (k.failed || s.id == 0 || !s.owned || !h2_may_receive(s.state)) return;
  const u32 n = due(k.our_window, s.recv_window, s.received.bytes());
  if (n == 0) return;
  s.recv_window += static_cast<i32>(n);
  write_window_update(k, s.id, n);
}

}  // namespace ringway::http
