"""Compliance: segments without a connection, the handshake on both sides, options. See compliance.py."""

import re

from compliance import COOKIE_SHARE, case
from raw_tcp import MSS, SCALE, diff, mss, option, scale

REQUEST = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
STRANGERS = "Segments without a connection"
PASSIVE = "Handshake, as the listener"
ACTIVE = "Handshake, as the one who connects"
OPTIONS = "Options and headers"


def said(segment):
    """A segment in words."""
    if segment is None:
        return "silence"
    for flags, words in (("RA", "RST and ACK"), ("R", "RST"), ("SA", "SYN and ACK"), ("S", "SYN"), ("F", "FIN")):
        if segment.has(flags):
            return words
    return "data" if segment.data else "ACK"


def reply(flow, seconds=2):
    """One whole answer, acknowledged; b"" when there is none."""
    data = b""
    while b"\r\n\r\n" not in data or len(data) < data.index(b"\r\n\r\n") + 4 + length_of(data):
        more = flow.take(seconds, count=1)
        if not more:
            return b""
        data += more
    return data


def length_of(head):
    return int(re.search(rb"content-length: *(\d+)", head, re.I)[1])


def answered(flow):
    """Whether a request on this connection gets an answer."""
    flow.clear()
    flow.say(REQUEST % b"alive")
    return b" 200 " in reply(flow)


def after(flow):
    return "goes on" if answered(flow) else "is over"


def opened(t, options=mss(1460), service="web"):
    flow = t.flow(service)
    assert flow.open(options) is not None, "no SYN and ACK"
    return flow


# ------------------------------------------------------------------------------------------------------ strangers

@case(STRANGERS, "SYN to a port that nobody listens on", "RFC 9293 3.10.7.1", "RST and ACK")
def closed_port_syn(t):
    f = t.flow(port=t.closed_port)
    f.send("S")
    a = f.get(1)
    assert a is None or diff(a.ack, f.iss + 1) == 0, a
    return said(a)


@case(STRANGERS, "ACK to a port that nobody listens on", "RFC 9293 3.10.7.1", "RST")
def closed_port_ack(t):
    f = t.flow(port=t.closed_port)
    f.send("A", ack=77)
    a = f.get(1)
    assert a is None or a.seq == 77, a
    return said(a)


@case(STRANGERS, "RST to a port that nobody listens on", "RFC 9293 3.10.7.1", "silence")
def closed_port_rst(t):
    f = t.flow(port=t.closed_port)
    f.send("R")
    return said(f.get(0.7))


@case(STRANGERS, "ACK for a listener", "RFC 9293 3.10.7.2", "RST")
def listener_ack(t):
    f = t.flow()
    f.send("A", ack=77)
    a = f.get(1)
    assert a is None or a.seq == 77, a
    return said(a)


@case(STRANGERS, "SYN and ACK for a listener", "RFC 9293 3.10.7.2", "RST")
def listener_syn_ack(t):
    f = t.flow()
    f.send("SA", ack=77)
    a = f.get(1)
    assert a is None or a.seq == 77, a
    return said(a)


@case(STRANGERS, "FIN without ACK for a listener", "RFC 9293 3.10.7.2", "silence")
def listener_fin(t):
    f = t.flow()
    f.send("F")
    return said(f.get(0.7))


@case(STRANGERS, "no flag at all, for a listener", "RFC 9293 3.10.7.2", "silence")
def listener_no_flags(t):
    f = t.flow()
    f.send("")
    return said(f.get(0.7))


@case(STRANGERS, "SYN and FIN for a listener", "RFC 9293 3.10.7.2", "silence")
def listener_syn_fin(t):
    f = t.flow()
    f.send("SF")
    return said(f.get(0.7))


@case(STRANGERS, "SYN and RST for a listener", "RFC 9293 3.10.7.2", "silence")
def listener_syn_rst(t):
    f = t.flow()
    f.send("SR")
    return said(f.get(0.7))


# -------------------------------------------------------------------------------------------------------- passive

@case(PASSIVE, "SYN with options", "RFC 9293 3.5, 3.7.1", "MSS 1460, window scale offered")
def syn_ack_options(t):
    f = t.flow()
    a = f.open(mss(1460) + scale(3))
    return f"MSS {int.from_bytes(a.options[MSS], 'big')}, window scale {'offered' if SCALE in a.options else 'not offered'}"


@case(PASSIVE, "SYN without window scale", "RFC 7323 2.2", "window scale not offered")
def syn_ack_without_scale(t):
    return f"window scale {'offered' if SCALE in t.flow().open().options else 'not offered'}"


@case(PASSIVE, "the same SYN again", "RFC 9293 3.10.7.4", "SYN and ACK, same number")
def syn_again(t):
    f = t.flow()
    f.send("S", options=mss(1460))
    first = f.get(1)
    f.send("S", options=mss(1460))
    again = f.get(0.6)
    return said(again) + (", same number" if again is not None and again.seq == first.seq else "")


@case(PASSIVE, "another SYN far from the first", "RFC 9293 3.10.7.4", "ACK")
def syn_other(t):
    f = t.flow()
    f.send("S", options=mss(1460))
    f.get(1)
    f.send("S", seq=f.iss + 0x4000_0000, options=mss(1460))
    return said(f.get(0.6))


@case(PASSIVE, "nobody acknowledges the SYN and ACK", "RFC 6298 2.1, 5", "again after 1 s and 2 s more")
def syn_ack_retransmission(t):
    f = t.flow()
    f.send("S", options=mss(1460))
    times = [s.at for s in f.all(3.8) if s.has("SA")]
    gaps = [round(b - a) for a, b in zip(times, times[1:])]
    return "again after " + " and ".join(f"{g} s" for g in gaps) + " more"


@case(PASSIVE, "ACK of another number in SYN-RECEIVED", "RFC 9293 3.10.7.4", "RST, the handshake goes on")
def syn_rcvd_bad_ack(t):
    f = t.flow()
    f.send("S", options=mss(1460))
    a = f.get(1)
    f.snd, f.rcv = f.iss + 1, a.seq + 1
    f.send("A", ack=a.seq + 1000)
    told = said(f.get(0.6))
    return f"{told}, the handshake {after(f)}"


@case(PASSIVE, "RST at the left edge in SYN-RECEIVED", "RFC 5961 3.2", "the handshake is over")
def syn_rcvd_rst(t):
    f = t.flow()
    f.send("S", options=mss(1460))
    a = f.get(1)
    f.snd, f.rcv = f.iss + 1, a.seq + 1
    f.send("R")
    return f"the handshake {after(f)}"


@case(PASSIVE, "RST inside the window in SYN-RECEIVED", "RFC 5961 3.2", "ACK, the handshake goes on")
def syn_rcvd_rst_in_window(t):
    f = t.flow()
    f.send("S", options=mss(1460))
    a = f.get(1)
    f.snd, f.rcv = f.iss + 1, a.seq + 1
    f.send("R", seq=f.snd + 10)
    told = said(f.get(0.6))
    return f"{told}, the handshake {after(f)}"


@case(PASSIVE, "data on the last ACK of the handshake", "RFC 9293 3.10.7.4", "goes on")
def data_on_handshake_ack(t):
    f = t.flow()
    f.send("S", options=mss(1460))
    a = f.get(1)
    f.snd, f.rcv = f.iss + 1, a.seq + 1
    return after(f)


@case(PASSIVE, "data on the SYN", "RFC 9293 3.10.7.2", "the SYN alone is acknowledged")
def data_on_syn(t):
    f = t.flow()
    f.send("S", REQUEST % b"early", options=mss(1460))
    a = f.get(1)
    return "the SYN alone is acknowledged" if diff(a.ack, f.iss) == 1 else "the data are acknowledged"


@case(PASSIVE, "more SYNs than the listener keeps", "RFC 4987 3.6", "SYN and ACK, not repeated, completed without a record; a forged ACK gets RST")
def syn_cookie(t):
    opened(t, service="cookie")  # so that our address is resolved
    for _ in range(2 * COOKIE_SHARE):
        t.flow("cookie").send("S", options=mss(1460))
    f = t.flow("cookie")
    f.send("S", options=mss(1460))
    a = f.get(1)
    assert a is not None, "silence"
    f.snd, f.rcv = f.iss + 1, a.seq + 1
    told = said(a) + (", not repeated" if f.get(1.6) is None else ", repeated")
    told += ", completed without a record" if answered(f) else ", forgotten"
    forged = t.flow("cookie")
    forged.send("A", ack=a.seq + 1)
    return f"{told}; a forged ACK gets {said(forged.get(0.6))}"


# --------------------------------------------------------------------------------------------------------- active

@case(ACTIVE, "nobody answers the SYN", "RFC 6298 2.1", "again after 0.2, 0.4, 0.8 s",
      "Linux waits 1 s at first, as the RFC says; an endpoint is in the same data centre, and a lost SYN should not cost a second",
      active=True)
def connect_retransmission(t):
    f, _ = t.called()
    times = [f.syn.at] + [s.at for s in f.all(1.8 if t.ringway else 2.5) if s.has("S")]
    gaps = [round(b - a, 1) for a, b in zip(times, times[1:])]
    f.send("RA", ack=f.rcv)
    return "again after " + ", ".join(f"{g:g}" for g in gaps) + " s"


@case(ACTIVE, "the peer opens at the same time", "RFC 9293 3.5, 3.10.7.3", "SYN and ACK, then the request", active=True)
def simultaneous_open(t):
    f, _ = t.called()
    f.send("S", options=mss(1460))
    told = said(f.get(1, lambda s: s.has("A")))
    f.snd = f.iss + 1
    f.send("A")
    return f"{told}, then {'the request' if b'GET /called' in f.take(1, count=20) else 'nothing'}"


@case(ACTIVE, "ACK of a number never sent, in SYN-SENT", "RFC 9293 3.10.7.3", "RST, then the handshake goes on", active=True)
def syn_sent_bad_ack(t):
    f, _ = t.called()
    f.send("A", ack=f.rcv + 100)
    a = f.get(1, lambda s: not s.has("S"))
    assert a is None or diff(a.seq, f.rcv + 100) == 0, a
    return f"{said(a)}, then the handshake {'goes on' if complete(f) else 'is over'}"


def complete(f):
    f.send("SA", options=mss(1460))
    f.snd = f.iss + 1
    return b"GET /called" in f.take(1.5, count=20)


@case(ACTIVE, "SYN and ACK of a number never sent", "RFC 9293 3.10.7.3", "RST, then the handshake goes on", active=True)
def syn_sent_bad_syn_ack(t):
    f, _ = t.called()
    f.send("SA", ack=f.rcv + 100, options=mss(1460))
    told = said(f.get(1, lambda s: not s.has("S")))
    return f"{told}, then the handshake {'goes on' if complete(f) else 'is over'}"


@case(ACTIVE, "RST without ACK in SYN-SENT", "RFC 9293 3.10.7.3", "the handshake goes on", active=True)
def syn_sent_rst_without_ack(t):
    f, _ = t.called()
    f.send("R", seq=0)
    return f"the handshake {'goes on' if complete(f) else 'is over'}"


@case(ACTIVE, "RST that acknowledges another number, in SYN-SENT", "RFC 9293 3.10.7.3", "the handshake goes on", active=True)
def syn_sent_rst_bad_ack(t):
    f, _ = t.called()
    f.send("RA", seq=0, ack=f.rcv + 5)
    return f"the handshake {'goes on' if complete(f) else 'is over'}"


@case(ACTIVE, "RST that acknowledges the SYN", "RFC 9293 3.10.7.3", "refused", active=True)
def syn_sent_rst(t):
    f, outcome = t.called()
    f.send("RA", seq=0)
    told = outcome()
    return "refused" if told in ("HTTP/1.1 503", "ConnectionRefusedError", "ConnectionResetError") else told


@case(ACTIVE, "ICMP port unreachable in SYN-SENT", "RFC 1122 4.2.3.9, RFC 5461", "refused", active=True)
def syn_sent_icmp(t):
    f, outcome = t.called()
    f.icmp(3, 3, f.syn)
    told = outcome()
    return "refused" if told in ("HTTP/1.1 503", "ConnectionRefusedError") else told


# -------------------------------------------------------------------------------------------------------- options

def largest(f, count=20_000):
    """The largest segment of a long answer."""
    f.say(REQUEST % b"bytes/102400")
    sizes, got = [0], 0
    while got < count and (s := f.get(1)) is not None:
        if s.seq == f.rcv:
            f.rcv = s.end
            got += len(s.data)
            sizes.append(len(s.data))
            f.send("A")
    return max(sizes)


@case(OPTIONS, "no MSS option", "RFC 9293 3.7.1", "segments of 536 bytes at most")
def mss_default(t):
    return f"segments of {largest(opened(t, b''))} bytes at most"


@case(OPTIONS, "MSS of 900", "RFC 9293 3.7.1", "segments of 900 bytes at most")
def mss_of_peer(t):
    return f"segments of {largest(opened(t, mss(900)))} bytes at most"


@case(OPTIONS, "MSS of 64", "RFC 9293 3.7.1, RFC 791 3.1", "segments of 536 bytes at most",
      "a tiny MSS multiplies the packets of an answer (CVE-2019-11479); every IPv4 host takes 576 octets")
def mss_tiny(t):
    return f"segments of {largest(opened(t, mss(64)))} bytes at most"


@case(OPTIONS, "window scale above 14", "RFC 7323 2.3", "taken as 14")
def scale_above_14(t):
    f = t.flow()
    f.open(mss(1460) + scale(20))
    f.window = 1
    f.say(REQUEST % b"bytes/1048576")
    most, got, acked = 0, 0, f.rcv
    while got < 200_000 and (burst := f.all(0.03)):
        most = max(most, *(diff(s.end, acked) for s in burst))
        for s in burst:
            if s.seq == f.rcv:
                f.rcv = s.end
                got += len(s.data)
        acked = f.rcv
        f.send("A")
    return "taken as 14" if 14_600 < most <= 1 << 14 else f"{most} bytes at once"


@case(OPTIONS, "an option that nobody knows", "RFC 9293 3.1 (MUST-6)", "passed over")
def option_unknown(t):
    return "passed over" if t.flow().open(option(253, b"rw") + mss(1460)) is not None else "silence"


def malformed(t, options):
    f = t.flow()
    f.send("S", options=options)
    return said(f.get(0.7))


DROPPED = "a length that cannot be says that the rest cannot be believed; Linux reads up to there"


@case(OPTIONS, "an option of length 0", "RFC 9293 3.1 (MUST-7)", "silence", DROPPED)
def option_length_0(t):
    return malformed(t, bytes([MSS, 0, 5, 0xb4]))


@case(OPTIONS, "an option of length 1", "RFC 9293 3.1 (MUST-7)", "silence", DROPPED)
def option_length_1(t):
    return malformed(t, bytes([MSS, 1, 5, 0xb4]))


@case(OPTIONS, "an option that runs past the header", "RFC 9293 3.1 (MUST-7)", "silence", DROPPED)
def option_past_end(t):
    return malformed(t, bytes([MSS, 40, 5, 0xb4]))


@case(OPTIONS, "data offset below 5", "RFC 9293 3.1", "silence")
def offset_below_5(t):
    f = t.flow()
    f.send("S", offset=4)
    return said(f.get(0.7))


@case(OPTIONS, "data offset past the end", "RFC 9293 3.1", "silence")
def offset_past_end(t):
    f = t.flow()
    f.send("S", offset=15)
    return said(f.get(0.7))


@case(OPTIONS, "reserved bits set", "RFC 9293 3.1", "SYN and ACK")
def reserved_bits(t):
    f = t.flow()
    f.send("S", options=mss(1460), reserved=0b1110)
    return said(f.get(1))


@case(OPTIONS, "SYN that offers ECN", "RFC 3168 6.1.1", "SYN and ACK with ECE")
def ecn_offered(t):
    f = t.flow()
    f.send("SEC", options=mss(1460))
    a = f.get(1)
    return said(a) + (" with ECE" if a is not None and a.has("E") else " without ECE")


BELOW = "Below TCP"


def syn_in(t, **numbers):
    """What becomes of a SYN in an IPv4 packet that is told by `numbers`."""
    f = t.flow()
    f.peer.send_ip(f.ip, f.to, 6, f.segment("S", options=mss(1460)), **numbers)
    return said(f.get(0.7))


@case(BELOW, "SYN in a broadcast frame", "RFC 1122 3.3.6", "silence")
def syn_in_broadcast(t):
    return syn_in(t, broadcast=True)


@case(BELOW, "SYN with IPv4 options", "RFC 791 3.1, RFC 7126", "silence",
      "no host needs IPv4 options towards a gateway of services; they are refused by policy")
def syn_with_ip_options(t):
    return syn_in(t, options=b"\1\1\1\0")


@case(BELOW, "SYN in two fragments", "RFC 791 3.2, RFC 8900", "silence",
      "TCP has no need of fragments; they are refused by policy")
def syn_in_fragments(t):
    f = t.flow()
    whole = f.segment("S", options=mss(1460) + scale(7) + option(253, b"rwrwrw"))
    f.peer.send_ip(f.ip, f.to, 6, whole[:24], fragment=0x2000)
    f.peer.send_ip(f.ip, f.to, 6, whole[24:], fragment=24 // 8)
    return said(f.get(0.7))


@case(BELOW, "SYN with the listener's own address as its source", "RFC 1122 3.2.1.3", "silence")
def syn_from_itself(t):
    f = t.flow()
    before = f.ip
    f.ip = f.to
    segment = f.segment("S", options=mss(1460))
    f.peer.flows[(f.to, f.port, f.to, f.to_port)] = f
    f.peer.send_ip(f.to, f.to, 6, segment)
    f.ip = before
    return said(f.get(0.7))


@case(BELOW, "SYN with a time to live of 1", "RFC 1122 3.2.1.7", "SYN and ACK")
def syn_ttl_1(t):
    return syn_in(t, ttl=1)


@case(OPTIONS, "SYN with a wrong checksum", "RFC 9293 3.1", "silence")
def checksum_of_syn(t):
    f = t.flow()
    f.send("S", options=mss(1460), spoil=1)
    return said(f.get(0.7))
