#pragma once
// What variables in fields stand for, written out once per head: addresses as text, names as views of the plan.
// A value of the core's own scratch; header-only, no allocation, any thread.

#include <array>
#include <cstring>
#include <string_view>

#include "dataplane/http/decimal.h"
#include "dataplane/http/field_edits.h"
#include "src/contract/plan.h"
#include "src/wire/addr.h"
#include "src/wire/text.h"

namespace ringway::rewrite {

class Sources {
 public:
  // `plan_endpoint`: index into plan.endpoints, kNone32 where none has been picked; `service` alike.
  const http::ValueSources& fill(const contract::Plan& plan, const contract::Actions& actions, u32 service, u32 endpoint,
                                 const wire::Ip& client, u16 client_port, bool by_h2, const http::RequestHead* request,
                                 const http::NeverIndexed* never, std::string_view request_id) {
    values_ = {};
    values_.remote_address = with_port(client_, client, client_port);
    values_.remote_address_without_port = alone(client_, client);
    values_.protocol = by_h2 ? "HTTP/2" : request != nullptr && request->minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1";
    values_.route = actions.route;
    if (service != kNone32) values_.service = plan.services[service].discovery_name;
    if (endpoint != kNone32) {
      values_.endpoint = with_port(endpoint_, plan.endpoints[endpoint].ip, plan.endpoints[endpoint].port);
    }
    values_.request_id = request_id;
    values_.request = request;
    values_.never = never;
    return values_;
  }

 private:
  using Room = std::array<char, wire::kIpTextBytesMax + 8>;

  static std::string_view with_port(Room& room, const wire::Ip& ip, u16 port) {
    char* at = room.data();
    if (!ip.is4()) *at++ = '[';
    at = wire::write_text(at, ip);
    if (!ip.is4()) *at++ = ']';
    *at++ = ':';
    http::Digits digits;
    const std::string_view text = http::decimal(port, digits);
    std::memcpy(at, text.data(), text.size());
    return {room.data(), static_cast<std::size_t>(at - room.data()) + text.size()};
  }
  // The address within what `with_port` wrote.
  static std::string_view alone(const Room& room, const wire::Ip& ip) {
    const std::string_view text{room.data(), room.size()};
    return ip.is4() ? text.substr(0, text.find(':')) : text.substr(1, text.find(']') - 1);
  }

  http::ValueSources values_;
  Room client_{}, endpoint_{};
};

}  // namespace ringway::rewrite
