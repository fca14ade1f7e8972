// Frames out. RFC 9113 sections 4.1, 4.3, 6 and 8.1.
//
// Payload is framed where it lies: the frame's header goes into the room in front of the payload in its own packet, if
// nobody else uses that packet; else into a packet that collects headers (`shelf`). Payload that follows payload of the
// same stream joins its frame as long as nobody has taken the output. Whatever else is small goes behind what is there.
// Whoever finds no memory ends the connection: a frame that is left out cannot be made up for.

#include <algorithm>
#include <cstring>

#include "dataplane/http/h2_conn.h"
#include "dataplane/http/head_edit.h"

namespace ringway::http {

// --- places to write to

u8* H2Engine::Impl::place(H2Conn& k, u32 n) {
  k.open_frame = nullptr;
  if (u8* const p = k.out.grow_back(n)) return p;
  if (k.out.empty()) {  // a packet of its own, with room in front for those below
    mbuf::Pkt pkt = pools.alloc();
    u8* const p = pkt ? pkt.append(n) : nullptr;
    if (p != nullptr && k.out.append(std::move(pkt))) return p;
  } else if (shelf_room(n)) {
    u8* const p = shelf.append(n);
    const u16 offset = static_cast<u16>(p - static_cast<u8*>(shelf.get()->buf_addr));
    const mbuf::Slice slice{shelf.get(), offset, static_cast<u16>(n), kNone32};
    if (k.out.append_shared(slice, 0, n)) return p;
  }
  short_of_memory(k);
  return nullptr;
}

bool H2Engine::Impl::shelf_room(u32 n) {
  if (!shelf || shelf.tailroom() < n) shelf = pools.alloc();
  return static_cast<bool>(shelf);
}

bool H2Engine::Impl::write_bytes(H2Conn& k, Bytes bytes) {
  k.open_frame = nullptr;
  while (!bytes.empty()) {
    const u32 n = append_copy(k.out, bytes);
    if (n == 0) {
      short_of_memory(k);
      return false;
    }
    bytes = bytes.subspan(n);
  }
  return true;
}

// --- control frames

void H2Engine::Impl::write_control(H2Conn& k, H2Type type, u8 flags, u32 stream, Bytes payload) {
  const u32 n = static_cast<u32>(payload.size());
  u8* const p = k.failed ? nullptr : place(k, kH2FrameHeaderBytes + n);
  if (p == nullptr) return;
  h2_write_header(p, {n, type, flags, stream});
  std::copy(payload.begin(), payload.end(), p + kH2FrameHeaderBytes);
}

// Section 6.5.2; RFC 8441 section 3 and RFC 9218 section 2.1.
void H2Engine::Impl::write_settings(H2Conn& k) {
  std::array<u8, 8 * kH2SettingBytes> payload;
  u32 n = 0;
  const auto say = [&](H2SettingId id, u32 value) {
    h2_write_setting(payload.data() + n, {id, value});
    n += kH2SettingBytes;
  };
  const H2Settings& s = k.settings;
  say(H2SettingId::header_table_size, contract::kHpackTableBytesMax);
  if (!k.is_server()) say(H2SettingId::enable_push, 0);
  if (k.is_server()) say(H2SettingId::max_concurrent_streams, s.streams_max);
  say(H2SettingId::initial_window_size, s.stream_window_bytes);
  say(H2SettingId::max_frame_size, kH2FrameBytesLeast);
  say(H2SettingId::max_header_list_size, s.head_bytes_max);
  if (k.is_server() && s.extended_connect) say(H2SettingId::enable_connect_protocol, 1);
  if (k.is_server()) say(H2SettingId::no_rfc7540_priorities, 1);
  write_control(k, H2Type::settings, 0, 0, {payload.data(), n});
}

void H2Engine::Impl::write_rst(H2Conn& k, u32 id, H2Error error) {
  std::array<u8, 4> payload;
  wire::store_be32(payload.data(), static_cast<u32>(error));
  write_control(k, H2Type::rst_stream, 0, id, payload);
  count(Counter::h2_resets_sent);
}

void H2Engine::Impl::write_goaway(H2Conn& k, u32 last, H2Error error) {
  std::array<u8, 8> payload;
  wire::store_be32(payload.data(), last);
  wire::store_be32(payload.data() + 4, static_cast<u32>(error));
  write_control(k, H2Type::goaway, 0, 0, payload);
  k.goaway_sent = last;
  count(Counter::h2_goaways_sent);
}

void H2Engine::Impl::write_window_update(H2Conn& k, u32 id, u32 bytes) {
  std::array<u8, 4> payload;
  wire::store_be32(payload.data(), bytes);
  write_control(k, H2Type::window_update, 0, id, payload);
}

void H2Engine::Impl::answered(H2Conn& k) { calm(k, H2Guard::waiting(++k.answers_waiting)); }

// --- heads

// Sends the header block that `write` makes; false when memory is short. The frame's header is put in front of the
// block, or of each further piece of it, where the bytes before are sent already.
template <class Write>
bool H2Engine::Impl::write_block(u32 i, bool end, Write&& write) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  u8* at = block.get() + kH2FrameHeaderBytes;
  u32 left = write(MutBytes{at, kH2BlockBytesMax});
  RW_ASSERT(left != 0);
  u8 flags = end ? kH2EndStream : u8{0};
  for (H2Type type = H2Type::headers; type == H2Type::headers || left != 0; type = H2Type::continuation) {
    const u32 n = std::min(left, k.peer_frame_bytes);
    left -= n;
    if (left == 0) flags |= kH2EndHeaders;
    h2_write_header(at - kH2FrameHeaderBytes, {n, type, flags, s.id});
    if (!write_bytes(k, {at - kH2FrameHeaderBytes, kH2FrameHeaderBytes + n})) return false;
    at += n;
    flags = 0;
  }
  if (end) our_end(i);
  return true;
}

void H2Engine::Impl::our_end(u32 i) {
  leave_line(i);
  finish(i, h2_after_ours(streams[i].state));
}

bool H2Engine::send_request(u32 stream, const RequestHead& head, const RequestEdit& edit, const NeverIndexed& never,
                            bool end) {
  H2Stream& s = impl_->streams[stream];
  H2Conn& k = impl_->conns[s.conn];
  if (k.failed || k.goaway_has_come()) return true;  // an event is on its way that tells
  impl_->name_stream(stream, k.next_id);
  k.next_id += 2;
  s.method = edit.upgrade ? Method::connect : head.method;
  if (edit.upgrade) s.set_protocol(head.value_of(FieldId::upgrade));
  const auto write = [&](MutBytes out) { return write_request(k.encoder, head, edit, never, out); };
  return impl_->write_block(stream, end, write);
}

bool H2Engine::send_response(u32 stream, const ResponseHead& head, const ResponseEdit& edit, const NeverIndexed& never,
                             bool end) {
  H2Stream& s = impl_->streams[stream];
  H2Conn& k = impl_->conns[s.conn];
  if (k.failed || !h2_may_send(s.state)) return true;
  s.answered |= head.status >= 200 || edit.upgrade;
  const auto write = [&](MutBytes out) { return write_response(k.encoder, head, edit, never, out); };
  return impl_->write_block(stream, end, write);
}

bool H2Engine::send_trailers(u32 stream, Bytes text, const NeverIndexed& never) {
  H2Stream& s = impl_->streams[stream];
  H2Conn& k = impl_->conns[s.conn];
  if (k.failed || !h2_may_send(s.state)) return true;
  // Nothing may be left of them; an empty DATA frame ends the stream then.
  u8* const at = impl_->block.get() + kH2FrameHeaderBytes;
  const u32 n = write_trailers(k.encoder, text, {at, kH2BlockBytesMax}, never);
  if (n == 0) return impl_->write_data(stream, impl_->pools.chain(), true);
  return impl_->write_block(stream, true, [n](MutBytes) { return n; });
}

bool H2Engine::send_local_answer(u32 stream, const LocalAnswer& answer) {
  H2Stream& s = impl_->streams[stream];
  H2Conn& k = impl_->conns[s.conn];
  if (k.failed || !h2_may_send(s.state)) return true;
  const bool body = !answer.head_only && answer.grpc_status < 0 && !head_edit::has_no_body(answer.status) &&
                    !(answer.verbatim && answer.text.empty());
  s.answered = true;
  const auto write = [&](MutBytes out) { return write_local_head(k.encoder, answer, out); };
  if (!impl_->write_block(stream, !body, write)) return false;
  return !body || impl_->send_text(stream, answer.text, answer.verbatim ? "" : "\n");
}

// --- DATA

// Text, how it ends, and END_STREAM; what the windows do not allow yet waits.
bool H2Engine::Impl::send_text(u32 i, std::string_view body_text, std::string_view end) {
  mbuf::Chain body = pools.chain();
  for (const std::string_view part : {body_text, end}) {
    Bytes left{reinterpret_cast<const u8*>(part.data()), part.size()};
    while (!left.empty()) {
      const u32 n = append_copy(body, left);
      if (n == 0) return false;
      left = left.subspan(n);
    }
  }
  H2Stream& s = streams[i];
  s.unsent = std::move(body);
  ++conns[s.conn].unsent_streams;
  return send_unsent(i);
}

// May free a stream that nobody owns. False when memory is short.
bool H2Engine::Impl::send_unsent(u32 i) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  const u32 most = static_cast<u32>(std::max(0, std::min(k.send_window, s.send_window)));
  if (k.failed || most == 0) return true;
  mbuf::Chain piece = s.unsent.take_front(most);
  if (piece.empty()) return true;  // out of slices; the next WINDOW_UPDATE tries again
  const bool last = s.unsent.empty();
  if (last) --k.unsent_streams;
  if (!write_data(i, std::move(piece), last)) return false;
  if (!last || s.owned) return true;
  if (h2_active(s.state)) reset_id(k, s.id, s.then);
  free_stream(i);
  return true;
}

void H2Engine::Impl::send_all_unsent(H2Conn& k) {
  if (k.unsent_streams == 0) return;
  for (u32 i = first_of(k), next; i != kNone32; i = next) {
    next = after(k, i);
    if (!streams[i].unsent.empty()) send_unsent(i);
  }
}

bool H2Engine::send_data(u32 stream, mbuf::Chain bytes, bool end) {
  H2Stream& s = impl_->streams[stream];
  if (impl_->conns[s.conn].failed || !h2_may_send(s.state)) return true;
  RW_ASSERT(bytes.bytes() <= impl_->send_space(s));
  return impl_->write_data(stream, std::move(bytes), end);
}

// `bytes` are within both windows.
bool H2Engine::Impl::write_data(u32 i, mbuf::Chain bytes, bool end) {
  H2Stream& s = streams[i];
  H2Conn& k = conns[s.conn];
  const u32 whole = bytes.bytes();
  bool framed = false;  // something that END_STREAM can be set on
  if (k.open_frame != nullptr) {
    H2FrameHeader h = h2_read_header(k.open_frame);
    framed = h.stream == s.id;
    mbuf::Chain piece = bytes.take_front(framed ? k.peer_frame_bytes - std::min(h.length, k.peer_frame_bytes) : 0);
    h.length += piece.bytes();
    h2_write_header(k.open_frame, h);
    k.out.append(std::move(piece));
  }
  while (!bytes.empty()) {
    mbuf::Chain piece = bytes.take_front(k.peer_frame_bytes);
    const u32 n = piece.bytes();
    u8* header = piece.grow_front(kH2FrameHeaderBytes, kH2FrontReserve);
    if (header == nullptr && n != 0) header = place(k, kH2FrameHeaderBytes);
    if (n == 0) short_of_memory(k);
    if (k.failed) return false;
    h2_write_header(header, {n, H2Type::data, 0, s.id});
    k.out.append(std::move(piece));
    k.open_frame = header;
    framed = true;
  }
  if (!framed && end) {
    u8* const header = place(k, kH2FrameHeaderBytes);
    if (header == nullptr) return false;
    h2_write_header(header, {0, H2Type::data, 0, s.id});
    k.open_frame = header;
  }
  k.send_window -= static_cast<i32>(whole);
  s.send_window -= static_cast<i32>(whole);
  if (whole != 0) k.guard.data_sent(whole, s.send_window <= 0 || k.send_window <= 0);
  if (end) {
    k.open_frame[4] |= kH2EndStream;
    k.open_frame = nullptr;
    our_end(i);
  }
  return true;
}

}  // namespace ringway::http
