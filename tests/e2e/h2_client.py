"""HTTP/2 as clients of the tests speak it. `H2Client` keeps every rule (Python's h2); `Frames` keeps none."""

import socket
import struct
import time
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 1, 1, 4, 8, 32
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = 5, 6, 7, 8, 9
ENHANCE_YOUR_CALM = 11
MAX_STREAMS, INITIAL_WINDOW, ENABLE_CONNECT = 3, 4, 8  # SETTINGS_...
ROOMY = 1 << 24  # a connection's window that one stream does not use up


@dataclass
class Answer:
    status: int = 0
    fields: list = field(default_factory=list)    # without pseudo-header fields
    interim: list = field(default_factory=list)   # statuses
    body: bytearray = field(default_factory=bytearray)
    trailers: list = field(default_factory=list)
    ended: bool = False
    reset: int | None = None                      # code of RST_STREAM

    def all(self, name):
        return [v for k, v in self.fields if k == name]

    def get(self, name):
        return ", ".join(self.all(name)) if self.all(name) else None

    @property
    def over(self):
        return self.ended or self.reset is not None


class Lost(Exception):
    """The connection ended, or nothing came in time."""


class H2Client:
    """One connection. Windows open as bytes come, except for the streams of `held`. `window` is what a stream may have
    under way towards us."""

    def __init__(self, sock, authority, window=None, upgrade=None):
        """`upgrade`: target of a GET that asks for h2c over HTTP/1.1; its answer comes on stream 1."""
        self.sock, self.authority, self.buffer = sock, authority, bytearray()
        self.answers, self.held, self.goaway, self.closed, self.upgrade_head = {}, set(), None, False, None
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False))
        if window is not None:
            self.h2.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = window
            self.h2.local_settings.acknowledge()
        if upgrade:
            self.begin_upgraded(upgrade)
        else:
            self.h2.initiate_connection()
        self.h2.increment_flow_control_window(ROOMY)
        self.flush()

    def begin_upgraded(self, target):
        settings = self.h2.initiate_upgrade_connection().decode()
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {self.authority}\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                          f"Upgrade: h2c\r\nHTTP2-Settings: {settings}\r\n\r\n".encode())
        came = b""
        while b"\r\n\r\n" not in came:
            got = self.sock.recv(1 << 16)
            if not got:
                raise Lost(f"closed after {came!r}")
            came += got
        head, _, rest = came.partition(b"\r\n\r\n")
        self.upgrade_head = head.decode()
        if not self.upgrade_head.startswith("HTTP/1.1 101 "):
            raise Lost(self.upgrade_head)
        self.answers[1] = Answer()
        self.on_bytes(rest)

    def close(self):
        """With a reset when an answer is still to come: the gateway shall not wait for a reader who is gone."""
        if not all(answer.over for answer in self.answers.values()):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    # ---- in

    def on_bytes(self, data):
        """Every whole frame goes to h2, but for GOAWAY, after which it would take no answer."""
        self.buffer += data
        at, passed = 0, []
        while len(self.buffer) - at >= 9:
            end = at + 9 + int.from_bytes(self.buffer[at:at + 3], "big")
            if len(self.buffer) < end:
                break
            if self.buffer[at + 3] == GOAWAY:
                last, code = struct.unpack("!II", self.buffer[at + 9:at + 17])
                self.goaway = (code, last)
            else:
                passed.append(self.buffer[at:end])
            at = end
        del self.buffer[:at]
        for event in self.h2.receive_data(b"".join(passed)):
            self.on(event)
        self.flush()

    def on(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None))
        if answer is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            answer.status = int(dict(event.headers)[":status"])
            answer.fields = [(k, v) for k, v in event.headers if k[0] != ":"]
        elif isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if event.stream_id not in self.held and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)

    def wait(self, condition, seconds=10):
        """Reads until `condition()` holds; raises Lost."""
        until = time.monotonic() + seconds
        while not condition():
            left = until - time.monotonic()
            if left <= 0:
                raise Lost("nothing more in time")
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(1 << 18)
            except TimeoutError:
                continue
            except OSError as e:
                self.closed = True
                raise Lost(str(e)) from e
            if not data:
                self.closed = True
                raise Lost(f"connection closed, GOAWAY {self.goaway}")
            self.on_bytes(data)

    def read_for(self, seconds):
        """Takes what comes meanwhile."""
        try:
            self.wait(lambda: False, seconds)
        except Lost as e:
            if self.closed:
                raise e

    # ---- out

    def begin(self, target, method="GET", fields=(), end=True, authority=None, pseudo=()):
        """Sends a head; the number of the stream."""
        number = self.h2.get_next_available_stream_id()
        self.answers[number] = Answer()
        self.h2.send_headers(number, [(":method", method), (":scheme", "http"), (":authority", authority or self.authority),
                                      (":path", target), *pseudo, *fields], end_stream=end)
        self.flush()
        return number

    def send(self, number, data, end=False, trailers=(), seconds=30):
        """Data as the windows allow; frames are read meanwhile."""
        view = memoryview(data)
        while view:
            def room():
                return min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            self.wait(lambda: room() > 0 or self.answers[number].over, seconds)
            if self.answers[number].over:
                return
            part = view[:room()]
            self.h2.send_data(number, part)
            view = view[len(part):]
            self.flush()
        if trailers:
            self.h2.send_headers(number, trailers, end_stream=True)
        elif end:
            self.h2.end_stream(number)
        self.flush()

    def answer(self, number, seconds=10):
        self.wait(lambda: self.answers[number].over, seconds)
        return self.answers[number]

    def ask(self, target, method="GET", fields=(), body=None, trailers=(), seconds=10):
        """One request from beginning to end."""
        number = self.begin(target, method, fields, end=body is None and not trailers)
        if body is not None or trailers:
            self.send(number, body or b"", end=True, trailers=trailers, seconds=seconds)
        return self.answer(number, seconds)


# ---- without rules

def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def settings(values=None):
    return frame(SETTINGS, payload=b"".join(struct.pack("!HI", k, v) for k, v in (values or {}).items()))


def window_update(stream, bytes_):
    return frame(WINDOW_UPDATE, stream=stream, payload=struct.pack("!I", bytes_))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, stream=stream, payload=struct.pack("!I", code))


def text(value):
    """A string as a literal of HPACK, without Huffman code."""
    value = value if isinstance(value, bytes) else value.encode("latin-1")
    length, out = len(value), b""
    if length < 127:
        return bytes([length]) + value
    length, out = length - 127, b"\x7f"
    while length >= 128:
        out, length = out + bytes([length % 128 | 128]), length // 128
    return out + bytes([length]) + value


def literal(name, value):
    """A field that enters no table (RFC 7541 6.2.2)."""
    return b"\0" + text(name) + text(value)


def block(*fields):
    return b"".join(literal(name, value) for name, value in fields)


def request(stream, authority, target="/", method="GET", fields=(), end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream,
                 block((":method", method), (":scheme", "http"), (":authority", authority), (":path", target), *fields))


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes
    fields: list | None = None  # of HEADERS

    @property
    def code(self):
        """Of RST_STREAM and GOAWAY."""
        return struct.unpack("!I", self.payload[:4] if self.kind == RST_STREAM else self.payload[4:8])[0]


class Frames:
    """A connection whose frames are written and read one by one; nothing is answered by itself. Header blocks of answers
    are in one frame each."""

    def __init__(self, sock, values=None, preface=True):
        self.sock, self.buffer, self.closed, self.told = sock, b"", False, None
        self.decoder = hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 24
        if preface:
            self.send(PREFACE + settings(values))

    def send(self, data, seconds=5):
        """False when the peer takes no more."""
        try:
            self.sock.settimeout(seconds)
            self.sock.sendall(data)
            return True
        except OSError:
            return False

    def get(self, seconds=5, wanted=None):
        """The next frame that is wanted; others are passed over. None when the connection ends, or nothing comes in time."""
        until = time.monotonic() + seconds
        while True:
            while len(self.buffer) >= 9:
                size = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + size:
                    break
                kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big") & 0x7fffffff
                found = Frame(kind, flags, stream, self.buffer[9:9 + size])
                self.buffer = self.buffer[9 + size:]
                if kind == HEADERS and flags & END_HEADERS:
                    found.fields = self.decoder.decode(found.payload)  # each, or the table is lost
                if kind == GOAWAY and found.code != NO_ERROR:
                    self.told = found.code
                if wanted is None or wanted(found):
                    return found
            left = until - time.monotonic()
            if left <= 0 or self.closed:
                return None
            try:
                self.sock.settimeout(left)
                got = self.sock.recv(1 << 16)
            except TimeoutError:
                return None
            except OSError:
                got = b""
            self.closed = not got
            self.buffer += got

    def goaway(self, seconds=5):
        """Code of the GOAWAY that ends the connection; None when none came. A graceful one is only an announcement."""
        if self.told is None:
            self.get(seconds, lambda f: self.told is not None)
        return self.told

    def status(self, stream, seconds=5):
        """Status of the next head on `stream`, or None."""
        found = self.get(seconds, lambda f: f.kind == HEADERS and f.stream == stream)
        return found and int(dict(found.fields)[":status"])

    def settled(self):
        """Their SETTINGS came and are acknowledged, and ours were: {code: value}."""
        theirs = self.get(5, lambda f: f.kind == SETTINGS and not f.flags & ACK)
        self.send(frame(SETTINGS, ACK))
        self.get(5, lambda f: f.kind == SETTINGS and f.flags & ACK)
        return dict(struct.iter_unpack("!HI", theirs.payload)) if theirs else {}
