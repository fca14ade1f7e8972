// Flow control, both ways (RFC 9113 sections 5.2 and 6.9), and how payload is framed.

#include "tests/unit/http/h2_talk.h"

namespace ringway::http::test {
namespace {

// --- what the peer allows us

TEST(H2, Rfc9113_6_9_IncrementOfZeroOnAStreamIsStreamError) {
  Talk t;
  t.begun().open().in("WINDOW_UPDATE 1 +0").out("RST_STREAM 1 PROTOCOL_ERROR").event("reset 1 PROTOCOL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_6_9_IncrementOfZeroOnTheConnectionIsConnectionError) {
  Talk t;
  t.begun().in("WINDOW_UPDATE +0").dies("PROTOCOL_ERROR");
}
TEST(H2, Rfc9113_6_9_WrongLengthIsFrameSizeError) {
  Talk t;
  t.begun().in("WINDOW_UPDATE payload=000001").dies("FRAME_SIZE_ERROR");
  Talk other;
  other.begun().open().in("WINDOW_UPDATE 1 payload=0000000001").dies("FRAME_SIZE_ERROR");
}
TEST(H2, Rfc9113_6_9_ReservedBitOfTheIncrementIsIgnored) {
  Talk t;
  t.begun("SETTINGS initial_window_size=0").open().in("WINDOW_UPDATE 1 payload=80000005");
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 5u);
  t.audit();
}
TEST(H2, Rfc9113_6_9_1_WindowOfAStreamAboveTheMaximumIsStreamError) {
  Talk t;
  t.begun().open().in("WINDOW_UPDATE 1 +2147418112").quiet().in("WINDOW_UPDATE 1 +1");
  t.out("RST_STREAM 1 FLOW_CONTROL_ERROR").event("reset 1 FLOW_CONTROL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_6_9_1_WindowOfTheConnectionAboveTheMaximumIsConnectionError) {
  Talk t;
  t.begun().in("WINDOW_UPDATE +2147418112").quiet().in("WINDOW_UPDATE +1").dies("FLOW_CONTROL_ERROR");
}
TEST(H2, Rfc9113_6_9_1_BothWindowsBoundWhatIsSent) {
  Talk t;
  t.begun("SETTINGS initial_window_size=70000").open(1, true).respond(1, 200, false).out("HEADERS 1 200");
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 65'535u);  // the connection's
  t.in("WINDOW_UPDATE +10000");
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 70'000u);  // the stream's
  t.send(1, letters(70'000));
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 0u);
  t.in("WINDOW_UPDATE 1 +9000");
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 5535u);
  t.drop_sent();
  t.audit();
}
TEST(H2, Rfc9113_6_9_1_EmptyFrameEndsAStreamWithoutWindow) {
  Talk t;
  t.begun("SETTINGS initial_window_size=0").open(1, true).respond(1, 200, false).out("HEADERS 1 200");
  t.send(1, "", true).out("DATA 1 end n=0").quiet().audit();
}
TEST(H2, Rfc9113_6_9_2_SettingsMoveTheWindowsOfOpenStreams) {
  Talk t;
  t.begun("SETTINGS initial_window_size=3").open(1, true).open(3, true).respond(1, 200, false).out("HEADERS 1 200");
  t.send(1, "abc").out("DATA 1 abc");
  t.in("SETTINGS initial_window_size=5").out("SETTINGS ack");
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 2u);
  EXPECT_EQ(t.engine().send_space(t.stream(3)), 5u);
  t.audit();
}
TEST(H2, Rfc9113_6_9_2_WindowMayBecomeNegativeAndIsWaitedFor) {
  Talk t;
  t.begun("SETTINGS initial_window_size=10").open(1, true).respond(1, 200, false).out("HEADERS 1 200").send(1, letters(10)).out("DATA 1 n=10");
  t.wait(1);
  t.in("SETTINGS initial_window_size=2").out("SETTINGS ack");  // the window is -8
  EXPECT_EQ(t.writable(), 0u);
  t.in("WINDOW_UPDATE 1 +8");
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 0u);
  EXPECT_EQ(t.writable(), 0u);
  t.in("WINDOW_UPDATE 1 +1");
  EXPECT_EQ(t.engine().send_space(t.stream(1)), 1u);
  EXPECT_EQ(t.writable(), 1u);
  EXPECT_EQ(t.writable(), 0u);  // once
  t.audit();
}
TEST(H2, Rfc9113_6_9_2_SettingsThatPushAWindowAboveTheMaximumAreConnectionError) {
  Talk t;
  t.begun().open(1).in("WINDOW_UPDATE 1 +1000000", "SETTINGS initial_window_size=2147483647").dies("FLOW_CONTROL_ERROR");
}
TEST(H2, Rfc9113_6_9_2_SettingsBringWaitingStreamsBackIntoLine) {
  Talk t;
  t.begun("SETTINGS initial_window_size=0").open(1, true).respond(1, 200, false).out("HEADERS 1 200");
  t.wait(1);
  EXPECT_EQ(t.writable(), 0u);
  t.in("SETTINGS initial_window_size=1").out("SETTINGS ack");
  EXPECT_EQ(t.writable(), 1u);
  t.audit();
}
TEST(H2, Rfc9113_6_9_ConnectionWindowBringsEveryWaitingStreamBack) {
  Talk t;
  t.begun("SETTINGS initial_window_size=1000000").open(1, true).open(3, true).respond(1, 200, false).respond(3, 200, false).drop_sent();
  t.send(1, letters(65'535));
  t.wait(1);
  t.wait(3);
  t.drop_sent();
  EXPECT_EQ(t.writable(), 0u);
  t.in("WINDOW_UPDATE +100");
  EXPECT_EQ(t.writable(), 1u);
  t.send(1, letters(50)).wait(1);
  EXPECT_EQ(t.writable(), 3u);
  t.send(3, letters(50)).wait(3);
  EXPECT_EQ(t.writable(), 0u);
  t.in("WINDOW_UPDATE +1");
  EXPECT_EQ(t.writable(), 1u);
  t.drop_sent();
  t.audit();
}
TEST(H2, Regret18_WindowUpdateIsReadThoughTheStreamLimitIsReached) {
  Talk t(H2Role::server, {.streams_max = 1});
  t.begun("SETTINGS initial_window_size=1");
  for (u32 id = 1; id <= 3; id += 2) {
    const std::string n = std::to_string(id);
    t.in("HEADERS " + n + " end GET /").event("head " + n + " end").respond(id, 200, false).out("HEADERS " + n + " 200");
    for (u32 k = 0; k < 10; ++k) {
      t.send(id, "x", k == 9).out("DATA " + n + (k == 9 ? " end x" : " x"));
      if (k < 9) t.in("WINDOW_UPDATE " + n + " +1");
    }
    t.release(id);
  }
  t.quiet().audit();
}

// --- what we allow the peer

TEST(H2, Rfc9113_6_9_1_DataBeyondAStreamsWindowIsFlowControlErrorOfTheStream) {
  Talk t(H2Role::server, {.stream_window_bytes = 100});
  t.begun().open(1).open(3).in("DATA 1 n=100").event("data 1").in("DATA 1 x").out("RST_STREAM 1 FLOW_CONTROL_ERROR");
  t.event("reset 1 FLOW_CONTROL_ERROR").quiet();
  t.in("DATA 3 n=101").out("RST_STREAM 3 FLOW_CONTROL_ERROR").event("reset 3 FLOW_CONTROL_ERROR").quiet().audit();
}
TEST(H2, Rfc9113_6_9_1_DataBeyondTheConnectionsWindowIsConnectionError) {
  Talk t(H2Role::server, {.stream_window_bytes = 1'000'000, .held_bytes_max = 65'535});
  t.begun().open(1);
  for (int n = 0; n < 3; ++n) t.in("DATA 1 n=16384").event("data 1");
  t.in("DATA 1 n=16383").event("data 1").quiet();
  t.in("DATA 1 x").dies("FLOW_CONTROL_ERROR");
}
TEST(H2, Rfc9113_6_9_1_PaddingCountsAndComesBackAtOnce) {
  Talk t(H2Role::server, {.stream_window_bytes = 1000});
  t.piece = 1460;
  t.begun().open(1);
  t.in("DATA 1 pad=255 n=1").event("data 1").quiet();                 // 257 octets, one of them held
  t.in("DATA 1 pad=255 n=1").event("data 1").out("WINDOW_UPDATE 1 +512").quiet();
  EXPECT_EQ(t.take(1), "aa");
  t.quiet().audit();
}
TEST(H2, Rfc9113_6_9_WindowOfAStreamOpensAgainByWhatIsTakenWhenHalfIsOwed) {
  Talk t(H2Role::server, {.stream_window_bytes = 1000});
  t.begun().open(1).in("DATA 1 n=1000").event("data 1").quiet();
  t.piece = 1460;
  EXPECT_EQ(t.take(1, 1).size(), 1u);
  t.out("WINDOW_UPDATE 1 +1");  // the peer can send nothing: at once
  EXPECT_EQ(t.take(1, 499).size(), 499u);
  t.quiet();
  EXPECT_EQ(t.take(1, 1).size(), 1u);
  t.out("WINDOW_UPDATE 1 +500").quiet();
  EXPECT_EQ(t.take(1).size(), 499u);
  t.quiet().audit();
}
TEST(H2, Rfc9113_6_9_WhatIsDiscardedOpensTheWindowToo) {
  Talk t(H2Role::server, {.stream_window_bytes = 1000});
  t.begun().open(1).in("DATA 1 n=1000").event("data 1");
  EXPECT_EQ(t.engine().receive_window(t.conn, t.stream(1)), 0);
  t.engine().discard(t.stream(1), 600);
  EXPECT_TRUE(t.engine().has_output(t.conn));
  t.out("WINDOW_UPDATE 1 +600");
  EXPECT_EQ(t.engine().receive_window(t.conn, t.stream(1)), 600);
  EXPECT_EQ(t.engine().held_bytes(t.conn), 400u);
  EXPECT_EQ(t.take(1), letters(1000).substr(600));
  t.quiet().audit();
}
TEST(H2, Rfc9113_6_9_NoWindowIsGivenToAStreamThatHasEnded) {
  Talk t(H2Role::server, {.stream_window_bytes = 1000});
  t.begun().open(1).in("DATA 1 end n=1000").event("data 1 end");
  EXPECT_EQ(t.take(1).size(), 1000u);
  t.quiet().audit();
}
TEST(H2, Rfc9113_5_2_WindowOfOneOctetNeverDeadlocks) {
  Talk t(H2Role::server, {.stream_window_bytes = 1});
  t.begun().open(1);
  std::string got;
  for (int n = 0; n < 300; ++n) {
    t.in("DATA 1 x").event("data 1");
    got += t.take(1);
    t.out("WINDOW_UPDATE 1 +1");
  }
  EXPECT_EQ(got.size(), 300u);
  t.quiet().audit();
}
TEST(H2, Rfc9113_5_2_StreamThatNobodyReadsStopsAlone) {
  Talk t(H2Role::server, {.stream_window_bytes = 20'000, .held_bytes_max = 100'000});
  t.begun().open(1).open(3).in("DATA 1 n=16384", "DATA 1 n=3616").event("data 1").quiet();
  u32 credit = 65'535 - 20'000;
  for (int n = 0; n < 50; ++n) {
    ASSERT_GE(credit, 10'000u);
    t.in("DATA 3 n=10000").event("data 3");
    EXPECT_EQ(t.take(3).size(), 10'000u);
    credit -= 10'000;
    while (t.frames_waiting() != 0) {
      t.out("WINDOW_UPDATE");
      if (t.last.starts_with("WINDOW_UPDATE +")) credit += number(t.last.substr(15));
    }
    EXPECT_LE(credit + t.engine().held_bytes(t.conn), 100'000u);
  }
  t.quiet().audit();
}
TEST(H2, Rfc9113_5_2_HeldBytesAreTheConnectionsLimit) {
  Talk t(H2Role::server, {.stream_window_bytes = 65'536, .held_bytes_max = 65'535});
  t.begun().open(1).open(3);
  for (int n = 0; n < 3; ++n) t.in("DATA 1 n=16384").event("data 1");
  t.in("DATA 3 n=16383").event("data 3").quiet();  // all of it is held: nothing is given
  EXPECT_EQ(t.engine().held_bytes(t.conn), 65'535u);
  EXPECT_EQ(t.take(3).size(), 16'383u);
  t.out("WINDOW_UPDATE +16383").quiet();  // the connection's; the stream's is not owed by half
  t.audit();
}
TEST(H2, Rfc9113_5_2_ReleasedStreamsGiveBackWhatTheyHeld) {
  Talk t(H2Role::server, {.held_bytes_max = 65'535});
  t.begun().open(1);
  for (int n = 0; n < 3; ++n) t.in("DATA 1 n=16384").event("data 1");
  t.in("DATA 1 n=16383").event("data 1").quiet();
  t.release(1, H2Error::cancel).out("RST_STREAM 1 CANCEL").out("WINDOW_UPDATE +65535").quiet().audit();
}

// --- framing

TEST(H2, Rfc9113_4_2_PayloadIsCutToThePeersFrameSize) {
  Talk t;
  t.begun("SETTINGS initial_window_size=100000").open(1, true).in("WINDOW_UPDATE +100000").respond(1, 200, false).out("HEADERS 1 200");
  t.send(1, letters(40'000), true).out("DATA 1 n=16384").out("DATA 1 n=16384").out("DATA 1 end n=7232").quiet();
  t.open(3, true).in("SETTINGS max_frame_size=30000").out("SETTINGS ack").respond(3, 200, false).out("HEADERS 3 200");
  t.send(3, letters(40'000), true).out("DATA 3 n=30000").out("DATA 3 end n=10000").quiet().audit();
}
TEST(H2, DataOfOneStreamJoinsItsFrameUntilTheOutputIsTaken) {
  Talk t;
  t.begun().open(1, true).open(3, true).respond(1, 200, false).respond(3, 200, false).drop_sent();
  t.hold_output = true;
  for (int n = 0; n < 10; ++n) t.send(1, "abc");
  t.send(3, "xyz").send(1, "d").send(1, "", true);
  t.hold_output = false;
  t.out("DATA 1 n=30").out("DATA 3 xyz").out("DATA 1 end d").quiet();
  t.hold_output = true;
  t.send(3, letters(16'000)).send(3, letters(1000));
  t.hold_output = false;
  t.out("DATA 3 n=16384").out("DATA 3 n=616").quiet().audit();
}
TEST(H2, FrameHeadersGoInFrontOfThePayloadInItsOwnPacket) {
  Talk t;
  t.begun().open(1, true).respond(1, 200, false).drop_sent();
  const u32 before = t.pools().packets_in_use();
  mbuf::Chain body = t.chain(letters(1000), 1460);
  EXPECT_TRUE(t.engine().send_data(t.stream(1), std::move(body), true));
  mbuf::Chain out = t.engine().take_output(t.conn);
  EXPECT_EQ(out.slices(), 1u);
  EXPECT_EQ(out.bytes(), 1009u);
  EXPECT_EQ(t.pools().packets_in_use(), before + 1);
  EXPECT_NE(out.grow_front(14 + 40 + 32, 0), nullptr);  // and there is room for the headers below
  out.clear();
  t.audit();
}
TEST(H2, FrameHeadersInFrontOfSharedPayloadAreCollectedInOnePacket) {
  Talk t;
  t.piece = 1460;
  t.begun("SETTINGS initial_window_size=65535").open(1, true).open(3, true).respond(1, 200, false).respond(3, 200, false).drop_sent();
  const mbuf::Chain body = t.chain(letters(20'000), 20);
  const u32 before = t.pools().packets_in_use();
  t.hold_output = true;
  mbuf::Chain shared = body.share();
  for (u32 n = 0; n < 100; ++n) EXPECT_TRUE(t.engine().send_data(t.stream(n % 2 == 0 ? 1 : 3), shared.take_front(20), false));
  EXPECT_LE(t.pools().packets_in_use(), before + 2);
  t.hold_output = false;
  for (u32 n = 0; n < 100; ++n) t.out(n % 2 == 0 ? "DATA 1 n=20" : "DATA 3 n=20");
  EXPECT_EQ(t.counter(Counter::payload_copied), 0u);
  shared.clear();
  const_cast<mbuf::Chain&>(body).clear();
  t.quiet().audit();
}
TEST(H2, SmallFramesStandBehindOneAnotherInOnePacket) {
  Talk t;
  t.begun();
  t.hold_output = true;
  const u32 before = t.pools().packets_in_use();
  for (int n = 0; n < 50; ++n) t.in("PING abcdefgh");
  EXPECT_EQ(t.pools().packets_in_use(), before + 1);
  t.hold_output = false;
  for (int n = 0; n < 50; ++n) t.out("PING ack abcdefgh");
  t.quiet().audit();
}

// --- our own answers

TEST(H2, LocalAnswerIsAHeadAndALine) {
  Talk t;
  t.begun().open(1, true).answer(1, {.status = 503, .text = "no endpoint", .flag = "flag", .flag_value = "NE"});
  t.out("HEADERS 1 503 x-ringway-flag=NE content-length=12").out("DATA 1 end n=12").quiet();
  t.release(1).quiet().audit();
}
TEST(H2, LocalAnswerToAHeadRequestHasNoBody) {
  Talk t;
  t.begun().open(1, true, "HEAD /").answer(1, {.status = 404, .text = "nothing", .head_only = true}).out("HEADERS 1 end 404").quiet().audit();
}
TEST(H2, LocalAnswerInGrpcIsItsHeadAlone) {
  Talk t;
  t.begun().open(1, true).answer(1, {.status = 503, .text = "no endpoint", .grpc_status = 14});
  t.out("HEADERS 1 end 200 grpc-status=14").quiet().audit();
}
TEST(H2, LocalAnswerWaitsForItsWindowWhenItsUserIsGone) {
  Talk t;
  t.begun("SETTINGS initial_window_size=0").open(1).answer(1, {.status = 503, .text = "sorry"}).out("HEADERS 1 503").release(1, H2Error::no_error).quiet();
  EXPECT_EQ(t.engine().streams(t.conn), 1u);
  EXPECT_FALSE(t.has_stream(1));  // not the user's any more
  t.in("WINDOW_UPDATE 1 +2").out("DATA 1 so").quiet();
  t.in("DATA 1 hello", "DATA 1 pad=9 hello").quiet();  // nobody reads any more
  t.in("WINDOW_UPDATE 1 +10").out("DATA 1 end n=4").out("RST_STREAM 1 NO_ERROR").quiet();
  EXPECT_EQ(t.engine().streams(t.conn), 0u);
  t.audit();
}
TEST(H2, LocalAnswerWaitsForTheConnectionsWindow) {
  Talk t;
  t.begun("SETTINGS initial_window_size=100000").open(1, true).open(3, true).respond(1, 200, false).drop_sent();
  t.send(1, letters(65'535)).drop_sent();
  t.answer(3, {.status = 503, .text = "sorry"}).release(3, H2Error::no_error).out("HEADERS 3 503").quiet();
  t.in("WINDOW_UPDATE +100").out("DATA 3 end n=6").quiet();
  EXPECT_EQ(t.engine().streams(t.conn), 1u);
  t.audit();
}
TEST(H2, LocalAnswerThatWaitsEndsWithThePeersReset) {
  Talk t;
  t.begun("SETTINGS initial_window_size=0").open(1).open(3).answer(1, {.status = 503, .text = "sorry"}).answer(3, {.status = 503, .text = "sorry"});
  t.drop_sent();
  t.release(1, H2Error::no_error).release(3, H2Error::no_error).in("RST_STREAM 1 CANCEL").quiet();
  EXPECT_EQ(t.engine().streams(t.conn), 1u);
  t.in("HEADERS 3 end x=y").quiet();
  t.in("SETTINGS initial_window_size=100").out("SETTINGS ack").out("DATA 3 end n=6").quiet();
  EXPECT_EQ(t.engine().streams(t.conn), 0u);
  t.audit();
}

}  // namespace
}  // namespace ringway::http::test
