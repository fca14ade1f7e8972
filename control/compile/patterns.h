#pragma once
// PatternSet: collects the regular expressions of all route tables and compiles them into one Hyperscan database.
//
// Control thread only; compiling takes milliseconds to seconds, never on a core. The flavour is Hyperscan's part of
// PCRE (no back-references, no look-around); an expression has to match the whole value, as if it stood between ^ and
// $, which it may have at its very ends and nowhere else.
//
// What is scanned is a row of lines: a tag line, then the value of one piece of the head, and so on. An expression is
// compiled behind its piece's tag, which begins with a control byte that no request may contain, so it cannot start
// anywhere else; dataplane/inspect checks where it ended, so it cannot run on into the next line either.

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/contract/routes.h"

namespace ringway::compile {

struct PatternFault {
  u32 pattern = kNone32;  // kNone32: Hyperscan itself failed (no memory, unknown processor)
  std::string sentence;
};

class PatternSet {
 public:
  // Returns the index of the pattern; the same expression on the same piece is kept once. `name` is empty for a path
  // and in lower case for a header.
  u32 add(contract::PieceKind kind, std::string_view name, std::string_view expression);

  u32 piece_of(u32 pattern) const { return patterns_[pattern].piece; }
  bool empty() const { return patterns_.empty(); }

  // Every expression that Hyperscan refuses is reported. `rooms`: cores + 1.
  std::expected<std::shared_ptr<const contract::PatternDb>, std::vector<PatternFault>> build(u32 rooms) const;

 private:
  std::vector<contract::Piece> pieces_;
  std::vector<contract::Pattern> patterns_;
  std::map<std::pair<contract::PieceKind, std::string>, u32> piece_index_;
  std::map<std::pair<u32, std::string>, u32> pattern_index_;
};

}  // namespace ringway::compile
