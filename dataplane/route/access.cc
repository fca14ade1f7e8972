#include "dataplane/route/access.h"

#include <bit>

#include "dataplane/inspect/scan.h"
#include "dataplane/route/trie.h"

namespace ringway::route {

namespace {

using contract::AccessRule;
using contract::Admission;

bool any_pattern_matches(const AccessRule& rule, inspect::Scan& scan) {
  for (const u32 pattern : rule.patterns)
    if (scan.matches(pattern)) return true;
  return false;
}

bool any_method_holds(const AccessRule& rule, std::string_view method) {
  for (const std::string& one : rule.methods)
    if (one == method) return true;
  return rule.methods.empty();
}

// The first rule whose source part holds, that `named` has (a word of bits by its index) or any path will do for, and for
// which `holds` says so: of the rule, and whether it was named.
template <class Named, class F>
Judgement first_that_holds(const contract::Plan& plan, const Admission& admission, contract::Source source, Named&& named,
                           F&& holds) {
  const u32 count = static_cast<u32>(admission.rules.size());
  const u64* const row = plan.callers.holds.data() + source * plan.callers.words + admission.first_word;
  for (u32 word = 0; word * 64 < count; ++word) {
    const u64 by_path = named(word);
    for (u64 left = row[word] & (by_path | admission.path_holds[word]); left != 0; left &= left - 1) {
      const u32 bit = static_cast<u32>(std::countr_zero(left));
      const AccessRule& rule = admission.rules[word * 64 + bit];
      if (holds(rule, (by_path >> bit & 1) != 0)) return {rule.allow, word * 64 + bit};
    }
  }
  return {admission.allow};
}

}  // namespace

Judgement judge(const contract::Plan& plan, const Admission& admission, contract::Source source,
                const http::RequestHead& head, u32 room, bool scanned) {
  if (admission.rules.empty()) return {admission.allow};
  const std::string_view method = head.text(head.method_text);
  const contract::Trie& paths = admission.paths;
  const TriePlace place = find<PathKeys>(paths, head.path_text());
  const u32 words = static_cast<u32>((admission.rules.size() + 63) / 64);
  const auto named = [&](u32 word) {
    u64 bits = place.exact == kNone32 ? 0 : admission.path_holds[place.exact * words + word];
    for (u32 node = place.prefix_node; node != kNone32; node = paths.nodes[node].up)
      bits |= admission.path_holds[paths.nodes[node].prefix * words + word];
    return bits;
  };
  inspect::Scan scan(plan.patterns.get(), room, plan.access_pieces, head, scanned);
  Judgement out = first_that_holds(plan, admission, source, named, [&](const AccessRule& rule, bool is_named) {
    return any_method_holds(rule, method) && (rule.any_path || is_named || any_pattern_matches(rule, scan));
  });
  out.scanned = !scanned && scan.done();
  return out;
}

Judgement judge(const contract::Plan& plan, const Admission& admission, contract::Source source) {
  if (admission.rules.empty()) return {admission.allow};
  return first_that_holds(plan, admission, source, [](u32) { return u64{0}; }, [](const AccessRule&, bool) { return true; });
}

}  // namespace ringway::route
