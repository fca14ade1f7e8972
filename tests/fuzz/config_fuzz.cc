// Any bytes as a configuration file: nothing is thrown, every problem has a sentence and a place that can be, and what
// is accepted keeps the promises that compile relies on.

#include <cstdlib>
#include <string_view>

#include "control/config/sections.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 65'536) return 0;
  ringway::config::Config config;
  const auto problems = ringway::config::read({reinterpret_cast<const char*>(data), size}, "fuzz", config);
  for (const auto& problem : problems) must(!problem.message.empty() && problem.line >= 0 && problem.column >= 0);
  if (!problems.empty()) return 0;
  must(!config.gateway.ports.empty() && !config.gateway.cores.empty());
  must(config.gateway.vip_range.bits >= 8 && config.gateway.vip_range.bits <= 30);
  for (const auto& service : config.services) {
    must(!service.discovery_name.empty());
    for (const auto& alias : service.client_aliases) must(!alias.dns_name.empty() && alias.port != 0);
  }
  for (const auto& listener : config.listeners) {
    for (const auto& route : listener.routes) {
      const bool answers = route.actions.redirect || route.actions.answer;
      must((answers || !route.backends.empty()) && route.hosts.size() == route.host_marks.size());
      for (const auto& backend : route.backends) must(backend.service < config.services.size());
    }
  }
  return 0;
}
