#pragma once
// What the recorder's rings hold, in order of time, as a whole or around one connection.
//
// `collect` copies the rings while cores write into them; what is overwritten meanwhile is left out. Around a connection:
// what it says itself, the exchanges that it takes part in, and what the other connections of these exchanges say while
// they serve them. Connections and exchanges are numbered by each core for itself. Any thread; allocates.

#include <optional>
#include <vector>

#include "control/trace/memory.h"
#include "src/base/types.h"
#include "src/contract/recorder.h"

namespace ringway::trace {

struct Traced : contract::Event {
  u32 core = 0;     // the number of cores: control
  u64 unix_ns = 0;  // when
};

struct Filter {
  std::optional<u32> core;
  std::optional<u32> conn;
  u32 last = kNone32;  // at most so many, the last ones
};

// Of one ring, in the order of writing.
std::vector<contract::Event> collect(const contract::EventRing& ring);
// Of all of them, in order of time.
std::vector<Traced> collect(const RecorderMemory& memory, const Filter& filter);
// Those that are about connection `conn` of the one core that all of them are of.
std::vector<contract::Event> around(const std::vector<contract::Event>& events, u32 conn);

// Groups by name: "all", "requests,timers", "" for none; empty when a name is unknown.
std::optional<u32> groups_of(std::string_view names);
// The other way: "requests,timers", "off".
std::string names_of(u32 groups);

}  // namespace ringway::trace
