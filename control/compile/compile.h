#pragma once
// compile: from a checked Config to the Plan that cores adopt.
//
// Slots come from the registry under the plan's generation; on failure they are given back before it returns. The
// registry's owner retires the generation when the plan is freed. What is found wrong only here (a regular expression
// that Hyperscan refuses, a VIP range too small, no free slot) is reported all at once, with the places in the file.
// Deterministic: the order of services' endpoints in the file changes nothing in their Maglev tables.
//
// Control thread only, milliseconds to seconds; never on a core.

#include <expected>
#include <memory>
#include <vector>

#include "control/compile/vips.h"
#include "control/config/config.h"
#include "control/registry/registry.h"
#include "src/contract/plan.h"

namespace ringway::compile {

struct CompileContext {
  u64 generation = 1;    // not used before with this registry
  u32 cores = 1;         // that will adopt the plan: scan rooms of the pattern database, a core's share of limits
  VipMap previous_vips;  // of the plan in force; empty at start
  const contract::Plan* previous = nullptr;  // itself: rates that do not change keep their buckets
  const contract::ShiftBoard* shifts = nullptr;  // outlives every plan
};

std::expected<std::unique_ptr<contract::Plan>, std::vector<config::Problem>> compile(const config::Config& config,
                                                                                     registry::Registry& registry,
                                                                                     const CompileContext& context);

}  // namespace ringway::compile
