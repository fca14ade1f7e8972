"""The two programs from the outside: ringway's commands and exit statuses, every command of ringwayctl, telemetry."""

import json
import os
import subprocess
import unittest

from lab_case import GATEWAY, HERE, LabCase, Service, authority

ROOT = os.path.dirname(os.path.dirname(HERE))


def setUpModule():
    if GATEWAY != "ringway":
        raise unittest.SkipTest("Ringway's own")


class Ctl(LabCase):
    def ctl_fails(self, *words):
        done = self.mesh.gw.run(self.gateway.program("ringwayctl"), "--socket", self.gateway.path("admin.sock"), *words)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertTrue(done.stderr.strip(), "no sentence on stderr")

    def test_every_command_answers_in_text_and_json(self):
        for command in ("status", "services", "endpoints", "connections", "counters"):
            with self.subTest(command):
                self.assertTrue(self.gateway.ctl(command).strip())
                self.assertIn(type(json.loads(self.gateway.ctl(command, "--json"))), (dict, list))

    def test_status_says_generation_port_and_steering(self):
        text = self.gateway.ctl("status")
        self.assertIn("net_af_xdp", text)
        self.assertRegex(text, r"(?i)steering")

    def test_services_names_each_alias_with_its_address(self):
        text = self.gateway.ctl("services")
        for service in self.mesh.services:
            self.assertIn(service.name, text)
            self.assertIn(service.vip, text)

    def test_endpoints_names_each_task(self):
        text = self.gateway.ctl("endpoints")
        for task in self.mesh.tasks():
            self.assertIn(authority(task.ip, task.port), text)

    def test_counters_count_requests(self):
        before = self.gateway.counter("requests")
        for _ in range(7):
            self.still_serves()
        self.assertTrue(self.gateway.counter("requests") - before >= 7)

    def test_connections_shows_an_open_one(self):
        client = self.client("auth-service")
        client.get("a", "/")
        port = client.sock.getsockname()[1]
        self.assertIn(authority(self.mesh.worker_ip, port), self.gateway.ctl("connections"))

    def test_explain_says_service_slot_and_endpoint(self):
        text = self.gateway.ctl("explain", "GET", "http://auth-service:4000/validate")
        self.assertIn("auth-service", text)
        self.assertTrue(any(authority(t.ip, 8080) in text for t in self.mesh.service("auth-service").members), text)
        self.assertRegex(text, r"(?i)slot")

    def test_explain_of_a_port_that_nobody_listens_on_says_so(self):
        self.ctl_fails("explain", "GET", "http://auth-service:4999/")

    def test_reload_answers_with_the_new_generation(self):
        before = self.gateway.generation()
        self.gateway.ctl("reload")
        self.assertGreater(self.gateway.generation(), before)

    def test_unknown_command_fails_with_a_sentence(self):
        self.ctl_fails("dance")

    def test_absent_gateway_fails_with_a_sentence(self):
        done = self.mesh.gw.run(self.gateway.program("ringwayctl"), "--socket", "/nowhere.sock", "status")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/nowhere.sock", done.stderr)

    def test_dpdk_telemetry_shows_ringway(self):
        asks = "/\n/ringway/counters\nquit\n"
        prefix = self.gateway.telemetry_prefix()
        done = self.mesh.gw.run("dpdk-telemetry.py", *(["-f", prefix] if prefix else []), input=asks, timeout=10)
        self.assertIn("/ringway/", done.stdout, done.stdout + done.stderr)
        self.assertIn('"requests"', done.stdout)


class Shared(LabCase):
    """A shared listener: routes by path, header and query, and what explain says of them."""

    @staticmethod
    def services():
        return [Service("api-service", 3000, 1), Service("auth-service", 4000, 1)]

    options = {"listeners": [{
        "name": "shared", "address": "10.78.0.50", "port": 80, "dnsName": "shared", "service": "api-service",
        "routes": [
            {"name": "auth", "matches": [{"path": {"type": "prefix", "value": "/auth"}}], "backends": [{"service": "auth-service"}]},
            {"name": "numbers", "matches": [{"path": {"type": "regex", "value": "/n/[0-9]+"}}], "backends": [{"service": "auth-service"}]},
            {"name": "canary", "matches": [{"headers": [{"name": "x-canary", "value": "yes"}]}], "backends": [{"service": "auth-service"}]},
            {"name": "query", "matches": [{"query": [{"name": "who", "type": "regex", "value": "a.*h"}]}], "backends": [{"service": "auth-service"}]},
        ]}]}

    def test_requests_follow_the_routes(self):
        for path, header, name in (("/", "X: y", "api-1"), ("/auth", "X: y", "auth-1"), ("/auth/x", "X: y", "auth-1"),
                                   ("/authentic", "X: y", "api-1"), ("/n/123", "X: y", "auth-1"), ("/n/12x", "X: y", "api-1"),
                                   ("/", "X-Canary: yes", "auth-1"), ("/", "X-Canary: no", "api-1"),
                                   ("/?who=auth", "X: y", "auth-1"), ("/?who=api", "X: y", "api-1")):
            with self.subTest(path=path, header=header):
                self.assertEqual(self.mesh.curl("-H", header, f"http://shared{path}").stdout.split()[0], name)

    def test_explain_names_the_route(self):
        self.assertIn("numbers", self.gateway.ctl("explain", "GET", "http://shared/n/1"))


class NotFound(LabCase):
    @staticmethod
    def services():
        return [Service("api-service", 3000, 1)]

    options = {"listeners": [{"name": "strict", "address": "10.78.0.50", "port": 80, "dnsName": "strict", "routes": [
        {"matches": [{"path": {"type": "exact", "value": "/only"}}], "backends": [{"service": "api-service"}]}]}]}

    def test_no_route_and_no_default_is_404(self):
        self.assertEqual(self.mesh.curl("-o", "/dev/null", "-w", "%{http_code}", "http://strict/other").stdout, "404")
        self.assertEqual(self.mesh.curl("-o", "/dev/null", "-w", "%{http_code}", "http://strict/only").stdout, "200")


class Programs(LabCase):
    """No gateway runs here: `ringway check`, `version`, and starts that must fail with a sentence."""

    starts = False
    ip4_only = "nothing is sent"

    def ringway(self, *words):
        return subprocess.run([self.gateway.program("ringway"), *words], capture_output=True, text=True, timeout=20)

    def check(self, text):
        return self.ringway("check", "--config", self.gateway.write("checked.yaml", text))

    def test_version_names_itself(self):
        done = self.ringway("version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^ringway \d+\.\d+\.\d+")

    def test_check_accepts_the_example(self):
        done = self.ringway("check", "--config", os.path.join(ROOT, "examples", "service-connect.yaml"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_check_accepts_the_configuration_of_the_lab(self):
        done = self.ringway("check", "--config", self.gateway.configure())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_check_tells_every_problem_with_its_place(self):
        with open(self.gateway.configure()) as f:
            good = f.read()
        bad = good.replace("idle: backoff", "idle: snooze").replace("portName: auth", "portNam: auth").replace(
            "port: 7000", "port: 70000")
        done = self.check(bad)
        self.assertNotEqual(done.returncode, 0)
        text = done.stdout + done.stderr
        for word in ("snooze", "portNam", "70000"):
            self.assertRegex(text, rf"checked\.yaml:\d+:\d+: .*{word}")

    def test_check_refuses_files_that_are_no_configuration(self):
        for text in ("", "[]", "a: b: c", "gateway: 7\n", "\x00\x01", "services: []\n", "&a [*a]", "{" * 2000):
            with self.subTest(text[:20]):
                done = self.check(text)
                self.assertEqual(done.returncode, 1, (done.returncode, done.stdout, done.stderr))
                self.assertIn("checked.yaml", done.stdout + done.stderr)

    def test_check_of_an_absent_file_fails_with_a_sentence(self):
        done = self.ringway("check", "--config", "/nowhere.yaml")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/nowhere.yaml", done.stdout + done.stderr)

    def test_run_with_steering_that_the_port_cannot_do_fails_with_a_sentence(self):
        """net_af_packet has no rules, net_tap makes them of cls_flower, which knows no ranges of ports."""
        cores = [0, 1]
        for device, driver in (("net_af_packet0,iface=eth0,qpairs=2", "net_af_packet"), ("net_tap0,iface=rwtap9", "net_tap")):
            def change(c):
                c["gateway"].update(steering="flow", cores=cores)
                c["gateway"]["ports"][0].update(device=device)
            with self.subTest(driver):
                config = self.gateway.configure(change)
                done = self.mesh.gw.run(self.gateway.program("ringway"), "run", "--config", config, timeout=20)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr, rf"steering: flow is not possible: .*port {device.split(',')[0]} \({driver}\) .*rule")

    def test_run_with_a_device_that_does_not_exist_fails_with_a_sentence(self):
        config = self.gateway.configure(lambda c: c["gateway"]["ports"][0].update(device="net_af_xdp0,iface=nowhere"))
        done = self.mesh.gw.run(self.gateway.program("ringway"), "run", "--config", config, timeout=20)
        self.assertNotEqual(done.returncode, 0)
        self.assertGreater(done.returncode, 0, "died by a signal")
        self.assertRegex(done.stderr, r"net_af_xdp0|nowhere")
