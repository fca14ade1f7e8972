#include "dataplane/inspect/scan.h"

#include <hs/hs_runtime.h>

#include <cstring>

#include "dataplane/inspect/pieces.h"
#include "src/base/assert.h"

namespace ringway::inspect {

namespace {

using contract::PatternDb;
using contract::PieceKind;
using contract::ScanRoom;

struct Sink {
  const PatternDb& db;
  ScanRoom& room;
};

// A match that ends elsewhere than its own piece ran across a line's end ("[^/]*" does): the piece alone did not match,
// for the first match reported of a pattern is the one that ends first.
int on_match(unsigned id, unsigned long long /*from*/, unsigned long long to, unsigned /*flags*/, void* context) {
  auto& sink = *static_cast<Sink*>(context);
  if (to == sink.room.ends[sink.db.patterns[id].piece]) sink.room.hits[id / 64] |= u64{1} << (id % 64);
  return 0;
}

std::optional<std::string_view> value_of(const contract::Piece& piece, const http::RequestHead& head) {
  switch (piece.kind) {
    case PieceKind::path: return head.path_text();
    case PieceKind::header: return find_header(head, piece.name);
    case PieceKind::query: return find_query(head, piece.name);
  }
  return std::nullopt;
}

}  // namespace

void Scan::run() {
  done_ = true;
  RW_ASSERT(db_ != nullptr && room_ < db_->rooms.size());
  // The room is a core's own although the database is everybody's: see contract/routes.h.
  ScanRoom& room = const_cast<ScanRoom&>(db_->rooms[room_]);
  std::memset(room.hits.get(), 0, (db_->patterns.size() + 63) / 64 * sizeof(u64));
  std::memset(room.ends.get(), 0, db_->pieces.size() * sizeof(u64));
  unsigned count = 0;
  u64 end = 0;
  const auto put = [&](std::string_view text) {
    room.data[count] = text.data();
    room.bytes[count] = static_cast<unsigned>(text.size());
    ++count;
    end += text.size();
  };
  for (const u32 index : pieces_) {
    const contract::Piece& piece = db_->pieces[index];
    const auto value = value_of(piece, head_);
    if (!value) continue;
    put(piece.tag);  // begins with the line end of the piece before
    put(*value);
    room.ends[index] = end + 1;  // patterns take in the line end
  }
  if (count == 0) return;
  put("\n");
  Sink sink{*db_, room};
  const hs_error_t error =
      hs_scan_vector(db_->database, room.data.get(), room.bytes.get(), count, 0, room.scratch, on_match, &sink);
  RW_ASSERT(error == HS_SUCCESS);
}

}  // namespace ringway::inspect
