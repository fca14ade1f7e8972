#!/usr/bin/python3
"""compliance.py [-k WORD] [--write]: what Ringway and Linux do with the same segments, and the table of it in the docs.

Every case (compliance_*.py) is one function that plays a TCP peer by hand and says in a few words what it saw. It runs
twice, against the gateway and against the Linux kernel under nginx or Python in another namespace, all cases at once, each
from an address of its own. `test_compliance.py` asserts Ringway's outcome; the page docs/tcp-compliance.md is made of what
was seen, here with --write, and a test compares the two, so that it cannot drift.
"""

import argparse
import os
import platform
import random
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools"))

from raw_tcp import Flow, Peer  # noqa: E402
from ringway_lab.mesh import GATEWAY_IP, Mesh, Service  # noqa: E402
from ringway_lab.net import Lab, LabError, wait_until  # noqa: E402
from ringway_lab.task import NginxTask, OddTask  # noqa: E402

PAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docs", "tcp-compliance.md")
NETWORKS = ("10.77.5.", "10.77.6.")  # of the peer as it meets Ringway, Linux
ACTIVE_CASES_MAX = 12
COOKIE_SHARE = 64
AT_ONCE = 8
CASES = []

# The same times on both sides, short enough to be waited for.
TCP = {"userTimeoutSeconds": 3, "finTimeoutSeconds": 2, "keepalive": {"idleSeconds": 4, "intervalSeconds": 1, "probes": 2},
       "halfOpen": {"perListener": COOKIE_SHARE}}
ONCE = {"retry": {"retries": 0}}
SYSCTLS = {"tcp_retries2": 3, "tcp_fin_timeout": 2, "tcp_syncookies": 1, "tcp_max_syn_backlog": COOKIE_SHARE}

INTRODUCTION = """# TCP: what Ringway does, beside Linux

Written by `tests/e2e/compliance.py --write`; `tests/e2e/test_compliance.py` runs the same cases in every `tools/check`,
asserts the column "Ringway" and compares this page with what it saw. Each row is one script of hand-made segments, run
against the gateway and against a Linux {kernel} socket (nginx, or Python's) in the same run. The test of a row is
`test_` and the name in its third column. Timeouts are set to a few seconds on both sides.

{count} behaviours; Linux does otherwise in {differing} of them, for the reason in the last column.
"""


@dataclass
class Case:
    group: str
    behaviour: str
    rfc: str
    ringway: str  # the outcome that is right for Ringway
    why: str      # Linux does otherwise
    run: object
    active: bool  # the gateway opens the connection

    @property
    def name(self):
        return self.run.__name__


def case(group, behaviour, rfc, ringway, why="", active=False):
    """Registers a function of a Target that returns its outcome."""
    def add(run):
        CASES.append(Case(group, behaviour, rfc, ringway, why, run, active))
        return run
    return add


class ServerTask(NginxTask):
    """nginx with keepalive as the gateway has it, and a second port whose backlog is small."""

    def command(self):
        words = super().command()
        conf = os.path.join(self.dir, "nginx.conf")
        with open(conf) as f:
            text = f.read()
        listen = f"listen {self.ip}:{self.port} backlog=4096;"
        assert listen in text
        with open(conf, "w") as f:
            f.write(text.replace(listen, f"listen {self.ip}:{self.port} backlog=4096 so_keepalive=4s:1s:2;"
                                         f" listen {self.ip}:{self.port + 1} backlog={COOKIE_SHARE // 4};"))
        return words


class Target:
    """One side of one case: who is spoken to, and from which address."""

    closed_port = 4999

    def __init__(self, world, case, number, ringway):
        self.world, self.case, self.ringway = world, case, ringway
        self.peer = world.peer
        self.ip = NETWORKS[not ringway] + str(number)
        self.next_port = random.randrange(20_000, 60_000)

    def address(self, service="web"):
        return self.world.address(service, self.ringway)

    def flow(self, service="web", port=None):
        ip, listening = self.address(service)
        self.next_port += 1
        return Flow(self.peer, self.ip, self.next_port, ip, port or listening)

    # ---- the other side opens

    def called(self):
        """Has the other side connect to this target's address; returns the peer's end after its SYN, and a function that
        waits for what became of the call: an HTTP status, bytes, or the name of an error."""
        slot = self.world.active.index(self.case)
        address = self.world.active_ip(slot) if self.ringway else self.ip
        syns = self.peer.listen(address, 9000)
        to = (self.world.mesh.service(f"active{slot}-service").vip, 6000) if self.ringway else (self.ip, 9000)
        result = []

        def call():
            try:
                sock = self.world.mesh.client.connect(*to, timeout=8)
                sock.sendall(b"GET /called HTTP/1.1\r\nHost: a\r\n\r\n")
                result.append(sock.recv(4096)[:12].decode())
                sock.close()
            except OSError as e:
                result.append(type(e).__name__)
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        syn = syns.get(timeout=5)
        flow = Flow(self.peer, address, 9000, syn.source, syn.source_port)
        flow.syn, flow.rcv = syn, (syn.seq + 1) & 0xffffffff

        def outcome(seconds=9):
            thread.join(seconds)
            return result[0] if result else "nothing"
        return flow, outcome


class World:
    """The mesh, the peer, and everything that the cases need."""

    def __init__(self, lab):
        self.active = [c for c in CASES if c.active]
        self.again = 0  # cases of Ringway that were run twice
        assert len(self.active) <= ACTIVE_CASES_MAX
        services = [Service("web-service", 4000, 1, ServerTask, dict(ONCE)), Service("odd-service", 7000, 1, OddTask, dict(ONCE)),
                    Service("cookie-service", 4100, 0, options=dict(ONCE))]
        for slot in range(len(self.active)):
            options = {"endpoints": [{"address": self.active_ip(slot), "port": 9000}], "healthCheck": {"protocol": "none"}} | ONCE
            services.append(Service(f"active{slot}-service", 6000, 0, options=options))
        self.mesh = Mesh(lab, services, "ringway", settings={"tcp": TCP})
        for service in services[2:]:
            service.options["healthCheck"] = None if service.name == "cookie-service" else {"protocol": "none"}
        web = self.mesh.task("web-1")
        services[2].options["endpoints"] = [{"address": web.ip, "port": web.port}]
        for key, value in SYSCTLS.items():
            web.namespace.run("sysctl", "-qw", f"net.ipv4.{key}={value}", check=True)
        for task in self.mesh.tasks():
            task.start()
        self.mesh.gateway.start(wait=False)
        for name in ("web-service", "odd-service", "cookie-service"):
            if not wait_until(lambda name=name: self.answers(name), 15, 0.1):
                raise LabError(f"{name} never answered:\n{self.mesh.gateway.process.log()}")
        raw = lab.namespace("raw")
        self.mesh.plug(raw)
        self.peer = Peer(raw, NETWORKS, lambda ip: GATEWAY_IP[4] if ip.startswith("10.78.") else ip)

    @staticmethod
    def active_ip(slot):
        return NETWORKS[0] + str(240 + slot)

    def answers(self, name):
        service = self.mesh.service(name)
        return self.mesh.curl("-o", "/dev/null", "-w", "%{http_code}", f"http://{service.vip}:{service.port}/",
                              timeout=1).stdout == "200"

    def address(self, service, ringway):
        if ringway:
            found = self.mesh.service(service + "-service")
            return found.vip, found.port
        web = self.mesh.task("web-1")
        if service == "cookie":
            return web.ip, web.port + 1
        task = self.mesh.task(service + "-1")
        return task.ip, task.port

    def run(self, cases, at_once=AT_ONCE):
        """{case name: [Ringway's outcome, Linux's outcome]}"""
        assert len(cases) < 230
        # Names are looked up once, before the crowd.
        for service in ("web", "odd", "cookie"):
            for ringway in (True, False):
                self.peer.mac_of(self.address(service, ringway)[0])
        self.peer.mac_of("10.77.0.10")

        def one(number, case, ringway):
            try:
                return case.run(Target(self, case, number, ringway))
            except Exception as e:  # of one case; the others go on
                return f"{type(e).__name__}: {e}"
        with ThreadPoolExecutor(at_once) as pool:
            seen = [[pool.submit(one, 2 + i, case, ringway) for ringway in (True, False)]
                    for i, case in enumerate(cases)]
            outcomes = {case.name: [future.result() for future in both] for case, both in zip(cases, seen)}
        # Timers are judged by the clock: what went otherwise in the crowd is asked once more, alone.
        linux = told()
        for i, case in enumerate(cases):
            both = outcomes[case.name]
            self.again += both[0] != case.ringway
            for side, wanted in ((0, case.ringway), (1, linux.get(case.name))):
                if both[side] != wanted:
                    both[side] = one(2 + i, case, side == 0)
        return outcomes


def load_cases():
    import compliance_close  # noqa: F401
    import compliance_data  # noqa: F401
    import compliance_handshake  # noqa: F401
    import compliance_options  # noqa: F401
    order = list(dict.fromkeys(case.group for case in CASES))
    CASES.sort(key=lambda case: order.index(case.group))
    return CASES


def told():
    """{case name: Linux's outcome} of the page as it is."""
    if not os.path.exists(PAGE):
        return {}
    with open(PAGE) as f:
        return {name: linux for name, linux in re.findall(r"^\|[^|]*\|[^|]*\| `(\w+)` \|[^|]*\| ([^|]*) \|", f.read(), re.M)}


def page(outcomes):
    kernel = ".".join(platform.release().split(".")[:2])
    differing = sum(ringway != linux for ringway, linux in outcomes.values())
    lines = [INTRODUCTION.format(kernel=kernel, count=len(outcomes), differing=differing)]
    group = None
    for case in CASES:
        if case.group != group:
            group = case.group
            lines += [f"## {group}\n", "| behaviour | source | test | Ringway | Linux | why they differ |", "|---|---|---|---|---|---|"]
        ringway, linux = outcomes[case.name]
        lines.append(f"| {case.behaviour} | {case.rfc} | `{case.name}` | {ringway} | {linux} | {case.why if ringway != linux else ''} |")
        if CASES[-1] is case or CASES[CASES.index(case) + 1].group != group:
            lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", metavar="PATTERN", help="only cases whose name matches")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, metavar="N", help="cases at a time")
    parser.add_argument("--write", action="store_true", help="write the page")
    args = parser.parse_args()
    cases = [c for c in load_cases() if re.search(args.k, c.name)]
    with Lab() as lab:
        world = World(lab)
        began = time.monotonic()
        outcomes = world.run(cases, args.at_once)
        print(f"{time.monotonic() - began:.1f} s, {world.again} cases of Ringway twice")
        world.peer.close()
    for case in cases:
        ringway, linux = outcomes[case.name]
        mark = " " if ringway == case.ringway else "!"
        print(f"{mark} {case.name:40} {ringway}" + ("" if linux == ringway else f"\n{'':8}Linux: {linux}") +
              ("" if mark == " " else f"\n{'':8}wanted: {case.ringway}"))
        if bool(case.why) != (ringway != linux):
            print(f"{'':8}{'says why, and they do the same' if case.why else 'does not say why'}")
    if args.write and not args.k:
        with open(PAGE, "w") as f:
            f.write(page(outcomes))


if __name__ == "__main__":
    sys.modules["compliance"] = sys.modules["__main__"]
    main()
