#pragma once
// One HTTP/2 stream: its state, and the table that says what a frame means in each state (RFC 9113 section 5.1).
//
// The table is the section laid out: a row for each state, a column for each frame type that has rules there. PRIORITY
// is good in every state, CONTINUATION belongs to its HEADERS, PUSH_PROMISE is an error everywhere, since pushes are
// never allowed; therefore nothing is ever reserved. Streams live in a slab of the engine; they know no mbuf pool.

#include <algorithm>
#include <array>
#include <string_view>

#include "dataplane/http/h2_frame.h"
#include "dataplane/http/head.h"
#include "dataplane/mbuf/chain.h"
#include "src/base/index_list.h"
#include "src/base/types.h"

namespace ringway::http {

// The first four are streams that exist. "closed" has several rows, since section 5.1 asks for different answers by how
// a stream came to be closed; these are told apart as long as an H2Past remembers.
enum class H2State : u8 {
  idle,
  open,
  half_closed_local,   // we have said END_STREAM
  half_closed_remote,  // the peer has
  finished,            // both have
  reset_by_us,         // frames may still be under way
  reset_by_peer,
  passed,              // an identifier below the highest; what became of it is not known, or it was skipped
  count_
};

enum class H2Reaction : u8 {
  take,
  ignore,             // nothing but what the connection needs: header table, window
  stream_error,       // STREAM_CLOSED
  closed_error,       // connection error STREAM_CLOSED
  protocol_error,     // connection error PROTOCOL_ERROR
};

namespace h2_stream_detail {

struct Row {
  H2State state;
  H2Reaction data, headers, rst_stream, window_update;
};
using enum H2Reaction;

// HEADERS take a server's idle stream to open; towards a client they never do, and 5.1.1 rules on `passed` for both.
inline constexpr std::array<Row, static_cast<u32>(H2State::count_)> kReactions{{
    //                            DATA            HEADERS         RST_STREAM      WINDOW_UPDATE
    {H2State::idle,               protocol_error, take,           protocol_error, protocol_error},
    {H2State::open,               take,           take,           take,           take},
    {H2State::half_closed_local,  take,           take,           take,           ignore},
    {H2State::half_closed_remote, stream_error,   stream_error,   take,           take},
    {H2State::finished,           closed_error,   closed_error,   ignore,         ignore},
    {H2State::reset_by_us,        ignore,         ignore,         ignore,         ignore},
    {H2State::reset_by_peer,      stream_error,   stream_error,   ignore,         ignore},
    {H2State::passed,             ignore,         protocol_error, ignore,         ignore},
}};

}  // namespace h2_stream_detail

// `type` is one of the four columns.
constexpr H2Reaction h2_reaction(H2State state, H2Type type) {
  const h2_stream_detail::Row& row = h2_stream_detail::kReactions[static_cast<u32>(state)];
  switch (type) {
    case H2Type::data: return row.data;
    case H2Type::headers: return row.headers;
    case H2Type::rst_stream: return row.rst_stream;
    default: return row.window_update;
  }
}

// Counts towards SETTINGS_MAX_CONCURRENT_STREAMS (5.1.2).
constexpr bool h2_active(H2State s) {
  return s == H2State::open || s == H2State::half_closed_local || s == H2State::half_closed_remote;
}
constexpr bool h2_may_send(H2State s) { return s == H2State::open || s == H2State::half_closed_remote; }
constexpr bool h2_may_receive(H2State s) { return s == H2State::open || s == H2State::half_closed_local; }
// After END_STREAM from us, or from the peer.
constexpr H2State h2_after_ours(H2State s) {
  return s == H2State::open ? H2State::half_closed_local : H2State::finished;
}
constexpr H2State h2_after_theirs(H2State s) {
  return s == H2State::open ? H2State::half_closed_remote : H2State::finished;
}

inline constexpr u64 kH2LengthUnknown = ~u64{0};

struct H2Stream {
  u32 id = 0;  // 0: the request has not been sent yet, and only then has it a place in the order of identifiers
  u32 conn = kNone32;
  u64 user = 0;
  mbuf::Chain received;       // payload that the user has not taken
  mbuf::Chain unsent;         // body of our own answer that the windows did not allow yet; END_STREAM follows it
  u64 length_left = kH2LengthUnknown;  // of DATA still to come by content-length (8.1.1)
  i32 send_window = 0;        // what the peer allows; below 0 after it shrank its windows (6.9.2)
  i32 recv_window = 0;        // what the peer may still send by what we announced
  u32 next_in_bucket = kNone32;
  IndexLink all;              // every stream of the connection, ascending identifiers
  IndexLink ready;            // waits for its turn to send, and its own window allows
  H2Error then = H2Error::no_error;  // what to reset with when `unsent` is gone and the peer has not ended
  H2State state = H2State::idle;
  Method method = Method::get;       // of the request that we sent
  u8 urgency = 3;
  bool incremental = true;    // shares with others; without a signal of the peer's all do
  bool in_line = false;
  bool owned = true;          // by the user; else it only gets rid of `unsent`
  bool waits = false;         // the user asked for next_writable
  bool head_came = false;     // the final one, from the peer
  bool answered = false;      // we have sent a final head
  u8 protocol_bytes = 0;
  std::array<char, 16> protocol;  // that our request asked to switch to (RFC 8441)

  void set_protocol(std::string_view name) {
    protocol_bytes = static_cast<u8>(std::min(name.size(), protocol.size()));
    std::copy_n(name.begin(), protocol_bytes, protocol.begin());
  }
  std::string_view protocol_text() const { return {protocol.data(), protocol_bytes}; }
};

// What became of the streams that were closed last: rings of identifiers, one of those reset and one of those ended.
class H2Past {
 public:
  void reset(u32 id, bool by_peer) { resets_[resets_next_++ % kResets] = id << 1 | (by_peer ? 1u : 0u); }
  void finished(u32 id) { finished_[finished_next_++ % kFinished] = id; }
  // Of a stream that is no more; `passed` when it is not remembered.
  H2State state(u32 id) const {
    for (const u32 r : resets_)
      if (r >> 1 == id) return (r & 1) != 0 ? H2State::reset_by_peer : H2State::reset_by_us;
    for (const u32 f : finished_)
      if (f == id) return H2State::finished;
    return H2State::passed;
  }

 private:
  static constexpr u32 kResets = 128, kFinished = 16;
  std::array<u32, kResets> resets_{};
  std::array<u32, kFinished> finished_{};
  u32 resets_next_ = 0, finished_next_ = 0;
};

}  // namespace ringway::http
