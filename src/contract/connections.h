#pragma once
// ConnectionPage: a bounded sample of a core's client connections, for people who look at the admin tools.
//
// The core copies some of its sessions here in housekeeping, a few rows at a time; the admin server reads them at any
// time without the core knowing (contract/stats.h says why: nobody asks a core a question and waits). Each row is a
// Seqlock, so a row is always whole; rows of one page may be some milliseconds apart. One writer, any readers.
// Nothing allocates after the constructor. A row that does not fit is not shown: `total` says how many there are.

#include <array>
#include <atomic>
#include <string_view>
#include <vector>

#include "src/base/assert.h"
#include "src/base/seqlock.h"
#include "src/base/types.h"
#include "src/contract/health.h"
#include "src/wire/addr.h"

namespace ringway::contract {

inline constexpr u32 kConnectionRowsMax = 512;  // per core
inline constexpr EndpointSlot kNoEndpointSlot = kNone32;

enum class ConnectionStage : u8 { idle, reading_request, waiting_for_endpoint, exchanging, tunnel, closing, count_ };
inline constexpr std::array<std::string_view, static_cast<u32>(ConnectionStage::count_)> kConnectionStageNames{
    "idle", "reading_request", "waiting_for_endpoint", "exchanging", "tunnel", "closing"};

struct ConnectionRow {
  wire::Ip client, local;
  u16 client_port = 0, local_port = 0;
  ConnectionStage stage = ConnectionStage::idle;
  u8 reserved[3] = {};
  u32 service = kNone32;  // Service::slot of the exchange, kNone32 between exchanges
  EndpointSlot endpoint = kNoEndpointSlot;
  u32 requests = 0;  // answered or under way on this connection
  u64 bytes_in = 0, bytes_out = 0;  // payload from and to the client
  u64 age_us = 0, idle_us = 0;      // since accepted, since the last byte; at the time of copying
};

class ConnectionPage {
 public:
  // Writer: rows 0..n-1 in any number of turns, then `finish`.
  void write(u32 index, const ConnectionRow& row) {
    RW_ASSERT(index < kConnectionRowsMax);
    rows_[index].write(row);
  }
  // `rows` hold connections, the rest of the page is void; `total` connections exist.
  void finish(u32 rows, u64 total) {
    RW_ASSERT(rows <= kConnectionRowsMax);
    used_.store(rows, std::memory_order_release);
    total_.store(total, std::memory_order_relaxed);
  }

  // Reader: every row in use, each one whole. A row that is written again and again meanwhile is left out.
  std::vector<ConnectionRow> read() const {
    std::vector<ConnectionRow> out;
    const u32 used = used_.load(std::memory_order_acquire);
    out.reserve(used);
    for (u32 i = 0; i < used; i++) {
      ConnectionRow row;
      for (u32 attempt = 0; attempt < kAttemptsMax; attempt++)
        if (rows_[i].try_read(row)) {
          out.push_back(row);
          break;
        }
    }
    return out;
  }
  u64 total() const { return total_.load(std::memory_order_relaxed); }

 private:
  static constexpr u32 kAttemptsMax = 1000;
  std::array<Seqlock<ConnectionRow>, kConnectionRowsMax> rows_;
  std::atomic<u32> used_{0};
  std::atomic<u64> total_{0};
};

}  // namespace ringway::contract
