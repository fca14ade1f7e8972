// ringwayctl: asks a running gateway over its admin socket, and prints for people or, with --json, for programs.
//
// Exit status: 0 done; 1 the gateway is not there, refuses, or is not ready, with a sentence on stderr. It knows nothing
// but the admin server's JSON (control/admin/admin.h), and the file that a recorder left (control/trace/memory.h).

#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "control/admin/unix_http.h"
#include "tools/ringwayctl/table.h"
#include "tools/ringwayctl/trace_text.h"

namespace {

using Json = nlohmann::ordered_json;
using ringway::admin::percent_encode;
using namespace ringway::ctl;

constexpr ringway::u32 kPatienceSeconds = 60;  // a reload compiles every route

struct Answer {
  unsigned status = 0;
  std::string text;
  Json json;
};

[[noreturn]] void fail(const std::string& sentence) {
  std::fprintf(stderr, "ringwayctl: %s\n", sentence.c_str());
  std::exit(1);
}

Answer ask(const std::string& socket, const std::string& method, const std::string& target) {
  const auto reply = ringway::admin::ask(socket, method, target, kPatienceSeconds);
  if (!reply.has_value()) fail(reply.error());
  return {reply->status, reply->body, Json::parse(reply->body, nullptr, false)};
}

std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_unsigned() || value.is_number_integer()) return grouped(value.get<unsigned long long>());
  return value.dump();
}
std::string plain(const Json& value) { return value.is_number() ? value.dump() : text_of(value); }
double number(const Json& value) { return value.is_number() ? value.get<double>() : 0.0; }

std::string status_text(const Json& j) {
  std::string out = "Ringway " + plain(j["version"]) + ", " + plain(j["state"]) + (j["ready"] == true ? ", ready" : ", not ready") +
                    ", up " + plain(j["uptime_s"]) + " s, pid " + plain(j["pid"]) + "\n";
  out += "configuration " + plain(j["config"]) + ", plan " + plain(j["plan_generation"]) + ": " + plain(j["services"]) +
         " services, " + plain(j["endpoints"]["healthy"]) + " of " + plain(j["endpoints"]["all"]) + " endpoints healthy\n";
  out += "steering " + plain(j["steering"]) + ": " + plain(j["steering_why"]) + "\n\n";
  Table ports({"PORT", "DRIVER", "MAC", "QUEUES", "MTU", "MULTI-SEGMENT"});
  for (const Json& p : j["ports"])
    ports.add({plain(p["name"]), plain(p["driver"]), plain(p["mac"]), plain(p["queues"]), plain(p["mtu"]), plain(p["multi_segs"])});
  Table cores({"CORE", "BUSY %", "PLAN", "REQUESTS", "CONNECTIONS", "MBUFS"});
  for (const Json& c : j["cores"]) {
    char busy[16];
    std::snprintf(busy, sizeof(busy), "%.1f", number(c["busy_percent"]));
    cores.add({plain(c["core"]), busy, plain(c["plan_generation"]), text_of(c["requests"]), text_of(c["connections"]),
               text_of(c["mbufs_in_use"])});
  }
  return out + ports.text() + "\n" + cores.text();
}

// What the gateway itself did not let through to a service, whatever the cause.
unsigned long long refusals(const Json& causes) {
  unsigned long long sum = 0;
  for (const Json& cause : causes) sum += cause.get<unsigned long long>();
  return sum;
}

std::string services_text(const Json& j) {
  Table t({"SERVICE", "LISTENS ON", "HEALTHY", "REQUESTS", "ACTIVE", "2XX", "4XX", "5XX", "REFUSED", "P50", "P99"});
  for (const Json& s : j) {
    std::string listens;
    for (const Json& l : s["listeners"])
      listens += (listens.empty() ? "" : " ") + plain(l["address"]) + ":" + plain(l["port"]);
    const Json& r = s["responses"];
    t.add({plain(s["service"]), listens.empty() ? "-" : listens, plain(s["healthy"]) + "/" + plain(s["endpoints"]),
           text_of(s["requests"]), text_of(s["active"]), text_of(r["2xx"]), text_of(r["4xx"]), text_of(r["5xx"]),
           text_of(refusals(s["refused"])), duration(number(s["latency_us"]["p50"])), duration(number(s["latency_us"]["p99"]))});
  }
  return t.text();
}

std::string endpoints_text(const Json& j) {
  Table t({"ENDPOINT", "HEALTH", "ZONE", "PRIORITY", "WEIGHT", "LABELS", "REQUESTS", "ACTIVE", "2XX", "5XX", "CONNECTIONS", "FAILURES", "LAST CHECK",
           "EJECTED", "UNTIL"});
  for (const Json& e : j) {
    std::string check = plain(e["last_check"]);
    if (check != "-" && number(e["last_status"]) > 0) check += " " + plain(e["last_status"]);
    t.add({plain(e["endpoint"]), plain(e["health"]), plain(e["zone"]).empty() ? "-" : plain(e["zone"]), plain(e["priority"]),
           plain(e["weight"]), e["labels"].empty() ? "-" : plain(e["labels"]),
           text_of(e["requests"]), text_of(e["active"]), text_of(e["responses"]["2xx"]), text_of(e["responses"]["5xx"]),
           text_of(e["connections"]), text_of(e["connect_failures"]), check, text_of(e["ejections"]), plain(e["ejected_until"])});
  }
  return t.text();
}

// What is nested by its path, as the documentation names settings.
template <class Text>
void add_paths(Table& t, const std::string& path, const Json& object, Text text) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) add_paths(t, path + key + ".", value, text);
    else t.add({path + key, text(value).empty() ? "-" : text(value)});
  }
}

std::string service_text(const Json& j) {
  Table settings({"SETTING", "VALUE"});
  add_paths(settings, "", j["settings"], plain);
  Table numbers({"NUMBER", "VALUE"});
  add_paths(numbers, "", j["numbers"], text_of);
  Table listeners({"LISTENER", "ADDRESS", "BY"});
  for (const Json& l : j["listeners"]) {
    std::string by = l["default"] == true ? "default" : "";
    for (const Json& r : l["routes"]) by += (by.empty() ? "route " : ", route ") + plain(r["route"]) + " weight " + plain(r["weight"]);
    if (l.contains("acceptProxyProtocol")) by += (by.empty() ? "" : ", ") + ("acceptProxyProtocol from " + l["acceptProxyProtocol"]["from"].dump());
    listeners.add({plain(l["name"]), plain(l["address"]), by});
  }
  return "service " + plain(j["service"]) + ", plan " + plain(j["plan_generation"]) + "\n\n" + settings.text() + "\n" +
         numbers.text() + "\n" + listeners.text() + "\n" + endpoints_text(j["endpoints"]);
}

std::string connections_text(const Json& j) {
  Table t({"CORE", "CLIENT", "LOCAL", "CALLER", "STAGE", "SERVICE", "ENDPOINT", "REQUESTS", "IN", "OUT", "AGE", "IDLE"});
  for (const Json& c : j["connections"])
    t.add({plain(c["core"]), plain(c["client"]), plain(c["local"]), plain(c["caller"]), plain(c["stage"]), plain(c["service"]), plain(c["endpoint"]),
           text_of(c["requests"]), bytes(number(c["bytes_in"])), bytes(number(c["bytes_out"])),
           duration(number(c["age_ms"]) * 1000), duration(number(c["idle_ms"]) * 1000)});
  return text_of(j["total"]) + " connections, " + text_of(j["shown"]) + " shown\n" + t.text();
}

// What is zero says nothing, unless all is asked for.
std::string counters_text(const Json& j, bool all) {
  std::string out;
  const auto section = [&](const char* title, const Json& numbers) {
    Table t({title, "COUNT"});
    std::size_t rows = 0;
    for (const auto& [name, value] : numbers.items())
      if (all || number(value) != 0) {
        t.add({name, text_of(value)});
        rows++;
      }
    if (rows != 0) out += (out.empty() ? "" : "\n") + t.text();
  };
  section("COUNTER", j["counters"]);
  section("VERDICT", j["verdicts"]);
  for (const auto& [name, numbers] : j["ports"].items()) section(("PORT " + name).c_str(), numbers);
  Table ticks({"CORE", "POLLS", "IDLE %", "WORKING %", "BACK-PRESSURED %"});
  for (const Json& c : j["cores"]) {
    double sums[3] = {}, total = 0;
    unsigned regime = 0;
    for (const auto& [name, phases] : c["ticks"].items()) {
      for (const auto& [phase, n] : phases.items()) sums[regime] += number(n);
      total += sums[regime++];
    }
    std::vector<std::string> cells{plain(c["core"]), text_of(c["polls"])};
    for (const double s : sums) {
      char percent[16];
      std::snprintf(percent, sizeof(percent), "%.1f", total == 0 ? 0.0 : 100 * s / total);
      cells.emplace_back(percent);
    }
    ticks.add(cells);
  }
  return out + "\n" + ticks.text();
}

std::string shifts_text(const Json& j) {
  Table t({"SERVICE", "NEW VERSION", "STAGE", "SHARE", "NEXT STEP", "REQUESTS", "5XX", "P99", "WHY"});
  for (const Json& s : j) {
    char share[16];
    std::snprintf(share, sizeof(share), "%.2f %%", number(s["share_percent"]));
    t.add({plain(s["service"]), plain(s["green"]), plain(s["stage"]) + (s["paused"] == true ? ", paused" : ""), share,
           s["next_step_in_s"].is_null() ? "-" : "in " + duration(number(s["next_step_in_s"]) * 1e6), text_of(s["requests"]),
           text_of(s["failures"]), duration(number(s["latency_p99_us"])), plain(s["reason"]).empty() ? "-" : plain(s["reason"])});
  }
  return t.text();
}

std::string explain_text(const Json& j) {
  Table t({"WHAT", "ANSWER"});
  const auto say = [&](const char* what, const std::string& answer) {
    if (!answer.empty() && answer != "-") t.add({what, answer});
  };
  say("listener", plain(j["listener"]) + " (" + plain(j["address"]) + ")");
  if (j.contains("note")) say("note", plain(j["note"]));
  say("route", plain(j["route"]));
  say("rule", plain(j["rule"]));
  say("why", plain(j["why"]));
  say("service", plain(j["service"]));
  for (const char* who : {"caller", "access"})
    if (j.contains(who)) say(who, plain(j[who]));
  say("policy", plain(j["policy"]));
  for (const Json& choice : j["choices"]) say("choice", plain(choice));
  if (!plain(j["hash_input"]).empty()) say("hash", plain(j["hash"]) + " of " + plain(j["hash_input"]));
  say("slot", plain(j["slot"]));
  for (const Json& look : j["looks"])
    say("looked at", plain(look["endpoint"]) + (look["maglev_slot"].is_null() ? "" : " in slot " + plain(look["maglev_slot"])) +
                         ": " + plain(look["outcome"]));
  say("endpoint", plain(j["endpoint"]));
  for (const Json& action : j.value("actions", Json::array())) say("action", plain(action));
  say("outcome", plain(j["outcome"]));
  const std::string text = t.text();
  return text.substr(text.find('\n') + 1);
}

// The events of a gateway that is no more, from the file that it kept them in.
int print_trace_file(const std::string& path, const ringway::trace::Filter& filter, bool as_json) {
  std::string error;
  const auto memory = ringway::trace::RecorderMemory::open(path, error);
  if (memory == nullptr) fail(error);
  const ringway::trace::Document document{ringway::trace::collect(*memory, filter), memory->cores(), {}};
  std::fputs((as_json ? document_of(document.events, document.cores, {}).dump(2) + "\n" : trace_text(document)).c_str(), stdout);
  return 0;
}

std::string trace_json_text(const Json& j) {
  const auto document = ringway::trace::read_document(j);
  if (!document) fail("the gateway's events are not of this build");
  std::string out = trace_text(*document);
  if (document->events.empty()) out = "nothing is recorded (" + plain(j["recording"]) + "); ringwayctl record on\n";
  return out;
}

int print_reload(const Answer& answer) {
  for (const Json& w : answer.json["warnings"]) std::fprintf(stderr, "warning: %s\n", plain(w).c_str());
  for (const Json& p : answer.json["problems"]) std::fprintf(stderr, "%s\n", plain(p).c_str());
  if (answer.json["applied"] == true) {
    std::printf("reloaded\n");
    return 0;
  }
  std::fprintf(stderr, "ringwayctl: the new configuration is refused; the one before it stays in force\n");
  return 1;
}

// What the command line asks for.
struct Words {
  std::string socket = "/run/ringway/admin.sock";
  bool as_json = false, all = false, undo = false;
  std::string name;                           // service
  std::string endpoint, method, url, source;  // drain, explain
  std::vector<std::string> fields;
  std::string on_off, groups = "all";         // record
  std::string service, verb, reason;          // shift
  std::string answer;                         // healthcheck
  ringway::trace::Filter filter{.core = {}, .conn = {}, .last = 200};
  std::string file;
};

void add_options(CLI::App& app, Words& w) {
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("-s,--socket", w.socket, "Admin socket of the gateway")->capture_default_str();
  app.add_flag("--json", w.as_json, "Print the gateway's JSON");
  app.add_subcommand("status", "State, ports and cores");
  app.add_subcommand("services", "Services with their requests and latency");
  app.add_subcommand("service", "One service: every setting in force, numbers, listeners and endpoints")
      ->add_option("name", w.name, "Its discoveryName")->required();
  app.add_subcommand("endpoints", "Endpoints with their health and requests");
  app.add_subcommand("connections", "A sample of the client connections");
  app.add_subcommand("reload", "Read the configuration again");
  app.add_subcommand("hosts", "Lines for /etc/hosts");
  app.add_subcommand("counters", "Counters, verdicts, port statistics and where the time goes")->add_flag("--all", w.all, "Zeros too");
  CLI::App* drain = app.add_subcommand("drain", "Drain the gateway and let it exit, or one endpoint");
  drain->add_option("--endpoint", w.endpoint, "Take only this endpoint out of rotation");
  drain->add_flag("--undo", w.undo, "Put the endpoint back")->needs("--endpoint");
  app.add_subcommand("healthcheck", "What the health endpoint answers, so that a load balancer in front takes this gateway out")
      ->add_option("answer", w.answer, "fail or ok")->required()->check(CLI::IsMember({"fail", "ok"}));
  CLI::App* explain = app.add_subcommand("explain", "Where a request would go, and why");
  explain->add_option("method", w.method, "GET, POST, ...")->required();
  explain->add_option("url", w.url, "http://name:port/path")->required();
  explain->add_option("--source", w.source, "Client address, with a port if wanted");
  explain->add_option("-H,--header", w.fields, "Header field \"Name: value\"; may be repeated")->allow_extra_args(false);
  CLI::App* shift = app.add_subcommand("shift", "Deployments of new versions: all of them, or a command to one");
  CLI::Option* service = shift->add_option("service", w.service, "Its discoveryName");
  shift->add_option("do", w.verb, "start, advance, pause, resume, rollback or alarm")->needs(service)
      ->check(CLI::IsMember({"start", "advance", "pause", "resume", "rollback", "alarm"}));
  shift->add_option("--reason", w.reason, "What is shown as the reason of a rollback or an alarm")->needs(service);
  CLI::App* record = app.add_subcommand("record", "Switch the recorder of events");
  record->add_option("switch", w.on_off, "on or off")->required()->check(CLI::IsMember({"on", "off"}));
  record->add_option("--mask", w.groups, "What to record: all, or names of groups with commas between them")->capture_default_str();
  CLI::App* trace = app.add_subcommand("trace", "The last events of all cores, in order of time");
  trace->add_option("--conn", w.filter.conn, "Only what is about this connection and its requests");
  trace->add_option("--core", w.filter.core, "Only of this core");
  trace->add_option("--last", w.filter.last, "At most so many events, the last ones")->capture_default_str();
  trace->add_option("--file", w.file, "Read the file that a gateway left behind, instead of asking one");
}

std::string target_of(const std::string& command, const Words& w) {
  std::string target = "/" + command;
  if (command == "shift") {
    if (w.verb.empty()) return "/shifts";
    return "/shift?service=" + percent_encode(w.service) + "&do=" + percent_encode(w.verb) + "&reason=" + percent_encode(w.reason);
  }
  if (command == "service") target += "?name=" + percent_encode(w.name);
  if (command == "explain") {
    std::string lines;
    for (const std::string& field : w.fields) lines += field + "\n";
    target += "?method=" + percent_encode(w.method) + "&url=" + percent_encode(w.url) + "&source=" + percent_encode(w.source) +
              "&fields=" + percent_encode(lines);
  }
  if (command == "trace") {
    target += "?last=" + std::to_string(w.filter.last);
    if (w.filter.conn) target += "&conn=" + std::to_string(*w.filter.conn);
    if (w.filter.core) target += "&core=" + std::to_string(*w.filter.core);
  }
  if (command == "healthcheck") target += "?answer=" + w.answer;
  if (command == "record") target += "?groups=" + percent_encode(w.on_off == "on" ? w.groups : "");
  if (!w.endpoint.empty()) target += "?endpoint=" + percent_encode(w.endpoint) + (w.undo ? "&undo=1" : "");
  return target;
}

std::string text_of_answer(const std::string& command, const Answer& answer, const Words& w) {
  if (command == "status") return status_text(answer.json);
  if (command == "services") return services_text(answer.json);
  if (command == "service") return service_text(answer.json);
  if (command == "endpoints") return endpoints_text(answer.json);
  if (command == "connections") return connections_text(answer.json);
  if (command == "counters") return counters_text(answer.json, w.all);
  if (command == "shift") return shifts_text(answer.json);
  if (command == "explain") return explain_text(answer.json);
  if (command == "trace") return trace_json_text(answer.json);
  if (command == "record") return "recording: " + plain(answer.json["recording"]) + "\n";
  if (command == "healthcheck") return w.answer == "ok" ? "the health endpoint answers 200\n" : "the health endpoint answers 503\n";
  if (command == "drain" && w.endpoint.empty()) return "draining\n";
  if (command == "drain") return w.endpoint + (w.undo ? " is back in rotation\n" : " takes no new requests\n");
  return answer.text;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Asks a running Ringway gateway"};
  Words words;
  add_options(app, words);
  CLI11_PARSE(app, argc, argv);

  const std::string command = app.get_subcommands().front()->get_name();
  if (command == "trace" && !words.file.empty()) return print_trace_file(words.file, words.filter, words.as_json);
  const bool posts = command == "reload" || command == "drain" || command == "record" || command == "healthcheck" ||
                     (command == "shift" && !words.verb.empty());
  const Answer answer = ask(words.socket, posts ? "POST" : "GET", target_of(command, words));
  if (answer.json.is_discarded() && command != "hosts") fail("the gateway's answer is not JSON");
  const bool refused = answer.status >= 400;
  if (words.as_json && command != "hosts") {
    std::fputs(answer.text.c_str(), stdout);
    return refused ? 1 : 0;
  }
  if (refused && answer.json.contains("error")) fail(plain(answer.json["error"]));
  if (command == "reload") return print_reload(answer);
  std::fputs(text_of_answer(command, answer, words).c_str(), stdout);
  return refused ? 1 : 0;
}
