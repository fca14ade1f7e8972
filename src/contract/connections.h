#pragma once
// A sample of a core's TCP connections for people: a bounded table of rows that the core refreshes a few at a time in
// housekeeping and the admin tools read in place. It is a sample, not a census: with more connections than rows the
// rows show different ones over time.

#include <array>

#include "src/base/seqlock.h"
#include "src/base/types.h"
#include "src/wire/addr.h"

namespace ringway::contract {

struct ConnectionRow {
  wire::FourTuple tuple;
  u32 used = 0;       // 0: the row is empty
  u32 upstream = 0;   // 1: to an endpoint; 0: from a client
  u32 state = 0;      // tcp::State, in the order of RFC 9293 3.3.2 (closed = 0, listen, syn_sent, ...)
  u32 cwnd_bytes = 0, srtt_us = 0, rto_us = 0;
  u32 send_queue_bytes = 0, receive_queue_bytes = 0;
  u64 bytes_in = 0, bytes_out = 0;
};

inline constexpr u32 kConnectionRows = 256;

struct ConnectionPage {
  std::array<Seqlock<ConnectionRow>, kConnectionRows> rows;
};

}  // namespace ringway::contract
