#pragma once
// Why a packet ended where it did, as one byte. See verdict.def for the list.

#include <array>
#include <string_view>

#include "src/base/types.h"

namespace ringway::contract {

enum class Verdict : u8 {
#define RW_VERDICT(name, sentence) name,
#include "src/contract/verdict.def"
#undef RW_VERDICT
  count_
};
inline constexpr u32 kVerdictCount = static_cast<u32>(Verdict::count_);

inline constexpr std::array<std::string_view, kVerdictCount> kVerdictNames{
#define RW_VERDICT(name, sentence) #name,
#include "src/contract/verdict.def"
#undef RW_VERDICT
};
inline constexpr std::array<std::string_view, kVerdictCount> kVerdictSentences{
#define RW_VERDICT(name, sentence) sentence,
#include "src/contract/verdict.def"
#undef RW_VERDICT
};

}  // namespace ringway::contract
