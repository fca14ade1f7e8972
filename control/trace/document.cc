#include "control/trace/document.h"

#include <algorithm>

namespace ringway::trace {

namespace {

Json by_slot(const std::map<u32, std::string>& names) {
  Json out = Json::object();
  for (const auto& [slot, name] : names) out[std::to_string(slot)] = name;
  return out;
}

}  // namespace

Json document_of(const std::vector<Traced>& events, u32 cores, const Names& names) {
  Json list = Json::array();
  for (const Traced& e : events)
    list.push_back({{"unix_ns", e.unix_ns}, {"core", e.core}, {"number", e.number},
                    {"event", contract::kEventTexts[static_cast<u32>(e.kind)].name}, {"conn", e.conn},
                    {"exchange", e.exchange}, {"code", e.code}, {"half", e.half}, {"x", e.x}, {"y", e.y}});
  return {{"cores", cores}, {"services", by_slot(names.services)}, {"endpoints", by_slot(names.endpoints)},
          {"events", std::move(list)}};
}

std::optional<Document> read_document(const Json& json) try {
  Document out;
  out.cores = json.at("cores").get<u32>();
  for (const auto& [slot, name] : json.at("services").items()) out.names.services[static_cast<u32>(std::stoul(slot))] = name;
  for (const auto& [slot, name] : json.at("endpoints").items()) out.names.endpoints[static_cast<u32>(std::stoul(slot))] = name;
  for (const Json& from : json.at("events")) {
    Traced& e = out.events.emplace_back();
    const auto kind = std::ranges::find(contract::kEventTexts, from.at("event").get<std::string>(), &contract::EventText::name);
    if (kind == contract::kEventTexts.end()) return std::nullopt;
    e.kind = static_cast<contract::EventKind>(kind - contract::kEventTexts.begin());
    e.unix_ns = from.at("unix_ns");
    e.core = from.at("core");
    e.number = from.at("number");
    e.conn = from.at("conn");
    e.exchange = from.at("exchange");
    e.code = from.at("code");
    e.half = from.at("half");
    e.x = from.at("x");
    e.y = from.at("y");
  }
  return out;
} catch (const std::exception&) {
  return std::nullopt;
}

}  // namespace ringway::trace
