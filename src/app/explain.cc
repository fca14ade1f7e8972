#include "src/app/explain.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "control/config/load.h"
#include "dataplane/http/h1_read.h"

namespace ringway::app {

using admin::Json;

namespace {

struct Url {
  std::string host;  // lower case
  u16 port = 80;
  std::string authority;
  std::string target;
};

std::optional<u16> port_of(const std::string& text) {
  u16 port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::optional<Url> read_url(std::string text) {
  if (text.starts_with("http://")) text.erase(0, 7);
  Url url;
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  url.authority = text.substr(0, end);
  url.target = text.substr(end, text.find('#') - end);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  const std::size_t colon = url.authority.find(':');
  url.host = url.authority.substr(0, colon);
  std::transform(url.host.begin(), url.host.end(), url.host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (url.host.empty()) return std::nullopt;
  if (colon != std::string::npos) {
    const auto port = port_of(url.authority.substr(colon + 1));
    if (!port) return std::nullopt;
    url.port = *port;
  }
  return url;
}

// The listener that the client's connection would reach, or null with `error` set.
const contract::Listener* find_listener(const contract::Plan& plan, const Url& url, std::string& error) {
  std::optional<wire::Ip4> ip = config::parse_ip4(url.host);
  for (const auto& name : plan.dns_names)
    if (!ip && name.name == url.host) ip = name.ip;
  const contract::Listener* only = nullptr;
  u32 on_port = 0;
  for (const auto& listener : plan.listeners) {
    if (listener.port != url.port) continue;
    if (ip && listener.ip == *ip) return &listener;
    only = &listener;
    on_port++;
  }
  // A name that we do not serve still reaches a shared listener when the client resolves it elsewhere.
  if (!ip && on_port == 1) return only;
  error = ip ? "nothing listens on " + admin::ip_text(*ip) + ":" + std::to_string(url.port)
             : url.host + " is not a name of this gateway, and " + std::to_string(on_port) + " listeners have port " +
                   std::to_string(url.port);
  return nullptr;
}

// The request as a client would send it; empty when a field line has no colon.
std::optional<std::string> request_bytes(const admin::ExplainRequest& request, const Url& url) {
  std::string bytes = request.method + " " + url.target + " HTTP/1.1\r\nHost: " + url.authority + "\r\n";
  for (std::size_t at = 0; at < request.fields.size();) {
    const std::size_t end = std::min(request.fields.find('\n', at), request.fields.size());
    const std::string line = request.fields.substr(at, end - at);
    if (line.find(':') == std::string::npos) return std::nullopt;
    bytes += line + "\r\n";
    at = end + 1;
  }
  return bytes + "\r\n";
}

}  // namespace

Json Explain::answer(const contract::Plan& plan, const admin::ExplainRequest& request) {
  const auto url = read_url(request.url);
  if (!url) return {{"error", "this is not a URL like http://auth-service:4000/validate: " + request.url}};
  const std::string& source = request.source;
  const std::size_t colon = source.find(':');
  const auto client = source.empty() ? wire::Ip4{} : config::parse_ip4(source.substr(0, colon));
  if (source.size() != 0 && !client) return {{"error", "source is not an IPv4 address: " + source}};
  u16 client_port = 0;
  if (colon != std::string::npos) client_port = port_of(source.substr(colon + 1)).value_or(0);

  std::string error;
  const contract::Listener* listener = find_listener(plan, *url, error);
  if (listener == nullptr) return {{"error", error}};

  const auto bytes = request_bytes(request, *url);
  if (!bytes) return {{"error", "a header field is written \"Name: value\""}};
  const http::HeadLimits limits{plan.limits.head_bytes, plan.limits.fields, plan.limits.target_bytes};
  http::RequestHead head;
  const auto read = http::read_request({reinterpret_cast<const u8*>(bytes->data()), bytes->size()}, limits, head);
  if (read.status != http::ReadStatus::complete) {
    return {{"error", "the gateway would refuse this request: " + std::string(http::text_of(read.reject).sentence)}};
  }

  const route::Explanation e = explainer_.explain(plan, *listener, head, client.value_or(wire::Ip4{}), client_port);
  Json looks = Json::array();
  for (const route::Look& look : e.looks) {
    const Json slot = look.maglev_slot == kNone32 ? Json(nullptr) : Json(look.maglev_slot);
    looks.push_back({{"endpoint", look.id}, {"maglev_slot", slot}, {"outcome", look.outcome}});
  }
  const bool known = config::parse_ip4(url->host) || std::any_of(plan.dns_names.begin(), plan.dns_names.end(), [&](const auto& n) {
                       return n.name == url->host;
                     });
  const std::string note = known ? "" : url->host + " is not a name of this gateway; its only listener on port " +
                                            std::to_string(url->port) + " is assumed";
  char hash[19];
  std::snprintf(hash, sizeof(hash), "0x%016llx", static_cast<unsigned long long>(e.pick.hash));
  return {{"listener", e.listener}, {"address", admin::ip_text(listener->ip) + ":" + std::to_string(listener->port)},
          {"route", e.route}, {"rule", e.rule}, {"why", e.why}, {"note", note}, {"scanned", e.match.scanned}, {"service", e.service},
          {"policy", e.policy}, {"hash_input", e.hash_input}, {"hash", hash},
          {"slot", e.pick.slot == kNone32 ? Json(nullptr) : Json(e.pick.slot)}, {"walked", e.pick.walked},
          {"panic", e.pick.panic}, {"looks", looks}, {"endpoint", e.endpoint}, {"outcome", e.outcome},
          {"plan_generation", plan.generation}};
}

}  // namespace ringway::app
