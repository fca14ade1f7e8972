// The frame codec by itself: headers, the table of frame rules, padding, settings; the public cases of
// http2-frame-test-case; and the small parser of priorities (RFC 9218).

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "dataplane/http/h2_guard.h"
#include "dataplane/http/h2_priority.h"
#include "dataplane/http/h2_stream.h"
#include "tests/unit/http/h2_talk.h"

namespace ringway::http::test {
namespace {

using nlohmann::json;

TEST(H2Frame, Rfc9113_4_1_HeaderIsReadAndWritten) {
  std::array<u8, kH2FrameHeaderBytes> bytes;
  for (const H2FrameHeader& h : {H2FrameHeader{0, H2Type::data, 0, 0}, H2FrameHeader{0xabcdef, H2Type::continuation, 0xff, 0x7fff'ffff},
                                 H2FrameHeader{1, static_cast<H2Type>(0xee), 0x25, 12'345}}) {
    h2_write_header(bytes.data(), h);
    EXPECT_EQ(h2_read_header(bytes.data()), h);
    bytes[5] |= 0x80;  // reserved
    EXPECT_EQ(h2_read_header(bytes.data()), h);
  }
}

TEST(H2Frame, Rfc9113_6_TableSaysWhatIsWrongWithAFrame) {
  struct Case {
    H2Type type;
    u32 length, stream;
    u8 flags;
    H2Error error;
    bool ends_stream;
  };
  const H2Error good = H2Error::no_error, size = H2Error::frame_size_error, protocol = H2Error::protocol_error;
  const Case cases[] = {
      {H2Type::data, 16'384, 1, 0, good, false},      {H2Type::data, 16'385, 1, 0, size, false},
      {H2Type::data, 0, 0, 0, protocol, false},       {H2Type::headers, 0, 0, 0, protocol, false},
      {H2Type::headers, 0, 1, 0, good, false},        {H2Type::priority, 5, 1, 0, good, false},
      {H2Type::priority, 4, 1, 0, size, true},        {H2Type::priority, 6, 1, 0, size, true},
      {H2Type::priority, 5, 0, 0, protocol, false},   {H2Type::rst_stream, 4, 1, 0, good, false},
      {H2Type::rst_stream, 5, 1, 0, size, false},     {H2Type::rst_stream, 4, 0, 0, protocol, false},
      {H2Type::settings, 0, 0, 0, good, false},       {H2Type::settings, 12, 0, 0, good, false},
      {H2Type::settings, 13, 0, 0, size, false},      {H2Type::settings, 0, 1, 0, protocol, false},
      {H2Type::settings, 0, 0, kH2Ack, good, false},  {H2Type::settings, 6, 0, kH2Ack, size, false},
      {H2Type::push_promise, 3, 1, 0, size, false},   {H2Type::push_promise, 4, 0, 0, protocol, false},
      {H2Type::ping, 8, 0, 0, good, false},           {H2Type::ping, 7, 0, 0, size, false},
      {H2Type::ping, 9, 0, kH2Ack, size, false},      {H2Type::ping, 8, 1, 0, protocol, false},
      {H2Type::goaway, 8, 0, 0, good, false},         {H2Type::goaway, 1000, 0, 0, good, false},
      {H2Type::goaway, 7, 0, 0, size, false},         {H2Type::goaway, 8, 1, 0, protocol, false},
      {H2Type::window_update, 4, 0, 0, good, false},  {H2Type::window_update, 4, 9, 0, good, false},
      {H2Type::window_update, 3, 0, 0, size, false},  {H2Type::continuation, 0, 0, 0, protocol, false},
      {H2Type::continuation, 9, 1, 0, good, false},   {H2Type::priority_update, 4, 0, 0, good, false},
      {H2Type::priority_update, 3, 0, 0, size, false}, {H2Type::priority_update, 4, 1, 0, protocol, false},
      {static_cast<H2Type>(10), 7, 0, 0, good, false}, {static_cast<H2Type>(10), 16'385, 0, 0, size, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(type_name(c.type) + " length " + std::to_string(c.length) + " stream " + std::to_string(c.stream));
    EXPECT_EQ(h2_fault({c.length, c.type, c.flags, c.stream}, kH2FrameBytesLeast), (H2Fault{c.error, c.ends_stream}));
  }
  for (u32 n = 0; n < kH2FrameRules.size(); ++n) EXPECT_EQ(h2_rule(kH2FrameRules[n].type), &kH2FrameRules[n]);
}

TEST(H2Frame, Rfc9113_6_1_LayoutOfPaddedFrames) {
  const auto layout = [](u32 length, u8 flags, u8 pad, H2Type type = H2Type::data) { return h2_layout({length, type, flags, 1}, pad); };
  EXPECT_EQ(layout(10, 0, 99).bytes, 10u);
  EXPECT_EQ(layout(10, kH2Padded, 4).bytes, 5u);
  EXPECT_EQ(layout(10, kH2Padded, 9).bytes, 0u);
  EXPECT_EQ(layout(10, kH2Padded, 10).error, H2Error::protocol_error);
  EXPECT_EQ(layout(0, kH2Padded, 0).error, H2Error::frame_size_error);
  EXPECT_EQ(layout(1, kH2Padded, 0).bytes, 0u);
  EXPECT_EQ(layout(10, kH2Priority, 0).bytes, 10u);  // DATA has no such flag
  EXPECT_EQ(layout(10, kH2Priority, 0, H2Type::headers).bytes, 5u);
  EXPECT_EQ(layout(10, kH2Priority | kH2Padded, 4, H2Type::headers).bytes, 0u);
  EXPECT_EQ(layout(10, kH2Priority | kH2Padded, 5, H2Type::headers).error, H2Error::protocol_error);
  EXPECT_EQ(layout(5, kH2Priority | kH2Padded, 0, H2Type::headers).error, H2Error::frame_size_error);
}

TEST(H2Frame, Rfc9113_7_ErrorCodesHaveTheirNames) {
  EXPECT_EQ(h2_error_name(H2Error::no_error), "NO_ERROR");
  EXPECT_EQ(h2_error_name(H2Error::http_1_1_required), "HTTP_1_1_REQUIRED");
  EXPECT_EQ(h2_error_name(static_cast<H2Error>(14)), "unknown");
  EXPECT_EQ(static_cast<u32>(H2Error::enhance_your_calm), 0xbu);
}

TEST(H2Frame, Rfc9113_5_1_TableOfStatesStandsInTheOrderOfTheStates) {
  for (u32 n = 0; n < static_cast<u32>(H2State::count_); ++n) EXPECT_EQ(static_cast<u32>(h2_stream_detail::kReactions[n].state), n);
  H2Past past;
  past.reset(1, false);
  past.reset(3, true);
  past.finished(5);
  EXPECT_EQ(past.state(1), H2State::reset_by_us);
  EXPECT_EQ(past.state(3), H2State::reset_by_peer);
  EXPECT_EQ(past.state(5), H2State::finished);
  EXPECT_EQ(past.state(7), H2State::passed);
  past.reset(kH2StreamIdMost, true);
  EXPECT_EQ(past.state(kH2StreamIdMost), H2State::reset_by_peer);
}

// --- http2-frame-test-case

std::vector<std::pair<std::string, json>> frame_cases() {
  std::vector<std::pair<std::string, json>> out;
  const char* shared = std::getenv("RINGWAY_SHARED");
  const std::filesystem::path root = std::filesystem::path(shared != nullptr ? shared : "") / "data" / "suites" / "http2-frame-test-case";
  if (shared == nullptr || !std::filesystem::exists(root)) return out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream in(entry.path());
    json c = json::parse(in, nullptr, false);
    if (c.is_discarded()) ADD_FAILURE() << entry.path() << " is not readable JSON";
    out.emplace_back(entry.path().lexically_relative(root).string(), std::move(c));
  }
  return out;
}

TEST(H2Frame, PublicCasesAreRead) {
  const auto cases = frame_cases();
  if (cases.empty()) GTEST_SKIP() << "no shared folder of suites";
  u32 read = 0;
  for (const auto& [name, c] : cases) {
    if (!c["error"].is_null()) continue;
    SCOPED_TRACE(name);
    ++read;
    const std::string wire = unhex(c["wire"]);
    const u8* const bytes = reinterpret_cast<const u8*>(wire.data());
    const H2FrameHeader h = h2_read_header(bytes);
    const json& frame = c["frame"];
    EXPECT_EQ(h.length, frame["length"].get<u32>());
    EXPECT_EQ(h.length + kH2FrameHeaderBytes, wire.size());
    EXPECT_EQ(static_cast<u32>(h.type), frame["type"].get<u32>());
    EXPECT_EQ(h.flags, frame["flags"].get<u32>());
    EXPECT_EQ(h.stream, frame["stream_identifier"].get<u32>());
    std::string again(kH2FrameHeaderBytes, 0);
    h2_write_header(reinterpret_cast<u8*>(again.data()), h);
    EXPECT_EQ(again, wire.substr(0, kH2FrameHeaderBytes));
    EXPECT_EQ(h2_fault(h, kH2FrameBytesLeast), H2Fault{});
    const json& payload = frame["frame_payload"];
    const u8* const body = bytes + kH2FrameHeaderBytes;
    if (h.type == H2Type::data || h.type == H2Type::headers) {
      const H2Layout l = h2_layout(h, body[0]);
      EXPECT_EQ(l.error, H2Error::no_error);
      EXPECT_EQ(wire.substr(kH2FrameHeaderBytes + l.before, l.bytes), payload[h.type == H2Type::data ? "data" : "header_block_fragment"].get<std::string>());
      EXPECT_EQ(l.padding, payload["padding_length"].is_null() ? 0u : payload["padding_length"].get<u32>());
    }
    if (h.type == H2Type::settings) {
      for (u32 n = 0; n < payload["settings"].size(); ++n) {
        const H2Setting s = h2_read_setting(body + n * kH2SettingBytes);
        EXPECT_EQ(static_cast<u32>(s.id), payload["settings"][n][0].get<u32>());
        EXPECT_EQ(s.value, payload["settings"][n][1].get<u32>());
        EXPECT_EQ(h2_setting_fault(s, false), H2Error::no_error);
      }
    }
  }
  EXPECT_GE(read, 10u);
}

// Frames in error on a live connection that has streams 1 to 49: the listed code, or the one of a rule that comes first.
TEST(H2Frame, PublicErrorCasesEndStreamOrConnection) {
  const auto cases = frame_cases();
  if (cases.empty()) GTEST_SKIP() << "no shared folder of suites";
  u32 read = 0;
  for (const auto& [name, c] : cases) {
    if (c["error"].is_null()) continue;
    SCOPED_TRACE(name);
    ++read;
    Talk t;
    t.begun();
    for (u32 id = 1; id < 50; id += 2) t.open(id);
    t.arrive(unhex(c["wire"]));
    ASSERT_NE(t.frames_waiting(), 0u);
    std::set<std::string> allowed{"PROTOCOL_ERROR", "STREAM_CLOSED", "FRAME_SIZE_ERROR"};
    for (const json& code : c["error"]) allowed.insert(std::string(h2_error_name(static_cast<H2Error>(code.get<u32>()))));
    const std::string kind = t.counter(Counter::h2_connection_errors) != 0 ? "GOAWAY" : "RST_STREAM";
    t.out(kind);
    EXPECT_TRUE(allowed.contains(split_words(t.last).back())) << t.last;
    t.audit();
  }
  EXPECT_GE(read, 20u);
}

// --- RFC 9218

TEST(H2Priority, Rfc9218_4_ParametersAreRead) {
  const auto is = [](std::string_view field, u8 urgency, bool incremental) {
    EXPECT_EQ(h2_urgency(field), (H2Urgency{urgency, incremental, true})) << field;
  };
  is("", 3, false);
  is("u=0", 0, false);
  is("u=7, i", 7, true);
  is("i", 3, true);
  is("i=?1", 3, true);
  is("i=?0", 3, false);
  is("  u=5 ,\ti ", 5, true);
  is("u=1,u=6", 6, false);  // the last counts
  is("u=1;x=2;y, i;z=\"a\\\"b\"", 1, true);
}
TEST(H2Priority, Rfc9218_4_ValuesOutOfRangeOrOfAnotherTypeAreSkipped) {
  for (const char* field : {"u=8", "u=-1", "u=1.5", "u=?1", "u=\"1\"", "u=a", "u", "u=(1 2)", "i=1", "i=a", "x=1, y=(a b;q=1), z=:AQ==:, w=1.25, v=*x/y:z"}) {
    EXPECT_EQ(h2_urgency(field), (H2Urgency{3, false, true})) << field;
  }
}
TEST(H2Priority, Rfc8941_3_2_BrokenSyntaxSaysNothing) {
  for (const char* field : {"u=", "u=1,", "u=1 i", "=1", "U=1", "u=1;", "u=1;;", "i=?2", "u=\"", "u=\"\\x\"", "u=(1", "u=(1,2)", "u=(1 2", "u=:a", "u=1234567890123456",
                            "u=1.", "u=1.2345", "u=-", "u=\x01", "u=\"\x7f\"", ",u=1", "u=1234567890123.1", "x;y=", "u=1 \"", "\xff"}) {
    EXPECT_FALSE(h2_urgency(field).said) << field;
  }
}

TEST(H2Priority, Rfc9218_10_LowerUrgencyGoesFirst) {
  Talk t;
  t.begun();
  t.in("HEADERS 1 end GET / priority=u=5", "HEADERS 3 end GET /", "HEADERS 5 end GET / priority=u=0", "HEADERS 7 end GET / priority=u=7,i").drop_events();
  for (u32 id = 1; id < 8; id += 2) t.respond(id, 200, false).wait(id);
  t.drop_sent();
  EXPECT_EQ(t.writable(), 5u);
  EXPECT_EQ(t.writable(), 3u);
  EXPECT_EQ(t.writable(), 1u);
  EXPECT_EQ(t.writable(), 7u);
  EXPECT_EQ(t.writable(), 0u);
  t.audit();
}
TEST(H2Priority, Rfc9218_10_WhoIsNotIncrementalGoesOnUntilItIsDone) {
  Talk t;
  t.begun();
  t.in("HEADERS 1 end GET / priority=u=3", "HEADERS 3 end GET / priority=u=3").drop_events();
  for (u32 id = 1; id < 4; id += 2) t.respond(id, 200, false).wait(id);
  t.drop_sent();
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(t.writable(), 1u);
    t.wait(1);
  }
  EXPECT_EQ(t.writable(), 1u);
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(t.writable(), 3u);
    t.wait(3);
  }
  t.audit();
}
TEST(H2Priority, Rfc9218_10_WhoIsIncrementalAndWhoSaidNothingTakeTurns) {
  for (const char* field : {"", " priority=u=3,i"}) {
    Talk t;
    t.begun();
    for (u32 id = 1; id < 6; id += 2) t.in("HEADERS " + std::to_string(id) + " end GET /" + field).drop_events().respond(id, 200, false).wait(id);
    t.drop_sent();
    for (int n = 0; n < 4; ++n) {
      for (u32 id = 1; id < 6; id += 2) {
        EXPECT_EQ(t.writable(), id);
        t.wait(id);
      }
    }
    t.audit();
  }
}
TEST(H2Priority, Rfc9218_7_UpdateMovesAStreamThatWaits) {
  Talk t;
  t.begun();
  for (u32 id = 1; id < 6; id += 2) t.open(id, true, "GET /").respond(id, 200, false).wait(id).drop_sent();
  t.drop_sent().in("PRIORITY_UPDATE of=5 u=1", "PRIORITY_UPDATE of=1 u=6").quiet();
  EXPECT_EQ(t.writable(), 5u);
  EXPECT_EQ(t.writable(), 3u);
  EXPECT_EQ(t.writable(), 1u);
  t.audit();
}
TEST(H2Priority, Rfc9218_7_UpdateInFrontOfItsStreamOutweighsTheField) {
  Talk t;
  t.begun().in("PRIORITY_UPDATE of=3 u=7", "PRIORITY_UPDATE of=3 u=0", "PRIORITY_UPDATE of=5 u=6");
  t.in("HEADERS 1 end GET /", "HEADERS 3 end GET / priority=u=7", "HEADERS 5 end GET / priority=u=1").drop_events();
  for (u32 id = 1; id < 6; id += 2) t.respond(id, 200, false).wait(id);
  t.drop_sent();
  EXPECT_EQ(t.writable(), 3u);
  EXPECT_EQ(t.writable(), 1u);
  EXPECT_EQ(t.writable(), 5u);
  t.audit();
}
TEST(H2Priority, StreamsLeaveTheLineWhenTheyEnd) {
  Talk t;
  t.begun();
  for (u32 id = 1; id < 10; id += 2) t.open(id).respond(id, 200, false).wait(id).drop_sent();
  t.drop_sent();
  t.in("RST_STREAM 1 CANCEL").event("reset 1");
  t.release(3, H2Error::cancel).send(5, "", true).drop_sent();
  EXPECT_EQ(t.writable(), 7u);
  EXPECT_EQ(t.writable(), 9u);
  EXPECT_EQ(t.writable(), 0u);
  t.audit();
}

}  // namespace
}  // namespace ringway::http::test
