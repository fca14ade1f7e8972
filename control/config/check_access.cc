// Who may call, beside the rest of the file: names that nobody has, networks that two callers claim, rules that the service's
// protocol cannot answer. See sections.h.

#include <algorithm>
#include <map>
#include <set>

#include "control/config/sections.h"
#include "src/wire/text.h"

namespace ringway::config {
namespace {

std::string text_of(const wire::Ip6Prefix& p) {
  const bool is4 = p.is4();
  return to_string(is4 ? wire::Ip(wire::Ip4{static_cast<u32>(p.network.low())}) : wire::Ip(p.network)) + "/" +
         std::to_string(is4 ? p.bits - 96 : p.bits);
}

// Names by which something may be meant.
class Names {
 public:
  Names(Reader& reader, std::string what, std::set<std::string> known)
      : reader_(reader), what_(std::move(what)), known_(std::move(known)), views_(known_.begin(), known_.end()) {}

  void expect(std::string_view key, const CallerRef& ref) const {
    if (known_.contains(ref.name)) return;
    const std::string_view meant = near_miss(ref.name, views_);
    reader_.problem(ref.mark, std::string(key) + ": there is no " + what_ + " \"" + ref.name.substr(0, 80) + "\"" +
                                  (meant.empty() ? "" : "; did you mean \"" + std::string(meant) + "\"?"));
  }

 private:
  Reader& reader_;
  std::string what_;
  std::set<std::string> known_;
  std::vector<std::string_view> views_;
};

void check_callers(Reader& reader, const Config& config) {
  std::map<std::string_view, Mark> names;
  std::map<wire::Ip6Prefix, std::pair<std::string_view, Mark>> owners;
  for (const CallerConfig& caller : config.callers) {
    if (!caller.name.empty()) {
      const auto [first, fresh] = names.emplace(caller.name, caller.mark);
      if (!fresh) reader.problem(caller.mark, "name: caller \"" + caller.name + "\" is used before" + at_line(first->second));
    }
    for (const Network& network : caller.networks) {
      const auto [first, fresh] = owners.emplace(network.prefix, std::pair(std::string_view(caller.name), network.mark));
      if (fresh) continue;
      const auto& [owner, mark] = first->second;
      reader.problem(network.mark, "cidrs: " + text_of(network.prefix) + " belongs to \"" + std::string(owner) + "\"" + at_line(mark));
    }
  }
}

void check_services(Reader& reader, const Config& config) {
  std::set<std::string> known;
  for (const CallerConfig& caller : config.callers) known.insert(caller.name);
  for (const ServiceConfig& service : config.services) known.insert(service.discovery_name);
  const Names callers(reader, "caller or service", std::move(known));
  for (const ServiceConfig& service : config.services) {
    const bool tcp = service.app_protocol == contract::AppProtocol::tcp;
    for (const AccessRuleConfig& rule : service.access.rules) {
      for (const CallerRef& ref : rule.callers) callers.expect("callers", ref);
      if (tcp && (!rule.methods.empty() || !rule.paths.empty())) {
        reader.problem(rule.mark, "rules: a TCP service has neither methods nor paths: give it an appProtocol");
      }
    }
    if (tcp && (service.rate_limit.all || service.rate_limit.per_caller)) {
      reader.problem(service.rate_limit.mark, "rateLimit: not for TCP: give the service an appProtocol");
    }
    const auto is_open = [](const AccessRuleConfig& r) {
      return r.callers.empty() && r.networks.empty() && r.methods.empty() && r.paths.empty();
    };
    const auto open = std::ranges::find_if(service.access.rules, is_open);
    if (open != service.access.rules.end() && open + 1 != service.access.rules.end()) {
      reader.warning((open + 1)->mark, "rules: never asked: the rule before holds for every request");
    }
  }
}

// Who asks for callers by endpoints' addresses should know of addresses that say nothing.
void warn_shared_addresses(Reader& reader, const Config& config) {
  const auto asks = [](const ServiceConfig& s) {
    return s.rate_limit.per_caller || std::ranges::any_of(s.access.rules, [](const auto& rule) { return !rule.callers.empty(); });
  };
  if (std::ranges::none_of(config.services, asks)) return;
  std::set<wire::Ip> named;
  for (const CallerConfig& caller : config.callers) {
    for (const Network& network : caller.networks) {
      if (network.prefix.bits == 128) named.insert(wire::Ip(network.prefix.network));
    }
  }
  std::map<wire::Ip, const ServiceConfig*> owner;
  for (const ServiceConfig& service : config.services) {
    for (const EndpointConfig& endpoint : service.endpoints) {
      const auto [first, fresh] = owner.emplace(endpoint.ip, &service);
      if (fresh || first->second == &service || !named.insert(endpoint.ip).second) continue;
      reader.warning(endpoint.mark, "address: " + to_string(endpoint.ip) + " is also an endpoint of " +
                                        first->second->discovery_name +
                                        ": calls from there have no caller until `callers` names one");
    }
  }
}

void check_ingress(Reader& reader, const Config& config) {
  std::set<std::string> known;
  for (const ListenerConfig& listener : config.listeners) known.insert(listener.name);
  for (const ServiceConfig& service : config.services) {
    for (const ClientAlias& alias : service.client_aliases) known.insert(alias.dns_name + ":" + std::to_string(alias.port));
  }
  const Names listeners(reader, "listener or alias", std::move(known));
  u64 entries = 0;
  for (const IngressRuleConfig& rule : config.gateway.ingress.rules) {
    for (const CallerRef& ref : rule.listeners) listeners.expect("listeners", ref);
    // A listener may have an address of each family.
    const u64 targets = std::max<u64>(1, rule.ports.size() + 2 * rule.listeners.size());
    entries += std::max<u64>(1, rule.networks.size()) * targets;
    if (entries <= contract::kIngressEntriesMax) continue;
    return reader.problem(rule.mark, "rules: networks by ports or listeners come to more than " +
                                         std::to_string(contract::kIngressEntriesMax) + " entries");
  }
}

}  // namespace

void check_access(Reader& reader, const Config& config) {
  check_callers(reader, config);
  check_services(reader, config);
  warn_shared_addresses(reader, config);
  check_ingress(reader, config);
}

}  // namespace ringway::config
