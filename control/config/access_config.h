#pragma once
// Who may call, as a person wrote it: `callers`, services[].access, services[].rateLimit, gateway.ingress. Part of config.h,
// whose rules hold here too.

#include <optional>
#include <string>
#include <vector>

#include "control/config/mark.h"
#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::config {

// One network; IPv4 as ::ffff:a.b.c.d with 96 bits more.
struct Network {
  Mark mark;
  wire::Ip6Prefix prefix;
};

enum class PathMatch : u8 { exact, prefix, regex };

// Of a route or of an access rule.
struct PathCondition {
  PathMatch type = PathMatch::prefix;
  std::string value = "/";  // starts with '/' for exact and prefix
  Mark mark;                // of the value
};

// callers[]: networks that have a name. A service's own may be added to its endpoints' addresses.
struct CallerConfig {
  Mark mark;
  std::string name;  // unique; may be that of a service
  std::vector<Network> networks;
};

struct CallerRef {
  Mark mark;
  std::string name;
};

// services[].access.rules[]: what is listed holds together, of each list one. An empty list asks nothing.
struct AccessRuleConfig {
  Mark mark;
  bool allow = true;
  std::vector<CallerRef> callers;
  std::vector<Network> networks;
  std::vector<std::string> methods;
  std::vector<PathCondition> paths;
};

struct AccessConfig {
  Mark mark;
  bool allow = true;
  std::vector<AccessRuleConfig> rules;
};

struct RateConfig {
  double per_second = 0;
  u32 burst = 0;
};
struct RateLimitConfig {
  Mark mark;
  std::optional<RateConfig> all, per_caller;
};

struct PortRange {
  u16 first = 0, last = 0;
};

// gateway.ingress.rules[]. `listeners` are names of listeners, or "dnsName:port" of aliases.
struct IngressRuleConfig {
  Mark mark;
  bool allow = true;
  std::vector<Network> networks;
  std::vector<PortRange> ports;
  std::vector<CallerRef> listeners;
};

struct IngressConfig {
  Mark mark;
  bool allow = true;
  std::vector<IngressRuleConfig> rules;
};

}  // namespace ringway::config
