"""The same traffic over other ports, memories and core counts."""

import contextlib
import json
import time
import unittest

from lab_case import GATEWAY, LabCase, Load, wrk
from ringway_lab.backend import pattern_sha256


def setUpModule():
    if GATEWAY != "ringway":
        raise unittest.SkipTest("Ringway's own")


class Traffic:
    """What every port must carry."""

    share = "working"

    def test_names_and_services_answer(self):
        self.assertRegex(self.mesh.curl("http://auth-service:4000/validate").stdout, r"^auth-[12] ")

    def test_large_download_is_whole(self):
        size = 20_000_000
        done = self.mesh.client.run("sh", "-c", f"curl -sS http://odd-service:7000/bytes/{size} | sha256sum", timeout=60)
        self.assertEqual(done.stdout.split()[0], pattern_sha256(size), done.stderr)

    def test_large_upload_is_whole(self):
        done = self.mesh.client.run(
            "sh", "-c", "head -c 20000000 /dev/zero | curl -sS -T - -X POST http://odd-service:7000/echo", timeout=60)
        self.assertEqual(json.loads(done.stdout)["bytes"], 20_000_000, done.stderr)

    def test_load_loses_nothing(self):
        auth = self.mesh.service("auth-service")
        report = wrk(self.mesh.client, f"http://{auth.authority}/counted/", seconds=1, connections=32)
        self.assertEqual((report.socket_errors, report.bad_status), (0, 0), report)
        self.assertGreater(report.requests, 500)

    def test_new_connections_lose_nothing(self):
        auth = self.mesh.service("auth-service")
        with Load(self.mesh.client, auth.vip, auth.port, auth.name, "/", 8, per_connection=1) as load:
            time.sleep(1)
            tally = load.stop()
        self.assertEqual((tally.failures[:3], tally.good), ([], tally.sent))


class AfPacket(Traffic, LabCase):
    options = {"port": "af_packet"}


class Tap(Traffic, LabCase):
    options = {"port": "tap"}


class TwoCoresAfXdp(Traffic, LabCase):
    options = {"queues": 2}

    def test_both_cores_work(self):
        self.test_load_loses_nothing()
        shares = self.gateway.core_requests()
        self.assertEqual(len(shares), 2)
        self.assertTrue(all(shares), shares)


class TwoCoresAfPacket(Traffic, LabCase):
    """Each core with an address of its own towards the tasks."""

    options = {"port": "af_packet", "queues": 2, "port_options": {"coreAddresses": "10.77.0.101"}}
    ip4_only = "core addresses are IPv4"

    def test_tasks_see_the_addresses_of_both_cores(self):
        seen = {json.loads(self.mesh.curl("http://odd-service:7000/echo").stdout)["peer"] for _ in range(40)}
        self.assertEqual(seen, {"10.77.0.101", "10.77.0.102"})


class KernelTap(Traffic, LabCase):
    """The gateway's kernel has an address of its own on the gateway's network, by way of the gateway."""

    options = {"settings": {"kernelTap": "rwkernel0"}}

    def test_kernel_and_network_reach_one_another(self):
        gw = self.mesh.gw
        gw.ip("addr", "add", "10.77.0.99/16", "dev", "rwkernel0")
        before = self.gateway.ask("/counters")["verdicts"]["punted"]
        for space, address in ((self.mesh.client, "10.77.0.99"), (gw, "10.77.0.10")):
            done = space.run("ping", "-c", "3", "-i", "0.2", "-W", "2", address)
            self.assertIn(" 0% packet loss", done.stdout, done.stderr)
        self.assertGreaterEqual(self.gateway.ask("/counters")["verdicts"]["punted"] - before, 6)


class Spinning(Traffic, LabCase):
    options = {"settings": {"idle": "spin"}}


class Hugepages(Traffic, LabCase):
    """Reserves pages for its time and gives them back."""

    options = {"settings": {"memory": {"hugepages": True, "megabytes": 256}}}
    PAGES = "/proc/sys/vm/nr_hugepages"

    @classmethod
    def setUpClass(cls):
        with open(cls.PAGES) as f:
            cls.before = int(f.read())
        cls.addClassCleanup(cls.reserve, cls.before)
        cls.reserve(cls.before + 256)
        super().setUpClass()

    @classmethod
    def reserve(cls, pages):
        with contextlib.suppress(OSError), open(cls.PAGES, "w") as f:
            f.write(str(pages))


class AutomaticAddresses(LabCase):
    """Service addresses given by the gateway from its range, and found by name."""

    def test_address_stays_over_a_restart_and_a_neighbour_more(self):
        def without_vips(configuration):
            for service in configuration["services"]:
                del service["clientAliases"][0]["vip"]
        self.gateway.configure(without_vips)
        self.gateway.ctl("reload")
        first = self.gateway.ctl("hosts")
        self.assertIn("auth-service", first)
        self.assertRegex(self.mesh.curl("http://auth-service:4000/").stdout, r"^auth-")

        def one_more(configuration):
            without_vips(configuration)
            new = dict(configuration["services"][0], portName="aa", discoveryName="aa-service",
                       clientAliases=[{"dnsName": "aa-service", "port": 4100}])
            configuration["services"].insert(0, new)
        self.gateway.configure(one_more)
        self.gateway.ctl("reload")
        for line in first.splitlines():
            self.assertIn(line, self.gateway.ctl("hosts"))
