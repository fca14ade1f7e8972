#pragma once
// Admin: answers the administrator's questions as JSON, from what the cores publish.
//
// GET /status /ready /services /service?name= /endpoints /connections /counters /histograms /hosts /shifts
// GET /explain?method=&url=&source=&fields=
// GET /trace[?conn=N][&core=N][&last=N]
// POST /reload  /drain  /drain?endpoint=ID[&undo=1]  /record?groups=NAMES  /healthcheck?answer=fail|ok
// POST /shift?service=NAME&do=start|advance|pause|resume|rollback
//
// Called on the admin server's thread. It reads shared pages (contract/stats.h, connections.h), the health board and
// a share of the current plan; it never asks a core and waits. What needs the control thread or the dataplane's code
// (reload, drain, explain, ports) comes as functions from the composition root.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "control/admin/unix_http.h"
#include "control/health/checker.h"
#include "control/shift/shifter.h"
#include "control/trace/trace.h"
#include "src/contract/connections.h"
#include "src/contract/health.h"
#include "src/contract/plan.h"
#include "src/contract/stats.h"

namespace ringway::admin {

using Json = nlohmann::ordered_json;

struct ReloadAnswer {
  bool applied = false;
  std::vector<std::string> problems;  // "file:line:column: sentence"; why it was refused
  std::vector<std::string> warnings;
};

struct PortNumbers {
  std::string name;
  std::vector<std::pair<std::string, u64>> xstats;
};

// GET /explain: the request to think through.
struct ExplainRequest {
  std::string method = "GET";
  std::string url;      // "http://name[:port]/path?query"
  std::string source;   // client "ip" or "ip:port"; empty is 0.0.0.0
  std::string fields;   // header fields, "Name: value" per line
};

struct Sources {
  std::vector<const contract::CoreStats*> cores;
  std::vector<const contract::ConnectionPage*> connections;  // by core
  const contract::HealthBoard* board = nullptr;
  u64 tsc_hz = 1;
  const trace::RecorderMemory* recorded = nullptr;
  std::function<u32()> recording;         // groups of events
  std::function<void(u32 groups)> record;
  std::function<std::shared_ptr<const contract::Plan>()> plan;  // null before the first
  std::function<health::EndpointReport(contract::EndpointSlot)> health;
  std::function<TimeUs()> now_us;  // the clock of health reports
  std::function<u64()> unix_us;    // the clock on the wall, at the same moment
  std::function<Json()> status;  // what only the program knows: version, uptime, ports, steering, state
  std::function<bool()> ready;   // every core works with a plan, the gateway is not draining, nobody told it to fail
  std::function<std::vector<PortNumbers>()> xstats;
  std::function<ReloadAnswer()> reload;
  std::function<void()> drain;
  std::function<void(bool ok)> answer_health;  // what the health endpoint says while the gateway serves
  // Null: no such endpoint.
  std::function<bool(const std::string& endpoint_id, bool undo)> drain_endpoint;
  std::function<std::vector<shift::Report>()> shifts;
  // Empty when done, else why not.
  std::function<std::string(const std::string& service, shift::Shifter::Verb, const std::string& reason)> shift;
  // {"error": sentence} when there is nothing to explain.
  std::function<Json(const ExplainRequest&)> explain;
};

class Admin {
 public:
  explicit Admin(Sources sources) : s_(std::move(sources)) {}
  Response answer(const Request& request) const;

  // The documents, for telemetry as well.
  Json status() const;
  Json shifts() const;
  Json services() const;
  // {"error": sentence} when no service has that discoveryName.
  Json service(const std::string& name) const;
  Json endpoints() const;
  Json connections() const;
  Json counters() const;
  Json histograms() const;
  std::string hosts() const;
  Json trace(const trace::Filter& filter) const;

 private:
  Response answer_shift(const Request& request) const;
  std::string wall_clock(TimeUs at_us) const;
  Json numbers_of(const contract::Plan& plan, const contract::Service& service) const;
  Json endpoints_of(const contract::Plan& plan, const contract::Service& service) const;
  Json endpoint(const contract::Plan& plan, const contract::Service& service, u32 index) const;
  Response answer_trace(const Request& request) const;
  Response answer_record(const Request& request) const;
  Sources s_;
};

}  // namespace ringway::admin
