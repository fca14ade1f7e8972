"""Ringway in the middle of a mesh: its configuration, its process, its admin socket."""

import copy
import http.client
import json
import os
import signal
import socket

import yaml

from .gateway import Gateway, built
from .net import LabError, wait_until
from .plan import GATEWAY_IP, VIP_RANGE


def merged(base, extra):
    """`extra` over `base`, dict by dict; None takes a key away."""
    out = copy.deepcopy(base)
    for key, value in extra.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return {key: value for key, value in out.items() if value is not None}


class AdminConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("admin", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Ringway(Gateway):
    """`settings` are laid over the gateway section of the configuration, `listeners` are added to it; `port` is the
    kind of DPDK port: af_xdp and af_packet own the veth end, tap is patched to it. `port_options` are laid over its entry.
    One core per queue, from `cpu` on; RINGWAY_LAB_CORE or the last of the machine when not said."""

    kind = "ringway"

    def __init__(self, mesh, cpu=None, queues=1, settings=None, listeners=(), port="af_xdp", port_options=None):
        super().__init__(mesh, None, queues)  # pins its cores itself
        cpus = os.cpu_count() or 1
        first = int(os.environ.get("RINGWAY_LAB_CORE", cpus - 1)) if cpu is None else cpu
        self.cores = [(first + i) % cpus for i in range(queues)]
        self.settings, self.listeners, self.port = settings or {}, list(listeners), port
        self.port_options = port_options or {}
        self.dns_ips = {4: "10.77.0.2", 6: "fd77::2"}
        self.dns_ip = self.dns_ips[mesh.client_family]

    def port_entry(self):
        if self.port == "af_xdp":
            # One socket per receive queue of the veth.
            devices = [f"net_af_xdp{i},iface=eth0,start_queue={i},busy_budget=0" for i in range(self.queues)]
            entry = {"devices": devices} if self.queues > 1 else {"device": devices[0]}
        elif self.port == "af_packet":
            entry = {"device": f"net_af_packet0,iface=eth0,qpairs={self.queues}"}
        else:
            entry = {"device": "net_tap0,iface=rwtap0"}
        ip6 = {"address6": f"{GATEWAY_IP[6]}/64"} if self.mesh.has6 else {}
        return {**entry, "address": f"{GATEWAY_IP[4]}/16", **ip6, **self.port_options}

    def service_entry(self, service):
        return merged({
            "portName": service.short,
            "discoveryName": service.name,
            "appProtocol": "http",
            "clientAliases": [{"dnsName": service.name, "port": service.port, "vip": service.vips[4],
                               **({"vip6": service.vips[6]} if self.mesh.has6 else {})}],
            "endpoints": [{"address": t.ip, "port": t.port} for t in service.members],
            "healthCheck": {"protocol": "http", "path": "/health", "intervalSeconds": 1, "timeoutSeconds": 0.5,
                            "healthyThreshold": 1, "unhealthyThreshold": 2},
            "balancing": {"hash": {"on": "request"}},
        }, service.options)

    def configuration(self):
        gateway = merged({
            "name": "lab-gw",
            "ports": [self.port_entry()],
            "vipRange": VIP_RANGE[4],
            "vipRange6": VIP_RANGE[6] if self.mesh.has6 else None,
            "dns": {"address": self.dns_ips[4], **({"address6": self.dns_ips[6]} if self.mesh.has6 else {}),
                    "zones": ["internal"]},
            "cores": self.cores,
            "idle": "backoff",
            "memory": {"hugepages": False, "megabytes": 512},
            "adminSocket": self.path("admin.sock"),
        }, self.settings)
        return {"gateway": gateway, "services": [self.service_entry(s) for s in self.mesh.services],
                **({"listeners": self.listeners} if self.listeners else {})}

    def configure(self, change=None):
        """Writes the configuration, after `change(configuration)` when given; returns its path."""
        configuration = self.configuration()
        if change:
            change(configuration)
        return self.write("ringway.yaml", yaml.safe_dump(configuration, sort_keys=False))

    def prepare(self):
        self.mesh.client.set_resolver(nameserver=self.dns_ip)
        self.configure()

    def start(self, wait=True):
        if self.port != "tap":
            return super().start(wait)
        super().start(wait=False)
        gw = self.mesh.gw
        if not wait_until(lambda: "rwtap0" in gw.ip("-o", "link"), 10):
            raise LabError(f"ringway made no tap interface:\n{self.process.log()}")
        for one, other in (("eth0", "rwtap0"), ("rwtap0", "eth0")):
            gw.ip("link", "set", one, "up", "promisc", "on")
            gw.run("tc", "qdisc", "add", "dev", one, "ingress", check=True)
            gw.run("tc", "filter", "add", "dev", one, "ingress", "protocol", "all", "u32", "match", "u32", "0", "0",
                   "action", "mirred", "egress", "redirect", "dev", other, check=True)
        if wait and not wait_until(self.serving, 20, 0.1):
            raise LabError(f"ringway does not serve over net_tap. Its last lines:\n{self.process.log()}")
        return self

    def program(self, name):
        return built({"ringway": "src/app/ringway", "ringwayctl": "tools/ringwayctl/ringwayctl"}[name])

    def command(self):
        return [self.program("ringway"), "run", "--config", self.path("ringway.yaml")]

    def ctl(self, *words, check=True):
        """ringwayctl's output."""
        done = self.mesh.gw.run(self.program("ringwayctl"), "--socket", self.path("admin.sock"), *words, check=check)
        return done.stdout

    def ask(self, path):
        """The admin socket's own answer to GET `path`, as ringwayctl gets it."""
        connection = AdminConnection(self.path("admin.sock"))
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def telemetry_prefix(self):
        """EAL's --file-prefix of the running gateway, by its telemetry socket; "" when there is none."""
        with open(f"/proc/{self.pid()}/net/unix") as f:
            paths = [line.split()[-1] for line in f if "dpdk_telemetry" in line]
        folders = [os.path.basename(os.path.dirname(path)) for path in paths]
        return folders[0] if folders else ""

    def counter(self, name):
        return self.ask("/counters")["counters"][name]

    def numbers(self):
        """All counters that moved, for people who look for what went wrong; {} when the gateway does not answer."""
        try:
            told = self.ask("/counters")
            moved = {k: v for part in ("counters", "verdicts") for k, v in told[part].items() if v}
            return moved | {"cores": self.ask("/status")["cores"]}
        except OSError:
            return {}

    def ticks(self):
        """(busy, idle) ticks of all cores together, by their own accounting."""
        busy = idle = 0
        for core in self.ask("/counters")["cores"]:
            for regime, phases in core["ticks"].items():
                if regime == "idle":
                    idle += sum(phases.values())
                else:
                    busy += sum(phases.values())
        return busy, idle

    def core_requests(self):
        """Requests read by each core."""
        return [core["requests"] for core in self.ask("/status")["cores"]]

    def generation(self):
        return self.ask("/status")["plan_generation"]

    def endpoint_healthy(self, task):
        """Whether the gateway says that it sends requests to the task."""
        return any(e["address"] == task.ip and e["port"] == task.port and e["health"] == "healthy"
                   for e in self.ask("/endpoints"))

    def reload(self):
        self.process.signal(signal.SIGHUP)
