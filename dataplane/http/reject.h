#pragma once
// Why HTTP input was refused, with the status that answers it. See reject.def for the list.

#include <array>
#include <string_view>

#include "src/base/types.h"

namespace ringway::http {

enum class Reject : u8 {
#define RW_REJECT(name, status, sentence) name,
#include "dataplane/http/reject.def"
#undef RW_REJECT
  count_
};

struct RejectText {
  std::string_view name;
  u16 status;
  std::string_view sentence;
};

inline constexpr std::array<RejectText, static_cast<u32>(Reject::count_)> kRejectTexts{{
#define RW_REJECT(name, status, sentence) {#name, status, sentence},
#include "dataplane/http/reject.def"
#undef RW_REJECT
}};

inline const RejectText& text_of(Reject r) { return kRejectTexts[static_cast<u32>(r)]; }

}  // namespace ringway::http
