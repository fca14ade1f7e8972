#pragma once
// SubstitutionSet: collects the expressions that rewrite paths and compiles each to machine code (PCRE2's JIT), with what
// stands for a match cut into its parts.
//
// Control thread only. Hyperscan, which chooses routes, reports no groups; PCRE2 does, in the same dialect, and its
// compiled code needs neither the heap nor a lock to match. What it may do is bounded: size of the pattern, of its code, depth
// of its brackets, number of its groups, and on the core the steps of a match (dataplane/rewrite/substitute.h).

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/contract/actions.h"

namespace ringway::compile {

class SubstitutionSet {
 public:
  SubstitutionSet() = default;
  SubstitutionSet(const SubstitutionSet&) = delete;
  SubstitutionSet& operator=(const SubstitutionSet&) = delete;
  ~SubstitutionSet();

  // `text`: what stands for a match; \1 to \9 are groups, \0 all of it, \\ a backslash. The index of the substitution, the
  // same for equal ones; or what is wrong, and whether with the pattern.
  struct Fault {
    bool in_pattern = true;
    std::string sentence;
  };
  std::expected<u32, Fault> add(const std::string& pattern, const std::string& text);

  // All of them, with `rooms` rooms (cores + 1); null when there is none. The set is empty afterwards. A sentence when
  // memory is short.
  std::expected<std::shared_ptr<const contract::SubstitutionDb>, std::string> build(u32 rooms);

 private:
  std::vector<contract::Substitution> substitutions_;
  std::map<std::pair<std::string, std::string>, u32> index_;
};

}  // namespace ringway::compile
