// Circuit breakers: how much of a service may be under way at once, and who waits for a connection when it has as many as
// it may. What is over a limit is answered 503 at once, so that a service in trouble is not buried.

#include "dataplane/relay/relay.h"

namespace ringway::relay {

// Of the present plan's service over all cores; read without a lock, so that a burst may pass by what it takes to see it.
// Counting first and asking then would not be exact without a fence for each request, and would turn two away where one
// has room.
u64 Relay::sum_over_cores(u32 service_slot, contract::Cell contract::ServiceStats::* cell) const {
  if (config_.all_stats.empty()) return (stats_.services[service_slot].*cell).get();
  u64 sum = 0;
  for (const contract::CoreStats* core : config_.all_stats) sum += (core->services[service_slot].*cell).get();
  return sum;
}

// One request more would be too many.
bool Relay::is_overloaded(const contract::Service& service) {
  const contract::CircuitBreakers& limits = service.breakers;
  if (limits.requests == 0 && !limits.adaptive) return false;
  auto& numbers = stats_.services[service.slot];
  const bool over = (limits.requests != 0 && sum_over_cores(service.slot, &contract::ServiceStats::active) >= limits.requests) ||
                    (limits.adaptive && numbers.active.get() >= concurrency_[service.slot].limit());
  if (over) numbers.overflows.add();
  return over;
}

// A response has come: adaptive concurrency learns from it.
void Relay::note_latency(const Exchange& x) {
  const contract::Service& service = x.plan->services[x.service];
  if (!service.breakers.adaptive) return;
  auto& numbers = service_stats(x);
  ConcurrencyLimit& limit = concurrency_[service.slot];
  limit.on_response(now_us_ - x.attempt_started_us, numbers.active.get(), service.breakers.adaptive_min);
  numbers.concurrency.set(limit.limit());
}

// The service has as many connections as it may. An idle one of another endpoint then makes room.
bool Relay::is_full(const Exchange& x) {
  const contract::Service& service = x.plan->services[x.service];
  const u32 share = service.breakers.core_connections;
  if (share == 0) return false;
  auto& numbers = service_stats(x);
  if (numbers.upstreams.get() < share) return false;
  const bool may_rest = pending_[service.slot].resting > 0;
  for (u32 i = 0; i < service.endpoint_count; ++i) {
    const contract::EndpointSlot slot = x.plan->endpoints[service.first_endpoint + i].slot;
    while (!idle_[slot].empty()) {
      const u32 u = idle_[slot].back();
      unlink_idle(u);
      free_upstream(u, false);
      if (numbers.upstreams.get() < share) return false;  // a new plan may allow many fewer than there are
    }
    for (u32 u = may_rest ? taking_[slot].front() : kNone32; u != kNone32; u = taking_[slot].next(upstreams_, u)) {
      if (!upstreams_[u].resting) continue;
      retire(u);  // its end comes with its timer, and wakes who waits
      return true;
    }
  }
  return true;
}

// The exchange waits until a connection is free; 503 when too many do.
void Relay::wait_for_connection(u32 index) {
  Exchange& x = exchanges_[index];
  const contract::Service& service = x.plan->services[x.service];
  auto& list = pending_[service.slot].list;
  if (list.size() >= service.breakers.core_pending) {
    service_stats(x).overflows.add();
    return fail_exchange(index, 503, "too many requests wait for a connection", "UO");
  }
  x.pending = true;
  list.push_back(exchanges_, index);
  service_stats(x).pending.set(list.size());
  arm_exchange(x);
}

void Relay::leave_pending(u32 index) {
  Exchange& x = exchanges_[index];
  if (!std::exchange(x.pending, false)) return;
  auto& list = pending_[x.plan->services[x.service].slot].list;
  list.remove(exchanges_, index);
  service_stats(x).pending.set(list.size());
}

// A connection of the service is free, or there is room for a new one: whoever waits longest goes on, at the end of this
// poll, since a caller may be in the middle of the connection's events.
void Relay::note_free(u32 service_slot) {
  Pending& pending = pending_[service_slot];
  if (pending.list.size() > pending.freed && pending.freed++ == 0) freed_.push_back(service_slot);
}

void Relay::wake_pending() {
  while (!freed_.empty()) {
    Pending& pending = pending_[freed_.back()];
    freed_.pop_back();
    for (u32 n = std::exchange(pending.freed, 0); n > 0 && !pending.list.empty();) {
      const u32 index = pending.list.front();
      leave_pending(index);
      const u32 session = exchanges_[index].session;
      read_again(exchanges_[index]);
      dispatch(index, request_head_);
      // A connection of streams may have room for more than one: as long as it has, the next one goes on as well.
      const bool more = exchanges_.used(index) && exchanges_[index].upstream_stream != kNone32 && takes_streams(exchanges_[index].upstream);
      if (!more) --n;
      if (sessions_.used(session)) advance(session);
    }
  }
}

}  // namespace ringway::relay
