"""Large bodies, many requests, slow readers: nothing is lost, altered or hoarded."""

import hashlib
import json
import socket
import time

from lab_case import LabCase, Load, LoggedTask, OddTask, Service, wrk
from ringway_lab.backend import pattern, pattern_sha256

GIB = 1 << 30


class Volume(LabCase):
    share = "working"

    @staticmethod
    def services():
        # A gibibyte may take longer than the 15 s that a request has by default.
        return [Service("auth-service", 4000, 2, LoggedTask),
                Service("odd-service", 7000, 1, OddTask, {"timeout": {"perRequestTimeoutSeconds": 0}})]

    def memory_kib(self):
        with open(f"/proc/{self.gateway.pid()}/status") as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])

    def test_download_of_one_gibibyte_has_the_same_sha256(self):
        done = self.mesh.client.run("sh", "-c", f"curl -sS http://odd-service:7000/bytes/{GIB} | sha256sum", timeout=120)
        self.assertEqual(done.stdout.split()[0], pattern_sha256(GIB), done.stderr)

    def test_upload_of_one_gibibyte_has_the_same_sha256(self):
        client = self.client(timeout=30)
        client.send(f"POST /echo HTTP/1.1\r\nHost: odd\r\nContent-Length: {GIB}\r\n\r\n")
        for piece in pattern(GIB):
            client.send(piece)
        client.sock.settimeout(60)
        status, _, body = client.answer()
        told = json.loads(body)
        self.assertEqual((status, told["bytes"], told["sha256"]), (200, GIB, pattern_sha256(GIB)))

    def test_chunked_upload_of_100_mebibytes_has_the_same_sha256(self):
        client = self.client(timeout=30)
        client.send("POST /echo HTTP/1.1\r\nHost: odd\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pattern(100 << 20):
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        client.sock.settimeout(30)
        self.assertEqual(json.loads(client.answer()[2])["sha256"], pattern_sha256(100 << 20))

    def test_a_hundred_thousand_requests_none_lost(self):
        """wrk's count, its errors, and the tasks' own logs: all three agree."""
        auth = self.mesh.service("auth-service")
        done = served = 0
        while served < 100_000:
            report = wrk(self.mesh.client, f"http://{auth.authority}/counted/{done}/", seconds=4, connections=64)
            self.assertEqual((report.socket_errors, report.bad_status), (0, 0), report)
            # wrk leaves at most one request per connection unanswered when its time is up.
            arrived = sum(task.requests(f"/counted/{done}/") for task in auth.members)
            self.assertTrue(report.requests <= arrived <= report.requests + 64, (report, arrived))
            served += report.requests
            done += 1
            self.assertLess(done, 60, "too slow to be tested")

    def test_connection_per_request_none_lost(self):
        auth = self.mesh.service("auth-service")
        with Load(self.mesh.client, auth.vip, auth.port, auth.name, "/close", connections=8, per_connection=1) as load:
            time.sleep(3)
            tally = load.stop()
        self.assertEqual((tally.failures, tally.good), ([], tally.sent))
        self.assertGreater(tally.sent, 1000)

    def test_slow_reader_stops_the_backend_and_memory_stays_bounded(self):
        before = self.memory_kib()
        readers = []
        for _ in range(20):
            client = self.client()
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
            client.send(f"GET /bytes/{GIB} HTTP/1.1\r\nHost: odd\r\n\r\n")
            readers.append(client)
        time.sleep(2)
        self.still_serves()
        self.assertLess(self.memory_kib() - before, 64 * 1024)
        for client in readers:  # each still flows when it is read
            self.assertEqual(len(client.exactly(1 << 18)), 1 << 18)
            client.sock.close()
        self.still_serves()

    def test_slow_backend_stops_the_client_and_memory_stays_bounded(self):
        before = self.memory_kib()
        client = self.client(timeout=1)
        client.send(f"POST /slow-read/200000 HTTP/1.1\r\nHost: odd\r\nContent-Length: {GIB}\r\n\r\n")
        sent = 0
        with self.assertRaises(TimeoutError):
            for piece in pattern(GIB):
                sent += client.sock.send(piece)
        self.assertLess(sent, 64 << 20)
        self.still_serves()
        self.assertLess(self.memory_kib() - before, 64 * 1024)

    def test_slow_but_whole_upload_arrives(self):
        client = self.client(timeout=20)
        body = b"".join(pattern(1 << 20))
        client.send(b"POST /slow-read/1000000 HTTP/1.1\r\nHost: odd\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.assertEqual(json.loads(client.answer()[2])["sha256"], hashlib.sha256(body).hexdigest())

    def test_no_payload_is_copied_on_the_straight_path(self):
        self.ringway_only()
        before = self.gateway.counter("payload_copied")
        self.mesh.curl("-o", "/dev/null", "http://odd-service:7000/bytes/10000000")
        # What does not fill its packet may be copied (the end of a body), so that it does not pin a whole buffer.
        self.assertLess(self.gateway.counter("payload_copied") - before, 1448)
