"""Change under load: reloads, tasks that die, return and leave, and the gateway's own end."""

import signal
import time

from lab_case import EndCase, LabCase, Load, wait_until


class Change(LabCase):
    def load(self, connections=8, service="auth-service", **more):
        at = self.mesh.service(service)
        return Load(self.mesh.client, at.vip, at.port, at.name, "/", connections, **more)

    def assertNothingLost(self, tally):
        self.assertEqual(tally.failures[:3], [])
        self.assertEqual(tally.good, tally.sent)

    def test_reload_every_second_loses_nothing(self):
        self.ringway_only()
        first = self.gateway.generation()
        with self.load() as keep_alive, self.load(per_connection=1) as fresh:
            for i in range(6):
                weight = 1 + i % 3
                self.gateway.configure(lambda c: c["services"][0]["endpoints"][0].update(weight=weight))
                self.gateway.reload()
                time.sleep(1)
            self.assertNothingLost(keep_alive.stop())
            self.assertNothingLost(fresh.stop())
        self.assertGreaterEqual(self.gateway.generation(), first + 5)
        self.gateway.configure()
        self.gateway.reload()

    def test_file_change_is_noticed_without_a_signal(self):
        self.ringway_only()
        first = self.gateway.generation()
        self.gateway.configure(lambda c: c["services"][0].update(drainSeconds=7))
        self.assertTrue(wait_until(lambda: self.gateway.generation() > first, 5))

    def test_a_service_that_leaves_ends_its_exchanges_in_order(self):
        self.ringway_only()
        size = 4 << 20
        client = self.client("odd-service", 10)
        client.send(f"GET /bytes/{size} HTTP/1.1\r\nHost: odd-service\r\n\r\n")
        self.assertEqual(client.head()[0], 200)
        self.gateway.configure(lambda c: c["services"].pop(1))
        self.gateway.ctl("reload")
        time.sleep(0.5)  # its address is no more, and most of the answer has not been read
        self.assertEqual(len(client.exactly(size)), size)
        self.assertEqual(client.everything(5), (b"", True))
        self.gateway.configure()
        self.gateway.ctl("reload")
        self.assertTrue(wait_until(lambda: self.client("odd-service").get("odd-service", "/")[0] == 200, 5))

    def test_a_signal_after_an_edit_is_one_reload(self):
        self.ringway_only()
        def edited():
            """New plans after an edit and a signal; the signal may be late on a busy machine."""
            first = self.gateway.generation()
            self.gateway.configure(lambda c: c["services"][0].update(drainSeconds=9))
            self.gateway.reload()
            time.sleep(0.7)
            return self.gateway.generation() - first
        self.assertTrue(any(edited() == 1 for _ in range(3)))
        self.gateway.configure()
        self.gateway.reload()

    def test_bad_file_is_refused_and_the_old_plan_serves(self):
        self.ringway_only()
        first = self.gateway.generation()
        self.gateway.write("ringway.yaml", "gateway: {}\nservices: nonsense\n")
        done = self.mesh.gw.run(self.gateway.program("ringwayctl"), "--socket", self.gateway.path("admin.sock"), "reload")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, r"ringway\.yaml:\d+:\d+: ")
        self.assertEqual(self.gateway.generation(), first)
        self.still_serves()
        self.gateway.configure()
        self.gateway.ctl("reload")

    def test_killed_task_leaves_rotation_and_comes_back(self):
        self.ringway_only()
        dead = self.mesh.task("auth-1")
        with self.load(connections=16) as load:
            time.sleep(1)
            dead.kill()
            killed = time.monotonic()
            self.assertTrue(wait_until(lambda: not self.gateway.endpoint_healthy(dead), 5))
            time.sleep(0.5)
            left = load.tally()
            self.assertLess(left.last_by_name["auth-1"] - killed, 0.5)
            time.sleep(1)
            after = load.tally()
            self.assertEqual(len(after.failures), len(left.failures), "requests fail after it left rotation")
            dead.start()
            self.healthy("auth-1")
            time.sleep(1)
            tally = load.stop()
        self.assertGreater(tally.last_by_name["auth-1"], killed + 1)
        # At most what was under way on its connections; everything else was repeated elsewhere.
        self.assertLessEqual(len(tally.failures), 16)

    def test_vanished_task_leaves_rotation(self):
        """No reset, no refusal: silence."""
        self.ringway_only()
        gone = self.mesh.task("auth-2")
        gone.vanish()
        try:
            self.assertTrue(wait_until(lambda: not self.gateway.endpoint_healthy(gone), 10))
            with self.load(connections=4) as load:
                time.sleep(1)
                self.assertNothingLost(load.stop())
        finally:
            gone.vanish(False)
        self.healthy("auth-2", 20)

    def test_removed_endpoint_drains_and_gets_nothing_new(self):
        self.ringway_only()
        slow = self.client("odd-service")
        slow.send("GET /wait/3 HTTP/1.1\r\nHost: odd\r\n\r\n")
        time.sleep(0.3)

        def swap(configuration):
            odd = configuration["services"][1]
            auth = configuration["services"][0]
            odd["endpoints"] = [dict(auth["endpoints"][0])]
        self.gateway.configure(swap)
        self.gateway.ctl("reload")
        # 503 until the new endpoint's first check has succeeded, and never again an answer of the removed one.
        answers = []
        self.assertTrue(wait_until(lambda: answers.append(self.client("odd-service").get("odd", "/")) or
                                   answers[-1][1].get("x-backend") == "auth-1", 5))
        self.assertEqual({a[0] for a in answers[:-1]} - {503}, set())
        self.assertEqual(slow.answer()[0], 200)
        self.gateway.configure()
        self.gateway.ctl("reload")
        self.healthy("odd-1")

    def test_added_service_gets_a_name_and_answers(self):
        self.ringway_only()

        def add(configuration):
            new = dict(configuration["services"][0])
            new.update(portName="new", discoveryName="new-service",
                       clientAliases=[{"dnsName": "new-service", "port": 8000}])
            configuration["services"].append(new)
        self.gateway.configure(add)
        self.gateway.ctl("reload")
        self.assertTrue(wait_until(
            lambda: self.mesh.curl("http://new-service:8000/", timeout=1).stdout.startswith("auth-"), 5, 0.1))
        self.gateway.configure()
        self.gateway.ctl("reload")


class End(EndCase):
    def test_sigterm_lets_exchanges_finish_and_exits_0(self):
        slow, idle = self.client("odd-service"), self.client("auth-service")
        self.assertEqual(idle.get("a", "/")[0], 200)
        slow.send("GET /wait/2 HTTP/1.1\r\nHost: odd\r\n\r\n")
        time.sleep(0.3)
        self.gateway.process.signal(signal.SIGTERM)
        time.sleep(0.3)
        with self.assertRaises(OSError):
            self.mesh.connect("auth-service", 1)
        status, fields, _ = slow.answer()
        self.assertEqual((status, fields.get("connection", "").lower()), (200, "close"))
        self.assertEqual(self.gateway.process.wait(5), 0, self.gateway.process.log())

    def test_sigterm_under_load_answers_what_it_took(self):
        auth = self.mesh.service("auth-service")
        with Load(self.mesh.client, auth.vip, auth.port, auth.name, "/", 8) as load:
            time.sleep(1)
            self.gateway.process.signal(signal.SIGTERM)
            self.assertEqual(self.gateway.process.wait(10), 0, self.gateway.process.log())
            tally = load.stop()
        broken = [f for f in tally.failures if f.what.startswith(("status", "connection closed"))]
        self.assertLessEqual(len(broken), 8)  # an idle keep-alive connection may be closed as a request leaves
        self.assertGreater(tally.good, 100)

    def test_deadline_ends_a_drain_that_would_never_end(self):
        self.gateway.configure(lambda c: c["gateway"].setdefault("limits", {}).update(drainSeconds=1))
        self.gateway.ctl("reload")
        never = self.client("odd-service")
        never.send("GET /never HTTP/1.1\r\nHost: odd\r\n\r\n")
        time.sleep(0.3)
        self.gateway.process.signal(signal.SIGTERM)
        self.assertEqual(self.gateway.process.wait(6), 0, self.gateway.process.log())

    def test_ringwayctl_drain_does_the_same(self):
        self.gateway.ctl("drain")
        self.assertEqual(self.gateway.process.wait(5), 0, self.gateway.process.log())

    def test_sigkill_leaves_nothing_that_stops_the_next_start(self):
        self.gateway.process.kill()
        self.gateway.start()
        self.still_serves()
