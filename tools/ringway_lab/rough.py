"""A mesh with one leg made bad, and transfers over it that know what they should have carried.

Every host's wire carries RATE; what waits for it is dropped beyond QUEUE. On top of that one leg, towards the client or
towards the task, has a Fault in both directions: nft drops on the switch, or the frames pass through impair (tools/impair).
The Linux ends use CUBIC and see each frame as it was on the wire. Every transfer begins with new connections, on both
sides of a proxy too, so that nobody profits or suffers from what an earlier one has learnt.

`Rough` has three ways from the client to the task: Ringway; HAProxy in a namespace of its own; nothing in between.
"""

import contextlib
import dataclasses
import hashlib
import json
import time

from .backend import pattern, pattern_sha256
from .gateway import HaProxy, built
from .load import BadAnswer, HttpClient
from .mesh import Mesh, Service
from .net import LabError, wait_until
from .ringway import merged
from .task import OddTask

RATE, QUEUE = "200mbit", "256kb"
PROXY_IP, PORT = "10.77.0.20", 7000
WAYS = ("linux", "haproxy", "ringway")


@dataclasses.dataclass(frozen=True)
class Fault:
    """`nft`: what befalls TCP segments on the switch. `impair`: options of impair, which then stands in the way. Where a
    transfer takes long, a `part` of the bytes must do; where single losses decide, `rounds` of them show the spread."""
    name: str
    nft: str = ""
    impair: tuple = ()
    part: int = 1
    rounds: int = 1


FAULTS = [
    Fault("clean"),
    Fault("0.1 % lost", "numgen random mod 1000 < 1 counter drop"),
    Fault("1 % lost", "numgen random mod 100 < 1 counter drop", part=8, rounds=3),
    Fault("5 % lost", "numgen random mod 100 < 5 counter drop", part=64, rounds=5),
    Fault("20 % reordered", impair=("--hold", 20, "--hold-us", 500)),
    Fault("1 % duplicated", impair=("--duplicate", 1)),
    Fault("1 % corrupted", impair=("--corrupt", 1), part=8, rounds=3),
    Fault("10 Mbit/s policed", impair=("--police-kbit", 10_000), part=32),
]


class BesideProxy(HaProxy):
    """HAProxy on a host of its own beside the gateway: splits connections as Ringway does, on Linux' TCP."""

    def __init__(self, mesh, space, cpu=None):
        super().__init__(mesh, cpu)
        self.space = space

    def start(self, wait=True):
        task = self.mesh.services[0].members[0]
        path = self.write("beside.cfg", "\n".join([
            "global", "  nbthread 1", "defaults", "  mode http", "  timeout connect 60s", "  timeout client 600s",
            "  timeout server 600s", "  http-reuse never", "  option http-server-close", "listen beside", f"  bind {PROXY_IP}:{PORT}", f"  server task {task.ip}:{task.port}", ""]))
        self.process = self.space.start("haproxy", "-db", "-f", path, title="haproxy", cpu=self.cpu)
        if wait and not wait_until(self.serving, 5):
            raise LabError(f"haproxy does not serve:\n{self.process.log()}")
        return self

    def serving(self):
        with contextlib.suppress(OSError):
            self.mesh.client.connect(PROXY_IP, PORT, 1).close()
            return True
        return False


@dataclasses.dataclass
class Transfer:
    ok: bool           # all bytes came, and they are the right ones
    seconds: float
    mbit_s: float
    problem: str = ""


class Rough:
    def __init__(self, lab, ways=WAYS, settings=None):
        service = Service("odd-service", PORT, 1, OddTask, {
            "timeout": {"perRequestTimeoutSeconds": 0}, "healthCheck": {"protocol": "none"}})
        self.lab, self.ways = lab, ways
        self.mesh = Mesh(lab, [service], settings=merged({"limits": {"upstreamIdlePerEndpoint": 0}}, settings or {}))
        self.task = service.members[0]
        self.ends = {"linux": (self.task.ip, self.task.port), "haproxy": (PROXY_IP, PORT), "ringway": (service.vip, PORT)}
        self.wires = {"client": self.mesh.client, "backend": self.task.namespace}
        if "haproxy" in ways:
            self.proxy = BesideProxy(self.mesh, self.mesh.host("proxy", PROXY_IP))

    def start(self):
        for space in self.lab.namespaces.values():
            if space not in (self.mesh.gw, self.mesh.switch):
                self.use_cubic(space)
        for wire in [space.short for space in self.lab.namespaces.values() if space is not self.mesh.switch]:
            self.mesh.switch.run("tc", "qdisc", "add", "dev", wire, "root", "tbf", "rate", RATE, "burst", "64kb", "limit",
                                 QUEUE, check=True)
        self.task.start()
        if "ringway" in self.ways:
            self.mesh.gateway.start()
        if "haproxy" in self.ways:
            self.proxy.start()
        return self

    @staticmethod
    def use_cubic(space):
        """By route, because a namespace may choose only what the host allows to everybody."""
        space.run("sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1", check=True)
        for route in space.ip("-4", "route", "show").splitlines():
            space.ip("route", "change", *route.split(), "congctl", "cubic")

    @contextlib.contextmanager
    def bad(self, fault, leg, delay_us=0):
        """`leg` ("client" or "backend") has the fault meanwhile, and a delay each way. Yields a dict that says afterwards
        what befell it: "faults" counts segments lost, held, doubled or altered."""
        told = {"faults": 0}
        wire = self.wires[leg].short
        with contextlib.ExitStack() as stack:
            if fault.impair or delay_us:
                stack.enter_context(self.through_impair(fault, wire, delay_us, told))
                wire = "bad1"
            if fault.nft:
                stack.enter_context(self.by_nft(fault, wire, told))
            yield told

    @contextlib.contextmanager
    def by_nft(self, fault, wire, told):
        switch = self.mesh.switch
        switch.run("nft", "-f", "-", input=(
            "table bridge bad { chain f { type filter hook forward priority 0;\n"
            + "".join(f'{side} "{wire}" ip protocol tcp {fault.nft}\n' for side in ("iifname", "oifname")) + "}; }\n"), check=True)
        try:
            yield
        finally:
            listed = json.loads(switch.run("nft", "-j", "list", "table", "bridge", "bad", check=True).stdout)
            told["faults"] += sum(part["counter"]["packets"] for entry in listed["nftables"] if "rule" in entry
                                 for part in entry["rule"]["expr"] if "counter" in part)
            switch.run("nft", "delete", "table", "bridge", "bad", check=True)

    @contextlib.contextmanager
    def through_impair(self, fault, wire, delay_us, told):
        """The host's end leaves the bridge; impair joins it to an interface that takes its place."""
        switch = self.mesh.switch
        self.lab.veth(switch, "bad0", switch, "bad1")
        switch.ip("link", "set", wire, "nomaster")
        switch.ip("link", "set", "bad1", "master", "br0")
        process = switch.start(built("tools/impair/impair"), wire, "bad0", *fault.impair, "--delay-us", delay_us,
                               title="impair")
        try:
            if not wait_until(lambda: "ready" in process.log(), 5):
                raise LabError(f"impair does not run: {process.log()}")
            yield
        finally:
            process.stop()
            counts = json.loads(process.log(1))
            told["faults"] += counts["held"] + counts["duplicated"] + counts["corrupted"] + counts["lost"]
            switch.ip("link", "delete", "bad0")
            switch.ip("link", "set", wire, "master", "br0")

    def download(self, way, size, patience=60):
        digest, count = hashlib.sha256(), 0

        def carry(client):
            nonlocal count
            client.sock.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: odd\r\n\r\n" % size)
            while b"\r\n\r\n" not in client.buffer:
                client.more()
            piece = client.buffer.partition(b"\r\n\r\n")[2]
            while True:
                digest.update(piece)
                count += len(piece)
                if count >= size:
                    return digest.hexdigest()
                piece = client.sock.recv(1 << 18)
                if not piece:
                    raise OSError(f"closed after {count} bytes")
        return self.timed(way, size, patience, carry)

    def upload(self, way, size, patience=60):
        def carry(client):
            client.sock.sendall(b"POST /echo HTTP/1.1\r\nHost: odd\r\nContent-Length: %d\r\n\r\n" % size)
            for piece in pattern(size):
                client.sock.sendall(piece)
            status, _, body = client.answer()
            return json.loads(body)["sha256"] if status == 200 else f"status {status}"
        return self.timed(way, size, patience, carry)

    def timed(self, way, size, patience, carry):
        began = time.monotonic()
        try:
            client = HttpClient(self.mesh.client.connect(*self.ends[way], patience))
            with client.sock:
                digest = carry(client)
        except (OSError, ValueError, BadAnswer) as e:
            return Transfer(False, time.monotonic() - began, 0.0, str(e) or type(e).__name__)
        seconds = time.monotonic() - began
        right = digest == pattern_sha256(size)
        return Transfer(right, seconds, size * 8e-6 / seconds if right else 0.0, "" if right else f"SHA-256 {digest}")

    def transfer(self, direction, way, size, patience=60):
        return (self.download if direction == "download" else self.upload)(way, size, patience)
