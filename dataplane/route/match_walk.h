#pragma once
// The walk over the rules of one route table: the body of Router::match.
//
// Candidates come in the order of precedence that contract/routes.h states, so the first rule that holds wins: hosts
// from exact to any, in each the exact path, the regular expressions, the prefixes from long to short. Cheap conditions
// are asked first; the scan runs when the first pattern is asked for and not again. Lives for one request on the stack.

#include <array>
#include <string_view>

#include "dataplane/inspect/pieces.h"
#include "dataplane/inspect/scan.h"
#include "dataplane/route/trie.h"
#include "src/contract/plan.h"

namespace ringway::route {

class MatchWalk {
 public:
  MatchWalk(const contract::Plan& plan, const contract::RouteTable& table, u32 room, const http::RequestHead& head)
      : table_(table), head_(head), path_(head.path_text()), scan_(plan.patterns.get(), room, table.pieces, head) {}

  // Index of the winning rule, or kNone32.
  u32 find_rule() {
    if (!table_.host_trie.nodes.empty()) {
      const TriePlace place = find<HostKeys>(table_.host_trie, reversed_host());
      if (place.exact != kNone32)
        if (const u32 rule = in_host(table_.hosts[place.exact]); rule != kNone32) return rule;
      for (u32 node = place.prefix_node; node != kNone32; node = table_.host_trie.nodes[node].up)
        if (const u32 rule = in_host(table_.hosts[table_.host_trie.nodes[node].prefix]); rule != kNone32) return rule;
    }
    return table_.any_host == kNone32 ? kNone32 : in_host(table_.hosts[table_.any_host]);
  }

  bool scanned() const { return scan_.done(); }

 private:
  static constexpr std::size_t kHostBytesMax = 255;  // RFC 1035 2.3.4

  // Lower case, without port and final dot, back to front. A longer name than DNS allows is no host at all.
  std::string_view reversed_host() {
    std::string_view host = head_.text(head_.authority);
    const auto colon = host.rfind(':');
    const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
    if (has_port) host = host.substr(0, colon);
    if (!host.empty() && host.back() == '.') host.remove_suffix(1);
    if (host.size() > kHostBytesMax) return {};
    for (std::size_t i = 0; i < host.size(); ++i) host_[i] = inspect::lower(host[host.size() - 1 - i]);
    return {host_.data(), host.size()};
  }

  u32 in_host(const contract::HostRules& host) {
    const TriePlace place = find<PathKeys>(host.paths, path_);
    if (place.exact != kNone32)
      if (const u32 rule = in_run(host.runs[place.exact]); rule != kNone32) return rule;
    if (const u32 rule = in_run(host.patterns); rule != kNone32) return rule;
    for (u32 node = place.prefix_node; node != kNone32; node = host.paths.nodes[node].up)
      if (const u32 rule = in_run(host.runs[host.paths.nodes[node].prefix]); rule != kNone32) return rule;
    return kNone32;
  }

  u32 in_run(contract::RuleRun run) {
    for (u32 i = run.first; i < run.first + run.count; ++i)
      if (holds(table_.rules[i])) return i;
    return kNone32;
  }

  bool holds(const contract::Rule& rule) {
    if (!rule.method.empty() && head_.text(head_.method_text) != rule.method) return false;
    for (const auto& c : rule.headers)
      if (c.pattern == kNone32 && inspect::find_header(head_, c.name) != c.value) return false;
    for (const auto& c : rule.query)
      if (c.pattern == kNone32 && inspect::find_query(head_, c.name) != c.value) return false;
    if (rule.path_pattern != kNone32 && !scan_.matches(rule.path_pattern)) return false;
    for (const auto& c : rule.headers)
      if (c.pattern != kNone32 && !scan_.matches(c.pattern)) return false;
    for (const auto& c : rule.query)
      if (c.pattern != kNone32 && !scan_.matches(c.pattern)) return false;
    return true;
  }

  const contract::RouteTable& table_;
  const http::RequestHead& head_;
  const std::string_view path_;
  inspect::Scan scan_;
  std::array<char, kHostBytesMax> host_;
};

}  // namespace ringway::route
