#!/usr/bin/python3
"""downgrade.py ADDRESS:PORT ORIGIN: an HTTP/2 endpoint that writes every request as HTTP/1.1 to ORIGIN, believing all of it.

It looks at nothing: whatever a gateway lets through to HTTP/2 endpoints comes out as text. So a judge of HTTP/1.1 sees what
an endpoint that trusts its gateway would have made of it. One connection to ORIGIN per request.
"""

import asyncio
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "ringway_lab"))

import h2_backend  # noqa: E402


class Believer(h2_backend.Stream):
    def head(self):
        """The request's head, and whether its body goes in chunks."""
        pseudo = {k: v for k, v in self.lines if k.startswith(":")}
        fields = [(k, v) for k, v in self.lines if not k.startswith(":")]
        chunked = not self.ended and not any(k == "content-length" for k, _ in fields)
        lines = [f"{pseudo.get(':method')} {pseudo.get(':path', pseudo.get(':authority'))} HTTP/1.1"]
        if ":authority" in pseudo:
            lines.append(f"host: {pseudo[':authority']}")
        lines += [f"{k}: {v}" for k, v in fields]
        if chunked:
            lines.append("transfer-encoding: chunked")
        return "\r\n".join([*lines, "", ""]).encode("latin-1"), chunked

    async def serve(self):
        host, _, port = self.connection.name.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            asyncio.get_running_loop().create_task(self.say(writer))
            await self.hear(reader)
        finally:
            writer.close()

    async def say(self, writer):
        head, chunked = self.head()
        writer.write(head)
        async for piece in self.body():
            if piece:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            trailers = "".join(f"{k}: {v}\r\n" for k, v in self.trailers)
            writer.write(b"0\r\n" + trailers.encode("latin-1") + b"\r\n")

    async def hear(self, reader):
        """The origin's answers have a Content-Length and no body beside it."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head[:-4].split("\r\n")
            fields = [(k.lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines)]
            status = int(first.split(" ")[1])
            if status >= 200:
                break
            self.connection.send_head(self.number, [(":status", str(status))], False)
        length = 0 if self.fields.get(":method") == "HEAD" else int(dict(fields).get("content-length", 0))
        body = await reader.readexactly(length)
        kept = [(k, v) for k, v in fields if k != "connection"]
        self.connection.send_head(self.number, [(":status", str(status)), *kept], not body)
        if body:
            await self.send_body([body])


class BelievingConnection(h2_backend.Connection):
    stream_type = Believer
    validates = False


if __name__ == "__main__":
    asyncio.run(h2_backend.main(BelievingConnection))
