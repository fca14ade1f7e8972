// Endpoints that have left their service: idle connections to them close at once; exchanges go on until control says that
// the drain time is over, and what is left then ends. Listeners that have left the plan: clients that wait for nothing are
// told the end, the others after what they wait for. Connections are looked at a few in each poll.

#include <algorithm>

#include "dataplane/relay/relay.h"

namespace ringway::relay {

void Relay::endpoint_left(contract::EndpointSlot slot, u32 incarnation, TimeUs now_us) {
  now_us_ = now_us;
  const auto each = [&](const auto& list, auto&& end) {
    for (u32 u = list.front(), next; u != kNone32; u = next) {
      next = list.next(upstreams_, u);
      if (upstreams_[u].incarnation == incarnation) end(u);
    }
  };
  each(idle_[slot], [this](u32 u) {
    unlink_idle(u);
    free_upstream(u, false);
  });
  each(taking_[slot], [this](u32 u) { retire(u); });
}

void Relay::endpoint_over(contract::EndpointSlot slot, u32 incarnation, TimeUs now_us) {
  endpoint_left(slot, incarnation, now_us);
  if (over_[slot] == 0) over_slots_.push_back(slot);
  over_[slot] = incarnation;
  over_place_ = 0;
}

// Ends exchanges with endpoints that are over, in at most `most` places. An exchange that may be repeated goes elsewhere.
void Relay::end_over(u32 most) {
  for (; most > 0 && over_place_ < upstreams_.high_water(); --most, ++over_place_) {
    const u32 u = over_place_;
    if (!upstreams_.used(u) || upstreams_[u].incarnation != over_[upstreams_[u].slot]) continue;
    if (upstreams_[u].h2 != kNone32) {
      page().count(contract::Counter::drains_cut, h2_.streams(upstreams_[u].h2));
      fail_streams(u, contract::Outcome::reset, true);
      free_upstream(u, true);
    } else if (upstreams_[u].state != UpstreamState::idle) {
      page().count(contract::Counter::drains_cut);
      const u32 session = exchanges_[upstreams_[u].exchange].session;
      upstream_failed(upstreams_[u].exchange, contract::Outcome::reset);
      if (sessions_.used(session)) advance(session);
    }
  }
  if (over_place_ < upstreams_.high_water()) return;
  for (const contract::EndpointSlot slot : over_slots_) over_[slot] = 0;
  over_slots_.clear();
}

bool Relay::has_listener(const Session& s) const {
  const std::pair wanted(config_.book->ip(s.tuple.local), s.tuple.local_port);
  const auto at = std::lower_bound(plan_->listeners.begin(), plan_->listeners.end(), wanted,
                                   [](const auto& l, const auto& w) { return std::pair(l.ip, l.port) < w; });
  return at != plan_->listeners.end() && std::pair(at->ip, at->port) == wanted;
}

void Relay::end_left(u32 most) {
  for (; most > 0 && left_place_ < sessions_.high_water(); --most, ++left_place_) {
    const u32 index = left_place_;
    if (!sessions_.used(index) || has_listener(sessions_[index])) continue;
    Session& s = sessions_[index];
    if (s.state == SessionState::lingering || s.goaway_sent) continue;
    if (s.state == SessionState::multiplexing) {
      last_streams(index);
      settle(index);
      continue;
    }
    s.goaway_sent = true;
    if (s.state == SessionState::reading_head && s.head_bytes_seen == 0 && engine_.received(s.conn).empty()) linger(index);
  }
  if (left_place_ >= sessions_.high_water()) left_place_ = kNone32;
}

}  // namespace ringway::relay
