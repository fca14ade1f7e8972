#pragma once
// The state of one HTTP/2 connection, and the inside of H2Engine: its tables and the verbs that its files share.
//
//   h2_engine.cc   construction, the user's calls, streams        h2_send.cc     frames out
//   h2_read.cc     bytes to frames, DATA, the order of things     h2_control.cc  frames about connection and windows
//   h2_block.cc    header blocks in                               h2_invariants.cc  what always holds, for tests
//
// Private to dataplane/http. Connections and streams are named by their index in `conns` and `streams`; a verb that may
// free a stream says so. A verb that ends the connection (`fail`) leaves it in place, deaf: its user closes it.

#include <array>
#include <memory>

#include "dataplane/http/h2_engine.h"
#include "dataplane/http/h2_guard.h"
#include "dataplane/http/h2_priority.h"
#include "dataplane/http/h2_stream.h"
#include "dataplane/http/h2_write.h"
#include "dataplane/http/hpack.h"
#include "src/base/slab.h"

namespace ringway::http {

using contract::Counter;

inline constexpr u32 kH2Buckets = 32;            // of a connection, by stream identifier
inline constexpr u32 kH2PiecesMax = 64;          // of a header block that is read in place; one in more is gathered
inline constexpr u32 kH2CopyBreakBytes = 256;    // smaller slices are copied behind one another when some are held
inline constexpr u32 kH2CopyBreakSlices = 4;
inline constexpr u32 kH2CrowdedSlices = 8;       // of bytes that wait for the rest of a frame or block
inline constexpr u32 kH2MbufCharge = 2304;       // what one held slice counts against the memory of a connection
inline constexpr u32 kH2IdlePriorities = 8;      // of streams that were given one before they were opened
inline constexpr u32 kH2PeerStreamsUnknown = 100;  // what an endpoint is believed to take before its SETTINGS come
// Room that TCP and what is below need in front of bytes to send them from where they are: Ethernet, IPv6, TCP with
// timestamps.
inline constexpr u32 kH2FrontReserve = 14 + 40 + 20 + 12;

// What the bytes that come next are.
enum class H2Reading : u8 { preface, header, payload, data, padding, skipped };

// A header block that has begun: what for, decided when its HEADERS came.
struct H2Block {
  enum class For : u8 { nothing, new_stream, refused_stream, existing_stream, nobody };
  For purpose = For::nothing;
  bool end_stream = false;
  u32 stream = 0;       // identifier
  mbuf::Chain bytes;    // of frames before the one that ends it
};

struct H2Conn {
  H2Conn() {}  // not `= default`: the header tables are not to be zeroed

  H2Role role = H2Role::server;
  H2Settings settings;
  H2Guard guard;
  mbuf::Chain in, out;

  // --- reading
  H2Reading reading = H2Reading::header;
  bool settings_came = false;  // the first frame must be SETTINGS (3.4)
  bool acknowledged = false;   // ours
  H2FrameHeader frame;         // whose payload is read
  u32 payload_left = 0;        // of DATA: without padding; of a frame that is skipped: all
  u32 padding_left = 0;
  u32 data_stream = kNone32;   // whom the payload of DATA is for
  bool data_ends = false;      // with END_STREAM
  u32 news = kNone32;          // stream with payload that no event has told of
  H2Block block;

  // --- what the peer allows
  u32 peer_window = kH2WindowInitial;  // SETTINGS_INITIAL_WINDOW_SIZE
  u32 peer_frame_bytes = kH2FrameBytesLeast;
  u32 peer_streams_max = kH2PeerStreamsUnknown;
  bool peer_extended_connect = false;
  u8 peer_no_priorities = 2;           // 2: not said
  i32 send_window = kH2WindowInitial;

  // --- what we allow
  u32 our_window = kH2WindowInitial;   // of new streams, as far as the peer has acknowledged it
  i32 recv_window = kH2WindowInitial;
  u32 held_bytes = 0, held_slices = 0;  // received(), all streams

  // --- streams
  IndexList<&H2Stream::all> streams;
  std::array<IndexList<&H2Stream::ready>, kUrgencies> ready;
  std::array<u32, kH2Buckets> buckets;
  u32 last_served = 0;      // identifier
  u32 active = 0;           // open or half-closed, the peer's (server) or ours (client)
  u32 peer_last_id = 0;     // highest that the peer has opened
  u32 next_id = 1;          // client role: of the next request
  u32 goaway_sent = kH2StreamIdMost + 1;      // last identifier that we said we would take; above all: none was sent
  u32 goaway_received = kH2StreamIdMost + 1;
  H2Error goaway_error = H2Error::no_error;
  bool goaway_news = false;  // streams above it are to be reported, then itself
  H2Past past;
  struct IdlePriority {
    u32 id = 0;
    H2Urgency urgency;
  };
  std::array<IdlePriority, kH2IdlePriorities> idle_priorities;
  u32 idle_priorities_next = 0;

  // --- sending
  u8* open_frame = nullptr;  // header of the DATA frame at the end of `out` that more may be joined to
  u32 answers_waiting = 0;   // in `out`
  bool ping_out = false;

  bool failed = false, failure_told = false;
  H2Error failure = H2Error::no_error;

  HpackDecoder decoder;
  HpackEncoder encoder;

  bool is_server() const { return role == H2Role::server; }
  bool goaway_is_sent() const { return goaway_sent <= kH2StreamIdMost; }
  bool goaway_has_come() const { return goaway_received <= kH2StreamIdMost; }
};

struct H2Engine::Impl {
  Impl(const H2EngineConfig& config, mbuf::Pools& p, contract::CorePage& pg);

  mbuf::Pools& pools;
  contract::CorePage& page;
  Slab<H2Conn> conns;
  Slab<H2Stream> streams;
  mbuf::Chain shelf;  // one slice: the packet that frame headers without a place of their own are written to
  TimeUs now = 0;
  u32 text_bytes;
  std::unique_ptr<u8[]> text;      // of the head that an event shows
  std::unique_ptr<u8[]> block;     // a header block that is being written, or gathered
  std::unique_ptr<u8[]> scratch;   // HPACK's
  NeverIndexed never;
  // What the last decoded block said beside its text.
  struct Said {
    u64 unfolded = 0;
    H2Urgency urgency;
  } said;

  void count(Counter c, u64 n = 1) { page.count(c, n); }

  // --- engine: connections and streams
  u32 open(H2Role role, const H2Settings& settings, TimeUs now_us);
  void close(u32 c);
  u32 find(const H2Conn& k, u32 id) const;  // kNone32: no such stream
  u32 add_stream(u32 c, u32 id);            // open; kNone32 when there is no place
  void name_stream(u32 i, u32 id);          // gives one that has no identifier its own
  void free_stream(u32 i);
  H2State state_of(const H2Conn& k, u32 id) const;
  void set_state(u32 i, H2State to);
  void abort_stream(u32 i, H2Error error);  // RST_STREAM, remembered; the stream stays, over
  void orphan_done(u32 i);                  // frees
  // Ends a stream for a rule that the peer broke. Frees it; true when `out` tells its user.
  bool stream_error(u32 i, H2Error error, H2Event& out);
  void fail(H2Conn& k, H2Error error);
  void calm(H2Conn& k, H2Guard::Abuse abuse);  // fails for it, if there is one
  void stand_in_line(u32 i);
  void leave_line(u32 i);
  u32 next_writable(u32 c);

  // --- read
  enum class Step : u8 { again, event, wait };
  Step read(u32 c, H2Event& out);
  bool next_event(u32 c, H2Event& out);
  void keep(mbuf::Chain& to, mbuf::Chain from, bool crowded);
  Step read_preface(H2Conn& k);
  Step read_header(u32 c, H2Event& out);
  Step read_frame(u32 c, H2Event& out);
  Step begin_data(u32 c, H2Event& out);
  Step read_data(u32 c, H2Event& out);
  Step end_data(u32 c, H2Event& out);
  bool tell_news(H2Conn& k, H2Event& out);
  H2Event event_for(H2EventKind kind, u32 stream) const;

  // --- block
  Step on_headers(u32 c, H2Event& out);
  Step on_continuation(u32 c, H2Event& out);
  H2Block::For purpose_of(H2Conn& k, u32 id, H2Fault& fault);
  Step end_block(u32 c, u32 before, u32 bytes, H2Event& out);
  template <class Sink>
  HpackStatus decode(H2Conn& k, u32 before, u32 bytes, Sink&& sink);
  Step read_request(u32 c, H2Event& out, u32 before, u32 bytes);
  Step read_answer(u32 c, u32 i, H2Event& out, u32 before, u32 bytes);
  Step read_trailers(u32 c, u32 i, H2Event& out, u32 before, u32 bytes);
  Step read_for_nobody(H2Conn& k, u32 before, u32 bytes);

  // --- control
  Step on_settings(u32 c);
  H2Error apply(u32 c, Bytes settings);
  void on_settings_ack(u32 c);
  Step on_ping(H2Conn& k);
  Step on_goaway(H2Conn& k);
  Step on_window_update(u32 c, H2Event& out);
  Step on_rst_stream(u32 c, H2Event& out);
  Step on_priority(u32 c, H2Event& out);
  Step on_priority_update(u32 c);
  bool tell_refused(u32 c, H2Event& out);
  void credit_connection(H2Conn& k);
  void credit_stream(H2Conn& k, H2Stream& s);

  // --- send
  u8* place(H2Conn& k, u32 n);  // where the next `n` octets go; null, and the connection over, when memory is short
  bool write_bytes(H2Conn& k, Bytes bytes);
  void write_settings(H2Conn& k);
  void write_control(H2Conn& k, H2Type type, u8 flags, u32 stream, Bytes payload);
  void write_rst(H2Conn& k, u32 id, H2Error error);
  void write_goaway(H2Conn& k, u32 last, H2Error error);
  void write_window_update(H2Conn& k, u32 id, u32 bytes);
  void answered(H2Conn& k);  // one more answer waits in the output
  bool write_block(u32 i, u32 bytes, bool end);
  bool write_data(u32 i, mbuf::Chain bytes, bool end);
  void our_end(u32 i);
  void send_unsent(u32 i);  // may free
  u32 send_space(const H2Stream& s) const;

  // --- invariants
  const char* broken(u32 c) const;
  const char* broken_stream(u32 c, u32 i) const;
};

}  // namespace ringway::http
