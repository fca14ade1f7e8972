#include "control/compile/patterns.h"

#include <hs/hs.h>

#include <cstdio>

namespace ringway::compile {

using contract::PatternDb;
using contract::PieceKind;

namespace {

constexpr unsigned kFlags = HS_FLAG_SINGLEMATCH;  // the first match of a pattern is all that is asked for

std::string tag_of(std::size_t piece) {
  char tag[16];
  std::snprintf(tag, sizeof tag, "\n\x01%04zx\n", piece);
  return tag;
}

void release(PatternDb& db) {
  for (auto& room : db.rooms) hs_free_scratch(room.scratch);
  hs_free_database(db.database);
}

std::string take_message(hs_compile_error_t* error) {
  std::string text = error != nullptr && error->message != nullptr ? error->message : "unknown error";
  hs_free_compile_error(error);
  while (!text.empty() && text.back() == '.') text.pop_back();
  return text;
}

// The tag and the line's end anchor already, and Hyperscan takes ^ and $ only at the very ends of an expression.
std::string without_anchors(std::string_view text) {
  if (text.starts_with('^')) text.remove_prefix(1);
  if (!text.ends_with('$')) return std::string(text);
  std::size_t backslashes = 0;
  while (backslashes + 1 < text.size() && text[text.size() - 2 - backslashes] == '\\') ++backslashes;
  if (backslashes % 2 == 0) text.remove_suffix(1);
  return std::string(text);
}

// Checked alone first: an expression that is whole by itself cannot break out of the brackets put around it.
std::vector<PatternFault> check_each(const std::vector<contract::Pattern>& patterns) {
  std::vector<PatternFault> faults;
  for (u32 i = 0; i < patterns.size(); ++i) {
    hs_expr_info_t* info = nullptr;
    hs_compile_error_t* error = nullptr;
    if (hs_expression_info(patterns[i].text.c_str(), kFlags | HS_FLAG_ALLOWEMPTY, &info, &error) == HS_SUCCESS)
      std::free(info);
    else
      faults.push_back({i, take_message(error)});
  }
  return faults;
}

bool make_rooms(PatternDb& db, u32 count) {
  hs_scratch_t* first = nullptr;
  if (hs_alloc_scratch(db.database, &first) != HS_SUCCESS) return false;
  const std::size_t pieces = db.pieces.size();
  for (u32 i = 0; i < count; ++i) {
    contract::ScanRoom room;
    if (i == 0)
      room.scratch = first;
    else if (hs_clone_scratch(first, &room.scratch) != HS_SUCCESS)
      return false;
    room.hits = std::make_unique<u64[]>((db.patterns.size() + 63) / 64);
    room.data = std::make_unique<const char*[]>(2 * pieces + 1);
    room.bytes = std::make_unique<unsigned[]>(2 * pieces + 1);
    room.ends = std::make_unique<u64[]>(pieces);
    db.rooms.push_back(std::move(room));
  }
  return true;
}

}  // namespace

u32 PatternSet::add(PieceKind kind, std::string_view name, std::string_view expression) {
  const auto [piece, new_piece] =
      piece_index_.try_emplace({kind, std::string(name)}, static_cast<u32>(pieces_.size()));
  if (new_piece) pieces_.push_back({kind, std::string(name), tag_of(pieces_.size())});
  const auto [pattern, new_pattern] =
      pattern_index_.try_emplace({piece->second, std::string(expression)}, static_cast<u32>(patterns_.size()));
  if (new_pattern) patterns_.push_back({std::string(expression), piece->second});
  return pattern->second;
}

std::expected<std::shared_ptr<const PatternDb>, std::vector<PatternFault>> PatternSet::build(u32 rooms) const {
  if (patterns_.empty()) return std::shared_ptr<const PatternDb>{};
  if (auto faults = check_each(patterns_); !faults.empty()) return std::unexpected(std::move(faults));

  std::vector<std::string> texts;
  std::vector<const char*> pointers;
  std::vector<unsigned> flags(patterns_.size(), kFlags);
  std::vector<unsigned> ids;
  for (u32 i = 0; i < patterns_.size(); ++i) {
    const std::string& tag = pieces_[patterns_[i].piece].tag;
    texts.push_back("\\x01" + tag.substr(2, tag.size() - 3) + "\\n(?:" + without_anchors(patterns_[i].text) + ")\\n");
    ids.push_back(i);
  }
  for (const auto& text : texts) pointers.push_back(text.c_str());

  auto db = std::make_shared<PatternDb>();
  db->release = release;
  db->patterns = patterns_;
  db->pieces = pieces_;
  hs_compile_error_t* error = nullptr;
  if (hs_compile_multi(pointers.data(), flags.data(), ids.data(), static_cast<unsigned>(pointers.size()),
                       HS_MODE_VECTORED, nullptr, &db->database, &error) != HS_SUCCESS) {
    const u32 which = error != nullptr && error->expression >= 0 ? static_cast<u32>(error->expression) : kNone32;
    return std::unexpected(std::vector<PatternFault>{{which, take_message(error)}});
  }
  if (!make_rooms(*db, rooms))
    return std::unexpected(std::vector<PatternFault>{{kNone32, "no memory for the scan rooms"}});
  return std::shared_ptr<const PatternDb>(std::move(db));
}

}  // namespace ringway::compile
