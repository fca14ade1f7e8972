"""Outlier detection on a real gateway: who answers 503 is left out at once, and comes back."""

import copy
import json
import os
import statistics
import time

from lab_case import LabCase, Load, NginxTask, Service, wait_until, wrk


class SickTask(NginxTask):
    """Answers 503 to all but /health while `sicken`ed."""

    def command(self):
        words = super().command()
        path = words[words.index("-c") + 1]
        with open(path) as f:
            conf = f.read()
        mark = os.path.join(self.dir, "sick")
        with open(path, "w") as f:
            f.write(conf.replace("location / {", f"location / {{ if (-f {mark}) {{ return 503; }}"))
        return words

    def sicken(self, sick=True):
        mark = os.path.join(self.dir, "sick")
        if sick:
            open(mark, "w").close()
        elif os.path.exists(mark):
            os.unlink(mark)


# The tasks' ports stay open: a TCP check finds nothing wrong, and brings nobody back.
OPTIONS = {"healthCheck": {"protocol": "tcp", "path": None},
           "balancing": {"policy": "roundRobin", "hash": None},
           "outlierDetection": {"baseEjectionSeconds": 0.5, "maxEjectionSeconds": 0.5}}


class Outlier(LabCase):
    share = "alone"
    ip4_only = "an endpoint is its slot, whatever its address"
    # Room for all that the recorder sees within a test.
    options = {"settings": {"recorder": {"events": 1048576}}}

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 3, SickTask, copy.deepcopy(OPTIONS))]

    def setUp(self):
        self.ringway_only()
        self.sick = self.mesh.task("auth-2")

    def tearDown(self):
        self.sick.sicken(False)
        super().tearDown()
        self.gateway.configure()
        self.gateway.ctl("reload")
        self.assertTrue(wait_until(lambda: self.row()["health"] == "healthy", 5))

    def row(self):
        return next(e for e in self.gateway.ask("/endpoints") if e["address"] == self.sick.ip)

    def load(self):
        at = self.mesh.service("auth-service")
        return Load(self.mesh.client, at.vip, at.port, at.name, "/", 8)

    def test_503s_are_ejected_and_the_last_pick_follows_within_10_ms(self):
        """From the mail about the deciding failure to the last pick before the return, by the gateway's own recorder."""
        self.gateway.ctl("record", "on", "--mask", "requests,planes")
        self.sick.sicken()
        report = wrk(self.mesh.client, f"http://{self.mesh.service('auth-service').authority}/", 4, 64)
        self.gateway.ctl("record", "off")
        row = self.row()
        self.assertEqual(row["ejection_cause"], "consecutive5xx")
        told = json.loads(self.gateway.ctl("trace", "--json", "--last", "1000000"))
        delays = reactions(told["events"], row["slot"])
        print(f"    {report.rate:.0f} requests a second; from the fifth failure to the last pick: "
              f"{', '.join(f'{d * 1000:.1f}' for d in delays)} ms")
        self.assertGreaterEqual(len(delays), 3)
        self.assertLess(statistics.median(delays), 0.010)

    def test_ejection_is_shown_with_its_end_and_ends(self):
        self.gateway.configure(lambda c: c["services"][0]["outlierDetection"].update(baseEjectionSeconds=3, maxEjectionSeconds=300))
        self.gateway.ctl("reload")
        with self.load() as load:
            self.sick.sicken()
            self.assertTrue(wait_until(lambda: self.row()["health"] == "ejected", 5, 0.05))
            self.sick.sicken(False)
            row = self.row()
            self.assertRegex(row["ejected_until"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertIn("ejected", self.gateway.ctl("endpoints"))
            time.sleep(1)
            before = load.tally()
            requests = self.row()["requests"]
            time.sleep(0.5)
            self.assertEqual(self.row()["requests"], requests, "it is ejected and gets requests")
            self.assertGreater(load.tally().good, before.good)
            self.assertTrue(wait_until(lambda: self.row()["health"] == "healthy", 5, 0.1))
            self.assertTrue(wait_until(lambda: self.row()["requests"] > requests, 2, 0.1))
        self.assertRegex(self.gateway.process.log(50), r"is ejected for \d+ s: consecutive5xx")

    def test_switching_off_returns_the_ejected(self):
        self.gateway.configure(lambda c: c["services"][0]["outlierDetection"].update(baseEjectionSeconds=300))
        self.gateway.ctl("reload")
        with self.load():
            self.sick.sicken()
            self.assertTrue(wait_until(lambda: self.row()["health"] == "ejected", 5, 0.05))
            self.gateway.configure(lambda c: c["services"][0].update(outlierDetection={"enabled": False}))
            self.gateway.ctl("reload")
            self.assertEqual(self.row()["health"], "healthy")
            times = self.row()["ejections"]
            time.sleep(1)
            self.assertEqual((self.row()["health"], self.row()["ejections"]), ("healthy", times))
        self.assertIn("outlierDetection.enabled", self.gateway.ctl("service", "auth-service"))


class TwoCores(LabCase):
    """Each core sees only some of the failures in a row, and of the successes between."""

    options = {"queues": 2}

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 1, SickTask, {**OPTIONS, "outlierDetection": {
            "consecutive5xx": 8, "baseEjectionSeconds": 300, "enforcingSuccessRate": 0}})]

    def row(self):
        return self.gateway.ask("/endpoints")[0]

    def ask(self, count, status):
        """`count` requests on connections of their own, which may not be repeated; how many of them each core read."""
        before = self.gateway.core_requests()
        for _ in range(count):
            client = self.client("auth-service")
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(client.answer()[0], status)
        return [now - then for now, then in zip(self.gateway.core_requests(), before)]

    def test_failures_in_a_row_are_counted_over_all_cores(self):
        self.ringway_only()
        sick = self.mesh.task("auth-1")
        self.addCleanup(sick.sicken, False)
        sick.sicken()
        seen = self.ask(7, 503)
        time.sleep(0.1)
        self.assertEqual(self.row()["ejections"], 0)
        sick.sicken(False)
        # One success, whichever core sees it, and the count begins anew.
        self.ask(1, 200)
        time.sleep(0.1)
        sick.sicken()
        seen = [a + b for a, b in zip(seen, self.ask(7, 503))]
        time.sleep(0.1)
        self.assertEqual(self.row()["ejections"], 0)
        self.ask(1, 503)
        self.assertTrue(wait_until(lambda: self.row()["ejections"] == 1, 2))
        self.assertEqual(self.row()["health"], "ejected")
        self.assertTrue(all(n > 0 for n in seen), f"one core saw nothing: {seen}")


def reactions(events, slot):
    """Seconds from each mail that a fifth failure in a row is told by, to the last pick of the endpoint after it."""
    event_mail = 9  # contract::MailKind::endpoint_event
    out, run, decided, last = [], 0, None, None
    for e in events:
        if e["event"] == "mail_out" and e["code"] == event_mail and e["x"] == slot and decided is None:
            run = run + 1 if e["half"] != 0 else 0
            if run == 5:
                decided = last = e["unix_ns"]
        elif e["event"] == "picked" and e["x"] == slot and decided is not None:
            last = e["unix_ns"]
        elif e["event"] == "health" and e["x"] == slot and e["code"] == 0 and decided is not None:
            out.append((last - decided) / 1e9)
            run, decided = 0, None
    return out
