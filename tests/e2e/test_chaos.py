"""No request is lost while everything goes wrong with the tasks at once (ringway_lab/chaos.py): here for two minutes, or as
long as RINGWAY_CHAOS_SECONDS says. tools/chaos runs the same against HAProxy and nginx."""

import os
import sys
import unittest

from lab_case import GATEWAY
from ringway_lab.chaos import Chaos
from ringway_lab.net import Lab

SECONDS = int(os.environ.get("RINGWAY_CHAOS_SECONDS", "120"))


class EverythingAtOnce(unittest.TestCase):
    share = "working"
    ip4_only = "what goes wrong here is of the tasks"

    def setUp(self):
        if GATEWAY != "ringway":
            self.skipTest("Ringway's own")
        self.chaos = Chaos(self.enterContext(Lab()), "ringway").start()

    def test_no_repeatable_request_is_lost(self):
        told = self.chaos.run(SECONDS)
        print(f"    {self.chaos.kills} kills, {self.chaos.reloads} reloads; "
              + "; ".join(f"{name} {t.failed} of {t.requests} {dict(t.failures)}" for name, t in told.items()), file=sys.stderr)
        services = {s["service"]: s for s in self.chaos.mesh.gateway.ask("/services")}
        for name, t in told.items():
            with self.subTest(name):
                self.assertEqual(dict(t.failures), {})
                self.assertGreater(t.requests, 20 * SECONDS)
        self.assertGreater(self.chaos.kills, SECONDS / 4)
        self.assertGreater(self.chaos.reloads, SECONDS / 4)
        self.assertGreater(services["web-service"]["retries"], 10, "nothing went wrong")
        self.assertGreater(services["call-service"]["retries"], 0)
        self.assertTrue(self.chaos.mesh.gateway.process.running())
