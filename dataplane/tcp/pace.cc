// Pacing: the packets of a window leave spread over a round trip instead of all at once, at the pace of the next power of two
// above the window, which is up to twice as fast: a shift instead of a division for every packet, and room for the window to
// grow. (RFC 9002 7.7 recommends as much of its senders; Aggarwal, Savage and Anderson, "Understanding the Performance of TCP
// Pacing", 2000, says what it is good for.) Only new data and what goes again after a timeout without SACK keep the pace:
// repairs have PRR, acknowledgements never wait. A connection that waits for its pace stays on the list `output` and has its
// turn at every flush. Off unless configured.

#include <bit>

#include "dataplane/tcp/impl.h"

namespace ringway::tcp {

// Whether data has to wait. Notes it, so that the next flush looks again.
bool Engine::Impl::keeps_pace(Tcb& t) {
  t.clear(kPaced);
  const u32 srtt = t.rtt.srtt_us();
  const i32 ahead = static_cast<i32>(t.pace_us - static_cast<u32>(now));
  if (t.has(kTailProbe) || ahead <= 0 || static_cast<u32>(ahead) > 2 * srtt) return false;
  t.set(kPaced);
  const TimeUs at = now + static_cast<u32>(ahead);
  if (pace_next == 0 || at < pace_next) pace_next = at;
  return true;
}

// `bytes` leave now.
void Engine::Impl::pace(Tcb& t, u32 bytes) {
  t.clear(kPaced);
  const u32 now_us = static_cast<u32>(now), srtt = t.rtt.srtt_us();
  const u32 late = now_us - t.pace_us;
  // Who comes a little late goes on from where it should have been; who comes later begins anew.
  const u32 from = late < std::max(srtt >> kPaceBits, kPaceLateUs) || static_cast<i32>(late) < 0 ? t.pace_us : now_us;
  t.pace_us = from + static_cast<u32>(u64{bytes} * srtt >> std::bit_width(t.cc.cwnd));
}

// The largest packet that the port may cut, at least two segments of it.
u32 Engine::Impl::pace_bytes(const Tcb& t) const {
  return std::max<u32>(2 * u32{t.snd_mss}, (u32{1} << std::bit_width(t.cc.cwnd)) >> kPaceBits);
}

}  // namespace ringway::tcp
