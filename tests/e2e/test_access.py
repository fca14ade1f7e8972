"""Who may call: callers, access rules, rates, ingress rules and connections per source, through the real gateway."""

import time

from lab_case import LabCase, wait_until, wrk


class Access(LabCase):
    share = "working"

    def setUp(self):
        self.ringway_only()

    def tearDown(self):
        self.gateway.configure()
        self.gateway.ctl("reload")
        super().tearDown()

    def change(self, auth=None, **gateway):
        """Reloads with `auth` laid over auth-service, `gateway` over the gateway; the worker is the caller `worker`."""
        bits = 32 if self.families[0] == 4 else 128
        self.worker = f"{self.mesh.worker_ip}/{bits}"

        def apply(configuration):
            configuration["callers"] = [{"name": "worker", "cidrs": [self.worker]}]
            configuration["services"][0].update(auth or {})
            configuration["gateway"].update(gateway)
        self.gateway.configure(apply)
        self.gateway.ctl("reload")

    def status(self, path="/", *words, namespace=None, timeout=5):
        """(exit status of curl, status of the answer); from the worker, or from another namespace."""
        url = f"http://{self.mesh.service('auth-service').authority}{path}"
        where = namespace or self.mesh.client
        done = where.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", "--max-time", str(timeout),
                         *words, url, timeout=timeout + 5)
        return done.returncode, int(done.stdout or 0)

    def verdict(self, name):
        return self.gateway.ask("/counters")["verdicts"][name]

    def task_space(self):
        return self.mesh.task("odd-1").namespace

    def test_caller_that_is_denied_gets_403_and_another_one_is_served(self):
        if self.families[0] != self.families[1]:
            self.skipTest("the tasks speak another family")
        self.change({"access": {"default": "allow", "rules": [{"action": "deny", "callers": ["worker"]}]}})
        self.assertEqual(self.status(), (0, 403))
        self.assertEqual(self.status("/", "--http2-prior-knowledge"), (0, 403))
        self.assertEqual(self.status(namespace=self.task_space()), (0, 200))
        self.assertGreaterEqual(self.gateway.counter("access_denied"), 2)
        # The tasks of odd-service are odd-service, and nobody else is let in.
        self.change({"access": {"default": "deny", "rules": [{"action": "allow", "callers": ["odd-service"]}]}})
        self.assertEqual(self.status(namespace=self.task_space()), (0, 200))
        self.assertEqual(self.status(), (0, 403))

    def test_paths_and_methods_are_denied_while_others_pass(self):
        self.change({"access": {"rules": [
            {"action": "deny", "paths": [{"value": "/admin"}, {"type": "regex", "value": "/v[0-9]+/secret"}]},
            {"action": "deny", "methods": ["DELETE"]}]}})
        self.assertEqual(self.status("/"), (0, 200))
        self.assertEqual(self.status("/administrator"), (0, 200))
        self.assertEqual(self.status("/admin/users"), (0, 403))
        self.assertEqual(self.status("/v17/secret"), (0, 403))
        self.assertEqual(self.status("/", "-X", "DELETE"), (0, 403))
        client = self.client("auth-service")
        for path, wanted in (("/", 200), ("/admin", 403), ("/", 200)):
            self.assertEqual(client.get("auth-service", path)[0], wanted, "on one connection")

    def test_rate_holds_under_load_and_says_when_to_come_back(self):
        self.change({"rateLimit": {"requestsPerSecond": 100, "burst": 50}})
        good, limited = self.gateway.counter("responses_2xx"), self.gateway.counter("rate_limited")
        begun = time.monotonic()
        wrk(self.mesh.client, f"http://{self.mesh.service('auth-service').authority}/", seconds=2, connections=8)
        took = time.monotonic() - begun
        served = self.gateway.counter("responses_2xx") - good
        self.assertLessEqual(served, 50 + 100 * took + 1)
        self.assertGreaterEqual(served, 100)
        self.assertGreater(self.gateway.counter("rate_limited") - limited, 100)
        client = self.client("auth-service")
        for _ in range(200):
            status, fields, _ = client.get("auth-service", "/")
            if status == 429:
                break
        self.assertEqual((status, fields["retry-after"], fields["x-envoy-ratelimited"]), (429, "1", "true"))
        time.sleep(0.1)
        self.assertEqual(client.get("auth-service", "/")[0], 200)

    def test_rate_of_a_caller_leaves_others_alone(self):
        self.change({"rateLimit": {"perCaller": {"requestsPerSecond": 0.01, "burst": 3}}})
        self.assertEqual([self.status()[1] for _ in range(5)], [200, 200, 200, 429, 429])
        if self.families[0] == self.families[1]:
            self.assertEqual(self.status(namespace=self.task_space()), (0, 200))

    def test_ingress_deny_is_silence_for_the_client_and_a_counter_for_us(self):
        self.assertEqual(self.status(), (0, 200))
        self.change(ingress={"rules": [{"action": "deny", "cidrs": ["10.77.0.0/24", "fd77::10/128"]}]})
        before = self.verdict("ingress_refused")
        self.assertEqual(self.status(timeout=2), (28, 0), "no answer until curl gives up")
        self.assertGreaterEqual(self.verdict("ingress_refused") - before, 2, "the SYN and its repetition")
        if self.families[0] == self.families[1]:
            self.assertEqual(self.status(namespace=self.task_space()), (0, 200))
        self.change()
        self.assertEqual(self.status(), (0, 200))

    def test_ingress_allows_what_it_names_and_endpoints_answer_all_the_same(self):
        name = "auth-service:4000"
        self.change(ingress={"default": "deny", "rules": [{"action": "allow", "listeners": [name]}]})
        self.assertEqual(self.status(), (0, 200))
        odd = self.mesh.curl("-o", "/dev/null", "-w", "%{http_code}", f"http://{self.mesh.service('odd-service').authority}/", timeout=2)
        self.assertEqual((odd.returncode, odd.stdout), (28, "000"))
        told = self.gateway.ctl("explain", "GET", f"http://{self.mesh.service('odd-service').authority}/", "--source", self.mesh.worker_ip)
        self.assertRegex(told, r"outcome +no connection: its SYN is dropped")

    def test_open_connection_of_a_now_refused_source_ends_at_its_next_request(self):
        client = self.client("auth-service")
        self.assertEqual(client.get("auth-service", "/")[0], 200)
        self.change(ingress={"rules": [{"action": "deny", "cidrs": ["10.77.0.0/24", "fd77::10/128"]}]})
        self.assertEqual(client.get("auth-service", "/")[0], 403)
        self.assertTrue(client.everything()[1], "and is closed")

    def test_connections_of_a_source_beyond_its_limit_are_refused(self):
        self.change(limits={"connectionsPerSource": 3})
        held = [self.client("auth-service") for _ in range(3)]
        with self.assertRaises(ConnectionRefusedError):
            self.mesh.connect("auth-service")
        self.assertGreaterEqual(self.verdict("tcp_source_full"), 1)
        self.assertEqual(held[0].get("auth-service", "/")[0], 200)
        held[0].sock.close()
        self.assertTrue(wait_until(lambda: self.status() == (0, 200), 5))

    def test_ringwayctl_names_the_caller(self):
        self.change({"access": {"rules": [{"action": "deny", "callers": ["worker"], "paths": [{"value": "/admin"}]}]}})
        client = self.client("auth-service")
        self.assertEqual(client.get("auth-service", "/")[0], 200)
        self.assertTrue(wait_until(lambda: " worker " in self.gateway.ctl("connections"), 5))
        told = self.gateway.ctl("explain", "GET", f"http://{self.mesh.service('auth-service').authority}/admin",
                                "--source", self.mesh.worker_ip)
        self.assertRegex(told, r"caller +worker")
        self.assertRegex(told, r"access +refused by rule 1: deny, caller worker, path prefix /admin")
        self.assertRegex(told, r"outcome +403")


class AccessOfTwoCores(Access):
    """The same with two cores, which share rates and limits; and what only they can show."""

    options = {"queues": 2}
    ip4_only = "the family changes nothing in what cores share"

    def test_both_cores_serve_and_together_keep_the_rate(self):
        self.change({"rateLimit": {"requestsPerSecond": 200, "burst": 400}})
        before, good = self.gateway.core_requests(), self.gateway.counter("responses_2xx")
        begun = time.monotonic()
        wrk(self.mesh.client, f"http://{self.mesh.service('auth-service').authority}/", seconds=2, connections=16)
        took = time.monotonic() - begun
        served = self.gateway.counter("responses_2xx") - good
        self.assertTrue(all(now > then for now, then in zip(self.gateway.core_requests(), before)), "one core had nothing to do")
        self.assertLessEqual(served, 400 + 200 * took + 1)
        self.assertGreaterEqual(served, 300 + 200 * 1.5)

    def test_connections_of_a_source_beyond_its_limit_are_refused(self):
        """Each core allows two, and no core knows of the other's: at least two and at most four find a place."""
        self.change(limits={"connectionsPerSource": 4})
        held = []
        for _ in range(12):
            try:
                client = self.client("auth-service")
                self.assertEqual(client.get("auth-service", "/")[0], 200)
                held.append(client)
            except ConnectionRefusedError:
                pass
        self.assertGreaterEqual(len(held), 2)
        self.assertLessEqual(len(held), 4)
        self.assertGreaterEqual(self.verdict("tcp_source_full"), 8)
