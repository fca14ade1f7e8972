"""Balancing through the real gateway: cookies that it makes, and priorities that fail over."""

import json
import re
import time

from lab_case import LabCase, LoggedTask, OddTask, Service, wait_until
from ringway_lab.task import NginxH2Task

COOKIE = {"balancing": {"hash": {"on": "cookie", "name": "sid", "ttlSeconds": 60}}}


class CookieAffinity(LabCase):
    @staticmethod
    def services():
        return [Service("shop-service", 4000, 3, LoggedTask, COOKIE),
                Service("h2shop-service", 5000, 3, NginxH2Task, dict(COOKIE, appProtocol="http2"))]

    def setUp(self):
        self.ringway_only()

    def ask(self, service, *words):
        """(who answered, the Set-Cookie fields, the protocol) as curl sees it."""
        at = self.mesh.service(service)
        done = self.mesh.curl("-i", *words, f"http://{at.authority}/")
        head, _, body = done.stdout.partition("\r\n\r\n" if "\r\n\r\n" in done.stdout else "\n\n")
        self.assertRegex(head, r"^HTTP/\S+ 200", done.stderr)
        cookies = re.findall(r"(?im)^set-cookie: (.*?)\r?$", head)
        return body.split(" ")[0], cookies, head.split(" ")[0]

    def affinity(self, service, *words):
        served = {}
        while len(served) < 3:  # new cookies fall to each of the three tasks sooner or later
            self.assertLess(sum(served.values()), 40, served)
            who, cookies, protocol = self.ask(service, *words)
            self.assertEqual(len(cookies), 1, cookies)
            self.assertRegex(cookies[0], r"^sid=[0-9a-f]{16}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax$")
            served[who] = served.get(who, 0) + 1
            pair = cookies[0].split(";")[0]
            for _ in range(3):
                again, more, _ = self.ask(service, *words, "-H", f"Cookie: theme=dark; {pair}")
                self.assertEqual((again, more), (who, []))
        return protocol

    def test_http1_client(self):
        self.assertEqual(self.affinity("shop-service"), "HTTP/1.1")

    def test_http2_client(self):
        self.assertEqual(self.affinity("shop-service", "--http2-prior-knowledge"), "HTTP/2")

    def test_http2_endpoints(self):
        self.assertEqual(self.affinity("h2shop-service"), "HTTP/1.1")
        self.assertEqual(self.affinity("h2shop-service", "--http2-prior-knowledge"), "HTTP/2")

    def test_curls_own_cookie_jar_keeps_the_endpoint(self):
        jar = self.gateway.path("cookies.txt")
        who = {self.ask("shop-service", "-b", jar, "-c", jar)[0] for _ in range(6)}
        self.assertEqual(len(who), 1)

    def test_task_dies_its_clients_are_served_elsewhere_and_return(self):
        who, cookies, _ = self.ask("shop-service")
        pair = cookies[0].split(";")[0]
        task = self.mesh.task(who)
        task.kill()
        self.assertTrue(wait_until(lambda: not self.gateway.endpoint_healthy(task), 5))
        others = {self.ask("shop-service", "-H", f"Cookie: {pair}")[0] for _ in range(5)}
        self.assertEqual(len(others), 1)
        self.assertNotIn(who, others)
        task.start()
        self.assertTrue(wait_until(lambda: self.gateway.endpoint_healthy(task), 10))
        self.assertEqual(self.ask("shop-service", "-H", f"Cookie: {pair}")[0], who)

    def test_reload_keeps_the_endpoint(self):
        who, cookies, _ = self.ask("shop-service")
        first = self.gateway.generation()
        self.gateway.configure(lambda c: c["services"][0].update(drainSeconds=7))
        self.gateway.ctl("reload")
        self.assertTrue(wait_until(lambda: self.gateway.generation() > first, 5))
        self.assertEqual(self.ask("shop-service", "-H", "Cookie: " + cookies[0].split(";")[0])[0], who)


class Priorities(LabCase):
    @staticmethod
    def services():
        return [Service("shop-service", 4000, 4, LoggedTask, {"balancing": {"policy": "leastRequest", "hash": None}}),
                Service("odd-service", 7000, 1, OddTask)]

    def setUp(self):
        self.ringway_only()
        self.configure(lambda endpoints: [e.update(priority=i // 2) for i, e in enumerate(endpoints)])

    def configure(self, change, **balancing):
        first = self.gateway.generation()

        def write(configuration):
            shop = configuration["services"][0]
            change(shop["endpoints"])
            shop["balancing"].update(balancing)
        self.gateway.configure(write)
        self.gateway.ctl("reload")
        self.assertTrue(wait_until(lambda: self.gateway.generation() > first, 5))
        for task in self.mesh.service("shop-service").members:
            self.assertTrue(wait_until(lambda task=task: self.gateway.endpoint_healthy(task), 10), task.name)

    def served(self, n=200, fields=()):
        client = self.client("shop-service")
        count = {}
        for _ in range(n):
            lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
            client.send(f"GET / HTTP/1.1\r\nHost: shop\r\n{lines}\r\n")
            status, _, body = client.answer()
            who = body.decode().split(" ")[0] if status == 200 else str(status)
            count[who] = count.get(who, 0) + 1
        return count

    def test_second_level_serves_only_when_the_first_is_gone(self):
        best = [self.mesh.task("shop-1"), self.mesh.task("shop-2")]
        self.assertEqual(set(self.served()), {"shop-1", "shop-2"})
        for task in best:
            task.kill()
        # From the first death on nothing is lost: who cannot be reached is tried elsewhere.
        self.assertNotIn("503", self.served(20))
        for task in best:
            self.assertTrue(wait_until(lambda task=task: not self.gateway.endpoint_healthy(task), 5))
        self.assertEqual(set(self.served()), {"shop-3", "shop-4"})
        for task in best:
            task.start()
            self.assertTrue(wait_until(lambda task=task: self.gateway.endpoint_healthy(task), 10))
        self.served(100)  # until the gateway has counted again
        self.assertEqual(set(self.served()), {"shop-1", "shop-2"})

    def test_half_of_the_first_level_keeps_seventy_percent(self):
        task = self.mesh.task("shop-1")
        task.kill()
        self.assertTrue(wait_until(lambda: not self.gateway.endpoint_healthy(task), 5))
        self.served(100)
        count = self.served(2000)
        task.start()
        self.assertEqual(set(count), {"shop-2", "shop-3", "shop-4"})
        self.assertAlmostEqual(count["shop-2"], 1400, delta=100)  # five standard deviations of 20
        told = self.explain()
        self.assertIn("priority", " ".join(told["choices"]))

    def explain(self):
        return json.loads(self.gateway.ctl("--json", "explain", "GET", "http://shop-service:4000/"))

    def test_subset_follows_the_header(self):
        self.configure(lambda endpoints: [e.update(labels={"version": f"v{1 + i % 2}"}) for i, e in enumerate(endpoints)],
                       subset={"header": "x-version", "label": "version", "fallback": "none"})
        self.assertEqual(set(self.served(60, [("X-Version", "v1")])), {"shop-1", "shop-3"})
        self.assertEqual(set(self.served(60, [("X-Version", "v2")])), {"shop-2", "shop-4"})
        self.assertEqual(self.served(3, [("X-Version", "v3")]), {"503": 3})

    def test_policy_changes_by_reload(self):
        named = {"roundRobin": "round robin", "random": "random", "ringHash": "ring hash", "maglev": "maglev",
                 "leastRequest": "least request"}
        for policy, words in named.items():
            hashed = {"hash": {"on": "request"}} if policy in ("ringHash", "maglev") else {}
            self.configure(lambda endpoints: None, policy=policy, **hashed)
            self.assertEqual(set(self.served(400)), {"shop-1", "shop-2", "shop-3", "shop-4"}, policy)
            self.assertIn(words, self.explain()["policy"])

    def test_slow_start_holds_a_new_task_back(self):
        self.configure(lambda endpoints: None, policy="roundRobin", slowStart={"seconds": 60, "minWeightPercent": 5})
        task = self.mesh.task("shop-4")
        task.kill()
        self.assertTrue(wait_until(lambda: not self.gateway.endpoint_healthy(task), 5))
        task.start()
        self.assertTrue(wait_until(lambda: self.gateway.endpoint_healthy(task), 10))
        began = time.monotonic()
        count = self.served(400)
        self.assertLess(time.monotonic() - began, 20)
        # The others may be in theirs too, since the gateway began, but are ahead of it.
        self.assertLess(count.get("shop-4", 0), 80)
