#!/usr/bin/python3
"""backend.py ADDRESS:PORT NAME [MOOD-FILE]: a backend for what nginx does not do.

    /echo            reads the whole body; answers JSON: bytes, sha256, trailers, and the head as it arrived
    /bytes/N         N bytes with Content-Length; the bytes are those of `pattern`
    /chunked/N       the same bytes, chunked, with chunk extensions and a trailer field
    /close/N         the same bytes, ended by closing the connection
    /wait/S          answers after S seconds (fractions allowed)
    /early           103 Early Hints, then 200
    /status/N        status N; no body where RFC 9110 forbids one
    /cookie          two Set-Cookie lines
    /never           reads the request and never answers
    /die             closes without an answer
    /half            promises 1000 bytes, sends 10, closes
    /garbage         answers with something that is not HTTP
    /smuggle         answers with Content-Length and Transfer-Encoding
    /slow-read/R     reads the body at R bytes per second, then answers as /echo
    /ws              Upgrade: websocket; then echoes every byte
    anything else    200 and NAME
The file says how every request is answered: "503", "slow", "reset", or anything else: as above.
One thread per connection; the name of the backend is in X-Backend.
"""

import base64
import hashlib
import json
import socket
import struct
import sys
import threading
import time

PIECE = 1 << 18
MOOD = sys.argv[3] if len(sys.argv) > 3 else ""
BLOCK = b"".join(b"%015d\n" % i for i in range(PIECE // 16))


def pattern(length):
    """The bytes of /bytes/N, in pieces: a counter in text, the same for every backend and test."""
    while length > 0:
        piece = BLOCK[:length]
        length -= len(piece)
        yield piece


def pattern_sha256(length):
    digest = hashlib.sha256()
    for piece in pattern(length):
        digest.update(piece)
    return digest.hexdigest()


class Gone(Exception):
    pass


class Reader:
    def __init__(self, sock):
        self.sock, self.buffer, self.rate = sock, b"", 0

    def more(self):
        if self.rate:
            time.sleep(0.05)
            got = self.sock.recv(max(1, self.rate // 20))
        else:
            got = self.sock.recv(PIECE)
        if not got:
            raise Gone
        self.buffer += got

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        part, _, self.buffer = self.buffer.partition(mark)
        return part

    def pieces(self, length):
        while length > 0:
            if not self.buffer:
                self.more()
            piece, self.buffer = self.buffer[:length], self.buffer[length:]
            length -= len(piece)
            yield piece


class Exchange:
    def __init__(self, reader, name):
        self.reader, self.sock, self.name = reader, reader.sock, name
        self.head = reader.until(b"\r\n\r\n").decode("latin-1")
        lines = self.head.split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ", 2)
        self.fields = {}
        for line in lines[1:]:
            key, _, value = line.partition(":")
            self.fields[key.lower()] = value.strip()
        self.trailers = []

    def body(self):
        if "100-continue" in self.fields.get("expect", ""):
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in self.fields.get("transfer-encoding", ""):
            while True:
                size = int(self.reader.until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    break
                yield from self.reader.pieces(size)
                self.reader.until(b"\r\n")
            while line := self.reader.until(b"\r\n"):
                self.trailers.append(line.decode("latin-1"))
        else:
            yield from self.reader.pieces(int(self.fields.get("content-length", "0")))

    def send_head(self, status, *lines, body=b""):
        head = [f"HTTP/1.1 {status} X", f"X-Backend: {self.name}", *lines, "", ""]
        self.sock.sendall("\r\n".join(head).encode("latin-1") + body)

    def send(self, body, status=200, *lines):
        # At once: who is killed has answered whole or not at all.
        self.send_head(status, f"Content-Length: {len(body)}", *lines, body=body if self.method != "HEAD" else b"")

    def echo(self):
        digest, count = hashlib.sha256(), 0
        for piece in self.body():
            digest.update(piece)
            count += len(piece)
        told = {"bytes": count, "sha256": digest.hexdigest(), "head": self.head, "trailers": self.trailers,
                "name": self.name, "method": self.method, "target": self.target, "fields": self.fields, "peer": self.sock.getpeername()[0]}
        self.send(json.dumps(told).encode(), 200, "Content-Type: application/json")

    def moody(self):
        """As the file says: "503", "slow" or "reset". True: this was the answer."""
        with open(MOOD) as f:
            mood = f.read()
        if mood == "slow":
            time.sleep(0.3)
        elif mood == "503":
            for _ in self.body():
                pass
            self.send(b"busy\n", 503)
            return True
        elif mood == "reset":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Gone
        return False

    def answer(self):
        if MOOD and self.moody():
            return
        words = self.target.split("?")[0].split("/")
        what, argument = words[1], (words[2] if len(words) > 2 else "")
        if what in ("echo", "slow-read"):
            self.reader.rate = int(argument) if what == "slow-read" else 0
            self.echo()
            self.reader.rate = 0
            return
        if what == "ws":
            key = self.fields.get("sec-websocket-key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            self.send_head(101, "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}")
            while True:
                if self.reader.buffer:
                    self.sock.sendall(self.reader.buffer)
                    self.reader.buffer = b""
                self.reader.more()
        for _ in self.body():
            pass
        if what == "bytes":
            self.send_head(200, f"Content-Length: {argument}")
            for piece in pattern(int(argument) if self.method != "HEAD" else 0):
                self.sock.sendall(piece)
        elif what == "chunked":
            self.send_head(200, "Transfer-Encoding: chunked", "Trailer: X-Sum")
            if self.method != "HEAD":
                for piece in pattern(int(argument)):
                    self.sock.sendall(b"%x;piece=yes\r\n%b\r\n" % (len(piece), piece))
                self.sock.sendall(b"0\r\nX-Sum: %s\r\n\r\n" % pattern_sha256(int(argument)).encode())
        elif what == "close":
            self.send_head(200, "Connection: close")
            for piece in pattern(int(argument)):
                self.sock.sendall(piece)
            raise Gone
        elif what == "wait":
            time.sleep(float(argument))
            self.send(self.name.encode() + b"\n")
        elif what == "early":
            self.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
            time.sleep(0.05)
            self.send(b"late\n")
        elif what == "status":
            self.send_head(argument, *([] if argument in ("204", "304") else ["Content-Length: 0"]))
        elif what == "cookie":
            self.send(b"ok\n", 200, "Set-Cookie: a=1", "Set-Cookie: b=2")
        elif what == "never":
            while True:
                self.reader.more()
        elif what == "die":
            raise Gone
        elif what == "half":
            self.send_head(200, "Content-Length: 1000")
            self.sock.sendall(b"0123456789")
            raise Gone
        elif what == "garbage":
            self.sock.sendall(b"220 mail.example.org ESMTP\r\n\r\n")
            raise Gone
        elif what == "smuggle":
            self.send_head(200, "Content-Length: 5", "Transfer-Encoding: chunked")
            self.sock.sendall(b"0\r\n\r\n")
        else:
            self.send(self.name.encode() + b"\n")


def serve(sock, name):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = Reader(sock)
        while True:
            exchange = Exchange(reader, name)
            exchange.answer()
            if exchange.version == "HTTP/1.0" or exchange.fields.get("connection", "").lower() == "close":
                break
    except (Gone, OSError, ValueError, IndexError):
        pass
    finally:
        sock.close()


def main():
    address, _, port = sys.argv[1].rpartition(":")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, int(port)), family=family, backlog=1024)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, sys.argv[2]), daemon=True).start()


if __name__ == "__main__":
    main()
