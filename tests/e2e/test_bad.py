"""Bad peers: requests that break the grammar, clients and backends that break off, limits and timeouts."""

import socket
import time

from lab_case import LabCase, LabError, OddTask, Service, statuses, wait_until

HOST = b"Host: a\r\n"

# name: (request, statuses that are right). Each is answered and the connection closed.
REFUSED = {
    "bare_lf_line_ends": (b"GET / HTTP/1.1\nHost: a\n\n", {400}),
    "bare_lf_in_one_field": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", {400}),
    "bare_cr_in_value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", {400}),
    "obs_fold": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", {400}),
    "space_before_colon": (b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n", {400}),
    "empty_field_name": (b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n\r\n", {400}),
    "nul_in_value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", {400}),
    "control_in_target": (b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "no_host": (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", {400}),
    "two_hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", {400}),
    "two_spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "no_version": (b"GET /\r\n" + HOST + b"\r\n", {400}),
    "wrong_version": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", {400, 505}),
    "method_is_no_token": (b"G(T / HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "length_and_chunked": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "two_lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", {400}),
    "signed_length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\na", {400}),
    "length_list": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 1\r\n\r\na", {400}),
    "huge_length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\na", {400, 413}),
    "hex_length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x1\r\n\r\na", {400}),
    "encoding_not_chunked": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", {400, 501}),
    "chunked_twice": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", {400}),
    "binary_noise": (bytes(range(1, 32)) * 8 + b"\r\n\r\n", {400}),
    "tls_hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 64 + b"\r\n\r\n", {400}),
    "http2_preface_not_quite": (b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", {400, 505}),
    "target_too_long": (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414}),
    "head_too_large": (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: %s\r\n" % (i, b"v" * 4000) for i in range(20)) + b"\r\n", {431}),
    "too_many_fields": (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: v\r\n" % i for i in range(200)) + b"\r\n", {431}),
}

# Bad only once the body is read: the backend may have seen the head, never a whole second request.
BAD_BODIES = {
    "chunk_size_not_hex": b"zz\r\nabc\r\n0\r\n\r\n",
    "chunk_size_signed": b"-1\r\nabc\r\n0\r\n\r\n",
    "chunk_size_overflow": b"fffffffffffffffff\r\nabc\r\n",
    "chunk_longer_than_said": b"3\r\nabcdef\r\n0\r\n\r\n",
    "chunk_ends_with_lf": b"3\r\nabc\n0\r\n\r\n",
    "chunk_line_ends_with_lf": b"3\nabc\r\n0\r\n\r\n",
}


class Refused(LabCase):
    def test_every_malformed_head_is_refused_and_the_connection_closed(self):
        for name, (request, wanted) in REFUSED.items():
            with self.subTest(name):
                answer, closed = self.exchange(request, "auth-service")
                self.assertEqual(len(statuses(answer)), 1, answer[:200])
                self.assertIn(statuses(answer)[0], wanted)
                self.assertTrue(closed, "connection stays open")
        self.still_serves()

    def test_own_answers_name_the_reason(self):
        self.ringway_only()
        answer, _ = self.exchange(REFUSED["length_and_chunked"][0], "auth-service")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length", body)
        self.assertIn(b"x-ringway-", head.lower())

    def test_bad_chunks_end_the_exchange_and_nothing_after_them_is_a_request(self):
        for name, body in BAD_BODIES.items():
            with self.subTest(name):
                answer, closed = self.exchange(
                    b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body +
                    b"GET /second HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertTrue(closed)
                self.assertNotIn(200, statuses(answer))
        self.still_serves()

    def test_refused_heads_never_reach_a_task(self):
        before = sum(t.requests() for t in self.mesh.service("auth-service").members)
        for request, _ in REFUSED.values():
            self.exchange(request, "auth-service")
        self.assertEqual(sum(t.requests() for t in self.mesh.service("auth-service").members), before)

    def test_clients_that_vanish_at_every_byte_do_no_harm(self):
        request = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        for length in range(0, len(request) + 1, 2):
            client = self.client()
            client.send(request[:length])
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sock.close()  # with a reset
        self.still_serves()

    def test_many_connections_that_say_nothing_do_no_harm(self):
        idle = [self.client("auth-service") for _ in range(500)]
        self.still_serves()
        for client in idle:
            client.sock.close()


class BadBackends(LabCase):
    def status_of(self, target):
        client = self.client()
        client.send(f"GET {target} HTTP/1.1\r\nHost: odd\r\n\r\n")
        return client.answer()[0]

    def test_backend_that_speaks_no_http_is_502(self):
        self.assertEqual(self.status_of("/garbage"), 502)

    def test_backend_that_closes_without_an_answer_is_502_or_503(self):
        self.assertIn(self.status_of("/die"), (502, 503))

    def test_backend_with_length_and_chunked_is_502(self):
        self.ringway_only()
        self.assertEqual(self.status_of("/smuggle"), 502)

    def test_backend_that_breaks_off_breaks_the_answer_off(self):
        client = self.client()
        client.send("GET /half HTTP/1.1\r\nHost: odd\r\n\r\n")
        answer, closed = client.everything()
        self.assertTrue(closed)
        self.assertLessEqual(len(answer.partition(b"\r\n\r\n")[2]), 10)

    def test_gateway_serves_after_all_of_them(self):
        for target in ("/garbage", "/die", "/half", "/smuggle") * 5:
            self.exchange(f"GET {target} HTTP/1.1\r\nHost: odd\r\nConnection: close\r\n\r\n".encode())
        self.still_serves()


class Deadlines(LabCase):
    options = {"settings": {"limits": {"headerTimeoutSeconds": 1, "clientIdleSeconds": 2, "requestBodyBytes": 100000}}}

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 2),
                Service("odd-service", 7000, 1, OddTask, {"timeout": {"perRequestTimeoutSeconds": 1}}),
                Service("patient-service", 7100, 1, OddTask, {"timeout": {"perRequestTimeoutSeconds": 0}})]

    def setUp(self):
        self.ringway_only()

    def test_backend_slower_than_the_request_timeout_is_504(self):
        client = self.client()
        began = time.monotonic()
        self.assertEqual(client.get("odd", "/never")[0], 504)
        self.assertTrue(0.8 < time.monotonic() - began < 2.5)

    def test_timeout_zero_is_no_timeout(self):
        self.assertEqual(self.client("patient-service").get("p", "/wait/2")[0], 200)

    def test_head_that_never_ends_is_408(self):
        client = self.client("auth-service")
        client.send("GET / HTTP/1.1\r\nHost: a\r\n")
        answer, closed = client.everything(pause=4)
        self.assertEqual((statuses(answer), closed), ([408], True))

    def test_idle_connection_is_closed_without_an_answer(self):
        client = self.client("auth-service")
        self.assertEqual(client.get("a", "/")[0], 200)
        answer, closed = client.everything(pause=5)
        self.assertEqual((answer, closed), (b"", True))

    def test_body_above_the_limit_is_413(self):
        answer, closed = self.exchange(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 100001\r\n\r\n")
        self.assertEqual((statuses(answer), closed), ([413], True))

    def test_chunked_body_above_the_limit_is_413(self):
        client = self.client()
        client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(30):
                client.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except OSError:
            pass
        answer, closed = client.everything()
        self.assertTrue(closed)
        self.assertIn(statuses(answer), ([413], []))


class NoBackend(LabCase):
    starts = False

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 1), Service("empty-service", 6000, 0), Service("dead-service", 6100, 1)]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mesh.task("auth-1").start()
        cls.gateway.start(wait=False)
        if not wait_until(cls.auth_answers, 10, 0.1):
            raise LabError(f"auth-service never answered:\n{cls.gateway.process.log()}")

    @classmethod
    def auth_answers(cls):
        auth = cls.mesh.service("auth-service")
        return cls.mesh.curl("-o", "/dev/null", "-w", "%{http_code}", f"http://{auth.authority}/",
                             timeout=1).stdout == "200"

    def test_service_without_endpoints_is_503(self):
        self.assertEqual(self.client("empty-service").get("e", "/")[0], 503)

    def test_service_whose_endpoint_never_was_healthy_is_503(self):
        self.assertEqual(self.client("dead-service").get("d", "/")[0], 503)

    def test_port_that_nobody_listens_on_is_refused_at_once(self):
        began = time.monotonic()
        with self.assertRaises(ConnectionRefusedError):
            self.mesh.client.connect(self.mesh.service("auth-service").vip, 4001, 3)
        self.assertLess(time.monotonic() - began, 1)
