#pragma once
// Who may call whom, as data: callers by source address, access rules and rates of services, and what may connect at all.
// Built by control/compile, part of the Plan (plan.h), read in place by the cores; docs/access.md tells what it means.
//
// What rules ask of a source is answered before any request comes: all networks that the file names cut the address space
// into ranges, and ranges that no rule tells apart share a `source`, a small number. A session asks for its source once per
// plan; which rules hold for it is then a row of bits.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "src/base/types.h"
#include "src/contract/routes.h"
#include "src/wire/addr.h"

struct rte_acl_ctx;  // DPDK's own name, so that only dataplane/gate includes its header

namespace ringway::contract {

class RateLimiter;  // rate.h

using Source = u16;
inline constexpr Source kNoSource = 0xffff;

// Addresses from (high, low) up to the next range's.
struct SourceRange {
  u64 high = 0, low = 0;
  Source source = 0;
  bool begins_by(u64 to_high, u64 to_low) const { return (high < to_high) | ((high == to_high) & (low <= to_low)); }
};

struct Callers {
  std::vector<std::string> names;   // by caller; sorted
  std::vector<SourceRange> ranges;  // ascending, the first begins at ::; empty: nobody has a name
  std::vector<u32> caller;          // by source: index into `names`, kNone32 for a stranger
  u32 words = 0;                    // of each row of `holds`
  std::vector<u64> holds;           // by source, a row of bits: the rule's `callers` and `cidrs` hold

  // An IPv4 address counts as ::ffff:a.b.c.d. kNoSource when there is nothing to tell apart. A binary search without branches:
  // which half an address is in cannot be foretold.
  Source source_of(const wire::Ip& ip) const {
    const u64 high = ip.ip6().high(), low = ip.ip6().low();
    const SourceRange* at = ranges.data();
    for (std::size_t left = ranges.size(); left > 1;) {
      const std::size_t half = left / 2;
      at += half & (std::size_t{0} - at[half].begins_by(high, low));
      left -= half;
    }
    return ranges.empty() ? kNoSource : at->source;
  }
  u32 caller_of(Source source) const { return source == kNoSource ? kNone32 : caller[source]; }
  u32 caller_of(const wire::Ip& ip) const { return caller_of(source_of(ip)); }
};

// What a rule asks beside the source: one of `methods`, unless there are none, and a path.
struct AccessRule {
  bool allow = true;
  bool any_path = true;           // asks for none
  std::vector<std::string> methods;
  std::vector<u32> patterns;      // paths that are expressions: indexes into PatternDb::patterns; others stand in Admission::paths
};

// What stands before a service: its rules, of which the first that holds decides, and its rates.
struct Admission {
  bool allow = true;         // where no rule holds
  u32 first_word = 0;        // rule i is bit i of a row of Callers::holds from this word on
  std::vector<AccessRule> rules;
  // Exact paths and prefixes of all rules; values are rows of `path_holds`: the rules that name that path. Row 0 are the
  // rules that have to be looked at whatever the path is: those without one, and those with expressions.
  Trie paths;
  std::vector<u64> path_holds;
  std::vector<std::string> rule_texts;  // beside, for people
  std::shared_ptr<RateLimiter> rate;             // one bucket; null: no limit
  std::shared_ptr<RateLimiter> rate_per_caller;  // a bucket for each caller, the last one for strangers; null: no limit
};

// Where a connection goes to: an address of ours, or any, and a range of ports.
struct IngressTarget {
  wire::Ip ip;  // unset: any
  u16 port_first = 0, port_last = 65'535;
};

// IPv4 networks stand as ::ffff:a.b.c.d with 96 bits more. An empty list asks nothing.
struct IngressRule {
  bool allow = true;
  std::vector<wire::Ip6Prefix> from;
  std::vector<IngressTarget> to;
};

// gateway.ingress: of several rules the first that holds decides.
struct Ingress {
  bool allow = true;  // where no rule holds
  std::vector<IngressRule> rules;
  bool refuses_nobody() const { return allow && std::ranges::all_of(rules, &IngressRule::allow); }
};

// The same, ready to be asked. Made by dataplane/gate/ingress.h, which also says what asking costs.
struct IngressAcl {
  IngressAcl() = default;
  IngressAcl(const IngressAcl&) = delete;
  IngressAcl& operator=(const IngressAcl&) = delete;
  ~IngressAcl() {
    if (release != nullptr) release(*this);
  }

  rte_acl_ctx* ip4 = nullptr;  // null: no rule is about this family
  rte_acl_ctx* ip6 = nullptr;
  bool allow = true;           // where no rule holds
  bool refuses(const wire::Ip& remote, const wire::Ip& local, u16 local_port) const {
    return ask(*this, remote, local, local_port);
  }

  // Set by who made it.
  bool (*ask)(const IngressAcl&, const wire::Ip& remote, const wire::Ip& local, u16 local_port) = nullptr;
  void (*release)(IngressAcl&) = nullptr;  // frees both
};

}  // namespace ringway::contract
