#pragma once
// The connection states of RFC 9293 section 3.3.2, by their names there.
//
// LISTEN is no connection of ours (listen.h) and TIME-WAIT lives in records of its own (time_wait.h); both have a row in
// table.def all the same, so that the table covers the RFC. CLOSED is also the state of a connection that is over and
// waits for the application to read its last bytes. Pure, any thread.

#include <array>
#include <string_view>

#include "src/base/types.h"

namespace ringway::tcp {

enum class State : u8 {
  closed,
  listen,
  syn_sent,
  syn_rcvd,
  established,
  fin_wait_1,
  fin_wait_2,
  close_wait,
  closing,
  last_ack,
  time_wait,
  count_
};
inline constexpr u32 kStateCount = static_cast<u32>(State::count_);

inline constexpr std::array<std::string_view, kStateCount> kStateNames{
    "CLOSED",     "LISTEN",     "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
    "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",  "LAST-ACK",     "TIME-WAIT"};

constexpr std::string_view name(State s) { return kStateNames[static_cast<u32>(s)]; }

// How a connection ended.
enum class CloseReason : u8 { none, finished, reset, refused, timed_out, shed };
inline constexpr std::array<std::string_view, 6> kCloseReasonNames{"none", "finished", "reset", "refused", "timed out", "shed"};

// What the send timer is armed for: a retransmission timeout or a probe of a closed window, a tail loss probe, or the
// end of the reordering window (RFC 8985 section 8). And the other timer that a connection has, for whoever names both.
enum class TimerMode : u8 { timeout, probe, reorder, idle };
inline constexpr std::array<std::string_view, 4> kTimerModeNames{"timeout", "tail probe", "reordering", "idle timer"};

// A set of states as bits, for "in one of these" in one comparison.
template <class... S>
constexpr u32 states(S... s) {
  return ((1u << static_cast<u32>(s)) | ...);
}
constexpr bool in(State s, u32 set) { return (set >> static_cast<u32>(s) & 1) != 0; }

// Both SYNs are acknowledged.
inline constexpr u32 kSynchronised =
    states(State::established, State::fin_wait_1, State::fin_wait_2, State::close_wait, State::closing, State::last_ack,
           State::time_wait);
// RFC 9293 3.10.4: our user has not closed its half; data may be queued.
inline constexpr u32 kMaySend = states(State::syn_sent, State::syn_rcvd, State::established, State::close_wait);
// The peer's FIN has not been reached; segment text is processed (RFC 9293 3.10.7.4, seventh).
inline constexpr u32 kMayReceive = states(State::established, State::fin_wait_1, State::fin_wait_2);
// Our FIN is queued or sent and not yet acknowledged.
inline constexpr u32 kFinOwed = states(State::fin_wait_1, State::closing, State::last_ack);

}  // namespace ringway::tcp
