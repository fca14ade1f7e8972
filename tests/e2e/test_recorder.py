"""The flight recorder at full, while clients and tasks of the real world are served: nothing fails for it, and what it tells
is what happened. Regret 26: switching tracing on crashed the box."""

import json
import signal
import tempfile
import time

from lab_case import LabCase, Load, RawClient, wait_until

REQUESTS = ["request", "routed", "picked", "response", "request_end"]


class Recorder(LabCase):
    options = {"queues": 2}
    starts = False  # only when it is known where the events go

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.file = cls.enterClassContext(tempfile.TemporaryDirectory(dir="/dev/shm")) + "/events"
        cls.gateway.settings = {"recorder": {"events": 32768, "groups": ["all"], "file": cls.file}}
        cls.mesh.start()

    def tearDown(self):
        self.assertTrue(self.gateway.process.running(), "the gateway is gone:\n" + self.gateway.process.log(20))
        self.gateway.ctl("record", "on")

    def load(self, connections=8, **more):
        at = self.mesh.service("auth-service")
        return Load(self.mesh.client, at.vip, at.port, at.name, "/", connections, **more)

    def trace(self, *words):
        return json.loads(self.gateway.ctl("trace", "--json", "--last", "1000000", *words))

    def assertNothingLost(self, tally):
        self.assertEqual(tally.failures[:3], [])
        self.assertEqual(tally.good, tally.sent)

    def accepted_from(self, port):
        """(core, number) of the connection that came from `port` last."""
        seen = [(e["core"], e["conn"]) for e in self.trace()["events"]
                if e["event"] in ("accepted", "accepted6") and e["half"] == port]
        self.assertTrue(seen, f"nobody came from port {port}")
        return seen[-1]

    def test_regret_26_traffic_with_everything_recorded_loses_nothing(self):
        rings, kinds = 0, set()  # what is rare does not stay in a ring for long
        with self.load(16) as keep_alive, self.load(8, per_connection=1) as fresh:
            end = time.monotonic() + 4
            while time.monotonic() < end:
                events = self.trace()["events"]
                rings += len(events) > 1000
                kinds |= {e["event"] for e in events}
            self.assertNothingLost(keep_alive.stop())
            self.assertNothingLost(fresh.stop())
        self.assertGreater(rings, 0, "the rings were read while they were written")
        events = self.trace()["events"]
        self.assertEqual({e["core"] for e in events}, {0, 1, 2}, "both cores and control")
        self.assertEqual(events, sorted(events, key=lambda e: e["unix_ns"]))
        accepted = "accepted6" if self.families[0] == 6 else "accepted"
        self.assertLessEqual({"segment_in", "segment_out", accepted, "state", "closed", "mail_in", "mail_out", *REQUESTS}, kinds)

    def test_regret_26_switched_on_and_off_under_load_loses_nothing(self):
        with self.load(16, per_connection=5) as load:
            for i in range(40):
                self.gateway.ctl("record", *(("on", "--mask", "all" if i % 4 == 0 else "requests,timers") if i % 2 == 0 else ("off",)))
            self.gateway.ctl("record", "off")
            before = [(e["core"], e["number"]) for e in self.trace()["events"]]
            time.sleep(0.5)
            self.assertEqual([(e["core"], e["number"]) for e in self.trace()["events"]], before, "off is off")
            self.assertNothingLost(load.stop())

    def test_trace_tells_the_story_of_one_request(self):
        with self.load(4, pause=0.01):  # beside others, but not so many that they push it out
            client = self.client("auth-service")
            status, fields, _ = client.get("auth-service", "/story")
            self.assertEqual(status, 200)
            port = client.sock.getsockname()[1]
            client.sock.close()
            time.sleep(0.2)
        core, conn = self.accepted_from(port)
        trace = self.trace("--conn", str(conn), "--core", str(core))
        events = trace["events"]
        mine = [e for e in events if e["conn"] == conn]
        order = [e["event"] for e in mine if e["event"] in REQUESTS]
        self.assertEqual(order, REQUESTS)
        at = {e["event"]: e for e in mine}
        self.assertEqual(len({at[kind]["exchange"] for kind in REQUESTS[1:]}), 1)
        self.assertEqual(trace["services"][str(at["routed"]["x"])], "auth-service")
        self.assertIn(fields["x-backend"], {t.name for t in self.mesh.service("auth-service").members
                                            if trace["endpoints"][str(at["picked"]["x"])].startswith("auth-service/")
                                            and t.ip in trace["endpoints"][str(at["picked"]["x"])]})
        self.assertEqual((at["response"]["half"], at["request_end"]["half"]), (200, 200))
        head = next(e for e in mine if e["event"] == "segment_in" and e["half"] > 0)
        self.assertEqual(head["half"], at["request"]["x"], "the head came in one segment")
        to_endpoint = [e for e in events if e["conn"] == at["picked"]["y"]]
        self.assertTrue(any(e["event"] == "segment_out" and e["half"] > 0 for e in to_endpoint), "sent to the endpoint")
        self.assertTrue(any(e["event"] == "segment_in" and e["half"] > 0 for e in to_endpoint), "and answered by it")
        self.assertEqual([e["event"] for e in mine if e["event"] in ("accepted", "accepted6", "closed")][-1], "closed")

        text = self.gateway.ctl("trace", "--conn", str(conn), "--core", str(core), "--last", "1000")
        for line in (rf"accepted6? +from .* port {port}", r"routed +to service auth-service",
                     r"picked +endpoint auth-service/\S+, try 1, on (new|pooled) connection \d+",
                     r"response +status 200 from endpoint auth-service/", r"request_end +status 200 after \d+ us",
                     r"state +ESTABLISHED to CLOSE-WAIT"):
            self.assertRegex(text, line)

    def test_refusals_and_lost_endpoints_are_told(self):
        self.exchange(b"nonsense\r\n\r\n", "auth-service")
        dead = self.mesh.task("auth-1")
        dead.kill()
        self.assertTrue(wait_until(lambda: not self.gateway.endpoint_healthy(dead), 10))
        dead.start()
        self.assertTrue(wait_until(lambda: self.gateway.endpoint_healthy(dead), 10))
        text = self.gateway.ctl("trace", "--last", "1000000")
        self.assertRegex(text, r"answered +status 400 by the gateway itself")
        self.assertRegex(text, rf"control .* health +endpoint auth-service/\S*{dead.ip}\S*: failing")
        self.assertRegex(text, rf"control .* health +endpoint auth-service/\S*{dead.ip}\S*: healthy")

    def test_what_a_crash_leaves_is_read_from_the_file(self):
        self.addCleanup(lambda: self.gateway.process.running() or self.gateway.start())
        client = RawClient(self.mesh.connect("auth-service"))
        self.assertEqual(client.get("auth-service", "/last-words")[0], 200)
        core, conn = self.accepted_from(client.sock.getsockname()[1])
        before = self.trace("--conn", str(conn), "--core", str(core))["events"]
        self.gateway.process.signal(signal.SIGSEGV)
        self.assertTrue(wait_until(lambda: not self.gateway.process.running(), 10))
        client.sock.close()

        def left(name, *words):
            return self.mesh.gw.run(self.gateway.program("ringwayctl"), "trace", "--file", name, *words, check=True).stdout

        after = json.loads(left(self.file, "--json", "--conn", str(conn), "--core", str(core), "--last", "1000000"))["events"]
        ours = [(e["event"], e["x"]) for e in before if e["event"] in REQUESTS]
        self.assertEqual([(e["event"], e["x"]) for e in after if e["event"] in REQUESTS], ours)
        self.assertAlmostEqual(after[0]["unix_ns"] / 1e9, before[0]["unix_ns"] / 1e9, delta=0.01)
        self.assertLess(time.time() - after[-1]["unix_ns"] / 1e9, 60)
        self.assertRegex(left(self.file, "--last", "1000000"), r"request_end +status 200 after \d+ us")

        self.gateway.start()
        self.assertRegex(left(self.file + ".old", "--last", "1000000"), r"request_end +status 200 after \d+ us")
        self.assertIn("plan_adopted", left(self.file, "--last", "1000000"))
