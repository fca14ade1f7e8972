#pragma once
// H2Engine: all HTTP/2 connections of one core, towards clients (server role) and towards endpoints (client role).
//
// Knows bytes, frames, streams, windows and limits (RFC 9113), not TCP and not what a request is for. Its user (relay)
// hands in the bytes that came on a connection, fetches events one at a time, and sends what `take_output` gives.
// Nothing is called upwards, so nothing is freed under a caller's feet. One thread, no allocation after construction,
// no clock.
//
// Heads cross this boundary as HTTP/1.1 text (h2_head.h): what comes in is written as the HTTP/1.1 head that it means
// and read by h1_read, so that both protocols pass the same strict reader, the same routes and the same writers.
// Payload crosses it as Chain: DATA is cut out of the bytes that came and framed around the bytes that go, uncopied.
//
// Flow control (section 5.2): a stream's window opens again by the bytes that are taken from it, the connection's by
// the bytes that came, as long as what its streams hold stays within `held_bytes_max`. So a stream whose bytes nobody
// takes stops alone. Every frame is always read (nothing waits for a stream): WINDOW_UPDATE is never stuck behind DATA.
//
// A connection and a stream are named by index. A stream belongs to its user from the `head` event or `open_stream`
// until `release`, or until a `reset` event; afterwards the index is dead.

#include <memory>

#include "dataplane/http/h1_write.h"
#include "dataplane/http/h2_frame.h"
#include "dataplane/http/h2_head.h"
#include "dataplane/http/head.h"
#include "dataplane/mbuf/chain.h"
#include "dataplane/mbuf/pools.h"
#include "src/base/types.h"
#include "src/contract/stats.h"

namespace ringway::http {

inline constexpr u32 kH2PeerStreamsUnknown = 100;

enum class H2Role : u8 { server, client };

// What we announce and what we bear, for one connection.
struct H2Settings {
  u32 streams_max = 128;             // SETTINGS_MAX_CONCURRENT_STREAMS, for the server role; at most kH2StreamsMax
  u32 stream_window_bytes = 65'536;  // SETTINGS_INITIAL_WINDOW_SIZE
  u32 held_bytes_max = 1'048'576;    // the connection's window: what all streams together may hold unread
  u32 head_bytes_max = contract::kHeadBytesDefault;  // SETTINGS_MAX_HEADER_LIST_SIZE; larger ones are `too_large`
  u32 fields_max = contract::kFieldsDefault;
  u32 peer_streams = kH2PeerStreamsUnknown;  // client role: what the peer is believed to take before its SETTINGS come
  bool extended_connect = true;      // SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441), for the server role
};

struct H2EngineConfig {
  u32 connections = 4096;
  u32 streams = 65'536;  // of all connections
};

enum class H2EventKind : u8 {
  none,
  head,      // a request head (server) or a response head (client; interim ones too): text in `H2Event::text`
  data,      // bytes are in received(stream), or the message has ended, or both
  trailers,  // a trailer section: text in `H2Event::text`, "name: value" CRLF each, no empty line; the message ended
  reset,     // the stream is over: by the peer, by an error, or refused by GOAWAY; the index is dead
  goaway,    // the peer will take no more streams; those it refused were reported as `reset` with refused_stream
  failed,    // the connection is over: GOAWAY is in the output, unless memory was short; send it, then close. No
             // further event; streams that were not reported stay until then, and what is sent on them is dropped
};

struct H2Event {
  H2EventKind kind = H2EventKind::none;
  u32 stream = kNone32;
  u64 user = 0;               // the stream's, as given to open_stream or set_user
  bool end = false;           // with head and data: the message is complete (END_STREAM)
  bool too_large = false;     // with head: above head_bytes_max or fields_max; `text` is empty, answer 431
  H2Error error = H2Error::no_error;  // with reset, goaway and failed
  bool by_peer = false;       // with reset and failed: the peer said so, else we did
  Bytes text;                 // with head and trailers: valid until the next call on the engine
  NeverIndexed never_indexed; // with head: which lines of `text` came as never indexed (RFC 7541 6.2.3)
};

class H2Engine {
 public:
  H2Engine(const H2EngineConfig& config, mbuf::Pools& pools, contract::CorePage& page);
  ~H2Engine();
  H2Engine(const H2Engine&) = delete;
  H2Engine& operator=(const H2Engine&) = delete;

  // --- connections
  // A new connection; its SETTINGS (client role: the preface too) are in the output. kNone32 when there is no place.
  u32 open(H2Role role, const H2Settings& settings, TimeUs now_us);
  // A server connection that began as an HTTP/1.1 request with Upgrade: h2c (RFC 7540 3.2): `peer_settings` is the
  // decoded HTTP2-Settings. Stream 1 exists, half-closed by the client, and is returned; the preface is still to come.
  struct Upgraded {
    u32 conn = kNone32;
    u32 stream = kNone32;
  };
  Upgraded open_upgraded(Bytes peer_settings, const H2Settings& settings, u64 user, TimeUs now_us);
  // Forgets a connection and its streams, without an event and without a byte.
  void close(u32 conn);

  // Takes bytes from the peer. All are used; what is not an event of a known stream is answered or dropped inside.
  void input(u32 conn, mbuf::Chain bytes, TimeUs now_us);
  // Memory has become short, or ample again: a connection's streams may hold as much as fits so many packets, if that
  // is less than its settings say. Windows that are open already stay open.
  void bear(u32 packets);
  // The next event of `conn`; false when there is none. Frames are read one event at a time, so every event shows the
  // state just behind it.
  bool next_event(u32 conn, H2Event& out);
  // What is to be sent on the connection, in order.
  mbuf::Chain take_output(u32 conn);
  bool has_output(u32 conn) const;

  // No new streams of the peer: first GOAWAY with the last possible id (section 6.8), `goaway_final` names the last
  // real one; streams that exist go on.
  void goaway_notice(u32 conn);
  void goaway_final(u32 conn, H2Error error);
  // Asks whether the peer is there; the answer counts as input.
  void ping(u32 conn);

  bool failed(u32 conn) const;            // over; `failed` says why
  u32 streams(u32 conn) const;            // that exist, in use by either side
  bool accepts_streams(u32 conn) const;   // client role: open_stream would succeed
  bool settings_came(u32 conn) const;     // the peer's first, with all that it offers
  bool accepts_extended_connect(u32 conn) const;  // client role: the peer has said so (RFC 8441)
  u32 peer_streams_max(u32 conn) const;   // client role: that the peer takes at once, as far as is known
  bool settings_acknowledged(u32 conn) const;
  bool in_payload(u32 conn) const;        // of a DATA frame that is not complete
  bool mid_frame(u32 conn) const;         // the preface, a frame or a header block has begun and is not complete
  u32 held_bytes(u32 conn) const;         // received and not taken, all streams
  u32 held_packets(u32 conn) const;       // at most so many are pinned by what is held or not complete
  // Walking over the streams that belong to the user, by ascending ids; kNone32 at the end.
  u32 first_stream(u32 conn) const;
  u32 next_stream(u32 conn, u32 stream) const;

  // --- streams
  u32 open_stream(u32 conn, u64 user);    // client role; kNone32: no place, peer's limit, or GOAWAY
  void set_user(u32 stream, u64 user);
  u64 user(u32 stream) const;
  u32 conn_of(u32 stream) const;
  u32 id(u32 stream) const;               // its identifier on the wire; 0 before its request was sent
  // The user has finished with the stream. RST_STREAM with `error` if it is not closed in both directions. A server
  // stream whose answer is complete while the request is not: no_error (RFC 9113 8.1).
  void release(u32 stream, H2Error error);

  const mbuf::Chain& received(u32 stream) const;
  bool peer_ended(u32 stream) const;      // the peer's END_STREAM was seen (bytes may be left in received())
  mbuf::Chain take(u32 stream, u32 n);    // opens the stream's window by as much
  void discard(u32 stream, u32 n);

  // Payload bytes that may be sent now: the smaller of the two windows.
  u32 send_space(u32 stream) const;
  // The user has more to send than `send_space` (or its own budget) allows: the stream stands in line, and comes out of
  // `next_writable` when its windows allow again: lower urgency first; among equals one after another what is not
  // incremental, in turn what is or what said nothing (RFC 9218 section 10). No event tells; ask after every input.
  void wait_writable(u32 stream);
  u32 next_writable(u32 conn);            // kNone32 when none

  // False when packet memory is short: the caller releases the stream or closes the connection.
  // Requests: `scheme` http; target, authority, fields and framing as in the head (section 8.3.1).
  bool send_request(u32 stream, const RequestHead& head, const RequestEdit& edit, const NeverIndexed& never, bool end);
  bool send_response(u32 stream, const ResponseHead& head, const ResponseEdit& edit, const NeverIndexed& never,
                     bool end);
  bool send_local_answer(u32 stream, const LocalAnswer& answer);  // with its body; ends our side
  // DATA: at most send_space(stream) bytes; cut to the peer's SETTINGS_MAX_FRAME_SIZE. Empty with `end`: an empty one.
  bool send_data(u32 stream, mbuf::Chain bytes, bool end);
  // Form as in H2Event::text; ends our side.
  bool send_trailers(u32 stream, Bytes text, const NeverIndexed& never = {});

  u32 connections_in_use() const;
  u32 streams_in_use() const;
  // For tests: both windows of a stream, of the connection where no stream is named; below 0 too (RFC 9113 6.9.2).
  i32 send_window(u32 conn, u32 stream = kNone32) const;
  i32 receive_window(u32 conn, u32 stream = kNone32) const;
  // For tests, after any call: what should be true and is not, in words; nullptr when all is well.
  const char* check_invariants(u32 conn) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringway::http
