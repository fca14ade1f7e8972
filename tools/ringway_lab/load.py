"""Clients that count every request: none may be lost without somebody knowing.

`Load` keeps a few connections busy from threads of this process and notes who answered, when, and every failure.
`wrk` runs the real wrk and reads its report; `H2Load` is h2load, whose report counts every request.
"""

import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from .net import LabError, wait_until


class BadAnswer(Exception):
    pass


class HttpClient:
    """One keep-alive connection; requests with Content-Length answers. Raises OSError or BadAnswer."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def more(self):
        got = self.sock.recv(1 << 16)
        if not got:
            raise BadAnswer("connection closed")
        self.buffer += got

    def get(self, host, target):
        """(status, fields, body)"""
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return self.answer()

    def answer(self):
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        length = int(fields.get("content-length", "0"))
        while len(self.buffer) < length:
            self.more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(first.split(" ")[1]), fields, body


@dataclass
class Failure:
    at: float
    what: str


@dataclass
class Tally:
    sent: int = 0
    by_name: Counter = field(default_factory=Counter)   # X-Backend of the 200s
    last_by_name: dict = field(default_factory=dict)    # ... and when it last answered (time.monotonic)
    failures: list = field(default_factory=list)

    @property
    def good(self):
        return sum(self.by_name.values())

    def merge(self, other):
        self.sent += other.sent
        self.by_name += other.by_name
        self.failures += other.failures
        for name, at in other.last_by_name.items():
            self.last_by_name[name] = max(at, self.last_by_name.get(name, 0.0))


class Load:
    """`connections` threads, each sending its next request as soon as the last is answered (or after `pause`). With `rate`,
    so many requests per second over all of them, each at its time: who had to wait for an answer makes up for it."""

    def __init__(self, namespace, ip, port, host, target="/", connections=8, pause=0.0, per_connection=0, rate=0.0):
        self.namespace, self.ip, self.port, self.host, self.target = namespace, ip, port, host, target
        self.pause, self.per_connection, self.rate = pause, per_connection, rate
        self.stopping = threading.Event()
        self.began = 0.0
        self.tallies = [Tally() for _ in range(connections)]
        self.threads = [threading.Thread(target=self.run, args=one, daemon=True) for one in enumerate(self.tallies)]

    def __enter__(self):
        self.began = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_for(self, turn):
        if self.rate:
            self.stopping.wait(max(0.0, self.began + turn / self.rate - time.monotonic()))

    def run(self, turn, tally):
        client, used = None, 0
        self.wait_for(turn)
        while not self.stopping.is_set():
            try:
                tally.sent += 1
                if client is None:
                    client, used = HttpClient(self.namespace.connect(self.ip, self.port)), 0
                status, fields, _ = client.get(self.host, self.target)
                used += 1
                if status == 200:
                    name = fields.get("x-backend", "?")
                    tally.by_name[name] += 1
                    tally.last_by_name[name] = time.monotonic()
                else:
                    tally.failures.append(Failure(time.monotonic(), f"status {status}"))
                if fields.get("connection", "").lower() == "close" or (self.per_connection and used >= self.per_connection):
                    client.sock.close()
                    client = None
            except (OSError, BadAnswer, ValueError) as e:
                tally.failures.append(Failure(time.monotonic(), str(e) or type(e).__name__))
                if client:
                    client.sock.close()
                client = None
                time.sleep(0.01)
            if self.pause:
                time.sleep(self.pause)
            turn += len(self.tallies)
            self.wait_for(turn)

    def stop(self):
        """The sum of all threads. `sent == good + len(failures)` then."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(10)
        return self.tally()

    def tally(self):
        whole = Tally()
        for tally in self.tallies:
            whole.merge(tally)
        return whole


@dataclass
class WrkReport:
    requests: int
    seconds: float
    rate: float          # requests per second
    p50_us: float
    p99_us: float
    socket_errors: int   # connect, read, write, timeout together
    bad_status: int      # neither 2xx nor 3xx


def _microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[unit]


def read_wrk(text):
    def one(pattern, default="0"):
        match = re.search(pattern, text)
        return match[1] if match else default
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    total = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", text)
    if not total:
        raise LabError(f"wrk did not report: {text[:300]}")
    return WrkReport(int(total[1]), _microseconds(total[2] + total[3]) / 1e6, float(one(r"Requests/sec:\s*([\d.]+)")),
                     _microseconds(one(r"\n\s*50%\s+(\S+)", "0us")), _microseconds(one(r"\n\s*99%\s+(\S+)", "0us")),
                     sum(map(int, errors.groups())) if errors else 0, int(one(r"Non-2xx or 3xx responses: (\d+)")))


def wrk_command(url, seconds, connections, headers=(), threads=1):
    fields = [word for header in headers for word in ("-H", header)]
    return ["wrk", "-t", threads, "-c", connections, "-d", f"{seconds}s", "--latency", "--timeout", "10s", *fields, url]


def wrk(namespace, url, seconds=5, connections=64, headers=(), threads=1, cpu=None):
    words = wrk_command(url, seconds, connections, headers, threads)
    if cpu is not None:
        words = ["taskset", "-c", str(cpu), *words]
    return read_wrk(namespace.run(*words, timeout=seconds + 30).stdout)


@dataclass
class H2LoadReport:
    total: int
    done: int
    succeeded: int
    failed: int          # of done: a stream that ended without a good answer
    errored: int
    timeout: int
    good_status: int     # 2xx
    rate: float
    text: str

    @property
    def clean(self):
        return self.total == self.done == self.succeeded == self.good_status and not self.failed + self.errored + self.timeout


class H2Load:
    """h2load in a namespace, with words of its own command line; runs meanwhile. `report()` waits for its end."""

    def __init__(self, namespace, url, *words):
        self.process = namespace.start("h2load", *words, url, title="h2load")

    def report(self, seconds=60):
        # Some h2load hangs once it has said all.
        ended = wait_until(lambda: not self.process.running() or "\nreq/s  " in self.process.log(60), seconds, 0.05)
        text = self.process.log(60)
        if self.process.running():
            self.process.kill()
        if not ended:
            raise LabError(f"h2load did not end: {text}")
        counts = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, "
                           r"(\d+) timeout\nstatus codes: (\d+) 2xx", text)
        if not counts:
            raise LabError(f"h2load did not report: {text}")
        rate = re.search(r"finished in \S+, ([\d.]+) req/s", text)
        return H2LoadReport(*map(int, counts.groups()), float(rate[1]) if rate else 0.0, text)
