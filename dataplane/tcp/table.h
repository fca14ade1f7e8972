#pragma once
// table.def as an array: (state, flags) -> action. Pure, constexpr, any thread.

#include <array>

#include "dataplane/gate/segment.h"
#include "dataplane/tcp/state.h"

namespace ringway::tcp {

enum class Action : u8 { input, listen, syn_sent, time_wait, reset, drop, bad_flags };

// Index by FIN (1), SYN (2), RST (4) and ACK (8).
constexpr u32 flag_index(u8 flags) {
  return (flags & (gate::kFin | gate::kSyn | gate::kRst)) | ((flags & gate::kAck) >> 1);
}

constexpr std::array<Action, 16> table_row(const std::array<Action, 8>& columns) {
  std::array<Action, 16> row;
  row.fill(Action::bad_flags);
  constexpr std::array<u8, 8> order{0,
                                    gate::kAck,
                                    gate::kFin,
                                    gate::kFin | gate::kAck,
                                    gate::kSyn,
                                    gate::kSyn | gate::kAck,
                                    gate::kRst,
                                    gate::kRst | gate::kAck};
  for (u32 i = 0; i < 8; ++i) row[flag_index(order[i])] = columns[i];
  return row;
}

constexpr std::array<std::array<Action, 16>, kStateCount> make_table() {
  using enum Action;
  std::array<std::array<Action, 16>, kStateCount> t{};
#define RW_TCP_ROW(state, ...) t[static_cast<u32>(State::state)] = table_row({__VA_ARGS__});
#include "dataplane/tcp/table.def"
#undef RW_TCP_ROW
  return t;
}
inline constexpr auto kTable = make_table();

constexpr Action action(State state, u8 flags) { return kTable[static_cast<u32>(state)][flag_index(flags)]; }

}  // namespace ringway::tcp
