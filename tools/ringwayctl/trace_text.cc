#include "tools/ringwayctl/trace_text.h"

#include <time.h>

#include <cstdio>

#include "dataplane/gate/segment.h"
#include "dataplane/tcp/state.h"
#include "src/contract/health.h"
#include "src/contract/mail.h"
#include "src/contract/verdict.h"
#include "src/wire/text.h"
#include "tools/ringwayctl/table.h"

namespace ringway::ctl {

namespace {

using contract::Event;

template <std::size_t n>
std::string name_in(const std::array<std::string_view, n>& names, u32 at) {
  return at < n ? std::string(names[at]) : std::to_string(at);
}

std::string flags_text(u32 flags) {
  constexpr std::pair<u32, const char*> kNames[] = {{gate::kSyn, "SYN"}, {gate::kFin, "FIN"}, {gate::kRst, "RST"},
                                                    {gate::kPsh, "PSH"}, {gate::kAck, "ACK"}, {gate::kUrg, "URG"},
                                                    {gate::kEce, "ECE"}, {gate::kCwr, "CWR"}};
  std::string out;
  for (const auto& [bit, name] : kNames)
    if ((flags & bit) != 0) out += (out.empty() ? "" : "|") + std::string(name);
  return out.empty() ? "no flag" : out;
}

std::string slot_text(const std::map<u32, std::string>& names, u32 slot) {
  const auto at = names.find(slot);
  return at == names.end() ? "in slot " + std::to_string(slot) : at->second;
}

// The half of an address that was kept, behind what is not known.
std::string low_ip6_text(const Event& e) {
  char out[32];
  std::snprintf(out, sizeof(out), "...:%x:%x:%x:%x", e.y >> 16, e.y & 0xffff, e.x >> 16, e.x & 0xffff);
  return out;
}

std::string value_text(std::string_view field, std::string_view type, const Event& e, const trace::Names& names) {
  const u32 value = field == "code" ? e.code : field == "half" ? e.half : field == "x" ? e.x : e.y;
  if (type == "verdict") return name_in(contract::kVerdictNames, value);
  if (type == "flags") return flags_text(value);
  if (type == "state") return name_in(tcp::kStateNames, value);
  if (type == "reason") return name_in(tcp::kCloseReasonNames, value);
  if (type == "timer") return name_in(tcp::kTimerModeNames, value);
  if (type == "mail") return name_in(contract::kMailKindNames, value);
  if (type == "outcome") return name_in(contract::kOutcomeNames, value);
  if (type == "health") return contract::health_words(value);
  if (type == "pooled") return value == 0 ? "new" : "pooled";
  if (type == "stream") return value == 0 ? "" : ", stream " + std::to_string(value);
  if (type == "service") return slot_text(names.services, value);
  if (type == "endpoint") return slot_text(names.endpoints, value);
  if (type == "ip4") return to_string(wire::Ip4{value});
  if (type == "ip6") return low_ip6_text(e);
  return std::to_string(value);
}

std::string time_text(u64 unix_ns) {
  const time_t seconds = static_cast<time_t>(unix_ns / 1'000'000'000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char out[64];
  std::snprintf(out, sizeof(out), "%02d:%02d:%02d.%06u", parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<unsigned>(unix_ns / 1000 % 1'000'000));
  return out;
}

std::string or_dash(u32 number) { return number == 0 ? "-" : std::to_string(number); }

}  // namespace

std::string sentence(const Event& event, const trace::Names& names) {
  std::string_view text = contract::kEventTexts[static_cast<u32>(event.kind)].text;
  std::string out;
  while (!text.empty()) {
    const std::size_t open = text.find('{');
    out += text.substr(0, open);
    if (open == std::string_view::npos) break;
    const std::size_t close = text.find('}', open);
    const std::string_view inside = text.substr(open + 1, close - open - 1);
    const std::size_t colon = inside.find(':');
    out += value_text(inside.substr(0, colon), colon == std::string_view::npos ? "" : inside.substr(colon + 1), event, names);
    text.remove_prefix(close + 1);
  }
  return out;
}

std::string trace_text(const trace::Document& document) {
  Table t({"TIME", "CORE", "CONN", "EXCHANGE", "EVENT", "WHAT"});
  for (const trace::Traced& e : document.events)
    t.add({time_text(e.unix_ns), e.core >= document.cores ? "control" : std::to_string(e.core), or_dash(e.conn), or_dash(e.exchange),
           std::string(contract::kEventTexts[static_cast<u32>(e.kind)].name), sentence(e, document.names)});
  return t.text();
}

}  // namespace ringway::ctl
