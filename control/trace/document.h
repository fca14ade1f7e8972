#pragma once
// A trace as JSON, and back: what the admin server answers and ringwayctl prints.
//
//   {"cores": 2, "services": {"0": "auth-service"}, "endpoints": {"3": "auth-service/10.0.0.11:80"},
//    "events": [{"unix_ns": ..., "core": 0, "number": 17, "event": "picked", "conn": 4, "exchange": 9, "code": 1, "half": 0,
//                "x": 3, "y": 5}]}
//
// Names are those of the plan in force, by slot; a core number that is none is control's. Any thread; allocates.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "control/trace/trace.h"

namespace ringway::trace {

using Json = nlohmann::ordered_json;

struct Names {
  std::map<u32, std::string> services, endpoints;  // by slot
};

struct Document {
  std::vector<Traced> events;
  u32 cores = 0;
  Names names;
};

Json document_of(const std::vector<Traced>& events, u32 cores, const Names& names);
// None when it is no such document.
std::optional<Document> read_document(const Json& json);

}  // namespace ringway::trace
