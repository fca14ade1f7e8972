// Bodies from leg to leg. From HTTP/1.1 to HTTP/1.1 the framing goes along as it came; between two protocols the source's
// framing is taken off (chunks, frames) and the other's put on, around the same slices; from HTTP/2 to HTTP/2 payload is
// framed anew. Trailers cross as text.

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/relay/relay.h"

namespace ringway::relay {

namespace {

constexpr u32 kSliceBytes = 1448;  // of bytes that we write ourselves: no packet has to cut them

}  // namespace

Leg Relay::client_leg(const Exchange& x) const { return {sessions_[x.session].conn, x.stream}; }

Leg Relay::endpoint_leg(const Exchange& x) const { return {upstreams_[x.upstream].conn, x.upstream_stream}; }

// Bytes of a body that may be put on the leg now. What TCP has room for is asked first, so that it reports when there is
// room again.
u32 Relay::space(const Leg& leg) const {
  const u32 room = engine_.send_space(leg.conn);
  return leg.h2() ? std::min(room, h2_.send_space(leg.stream)) : room;
}

void Relay::wait_for_space(const Leg& to) {
  if (to.h2()) h2_.wait_writable(to.stream);
}

// Copies bytes that we wrote into fresh packets; shorter than asked when the pool is empty.
mbuf::Chain Relay::to_chain(Bytes bytes) {
  mbuf::Chain out = pools_.chain();
  while (!bytes.empty()) {
    mbuf::Pkt pkt = pools_.alloc();
    const u32 n = std::min<u32>(kSliceBytes, static_cast<u32>(bytes.size()));
    if (!pkt) break;
    std::memcpy(pkt.append(n), bytes.data(), n);
    if (!out.append(std::move(pkt))) break;
    bytes = bytes.subspan(n);
  }
  if (!bytes.empty()) page().count(contract::Verdict::no_mbuf);
  return out;
}

// Writes `head` in front of `bytes`, in the same packet where that has room. False when packet memory is short.
bool Relay::put_in_front(mbuf::Chain& bytes, Bytes head) {
  if (u8* room = bytes.grow_front(static_cast<u32>(head.size()), kHeaderReserve)) {
    std::memcpy(room, head.data(), head.size());
    return true;
  }
  mbuf::Chain front = to_chain(head);
  if (front.bytes() != head.size()) return false;
  front.append(std::move(bytes));
  bytes = std::move(front);
  return true;
}

// The bytes of a head in one piece: where they are, or gathered in scratch.
Bytes Relay::contiguous(const mbuf::Chain& bytes) {
  if (bytes.slices() <= 1) return bytes.front();
  return {gathered_.get(), bytes.copy_out(0, {gathered_.get(), contract::kHeadBytesMax})};
}

// Takes at most `budget` bytes of a body off its leg, in the form in which they go on.
Relay::Moved Relay::take_body(const Leg& from, BodyWay& way, u32 budget) {
  if (!way.again.empty()) {
    Moved moved{way.again.take_front(budget)};
    moved.short_of_memory = moved.bytes.empty();
    return moved;
  }
  if (from.h2()) {
    Moved moved{h2_.take(from.stream, budget)};
    const bool left = !h2_.received(from.stream).empty();
    moved.short_of_memory = left && moved.bytes.empty() && budget > 0;
    moved.end = !left && h2_.peer_ended(from.stream);
    flush_h2(h2_.conn_of(from.stream), from.conn);  // the window that it opens
    return moved;
  }
  Moved moved = way.unwrap ? take_unwrapped(from.conn, way, budget) : take_framed(from.conn, way.reader, budget);
  if (engine_.peer_closed(from.conn) && engine_.received(from.conn).empty()) way.reader.connection_closed();
  moved.end = way.reader.done();
  return moved;
}

// With its framing.
Relay::Moved Relay::take_framed(tcp::ConnId from, http::BodyReader& reader, u32 budget) {
  using RunKind = http::BodyReader::RunKind;
  Moved moved{pools_.chain()};
  const mbuf::Chain& in = engine_.received(from);
  u32 n = 0;
  for (u32 at = in.first(); at != kNone32 && n < budget && !reader.done(); at = in.slice(at).next) {
    Bytes piece = in.slice(at).bytes();
    piece = piece.first(std::min<std::size_t>(piece.size(), budget - n));
    while (!piece.empty() && !reader.done()) {
      const auto run = reader.next(piece);
      if (run.kind == RunKind::invalid) {
        moved.reject = run.reject;
        return moved;
      }
      if (run.bytes == 0) break;
      piece = piece.subspan(run.bytes);
      n += run.bytes;
    }
  }
  if (n == 0) return moved;
  moved.bytes = engine_.take(from, n);
  moved.short_of_memory = moved.bytes.bytes() != n;
  return moved;
}

// Only the content. The trailer section is kept aside.
Relay::Moved Relay::take_unwrapped(tcp::ConnId from, BodyWay& way, u32 budget) {
  using RunKind = http::BodyReader::RunKind;
  Moved moved{pools_.chain()};
  while (budget > 0 && !way.reader.done() && !engine_.received(from).empty() && !moved.short_of_memory) {
    const Bytes piece = engine_.received(from).front();
    const auto run = way.reader.next(piece.first(std::min<std::size_t>(piece.size(), budget)));
    if (run.kind == RunKind::invalid) moved.reject = run.reject;
    if (run.kind != RunKind::payload && run.kind != RunKind::framing) break;
    const bool payload = run.kind == RunKind::payload;
    const u32 wanted = payload ? run.bytes : run.trailer_bytes;
    if (!payload) engine_.discard(from, run.bytes - run.trailer_bytes);
    if (wanted == 0) continue;
    mbuf::Chain bytes = engine_.take(from, wanted);
    moved.short_of_memory = bytes.bytes() != wanted;
    if (payload) budget -= run.bytes;
    mbuf::Chain& kept = payload ? moved.bytes : way.trailers;
    if (kept.pool() == nullptr) kept = pools_.chain();
    kept.append(std::move(bytes));
  }
  if (way.reader.done() && way.trailers.bytes() >= 2) way.trailers.drop_back(2);  // the empty line
  return moved;
}

bool Relay::wrap_chunk(BodyWay& way, mbuf::Chain& bytes, bool end) {
  std::array<u8, http::kChunkHeadBytesMax> edge;
  if (!bytes.empty() && !put_in_front(bytes, {edge.data(), way.chunks.head(bytes.bytes(), edge.data())})) return false;
  if (!end) return true;
  const u32 n = way.chunks.last(edge.data());
  const bool trailers = !way.trailers.empty();
  if (!trailers) std::memcpy(edge.data() + n, "\r\n", 2);
  const u32 edge_bytes = n + (trailers ? 0 : 2);
  if (u8* room = bytes.grow_back(edge_bytes)) {
    std::memcpy(room, edge.data(), edge_bytes);
  } else {
    mbuf::Chain back = to_chain({edge.data(), edge_bytes});
    if (back.bytes() != edge_bytes) return false;
    bytes.append(std::move(back));
  }
  if (!trailers) return true;
  bytes.append(std::move(way.trailers));
  mbuf::Chain empty_line = to_chain({reinterpret_cast<const u8*>("\r\n"), 2});
  if (empty_line.empty()) return false;
  bytes.append(std::move(empty_line));
  return true;
}

// `chunked`: the HTTP/1.1 leg's head said so and the bytes are bare. False when packet memory is short.
bool Relay::put_body(const Leg& to, BodyWay& way, mbuf::Chain bytes, bool end, bool chunked) {
  if (!to.h2()) {
    if (chunked && !wrap_chunk(way, bytes, end)) return false;
    if (!bytes.empty()) engine_.send(to.conn, std::move(bytes));
    return true;
  }
  const bool trailers = end && !way.trailers.empty();
  bool sent = (bytes.empty() && (trailers || !end)) || h2_.send_data(to.stream, std::move(bytes), end && !trailers);
  if (sent && trailers) sent = h2_.send_trailers(to.stream, contiguous(way.trailers));
  flush_h2(h2_.conn_of(to.stream), to.conn);
  return sent;
}

// Nothing comes after what was put: the half-close of a tunnel.
void Relay::end_leg(const Leg& leg) {
  if (!leg.h2()) return engine_.shutdown(leg.conn);
  if (h2_.send_data(leg.stream, pools_.chain(), true)) flush_h2(h2_.conn_of(leg.stream), leg.conn);
}

bool Relay::leg_ended(const Leg& leg) const {
  if (leg.h2()) return h2_.peer_ended(leg.stream) && h2_.received(leg.stream).empty();
  return engine_.peer_closed(leg.conn) && engine_.received(leg.conn).empty();
}

// Hands to TCP what H2Engine wants said on a connection. One to an endpoint that has failed over it, because memory was
// short, ends with its timer: the endpoint does not know, and may have nothing to say that would call for it.
void Relay::flush_h2(u32 h2, tcp::ConnId conn) {
  if (h2_.has_output(h2)) engine_.send(conn, h2_.take_output(h2));
  if (!h2_.failed(h2)) [[likely]] return;
  const auto info = engine_.info(conn);
  if (!info || info->user >> 32 != static_cast<u64>(Owner::upstream)) return;
  const u32 u = static_cast<u32>(info->user);
  upstreams_[u].armed_us = now_us_;
  wheel_.arm(upstream_timer_id(u), now_us_);
}

// Streams that waited for windows or for TCP go on, in turn.
void Relay::run_writable(u32 h2, tcp::ConnId conn, void (Relay::*pump)(u32 exchange)) {
  while (engine_.send_space(conn) > 0) {
    const u32 stream = h2_.next_writable(h2);
    if (stream == kNone32) return;
    (this->*pump)(static_cast<u32>(h2_.user(stream)));
  }
}

}  // namespace ringway::relay
