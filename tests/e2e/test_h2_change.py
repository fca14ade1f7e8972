"""HTTP/2 while things change: reloads, endpoints that are killed, and the gateway's own end. No request is lost.

ip4_only: what changes here lies above the network, and tests/e2e/test_change.py runs over both.
"""

import signal
import threading
import time
from dataclasses import dataclass, field

from h2_client import NO_ERROR, H2Client, Lost
from lab_case import OddTask, Service, wait_until
from ringway_lab.task import NginxH2Task, OddH2Task
from test_h2 import H2, H2Case, LoggedH2Task, LoggedTask

GRACEFUL = (1 << 31) - 1  # last stream of the GOAWAY that only announces the end


class BriefTask(NginxH2Task):
    """nginx that takes fifty requests on a connection, then says GOAWAY."""

    requests_per_connection = 50


@dataclass
class Counts:
    answered: int = 0
    unprocessed: int = 0   # above the last stream of GOAWAY, or REFUSED_STREAM: safe to send again
    refused: int = 0       # no connection: the gateway listens no more
    lost: list = field(default_factory=list)


class Asker:
    """Threads that keep `width` streams open on a connection each, and account for every one."""

    def __init__(self, mesh, service, threads=4, width=8):
        self.mesh, self.service, self.width = mesh, service, width
        self.stopping = threading.Event()
        self.counts = [Counts() for _ in range(threads)]
        self.threads = [threading.Thread(target=self.run, args=(c,), daemon=True) for c in self.counts]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(10)
        whole = Counts()
        for c in self.counts:
            whole.answered += c.answered
            whole.unprocessed += c.unprocessed
            whole.refused += c.refused
            whole.lost += c.lost
        return whole

    def run(self, counts):
        while not self.stopping.is_set():
            try:
                client = H2Client(self.mesh.connect(self.service, 1), self.service)
            except (OSError, Lost):
                counts.refused += 1
                time.sleep(0.05)
                continue
            self.use(client, counts)
            client.close()

    def use(self, client, counts):
        """Until GOAWAY, or the end of the connection."""
        flying = set()
        try:
            while not self.stopping.is_set() and client.goaway is None:
                while len(flying) < self.width:
                    flying.add(client.begin("/"))
                client.wait(lambda: any(client.answers[n].over for n in flying) or client.goaway, 5)
                flying -= self.settle(client, flying, counts)
            client.wait(lambda: all(client.answers[n].over or n > client.goaway[1] for n in flying) if client.goaway else
                        all(client.answers[n].over for n in flying), 5)
        except (Lost, OSError) as e:
            error = str(e)
        else:
            error = "not answered"
        flying -= self.settle(client, flying, counts)
        for number in flying:
            if client.goaway and number > client.goaway[1]:
                counts.unprocessed += 1
            else:
                counts.lost.append(f"stream {number}: {error}, GOAWAY {client.goaway}")

    @staticmethod
    def settle(client, flying, counts):
        over = {n for n in flying if client.answers[n].over}
        for number in over:
            answer = client.answers[number]
            if answer.status == 200 and answer.ended:
                counts.answered += 1
            elif answer.reset == 7:
                counts.unprocessed += 1
            else:
                counts.lost.append(f"stream {number}: status {answer.status}, reset {answer.reset}")
        return over


class H2Change(H2Case):
    ip4_only = "above the network"

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 2, LoggedTask), Service("auth2-service", 4002, 2, LoggedH2Task, H2),
                Service("brief-service", 4003, 2, BriefTask, H2)]

    def test_reload_every_half_second_under_h2load_loses_nothing(self):
        first = self.gateway.generation()
        loads = [self.h2load(service, "/", "-n", 6_000, "-c", 4, "-m", 20, "--rps", 500)
                 for service in ("auth-service", "auth2-service")]
        for i in range(6):
            time.sleep(0.5)

            def change(configuration):
                for service in configuration["services"]:
                    service["endpoints"][0]["weight"] = 1 + i % 3
            self.gateway.configure(change)
            self.gateway.reload()
        for load in loads:
            self.assertClean(load.report(), 6_000)
        self.assertGreaterEqual(self.gateway.generation(), first + 4)
        self.gateway.configure()
        self.gateway.ctl("reload")

    def killed(self, service, name):
        load = self.h2load(service, "/", "-n", 9_000, "-c", 6, "-m", 50, "--rps", 1000)  # for 1.5 seconds
        time.sleep(0.5)
        dead = self.mesh.task(name)
        dead.kill()
        self.assertClean(load.report(), 9_000)
        dead.start()
        self.assertTrue(wait_until(lambda: self.gateway.endpoint_healthy(dead), 5))

    def test_killed_h2_endpoint_costs_no_idempotent_request(self):
        self.killed("auth2-service", "auth2-1")

    def test_killed_h1_endpoint_costs_no_idempotent_request(self):
        self.killed("auth-service", "auth-1")

    def test_endpoint_that_says_goaway_every_fifty_requests_loses_nothing(self):
        self.assertClean(self.h2load("brief-service", "/", "-n", 10_000, "-c", 4, "-m", 20).report(), 10_000)

    def test_removed_endpoint_drains_and_its_connection_ends(self):
        gone = self.mesh.task("auth2-2")
        self.assertClean(self.h2load("auth2-service", "/", "-n", 500, "-c", 2, "-m", 10).report(), 500)
        self.gateway.configure(lambda c: c["services"][1]["endpoints"].pop())
        self.gateway.ctl("reload")
        before = gone.requests()
        self.assertClean(self.h2load("auth2-service", "/", "-n", 500, "-c", 2, "-m", 10).report(), 500)
        self.assertEqual(gone.requests(), before)
        self.gateway.configure()
        self.gateway.ctl("reload")
        self.assertTrue(wait_until(lambda: self.gateway.endpoint_healthy(gone), 5))


class H2End(H2Case):
    ip4_only = "above the network"

    @staticmethod
    def services():
        return [Service("odd-service", 7000, 1, OddTask), Service("odd2-service", 7002, 1, OddH2Task, H2)]

    def setUp(self):
        super().setUp()
        if not self.gateway.process.running():
            self.gateway.start()

    def tearDown(self):
        pass

    def end(self, how):
        if how == "ctl":
            self.gateway.ctl("drain")
        else:
            self.gateway.process.signal(signal.SIGTERM)

    def ends_well(self):
        self.assertEqual(self.gateway.process.wait(8), 0, self.gateway.process.log())

    def test_sigterm_announces_serves_what_is_open_and_names_the_last_stream(self):
        client = self.h2("odd2-service")
        slow = client.begin("/wait/1.2")
        time.sleep(0.3)
        self.end("signal")
        client.wait(lambda: client.goaway)
        self.assertEqual(client.goaway, (NO_ERROR, GRACEFUL))
        late = client.begin("/")  # as if GOAWAY had not arrived yet
        self.assertEqual(client.answer(late).status, 200)
        self.assertEqual(client.answer(slow).status, 200)
        client.wait(lambda: client.goaway == (NO_ERROR, late))
        with self.assertRaises(Lost):
            client.wait(lambda: False, 5)
        self.assertTrue(client.closed)
        self.ends_well()

    def test_idle_connection_is_told_and_closed(self):
        client = self.h2("odd-service")
        self.assertEqual(client.ask("/").status, 200)
        self.end("ctl")
        with self.assertRaises(Lost):
            client.wait(lambda: False, 6)
        self.assertEqual((client.closed, client.goaway), (True, (NO_ERROR, 1)))
        self.ends_well()

    def test_sigterm_under_load_loses_no_request(self):
        with Asker(self.mesh, "odd-service") as one, Asker(self.mesh, "odd2-service") as other:
            time.sleep(0.7)
            self.end("signal")
            self.ends_well()
            for asker in (one, other):
                counts = asker.stop()
                self.assertEqual(counts.lost[:3], [])
                self.assertGreater(counts.answered, 100)
