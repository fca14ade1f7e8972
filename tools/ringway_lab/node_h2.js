// node_h2.js serve ADDRESS PORT NAME: Node's HTTP/2 server, by prior knowledge: /echo, /bytes/N, /trailers/N, /early, else NAME.
// node_h2.js ask URL [METHOD [BYTES [TRAILER]]]: one request of Node's HTTP/2 client; prints what came as JSON.
// Bytes both ways are those of backend.pattern.
"use strict";
const crypto = require("crypto");
const http2 = require("http2");
const { Readable } = require("stream");

function* pattern(length) {
  for (let line = 0; length > 0; line = (line + 1024) % 16384) {
    let piece = "";
    for (let i = 0; i < 1024; i++) piece += String(line + i).padStart(15, "0") + "\n";
    piece = Buffer.from(piece).subarray(0, length);
    length -= piece.length;
    yield piece;
  }
}

// Name and value pairs, as they came.
function pairs(raw) {
  const out = [];
  for (let i = 0; i < raw.length; i += 2) out.push([raw[i], raw[i + 1]]);
  return out;
}

// Bytes and digest of what a stream brings, when it has ended.
function digest(stream, done) {
  const sum = crypto.createHash("sha256");
  let bytes = 0;
  stream.on("data", (piece) => { sum.update(piece); bytes += piece.length; });
  stream.on("end", () => done({ bytes, sha256: sum.digest("hex") }));
}

function serve(address, port, name) {
  const server = http2.createServer();
  server.on("stream", (stream, fields, flags, raw) => {
    const [, what, argument] = fields[":path"].split("?")[0].split("/");
    const head = { ":status": 200, "x-backend": name };
    let trailers = [];
    stream.on("error", () => {});
    stream.on("trailers", (found, flag, lines) => { trailers = pairs(lines); });
    digest(stream, (told) => {
      if (what === "echo") {
        stream.respond(head);
        stream.end(JSON.stringify({ ...told, name, trailers, method: fields[":method"], target: fields[":path"], fields, lines: pairs(raw) }));
      } else if (what === "bytes") {
        stream.respond({ ...head, "content-length": argument });
        Readable.from(pattern(fields[":method"] === "HEAD" ? 0 : Number(argument))).pipe(stream);
      } else if (what === "trailers") {
        const sum = crypto.createHash("sha256");
        for (const piece of pattern(Number(argument))) sum.update(piece);
        stream.respond(head, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": sum.digest("hex") }));
        Readable.from(pattern(Number(argument))).pipe(stream);
      } else if (what === "early") {
        stream.additionalHeaders({ ":status": 103, link: "</style.css>; rel=preload" });
        setTimeout(() => { stream.respond(head); stream.end("late\n"); }, 50);
      } else {
        stream.respond(head);
        stream.end(name + "\n");
      }
    });
  });
  server.on("sessionError", () => {});
  server.listen(Number(port), address);
}

function ask(url, method = "GET", bytes = "", trailer = "") {
  const { host, origin, pathname, search } = new URL(url);
  const session = http2.connect(origin);
  const told = { status: 0, interim: [], fields: {}, trailers: [] };
  const fail = (error) => { console.log(JSON.stringify({ ...told, error: String(error) })); process.exit(1); };
  session.on("error", fail);
  // Of an IPv6 address Node would make an authority without brackets.
  const stream = session.request({ ":authority": host, ":method": method, ":path": pathname + search },
    { endStream: bytes === "", waitForTrailers: trailer !== "" });
  stream.on("error", fail);
  stream.on("headers", (fields) => told.interim.push(fields[":status"]));
  stream.on("response", (fields) => { told.status = fields[":status"]; told.fields = fields; });
  stream.on("trailers", (fields, flags, raw) => { told.trailers = pairs(raw); });
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": trailer }));
  const kept = [];
  stream.on("data", (piece) => { if (Buffer.concat(kept).length < 65536) kept.push(piece); });
  digest(stream, (sum) => {
    console.log(JSON.stringify({ ...told, ...sum, text: Buffer.concat(kept).toString("latin1").slice(0, 65536) }));
    session.close();
  });
  if (bytes !== "") Readable.from(pattern(Number(bytes))).pipe(stream);
}

const [what, ...words] = process.argv.slice(2);
({ serve, ask })[what](...words);
