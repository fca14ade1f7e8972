#pragma once
// Relay: carries requests from client connections to endpoints and responses back. The only room that knows both TCP
// and HTTP. One per core, called by its worker between `Engine::input` and `Engine::flush`.
//
// A request head is read in place, routed, rewritten once into scratch, and sent on an idle connection of the chosen
// endpoint's pool or a new one, or on a stream of its HTTP/2 connection (pick first, pool second). Bodies move from leg to
// leg as slices (leg.cc). Back-pressure is by window: relay takes only as many bytes as the other leg has space for, so a
// slow reader closes the sender's window and memory stays within the budgets of TCP and H2Engine.
//
// A request that failed before any byte of a response is sent to another endpoint where its service's policy and its method
// allow it (retry.h); for that its head is kept, and its body up to a limit.
// Health checks run here too (Probe). Timers are lazy: a session's entry in the wheel is moved only when it would go off
// too late. RFC 9110 7 and 15, RFC 9112 6 to 9, RFC 9113.

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/http/h2_engine.h"
#include "dataplane/mbuf/pools.h"
#include "dataplane/relay/concurrency.h"
#include "dataplane/relay/objects.h"
#include "dataplane/relay/retry.h"
#include "dataplane/rewrite/sources.h"
#include "dataplane/route/key.h"
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
  u32 mirrors = 256;       // copies of requests at once
  http::H2EngineConfig h2;  // HTTP/2 connections of both sides, and their streams
  u64 seed = 1;            // of request ids
  u32 send_budget_bytes = 262'144;  // of the TCP engine
  lookup::AddressBook* book = nullptr;  // the core's
  const contract::HealthBoard* board = nullptr;
  std::vector<const contract::CoreStats*> all_stats;  // of every core, for limits over all of them; empty: this one
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
  // The endpoint takes no new exchanges: its idle connections end.
  void endpoint_left(contract::EndpointSlot slot, u32 incarnation, TimeUs now_us);
  // And its drain time is over: the others end as well, in the polls that follow.
  void endpoint_over(contract::EndpointSlot slot, u32 incarnation, TimeUs now_us);
  // Listeners are gone from the plan: in the polls that follow, idle sessions of theirs are closed, the others after their
  // response; tunnels go on.
  void listeners_left() { left_place_ = 0; }
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
  enum class After : u8 { keep, close, abort };  // what becomes of a connection to an endpoint

  // A step may end an exchange or a session; callers then look it up again by Slab::used. Indices are given out anew
  // only in `accept` and `advance`, which run at the end of a step, so that look-up is safe.

  // relay.cc: events, timers, lifetime
  void on_event(const tcp::AppEvent& event);
  void accept(const tcp::AppEvent& event);
  void serve(u32 session, const contract::Listener& listener);
  void on_session(u32 index, const tcp::AppEvent& event);
  void on_upstream(u32 index, const tcp::AppEvent& event);
  void advance(u32 session);
  void make_runnable(u32 session);
  void session_timer(u32 index);
  void upstream_timer(u32 index);
  void arm_session(u32 index);
  void arm_session_at(u32 index, TimeUs deadline);
  void arm_exchange(const Exchange& exchange);
  TimeUs session_deadline(const Session& session) const;
  void linger(u32 session);
  bool said_all(const Session& session) const;
  void free_session(u32 session);
  void abort_session(u32 session);
  const contract::Listener* find_listener(Session& session);
  wire::Ip client_ip(const Session& session) const { return config_.book->ip(session.tuple.remote); }

  // leg.cc: bodies from leg to leg
  Leg client_leg(const Exchange& x) const;
  Leg endpoint_leg(const Exchange& x) const;
  u32 space(const Leg& leg) const;
  void wait_for_space(const Leg& to);
  struct Moved {
    mbuf::Chain bytes;
    bool end = false;  // nothing comes after them
    http::Reject reject = http::Reject::none;
    bool short_of_memory = false;
  };
  Moved take_body(const Leg& from, BodyWay& way, u32 budget);
  Moved take_framed(tcp::ConnId from, http::BodyReader& reader, u32 budget);
  Moved take_unwrapped(tcp::ConnId from, BodyWay& way, u32 budget);
  // What goes out on an HTTP/1.1 leg for these bytes of a body; false when packet memory is short.
  bool wrap_chunk(BodyWay& way, mbuf::Chain& bytes, bool end);
  bool put_body(const Leg& to, BodyWay& way, mbuf::Chain bytes, bool end, bool chunked);
  void end_leg(const Leg& leg);
  bool leg_ended(const Leg& leg) const;
  mbuf::Chain to_chain(Bytes bytes);
  bool put_in_front(mbuf::Chain& bytes, Bytes head);
  Bytes contiguous(const mbuf::Chain& bytes);
  void flush_h2(u32 h2, tcp::ConnId conn);
  void run_writable(u32 h2, tcp::ConnId conn, void (Relay::*pump)(u32 exchange));

  // request.cc: the client's side
  bool read_request(u32 session);
  bool head_may_be_complete(const mbuf::Chain& in, u32 seen) const;
  Exchange& open_exchange(u32 session, u32 stream, u32 service);
  void begin_exchange(u32 session, u32 stream, bool ended);
  void answer_health(u32 session, u32 stream, const contract::Listener& listener);
  void pump_request(u32 exchange);
  [[gnu::cold]] void note_request(const Session& session);
  void refuse(u32 session, http::Reject reject);
  void answer(u32 session, const http::LocalAnswer& answer);
  void answer_stream(u32 session, u32 stream, http::LocalAnswer answer, bool grpc);
  void count_answer(const Session& session, u16 status);
  void turn_away(u32 session, u32 stream, http::LocalAnswer answer);
  void turn_away(u32 session, u32 stream, u16 status, std::string_view text, std::string_view flag,
                 std::string_view flag_value) {
    turn_away(session, stream, {.status = status, .text = text, .flag = flag, .flag_value = flag_value});
  }

  // admit.cc: who may come in
  contract::Source source_of(Session& session) const;
  bool outstays(const Session& session) const;
  [[gnu::cold]] void show_out(u32 session, u32 stream);
  bool admit(u32 session, u32 stream, const route::Match& match);
  u64 wait_for_token(const contract::Admission& admission, contract::Source source);
  bool admit_tunnel(u32 session, u32 service);

  // actions.cc: what routes do beside choosing a service
  [[gnu::cold]] bool answer_by_route(u32 session, u32 stream, const route::Match& match);
  [[gnu::cold]] bool begin_actions(u32 exchange, const route::Match& match, const http::RequestHead& head);
  void end_delay(u32 exchange);
  void abort_by_fault(u32 exchange);
  [[gnu::cold]] bool prepare(u32 exchange, const http::RequestHead& head);
  void fill_edits(const Exchange& x, const contract::FieldChanges& changes, const http::RequestHead* request,
                  std::string_view request_id);
  [[gnu::cold]] void edit_request(const Exchange& x, const http::RequestHead& head, http::RequestEdit& edit);
  [[gnu::cold]] bool edit_response(u32 exchange, http::ResponseEdit& edit);
  bool keeps_head(const Exchange& x) const;
  bool draw(u32 share);

  // mirror.cc: copies of requests for another service
  [[gnu::cold]] void begin_mirror(u32 exchange, const http::RequestHead& head);
  mbuf::Chain mirror_head(const Exchange& x, const http::RequestHead& head, u32 service, u32 endpoint);
  [[gnu::cold]] void copy_to_mirror(Exchange& x, const mbuf::Chain& bytes, bool end);
  void part_from_mirror(Exchange& x);
  void on_mirror(u32 index, const tcp::AppEvent& event);
  void end_mirror(u32 index, bool dropped);

  // h2_session.cc: clients that speak HTTP/2
  enum class Preface : u8 { no, partly, yes };
  Preface preface_of(const mbuf::Chain& in) const;
  void begin_multiplexing(u32 session);
  u32 upgrade_to_h2(u32 session);
  void on_multiplexed(u32 session, const tcp::AppEvent& event);
  void read_waiting_responses(u32 session);
  void watch_frame(u32 session);
  void on_client_event(u32 session, const http::H2Event& event);
  void read_stream_head(u32 session, const http::H2Event& event);
  void on_stream_trailers(BodyWay& way, Bytes text);
  void end_incomplete(u32 session);
  void end_streams(u32 session);
  void settle(u32 session);
  void last_streams(u32 session);
  void multiplexed_timer(u32 session);
  TimeUs multiplexed_deadline(const Session& session) const;
  TimeUs multiplexed_idle_deadline(const Session& session) const;
  http::H2Settings h2_settings() const;

  // upstream.cc: the endpoint's side
  void dispatch(u32 exchange, const http::RequestHead& head);
  bool send_head(Exchange& exchange, const http::RequestHead& head);
  u32 take_idle(const contract::Endpoint& endpoint);
  u32 open_upstream(const Exchange& exchange, const contract::Endpoint& endpoint);
  void release_upstream(u32 exchange, After after);
  void free_upstream(u32 upstream, bool abort);
  void unlink_idle(u32 upstream);
  enum class Failure : u8 { connection, stream, unprocessed };  // of the connection, of this exchange, or of nothing
  void upstream_failed(u32 exchange, contract::Outcome outcome, Failure failure = Failure::connection);
  u64 expected_us(const Exchange& exchange) const;
  bool try_at_once(Exchange& exchange, bool processed);
  // For outlier detection. Successes are of interest only after a failure; of who is ejected nothing is.
  void tell_control(const contract::Endpoint& endpoint, contract::Outcome outcome) {
    if (outcome == contract::Outcome::success && !config_.board->suspected(endpoint.slot) && failed_here_[endpoint.slot] != endpoint.incarnation) [[likely]] {
      return;
    }
    mail_outcome(endpoint, outcome);
  }
  [[gnu::cold]] void mail_outcome(const contract::Endpoint& endpoint, contract::Outcome outcome);

  // removed.cc: endpoints that have left
  void end_over(u32 most);
  bool has_listener(const Session& session) const;
  void end_left(u32 most);

  // retry.cc: another try
  bool is_whole(const Exchange& exchange) const;
  void forget_request(Exchange& exchange);
  void keep_body(Exchange& exchange, const mbuf::Chain& bytes);
  u64 retry_after_s() const;
  std::optional<u64> wait_before_retry(const Exchange& exchange, const TryEnd& end);
  bool retry(u32 exchange, const TryEnd& end);
  void retry_after(u32 exchange, u64 wait_us, After after);
  void end_retry(Exchange& exchange);
  bool may_retry(const Exchange& exchange);
  void begin_retry(u32 exchange);
  void dispatch_again(u32 exchange);
  void read_again(Exchange& exchange);
  TimeUs try_deadline(const Exchange& exchange) const;
  void try_timed_out(u32 exchange);
  void exchange_timer(u32 exchange);
  TimeUs next_due(const Exchange& exchange) const;

  // breakers.cc: limits of what is under way
  u64 sum_over_cores(u32 service_slot, contract::Cell contract::ServiceStats::* cell) const;
  bool is_overloaded(const contract::Service& service);
  void note_latency(const Exchange& exchange);
  bool is_full(const Exchange& exchange);
  void wait_for_connection(u32 exchange);
  void leave_pending(u32 exchange);
  void note_free(u32 service_slot);
  void wake_pending();

  // h2_upstream.cc: endpoints that speak HTTP/2
  bool is_laden(u32 upstream) const;
  bool takes_streams(u32 upstream) const;
  u32 take_multiplexed(const contract::Endpoint& endpoint);
  bool begin_stream(u32 exchange, u32 upstream);
  void on_multiplexed_upstream(u32 upstream, const tcp::AppEvent& event);
  void on_endpoint_event(u32 upstream, const http::H2Event& event);
  void stream_broke(u32 exchange, const http::H2Event& event);
  void read_stream_response(u32 exchange, const http::H2Event& event);
  bool has_whole_response(const Exchange& exchange) const;
  void end_multiplexed(u32 upstream, contract::Outcome outcome);
  void fail_streams(u32 upstream, contract::Outcome outcome, bool whole_too);
  void list(u32 upstream);
  void retire(u32 upstream);
  bool too_old(TimeUs begun_us) const;
  void unlist(u32 upstream);
  void rest(u32 upstream, bool rests);
  void stream_released(u32 upstream);
  void multiplexed_upstream_timer(u32 upstream);

  // response.cc: back to the client
  void read_response(u32 exchange);
  void begin_response(u32 exchange, bool ended);
  void forward_interim(u32 exchange);
  [[gnu::cold]] const http::SetCookie* cookie_of(const Exchange& exchange);
  void send_response_head(u32 exchange, const http::ResponseEdit& edit, bool end);
  void send_written(u32 exchange, u32 bytes, mbuf::Chain body);
  void bad_response(u32 exchange, http::Reject reject);
  void note_grpc_status(const Exchange& exchange, u32 status);
  bool answered_badly(u32 exchange, const TryEnd& end, bool ended);
  void break_response(u32 exchange, const Moved& moved);
  void break_off(u32 exchange);
  void end_call(u32 exchange, std::string_view trailers);
  void pump_response(u32 exchange);
  void response_end(u32 exchange);
  void fail_exchange(u32 exchange, u16 status, std::string_view text, std::string_view flag, i32 grpc_status = -1);
  void abort_exchange(u32 exchange, http::H2Error error = http::H2Error::internal_error);
  void time_out(u32 exchange);
  bool endpoint_is_late(const Exchange& exchange) const;
  void end_exchange(u32 exchange);
  void count_status(const Exchange& exchange, u16 status);
  TimeUs exchange_deadline(const Exchange& exchange) const;

  // proxy.cc: the PROXY protocol
  bool read_announcement(u32 session);
  void refuse_announcement(u32 session);
  bool announce(const Exchange& exchange);
  mbuf::Chain probe_announcement(const Probe& probe, const contract::Service& service);

  // tunnel.cc: bytes both ways
  void begin_tunnel(u32 session);
  void pump_tunnel(u32 exchange);
  void end_tunnel(u32 exchange);
  void time_out_tunnel(u32 exchange);

  // upgrade.cc: requests that ask for a tunnel
  void consider_upgrade(Exchange& exchange, const http::RequestHead& head, bool to_h2);
  bool may_ask(const Exchange& exchange, u32 upstream) const;
  void ask(u32 exchange, const http::RequestHead& head);
  void ask_waiting(u32 upstream);
  void begin_upgrade(u32 exchange);

  // probe.cc
  void begin_call(u32 index);
  void read_probe(u32 index);
  void read_call(u32 index);
  void on_call_event(u32 index, const http::H2Event& event);
  contract::Outcome outcome_of(const Probe& probe, u16 status) const;
  void on_probe(u32 index, const tcp::AppEvent& event);
  void probe_timer(u32 index);
  void end_probe(u32 index, contract::Outcome outcome, u16 status);

  void hold(const contract::Plan& plan) { ++plan.use[config_.core].holders; }
  void release(const contract::Plan& plan) { --plan.use[config_.core].holders; }
  u64 random();
  contract::CorePage& page() { return stats_.page; }
  contract::ServiceStats& service_stats(const Exchange& x) { return stats_.services[x.plan->services[x.service].slot]; }
  const contract::RetryPolicy& retry_policy(const Exchange& x) const { return x.plan->services[x.service].retry; }
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
  u32 mirror_timer_id(u32 index) const { return config_.sessions + config_.upstreams + config_.probes + index; }

  RelayConfig config_;
  tcp::Engine& engine_;
  mbuf::Pools& pools_;
  route::Router& router_;
  contract::CoreStats& stats_;
  Outbox& outbox_;
  const contract::Plan* plan_ = nullptr;
  TimeUs now_us_;
  bool draining_ = false;
  TimeUs draining_since_us_ = 0;

  http::H2Engine h2_;
  Slab<Session> sessions_;
  Slab<Upstream> upstreams_;
  Slab<Exchange> exchanges_;
  Slab<Probe> probes_;
  Slab<Mirror> mirrors_;
  Wheel wheel_;  // ids: sessions, then upstreams, then probes, then mirrors
  // By endpoint slot. Apart, because a new plan may change a service's protocol while connections of the old one are left.
  std::vector<IndexList<&Upstream::link>> idle_;    // of HTTP/1.1: the pool
  std::vector<IndexList<&Upstream::link>> taking_;  // of HTTP/2: all that take streams
  u32 idle_upstreams_ = 0;
  struct Pending {
    IndexList<&Exchange::pending_link> list;  // who waits for a connection
    u32 freed = 0;                            // and may go on
    u32 resting = 0;                          // connections of streams that could make room for others
  };
  std::vector<Pending> pending_;  // by service slot
  std::vector<u32> freed_;        // service slots where somebody may go on
  std::unique_ptr<ConcurrencyLimit[]> concurrency_;          // by service slot
  std::vector<u8> streams_taken_;  // by endpoint slot: how many at once, as its last connection said; for the next one
  std::vector<u32> failed_here_;  // by endpoint slot: the incarnation of whose failure control was told, and of no success since; 0: none
  std::vector<u32> over_;        // by endpoint slot: the incarnation whose exchanges end; 0: none
  std::vector<contract::EndpointSlot> over_slots_;  // those that are not 0 there
  u32 over_place_ = 0;           // the connection to look at next
  u32 left_place_ = kNone32;     // the session to look at next for whether its listener is gone; kNone32: none is
  std::vector<u32> run_queue_;  // sessions with more input than one step may use
  u64 random_state_;
  u32 exchanges_begun_ = 0;

  http::RequestHead request_head_;
  http::ResponseHead response_head_;
  http::NeverIndexed response_never_;  // lines of `response_head_`, when it came on a stream
  http::NeverIndexed stream_never_;    // lines of `request_head_`, alike
  mbuf::Chain stream_head_;  // of the request in `request_head_`, when it came on a stream
  std::array<char, route::kCookieBytes> cookie_text_;
  http::SetCookie cookie_;   // of the response that is being written
  std::unique_ptr<u8[]> gathered_;  // a head that spans packets, in one piece
  std::unique_ptr<u8[]> written_;   // the head as it goes out
  // Of actions, for one step.
  std::unique_ptr<u8[]> target_;         // a target or a location that a route made
  std::unique_ptr<u8[]> request_again_;  // a request's head, while its answer is written
  std::string_view rewritten_target_;    // in `target_`; empty: as it came
  rewrite::Sources sources_;
  http::RouteEdit route_edit_;
  std::array<char, 36> request_id_{};
};

// The address from which core `core` reaches `endpoint`, of the same family: that of the port whose network holds it, else
// of the first with a next hop; none when there is none.
wire::Ip source_address(const contract::Plan& plan, const wire::Ip& endpoint, u32 core);

}  // namespace ringway::relay
