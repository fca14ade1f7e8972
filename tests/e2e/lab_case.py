"""What the end-to-end tests share: one mesh per test class, and a raw HTTP client that hides nothing."""

import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools"))

from ringway_lab.load import BadAnswer, HttpClient, Load, wrk  # noqa: E402,F401
from ringway_lab.mesh import Mesh, Service  # noqa: E402
from ringway_lab.net import Lab, LabError, wait_until  # noqa: E402,F401
from ringway_lab.plan import authority, vip  # noqa: E402,F401
from ringway_lab.task import NginxTask, OddTask  # noqa: E402

# Another gateway in the same place, to see whether a test or Ringway is wrong.
GATEWAY = os.environ.get("RINGWAY_E2E_GATEWAY", "ringway")


class LoggedTask(NginxTask):
    log = True


def in_family(options, family):
    """The options of a Mesh, with the service addresses that they name in the clients' family."""
    if isinstance(options, dict):
        return {key: in_family(value, family) for key, value in options.items()}
    if isinstance(options, list):
        return [in_family(value, family) for value in options]
    match = re.fullmatch(r"10\.78\.0\.(\d+)", options) if isinstance(options, str) else None
    return vip(family, match[1]) if match else options


class LabCase(unittest.TestCase):
    """One lab for all tests of a class. The gateway must still run at the end of every test.

    run.py makes another class of each, whose clients and tasks speak IPv6, unless `ip4_only` says why not."""

    options = {}      # for Mesh: queues, settings, port...
    starts = True
    families = (4, 4)  # of the clients, of the tasks
    ip4_only = ""
    # What the class asks of the machine: "alone" when it says how fast something must be, "working" when it moves all that
    # it can, "waiting" when it mostly waits. One that works and one that waits may run side by side.
    share = "waiting"

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 2, LoggedTask), Service("odd-service", 7000, 1, OddTask)]

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        options = in_family(cls.options, cls.families[0]) if GATEWAY == "ringway" else {}
        cls.mesh = Mesh(cls.lab, cls.services(), GATEWAY, families=cls.families, **options)
        cls.gateway = cls.mesh.gateway
        if cls.starts:
            cls.mesh.start()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before and self.gateway.process:
            sys.stderr.write(f"--- the gateway's last lines ({self.id()})\n{self.gateway.process.log(8)}---\n")
            if hasattr(self.gateway, "numbers"):
                sys.stderr.write(f"--- its numbers: {self.gateway.numbers()}\n")

    def tearDown(self):
        if self.starts:
            self.assertTrue(self.gateway.process.running(), "the gateway is gone:\n" + self.gateway.process.log(20))

    def ringway_only(self):
        if GATEWAY != "ringway":
            self.skipTest("Ringway's own")

    def healthy(self, name, seconds=10):
        task = self.mesh.task(name)
        self.assertTrue(wait_until(lambda: self.gateway.endpoint_healthy(task), seconds), f"{name} is not healthy")

    # ---- requests

    def client(self, service="odd-service", timeout=5):
        made = RawClient(self.mesh.connect(service, timeout))
        self.addCleanup(made.sock.close)
        return made

    def exchange(self, request, service="odd-service", timeout=5):
        """One raw request on a connection of its own; all that comes back until close or a pause of a second."""
        client = self.client(service, timeout)
        client.sock.sendall(request)
        return client.everything()

    def still_serves(self, service="auth-service"):
        status, _, _ = self.client(service).get(service, "/")
        self.assertEqual(status, 200)


class EndCase(LabCase):
    """For tests that end the gateway: each begins with one that runs, and may leave none."""

    def setUp(self):
        self.ringway_only()
        if not self.gateway.process.running():
            self.gateway.start()

    def tearDown(self):
        pass


class RawClient(HttpClient):
    """HttpClient with chunked bodies, interim responses and bytes as they are."""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def everything(self, pause=1.0):
        """(bytes, closed)"""
        self.sock.settimeout(pause)
        try:
            while got := self.sock.recv(1 << 16):
                self.buffer += got
            return self.buffer, True
        except TimeoutError:
            return self.buffer, False
        except ConnectionResetError:
            return self.buffer, True

    def head(self):
        """(status, list of (name, value))"""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        return int(first.split(" ")[1]), [(k.lower(), v.strip()) for k, _, v in (l.partition(":") for l in lines)]

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def exactly(self, length):
        while len(self.buffer) < length:
            self.more()
        part, self.buffer = self.buffer[:length], self.buffer[length:]
        return part

    def chunked(self):
        """(body, trailer lines)"""
        body = b""
        while size := int(self.line().split(b";")[0], 16):
            body += self.exactly(size)
            assert self.line() == b""
        trailers = []
        while line := self.line():
            trailers.append(line.decode())
        return body, trailers


def statuses(answer):
    return [int(s) for s in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]
