// Heads and bodies: what reading and writing one costs. Requests are a tiny one as wrk sends it and one of a browser
// (about 700 bytes). In HTTP/2 the same requests are read from a header block and written as one, as the second and
// later ones of their connection.

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "dataplane/http/h1_body.h"
#include "dataplane/http/h1_read.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/http/h2_head.h"
#include "dataplane/http/h2_write.h"
#include "dataplane/http/hpack.h"

namespace ringway::http {
namespace {

const std::string kTiny = "GET / HTTP/1.1\r\nHost: auth-service:4000\r\n\r\n";

const std::string kBrowser =
    "GET /products/list?category=shoes&page=2&sort=price HTTP/1.1\r\n"
    "Host: shop.example.com\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Referer: https://shop.example.com/products/list?category=shoes&page=1\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=7b1f0b2c9f6e4d5a8c3e2f1a0b9d8c7e; theme=dark; consent=necessary%2Canalytics\r\n"
    "X-Requested-With: XMLHttpRequest\r\n\r\n";

const std::string kTinyResponse =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
    "Content-Length: 2\r\nConnection: keep-alive\r\n\r\n";

const std::string kLargeResponse =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "Content-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n"
    "Vary: Accept-Encoding, Cookie\r\nCache-Control: private, max-age=0, must-revalidate\r\n"
    "ETag: W/\"5e1f-18f0c2a4b30\"\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: SAMEORIGIN\r\n"
    "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
    "Set-Cookie: session=7b1f0b2c9f6e4d5a8c3e2f1a0b9d8c7e; Path=/; HttpOnly; SameSite=Lax\r\n\r\n";

Bytes bytes_of(const std::string& text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }

void set_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
}

void read_request_bench(benchmark::State& state, const std::string& text) {
  RequestHead head;
  for (auto _ : state) {
    benchmark::DoNotOptimize(read_request(bytes_of(text), {}, head));
    benchmark::ClobberMemory();
  }
  set_bytes(state, text.size());
}
BENCHMARK_CAPTURE(read_request_bench, tiny, kTiny);
BENCHMARK_CAPTURE(read_request_bench, browser, kBrowser);

void read_response_bench(benchmark::State& state, const std::string& text) {
  ResponseHead head;
  for (auto _ : state) {
    benchmark::DoNotOptimize(read_response(bytes_of(text), Method::get, {}, head));
    benchmark::ClobberMemory();
  }
  set_bytes(state, text.size());
}
BENCHMARK_CAPTURE(read_response_bench, tiny, kTinyResponse);
BENCHMARK_CAPTURE(read_response_bench, large, kLargeResponse);

void write_request_bench(benchmark::State& state, const std::string& text) {
  RequestHead head;
  if (read_request(bytes_of(text), {}, head).status != ReadStatus::complete) state.SkipWithError("refused");
  RequestEdit edit;
  edit.client_ip = wire::Ip4::of(10, 11, 12, 13);
  edit.via = "ringway";
  edit.request_id = "01234567-89ab-4def-bedc-ba9876543210";
  edit.expected_timeout_ms = 15000;
  std::vector<u8> out(2048);
  for (auto _ : state) {
    benchmark::DoNotOptimize(write_request(head, edit, out));
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(write_request_bench, tiny, kTiny);
BENCHMARK_CAPTURE(write_request_bench, browser, kBrowser);

void write_response_bench(benchmark::State& state, const std::string& text) {
  ResponseHead head;
  if (read_response(bytes_of(text), Method::get, {}, head).status != ReadStatus::complete) {
    state.SkipWithError("refused");
  }
  ResponseEdit edit;
  edit.via = "ringway";
  edit.upstream_service_ms = 3;
  std::vector<u8> out(2048);
  for (auto _ : state) {
    benchmark::DoNotOptimize(write_response(head, edit, out));
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(write_response_bench, tiny, kTinyResponse);
BENCHMARK_CAPTURE(write_response_bench, large, kLargeResponse);

// The edits of an endpoint's request, so that the block holds what a gateway in front of another one would read.
RequestEdit edit_for_h2() {
  RequestEdit edit;
  edit.client_ip = wire::Ip4::of(10, 11, 12, 13);
  edit.via = "ringway";
  return edit;
}

// Header block to Head: HPACK decoded, the text written, the text read.
void read_h2_request_bench(benchmark::State& state, const std::string& text) {
  RequestHead head;
  if (read_request(bytes_of(text), {}, head).status != ReadStatus::complete) state.SkipWithError("refused");
  HpackEncoder encoder;
  HpackDecoder decoder;
  std::vector<u8> block(kH2BlockBytesMax);
  std::vector<u8> scratch(HpackDecoder::scratch_bytes(kH2BlockBytesMax));
  std::vector<u8> out(contract::kHeadBytesMax + 1024);
  const auto read = [&](Bytes bytes) {
    H2HeadText h2(H2HeadText::Kind::request, {}, out);
    if (decoder.decode({&bytes, 1}, scratch, h2) != HpackStatus::ok) return false;
    return h2.finish(true) == H2HeadStatus::complete && read_request(h2.text(), {}, head).status == ReadStatus::complete;
  };
  u32 bytes = write_request(encoder, head, edit_for_h2(), {}, block);
  if (!read(Bytes(block).first(bytes))) state.SkipWithError("refused");
  if (read_request(bytes_of(text), {}, head).status != ReadStatus::complete) state.SkipWithError("refused");
  bytes = write_request(encoder, head, edit_for_h2(), {}, block);
  for (auto _ : state) {
    benchmark::DoNotOptimize(read(Bytes(block).first(bytes)));
    benchmark::ClobberMemory();
  }
  state.counters["block_bytes"] = bytes;
}
BENCHMARK_CAPTURE(read_h2_request_bench, tiny, kTiny);
BENCHMARK_CAPTURE(read_h2_request_bench, browser, kBrowser);

void write_h2_request_bench(benchmark::State& state, const std::string& text) {
  RequestHead head;
  if (read_request(bytes_of(text), {}, head).status != ReadStatus::complete) state.SkipWithError("refused");
  HpackEncoder encoder;
  RequestEdit edit = edit_for_h2();
  edit.request_id = "01234567-89ab-4def-bedc-ba9876543210";
  edit.expected_timeout_ms = 15000;
  std::vector<u8> out(kH2BlockBytesMax);
  u32 bytes = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes = write_request(encoder, head, edit, {}, out));
    benchmark::ClobberMemory();
  }
  state.counters["block_bytes"] = bytes;
}
BENCHMARK_CAPTURE(write_h2_request_bench, tiny, kTiny);
BENCHMARK_CAPTURE(write_h2_request_bench, browser, kBrowser);

void write_h2_response_bench(benchmark::State& state, const std::string& text) {
  ResponseHead head;
  if (read_response(bytes_of(text), Method::get, {}, head).status != ReadStatus::complete) state.SkipWithError("refused");
  HpackEncoder encoder;
  ResponseEdit edit;
  edit.via = "ringway";
  edit.upstream_service_ms = 3;
  std::vector<u8> out(kH2BlockBytesMax);
  u32 bytes = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes = write_response(encoder, head, edit, {}, out));
    benchmark::ClobberMemory();
  }
  state.counters["block_bytes"] = bytes;
}
BENCHMARK_CAPTURE(write_h2_response_bench, tiny, kTinyResponse);
BENCHMARK_CAPTURE(write_h2_response_bench, large, kLargeResponse);

// A chunked body of 64 KiB in chunks of `range` bytes, shown in pieces of one segment (1448 bytes).
void chunked_body_bench(benchmark::State& state) {
  const auto chunk = static_cast<std::size_t>(state.range(0));
  std::string body;
  char size[20];
  for (std::size_t sent = 0; sent < 65536; sent += chunk) {
    body.append(size, static_cast<std::size_t>(std::snprintf(size, sizeof size, "%zx\r\n", chunk)));
    body.append(chunk, 'x').append("\r\n");
  }
  body += "0\r\n\r\n";
  for (auto _ : state) {
    BodyReader reader;
    reader.begin(Framing::chunked, 0);
    for (std::size_t at = 0; at < body.size();) {
      const Bytes piece = bytes_of(body).subspan(at, std::min<std::size_t>(1448 - at % 1448, body.size() - at));
      at += reader.next(piece).bytes;
    }
    if (!reader.done()) state.SkipWithError("not complete");
  }
  set_bytes(state, body.size());
}
BENCHMARK(chunked_body_bench)->Arg(64)->Arg(1024)->Arg(8192);

void uuid_bench(benchmark::State& state) {
  char out[36];
  u64 x = 1;
  for (auto _ : state) {
    x += 0x9e37'79b9'7f4a'7c15;
    write_uuid(x, x * 3, out);
    benchmark::DoNotOptimize(out);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(uuid_bench);

}  // namespace
}  // namespace ringway::http

BENCHMARK_MAIN();
