"""Leaving in order: the health endpoint fails first, then connections are told to close; removed tasks have their time."""

import signal
import time

from h2_client import NO_ERROR, H2Client
from lab_case import EndCase, LabCase, wait_until

PORT = 8081


class Health(EndCase):
    options = {"settings": {"healthEndpoint": {"port": PORT, "path": "/lb", "drainDelaySeconds": 2}}}

    def ask_health(self, *words):
        host = f"[{self.mesh.gateway_ip}]" if ":" in self.mesh.gateway_ip else self.mesh.gateway_ip
        done = self.mesh.curl("-w", " %{http_code}", *words, f"http://{host}:{PORT}/lb", timeout=1)
        return done.stdout.replace("\n", "")

    def test_operator_fails_it_and_takes_it_back(self):
        self.assertEqual(self.ask_health(), "ok 200")
        self.assertIn("503", self.gateway.ctl("healthcheck", "fail"))
        self.assertEqual(self.ask_health(), "draining 503")
        self.still_serves()
        self.gateway.ctl("reload")
        self.assertEqual(self.ask_health(), "draining 503", "a reload takes nothing back")
        self.gateway.ctl("healthcheck", "ok")
        self.assertEqual(self.ask_health(), "ok 200")

    def test_drain_fails_it_first_and_serves_on_until_the_delay_is_over(self):
        self.assertEqual(self.ask_health(), "ok 200")
        kept, slow = self.client("auth-service"), self.client("odd-service")
        streams = H2Client(self.mesh.connect("auth-service"), "auth-service")
        self.addCleanup(streams.sock.close)
        self.assertEqual(kept.get("a", "/")[0], 200)
        self.assertEqual(self.on_stream(streams), 200)
        self.gateway.process.signal(signal.SIGTERM)
        begun = time.monotonic()
        self.assertTrue(wait_until(lambda: self.ask_health() == "draining 503", 1, 0.02))
        # Nothing is refused yet, and nobody is told to close.
        self.still_serves()
        status, fields, _ = kept.get("a", "/")
        self.assertEqual((status, fields.get("connection", "").lower()), (200, ""))
        self.assertEqual((self.on_stream(streams), streams.goaway), (200, None))
        self.assertEqual(self.ask_health(), "draining 503")
        slow.send("GET /wait/3 HTTP/1.1\r\nHost: odd\r\n\r\n")
        self.assertTrue(wait_until(lambda: not self.connects(), 5, 0.05))
        self.assertGreater(time.monotonic() - begun, 1.5)
        streams.wait(lambda: streams.goaway is not None, 3)
        self.assertEqual(streams.goaway[0], NO_ERROR)
        status, fields, _ = slow.answer()
        self.assertEqual((status, fields.get("connection", "").lower()), (200, "close"))
        self.assertEqual(self.gateway.process.wait(5), 0, self.gateway.process.log())

    def on_stream(self, client):
        number = client.begin("/")
        client.wait(lambda: client.answers[number].over)
        return client.answers[number].status

    def test_second_signal_does_not_wait(self):
        self.gateway.process.signal(signal.SIGTERM)
        time.sleep(0.2)
        self.gateway.process.signal(signal.SIGTERM)
        self.assertEqual(self.gateway.process.wait(1.5), 0, self.gateway.process.log())

    def connects(self):
        try:
            self.mesh.connect("auth-service", 0.5).close()
            return True
        except OSError:
            return False


class Removed(LabCase):
    def test_exchange_with_a_removed_task_ends_with_its_drain_time(self):
        self.ringway_only()
        self.gateway.configure(lambda c: c["services"][1].update(drainSeconds=1))
        self.gateway.ctl("reload")
        quick, never = self.client(), self.client(timeout=8)
        quick.send("GET /wait/0.7 HTTP/1.1\r\nHost: odd\r\n\r\n")
        never.send("GET /wait/30 HTTP/1.1\r\nHost: odd\r\n\r\n")
        time.sleep(0.2)

        def remove(configuration):
            configuration["services"][1].update(drainSeconds=1, endpoints=[])
        self.gateway.configure(remove)
        begun = time.monotonic()
        self.gateway.ctl("reload")
        self.assertEqual(quick.answer()[0], 200)
        self.assertEqual(never.answer()[0], 503)
        self.assertTrue(0.8 < time.monotonic() - begun < 4, time.monotonic() - begun)
        self.assertEqual(self.gateway.counter("drains_cut"), 1)
        self.gateway.configure()
        self.gateway.ctl("reload")
        self.healthy("odd-1")
