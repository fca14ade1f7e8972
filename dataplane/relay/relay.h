#pragma once
// Relay: carries requests from client connections to endpoints and responses back. The only room that knows both TCP
// and HTTP. One per core, called by its worker between `Engine::input` and `Engine::flush`.
//
// A request head is read in place, routed, rewritten once into scratch, and sent on an idle connection of the chosen
// endpoint's pool or a new one (pick first, pool second). Bodies move from one connection's receive chain to the
// other's send queue as slices. Back-pressure is by window: relay takes only as many bytes as the other side has
// `send_space` for, so a slow reader closes the sender's window and memory stays within the two TCP budgets.
//
// A request that failed before any byte of a response is sent to another endpoint if it is safe: the connection never
// opened, or there was no body and the method is idempotent (RFC 9110 9.2.2). Health checks run here too (Probe).
// Timers are lazy: a session's entry in the wheel is moved only when it would go off too late.
// RFC 9110 7 and 15, RFC 9112 6 to 9.

#include <memory>
#include <span>
#include <vector>

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/mbuf/pools.h"
#include "dataplane/relay/objects.h"
#include "dataplane/route/router.h"
#include "dataplane/tcp/engine.h"
#include "src/base/slab.h"
#include "src/base/wheel.h"
#include "src/contract/connections.h"
#include "src/contract/health.h"
#include "src/contract/mail.h"
#include "src/contract/ring.h"
#include "src/contract/stats.h"
#include "src/lookup/address_book.h"

namespace ringway::relay {

struct RelayConfig {
  u32 core = 0;
  u32 sessions = 65'536;   // client connections
  u32 upstreams = 65'536;  // connections to endpoints
  u32 probes = 1024;       // health checks at once
  u64 seed = 1;            // of request ids
  lookup::AddressBook* book = nullptr;  // the core's
};

using Outbox = contract::Ring<contract::Mail>;

class Relay {
 public:
  Relay(const RelayConfig& config, tcp::Engine& engine, mbuf::Pools& pools, route::Router& router,
        contract::CoreStats& stats, Outbox& outbox, TimeUs now_us);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // New requests use `plan` from now on. Exchanges in flight keep theirs.
  void adopt(const contract::Plan& plan);
  // Starts a health check; the outcome is mailed as probe_done.
  void probe(const contract::ProbeRef& ref, const contract::Plan& plan, TimeUs now_us);
  // No new requests: idle sessions are closed, the others after their response (`Connection: close`).
  void drain();
  // Closes what is left, at the end of a drain.
  void abort_all();
  bool drained() const { return sessions_.in_use() == 0; }

  // Handles what TCP reported. Returns how many events there were.
  u32 run(TimeUs now_us);
  // Runs at most `most` timers that are due.
  u32 timers(TimeUs now_us, u32 most);

  // For the connection sample: fills `row` with session `place`; false when nobody sits there. Places end at
  // session_places().
  bool describe(u32 place, contract::ConnectionRow& row) const;
  u32 session_places() const { return sessions_.high_water(); }

  u32 sessions() const { return sessions_.in_use(); }
  u32 idle_upstreams() const { return idle_upstreams_; }
  TimeUs next_timer_us() const { return wheel_.next_deadline_us(); }

 private:
  // A step may end an exchange or a session; callers then look it up again by Slab::used. Indices are given out anew
  // only in `accept` and `advance`, which run at the end of a step, so that look-up is safe.

  // relay.cc: events, timers, lifetime
  void on_event(const tcp::AppEvent& event);
  void accept(const tcp::AppEvent& event);
  void on_session(u32 index, const tcp::AppEvent& event);
  void on_upstream(u32 index, const tcp::AppEvent& event);
  void advance(u32 session);
  void make_runnable(u32 session);
  void session_timer(u32 index);
  void upstream_timer(u32 index);
  void arm_session(u32 index);
  TimeUs session_deadline(const Session& session) const;
  void linger(u32 session);
  bool said_all(const Session& session) const;
  void free_session(u32 session);
  void abort_session(u32 session);
  const contract::Listener* find_listener(Session& session);

  // request.cc: the client's side
  bool read_request(u32 session);
  bool head_may_be_complete(const mbuf::Chain& in, u32 seen) const;
  Exchange& open_exchange(u32 session, u32 service);
  void begin_exchange(u32 session);
  void begin_tunnel(u32 session);
  void pump_request(u32 exchange);
  [[gnu::cold]] void note_request(const Session& session);
  void refuse(u32 session, http::Reject reject);
  void answer(u32 session, const http::LocalAnswer& answer);
  mbuf::Chain to_chain(Bytes bytes);
  struct Moved {
    mbuf::Chain bytes;
    http::Reject reject = http::Reject::none;
    bool short_of_memory = false;
  };
  Moved move_body(http::BodyReader& reader, tcp::ConnId from, u32 budget, bool unwrap);

  // upstream.cc: the endpoint's side
  void dispatch(u32 exchange, const http::RequestHead& head);
  void dispatch_again(u32 exchange);
  bool send_head(const Exchange& exchange, const http::RequestHead& head);
  u32 take_idle(const contract::Endpoint& endpoint);
  u32 open_upstream(const Exchange& exchange, const contract::Endpoint& endpoint);
  enum class After : u8 { keep, close, abort };  // what becomes of the connection
  void release_upstream(u32 exchange, After after);
  void free_upstream(u32 upstream, bool abort);
  void unlink_idle(u32 upstream);
  void upstream_failed(u32 exchange, contract::Outcome outcome);
  void tell_control(const contract::Endpoint& endpoint, contract::Outcome outcome);

  // response.cc: back to the client
  void read_response(u32 exchange);
  void begin_response(u32 exchange);
  void forward_interim(u32 exchange);
  void begin_upgrade(u32 exchange);
  u32 write_response_head(const http::ResponseEdit& edit);
  void send_written(u32 exchange, u32 bytes, mbuf::Chain body);
  void break_response(u32 exchange, const Moved& moved);
  void break_off(u32 exchange);
  void pump_response(u32 exchange);
  void response_end(u32 exchange);
  void fail_exchange(u32 exchange, u16 status, std::string_view text, std::string_view flag);
  void pump_tunnel(u32 exchange);
  void end_tunnel(u32 exchange);
  void end_exchange(u32 exchange);
  void count_status(const Exchange& exchange, u16 status);

  // probe.cc
  void on_probe(u32 index, const tcp::AppEvent& event);
  void probe_timer(u32 index);
  void end_probe(u32 index, contract::Outcome outcome, u16 status);

  void hold(const contract::Plan& plan) { ++plan.use[config_.core].holders; }
  void release(const contract::Plan& plan) { --plan.use[config_.core].holders; }
  u64 random();
  contract::CorePage& page() { return stats_.page; }
  // `fields` says what there is to say, when it is wanted.
  template <contract::EventKind kind, class F>
  void note(const Exchange& x, F&& fields) {
    if (!page().recorder.wants<kind>()) [[likely]] return;
    contract::EventFields f = fields();
    f.conn = sessions_[x.session].conn.generation;
    f.exchange = x.number;
    page().recorder.note<kind>(f);
  }
  u32 upstream_timer_id(u32 index) const { return config_.sessions + index; }
  u32 probe_timer_id(u32 index) const { return config_.sessions + config_.upstreams + index; }

  RelayConfig config_;
  tcp::Engine& engine_;
  mbuf::Pools& pools_;
  route::Router& router_;
  contract::CoreStats& stats_;
  Outbox& outbox_;
  const contract::Plan* plan_ = nullptr;
  TimeUs now_us_;
  bool draining_ = false;

  Slab<Session> sessions_;
  Slab<Upstream> upstreams_;
  Slab<Exchange> exchanges_;
  Slab<Probe> probes_;
  Wheel wheel_;  // ids: sessions, then upstreams, then probes
  std::vector<IndexList<&Upstream::link>> idle_;  // by endpoint slot
  u32 idle_upstreams_ = 0;
  std::vector<u32> run_queue_;  // sessions with more input than one step may use
  u64 random_state_;
  u32 exchanges_begun_ = 0;

  http::RequestHead request_head_;
  http::ResponseHead response_head_;
  std::unique_ptr<u8[]> gathered_;  // a head that spans packets, in one piece
  std::unique_ptr<u8[]> written_;   // the head as it goes out
};

// The address from which core `core` reaches `endpoint`, of the same family: that of the port whose network holds it, else
// of the first with a next hop; none when there is none.
wire::Ip source_address(const contract::Plan& plan, const wire::Ip& endpoint, u32 core);

}  // namespace ringway::relay
