// What is true of an engine between any two calls, whatever the network and the application did before: every sum
// counted anew, every list and timer looked for where it ought to be. Tests and fuzzers ask after each step; the
// program never does, for it walks over everything. RFC 9293 3.3.1 and 3.4 (sequence variables), RFC 6298 5.1 (timer),
// RFC 8985 (scoreboard).

#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

namespace {

// Slices and bytes of a chain are what its accounts say, and every slice has bytes.
bool counted(const mbuf::Chain& c) {
  u32 bytes = 0, slices = 0, last = kNone32;
  for (u32 at = c.first(); at != kNone32; at = c.slice(at).next, ++slices) {
    if (c.slice(at).length == 0 || rte_mbuf_refcnt_read(c.slice(at).m) == 0) return false;
    bytes += c.slice(at).length;
    last = at;
  }
  return bytes == c.bytes() && slices == c.slices() && last == c.last();
}

}  // namespace

// Sequence variables, and the send queue that they count.
const char* Engine::Impl::broken_sender(const Tcb& t) const {
  if (!(t.snd_una <= t.snd_nxt && t.snd_nxt <= t.snd_max)) return "SND.UNA <= SND.NXT <= the highest sent";
  if (!counted(t.unacked)) return "the send queue is what its slices are";
  if (t.state == State::closed) return nullptr;
  const u32 queued = t.unacked.bytes();
  if (!t.has(kSynAcked)) {
    if (!(t.snd_una == t.iss && t.in_flight() <= 1 && t.flight == kNone32)) return "nothing but the SYN was sent";
    return nullptr;
  }
  const bool fin_out = t.has(kFinQueued) && !t.fin_acked();
  if (!(t.in_flight() <= queued + (fin_out ? 1u : 0u))) return "in flight is at most what is queued";
  if (!(!fin_out || t.fin_seq == t.snd_una + queued)) return "our FIN stands behind the queue";
  if (!(!t.fin_acked() || (queued == 0 && t.snd_max == t.fin_seq + 1))) return "behind an acknowledged FIN is nothing";
  const u32 offset = std::min(static_cast<u32>(t.snd_nxt - t.snd_una), queued);
  const mbuf::Chain::Cursor at = t.unacked.cursor(offset);
  if (!(at.slice == t.next.slice && at.skip == t.next.skip)) return "the cursor stands at SND.NXT";
  if (!(t.cc.cwnd > 0 && t.snd_mss >= kMssFloor - wire::kTcpTimestampBytes))
    return "there is a window and a segment size";
  if (t.flight == kNone32) return nullptr;
  if (!flights.used(t.flight)) return "a scoreboard is one of the slab's";
  const Scoreboard& board = flights[t.flight].board;
  if (!board.recount()) return "the scoreboard's sums are those of its runs";
  if (!(board.begin(0) == t.snd_una && board.end() == t.snd_max)) return "the scoreboard covers what is in flight";
  if (!(board.pipe() + board.sacked() + board.lost() == t.in_flight())) return "the parts of the flight make it up";
  return nullptr;
}

// What is held for the application and for want of what is missing, against the budget and the advertised window.
const char* Engine::Impl::broken_receiver(const Tcb& t) const {
  if (!counted(t.receive)) return "the receive queue is what its slices are";
  if (!(t.rcv_nxt <= t.rcv_adv)) return "the advertised edge is not behind RCV.NXT";
  if (t.state == State::closed) return nullptr;
  const u32 open = static_cast<u32>(t.rcv_adv - t.rcv_nxt);
  if (!(u64{t.receive.bytes()} + open <= u64{config.receive_budget_bytes} + mss_ours))
    return "what is held and what may come stay within the budget";
  u32 held = t.receive.slices();
  if (t.reassembly != kNone32) {
    if (!holes.used(t.reassembly)) return "a reassembly is one of the slab's";
    const Reassembly& ahead = holes[t.reassembly];
    if (!(!ahead.empty() && t.rcv_nxt < ahead.begin(0))) return "a reassembly holds something, and it is ahead";
    for (u32 r = 0; r < ahead.ranges(); ++r) {
      if (!(ahead.begin(r) < ahead.end(r))) return "a range has bytes";
      if (!(r == 0 || ahead.end(r - 1) < ahead.begin(r))) return "between ranges something is missing";
    }
    if (!(ahead.end(ahead.ranges() - 1) <= t.rcv_adv)) return "what waits lies within the window";
    held += ahead.slices();
  }
  if (!(held <= 3 * mbufs_budget + config.caps.segs_max)) return "mbufs held stay within three budgets";
  return nullptr;
}

// Timers and lists.
const char* Engine::Impl::broken_duty(u32 i, u32& wanted) const {
  const Tcb& t = tcbs[i];
  for (const TimerKind k : {kSendTimer, kIdleTimer}) {
    if (t.deadline[k] == 0) continue;
    ++wanted;
    if (!(t.wheel_at != 0 && t.wheel_at <= t.deadline[k])) return "a deadline is known to the wheel";
  }
  if (!(t.state != State::closed || (t.deadline[kSendTimer] == 0 && t.deadline[kIdleTimer] == 0 &&
                                     !output.linked(tcbs, i) && !t.has(kInTable) && t.flight == kNone32)))
    return "a connection that is over has no timer and nothing to send";
  if (!(t.events == 0 || events.linked(tcbs, i))) return "what is to be reported is on the list";
  if (t.state == State::closed) return nullptr;
  if (!(t.in_flight() == 0 || t.deadline[kSendTimer] != 0)) return "bytes in flight have a timer";
  if (!(t.unsent() == 0 || !t.has(kSynAcked) || t.deadline[kSendTimer] != 0 || output.linked(tcbs, i)))
    return "bytes that wait have a timer or their turn";
  if (!((t.owes & ~kOwesAckLater) == 0 || output.linked(tcbs, i))) return "who owes something has its turn";
  if (!((t.owes & kOwesAckLater) == 0 || output.linked(tcbs, i) || t.deadline[kIdleTimer] != 0))
    return "who owes an acknowledgement has its turn or a timer";
  if (!(!t.has(kOrphan) || t.deadline[kIdleTimer] != 0)) return "an orphan has a time to end";
  if (!(t.has(kInTable) && find(t.tuple, t.hash) == i)) return "the flow table finds it";
  return nullptr;
}

const char* Engine::Impl::broken() const {
  u32 wanted = 0, in_table = 0, reassemblies = 0, boards = 0, of_listeners = 0;
  for (u32 i = 0; i < tcbs.high_water(); ++i) {
    if (!tcbs.used(i)) continue;
    const Tcb& t = tcbs[i];
    if (const char* what = broken_sender(t)) return what;
    if (const char* what = broken_receiver(t)) return what;
    if (const char* what = broken_duty(i, wanted)) return what;
    in_table += t.has(kInTable) ? 1u : 0u;
    reassemblies += t.reassembly != kNone32 ? 1u : 0u;
    boards += t.flight != kNone32 ? 1u : 0u;
  }
  for (u32 h = 0; h < half_open.high_water(); ++h) {
    if (!half_open.used(h)) continue;
    const wire::FourTuple& tuple = half_open[h].tuple;
    if (!(find(tuple, hash_of(tuple)) == (h | kHalfOpenBit))) return "the flow table finds a half-open record";
  }
  listeners.each([&](const Listener& l) { of_listeners += l.half_open; });
  if (!(wanted == timers_wanted)) return "deadlines are counted";
  if (!(flows.size() == in_table + time_wait.size() + half_open.size()))
    return "the flow table names blocks and records, once each";
  if (!(reassemblies == holes.in_use())) return "every reassembly has an owner";
  if (!(boards == flights.in_use())) return "every scoreboard has an owner";
  if (!(of_listeners == half_open.size())) return "listeners count their half-open records";
  return nullptr;
}

const char* Engine::check_invariants() const { return impl_->broken(); }

}  // namespace ringway::tcp
