#pragma once
// H2Guard: what a peer may ask of us without bringing anything. Every limit against abuse of HTTP/2 stands here; the
// numbers are in limits.h, a counter for each cause in counters.def (RFC 9113 section 10.5).
//
// Three budgets, for one connection:
// - Tokens pay for frames that bring nothing by themselves: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty
//   DATA, frames for streams that are gone, unknown ones. Payload, streams that end in order and time earn them.
// - Resets pay for streams that a peer opened and threw away before they were answered, by RST_STREAM (rapid reset) or
//   by breaking a rule so that we had to reset them (MadeYouReset). Who throws away more than half of them runs out.
// - Of one header block: frames, empty frames, octets as they came and as they unfold. Answers that wait to be sent.
// Whoever goes beyond is told ENHANCE_YOUR_CALM. Pure: no clock, no allocation; one per connection.

#include <algorithm>

#include "dataplane/http/h2_frame.h"
#include "src/base/types.h"
#include "src/contract/limits.h"
#include "src/contract/stats.h"

namespace ringway::http {

class H2Guard {
 public:
  // The cause that a connection ends for; none: go on.
  enum class Abuse : u8 {
    none, resets, provoked_resets, continuations, block_bytes, unfolded_bytes, empty_data, settings, pings, priorities,
    window_updates, strays, answers,
  };

  static constexpr contract::Counter counter(Abuse a) {
    using contract::Counter;
    switch (a) {
      case Abuse::resets: return Counter::h2_calm_resets;
      case Abuse::provoked_resets: return Counter::h2_calm_provoked_resets;
      case Abuse::continuations: return Counter::h2_calm_continuations;
      case Abuse::block_bytes: return Counter::h2_calm_block_bytes;
      case Abuse::unfolded_bytes: return Counter::h2_calm_unfolded_bytes;
      case Abuse::empty_data: return Counter::h2_calm_empty_data;
      case Abuse::settings: return Counter::h2_calm_settings;
      case Abuse::pings: return Counter::h2_calm_pings;
      case Abuse::priorities: return Counter::h2_calm_priorities;
      case Abuse::window_updates: return Counter::h2_calm_window_updates;
      case Abuse::answers: return Counter::h2_calm_answers;
      case Abuse::none:
      case Abuse::strays: break;
    }
    return Counter::h2_calm_strays;
  }

  void begin(TimeUs now_us) {
    *this = {};
    earned_until_ = now_us >> kTokenShift;
    resets_until_ = now_us >> kResetShift;
  }

  // --- what earns
  void time(TimeUs now_us) {
    earn(passed(earned_until_, now_us >> kTokenShift, contract::kH2TokensMax));
    earn_resets(passed(resets_until_, now_us >> kResetShift, contract::kH2ResetsMax));
  }
  void payload(u32 bytes) {
    bytes_ += bytes;
    earn(bytes_ / contract::kH2TokenBytes);
    bytes_ %= contract::kH2TokenBytes;
  }
  void data_sent(u32 bytes, bool cut_by_window) {
    payload(bytes);
    if (!cut_by_window) earn(contract::kH2TokensPerData);
  }
  void stream_ended() {
    earn(contract::kH2TokensPerStream);
    earn_resets(1);
  }

  // --- what costs
  Abuse frame(Abuse kind, u32 cost = 1) {
    if (tokens_ < cost) return kind;
    tokens_ -= cost;
    return Abuse::none;
  }
  // The peer's RST_STREAM for a stream of its own; early: before it was answered.
  Abuse reset(bool early) {
    if (early && !pay_reset()) return Abuse::resets;
    return frame(Abuse::strays);
  }
  // A stream of the peer's that we must reset.
  Abuse provoked() { return pay_reset() ? Abuse::none : Abuse::provoked_resets; }
  // A stream of the peer's is refused because it has too many; cheaper as long as the peer may not know our limit.
  Abuse refused(bool knows) { return knows ? provoked() : frame(Abuse::strays); }

  // A header block begins, goes on by a frame of `bytes`, and has unfolded to `bytes`.
  void block_begins() { block_bytes_ = continuations_ = empties_ = 0; }
  Abuse block_grows(u32 bytes, bool continuation, bool last, u32 bytes_max) {
    if (continuation && ++continuations_ > contract::kH2ContinuationsMax) return Abuse::continuations;
    const bool empty = continuation && bytes == 0 && !last;
    if (empty && ++empties_ > contract::kH2EmptyContinuationsMax) return Abuse::continuations;
    block_bytes_ += bytes;
    return block_bytes_ > bytes_max ? Abuse::block_bytes : Abuse::none;
  }
  static Abuse block_unfolded(u64 bytes) {
    return bytes > contract::kH2DecodedBytesMax ? Abuse::unfolded_bytes : Abuse::none;
  }
  // So many answers wait in the output.
  static Abuse waiting(u32 answers) { return answers > contract::kH2AnswersMax ? Abuse::answers : Abuse::none; }

  u32 tokens() const { return tokens_; }
  u32 resets_left() const { return resets_left_; }

 private:
  static constexpr u32 kTokenShift = 13, kResetShift = 17;  // of microseconds: 8.2 ms, 131 ms

  // Ticks since `until`, at most `most`; moves it on.
  static u32 passed(u64& until, u64 now, u32 most) {
    const u64 ticks = now > until ? now - until : 0;
    until = std::max(until, now);
    return static_cast<u32>(std::min<u64>(ticks, most));
  }
  void earn(u32 n) { tokens_ = std::min(tokens_ + n, contract::kH2TokensMax); }
  void earn_resets(u32 n) { resets_left_ = std::min(resets_left_ + n, contract::kH2ResetsMax); }
  bool pay_reset() {
    if (resets_left_ == 0) return false;
    --resets_left_;
    return true;
  }

  u32 tokens_ = contract::kH2TokensMax;
  u32 resets_left_ = contract::kH2ResetsMax;
  u32 bytes_ = 0;  // of payload, below kH2TokenBytes
  u32 block_bytes_ = 0, continuations_ = 0, empties_ = 0;
  u64 earned_until_ = 0, resets_until_ = 0;
};

}  // namespace ringway::http
