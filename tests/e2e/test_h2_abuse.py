"""Abuse of HTTP/2 while honest clients go on: each attack ends by a GOAWAY that says ENHANCE_YOUR_CALM, shows in a counter
of its own, and costs no honest request (RFC 9113 section 10.5; the attacks have names of their own by now).

An attacker is a raw socket that writes frames by hand and keeps no rule. What it may do before it is told is in
src/contract/limits.h; every attack here goes at least twice beyond that. Honest clients are h2load, counted exactly.
"""

import socket
import struct
import sys
import time

from h2_client import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW, PADDED,
                       PING, PRIORITY, REFUSED_STREAM, RST_STREAM, SETTINGS, Frames, block, frame, literal, request, reset, settings,
                       text, window_update)
from lab_case import OddTask, Service, wait_until
from ringway_lab.task import NginxTask, OddH2Task
from test_h2 import H2, H2Case

AUTHORITY = "odd-service"
ROUTED = "10.78.0.50"
HEAD = block((":method", "GET"), (":scheme", "http"), (":authority", AUTHORITY), (":path", "/"))


class H2Abuse(H2Case):
    ip4_only = "above the network"
    # A listener that has no route for what is asked of it: 404, by the gateway itself.
    options = {"settings": {"pools": {"packets": 16_383}},
               "listeners": [{"name": "routed", "address": ROUTED, "port": 6000, "routes": [
                   {"matches": [{"path": {"value": "/somewhere"}}], "backends": [{"service": "odd-service"}]}]}]}

    @staticmethod
    def services():
        quick = {"timeout": {"perRequestTimeoutSeconds": 1}}
        return [Service("auth-service", 4000, 2, NginxTask), Service("odd-service", 7000, 1, OddTask, quick),
                Service("odd2-service", 7002, 1, OddH2Task, {**H2, **quick})]

    def numbers(self):
        return self.gateway.ask("/counters")["counters"]

    def attacker(self, values=None, service="odd-service", settled=True):
        frames = Frames(self.mesh.connect(service), values)
        self.addCleanup(frames.sock.close)
        if settled:
            frames.settled()
        return frames

    def under(self, attack, counter=None, seconds=0.5):
        """Honest load meanwhile; what the attack returns. `counter` must move."""
        before = self.numbers()
        load = self.h2load("auth-service", "/", "-n", int(400 * seconds), "-c", 4, "-m", 10, "--rps", 100)
        try:
            result = attack()
        finally:
            report = load.report()
        self.assertClean(report, int(400 * seconds))
        after = self.numbers()
        moved = {k: after[k] - before[k] for k in after if k.startswith("h2_") and after[k] != before[k]}
        print(f"    {moved}", file=sys.stderr)
        if counter:
            self.assertGreater(moved.get(counter, 0), 0, moved)
        return result

    def calmed(self, flood, counter, values=None, **more):
        """`flood(frames)` yields bytes; the connection must end with ENHANCE_YOUR_CALM before it is through, and stay closed."""
        def attack():
            frames = self.attacker(values, **more)
            for part in flood(frames):
                if not frames.send(part) or frames.told is not None:
                    break
            return frames, frames.goaway()
        frames, code = self.under(attack, counter)
        self.assertEqual(code, ENHANCE_YOUR_CALM)
        self.assertIsNone(frames.get(5))
        self.assertTrue(frames.closed, "the connection lives on")

    # ---- streams opened and thrown away

    def test_rapid_reset(self):
        """CVE-2023-44487."""
        def flood(_):
            for first in range(1, 4001, 200):
                yield b"".join(request(n, AUTHORITY, "/wait/1") + reset(n) for n in range(first, first + 200, 2))
        self.calmed(flood, "h2_calm_resets")

    def test_rapid_reset_at_h2_endpoints_does_not_reach_them(self):
        task = self.mesh.task("odd2-1")

        def flood(_):
            for first in range(1, 4001, 200):
                yield b"".join(request(n, AUTHORITY, "/wait/1") + reset(n) for n in range(first, first + 200, 2))
        self.calmed(flood, "h2_calm_resets", service="odd2-service")
        self.assertEqual(self.h2("odd2-service").ask("/").status, 200)
        self.assertTrue(task.process.running())

    def provoked(self, *spoil):
        """MadeYouReset, CVE-2025-8671: each stream is begun in order and then spoilt, so that we reset it."""
        def flood(_):
            for number in range(1, 2001, 2):
                yield request(number, AUTHORITY, "/wait/1", end=False) + b"".join(part(number) for part in spoil)
        self.calmed(flood, "h2_calm_provoked_resets")

    def test_made_you_reset_by_a_window_update_of_nothing(self):
        self.provoked(lambda n: window_update(n, 0))

    def test_made_you_reset_by_a_window_that_overflows(self):
        self.provoked(lambda n: window_update(n, 0x7fffffff))

    def test_made_you_reset_by_data_behind_the_end(self):
        self.provoked(lambda n: frame(DATA, END_STREAM, n, b"x"), lambda n: frame(DATA, 0, n, b"y"))

    def test_made_you_reset_by_more_data_than_announced(self):
        def flood(_):
            for number in range(1, 2001, 2):
                yield request(number, AUTHORITY, "/wait/1", "POST", [("content-length", "1")], end=False)
                yield frame(DATA, END_STREAM, number, b"four")
        self.calmed(flood, "h2_calm_provoked_resets")

    def test_made_you_reset_by_malformed_heads(self):
        def flood(_):
            for number in range(1, 2001, 2):
                yield request(number, AUTHORITY, fields=[("Upper", "1")])
        self.calmed(flood, "h2_calm_provoked_resets")

    def test_made_you_reset_by_too_many_streams(self):
        def flood(_):
            for number in range(1, 2001, 2):
                yield request(number, AUTHORITY, "/never")
        self.calmed(flood, "h2_calm_provoked_resets")

    # ---- header blocks

    def test_continuation_flood(self):
        """CVE-2024-27316 and others: a header block that never ends."""
        def flood(_):
            yield frame(HEADERS, END_STREAM, 1, HEAD)
            for i in range(2000):
                yield frame(CONTINUATION, 0, 1, literal(f"x-{i}", "v"))
        self.calmed(flood, "h2_calm_continuations")

    def test_empty_continuations(self):
        def flood(_):
            yield frame(HEADERS, END_STREAM, 1)
            for _ in range(200):
                yield frame(CONTINUATION, 0, 1)
        self.calmed(flood, "h2_calm_continuations")

    def test_header_block_that_is_too_long(self):
        def flood(_):
            yield frame(HEADERS, END_STREAM, 1, HEAD)
            for i in range(60):
                yield frame(CONTINUATION, 0, 1, literal(f"x-{i}", "v" * 16_000))
        self.calmed(flood, "h2_calm_block_bytes")

    def test_hpack_bomb(self):
        """One long field in the dynamic table, named by a byte each time."""
        def flood(_):
            bomb = b"\x40" + text("x-bomb") + text("b" * 3900) + b"\xbe" * 15_000
            yield frame(HEADERS, 0, 1, HEAD + bomb[:16_000])
            yield frame(CONTINUATION, END_HEADERS, 1, bomb[16_000:])
        self.calmed(flood, "h2_calm_unfolded_bytes")

    def test_header_count_and_size_are_431_and_cost_only_the_stream(self):
        def attack():
            frames = self.attacker()
            many = request(1, AUTHORITY, fields=[(f"x-{i}", "v") for i in range(150)])
            frames.send(many)
            first = frames.status(1)
            long = HEAD + literal("x-long", "v" * 63_000)
            frames.send(frame(HEADERS, END_STREAM, 3, long[:16_384]))
            for at in range(16_384, len(long), 16_384):
                frames.send(frame(CONTINUATION, END_HEADERS if at + 16_384 >= len(long) else 0, 3, long[at:at + 16_384]))
            return first, frames.status(3), frames.send(request(5, AUTHORITY)) and frames.status(5)
        self.assertEqual(self.under(attack), (431, 431, 200))

    # ---- frames that bring nothing

    def test_empty_data_frames(self):
        """CVE-2019-9518."""
        def flood(_):
            yield request(1, AUTHORITY, "/echo", "POST", end=False)
            for _ in range(30):
                yield frame(DATA, 0, 1) * 100
        self.calmed(flood, "h2_calm_empty_data")

    def test_data_frames_of_padding_alone(self):
        def flood(_):
            yield request(1, AUTHORITY, "/echo", "POST", end=False)
            for _ in range(30):
                yield frame(DATA, PADDED, 1, b"\0") * 100  # padded by nothing
        self.calmed(flood, "h2_calm_empty_data")

    @staticmethod
    def answered(one, kind):
        """Fifty at a time, which are answered before the next: what waits for its answers has a limit of its own."""
        def flood(frames):
            for _ in range(100):
                yield one * 50
                for _ in range(50):
                    if frames.get(2, lambda f: f.kind == kind and f.flags & ACK) is None:
                        return
        return flood

    def test_settings_flood(self):
        """CVE-2019-9515."""
        self.calmed(self.answered(settings({INITIAL_WINDOW: 65_535}), SETTINGS), "h2_calm_settings")

    def test_ping_flood(self):
        """CVE-2019-9512."""
        self.calmed(self.answered(frame(PING, payload=b"attacker"), PING), "h2_calm_pings")

    def test_priority_flood(self):
        """CVE-2019-9513."""
        one = b"".join(frame(PRIORITY, stream=n, payload=struct.pack("!IB", n + 2, 7)) for n in range(1, 101, 2))
        self.calmed(lambda _: (one for _ in range(100)), "h2_calm_priorities")

    def test_window_update_flood(self):
        self.calmed(lambda _: (window_update(0, 1) * 50 for _ in range(100)), "h2_calm_window_updates")

    def test_unknown_frames(self):
        self.calmed(lambda _: (frame(0xbe, 0, 0, b"?") * 50 for _ in range(100)), "h2_calm_strays")

    def test_resets_of_streams_that_are_gone(self):
        def flood(frames):
            frames.send(request(1, AUTHORITY))
            frames.status(1)
            for _ in range(100):
                yield reset(1) * 50
        self.calmed(flood, "h2_calm_strays")

    # ---- readers who do not read

    def test_window_of_one_byte_by_drops(self):
        """CVE-2019-9511, data dribble: a large answer, asked for byte by byte."""
        def flood(frames):
            frames.send(request(1, AUTHORITY, "/bytes/1000000"))
            for _ in range(5000):
                yield window_update(1, 1)
                frames.get(0.0005, lambda f: f.kind == DATA)
        self.calmed(flood, "h2_calm_window_updates", {INITIAL_WINDOW: 1})

    def test_answers_that_nobody_reads(self):
        """They pile up in TCP's queue, until the client is let go."""
        def attack():
            frames = Frames(self.mesh.client.connect(ROUTED, 6000), {INITIAL_WINDOW: 1 << 30})
            self.addCleanup(frames.sock.close)
            frames.send(window_update(0, 1 << 30))
            frames.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for first in range(1, 80_001, 400):
                if not frames.send(b"".join(request(n, AUTHORITY, "/nowhere") for n in range(first, first + 400, 2))):
                    return first
            return None
        self.assertIsNotNone(self.under(attack, "h2_hoarders"), "the attacker could say all")

    def test_many_answers_asked_for_at_once(self):
        """More PINGs in one breath than may wait for an answer. Whether they arrive in one is up to the machine."""
        def attack():
            for _ in range(20):
                self.attacker().send(frame(PING, payload=b"attacker") * 600)
                time.sleep(0.05)
        self.under(attack, "h2_calm_answers")

    def test_stalled_streams_time_out_one_by_one(self):
        """CVE-2019-9517: as many streams as are allowed, none of which may send."""
        def attack():
            frames = self.attacker({INITIAL_WINDOW: 0})
            for number in range(1, 201, 2):
                frames.send(request(number, AUTHORITY, "/bytes/100000"))
            ended = 0
            while ended < 100:
                found = frames.get(6, lambda f: f.kind == RST_STREAM)
                if found is None:
                    return ended
                ended += 1
            frames.send(settings({INITIAL_WINDOW: 65_535}) + request(201, AUTHORITY))
            return ended, frames.status(201)
        self.assertEqual(self.under(attack, seconds=1.5), (100, 200))

    def test_hundred_stalled_connections(self):
        def attack():
            held = []
            for _ in range(100):
                frames = self.attacker({INITIAL_WINDOW: 0}, "odd2-service", settled=False)
                frames.send(b"".join(request(n, AUTHORITY, "/bytes/1000000") for n in range(1, 17, 2)))
                held.append(frames)
            time.sleep(0.5)
            most = sum(core["mbufs_in_use"] for core in self.gateway.ask("/status")["cores"])
            for frames in held:
                frames.sock.close()
            return most
        most = self.under(attack, seconds=1)
        print(f"    at most {most} mbufs", file=sys.stderr)
        self.assertLess(most, 16_383 * 9 // 10)
        self.assertEqual(self.h2("odd2-service").ask("/").status, 200)

    def test_too_many_streams_are_refused_and_the_others_served(self):
        def attack():
            frames = self.attacker()
            frames.send(b"".join(request(n, AUTHORITY, "/wait/0.3") for n in range(1, 301, 2)))
            served = refused = 0
            while served + refused < 150:
                found = frames.get(5, lambda f: f.kind in (HEADERS, RST_STREAM))
                if found is None:
                    break
                served += found.kind == HEADERS
                refused += found.kind == RST_STREAM and found.code == REFUSED_STREAM
            return served, refused
        self.assertEqual(self.under(attack, "h2_streams_refused"), (128, 22))

    # ---- beginnings

    def test_preface_that_goes_wrong_is_refused(self):
        def attack():
            frames = Frames(self.mesh.connect("odd-service"), preface=False)
            frames.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(PING, payload=b"too soon"))
            code = frames.goaway()
            half = Frames(self.mesh.connect("odd-service"), preface=False)
            half.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
            half.get(1)
            return code, half.buffer[:12]
        code, answer = self.under(attack)
        self.assertEqual(code, 1)
        self.assertRegex(answer, rb"^HTTP/1\.1 [45]|^$")

    def test_zz_memory_comes_back(self):
        def quiet():
            return sum(core["mbufs_in_use"] for core in self.gateway.ask("/status")["cores"])
        resting = 2200  # receive rings of the port
        self.assertTrue(wait_until(lambda: quiet() < resting and self.active() == 0, 20, 0.2), f"{quiet()} mbufs in use")
