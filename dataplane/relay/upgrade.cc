// Requests that ask for a tunnel: Upgrade over HTTP/1.1 (RFC 9110 7.8), extended CONNECT over HTTP/2 (RFC 8441). Either
// becomes the other where client and endpoint differ; then the gateway stands in for the WebSocket handshake that only
// HTTP/1.1 has: it proves to the client that its key was read, or has the endpoint prove it.

#include "dataplane/relay/relay.h"

namespace ringway::relay {

// Decides what becomes of the offer in `head`. From HTTP/1.1 to HTTP/2 only a WebSocket has a meaning on the other side
// (RFC 8441 5); any other offer is left out, as a server may (RFC 9110 7.8), and so is one without a key to answer.
void Relay::consider_upgrade(Exchange& x, const http::RequestHead& head, bool to_h2) {
  using Id = http::FieldId;
  const bool from_h2 = x.stream != kNone32;
  x.wants_upgrade = head.upgrade;
  if (!head.upgrade || from_h2 == to_h2) return;
  const bool websocket = http::is_websocket(head.value_of(Id::upgrade));
  if (from_h2) {
    if (websocket) x.websocket_key = http::WebsocketKey(random(), random());
    return;
  }
  x.wants_upgrade = websocket && head.method == http::Method::get && !x.has_body;
  if (x.wants_upgrade) x.websocket_key = http::WebsocketKey(head.value_of(Id::sec_websocket_key));
  if (x.websocket_key.empty()) x.wants_upgrade = false;
}

// Whether a request may go out on connection `u` now. What the endpoint takes is known from its first SETTINGS on; its
// stream waits for them.
bool Relay::may_ask(const Exchange& x, u32 u) const {
  return !x.wants_upgrade || upstreams_[u].h2 == kNone32 || h2_.settings_came(upstreams_[u].h2);
}

// Sends the head of a request that `may_ask`. An endpoint without extended CONNECT serves a request of HTTP/1.1 as one
// that offers nothing; over HTTP/2 there is no such request, and that client is told.
void Relay::ask(u32 index, const http::RequestHead& head) {
  Exchange& x = exchanges_[index];
  const u32 h2 = upstreams_[x.upstream].h2;
  if (x.wants_upgrade && h2 != kNone32 && !h2_.accepts_extended_connect(h2)) {
    if (x.stream != kNone32) return fail_exchange(index, 501, "the endpoint takes no extended CONNECT", "protocol");
    x.wants_upgrade = false;
  }
  if (!send_head(x, head)) return abort_exchange(index);
  arm_exchange(x);  // also while the request goes on: its session may be armed for much later
  if (!x.request_done) pump_request(index);
}

// The first SETTINGS of an endpoint have come: requests that waited for them go out.
void Relay::ask_waiting(u32 u) {
  const u32 h2 = upstreams_[u].h2;
  for (u32 stream = h2_.first_stream(h2), next; stream != kNone32; stream = next) {
    next = h2_.next_stream(h2, stream);
    if (h2_.id(stream) != 0) continue;
    const u32 index = static_cast<u32>(h2_.user(stream));
    const u32 session = exchanges_[index].session;
    read_again(exchanges_[index]);
    if (exchanges_[index].actions == kNone32 || prepare(index, request_head_)) ask(index, request_head_);
    if (sessions_.used(session)) make_runnable(session);  // not now: what it does might end a stream of this walk
  }
}

// The endpoint has switched protocols, as the client asked; its head is in `response_head_`.
void Relay::begin_upgrade(u32 index) {
  Exchange& x = exchanges_[index];
  const bool from_h2 = x.upstream_stream != kNone32;
  http::ResponseEdit edit{.via = x.plan->via, .upgrade = true, .from_h2 = from_h2};
  if (x.cookie != 0) edit.cookie = cookie_of(x);
  const http::WebsocketAccept accept(x.websocket_key);
  const bool proven = x.websocket_key.empty() || from_h2 ||
                      response_head_.value_of(http::FieldId::sec_websocket_accept) == accept.text();
  if (!proven) {
    page().count(contract::Counter::websocket_unproven);
    tell_control(x.plan->endpoints[x.endpoint], contract::Outcome::bad_response);
    return fail_exchange(index, 502, "the endpoint did not read the key of the WebSocket handshake", "UPE");
  }
  if (from_h2) edit.websocket_accept = accept.text();
  if (x.actions != kNone32 && !edit_response(index, edit)) return;
  count_status(x, 101);
  x.tunnel = true;
  send_response_head(index, edit, false);
  if (!exchanges_.used(index)) return;
  if (!from_h2) engine_.discard(upstreams_[x.upstream].conn, response_head_.bytes);
  page().count(contract::Counter::tunnels);
  x.head.clear();
  x.kept.clear();
  x.status = 101;
  x.response_started = true;
  x.request_done = false;  // from here on: the client's direction has ended
  pump_tunnel(index);
}

}  // namespace ringway::relay
