"""Compliance: closing, and what stands in each closing state. See compliance.py."""

import time

from compliance import case
from compliance_handshake import after, opened, said
from raw_tcp import diff, mss

CLOSING = "Closing"
STATES = "Numbers out of place, in the other states"
TIME_WAIT = "TIME-WAIT"
LINGERS = ("Ringway reads on for up to 2 s after its last answer, so that a client which still sends is not reset before it has "
           "read it (RFC 9112 9.6)")
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def until_fin(f, seconds=2):
    """Takes data until their FIN, which stays unacknowledged; `their_end` is the number behind it."""
    while (s := f.get(seconds)) is not None:
        if s.seq != f.rcv:
            continue
        f.rcv = (s.seq + len(s.data)) & 0xffffffff
        if s.has("F"):
            f.their_end = (f.rcv + 1) & 0xffffffff
            return s
        if s.data:
            f.send("A")
    raise AssertionError("no FIN")


def fin_wait_1(t, connect=opened):
    """They have sent FIN first and wait for its acknowledgement."""
    f = connect(t)
    f.say(LAST)
    until_fin(f)
    return f


def fin_wait_2(t, connect=opened):
    f = fin_wait_1(t, connect)
    f.rcv = f.their_end
    f.send("A")
    return f


def closing(t):
    f = fin_wait_1(t)
    f.send("FA")
    f.snd = (f.snd + 1) & 0xffffffff
    f.get(0.5, lambda s: diff(s.ack, f.snd) == 0)
    return f


def last_ack(t):
    """We have sent FIN first; they have acknowledged it and sent theirs."""
    f = opened(t)
    f.send("FA")
    f.snd = (f.snd + 1) & 0xffffffff
    until_fin(f)
    return f


def close_wait(t):
    """We have sent FIN while a long answer is on its way, of which we take nothing more."""
    f = opened(t)
    f.say(b"GET /bytes/1048576 HTTP/1.1\r\nHost: a\r\n\r\n")
    f.all(0.05)
    f.send("FA")
    f.snd = (f.snd + 1) & 0xffffffff
    f.get(0.5, lambda s: diff(s.ack, f.snd) == 0)
    f.their_end = f.rcv
    return f


def time_wait(t, connect=opened):
    f = fin_wait_2(t, connect)
    f.send("FA")
    f.snd = (f.snd + 1) & 0xffffffff
    f.get(0.5, lambda s: diff(s.ack, f.snd) == 0)
    f.clear()
    return f


# --------------------------------------------------------------------------------------------------------- closing

@case(CLOSING, "a FIN that is not acknowledged", "RFC 9293 3.10.7.4, RFC 6298", "again, after twice as long each time")
def fin_retransmission(t):
    f = fin_wait_1(t)
    times = [s.at for s in f.all(2) if s.has("F")]
    gaps = [b - a for a, b in zip(times, times[1:])]
    return ("again, after twice as long each time" if len(gaps) >= 1 and all(1.7 < b / a < 2.3 for a, b in zip(gaps, gaps[1:]))
            else str([round(g, 2) for g in gaps]))


@case(CLOSING, "our FIN first, nothing asked", "RFC 9293 3.6", "ACK and FIN; after the last ACK it is gone")
def passive_close(t):
    f = last_ack(t)
    f.rcv = f.their_end
    f.send("A")
    f.all(0.1)
    f.send("A")
    a = f.get(0.7)
    return "ACK and FIN; after the last ACK it is " + ("gone" if a is not None and a.has("R") else "there")


@case(CLOSING, "our FIN again in LAST-ACK", "RFC 9293 3.10.7.4", "ACK")
def fin_again_in_last_ack(t):
    f = last_ack(t)
    f.all(0.02)
    f.send("FA", seq=f.snd - 1, ack=f.rcv)
    return said(f.get(0.15, lambda s: not s.has("F")))


@case(CLOSING, "a FIN ahead of the data before it", "RFC 9293 3.10.7.4", "duplicate ACK; then the answer and FIN")
def fin_ahead(t):
    f = opened(t)
    request = LAST
    f.send("FA", seq=f.snd + len(request))
    a = f.get(0.7)
    first = "duplicate ACK" if a is not None and diff(a.ack, f.snd) == 0 and not a.has("F") else said(a)
    f.send("PA", request)
    f.snd += len(request) + 1
    data = f.take(1.5)
    closed = any(s.has("F") for s in f.kept.values())
    return f"{first}; then {'the answer' if b' 200 ' in data else 'nothing'} and {'FIN' if closed else 'silence'}"


@case(CLOSING, "request and FIN together (half-close)", "RFC 9293 3.6, 3.9.1.3", "the whole answer, then FIN")
def half_close(t):
    f = opened(t)
    f.send("FPA", b"GET /bytes/10240 HTTP/1.1\r\nHost: a\r\n\r\n")
    f.snd += len(b"GET /bytes/10240 HTTP/1.1\r\nHost: a\r\n\r\n") + 1
    data = f.take(1.5)
    whole = len(data.partition(b"\r\n\r\n")[2]) == 10240
    closed = any(s.has("F") for s in f.kept.values())
    return f"{'the whole answer' if whole else len(data)}, then {'FIN' if closed else 'silence'}"


@case(CLOSING, "both close at once", "RFC 9293 3.6, figure 13", "their FIN is acknowledged; after ours is, TIME-WAIT")
def simultaneous_close(t):
    f = fin_wait_1(t)
    f.send("FA")
    a = f.get(0.7, lambda s: diff(s.ack, f.snd + 1) == 0)
    f.snd = (f.snd + 1) & 0xffffffff
    f.rcv = f.their_end
    f.send("A")
    f.all(0.2)
    f.send("FA", seq=f.snd - 1)
    again = f.get(0.7)
    return ("their FIN is acknowledged" if a else "no ACK") + "; after ours is, " + ("TIME-WAIT" if said(again) == "ACK" else said(again))


@case(CLOSING, "data after they have closed, FIN-WAIT-1", "RFC 9293 3.10.4, RFC 1122 4.2.2.13", "ACK", LINGERS)
def data_after_close_fin_wait_1(t):
    f = fin_wait_1(t)
    f.all(0.03)
    f.send("PA", b"X")
    return said(f.get(0.7, lambda s: not s.has("F") and not s.data))


@case(CLOSING, "data after they have closed, FIN-WAIT-2", "RFC 9293 3.10.4, RFC 1122 4.2.2.13", "ACK", LINGERS)
def data_after_close_fin_wait_2(t):
    f = fin_wait_2(t)
    f.all(0.03)
    f.send("PA", b"X")
    return said(f.get(0.7, lambda s: not s.has("F") and not s.data))


@case(CLOSING, "no FIN from the peer in FIN-WAIT-2", "RFC 9293 3.6, RFC 1122 4.2.2.20", "after 2 s it is gone")
def fin_wait_2_timeout(t):
    f = fin_wait_2(t)
    time.sleep(5)
    f.clear()
    f.send("FA")
    return "after 2 s it is " + ("gone" if said(f.get(0.7)) == "RST" else "there")


@case(CLOSING, "RST in FIN-WAIT-1", "RFC 5961 3.2", "is over")
def rst_in_fin_wait_1(t):
    f = fin_wait_1(t)
    f.clear()
    f.send("R")
    f.all(0.05)
    f.send("A", ack=f.rcv)
    a = f.get(0.7, lambda s: not s.has("F"))
    return "is over" if said(a) == "RST" else "goes on"


@case(CLOSING, "RST in CLOSE-WAIT", "RFC 5961 3.2", "is over")
def rst_in_close_wait(t):
    f = close_wait(t)
    f.send("R")
    f.all(0.05)
    f.send("A")
    return "is over" if said(f.get(0.7)) == "RST" else "goes on"


@case(CLOSING, "the answer goes on in CLOSE-WAIT", "RFC 9293 3.6", "more of it, then FIN")
def close_wait_sends_on(t):
    f = close_wait(t)
    got = f.take(1.5)
    closed = any(s.has("F") for s in f.kept.values())
    return f"{'more of it' if len(got) > 14_600 else len(got)}, then {'FIN' if closed else 'silence'}"


# ---------------------------------------------------------------------------------------------------------- states

def out_of_place(reach, ringway_seq, ringway_ack, why_seq="", why_ack=""):
    state = reach.__name__.upper().replace("_", "-")

    def unacceptable_seq(t):
        f = reach(t)
        f.all(0.02)
        f.send("PA", b"X", seq=f.snd + 0x10_0000)
        return said(f.get(0.15, lambda s: not s.has("F") and not s.data))

    def unacceptable_ack(t):
        f = reach(t)
        f.all(0.02)
        f.send("A", ack=f.their_end + 0x10_0000)
        return said(f.get(0.15, lambda s: not s.has("F") and not s.data))
    for run, what, outcome, why in ((unacceptable_seq, "data beyond the window", ringway_seq, why_seq),
                                    (unacceptable_ack, "ACK of data never sent", ringway_ack, why_ack)):
        run.__name__ = f"{run.__name__}_in_{reach.__name__}"
        case(STATES, f"{state}: {what}", "RFC 9293 3.10.7.4", outcome, why)(run)


for reached in (fin_wait_1, close_wait, closing, last_ack):
    out_of_place(reached, "ACK", "ACK")
out_of_place(fin_wait_2, "ACK", "ACK", why_ack="Linux keeps a record of a closed connection, which looks at no acknowledgement")
# Whoever answered acknowledgements there could be answered for ever by another in TIME-WAIT.
out_of_place(time_wait, "ACK", "silence")


# ------------------------------------------------------------------------------------------------------- TIME-WAIT

@case(TIME_WAIT, "the FIN again", "RFC 9293 3.10.7.4", "ACK")
def time_wait_fin(t):
    f = time_wait(t)
    f.send("FA", seq=f.snd - 1)
    return said(f.get(0.7))


@case(TIME_WAIT, "a plain ACK at the edge", "RFC 9293 3.10.7.4", "silence")
def time_wait_ack(t):
    f = time_wait(t)
    f.send("A")
    return said(f.get(0.7))


@case(TIME_WAIT, "SYN above the last number", "RFC 9293 3.6.1, RFC 6191", "a new connection")
def time_wait_syn(t):
    f = time_wait(t)
    f.iss = f.snd = f.snd + 100_000
    a = f.open()
    return "a new connection" if a is not None and after(f) == "goes on" else said(a)


@case(TIME_WAIT, "SYN at or below the last number", "RFC 9293 3.6.1, RFC 5961 4", "ACK")
def time_wait_old_syn(t):
    f = time_wait(t)
    f.send("S", seq=f.snd - 1000, options=mss(1460))
    return said(f.get(0.7))


@case(TIME_WAIT, "RST at the edge", "RFC 9293 3.10.7.4, RFC 1337", "the record is gone")
def time_wait_rst(t):
    f = time_wait(t)
    f.send("R")
    f.send("FA", seq=f.snd - 1)
    return "the record is gone" if said(f.get(0.7)) == "RST" else "the record stays"


@case(TIME_WAIT, "RST elsewhere in the window", "RFC 1337, RFC 5961 3.2", "the record stays")
def time_wait_rst_in_window(t):
    f = time_wait(t)
    f.send("R", seq=f.snd + 10)
    f.send("FA", seq=f.snd - 1)
    return "the record is gone" if said(f.get(0.7)) == "RST" else "the record stays"


@case(TIME_WAIT, "data", "RFC 9293 3.10.7.4", "ACK")
def time_wait_data(t):
    f = time_wait(t)
    f.send("PA", b"X")
    return said(f.get(0.7))
