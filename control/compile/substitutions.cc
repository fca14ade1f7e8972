#include "control/compile/substitutions.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "src/contract/limits.h"

namespace ringway::compile {

using contract::SubstitutePiece;
using contract::Substitution;
using contract::SubstitutionDb;

namespace {

constexpr u32 kBracketsMax = 16;  // within one another
// Bytes are bytes, whatever an expression asks for.
constexpr u32 kOptions = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;

void free_codes(const std::vector<Substitution>& substitutions) {
  for (const Substitution& s : substitutions) pcre2_code_free(s.code);
}

void release(SubstitutionDb& db) {
  free_codes(db.substitutions);
  for (const contract::SubstituteRoom& room : db.rooms) {
    pcre2_match_data_free(room.groups);
    pcre2_match_context_free(room.bounds);
  }
}

std::string message_of(int error) {
  PCRE2_UCHAR text[256];
  if (pcre2_get_error_message(error, text, sizeof text) < 0) return "unknown error";
  return reinterpret_cast<const char*>(text);
}

template <class T>
T property(const pcre2_code* code, u32 which) {
  T value{};
  pcre2_pattern_info(code, which, &value);
  return value;
}

// Compiled, or what is wrong.
std::expected<pcre2_code*, std::string> compile_pattern(const std::string& pattern) {
  pcre2_compile_context* const context = pcre2_compile_context_create(nullptr);
  if (context == nullptr) return std::unexpected("no memory");
  pcre2_set_parens_nest_limit(context, kBracketsMax);
  pcre2_set_max_pattern_length(context, contract::kRewritePatternBytesMax);
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* const code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions, &error, &at, context);
  pcre2_compile_context_free(context);
  if (code == nullptr) return std::unexpected(message_of(error) + " (at character " + std::to_string(at + 1) + ")");
  const auto refuse = [&](std::string why) {
    pcre2_code_free(code);
    return std::unexpected(std::move(why));
  };
  if (property<u32>(code, PCRE2_INFO_CAPTURECOUNT) > contract::kRewriteGroupsMax) {
    return refuse("more than " + std::to_string(contract::kRewriteGroupsMax) + " groups; (?:) groups without one");
  }
  if (property<std::size_t>(code, PCRE2_INFO_SIZE) > contract::kRewriteCodeBytesMax) return refuse("too large once it is compiled");
  if (const int failed = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); failed != 0) return refuse(message_of(failed));
  if (property<std::size_t>(code, PCRE2_INFO_JITSIZE) == 0) return refuse("forbids machine code, which the cores need");
  return code;
}

std::expected<std::vector<SubstitutePiece>, std::string> cut(const std::string& text, u32 groups) {
  std::vector<SubstitutePiece> out;
  const auto put = [&](char c) {
    if (out.empty() || out.back().group != kNone32) out.push_back({});
    out.back().text += c;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      put(text[i]);
      continue;
    }
    const char next = ++i < text.size() ? text[i] : ' ';
    if (next == '\\') {
      put('\\');
    } else if (next >= '0' && next <= '9') {
      const u32 group = static_cast<u32>(next - '0');
      if (group > groups) return std::unexpected("\\" + std::string(1, next) + ": the pattern has " + std::to_string(groups) + " groups");
      out.push_back({group, ""});
    } else {
      return std::unexpected("a backslash is followed by a group's number or by another one");
    }
  }
  return out;
}

}  // namespace

SubstitutionSet::~SubstitutionSet() { free_codes(substitutions_); }

std::expected<u32, SubstitutionSet::Fault> SubstitutionSet::add(const std::string& pattern, const std::string& text) {
  if (const auto known = index_.find({pattern, text}); known != index_.end()) return known->second;
  const auto code = compile_pattern(pattern);
  if (!code) return std::unexpected(Fault{true, "regular expression: " + code.error()});
  auto pieces = cut(text, property<u32>(*code, PCRE2_INFO_CAPTURECOUNT));
  if (!pieces) {
    pcre2_code_free(*code);
    return std::unexpected(Fault{false, "substitution: " + pieces.error()});
  }
  const u32 index = static_cast<u32>(substitutions_.size());
  substitutions_.push_back({pattern, *code, std::move(*pieces)});
  index_.emplace(std::pair(pattern, text), index);
  return index;
}

std::expected<std::shared_ptr<const SubstitutionDb>, std::string> SubstitutionSet::build(u32 rooms) {
  if (substitutions_.empty()) return std::shared_ptr<const SubstitutionDb>{};
  auto db = std::make_shared<SubstitutionDb>();
  db->release = release;
  db->substitutions = std::exchange(substitutions_, {});
  index_.clear();
  for (u32 i = 0; i < rooms; ++i) {
    db->rooms.push_back({pcre2_match_data_create(contract::kRewriteGroupsMax + 1, nullptr), pcre2_match_context_create(nullptr)});
    if (db->rooms.back().groups == nullptr || db->rooms.back().bounds == nullptr) return std::unexpected("no memory to match paths in");
    pcre2_set_match_limit(db->rooms.back().bounds, contract::kRewriteStepsMax);
  }
  return std::shared_ptr<const SubstitutionDb>(std::move(db));
}

}  // namespace ringway::compile
