"""Compliance: timestamps with PAWS, selective acknowledgements. See compliance.py."""

import struct
import time

from compliance import case
from compliance_close import time_wait
from compliance_handshake import REQUEST, after, answered, opened, reply, said
from raw_tcp import SACK, SACK_PERMITTED, TIMESTAMPS, diff, mss, option, sack, timestamps

STAMPS = "Timestamps"
SELECTIVE = "Selective acknowledgements"
SACK_OK = option(SACK_PERMITTED) + b"\1\1"


def stamped(t, at=1_000_000):
    """A connection with timestamps; our clock stands at `at` until a case moves it."""
    f = t.flow()
    f.options = timestamps(at)
    a = f.open(mss(1460) + timestamps(at))
    assert TIMESTAMPS in a.options, "no timestamps on the SYN and ACK"
    f.echo = struct.unpack("!II", a.options[TIMESTAMPS])[0]
    move(f, at)
    return f


def move(f, at):
    f.options = timestamps(at, f.echo)


@case(STAMPS, "SYN with timestamps", "RFC 7323 3.2", "offered, our value comes back; on every segment that follows")
def timestamps_offered(t):
    f = stamped(t)
    f.clear()
    f.say(REQUEST % b"alive")
    s = f.get(1, lambda s: s.data)
    both = TIMESTAMPS in s.options and struct.unpack("!II", s.options[TIMESTAMPS])[1] == 1_000_000
    return "offered, our value comes back; on " + ("every segment that follows" if both else "the SYN alone")


@case(STAMPS, "SYN without timestamps", "RFC 7323 3.2", "not offered")
def timestamps_not_offered(t):
    return "offered" if TIMESTAMPS in t.flow().open().options else "not offered"


@case(STAMPS, "data with an older timestamp (PAWS)", "RFC 7323 5.3 R1", "ACK, the data are not taken")
def paws(t):
    f = stamped(t)
    move(f, 1_000_100)
    answered(f)
    move(f, 900_000)
    f.clear()
    f.send("PA", b"X")
    told = said(f.get(0.7))
    move(f, 1_000_200)
    return f"{told}, the data are {'not ' if answered(f) else ''}taken"


@case(STAMPS, "RST with an older timestamp", "RFC 7323 5.2", "is over")
def paws_rst(t):
    f = stamped(t)
    move(f, 900_000)
    f.send("R")
    move(f, 1_000_200)
    return after(f)


@case(STAMPS, "a segment without the option", "RFC 7323 3.2", "the data are not taken",
      "RFC 7323: such a segment should be dropped; Linux takes it")
def timestamps_missing(t):
    f = stamped(t)
    f.clear()
    f.options = b""
    f.say(REQUEST % b"alive")
    f.options = timestamps(1_000_100, f.echo)
    return f"the data are {'' if reply(f, 0.7) else 'not '}taken"


@case(STAMPS, "TIME-WAIT: SYN with a lower number and a newer timestamp", "RFC 6191 2", "a new connection")
def time_wait_syn_by_timestamp(t):
    f = time_wait(t, stamped)
    f.iss = f.snd = f.snd - 100_000
    f.options = b""
    later = timestamps(1_100_000)
    f.send("S", options=mss(1460) + later)
    return "a new connection" if said(f.get(0.7)) == "SYN and ACK" else "refused"


def selective(t):
    return opened(t, mss(1460) + SACK_OK)


def blocks(segment):
    """SACK blocks of a segment."""
    raw = segment.options.get(SACK, b"") if segment is not None else b""
    return [struct.unpack("!II", raw[i:i + 8]) for i in range(0, len(raw), 8)]


@case(SELECTIVE, "SYN that permits SACK", "RFC 2018 2", "permitted")
def sack_permitted(t):
    f = t.flow()
    return "permitted" if SACK_PERMITTED in f.open(mss(1460) + SACK_OK).options else "not permitted"


@case(SELECTIVE, "a segment ahead of its turn", "RFC 2018 3, 4", "one block, with its numbers")
def sack_block(t):
    f = selective(t)
    f.send("PA", b"ahead", seq=f.snd + 10)
    found = [(diff(a, f.snd), diff(b, f.snd)) for a, b in blocks(f.get(0.7))]
    return "one block, with its numbers" if found == [(10, 15)] else str(found)


@case(SELECTIVE, "the last byte of the window, and the one behind it", "RFC 9293 3.10.7.4, 3.4", "the first is SACKed, the second is not taken")
def window_edge(t):
    f = t.flow()
    a = f.open(mss(1460) + SACK_OK)
    f.send("PA", b"e", seq=f.snd + a.window - 1)
    inside = blocks(f.get(0.7))
    f.send("PA", b"f", seq=f.snd + a.window)
    beyond = blocks(f.get(0.7))
    edge = (f.snd + a.window) & 0xffffffff
    kept = [b for b in inside if b[1] == edge]
    passed = [b for b in beyond if diff(b[1], edge) > 0]
    return f"the first is {'' if kept else 'not '}SACKed, the second is {'taken' if passed else 'not taken'}"


@case(SELECTIVE, "three segments with holes between", "RFC 2018 4", "the latest block first, then the others")
def sack_order(t):
    f = selective(t)
    for at in (10, 30, 50):
        f.send("PA", b"ahead", seq=f.snd + at)
        a = f.get(0.7)
    found = [diff(begin, f.snd) for begin, _ in blocks(a)]
    return "the latest block first, then the others" if found[:1] == [50] and sorted(found) == [10, 30, 50] else str(found)


@case(SELECTIVE, "data that were taken before", "RFC 2883 4", "a D-SACK of them")
def duplicate_sack(t):
    f = selective(t)
    f.send("PA", b"GET /")
    f.snd += 5
    f.get(0.5)
    f.send("PA", b"GET /", seq=f.snd - 5)
    found = [(diff(a, f.snd), diff(b, f.snd)) for a, b in blocks(f.get(0.7))]
    return "a D-SACK of them" if found == [(-5, 0)] else str(found)


def answer_in_flight(f):
    """The initial window of a long answer: [(begin, end)] in order, nothing acknowledged."""
    f.say(REQUEST % b"bytes/1048576")
    return sorted({(diff(s.seq, f.rcv), diff(s.end, f.rcv)) for s in f.all(0.04) if s.data})


def tell_sack(f, *ranges):
    f.send("A", options=sack(*((f.rcv + a, f.rcv + b) for a, b in ranges)))


@case(SELECTIVE, "the third segment is missing, six behind it are SACKed", "RFC 6675, RFC 8985 6", "it alone is sent again, before the timeout")
def sack_hole(t):
    f = selective(t)
    sent = answer_in_flight(f)
    hole, behind = sent[2], sent[3]
    f.rcv = (f.rcv + hole[0]) & 0xffffffff
    edge = hole[0]
    f.clear()
    for n in range(3, 9):
        tell_sack(f, (behind[0] - edge, sent[n][1] - edge))
    told = time.time()
    again = [s for s in f.all(0.4) if s.data and diff(s.end, f.rcv) <= sent[-1][1] - edge]
    soon = {diff(s.seq, f.rcv) for s in again if s.at - told < 0.14}
    return "it alone is sent again, before the timeout" if soon == {0} else f"{sorted(soon)} before the timeout"


@case(SELECTIVE, "what was SACKed is dropped by the peer (reneging)", "RFC 2018 8", "it is sent again after the timeout")
def sack_reneging(t):
    f = selective(t)
    sent = answer_in_flight(f)
    tell_sack(f, (sent[1][0], sent[-1][1]))
    f.all(0.05)
    # The first segment is acknowledged and nothing else is said of the rest.
    f.rcv = (f.rcv + sent[0][1]) & 0xffffffff
    f.kept.clear()
    f.clear()
    f.send("A")
    s = f.get(1.5, lambda s: s.data and diff(s.seq, f.rcv) == 0)
    return "it is sent again after the timeout" if s is not None else "it is lost"


@case(SELECTIVE, "a D-SACK of what was sent once", "RFC 3708, RFC 8985 7.4", "goes on")
def sack_of_the_past(t):
    f = selective(t)
    answered(f)
    f.send("A", options=sack((f.rcv - 50, f.rcv - 10)))
    return after(f)


@case(SELECTIVE, "a SACK of what was never sent", "RFC 2018, RFC 9293 3.10.7.4", "goes on")
def sack_unsent(t):
    f = selective(t)
    answered(f)
    f.send("A", options=sack((f.rcv + 1000, f.rcv + 5000)))
    return after(f)
