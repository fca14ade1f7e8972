// Regret R19 row by row, and whatever else a peer may do that costs us and brings nothing (RFC 9113 section 10.5): each
// ends with ENHANCE_YOUR_CALM and its own counter, and what an honest peer does that looks alike goes on. Then memory:
// what is held is charged in packets, and what is left when it runs out.

#include "dataplane/http/h2_conn.h"
#include "tests/unit/http/h2_talk.h"

namespace ringway::http::test {
namespace {

std::string text_of_id(u32 id) { return std::to_string(id); }

// Says `text`, with %N for a stream identifier that goes up from `id`, until the connection ends; returns how often.
u32 until_it_dies(Talk& t, const std::string& text, u32 most, u32 id = 1) {
  for (u32 n = 0; n < most; ++n, id += 2) {
    std::istringstream lines(text);
    std::string bytes;
    for (std::string line; std::getline(lines, line, '\n');) {
      if (const size_t at = line.find("%N"); at != std::string::npos) line.replace(at, 2, text_of_id(id));
      bytes += t.speaker.say(line);
    }
    t.arrive(bytes);
    if (t.counter(Counter::h2_connection_errors) != 0) return n;
    t.drop_sent().drop_events();
  }
  return most;
}
void expect_calmed(Talk& t, Counter cause) {
  EXPECT_EQ(t.counter(cause), 1u);
  t.dies("ENHANCE_YOUR_CALM");
}

// --- rapid reset

TEST(H2Abuse, Regret19_RapidResetIsEndedSoon) {
  Talk t;
  t.piece = 1460;
  t.begun();
  EXPECT_EQ(until_it_dies(t, "HEADERS %N end GET /\nRST_STREAM %N CANCEL", 1000), contract::kH2ResetsMax);
  expect_calmed(t, Counter::h2_calm_resets);
}
TEST(H2Abuse, Regret19_ResetsOfAnsweredStreamsAndOfFewerThanHalfAreBorne) {
  Talk t;
  t.begun();
  for (u32 id = 1; id < 2000; id += 4) {
    t.in("HEADERS " + text_of_id(id) + " end GET /").respond(id, 200, true).release(id);
    t.in("HEADERS " + text_of_id(id + 2) + " end GET /", "RST_STREAM " + text_of_id(id + 2) + " CANCEL");
    t.drop_sent().drop_events();
  }
  for (u32 id = 2001; id < 2800; id += 2) {
    t.in("HEADERS " + text_of_id(id) + " GET /").respond(id, 200, false).in("RST_STREAM " + text_of_id(id) + " CANCEL");
    t.drop_sent().drop_events();
  }
  EXPECT_EQ(t.counter(Counter::h2_connection_errors), 0u);
  t.quiet().audit();
}
TEST(H2Abuse, Regret19_InterimResponseIsNoAnswer) {
  Talk t;
  t.begun();
  u32 id = 1;
  for (; id < 1000 && t.counter(Counter::h2_connection_errors) == 0; id += 2) {
    t.in("HEADERS " + text_of_id(id) + " end GET /").respond(id, 103, false).in("RST_STREAM " + text_of_id(id) + " CANCEL");
    if (t.counter(Counter::h2_connection_errors) == 0) t.drop_sent().drop_events();
  }
  EXPECT_EQ(id, 2 * contract::kH2ResetsMax + 3);
  expect_calmed(t, Counter::h2_calm_resets);
}
TEST(H2Abuse, Regret19_SlowResetsAreBorne) {
  Talk t;
  t.begun();
  for (u32 id = 1; id < 1000; id += 2) {
    t.after(140).in("HEADERS " + text_of_id(id) + " end GET /", "RST_STREAM " + text_of_id(id) + " CANCEL").drop_events();
  }
  EXPECT_EQ(t.counter(Counter::h2_connection_errors), 0u);
  t.quiet().audit();
}
TEST(H2Abuse, Regret19_EndpointsThatResetManyStreamsAreNotBlamed) {
  Talk t(H2Role::client);
  t.begun();
  for (u32 n = 0; n < 400; ++n) {
    const u32 id = t.request("GET /", true);
    t.in("RST_STREAM " + text_of_id(id) + " REFUSED_STREAM").event("reset " + text_of_id(id) + " by_peer").drop_sent();
  }
  t.quiet().audit();
}

// --- MadeYouReset

TEST(H2Abuse, Regret19_MadeYouResetCountsTheSame) {
  for (const char* provocation : {"WINDOW_UPDATE %N +0", "WINDOW_UPDATE %N +2147483647", "DATA %N x", "HEADERS %N end x=y", "PRIORITY %N payload=00", "PRIORITY %N on=99999999"}) {
    SCOPED_TRACE(provocation);
    Talk t;
    t.piece = 1460;
    t.begun();
    const bool self = std::string(provocation).find("99999999") != std::string::npos;
    const std::string text = self ? "HEADERS %N end GET /\nWINDOW_UPDATE %N +0" : std::string("HEADERS %N end GET /\n") + provocation;
    EXPECT_EQ(until_it_dies(t, text, 1000), contract::kH2ResetsMax);
    expect_calmed(t, Counter::h2_calm_provoked_resets);
  }
}
TEST(H2Abuse, Regret19_MalformedRequestsCountTheSame) {
  Talk t;
  t.piece = 1460;
  t.begun();
  EXPECT_EQ(until_it_dies(t, "HEADERS %N end GET / connection=close", 1000), contract::kH2ResetsMax);
  expect_calmed(t, Counter::h2_calm_provoked_resets);
}
TEST(H2Abuse, Regret19_StreamsBeyondTheLimitCountTheSame) {
  Talk t(H2Role::server, {.streams_max = 1});
  t.piece = 1460;
  t.begun();
  EXPECT_EQ(until_it_dies(t, "HEADERS %N GET /", 1000), contract::kH2ResetsMax + 1);
  EXPECT_EQ(t.counter(Counter::h2_streams_refused), contract::kH2ResetsMax + 1u);
  expect_calmed(t, Counter::h2_calm_provoked_resets);
}
TEST(H2Abuse, Regret19_StreamsBeyondALimitThatIsNotKnownYetAreOnlyRefused) {
  Talk t(H2Role::server, {.streams_max = 1});
  t.out("SETTINGS").forget("WINDOW_UPDATE").in("preface", "SETTINGS").out("SETTINGS ack");
  EXPECT_EQ(until_it_dies(t, "HEADERS %N GET /", 300), 300u);
  EXPECT_EQ(t.counter(Counter::h2_streams_refused), 299u);
  EXPECT_LT(until_it_dies(t, "HEADERS %N GET /", 1000, 601), 1000u);  // who never acknowledges it is not borne for ever
  expect_calmed(t, Counter::h2_calm_strays);
}
TEST(H2Abuse, Regret19_FramesForStreamsThatThePeerResetCountTheSame) {
  Talk t;
  t.piece = 1460;
  t.begun();
  t.in("HEADERS 1 end GET /", "WINDOW_UPDATE 1 +0").drop_sent().drop_events();  // an odd number is left: DATA goes too far
  EXPECT_EQ(until_it_dies(t, "HEADERS %N GET /\nRST_STREAM %N CANCEL\nDATA %N x", 1000, 3), contract::kH2ResetsMax / 2 - 1);
  expect_calmed(t, Counter::h2_calm_provoked_resets);
}

// --- CONTINUATION

TEST(H2Abuse, Regret19_ContinuationFloodIsEnded) {
  Talk t;
  t.piece = 1460;
  t.begun().in("HEADERS 1 end split=1 GET / a=" + letters(300));
  EXPECT_EQ(until_it_dies(t, "CONTINUATION 1 split=1", 1000), contract::kH2ContinuationsMax);
  expect_calmed(t, Counter::h2_calm_continuations);
}
TEST(H2Abuse, Regret19_EmptyContinuationsAreEndedSooner) {
  Talk t;
  t.begun().in("HEADERS 1 end split=1 GET /");
  EXPECT_EQ(until_it_dies(t, "CONTINUATION 1 split=0", 1000), contract::kH2EmptyContinuationsMax);
  expect_calmed(t, Counter::h2_calm_continuations);
}
TEST(H2Abuse, Regret19_AsManyContinuationsAsAllowedAreRead) {
  Talk t;
  t.begun().in("HEADERS 1 end split=1 GET / a=" + letters(300));
  for (u32 n = 1; n < contract::kH2ContinuationsMax; ++n) t.in("CONTINUATION 1 split=1");
  t.in("CONTINUATION 1").event("head 1 end").quiet().audit();
}
TEST(H2Abuse, Regret19_BlockWithoutEndIsEndedByItsBytes) {
  Talk t;
  t.piece = 1460;
  t.begun().in("HEADERS 1 end split=16000 GET / a=" + std::string(1'000'000, '!'));
  EXPECT_EQ(until_it_dies(t, "CONTINUATION 1 split=16000", 100), kH2BlockBytesMax / 16'000 - 1);
  expect_calmed(t, Counter::h2_calm_block_bytes);
}

// --- HPACK

TEST(H2Abuse, Regret19_HpackBombIsEnded) {
  Talk t;
  t.piece = 1460;
  t.begun();
  // One entry of nearly 4096 octets, then as many one-octet references to it as a frame holds.
  std::string block = unhex("828684410161") + "\x40\x01x" + unhex("7fa11e") + std::string(4000, 'b');
  block += std::string(10'000, static_cast<char>(0x80 | 62));
  t.arrive(wire_bytes({{static_cast<u32>(block.size()), H2Type::headers, kH2EndHeaders | kH2EndStream, 1}, block}));
  expect_calmed(t, Counter::h2_calm_unfolded_bytes);
}
TEST(H2Abuse, Regret19_HeadThatUnfoldsToLessIsOnlyTooLarge) {
  Talk t;
  t.begun();
  std::string block = unhex("828684410161") + "\x40\x01x" + unhex("7fa11e") + std::string(4000, 'b') + std::string(30, static_cast<char>(0x80 | 62));
  t.arrive(wire_bytes({{static_cast<u32>(block.size()), H2Type::headers, kH2EndHeaders | kH2EndStream, 1}, block}));
  t.event("head 1 end too_large").quiet().audit();
}
TEST(H2Abuse, Regret19_ManyTinyFieldsAreOnlyTooLarge) {
  Talk t;
  t.begun();
  std::string block = unhex("828684410161") + std::string(2000, static_cast<char>(0x90));  // accept-encoding: gzip, deflate
  t.arrive(wire_bytes({{static_cast<u32>(block.size()), H2Type::headers, kH2EndHeaders | kH2EndStream, 1}, block}));
  t.event("head 1 end too_large").quiet().audit();
}

// --- floods of small frames

struct Flood {
  const char* frame;
  Counter cause;
  u32 cost;  // tokens for one
};

TEST(H2Abuse, Regret19_FloodsOfFramesThatBringNothingAreEnded) {
  const Flood floods[] = {
      {"SETTINGS", Counter::h2_calm_settings, 4},
      {"SETTINGS ack", Counter::h2_calm_settings, 1},
      {"PING abcdefgh", Counter::h2_calm_pings, 1},
      {"PING ack abcdefgh", Counter::h2_calm_pings, 1},
      {"PRIORITY 1 on=0", Counter::h2_calm_priorities, 1},
      {"PRIORITY 7 on=0", Counter::h2_calm_priorities, 1},
      {"PRIORITY_UPDATE of=1 u=1", Counter::h2_calm_priorities, 1},
      {"PRIORITY_UPDATE of=3 u=1", Counter::h2_calm_priorities, 1},
      {"WINDOW_UPDATE +1", Counter::h2_calm_window_updates, 1},
      {"WINDOW_UPDATE 1 +1", Counter::h2_calm_window_updates, 1},
      {"DATA 1", Counter::h2_calm_empty_data, 1},
      {"DATA 1 flags=8 payload=00", Counter::h2_calm_empty_data, 1},
      {"DATA 1 flags=8 payload=03000000", Counter::h2_calm_empty_data, 1},
      {"GOAWAY last=0 NO_ERROR", Counter::h2_calm_strays, 1},
      {"0x99 n=3", Counter::h2_calm_strays, 1},
  };
  for (const Flood& flood : floods) {
    SCOPED_TRACE(flood.frame);
    Talk t;
    t.piece = 1460;
    t.begun().open(1);
    const u32 left = contract::kH2TokensMax - 4;  // the first SETTINGS took some
    EXPECT_EQ(until_it_dies(t, flood.frame, 2000), left / flood.cost);
    expect_calmed(t, flood.cause);
  }
}
TEST(H2Abuse, Regret19_FloodsForStreamsThatAreGoneAreEnded) {
  for (const char* frame : {"RST_STREAM 1 CANCEL", "HEADERS 1 end x=y", "DATA 1 x", "WINDOW_UPDATE 1 +1"}) {
    SCOPED_TRACE(frame);
    Talk t;
    t.piece = 1460;
    t.begun().open(1).release(1, H2Error::cancel).drop_sent();
    EXPECT_LE(until_it_dies(t, frame, 3000), contract::kH2TokensMax + 10);
    expect_calmed(t, std::string(frame).starts_with("WINDOW") ? Counter::h2_calm_window_updates : Counter::h2_calm_strays);
  }
}
TEST(H2Abuse, Regret19_InterimResponseFloodIsEnded) {
  Talk t(H2Role::client);
  t.piece = 1460;
  t.begun();
  t.request("GET /", true);
  EXPECT_GE(until_it_dies(t, "HEADERS 1 103", 3000), contract::kH2TokensMax - 10);
  expect_calmed(t, Counter::h2_calm_strays);
}
TEST(H2Abuse, Regret19_WhoSaysLittleOverALongTimeIsBorne) {
  Talk t;
  t.begun().open(1);
  for (int n = 0; n < 5000; ++n) t.after(9).in("PING abcdefgh").drop_sent();
  t.quiet().audit();
}
TEST(H2Abuse, Regret19_WindowUpdatesForWhatWeSendAreBorne) {
  Talk t;
  t.begun().open(1, true).respond(1, 200, false).drop_sent();
  for (int n = 0; n < 5000; ++n) t.send(1, "small message").drop_sent().in("WINDOW_UPDATE 1 +13", "WINDOW_UPDATE +13");
  for (int n = 0; n < 1000; ++n) t.send(1, letters(8000)).drop_sent().in("WINDOW_UPDATE 1 +8000", "WINDOW_UPDATE +8000", "PING abcdefgh").drop_sent();
  t.quiet().audit();
}
TEST(H2Abuse, Regret19_PayloadEarnsWhatFramesAroundItCost) {
  Talk t;
  t.begun().open(1);
  for (int n = 0; n < 2000; ++n) {
    t.in("DATA 1 n=1024", "PING abcdefgh", "PRIORITY 1 on=0", "DATA 1").event("data 1").drop_sent();
    EXPECT_EQ(t.take(1).size(), 1024u);
    t.drop_sent();
  }
  t.quiet().audit();
}
TEST(H2Abuse, Regret19_WindowOfOneOctetDrippedOpenIsEnded) {
  Talk t;
  t.piece = 1460;
  t.begun("SETTINGS initial_window_size=0").open(1, true, "GET /").respond(1, 200, false).drop_sent();
  u32 n = 0;
  for (; n < 5000 && t.counter(Counter::h2_connection_errors) == 0; ++n) {
    t.in("WINDOW_UPDATE 1 +1");
    if (t.engine().send_space(t.stream(1)) != 0) t.send(1, "x");
    if (t.counter(Counter::h2_connection_errors) == 0) t.drop_sent();
  }
  EXPECT_LT(n, contract::kH2TokensMax + 10);
  expect_calmed(t, Counter::h2_calm_window_updates);
}
TEST(H2Abuse, Regret19_AnswersThatNobodyTakesAreBounded) {
  Talk t;
  t.piece = 1460;
  t.begun();
  t.hold_output = true;
  u32 n = 0;
  for (; t.events_waiting() == 0; ++n) t.in("PING abcdefgh");
  EXPECT_EQ(n, contract::kH2AnswersMax + 1);
  EXPECT_EQ(t.counter(Counter::h2_calm_answers), 1u);
  t.hold_output = false;
  t.dies("ENHANCE_YOUR_CALM");
}
TEST(H2Abuse, GuardEarnsBackAndForgetsNothing) {
  H2Guard g;
  g.begin(0);
  EXPECT_EQ(g.tokens(), contract::kH2TokensMax);
  for (u32 n = 0; n < contract::kH2TokensMax; ++n) EXPECT_EQ(g.frame(H2Guard::Abuse::pings), H2Guard::Abuse::none);
  EXPECT_EQ(g.frame(H2Guard::Abuse::pings), H2Guard::Abuse::pings);
  g.payload(255);
  EXPECT_EQ(g.tokens(), 0u);
  g.payload(1);
  EXPECT_EQ(g.tokens(), 1u);
  g.data_sent(1, true);
  EXPECT_EQ(g.tokens(), 1u);
  g.data_sent(1, false);
  EXPECT_EQ(g.tokens(), 1u + contract::kH2TokensPerData);
  g.time(8192 * 10);
  g.time(8192 * 10 + 1);
  EXPECT_EQ(g.tokens(), 11u + contract::kH2TokensPerData);
  g.stream_ended();
  EXPECT_EQ(g.tokens(), 11u + contract::kH2TokensPerData + contract::kH2TokensPerStream);
  g.time(~u64{0} / 2);
  EXPECT_EQ(g.tokens(), contract::kH2TokensMax);
  EXPECT_EQ(g.resets_left(), contract::kH2ResetsMax);
}

// --- memory

TEST(H2Memory, Regret4_SmallDataFramesDoNotPinPackets) {
  Talk t(H2Role::server, {.stream_window_bytes = 65'536});
  t.piece = 1460;
  t.begun().open(1);
  const u32 before = t.pools().packets_in_use();
  for (int n = 0; n < 10'000; ++n) t.in("DATA 1 x");  // each in a packet of its own
  t.drop_events();
  EXPECT_EQ(t.engine().held_bytes(t.conn), 10'000u);
  EXPECT_LE(t.engine().held_packets(t.conn), 12u);
  EXPECT_LE(t.pools().packets_in_use() - before, 12u);
  EXPECT_GT(t.counter(Counter::payload_copied), 9900u);
  EXPECT_EQ(t.take(1), std::string(10'000, 'x'));
  t.drop_sent().audit();
}
TEST(H2Memory, Regret4_SmallDataFramesInOnePacketDoNotPinSlices) {
  Talk t;
  t.piece = 1460;
  t.begun().open(1);
  std::string frames;
  for (int n = 0; n < 5000; ++n) frames += t.speaker.say("DATA 1 x");
  t.arrive(frames).drop_events();
  EXPECT_LE(t.engine().held_packets(t.conn), 12u);
  EXPECT_EQ(t.take(1), std::string(5000, 'x'));
  t.drop_sent().audit();
}
TEST(H2Memory, Regret4_PacketsThatAreHeldStayWithinTheConnectionsBudget) {
  Talk t(H2Role::server, {.streams_max = 200, .stream_window_bytes = 65'536, .held_bytes_max = 1'000'000});
  t.piece = 600;  // a packet for every 600 octets
  t.begun();
  for (u32 id = 1; id < 200; id += 2) t.open(id);
  u64 sent = 0;
  for (u32 round = 0; round < 30; ++round) {
    for (u32 id = 1; id < 200 && sent + 300 < 65'535 + 900'000; id += 2, sent += 300) t.in("DATA " + text_of_id(id) + " n=300");
    t.drop_sent().drop_events();
  }
  // As plain slices this would be 2.3 kB for each 300 octets; half of the budget is, the rest is copied together.
  EXPECT_GT(t.engine().held_bytes(t.conn), 800'000u);
  EXPECT_LE(t.engine().held_packets(t.conn), 1'000'000u / kH2MbufCharge / 2 + 1'000'000u / 2048 + 200);
  u64 got = 0;
  for (u32 id = 1; id < 200; id += 2) {
    const std::string body = t.take(id);
    for (size_t at = 0; at < body.size(); at += 300) ASSERT_EQ(body.substr(at, 300), letters(300));
    got += body.size();
  }
  EXPECT_EQ(got, sent);
  t.drop_sent().audit();
}
TEST(H2Memory, Regret4_FramesThatDripInDoNotPinPackets) {
  Talk t;
  t.piece = 1460;
  t.begun();
  const std::string frame = t.speaker.say("HEADERS 1 end GET / a=" + std::string(9000, '!'));
  for (size_t at = 0; at + 1 < frame.size(); ++at) t.arrive(frame.substr(at, 1));
  EXPECT_LE(t.engine().held_packets(t.conn), 12u);
  EXPECT_TRUE(t.engine().mid_frame(t.conn));
  t.arrive(frame.substr(frame.size() - 1)).event("head 1 end").quiet();
  EXPECT_EQ(t.engine().held_packets(t.conn), 0u);
  t.audit();
}
TEST(H2Memory, Regret4_BlocksThatDripInDoNotPinPackets) {
  Talk t;
  t.piece = 300;
  t.begun().in("HEADERS 1 end split=1000 GET / a=" + std::string(50'000, '!'));
  for (int n = 0; n < 40; ++n) t.in("CONTINUATION 1 split=1000");
  EXPECT_LE(t.engine().held_packets(t.conn), 40u);
  t.in("CONTINUATION 1").event("head 1 end").quiet().audit();
}
TEST(H2Memory, BlockInManyPiecesIsGathered) {
  Talk t;
  t.piece = 16;
  t.begun();
  t.held = true;  // the whole frame in one go, sixteen octets a packet
  t.in("HEADERS 1 end GET / a=" + std::string(9000, '!'));
  t.pump();
  t.event("head 1 end");
  EXPECT_NE(t.text.find(std::string(9000, '!')), std::string::npos);
  EXPECT_GT(t.counter(Counter::head_copied), 6000u);
  t.quiet().audit();
}
TEST(H2Memory, WhenPacketsRunOutTheConnectionEndsAndNothingIsLost) {
  // `spare` packets are left when the engine has to answer, send or copy.
  for (u32 spare = 0; spare < 4; ++spare) {
    SCOPED_TRACE(spare);
    for (const char* what : {"PING abcdefgh", "HEADERS 3 end GET /", "WINDOW_UPDATE 1 +0", "DATA 1 x", "SETTINGS initial_window_size=1"}) {
      SCOPED_TRACE(what);
      Talk t(H2Role::server, {}, 63);
      t.piece = 1460;
      t.begun().open(1);
      mbuf::Chain hoard = t.pools().chain();
      const std::string bytes = t.speaker.say(what);
      mbuf::Chain in = t.chain(bytes, 1460);
      while (t.pools().packets_free() > spare) {
        mbuf::Pkt p = t.pools().alloc();
        p.append(1);
        EXPECT_TRUE(hoard.append(std::move(p)));
      }
      t.engine().input(t.conn, std::move(in), t.now);
      t.pump();
      if (t.has_stream(1)) {
        auto head = std::make_unique<ResponseHead>();
        EXPECT_EQ(read_response(Talk::bytes_of("HTTP/1.1 200 X\r\ncontent-length: 3000\r\n\r\n"), Method::get, {}, *head).status, ReadStatus::complete);
        t.engine().send_response(t.stream(1), *head, {}, {}, false);
        t.engine().send_local_answer(t.stream(1), {.status = 500, .text = "never mind"});
        t.pump();
      }
      hoard.clear();
      t.drop_sent().drop_events();
      t.audit();
    }
  }
}
TEST(H2Memory, WhenSlicesRunOutTheConnectionEndsAndNothingIsLost) {
  for (const char* what : {"DATA 1 hello", "HEADERS 3 end split=3 GET /"}) {
    SCOPED_TRACE(what);
    Talk t;
    t.piece = 1460;
    t.begun().open(1);
    const std::string bytes = t.speaker.say(what) + t.speaker.say("PING abcdefgh").substr(0, 5);
    mbuf::Chain in = t.chain(bytes, 1460);
    mbuf::Chain hoard = t.chain("x", 1);
    while (hoard.append_shared(hoard.slice(hoard.first()), 0, 1)) {
    }
    t.engine().input(t.conn, std::move(in), t.now);  // a piece of its packet would be a slice more
    t.pump();
    EXPECT_TRUE(t.engine().failed(t.conn));
    t.event("failed INTERNAL_ERROR").quiet();
    hoard.clear();
    t.audit();
  }
}
TEST(H2Memory, WhenMemoryIsShortLessMayBeHeldUntilItIsAmpleAgain) {
  Talk t(H2Role::server, {.stream_window_bytes = 100'000, .held_bytes_max = 200'000});
  t.piece = 1460;
  t.begun().open(1);
  t.engine().bear(20);
  for (int n = 0; n < 12; ++n) {
    t.in("DATA 1 n=16384").event("data 1");
    EXPECT_EQ(t.take(1).size(), 16'384u);
    t.forget("WINDOW_UPDATE 1");
  }
  t.out("WINDOW_UPDATE +17088").quiet();  // when what stood open has run out: to as much as fits 20 packets
  EXPECT_EQ(t.engine().receive_window(t.conn), 20 * 1024);
  t.engine().bear(kNone32);
  t.in("DATA 1 x").event("data 1").out("WINDOW_UPDATE").quiet();
  EXPECT_GT(t.engine().receive_window(t.conn), 190'000);
  t.audit();
}
TEST(H2Memory, ShortMemoryIsToldAsInternalError) {
  Talk t(H2Role::server, {}, 63);
  t.piece = 1460;
  t.begun();
  const std::string ping = t.speaker.say("PING abcdefgh");
  mbuf::Chain in = t.chain(ping + ping.substr(0, 5), 1460);  // the packet stays, so that its place is not free for the answer
  std::vector<mbuf::Pkt> hoard;
  while (t.pools().packets_free() > 0) hoard.push_back(t.pools().alloc());
  t.engine().input(t.conn, std::move(in), t.now);
  t.pump();
  t.event("failed INTERNAL_ERROR").quiet();
  hoard.clear();
  t.audit();
}

}  // namespace
}  // namespace ringway::http::test
