// Mirrors: copies of requests for another service, whose answers are thrown away.
//
// A copy has a connection of its own, which ends with it ("Connection: close"), and nothing of its exchange waits for it: its
// body shares the packets of the request's, as they pass, and a mirror that holds more than kMirrorHeldBytes of what it
// was given, or takes longer than its service allows, is dropped. Once the request has passed, the copy stands alone.
// What becomes of it is counted and told to nobody: not to the client, not to the health of its endpoint.

#include <algorithm>
#include <array>
#include <utility>

#include "dataplane/relay/relay.h"

namespace ringway::relay {

using contract::Counter;

namespace {

constexpr u32 kMirrorHeldBytes = 65'536;         // given to a mirror and not acknowledged
constexpr TimeUs kMirrorTimeUs = 15'000'000;     // where its service has no timeout
constexpr std::string_view kShadow = "-shadow";  // Envoy's suffix of the host

// `authority` with the suffix before its port; empty when it has no room in `out`.
std::string_view shadow_of(std::string_view authority, MutBytes out) {
  if (authority.size() + kShadow.size() > out.size()) return {};
  const std::size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  const std::size_t host_bytes = std::min(authority.find(':', bracket == std::string_view::npos ? 0 : bracket), authority.size());
  u8* at = std::copy(authority.begin(), authority.begin() + static_cast<std::ptrdiff_t>(host_bytes), out.data());
  at = std::copy(kShadow.begin(), kShadow.end(), at);
  std::copy(authority.begin() + static_cast<std::ptrdiff_t>(host_bytes), authority.end(), at);
  return {reinterpret_cast<const char*>(out.data()), authority.size() + kShadow.size()};
}

}  // namespace

// Sends the copy of the head on its way. The exchange's own has been prepared.
void Relay::begin_mirror(u32 exchange, const http::RequestHead& head) {
  Exchange& x = exchanges_[exchange];
  const contract::Plan& plan = *x.plan;
  const contract::Mirror& wanted = plan.actions[x.actions].mirror;
  if (x.wants_upgrade || !draw(wanted.share)) return;
  const Session& s = sessions_[x.session];
  const route::Pick pick = router_.pick(plan, wanted.service, head, client_ip(s), s.tuple.remote_port);
  const u32 index = pick.endpoint == kNone32 || draining_ ? kNone32 : mirrors_.alloc();
  if (index == kNone32) return page().count(Counter::mirrors_dropped);
  Mirror& m = mirrors_[index];
  const contract::Endpoint& endpoint = plan.endpoints[pick.endpoint];
  const wire::Ip source = source_address(plan, endpoint.ip, config_.core);
  const auto conn = source.unset() ? std::nullopt
                                   : engine_.connect(config_.book->name(source), config_.book->name(endpoint.ip), endpoint.port,
                                                     owner_tag(Owner::mirror, index), now_us_);
  if (!conn) return end_mirror(index, true);
  m.conn = *conn;
  m.exchange = exchange;
  // Framing of HTTP/1.1 goes along where the exchange's endpoint gets it too; else the copy is framed anew.
  m.chunked = head.framing == http::Framing::chunked && (x.stream != kNone32 || x.request_body.unwrap);
  x.mirror = index;
  mbuf::Chain bytes = mirror_head(x, head, wanted.service, pick.endpoint);
  if (bytes.empty()) return end_mirror(index, true);
  page().count(Counter::mirrors_sent);
  engine_.send(m.conn, std::move(bytes));
  if (x.request_done) part_from_mirror(x);
}

mbuf::Chain Relay::mirror_head(const Exchange& x, const http::RequestHead& head, u32 service, u32 endpoint) {
  const Session& s = sessions_[x.session];
  const contract::Actions& actions = x.plan->actions[x.actions];
  std::array<u8, 512> host;
  http::RequestEdit edit{.client_ip = client_ip(s), .via = x.plan->via};
  if (x.id_high != 0) {
    http::write_uuid(x.id_high, x.id_low, request_id_.data());
    edit.request_id = {request_id_.data(), request_id_.size()};
  }
  const std::string_view asked = !actions.host.empty() ? std::string_view(actions.host) : head.text(head.authority);
  route_edit_ = {.target = rewritten_target_, .close = true};
  route_edit_.host = shadow_of(asked.empty() ? std::string_view(x.plan->services[service].discovery_name) : asked, host);
  route_edit_.fields = {&actions.request, &sources_.fill(*x.plan, actions, service, endpoint, edit.client_ip, s.tuple.remote_port,
                                                         x.stream != kNone32, &head, &x.never_indexed, edit.request_id)};
  edit.from_h2 = x.stream != kNone32;
  edit.route = &route_edit_;
  const u32 n = route_edit_.host.empty() ? 0 : http::write_request(head, edit, {written_.get(), kWrittenHeadMax});
  mbuf::Chain bytes = to_chain({written_.get(), n});
  if (bytes.bytes() != n) bytes.clear();
  return bytes;
}

// `bytes` of the request's body are about to leave; `end`: they are the last.
void Relay::copy_to_mirror(Exchange& x, const mbuf::Chain& bytes, bool end) {
  Mirror& m = mirrors_[x.mirror];
  mbuf::Chain copy = bytes.empty() ? pools_.chain() : bytes.share();
  const bool fits = engine_.unacked(m.conn) + bytes.bytes() <= kMirrorHeldBytes && copy.bytes() == bytes.bytes();
  if (!fits || (m.chunked && !wrap_chunk(m.body, copy, end))) return end_mirror(x.mirror, true);
  if (!copy.empty()) engine_.send(m.conn, std::move(copy));
  if (end) part_from_mirror(x);
}

// The copy is complete and goes on alone. Until now the exchange's deadlines were its own.
void Relay::part_from_mirror(Exchange& x) {
  const u32 index = std::exchange(x.mirror, kNone32);
  mirrors_[index].exchange = kNone32;
  const u64 most_us = x.plan->services[x.plan->actions[x.actions].mirror.service].timeouts.per_request_us;
  wheel_.arm(mirror_timer_id(index), now_us_ + (most_us == 0 ? kMirrorTimeUs : most_us));
}

void Relay::on_mirror(u32 index, const tcp::AppEvent& event) {
  const Mirror& m = mirrors_[index];
  if ((event.bits & tcp::kClosed) != 0) {
    mirrors_[index].conn = {};
    return end_mirror(index, event.reason != tcp::CloseReason::finished || m.exchange != kNone32);
  }
  engine_.discard(m.conn, engine_.received(m.conn).bytes());
  if ((event.bits & tcp::kPeerClosed) == 0) return;
  engine_.close(m.conn);
  mirrors_[index].conn = {};
  end_mirror(index, m.exchange != kNone32);
}

// `dropped`: not as it should have ended.
void Relay::end_mirror(u32 index, bool dropped) {
  const Mirror& m = mirrors_[index];
  if (m.exchange != kNone32) exchanges_[m.exchange].mirror = kNone32;
  if (m.conn) engine_.abort(m.conn);
  if (dropped) page().count(Counter::mirrors_dropped);
  wheel_.cancel(mirror_timer_id(index));
  mirrors_.free(index);
}

}  // namespace ringway::relay
