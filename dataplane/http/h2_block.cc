// Header blocks: HEADERS and CONTINUATION to requests, responses and trailers. RFC 9113 sections 4.3, 6.2, 6.10, 8.1.
//
// What a block is for is settled when its HEADERS come. It is decoded when it is whole, in place, whomever it was for,
// for the header table must stay in step with the peer's; then the stream is looked up again, as its user may have let
// go of it meanwhile. A block in one frame is read where that frame lies; else its pieces wait in `block.bytes`.

#include <algorithm>

#include "dataplane/http/h2_conn.h"

namespace ringway::http {

using Step = H2Step;
using For = H2Block::For;

// --- frames to a block

Step H2Engine::Impl::on_headers(u32 c, H2Event& out) {
  H2Conn& k = conns[c];
  const H2FrameHeader& h = k.frame;
  std::array<u8, 5> front{};  // pad length and stream dependency, where they are
  k.in.copy_out(0, front);
  const H2Layout layout = h2_layout(h, front[0]);
  if (layout.error != H2Error::no_error) {
    fail(k, layout.error);
    return Step::again;
  }
  k.block.stream = h.stream;
  k.block.end_stream = h.has(kH2EndStream);
  k.block.fault = H2Error::no_error;
  k.block.purpose = purpose_of(k, h.stream);
  const u32 depends_on = wire::load_be32(front.data() + (h.has(kH2Padded) ? 1 : 0)) & kH2StreamIdMost;
  if (h.has(kH2Priority) && depends_on == h.stream && k.block.fault == H2Error::no_error &&
      (k.block.purpose == For::new_stream || k.block.purpose == For::existing_stream)) {
    k.block.fault = H2Error::protocol_error;  // RFC 7540 5.3.1
    if (k.block.purpose == For::new_stream) k.block.purpose = For::nobody;
  }
  k.guard.block_begins();
  return grow_block(c, layout.before, layout.bytes, out);
}

Step H2Engine::Impl::on_continuation(u32 c, H2Event& out) { return grow_block(c, 0, conns[c].frame.length, out); }

// The frame at the front of `in` has `bytes` of the block behind its first `before`.
Step H2Engine::Impl::grow_block(u32 c, u32 before, u32 bytes, H2Event& out) {
  H2Conn& k = conns[c];
  const bool last = k.frame.has(kH2EndHeaders);
  if (!k.failed) calm(k, k.guard.block_grows(bytes, k.frame.type == H2Type::continuation, last, kH2BlockBytesMax));
  if (k.failed) return Step::again;
  if (last) {
    const Step step = end_block(c, before, bytes, out);
    if (!k.failed) k.in.drop_front(k.frame.length);
    k.block.bytes.clear();
    k.block.purpose = For::nothing;
    return step;
  }
  k.in.drop_front(before);
  mbuf::Chain piece = k.in.take_front(bytes);
  if (piece.bytes() != bytes) {
    short_of_memory(k);
    return Step::again;
  }
  keep(k.block.bytes, std::move(piece), k.block.bytes.slices() >= kH2CrowdedSlices);
  k.in.drop_front(k.frame.length - before - bytes);
  return Step::again;
}

// Sections 5.1, 5.1.1 and 5.1.2 on HEADERS; may end the connection.
For H2Engine::Impl::purpose_of(H2Conn& k, u32 id) {
  const u32 i = find(k, id);
  const H2State state = i != kNone32 ? streams[i].state : state_of(k, id);
  switch (h2_reaction(state, H2Type::headers)) {
    case H2Reaction::take:
      if (i != kNone32) return For::existing_stream;
      if (k.is_server() && (id & 1) != 0) return purpose_of_new(k, id);
      break;
    case H2Reaction::ignore: calm(k, k.guard.frame(H2Guard::Abuse::strays)); return For::nobody;
    case H2Reaction::stream_error: k.block.fault = H2Error::stream_closed; return For::nobody;
    case H2Reaction::closed_error: fail(k, H2Error::stream_closed); return For::nobody;
    case H2Reaction::protocol_error: break;
  }
  fail(k, H2Error::protocol_error);
  return For::nobody;
}

For H2Engine::Impl::purpose_of_new(H2Conn& k, u32 id) {
  k.peer_last_id = id;
  if (id > k.goaway_sent) return For::nobody;  // section 6.8
  count(Counter::h2_streams);
  // A stream that is over exists until its user lets go of it; these are bounded too.
  const u32 most = k.settings.streams_max;
  if (k.active < most && k.streams.size() < 2 * most + kH2LingeringLeast && streams.in_use() < streams.capacity()) {
    return For::new_stream;
  }
  count(Counter::h2_streams_refused);
  calm(k, k.guard.refused(k.acknowledged));
  k.block.fault = H2Error::refused_stream;
  return For::nobody;
}

// --- a whole block

Step H2Engine::Impl::end_block(u32 c, u32 before, u32 bytes, H2Event& out) {
  H2Conn& k = conns[c];
  const u32 i = find(k, k.block.stream);
  switch (k.block.purpose) {
    case For::new_stream: return read_request(c, before, bytes, out);
    case For::existing_stream:
      if (i == kNone32) break;  // released since
      if (k.block.fault != H2Error::no_error || !streams[i].owned) break;
      return streams[i].head_came ? read_trailers(k, i, before, bytes, out) : read_answer(k, i, before, bytes, out);
    case For::nobody:
    case For::nothing: break;
  }
  if (!decode(k, before, bytes, [](const HpackField&) {})) return Step::again;
  if (k.block.fault != H2Error::no_error) {
    return error_on_closed(k, i, k.block.stream, k.block.fault, out) ? Step::event : Step::again;
  }
  if (i != kNone32 && k.block.end_stream && h2_may_receive(streams[i].state)) {
    finish(i, h2_after_theirs(streams[i].state));
  }
  return Step::again;
}

// An error of a stream that may be there or not: then RST_STREAM says so all the same.
bool H2Engine::Impl::error_on_closed(H2Conn& k, u32 i, u32 id, H2Error error, H2Event& out) {
  if (i != kNone32) return stream_error(i, error, out);
  const bool refused = error == H2Error::refused_stream;  // counted and paid for where it was decided
  if (!refused) count(Counter::h2_stream_errors);
  reset_id(k, id, error);
  answered(k);
  if (k.is_server() && !refused) calm(k, k.guard.provoked());
  return false;
}

// Where the block lies, piece by piece: `block.bytes`, then `bytes` of `in` behind the first `before`.
std::span<const Bytes> H2Engine::Impl::pieces(H2Conn& k, u32 before, u32 bytes) {
  u32 n = 0;
  bool too_many = false;
  const auto walk = [&](const mbuf::Chain& from, mbuf::Chain::Cursor at, u32 left) {
    for (; left != 0 && !too_many; at = {from.slice(at.slice).next, 0}) {
      const Bytes here = from.slice(at.slice).bytes().subspan(at.skip);
      too_many = n == kH2PiecesMax;
      if (!too_many) pieces_[n++] = here.first(std::min<std::size_t>(here.size(), left));
      left -= std::min(left, static_cast<u32>(here.size()));
    }
  };
  walk(k.block.bytes, {k.block.bytes.first(), 0}, k.block.bytes.bytes());
  walk(k.in, k.in.cursor(before), bytes);
  if (!too_many) return {pieces_.data(), n};
  u32 gathered = k.block.bytes.copy_out(0, {block.get(), k.block.bytes.bytes()});
  gathered += k.in.copy_out(before, {block.get() + gathered, bytes});
  count(Counter::head_copied, gathered);
  pieces_[0] = {block.get(), gathered};
  return {pieces_.data(), 1};
}

// Shows the block's fields to `sink`, and to `said` what it counts and its priority. False: the connection is over.
template <class Sink>
bool H2Engine::Impl::decode(H2Conn& k, u32 before, u32 bytes, Sink&& sink) {
  said = {};
  const std::span<const Bytes> block_pieces = pieces(k, before, bytes);
  const u32 whole = k.block.bytes.bytes() + bytes;
  const HpackStatus status =
      k.decoder.decode(block_pieces, {scratch.get(), HpackDecoder::scratch_bytes(whole)}, [&](const HpackField& field) {
        said.unfolded += field.name.size() + field.value.size() + contract::kHpackEntryBytes;
        if (field.name == "priority") said.urgency = h2_urgency(field.value);
        sink(field);
      });
  if (status != HpackStatus::ok) fail(k, H2Error::compression_error);
  calm(k, H2Guard::block_unfolded(said.unfolded));
  return !k.failed;
}

H2HeadText H2Engine::Impl::text_for(H2HeadText::Kind kind, const H2Conn& k) {
  return H2HeadText(kind, {k.settings.head_bytes_max, k.settings.fields_max}, {text.get(), text_bytes});
}

// Makes `out` the event that shows a head or trailers of stream `i`.
void H2Engine::Impl::show(u32 i, const H2HeadText& read, bool too_large, H2EventKind kind, H2Event& out) {
  out = event_for(kind, i);
  out.end = conns[streams[i].conn].block.end_stream;
  out.too_large = too_large;
  if (too_large) return;
  out.text = read.text();
  out.never_indexed = read.never_indexed();
}

// The head of a request: a stream begins.
Step H2Engine::Impl::read_request(u32 c, u32 before, u32 bytes, H2Event& out) {
  H2Conn& k = conns[c];
  H2HeadText read = text_for(H2HeadText::Kind::request, k);
  if (!decode(k, before, bytes, read)) return Step::again;
  const u32 id = k.block.stream;
  const H2HeadStatus status = read.finish(k.block.end_stream);
  if (status == H2HeadStatus::malformed || (read.extended_connect() && !k.settings.extended_connect)) {
    count(Counter::h2_malformed);
    error_on_closed(k, kNone32, id, H2Error::protocol_error, out);
    return Step::again;
  }
  const u32 i = add_stream(c);
  if (i == kNone32) {  // another connection took the last place while CONTINUATION was awaited
    count(Counter::h2_streams_refused);
    error_on_closed(k, kNone32, id, H2Error::refused_stream, out);
    return Step::again;
  }
  name_stream(i, id);
  H2Stream& s = streams[i];
  s.head_came = true;
  s.length_left = status == H2HeadStatus::complete ? read.content_length() : kH2LengthUnknown;
  if (k.block.end_stream) finish(i, h2_after_theirs(s.state));
  if (said.urgency.said) set_urgency(i, said.urgency);
  for (H2Conn::IdlePriority& p : k.idle_priorities) {
    if (p.id != id) continue;
    set_urgency(i, p.urgency);
    p = {};
  }
  show(i, read, status == H2HeadStatus::too_large, H2EventKind::head, out);
  return Step::event;
}

// The head of a response: interim ones, and the final one.
Step H2Engine::Impl::read_answer(H2Conn& k, u32 i, u32 before, u32 bytes, H2Event& out) {
  H2Stream& s = streams[i];
  H2HeadText read = text_for(H2HeadText::Kind::response, k);
  if (!decode(k, before, bytes, read)) return Step::again;
  const H2HeadStatus status = read.finish(k.block.end_stream, s.method, s.protocol_text());
  if (status == H2HeadStatus::malformed) {
    count(Counter::h2_malformed);
    return stream_error(i, H2Error::protocol_error, out) ? Step::event : Step::again;
  }
  const bool complete = status == H2HeadStatus::complete;
  if (complete && read.status() < 200) {
    calm(k, k.guard.frame(H2Guard::Abuse::strays));
    if (k.failed) return Step::again;
  } else {
    s.head_came = true;
    s.length_left = complete ? read.content_length() : kH2LengthUnknown;
  }
  if (k.block.end_stream) finish(i, h2_after_theirs(s.state));
  show(i, read, !complete, H2EventKind::head, out);
  return Step::event;
}

// The trailer section: the message ends (section 8.1).
Step H2Engine::Impl::read_trailers(H2Conn& k, u32 i, u32 before, u32 bytes, H2Event& out) {
  H2Stream& s = streams[i];
  H2HeadText read = text_for(H2HeadText::Kind::trailers, k);
  if (!decode(k, before, bytes, read)) return Step::again;
  const H2HeadStatus status = read.finish(k.block.end_stream);
  const bool short_of_length = s.length_left != kH2LengthUnknown && s.length_left != 0;
  if (status != H2HeadStatus::complete || short_of_length) {
    count(Counter::h2_malformed);
    return stream_error(i, H2Error::protocol_error, out) ? Step::event : Step::again;
  }
  finish(i, h2_after_theirs(s.state));
  show(i, read, false, H2EventKind::trailers, out);
  return Step::event;
}

}  // namespace ringway::http
