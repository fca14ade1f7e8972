// What a route would do to the request beside choosing a service, told by the code that does it. Control thread; allocates.

#include <cstdio>

#include "dataplane/rewrite/sources.h"
#include "dataplane/rewrite/target.h"
#include "dataplane/route/explain.h"

namespace ringway::route {

namespace {

std::string percent(u32 share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.6g", share / 10'000.0);
  return std::string(text) + " % of the requests";
}

void tell_fields(const contract::FieldChanges& changes, const http::ValueSources& sources, const char* whose,
                 std::vector<std::string>& out) {
  const http::FieldEdits edits{&changes, &sources};
  for (const std::string& name : changes.dropped) out.push_back(std::string(whose) + " header " + name + " goes");
  edits.each_added([&](std::string_view name, bool, auto parts) {
    std::string line = std::string(whose) + " header " + std::string(name) + ": ";
    parts([&](std::string_view part) { line += part; });
    out.push_back(std::move(line));
  });
}

void tell_fault(const contract::Fault& fault, std::vector<std::string>& out) {
  const std::string only = fault.header.empty() ? "" : " that have the header " + fault.header;
  if (fault.delay_share != 0) {
    out.push_back("held back for " + std::to_string(fault.delay_us / 1000) + " ms: " + percent(fault.delay_share) + only);
  }
  if (fault.abort_share != 0) {
    out.push_back("answered with " + (fault.abort_grpc >= 0 ? "gRPC status " + std::to_string(fault.abort_grpc)
                                                            : std::to_string(fault.abort_status)) +
                  ": " + percent(fault.abort_share) + only);
  }
}

}  // namespace

// What `out.match.actions` says. An answer or a refusal of the route's is the outcome.
void Explainer::tell_actions(const contract::Plan& plan, const contract::Listener& listener, const http::RequestHead& head,
                             const wire::Ip& client, u16 client_port, Explanation& out) const {
  const contract::Actions& actions = plan.actions[out.match.actions];
  std::vector<u8> room(contract::kHeadBytesMax);
  rewrite::Sources sources;
  const http::ValueSources& values = sources.fill(plan, actions, out.match.service, out.pick.endpoint, client, client_port,
                                                  false, &head, nullptr, "(a new one)");
  if (actions.ending == contract::Ending::redirect) {
    const rewrite::Text to = rewrite::location(actions.redirect, head, out.match.prefix_bytes(plan), to_string(listener.ip), room);
    out.outcome = std::to_string(actions.redirect.status) + ": redirect to " + std::string(to.text);
  } else if (actions.ending == contract::Ending::answer) {
    out.outcome = std::to_string(actions.answer.status) + ": the route's own answer of " +
                  std::to_string(actions.answer.body.size()) + " bytes";
  }
  const rewrite::Text target = rewrite::target(actions.path, {plan.substitutions.get(), room_}, head,
                                               out.match.prefix_bytes(plan), std::span(room).first(plan.limits.target_bytes));
  if (target.outcome == rewrite::Outcome::too_long) out.outcome = "414: the rewritten request target is too long";
  if (target.outcome == rewrite::Outcome::invalid) out.outcome = "500: the route's expression makes no path of this one";
  if (!target.text.empty()) out.actions.push_back("path and query become " + std::string(target.text));
  if (!actions.host.empty()) out.actions.push_back("host becomes " + actions.host);
  tell_fields(actions.request, values, "request", out.actions);
  tell_fields(actions.response, values, "response", out.actions);
  tell_fault(actions.fault, out.actions);
  if (actions.mirror.service != kNone32) {
    out.actions.push_back("copied to " + plan.services[actions.mirror.service].discovery_name + ": " + percent(actions.mirror.share));
  }
}

}  // namespace ringway::route
