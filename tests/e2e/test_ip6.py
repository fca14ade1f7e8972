"""IPv6 beside IPv4: families mixed across the gateway, names in both, next hops, what a client sees of its own address.

That everything else works over IPv6 is shown by the other tests, which run.py runs in both families.
"""

import json
import re
import socket
import time

from lab_case import LabCase, Load, LoggedTask, OddTask, Service, authority, wait_until


class Mixed(LabCase):
    """Clients of one family, tasks of the other."""

    families = (6, 4)
    client_ip, task_prefix = "fd77::10", "10.77."

    def setUp(self):
        self.ringway_only()

    def test_requests_cross_the_families(self):
        told = json.loads(self.mesh.curl("http://odd-service:7000/echo").stdout)
        self.assertEqual(told["fields"]["x-forwarded-for"], self.client_ip)
        self.assertEqual(told["peer"], "10.77.0.1" if self.task_prefix == "10.77." else "fd77::1")

    def test_both_tasks_answer_and_nothing_is_lost(self):
        auth = self.mesh.service("auth-service")
        with Load(self.mesh.client, auth.vip, auth.port, auth.name, "/", 8) as load:
            self.assertTrue(wait_until(lambda: load.tally().good > 500, 20))
        tally = load.tally()
        self.assertEqual(tally.failures, [])
        self.assertEqual(set(tally.by_name), {"auth-1", "auth-2"})

    def test_a_megabyte_crosses_whole(self):
        done = self.mesh.curl("-o", "/dev/null", "-w", "%{http_code} %{size_download}", "http://odd-service:7000/bytes/1048576")
        self.assertEqual(done.stdout, "200 1048576")

    def test_health_checks_see_a_task_end_and_come_back(self):
        task = self.mesh.task("auth-1")
        self.assertTrue(self.gateway.endpoint_healthy(task))
        task.kill()
        self.assertTrue(wait_until(lambda: not self.gateway.endpoint_healthy(task), 10, 0.1))
        task.start()
        self.assertTrue(wait_until(lambda: self.gateway.endpoint_healthy(task), 10, 0.1))


class MixedOther(Mixed):
    families = (4, 6)
    client_ip, task_prefix = "10.77.0.10", "fd77:"


class Both(LabCase):
    """One gateway, both families at once."""

    families = (6, 6)

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 2, LoggedTask), Service("odd-service", 7000, 1, OddTask)]

    def setUp(self):
        self.ringway_only()

    def test_a_name_has_an_address_in_each_family(self):
        auth = self.mesh.service("auth-service")
        for record, family in (("A", 4), ("AAAA", 6)):
            for server in self.gateway.dns_ips.values():
                done = self.mesh.client.run("dig", "+short", "+tries=1", f"@{server}", auth.name, record)
                self.assertEqual(done.stdout.strip(), auth.vips[family])

    def test_clients_of_both_families_are_served(self):
        for family in (4, 6):
            auth = self.mesh.service("auth-service")
            url = f"http://{authority(auth.vips[family], auth.port)}/"
            self.assertRegex(self.mesh.curl(f"-{family}", url).stdout, r"^auth-")

    def test_host_literal_arrives_as_sent(self):
        odd = self.mesh.service("odd-service")
        told = json.loads(self.mesh.curl(f"http://{odd.authority}/echo").stdout)
        self.assertEqual(told["fields"]["host"], odd.authority)

    def test_ringwayctl_hosts_and_explain_know_both(self):
        auth = self.mesh.service("auth-service")
        lines = self.gateway.ctl("hosts").split("\n")
        for address in auth.vips.values():
            self.assertIn(f"{address}\t{auth.name}", lines)
        text = self.gateway.ctl("explain", "GET", f"http://{auth.authority}/", check=False)
        self.assertIn("auth-service", text)

    def test_link_local_address_of_the_gateway_answers(self):
        auth = self.mesh.service("auth-service")
        self.mesh.curl(f"http://{auth.authority}/")
        told = self.mesh.client.ip("-6", "-j", "neigh", "show", "fd77::1")
        mac = [int(byte, 16) for byte in json.loads(told)[0]["lladdr"].split(":")]
        tail = bytes([mac[0] ^ 2, *mac[1:3], 0xff, 0xfe, *mac[3:]])
        address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex("fe80" + "00" * 6) + tail)
        done = self.mesh.client.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", f"{address}%eth0")
        self.assertIn(" 0% packet loss", done.stdout, done.stdout + done.stderr)

    def test_somebody_who_takes_an_address_of_ours_is_told(self):
        """The client's own duplicate address detection finds the gateway's answer."""
        client = self.mesh.client
        for interface in ("all", "eth0"):
            client.run("sysctl", "-qw", f"net.ipv6.conf.{interface}.accept_dad=1", check=True)
        client.run("sysctl", "-qw", "net.ipv6.conf.eth0.dad_transmits=1", check=True)
        address = self.mesh.service("auth-service").vips[6]
        client.ip("-6", "addr", "add", f"{address}/128", "dev", "eth0")
        try:
            self.assertTrue(wait_until(lambda: "dadfailed" in client.ip("-6", "addr", "show", "dev", "eth0"), 5, 0.1))
        finally:
            client.ip("-6", "addr", "del", f"{address}/128", "dev", "eth0")


class Snooping(LabCase):
    """A switch that passes multicast only to ports that asked for it, and that asks what they want."""

    families = (6, 6)

    def setUp(self):
        self.ringway_only()

    def heard(self):
        return self.gateway.ask("/counters")["verdicts"]["mld_heard"]

    def ask(self, version):
        """The switch begins anew, asking in this version of MLD; returns when it has been answered."""
        switch, gateway_port = self.mesh.switch, self.mesh.gw.short
        switch.run("sysctl", "-qw", "net.ipv6.conf.br0.accept_dad=0", "net.ipv6.conf.br0.disable_ipv6=0", check=True)
        before = self.heard()
        for on in "0", "1":
            switch.ip("link", "set", "br0", "type", "bridge", "mcast_snooping", on, "mcast_querier", on, "mcast_mld_version", version,
                      "mcast_query_response_interval", "50", "mcast_startup_query_interval", "50", "mcast_startup_query_count", "4")
        self.assertTrue(wait_until(lambda: self.heard() > before, 15, 0.1), "the switch did not ask")

        def groups():
            shown = switch.run("bridge", "mdb", "show", "dev", "br0").stdout
            return set(re.findall(rf"port {gateway_port} grp (ff02::1:ff\S+)", shown))
        wanted = {"ff02::1:ff00:1"} | {f"ff02::1:ff00:{int(s.vips[6].rsplit(':', 1)[1], 16):x}" for s in self.mesh.services}
        self.assertTrue(wait_until(lambda: wanted <= groups(), 15, 0.1), (wanted, groups()))

    def test_switch_learns_our_groups_and_passes_questions_for_our_addresses(self):
        for version in "2", "1":
            self.ask(version)
            time.sleep(1.5)  # until the switch trusts what it has heard, and no longer floods
            self.mesh.client.ip("-6", "neigh", "flush", "dev", "eth0")
            self.assertRegex(self.mesh.curl("http://auth-service:4000/").stdout, r"^auth-")
