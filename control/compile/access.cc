// See access.h.

#include "control/compile/access.h"

#include <algorithm>
#include <map>

#include "control/compile/trie.h"
#include "src/contract/rate.h"
#include "src/wire/text.h"

namespace ringway::compile {
namespace {

using config::AccessRuleConfig;
using config::PathMatch;

// --- sources

using Number = unsigned __int128;
Number number_of(const wire::Ip6& a) { return Number{a.high()} << 64 | a.low(); }

// What is said of one network.
struct Said {
  u32 caller = kNone32;
  std::vector<u32> rules;  // bits whose `cidrs` name it
};
using Networks = std::map<std::pair<Number, u32>, Said>;  // by first address, wider ones first

// A rule of a service and its place in a row of bits.
struct PlacedRule {
  const AccessRuleConfig* rule;
  u32 bit;
  std::vector<u32> callers;  // sorted
};

class SourceBuilder {
 public:
  SourceBuilder(const Networks& networks, const std::vector<PlacedRule>& rules, contract::Callers& out)
      : networks_(networks), rules_(rules), out_(out) {}

  // False when there are too many sources.
  bool build() {
    begin_range(0);
    for (const auto& [place, said] : networks_) {
      close_before(place.first);
      const Number size = Number{1} << (128 - std::max(place.second, 1u));
      const Number last = place.second == 0 ? ~Number{0} : place.first + (size - 1);
      open_.push_back({last, &said});
      begin_range(place.first);
    }
    close_before(~Number{0});
    return out_.caller.size() < contract::kNoSource;
  }

 private:
  struct Open {
    Number last;
    const Said* said;
  };

  // Networks that end before `next` are left; what follows them is a range of those around.
  void close_before(Number next) {
    while (!open_.empty() && open_.back().last < next) {
      const Number behind = open_.back().last + 1;
      open_.pop_back();
      begin_range(behind);
    }
  }

  void begin_range(Number first) {
    const contract::Source source = source_here();
    const auto high = static_cast<u64>(first >> 64), low = static_cast<u64>(first);
    auto& ranges = out_.ranges;
    if (!ranges.empty() && ranges.back().high == high && ranges.back().low == low) ranges.pop_back();
    if (ranges.empty() || ranges.back().source != source) ranges.push_back({high, low, source});
  }

  contract::Source source_here() {
    u32 caller = kNone32;
    std::vector<u32> named;  // bits
    for (const Open& open : open_) {
      if (open.said->caller != kNone32) caller = open.said->caller;
      named.insert(named.end(), open.said->rules.begin(), open.said->rules.end());
    }
    std::ranges::sort(named);
    named.erase(std::unique(named.begin(), named.end()), named.end());
    const auto [known, fresh] = sources_.try_emplace({caller, named}, kNone32);
    if (!fresh) return static_cast<contract::Source>(known->second);
    std::vector<u64> row(out_.words);
    for (const PlacedRule& p : rules_) {
      const bool caller_holds = p.rule->callers.empty() || std::ranges::binary_search(p.callers, caller);
      const bool network_holds = p.rule->networks.empty() || std::ranges::binary_search(named, p.bit);
      if (caller_holds && network_holds) row[p.bit / 64] |= u64{1} << (p.bit % 64);
    }
    const auto [same, first_of_kind] = kinds_.try_emplace({caller, row}, static_cast<u32>(out_.caller.size()));
    known->second = same->second;
    if (first_of_kind && out_.caller.size() < contract::kNoSource) {
      out_.caller.push_back(caller);
      out_.holds.insert(out_.holds.end(), row.begin(), row.end());
    }
    return static_cast<contract::Source>(same->second);
  }

  const Networks& networks_;
  const std::vector<PlacedRule>& rules_;
  contract::Callers& out_;
  std::vector<Open> open_;
  std::map<std::pair<u32, std::vector<u32>>, u32> sources_;  // by caller and the rules that name a network here
  std::map<std::pair<u32, std::vector<u64>>, u32> kinds_;
};

u32 index_of(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<u32>(std::ranges::lower_bound(names, name) - names.begin());
}

std::vector<std::string> caller_names(const config::Config& config) {
  std::vector<std::string> names;
  for (const auto& service : config.services) names.push_back(service.discovery_name);
  for (const auto& caller : config.callers) names.push_back(caller.name);
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// The address of an endpoint is its service, unless another service has it too or `callers` names it.
void name_networks(const config::Config& config, const std::vector<std::string>& names, Networks& networks) {
  constexpr u32 kSeveral = kNone32 - 1;
  for (const auto& service : config.services) {
    const u32 caller = index_of(names, service.discovery_name);
    for (const auto& endpoint : service.endpoints) {
      u32& here = networks[{number_of(endpoint.ip.ip6()), 128}].caller;
      here = here == kNone32 || here == caller ? caller : kSeveral;
    }
  }
  for (auto& [place, said] : networks) {
    if (said.caller == kSeveral) said.caller = kNone32;
  }
  for (const auto& caller : config.callers) {
    for (const auto& network : caller.networks) {
      networks[{number_of(network.prefix.network), network.prefix.bits}].caller = index_of(names, caller.name);
    }
  }
}

// --- rules

std::string text_of(const AccessRuleConfig& rule) {
  std::string text = rule.allow ? "allow" : "deny";
  const auto add = [&](const char* what, const auto& list, const auto& name) {
    for (std::size_t i = 0; i < list.size(); ++i) text += (i == 0 ? ", " + std::string(what) : std::string(" or ")) + name(list[i]);
  };
  add("caller ", rule.callers, [](const auto& c) { return c.name; });
  add("from ", rule.networks, [](const auto& n) { return to_string(n.prefix); });
  add("method ", rule.methods, [](const auto& m) { return m; });
  add("path ", rule.paths, [](const auto& p) {
    return (p.type == PathMatch::exact ? "= " : p.type == PathMatch::regex ? "~ " : "prefix ") + p.value;
  });
  return text;
}

// The rules of a service as far as they do not ask for the source. Prefixes cover whole segments, so a last slash says nothing.
void fill_rules(const config::AccessConfig& in, const Routes& routes, contract::Admission& out) {
  const std::size_t words = (in.rules.size() + 63) / 64;
  std::map<std::string, std::vector<u32>> exact, prefix;  // rules by what they name
  out.path_holds.resize(words);
  const auto hold = [&](std::size_t row, u32 rule) { out.path_holds[row * words + rule / 64] |= u64{1} << (rule % 64); };
  for (u32 i = 0; i < in.rules.size(); ++i) {
    const AccessRuleConfig& rule = in.rules[i];
    contract::AccessRule made{.allow = rule.allow, .any_path = rule.paths.empty(), .methods = rule.methods};
    for (const auto& path : rule.paths) {
      std::string key = path.value;
      switch (path.type) {
        case PathMatch::exact: exact[key].push_back(i); break;
        case PathMatch::prefix:
          while (key.ends_with('/')) key.pop_back();
          prefix[key].push_back(i);
          break;
        case PathMatch::regex: made.patterns.push_back(routes.access_patterns.at(key)); break;
      }
    }
    if (made.any_path || !made.patterns.empty()) hold(0, i);
    out.rules.push_back(std::move(made));
    out.rule_texts.push_back(text_of(rule));
  }
  if (words == 0) return;
  TrieBuilder trie('/');
  const auto add_row = [&](const std::vector<u32>& named) {
    const std::size_t row = out.path_holds.size() / words;
    out.path_holds.resize((row + 1) * words);
    for (const u32 rule : named) hold(row, rule);
    return static_cast<u32>(row);
  };
  for (const auto& [key, named] : exact) trie.set_exact(key, add_row(named));
  for (const auto& [key, named] : prefix) trie.set_prefix(key, add_row(named));
  if (!exact.empty() || !prefix.empty()) out.paths = trie.build();
}

// --- rates

const contract::Admission* admission_of(const contract::Plan* plan, const std::string& service) {
  if (plan == nullptr) return nullptr;
  for (const contract::Service& s : plan->services) {
    if (s.discovery_name == service) return s.admission == kNone32 ? nullptr : &plan->admissions[s.admission];
  }
  return nullptr;
}

// `before` where it is of the same rate and the same buckets.
std::shared_ptr<contract::RateLimiter> limiter(const std::optional<config::RateConfig>& rate, u32 buckets, u32 cores,
                                               const std::shared_ptr<contract::RateLimiter>& before) {
  if (!rate) return nullptr;
  const contract::RateLimit limit = contract::rate_limit(rate->per_second, rate->burst, cores);
  const bool same = before != nullptr && before->limit() == limit && before->buckets() == buckets && before->cores() == cores;
  return same ? before : std::make_shared<contract::RateLimiter>(limit, buckets, cores);
}

// --- ingress

void fill_ingress(const config::Config& config, contract::Plan& plan) {
  const config::IngressConfig& in = config.gateway.ingress;
  plan.ingress.allow = in.allow;
  for (const auto& rule : in.rules) {
    contract::IngressRule out{.allow = rule.allow};
    for (const auto& network : rule.networks) out.from.push_back(network.prefix);
    for (const auto& range : rule.ports) out.to.push_back({.port_first = range.first, .port_last = range.last});
    for (const auto& ref : rule.listeners) {
      const auto named = std::ranges::find(config.listeners, ref.name, &config::ListenerConfig::name);
      const std::string name = named == config.listeners.end() ? ref.name : ref.name + ":" + std::to_string(named->port);
      for (const auto& l : plan.listeners) {
        if (l.name == name) out.to.push_back({l.ip, l.port, l.port});
      }
    }
    plan.ingress.rules.push_back(std::move(out));
  }
}

}  // namespace

void fill_access(const config::Config& config, const Routes& routes, const contract::Plan* previous, u32 cores,
                 contract::Plan& plan, std::vector<config::Problem>& problems) {
  contract::Callers& callers = plan.callers;
  callers.names = caller_names(config);
  const bool same_callers = previous != nullptr && previous->callers.names == callers.names;
  const u32 buckets = static_cast<u32>(callers.names.size()) + 1;
  Networks networks;
  name_networks(config, callers.names, networks);
  std::vector<PlacedRule> rules;
  for (std::size_t i = 0; i < config.services.size(); ++i) {
    const config::ServiceConfig& service = config.services[i];
    const config::RateLimitConfig& rates = service.rate_limit;
    if (service.access.allow && service.access.rules.empty() && !rates.all && !rates.per_caller) continue;
    const contract::Admission* const before = admission_of(previous, service.discovery_name);
    contract::Admission out{.allow = service.access.allow, .first_word = callers.words};
    fill_rules(service.access, routes, out);
    for (u32 n = 0; n < service.access.rules.size(); ++n) {
      const AccessRuleConfig& rule = service.access.rules[n];
      const u32 bit = callers.words * 64 + n;
      PlacedRule placed{&rule, bit, {}};
      for (const auto& ref : rule.callers) placed.callers.push_back(index_of(callers.names, ref.name));
      std::ranges::sort(placed.callers);
      rules.push_back(std::move(placed));
      for (const auto& network : rule.networks) {
        networks[{number_of(network.prefix.network), network.prefix.bits}].rules.push_back(bit);
      }
    }
    callers.words += static_cast<u32>((out.rules.size() + 63) / 64);
    const bool callers_stay = before != nullptr && same_callers;
    out.rate = limiter(rates.all, 1, cores, before == nullptr ? nullptr : before->rate);
    out.rate_per_caller = limiter(rates.per_caller, buckets, cores, callers_stay ? before->rate_per_caller : nullptr);
    plan.services[i].admission = static_cast<u32>(plan.admissions.size());
    plan.admissions.push_back(std::move(out));
  }
  // A version that is being brought in is behind the rules and rates of the one that is called, unless it has its own.
  for (const contract::Service& service : plan.services) {
    if (service.deployment.green == kNone32) continue;
    u32& green = plan.services[service.deployment.green].admission;
    if (green == kNone32) green = service.admission;
  }
  if (!SourceBuilder(networks, rules, callers).build()) {
    problems.push_back({config.file, 0, 0, "callers and access rules tell more than " + std::to_string(contract::kNoSource) +
                                               " kinds of sources apart"});
  }
  fill_ingress(config, plan);
}

}  // namespace ringway::compile
