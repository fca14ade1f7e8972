#pragma once
// What relay keeps per client connection, per connection to an endpoint, per exchange and per health check.
//
// Each kind lives in a Slab of its own and refers to the others by index. A Session is one client connection; an
// Upstream is one connection to an endpoint, either idle in the pool or serving one exchange; an Exchange is one
// request with its response. HTTP/1.1 has at most one exchange per session at a time, so pipelined answers stay in order.

#include <array>

#include "dataplane/http/h1_body.h"
#include "dataplane/http/head.h"
#include "dataplane/mbuf/chain.h"
#include "dataplane/tcp/engine.h"
#include "src/base/index_list.h"
#include "src/base/types.h"
#include "src/contract/mail.h"
#include "src/contract/plan.h"

namespace ringway::relay {

inline constexpr u32 kAttemptsMax = 4;
inline constexpr u32 kWrittenHeadMax = contract::kHeadBytesMax + 4096;  // a head and what we add to it

enum class SessionState : u8 {
  reading_head,  // waits for a request; nothing is in flight
  exchanging,    // one exchange is under way
  lingering,     // our last byte and FIN are sent; input is thrown away until the peer closes (RFC 9112 9.6)
};

struct Session {
  tcp::ConnId conn;
  SessionState state = SessionState::reading_head;
  bool peer_closed = false;       // the client will send no more
  bool runnable = false;          // stands in the run queue
  u32 exchange = kNone32;
  u32 listener = kNone32;         // index into the plan of generation `listener_generation`
  u32 listener_generation = 0;    // its low half
  u32 head_bytes_seen = 0;        // bytes of the incomplete head at the last look
  u32 requests = 0;
  wire::FourTuple tuple;
  u32 accepted = 0;               // when it was, in units of 1024 us
  TimeUs waiting_since_us = 0;    // start of the state: idle, head or linger
  TimeUs armed_us = 0;            // when its timer goes off; 0: not armed
};
static_assert(sizeof(Session) == 64);

enum class UpstreamState : u8 { connecting, busy, idle };

struct Upstream {
  tcp::ConnId conn;
  UpstreamState state = UpstreamState::connecting;
  bool reused = false;            // serves at least its second exchange
  u32 exchange = kNone32;
  contract::EndpointSlot slot = 0;
  u32 incarnation = 0;
  TimeUs idle_since_us = 0;
  TimeUs armed_us = 0;
  IndexLink link;                 // in the idle list of its endpoint
};

struct Exchange {
  u32 number = 0;                 // what the recorder calls it
  u32 session = kNone32;
  u32 upstream = kNone32;
  const contract::Plan* plan = nullptr;
  u32 service = kNone32;
  u32 endpoint = kNone32;         // index into plan->endpoints
  std::array<u32, kAttemptsMax> tried{};
  u8 attempts = 0;
  u8 client_minor = 1;
  http::Method method = http::Method::get;
  bool client_keep_alive = true;
  bool has_body = false;
  bool wants_upgrade = false;
  bool tunnel = false;            // bytes pass both ways without HTTP
  bool request_done = false;      // its last byte is with the endpoint's connection
  bool body_started = false;      // bytes of the body have left: the request cannot be repeated
  bool response_started = false;  // a final head went to the client
  bool response_done = false;
  bool unwrap_chunked = false;    // HTTP/1.0 client: chunk framing is left out
  bool close_client = false;      // the session ends after this exchange
  bool keep_upstream = false;     // the endpoint's connection may go to the pool
  u16 status = 0;
  u64 body_bytes = 0;             // of the request, so far
  u32 head_bytes_seen = 0;        // of the response, at the last look
  http::BodyReader request_body;
  http::BodyReader response_body;
  mbuf::Chain head;               // the request head as received, kept until a response begins
  TimeUs started_us = 0;          // head complete
  TimeUs request_done_us = 0;
  TimeUs attempt_started_us = 0;
  TimeUs active_us = 0;           // last byte in either direction
  u64 id_high = 0, id_low = 0;    // of a generated X-Request-Id
};

struct Probe {
  tcp::ConnId conn;
  contract::ProbeRef ref;
  const contract::Plan* plan = nullptr;
  TimeUs started_us = 0;
  bool sent = false;
};

// What `user` of a TCP connection says: whose it is.
enum class Owner : u32 { session = 1, upstream = 2, probe = 3 };
inline constexpr u64 owner_tag(Owner owner, u32 index) { return static_cast<u64>(owner) << 32 | index; }

}  // namespace ringway::relay
