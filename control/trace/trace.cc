#include "control/trace/trace.h"

#include <algorithm>
#include <map>
#include <set>

namespace ringway::trace {

using contract::Event;
using contract::EventKind;

std::vector<Event> collect(const contract::EventRing& ring) {
  std::vector<Event> out;
  out.reserve(ring.capacity());
  for (u32 place = 0; place < ring.capacity(); place++)
    if (Event e; ring.read(place, e)) out.push_back(e);
  if (out.empty()) return out;
  // Numbers may wrap, but not within one ring.
  const u32 some = out.front().number;
  std::ranges::sort(out, {}, [some](const Event& e) { return static_cast<i32>(e.number - some); });
  // While this was read the writer may have gone on from where the copy began: what lies behind such a gap stays.
  const u32 newest = out.back().number;
  std::erase_if(out, [&](const Event& e) { return newest - e.number >= ring.capacity(); });
  return out;
}

std::vector<Event> around(const std::vector<Event>& events, u32 conn) {
  std::set<u32> exchanges, opened;  // opened: connections made for one of them
  for (const Event& e : events) {
    if (e.exchange == 0) continue;
    if (e.conn == conn || (e.kind == EventKind::picked && e.y == conn)) exchanges.insert(e.exchange);
  }
  for (const Event& e : events)
    if (e.kind == EventKind::picked && e.half == 0 && exchanges.contains(e.exchange)) opened.insert(e.y);
  std::map<u32, std::set<u32>> serves;  // connection to an endpoint: exchanges, many with HTTP/2
  std::vector<Event> out;
  for (const Event& e : events) {
    const bool ours = e.exchange != 0 && exchanges.contains(e.exchange);
    if (e.kind == EventKind::picked && ours) serves[e.y].insert(e.exchange);
    if (e.conn == conn || ours || serves.contains(e.conn) || opened.contains(e.conn)) out.push_back(e);
    if (e.kind != EventKind::request_end || !ours) continue;
    for (auto& [served_by, whom] : serves) whom.erase(e.exchange);
    std::erase_if(serves, [](const auto& s) { return s.second.empty(); });
  }
  return out;
}

std::vector<Traced> collect(const RecorderMemory& memory, const Filter& filter) {
  std::vector<Traced> out;
  for (u32 ring = 0; ring < memory.rings(); ring++) {
    if (filter.core && ring != *filter.core) continue;
    std::vector<Event> events = collect(memory.ring(ring));
    if (filter.conn) events = around(events, *filter.conn);
    for (const Event& e : events) {
      Traced& t = out.emplace_back();
      static_cast<Event&>(t) = e;
      t.core = ring;
      t.unix_ns = memory.unix_ns(e.tsc);
    }
  }
  std::ranges::stable_sort(out, {}, &Traced::tsc);
  if (out.size() > filter.last) out.erase(out.begin(), out.end() - filter.last);
  return out;
}

std::optional<u32> groups_of(std::string_view names) {
  if (names == "all") return contract::kAllEventGroups;
  u32 groups = 0;
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(','));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    const auto at = std::ranges::find(contract::kEventGroupTexts, name, &contract::EventGroupText::name);
    if (at == contract::kEventGroupTexts.end()) return std::nullopt;
    groups |= 1u << (at - contract::kEventGroupTexts.begin());
  }
  return groups;
}

std::string names_of(u32 groups) {
  std::string out;
  for (u32 g = 0; g < contract::kEventGroups; g++)
    if ((groups >> g & 1) != 0) out += (out.empty() ? "" : ",") + std::string(contract::kEventGroupTexts[g].name);
  return out.empty() ? "off" : out;
}

}  // namespace ringway::trace
