#include "dataplane/route/access.h"

#include <bit>

#include "dataplane/inspect/scan.h"
#include "dataplane/route/trie.h"

namespace ringway::route {

namespace {

using contract::AccessRule;
using contract::Admission;
using contract::PathTest;

bool path_holds(const PathTest& test, std::string_view path, inspect::Scan& scan) {
  switch (test.kind) {
    case PathTest::Kind::exact: return path == test.value;
    case PathTest::Kind::prefix: return path.starts_with(test.value) && PathKeys::covers(path, test.value.size());
    case PathTest::Kind::regex: return scan.matches(test.pattern);
  }
  return false;
}

bool any_path_holds(const AccessRule& rule, std::string_view path, inspect::Scan& scan) {
  for (const PathTest& test : rule.paths)
    if (path_holds(test, path, scan)) return true;
  return rule.paths.empty();
}

bool any_method_holds(const AccessRule& rule, std::string_view method) {
  for (const std::string& one : rule.methods)
    if (one == method) return true;
  return rule.methods.empty();
}

// The first rule that holds for the source and by `holds`.
template <class F>
Judgement first_that_holds(const contract::Plan& plan, const Admission& admission, contract::Source source, F&& holds) {
  const u32 count = static_cast<u32>(admission.rules.size());
  if (count == 0) return {admission.allow};
  const u64* const row = &plan.callers.holds[source * plan.callers.words + admission.first_word];
  for (u32 word = 0; word * 64 < count; ++word) {
    for (u64 left = row[word]; left != 0; left &= left - 1) {
      const u32 i = word * 64 + static_cast<u32>(std::countr_zero(left));
      if (holds(admission.rules[i])) return {admission.rules[i].allow, i};
    }
  }
  return {admission.allow};
}

}  // namespace

Judgement judge(const contract::Plan& plan, const Admission& admission, contract::Source source,
                const http::RequestHead& head, u32 room, bool scanned) {
  const std::string_view method = head.text(head.method_text), path = head.path_text();
  inspect::Scan scan(plan.patterns.get(), room, plan.access_pieces, head, scanned);
  Judgement out = first_that_holds(plan, admission, source, [&](const AccessRule& rule) {
    return any_method_holds(rule, method) && any_path_holds(rule, path, scan);
  });
  out.scanned = !scanned && scan.done();
  return out;
}

Judgement judge(const contract::Plan& plan, const Admission& admission, contract::Source source) {
  return first_that_holds(plan, admission, source, [](const AccessRule&) { return true; });
}

}  // namespace ringway::route
