"""What routes do to requests, with curl over HTTP/1.1 and HTTP/2 on one side and endpoints of both on the other."""

import time

from h2_programs import Programs
from lab_case import LabCase, LoggedTask, Service, statuses, wait_until
from ringway_lab.task import OddH2Task, OddTask

H2 = ["--http2-prior-knowledge"]


def at(path):
    return [{"path": {"type": "prefix", "value": path}}]


def routes(service):
    to = [{"service": service}]
    return [
        {"name": "prefix", "matches": at("/p"), "backends": to,
         "rewrite": {"replacePrefixMatch": "/echo", "host": "inner.example:81"},
         "requestHeaders": {"set": [{"name": "X-Set", "value": "%REQ(x-in)%/%PROTOCOL%"}],
                            "add": [{"name": "X-Client", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"},
                                    {"name": "X-Where", "value": "%ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_HOST%"}],
                            "remove": ["x-gone"]},
         "responseHeaders": {"set": [{"name": "x-backend", "value": "hidden"}],
                             "add": [{"name": "x-asked", "value": "%REQ(:path)%"}]}},
        {"name": "regex", "matches": at("/r"), "backends": to,
         "rewrite": {"regex": {"pattern": "^/r/([a-z]+)/([0-9]+)$", "substitution": "/echo/\\2/\\1"}}},
        {"name": "full", "matches": at("/f"), "backends": to, "rewrite": {"replaceFullPath": "/echo"}},
        {"name": "again", "matches": at("/again"), "rewrite": {"replacePrefixMatch": "/die"}, "backends": to},
        {"name": "old", "matches": at("/old"),
         "redirect": {"scheme": "https", "host": "new.example", "port": 8443, "replacePrefixMatch": "/new", "status": 308}},
        {"name": "pot", "matches": at("/pot"),
         "directResponse": {"status": 418, "body": "{\"short\": \"stout\"}", "contentType": "application/json"},
         "responseHeaders": {"set": [{"name": "X-Pot", "value": "%REQ(x-in)%"}]}},
        {"name": "slow", "matches": at("/slow"), "backends": to, "rewrite": {"replaceFullPath": "/echo"},
         "fault": {"delay": {"milliseconds": 700}, "header": "X-Slow"}},
        {"name": "fails", "matches": at("/fails"), "backends": to, "fault": {"abort": {"status": 429}}},
        {"name": "copied", "matches": at("/echo/copied"), "backends": to, "mirror": {"service": "copy-service"}},
        {"name": "bad", "matches": at("/bad"), "backends": to, "rewrite": {"regex": {"pattern": "^/bad", "substitution": "bad"}}},
    ]


class Actions(LabCase):
    @classmethod
    def services(cls):
        return [Service("odd-service", 7000, 2, OddTask), Service("two-service", 7100, 1, OddH2Task, {"appProtocol": "http2"}),
                Service("copy-service", 7200, 1, LoggedTask)]

    options = {"listeners": [
        {"name": "one", "address": "10.78.0.50", "port": 80, "dnsName": "one", "routes": routes("odd-service")},
        {"name": "two", "address": "10.78.0.51", "port": 80, "dnsName": "two", "routes": routes("two-service")}]}

    def setUp(self):
        self.programs = Programs(self.mesh)

    def each_way(self):
        """Every pair of protocols: the name that is called, and curl's words."""
        return [(name, words) for name in ("one", "two") for words in ([], H2)]

    def test_prefix_host_and_fields(self):
        for name, words in self.each_way():
            told = self.programs.curl(f"http://{name}/p/a/b?q=1", "-H", "X-Gone: 1", "-H", "X-In: in", "-H", "X-Set: forged", *words)
            fields = told.json["fields"]
            self.assertEqual(told.json["target"], "/echo/a/b?q=1")
            self.assertEqual(fields.get("host") or fields.get(":authority"), "inner.example:81")
            self.assertEqual(fields["x-envoy-original-path"], "/p/a/b?q=1")
            self.assertEqual(fields["x-set"], "in/HTTP/2" if words else "in/HTTP/1.1")
            self.assertEqual(fields["x-client"], self.mesh.worker_ip)
            self.assertRegex(fields["x-where"], r"^prefix (odd|two)-service \S+:8080$")
            self.assertNotIn("x-gone", fields)
            self.assertEqual((told.fields["x-backend"], told.fields["x-asked"]), ("hidden", "/p/a/b?q=1"))

    def test_expressions_move_groups_and_leave_other_paths_alone(self):
        for name, words in self.each_way():
            told = self.programs.curl(f"http://{name}/r/abc/123?r=1", *words)
            self.assertEqual(told.json["target"], "/echo/123/abc?r=1")
            self.assertEqual(self.programs.curl(f"http://{name}/r/ABC", *words).status, 200)
            self.assertEqual(self.programs.curl(f"http://{name}/f/x?q", *words).json["target"], "/echo?q")

    def test_bodies_go_along(self):
        for name, words in self.each_way():
            for length in (True, False):
                self.assertEqual(self.programs.curl_post(f"http://{name}/p", 300_000, length, *words).json["bytes"], 300_000)

    def test_a_request_that_is_tried_again_is_rewritten_once(self):
        """/die closes without an answer: a GET goes to the other task, as /die again and not as /diedie."""
        answer, _ = self.routed(b"GET /again HTTP/1.1\r\nHost: one\r\n\r\n")
        self.assertEqual(statuses(answer), [503])
        self.assertGreaterEqual(self.gateway.numbers()["upstream_retries"], 1)

    def routed(self, request):
        listener = self.gateway.listeners[0]["address"]
        sock = self.mesh.client.connect(listener, 80, 5)
        self.addCleanup(sock.close)
        sock.sendall(request)
        sock.settimeout(2)
        got = b""
        try:
            while piece := sock.recv(65536):
                got += piece
                if b"\r\n\r\n" in got and b"content-length: 0" in got.lower():
                    break
        except TimeoutError:
            pass
        return got, None

    def test_redirect(self):
        for name, words in self.each_way():
            told = self.programs.curl(f"http://{name}/old/x?q=1", *words)
            self.assertEqual((told.status, told.fields["location"], told.body), (308, "https://new.example:8443/new/x?q=1", b""))
            if words == H2:
                continue  # curl 7.88 takes RST_STREAM(NO_ERROR) behind a whole answer for an error (RFC 9113 8.1: it must not)
            told = self.programs.curl(f"http://{name}/old", "-d", "body", *words)
            self.assertEqual((told.status, told.fields["location"]), (308, "https://new.example:8443/new"))

    def test_direct_response(self):
        for name, words in self.each_way():
            told = self.programs.curl(f"http://{name}/pot", "-H", "X-In: hello", *words)
            self.assertEqual((told.status, told.json, told.fields["content-type"], told.fields["x-pot"]),
                             (418, {"short": "stout"}, "application/json", "hello"))
            head = self.programs.curl(f"http://{name}/pot", "-I", *words)
            self.assertEqual((head.status, head.fields["content-length"]), (418, "18"))

    def test_delay_by_header(self):
        for name, words in self.each_way():
            begun = time.monotonic()
            quick = self.programs.curl(f"http://{name}/slow", *words)
            between = time.monotonic()
            slow = self.programs.curl(f"http://{name}/slow", "-H", "X-Slow: 1", "-d", "abc", *words)
            self.assertGreater(time.monotonic() - between, 0.69)
            self.assertLess(between - begun, 0.6)
            self.assertNotIn("x-ringway-flag", quick.fields)
            self.assertEqual((slow.fields["x-ringway-flag"], slow.json["bytes"]), ("DI", 3))

    def test_abort(self):
        for name, words in self.each_way():
            told = self.programs.curl(f"http://{name}/fails", *words)
            self.assertEqual((told.status, told.fields["x-ringway-flag"]), (429, "FI"))

    def test_mirror_gets_a_copy_of_each_request(self):
        copy = self.mesh.task("copy-1")
        for i, (name, words) in enumerate(self.each_way()):
            told = self.programs.curl_post(f"http://{name}/echo/copied/{i}", 100_000, True, *words)
            self.assertEqual(told.json["bytes"], 100_000)
            self.assertTrue(wait_until(lambda: copy.requests(f"/echo/copied/{i}") == 1, 5), "the copy has not come")

    def test_rewrites_that_make_no_path(self):
        for name, words in self.each_way():
            told = self.programs.curl(f"http://{name}/bad", *words)
            self.assertEqual((told.status, told.fields["x-ringway-flag"]), (500, "rewrite"))

    def test_explain_says_what_happens(self):
        told = self.gateway.ctl("explain", "GET", "http://one/p/x", "-H", "X-In: 1")
        for words in ("path and query become /echo/x", "host becomes inner.example:81", "request header X-Set: 1/HTTP/1.1"):
            self.assertIn(words, told)
        self.assertIn("308: redirect to https://new.example:8443/new/x", self.gateway.ctl("explain", "GET", "http://one/old/x"))


class ChangedActions(LabCase):
    """A reload changes what happens to the next request; a file that is wrong changes nothing."""

    ip4_only = "the plan is the same"
    options = {"listeners": [{"name": "one", "address": "10.78.0.50", "port": 80, "dnsName": "one", "routes": [
        {"name": "r", "matches": at("/"), "rewrite": {"replaceFullPath": "/echo"}, "backends": [{"service": "odd-service"}]}]}]}

    def test_reload(self):
        programs = Programs(self.mesh)
        self.assertEqual(programs.curl("http://one/x").json["target"], "/echo")

        def change(config):
            config["listeners"][0]["routes"][0]["rewrite"] = {"regex": {"pattern": "^/(.*)", "substitution": "/echo/\\1"}}
        self.gateway.configure(change)
        self.gateway.ctl("reload")
        self.assertEqual(programs.curl("http://one/x").json["target"], "/echo/x")

        def spoil(config):
            config["listeners"][0]["routes"][0]["rewrite"] = {"regex": {"pattern": "^/(.*", "substitution": "/echo"}}
        self.gateway.configure(spoil)
        done = self.mesh.gw.run(self.gateway.program("ringwayctl"), "--socket", self.gateway.path("admin.sock"), "reload")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, r":\d+:\d+: regular expression: missing closing parenthesis")
        self.assertEqual(programs.curl("http://one/y").json["target"], "/echo/y")
