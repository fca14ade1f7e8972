// Bytes to frames: the preface, frame headers, DATA, and the order in which events are told.
//
// A frame is read when all of it is here; DATA is passed on, and what nobody knows is let go of, as it comes.
// Payload is counted against both windows as it is read, so that what is under way still is the peer's to send.
// RFC 9113 sections 3.4, 4.1, 4.2, 5.1 and 6.1.

#include <algorithm>
#include <cstring>

#include "dataplane/http/h2_conn.h"

namespace ringway::http {

using Step = H2Step;

H2Event H2Engine::Impl::event_for(H2EventKind kind, u32 stream) const {
  H2Event e;
  e.kind = kind;
  e.stream = stream;
  e.user = streams[stream].user;
  return e;
}

bool H2Engine::Impl::next_event(u32 c, H2Event& out) {
  H2Conn& k = conns[c];
  out = H2Event{};
  while (true) {
    if (k.failed) {
      if (k.failure_told) return false;
      k.failure_told = true;
      out.kind = H2EventKind::failed;
      out.error = k.failure;
      return true;
    }
    if (k.goaway_news) return tell_refused(k, out);
    const Step step = read(c, out);
    if (step == Step::event) return true;
    if (step == Step::wait && !k.failed) return tell_news(k, out);
  }
}

bool H2Engine::Impl::tell_news(H2Conn& k, H2Event& out) {
  if (k.news == kNone32) return false;
  out = event_for(H2EventKind::data, k.news);
  k.news = kNone32;
  return true;
}

Step H2Engine::Impl::read(u32 c, H2Event& out) {
  H2Conn& k = conns[c];
  switch (k.reading) {
    case H2Reading::preface: return read_preface(k);
    case H2Reading::header: return read_header(k, out);
    case H2Reading::payload: return read_frame(c, out);
    case H2Reading::data: return read_data(k);
    case H2Reading::padding: return read_padding(k, out);
    case H2Reading::skipped: break;
  }
  const u32 n = std::min(k.in.bytes(), k.payload_left);
  k.in.drop_front(n);
  k.payload_left -= n;
  if (k.payload_left != 0) return Step::wait;
  k.reading = H2Reading::header;
  return Step::again;
}

// Section 3.4. A wrong byte is seen as soon as it comes.
Step H2Engine::Impl::read_preface(H2Conn& k) {
  std::array<u8, kH2Preface.size()> came;
  const u32 n = k.in.copy_out(0, came);
  if (std::memcmp(came.data(), kH2Preface.data(), n) != 0) {
    fail(k, H2Error::protocol_error);
    return Step::again;
  }
  if (n < kH2Preface.size()) return Step::wait;
  k.in.drop_front(n);
  k.reading = H2Reading::header;
  return Step::again;
}

Step H2Engine::Impl::read_header(H2Conn& k, H2Event& out) {
  if (k.in.bytes() < kH2FrameHeaderBytes) return Step::wait;
  if (const Bytes front = k.in.front(); front.size() >= kH2FrameHeaderBytes) {
    k.frame = h2_read_header(front.data());
  } else {
    std::array<u8, kH2FrameHeaderBytes> header;
    k.in.copy_out(0, header);
    k.frame = h2_read_header(header.data());
  }
  k.in.drop_front(kH2FrameHeaderBytes);
  const H2FrameHeader& h = k.frame;
  const bool in_block = k.block.purpose != H2Block::For::nothing;
  H2Error error = H2Error::no_error;
  if (in_block && (h.type != H2Type::continuation || h.stream != k.block.stream)) {
    error = H2Error::protocol_error;  // sections 5.5, 6.2 and 6.10
  } else if (!in_block && h.type == H2Type::continuation) {
    error = H2Error::protocol_error;
  } else if (!k.settings_came && (h.type != H2Type::settings || h.has(kH2Ack))) {
    error = H2Error::protocol_error;  // section 3.4
  } else if (const H2Fault fault = h2_fault(h, kH2FrameBytesLeast); !fault.ends_stream) {
    error = fault.error;
  }
  if (error != H2Error::no_error) {
    fail(k, error);
    return Step::again;
  }
  if (h2_rule(h.type) == nullptr) {
    calm(k, k.guard.frame(H2Guard::Abuse::strays));
    k.payload_left = h.length;
    k.reading = H2Reading::skipped;
  } else {
    k.reading = H2Reading::payload;
  }
  const bool same_data = h.type == H2Type::data && k.news != kNone32 && streams[k.news].id == h.stream;
  return !same_data && tell_news(k, out) ? Step::event : Step::again;
}

// The header is read, nothing of the payload.
Step H2Engine::Impl::read_frame(u32 c, H2Event& out) {
  H2Conn& k = conns[c];
  if (k.frame.type == H2Type::data) return begin_data(k, out);
  if (k.in.bytes() < k.frame.length) return Step::wait;
  k.reading = H2Reading::header;
  switch (k.frame.type) {
    case H2Type::headers: return on_headers(c, out);
    case H2Type::continuation: return on_continuation(c, out);
    case H2Type::settings: return on_settings(c);
    case H2Type::ping: return on_ping(k);
    case H2Type::goaway: return on_goaway(k);
    case H2Type::window_update: return on_window_update(k, out);
    case H2Type::rst_stream: return on_rst_stream(k, out);
    case H2Type::priority: return on_priority(k, out);
    case H2Type::priority_update: return on_priority_update(k);
    case H2Type::push_promise:  // never allowed, section 8.4
    case H2Type::data: break;
  }
  fail(k, H2Error::protocol_error);
  return Step::again;
}

// --- DATA, section 6.1

// The stream that takes the payload, or kNone32 when nobody does; then `out` may tell of a stream that ended over it.
u32 H2Engine::Impl::taker_of_data(H2Conn& k, const H2Layout& layout, bool& told, H2Event& out) {
  const H2FrameHeader& h = k.frame;
  const u32 i = find(k, h.stream);
  switch (h2_reaction(i != kNone32 ? streams[i].state : state_of(k, h.stream), H2Type::data)) {
    case H2Reaction::take: {
      H2Stream& s = streams[i];
      const u64 left = s.length_left;
      H2Error error = H2Error::no_error;
      if (i64{h.length} > s.recv_window) {
        error = H2Error::flow_control_error;  // section 6.9.1
      } else if (!s.head_came || (left != kH2LengthUnknown &&
                                  (layout.bytes > left || (k.data_ends && layout.bytes != left)))) {
        error = H2Error::protocol_error;  // section 8.1.1
        count(Counter::h2_malformed);
      }
      if (error == H2Error::no_error) return i;
      told = stream_error(i, error, out);
      return kNone32;
    }
    case H2Reaction::ignore: calm(k, k.guard.frame(H2Guard::Abuse::strays)); return kNone32;
    case H2Reaction::stream_error: told = error_on_closed(k, i, h.stream, H2Error::stream_closed, out); return kNone32;
    case H2Reaction::closed_error: fail(k, H2Error::stream_closed); return kNone32;
    case H2Reaction::protocol_error: break;
  }
  fail(k, H2Error::protocol_error);
  return kNone32;
}

Step H2Engine::Impl::begin_data(H2Conn& k, H2Event& out) {
  const H2FrameHeader& h = k.frame;
  const bool has_pad_length = h.has(kH2Padded) && h.length != 0;
  if (has_pad_length && k.in.empty()) return Step::wait;
  const H2Layout layout = h2_layout(h, has_pad_length ? k.in.front()[0] : u8{0});
  if (layout.error != H2Error::no_error || i64{h.length} > k.recv_window) {
    fail(k, layout.error != H2Error::no_error ? layout.error : H2Error::flow_control_error);
    return Step::again;
  }
  k.data_ends = h.has(kH2EndStream);
  if (layout.bytes == 0 && !k.data_ends) calm(k, k.guard.frame(H2Guard::Abuse::empty_data));
  bool told = false;
  if (!k.failed) k.data_stream = taker_of_data(k, layout, told, out);
  if (k.failed) return Step::again;
  k.reading = H2Reading::data;
  k.payload_left = layout.bytes;
  k.padding_left = layout.padding;
  count_down(k, layout.before);
  return told ? Step::event : Step::again;
}

// `n` octets of DATA at the front of `in` are nobody's: they are counted and dropped.
void H2Engine::Impl::count_down(H2Conn& k, u32 n) {
  k.in.drop_front(n);
  k.recv_window -= static_cast<i32>(n);
  if (k.data_stream != kNone32) streams[k.data_stream].recv_window -= static_cast<i32>(n);
}

Step H2Engine::Impl::read_data(H2Conn& k) {
  const u32 n = std::min(k.in.bytes(), k.payload_left);
  k.payload_left -= n;
  k.guard.payload(n);
  if (n != 0 && (k.data_stream == kNone32 || !streams[k.data_stream].owned)) {
    count_down(k, n);
  } else if (n != 0) {
    H2Stream& s = streams[k.data_stream];
    mbuf::Chain piece = k.in.take_front(n);
    if (piece.bytes() != n) {
      short_of_memory(k);
      return Step::again;
    }
    k.recv_window -= static_cast<i32>(n);
    s.recv_window -= static_cast<i32>(n);
    if (s.length_left != kH2LengthUnknown) s.length_left -= n;
    k.held_slices -= s.received.slices();
    keep(s.received, std::move(piece), u64{k.held_slices} * kH2MbufCharge * 2 >= k.settings.held_bytes_max);
    k.held_slices += s.received.slices();
    k.held_bytes += n;
    k.news = k.data_stream;
  }
  credit_connection(k);
  if (k.payload_left != 0) return Step::wait;
  k.reading = H2Reading::padding;
  return Step::again;
}

Step H2Engine::Impl::read_padding(H2Conn& k, H2Event& out) {
  const u32 n = std::min(k.in.bytes(), k.padding_left);
  k.padding_left -= n;
  count_down(k, n);
  credit_connection(k);
  if (k.padding_left != 0) return Step::wait;
  k.reading = H2Reading::header;
  const u32 i = std::exchange(k.data_stream, kNone32);
  if (i == kNone32) return Step::again;
  H2Stream& s = streams[i];
  if (!k.data_ends) {
    credit_stream(k, s);
    return Step::again;
  }
  finish(i, h2_after_theirs(s.state));
  if (!s.owned) return Step::again;
  k.news = kNone32;
  out = event_for(H2EventKind::data, i);
  out.end = true;
  return Step::event;
}

// --- holding memory

// Appends `from` to `to`, as it is while little is held. Then small slices, and when it is crowded all, are copied
// behind one another, so that a peer that sends little at a time does not pin a packet for each of them.
void H2Engine::Impl::keep(mbuf::Chain& to, mbuf::Chain from, bool crowded) {
  const bool small = u64{from.bytes()} < u64{from.slices()} * kH2CopyBreakBytes;
  if (to.slices() < kH2CopyBreakSlices || (!small && !crowded)) return to.append(std::move(from));
  while (!from.empty()) {
    const Bytes bytes = from.front();
    if (bytes.size() >= kH2CopyBreakBytes && !crowded) {
      to.append(from.take_front(static_cast<u32>(bytes.size())));
      continue;
    }
    const u32 n = append_copy(to, bytes);
    if (n == 0) return to.append(std::move(from));
    count(Counter::payload_copied, n);
    from.drop_front(n);
  }
}

// Copies as many of `bytes` behind the end of `to` as one packet has room for; a fresh one where it must be. Returns
// how many; 0 when memory is short.
u32 H2Engine::Impl::append_copy(mbuf::Chain& to, Bytes bytes) {
  u32 n = std::min(to.room_back(), static_cast<u32>(bytes.size()));
  if (n != 0) {
    std::memcpy(to.grow_back(n), bytes.data(), n);
    return n;
  }
  mbuf::Pkt pkt = pools.alloc();
  if (!pkt) return 0;
  n = std::min(pkt.tailroom(), static_cast<u32>(bytes.size()));
  std::memcpy(pkt.append(n), bytes.data(), n);
  return to.append(std::move(pkt)) ? n : 0;
}

}  // namespace ringway::http
