#include "src/app/telemetry.h"

#include <rte_telemetry.h>

#include <cstring>
#include <mutex>
#include <string>

namespace ringway::app {

using admin::Json;

namespace {

// DPDK's callbacks carry no argument of ours.
std::mutex source_mutex;
const admin::Admin* source = nullptr;

// Telemetry takes letters, digits, '_' and '/' in names.
std::string safe_name(const std::string& name) {
  std::string out = name.substr(0, RTE_TEL_MAX_STRING_LEN - 1);
  for (char& c : out)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '/') c = '_';
  return out;
}

void add(rte_tel_data* dict, const std::string& name, const Json& value) {
  const std::string key = safe_name(name);
  if (value.is_boolean()) {
    rte_tel_data_add_dict_u64(dict, key.c_str(), value.get<bool>() ? 1 : 0);
  } else if (value.is_number_float()) {
    rte_tel_data_add_dict_u64(dict, key.c_str(), static_cast<u64>(value.get<double>()));
  } else if (value.is_number()) {
    rte_tel_data_add_dict_u64(dict, key.c_str(), value.get<u64>());
  } else if (value.is_string()) {
    rte_tel_data_add_dict_string(dict, key.c_str(), value.get<std::string>().substr(0, RTE_TEL_MAX_SINGLE_STRING_LEN / 16).c_str());
  } else if (value.is_object() || value.is_array()) {
    u32 place = 0;
    for (const auto& [inner, v] : value.items())
      add(dict, name + "_" + (value.is_array() ? std::to_string(place++) : inner), v);
  }
}

void add_all(rte_tel_data* dict, const Json& document) {
  rte_tel_data_start_dict(dict);
  for (const auto& [name, value] : document.items()) add(dict, name, value);
}

// Without a parameter the names, with one the numbers of that row.
int rows(const Json& documents, const char* name_key, const char* parameter, rte_tel_data* out) {
  if (parameter == nullptr || *parameter == '\0') {
    rte_tel_data_start_array(out, RTE_TEL_STRING_VAL);
    for (const Json& row : documents)
      rte_tel_data_add_array_string(out, row[name_key].get<std::string>().substr(0, RTE_TEL_MAX_STRING_LEN - 1).c_str());
    return 0;
  }
  for (const Json& row : documents)
    if (row[name_key].get<std::string>() == parameter) {
      add_all(out, row);
      return 0;
    }
  return -EINVAL;
}

template <class Tell>
int with_source(Tell tell) {
  std::lock_guard lock(source_mutex);
  return source == nullptr ? -EAGAIN : tell(*source);
}

int on_status(const char*, const char*, rte_tel_data* out) {
  return with_source([&](const admin::Admin& a) { return add_all(out, a.status()), 0; });
}
int on_counters(const char*, const char*, rte_tel_data* out) {
  return with_source([&](const admin::Admin& a) { return add_all(out, a.counters()["counters"]), 0; });
}
int on_verdicts(const char*, const char*, rte_tel_data* out) {
  return with_source([&](const admin::Admin& a) { return add_all(out, a.counters()["verdicts"]), 0; });
}
int on_services(const char*, const char* parameter, rte_tel_data* out) {
  return with_source([&](const admin::Admin& a) { return rows(a.services(), "service", parameter, out); });
}
int on_endpoints(const char*, const char* parameter, rte_tel_data* out) {
  return with_source([&](const admin::Admin& a) { return rows(a.endpoints(), "endpoint", parameter, out); });
}

}  // namespace

void start_telemetry(const admin::Admin& admin) {
  {
    std::lock_guard lock(source_mutex);
    source = &admin;
  }
  rte_telemetry_register_cmd("/ringway/status", on_status, "State of the gateway. Takes no parameters");
  rte_telemetry_register_cmd("/ringway/counters", on_counters, "Counters of all cores. Takes no parameters");
  rte_telemetry_register_cmd("/ringway/verdicts", on_verdicts, "Why packets ended where they did. Takes no parameters");
  rte_telemetry_register_cmd("/ringway/services", on_services, "Names of the services; with a name: its numbers");
  rte_telemetry_register_cmd("/ringway/endpoints", on_endpoints, "Ids of the endpoints; with an id: its numbers");
}

void stop_telemetry() {
  std::lock_guard lock(source_mutex);
  source = nullptr;
}

}  // namespace ringway::app
