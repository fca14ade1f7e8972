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
inline constexpr u32 kH2BytesPerPacket = 1024;   // of payload, in packets of which not all are full
inline constexpr u32 kH2MbufCharge = 2304;       // what one held slice counts against the memory of a connection
inline constexpr u32 kH2IdlePriorities = 8;      // of streams that were given one before they were opened
inline constexpr u32 kH2LingeringLeast = 8;      // streams that are over and still held, beside as many as may be open
inline constexpr u8 kH2NotSaid = 2;              // of a setting that is 0 or 1
// Room that TCP and what is below need in front of bytes to send them from where they are: Ethernet, IPv6, TCP with
// timestamps.
inline constexpr u32 kH2FrontReserve = 14 + 40 + 20 + 12;

// What the bytes that come next are.
enum class H2Reading : u8 { preface, header, payload, data, padding, skipped };

// A header block that has begun: what for, decided when its HEADERS came.
struct H2Block {
  enum class For : u8 { nothing, new_stream, existing_stream, nobody };
  For purpose = For::nothing;
  bool end_stream = false;
  H2Error fault = H2Error::no_error;  // what its stream is to be reset with once it is decoded
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
  u32 peer_streams_max = 0;
  bool peer_extended_connect = false;
  u8 peer_no_priorities = kH2NotSaid;
  i32 send_window = kH2WindowInitial;

  // --- what we allow
  u32 our_window = kH2WindowInitial;   // of new streams, as far as the peer has acknowledged it
  i32 recv_window = kH2WindowInitial;
  u32 held_bytes = 0, held_slices = 0;  // received(), all streams

  // --- streams
  IndexList<&H2Stream::all> streams;   // by identifier
  IndexList<&H2Stream::all> unnamed;   // client role: whose request was not sent yet
  u32 unsent_streams = 0;              // that have `unsent`
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

// What reading comes to: there is more to read, an event, more bytes are needed.
enum class H2Step : u8 { again, event, wait };

struct H2Engine::Impl {
  Impl(const H2EngineConfig& config, mbuf::Pools& p, contract::CorePage& pg);

  mbuf::Pools& pools;
  contract::CorePage& page;
  Slab<H2Conn> conns;
  Slab<H2Stream> streams;
  mbuf::Pkt shelf;  // where frame headers without a place of their own are written, one behind another
  u32 packets_borne = kNone32;  // what memory allows a connection's streams to hold
  u32 text_bytes;
  std::unique_ptr<u8[]> text;     // of the head that an event shows
  std::unique_ptr<u8[]> block;    // a block that is written, behind room for a frame header, or gathered; a payload
  std::unique_ptr<u8[]> scratch;  // HPACK's
  std::array<Bytes, kH2PiecesMax> pieces_;
  // What the block that was decoded last said beside its text.
  struct Said {
    u64 unfolded = 0;
    H2Urgency urgency;
  } said;

  void count(Counter c, u64 n = 1) { page.count(c, n); }

  // --- engine: connections
  u32 open(H2Role role, const H2Settings& settings, TimeUs now_us);
  void close(u32 c);
  void fail(H2Conn& k, H2Error error);         // by GOAWAY
  void short_of_memory(H2Conn& k);             // fails without a word
  void calm(H2Conn& k, H2Guard::Abuse abuse);  // fails for it, if it is one

  // --- engine: streams
  u32 find(const H2Conn& k, u32 id) const;     // kNone32: there is no such stream
  u32 first_of(const H2Conn& k) const { return !k.streams.empty() ? k.streams.front() : k.unnamed.front(); }
  u32 after(const H2Conn& k, u32 i) const;
  u32 add_stream(u32 c);                       // open, without an identifier; kNone32 when there is no place
  void name_stream(u32 i, u32 id);
  void free_stream(u32 i);
  void drop_received(u32 i);
  H2State state_of(const H2Conn& k, u32 id) const;  // of one that is no more, or not yet
  void set_state(u32 i, H2State to);
  void finish(u32 i, H2State to);              // set_state after an END_STREAM
  void reset_id(H2Conn& k, u32 id, H2Error error);  // RST_STREAM, remembered
  // Ends a stream for a rule that the peer broke. Frees it; true when `out` tells its user.
  bool stream_error(u32 i, H2Error error, H2Event& out);
  void release(u32 i, H2Error error);
  void stand_in_line(u32 i);
  void leave_line(u32 i);
  void set_urgency(u32 i, H2Urgency urgency);
  u32 next_writable(u32 c);
  u32 send_space(const H2Stream& s) const;

  // --- read
  using Step = H2Step;
  bool next_event(u32 c, H2Event& out);
  H2Event event_for(H2EventKind kind, u32 stream) const;
  bool tell_news(H2Conn& k, H2Event& out);
  Step read(u32 c, H2Event& out);
  Step read_preface(H2Conn& k);
  Step read_header(H2Conn& k, H2Event& out);
  Step read_frame(u32 c, H2Event& out);
  u32 taker_of_data(H2Conn& k, const H2Layout& layout, bool& told, H2Event& out);
  Step begin_data(H2Conn& k, H2Event& out);
  void count_down(H2Conn& k, u32 n);
  Step read_data(H2Conn& k);
  Step read_padding(H2Conn& k, H2Event& out);
  void keep(mbuf::Chain& to, mbuf::Chain from, bool crowded);
  u32 append_copy(mbuf::Chain& to, Bytes bytes);

  // --- block
  Step on_headers(u32 c, H2Event& out);
  Step on_continuation(u32 c, H2Event& out);
  Step grow_block(u32 c, u32 before, u32 bytes, H2Event& out);
  H2Block::For purpose_of(H2Conn& k, u32 id);
  H2Block::For purpose_of_new(H2Conn& k, u32 id);
  Step end_block(u32 c, u32 before, u32 bytes, H2Event& out);
  bool error_on_closed(H2Conn& k, u32 i, u32 id, H2Error error, H2Event& out);
  std::span<const Bytes> pieces(H2Conn& k, u32 before, u32 bytes);
  template <class Sink>
  bool decode(H2Conn& k, u32 before, u32 bytes, Sink&& sink);
  H2HeadText text_for(H2HeadText::Kind kind, const H2Conn& k);
  void show(u32 i, const H2HeadText& read, bool too_large, H2EventKind kind, H2Event& out);
  Step read_request(u32 c, u32 before, u32 bytes, H2Event& out);
  Step read_answer(H2Conn& k, u32 i, u32 before, u32 bytes, H2Event& out);
  Step read_trailers(H2Conn& k, u32 i, u32 before, u32 bytes, H2Event& out);

  // --- control
  Step on_settings(u32 c);
  H2Error apply(u32 c, Bytes settings);
  H2Error move_windows(H2Conn& k, u32 window);
  void on_settings_ack(H2Conn& k);
  Step on_ping(H2Conn& k);
  Step on_goaway(H2Conn& k);
  bool tell_refused(H2Conn& k, H2Event& out);
  Step on_window_update(H2Conn& k, H2Event& out);
  Step on_rst_stream(H2Conn& k, H2Event& out);
  Step on_priority(H2Conn& k, H2Event& out);
  Step on_priority_update(H2Conn& k);
  void remember_priority(H2Conn& k, u32 id, H2Urgency urgency);
  mbuf::Chain take(u32 i, u32 n);
  void discard(u32 i, u32 n);
  void taken(u32 i, u32 bytes, u32 slices_before);
  void credit_connection(H2Conn& k);
  void credit_stream(H2Conn& k, H2Stream& s);

  // --- send; each may find memory short and end the connection
  u8* place(H2Conn& k, u32 n);  // where the next `n` octets go; null when memory was short
  bool shelf_room(u32 n);
  bool write_bytes(H2Conn& k, Bytes bytes);
  void write_control(H2Conn& k, H2Type type, u8 flags, u32 stream, Bytes payload);
  void write_settings(H2Conn& k);
  void write_rst(H2Conn& k, u32 id, H2Error error);
  void write_goaway(H2Conn& k, u32 last, H2Error error);
  void write_window_update(H2Conn& k, u32 id, u32 bytes);
  void answered(H2Conn& k);  // one more answer waits in the output
  template <class Write>
  bool write_block(u32 i, bool end, Write&& write);
  bool write_data(u32 i, mbuf::Chain bytes, bool end);
  void our_end(u32 i);
  bool send_text(u32 i, std::string_view text, std::string_view end);
  bool send_unsent(u32 i);
  void send_all_unsent(H2Conn& k);

  // --- invariants
  const char* broken(u32 c) const;
  const char* broken_stream(const H2Conn& k, u32 i) const;
  const char* broken_lines(const H2Conn& k) const;
};

}  // namespace ringway::http
