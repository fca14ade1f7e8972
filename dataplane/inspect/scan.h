#pragma once
// Scan: one Hyperscan pass over the pieces of a request head that a route table's patterns look at.
//
// A Scan lives for one request on the stack of the core that routes it, in the core's own room of the PatternDb: two
// at once on the same room are a mistake that Hyperscan reports and we assert. Nothing is scanned before the first
// question, and nothing twice. No allocation, no copy: Hyperscan reads the head where it lies (vectored mode).

#include <span>

#include "dataplane/http/head.h"
#include "src/contract/routes.h"

namespace ringway::inspect {

class Scan {
 public:
  // `pieces` are indexes into db->pieces; `db` may be null when no pattern will be asked for. `done`: another Scan of this
  // room has been over these pieces of this head, and nobody has used the room since.
  Scan(const contract::PatternDb* db, u32 room, std::span<const u32> pieces, const http::RequestHead& head, bool done = false)
      : db_(db), room_(room), pieces_(pieces), head_(head), done_(done) {}

  // Does the whole value of the pattern's piece match? An absent header or parameter never does.
  bool matches(u32 pattern) {
    if (!done_) run();
    return (db_->rooms[room_].hits[pattern / 64] >> (pattern % 64) & 1) != 0;
  }

  bool done() const { return done_; }

 private:
  void run();

  const contract::PatternDb* db_;
  u32 room_;
  std::span<const u32> pieces_;
  const http::RequestHead& head_;
  bool done_;
};

}  // namespace ringway::inspect
