#include "src/app/explain.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "dataplane/http/h1_read.h"
#include "src/wire/text.h"

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
  // "[fd00::1]:80": the colons within the brackets are the address's.
  const std::size_t bracket = url.authority.starts_with('[') ? url.authority.find(']') : 0;
  if (bracket == std::string::npos) return std::nullopt;
  const std::size_t colon = url.authority.find(':', bracket);
  url.host = url.authority.substr(0, colon);
  if (bracket != 0) url.host = url.host.substr(1, bracket - 1);
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

// "10.0.0.1", "10.0.0.1:4711", "fd00::1", "[fd00::1]:4711".
bool read_source(const std::string& text, wire::Ip& ip, u16& port) {
  if (const auto alone = wire::parse_ip(text)) {
    ip = *alone;
    return true;
  }
  const bool literal = text.starts_with('[');
  const std::size_t end = literal ? text.find("]:") : text.find(':');
  if (end == std::string::npos) return false;
  const std::string address = literal ? text.substr(1, end - 1) : text.substr(0, end);
  const auto read = literal ? wire::parse_ip6(address).transform([](const auto& a) { return wire::Ip(a); })
                            : wire::parse_ip4(address).transform([](const auto& a) { return wire::Ip(a); });
  const auto read_port = port_of(text.substr(end + (literal ? 2 : 1)));
  if (!read || !read_port) return false;
  ip = *read;
  port = *read_port;
  return true;
}

// The listener that the client's connection would reach, or null with `error` set.
const contract::Listener* find_listener(const contract::Plan& plan, const Url& url, std::string& error) {
  std::optional<wire::Ip> ip = wire::parse_ip(url.host);
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
  error = ip ? "nothing listens on " + to_string(*ip, url.port)
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
  wire::Ip client;
  u16 client_port = 0;
  if (!request.source.empty() && !read_source(request.source, client, client_port)) {
    return {{"error", "source is neither an address nor one with a port: " + request.source}};
  }

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

  const route::Explanation e = explainer_.explain(plan, *listener, head, client, client_port);
  Json looks = Json::array();
  for (const route::Look& look : e.looks) {
    const Json slot = look.maglev_slot == kNone32 ? Json(nullptr) : Json(look.maglev_slot);
    looks.push_back({{"endpoint", look.id}, {"maglev_slot", slot}, {"outcome", look.outcome}});
  }
  const bool known = wire::parse_ip(url->host) || std::any_of(plan.dns_names.begin(), plan.dns_names.end(), [&](const auto& n) {
                       return n.name == url->host;
                     });
  const std::string note = known ? "" : url->host + " is not a name of this gateway; its only listener on port " +
                                            std::to_string(url->port) + " is assumed";
  char hash[19];
  std::snprintf(hash, sizeof(hash), "0x%016llx", static_cast<unsigned long long>(e.pick.hash));
  return {{"listener", e.listener}, {"address", to_string(listener->ip, listener->port)},
          {"route", e.route}, {"rule", e.rule}, {"why", e.why}, {"note", note}, {"scanned", e.match.scanned}, {"service", e.service},
          {"caller", e.caller}, {"access", e.access},
          {"policy", e.policy}, {"choices", e.choices}, {"hash_input", e.hash_input}, {"hash", hash},
          {"slot", e.pick.slot == kNone32 ? Json(nullptr) : Json(e.pick.slot)}, {"walked", e.pick.walked},
          {"panic", e.pick.panic}, {"looks", looks}, {"actions", e.actions}, {"endpoint", e.endpoint}, {"outcome", e.outcome},
          {"plan_generation", plan.generation}};
}

}  // namespace ringway::app
