#pragma once
// RecorderMemory: the rings of the recorder (contract/recorder.h), one for each core and the last for control, in one
// mapping: memory of this process, or a file that a crash leaves behind.
//
// A file begins with a page that says how to read what follows: the number of rings and records, a fingerprint of the
// table of events, and an anchor between the clock of the records and the wall clock. It is believed by nobody: `open`
// checks every number against the size of the file, and what another build wrote is refused. Where there is a file
// already, it is kept beside the new one with `.old` behind its name, so that a restart does not destroy what a crash
// left. Made and opened on any thread, before and after cores use it.

#include <memory>
#include <string>

#include "src/base/seqlock.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/contract/recorder.h"

namespace ringway::trace {

// One moment on both clocks.
struct Anchor {
  Tsc tsc = 0;
  u64 unix_ns = 0;
};

class RecorderMemory {
 public:
  // `events`: kept by each ring, rounded up to a power of two. `path`: empty for no file. Null with a sentence in `error`
  // when there is no room.
  static std::unique_ptr<RecorderMemory> make(const std::string& path, u32 cores, u32 events, u64 tsc_hz, std::string& error);
  // A file that `make` made, by this build; to be read only. Null with a sentence in `error` when it is none.
  static std::unique_ptr<RecorderMemory> open(const std::string& path, std::string& error);
  ~RecorderMemory();
  RecorderMemory(const RecorderMemory&) = delete;
  RecorderMemory& operator=(const RecorderMemory&) = delete;

  u32 cores() const { return rings_ - 1; }
  u32 rings() const { return rings_; }
  u32 events() const { return events_; }
  // Of core `index`, or with `cores()` of control.
  contract::EventRing ring(u32 index) const;

  // One writer: that of control's ring. From time to time, since clocks drift.
  void set_anchor(const Anchor& anchor);
  // The wall clock at `tsc`, in nanoseconds since 1970.
  u64 unix_ns(Tsc tsc) const;

 private:
  struct Head;
  RecorderMemory(void* at, std::size_t bytes, u32 rings, u32 events) : at_(at), bytes_(bytes), rings_(rings), events_(events) {}
  Head& head() const { return *static_cast<Head*>(at_); }

  void* at_;
  std::size_t bytes_;
  u32 rings_;
  u32 events_;
};

// Now, on both clocks.
Anchor anchor_now();

}  // namespace ringway::trace
