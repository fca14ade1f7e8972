"""WebSockets through the gateway between every pair of protocols (RFC 6455, RFC 8441), by Node, Python's h2 and raw bytes."""

import base64
import hashlib
import json
import os
import struct

from lab_case import OddTask, Service
from ringway_lab import task
from ringway_lab.task import NghttpdTask, OddH2Task, Task
from test_h2 import H2, H2Case

NODE = os.path.join(os.path.dirname(os.path.abspath(task.__file__)), "node_ws.js")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = base64.b64encode(hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


class NodeWsTask(Task):
    def command(self):
        return ["node", NODE, "serve", self.ip, self.port, self.name]


def message(text, mask=b"\1\2\3\4"):
    """A client's frame."""
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(text))
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack("!H", len(text))
    return b"\x81" + length + mask + masked


class WebSockets(H2Case):
    @staticmethod
    def services():
        return [Service("odd-service", 7000, 1, OddTask), Service("odd2-service", 7002, 1, OddH2Task, H2),
                Service("node-service", 7003, 1, NodeWsTask, H2), Service("nghttpd-service", 7004, 1, NghttpdTask, H2)]

    def connect_stream(self, client, target="/ws"):
        client.wait(lambda: client.h2.remote_settings.enable_connect_protocol)
        number = client.begin(target, "CONNECT", [("sec-websocket-version", "13"), ("origin", "http://odd")], end=False,
                              pseudo=[(":protocol", "websocket")])
        client.wait(lambda: client.answers[number].status)
        return number

    def handshake(self, service, more=""):
        raw = self.client(service)
        raw.send(f"GET /ws HTTP/1.1\r\nHost: odd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n"
                 f"Sec-WebSocket-Version: 13\r\n{more}\r\n")
        return raw, *raw.head()

    def test_nodes_client_over_h1_talks_to_an_endpoint_over_h2(self):
        at = self.mesh.service("node-service")
        done = self.mesh.client.run("node", "--experimental-websocket", "--no-warnings", NODE, "ask", f"ws://{at.authority}/chat", 1_000_000)
        told = json.loads(done.stdout)
        self.assertEqual(told, {"protocol": "chat", "messages": ["hello", [1_000_000, True]], "code": 1000, "reason": "enough",
                                "clean": True}, done.stderr)

    def test_h2_to_h2(self):
        client = self.h2("node-service")
        number = self.connect_stream(client)
        answer = client.answers[number]
        self.assertEqual(answer.status, 200)
        client.send(number, message(b"hello") + message(b"x" * 300))
        client.wait(lambda: len(answer.body) == 7 + 310)
        self.assertEqual(answer.body, b"\x81\5hello" + b"\x81\x7f" + struct.pack("!Q", 300) + b"x" * 300)
        client.send(number, b"", end=True)
        client.wait(lambda: answer.ended)
        self.assertEqual(client.ask("/").status, 200)

    def test_h1_to_h2_carries_bytes_both_ways_until_both_have_ended(self):
        raw, status, fields = self.handshake("odd2-service")
        self.assertEqual((status, dict(fields)["upgrade"], dict(fields)["sec-websocket-accept"]), (101, "websocket", ACCEPT))
        said = b"\0\1GET / HTTP/1.1\r\n\r\n" * 15_000
        raw.send(said)
        self.assertEqual(raw.exactly(len(said)), said)
        raw.sock.shutdown(1)
        self.assertEqual(raw.everything(), (b"", True))

    def test_h2_to_h1_the_endpoint_is_asked_with_a_key(self):
        client = self.h2("odd-service")
        number = self.connect_stream(client)
        self.assertEqual((client.answers[number].status, client.answers[number].get("sec-websocket-accept")), (200, None))
        client.send(number, b"hello")
        client.wait(lambda: client.answers[number].body == b"hello")

    def test_h1_to_h1_is_between_client_and_endpoint(self):
        raw, status, fields = self.handshake("odd-service")
        self.assertEqual((status, dict(fields)["sec-websocket-accept"]), (101, ACCEPT))
        raw.send(b"hello")
        self.assertEqual(raw.exactly(5), b"hello")

    def test_endpoint_without_extended_connect(self):
        client = self.h2("nghttpd-service")
        self.assertEqual(client.answers[self.connect_stream(client, "/health")].status, 501)
        raw = self.client("nghttpd-service")
        raw.send(f"GET /health HTTP/1.1\r\nHost: odd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n\r\n")
        status, _, body = raw.answer()
        self.assertEqual((status, body), (200, b"ok\n"))

    def test_refusal_of_an_h2_endpoint_is_an_answer_as_any_other(self):
        raw = self.client("odd2-service")
        raw.send(f"GET /status/403 HTTP/1.1\r\nHost: odd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n\r\n")
        self.assertEqual(raw.answer()[0], 403)
        self.assertEqual(raw.get("odd2-service", "/")[0], 200)
