#pragma once
// Messages between the planes: fixed 64-byte elements on single-producer single-consumer rings (contract/ring.h).
//
// Control -> core (inbox): adopt a plan, send a probe, let go of an endpoint, drain, stop. Core -> control (outbox): what came of it, and what
// happened to endpoints. A full outbox drops the event and counts `events_dropped`; plan messages are kept and tried
// again, since a lost one would keep a plan alive for ever.

#include <array>
#include <string_view>
#include <type_traits>

#include "src/base/types.h"
#include "src/contract/health.h"
#include "src/contract/plan.h"
#include "src/wire/addr.h"

namespace ringway::contract {

enum class MailKind : u8 {
  // control -> core
  adopt_plan,   // plan
  probe,        // plan, probe: one health check of one endpoint
  drain,        // stop accepting, `Connection: close`; drain_deadline_us from now
  stop,         // leave the loop
  endpoint_left,  // endpoint, incarnation: no new exchanges come, close what is idle
  endpoint_over,  // endpoint, incarnation: its drain time is over, end what is left
  // core -> control
  plan_adopted,  // plan
  plan_retired,  // plan: this core will never touch it again
  probe_done,    // probe, outcome
  endpoint_event,  // endpoint, outcome: a failure, or a success after failures, for outlier detection
  drained,       // no connection is left
};

inline constexpr std::array<std::string_view, 11> kMailKindNames{
    "adopt_plan", "probe", "drain", "stop", "endpoint_left", "endpoint_over", "plan_adopted", "plan_retired", "probe_done", "endpoint_event", "drained"};

// gateway_error: the endpoint answered, but for somebody behind it: 502, 503, 504, or gRPC's UNAVAILABLE, DEADLINE_EXCEEDED.
enum class Outcome : u8 { success, connect_failed, timed_out, reset, bad_response, bad_status, gateway_error };
inline constexpr std::array<std::string_view, 7> kOutcomeNames{"success",      "connect_failed", "timed_out",    "reset",
                                                               "bad_response", "bad_status",     "gateway_error"};
inline constexpr u32 kOutcomeCount = static_cast<u32>(kOutcomeNames.size());

struct ProbeRef {
  u64 id = 0;               // control's own number, given back in probe_done
  u32 service = 0;          // index into plan->services: its HealthCheck
  u32 endpoint = 0;         // index into plan->endpoints
  u16 status = 0;           // probe_done: HTTP status, 0 for none
  u32 rtt_us = 0;           // probe_done: connect to answer
};

struct Mail {
  MailKind kind = MailKind::stop;
  Outcome outcome = Outcome::success;
  u16 core = 0;
  EndpointSlot endpoint_slot = 0;
  u32 incarnation = 0;
  const Plan* plan = nullptr;
  ProbeRef probe;
  u64 drain_us = 0;
};

static_assert(std::is_trivially_copyable_v<Mail>);
static_assert(sizeof(Mail) <= 64 && sizeof(Mail) % 4 == 0);

}  // namespace ringway::contract
