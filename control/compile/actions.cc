#include "control/compile/actions.h"

#include <algorithm>

namespace ringway::compile {

using contract::Actions;
using contract::FieldChanges;
using contract::PathChange;

namespace {

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return text;
}

// What the message and all before have of that name goes.
void drop(FieldChanges& out, const std::string& name) {
  const std::string lower = lower_case(name);
  std::erase_if(out.added, [&](const contract::FieldAddition& a) { return lower_case(a.name) == lower; });
  if (std::ranges::find(out.dropped, lower) == out.dropped.end()) out.dropped.push_back(lower);
}

void append(FieldChanges& out, const config::FieldChangesConfig& in) {
  for (const std::string& name : in.remove) drop(out, name);
  for (const config::FieldConfig& field : in.set) {
    drop(out, field.name);
    out.added.push_back({field.name, field.value});
  }
  for (const config::FieldConfig& field : in.add) out.added.push_back({field.name, field.value});
}

bool reads_request(const FieldChanges& changes) {
  return std::ranges::any_of(changes.added, [](const contract::FieldAddition& field) {
    return std::ranges::any_of(field.value, [](const contract::ValuePiece& p) {
      return p.what == contract::Variable::request_field || p.what == contract::Variable::protocol;
    });
  });
}

// "/xyz/" and "/xyz" stand alike for a prefix, and "/" is nothing.
std::string without_last_slash(std::string text) {
  if (text.ends_with('/')) text.pop_back();
  return text;
}

}  // namespace

u32 ActionSet::keep(Actions actions, bool says_something) {
  const bool changes = !actions.request.empty() || !actions.response.empty() || actions.path.kind != PathChange::none || !actions.host.empty();
  if (!says_something && !changes) return kNone32;
  actions.response_reads_request = reads_request(actions.response);
  actions_.push_back(std::move(actions));
  return static_cast<u32>(actions_.size() - 1);
}

void ActionSet::rewrite(const config::RewriteConfig& in, Actions& out) {
  if (!in.host.empty()) out.host = in.host;
  if (in.path == PathChange::none) return;
  out.path = {in.path, in.path == PathChange::prefix ? without_last_slash(in.text) : in.text, kNone32};
  if (in.path != PathChange::regex) return;
  out.path.text.clear();
  const auto added = substitutions_.add(in.pattern, in.text);
  if (added) {
    out.path.substitution = *added;
    return;
  }
  const config::Mark mark = added.error().in_pattern ? in.pattern_mark : in.mark;
  const config::Problem problem{config_.file, mark.line, mark.column, added.error().sentence};
  if (std::ranges::find(problems_, problem) == problems_.end()) problems_.push_back(problem);
}

u32 ActionSet::add_service(const config::ServiceConfig& service) {
  Actions out;
  append(out.request, service.request);
  append(out.response, service.response);
  return keep(std::move(out), false);
}

u32 ActionSet::add_backend(const config::RouteConfig& route, const config::BackendRef& backend) {
  Actions out;
  out.route = route.name;
  if (route.actions.rewrite) rewrite(*route.actions.rewrite, out);
  if (backend.actions.rewrite) rewrite(*backend.actions.rewrite, out);
  const config::ServiceConfig& service = config_.services[backend.service];
  for (const auto* changes : {&route.actions.request, &backend.actions.request, &service.request}) append(out.request, *changes);
  for (const auto* changes : {&route.actions.response, &backend.actions.response, &service.response}) append(out.response, *changes);
  if (route.actions.fault) out.fault = *route.actions.fault;
  const config::MirrorConfig& mirror = route.actions.mirror;
  if (mirror.service != kNone32) {
    out.mirror = {service_index_.empty() ? mirror.service : service_index_[mirror.service], mirror.share};
  }
  return keep(std::move(out), route.actions.fault.has_value() || mirror.service != kNone32);
}

u32 ActionSet::add_answer(const config::ListenerConfig& listener, const config::RouteConfig& route) {
  Actions out;
  out.route = route.name;
  append(out.response, route.actions.response);
  if (route.actions.answer) {
    out.ending = contract::Ending::answer;
    out.answer = *route.actions.answer;
  } else if (route.actions.redirect) {
    const config::RedirectConfig& in = *route.actions.redirect;
    out.ending = contract::Ending::redirect;
    out.redirect.status = in.status;
    out.redirect.scheme = in.scheme.empty() ? "http" : in.scheme;
    out.redirect.host = in.host;
    // Gateway API: without a port that of the scheme, where one is said, else the listener's; the scheme's own is not written.
    const u16 usual = out.redirect.scheme == "https" ? 443 : 80;
    const u16 port = in.port != 0 ? in.port : in.scheme.empty() ? listener.port : usual;
    if (port != usual) out.redirect.port = ":" + std::to_string(port);
    Actions path;
    rewrite(in.path, path);
    out.redirect.path = path.path;
  }
  return keep(std::move(out), out.ending != contract::Ending::forward);
}

}  // namespace ringway::compile
