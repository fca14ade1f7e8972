// node_ws.js serve ADDRESS PORT NAME: WebSockets over HTTP/2 (RFC 8441), by prior knowledge: every message comes back;
// anything but an extended CONNECT is answered by NAME.
// node --experimental-websocket node_ws.js ask URL BYTES: Node's own WebSocket client, over HTTP/1.1: a text message and one
// of BYTES bytes out and back, then a close; prints what came as JSON.
"use strict";
const crypto = require("crypto");
const http2 = require("http2");

// A frame from a server: whole, not masked (RFC 6455 5.2).
function frame(opcode, payload) {
  const head = Buffer.alloc(10);
  head[0] = 0x80 | opcode;
  if (payload.length < 126) {
    head[1] = payload.length;
    return Buffer.concat([head.subarray(0, 2), payload]);
  }
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}

// Takes whole messages of a client off `bytes`; calls `told` with each frame's opcode, whether it ends a message, and payload.
function read(bytes, told) {
  while (bytes.length >= 2) {
    let length = bytes[1] & 127;
    let at = 2;
    if (length === 126) {
      if (bytes.length < 4) break;
      length = bytes.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (bytes.length < 10) break;
      length = Number(bytes.readBigUInt64BE(2));
      at = 10;
    }
    if ((bytes[1] & 128) === 0) throw new Error("a client's frame is masked");
    if (bytes.length < at + 4 + length) break;
    const mask = bytes.subarray(at, at + 4);
    const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + length));
    for (let i = 0; i < length; i++) payload[i] ^= mask[i & 3];
    told(bytes[0] & 15, (bytes[0] & 128) !== 0, payload);
    bytes = bytes.subarray(at + 4 + length);
  }
  return bytes;
}

function serve(address, port, name) {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  server.on("stream", (stream, fields) => {
    stream.on("error", () => {});
    if (fields[":method"] !== "CONNECT") {
      stream.respond({ ":status": 200, "x-backend": name });
      return stream.end(name + "\n");
    }
    if (fields[":protocol"] !== "websocket" || fields["sec-websocket-version"] !== "13" || fields["sec-websocket-key"]) {
      stream.respond({ ":status": 400 });
      return stream.end("no WebSocket of HTTP/2\n");
    }
    const offered = (fields["sec-websocket-protocol"] || "").split(",")[0].trim();
    stream.respond({ ":status": 200, "x-backend": name, ...(offered ? { "sec-websocket-protocol": offered } : {}) });
    let left = Buffer.alloc(0);
    let kind = 0;
    let parts = [];
    stream.on("data", (piece) => {
      left = read(Buffer.concat([left, piece]), (opcode, last, payload) => {
        if (opcode === 8) {
          stream.write(frame(8, payload));
          return stream.end();
        }
        if (opcode !== 0) kind = opcode;
        parts.push(payload);
        if (!last) return;
        stream.write(frame(kind, Buffer.concat(parts)));
        parts = [];
      });
    });
    stream.on("end", () => stream.end());
  });
  server.on("sessionError", () => {});
  server.listen(Number(port), address);
}

function ask(url, bytes) {
  const socket = new WebSocket(url, ["chat", "other"]);
  const told = { protocol: null, messages: [] };
  const big = Buffer.alloc(Number(bytes), "ringway.");
  const digest = (data) => crypto.createHash("sha256").update(data).digest("hex");
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    told.protocol = socket.protocol;
    socket.send("hello");
    socket.send(big);
  };
  socket.onerror = (event) => { told.error = String(event.error || event.message || "failed"); };
  socket.onmessage = (event) => {
    told.messages.push(typeof event.data === "string" ? event.data : [event.data.byteLength, digest(Buffer.from(event.data)) === digest(big)]);
    if (told.messages.length === 2) socket.close(1000, "enough");
  };
  socket.onclose = (event) => {
    console.log(JSON.stringify({ ...told, code: event.code, reason: event.reason, clean: event.wasClean }));
    process.exit(0);
  };
}

const [what, ...words] = process.argv.slice(2);
({ serve, ask })[what](...words);
