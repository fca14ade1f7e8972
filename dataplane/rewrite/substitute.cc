#include "dataplane/rewrite/substitute.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstring>

#include "src/contract/limits.h"

namespace ringway::rewrite {
namespace {

// Appends to `out`; false when that has no room.
struct Output {
  MutBytes out;
  u32 bytes = 0;
  bool put(std::string_view text) {
    if (out.size() - bytes < text.size()) return false;
    if (!text.empty()) std::memcpy(out.data() + bytes, text.data(), text.size());
    bytes += static_cast<u32>(text.size());
    return true;
  }
};

}  // namespace

Substituted substitute(const contract::Substitution& substitution, const contract::SubstituteRoom& room,
                       std::string_view path, MutBytes out, u32& bytes) {
  const auto* text = reinterpret_cast<PCRE2_SPTR>(path.data());
  const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(room.groups);
  Output output{out};
  std::size_t copied = 0;
  u32 matches = 0;
  for (std::size_t from = 0; from <= path.size();) {
    const int groups = pcre2_jit_match(substitution.code, text, path.size(), from, 0, room.groups, room.bounds);
    if (groups == PCRE2_ERROR_NOMATCH) break;
    if (groups < 0) return Substituted::failed;
    const std::size_t begin = ends[0], end = ends[1];
    if (begin < copied || end < begin) return Substituted::failed;
    from = end > begin ? end : end + 1;
    if (end == begin && matches > 0 && begin == copied) continue;  // nothing, right behind a match: RE2 and Envoy pass it over
    if (++matches > contract::kRewriteMatchesMax) return Substituted::failed;
    if (!output.put(path.substr(copied, begin - copied))) return Substituted::too_long;
    for (const contract::SubstitutePiece& piece : substitution.pieces) {
      std::string_view part = piece.text;
      if (piece.group != kNone32) {
        const bool matched = piece.group < static_cast<u32>(groups) && ends[2 * piece.group] != PCRE2_UNSET;
        part = matched ? path.substr(ends[2 * piece.group], ends[2 * piece.group + 1] - ends[2 * piece.group]) : "";
      }
      if (!output.put(part)) return Substituted::too_long;
    }
    copied = end;
  }
  if (matches == 0) return Substituted::unchanged;
  if (!output.put(path.substr(copied))) return Substituted::too_long;
  bytes = output.bytes;
  return Substituted::changed;
}

}  // namespace ringway::rewrite
