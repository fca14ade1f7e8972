#pragma once
// What relay keeps per client connection, per connection to an endpoint, per exchange and per health check.
//
// Each kind lives in a Slab of its own and refers to the others by index. A Session is one client connection; an
// Upstream is one connection to an endpoint; an Exchange is one request with its response. With HTTP/1.1 a session has at
// most one exchange at a time, so pipelined answers stay in order, and an upstream is either idle in the pool or serves
// one. With HTTP/2 both carry many, each on a stream of its own; which protocol the one side speaks is nothing to the
// other: an exchange has two legs.

#include <array>

#include "dataplane/http/chunk.h"
#include "dataplane/http/h1_body.h"
#include "dataplane/http/h2_engine.h"
#include "dataplane/http/head.h"
#include "dataplane/http/websocket.h"
#include "dataplane/mbuf/chain.h"
#include "dataplane/tcp/engine.h"
#include "src/base/index_list.h"
#include "src/base/types.h"
#include "src/contract/mail.h"
#include "src/contract/plan.h"

namespace ringway::relay {

inline constexpr u32 kTriesMax = contract::kRetriesMax + 1;
inline constexpr u32 kRefusedRoundsMax = 4;
// Room that TCP needs in front of bytes to send them from where they are: Ethernet, IPv4, TCP with timestamps.
inline constexpr u32 kHeaderReserve = 14 + 20 + 20 + 12;
inline constexpr u32 kWrittenHeadMax = contract::kHeadBytesMax + 4096;  // a head and what we add to it

enum class SessionState : u8 {
  announced,     // of a trusted front end: waits for the PROXY header that says whose connection it is
  reading_head,  // waits for a request; nothing is in flight
  exchanging,    // one exchange is under way
  multiplexing,  // HTTP/2: exchanges are found by their streams
  lingering,     // our last byte and FIN are sent; input is thrown away until the peer closes (RFC 9112 9.6)
};

inline constexpr u16 kNoListener = 0xffff;

struct Session {
  tcp::ConnId conn;
  SessionState state = SessionState::reading_head;
  bool peer_closed = false;       // the client will send no more
  bool runnable = false;          // stands in the run queue
  bool goaway_sent = false;       // HTTP/2: the client knows that no stream after its last will be served; HTTP/1.1: it
                                  // will be told with the next answer
  union {
    u32 exchange = kNone32;
    u32 h2;                       // while multiplexing: the connection's place in H2Engine
  };
  u16 listener = kNoListener;     // index into the plan of generation `listener_generation`
  contract::Source source = contract::kNoSource;  // of the same plan; kNoSource: has not been looked up
  u32 listener_generation = 0;    // its low half
  u32 head_bytes_seen = 0;        // bytes of the incomplete head at the last look; HTTP/2: 1 while a frame is incomplete
  u32 requests = 0;
  wire::FourTuple tuple;          // `remote` is who the client is: the peer, or whom its PROXY header names
  u32 accepted = 0;               // when it was, in units of 1024 us
  TimeUs waiting_since_us = 0;    // start of the state: idle, head or linger
  TimeUs armed_us = 0;            // when its timer goes off; 0: not armed
};
static_assert(sizeof(Session) == 64);

enum class UpstreamState : u8 { connecting, busy, idle, over };  // over: only what came on it is left (HTTP/2)

struct Upstream {
  tcp::ConnId conn;
  UpstreamState state = UpstreamState::connecting;
  bool reused = false;            // serves at least its second exchange
  bool listed = false;            // HTTP/2: in the list of its endpoint, takes streams
  bool resting = false;           // HTTP/2: listed, open, and carries none
  u32 exchange = kNone32;
  u32 h2 = kNone32;               // HTTP/2: the connection's place in H2Engine; then `exchange` is not used
  contract::EndpointSlot slot = 0;
  u32 incarnation = 0;
  u32 service_slot = 0;
  TimeUs idle_since_us = 0;
  TimeUs opened_us = 0;
  TimeUs armed_us = 0;
  IndexLink link;                 // in a list of its endpoint: of idle ones, or of those that take streams
};

// One end of an exchange: an HTTP/1.1 connection, or a stream of an HTTP/2 one.
struct Leg {
  tcp::ConnId conn;
  u32 stream = kNone32;
  bool h2() const { return stream != kNone32; }
};

// The body of one direction on its way from leg to leg.
struct BodyWay {
  http::BodyReader reader;        // from HTTP/1.1: finds the end
  http::ChunkWriter chunks;       // to HTTP/1.1 from HTTP/2, where the length is not known
  bool unwrap = false;            // chunk framing of the source is left out
  mbuf::Chain again;              // goes out before anything new: another try
  mbuf::Chain trailers;           // between two protocols: "name: value" CRLF each
};

struct Exchange {
  u32 number = 0;                 // what the recorder calls it
  u32 session = kNone32;
  u32 stream = kNone32;           // the client's, with HTTP/2
  u32 upstream = kNone32;
  u32 upstream_stream = kNone32;  // the endpoint's, with HTTP/2
  const contract::Plan* plan = nullptr;
  u32 service = kNone32;
  u32 endpoint = kNone32;         // index into plan->endpoints
  u32 actions = kNone32;          // index into plan->actions: what the route does to it; kNone32: nothing
  u32 mirror = kNone32;           // that still gets its body
  u32 prefix_bytes = 0;           // of its path that the route's prefix covers
  std::array<u32, kTriesMax> tried{};  // endpoints of the tries that count, the last one at `attempts` - 1
  u8 attempts = 0;
  u8 retries = 0;                 // tries beyond the first; each has met a failure
  u8 retry_waits = 0;             // back-offs more, because the budget was spent
  u8 refused_rounds = 0;          // how often all tries were used up by endpoints that refused it unprocessed
  bool pending = false;           // waits for a connection
  bool retrying = false;          // a retry is under way, and counted
  u8 client_minor = 1;
  http::Method method = http::Method::get;
  bool client_keep_alive = true;
  bool has_body = false;
  bool wants_upgrade = false;
  bool tunnel = false;            // bytes pass both ways without HTTP
  bool request_done = false;      // its last byte is with the endpoint's connection
  bool request_came = false;      // its last byte has been with one: later tries send it again in the same time
  bool request_chunked = false;   // chunks are put around its body (from HTTP/2 to HTTP/1.1)
  bool response_chunked = false;
  bool body_started = false;      // bytes of the body have left and were not kept: the request cannot be repeated
  bool response_started = false;  // a final head went to the client
  bool response_done = false;
  bool delayed = false;           // by the route's fault
  bool aborts = false;            // alike, once it has waited
  bool mirror_asked = false;      // a request is copied once, however often it is tried
  bool grpc = false;              // the request is gRPC: our own answers are too
  bool ends_by_close = false;     // the client sees the response's end by that of the connection
  bool close_client = false;      // the session ends after this exchange
  bool keep_upstream = false;     // the endpoint's connection may go to the pool
  u16 status = 0;
  u64 body_bytes = 0;             // of the request, so far
  u32 head_bytes_seen = 0;        // of the response, at the last look
  BodyWay request_body;
  BodyWay response_body;
  http::NeverIndexed never_indexed;  // lines of the request head (RFC 7541 6.2.3)
  http::H2Error reset = http::H2Error::no_error;  // what a stream that ends early is told
  mbuf::Chain head;               // the request head as received, kept until a response begins
  mbuf::Chain kept;               // what of the body has left, while it may have to leave again
  TimeUs started_us = 0;          // head complete
  u64 grpc_timeout_us = 0;        // the call's own deadline from then on; 0: none
  TimeUs request_done_us = 0;     // by the first try that was done
  TimeUs try_sent_us = 0;         // the same of the present one
  TimeUs attempt_started_us = 0;
  TimeUs retry_at_us = 0;         // when the next try begins; 0: none waits
  TimeUs active_us = 0;           // last byte in either direction
  u64 id_high = 0, id_low = 0;    // of a generated X-Request-Id
  TimeUs held_until_us = 0;       // waits for this by the route's fault; 0: does not
  u64 cookie = 0;                 // the client gets it with the response; 0: none
  http::WebsocketKey websocket_key;  // that the one side shows and the other, which speaks HTTP/2, does not know
  IndexLink pending_link;         // in the list of its service, while `pending`
};

struct Probe {
  tcp::ConnId conn;
  u32 h2 = kNone32;  // over HTTP/2: the connection's place in H2Engine
  contract::ProbeRef ref;
  const contract::Plan* plan = nullptr;
  TimeUs started_us = 0;
  bool sent = false;
  u16 status = 0;    // of a gRPC call that goes on
};

// A copy of a request on its way to another service.
struct Mirror {
  tcp::ConnId conn;
  u32 exchange = kNone32;  // that gives it the body; kNone32: it has all
  bool chunked = false;    // chunks are put around its body
  BodyWay body;
};

// What `user` of a TCP connection says: whose it is.
enum class Owner : u32 { session = 1, upstream = 2, probe = 3, mirror = 4 };
inline constexpr u64 owner_tag(Owner owner, u32 index) { return static_cast<u64>(owner) << 32 | index; }

}  // namespace ringway::relay
