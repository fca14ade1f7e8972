// services[].deployment: how a new version of a service is brought in. Names, ranges and defaults of ECS' deploymentConfiguration.

#include <cmath>

#include "control/config/sections.h"

namespace ringway::config {
namespace {

constexpr double kMinutesMax = 1440;

void read_minutes(const Map& map, std::string_view key, u64& out_us) {
  double minutes = 0;
  if (map.number(key, minutes, 0, kMinutesMax)) out_us = static_cast<u64>(std::llround(minutes * 60e6));
}

void read_percent(const Map& map, std::string_view key, double least, u32& share) {
  double percent = 0;
  if (map.number(key, percent, least, 100)) share = static_cast<u32>(std::lround(percent * contract::kWholeShare / 100));
}

// canaryConfiguration and linearConfiguration: each belongs to one strategy.
void read_steps(Reader& reader, const Map& map, contract::Deployment& out) {
  using contract::ShiftStrategy;
  if (out.strategy == ShiftStrategy::canary) {
    out.step = contract::kWholeShare / 20;
    out.step_bake_us = 600'000'000;
  }
  if (const auto value = map.get("canaryConfiguration")) {
    const Map canary(reader, *value, keys::kCanary);
    if (out.strategy != ShiftStrategy::canary) return reader.problem(value->mark, "canaryConfiguration: only for strategy CANARY");
    read_percent(canary, "canaryPercent", 0.1, out.step);
    read_minutes(canary, "canaryBakeTimeInMinutes", out.step_bake_us);
  }
  if (const auto value = map.get("linearConfiguration")) {
    const Map linear(reader, *value, keys::kLinear);
    if (out.strategy != ShiftStrategy::linear) return reader.problem(value->mark, "linearConfiguration: only for strategy LINEAR");
    read_percent(linear, "stepPercent", 3, out.step);
    read_minutes(linear, "stepBakeTimeInMinutes", out.step_bake_us);
  }
}

}  // namespace

void read_deployment(Reader& reader, const Map& map, ServiceConfig& service) {
  using contract::ShiftStrategy;
  static constexpr std::pair<std::string_view, ShiftStrategy> kStrategies[] = {
      {"BLUE_GREEN", ShiftStrategy::blue_green}, {"CANARY", ShiftStrategy::canary}, {"LINEAR", ShiftStrategy::linear}};
  static constexpr std::pair<std::string_view, bool> kStarts[] = {{"manual", false}, {"auto", true}};
  const auto value = map.get("deployment");
  if (!value) return;
  if (service.app_protocol == contract::AppProtocol::tcp) {
    return reader.problem(value->mark, "deployment: not for TCP: give the service an appProtocol");
  }
  contract::Deployment& out = service.deployment;
  const Map inner(reader, *value, keys::kDeployment);
  if (const auto at = inner.string("green", service.green_name)) service.green_mark = *at;
  inner.choice("strategy", out.strategy, kStrategies);
  read_steps(reader, inner, out);
  read_minutes(inner, "bakeTimeInMinutes", out.bake_us);
  inner.choice("start", out.starts_itself, kStarts);
  out.test_header = "x-amzn-ecs-blue-green-test";
  if (const auto test = inner.get("testTraffic")) {
    const Map header(reader, *test, keys::kTestTraffic);
    if (const auto at = header.string("header", out.test_header); at && !valid_token(out.test_header)) {
      reader.problem(*at, "header: must be a token (RFC 9110 5.6.2)");
    }
    out.test_header = lower_case(out.test_header);
    header.string("value", out.test_value);
  }
  if (const auto rollback = inner.get("rollback")) {
    const Map alarm(reader, *rollback, keys::kRollback);
    alarm.integer("errorPercent", out.error_percent, 0, 100);
    u64 ms = 0;
    if (alarm.integer("latencyP99Ms", ms, 0, 3'600'000)) out.latency_p99_us = ms * 1000;
    alarm.integer("minimumRequests", out.least_requests, 1, 1'000'000'000);
  }
}

}  // namespace ringway::config
