#!/usr/bin/python3
"""tcp_backend.py ADDRESS:PORT NAME: a TCP server that speaks first (its NAME and a newline), then does what one line asks:

    echo      every byte comes back, until the client ends its direction
    sink      reads to the end of the client's direction, then answers JSON: bytes, sha256
    source N  sends N bytes of backend.pattern and ends its direction, then reads to the end of the client's
    last      JSON of what came last to `source`: bytes, sha256
    reset     resets the connection
One thread per connection.
"""

import hashlib
import json
import socket
import struct
import sys
import threading

from backend import pattern

last = {}


def line_of(sock):
    line = b""
    while not line.endswith(b"\n"):
        got = sock.recv(1)
        if not got:
            return b""
        line += got
    return line.strip()


def drained(sock):
    """What comes until the client ends its direction."""
    digest, count = hashlib.sha256(), 0
    while got := sock.recv(1 << 18):
        digest.update(got)
        count += len(got)
    return {"bytes": count, "sha256": digest.hexdigest()}


def serve(sock, name):
    with sock:
        sock.sendall(name.encode() + b"\n")
        what, _, argument = line_of(sock).decode("latin-1").partition(" ")
        if what == "echo":
            while got := sock.recv(1 << 18):
                sock.sendall(got)
        elif what == "sink":
            sock.sendall(json.dumps(drained(sock)).encode())
        elif what == "source":
            for piece in pattern(int(argument)):
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            last.update(drained(sock))
        elif what == "last":
            sock.sendall(json.dumps(last).encode())
        elif what == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def guarded(sock, name):
    try:
        serve(sock, name)
    except OSError:
        pass


def main():
    address, _, port = sys.argv[1].rpartition(":")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address.strip("[]"), int(port)), family=family, backlog=1024) as server:
        while True:
            sock, _ = server.accept()
            threading.Thread(target=guarded, args=(sock, sys.argv[2]), daemon=True).start()


if __name__ == "__main__":
    main()
