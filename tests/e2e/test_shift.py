"""A new version comes in by steps: test traffic by its header, a canary with its share, all of it; and back by itself when it
fails."""

import json
import time

from lab_case import LabCase, Load, OddTask, Service, wait_until
from ringway_lab.task import NginxTask

MARK = "x-amzn-ecs-blue-green-test"
SECOND = 1 / 60  # of a minute


class Shift(LabCase):
    @staticmethod
    def services():
        canary = {"green": "green-service", "strategy": "CANARY", "bakeTimeInMinutes": 2 * SECOND,
                  "canaryConfiguration": {"canaryPercent": 20, "canaryBakeTimeInMinutes": 4 * SECOND}}
        broken = {"green": "odd-service", "strategy": "LINEAR", "rollback": {"errorPercent": 10, "minimumRequests": 10},
                  "linearConfiguration": {"stepPercent": 50, "stepBakeTimeInMinutes": 1}}
        return [Service("blue-service", 4000, 1, NginxTask, {"deployment": canary}),
                Service("green-service", 4001, 1, NginxTask),
                Service("old-service", 4100, 1, NginxTask, {"deployment": broken}),
                Service("odd-service", 7000, 1, OddTask, {"retry": {"retries": 0}})]

    def setUp(self):
        self.ringway_only()

    def names(self, requests, service="blue-service", fields=""):
        """Who answered."""
        client = self.client(service)
        out = []
        for _ in range(requests):
            client.send(f"GET /who HTTP/1.1\r\nHost: {service}\r\n{fields}\r\n")
            _, _, body = client.answer()
            out.append(body.split()[0].decode())
        return out

    def deployment(self, service="blue-service"):
        return next(d for d in json.loads(self.gateway.ctl("shift", "--json")) if d["service"] == service)

    def test_canary_gets_its_share_and_then_everything(self):
        self.assertEqual(set(self.names(50)), {"blue-1"})
        self.assertEqual(set(self.names(20, fields=f"{MARK}: 1\r\n")), {"green-1"})
        at = self.mesh.service("blue-service")
        with Load(self.mesh.client, at.vip, at.port, at.name, "/", 4, pause=0.01) as load:
            self.gateway.ctl("shift", "blue-service", "start")
            seen = self.names(600)
            self.assertEqual(self.deployment()["stage"], "PRODUCTION_TRAFFIC_SHIFT")
            # 600 draws of one in five: 120 and five standard deviations of 9.8 either way.
            self.assertTrue(70 < seen.count("green-1") < 170, seen.count("green-1"))
            self.assertTrue(wait_until(lambda: self.deployment()["stage"] == "DONE", 12, 0.1), self.deployment())
            tally = load.stop()
        self.assertEqual(tally.failures[:3], [])
        self.assertEqual(set(self.names(50)), {"green-1"})
        self.gateway.ctl("shift", "blue-service", "rollback")
        self.assertEqual(set(self.names(50)), {"blue-1"})
        self.assertIn("by command", self.gateway.ctl("shift"))

    def test_a_version_that_fails_is_taken_back(self):
        self.gateway.ctl("shift", "old-service", "start")
        client = self.client("old-service")
        statuses = []
        for _ in range(200):
            client.send("GET /status/500 HTTP/1.1\r\nHost: old-service\r\n\r\n")
            statuses.append(client.answer()[0])
            time.sleep(0.002)
        self.assertEqual(self.deployment("old-service")["stage"], "ROLLED_BACK")
        self.assertIn("requests failed", self.deployment("old-service")["reason"])
        self.assertIn(500, statuses)
        self.assertEqual(set(statuses[100:]), {200})  # the old version does not know that path as an error
        self.assertEqual(set(self.names(20, "old-service", f"{MARK}: 1\r\n")), {"old-1"})

    def test_an_alarm_from_outside_takes_it_back(self):
        self.gateway.ctl("shift", "old-service", "start")
        self.assertEqual(self.deployment("old-service")["stage"], "PRODUCTION_TRAFFIC_SHIFT")
        self.gateway.ctl("shift", "old-service", "alarm", "--reason", "CloudWatch: auth-5xx")
        back = self.deployment("old-service")
        self.assertEqual((back["stage"], back["share_percent"], back["reason"]), ("ROLLED_BACK", 0, "CloudWatch: auth-5xx"))
        self.assertEqual(set(self.names(50, "old-service")), {"old-1"})

    def test_a_command_that_makes_no_sense_is_refused(self):
        done = self.mesh.gw.run(self.gateway.program("ringwayctl"), "--socket", self.gateway.path("admin.sock"), "shift",
                                "green-service", "start")
        self.assertEqual(done.returncode, 1)
        self.assertIn("service green-service has no deployment", done.stderr)
