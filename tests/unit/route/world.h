#pragma once
// For tests of routing and balancing: request heads from words, and plans of services with endpoints.
//
// A TestHead owns the bytes that its head points into. A World owns a board, stats, a plan and a Router for core 0;
// endpoints are healthy unless a test says otherwise.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/route/router.h"
#include "src/lookup/maglev.h"

namespace ringway::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

class TestHead {
 public:
  TestHead(std::string_view method, std::string_view target, std::string_view host = "example.com",
           const Headers& headers = {}) {
    head_.method_text = put(method);
    head_.target = put(target);
    const auto mark = target.find('?');
    head_.path = {head_.target.offset, static_cast<u16>(std::min(mark, target.size()))};
    if (mark != std::string_view::npos) {
      head_.has_query = true;
      head_.query = {static_cast<u16>(head_.target.offset + mark + 1), static_cast<u16>(target.size() - mark - 1)};
    }
    add_field("Host", host);
    head_.authority = head_.fields[0].value;
    for (const auto& [name, value] : headers) add_field(name, value);
    head_.base = reinterpret_cast<const u8*>(bytes_->data());
  }
  const http::RequestHead& operator*() const { return head_; }

 private:
  http::Stretch put(std::string_view text) {
    const http::Stretch s{static_cast<u16>(bytes_->size()), static_cast<u16>(text.size())};
    bytes_->append(text);
    return s;
  }
  void add_field(std::string_view name, std::string_view value) {
    http::Field& f = head_.fields[head_.field_count++];
    f.name = put(name);
    f.value = put(value);
  }

  std::unique_ptr<std::string> bytes_ = std::make_unique<std::string>();
  http::RequestHead head_;
};

struct World {
  std::unique_ptr<contract::HealthBoard> board = std::make_unique<contract::HealthBoard>();
  std::unique_ptr<contract::CoreStats> stats = std::make_unique<contract::CoreStats>();
  contract::Plan plan;
  std::unique_ptr<route::Router> router = std::make_unique<route::Router>(*board, *stats, 0);

  // Returns the service's index. Weights: one for each endpoint.
  u32 add_service(const std::string& name, const std::vector<u16>& weights,
                  contract::BalancePolicy policy = contract::BalancePolicy::maglev,
                  u32 slots = contract::kMaglevSlotsDefault) {
    const u32 index = static_cast<u32>(plan.services.size());
    contract::Service s;
    s.slot = index;
    s.discovery_name = name;
    s.policy = policy;
    s.first_endpoint = static_cast<u32>(plan.endpoints.size());
    s.endpoint_count = static_cast<u32>(weights.size());
    std::vector<std::string> ids;
    for (u32 i = 0; i < weights.size(); ++i) {
      contract::Endpoint e;
      e.ip = wire::Ip4::of(10, 0, static_cast<u8>(i >> 8), static_cast<u8>(i));
      e.port = 80;
      e.weight = weights[i];
      e.slot = static_cast<u32>(plan.endpoints.size());
      e.id = name + "/" + std::to_string(10'000 + i);  // sorted as numbers are
      s.weight_sum += weights[i];
      ids.push_back(e.id);
      board->store(e.slot, 0);
      plan.endpoints.push_back(e);
    }
    if (policy == contract::BalancePolicy::maglev) {
      std::vector<lookup::MaglevEndpoint> input;
      for (u32 i = 0; i < weights.size(); ++i) input.push_back({ids[i], weights[i]});
      s.maglev = lookup::build_maglev(input, slots);
    }
    plan.services.push_back(std::move(s));
    ++plan.generation;
    return index;
  }

  contract::Service& service(u32 index) { return plan.services[index]; }
  // Endpoint `i` of the service.
  contract::Endpoint& endpoint(u32 service_index, u32 i) {
    return plan.endpoints[plan.services[service_index].first_endpoint + i];
  }
  void set_health(u32 service_index, u32 i, u32 bits) { board->store(endpoint(service_index, i).slot, bits); }

  route::Pick pick(u32 service_index, u32 client, std::span<const u32> avoid = {}) {
    static const TestHead head("GET", "/");
    return router->pick(plan, service_index, *head, wire::Ip4{client}, 4711, avoid);
  }
  void begin(const route::Pick& p, u32 service_index) {
    stats->endpoints[plan.endpoints[p.endpoint].slot].active.add();
    stats->services[plan.services[service_index].slot].active.add();
  }
  void end(u32 endpoint_index, u32 service_index) {
    stats->endpoints[plan.endpoints[endpoint_index].slot].active.sub();
    stats->services[plan.services[service_index].slot].active.sub();
  }
};

}  // namespace ringway::test
