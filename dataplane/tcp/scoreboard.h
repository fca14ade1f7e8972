#pragma once
// Scoreboard: what is in flight towards a peer that sends SACK, as runs of bytes that share one fate.
//
// The runs cover [snd_una, snd_max) without a gap. A run is in flight, SACKed (RFC 2018), or lost; one that was sent again
// says so, and every run keeps when it was last sent, which is all that RACK (RFC 8985) asks. Runs sent within one grain of
// time are one run, so that a window is a few runs as long as nothing is lost. Where they left at different moments, only the
// last byte was sent when the run says, and only its arrival tells a round trip.
//
// There are at most kRuns. When they are used up, those sent nearest to one another are joined; a SACK block that would need
// one too many even then is not marked, which only costs a retransmission, and so a peer cannot make it cost more work. A
// FIN counts as one byte. Times are the low 32 bits of microseconds. Pure: no packet, no clock; one thread.

#include <algorithm>
#include <array>

#include "src/base/types.h"
#include "src/wire/seqno.h"

namespace ringway::tcp {

// What one acknowledgement newly delivered, cumulatively or by SACK.
struct Delivered {
  u32 bytes = 0;
  u32 now_us = 0;       // set by the caller: when the acknowledgement arrived
  wire::SeqNo highest;  // set by the caller: highest_delivered() before this acknowledgement
  u32 min_rtt_us = 0;   // set by the caller: an answer to a retransmission cannot be faster (RFC 8985 6.2 step 2)
  u32 echo_age_us = 0;  // set by the caller: how old the echoed timestamp is, 0 without
  u32 rtt_us = 0;      // the round trip of the last of them that tells one, 0: none does
  bool any = false;    // `sent_us` and `end` are of the last sent among the delivered
  u32 sent_us = 0;
  wire::SeqNo end;
  bool reordered = false;    // something sent once arrived behind what was sent after it
};

class Scoreboard {
 public:
  static constexpr u32 kRuns = 128;  // a fifth of a window of 256 KiB that left at once is late
  enum State : u8 { kSacked = 1, kLost = 2, kAgain = 4 };
  enum class Sent : u8 { all, last, none };  // which bytes of a run left just at its `sent_us`
  struct Run {
    wire::SeqNo end;
    u32 sent_us;
    u8 state;
    Sent exact = Sent::all;
  };

  Scoreboard() {}
  void start(wire::SeqNo una) {
    first_ = count_ = pipe_ = sacked_ = lost_ = 0;
    una_ = una;
    highest_ = una;
  }
  bool empty() const { return count_ == 0; }
  u32 runs() const { return count_; }
  const Run& run(u32 i) const { return runs_[first_ + i]; }
  wire::SeqNo begin(u32 i) const { return i == 0 ? una_ : run(i - 1).end; }
  wire::SeqNo end() const { return count_ == 0 ? una_ : run(count_ - 1).end; }
  // Bytes believed to be in the network: neither SACKed nor lost.
  u32 pipe() const { return pipe_; }
  u32 sacked() const { return sacked_; }
  u32 lost() const { return lost_; }  // and not sent again since
  wire::SeqNo highest_delivered() const { return highest_; }

  // New bytes up to `end` leave now. `grain`: sends within 2^grain us of one another are one run.
  void sent(wire::SeqNo to, u32 now_us, u32 grain) {
    pipe_ += static_cast<u32>(to - end());
    if (count_ != 0) {
      Run& last = runs_[first_ + count_ - 1];
      const bool same = last.state == 0 && last.sent_us >> grain == now_us >> grain;
      if (!same && count_ == kRuns) join_near();
      if (same || count_ == kRuns) {
        Run& into = runs_[first_ + count_ - 1];
        if (into.state != 0) set(count_ - 1, 0);
        into = {to, now_us, 0, into.sent_us == now_us ? into.exact : Sent::last};
        return;
      }
    }
    if (first_ >= kSlide || first_ + count_ == kRuns) slide();
    runs_[first_ + count_++] = {to, now_us, 0};
  }

  // Everything before `una` is acknowledged.
  void ack(wire::SeqNo una, Delivered& d) {
    while (count_ != 0 && una_ < una) {
      Run& r = runs_[first_];
      const wire::SeqNo to = std::min(r.end, una, less);
      const u32 n = static_cast<u32>(to - una_);
      if ((r.state & kSacked) == 0) deliver(r, to, n, d);
      uncount(r.state, n);
      una_ = to;
      if (to == r.end) {
        ++first_;
        --count_;
      }
    }
    una_ = una;
    if (highest_ < una) highest_ = una;
    if (count_ == 0) first_ = 0;
  }

  // The peer holds [from, to). Bytes outside of what is in flight are cut off.
  void sack(wire::SeqNo from, wire::SeqNo to, Delivered& d) {
    if (from < una_) from = una_;
    if (end() < to) to = end();
    if (count_ + 2 > kRuns) join_near();
    for (u32 i = 0; i < count_ && from < to; ++i) {
      if (run(i).end <= from || (run(i).state & kSacked) != 0) continue;
      if (to <= begin(i)) break;
      const wire::SeqNo b = std::max(begin(i), from, less);
      const wire::SeqNo e = std::min(run(i).end, to, less);
      if (!carve(i, b, e)) break;
      deliver(runs_[first_ + i], e, static_cast<u32>(e - b), d);
      set(i, kSacked);
    }
    join_sacked();
  }

  // RFC 8985 6.2 step 5: what was sent before the segment ending at `rack_end` at `rack_us`, and longer ago than
  // `patience_us`, is lost. Returns the bytes newly lost; `wait_us`: until the last of those not yet given up is, 0: none.
  u32 detect(wire::SeqNo rack_end, u32 rack_us, u32 now_us, u32 patience_us, u32& wait_us) {
    u32 newly = 0;
    wait_us = 0;
    for (u32 i = 0; i < count_; ++i) {
      const Run& r = run(i);
      if ((r.state & (kSacked | kLost)) != 0) continue;
      const i32 before = static_cast<i32>(rack_us - r.sent_us);
      if (before < 0 || (before == 0 && rack_end <= r.end)) continue;
      const i32 left = static_cast<i32>(r.sent_us + patience_us - now_us);
      if (left > 0) {
        wait_us = std::max(wait_us, static_cast<u32>(left));
        continue;
      }
      newly += static_cast<u32>(r.end - begin(i));
      set(i, static_cast<u8>(r.state | kLost));
    }
    return newly;
  }

  // A timeout: all that is not SACKed is lost. When the first byte is SACKed and yet not acknowledged, the peer has thrown
  // it away (RFC 2018 section 8), and no SACK counts any more. True: it has.
  bool lose_all() {
    const bool reneged = count_ != 0 && (run(0).state & kSacked) != 0;
    for (u32 i = 0; i < count_; ++i) {
      const u8 s = run(i).state;
      if (reneged || (s & kSacked) == 0) set(i, static_cast<u8>((s & kAgain) | kLost));
    }
    if (reneged) highest_ = una_;
    join([](const Run& a, const Run& b) { return a.state == b.state; });
    return reneged;
  }
  // Takes back what was thought lost and has not been sent again: the loss was none.
  void unlose() {
    for (u32 i = 0; i < count_; ++i)
      if ((run(i).state & kLost) != 0) set(i, static_cast<u8>(run(i).state & ~kLost));
  }

  // The first lost bytes, at most `most`; 0: none.
  u32 next_lost(wire::SeqNo& from, u32 most) const {
    if (lost_ == 0) return 0;
    u32 i = 0;
    while ((run(i).state & kLost) == 0) ++i;
    from = begin(i);
    u32 n = 0;
    for (; i < count_ && (run(i).state & kLost) != 0 && n < most; ++i) n += static_cast<u32>(run(i).end - begin(i));
    return std::min(n, most);
  }
  // Bytes [from, from + n), with `from` as next_lost gave it, leave again now.
  void again(wire::SeqNo from, u32 n, u32 now_us) {
    const wire::SeqNo to = from + n;
    if (count_ + 2 > kRuns) join_near();
    for (u32 i = 0; i < count_ && begin(i) < to; ++i) {
      if (run(i).end <= from || (run(i).state & kSacked) != 0) continue;
      // Without room to carve, the whole run counts as sent: what was not is found lost once more.
      if (!carve(i, std::max(begin(i), from, less), std::min(run(i).end, to, less)) && begin(i) < from) continue;
      set(i, kAgain);
      runs_[first_ + i].sent_us = now_us;
      runs_[first_ + i].exact = Sent::all;
    }
    join_again();
  }

  // The sums counted anew, for tests.
  bool recount() const {
    u32 p = 0, s = 0, l = 0;
    for (u32 i = 0; i < count_; ++i) {
      const u32 n = static_cast<u32>(run(i).end - begin(i));
      (run(i).state & kSacked ? s : run(i).state & kLost ? l : p) += n;
      if (run(i).end <= begin(i)) return false;
    }
    return p == pipe_ && s == sacked_ && l == lost_;
  }

 private:
  static constexpr u32 kSlide = 32;  // runs that are over in front of those that count, before they make room

  static bool less(wire::SeqNo a, wire::SeqNo b) { return a < b; }

  u32& sum(u8 state) { return (state & kSacked) != 0 ? sacked_ : (state & kLost) != 0 ? lost_ : pipe_; }
  void uncount(u8 state, u32 n) { sum(state) -= n; }
  void set(u32 i, u8 state) {
    Run& r = runs_[first_ + i];
    const u32 n = static_cast<u32>(r.end - begin(i));
    sum(r.state) -= n;
    r.state = state;
    sum(state) += n;
  }

  // `n` bytes of the run, up to `to`.
  void deliver(const Run& r, wire::SeqNo to, u32 n, Delivered& d) {
    d.bytes += n;
    if ((r.state & kAgain) == 0) {
      if (to < d.highest) d.reordered = true;
    } else if (d.now_us - r.sent_us < d.min_rtt_us || d.now_us - r.sent_us + 2048 < d.echo_age_us) {
      return;  // the answer to an earlier copy
    }
    if (highest_ < to) highest_ = to;
    if (r.exact == Sent::all || (r.exact == Sent::last && to == r.end)) d.rtt_us = std::max(d.now_us - r.sent_us, 1u);
    const i32 later = static_cast<i32>(r.sent_us - d.sent_us);
    if (d.any && (later < 0 || (later == 0 && to < d.end))) return;
    d.any = true;
    d.sent_us = r.sent_us;
    d.end = to;
  }

  // Cuts run `i` so that it becomes [b, e); `i` follows it. False, and nothing changed, without room.
  bool carve(u32& i, wire::SeqNo b, wire::SeqNo e) {
    const bool front = begin(i) < b, back = e < run(i).end;
    if (count_ + (front ? 1u : 0u) + (back ? 1u : 0u) > kRuns) return false;
    if (front) {
      insert(i, b);
      ++i;
    }
    if (back) insert(i, e);
    return true;
  }
  // Splits run `i` at `at`: a copy that ends there goes in front of it.
  void insert(u32 i, wire::SeqNo at) {
    if (first_ + count_ == kRuns) slide();
    Run* const p = &runs_[first_ + i];
    std::move_backward(p, &runs_[first_] + count_, &runs_[first_] + count_ + 1);
    ++count_;
    p->end = at;
    if (p->exact == Sent::last) p->exact = Sent::none;
  }
  void slide() {
    std::move(runs_.begin() + first_, runs_.begin() + first_ + count_, runs_.begin());
    first_ = 0;
  }

  template <class Same>
  void join(Same same) {
    u32 to = 0;
    for (u32 i = 1; i < count_; ++i) {
      Run& a = runs_[first_ + to];
      const Run b = run(i);
      if (same(a, b)) {
        const i32 later = static_cast<i32>(b.sent_us - a.sent_us);
        if (later > 0) {
          a.sent_us = b.sent_us;
          a.exact = b.exact == Sent::none ? Sent::none : Sent::last;
        } else if (later < 0 || a.exact != b.exact) {
          a.exact = Sent::none;
        }
        a.end = b.end;
      } else {
        runs_[first_ + ++to] = b;
      }
    }
    if (count_ != 0) count_ = to + 1;
  }
  void join_sacked() {
    join([](const Run& a, const Run& b) { return (a.state & b.state & kSacked) != 0; });
  }
  void join_again() {
    join([](const Run& a, const Run& b) {
      return a.state == b.state && ((a.state & kLost) != 0 || (a.state == kAgain && a.sent_us == b.sent_us));
    });
  }
  // Joins neighbours that share a fate, until a quarter of the runs is free if that can be; the later time counts for both.
  [[gnu::noinline]] void join_near() {
    for (u32 grain = 4; count_ > kRuns - kRuns / 4 && grain < 32; grain += 2) {
      join([grain](const Run& a, const Run& b) {
        return a.state == b.state && ((a.state & kLost) != 0 || a.sent_us >> grain == b.sent_us >> grain);
      });
    }
  }

  u32 first_ = 0;
  u32 count_ = 0;
  u32 pipe_ = 0;
  u32 sacked_ = 0;
  u32 lost_ = 0;
  wire::SeqNo una_;
  wire::SeqNo highest_;  // behind the last byte that is known to have arrived
  union {  // not written before it is used: a board is made for every window
    std::array<Run, kRuns> runs_;
  };
};

}  // namespace ringway::tcp
