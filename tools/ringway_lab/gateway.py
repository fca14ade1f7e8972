"""What stands in the middle of a mesh: Ringway, or for comparison HAProxy or nginx on the kernel's TCP stack.

All three have the same address, listen on the same service addresses and know the same tasks. The two kernel proxies run
with one thread pinned to one core, keep-alive to the tasks, health checks (HAProxy) and without access logs.
"""

import os

from .net import LabError, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build_dir():
    return os.environ.get("RINGWAY_BUILD", os.path.join(ROOT, "build"))


def built(target):
    """Path of a program, named as ninja names it."""
    path = os.path.join(build_dir(), target)
    if not os.path.exists(path):
        raise LabError(f"{path} is not built; run tools/quickstart or tools/check once")
    return path


class Gateway:
    def __init__(self, mesh, cpu=None, queues=1):
        self.mesh, self.cpu, self.queues, self.process = mesh, cpu, queues, None
        self.dir = os.path.join(mesh.lab.dir, "gateway")
        os.makedirs(self.dir, exist_ok=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        # Replaced at once: a reader never sees half of it.
        with open(self.path(name + ".new"), "w") as f:
            f.write(text)
        os.replace(self.path(name + ".new"), self.path(name))
        return self.path(name)

    def serving(self):
        """Every service answers a request of the worker."""
        return all(service.kind.served(self.mesh, service) for service in self.mesh.services)

    def start(self, wait=True):
        self.prepare()
        self.process = self.mesh.gw.start(*self.command(), title=self.kind, cpu=self.cpu)
        if wait and not wait_until(lambda: not self.process.running() or self.serving(), 20, 0.1):
            raise LabError(f"{self.kind} does not serve after 20 s. Its last lines:\n{self.process.log()}")
        if not self.process.running():
            raise LabError(f"{self.kind} ended with status {self.process.popen.returncode}:\n{self.process.log()}")
        return self

    def stop(self, seconds=10):
        return self.process.stop(seconds)

    def pid(self):
        return self.process.pid


class KernelGateway(Gateway):
    """Address and service addresses belong to the kernel of the gateway's namespace; names stand in /etc/hosts."""

    def prepare(self):
        gw = self.mesh.gw
        if "10.77.0.1/" not in gw.ip("-4", "addr", "show", "dev", "eth0"):
            gw.ip("addr", "add", "10.77.0.1/16", "dev", "eth0")
            for service in self.mesh.services:
                gw.ip("addr", "add", f"{service.vip}/32", "dev", "lo")
        self.mesh.client.set_resolver(hosts={s.name: s.vip for s in self.mesh.services})
        self.configure()


class HaProxy(KernelGateway):
    kind = "haproxy"

    def configure(self):
        lines = ["global", "  maxconn 8000", "  nbthread 1", "defaults", "  mode http", "  timeout connect 5s",
                 "  timeout client 300s", "  timeout server 300s", "  http-reuse always", "  option http-keep-alive",
                 "  option forwardfor"]
        for service in self.mesh.services:
            lines += [f"listen {service.name}", f"  bind {service.vip}:{service.port}", "  balance roundrobin",
                      "  option httpchk GET /health", "  default-server inter 1s fall 2 rise 1 pool-max-conn 512"]
            lines += [f"  server {task.name} {task.ip}:{task.port} check" for task in service.members]
        self.write("haproxy.cfg", "\n".join(lines) + "\n")

    def command(self):
        return ["haproxy", "-db", "-f", self.path("haproxy.cfg")]


class Nginx(KernelGateway):
    kind = "nginx"

    def configure(self):
        d = self.dir
        lines = [f"daemon off; master_process off; worker_processes 1; pid {d}/pid; error_log {d}/error.log warn;",
                 "events { worker_connections 8192; }", "http {", "access_log off; server_tokens off; tcp_nodelay on;",
                 "keepalive_timeout 300s; keepalive_requests 100000000; client_max_body_size 0;",
                 f"client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u;",
                 f"scgi_temp_path {d}/s; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering on;",
                 "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
                 "proxy_request_buffering off; proxy_max_temp_file_size 0;"]
        for service in self.mesh.services:
            servers = " ".join(f"server {t.ip}:{t.port} max_fails=1 fail_timeout=1s;" for t in service.members)
            lines += [f"upstream {service.name} {{ {servers} keepalive 512; keepalive_requests 100000000; }}",
                      f"server {{ listen {service.vip}:{service.port} backlog=4096;",
                      f"  location / {{ proxy_pass http://{service.name}; }} }}"]
        self.write("nginx.conf", "\n".join(lines + ["}"]) + "\n")

    def command(self):
        return ["nginx", "-c", self.path("nginx.conf"), "-e", self.path("error.log")]
