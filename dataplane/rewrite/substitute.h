#pragma once
// What an expression makes of a path: every match in it is replaced (Envoy's regex_rewrite). The only place of the
// dataplane that knows PCRE2.
//
// The code was compiled to machine code by control/compile/substitutions.h. A match works in the core's SubstituteRoom
// and on the stack: it allocates nothing and takes no lock. Work is bounded: kRewriteStepsMax steps for a match,
// kRewriteMatchesMax matches; an expression that wants more has failed for this path.

#include <string_view>

#include "src/base/types.h"
#include "src/contract/actions.h"

namespace ringway::rewrite {

enum class Substituted : u8 {
  unchanged,  // no match; nothing was written
  changed,
  too_long,   // the result has no room in `out`
  failed,     // above the bounds
};

// Writes the new path to `out`, its length to `bytes`.
Substituted substitute(const contract::Substitution& substitution, const contract::SubstituteRoom& room,
                       std::string_view path, MutBytes out, u32& bytes);

}  // namespace ringway::rewrite
