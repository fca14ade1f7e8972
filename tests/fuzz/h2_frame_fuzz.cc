// Bytes as a peer of two HTTP/2 connections, one as its server and one as its client, and as their users: frames that are
// good but for a few octets, bytes as they come, in pieces of any size, and every call that a user may make in between.
// What must hold: no sanitizer complaint, every invariant of the engine after every step, frames that can be read, no more
// than we announced is held, and all packet memory back at the end.

#include <cstdio>
#include <cstring>
#include <memory>

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h2_engine.h"
#include "tests/support/eal.h"
#include "tests/support/program.h"

namespace {

using namespace ringway;
using namespace ringway::http;
using test::Program;

mbuf::Pools& pools() {
  static const auto p = [] {
    test::start_eal();
    std::string error;
    auto made = mbuf::Pools::make({.name = "fuzz", .packets = 511, .indirect = 15, .slices = 2048, .cache = 0}, error);
    RW_ASSERT(made != nullptr);
    return made;
  }();
  return *p;
}

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "this should hold: %s\n", what);
  std::abort();
}

class Machine {
 public:
  explicit Machine(Program& p) : p_(p), engine_({.connections = 2, .streams = 12}, pools(), *page_) {
    const u8 sizes = p_.next();
    H2Settings s;
    s.streams_max = 1u << (sizes & 3);
    s.stream_window_bytes = 1u << (2 * (sizes >> 2 & 7));
    s.held_bytes_max = 1u << (12 + (sizes >> 5));
    s.head_bytes_max = 2000;
    s.fields_max = 20;
    held_max_ = std::max(s.held_bytes_max, kH2WindowInitial);
    conns_[0] = engine_.open(H2Role::server, s, now_);
    conns_[1] = engine_.open(H2Role::client, s, now_);
    for (u32 c = 0; c < 2; ++c) {
      std::string hello(c == 0 ? std::string_view(kH2Preface) : std::string_view());
      if ((p_.next() & 7) != 0) hello += std::string("\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0", 18);
      arrive(c, hello);
    }
  }

  void run() {
    for (u32 steps = 0; p_.more() && steps < 300; ++steps) step();
  }

 private:
  void step() {
    const u8 op = p_.next();
    const u32 c = op >> 7;
    switch (op & 15) {
      case 12: return user(c, op >> 4 & 7);
      case 13: return user(c, 8 + (op >> 4 & 7));
      case 14: now_ += u64{1} << (p_.next() & 31); return;
      case 15: return raw(c);
      default: return frame(c, op & 15);
    }
  }

  void raw(u32 c) {
    std::string bytes;
    for (u32 n = p_.next() & 31; n > 0; --n) bytes += static_cast<char>(p_.next());
    arrive(c, bytes);
  }
  // A frame of a type, on a stream that may be open, with a payload that may be one.
  void frame(u32 c, u32 type) {
    static constexpr u8 kTypes[12] = {0, 0, 1, 1, 2, 3, 4, 7, 8, 9, 0x10, 0x63};
    const u8 flags = p_.next(), where = p_.next();
    H2FrameHeader h{0, static_cast<H2Type>(kTypes[type]), flags, where & 31u};
    if (h.type == H2Type::settings || h.type == H2Type::goaway || h.type == H2Type::priority_update) h.stream = where >> 5 == 7 ? 1 : 0;
    if (h.type == H2Type::settings && (where & 64) != 0) h.type = H2Type::ping;
    std::string payload;
    switch (h.type) {
      case H2Type::data: payload.assign(p_.next() * ((where & 32) != 0 ? 40u : 1u), 'd'); break;
      case H2Type::headers: payload = block(c); break;
      case H2Type::continuation: payload = block(c); break;
      case H2Type::settings: for (u32 n = where & 3; n > 0; --n) payload += setting(); break;
      case H2Type::ping: payload = "pingpong"; break;
      case H2Type::goaway: payload = word(p_.next()) + word(p_.next() & 15); break;
      case H2Type::priority: payload = word(p_.next() & 31) + "\x10"; break;
      case H2Type::priority_update: payload = word(p_.next() & 31) + "u=" + static_cast<char>('0' + (where & 7)); break;
      case H2Type::window_update: payload = word((p_.next() & 1) != 0 ? p_.next() * 0x0101'0101u : p_.next()); break;
      default: payload = word(p_.next() & 15); break;
    }
    if ((h.type == H2Type::data || h.type == H2Type::headers) && h.has(kH2Padded)) payload = static_cast<char>(p_.next() & 7) + payload + std::string(4, 0);
    h.length = static_cast<u32>(payload.size());
    if ((where & 128) != 0 && (p_.next() & 7) == 0) h.length += static_cast<u32>(p_.next()) - 2;
    std::string bytes(kH2FrameHeaderBytes, 0);
    h2_write_header(reinterpret_cast<u8*>(bytes.data()), h);
    arrive(c, bytes + payload);
  }
  std::string block(u32 c) {
    // Whole heads, trailers, and single representations of RFC 7541 section 6.
    static const std::string kParts[8] = {std::string("\x82\x86\x84\x41\x01") + "a", "\x88", std::string("\x40\x03x-a\x02yz"), std::string("\x83\x86\x84\x41\x01") + "a",
                                          "\x48\x03" "103", std::string("\x00\x0e" "content-length\x01" "5", 18), "\xbe", std::string("\x10\x02te\x08trailers")};
    std::string out = (p_.next() & 3) == 0 ? std::string() : kParts[c == 0 ? 0 : 1];
    for (u32 n = p_.next() & 3; n > 0; --n) out += kParts[p_.next() & 7];
    if ((p_.next() & 15) == 0) out += static_cast<char>(p_.next());
    return out;
  }
  std::string setting() {
    static constexpr u32 kValues[8] = {0, 1, 5, 100, 16'384, 65'535, 0x7fff'ffff, 0xffff'ffff};
    const u8 which = p_.next();
    std::string out(2, 0);
    out[1] = static_cast<char>(which & 15);
    return out + word(kValues[which >> 5]);
  }
  static std::string word(u32 v) {
    std::string out(4, 0);
    wire::store_be32(reinterpret_cast<u8*>(out.data()), v);
    return out;
  }

  void arrive(u32 c, const std::string& bytes) {
    const u32 each = 1 + (piece_++ * 37 & 127);
    mbuf::Chain chain = pools().chain();
    for (std::size_t at = 0; at < bytes.size(); at += each) {
      mbuf::Pkt pkt = pools().alloc();
      if (!pkt) break;
      const u32 n = static_cast<u32>(std::min<std::size_t>(each, bytes.size() - at));
      std::memcpy(pkt.append(n), bytes.data() + at, n);
      if (!chain.append(std::move(pkt))) break;
    }
    engine_.input(conns_[c], std::move(chain), now_);
    settle(c);
  }
  void settle(u32 c) {
    H2Event e;
    while (engine_.next_event(conns_[c], e)) {
      must(engine_.check_invariants(conns_[c]) == nullptr, "an invariant behind an event");
      must(e.kind == H2EventKind::failed || !engine_.failed(conns_[c]) || e.kind == H2EventKind::reset, "an event of a connection that lives");
      if (e.kind == H2EventKind::head && !e.too_large && c == 0) {
        const ReadStatus status = read_request(e.text, {}, *request_).status;
        must(status != ReadStatus::incomplete, "a head that is shown is whole");
      }
    }
    if (const char* what = engine_.check_invariants(conns_[c])) must(false, what);
    must(engine_.held_bytes(conns_[c]) <= held_max_, "no more is held than was announced");
    output(c);
  }
  // Every frame that leaves is one, within what the peer takes.
  void output(u32 c) {
    if ((piece_ & 3) == 3) return;  // taken later
    const mbuf::Chain out = engine_.take_output(conns_[c]);
    std::string bytes(out.bytes(), 0);
    out.copy_out(0, {reinterpret_cast<u8*>(bytes.data()), bytes.size()});
    sent_[c] += bytes;
    if (c == 1 && !prefaced_ && sent_[c].size() >= kH2Preface.size()) {
      must(sent_[c].starts_with(kH2Preface), "a client begins with the preface");
      sent_[c].erase(0, kH2Preface.size());
      prefaced_ = true;
    }
    while (sent_[c].size() >= kH2FrameHeaderBytes) {
      const H2FrameHeader h = h2_read_header(reinterpret_cast<const u8*>(sent_[c].data()));
      must(h2_rule(h.type) != nullptr && h2_fault(h, kH2FrameBytesMost) == H2Fault{}, "a frame that leaves keeps the rules");
      if (sent_[c].size() < kH2FrameHeaderBytes + h.length) break;
      sent_[c].erase(0, kH2FrameHeaderBytes + h.length);
    }
  }

  u32 some_stream(u32 c) {
    u32 i = engine_.first_stream(conns_[c]);
    for (u32 n = p_.next() & 7; n > 0 && i != kNone32; --n) i = engine_.next_stream(conns_[c], i);
    return i;
  }
  void user(u32 c, u32 what) {
    const u32 i = some_stream(c);
    const bool end = (p_.next() & 1) != 0;
    if (what == 0 && c == 1) open();
    if (what == 1) engine_.ping(conns_[c]);
    if (what == 2 && p_.next() == 0) engine_.goaway_notice(conns_[c]);
    if (what == 3 && p_.next() == 0) engine_.goaway_final(conns_[c], H2Error::no_error);
    if (what == 4) engine_.next_writable(conns_[c]);
    if (what == 4 && end) engine_.bear(p_.next());
    if (i != kNone32) with_stream(c, i, what, end);
    settle(c);
  }
  void open() {
    const u32 i = engine_.open_stream(conns_[1], 7);
    if (i == kNone32 || (p_.next() & 7) == 0) return;  // some requests are sent later, or never
    request(i);
  }
  void request(u32 i) {
    const std::string head = (p_.next() & 1) != 0 ? "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n" : "POST / HTTP/1.1\r\nhost: a\r\nx-a: b\r\n\r\n";
    must(read_request(bytes_of(head), {}, *request_).status == ReadStatus::complete, "our request is one");
    engine_.send_request(i, *request_, {.via = "t"}, {}, (p_.next() & 1) != 0);
  }
  void with_stream(u32 c, u32 i, u32 what, bool end) {
    const bool begun = engine_.id(i) != 0;
    switch (what) {
      case 5: engine_.take(i, p_.next() * 10u); return;
      case 6: engine_.discard(i, engine_.received(i).bytes()); return;
      case 7: engine_.release(i, end ? H2Error::no_error : H2Error::cancel); return;
      case 8: engine_.wait_writable(i); return;
      case 9: if (begun) engine_.send_trailers(i, bytes_of("x-t: 1\r\n")); return;
      case 10: if (c == 0) engine_.send_local_answer(i, {.status = 503, .text = "sorry"}); return;
      case 11: case 12: {
        if (c == 1 || !begun) return;
        const std::string head = end ? "HTTP/1.1 200 X\r\n\r\n" : "HTTP/1.1 103 X\r\n\r\n";
        must(read_response(bytes_of(head), Method::get, {}, *response_).status == ReadStatus::complete, "our response is one");
        engine_.send_response(i, *response_, {.via = "t"}, {}, end && what == 12);
        return;
      }
      case 13: case 14: case 15: {
        if (!begun) return;
        mbuf::Chain bytes = pools().chain();
        for (u32 left = std::min(engine_.send_space(i), p_.next() * 20u); left > 0;) {
          mbuf::Pkt pkt = pools().alloc();
          if (!pkt) break;
          const u32 n = std::min(left, 300u);
          std::memset(pkt.append(n), 's', n);
          if (!bytes.append(std::move(pkt))) break;
          left -= n;
        }
        engine_.send_data(i, std::move(bytes), what == 15);
        return;
      }
      default: return;
    }
  }

  static Bytes bytes_of(std::string_view s) { return {reinterpret_cast<const u8*>(s.data()), s.size()}; }

  Program& p_;
  std::unique_ptr<contract::CorePage> page_ = std::make_unique<contract::CorePage>();
  H2Engine engine_;
  u32 conns_[2] = {};
  u32 held_max_ = 0, piece_ = 0;
  TimeUs now_ = 1'000'000;
  std::string sent_[2];
  bool prefaced_ = false;
  std::unique_ptr<RequestHead> request_ = std::make_unique<RequestHead>();
  std::unique_ptr<ResponseHead> response_ = std::make_unique<ResponseHead>();
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Program p(Bytes(data, size));
  pools();
  {
    Machine machine(p);
    machine.run();
  }
  must(!pools().audit(), "all packet memory is back");
  return 0;
}
