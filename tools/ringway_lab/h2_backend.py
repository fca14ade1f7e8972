#!/usr/bin/python3
"""h2_backend.py ADDRESS:PORT NAME [window=N] [streams=N]: what backend.py does, over HTTP/2 by prior knowledge.

    /echo            reads the whole body; answers JSON: bytes, sha256, trailers and the head's fields as they came
    /bytes/N         N bytes with content-length; the bytes are those of backend.pattern
    /trailers/N      the same bytes without a length, then a trailer section
    /wait/S          answers after S seconds (fractions allowed)
    /early           103, then 200
    /status/N        status N without a body
    /cookie          two set-cookie fields
    /never           reads the request and never answers
    /reset/CODE      RST_STREAM with this code, instead of an answer
    /refuse/N        the first N times REFUSED_STREAM, then 200
    /half            promises 1000 bytes, sends 10, resets
    /early-answer    answers at once, before the body is read, and resets with NO_ERROR
    /slow-read/R     reads the body at R bytes per second, then answers as /echo
    /goaway          GOAWAY: takes no further stream on this connection, and answers those that it has
    /ws              extended CONNECT (RFC 8441): echoes every byte
    /connections     JSON: connections accepted and open, streams served, most at once on one connection
    anything else    200 and NAME
`window` is SETTINGS_INITIAL_WINDOW_SIZE, `streams` SETTINGS_MAX_CONCURRENT_STREAMS. x-backend is NAME.
"""

import asyncio
import contextlib
import hashlib
import json
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

from backend import pattern, pattern_sha256

CONNECTION_WINDOW = 1 << 24  # of all streams together: one that reads slowly does not stop the others

seen = {"accepted": 0, "open": 0, "streams": 0, "most": 0}
refused = {}


class Stream:
    """One request, answered by a coroutine of its own."""

    def __init__(self, connection, number, fields, ended):
        """`ended`: no body comes."""
        self.connection, self.number, self.lines, self.ended = connection, number, fields, ended
        self.fields = {}
        for name, value in fields:
            self.fields[name] = f"{self.fields[name]}, {value}" if name in self.fields else value
        self.arrived, self.trailers, self.rate = asyncio.Queue(), [], 0

    async def body(self):
        while (piece := await self.arrived.get()) is not None:
            data, counted = piece
            if self.rate:
                await asyncio.sleep(len(data) / self.rate)
            self.connection.took(self.number, counted)
            yield data

    def send_head(self, status, *fields, end=False):
        self.connection.send_head(self.number, [(":status", str(status)), ("x-backend", self.connection.name), *fields], end)

    async def send_body(self, pieces, trailers=()):
        for piece in pieces:
            await self.connection.send_data(self.number, piece)
        if trailers:
            self.connection.send_head(self.number, trailers, True)
        else:
            self.connection.end(self.number)

    async def answer(self, body, status=200, *fields):
        head_only = self.fields[":method"] == "HEAD"
        self.send_head(status, ("content-length", str(len(body))), *fields, end=head_only)
        if not head_only:
            await self.send_body([body])

    async def echo(self):
        digest, count = hashlib.sha256(), 0
        async for piece in self.body():
            digest.update(piece)
            count += len(piece)
        told = {"bytes": count, "sha256": digest.hexdigest(), "trailers": self.trailers, "name": self.connection.name,
                "method": self.fields[":method"], "target": self.fields.get(":path"), "fields": self.fields,
                "lines": self.lines}
        await self.answer(json.dumps(told).encode(), 200, ("content-type", "application/json"))

    async def serve(self):
        words = self.fields.get(":path", "/").split("?")[0].split("/")
        what, argument = words[1], (words[2] if len(words) > 2 else "")
        if "100-continue" in self.fields.get("expect", ""):
            self.connection.send_head(self.number, [(":status", "100")], False)
        if what in ("echo", "slow-read"):
            self.rate = int(argument) if what == "slow-read" else 0
            return await self.echo()
        if what == "ws":
            self.send_head(200)
            async for piece in self.body():
                await self.connection.send_data(self.number, piece)
            return self.connection.end(self.number)
        if what == "early-answer":
            await self.answer(b"early\n")
            return self.connection.reset(self.number, 0)
        if self.fields[":method"] != "CONNECT":  # whose body would be a tunnel
            async for _ in self.body():
                pass
        await self.plain(what, argument)

    async def plain(self, what, argument):
        """Answers that do not look at the body."""
        connection = self.connection
        if what == "bytes":
            head_only = self.fields[":method"] == "HEAD"
            self.send_head(200, ("content-length", argument), end=head_only)
            if not head_only:
                await self.send_body(pattern(int(argument)))
        elif what == "trailers":
            self.send_head(200)
            await self.send_body(pattern(int(argument)), [("x-sum", pattern_sha256(int(argument)))])
        elif what == "wait":
            await asyncio.sleep(float(argument))
            await self.answer(connection.name.encode() + b"\n")
        elif what == "early":
            connection.send_head(self.number, [(":status", "103"), ("link", "</style.css>; rel=preload")], False)
            await asyncio.sleep(0.05)
            await self.answer(b"late\n")
        elif what == "status":
            self.send_head(argument, *([] if argument in ("204", "304") else [("content-length", "0")]), end=True)
        elif what == "cookie":
            await self.answer(b"ok\n", 200, ("set-cookie", "a=1"), ("set-cookie", "b=2"))
        elif what == "never":
            await asyncio.sleep(3600)
        elif what == "reset":
            connection.reset(self.number, int(argument))
        elif what == "refuse" and refused.setdefault(self.fields[":path"], 0) < int(argument):
            refused[self.fields[":path"]] += 1
            connection.reset(self.number, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif what == "half":
            self.send_head(200, ("content-length", "1000"))
            await connection.send_data(self.number, b"0123456789")
            connection.reset(self.number, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif what == "goaway":
            connection.leave()
            await self.answer(b"bye\n")
        elif what == "connections":
            await self.answer(json.dumps(seen).encode())
        else:
            await self.answer(connection.name.encode() + b"\n")


class Connection(asyncio.Protocol):
    stream_type = Stream
    validates = True  # what comes

    def __init__(self, name, settings):
        self.name, self.settings, self.streams, self.tasks = name, settings, {}, set()
        self.last = None  # after GOAWAY: the last stream that is served
        self.said_all = False
        self.flowing, self.moved = asyncio.Event(), asyncio.Event()
        self.flowing.set()

    def connection_made(self, transport):
        self.transport = transport
        seen["accepted"] += 1
        seen["open"] += 1
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False,
            validate_inbound_headers=self.validates, normalize_inbound_headers=self.validates))
        codes = h2.settings.SettingCodes
        values = {codes.ENABLE_CONNECT_PROTOCOL: 1}
        if "window" in self.settings:
            values[codes.INITIAL_WINDOW_SIZE] = self.settings["window"]
        if "streams" in self.settings:
            values[codes.MAX_CONCURRENT_STREAMS] = self.settings["streams"]
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
            codes.MAX_CONCURRENT_STREAMS: 100, codes.MAX_HEADER_LIST_SIZE: 1 << 16, **values})
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(CONNECTION_WINDOW)
        self.flush()

    def connection_lost(self, _):
        seen["open"] -= 1
        for task in self.tasks:
            task.cancel()

    def pause_writing(self):
        self.flowing.clear()

    def resume_writing(self):
        self.flowing.set()

    def flush(self):
        data = self.h2.data_to_send()
        if not self.said_all:  # or asyncio ends the connection at once, and what of it was lost on the way is lost
            self.transport.write(data)

    def data_received(self, data):
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            self.transport.close()
            return
        for event in events:
            self.on(event)
        self.flush()

    def on(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            self.begin(event)
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            self.moved.set()
        elif stream is None:
            return
        elif isinstance(event, h2.events.DataReceived):
            stream.arrived.put_nowait((event.data, event.flow_controlled_length))
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            stream.arrived.put_nowait(None)
        elif isinstance(event, h2.events.StreamReset):
            stream.task.cancel()

    def begin(self, event):
        if self.last is not None and event.stream_id > self.last:
            return
        stream = self.streams[event.stream_id] = self.stream_type(self, event.stream_id, event.headers, event.stream_ended is not None)
        seen["streams"] += 1
        seen["most"] = max(seen["most"], len(self.streams))
        stream.task = asyncio.get_running_loop().create_task(self.run(stream))
        self.tasks.add(stream.task)

    async def run(self, stream):
        try:
            await stream.serve()
        except (ValueError, IndexError, EOFError, OSError, h2.exceptions.ProtocolError):
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self.reset(stream.number, h2.errors.ErrorCodes.INTERNAL_ERROR)
        finally:
            self.streams.pop(stream.number, None)
            self.tasks.discard(stream.task)
            if self.last is not None and not self.streams and not self.transport.is_closing():
                self.said_all = True
                self.transport.write_eof()  # a close with frames unread would be a reset

    # ---- what streams send

    def send_head(self, number, fields, end):
        self.h2.send_headers(number, fields, end_stream=end)
        self.flush()

    async def send_data(self, number, data):
        while data:
            self.moved.clear()
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if room == 0:
                await self.moved.wait()
                continue
            self.h2.send_data(number, data[:room])
            data = data[room:]
            self.flush()
            await self.flowing.wait()

    def end(self, number):
        self.h2.end_stream(number)
        self.flush()

    def reset(self, number, code):
        self.h2.reset_stream(number, code)
        self.flush()

    def took(self, number, counted):
        """So many bytes of the windows are free again; those of a stream that has ended, in the connection's only."""
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self.h2.acknowledge_received_data(counted, number)
        self.flush()

    def leave(self):
        """GOAWAY; the connection ends when its streams have. Python's h2 would forget them at once."""
        if self.last is None:
            self.last = max(self.streams)
            frame = hyperframe.frame.GoAwayFrame(0, self.last)
            self.transport.write(frame.serialize())


async def main(connection_type=Connection):
    address, _, port = sys.argv[1].rpartition(":")
    settings = {key: int(value) for key, _, value in (word.partition("=") for word in sys.argv[3:])}
    server = await asyncio.get_running_loop().create_server(lambda: connection_type(sys.argv[2], settings), address, int(port),
                                                            backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
