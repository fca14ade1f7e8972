// The PROXY protocol on both sides: read from front ends that a listener trusts, written to the endpoints of TCP services.
//
// From a front end the header comes before anything else is looked at, and names the client from there on (client_ip). Who
// is not among the listener's front ends is read as what the listener speaks, whatever the bytes say.

#include <algorithm>
#include <array>

#include "dataplane/relay/relay.h"
#include "src/wire/proxy_protocol.h"

namespace ringway::relay {

// Reads the header of a connection that is announced. False when there is nothing to go on with: more bytes are needed, or
// the session is gone.
bool Relay::read_announcement(u32 index) {
  using Status = wire::ProxyHeader::Status;
  Session& s = sessions_[index];
  const mbuf::Chain& in = engine_.received(s.conn);
  const u32 seen = std::min(in.bytes(), contract::kProxyHeaderBytesMax);
  Bytes bytes = in.front();
  if (in.slices() > 1) bytes = {gathered_.get(), in.copy_out(0, {gathered_.get(), seen})};
  const wire::ProxyHeader header = wire::read_proxy_header(bytes, contract::kProxyHeaderBytesMax);
  if (header.status == Status::incomplete && !s.peer_closed) {
    arm_session(index);
    return false;
  }
  // An address that no client has would be taken for another's (wire::Addr).
  const bool impossible = header.ends && (header.ends->source.unset() ||
                                          (header.ends->source.is4() && header.ends->source.ip4().v >= wire::Addr::kFirst6));
  if (header.status != Status::complete || impossible || draining_) {
    refuse_announcement(index);
    return false;
  }
  if (plan_->ingress_acl != nullptr && outstays(s)) {  // while it said nothing
    page().count(contract::Counter::ingress_ended);
    abort_session(index);
    return false;
  }
  page().count(contract::Counter::proxy_headers);
  engine_.discard(s.conn, header.bytes);
  if (header.ends) {
    config_.book->drop(s.tuple.remote);
    s.tuple.remote = config_.book->name(header.ends->source);
    s.tuple.remote_port = header.ends->source_port;
    config_.book->hold(s.tuple.remote);
    s.source = contract::kNoSource;  // that of the front end
  }
  s.state = SessionState::reading_head;
  s.waiting_since_us = now_us_;
  const contract::Listener* listener = find_listener(s);
  if (listener == nullptr) {
    abort_session(index);
    return false;
  }
  serve(index, *listener);
  return sessions_.used(index);
}

void Relay::refuse_announcement(u32 index) {
  page().count(contract::Counter::proxy_refused);
  abort_session(index);
}

// Tells the endpoint of a tunnel whose connection it is, in front of the first byte. False when packet memory is short.
bool Relay::announce(const Exchange& x) {
  const wire::ProxyVersion version = x.plan->services[x.service].proxy_protocol;
  if (version == wire::ProxyVersion::off) return true;
  const Session& s = sessions_[x.session];
  std::array<u8, wire::kProxyWrittenBytesMax> header;
  const wire::ProxyEnds ends{client_ip(s), config_.book->ip(s.tuple.local), s.tuple.remote_port, s.tuple.local_port};
  const u32 n = wire::write_proxy_header(version, ends, header.data());
  mbuf::Chain bytes = to_chain({header.data(), n});
  if (bytes.bytes() != n) return false;
  engine_.send(upstreams_[x.upstream].conn, std::move(bytes));
  return true;
}

// What a health check says first to an endpoint that wants to be told whose connection it is: the gateway's own.
mbuf::Chain Relay::probe_announcement(const Probe& p, const contract::Service& service) {
  if (service.proxy_protocol == wire::ProxyVersion::off) return pools_.chain();
  const wire::FourTuple& t = engine_.tuple(p.conn);
  const wire::ProxyEnds ends{config_.book->ip(t.local), config_.book->ip(t.remote), t.local_port, t.remote_port};
  std::array<u8, wire::kProxyWrittenBytesMax> header;
  return to_chain({header.data(), wire::write_proxy_local(service.proxy_protocol, ends, header.data())});
}

}  // namespace ringway::relay
