"""Everything that goes wrong with tasks, at once, while clients ask: who loses a request?

All tasks are killed and started again one after the other; meanwhile one is behind a black hole, one answers 503, one is
slow and one resets; the configuration is reloaded every three seconds. wrk, h2load and a gRPC client ask through the
gateway and count what they get. Ringway, HAProxy and nginx stand in the same mesh one after the other, each told to do
what it can: retries elsewhere for what is safe to repeat (here: everything), short timeouts of a try, passive and, where it
has them, active checks.
"""

import dataclasses
import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter

from .gateway import HaProxy, Nginx
from .load import H2Load, wrk_command
from .mesh import Mesh, Service
from .ringway import Ringway
from .task import HERE, GrpcTask, NginxTask, Task

EVERY = 3.0        # seconds between reloads, and between a kill and the next
CONNECT_S, TRY_S, RETRIES = 0.5, 1, 5
MOODS = ("black hole", "503", "slow", "reset")


class MoodyTask(NginxTask):
    """nginx, but for the last four of a service: a small server that answers as the file beside it says."""

    @property
    def number(self):
        return int(self.name.rsplit("-", 1)[1])

    @property
    def mood_path(self):
        return os.path.join(self.namespace.lab.dir, self.name + ".mood")

    def command(self):
        if self.number <= 4:
            return super().command()
        return [sys.executable, os.path.join(HERE, "backend.py"), f"{self.ip}:{self.port}", self.name, self.mood_path]

    def mood(self, word):
        if word == "black hole":
            hole = "add table inet hole; add chain inet hole in { type filter hook input priority 0; }; " \
                   "add chain inet hole out { type filter hook output priority 0; }; " \
                   "add rule inet hole in iifname eth0 drop; add rule inet hole out oifname eth0 drop"
            self.namespace.run("nft", hole, check=True)
            return
        self.namespace.run("nft", "delete table inet hole")
        with open(self.mood_path + ".new", "w") as f:
            f.write(word)
        os.replace(self.mood_path + ".new", self.mood_path)


def services(gateway):
    retry = {"retries": RETRIES, "nonIdempotent": True, "perTryTimeoutSeconds": TRY_S, "on": ["connect-failure", "refused-stream", "reset", "gateway-error", "unavailable"]}
    check = {"protocol": "http", "path": "/health", "intervalSeconds": 1, "timeoutSeconds": 1, "unhealthyThreshold": 2}
    common = {"retry": retry, "connectTimeoutSeconds": CONNECT_S, "healthCheck": check}
    grpc = common | {"appProtocol": "grpc", "healthCheck": {"protocol": "grpc", "intervalSeconds": 1, "timeoutSeconds": 1, "unhealthyThreshold": 2}}
    return [Service("web-service", 4000, 8, MoodyTask, common if gateway == "ringway" else {}),
            Service("two-service", 4001, 8, MoodyTask, common if gateway == "ringway" else {}),  # its clients speak HTTP/2
            Service("call-service", 4002, 4, GrpcTask, grpc if gateway == "ringway" else {})]


class ChaosRingway(Ringway):
    def change(self, round_):
        self.configure(lambda c: c["services"][0]["endpoints"][0].update(weight=1 + round_ % 3))
        self.process.signal(signal.SIGHUP)


class OneListener:
    """The other services are for HTTP/2 alone, which the question whether a gateway serves does not speak."""

    def serving(self):
        web = self.mesh.service("web-service")
        return web.kind.served(self.mesh, web)


class ChaosHaProxy(OneListener, HaProxy):
    """A master with one worker, so that it can reload."""

    def configure(self):
        lines = ["global", "  maxconn 8000", "  nbthread 1", "defaults", "  mode http", f"  timeout connect {int(CONNECT_S * 1000)}ms",
                 "  timeout client 300s", f"  timeout server {TRY_S}s", "  timeout http-keep-alive 300s", "  http-reuse safe",
                 f"  retries {RETRIES}", "  option redispatch 1", "  retry-on all-retryable-errors"]
        for service in self.mesh.services:
            h2 = " proto h2" if service.name != "web-service" else ""
            to_h2 = " proto h2" if service.kind is GrpcTask else ""
            check = [] if to_h2 else ["  option httpchk GET /health"]
            lines += [f"listen {service.name}", f"  bind {service.vip}:{service.port}{h2}", "  balance roundrobin", *check,
                      f"  default-server inter 1s fall 2 rise 1 observe layer{4 if to_h2 else 7} error-limit 5 on-error mark-down"]
            lines += [f"  server {task.name} {task.ip}:{task.port}{to_h2} check" for task in service.members]
        self.write("haproxy.cfg", "\n".join(lines) + "\n")

    def command(self):
        return ["haproxy", "-W", "-db", "-f", self.path("haproxy.cfg")]

    def change(self, _round):
        self.process.signal(signal.SIGUSR2)


class ChaosNginx(OneListener, Nginx):
    def configure(self):
        d = self.dir
        lines = [f"daemon off; master_process on; worker_processes 1; pid {d}/pid; error_log {d}/error.log warn;",
                 "events { worker_connections 8192; }", "http {", "access_log off; server_tokens off; tcp_nodelay on;",
                 "keepalive_timeout 300s; keepalive_requests 100000000; client_max_body_size 0;",
                 f"client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u;",
                 f"scgi_temp_path {d}/s; proxy_http_version 1.1; proxy_set_header Connection '';",
                 f"proxy_connect_timeout {int(CONNECT_S * 1000)}ms; proxy_read_timeout {TRY_S}s; grpc_connect_timeout {int(CONNECT_S * 1000)}ms; grpc_read_timeout {TRY_S}s;",
                 f"proxy_next_upstream error timeout http_502 http_503 http_504 non_idempotent; proxy_next_upstream_tries {RETRIES + 1};",
                 f"grpc_next_upstream error timeout http_503 non_idempotent; grpc_next_upstream_tries {RETRIES + 1};"]
        for service in self.mesh.services:
            servers = " ".join(f"server {t.ip}:{t.port} max_fails=5 fail_timeout=10s;" for t in service.members)
            grpc = service.kind is GrpcTask
            lines += [f"upstream {service.name} {{ {servers} keepalive 64; }}",
                      f"server {{ listen {service.vip}:{service.port} backlog=4096{'' if service.name == 'web-service' else ' http2'};",
                      f"  location / {{ {'grpc_pass grpc' if grpc else 'proxy_pass http'}://{service.name}; }} }}"]
        self.write("nginx.conf", "\n".join(lines + ["}"]) + "\n")

    def change(self, _round):
        self.process.signal(signal.SIGHUP)


GATEWAYS = {"ringway": ChaosRingway, "haproxy": ChaosHaProxy, "nginx": ChaosNginx}


@dataclasses.dataclass
class Told:
    """What clients saw of one protocol."""
    requests: int = 0
    failures: Counter = dataclasses.field(default_factory=Counter)
    slowest_s: float = 0.0

    @property
    def failed(self):
        return sum(self.failures.values())


def read_wrk(text, told):
    told.requests += int((re.search(r"(\d+) requests in", text) or [0, 0])[1])
    if bad := re.search(r"Non-2xx or 3xx responses: (\d+)", text):
        told.failures["status"] += int(bad[1])
    if errors := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text):
        for what, count in zip(("connect", "read", "write", "timeout"), errors.groups()):
            told.failures[what] += int(count)
    told.failures = +told.failures


class Chaos:
    """One gateway in its mesh. `run` returns {"HTTP/1.1": Told, "HTTP/2": Told, "gRPC": Told}."""

    def __init__(self, lab, gateway):
        self.mesh = Mesh(lab, services(gateway), GATEWAYS[gateway])
        self.lab, self.reloads, self.kills, self.stopping = lab, 0, 0, threading.Event()

    def start(self):
        for task in self.mesh.tasks():
            if isinstance(task, MoodyTask):
                task.mood("ok")
        self.mesh.start()
        return self

    def moody(self, service):
        return [task for task in self.mesh.service(service).members if task.number > 4]

    def kill_in_turn(self):
        tasks = sorted(self.mesh.tasks(), key=lambda task: int(task.name.rsplit("-", 1)[1]))  # of all services in turn
        while not self.stopping.wait(EVERY / 2):
            task = tasks[self.kills % len(tasks)]
            self.kills += 1
            task.kill()
            if self.stopping.wait(EVERY / 2):
                task.start()
                return
            task.start()

    def reload(self):
        while not self.stopping.wait(EVERY):
            self.reloads += 1
            self.mesh.gateway.change(self.reloads)

    def call(self, told, until):
        at = self.mesh.service("call-service")
        while time.monotonic() < until:
            done = self.mesh.client.run("/usr/bin/python3", os.path.join(HERE, "grpc_client.py"), at.authority, "load", "400", "4", timeout=120)
            codes = json.loads(done.stdout)["codes"]
            told.requests += sum(codes.values())
            told.failures.update({code: n for code, n in codes.items() if code != "OK"})

    def run(self, seconds):
        web, two = self.mesh.service("web-service"), self.mesh.service("two-service")
        told = {"HTTP/1.1": Told(), "HTTP/2": Told(), "gRPC": Told()}
        until = time.monotonic() + seconds
        # Each runs on in pieces, so that what one of them is told at its end does not hide what came after.
        wrk = self.mesh.client.start(*map(str, wrk_command(f"http://{web.authority}/", seconds, 8)), title="wrk")
        h2 = H2Load(self.mesh.client, f"http://{two.name}:{two.port}/", "--connect-to", two.authority, "-D", seconds, "-c", 4, "-m", 4, "--rps", 100)
        grpc = threading.Thread(target=self.call, args=(told["gRPC"], until))
        others = [threading.Thread(target=work) for work in (self.kill_in_turn, self.reload)]
        for thread in (grpc, *others):
            thread.start()
        try:
            time.sleep(2)
            while time.monotonic() < until - 4:
                for service in ("web-service", "two-service"):
                    for task, mood in zip(self.moody(service), MOODS):
                        task.mood(mood)
                time.sleep(min(8, max(0.0, until - 4 - time.monotonic())))
                for service in ("web-service", "two-service"):
                    for task in self.moody(service):
                        task.mood("ok")
                time.sleep(4)
            wrk.wait(seconds + 30)
            report = h2.report(seconds + 30)
            grpc.join(150)
        finally:
            self.stopping.set()
            for thread in others:
                thread.join(20)
        read_wrk(wrk.log(60), told["HTTP/1.1"])
        told["HTTP/2"].requests = report.done
        told["HTTP/2"].failures.update({"status": report.done - report.good_status, "errored": report.errored, "timeout": report.timeout})
        told["HTTP/2"].failures = +told["HTTP/2"].failures
        return told
