"""HTTP/1.1 through the gateway as a client sees it: RFC 9110 and RFC 9112."""

import hashlib
import json

from lab_case import LabCase, statuses
from ringway_lab.backend import pattern_sha256


class Http(LabCase):
    def test_curl_by_name_reaches_a_task(self):
        done = self.mesh.curl("http://auth-service:4000/validate")
        self.assertRegex(done.stdout, r"^auth-[12] /validate$")

    def test_curl_by_address_reaches_a_task(self):
        auth = self.mesh.service("auth-service")
        self.assertRegex(self.mesh.curl(f"http://{auth.authority}/validate").stdout, r"^auth-[12] ")

    def test_both_tasks_get_requests(self):
        client, names = self.client("auth-service"), set()
        for _ in range(100):
            names.add(client.get("auth-service", "/")[1]["x-backend"])
        self.assertEqual(names, {"auth-1", "auth-2"})

    def test_keep_alive_serves_many_requests_on_one_connection(self):
        client = self.client("auth-service")
        for i in range(200):
            status, _, body = client.get("auth-service", f"/{i}")
            self.assertEqual((status, body.split()[1]), (200, b"/%d" % i))

    def test_connection_close_is_honoured(self):
        answer, closed = self.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "auth-service")
        self.assertEqual(statuses(answer), [200])
        self.assertTrue(closed)

    def test_pipelined_answers_come_in_order(self):
        client = self.client()
        wanted = ["0.3", "0.1", "0.0", "0.2", "0.0"]
        for i, seconds in enumerate(wanted):
            client.send(f"GET /wait/{seconds}?{i} HTTP/1.1\r\nHost: odd\r\n\r\n")
        client.send("POST /echo HTTP/1.1\r\nHost: odd\r\nContent-Length: 3\r\n\r\nabc")
        for _ in wanted:
            self.assertEqual(client.answer()[0], 200)
        self.assertEqual(json.loads(client.answer()[2])["bytes"], 3)

    def test_a_hundred_pipelined_requests_in_one_write(self):
        client = self.client("auth-service")
        client.send("".join(f"GET /p{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(100)))
        for i in range(100):
            self.assertEqual(client.answer()[2].split()[1], b"/p%d" % i)

    def test_request_in_single_bytes_is_understood(self):
        client = self.client()
        for byte in b"GET / HTTP/1.1\r\nHost: odd\r\n\r\n":
            client.send(bytes([byte]))
        self.assertEqual(client.answer()[0], 200)

    def test_head_has_length_and_no_body(self):
        client = self.client()
        for _ in range(2):
            client.send("HEAD /bytes/5000 HTTP/1.1\r\nHost: odd\r\n\r\n")
            status, fields = client.head()
            self.assertEqual((status, dict(fields)["content-length"]), (200, "5000"))
        self.assertEqual(client.get("odd", "/")[0], 200)

    def test_204_and_304_have_no_body(self):
        client = self.client()
        for status in (204, 304, 204):
            client.send(f"GET /status/{status} HTTP/1.1\r\nHost: odd\r\n\r\n")
            self.assertEqual(client.head()[0], status)
        self.assertEqual(client.get("odd", "/")[0], 200)

    def test_chunked_answer_with_extensions_and_trailer_passes(self):
        client = self.client()
        client.send("GET /chunked/600000 HTTP/1.1\r\nHost: odd\r\nTE: trailers\r\n\r\n")
        status, fields = client.head()
        self.assertEqual((status, dict(fields).get("transfer-encoding")), (200, "chunked"))
        body, trailers = client.chunked()
        self.assertEqual(hashlib.sha256(body).hexdigest(), pattern_sha256(600000))
        self.assertEqual([t.lower() for t in trailers], [f"x-sum: {pattern_sha256(600000)}"])
        self.assertEqual(client.get("odd", "/")[0], 200)

    def test_chunked_request_with_extensions_and_trailer_passes(self):
        client = self.client()
        client.send("POST /echo HTTP/1.1\r\nHost: odd\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
                    "5;a=b\r\nhello\r\n1\r\n,\r\n6;q=\"x;y\"\r\n world\r\n0\r\nX-End: yes\r\n\r\n")
        status, _, body = client.answer()
        told = json.loads(body)
        self.assertEqual((status, told["bytes"]), (200, 12))
        self.assertEqual(told["sha256"], hashlib.sha256(b"hello, world").hexdigest())
        self.assertEqual([t.lower() for t in told["trailers"]], ["x-end: yes"])

    def test_answer_delimited_by_close_arrives_whole(self):
        done = self.mesh.curl("http://odd-service:7000/close/300000", "-o", f"{self.lab.dir}/close")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(f"{self.lab.dir}/close", "rb") as f:
            self.assertEqual(hashlib.sha256(f.read()).hexdigest(), pattern_sha256(300000))

    def test_early_hints_are_forwarded_before_the_answer(self):
        client = self.client()
        client.send("GET /early HTTP/1.1\r\nHost: odd\r\n\r\n")
        self.assertEqual(client.head()[0], 103)
        self.assertEqual(client.answer()[2], b"late\n")

    def test_expect_100_continue_is_answered_before_the_body(self):
        client = self.client()
        client.send("POST /echo HTTP/1.1\r\nHost: odd\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(client.head()[0], 100)
        client.send("body")
        status, _, body = client.answer()
        self.assertEqual((status, json.loads(body)["bytes"]), (200, 4))

    def test_http_1_0_client_gets_an_unchunked_answer_and_close(self):
        answer, closed = self.exchange(b"GET /chunked/100 HTTP/1.0\r\nHost: odd\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertEqual(statuses(answer), [200])
        self.assertNotIn(b"transfer-encoding", head.lower())
        self.assertEqual(hashlib.sha256(body).hexdigest(), pattern_sha256(100))
        self.assertTrue(closed)

    def test_upgrade_becomes_a_tunnel_both_ways(self):
        client = self.client()
        client.send("GET /ws HTTP/1.1\r\nHost: odd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        status, fields = client.head()
        self.assertEqual((status, dict(fields).get("upgrade", "").lower()), (101, "websocket"))
        for piece in (b"\x81\x05hello", b"\x00" * 70000, b"GET / HTTP/1.1\r\n\r\n"):
            client.send(piece)
            self.assertEqual(client.exactly(len(piece)), piece)

    def test_two_set_cookie_lines_stay_two(self):
        client = self.client()
        client.send("GET /cookie HTTP/1.1\r\nHost: odd\r\n\r\n")
        self.assertEqual([v for k, v in client.head()[1] if k == "set-cookie"], ["a=1", "b=2"])

    def echoed(self, *lines):
        client = self.client()
        client.send("\r\n".join(["GET /echo HTTP/1.1", "Host: odd", *lines, "", ""]))
        return json.loads(client.answer()[2])["fields"]

    def test_hop_by_hop_fields_are_removed(self):
        fields = self.echoed("Connection: keep-alive, X-Private", "X-Private: 1", "Keep-Alive: timeout=5",
                             "Proxy-Connection: keep-alive", "X-Kept: 1")
        for name in ("x-private", "keep-alive", "proxy-connection"):
            self.assertNotIn(name, fields)
        self.assertEqual(fields["x-kept"], "1")

    def test_forwarded_fields_are_added(self):
        self.ringway_only()
        fields = self.echoed()
        self.assertEqual(fields["x-forwarded-for"], self.mesh.worker_ip)
        self.assertEqual(fields["x-forwarded-proto"], "http")
        self.assertIn("1.1 lab-gw", fields["via"])
        self.assertTrue(fields["x-request-id"])
        self.assertNotEqual(fields["x-request-id"], self.echoed()["x-request-id"])

    def test_request_id_of_the_client_is_kept_and_forwarded_for_grows(self):
        self.ringway_only()
        fields = self.echoed("X-Request-Id: mine-1", "X-Forwarded-For: 192.0.2.7")
        self.assertEqual(fields["x-request-id"], "mine-1")
        self.assertEqual(fields["x-forwarded-for"], f"192.0.2.7, {self.mesh.worker_ip}")

    def test_host_arrives_as_sent(self):
        self.assertEqual(self.echoed()["host"], "odd")

    def test_abandoned_download_leaves_the_gateway_well(self):
        for _ in range(20):
            client = self.client()
            client.send("GET /bytes/50000000 HTTP/1.1\r\nHost: odd\r\n\r\n")
            client.head()
            client.sock.close()
        self.still_serves()

    def test_half_closed_client_still_gets_its_answer(self):
        client = self.client()
        client.send("GET /wait/0.3 HTTP/1.1\r\nHost: odd\r\n\r\n")
        client.sock.shutdown(1)
        self.assertEqual(client.answer()[0], 200)
