"""Ringway in the middle of a mesh: its configuration, its process, its admin socket."""

import copy
import json
import os
import signal

import yaml

from .gateway import Gateway, build_dir
from .net import LabError


def merged(base, extra):
    """`extra` over `base`, dict by dict."""
    out = copy.deepcopy(base)
    for key, value in extra.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


class Ringway(Gateway):
    """`settings` are laid over the gateway section of the configuration."""

    kind = "ringway"
    dns_ip = "10.77.0.2"

    def __init__(self, mesh, cpu=None, queues=1, settings=None):
        super().__init__(mesh, cpu, queues)
        self.settings = settings or {}

    def ports(self):
        return [{"device": f"net_af_xdp{i},iface=eth0,start_queue={i}", "address": "10.77.0.1/16"}
                for i in range(self.queues)]

    def service_entry(self, service):
        return merged({
            "portName": service.short,
            "discoveryName": service.name,
            "clientAliases": [{"dnsName": service.name, "port": service.port, "vip": service.vip}],
            "appProtocol": "http",
            "endpoints": [{"address": t.ip, "port": t.port} for t in service.members],
            "healthCheck": {"path": "/health", "intervalSeconds": 1, "timeoutSeconds": 1, "unhealthyThreshold": 2},
        }, service.options)

    def configuration(self):
        gateway = merged({
            "ports": self.ports(),
            "cores": [self.cpu or 0],
            "idle": "backoff",
            "vipRange": "10.78.0.0/24",
            "dns": {"address": self.dns_ip},
            "adminSocket": self.path("admin.sock"),
        }, self.settings)
        return {"gateway": gateway, "services": [self.service_entry(s) for s in self.mesh.services]}

    def configure(self):
        return self.write("ringway.yaml", yaml.safe_dump(self.configuration(), sort_keys=False))

    def prepare(self):
        self.mesh.client.set_resolver(nameserver=self.dns_ip)
        self.configure()

    def program(self, name):
        path = os.path.join(build_dir(), {"ringway": "src/app/ringway", "ringwayctl": "tools/ringwayctl"}[name])
        if not os.path.exists(path):
            raise LabError(f"{path} is not built; run tools/quickstart or tools/check once")
        return path

    def command(self):
        return [self.program("ringway"), "run", "--config", self.path("ringway.yaml")]

    def ctl(self, *words, check=True):
        """ringwayctl's output."""
        done = self.mesh.gw.run(self.program("ringwayctl"), "--socket", self.path("admin.sock"), *words, check=check)
        return done.stdout

    def counters(self):
        return json.loads(self.ctl("counters", "--json"))

    def reload(self):
        self.process.signal(signal.SIGHUP)
