"""Compliance: established connections: numbers out of place, resets, what is received and what is sent. See compliance.py."""

import time

from compliance import case
from compliance_handshake import REQUEST, after, answered, opened, reply, said
from raw_tcp import SCALE, diff, mss, scale

NUMBERS = "Numbers out of place, in ESTABLISHED"
RECEIVER = "Receiving"
SENDER = "Sending"
WINDOW = "A window that closes"
ICMP_GROUP = "ICMP about an established connection"


def told(f, *words, seconds=0.7, **numbers):
    """Sends one segment; what comes back, and whether the connection lives."""
    f.clear()
    f.send(*words, **numbers)
    return f"{said(f.get(seconds))}, {after(f)}"


# -------------------------------------------------------------------------------------------------------- numbers

@case(NUMBERS, "RST at the left edge", "RFC 5961 3.2", "silence, is over")
def rst_exact(t):
    f = opened(t)
    return told(f, "R")


@case(NUMBERS, "RST elsewhere in the window", "RFC 5961 3.2", "ACK, goes on")
def rst_in_window(t):
    f = opened(t)
    return told(f, "R", seq=f.snd + 100)


@case(NUMBERS, "RST outside of the window", "RFC 5961 3.2", "silence, goes on")
def rst_outside(t):
    f = opened(t)
    return told(f, "R", seq=f.snd + 0x4000_0000)


@case(NUMBERS, "RST just left of the window", "RFC 5961 3.2", "silence, goes on")
def rst_old(t):
    f = opened(t)
    return told(f, "R", seq=f.snd - 1)


@case(NUMBERS, "SYN in the window", "RFC 5961 4.2", "ACK, goes on")
def syn_in_window(t):
    f = opened(t)
    return told(f, "S", seq=f.snd + 100)


@case(NUMBERS, "SYN outside of the window", "RFC 5961 4.2", "ACK, goes on")
def syn_outside(t):
    f = opened(t)
    return told(f, "S", seq=f.snd + 0x4000_0000)


@case(NUMBERS, "SYN and ACK once more", "RFC 5961 4.2", "ACK, goes on")
def syn_ack_again(t):
    f = opened(t)
    return told(f, "SA", seq=f.iss)


@case(NUMBERS, "ACK of data never sent", "RFC 9293 3.10.7.4", "ACK, goes on")
def ack_unsent(t):
    f = opened(t)
    return told(f, "A", ack=f.rcv + 1000)


@case(NUMBERS, "ACK older than any window", "RFC 5961 5.2", "ACK, goes on")
def ack_ancient(t):
    f = opened(t)
    return told(f, "PA", data=b"X", ack=f.rcv - 0x1000_0000)


@case(NUMBERS, "data with an ACK older than any window", "RFC 5961 5.2", "ACK, the data are not taken")
def data_with_ancient_ack(t):
    f = opened(t)
    f.send("PA", b"G", ack=f.rcv - 0x1000_0000)
    a = f.get(0.7)
    return f"{said(a)}, the data are {'not ' if a is None or diff(a.ack, f.snd) == 0 else ''}taken"


@case(NUMBERS, "a segment without ACK", "RFC 9293 3.10.7.4", "silence, goes on")
def no_ack(t):
    f = opened(t)
    return told(f, "P", data=b"X")


@case(NUMBERS, "data beyond the window", "RFC 9293 3.10.7.4", "ACK, goes on")
def data_beyond_window(t):
    f = opened(t)
    return told(f, "PA", data=b"X", seq=f.snd + 0x10_0000)


@case(NUMBERS, "data that were acknowledged before", "RFC 9293 3.10.7.4", "ACK, goes on")
def data_old(t):
    f = opened(t)
    answered(f)
    return told(f, "PA", data=b"X", seq=f.snd - 1)


@case(NUMBERS, "data with a wrong checksum", "RFC 9293 3.1", "silence, goes on")
def checksum_of_data(t):
    f = opened(t)
    return told(f, "PA", data=b"X", spoil=1)


@case(NUMBERS, "a RST for another connection of the same client", "RFC 9293 3.10.7", "goes on")
def rst_for_another(t):
    f = opened(t)
    t.flow().send("R", seq=f.snd)
    return after(f)


# ------------------------------------------------------------------------------------------------------- receiving

@case(RECEIVER, "a segment ahead of its turn, then the one before it", "RFC 5681 4.2", "duplicate ACK at once, then all is taken")
def reordering(t):
    f = opened(t)
    request = REQUEST % b"reordered"
    start = time.time()
    f.send("PA", request[10:], seq=f.snd + 10)
    a = f.get(0.7)
    duplicate = a is not None and diff(a.ack, f.snd) == 0 and a.at - start < 0.03
    f.send("PA", request[:10])
    f.snd = (f.snd + len(request)) & 0xffffffff
    whole = b"/reordered" in reply(f)
    return f"{'duplicate ACK at once' if duplicate else said(a)}, then {'all is taken' if whole else 'nothing'}"


@case(RECEIVER, "a segment that overlaps what was taken, with other bytes", "RFC 9293 3.10.7.4", "the first bytes stay")
def overlap(t):
    f = opened(t)
    f.send("PA", b"GET /first")
    f.get(0.2)
    f.send("PA", b"other HTTP/1.1\r\nHost: a\r\n\r\n", seq=f.snd + 5)
    f.snd += 5 + len(b"other HTTP/1.1\r\nHost: a\r\n\r\n")
    data = reply(f)
    return "the first bytes stay" if b"/first" in data else "the last bytes stay" if b"/other" in data else "nothing"


@case(RECEIVER, "a lone small segment without an answer", "RFC 9293 3.8.6.3", "ACK within 0.5 s")
def delayed_ack(t):
    f = opened(t)
    f.send("PA", b"G")
    return f"{said(f.get(0.5))} within 0.5 s"


@case(RECEIVER, "full-sized segments", "RFC 9293 3.8.6.3 (SHLD-19)", "an ACK for every second one at least")
def ack_every_second(t):
    f = opened(t)
    head = b"GET /" + b"a" * (1460 - 5)
    f.send("PA", head)
    f.snd += 1460
    f.send("PA", b"a" * 1460)
    f.snd += 1460
    a = f.get(0.03, lambda s: diff(s.ack, f.snd) == 0)
    return "an ACK for every second one at least" if a is not None else "later"


@case(RECEIVER, "urgent data", "RFC 9293 3.8.5, RFC 6093", "in line",
      "the urgent byte leaves the stream of a Linux socket unless the program asks for it in line, as RFC 6093 advises; HTTP has none")
def urgent(t):
    f = opened(t, service="odd")  # nginx may wait for ever behind an urgent byte
    f.send("PAU", b"GET /echo/urXgent", urgent=13)
    f.snd += 17
    f.say(b" HTTP/1.1\r\nHost: a\r\n\r\n")
    data = reply(f)
    return "in line" if b"/urXgent" in data else "out of the stream" if b"/urgent" in data else "lost"


def filled(t, rate, least, quiet):
    """A connection whose reader takes `rate` bytes a second, and whose window has had room for less than `least` bytes for
    `quiet` seconds."""
    f = t.flow("odd")
    a = f.open(mss(1460) + scale(7))
    f.shift = a.options[SCALE][0] if SCALE in a.options else 0
    f.say(b"POST /slow-read/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" % rate)
    edge, acked, since = f.snd, f.rcv, time.monotonic()
    while time.monotonic() - since < 6:
        for s in f.all(0.02):
            if diff((s.ack + (s.window << f.shift)) & 0xffffffff, edge) > 0:
                edge, since = (s.ack + (s.window << f.shift)) & 0xffffffff, time.monotonic()
            acked = s.ack
        while diff(edge, f.snd) >= least:
            size = min(1400, diff(edge, f.snd))
            f.send("PA", b"z" * size)
            f.snd = (f.snd + size) & 0xffffffff
        if acked == f.snd and time.monotonic() - since >= quiet:
            return f
    raise AssertionError(f"the window never closed: {diff(edge, f.snd)} are left")


@case(WINDOW, "their window is closed: one byte beyond it", "RFC 9293 3.8.6.1, 3.10.7.4", "ACK, window 0, the byte is not taken")
def zero_window_probe_answered(t):
    f = filled(t, 1, 1, 0.7)
    f.clear()
    f.send("PA", b"p")
    a = f.get(1)
    return f"{said(a)}, window {a.window}, the byte is {'not ' if diff(a.ack, f.snd) == 0 else ''}taken"


@case(WINDOW, "their window is closed: the reader goes on reading", "RFC 9293 3.8.6.2.2", "a window update without being asked")
def window_update(t):
    f = filled(t, 400_000, 1400, 0)
    a = f.get(4, lambda s: s.window << f.shift >= 1400)
    return "a window update without being asked" if a is not None else "silence"


# --------------------------------------------------------------------------------------------------------- sending

@case(SENDER, "initial window", "RFC 6928 2", "10 segments")
def initial_window(t):
    f = opened(t)
    f.say(REQUEST % b"bytes/1048576")
    ends = [diff(s.seq, f.rcv) + len(s.data) for s in f.all(0.12) if s.data]
    return f"{round(max(ends) / 1460)} segments"


@case(SENDER, "nothing is acknowledged", "RFC 6298 5", "the first segment again after 0.2 s or more, then after twice as long")
def retransmission(t):
    f = opened(t)
    f.say(REQUEST % b"bytes/1048576")
    times = [s.at for s in f.all(2.4) if s.data and diff(s.seq, f.rcv) == 0]
    gaps = [b - a for a, b in zip(times, times[1:])]
    doubles = len(gaps) >= 3 and all(1.7 < b / a < 2.3 for a, b in zip(gaps, gaps[1:]))
    return ("the first segment again after 0.2 s or more, then after twice as long"
            if doubles and 0.19 < gaps[0] < 0.5 else str([round(g, 2) for g in gaps]))


@case(SENDER, "three duplicate ACKs, without SACK", "RFC 5681 3.2", "the first segment again at the third",
      "Linux does not count the first of them, whose number is newer than that of the segment which told the window")
def fast_retransmit(t):
    f = opened(t)
    f.say(REQUEST % b"bytes/1048576")
    f.get(1, lambda s: s.data)
    f.all(0.02)
    for n in range(1, 5):
        f.send("A")
        if f.get(0.03, lambda s: s.data and diff(s.seq, f.rcv) == 0):
            return f"the first segment again at the {('first', 'second', 'third', 'fourth')[n - 1]}"
    return "nothing"


@case(SENDER, "small answers, the first not acknowledged (Nagle)", "RFC 9293 3.7.4", "the second is sent at once")
def nagle_off(t):
    f = opened(t)
    f.say(REQUEST % b"one")
    f.get(1, lambda s: b"/one" in s.data)
    f.say(REQUEST % b"two")
    # Both requests are acknowledged by data; ours stay unacknowledged.
    return "the second is sent at once" if f.get(0.15, lambda s: b"/two" in s.data) else "the second waits"


@case(SENDER, "a window smaller than a segment", "RFC 9293 3.8.6.2.1, 3.8.6.1", "waits for the timer, then as much as fits")
def silly_window(t):
    f = opened(t)
    f.say(REQUEST % b"bytes/102400")
    f.take(0.1, count=2920)
    f.window = 400
    settle(f)
    s = f.get(2, lambda s: s.data and diff(s.end, f.rcv) > 0)
    return f"waits for the timer, then {'as much as fits' if s is not None and 0 < len(s.data) <= 400 else said(s)}"


def settle(f):
    """Acknowledges all that is on its way, with the window as it is now, until nothing comes any more."""
    while True:
        f.clear()
        while (s := f.next_kept()) is not None:
            f.rcv = s.end
        f.send("A")
        if f.get(0.06, lambda s: s.data and diff(s.end, f.rcv) > 1) is None:
            return


@case(WINDOW, "ours closes: what asks for it to open", "RFC 9293 3.8.6.1", "a new byte, again and again at longer intervals",
      "Linux asks with an old number and no byte, which is answered as well and does not depend on whether the byte is taken")
def zero_window_probe(t):
    f = opened(t)
    f.say(REQUEST % b"bytes/102400")
    f.all(0.05)
    f.window = 0
    settle(f)
    probes = f.all(2.6)
    what = {"a new byte" if len(s.data) == 1 and s.seq == f.rcv else "an old number" if not s.data else f"{len(s.data)} bytes"
            for s in probes}
    times = [s.at for s in probes]
    gaps = [b - a for a, b in zip(times, times[1:])]
    longer = len(gaps) >= 2 and gaps[-1] > 1.7 * gaps[0]
    return f"{' or '.join(sorted(what))}, again and again{' at longer intervals' if longer else ''}"


@case(WINDOW, "ours closes and stays so, probes are answered", "RFC 9293 3.8.6.1 (MUST-37)", "goes on after 5 s")
def zero_window_long(t):
    f = opened(t)
    f.say(REQUEST % b"bytes/102400")
    f.all(0.05)
    f.window = 0
    settle(f)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if f.get(0.2) is not None:
            f.send("A")
    return ("is stuck" if reopened(f) is None else "goes on") + " after 5 s"


def reopened(f):
    f.clear()
    f.window = 0xffff
    f.send("A")
    return f.get(1, lambda s: diff(s.end, f.rcv) > 1)


@case(WINDOW, "ours opens again", "RFC 9293 3.8.6.1", "goes on at once")
def window_reopened(t):
    f = opened(t)
    f.say(REQUEST % b"bytes/102400")
    f.all(0.05)
    f.window = 0
    settle(f)
    started = time.time()
    first = reopened(f)
    return "is stuck" if first is None else "goes on " + ("at once" if first.at - started < 0.03 else "later")


@case(WINDOW, "ours shrinks below what is in flight, then opens", "RFC 9293 3.8.6 (SHLD-15)", "goes on")
def window_shrinks(t):
    f = opened(t)
    f.say(REQUEST % b"bytes/102400")
    f.all(0.1)
    f.rcv = (f.rcv + 1460) & 0xffffffff
    f.send("A", window=100)
    f.all(0.3)
    f.send("A")
    return "goes on" if len(f.take(1.5, count=50_000)) >= 50_000 else "is stuck"


@case(SENDER, "nothing is acknowledged for 3 s (user timeout)", "RFC 9293 3.8.3, RFC 5482", "gives up: a late ACK gets RST")
def user_timeout(t):
    f = opened(t)
    f.say(REQUEST % b"bytes/102400")
    f.all(8.5)
    f.send("A")
    return f"{'gives up: a late ACK gets ' if (a := f.get(0.5)) is not None and a.has('R') else ''}{said(a)}"


@case(SENDER, "a peer that says nothing for 4 s (keepalive)", "RFC 9293 3.8.4", "is asked twice, then RST and ACK")
def keepalive(t):
    f = opened(t)
    answered(f)
    f.clear()
    seen = f.all(11)
    asked = [s for s in seen if not s.has("R") and diff(s.seq, f.rcv) == -1 and not s.data]
    return f"is asked {('never', 'once', 'twice')[min(2, len(asked))]}, then {said(seen[-1] if seen else None)}"


@case(SENDER, "a peer that answers keepalives", "RFC 9293 3.8.4", "goes on after 8 s")
def keepalive_answered(t):
    f = opened(t)
    answered(f)
    until = time.monotonic() + 8
    while time.monotonic() < until:
        if f.get(0.2, lambda s: not s.data) is not None:
            f.send("A")
    return f"{after(f)} after 8 s"


# ------------------------------------------------------------------------------------------------------------ ICMP

def unreachable(t, kind, code, rest=0):
    f = opened(t)
    f.say(REQUEST % b"bytes/102400")
    f.icmp(kind, code, f.get(1, lambda s: s.data), rest)
    return "goes on" if len(f.take(1, count=50_000)) >= 50_000 else "is over"


@case(ICMP_GROUP, "host unreachable (soft)", "RFC 1122 4.2.3.9", "goes on")
def icmp_soft(t):
    return unreachable(t, 3, 1)


@case(ICMP_GROUP, "port unreachable (hard)", "RFC 5461, RFC 5927 4", "goes on")
def icmp_hard(t):
    return unreachable(t, 3, 3)


@case(ICMP_GROUP, "source quench", "RFC 6633", "goes on")
def icmp_source_quench(t):
    return unreachable(t, 4, 0)
