"""A TCP peer that does only what a test tells it: segments are made and read byte by byte over a packet socket.

The peer's addresses belong to no kernel, so nobody answers for it, not even with a RST; it answers ARP itself. Each test
has an address of its own and may run beside others. Sequence numbers wrap; `diff` compares them.
"""

import queue
import random
import socket
import struct
import threading
import time

ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 3, 0x0800, 0x0806
PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}
MSS, SCALE, SACK_PERMITTED, SACK, TIMESTAMPS = 2, 3, 4, 5, 8
ICMP = "icmp"


def diff(a, b):
    """a - b of two sequence numbers, as far as 2^31 either way."""
    return (a - b + (1 << 31)) % (1 << 32) - (1 << 31)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def option(kind, data=b""):
    return bytes([kind, len(data) + 2]) + data


def mss(value):
    return option(MSS, struct.pack("!H", value))


def scale(shift):
    return option(SCALE, bytes([shift])) + b"\1"


def timestamps(value, echo=0):
    return b"\1\1" + option(TIMESTAMPS, struct.pack("!II", value & 0xffffffff, echo))


def sack(*ranges):
    return b"\1\1" + option(SACK, b"".join(struct.pack("!II", a & 0xffffffff, b & 0xffffffff) for a, b in ranges))


class Segment:
    """A segment that arrived, and when by the kernel's clock (`time.time`)."""

    def __init__(self, at, frame):
        ip = frame[14:]
        length = struct.unpack("!H", ip[2:4])[0]
        tcp = ip[(ip[0] & 15) * 4:length]
        self.at = at
        self.source, self.destination = socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20])
        self.source_port, self.destination_port, self.seq, self.ack = struct.unpack("!HHII", tcp[:12])
        header = (tcp[12] >> 4) * 4
        self.bits, self.window = tcp[13], struct.unpack("!H", tcp[14:16])[0]
        self.options = self.read_options(tcp[20:header])
        self.data = tcp[header:]
        self.packet = ip[:length]

    @staticmethod
    def read_options(data):
        found = {}
        while data and data[0] != 0:
            if data[0] == 1:
                data = data[1:]
                continue
            found[data[0]] = data[2:data[1]]
            data = data[data[1]:]
        return found

    def has(self, flags):
        return all(self.bits & FLAGS[f] for f in flags)

    @property
    def flags(self):
        return "".join(f for f in FLAGS if self.bits & FLAGS[f])

    @property
    def end(self):
        return (self.seq + len(self.data) + self.has("S") + self.has("F")) & 0xffffffff

    def __repr__(self):
        return f"<{self.flags} seq {self.seq} ack {self.ack} win {self.window} {len(self.data)} bytes>"


class Peer:
    """All addresses that begin with one of `networks` ("10.0.1.") on one interface. `hop_of(ip)` says which neighbour
    leads to an address."""

    def __init__(self, namespace, networks, hop_of, interface="eth0"):
        self.networks, self.hop_of = networks, hop_of
        with namespace.entered():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.bind((interface, 0))
        self.sock.settimeout(0.2)
        self.mac = self.sock.getsockname()[4]
        self.macs, self.flows, self.listeners = {}, {}, {}
        self.running = True
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def close(self):
        self.running = False
        self.thread.join()
        self.sock.close()

    def read(self):
        while self.running:
            try:
                frame, extra, _, address = self.sock.recvmsg(65536, 64)
            except TimeoutError:
                continue
            at = sum(x * unit for x, unit in zip(struct.unpack("qq", extra[0][2]), (1, 1e-9)))
            if address[2] == PACKET_OUTGOING or len(frame) < 34:
                continue
            kind = struct.unpack("!H", frame[12:14])[0]
            if kind == ETH_P_ARP:
                self.on_arp(frame)
            elif kind == ETH_P_IP and frame[23] == 6:
                self.on_segment(Segment(at, frame))

    def on_arp(self, frame):
        operation, = struct.unpack("!H", frame[20:22])
        mac, ip, target = frame[22:28], socket.inet_ntoa(frame[28:32]), socket.inet_ntoa(frame[38:42])
        if operation == 2:
            self.macs[ip] = mac
        elif operation == 1 and target.startswith(self.networks):
            self.arp(2, mac, target, mac, ip)

    def arp(self, operation, to, sender, target_mac, target):
        self.sock.send(to + self.mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, ETH_P_IP, 6, 4, operation) + self.mac +
                       socket.inet_aton(sender) + target_mac + socket.inet_aton(target))

    def mac_of(self, ip):
        hop = self.hop_of(ip)
        for _ in range(50):
            if hop in self.macs:
                return self.macs[hop]
            self.arp(1, b"\xff" * 6, self.networks[0] + "1", b"\0" * 6, hop)
            time.sleep(0.05)
        raise AssertionError(f"{hop} does not answer ARP")

    def on_segment(self, segment):
        here = (segment.destination, segment.destination_port)
        flow = self.flows.get((*here, segment.source, segment.source_port))
        if flow is not None:
            flow.kept[segment.seq] = segment
            flow.arrived.put(segment)
        elif here in self.listeners and segment.has("S"):
            self.listeners[here].put(segment)

    def send_ip(self, source, destination, protocol, payload, options=b"", fragment=0x4000, broadcast=False, ttl=64):
        """`fragment` is the field of flags and offset, DF unless said otherwise."""
        head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload),
                           0 if fragment == 0x4000 else 77, fragment, ttl, protocol, 0,
                           socket.inet_aton(source), socket.inet_aton(destination)) + options
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        mac = b"\xff" * 6 if broadcast else self.mac_of(destination)
        self.sock.send(mac + self.mac + struct.pack("!H", ETH_P_IP) + head + payload)

    def listen(self, ip, port):
        """A queue of the SYNs that come to (ip, port)."""
        self.listeners[(ip, port)] = queue.Queue()
        return self.listeners[(ip, port)]


class Flow:
    """One connection. `snd` and `rcv` are the next numbers to send and to expect; nothing moves them but `open`, `say`
    and `take`."""

    def __init__(self, peer, ip, port, to, to_port):
        self.peer, self.ip, self.port, self.to, self.to_port = peer, ip, port, to, to_port
        self.arrived = queue.Queue()
        self.kept = {}  # what came, by number
        self.iss = self.snd = random.getrandbits(32)
        self.rcv = 0
        self.window = 0xffff
        self.options = b""  # on every segment
        peer.flows[(ip, port, to, to_port)] = self

    # ---- out

    def send(self, *words, **numbers):
        """One segment, as told (see `segment`)."""
        self.peer.send_ip(self.ip, self.to, 6, self.segment(*words, **numbers))

    def segment(self, flags="A", data=b"", seq=None, ack=None, window=None, options=None, urgent=0, spoil=0, offset=None,
                reserved=0):
        """TCP header and data. `spoil` is added to the checksum, `offset` stands in place of the right data offset."""
        options = self.options if options is None else options
        options += b"\0" * (-len(options) % 4)
        bits = sum(FLAGS[f] for f in flags)
        seq = self.snd if seq is None else seq
        ack = (self.rcv if ack is None else ack) if "A" in flags else 0
        words = 5 + len(options) // 4 if offset is None else offset
        tcp = struct.pack("!HHIIBBHHH", self.port, self.to_port, seq & 0xffffffff, ack & 0xffffffff,
                          words << 4 | reserved, bits, self.window if window is None else window, 0, urgent)
        pseudo = socket.inet_aton(self.ip) + socket.inet_aton(self.to) + struct.pack("!HH", 6, len(tcp) + len(options) + len(data))
        total = (checksum(pseudo + tcp + options + data) + spoil) & 0xffff
        return tcp[:16] + struct.pack("!H", total) + tcp[18:] + options + data

    def say(self, data, flags="PA"):
        """Data in order, in segments of at most 1000 bytes."""
        for at in range(0, len(data), 1000):
            self.send(flags, data[at:at + 1000])
            self.snd = (self.snd + len(data[at:at + 1000])) & 0xffffffff

    def icmp(self, kind, code, segment, rest=0):
        """An ICMP error about a segment of theirs."""
        body = struct.pack("!BBHI", kind, code, 0, rest) + segment.packet[:28]
        self.peer.send_ip(self.ip, self.to, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])

    # ---- in

    def get(self, seconds, wanted=None):
        """The next segment that is wanted (any, if nothing is said); None when none comes in time. Others are passed over."""
        until = time.monotonic() + seconds
        while True:
            try:
                segment = self.arrived.get(timeout=max(0, until - time.monotonic()))
            except queue.Empty:
                return None
            if wanted is None or wanted(segment):
                return segment

    def all(self, seconds):
        """Everything that comes within `seconds`."""
        found = []
        until = time.monotonic() + seconds
        while (segment := self.get(until - time.monotonic())) is not None:
            found.append(segment)
        return found

    def clear(self):
        while not self.arrived.empty():
            self.arrived.get_nowait()

    # ---- both

    def open(self, options=mss(1460)):
        """Three segments; the SYN|ACK, or None."""
        self.send("S", options=options)
        self.snd = (self.iss + 1) & 0xffffffff
        answer = self.get(2, lambda s: s.has("SA"))
        if answer is None:
            return None
        self.rcv = (answer.seq + 1) & 0xffffffff
        self.send("A")
        return answer

    def next_kept(self):
        """What came and begins at `rcv`, or covers it."""
        exact = self.kept.get(self.rcv)
        if exact is not None and exact.end != self.rcv:
            return exact
        return next((s for s in list(self.kept.values()) if diff(s.seq, self.rcv) < 0 < diff(s.end, self.rcv)), None)

    def take(self, seconds, count=None):
        """Data from `rcv` on, acknowledged as it comes, until `count` bytes, a FIN, or `seconds` without a segment."""
        data, finished = b"", False
        while not finished and (count is None or len(data) < count):
            moved = False
            while (segment := self.next_kept()) is not None and not finished:
                data += segment.data[diff(self.rcv, segment.seq):]
                self.rcv, moved, finished = segment.end, True, segment.has("F")
            if moved:
                self.send("A")
                continue
            segment = self.get(seconds)
            if segment is None or segment.has("R"):
                break
        return data
