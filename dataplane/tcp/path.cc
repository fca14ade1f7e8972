// The path's largest packet: learned from ICMP "fragmentation needed" (RFC 1191) and "packet too big" (RFC 8201; RFC 5927 section 7 for what is believed),
// guessed where full segments vanish, and remembered for connections to come.

#include "dataplane/tcp/impl.h"
#include "dataplane/tcp/isn.h"

namespace ringway::tcp {

u64 Engine::Impl::path_key(wire::Addr remote) const {
  SipHash h(config.secret[1], config.secret[0]);
  if (remote.is4()) {
    h.block(u64{4} << 56 | remote.v);
  } else {
    h.block(config.book->ip6(remote).high());
    h.block(config.book->ip6(remote).low());
    h.block(u64{16} << 56);
  }
  return h.finish();
}

// The largest packet that may leave for `remote`, as configured. Asked when a connection opens.
u32 Engine::Impl::packet_bytes_by_path(wire::Addr remote, u32 ours) const {
  const wire::Ip6 ip = address_of(remote).ip6();
  for (const contract::PathSize& p : path_sizes) {
    if (p.to.contains(ip)) return std::min<u32>({ours, p.packet_bytes, config.port_mtu[p.port]});
  }
  return ours;
}

// RFC 5927 7.1: only of a packet that is in flight, and only towards less. No window pays for it (RFC 1191 section 6.4).
void Engine::Impl::too_big(u32 i, SeqNo seq, u32 packet_bytes) {
  Tcb& t = tcbs[i];
  if (!in(t.state, kSynchronised) || seq < t.snd_una || seq >= t.snd_max) return count(Counter::tcp_icmp_disbelieved);
  if (!shrink_segments(t, packet_bytes)) return;
  count(Counter::tcp_path_mtu_reduced);
  paths.learn(path_key(t.tuple.remote), static_cast<u16>(std::clamp<u32>(packet_bytes, packet_least(t), 0xffff)),
              timestamp_ticks(now));
  t.clear(kTimingRtt);
  if (watch(i)) {
    flights[t.flight].board.lose_all();
  } else {
    t.snd_nxt = t.snd_una;
    t.next = t.unacked.cursor(0);
  }
  want_output(i);
}

// From now on no packet of `t` is larger than `packet_bytes`, or than every path takes (RFC 791, RFC 8200 5). False: none was.
bool Engine::Impl::shrink_segments(Tcb& t, u32 packet_bytes) {
  const u32 headers = ip_header_bytes(t.tuple) + t.tcp_header_bytes();
  const u32 mss = std::max(packet_bytes, packet_least(t)) - headers;
  if (mss >= t.snd_mss) return false;
  t.snd_mss = static_cast<u16>(mss);
  return true;
}

// Several timeouts in a row of full segments: perhaps smaller ones get there, and no router says so.
void Engine::Impl::suspect_black_hole(Tcb& t) {
  if (t.retries < kBlackHoleRetries || t.in_flight() < t.snd_mss) return;
  const u32 now_bytes = t.snd_mss + ip_header_bytes(t.tuple) + t.tcp_header_bytes();
  if (!shrink_segments(t, smaller_packet(now_bytes, packet_least(t)))) return;
  t.mss_most = t.snd_mss;  // no message would say that larger ones vanish again
  count(Counter::tcp_black_holes);
}

// RFC 8201 4, RFC 1191 6.3: what is too old to be believed of the path is forgotten, and larger packets are tried again.
void Engine::Impl::look_at_path(Tcb& t) {
  if (t.snd_mss >= t.mss_most || !in(t.state, kSynchronised)) return;
  const u32 headers = ip_header_bytes(t.tuple) + t.tcp_header_bytes();
  const u32 packet = paths.packet_bytes(path_key(t.tuple.remote), timestamp_ticks(now));
  const u32 mss = std::min<u32>(std::max(packet, packet_least(t)) - headers, t.mss_most);
  if (mss <= t.snd_mss) return;
  t.snd_mss = static_cast<u16>(mss);
  count(Counter::tcp_path_mtu_raised);
}

}  // namespace ringway::tcp
