"""Service goes on under attack: honest clients ask a thousand times a second while another host forges packets.

For each attack: every honest request is answered with 200, and they are answered as fast as they are asked; packet memory
stays inside its budget, and the attack shows in counters of its own. A moment without the attack goes before each: a machine
that cannot ask a thousand times a second then, or has far more to do than this, is too busy to say how fast, and only has to
go on. The forger (attack.cc) speaks for strangers, who are reached by way of its namespace, or for the honest
client itself. All attacks meet one gateway, one after the other, so that what one leaves behind is felt by the next.
"""

import json
import os
import re
import sys
import time

from lab_case import LabCase, Load, OddTask, Service, authority, wait_until
from ringway_lab.gateway import built
from ringway_lab.plan import WORKER_IP
from ringway_lab.task import NginxTask

ATTACKER = {4: "10.77.0.66", 6: "fd77::66"}
HALF_OPEN = 100_000
MBUFS = 16_383           # gateway.pools.packets, of one core
BUDGET = MBUFS * 9 // 10  # lowPercent: below a tenth of them free, nobody new is let in
SECONDS = 1.5            # of each attack, when not said
OFFERED = 1000           # honest requests per second: two thirds on kept connections, the others on one of their own


class UnderAttack(LabCase):
    share = "alone"
    options = {"settings": {
        "ports": [{"device": "net_af_xdp0,iface=eth0,start_queue=0", "address": "10.77.0.1/16", "nextHop": ATTACKER[4]}],
        "pools": {"packets": MBUFS},
        "tcp": {"halfOpen": {"records": 131_072, "perListener": 131_072, "cookiesAbove": HALF_OPEN + 10_000}},
    }}

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 2, NginxTask),
                Service("odd-service", 7000, 1, OddTask, {"timeout": {"perRequestTimeoutSeconds": 15}})]

    def setUp(self):
        self.ringway_only()

    @classmethod
    def setUpClass(cls):
        cls.family = cls.families[0]
        if cls.family == 6:
            settings = cls.options["settings"]
            ports = [settings["ports"][0] | {"address6": "fd77::1/64", "nextHop6": ATTACKER[6]}]
            cls.options = {"settings": settings | {"ports": ports}}
        super().setUpClass()
        cls.attacker = cls.mesh.host("attacker", ATTACKER)
        cls.auth = cls.mesh.service("auth-service")
        # Strangers' packets pass by the attacker's own stack without an answer.
        cls.attacker.run("sysctl", "-qw", "net.ipv4.ip_forward=0", check=True)
        cls.mac = cls.gateway.ask("/status")["ports"][0]["mac"]

    def numbers(self):
        told = self.gateway.ask("/counters")
        return told["counters"] | told["verdicts"]

    def honest_ports(self):
        """Local ports of the honest client's open connections to the service."""
        to = authority(self.auth.vip, self.auth.port)
        shown = self.mesh.client.run("ss", "-Htn", "state", "established", "dst", to).stdout
        return re.findall(r":(\d+)\s+" + re.escape(to), shown)

    def under(self, kind, *more, grows, longer=0, service="auth-service", meanwhile=None):
        """Attack for so long; returns what the forger says. `grows`: counters and verdicts that show it, "this|or that"."""
        seconds = SECONDS + longer
        target = self.mesh.service(service)
        before = self.numbers()
        to = (self.mesh.client, self.auth.vip, self.auth.port, self.auth.name)
        keep = Load(*to, connections=16, rate=OFFERED * 2 / 3)
        fresh = Load(*to, connections=16, rate=OFFERED / 3, per_connection=1)
        most = 0

        def answered():
            return keep.tally().good + fresh.tally().good

        def rate_of(wait):
            """Answers per second while `wait()` lasts."""
            began, first = time.monotonic(), answered()
            wait()
            return (answered() - first) / (time.monotonic() - began)

        def attack():
            nonlocal most
            while forger.running():
                most = max(most, sum(core["mbufs_in_use"] for core in self.gateway.ask("/status")["cores"]))
                if meanwhile:
                    meanwhile()
                time.sleep(0.1)
        with keep, fresh:
            time.sleep(0.2)
            quiet = rate_of(lambda: time.sleep(0.8))
            forger = self.attacker.start(
                built("tests/e2e/attack"), kind, "--to", target.vip, "--port", target.port, "--mac", self.mac, "--seconds",
                seconds, "--victim", WORKER_IP[self.family], "--victim-ports", ",".join(self.honest_ports()), *more, title=kind)
            rate = rate_of(attack)
            tally = keep.stop()
            tally.merge(fresh.stop())
        told = json.loads(forger.log(1))
        after = self.numbers()
        moved = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        self.report(kind, tally, rate, quiet, told["sent"] / seconds, most)
        self.assertEqual(tally.failures, [])
        self.assertEqual(tally.good, tally.sent)
        if quiet > 0.98 * OFFERED and os.getloadavg()[0] < 2.5 * os.cpu_count():
            self.assertGreater(rate, 0.95 * OFFERED, f"{quiet:.0f} without the attack")
        self.assertGreater(rate, quiet / 8, "too few honest requests to say anything")
        self.assertLess(most, BUDGET)
        for names in grows:
            self.assertGreater(sum(moved.get(name, 0) for name in names.split("|")), 0, moved)
        return told, moved

    def report(self, kind, tally, rate, quiet, forged, most):
        print(f"    {kind} over IPv{self.family}: {rate:.0f} honest requests/s ({quiet:.0f} without), {len(tally.failures)} of "
              f"{tally.sent} failed, {forged:.0f} forged packets/s, at most {most} mbufs", file=sys.stderr)

    def test_syn_flood(self):
        self.under("syn", grows=["tcp_cookies_sent"], longer=1)

    def test_hundred_thousand_half_open_clients(self):
        """Each has a record, none needs a cookie. The attacks after this one meet them still there."""
        _, moved = self.under("syn", "--count", HALF_OPEN, "--rate", 60_000, grows=["tcp_segments_out"], longer=0.5 if self.family == 4 else 2)
        self.assertGreater(moved["tcp_segments_out"], HALF_OPEN)
        self.assertEqual(moved.get("tcp_cookies_sent", 0), 0)

    def test_ack_flood(self):
        self.under("ack", grows=["tcp_no_listener"])

    def test_syn_ack_flood(self):
        # Those whose tuple is that of a half-open record are not of no connection.
        self.under("syn-ack", grows=["tcp_no_listener|tcp_unacceptable"], longer=-1)

    def test_rst_storm_on_the_honest_connections(self):
        self.under("rst", grows=["tcp_unacceptable"])

    def test_blind_syns_in_the_honest_connections(self):
        self.under("blind-syn", grows=["tcp_unacceptable"])

    def test_blind_data_in_the_honest_connections(self):
        self.under("blind-data", grows=["tcp_old_timestamp"])

    def test_malformed_options(self):
        self.under("options", grows=["tcp_bad_option"])

    def test_contradictory_flags(self):
        self.under("flags", grows=["tcp_bad_flags"], longer=-1)

    def test_icmp_lies_about_the_honest_connections(self):
        self.under("icmp", grows=["icmp_ignored", "icmp_unreachable"])

    def test_tiny_mss_gets_segments_of_536(self):
        told, _ = self.under("tiny-mss", "--count", 50, "--rate", 1000, "--target", "/bytes/20000", grows=["tcp_accepted"],
                             service="odd-service")
        self.assertEqual((told["connected"], told["largest"]), (50, 536))
        self.assertGreater(told["heard_bytes"], 50 * 20_000)

    def test_window_of_one_byte(self):
        self.under("drip", "--count", 200, "--rate", 1000, grows=["tcp_zero_window_probes"], service="odd-service")

    def test_readers_that_keep_their_window_closed(self):
        self.under("closed", "--count", 400, "--rate", 1000, grows=["tcp_zero_window_probes"], service="odd-service",
                   longer=2)

    def test_slow_readers(self):
        readers = []
        try:
            def more():
                for _ in range(4):
                    client = self.client("odd-service")
                    client.send("GET /bytes/4000000 HTTP/1.1\r\nHost: odd\r\n\r\n")
                    readers.append(client)
            self.under("syn", "--rate", 100, grows=["tcp_accepted"], meanwhile=more)
        finally:
            for client in readers:
                client.sock.close()

    def test_zz_memory_comes_back(self):
        def quiet():
            return sum(core["mbufs_in_use"] for core in self.gateway.ask("/status")["cores"])
        resting = 2200  # receive rings of the port
        self.assertTrue(wait_until(lambda: quiet() < resting, 20, 0.2), f"{quiet()} mbufs in use")
