// What routes do beside choosing a service (contract/actions.h): answers of their own, rewrites and fields on the way to
// the endpoint and back, faults.
//
// The head that came is never changed: it is kept as it is, and every try writes what the route makes of it, once. So
// a request that is sent again is rewritten as the first time, and routing, balancing and retries look at what the client
// said. Held requests wait by their session's timer; nothing else waits for them.

#include <cstring>
#include <utility>

#include "dataplane/inspect/pieces.h"
#include "dataplane/relay/relay.h"
#include "dataplane/rewrite/target.h"

namespace ringway::relay {

using contract::Counter;
using http::FieldEdits;

namespace {

constexpr u32 kEndpointTextBytes = 64;  // of an endpoint that has not been picked yet
constexpr u32 kAnswerBytesMax = 8192;   // of an answer's own lines

// As an authority writes it; `room` has two bytes more than an address needs.
std::string_view host_text(const wire::Ip& ip, char* room) {
  char* at = room;
  if (!ip.is4()) *at++ = '[';
  at = wire::write_text(at, ip);
  if (!ip.is4()) *at++ = ']';
  return {room, static_cast<std::size_t>(at - room)};
}

}  // namespace

bool Relay::draw(u32 share) {
  return share != 0 && ((random() >> 32) * contract::kShareOfAll >> 32) < share;
}

// The route answers by itself: a redirect, or what is configured. False when it forwards.
bool Relay::answer_by_route(u32 index, u32 stream, const route::Match& match) {
  const contract::Actions& actions = plan_->actions[match.actions];
  if (actions.ending == contract::Ending::forward) return false;
  const Session& s = sessions_[index];
  http::LocalAnswer reply{.status = actions.answer.status, .text = actions.answer.body, .verbatim = true,
                          .content_type = actions.answer.content_type,
                          .head_only = request_head_.method == http::Method::head};
  if (actions.ending == contract::Ending::redirect) {
    char own_host[wire::kIpTextBytesMax + 2];
    const std::string_view own = host_text(config_.book->ip(s.tuple.local), own_host);
    const rewrite::Text location = rewrite::location(actions.redirect, request_head_, match.prefix_bytes(*plan_), own,
                                                     {target_.get(), contract::kHeadBytesMax - kAnswerBytesMax});
    if (location.outcome != rewrite::Outcome::ok) {
      page().count(Counter::rewrites_refused);
      turn_away(index, stream, 414, "the redirect's location would be too long", "flag", "rewrite");
      return true;
    }
    reply.status = actions.redirect.status;
    reply.text = reply.content_type = {};
    reply.location = location.text;
  }
  if (!actions.response.empty()) {
    // The answer is written when the request's bytes have been let go.
    std::memcpy(request_again_.get(), request_head_.base, request_head_.bytes);
    request_head_.base = request_again_.get();
    FieldEdits& fields = route_edit_.fields;
    fields = {&actions.response, &sources_.fill(*plan_, actions, kNone32, kNone32, client_ip(s),
                                                s.tuple.remote_port, stream != kNone32, &request_head_, &stream_never_, {})};
    if (reply.location.size() + fields.bytes_added() > contract::kHeadBytesMax - kAnswerBytesMax) {
      page().count(Counter::rewrites_refused);
      turn_away(index, stream, 500, "the route's fields are too large", "flag", "rewrite");
      return true;
    }
    reply.fields = &fields;
  }
  page().count(Counter::route_answers);
  turn_away(index, stream, reply);
  return true;
}

// The new exchange has actions. False when it does not go on by itself: it waits, or is over.
bool Relay::begin_actions(u32 index, const route::Match& match, const http::RequestHead& head) {
  Exchange& x = exchanges_[index];
  x.actions = match.actions;
  x.prefix_bytes = match.prefix_bytes(*x.plan);
  const contract::Fault& fault = x.plan->actions[x.actions].fault;
  if ((fault.delay_share | fault.abort_share) == 0) return true;
  if (!fault.header.empty() && !inspect::find_header(head, fault.header)) return true;
  x.delayed = draw(fault.delay_share);
  x.aborts = draw(fault.abort_share);
  if (x.delayed) {
    page().count(Counter::faults_delayed);
    x.held_until_us = now_us_ + fault.delay_us;
    arm_exchange(x);
    return false;
  }
  if (x.aborts) abort_by_fault(index);
  return !x.aborts;
}

// The exchange has been held long enough. Its deadlines begin now, but for the client's own.
void Relay::end_delay(u32 index) {
  Exchange& x = exchanges_[index];
  x.held_until_us = 0;
  x.active_us = x.request_done_us = now_us_;
  if (x.aborts) return abort_by_fault(index);
  read_again(x);
  dispatch(index, request_head_);
}

void Relay::abort_by_fault(u32 index) {
  const Exchange& x = exchanges_[index];
  const contract::Fault& fault = x.plan->actions[x.actions].fault;
  page().count(Counter::faults_aborted);
  service_stats(x).faulted.add();
  fail_exchange(index, fault.abort_status, "a fault that the route puts in", x.delayed ? "DI,FI" : "FI", fault.abort_grpc);
}

// Before a request goes out, for each round of tries: its new target is in scratch then. False when the exchange is over
// because nothing valid can be made of the request.
bool Relay::prepare(u32 index, const http::RequestHead& head) {
  Exchange& x = exchanges_[index];
  const contract::Actions& actions = x.plan->actions[x.actions];
  const rewrite::Text target = rewrite::target(actions.path, {x.plan->substitutions.get(), config_.core}, head, x.prefix_bytes,
                                               {target_.get(), x.plan->limits.target_bytes});
  const auto refuse = [&](u16 status, std::string_view text) {
    page().count(Counter::rewrites_refused);
    fail_exchange(index, status, text, "rewrite");
    return false;
  };
  if (target.outcome == rewrite::Outcome::too_long) return refuse(414, "the rewritten request target is too long");
  if (target.outcome == rewrite::Outcome::invalid) return refuse(500, "the route's expression makes no path of this one");
  rewritten_target_ = target.text;
  std::size_t bytes = head.bytes + target.text.size() + actions.host.size() + kEndpointTextBytes;
  if (!actions.request.added.empty()) {
    fill_edits(x, actions.request, &head, {});
    bytes += route_edit_.fields.bytes_added();
  }
  if (bytes > contract::kHeadBytesMax) return refuse(500, "the request head with the route's fields is too large");
  if (actions.mirror.service != kNone32 && !std::exchange(x.mirror_asked, true)) begin_mirror(index, head);
  return true;
}

void Relay::fill_edits(const Exchange& x, const contract::FieldChanges& changes, const http::RequestHead* request,
                       std::string_view request_id) {
  const Session& s = sessions_[x.session];
  route_edit_.fields = {&changes, &sources_.fill(*x.plan, x.plan->actions[x.actions], x.service, x.endpoint, client_ip(s),
                                     s.tuple.remote_port, x.stream != kNone32, request, &x.never_indexed, request_id)};
}

// `prepare` has been here for this head.
void Relay::edit_request(const Exchange& x, const http::RequestHead& head, http::RequestEdit& edit) {
  const contract::Actions& actions = x.plan->actions[x.actions];
  if (rewritten_target_.empty() && actions.host.empty() && actions.request.empty()) return;
  route_edit_ = {.target = rewritten_target_, .host = actions.host};
  if (!actions.request.empty()) fill_edits(x, actions.request, &head, edit.request_id);
  edit.route = &route_edit_;
}

// False when the exchange is over, because the head in `response_head_` would grow too large.
bool Relay::edit_response(u32 index, http::ResponseEdit& edit) {
  Exchange& x = exchanges_[index];
  const contract::Actions& actions = x.plan->actions[x.actions];
  if (!x.delayed && actions.response.empty()) return true;
  route_edit_ = {};
  edit.route = &route_edit_;
  if (x.delayed) route_edit_.flag = "DI";
  if (actions.response.empty()) return true;
  const http::RequestHead* request = nullptr;
  std::string_view request_id;
  if (actions.response_reads_request && !x.head.empty()) {
    const u32 n = x.head.copy_out(0, {request_again_.get(), contract::kHeadBytesMax});
    const contract::Limits& limits = x.plan->limits;
    http::read_request({request_again_.get(), n}, {limits.head_bytes, limits.fields, limits.target_bytes}, request_head_);
    request = &request_head_;
    if (x.id_high != 0) {
      http::write_uuid(x.id_high, x.id_low, request_id_.data());
      request_id = {request_id_.data(), request_id_.size()};
    }
  }
  fill_edits(x, actions.response, request, request_id);
  if (response_head_.bytes + route_edit_.fields.bytes_added() > contract::kHeadBytesMax) {
    page().count(Counter::rewrites_refused);
    fail_exchange(index, 502, "the response head with the route's fields is too large", "rewrite");
    return false;
  }
  return true;
}

// What the response's fields may be made of is kept until it comes.
bool Relay::keeps_head(const Exchange& x) const {
  return x.actions != kNone32 && x.plan->actions[x.actions].response_reads_request;
}

}  // namespace ringway::relay
