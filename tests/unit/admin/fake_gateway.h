#pragma once
// A gateway of pages alone: fixed numbers, no core, no port. For tests of what reads them.

#include <memory>

#include "control/admin/admin.h"
#include "control/trace/memory.h"

namespace ringway::test {

struct FakeGateway {
  contract::CoreStats core0, core1;
  contract::ConnectionPage page0, page1;
  contract::HealthBoard board;
  std::shared_ptr<contract::Plan> plan = std::make_shared<contract::Plan>();
  u32 reloads = 0, drains = 0;
  bool accepts_reload = true, health_answer = true;
  std::string drained_endpoint, shifted;
  std::unique_ptr<trace::RecorderMemory> recorded;
  u32 recording = 0;

  FakeGateway() {
    plan->generation = 7;
    contract::Service service;
    service.slot = 3;
    service.port_name = "auth";
    service.discovery_name = "auth-service";
    service.endpoint_count = 2;
    plan->services.push_back(service);
    plan->endpoints.push_back({.ip = wire::Ip4::of(10, 0, 0, 11), .port = 80, .slot = 4, .id = "auth-service/10.0.0.11:80", .zone = "a"});
    plan->endpoints.push_back({.ip = wire::Ip4::of(10, 0, 0, 12), .port = 80, .slot = 5, .id = "auth-service/10.0.0.12:80", .zone = {}});
    contract::Listener listener;
    listener.ip = wire::Ip4::of(10, 80, 64, 1);
    listener.port = 4000;
    listener.service = 0;
    listener.name = "auth-service:4000";
    listener.proxies = {{wire::Ip6::from_halves(0, u64{0xffff} << 32 | wire::Ip4::of(10, 80, 0, 0).v), 120}};
    plan->listeners.push_back(listener);
    plan->endpoint_labels = {{{"track", "canary"}}, {}};
    plan->dns_names.push_back({"auth-service", listener.ip});
    plan->callers.names = {"office"};
    plan->callers.ranges = {{0, 0, 0}, {0, u64{0xffff} << 32 | wire::Ip4::of(10, 80, 0, 0).v, 1}, {0, u64{0xffff} << 32 | wire::Ip4::of(10, 80, 1, 0).v, 0}};
    plan->callers.caller = {kNone32, 0};
    board.store(4, 0);
    for (contract::CoreStats* core : {&core0, &core1}) {
      core->page.count(contract::Counter::requests, 1000);
      core->page.count(contract::Verdict::eth_truncated, 2);
      core->page.plan_generation.set(7);
      core->services[3].requests.set(1000);
      core->services[3].responses[2].set(990);
      core->services[3].responses[5].set(10);
      core->services[3].denied.set(5);
      core->services[3].limited.set(2);
      core->endpoints[4].requests.set(1000);
      core->endpoints[4].responses[2].set(1000);
      for (u32 i = 0; i < 100; i++) core->services[3].latency_us.record(20);
    }
    core0.page.ticks[0][1].set(75);
    core0.page.ticks[1][1].set(25);
    contract::ConnectionRow row;
    row.client = wire::Ip4::of(10, 80, 0, 2);
    row.client_port = 5555;
    row.local = listener.ip;
    row.local_port = 4000;
    row.stage = contract::ConnectionStage::exchanging;
    row.service = 3;
    row.endpoint = 4;
    row.requests = 12;
    row.bytes_in = 2048;
    row.age_us = 61'000'000;
    page1.write(0, row);
    page1.finish(1, 9);
    record_some();
  }

  // A request of connection 12 on core 1, and a plan that control published before it.
  void record_some() {
    using contract::EventKind;
    std::string error;
    recorded = trace::RecorderMemory::make("", 2, 64, 1'000'000'000, error);
    recorded->set_anchor({.tsc = 0, .unix_ns = 1'700'000'000'000'000'000});
    contract::Recorder control;
    contract::Recorder& core = core1.page.recorder;
    core.attach(recorded->ring(1));
    control.attach(recorded->ring(2));
    for (contract::Recorder* r : {&core, &control}) r->record(contract::kAllEventGroups);
    control.at(1'000'000);
    control.note<EventKind::plan_published>({.x = 7});
    core.at(2'000'000);
    core.note<EventKind::routed>({.conn = 12, .exchange = 5, .x = 3});
    core.note<EventKind::picked>({.code = 1, .half = 1, .conn = 12, .exchange = 5, .x = 4, .y = 9});
    core.at(3'000'000);
    core.note<EventKind::request_end>({.half = 200, .conn = 12, .exchange = 5, .x = 1000});
    core.note<EventKind::segment_in>({.code = 0x10, .conn = 8});
    core.record(0);
  }

  admin::Sources sources() {
    admin::Sources s;
    s.cores = {&core0, &core1};
    s.connections = {&page0, &page1};
    s.board = &board;
    s.recorded = recorded.get();
    s.recording = [this] { return recording; };
    s.record = [this](u32 groups) { recording = groups; };
    s.plan = [this] { return plan; };
    s.status = [] {
      return admin::Json{{"version", "1.2.3"}, {"state", "serving"}, {"pid", 42}, {"uptime_s", 60}, {"config", "gw.yaml"},
                         {"steering", "single"}, {"steering_why", "one core owns every flow"},
                         {"ports", {{{"name", "net_ring0"}, {"driver", "net_ring"}, {"mac", "02:00:00:00:00:01"},
                                     {"queues", 2}, {"mtu", 1500}, {"multi_segs", true}}}}};
    };
    s.ready = [] { return true; };
    s.now_us = [] { return TimeUs{1'000'000}; };
    s.unix_us = [] { return u64{1'700'000'000'000'000}; };
    s.health = [](contract::EndpointSlot slot) {
      health::EndpointReport report;
      if (slot == 4) report.ejection = {.cause = health::EjectionCause::consecutive_5xx, .times = 1, .factor = 1, .out = true,
                                        .since_us = 1'000'000, .until_us = 31'000'000};
      return report;
    };
    s.answer_health = [this](bool ok) { health_answer = ok; };
    s.xstats = [] { return std::vector<admin::PortNumbers>{{"net_ring0", {{"rx_good_packets", 5}}}}; };
    s.reload = [this] {
      reloads++;
      if (accepts_reload) return admin::ReloadAnswer{.applied = true, .problems = {}, .warnings = {"gateway.cores takes effect at the next start"}};
      return admin::ReloadAnswer{.applied = false, .problems = {"gw.yaml:3:5: unknown key \"x\""}, .warnings = {}};
    };
    s.drain = [this] { drains++; };
    s.drain_endpoint = [this](const std::string& id, bool undo) {
      drained_endpoint = (undo ? "-" : "+") + id;
      return id == plan->endpoints[0].id;
    };
    s.shift = [this](const std::string& service, shift::Shifter::Verb verb, const std::string& reason) {
      shifted = service + " " + std::to_string(static_cast<u32>(verb)) + " " + reason;
      return std::string(service == "auth-service" ? "" : "service " + service + " has no deployment");
    };
    s.explain = [](const admin::ExplainRequest& r) -> admin::Json {
      if (r.url == "http://nowhere/") return {{"error", "nowhere is not a name of this gateway"}};
      return {{"listener", "auth-service:4000"}, {"address", "10.80.64.1:4000"}, {"route", ""}, {"rule", ""},
              {"why", r.method + " " + r.url + " " + r.source + r.fields}, {"service", "auth-service"}, {"policy", "round robin"},
              {"choices", admin::Json::array()}, {"hash_input", ""}, {"hash", "0x0000000000000000"}, {"slot", nullptr},
              {"looks", {{{"endpoint", "auth-service/10.0.0.11:80"}, {"maglev_slot", nullptr}, {"outcome", "taken"}}}},
              {"endpoint", "auth-service/10.0.0.11:80"}, {"outcome", "forwarded"}};
    };
    return s;
  }
};

}  // namespace ringway::test
