"""Tasks: the backends of the lab, each in a namespace of its own with an address of its own.

NginxTask answers with its name; /health answers 200; /bytes/N serves a file of N bytes for the sizes of FILES; every
request outside /health is a line of its access log when `log` is on, so that a test can count what truly arrived.
OddTask runs backend.py. Over HTTP/2 by prior knowledge: NginxH2Task, NghttpdTask (a file server that also echoes what is
posted), OddH2Task (h2_backend.py, of Python's h2), NodeH2Task (node_h2.js). GrpcTask runs grpc_backend.py.
"""

import os
import subprocess
import sys

from .net import LabError, wait_until
from .plan import authority

FILES = (1, 1024, 10_240, 102_400, 1_048_576)

CONF = """\
daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; default_type text/plain; server_tokens off;
  keepalive_timeout 600s; keepalive_requests {requests}; client_max_body_size 0; client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  log_format task '$request_method $request_uri $status';
  server {{
{listen}    add_header X-Backend {name};
    location / {{ access_log {log}; return 200 "{name} $request_uri\\n"; }}
    location = /health {{ return 200 "ok\\n"; }}
    location /bytes/ {{ access_log {log}; alias {files}/; }}
  }}
}}
"""


class Task:
    """`service` is who it works for, `name` is who answers ("auth-1"), `namespace` where it lives."""

    def __init__(self, namespace, service, name, ip, port, cpu=None):
        self.namespace, self.service, self.name, self.ip, self.port, self.cpu = namespace, service, name, ip, port, cpu
        self.ips = [ip]  # all that it listens on
        self.process = None

    def start(self):
        self.process = self.namespace.start(*self.command(), title=self.name, cpu=self.cpu)
        if not wait_until(self.answers, 5):
            raise LabError(f"task {self.name} does not listen: {self.process.log()}")
        return self

    def answers(self):
        try:
            self.namespace.connect(self.ip, self.port, 0.5).close()
            return True
        except OSError:
            return False

    @staticmethod
    def served(mesh, service):
        """Whether a request of the worker is answered."""
        try:
            done = mesh.curl("-o", "/dev/null", "-w", "%{http_code}", f"http://{service.authority}/health", timeout=1)
        except subprocess.TimeoutExpired:  # on a machine that is busy with others
            return False
        return done.stdout == "200"

    def kill(self):
        """The task is gone at once, its address stays: connections are reset, new ones refused."""
        self.process.kill()

    def vanish(self, gone=True):
        """The task's cable is pulled (or plugged in again): nothing answers, not even with a reset."""
        self.namespace.ip("link", "set", "eth0", "down" if gone else "up")


class NginxTask(Task):
    log = False
    protocol = ""  # further words of `listen`
    requests_per_connection = 100_000_000

    def command(self):
        self.dir = os.path.join(self.namespace.lab.dir, self.name)
        files = os.path.join(self.namespace.lab.dir, "files")
        os.makedirs(self.dir, exist_ok=True)
        os.makedirs(files, exist_ok=True)
        for size in FILES:
            path = os.path.join(files, str(size))
            if not os.path.exists(path):
                with open(path, "wb") as f:
                    f.write(b"ringway\n" * (size // 8) + b"." * (size % 8))
        self.log_path = os.path.join(self.dir, "requests.log")
        conf = os.path.join(self.dir, "nginx.conf")
        with open(conf, "w") as f:
            listen = "".join(f"    listen {authority(ip, self.port)}{self.protocol} backlog=4096;\n" for ip in self.ips)
            f.write(CONF.format(dir=self.dir, listen=listen, name=self.name, files=files, requests=self.requests_per_connection,
                                log=f"{self.log_path} task" if self.log else "off"))
        return ["nginx", "-c", conf, "-e", os.path.join(self.dir, "error.log")]

    def requests(self, prefix="/"):
        """How many requests arrived whose target begins with `prefix`."""
        if not os.path.exists(self.log_path):
            return 0
        with open(self.log_path) as f:
            return sum(1 for line in f if line.split(" ")[1].startswith(prefix))


class NginxH2Task(NginxTask):
    protocol = " http2"


HERE = os.path.dirname(os.path.abspath(__file__))


class OddTask(Task):
    def command(self):
        return [sys.executable, os.path.join(HERE, "backend.py"), f"{self.ip}:{self.port}", self.name]


class OddH2Task(Task):
    words = ()  # of h2_backend.py: "window=1"

    def command(self):
        return [sys.executable, os.path.join(HERE, "h2_backend.py"), f"{self.ip}:{self.port}", self.name, *self.words]


class NodeH2Task(Task):
    def command(self):
        return ["node", os.path.join(HERE, "node_h2.js"), "serve", self.ip, self.port, self.name]


class NghttpdTask(Task):
    """Serves what lies in `folder`; answers a POST with its own body."""

    words = ()  # further ones of its command line

    def command(self):
        self.folder = os.path.join(self.namespace.lab.dir, self.name)
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "health"), "w") as f:
            f.write("ok\n")
        return ["nghttpd", "--no-tls", "--echo-upload", "-d", self.folder, "-a", self.ip, *self.words, self.port]


class GrpcTask(Task):
    def command(self):
        return [sys.executable, os.path.join(HERE, "grpc_backend.py"), authority(self.ip, self.port), self.name]
