#pragma once
// Proportional rate reduction (RFC 6937): how many bytes an acknowledgement lets out while a loss is repaired, so that
// the window is at ssthresh when recovery ends, without a pause before and without a burst after. Pure.

#include <algorithm>

#include "src/base/types.h"

namespace ringway::tcp {

struct Prr {
  u32 flight = 0;     // RecoverFS: in flight when recovery began
  u32 delivered = 0;  // prr_delivered
  u32 out = 0;        // prr_out

  void start(u32 flight_bytes) { *this = Prr{std::max(flight_bytes, 1u), 0, 0}; }
  void on_sent(u32 bytes) { out += bytes; }

  // Section 3.1, with the slow-start reduction bound. `newly`: delivered by this acknowledgement. Returns what may be sent
  // now, beside `pipe`.
  u32 on_ack(u32 newly, u32 pipe, u32 ssthresh, u32 mss) {
    delivered += newly;
    if (pipe > ssthresh) {
      const u64 due = (u64{delivered} * ssthresh + flight - 1) / flight;
      return due > out ? static_cast<u32>(due - out) : 0;
    }
    const u32 lag = delivered > out ? delivered - out : 0;
    return std::min(ssthresh - pipe, std::max(lag, newly) + mss);
  }
};

}  // namespace ringway::tcp
