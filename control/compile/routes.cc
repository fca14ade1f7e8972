#include "control/compile/routes.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "control/compile/actions.h"
#include "control/compile/patterns.h"
#include "control/compile/trie.h"

namespace ringway::compile {

using config::MatchConfig;
using config::PathMatch;
using contract::PieceKind;
using contract::RouteTable;
using contract::Rule;

namespace {

// A rule with what it is sorted by.
struct Draft {
  std::string host;
  PathMatch kind = PathMatch::prefix;
  std::string path;
  u32 order = 0;  // in the file
  Rule rule;
  std::string text;
};

// Prefixes cover whole segments, so a last slash says nothing: "/a/" and "/a" are one prefix, "/" is the empty one.
std::string prefix_key(std::string path) {
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path;
}

std::string reversed(std::string_view text) { return {text.rbegin(), text.rend()}; }

bool is_wildcard(const std::string& host) { return host.starts_with("*."); }

// Smaller stands first: exact hosts, wildcards by length, any host; names only to keep one host's rules together.
auto host_rank(const std::string& host) {
  const int kind = host.empty() ? 2 : is_wildcard(host) ? 1 : 0;
  return std::tuple(kind, kind == 1 ? -static_cast<long>(host.size()) : 0L, host);
}

int path_rank(PathMatch kind) {
  switch (kind) {
    case PathMatch::exact: return 0;
    case PathMatch::regex: return 1;
    case PathMatch::prefix: return 2;
  }
  return 2;
}

// The longer prefix first; expressions have no length that means anything, so they stay in the order of the rest.
auto rank(const Draft& d) {
  const long length = d.kind == PathMatch::prefix ? -static_cast<long>(d.path.size()) : 0L;
  return std::tuple(host_rank(d.host), path_rank(d.kind), length, d.kind == PathMatch::regex ? std::string() : d.path,
                    d.rule.method.empty(), -static_cast<long>(d.rule.headers.size()),
                    -static_cast<long>(d.rule.query.size()), d.order);
}

std::string text_of(const Draft& d, const MatchConfig* match) {
  std::string text = d.host.empty() ? "any host" : "host " + d.host;
  switch (d.kind) {
    case PathMatch::exact: text += ", path " + d.path; break;
    case PathMatch::prefix: text += ", path prefix " + (d.path.empty() ? std::string("/") : d.path); break;
    case PathMatch::regex: text += ", path ~ " + d.path; break;
  }
  if (match == nullptr) return text;
  if (!match->method.empty()) text += ", method " + match->method;
  const auto add = [&](const char* what, const std::vector<config::ValueCondition>& list) {
    for (const auto& c : list)
      text += std::string(", ") + what + ' ' + c.name + (c.type == config::ValueMatch::regex ? " ~ " : " = ") + c.value;
  };
  add("header", match->headers);
  add("query", match->query);
  return text;
}

class TableCompiler {
 public:
  TableCompiler(const config::ListenerConfig& listener, std::span<const u32> service_index, PatternSet& patterns,
                ActionSet& actions, std::vector<std::pair<u32, config::Mark>>& uses)
      : listener_(listener), service_index_(service_index), patterns_(patterns), actions_(actions), uses_(uses) {}

  RouteTable compile() {
    table_.name = listener_.name;
    for (const auto& route : listener_.routes) add_route(route);
    std::stable_sort(drafts_.begin(), drafts_.end(), [](const Draft& a, const Draft& b) { return rank(a) < rank(b); });
    lay_out();
    std::sort(table_.pieces.begin(), table_.pieces.end());
    table_.pieces.erase(std::unique(table_.pieces.begin(), table_.pieces.end()), table_.pieces.end());
    return std::move(table_);
  }

 private:
  void add_route(const config::RouteConfig& route) {
    contract::Route out;
    out.name = route.name;
    for (const auto& backend : route.backends) {
      out.weight_sum += backend.weight;
      const u32 service = service_index_.empty() ? backend.service : service_index_[backend.service];
      const u32 actions = actions_.add_backend(route, backend);
      out.backends.push_back({service, backend.weight, out.weight_sum, actions});
    }
    if (route.backends.empty()) out.actions = actions_.add_answer(listener_, route);
    table_.routes.push_back(std::move(out));
    const std::vector<std::string> any_host{""};
    for (const auto& host : route.hosts.empty() ? any_host : route.hosts) {
      if (route.matches.empty()) add_rule(host, nullptr);
      for (const auto& match : route.matches) add_rule(host, &match);
    }
  }

  void add_rule(const std::string& host, const MatchConfig* match) {
    Draft d;
    d.host = host;
    d.order = static_cast<u32>(drafts_.size());
    d.rule.route = static_cast<u32>(table_.routes.size() - 1);
    if (match != nullptr) {
      if (match->path) {
        d.kind = match->path->type;
        d.path = d.kind == PathMatch::prefix ? prefix_key(match->path->value) : match->path->value;
        if (d.kind == PathMatch::prefix) d.rule.prefix_bytes = static_cast<u32>(d.path.size());
        if (d.kind == PathMatch::regex)
          d.rule.path_pattern = pattern(PieceKind::path, "", match->path->value, match->path->mark);
      }
      d.rule.method = match->method;
      d.rule.headers = conditions(PieceKind::header, match->headers);
      d.rule.query = conditions(PieceKind::query, match->query);
    }
    d.text = text_of(d, match);
    drafts_.push_back(std::move(d));
  }

  std::vector<contract::Condition> conditions(PieceKind kind, const std::vector<config::ValueCondition>& list) {
    std::vector<contract::Condition> out;
    for (const auto& c : list) {
      const bool regex = c.type == config::ValueMatch::regex;
      out.push_back({c.name, c.value, regex ? pattern(kind, c.name, c.value, c.mark) : kNone32});
    }
    return out;
  }

  u32 pattern(PieceKind kind, const std::string& name, const std::string& expression, config::Mark mark) {
    const u32 index = patterns_.add(kind, name, expression);
    uses_.emplace_back(index, mark);
    table_.pieces.push_back(patterns_.piece_of(index));
    return index;
  }

  // Sorted drafts to rules, runs and tries. Hosts come in runs, and within a host its paths do.
  void lay_out() {
    TrieBuilder hosts('.');
    for (std::size_t i = 0; i < drafts_.size();) {
      const std::string host = drafts_[i].host;
      const u32 index = static_cast<u32>(table_.hosts.size());
      if (host.empty())
        table_.any_host = index;
      else if (is_wildcard(host))
        hosts.set_prefix(reversed(host.substr(2)), index);
      else
        hosts.set_exact(reversed(host), index);
      table_.hosts.push_back(lay_out_host(host, i));
    }
    table_.host_trie = hosts.build();
  }

  contract::HostRules lay_out_host(const std::string& host, std::size_t& i) {
    contract::HostRules out;
    out.host = host;
    TrieBuilder paths('/');
    while (i < drafts_.size() && drafts_[i].host == host) {
      const PathMatch kind = drafts_[i].kind;
      const std::string path = drafts_[i].path;
      contract::RuleRun run{static_cast<u32>(table_.rules.size()), 0};
      for (; i < drafts_.size() && drafts_[i].host == host && drafts_[i].kind == kind &&
             (kind == PathMatch::regex || drafts_[i].path == path);
           ++i, ++run.count) {
        table_.rules.push_back(std::move(drafts_[i].rule));
        table_.rule_texts.push_back(std::move(drafts_[i].text));
      }
      if (kind == PathMatch::regex) {
        out.patterns = run;
        continue;
      }
      const u32 value = static_cast<u32>(out.runs.size());
      out.runs.push_back(run);
      if (kind == PathMatch::exact)
        paths.set_exact(path, value);
      else
        paths.set_prefix(path, value);
    }
    out.paths = paths.build();
    return out;
  }

  const config::ListenerConfig& listener_;
  std::span<const u32> service_index_;
  PatternSet& patterns_;
  ActionSet& actions_;
  std::vector<std::pair<u32, config::Mark>>& uses_;
  RouteTable table_;
  std::vector<Draft> drafts_;
};

// Paths of access rules. Tables that scan for routes scan for these as well, so that one scan serves both.
void add_access_patterns(const config::Config& config, PatternSet& patterns, std::vector<std::pair<u32, config::Mark>>& uses,
                         Routes& out) {
  for (const auto& service : config.services) {
    for (const auto& rule : service.access.rules) {
      for (const auto& path : rule.paths) {
        if (path.type != PathMatch::regex) continue;
        const u32 index = patterns.add(PieceKind::path, "", path.value);
        uses.emplace_back(index, path.mark);
        out.access_patterns.emplace(path.value, index);
        out.access_pieces = {patterns.piece_of(index)};  // the path is one piece
      }
    }
  }
  if (out.access_pieces.empty()) return;
  for (RouteTable& table : out.tables) {
    if (table.pieces.empty() || std::ranges::binary_search(table.pieces, out.access_pieces[0])) continue;
    table.pieces.insert(std::ranges::upper_bound(table.pieces, out.access_pieces[0]), out.access_pieces[0]);
  }
}

}  // namespace

std::expected<Routes, std::vector<config::Problem>> compile_routes(const config::Config& config, u32 cores,
                                                                   std::span<const u32> service_index) {
  Routes out;
  PatternSet patterns;
  ActionSet actions(config, service_index);
  std::vector<std::pair<u32, config::Mark>> uses;  // where each pattern is written; one may be in several places
  for (const auto& service : config.services) out.actions_of.push_back(actions.add_service(service));
  for (const auto& listener : config.listeners) {
    if (listener.routes.empty()) {
      out.table_of.push_back(kNone32);
      continue;
    }
    out.table_of.push_back(static_cast<u32>(out.tables.size()));
    out.tables.push_back(TableCompiler(listener, service_index, patterns, actions, uses).compile());
  }
  add_access_patterns(config, patterns, uses, out);
  std::vector<config::Problem> problems = actions.problems();
  auto substitutions = actions.substitutions().build(cores + 1);
  if (!substitutions) problems.push_back({config.file, 0, 0, substitutions.error()});
  auto db = patterns.build(cores + 1);
  if (db && problems.empty()) {
    out.patterns = std::move(*db);
    out.actions = std::move(actions.actions());
    out.substitutions = std::move(*substitutions);
    return out;
  }
  if (db) return std::unexpected(std::move(problems));
  for (const auto& [pattern, mark] : uses)
    for (const auto& fault : db.error())
      if (fault.pattern == pattern)
        problems.push_back({config.file, mark.line, mark.column, "regular expression: " + fault.sentence});
  for (const auto& fault : db.error())
    if (fault.pattern == kNone32) problems.push_back({config.file, 0, 0, "regular expressions: " + fault.sentence});
  return std::unexpected(std::move(problems));
}

}  // namespace ringway::compile
