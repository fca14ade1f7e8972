"""HTTP/2 through the gateway: every kind of client to every kind of endpoint, RFC 9113 and RFC 9110.

Endpoints: nginx and Python over HTTP/1.1 (`auth`, `odd`), nginx, Python's h2, Node and nghttpd over HTTP/2 by prior knowledge.
Clients: curl over HTTP/1.1, HTTP/2 and by Upgrade: h2c, nghttp, h2load, Node, Python's h2, and raw HTTP/1.1.
"""

import hashlib
import json
import os
import re
import sys
import time

from h2_client import H2Client
from h2_programs import Programs
from lab_case import LabCase, LoggedTask, OddTask, Service, statuses, wait_until, wrk
from ringway_lab.backend import pattern, pattern_sha256
from ringway_lab.load import H2Load
from ringway_lab.task import NghttpdTask, NginxH2Task, NodeH2Task, OddH2Task

H2 = {"appProtocol": "http2"}
BYTES = 300_000


class LoggedH2Task(NginxH2Task):
    log = True


class NarrowTask(OddH2Task):
    words = ("window=1",)


class FewStreamsTask(NghttpdTask):
    """Refuses every stream above the fourth; its SETTINGS say so, but come after the first requests."""

    words = ("-m", "4")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class H2Case(LabCase):
    def setUp(self):
        self.ringway_only()
        self.programs = Programs(self.mesh)

    def h2(self, service, **more):
        made = H2Client(self.mesh.connect(service), service, **more)
        self.addCleanup(made.close)
        return made

    def url(self, service, target):
        return f"http://{self.mesh.service(service).authority}{target}"

    def h2load(self, service, target, *words):
        at = self.mesh.service(service)
        # By name: of an IPv6 address h2load makes an authority without brackets.
        return H2Load(self.mesh.client, f"http://{at.name}:{at.port}{target}", "--connect-to", at.authority, *words)

    def active(self):
        """Requests under way, by the gateway's account."""
        return sum(service["active"] for service in self.gateway.ask("/services"))

    def assertClean(self, report, total):
        self.assertTrue(report.clean, report.text)
        self.assertEqual(report.total, total)


class H2Matrix(H2Case):
    """GET, HEAD, POST with and without a length, by whole programs."""

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 2, LoggedTask), Service("odd-service", 7000, 1, OddTask),
                Service("auth2-service", 4002, 2, LoggedH2Task, H2), Service("odd2-service", 7002, 1, OddH2Task, H2),
                Service("node-service", 7003, 1, NodeH2Task, H2), Service("nghttpd-service", 7004, 1, NghttpdTask, H2)]

    def check_posted(self, told, length):
        self.assertEqual((told["bytes"], told["sha256"], told["method"]), (BYTES, pattern_sha256(BYTES), "POST"))
        self.assertEqual(told["fields"].get("content-length"), str(BYTES) if length else None)

    def check_curl(self, service, *words, size=BYTES):
        done = self.programs.curl(self.url(service, f"/bytes/{size}"), *words)
        self.assertEqual((done.status, sha256(done.body)), (200, pattern_sha256(size)))
        version = done.version
        done = self.programs.curl(self.url(service, "/bytes/5000"), "-I", *words)
        self.assertEqual((done.status, done.fields["content-length"], done.body.strip()[:4]), (200, "5000", b"HTTP"))
        for length in (True, False):
            done = self.programs.curl_post(self.url(service, "/echo"), BYTES, length, *words)
            self.assertEqual(done.status, 200)
            self.check_posted(done.json, length)
        return version

    def check_curl_h1(self, service):
        self.assertEqual(self.check_curl(service, "--http1.1"), "1.1")

    def check_curl_h2(self, service):
        self.assertEqual(self.check_curl(service, "--http2-prior-knowledge"), "2")

    def check_curl_upgrade(self, service):
        # This curl gives up when more than 32 KiB come right behind 101; nghttp below takes any amount.
        self.assertEqual(self.check_curl(service, "--http2", size=20_000), "2")
        talk = self.programs.nghttp_talk(self.url(service, f"/bytes/{BYTES}"), "-u")
        self.assertIn("HTTP Upgrade success", talk)
        self.assertEqual(sum(map(int, re.findall(r"recv DATA frame <length=(\d+),", talk))), BYTES)

    def check_nghttp(self, service):
        self.assertEqual(sha256(self.programs.nghttp(self.url(service, f"/bytes/{BYTES}")).body), pattern_sha256(BYTES))
        for length in (True, False):
            self.check_posted(self.programs.nghttp_post(self.url(service, "/echo"), BYTES, length).json, length)
        talk = self.programs.nghttp_talk(self.url(service, "/bytes/5000"), "-H:method: HEAD")
        self.assertRegex(talk, r":status: 200\n(.*\n)*.*content-length: 5000\n")

    def check_node(self, service):
        told = self.programs.node(self.url(service, f"/bytes/{BYTES}"))
        self.assertEqual((told["status"], told["sha256"]), (200, pattern_sha256(BYTES)))
        told = self.programs.node(self.url(service, "/echo"), "POST", BYTES)
        self.check_posted(json.loads(told["text"]), False)
        told = self.programs.node(self.url(service, "/bytes/5000"), "HEAD")
        self.assertEqual((told["status"], told["bytes"], told["fields"]["content-length"]), (200, 0, "5000"))

    def check_python(self, service):
        client = self.h2(service)
        self.assertEqual(sha256(client.ask(f"/bytes/{BYTES}").body), pattern_sha256(BYTES))
        body = b"".join(pattern(BYTES))
        for length in (True, False):
            fields = [("content-length", str(BYTES))] if length else []
            self.check_posted(json.loads(client.ask("/echo", "POST", fields, body).body), length)
        head = client.ask("/bytes/5000", "HEAD")
        self.assertEqual((head.status, head.get("content-length"), head.body), (200, "5000", b""))

    def test_nginx_serves_each_client(self):
        for service in ("auth-service", "auth2-service"):
            for words in ("--http1.1", "--http2-prior-knowledge", "--http2"):
                done = self.programs.curl(self.url(service, "/bytes/10240"), words)
                self.assertEqual((done.status, len(done.body)), (200, 10240))
                self.assertRegex(done.fields["x-backend"], service.removesuffix("-service"))
            self.assertRegex(bytes(self.h2(service).ask("/some/where?a=b").body), rb"^auth2?-[12] /some/where\?a=b\n$")

    def test_nghttpd_returns_what_is_posted(self):
        url = self.url("nghttpd-service", "/any")
        for told in (self.programs.curl_post(url, BYTES, True, "--http1.1"), self.programs.nghttp_post(url, BYTES, True),
                     self.programs.nghttp_post(url, BYTES, False)):
            self.assertEqual(sha256(told.body), pattern_sha256(BYTES))


def _matrix():
    for client in ("curl_h1", "curl_h2", "curl_upgrade", "nghttp", "node", "python"):
        for endpoint in ("odd", "odd2", "node"):
            def test(self, check=f"check_{client}", service=f"{endpoint}-service"):
                getattr(self, check)(service)
            setattr(H2Matrix, f"test_{client}_to_{endpoint}", test)


_matrix()


class H2Http(H2Case):
    """HTTP's details between the two protocols: h1 and h2 clients, `odd` (h1) and `odd2` (h2) endpoints."""

    @staticmethod
    def services():
        return [Service("odd-service", 7000, 1, OddTask), Service("odd2-service", 7002, 1, OddH2Task, H2),
                Service("node-service", 7003, 1, NodeH2Task, H2), Service("narrow-service", 7005, 1, NarrowTask, H2),
                Service("few-service", 7006, 1, FewStreamsTask, H2)]

    both = ("odd-service", "odd2-service")

    # ---- one message after the other

    def test_many_requests_on_one_connection(self):
        for service in self.both:
            client = self.h2(service)
            for _ in range(100):
                self.assertEqual(client.ask("/").status, 200)

    def test_hundred_streams_at_once_each_with_its_own_answer(self):
        for service in self.both:
            client = self.h2(service)
            numbers = {client.begin(f"/bytes/{1000 + i}"): 1000 + i for i in range(100)}
            for number, size in numbers.items():
                self.assertEqual(sha256(client.answer(number).body), pattern_sha256(size))

    def test_slow_answer_does_not_hold_up_the_next_stream(self):
        for service in self.both:
            client = self.h2(service)
            slow, quick = client.begin("/wait/0.5"), client.begin("/")
            client.answer(quick, 0.4)
            self.assertFalse(client.answers[slow].over)
            self.assertEqual(client.answer(slow).status, 200)

    def test_204_and_304_have_no_body(self):
        for service in self.both:
            client = self.h2(service)
            for status in (204, 304, 204):
                answer = client.ask(f"/status/{status}")
                self.assertEqual((answer.status, answer.body, answer.reset), (status, b"", None))
        raw = self.client("odd2-service")
        for status in (204, 304, 204):
            raw.send(f"GET /status/{status} HTTP/1.1\r\nHost: odd\r\n\r\n")
            self.assertEqual(raw.head()[0], status)
        self.assertEqual(raw.get("odd", "/")[0], 200)

    def test_early_hints_pass_before_the_answer(self):
        for service in (*self.both, "node-service"):
            answer = self.h2(service).ask("/early")
            self.assertEqual((answer.interim, answer.status, answer.body), ([103], 200, b"late\n"))
        raw = self.client("odd2-service")
        raw.send("GET /early HTTP/1.1\r\nHost: odd\r\n\r\n")
        status, fields = raw.head()
        self.assertEqual((status, dict(fields)["link"]), (103, "</style.css>; rel=preload"))
        self.assertEqual(raw.head()[0], 200)

    def test_expect_100_continue(self):
        for service in self.both:
            client = self.h2(service)
            number = client.begin("/echo", "POST", [("expect", "100-continue"), ("content-length", "4")], end=False)
            client.wait(lambda: client.answers[number].interim)
            self.assertEqual(client.answers[number].interim, [100])
            client.send(number, b"body", end=True)
            self.assertEqual(json.loads(client.answer(number).body)["bytes"], 4)
        raw = self.client("odd2-service")
        raw.send("POST /echo HTTP/1.1\r\nHost: odd\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(raw.head()[0], 100)
        raw.send("body")
        status, _, body = raw.answer() if raw.head()[0] != 200 else (200, None, None)
        self.assertEqual(status, 200)

    def test_trailers_of_requests(self):
        body = b"".join(pattern(BYTES))
        for service in (*self.both, "node-service"):
            answer = self.h2(service).ask("/echo", "POST", [("te", "trailers")], body, [("x-end", "yes"), ("x-more", "2")])
            told = json.loads(answer.body)
            self.assertEqual((told["bytes"], told["sha256"]), (BYTES, pattern_sha256(BYTES)))
            trailers = [t.lower().split(": ") if isinstance(t, str) else t for t in told["trailers"]]
            self.assertEqual(trailers, [["x-end", "yes"], ["x-more", "2"]])
        raw = self.client("odd2-service")
        raw.send("POST /echo HTTP/1.1\r\nHost: odd\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
                 "5;a=b\r\nhello\r\n7\r\n, world\r\n0\r\nX-End: yes\r\n\r\n")
        told = json.loads(raw.answer()[2])
        self.assertEqual((told["bytes"], told["sha256"]), (12, sha256(b"hello, world")))
        self.assertEqual(told["trailers"], [["x-end", "yes"]])

    def test_trailers_without_a_body(self):
        for service in self.both:
            told = json.loads(self.h2(service).ask("/echo", "POST", trailers=[("x-end", "yes")]).body)
            self.assertEqual((told["bytes"], [str(t).lower().count("x-end") for t in told["trailers"]]), (0, [1]))

    def test_trailers_of_answers(self):
        for service, target in (("odd-service", "/chunked/"), ("odd2-service", "/trailers/"), ("node-service", "/trailers/")):
            answer = self.h2(service).ask(f"{target}{BYTES}", fields=[("te", "trailers")])
            self.assertEqual(sha256(answer.body), pattern_sha256(BYTES))
            self.assertEqual(answer.trailers, [("x-sum", pattern_sha256(BYTES))])
        raw = self.client("odd2-service")
        raw.send(f"GET /trailers/{BYTES} HTTP/1.1\r\nHost: odd\r\nTE: trailers\r\n\r\n")
        status, fields = raw.head()
        self.assertEqual((status, dict(fields).get("transfer-encoding")), (200, "chunked"))
        body, trailers = raw.chunked()
        self.assertEqual((sha256(body), [t.lower() for t in trailers]),
                         (pattern_sha256(BYTES), [f"x-sum: {pattern_sha256(BYTES)}"]))
        self.assertEqual(raw.get("odd", "/")[0], 200)

    def test_http_1_0_client_of_an_h2_endpoint_gets_its_answer_by_close(self):
        answer, closed = self.exchange(b"GET /trailers/100 HTTP/1.0\r\nHost: odd\r\n\r\n", "odd2-service")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertEqual((statuses(answer), sha256(body), closed), ([200], pattern_sha256(100), True))
        self.assertNotIn(b"transfer-encoding", head.lower())

    def test_pipelined_requests_to_an_h2_endpoint_are_answered_in_order(self):
        raw = self.client("odd2-service")
        wanted = ["0.2", "0.1", "0.0", "0.1"]
        raw.send("".join(f"GET /wait/{s} HTTP/1.1\r\nHost: odd\r\n\r\n" for s in wanted) +
                 "POST /echo HTTP/1.1\r\nHost: odd\r\nContent-Length: 3\r\n\r\nabc")
        for _ in wanted:
            self.assertEqual(raw.answer()[0], 200)
        self.assertEqual(json.loads(raw.answer()[2])["bytes"], 3)

    # ---- fields

    def echoed(self, service, fields, **more):
        return json.loads(self.h2(service).ask("/echo", fields=fields, **more).body)["fields"]

    def test_eighty_fields_arrive(self):
        many = [(f"x-field-{i}", "v" * 100) for i in range(80)]
        for service in self.both:
            came = self.echoed(service, many)
            self.assertEqual({k: came.get(k) for k, _ in many}, dict(many))
        raw = self.client("odd2-service")
        raw.send("GET /echo HTTP/1.1\r\nHost: odd\r\n" + "".join(f"{k}: {v}\r\n" for k, v in many) + "\r\n")
        came = json.loads(raw.answer()[2])["fields"]
        self.assertEqual({k: came.get(k) for k, _ in many}, dict(many))

    def test_too_many_fields_and_too_long_a_head_are_431(self):
        for service in self.both:
            client = self.h2(service)
            self.assertEqual(client.ask("/", fields=[(f"x-{i}", "v") for i in range(120)]).status, 431)
            self.assertEqual(client.ask("/", fields=[("x-long", "v" * 62_000)]).status, 431)
            self.assertEqual(client.ask("/").status, 200)

    def test_cookie_crumbs_are_one_field_for_an_h1_endpoint(self):
        crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]
        self.assertEqual(self.echoed("odd-service", crumbs)["cookie"], "a=1; b=2; c=3")

    def test_cookie_crumbs_all_arrive_at_an_h2_endpoint(self):
        crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]
        lines = json.loads(self.h2("odd2-service").ask("/echo", fields=crumbs).body)["lines"]
        self.assertEqual("; ".join(v for k, v in lines if k == "cookie"), "a=1; b=2; c=3")

    def test_two_set_cookie_fields_stay_two(self):
        for service in self.both:
            self.assertEqual(self.h2(service).ask("/cookie").all("set-cookie"), ["a=1", "b=2"])
        raw = self.client("odd2-service")
        raw.send("GET /cookie HTTP/1.1\r\nHost: odd\r\n\r\n")
        self.assertEqual([v for k, v in raw.head()[1] if k == "set-cookie"], ["a=1", "b=2"])

    def test_fields_of_the_connection_stay_on_it(self):
        raw = self.client("odd2-service")
        raw.send("GET /echo HTTP/1.1\r\nHost: odd\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\n"
                 "Keep-Alive: timeout=5\r\nTE: trailers, deflate\r\nProxy-Connection: keep-alive\r\nX-Kept: 1\r\n\r\n")
        fields = json.loads(raw.answer()[2])["fields"]
        for name in ("connection", "x-private", "keep-alive", "proxy-connection", "transfer-encoding", "host"):
            self.assertNotIn(name, fields)
        self.assertEqual((fields["x-kept"], fields[":authority"], fields.get("te", "trailers")), ("1", "odd", "trailers"))
        answer = self.h2("odd-service").ask("/bytes/10")
        self.assertEqual({"connection", "keep-alive", "transfer-encoding"} & {k for k, _ in answer.fields}, set())

    def test_malformed_requests_are_refused_and_the_connection_goes_on(self):
        client = self.h2("odd-service")
        for bad in ([("connection", "close")], [("transfer-encoding", "chunked")], [("Upper", "1")], [("te", "gzip")],
                    [("x", "a\r\nb: c")], [("x", "a\0b")], [("content-length", "3")]):
            answer = client.ask("/echo", fields=bad)
            self.assertTrue(answer.reset == 1 or answer.status == 400, (bad, answer))
        self.assertEqual(client.ask("/").status, 200)

    def test_authority_becomes_host_and_host_becomes_authority(self):
        self.assertEqual(self.echoed("odd-service", [])["host"], "odd-service")
        self.assertEqual(self.echoed("odd2-service", [])[":authority"], "odd2-service")

    def test_forwarded_fields_are_added(self):
        for service in self.both:
            fields = self.echoed(service, [("x-forwarded-for", "192.0.2.7")])
            self.assertEqual(fields["x-forwarded-for"], f"192.0.2.7, {self.mesh.worker_ip}")
            self.assertEqual(fields["x-forwarded-proto"], "http")
            self.assertRegex(fields["via"], r"^2(\.0)? lab-gw$")
            self.assertTrue(fields["x-request-id"])

    def test_answers_of_our_own_are_told_in_h2(self):
        self.gateway.configure(lambda c: c["services"][1].update(endpoints=[]))
        self.gateway.ctl("reload")
        try:
            client = self.h2("odd2-service")
            self.assertTrue(wait_until(lambda: client.ask("/").status == 503, 5))
        finally:
            self.gateway.configure()
            self.gateway.ctl("reload")
            self.assertTrue(wait_until(lambda: self.gateway.endpoint_healthy(self.mesh.task("odd2-1")), 5))

    # ---- WebSocket, h2c

    def test_extended_connect_becomes_a_websocket_at_an_h1_endpoint(self):
        client = self.h2("odd-service")
        client.wait(lambda: client.h2.remote_settings.enable_connect_protocol)
        number = client.begin("/ws", "CONNECT", [("sec-websocket-version", "13"), ("origin", "http://odd")], end=False,
                              pseudo=[(":protocol", "websocket")])
        client.wait(lambda: client.answers[number].status)
        self.assertEqual(client.answers[number].status, 200)
        said = b""
        for piece in (b"\x81\x05hello", b"\x00" * 200_000, b"GET / HTTP/1.1\r\n\r\n"):
            said += piece
            client.send(number, piece)
            client.wait(lambda: len(client.answers[number].body) == len(said))
        self.assertEqual(client.answers[number].body, said)
        self.assertEqual(client.ask("/").status, 200)  # the connection serves other streams meanwhile

    def test_h2c_upgrade_answers_on_stream_1_and_goes_on(self):
        for service in self.both:
            client = self.h2(service, upgrade="/bytes/5000")
            self.assertEqual(sha256(client.answer(1).body), pattern_sha256(5000))
            self.assertEqual(client.ask("/echo", "POST", body=b"x" * 1000).status, 200)
        self.assertIn(":status: 200", self.programs.nghttp_talk(self.url("odd2-service", "/"), "-u"))

    def test_h2c_upgrade_with_a_body_is_answered_in_http_1_1(self):
        raw = self.client("odd2-service")
        raw.send("POST /echo HTTP/1.1\r\nHost: odd\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                 "HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 3\r\n\r\nabc")
        status, _, body = raw.answer()
        self.assertEqual((status, json.loads(body)["bytes"]), (200, 3))

    # ---- flow control

    def test_stream_that_is_not_read_does_not_stop_another(self):
        """The two share the client's connection and the endpoint's."""
        for service in self.both:
            client = self.h2(service)
            stuck = client.begin("/bytes/3000000")
            client.held.add(stuck)
            client.wait(lambda: len(client.answers[stuck].body) == 65_535)
            self.assertEqual(sha256(client.ask(f"/bytes/{BYTES * 10}").body), pattern_sha256(BYTES * 10))
            self.assertEqual(len(client.answers[stuck].body), 65_535)
            client.held.discard(stuck)
            client.h2.acknowledge_received_data(65_535, stuck)
            client.flush()
            self.assertEqual(sha256(client.answer(stuck).body), pattern_sha256(3_000_000))

    def test_many_clients_that_do_not_read_do_not_stop_another(self):
        """Their streams share the endpoint's connection, whose window they must not use up."""
        stuck = [self.h2("odd2-service") for _ in range(12)]
        for client in stuck:
            number = client.begin("/bytes/3000000")
            client.held.add(number)
            client.wait(lambda: len(client.answers[number].body) == 65_535)
        self.assertEqual(sha256(self.h2("odd2-service").ask(f"/bytes/{BYTES}").body), pattern_sha256(BYTES))

    def test_endpoint_that_reads_slowly_does_not_stop_another_stream(self):
        for service in self.both:
            client = self.h2(service)
            slow = client.begin("/slow-read/400000", "POST", end=False)
            client.send(slow, b"s" * 65_535)
            self.assertEqual(json.loads(client.ask("/echo", "POST", body=b"q" * BYTES).body)["bytes"], BYTES)
            self.assertFalse(client.answers[slow].over)
            client.send(slow, b"s" * 100_000, end=True)
            self.assertEqual(json.loads(client.answer(slow).body)["bytes"], 165_535)

    def test_window_of_one_byte_at_the_client(self):
        for service in self.both:
            client = self.h2(service, window=1)
            self.assertEqual(sha256(client.ask("/bytes/500").body), pattern_sha256(500))

    def test_window_of_one_byte_at_the_endpoint(self):
        body = b"".join(pattern(500))
        told = json.loads(self.h2("narrow-service").ask("/echo", "POST", body=body).body)
        self.assertEqual(told["sha256"], pattern_sha256(500))
        raw = self.client("narrow-service")
        raw.send(b"POST /echo HTTP/1.1\r\nHost: odd\r\nContent-Length: 500\r\n\r\n" + body)
        self.assertEqual(json.loads(raw.answer()[2])["sha256"], pattern_sha256(500))

    def test_endpoint_that_takes_few_streams_serves_all(self):
        """More than it takes come at once, on connections that have not heard its SETTINGS."""
        self.assertClean(self.h2load("few-service", "/health", "-n", 1000, "-c", 5, "-m", 20).report(), 1000)

    # ---- endings

    def test_answer_before_the_end_of_the_request(self):
        client = self.h2("odd2-service")
        number = client.begin("/early-answer", "POST", end=False)
        client.send(number, b"x" * 1000)
        answer = client.answer(number)
        self.assertEqual((answer.status, answer.body), (200, b"early\n"))
        self.assertEqual(client.ask("/").status, 200)

    def test_reset_of_the_endpoint_reaches_the_client(self):
        client = self.h2("odd2-service")
        answer = client.ask("/half")
        self.assertEqual((answer.status, answer.ended), (200, False))
        self.assertIsNotNone(answer.reset)
        self.assertEqual(client.ask("/reset/2", "POST", body=b"not to be repeated").status, 503)
        self.assertEqual(client.ask("/").status, 200)
        raw = self.client("odd2-service")
        raw.send("GET /half HTTP/1.1\r\nHost: odd\r\n\r\n")
        self.assertEqual(raw.head()[0], 200)
        body, closed = raw.everything()
        self.assertEqual((body, closed), (b"0123456789", True))

    def test_reset_of_the_client_reaches_the_endpoint(self):
        client = self.h2("odd2-service")
        number = client.begin("/bytes/100000000")
        client.wait(lambda: len(client.answers[number].body) > 100_000)
        client.h2.reset_stream(number, 8)
        client.flush()
        self.assertEqual(client.ask("/").status, 200)
        self.assertTrue(wait_until(lambda: self.active() == 0, 5), f"{self.active()} requests go on")

    def test_refused_stream_is_tried_again_even_with_a_body(self):
        before = self.gateway.counter("upstream_retries")
        stamp = time.monotonic_ns()
        self.assertEqual(self.h2("odd2-service").ask(f"/refuse/1?{stamp}").status, 200)
        self.assertGreater(self.gateway.counter("upstream_retries"), before)

    def test_endpoint_that_leaves_again_and_again_loses_nothing(self):
        report = self.h2load("odd2-service", "/goaway", "-n", 300, "-c", 4, "-m", 4).report()
        self.assertClean(report, 300)

    def test_zz_nothing_is_left_of_all_this(self):
        self.assertTrue(wait_until(lambda: self.active() == 0, 10, 0.1), f"{self.active()} requests go on")
        resting = 2200  # receive rings of the port
        self.assertTrue(wait_until(lambda: self.gateway.ask("/status")["cores"][0]["mbufs_in_use"] < resting, 10, 0.1))


class H2Many(H2Case):
    """Many at once: counts are exact, endpoints share fairly, connections are few (R22)."""

    ip4_only = "load; what it shows lies above the network"

    @staticmethod
    def services():
        return [Service("auth-service", 4000, 2, LoggedTask), Service("auth2-service", 4002, 2, LoggedH2Task, H2)]

    def arrived(self, service, prefix):
        return [task.requests(prefix) for task in self.mesh.service(service).members]

    def check(self, service, prefix, total, report):
        self.assertClean(report, total)
        print(f"    {service}: {report.rate:.0f} requests/s", file=sys.stderr)
        counts = self.arrived(service, prefix)
        self.assertEqual(sum(counts), total)
        self.assertGreater(min(counts), total * 0.2, counts)  # bounded load spares the slower one

    def test_h2_to_h1(self):
        self.check("auth-service", "/a", 10_000, self.h2load("auth-service", "/a", "-n", 10_000, "-c", 8, "-m", 100).report())

    def test_h2_to_h2_over_few_connections(self):
        self.check("auth2-service", "/b", 40_000, self.h2load("auth2-service", "/b", "-n", 40_000, "-c", 8, "-m", 100).report())
        for task in self.mesh.service("auth2-service").members:
            open_now = task.namespace.run("ss", "-Htn", "state", "established", "sport", f":{task.port}").stdout.splitlines()
            # 128 streams each is what nginx takes; 800 at once, over two endpoints.
            self.assertLessEqual(len(open_now), 16, open_now)

    def test_h1_to_h2(self):
        self.check("auth2-service", "/c", 10_000,
                   self.h2load("auth2-service", "/c", "--h1", "-n", 10_000, "-c", 32).report())

    def test_many_connections(self):
        self.check("auth2-service", "/d", 8_000, self.h2load("auth2-service", "/d", "-n", 8_000, "-c", 400, "-m", 4).report())

    def test_larger_answers(self):
        for service in ("auth-service", "auth2-service"):
            report = self.h2load(service, "/bytes/102400", "-n", 400, "-c", 8, "-m", 10).report()
            self.assertClean(report, 400)

    def test_wrk_to_h2(self):
        report = wrk(self.mesh.client, self.url("auth2-service", "/w"), 1, 32)
        self.assertEqual((report.socket_errors, report.bad_status), (0, 0))
        self.assertGreater(report.requests, 1000)


class H2Large(H2Case):
    """256 MiB to the client, half as much to the endpoint and back, over HTTP/2 on both sides, by programs in C."""

    ip4_only = "as much again would show nothing new"
    SIZE = 256 << 20

    @staticmethod
    def services():
        unhurried = {"timeout": {"perRequestTimeoutSeconds": 0}}  # a busy machine may take longer than 15 seconds
        return [Service("nghttpd-service", 7004, 1, NghttpdTask, {**H2, **unhurried})]

    def test_256_mib_out_and_back(self):
        os.symlink(self.programs.file(self.SIZE), os.path.join(self.mesh.task("nghttpd-1").folder, "large"))
        half = self.SIZE // 2
        for name, size, words in (("download", self.SIZE, []), ("upload and back", half, ["-d", self.programs.file(half)])):
            began = time.monotonic()
            done = self.mesh.client.run("sh", "-c", 'nghttp -w 20 -W 22 "$@" | sha256sum', "sh", *words,
                                        self.url("nghttpd-service", "/large"), timeout=120)
            seconds = time.monotonic() - began
            self.assertEqual(done.stdout.split()[0], pattern_sha256(size), done.stderr)
            print(f"    {name}: {size * 8 / seconds / 1e9:.2f} Gbit/s", file=sys.stderr)
