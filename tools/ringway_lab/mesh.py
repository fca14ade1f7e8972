"""The mesh: clients, a gateway and tasks on one wire, each in its own namespace.

    worker 10.77.0.10 --+                     +-- api-1 10.77.1.1
                        |                     +-- api-2 10.77.1.2
                        +-- switch (bridge) --+-- auth-1 ...
                        |
    gw     10.77.0.1  --+      service addresses 10.78.0.1, .2, ... (routed to the gateway by the clients)

The gateway has one port (one-armed) and does not exist for the kernel when Ringway owns it.

With `families` (4, 6), and in every other mesh where one of the two is 6, everybody has IPv6 as well: fd77::1 for the
gateway, fd77::10 for the worker, fd77::1:1 and so on for tasks, service addresses fd78::1, .... The first family is how
the worker calls, the second how the gateway reaches the tasks.
"""

from dataclasses import dataclass, field

from .gateway import HaProxy, Nginx
from .plan import GATEWAY_IP, PREFIX_BITS, VIP_RANGE, WORKER_IP, authority, vip
from .ringway import Ringway
from .task import NginxTask

GATEWAYS = {"ringway": Ringway, "haproxy": HaProxy, "nginx": Nginx}

@dataclass
class Service:
    """`options` are further keys of the service in Ringway's configuration; `kind` says what its tasks are."""
    name: str
    port: int
    tasks: int = 1
    kind: type = NginxTask
    options: dict = field(default_factory=dict)
    task_port: int = 8080
    vip: str = ""     # in the family that clients use
    vips: dict = field(default_factory=dict)  # in both
    members: list = field(default_factory=list)

    @property
    def authority(self):
        return authority(self.vip, self.port)

    @property
    def short(self):
        return self.name.removesuffix("-service")


def example():
    """The well-known Service Connect example: three services, five tasks, and a worker that only calls."""
    return [Service("api-service", 3000, 2), Service("auth-service", 4000, 2), Service("notification-service", 5000, 1)]


class Mesh:
    def __init__(self, lab, services, gateway="ringway", cpu=None, gateway_cpu=None, queues=1, families=(4, 4),
                 **gateway_options):
        """`gateway`: a name of GATEWAYS, or a class. `cpu` pins clients and tasks, `gateway_cpu` the gateway. `gateway_options` go to the gateway's class."""
        self.lab, self.services, self.cpu = lab, services, cpu
        self.client_family, self.task_family = families
        self.has6 = 6 in families
        self.gateway_ip, self.worker_ip = GATEWAY_IP[self.client_family], WORKER_IP[self.client_family]
        self.switch = lab.namespace("switch")
        self.switch.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        self.switch.ip("link", "set", "br0", "up")
        self.gw = lab.namespace("gw")
        self.plug(self.gw, queues)
        self.client = self.host("worker", WORKER_IP)
        count = 0
        for number, service in enumerate(services, 1):
            service.vips = {family: vip(family, number) for family in (4, 6)}
            service.vip = service.vips[self.client_family]
            service.members = []
            for index in range(1, service.tasks + 1):
                count += 1
                name = f"{service.short}-{index}"
                addresses = {4: f"10.77.1.{count}", 6: f"fd77::1:{count}"}
                space = self.host(name, addresses)
                task = service.kind(space, service, name, addresses[self.task_family], service.task_port, cpu)
                task.ips = [addresses[4]] + ([addresses[6]] if self.has6 else [])
                service.members.append(task)
        self.gateway = (gateway if isinstance(gateway, type) else GATEWAYS[gateway])(self, cpu=gateway_cpu, queues=queues, **gateway_options)

    def plug(self, namespace, queues=1):
        self.lab.veth(namespace, "eth0", self.switch, namespace.short, queues)
        self.switch.ip("link", "set", namespace.short, "master", "br0")

    def host(self, short, addresses):
        """A namespace on the wire that reaches the service addresses by way of the gateway. `addresses`: by family, or
        an IPv4 address alone."""
        if isinstance(addresses, str):
            addresses = {4: addresses}
        made = self.lab.namespace(short)
        self.plug(made)
        made.ip("addr", "add", f"{addresses[4]}/{PREFIX_BITS[4]}", "dev", "eth0")
        made.ip("route", "add", VIP_RANGE[4], "via", GATEWAY_IP[4])
        if self.has6 and 6 in addresses:
            made.enable_ip6()
            made.ip("-6", "addr", "add", f"{addresses[6]}/{PREFIX_BITS[6]}", "dev", "eth0", "nodad")
            made.ip("-6", "route", "add", VIP_RANGE[6], "via", GATEWAY_IP[6])
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
        return self.client.run("curl", f"-{self.client_family}", "-sS", "--noproxy", "*", "--max-time", str(timeout), *words,
                               timeout=timeout + 5)

    def connect(self, service, timeout=5):
        return self.client.connect(self.service(service).vip, self.service(service).port, timeout)
