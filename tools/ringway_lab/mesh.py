"""The mesh: clients, a gateway and tasks on one wire, each in its own namespace.

    worker 10.77.0.10 --+                     +-- api-1 10.77.1.1
                        |                     +-- api-2 10.77.1.2
                        +-- switch (bridge) --+-- auth-1 ...
                        |
    gw     10.77.0.1  --+      service addresses 10.78.0.1, .2, ... (routed to the gateway by the clients)

The gateway has one port (one-armed) and does not exist for the kernel when Ringway owns it.
"""

from dataclasses import dataclass, field

from .gateway import HaProxy, Nginx
from .ringway import Ringway
from .task import NginxTask

GATEWAYS = {"ringway": Ringway, "haproxy": HaProxy, "nginx": Nginx}

GATEWAY_IP = "10.77.0.1"
PREFIX_BITS = 16
VIP_RANGE = "10.78.0.0/24"


@dataclass
class Service:
    """`options` are further keys of the service in Ringway's configuration; `kind` says what its tasks are."""
    name: str
    port: int
    tasks: int = 1
    kind: type = NginxTask
    options: dict = field(default_factory=dict)
    task_port: int = 8080
    vip: str = ""
    members: list = field(default_factory=list)

    @property
    def short(self):
        return self.name.removesuffix("-service")


def example():
    """The well-known Service Connect example: three services, five tasks, and a worker that only calls."""
    return [Service("api-service", 3000, 2), Service("auth-service", 4000, 2), Service("notification-service", 5000, 1)]


class Mesh:
    def __init__(self, lab, services, gateway="ringway", cpu=None, gateway_cpu=None, queues=1, **gateway_options):
        """`cpu` pins clients and tasks, `gateway_cpu` the gateway. `gateway_options` go to the gateway's class."""
        self.lab, self.services, self.cpu = lab, services, cpu
        self.switch = lab.namespace("switch")
        self.switch.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        self.switch.ip("link", "set", "br0", "up")
        self.gw = lab.namespace("gw")
        self.plug(self.gw, queues)
        self.client = self.host("worker", "10.77.0.10")
        count = 0
        for number, service in enumerate(services, 1):
            service.vip = f"10.78.0.{number}"
            service.members = []
            for index in range(1, service.tasks + 1):
                count += 1
                name = f"{service.short}-{index}"
                address = f"10.77.1.{count}"
                space = self.host(name, address)
                service.members.append(service.kind(space, service, name, address, service.task_port, cpu))
        self.gateway = GATEWAYS[gateway](self, cpu=gateway_cpu, queues=queues, **gateway_options)

    def plug(self, namespace, queues=1):
        self.lab.veth(namespace, "eth0", self.switch, namespace.short, queues)
        self.switch.ip("link", "set", namespace.short, "master", "br0")

    def host(self, short, address):
        """A namespace on the wire that reaches the service addresses by way of the gateway."""
        made = self.lab.namespace(short)
        self.plug(made)
        made.ip("addr", "add", f"{address}/{PREFIX_BITS}", "dev", "eth0")
        made.ip("route", "add", VIP_RANGE, "via", GATEWAY_IP)
        return made

    def start(self):
        """Tasks, then the gateway; returns when every service answers."""
        for task in self.tasks():
            task.start()
        self.gateway.start()
        return self

    def tasks(self):
        return [task for service in self.services for task in service.members]

    def task(self, name):
        return next(task for task in self.tasks() if task.name == name)

    def service(self, name):
        return next(service for service in self.services if service.name == name)

    def curl(self, *words, timeout=30):
        """curl on the worker, silent, with a limit; names resolve as the gateway says."""
        return self.client.run("curl", "-sS", "--noproxy", "*", "--max-time", str(timeout), *words, timeout=timeout + 5)

    def connect(self, service, timeout=5):
        return self.client.connect(self.service(service).vip, self.service(service).port, timeout)
