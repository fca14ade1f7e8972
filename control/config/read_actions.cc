// What routes do to requests beside choosing a service: rewrites, fields, redirects, fixed answers, faults, mirrors. See
// sections.h; docs/actions.md tells what they mean. Whatever could make an invalid head is refused here, so that the
// writers of heads need not look again.

#include <algorithm>
#include <cmath>

#include "control/config/load.h"
#include "control/config/sections.h"
#include "src/wire/text.h"

namespace ringway::config {
namespace {

using contract::PathChange;
using contract::ValuePiece;
using contract::Variable;

constexpr std::size_t kPathBytesMax = 4096;

// Framing, routing and connection are the gateway's (RFC 9110 7.6.1, 8.6; RFC 9112 6): a rule that changed them would
// make two readers of one message disagree.
constexpr std::string_view kReserved[] = {"connection", "content-length", "expect", "host", "http2-settings", "keep-alive",
                                          "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"};

constexpr std::string_view kPseudo[] = {":method", ":path", ":authority", ":scheme"};

bool is_value_text(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c == '\t' || (static_cast<u8>(c) >= 0x20 && c != 0x7f); });
}
bool is_path_text(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '?' && c != '#'; });
}

// host, or host:port.
bool is_authority_text(std::string_view text) {
  const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
  if (bracket == std::string_view::npos) return false;
  const std::size_t colon = text.find(':', bracket);
  const std::string_view host = text.substr(0, colon);
  if (colon != std::string_view::npos) {
    const std::string_view port = text.substr(colon + 1);
    if (port.empty() || port.size() > 5 || !std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; })) return false;
    if (std::stoi(std::string(port)) > 65'535) return false;
  }
  if (bracket != 0) return wire::parse_ip(std::string(host.substr(1, host.size() - 2))).has_value();
  return valid_dns_name(lower_case(host));
}

// One variable, without the percent signs.
std::optional<ValuePiece> read_variable(Reader& reader, Mark at, std::string_view text) {
  if (text.starts_with("REQ(") && text.ends_with(')')) {
    const std::string name = lower_case(text.substr(4, text.size() - 5));
    const bool pseudo = std::ranges::find(kPseudo, name) != std::end(kPseudo);
    if (!pseudo && (name.size() > 255 || !valid_token(name))) {
      reader.problem(at, "value: %" + std::string(text) + "%: a field name or :method, :path, :authority, :scheme belongs in REQ()");
      return std::nullopt;
    }
    return ValuePiece{Variable::request_field, name};
  }
  std::vector<std::string_view> known{"REQ(name)"};
  for (u32 i = 0; i < contract::kVariableNames.size(); ++i) {
    const auto variable = static_cast<Variable>(i);
    if (variable == Variable::text || variable == Variable::request_field) continue;
    if (contract::kVariableNames[i] == text) return ValuePiece{variable, ""};
    known.push_back(contract::kVariableNames[i]);
  }
  const std::string_view meant = near_miss(text, known);
  reader.problem(at, "value: %" + std::string(text) + "% is no variable" +
                         (meant.empty() ? std::string("; a percent sign is written %%") : "; did you mean %" + std::string(meant) + "%?"));
  return std::nullopt;
}

// A value into its parts: text, and variables between percent signs.
std::vector<ValuePiece> read_pieces(Reader& reader, Mark at, std::string_view text) {
  std::vector<ValuePiece> out;
  const auto put_text = [&](std::string_view part) {
    if (part.empty()) return;
    if (out.empty() || out.back().what != Variable::text) out.push_back({});
    out.back().text += part;
  };
  while (!text.empty()) {
    const std::size_t percent = std::min(text.find('%'), text.size());
    put_text(text.substr(0, percent));
    text.remove_prefix(percent);
    if (text.empty()) break;
    const std::size_t end = text.find('%', 1);
    if (end == std::string_view::npos) {
      reader.problem(at, "value: a variable has no second percent sign; a percent sign is written %%");
      break;
    }
    if (end == 1) {
      put_text("%");
    } else if (auto piece = read_variable(reader, at, text.substr(1, end - 1))) {
      out.push_back(std::move(*piece));
    }
    text.remove_prefix(end + 1);
  }
  return out;
}

class FieldNames {
 public:
  explicit FieldNames(Reader& reader) : reader_(reader) {}

  void take(const std::string& name, Mark at) {
    const std::string lower = lower_case(name);
    if (name.empty() || name.size() > 255 || !valid_token(name)) {
      reader_.problem(at, "name: must be a token of 1 to 255 characters (RFC 9110 5.6.2)");
    } else if (std::ranges::find(kReserved, lower) != std::end(kReserved)) {
      reader_.problem(at, "name: \"" + name + "\" belongs to the gateway and cannot be changed" +
                              (lower == "host" ? "; see rewrite.host" : ""));
    } else if (std::ranges::find(seen_, lower) != seen_.end()) {
      reader_.problem(at, "name: \"" + name + "\" is changed twice");
    }
    seen_.push_back(lower);
  }

 private:
  Reader& reader_;
  std::vector<std::string> seen_;
};

void read_fields(Reader& reader, const Map& map, std::string_view key, const ObjectKeys& object, FieldNames& names,
                 std::vector<FieldConfig>& out) {
  for (const Value& value : map.list(key, 0, contract::kFieldChangesMax)) {
    FieldConfig field;
    std::string text;
    const Map inner(reader, value, object);
    if (const auto at = inner.string("name", field.name)) names.take(field.name, *at);
    if (const auto at = inner.string("value", text)) {
      if (text.empty() || text.size() > contract::kFieldValueBytesMax || !is_value_text(text) || text.front() == ' ' ||
          text.front() == '\t' || text.back() == ' ' || text.back() == '\t') {
        reader.problem(*at, "value: must be 1 to 4096 characters without control characters, and not begin or end with a space");
      } else {
        field.value = read_pieces(reader, *at, text);
      }
    }
    out.push_back(std::move(field));
  }
}

// replacePrefixMatch, replaceFullPath: at most one. Returns how many are there.
int read_replacements(Reader& reader, const Map& map, RewriteConfig& out) {
  int count = 0;
  const auto read = [&](std::string_view key, PathChange kind) {
    const auto at = map.string(key, out.text);
    if (!at) return;
    ++count;
    out.path = kind;
    out.mark = *at;
    const bool may_be_empty = kind == PathChange::prefix && out.text.empty();
    if (out.text.size() > kPathBytesMax || !is_path_text(out.text) || (!may_be_empty && !out.text.starts_with('/'))) {
      reader.problem(*at, std::string(key) + ": must begin with '/', without spaces, '?' and '#', of at most 4096 characters");
    }
  };
  read("replacePrefixMatch", PathChange::prefix);
  read("replaceFullPath", PathChange::full);
  return count;
}

void read_regex(Reader& reader, const Map& map, const ObjectKeys& object, RewriteConfig& out) {
  const Map inner(reader, *map.get("regex"), object);
  out.path = PathChange::regex;
  if (const auto at = inner.string("pattern", out.pattern)) {
    out.pattern_mark = *at;
    if (out.pattern.empty() || out.pattern.size() > contract::kRewritePatternBytesMax) {
      reader.problem(*at, "pattern: must be 1 to " + std::to_string(contract::kRewritePatternBytesMax) + " characters");
    }
  }
  if (const auto at = inner.string("substitution", out.text)) {
    out.mark = *at;
    if (out.text.size() > kPathBytesMax || !is_path_text(out.text)) {
      reader.problem(*at, "substitution: no spaces, '?' and '#', at most 4096 characters");
    }
  }
}

std::optional<RewriteConfig> read_rewrite(Reader& reader, const Map& map, const keys::RewriteKeys& keys) {
  const auto value = map.get("rewrite");
  if (!value) return std::nullopt;
  RewriteConfig out;
  const Map inner(reader, *value, keys.rewrite);
  int ways = read_replacements(reader, inner, out);
  if (inner.get("regex")) {
    ++ways;
    read_regex(reader, inner, keys.regex, out);
  }
  if (ways > 1) reader.problem(value->mark, "rewrite: one of replacePrefixMatch, replaceFullPath and regex");
  const auto at = inner.string("host", out.host);
  if (at && (out.host.size() > 255 || !is_authority_text(out.host))) {
    reader.problem(*at, "host: \"" + out.host.substr(0, 80) + "\" is no host, with or without a port");
  }
  if (ways == 0 && inner.valid() && !inner.get("host")) reader.problem(value->mark, "rewrite: says nothing");
  return out;
}

void read_share(const Map& map, u32& share) {
  double percent = 100;
  if (map.number("percent", percent, 0, 100)) share = static_cast<u32>(std::lround(percent * 10'000));
}

std::optional<RedirectConfig> read_redirect(Reader& reader, const Map& map) {
  static constexpr std::pair<std::string_view, std::string_view> kSchemes[] = {{"http", "http"}, {"https", "https"}};
  const auto value = map.get("redirect");
  if (!value) return std::nullopt;
  RedirectConfig out;
  const Map inner(reader, *value, keys::kRedirect);
  std::string_view scheme;
  if (inner.choice("scheme", scheme, kSchemes)) out.scheme = scheme;
  const auto at = inner.string("host", out.host);
  if (at && (out.host.find(':') != std::string::npos || !is_authority_text(out.host))) {
    reader.problem(*at, "host: \"" + out.host.substr(0, 80) + "\" is no host name; the port has a key of its own");
  }
  inner.integer("port", out.port, 1, 65'535);
  if (read_replacements(reader, inner, out.path) > 1) {
    reader.problem(value->mark, "redirect: one of replacePrefixMatch and replaceFullPath");
  }
  if (const auto status = inner.integer("status", out.status, 301, 308); status && out.status > 303 && out.status < 307) {
    reader.problem(*status, "status: must be 301, 302, 303, 307 or 308");
  }
  return out;
}

std::optional<contract::FixedAnswer> read_answer(Reader& reader, const Map& map) {
  const auto value = map.get("directResponse");
  if (!value) return std::nullopt;
  contract::FixedAnswer out;
  out.content_type = "text/plain";
  const Map inner(reader, *value, keys::kAnswer);
  inner.integer("status", out.status, 200, 599);
  if (const auto at = inner.string("body", out.body)) {
    if (out.body.size() > contract::kAnswerBodyBytesMax) {
      reader.problem(*at, "body: must be at most " + std::to_string(contract::kAnswerBodyBytesMax) + " bytes");
    } else if (!out.body.empty() && (out.status == 204 || out.status == 205 || out.status == 304)) {
      reader.problem(*at, "body: an answer of status " + std::to_string(out.status) + " has none");
    }
  }
  const auto at = inner.string("contentType", out.content_type);
  if (at && (out.content_type.empty() || out.content_type.size() > 255 || !is_value_text(out.content_type))) {
    reader.problem(*at, "contentType: must be 1 to 255 characters without control characters");
  }
  return out;
}

std::optional<contract::Fault> read_fault(Reader& reader, const Map& map) {
  const auto value = map.get("fault");
  if (!value) return std::nullopt;
  contract::Fault out;
  const Map inner(reader, *value, keys::kFault);
  if (const auto delay = inner.get("delay")) {
    const Map part(reader, *delay, keys::kDelay);
    u32 ms = 0;
    part.integer("milliseconds", ms, 1, contract::kFaultDelayMsMax);
    out.delay_us = u64{ms} * 1000;
    out.delay_share = contract::kShareOfAll;
    read_share(part, out.delay_share);
  }
  if (const auto abort = inner.get("abort")) {
    const Map part(reader, *abort, keys::kAbort);
    const bool status = part.integer("status", out.abort_status, 400, 599).has_value();
    const bool grpc = part.integer("grpcStatus", out.abort_grpc, 1, 16).has_value();
    if (!status && !grpc && part.valid() && !part.get("status") && !part.get("grpcStatus")) {
      reader.problem(abort->mark, "abort: needs status or grpcStatus");
    }
    out.abort_share = contract::kShareOfAll;
    read_share(part, out.abort_share);
  }
  if (const auto at = inner.string("header", out.header)) {
    if (out.header.empty() || out.header.size() > 255 || !valid_token(out.header)) {
      reader.problem(*at, "header: must be a token of 1 to 255 characters (RFC 9110 5.6.2)");
    }
    out.header = lower_case(out.header);
  }
  if (inner.valid() && !inner.get("delay") && !inner.get("abort")) reader.problem(value->mark, "fault: needs delay or abort");
  return out;
}

void read_mirror(Reader& reader, const Map& map, MirrorConfig& out) {
  const auto value = map.get("mirror");
  if (!value) return;
  const Map inner(reader, *value, keys::kMirror);
  if (const auto at = inner.string("service", out.service_name)) out.mark = *at;
  read_share(inner, out.share);
}

}  // namespace

void read_field_changes(Reader& reader, const Map& map, const keys::FieldChangesKeys& keys, FieldChangesConfig& out) {
  const auto value = map.get(keys.key);
  if (!value) return;
  const Map inner(reader, *value, keys.changes);
  FieldNames names(reader);
  for (const Value& name : inner.list("remove", 0, contract::kFieldChangesMax)) {
    if (const auto text = read_string(reader, name)) {
      names.take(*text, name.mark);
      out.remove.push_back(*text);
    }
  }
  read_fields(reader, inner, "set", keys.set, names, out.set);
  read_fields(reader, inner, "add", keys.add, names, out.add);
}

void read_route_actions(Reader& reader, const Map& map, RouteConfig& route) {
  ActionsConfig& out = route.actions;
  out.rewrite = read_rewrite(reader, map, keys::kRouteRewrite);
  read_field_changes(reader, map, keys::kRouteRequest, out.request);
  read_field_changes(reader, map, keys::kRouteResponse, out.response);
  out.redirect = read_redirect(reader, map);
  out.answer = read_answer(reader, map);
  out.fault = read_fault(reader, map);
  read_mirror(reader, map, out.mirror);
  const bool answers = out.redirect || out.answer;
  if (out.redirect && out.answer) reader.problem(map.get("directResponse")->mark, "directResponse: the route redirects already");
  for (const std::string_view key : {"rewrite", "requestHeaders", "fault", "mirror", "backends"}) {
    const auto value = map.get(key);
    if (answers && value) reader.problem(value->mark, std::string(key) + ": has no effect in a route that answers itself");
  }
  if (!answers && map.valid() && !map.get("backends")) {
    reader.problem(map.mark(), "route needs backends, redirect or directResponse");
  }
}

void read_backend_actions(Reader& reader, const Map& map, BackendRef& backend) {
  backend.actions.rewrite = read_rewrite(reader, map, keys::kBackendRewrite);
  read_field_changes(reader, map, keys::kBackendRequest, backend.actions.request);
  read_field_changes(reader, map, keys::kBackendResponse, backend.actions.response);
}

void check_prefixes(Reader& reader, const RouteConfig& route) {
  const auto other = [](const MatchConfig& match) { return match.path && match.path->type != PathMatch::prefix; };
  if (std::ranges::none_of(route.matches, other)) return;
  const auto check = [&](const RewriteConfig& rewrite) {
    if (rewrite.path == PathChange::prefix) {
      reader.problem(rewrite.mark, "replacePrefixMatch: a match of this route has a path that is no prefix");
    }
  };
  if (route.actions.rewrite) check(*route.actions.rewrite);
  if (route.actions.redirect) check(route.actions.redirect->path);
  for (const BackendRef& backend : route.backends) {
    if (backend.actions.rewrite) check(*backend.actions.rewrite);
  }
}

}  // namespace ringway::config
