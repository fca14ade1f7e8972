"""TCP services through the gateway, by the kernel's own TCP, and the PROXY protocol spoken with HAProxy on either side."""

import hashlib
import json
import os
import socket
import struct
import sys
import threading
import time

from lab_case import LabCase, OddTask, Service, authority, wait_until
from ringway_lab import task
from ringway_lab.backend import pattern, pattern_sha256
from ringway_lab.task import Task

HERE = os.path.dirname(os.path.abspath(task.__file__))
TCP = {"appProtocol": None, "healthCheck": {"protocol": "tcp", "path": None}}
MIB = 1 << 20


class TcpTask(Task):
    def command(self):
        return [sys.executable, os.path.join(HERE, "tcp_backend.py"), authority(self.ip, self.port), self.name]

    @staticmethod
    def served(mesh, service):
        try:
            with mesh.connect(service.name, 1) as sock:
                return sock.recv(1) != b""
        except OSError:
            return False


class HaProxyTask(Task):
    """HAProxy as an endpoint that takes nothing without a PROXY header; answers who it was told the client is."""

    def command(self):
        path = os.path.join(self.namespace.lab.dir, f"{self.name}.cfg")
        with open(path, "w") as f:
            binds = "".join(f"  bind {authority(ip, self.port)} accept-proxy\n" for ip in self.ips)
            f.write(f"global\n  maxconn 1000\ndefaults\n  mode http\n  timeout client 10s\n  timeout connect 5s\n  timeout server 10s\n"
                    f"frontend told\n{binds}  http-request return status 200 content-type text/plain "
                    'lf-string "%[src] %[src_port] %[dst] %[dst_port]"\n')
        return ["haproxy", "-db", "-f", path]


def everything(sock):
    got = bytearray()
    while piece := sock.recv(1 << 18):
        got += piece
    return bytes(got)


def exactly(sock, count):
    got = bytearray()
    while len(got) < count:
        piece = sock.recv(min(1 << 18, count - len(got)))
        if not piece:
            raise AssertionError(f"closed after {len(got)} of {count}")
        got += piece
    return bytes(got)


def line(sock):
    got = b""
    while not got.endswith(b"\n"):
        piece = sock.recv(1)
        if not piece:
            break
        got += piece
    return got.strip().decode()


class TcpCase(LabCase):
    def setUp(self):
        self.ringway_only()

    def open(self, service="talk-service", timeout=30):
        sock = self.mesh.connect(service, timeout)
        self.addCleanup(sock.close)
        return sock

    def numbers(self, name):
        return next(s for s in self.gateway.ask("/services") if s["service"] == name)


class TcpServices(TcpCase):
    @staticmethod
    def services():
        return [Service("talk-service", 5000, 1, TcpTask, TCP),
                Service("pair-service", 5001, 2, TcpTask, {**TCP, "connectTimeoutSeconds": 0.3,
                                                           "healthCheck": {"protocol": "tcp", "path": None, "intervalSeconds": 60}}),
                Service("idle-service", 5002, 1, TcpTask, {**TCP, "timeout": {"idleTimeoutSeconds": 1}})]

    def test_the_endpoint_speaks_first(self):
        self.assertEqual(line(self.open()), "talk-1")

    def test_64_mebibytes_in_and_the_clients_half_close(self):
        sock = self.open()
        sock.sendall(b"sink\n")
        for piece in pattern(64 * MIB):
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(line(sock), "talk-1")
        told = json.loads(everything(sock))
        self.assertEqual((told["bytes"], told["sha256"]), (64 * MIB, pattern_sha256(64 * MIB)))

    def test_64_mebibytes_out_and_the_endpoints_half_close(self):
        before = self.gateway.counter("payload_copied")
        sock = self.open()
        sock.sendall(b"source %d\n" % (64 * MIB))
        line(sock)
        digest = hashlib.sha256()
        while piece := sock.recv(1 << 18):
            digest.update(piece)
        self.assertEqual(digest.hexdigest(), pattern_sha256(64 * MIB))
        for piece in pattern(3 * MIB):  # the other direction goes on
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)

        def last():
            other = self.open()
            other.sendall(b"last\n")
            line(other)
            return json.loads(everything(other))
        self.assertTrue(wait_until(lambda: last().get("sha256") == pattern_sha256(3 * MIB), 10), last())
        # What does not fill its packet may be copied, so that it does not pin a whole buffer.
        self.assertLess(self.gateway.counter("payload_copied") - before, 4 * 1448)

    def test_both_directions_at_once(self):
        before = self.numbers("talk-service")
        sock = self.open()
        sock.sendall(b"echo\n")
        line(sock)

        def write():
            for piece in pattern(64 * MIB):
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
        writer = threading.Thread(target=write)
        writer.start()
        digest = hashlib.sha256()
        while piece := sock.recv(1 << 18):
            digest.update(piece)
        writer.join()
        self.assertEqual(digest.hexdigest(), pattern_sha256(64 * MIB))
        after = self.numbers("talk-service")
        self.assertEqual(after["requests"] - before["requests"], 1)
        self.assertEqual(after["bytes_in"] - before["bytes_in"], 64 * MIB + 5)
        self.assertEqual(after["bytes_out"] - before["bytes_out"], 64 * MIB + 7)

    def test_a_connection_is_told_while_it_lives(self):
        sock = self.open()
        line(sock)
        self.assertEqual(self.numbers("talk-service")["active"], 1)
        self.assertIn("talk-service", self.gateway.ctl("services"))
        mine = authority(self.mesh.worker_ip, sock.getsockname()[1])
        row = next(l for l in self.gateway.ctl("connections").splitlines() if mine in l)
        self.assertIn("tunnel", row)
        sock.close()
        self.assertTrue(wait_until(lambda: self.numbers("talk-service")["active"] == 0, 5))

    def test_a_reset_is_passed(self):
        sock = self.open()
        line(sock)
        sock.sendall(b"reset\n")
        with self.assertRaises(ConnectionResetError):
            everything(sock)

    def test_silence_ends_in_order(self):
        sock = self.open("idle-service")
        line(sock)
        sock.sendall(b"echo\n")
        for _ in range(3):
            time.sleep(0.6)
            sock.sendall(b"x")
            self.assertEqual(exactly(sock, 1), b"x")
        began = time.monotonic()
        self.assertEqual(sock.recv(1), b"")
        self.assertTrue(0.7 < time.monotonic() - began < 3, time.monotonic() - began)
        self.assertTrue(wait_until(lambda: self.numbers("idle-service")["active"] == 0, 5))

    def test_zz_an_endpoint_that_died_loses_no_connection(self):
        """Before any health check knows: refused at once, or lost on a wire that is gone."""
        first, second = self.mesh.service("pair-service").members
        first.kill()
        for _ in range(20):
            self.assertEqual(line(self.open("pair-service")), second.name)
        first.start()
        first.vanish()
        try:
            for _ in range(20):
                self.assertEqual(line(self.open("pair-service")), second.name)
        finally:
            first.vanish(False)
        self.assertGreaterEqual(self.numbers("pair-service")["retries"], 5)  # then it is ejected


class ProxyProtocol(TcpCase):
    """From HAProxy in front, as from a Network Load Balancer, and to HAProxy behind."""

    front = {4: "10.77.0.20", 6: "fd77::20"}
    options = {"listeners": [
        {"name": "nlb", "address": "10.78.0.200", "port": 7100, "service": "odd-service",
         "acceptProxyProtocol": {"from": ["10.77.0.20/32", "fd77::20/128"]}},
        {"name": "nlb-tcp", "address": "10.78.0.201", "port": 7101, "service": "v2-service",
         "acceptProxyProtocol": {"from": ["10.77.0.20/32", "fd77::20/128"]}}]}

    @staticmethod
    def services():
        def told(version):
            return {**TCP, "proxyProtocol": version, "healthCheck": {"protocol": "http", "path": "/"}}
        return [Service("odd-service", 7000, 1, OddTask), Service("v1-service", 5001, 1, HaProxyTask, told("v1")),
                Service("v2-service", 5002, 1, HaProxyTask, told("v2")), Service("sum-service", 5003, 1, HaProxyTask, told("v2-crc32c"))]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.vip, cls.tcp_vip = (listener["address"] for listener in cls.gateway.listeners)
        cls.front_ip = cls.front[cls.families[0]]
        cls.proxy = cls.mesh.host("front", cls.front)
        path = os.path.join(cls.lab.dir, "front.cfg")
        http, tcp = authority(cls.vip, 7100), authority(cls.tcp_vip, 7101)
        ways = {9001: (http, "send-proxy"), 9002: (http, "send-proxy-v2"), 9003: (http, "send-proxy-v2 proxy-v2-options crc32c,unique-id"),
                9004: (tcp, "send-proxy-v2")}
        with open(path, "w") as f:
            f.write("global\n  maxconn 1000\ndefaults\n  mode tcp\n  timeout client 10s\n  timeout connect 5s\n  timeout server 10s\n")
            for port, (to, words) in ways.items():
                f.write(f"listen way{port}\n  bind {authority(cls.front_ip, port)}\n  unique-id-format %[uuid]\n"
                        f"  server gw {to} {words}\n")
        cls.haproxy = cls.proxy.start("haproxy", "-db", "-f", path, title="front")
        if not wait_until(lambda: cls.reaches(9004), 5):
            raise AssertionError(cls.haproxy.log())

    @classmethod
    def reaches(cls, port):
        try:
            cls.mesh.client.connect(cls.front_ip, port, 0.5).close()
            return True
        except OSError:
            return False

    def http(self, sock, target="/"):
        self.addCleanup(sock.close)
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = everything(sock).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode()

    def test_an_endpoint_is_told_who_the_client_is(self):
        for name in ("v1-service", "v2-service", "sum-service"):
            with self.subTest(name):
                sock = self.open(name)
                mine = sock.getsockname()
                at = self.mesh.service(name)
                self.assertEqual(self.http(sock), (200, f"{self.mesh.worker_ip} {mine[1]} {at.vip} {at.port}"))

    def test_health_checks_of_such_an_endpoint_succeed(self):
        for name in ("v1-1", "v2-1", "sum-1"):
            self.assertTrue(wait_until(lambda: self.gateway.endpoint_healthy(self.mesh.task(name)), 10), name)

    def test_a_front_end_says_who_the_client_is(self):
        before = self.gateway.counter("proxy_headers")
        for port in (9001, 9002, 9003):
            with self.subTest(port):
                status, body = self.http(self.mesh.client.connect(self.front_ip, port, 5), "/echo")
                fields = {name.lower(): value for name, value in json.loads(body)["fields"].items()}
                self.assertEqual((status, fields["x-forwarded-for"]), (200, self.mesh.worker_ip))
        self.assertGreaterEqual(self.gateway.counter("proxy_headers") - before, 3)

    def test_from_header_to_header(self):
        sock = self.mesh.client.connect(self.front_ip, 9004, 5)
        mine = sock.getsockname()
        self.assertEqual(self.http(sock), (200, f"{self.mesh.worker_ip} {mine[1]} {self.tcp_vip} 7101"))

    def test_a_trusted_front_end_without_a_header_is_ended(self):
        before = self.gateway.counter("proxy_refused")
        sock = self.proxy.connect(self.vip, 7100, 5)
        self.addCleanup(sock.close)
        with self.assertRaises(ConnectionResetError):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            everything(sock)
        self.assertEqual(self.gateway.counter("proxy_refused") - before, 1)

    def test_a_header_of_anybody_else_is_no_http(self):
        v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", 12) + bytes(12)
        for header in (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", v2):
            sock = self.mesh.client.connect(self.vip, 7100, 5)
            self.addCleanup(sock.close)
            sock.sendall(header + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(everything(sock).startswith(b"HTTP/1.1 400 "))
        self.assertEqual(self.http(self.mesh.client.connect(self.vip, 7100, 5))[0], 200)
